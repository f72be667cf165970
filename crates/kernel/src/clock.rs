//! The region's clock over the machine's: it can be ahead, and it can stand still.

use std::sync::Mutex;
use std::time::Duration;

use base::{Clock, Timestamp};
use serde::{Deserialize, Serialize};

/// How the region's time relates to the machine's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Setting {
    /// How far the region is ahead, in milliseconds.
    pub ahead_ms: i64,
    /// Where it stands still, if it does.
    pub frozen_at: Option<Timestamp>,
}

/// The machine's clock, moved and stopped as the operator says.
#[derive(Debug, Default)]
pub struct RegionClock(Mutex<Setting>);

impl RegionClock {
    /// A clock with a setting that was kept.
    pub fn new(setting: Setting) -> Self {
        Self(Mutex::new(setting))
    }

    /// The setting, to be kept.
    pub fn setting(&self) -> Setting {
        self.0.lock().map(|setting| *setting).unwrap_or_default()
    }

    /// Moves the region forward.
    pub fn advance(&self, by: Duration) {
        let by_ms = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
        if let Ok(mut setting) = self.0.lock() {
            setting.ahead_ms = setting.ahead_ms.saturating_add(by_ms);
            setting.frozen_at = setting.frozen_at.map(|at| at + by);
        }
    }

    /// Stops the region's clock where it stands.
    pub fn freeze(&self) {
        let now = self.now();
        if let Ok(mut setting) = self.0.lock() {
            setting.frozen_at.get_or_insert(now);
        }
    }

    /// Lets the clock run on from where it stood.
    pub fn resume(&self) {
        if let Ok(mut setting) = self.0.lock()
            && let Some(at) = setting.frozen_at.take()
        {
            setting.ahead_ms = at.as_millis().saturating_sub(machine_now().as_millis());
        }
    }
}

impl Clock for RegionClock {
    fn now(&self) -> Timestamp {
        let setting = self.setting();
        let running =
            Timestamp::from_millis(machine_now().as_millis().saturating_add(setting.ahead_ms));
        setting.frozen_at.unwrap_or(running)
    }

    fn until(&self, at: Timestamp) -> Option<Duration> {
        let now = self.now();
        if at <= now {
            return Some(Duration::ZERO);
        }
        self.setting().frozen_at.is_none().then(|| at.since(now))
    }
}

/// The machine's time; the only place in the control plane that asks for it.
#[expect(clippy::disallowed_methods, reason = "this is the clock that everything else asks")]
fn machine_now() -> Timestamp {
    let since_epoch =
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_millis(i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frozen_clock_stands_and_resumes_where_it_stood() {
        let clock = RegionClock::default();
        clock.freeze();
        let stood = clock.now();
        clock.advance(Duration::from_secs(3600));
        assert_eq!(clock.now(), stood + Duration::from_secs(3600));
        assert_eq!(clock.until(stood + Duration::from_secs(3601)), None);
        clock.resume();
        assert!(clock.now().since(stood) < Duration::from_secs(3660));
        assert!(clock.until(stood + Duration::from_secs(7200)).is_some());
    }
}
