//! What the log says, event by event, and what must be true of it: positions are contiguous, turns do not overlap, every
//! prompt and every question ends once, what was complete stays so.

use std::collections::{BTreeMap, BTreeSet};

use errand_protocol::event::{Event, EventBody};
use errand_protocol::ids::{BudgetId, InteractionId, PartId, PromptId, TurnId};
use errand_protocol::interaction::{Ask, Resolution};
use errand_protocol::money::Micros;
use errand_protocol::session::{Place, PromptMode, PromptState, TurnOutcome};
use errand_protocol::time::Timestamp;
use errand_protocol::transcript::Part;
use errand_session::NOTE;

use crate::truth::Truth;

/// The books.
#[derive(Debug, Default)]
pub struct Ledger {
    head: u64,
    /// Every prompt that was accepted.
    pub prompts: BTreeMap<PromptId, Entry>,
    /// Those that wait, in order.
    pub queue: Vec<PromptId>,
    /// The turn that runs, and its prompt.
    pub turn: Option<(TurnId, PromptId)>,
    turns: BTreeSet<TurnId>,
    /// Questions; how they were settled.
    pub asks: BTreeMap<InteractionId, Option<Resolution>>,
    open: BTreeSet<PartId>,
    /// Parts that ended, as they ended last.
    pub ended: BTreeMap<PartId, Part>,
    /// Parts that were taken back.
    pub removed: BTreeSet<PartId>,
    stopped: Stopped,
    /// Of which limit and period of a budget it was warned last, since one was extended.
    warned: BTreeMap<BudgetId, (Micros, Option<Timestamp>)>,
}

/// How far it is with a budget that is used up.
#[derive(Debug, Default, PartialEq)]
enum Stopped {
    /// None is.
    #[default]
    No,
    /// The hand-over note may still be written.
    Reached,
    /// It rests, and people are asked this.
    Asked(InteractionId),
}

/// A prompt in the books.
#[derive(Debug)]
pub struct Entry {
    /// Its text now.
    pub text: String,
    /// What became of it.
    pub state: PromptState,
    mode: PromptMode,
    /// The turn that it was handed to.
    steered: Option<TurnId>,
}

impl Ledger {
    /// Enters an event.
    pub fn push(&mut self, event: &Event, truth: &Truth) {
        assert_eq!(event.seq.0, self.head + 1, "gap: positions of the log are contiguous");
        self.head = event.seq.0;
        match &event.body {
            EventBody::PromptQueued { prompt } => {
                let entry = Entry {
                    text: prompt.text.clone().into(),
                    state: PromptState::Queued,
                    mode: prompt.mode,
                    steered: None,
                };
                let first = self.prompts.insert(prompt.id.clone(), entry).is_none();
                assert!(first, "twice: {} was queued before", prompt.id);
                self.enqueue(&prompt.id, prompt.mode);
            }
            EventBody::PromptEdited { prompt_id, text } => {
                self.waits(prompt_id).text = text.clone().into();
            }
            EventBody::PromptWithdrawn { prompt_id, .. } => {
                self.waits(prompt_id).state = PromptState::Withdrawn;
                self.queue.retain(|id| id != prompt_id);
            }
            EventBody::PromptMoved { prompt_id, to, .. } => self.moved(prompt_id, to),
            EventBody::PromptSteered { prompt_id, turn_id } => self.steered(prompt_id, turn_id),
            EventBody::TurnStarted { turn_id, prompt_id } => self.turn_started(turn_id, prompt_id),
            EventBody::TurnFinished { turn_id, outcome, .. } => self.turn_finished(turn_id, *outcome),
            EventBody::BudgetWarned { notice } => {
                let what = (notice.limit, notice.until);
                let before = self.warned.insert(notice.budget.clone(), what);
                assert_ne!(before, Some(what), "twice: of {} it was warned before", notice.budget);
            }
            EventBody::BudgetReached { notice } => {
                let before = std::mem::replace(&mut self.stopped, Stopped::Reached);
                assert_eq!(before, Stopped::No, "twice: {} while it stops already", notice.budget);
            }
            EventBody::InteractionOpened { interaction } => {
                if matches!(interaction.ask, Ask::Budget { .. }) {
                    assert!(self.turn.is_none(), "rest: a budget is asked for while a turn runs");
                    let asked = Stopped::Asked(interaction.id.clone());
                    let before = std::mem::replace(&mut self.stopped, asked);
                    assert_eq!(before, Stopped::Reached, "rest: {} without a stop", interaction.id);
                }
                let first = self.asks.insert(interaction.id.clone(), None).is_none();
                assert!(first, "twice: {} was asked before", interaction.id);
            }
            EventBody::InteractionResolved {
                interaction_id,
                resolution,
            } => self.resolved(interaction_id, resolution),
            EventBody::PartStarted { part, turn_id, .. } => {
                let runs = self.turn.as_ref().is_some_and(|(turn, _)| turn == turn_id);
                assert!(runs, "open: {} began outside of the running turn", part.id);
                self.open.insert(part.id.clone());
            }
            EventBody::PartFinished { part, .. } => self.part_finished(part, truth),
            EventBody::PartRemoved { part_id, .. } => {
                self.open.remove(part_id);
                self.ended.remove(part_id);
                self.removed.insert(part_id.clone());
            }
            _ => {}
        }
    }

