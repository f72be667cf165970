//! Bringing a DB instance up: interfaces, volumes, engine, name.

use std::time::Duration;

use engine::{Host, Origin, Role};
use kernel::Next;
use store::WriteTx;

use crate::cluster::{self, Running, node_of, place_of};
use crate::error::{Error, Result};
use crate::reconcile::Work;
use crate::store::{Applied, DbInstance, INSTANCES, NodeRecord, Source, Status};
use crate::{NETWORK, credentials, endpoint, event, parameter_group, window};

/// How soon something that is under way is looked at again.
const SOON: Duration = Duration::from_millis(100);

/// One step of making an instance.
pub(crate) async fn run(work: &Work, instance: &DbInstance) -> Result<Next> {
    let Some(instance) = with_interfaces(work, instance).await? else {
        return Ok(Next::Poll(SOON));
    };
    match &instance.source {
        Source::Replica { of } => join(work, &instance, of).await,
        Source::Nothing => {
            let engine = engine::Engine { kind: instance.engine, version: instance.series.clone() };
            let engines = &work.ctx.drivers.drivers.engines;
            let root = engines.ensure(&engine).await?;
            let template = engines.template(&root).await?;
            raise(work, &instance, &Origin::Template(template)).await
        }
        Source::Snapshot { folder, .. } => {
            let path = work.ctx.drivers.drivers.data_dir.join("snapshots").join(folder);
            raise(work, &instance, &Origin::Snapshot(path)).await
        }
    }
}

/// The instance when each of its nodes has an interface that the fabric carries.
pub(crate) async fn with_interfaces(
    work: &Work,
    instance: &DbInstance,
) -> Result<Option<DbInstance>> {
    let mut nodes = instance.nodes.clone();
    if nodes.iter().any(|node| node.eni.is_none()) {
        let client = work.client().await?;
        for node in nodes.iter_mut().filter(|node| node.eni.is_none()) {
            let made = NETWORK.make(&client, &node.id, &node.subnet, &instance.groups).await?;
            (node.eni, node.address) = (made.eni, made.address);
        }
        work.change(None, |instance| instance.nodes.clone_from(&nodes)).await?;
    }
    let observed = work.ctx.drivers.drivers.net.observe().await;
    let observed = observed.map_err(|error| Error::Io(std::io::Error::other(error)))?;
    let carried = |node: &NodeRecord| {
        node.eni.as_ref().is_some_and(|eni| observed.interfaces.contains_key(eni))
    };
    let ready = nodes.iter().all(carried);
    Ok(ready.then(|| DbInstance { nodes, ..instance.clone() }))
}

async fn raise(work: &Work, instance: &DbInstance, origin: &Origin) -> Result<Next> {
    let drivers = &work.ctx.drivers;
    let running = cluster::of(&work.ctx, &work.store, instance).await?;
    for node in &instance.nodes {
        tokio::fs::create_dir_all(drivers.volume(&node.id)).await?;
    }
    let login = credentials::login(drivers, instance)?;
    running.cluster.create(origin, &login, instance.database.as_deref()).await?;
    if !answers(work, instance, &running).await {
        return Ok(Next::Poll(SOON));
    }
    let told = match &instance.source {
        Source::Snapshot { name, .. } => format!("Restored from snapshot {name}"),
        Source::Nothing | Source::Replica { .. } => "DB instance created".to_owned(),
    };
    finish(work, instance, &running, event::Told::new("creation", told)).await?;
    running.keep_whole(&work.ctx, cluster::WATCH);
    Ok(Next::Idle)
}

/// Whether the address that the instance's name will lead to takes connections.
async fn answers(work: &Work, instance: &DbInstance, running: &Running) -> bool {
    let node = instance.primary_node();
    match node.and_then(|node| node_of(&work.ctx.drivers, instance, node)) {
        Some(node) => running.host.reach(&node).await.is_ok(),
        None => false,
    }
}

/// Makes a read replica a node of its source's cluster.
async fn join(work: &Work, instance: &DbInstance, of: &str) -> Result<Next> {
    let source = work.store.read(|tx| tx.get(&INSTANCES, of)).await?;
    let Some(source) = source.filter(|source| source.status != Status::Deleting) else {
        return Err(Error::Inside(kernel::ServiceError::new(
            "InvalidDBInstanceState",
            "the source of the read replica is gone",
        )));
    };
    if !source.status.runs() {
        return Ok(Next::Poll(SOON));
    }
    let running = cluster::of(&work.ctx, &work.store, &source).await?;
    let parts = instance
        .primary_node()
        .map(|node| (node_of(&work.ctx.drivers, instance, node), place_of(instance, node)));
    let Some((Some(node), Ok(Some(place)))) = parts else { return Ok(Next::Poll(SOON)) };
    running.host.put(&node.id, place);
    tokio::fs::create_dir_all(&node.volume).await?;
    let known = running.cluster.status().nodes.iter().any(|known| known.id == node.id);
    if !known {
        // A try that was cut off may have left its process.
        running.host.stop(&node).await?;
        let template = work.ctx.drivers.drivers.engines.template(&running.root).await?;
        running.cluster.add(node.clone(), Role::Replica, &template).await?;
        work.change(None, |instance| instance.joined = true).await?;
    }
    if running.host.reach(&node).await.is_err() {
        return Ok(Next::Poll(SOON));
    }
    let told = event::Told::new("creation", "DB instance created");
    finish(work, instance, &running, told).await?;
    Ok(Next::Idle)
}

async fn finish(
    work: &Work,
    instance: &DbInstance,
    running: &Running,
    told: event::Told,
) -> Result<()> {
    let now = work.ctx.now();
    let values = parameter_group::values(&work.store, &instance.parameter_group).await?;
    let next_backup = window::daily(&instance.backup_window)
        .filter(|_| instance.backup_retention_days > 0)
        .map(|window| window.next_start(now));
    let id = work.ctx.random().uuid();
    let write = |tx: &mut WriteTx<'_>| -> Result<()> {
        let Some(mut instance) = tx.get(&INSTANCES, &work.name)? else { return Ok(()) };
        if instance.status != Status::Creating {
            return Ok(());
        }
        instance.status = Status::Available;
        instance.version.clone_from(&running.root.version);
        instance.created = Some(now);
        instance.next_backup = next_backup;
        instance.applied = Applied {
            class: instance.class.clone(),
            port: instance.port,
            groups: instance.groups.clone(),
            password: instance.password_revision,
            parameter_group: instance.parameter_group.clone(),
            values: values.clone(),
        };
        tx.put(&INSTANCES, &instance)?;
        endpoint::write(tx, work.store.scope(), &instance)?;
        event::write(tx, work.store.scope(), now, &id, &instance.name, &told)
    };
    work.store.write(write).await
}
