//! The way of bytes into the archive and back: archived objects leave the hot store for packs,
//! restored ones get a copy there until it expires.
//!
//! Each step notes what it made in the transaction that makes it count: a pack or a copy that no
//! record names is an orphan, which the sweep after the next start removes.

use base::Timestamp;
use blob::{BlobId, PackReader, PackWriter};
use http_body_util::BodyExt;
use kernel::{Next, TaskCtx, TaskError};
use store::WriteTx;

use crate::Drivers;
use crate::error::{Error, Result};
use crate::read::{Held, held, stream_of};
use crate::restore::expiry;
use crate::store::{
    Area, Bytes, OBJECT_OF, OBJECT_PENDING, OBJECTS_NAME, Object, PACKS, PAST_NAME, PAST_OF,
    PAST_PENDING, Pack, Restore, discard, discard_bytes_only, discard_in, release,
};
use crate::version::{self, Named};

type Ctx = TaskCtx<Drivers>;

/// The tables whose changes this task looks at.
pub(crate) const WAKES: &[&str] = &[OBJECTS_NAME, PAST_NAME];
/// How many objects one look takes.
const BATCH: usize = 256;
/// When a pack is full.
const PACK_BYTES: u64 = 64 * 1024 * 1024;

/// Does what is due with the bytes of archived objects.
pub(crate) async fn run(ctx: Ctx) -> std::result::Result<Next, TaskError> {
    loop {
        let now = ctx.now();
        let due = pending(&ctx, ..=now).await?;
        if due.is_empty() {
            return Ok(match first_pending(&ctx, now).await? {
                Some(at) => Next::At(at),
                None => Next::Idle,
            });
        }
        let (coming, going): (Vec<Object>, Vec<Object>) =
            due.into_iter().partition(|object| object.restore.is_some() || !object.is_archived());
        for object in coming {
            bring(&ctx, object, now).await?;
        }
        pack(&ctx, &going, now).await?;
    }
}

async fn pending(ctx: &Ctx, range: std::ops::RangeToInclusive<Timestamp>) -> Result<Vec<Object>> {
    ctx.store
        .read(|tx| {
            let mut found = tx.find_range(&OBJECT_PENDING, range, BATCH)?;
            let past = tx.find_range(&PAST_PENDING, range, BATCH)?;
            found.extend(past.iter().filter_map(|past| past.object().cloned()));
            Ok(found)
        })
        .await
}

async fn first_pending(ctx: &Ctx, now: Timestamp) -> Result<Option<Timestamp>> {
    ctx.store
        .read(|tx| {
            let current = tx.find_range(&OBJECT_PENDING, now.., 1)?;
            let past = tx.find_range(&PAST_PENDING, now.., 1)?;
            let past = past.first().and_then(|past| past.object());
            Ok([current.first(), past].into_iter().flatten().filter_map(Object::pending).min())
        })
        .await
}

/// The object, if it still is as it was read.
fn unchanged(tx: &WriteTx<'_>, object: &Object) -> Result<Option<Object>> {
    let found = match version::object(tx, &object.bucket, &object.key, &Named::of(&object.version))
    {
        Ok(found) => found,
        Err(Error::Store(error)) => return Err(Error::Store(error)),
        Err(_) => return Ok(None),
    };
    let same = found.version == object.version
        && found.bytes == object.bytes
        && found.restore == object.restore
        && found.is_archived() == object.is_archived();
    Ok(same.then_some(found))
}

