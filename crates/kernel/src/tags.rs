//! Rules that tags obey in every service.

use base::Tags;

/// The most tags a resource may have.
///
/// AWS: "Tag your AWS resources", tag quotas.
pub const TAGS_MAX: usize = 50;

/// A tag breaks a rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TagError {
    /// Too many tags.
    #[error("The maximum number of tags is {TAGS_MAX}.")]
    TooMany,
    /// The key is empty or longer than 128 characters.
    #[error("Tag keys must be between 1 and 128 characters in length.")]
    Key,
    /// The value is longer than 256 characters.
    #[error("Tag values must not exceed 256 characters in length.")]
    Value,
    /// The prefix `aws:` is for AWS alone.
    #[error("Tag keys starting with 'aws:' are reserved for internal use")]
    Reserved,
}

/// Checks tags that a client wants to set. Tags of the prefix `aws:` pass only when
/// `inside_caller` says that one of the region's own services sets them.
///
/// # Errors
///
/// The first rule that is broken.
pub fn check(tags: &Tags, inside_caller: Option<&str>) -> Result<(), TagError> {
    let own = tags.keys().filter(|key| !is_reserved(key)).count();
    if own > TAGS_MAX {
        return Err(TagError::TooMany);
    }
    for (key, value) in tags {
        if key.is_empty() || key.chars().count() > 128 {
            return Err(TagError::Key);
        }
        if value.chars().count() > 256 {
            return Err(TagError::Value);
        }
        if is_reserved(key) && inside_caller.is_none() {
            return Err(TagError::Reserved);
        }
    }
    Ok(())
}

/// Whether `key` has the prefix that clients may not use.
pub fn is_reserved(key: &str) -> bool {
    key.get(..4).is_some_and(|prefix| prefix.eq_ignore_ascii_case("aws:"))
}
