//! What a Ledger does with its tables: admits, books, reports. Synchronous, each command one step; the rules are those of
//! `crates/ledger`.

use std::collections::BTreeMap;

use errand_ledger::admission::{self, Decision, Held, Level, Purpose, Standing};
use errand_ledger::period;
use errand_ledger::price::{self, Tariff};
use errand_protocol::api::ErrorCode;
use errand_protocol::money::{
    Budget, BudgetNotice, BudgetState, Dimension, Estimate, Micros, Period, Price, Rates, SessionUsage, Spending,
    SpendingOf, Tokens, UsageHistory, UsageReport,
};
use errand_protocol::text::{ModelId, RepoUrl};
use errand_protocol::time::Timestamp;
use errand_session::sql::{Sql, SqlError};

use super::commands::{
    Admission, AdmitCommand, CallEnd, ChangeBudgetCommand, ChangedBudget, Crossing, EstimateCommand, HistoryCommand,
    MadeBudget, MakeBudgetCommand, Payer, Raised, RemoveBudgetCommand, SandboxCommand, SessionUsageCommand,
    SettleCommand, Settled, UsageCommand,
};
use super::releases::store as releases;
use super::store::{self, Booking, Call, CallState};
use crate::http::error::ApiError;
use crate::session_registry::starts::percentiles;

/// A call of which nothing was heard for so long is lost: longer than a provider may take to begin its answer.
pub(super) const LOST_AFTER_MS: i64 = 15 * 60 * 1000;
/// Subjects of each dimension in a report.
const REPORTED: u32 = 50;
/// An estimate looks at so many turns, and so far back.
const ESTIMATED: u32 = 200;
const ESTIMATE_MS: i64 = 90 * 24 * 60 * 60 * 1000;
/// Budgets of one org, at most: each call looks at all of them.
const MAX_BUDGETS: usize = 200;

/// Whether the call may be made; if so it is on its way from now on.
pub(super) fn admit(sql: &impl Sql, command: &AdmitCommand, now: Timestamp) -> Result<Admission, SqlError> {
    let open = present_calls(sql, now)?;
    if open.iter().any(|call| call.id == command.call) {
        return Ok(Admission::Admitted { near: None });
    }
    let tariff = tariff_of(&store::prices(sql)?, &command.model, command.demo, now);
    let standings = standings(sql, &store::budgets(sql)?, &command.payer, &open, now)?;
    let purpose = if command.note { Purpose::Note } else { Purpose::Work };
    Ok(match admission::admit(&standings, tariff.is_some(), purpose, now) {
        Decision::Admitted => {
            let held = match (tariff, command.input_bound, command.output_bound) {
                (Some(tariff), Some(input), Some(output)) => Some(tariff.at_most(input, output)),
                _ => None,
            };
            store::open(sql, command, held, now)?;
            Admission::Admitted {
                near: nearest(&standings, now),
            }
        }
        Decision::Wait(standing) => Admission::Wait {
            why: format!("{} is nearly used up: calls go one by one", name(&standing.budget)),
        },
        Decision::Refused { standing, until } => {
            let anew = until.map_or(String::new(), |until| format!(", until it begins anew at {until}"));
            let limit = standing.budget.limit.dollars();
            releases::stop(sql, &standing.budget.id, &command.payer.session)?;
            Admission::Refused {
                why: format!("{} of {limit} is used up{anew}", name(&standing.budget)),
                notice: notice(standing, now),
                reserve: standings.iter().all(Standing::has_reserve),
            }
        }
        Decision::NoPrice(standing) => Admission::NoPrice {
            why: format!(
                "{} applies, and nobody knows what {} costs: an admin can set its price",
                name(&standing.budget),
                command.model
            ),
            budget: standing.budget.id.clone(),
        },
    })
}

/// The calls that are on their way. Those that are lost are booked first: they hold nothing back.
fn present_calls(sql: &impl Sql, now: Timestamp) -> Result<Vec<Call>, SqlError> {
    let open = store::open_calls(sql)?;
    match open.first() {
        Some(silent) if silent.heard_at.plus(LOST_AFTER_MS) <= now => {
            book_lost(sql, now)?;
            store::open_calls(sql)
        }
        _ => Ok(open),
    }
}

/// Of the budgets of which most is spent, the one with the least left.
fn nearest(standings: &[Standing], now: Timestamp) -> Option<BudgetNotice> {
    let near = standings
        .iter()
        .filter(|standing| admission::level(standing.budget.limit, standing.spent).is_some());
    let nearest = near.min_by_key(|standing| standing.budget.limit.minus(standing.spent));
    nearest.map(|standing| notice(standing, now))
}

