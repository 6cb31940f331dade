//! What the Worker and the EventBus ask a SessionRegistry: `POST https://do/<command>`, JSON in and out. The
//! SessionAgent's `apply` is [`crate::platform::rpc::ApplyCommand`].

use errand_protocol::ids::{OrgId, SessionId, UserId};
use errand_protocol::session::Session;
use errand_protocol::startup::Start;
use errand_protocol::text::RepoUrl;
use serde::{Deserialize, Serialize};

/// Answer of `apply`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Applied {
    /// The index's position afterwards.
    pub rev: u64,
    /// Whether it changed anything; not when the index knew this or something newer.
    pub changed: bool,
}

/// `list` → `SessionList`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ListCommand {
    /// Who asks.
    pub viewer: UserId,
    /// Which sessions.
    pub which: Which,
    /// Only those that work on this.
    pub repo: Option<RepoUrl>,
    /// How many.
    pub limit: u32,
    /// Where the previous page ended, as it said.
    pub cursor: Option<String>,
    /// Part of the title, in any case.
    pub q: Option<String>,
    /// Those that are put away, instead of the others.
    pub archived: bool,
}

/// Which sessions a list has, as the policy lets its reader see them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Which {
    /// The reader's own, and those that a share link shares with them.
    Mine,
    /// Those, and what the org's members may see.
    Shared,
    /// All of the org's.
    Everybodys,
}

/// `recent-repos` → `Vec<RepoInfo>`, latest use first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RecentReposCommand {
    /// Whose.
    pub owner: UserId,
    /// How many.
    pub limit: u32,
}

/// `sample` → `null`: a start of a sandbox went well. The same start again replaces what is known of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SampleCommand {
    /// Whose start.
    pub session: SessionId,
    /// The address of its repository; empty for an empty workspace.
    pub repo: String,
    /// The start.
    pub start: Start,
}

/// `typical` → `Option<Typical>`: what starts usually take.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TypicalCommand {
    /// The address of a repository; empty for empty workspaces.
    pub repo: String,
    /// Of starts that continue earlier work, instead of fresh ones.
    pub resumed: bool,
}

/// `at-work` → `Vec<SessionId>`: sessions that have a sandbox, or are about to, and work on a repository.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AtWorkCommand {
    /// Its [`RepoUrl::key`].
    pub repo: String,
}

/// `changes` → [`ChangePage`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ChangesCommand {
    /// Whose sessions.
    pub user: UserId,
    /// Changes after this position.
    pub after: u64,
}

/// What became of a session, as one person sees it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// It is new or changed.
    Session(Box<Session>),
    /// It is no longer shared with them.
    Removed(SessionId),
}

/// Changes in ascending order, one per session: its latest.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ChangePage {
    /// Each with its position.
    pub changes: Vec<(u64, Change)>,
    /// A reader of this page has everything up to here.
    pub upto: u64,
    /// Whether there are more.
    pub more: bool,
}

/// `subscribe` → [`Subscribed`] and `unsubscribe` → `null`: whether the person's EventBus wants to be told of changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SubscribeCommand {
    /// Whose EventBus.
    pub user: UserId,
}

/// Answer of `subscribe`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subscribed {
    /// The index's position now.
    pub rev: u64,
}

/// `changed` to an EventBus → [`Listening`]: there is something to fetch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ChangedCommand {
    /// In which org's index.
    pub org: OrgId,
}

/// Answer of `changed`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listening {
    /// Whether anybody listens; if not, the registry need not tell any more.
    pub listening: bool,
}
