//! The sandbox's life as the session sees it: starting with retries, losing, replacing, suspending, ending.
//!
//! Calls to the provider are an outbox ([`crate::core::PendingCall`]): stored before they are made, repeated after a
//! restart, idempotent by the sandbox's name. A sandbox is never made under another name while the fate of the last
//! one is unknown to the provider: `resume` hands its files on, whatever became of it.

use errand_protocol::close::CloseCode;
use errand_protocol::event::EventBody;
use errand_protocol::runner::AgentFrame;
use errand_protocol::sandbox::{SandboxError, SandboxErrorKind, SandboxState, SandboxStatus};
use errand_protocol::session::{Cause, Person, StartStep};
use errand_protocol::time::Timestamp;

use crate::core::{Life, PendingCall, ReconnectStage};
use crate::deadlines::backoff;
use crate::effect::{Effect, SandboxCall};
use crate::session::Step;
use crate::timings::Timings;

/// First look at a sandbox whose runner has not dialled, and between two looks.
const FIRST_LOOK: i64 = 3_000;
const NEXT_LOOK: i64 = 10_000;
/// A stop or removal that fails so often is given up: the provider's reaper has to do it.
const MAX_CLEANUP_TRIES: u32 = 60;

impl Step<'_, '_> {
    /// There is a prompt: make sure that something will run it.
    pub(crate) fn wake(&mut self) {
        match &self.s.core.life {
            Life::Idle | Life::Paused => self.request_sandbox(1, None),
            Life::Error { .. } if !self.breaker_open() => self.request_sandbox(1, None),
            Life::Error { .. }
            | Life::Starting { .. }
            | Life::Running { .. }
            | Life::Reconnecting { .. }
            | Life::Pausing { .. }
            | Life::Terminated => {}
        }
    }

    /// A person wants another try.
    pub(crate) fn retry(&mut self) {
        if matches!(self.s.core.life, Life::Error { .. }) {
            self.s.core.failed_starts.clear();
            self.request_sandbox(1, None);
        }
    }

    fn breaker_open(&self) -> bool {
        let since = self.cx.now.plus(-self.cx.timings.breaker_window);
        let recent = self.s.core.failed_starts.iter().filter(|at| **at >= since).count();
        recent >= self.cx.timings.breaker_failures as usize
    }

    fn note_failure(&mut self) {
        let since = self.cx.now.plus(-self.cx.timings.breaker_window);
        self.s.core.failed_starts.retain(|at| *at >= since);
        self.s.core.failed_starts.push(self.cx.now);
        self.dirty = true;
    }

    /// The current sandbox's name.
    pub(crate) fn sandbox_name(&self) -> String {
        format!("sbx-{}-{}", self.s.core.spec.id, self.s.core.generation.0)
    }

    /// Asks the provider for the next generation.
    pub(crate) fn request_sandbox(&mut self, attempt: u32, cause: Option<Cause>) {
        self.s
            .core
            .calls
            .retain(|c| !matches!(c.call, SandboxCall::Ensure { .. } | SandboxCall::Inspect { .. }));
        self.s.core.generation = self.s.core.generation.next();
        self.s.core.isolation = None;
        let ensure = SandboxCall::Ensure {
            name: self.sandbox_name(),
            generation: self.s.core.generation,
            repo: self.s.core.spec.repo.clone(),
            resume: self.s.core.resumable.clone(),
        };
        self.call(ensure, self.cx.now);
        let step = StartStep::Requested;
        let deadline = self.cx.now.plus(step_time(step, self.cx.timings));
        self.enter(Life::Starting {
            step,
            attempt,
            deadline,
            backoff: false,
            cause,
        });
        self.log(EventBody::SandboxStep {
            generation: self.s.core.generation,
            step,
            attempt,
        });
    }

    fn call(&mut self, call: SandboxCall, due: Timestamp) {
        self.dirty = true;
        self.s.core.calls.retain(|c| c.call != call);
        self.s.core.calls.push(PendingCall { call, due, failures: 0 });
    }

