//! The engine's events as far as Errand reads them: `GET /global/event` payloads parsed once, at the edge.
//!
//! Owns the engine's field names. Unknown types and unreadable payloads become `None`; what an event means for a
//! session is the mapper's business.

mod parse;

use serde::Deserialize;
use serde_json::Value;

pub use parse::parse;

/// One event that matters here.
#[derive(Debug, Clone, PartialEq)]
pub enum EngineEvent {
    /// A session was made or changed.
    Session(SessionInfo),
    /// What a session is doing.
    Status(String, Status),
    /// A session's run failed (not always the end of it).
    Failed(Option<String>, EngineError),
    /// A message was made or changed.
    Message(MessageInfo),
    /// A part was made or changed.
    Part(Box<PartInfo>),
    /// A part was taken back.
    PartRemoved(String),
    /// Text was added to a part.
    Delta {
        /// Which part.
        part: String,
        /// What was added.
        text: String,
    },
    /// A permission is needed.
    Permission(PermissionAsk),
    /// A question is asked.
    Question(QuestionAsk),
    /// A permission or question is settled: its request id.
    Settled(String),
    /// A session's to-do list.
    Todos(String, Vec<TodoInfo>),
}

impl EngineEvent {
    /// Whether the engine says that it will fail at everything from now on: what it reads once (providers, models) and
    /// then keeps was interrupted while it was read, and that is what it keeps.
    pub fn tells_a_broken_engine(&self) -> bool {
        let Self::Failed(_, error) = self else { return false };
        let said = error.data.get("message").and_then(Value::as_str);
        said.is_some_and(|said| said.contains("All fibers interrupted without error"))
    }
}

/// What a session is doing.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum Status {
    /// Nothing.
    Idle,
    /// The model or a tool works.
    Busy,
    /// The model failed and is tried again.
    Retry {
        /// Which try failed.
        attempt: u32,
        /// Why.
        message: String,
        /// When, in milliseconds of the epoch.
        next: i64,
    },
}

/// A session.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct SessionInfo {
    /// Its id.
    pub id: String,
    /// The session that delegated to it.
    #[serde(rename = "parentID")]
    pub parent: Option<String>,
    /// Its title.
    #[serde(default)]
    pub title: String,
}

/// When something began and ended, in milliseconds of the epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
pub struct Span {
    /// Begin of a part.
    pub start: Option<i64>,
    /// End of a part.
    pub end: Option<i64>,
    /// Begin of a message.
    pub created: Option<i64>,
    /// End of a message.
    pub completed: Option<i64>,
}

/// A message without its parts.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct MessageInfo {
    /// Its id.
    pub id: String,
    /// Its session.
    #[serde(rename = "sessionID")]
    pub session: String,
    /// `user` or `assistant`.
    pub role: String,
    /// Of an answer: the newest prompt that it answers.
    #[serde(rename = "parentID", default)]
    pub parent: Option<String>,
    /// `compaction` for the engine's own summaries.
    #[serde(default)]
    pub mode: Option<String>,
    /// Begin and end.
    #[serde(default)]
    pub time: Span,
    /// Why it ended early.
    #[serde(default)]
    pub error: Option<EngineError>,
    /// Why the model ended it; absent when it never did.
    #[serde(default)]
    pub finish: Option<String>,
    /// On a user's message: what its turn changed so far.
    #[serde(default)]
    pub summary: Option<Value>,
}

/// An error as the engine names it.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct EngineError {
    /// `APIError`, `MessageAbortedError`, …
    pub name: String,
    /// Its details.
    #[serde(default)]
    pub data: Value,
}

