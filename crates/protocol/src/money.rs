//! What model calls cost, and what may be spent: tokens, prices, budgets and reports. Money is counted in whole
//! micro-dollars (a millionth of a US dollar): sums of integers are exact, and the same in every language.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::ids::BudgetId;
use crate::text::ModelId;
use crate::time::Timestamp;

/// Micro-dollars.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export))]
pub struct Micros(pub u64);

impl Micros {
    /// The sum, or the largest amount there is.
    #[must_use]
    pub const fn plus(self, more: Self) -> Self {
        Self(self.0.saturating_add(more.0))
    }

    /// For people: cents, and as many further digits as there are: `$0.10`, `$0.0001`.
    pub fn dollars(self) -> String {
        let (dollars, cents, rest) = (self.0 / 1_000_000, self.0 % 1_000_000 / 10_000, self.0 % 10_000);
        let further = format!("{rest:04}");
        format!("${dollars}.{cents:02}{}", further.trim_end_matches('0'))
    }

    /// What is left after taking `less` away; nothing when that is more.
    #[must_use]
    pub const fn minus(self, less: Self) -> Self {
        Self(self.0.saturating_sub(less.0))
    }
}

/// Tokens by what they cost. A token stands in exactly one of these.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export))]
pub struct Tokens {
    /// Read by the model, and not from a cache.
    pub input: u64,
    /// Written by the model, without those of its reasoning that the provider tells apart.
    pub output: u64,
    /// Read from the provider's cache.
    pub cache_read: u64,
    /// Read and written to the provider's cache.
    pub cache_write: u64,
    /// Of the model's reasoning.
    pub reasoning: u64,
}

/// Prices of a model: micro-dollars for a million tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export, optional_fields))]
pub struct Rates {
    /// Of [`Tokens::input`].
    pub input: u64,
    /// Of [`Tokens::output`].
    pub output: u64,
    /// Of [`Tokens::cache_read`]; as input when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_read: Option<u64>,
    /// Of [`Tokens::cache_write`]; as input when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_write: Option<u64>,
    /// Of [`Tokens::reasoning`]; as output when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reasoning: Option<u64>,
}

/// What a model costs from a day on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export))]
pub struct Price {
    /// Which model.
    pub model: ModelId,
    /// From when on; until the next price of the same model.
    pub from: Timestamp,
    /// How much.
    pub rates: Rates,
}

/// Answer of `GET /api/admin/prices` and body of `PUT /api/admin/prices`: the org's own prices, instead of those that
/// Errand knows.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export))]
pub struct PriceList {
    /// In any order.
    #[cfg_attr(feature = "schema", schemars(length(max = 500)))]
    pub prices: Vec<Price>,
}

/// What spending is counted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export))]
pub enum Dimension {
    /// The whole org.
    Org,
    /// The person whose session it is.
    User,
    /// One session.
    Session,
    /// The repository that a session works on, by its address.
    Repository,
    /// What started the session, when that was no person.
    Trigger,
    /// One turn. Reports only.
    Turn,
    /// One model. Reports only.
    Model,
}

/// How long a budget lasts. Days and months are those of UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export))]
pub enum Period {
    /// For good.
    Total,
    /// Anew each day.
    Day,
    /// Anew each month.
    Month,
}

