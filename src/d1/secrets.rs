//! Secrets that sandboxes are given, sealed. Whose secret wins is in [`given`]; values leave this file only there.

use std::collections::BTreeMap;

use errand_protocol::ids::{OrgId, UserId};
use errand_protocol::repository::{MAX_SECRETS, SecretInfo, SecretName, SecretValue};
use errand_protocol::session::Person;
use errand_protocol::text::RepoUrl;
use errand_protocol::time::Timestamp;
use serde::Deserialize;
use worker::D1Type;

use super::big;
use crate::config::Config;
use crate::platform::sealing::{self, Place};

/// Whose secrets, within an org.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// The org's.
    Org,
    /// Of one of its repositories.
    Repository(RepoUrl),
    /// Of a person who acts in it.
    User(UserId),
}

impl Scope {
    /// Its word, as in the audit log.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Org => "org",
            Self::Repository(_) => "repository",
            Self::User(_) => "user",
        }
    }

    fn subject(&self, org: &OrgId) -> String {
        match self {
            Self::Org => org.to_string(),
            Self::Repository(url) => url.key(),
            Self::User(user) => user.to_string(),
        }
    }
}

/// What a sealed value belongs to: its whole row.
fn place<'a>(org: &'a OrgId, purpose: &'a str, row: &'a str) -> Place<'a> {
    Place {
        org: Some(org),
        purpose,
        subject: row,
    }
}

fn purpose(scope: &str) -> String {
    format!("secret.{scope}")
}

/// A name has no line end, so no two rows are alike.
fn row_of(name: &str, subject: &str) -> String {
    format!("{name}\n{subject}")
}

/// The secrets of a scope, without their values, by name.
pub async fn list(config: &Config, org: &OrgId, scope: &Scope) -> worker::Result<Vec<SecretInfo>> {
    #[derive(Debug, Deserialize)]
    struct Row {
        name: String,
        #[serde(deserialize_with = "super::millis")]
        updated_at: Timestamp,
        updated_by: UserId,
        user_name: String,
        email: String,
    }
    let sql = "SELECT s.name, s.updated_at, s.updated_by, u.name AS user_name, u.email
        FROM secrets s JOIN users u ON u.id = s.updated_by
        WHERE s.org_id = ?1 AND s.scope = ?2 AND s.subject = ?3 ORDER BY s.name";
    let subject = scope.subject(org);
    let args = [
        D1Type::Text(org.as_str()),
        D1Type::Text(scope.word()),
        D1Type::Text(&subject),
    ];
    let rows: Vec<Row> = config.db()?.prepare(sql).bind_refs(&args)?.all().await?.results()?;
    let info = |row: Row| {
        Some(SecretInfo {
            // One whose name was reserved after it was stored is given to nobody.
            name: row.name.parse().ok()?,
            updated_at: row.updated_at,
            updated_by: Person {
                id: row.updated_by,
                name: row.user_name,
                email: row.email,
            },
            exposed: true,
        })
    };
    Ok(rows.into_iter().filter_map(info).collect())
}

/// Stores one, or another value for it. `false`: the scope has [`MAX_SECRETS`] others.
pub async fn put(
    config: &Config,
    org: &OrgId,
    scope: &Scope,
    (name, value): (&SecretName, &SecretValue),
    (by, now): (&UserId, Timestamp),
) -> worker::Result<bool> {
    let sql = format!(
        "INSERT INTO secrets (org_id, scope, subject, name, sealed, updated_at, updated_by)
            SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7
            WHERE (SELECT count(*) FROM secrets
                WHERE org_id = ?1 AND scope = ?2 AND subject = ?3 AND name <> ?4) < {MAX_SECRETS}
        ON CONFLICT (org_id, scope, subject, name) DO UPDATE SET sealed = excluded.sealed,
            updated_at = excluded.updated_at, updated_by = excluded.updated_by
        RETURNING 1 AS done"
    );
    let subject = scope.subject(org);
    let (purpose, row) = (purpose(scope.word()), row_of(name.as_str(), &subject));
    let sealed = sealing::seal(config, place(org, &purpose, &row), value.expose());
    let sealed = sealed.map_err(|error| worker::Error::RustError(error.to_string()))?;
    let args = [
        D1Type::Text(org.as_str()),
        D1Type::Text(scope.word()),
        D1Type::Text(&subject),
        D1Type::Text(name.as_str()),
        D1Type::Text(&sealed),
        big(now.millis()),
        D1Type::Text(by.as_str()),
    ];
    let rows = config.db()?.prepare(sql).bind_refs(&args)?.all().await?;
    Ok(!rows.results::<serde_json::Value>()?.is_empty())
}

