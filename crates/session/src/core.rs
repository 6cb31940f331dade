//! The machine's own state, as it is stored: one JSON row, rewritten by every input that changes it.
//!
//! Not here: the log and the prompts (own tables), the text of open parts (own rows), viewers (the shell's sockets).

use std::collections::BTreeMap;

use errand_protocol::access::{Role, Visibility};
use errand_protocol::git::Pushed;
use errand_protocol::ids::{
    ConnId, Generation, InteractionId, OrgId, PromptId, Seq, SessionId, SnapshotId, SpoolId, TurnId, UserId,
};
use errand_protocol::interaction::{Answer, Interaction};
use errand_protocol::money::BudgetNotice;
use errand_protocol::runner::GitAuthor;
use errand_protocol::sandbox::{Isolation, RepoSpec};
use errand_protocol::session::{Cause, ForkOrigin, Person, Phase, StartStep, Todo};
use errand_protocol::settings::SandboxWish;
use errand_protocol::text::{ModelId, Title};
use errand_protocol::time::Timestamp;
use serde::{Deserialize, Serialize};

use crate::budget::BudgetStop;
use crate::effect::SandboxCall;
use crate::kept::{Kept, Unbooked};

/// What a session is made of; everything that must survive.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Core {
    /// What it was created with.
    pub spec: Spec,
    /// Its title.
    pub title: Title,
    /// Whether a person chose the title; the engine's suggestions are then ignored.
    pub titled_by_person: bool,
    /// Where the log ends.
    pub head_seq: Seq,
    /// When something last happened.
    pub updated_at: Timestamp,
    /// Where it is in its life.
    pub life: Life,
    /// The current (or last) sandbox's generation; 0 before the first.
    pub generation: Generation,
    /// Whether that sandbox is known to have been made (or is being removed). While it is not, the next try asks for
    /// the same name again: a sandbox is never made under another name while the fate of the last one is unknown.
    pub made: bool,
    /// The sandbox whose files are worth taking over: it was ready once, or ran after taking over from one that was.
    pub resumable: Option<String>,
    /// How the current sandbox is isolated.
    pub isolation: Option<Isolation>,
    /// When starts failed lately; for the circuit breaker.
    pub failed_starts: Vec<Timestamp>,
    /// The turn that runs.
    pub turn: Option<Turn>,
    /// Prompts accepted so far: the position of the next one.
    pub prompts: u64,
    /// What waits for a person.
    pub interactions: BTreeMap<InteractionId, Interaction>,
    /// Answers that the runner has not confirmed yet.
    pub answers: BTreeMap<InteractionId, Answer>,
    /// The last interactions that were settled, oldest first; so that a late answer gets a clear refusal.
    pub settled: Vec<InteractionId>,
    /// Who answered those of them that a person answered.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub settled_by: BTreeMap<InteractionId, String>,
    /// The agent's list.
    pub todos: Vec<Todo>,
    /// The runner's spool, and how far it is stored.
    pub spool: Option<Spool>,
    /// Calls to the provider that are not done.
    pub calls: Vec<PendingCall>,
    /// The summary in the registry.
    pub index: Index,
    /// When it was put away.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub archived_at: Option<Timestamp>,
    /// The last state of the work that is saved outside the sandbox.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snapshot: Option<Snapshot>,
    /// Who may see it besides its owner.
    #[serde(default, skip_serializing_if = "Access::is_default")]
    pub access: Access,
    /// Since when which sandbox is up, that is, its engine takes prompts; kept when that is limited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub up_since: Option<(Generation, Timestamp)>,
    /// The last start's first turn goes on: what it does first belongs to that start's marks.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub first_turn: bool,
    /// What was pushed last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pushed: Option<Pushed>,
    /// It was told to stop, because a budget is used up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget: Option<BudgetStop>,
    /// Budgets of which it was told that most is spent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warned: Vec<BudgetNotice>,
    /// Since when it rests because another session needed its place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub made_room: Option<Timestamp>,
    /// The sandbox that is kept now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kept: Option<Kept>,
    /// The last sandbox that was counted.
    #[serde(default, skip_serializing_if = "is_none_yet")]
    pub counted: Generation,
    /// Lives of sandboxes that the ledger does not have yet, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unbooked: Vec<Unbooked>,
}

