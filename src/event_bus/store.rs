//! What an EventBus keeps of its person's access, and all SQL of it: where they are connected (`watching`), what
//! changed lately (`roles`, `ended`), for connections that were on their way meanwhile, and when credentials that something
//! is open with end by themselves (`expiring`).

use errand_access::CredentialId;
use errand_protocol::access::Role;
use errand_protocol::ids::{OrgId, SessionId};
use errand_protocol::time::Timestamp;
use errand_session::sql::{Sql, SqlError, Value, int, text};

use crate::http::revoke::AccessChange;

/// A request that was let in before a change has made its connection known after so long.
const LATELY_MS: i64 = 10 * 60 * 1000;
/// A connection makes itself known again whenever it is made; none lasts so long.
const FORGOTTEN_MS: i64 = 30 * 24 * 60 * 60 * 1000;

/// Makes the tables where they are not there yet.
///
/// # Errors
/// When the database fails.
pub(super) fn migrate(sql: &impl Sql) -> Result<(), SqlError> {
    for table in [
        "CREATE TABLE IF NOT EXISTS watching (session TEXT PRIMARY KEY, at INTEGER NOT NULL)",
        "CREATE TABLE IF NOT EXISTS roles (org TEXT PRIMARY KEY, role TEXT NOT NULL, at INTEGER NOT NULL)",
        "CREATE TABLE IF NOT EXISTS ended (credential TEXT PRIMARY KEY, at INTEGER NOT NULL)",
        "CREATE TABLE IF NOT EXISTS expiring (credential TEXT PRIMARY KEY, at INTEGER NOT NULL)",
    ] {
        sql.exec(table, &[])?;
    }
    Ok(())
}

/// The person is connected to this session.
///
/// # Errors
/// When the database fails.
pub(super) fn watch(sql: &impl Sql, session: &SessionId, now: Timestamp) -> Result<(), SqlError> {
    sql.exec(
        "DELETE FROM watching WHERE at < ?",
        &[Value::Int(now.millis() - FORGOTTEN_MS)],
    )?;
    sql.exec(
        "INSERT INTO watching (session, at) VALUES (?, ?) ON CONFLICT (session) DO UPDATE SET at = excluded.at",
        &[session.as_str().into(), Value::Int(now.millis())],
    )
    .map(drop)
}

/// They are not, unless they came again after `asked`.
///
/// # Errors
/// When the database fails.
pub(super) fn unwatch(sql: &impl Sql, session: &SessionId, asked: Timestamp) -> Result<(), SqlError> {
    sql.exec(
        "DELETE FROM watching WHERE session = ? AND at <= ?",
        &[session.as_str().into(), Value::Int(asked.millis())],
    )
    .map(drop)
}

/// Where they are connected.
///
/// # Errors
/// When the database fails.
pub(super) fn watching(sql: &impl Sql) -> Result<Vec<SessionId>, SqlError> {
    let rows = sql.exec("SELECT session FROM watching ORDER BY at DESC", &[])?;
    rows.iter().map(|row| parse(text(row, 0)?)).collect()
}

/// Something is open with a credential that ends at `at`.
///
/// # Errors
/// When the database fails.
pub(super) fn expires(sql: &impl Sql, credential: &CredentialId, at: Timestamp) -> Result<(), SqlError> {
    sql.exec(
        "INSERT INTO expiring (credential, at) VALUES (?, ?) ON CONFLICT (credential) DO UPDATE SET at = excluded.at",
        &[credential.as_str().into(), Value::Int(at.millis())],
    )
    .map(drop)
}

/// The credentials whose time has come.
///
/// # Errors
/// When the database fails.
pub(super) fn expired(sql: &impl Sql, now: Timestamp) -> Result<Vec<CredentialId>, SqlError> {
    let rows = sql.exec(
        "SELECT credential FROM expiring WHERE at <= ? ORDER BY at",
        &[Value::Int(now.millis())],
    )?;
    rows.iter().map(|row| credential(text(row, 0)?)).collect()
}

/// Those have been told.
///
/// # Errors
/// When the database fails.
pub(super) fn forget_expired(sql: &impl Sql, now: Timestamp) -> Result<(), SqlError> {
    sql.exec("DELETE FROM expiring WHERE at <= ?", &[Value::Int(now.millis())])
        .map(drop)
}

/// When the next one ends.
///
/// # Errors
/// When the database fails.
pub(super) fn next_expiry(sql: &impl Sql) -> Result<Option<Timestamp>, SqlError> {
    let rows = sql.exec("SELECT at FROM expiring ORDER BY at LIMIT 1", &[])?;
    rows.first()
        .map(|row| Ok(Timestamp::from_millis(int(row, 0)?)))
        .transpose()
}

