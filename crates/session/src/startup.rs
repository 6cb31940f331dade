//! "Why does it wait?": the marks of each start, the verdicts of watchdogs, and what stands in the way right now.

use errand_protocol::session::{Cause, StartStep};
use errand_protocol::startup::{Mark, Remedy, Start, StartOutcome, StartPoint, Verdict, Waiting, Watchdog};
use errand_protocol::time::Timestamp;
use errand_protocol::transcript::PartBody;

use crate::core::{Life, ReconnectStage};
use crate::effect::Effect;
use crate::session::{Session, Step};
use crate::timings::Timings;

/// Of a start that waits for a place.
pub(crate) const NO_ROOM: &str = "sandbox_capacity";

/// A start with its place in the order of all starts of its session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NumberedStart {
    /// Its place, from 1.
    pub number: u64,
    /// The start.
    pub start: Start,
}

/// The mark of a step of the start.
pub(crate) const fn point(step: StartStep) -> StartPoint {
    match step {
        StartStep::Requested => StartPoint::Requested,
        StartStep::Booting => StartPoint::Booting,
        StartStep::Cloning => StartPoint::Cloning,
        StartStep::Setup => StartPoint::Setup,
        StartStep::Engine => StartPoint::Engine,
    }
}

impl Step<'_, '_> {
    /// Notes what a watchdog decided.
    pub(crate) fn verdict(&mut self, watchdog: Watchdog, cause: Cause, action: &str) {
        self.fx.push(Effect::AddVerdict(Verdict {
            at: self.cx.now,
            watchdog,
            cause,
            action: action.to_owned(),
        }));
    }

    /// A sandbox is asked for.
    pub(crate) fn start_begins(&mut self, attempt: u32, resumed: bool) {
        let now = self.cx.now;
        let asked = self.s.queue.first().map(|placed| placed.prompt.created_at);
        let queued = asked.filter(|_| attempt == 1).unwrap_or(now).min(now);
        let mark = |point, at| Mark { point, at };
        let number = self.s.start.as_ref().map_or(0, |last| last.number) + 1;
        let start = Start {
            generation: self.s.core.generation,
            attempt,
            resumed,
            marks: vec![
                mark(StartPoint::Queued, queued),
                mark(StartPoint::Admitted, now),
                mark(StartPoint::Requested, now),
            ],
            outcome: StartOutcome::Going,
            cause: None,
            ended_at: None,
        };
        self.put_start(NumberedStart { number, start });
    }

    /// There was no room for it: it is in the queue still.
    pub(crate) fn start_not_admitted(&mut self) {
        let Some(mut last) = self.s.start.clone() else { return };
        let asked = last.start.marks.len();
        last.start.marks.retain(|mark| mark.point == StartPoint::Queued);
        if last.start.marks.len() < asked {
            self.put_start(last);
        }
    }

    /// The provider was asked, and there was room.
    pub(crate) fn start_admitted(&mut self) {
        if matches!(self.s.core.life, Life::Starting { .. }) {
            self.start_reached(StartPoint::Admitted);
            self.start_reached(StartPoint::Requested);
        }
    }

    fn put_start(&mut self, start: NumberedStart) {
        self.s.start = Some(start.clone());
        self.fx.push(Effect::PutStart(start));
    }

    /// It has come to a point.
    pub(crate) fn start_reached(&mut self, point: StartPoint) {
        let Some(mut last) = self.s.start.clone() else { return };
        let marks = &mut last.start.marks;
        if marks.last().is_none_or(|mark| mark.point < point) {
            marks.push(Mark { point, at: self.cx.now });
            self.put_start(last);
        }
    }

    /// The engine takes prompts.
    pub(crate) fn start_ready(&mut self) {
        self.start_reached(StartPoint::Ready);
        self.start_ended(StartOutcome::Ready, None);
        self.s.core.first_turn = true;
    }

    /// It is over, one way or the other.
    pub(crate) fn start_ended(&mut self, outcome: StartOutcome, cause: Option<&Cause>) {
        let going = |last: &&NumberedStart| last.start.outcome == StartOutcome::Going;
        let Some(mut last) = self.s.start.as_ref().filter(going).cloned() else {
            return;
        };
        last.start.outcome = outcome;
        last.start.cause = cause.cloned();
        last.start.ended_at = Some(self.cx.now);
        if outcome == StartOutcome::Ready {
            self.fx.push(Effect::Sample(last.start.clone()));
        }
        self.put_start(last);
    }

    /// The first turn after a start wrote or did something.
    pub(crate) fn first_output(&mut self, body: &PartBody) {
        if !self.s.core.first_turn {
            return;
        }
        match body {
            PartBody::Text { .. } | PartBody::Reasoning { .. } => self.start_reached(StartPoint::FirstToken),
            PartBody::Tool { .. } | PartBody::Subtask { .. } => {
                self.start_reached(StartPoint::FirstTool);
                // Nothing comes after it.
                self.s.core.first_turn = false;
                self.dirty = true;
            }
            PartBody::File { .. } | PartBody::Patch { .. } => {}
        }
    }
}