fn notice(standing: &Standing, now: Timestamp) -> BudgetNotice {
    BudgetNotice {
        budget: standing.budget.id.clone(),
        what: name(&standing.budget),
        dimension: Some(standing.budget.dimension),
        subject: standing.budget.subject.clone(),
        limit: standing.budget.limit,
        spent: standing.spent,
        until: period::ends(standing.budget.period, now),
    }
}

/// Books the call. Only the first time counts; a call that was booked as lost is corrected.
pub(super) fn settle(sql: &impl Sql, command: &SettleCommand, now: Timestamp) -> Result<Settled, SqlError> {
    let Some(call) = store::call(sql, &command.call)? else {
        // Never admitted here: there is nothing to book it on.
        return Ok(Settled::default());
    };
    if call.state == CallState::Settled {
        return Ok(Settled {
            cost: call.cost,
            crossed: Vec::new(),
        });
    }
    let booking = Booking {
        tokens: command.tokens,
        cost: cost(sql, &call, &command.tokens)?,
        estimated: command.estimated,
        end: command.end,
    };
    book(sql, &call, &booking, now)
}

fn book(sql: &impl Sql, call: &Call, booking: &Booking, now: Timestamp) -> Result<Settled, SqlError> {
    let budgets = store::budgets(sql)?;
    let before = standings(sql, &budgets, &call.payer, &[], call.begun_at)?;
    store::book(sql, call, booking, now)?;
    let after = standings(sql, &budgets, &call.payer, &[], call.begun_at)?;
    let reserve = after.iter().all(Standing::has_reserve);
    let crossed = before.iter().zip(after).filter_map(|(before, after)| {
        let level = admission::crossed(after.budget.limit, before.spent, after.spent)?;
        Some(Crossing {
            notice: notice(&after, call.begun_at),
            hard: level == Level::Hard,
            reserve,
        })
    });
    let crossed: Vec<Crossing> = crossed.collect();
    for crossing in crossed.iter().filter(|crossing| crossing.hard) {
        releases::stop(sql, &crossing.notice.budget, &call.payer.session)?;
    }
    Ok(Settled {
        cost: booking.cost,
        crossed,
    })
}

/// Books calls of which nothing was heard for too long with what is known of them. Returns when to look again.
pub(super) fn book_lost(sql: &impl Sql, now: Timestamp) -> Result<Option<Timestamp>, SqlError> {
    for call in store::open_calls(sql)? {
        let lost_at = call.heard_at.plus(LOST_AFTER_MS);
        if lost_at > now {
            return Ok(Some(lost_at));
        }
        let booking = Booking {
            tokens: call.tokens,
            cost: cost(sql, &call, &call.tokens)?,
            estimated: true,
            end: CallEnd::Lost,
        };
        store::book(sql, &call, &booking, call.heard_at)?;
    }
    Ok(None)
}

fn cost(sql: &impl Sql, call: &Call, tokens: &Tokens) -> Result<Micros, SqlError> {
    let tariff = tariff_of(&store::prices(sql)?, &call.model, call.demo, call.begun_at);
    Ok(tariff.map_or(Micros(0), |tariff| tariff.cost(tokens)))
}

/// A demonstration is free, unless somebody wants to see what a price does.
fn tariff_of(own: &[Price], model: &ModelId, demo: bool, at: Timestamp) -> Option<Tariff> {
    const FREE: Rates = Rates {
        input: 0,
        output: 0,
        cache_read: None,
        cache_write: None,
        reasoning: None,
    };
    price::tariff(own, model, at).or(demo.then_some(Tariff::flat(FREE)))
}

/// The budgets that apply to a call of this payer. Calls on their way count in the present period whenever they began:
/// that holds back too much rather than too little.
fn standings(
    sql: &impl Sql,
    budgets: &[Budget],
    payer: &Payer,
    open: &[Call],
    at: Timestamp,
) -> Result<Vec<Standing>, SqlError> {
    let payers = store::payers(payer);
    let mut standings = Vec::new();
    for budget in budgets {
        let Some((dimension, subject)) = payers.iter().find(|(dimension, _)| *dimension == budget.dimension) else {
            continue;
        };
        if budget.subject.as_ref().is_some_and(|of| of != subject) {
            continue;
        }
        let theirs = |call: &&Call| store::payers(&call.payer).contains(&(*dimension, subject.clone()));
        let held = open
            .iter()
            .filter(theirs)
            .fold(Held::NOTHING, |sum, call| match (sum, call.held) {
                (Held::AtMost(sum), Some(more)) => Held::AtMost(sum.plus(more)),
                _ => Held::Unknown,
            });
        let bucket = period::bucket(budget.period, at);
        standings.push(Standing {
            spent: store::spending(sql, *dimension, subject, &bucket)?.cost,
            held,
            subject: (*dimension != Dimension::Org).then(|| subject.clone()),
            budget: budget.clone(),
        });
    }
    Ok(standings)
}

