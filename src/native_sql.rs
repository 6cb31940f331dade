//! A real SQLite for native tests of the stores.

use std::cell::RefCell;

use errand_session::sql::{Row, Sql, SqlError, Value};
use rusqlite::Connection;
use rusqlite::types::{ToSqlOutput, Value as Stored};

/// An in-memory database with the limits of Durable Objects.
pub(crate) struct NativeSql(RefCell<Connection>);

impl NativeSql {
    pub(crate) fn new() -> Self {
        Self(RefCell::new(Connection::open_in_memory().unwrap()))
    }
}

impl Sql for NativeSql {
    fn exec(&self, sql: &str, args: &[Value]) -> Result<Vec<Row>, SqlError> {
        assert!(args.len() <= 100, "Durable Objects bind at most 100 parameters");
        let failed = |e: rusqlite::Error| SqlError::Database(e.to_string());
        let connection = self.0.borrow();
        let mut statement = connection.prepare(sql).map_err(failed)?;
        let columns = statement.column_count();
        let bound = args.iter().map(|value| {
            ToSqlOutput::Owned(match value {
                Value::Null => Stored::Null,
                Value::Int(number) => Stored::Integer(*number),
                Value::Real(number) => Stored::Real(*number),
                Value::Text(text) => Stored::Text(text.clone()),
            })
        });
        let rows = statement
            .query_map(rusqlite::params_from_iter(bound), |row| {
                (0..columns).map(|n| row.get(n)).collect()
            })
            .map_err(failed)?;
        rows.map(|row| {
            let row: Vec<Stored> = row.map_err(failed)?;
            Ok(row.into_iter().map(value).collect())
        })
        .collect()
    }

    fn transaction<T, E: From<SqlError>>(&self, f: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
        self.exec("SAVEPOINT step", &[])?;
        let outcome = f();
        if outcome.is_err() {
            self.exec("ROLLBACK TO step", &[])?;
        }
        self.exec("RELEASE step", &[])?;
        outcome
    }
}

fn value(stored: Stored) -> Value {
    match stored {
        Stored::Null => Value::Null,
        Stored::Integer(number) => Value::Int(number),
        Stored::Real(number) => Value::Real(number),
        Stored::Text(text) => Value::Text(text),
        Stored::Blob(_) => panic!("no blobs here"),
    }
}
