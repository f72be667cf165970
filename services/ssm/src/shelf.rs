//! Parameters in memory: what was read is kept until a write changes it, so that reading a
//! parameter, with the conditions on its tags, costs one read of the store at most.
//!
//! The control plane alone writes the table, and every write ends with [`Shelf::forget`] before it
//! is answered. A read that began before a write was finished is recognized by the generation, and
//! not kept.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use base::AccountId;
use store::{Scope, ScopedStore};

use crate::store::{PARAMETERS, Parameter};

/// How many parameters are kept; the largest are 100 versions of 8 KB.
const KEPT_MAX: usize = 512;

/// The parameters that were read.
#[derive(Default)]
pub(crate) struct Shelf(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    generation: u64,
    parameters: HashMap<(AccountId, String), Arc<Parameter>>,
}

impl Shelf {
    fn kept(&self) -> MutexGuard<'_, Kept> {
        // Nothing that holds the lock can panic half-way.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Forgets a parameter that was written.
    pub(crate) fn forget(&self, scope: &Scope, name: &str) {
        let mut kept = self.kept();
        kept.generation += 1;
        kept.parameters.remove(&(scope.account.clone(), name.to_owned()));
    }

    /// The parameter called `name`, from memory or from the store.
    pub(crate) async fn get(
        &self,
        store: &ScopedStore,
        name: &str,
    ) -> store::Result<Option<Arc<Parameter>>> {
        let place = (store.scope().account.clone(), name.to_owned());
        let generation = {
            let kept = self.kept();
            if let Some(found) = kept.parameters.get(&place) {
                return Ok(Some(found.clone()));
            }
            kept.generation
        };
        let Some(found) = store.read(|tx| tx.get(&PARAMETERS, name)).await? else {
            return Ok(None);
        };
        let found = Arc::new(found);
        let mut kept = self.kept();
        if kept.generation == generation {
            if kept.parameters.len() >= KEPT_MAX {
                kept.parameters.clear();
            }
            kept.parameters.insert(place, found.clone());
        }
        Ok(Some(found))
    }
}