/// Ends a copy whose time is over, or brings one.
async fn bring(ctx: &Ctx, object: Object, now: Timestamp) -> Result<()> {
    if let Some(Restore { expires: Some(_), copy, .. }) = &object.restore {
        return ctx
            .store
            .write(|tx| {
                let Some(mut found) = unchanged(tx, &object)? else { return Ok(()) };
                if let Some(copy) = copy.clone() {
                    discard(tx, copy, now)?;
                }
                found.restore = None;
                version::rewrite(tx, &found)
            })
            .await;
    }
    let copy = copy_of(ctx, &object).await?;
    let taken = ctx
        .store
        .write(|tx| {
            let Some(mut found) = unchanged(tx, &object)? else {
                discard(tx, copy.clone(), now)?;
                return Ok(());
            };
            match found.restore.take() {
                Some(Restore { days: Some(days), tier, ready, .. }) => {
                    let expires = Some(expiry(ready, days));
                    let copy = Some(copy.clone());
                    found.restore = Some(Restore { days: Some(days), tier, ready, expires, copy });
                }
                Some(_) | None => {
                    // Back for good.
                    discard_bytes_only(tx, &found.bytes, now)?;
                    found.bytes = match found.bytes {
                        Bytes::Packed { upload: Some(upload), .. }
                        | Bytes::Joined { upload, .. }
                        | Bytes::Parts { upload, .. } => {
                            Bytes::Joined { blob: copy.clone(), upload }
                        }
                        Bytes::Packed { upload: None, .. } | Bytes::Whole(_) | Bytes::Small(_) => {
                            Bytes::Whole(copy.clone())
                        }
                    };
                    if let Some(tiering) = &mut found.tiering {
                        tiering.archived = None;
                        tiering.accessed = now;
                    }
                }
            }
            version::rewrite(tx, &found)
        })
        .await;
    if taken.is_err() {
        ctx.drivers.blobs.delete(&copy).await.map_err(Error::Blob)?;
    }
    taken
}

/// A blob of its own with an object's plain bytes.
async fn copy_of(ctx: &Ctx, object: &Object) -> Result<BlobId> {
    let mut writer = ctx.drivers.blobs.create().await.map_err(Error::Blob)?;
    if let Bytes::Packed { pack, offset, length, .. } = &object.bytes {
        let reader = ctx.drivers.blobs.archive().open(pack).await.map_err(Error::Blob)?;
        let mut member = PackReader::new(reader, *offset, *length).map_err(Error::Blob)?;
        loop {
            let bytes = member.next().await.map_err(Error::Blob)?;
            if bytes.is_empty() {
                return writer.finish().await.map_err(Error::Blob);
            }
            writer.write(&bytes).await.map_err(Error::Blob)?;
        }
    }
    let named = Named::of(&object.version);
    let held = ctx.store.read(|tx| held(tx, &object.bucket, &object.key, &named)).await?;
    let body = stream_of(&ctx.drivers, held, None, None).await?;
    let mut body = body.take().ok_or(Error::IncompleteBody)?;
    while let Some(frame) = body.frame().await {
        if let Ok(data) = frame.map_err(Error::Blob)?.into_data() {
            writer.write(&data).await.map_err(Error::Blob)?;
        }
    }
    writer.finish().await.map_err(Error::Blob)
}

/// Puts objects into packs.
async fn pack(ctx: &Ctx, objects: &[Object], now: Timestamp) -> Result<()> {
    let mut rest = objects.iter().peekable();
    while rest.peek().is_some() {
        let writer = ctx.drivers.blobs.archive().create().await.map_err(Error::Blob)?;
        let mut pack = PackWriter::new(writer);
        let mut members = Vec::new();
        while pack.len() < PACK_BYTES
            && let Some(object) = rest.next()
        {
            if let Some(place) = add(ctx, &mut pack, object).await? {
                members.push((object, place));
            }
        }
        if members.is_empty() {
            pack.abandon().await;
            continue;
        }
        let size = pack.len();
        let blob = pack.finish().await.map_err(Error::Blob)?;
        ctx.store.write(|tx| settle(tx, (&blob, size), &members, now)).await?;
    }
    Ok(())
}

