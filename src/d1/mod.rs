//! The database of what spans sessions. One file per table family: row structs and one function per query. All SQL
//! of D1 stands here. Every query on rows of a tenant filters by its org.

pub mod auth_sessions;
pub mod sessions;
pub mod users;

use worker::D1Type;

/// A time or another integer beyond 32 bits: D1 binds those as REAL, and INTEGER affinity stores them as integers.
#[expect(clippy::cast_precision_loss, reason = "milliseconds and counters stay below 2^53")]
fn big(number: i64) -> D1Type<'static> {
    D1Type::Real(number as f64)
}
