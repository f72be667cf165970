//! Objects as they are written and deleted.

use base::Tags;
use base64::Engine as _;
use futures_util::StreamExt;
use futures_util::stream;
use kernel::ServiceError;
use s3_api::{
    DeleteObjectInput, DeleteObjectOutput, DeleteObjectsInput, DeleteObjectsOutput, DeletedObject,
    Error as Failure, ObjectIdentifier, PutObjectInput, PutObjectOutput, ServerSideEncryption,
};

use crate::Ctx;
use crate::acl::asked_of;
use crate::admission::{Wish, admit};
use crate::bucket::refuse;
use crate::checksum::{self, algorithm_of};
use crate::class::Class;
use crate::error::{Error, Result};
use crate::guard::Guard;
use crate::lifecycle::expiration_of_object;
use crate::lock::Bypass;
use crate::settings::{OBJECT_TAGS_MAX, tags_from_header};
use crate::sse::{self, show_sse};
use crate::store::{
    BUCKETS, Bytes, Condition, Headers, Lock, OBJECTS, Object, Small, Version, discard,
};
use crate::upload::{Announced, Room, receive};
use crate::version::{self, Deleted, Found, Named, Salt, place, same_bucket};
use crate::{tagging, tiering};

/// AWS: "Object key naming guidelines".
const KEY_BYTES_MAX: usize = 1024;
/// AWS: "Working with object metadata".
const METADATA_BYTES_MAX: usize = 2048;
/// How many deletions of one DeleteObjects run at once: they share commits.
const DELETES_AT_ONCE: usize = 32;

/// Members of the three operations that begin an object which cannot be honoured.
macro_rules! refuse_unsupported {
    ($input:expr) => {
        $crate::bucket::refuse(&[(
            "x-amz-object-lock-event-hold",
            $input.object_lock_event_hold.is_some()
                || $input.object_lock_event_hold_duration_days.is_some()
                || $input.object_lock_event_hold_duration_years.is_some(),
        )])
    };
}
pub(crate) use refuse_unsupported;

/// The lock that an input gives an object.
macro_rules! lock_of {
    ($ctx:expr, $input:expr) => {
        $crate::lock::asked(
            $input.object_lock_mode,
            $input.object_lock_retain_until_date,
            $input.object_lock_legal_hold_status,
            $ctx.now(),
        )
    };
}
pub(crate) use lock_of;

/// The headers that an input gives an object.
macro_rules! headers_of {
    ($input:expr) => {
        $crate::object::checked_headers($crate::store::Headers {
            cache_control: $input.cache_control.clone(),
            content_disposition: $input.content_disposition.clone(),
            content_encoding: $input.content_encoding.clone(),
            content_language: $input.content_language.clone(),
            content_type: $input.content_type.clone(),
            expires: $input.expires.clone(),
            website_redirect_location: $input.website_redirect_location.clone(),
            metadata: $input.metadata.clone(),
        })
    };
}
pub(crate) use headers_of;

/// Headers within their limits, without what only the transfer of the body is about.
pub(crate) fn checked_headers(mut headers: Headers) -> Result<Headers> {
    let size = headers.metadata.iter().map(|(key, value)| key.len() + value.len()).sum();
    if size > METADATA_BYTES_MAX {
        return Err(Error::MetadataTooLarge { size });
    }
    headers.content_encoding = headers.content_encoding.and_then(|text| {
        let kept: Vec<&str> = text
            .split(',')
            .map(str::trim)
            .filter(|coding| !coding.is_empty() && *coding != "aws-chunked")
            .collect();
        (!kept.is_empty()).then(|| kept.join(","))
    });
    Ok(headers)
}

/// Refuses a key that no object can have.
pub(crate) fn check_key(key: &str) -> Result<()> {
    if key.len() > KEY_BYTES_MAX {
        return Err(Error::KeyTooLongError { size: key.len() });
    }
    Ok(())
}

