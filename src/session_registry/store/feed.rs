//! What is told to whom: listeners, guests, and what changed among the sessions that a person owns or is a guest of.

use errand_protocol::ids::{SessionId, UserId};
use errand_session::sql::{Row, Sql, SqlError, Value, int, json, text};

use super::{rev, signed, unsigned};
use crate::session_registry::commands::{Change, ChangePage};

/// Changes in one page.
const CHANGES_PAGE: u32 = 100;

/// Notes with whom a session's links share it, at the position of its last change. The answer is whom that change
/// concerns besides the owner: its guests, and those who no longer are.
///
/// # Errors
/// When the database fails.
pub(in crate::session_registry) fn set_guests(
    sql: &impl Sql,
    session: &SessionId,
    guests: &[UserId],
) -> Result<Vec<UserId>, SqlError> {
    let at = Value::Int(signed(rev(sql)?));
    sql.transaction(|| {
        sql.exec(
            "UPDATE guests SET left_at = ? WHERE session = ? AND left_at IS NULL",
            &[at.clone(), session.as_str().into()],
        )?;
        for guest in guests {
            sql.exec(
                "INSERT INTO guests (user, session) SELECT ?1, id FROM sessions WHERE id = ?2 AND owner <> ?1
                 ON CONFLICT (user, session) DO UPDATE SET left_at = NULL",
                &[guest.as_str().into(), session.as_str().into()],
            )?;
        }
        let rows = sql.exec(
            "SELECT user FROM guests WHERE session = ? AND (left_at IS NULL OR left_at = ?)",
            &[session.as_str().into(), at],
        )?;
        let parse = |row: &Row| text(row, 0)?.parse().map_err(|e| SqlError::Row(format!("{e}")));
        rows.iter().map(parse).collect()
    })
}

/// One page of what changed among a person's sessions, and those shared with them by link, after a position.
///
/// # Errors
/// When the database fails.
pub(in crate::session_registry) fn changes(sql: &impl Sql, user: &UserId, after: u64) -> Result<ChangePage, SqlError> {
    let rows = sql.exec(
        "SELECT rev, summary, '' FROM sessions WHERE owner = ?1 AND rev > ?2
         UNION ALL SELECT rev, summary, '' FROM guests JOIN sessions ON sessions.id = guests.session
           WHERE guests.user = ?1 AND left_at IS NULL AND rev > ?2
         UNION ALL SELECT left_at, '', session FROM guests WHERE user = ?1 AND left_at > ?2
         ORDER BY 1 LIMIT ?3",
        &[user.as_str().into(), Value::Int(signed(after)), CHANGES_PAGE.into()],
    )?;
    let changes = rows
        .iter()
        .map(|row| Ok((unsigned(int(row, 0)?)?, change(row)?)))
        .collect::<Result<Vec<_>, SqlError>>()?;
    let more = u32::try_from(changes.len()) == Ok(CHANGES_PAGE);
    let upto = match changes.last() {
        Some((last, _)) if more => *last,
        Some(_) | None => rev(sql)?,
    };
    Ok(ChangePage { changes, upto, more })
}

fn change(row: &Row) -> Result<Change, SqlError> {
    match text(row, 2)? {
        "" => json(row, 1).map(Change::Session),
        id => id
            .parse()
            .map(Change::Removed)
            .map_err(|e| SqlError::Row(format!("{e}"))),
    }
}

/// Whether this person's EventBus is to be told of changes.
///
/// # Errors
/// When the database fails.
pub(in crate::session_registry) fn listens(sql: &impl Sql, user: &UserId) -> Result<bool, SqlError> {
    let rows = sql.exec("SELECT user FROM listeners WHERE user = ?", &[user.as_str().into()])?;
    Ok(!rows.is_empty())
}

/// Tells this person's EventBus of changes from now on.
///
/// # Errors
/// When the database fails.
pub(in crate::session_registry) fn subscribe(sql: &impl Sql, user: &UserId) -> Result<(), SqlError> {
    sql.exec(
        "INSERT INTO listeners (user) VALUES (?) ON CONFLICT DO NOTHING",
        &[user.as_str().into()],
    )
    .map(drop)
}

/// Tells them no more.
///
/// # Errors
/// When the database fails.
pub(in crate::session_registry) fn unsubscribe(sql: &impl Sql, user: &UserId) -> Result<(), SqlError> {
    sql.exec("DELETE FROM listeners WHERE user = ?", &[user.as_str().into()])
        .map(drop)
}
