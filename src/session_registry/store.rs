//! The tables of a SessionRegistry, and the only place with SQL for them.
//!
//! `sessions` is the index: the latest summary of each session, with the position (`rev`) of its last change. Positions
//! count changes of the whole org, so a reader that has everything up to a position asks for what is after it.
//! `listeners` are the people whose EventBus wants to be told, `guests` those whom share links brought ([`feed`]).
//! `state` has single values. `starts` is [`super::starts`]',
//! `admissions` and `slots` [`super::admission`]'s, `asked_for_room` [`super::room`]'s.
//!
//! **Invariant:** a summary is replaced only by a newer one of the same session, and every replacement gets a new `rev`.

pub(super) mod feed;

use errand_protocol::access::Visibility;
use errand_protocol::api::RepoInfo;
use errand_protocol::ids::{SessionId, UserId};
use errand_protocol::session::Session;
use errand_protocol::text::RepoUrl;
use errand_session::sql::{Row, Sql, SqlError, Value, int, json, text};

use super::commands::{Applied, ListCommand, Which};
use super::cursor::Cursor;

/// Steps of the schema, applied in order, each once. The list only grows; a released step never changes.
const MIGRATIONS: &[(&str, &str)] = &[
    (
        "0001_index",
        "
CREATE TABLE sessions (
  id TEXT PRIMARY KEY,
  owner TEXT NOT NULL,
  rev INTEGER NOT NULL UNIQUE,
  head_seq INTEGER NOT NULL,
  updated_at INTEGER NOT NULL,
  title_folded TEXT NOT NULL,
  repo_url TEXT,
  summary TEXT NOT NULL
);
CREATE INDEX sessions_by_owner ON sessions (owner, updated_at DESC, id DESC);
CREATE INDEX sessions_by_change ON sessions (owner, rev);
CREATE TABLE listeners (user TEXT PRIMARY KEY);
CREATE TABLE state (key TEXT PRIMARY KEY, value INTEGER NOT NULL);
",
    ),
    (
        "0002_archived",
        "
ALTER TABLE sessions ADD COLUMN archived INTEGER NOT NULL DEFAULT 0;
DROP INDEX sessions_by_owner;
CREATE INDEX sessions_by_owner ON sessions (owner, archived, updated_at DESC, id DESC);
",
    ),
    (
        "0003_starts",
        "
CREATE TABLE starts (
  id INTEGER PRIMARY KEY,
  repo TEXT NOT NULL,
  resumed INTEGER NOT NULL,
  session TEXT NOT NULL,
  generation INTEGER NOT NULL,
  marks TEXT NOT NULL,
  UNIQUE (session, generation)
);
CREATE INDEX starts_by_repo ON starts (repo, resumed, id);
",
    ),
    (
        "0004_shared",
        "
ALTER TABLE sessions ADD COLUMN visibility TEXT NOT NULL DEFAULT 'private';
CREATE INDEX sessions_by_time ON sessions (archived, updated_at DESC, id DESC);
",
    ),
    (
        "0005_admissions",
        "
CREATE TABLE admissions (session TEXT PRIMARY KEY, owner TEXT NOT NULL, at INTEGER NOT NULL);
CREATE INDEX admissions_by_time ON admissions (at);
",
    ),
    (
        "0006_slots",
        "
CREATE TABLE slots (session TEXT PRIMARY KEY, owner TEXT NOT NULL, head_seq INTEGER NOT NULL);
",
    ),
    (
        "0007_guests",
        "
CREATE TABLE guests (user TEXT NOT NULL, session TEXT NOT NULL, left_at INTEGER, PRIMARY KEY (user, session));
CREATE INDEX guests_by_session ON guests (session);
",
    ),
    (
        "0008_room",
        "
CREATE TABLE asked_for_room (
  waiting TEXT PRIMARY KEY, scarce TEXT NOT NULL, session TEXT NOT NULL, head_seq INTEGER NOT NULL,
  at INTEGER NOT NULL);
",
    ),
];

/// Brings the schema up to date.
///
/// # Errors
/// When the database fails.
pub(super) fn migrate(sql: &impl Sql) -> Result<(), SqlError> {
    migrate_to(sql, MIGRATIONS)
}

/// Applies those of the steps that are not applied yet, in order; each has a name.
///
/// # Errors
/// When the database fails.
pub(crate) fn migrate_to(sql: &impl Sql, steps: &[(&str, &str)]) -> Result<(), SqlError> {
    sql.transaction(|| {
        sql.exec("CREATE TABLE IF NOT EXISTS migrations (id TEXT PRIMARY KEY)", &[])?;
        for (id, step) in steps {
            if sql
                .exec("SELECT id FROM migrations WHERE id = ?", &[(*id).into()])?
                .is_empty()
            {
                for statement in step.split(';').map(str::trim).filter(|statement| !statement.is_empty()) {
                    sql.exec(statement, &[])?;
                }
                sql.exec("INSERT INTO migrations (id) VALUES (?)", &[(*id).into()])?;
            }
        }
        Ok(())
    })
}

