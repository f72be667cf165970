//! Session tags: their limits, and what a chain of roles hands on.
//!
//! AWS: "Pass session tags in AWS STS", "IAM and AWS STS quotas".

use std::collections::BTreeSet;

use base::Tags;
use kernel::session::SessionFacts;
use sts_api::Tag;

use crate::error::{Error, Result};

/// The most tags of a session.
const TAGS_MAX: usize = 50;
/// The most bytes that tags and session policies may have in packed form. AWS packs into a binary
/// form of its own; here it is their characters.
const PACKED_MAX: usize = 8192;

/// A request's session tags.
pub(crate) struct SessionTags {
    /// Those that the request sets.
    pub(crate) requested: Tags,
    /// Those of the session: the requested and the inherited ones.
    pub(crate) all: Tags,
    /// The keys that go on.
    pub(crate) transitive: BTreeSet<String>,
}

impl SessionTags {
    /// Checks the tags of a request by a caller whose session says `caller`.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidParameterValue`], [`Error::Validation`].
    pub(crate) fn of(tags: &[Tag], keys: &[String], caller: &SessionFacts) -> Result<Self> {
        let mut requested = Tags::new();
        for tag in tags {
            if tag.key.to_ascii_lowercase().starts_with("aws:") {
                return Err(Error::InvalidParameterValue(
                    "Tag keys may not begin with aws:".to_owned(),
                ));
            }
            let twice = requested.keys().any(|key| key.eq_ignore_ascii_case(&tag.key));
            if twice {
                return Err(Error::InvalidParameterValue(
                    "Duplicate tag keys found. Please note that Tag keys are case insensitive."
                        .to_owned(),
                ));
            }
            requested.insert(tag.key.clone(), tag.value.clone());
        }
        let inherited: Tags = caller
            .tags
            .iter()
            .filter(|(key, _)| caller.transitive.contains(*key))
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect();
        let inherits = |key: &String| inherited.keys().any(|own| own.eq_ignore_ascii_case(key));
        if requested.keys().any(inherits) {
            return Err(Error::InvalidParameterValue(
                "One of the specified transitive tag keys can't be set because it conflicts with \
                 a transitive tag key from the calling session."
                    .to_owned(),
            ));
        }
        let mut transitive = caller.transitive.clone();
        for key in keys {
            let own = requested.keys().find(|own| own.eq_ignore_ascii_case(key));
            let own = own.ok_or_else(|| {
                Error::InvalidParameterValue(
                    "The specified transitive tag key must be included in the requested tags."
                        .to_owned(),
                )
            })?;
            transitive.insert(own.clone());
        }
        let mut all = inherited;
        all.extend(requested.clone());
        if all.len() > TAGS_MAX {
            return Err(Error::Validation(format!(
                "1 validation error detected: Value at 'tags' failed to satisfy constraint: \
                 Member must have length less than or equal to {TAGS_MAX}"
            )));
        }
        Ok(Self { requested, all, transitive })
    }

    /// The condition keys of the request.
    pub(crate) fn keys(&self) -> Vec<(String, Vec<String>)> {
        let mut keys = Vec::new();
        for (key, value) in &self.all {
            keys.push((format!("aws:RequestTag/{key}"), vec![value.clone()]));
        }
        if !self.all.is_empty() {
            keys.push(("aws:TagKeys".to_owned(), self.all.keys().cloned().collect()));
        }
        if !self.transitive.is_empty() {
            let names = self.transitive.iter().cloned().collect();
            keys.push(("sts:TransitiveTagKeys".to_owned(), names));
        }
        keys
    }
}

/// How much of the room for session policies and tags is used, in percent.
///
/// # Errors
///
/// [`Error::PackedPolicyTooLarge`].
pub(crate) fn packed_percent(policies: &[String], tags: &Tags) -> Result<Option<i32>> {
    let policies: usize = policies.iter().map(String::len).sum();
    let tags: usize = tags.iter().map(|(key, value)| key.len() + value.len()).sum();
    let used = policies + tags;
    if used == 0 {
        return Ok(None);
    }
    let percent = (used * 100).div_ceil(PACKED_MAX);
    if percent > 100 {
        return Err(Error::PackedPolicyTooLarge(percent));
    }
    Ok(i32::try_from(percent).ok())
}
