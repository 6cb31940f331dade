//! Tells what was refused: one line of JSON for each host and port, in a file that the sandbox sees read-only.
//! Bounded in number and in pace, because the sandbox decides what it asks for.

use std::collections::BTreeSet;
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use errand_protocol::egress::EgressRefusal;

/// A sandbox's refusals that are told, at most; a policy that long meets no person's eye.
const MOST: usize = 1000;
/// So many a minute. What is over the pace is told when it is tried again.
const PACE: usize = 20;
const MINUTE: Duration = Duration::from_mins(1);

/// What was told.
#[derive(Debug)]
pub struct Refusals {
    file: File,
    told: BTreeSet<(String, u16)>,
    recent: Vec<Instant>,
}

impl Refusals {
    /// Goes on with the file of an earlier proxy.
    pub fn open(path: &Path) -> io::Result<Self> {
        let text = std::fs::read_to_string(path).unwrap_or_default();
        let told = text
            .lines()
            .filter_map(|line| serde_json::from_str::<EgressRefusal>(line).ok())
            .map(|refusal| (refusal.host, refusal.port))
            .collect();
        let mut file = OpenOptions::new().create(true).append(true).mode(0o600).open(path)?;
        if !text.is_empty() && !text.ends_with('\n') {
            file.write_all(b"\n")?;
        }
        Ok(Self {
            file,
            told,
            recent: Vec::new(),
        })
    }

    /// Tells it, unless it was told or there were too many.
    pub fn tell(&mut self, refusal: &EgressRefusal, now: Instant) {
        let key = (refusal.host.clone(), refusal.port);
        if self.told.len() >= MOST || self.told.contains(&key) {
            return;
        }
        self.recent.retain(|at| now.saturating_duration_since(*at) < MINUTE);
        if self.recent.len() >= PACE {
            return;
        }
        let Ok(mut line) = serde_json::to_vec(refusal) else {
            return;
        };
        line.push(b'\n');
        // On a full disk it is told at another try.
        if self.file.write_all(&line).is_ok() {
            self.told.insert(key);
            self.recent.push(now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use errand_protocol::egress::EgressReason;

    fn refusal(host: &str) -> EgressRefusal {
        EgressRefusal {
            host: host.to_owned(),
            port: 443,
            reason: EgressReason::NotAllowed,
        }
    }

    #[test]
    fn each_is_told_once_also_by_the_next_proxy_and_not_too_many_a_minute() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("refused.jsonl");
        let lines = || std::fs::read_to_string(&path).unwrap().lines().count();
        let now = Instant::now();
        let mut first = Refusals::open(&path).unwrap();
        for _ in 0..3 {
            first.tell(&refusal("a.example"), now);
        }
        assert_eq!(lines(), 1);
        let mut second = Refusals::open(&path).unwrap();
        second.tell(&refusal("a.example"), now);
        assert_eq!(lines(), 1);
        for i in 0..100 {
            second.tell(&refusal(&format!("h{i}.example")), now);
        }
        assert_eq!(lines(), 1 + PACE);
        second.tell(&refusal("h99.example"), now + MINUTE);
        assert_eq!(lines(), 2 + PACE);
    }

    #[test]
    fn a_sandbox_cannot_fill_the_disk_with_them() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("refused.jsonl");
        let mut refusals = Refusals::open(&path).unwrap();
        let mut now = Instant::now();
        for i in 0..2 * MOST {
            refusals.tell(&refusal(&format!("h{i}.example")), now);
            now += MINUTE;
        }
        assert_eq!(std::fs::read_to_string(&path).unwrap().lines().count(), MOST);
    }
}