/// Writes an object, replacing the one with its key.
///
/// AWS: PutObject.
pub(crate) async fn put_object(ctx: Ctx, input: PutObjectInput) -> Result<PutObjectOutput> {
    check_key(&input.key)?;
    refuse_unsupported!(input)?;
    refuse(&[("x-amz-write-offset-bytes", input.write_offset_bytes.is_some())])?;
    let headers = headers_of!(input)?;
    let tags = tags_from_header(input.tagging.as_deref())?;
    let class = Class::asked(input.storage_class)?;
    let lock = lock_of!(ctx, input)?;
    let condition = Condition::of(input.if_match.clone(), input.if_none_match.clone())?;
    let announced = Announced {
        md5: input.content_md5.clone(),
        sums: checksum::given!(input)?,
        wanted: algorithm_of(input.checksum_algorithm)?,
        seal: None,
    };
    let is_checked =
        announced.md5.is_some() || !announced.sums.is_empty() || input.checksum_algorithm.is_some();
    if lock != Lock::default() && !is_checked {
        return Err(Error::InvalidRequest(
            "Content-MD5 OR x-amz-checksum- HTTP header is required for Put Object requests with \
             Object Lock parameters"
                .to_owned(),
        ));
    }
    let wish = Wish::new("s3:PutObject", &input.bucket, &input.expected_bucket_owner);
    let bucket = admit(&ctx, wish.key(&input.key)).await?;
    let mut guard = Guard::of_writer(&ctx, &bucket, asked_of!(input, None))?;
    let asked = sse::asked_of!(input)?;
    let (sse, key) = sse::choose(&ctx, &bucket, &input.key, &asked).await?;
    guard.sse = sse;
    if condition.absent || condition.etag.is_some() {
        // Looked at before the body is taken in, and again when the object is put in place.
        let key = (&input.bucket, &input.key);
        let old = ctx.store.read(|tx| tx.get(&OBJECTS, key)).await?;
        condition.check(&input.key, old.as_ref())?;
    }
    let announced = Announced { seal: sse::seal(&ctx, key.as_ref()), ..announced };
    let landed = receive(&ctx.drivers, input.body.clone(), announced, Room::Rows).await?;
    let (etag, now) = (landed.etag(), ctx.now());
    let (bytes, small) = landed.place.settle(&ctx, now);
    let object = Object {
        bucket: input.bucket,
        key: input.key,
        size: landed.size,
        etag,
        bytes,
        modified: now,
        headers,
        tags,
        checksum: landed.sum,
        guard,
        version: Version::default(),
        class,
        lock,
        tiering: tiering::begun(class, now),
        restore: None,
    };
    let object = store_object(&ctx, &bucket, (object, small), &condition).await?;
    let mut output = PutObjectOutput {
        version_id: made_version(&object),
        expiration: expiration_of_object(&ctx, &bucket, &object).await?,
        e_tag: Some(format!("\"{}\"", object.etag)),
        checksum_type: Some(object.checksum.kind()),
        server_side_encryption: Some(ServerSideEncryption::Aes256),
        ..PutObjectOutput::default()
    };
    show_sse!(output, object.guard.sse, asked.customer);
    checksum::show!(output, &object.checksum);
    Ok(output)
}

/// Makes an object visible whose bytes have landed; if that fails, the bytes are given up.
pub(crate) async fn store_object(
    ctx: &Ctx,
    bucket: &crate::store::Bucket,
    (object, small): (Object, Option<Small>),
    condition: &Condition,
) -> Result<Object> {
    let salt = Salt::new(ctx);
    let placed = ctx
        .store
        .write(|tx| place(tx, bucket, object.clone(), small.as_ref(), (condition, salt)))
        .await;
    if let (Err(_), Bytes::Whole(blob)) = (&placed, &object.bytes) {
        let now = ctx.now();
        ctx.store.write(|tx| discard(tx, blob.clone(), now)).await?;
    }
    placed
}

/// The version that a write made, where it made one.
pub(crate) fn made_version(object: &Object) -> Option<String> {
    object.version.id.clone()
}

/// Deletes an object, which leaves a delete marker where its bucket keeps versions, or destroys the
/// version that is named; what is not there is deleted already.
///
/// AWS: DeleteObject.
pub(crate) async fn delete_object(
    ctx: Ctx,
    input: DeleteObjectInput,
) -> Result<DeleteObjectOutput> {
    let named = Named::parse(input.version_id.as_deref())?;
    refuse(&[("x-amz-mfa", input.mfa.is_some())])?;
    let action = tagging::action(&named, "s3:DeleteObject", "s3:DeleteObjectVersion");
    let wish = Wish::new(action, &input.bucket, &input.expected_bucket_owner);
    let bucket = admit(&ctx, wish.key(&input.key)).await?;
    let (now, salt) = (ctx.now(), Salt::new(&ctx));
    let deleted = ctx
        .store
        .write(|tx| {
            let bucket = same_bucket(tx, &bucket)?;
            let place = (input.bucket.as_str(), input.key.as_str());
            let found = version::find(tx, place.0, place.1, &named)?;
            check_deletion(&input, found.as_ref())?;
            match (&named, found) {
                (Named::Current, _) => version::delete(tx, &bucket, place.1, (now, salt)),
                (Named::Null | Named::Id(..), Some(found)) => {
                    let bypass = Bypass::of(input.bypass_governance_retention);
                    version::destroy(tx, place, &found, (now, bypass))
                }
                (Named::Null | Named::Id(..), None) => {
                    let version = input.version_id.clone();
                    Ok(Deleted { version, marker: false })
                }
            }
        })
        .await?;
    Ok(DeleteObjectOutput {
        delete_marker: deleted.marker.then_some(true),
        version_id: deleted.version,
        ..DeleteObjectOutput::default()
    })
}

