//! Sign-ins: hash of the secret → user and org, until it expires. Its id is made of the hash's first digits, so that
//! lists and the audit log can name it.

use errand_access::{Actor, Credential};
use errand_protocol::access::Role;
use errand_protocol::accounts::SignIn;
use errand_protocol::ids::{InvalidId, OrgId, SignInId, UserId};
use errand_protocol::session::Person;
use errand_protocol::time::Timestamp;
use serde::Deserialize;
use worker::D1Type;

use super::{big, text_or_null};
use crate::config::Config;

/// How long a sign-in lasts when it is not used.
pub const LIFETIME_MS: i64 = 7 * 24 * 60 * 60 * 1000;
/// Using it is noted so often at most.
const NOTE_MS: i64 = 60 * 60 * 1000;

/// Where a sign-in is used.
#[derive(Debug, Clone, Copy)]
pub struct Device<'a> {
    /// What it says of itself.
    pub name: &'a str,
    /// Its address on the network.
    pub address: Option<&'a str>,
}

#[derive(Debug, Deserialize)]
struct Row {
    id: SignInId,
    user_id: UserId,
    name: String,
    email: String,
    org_id: OrgId,
    role: Role,
    #[serde(deserialize_with = "super::maybe_millis")]
    used_at: Option<Timestamp>,
    #[serde(deserialize_with = "super::millis")]
    expires_at: Timestamp,
}

impl Row {
    fn actor(self) -> Actor {
        Actor {
            person: Person {
                id: self.user_id,
                name: self.name,
                email: self.email,
            },
            org: self.org_id,
            role: self.role,
            credential: Credential::SignIn {
                id: self.id,
                expires_at: Some(self.expires_at),
            },
        }
    }
}

/// The id of the sign-in with this hash of its secret.
///
/// # Errors
/// When that is no hash.
pub fn id_of(token_hash: &str) -> Result<SignInId, InvalidId> {
    SignInId::from_body(token_hash.get(..26).unwrap_or_default())
}

/// Who is signed in with this secret, as long as they are a member of the org; with their present role there. A
/// sign-in that is used lasts longer: that is written once an hour at most.
pub async fn find(
    config: &Config,
    token_hash: &str,
    address: Option<&str>,
    now: Timestamp,
) -> worker::Result<Option<Actor>> {
    let Some(mut row) = row(config, token_hash, now).await? else {
        return Ok(None);
    };
    if row.used_at.is_none_or(|at| now.since(at) >= NOTE_MS) {
        note_use(config, token_hash, address, now).await?;
        row.expires_at = now.plus(LIFETIME_MS);
    }
    Ok(Some(row.actor()))
}

/// The same without using it.
pub async fn look(config: &Config, token_hash: &str, now: Timestamp) -> worker::Result<Option<Actor>> {
    Ok(row(config, token_hash, now).await?.map(Row::actor))
}

async fn row(config: &Config, token_hash: &str, now: Timestamp) -> worker::Result<Option<Row>> {
    let sql = "SELECT 'sgn_' || substr(a.token_hash, 1, 26) AS id, u.id AS user_id, u.name, u.email, a.org_id, m.role, a.used_at,
            a.expires_at
        FROM auth_sessions a JOIN users u ON u.id = a.user_id
        JOIN members m ON m.org_id = a.org_id AND m.user_id = a.user_id
        WHERE a.token_hash = ?1 AND a.expires_at > ?2";
    let args = [D1Type::Text(token_hash), big(now.millis())];
    config.db()?.prepare(sql).bind_refs(&args)?.first(None).await
}

async fn note_use(config: &Config, token_hash: &str, address: Option<&str>, now: Timestamp) -> worker::Result<()> {
    let sql =
        "UPDATE auth_sessions SET used_at = ?2, expires_at = ?3, address = COALESCE(?4, address) WHERE token_hash = ?1";
    let args = [
        D1Type::Text(token_hash),
        big(now.millis()),
        big(now.plus(LIFETIME_MS).millis()),
        text_or_null(address),
    ];
    config.db()?.prepare(sql).bind_refs(&args)?.run().await.map(drop)
}

/// Stores a sign-in and drops those of the same person that are over.
pub async fn insert(
    config: &Config,
    token_hash: &str,
    person: &Person,
    org: &OrgId,
    device: Device<'_>,
    now: Timestamp,
) -> worker::Result<()> {
    let db = config.db()?;
    let user = || D1Type::Text(person.id.as_str());
    let drop_old = "DELETE FROM auth_sessions WHERE user_id = ?1 AND expires_at <= ?2";
    let insert =
        "INSERT INTO auth_sessions (token_hash, user_id, org_id, created_at, expires_at, used_at, device, address)
        VALUES (?1, ?2, ?3, ?4, ?5, ?4, ?6, ?7)";
    let args = [
        D1Type::Text(token_hash),
        user(),
        D1Type::Text(org.as_str()),
        big(now.millis()),
        big(now.plus(LIFETIME_MS).millis()),
        D1Type::Text(device.name),
        text_or_null(device.address),
    ];
    let statements = vec![
        db.prepare(drop_old).bind_refs(&[user(), big(now.millis())])?,
        db.prepare(insert).bind_refs(&args)?,
    ];
    super::all_done(&db.batch(statements).await?)
}

