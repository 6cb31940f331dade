//! Bodies of the REST API (DESIGN §6) and its errors.

use serde::{Deserialize, Serialize};

use crate::access::{Role, Visibility};
use crate::event::Event;
use crate::ids::{OrgId, PromptId, Seq, SessionId, TurnId};
use crate::interaction::Answer;
use crate::sandbox::{Isolation, RepoSpec};
use crate::session::{Person, Place, Prompt, PromptMode, Session};
use crate::settings::SandboxWish;
use crate::text::{ChosenTitle, ModelId, PromptText};

/// The closed set of error codes. The variant's comment names the HTTP status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export))]
pub enum ErrorCode {
    /// 400: not JSON, not a frame, not the right types.
    BadRequest,
    /// 401: not signed in, or the token is forged or expired.
    Unauthenticated,
    /// 402: a budget is used up.
    BudgetExhausted,
    /// 403: signed in, but not allowed.
    Forbidden,
    /// 403: signed in at the provider, and this installation does not let them in.
    NotInvited,
    /// 404: no such thing, or not yours.
    NotFound,
    /// 405.
    MethodNotAllowed,
    /// 409: the same id with another content, or it is already otherwise.
    Conflict,
    /// 409: somebody else answered first.
    AlreadyResolved,
    /// 409: the session is over.
    Terminated,
    /// 413.
    TooLarge,
    /// 415.
    UnsupportedMediaType,
    /// 422: well-formed, but a value is not acceptable.
    Invalid,
    /// 429: the queue is full, or too many requests.
    RateLimited,
    /// 500: our fault.
    Internal,
    /// 503: a part of the installation does not answer.
    Unavailable,
}

impl ErrorCode {
    /// All of them.
    pub const ALL: [Self; 16] = [
        Self::BadRequest,
        Self::Unauthenticated,
        Self::BudgetExhausted,
        Self::Forbidden,
        Self::NotInvited,
        Self::NotFound,
        Self::MethodNotAllowed,
        Self::Conflict,
        Self::AlreadyResolved,
        Self::Terminated,
        Self::TooLarge,
        Self::UnsupportedMediaType,
        Self::Invalid,
        Self::RateLimited,
        Self::Internal,
        Self::Unavailable,
    ];

    /// The HTTP status that goes with it.
    pub const fn status(self) -> u16 {
        match self {
            Self::BadRequest => 400,
            Self::Unauthenticated => 401,
            Self::BudgetExhausted => 402,
            Self::Forbidden | Self::NotInvited => 403,
            Self::NotFound => 404,
            Self::MethodNotAllowed => 405,
            Self::Conflict | Self::AlreadyResolved | Self::Terminated => 409,
            Self::TooLarge => 413,
            Self::UnsupportedMediaType => 415,
            Self::Invalid => 422,
            Self::RateLimited => 429,
            Self::Internal => 500,
            Self::Unavailable => 503,
        }
    }
}

/// `{ "error": … }`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export))]
pub struct ErrorBody {
    /// What went wrong.
    pub error: ErrorDetail,
}

/// An error, for programs and people.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export, optional_fields))]
pub struct ErrorDetail {
    /// For programs.
    pub code: ErrorCode,
    /// For people.
    pub message: String,
    /// Which field, which limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub details: Option<serde_json::Value>,
    /// For finding it in the logs.
    pub request_id: String,
}

/// Body of `POST /auth/dev`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export))]
pub struct DevSignIn {
    /// 1–39 characters of `[a-z0-9-]`.
    #[cfg_attr(feature = "schema", schemars(regex(pattern = "^[a-z0-9-]{1,39}$")))]
    pub login: String,
    /// The code that whoever started the installation was told, where it wants one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "ts", ts(optional))]
    pub code: Option<String>,
}

/// Answer of `POST /auth/dev`. The browser uses the cookie that comes with it, scripts the token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export))]
pub struct SignedIn {
    /// For `Authorization: Bearer`.
    pub token: String,
    /// Who.
    pub user: Person,
}

/// Answer of `GET /api/auth/me`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export))]
pub struct Me {
    /// Who.
    pub user: Person,
    /// In which org.
    pub org: OrgInfo,
    /// What they are there.
    pub role: Role,
}

/// An org, to its members.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export))]
pub struct OrgInfo {
    /// Which.
    pub id: OrgId,
    /// Its name.
    pub name: String,
}

/// Answer of `GET /api/config` (no sign-in needed): what this installation offers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export, optional_fields))]
pub struct Installation {
    /// Version of the control plane.
    pub version: String,
    /// Ways to sign in: `dev`, `github`, `google`.
    pub sign_in: Vec<String>,
    /// The way `dev` wants the code that whoever started the installation was told.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    #[cfg_attr(feature = "ts", ts(as = "Option<bool>", optional))]
    pub sign_in_code: bool,
    /// The models that a session can use; the first is the default.
    pub models: Vec<ModelInfo>,
    /// A repository to try things on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sample_repo: Option<RepoInfo>,
    /// How sandboxes are isolated, when the host answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub isolation: Option<Isolation>,
    /// What the sandbox host warns about, or that it does not answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warning: Option<String>,
}

