//! Tasks that keep targets true: instances stop, start, move and end; drained targets are
//! forgotten.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use base::AccountId;
use ec2_api::InstanceStateName;
use kernel::{Next, TaskError};
use proxy::{HealthState, Unusable};
use store::{Scope, ScopedStore};

use crate::error::{Error, Result};
use crate::network::{self, Machine};
use crate::store::{NODES, TARGETS, Target};
use crate::{PRINCIPAL, TaskCtx, node, target};

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

/// How often draining targets are looked at.
const DRAINING_EVERY: Duration = Duration::from_millis(100);

/// Forgets targets whose deregistration delay is over, and at once those that every node drains
/// and none has a request under way to.
///
/// AWS: "Target groups for your Application Load Balancers", deregistration delay.
pub(crate) async fn forget_drained(ctx: TaskCtx, account: String) -> Result<Next, TaskError> {
    let (_, store) = store_of(&ctx, &account)?;
    let draining = |target: &Target| target.draining_until.is_some();
    if !store.read(|tx| tx.scan(&TARGETS, ())).await?.iter().any(draining) {
        return Ok(Next::Idle);
    }
    let idle = idle_targets(&ctx, &store).await?;
    let now = ctx.now();
    let left = store
        .write(|tx| {
            let mut left = false;
            for target in tx.scan(&TARGETS, ())? {
                match target.draining_until {
                    Some(until) if until <= now || idle.contains(&place_of(&target)) => {
                        target::forget(tx, &target)?;
                    }
                    Some(_) => left = true,
                    None => {}
                }
            }
            Ok::<_, Error>(left)
        })
        .await?;
    Ok(if left { Next::Poll(DRAINING_EVERY) } else { Next::Idle })
}

/// A target group, a target and where it is reached.
type Placed = (String, String, SocketAddr);

fn place_of(target: &Target) -> Placed {
    let address = SocketAddr::new(IpAddr::V4(target.address), target.port);
    (target.group.to_string(), target.id.clone(), address)
}

/// Targets that all nodes know to be draining and that have nothing under way.
async fn idle_targets(ctx: &TaskCtx, store: &ScopedStore) -> Result<BTreeSet<Placed>, TaskError> {
    let machine = &*ctx.drivers.drivers.machine;
    let (mut idle, mut busy) = (BTreeSet::new(), BTreeSet::new());
    for node in store.read(|tx| tx.scan(&NODES, ())).await? {
        let Some(interface) = &node.interface else { continue };
        let workload = node::workload(&interface.id);
        // A node that does not answer carries nothing that could be cut off.
        let Ok(status) = node::status(machine, &node.place.zone, &workload).await else { continue };
        for group in status.target_groups {
            for target in group.targets {
                let is_idle = target.state == HealthState::Draining && target.in_flight == 0;
                let place = (group.id.clone(), target.id, target.address);
                if is_idle {
                    idle.insert(place)
                } else {
                    busy.insert(place)
                };
            }
        }
    }
    Ok(idle.difference(&busy).cloned().collect())
}
