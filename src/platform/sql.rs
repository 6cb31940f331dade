//! The SQL port of `crates/session` over a Durable Object's SQLite.
//!
//! Rows are read by `raw()` (arrays, not objects); constraint errors are raised by `exec`, which is bound with
//! `catch`. A transaction is the platform's `transactionSync`: an error of the closure rolls everything back.

use std::cell::RefCell;

use errand_session::sql::{Row, Sql, SqlError, Value};
use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::wasm_bindgen;
use worker::wasm_bindgen::JsCast;
use worker::{SqlStorage, SqlStorageValue, Storage};

/// A Durable Object's embedded database.
pub struct DoSql {
    storage: Storage,
    sql: SqlStorage,
}

impl DoSql {
    /// Over the storage of this object.
    pub fn new(storage: Storage) -> Self {
        let sql = storage.sql();
        Self { storage, sql }
    }
}

impl std::fmt::Debug for DoSql {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("DoSql")
    }
}

impl Sql for DoSql {
    fn exec(&self, sql: &str, args: &[Value]) -> Result<Vec<Row>, SqlError> {
        let bound = args.iter().map(bind).collect::<Result<Vec<_>, _>>()?;
        let cursor = self.sql.exec(sql, bound).map_err(|e| database(&e))?;
        cursor
            .raw()
            .map(|row| read_row(row.map_err(|e| database(&e))?))
            .collect()
    }

    fn transaction<T, E: From<SqlError>>(&self, f: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
        let mut work = Some(f);
        let outcome: RefCell<Option<Result<T, E>>> = RefCell::new(None);
        let mut run = || {
            let Some(work) = work.take() else {
                return Err(JsValue::from_str("called twice"));
            };
            let result = work();
            let failed = result.is_err();
            outcome.replace(Some(result));
            if failed {
                Err(JsValue::from_str("rolled back"))
            } else {
                Ok(JsValue::UNDEFINED)
            }
        };
        let raw: &TransactionalStorage = self.storage.as_raw().unchecked_ref();
        let committed = raw.transaction_sync(&mut run);
        match (outcome.into_inner(), committed) {
            (Some(Err(error)), _) => Err(error),
            (Some(Ok(value)), Ok(_)) => Ok(value),
            (Some(Ok(_)) | None, Err(error)) => Err(database(&worker::Error::from(error)).into()),
            (None, Ok(_)) => Err(SqlError::Database("the transaction did not run".to_owned()).into()),
        }
    }
}

#[wasm_bindgen]
extern "C" {
    type TransactionalStorage;

    #[wasm_bindgen(method, catch, js_name = transactionSync)]
    fn transaction_sync(
        this: &TransactionalStorage,
        f: &mut dyn FnMut() -> Result<JsValue, JsValue>,
    ) -> Result<JsValue, JsValue>;
}

fn bind(value: &Value) -> Result<SqlStorageValue, SqlError> {
    Ok(match value {
        Value::Null => SqlStorageValue::Null,
        Value::Int(number) => SqlStorageValue::try_from_i64(*number).map_err(|e| database(&e))?,
        Value::Real(number) => SqlStorageValue::Float(*number),
        Value::Text(text) => SqlStorageValue::String(text.clone()),
    })
}

fn read_row(row: Vec<SqlStorageValue>) -> Result<Row, SqlError> {
    row.into_iter()
        .map(|value| match value {
            SqlStorageValue::Null => Ok(Value::Null),
            SqlStorageValue::Integer(number) => Ok(Value::Int(number)),
            SqlStorageValue::Float(number) => Ok(Value::Real(number)),
            SqlStorageValue::String(text) => Ok(Value::Text(text)),
            SqlStorageValue::Boolean(_) | SqlStorageValue::Blob(_) => Err(SqlError::Row(
                "a boolean or a blob where none is ever written".to_owned(),
            )),
        })
        .collect()
}

fn database(error: &worker::Error) -> SqlError {
    SqlError::Database(error.to_string())
}
