//! From the engine's events to what the SessionAgent is told. Pure: no I/O, no clock.
//!
//! Owns: which message, part and interaction belongs to the turn, sub-agents' parts under their call, what was
//! reported already ([`Reported`]), and when a turn is settled. Because everything is checked against what was
//! reported, the engine's own messages may be replayed at any time and only what is missing comes out.

mod asks;
mod transcript;
mod turn;

pub use asks::interaction_id;
pub use turn::Ending;

use std::collections::{BTreeMap, VecDeque};

use errand_protocol::ids::{MessageId, PartId, TurnId};
use errand_protocol::runner::RunnerEvent;
use errand_protocol::session::{FileChange, Usage};
use errand_protocol::time::Timestamp;

use self::turn::{Level, Turn};
use super::{files, parts};
use crate::cause;
use crate::engine::event::{EngineEvent, SessionInfo, Status};
use crate::reported::Reported;

/// Where an event comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// The event stream.
    Live,
    /// The engine's messages, read after events were missed: the text of parts in progress cannot be followed.
    Resumed,
    /// The engine's messages, read after it died: nothing is in progress.
    Crashed,
}

/// What follows from an event.
#[derive(Debug, Clone, PartialEq)]
pub enum Output {
    /// To be reported.
    Event(RunnerEvent),
    /// Text was added to an open part.
    Append(PartId, String),
    /// An open part's whole text is this.
    Set(PartId, String),
    /// An open part's text can no longer be followed; the finished part will have it.
    Lost(PartId),
}

#[derive(Debug, Clone)]
struct Child {
    message: MessageId,
    part: PartId,
}

#[derive(Debug)]
struct Known {
    session: String,
    assistant: bool,
    compaction: bool,
}

/// The mapper of one engine session.
#[derive(Debug)]
pub struct Mapper {
    root: String,
    workspace: String,
    named: bool,
    reported: Reported,
    turn: Option<Turn>,
    children: BTreeMap<String, Child>,
    parents: BTreeMap<String, String>,
    held: VecDeque<EngineEvent>,
    messages: BTreeMap<String, Known>,
    calls: BTreeMap<String, PartId>,
    /// Un-ended prose and reasoning, and its session.
    prose: BTreeMap<PartId, String>,
    out: Vec<Output>,
}

impl Mapper {
    /// For the engine session `root` in `workspace`. `named`: a person chose the title, the engine's is not wanted.
    pub fn new(root: &str, workspace: &str, named: bool, reported: Reported) -> Self {
        Self {
            root: root.to_owned(),
            workspace: workspace.to_owned(),
            named,
            reported,
            turn: None,
            children: BTreeMap::new(),
            parents: BTreeMap::new(),
            held: VecDeque::new(),
            messages: BTreeMap::new(),
            calls: BTreeMap::new(),
            prose: BTreeMap::new(),
            out: Vec::new(),
        }
    }

    /// From now on the engine works on this turn, whose prompt is the message `prompt`.
    pub fn begin(&mut self, id: TurnId, prompt: MessageId) {
        self.children.clear();
        self.held.clear();
        self.messages.clear();
        self.calls.clear();
        self.prose.clear();
        self.turn = Some(Turn::new(id, prompt));
    }

    /// The message of a further prompt that the turn has to answer.
    pub fn steer(&mut self, message: MessageId) {
        if let Some(turn) = &mut self.turn
            && !turn.steers.contains(&message)
        {
            turn.steers.push(message);
            turn.diffs = None;
        }
    }

    /// Whether the engine is idle though a steered prompt has no answer.
    pub fn overlooked(&self) -> bool {
        self.idle() && self.settled().is_none() && self.turn.as_ref().is_some_and(Turn::unheard)
    }

    /// The engine was given something: what it does now is not known until it says so.
    pub fn stirred(&mut self) {
        if let Some(turn) = &mut self.turn {
            turn.level = Level::Unknown;
        }
    }

    /// The turn in progress.
    pub fn turn(&self) -> Option<&TurnId> {
        self.turn.as_ref().map(|turn| &turn.id)
    }

