//! Points in time and the forms AWS's protocols write them in.

use std::fmt;
use std::ops::{Add, Sub};
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

const DAY_MS: i64 = 86_400_000;

/// A point in time: milliseconds since 1970-01-01T00:00:00Z.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Timestamp(i64);

/// The text is not a time in ISO 8601, RFC 7231 or epoch-seconds form.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a timestamp: {0}")]
pub struct ParseTimestampError(pub String);

/// The parts of a point in time, UTC.
struct Civil {
    year: i64,
    month: i64,
    day: i64,
    hour: i64,
    minute: i64,
    second: i64,
    milli: i64,
}

impl Timestamp {
    /// From milliseconds since the epoch.
    pub const fn from_millis(ms: i64) -> Self {
        Self(ms)
    }

    /// From seconds since the epoch.
    pub const fn from_secs(secs: i64) -> Self {
        Self(secs.saturating_mul(1000))
    }

    /// Milliseconds since the epoch.
    pub const fn as_millis(self) -> i64 {
        self.0
    }

    /// Whole seconds since the epoch, rounded down.
    pub const fn as_secs(self) -> i64 {
        self.0.div_euclid(1000)
    }

    /// Seconds since the epoch with their fraction, as JSON protocols write them.
    pub fn as_secs_f64(self) -> f64 {
        Duration::from_millis(self.0.unsigned_abs()).as_secs_f64().copysign(if self.0 < 0 {
            -1.0
        } else {
            1.0
        })
    }

    /// How long from `earlier` to here; zero when `earlier` is later.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// `2026-11-20T11:14:00Z`.
    pub fn iso8601_seconds(self) -> String {
        let c = self.civil();
        format!(
            "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z",
            c.year, c.month, c.day, c.hour, c.minute, c.second
        )
    }

    /// `20261120T111400Z`, the form that signatures use.
    pub fn iso8601_basic(self) -> String {
        let c = self.civil();
        format!(
            "{:04}{:02}{:02}T{:02}{:02}{:02}Z",
            c.year, c.month, c.day, c.hour, c.minute, c.second
        )
    }

    /// `Fri, 20 Nov 2026 11:14:00 GMT`, the form of HTTP headers.
    pub fn http_date(self) -> String {
        const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
        let c = self.civil();
        let weekday = usize::try_from(self.0.div_euclid(DAY_MS).rem_euclid(7)).unwrap_or(0);
        let month = usize::try_from(c.month - 1).unwrap_or(0);
        format!(
            "{}, {:02} {} {:04} {:02}:{:02}:{:02} GMT",
            DAYS.get(weekday).unwrap_or(&"Thu"),
            c.day,
            MONTHS.get(month).unwrap_or(&"Jan"),
            c.year,
            c.hour,
            c.minute,
            c.second
        )
    }

    fn civil(self) -> Civil {
        // Days to a date after Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms".
        let (days, ms) = (self.0.div_euclid(DAY_MS), self.0.rem_euclid(DAY_MS));
        let z = days + 719_468;
        let era = z.div_euclid(146_097);
        let doe = z.rem_euclid(146_097);
        let yoe = (doe - doe / 1460 + doe / 36_524 - doe / 146_096) / 365;
        let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
        let mp = (5 * doy + 2) / 153;
        let month = if mp < 10 { mp + 3 } else { mp - 9 };
        Civil {
            year: yoe + era * 400 + i64::from(month <= 2),
            month,
            day: doy - (153 * mp + 2) / 5 + 1,
            hour: ms / 3_600_000,
            minute: ms / 60_000 % 60,
            second: ms / 1000 % 60,
            milli: ms % 1000,
        }
    }

    fn from_civil(c: &Civil) -> Option<Self> {
        let in_range = (1..=12).contains(&c.month)
            && (1..=31).contains(&c.day)
            && (0..24).contains(&c.hour)
            && (0..60).contains(&c.minute)
            && (0..=60).contains(&c.second)
            && (0..=9999).contains(&c.year);
        if !in_range {
            return None;
        }
        let y = if c.month <= 2 { c.year - 1 } else { c.year };
        let era = y.div_euclid(400);
        let yoe = y.rem_euclid(400);
        let mp = if c.month > 2 { c.month - 3 } else { c.month + 9 };
        let doy = (153 * mp + 2) / 5 + c.day - 1;
        let doe = yoe * 365 + yoe / 4 - yoe / 100 + doy;
        let days = era * 146_097 + doe - 719_468;
        let secs = days * 86_400 + c.hour * 3600 + c.minute * 60 + c.second;
        Some(Self(secs * 1000 + c.milli))
    }
}

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// Takes `width` digits off the front of `text`.
fn digits(text: &mut &str, width: usize) -> Option<i64> {
    let (head, tail) = (text.get(..width)?, text.get(width..)?);
    let value = head.bytes().all(|b| b.is_ascii_digit()).then(|| head.parse().ok())??;
    *text = tail;
    Some(value)
}

fn skip(text: &mut &str, prefix: &str) -> Option<()> {
    *text = text.strip_prefix(prefix)?;
    Some(())
}

