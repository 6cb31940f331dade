//! What an org's levels of settings say: one row per setting.

use errand_access::Settings;
use errand_protocol::ids::{OrgId, UserId};
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
    /// One of its members.
    User(&'a UserId),
}

impl Level<'_> {
    const fn name(self) -> &'static str {
        match self {
            Self::Org(_) => "org",
            Self::User(_) => "user",
        }
    }

    fn subject(&self) -> &str {
        match self {
            Self::Org(org) => org.as_str(),
            Self::User(user) => user.as_str(),
        }
    }
}

#[derive(Debug, Deserialize)]
struct Row {
    level: String,
    key: String,
    value: String,
}

/// What holds for a person in an org.
pub async fn resolved(config: &Config, org: &OrgId, user: &UserId) -> worker::Result<Settings> {
    Ok(Settings::resolve(&levels(config, org, user).await?))
}

/// What the levels say for a person in an org, those that win last.
pub async fn levels(config: &Config, org: &OrgId, user: &UserId) -> worker::Result<Vec<SettingsPatch>> {
    let rows = rows(config, org, user).await?;
    let of = |level: Level<'_>| patch(&rows, level.name());
    Ok(vec![
        config.settings.clone(),
        of(Level::Org(org))?,
        of(Level::User(user))?,
    ])
}

/// What one level says.
pub async fn read(config: &Config, org: &OrgId, level: Level<'_>) -> worker::Result<SettingsPatch> {
    let user = match level {
        Level::Org(_) => "usr_none"
            .parse()
            .map_err(|e| worker::Error::RustError(format!("{e}")))?,
        Level::User(user) => user.clone(),
    };
    patch(&rows(config, org, &user).await?, level.name())
}

async fn rows(config: &Config, org: &OrgId, user: &UserId) -> worker::Result<Vec<Row>> {
    let sql = "SELECT level, key, value FROM settings
        WHERE org_id = ?1 AND ((level = 'org' AND subject = ?1) OR (level = 'user' AND subject = ?2))";
    let args = [D1Type::Text(org.as_str()), D1Type::Text(user.as_str())];
    config.db()?.prepare(sql).bind_refs(&args)?.all().await?.results()
}

/// A setting that this version does not know (any more) says nothing.
fn patch(rows: &[Row], level: &str) -> worker::Result<SettingsPatch> {
    let mut patch = Map::new();
    for row in rows.iter().filter(|row| row.level == level) {
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
