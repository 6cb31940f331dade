//! A model of a SessionAgent's storage: tables as maps, transactions that become durable some time after they were
//! made, and a crash that takes back those which are not.
//!
//! Every change notes how to undo it. `tests/store.rs` checks this model against the real SQL.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::rc::Rc;

use errand_protocol::event::Event;
use errand_protocol::ids::{CommandId, PartId, PromptId, Seq, UserId};
use errand_protocol::session::{Prompt, PromptState};
use errand_protocol::text::PromptText;
use errand_protocol::viewer::OpenPart;
use errand_session::{Core, Effect, NumberedStart, Placed, Stored};

/// An open part as it is stored.
#[derive(Debug, Clone, PartialEq)]
struct Row {
    place: u64,
    part: OpenPart,
    pieces: BTreeMap<u32, String>,
}

/// How to take a change back.
#[derive(Debug)]
enum Undo {
    Append,
    Core(Rc<str>),
    Prompt(PromptId, Option<Rc<Placed>>),
    Asked(PromptId),
    Open(PartId, Option<Row>),
    Command(UserId, CommandId),
    Start(Option<Rc<NumberedStart>>),
    Alarm(Option<i64>),
}

/// The storage.
#[derive(Debug, Default)]
pub struct Store {
    log: Vec<Rc<Event>>,
    core: Option<Rc<str>>,
    prompts: BTreeMap<PromptId, Rc<Placed>>,
    asked: BTreeMap<PromptId, PromptText>,
    open: BTreeMap<PartId, Row>,
    commands: BTreeSet<(UserId, CommandId)>,
    start: Option<Rc<NumberedStart>>,
    alarm: Option<i64>,
    /// What is not durable yet: the number of each transaction and how to undo it.
    pending: VecDeque<(u64, Vec<Undo>)>,
    /// Number of the last transaction.
    last: u64,
}

impl Store {
    /// Begins a transaction; what follows belongs to it. Its number.
    pub fn begin(&mut self) -> u64 {
        self.last += 1;
        self.pending.push_back((self.last, Vec::new()));
        self.last
    }

    fn note(&mut self, undo: Undo) {
        if let Some((_, undos)) = self.pending.back_mut() {
            undos.push(undo);
        }
    }

    /// Number of the last transaction that is not durable.
    pub fn pending(&self) -> Option<u64> {
        self.pending.back().map(|(number, _)| *number)
    }

    /// Whether a transaction is durable.
    pub fn is_durable(&self, number: u64) -> bool {
        self.pending.front().is_none_or(|(first, _)| *first > number)
    }

    /// Everything up to this transaction is durable from now on.
    pub fn settle(&mut self, upto: u64) {
        while self.pending.front().is_some_and(|(number, _)| *number <= upto) {
            self.pending.pop_front();
        }
    }

    /// Takes back what is not durable. Whether there was any.
    pub fn crash(&mut self) -> bool {
        let any = !self.pending.is_empty();
        while let Some((_, undos)) = self.pending.pop_back() {
            for undo in undos.into_iter().rev() {
                self.undo(undo);
            }
        }
        any
    }

    fn undo(&mut self, undo: Undo) {
        match undo {
            Undo::Append => drop(self.log.pop()),
            Undo::Core(old) => self.core = Some(old),
            Undo::Prompt(id, old) => put(&mut self.prompts, id, old),
            Undo::Asked(id) => drop(self.asked.remove(&id)),
            Undo::Open(id, old) => put(&mut self.open, id, old),
            Undo::Command(by, id) => drop(self.commands.remove(&(by, id))),
            Undo::Start(old) => self.start = old,
            Undo::Alarm(old) => self.alarm = old,
        }
    }

