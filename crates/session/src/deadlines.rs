//! When patience ends, and what happens then (the table of DESIGN §3). Deadlines are derived from the state, never
//! stored as timers: an alarm that fires early, late or twice is harmless.

use errand_protocol::session::Cause;
use errand_protocol::time::Timestamp;

use crate::core::{Life, ReconnectStage};
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
        all.extend(self.core.interactions.values().map(|i| (i.deadline, "interaction")));
        let waiting = self
            .core
            .calls
            .iter()
            .filter(|c| !self.live.in_flight.contains(&c.call));
        all.extend(waiting.map(|c| (c.due, "provider call")));
        if self.core.index.stale && !self.live.indexing {
            all.push((self.core.index.due, "index"));
        }
        all.into_iter().min_by_key(|(at, _)| *at)
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
                Some(idle.map_or_else(silence, |idle| idle.min(silence())))
            }
            Life::Reconnecting { deadline, .. } => Some((*deadline, "reconnect")),
            Life::Pausing { deadline } => Some((*deadline, "pause")),
            Life::Idle | Life::Paused | Life::Error { .. } | Life::Terminated => None,
        }
    }

    fn turn_deadline(&self, timings: &Timings) -> Option<(Timestamp, &'static str)> {
        let turn = self.core.turn.as_ref()?;
        let connected = matches!(self.core.life, Life::Running { .. });
        let total = (turn.started_at.plus(timings.turn_total), "turn total");
        let next = match &turn.abort {
            Some(abort) if connected => (abort.sent_at.plus(timings.abort), "abort"),
            // Without a runner the reconnect deadline governs.
            Some(_) => return None,
            None if connected && !turn.accepted => (turn.dispatched_at.plus(timings.accept), "accept").min(total),
            None if connected && self.core.interactions.is_empty() => {
                (turn.last_event_at.plus(timings.turn_silence), "turn silence").min(total)
            }
            // While a person is asked, only the interaction's own deadline runs.
            None if connected => return None,
            None => total,
        };
        Some(next)
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
            ("idle", _) => self.pause(),
            (
                _,
                Life::Starting {
                    backoff: true,
                    attempt,
                    cause,
                    ..
                },
            ) => self.request_sandbox(attempt, cause),
            (_, Life::Starting { step, .. }) => self.start_timed_out(step),
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
            (_, Life::Pausing { .. }) => self.paused(),
            (_, Life::Running { .. } | Life::Idle | Life::Paused | Life::Error { .. } | Life::Terminated) => {}
        }
    }

    /// Makes the provider calls that are due and not on their way.
    pub(crate) fn call_out(&mut self) {
        let due: Vec<SandboxCall> = self
            .s
            .core
            .calls
            .iter()
            .filter(|c| c.due <= self.cx.now && !self.s.live.in_flight.contains(&c.call))
            .map(|c| c.call.clone())
            .collect();
        for call in due {
            self.s.live.in_flight.push(call.clone());
            self.fx.push(crate::effect::Effect::Sandbox(call));
        }
    }
}
