//! Groups of an org, and who belongs to them.

use errand_protocol::access::GroupRole;
use errand_protocol::groups::{Group, GroupMember};
use errand_protocol::ids::{GroupId, OrgId, UserId};
use errand_protocol::session::Person;
use errand_protocol::time::Timestamp;
use serde::Deserialize;
use worker::D1Type;

use super::big;
use crate::config::Config;

/// Groups of one org, at most.
pub const MAX_GROUPS: u32 = 500;
/// Members of one group, at most.
pub const MAX_MEMBERS: u32 = 1000;

#[derive(Debug, Deserialize)]
struct Row {
    id: GroupId,
    name: String,
    #[serde(deserialize_with = "super::millis")]
    created_at: Timestamp,
    members: u32,
    role: Option<GroupRole>,
}

impl Row {
    fn shown(self) -> Group {
        Group {
            id: self.id,
            name: self.name,
            created_at: self.created_at,
            members: self.members,
            role: self.role,
        }
    }
}

/// `?1` is the org, `?2` who asks.
const COLUMNS: &str = "g.id, g.name, g.created_at,
    (SELECT count(*) FROM group_members m WHERE m.org_id = ?1 AND m.group_id = g.id) AS members,
    (SELECT m.role FROM group_members m WHERE m.org_id = ?1 AND m.group_id = g.id AND m.user_id = ?2) AS role";

/// The org's groups by name: those to which `user` belongs, or all.
pub async fn list(config: &Config, org: &OrgId, user: &UserId, all: bool) -> worker::Result<Vec<Group>> {
    let sql = format!(
        "SELECT * FROM (SELECT {COLUMNS} FROM groups g WHERE g.org_id = ?1)
        WHERE ?3 OR role IS NOT NULL ORDER BY name LIMIT {MAX_GROUPS}"
    );
    let args = [
        D1Type::Text(org.as_str()),
        D1Type::Text(user.as_str()),
        D1Type::Integer(i32::from(all)),
    ];
    let rows: Vec<Row> = config.db()?.prepare(sql).bind_refs(&args)?.all().await?.results()?;
    Ok(rows.into_iter().map(Row::shown).collect())
}

/// One of the org's groups, as `user` sees it.
pub async fn find(config: &Config, org: &OrgId, user: &UserId, id: &GroupId) -> worker::Result<Option<Group>> {
    let sql = format!("SELECT {COLUMNS} FROM groups g WHERE g.org_id = ?1 AND g.id = ?3");
    let args = [
        D1Type::Text(org.as_str()),
        D1Type::Text(user.as_str()),
        D1Type::Text(id.as_str()),
    ];
    let row: Option<Row> = config.db()?.prepare(sql).bind_refs(&args)?.first(None).await?;
    Ok(row.map(Row::shown))
}

/// Makes a group, unless the org has one with this id or name, or as many as it may have.
pub async fn insert(config: &Config, org: &OrgId, id: &GroupId, name: &str, now: Timestamp) -> worker::Result<()> {
    let sql = format!(
        "INSERT INTO groups (id, org_id, name, created_at)
            SELECT ?1, ?2, ?3, ?4 WHERE (SELECT count(*) FROM groups WHERE org_id = ?2) < {MAX_GROUPS}
            ON CONFLICT DO NOTHING"
    );
    let args = [
        D1Type::Text(id.as_str()),
        D1Type::Text(org.as_str()),
        D1Type::Text(name),
        big(now.millis()),
    ];
    config.db()?.prepare(sql).bind_refs(&args)?.run().await.map(drop)
}

/// Gives a group another name; false when that is another group's.
pub async fn rename(config: &Config, org: &OrgId, id: &GroupId, name: &str) -> worker::Result<bool> {
    let sql = "UPDATE OR IGNORE groups SET name = ?3 WHERE org_id = ?1 AND id = ?2 RETURNING id";
    any_row(config, sql, &[org.as_str(), id.as_str(), name]).await
}

