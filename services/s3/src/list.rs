//! Listings, each page at the cost of what it shows: behind a common prefix the search goes on at
//! the first key beyond it.
//!
//! AWS: "Listing object keys programmatically", "Organizing objects using prefixes".

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use s3_api::{
    CommonPrefix, EncodingType, ListObjectsInput, ListObjectsOutput, ListObjectsV2Input,
    ListObjectsV2Output, Object as Shown, OptionalObjectAttributes,
};
use store::{ReadTx, StartsWith};

use crate::Ctx;
use crate::admission::{Wish, admit};
use crate::bucket::owner;
use crate::error::{Error, Result};
use crate::percent;
use crate::restore;
use crate::store::{Bucket, OBJECTS, Object};

/// AWS: ListObjectsV2, MaxKeys.
const KEYS_MAX: i32 = 1000;
/// How many records one look into the table takes while prefixes are rolled up.
const STRIDE: usize = 32;

/// What is asked of a listing.
struct Question<'a> {
    bucket: &'a str,
    prefix: &'a str,
    delimiter: Option<&'a str>,
    /// The key or common prefix that the page starts behind.
    after: &'a str,
    limit: usize,
}

/// A page of a listing.
#[derive(Default)]
struct Found {
    objects: Vec<Object>,
    prefixes: Vec<String>,
    /// The last key or prefix shown, if there are more.
    next: Option<String>,
}

/// The common prefix that rolls `key` up, if one does.
pub(crate) fn common<'k>(key: &'k str, prefix: &str, delimiter: Option<&str>) -> Option<&'k str> {
    let delimiter = delimiter.filter(|delimiter| !delimiter.is_empty())?;
    let at = key.get(prefix.len()..)?.find(delimiter)?;
    key.get(..prefix.len() + at + delimiter.len())
}

/// A text behind all keys that start with `prefix`, or nearly so: what is left is skipped one by
/// one.
pub(crate) fn behind(prefix: &str) -> String {
    format!("{prefix}\u{10ffff}")
}

fn find(tx: &ReadTx<'_>, question: &Question<'_>) -> Result<Found> {
    let Question { bucket, prefix, delimiter, after, limit } = *question;
    let mut found = Found::default();
    if limit == 0 {
        return Ok(found);
    }
    let is_prefix = common(after, prefix, delimiter) == Some(after);
    let mut from = if is_prefix { behind(after) } else { after.to_owned() };
    let mut last = after.to_owned();
    let stride = if delimiter.is_some() { STRIDE.min(limit + 1) } else { limit + 1 };
    loop {
        let key = (bucket.to_owned(), from.clone());
        let start = (!from.is_empty()).then_some(&key);
        let page = tx.scan_page_in(&OBJECTS, (bucket, StartsWith(prefix)), start, stride)?;
        let mut skipped = false;
        for object in page.records {
            let rolled = common(&object.key, prefix, delimiter).map(str::to_owned);
            from.clone_from(&object.key);
            if rolled.as_ref().is_some_and(|rolled| *rolled == last) {
                continue;
            }
            if found.objects.len() + found.prefixes.len() == limit {
                found.next = Some(last);
                return Ok(found);
            }
            match rolled {
                Some(rolled) => {
                    last.clone_from(&rolled);
                    from = behind(&rolled);
                    found.prefixes.push(rolled);
                    skipped = true;
                    break;
                }
                None => {
                    last.clone_from(&object.key);
                    found.objects.push(object);
                }
            }
        }
        if !skipped && page.next.is_none() {
            return Ok(found);
        }
    }
}

/// How names are written in an answer.
#[derive(Clone, Copy)]
pub(crate) struct Spelling(Option<EncodingType>);

impl Spelling {
    pub(crate) fn new(encoding: Option<EncodingType>) -> Self {
        Self(encoding)
    }

    pub(crate) fn write(self, text: &str) -> String {
        match self.0 {
            Some(EncodingType::Url) => percent::encode(text),
            None => text.to_owned(),
        }
    }

    pub(crate) fn prefixes(self, prefixes: &[String]) -> Vec<CommonPrefix> {
        let write = |prefix: &String| CommonPrefix { prefix: Some(self.write(prefix)) };
        prefixes.iter().map(write).collect()
    }
}

/// A page's bound within what S3 allows.
pub(crate) fn limit_of(name: &'static str, given: Option<i32>) -> Result<i32> {
    let given = given.unwrap_or(KEYS_MAX);
    if given < 0 {
        let text = format!("Argument {name} must be an integer between 0 and 2147483647");
        return Err(Error::argument(name, given, text));
    }
    Ok(given.min(KEYS_MAX))
}

fn shown(
    object: &Object,
    spelling: Spelling,
    owner_of: Option<&Bucket>,
    optional: &[OptionalObjectAttributes],
) -> Shown {
    let tells_restore = optional.contains(&OptionalObjectAttributes::RestoreStatus);
    Shown {
        key: Some(spelling.write(&object.key)),
        last_modified: Some(object.modified),
        e_tag: Some(format!("\"{}\"", object.etag)),
        checksum_algorithm: object.checksum.algorithm.parse().ok().into_iter().collect(),
        checksum_type: Some(object.checksum.kind()),
        size: i64::try_from(object.size).ok(),
        storage_class: object.class.listed(),
        owner: owner_of.map(|bucket| owner(&bucket.owner)),
        restore_status: restore::status(object).filter(|_| tells_restore),
    }
}

