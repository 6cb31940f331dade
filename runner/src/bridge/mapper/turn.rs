//! The turn in progress, as far as the engine's events tell of it, and how it ends. Pure.

use std::collections::BTreeMap;

use errand_protocol::ids::{MessageId, TurnId};
use errand_protocol::session::{Cause, TurnOutcome, Usage};
use serde_json::Value;

use crate::cause;
use crate::engine::event::{EngineError, MessageInfo};

/// How a settled turn ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Ending {
    /// How.
    pub outcome: TurnOutcome,
    /// Why, unless done.
    pub cause: Option<Cause>,
}

impl Ending {
    /// It failed.
    pub const fn failed(cause: Cause) -> Self {
        Self {
            outcome: TurnOutcome::Failed,
            cause: Some(cause),
        }
    }

    /// It was stopped.
    pub fn aborted() -> Self {
        Self {
            outcome: TurnOutcome::Aborted,
            cause: Some(cause::aborted()),
        }
    }

    /// What the engine says of a turn that nobody stops. One that it calls aborted was broken off with it: it ends its
    /// work so when its process is told to end.
    fn of(error: &EngineError) -> Self {
        let cause = cause::of_engine(error);
        Self::failed(if cause.code == "aborted" {
            cause::engine_stopped()
        } else {
            cause
        })
    }
}

/// What the engine is known to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Level {
    Unknown,
    Busy,
    Idle,
}

#[derive(Debug)]
pub(super) struct Turn {
    pub(super) id: TurnId,
    pub(super) prompt: MessageId,
    /// Messages of prompts that were handed to the running turn, in the order of handing over.
    pub(super) steers: Vec<MessageId>,
    pub(super) level: Level,
    /// It is being stopped: so it will have ended.
    pub(super) stopping: Option<Ending>,
    /// The newest prompt that a finished message answers.
    heard: String,
    /// Of the last finished message.
    error: Option<EngineError>,
    /// Whether the last finished message was ended by the model.
    answered: bool,
    /// Of the run, when there was no message to carry it.
    pub(super) run_error: Option<EngineError>,
    pub(super) usage: BTreeMap<String, Usage>,
    /// The engine's summary of changes, when it came after the turn went idle.
    pub(super) diffs: Option<Value>,
    /// The last retry: of which session, which try, and why.
    pub(super) retry: Option<(String, u32, String)>,
}

impl Turn {
    pub(super) const fn new(id: TurnId, prompt: MessageId) -> Self {
        Self {
            id,
            prompt,
            steers: Vec::new(),
            level: Level::Unknown,
            stopping: None,
            heard: String::new(),
            error: None,
            answered: false,
            run_error: None,
            usage: BTreeMap::new(),
            diffs: None,
            retry: None,
        }
    }

    /// One of the turn's messages is complete.
    pub(super) fn finished(&mut self, info: &MessageInfo) {
        self.error.clone_from(&info.error);
        self.answered = info.finish.is_some();
        if let Some(parent) = info.parent.as_ref().filter(|parent| **parent > self.heard) {
            self.heard.clone_from(parent);
        }
    }

    /// Whether a steered prompt has no complete answer yet. One answer may be to several prompts: it names the newest.
    pub(super) fn unheard(&self) -> bool {
        self.steers
            .last()
            .is_some_and(|steer| steer.as_str() > self.heard.as_str())
    }

    /// How it ended, for an engine that is idle with complete messages. `None`: a steered prompt waits for its answer.
    pub(super) fn ending(&self, any_message: bool) -> Option<Ending> {
        let error = if any_message { &self.error } else { &self.run_error };
        match (&self.stopping, error) {
            (Some(ending), _) => Some(ending.clone()),
            (None, Some(error)) => Some(Ending::of(error)),
            (None, None) if self.unheard() => None,
            (None, None) if self.answered => Some(Ending {
                outcome: TurnOutcome::Done,
                cause: None,
            }),
            // The engine gave up without saying so.
            (None, None) => {
                let said = self.retry.as_ref().map(|(_, _, message)| message.as_str());
                Some(Ending::failed(
                    said.map_or_else(cause::engine_stopped, cause::model_gave_up),
                ))
            }
        }
    }
}