/// Removes one. Fine when it is not there.
pub async fn remove(config: &Config, org: &OrgId, scope: &Scope, name: &SecretName) -> worker::Result<()> {
    let sql = "DELETE FROM secrets WHERE org_id = ?1 AND scope = ?2 AND subject = ?3 AND name = ?4";
    let subject = scope.subject(org);
    let args = [
        D1Type::Text(org.as_str()),
        D1Type::Text(scope.word()),
        D1Type::Text(&subject),
        D1Type::Text(name.as_str()),
    ];
    config.db()?.prepare(sql).bind_refs(&args)?.run().await.map(drop)
}

/// A secret that a sandbox gets.
#[derive(Debug)]
pub struct Given {
    /// Its value.
    pub value: SecretValue,
    /// Whose it was: `user`, `repository` or `org`.
    pub scope: String,
}

#[derive(Debug, Deserialize)]
struct SealedRow {
    scope: String,
    subject: String,
    name: SecretName,
    sealed: String,
}

/// Of these names what a session of this person on this repository is given: the person's own, else the repository's,
/// else the org's. A value that was sealed with the previous master key is sealed anew.
///
/// # Errors
/// When the database fails, or a value does not open: a sandbox gets all that it is to get, or does not start.
pub async fn given(
    config: &Config,
    org: &OrgId,
    (user, repo): (&UserId, &RepoUrl),
    names: &[SecretName],
) -> worker::Result<BTreeMap<SecretName, Given>> {
    let sql = "SELECT scope, subject, name, sealed FROM secrets WHERE org_id = ?1
            AND ((scope = 'org' AND subject = ?1) OR (scope = 'repository' AND subject = ?2)
                OR (scope = 'user' AND subject = ?3))
            AND name IN (SELECT value FROM json_each(?4))
        ORDER BY CASE scope WHEN 'org' THEN 0 WHEN 'repository' THEN 1 ELSE 2 END";
    let (key, names) = (repo.key(), serde_json::to_string(names)?);
    let args = [
        D1Type::Text(org.as_str()),
        D1Type::Text(&key),
        D1Type::Text(user.as_str()),
        D1Type::Text(&names),
    ];
    let rows: Vec<SealedRow> = config.db()?.prepare(sql).bind_refs(&args)?.all().await?.results()?;
    // Later rows win.
    let winners: BTreeMap<SecretName, SealedRow> = rows.into_iter().map(|row| (row.name.clone(), row)).collect();
    let mut given = BTreeMap::new();
    for (name, row) in winners {
        let value = open(config, org, &row).await?;
        given.insert(
            name,
            Given {
                value,
                scope: row.scope,
            },
        );
    }
    Ok(given)
}

async fn open(config: &Config, org: &OrgId, row: &SealedRow) -> worker::Result<SecretValue> {
    let wrong = |error: String| worker::Error::RustError(format!("the secret {} does not open: {error}", row.name));
    let (purpose, subject) = (purpose(&row.scope), row_of(row.name.as_str(), &row.subject));
    let place = place(org, &purpose, &subject);
    let opened = sealing::open(config, place, &row.sealed).map_err(|error| wrong(error.to_string()))?;
    let value = SecretValue::try_from(opened.secret.expose().to_owned()).map_err(|error| wrong(error.to_string()))?;
    if opened.stale {
        let sealed = sealing::seal(config, place, value.expose()).map_err(|error| wrong(error.to_string()))?;
        // Only if it is still the value that was read.
        let sql = "UPDATE secrets SET sealed = ?1 WHERE org_id = ?2 AND scope = ?3 AND subject = ?4 AND name = ?5
            AND sealed = ?6";
        let args = [
            D1Type::Text(&sealed),
            D1Type::Text(org.as_str()),
            D1Type::Text(&row.scope),
            D1Type::Text(&row.subject),
            D1Type::Text(row.name.as_str()),
            D1Type::Text(&row.sealed),
        ];
        config.db()?.prepare(sql).bind_refs(&args)?.run().await?;
    }
    Ok(value)
}
