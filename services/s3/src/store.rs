//! What is kept of buckets, objects and uploads. Bucket names belong to everyone, so the tables do
//! too; a bucket's record says whose it is.

use std::collections::BTreeMap;

use base::{AccountId, Region, Tags, Timestamp};
use blob::BlobId;
use serde::{Deserialize, Serialize};
use store::{Index, Record, Table, WriteTx};

use crate::checksum::Sum;
use crate::class::Class;
use crate::error::{Error, Result};

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Bucket {
    pub(crate) name: String,
    /// Tells a bucket from an earlier one of its name.
    pub(crate) id: String,
    pub(crate) owner: AccountId,
    pub(crate) region: Region,
    pub(crate) created: Timestamp,
    pub(crate) tags: Tags,
    pub(crate) policy: Option<String>,
    pub(crate) public_access_block: Option<PublicAccessBlock>,
    /// `BucketOwnerEnforced` and its like; none after DeleteBucketOwnershipControls.
    pub(crate) ownership: Option<String>,
    pub(crate) encryption: Encryption,
    #[serde(default)]
    pub(crate) sharing: crate::sharing::Sharing,
    #[serde(default)]
    pub(crate) versioning: Versioning,
    /// How objects are locked, where the bucket locks any.
    #[serde(default)]
    pub(crate) lock: Option<BucketLock>,
    /// Whether the bucket has a lifecycle, which lies in a table of its own.
    #[serde(default)]
    pub(crate) has_lifecycle: bool,
}

/// Whether a bucket keeps the versions of its objects.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Versioning {
    /// Never did.
    #[default]
    Never,
    /// Each write makes a version.
    Enabled,
    /// Keeps those that were made; writes replace the null version.
    Suspended,
}

/// The object lock of a bucket.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct BucketLock {
    /// What new versions get that say nothing themselves.
    pub(crate) default: Option<DefaultRetention>,
}

/// The retention of new versions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct DefaultRetention {
    pub(crate) mode: LockMode,
    pub(crate) days: Option<i32>,
    pub(crate) years: Option<i32>,
}

/// How a retention may be broken: by who has the permission, or by nobody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum LockMode {
    Governance,
    Compliance,
}

/// Until when a version may not be deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Retention {
    pub(crate) mode: LockMode,
    pub(crate) until: Timestamp,
}

/// What keeps a version from being deleted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Lock {
    pub(crate) retention: Option<Retention>,
    /// Off where it never was set.
    pub(crate) legal_hold: Option<bool>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PublicAccessBlock {
    pub(crate) block_public_acls: bool,
    pub(crate) ignore_public_acls: bool,
    pub(crate) block_public_policy: bool,
    pub(crate) restrict_public_buckets: bool,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Encryption {
    pub(crate) bucket_key_enabled: bool,
    pub(crate) blocked_types: Vec<String>,
    /// `aws:kms` or `aws:kms:dsse`; none is the store's own.
    #[serde(default)]
    pub(crate) algorithm: Option<String>,
    #[serde(default)]
    pub(crate) kms_key: Option<String>,
}

impl Encryption {
    /// What a new bucket has.
    ///
    /// AWS: "Blocking or unblocking SSE-C for a general purpose bucket".
    pub(crate) fn of_new_bucket() -> Self {
        Self { blocked_types: vec!["SSE-C".to_owned()], ..Self::default() }
    }
}

/// What an object is sent with, as its writer gave it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Headers {
    pub(crate) cache_control: Option<String>,
    pub(crate) content_disposition: Option<String>,
    pub(crate) content_encoding: Option<String>,
    pub(crate) content_language: Option<String>,
    pub(crate) content_type: Option<String>,
    pub(crate) expires: Option<String>,
    pub(crate) website_redirect_location: Option<String>,
    pub(crate) metadata: BTreeMap<String, String>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Object {
    pub(crate) bucket: String,
    pub(crate) key: String,
    pub(crate) bytes: Bytes,
    pub(crate) size: u64,
    /// Without quotes.
    pub(crate) etag: String,
    pub(crate) modified: Timestamp,
    pub(crate) headers: Headers,
    pub(crate) tags: Tags,
    pub(crate) checksum: Sum,
    #[serde(default)]
    pub(crate) guard: crate::guard::Guard,
    #[serde(default)]
    pub(crate) version: Version,
    #[serde(default, skip_serializing_if = "is_default")]
    pub(crate) class: Class,
    #[serde(default, skip_serializing_if = "is_default")]
    pub(crate) lock: Lock,
    /// When an object in INTELLIGENT_TIERING was last used, and where that led.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) tiering: Option<Tiering>,
    /// The copy of an archived object that was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) restore: Option<Restore>,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// Which of the versions of a key one is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Version {
    /// Rises with each version of a key.
    pub(crate) order: u64,
    /// None for the null version, which a bucket makes that does not keep versions.
    pub(crate) id: Option<String>,
}

/// How an object in INTELLIGENT_TIERING is used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Tiering {
    /// When it was last read or written, at most a day behind.
    pub(crate) accessed: Timestamp,
    /// The archive tier that it was moved to.
    pub(crate) archived: Option<ArchiveTier>,
}

