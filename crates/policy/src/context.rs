//! The request context: condition keys and their values.

use std::collections::BTreeMap;

use crate::principal::Principal;

/// The condition keys of a request and their values, all as text.
///
/// Names compare without case. A key that was set with [`Context::set_all`] is multivalued: set
/// operators test all its values, and it can't stand in a policy variable.
///
/// AWS: "AWS global condition context keys", "Set operators for multivalued context keys".
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Context {
    keys: BTreeMap<String, Values>,
}

#[derive(Debug, Clone, PartialEq)]
enum Values {
    One(String),
    Many(Vec<String>),
}

impl Context {
    /// A context without keys.
    pub const fn new() -> Self {
        Self { keys: BTreeMap::new() }
    }

    /// A context with the keys that follow from who calls: `aws:PrincipalArn`,
    /// `aws:PrincipalAccount`, `aws:PrincipalType`, `aws:userid`, `aws:username`,
    /// `aws:PrincipalIsAWSService` and `aws:PrincipalServiceName`, as far as the caller has them.
    ///
    /// AWS: "AWS global condition context keys", Properties of the principal.
    pub fn of(principal: &Principal) -> Self {
        let mut context = Self::new();
        principal.describe(&mut context);
        context
    }

    /// Sets a single-valued key.
    pub fn set(&mut self, key: &str, value: impl Into<String>) {
        self.keys.insert(key.to_lowercase(), Values::One(value.into()));
    }

    /// Sets a multivalued key. Without values the key counts as absent.
    pub fn set_all<V: Into<String>>(&mut self, key: &str, values: impl IntoIterator<Item = V>) {
        let values = values.into_iter().map(Into::into).collect();
        self.keys.insert(key.to_lowercase(), Values::Many(values));
    }

    /// The context with one more single-valued key.
    #[must_use]
    pub fn with(mut self, key: &str, value: impl Into<String>) -> Self {
        self.set(key, value);
        self
    }

    /// The context with one more multivalued key.
    #[must_use]
    pub fn with_all<V: Into<String>>(
        mut self,
        key: &str,
        values: impl IntoIterator<Item = V>,
    ) -> Self {
        self.set_all(key, values);
        self
    }

    /// The values of `key`, empty when it is absent.
    pub fn values(&self, key: &str) -> &[String] {
        if key.chars().any(char::is_uppercase) {
            self.lowered(&key.to_lowercase())
        } else {
            self.lowered(key)
        }
    }

    /// Every key, in lower case, with its values.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[String])> {
        self.keys.iter().map(|(key, values)| (key.as_str(), values.as_slice()))
    }

    /// The values of `key`, which is in lower case already.
    pub(crate) fn lowered(&self, key: &str) -> &[String] {
        self.keys.get(key).map_or(&[], Values::as_slice)
    }

    /// The value of a single-valued key, which is in lower case already.
    pub(crate) fn single(&self, key: &str) -> Option<&str> {
        match self.keys.get(key)? {
            Values::One(value) => Some(value),
            Values::Many(_) => None,
        }
    }
}

impl Values {
    fn as_slice(&self) -> &[String] {
        match self {
            Self::One(value) => std::slice::from_ref(value),
            Self::Many(values) => values,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_compare_without_case() {
        let context = Context::new().with("aws:ResourceTag/Team", "a");
        assert_eq!(context.values("AWS:resourcetag/TEAM"), ["a"]);
        assert!(context.values("aws:ResourceTag/other").is_empty());
    }
}