    /// The message of the turn's prompt.
    pub fn prompt(&self) -> Option<&MessageId> {
        self.turn.as_ref().map(|turn| &turn.prompt)
    }

    /// The messages of all prompts of the turn, oldest first.
    pub fn prompts(&self) -> Vec<MessageId> {
        let turn = self.turn.iter();
        turn.flat_map(|turn| std::iter::once(&turn.prompt).chain(&turn.steers))
            .cloned()
            .collect()
    }

    /// The turn is being stopped: how it ends is known.
    pub fn stop(&mut self, ending: Ending) {
        if let Some(turn) = &mut self.turn {
            turn.stopping.get_or_insert(ending);
        }
    }

    /// How it will have ended, while it is being stopped.
    pub fn stopped_as(&self) -> Option<&Ending> {
        self.turn.as_ref().and_then(|turn| turn.stopping.as_ref())
    }

    /// Whether it is being stopped.
    pub fn stopping(&self) -> bool {
        self.stopped_as().is_some()
    }

    /// Whether the engine is idle, as far as known.
    pub fn idle(&self) -> bool {
        self.turn.as_ref().is_some_and(|turn| turn.level == Level::Idle)
    }

    /// What was reported so far.
    pub const fn reported(&self) -> &Reported {
        &self.reported
    }

    /// Sub-agents' sessions of this turn, as far as known.
    pub fn child_sessions(&self) -> Vec<String> {
        self.parents
            .keys()
            .filter(|session| self.in_tree(session))
            .cloned()
            .collect()
    }

    /// The engine has the prompt.
    pub fn accepted(&mut self) -> Vec<Output> {
        self.accept();
        std::mem::take(&mut self.out)
    }

    /// Takes an event in.
    pub fn handle(&mut self, event: EngineEvent, source: Source, now: Timestamp) -> Vec<Output> {
        self.take(event, source, now);
        std::mem::take(&mut self.out)
    }

    /// How the turn ended, once the engine is idle, its last message complete, and every prompt answered. `None` while it
    /// goes on.
    pub fn settled(&self) -> Option<Ending> {
        let turn = self.turn.as_ref()?;
        let unfinished = self.reported.messages.values().any(|finished| !finished);
        let begun = !self.reported.messages.is_empty() || turn.run_error.is_some();
        if turn.level != Level::Idle || unfinished || !begun {
            return None;
        }
        turn.ending(!self.reported.messages.is_empty())
    }

    /// Whether the model was to be asked again, as far as the last message tells.
    pub fn between_steps(&self) -> bool {
        self.turn.as_ref().is_some_and(|turn| turn.between)
    }

    /// The changes of the turn, when the engine summed them up after it went idle. It does so by prompt: with several,
    /// it must be asked for each.
    pub fn final_diffs(&self) -> Option<Vec<FileChange>> {
        let turn = self.turn.as_ref().filter(|turn| turn.steers.is_empty())?;
        let diffs = turn.diffs.as_ref()?;
        Some(files::files(std::slice::from_ref(diffs), &self.workspace))
    }

    /// Ends the turn: nothing stays open. `text_of` gives the text of an open part as far as it came.
    pub fn finish(
        &mut self,
        ending: Ending,
        files: Vec<FileChange>,
        text_of: impl Fn(&PartId) -> Option<String>,
        now: Timestamp,
    ) -> Vec<Output> {
        let Some(turn_id) = self.turn().cloned() else {
            return Vec::new();
        };
        self.accept();
        for interaction_id in self.reported.interactions.clone() {
            self.emit(RunnerEvent::InteractionClosed { interaction_id });
        }
        for id in self.reported.open_parts() {
            self.interrupt(&turn_id, &id, text_of(&id).as_deref(), now);
        }
        let unfinished: Vec<_> = self
            .reported
            .messages
            .iter()
            .filter(|(_, finished)| !**finished)
            .collect();
        for message_id in unfinished.into_iter().map(|(id, _)| id.clone()).collect::<Vec<_>>() {
            self.emit(RunnerEvent::MessageFinished {
                turn_id: turn_id.clone(),
                message_id,
                cause: ending.cause.clone(),
            });
        }
        let usage = self.turn.take().map(|turn| turn.usage).unwrap_or_default();
        let usage = usage.values().fold(Usage::default(), parts::add);
        let Ending { outcome, cause } = ending;
        self.emit(RunnerEvent::TurnFinished {
            turn_id,
            outcome,
            cause,
            usage,
            files,
        });
        std::mem::take(&mut self.out)
    }

