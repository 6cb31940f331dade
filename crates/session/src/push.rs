//! Pushing the work before a session rests because its budget is used up: committed or not, to a branch of its own, by the
//! runner. Nothing waits for that longer than [`crate::Timings::push`], and whatever fails there is only told.

use errand_protocol::git::Pushed;
use errand_protocol::ids::PromptId;
use errand_protocol::runner::{AgentFrame, GitAuthor, PushOutcome};
use errand_protocol::session::Cause;
use errand_protocol::time::Timestamp;
use serde::{Deserialize, Serialize};

use crate::core::Life;
use crate::session::{Session, Step};
use crate::timings::Timings;

/// How far the work is on its way to the repository.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Push {
    /// The runner was asked for it.
    Asked {
        /// When.
        at: Timestamp,
    },
    /// There it is.
    Done(Pushed),
    /// There was nothing to push, or people were told why it was not.
    Over {},
}

/// Where what was not pushed is.
const KEPT: &str = "It is kept in the session's sandbox and its snapshot.";

impl Session {
    /// Whose work it is that goes on. A turn for a hand-over note belongs to the one whose work was stopped.
    pub(crate) fn author(&self) -> GitAuthor {
        let stop = self.core.budget.as_ref();
        let ours = |id: &PromptId| stop.is_some_and(|stop| stop.note.as_ref() == Some(id));
        let author = match &self.running {
            Some(placed) if !ours(&placed.prompt.id) => Some(GitAuthor {
                name: placed.prompt.author.name.clone(),
                email: placed.prompt.author.email.clone(),
            }),
            Some(_) | None => stop.and_then(|stop| stop.author.clone()),
        };
        author.unwrap_or_else(|| self.core.spec.author())
    }

    /// Since when the runner is asked to push the work, if it is.
    fn pushes_since(&self) -> Option<Timestamp> {
        let stop = self.core.budget.as_ref().filter(|stop| stop.asked.is_none())?;
        match stop.push {
            Some(Push::Asked { at }) => Some(at),
            Some(Push::Done(_) | Push::Over {}) | None => None,
        }
    }

    pub(crate) fn push_deadline(&self, timings: &Timings) -> Option<Timestamp> {
        self.pushes_since().map(|at| at.plus(timings.push))
    }
}

impl Step<'_, '_> {
    /// Whether a session that would rest for its budget still waits for its work to be pushed.
    pub(crate) fn push_goes_on(&mut self) -> bool {
        let up = matches!(self.s.core.life, Life::Running { .. } | Life::Reconnecting { .. });
        // The runner or its engine was started again: it goes on when they are ready.
        let comes_up = matches!(self.s.core.life, Life::Starting { .. }) && self.s.live.runner.is_some();
        let pushable = self.s.core.spec.repo.is_some();
        let Some(stop) = &mut self.s.core.budget else {
            return false;
        };
        if stop.push.is_none() && pushable && stop.raised.is_none() {
            if up {
                let at = self.cx.now;
                stop.push = Some(Push::Asked { at });
                self.dirty = true;
                self.ask_to_push();
                return true;
            }
            if stop.cut {
                self.not_pushed("the sandbox was gone by then");
            }
        }
        match self.s.push_deadline(self.cx.timings) {
            Some(until) if (up || comes_up) && self.cx.now < until => return true,
            Some(_) if up || comes_up => self.not_pushed("that took too long"),
            Some(_) => self.not_pushed("the sandbox was stopped before"),
            None => {}
        }
        false
    }

    fn ask_to_push(&mut self) {
        let core = &self.s.core;
        let Some(stop) = &core.budget else { return };
        let reason = stop.reason().message;
        let frame = AgentFrame::Push {
            stop: stop.since,
            author: stop.author.clone().unwrap_or_else(|| core.spec.author()),
            message: format!("Unfinished: {}\n\n{reason}\nSession {}.\n", core.title, core.spec.id),
        };
        self.tell_runner(frame);
    }

    /// A runner is ready (again): the one before may not have heard of it, or not have come to its end.
    pub(crate) fn push_again(&mut self) {
        if self.s.pushes_since().is_some() {
            self.ask_to_push();
        }
    }

    /// The runner says what became of it. Work that arrived counts whenever it did.
    pub(crate) fn push_ended(&mut self, of: Timestamp, outcome: PushOutcome) {
        let awaited = self.s.pushes_since().is_some() && self.s.core.budget.as_ref().is_some_and(|s| s.since == of);
        match outcome {
            PushOutcome::Pushed { pushed, lacks } => {
                if awaited {
                    self.push_is(Push::Done(pushed.clone()));
                }
                if let Some(lacks) = lacks {
                    let message = format!("Not all of the work was pushed: without {lacks}. {KEPT}");
                    self.trouble(Cause::new("push_incomplete", message));
                }
                self.pushed(pushed);
            }
            PushOutcome::Nothing {} if awaited => self.push_is(Push::Over {}),
            PushOutcome::Failed { cause } if awaited => {
                self.push_is(Push::Over {});
                self.trouble(cause);
            }
            // Why it was not waited for was told.
            PushOutcome::Nothing {} | PushOutcome::Failed { .. } => {}
        }
    }

    fn not_pushed(&mut self, why: &str) {
        self.push_is(Push::Over {});
        let message = format!("The work was not pushed to the repository: {why}. {KEPT}");
        self.trouble(Cause::new("push_failed", message));
    }

    fn push_is(&mut self, push: Push) {
        if let Some(stop) = &mut self.s.core.budget {
            stop.push = Some(push);
            self.dirty = true;
        }
    }
}
