//! The projection of sessions (DESIGN §7). Written by the SessionRegistry alone, applied only when newer. Read where
//! something is asked about the sessions of more than one org.

use errand_protocol::ids::OrgId;
use errand_protocol::session::Session;
use worker::D1Type;

use super::big;
use crate::config::Config;

/// Rows of one [`upsert`], at most.
pub const BATCH: usize = 50;

/// Writes sessions of one org, in one transaction; a row that is newer already stays.
pub async fn upsert(config: &Config, org: &OrgId, sessions: &[Session]) -> worker::Result<()> {
    let sql = "INSERT INTO sessions (id, org_id, owner_id, title, phase, head_seq, created_at, updated_at, summary)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
        ON CONFLICT (id) DO UPDATE SET title = excluded.title, phase = excluded.phase, head_seq = excluded.head_seq,
            updated_at = excluded.updated_at, summary = excluded.summary
        WHERE sessions.org_id = excluded.org_id
            AND (excluded.head_seq, excluded.updated_at) >= (sessions.head_seq, sessions.updated_at)";
    let db = config.db()?;
    let prepared = db.prepare(sql);
    let statements = sessions
        .iter()
        .map(|session| {
            let summary = serde_json::to_string(session)?;
            let phase = serde_json::to_value(session.phase)?;
            prepared.bind_refs(&[
                D1Type::Text(session.id.as_str()),
                D1Type::Text(org.as_str()),
                D1Type::Text(session.owner.id.as_str()),
                D1Type::Text(session.title.as_str()),
                D1Type::Text(phase.as_str().unwrap_or_default()),
                big(i64::try_from(session.head_seq.0).unwrap_or(i64::MAX)),
                big(session.created_at.millis()),
                big(session.updated_at.millis()),
                D1Type::Text(&summary),
            ])
        })
        .collect::<worker::Result<Vec<_>>>()?;
    for result in db.batch(statements).await? {
        if let Some(error) = result.error() {
            return Err(worker::Error::RustError(error));
        }
    }
    Ok(())
}

/// Sessions of other orgs whose sandbox has nothing to do, as far as it is known here; for longest first. What they are is
/// nobody's business but the caller's, who may only ask them for their place.
pub async fn idle_elsewhere(config: &Config, org: &OrgId, limit: u32) -> worker::Result<Vec<Session>> {
    let sql = "SELECT summary FROM sessions
        WHERE phase = 'running' AND json_extract(summary, '$.activity') = 'idle' AND org_id <> ?1
        ORDER BY updated_at, id LIMIT ?2";
    let query = config.db()?.prepare(sql);
    let query = query.bind_refs(&[D1Type::Text(org.as_str()), big(i64::from(limit))])?;
    let rows: Vec<Row> = query.all().await?.results()?;
    // One that cannot be read is no reason to ask nobody.
    Ok(rows
        .iter()
        .filter_map(|row| serde_json::from_str(&row.summary).ok())
        .collect())
}

#[derive(serde::Deserialize)]
struct Row {
    summary: String,
}
