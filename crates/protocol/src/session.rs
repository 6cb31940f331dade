//! The session as everybody outside its object sees it.

use serde::{Deserialize, Serialize};

use crate::access::Visibility;
use crate::git::Pushed;
use crate::ids::{InteractionId, PromptId, Seq, SessionId, TurnId, UserId};
use crate::money::BudgetLevel;
use crate::sandbox::{Isolation, RepoSpec};
use crate::text::{ModelId, PromptText, Title};
use crate::time::Timestamp;

/// Where a session is in its life (DESIGN §3). `idle`, `paused`, `error` and `terminated` are resting states;
/// every other one carries a deadline.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export))]
pub enum Phase {
    /// No sandbox; nothing to do.
    Idle,
    /// A sandbox is being made ready.
    Starting,
    /// The runner is connected and its engine is ready.
    Running,
    /// The runner's socket is lost; it may come back.
    Reconnecting,
    /// A snapshot is being taken.
    Pausing,
    /// Kept as a snapshot.
    Paused,
    /// Being brought back from a snapshot.
    Resuming,
    /// It failed and waits for a person; the cause is stored.
    Error,
    /// Over for good.
    Terminated,
}

impl Phase {
    /// Whether the session may stay here for ever.
    pub const fn resting(self) -> bool {
        match self {
            Self::Idle | Self::Paused | Self::Error | Self::Terminated => true,
            Self::Starting | Self::Running | Self::Reconnecting | Self::Pausing | Self::Resuming => false,
        }
    }
}

/// What the session is doing, in one word for lists. Derived, never stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export))]
pub enum Activity {
    /// Nothing to do.
    Idle,
    /// Prompts wait and none runs.
    Queued,
    /// The model works.
    Thinking,
    /// A tool works.
    Tool,
    /// A person must answer.
    AwaitingInput,
    /// The sandbox is being made ready.
    Starting,
    /// Kept as a snapshot.
    Paused,
    /// Failed.
    Error,
    /// Over for good.
    Terminated,
}

/// One step of a start, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export))]
pub enum StartStep {
    /// The provider was asked for a sandbox.
    Requested,
    /// The provider has accepted; the runner is not connected yet.
    Booting,
    /// The repository is being cloned.
    Cloning,
    /// The repository's own set-up runs.
    Setup,
    /// The engine starts.
    Engine,
}

/// Why the session is where it is: a stable code and a sentence for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export))]
pub struct Cause {
    /// Stable, e.g. `repo_not_found`, `runner_lost`, `start_timeout`, `model_auth`.
    pub code: String,
    /// What happened, what was kept, what one can do.
    pub message: String,
}

impl Cause {
    /// A cause from its two parts.
    pub fn new(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            code: code.into(),
            message: message.into(),
        }
    }
}

/// A person, as far as others may see.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export))]
pub struct Person {
    /// Who.
    pub id: UserId,
    /// Name to show; also the commit author's name.
    pub name: String,
    /// Address of the commit author.
    pub email: String,
}

/// A session in lists and on its page.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export, optional_fields))]
pub struct Session {
    /// Which.
    pub id: SessionId,
    /// Its title; from the first prompt until a person or the engine names it.
    pub title: Title,
    /// Where it is in its life.
    pub phase: Phase,
    /// What it is doing.
    pub activity: Activity,
    /// Why it is there, when there is something to say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<Cause>,
    /// Its repository; none for a session on an empty workspace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repo: Option<RepoSpec>,
    /// The model that prompts run with unless they say otherwise.
    pub model: ModelId,
    /// Whose it is.
    pub owner: Person,
    /// When it was made.
    pub created_at: Timestamp,
    /// When something last happened.
    pub updated_at: Timestamp,
    /// Position of the log's last event.
    pub head_seq: Seq,
    /// Prompts that wait.
    pub queue: u32,
    /// How the current sandbox is isolated, when there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub isolation: Option<Isolation>,
    /// When it was put away.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub archived_at: Option<Timestamp>,
    /// Which session it was forked from, and after which turn.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forked_from: Option<ForkOrigin>,
    /// What it pushed last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pushed: Option<Pushed>,
    /// Who may see it besides its owner.
    #[serde(default, skip_serializing_if = "Visibility::is_private")]
    #[cfg_attr(feature = "ts", ts(optional, as = "Option<Visibility>"))]
    pub visibility: Visibility,
    /// How far the budgets that apply to it have come; absent while nothing is to be said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget: Option<BudgetLevel>,
}

