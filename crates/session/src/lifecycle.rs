//! The sandbox's life as the session sees it: starting with retries, losing, replacing. Suspending and ending: `rest`.
//!
//! A sandbox is never made under another name while the fate of the last one is unknown: until the provider (or a
//! runner) has shown that it was made, the next try asks for the same name. Work is handed on by `resume`: as soon as a
//! sandbox is known to have run, it is the one whose files count, ready or not; before that its predecessor is.

use errand_protocol::close::CloseCode;
use errand_protocol::event::EventBody;
use errand_protocol::runner::AgentFrame;
use errand_protocol::session::{Cause, StartStep};
use errand_protocol::startup::{StartOutcome, Watchdog};

use crate::core::{Life, ReconnectStage, Turn};
use crate::effect::{Effect, SandboxCall};
use crate::sandbox_calls::FIRST_LOOK;
use crate::session::Step;
use crate::startup::point;
use crate::timings::Timings;

impl Step<'_, '_> {
    /// There is a prompt: make sure that something will run it.
    pub(crate) fn wake(&mut self) {
        if !self.s.wants_sandbox() {
            return;
        }
        match &self.s.core.life {
            Life::Idle | Life::Paused => self.request_sandbox(1, None),
            Life::Error { .. } if !self.breaker_open() => self.request_sandbox(1, None),
            Life::Pausing { .. } => self.stay_up(),
            Life::Error { .. }
            | Life::Starting { .. }
            | Life::Running { .. }
            | Life::Reconnecting { .. }
            | Life::Terminated => {}
        }
    }

