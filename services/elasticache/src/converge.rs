//! Keeping a cache as it is wanted: adopting its cluster, replicas, restarts, failover, size,
//! parameters.

use std::collections::BTreeSet;
use std::time::Duration;

use engine::{Loss, Role};
use kernel::Next;
use nodes::interface;
use store::WriteTx;

use crate::cluster::{self, Running, node_of, place_of};
use crate::create::{SOON, with_interfaces};
use crate::error::{Error, Result};
use crate::reconcile::Work;
use crate::store::{CACHES, Cache, NodeRecord, Status};
use crate::{delete, endpoint, event, parameter_group};

/// How long replicas may take to follow again before a change goes on another time.
const WHOLE_MAX: Duration = Duration::from_secs(60);

/// Brings a cache to what is wanted of it.
pub(crate) async fn run(work: &Work, cache: &Cache) -> Result<Next> {
    let running = cluster::of(&work.ctx, &work.store, cache).await?;
    running.keep_whole(&work.ctx, cluster::WATCH);
    set_groups(work, cache).await?;
    for node in cache.nodes.iter().filter(|node| node.leaving) {
        leave(work, node, &running).await?;
    }
    if cache.staying().any(|node| !node.joined) {
        return join(work, cache, &running).await;
    }
    for node in cache.staying().filter(|node| node.reboot) {
        reboot(work, node, &running).await?;
    }
    if cache.test_failover {
        fail_over(work, cache, &running).await?;
    }
    if cache.applied.node_type != cache.node_type {
        resize(work, cache).await?;
        return Ok(Next::Poll(Duration::ZERO));
    }
    apply_parameters(work, cache, &running).await?;
    work.change(&[], |cache| {
        let busy = cache.test_failover
            || cache.applied.node_type != cache.node_type
            || cache.applied.groups != cache.groups
            || cache.nodes.iter().any(|node| !node.joined || node.leaving || node.reboot);
        if cache.status == Status::Modifying && !busy {
            cache.status = Status::Available;
        }
    })
    .await?;
    Ok(Next::Idle)
}

async fn set_groups(work: &Work, cache: &Cache) -> Result<()> {
    if cache.applied.groups == cache.groups {
        return Ok(());
    }
    let client = work.client().await?;
    for eni in cache.nodes.iter().filter_map(|node| node.eni.as_ref()) {
        interface::set_groups(&client, eni, &cache.groups).await?;
    }
    let groups = cache.groups.clone();
    work.change(&[], |cache| cache.applied.groups.clone_from(&groups)).await?;
    Ok(())
}

/// Takes a node out of the cluster and removes what it has.
async fn leave(work: &Work, node: &NodeRecord, running: &Running) -> Result<()> {
    if running.cluster.status().primary.as_ref() == Some(&node.id) {
        // It became the primary after it was chosen to go.
        running.cluster.failover("the primary is to be removed", Loss::Accept).await?;
    }
    match running.cluster.remove(&node.id).await {
        Ok(()) | Err(engine::Error::UnknownNode(_)) => {}
        Err(error) => return Err(error.into()),
    }
    running.host.forget(&node.id).await?;
    delete::node(work, node).await?;
    let write = |tx: &mut WriteTx<'_>| -> Result<()> {
        let Some(mut cache) = tx.get(&CACHES, &work.key)? else { return Ok(()) };
        cache.nodes.retain(|known| known.id != node.id);
        tx.put(&CACHES, &cache)?;
        endpoint::remove_node(tx, work.store.scope(), &node.cluster)?;
        endpoint::write(tx, work.store.scope(), &cache)
    };
    work.store.write(write).await?;
    let told = event::Told::of_cluster(&node.cluster, "Cache cluster deleted");
    work.change(&[told], |_| {}).await?;
    Ok(())
}

/// Makes new nodes replicas of the cluster.
async fn join(work: &Work, cache: &Cache, running: &Running) -> Result<Next> {
    let Some(cache) = with_interfaces(work, cache).await? else { return Ok(Next::Poll(SOON)) };
    let template = work.ctx.drivers.drivers.engines.template(&running.root).await?;
    for record in cache.staying().filter(|node| !node.joined) {
        let node = node_of(&work.ctx.drivers, &cache, record);
        let (Some(node), Some(place)) = (node, place_of(&cache, record)?) else {
            return Ok(Next::Poll(SOON));
        };
        running.host.put(&node.id, place);
        tokio::fs::create_dir_all(&node.volume).await?;
        let status = running.cluster.status();
        if !status.nodes.iter().any(|known| known.id == node.id) {
            // A try that was cut off may have left its process.
            engine::Host::stop(running.host.as_ref(), &node).await?;
            running.cluster.add(node.clone(), Role::Replica, &template).await?;
        }
        if engine::Host::reach(running.host.as_ref(), &node).await.is_err() {
            return Ok(Next::Poll(SOON));
        }
        joined(work, record).await?;
    }
    Ok(Next::Poll(Duration::ZERO))
}

