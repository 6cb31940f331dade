//! What forking needs of the tables: which turns of the original have ended, and, in the object of a fork that is being
//! made, what it is going to continue ([`Plan`]). All SQL of that; the copies themselves go through
//! [`crate::store::import`].
//!
//! **Invariant:** copies are only taken in under a plan, and a plan never changes: whoever goes on with a fork that was
//! left half made copies the same events to the same places.

use errand_protocol::ids::{OrgId, SessionId, TurnId, UserId};
use errand_protocol::session::ForkOrigin;
use serde::{Deserialize, Serialize};

use super::EndedTurn;
use crate::sql::{Sql, SqlError, int, json, text};

/// What a fork that is not made yet will continue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Plan {
    /// Which session it will be.
    pub id: SessionId,
    /// Whose it will be.
    pub owner: UserId,
    /// In which org.
    pub org: OrgId,
    /// Where it begins.
    pub origin: ForkOrigin,
}

/// The turns of a session in the order in which they ended.
///
/// # Errors
/// When the database fails.
pub fn ended_turns(sql: &impl Sql) -> Result<Vec<EndedTurn>, SqlError> {
    let turns_of = |rows: Vec<crate::sql::Row>| -> Result<Vec<TurnId>, SqlError> {
        let turn = |row| text(row, 0)?.parse().map_err(|e| SqlError::Row(format!("{e}")));
        rows.iter().map(turn).collect()
    };
    // What the machine logs begins with its type: most rows are told apart without reading their JSON.
    let ended = "SELECT json_extract(body, '$.turnId') FROM events WHERE body LIKE '{\"type\":\"turn.finished\",%' ORDER BY seq";
    let began =
        "SELECT DISTINCT json_extract(body, '$.turnId') FROM events WHERE body LIKE '{\"type\":\"message.started\",%'";
    let worked: std::collections::BTreeSet<TurnId> = turns_of(sql.exec(began, &[])?)?.into_iter().collect();
    let all = turns_of(sql.exec(ended, &[])?)?.into_iter();
    Ok(all
        .map(|id| EndedTurn {
            worked: worked.contains(&id),
            id,
        })
        .collect())
}

/// What this object was told to continue, when it is a fork that is not made yet.
///
/// # Errors
/// When the database fails.
pub fn plan(sql: &impl Sql) -> Result<Option<Plan>, SqlError> {
    let table = "SELECT name FROM sqlite_master WHERE type = 'table' AND name = 'fork_plan'";
    if sql.exec(table, &[])?.is_empty() {
        return Ok(None);
    }
    let rows = sql.exec("SELECT body FROM fork_plan WHERE one = 1", &[])?;
    rows.first().map(|row| json(row, 0)).transpose()
}

/// Remembers what this object is to continue. Its table exists only until the fork is made.
///
/// # Errors
/// When the database fails.
pub fn set_plan(sql: &impl Sql, plan: &Plan) -> Result<(), SqlError> {
    let body = serde_json::to_string(plan).map_err(|e| SqlError::Row(e.to_string()))?;
    sql.transaction(|| {
        sql.exec(
            "CREATE TABLE fork_plan (one INTEGER PRIMARY KEY CHECK (one = 1), body TEXT NOT NULL)",
            &[],
        )?;
        sql.exec("INSERT INTO fork_plan (one, body) VALUES (1, ?)", &[body.into()])
            .map(drop)
    })
}

/// The fork is made.
///
/// # Errors
/// When the database fails.
pub fn drop_plan(sql: &impl Sql) -> Result<(), SqlError> {
    sql.exec("DROP TABLE IF EXISTS fork_plan", &[]).map(drop)
}

/// Whether the copies are here without a gap: at the positions from 2 to this one, and nowhere else.
///
/// # Errors
/// When the database fails.
pub fn is_whole(sql: &impl Sql, head: errand_protocol::ids::Seq) -> Result<bool, SqlError> {
    let rows = sql.exec(
        "SELECT COUNT(*), COALESCE(MIN(seq), 2), COALESCE(MAX(seq), 1) FROM events",
        &[],
    )?;
    let Some(row) = rows.first() else { return Ok(false) };
    let head = i64::try_from(head.0).unwrap_or(i64::MAX);
    Ok((int(row, 0)?, int(row, 1)?, int(row, 2)?) == (head - 1, 2, head))
}
