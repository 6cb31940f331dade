//! The runner's own notes in the state directory: what must be known after the process was killed.
//!
//! One small JSON file, replaced as a whole. Holds no credential of the control plane; the engine's password in it
//! guards a loopback port of this sandbox only.

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use errand_protocol::ids::{MessageId, PartId, PromptId, SnapshotId, TurnId};
use errand_protocol::runner::GitAuthor;
use errand_protocol::text::{ModelId, PromptText};
use serde::{Deserialize, Serialize};

use crate::reported::Reported;
use crate::snapshot::meta::TurnMark;

/// Turns that are remembered, so that none runs twice.
const MAX_TURNS: usize = 100;

/// The notes.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct State {
    /// The workspace is ready.
    pub cloned: bool,
    /// A clone began: what is in the workspace until `cloned` is ours to remove.
    pub cloning: bool,
    /// The set-up script that was run in this workspace, as a fingerprint.
    pub set_up: Option<u64>,
    /// The environment that the engine was given, as a fingerprint.
    pub given: Option<u64>,
    /// The engine's session.
    pub engine_session: Option<String>,
    /// The engine that was last started.
    pub engine: Option<EngineNote>,
    /// The relay that the engine knows.
    pub relay: Option<RelayNote>,
    /// Turns and the engine ids of their prompts, oldest first.
    pub turns: Vec<TurnNote>,
    /// What is known of snapshots.
    pub snapshot: SnapshotNote,
    /// The work that was to be pushed last.
    pub push: Option<PushNote>,
}

/// Work that is pushed: noted before, so that the same work is always the same commit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PushNote {
    /// The commit that it builds on.
    pub head: Option<String>,
    /// The files.
    pub tree: String,
    /// What is pushed.
    pub commit: String,
    /// The repository has it.
    pub done: bool,
}

/// What is known of snapshots: what the last one holds, and what the next one is made of.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SnapshotNote {
    /// The commit that a clone of the repository has; none when the workspace was made without a repository.
    pub base: Option<String>,
    /// Finished turns that a snapshot can be cut at, oldest first.
    pub turns: Vec<TurnMark>,
    /// The last one that was uploaded.
    pub saved: Option<Saved>,
    /// How often files were tried to be brought back since that last worked.
    pub attempts: u32,
    /// A conversation that the engine is still to be given, after files were restored.
    pub conversation: Option<ConversationNote>,
}

/// A snapshot that was uploaded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Saved {
    /// Which.
    pub id: SnapshotId,
    /// The last turn in it.
    pub turn: Option<TurnId>,
    /// Its size.
    pub bytes: u64,
    /// What it was made of: equal means that another one would hold the same.
    pub contents: String,
}

/// A conversation that is to be given to a fresh engine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ConversationNote {
    /// The snapshot it comes from.
    pub snapshot: SnapshotId,
    /// The engine's session in it; none when the snapshot has no conversation.
    pub root: Option<String>,
    /// The first message that is not wanted any more.
    pub until: Option<MessageId>,
    /// What could not be brought back so far, in words.
    pub losses: Vec<String>,
}

/// A started engine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EngineNote {
    /// Its process.
    pub pid: u32,
    /// Its port on the loopback.
    pub port: u16,
    /// Its password.
    pub password: String,
    /// Stands in the environment of the engine and of all that it starts.
    pub mark: String,
}

/// The model relay.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RelayNote {
    /// Its port on the loopback.
    pub port: u16,
    /// What the engine shows it as an API key.
    pub key: String,
}

/// A turn that was given to the engine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TurnNote {
    /// Which.
    pub turn: TurnId,
    /// Its prompt's message.
    pub message: MessageId,
    /// That message's part.
    pub part: PartId,
    /// Its end was reported.
    #[serde(default)]
    pub over: bool,
    /// What is asked, until it is over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked: Option<Asked>,
    /// Its last message, once it is over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<MessageId>,
    /// Further prompts that were taken in for it, oldest first.
    #[serde(default)]
    pub steers: Vec<SteerNote>,
}

/// What a turn's prompt asks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    /// What is asked.
    pub text: PromptText,
    /// Of which model.
    pub model: ModelId,
    /// Whose commits.
    pub author: GitAuthor,
}

/// A prompt that was taken in for a running turn.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SteerNote {
    /// Which.
    pub prompt: PromptId,
    /// Its message.
    pub message: MessageId,
    /// That message's part.
    pub part: PartId,
    /// What the engine is still to be given; nothing once it has it, or the turn is over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waits: Option<SteerText>,
}

/// What is asked, and of which model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SteerText {
    /// What is asked.
    pub text: PromptText,
    /// Of which model.
    pub model: ModelId,
}

impl State {
    /// The turn that was noted and of which nothing was reported: a process that was killed had given its prompt to the
    /// engine, or was about to. Whether the engine has it nobody else can find out.
    pub fn unreported(&self, reported: &Reported) -> Option<&TurnNote> {
        let note = self.turns.last()?;
        let silent = reported.accepted.as_ref() != Some(&note.turn);
        Some(note).filter(|note| silent && !note.over && note.asked.is_some())
    }
}

/// The notes and their file.
#[derive(Debug, Clone)]
pub struct StateFile {
    path: PathBuf,
    state: Arc<Mutex<State>>,
}

impl StateFile {
    /// Reads the notes; none when there are none that can be read.
    pub fn open(path: &Path) -> Self {
        let state = std::fs::read(path)
            .ok()
            .and_then(|bytes| serde_json::from_slice(&bytes).ok());
        Self {
            path: path.to_owned(),
            state: Arc::new(Mutex::new(state.unwrap_or_default())),
        }
    }

    /// The notes now.
    pub fn get(&self) -> State {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Looks at the notes, which may be many, without a copy.
    pub fn read<T>(&self, look: impl FnOnce(&State) -> T) -> T {
        look(&self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The note of a turn.
    pub fn note_of(&self, turn: &TurnId) -> Option<TurnNote> {
        self.read(|state| state.turns.iter().rev().find(|note| &note.turn == turn).cloned())
    }

    /// Changes the notes, and returns once they are in the file.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn update(&self, change: impl FnOnce(&mut State)) -> std::io::Result<()> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut state);
        let surplus = state.turns.len().saturating_sub(MAX_TURNS);
        state.turns.drain(..surplus);
        let beside = self.path.with_extension("new");
        let mut file = std::fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&beside)?;
        file.write_all(&serde_json::to_vec(&*state)?)?;
        std::fs::rename(&beside, &self.path)
    }
}