/// Remembers a change for a while.
///
/// # Errors
/// When the database fails.
pub(super) fn note(sql: &impl Sql, change: &AccessChange, now: Timestamp) -> Result<(), SqlError> {
    let at = || Value::Int(now.millis());
    sql.transaction(|| {
        for old in ["DELETE FROM roles WHERE at < ?", "DELETE FROM ended WHERE at < ?"] {
            sql.exec(old, &[Value::Int(now.millis() - LATELY_MS)])?;
        }
        match change {
            AccessChange::Role { org, role } => {
                sql.exec(
                    "INSERT INTO roles (org, role, at) VALUES (?, ?, ?)
                     ON CONFLICT (org) DO UPDATE SET role = excluded.role, at = excluded.at",
                    &[org.as_str().into(), role.map_or("", Role::as_str).into(), at()],
                )?;
            }
            AccessChange::Ended(ids) => {
                for id in ids {
                    sql.exec(
                        "INSERT INTO ended (credential, at) VALUES (?, ?) ON CONFLICT DO NOTHING",
                        &[id.as_str().into(), at()],
                    )?;
                }
            }
        }
        Ok(())
    })
}

/// What changed lately: of each org the last change only.
///
/// # Errors
/// When the database fails.
pub(super) fn lately(sql: &impl Sql, now: Timestamp) -> Result<Vec<AccessChange>, SqlError> {
    let since = || Value::Int(now.millis() - LATELY_MS);
    let mut changes = Vec::new();
    for row in sql.exec("SELECT org, role FROM roles WHERE at >= ?", &[since()])? {
        let org: OrgId = parse(text(&row, 0)?)?;
        let name = text(&row, 1)?;
        let role = Role::ALL.into_iter().find(|role| role.as_str() == name);
        changes.push(AccessChange::Role { org, role });
    }
    let mut ended = Vec::new();
    for row in sql.exec("SELECT credential FROM ended WHERE at >= ?", &[since()])? {
        ended.push(credential(text(&row, 0)?)?);
    }
    if !ended.is_empty() {
        changes.push(AccessChange::Ended(ended));
    }
    Ok(changes)
}

fn credential(id: &str) -> Result<CredentialId, SqlError> {
    Ok(match id.parse() {
        Ok(sign_in) => CredentialId::SignIn(sign_in),
        Err(_) => CredentialId::ApiKey(parse(id)?),
    })
}

fn parse<T: std::str::FromStr<Err: std::fmt::Display>>(text: &str) -> Result<T, SqlError> {
    text.parse().map_err(|e| SqlError::Row(format!("{e}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::native_sql::NativeSql;

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_millis(ms)
    }

    fn role(org: &str, role: Option<Role>) -> AccessChange {
        AccessChange::Role {
            org: org.parse().unwrap(),
            role,
        }
    }

    #[test]
    fn who_comes_late_hears_the_last_change_of_each_org_and_nothing_old() {
        let sql = NativeSql::new();
        migrate(&sql).unwrap();
        migrate(&sql).unwrap();
        let ended = |id: &str| AccessChange::Ended(vec![CredentialId::ApiKey(id.parse().unwrap())]);
        note(&sql, &ended("key_old"), at(0)).unwrap();
        let later = LATELY_MS + 1;
        note(&sql, &role("org_1", None), at(later)).unwrap();
        note(&sql, &role("org_1", Some(Role::Viewer)), at(later + 1)).unwrap();
        note(&sql, &role("org_2", None), at(later + 2)).unwrap();
        note(&sql, &ended("key_new"), at(later + 3)).unwrap();
        let expected = [role("org_1", Some(Role::Viewer)), role("org_2", None), ended("key_new")];
        assert_eq!(lately(&sql, at(later + 4)).unwrap(), expected);
        assert_eq!(lately(&sql, at(3 * LATELY_MS)).unwrap(), []);
    }

    #[test]
    fn a_credential_ends_when_its_time_has_come() {
        let sql = NativeSql::new();
        migrate(&sql).unwrap();
        let key = |id: &str| CredentialId::ApiKey(id.parse().unwrap());
        assert_eq!(next_expiry(&sql).unwrap(), None);
        for (id, ms) in [("key_late", 9), ("key_soon", 5), ("key_soon", 5)] {
            expires(&sql, &key(id), at(ms)).unwrap();
        }
        assert_eq!(next_expiry(&sql).unwrap(), Some(at(5)));
        assert_eq!(expired(&sql, at(4)).unwrap(), []);
        assert_eq!(expired(&sql, at(5)).unwrap(), [key("key_soon")]);
        forget_expired(&sql, at(5)).unwrap();
        assert_eq!(expired(&sql, at(99)).unwrap(), [key("key_late")]);
    }

    #[test]
    fn a_session_is_watched_until_it_says_otherwise() {
        let sql = NativeSql::new();
        migrate(&sql).unwrap();
        let (one, two): (SessionId, SessionId) = ("ses_1".parse().unwrap(), "ses_2".parse().unwrap());
        watch(&sql, &one, at(1)).unwrap();
        watch(&sql, &two, at(2)).unwrap();
        watch(&sql, &one, at(5)).unwrap();
        unwatch(&sql, &one, at(4)).unwrap();
        assert_eq!(
            watching(&sql).unwrap(),
            [one.clone(), two.clone()],
            "it came again after it was asked"
        );
        unwatch(&sql, &two, at(4)).unwrap();
        assert_eq!(watching(&sql).unwrap(), [one]);
        watch(&sql, &two, at(FORGOTTEN_MS + 6)).unwrap();
        assert_eq!(watching(&sql).unwrap(), [two]);
    }
}
