//! Pushing the work: the runner is asked before a session rests for its budget.

use errand_protocol::git::Pushed;
use errand_protocol::runner::{PushOutcome, RunnerEvent};
use errand_protocol::time::Timestamp;
use errand_session::{Push, Session};

use crate::event::Event;
use crate::make::{cause, time};
use crate::world::World;

impl World {
    /// The runner is told to push. In a bad world it may take longer than anybody waits, or never answer.
    pub fn told_push(&mut self, at: usize, stop: Timestamp) {
        let Some(runner) = &mut self.host.sandboxes[at].runner else {
            return;
        };
        if !self.calm && runner.rng.one_in(10) {
            return;
        }
        let slowest = if self.calm { 1_000 } else { 90_000 };
        let (number, delay) = (runner.number, runner.rng.span(10, slowest));
        self.later(delay, Event::Pushed(at, number, stop));
    }

    /// That has ended somehow.
    pub fn push_ended(&mut self, at: usize, number: u64, stop: Timestamp) {
        let Some(runner) = &mut self.host.sandboxes[at].runner else {
            return;
        };
        if runner.number != number {
            return;
        }
        let outcome = match runner.rng.below(4) {
            0 => PushOutcome::Nothing {},
            1 => PushOutcome::Failed {
                cause: cause("push_failed"),
            },
            n => PushOutcome::Pushed {
                pushed: Pushed {
                    branch: "errand/ses_1-wip".parse().unwrap(),
                    commit: format!("{number:040x}"),
                },
                lacks: (n == 3).then(|| "large files".to_owned()),
            },
        };
        self.report(at, RunnerEvent::PushEnded { stop, outcome });
        self.pump(at);
    }

    /// Nothing waits for a push longer than it may, and nothing is asked before.
    pub fn check_push(&self, session: &Session) {
        let Some(stop) = &session.core().budget else { return };
        if let Some(Push::Asked { at }) = stop.push {
            assert!(stop.asked.is_none(), "rest: people are asked while the work is pushed");
            let until = at.plus(self.agent.timings.push);
            assert!(time(self.now) < until, "stuck: a push is waited for too long");
        }
    }
}
