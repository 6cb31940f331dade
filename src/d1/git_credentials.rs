//! Credentials of an org for hosts of repositories, and a person's own for theirs; sealed.

use errand_protocol::git::{GitCredential, GitHost, GitUsername};
use errand_protocol::ids::{OrgId, UserId};
use errand_protocol::time::Timestamp;
use serde::Deserialize;
use worker::D1Type;

use super::big;
use crate::config::Config;

/// A credential that is stored.
#[derive(Debug)]
pub struct Stored {
    /// All but its secret.
    pub shown: GitCredential,
    /// Sealed.
    pub secret: String,
}

#[derive(Debug, Deserialize)]
struct Row {
    host: GitHost,
    username: GitUsername,
    secret: String,
    repositories: String,
    #[serde(deserialize_with = "super::millis")]
    updated_at: Timestamp,
    updated_by: UserId,
    #[serde(deserialize_with = "super::maybe_millis")]
    used_at: Option<Timestamp>,
}

impl Row {
    fn stored(self) -> worker::Result<Stored> {
        Ok(Stored {
            shown: GitCredential {
                host: self.host,
                username: self.username,
                repositories: serde_json::from_str(&self.repositories)?,
                updated_at: self.updated_at,
                updated_by: self.updated_by,
                used_at: self.used_at,
            },
            secret: self.secret,
        })
    }
}

/// An org's credentials, by host.
pub async fn list(config: &Config, org: &OrgId) -> worker::Result<Vec<GitCredential>> {
    let sql = "SELECT host, username, secret, repositories, updated_at, updated_by, used_at FROM git_credentials
        WHERE org_id = ?1 ORDER BY host";
    let statement = config.db()?.prepare(sql).bind_refs(&D1Type::Text(org.as_str()))?;
    let rows: Vec<Row> = statement.all().await?.results()?;
    rows.into_iter().map(|row| Ok(row.stored()?.shown)).collect()
}

/// An org's credential for a host.
pub async fn find(config: &Config, org: &OrgId, host: &GitHost) -> worker::Result<Option<Stored>> {
    let sql = "SELECT host, username, secret, repositories, updated_at, updated_by, used_at FROM git_credentials
        WHERE org_id = ?1 AND host = ?2";
    let args = [D1Type::Text(org.as_str()), D1Type::Text(host.as_str())];
    let row: Option<Row> = config.db()?.prepare(sql).bind_refs(&args)?.first(None).await?;
    row.map(Row::stored).transpose()
}

/// Stores a credential in place of what was there.
pub async fn put(config: &Config, org: &OrgId, stored: &Stored) -> worker::Result<()> {
    let Stored { shown, secret } = stored;
    let sql = "INSERT INTO git_credentials (org_id, host, username, secret, repositories, updated_at, updated_by)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
        ON CONFLICT (org_id, host) DO UPDATE SET username = excluded.username, secret = excluded.secret,
            repositories = excluded.repositories, updated_at = excluded.updated_at, updated_by = excluded.updated_by,
            used_at = NULL";
    let repositories = serde_json::to_string(&shown.repositories)?;
    let args = [
        D1Type::Text(org.as_str()),
        D1Type::Text(shown.host.as_str()),
        D1Type::Text(shown.username.as_str()),
        D1Type::Text(secret),
        D1Type::Text(&repositories),
        big(shown.updated_at.millis()),
        D1Type::Text(shown.updated_by.as_str()),
    ];
    config.db()?.prepare(sql).bind_refs(&args)?.run().await.map(drop)
}

/// Notes that it is used, and what it is sealed as now; unless it was replaced meanwhile.
pub async fn used(config: &Config, org: &OrgId, old: &Stored, sealed: &str, now: Timestamp) -> worker::Result<()> {
    let sql = "UPDATE git_credentials SET used_at = ?4, secret = ?5 WHERE org_id = ?1 AND host = ?2 AND secret = ?3";
    let args = [
        D1Type::Text(org.as_str()),
        D1Type::Text(old.shown.host.as_str()),
        D1Type::Text(&old.secret),
        big(now.millis()),
        D1Type::Text(sealed),
    ];
    config.db()?.prepare(sql).bind_refs(&args)?.run().await.map(drop)
}

/// Removes a credential; fine when there is none.
pub async fn remove(config: &Config, org: &OrgId, host: &GitHost) -> worker::Result<()> {
    let sql = "DELETE FROM git_credentials WHERE org_id = ?1 AND host = ?2";
    let args = [D1Type::Text(org.as_str()), D1Type::Text(host.as_str())];
    config.db()?.prepare(sql).bind_refs(&args)?.run().await.map(drop)
}

/// A person's token at a provider.
#[derive(Debug, Deserialize)]
pub struct OwnToken {
    /// Sealed.
    pub access: String,
    /// When it ends.
    #[serde(deserialize_with = "super::maybe_millis")]
    pub expires_at: Option<Timestamp>,
}

/// The token of a person who is a member of the org now.
pub async fn own_token(
    config: &Config,
    org: &OrgId,
    user: &UserId,
    provider: &str,
) -> worker::Result<Option<OwnToken>> {
    let sql = "SELECT t.access, t.expires_at FROM oauth_tokens t
        JOIN members m ON m.user_id = t.user_id AND m.org_id = ?1
        WHERE t.user_id = ?2 AND t.provider = ?3";
    let args = [
        D1Type::Text(org.as_str()),
        D1Type::Text(user.as_str()),
        D1Type::Text(provider),
    ];
    config.db()?.prepare(sql).bind_refs(&args)?.first(None).await
}

/// Stores a person's token sealed anew; unless it was replaced meanwhile.
pub async fn reseal_own(config: &Config, user: &UserId, provider: &str, old: &str, sealed: &str) -> worker::Result<()> {
    let sql = "UPDATE oauth_tokens SET access = ?4 WHERE user_id = ?1 AND provider = ?2 AND access = ?3";
    let args = [
        D1Type::Text(user.as_str()),
        D1Type::Text(provider),
        D1Type::Text(old),
        D1Type::Text(sealed),
    ];
    config.db()?.prepare(sql).bind_refs(&args)?.run().await.map(drop)
}
