//! The engine: takes prompts, writes messages and parts, asks people. It outlives the runner's process, not its own,
//! and remembers on the disk what was complete.

use errand_protocol::ids::{PromptId, TurnId};
use errand_protocol::session::TurnOutcome;
use errand_protocol::transcript::{Part, PartBody, ToolStatus};

use crate::disk::{AskRecord, MessageRecord, PartRecord, PartState, TurnRecord};
use crate::event::Event;
use crate::make::{ask, cause, interaction_id, message_id, part_id, time};
use crate::rng::Rng;
use crate::world::World;

/// An engine's process.
#[derive(Debug)]
pub struct Engine {
    /// Which of all engines that ever ran.
    pub number: u64,
    /// The turn that it works on.
    pub turn: Option<TurnId>,
    /// It does nothing more, and does not say so.
    pub stuck: bool,
    /// It does not even stop when it is told to.
    pub deaf: bool,
    rng: Rng,
}

const TEXTS: [&str; 5] = [
    "tёxt😀",
    "a",
    "lines\nand lines\n",
    "é",
    "to be longer than the others 🙂 ",
];

impl World {
    /// A new engine process.
    pub fn new_engine(&mut self) -> Engine {
        self.counts.engines += 1;
        Engine {
            number: self.counts.engines,
            turn: None,
            stuck: false,
            deaf: false,
            rng: Rng::stream(self.seed, 3, self.counts.engines),
        }
    }

    /// The engine gets a turn's prompt. The same one again changes nothing.
    pub fn engine_takes(&mut self, at: usize, turn: &TurnId, text: &str) {
        let prompt = self.truth.prompt_of(turn);
        let Some((disk, engine)) = self.host.disk_and_engine(at) else {
            return;
        };
        if disk.record.turns.contains_key(turn) {
            return;
        }
        let todo = 1 + engine.rng.below(5);
        let record = TurnRecord {
            todo,
            works: true,
            ..TurnRecord::default()
        };
        engine.turn = Some(turn.clone());
        disk.record_mut().turns.insert(turn.clone(), record);
        let (number, engine) = (disk.number, engine.number);
        self.handed(&prompt, number, text);
        self.plan_work(at, engine);
    }

    /// The engine gets a further prompt during a turn.
    pub fn engine_steers(&mut self, at: usize, turn: &TurnId, prompt: &PromptId, text: &str) {
        let Some((disk, engine)) = self.host.disk_and_engine(at) else {
            return;
        };
        if disk.record.steered.contains_key(prompt) || engine.turn.as_ref() != Some(turn) {
            return;
        }
        let record = disk.record_mut();
        record.steered.insert(prompt.clone(), turn.clone());
        if let Some(turn) = record.turns.get_mut(turn) {
            turn.waiting += 1;
        }
        let number = disk.number;
        self.handed(prompt, number, text);
    }

    fn handed(&mut self, prompt: &PromptId, disk: u32, text: &str) {
        self.say(|| format!("the engine gets {prompt}: {text}"));
        self.check_handed(prompt, text);
        self.truth.handed.entry(prompt.clone()).or_default().push(disk);
    }

    /// The engine will do something in a while.
    pub fn plan_work(&mut self, at: usize, engine: u64) {
        let Some((_, state)) = self.host.disk_and_engine(at) else {
            return;
        };
        let slowest = if state.rng.one_in(12) { 20_000 } else { 900 };
        let delay = state.rng.span(1, slowest);
        self.later(delay, Event::Work(at, engine));
    }

    /// The engine does its next thing.
    pub fn work(&mut self, at: usize, number: u64) {
        let now = self.now;
        let Some((disk, engine)) = self.host.disk_and_engine(at) else {
            return;
        };
        if engine.number != number || engine.stuck {
            return;
        }
        let Some(turn) = engine.turn.clone() else { return };
        let disk_number = disk.number;
        let Some(record) = disk.record_mut().turns.get_mut(&turn) else {
            return;
        };
        if record.asks() {
            return;
        }
        let rng = &mut engine.rng;
        if record.open_part().is_some() {
            write(record, rng, now, &mut self.truth);
        } else if record.waiting > 0 {
            record.waiting -= 1;
            record.todo = record.todo.max(1);
            close_message(record);
        } else if record.todo > 0 {
            record.todo -= 1;
            self.counts.parts += 1;
            begin(record, rng, now, self.counts.parts, disk_number, &mut self.truth);
        } else {
            close_message(record);
            let failed = rng.one_in(10).then(|| cause("model_auth"));
            let outcome = if failed.is_some() {
                TurnOutcome::Failed
            } else {
                TurnOutcome::Done
            };
            record.ended = Some((outcome, failed));
            record.works = false;
            engine.turn = None;
        }
        self.engine_did(at);
        self.plan_work(at, number);
    }

