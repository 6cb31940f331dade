//! What an org's levels of settings say: one row per setting.

use std::collections::BTreeSet;

use errand_access::{Levels, Settings};
use errand_protocol::ids::{GroupId, OrgId, UserId};
use errand_protocol::settings::SettingsPatch;
use errand_protocol::time::Timestamp;
use serde::Deserialize;
use serde_json::{Map, Value};
use worker::D1Type;

use super::big;
use crate::config::Config;

/// A level of an org.
#[derive(Debug, Clone, Copy)]
pub enum Level<'a> {
    /// All of it.
    Org(&'a OrgId),
    /// One of its groups.
    Group(&'a GroupId),
    /// One of its members.
    User(&'a UserId),
}

impl Level<'_> {
    const fn name(self) -> &'static str {
        match self {
            Self::Org(_) => "org",
            Self::Group(_) => "group",
            Self::User(_) => "user",
        }
    }

    fn subject(&self) -> &str {
        match self {
            Self::Org(org) => org.as_str(),
            Self::Group(group) => group.as_str(),
            Self::User(user) => user.as_str(),
        }
    }
}

#[derive(Debug, Deserialize)]
struct Row {
    level: String,
    subject: String,
    key: String,
    value: String,
}

/// What holds for a person in an org.
pub async fn resolved(config: &Config, org: &OrgId, user: &UserId) -> worker::Result<Settings> {
    let sql = "SELECT level, subject, key, value FROM settings WHERE org_id = ?1 AND (
        (level = 'org' AND subject = ?1) OR (level = 'user' AND subject = ?2)
        OR (level = 'group' AND subject IN (SELECT group_id FROM group_members WHERE org_id = ?1 AND user_id = ?2)))";
    let args = [D1Type::Text(org.as_str()), D1Type::Text(user.as_str())];
    let rows: Vec<Row> = config.db()?.prepare(sql).bind_refs(&args)?.all().await?.results()?;
    let of = |level: Level<'_>| patch(rows.iter().filter(|row| row.level == level.name()));
    let groups: BTreeSet<&str> = rows
        .iter()
        .filter(|row| row.level == "group")
        .map(|row| row.subject.as_str())
        .collect();
    let of_group = |group: &str| patch(rows.iter().filter(|row| row.level == "group" && row.subject == group));
    Ok(Settings::resolve(&Levels {
        system: config.settings.clone(),
        org: of(Level::Org(org))?,
        groups: groups.into_iter().map(of_group).collect::<worker::Result<_>>()?,
        user: of(Level::User(user))?,
    }))
}

/// What one level says.
pub async fn read(config: &Config, org: &OrgId, level: Level<'_>) -> worker::Result<SettingsPatch> {
    let sql = "SELECT level, subject, key, value FROM settings WHERE org_id = ?1 AND level = ?2 AND subject = ?3";
    let args = [org.as_str(), level.name(), level.subject()].map(D1Type::Text);
    let rows: Vec<Row> = config.db()?.prepare(sql).bind_refs(&args)?.all().await?.results()?;
    patch(rows.iter())
}

/// A setting that this version does not know (any more) says nothing.
fn patch<'r>(rows: impl Iterator<Item = &'r Row>) -> worker::Result<SettingsPatch> {
    let mut patch = Map::new();
    for row in rows {
        let value: Value = serde_json::from_str(&row.value)?;
        let alone = Value::Object(Map::from_iter([(row.key.clone(), value.clone())]));
        if serde_json::from_value::<SettingsPatch>(alone).is_ok() {
            patch.insert(row.key.clone(), value);
        }
    }
    Ok(serde_json::from_value(Value::Object(patch))?)
}

/// Replaces what a level says.
pub async fn write(
    config: &Config,
    org: &OrgId,
    level: Level<'_>,
    patch: &SettingsPatch,
    by: &UserId,
    now: Timestamp,
) -> worker::Result<()> {
    let db = config.db()?;
    let (org, name, subject) = (
        || D1Type::Text(org.as_str()),
        || D1Type::Text(level.name()),
        || D1Type::Text(level.subject()),
    );
    let drop_old = "DELETE FROM settings WHERE org_id = ?1 AND level = ?2 AND subject = ?3";
    let put = "INSERT INTO settings (org_id, level, subject, key, value, updated_at, updated_by)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
    let mut statements = vec![db.prepare(drop_old).bind_refs(&[org(), name(), subject()])?];
    let said = serde_json::to_value(patch)?;
    for (key, value) in said.as_object().into_iter().flatten() {
        let value = value.to_string();
        statements.push(db.prepare(put).bind_refs(&[
            org(),
            name(),
            subject(),
            D1Type::Text(key),
            D1Type::Text(&value),
            big(now.millis()),
            D1Type::Text(by.as_str()),
        ])?);
    }
    super::all_done(&db.batch(statements).await?)
}
