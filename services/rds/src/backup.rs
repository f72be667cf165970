//! Taking DB snapshots, and the daily ones that are kept for the retention period.

use std::time::Duration;

use kernel::Next;
use store::WriteTx;

use crate::cluster;
use crate::error::{Error, Result};
use crate::reconcile::Work;
use crate::store::{
    DbInstance, INSTANCES, SNAPSHOTS, Snapshot, SnapshotKind, SnapshotStatus, Status,
};
use crate::{event, window};

/// Starts the daily snapshot when its window has come.
pub(crate) async fn due(work: &Work, instance: &DbInstance) -> Result<Option<Next>> {
    let now = work.ctx.now();
    let Some(at) = instance.next_backup.filter(|at| *at <= now) else { return Ok(None) };
    let next = window::daily(&instance.backup_window).map(|window| window.next_start(now));
    let name = format!("rds:{}-{}", instance.name, window::stamp(at));
    let folder = folder_name(&work.ctx.random().uuid());
    let write = |tx: &mut WriteTx<'_>| -> Result<()> {
        let Some(mut instance) = tx.get(&INSTANCES, &work.name)? else { return Ok(()) };
        if !tx.contains(&SNAPSHOTS, &name)? {
            let made = new(&instance, &name, SnapshotKind::Automated, &folder, now);
            tx.put(&SNAPSHOTS, &made)?;
        }
        instance.next_backup = next;
        instance.status = Status::BackingUp;
        tx.put(&INSTANCES, &instance)?;
        Ok(())
    };
    work.store.write(write).await?;
    Ok(Some(Next::Poll(Duration::ZERO)))
}

/// The folder of a snapshot below that of all.
pub(crate) fn folder_name(uuid: &str) -> String {
    format!("snap-{uuid}")
}

/// A snapshot that is to be taken.
pub(crate) fn new(
    of: &DbInstance,
    name: &str,
    kind: SnapshotKind,
    folder: &str,
    now: base::Timestamp,
) -> Snapshot {
    Snapshot {
        name: name.to_owned(),
        kind,
        status: SnapshotStatus::Creating,
        created: None,
        asked: now,
        folder: folder.to_owned(),
        size_bytes: 0,
        of: of.clone(),
        tags: if of.copy_tags_to_snapshot { of.tags.clone() } else { base::Tags::new() },
    }
}

/// Takes the snapshots of an instance that are asked for.
pub(crate) async fn run(work: &Work, instance: &DbInstance) -> Result<Next> {
    take(work, instance).await?;
    forget_old(work, instance).await?;
    work.change(None, |instance| {
        if instance.status == Status::BackingUp {
            instance.status = Status::Available;
        }
    })
    .await?;
    Ok(Next::Poll(Duration::ZERO))
}

/// Takes the snapshots that are asked for, one after the other.
pub(crate) async fn take(work: &Work, instance: &DbInstance) -> Result<()> {
    let all = of_instance(work, instance).await?;
    for snapshot in all.iter().filter(|one| one.status == SnapshotStatus::Creating) {
        let running = cluster::of(&work.ctx, &work.store, instance).await?;
        running.keep_whole(&work.ctx, cluster::WATCH);
        let target = path(work, snapshot);
        remove_folder(&target).await?;
        running.cluster.snapshot(&target).await?;
        let size_bytes = folder_size(target).await?;
        finish(work, snapshot, size_bytes).await?;
    }
    Ok(())
}

async fn finish(work: &Work, snapshot: &Snapshot, size_bytes: u64) -> Result<()> {
    let (now, id) = (work.ctx.now(), work.ctx.random().uuid());
    let told = match snapshot.kind {
        SnapshotKind::Manual => event::Told::of_snapshot("creation", "Manual snapshot created"),
        SnapshotKind::Automated => {
            event::Told::of_snapshot("creation", "Automated snapshot created")
        }
    };
    let write = |tx: &mut WriteTx<'_>| -> Result<()> {
        let Some(mut taken) = tx.get(&SNAPSHOTS, &snapshot.name)? else { return Ok(()) };
        taken.status = SnapshotStatus::Available;
        taken.created = Some(now);
        taken.size_bytes = size_bytes;
        tx.put(&SNAPSHOTS, &taken)?;
        event::write(tx, work.store.scope(), now, &id, &snapshot.name, &told)
    };
    work.store.write(write).await
}

async fn of_instance(work: &Work, instance: &DbInstance) -> Result<Vec<Snapshot>> {
    let mut all: Vec<Snapshot> = work.store.read(|tx| tx.scan(&SNAPSHOTS, ())).await?;
    all.retain(|snapshot| snapshot.of.resource_id == instance.resource_id);
    Ok(all)
}

/// The folder of a snapshot's data.
fn path(work: &Work, snapshot: &Snapshot) -> std::path::PathBuf {
    work.ctx.drivers.drivers.data_dir.join("snapshots").join(&snapshot.folder)
}

/// Removes the daily snapshots that are older than the retention period.
async fn forget_old(work: &Work, instance: &DbInstance) -> Result<()> {
    let oldest = window::days_before(work.ctx.now(), instance.backup_retention_days);
    for snapshot in of_instance(work, instance).await? {
        if snapshot.kind == SnapshotKind::Automated && snapshot.asked < oldest {
            forget(work, &snapshot).await?;
        }
    }
    Ok(())
}

/// Removes all daily snapshots of an instance.
pub(crate) async fn forget_automated(work: &Work, instance: &DbInstance) -> Result<()> {
    for snapshot in of_instance(work, instance).await? {
        if snapshot.kind == SnapshotKind::Automated {
            forget(work, &snapshot).await?;
        }
    }
    Ok(())
}

async fn forget(work: &Work, snapshot: &Snapshot) -> Result<()> {
    remove_folder(&path(work, snapshot)).await?;
    work.store.write(|tx| tx.delete(&SNAPSHOTS, &snapshot.name).map(|_| ())).await?;
    Ok(())
}

/// Removes a folder; one that is not there is no error.
pub(crate) async fn remove_folder(path: &std::path::Path) -> Result<()> {
    match tokio::fs::remove_dir_all(path).await {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
        Ok(()) | Err(_) => Ok(()),
    }
}

async fn folder_size(path: std::path::PathBuf) -> Result<u64> {
    let counted = tokio::task::spawn_blocking(move || size_of(&path)).await;
    counted.map_err(|error| Error::Io(std::io::Error::other(error)))?.map_err(Error::from)
}

fn size_of(path: &std::path::Path) -> std::io::Result<u64> {
    let mut sum = 0_u64;
    for entry in std::fs::read_dir(path)? {
        let entry = entry?;
        let meta = entry.metadata()?;
        let size = if meta.is_dir() { size_of(&entry.path())? } else { meta.len() };
        sum = sum.saturating_add(size);
    }
    Ok(sum)
}