    /// The engine is told to stop a turn.
    pub fn engine_stops(&mut self, at: usize, turn: &TurnId) {
        let Some((disk, engine)) = self.host.disk_and_engine(at) else {
            return;
        };
        if engine.deaf || engine.turn.as_ref() != Some(turn) {
            return;
        }
        engine.turn = None;
        engine.stuck = false;
        if let Some(record) = disk.record_mut().turns.get_mut(turn) {
            record.stop();
            record.ended = Some((TurnOutcome::Aborted, None));
        }
        self.engine_did(at);
    }

    /// The engine's process is gone.
    pub fn engine_dies(&mut self, at: usize) {
        let sandbox = &mut self.host.sandboxes[at];
        sandbox.engine = None;
        if let Some(disk) = &mut sandbox.disk
            && disk.record.turns.values().any(|turn| turn.works)
        {
            disk.record_mut().turns.values_mut().for_each(TurnRecord::stop);
        }
    }
}

fn close_message(record: &mut TurnRecord) {
    if let Some(message) = record.messages.last_mut() {
        message.done = true;
    }
}

/// Goes on with the part that is open.
fn write(record: &mut TurnRecord, rng: &mut Rng, now: i64, truth: &mut crate::truth::Truth) {
    let Some(open) = record.open_part() else { return };
    let id = open.part.id.clone();
    let tool = matches!(open.part.body, PartBody::Tool { .. });
    match rng.below(10) {
        0..=4 => {
            open.text.push_str(TEXTS[rng.below(TEXTS.len())]);
            truth.grow(&id, &open.text);
        }
        5 if tool => {
            open.text = format!("…{}", TEXTS[rng.below(TEXTS.len())]);
            truth.rewrite(&id, &open.text);
        }
        6 if tool => {
            if let PartBody::Tool { status, .. } = &mut open.part.body {
                *status = ToolStatus::Running;
            }
        }
        7 if rng.one_in(3) => {
            open.state = PartState::Gone;
            truth.removed(&id);
        }
        _ => {
            open.state = PartState::Done;
            if let PartBody::Tool { status, .. } = &mut open.part.body {
                *status = ToolStatus::Completed;
            }
            let mut part = open.part.clone().with_streaming_text(open.text.clone());
            part.ended_at = Some(time(now));
            open.part = part.clone();
            truth.done(&id, part);
        }
    }
}

/// Begins a part, in a new message perhaps, or asks a person.
fn begin(record: &mut TurnRecord, rng: &mut Rng, now: i64, number: u64, disk: u32, truth: &mut crate::truth::Truth) {
    if record.messages.last().is_none_or(|last| last.done) {
        let id = message_id(number);
        let (parts, done) = (Vec::new(), false);
        record.messages.push(MessageRecord { id, parts, done });
    } else if rng.one_in(4) {
        record.asks.push(AskRecord {
            id: interaction_id(number),
            ask: ask(rng.one_in(3)),
            open: true,
        });
        return;
    }
    let Some(message) = record.messages.last_mut() else {
        return;
    };
    let body = match rng.below(3) {
        0 => PartBody::Tool {
            tool: "bash".to_owned(),
            title: None,
            status: ToolStatus::Pending,
            input: serde_json::Value::Null,
            output: None,
            error: None,
            diff: None,
            exit_code: None,
            truncated: false,
        },
        1 => PartBody::Reasoning { text: String::new() },
        _ => PartBody::Text { text: String::new() },
    };
    let part = Part {
        id: part_id(number),
        index: u32::try_from(message.parts.len()).unwrap_or(0),
        parent_part_id: None,
        started_at: time(now),
        ended_at: None,
        body,
    };
    truth.begun(&part.id, disk);
    message.parts.push(PartRecord {
        part,
        text: String::new(),
        state: PartState::Open,
    });
}
