//! How a step that is repeated after a crash tells its own work from another's: it writes down
//! that a name was free before it takes it.

use std::collections::BTreeSet;
use std::sync::Arc;

use iam_api::error as shape;
use kernel::ServiceError;
use kernel::resource::ResourceCtx;
use store::ScopedStore;

use crate::Directory;
use crate::directory::account_scope;
use crate::store::{INTENTS, Intent, KEYS};

/// The claims of all stacks.
#[derive(Clone)]
pub(super) struct Claims {
    directory: Arc<Directory>,
}

impl Claims {
    pub(super) fn new(directory: Arc<Directory>) -> Self {
        Self { directory }
    }

    fn store(&self, ctx: &ResourceCtx) -> ScopedStore {
        self.directory.store().scoped(account_scope(&ctx.account))
    }

    /// What was there before the first try, if this is not the first.
    ///
    /// # Errors
    ///
    /// When the store cannot be read.
    pub(super) async fn known(
        &self,
        ctx: &ResourceCtx,
    ) -> Result<Option<BTreeSet<String>>, ServiceError> {
        let found = self.store(ctx).read(|tx| tx.get(&INTENTS, &ctx.token)).await;
        let found = found.map_err(|error: store::Error| ServiceError::internal(error))?;
        Ok(found.map(|intent| intent.before))
    }

    /// Notes what is there before the first try.
    ///
    /// # Errors
    ///
    /// When the store cannot be written.
    pub(super) async fn note(
        &self,
        ctx: &ResourceCtx,
        before: BTreeSet<String>,
    ) -> Result<(), ServiceError> {
        let intent = Intent { token: ctx.token.clone(), before };
        let written = self.store(ctx).write(|tx| tx.put(&INTENTS, &intent)).await;
        written.map_err(|error: store::Error| ServiceError::internal(error))
    }

    /// Claims a name. `found` is what a look for it gave.
    ///
    /// # Errors
    ///
    /// When another has the name.
    pub(super) async fn claim<T>(
        &self,
        ctx: &ResourceCtx,
        name: &str,
        found: Result<T, ServiceError>,
    ) -> Result<(), ServiceError> {
        if self.known(ctx).await?.is_some() {
            return Ok(());
        }
        if unless_missing(found)?.is_some() {
            let text = format!("{name} already exists");
            return Err(ServiceError::new("AlreadyExists", text));
        }
        self.note(ctx, BTreeSet::new()).await
    }

    /// Forgets the claim of what a stack has got hold of.
    ///
    /// # Errors
    ///
    /// When the store cannot be written.
    pub(super) async fn settle(&self, ctx: &ResourceCtx) -> Result<(), ServiceError> {
        let store = self.store(ctx);
        if self.known(ctx).await?.is_none() {
            return Ok(());
        }
        let written = store.write(|tx| tx.delete(&INTENTS, &ctx.token)).await;
        written.map(|_| ()).map_err(|error: store::Error| ServiceError::internal(error))
    }

    /// The secret of a key that a stack made.
    ///
    /// # Errors
    ///
    /// When the store cannot be read.
    pub(super) async fn secret(
        &self,
        ctx: &ResourceCtx,
        id: &str,
    ) -> Result<Option<String>, ServiceError> {
        let found = self.store(ctx).read(|tx| tx.get(&KEYS, id)).await;
        let found = found.map_err(|error: store::Error| ServiceError::internal(error))?;
        Ok(found.filter(|key| key.account == ctx.account).map(|key| key.secret))
    }
}

/// What was answered, or nothing when the entity is not there.
///
/// # Errors
///
/// Any other error.
pub(super) fn unless_missing<T>(
    answer: Result<T, ServiceError>,
) -> Result<Option<T>, ServiceError> {
    match answer {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.code == shape::NO_SUCH_ENTITY_EXCEPTION => Ok(None),
        Err(error) => Err(error),
    }
}

/// What was answered, or nothing when the entity is there already: the stack claimed its name, so
/// an earlier try made it.
///
/// # Errors
///
/// Any other error.
pub(super) fn unless_made<T>(answer: Result<T, ServiceError>) -> Result<(), ServiceError> {
    match answer {
        Err(error) if error.code != shape::ENTITY_ALREADY_EXISTS_EXCEPTION => Err(error),
        Ok(_) | Err(_) => Ok(()),
    }
}