    /// While a budget is used up nothing is begun but the hand-over note, and only before it rests.
    fn may_begin(&self, prompt: &PromptId) {
        let allowed = match &self.stopped {
            Stopped::No => true,
            Stopped::Asked(_) => false,
            Stopped::Reached => self.prompts.get(prompt).is_some_and(|entry| entry.text == NOTE),
        };
        assert!(allowed, "budget: {prompt} begins while a budget is used up");
    }

    fn enqueue(&mut self, id: &PromptId, mode: PromptMode) {
        let mut at = self.queue.len();
        if mode == PromptMode::Steer && self.turn.is_some() {
            let steers = |id: &&PromptId| self.prompts[*id].mode == PromptMode::Steer;
            at = self.queue.iter().take_while(steers).count();
        }
        self.queue.insert(at, id.clone());
    }

    fn waits(&mut self, id: &PromptId) -> &mut Entry {
        let entry = self.prompts.get_mut(id);
        let waits = entry.as_ref().is_some_and(|entry| entry.state == PromptState::Queued);
        assert!(waits, "ends twice: {id} does not wait");
        entry.unwrap()
    }

    fn moved(&mut self, id: &PromptId, to: &Place) {
        self.waits(id);
        self.queue.retain(|other| other != id);
        let at = match to {
            Place::First => 0,
            Place::Last => self.queue.len(),
            Place::Before(other) => self.queue.iter().position(|id| id == other).unwrap_or(self.queue.len()),
        };
        self.queue.insert(at, id.clone());
    }

    fn steered(&mut self, id: &PromptId, turn: &TurnId) {
        let runs = self.turn.as_ref().is_some_and(|(current, _)| current == turn);
        assert!(runs || self.turns.contains(turn), "steered: {turn} never ran");
        let entry = self.waits(id);
        entry.state = if runs {
            PromptState::Steered
        } else {
            PromptState::Failed
        };
        entry.steered = Some(turn.clone());
        self.queue.retain(|other| other != id);
    }

    fn turn_started(&mut self, turn: &TurnId, prompt: &PromptId) {
        assert!(self.turn.is_none(), "two turns: {turn} begins while another runs");
        assert!(self.turns.insert(turn.clone()), "twice: {turn} began before");
        self.may_begin(prompt);
        assert_eq!(
            self.queue.first(),
            Some(prompt),
            "order: the first of the queue runs next"
        );
        self.waits(prompt).state = PromptState::Running;
        self.queue.remove(0);
        self.turn = Some((turn.clone(), prompt.clone()));
    }

    fn turn_finished(&mut self, turn: &TurnId, outcome: TurnOutcome) {
        let (current, prompt) = self.turn.take().unwrap();
        assert_eq!(&current, turn, "two turns: another one ends than runs");
        assert!(
            self.open.is_empty(),
            "open: parts are left open by their turn: {:?}",
            self.open
        );
        let unsettled = self.asks.iter().find(|(_, settled)| settled.is_none());
        assert!(unsettled.is_none(), "open: a question outlives its turn: {unsettled:?}");
        let state = match outcome {
            TurnOutcome::Done => PromptState::Done,
            TurnOutcome::Failed => PromptState::Failed,
            TurnOutcome::Aborted => PromptState::Aborted,
        };
        for (id, entry) in &mut self.prompts {
            if *id == prompt || entry.state == PromptState::Steered {
                entry.state = state;
            }
        }
    }

    fn resolved(&mut self, id: &InteractionId, resolution: &Resolution) {
        let ask = self.asks.get_mut(id);
        let open = ask.as_ref().is_some_and(|settled| settled.is_none());
        assert!(open, "resolved twice: {id}");
        *ask.unwrap() = Some(resolution.clone());
        if matches!(&self.stopped, Stopped::Asked(asked) if asked == id) {
            self.stopped = Stopped::No;
            self.warned.clear();
        }
    }

    fn part_finished(&mut self, part: &Part, truth: &Truth) {
        self.open.remove(&part.id);
        let Some(real) = truth.parts.get(&part.id) else {
            panic!("invented: the engine has no {}", part.id);
        };
        let whole = real.done.as_ref() == Some(part);
        let said = real.said(part.streaming_text().unwrap_or_default());
        assert!(
            whole || said,
            "invented: the engine never said what the log has of {}",
            part.id
        );
        let old = self.ended.insert(part.id.clone(), part.clone());
        let was_whole = old.is_some_and(|old| real.done == Some(old));
        assert!(whole || !was_whole, "cut: {} was complete before", part.id);
    }
}