/// The archive tiers of INTELLIGENT_TIERING.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum ArchiveTier {
    Archive,
    DeepArchive,
}

/// A copy of an archived object that lasts for some days, or its way back for good.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Restore {
    /// How many days the copy lasts; none when the object comes back for good.
    pub(crate) days: Option<i32>,
    /// As `Standard`.
    pub(crate) tier: String,
    /// When the copy is there.
    pub(crate) ready: Timestamp,
    /// When the copy goes; none while it is not there.
    pub(crate) expires: Option<Timestamp>,
    /// The copy.
    pub(crate) copy: Option<BlobId>,
}

/// A version that is not the current object: one that was succeeded, or a delete marker.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Past {
    pub(crate) bucket: String,
    pub(crate) key: String,
    pub(crate) version: Version,
    /// When it was succeeded; for the marker that is current, when it was made.
    pub(crate) since: Timestamp,
    pub(crate) state: State,
}

/// What a version is.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum State {
    Object(Box<Object>),
    /// A delete marker, with the time it was made.
    Marker(Timestamp),
}

/// The bytes of a small object, sealed.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Small {
    pub(crate) id: String,
    /// In base64.
    pub(crate) sealed: String,
}

/// Archived bytes of many objects in one blob of the archive.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Pack {
    pub(crate) blob: BlobId,
    pub(crate) made: Timestamp,
    /// How many bytes it has, as they lie there.
    pub(crate) size: u64,
    /// How many of these still belong to an object.
    pub(crate) live: u64,
}

/// Where an object's bytes are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Bytes {
    /// In one blob.
    Whole(BlobId),
    /// In the parts of the upload of this id.
    Parts {
        /// The upload.
        upload: String,
        /// How many parts it has.
        count: u32,
    },
    /// In one blob that was made of the parts of an upload, whose sizes and checksums stay.
    Joined {
        /// The blob.
        blob: BlobId,
        /// The upload.
        upload: String,
    },
    /// In a row of the store.
    Small(String),
    /// In a pack of the archive; `upload` has the parts' sizes and checksums, where it has parts.
    Packed {
        /// The pack.
        pack: BlobId,
        /// Where the compressed bytes begin.
        offset: u64,
        /// How many compressed bytes there are.
        length: u64,
        /// The upload whose parts the object was.
        upload: Option<String>,
    },
}

/// An upload in parts that is neither complete nor aborted.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Upload {
    pub(crate) bucket: String,
    pub(crate) key: String,
    pub(crate) id: String,
    pub(crate) initiated: Timestamp,
    /// The account that began it.
    pub(crate) initiator: AccountId,
    pub(crate) initiator_arn: String,
    pub(crate) headers: Headers,
    pub(crate) tags: Tags,
    /// The algorithm that was asked for.
    pub(crate) algorithm: Option<String>,
    /// Whether the object's checksum is one of its parts' checksums.
    pub(crate) composite: bool,
    #[serde(default)]
    pub(crate) guard: crate::guard::Guard,
    #[serde(default)]
    pub(crate) class: Class,
    #[serde(default)]
    pub(crate) lock: Lock,
}

/// A part of an upload, or of the object that the upload became.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Part {
    pub(crate) upload: String,
    pub(crate) number: u32,
    pub(crate) blob: BlobId,
    pub(crate) size: u64,
    pub(crate) etag: String,
    pub(crate) modified: Timestamp,
    pub(crate) checksum: Sum,
}

/// A blob that nothing refers to any more.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Garbage {
    pub(crate) since: Timestamp,
    pub(crate) blob: BlobId,
    #[serde(default)]
    pub(crate) area: Area,
}

/// Which part of the blobs one is in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Area {
    #[default]
    Hot,
    Archive,
}

impl Record for Bucket {
    type Key = String;

    fn key(&self) -> String {
        self.name.clone()
    }
}

impl Record for Object {
    type Key = (String, String);

    fn key(&self) -> Self::Key {
        (self.bucket.clone(), self.key.clone())
    }
}

impl Record for Past {
    type Key = (String, String, u64);

    /// The newest comes first.
    fn key(&self) -> Self::Key {
        (self.bucket.clone(), self.key.clone(), u64::MAX - self.version.order)
    }
}

impl Record for Small {
    type Key = String;

