//! The share links of a session and who redeemed which; all SQL of that. The tables are made with the first link.

use std::collections::BTreeMap;

use errand_protocol::access::Role;
use errand_protocol::ids::{ShareId, UserId};
use errand_protocol::share::ShareLink;
use errand_protocol::time::Timestamp;
use errand_session::sql::{Row, Sql, SqlError, Value, int, text};

fn migrate(sql: &impl Sql) -> Result<(), SqlError> {
    for table in [
        "CREATE TABLE IF NOT EXISTS shares (id TEXT PRIMARY KEY, code_hash TEXT NOT NULL UNIQUE, role TEXT NOT NULL,
           created_at INTEGER NOT NULL, expires_at INTEGER NOT NULL, max_uses INTEGER NOT NULL)",
        "CREATE TABLE IF NOT EXISTS share_uses (share TEXT NOT NULL, user TEXT NOT NULL, PRIMARY KEY (share, user))",
    ] {
        sql.exec(table, &[])?;
    }
    Ok(())
}

fn is_there(sql: &impl Sql) -> Result<bool, SqlError> {
    let table = "SELECT name FROM sqlite_master WHERE type = 'table' AND name = 'shares'";
    Ok(!sql.exec(table, &[])?.is_empty())
}

const LINKS: &str = "SELECT id, role, created_at, expires_at, max_uses,
    (SELECT count(*) FROM share_uses WHERE share = shares.id) FROM shares";

/// All links, newest first.
pub(super) fn list(sql: &impl Sql) -> Result<Vec<ShareLink>, SqlError> {
    if !is_there(sql)? {
        return Ok(Vec::new());
    }
    let rows = sql.exec(&format!("{LINKS} ORDER BY created_at DESC, id DESC"), &[])?;
    rows.iter().map(link).collect()
}

/// The link with this id.
pub(super) fn find(sql: &impl Sql, id: &ShareId) -> Result<Option<ShareLink>, SqlError> {
    if !is_there(sql)? {
        return Ok(None);
    }
    let rows = sql.exec(&format!("{LINKS} WHERE id = ?"), &[id.as_str().into()])?;
    rows.first().map(link).transpose()
}

/// Stores a new link.
pub(super) fn put(sql: &impl Sql, new: &ShareLink, code_hash: &str) -> Result<(), SqlError> {
    sql.transaction(|| {
        migrate(sql)?;
        sql.exec(
            "INSERT INTO shares (id, code_hash, role, created_at, expires_at, max_uses) VALUES (?, ?, ?, ?, ?, ?)",
            &[
                new.id.as_str().into(),
                code_hash.into(),
                new.role.as_str().into(),
                Value::Int(new.created_at.millis()),
                Value::Int(new.expires_at.millis()),
                new.max_uses.into(),
            ],
        )
        .map(drop)
    })
}

/// Who redeemed a link, and what their other links make of them.
pub(super) fn left_by(sql: &impl Sql, id: &ShareId) -> Result<BTreeMap<UserId, Option<Role>>, SqlError> {
    let rows = sql.exec(
        "SELECT mine.user, coalesce(shares.role, '') FROM share_uses AS mine
         LEFT JOIN share_uses AS other ON other.user = mine.user AND other.share <> mine.share
         LEFT JOIN shares ON shares.id = other.share WHERE mine.share = ?",
        &[id.as_str().into()],
    )?;
    let mut left: BTreeMap<UserId, Option<Role>> = BTreeMap::new();
    for row in &rows {
        let user = text(row, 0)?.parse().map_err(|e| SqlError::Row(format!("{e}")))?;
        let role = left.entry(user).or_default();
        *role = (*role).max(role_named(text(row, 1)?));
    }
    Ok(left)
}

/// Removes a link, and who redeemed it.
pub(super) fn remove(sql: &impl Sql, id: &ShareId) -> Result<(), SqlError> {
    sql.transaction(|| {
        sql.exec("DELETE FROM share_uses WHERE share = ?", &[id.as_str().into()])?;
        sql.exec("DELETE FROM shares WHERE id = ?", &[id.as_str().into()])
            .map(drop)
    })
}

