//! The table of sessions that a budget stopped, and the only place with SQL for it.

use errand_protocol::ids::{BudgetId, SessionId};
use errand_session::sql::{Row, Sql, SqlError, json, text};

use crate::ledger::commands::Raised;
use crate::ledger::store::{parsed, to_json};

/// `news`: what the session has to hear, once there is something.
pub(in crate::ledger) const STOPPED: &str = "
CREATE TABLE stopped (
  budget TEXT NOT NULL,
  session TEXT NOT NULL,
  news TEXT,
  PRIMARY KEY (budget, session)
) WITHOUT ROWID;
CREATE INDEX stopped_to_tell ON stopped (budget, session) WHERE news IS NOT NULL;
";

/// What a session has to hear.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::ledger) struct Release {
    /// Which budget.
    pub(in crate::ledger) budget: BudgetId,
    /// Who has to hear it.
    pub(in crate::ledger) session: SessionId,
    /// What became of the budget.
    pub(in crate::ledger) raise: Raised,
}

/// A budget stops a session, whatever it would have heard before.
///
/// # Errors
/// When the database fails.
pub(in crate::ledger) fn stop(sql: &impl Sql, budget: &BudgetId, session: &SessionId) -> Result<(), SqlError> {
    sql.exec(
        "INSERT INTO stopped (budget, session) VALUES (?, ?) ON CONFLICT (budget, session) DO UPDATE SET news = NULL",
        &[budget.as_str().into(), session.as_str().into()],
    )
    .map(drop)
}

/// The sessions that the budget stopped have to hear of this, but for one that knows it.
///
/// # Errors
/// When the database fails.
pub(in crate::ledger) fn release(
    sql: &impl Sql,
    budget: &BudgetId,
    raise: &Raised,
    knows: Option<&SessionId>,
) -> Result<(), SqlError> {
    sql.transaction(|| {
        if let Some(session) = knows {
            sql.exec(
                "DELETE FROM stopped WHERE budget = ? AND session = ?",
                &[budget.as_str().into(), session.as_str().into()],
            )?;
        }
        sql.exec(
            "UPDATE stopped SET news = ? WHERE budget = ?",
            &[to_json(raise)?.into(), budget.as_str().into()],
        )
        .map(drop)
    })
}

/// Some of those who have to hear something.
///
/// # Errors
/// When the database fails.
pub(in crate::ledger) fn waiting(sql: &impl Sql, limit: u32) -> Result<Vec<Release>, SqlError> {
    let rows = sql.exec(
        "SELECT budget, session, news FROM stopped WHERE news IS NOT NULL ORDER BY budget, session LIMIT ?",
        &[limit.into()],
    )?;
    let release = |row: &Row| {
        Ok(Release {
            budget: parsed(text(row, 0)?)?,
            session: parsed(text(row, 1)?)?,
            raise: json(row, 2)?,
        })
    };
    rows.iter().map(release).collect()
}

/// They have heard it. What came up meanwhile stays.
///
/// # Errors
/// When the database fails.
pub(in crate::ledger) fn told(sql: &impl Sql, release: &Release) -> Result<(), SqlError> {
    sql.exec(
        "DELETE FROM stopped WHERE budget = ? AND session = ? AND news = ?",
        &[
            release.budget.as_str().into(),
            release.session.as_str().into(),
            to_json(&release.raise)?.into(),
        ],
    )
    .map(drop)
}

#[cfg(test)]
mod tests {
    use errand_protocol::money::Micros;

    use super::*;
    use crate::native_sql::NativeSql;

    fn raise(limit: u64) -> Raised {
        Raised {
            limit: Some(Micros(limit)),
            by: serde_json::from_str(r#"{"id":"usr_1","name":"Ada","email":"ada@example.com"}"#).unwrap(),
        }
    }

    #[test]
    fn who_was_stopped_hears_of_a_raise_once_unless_it_is_stopped_again() {
        let sql = NativeSql::new();
        crate::ledger::store::migrate(&sql).unwrap();
        let (one, two): (BudgetId, BudgetId) = ("bdg_1".parse().unwrap(), "bdg_2".parse().unwrap());
        let session = |name: &str| name.parse::<SessionId>().unwrap();
        for (budget, name) in [
            (&one, "ses_a"),
            (&one, "ses_b"),
            (&one, "ses_b"),
            (&one, "ses_c"),
            (&two, "ses_d"),
        ] {
            stop(&sql, budget, &session(name)).unwrap();
        }
        assert_eq!(waiting(&sql, 9).unwrap(), []);
        release(&sql, &one, &raise(5), Some(&session("ses_c"))).unwrap();
        let first = waiting(&sql, 9).unwrap();
        let names = |found: &[Release]| {
            found
                .iter()
                .map(|release| release.session.to_string())
                .collect::<Vec<_>>()
        };
        assert_eq!(
            names(&first),
            ["ses_a", "ses_b"],
            "the one that raised it knows, another budget was not raised"
        );
        assert_eq!(waiting(&sql, 1).unwrap().len(), 1);
        release(&sql, &one, &raise(6), None).unwrap();
        for release in &first {
            told(&sql, release).unwrap();
        }
        assert_eq!(
            waiting(&sql, 9).unwrap()[0].raise,
            raise(6),
            "what came up meanwhile is told too"
        );
        stop(&sql, &one, &session("ses_a")).unwrap();
        assert_eq!(names(&waiting(&sql, 9).unwrap()), ["ses_b"], "it is stopped again");
    }
}
