//! The wall clock. Timers use it too: after a suspended sandbox wakes up, everything that is overdue is due.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use errand_protocol::time::Timestamp;

/// Now.
pub fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

/// How long from `now` until `at`, both in milliseconds.
pub fn until(at: i64, now: i64) -> Duration {
    Duration::from_millis(u64::try_from(at.saturating_sub(now)).unwrap_or(0))
}
