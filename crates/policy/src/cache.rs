//! Compiled policies, kept by the place where their text stands.
//!
//! A look-up hashes the short name of the place and compares the text, which costs a fraction of
//! hashing it. A changed text replaces what was compiled, so that nothing is ever stale.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use crate::document::{Kind, Policy, PolicyError};

/// How many compiled policies are kept.
const COMPILED_MAX: usize = 8192;

/// Compiled policies by kind and place.
#[derive(Debug, Default)]
pub struct Cache(RwLock<HashMap<Kind, HashMap<Box<str>, Entry>>>);

#[derive(Debug)]
struct Entry {
    text: Box<str>,
    policy: Arc<Policy>,
}

impl Cache {
    /// An empty cache.
    pub fn new() -> Self {
        Self::default()
    }

    /// The policy that `text` is, which stands at `place`: an ARN with its version, an entity with
    /// the policy's name, or the text itself.
    ///
    /// # Errors
    ///
    /// The message with which AWS refuses the document.
    pub fn get(&self, kind: Kind, place: &str, text: &str) -> Result<Arc<Policy>, PolicyError> {
        // A panic elsewhere can't leave a map half changed that only gains whole entries.
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let entry = known.get(&kind).and_then(|places| places.get(place));
        if let Some(entry) = entry.filter(|entry| *entry.text == *text) {
            return Ok(entry.policy.clone());
        }
        drop(known);
        let policy = Arc::new(Policy::parse(text, kind)?);
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let places = known.entry(kind).or_default();
        if places.len() >= COMPILED_MAX {
            places.clear();
        }
        places.insert(place.into(), Entry { text: text.into(), policy: policy.clone() });
        Ok(policy)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_text_is_compiled_anew_and_an_unchanged_one_is_kept() {
        let cache = Cache::new();
        let text = |effect: &str| {
            format!(
                r#"{{"Version":"2012-10-17","Statement":{{"Effect":"{effect}","Action":"*","Resource":"*"}}}}"#
            )
        };
        let get = |text: &str| cache.get(Kind::Identity, "role/x#inline", text).unwrap();
        let first = get(&text("Allow"));
        assert!(Arc::ptr_eq(&first, &get(&text("Allow"))));
        let second = get(&text("Deny"));
        assert_ne!(first, second);
        assert!(Arc::ptr_eq(&second, &get(&text("Deny"))));
        assert!(cache.get(Kind::Identity, "x", "{").is_err());
        assert!(cache.get(Kind::Scp, "role/x#inline", &text("Allow")).is_ok());
    }
}
