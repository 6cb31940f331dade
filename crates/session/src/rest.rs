//! Ways to rest: pausing, being put away, ending. Before a sandbox is stopped its runner is asked to save the work
//! outside of it, and gets some seconds for that; no rest waits longer.

use errand_protocol::api::ErrorCode;
use errand_protocol::close::CloseCode;
use errand_protocol::event::EventBody;
use errand_protocol::interaction::Resolution;
use errand_protocol::runner::AgentFrame;
use errand_protocol::session::{Cause, Person};
use errand_protocol::startup::{StartOutcome, Watchdog};

use crate::core::{Abort, Life};
use crate::effect::{Rejection, SandboxCall};
use crate::session::Step;

impl Step<'_, '_> {
    /// Whether somebody's work would be cut off by stopping the sandbox.
    fn require_nothing_to_do(&self) -> Result<(), Rejection> {
        if !self.s.wants_sandbox() {
            return Ok(());
        }
        let message = "It works on something; stop it or let it finish first.";
        Err(Rejection::new(ErrorCode::Conflict, message))
    }

    /// A person wants the sandbox stopped.
    pub(crate) fn pause_now(&mut self) -> Result<(), Rejection> {
        self.require_nothing_to_do()?;
        match &mut self.s.core.life {
            Life::Running { .. } => self.pause(),
            Life::Starting { .. } | Life::Reconnecting { .. } => self.leave_start(),
            Life::Pausing { wanted, .. } => {
                *wanted = false;
                self.dirty = true;
            }
            Life::Idle | Life::Paused | Life::Error { .. } | Life::Terminated => {}
        }
        Ok(())
    }

    /// A start, or the search for a lost runner, is given up: nothing is to be done.
    pub(crate) fn leave_start(&mut self) {
        self.start_ended(StartOutcome::Cancelled, None);
        self.drop_runner(CloseCode::Replaced);
        self.put_away();
        self.rest();
    }

    /// A person wants the sandbox up, though there may be nothing to do.
    pub(crate) fn resume(&mut self, by: Person) {
        self.restore(by);
        self.try_budget_again();
        match &mut self.s.core.life {
            Life::Idle | Life::Paused => self.request_sandbox(1, None),
            Life::Pausing { wanted, .. } => {
                *wanted = true;
                self.dirty = true;
                self.stay_up();
            }
            Life::Error { .. } => self.retry(),
            Life::Starting { .. } | Life::Running { .. } | Life::Reconnecting { .. } | Life::Terminated => {}
        }
    }

    /// Puts the session away.
    pub(crate) fn archive(&mut self, by: Person) -> Result<(), Rejection> {
        if self.s.core.archived_at.is_some() {
            return Ok(());
        }
        self.pause_now()?;
        self.s.core.archived_at = Some(self.cx.now);
        self.log(EventBody::SessionArchived { archived: true, by });
        Ok(())
    }

    /// Takes it back out.
    pub(crate) fn restore(&mut self, by: Person) {
        if self.s.core.archived_at.take().is_some() {
            self.log(EventBody::SessionArchived { archived: false, by });
        }
    }

    /// Stops the sandbox and keeps its files, after the runner has saved the work outside of it.
    pub(crate) fn pause(&mut self) {
        let name = self.sandbox_name();
        self.tell_runner(AgentFrame::Save {});
        self.call(SandboxCall::Suspend { name }, self.cx.now.plus(self.cx.timings.save));
        self.enter(Life::Pausing {
            deadline: self.cx.now.plus(self.cx.timings.pausing),
            wanted: false,
        });
    }

    /// Nobody used it for long.
    pub(crate) fn idle_for_long(&mut self) {
        let cause = Cause::new("idle", "Nothing was asked of the sandbox for a while.");
        self.verdict(Watchdog::Idle, cause, "It is paused; the next prompt wakes it.");
        self.stops_because("idle");
        self.pause();
    }

    /// There is something to do after all: while the provider was not asked yet, the sandbox simply stays up.
    pub(crate) fn stay_up(&mut self) {
        let name = self.sandbox_name();
        let asked = |c: &crate::core::PendingCall| c.failures > 0 || c.due <= self.cx.now;
        let suspend = self.s.core.calls.iter().find(|c| c.call.name() == name);
        if self.s.live.runner.is_some() && suspend.is_some_and(|c| !asked(c)) {
            self.s.core.calls.retain(|c| c.call.name() != name);
            self.enter(Life::Running { idle_since: None });
        }
    }

    /// The runner has saved what there was, or it will not: what waits for that need not wait longer.
    pub(crate) fn work_is_saved(&mut self) {
        let now = self.cx.now;
        let name = self.sandbox_name();
        if matches!(self.s.core.life, Life::Pausing { .. } | Life::Terminated) {
            let waiting = self.s.core.calls.iter_mut().filter(|c| c.failures == 0 && c.due > now);
            for pending in waiting.filter(|c| c.call.name() == name) {
                pending.due = now;
                self.dirty = true;
            }
        }
    }

    /// Patience with the provider has ended; it is asked again, but nobody waits for that.
    pub(crate) fn pausing_took_too_long(&mut self) {
        let cause = Cause::new(
            "pause_timeout",
            "The provider did not confirm that the sandbox is stopped.",
        );
        self.verdict(
            Watchdog::Pausing,
            cause,
            "The session rests; the provider is asked again meanwhile.",
        );
        self.paused();
    }

    /// The sandbox is stopped, or patience with the provider has ended.
    pub(crate) fn paused(&mut self) {
        let wanted = matches!(self.s.core.life, Life::Pausing { wanted: true, .. });
        self.drop_runner(CloseCode::Replaced);
        self.rest();
        if wanted || self.s.wants_sandbox() {
            self.request_sandbox(1, None);
        }
    }

    /// Nothing to do and no sandbox.
    pub(crate) fn rest(&mut self) {
        self.s.core.isolation = None;
        let kept = self.s.core.resumable.is_some() || self.s.core.snapshot.is_some();
        self.enter(if kept { Life::Paused } else { Life::Idle });
    }

    /// Stops the sandbox and keeps its files; without any work in them it is removed.
    pub(crate) fn put_away(&mut self) {
        self.forget_looks();
        let name = self.sandbox_name();
        match self.s.core.resumable.clone() {
            Some(kept) => {
                if kept != name {
                    // Nobody knows whether the successor was made, or has the files already.
                    self.call(SandboxCall::Suspend { name }, self.cx.now);
                }
                self.call(SandboxCall::Suspend { name: kept }, self.cx.now);
            }
            None => self.remove(name),
        }
    }

    /// Ends the session for good. A runner that is connected saves the work and exits by itself; its sandbox is removed
    /// when it has gone, or after a while.
    pub(crate) fn terminate(&mut self, by: &Person) {
        if let Some(turn) = &mut self.s.core.turn {
            let sent_at = self.cx.now;
            turn.abort
                .get_or_insert(Abort {
                    sent_at,
                    tries: 1,
                    cause: None,
                })
                .cause = None;
        }
        self.go_on(Resolution::Cancelled {});
        self.offers_end_with_turn();
        self.lose_turn(Cause::new("terminated", "The session was ended."));
        for placed in std::mem::take(&mut self.s.queue) {
            self.withdrawn(placed, by.clone());
        }
        self.start_ended(StartOutcome::Cancelled, None);
        self.tell_runner(AgentFrame::Shutdown {});
        self.remove_all();
        self.s.core.isolation = None;
        self.enter(Life::Terminated);
    }
}
