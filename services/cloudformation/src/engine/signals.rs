//! Waiting for the signals that a `CreationPolicy` asks for.
//!
//! AWS: "CreationPolicy attribute".

use std::collections::BTreeSet;
use std::time::Duration;

use base::Timestamp;
use serde_json::Value;

use super::drive::Failure;
use super::{LOOK, Operator};
use crate::event;
use crate::store::{SIGNALS, Signal, StackResource};

/// What a resource waits for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Wanted {
    count: usize,
    timeout: Duration,
    /// Of a group, the share that must report success.
    percent_min: Option<usize>,
}

/// AWS: "CreationPolicy attribute", Timeout.
const TIMEOUT_DEFAULT: Duration = Duration::from_secs(5 * 60);
const TIMEOUT_MAX: Duration = Duration::from_secs(12 * 3600);

/// Reads an evaluated `CreationPolicy`; nothing when it asks for no signal.
///
/// # Errors
///
/// What is wrong with it.
pub(super) fn wanted(policy: &Value) -> Result<Option<Wanted>, String> {
    let members = policy.as_object().ok_or("CreationPolicy must be an object")?;
    let known = ["ResourceSignal", "AutoScalingCreationPolicy"];
    if let Some(other) = members.keys().find(|key| !known.contains(&key.as_str())) {
        return Err(format!("CreationPolicy has no member {other}"));
    }
    let Some(signal) = members.get("ResourceSignal") else {
        return Ok(None);
    };
    let count = match signal.get("Count") {
        None => 1,
        Some(value) => number(value)
            .and_then(|count| usize::try_from(count).ok())
            .ok_or("CreationPolicy ResourceSignal Count must be a number")?,
    };
    let timeout = match signal.get("Timeout") {
        None => TIMEOUT_DEFAULT,
        Some(value) => value
            .as_str()
            .and_then(duration)
            .filter(|timeout| *timeout <= TIMEOUT_MAX)
            .ok_or("CreationPolicy ResourceSignal Timeout must be an ISO 8601 duration of at most 12 hours")?,
    };
    let percent = policy.pointer("/AutoScalingCreationPolicy/MinSuccessfulInstancesPercent");
    let percent_min = percent.and_then(number).and_then(|p| usize::try_from(p).ok());
    Ok(Some(Wanted { count, timeout, percent_min }))
}

/// A number, or a text that is one.
pub(super) fn number(value: &Value) -> Option<u64> {
    value.as_str().map_or_else(|| value.as_u64(), |text| text.parse().ok())
}

/// An ISO 8601 duration of hours, minutes and seconds, as `PT1H30M`.
pub(super) fn duration(text: &str) -> Option<Duration> {
    let mut rest = text.strip_prefix("PT").filter(|rest| !rest.is_empty())?;
    let mut seconds = 0_u64;
    for (unit, length) in [('H', 3600), ('M', 60), ('S', 1)] {
        if let Some((number, after)) = rest.split_once(unit) {
            seconds = seconds.checked_add(number.parse::<u64>().ok()?.checked_mul(length)?)?;
            rest = after;
        }
    }
    rest.is_empty().then(|| Duration::from_secs(seconds))
}

impl Wanted {
    /// Whether it is decided: success, or the reason of a failure.
    fn verdict(
        &self,
        signals: &[Signal],
        since: Timestamp,
        now: Timestamp,
    ) -> Option<Result<(), String>> {
        let successes = signals.iter().filter(|signal| signal.success).count();
        let failures: Vec<&Signal> = signals.iter().filter(|signal| !signal.success).collect();
        let percent = self.percent_min.unwrap_or(100).min(100);
        let needed = (self.count * percent).div_ceil(100);
        if successes >= needed {
            return Some(Ok(()));
        }
        if failures.len() + needed > self.count {
            return Some(Err(match (self.count, failures.first()) {
                (1, Some(only)) => {
                    format!("Received FAILURE signal with UniqueId {}", only.unique_id)
                }
                _ => format!(
                    "Received {} FAILURE signal(s) out of {}. Unable to satisfy {percent}% MinSuccessfulInstancesPercent requirement",
                    failures.len(),
                    self.count
                ),
            }));
        }
        if now >= since + self.timeout {
            return Some(Err(if successes + failures.len() == 0 {
                format!(
                    "Failed to receive {} resource signal(s) within the specified duration",
                    self.count
                )
            } else {
                format!(
                    "Failed to receive {} resource signal(s) for the current batch. Each resource signal timeout is counted as a FAILURE.",
                    needed - successes
                )
            }));
        }
        None
    }
}

