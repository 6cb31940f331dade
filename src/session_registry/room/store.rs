//! Who seems to have nothing to do, and who was asked for whose sake; all SQL of that.

use errand_protocol::ids::{Seq, SessionId};
use errand_protocol::session::Session;
use errand_protocol::time::Timestamp;
use errand_session::room::{Scarce, seems_to_wait};
use errand_session::sql::{Sql, SqlError, Value, json, text};

use super::{Asked, RoomCommand};

/// Longer than a sandbox takes to be paused.
const PAUSING_MS: i64 = 150_000;

/// Sessions whose sandbox has nothing to do, as far as the index knows; for longest first.
pub(in crate::session_registry) fn idle(sql: &impl Sql, limit: u32) -> Result<Vec<Session>, SqlError> {
    let rows = sql.exec(
        "SELECT summary FROM sessions WHERE archived = 0
            AND json_extract(summary, '$.phase') = 'running' AND json_extract(summary, '$.activity') = 'idle'
         ORDER BY updated_at, id LIMIT ?",
        &[limit.into()],
    )?;
    rows.iter().map(|row| json(row, 0)).collect()
}

/// Who was asked for this session's sake.
pub(in crate::session_registry) fn asked(
    sql: &impl Sql,
    command: &RoomCommand,
    now: Timestamp,
) -> Result<Option<Asked>, SqlError> {
    let rows = sql.exec(
        "SELECT session FROM asked_for_room WHERE waiting = ? AND scarce = ? AND at > ?",
        &[command.session.as_str().into(), scarce(command).into(), since(now)],
    )?;
    let Some(row) = rows.first() else { return Ok(None) };
    match text(row, 0)? {
        "" => Ok(Some(Asked::Rests)),
        id => id
            .parse()
            .map(|id| Some(Asked::Session(id)))
            .map_err(|e| SqlError::Row(format!("{e}"))),
    }
}

/// Somebody is about to be asked; `false`: it was asked for the sake of another, and may be pausing.
pub(in crate::session_registry) fn ask(
    sql: &impl Sql,
    command: &RoomCommand,
    other: &SessionId,
    now: Timestamp,
) -> Result<bool, SqlError> {
    sql.transaction(|| {
        sql.exec("DELETE FROM asked_for_room WHERE at <= ?", &[since(now)])?;
        let [waiting, session]: [Value; 2] = [command.session.as_str().into(), other.as_str().into()];
        let taken = sql.exec(
            "SELECT 1 FROM asked_for_room WHERE session = ? AND waiting <> ?",
            &[session.clone(), waiting.clone()],
        )?;
        if !taken.is_empty() {
            return Ok(false);
        }
        sql.exec(
            "INSERT INTO asked_for_room (waiting, scarce, session, head_seq, at) VALUES (?, ?, ?, ?, ?)
             ON CONFLICT (waiting) DO UPDATE SET scarce = excluded.scarce, session = excluded.session,
                 head_seq = excluded.head_seq, at = excluded.at
               WHERE session <> excluded.session",
            &[
                waiting,
                scarce(command).into(),
                session,
                position(command.head_seq),
                Value::Int(now.millis()),
            ],
        )?;
        Ok(true)
    })
}

/// The index hears of a session: it waits no longer, or it rests, and whoever waits for its place may find it free.
pub(in crate::session_registry) fn heard(sql: &impl Sql, session: &Session) -> Result<(), SqlError> {
    if !seems_to_wait(session) {
        sql.exec(
            "DELETE FROM asked_for_room WHERE waiting = ? AND head_seq < ?",
            &[session.id.as_str().into(), position(session.head_seq)],
        )?;
    }
    if session.phase.resting() {
        sql.exec(
            "UPDATE asked_for_room SET session = '' WHERE session = ?",
            &[session.id.as_str().into()],
        )?;
    }
    Ok(())
}

/// Who was asked gives nothing up, or nobody needs to know any more.
pub(in crate::session_registry) fn forget(sql: &impl Sql, waiting: &SessionId) -> Result<(), SqlError> {
    sql.exec(
        "DELETE FROM asked_for_room WHERE waiting = ?",
        &[waiting.as_str().into()],
    )
    .map(drop)
}

fn scarce(command: &RoomCommand) -> &'static str {
    match command.scarce {
        Scarce::Person => "person",
        Scarce::Org => "org",
        Scarce::Host => "host",
    }
}

fn position(seq: Seq) -> Value {
    Value::Int(i64::try_from(seq.0).unwrap_or(i64::MAX))
}

fn since(now: Timestamp) -> Value {
    Value::Int(now.millis() - PAUSING_MS)
}
