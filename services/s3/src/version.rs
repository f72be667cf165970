//! The versions of a key: how a write, a delete or a lifecycle rule changes them, each as part of
//! one transaction. The current object stands in a table of its own, so that listings and reads
//! cost nothing for versions that are past; past versions and delete markers stand in another.
//!
//! AWS: "How S3 Versioning works".

use base::Timestamp;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use store::{ReadTx, Record, WriteTx};

use crate::Ctx;
use crate::error::{Error, Result};
use crate::lock::{self, Bypass};
use crate::store::{
    BUCKETS, Bucket, Condition, OBJECTS, Object, PAST, PAST_NULL, Past, SMALL, Small, State,
    Version, Versioning, discard_bytes,
};

/// What makes the ids of versions differ.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Salt([u8; 16]);

impl Salt {
    pub(crate) fn new(ctx: &Ctx) -> Self {
        let mut bytes = [0; 16];
        ctx.random().fill(&mut bytes);
        Self(bytes)
    }

    /// A salt that never comes again within a task, for versions that it makes.
    pub(crate) fn random(random: &dyn base::Random) -> Self {
        let mut bytes = [0; 16];
        random.fill(&mut bytes);
        Self(bytes)
    }

    /// A version id: opaque to clients, it holds the version's place among those of its key.
    fn id(self, order: u64) -> String {
        let mut bytes = order.to_be_bytes().to_vec();
        bytes.extend(self.0);
        URL_SAFE_NO_PAD.encode(bytes)
    }
}

/// A version that a request names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Named {
    /// The one that is current.
    Current,
    /// The null version.
    Null,
    /// The one with this place and id.
    Id(u64, String),
}

impl Named {
    /// The version that `versionId` names.
    pub(crate) fn parse(version_id: Option<&str>) -> Result<Self> {
        let Some(text) = version_id else { return Ok(Self::Current) };
        if text == "null" {
            return Ok(Self::Null);
        }
        if text.is_empty() {
            let message = "Version id cannot be the empty string";
            return Err(Error::argument("versionId", text, message));
        }
        let bytes = URL_SAFE_NO_PAD.decode(text).ok().filter(|bytes| bytes.len() == 24);
        let order = bytes.as_deref().and_then(|bytes| bytes.first_chunk::<8>().copied());
        let order = order
            .ok_or_else(|| Error::argument("versionId", text, "Invalid version id specified"))?;
        Ok(Self::Id(u64::from_be_bytes(order), text.to_owned()))
    }

    /// The name of a version that was read.
    pub(crate) fn of(version: &Version) -> Self {
        match &version.id {
            Some(id) => Self::Id(version.order, id.clone()),
            None => Self::Null,
        }
    }

    fn is(&self, version: &Version) -> bool {
        match self {
            Self::Current => true,
            Self::Null => version.id.is_none(),
            Self::Id(_, id) => version.id.as_ref() == Some(id),
        }
    }
}

/// What a name leads to.
#[derive(Debug, Clone)]
#[expect(clippy::large_enum_variant, reason = "few live at a time, most are objects")]
pub(crate) enum Found {
    /// The current object.
    Current(Object),
    /// A version that is past, or a delete marker.
    Past(Past),
}

impl Found {
    /// The object, where this is no delete marker.
    pub(crate) fn into_object(self) -> Option<Object> {
        match self {
            Self::Current(object) => Some(object),
            Self::Past(past) => match past.state {
                State::Object(object) => Some(*object),
                State::Marker(_) => None,
            },
        }
    }
}

/// The newest of the past versions of a key: the delete marker that is current, where there is no
/// current object.
pub(crate) fn newest_past(tx: &ReadTx<'_>, bucket: &str, key: &str) -> Result<Option<Past>> {
    let mut found = None;
    tx.for_each(&PAST, (bucket, key), |past| {
        found = Some(past);
        Ok::<_, Error>(std::ops::ControlFlow::Break(()))
    })?;
    Ok(found)
}

/// The version of a key that is named.
pub(crate) fn find(
    tx: &ReadTx<'_>,
    bucket: &str,
    key: &str,
    named: &Named,
) -> Result<Option<Found>> {
    let current = tx.get(&OBJECTS, (bucket, key))?;
    if let Some(object) = current.filter(|object| named.is(&object.version)) {
        return Ok(Some(Found::Current(object)));
    }
    let past = match named {
        // Where there is no current object, the newest version is a delete marker.
        Named::Current => match tx.contains(&OBJECTS, (bucket, key))? {
            true => None,
            false => newest_past(tx, bucket, key)?,
        },
        Named::Null => tx.find_one(&PAST_NULL, (bucket, key))?,
        Named::Id(order, _) => {
            let found = tx.get(&PAST, (bucket, key, u64::MAX - order))?;
            found.filter(|past| named.is(&past.version))
        }
    };
    Ok(past.map(Found::Past))
}

