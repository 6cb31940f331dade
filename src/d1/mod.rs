//! The database of what spans sessions. One file per table family: row structs and one function per query. All SQL
//! of D1 stands here. Every query on rows of a tenant filters by its org.

pub mod api_keys;
pub mod audit;
pub mod auth_sessions;
pub mod git_credentials;
pub mod groups;
pub mod identities;
pub mod invitations;
pub mod members;
pub mod model_keys;
pub mod repositories;
pub mod secrets;
pub mod sessions;
pub mod settings;
pub mod users;

use errand_protocol::time::Timestamp;
use serde::{Deserialize, Deserializer};
use worker::{D1Result, D1Type};

/// A time or another integer beyond 32 bits: D1 binds those as REAL, and INTEGER affinity stores them as integers.
#[expect(clippy::cast_precision_loss, reason = "milliseconds and counters stay below 2^53")]
fn big(number: i64) -> D1Type<'static> {
    D1Type::Real(number as f64)
}

fn text_or_null(text: Option<&str>) -> D1Type<'_> {
    text.map_or(D1Type::Null, D1Type::Text)
}

fn when(at: Option<Timestamp>) -> D1Type<'static> {
    at.map_or(D1Type::Null, |at| big(at.millis()))
}

/// Whether every statement of a batch went well.
fn all_done(results: &[D1Result]) -> worker::Result<()> {
    match results.iter().find_map(D1Result::error) {
        Some(error) => Err(worker::Error::RustError(error)),
        None => Ok(()),
    }
}

/// A time as rows have it; for `deserialize_with`.
#[expect(clippy::cast_possible_truncation, reason = "milliseconds stay below 2^53")]
fn millis<'de, D: Deserializer<'de>>(row: D) -> Result<Timestamp, D::Error> {
    f64::deserialize(row).map(|ms| Timestamp::from_millis(ms as i64))
}

/// A time that need not be there.
#[expect(clippy::cast_possible_truncation, reason = "milliseconds stay below 2^53")]
fn maybe_millis<'de, D: Deserializer<'de>>(row: D) -> Result<Option<Timestamp>, D::Error> {
    Ok(Option::<f64>::deserialize(row)?.map(|ms| Timestamp::from_millis(ms as i64)))
}