/// What was used this month.
pub(super) fn usage(sql: &impl Sql, command: &UsageCommand, now: Timestamp) -> Result<UsageReport, SqlError> {
    let month = period::bucket(Period::Month, now);
    let mut by = BTreeMap::new();
    let mut stops = Vec::new();
    if command.all {
        stops = store::stops(sql, period::begins(Period::Month, now), REPORTED)?;
        for dimension in [
            Dimension::User,
            Dimension::Session,
            Dimension::Repository,
            Dimension::Trigger,
            Dimension::Model,
        ] {
            by.insert(dimension, store::dearest(sql, dimension, &month, REPORTED)?);
        }
    }
    Ok(UsageReport {
        own: store::spending(sql, Dimension::User, command.user.as_str(), &month)?,
        org: store::spending(sql, Dimension::Org, "", &month)?,
        by,
        budgets: budget_states(sql, command, now)?,
        month,
        stops,
    })
}

/// Books a sandbox that was stopped. Part of a second is a second; a clock that was set back gives none.
pub(super) fn book_sandbox(sql: &impl Sql, command: &SandboxCommand) -> Result<(), SqlError> {
    let kept = u64::try_from(command.life.until.since(command.life.since)).unwrap_or_default();
    let seconds = kept.div_ceil(1000);
    let cost = Micros(seconds.saturating_mul(command.price.0));
    store::book_sandbox(sql, command, seconds, cost)
}

/// What a session used, and its turns.
pub(super) fn session_usage(sql: &impl Sql, command: &SessionUsageCommand) -> Result<SessionUsage, SqlError> {
    let total = |dimension, subject: &str| store::spending(sql, dimension, subject, "total");
    let mut turns = Vec::new();
    for turn in &command.turns {
        let spending = total(Dimension::Turn, turn.as_str())?;
        if spending != Spending::default() {
            turns.push(SpendingOf {
                subject: turn.to_string(),
                spending,
            });
        }
    }
    Ok(SessionUsage {
        session: total(Dimension::Session, command.session.as_str())?,
        turns,
    })
}

/// What turns on a repository cost and took lately.
pub(super) fn estimate(sql: &impl Sql, command: &EstimateCommand, now: Timestamp) -> Result<Estimate, SqlError> {
    let repo = command.repo.as_ref().map_or("", RepoUrl::as_str);
    let since = now.plus(-ESTIMATE_MS);
    let turns = store::turns_on(sql, repo, command.model.as_ref(), since, ESTIMATED)?;
    let (costs, times): (Vec<i64>, Vec<i64>) = turns.iter().copied().unzip();
    let seconds = |ms: i64| u64::try_from(ms).unwrap_or_default().div_ceil(1000);
    let (cost, time) = (percentiles(costs), percentiles(times));
    let micros = |cost: i64| Micros(u64::try_from(cost).unwrap_or_default());
    Ok(Estimate {
        turns: u32::try_from(turns.len()).unwrap_or(u32::MAX),
        cost_p50: cost.map(|(half, _)| micros(half)),
        cost_p95: cost.map(|(_, most)| micros(most)),
        seconds_p50: time.map(|(half, _)| seconds(half)),
        seconds_p95: time.map(|(_, most)| seconds(most)),
    })
}

/// The org's budgets and one's own; all of them for who may see all. Of those that count each one by itself: one's own.
fn budget_states(sql: &impl Sql, command: &UsageCommand, now: Timestamp) -> Result<Vec<BudgetState>, SqlError> {
    let mut states = Vec::new();
    for budget in store::budgets(sql)? {
        let own = Some(command.user.to_string());
        let subject = match (budget.dimension, &budget.subject) {
            (Dimension::Org, _) => Some(String::new()),
            (Dimension::User, None) => own,
            (Dimension::User, Some(_)) if budget.subject == own => own,
            (_, Some(subject)) if command.all => Some(subject.clone()),
            _ => None,
        };
        let Some(subject) = subject else { continue };
        let bucket = period::bucket(budget.period, now);
        states.push(BudgetState {
            spent: store::spending(sql, budget.dimension, &subject, &bucket)?.cost,
            renews_at: period::ends(budget.period, now),
            subject: (budget.dimension != Dimension::Org).then_some(subject),
            budget,
        });
    }
    Ok(states)
}