impl Operator {
    /// Waits until the signals of `row` decide; gives the reason of a failure.
    pub(super) async fn await_signals(
        &self,
        row: &StackResource,
        wanted: Wanted,
    ) -> Result<Result<(), String>, Failure> {
        let mut told = BTreeSet::new();
        loop {
            let token = row.current.token.clone();
            let read = self.store.read(|tx| tx.scan(&SIGNALS, (token,))).await;
            let signals: Vec<Signal> = read.map_err(|error| Failure::Halt(error.into()))?;
            for signal in &signals {
                if told.insert(signal.unique_id.clone()) {
                    self.tell_signal(row, signal).await?;
                }
            }
            if let Some(verdict) = wanted.verdict(&signals, row.updated, self.now()) {
                return Ok(verdict);
            }
            tokio::select! {
                () = tokio::time::sleep(LOOK / 4) => {}
                () = self.stop.cancelled() => return Err(Failure::Stopped),
            }
        }
    }

    async fn tell_signal(&self, row: &StackResource, signal: &Signal) -> Result<(), Failure> {
        let word = if signal.success { "SUCCESS" } else { "FAILURE" };
        let reason = format!("Received {word} signal with UniqueId {}", signal.unique_id);
        let event = self
            .event(&row.logical_id, &row.kind, row.status, Some(reason))
            .physical(row.current.physical_id.clone());
        self.write(|tx, _| event::append(tx, &event)).await.map_err(Failure::Halt)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn durations_are_iso_8601() {
        for (text, seconds) in [
            ("PT15M", Some(900)),
            ("PT1H30M5S", Some(5405)),
            ("PT0S", Some(0)),
            ("PT", None),
            ("15M", None),
            ("PT15", None),
            ("P1D", None),
        ] {
            assert_eq!(duration(text), seconds.map(Duration::from_secs), "{text}");
        }
    }

    #[test]
    fn policies_are_read() {
        let policy = json!({"ResourceSignal": {"Count": "2", "Timeout": "PT1M"}});
        let found = wanted(&policy).unwrap().unwrap();
        assert_eq!((found.count, found.timeout), (2, Duration::from_secs(60)));
        assert_eq!(wanted(&json!({})), Ok(None));
        assert!(wanted(&json!({"StartFleet": {}})).is_err());
        assert!(wanted(&json!({"ResourceSignal": {"Timeout": "PT13H"}})).is_err());
    }

    #[test]
    fn signals_decide() {
        let signal =
            |id: &str, success| Signal { token: String::new(), unique_id: id.to_owned(), success };
        let two = Wanted { count: 2, timeout: Duration::from_secs(60), percent_min: None };
        let (start, later) = (Timestamp::from_secs(0), Timestamp::from_secs(60));
        let good = [signal("a", true), signal("b", true)];
        assert_eq!(two.verdict(&good[..1], start, start), None);
        assert_eq!(two.verdict(&good, start, start), Some(Ok(())));
        let bad = two.verdict(&[signal("a", false)], start, start).unwrap().unwrap_err();
        assert!(bad.starts_with("Received 1 FAILURE signal(s) out of 2."), "{bad}");
        let late = two.verdict(&[], start, later).unwrap().unwrap_err();
        assert_eq!(late, "Failed to receive 2 resource signal(s) within the specified duration");
        let half = Wanted { percent_min: Some(50), ..two };
        assert_eq!(
            half.verdict(&[signal("a", false), signal("b", true)], start, start),
            Some(Ok(()))
        );
    }
}
