//! Sums of what was booked, by dimension, subject and period. They change only together with what they count.

use errand_ledger::period;
use errand_protocol::money::{Dimension, Micros, Period, Spending, SpendingOf, Tokens};
use errand_protocol::time::Timestamp;
use errand_session::sql::{Row, Sql, SqlError, Value, text};

use super::{name_of, signed, to_json, unsigned};

/// Adds what was booked to the sums of these subjects, or takes it out (`sign` -1).
///
/// # Errors
/// When the database fails.
pub(super) fn add(
    sql: &impl Sql,
    subjects: &[(Dimension, String)],
    at: Timestamp,
    amount: &Spending,
    sign: i64,
) -> Result<(), SqlError> {
    let buckets = [Period::Total, Period::Month, Period::Day].map(|period| period::bucket(period, at));
    let counted = [
        amount.calls,
        amount.estimated,
        amount.tokens.input,
        amount.tokens.output,
        amount.tokens.cache_read,
        amount.tokens.cache_write,
        amount.tokens.reasoning,
        amount.cost.0,
        amount.sandbox_seconds,
    ];
    let mut keys = Vec::new();
    for (dimension, subject) in subjects {
        // A turn is over within hours: its days are not asked for.
        let kept = if *dimension == Dimension::Turn {
            1
        } else {
            buckets.len()
        };
        for bucket in buckets.iter().take(kept) {
            keys.push((*dimension, subject, bucket));
        }
    }
    let mut args: Vec<Value> = vec![to_json(&keys)?.into()];
    args.extend(counted.map(|number| Value::Int(sign * signed(number))));
    // One statement for all of them: each crossing into the database costs more than the work there.
    sql.exec(
        "INSERT INTO totals (dimension, subject, bucket, calls, estimated, input, output, cache_read, cache_write,
           reasoning, cost, seconds)
         SELECT value ->> 0, value ->> 1, value ->> 2, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10 FROM json_each(?1) WHERE true
         ON CONFLICT (dimension, subject, bucket) DO UPDATE SET calls = calls + excluded.calls,
           estimated = estimated + excluded.estimated, input = input + excluded.input,
           output = output + excluded.output, cache_read = cache_read + excluded.cache_read,
           cache_write = cache_write + excluded.cache_write, reasoning = reasoning + excluded.reasoning,
           cost = cost + excluded.cost, seconds = seconds + excluded.seconds",
        &args,
    )
    .map(drop)
}

const SPENDING: &str = "calls, estimated, input, output, cache_read, cache_write, reasoning, cost, seconds FROM totals";

fn spending_of(row: &Row, from: usize) -> Result<Spending, SqlError> {
    let number = |offset: usize| unsigned(row, from + offset);
    Ok(Spending {
        calls: number(0)?,
        estimated: number(1)?,
        tokens: Tokens {
            input: number(2)?,
            output: number(3)?,
            cache_read: number(4)?,
            cache_write: number(5)?,
            reasoning: number(6)?,
        },
        cost: Micros(number(7)?),
        sandbox_seconds: number(8)?,
    })
}

/// What was booked for a subject in a period.
///
/// # Errors
/// When the database fails.
pub(in crate::ledger) fn spending(
    sql: &impl Sql,
    dimension: Dimension,
    subject: &str,
    bucket: &str,
) -> Result<Spending, SqlError> {
    let rows = sql.exec(
        &format!("SELECT {SPENDING} WHERE dimension = ? AND subject = ? AND bucket = ?"),
        &[name_of(&dimension)?.into(), subject.into(), bucket.into()],
    )?;
    rows.first().map_or(Ok(Spending::default()), |row| spending_of(row, 0))
}

/// The most expensive subjects of a period.
///
/// # Errors
/// When the database fails.
pub(in crate::ledger) fn dearest(
    sql: &impl Sql,
    dimension: Dimension,
    bucket: &str,
    limit: u32,
) -> Result<Vec<SpendingOf>, SqlError> {
    let rows = sql.exec(
        &format!("SELECT subject, {SPENDING} WHERE dimension = ? AND bucket = ? ORDER BY cost DESC, subject LIMIT ?"),
        &[name_of(&dimension)?.into(), bucket.into(), limit.into()],
    )?;
    rows.iter().map(of_row).collect()
}

/// A subject's days from `since` on, oldest first.
///
/// # Errors
/// When the database fails.
pub(in crate::ledger) fn days(
    sql: &impl Sql,
    dimension: Dimension,
    subject: &str,
    since: &str,
) -> Result<Vec<SpendingOf>, SqlError> {
    let rows = sql.exec(
        &format!(
            "SELECT bucket, {SPENDING} WHERE dimension = ? AND subject = ? AND bucket >= ? AND length(bucket) = 10
             ORDER BY bucket"
        ),
        &[name_of(&dimension)?.into(), subject.into(), since.into()],
    )?;
    rows.iter().map(of_row).collect()
}

fn of_row(row: &Row) -> Result<SpendingOf, SqlError> {
    Ok(SpendingOf {
        subject: text(row, 0)?.to_owned(),
        spending: spending_of(row, 1)?,
    })
}
