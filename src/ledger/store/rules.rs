//! What people set: budgets and prices.

use errand_protocol::ids::BudgetId;
use errand_protocol::money::{Budget, Price};
use errand_session::sql::{Sql, SqlError, json};

use super::to_json;

/// All budgets, oldest first.
///
/// # Errors
/// When the database fails.
pub(in crate::ledger) fn budgets(sql: &impl Sql) -> Result<Vec<Budget>, SqlError> {
    let rows = sql.exec("SELECT budget FROM budgets ORDER BY place", &[])?;
    rows.iter().map(|row| json(row, 0)).collect()
}

/// Stores a budget, or its new state.
///
/// # Errors
/// When the database fails.
pub(in crate::ledger) fn put_budget(sql: &impl Sql, budget: &Budget) -> Result<(), SqlError> {
    sql.exec(
        "INSERT INTO budgets (id, place, budget) VALUES (?, (SELECT coalesce(max(place), 0) + 1 FROM budgets), ?)
         ON CONFLICT (id) DO UPDATE SET budget = excluded.budget",
        &[budget.id.as_str().into(), to_json(budget)?.into()],
    )
    .map(drop)
}

/// Removes a budget. Fine when there is none.
///
/// # Errors
/// When the database fails.
pub(in crate::ledger) fn remove_budget(sql: &impl Sql, id: &BudgetId) -> Result<(), SqlError> {
    sql.exec("DELETE FROM budgets WHERE id = ?", &[id.as_str().into()])
        .map(drop)
}

/// The org's own prices.
///
/// # Errors
/// When the database fails.
pub(in crate::ledger) fn prices(sql: &impl Sql) -> Result<Vec<Price>, SqlError> {
    let rows = sql.exec("SELECT price FROM prices ORDER BY model, since", &[])?;
    rows.iter().map(|row| json(row, 0)).collect()
}

/// These prices instead of those that were set; of two for one model and moment the later in the list.
///
/// # Errors
/// When the database fails.
pub(in crate::ledger) fn set_prices(sql: &impl Sql, prices: &[Price]) -> Result<(), SqlError> {
    sql.transaction(|| {
        sql.exec("DELETE FROM prices", &[])?;
        for price in prices {
            sql.exec(
                "INSERT OR REPLACE INTO prices (model, since, price) VALUES (?, ?, ?)",
                &[
                    price.model.as_str().into(),
                    price.from.millis().into(),
                    to_json(price)?.into(),
                ],
            )?;
        }
        Ok(())
    })
}