    fn key(&self) -> String {
        self.id.clone()
    }
}

impl Record for Pack {
    type Key = String;

    fn key(&self) -> String {
        self.blob.as_str().to_owned()
    }
}

impl Record for Upload {
    type Key = (String, String, String);

    fn key(&self) -> Self::Key {
        (self.bucket.clone(), self.key.clone(), self.id.clone())
    }
}

impl Record for Part {
    type Key = (String, u32);

    fn key(&self) -> Self::Key {
        (self.upload.clone(), self.number)
    }
}

impl Record for Garbage {
    type Key = (Timestamp, String);

    fn key(&self) -> Self::Key {
        (self.since, self.blob.as_str().to_owned())
    }
}

pub(crate) const BUCKETS: Table<Bucket> = Table::global("s3.buckets").with_indexes(&[&BY_OWNER]);
pub(crate) const BY_OWNER: Index<Bucket, AccountId> =
    Index::new(|| BUCKETS, "owner", |bucket| vec![bucket.owner.clone()]);

pub(crate) const OBJECTS: Table<Object> =
    Table::global(OBJECTS_NAME).with_indexes(&[&OBJECT_OF, &OBJECT_PENDING]);
pub(crate) const OBJECTS_NAME: &str = "s3.objects";
pub(crate) const OBJECT_OF: Index<Object, String> = Index::new(|| OBJECTS, "blob", blobs_of);
/// Objects with work to be done on their bytes, by when it is due.
pub(crate) const OBJECT_PENDING: Index<Object, Timestamp> =
    Index::new(|| OBJECTS, "pending", |object| object.pending().into_iter().collect());

/// Versions that are not current, delete markers too.
pub(crate) const PAST: Table<Past> =
    Table::global(PAST_NAME).with_indexes(&[&PAST_OF, &PAST_PENDING, &PAST_NULL]);
pub(crate) const PAST_NAME: &str = "s3.versions";
pub(crate) const PAST_OF: Index<Past, String> =
    Index::new(|| PAST, "blob", |past| past.object().map(blobs_of).unwrap_or_default());
pub(crate) const PAST_PENDING: Index<Past, Timestamp> = Index::new(
    || PAST,
    "pending",
    |past| past.object().and_then(Object::pending).into_iter().collect(),
);
/// The null version of a key, by bucket and key.
pub(crate) const PAST_NULL: Index<Past, (String, String)> = Index::new(
    || PAST,
    "null",
    |past| match past.version.id {
        None => vec![(past.bucket.clone(), past.key.clone())],
        Some(_) => Vec::new(),
    },
);

pub(crate) const SMALL: Table<Small> = Table::global("s3.small");
pub(crate) const PACKS: Table<Pack> = Table::global(PACKS_NAME);
pub(crate) const PACKS_NAME: &str = "s3.packs";

fn blobs_of(object: &Object) -> Vec<String> {
    let mut blobs = Vec::new();
    match &object.bytes {
        Bytes::Whole(blob) | Bytes::Joined { blob, .. } => blobs.push(blob.as_str().to_owned()),
        Bytes::Packed { pack, .. } => blobs.push(pack.as_str().to_owned()),
        Bytes::Parts { .. } | Bytes::Small(_) => {}
    }
    let copy = object.restore.as_ref().and_then(|restore| restore.copy.as_ref());
    blobs.extend(copy.map(|copy| copy.as_str().to_owned()));
    blobs
}

impl Past {
    /// The object, where this is no delete marker.
    pub(crate) fn object(&self) -> Option<&Object> {
        match &self.state {
            State::Object(object) => Some(object),
            State::Marker(_) => None,
        }
    }
}

impl Version {
    /// The id as it is shown.
    pub(crate) fn shown(&self) -> &str {
        self.id.as_deref().unwrap_or("null")
    }
}

impl Object {
    /// Whether its bytes are archived or are to be: whether it must be restored to be read.
    pub(crate) fn is_archived(&self) -> bool {
        self.class.is_archive() || self.tiering.as_ref().is_some_and(|t| t.archived.is_some())
    }

    /// When something is to be done with its bytes: moved to the archive, brought back, or the copy
    /// that was brought back to be dropped.
    pub(crate) fn pending(&self) -> Option<Timestamp> {
        match &self.restore {
            Some(Restore { expires: Some(expires), .. }) => Some(*expires),
            Some(Restore { ready, .. }) => Some(*ready),
            None => {
                let is_packed = matches!(self.bytes, Bytes::Packed { .. });
                (self.is_archived() != is_packed).then_some(Timestamp::from_secs(0))
            }
        }
    }
}

pub(crate) const UPLOADS: Table<Upload> = Table::global("s3.uploads");

