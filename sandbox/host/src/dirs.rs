//! What the host keeps on disk, which is all it knows: one directory per sandbox, `<state>/sandboxes/<name>/`.
//!
//! | entry | meaning |
//! |---|---|
//! | `record.json` | the wish: spec, time, isolation; there from the first moment (the directory appears by a rename) |
//! | `launch.json` | what exactly the keeper starts; written once everything is prepared |
//! | `keeper.lock` | locked by the living keeper |
//! | `keeper.json`, `started` | who the keeper is; the runner was started |
//! | `stopping.json` | why the host ends it; what the keeper then sees is not the runner's own end |
//! | `exit.json` | how it ended; never removed, so a sandbox never starts twice |
//! | `successor` | the sandbox that took the files over |
//! | `deleting` | removal was asked for and goes on after a restart |
//! | `egress.json` | what the sandbox's proxy goes by; rewritten when the policy is changed |
//! | `egress/refused.jsonl` | what was refused; the sandbox sees it read-only |
//! | `runner.log`, `runner.log.1` | the runner's output, bounded |
//! | `workspace`, `state`, `tmp`, `home`, `etc` | the sandbox's own files |

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use errand_protocol::sandbox::{Isolation, SandboxSpec, SandboxState, SandboxStatus};
use errand_protocol::time::Timestamp;
use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::egress::settings::Settings;
use crate::files::{private_dir, private_file, remove_tree, write_json};

/// The file with what a sandbox's proxy goes by.
const EGRESS: &str = "egress.json";
/// The file with what was refused, in its directory.
pub const REFUSALS: &str = "refused.jsonl";

/// The directory of one sandbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SandboxDir {
    path: PathBuf,
    name: String,
}

/// The wish, as it was accepted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// When.
    pub created_at: Timestamp,
    /// How it is kept apart.
    pub isolation: Isolation,
    /// What was asked for.
    pub spec: SandboxSpec,
    /// Cgroups that making it will make, so that they are found even when that is broken off.
    pub cgroups: Vec<PathBuf>,
}

/// What the keeper starts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Launch {
    /// Program and arguments.
    pub argv: Vec<String>,
    /// The runner's path as its command line will show it.
    pub program: String,
    /// The whole environment.
    pub env: BTreeMap<String, String>,
    /// Working directory of the first program.
    pub cwd: PathBuf,
    /// Cgroup directories that it joins before it starts.
    pub cgroups: Vec<PathBuf>,
    /// The memory limit, for the words about an end by it.
    pub memory_mib: u32,
    /// It gets a network of its own; absent: it shares the host's.
    #[serde(default)]
    pub network: Option<OwnNetwork>,
}

/// A network of a sandbox's own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnNetwork {
    /// Where on its loopback the control plane is to be found.
    pub listen: Vec<SocketAddr>,
}

/// Who the keeper is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeeperRecord {
    /// Its process.
    pub pid: i32,
    /// Its start time, to know it from a later process with the number.
    pub start: String,
}

/// How a sandbox ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exit {
    /// It never ran.
    pub failed: bool,
    /// Why, in words.
    pub cause: String,
}

impl SandboxDir {
    /// The directory of `name` below the host's state directory.
    pub fn new(state: &Path, name: &str) -> Self {
        Self {
            path: all(state).join(name),
            name: name.to_owned(),
        }
    }

    /// From its own path, as a keeper gets it.
    pub fn from_path(path: PathBuf) -> Option<Self> {
        let name = path.file_name()?.to_str()?.to_owned();
        Some(Self { path, name })
    }

    /// Every sandbox in the state directory.
    pub fn list(state: &Path) -> Vec<Self> {
        let Ok(entries) = std::fs::read_dir(all(state)) else {
            return Vec::new();
        };
        let mut names: Vec<String> = entries
            .flatten()
            .filter_map(|entry| entry.file_name().into_string().ok())
            .filter(|name| valid_name(name))
            .collect();
        names.sort();
        names.iter().map(|name| Self::new(state, name)).collect()
    }