/// Redeems the link with this code: what it makes of the person. Who redeemed it before does not count again.
pub(super) fn redeem(sql: &impl Sql, code_hash: &str, user: &UserId, now: Timestamp) -> Result<Option<Role>, SqlError> {
    if !is_there(sql)? {
        return Ok(None);
    }
    sql.transaction(|| {
        let found = format!("{LINKS} WHERE code_hash = ? AND expires_at > ?");
        let rows = sql.exec(&found, &[code_hash.into(), Value::Int(now.millis())])?;
        let Some(link) = rows.first().map(link).transpose()? else {
            return Ok(None);
        };
        let of = [link.id.as_str().into(), user.as_str().into()];
        let before = sql.exec("SELECT 1 FROM share_uses WHERE share = ? AND user = ?", &of)?;
        if before.is_empty() {
            if link.uses >= link.max_uses {
                return Ok(None);
            }
            sql.exec("INSERT INTO share_uses (share, user) VALUES (?, ?)", &of)?;
        }
        Ok(Some(link.role))
    })
}

fn link(row: &Row) -> Result<ShareLink, SqlError> {
    let wrong = |e: &dyn std::fmt::Display| SqlError::Row(e.to_string());
    let number = |column| u32::try_from(int(row, column)?).map_err(|e| wrong(&e));
    let role = role_named(text(row, 1)?);
    Ok(ShareLink {
        id: text(row, 0)?.parse().map_err(|e| wrong(&e))?,
        role: role.ok_or_else(|| wrong(&"no such role"))?,
        created_at: Timestamp::from_millis(int(row, 2)?),
        expires_at: Timestamp::from_millis(int(row, 3)?),
        max_uses: number(4)?,
        uses: number(5)?,
    })
}

fn role_named(name: &str) -> Option<Role> {
    Role::ALL.into_iter().find(|role| role.as_str() == name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::native_sql::NativeSql;

    const fn at(ms: i64) -> Timestamp {
        Timestamp::from_millis(ms)
    }

    fn user(name: &str) -> UserId {
        UserId::from_body(name).unwrap()
    }

    fn a_link(id: &str, role: Role) -> ShareLink {
        ShareLink {
            id: id.parse().unwrap(),
            role,
            created_at: at(0),
            expires_at: at(100),
            uses: 0,
            max_uses: 2,
        }
    }

    #[test]
    fn a_link_is_redeemed_by_so_many_people_each_once_until_it_is_over() {
        let sql = NativeSql::new();
        assert_eq!(redeem(&sql, "hash", &user("ada"), at(1)).unwrap(), None);
        let new = a_link("shr_1", Role::Member);
        assert_eq!(find(&sql, &new.id).unwrap(), None);
        put(&sql, &new, "hash").unwrap();
        assert_eq!(find(&sql, &new.id).unwrap(), Some(new.clone()));
        assert_eq!(redeem(&sql, "other", &user("ada"), at(1)).unwrap(), None);
        for name in ["ada", "bob", "ada"] {
            let role = redeem(&sql, "hash", &user(name), at(99)).unwrap();
            assert_eq!(role, Some(Role::Member), "{name}");
        }
        assert_eq!(redeem(&sql, "hash", &user("eve"), at(99)).unwrap(), None);
        assert_eq!(list(&sql).unwrap()[0].uses, 2);
        assert_eq!(redeem(&sql, "hash", &user("ada"), at(100)).unwrap(), None);
    }

    #[test]
    fn who_redeemed_a_link_that_is_removed_keeps_what_another_one_gave_them() {
        let sql = NativeSql::new();
        let (work, look) = (a_link("shr_1", Role::Member), a_link("shr_2", Role::Viewer));
        put(&sql, &work, "work").unwrap();
        put(&sql, &look, "look").unwrap();
        for (name, code) in [("ada", "work"), ("ada", "look"), ("bob", "work"), ("eve", "look")] {
            redeem(&sql, code, &user(name), at(1)).unwrap();
        }
        let expected = BTreeMap::from([(user("ada"), Some(Role::Viewer)), (user("bob"), None)]);
        assert_eq!(left_by(&sql, &work.id).unwrap(), expected);
        remove(&sql, &work.id).unwrap();
        assert_eq!(redeem(&sql, "work", &user("bob"), at(1)).unwrap(), None);
        let expected = BTreeMap::from([(user("ada"), None), (user("eve"), None)]);
        assert_eq!(
            left_by(&sql, &look.id).unwrap(),
            expected,
            "of the removed one nothing is left"
        );
    }
}
