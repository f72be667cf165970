//! The task of a cache: reads where it stands and does the next thing.

use kernel::{Client, Next, TaskError};
use store::{Record, Scope, ScopedStore, WriteTx};

use crate::error::{Error, Result};
use crate::store::{CACHES, Cache, Status};
use crate::{PRINCIPAL, TaskCtx, converge, create, delete, event};

/// One cache's work.
pub(crate) struct Work {
    pub(crate) ctx: TaskCtx,
    pub(crate) store: ScopedStore,
    pub(crate) key: String,
}

/// Every cache of the region.
pub(crate) async fn keys(ctx: TaskCtx) -> Result<Vec<String>, TaskError> {
    let all = ctx.store.read(|tx| tx.scan_all(&CACHES)).await?;
    Ok(all.iter().map(|(scope, cache)| format!("{} {}", scope.account, cache.key())).collect())
}

/// Does what a cache waits for.
pub(crate) async fn run(ctx: TaskCtx, key: String) -> Result<Next, TaskError> {
    let (account, key) = key.split_once(' ').ok_or_else(|| TaskError::new("not a key"))?;
    let account = account.parse().map_err(TaskError::new)?;
    let store = ctx.store.scoped(Scope::new(account, ctx.region.clone()));
    let work = Work { ctx, store, key: key.to_owned() };
    let Some(cache) = work.load().await? else { return Ok(Next::Idle) };
    let done = match cache.status {
        Status::Creating => create::run(&work, &cache).await,
        Status::Available | Status::Modifying => converge::run(&work, &cache).await,
        Status::Deleting => delete::run(&work, &cache).await,
        Status::CreateFailed => Ok(Next::Idle),
    };
    match done {
        Ok(next) => Ok(next),
        Err(error) => work.failed(&cache, error).await,
    }
}

impl Work {
    pub(crate) async fn load(&self) -> Result<Option<Cache>> {
        Ok(self.store.read(|tx| tx.get(&CACHES, &self.key)).await?)
    }

    /// A client of this account as ElastiCache itself.
    pub(crate) async fn client(&self) -> Result<Client> {
        Ok(self.ctx.service_client(&self.store.scope().account, PRINCIPAL).await?)
    }

    /// Changes the cache's record, and tells what happened, if anything did.
    pub(crate) async fn change(
        &self,
        told: &[event::Told],
        change: impl Fn(&mut Cache) + Send + Sync,
    ) -> Result<Option<Cache>> {
        let now = self.ctx.now();
        let ids: Vec<_> = told.iter().map(|_| self.ctx.random().uuid()).collect();
        let write = |tx: &mut WriteTx<'_>| -> Result<Option<Cache>> {
            let Some(before) = tx.get(&CACHES, &self.key)? else { return Ok(None) };
            let mut cache = before.clone();
            change(&mut cache);
            if cache != before {
                tx.put(&CACHES, &cache)?;
            }
            event::write_all(tx, now, &ids, told)?;
            Ok(Some(cache))
        };
        self.store.write(write).await
    }

    /// What cannot be mended by another try ends a cache's making; the rest is tried again.
    async fn failed(&self, cache: &Cache, error: Error) -> Result<Next, TaskError> {
        let text = error.chain();
        if !error.is_lasting() || cache.status != Status::Creating {
            return Err(TaskError::new(text));
        }
        let told = event::Told::of_cache(cache, format!("Creation failed: {text}"));
        let told = [told];
        let changed = self.change(&told, |cache| {
            cache.status = Status::CreateFailed;
            cache.why = Some(text.clone());
        });
        changed.await.map_err(TaskError::from)?;
        Ok(Next::Idle)
    }
}