    /// The sandbox's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes the wish, and what the proxy is to go by when there will be one; afterwards the directory is there whole,
    /// or not at all.
    pub fn create(&self, record: &Record, egress: Option<&Settings>) -> io::Result<()> {
        let parent = self.path.parent().unwrap_or(&self.path);
        let draft = parent.join(format!(".new-{}", self.name));
        remove_tree(&draft)?;
        private_dir(&draft)?;
        write_json(&draft.join("record.json"), record)?;
        if let Some(settings) = egress {
            write_json(&draft.join(EGRESS), settings)?;
        }
        std::fs::rename(&draft, &self.path)?;
        File::open(parent)?.sync_all()
    }

    /// The wish; `None` when there is no such sandbox.
    pub fn record(&self) -> Option<Record> {
        self.read("record.json")
    }

    /// What the keeper starts.
    pub fn launch(&self) -> Option<Launch> {
        self.read("launch.json")
    }

    /// Writes what the keeper is to start.
    pub fn set_launch(&self, launch: &Launch) -> io::Result<()> {
        write_json(&self.path.join("launch.json"), launch)
    }

    /// Where its proxy's settings are.
    pub fn egress_settings(&self) -> PathBuf {
        self.path.join(EGRESS)
    }

    /// What its proxy goes by; `None` when it shares the host's network.
    pub fn egress(&self) -> Option<Settings> {
        self.read(EGRESS)
    }

    /// Tells its proxy what to go by from now on.
    pub fn set_egress(&self, settings: &Settings) -> io::Result<()> {
        write_json(&self.egress_settings(), settings)
    }

    /// The directory of what is told to the sandbox about egress.
    pub fn egress_news(&self) -> PathBuf {
        self.path.join("egress")
    }

    /// What was refused.
    pub fn refusals(&self) -> PathBuf {
        self.egress_news().join(REFUSALS)
    }

    /// How it ended, when it did.
    pub fn exit(&self) -> Option<Exit> {
        self.read("exit.json")
    }

    /// Records the end; the first one stays.
    pub fn set_exit(&self, exit: &Exit) -> io::Result<()> {
        if self.exit().is_some() {
            return Ok(());
        }
        write_json(&self.path.join("exit.json"), exit)
    }

    /// Says why it is being ended, before it is; the first reason stays.
    pub fn set_stopping(&self, exit: &Exit) -> io::Result<()> {
        if self.stopping().is_some() {
            return Ok(());
        }
        write_json(&self.path.join("stopping.json"), exit)
    }

    /// Why it is being ended, when it is.
    pub fn stopping(&self) -> Option<Exit> {
        self.read("stopping.json")
    }

    /// Says who takes its files over.
    pub fn set_successor(&self, name: &str) -> io::Result<()> {
        write_json(&self.path.join("successor"), &name)
    }

    /// Who took its files over, if somebody did.
    pub fn successor(&self) -> Option<String> {
        self.read::<String>("successor").filter(|name| valid_name(name))
    }

    /// Marks it for removal.
    pub fn set_deleting(&self) -> io::Result<()> {
        private_file(&self.path.join("deleting"))?.sync_all()
    }

    /// Whether removal was asked for.
    pub fn deleting(&self) -> bool {
        self.path.join("deleting").exists()
    }

    /// Records that the runner was started.
    pub fn set_started(&self) -> io::Result<()> {
        private_file(&self.path.join("started")).map(drop)
    }

    /// Whether the runner was started.
    pub fn started(&self) -> bool {
        self.path.join("started").exists()
    }

    /// Records the keeper.
    pub fn set_keeper(&self, keeper: &KeeperRecord) -> io::Result<()> {
        write_json(&self.path.join("keeper.json"), keeper)
    }

    /// The keeper's process, while it is the one that was recorded.
    pub fn keeper_pid(&self) -> Option<i32> {
        let keeper: KeeperRecord = self.read("keeper.json")?;
        (crate::processes::start_time(keeper.pid)? == keeper.start).then_some(keeper.pid)
    }

