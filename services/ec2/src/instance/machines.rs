//! The task `ec2.machines`: what happens to instances by itself. It compares all zones with the
//! store once, when the region starts, and then listens to the machine.
//!
//! Instances that run are adopted as they are. One that should run and that its zone does not know
//! lost its power with the whole region: it is started again. One whose zone is lost while the
//! region lives is stopped, so that whoever needs it can replace it, and comes back with its zone.

use std::collections::BTreeSet;

use base::Zone;
use kernel::{Next, TaskError};
use machine::{
    Error as MachineError, Event, EventKind, State as WorkloadState, Stop, WorkloadStatus,
};
use store::{Scope, WriteTx};
use tokio::sync::broadcast::error::RecvError;

use super::reconcile::{Place, ended};
use super::store::{INSTANCES, Instance, Reason, State};
use crate::TaskCtx;
use crate::vpc::attachment;

type Result<T> = std::result::Result<T, TaskError>;

/// Watches the machine for as long as the region runs.
pub(crate) async fn watch(ctx: TaskCtx) -> Result<Next> {
    let mut events = ctx.drivers.machine.events();
    compare_all(&ctx).await?;
    loop {
        match events.recv().await {
            Ok(event) => happened(&ctx, event).await?,
            Err(RecvError::Lagged(_)) => compare_all(&ctx).await?,
            Err(RecvError::Closed) => return Ok(Next::Idle),
        }
    }
}

async fn happened(ctx: &TaskCtx, event: Event) -> Result<()> {
    match event.kind {
        EventKind::Started => Ok(()),
        EventKind::Exited(exit) => {
            let all = ctx.store.read(|tx| tx.scan_all(&INSTANCES)).await?;
            let found = all.into_iter().find(|(_, instance)| instance.id.as_str() == event.id);
            let Some((scope, instance)) = found else { return Ok(()) };
            // A pending instance's end is seen by the one who starts it.
            if instance.state != State::Running {
                return Ok(());
            }
            let place = Place::of(ctx, &scope);
            if is_running(ctx, &instance).await? {
                return Ok(());
            }
            ended(ctx, &place, &instance, exit).await.map(|_| ())
        }
        EventKind::SupervisorLost => lost(ctx, &event.zone).await,
        EventKind::SupervisorBack => back(ctx, &event.zone).await,
    }
}

/// The workload of an instance, if its zone knows it.
async fn find(ctx: &TaskCtx, instance: &Instance) -> machine::Result<Option<WorkloadState>> {
    let listed = ctx.drivers.machine.list(&instance.zone).await?;
    let found = listed.into_iter().find(|workload| workload.id == instance.id.as_str());
    Ok(found.map(|workload| workload.state))
}

async fn is_running(ctx: &TaskCtx, instance: &Instance) -> Result<bool> {
    let state = match find(ctx, instance).await {
        Err(MachineError::ZoneDown { .. }) => None,
        state => state?,
    };
    Ok(match state {
        Some(WorkloadState::Running { .. } | WorkloadState::Starting) => true,
        Some(WorkloadState::Exited { .. }) | None => false,
    })
}

/// Notices if an instance that should run does not.
pub(super) async fn look(ctx: &TaskCtx, place: &Place, instance: &Instance) -> Result<()> {
    match find(ctx, instance).await {
        Ok(Some(WorkloadState::Exited { exit, .. })) => {
            ended(ctx, place, instance, exit).await.map(|_| ())
        }
        Ok(Some(WorkloadState::Running { .. } | WorkloadState::Starting)) => Ok(()),
        Ok(None) => start_again(ctx, place, instance).await,
        Err(MachineError::ZoneDown { .. }) => lose(ctx, place, instance).await,
        Err(error) => Err(error.into()),
    }
}

