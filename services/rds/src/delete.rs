//! Taking a DB instance down: final snapshot, nodes, interfaces, volumes, name, record.

use std::time::Duration;

use kernel::Next;
use nodes::interface;
use secretsmanager_api::DeleteSecretInput;
use store::WriteTx;

use crate::error::{Error, Result};
use crate::reconcile::Work;
use crate::store::{DbInstance, INSTANCES, NodeRecord, Source, Status};
use crate::{backup, cluster, endpoint, event};

/// How soon something that is under way is looked at again.
const SOON: Duration = Duration::from_millis(100);

/// One step of deleting an instance.
pub(crate) async fn run(work: &Work, instance: &DbInstance) -> Result<Next> {
    if let Some(next) = free_replicas(work, instance).await? {
        return Ok(next);
    }
    if instance.final_snapshot.is_some() {
        backup::take(work, instance).await?;
        work.change(None, |instance| instance.final_snapshot = None).await?;
    }
    match instance.follows() {
        Some(source) => leave(work, instance, source).await?,
        None => work.ctx.drivers.clusters.let_go(&instance.resource_id).await,
    }
    for record in &instance.nodes {
        node(work, record).await?;
    }
    backup::forget_automated(work, instance).await?;
    if let Some(secret) = &instance.secret {
        delete_secret(work, &secret.arn).await?;
    }
    let (now, id) = (work.ctx.now(), work.ctx.random().uuid());
    let write = |tx: &mut WriteTx<'_>| -> Result<()> {
        endpoint::remove(tx, work.store.scope(), &work.name)?;
        if tx.delete(&INSTANCES, &work.name)? {
            let told = event::Told::new("deletion", "DB instance deleted");
            event::write(tx, work.store.scope(), now, &id, &work.name, &told)?;
        }
        Ok(())
    };
    work.store.write(write).await?;
    Ok(Next::Idle)
}

/// Makes the instance's read replicas instances of their own, and waits until they are.
async fn free_replicas(work: &Work, instance: &DbInstance) -> Result<Option<Next>> {
    let replicas = cluster::replicas_of(&work.store, &instance.name).await?;
    if replicas.is_empty() {
        return Ok(None);
    }
    let write = |tx: &mut WriteTx<'_>| -> Result<()> {
        for replica in &replicas {
            let Some(mut replica) = tx.get(&INSTANCES, &replica.name)? else { continue };
            if replica.status == Status::Failed {
                replica.source = Source::Nothing;
                tx.put(&INSTANCES, &replica)?;
            } else if replica.status.runs() && !replica.promote {
                replica.promote = true;
                tx.put(&INSTANCES, &replica)?;
            }
        }
        Ok(())
    };
    work.store.write(write).await?;
    Ok(Some(Next::Poll(SOON)))
}

/// Takes a read replica out of its source's cluster.
async fn leave(work: &Work, instance: &DbInstance, source: &str) -> Result<()> {
    let source = work.store.read(|tx| tx.get(&INSTANCES, source)).await?;
    let Some(running) =
        source.and_then(|source| work.ctx.drivers.clusters.held(&source.resource_id))
    else {
        return Ok(());
    };
    match running.cluster.remove(&instance.primary).await {
        Ok(()) | Err(engine::Error::UnknownNode(_)) => {}
        Err(error) => return Err(error.into()),
    }
    running.host.forget(&instance.primary).await?;
    Ok(())
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
    backup::remove_folder(&work.ctx.drivers.volume(&record.id)).await
}

async fn delete_secret(work: &Work, arn: &str) -> Result<()> {
    let input = DeleteSecretInput {
        secret_id: arn.to_owned(),
        force_delete_without_recovery: Some(true),
        ..Default::default()
    };
    match work.client().await?.call(input).await {
        Ok(_) => Ok(()),
        Err(error) if error.code == "ResourceNotFoundException" => Ok(()),
        Err(error) => Err(error.into()),
    }
}
