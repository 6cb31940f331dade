//! Calls to the provider, as an outbox ([`crate::core::PendingCall`]): stored before they are made, repeated until an
//! outcome came, idempotent by the sandbox's name, one at a time for each name. And what their outcomes mean.

use std::collections::BTreeSet;

use errand_protocol::event::EventBody;
use errand_protocol::sandbox::{SandboxError, SandboxErrorKind, SandboxState, SandboxStatus};
use errand_protocol::session::{Cause, StartStep};
use errand_protocol::time::Timestamp;

use crate::core::{Life, PendingCall, ReconnectStage};
use crate::deadlines::backoff;
use crate::effect::SandboxCall;
use crate::session::Step;
use crate::startup::NO_ROOM;

/// First look at a sandbox whose runner has not dialled, and between two looks.
pub(crate) const FIRST_LOOK: i64 = 3_000;
const NEXT_LOOK: i64 = 10_000;
/// A stop or removal that fails so often is given up: the provider's reaper has to do it.
const MAX_CLEANUP_TRIES: u32 = 60;
/// So often a try is told that there is no room before it counts as failed. Ten seconds lie between two times, unless the
/// provider says otherwise: three tries are a day.
const MAX_WAITS: u32 = 3_000;
/// Somebody may have become idle by then: nobody tells.
const NEXT_WAIT: i64 = 10_000;

impl Step<'_, '_> {
    /// Wants a call made.
    pub(crate) fn call(&mut self, call: SandboxCall, due: Timestamp) {
        self.dirty = true;
        self.s.core.calls.retain(|c| c.call != call);
        self.s.core.calls.push(PendingCall { call, due, failures: 0 });
    }

    /// The start or the search that calls were to serve is over.
    pub(crate) fn forget_looks(&mut self) {
        self.dirty = true;
        self.s.core.calls.retain(|c| !c.call.is_look());
    }

    /// Removes every sandbox of which something may be left.
    pub(crate) fn remove_all(&mut self) {
        let mut names: BTreeSet<String> = self.s.core.calls.iter().map(|c| c.call.name().to_owned()).collect();
        names.extend(self.s.core.resumable.take());
        if self.s.core.generation.0 > 0 {
            names.insert(self.sandbox_name());
        }
        self.s.core.calls.clear();
        let current = self.sandbox_name();
        let saving = self.cx.now.plus(self.cx.timings.shutdown);
        for name in names {
            let saves = self.s.live.runner.is_some() && name == current;
            let due = if saves { saving } else { self.cx.now };
            self.call(SandboxCall::Delete { name }, due);
        }
    }

    /// A provider call ended.
    pub(crate) fn sandbox_outcome(&mut self, call: &SandboxCall, outcome: Result<SandboxStatus, SandboxError>) {
        self.s.live.in_flight.retain(|(c, _)| c != call);
        if !self.s.core.calls.iter().any(|c| c.call == *call) {
            return; // No longer wanted.
        }
        self.dirty = true;
        let waits = matches!(&outcome, Err(error) if error.kind == SandboxErrorKind::Capacity);
        if matches!(call, SandboxCall::Ensure { .. }) && !waits {
            self.start_admitted();
        }
        match outcome {
            Ok(status) => {
                self.s.core.calls.retain(|c| c.call != *call);
                self.sandbox_is(call, &status);
            }
            Err(error) => self.call_failed(call, &error),
        }
    }

    fn sandbox_is(&mut self, call: &SandboxCall, status: &SandboxStatus) {
        let (alive, there) = match status.state {
            SandboxState::Creating | SandboxState::Running => (true, true),
            SandboxState::Exited | SandboxState::Failed => (false, true),
            SandboxState::Gone => (false, false),
        };
        if there && call.name() == self.sandbox_name() {
            // Whether it has taken anything over only its runner's hello tells: it may have failed, or been stopped, before.
            self.s.core.made = true;
        }
        match call {
            SandboxCall::Delete { .. } => {}
            SandboxCall::Suspend { .. } => {
                if matches!(self.s.core.life, Life::Pausing { .. }) {
                    if !there {
                        let message = "The sandbox was gone before it could be paused, and its files with it.";
                        self.trouble(Cause::new("sandbox_lost", message));
                    }
                    self.paused();
                }
            }
            SandboxCall::Ensure { name, .. } | SandboxCall::Inspect { name } if alive => {
                self.s.core.isolation = status.isolation;
                self.still_alive(name.clone());
            }
            SandboxCall::Ensure { .. } | SandboxCall::Inspect { .. } => {
                self.sandbox_ended(status.exit.as_deref().unwrap_or("it is gone"));
            }
        }
    }

    fn sandbox_ended(&mut self, why: &str) {
        match self.s.core.life {
            Life::Starting { .. } => {
                self.start_failed(Cause::new("sandbox_exited", format!("The sandbox ended: {why}.")), true);
            }
            Life::Reconnecting { .. } => {
                let message = format!("The sandbox was lost ({why}). What the agent had finished is kept.");
                self.replace_sandbox(Cause::new("sandbox_lost", message));
            }
            Life::Idle
            | Life::Running { .. }
            | Life::Pausing { .. }
            | Life::Paused
            | Life::Error { .. }
            | Life::Terminated => {}
        }
    }