/// Who may see a session besides its owner. The machine keeps it and decides nothing with it (`crates/access` does).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Access {
    /// By what rule.
    pub visibility: Visibility,
    /// Who redeemed a share link, and as what.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub guests: BTreeMap<UserId, Role>,
    /// How often that changed.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub guest_changes: u64,
}

impl Access {
    /// Who is a guest now: share links count while it is shared by link.
    pub fn guests(&self) -> &BTreeMap<UserId, Role> {
        static NOBODY: BTreeMap<UserId, Role> = BTreeMap::new();
        match self.visibility {
            Visibility::Link => &self.guests,
            Visibility::Private | Visibility::Org => &NOBODY,
        }
    }

    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// A state of the work, saved outside the sandbox.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Snapshot {
    /// Its id.
    pub id: SnapshotId,
    /// The last turn that is in it.
    pub turn_id: Option<TurnId>,
    /// Its format.
    pub runtime: u32,
    /// Only this much of it counts: it is another session's, and this one was forked after that turn.
    pub upto: Option<TurnId>,
}

/// What a session was created with. Never changes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Spec {
    /// Its id.
    pub id: SessionId,
    /// Its tenant.
    pub org: OrgId,
    /// Whose it is.
    pub owner: Person,
    /// What it works on.
    pub repo: Option<RepoSpec>,
    /// Its model.
    pub model: ModelId,
    /// When it was made.
    pub created_at: Timestamp,
    /// Which session it was forked from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forked_from: Option<ForkOrigin>,
    /// What its sandboxes have at most; what is not said is as usual.
    #[serde(default, skip_serializing_if = "is_usual")]
    pub sandbox: SandboxWish,
    /// Whether its commits name Errand as a co-author.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub co_author: bool,
    /// What made it, when that was no person: the id of an API key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trigger: Option<String>,
    /// Hash of the request that made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<String>,
}

fn is_usual(sandbox: &SandboxWish) -> bool {
    *sandbox == SandboxWish::default()
}

impl Spec {
    /// The commit author until a turn says otherwise.
    pub fn author(&self) -> GitAuthor {
        GitAuthor {
            name: self.owner.name.clone(),
            email: self.owner.email.clone(),
        }
    }
}

/// Where a session is in its life, with what belongs to that state. Every state that is not a resting one says when
/// its patience ends.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "phase", rename_all = "snake_case", rename_all_fields = "camelCase")]
pub enum Life {
    /// No sandbox.
    Idle,
    /// A sandbox is being made ready.
    Starting {
        /// How far.
        step: StartStep,
        /// Which try, from 1.
        attempt: u32,
        /// When this step counts as failed; while `backoff`, when the next try begins.
        deadline: Timestamp,
        /// Waiting before the next try.
        backoff: bool,
        /// Whether it continues earlier work.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        resuming: bool,
        /// Why the last try failed.
        cause: Option<Cause>,
    },
    /// The runner is connected and its engine ready.
    Running {
        /// Since when there is nothing to do.
        idle_since: Option<Timestamp>,
    },
    /// The runner's connection is lost.
    Reconnecting {
        /// What is being waited for.
        stage: ReconnectStage,
        /// Until when.
        deadline: Timestamp,
    },
    /// The sandbox is being suspended.
    Pausing {
        /// Until when.
        deadline: Timestamp,
        /// Somebody wants it up again, though no prompt waits.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        wanted: bool,
    },
    /// The sandbox is stopped, its files are kept.
    Paused,
    /// It waits for a person.
    Error {
        /// Why.
        cause: Cause,
    },
    /// Over.
    Terminated,
}

/// How far the search for a lost runner is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReconnectStage {
    /// It may dial again by itself.
    Grace,
    /// The provider was asked.
    Inspecting,
    /// The provider says that it lives.
    Alive,
}

impl Life {
    /// The phase's name.
    pub const fn phase(&self) -> Phase {
        match self {
            Self::Idle => Phase::Idle,
            Self::Starting { resuming: true, .. } => Phase::Resuming,
            Self::Starting { .. } => Phase::Starting,
            Self::Running { .. } => Phase::Running,
            Self::Reconnecting { .. } => Phase::Reconnecting,
            Self::Pausing { .. } => Phase::Pausing,
            Self::Paused => Phase::Paused,
            Self::Error { .. } => Phase::Error,
            Self::Terminated => Phase::Terminated,
        }
    }