    /// A step of the start began.
    pub(crate) fn start_step(&mut self, step: StartStep) {
        let Life::Starting {
            step: current, attempt, ..
        } = self.s.core.life
        else {
            return;
        };
        if step == current {
            return;
        }
        let deadline = self.cx.now.plus(step_time(step, self.cx.timings));
        self.s.core.life = Life::Starting {
            step,
            attempt,
            deadline,
            backoff: false,
            cause: None,
        };
        self.log(EventBody::SandboxStep {
            generation: self.s.core.generation,
            step,
            attempt,
        });
    }

    /// The engine takes prompts.
    pub(crate) fn ready(&mut self) {
        self.s.core.resumable = Some(self.sandbox_name());
        self.s
            .core
            .calls
            .retain(|c| !matches!(c.call, SandboxCall::Ensure { .. } | SandboxCall::Inspect { .. }));
        self.enter(Life::Running { idle_since: None });
        self.resume_turn();
    }

    /// After a new sandbox (or a runner that came back) is ready: the turn that had begun goes on, or is told again.
    pub(crate) fn resume_turn(&mut self) {
        let Some(turn) = &self.s.core.turn else { return };
        if turn.abort.is_some() {
            let turn_id = turn.id.clone();
            self.tell_runner(AgentFrame::Abort { turn_id });
        } else {
            self.send_turn();
        }
    }

    pub(crate) fn start_timed_out(&mut self, step: StartStep) {
        let what = match step {
            StartStep::Requested => "The sandbox provider did not answer in time.",
            StartStep::Booting => "The sandbox was made, but its runner did not report in time.",
            StartStep::Cloning => "Cloning the repository took too long.",
            StartStep::Setup => "The repository's set-up took too long.",
            StartStep::Engine => "The agent's engine did not start in time.",
        };
        self.start_failed(Cause::new("start_timeout", what), true);
    }

    /// This start failed: try again after a while, or give up until a person says so.
    pub(crate) fn start_failed(&mut self, cause: Cause, retryable: bool) {
        let Life::Starting { attempt, .. } = self.s.core.life else {
            return;
        };
        self.drop_runner(CloseCode::Replaced);
        self.s
            .core
            .calls
            .retain(|c| !matches!(c.call, SandboxCall::Ensure { .. } | SandboxCall::Inspect { .. }));
        if retryable && attempt < self.cx.timings.start_attempts {
            self.dispose(true);
            let wait = self
                .cx
                .timings
                .start_backoff
                .saturating_mul(4_i64.saturating_pow(attempt.saturating_sub(1)));
            self.log(EventBody::SandboxTrouble {
                generation: self.s.core.generation,
                cause: cause.clone(),
            });
            self.enter(Life::Starting {
                step: StartStep::Requested,
                attempt: attempt + 1,
                deadline: self.cx.now.plus(wait),
                backoff: true,
                cause: Some(cause),
            });
        } else {
            self.give_up(cause);
        }
    }

    fn give_up(&mut self, cause: Cause) {
        self.note_failure();
        self.drop_runner(CloseCode::Replaced);
        self.dispose(false);
        self.lose_turn(cause.clone());
        self.s.core.isolation = None;
        self.enter(Life::Error { cause });
    }

    /// Gets rid of the current sandbox. Its files are kept when there is work in them; when a successor follows at
    /// once, taking over stops it.
    fn dispose(&mut self, successor: bool) {
        let name = self.sandbox_name();
        match (&self.s.core.resumable, successor) {
            (Some(_), true) => {}
            (Some(_), false) => self.call(SandboxCall::Suspend { name }, self.cx.now),
            (None, _) => self.call(SandboxCall::Delete { name }, self.cx.now),
        }
    }

    fn drop_runner(&mut self, code: CloseCode) {
        if let Some(conn) = self.s.live.runner.take() {
            self.fx.push(Effect::CloseRunner { conn, code });
        }
    }

