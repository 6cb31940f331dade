//! Sign-ins: hash of the secret → user and org, until it expires. Its id is made of the hash's first digits, so that
//! lists and the audit log can name it.

use errand_access::{Actor, Credential};
use errand_protocol::access::Role;
use errand_protocol::ids::{OrgId, SignInId, UserId};
use errand_protocol::session::Person;
use errand_protocol::time::Timestamp;
use serde::Deserialize;
use worker::D1Type;

use super::big;
use crate::config::Config;

#[derive(Debug, Deserialize)]
struct Row {
    id: SignInId,
    user_id: UserId,
    name: String,
    email: String,
    org_id: OrgId,
    role: Role,
}

/// Who is signed in with this secret, as long as they are a member of the org; with their present role there.
pub async fn find(config: &Config, token_hash: &str, now: Timestamp) -> worker::Result<Option<Actor>> {
    let sql = "SELECT 'sgn_' || substr(a.token_hash, 1, 26) AS id, u.id AS user_id, u.name, u.email, a.org_id, m.role
        FROM auth_sessions a JOIN users u ON u.id = a.user_id
        JOIN members m ON m.org_id = a.org_id AND m.user_id = a.user_id
        WHERE a.token_hash = ?1 AND a.expires_at > ?2";
    let args = [D1Type::Text(token_hash), big(now.millis())];
    let row: Option<Row> = config.db()?.prepare(sql).bind_refs(&args)?.first(None).await?;
    Ok(row.map(|row| Actor {
        person: Person {
            id: row.user_id,
            name: row.name,
            email: row.email,
        },
        org: row.org_id,
        role: row.role,
        credential: Credential::SignIn { id: row.id },
    }))
}

/// Stores a sign-in and drops those of the same person that are over.
pub async fn insert(
    config: &Config,
    token_hash: &str,
    person: &Person,
    org: &OrgId,
    now: Timestamp,
    expires_at: Timestamp,
) -> worker::Result<()> {
    let db = config.db()?;
    let user = D1Type::Text(person.id.as_str());
    let drop_old = "DELETE FROM auth_sessions WHERE user_id = ?1 AND expires_at <= ?2";
    let insert = "INSERT INTO auth_sessions (token_hash, user_id, org_id, created_at, expires_at)
        VALUES (?1, ?2, ?3, ?4, ?5)";
    let args = [
        D1Type::Text(token_hash),
        D1Type::Text(person.id.as_str()),
        D1Type::Text(org.as_str()),
        big(now.millis()),
        big(expires_at.millis()),
    ];
    db.batch(vec![
        db.prepare(drop_old).bind_refs(&[user, big(now.millis())])?,
        db.prepare(insert).bind_refs(&args)?,
    ])
    .await?;
    Ok(())
}

/// Ends a sign-in. Fine when there is none.
pub async fn delete(config: &Config, token_hash: &str) -> worker::Result<()> {
    let sql = "DELETE FROM auth_sessions WHERE token_hash = ?1";
    config
        .db()?
        .prepare(sql)
        .bind_refs(&D1Type::Text(token_hash))?
        .run()
        .await?;
    Ok(())
}
