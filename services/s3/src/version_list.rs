//! The listing of versions: current objects and past versions, merged by key, the newest of a key
//! first.
//!
//! AWS: ListObjectVersions.

use std::collections::VecDeque;

use s3_api::{
    DeleteMarkerEntry, ListObjectVersionsInput, ListObjectVersionsOutput, ObjectVersion,
    ObjectVersionStorageClass, OptionalObjectAttributes,
};
use store::ReadTx;

use crate::Ctx;
use crate::admission::{Wish, admit};
use crate::bucket::owner;
use crate::error::{Error, Result};
use crate::list::{Spelling, behind, common, limit_of};
use crate::restore;
use crate::store::{Bucket, OBJECTS, Object, PAST, Past, State, Version};
use crate::version::{self, Found, Named};

/// How many records one look into a table takes.
const STRIDE: usize = 128;

/// A version as it comes up.
#[expect(clippy::large_enum_variant, reason = "few live at a time, most are objects")]
enum Entry {
    Current(Object),
    Past(Past),
}

impl Entry {
    fn key(&self) -> &str {
        match self {
            Self::Current(object) => &object.key,
            Self::Past(past) => &past.key,
        }
    }

    fn version(&self) -> &Version {
        match self {
            Self::Current(object) => &object.version,
            Self::Past(past) => &past.version,
        }
    }
}

/// Goes through the versions of a bucket in their order.
struct Walk<'a> {
    tx: &'a ReadTx<'a>,
    bucket: &'a str,
    objects: VecDeque<Object>,
    pasts: VecDeque<Past>,
    /// Where the next look begins; none at the end of a table.
    next_object: Option<String>,
    next_past: Option<(String, u64)>,
}

impl<'a> Walk<'a> {
    /// Begins behind all versions of `key`, or with `order` behind that one.
    fn new(tx: &'a ReadTx<'a>, bucket: &'a str, key: &str, order: Option<u64>) -> Self {
        let rank = order.map_or(u64::MAX, |order| u64::MAX - order);
        Self {
            tx,
            bucket,
            objects: VecDeque::new(),
            pasts: VecDeque::new(),
            next_object: Some(key.to_owned()),
            next_past: Some((key.to_owned(), rank)),
        }
    }

    /// Leaves out what is left of the keys that start with `prefix`.
    fn skip(&mut self, prefix: &str) {
        *self = Self::new(self.tx, self.bucket, &behind(prefix), None);
    }

    fn fill(&mut self) -> Result<()> {
        if self.objects.is_empty()
            && let Some(from) = self.next_object.take()
        {
            let after = (self.bucket.to_owned(), from.clone());
            let after = (!from.is_empty()).then_some(&after);
            let page = self.tx.scan_page_in(&OBJECTS, (self.bucket,), after, STRIDE)?;
            self.next_object = page.next.map(|(_, key)| key);
            self.objects = page.records.into();
        }
        if self.pasts.is_empty()
            && let Some((from, rank)) = self.next_past.take()
        {
            let after = (self.bucket.to_owned(), from.clone(), rank);
            let after = (!from.is_empty()).then_some(&after);
            let page = self.tx.scan_page_in(&PAST, (self.bucket,), after, STRIDE)?;
            self.next_past = page.next.map(|(_, key, rank)| (key, rank));
            self.pasts = page.records.into();
        }
        Ok(())
    }

    fn next(&mut self) -> Result<Option<Entry>> {
        self.fill()?;
        let current_first = match (self.objects.front(), self.pasts.front()) {
            (Some(object), Some(past)) => object.key <= past.key,
            (object, None) => object.is_some(),
            (None, Some(_)) => false,
        };
        Ok(match current_first {
            true => self.objects.pop_front().map(Entry::Current),
            false => self.pasts.pop_front().map(Entry::Past),
        })
    }
}

/// What is asked of a listing.
struct Question<'a> {
    bucket: &'a str,
    prefix: &'a str,
    delimiter: Option<&'a str>,
    key_marker: &'a str,
    version_marker: Option<Named>,
    limit: usize,
}

#[derive(Default)]
struct Listed {
    /// Versions with whether each is the latest of its key.
    entries: Vec<(Entry, bool)>,
    prefixes: Vec<String>,
    /// The last key or prefix shown and the last version, if there are more.
    next: Option<(String, Option<String>)>,
}