/// The error for a version that is not there.
pub(crate) fn missing(key: &str, named: &Named) -> Error {
    match named {
        Named::Current => Error::NoSuchKey(key.to_owned()),
        Named::Null => Error::no_such_version(key, "null"),
        Named::Id(_, id) => Error::no_such_version(key, id),
    }
}

/// The object of a version that is named, for what cannot be done with delete markers.
pub(crate) fn object(tx: &ReadTx<'_>, bucket: &str, key: &str, named: &Named) -> Result<Object> {
    match find(tx, bucket, key, named)? {
        Some(Found::Current(object)) => Ok(object),
        Some(Found::Past(past)) => match past.state {
            State::Object(object) => Ok(*object),
            State::Marker(made) => Err(match named {
                Named::Current => Error::DeletedKey {
                    key: key.to_owned(),
                    version: past.version.shown().to_owned(),
                },
                Named::Null | Named::Id(..) => {
                    Error::MarkerNotAllowed { version: past.version.shown().to_owned(), made }
                }
            }),
        },
        None => Err(missing(key, named)),
    }
}

/// Writes a version back that was read as `object` was.
pub(crate) fn rewrite(tx: &mut WriteTx<'_>, object: &Object) -> Result<()> {
    let key = (&object.bucket, &object.key, u64::MAX - object.version.order);
    match tx.get(&PAST, key)? {
        Some(past) if past.version == object.version => {
            let state = State::Object(Box::new(object.clone()));
            Ok(tx.put(&PAST, &Past { state, ..past })?)
        }
        Some(_) | None => Ok(tx.put(&OBJECTS, object)?),
    }
}

/// Changes the object of a version that is named; gives the version as it is then.
pub(crate) async fn change(
    ctx: &Ctx,
    (bucket, key): (&str, &str),
    named: &Named,
    apply: impl Fn(&mut Object) -> Result<()> + Send + Sync,
) -> Result<Object> {
    ctx.store
        .write(|tx| {
            let mut found = object(tx, bucket, key, named)?;
            apply(&mut found)?;
            rewrite(tx, &found)?;
            Ok(found)
        })
        .await
}

/// The bucket as it stands now, if it still is the one that was read.
pub(crate) fn same_bucket(tx: &ReadTx<'_>, bucket: &Bucket) -> Result<Bucket> {
    let there = tx.get(&BUCKETS, &bucket.name)?.filter(|there| there.id == bucket.id);
    there.ok_or_else(|| Error::NoSuchBucket(bucket.name.clone()))
}

/// The place of a version made now, behind all others of its key.
fn next_order(old: Option<&Object>, past: Option<&Past>, now: Timestamp) -> u64 {
    let newest = old.map(|old| old.version.order).max(past.map(|past| past.version.order));
    let by_time = u64::try_from(now.as_millis()).unwrap_or(0).saturating_mul(1000);
    newest.map_or(by_time, |newest| by_time.max(newest + 1))
}

/// Puts what was current among the past versions.
fn succeed(tx: &mut WriteTx<'_>, old: Object, now: Timestamp) -> Result<()> {
    let past = Past {
        bucket: old.bucket.clone(),
        key: old.key.clone(),
        version: old.version.clone(),
        since: now,
        state: State::Object(Box::new(old)),
    };
    Ok(tx.put(&PAST, &past)?)
}

/// Destroys a past version.
fn destroy_past(tx: &mut WriteTx<'_>, past: &Past, now: Timestamp) -> Result<()> {
    if let Some(object) = past.object() {
        discard_bytes(tx, object, now)?;
    }
    tx.delete(&PAST, past.key())?;
    Ok(())
}

/// Removes the null version of a key that is overwritten or marked as deleted, unless it is locked;
/// puts a current version with an id among the past ones.
fn clear_null(
    tx: &mut WriteTx<'_>,
    (bucket, key): (&str, &str),
    old: Option<Object>,
    now: Timestamp,
) -> Result<()> {
    if let Some(null) = tx.find_one(&PAST_NULL, (bucket, key))? {
        if let Some(object) = null.object() {
            lock::check(object, now, Bypass::No)?;
        }
        destroy_past(tx, &null, now)?;
    }
    match old {
        Some(old) if old.version.id.is_none() => {
            lock::check(&old, now, Bypass::No)?;
            discard_bytes(tx, &old, now)
        }
        Some(old) => succeed(tx, old, now),
        None => Ok(()),
    }
}