/// Lists objects, in the first version of the operation.
///
/// AWS: ListObjects.
pub(crate) async fn list_objects(ctx: Ctx, input: ListObjectsInput) -> Result<ListObjectsOutput> {
    let wish = Wish::new("s3:ListBucket", &input.bucket, &input.expected_bucket_owner);
    let bucket = admit(&ctx, wish).await?;
    let max_keys = limit_of("max-keys", input.max_keys)?;
    let question = Question {
        bucket: &input.bucket,
        prefix: input.prefix.as_deref().unwrap_or_default(),
        delimiter: input.delimiter.as_deref().filter(|delimiter| !delimiter.is_empty()),
        after: input.marker.as_deref().unwrap_or_default(),
        limit: usize::try_from(max_keys).unwrap_or_default(),
    };
    let found = ctx.store.read(|tx| find(tx, &question)).await?;
    let spelling = Spelling::new(input.encoding_type);
    let has_delimiter = question.delimiter.is_some();
    let next = found.next.as_deref().filter(|_| has_delimiter).map(|next| spelling.write(next));
    Ok(ListObjectsOutput {
        is_truncated: Some(found.next.is_some()),
        marker: Some(spelling.write(input.marker.as_deref().unwrap_or_default())),
        next_marker: next,
        contents: found
            .objects
            .iter()
            .map(|o| shown(o, spelling, Some(&bucket), &input.optional_object_attributes))
            .collect(),
        name: Some(bucket.name),
        prefix: Some(spelling.write(input.prefix.as_deref().unwrap_or_default())),
        delimiter: input.delimiter.as_deref().map(|delimiter| spelling.write(delimiter)),
        max_keys: Some(max_keys),
        common_prefixes: spelling.prefixes(&found.prefixes),
        encoding_type: input.encoding_type,
        request_charged: None,
    })
}

/// Lists objects.
///
/// AWS: ListObjectsV2.
pub(crate) async fn list_objects_v2(
    ctx: Ctx,
    input: ListObjectsV2Input,
) -> Result<ListObjectsV2Output> {
    let wish = Wish::new("s3:ListBucket", &input.bucket, &input.expected_bucket_owner);
    let bucket = admit(&ctx, wish).await?;
    let max_keys = limit_of("max-keys", input.max_keys)?;
    let token = input.continuation_token.as_deref();
    let token = token.map(|token| opened(&ctx, &bucket, token)).transpose()?;
    let start = input.start_after.clone().unwrap_or_default();
    let question = Question {
        bucket: &input.bucket,
        prefix: input.prefix.as_deref().unwrap_or_default(),
        delimiter: input.delimiter.as_deref().filter(|delimiter| !delimiter.is_empty()),
        after: token.as_deref().unwrap_or(&start),
        limit: usize::try_from(max_keys).unwrap_or_default(),
    };
    let found = ctx.store.read(|tx| find(tx, &question)).await?;
    let spelling = Spelling::new(input.encoding_type);
    let count = found.objects.len() + found.prefixes.len();
    let owner_of = (input.fetch_owner == Some(true)).then_some(&bucket);
    Ok(ListObjectsV2Output {
        is_truncated: Some(found.next.is_some()),
        contents: found
            .objects
            .iter()
            .map(|o| shown(o, spelling, owner_of, &input.optional_object_attributes))
            .collect(),
        name: Some(bucket.name.clone()),
        prefix: Some(spelling.write(input.prefix.as_deref().unwrap_or_default())),
        delimiter: input.delimiter.as_deref().map(|delimiter| spelling.write(delimiter)),
        max_keys: Some(max_keys),
        common_prefixes: spelling.prefixes(&found.prefixes),
        encoding_type: input.encoding_type,
        key_count: i32::try_from(count).ok(),
        continuation_token: input.continuation_token,
        next_continuation_token: found.next.map(|next| sealed(&ctx, &bucket, &next)),
        start_after: input.start_after.as_deref().map(|start| spelling.write(start)),
        request_charged: None,
    })
}

/// A token that says nothing to its bearer and is good for its bucket alone.
fn sealed(ctx: &Ctx, bucket: &Bucket, last: &str) -> String {
    URL_SAFE_NO_PAD.encode(ctx.drivers.cipher.seal(&place_of(bucket), last.as_bytes()))
}

fn opened(ctx: &Ctx, bucket: &Bucket, token: &str) -> Result<String> {
    let bytes = URL_SAFE_NO_PAD.decode(token).ok();
    let plain = bytes.and_then(|bytes| ctx.drivers.cipher.open(&place_of(bucket), &bytes).ok());
    plain.and_then(|plain| String::from_utf8(plain).ok()).ok_or_else(|| {
        let text = "The continuation token provided is incorrect";
        Error::argument("continuation-token", token, text)
    })
}

fn place_of(bucket: &Bucket) -> String {
    format!("s3 continuation {}", bucket.id)
}