    pub(crate) fn trouble(&mut self, cause: Cause) {
        let generation = self.s.core.generation;
        self.log(EventBody::SandboxTrouble { generation, cause });
    }

    fn still_alive(&mut self, name: String) {
        match self.s.core.life {
            Life::Starting { step, .. } => {
                if step == StartStep::Requested {
                    self.start_step(StartStep::Booting);
                    self.call(SandboxCall::Inspect { name }, self.cx.now.plus(FIRST_LOOK));
                } else if self.s.live.runner.is_none() {
                    self.call(SandboxCall::Inspect { name }, self.cx.now.plus(NEXT_LOOK));
                }
            }
            Life::Reconnecting {
                stage: ReconnectStage::Inspecting,
                ..
            } => {
                let deadline = self.cx.now.plus(self.cx.timings.reconnect_alive);
                self.s.core.life = Life::Reconnecting {
                    stage: ReconnectStage::Alive,
                    deadline,
                };
            }
            Life::Reconnecting { .. }
            | Life::Idle
            | Life::Running { .. }
            | Life::Pausing { .. }
            | Life::Paused
            | Life::Error { .. }
            | Life::Terminated => {}
        }
    }

    fn call_failed(&mut self, call: &SandboxCall, error: &SandboxError) {
        match (call, error.kind) {
            (SandboxCall::Ensure { .. }, SandboxErrorKind::Conflict) => {
                // It exists, with what an earlier call asked for.
                self.s.core.made = true;
                return self.start_failed(Cause::new("sandbox_refused", error.message.clone()), true);
            }
            (
                SandboxCall::Ensure { .. },
                SandboxErrorKind::InvalidSpec | SandboxErrorKind::Auth | SandboxErrorKind::Unsupported,
            ) => return self.start_failed(Cause::new("sandbox_refused", error.message.clone()), false),
            (SandboxCall::Suspend { .. }, SandboxErrorKind::Unsupported) => return self.cannot_pause(call),
            _ => {}
        }
        let (now, base) = (self.cx.now, self.cx.timings.call_backoff);
        let Some(pending) = self.s.core.calls.iter_mut().find(|c| c.call == *call) else {
            return;
        };
        pending.failures = pending.failures.saturating_add(1);
        let failures = pending.failures;
        let usual = match error.kind {
            SandboxErrorKind::Capacity => backoff(base, failures).min(NEXT_WAIT.max(base)),
            SandboxErrorKind::Transient
            | SandboxErrorKind::RateLimited
            | SandboxErrorKind::Conflict
            | SandboxErrorKind::InvalidSpec
            | SandboxErrorKind::Auth
            | SandboxErrorKind::Unsupported => backoff(base, failures),
        };
        let wait = error.retry_after_ms.unwrap_or(usual);
        pending.due = now.plus(wait.max(base));
        if !call.is_look() && failures >= MAX_CLEANUP_TRIES {
            self.s.core.calls.retain(|c| c.call != *call);
        }
        if matches!(call, SandboxCall::Ensure { .. }) {
            if error.kind == SandboxErrorKind::Capacity && failures < MAX_WAITS {
                self.wait_for_room();
            }
            self.show_wait(error);
        }
    }

    /// The provider cannot suspend. Removing the sandbox would lose what is not pushed, so it goes on.
    fn cannot_pause(&mut self, call: &SandboxCall) {
        self.s.core.calls.retain(|c| c.call != *call);
        if matches!(self.s.core.life, Life::Pausing { .. }) {
            self.enter(Life::Running {
                idle_since: Some(self.cx.now),
            });
            if self.s.live.runner.is_none() {
                self.runner_lost();
            }
        }
    }

    /// To wait for a place is no failed start: nobody has to try again, it begins when others are done.
    fn wait_for_room(&mut self) {
        let (now, step) = (self.cx.now, self.cx.timings.start_step);
        if let Life::Starting { deadline, .. } = &mut self.s.core.life {
            *deadline = now.plus(step).max(*deadline);
        }
        self.start_not_admitted();
    }

    /// Why the provider makes us wait stands on the session while it does.
    fn show_wait(&mut self, error: &SandboxError) {
        if let Life::Starting { cause, .. } = &mut self.s.core.life {
            let code = match error.kind {
                SandboxErrorKind::Capacity => NO_ROOM,
                SandboxErrorKind::Transient
                | SandboxErrorKind::RateLimited
                | SandboxErrorKind::Conflict
                | SandboxErrorKind::InvalidSpec
                | SandboxErrorKind::Auth
                | SandboxErrorKind::Unsupported => "sandbox_unavailable",
            };
            *cause = Some(Cause::new(code, sentence(&error.message)));
        }
    }
}

/// What a provider says, as a sentence that another may follow.
fn sentence(message: &str) -> String {
    let message = message.trim_end();
    if message.ends_with(['.', '!', '?']) {
        message.to_owned()
    } else {
        format!("{message}.")
    }
}
