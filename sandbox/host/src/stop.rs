//! Ending sandboxes: the runner is asked first, then everything is killed, and what is gone is verified.
//! Blocking; the host calls it off its event loop.

use std::io;
use std::path::Path;
use std::time::Duration;

use rustix::process::Signal;

use crate::cgroup;
use crate::dirs::{Exit, SandboxDir};
use crate::processes::{kill_all, members, runner, signal, wait_until};
use crate::takeover;

/// How long a runner that was asked to end may take.
pub const GRACE: Duration = Duration::from_secs(5);
const KILL_WAIT: Duration = Duration::from_secs(10);
const KEEPER_WAIT: Duration = Duration::from_secs(3);

/// Ends everything of the sandbox, then records `cause` unless it ended before. An error when something still runs.
pub fn stop(dir: &SandboxDir, grace: Duration, cause: &str) -> io::Result<()> {
    let exit = Exit {
        failed: false,
        cause: cause.to_owned(),
    };
    if dir.exit().is_none() {
        // First: the keeper must not tell the end that we bring about as the runner's own.
        dir.set_stopping(&exit)?;
        if let Some(pid) = runner(dir).filter(|_| !grace.is_zero()) {
            signal(pid, Signal::TERM);
            wait_until(grace, || members(dir).is_empty());
        }
    }
    let gone = kill_all(dir, KILL_WAIT);
    if !wait_until(KEEPER_WAIT, || !dir.kept()) {
        dir.keeper_pid().map(|pid| signal(pid, Signal::KILL));
        wait_until(KEEPER_WAIT, || !dir.kept());
    }
    // A keeper that was just about to start something while we looked has done so by now, or never will.
    if !gone || !kill_all(dir, KILL_WAIT) {
        return Err(io::Error::other(format!(
            "processes of {} could not be ended",
            dir.name()
        )));
    }
    cgroup::remove(&dir.cgroups());
    dir.set_exit(&exit)
}

/// Ends the sandbox and removes its files, and what is left of those that it took over. Fine when there is none.
pub fn remove(dir: &SandboxDir, state: &Path) -> io::Result<()> {
    for earlier in takeover::predecessors(state, dir.name()) {
        remove_one(&earlier, state)?;
    }
    remove_one(dir, state)
}

fn remove_one(dir: &SandboxDir, state: &Path) -> io::Result<()> {
    if !dir.path().exists() {
        return Ok(());
    }
    dir.set_deleting()?;
    stop(dir, GRACE, "it was removed")?;
    dir.remove(state)
}

/// Ends every sandbox of a state directory, all at the same time.
pub fn stop_all(state: &Path, grace: Duration, cause: &str) -> io::Result<()> {
    std::thread::scope(|scope| {
        let running: Vec<_> = SandboxDir::list(state)
            .into_iter()
            .filter(|dir| dir.kept() || dir.exit().is_none())
            .map(|dir| scope.spawn(move || stop(&dir, grace, cause)))
            .collect();
        running.into_iter().try_for_each(|thread| {
            thread
                .join()
                .unwrap_or_else(|_| Err(io::Error::other("a stopping thread failed")))
        })
    })
}
