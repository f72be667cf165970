//! Taking a cache down: nodes, interfaces, volumes, names, record.

use std::path::Path;

use kernel::Next;
use nodes::interface;
use store::WriteTx;

use crate::error::{Error, Result};
use crate::reconcile::Work;
use crate::store::{CACHES, Cache, Kind, NodeRecord};
use crate::{cluster, endpoint, event};

/// Deletes a cache.
pub(crate) async fn run(work: &Work, cache: &Cache) -> Result<Next> {
    work.ctx.drivers.clusters.let_go(&cache.resource_id).await;
    for record in &cache.nodes {
        node(work, record).await?;
    }
    let now = work.ctx.now();
    let mut told: Vec<_> = cache
        .nodes
        .iter()
        .map(|node| event::Told::of_cluster(&node.cluster, "Cache cluster deleted"))
        .collect();
    if cache.kind == Kind::Group {
        told.push(event::Told::of_cache(cache, "Replication group deleted"));
    }
    let ids: Vec<_> = told.iter().map(|_| work.ctx.random().uuid()).collect();
    let write = |tx: &mut WriteTx<'_>| -> Result<()> {
        endpoint::remove(tx, work.store.scope(), cache)?;
        if tx.delete(&CACHES, &work.key)? {
            event::write_all(tx, now, &ids, &told)?;
        }
        Ok(())
    };
    work.store.write(write).await?;
    Ok(Next::Idle)
}

/// Removes everything of a node: process, interface, volume.
pub(crate) async fn node(work: &Work, record: &NodeRecord) -> Result<()> {
    let drivers = &work.ctx.drivers.drivers;
    match drivers.machine.remove(&record.zone, &cluster::TERMS.workload(&record.id)).await {
        // Nothing of a zone outlives its supervisor.
        Ok(()) | Err(machine::Error::ZoneDown { .. }) => {}
        Err(error) => return Err(Error::Io(std::io::Error::other(error))),
    }
    if let Some(eni) = &record.eni {
        interface::delete(&work.client().await?, eni).await?;
    }
    remove_folder(&work.ctx.drivers.volume(&record.id)).await
}

async fn remove_folder(path: &Path) -> Result<()> {
    match tokio::fs::remove_dir_all(path).await {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
        Ok(()) | Err(_) => Ok(()),
    }
}