async fn compare_all(ctx: &TaskCtx) -> Result<()> {
    let all = ctx.store.read(|tx| tx.scan_all(&INSTANCES)).await?;
    let living = all.iter().filter(|(_, instance)| instance.state != State::Terminated);
    let zones: BTreeSet<Zone> = living.map(|(_, instance)| instance.zone.clone()).collect();
    for zone in zones {
        match ctx.drivers.machine.list(&zone).await {
            Ok(workloads) => compare(ctx, &zone, &all, &workloads).await?,
            Err(MachineError::ZoneDown { .. }) => lost(ctx, &zone).await?,
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Makes the store know what runs in `zone`, and ends what should not.
async fn compare(
    ctx: &TaskCtx,
    zone: &Zone,
    all: &[(Scope, Instance)],
    workloads: &[WorkloadStatus],
) -> Result<()> {
    let here = all.iter().filter(|(_, i)| i.zone == *zone && i.state == State::Running);
    for (scope, instance) in here {
        let place = Place::of(ctx, scope);
        let workload = workloads.iter().find(|workload| workload.id == instance.id.as_str());
        match workload.map(|workload| &workload.state) {
            Some(WorkloadState::Running { .. } | WorkloadState::Starting) => {}
            Some(WorkloadState::Exited { exit, .. }) => {
                ended(ctx, &place, instance, *exit).await?;
            }
            None => start_again(ctx, &place, instance).await?,
        }
    }
    for workload in workloads.iter().filter(|workload| workload.id.starts_with("i-")) {
        let known = all.iter().find(|(_, instance)| instance.id.as_str() == workload.id);
        let ended = known.is_none_or(|(_, instance)| instance.state == State::Terminated);
        if ended {
            ctx.drivers.machine.stop(zone, &workload.id, Stop::Kill).await?;
            ctx.drivers.machine.remove(zone, &workload.id).await?;
        }
    }
    Ok(())
}

/// An instance that should run is not known to its zone: it is started, as after a power cut.
async fn start_again(ctx: &TaskCtx, place: &Place, instance: &Instance) -> Result<()> {
    let now = ctx.now();
    let change = |_: &mut WriteTx<'_>, kept: &mut Instance| {
        let should_run = kept.state == State::Running && kept.imaging.is_none();
        if should_run {
            kept.become_state(State::Pending, None, now);
            kept.launched = now;
            kept.reboot = false;
            // It ran before: if it does not start now it stops and does not end.
            kept.lost = true;
        }
        Ok(should_run)
    };
    place.update(instance, change).await
}

/// The zone of an instance is lost.
async fn lose(ctx: &TaskCtx, place: &Place, instance: &Instance) -> Result<()> {
    let now = ctx.now();
    let change = |_: &mut WriteTx<'_>, kept: &mut Instance| {
        if kept.state != State::Running {
            return Ok(false);
        }
        let reason = Reason::new("Server.InternalError", "Internal error: the zone was lost");
        kept.become_state(State::Stopping, Some(reason), now);
        kept.transition = "Server.InternalError".to_owned();
        kept.lost = true;
        Ok(true)
    };
    place.update(instance, change).await
}

async fn in_zone(ctx: &TaskCtx, zone: &Zone) -> Result<Vec<(Scope, Instance)>> {
    let all = ctx.store.read(|tx| tx.scan_all(&INSTANCES)).await?;
    Ok(all.into_iter().filter(|(_, instance)| instance.zone == *zone).collect())
}

async fn lost(ctx: &TaskCtx, zone: &Zone) -> Result<()> {
    ctx.wake("ec2.resolver");
    for (scope, instance) in in_zone(ctx, zone).await? {
        lose(ctx, &Place::of(ctx, &scope), &instance).await?;
    }
    Ok(())
}

/// A zone can be reached again: what it should hold and does not is started.
async fn back(ctx: &TaskCtx, zone: &Zone) -> Result<()> {
    ctx.wake("ec2.resolver");
    let here = in_zone(ctx, zone).await?;
    let workloads = match ctx.drivers.machine.list(zone).await {
        Err(MachineError::ZoneDown { .. }) => return Ok(()),
        listed => listed?,
    };
    compare(ctx, zone, &here, &workloads).await?;
    for (scope, instance) in here {
        let place = Place::of(ctx, &scope);
        let (now, maker) = (ctx.now(), place.maker(ctx));
        let change = |tx: &mut WriteTx<'_>, kept: &mut Instance| {
            let waits = kept.lost && kept.state == State::Stopped;
            if waits {
                attachment::instance_started(tx, maker, &kept.id)?;
                kept.become_state(State::Pending, None, now);
                kept.launched = now;
            }
            Ok(waits)
        };
        place.update(&instance, change).await?;
    }
    Ok(())
}