/// Where a fork begins.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export))]
pub struct ForkOrigin {
    /// The session.
    pub session_id: SessionId,
    /// Its last turn that the fork knows of.
    pub turn_id: TurnId,
}

/// A prompt's life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export))]
pub enum PromptState {
    /// Waits for its turn.
    Queued,
    /// Runs as a turn.
    Running,
    /// Handed to the turn that runs; ends with it.
    Steered,
    /// Its turn ended well.
    Done,
    /// Its turn ended with an error.
    Failed,
    /// Somebody stopped its turn.
    Aborted,
    /// Taken back before it ran.
    Withdrawn,
}

/// When a prompt reaches the agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export))]
pub enum PromptMode {
    /// As a turn of its own, after those before it.
    #[default]
    Queue,
    /// At the next model step of the turn that runs; as a turn of its own when none does.
    Steer,
}

impl PromptMode {
    /// Whether it is the default, which is left out on the wire.
    pub const fn is_queue(&self) -> bool {
        matches!(self, Self::Queue)
    }
}

/// A place in the queue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export))]
pub enum Place {
    /// Runs next.
    First,
    /// Runs after all others.
    Last,
    /// Runs just before this one.
    Before(PromptId),
}

/// What a person asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export, optional_fields))]
pub struct Prompt {
    /// Made by the client; the same id again is the same prompt.
    pub id: PromptId,
    /// The text.
    pub text: PromptText,
    /// Who asked; becomes the commit author.
    pub author: Person,
    /// The model for this prompt, when not the session's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<ModelId>,
    /// When it reaches the agent.
    #[serde(default, skip_serializing_if = "PromptMode::is_queue")]
    #[cfg_attr(feature = "ts", ts(optional, as = "Option<PromptMode>"))]
    pub mode: PromptMode,
    /// Where it is in its life.
    pub state: PromptState,
    /// When it was accepted.
    pub created_at: Timestamp,
}

/// The turn that runs now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export, optional_fields))]
pub struct TurnInfo {
    /// Which.
    pub id: TurnId,
    /// For which prompt.
    pub prompt_id: PromptId,
    /// Since when.
    pub started_at: Timestamp,
    /// Whether somebody asked to stop it and the engine has not confirmed yet.
    pub aborting: bool,
    /// What it waits for, when a person must answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interaction: Option<InteractionId>,
}

/// How a turn ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export))]
pub enum TurnOutcome {
    /// The agent finished.
    Done,
    /// It failed; the cause says why.
    Failed,
    /// Somebody stopped it.
    Aborted,
}

/// Tokens and cost of one turn.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export))]
pub struct Usage {
    /// Tokens read by the model.
    pub input: u64,
    /// Tokens written.
    pub output: u64,
    /// Tokens of reasoning.
    pub reasoning: u64,
    /// Tokens read from the provider's cache.
    pub cache_read: u64,
    /// Tokens written to the provider's cache.
    pub cache_write: u64,
    /// In US dollars, as the engine computes it.
    pub cost: f64,
}

/// A file that a turn changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export, optional_fields))]
pub struct FileChange {
    /// Path inside the workspace.
    pub path: String,
    /// What happened to it.
    pub status: FileStatus,
    /// Lines added.
    pub additions: u32,
    /// Lines removed.
    pub deletions: u32,
    /// Unified diff; absent for binary or very large files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub patch: Option<String>,
}

/// What happened to a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export))]
pub enum FileStatus {
    /// New.
    Added,
    /// Changed.
    Modified,
    /// Gone.
    Deleted,
}

/// One entry of the agent's own list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export))]
pub struct Todo {
    /// What.
    pub content: String,
    /// `pending`, `in_progress`, `completed` or `cancelled`.
    pub status: String,
    /// `high`, `medium` or `low`.
    pub priority: String,
}
