//! When patience ends, and what happens then (the table of DESIGN §3). Deadlines are derived from the state, never
//! stored as timers: an alarm that fires early, late or twice is harmless.

use errand_protocol::close::CloseCode;
use errand_protocol::session::Cause;
use errand_protocol::startup::Watchdog;
use errand_protocol::time::Timestamp;

use crate::core::{Life, PendingCall, ReconnectStage};
use crate::effect::SandboxCall;
use crate::session::{Session, Step};
use crate::timings::Timings;

/// `base` doubled for every failure after the first, up to a minute.
pub(crate) fn backoff(base: i64, failures: u32) -> i64 {
    base.saturating_mul(1 << failures.saturating_sub(1).min(6))
        .min(60_000.max(base))
}

impl Session {
    /// The next point at which [`crate::Input::Deadline`] has something to do, and why.
    pub fn next_deadline(&self, timings: &Timings) -> Option<(Timestamp, &'static str)> {
        let mut all = vec![];
        all.extend(self.life_deadline(timings));
        all.extend(self.turn_deadline(timings));
        all.extend(self.steer_deadline(timings).map(|at| (at, "steer")));
        all.extend(self.core.interactions.values().map(|i| (i.deadline, "interaction")));
        let calls = self.core.calls.iter();
        all.extend(calls.map(|c| (self.call_due(c, timings), "provider call")));
        if self.index_stale() {
            all.push((self.index_due(timings), "index"));
        }
        all.into_iter().min_by_key(|(at, _)| *at)
    }

    /// When a call is made (again): when it is due, and no other call about the same sandbox is on its way. So calls
    /// about one sandbox never overtake each other.
    fn call_due(&self, pending: &PendingCall, timings: &Timings) -> Timestamp {
        let on_its_way = self.live.in_flight.iter();
        let same = on_its_way.filter(|(call, _)| call.name() == pending.call.name());
        same.map(|(_, since)| since.plus(timings.call_timeout))
            .fold(pending.due, Ord::max)
    }

    /// When the registry is told (again).
    pub(crate) fn index_due(&self, timings: &Timings) -> Timestamp {
        let lost = self.live.indexing.map(|since| since.plus(timings.call_timeout));
        lost.map_or(self.core.index.due, |lost| lost.max(self.core.index.due))
    }

    /// Until when the present phase may last if nothing happens; `None` for a resting one.
    pub fn phase_deadline(&self, timings: &Timings) -> Option<Timestamp> {
        self.life_deadline(timings).map(|(at, _)| at)
    }

    fn life_deadline(&self, timings: &Timings) -> Option<(Timestamp, &'static str)> {
        let silence = || (self.live.runner_seen.plus(timings.runner_silence), "runner silence");
        match &self.core.life {
            Life::Starting { deadline, .. } => {
                let step = (*deadline, "start");
                Some(if self.live.runner.is_some() {
                    step.min(silence())
                } else {
                    step
                })
            }
            Life::Running { idle_since } => {
                let idle = idle_since.map(|since| (since.plus(timings.idle), "idle"));
                let replay = self.live.replayed_at.plus(timings.runner_silence);
                let replay = self.replaying().then_some((replay, "runner silence"));
                let stopping = self.core.turn.as_ref().is_some_and(|turn| turn.abort.is_some());
                let end = self.lifetime_end().filter(|_| !stopping);
                let end = end.map(|at| (at, "lifetime"));
                idle.into_iter().chain(replay).chain(end).chain([silence()]).min()
            }
            Life::Reconnecting { deadline, .. } => Some((*deadline, "reconnect")),
            Life::Pausing { deadline, .. } => Some((*deadline, "pause")),
            Life::Idle | Life::Paused | Life::Error { .. } | Life::Terminated => None,
        }
    }