impl Session {
    /// Why nothing moves right now; `None` while it works, or rests with nothing to do.
    pub fn waiting(&self, timings: &Timings) -> Option<Waiting> {
        let since = self.core.updated_at;
        let deadline = self.phase_deadline(timings);
        let wait = |reason: &str, doing: &str, deadline: Option<Timestamp>, remedy: Option<Remedy>| {
            Some(Waiting {
                since,
                reason: reason.to_owned(),
                doing: doing.to_owned(),
                deadline,
                remedy,
            })
        };
        if let (Some(asked), Some(cause)) = (self.budget_ask(), self.budget_cause()) {
            let interaction_id = asked.id.clone();
            let doing = "Nothing, until the budget is extended or begins anew. Waiting prompts are kept.";
            let remedy = Some(Remedy::Answer { interaction_id });
            return wait(&cause.message, doing, Some(asked.deadline), remedy);
        }
        match &self.core.life {
            Life::Starting {
                step,
                attempt,
                backoff,
                cause,
                ..
            } => {
                if let Some(cause) = cause.as_ref().filter(|cause| !backoff && cause.code == NO_ROOM) {
                    let doing = "It asks again every now and then, and starts as soon as there is a place. Waiting prompts are kept.";
                    return wait(&cause.message, doing, None, Some(Remedy::Terminate {}));
                }
                let (reason, doing) = start_words(*step, *attempt, *backoff, timings);
                let reason = cause.as_ref().map_or(reason, |cause| cause.message.as_str());
                wait(reason, &doing, deadline, Some(Remedy::Terminate {}))
            }
            Life::Reconnecting { stage, .. } => {
                let doing = match stage {
                    ReconnectStage::Grace => "The sandbox may dial again by itself; its provider is asked meanwhile.",
                    ReconnectStage::Inspecting => "The provider is being asked what became of the sandbox.",
                    ReconnectStage::Alive => "The sandbox is alive; it gets a little longer before it is replaced.",
                };
                wait("The connection to the sandbox is lost.", doing, deadline, None)
            }
            Life::Pausing { .. } if !self.queue.is_empty() => wait(
                "The sandbox is being paused.",
                "The waiting prompt runs as soon as it is.",
                deadline,
                None,
            ),
            Life::Error { cause } => wait(
                &cause.message,
                "Nothing, until a person tries again. Waiting prompts are kept.",
                None,
                Some(Remedy::Retry {}),
            ),
            Life::Running { .. } => self.turn_waits(timings),
            Life::Idle | Life::Pausing { .. } | Life::Paused | Life::Terminated => None,
        }
    }

    fn turn_waits(&self, timings: &Timings) -> Option<Waiting> {
        let turn = self.core.turn.as_ref()?;
        if let Some(interaction) = self.core.interactions.values().next() {
            return Some(Waiting {
                since: interaction.opened_at,
                reason: "The agent asks a person.".to_owned(),
                doing: "It waits for the answer; without one the default is taken at the deadline.".to_owned(),
                deadline: Some(interaction.deadline),
                remedy: Some(Remedy::Answer {
                    interaction_id: interaction.id.clone(),
                }),
            });
        }
        if let Some(abort) = &turn.abort {
            return Some(Waiting {
                since: abort.sent_at,
                reason: "The agent is being stopped.".to_owned(),
                doing: "If it does not stop, it is told again; then its sandbox is replaced.".to_owned(),
                deadline: Some(abort.sent_at.plus(timings.abort)),
                remedy: None,
            });
        }
        (!turn.accepted).then(|| Waiting {
            since: turn.dispatched_at,
            reason: "The runner has not taken the prompt yet.".to_owned(),
            doing: "It is handed over again, which is harmless; then the sandbox is replaced.".to_owned(),
            deadline: Some(turn.dispatched_at.plus(timings.accept)),
            remedy: Some(Remedy::Abort {}),
        })
    }
}

fn start_words(step: StartStep, attempt: u32, backoff: bool, timings: &Timings) -> (&'static str, String) {
    let tries = timings.start_attempts;
    if backoff {
        let doing = format!("Try {attempt} of {tries} begins in a moment.");
        return ("The last try to start failed.", doing);
    }
    let (reason, then) = match step {
        StartStep::Requested => ("The sandbox provider was asked for a sandbox.", "it is asked again"),
        StartStep::Booting => ("The sandbox boots.", "its provider is asked what became of it"),
        StartStep::Cloning => ("The repository is being fetched.", "the start is tried again"),
        StartStep::Setup => ("The repository's set-up runs.", "the start is tried again"),
        StartStep::Engine => ("The agent's engine starts.", "the start is tried again"),
    };
    (
        reason,
        format!("Try {attempt} of {tries}; should it take too long, {then}."),
    )
}