/// Removes a group, with what was set for it.
pub async fn remove(config: &Config, org: &OrgId, id: &GroupId) -> worker::Result<()> {
    let db = config.db()?;
    let args = || [D1Type::Text(org.as_str()), D1Type::Text(id.as_str())];
    let statements = [
        "DELETE FROM settings WHERE org_id = ?1 AND level = 'group' AND subject = ?2",
        "DELETE FROM group_members WHERE org_id = ?1 AND group_id = ?2",
        "DELETE FROM groups WHERE org_id = ?1 AND id = ?2",
    ];
    let statements = statements.map(|sql| db.prepare(sql).bind_refs(&args()));
    let statements = statements.into_iter().collect::<worker::Result<Vec<_>>>()?;
    super::all_done(&db.batch(statements).await?)
}

/// Who belongs to a group, by name.
pub async fn members(config: &Config, org: &OrgId, id: &GroupId) -> worker::Result<Vec<GroupMember>> {
    #[derive(Deserialize)]
    struct Row {
        id: UserId,
        name: String,
        email: String,
        role: GroupRole,
    }
    let sql = format!(
        "SELECT u.id, u.name, u.email, m.role FROM group_members m JOIN users u ON u.id = m.user_id
            WHERE m.org_id = ?1 AND m.group_id = ?2 ORDER BY u.name, u.id LIMIT {MAX_MEMBERS}"
    );
    let args = [D1Type::Text(org.as_str()), D1Type::Text(id.as_str())];
    let rows: Vec<Row> = config.db()?.prepare(sql).bind_refs(&args)?.all().await?.results()?;
    let member = |Row { id, name, email, role }| GroupMember {
        person: Person { id, name, email },
        role,
    };
    Ok(rows.into_iter().map(member).collect())
}

/// What somebody is in a group.
pub async fn role_of(config: &Config, org: &OrgId, id: &GroupId, user: &UserId) -> worker::Result<Option<GroupRole>> {
    #[derive(Deserialize)]
    struct Row {
        role: GroupRole,
    }
    let sql = "SELECT role FROM group_members WHERE org_id = ?1 AND group_id = ?2 AND user_id = ?3";
    let args = [org.as_str(), id.as_str(), user.as_str()].map(D1Type::Text);
    let row: Option<Row> = config.db()?.prepare(sql).bind_refs(&args)?.first(None).await?;
    Ok(row.map(|row| row.role))
}

/// Takes a member of the org in, or makes something else of them; false when they are none, or the group is full.
pub async fn put_member(
    config: &Config,
    org: &OrgId,
    id: &GroupId,
    user: &UserId,
    role: GroupRole,
) -> worker::Result<bool> {
    let sql = format!(
        "INSERT INTO group_members (org_id, group_id, user_id, role)
            SELECT g.org_id, g.id, m.user_id, ?4 FROM groups g JOIN members m ON m.org_id = g.org_id
            WHERE g.org_id = ?1 AND g.id = ?2 AND m.user_id = ?3 AND (
                (SELECT count(*) FROM group_members c WHERE c.org_id = ?1 AND c.group_id = ?2) < {MAX_MEMBERS}
                OR EXISTS (SELECT 1 FROM group_members c WHERE c.org_id = ?1 AND c.group_id = ?2 AND c.user_id = ?3))
            ON CONFLICT (group_id, user_id) DO UPDATE SET role = excluded.role
            RETURNING user_id"
    );
    any_row(config, &sql, &[org.as_str(), id.as_str(), user.as_str(), role.as_str()]).await
}

/// Takes somebody out; fine when they are not in it.
pub async fn remove_member(config: &Config, org: &OrgId, id: &GroupId, user: &UserId) -> worker::Result<()> {
    let sql = "DELETE FROM group_members WHERE org_id = ?1 AND group_id = ?2 AND user_id = ?3 RETURNING user_id";
    any_row(config, sql, &[org.as_str(), id.as_str(), user.as_str()])
        .await
        .map(drop)
}

async fn any_row(config: &Config, sql: &str, args: &[&str]) -> worker::Result<bool> {
    let args: Vec<D1Type<'_>> = args.iter().map(|text| D1Type::Text(text)).collect();
    let row: Option<serde_json::Value> = config.db()?.prepare(sql).bind_refs(&args)?.first(None).await?;
    Ok(row.is_some())
}
