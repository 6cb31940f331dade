//! Snapshots: states of the work that are saved outside its sandbox, for when that is lost, and for forks.
//!
//! The runner uploads one after each turn that changed something, and when it is told to. Nothing here waits for one
//! longer than [`crate::Timings::save`]: the sandbox's own disk is the first place where the work is kept.

use errand_protocol::event::EventBody;
use errand_protocol::ids::{SnapshotId, TurnId};
use errand_protocol::limits::OLDEST_SNAPSHOT_RUNTIME;
use errand_protocol::runner::SnapshotSource;
use errand_protocol::session::Cause;
use errand_protocol::startup::Watchdog;

use crate::core::Snapshot;
use crate::effect::Effect;
use crate::session::{Session, Step};

impl Session {
    /// What a sandbox without any files of this session begins with.
    pub fn snapshot_source(&self) -> Option<SnapshotSource> {
        let snapshot = self.core.snapshot.as_ref().filter(|s| readable(s))?;
        Some(SnapshotSource {
            id: snapshot.id.clone(),
            upto: snapshot.upto.clone(),
        })
    }

    /// The last snapshot.
    pub fn snapshot(&self) -> Option<&Snapshot> {
        self.core.snapshot.as_ref()
    }
}

const fn readable(snapshot: &Snapshot) -> bool {
    snapshot.runtime >= OLDEST_SNAPSHOT_RUNTIME
}

impl Step<'_, '_> {
    /// A snapshot that no runner of today can read is not offered to one, and people are told.
    pub(crate) fn refuse_old_snapshot(&mut self) {
        if let Some(old) = self.s.core.snapshot.take_if(|snapshot| !readable(snapshot)) {
            self.dirty = true;
            self.fx.push(Effect::DropSnapshot(old.id));
            let cause = Cause::new(
                "snapshot_too_old",
                "The saved work was written by a version that is too old to be read.",
            );
            self.trouble(cause.clone());
            self.verdict(
                Watchdog::Snapshot,
                cause,
                "The sandbox's own files are used, or the repository is cloned again.",
            );
        }
    }

    /// The runner has uploaded one.
    pub(crate) fn snapshot_saved(&mut self, id: SnapshotId, turn_id: Option<TurnId>, bytes: u64, runtime: u32) {
        if self.s.core.snapshot.as_ref().is_none_or(|old| old.id != id) {
            let new = Snapshot {
                id: id.clone(),
                turn_id: turn_id.clone(),
                runtime,
                upto: None,
            };
            if let Some(old) = self.s.core.snapshot.replace(new) {
                self.fx.push(Effect::DropSnapshot(old.id));
            }
            self.log(EventBody::SandboxSnapshot {
                snapshot_id: id,
                turn_id,
                bytes,
            });
        }
        self.work_is_saved();
    }

    /// The runner could not upload one.
    pub(crate) fn snapshot_failed(&mut self, cause: Cause) {
        self.trouble(cause.clone());
        self.verdict(Watchdog::Snapshot, cause, "It is tried again soon.");
        self.work_is_saved();
    }

    /// The runner has made the workspace from one.
    pub(crate) fn snapshot_restored(&mut self, id: &SnapshotId, loss: Option<String>) {
        let restored = format!("The work was brought back from the snapshot {id}.");
        let message: Vec<String> = [Some(restored), loss].into_iter().flatten().collect();
        self.trouble(Cause::new("restored_from_snapshot", message.join(" ")));
    }
}
