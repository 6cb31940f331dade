//! The tables of one session, and the only place with SQL for them.
//!
//! `events` is the log. `core` is the machine's state, one row. `prompts` are all prompts ever accepted; `asked` is the
//! text that one came with, once that was changed. `open_parts` and `open_text` hold what is being written. `migrations` lists what was applied; the list below only grows.
//!
//! **Invariant:** [`apply`] stores all durable effects of one step in one transaction, or none.

use errand_protocol::event::Event;
use errand_protocol::ids::{CommandId, PromptId, Seq, UserId};
use errand_protocol::limits::{MAX_STARTS, MAX_VERDICTS};
use errand_protocol::session::{Prompt, PromptState};
use errand_protocol::startup::Verdict;
use errand_protocol::text::InvalidText;
use errand_protocol::time::Timestamp;
use errand_protocol::viewer::OpenPart;
use serde::Serialize;

use crate::core::Core;
use crate::create::Stored;
use crate::effect::Effect;
use crate::session::{Placed, Session};
use crate::sql::{Row, Sql, SqlError, Value, int, json, text};
use crate::startup::NumberedStart;
use crate::transcript::Fold;

/// So many commands are remembered, to recognise one that comes again.
const REMEMBERED_COMMANDS: i64 = 1000;

/// A step of the schema. Ids and texts never change once released.
struct Migration {
    id: &'static str,
    sql: &'static str,
}