/// A part of any type.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
pub struct PartInfo {
    /// Its id.
    pub id: String,
    /// Its session.
    #[serde(rename = "sessionID")]
    pub session: String,
    /// Its message.
    #[serde(rename = "messageID")]
    pub message: String,
    /// `text`, `reasoning`, `tool`, `patch`, `file`, `step-finish`, …
    #[serde(rename = "type")]
    pub kind: String,
    /// Of text and reasoning.
    #[serde(default)]
    pub text: String,
    /// Of text and reasoning.
    #[serde(default)]
    pub time: Option<Span>,
    /// Of a tool call.
    #[serde(default)]
    pub tool: String,
    /// Of a tool call.
    #[serde(rename = "callID", default)]
    pub call: String,
    /// Of a tool call.
    #[serde(default)]
    pub state: Option<ToolState>,
    /// Of a patch.
    #[serde(default)]
    pub files: Vec<String>,
    /// Of a file.
    #[serde(default)]
    pub mime: String,
    /// Of a file.
    #[serde(default)]
    pub filename: Option<String>,
    /// Of a step's end.
    #[serde(default)]
    pub tokens: Option<Tokens>,
    /// Of a step's end.
    #[serde(default)]
    pub cost: f64,
}

/// How far a tool call is.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
pub struct ToolState {
    /// `pending`, `running`, `completed` or `error`.
    pub status: String,
    /// The arguments.
    #[serde(default)]
    pub input: Value,
    /// What it returned.
    #[serde(default)]
    pub output: Option<String>,
    /// Why it failed.
    #[serde(default)]
    pub error: Option<String>,
    /// One line about it.
    #[serde(default)]
    pub title: Option<String>,
    /// What the tool adds: `output`, `exit`, `diff`, `sessionId`.
    #[serde(default)]
    pub metadata: Value,
    /// Begin and end.
    #[serde(default)]
    pub time: Option<Span>,
}

/// Tokens of one model step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(default)]
pub struct Tokens {
    /// Read.
    pub input: u64,
    /// Written.
    pub output: u64,
    /// Of reasoning.
    pub reasoning: u64,
    /// The provider's cache.
    pub cache: CacheTokens,
}

/// Tokens of the provider's cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(default)]
pub struct CacheTokens {
    /// Read from it.
    pub read: u64,
    /// Written to it.
    pub write: u64,
}

/// The tool call that asks.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct AskingTool {
    /// Its call id.
    #[serde(rename = "callID")]
    pub call: String,
}

/// A permission that is needed.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct PermissionAsk {
    /// The request.
    pub id: String,
    /// Which session asks.
    #[serde(rename = "sessionID")]
    pub session: String,
    /// Which permission.
    pub permission: String,
    /// For what.
    #[serde(default)]
    pub patterns: Vec<String>,
    /// `command`, `filepath`, `diff`.
    #[serde(default)]
    pub metadata: Value,
    /// What "always" covers.
    #[serde(default)]
    pub always: Vec<String>,
    /// Which call.
    #[serde(default)]
    pub tool: Option<AskingTool>,
}

/// A question that is asked.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct QuestionAsk {
    /// The request.
    pub id: String,
    /// Which session asks.
    #[serde(rename = "sessionID")]
    pub session: String,
    /// What.
    pub questions: Vec<QuestionInfo>,
    /// Which call.
    #[serde(default)]
    pub tool: Option<AskingTool>,
}

/// One question.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct QuestionInfo {
    /// A word or two.
    #[serde(default)]
    pub header: String,
    /// All of it.
    pub question: String,
    /// The choices.
    #[serde(default)]
    pub options: Vec<OptionInfo>,
    /// Whether several may be chosen.
    #[serde(default)]
    pub multiple: bool,
    /// Whether free text is allowed; the engine allows it unless told otherwise.
    #[serde(default)]
    pub custom: Option<bool>,
}

/// One choice.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct OptionInfo {
    /// What is chosen.
    pub label: String,
    /// What it means.
    #[serde(default)]
    pub description: String,
}

/// One entry of the agent's list.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default)]
#[derive(Default)]
pub struct TodoInfo {
    /// What.
    pub content: String,
    /// How far.
    pub status: String,
    /// How urgent.
    pub priority: String,
}