/// Takes in a session's summary, unless the index has this one or a newer one.
///
/// # Errors
/// When the database fails.
pub(super) fn apply(sql: &impl Sql, session: &Session) -> Result<Applied, SqlError> {
    let summary = to_json(session)?;
    let head_seq = signed(session.head_seq.0);
    let updated_at = session.updated_at.millis();
    sql.transaction(|| {
        let known = sql.exec(
            "SELECT head_seq, updated_at, summary FROM sessions WHERE id = ?",
            &[session.id.as_str().into()],
        )?;
        if let Some(row) = known.first() {
            let stored = (int(row, 0)?, int(row, 1)?);
            if stored > (head_seq, updated_at) || text(row, 2)? == summary {
                return Ok(Applied {
                    rev: rev(sql)?,
                    changed: false,
                });
            }
        }
        let rev = rev(sql)? + 1;
        set(sql, "rev", rev)?;
        sql.exec(
            "INSERT INTO sessions (id, owner, rev, head_seq, updated_at, archived, title_folded, repo_url, summary, visibility)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
             ON CONFLICT (id) DO UPDATE SET rev = excluded.rev, head_seq = excluded.head_seq,
               updated_at = excluded.updated_at, archived = excluded.archived, title_folded = excluded.title_folded,
               repo_url = excluded.repo_url, summary = excluded.summary, visibility = excluded.visibility",
            &[
                session.id.as_str().into(),
                session.owner.id.as_str().into(),
                Value::Int(signed(rev)),
                Value::Int(head_seq),
                Value::Int(updated_at),
                Value::Int(i64::from(session.archived_at.is_some())),
                session.title.as_str().to_lowercase().into(),
                // One for all ways to write it; the summary has it as it was given.
                session.repo.as_ref().map(|repo| repo.url.canonical().to_string()).into(),
                summary.as_str().into(),
                if session.visibility == Visibility::Org { "org" } else { "private" }.into(),
            ],
        )?;
        Ok(Applied { rev, changed: true })
    })
}

/// Sessions that do not rest and work on the repository with this key, in any way to write its address.
///
/// # Errors
/// When the database fails.
pub(super) fn at_work(sql: &impl Sql, repo: &str) -> Result<Vec<SessionId>, SqlError> {
    let rows = sql.exec(
        "SELECT id, repo_url FROM sessions WHERE archived = 0 AND repo_url IS NOT NULL
            AND json_extract(summary, '$.phase') NOT IN ('idle', 'paused', 'error', 'terminated')",
        &[],
    )?;
    let mut found = Vec::new();
    for row in &rows {
        let url: Option<RepoUrl> = text(row, 1)?.parse().ok();
        let id: Option<SessionId> = text(row, 0)?.parse().ok();
        found.extend(id.filter(|_| url.is_some_and(|url| url.key() == repo)));
    }
    Ok(found)
}

/// One page of the list. Summaries are stored as the JSON that goes out, so they are passed on as they are.
pub(super) struct Page {
    /// Each a `Session`, as JSON.
    pub(super) sessions: Vec<String>,
    /// For the next page; absent on the last.
    pub(super) cursor: Option<String>,
}

impl Page {
    /// A `SessionList`, as JSON. A cursor holds nothing that JSON would escape.
    pub(super) fn into_json(self) -> String {
        let cursor = self
            .cursor
            .map_or_else(String::new, |cursor| format!(",\"cursor\":\"{cursor}\""));
        format!("{{\"sessions\":[{}]{cursor}}}", self.sessions.join(","))
    }
}

/// One page of the sessions that a person may see, latest change first: those that are put away, or the others.
///
/// # Errors
/// When the database fails.
pub(super) fn list(sql: &impl Sql, command: &ListCommand, after: Option<&Cursor>) -> Result<Page, SqlError> {
    let (at, id) = after.map_or((i64::MAX >> 11, "~"), |cursor| (cursor.updated_at, cursor.id.as_str()));
    // Each in words that an index answers.
    let seen = match command.which {
        Which::Mine => {
            "(SELECT * FROM sessions WHERE owner = ?1 UNION ALL SELECT sessions.* FROM guests
               CROSS JOIN sessions ON sessions.id = guests.session WHERE guests.user = ?1 AND guests.left_at IS NULL)"
        }
        Which::Shared => {
            "(SELECT * FROM sessions WHERE owner = ?1 OR visibility = 'org'
               OR id IN (SELECT session FROM guests WHERE user = ?1 AND left_at IS NULL))"
        }
        Which::Everybodys => "(SELECT * FROM sessions WHERE ?1 <> '')",
    };
    let mut rows = sql.exec(
        &format!(
            "SELECT summary, updated_at, id FROM {seen}
             WHERE archived = ?6 AND (updated_at, id) < (?2, ?3)
               AND (?4 = '' OR instr(title_folded, ?4) > 0) AND (?7 IS NULL OR repo_url = ?7)
             ORDER BY updated_at DESC, id DESC LIMIT ?5"
        ),
        &[
            command.viewer.as_str().into(),
            Value::Int(at),
            id.into(),
            command.q.as_deref().unwrap_or_default().trim().to_lowercase().into(),
            Value::Int(i64::from(command.limit) + 1),
            Value::Int(i64::from(command.archived)),
            command.repo.as_ref().map(|repo| repo.canonical().to_string()).into(),
        ],
    )?;
    let limit = usize::try_from(command.limit).unwrap_or(usize::MAX);
    let more = rows.len() > limit;
    rows.truncate(limit);
    let cursor = match rows.last() {
        Some(last) if more => Some(
            Cursor {
                updated_at: int(last, 1)?,
                id: text(last, 2)?.to_owned(),
            }
            .encode(),
        ),
        Some(_) | None => None,
    };
    let sessions = rows
        .iter()
        .map(|row| text(row, 0).map(str::to_owned))
        .collect::<Result<_, _>>()?;
    Ok(Page { sessions, cursor })
}

