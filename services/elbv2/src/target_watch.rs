//! Tasks that keep targets true: instances stop, start, move and end; drained targets are forgotten.

use std::collections::BTreeSet;
use std::time::Duration;

use base::AccountId;
use ec2_api::InstanceStateName;
use kernel::{Next, TaskError};
use proxy::Unusable;
use store::{Scope, ScopedStore};

use crate::error::{Error, Result};
use crate::network::{self, Machine};
use crate::store::{TARGETS, Target};
use crate::{PRINCIPAL, TaskCtx, target};

/// How often instances are looked at, besides when they change.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// The accounts that have targets.
pub(crate) async fn accounts(ctx: TaskCtx) -> Result<Vec<String>, TaskError> {
    let scopes = ctx.store.read(|tx| tx.scopes(&TARGETS)).await?;
    let accounts: BTreeSet<String> =
        scopes.into_iter().map(|scope| scope.account.to_string()).collect();
    Ok(accounts.into_iter().collect())
}

fn store_of(ctx: &TaskCtx, account: &str) -> Result<(AccountId, ScopedStore), TaskError> {
    let account: AccountId = account.parse()?;
    Ok((account.clone(), ctx.store.scoped(Scope::new(account, ctx.region.clone()))))
}

/// Marks targets whose instances do not run, and forgets those whose instances are gone.
pub(crate) async fn follow_instances(ctx: TaskCtx, account: String) -> Result<Next, TaskError> {
    let (account, store) = store_of(&ctx, &account)?;
    let targets = store.read(|tx| tx.scan(&TARGETS, ())).await?;
    let ids: BTreeSet<String> =
        targets.iter().filter(|it| it.id.starts_with("i-")).map(|it| it.id.clone()).collect();
    if ids.is_empty() {
        return Ok(Next::Idle);
    }
    let ec2 = ctx.service_client(&account, PRINCIPAL).await?;
    let found = network::instances(&ec2, &ids.iter().cloned().collect::<Vec<_>>()).await?;
    let now: Vec<(Target, Option<Target>)> = targets
        .into_iter()
        .filter(|it| ids.contains(&it.id))
        .map(|it| {
            let seen = seen(&it, found.iter().find(|instance| instance.id == it.id));
            (it, seen)
        })
        .filter(|(was, is)| is.as_ref() != Some(was))
        .collect();
    if !now.is_empty() {
        store
            .write(|tx| {
                for (was, is) in &now {
                    // Changed in the meantime: the change wakes this task again.
                    if tx.get(&TARGETS, store::Record::key(was))?.as_ref() != Some(was) {
                        continue;
                    }
                    match is {
                        Some(is) => tx.put(&TARGETS, is)?,
                        None => target::forget(tx, was)?,
                    }
                }
                Ok::<_, Error>(())
            })
            .await?;
    }
    Ok(Next::Poll(LOOK_EVERY))
}

/// A target as its instance is now; none when the instance is gone.
fn seen(target: &Target, instance: Option<&Machine>) -> Option<Target> {
    let instance = instance?;
    let unusable = match instance.state {
        InstanceStateName::Pending | InstanceStateName::Running => None,
        InstanceStateName::Stopping | InstanceStateName::Stopped => Some(Unusable::Stopped),
        InstanceStateName::ShuttingDown => Some(Unusable::Terminated),
        InstanceStateName::Terminated => return None,
    };
    Some(Target {
        unusable,
        address: instance.address.unwrap_or(target.address),
        zone: instance.zone.clone().or_else(|| target.zone.clone()),
        ..target.clone()
    })
}

/// Forgets targets whose deregistration delay is over.
pub(crate) async fn forget_drained(ctx: TaskCtx, account: String) -> Result<Next, TaskError> {
    let (_, store) = store_of(&ctx, &account)?;
    let now = ctx.now();
    let next = store
        .write(|tx| {
            let mut next = None;
            for target in tx.scan(&TARGETS, ())? {
                match target.draining_until {
                    Some(until) if until <= now => target::forget(tx, &target)?,
                    Some(until) => next = Some(next.map_or(until, |other| until.min(other))),
                    None => {}
                }
            }
            Ok::<_, Error>(next)
        })
        .await?;
    Ok(next.map_or(Next::Idle, Next::At))
}
