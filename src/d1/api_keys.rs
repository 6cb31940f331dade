//! API keys: hash of the key → for whom it acts, and what it is good for.

use errand_access::{Actor, Credential};
use errand_protocol::access::{Role, Scopes};
use errand_protocol::accounts::ApiKey;
use errand_protocol::ids::{ApiKeyId, OrgId, UserId};
use errand_protocol::session::Person;
use errand_protocol::text::RepoUrl;
use errand_protocol::time::Timestamp;
use serde::Deserialize;
use worker::D1Type;

use super::{big, text_or_null, when};
use crate::config::Config;

/// Using a key is noted so often at most.
const NOTE_MS: i64 = 60 * 1000;

#[derive(Debug, Deserialize)]
struct Row {
    id: ApiKeyId,
    user_id: UserId,
    user_name: String,
    email: String,
    name: String,
    prefix: String,
    scopes: String,
    repo: Option<RepoUrl>,
    #[serde(deserialize_with = "super::millis")]
    created_at: Timestamp,
    #[serde(deserialize_with = "super::maybe_millis")]
    expires_at: Option<Timestamp>,
    #[serde(deserialize_with = "super::maybe_millis")]
    used_at: Option<Timestamp>,
    #[serde(deserialize_with = "super::maybe_millis")]
    revoked_at: Option<Timestamp>,
}

const COLUMNS: &str = "k.id, k.user_id, u.name AS user_name, u.email, k.name, k.prefix, k.scopes, k.repo, k.created_at,
    k.expires_at, k.used_at, k.revoked_at";

impl Row {
    fn shown(self) -> worker::Result<ApiKey> {
        Ok(ApiKey {
            id: self.id,
            name: self.name,
            prefix: self.prefix,
            owner: Person {
                id: self.user_id,
                name: self.user_name,
                email: self.email,
            },
            scopes: serde_json::from_str(&self.scopes)?,
            repo: self.repo,
            created_at: self.created_at,
            expires_at: self.expires_at,
            used_at: self.used_at,
            revoked_at: self.revoked_at,
        })
    }
}

/// For whom a key acts, as long as it is neither revoked nor over and its person is a member of its org; with their
/// present role there.
pub async fn find(config: &Config, key_hash: &str, now: Timestamp) -> worker::Result<Option<Actor>> {
    #[derive(Debug, Deserialize)]
    struct Found {
        org_id: OrgId,
        role: Role,
        #[serde(flatten)]
        row: Row,
    }
    let sql = format!(
        "SELECT {COLUMNS}, k.org_id, m.role FROM api_keys k JOIN users u ON u.id = k.user_id
            JOIN members m ON m.org_id = k.org_id AND m.user_id = k.user_id
            WHERE k.key_hash = ?1 AND k.revoked_at IS NULL AND (k.expires_at IS NULL OR k.expires_at > ?2)"
    );
    let args = [D1Type::Text(key_hash), big(now.millis())];
    let found: Option<Found> = config.db()?.prepare(sql).bind_refs(&args)?.first(None).await?;
    let Some(Found { org_id, role, row }) = found else {
        return Ok(None);
    };
    if row.used_at.is_none_or(|at| now.since(at) >= NOTE_MS) {
        let note = "UPDATE api_keys SET used_at = ?2 WHERE id = ?1";
        let args = [D1Type::Text(row.id.as_str()), big(now.millis())];
        config.db()?.prepare(note).bind_refs(&args)?.run().await?;
    }
    let key = row.shown()?;
    Ok(Some(Actor {
        person: key.owner,
        org: org_id,
        role,
        credential: Credential::ApiKey {
            id: key.id,
            scopes: key.scopes,
            repo: key.repo,
            expires_at: key.expires_at,
        },
    }))
}

/// A new key.
#[derive(Debug)]
pub struct New<'a> {
    /// Its id.
    pub id: &'a ApiKeyId,
    /// Of the key.
    pub hash: &'a str,
    /// How it begins.
    pub prefix: &'a str,
    /// What to call it.
    pub name: &'a str,
    /// What it is good for.
    pub scopes: &'a Scopes,
    /// The only repository.
    pub repo: Option<&'a RepoUrl>,
    /// When it ends.
    pub expires_at: Option<Timestamp>,
    /// The key that makes it, with which it ends.
    pub made_by: Option<&'a ApiKeyId>,
}

