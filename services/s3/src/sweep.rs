//! The end of blobs that nothing refers to: those whose objects went, after a while in which
//! downloads may end; and those that a crash left between landing and being referred to.

use std::time::Duration;

use blob::BlobId;
use kernel::{Next, TaskCtx, TaskError};

use crate::Drivers;
use crate::store::{Area, GARBAGE, OBJECT_OF, PACKS, PART_OF, PAST_OF};

/// How long bytes stay after their object went, so that downloads that began before end well.
const GRACE: Duration = Duration::from_secs(300);
/// How many blobs one run removes.
const BATCH: usize = 500;

/// Removes blobs whose grace is over.
pub(crate) async fn remove_garbage(ctx: TaskCtx<Drivers>) -> Result<Next, TaskError> {
    loop {
        let now = ctx.now();
        let page = ctx.store.read(|tx| tx.scan_page(&GARBAGE, None, BATCH)).await?;
        let due: Vec<_> = page.records.iter().filter(|g| g.since + GRACE <= now).collect();
        for garbage in &due {
            match garbage.area {
                Area::Hot => ctx.drivers.blobs.delete(&garbage.blob).await?,
                Area::Archive => ctx.drivers.blobs.archive().delete(&garbage.blob).await?,
            }
        }
        if !due.is_empty() {
            ctx.store
                .write(|tx| {
                    for garbage in &due {
                        tx.delete(&GARBAGE, store::Record::key(*garbage))?;
                    }
                    Ok::<_, store::Error>(())
                })
                .await?;
        }
        let waiting = page.records.get(due.len()).map(|garbage| garbage.since + GRACE);
        match waiting {
            Some(time) => return Ok(Next::At(time)),
            None if page.next.is_none() => return Ok(Next::Idle),
            None => {}
        }
    }
}

/// Removes blobs of earlier runs that nothing refers to.
pub(crate) async fn remove_orphans(ctx: TaskCtx<Drivers>) -> Result<Next, TaskError> {
    for blob in ctx.drivers.blobs.earlier().await? {
        if !is_referred_to(&ctx, &blob).await? {
            ctx.drivers.blobs.delete(&blob).await?;
        }
    }
    let archive = ctx.drivers.blobs.archive();
    for pack in archive.earlier().await? {
        let id = pack.as_str();
        let is_kept = ctx.store.read(|tx| tx.contains(&PACKS, id)).await?;
        if !is_kept && !is_garbage(&ctx, &pack).await? {
            archive.delete(&pack).await?;
        }
    }
    Ok(Next::Idle)
}

async fn is_garbage(ctx: &TaskCtx<Drivers>, blob: &BlobId) -> Result<bool, store::Error> {
    let all = ctx.store.read(|tx| tx.scan(&GARBAGE, ())).await?;
    Ok(all.iter().any(|garbage| garbage.blob == *blob))
}

async fn is_referred_to(ctx: &TaskCtx<Drivers>, blob: &BlobId) -> Result<bool, store::Error> {
    let id = blob.as_str();
    ctx.store
        .read(|tx| {
            Ok(tx.find_one(&OBJECT_OF, id)?.is_some()
                || tx.find_one(&PART_OF, id)?.is_some()
                || tx.find_one(&PAST_OF, id)?.is_some())
        })
        .await
}
