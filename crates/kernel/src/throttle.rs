//! Token buckets per account and operation.
//!
//! AWS: "Request throttling for the Amazon EC2 API".

use std::collections::HashMap;
use std::sync::Mutex;

use base::{AccountId, Timestamp};

/// The bucket of one operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    /// How many calls may come at once.
    pub burst: u32,
    /// How many tokens come back in a second.
    pub refill_per_sec: u32,
}

/// The most buckets that are remembered; full ones are forgotten first, as they say nothing.
const BUCKETS_MAX: usize = 10_000;

type BucketKey = (AccountId, &'static str, &'static str);

/// The fill of every bucket that is in use.
#[derive(Default)]
pub(crate) struct Throttle(Mutex<HashMap<BucketKey, Bucket>>);

struct Bucket {
    milli_tokens: u64,
    at: Timestamp,
}

impl Throttle {
    /// Takes a token; false when there is none.
    pub(crate) fn take(&self, key: BucketKey, limit: Limit, now: Timestamp) -> bool {
        let full = u64::from(limit.burst) * 1000;
        let Ok(mut buckets) = self.0.lock() else { return true };
        if buckets.len() >= BUCKETS_MAX {
            buckets.retain(|_, bucket| now.since(bucket.at).as_secs() < 60);
        }
        let bucket = buckets.entry(key).or_insert(Bucket { milli_tokens: full, at: now });
        let passed_ms = u64::try_from(now.since(bucket.at).as_millis()).unwrap_or(u64::MAX);
        let back = passed_ms.saturating_mul(u64::from(limit.refill_per_sec));
        bucket.milli_tokens = bucket.milli_tokens.saturating_add(back).min(full);
        bucket.at = now;
        match bucket.milli_tokens.checked_sub(1000) {
            Some(left) => {
                bucket.milli_tokens = left;
                true
            }
            None => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_bucket_empties_and_refills() {
        let throttle = Throttle::default();
        let limit = Limit { burst: 2, refill_per_sec: 1 };
        let account: AccountId = "123456789012".parse().unwrap();
        let now = Timestamp::from_secs(1000);
        let take = |at| throttle.take((account.clone(), "ec2", "RunInstances"), limit, at);
        assert!(take(now) && take(now));
        assert!(!take(now));
        assert!(take(now + Duration::from_secs(1)));
        assert!(!take(now + Duration::from_millis(1500)));
    }
}