/// A person has so many in an org that are good, at most.
pub const MAX_KEYS: u32 = 200;

/// Stores one; the same id again changes nothing, nor does one more than [`MAX_KEYS`].
pub async fn insert(config: &Config, org: &OrgId, user: &UserId, new: &New<'_>, now: Timestamp) -> worker::Result<()> {
    let sql = format!(
        "INSERT INTO api_keys
        (id, org_id, user_id, key_hash, prefix, name, scopes, repo, created_at, expires_at, made_by)
        SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11 WHERE (SELECT count(*) FROM api_keys
            WHERE org_id = ?2 AND user_id = ?3 AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > ?9)) < {MAX_KEYS}
        ON CONFLICT (id) DO NOTHING"
    );
    let scopes = serde_json::to_string(new.scopes)?;
    let args = [
        D1Type::Text(new.id.as_str()),
        D1Type::Text(org.as_str()),
        D1Type::Text(user.as_str()),
        D1Type::Text(new.hash),
        D1Type::Text(new.prefix),
        D1Type::Text(new.name),
        D1Type::Text(&scopes),
        text_or_null(new.repo.map(RepoUrl::as_str)),
        big(now.millis()),
        when(new.expires_at),
        text_or_null(new.made_by.map(ApiKeyId::as_str)),
    ];
    config.db()?.prepare(sql).bind_refs(&args)?.run().await.map(drop)
}

/// A person's keys in an org, or everybody's; newest first.
pub async fn list(config: &Config, org: &OrgId, user: Option<&UserId>) -> worker::Result<Vec<ApiKey>> {
    let sql = format!(
        "SELECT {COLUMNS} FROM api_keys k JOIN users u ON u.id = k.user_id
            WHERE k.org_id = ?1 AND (?2 IS NULL OR k.user_id = ?2) ORDER BY k.created_at DESC, k.id DESC LIMIT 500"
    );
    let args = [D1Type::Text(org.as_str()), text_or_null(user.map(UserId::as_str))];
    let rows: Vec<Row> = config.db()?.prepare(sql).bind_refs(&args)?.all().await?.results()?;
    rows.into_iter().map(Row::shown).collect()
}

/// One key of an org.
pub async fn get(config: &Config, org: &OrgId, id: &ApiKeyId) -> worker::Result<Option<ApiKey>> {
    let sql =
        format!("SELECT {COLUMNS} FROM api_keys k JOIN users u ON u.id = k.user_id WHERE k.org_id = ?1 AND k.id = ?2");
    let args = [D1Type::Text(org.as_str()), D1Type::Text(id.as_str())];
    let row: Option<Row> = config.db()?.prepare(sql).bind_refs(&args)?.first(None).await?;
    row.map(Row::shown).transpose()
}

/// Revokes one, with those that it made, and those that they made; all of them, also those that were revoked already.
pub async fn revoke(config: &Config, org: &OrgId, id: &ApiKeyId, now: Timestamp) -> worker::Result<Vec<ApiKeyId>> {
    #[derive(Deserialize)]
    struct Row {
        id: ApiKeyId,
    }
    let below = "WITH RECURSIVE below (id) AS (SELECT ?2 UNION
        SELECT k.id FROM api_keys k JOIN below b ON k.made_by = b.id WHERE k.org_id = ?1)";
    let end = format!(
        "UPDATE api_keys SET revoked_at = ?3 WHERE org_id = ?1 AND revoked_at IS NULL
            AND id IN ({below} SELECT id FROM below)"
    );
    let which = format!("{below} SELECT id FROM below");
    let (org, id) = (|| D1Type::Text(org.as_str()), || D1Type::Text(id.as_str()));
    let db = config.db()?;
    db.prepare(end)
        .bind_refs(&[org(), id(), big(now.millis())])?
        .run()
        .await?;
    let rows: Vec<Row> = db.prepare(which).bind_refs(&[org(), id()])?.all().await?.results()?;
    Ok(rows.into_iter().map(|row| row.id).collect())
}
