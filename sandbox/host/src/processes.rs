//! Processes as the operating system shows them: which belong to a sandbox, and ending all of them.
//!
//! A process belongs to a sandbox when it descends from its keeper (which adopts orphans), sits in one of its
//! cgroups, or carries its mark: bubblewrap by the directory it binds, any other by its [`STATE`].

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};

use crate::cgroup;
use crate::dirs::SandboxDir;

/// The variable by which a process is known to be a sandbox's.
pub const STATE: &str = "ERRAND_STATE";
const POLL: Duration = Duration::from_millis(25);

/// A text that tells a process from a later one with the same number; `None` when it does not run.
pub fn start_time(pid: i32) -> Option<String> {
    imp::start_time(pid)
}

/// All processes of the sandbox except its keeper.
pub fn members(dir: &SandboxDir) -> BTreeSet<i32> {
    let keeper = dir.keeper_pid();
    let table = imp::table();
    let mut members = cgroup::processes(&dir.cgroups());
    members.extend(table.keys().filter(|pid| imp::marked(**pid, dir)));
    members.extend(keeper.map(|pid| descendants(&table, pid)).unwrap_or_default());
    let roots = members.clone();
    for root in roots {
        members.extend(descendants(&table, root));
    }
    members.remove(&rustix::process::getpid().as_raw_pid());
    keeper.map(|pid| members.remove(&pid));
    members
}

/// The runner itself: the process that a request to end should reach first.
pub fn runner(dir: &SandboxDir) -> Option<i32> {
    let program = dir.launch()?.program;
    members(dir).into_iter().find(|pid| imp::runs(*pid, &program))
}

/// Sends a signal; false when there is no such process.
pub fn signal(pid: i32, signal: Signal) -> bool {
    Pid::from_raw(pid).is_some_and(|pid| rustix::process::kill_process(pid, signal).is_ok())
}

/// Kills every process of the sandbox until none is left; false when some still run after `within`.
pub fn kill_all(dir: &SandboxDir, within: Duration) -> bool {
    let until = Instant::now() + within;
    loop {
        let left = members(dir);
        if left.is_empty() {
            return true;
        }
        if Instant::now() > until {
            return false;
        }
        cgroup::kill(&dir.cgroups());
        for pid in left {
            signal(pid, Signal::KILL);
        }
        std::thread::sleep(POLL);
    }
}

/// Waits until `done` or until `within` is over; whether it was done.
pub fn wait_until(within: Duration, mut done: impl FnMut() -> bool) -> bool {
    let until = Instant::now() + within;
    loop {
        if done() {
            return true;
        }
        if Instant::now() > until {
            return false;
        }
        std::thread::sleep(POLL);
    }
}

/// Every process below `root` in a table of parents.
fn descendants(parents: &BTreeMap<i32, i32>, root: i32) -> BTreeSet<i32> {
    let mut found = BTreeSet::new();
    let mut open = vec![root];
    while let Some(pid) = open.pop() {
        for child in parents
            .iter()
            .filter(|(_, parent)| **parent == pid)
            .map(|(child, _)| *child)
        {
            if found.insert(child) {
                open.push(child);
            }
        }
    }
    found
}

#[cfg(target_os = "linux")]
mod imp {
    use std::collections::BTreeMap;
    use std::os::unix::ffi::OsStringExt as _;

    use super::STATE;
    use crate::dirs::SandboxDir;

    /// `/proc/PID/stat` from the state on: the command before it may hold anything.
    fn stat(pid: i32) -> Option<Vec<String>> {
        let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let (_, rest) = text.rsplit_once(") ")?;
        let fields: Vec<String> = rest.split(' ').map(str::to_owned).collect();
        (fields.first()? != "Z").then_some(fields)
    }

    pub(super) fn start_time(pid: i32) -> Option<String> {
        stat(pid)?.get(19).cloned()
    }

    /// Child → parent, of everything that runs; zombies are no processes any more.
    pub(super) fn table() -> BTreeMap<i32, i32> {
        let Ok(entries) = std::fs::read_dir("/proc") else {
            return BTreeMap::new();
        };
        entries
            .flatten()
            .filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok())
            .filter_map(|pid| Some((pid, stat(pid)?.get(1)?.parse().ok()?)))
            .collect()
    }

    /// Whether the process runs this program; a script stands behind its interpreter.
    pub(super) fn runs(pid: i32, program: &str) -> bool {
        let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let words: Vec<&[u8]> = line.split(|b| *b == 0).take(2).collect();
        words.contains(&program.as_bytes())
    }

    pub(super) fn marked(pid: i32, dir: &SandboxDir) -> bool {
        let file = |name: &str| std::fs::read(format!("/proc/{pid}/{name}")).unwrap_or_default();
        let workspace = dir.workspace().into_os_string().into_vec();
        let line = file("cmdline");
        let mut words = line.split(|b| *b == 0);
        let bubblewrap = words
            .next()
            .is_some_and(|word| word == b"bwrap" || word.ends_with(b"/bwrap"));
        if bubblewrap {
            return words.any(|word| word == workspace);
        }
        let state = [STATE.as_bytes(), b"=", &dir.state().into_os_string().into_vec()].concat();
        file("environ").split(|b| *b == 0).any(|entry| entry == state)
    }
}

#[cfg(not(target_os = "linux"))]
mod imp {
    use std::collections::BTreeMap;
    use std::process::Command;

    use crate::dirs::SandboxDir;

    fn ps(args: &[&str]) -> String {
        let output = Command::new("ps").args(args).output();
        output
            .map(|o| String::from_utf8_lossy(&o.stdout).into_owned())
            .unwrap_or_default()
    }

    pub(super) fn start_time(pid: i32) -> Option<String> {
        Some(ps(&["-o", "lstart=", "-p", &pid.to_string()]).trim().to_owned()).filter(|text| !text.is_empty())
    }

    pub(super) fn table() -> BTreeMap<i32, i32> {
        ps(&["-axo", "pid=,ppid="])
            .lines()
            .filter_map(|line| {
                let mut numbers = line.split_whitespace().map(|word| word.parse().ok());
                Some((numbers.next()??, numbers.next()??))
            })
            .collect()
    }

    pub(super) fn runs(pid: i32, program: &str) -> bool {
        ps(&["-o", "command=", "-p", &pid.to_string()])
            .split_whitespace()
            .take(2)
            .any(|word| word == program)
    }

    /// The environment of others is not shown here; descent from the keeper must do.
    pub(super) fn marked(_pid: i32, _dir: &SandboxDir) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descendants_are_found_at_any_depth() {
        let parents = BTreeMap::from([(2, 1), (3, 2), (4, 3), (9, 8), (5, 2)]);
        assert_eq!(descendants(&parents, 2), BTreeSet::from([3, 4, 5]));
        assert_eq!(descendants(&parents, 7), BTreeSet::new());
    }

    #[test]
    fn a_process_is_known_by_its_start_time() {
        let me = rustix::process::getpid().as_raw_pid();
        assert!(start_time(me).is_some());
        assert_eq!(start_time(me), start_time(me));
        assert_eq!(start_time(i32::MAX), None);
    }
}
