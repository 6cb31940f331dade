//! Answer of `GET /api/sessions/:id/startup`: where the time of a start goes, why the session waits, what its watchdogs
//! have seen, and what is usual for its repository.

use serde::{Deserialize, Serialize};

use crate::ids::{Generation, InteractionId};
use crate::session::Cause;
use crate::time::Timestamp;

/// All of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export, optional_fields))]
pub struct Startup {
    /// The last starts, newest first, at most [`crate::limits::MAX_STARTS`].
    pub starts: Vec<Start>,
    /// What watchdogs decided, newest first, at most [`crate::limits::MAX_VERDICTS`].
    pub verdicts: Vec<Verdict>,
    /// Why nothing moves right now; absent while it works or rests with nothing to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting: Option<Waiting>,
    /// What starts of this repository usually take; absent before the first one is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub typical: Option<Typical>,
}

/// One try to bring a sandbox up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export, optional_fields))]
pub struct Start {
    /// Which sandbox.
    pub generation: Generation,
    /// Which try of this start, from 1.
    pub attempt: u32,
    /// Whether it continues the files of an earlier sandbox.
    pub resumed: bool,
    /// What was reached, in order, each at most once.
    pub marks: Vec<Mark>,
    /// How it went.
    pub outcome: StartOutcome,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<Cause>,
    /// When it ended, well or not; the marks of the first answer may come later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
}

/// A point of a start that was reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export))]
pub struct Mark {
    /// Which.
    pub point: StartPoint,
    /// When.
    pub at: Timestamp,
}

/// The points of a start, in order. What lies between a point and the next one that was reached is the time of the
/// first: `cloning` lasts from its mark to that of `engine`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export))]
pub enum StartPoint {
    /// Something was asked for that needs a sandbox.
    Queued,
    /// The session may have one.
    Admitted,
    /// The provider was asked.
    Requested,
    /// The provider has accepted.
    Booting,
    /// The repository is being cloned, or the workspace restored.
    Cloning,
    /// The repository's own set-up runs.
    Setup,
    /// The engine starts.
    Engine,
    /// The engine takes prompts.
    Ready,
    /// The first turn's first text or reasoning began.
    FirstToken,
    /// The first turn's first tool began.
    FirstTool,
}

/// How a start went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export))]
pub enum StartOutcome {
    /// It goes on.
    Going,
    /// The engine was ready.
    Ready,
    /// It failed; another try may have followed.
    Failed,
    /// It was called off: the session was paused or ended meanwhile.
    Cancelled,
}

/// What a watchdog decided.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export))]
pub struct Verdict {
    /// When.
    pub at: Timestamp,
    /// Which one: the row of the table of deadlines.
    pub watchdog: Watchdog,
    /// What it saw.
    pub cause: Cause,
    /// What was done about it, one sentence.
    pub action: String,
}

/// The watchdogs: the rows of the table of deadlines (DESIGN §3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export))]
pub enum Watchdog {
    /// A step of a start took too long, or failed.
    Start,
    /// The runner's connection is lost.
    Reconnect,
    /// A connected runner gives no sign.
    RunnerSilence,
    /// A prompt was handed over and not taken.
    Accept,
    /// A turn without any event.
    TurnSilence,
    /// A turn took too long.
    TurnTotal,
    /// A stop was not carried out.
    Abort,
    /// A question was not answered.
    Interaction,
    /// An idle sandbox.
    Idle,
    /// Pausing took too long.
    Pausing,
    /// A sandbox was up for as long as one may be.
    Lifetime,
    /// Too many failures in too short a time.
    Breaker,
    /// The work could not be saved.
    Snapshot,
}

/// Why nothing moves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export, optional_fields))]
pub struct Waiting {
    /// Since when.
    pub since: Timestamp,
    /// For what, one sentence.
    pub reason: String,
    /// What the system is doing about it, one sentence.
    pub doing: String,
    /// When its patience ends; absent when it waits for a person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<Timestamp>,
    /// What a person can do; absent when there is nothing sensible.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remedy: Option<Remedy>,
}

/// What a person can do about it: one button.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", rename_all_fields = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export))]
pub enum Remedy {
    /// Try again now: the command `retry`.
    Retry {},
    /// Stop the turn: the command `abort`.
    Abort {},
    /// Answer the question.
    Answer {
        /// Which.
        interaction_id: InteractionId,
    },
    /// End the session: the command `terminate`.
    Terminate {},
}

/// What starts of this repository took lately.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export))]
pub struct Typical {
    /// How many starts are known, at most 200.
    pub samples: u32,
    /// How long the part after each point took.
    pub spans: Vec<TypicalSpan>,
    /// From `queued` to `ready`, milliseconds: half are faster.
    pub ready_p50: i64,
    /// 95 % are faster.
    pub ready_p95: i64,
}

/// How long one part of a start took lately, milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export))]
pub struct TypicalSpan {
    /// From this point to the next one that was reached.
    pub point: StartPoint,
    /// Half are faster.
    pub p50: i64,
    /// 95 % are faster.
    pub p95: i64,
}
