//! Interactions: what only a person can settle.

use serde::{Deserialize, Serialize};

use crate::ids::{InteractionId, PartId, TurnId};
use crate::money::{BudgetNotice, Micros};
use crate::session::Person;
use crate::time::Timestamp;

/// Something the turn waits for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export, optional_fields))]
pub struct Interaction {
    /// Which.
    pub id: InteractionId,
    /// The turn that waits.
    pub turn_id: TurnId,
    /// The tool call that asks, when known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub part_id: Option<PartId>,
    /// What is asked.
    #[serde(flatten)]
    pub ask: Ask,
    /// When it was asked.
    pub opened_at: Timestamp,
    /// When its default answer is taken.
    pub deadline: Timestamp,
}

/// What is asked, by its `kind`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", rename_all_fields = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export, optional_fields))]
pub enum Ask {
    /// May a tool do this? Default: no.
    Permission {
        /// Which permission: `bash`, `edit`, `external_directory`, `webfetch`, …
        permission: String,
        /// What exactly: commands or paths.
        patterns: Vec<String>,
        /// The command, when it is one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        command: Option<String>,
        /// The file, when it is one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        path: Option<String>,
        /// The change, when it is one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        diff: Option<String>,
        /// What "always" would cover.
        always: Vec<String>,
    },
    /// One or more questions. Default: dismissed.
    Question {
        /// The questions, answered together.
        questions: Vec<Question>,
    },
    /// May more be spent? Asked while the session rests, of those who may change budgets. Default: not tried again before
    /// the deadline.
    Budget {
        /// The budget that is used up.
        notice: BudgetNotice,
    },
}

/// One question.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export))]
pub struct Question {
    /// A word or two.
    pub header: String,
    /// The whole question.
    pub question: String,
    /// The choices.
    pub options: Vec<QuestionOption>,
    /// Whether several may be chosen.
    #[serde(default)]
    pub multiple: bool,
    /// Whether free text is allowed.
    #[serde(default)]
    pub custom: bool,
}

/// One choice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export))]
pub struct QuestionOption {
    /// What is chosen.
    pub label: String,
    /// What it means.
    #[serde(default)]
    pub description: String,
}

/// A person's answer, by its `type`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(
    tag = "type",
    rename_all = "snake_case",
    rename_all_fields = "camelCase",
    deny_unknown_fields
)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export, optional_fields))]
pub enum Answer {
    /// To a permission.
    Permission {
        /// The choice.
        reply: PermissionReply,
        /// What to tell the agent with a refusal; without it a refusal ends the turn.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        message: Option<String>,
    },
    /// To a question: for each question the chosen labels or free texts.
    Question {
        /// In the order of the questions.
        answers: Vec<Vec<String>>,
    },
    /// To a question: no answer. Ends the turn.
    Dismiss {},
    /// To a budget: it is extended to this limit, and the session goes on. Only over REST.
    Extend {
        /// Higher than the one that is used up.
        limit: Micros,
    },
}

/// The choices of a permission.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export))]
pub enum PermissionReply {
    /// This time.
    Once,
    /// This time and for all that the ask's `always` covers, while this engine lives.
    Always,
    /// No.
    Reject,
}

/// How an interaction was settled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "how", rename_all = "snake_case", rename_all_fields = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export))]
pub enum Resolution {
    /// A person answered.
    Answered {
        /// What.
        answer: Answer,
        /// Who.
        by: Person,
    },
    /// Nobody answered in time; the default was taken.
    Expired {
        /// The default.
        answer: Answer,
    },
    /// The turn ended or the engine went away before an answer.
    Cancelled {},
}
