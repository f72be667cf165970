//! The windows for backups (daily) and maintenance (weekly). Pure.

use base::Timestamp;

const DAY_SECS: i64 = 86_400;
const DAYS: [&str; 7] = ["thu", "fri", "sat", "sun", "mon", "tue", "wed"];

/// Minutes since the start of the day (or of the week from Thursday, when the epoch began).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Window {
    start: i64,
    length: i64,
    period: i64,
}

/// The shortest window in minutes.
///
/// AWS: CreateDBInstance, `PreferredBackupWindow`.
const LENGTH_MIN: i64 = 30;

fn clock(text: &str) -> Option<i64> {
    let (hours, minutes) = text.split_once(':')?;
    let two = |text: &str| (text.len() == 2).then(|| text.parse::<i64>().ok()).flatten();
    let (hours, minutes) = (two(hours)?, two(minutes)?);
    ((0..24).contains(&hours) && (0..60).contains(&minutes)).then_some(hours * 60 + minutes)
}

fn day_and_clock(text: &str) -> Option<i64> {
    let (day, time) = text.split_once(':')?;
    let day = DAYS.iter().position(|name| name.eq_ignore_ascii_case(day))?;
    Some(i64::try_from(day).ok()? * 24 * 60 + clock(time)?)
}

fn window(text: &str, period: i64, point: fn(&str) -> Option<i64>) -> Option<Window> {
    let (from, to) = text.split_once('-')?;
    let start = point(from)?;
    let length = (point(to)? - start).rem_euclid(period);
    (length >= LENGTH_MIN).then_some(Window { start, length, period })
}

/// A daily window, `hh24:mi-hh24:mi` in UTC.
pub(crate) fn daily(text: &str) -> Option<Window> {
    window(text, 24 * 60, clock)
}

/// A weekly window, `ddd:hh24:mi-ddd:hh24:mi` in UTC.
pub(crate) fn weekly(text: &str) -> Option<Window> {
    window(text, 7 * 24 * 60, day_and_clock)
}

impl Window {
    /// The next start after `now`.
    pub(crate) fn next_start(self, now: Timestamp) -> Timestamp {
        let period = self.period * 60;
        let in_period = (now.as_secs() - self.start * 60).rem_euclid(period);
        Timestamp::from_secs(now.as_secs() + period - in_period)
    }

    /// Whether a daily window and a weekly one have a minute in common.
    pub(crate) fn meets(self, weekly: Self) -> bool {
        (0..7).any(|day| {
            let start = day * 24 * 60 + self.start;
            let ahead = (start - weekly.start).rem_euclid(weekly.period);
            ahead < weekly.length || weekly.period - ahead < self.length
        })
    }
}

/// The windows that an instance gets that names none: `slot` chooses within the night of Seoul.
///
/// AWS: "Backup window", the blocks of time for each Region.
pub(crate) fn defaults(slot: u64) -> (String, String) {
    let slot = i64::try_from(slot % 8).unwrap_or_default();
    let backup = 13 + slot / 2;
    let maintenance = 18 + slot % 3;
    let day = DAYS.get(usize::try_from(slot % 7).unwrap_or_default()).copied().unwrap_or("sun");
    (
        format!("{backup:02}:00-{backup:02}:30"),
        format!("{day}:{maintenance:02}:00-{day}:{maintenance:02}:30"),
    )
}

/// The day of `at` as it stands in the name of an automated snapshot: `2026-11-20-13-00`.
pub(crate) fn stamp(at: Timestamp) -> String {
    at.iso8601_seconds().get(..16).unwrap_or_default().replace(['T', ':'], "-")
}

/// `days` before `now`.
pub(crate) fn days_before(now: Timestamp, days: i32) -> Timestamp {
    Timestamp::from_secs(now.as_secs() - i64::from(days) * DAY_SECS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_are_read_and_their_next_start_is_found() {
        // Thursday, 1 January 1970, noon.
        let now = Timestamp::from_secs(DAY_SECS / 2);
        let at = |window: Window| window.next_start(now).as_secs() - DAY_SECS / 2;
        assert_eq!(at(daily("13:00-13:30").unwrap()), 3600);
        assert_eq!(at(daily("12:00-13:30").unwrap()), DAY_SECS);
        assert_eq!(at(weekly("fri:12:00-fri:12:30").unwrap()), DAY_SECS);
        assert_eq!(at(weekly("wed:12:00-wed:12:30").unwrap()), 6 * DAY_SECS);
        assert!(daily("13:00-13:29").is_none() && daily("25:00-26:00").is_none());
        assert!(daily("23:45-00:15").is_some());
        assert!(weekly("xyz:13:00-xyz:14:00").is_none());
        assert!(daily("13:00-14:00").unwrap().meets(weekly("sun:13:30-sun:14:30").unwrap()));
        assert!(!daily("13:00-13:30").unwrap().meets(weekly("sun:13:30-sun:14:30").unwrap()));
    }
}