    fn turn_deadline(&self, timings: &Timings) -> Option<(Timestamp, &'static str)> {
        let turn = self.core.turn.as_ref()?;
        let connected = matches!(self.core.life, Life::Running { .. });
        if let Some(abort) = &turn.abort {
            // Without a runner the deadlines of reconnecting and starting govern.
            return connected.then(|| (abort.sent_at.plus(timings.abort), "abort"));
        }
        if connected && !turn.accepted {
            return Some((turn.dispatched_at.plus(timings.accept), "accept"));
        }
        if turn.asked_at.is_some() {
            return None; // While a person is asked, only the interaction's own deadline runs.
        }
        let total = (turn.started_at.plus(timings.turn_total).plus(turn.waited), "turn total");
        let sign = turn.last_event_at.max(turn.dispatched_at).max(self.live.delta_at);
        let silence = (sign.plus(timings.turn_silence), "turn silence");
        Some(if connected { silence.min(total) } else { total })
    }
}

impl Step<'_, '_> {
    /// Does whatever is due.
    pub(crate) fn deadline(&mut self, runner_seen: Option<Timestamp>) {
        if let Some(seen) = runner_seen {
            self.s.live.runner_seen = self.s.live.runner_seen.max(seen);
        }
        self.expire_interactions();
        self.turn_due();
        self.steer_due();
        self.life_due();
    }

    fn due(&self, at: Timestamp) -> bool {
        at <= self.cx.now
    }

    fn turn_due(&mut self) {
        let Some((at, what)) = self.s.turn_deadline(self.cx.timings) else {
            return;
        };
        if !self.due(at) {
            return;
        }
        match what {
            "abort" => self.abort_again(),
            "accept" | "turn silence" => self.ask_runner_again(),
            _ => {
                let minutes = self.cx.timings.turn_total / 60_000;
                let cause = Cause::new(
                    "turn_timeout",
                    format!("The turn ran for {minutes} minutes and was stopped."),
                );
                self.verdict(Watchdog::TurnTotal, cause.clone(), "The turn is stopped.");
                self.abort_turn(None, Some(cause));
            }
        }
    }

    fn life_due(&mut self) {
        let Some((at, what)) = self.s.life_deadline(self.cx.timings) else {
            return;
        };
        if !self.due(at) {
            return;
        }
        match (what, self.s.core.life.clone()) {
            ("runner silence", _) => self.runner_silent(),
            ("idle", _) => self.idle_for_long(),
            ("lifetime", _) => self.lifetime_is_over(),
            (
                _,
                Life::Starting {
                    backoff: true,
                    attempt,
                    cause,
                    ..
                },
            ) => self.request_sandbox(attempt, cause),
            (_, Life::Starting { step, cause, .. }) => self.start_timed_out(step, cause),
            (
                _,
                Life::Reconnecting {
                    stage: ReconnectStage::Grace,
                    ..
                },
            ) => self.inspect_sandbox(),
            (_, Life::Reconnecting { .. }) => {
                self.replace_sandbox(Cause::new(
                    "runner_lost",
                    "The sandbox stopped answering and is being replaced.",
                ));
            }
            (_, Life::Pausing { .. }) => self.pausing_took_too_long(),
            (_, Life::Running { .. } | Life::Idle | Life::Paused | Life::Error { .. } | Life::Terminated) => {}
        }
    }

    /// Makes the provider calls that are due.
    pub(crate) fn call_out(&mut self) {
        let (now, timings) = (self.cx.now, self.cx.timings);
        for pending in self.s.core.calls.clone() {
            if self.s.call_due(&pending, timings) <= now {
                let call = pending.call;
                if matches!(call, SandboxCall::Delete { .. }) && call.name() == self.sandbox_name() {
                    self.drop_runner(CloseCode::Terminated);
                }
                self.s.live.in_flight.retain(|(other, _)| other.name() != call.name());
                self.s.live.in_flight.push((call.clone(), now));
                self.fx.push(crate::effect::Effect::Sandbox(call));
            }
        }
    }
}
