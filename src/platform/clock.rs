//! The clock. The only place that reads it.

use errand_protocol::time::Timestamp;

/// Now. Between two awaits of I/O the platform shows the same time.
pub fn now() -> Timestamp {
    Timestamp::from_millis(i64::try_from(worker::Date::now().as_millis()).unwrap_or(i64::MAX))
}