    /// The runner's connection ended.
    pub(crate) fn runner_gone(&mut self, conn: &errand_protocol::ids::ConnId) {
        if self.s.live.runner.as_ref() == Some(conn) {
            self.s.live.runner = None;
            self.runner_lost();
        }
    }

    /// The runner is connected, but gives no sign.
    pub(crate) fn runner_silent(&mut self) {
        self.drop_runner(CloseCode::Silent);
        self.runner_lost();
    }

    pub(crate) fn runner_lost(&mut self) {
        match self.s.core.life {
            Life::Running { .. } => {
                let deadline = self.cx.now.plus(self.cx.timings.reconnect_grace);
                self.enter(Life::Reconnecting {
                    stage: ReconnectStage::Grace,
                    deadline,
                });
            }
            Life::Starting { backoff: false, .. } => {
                let name = self.sandbox_name();
                self.call(SandboxCall::Inspect { name }, self.cx.now.plus(FIRST_LOOK));
            }
            Life::Idle
            | Life::Starting { .. }
            | Life::Reconnecting { .. }
            | Life::Pausing { .. }
            | Life::Paused
            | Life::Error { .. }
            | Life::Terminated => {}
        }
    }

    /// It did not dial again: ask the provider what became of it.
    pub(crate) fn inspect_sandbox(&mut self) {
        let deadline = self.cx.now.plus(self.cx.timings.reconnect_grace);
        let name = self.sandbox_name();
        self.call(SandboxCall::Inspect { name }, self.cx.now);
        self.enter(Life::Reconnecting {
            stage: ReconnectStage::Inspecting,
            deadline,
        });
    }

    /// The sandbox is lost for this session. What it worked on continues in a new one that takes its files over.
    pub(crate) fn replace_sandbox(&mut self, cause: Cause) {
        self.drop_runner(CloseCode::Replaced);
        self.log(EventBody::SandboxTrouble {
            generation: self.s.core.generation,
            cause: cause.clone(),
        });
        let untouched = self
            .s
            .core
            .turn
            .as_ref()
            .is_some_and(|t| !t.accepted && t.abort.is_none() && t.dispatches < self.cx.timings.accept_attempts);
        if !untouched {
            self.lose_turn(cause.clone());
        }
        self.note_failure();
        if self.breaker_open() {
            return self.give_up(cause);
        }
        if self.s.core.turn.is_some() || !self.s.queue.is_empty() {
            self.request_sandbox(1, Some(cause));
        } else {
            self.dispose(false);
            self.rest();
        }
    }

    /// Nothing to do and no sandbox.
    fn rest(&mut self) {
        self.s.core.isolation = None;
        self.enter(if self.s.core.resumable.is_some() {
            Life::Paused
        } else {
            Life::Idle
        });
    }

    /// Nothing to do for long: stop the sandbox and keep its files.
    pub(crate) fn pause(&mut self) {
        let name = self.sandbox_name();
        self.call(SandboxCall::Suspend { name }, self.cx.now);
        self.enter(Life::Pausing {
            deadline: self.cx.now.plus(self.cx.timings.pausing),
        });
    }

    /// The sandbox is stopped, or patience with the provider has ended.
    pub(crate) fn paused(&mut self) {
        self.drop_runner(CloseCode::Replaced);
        self.rest();
        if !self.s.queue.is_empty() {
            self.request_sandbox(1, None);
        }
    }

    /// Ends the session for good.
    pub(crate) fn terminate(&mut self, by: &Person) {
        if let Some(turn) = &mut self.s.core.turn {
            let sent_at = self.cx.now;
            turn.abort
                .get_or_insert(crate::core::Abort {
                    sent_at,
                    tries: 1,
                    cause: None,
                })
                .cause = None;
        }
        self.lose_turn(Cause::new("terminated", "The session was ended."));
        for placed in std::mem::take(&mut self.s.queue) {
            self.withdrawn(placed, by.clone());
        }
        self.tell_runner(AgentFrame::Shutdown {});
        self.drop_runner(CloseCode::Terminated);
        self.s.core.calls.clear();
        self.s.core.resumable = None;
        self.s.core.isolation = None;
        if self.s.core.generation.0 > 0 {
            self.dispose(false);
        }
        self.enter(Life::Terminated);
    }