fn parse_iso8601(mut text: &str) -> Option<Timestamp> {
    let rest = &mut text;
    let basic = rest.as_bytes().get(4) != Some(&b'-');
    let sep = |rest: &mut &str, s| if basic { Some(()) } else { skip(rest, s) };
    let year = digits(rest, 4)?;
    sep(rest, "-")?;
    let month = digits(rest, 2)?;
    sep(rest, "-")?;
    let day = digits(rest, 2)?;
    let mut c = Civil { year, month, day, hour: 0, minute: 0, second: 0, milli: 0 };
    if rest.is_empty() {
        return Timestamp::from_civil(&c);
    }
    skip(rest, "T")?;
    c.hour = digits(rest, 2)?;
    sep(rest, ":")?;
    c.minute = digits(rest, 2)?;
    if rest.as_bytes().first().is_some_and(|b| *b == b':' || b.is_ascii_digit()) {
        sep(rest, ":")?;
        c.second = digits(rest, 2)?;
    }
    if skip(rest, ".").is_some() {
        let end = rest.find(|ch: char| !ch.is_ascii_digit()).unwrap_or(rest.len());
        let fraction = rest.get(..end.min(3))?;
        c.milli = format!("{fraction:0<3}").parse().ok()?;
        *rest = rest.get(end..)?;
    }
    let offset_minutes = match rest.as_bytes().first() {
        None => 0,
        Some(b'Z' | b'z') if rest.len() == 1 => 0,
        Some(sign @ (b'+' | b'-')) => {
            let sign = if *sign == b'-' { -1 } else { 1 };
            *rest = rest.get(1..)?;
            let hours = digits(rest, 2)?;
            let _ = skip(rest, ":");
            let minutes = digits(rest, 2)?;
            if !rest.is_empty() {
                return None;
            }
            sign * (hours * 60 + minutes)
        }
        Some(_) => return None,
    };
    Some(Timestamp(Timestamp::from_civil(&c)?.0 - offset_minutes * 60_000))
}

fn parse_http_date(text: &str) -> Option<Timestamp> {
    let mut rest = text.split_once(", ")?.1;
    let rest = &mut rest;
    let day = digits(rest, 2)?;
    skip(rest, " ")?;
    let name = rest.get(..3)?;
    let month = i64::try_from(MONTHS.iter().position(|m| *m == name)?).ok()? + 1;
    *rest = rest.get(3..)?;
    skip(rest, " ")?;
    let year = digits(rest, 4)?;
    skip(rest, " ")?;
    let hour = digits(rest, 2)?;
    skip(rest, ":")?;
    let minute = digits(rest, 2)?;
    skip(rest, ":")?;
    let second = digits(rest, 2)?;
    (*rest == " GMT").then_some(())?;
    Timestamp::from_civil(&Civil { year, month, day, hour, minute, second, milli: 0 })
}

impl fmt::Display for Timestamp {
    /// `2026-11-20T11:14:00.000Z`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let c = self.civil();
        write!(
            f,
            "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z",
            c.year, c.month, c.day, c.hour, c.minute, c.second, c.milli
        )
    }
}

impl FromStr for Timestamp {
    type Err = ParseTimestampError;

    /// Reads ISO 8601 (extended or basic, any offset), RFC 7231 dates and epoch seconds.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let refuse = || ParseTimestampError(text.to_owned());
        let is_iso = text.contains('T') && text.as_bytes().first().is_some_and(u8::is_ascii_digit)
            || text.len() == 10 && text.as_bytes().get(4) == Some(&b'-');
        if is_iso {
            return parse_iso8601(text).ok_or_else(refuse);
        }
        if text.contains(", ") {
            return parse_http_date(text).ok_or_else(refuse);
        }
        let secs: f64 = text.parse().map_err(|_| refuse())?;
        let ms = (secs * 1000.0).round();
        if !(-9.2e15..9.2e15).contains(&ms) {
            return Err(refuse());
        }
        #[expect(clippy::cast_possible_truncation, reason = "the range was checked")]
        Ok(Self(ms as i64))
    }
}

impl Add<Duration> for Timestamp {
    type Output = Self;

    fn add(self, by: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(by.as_millis()).unwrap_or(i64::MAX)))
    }
}

impl Sub<Duration> for Timestamp {
    type Output = Self;

    fn sub(self, by: Duration) -> Self {
        Self(self.0.saturating_sub(i64::try_from(by.as_millis()).unwrap_or(i64::MAX)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_reads_back() {
        let at = Timestamp::from_millis(1_795_173_240_125);
        assert_eq!(at.to_string(), "2026-11-20T11:14:00.125Z");
        assert_eq!(at.iso8601_basic(), "20261120T111400Z");
        assert_eq!(at.http_date(), "Fri, 20 Nov 2026 11:14:00 GMT");
        let whole = Timestamp::from_secs(at.as_secs());
        for (text, want) in [
            (at.to_string(), at),
            (at.iso8601_seconds(), whole),
            (at.iso8601_basic(), whole),
            (at.http_date(), whole),
            ("1795173240.125".to_owned(), at),
            ("2026-11-20T20:14:00.125+09:00".to_owned(), at),
        ] {
            assert_eq!(text.parse(), Ok(want), "{text}");
        }
    }

    #[test]
    fn nonsense_is_refused() {
        for text in ["", "now", "2026-13-01T00:00:00Z", "2026-11-20T11:14:00X", "1e300"] {
            assert!(text.parse::<Timestamp>().is_err(), "{text}");
        }
    }

    #[test]
    fn leap_days_and_old_dates_hold() {
        for text in
            ["2024-02-29T23:59:59.000Z", "1969-12-31T23:59:59.999Z", "0001-01-01T00:00:00.000Z"]
        {
            assert_eq!(text.parse::<Timestamp>().unwrap().to_string(), text);
        }
    }
}