/// The repositories of a person's sessions, latest use first; those that only archived sessions use come last, because
/// putting a session away is no use of its repository.
///
/// # Errors
/// When the database fails.
pub(super) fn recent_repos(sql: &impl Sql, owner: &UserId, limit: u32) -> Result<Vec<RepoInfo>, SqlError> {
    // With max() SQLite takes the other columns from the row that has the maximum.
    let rows = sql.exec(
        "SELECT summary, max(updated_at - archived * 9007199254740991) AS latest FROM sessions
         WHERE owner = ? AND repo_url IS NOT NULL GROUP BY repo_url ORDER BY latest DESC LIMIT ?",
        &[owner.as_str().into(), limit.into()],
    )?;
    Ok(summaries(&rows)?
        .into_iter()
        .filter_map(|session| session.repo)
        .map(|repo| RepoInfo {
            name: repo.url.short_name().to_owned(),
            repo,
            description: None,
            suggestion: None,
        })
        .collect())
}

/// The index's position.
///
/// # Errors
/// When the database fails.
pub(super) fn rev(sql: &impl Sql) -> Result<u64, SqlError> {
    get(sql, "rev")
}

/// The oldest changes that the projection does not have yet, and the position that it has with them.
///
/// # Errors
/// When the database fails.
pub(super) fn unprojected(sql: &impl Sql, limit: usize) -> Result<Option<(Vec<Session>, u64)>, SqlError> {
    let rows = sql.exec(
        "SELECT summary, rev FROM sessions WHERE rev > ? ORDER BY rev LIMIT ?",
        &[
            Value::Int(signed(get(sql, "projected")?)),
            Value::Int(i64::try_from(limit).unwrap_or(i64::MAX)),
        ],
    )?;
    match rows.last() {
        Some(last) => Ok(Some((summaries(&rows)?, unsigned(int(last, 1)?)?))),
        None => Ok(None),
    }
}

/// The projection has everything up to this position.
///
/// # Errors
/// When the database fails.
pub(super) fn projected(sql: &impl Sql, upto: u64) -> Result<(), SqlError> {
    set(sql, "projected", upto)?;
    set(sql, "failures", 0)
}

/// Counts a failed attempt to write the projection; how many in a row there were.
///
/// # Errors
/// When the database fails.
pub(super) fn projection_failed(sql: &impl Sql) -> Result<u64, SqlError> {
    let failures = get(sql, "failures")? + 1;
    set(sql, "failures", failures)?;
    Ok(failures)
}

fn get(sql: &impl Sql, key: &str) -> Result<u64, SqlError> {
    let rows = sql.exec("SELECT value FROM state WHERE key = ?", &[key.into()])?;
    rows.first().map_or(Ok(0), |row| unsigned(int(row, 0)?))
}

fn set(sql: &impl Sql, key: &str, value: u64) -> Result<(), SqlError> {
    sql.exec(
        "INSERT INTO state (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
        &[key.into(), Value::Int(signed(value))],
    )
    .map(drop)
}

fn summaries(rows: &[Row]) -> Result<Vec<Session>, SqlError> {
    rows.iter().map(|row| json(row, 0)).collect()
}

fn to_json(session: &Session) -> Result<String, SqlError> {
    serde_json::to_string(session).map_err(|e| SqlError::Row(e.to_string()))
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn unsigned(number: i64) -> Result<u64, SqlError> {
    u64::try_from(number).map_err(|_| SqlError::Row(format!("a negative position: {number}")))
}

#[cfg(test)]
pub(super) fn migrate_to_first(sql: &impl Sql) -> Result<(), SqlError> {
    migrate_to(sql, MIGRATIONS.get(..1).unwrap_or_default())
}
