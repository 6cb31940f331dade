//! The tables of a Ledger, and the only place with SQL for them.
//!
//! `calls` has each call of a model: open from its admission on, then booked. `totals` are sums of booked calls by
//! dimension, subject and period (`total`, a month, a day). `sandboxes` has each sandbox that was stopped, and why.
//! `budgets` and `prices` are what people set. `stopped` is that of [`releases`].
//!
//! **Invariant:** `totals` are changed only together with the row of the call or sandbox, in one transaction: each is in
//! them once it is booked, once.

mod rules;
mod totals;

use errand_protocol::ids::CallId;
use errand_protocol::money::{Dimension, Micros, SandboxStops, Spending, Tokens};
use errand_protocol::text::ModelId;
use errand_protocol::time::Timestamp;
use errand_session::sql::{Row, Sql, SqlError, Value, int, json, text};
use serde::Serialize;
use serde::de::DeserializeOwned;

pub(super) use self::rules::{budgets, prices, put_budget, remove_budget, set_prices};
use self::totals::add;
pub(super) use self::totals::{days, dearest, spending};
use super::commands::{AdmitCommand, CallEnd, Payer, SandboxCommand};
use super::releases::store as releases;
use crate::session_registry::store::migrate_to;

const MIGRATIONS: &[(&str, &str)] = &[
    ("0001_books", BOOKS),
    ("0002_sandboxes", SANDBOXES),
    ("0003_stopped", releases::STOPPED),
];

const BOOKS: &str = "
CREATE TABLE calls (
  id TEXT PRIMARY KEY,
  state TEXT NOT NULL CHECK (state IN ('open', 'settled', 'lost')),
  payer TEXT NOT NULL,
  model TEXT NOT NULL,
  demo INTEGER NOT NULL,
  begun_at INTEGER NOT NULL,
  heard_at INTEGER NOT NULL,
  held INTEGER,
  tokens TEXT NOT NULL,
  cost INTEGER NOT NULL DEFAULT 0,
  estimated INTEGER NOT NULL DEFAULT 1,
  how TEXT
);
CREATE INDEX calls_open ON calls (heard_at) WHERE state = 'open';
CREATE TABLE totals (
  dimension TEXT NOT NULL,
  subject TEXT NOT NULL,
  bucket TEXT NOT NULL,
  calls INTEGER NOT NULL,
  estimated INTEGER NOT NULL,
  input INTEGER NOT NULL,
  output INTEGER NOT NULL,
  cache_read INTEGER NOT NULL,
  cache_write INTEGER NOT NULL,
  reasoning INTEGER NOT NULL,
  cost INTEGER NOT NULL,
  PRIMARY KEY (dimension, subject, bucket)
) WITHOUT ROWID;
CREATE INDEX totals_by_cost ON totals (dimension, bucket, cost);
CREATE TABLE budgets (
  id TEXT PRIMARY KEY,
  place INTEGER NOT NULL,
  budget TEXT NOT NULL
);
CREATE TABLE prices (model TEXT NOT NULL, since INTEGER NOT NULL, price TEXT NOT NULL, PRIMARY KEY (model, since));
";

/// Times and costs of a repository's turns are looked for by what `calls` says of them.
const SANDBOXES: &str = "
ALTER TABLE totals ADD COLUMN seconds INTEGER NOT NULL DEFAULT 0;
CREATE TABLE sandboxes (
  session TEXT NOT NULL,
  generation INTEGER NOT NULL,
  payer TEXT NOT NULL,
  since INTEGER NOT NULL,
  until INTEGER NOT NULL,
  seconds INTEGER NOT NULL,
  reason TEXT NOT NULL,
  cost INTEGER NOT NULL,
  PRIMARY KEY (session, generation)
) WITHOUT ROWID;
CREATE INDEX sandboxes_by_end ON sandboxes (until);
CREATE INDEX calls_by_repo ON calls (coalesce(json_extract(payer, '$.repo'), ''), begun_at);
";

