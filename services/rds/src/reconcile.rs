//! The task of a DB instance: reads where it stands and does the next thing.

use kernel::{Client, Next, TaskError};
use store::{Scope, ScopedStore, WriteTx};

use crate::error::{Error, Result};
use crate::store::{DbInstance, INSTANCES, Status};
use crate::{PRINCIPAL, TaskCtx, backup, converge, create, delete, event};

/// One instance's work.
pub(crate) struct Work {
    pub(crate) ctx: TaskCtx,
    pub(crate) store: ScopedStore,
    pub(crate) name: String,
}

/// Every instance of the region.
pub(crate) async fn keys(ctx: TaskCtx) -> Result<Vec<String>, TaskError> {
    let all = ctx.store.read(|tx| tx.scan_all(&INSTANCES)).await?;
    Ok(all.iter().map(|(scope, row)| format!("{} {}", scope.account, row.name)).collect())
}

/// Does what an instance waits for.
pub(crate) async fn run(ctx: TaskCtx, key: String) -> Result<Next, TaskError> {
    let (account, name) = key.split_once(' ').ok_or_else(|| TaskError::new("not a key"))?;
    let account = account.parse().map_err(TaskError::new)?;
    let store = ctx.store.scoped(Scope::new(account, ctx.region.clone()));
    let work = Work { ctx, store, name: name.to_owned() };
    let Some(instance) = work.load().await? else { return Ok(Next::Idle) };
    let done = match instance.status {
        Status::Creating => create::run(&work, &instance).await,
        Status::Available | Status::Modifying => converge::run(&work, &instance).await,
        Status::Rebooting => converge::reboot(&work, &instance).await,
        Status::BackingUp => backup::run(&work, &instance).await,
        Status::Stopping => converge::stop(&work, &instance).await,
        Status::Starting => converge::start(&work, &instance).await,
        Status::Deleting => delete::run(&work, &instance).await,
        Status::Stopped | Status::Failed | Status::IncompatibleParameters => Ok(Next::Idle),
    };
    match done {
        Ok(next) => Ok(next),
        Err(error) => work.failed(&instance, error).await,
    }
}

impl Work {
    pub(crate) async fn load(&self) -> Result<Option<DbInstance>> {
        Ok(self.store.read(|tx| tx.get(&INSTANCES, &self.name)).await?)
    }

    /// A client of this account as RDS itself.
    pub(crate) async fn client(&self) -> Result<Client> {
        Ok(self.ctx.service_client(&self.store.scope().account, PRINCIPAL).await?)
    }

    /// Changes the instance's record, and tells what happened, if anything did.
    pub(crate) async fn change(
        &self,
        told: Option<event::Told>,
        change: impl Fn(&mut DbInstance) + Send + Sync,
    ) -> Result<Option<DbInstance>> {
        let now = self.ctx.now();
        let id = self.ctx.random().uuid();
        let write = |tx: &mut WriteTx<'_>| -> Result<Option<DbInstance>> {
            let Some(before) = tx.get(&INSTANCES, &self.name)? else { return Ok(None) };
            let mut instance = before.clone();
            change(&mut instance);
            if instance != before {
                tx.put(&INSTANCES, &instance)?;
            }
            if let Some(told) = &told {
                event::write(tx, self.store.scope(), now, &id, &instance.name, told)?;
            }
            Ok(Some(instance))
        };
        self.store.write(write).await
    }

    /// What cannot be mended by another try ends an instance's making; the rest is tried again.
    async fn failed(&self, instance: &DbInstance, error: Error) -> Result<Next, TaskError> {
        let text =
            if let Error::Engine(inside) = &error { inside.chain() } else { error.to_string() };
        let status = match (&error, instance.status) {
            (
                Error::Engine(engine::Error::Refused(_)),
                Status::Creating | Status::Starting | Status::Rebooting,
            ) => Status::IncompatibleParameters,
            (Error::Engine(engine::Error::Unavailable { .. }), Status::Creating) => Status::Failed,
            (Error::Inside(inside), Status::Creating) if inside.sender => Status::Failed,
            _ => return Err(TaskError::new(text)),
        };
        let told = event::Told::new("failure", format!("DB instance {}: {text}", status.name()));
        let changed = self.change(Some(told), |instance| {
            instance.status = status;
            instance.why = Some(text.clone());
        });
        changed.await.map_err(TaskError::from)?;
        Ok(Next::Idle)
    }
}
