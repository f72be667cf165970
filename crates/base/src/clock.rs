//! The region's clock: everything that waits, expires or bills asks it.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use crate::Timestamp;

/// Tells the region's time. It may be ahead of the machine's, or frozen.
pub trait Clock: Send + Sync + 'static {
    /// The region's time now.
    fn now(&self) -> Timestamp;

    /// How long, in machine time, until the region's clock shows `at` if nobody moves it; nothing
    /// when the clock is frozen.
    fn until(&self, at: Timestamp) -> Option<Duration>;
}

/// A clock that moves only when told to.
#[derive(Debug)]
pub struct ManualClock(AtomicI64);

impl ManualClock {
    /// A clock that shows `at`.
    pub fn new(at: Timestamp) -> Self {
        Self(AtomicI64::new(at.as_millis()))
    }

    /// Moves the clock forward.
    pub fn advance(&self, by: Duration) {
        let by_ms = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
        self.0.fetch_add(by_ms, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0.load(Ordering::SeqCst))
    }

    fn until(&self, at: Timestamp) -> Option<Duration> {
        (at <= self.now()).then_some(Duration::ZERO)
    }
}