/// Brings the schema up to date.
///
/// # Errors
/// When the database fails.
pub(super) fn migrate(sql: &impl Sql) -> Result<(), SqlError> {
    migrate_to(sql, MIGRATIONS)
}

/// A call as the books have it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Call {
    pub(super) id: CallId,
    pub(super) state: CallState,
    pub(super) payer: Payer,
    pub(super) model: ModelId,
    pub(super) demo: bool,
    pub(super) begun_at: Timestamp,
    /// When somebody last said that it goes on.
    pub(super) heard_at: Timestamp,
    /// What it may cost at most; `None`: nobody knows.
    pub(super) held: Option<Micros>,
    /// Used so far; once it is booked: what it is booked with.
    pub(super) tokens: Tokens,
    pub(super) cost: Micros,
    pub(super) estimated: bool,
}

/// How far a call is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CallState {
    /// On its way.
    Open,
    /// Booked.
    Settled,
    /// Booked without a word from who made it. A late word corrects it.
    Lost,
}

impl CallState {
    const fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Settled => "settled",
            Self::Lost => "lost",
        }
    }
}

const CALL: &str = "SELECT id, state, payer, model, demo, begun_at, heard_at, held, tokens, cost, estimated FROM calls";

fn call_of(row: &Row) -> Result<Call, SqlError> {
    let state = match text(row, 1)? {
        "open" => CallState::Open,
        "settled" => CallState::Settled,
        "lost" => CallState::Lost,
        other => return Err(SqlError::Row(format!("a call that is {other}"))),
    };
    let held = match row.get(7) {
        Some(Value::Null) => None,
        _ => Some(Micros(unsigned(row, 7)?)),
    };
    Ok(Call {
        id: parsed(text(row, 0)?)?,
        state,
        payer: json(row, 2)?,
        model: parsed(text(row, 3)?)?,
        demo: int(row, 4)? != 0,
        begun_at: Timestamp::from_millis(int(row, 5)?),
        heard_at: Timestamp::from_millis(int(row, 6)?),
        held,
        tokens: json(row, 8)?,
        cost: Micros(unsigned(row, 9)?),
        estimated: int(row, 10)? != 0,
    })
}

/// A call by its id.
///
/// # Errors
/// When the database fails.
pub(super) fn call(sql: &impl Sql, id: &CallId) -> Result<Option<Call>, SqlError> {
    let rows = sql.exec(&format!("{CALL} WHERE id = ?"), &[id.as_str().into()])?;
    rows.first().map(call_of).transpose()
}

/// The calls that are on their way, the one that was silent the longest first.
///
/// # Errors
/// When the database fails.
pub(super) fn open_calls(sql: &impl Sql) -> Result<Vec<Call>, SqlError> {
    let rows = sql.exec(&format!("{CALL} WHERE state = 'open' ORDER BY heard_at"), &[])?;
    rows.iter().map(call_of).collect()
}

/// Notes that a call is on its way.
///
/// # Errors
/// When the database fails.
pub(super) fn open(
    sql: &impl Sql,
    command: &AdmitCommand,
    held: Option<Micros>,
    now: Timestamp,
) -> Result<(), SqlError> {
    let guess = Tokens {
        input: command.input_guess,
        ..Tokens::default()
    };
    sql.exec(
        "INSERT INTO calls (id, state, payer, model, demo, begun_at, heard_at, held, tokens)
         VALUES (?, 'open', ?, ?, ?, ?6, ?6, ?5, ?7)",
        &[
            command.call.as_str().into(),
            to_json(&command.payer)?.into(),
            command.model.as_str().into(),
            Value::Int(i64::from(command.demo)),
            held.map(|held| signed(held.0)).into(),
            now.millis().into(),
            to_json(&guess)?.into(),
        ],
    )
    .map(drop)
}