async fn joined(work: &Work, record: &NodeRecord) -> Result<()> {
    let now = work.ctx.now();
    let write = |tx: &mut WriteTx<'_>| -> Result<()> {
        let Some(mut cache) = tx.get(&CACHES, &work.key)? else { return Ok(()) };
        for node in cache.nodes.iter_mut().filter(|node| node.id == record.id) {
            (node.joined, node.serving) = (true, true);
            node.created = Some(now);
        }
        tx.put(&CACHES, &cache)?;
        endpoint::write(tx, work.store.scope(), &cache)
    };
    work.store.write(write).await?;
    let text = format!("Added cache node 0001 in availability zone {}", record.zone);
    let told = [
        event::Told::of_cluster(&record.cluster, text),
        event::Told::of_cluster(&record.cluster, "Cache cluster created"),
    ];
    work.change(&told, |_| {}).await?;
    Ok(())
}

async fn reboot(work: &Work, node: &NodeRecord, running: &Running) -> Result<()> {
    running.cluster.restart(&node.id).await?;
    let told = event::Told::of_cluster(&node.cluster, "Cache node 0001 restarted");
    work.change(&[told], |cache| {
        for known in cache.nodes.iter_mut().filter(|known| known.id == node.id) {
            (known.reboot, known.stale) = (false, false);
        }
    })
    .await?;
    Ok(())
}

/// Has a replica take over, as a test of what happens when the primary dies.
async fn fail_over(work: &Work, cache: &Cache, running: &Running) -> Result<()> {
    whole(cache, running).await?;
    running.cluster.failover("TestFailover was called", Loss::Accept).await?;
    work.change(&[], |cache| cache.test_failover = false).await?;
    // The group is available again when the old primary is back as a replica.
    whole(cache, running).await
}

/// Waits until every node serves.
async fn whole(cache: &Cache, running: &Running) -> Result<()> {
    let wanted: BTreeSet<_> =
        cache.staying().filter(|node| node.joined).map(|node| node.id.clone()).collect();
    let waiting = async {
        loop {
            let seen = cluster::serving(&running.cluster.observe().await.nodes);
            if seen.is_superset(&wanted) {
                return;
            }
            tokio::time::sleep(SOON).await;
        }
    };
    let waited = tokio::time::timeout(WHOLE_MAX, waiting).await;
    waited.map_err(|_| Error::Engine(engine::Error::Timeout("all nodes to serve")))
}

/// Gives the nodes the memory and processors of another node type: the cluster is made anew over
/// the nodes that run, and they are started again, replicas first. Then one of these takes over, so
/// that the cache is away for the time of a failover only.
async fn resize(work: &Work, cache: &Cache) -> Result<()> {
    work.ctx.drivers.clusters.let_go(&cache.resource_id).await;
    let running = cluster::of(&work.ctx, &work.store, cache).await?;
    let status = running.cluster.observe().await;
    let primary = status.primary.clone().unwrap_or_default();
    let replicas: Vec<_> = status.nodes.iter().filter(|node| node.id != primary).collect();
    for replica in &replicas {
        running.cluster.restart(&replica.id).await?;
        whole(cache, &running).await?;
    }
    running.keep_whole(&work.ctx, cluster::WATCH);
    if replicas.is_empty() {
        running.cluster.restart(&primary).await?;
    } else {
        running.cluster.failover("the cache is scaled", Loss::Accept).await?;
    }
    whole(cache, &running).await?;
    let wanted = cache.node_type.clone();
    let text = format!("Finished applying modification to node type {wanted}");
    work.change(&[event::Told::of_cache(cache, text)], |cache| {
        cache.applied.node_type.clone_from(&wanted);
        for node in &mut cache.nodes {
            node.stale = false;
        }
    })
    .await?;
    Ok(())
}

/// Brings the parameter group's values to the engine; names those that wait for a restart.
async fn apply_parameters(work: &Work, cache: &Cache, running: &Running) -> Result<()> {
    let wanted = parameter_group::values(&work.store, &cache.parameter_group).await?;
    let group = cache.parameter_group.clone();
    if wanted == cache.applied.values && group == cache.applied.parameter_group {
        return Ok(());
    }
    whole(cache, running).await?;
    let pending = running.cluster.apply_parameters(wanted.clone()).await?;
    let told = event::Told::of_cache(cache, format!("Updated parameter group {group}"));
    work.change(&[told], |cache| {
        cache.applied.parameter_group.clone_from(&group);
        cache.applied.values.clone_from(&wanted);
        for node in &mut cache.nodes {
            node.stale = node.stale || !pending.is_empty();
        }
    })
    .await?;
    Ok(())
}
