//! Steering: a prompt that is to reach the agent during the turn that runs. The engine takes it in at its next model step.
//!
//! It waits in the queue like any other until the runner says that it has taken it ([`Step::steer_accepted`]); from then
//! on it ends with the turn, and is never begun again. When the turn ends before, or the runner refuses, it runs as a
//! turn of its own. So it runs exactly once, whatever is lost on the way.

use std::collections::BTreeMap;

use errand_protocol::event::EventBody;
use errand_protocol::ids::{PromptId, TurnId};
use errand_protocol::runner::AgentFrame;
use errand_protocol::session::{Cause, PromptMode, PromptState};
use errand_protocol::startup::Watchdog;
use errand_protocol::time::Timestamp;

use crate::core::{Life, Offer};
use crate::session::{Placed, Session, Step};
use crate::timings::Timings;

impl Session {
    fn offers(&self) -> impl Iterator<Item = &Offer> {
        let turn = self.core.turn.iter();
        turn.flat_map(|turn| turn.offers.values())
            .filter(|offer| !offer.refused)
    }

    /// Whether the runner may have it already, and has not said so.
    pub(crate) fn being_handed_over(&self, id: &PromptId) -> bool {
        let offers = self.core.turn.as_ref().map(|turn| &turn.offers);
        offers
            .and_then(|offers| offers.get(id))
            .is_some_and(|offer| !offer.refused)
    }

    /// When the first unanswered offer is repeated.
    pub(crate) fn steer_deadline(&self, timings: &Timings) -> Option<Timestamp> {
        let steerable = self.steerable();
        let waiting = self.offers().map(|offer| offer.sent_at.plus(timings.accept));
        waiting.min().filter(|_| steerable)
    }

    /// Whether the runner can take a prompt in for the turn that runs.
    fn steerable(&self) -> bool {
        let turn = self.core.turn.as_ref();
        matches!(self.core.life, Life::Running { .. })
            && self.live.runner.is_some()
            && turn.is_some_and(|turn| turn.accepted && turn.abort.is_none())
    }
}

impl Step<'_, '_> {
    /// Offers the runner what is to steer its turn and was not offered yet.
    pub(crate) fn offer_steers(&mut self) {
        if !self.s.steerable() {
            return;
        }
        let Some(turn) = &self.s.core.turn else { return };
        // While a budget is used up nothing but the note is handed over.
        let stop = self.s.core.budget.as_ref();
        let held = |id: &PromptId| stop.is_some_and(|stop| stop.note.as_ref() != Some(id));
        let fresh = |id: &PromptId| !turn.offers.contains_key(id) && !held(id);
        let waiting = self.s.queue.iter().map(|placed| &placed.prompt);
        let all: Vec<PromptId> = waiting
            .filter(|prompt| prompt.mode == PromptMode::Steer && fresh(&prompt.id))
            .map(|prompt| prompt.id.clone())
            .collect();
        for id in all {
            self.offer(&id);
        }
    }

    fn offer(&mut self, id: &PromptId) {
        let now = self.cx.now;
        let Some(turn) = &mut self.s.core.turn else { return };
        let Some(placed) = self.s.queue.iter().find(|placed| placed.prompt.id == *id) else {
            turn.offers.remove(id);
            self.dirty = true;
            return;
        };
        let offer = turn.offers.entry(id.clone()).or_insert(Offer {
            sent_at: now,
            tries: 0,
            refused: false,
        });
        offer.sent_at = now;
        offer.tries = offer.tries.saturating_add(1);
        let frame = AgentFrame::Steer {
            turn_id: turn.id.clone(),
            prompt_id: id.clone(),
            text: placed.prompt.text.clone(),
            model: placed
                .prompt
                .model
                .clone()
                .unwrap_or_else(|| self.s.core.spec.model.clone()),
        };
        self.dirty = true;
        self.tell_runner(frame);
    }

    /// The runner that has just connected hears again what it has not answered.
    pub(crate) fn offer_again(&mut self) {
        if self.s.steerable() {
            for id in self.unanswered(|_| true) {
                self.offer(&id);
            }
        }
    }

    /// Offers without an answer are repeated; after some tries the prompt waits for a turn of its own.
    pub(crate) fn steer_due(&mut self) {
        if !self.s.steerable() {
            return;
        }
        let (now, timings) = (self.cx.now, self.cx.timings);
        for id in self.unanswered(|offer| offer.sent_at.plus(timings.accept) <= now) {
            let tries = |turn: &crate::core::Turn| turn.offers.get(&id).map_or(0, |offer| offer.tries);
            if self.s.core.turn.as_ref().map_or(0, tries) < timings.accept_attempts {
                self.offer(&id);
                continue;
            }
            let cause = Cause::new(
                "steer_unanswered",
                "The runner did not take a prompt in for the running turn.",
            );
            self.verdict(Watchdog::Accept, cause, "It runs as a turn of its own, after this one.");
            self.refuse_offer(&id);
        }
    }

    fn unanswered(&self, wanted: impl Fn(&Offer) -> bool) -> Vec<PromptId> {
        let empty = BTreeMap::new();
        let offers = self.s.core.turn.as_ref().map_or(&empty, |turn| &turn.offers);
        let open = offers.iter().filter(|(_, offer)| !offer.refused && wanted(offer));
        open.map(|(id, _)| id.clone()).collect()
    }

    fn refuse_offer(&mut self, id: &PromptId) {
        let turn = self.s.core.turn.as_mut();
        if let Some(offer) = turn.and_then(|turn| turn.offers.get_mut(id)) {
            offer.refused = true;
            self.dirty = true;
        }
    }

    /// The runner has it: from now on it belongs to that turn.
    pub(crate) fn steer_accepted(&mut self, turn_id: TurnId, prompt_id: PromptId) {
        let Some(at) = self.s.queue.iter().position(|placed| placed.prompt.id == prompt_id) else {
            return; // Known already, or it was taken back or begun otherwise.
        };
        let mut placed = self.s.queue.remove(at);
        let current = self.s.core.turn.as_mut().filter(|turn| turn.id == turn_id);
        let runs = current.map(|turn| turn.offers.remove(&prompt_id)).is_some();
        // Of a turn that has ended here meanwhile: its end is this prompt's end too.
        placed.prompt.state = if runs {
            PromptState::Steered
        } else {
            PromptState::Failed
        };
        self.put_prompt(&placed);
        if runs {
            // In the order of their places, as a store gives them back.
            let before = |other: &Placed| other.position < placed.position;
            let at = self.s.steered.partition_point(before);
            self.s.steered.insert(at, placed);
        }
        self.log(EventBody::PromptSteered { prompt_id, turn_id });
    }

    /// The turn is about to end for good, and no spool will tell what the runner had taken in for it: what it may have
    /// taken in ends with it.
    pub(crate) fn offers_end_with_turn(&mut self) {
        let turn_id = self.s.core.turn.as_ref().map(|turn| turn.id.clone());
        for prompt_id in self.unanswered(|_| true) {
            if let Some(turn_id) = turn_id.clone() {
                self.steer_accepted(turn_id, prompt_id);
            }
        }
    }

    /// The runner does not take it: it waits for a turn of its own.
    pub(crate) fn steer_refused(&mut self, turn_id: &TurnId, prompt_id: &PromptId) {
        if self.s.core.turn.as_ref().is_some_and(|turn| turn.id == *turn_id) {
            self.refuse_offer(prompt_id);
        }
    }
}
