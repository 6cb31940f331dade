//! The host's disk, which the sandboxes share with everything else there: none may fill it. One that keeps more than its
//! limit is stopped, and when the disk itself is nearly full the one that grew most; nothing new is started then. The
//! files of a sandbox that was stopped stay: they are its session's, and what takes them over may keep what it found,
//! but not add to it.
//!
//! The free space is looked at often, which costs nothing; files are counted only when it has fallen. Not counted is what
//! was removed while a program has it open: against that, and against what is written between two looks, only the space
//! that is kept free helps.

use std::collections::{BTreeMap, HashSet};
use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How often the free space is looked at.
pub(crate) const LOOK: Duration = Duration::from_secs(2);
/// Files are counted again when so much less is free, bytes; a small limit's eighth when that is less.
const NOTICED: u64 = 256 * MIB;
const MIB: u64 = 1024 * 1024;
/// `st_blocks` counts these, whatever the file system's blocks are (stat(2)).
const BLOCK: u64 = 512;

/// What a host's sandboxes may use, bytes; 0: as much as there is.
#[derive(Debug, Clone, Copy)]
pub struct DiskLimits {
    /// Of one sandbox's files.
    pub sandbox: u64,
    /// What stays free.
    pub free: u64,
}

impl DiskLimits {
    /// Of numbers in MiB.
    pub fn of_mib(sandbox: u32, free: u32) -> Self {
        Self {
            sandbox: u64::from(sandbox) * MIB,
            free: u64::from(free) * MIB,
        }
    }

    /// Why nothing new can be started, if it cannot.
    pub(crate) fn shortage(&self, state: &Path) -> Option<String> {
        let free = free_space(state).ok()?;
        (free < self.free).then(|| {
            format!(
                "the sandbox host's disk has {} MiB left, of which {} are kept free",
                free / MIB,
                self.free / MIB
            )
        })
    }

    fn noticed(&self) -> u64 {
        match self.sandbox {
            0 => NOTICED,
            limit => NOTICED.min(limit / 8),
        }
    }
}

/// What is left for us of the disk that `path` is on, bytes.
///
/// # Errors
/// When it cannot be asked.
pub(crate) fn free_space(path: &Path) -> io::Result<u64> {
    let disk = rustix::fs::statvfs(path)?;
    Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
}

/// A sandbox that is to be stopped.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Culprit {
    /// Which.
    pub(crate) name: String,
    /// Why, in words.
    pub(crate) cause: String,
}

#[derive(Debug, Clone, Copy)]
struct Seen {
    /// What it found when it began.
    found: u64,
    last: u64,
}

/// What is remembered between two looks.
#[derive(Debug)]
pub(crate) struct Watch {
    limits: DiskLimits,
    seen: BTreeMap<String, Seen>,
    free: u64,
}

impl Watch {
    /// Nothing was seen yet.
    pub(crate) fn new(limits: DiskLimits) -> Self {
        Self {
            limits,
            seen: BTreeMap::new(),
            free: 0,
        }
    }

    /// Whether the files of these sandboxes have to be counted, now that so much is free.
    pub(crate) fn must_count(&mut self, running: &[&str], free: u64) -> bool {
        self.seen.retain(|name, _| running.contains(&name.as_str()));
        let fallen = self.free.saturating_sub(free);
        let less = if free < self.limits.free {
            1
        } else {
            self.limits.noticed()
        };
        self.free = self.free.max(free);
        fallen >= less || running.iter().any(|name| !self.seen.contains_key(*name))
    }

    /// Who is to be stopped, now that they use so much, bytes. `new`: began with no files of an earlier sandbox.
    pub(crate) fn counted(
        &mut self,
        sandboxes: &[(&str, u64)],
        new: impl Fn(&str) -> bool,
        free: u64,
    ) -> Option<Culprit> {
        self.free = free;
        let mut grown: Option<(&str, u64)> = None;
        let mut over = None;
        for (name, bytes) in sandboxes {
            let found = if new(name) { 0 } else { *bytes };
            let first = Seen { found, last: found };
            let seen = self.seen.entry((*name).to_owned()).or_insert(first);
            let added = bytes.saturating_sub(seen.last);
            seen.last = *bytes;
            if added > grown.map_or(0, |(_, most)| most) {
                grown = Some((name, added));
            }
            let adds = *bytes > seen.found.saturating_add(self.limits.noticed());
            if self.limits.sandbox > 0 && *bytes > self.limits.sandbox && adds {
                over = Some((*name, *bytes));
            }
        }
        if let Some((name, bytes)) = over {
            let limit = self.limits.sandbox / MIB;
            return Some(Culprit {
                name: name.to_owned(),
                cause: format!(
                    "it was stopped because its files need {} MiB of disk; {limit} are allowed",
                    bytes / MIB
                ),
            });
        }
        let (name, added) = grown.filter(|_| free < self.limits.free)?;
        let cause = format!(
            "it was stopped because the sandbox host's disk is nearly full ({} MiB are left) and its files grew by {} MiB last",
            free / MIB,
            added / MIB
        );
        Some(Culprit {
            name: name.to_owned(),
            cause,
        })
    }
}

