//! Who seems to have nothing to do, and who was asked for whose sake; all SQL of that.

use errand_protocol::ids::SessionId;
use errand_protocol::session::Session;
use errand_protocol::time::Timestamp;
use errand_session::sql::{Sql, SqlError, Value, json, text};

use super::RoomCommand;

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

/// Who was asked for this session's sake and gave its place up, or had not answered.
pub(in crate::session_registry) fn asked(
    sql: &impl Sql,
    command: &RoomCommand,
    now: Timestamp,
) -> Result<Option<SessionId>, SqlError> {
    let rows = sql.exec(
        "SELECT session FROM asked_for_room WHERE waiting = ? AND scarce = ? AND at > ?",
        &[command.session.as_str().into(), scarce(command).into(), since(now)],
    )?;
    let parse = |row| text(row, 0)?.parse().map_err(|e| SqlError::Row(format!("{e}")));
    rows.first().map(parse).transpose()
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
            "INSERT INTO asked_for_room (waiting, scarce, session, at) VALUES (?, ?, ?, ?)
             ON CONFLICT (waiting) DO UPDATE SET scarce = excluded.scarce, session = excluded.session, at = excluded.at
               WHERE session <> excluded.session",
            &[waiting, scarce(command).into(), session, Value::Int(now.millis())],
        )?;
        Ok(true)
    })
}

/// Who was asked gives nothing up.
pub(in crate::session_registry) fn forget(sql: &impl Sql, waiting: &SessionId) -> Result<(), SqlError> {
    sql.exec(
        "DELETE FROM asked_for_room WHERE waiting = ?",
        &[waiting.as_str().into()],
    )
    .map(drop)
}

fn scarce(command: &RoomCommand) -> &'static str {
    match command.scarce {
        errand_session::room::Scarce::Person => "person",
        errand_session::room::Scarce::Org => "org",
        errand_session::room::Scarce::Host => "host",
    }
}

fn since(now: Timestamp) -> Value {
    Value::Int(now.millis() - PAUSING_MS)
}
