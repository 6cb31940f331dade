//! Limits by cgroups, version 1 and 2 (also both at once), where they can be written; nothing elsewhere.
//!
//! Version 2 wants processes only in leaves: the group for all sandboxes is made in the highest group that we may
//! write and whose controllers are handed down. A user's own systemd instance has one.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use errand_protocol::sandbox::SandboxLimits;

const PARENT: &str = "errand-sandboxes";
const CPU_PERIOD_US: u64 = 100_000;

/// Where sandboxes' groups are made on this machine.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cgroups {
    parents: Vec<Parent>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Parent {
    path: PathBuf,
    kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Unified; with these of memory, pids, cpu handed down.
    V2 {
        memory: bool,
        pids: bool,
        cpu: bool,
    },
    Memory,
    Pids,
    Cpu,
}

impl Cgroups {
    /// Looks for groups that can be written.
    pub fn find() -> Self {
        let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
        let own = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        let parents = mounts.lines().filter_map(|line| parent_on(line, &own)).collect();
        Self { parents }
    }

    /// Which limits hold here, in the contract's words.
    pub fn limits(&self) -> Vec<String> {
        let mut names = BTreeSet::new();
        for parent in &self.parents {
            let enforced = match parent.kind {
                Kind::V2 { memory, pids, cpu } => [("memory", memory), ("pids", pids), ("cpu", cpu)],
                Kind::Memory => [("memory", true), ("", false), ("", false)],
                Kind::Pids => [("pids", true), ("", false), ("", false)],
                Kind::Cpu => [("cpu", true), ("", false), ("", false)],
            };
            names.extend(
                enforced
                    .iter()
                    .filter(|(_, on)| *on)
                    .map(|(name, _)| (*name).to_owned()),
            );
        }
        names.into_iter().collect()
    }

    /// The groups that [`Cgroups::create`] makes for a sandbox.
    pub fn paths(&self, name: &str) -> Vec<PathBuf> {
        self.parents.iter().map(|parent| parent.path.join(name)).collect()
    }

    /// Makes a sandbox's groups with their limits; the directories to join.
    pub fn create(&self, name: &str, limits: &SandboxLimits) -> io::Result<Vec<PathBuf>> {
        let groups = self.paths(name);
        for (parent, group) in self.parents.iter().zip(&groups) {
            if let Err(error) = fs::create_dir(group)
                && error.kind() != io::ErrorKind::AlreadyExists
            {
                return Err(error);
            }
            for (file, value) in settings(parent.kind, limits) {
                fs::write(group.join(file), value)?;
            }
        }
        Ok(groups)
    }
}

fn settings(kind: Kind, limits: &SandboxLimits) -> Vec<(&'static str, String)> {
    let bytes = (u64::from(limits.memory_mib) << 20).to_string();
    let quota = (u64::from(limits.cpu_millis) * CPU_PERIOD_US / 1000).to_string();
    let pids = limits.pids.to_string();
    match kind {
        Kind::Memory => vec![("memory.limit_in_bytes", bytes)],
        Kind::Pids => vec![("pids.max", pids)],
        Kind::Cpu => vec![
            ("cpu.cfs_period_us", CPU_PERIOD_US.to_string()),
            ("cpu.cfs_quota_us", quota),
        ],
        Kind::V2 { memory, pids: p, cpu } => [
            (memory, ("memory.max", bytes)),
            (p, ("pids.max", pids)),
            (cpu, ("cpu.max", format!("{quota} {CPU_PERIOD_US}"))),
        ]
        .into_iter()
        .filter_map(|(on, setting)| on.then_some(setting))
        .collect(),
    }
}

/// The group for all sandboxes on one mounted hierarchy, made if that is possible.
fn parent_on(mount_line: &str, own: &str) -> Option<Parent> {
    let mut fields = mount_line.split(' ');
    let (_, at, fs_type, options) = (
        fields.next()?,
        Path::new(fields.next()?),
        fields.next()?,
        fields.next()?,
    );
    let has = |controller: &str| options.split(',').any(|option| option == controller);
    match fs_type {
        "cgroup2" => {
            let inside = own.lines().find_map(|line| line.strip_prefix("0::/"))?;
            ancestors(at, inside).iter().find_map(|group| v2_parent(group))
        }
        "cgroup" => {
            let kind = [("memory", Kind::Memory), ("pids", Kind::Pids), ("cpu", Kind::Cpu)]
                .into_iter()
                .find(|(controller, _)| has(controller))?
                .1;
            let path = at.join(PARENT);
            (path.is_dir() || fs::create_dir(&path).is_ok()).then_some(())?;
            writable(&path).then_some(Parent { path, kind })
        }
        _ => None,
    }
}

