//! Bringing a cache up: interfaces, volumes, engine, names.

use std::time::Duration;

use engine::{Engine, Host, Login, Origin};
use kernel::Next;
use store::WriteTx;

use crate::cluster::{self, Running, node_of};
use crate::error::{Error, Result};
use crate::reconcile::Work;
use crate::store::{Applied, CACHES, Cache, Kind, NodeRecord, Status};
use crate::{NETWORK, endpoint, event, parameter_group};

/// How soon something that is under way is looked at again.
pub(crate) const SOON: Duration = Duration::from_millis(100);

/// One step of making a cache.
pub(crate) async fn run(work: &Work, cache: &Cache) -> Result<Next> {
    let Some(cache) = with_interfaces(work, cache).await? else {
        return Ok(Next::Poll(SOON));
    };
    let drivers = &work.ctx.drivers;
    let engine = Engine { kind: cache.engine, version: cache.series.clone() };
    let root = drivers.drivers.engines.ensure(&engine).await?;
    let template = drivers.drivers.engines.template(&root).await?;
    let running = cluster::of(&work.ctx, &work.store, &cache).await?;
    for node in &cache.nodes {
        tokio::fs::create_dir_all(drivers.volume(&node.id)).await?;
    }
    // A cache has no owner's user: whoever reaches its port may use it.
    let nobody = Login { user: String::new(), password: String::new() };
    running.cluster.create(&Origin::Template(template), &nobody, None).await?;
    if !answers(work, &cache, &running).await {
        return Ok(Next::Poll(SOON));
    }
    finish(work, &running).await?;
    running.keep_whole(&work.ctx, cluster::WATCH);
    Ok(Next::Idle)
}

/// The cache when each of its nodes has an interface that the fabric carries.
pub(crate) async fn with_interfaces(work: &Work, cache: &Cache) -> Result<Option<Cache>> {
    let mut nodes = cache.nodes.clone();
    if nodes.iter().any(|node| node.eni.is_none()) {
        let client = work.client().await?;
        for node in nodes.iter_mut().filter(|node| node.eni.is_none()) {
            let made = NETWORK.make(&client, &node.id, &node.subnet, &cache.groups).await?;
            (node.eni, node.address) = (made.eni, made.address);
        }
        work.change(&[], |cache| {
            for made in &nodes {
                for node in cache.nodes.iter_mut().filter(|node| node.id == made.id) {
                    (node.eni, node.address) = (made.eni.clone(), made.address);
                }
            }
        })
        .await?;
    }
    let observed = work.ctx.drivers.drivers.net.observe().await;
    let observed = observed.map_err(|error| Error::Io(std::io::Error::other(error)))?;
    let carried = |node: &NodeRecord| {
        node.eni.as_ref().is_some_and(|eni| observed.interfaces.contains_key(eni))
    };
    let ready = nodes.iter().all(carried);
    Ok(ready.then(|| Cache { nodes, ..cache.clone() }))
}

/// Whether each address that the cache's names will lead to takes connections.
async fn answers(work: &Work, cache: &Cache, running: &Running) -> bool {
    for record in &cache.nodes {
        let Some(node) = node_of(&work.ctx.drivers, cache, record) else { return false };
        if running.host.reach(&node).await.is_err() {
            return false;
        }
    }
    true
}

/// What is told when a cache is made.
fn told(cache: &Cache) -> Vec<event::Told> {
    let mut told = Vec::new();
    for node in &cache.nodes {
        let text = format!("Added cache node 0001 in availability zone {}", node.zone);
        told.push(event::Told::of_cluster(&node.cluster, text));
        told.push(event::Told::of_cluster(&node.cluster, "Cache cluster created"));
    }
    if cache.kind == Kind::Group {
        told.push(event::Told::of_cache(
            cache,
            format!("Replication group {} created", cache.name),
        ));
    }
    told
}

async fn finish(work: &Work, running: &Running) -> Result<()> {
    let now = work.ctx.now();
    let status = running.cluster.observe().await;
    let serving = cluster::serving(&status.nodes);
    let Some(cache) = work.load().await? else { return Ok(()) };
    let values = parameter_group::values(&work.store, &cache.parameter_group).await?;
    let told = told(&cache);
    let ids: Vec<_> = told.iter().map(|_| work.ctx.random().uuid()).collect();
    let write = |tx: &mut WriteTx<'_>| -> Result<()> {
        let Some(mut cache) = tx.get(&CACHES, &work.key)? else { return Ok(()) };
        if cache.status != Status::Creating {
            return Ok(());
        }
        cache.status = Status::Available;
        cache.version.clone_from(&running.root.version);
        cache.created = Some(now);
        for node in &mut cache.nodes {
            node.created = Some(now);
            node.joined = true;
            node.serving = serving.contains(&node.id);
        }
        cache.applied = Applied {
            node_type: cache.node_type.clone(),
            groups: cache.groups.clone(),
            parameter_group: cache.parameter_group.clone(),
            values: values.clone(),
        };
        tx.put(&CACHES, &cache)?;
        endpoint::write(tx, work.store.scope(), &cache)?;
        event::write_all(tx, now, &ids, &told)
    };
    work.store.write(write).await
}