    /// A provider call ended.
    pub(crate) fn sandbox_outcome(&mut self, call: &SandboxCall, outcome: Result<SandboxStatus, SandboxError>) {
        self.s.live.in_flight.retain(|c| c != call);
        if !self.s.core.calls.iter().any(|c| c.call == *call) {
            return; // No longer wanted.
        }
        self.dirty = true;
        match outcome {
            Ok(status) => {
                self.s.core.calls.retain(|c| c.call != *call);
                self.sandbox_is(call, &status);
            }
            Err(error) => self.call_failed(call, &error),
        }
    }

    fn sandbox_is(&mut self, call: &SandboxCall, status: &SandboxStatus) {
        let alive = match status.state {
            SandboxState::Creating | SandboxState::Running => true,
            SandboxState::Exited | SandboxState::Failed | SandboxState::Gone => false,
        };
        match call {
            SandboxCall::Delete { .. } => {}
            SandboxCall::Suspend { .. } => {
                if matches!(self.s.core.life, Life::Pausing { .. }) {
                    self.paused();
                }
            }
            SandboxCall::Ensure { name, .. } | SandboxCall::Inspect { name } if alive => {
                self.s.core.isolation = status.isolation;
                self.still_alive(name.clone());
            }
            SandboxCall::Ensure { .. } | SandboxCall::Inspect { .. } => {
                let why = status.exit.as_deref().unwrap_or("it is gone");
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
        }
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
        let hopeless = match error.kind {
            SandboxErrorKind::Transient | SandboxErrorKind::RateLimited | SandboxErrorKind::Capacity => false,
            SandboxErrorKind::Conflict
            | SandboxErrorKind::InvalidSpec
            | SandboxErrorKind::Auth
            | SandboxErrorKind::Unsupported => true,
        };
        if let (SandboxCall::Ensure { .. }, true) = (call, hopeless) {
            let retryable = error.kind == SandboxErrorKind::Conflict;
            return self.start_failed(Cause::new("sandbox_refused", error.message.clone()), retryable);
        }
        let (now, base) = (self.cx.now, self.cx.timings.call_backoff);
        let Some(pending) = self.s.core.calls.iter_mut().find(|c| c.call == *call) else {
            return;
        };
        pending.failures = pending.failures.saturating_add(1);
        let wait = error.retry_after_ms.unwrap_or_else(|| backoff(base, pending.failures));
        pending.due = now.plus(wait.max(base));
        let tries = pending.failures;
        match call {
            SandboxCall::Ensure { .. } => self.show_wait(error),
            SandboxCall::Inspect { .. } => {}
            SandboxCall::Suspend { .. } | SandboxCall::Delete { .. } => {
                if tries >= MAX_CLEANUP_TRIES || hopeless {
                    self.s.core.calls.retain(|c| c.call != *call);
                }
                if hopeless && matches!(self.s.core.life, Life::Pausing { .. }) {
                    self.paused();
                }
            }
        }
    }

    /// Why the provider makes us wait stands on the session while it does.
    fn show_wait(&mut self, error: &SandboxError) {
        if let Life::Starting { cause, .. } = &mut self.s.core.life {
            let code = match error.kind {
                SandboxErrorKind::Capacity => "sandbox_capacity",
                SandboxErrorKind::Transient
                | SandboxErrorKind::RateLimited
                | SandboxErrorKind::Conflict
                | SandboxErrorKind::InvalidSpec
                | SandboxErrorKind::Auth
                | SandboxErrorKind::Unsupported => "sandbox_unavailable",
            };
            *cause = Some(Cause::new(code, format!("{} Trying again.", error.message)));
        }
    }
}

fn step_time(step: StartStep, timings: &Timings) -> i64 {
    match step {
        StartStep::Requested | StartStep::Booting | StartStep::Engine => timings.start_step,
        StartStep::Cloning | StartStep::Setup => timings.long_start_step,
    }
}
