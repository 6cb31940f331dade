//! Sessions that were let in lately, those at work, and how many there are; all SQL of that. A session is at work unless it
//! rests, or its sandbox has nothing to do; one that was let in and is not in the index yet counts as at work for a while.

use errand_access::Usage;
use errand_protocol::ids::{Seq, SessionId, UserId};
use errand_protocol::time::Timestamp;
use errand_session::sql::{Sql, SqlError, Value, int};

/// What `daily` means.
const DAY_MS: i64 = 24 * 60 * 60 * 1000;
/// After so long a session that was let in is in the index, or was never made.
const BEING_MADE_MS: i64 = 60 * 1000;

/// Whether this person's session was let in before.
pub(super) fn is_admitted(sql: &impl Sql, session: &SessionId, owner: &UserId) -> Result<bool, SqlError> {
    let args = [session.as_str().into(), owner.as_str().into()];
    let rows = sql.exec(
        "SELECT 1 FROM admissions WHERE session = ?1 AND owner = ?2
         UNION ALL SELECT 1 FROM sessions WHERE id = ?1 AND owner = ?2",
        &args,
    )?;
    Ok(!rows.is_empty())
}

/// A session is let in. Forgets those of the day before.
pub(super) fn note(sql: &impl Sql, session: &SessionId, owner: &UserId, now: Timestamp) -> Result<(), SqlError> {
    sql.exec(
        "DELETE FROM admissions WHERE at <= ?",
        &[Value::Int(now.millis() - DAY_MS)],
    )?;
    sql.exec(
        "INSERT INTO admissions (session, owner, at) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
        &[session.as_str().into(), owner.as_str().into(), Value::Int(now.millis())],
    )
    .map(drop)
}

/// How many other sessions of the person, and of the org, have a slot.
pub(super) fn others_at_work(sql: &impl Sql, session: &SessionId, owner: &UserId) -> Result<(u32, u32), SqlError> {
    let rows = sql.exec(
        "SELECT count(*) FILTER (WHERE owner = ?2), count(*) FROM slots WHERE session <> ?1",
        &[session.as_str().into(), owner.as_str().into()],
    )?;
    let row = rows.first().ok_or_else(|| SqlError::Row("no count".to_owned()))?;
    let number = |column| Ok(u32::try_from(int(row, column)?).unwrap_or(u32::MAX));
    Ok((number(0)?, number(1)?))
}

/// The session goes to work.
pub(super) fn take_slot(sql: &impl Sql, session: &SessionId, owner: &UserId, head: Seq) -> Result<(), SqlError> {
    sql.exec(
        "INSERT INTO slots (session, owner, head_seq) VALUES (?, ?, ?)
         ON CONFLICT (session) DO UPDATE SET head_seq = max(head_seq, excluded.head_seq)",
        &[session.as_str().into(), owner.as_str().into(), position(head)],
    )
    .map(drop)
}

/// The index hears that the session rests, since its log ended there.
pub(in crate::session_registry) fn free_slot(sql: &impl Sql, session: &SessionId, head: Seq) -> Result<(), SqlError> {
    sql.exec(
        "DELETE FROM slots WHERE session = ? AND head_seq < ?",
        &[session.as_str().into(), position(head)],
    )
    .map(drop)
}

fn position(seq: Seq) -> Value {
    Value::Int(i64::try_from(seq.0).unwrap_or(i64::MAX))
}

/// How many sessions the person and the org have.
pub(super) fn usage(sql: &impl Sql, owner: &UserId, now: Timestamp) -> Result<Usage, SqlError> {
    let at_work = "SELECT count(*), count(*) FILTER (WHERE owner = ?1) FROM (
        SELECT owner FROM sessions WHERE archived = 0
            AND json_extract(summary, '$.phase') NOT IN ('idle', 'paused', 'error', 'terminated')
            AND NOT (json_extract(summary, '$.phase') = 'running' AND json_extract(summary, '$.activity') = 'idle')
        UNION ALL SELECT a.owner FROM admissions a WHERE a.at > ?2
            AND NOT EXISTS (SELECT 1 FROM sessions s WHERE s.id = a.session))";
    let made = "SELECT count(*), count(*) FILTER (WHERE owner = ?1) FROM admissions WHERE at > ?2";
    let count = |query, since: i64| -> Result<(u32, u32), SqlError> {
        let rows = sql.exec(query, &[owner.as_str().into(), Value::Int(since)])?;
        let row = rows.first().ok_or_else(|| SqlError::Row("no count".to_owned()))?;
        let number = |column| Ok(u32::try_from(int(row, column)?).unwrap_or(u32::MAX));
        Ok((number(0)?, number(1)?))
    };
    let (org_concurrent, person_concurrent) = count(at_work, now.millis() - BEING_MADE_MS)?;
    let (org_daily, person_daily) = count(made, now.millis() - DAY_MS)?;
    Ok(Usage {
        person_concurrent,
        person_daily,
        org_concurrent,
        org_daily,
    })
}