/// A budget: what may be spent at most.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export, optional_fields))]
pub struct Budget {
    /// Which.
    pub id: BudgetId,
    /// By what it counts.
    pub dimension: Dimension,
    /// Of which user, session, repository or trigger; absent: of each one by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// For how long.
    pub period: Period,
    /// How much.
    pub limit: Micros,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

/// Body of `POST /api/admin/budgets` → 201 [`Budget`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export, optional_fields))]
pub struct NewBudget {
    /// `bdg_…`, made by the client; makes repeating harmless.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<BudgetId>,
    /// By what it counts.
    pub dimension: Dimension,
    /// Of which one; absent: of each one by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(length(min = 1, max = 2048)))]
    pub subject: Option<String>,
    /// For how long.
    pub period: Period,
    /// How much.
    pub limit: Micros,
}

/// Body of `PATCH /api/admin/budgets/:id` → 200 [`Budget`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export))]
pub struct PatchBudget {
    /// How much from now on.
    pub limit: Micros,
}

/// Answer of `GET /api/admin/budgets`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export))]
pub struct BudgetList {
    /// Oldest first.
    pub budgets: Vec<Budget>,
}

/// How far a budget is used up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export, optional_fields))]
pub struct BudgetState {
    /// Which.
    pub budget: Budget,
    /// Of whom, when it counts each one by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// Spent in this period.
    pub spent: Micros,
    /// When it begins anew; absent: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub renews_at: Option<Timestamp>,
}

/// A budget that is nearly or wholly used up, as a session hears of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export, optional_fields))]
pub struct BudgetNotice {
    /// Which.
    pub budget: BudgetId,
    /// What it is of, in words: "The budget of each person for a day".
    pub what: String,
    /// By what it counts; absent in what was said before budgets told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dimension: Option<Dimension>,
    /// Of which one; absent: of each one by itself, so that another limit holds for each.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// How much may be spent.
    pub limit: Micros,
    /// Spent in this period.
    pub spent: Micros,
    /// When it begins anew; absent: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
}

/// How far the budgets of a session have come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export))]
pub enum BudgetLevel {
    /// Four fifths of one are spent.
    Soft,
    /// One is used up: the session rests, or is about to.
    UsedUp,
}

/// A sum over calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export))]
pub struct Spending {
    /// How many calls of models.
    pub calls: u64,
    /// How many of them are booked by an estimate.
    pub estimated: u64,
    /// Their tokens.
    pub tokens: Tokens,
    /// Seconds that sandboxes were kept.
    pub sandbox_seconds: u64,
    /// The cost of all of it.
    pub cost: Micros,
}

/// A sum with what it is of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export))]
pub struct SpendingOf {
    /// Of which user, session, repository, model or day.
    pub subject: String,
    /// The sum.
    #[serde(flatten)]
    pub spending: Spending,
}

/// Answer of `GET /api/usage`: this month, in the org in which one acts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export, optional_fields))]
pub struct UsageReport {
    /// The month, `2026-11`.
    pub month: String,
    /// One's own.
    pub own: Spending,
    /// The org's.
    pub org: Spending,
    /// The org's most expensive, by dimension; only for those who may see the whole org.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub by: BTreeMap<Dimension, Vec<SpendingOf>>,
    /// The budgets that concern one.
    pub budgets: Vec<BudgetState>,
    /// The org's sandboxes that ended this month, by why; only for those who may see the whole org.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stops: Vec<SandboxStops>,
}

/// Sandboxes that were stopped for one reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export))]
pub struct SandboxStops {
    /// Why: `idle`, `room`, `lifetime`, `paused`, `archived`, `budget`, `ended`, `replaced`, or the code of a failure.
    pub reason: String,
    /// How many.
    pub count: u64,
    /// How long they were kept together.
    pub seconds: u64,
}

/// Answer of `GET /api/sessions/:id/usage`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export))]
pub struct SessionUsage {
    /// All of it so far.
    pub session: Spending,
    /// Its last turns that used something, by id, oldest first.
    pub turns: Vec<SpendingOf>,
}

/// Answer of `GET /api/usage/estimate?repo=&model=`: what turns on this repository cost and took lately. Without any
/// there is nothing but the count.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export, optional_fields))]
pub struct Estimate {
    /// Of how many turns.
    pub turns: u32,
    /// What half of them did not exceed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost_p50: Option<Micros>,
    /// What 95 % did not exceed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost_p95: Option<Micros>,
    /// How long half of them took at most, from the first call of a model to the end of the last; seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seconds_p50: Option<u64>,
    /// How long 95 % took at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seconds_p95: Option<u64>,
}

/// Answer of `GET /api/usage/history?dimension=&subject=&days=`: days on which something was spent, oldest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export))]
pub struct UsageHistory {
    /// Each with its day, `2026-11-21`.
    pub days: Vec<SpendingOf>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_have_cents_and_further_digits_only_where_they_say_something() {
        for (micros, text) in [
            (0, "$0.00"),
            (100, "$0.0001"),
            (1, "$0.000001"),
            (10_000, "$0.01"),
            (105_000, "$0.105"),
            (12_300_000, "$12.30"),
            (1_000_000, "$1.00"),
        ] {
            assert_eq!(Micros(micros).dollars(), text);
        }
    }
}