/// Compresses an object into a pack; nothing where it was changed meanwhile.
async fn add(ctx: &Ctx, pack: &mut PackWriter, object: &Object) -> Result<Option<(u64, u64)>> {
    let named = Named::of(&object.version);
    let held: Held = match ctx.store.read(|tx| held(tx, &object.bucket, &object.key, &named)).await
    {
        Ok(held) if held.object.bytes == object.bytes => held,
        Ok(_) => return Ok(None),
        Err(Error::Store(error)) => return Err(Error::Store(error)),
        Err(_) => return Ok(None),
    };
    let body = stream_of(&ctx.drivers, held, None, None).await?;
    let mut body = body.take().ok_or(Error::IncompleteBody)?;
    pack.begin().map_err(Error::Blob)?;
    while let Some(frame) = body.frame().await {
        if let Ok(data) = frame.map_err(Error::Blob)?.into_data() {
            pack.write(&data).await.map_err(Error::Blob)?;
        }
    }
    pack.end().await.map(Some).map_err(Error::Blob)
}

/// Lets the objects of a pack that is on disk lie there.
fn settle(
    tx: &mut WriteTx<'_>,
    (blob, size): (&BlobId, u64),
    members: &[(&Object, (u64, u64))],
    now: Timestamp,
) -> Result<()> {
    let mut live = 0;
    for (object, (offset, length)) in members {
        let Some(mut found) = unchanged(tx, object)? else { continue };
        let upload = match &found.bytes {
            Bytes::Parts { upload, .. } | Bytes::Joined { upload, .. } => Some(upload.clone()),
            Bytes::Packed { upload, .. } => upload.clone(),
            Bytes::Whole(_) | Bytes::Small(_) => None,
        };
        discard_bytes_only(tx, &found.bytes, now)?;
        let (offset, length) = (*offset, *length);
        found.bytes = Bytes::Packed { pack: blob.clone(), offset, length, upload };
        version::rewrite(tx, &found)?;
        live += length;
    }
    if live == 0 {
        return discard_in(tx, (blob.clone(), Area::Archive), now);
    }
    Ok(tx.put(&PACKS, &Pack { blob: blob.clone(), made: now, size, live })?)
}

/// Removes packs that no object is in any more, and rewrites those that are mostly empty.
pub(crate) async fn remove_packs(ctx: Ctx) -> std::result::Result<Next, TaskError> {
    let now = ctx.now();
    for pack in ctx.store.read(|tx| tx.scan(&PACKS, ())).await? {
        if pack.live == 0 {
            ctx.store
                .write(|tx| {
                    tx.delete(&PACKS, pack.blob.as_str())?;
                    discard_in(tx, (pack.blob.clone(), Area::Archive), now)
                })
                .await?;
        } else if pack.live < pack.size / 2 {
            rewrite(&ctx, &pack, now).await?;
        }
    }
    Ok(Next::Idle)
}

/// Moves what is left in a pack into another.
async fn rewrite(ctx: &Ctx, old: &Pack, now: Timestamp) -> Result<()> {
    let id = old.blob.as_str();
    let left = ctx
        .store
        .read(|tx| {
            let mut left = tx.find(&OBJECT_OF, id)?;
            let past = tx.find(&PAST_OF, id)?;
            left.extend(past.iter().filter_map(|past| past.object().cloned()));
            Ok::<_, store::Error>(left)
        })
        .await?;
    let archive = ctx.drivers.blobs.archive();
    let mut from = archive.open(&old.blob).await.map_err(Error::Blob)?;
    let mut pack = PackWriter::new(archive.create().await.map_err(Error::Blob)?);
    let mut members = Vec::new();
    for object in &left {
        let Bytes::Packed { offset, length, .. } = &object.bytes else { continue };
        let start = pack.take(from.as_mut(), *offset, *length).await.map_err(Error::Blob)?;
        members.push((object, (start, *length)));
    }
    let size = pack.len();
    let blob = pack.finish().await.map_err(Error::Blob)?;
    ctx.store
        .write(|tx| {
            settle(tx, (&blob, size), &members, now)?;
            // What lies there that no object names was lost count of; the pack goes with it.
            release(tx, &old.blob, u64::MAX)
        })
        .await
}