/// Makes `object` the current version of its key, in the bucket that `bucket` was read as; gives
/// it as it was written.
pub(crate) fn place(
    tx: &mut WriteTx<'_>,
    bucket: &Bucket,
    object: Object,
    small: Option<&Small>,
    (condition, salt): (&Condition, Salt),
) -> Result<Object> {
    let bucket = same_bucket(tx, bucket)?;
    let now = object.modified;
    let old = tx.get(&OBJECTS, object.key())?;
    condition.check(&object.key, old.as_ref())?;
    let mut object = object;
    lock::apply_default(&bucket, &mut object)?;
    object.version = match bucket.versioning {
        Versioning::Never => {
            let order = next_order(old.as_ref(), None, now);
            if let Some(old) = &old {
                lock::check(old, now, Bypass::No)?;
                discard_bytes(tx, old, now)?;
            }
            Version { order, id: None }
        }
        Versioning::Enabled | Versioning::Suspended => {
            let past = newest_past(tx, &object.bucket, &object.key)?;
            let order = next_order(old.as_ref(), past.as_ref(), now);
            if let Some(past) = past.filter(|_| old.is_none()) {
                // The delete marker that was current is succeeded.
                tx.put(&PAST, &Past { since: now, ..past })?;
            }
            let keeps = bucket.versioning == Versioning::Enabled;
            match (keeps, old) {
                (true, Some(old)) => succeed(tx, old, now)?,
                (true, None) => {}
                (false, old) => clear_null(tx, (&object.bucket, &object.key), old, now)?,
            }
            Version { order, id: keeps.then(|| salt.id(order)) }
        }
    };
    if let Some(small) = small {
        tx.put(&SMALL, small)?;
    }
    tx.put(&OBJECTS, &object)?;
    Ok(object)
}

/// What a deletion did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Deleted {
    /// The version that was removed, or that the delete marker is.
    pub(crate) version: Option<String>,
    /// Whether a delete marker was made or removed.
    pub(crate) marker: bool,
}

/// Deletes a key: marks it as deleted where its bucket keeps versions.
pub(crate) fn delete(
    tx: &mut WriteTx<'_>,
    bucket: &Bucket,
    key: &str,
    (now, salt): (Timestamp, Salt),
) -> Result<Deleted> {
    let name = bucket.name.as_str();
    let old = tx.get(&OBJECTS, (name, key))?;
    let keeps = match bucket.versioning {
        Versioning::Never => {
            if let Some(old) = old {
                lock::check(&old, now, Bypass::No)?;
                discard_bytes(tx, &old, now)?;
                tx.delete(&OBJECTS, (name, key))?;
            }
            return Ok(Deleted::default());
        }
        Versioning::Enabled => true,
        Versioning::Suspended => false,
    };
    let past = newest_past(tx, name, key)?;
    let order = next_order(old.as_ref(), past.as_ref(), now);
    if let Some(past) = past.filter(|_| old.is_none()) {
        tx.put(&PAST, &Past { since: now, ..past })?;
    }
    tx.delete(&OBJECTS, (name, key))?;
    match (keeps, old) {
        (true, Some(old)) => succeed(tx, old, now)?,
        (true, None) => {}
        (false, old) => clear_null(tx, (name, key), old, now)?,
    }
    let marker = Past {
        bucket: name.to_owned(),
        key: key.to_owned(),
        version: Version { order, id: keeps.then(|| salt.id(order)) },
        since: now,
        state: State::Marker(now),
    };
    tx.put(&PAST, &marker)?;
    Ok(Deleted { version: Some(marker.version.shown().to_owned()), marker: true })
}

/// Destroys one version, unless it is locked; the newest that is left becomes current.
pub(crate) fn destroy(
    tx: &mut WriteTx<'_>,
    (bucket, key): (&str, &str),
    found: &Found,
    (now, bypass): (Timestamp, Bypass),
) -> Result<Deleted> {
    let (version, marker) = match found {
        Found::Current(object) => {
            lock::check(object, now, bypass)?;
            discard_bytes(tx, object, now)?;
            tx.delete(&OBJECTS, object.key())?;
            (&object.version, false)
        }
        Found::Past(past) => {
            if let Some(object) = past.object() {
                lock::check(object, now, bypass)?;
            }
            destroy_past(tx, past, now)?;
            (&past.version, past.object().is_none())
        }
    };
    if !tx.contains(&OBJECTS, (bucket, key))?
        && let Some(newest) = newest_past(tx, bucket, key)?
        && let State::Object(object) = &newest.state
    {
        tx.put(&OBJECTS, object)?;
        tx.delete(&PAST, newest.key())?;
    }
    Ok(Deleted { version: Some(version.shown().to_owned()), marker })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_tell_their_place_and_nothing_else_is_one() {
        let id = Salt([7; 16]).id(1_790_000_000_000_123);
        assert_eq!(id.len(), 32);
        let named = Named::parse(Some(&id)).unwrap();
        assert_eq!(named, Named::Id(1_790_000_000_000_123, id));
        assert_eq!(Named::parse(Some("null")).unwrap(), Named::Null);
        assert_eq!(Named::parse(None).unwrap(), Named::Current);
        for bad in ["", "x", "AAAA", "../../etc/passwd", &"A".repeat(33)] {
            assert!(Named::parse(Some(bad)).is_err(), "{bad}");
        }
    }
}