    /// Stores one durable effect in the transaction that was begun; others change nothing.
    pub fn apply(&mut self, effect: &Effect) {
        match effect {
            Effect::Append(event) => {
                self.log.push(Rc::new(event.clone()));
                self.note(Undo::Append);
            }
            Effect::PutPrompt { prompt, position } => {
                let placed = Placed {
                    prompt: prompt.clone(),
                    position: *position,
                };
                let old = self.prompts.insert(prompt.id.clone(), Rc::new(placed));
                self.note(Undo::Prompt(prompt.id.clone(), old));
            }
            Effect::KeepAsked { id, text } => {
                if !self.asked.contains_key(id) {
                    self.asked.insert(id.clone(), text.clone());
                    self.note(Undo::Asked(id.clone()));
                }
            }
            Effect::SaveCore(json) => {
                if let Some(old) = self.core.replace(Rc::from(json.as_str())) {
                    self.note(Undo::Core(old));
                }
            }
            Effect::PutOpen(part) => {
                let id = part.part.id.clone();
                let place = self.open.values().map(|row| row.place).max().unwrap_or(0) + 1;
                let old = self.open.get(&id).cloned();
                let row = self.open.entry(id.clone()).or_insert_with(|| Row {
                    place,
                    part: part.clone(),
                    pieces: BTreeMap::new(),
                });
                row.part = part.clone();
                self.note(Undo::Open(id, old));
            }
            Effect::SaveText { part_id, offset, text } => self.change(part_id, |row| {
                row.pieces.insert(*offset, text.clone());
            }),
            Effect::ResetText(part_id) => self.change(part_id, |row| row.pieces.clear()),
            Effect::DropOpen(part_id) => {
                let old = self.open.remove(part_id);
                self.note(Undo::Open(part_id.clone(), old));
            }
            Effect::Remember { by, id } => {
                if self.commands.insert((by.clone(), id.clone())) {
                    self.note(Undo::Command(by.clone(), id.clone()));
                }
            }
            Effect::PutStart(start) => {
                if self.start.as_ref().is_none_or(|old| old.number <= start.number) {
                    let old = self.start.replace(Rc::new(start.clone()));
                    self.note(Undo::Start(old));
                }
            }
            Effect::AddVerdict(_)
            | Effect::Viewers(_)
            | Effect::Runner(_)
            | Effect::Welcome { .. }
            | Effect::GrantToken { .. }
            | Effect::CloseRunner { .. }
            | Effect::Sandbox(_)
            | Effect::Index(_)
            | Effect::Book(_)
            | Effect::Sample(_)
            | Effect::DropSnapshot(_) => {}
        }
    }

    fn change(&mut self, id: &PartId, change: impl FnOnce(&mut Row)) {
        let Some(row) = self.open.get_mut(id) else { return };
        let old = row.clone();
        change(row);
        self.note(Undo::Open(id.clone(), Some(old)));
    }

    /// Sets or clears the alarm, with the transaction that is pending, or at once when none is.
    pub fn set_alarm(&mut self, at: Option<i64>) {
        let old = std::mem::replace(&mut self.alarm, at);
        self.note(Undo::Alarm(old));
    }

    /// When the alarm is set.
    pub const fn alarm(&self) -> Option<i64> {
        self.alarm
    }

    /// The machine's own state, as JSON.
    pub fn core_json(&self) -> Option<&str> {
        self.core.as_deref()
    }

    /// What [`errand_session::Session::from_stored`] wants. `core` is the stored one, read.
    pub fn stored(&self, core: Core) -> Stored {
        let waits = |placed: &&Rc<Placed>| {
            let state = placed.prompt.state;
            matches!(state, PromptState::Queued | PromptState::Running | PromptState::Steered)
        };
        let mut prompts: Vec<Placed> = self.prompts.values().filter(waits).map(|p| (**p).clone()).collect();
        prompts.sort_by_key(|placed| placed.position);
        let mut rows: Vec<&Row> = self.open.values().collect();
        rows.sort_by_key(|row| row.place);
        let text = |row: &Row| row.pieces.values().map(String::as_str).collect();
        Stored {
            core,
            prompts,
            open: rows.into_iter().map(|row| (row.part.clone(), text(row))).collect(),
            start: self.start.as_deref().cloned(),
        }
    }

    /// A prompt, whatever became of it.
    pub fn prompt(&self, id: &PromptId) -> Option<&Placed> {
        self.prompts.get(id).map(Rc::as_ref)
    }

    /// A prompt with the text that it came with.
    pub fn prompt_as_asked(&self, id: &PromptId) -> Option<Prompt> {
        let mut prompt = self.prompt(id)?.prompt.clone();
        if let Some(asked) = self.asked.get(id) {
            prompt.text = asked.clone();
        }
        Some(prompt)
    }

    /// All prompts ever accepted.
    pub fn prompts(&self) -> impl Iterator<Item = &Placed> {
        self.prompts.values().map(Rc::as_ref)
    }

    /// How many parts are open.
    pub fn open_count(&self) -> usize {
        self.open.len()
    }

    /// Whether this person's command was carried out.
    pub fn knows(&self, by: &UserId, id: &CommandId) -> bool {
        self.commands.contains(&(by.clone(), id.clone()))
    }

    /// The log.
    pub fn log(&self) -> &[Rc<Event>] {
        &self.log
    }

    /// The event at a position.
    pub fn event(&self, seq: Seq) -> Option<&Rc<Event>> {
        let at = usize::try_from(seq.0).ok()?.checked_sub(1)?;
        self.log.get(at)
    }
}

fn put<K: Ord, V>(map: &mut BTreeMap<K, V>, key: K, value: Option<V>) {
    match value {
        Some(value) => drop(map.insert(key, value)),
        None => drop(map.remove(&key)),
    }
}