/// A model that can be chosen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export))]
pub struct ModelInfo {
    /// `provider/model`.
    pub id: ModelId,
    /// Name to show.
    pub name: String,
    /// Scripted, not a real model: to be labelled "demo" wherever it shows.
    pub demo: bool,
}

/// A repository that can be chosen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export, optional_fields))]
pub struct RepoInfo {
    /// What to pass as `repo` when a session is made.
    #[serde(flatten)]
    pub repo: RepoSpec,
    /// Name to show.
    pub name: String,
    /// One line about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// A prompt that makes sense on it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suggestion: Option<String>,
}

/// Answer of `GET /api/repos`: the sample and what this person used lately.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export))]
pub struct RepoList {
    /// Newest use first, the sample last.
    pub repos: Vec<RepoInfo>,
}

/// Body of `POST /api/sessions` → 201 [`Session`] (200 when the same id was created before by the same person).
/// `Idempotency-Key` may stand for `id`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export, optional_fields))]
pub struct CreateSession {
    /// `ses_` and 26 characters, made by the client; makes repeating harmless.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<SessionId>,
    /// Its title; otherwise from the prompt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<ChosenTitle>,
    /// What to work on; otherwise an empty workspace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repo: Option<RepoSpec>,
    /// The first prompt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt: Option<PromptText>,
    /// The model; otherwise the installation's default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<ModelId>,
    /// Who sees it, besides its owner; otherwise as the settings say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub visibility: Option<Visibility>,
    /// What its sandboxes are to be like.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sandbox: Option<SandboxWish>,
}

/// Body of `PATCH /api/sessions/:id` → 200 [`Session`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export, optional_fields))]
pub struct PatchSession {
    /// The new title.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<ChosenTitle>,
    /// Who sees it, besides its owner.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub visibility: Option<Visibility>,
}

/// Answer of `GET /api/sessions?limit=&cursor=&q=&archived=&filter=`: newest first; put away ones only with
/// `archived=true` (and then only those); `filter` is `mine` (unless said otherwise) or `all` that one may see.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export, optional_fields))]
pub struct SessionList {
    /// One page.
    pub sessions: Vec<Session>,
    /// For the next page; absent on the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
}

/// Body of `POST /api/sessions/:id/prompts` → 202 [`PromptAccepted`]. `Idempotency-Key` may stand for `id`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export, optional_fields))]
pub struct PostPrompt {
    /// Made by the client; the same id again is the same prompt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<PromptId>,
    /// The text.
    pub text: PromptText,
    /// Another model for this prompt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<ModelId>,
    /// When it reaches the agent.
    #[serde(default, skip_serializing_if = "PromptMode::is_queue")]
    #[cfg_attr(feature = "ts", ts(optional, as = "Option<PromptMode>"))]
    pub mode: PromptMode,
}

/// Answer of `POST /api/sessions/:id/prompts`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export))]
pub struct PromptAccepted {
    /// The prompt as it stands.
    pub prompt: Prompt,
}

/// Body of `PATCH /api/sessions/:id/prompts/:pid` → 200 [`PromptAccepted`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export, optional_fields))]
pub struct PatchPrompt {
    /// The new text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<PromptText>,
    /// Another place in the queue.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<Place>,
    /// Stop the running turn and run this one next.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    #[cfg_attr(feature = "ts", ts(optional, as = "Option<bool>"))]
    pub promote: bool,
}

/// Body of `POST /api/sessions/:id/fork` (may be empty) → 201 [`Session`] (200 when the same id was made before).
/// The fork knows the conversation and has the files as they were after that turn; what git ignores is left out.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export, optional_fields))]
pub struct PostFork {
    /// The new session's id, made by the client; makes repeating harmless. `Idempotency-Key` may stand for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<SessionId>,
    /// After which turn; otherwise the last one that has ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub turn_id: Option<TurnId>,
    /// Its title; otherwise the original's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<ChosenTitle>,
    /// Its first new prompt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prompt: Option<PromptText>,
}

/// Body of `POST /api/sessions/:id/abort` (may be empty) → 200 [`Session`].
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export, optional_fields))]
pub struct PostAbort {
    /// Only this turn.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub turn_id: Option<TurnId>,
}

/// Body of `POST /api/sessions/:id/interactions/:iid` → 200 [`Session`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export))]
pub struct PostAnswer {
    /// The answer.
    pub answer: Answer,
}

/// Answer of `GET /api/sessions/:id/events?after=|before=&limit=` as JSON: ascending positions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export))]
pub struct EventPage {
    /// One page.
    pub events: Vec<Event>,
    /// Position of the log's last event.
    pub head_seq: Seq,
}

/// Answer of `GET /health`: 200 when all that this installation needs answers, else 503.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export))]
pub struct Health {
    /// `ok` or `degraded`.
    pub status: String,
    /// Version of the control plane.
    pub version: String,
    /// Each part.
    pub parts: Vec<HealthPart>,
}

/// One part of the installation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export, optional_fields))]
pub struct HealthPart {
    /// `database`, `files`, `sessions`, `sandboxHost`, `model`.
    pub name: String,
    /// Does it answer?
    pub ok: bool,
    /// What it says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}
