//! The answer to a push: `unpack …`, then `ok ref` or `ng ref reason` for each change, in a band of its own where the
//! client asked for bands.

use std::collections::BTreeSet;

use crate::branches::Branches;
use crate::pkt::{self, Line};
use crate::push::{Command, Push};

/// So much of a report is read; longer ones are of pushes that are not ours.
const MAX_REPORT: usize = 256 * 1024;
/// The report.
const REPORT_BAND: u8 = 1;
/// What people read, as `remote: …`.
const WORDS_BAND: u8 = 2;

/// The answer that refuses the whole push; [`None`] when none of its changes is refused. Some changes without the others
/// would be no answer to what was asked, and the pack belongs to all of them.
pub fn refusal(push: &Push, branches: &Branches) -> Option<Vec<u8>> {
    let reasons: Vec<_> = push.commands.iter().map(|command| branches.refusal(command)).collect();
    if reasons.iter().all(Option::is_none) {
        return None;
    }
    let mut report = Vec::new();
    pkt::push(&mut report, b"unpack ok\n");
    for (command, reason) in push.commands.iter().zip(&reasons) {
        let reason = reason
            .as_deref()
            .unwrap_or("Errand: another branch of this push was refused");
        pkt::push(&mut report, format!("ng {} {reason}\n", command.reference).as_bytes());
    }
    pkt::flush(&mut report);
    if !push.side_band {
        return Some(report);
    }
    let name = branches.name();
    let words = format!("Errand refused this push. Push to this session's branch: git push origin HEAD:{name}\n");
    let mut answer = Vec::new();
    band(&mut answer, WORDS_BAND, words.as_bytes());
    band(&mut answer, REPORT_BAND, &report);
    pkt::flush(&mut answer);
    Some(answer)
}

fn band(to: &mut Vec<u8>, band: u8, data: &[u8]) {
    for piece in data.chunks(pkt::MAX_LINE - 1) {
        pkt::push(to, &[&[band], piece].concat());
    }
}

/// Reads a server's report as it passes by, in pieces of any size. What it cannot read it does not tell.
#[derive(Debug)]
pub struct Reader {
    side_band: bool,
    outer: Vec<u8>,
    report: Vec<u8>,
    lost: bool,
}

impl Reader {
    /// Of the answer to `push`.
    pub const fn new(push: &Push) -> Self {
        Self {
            side_band: push.side_band,
            outer: Vec::new(),
            report: Vec::new(),
            lost: !push.report_status,
        }
    }

    /// The next piece of the answer.
    pub fn feed(&mut self, bytes: &[u8]) {
        if self.lost {
            return;
        }
        if self.side_band {
            self.outer.extend_from_slice(bytes);
            self.unwrap_bands();
        } else {
            self.report.extend_from_slice(bytes);
        }
        self.lost |= self.report.len() > MAX_REPORT;
    }

    fn unwrap_bands(&mut self) {
        let mut read = 0;
        loop {
            let rest = self.outer.get(read..).unwrap_or_default();
            match pkt::first(rest) {
                Ok(Some((line, length))) => {
                    if let Line::Data([REPORT_BAND, data @ ..]) = line {
                        self.report.extend_from_slice(data);
                    }
                    read += length;
                }
                Ok(None) => break,
                Err(_) => {
                    self.lost = true;
                    break;
                }
            }
        }
        self.outer.drain(..read);
    }

    /// The changes of `commands` that were made, as far as the report says so.
    pub fn made<'c>(&self, commands: &'c [Command]) -> Vec<&'c Command> {
        let mut named = BTreeSet::new();
        let mut rest = self.report.as_slice();
        while !self.lost
            && let Ok(Some((Line::Data(line), length))) = pkt::first(rest)
        {
            let line = String::from_utf8_lossy(line);
            if let Some(reference) = line.trim_end_matches('\n').strip_prefix("ok ") {
                named.insert(reference.to_owned());
            }
            rest = rest.get(length..).unwrap_or_default();
        }
        let made = |command: &&Command| named.contains(&command.reference);
        commands.iter().filter(made).collect()
    }
}
