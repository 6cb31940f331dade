//! The table of starts, and the only place with SQL for it. `repo` is empty for sessions on an empty workspace.

use errand_protocol::startup::Mark;
use errand_session::sql::{Sql, SqlError, Value, json};

use super::KEPT;
use crate::session_registry::commands::SampleCommand;

/// Takes a start in, or more of one that is known, and forgets those that are too many.
///
/// # Errors
/// When the database fails.
pub(in crate::session_registry) fn take_in(sql: &impl Sql, sample: &SampleCommand) -> Result<(), SqlError> {
    let marks = serde_json::to_string(&sample.start.marks).map_err(|e| SqlError::Row(e.to_string()))?;
    let kind = [sample.repo.as_str().into(), Value::Int(i64::from(sample.start.resumed))];
    let [repo, resumed] = kind.clone();
    sql.transaction(|| {
        sql.exec(
            "INSERT INTO starts (repo, resumed, session, generation, marks) VALUES (?, ?, ?, ?, ?)
             ON CONFLICT (session, generation) DO UPDATE SET marks = excluded.marks",
            &[
                repo,
                resumed,
                sample.session.as_str().into(),
                sample.start.generation.0.into(),
                marks.into(),
            ],
        )?;
        let [repo, resumed] = kind;
        sql.exec(
            "DELETE FROM starts WHERE repo = ?1 AND resumed = ?2 AND id <=
               (SELECT id FROM starts WHERE repo = ?1 AND resumed = ?2 ORDER BY id DESC LIMIT 1 OFFSET ?3)",
            &[repo, resumed, KEPT.into()],
        )
        .map(drop)
    })
}

/// The marks of the last starts of a repository.
///
/// # Errors
/// When the database fails.
pub(in crate::session_registry) fn last(sql: &impl Sql, repo: &str, resumed: bool) -> Result<Vec<Vec<Mark>>, SqlError> {
    let rows = sql.exec(
        "SELECT marks FROM starts WHERE repo = ? AND resumed = ? ORDER BY id DESC LIMIT ?",
        &[repo.into(), Value::Int(i64::from(resumed)), KEPT.into()],
    )?;
    rows.iter().map(|row| json(row, 0)).collect()
}
