//! The audit log. Rows are only added.

use errand_protocol::accounts::AuditEntry;
use errand_protocol::ids::{OrgId, UserId};
use errand_protocol::time::Timestamp;
use serde::Deserialize;
use worker::D1Type;

use super::{big, text_or_null, when};
use crate::config::Config;

/// Adds an entry; the same one again changes nothing.
pub async fn insert(config: &Config, org: &OrgId, entry: &AuditEntry) -> worker::Result<()> {
    let sql = "INSERT INTO audit
        (id, org_id, at, user_id, user_name, credential, action, target, outcome, address, request_id, details)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12) ON CONFLICT DO NOTHING";
    let details = serde_json::to_string(&entry.details)?;
    let args = [
        D1Type::Text(&entry.id),
        D1Type::Text(org.as_str()),
        big(entry.at.millis()),
        text_or_null(entry.user_id.as_ref().map(UserId::as_str)),
        D1Type::Text(&entry.user_name),
        D1Type::Text(&entry.credential),
        D1Type::Text(&entry.action),
        D1Type::Text(&entry.target),
        D1Type::Text(&entry.outcome),
        text_or_null(entry.address.as_deref()),
        D1Type::Text(&entry.request_id),
        D1Type::Text(&details),
    ];
    config.db()?.prepare(sql).bind_refs(&args)?.run().await.map(drop)
}

/// Which entries. Texts must be equal.
#[derive(Debug, Default)]
pub struct Filter {
    /// Of this person.
    pub user: Option<String>,
    /// Whose action begins like one of these; with none of them, of any.
    pub actions: Vec<String>,
    /// Of this target.
    pub target: Option<String>,
    /// With this outcome.
    pub outcome: Option<String>,
    /// Not before.
    pub from: Option<Timestamp>,
    /// Before.
    pub to: Option<Timestamp>,
    /// Older than the entry with this id.
    pub before: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Row {
    id: String,
    #[serde(deserialize_with = "super::millis")]
    at: Timestamp,
    user_id: Option<UserId>,
    user_name: String,
    credential: String,
    action: String,
    target: String,
    outcome: String,
    address: Option<String>,
    request_id: String,
    details: String,
}

/// An org's entries, newest first; ids sort by time.
pub async fn list(config: &Config, org: &OrgId, filter: &Filter, limit: u32) -> worker::Result<Vec<AuditEntry>> {
    let sql = "SELECT id, at, user_id, user_name, credential, action, target, outcome, address, request_id, details FROM audit
        WHERE org_id = ?1 AND (?2 IS NULL OR user_id = ?2) AND (?3 = '[]'
            OR EXISTS (SELECT 1 FROM json_each(?3) AS kind WHERE substr(action, 1, length(kind.value)) = kind.value))
            AND (?4 IS NULL OR target = ?4) AND (?5 IS NULL OR outcome = ?5) AND (?6 IS NULL OR at >= ?6)
            AND (?7 IS NULL OR at < ?7) AND (?8 IS NULL OR id < ?8)
        ORDER BY id DESC LIMIT ?9";
    let actions = serde_json::to_string(&filter.actions)?;
    let args = [
        D1Type::Text(org.as_str()),
        text_or_null(filter.user.as_deref()),
        D1Type::Text(&actions),
        text_or_null(filter.target.as_deref()),
        text_or_null(filter.outcome.as_deref()),
        when(filter.from),
        when(filter.to),
        text_or_null(filter.before.as_deref()),
        big(i64::from(limit)),
    ];
    let rows: Vec<Row> = config.db()?.prepare(sql).bind_refs(&args)?.all().await?.results()?;
    let entry = |row: Row| AuditEntry {
        id: row.id,
        at: row.at,
        user_id: row.user_id,
        user_name: row.user_name,
        credential: row.credential,
        action: row.action,
        target: row.target,
        outcome: row.outcome,
        address: row.address,
        request_id: row.request_id,
        // What this version cannot read is nothing: the rest of the entry counts.
        details: serde_json::from_str(&row.details).unwrap_or_default(),
    };
    Ok(rows.into_iter().map(entry).collect())
}