fn find(tx: &ReadTx<'_>, question: &Question<'_>) -> Result<Listed> {
    let Question { bucket, prefix, delimiter, key_marker, limit, .. } = *question;
    let mut listed = Listed::default();
    if limit == 0 {
        return Ok(listed);
    }
    let mut last_key = None;
    let mut walk = match &question.version_marker {
        _ if key_marker < prefix => {
            // No key before the prefix starts with it; the prefix itself may be a key.
            let mut walk = Walk::new(tx, bucket, prefix, Some(u64::MAX));
            walk.objects.extend(tx.get(&OBJECTS, (bucket, prefix))?);
            walk.next_object = Some(prefix.to_owned());
            walk
        }
        None if common(key_marker, prefix, delimiter) == Some(key_marker) => {
            Walk::new(tx, bucket, &behind(key_marker), None)
        }
        None => Walk::new(tx, bucket, key_marker, None),
        Some(named) => {
            last_key = Some(key_marker.to_owned());
            let order = match (named, version::find(tx, bucket, key_marker, named)?) {
                (_, Some(Found::Past(past))) => past.version.order,
                (Named::Id(order, _), None) => *order,
                (_, Some(Found::Current(_)) | None) => u64::MAX,
            };
            Walk::new(tx, bucket, key_marker, Some(order))
        }
    };
    let mut last: Option<(String, Option<String>)> = None;
    while let Some(entry) = walk.next()? {
        if !entry.key().starts_with(prefix) {
            break;
        }
        let is_latest = last_key.as_deref() != Some(entry.key());
        last_key = Some(entry.key().to_owned());
        let rolled = common(entry.key(), prefix, delimiter).map(str::to_owned);
        if rolled.is_some() && listed.prefixes.last() == rolled.as_ref() {
            continue;
        }
        if listed.entries.len() + listed.prefixes.len() == limit {
            listed.next = last;
            break;
        }
        match rolled {
            Some(rolled) => {
                walk.skip(&rolled);
                last = Some((rolled.clone(), None));
                listed.prefixes.push(rolled);
            }
            None => {
                let version = entry.version().shown().to_owned();
                last = Some((entry.key().to_owned(), Some(version)));
                listed.entries.push((entry, is_latest));
            }
        }
    }
    Ok(listed)
}

/// Lists the versions of a bucket's objects, delete markers with them.
///
/// AWS: ListObjectVersions.
pub(crate) async fn list_object_versions(
    ctx: Ctx,
    input: ListObjectVersionsInput,
) -> Result<ListObjectVersionsOutput> {
    let wish = Wish::new("s3:ListBucketVersions", &input.bucket, &input.expected_bucket_owner);
    let bucket = admit(&ctx, wish).await?;
    let max_keys = limit_of("max-keys", input.max_keys)?;
    let key_marker = input.key_marker.as_deref().unwrap_or_default();
    let version_marker = input.version_id_marker.as_deref().filter(|id| !id.is_empty());
    if version_marker.is_some() && key_marker.is_empty() {
        let text = "A version-id marker cannot be specified without a key marker.";
        return Err(Error::argument("version-id-marker", version_marker.unwrap_or_default(), text));
    }
    let question = Question {
        bucket: &input.bucket,
        prefix: input.prefix.as_deref().unwrap_or_default(),
        delimiter: input.delimiter.as_deref().filter(|delimiter| !delimiter.is_empty()),
        key_marker,
        version_marker: version_marker.map(|id| Named::parse(Some(id))).transpose()?,
        limit: usize::try_from(max_keys).unwrap_or_default(),
    };
    let listed = ctx.store.read(|tx| find(tx, &question)).await?;
    let spelling = Spelling::new(input.encoding_type);
    let tells_restore =
        input.optional_object_attributes.contains(&OptionalObjectAttributes::RestoreStatus);
    let (next_key, next_version) = match listed.next.clone() {
        Some((key, version)) => (Some(spelling.write(&key)), version),
        None => (None, None),
    };
    let mut output = ListObjectVersionsOutput {
        is_truncated: Some(listed.next.is_some()),
        key_marker: Some(spelling.write(key_marker)),
        version_id_marker: Some(input.version_id_marker.clone().unwrap_or_default()),
        next_key_marker: next_key,
        next_version_id_marker: next_version,
        name: Some(input.bucket.clone()),
        prefix: Some(spelling.write(question.prefix)),
        delimiter: input.delimiter.as_deref().map(|delimiter| spelling.write(delimiter)),
        max_keys: Some(max_keys),
        common_prefixes: spelling.prefixes(&listed.prefixes),
        encoding_type: input.encoding_type,
        ..ListObjectVersionsOutput::default()
    };
    for (entry, is_latest) in &listed.entries {
        let object = match entry {
            Entry::Current(object) => object,
            Entry::Past(Past { state: State::Object(object), .. }) => object,
            Entry::Past(past) => {
                output.delete_markers.push(marker(past, *is_latest, spelling, &bucket));
                continue;
            }
        };
        let mut version = shown(object, *is_latest, spelling, &bucket);
        version.restore_status = restore::status(object).filter(|_| tells_restore);
        output.versions.push(version);
    }
    Ok(output)
}

fn marker(past: &Past, latest: bool, spelling: Spelling, bucket: &Bucket) -> DeleteMarkerEntry {
    let made = match &past.state {
        State::Marker(made) => *made,
        State::Object(object) => object.modified,
    };
    DeleteMarkerEntry {
        owner: Some(owner(&bucket.owner)),
        key: Some(spelling.write(&past.key)),
        version_id: Some(past.version.shown().to_owned()),
        is_latest: Some(latest),
        last_modified: Some(made),
    }
}

fn shown(object: &Object, latest: bool, spelling: Spelling, bucket: &Bucket) -> ObjectVersion {
    ObjectVersion {
        e_tag: Some(format!("\"{}\"", object.etag)),
        checksum_algorithm: object.checksum.algorithm.parse().ok().into_iter().collect(),
        checksum_type: Some(object.checksum.kind()),
        size: i64::try_from(object.size).ok(),
        storage_class: object.class.name().parse::<ObjectVersionStorageClass>().ok(),
        key: Some(spelling.write(&object.key)),
        version_id: Some(object.version.shown().to_owned()),
        is_latest: Some(latest),
        last_modified: Some(object.modified),
        owner: Some(owner(&bucket.owner)),
        restore_status: None,
    }
}
