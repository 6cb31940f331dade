//! What the Worker asks a Ledger: `POST https://do/<command>`, JSON in and out.

use errand_protocol::ids::{BudgetId, CallId, PromptId, SessionId, TurnId, UserId};
use errand_protocol::money::{Budget, BudgetNotice, Dimension, Micros, NewBudget, Price, Tokens};
use errand_protocol::session::Person;
use errand_protocol::text::{ModelId, RepoUrl};
use errand_session::SandboxLife;
use serde::{Deserialize, Serialize};

/// For whom a call is made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Payer {
    /// Whose session it is.
    pub user: UserId,
    /// Which session.
    pub session: SessionId,
    /// What it works on.
    pub repo: Option<RepoUrl>,
    /// What started it, when that was no person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trigger: Option<String>,
    /// The turn that runs; none for what the engine does between turns.
    pub turn: Option<TurnId>,
    /// That turn's prompt.
    pub prompt: Option<PromptId>,
}

/// `admit` → [`Admission`]: may this call be made? The same call again gets the same answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AdmitCommand {
    /// Which.
    pub call: CallId,
    /// For whom.
    pub payer: Payer,
    /// Which model.
    pub model: ModelId,
    /// A scripted model, which costs nothing unless it was given a price.
    pub demo: bool,
    /// Tokens of the request, at most; `None`: nobody knows.
    pub input_bound: Option<u64>,
    /// Tokens of the request, about.
    pub input_guess: u64,
    /// Tokens of the answer, at most; `None`: nobody knows.
    pub output_bound: Option<u64>,
    /// For the hand-over note of a session that was told to stop.
    pub note: bool,
}

/// Answer of `admit`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "kind", rename_all_fields = "camelCase")]
pub enum Admission {
    /// Yes. It must be settled.
    Admitted {
        /// The budget that is nearest to its end, when most of it is spent.
        near: Option<BudgetNotice>,
    },
    /// Not while others are on their way: ask again.
    Wait {
        /// For what, in words.
        why: String,
    },
    /// No: a budget is used up.
    Refused {
        /// Why, in words.
        why: String,
        /// Which.
        notice: BudgetNotice,
        /// There is something left for a hand-over note.
        reserve: bool,
    },
    /// No: a budget applies, and nobody knows what the model costs.
    NoPrice {
        /// Why, in words.
        why: String,
        /// Which budget.
        budget: BudgetId,
    },
}

/// `heard` → `null`: the call goes on, and has used so much so far.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HeardCommand {
    /// Which.
    pub call: CallId,
    /// So far.
    pub tokens: Tokens,
}

/// `settle` → [`Settled`]: the call is over. Only the first time counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SettleCommand {
    /// Which.
    pub call: CallId,
    /// What it used.
    pub tokens: Tokens,
    /// Whether that is an estimate.
    pub estimated: bool,
    /// How it ended.
    pub end: CallEnd,
}

/// How a call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CallEnd {
    /// The answer came whole.
    Complete,
    /// The answer broke off, or nobody waited for it.
    Cut,
    /// The provider refused or failed.
    Failed,
    /// Nobody ever said how.
    Lost,
}

/// Answer of `settle`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Settled {
    /// What it cost.
    pub cost: Micros,
    /// Budgets that reached a level by it.
    pub crossed: Vec<Crossing>,
}

/// A budget reached a level.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Crossing {
    /// Which.
    pub notice: BudgetNotice,
    /// Work stops, or people are only warned.
    pub hard: bool,
    /// There is something left for a hand-over note.
    pub reserve: bool,
}

/// `sandbox` → `null`: a sandbox was stopped. The same one again changes nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SandboxCommand {
    /// Whose; without a turn.
    pub payer: Payer,
    /// How long it was kept, and why it was stopped.
    pub life: SandboxLife,
    /// What a second of it costs.
    pub price: Micros,
}

/// `session-usage` → `SessionUsage`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SessionUsageCommand {
    /// Which session.
    pub session: SessionId,
    /// Turns of it.
    pub turns: Vec<TurnId>,
}

/// `estimate` → `Estimate`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EstimateCommand {
    /// On which repository; none: on an empty workspace.
    pub repo: Option<RepoUrl>,
    /// With which model; none: with any.
    pub model: Option<ModelId>,
}

/// `usage` → `UsageReport`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UsageCommand {
    /// Who asks.
    pub user: UserId,
    /// Whether they may see what others used.
    pub all: bool,
}

/// `history` → `UsageHistory`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HistoryCommand {
    /// By what.
    pub dimension: Dimension,
    /// Of which one.
    pub subject: String,
    /// How many days back.
    pub days: u32,
}

/// `make-budget` → [`MadeBudget`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MakeBudgetCommand {
    /// Its id.
    pub id: BudgetId,
    /// What it is.
    pub new: NewBudget,
}

/// Answer of `make-budget`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MadeBudget {
    /// As it stands.
    pub budget: Budget,
    /// Whether it is new; not when the same was made before.
    pub made: bool,
}

/// `change-budget` → [`ChangedBudget`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ChangeBudgetCommand {
    /// Which.
    pub id: BudgetId,
    /// How much from now on.
    pub limit: Micros,
    /// Who wants it.
    pub by: Person,
    /// It is raised for the sake of this session, which goes on by itself; not to less than now.
    pub extends: Option<SessionId>,
}

/// Answer of `change-budget`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ChangedBudget {
    /// As it stands.
    pub budget: Budget,
    /// The limit that it had.
    pub was: Micros,
}

/// `remove-budget` → the [`Budget`], if there was one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RemoveBudgetCommand {
    /// Which.
    pub id: BudgetId,
    /// Who wants it.
    pub by: Person,
}

/// What sessions hear of a budget that stopped them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Raised {
    /// How much from now on; none when there is no such budget any more.
    pub limit: Option<Micros>,
    /// Who did it.
    pub by: Person,
}

/// `set-prices` → [`ChangedPrices`]: these instead of those that were set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SetPricesCommand {
    /// All of them.
    pub prices: Vec<Price>,
}

/// Answer of `set-prices`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ChangedPrices {
    /// As they stand.
    pub prices: Vec<Price>,
    /// Those that were set.
    pub were: Vec<Price>,
}