/// A subject's days.
pub(super) fn history(sql: &impl Sql, command: &HistoryCommand, now: Timestamp) -> Result<UsageHistory, SqlError> {
    let since = period::day_before(now, command.days.saturating_sub(1));
    Ok(UsageHistory {
        days: store::days(sql, command.dimension, &command.subject, &since)?,
    })
}

/// Makes a budget. The same again changes nothing; another under the same id is a conflict.
pub(super) fn make_budget(sql: &impl Sql, command: MakeBudgetCommand, now: Timestamp) -> Result<MadeBudget, ApiError> {
    let MakeBudgetCommand { id, new } = command;
    let budgets = store::budgets(sql)?;
    if let Some(known) = budgets.iter().find(|budget| budget.id == id) {
        let same = (known.dimension, &known.subject, known.period) == (new.dimension, &new.subject, new.period);
        if !same || known.limit != new.limit {
            let message = format!(
                "this id or idempotency key stands for another budget, or one that was changed to {}",
                known.limit.dollars()
            );
            return Err(ApiError::new(ErrorCode::Conflict, message));
        }
        return Ok(MadeBudget {
            budget: known.clone(),
            made: false,
        });
    }
    if budgets.len() >= MAX_BUDGETS {
        return Err(ApiError::new(
            ErrorCode::Conflict,
            format!("an org has at most {MAX_BUDGETS} budgets"),
        ));
    }
    let budget = Budget {
        id,
        dimension: new.dimension,
        subject: new.subject,
        period: new.period,
        limit: new.limit,
        updated_at: now,
    };
    store::put_budget(sql, &budget)?;
    Ok(MadeBudget { budget, made: true })
}

/// Gives a budget another limit. Sessions that it stopped have to hear of more.
pub(super) fn change_budget(
    sql: &impl Sql,
    command: &ChangeBudgetCommand,
    now: Timestamp,
) -> Result<ChangedBudget, ApiError> {
    let known = store::budgets(sql)?.into_iter().find(|budget| budget.id == command.id);
    let mut budget = known.ok_or_else(|| ApiError::not_found("budget"))?;
    let was = budget.limit;
    let lowers = command.extends.is_some() && command.limit < budget.limit;
    if budget.limit != command.limit && !lowers {
        if command.limit > budget.limit {
            let raise = Raised {
                limit: Some(command.limit),
                by: command.by.clone(),
            };
            releases::release(sql, &budget.id, &raise, command.extends.as_ref())?;
        }
        budget.limit = command.limit;
        budget.updated_at = now;
        store::put_budget(sql, &budget)?;
    }
    Ok(ChangedBudget { budget, was })
}

/// Removes a budget and says which it was. Fine when there is none. Sessions that it stopped have to hear of it.
pub(super) fn remove_budget(sql: &impl Sql, command: &RemoveBudgetCommand) -> Result<Option<Budget>, SqlError> {
    let raise = Raised {
        limit: None,
        by: command.by.clone(),
    };
    let known = store::budgets(sql)?.into_iter().find(|budget| budget.id == command.id);
    releases::release(sql, &command.id, &raise, None)?;
    store::remove_budget(sql, &command.id)?;
    Ok(known)
}

fn name(budget: &Budget) -> String {
    let of = match (budget.dimension, &budget.subject) {
        (Dimension::Org, _) => "of the org",
        (Dimension::User, None) => "of each person",
        (Dimension::User, Some(_)) => "of this session's owner",
        (Dimension::Session, None) => "of each session",
        (Dimension::Session, Some(_)) => "of this session",
        (Dimension::Repository, None) => "of each repository",
        (Dimension::Repository, Some(_)) => "of this repository",
        (Dimension::Trigger, _) => "of what started this session",
        (Dimension::Turn | Dimension::Model, _) => "of this call",
    };
    let each = match budget.period {
        Period::Total => "",
        Period::Day => " for a day",
        Period::Month => " for a month",
    };
    format!("The budget {of}{each}")
}
