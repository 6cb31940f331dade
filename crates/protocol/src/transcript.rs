//! Messages and parts: what a turn yields. The words are OpenCode's.

use serde::{Deserialize, Serialize};

use crate::ids::{MessageId, PartId, Seq, TurnId};
use crate::session::{Person, Session};
use crate::time::Timestamp;

/// Who wrote a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export))]
pub enum Role {
    /// A person (or a trigger in their name).
    User,
    /// The agent.
    Assistant,
}

/// One piece of an assistant's message. While it is written it is *open*: its growing text arrives as deltas,
/// which are previews; the finished part replaces them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export, optional_fields))]
pub struct Part {
    /// The engine's id.
    pub id: PartId,
    /// Place within its message, ascending; parts may finish in another order.
    pub index: u32,
    /// The tool part of the sub-agent call that this part belongs to; absent for the root agent's own parts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent_part_id: Option<PartId>,
    /// When it began.
    pub started_at: Timestamp,
    /// When it ended; absent while open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
    /// What it is.
    #[serde(flatten)]
    pub body: PartBody,
}

/// What a part is, by its `type`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", rename_all_fields = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export, optional_fields))]
pub enum PartBody {
    /// Prose for the person, as Markdown. Deltas append to `text`.
    Text {
        /// The text so far.
        text: String,
    },
    /// The model's thinking. Deltas append to `text`.
    Reasoning {
        /// The text so far.
        text: String,
    },
    /// A tool call. Deltas append to `output` while it runs.
    Tool {
        /// `bash`, `edit`, `write`, `read`, `grep`, `glob`, `list`, `todowrite`, `webfetch`, `question`, …
        tool: String,
        /// The engine's one-line title.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        title: Option<String>,
        /// How far it is.
        status: ToolStatus,
        /// The call's arguments; `{}` while pending.
        input: serde_json::Value,
        /// What it printed or returned.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        output: Option<String>,
        /// Why it failed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        error: Option<String>,
        /// Unified diff of what it changed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        diff: Option<String>,
        /// Exit code of a command.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        exit_code: Option<i32>,
        /// Whether input, output or diff were cut (head and tail are kept).
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        #[cfg_attr(feature = "ts", ts(optional, as = "Option<bool>"))]
        truncated: bool,
    },
    /// A file that the agent attached.
    File {
        /// Its name.
        name: String,
        /// Its media type.
        mime: String,
        /// Where it is, when it can be fetched.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        url: Option<String>,
    },
    /// Files that changed in a model step.
    Patch {
        /// Their paths inside the workspace.
        files: Vec<String>,
    },
    /// A sub-agent's run (the engine's `task` tool). Its own parts carry this part's id as `parentPartId`.
    Subtask {
        /// What it was asked to do, in one line.
        description: String,
        /// Which agent, e.g. `general`.
        agent: String,
        /// How far it is.
        status: ToolStatus,
        /// What it answered.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        output: Option<String>,
        /// Why it failed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        error: Option<String>,
    },
}

/// How far a tool call is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export))]
pub enum ToolStatus {
    /// The model is writing the call.
    Pending,
    /// It runs.
    Running,
    /// It returned.
    Completed,
    /// It failed, was refused, or was interrupted.
    Error,
}

impl Part {
    /// The text that deltas append to, when this kind of part has one.
    pub fn streaming_text(&self) -> Option<&str> {
        match &self.body {
            PartBody::Text { text } | PartBody::Reasoning { text } => Some(text),
            PartBody::Tool { output, .. } => Some(output.as_deref().unwrap_or_default()),
            PartBody::File { .. } | PartBody::Patch { .. } | PartBody::Subtask { .. } => None,
        }
    }

    /// This part with its streaming text replaced.
    #[must_use]
    pub fn with_streaming_text(mut self, new: String) -> Self {
        match &mut self.body {
            PartBody::Text { text } | PartBody::Reasoning { text } => *text = new,
            PartBody::Tool { output, .. } => *output = if new.is_empty() { None } else { Some(new) },
            PartBody::File { .. } | PartBody::Patch { .. } | PartBody::Subtask { .. } => {}
        }
        self
    }
}

/// A message as the transcript shows it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export, optional_fields))]
pub struct Message {
    /// The engine's id for the agent's messages; `msg_` and the prompt id's body for a person's.
    pub id: MessageId,
    /// Who wrote it.
    pub role: Role,
    /// Which person, for `user`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub author: Option<Person>,
    /// The turn it belongs to; absent for a prompt that has not run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub turn_id: Option<TurnId>,
    /// When it began.
    pub created_at: Timestamp,
    /// Its parts, in order.
    pub parts: Vec<Part>,
}

/// Answer of `GET /api/sessions/:id/transcript`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export))]
pub struct Transcript {
    /// The session.
    pub session: Session,
    /// The position of the log that this is a fold of.
    pub head_seq: Seq,
    /// All messages, in order.
    pub messages: Vec<Message>,
}
