//! What is on a sandbox's disk: the runner's spool and notes, the engine's own record. A successor takes it over.

use std::collections::BTreeMap;
use std::rc::Rc;

use errand_protocol::ids::{InteractionId, MessageId, PromptId, SnapshotId, SpoolId, TurnId};
use errand_protocol::interaction::Ask;
use errand_protocol::runner::RunnerEvent;
use errand_protocol::session::{Cause, TurnOutcome};
use errand_protocol::transcript::Part;
use errand_runner::reported::Reported;

use crate::make::spool_id;

/// A disk.
#[derive(Debug, Clone)]
pub struct Disk {
    /// Which of all disks that ever were.
    pub number: u32,
    /// The runner's spool.
    pub spool: Spool,
    /// Turns that were given to the engine, and whether they have ended.
    pub turns: BTreeMap<TurnId, bool>,
    /// The last of them, and what it asks.
    pub noted: Option<(TurnId, String)>,
    /// Prompts that were taken in for a turn.
    pub steers: BTreeMap<PromptId, TurnId>,
    /// What the engine remembers.
    pub record: Rc<Record>,
    /// The last snapshot that was uploaded from here (or that this was made of), and of which turn.
    pub snapshot: Option<(SnapshotId, Option<TurnId>)>,
    /// The last turn that ended here.
    pub last_turn: Option<TurnId>,
    /// Whether the workspace was made.
    pub made: bool,
}

/// The spool: like the real one, but it drops everything acked at once, so that an ack that came too early is noticed.
#[derive(Debug, Clone)]
pub struct Spool {
    /// The file.
    pub id: SpoolId,
    base: u64,
    events: Vec<Rc<RunnerEvent>>,
    /// What the events say of the turn that goes on.
    pub reported: Reported,
}

impl Spool {
    /// Number of the last event.
    pub fn last(&self) -> u64 {
        self.base + self.events.len() as u64
    }

    /// Up to here everything was acked.
    pub const fn base(&self) -> u64 {
        self.base
    }

    /// Writes an event.
    pub fn append(&mut self, event: RunnerEvent) -> u64 {
        self.reported.apply(&event);
        self.events.push(Rc::new(event));
        self.last()
    }

    /// The event with this number.
    pub fn event(&self, rseq: u64) -> &RunnerEvent {
        let at = rseq.checked_sub(self.base + 1);
        assert!(
            at.is_some(),
            "lost: event {rseq} is wanted again after it was acked (up to {})",
            self.base
        );
        let at = at.and_then(|at| usize::try_from(at).ok()).unwrap();
        &self.events[at]
    }

    /// Everything up to here is stored elsewhere.
    pub fn forget(&mut self, acked: u64) {
        let count = acked.min(self.last()).saturating_sub(self.base);
        self.events.drain(..usize::try_from(count).unwrap());
        self.base += count;
    }
}

impl Disk {
    /// An empty one.
    pub fn new(number: u32) -> Self {
        Self {
            number,
            spool: Spool {
                id: spool_id(number),
                base: 0,
                events: Vec::new(),
                reported: Reported::default(),
            },
            turns: BTreeMap::new(),
            noted: None,
            steers: BTreeMap::new(),
            record: Rc::default(),
            snapshot: None,
            last_turn: None,
            made: false,
        }
    }

    /// The turn that was noted and of which nothing was reported: the engine may have its prompt.
    pub fn unreported(&self) -> Option<&(TurnId, String)> {
        let accepted = self.spool.reported.accepted.as_ref();
        let noted = self.noted.as_ref().filter(|(turn, _)| accepted != Some(turn));
        noted.filter(|(turn, _)| self.turns.get(turn) == Some(&false))
    }

    /// The engine's record, to change.
    pub fn record_mut(&mut self) -> &mut Record {
        Rc::make_mut(&mut self.record)
    }
}

/// The engine's own record: turns by their prompts.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Record {
    /// What was made of each prompt that it got.
    pub turns: BTreeMap<TurnId, TurnRecord>,
    /// Prompts that it took in during a turn.
    pub steered: BTreeMap<PromptId, TurnId>,
}

/// A turn as the engine remembers it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TurnRecord {
    /// Its messages.
    pub messages: Vec<MessageRecord>,
    /// What it asked.
    pub asks: Vec<AskRecord>,
    /// How it ended.
    pub ended: Option<(TurnOutcome, Option<Cause>)>,
    /// Steps that are still to come.
    pub todo: usize,
    /// Steered prompts that wait for the next model step.
    pub waiting: usize,
    /// The engine works on it.
    pub works: bool,
}

/// A message.
#[derive(Debug, Clone, PartialEq)]
pub struct MessageRecord {
    /// Its id.
    pub id: MessageId,
    /// Its parts.
    pub parts: Vec<PartRecord>,
    /// Whether it is complete.
    pub done: bool,
}

/// A part.
#[derive(Debug, Clone, PartialEq)]
pub struct PartRecord {
    /// Without its text while it is open.
    pub part: Part,
    /// Its text.
    pub text: String,
    /// How far it is.
    pub state: PartState,
}

/// How far a part is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PartState {
    /// Being written.
    Open,
    /// Complete.
    Done,
    /// Taken back.
    Gone,
}

/// A question.
#[derive(Debug, Clone, PartialEq)]
pub struct AskRecord {
    /// Which.
    pub id: InteractionId,
    /// What.
    pub ask: Ask,
    /// Whether the engine still waits.
    pub open: bool,
}

impl TurnRecord {
    /// The part that is being written.
    pub fn open_part(&mut self) -> Option<&mut PartRecord> {
        let parts = self.messages.iter_mut().flat_map(|m| &mut m.parts);
        parts.into_iter().find(|p| p.state == PartState::Open)
    }

    /// Whether it waits for a person.
    pub fn asks(&self) -> bool {
        self.asks.iter().any(|ask| ask.open)
    }

    /// The engine stops working on it: nothing half-done is kept.
    pub fn stop(&mut self) {
        self.works = false;
        self.asks.iter_mut().for_each(|ask| ask.open = false);
        for message in &mut self.messages {
            message.parts.retain(|part| part.state != PartState::Open);
        }
    }
}
