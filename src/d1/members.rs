//! Who belongs to which org, and as what.

use errand_protocol::access::Role;
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
    role: Role,
}

/// The orgs of a person, the one they joined first first.
pub async fn orgs_of(config: &Config, user: &UserId) -> worker::Result<Vec<(OrgInfo, Role)>> {
    let sql = "SELECT o.id, o.name, m.role FROM members m JOIN orgs o ON o.id = m.org_id
        WHERE m.user_id = ?1 ORDER BY m.created_at, o.id";
    let found = config.db()?.prepare(sql).bind_refs(&D1Type::Text(user.as_str()))?;
    let rows: Vec<OrgRow> = found.all().await?.results()?;
    let org = |row: OrgRow| {
        (
            OrgInfo {
                id: row.id,
                name: row.name,
            },
            row.role,
        )
    };
    Ok(rows.into_iter().map(org).collect())
}

/// Makes an org, with its owner.
pub async fn make_org(config: &Config, org: &OrgInfo, owner: &UserId, now: Timestamp) -> worker::Result<()> {
    let db = config.db()?;
    let id = || D1Type::Text(org.id.as_str());
    let at = || big(now.millis());
    let make = "INSERT INTO orgs (id, name, created_at) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING";
    let join =
        "INSERT INTO members (org_id, user_id, role, created_at) VALUES (?1, ?2, 'owner', ?3) ON CONFLICT DO NOTHING";
    let owner = D1Type::Text(owner.as_str());
    let statements = vec![
        db.prepare(make).bind_refs(&[id(), D1Type::Text(&org.name), at()])?,
        db.prepare(join).bind_refs(&[id(), owner, at()])?,
    ];
    super::all_done(&db.batch(statements).await?)
}

/// Gives an org another name; the one that it had.
pub async fn rename_org(config: &Config, org: &OrgId, name: &str) -> worker::Result<Option<String>> {
    #[derive(Deserialize)]
    struct Named {
        name: String,
    }
    let db = config.db()?;
    let id = || D1Type::Text(org.as_str());
    let results = db
        .batch(vec![
            db.prepare("SELECT name FROM orgs WHERE id = ?1").bind_refs(&[id()])?,
            db.prepare("UPDATE orgs SET name = ?2 WHERE id = ?1")
                .bind_refs(&[id(), D1Type::Text(name)])?,
        ])
        .await?;
    super::all_done(&results)?;
    let before = results.first().map(worker::D1Result::results::<Named>).transpose()?;
    Ok(before.unwrap_or_default().pop().map(|before| before.name))
}

/// A member as admins see them.
#[derive(Debug, Deserialize)]
pub struct Row {
    /// Who.
    pub id: UserId,
    /// Their name.
    pub name: String,
    /// Their address.
    pub email: String,
    /// As what.
    pub role: Role,
    /// Since when.
    #[serde(deserialize_with = "super::millis")]
    pub created_at: Timestamp,
}

impl Row {
    /// The person.
    pub fn person(&self) -> Person {
        Person {
            id: self.id.clone(),
            name: self.name.clone(),
            email: self.email.clone(),
        }
    }
}

/// The members of an org, by name; at most `limit`, those after the person named `after`.
pub async fn list(config: &Config, org: &OrgId, after: Option<&UserId>, limit: u32) -> worker::Result<Vec<Row>> {
    let sql = "SELECT u.id, u.name, u.email, m.role, m.created_at FROM members m JOIN users u ON u.id = m.user_id
        WHERE m.org_id = ?1 AND u.id > ?2 ORDER BY u.id LIMIT ?3";
    let after = after.map_or("", UserId::as_str);
    let args = [D1Type::Text(org.as_str()), D1Type::Text(after), big(i64::from(limit))];
    config.db()?.prepare(sql).bind_refs(&args)?.all().await?.results()
}

/// One member.
pub async fn find(config: &Config, org: &OrgId, user: &UserId) -> worker::Result<Option<Row>> {
    let sql = "SELECT u.id, u.name, u.email, m.role, m.created_at FROM members m JOIN users u ON u.id = m.user_id
        WHERE m.org_id = ?1 AND m.user_id = ?2";
    let args = [D1Type::Text(org.as_str()), D1Type::Text(user.as_str())];
    config.db()?.prepare(sql).bind_refs(&args)?.first(None).await
}

/// Whether a change was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Changed {
    /// It was.
    Yes,
    /// It would have left the org without an owner, or they are something else by now.
    No,
}

/// Gives a member another role, unless they are the last owner. `from` is what they were when it was decided that this may
/// be done.
pub async fn set_role(config: &Config, org: &OrgId, user: &UserId, from: Role, to: Role) -> worker::Result<Changed> {
    let sql = "UPDATE members SET role = ?4 WHERE org_id = ?1 AND user_id = ?2 AND role = ?3
        AND (?4 = 'owner' OR role <> 'owner'
            OR EXISTS (SELECT 1 FROM members WHERE org_id = ?1 AND role = 'owner' AND user_id <> ?2))
        RETURNING user_id";
    let args = [org.as_str(), user.as_str(), from.as_str(), to.as_str()].map(D1Type::Text);
    let row: Option<serde_json::Value> = config.db()?.prepare(sql).bind_refs(&args)?.first(None).await?;
    Ok(if row.is_some() { Changed::Yes } else { Changed::No })
}

/// Removes a member who is `from`, unless they are the last owner; with them their groups, keys and open invitations, so that
/// nothing of it comes back should they be invited again. Their sign-ins that act in the org count for nothing from then
/// on, because they are looked up together with the membership.
pub async fn remove(
    config: &Config,
    org: &OrgId,
    user: &UserId,
    from: Role,
    now: Timestamp,
) -> worker::Result<Changed> {
    let db = config.db()?;
    let member = "DELETE FROM members WHERE org_id = ?1 AND user_id = ?2 AND role = ?3
        AND (role <> 'owner' OR EXISTS (SELECT 1 FROM members WHERE org_id = ?1 AND role = 'owner' AND user_id <> ?2))
        RETURNING user_id";
    let gone = "NOT EXISTS (SELECT 1 FROM members WHERE org_id = ?1 AND user_id = ?2)";
    let groups = format!("DELETE FROM group_members WHERE org_id = ?1 AND user_id = ?2 AND {gone}");
    let invitations =
        format!("DELETE FROM invitations WHERE org_id = ?1 AND created_by = ?2 AND used_at IS NULL AND {gone}");
    let keys = format!(
        "UPDATE api_keys SET revoked_at = ?3 WHERE org_id = ?1 AND user_id = ?2 AND revoked_at IS NULL AND {gone}"
    );
    let (org, user) = (|| D1Type::Text(org.as_str()), || D1Type::Text(user.as_str()));
    let results = db
        .batch(vec![
            db.prepare(member)
                .bind_refs(&[org(), user(), D1Type::Text(from.as_str())])?,
            db.prepare(groups).bind_refs(&[org(), user()])?,
            db.prepare(invitations).bind_refs(&[org(), user()])?,
            db.prepare(keys).bind_refs(&[org(), user(), big(now.millis())])?,
        ])
        .await?;
    super::all_done(&results)?;
    let removed = results.first().map(worker::D1Result::results::<serde_json::Value>);
    let removed = !removed.transpose()?.unwrap_or_default().is_empty();
    Ok(if removed { Changed::Yes } else { Changed::No })
}
