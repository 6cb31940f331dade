//! What the Worker and other SessionAgents ask a SessionAgent: `POST https://do/<command>`, JSON in and out. Creating is
//! [`crate::platform::rpc::CreateCommand`].

use errand_access::Actor;
use errand_protocol::event::Event;
use errand_protocol::git::Pushed;
use errand_protocol::ids::{BudgetId, Generation, OrgId, SessionId, SnapshotId, TurnId};
use errand_protocol::money::{BudgetLevel, BudgetNotice};
use errand_protocol::sandbox::RepoSpec;
use errand_protocol::session::{ForkOrigin, Person, Session};
use errand_protocol::settings::SandboxWish;
use errand_protocol::text::{ModelId, PromptText, RepoUrl, Title};
use errand_session::fork::Fork;
use serde::{Deserialize, Serialize};

use crate::ledger::commands::{Payer, Raised};

/// `snapshot-access` → `null`: whether the sandbox of this generation may still read and write snapshots.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotAccess {
    /// Of its token.
    pub org: OrgId,
    /// Of its token.
    pub generation: Generation,
}

/// `llm-access` → [`LlmGrant`]: whether the sandbox of this generation may call models, and for whom it does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LlmAccess {
    /// Of its token.
    pub org: OrgId,
    /// Of its token.
    pub generation: Generation,
}

/// `environment-access` → [`EnvironmentSubject`]: whether the sandbox of this generation may have what its repository's
/// policy gives it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnvironmentAccess {
    /// Of its token.
    pub org: OrgId,
    /// Of its token.
    pub generation: Generation,
}

/// Answer of `environment-access`: on what a policy depends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnvironmentSubject {
    /// Whose session it is.
    pub owner: Person,
    /// What it works on.
    pub repo: Option<RepoUrl>,
}

/// `egress-access` → [`EgressSubject`], to those who may change what the session's repository may reach.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EgressAccess {
    /// Who asks.
    pub actor: Actor,
}

/// Answer of `egress-access`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EgressSubject {
    /// What it works on.
    pub repo: Option<RepoUrl>,
}

/// `policy-changed` → `null`, once the session's sandbox goes by the policy that the database has now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyChanged {
    /// Whose policy; that of another org is none of this session's.
    pub org: OrgId,
}

/// `make-room` → [`errand_session::room::Room`], from a registry: another session waits for a place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MakeRoom {
    /// Though somebody is watching this one.
    pub even_watched: bool,
}

/// `git-access` → [`GitSession`]: whether the sandbox of this generation may use the git proxy, and for what.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GitAccess {
    /// Of its token.
    pub org: OrgId,
    /// Of its token.
    pub generation: Generation,
}

/// Answer of `git-access`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GitSession {
    /// Whose session it is.
    pub owner: Person,
    /// What it works on.
    pub repo: Option<RepoUrl>,
}

/// `git-pushed` → `null`: a push of this sandbox was taken by the repository.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GitPushed {
    /// Of its token.
    pub org: OrgId,
    /// Of its token.
    pub generation: Generation,
    /// What it changed.
    pub pushed: Vec<Pushed>,
}

/// Answer of `llm-access`, and of `budget`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LlmGrant {
    /// For whom.
    pub payer: Payer,
    /// The session was told to stop, and writes its hand-over note.
    pub note: bool,
}

/// `budget` → [`LlmGrant`]: a budget that applies to the calls of this sandbox is nearly or wholly used up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BudgetNews {
    /// Whose sandbox it is.
    pub access: LlmAccess,
    /// Which.
    pub notice: BudgetNotice,
    /// How far.
    pub level: BudgetLevel,
    /// Something of it is left for a hand-over note.
    pub reserve: bool,
}

/// `budget-raised` → `null`, from the ledger: a budget that stopped the session was raised or removed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BudgetRaised {
    /// Whose ledger it is.
    pub org: OrgId,
    /// Which.
    pub budget: BudgetId,
    /// What became of it.
    pub raise: Raised,
}

/// `last-snapshot` → [`SnapshotRef`], to those who may take the work away.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastSnapshot {
    /// Who asks.
    pub actor: Actor,
}

/// Answer of `last-snapshot`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotRef {
    /// Which.
    pub id: SnapshotId,
}

/// `fork-find` → [`FoundFork`]: what this object knows of a fork that is to be made here. Leaves no trace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FindFork {
    /// Who forks.
    pub actor: Actor,
    /// Which session.
    pub origin: SessionId,
    /// After which turn, when the caller said so.
    pub turn: Option<TurnId>,
    /// The first new prompt: asked for if the fork is there and lacks it.
    pub prompt: Option<PromptText>,
}

/// Answer of `fork-find`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FoundFork {
    /// After which turn an earlier request began to fork.
    pub turn: Option<TurnId>,
    /// The fork, when it is made.
    pub made: Option<Session>,
}

/// `fork-begin` → `null`: copies may come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BeginFork {
    /// Who forks.
    pub actor: Actor,
    /// What.
    pub origin: ForkOrigin,
}

/// `fork-copy` → `null`: copies of the original's events, with their positions in the fork.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CopyEvents {
    /// Of what.
    pub origin: ForkOrigin,
    /// The events.
    pub events: Vec<Event>,
}

/// `fork-make` → the session: all copies are there.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MakeFork {
    /// Who forks.
    pub actor: Actor,
    /// Its title.
    pub title: Title,
    /// Whether a person chose the title.
    pub titled_by_person: bool,
    /// What it works on.
    pub repo: Option<RepoSpec>,
    /// Its model.
    pub model: ModelId,
    /// Whether its commits name Errand as a co-author.
    #[serde(default)]
    pub co_author: bool,
    /// What it continues.
    pub fork: Fork,
    /// Its first new prompt.
    pub prompt: Option<PromptText>,
    /// What its sandboxes have at most.
    #[serde(default)]
    pub sandbox: SandboxWish,
}