/// Refuses a deletion whose conditions do not hold.
///
/// AWS: "How to perform conditional deletes".
fn check_deletion(input: &DeleteObjectInput, found: Option<&Found>) -> Result<()> {
    let old = match found {
        Some(Found::Current(object)) => Some(object),
        Some(Found::Past(past)) => past.object(),
        None => None,
    };
    let condition = Condition::of(input.if_match.clone(), None)?;
    condition.check(&input.key, old)?;
    let Some(old) = old else { return Ok(()) };
    let time = input.if_match_last_modified_time;
    let other_time = time.is_some_and(|time| time.as_secs() != old.modified.as_secs());
    let size = u64::try_from(input.if_match_size.unwrap_or_default()).ok();
    let other_size = input.if_match_size.is_some() && size != Some(old.size);
    if other_time || other_size {
        return Err(Error::PreconditionFailed("If-Match"));
    }
    Ok(())
}

/// Deletes up to a thousand objects, each as DeleteObject would.
///
/// AWS: DeleteObjects.
pub(crate) async fn delete_objects(
    ctx: Ctx,
    input: DeleteObjectsInput,
) -> Result<DeleteObjectsOutput> {
    if input.delete.objects.is_empty() || input.delete.objects.len() > 1000 {
        return Err(Error::MalformedXml);
    }
    refuse(&[("x-amz-mfa", input.mfa.is_some())])?;
    let found = ctx.store.read(|tx| tx.get(&BUCKETS, &input.bucket)).await?;
    if found.is_none() {
        return Err(Error::NoSuchBucket(input.bucket));
    }
    let quiet = input.delete.quiet == Some(true);
    let delete = |object: ObjectIdentifier| {
        let ObjectIdentifier { key, version_id, e_tag, last_modified_time, size } = object;
        let call = DeleteObjectInput {
            bucket: input.bucket.clone(),
            key: key.clone(),
            version_id: version_id.clone(),
            expected_bucket_owner: input.expected_bucket_owner.clone(),
            if_match: e_tag,
            if_match_last_modified_time: last_modified_time,
            if_match_size: size,
            // A header that says no asks for no permission.
            bypass_governance_retention: input.bypass_governance_retention.filter(|yes| *yes),
            ..DeleteObjectInput::default()
        };
        let client = ctx.client.clone();
        async move { (key, version_id, client.call(call).await) }
    };
    let results: Vec<_> =
        stream::iter(input.delete.objects).map(delete).buffered(DELETES_AT_ONCE).collect().await;
    let mut output = DeleteObjectsOutput::default();
    for (key, version_id, result) in results {
        match result {
            Ok(_) if quiet => {}
            Ok(deleted) => output.deleted.push(DeletedObject {
                key: Some(key),
                delete_marker: deleted.delete_marker,
                delete_marker_version_id: deleted
                    .version_id
                    .filter(|_| deleted.delete_marker == Some(true)),
                version_id,
            }),
            Err(error) => output.errors.push(failure(key, version_id, error)),
        }
    }
    Ok(output)
}

fn failure(key: String, version_id: Option<String>, error: ServiceError) -> Failure {
    Failure { key: Some(key), version_id, code: Some(error.code), message: Some(error.message) }
}

/// A value that cannot be guessed and needs no escapes in a URL, for uploads.
pub(crate) fn random_name(ctx: &Ctx) -> String {
    let mut bytes = [0; 48];
    ctx.random().fill(&mut bytes);
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes)
}

/// The number of an object's tags, where it has any.
pub(crate) fn tag_count(tags: &Tags) -> Option<i32> {
    debug_assert!(tags.len() <= OBJECT_TAGS_MAX);
    i32::try_from(tags.len()).ok().filter(|count| *count > 0)
}