/// What a directory and everything beneath it takes of the disk, bytes; links are not followed, and a file with several
/// names counts once. What cannot be looked at counts nothing.
pub(crate) fn used(path: &Path) -> u64 {
    let mut total = 0;
    let mut several = HashSet::new();
    let mut waiting = vec![path.to_owned()];
    while let Some(dir) = waiting.pop() {
        for (path, found) in entries(&dir) {
            if found.nlink() == 1 || found.is_dir() || several.insert((found.dev(), found.ino())) {
                total += found.blocks() * BLOCK;
            }
            if found.is_dir() {
                waiting.push(path);
            }
        }
    }
    total
}

fn entries(dir: &Path) -> impl Iterator<Item = (PathBuf, Metadata)> {
    let listed = std::fs::read_dir(dir).into_iter().flatten().flatten();
    // `metadata` of an entry does not follow a link.
    listed.filter_map(|entry| Some((entry.path(), entry.metadata().ok()?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: DiskLimits = DiskLimits {
        sandbox: 1_000 * MIB,
        free: 500 * MIB,
    };

    fn name(culprit: Option<Culprit>) -> Option<String> {
        culprit.map(|culprit| culprit.name)
    }

    #[test]
    fn files_are_counted_when_a_sandbox_is_new_or_space_has_gone() {
        let mut watch = Watch::new(LIMITS);
        assert!(!watch.must_count(&[], 9_000 * MIB));
        assert!(watch.must_count(&["a"], 9_000 * MIB), "a new one");
        assert_eq!(watch.counted(&[("a", MIB)], |_| true, 9_000 * MIB), None);
        assert!(!watch.must_count(&["a"], 8_900 * MIB), "that is not much");
        assert!(watch.must_count(&["a"], 8_870 * MIB), "little by little is much too");
        assert_eq!(watch.counted(&[("a", 120 * MIB)], |_| true, 8_870 * MIB), None);
        assert!(!watch.must_count(&["a"], 8_870 * MIB));
        assert!(watch.must_count(&["a"], 499 * MIB));
        assert_eq!(
            watch.counted(&[("a", 120 * MIB)], |_| true, 499 * MIB),
            None,
            "it did not grow"
        );
        assert!(watch.must_count(&["a"], 498 * MIB), "now every bit counts");
    }

    #[test]
    fn one_that_keeps_more_than_its_limit_is_stopped_and_may_go_on_with_what_it_found() {
        let mut watch = Watch::new(LIMITS);
        let all = [("a", 900 * MIB), ("b", 1_001 * MIB)];
        assert_eq!(name(watch.counted(&all, |_| true, 9_000 * MIB)), Some("b".to_owned()));
        let mut watch = Watch::new(LIMITS);
        assert_eq!(watch.counted(&[("c", 1_001 * MIB)], |_| false, 9_000 * MIB), None);
        assert_eq!(watch.counted(&[("c", 1_050 * MIB)], |_| false, 9_000 * MIB), None);
        let stopped = watch.counted(&[("c", 1_200 * MIB)], |_| false, 9_000 * MIB).unwrap();
        assert_eq!(stopped.name, "c");
        assert!(
            stopped.cause.contains("1200 MiB of disk; 1000 are allowed"),
            "{}",
            stopped.cause
        );
    }

    #[test]
    fn on_a_full_disk_the_one_that_grew_most_is_stopped_and_none_that_did_not_grow() {
        let mut watch = Watch::new(DiskLimits { sandbox: 0, ..LIMITS });
        let all = |a: u64, b: u64| [("a", a * MIB), ("b", b * MIB)];
        assert_eq!(watch.counted(&all(5_000, 10), |_| false, 600 * MIB), None);
        assert_eq!(
            name(watch.counted(&all(5_010, 110), |_| false, 400 * MIB)),
            Some("b".to_owned())
        );
        assert_eq!(watch.counted(&all(5_010, 110), |_| false, 300 * MIB), None);
        assert_eq!(
            watch.counted(&all(9_000, 9_000), |_| false, 500 * MIB),
            None,
            "there is room"
        );
    }

    #[test]
    fn files_count_once_and_links_lead_nowhere() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        std::fs::create_dir(path("deep")).unwrap();
        std::fs::write(path("deep/file"), vec![1; 100_000]).unwrap();
        let before = used(dir.path());
        assert!((100_000..200_000).contains(&before), "{before}");
        std::fs::hard_link(path("deep/file"), path("again")).unwrap();
        std::os::unix::fs::symlink("/usr", path("usr")).unwrap();
        let after = used(dir.path());
        assert!(after - before < 10_000, "{before} {after}");
        assert_eq!(used(&path("missing")), 0);
    }
}
