//! What is kept of buckets, objects and uploads. Bucket names belong to everyone, so the tables do
//! too; a bucket's record says whose it is.

use std::collections::BTreeMap;

use base::{AccountId, Region, Tags, Timestamp};
use blob::BlobId;
use serde::{Deserialize, Serialize};
use store::{Index, Record, Table, WriteTx};

use crate::checksum::Sum;
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

pub(crate) const OBJECTS: Table<Object> = Table::global("s3.objects").with_indexes(&[&OBJECT_OF]);
pub(crate) const OBJECT_OF: Index<Object, String> = Index::new(
    || OBJECTS,
    "blob",
    |object| match &object.bytes {
        Bytes::Whole(blob) => vec![blob.as_str().to_owned()],
        Bytes::Parts { .. } => Vec::new(),
    },
);

pub(crate) const UPLOADS: Table<Upload> = Table::global("s3.uploads");

pub(crate) const PARTS: Table<Part> = Table::global("s3.parts").with_indexes(&[&PART_OF]);
pub(crate) const PART_OF: Index<Part, String> =
    Index::new(|| PARTS, "blob", |part| vec![part.blob.as_str().to_owned()]);

pub(crate) const GARBAGE: Table<Garbage> = Table::global(GARBAGE_NAME);
pub(crate) const GARBAGE_NAME: &str = "s3.garbage";

/// Marks `blob` as no longer referred to.
pub(crate) fn discard(tx: &mut WriteTx<'_>, blob: BlobId, now: Timestamp) -> Result<()> {
    Ok(tx.put(&GARBAGE, &Garbage { since: now, blob })?)
}

/// Gives up the bytes of an object that goes.
pub(crate) fn discard_bytes(tx: &mut WriteTx<'_>, bytes: &Bytes, now: Timestamp) -> Result<()> {
    match bytes {
        Bytes::Whole(blob) => discard(tx, blob.clone(), now),
        Bytes::Parts { upload, .. } => discard_parts(tx, upload, now),
    }
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

/// Makes `object` visible in the place of the one with its key, in the bucket that `bucket` was
/// read as.
pub(crate) fn place(
    tx: &mut WriteTx<'_>,
    bucket: &Bucket,
    object: &Object,
    condition: &Condition,
) -> Result<()> {
    let there = tx.get(&BUCKETS, &bucket.name)?.filter(|there| there.id == bucket.id);
    if there.is_none() {
        return Err(Error::NoSuchBucket(bucket.name.clone()));
    }
    let old = tx.get(&OBJECTS, object.key())?;
    condition.check(&object.key, old.as_ref())?;
    if let Some(old) = old {
        discard_bytes(tx, &old.bytes, object.modified)?;
    }
    Ok(tx.put(&OBJECTS, object)?)
}
