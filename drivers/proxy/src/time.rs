//! The machine's time, for what leaves the machine with a date on it.

use std::time::{SystemTime, UNIX_EPOCH};

/// Seconds since 1970.
#[expect(
    clippy::disallowed_methods,
    reason = "a node outlives the control plane that keeps the region's clock, and trace ids and \
              cookies carry the date that clients see"
)]
pub(crate) fn epoch_seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |passed| passed.as_secs())
}