#[derive(Debug, Deserialize)]
struct Listed {
    id: SignInId,
    device: String,
    address: Option<String>,
    #[serde(deserialize_with = "super::millis")]
    created_at: Timestamp,
    #[serde(deserialize_with = "super::maybe_millis")]
    used_at: Option<Timestamp>,
    #[serde(deserialize_with = "super::millis")]
    expires_at: Timestamp,
}

/// A person's sign-ins, last used first; `current` is the one that asks.
pub async fn list(config: &Config, user: &UserId, current: &SignInId, now: Timestamp) -> worker::Result<Vec<SignIn>> {
    let sql = "SELECT 'sgn_' || substr(token_hash, 1, 26) AS id, device, address, created_at, used_at, expires_at
        FROM auth_sessions WHERE user_id = ?1 AND expires_at > ?2 ORDER BY used_at DESC, id LIMIT 200";
    let args = [D1Type::Text(user.as_str()), big(now.millis())];
    let rows: Vec<Listed> = config.db()?.prepare(sql).bind_refs(&args)?.all().await?.results()?;
    let sign_in = |row: Listed| SignIn {
        current: row.id == *current,
        id: row.id,
        device: row.device,
        address: row.address,
        created_at: row.created_at,
        used_at: row.used_at.unwrap_or(row.created_at),
        expires_at: row.expires_at,
    };
    Ok(rows.into_iter().map(sign_in).collect())
}

/// Until when each of a person's sign-ins lasts.
pub async fn lasting(config: &Config, user: &UserId, now: Timestamp) -> worker::Result<Vec<(SignInId, Timestamp)>> {
    #[derive(Deserialize)]
    struct Lasting {
        id: SignInId,
        #[serde(deserialize_with = "super::millis")]
        expires_at: Timestamp,
    }
    let sql = "SELECT 'sgn_' || substr(token_hash, 1, 26) AS id, expires_at
        FROM auth_sessions WHERE user_id = ?1 AND expires_at > ?2";
    let args = [D1Type::Text(user.as_str()), big(now.millis())];
    let rows: Vec<Lasting> = config.db()?.prepare(sql).bind_refs(&args)?.all().await?.results()?;
    Ok(rows.into_iter().map(|row| (row.id, row.expires_at)).collect())
}

/// Acts in another org from now on; false when the person is no member of it.
pub async fn switch_org(config: &Config, user: &UserId, id: &SignInId, org: &OrgId) -> worker::Result<bool> {
    let sql = "UPDATE auth_sessions SET org_id = ?3
        WHERE user_id = ?1 AND 'sgn_' || substr(token_hash, 1, 26) = ?2
            AND EXISTS (SELECT 1 FROM members WHERE org_id = ?3 AND user_id = ?1)
        RETURNING user_id";
    let args = [
        D1Type::Text(user.as_str()),
        D1Type::Text(id.as_str()),
        D1Type::Text(org.as_str()),
    ];
    let row: Option<serde_json::Value> = config.db()?.prepare(sql).bind_refs(&args)?.first(None).await?;
    Ok(row.is_some())
}

#[derive(Debug, Deserialize)]
struct Ended {
    id: SignInId,
}

/// Ends one of a person's sign-ins, or all of them; which ended.
pub async fn end(config: &Config, user: &UserId, id: Option<&SignInId>) -> worker::Result<Vec<SignInId>> {
    let sql = "DELETE FROM auth_sessions
        WHERE user_id = ?1 AND (?2 IS NULL OR 'sgn_' || substr(token_hash, 1, 26) = ?2)
        RETURNING 'sgn_' || substr(token_hash, 1, 26) AS id";
    let args = [D1Type::Text(user.as_str()), text_or_null(id.map(SignInId::as_str))];
    let rows: Vec<Ended> = config.db()?.prepare(sql).bind_refs(&args)?.all().await?.results()?;
    Ok(rows.into_iter().map(|row| row.id).collect())
}

/// Ends the sign-in with this secret; whose it was. Fine when there is none.
pub async fn delete(config: &Config, token_hash: &str) -> worker::Result<Option<(UserId, SignInId)>> {
    #[derive(Deserialize)]
    struct Row {
        user_id: UserId,
        id: SignInId,
    }
    let sql = "DELETE FROM auth_sessions WHERE token_hash = ?1
        RETURNING user_id, 'sgn_' || substr(token_hash, 1, 26) AS id";
    let row: Option<Row> = config
        .db()?
        .prepare(sql)
        .bind_refs(&D1Type::Text(token_hash))?
        .first(None)
        .await?;
    Ok(row.map(|row| (row.user_id, row.id)))
}