/// Notes that an open call goes on.
///
/// # Errors
/// When the database fails.
pub(super) fn heard(sql: &impl Sql, id: &CallId, tokens: &Tokens, now: Timestamp) -> Result<(), SqlError> {
    sql.exec(
        "UPDATE calls SET heard_at = ?, tokens = ? WHERE id = ? AND state = 'open'",
        &[now.millis().into(), to_json(tokens)?.into(), id.as_str().into()],
    )
    .map(drop)
}

/// What a call is booked with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Booking {
    pub(super) tokens: Tokens,
    pub(super) cost: Micros,
    pub(super) estimated: bool,
    pub(super) end: CallEnd,
}

/// Books a call in its row and in all sums. One that was booked before is taken out of them first.
///
/// # Errors
/// When the database fails.
pub(super) fn book(sql: &impl Sql, call: &Call, booking: &Booking, now: Timestamp) -> Result<(), SqlError> {
    let state = match booking.end {
        CallEnd::Lost => CallState::Lost,
        CallEnd::Complete | CallEnd::Cut | CallEnd::Failed => CallState::Settled,
    };
    sql.transaction(|| {
        if call.state != CallState::Open {
            add(sql, &subjects(call), call.begun_at, &of_call(&call.tokens, call.cost, call.estimated), -1)?;
        }
        let booked = of_call(&booking.tokens, booking.cost, booking.estimated);
        add(sql, &subjects(call), call.begun_at, &booked, 1)?;
        sql.exec(
            "UPDATE calls SET state = ?, tokens = ?, cost = ?, estimated = ?, how = ?, held = 0, heard_at = ?7 WHERE id = ?6",
            &[
                state.name().into(),
                to_json(&booking.tokens)?.into(),
                Value::Int(signed(booking.cost.0)),
                Value::Int(i64::from(booking.estimated)),
                name_of(&booking.end)?.into(),
                call.id.as_str().into(),
                now.millis().into(),
            ],
        )
        .map(drop)
    })
}

fn of_call(tokens: &Tokens, cost: Micros, estimated: bool) -> Spending {
    Spending {
        calls: 1,
        estimated: u64::from(estimated),
        tokens: *tokens,
        sandbox_seconds: 0,
        cost,
    }
}

/// Books a sandbox that was stopped, in its row and in all sums; its turns' seconds in theirs, without cost. The same
/// one again changes nothing.
///
/// # Errors
/// When the database fails.
pub(super) fn book_sandbox(
    sql: &impl Sql,
    command: &SandboxCommand,
    seconds: u64,
    cost: Micros,
) -> Result<(), SqlError> {
    let SandboxCommand { payer, life, .. } = command;
    let kept = |sandbox_seconds: u64, cost: Micros| Spending {
        sandbox_seconds,
        cost,
        ..Spending::default()
    };
    sql.transaction(|| {
        let args: [Value; 8] = [
            payer.session.as_str().into(),
            life.generation.0.into(),
            to_json(payer)?.into(),
            life.since.millis().into(),
            life.until.millis().into(),
            Value::Int(signed(seconds)),
            life.reason.as_str().into(),
            Value::Int(signed(cost.0)),
        ];
        let known = "SELECT 1 FROM sandboxes WHERE session = ? AND generation = ?";
        if !sql.exec(known, args.get(..2).unwrap_or_default())?.is_empty() {
            return Ok(());
        }
        sql.exec("INSERT INTO sandboxes VALUES (?, ?, ?, ?, ?, ?, ?, ?)", &args)?;
        add(sql, &payers(payer), life.until, &kept(seconds, cost), 1)?;
        for turn in &life.turns {
            let subject = [(Dimension::Turn, turn.turn.to_string())];
            add(sql, &subject, life.until, &kept(turn.seconds, Micros(0)), 1)?;
        }
        Ok(())
    })
}

