//! Forks: a new session that goes on where another one was after one of its turns. It gets copies of that session's
//! events up to the end of the turn, and begins with a snapshot of its work.
//!
//! Owns: which turns can be forked from, which events are copied, with which snapshot the fork begins. Does not: copy
//! them; the shell does, page by page, before the fork is created ([`store`]).

pub mod store;

use std::collections::BTreeSet;

use errand_protocol::api::ErrorCode;
use errand_protocol::event::{Event, EventBody};
use errand_protocol::ids::{PromptId, Seq, TurnId};
use errand_protocol::session::{ForkOrigin, Todo};

use crate::core::Snapshot;
use crate::effect::Rejection;
use crate::session::Session;

/// What a fork continues.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Fork {
    /// Which session, after which turn.
    pub origin: ForkOrigin,
    /// Position of the last copied event; they begin at 2.
    pub head_seq: Seq,
    /// The agent's list at that point.
    pub todos: Vec<Todo>,
    /// The work at that point, when it was saved.
    pub snapshot: Option<Snapshot>,
}

/// Finds out what belongs to a fork: fed with all events of the original in order, up to the turn's end.
#[derive(Debug)]
pub struct Survey {
    turn: TurnId,
    prompts: BTreeSet<PromptId>,
    todos: Vec<Todo>,
    end: Option<Seq>,
}

impl Survey {
    /// For a fork after this turn.
    pub const fn new(turn: TurnId) -> Self {
        Self {
            turn,
            prompts: BTreeSet::new(),
            todos: Vec::new(),
            end: None,
        }
    }

    /// One more event. Once [`Self::end`] is known the rest does not matter.
    pub fn push(&mut self, event: &Event) {
        if self.end.is_some() {
            return;
        }
        let body = &event.body;
        if let EventBody::TurnStarted { prompt_id, .. } | EventBody::PromptSteered { prompt_id, .. } = body {
            self.prompts.insert(prompt_id.clone());
        }
        if let EventBody::NoteTodos { todos } = body {
            self.todos.clone_from(todos);
        }
        if matches!(body, EventBody::TurnFinished { turn_id, .. } if *turn_id == self.turn) {
            self.end = Some(event.seq);
        }
    }

    /// Where the turn ended in the original; `None` when it has not.
    pub const fn end(&self) -> Option<Seq> {
        self.end
    }

    /// The agent's list at the turn's end.
    pub fn todos(&self) -> &[Todo] {
        &self.todos
    }

    /// Whether the fork gets a copy of an event: what people asked and what came of it, but neither prompts that ran
    /// later nor the life of the original's sandboxes.
    pub fn copies(&self, event: &Event) -> bool {
        if self.end.is_none_or(|end| event.seq > end) {
            return false;
        }
        match &event.body {
            EventBody::PromptQueued { prompt } => self.prompts.contains(&prompt.id),
            EventBody::PromptEdited { prompt_id, .. } => self.prompts.contains(prompt_id),
            EventBody::PromptSteered { .. }
            | EventBody::TurnStarted { .. }
            | EventBody::TurnAborting { .. }
            | EventBody::TurnRetrying { .. }
            | EventBody::TurnFinished { .. }
            | EventBody::MessageStarted { .. }
            | EventBody::MessageFinished { .. }
            | EventBody::PartStarted { .. }
            | EventBody::PartFinished { .. }
            | EventBody::PartRemoved { .. }
            | EventBody::NoteTodos { .. }
            | EventBody::InteractionOpened { .. }
            | EventBody::InteractionResolved { .. } => true,
            EventBody::PromptMoved { .. }
            | EventBody::PromptWithdrawn { .. }
            | EventBody::SessionCreated { .. }
            | EventBody::SessionTitled { .. }
            | EventBody::SessionPhase { .. }
            | EventBody::SessionArchived { .. }
            | EventBody::SessionJoined { .. }
            | EventBody::SessionShared { .. }
            | EventBody::SessionUnshared { .. }
            | EventBody::SandboxStep { .. }
            | EventBody::SandboxReady { .. }
            | EventBody::SandboxTrouble { .. }
            | EventBody::SandboxEgressRefused { .. }
            | EventBody::SandboxSetupOutput { .. }
            | EventBody::SandboxSnapshot { .. }
            | EventBody::GitCloned { .. } => false,
        }
    }
}

/// A turn that has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndedTurn {
    /// Which.
    pub id: TurnId,
    /// Whether the agent began anything in it; if not, it left nothing that could be lost.
    pub worked: bool,
}

/// What a fork's files and conversation begin with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Work {
    /// Nothing was done up to that turn.
    None,
    /// It is in this snapshot.
    Saved(Snapshot),
    /// It is not saved outside its sandbox.
    Unsaved,
}

impl Session {
    /// After which turn to fork: the wanted one, or the last one that has ended.
    ///
    /// # Errors
    /// A [`Rejection`] when there is no such turn, or it has not ended.
    pub fn fork_turn(&self, wanted: Option<&TurnId>, ended: &[EndedTurn]) -> Result<TurnId, Rejection> {
        let refuse = |code, message: &str| Err(Rejection::new(code, message));
        let Some(wanted) = wanted else {
            let last = ended.last().map(|turn| turn.id.clone());
            return last.map_or_else(
                || refuse(ErrorCode::Conflict, "No turn of this session has ended yet."),
                Ok,
            );
        };
        if ended.iter().any(|turn| turn.id == *wanted) {
            return Ok(wanted.clone());
        }
        if self.core.turn.as_ref().is_some_and(|turn| turn.id == *wanted) {
            return refuse(ErrorCode::Conflict, "This turn has not ended yet.");
        }
        refuse(ErrorCode::NotFound, "There is no such turn.")
    }

    /// What a fork after `turn` begins with. `ended` are the turns of this session in the order in which they ended.
    pub fn work_after(&self, turn: &TurnId, ended: &[EndedTurn]) -> Work {
        let upto = ended.iter().position(|other| other.id == *turn).map_or(0, |at| at + 1);
        let Some(last) = ended.iter().take(upto).rev().find(|turn| turn.worked) else {
            return Work::None;
        };
        let ids: Vec<TurnId> = ended.iter().map(|turn| turn.id.clone()).collect();
        self.snapshot_for(&last.id, &ids).map_or(Work::Unsaved, Work::Saved)
    }

    /// The snapshot that a fork after `turn` can begin with: the last one, when that turn is in it. `ended` are the
    /// turns of this session in the order in which they ended.
    pub fn snapshot_for(&self, turn: &TurnId, ended: &[TurnId]) -> Option<Snapshot> {
        let snapshot = self.core.snapshot.as_ref()?;
        let place = |id: &TurnId| ended.iter().position(|other| other == id);
        let saved = place(snapshot.upto.as_ref().or(snapshot.turn_id.as_ref())?)?;
        (place(turn)? <= saved).then(|| Snapshot {
            upto: Some(turn.clone()),
            ..snapshot.clone()
        })
    }
}