    /// A person wants another try.
    pub(crate) fn retry(&mut self) {
        self.try_budget_again();
        if matches!(self.s.core.life, Life::Error { .. }) {
            self.s.core.failed_starts.clear();
            self.request_sandbox(1, None);
        } else {
            self.wake();
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

    /// Asks the provider for a sandbox: the next generation, or the last one again when it may not have been made.
    pub(crate) fn request_sandbox(&mut self, attempt: u32, cause: Option<Cause>) {
        self.forget_looks();
        let core = &mut self.s.core;
        if core.made || core.generation.0 == 0 {
            core.generation = core.generation.next();
            core.made = false;
        }
        core.isolation = None;
        let name = self.sandbox_name();
        self.s.core.calls.retain(|c| c.call.name() != name);
        let ensure = SandboxCall::Ensure {
            name,
            generation: self.s.core.generation,
            repo: self.s.core.spec.repo.clone(),
            resume: self.s.core.resumable.clone(),
        };
        self.call(ensure, self.cx.now);
        self.refuse_old_snapshot();
        let resuming = self.s.core.resumable.is_some() || self.s.core.snapshot.is_some();
        self.start_begins(attempt, resuming);
        let step = StartStep::Requested;
        let deadline = self.cx.now.plus(step_time(step, self.cx.timings));
        self.enter(Life::Starting {
            step,
            attempt,
            deadline,
            backoff: false,
            resuming,
            cause,
        });
        self.log_step(step, attempt);
    }

    fn log_step(&mut self, step: StartStep, attempt: u32) {
        let generation = self.s.core.generation;
        self.log(EventBody::SandboxStep {
            generation,
            step,
            attempt,
        });
    }

    /// The current sandbox's runner says hello, so it has taken over what it was to take over. Until then the sandbox before
    /// is the one to name: the provider follows the files from there to wherever they are.
    pub(crate) fn sandbox_ran(&mut self) {
        self.dirty = true;
        self.s.core.made = true;
        if self.s.core.resumable.is_some() {
            self.s.core.resumable = Some(self.sandbox_name());
        }
    }

    /// A step of the start began.
    pub(crate) fn start_step(&mut self, step: StartStep) {
        let Life::Starting {
            step: current,
            attempt,
            resuming,
            ..
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
            resuming,
            cause: None,
        };
        self.start_reached(point(step));
        self.log_step(step, attempt);
    }

    /// The engine is not up (any more) in a sandbox that was ready before.
    pub(crate) fn engine_starts_again(&mut self) {
        let step = StartStep::Engine;
        let deadline = self.cx.now.plus(step_time(step, self.cx.timings));
        self.enter(Life::Starting {
            step,
            attempt: 1,
            deadline,
            backoff: false,
            resuming: false,
            cause: None,
        });
        self.log_step(step, 1);
    }

    /// The engine takes prompts.
    pub(crate) fn ready(&mut self) {
        self.s.core.resumable = Some(self.sandbox_name());
        self.forget_looks();
        self.start_ready();
        self.sandbox_is_up();
        self.enter(Life::Running { idle_since: None });
        self.resume_turn();
    }

    /// A runner is ready: the turn that it has not begun is told (again), one that is to stop is stopped, and the push
    /// that it may not have heard of is told again.
    pub(crate) fn resume_turn(&mut self) {
        self.push_again();
        let now = self.cx.now;
        let Some(turn) = &mut self.s.core.turn else { return };
        if let Some(abort) = &mut turn.abort {
            abort.sent_at = now;
            let turn_id = turn.id.clone();
            self.dirty = true;
            self.tell_runner(AgentFrame::Abort { turn_id });
        } else if !turn.accepted {
            self.send_turn();
        }
    }

    pub(crate) fn start_timed_out(&mut self, step: StartStep, cause: Option<Cause>) {
        if let (StartStep::Requested, Some(cause)) = (step, cause) {
            // What the provider said is clearer than that time has passed.
            return self.start_failed(cause, true);
        }
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
        let Life::Starting { attempt, resuming, .. } = self.s.core.life else {
            return;
        };
        self.drop_runner(CloseCode::Replaced);
        self.forget_looks();
        self.start_ended(StartOutcome::Failed, Some(&cause));
        if !retryable || attempt >= self.cx.timings.start_attempts {
            self.note_failure();
            self.verdict(Watchdog::Start, cause.clone(), "It waits for a person to try again.");
            return self.give_up(cause);
        }
        self.verdict(Watchdog::Start, cause.clone(), "Another try follows.");
        if self.s.core.turn.as_ref().is_some_and(|turn| turn.accepted) {
            self.lose_turn(cause.clone());
        }
        if self.s.core.made {
            self.leave_sandbox();
        }
        let tried = attempt.saturating_sub(1);
        let wait = self
            .cx
            .timings
            .start_backoff
            .saturating_mul(4_i64.saturating_pow(tried));
        self.log(EventBody::SandboxTrouble {
            generation: self.s.core.generation,
            cause: cause.clone(),
        });
        self.enter(Life::Starting {
            step: StartStep::Requested,
            attempt: attempt + 1,
            deadline: self.cx.now.plus(wait),
            backoff: true,
            resuming,
            cause: Some(cause),
        });
    }

    /// It waits for a person from now on. Nothing runs meanwhile.
    fn give_up(&mut self, cause: Cause) {
        self.drop_runner(CloseCode::Replaced);
        self.start_ended(StartOutcome::Failed, Some(&cause));
        self.put_away();
        self.lose_turn(cause.clone());
        self.s.core.isolation = None;
        self.enter(Life::Error { cause });
    }

    /// The current sandbox will not be used, and another one follows, which stops the one that it takes over from.
    fn leave_sandbox(&mut self) {
        let name = self.sandbox_name();
        match &self.s.core.resumable {
            None => self.remove(name),
            Some(kept) if *kept != name => self.call(SandboxCall::Suspend { name }, self.cx.now),
            Some(_) => {}
        }
    }

    pub(crate) fn remove(&mut self, name: String) {
        // Whether it was made or not: the next one gets another name, so that this removal cannot hit it.
        self.s.core.made = true;
        self.call(SandboxCall::Delete { name }, self.cx.now);
    }

    /// Ends the runner's connection; what comes after it on the same connection does not count.
    pub(crate) fn drop_runner(&mut self, code: CloseCode) {
        if let Some(spool) = &mut self.s.core.spool {
            spool.conn = None;
            self.dirty = true;
        }
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
        let cause = Cause::new(
            "runner_silent",
            "The sandbox is connected, but gave no sign for a while.",
        );
        self.verdict(
            Watchdog::RunnerSilence,
            cause,
            "Its connection was closed; it may dial again.",
        );
        self.drop_runner(CloseCode::Silent);
        self.runner_lost();
    }

    pub(crate) fn runner_lost(&mut self) {
        match self.s.core.life {
            Life::Running { .. } => {
                let deadline = self.cx.now.plus(self.cx.timings.reconnect_grace);
                // It may dial again by itself; but when the provider knows that it is gone, nobody need wait for that.
                let name = self.sandbox_name();
                self.call(SandboxCall::Inspect { name }, self.cx.now.plus(FIRST_LOOK));
                self.enter(Life::Reconnecting {
                    stage: ReconnectStage::Grace,
                    deadline,
                });
            }
            Life::Starting {
                step, backoff: false, ..
            } if step != StartStep::Requested => {
                let name = self.sandbox_name();
                self.call(SandboxCall::Inspect { name }, self.cx.now.plus(FIRST_LOOK));
            }
            Life::Idle | Life::Starting { .. } | Life::Reconnecting { .. } | Life::Paused | Life::Error { .. } => {}
            // It has saved what there was, or never will.
            Life::Pausing { .. } | Life::Terminated => self.work_is_saved(),
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
        let attempts = self.cx.timings.accept_attempts;
        let untouched = |t: &Turn| !t.accepted && t.abort.is_none() && t.dispatches < attempts;
        if !self.s.core.turn.as_ref().is_some_and(untouched) {
            self.lose_turn(cause.clone());
        }
        self.note_failure();
        if self.breaker_open() {
            let why = Cause::new("too_many_failures", "Sandboxes failed too often in a short time.");
            self.verdict(
                Watchdog::Breaker,
                why,
                "No further sandbox is started until a person tries again.",
            );
            self.give_up(cause);
        } else if self.s.wants_sandbox() {
            self.verdict(
                Watchdog::Reconnect,
                cause.clone(),
                "Another sandbox continues with its files.",
            );
            self.request_sandbox(1, Some(cause));
        } else {
            self.stops_because("lost");
            self.put_away();
            self.rest();
        }
    }
}

fn step_time(step: StartStep, timings: &Timings) -> i64 {
    match step {
        StartStep::Requested | StartStep::Booting | StartStep::Engine => timings.start_step,
        StartStep::Cloning | StartStep::Setup => timings.long_start_step,
    }
}