/// The hierarchy's root first, then every group down to our own.
fn ancestors(root: &Path, inside: &str) -> Vec<PathBuf> {
    let mut paths = vec![root.to_path_buf()];
    for part in inside.split('/').filter(|part| !part.is_empty()) {
        let next = paths.last().map(|path| path.join(part));
        paths.extend(next);
    }
    paths
}

fn v2_parent(group: &Path) -> Option<Parent> {
    let path = group.join(PARENT);
    (path.is_dir() || fs::create_dir(&path).is_ok()).then_some(())?;
    let available = fs::read_to_string(path.join("cgroup.controllers")).unwrap_or_default();
    for controller in ["memory", "pids", "cpu"] {
        if available.split_whitespace().any(|name| name == controller) {
            // One by one: a controller that cannot be handed down must not cost the others.
            let _ = fs::write(path.join("cgroup.subtree_control"), format!("+{controller}"));
        }
    }
    let handed_down = fs::read_to_string(path.join("cgroup.subtree_control")).unwrap_or_default();
    let has = |controller: &str| handed_down.split_whitespace().any(|name| name == controller);
    let kind = Kind::V2 {
        memory: has("memory"),
        pids: has("pids"),
        cpu: has("cpu"),
    };
    writable(&path).then_some(Parent { path, kind })
}

/// Whether a process can really be put into a group below: the only test that shows it.
fn writable(parent: &Path) -> bool {
    let probe = parent.join(format!("probe-{}", std::process::id()));
    if fs::create_dir(&probe).is_err() {
        return false;
    }
    let moved = std::process::Command::new("sh")
        .args(["-c", "echo 0 > \"$1\"", "sh"])
        .arg(probe.join("cgroup.procs"))
        .stderr(std::process::Stdio::null())
        .status()
        .is_ok_and(|status| status.success());
    // The probe's shell has ended, but its group may take a moment to notice.
    crate::processes::wait_until(std::time::Duration::from_millis(500), || fs::remove_dir(&probe).is_ok());
    moved
}

/// Processes in the groups.
pub fn processes(groups: &[PathBuf]) -> BTreeSet<i32> {
    groups
        .iter()
        .filter_map(|group| fs::read_to_string(group.join("cgroup.procs")).ok())
        .flat_map(|text| text.lines().filter_map(|line| line.parse().ok()).collect::<Vec<i32>>())
        .filter(|pid| *pid > 0)
        .collect()
}

/// Kills everything in the groups in one step, where the kernel can.
pub fn kill(groups: &[PathBuf]) {
    for group in groups {
        let file = group.join("cgroup.kill");
        if file.exists() {
            let _ = fs::write(file, "1");
        }
    }
}

/// Whether the kernel killed something in the groups because memory ran out.
pub fn ran_out_of_memory(groups: &[PathBuf]) -> bool {
    groups.iter().any(|group| {
        ["memory.events", "memory.oom_control"]
            .iter()
            .filter_map(|file| fs::read_to_string(group.join(file)).ok())
            .any(|text| oom_kills(&text) > 0)
    })
}

fn oom_kills(text: &str) -> u64 {
    text.lines()
        .find_map(|line| line.strip_prefix("oom_kill "))
        .and_then(|count| count.trim().parse().ok())
        .unwrap_or(0)
}

/// Removes the empty groups.
pub fn remove(groups: &[PathBuf]) {
    for group in groups {
        crate::processes::wait_until(std::time::Duration::from_millis(500), || {
            fs::remove_dir(group).is_ok() || !group.exists()
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_become_the_files_of_each_version() {
        let limits = SandboxLimits {
            memory_mib: 512,
            pids: 100,
            cpu_millis: 1500,
        };
        assert_eq!(
            settings(Kind::Memory, &limits),
            [("memory.limit_in_bytes", "536870912".to_owned())]
        );
        let v2 = Kind::V2 {
            memory: true,
            pids: false,
            cpu: true,
        };
        assert_eq!(
            settings(v2, &limits),
            [
                ("memory.max", "536870912".to_owned()),
                ("cpu.max", "150000 100000".to_owned())
            ]
        );
    }

    #[test]
    fn an_end_by_the_memory_limit_is_recognised_in_both_versions() {
        assert_eq!(oom_kills("low 0\nhigh 0\nmax 12\noom 1\noom_kill 1\n"), 1);
        assert_eq!(oom_kills("oom_kill_disable 0\nunder_oom 0\noom_kill 2\n"), 2);
        assert_eq!(oom_kills("oom_kill_disable 0\nunder_oom 0\noom_kill 0\n"), 0);
    }

    #[test]
    fn groups_are_looked_for_from_the_root_down() {
        let expected: Vec<PathBuf> = ["/c", "/c/user.slice", "/c/user.slice/x"]
            .iter()
            .map(PathBuf::from)
            .collect();
        assert_eq!(ancestors(Path::new("/c"), "user.slice/x"), expected);
    }
}
