//! The order of waiting prompts, and who may still change one.

use errand_protocol::api::ErrorCode;
use errand_protocol::event::EventBody;
use errand_protocol::ids::PromptId;
use errand_protocol::session::{Person, Place, PromptMode, PromptState};
use errand_protocol::text::PromptText;

use crate::effect::{Effect, Rejection};
use crate::session::{Placed, Step};

impl Step<'_, '_> {
    /// Where a new prompt goes: one that is to steer stands before those that are not.
    pub(crate) fn enqueue(&mut self, placed: Placed) {
        let mut at = self.s.queue.len();
        if placed.prompt.mode == PromptMode::Steer && self.s.core.turn.is_some() {
            let steers = |other: &Placed| other.prompt.mode == PromptMode::Steer;
            at = self.s.queue.iter().take_while(|other| steers(other)).count();
        }
        self.s.queue.insert(at, placed);
        self.renumber(at);
    }

    /// Gives all prompts from an index on new places in the order of all prompts, which only grow: so two prompts never
    /// have the same, not even for a moment.
    fn renumber(&mut self, first: usize) {
        let mut next = self.s.core.prompts;
        let mut changed = Vec::new();
        for placed in self.s.queue.iter_mut().skip(first) {
            placed.position = next;
            next += 1;
            changed.push(placed.clone());
        }
        self.s.core.prompts = next;
        self.dirty = true;
        for placed in &changed {
            self.put_prompt(placed);
        }
    }

    /// Index of a prompt that people may still change.
    fn waiting(&self, id: &PromptId) -> Result<usize, Rejection> {
        if self.s.being_handed_over(id) {
            let message = "This prompt is being handed to the agent.";
            return Err(Rejection::new(ErrorCode::Conflict, message));
        }
        if let Some(at) = self.s.queue.iter().position(|placed| placed.prompt.id == *id) {
            return Ok(at);
        }
        Err(match (self.cx.known_prompt)(id) {
            Some(_) => Rejection::new(ErrorCode::Conflict, "This prompt no longer waits."),
            None => Rejection::new(ErrorCode::NotFound, "There is no such prompt."),
        })
    }

    pub(crate) fn edit_prompt(&mut self, id: &PromptId, text: PromptText) -> Result<(), Rejection> {
        let at = self.waiting(id)?;
        let Some(placed) = self.s.queue.get_mut(at) else {
            return Ok(());
        };
        if placed.prompt.text != text {
            let asked = std::mem::replace(&mut placed.prompt.text, text.clone());
            let placed = placed.clone();
            self.put_prompt(&placed);
            self.fx.push(Effect::KeepAsked {
                id: id.clone(),
                text: asked,
            });
            self.log(EventBody::PromptEdited {
                prompt_id: id.clone(),
                text,
            });
        }
        Ok(())
    }

    pub(crate) fn withdraw_prompt(&mut self, id: &PromptId, by: Person) -> Result<(), Rejection> {
        if (self.cx.known_prompt)(id).is_some_and(|prompt| prompt.state == PromptState::Withdrawn) {
            return Ok(());
        }
        let at = self.waiting(id)?;
        let placed = self.s.queue.remove(at);
        self.withdrawn(placed, by);
        Ok(())
    }

    pub(crate) fn withdrawn(&mut self, mut placed: Placed, by: Person) {
        placed.prompt.state = PromptState::Withdrawn;
        self.put_prompt(&placed);
        self.log(EventBody::PromptWithdrawn {
            prompt_id: placed.prompt.id,
            by,
        });
    }

    pub(crate) fn move_prompt(&mut self, id: &PromptId, to: Place, by: Person) -> Result<(), Rejection> {
        let from = self.waiting(id)?;
        let at = match &to {
            Place::First => 0,
            Place::Last => self.s.queue.len().saturating_sub(1),
            Place::Before(other) if other == id => from,
            Place::Before(other) => {
                let before = self.waiting(other)?;
                if from < before { before - 1 } else { before }
            }
        };
        if at != from {
            let placed = self.s.queue.remove(from);
            self.s.queue.insert(at, placed);
            self.renumber(from.min(at));
            self.log(EventBody::PromptMoved {
                prompt_id: id.clone(),
                to,
                by,
            });
        }
        Ok(())
    }

    /// Stops the turn that runs, and runs this prompt next.
    pub(crate) fn promote_prompt(&mut self, id: &PromptId, by: Person) -> Result<(), Rejection> {
        self.move_prompt(id, Place::First, by.clone())?;
        self.abort_turn(Some(by), None);
        Ok(())
    }
}
