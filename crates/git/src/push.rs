//! The head of a push (`POST …/git-receive-pack`): the changes it wants to make. It is read before anything of it is
//! passed on; the pack follows it.

use crate::pkt::{self, Line, Malformed};

/// A head may be so long. git sends about 200 bytes for a branch.
pub const MAX_HEAD: usize = 256 * 1024;

/// One change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    /// The commit that the ref names now, in hex; zeros when there is no such ref.
    pub old: String,
    /// The commit that it is to name; zeros when it is to be removed.
    pub new: String,
    /// The ref's whole name.
    pub reference: String,
}

impl Command {
    /// Whether the ref is to be removed.
    pub fn deletes(&self) -> bool {
        self.new.bytes().all(|digit| digit == b'0')
    }
}

/// A push that was read up to its pack.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Push {
    /// What it wants to change, in its order.
    pub commands: Vec<Command>,
    /// The client takes the answer in bands.
    pub side_band: bool,
    /// The client wants to hear what became of each change.
    pub report_status: bool,
}

/// Why a push was not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// Not what git sends.
    #[error("this is not how git pushes")]
    Malformed,
    /// Longer than [`MAX_HEAD`].
    #[error("this push changes too many branches at once")]
    TooLong,
    /// Signed pushes hold their commands in another form.
    #[error("signed pushes are not supported here; push without --signed")]
    Signed,
}

impl From<Malformed> for Unreadable {
    fn from(_: Malformed) -> Self {
        Self::Malformed
    }
}

/// Reads a head as it comes in, in pieces of any size.
#[derive(Debug, Default)]
pub struct Reader {
    bytes: Vec<u8>,
    read: usize,
    push: Push,
}

impl Reader {
    /// Takes more of the body; the push, once its head is whole. After that it is not fed again.
    ///
    /// # Errors
    /// When it is nothing that may be passed on.
    pub fn feed(&mut self, more: &[u8]) -> Result<Option<Push>, Unreadable> {
        self.bytes.extend_from_slice(more);
        loop {
            let rest = self.bytes.get(self.read..).unwrap_or_default();
            let Some((line, length)) = pkt::first(rest)? else {
                break;
            };
            self.read += length;
            if self.read > MAX_HEAD {
                return Err(Unreadable::TooLong);
            }
            match line {
                Line::Flush => return Ok(Some(std::mem::take(&mut self.push))),
                Line::Data(data) => take(&mut self.push, data)?,
            }
        }
        if self.bytes.len() - self.read > MAX_HEAD {
            return Err(Unreadable::TooLong);
        }
        Ok(None)
    }

    /// All that was fed, head and beginning of the pack, to be passed on as it came.
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }
}

/// One line of the head: `shallow …`, or `old new ref`, the first of them with what the client can do behind a NUL.
fn take(push: &mut Push, data: &[u8]) -> Result<(), Unreadable> {
    let (line, abilities) = match data.iter().position(|byte| *byte == 0) {
        Some(at) => data.split_at(at),
        None => (data, &[][..]),
    };
    let line = std::str::from_utf8(line).map_err(|_| Unreadable::Malformed)?;
    let line = line.strip_suffix('\n').unwrap_or(line);
    if line == "push-cert" {
        return Err(Unreadable::Signed);
    }
    if let Some(commit) = line.strip_prefix("shallow ") {
        return if is_commit(commit) && abilities.is_empty() {
            Ok(())
        } else {
            Err(Unreadable::Malformed)
        };
    }
    if !abilities.is_empty() {
        note_abilities(push, abilities)?;
    }
    push.commands.push(command(line).ok_or(Unreadable::Malformed)?);
    Ok(())
}

/// A server reads them wherever they stand; git sends them with the first command.
fn note_abilities(push: &mut Push, abilities: &[u8]) -> Result<(), Unreadable> {
    if !push.commands.is_empty() {
        return Err(Unreadable::Malformed);
    }
    let text = std::str::from_utf8(abilities).map_err(|_| Unreadable::Malformed)?;
    let text = text.strip_prefix('\0').unwrap_or(text);
    let text = text.strip_suffix('\n').unwrap_or(text);
    if text.chars().any(char::is_control) {
        return Err(Unreadable::Malformed);
    }
    for ability in text.split(' ') {
        match ability {
            "side-band-64k" => push.side_band = true,
            "report-status" | "report-status-v2" => push.report_status = true,
            _ => {}
        }
    }
    Ok(())
}

fn command(line: &str) -> Option<Command> {
    let (old, rest) = line.split_once(' ')?;
    let (new, reference) = rest.split_once(' ')?;
    let good = is_commit(old) && is_commit(new) && old.len() == new.len();
    let named = !reference.is_empty() && !reference.chars().any(|c| c.is_control() || c == ' ');
    (good && named).then(|| Command {
        old: old.to_owned(),
        new: new.to_owned(),
        reference: reference.to_owned(),
    })
}

/// The name of a commit, by SHA-1 or SHA-256.
fn is_commit(text: &str) -> bool {
    matches!(text.len(), 40 | 64) && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}
