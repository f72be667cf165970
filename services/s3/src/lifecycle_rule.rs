//! What lifecycle rules say of an object, a version or an upload at a time. Pure: the task that
//! follows the rules and the headers that foretell them ask here.
//!
//! AWS: "Lifecycle configuration elements", "Understanding object expiration", "Transitioning
//! objects using Amazon S3 Lifecycle".

use std::time::Duration;

use base::{Tags, Timestamp};
use serde::{Deserialize, Serialize};

use crate::class::Class;
use crate::store::{Object, Past, State};

/// A day.
pub(crate) const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// AWS: "Transitioning objects using Amazon S3 Lifecycle", the default minimum size.
const TRANSITION_BYTES_MIN: u64 = 128 * 1024;

/// The lifecycle of a bucket.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Lifecycle {
    pub(crate) bucket: String,
    pub(crate) rules: Vec<Rule>,
    pub(crate) minimum: Minimum,
}

/// Which objects are too small to be moved by rules that say nothing of sizes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Minimum {
    /// Below 128 KiB, whatever the class.
    #[default]
    All128K,
    /// Below 128 KiB, but not on the way to GLACIER and DEEP_ARCHIVE.
    VariesByClass,
}

/// One rule.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Rule {
    pub(crate) id: String,
    pub(crate) enabled: bool,
    pub(crate) filter: Filter,
    pub(crate) expiration: Option<Expiration>,
    pub(crate) transitions: Vec<Transition>,
    pub(crate) noncurrent_transitions: Vec<NoncurrentTransition>,
    pub(crate) noncurrent_expiration: Option<NoncurrentExpiration>,
    pub(crate) abort_days: Option<i32>,
}

/// What a rule is for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Filter {
    pub(crate) form: Form,
    pub(crate) prefix: Option<String>,
    pub(crate) tags: Tags,
    pub(crate) larger_than: Option<u64>,
    pub(crate) smaller_than: Option<u64>,
}

/// How a filter was written, so that it is shown again that way.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Form {
    /// A prefix beside the other members of the rule.
    Prefix,
    /// One condition.
    #[default]
    Filter,
    /// Several conditions.
    And,
}

/// When current objects expire.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Expiration {
    pub(crate) days: Option<i32>,
    pub(crate) date: Option<Timestamp>,
    pub(crate) delete_marker: Option<bool>,
}

/// When current objects move to a class.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Transition {
    pub(crate) days: Option<i32>,
    pub(crate) date: Option<Timestamp>,
    pub(crate) class: Class,
}

/// When past versions move to a class.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct NoncurrentTransition {
    pub(crate) days: i32,
    pub(crate) newer: Option<i32>,
    pub(crate) class: Class,
}

/// When past versions are destroyed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct NoncurrentExpiration {
    pub(crate) days: i32,
    pub(crate) newer: Option<i32>,
}

/// What is to be done with an object or version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    Expire,
    Move(Class),
}

impl store::Record for Lifecycle {
    type Key = String;

    fn key(&self) -> String {
        self.bucket.clone()
    }
}

/// The midnight at which something `days` old since `start` is due.
pub(crate) fn due(start: Timestamp, days: i32) -> Timestamp {
    let days = u32::try_from(days).unwrap_or_default();
    midnight_at_or_after(start + DAY.saturating_mul(days))
}

/// The first midnight that is not before `time`.
pub(crate) fn midnight_at_or_after(time: Timestamp) -> Timestamp {
    let day = i64::try_from(DAY.as_secs()).unwrap_or(86_400);
    let secs = time.as_millis().saturating_add(999).div_euclid(1000);
    Timestamp::from_secs(secs.saturating_add(day - 1).div_euclid(day).saturating_mul(day))
}

impl Filter {
    /// Whether an object is one that the filter is for.
    pub(crate) fn holds(&self, key: &str, tags: &Tags, size: u64) -> bool {
        self.prefix.as_ref().is_none_or(|prefix| key.starts_with(prefix.as_str()))
            && self.tags.iter().all(|(name, value)| tags.get(name) == Some(value))
            && self.larger_than.is_none_or(|bound| size > bound)
            && self.smaller_than.is_none_or(|bound| size < bound)
    }

    fn has_size(&self) -> bool {
        self.larger_than.is_some() || self.smaller_than.is_some()
    }

    /// Whether it holds for what has neither tags nor a size: uploads and delete markers.
    fn holds_plain(&self, key: &str) -> bool {
        !self.has_size() && self.holds(key, &Tags::new(), 0)
    }
}

fn is_due(days: Option<i32>, date: Option<Timestamp>, start: Timestamp, now: Timestamp) -> bool {
    days.is_some_and(|days| due(start, days) <= now) || date.is_some_and(|date| date <= now)
}

