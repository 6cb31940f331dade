//! The repositories in which the engine itself keeps the files of each step (`opencode/snapshot`), to sum up what a
//! turn changed. An engine that was killed, or that had no disk left, may leave one that git refuses for ever: every
//! later turn of that sandbox would seem to have changed nothing. So they are looked after before an engine starts.
//!
//! Does not own the runner's snapshots of the work ([`crate::snapshot`]).

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::config::Config;
use crate::git;

/// Looking at one may take so long.
const LIMIT: Duration = Duration::from_secs(20);

/// Makes each usable, or removes it: the engine makes a missing one anew. No engine may run.
pub async fn mend(config: &Config) {
    for repo in all(&config.state.join("data/opencode/snapshot")) {
        unlock(&repo);
        if sound(config, &repo).await {
            continue;
        }
        // Without its index every file is read again; only if that is not enough, what was kept is given up.
        let _ = fs::remove_file(repo.join("index"));
        if !sound(config, &repo).await {
            tracing::warn!(repo = %repo.display(), "the engine's record of the files is broken; it is begun anew");
            if let Err(error) = fs::remove_dir_all(&repo) {
                tracing::warn!(%error, "it could not be removed");
            }
        }
    }
}

/// They lie two levels deep: by project and by worktree.
fn all(top: &Path) -> Vec<PathBuf> {
    let inside = |dir: &Path| {
        let entries = fs::read_dir(dir).into_iter().flatten().flatten();
        entries.map(|entry| entry.path()).filter(|path| path.is_dir())
    };
    inside(top)
        .flat_map(|project| inside(&project).collect::<Vec<_>>())
        .collect()
}

/// Nobody holds these locks: git was killed with the engine.
fn unlock(repo: &Path) {
    for name in ["index.lock", "HEAD.lock", "config.lock"] {
        let _ = fs::remove_file(repo.join(name));
    }
}

/// Whether git takes it, and all that its index names is there.
async fn sound(config: &Config, repo: &Path) -> bool {
    let mut command = git::command(config);
    command.arg("--git-dir").arg(repo).arg("write-tree");
    let done = tokio::time::timeout(LIMIT, command.output()).await;
    let done = done.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
    done.is_ok_and(|output| output.status.success())
}
