//! The port to an embedded SQLite: implemented over the Durable Object's storage in the Worker and over rusqlite in
//! tests, so that every statement is tested natively.

use serde::de::DeserializeOwned;

/// A bound parameter or a column. Booleans are bound as 0/1, structures as JSON text; integers stay below 2^53.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// NULL.
    Null,
    /// INTEGER.
    Int(i64),
    /// REAL.
    Real(f64),
    /// TEXT.
    Text(String),
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}
impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}
impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Int(number)
    }
}
impl From<u32> for Value {
    fn from(number: u32) -> Self {
        Self::Int(number.into())
    }
}
impl<T: Into<Self>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

/// Why a statement failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SqlError {
    /// The database said no.
    #[error("database: {0}")]
    Database(String),
    /// A row is not what the code expects: a bug or a damaged database.
    #[error("unexpected row: {0}")]
    Row(String),
}

/// One result row, columns in the order of the SELECT.
pub type Row = Vec<Value>;

/// An embedded SQLite, synchronous.
pub trait Sql {
    /// Runs one statement with at most 100 parameters (`?`), and returns all its rows.
    ///
    /// # Errors
    /// When the database refuses it.
    fn exec(&self, sql: &str, args: &[Value]) -> Result<Vec<Row>, SqlError>;

    /// Runs `f` in one transaction: all of it is stored, or, when `f` fails, none.
    ///
    /// # Errors
    /// What `f` returns, or why the transaction could not be made.
    fn transaction<T, E: From<SqlError>>(&self, f: impl FnOnce() -> Result<T, E>) -> Result<T, E>;
}

/// The text in column `index`.
///
/// # Errors
/// [`SqlError::Row`] when it is not there or not text.
pub fn text(row: &Row, index: usize) -> Result<&str, SqlError> {
    match row.get(index) {
        Some(Value::Text(text)) => Ok(text),
        other => Err(SqlError::Row(format!("column {index}: wanted text, found {other:?}"))),
    }
}

/// The integer in column `index`.
///
/// # Errors
/// [`SqlError::Row`] when it is not there or not an integer.
pub fn int(row: &Row, index: usize) -> Result<i64, SqlError> {
    match row.get(index) {
        Some(Value::Int(number)) => Ok(*number),
        // Durable Object storage hands every number back as a double.
        #[expect(clippy::cast_possible_truncation, reason = "checked to be whole and below 2^53")]
        Some(Value::Real(number)) if number.fract() == 0.0 && number.abs() < 9_007_199_254_740_992.0 => {
            Ok(*number as i64)
        }
        other => Err(SqlError::Row(format!(
            "column {index}: wanted an integer, found {other:?}"
        ))),
    }
}

/// The JSON text in column `index`, read into `T`.
///
/// # Errors
/// [`SqlError::Row`] when it is not text or not a `T`.
pub fn json<T: DeserializeOwned>(row: &Row, index: usize) -> Result<T, SqlError> {
    serde_json::from_str(text(row, index)?).map_err(|e| SqlError::Row(format!("column {index}: {e}")))
}