const MIGRATIONS: &[Migration] = &[
    Migration {
        id: "0001_session",
        sql: "
CREATE TABLE core (one INTEGER PRIMARY KEY CHECK (one = 1), body TEXT NOT NULL);
CREATE TABLE events (seq INTEGER PRIMARY KEY, at INTEGER NOT NULL, body TEXT NOT NULL);
CREATE TABLE prompts (
  id TEXT PRIMARY KEY,
  position INTEGER NOT NULL UNIQUE,
  state TEXT NOT NULL,
  body TEXT NOT NULL
);
CREATE INDEX prompts_waiting ON prompts (position) WHERE state IN ('queued', 'running');
CREATE UNIQUE INDEX prompts_running ON prompts (state) WHERE state = 'running';
CREATE TABLE open_parts (id TEXT PRIMARY KEY, place INTEGER NOT NULL, body TEXT NOT NULL);
CREATE TABLE open_text (id INTEGER PRIMARY KEY, piece TEXT NOT NULL);
",
    },
    Migration {
        id: "0002_startup",
        sql: "
DROP INDEX prompts_waiting;
CREATE INDEX prompts_waiting ON prompts (position) WHERE state IN ('queued', 'running', 'steered');
CREATE TABLE commands (id TEXT PRIMARY KEY, place INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX commands_by_place ON commands (place);
CREATE TABLE starts (id INTEGER PRIMARY KEY, body TEXT NOT NULL);
CREATE TABLE verdicts (id INTEGER PRIMARY KEY, body TEXT NOT NULL)
",
    },
    Migration {
        id: "0003_asked",
        sql: "ALTER TABLE prompts ADD COLUMN asked TEXT",
    },
];

/// The pieces of the text of the open part `?1`. A piece's key is the part's place, shifted left by 32 bits, plus the
/// offset at which it begins: an integer key costs far less disk than the part's id in every row.
const PIECES_OF: &str = "id BETWEEN (SELECT place FROM open_parts WHERE id = ?1) * 4294967296 \
                         AND (SELECT place FROM open_parts WHERE id = ?1) * 4294967296 + 4294967295";

/// Whether the session exists here. Creates nothing, so that asking for a session that was never made leaves no trace.
///
/// # Errors
/// When the database fails.
pub fn exists(sql: &impl Sql) -> Result<bool, SqlError> {
    let rows = sql.exec(
        "SELECT name FROM sqlite_master WHERE type = 'table' AND name = 'migrations'",
        &[],
    )?;
    Ok(!rows.is_empty())
}

/// Brings the schema up to date.
///
/// # Errors
/// When the database fails, or was written by a newer version.
pub fn migrate(sql: &impl Sql) -> Result<(), SqlError> {
    sql.transaction(|| {
        sql.exec(
            "CREATE TABLE IF NOT EXISTS migrations (id TEXT PRIMARY KEY, place INTEGER NOT NULL)",
            &[],
        )?;
        let applied = sql.exec("SELECT id FROM migrations ORDER BY place", &[])?;
        for (place, row) in applied.iter().enumerate() {
            let known = MIGRATIONS.get(place).map(|migration| migration.id);
            if known != Some(text(row, 0)?) {
                return Err(SqlError::Database(
                    "the schema was written by another version".to_owned(),
                ));
            }
        }
        for (place, migration) in MIGRATIONS.iter().enumerate().skip(applied.len()) {
            for statement in migration.sql.split(';').map(str::trim).filter(|s| !s.is_empty()) {
                sql.exec(statement, &[])?;
            }
            let place = i64::try_from(place).unwrap_or(i64::MAX);
            sql.exec(
                "INSERT INTO migrations (id, place) VALUES (?, ?)",
                &[migration.id.into(), place.into()],
            )?;
        }
        Ok(())
    })
}

/// The session as it was stored; `None` when it was never made. The first input must be [`crate::Input::Restored`].
///
/// # Errors
/// When the database fails or holds what this version cannot read.
pub fn load(sql: &impl Sql, now: Timestamp) -> Result<Option<Session>, SqlError> {
    let rows = sql.exec("SELECT body FROM core WHERE one = 1", &[])?;
    let Some(row) = rows.first() else { return Ok(None) };
    let core: Core = json(row, 0)?;
    let mut prompts = Vec::new();
    let waiting =
        "SELECT body, position FROM prompts WHERE state IN ('queued', 'running', 'steered') ORDER BY position";
    for row in sql.exec(waiting, &[])? {
        let position = u64::try_from(int(&row, 1)?).unwrap_or_default();
        prompts.push(Placed {
            prompt: json(&row, 0)?,
            position,
        });
    }
    let stored = Stored {
        core,
        prompts,
        open: load_open(sql)?,
        start: starts(sql, 1)?.pop(),
    };
    Ok(Some(Session::from_stored(stored, now)))
}

/// The last starts, newest first.
///
/// # Errors
/// When the database fails.
pub fn starts(sql: &impl Sql, limit: usize) -> Result<Vec<NumberedStart>, SqlError> {
    let select = "SELECT id, body FROM starts ORDER BY id DESC LIMIT ?";
    let rows = sql.exec(select, &[number(limit as u64)])?;
    let numbered = |row: &Row| {
        let number = u64::try_from(int(row, 0)?).unwrap_or_default();
        Ok(NumberedStart {
            number,
            start: json(row, 1)?,
        })
    };
    rows.iter().map(numbered).collect()
}

/// What watchdogs decided lately, newest first.
///
/// # Errors
/// When the database fails.
pub fn verdicts(sql: &impl Sql) -> Result<Vec<Verdict>, SqlError> {
    let rows = sql.exec(
        "SELECT body FROM verdicts ORDER BY id DESC LIMIT ?",
        &[number(MAX_VERDICTS as u64)],
    )?;
    rows.iter().map(|row| json(row, 0)).collect()
}

/// Whether this person's command was carried out.
///
/// # Errors
/// When the database fails.
pub fn command(sql: &impl Sql, by: &UserId, id: &CommandId) -> Result<bool, SqlError> {
    let rows = sql.exec(
        "SELECT 1 FROM commands WHERE id = ?",
        &[command_key(by, id).as_str().into()],
    )?;
    Ok(!rows.is_empty())
}

fn command_key(by: &UserId, id: &CommandId) -> String {
    format!("{by} {id}")
}

/// Puts copies of another session's events into the log, before this session is created ([`crate::fork`]).
///
/// # Errors
/// When the database fails.
pub fn import(sql: &impl Sql, events: &[Event]) -> Result<(), SqlError> {
    sql.transaction(|| {
        for event in events {
            let put = "INSERT OR REPLACE INTO events (seq, at, body) VALUES (?, ?, ?)";
            let at = event.at.millis();
            sql.exec(put, &[number(event.seq.0), at.into(), to_json(&event.body)?])?;
        }
        Ok(())
    })
}

fn load_open(sql: &impl Sql) -> Result<Vec<(OpenPart, String)>, SqlError> {
    let mut all = Vec::new();
    for row in sql.exec("SELECT id, body FROM open_parts ORDER BY place", &[])? {
        let part: OpenPart = json(&row, 1)?;
        let pieces = &format!("SELECT piece FROM open_text WHERE {PIECES_OF} ORDER BY id");
        let mut whole = String::new();
        for piece in sql.exec(pieces, &[text(&row, 0)?.into()])? {
            whole.push_str(text(&piece, 0)?);
        }
        all.push((part, whole));
    }
    Ok(all)
}

/// Stores the durable effects among `effects`, all or none.
///
/// # Errors
/// When the database fails; the session in memory must then be loaded anew.
pub fn apply(sql: &impl Sql, effects: &[Effect]) -> Result<(), SqlError> {
    if effects.iter().any(Effect::is_durable) {
        sql.transaction(|| effects.iter().try_for_each(|effect| store(sql, effect)))?;
    }
    Ok(())
}

fn store(sql: &impl Sql, effect: &Effect) -> Result<(), SqlError> {
    match effect {
        Effect::Append(event) => {
            let insert = "INSERT INTO events (seq, at, body) VALUES (?, ?, ?)";
            sql.exec(
                insert,
                &[number(event.seq.0), event.at.millis().into(), to_json(&event.body)?],
            )?;
        }
        Effect::PutPrompt { prompt, position } => {
            let put = "INSERT INTO prompts (id, position, state, body) VALUES (?, ?, ?, ?) \
                       ON CONFLICT (id) DO UPDATE SET position = excluded.position, state = excluded.state, body = excluded.body";
            let state = state_name(prompt.state);
            sql.exec(
                put,
                &[
                    prompt.id.as_str().into(),
                    number(*position),
                    state.into(),
                    to_json(prompt)?,
                ],
            )?;
        }
        Effect::KeepAsked { id, text } => {
            let put = "UPDATE prompts SET asked = COALESCE(asked, ?) WHERE id = ?";
            sql.exec(put, &[text.as_str().into(), id.as_str().into()])?;
        }
        Effect::SaveCore(body) => {
            let put = "INSERT INTO core (one, body) VALUES (1, ?) ON CONFLICT (one) DO UPDATE SET body = excluded.body";
            sql.exec(put, &[body.as_str().into()])?;
        }
        Effect::PutOpen(open) => {
            let put = "INSERT INTO open_parts (id, place, body) \
                       VALUES (?1, (SELECT COALESCE(MAX(place), 0) + 1 FROM open_parts), ?2) \
                       ON CONFLICT (id) DO UPDATE SET body = excluded.body";
            sql.exec(put, &[open.part.id.as_str().into(), to_json(open)?])?;
        }
        Effect::SaveText { part_id, offset, text } => {
            let put = "INSERT OR REPLACE INTO open_text (id, piece) \
                       VALUES ((SELECT place FROM open_parts WHERE id = ?) * 4294967296 + ?, ?)";
            sql.exec(put, &[part_id.as_str().into(), (*offset).into(), text.as_str().into()])?;
        }
        Effect::ResetText(part_id) => {
            sql.exec(
                &format!("DELETE FROM open_text WHERE {PIECES_OF}"),
                &[part_id.as_str().into()],
            )?;
        }
        Effect::DropOpen(part_id) => {
            sql.exec(
                &format!("DELETE FROM open_text WHERE {PIECES_OF}"),
                &[part_id.as_str().into()],
            )?;
            sql.exec("DELETE FROM open_parts WHERE id = ?", &[part_id.as_str().into()])?;
        }
        Effect::Remember { by, id } => {
            let put = "INSERT OR IGNORE INTO commands (id, place) VALUES (?, (SELECT COALESCE(MAX(place), 0) + 1 FROM commands))";
            sql.exec(put, &[command_key(by, id).as_str().into()])?;
            let forget = "DELETE FROM commands WHERE place <= (SELECT MAX(place) FROM commands) - ?";
            sql.exec(forget, &[REMEMBERED_COMMANDS.into()])?;
        }
        Effect::PutStart(NumberedStart { number: id, start }) => {
            let put = "INSERT INTO starts (id, body) VALUES (?, ?) ON CONFLICT (id) DO UPDATE SET body = excluded.body";
            sql.exec(put, &[number(*id), to_json(start)?])?;
            let forget = "DELETE FROM starts WHERE id <= ? - ?";
            sql.exec(forget, &[number(*id), number(MAX_STARTS as u64)])?;
        }
        Effect::AddVerdict(verdict) => {
            sql.exec("INSERT INTO verdicts (body) VALUES (?)", &[to_json(verdict)?])?;
            let forget = "DELETE FROM verdicts WHERE id <= (SELECT MAX(id) FROM verdicts) - ?";
            sql.exec(forget, &[number(MAX_VERDICTS as u64)])?;
        }
        Effect::Viewers(_)
        | Effect::Runner(_)
        | Effect::Welcome { .. }
        | Effect::GrantToken { .. }
        | Effect::CloseRunner { .. }
        | Effect::Sandbox(_)
        | Effect::Index(_)
        | Effect::Book(_)
        | Effect::Sample(_)
        | Effect::DropSnapshot(_) => {}
    }
    Ok(())
}

/// A prompt, whatever became of it.
///
/// # Errors
/// When the database fails.
pub fn prompt(sql: &impl Sql, id: &PromptId) -> Result<Option<Prompt>, SqlError> {
    let rows = sql.exec("SELECT body FROM prompts WHERE id = ?", &[id.as_str().into()])?;
    rows.first().map(|row| json(row, 0)).transpose()
}

/// A prompt, whatever became of it, with the text that it came with.
///
/// # Errors
/// When the database fails.
pub fn prompt_as_asked(sql: &impl Sql, id: &PromptId) -> Result<Option<Prompt>, SqlError> {
    let rows = sql.exec(
        "SELECT body, COALESCE(asked, '') FROM prompts WHERE id = ?",
        &[id.as_str().into()],
    )?;
    let Some(row) = rows.first() else { return Ok(None) };
    let mut prompt: Prompt = json(row, 0)?;
    let asked = text(row, 1)?;
    if !asked.is_empty() {
        prompt.text = asked.parse().map_err(|e: InvalidText| SqlError::Row(e.to_string()))?;
    }
    Ok(Some(prompt))
}

/// Up to `limit` events after `after`, ascending.
///
/// # Errors
/// When the database fails.
pub fn events_after(sql: &impl Sql, after: Seq, limit: u32) -> Result<Vec<Event>, SqlError> {
    let select = "SELECT seq, at, body FROM events WHERE seq > ? ORDER BY seq LIMIT ?";
    sql.exec(select, &[number(after.0), limit.into()])?
        .iter()
        .map(event)
        .collect()
}

/// The last `limit` events before `before`, ascending.
///
/// # Errors
/// When the database fails.
pub fn events_before(sql: &impl Sql, before: Seq, limit: u32) -> Result<Vec<Event>, SqlError> {
    let select = "SELECT seq, at, body FROM events WHERE seq < ? ORDER BY seq DESC LIMIT ?";
    let mut rows = sql.exec(select, &[number(before.0), limit.into()])?;
    rows.reverse();
    rows.iter().map(event).collect()
}

/// Folds the whole log, page by page.
///
/// # Errors
/// When the database fails.
pub fn fold(sql: &impl Sql) -> Result<Fold, SqlError> {
    const PAGE: u32 = 1000;
    let mut fold = Fold::default();
    let mut after = Seq::default();
    loop {
        let page = events_after(sql, after, PAGE)?;
        let Some(last) = page.last() else { return Ok(fold) };
        after = last.seq;
        for event in page {
            fold.push(event);
        }
    }
}

fn event(row: &Row) -> Result<Event, SqlError> {
    let seq = Seq(u64::try_from(int(row, 0)?).unwrap_or_default());
    Ok(Event {
        seq,
        at: Timestamp::from_millis(int(row, 1)?),
        body: json(row, 2)?,
    })
}

fn number(value: u64) -> Value {
    Value::Int(i64::try_from(value).unwrap_or(i64::MAX))
}

fn to_json(value: &impl Serialize) -> Result<Value, SqlError> {
    serde_json::to_string(value)
        .map(Value::Text)
        .map_err(|e| SqlError::Row(e.to_string()))
}

const fn state_name(state: PromptState) -> &'static str {
    match state {
        PromptState::Queued => "queued",
        PromptState::Running => "running",
        PromptState::Steered => "steered",
        PromptState::Done => "done",
        PromptState::Failed => "failed",
        PromptState::Aborted => "aborted",
        PromptState::Withdrawn => "withdrawn",
    }
}