pub(crate) const PARTS: Table<Part> = Table::global("s3.parts").with_indexes(&[&PART_OF]);
pub(crate) const PART_OF: Index<Part, String> =
    Index::new(|| PARTS, "blob", |part| vec![part.blob.as_str().to_owned()]);

pub(crate) const GARBAGE: Table<Garbage> = Table::global(GARBAGE_NAME);
pub(crate) const GARBAGE_NAME: &str = "s3.garbage";

/// Marks `blob` as no longer referred to.
pub(crate) fn discard(tx: &mut WriteTx<'_>, blob: BlobId, now: Timestamp) -> Result<()> {
    discard_in(tx, (blob, Area::Hot), now)
}

/// Marks a blob of an area as no longer referred to.
pub(crate) fn discard_in(
    tx: &mut WriteTx<'_>,
    (blob, area): (BlobId, Area),
    now: Timestamp,
) -> Result<()> {
    Ok(tx.put(&GARBAGE, &Garbage { since: now, blob, area })?)
}

/// Gives up the bytes of a version that goes, wherever they are.
pub(crate) fn discard_bytes(tx: &mut WriteTx<'_>, object: &Object, now: Timestamp) -> Result<()> {
    if let Some(copy) = object.restore.as_ref().and_then(|restore| restore.copy.clone()) {
        discard(tx, copy, now)?;
    }
    if let Bytes::Packed { upload: Some(upload), .. } | Bytes::Joined { upload, .. } = &object.bytes
    {
        forget_parts(tx, upload)?;
    }
    if let Bytes::Parts { upload, .. } = &object.bytes {
        return discard_parts(tx, upload, now);
    }
    discard_bytes_only(tx, &object.bytes, now)
}

/// Gives up bytes that are elsewhere now; what is known of parts stays.
pub(crate) fn discard_bytes_only(
    tx: &mut WriteTx<'_>,
    bytes: &Bytes,
    now: Timestamp,
) -> Result<()> {
    match bytes {
        Bytes::Whole(blob) | Bytes::Joined { blob, .. } => discard(tx, blob.clone(), now),
        Bytes::Parts { upload, .. } => {
            for part in tx.scan(&PARTS, (upload,))? {
                discard(tx, part.blob, now)?;
            }
            Ok(())
        }
        Bytes::Small(id) => {
            tx.delete(&SMALL, id)?;
            Ok(())
        }
        Bytes::Packed { pack, length, .. } => release(tx, pack, *length),
    }
}

/// Tells a pack that some of its bytes belong to nobody any more.
pub(crate) fn release(tx: &mut WriteTx<'_>, pack: &BlobId, length: u64) -> Result<()> {
    if let Some(found) = tx.get(&PACKS, pack.as_str())? {
        let live = found.live.saturating_sub(length);
        tx.put(&PACKS, &Pack { live, ..found })?;
    }
    Ok(())
}

/// Forgets the parts of an upload whose bytes went their own way.
fn forget_parts(tx: &mut WriteTx<'_>, upload: &str) -> Result<()> {
    for part in tx.scan(&PARTS, (upload,))? {
        tx.delete(&PARTS, part.key())?;
    }
    Ok(())
}

/// Gives up all parts of an upload.
pub(crate) fn discard_parts(tx: &mut WriteTx<'_>, upload: &str, now: Timestamp) -> Result<()> {
    for part in tx.scan(&PARTS, (upload,))? {
        tx.delete(&PARTS, part.key())?;
        discard(tx, part.blob, now)?;
    }
    Ok(())
}

/// What must hold of the object in whose place a new one is put.
#[derive(Debug, Clone, Default)]
pub(crate) struct Condition {
    pub(crate) absent: bool,
    /// The entity tag it must have, without quotes.
    pub(crate) etag: Option<String>,
}

impl Condition {
    /// The condition that the two headers of a write make.
    pub(crate) fn of(if_match: Option<String>, if_none_match: Option<String>) -> Result<Self> {
        let etag = if_match.map(|text| text.trim().trim_matches('"').to_owned());
        match if_none_match.as_deref() {
            None => Ok(Self { absent: false, etag }),
            Some("*") => Ok(Self { absent: true, etag }),
            Some(_) => Err(Error::NotImplemented("If-None-Match")),
        }
    }

    pub(crate) fn check(&self, key: &str, old: Option<&Object>) -> Result<()> {
        if self.absent && old.is_some() {
            return Err(Error::PreconditionFailed("If-None-Match"));
        }
        match (&self.etag, old) {
            (Some(_), None) => Err(Error::NoSuchKey(key.to_owned())),
            (Some(etag), Some(old)) if etag != "*" && *etag != old.etag => {
                Err(Error::PreconditionFailed("If-Match"))
            }
            (_, _) => Ok(()),
        }
    }
}
