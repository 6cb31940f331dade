//! An in-memory SQLite behind the machine's SQL port, stricter than the real one where that finds mistakes.

use std::cell::Cell;

use errand_session::sql::{Row, Sql, SqlError, Value};
use rusqlite::types::Value as Lite;
use rusqlite::{Connection, params_from_iter};

pub(crate) struct Db {
    connection: Connection,
    in_transaction: Cell<bool>,
    /// Statements until one fails.
    fuse: Cell<Option<u32>>,
    /// Statements that wrote rows.
    pub(crate) writes: Cell<u32>,
}

impl Db {
    pub(crate) fn new() -> Self {
        Self {
            connection: Connection::open_in_memory().unwrap(),
            in_transaction: Cell::new(false),
            fuse: Cell::new(None),
            writes: Cell::new(0),
        }
    }

    /// The statement after `statements` more ones fails, once.
    pub(crate) fn fail_after(&self, statements: u32) {
        self.fuse.set(Some(statements));
    }

    pub(crate) fn texts(&self, sql: &str) -> Vec<String> {
        let rows = self.exec(sql, &[]).unwrap();
        rows.iter()
            .map(|row| errand_session::sql::text(row, 0).unwrap().to_owned())
            .collect()
    }

    pub(crate) fn count(&self, sql: &str) -> i64 {
        errand_session::sql::int(&self.exec(sql, &[]).unwrap()[0], 0).unwrap()
    }

    /// The machine's own state, as stored.
    pub(crate) fn core(&self) -> serde_json::Value {
        serde_json::from_str(&self.texts("SELECT body FROM core")[0]).unwrap()
    }
}

fn to_lite(value: &Value) -> Lite {
    match value {
        Value::Null => Lite::Null,
        Value::Int(number) => {
            assert!(number.abs() < 1 << 53, "integers stay below 2^53");
            Lite::Integer(*number)
        }
        Value::Real(number) => Lite::Real(*number),
        Value::Text(text) => {
            assert!(text.len() < 2_000_000, "a row of a Durable Object holds 2 MB");
            Lite::Text(text.clone())
        }
    }
}

fn from_lite(value: Lite) -> Value {
    match value {
        Lite::Null => Value::Null,
        // As Durable Object storage does: every number comes back as a double.
        #[expect(clippy::cast_precision_loss, reason = "below 2^53")]
        Lite::Integer(number) => Value::Real(number as f64),
        Lite::Real(number) => Value::Real(number),
        Lite::Text(text) => Value::Text(text),
        Lite::Blob(_) => panic!("no blobs are stored"),
    }
}

fn refused(error: &rusqlite::Error) -> SqlError {
    SqlError::Database(error.to_string())
}

impl Sql for Db {
    fn exec(&self, sql: &str, args: &[Value]) -> Result<Vec<Row>, SqlError> {
        assert!(args.len() <= 100, "a Durable Object takes 100 parameters at most");
        if let Some(left) = self.fuse.get() {
            self.fuse.set(left.checked_sub(1));
            if left == 0 {
                return Err(SqlError::Database("disk full".to_owned()));
            }
        }
        if sql.starts_with("INSERT") {
            self.writes.set(self.writes.get() + 1);
        }
        let mut statement = self.connection.prepare_cached(sql).map_err(|e| refused(&e))?;
        let columns = statement.column_count();
        let mut rows = statement
            .query(params_from_iter(args.iter().map(to_lite)))
            .map_err(|e| refused(&e))?;
        let mut all = Vec::new();
        while let Some(row) = rows.next().map_err(|e| refused(&e))? {
            let columns = (0..columns).map(|at| from_lite(row.get(at).unwrap()));
            all.push(columns.collect());
        }
        Ok(all)
    }

    fn transaction<T, E: From<SqlError>>(&self, f: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
        assert!(!self.in_transaction.replace(true), "transactions do not nest");
        self.connection.execute_batch("BEGIN").map_err(|e| refused(&e))?;
        let result = f();
        let end = if result.is_ok() { "COMMIT" } else { "ROLLBACK" };
        self.in_transaction.set(false);
        self.connection.execute_batch(end).map_err(|e| refused(&e))?;
        result
    }
}
