//! The weekly maintenance window. Pure.

const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

/// The shortest window in minutes.
///
/// AWS: CreateReplicationGroup, `PreferredMaintenanceWindow`.
const LENGTH_MIN: i64 = 60;

const WEEK: i64 = 7 * 24 * 60;

fn point(text: &str) -> Option<i64> {
    let (day, time) = text.split_once(':')?;
    let day = DAYS.iter().position(|name| *name == day)?;
    let (hours, minutes) = time.split_once(':')?;
    let two = |text: &str| (text.len() == 2).then(|| text.parse::<i64>().ok()).flatten();
    let (hours, minutes) = (two(hours)?, two(minutes)?);
    let fits = (0..24).contains(&hours) && (0..60).contains(&minutes);
    fits.then_some(i64::try_from(day).ok()? * 24 * 60 + hours * 60 + minutes)
}

/// Whether `text` is a window, `ddd:hh24:mi-ddd:hh24:mi` in UTC, of an hour at least.
pub(crate) fn is_weekly(text: &str) -> bool {
    let ends = text.split_once('-').and_then(|(from, to)| Some((point(from)?, point(to)?)));
    ends.is_some_and(|(from, to)| (to - from).rem_euclid(WEEK) >= LENGTH_MIN)
}

/// The window of a cache whose request names none: `slot` chooses within the nights of Seoul.
pub(crate) fn default(slot: u64) -> String {
    let day = DAYS.get(usize::try_from(slot % 7).unwrap_or_default()).copied().unwrap_or("sun");
    let hour = 13 + slot % 6;
    format!("{day}:{hour:02}:00-{day}:{:02}:00", hour + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_of_an_hour_are_taken() {
        assert!(is_weekly("sun:23:30-mon:00:30"));
        assert!(!is_weekly("sun:23:30-mon:00:29"));
        assert!(!is_weekly("xyz:01:00-xyz:03:00") && !is_weekly("mon:25:00-tue:03:00"));
        assert!((0..50).all(|slot| is_weekly(&default(slot))));
    }
}
