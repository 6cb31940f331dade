//! People, their orgs and their membership.

use errand_access::Actor;
use errand_protocol::api::OrgInfo;
use errand_protocol::ids::{OrgId, UserId};
use errand_protocol::session::Person;
use errand_protocol::time::Timestamp;
use serde::Deserialize;
use worker::D1Type;

use super::big;
use crate::config::Config;

#[derive(Debug, Deserialize)]
struct OrgRow {
    id: OrgId,
    name: String,
}

/// Makes the person and their personal org where they are not there yet. The ids come from the login, so that two
/// first sign-ins at the same moment make one person.
pub async fn ensure_personal(
    config: &Config,
    user: &UserId,
    org: &OrgId,
    login: &str,
    now: Timestamp,
) -> worker::Result<Person> {
    let person = Person {
        id: user.clone(),
        name: login.to_owned(),
        email: format!("{login}@users.errand.invalid"),
    };
    let db = config.db()?;
    let at = now.millis();
    db.batch(vec![
        db.prepare("INSERT INTO users (id, login, name, email, created_at) VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT DO NOTHING")
            .bind_refs(&[
                D1Type::Text(user.as_str()),
                D1Type::Text(login),
                D1Type::Text(&person.name),
                D1Type::Text(&person.email),
                big(at),
            ])?,
        db.prepare("INSERT INTO orgs (id, name, created_at) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING")
            .bind_refs(&[D1Type::Text(org.as_str()), D1Type::Text(login), big(at)])?,
        db.prepare("INSERT INTO members (org_id, user_id, role, created_at) VALUES (?1, ?2, 'owner', ?3) ON CONFLICT DO NOTHING")
            .bind_refs(&[D1Type::Text(org.as_str()), D1Type::Text(user.as_str()), big(at)])?,
    ])
    .await?;
    Ok(person)
}

/// The org in which a person acts, when they are a member.
pub async fn org_of(config: &Config, actor: &Actor) -> worker::Result<Option<OrgInfo>> {
    let sql = "SELECT o.id, o.name FROM orgs o JOIN members m ON m.org_id = o.id WHERE o.id = ?1 AND m.user_id = ?2";
    let args = [D1Type::Text(actor.org.as_str()), D1Type::Text(actor.person.id.as_str())];
    let row: Option<OrgRow> = config.db()?.prepare(sql).bind_refs(&args)?.first(None).await?;
    Ok(row.map(|row| OrgInfo {
        id: row.id,
        name: row.name,
    }))
}

/// Whether the database answers and has been migrated.
pub async fn ping(config: &Config) -> worker::Result<()> {
    config
        .db()?
        .prepare("SELECT id FROM orgs LIMIT 1")
        .run()
        .await
        .map(|_| ())
}
