//! Snapshots: uploading the work, and beginning with an upload on an empty disk.

use std::collections::BTreeMap;
use std::rc::Rc;

use errand_protocol::ids::{PromptId, SnapshotId, TurnId};
use errand_protocol::limits::SNAPSHOT_RUNTIME;
use errand_protocol::runner::RunnerEvent;

use crate::disk::Record;
use crate::event::Event;
use crate::make::{cause, snapshot_id};
use crate::world::World;

/// An uploaded snapshot.
#[derive(Debug, Clone)]
pub struct Saved {
    /// The engine's record.
    pub record: Rc<Record>,
    /// The runner's notes.
    pub turns: BTreeMap<TurnId, bool>,
    /// Of steered prompts too.
    pub steers: BTreeMap<PromptId, TurnId>,
    /// The last turn that is in it.
    pub last: Option<TurnId>,
}

impl World {
    /// The runner saves the work outside the sandbox.
    pub fn upload(&mut self, at: usize, asked: bool) {
        let sandbox = &mut self.host.sandboxes[at];
        let (Some(runner), Some(disk)) = (&mut sandbox.runner, &sandbox.disk) else {
            return;
        };
        if runner.uploading {
            return;
        }
        if let Some((snapshot_id, turn_id)) = disk.snapshot.clone().filter(|(_, turn)| *turn == disk.last_turn) {
            if asked {
                self.saved(at, snapshot_id, turn_id);
            }
            return;
        }
        runner.uploading = true;
        let slowest = if self.calm { 1_000 } else { 20_000 };
        let (number, delay) = (runner.number, runner.rng.span(10, slowest));
        self.later(delay, Event::Uploaded(at, number));
    }

    /// An upload ended.
    pub fn uploaded(&mut self, at: usize, number: u64) {
        let sandbox = &mut self.host.sandboxes[at];
        let (Some(runner), Some(disk)) = (&mut sandbox.runner, &mut sandbox.disk) else {
            return;
        };
        if runner.number != number {
            return;
        }
        runner.uploading = false;
        if self.host.failing_uploads > 0 {
            self.host.failing_uploads -= 1;
            self.report(at, RunnerEvent::SnapshotFailed { cause: cause("upload") });
        } else {
            self.counts.snapshots += 1;
            let id = snapshot_id(self.counts.snapshots);
            let last = disk.last_turn.clone();
            disk.snapshot = Some((id.clone(), last.clone()));
            let saved = Saved {
                record: Rc::clone(&disk.record),
                turns: disk.turns.clone(),
                steers: disk.steers.clone(),
                last: last.clone(),
            };
            self.host.snapshots.insert(id.clone(), saved);
            self.saved(at, id, last);
        }
        self.pump(at);
        self.leave_if_saved(at);
    }

    fn saved(&mut self, at: usize, snapshot_id: SnapshotId, turn_id: Option<TurnId>) {
        let (bytes, runtime) = (1, SNAPSHOT_RUNTIME);
        self.report(
            at,
            RunnerEvent::SnapshotSaved {
                snapshot_id,
                turn_id,
                bytes,
                runtime,
            },
        );
    }

    /// The workspace is made, of a snapshot when there is one and nothing is on the disk.
    pub fn make_workspace(&mut self, at: usize) {
        let sandbox = &mut self.host.sandboxes[at];
        let (Some(runner), Some(disk)) = (&mut sandbox.runner, &mut sandbox.disk) else {
            return;
        };
        if std::mem::replace(&mut disk.made, true) {
            return;
        }
        let Some(id) = runner.source.take() else { return };
        let saved = self.host.snapshots.get(&id);
        assert!(
            saved.is_some(),
            "lost snapshot: a runner is to begin with {id}, which was removed or never saved"
        );
        let Some(saved) = saved.cloned() else { return };
        disk.record = saved.record;
        disk.record_mut()
            .turns
            .values_mut()
            .for_each(crate::disk::TurnRecord::stop);
        disk.turns = saved.turns;
        disk.steers = saved.steers;
        disk.turns.values_mut().for_each(|over| *over = true);
        disk.snapshot = Some((id.clone(), saved.last.clone()));
        disk.last_turn = saved.last;
        self.report(
            at,
            RunnerEvent::SnapshotRestored {
                snapshot_id: id,
                loss: None,
            },
        );
    }
}
