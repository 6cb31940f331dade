//! How often an API key may ask: a bucket per key that refills steadily. In memory only: an object that was evicted had
//! nothing to do for a while, and by then the buckets were full again.

use std::collections::BTreeMap;

use errand_protocol::ids::ApiKeyId;
use errand_protocol::time::Timestamp;
use serde::{Deserialize, Serialize};

/// Requests that a key may make at once.
pub(crate) const BURST: u32 = 300;
/// In this time an empty bucket is full again: so many requests per window in the long run.
pub(crate) const WINDOW_MS: i64 = 60_000;

/// `spend` → [`Allowance`]: a key makes one request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SpendCommand {
    /// Which.
    pub(crate) key: ApiKeyId,
}

/// What is left to a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Allowance {
    /// Whether this request may be made.
    pub(crate) granted: bool,
    /// How many more may follow at once.
    pub(crate) remaining: u32,
    /// In how many seconds the next one may be made, when this one may not; otherwise until the bucket is full.
    pub(crate) wait_seconds: u32,
}

/// The buckets of one person's keys.
#[derive(Debug, Default)]
pub(super) struct Buckets(BTreeMap<ApiKeyId, Bucket>);

/// Counted in milliseconds of refilling.
#[derive(Debug, Clone, Copy)]
struct Bucket {
    full_at: i64,
}

/// What one request costs.
const COST_MS: i64 = WINDOW_MS / BURST as i64;

impl Buckets {
    /// One request of this key, now.
    pub(super) fn spend(&mut self, key: &ApiKeyId, now: Timestamp) -> Allowance {
        let now = now.millis();
        self.0.retain(|_, bucket| bucket.full_at > now);
        let bucket = self.0.entry(key.clone()).or_insert(Bucket { full_at: now });
        let debt = bucket.full_at - now + COST_MS;
        let granted = debt <= WINDOW_MS;
        if granted {
            bucket.full_at += COST_MS;
        }
        let left = (WINDOW_MS - (bucket.full_at - now)) / COST_MS;
        let wait = if granted {
            bucket.full_at - now
        } else {
            debt - WINDOW_MS
        };
        Allowance {
            granted,
            remaining: u32::try_from(left).unwrap_or_default(),
            wait_seconds: u32::try_from((wait + 999) / 1000).unwrap_or_default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_millis(ms)
    }

    #[test]
    fn a_key_may_ask_so_often_at_once_and_then_as_the_bucket_refills() {
        let mut buckets = Buckets::default();
        let key = "key_1".parse().unwrap();
        for n in 1..=BURST {
            let allowance = buckets.spend(&key, at(0));
            assert!(allowance.granted);
            assert_eq!(allowance.remaining, BURST - n);
        }
        let refused = buckets.spend(&key, at(0));
        assert_eq!(
            (refused.granted, refused.remaining, refused.wait_seconds),
            (false, 0, 1)
        );
        assert!(
            !buckets.spend(&key, at(COST_MS - 1)).granted,
            "being refused costs nothing"
        );
        assert!(buckets.spend(&key, at(COST_MS)).granted);
        assert!(!buckets.spend(&key, at(COST_MS)).granted);
        assert!(
            buckets.spend(&"key_2".parse().unwrap(), at(COST_MS)).granted,
            "each key has its own"
        );
    }

    #[test]
    fn a_bucket_holds_no_more_than_it_holds_and_is_forgotten_when_it_is_full() {
        let mut buckets = Buckets::default();
        let key = "key_1".parse().unwrap();
        buckets.spend(&key, at(0));
        assert_eq!(buckets.spend(&key, at(100 * WINDOW_MS)).remaining, BURST - 1);
        buckets.spend(&"key_2".parse().unwrap(), at(300 * WINDOW_MS));
        assert_eq!(buckets.0.len(), 1);
    }
}
