//! The clock. The only place that reads it.

use errand_protocol::time::Timestamp;

/// Now. Between two awaits of I/O the platform shows the same time.
pub fn now() -> Timestamp {
    // Not `worker::Date::now()`, which makes an object each time.
    #[expect(clippy::cast_possible_truncation, reason = "milliseconds since 1970 as a double")]
    Timestamp::from_millis(worker::js_sys::Date::now() as i64)
}
