//! What people may do to a session over HTTP: each route is a command of the machine. With an `Idempotency-Key` the
//! command has an id that is derived from who, where and the key: repeating it is answered, and not carried out again.

use std::cell::RefCell;
use std::rc::Rc;

use errand_access::{Action, Actor};
use errand_protocol::api::{PatchPrompt, PatchSession, PostAbort, PostAnswer, PostPrompt, PromptAccepted};
use errand_protocol::ids::{CommandId, InteractionId, PromptId};
use errand_protocol::interaction::Answer as Said;
use errand_protocol::session::Prompt;
use errand_protocol::viewer::Command;
use errand_session::{Input, store};
use serde::de::DeserializeOwned;
use worker::Response;

use super::Agent;
use super::reads::summary;
use super::routes::Answer;
use crate::http::audit::Note;
use crate::http::error::ApiError;
use crate::http::json::parse_json;
use crate::platform::{clock, ids};

/// One request that changes something.
pub(super) struct Write<'a> {
    /// On what.
    pub(super) agent: &'a Rc<Agent>,
    /// Who.
    pub(super) actor: &'a Actor,
    /// Its method and address below the session's.
    pub(super) route: String,
    /// The caller's own name for it.
    pub(super) key: Option<String>,
    /// Its body.
    pub(super) body: Vec<u8>,
    /// What the audit log is to say of it.
    pub(super) note: RefCell<Note>,
}

impl Write<'_> {
    /// The body of a request that has one.
    pub(super) fn required<T: DeserializeOwned>(&self) -> Result<T, ApiError> {
        parse_json(&self.body)
    }

    /// The body of a request that need not have one.
    pub(super) fn optional<T: DeserializeOwned + Default>(&self) -> Result<T, ApiError> {
        if self.body.is_empty() {
            return Ok(T::default());
        }
        parse_json(&self.body)
    }

    /// The id that belongs to the key, for a thing of this kind.
    pub(super) fn derived<T: ids::Minted>(&self, kind: &str) -> Result<Option<T>, ApiError> {
        let session = self.agent.id()?;
        let person = self.actor.person.id.as_str();
        let of = |key: &String| ids::derive(person, kind, &format!("{session} {} {key}", self.route));
        Ok(self.key.as_ref().map(of))
    }

    /// Carries a command out; `part` tells apart those of one request.
    fn carry_out(&self, part: &str, command: Command) -> Result<(), ApiError> {
        self.agent.tell(&command, &mut self.note.borrow_mut());
        let id: Option<CommandId> = self.derived(&format!("command {part}"))?;
        self.agent.step(Input::Command {
            by: self.actor.person.clone(),
            id,
            command,
        })
    }

    /// Carries a command out and answers with the session.
    pub(super) fn command(&self, command: Command) -> Answer {
        self.carry_out("", command)?;
        summary(self.agent)
    }

    pub(super) fn patch_session(&self) -> Answer {
        let PatchSession { title, visibility } = self.required()?;
        let rename = title.map(|title| ("title", Command::Rename { title }));
        let share = visibility.map(|visibility| ("visibility", Command::Share { visibility }));
        let changes = || rename.iter().chain(&share);
        // All are allowed, or none is made.
        for (_, command) in changes() {
            self.agent.allow(self.actor, Action::of_command(command))?;
        }
        for (part, command) in changes() {
            self.carry_out(part, command.clone())?;
        }
        summary(self.agent)
    }

    pub(super) fn abort(&self) -> Answer {
        let PostAbort { turn_id } = self.optional()?;
        self.command(Command::Abort { turn_id })
    }

    /// Whether the body extends a budget: that is for others than the other answers (`llm::extend`).
    pub(super) fn extends(&self) -> bool {
        let body: Result<PostAnswer, ApiError> = self.required();
        body.is_ok_and(|body| matches!(body.answer, Said::Extend { .. }))
    }

    pub(super) fn answer(&self, id: &str) -> Answer {
        self.agent.allow(self.actor, Action::Prompt)?;
        let interaction_id: InteractionId = id.parse().map_err(|_| ApiError::not_found("question"))?;
        let PostAnswer { answer } = self.required()?;
        self.command(Command::Answer { interaction_id, answer })
    }

    pub(super) async fn post_prompt(&self) -> Answer {
        let PostPrompt { id, text, model, mode } = self.required()?;
        if let Some(model) = &model {
            self.agent.require_usable(model).await?;
        }
        let prompt_id: PromptId = match id {
            Some(id) => id,
            None => self.derived("prompt")?.unwrap_or_else(|| ids::mint(clock::now())),
        };
        // A prompt is known by its own id, for longer than commands are remembered.
        self.agent.step(Input::Command {
            by: self.actor.person.clone(),
            id: None,
            command: Command::Prompt {
                prompt_id: prompt_id.clone(),
                text,
                model,
                mode,
            },
        })?;
        self.prompt(&prompt_id, 202)
    }

    /// Changes a waiting prompt. Its place comes first: that is the only change that can be refused for a reason of its
    /// own, so a request that is refused has changed nothing.
    pub(super) fn patch_prompt(&self, id: &str) -> Answer {
        let prompt_id = parse_prompt_id(id)?;
        let PatchPrompt { text, to, promote } = self.required()?;
        if text.is_none() && to.is_none() && !promote {
            return Err(ApiError::invalid("", "say what to change: text, to or promote"));
        }
        if to.is_some() && promote {
            let message = "a prompt that is promoted runs next: it takes no other place";
            return Err(ApiError::invalid("to", message));
        }
        let id = || prompt_id.clone();
        if let Some(to) = to {
            let prompt_id = id();
            self.carry_out("to", Command::MovePrompt { prompt_id, to })?;
        }
        if let Some(text) = text {
            let prompt_id = id();
            self.carry_out("text", Command::EditPrompt { prompt_id, text })?;
        }
        if promote {
            let prompt_id = id();
            self.carry_out("promote", Command::PromotePrompt { prompt_id })?;
        }
        self.prompt(&prompt_id, 200)
    }

    pub(super) fn withdraw_prompt(&self, id: &str) -> Answer {
        let prompt_id = parse_prompt_id(id)?;
        self.carry_out(
            "",
            Command::WithdrawPrompt {
                prompt_id: prompt_id.clone(),
            },
        )?;
        self.prompt(&prompt_id, 200)
    }

    fn prompt(&self, id: &PromptId, status: u16) -> Answer {
        let prompt: Prompt = store::prompt(&self.agent.sql, id)?.ok_or_else(|| ApiError::not_found("prompt"))?;
        Ok(Response::from_json(&PromptAccepted { prompt })?.with_status(status))
    }
}

fn parse_prompt_id(text: &str) -> Result<PromptId, ApiError> {
    text.parse().map_err(|_| ApiError::not_found("prompt"))
}