    /// Why it is there, when there is something to say.
    pub const fn cause(&self) -> Option<&Cause> {
        match self {
            Self::Error { cause } => Some(cause),
            Self::Starting { cause, .. } => cause.as_ref(),
            Self::Idle
            | Self::Running { .. }
            | Self::Reconnecting { .. }
            | Self::Pausing { .. }
            | Self::Paused
            | Self::Terminated => None,
        }
    }
}

/// The turn that runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Turn {
    /// Which.
    pub id: TurnId,
    /// For which prompt.
    pub prompt_id: PromptId,
    /// Since when.
    pub started_at: Timestamp,
    /// When the runner was last told.
    pub dispatched_at: Timestamp,
    /// How often it was told.
    pub dispatches: u32,
    /// Whether a runner has begun it: from then on it is never begun again, here or in another sandbox.
    pub accepted: bool,
    /// Since when a person is being asked.
    pub asked_at: Option<Timestamp>,
    /// How long people have been asked so far, milliseconds: does not count as time of the turn.
    pub waited: i64,
    /// When its last event came.
    pub last_event_at: Timestamp,
    /// Set when it is to stop.
    pub abort: Option<Abort>,
    /// Waiting prompts that the runner was asked to hand to it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub offers: BTreeMap<PromptId, Offer>,
}

/// A prompt that is being handed to the turn that runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Offer {
    /// When the runner was last told.
    pub sent_at: Timestamp,
    /// How often.
    pub tries: u32,
    /// The runner does not take it: it waits for a turn of its own.
    pub refused: bool,
}

/// A turn that is to stop.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Abort {
    /// When the runner was last told.
    pub sent_at: Timestamp,
    /// How often.
    pub tries: u32,
    /// Why, when a deadline did it: the turn then counts as failed, not as aborted.
    pub cause: Option<Cause>,
}

/// The runner's spool.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Spool {
    /// Which file.
    pub id: SpoolId,
    /// Highest contiguous number that is stored.
    pub acked: u64,
    /// The last hello said that the spool ends here, before `acked`: it was cut short, or that hello is an old one that
    /// came late. The next event on the same connection tells which: none comes after an old hello.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cut: Option<u64>,
    /// The connection whose hello was stored last, unless it was dropped since: any other has to say hello again.
    pub conn: Option<ConnId>,
    /// Of which generation the runner was whose hello was stored last.
    pub generation: Generation,
    /// Up to here an earlier generation wrote: a sandbox takes over its predecessor's spool, but not its start.
    pub inherited: u64,
    /// Number of the last event that the runner had written when it said hello. Until all of them are here nothing new
    /// is begun: one of them may tell that it was begun already.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub written: u64,
    /// The runner's hello said that after this number it works on no turn of ours.
    pub no_turn_after: Option<u64>,
}

#[allow(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference; no finding on 32 bits"
)]
const fn is_none_yet(generation: &Generation) -> bool {
    generation.0 == 0
}

#[allow(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference; no finding on 32 bits"
)]
const fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// A call to the provider that is not done.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PendingCall {
    /// The call.
    pub call: SandboxCall,
    /// When it is made (again).
    pub due: Timestamp,
    /// How often it failed.
    pub failures: u32,
}

/// How the registry's copy of the summary stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Index {
    /// Whether the registry lacks the last change.
    pub stale: bool,
    /// Not before this point.
    pub due: Timestamp,
    /// How often the last update failed.
    pub failures: u32,
}

/// What lives only as long as the object's memory: restored from the sockets that are open.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Volatile {
    /// The runner's connection that said hello.
    pub(crate) runner: Option<ConnId>,
    /// When it last gave a sign.
    pub(crate) runner_seen: Timestamp,
    /// Calls to the provider that are on their way, and since when.
    pub(crate) in_flight: Vec<(SandboxCall, Timestamp)>,
    /// The life of this sandbox is on its way to the ledger, since then.
    pub(crate) booking: Option<(Generation, Timestamp)>,
    /// An update of the registry is on its way, since then.
    pub(crate) indexing: Option<Timestamp>,
    /// The summary changed while it was.
    pub(crate) changed_while_indexing: bool,
    /// The registry has the last change, though [`Index::stale`] does not say so yet: that is stored with the next
    /// write. Should memory be lost before, the registry hears the same once more.
    pub(crate) indexed: bool,
    /// When the text of open parts was last saved.
    pub(crate) saved_at: Timestamp,
    /// When the last delta came: the turn is not silent.
    pub(crate) delta_at: Timestamp,
    /// When the runner said hello, or its last numbered event came.
    pub(crate) replayed_at: Timestamp,
}
