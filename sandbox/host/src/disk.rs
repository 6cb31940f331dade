//! The host's disk, which the sandboxes share with everything else there: none may fill it. One that keeps more than its
//! limit is stopped, and when the disk itself is nearly full the one that grew most; nothing new is started then. The
//! files of a sandbox that was stopped stay: they are its session's, and what takes them over may keep what it found,
//! but not add to it.
//!
//! The free space is looked at often, which costs nothing; files are counted only when it has fallen. Against what is
//! written between two looks only the space that is kept free helps; so that nobody gains by being stopped again and
//! again, a sandbox does not start with more than [`MOST`] times its limit.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::Duration;

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, Stat, openat, statat};

/// How often the free space is looked at.
pub(crate) const LOOK: Duration = Duration::from_secs(2);
/// Files are counted again when so much less is free, bytes; a small limit's eighth when that is less.
const NOTICED: u64 = 256 * MIB;
const MIB: u64 = 1024 * 1024;
/// So many limits are too much to go on with.
const MOST: u64 = 2;
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

    /// Why no sandbox goes on with files that take so much, if none does.
    pub(crate) fn too_much(&self, bytes: u64) -> Option<String> {
        let limit = self.sandbox / MIB;
        (limit > 0 && bytes > self.sandbox.saturating_mul(MOST)).then(|| {
            format!(
                "the session's files take {} of disk; {limit} MiB are allowed, and {} at most to go on with",
                size(bytes),
                limit * MOST
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
                    "it was stopped because its files take {} of disk; {limit} MiB are allowed",
                    size(bytes)
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

fn size(bytes: u64) -> String {
    if bytes >= HIDDEN {
        return "more than can be counted (directories lie too deep in each other)".to_owned();
    }
    format!("{} MiB", bytes / MIB)
}

/// What a sandbox takes of the disk, bytes: a directory and everything beneath it, and what these processes have open of
/// files that were removed. Links are not followed, a file with several names counts once, and what cannot be looked at
/// counts nothing.
pub(crate) fn used(path: &Path, processes: &BTreeSet<i32>) -> u64 {
    let mut count = Count::default();
    if let Ok(top) = rustix::fs::open(path, DIRECTORY, Mode::empty()) {
        count.beneath(top, 0);
    }
    for process in processes {
        count.held(&Path::new("/proc").join(process.to_string()).join("fd"));
    }
    count.bytes
}

const DIRECTORY: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);
/// Directories lie in each other only so deep, or something is hidden there: that counts as [`HIDDEN`] bytes.
const DEEPEST: u32 = 200;
const HIDDEN: u64 = 1 << 50;

#[derive(Debug, Default)]
struct Count {
    bytes: u64,
    /// Files with several names, or none.
    several: HashSet<(u64, u64)>,
}

impl Count {
    /// By handles and not by names: those could be longer than the system takes, or be changed on the way.
    fn beneath(&mut self, dir: OwnedFd, depth: u32) {
        if depth > DEEPEST {
            self.bytes = self.bytes.saturating_add(HIDDEN);
            return;
        }
        let Ok(mut entries) = Dir::new(dir) else { return };
        while let Some(Ok(entry)) = entries.read() {
            let name = entry.file_name();
            if matches!(name.to_bytes(), b"." | b"..") {
                continue;
            }
            let Ok(at) = entries.fd() else { return };
            let Ok(found) = statat(at, name, AtFlags::SYMLINK_NOFOLLOW) else {
                continue;
            };
            let inner = if FileType::from_raw_mode(found.st_mode) == FileType::Directory {
                openat(at, name, DIRECTORY, Mode::empty()).ok()
            } else {
                None
            };
            self.file(&found);
            if let Some(inner) = inner {
                self.beneath(inner, depth + 1);
            }
        }
    }

    fn file(&mut self, found: &Stat) {
        let is_dir = FileType::from_raw_mode(found.st_mode) == FileType::Directory;
        if found.st_nlink == 1 || is_dir || self.several.insert((found.st_dev, found.st_ino)) {
            let blocks = u64::try_from(found.st_blocks).unwrap_or(0);
            self.bytes = self.bytes.saturating_add(blocks.saturating_mul(BLOCK));
        }
    }

    /// Files that have no name any more.
    fn held(&mut self, open: &Path) {
        for handle in std::fs::read_dir(open).into_iter().flatten().flatten() {
            let found = rustix::fs::stat(handle.path()).ok();
            let nameless =
                |found: &Stat| found.st_nlink == 0 && FileType::from_raw_mode(found.st_mode) == FileType::RegularFile;
            if let Some(found) = found.filter(nameless) {
                self.file(&found);
            }
        }
    }
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
            stopped.cause.contains("1200 MiB of disk; 1000 MiB are allowed"),
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
        let bytes = |of: &Path| used(of, &BTreeSet::new());
        std::fs::create_dir(path("deep")).unwrap();
        std::fs::write(path("deep/file"), vec![1; 100_000]).unwrap();
        let before = bytes(dir.path());
        assert!((100_000..200_000).contains(&before), "{before}");
        std::fs::hard_link(path("deep/file"), path("again")).unwrap();
        std::os::unix::fs::symlink("/usr", path("usr")).unwrap();
        let after = bytes(dir.path());
        assert!(after - before < 10_000, "{before} {after}");
        assert_eq!(bytes(&path("missing")), 0);
    }

    #[test]
    fn what_lies_too_deep_for_a_name_counts_and_what_lies_deeper_is_hidden() {
        let dir = tempfile::tempdir().unwrap();
        let name = "d".repeat(200);
        let mut at = rustix::fs::open(dir.path(), DIRECTORY, Mode::empty()).unwrap();
        let deeper = |at: OwnedFd| {
            rustix::fs::mkdirat(&at, &name, Mode::RWXU).unwrap();
            openat(&at, &name, DIRECTORY, Mode::empty()).unwrap()
        };
        for _ in 0..30 {
            at = deeper(at);
        }
        let file = openat(&at, "file", OFlags::CREATE | OFlags::WRONLY, Mode::RUSR).unwrap();
        rustix::io::write(&file, &vec![1; 500_000]).unwrap();
        let counted = used(dir.path(), &BTreeSet::new());
        assert!((500_000..1_000_000).contains(&counted), "{counted}");
        for _ in 0..DEEPEST {
            at = deeper(at);
        }
        assert!(used(dir.path(), &BTreeSet::new()) > HIDDEN);
    }

    #[test]
    fn what_was_removed_and_is_open_counts() {
        let dir = tempfile::tempdir().unwrap();
        let file = tempfile::tempfile_in(dir.path()).unwrap();
        file.set_len(1).unwrap();
        std::io::Write::write_all(&mut &file, &vec![1; 500_000]).unwrap();
        let us = BTreeSet::from([rustix::process::getpid().as_raw_pid()]);
        assert!(used(dir.path(), &BTreeSet::new()) < 100_000);
        assert!(used(dir.path(), &us) >= 500_000);
    }

    #[test]
    fn with_twice_the_limit_nothing_goes_on() {
        assert_eq!(LIMITS.too_much(2_000 * MIB), None);
        assert!(LIMITS.too_much(2_001 * MIB).unwrap().contains("2001 MiB"));
        assert_eq!(DiskLimits { sandbox: 0, ..LIMITS }.too_much(u64::MAX), None);
    }
}