/// Sandboxes that ended from `since` on, by reason, the longest together first.
///
/// # Errors
/// When the database fails.
pub(super) fn stops(sql: &impl Sql, since: Timestamp, limit: u32) -> Result<Vec<SandboxStops>, SqlError> {
    let rows = sql.exec(
        "SELECT reason, count(*), sum(seconds) FROM sandboxes WHERE until >= ? GROUP BY reason
         ORDER BY sum(seconds) DESC, reason LIMIT ?",
        &[since.millis().into(), limit.into()],
    )?;
    let stops = |row: &Row| {
        Ok(SandboxStops {
            reason: text(row, 0)?.to_owned(),
            count: unsigned(row, 1)?,
            seconds: unsigned(row, 2)?,
        })
    };
    rows.iter().map(stops).collect()
}

/// Cost and milliseconds of the last turns on a repository, with one model or with any.
///
/// # Errors
/// When the database fails.
pub(super) fn turns_on(
    sql: &impl Sql,
    repo: &str,
    model: Option<&ModelId>,
    since: Timestamp,
    limit: u32,
) -> Result<Vec<(i64, i64)>, SqlError> {
    let rows = sql.exec(
        "SELECT sum(cost), max(heard_at) - min(begun_at) FROM calls
         WHERE coalesce(json_extract(payer, '$.repo'), '') = ?1 AND begun_at >= ?2 AND state <> 'open'
           AND json_extract(payer, '$.turn') IS NOT NULL
         GROUP BY json_extract(payer, '$.turn') HAVING ?3 IS NULL OR max(model = ?3) = 1
         ORDER BY min(begun_at) DESC LIMIT ?4",
        &[
            repo.into(),
            since.millis().into(),
            model.map(|model| model.as_str().to_owned()).into(),
            limit.into(),
        ],
    )?;
    rows.iter().map(|row| Ok((int(row, 0)?, int(row, 1)?.max(0)))).collect()
}

/// Everything that a call counts for.
fn subjects(call: &Call) -> Vec<(Dimension, String)> {
    let mut subjects = payers(&call.payer);
    subjects.push((Dimension::Model, call.model.as_str().to_owned()));
    if let Some(turn) = &call.payer.turn {
        subjects.push((Dimension::Turn, turn.to_string()));
    }
    subjects
}

/// Everything that a budget can be of. The org has one name: its ledger is its own.
pub(super) fn payers(payer: &Payer) -> Vec<(Dimension, String)> {
    let mut subjects = vec![
        (Dimension::Org, String::new()),
        (Dimension::User, payer.user.to_string()),
        (Dimension::Session, payer.session.to_string()),
    ];
    if let Some(repo) = &payer.repo {
        subjects.push((Dimension::Repository, repo.as_str().to_owned()));
    }
    if let Some(trigger) = &payer.trigger {
        subjects.push((Dimension::Trigger, trigger.clone()));
    }
    subjects
}

pub(super) fn to_json(value: &impl Serialize) -> Result<String, SqlError> {
    serde_json::to_string(value).map_err(|e| SqlError::Row(e.to_string()))
}

/// A value that is a plain word on the wire, as that word.
fn name_of(value: &impl Serialize) -> Result<String, SqlError> {
    let quoted = to_json(value)?;
    Ok(quoted.trim_matches('"').to_owned())
}

pub(super) fn parsed<T: DeserializeOwned>(text: &str) -> Result<T, SqlError> {
    serde_json::from_value(text.into()).map_err(|e| SqlError::Row(e.to_string()))
}

fn unsigned(row: &Row, index: usize) -> Result<u64, SqlError> {
    let number = int(row, index)?;
    u64::try_from(number).map_err(|_| SqlError::Row(format!("column {index}: {number} is negative")))
}

fn signed(number: u64) -> i64 {
    // The embedded database hands numbers out as doubles: larger ones would not come back.
    i64::try_from(number).unwrap_or(i64::MAX).min(1 << 52)
}