    /// The keeper's lock; `None` while a keeper lives. Held as long as the file is open.
    pub fn try_lock(&self) -> io::Result<Option<File>> {
        let file = OpenOptions::new()
            .create(true)
            .append(true)
            .mode(0o600)
            .open(self.path.join("keeper.lock"))?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Some(file)),
            Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Whether a keeper lives.
    pub fn kept(&self) -> bool {
        matches!(self.try_lock(), Ok(None))
    }

    /// Cgroups that were, or will be, made for it.
    pub fn cgroups(&self) -> Vec<PathBuf> {
        let planned = || self.record().map(|record| record.cgroups);
        self.launch()
            .map(|launch| launch.cgroups)
            .or_else(planned)
            .unwrap_or_default()
    }

    /// Its workspace.
    pub fn workspace(&self) -> PathBuf {
        self.path.join("workspace")
    }

    /// The runner's and the engine's own data.
    pub fn state(&self) -> PathBuf {
        self.path.join("state")
    }

    /// What the contract says of it.
    pub fn status(&self) -> SandboxStatus {
        let Some(record) = self.record() else {
            return gone(&self.name);
        };
        let (state, exit) = match self.exit() {
            Some(exit) if exit.failed => (SandboxState::Failed, Some(exit.cause)),
            Some(exit) => (SandboxState::Exited, Some(exit.cause)),
            None if self.deleting() => (SandboxState::Exited, Some("it is being removed".to_owned())),
            None if self.started() => (SandboxState::Running, None),
            None => (SandboxState::Creating, None),
        };
        SandboxStatus {
            name: self.name.clone(),
            state,
            created_at: Some(record.created_at),
            exit,
            isolation: Some(record.isolation),
            labels: record.spec.labels,
        }
    }

    /// Takes the directory out of the way at once and removes it; works on read-only files.
    pub fn remove(&self, state: &Path) -> io::Result<()> {
        let trash = state.join("trash");
        private_dir(&trash)?;
        let target = trash.join(&self.name);
        remove_tree(&target)?;
        match std::fs::rename(&self.path, &target) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
            Ok(()) => remove_tree(&target),
        }
    }

    fn read<T: DeserializeOwned>(&self, file: &str) -> Option<T> {
        serde_json::from_slice(&std::fs::read(self.path.join(file)).ok()?).ok()
    }
}

/// A status for what is not here.
pub fn gone(name: &str) -> SandboxStatus {
    SandboxStatus {
        name: name.to_owned(),
        state: SandboxState::Gone,
        created_at: None,
        exit: None,
        isolation: None,
        labels: BTreeMap::new(),
    }
}

/// `sbx-` and up to 100 letters, digits, `_`, `-`: nothing that could climb out of a directory.
pub fn valid_name(name: &str) -> bool {
    name.strip_prefix("sbx-").is_some_and(|rest| {
        (1..=100).contains(&rest.len())
            && rest
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
    })
}

/// Prepares the state directory and clears what an earlier host left half-made or half-removed.
pub fn prepare(state: &Path) -> io::Result<()> {
    private_dir(&all(state))?;
    remove_tree(&state.join("trash"))?;
    for entry in std::fs::read_dir(all(state))? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(".new-") {
            remove_tree(&entry.path())?;
        }
    }
    Ok(())
}

fn all(state: &Path) -> PathBuf {
    state.join("sandboxes")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_leave_the_directory() {
        for good in ["sbx-a", "sbx-ses_01-2", &format!("sbx-{}", "x".repeat(100))] {
            assert!(valid_name(good), "{good}");
        }
        for bad in [
            "",
            "sbx-",
            "a",
            "sbx-a/b",
            "sbx-..",
            "sbx-a.b",
            "../sbx-a",
            "sbx-a b",
            "sbx-ä",
            "sbx-a\0",
            &format!("sbx-{}", "x".repeat(101)),
        ] {
            assert!(!valid_name(bad), "{bad}");
        }
    }

    #[test]
    fn a_lock_is_held_by_one() {
        let dir = tempfile::tempdir().unwrap();
        let sandbox = SandboxDir::from_path(dir.path().to_path_buf()).unwrap();
        let held = sandbox.try_lock().unwrap();
        assert!(held.is_some() && sandbox.kept());
        drop(held);
        assert!(!sandbox.kept());
    }
}