impl Lifecycle {
    fn rules_for<'a>(&'a self, object: &'a Object) -> impl Iterator<Item = &'a Rule> {
        let Object { key, tags, size, .. } = object;
        self.rules.iter().filter(|rule| rule.enabled && rule.filter.holds(key, tags, *size))
    }

    fn may_move(&self, rule: &Rule, object: &Object, to: Class) -> bool {
        let is_small = object.size < TRANSITION_BYTES_MIN;
        let bound = match self.minimum {
            Minimum::All128K => true,
            Minimum::VariesByClass => !to.is_archive(),
        };
        object.class.may_move_to(to) && (!is_small || !bound || rule.filter.has_size())
    }

    /// What the rules say of a current object. Where its bucket keeps versions, a move goes before
    /// the making of a delete marker.
    pub(crate) fn current(
        &self,
        object: &Object,
        keeps_versions: bool,
        now: Timestamp,
    ) -> Option<Action> {
        let expires = self
            .rules_for(object)
            .filter_map(|rule| rule.expiration.as_ref())
            .any(|expiration| is_due(expiration.days, expiration.date, object.modified, now));
        let class = self
            .rules_for(object)
            .flat_map(|rule| rule.transitions.iter().map(move |transition| (rule, transition)))
            .filter(|(_, t)| is_due(t.days, t.date, object.modified, now))
            .filter(|(rule, t)| self.may_move(rule, object, t.class))
            .map(|(_, t)| t.class)
            .max_by_key(|class| class.depth());
        match (expires, class) {
            (true, Some(class)) if keeps_versions => Some(Action::Move(class)),
            (true, _) => Some(Action::Expire),
            (false, class) => class.map(Action::Move),
        }
    }

    /// What the rules say of a past version that `newer` other past versions of its key are newer
    /// than.
    pub(crate) fn past(&self, past: &Past, newer: usize, now: Timestamp) -> Option<Action> {
        let newer = i32::try_from(newer).unwrap_or(i32::MAX);
        let counts = |wanted: Option<i32>| wanted.is_none_or(|wanted| newer >= wanted);
        let holds = |rule: &&Rule| {
            rule.enabled
                && match &past.state {
                    State::Object(object) => {
                        rule.filter.holds(&past.key, &object.tags, object.size)
                    }
                    State::Marker(_) => rule.filter.holds_plain(&past.key),
                }
        };
        let rules = || self.rules.iter().filter(holds);
        let expires = rules()
            .filter_map(|rule| rule.noncurrent_expiration.as_ref())
            .any(|e| due(past.since, e.days) <= now && counts(e.newer));
        if expires {
            return Some(Action::Expire);
        }
        let object = past.object()?;
        rules()
            .flat_map(|rule| rule.noncurrent_transitions.iter().map(move |t| (rule, t)))
            .filter(|(_, t)| due(past.since, t.days) <= now && counts(t.newer))
            .filter(|(rule, t)| self.may_move(rule, object, t.class))
            .map(|(_, t)| t.class)
            .max_by_key(|class| class.depth())
            .map(Action::Move)
    }

    /// Whether a delete marker that is all that is left of its key is to go.
    pub(crate) fn lone_marker(&self, key: &str, made: Timestamp, now: Timestamp) -> bool {
        let rules = self.rules.iter().filter(|r| r.enabled && r.filter.holds_plain(key));
        rules.filter_map(|rule| rule.expiration.as_ref()).any(|expiration| {
            expiration.delete_marker == Some(true)
                || is_due(expiration.days, expiration.date, made, now)
        })
    }

    /// When an upload is aborted, and the rule that does it.
    pub(crate) fn abort(&self, key: &str, begun: Timestamp) -> Option<(Timestamp, &str)> {
        let rules = self.rules.iter().filter(|r| r.enabled && r.filter.holds_plain(key));
        let times = rules.filter_map(|r| Some((due(begun, r.abort_days?), r.id.as_str())));
        times.min_by_key(|(time, _)| *time)
    }

    /// When a current object expires, and the rule that does it.
    pub(crate) fn expiry<'a>(&'a self, object: &'a Object) -> Option<(Timestamp, &'a str)> {
        let times = self.rules_for(object).filter_map(|rule| {
            let expiration = rule.expiration.as_ref()?;
            let by_days = expiration.days.map(|days| due(object.modified, days));
            Some((by_days.or(expiration.date)?, rule.id.as_str()))
        });
        times.min_by_key(|(time, _)| *time)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_end_at_the_midnight_behind_them() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        for (start, days, want) in [
            ("2014-01-15T10:30:00Z", 3, "2014-01-19T00:00:00Z"),
            ("2014-01-15T00:00:00Z", 1, "2014-01-16T00:00:00Z"),
            ("2014-01-15T00:00:00.001Z", 1, "2014-01-17T00:00:00Z"),
            ("2014-02-28T23:59:59Z", 0, "2014-03-01T00:00:00Z"),
        ] {
            assert_eq!(due(at(start), days), at(want), "{start} and {days} days");
        }
    }
}