    fn emit(&mut self, event: RunnerEvent) {
        self.reported.apply(&event);
        self.out.push(Output::Event(event));
    }

    fn accept(&mut self) {
        if let Some(turn_id) = self.turn().cloned()
            && self.reported.turn.as_ref() != Some(&turn_id)
        {
            self.emit(RunnerEvent::TurnAccepted { turn_id });
        }
    }

    fn take(&mut self, event: EngineEvent, source: Source, now: Timestamp) {
        match event {
            EngineEvent::Session(info) => self.session(info),
            EngineEvent::Status(session, status) => self.status(&session, status, now),
            EngineEvent::Failed(session, error) => {
                if session.as_ref() == Some(&self.root)
                    && let Some(turn) = &mut self.turn
                {
                    turn.run_error = Some(error);
                }
            }
            EngineEvent::Message(info) => self.message(info),
            EngineEvent::Part(info) => self.part(&info, source, now),
            EngineEvent::PartRemoved(part) => self.remove(&part),
            EngineEvent::Delta { part, text } => {
                if let Ok(part) = PartId::try_from(part)
                    && self.reported.open_part(&part).is_some()
                {
                    self.out.push(Output::Append(part, text));
                }
            }
            EngineEvent::Permission(ask) => {
                let (id, session, tool) = (ask.id.clone(), ask.session.clone(), ask.tool.clone());
                let ask = parts::permission(ask, &self.workspace);
                self.asked(&id, &session, tool.as_ref(), ask);
            }
            EngineEvent::Question(ask) => {
                let (id, session, tool) = (ask.id.clone(), ask.session.clone(), ask.tool.clone());
                self.asked(&id, &session, tool.as_ref(), parts::questions(ask));
            }
            EngineEvent::Settled(request) => {
                if let Some(interaction_id) = interaction_id(&request)
                    && self.reported.interactions.contains(&interaction_id)
                {
                    self.emit(RunnerEvent::InteractionClosed { interaction_id });
                }
            }
            EngineEvent::Todos(session, todos) => {
                if session == self.root {
                    self.emit(RunnerEvent::Todos {
                        todos: parts::todos(todos),
                    });
                }
            }
        }
    }

    fn session(&mut self, info: SessionInfo) {
        if let Some(parent) = info.parent {
            self.parents.insert(info.id, parent);
        } else if info.id == self.root
            && !self.named
            && !info.title.is_empty()
            && !info.title.starts_with("New session - ")
            && self.reported.title.as_ref() != Some(&info.title)
        {
            self.emit(RunnerEvent::Title { title: info.title });
        }
    }

    fn in_tree(&self, session: &str) -> bool {
        let mut at = session;
        for _ in 0..16 {
            if at == self.root {
                return true;
            }
            let Some(parent) = self.parents.get(at) else {
                return false;
            };
            at = parent;
        }
        false
    }

    fn status(&mut self, session: &str, status: Status, now: Timestamp) {
        let root = session == self.root;
        if !root && !self.in_tree(session) {
            return;
        }
        let Some(turn) = &mut self.turn else { return };
        match status {
            Status::Idle if root => turn.level = Level::Idle,
            Status::Busy if root => {
                turn.level = Level::Busy;
                turn.diffs = None;
            }
            Status::Idle | Status::Busy => {}
            Status::Retry { attempt, message, next } => {
                let message = cause::retry_message(&message);
                let tried = Some((session.to_owned(), attempt, message.clone()));
                if root {
                    turn.level = Level::Busy;
                }
                if turn.retry == tried {
                    return;
                }
                turn.retry = tried;
                let turn_id = turn.id.clone();
                self.discard_prose(session);
                self.emit(RunnerEvent::TurnRetrying {
                    turn_id,
                    attempt,
                    message,
                    next_at: Timestamp::from_millis(next.max(now.millis())),
                });
            }
        }
    }
}
