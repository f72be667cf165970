//! Copies of objects and of ranges of them. The source is read as its reader: HeadObject, called as
//! the one who copies, decides whether it may be read and whether its conditions hold.
//!
//! AWS: "Copying, moving, and renaming objects".

use kernel::ServiceError;
use s3_api::{
    CopyObjectInput, CopyObjectOutput, CopyObjectResult, CopyPartResult, GetObjectTaggingInput,
    HeadObjectInput, MetadataDirective, ServerSideEncryption, TaggingDirective,
    UploadPartCopyInput, UploadPartCopyOutput,
};

use crate::Ctx;
use crate::acl::asked_of;
use crate::admission::{Wish, admit};
use crate::bucket::refuse;
use crate::checksum::{self, algorithm_of, by_name};
use crate::class::Class;
use crate::error::{Error, Result};
use crate::guard::Guard;
use crate::lifecycle::expiration_of_object;
use crate::multipart::find_upload;
use crate::object::{
    check_key, headers_of, lock_of, made_version, refuse_unsupported, store_object,
};
use crate::parts::{check_number, store_part};
use crate::percent;
use crate::range::{Slice, parse};
use crate::read::{held, stream_of};
use crate::settings::tags_from_header;
use crate::sse::{self, Customer, Key, customer_of, show_sse, source_customer_of};
use crate::store::{BUCKETS, Condition, Object, Version, Versioning};
use crate::upload::{Announced, Room, SIZE_MAX, receive};
use crate::version::Named;
use crate::{restore, tiering};

/// What a copy reads.
struct Source {
    bucket: String,
    key: String,
    version_id: Option<String>,
    named: Named,
}

impl Source {
    /// The source that an `x-amz-copy-source` header names.
    fn parse(header: &str) -> Result<Self> {
        let invalid = || {
            let text = "Copy Source must mention the source bucket and key: \
                        sourcebucket/sourcekey";
            Error::argument("x-amz-copy-source", header, text)
        };
        let (path, version) = match header.split_once("?versionId=") {
            Some((path, version)) => (path, Some(version.to_owned())),
            None => (header, None),
        };
        let named = Named::parse(version.as_deref())?;
        let path = percent::decode(path).ok_or_else(invalid)?;
        if path.starts_with("arn:") {
            return Err(Error::NotImplemented("x-amz-copy-source"));
        }
        let path = path.strip_prefix('/').unwrap_or(&path);
        let (bucket, key) = path.split_once('/').ok_or_else(invalid)?;
        if bucket.is_empty() || key.is_empty() {
            return Err(invalid());
        }
        let (bucket, key) = (bucket.to_owned(), key.to_owned());
        Ok(Self { bucket, key, version_id: version, named })
    }
}

/// The source's object, once the caller was found to be allowed to read it.
macro_rules! source_of {
    ($ctx:expr, $input:expr) => {{
        let (ctx, input) = (&$ctx, &$input);
        let source = Source::parse(&input.copy_source)?;
        let head = HeadObjectInput {
            bucket: source.bucket.clone(),
            key: source.key.clone(),
            version_id: source.version_id.clone(),
            if_match: input.copy_source_if_match.clone(),
            if_none_match: input.copy_source_if_none_match.clone(),
            if_modified_since: input.copy_source_if_modified_since,
            if_unmodified_since: input.copy_source_if_unmodified_since,
            expected_bucket_owner: input.expected_source_bucket_owner.clone(),
            sse_customer_algorithm: input.copy_source_sse_customer_algorithm.clone(),
            sse_customer_key: input.copy_source_sse_customer_key.clone(),
            sse_customer_key_md5: input.copy_source_sse_customer_key_md5.clone(),
            ..HeadObjectInput::default()
        };
        ctx.client.call(head).await.map_err(of_head)?;
        let held = ctx
            .store
            .read(|tx| held(tx, &source.bucket, &source.key, &source.named))
            .await
            .map_err(of_source)?;
        restore::check_readable(&held.object)?;
        tiering::touch(ctx, &held.object).await?;
        let from = ctx.store.read(|tx| tx.get(&BUCKETS, &source.bucket)).await?;
        let has_versions = from.is_some_and(|from| from.versioning != Versioning::Never);
        let version = has_versions.then(|| held.object.version.shown().to_owned());
        (held, version, source)
    }};
}

/// A delete marker cannot be copied.
fn of_source(error: Error) -> Error {
    if let Error::MarkerNotAllowed { .. } = error {
        let text = "The source of a copy request may not specifically refer to a delete marker by \
                    version id.";
        return Error::InvalidRequest(text.to_owned());
    }
    error
}

/// A copy has no answer for "not modified": the condition failed.
fn of_head(error: ServiceError) -> Error {
    match error.status {
        304 => Error::PreconditionFailed("x-amz-copy-source-If-None-Match"),
        405 => of_source(Error::MarkerNotAllowed {
            version: String::new(),
            made: base::Timestamp::default(),
        }),
        _ => Error::Inside(error),
    }
}

/// Copies an object.
///
/// AWS: CopyObject.
#[expect(clippy::too_many_lines, reason = "what a copy takes over, one line each")]
pub(crate) async fn copy_object(ctx: Ctx, input: CopyObjectInput) -> Result<CopyObjectOutput> {
    check_key(&input.key)?;
    refuse_unsupported!(input)?;
    refuse(&[("x-amz-annotation-directive", input.annotation_directive.is_some())])?;
    let class = Class::asked(input.storage_class)?;
    let lock = lock_of!(ctx, input)?;
    let condition = Condition::of(input.if_match.clone(), input.if_none_match.clone())?;
    let wanted = algorithm_of(input.checksum_algorithm)?;
    let wish = Wish::new("s3:PutObject", &input.bucket, &input.expected_bucket_owner);
    let bucket = admit(&ctx, wish.key(&input.key)).await?;
    let mut guard = Guard::of_writer(&ctx, &bucket, asked_of!(input, None))?;
    let asked = sse::asked_of!(input)?;
    let (held, copied_version, named) = source_of!(ctx, input);
    let source = held.object.clone();
    if source.size > SIZE_MAX {
        return Err(Error::InvalidRequest(
            "The specified copy source is larger than the maximum allowable size for a copy \
             source: 5368709120"
                .to_owned(),
        ));
    }
    let replaces = input.metadata_directive == Some(MetadataDirective::Replace);
    let retags = input.tagging_directive == Some(TaggingDirective::Replace);
    let same = source.bucket == input.bucket && source.key == input.key;
    // Copying an old version over the current one, or into another class, changes the object.
    let changes = replaces
        || named.named != Named::Current
        || class != source.class
        || asked.algorithm.is_some()
        || asked.customer.is_some()
        || wanted.is_some();
    if same && !changes {
        return Err(unchanged());
    }
    let mut headers = if replaces { headers_of!(input)? } else { source.headers.clone() };
    // A redirect is not copied: it is what the request says.
    headers.website_redirect_location = input.website_redirect_location.clone();
    let tags = if retags {
        tags_from_header(input.tagging.as_deref())?
    } else {
        copied_tags(&ctx, &source, &named.named).await?
    };
    // The source's algorithm stays, unless another is asked for.
    let wanted =
        wanted.or((!source.checksum.composite).then(|| by_name(&source.checksum.algorithm)));
    let (sse, key) = sse::choose(&ctx, &bucket, &input.key, &asked).await?;
    guard.sse = sse;
    let seal = sse::seal(&ctx, key.as_ref());
    let key = source_key(&ctx, &source, source_customer_of!(input)?.as_ref()).await?;
    let body = stream_of(&ctx.drivers, held, None, key).await?;
    let announced = Announced { wanted, seal, ..Announced::default() };
    let landed = receive(&ctx.drivers, Some(body), announced, Room::Rows).await?;
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
        checksum: landed.wanted.unwrap_or(landed.crc64),
        guard,
        version: Version::default(),
        class,
        lock,
        tiering: tiering::begun(class, now),
        restore: None,
    };
    let object = store_object(&ctx, &bucket, (object, small), &condition).await?;
    let mut result = CopyObjectResult {
        e_tag: Some(format!("\"{}\"", object.etag)),
        last_modified: Some(object.modified),
        checksum_type: Some(object.checksum.kind()),
        ..CopyObjectResult::default()
    };
    checksum::show!(result, &object.checksum);
    let mut output = CopyObjectOutput {
        version_id: made_version(&object),
        copy_source_version_id: copied_version,
        expiration: expiration_of_object(&ctx, &bucket, &object).await?,
        copy_object_result: Some(result),
        server_side_encryption: Some(ServerSideEncryption::Aes256),
        ..CopyObjectOutput::default()
    };
    show_sse!(output, object.guard.sse, asked.customer);
    Ok(output)
}

/// The key that opens the source.
async fn source_key(
    ctx: &Ctx,
    source: &Object,
    customer: Option<&Customer>,
) -> Result<Option<Key>> {
    sse::check(&source.guard.sse, customer)?;
    sse::unlock(ctx, &source.guard.sse, (&source.bucket, &source.key), customer).await
}

fn unchanged() -> Error {
    Error::InvalidRequest(
        "This copy request is illegal because it is trying to copy an object to itself without \
         changing the object's metadata, storage class, website redirect location or encryption \
         attributes."
            .to_owned(),
    )
}

/// The source's tags, which the caller must be allowed to read where there are any.
async fn copied_tags(ctx: &Ctx, source: &Object, named: &Named) -> Result<base::Tags> {
    if !source.tags.is_empty() {
        let read = GetObjectTaggingInput {
            bucket: source.bucket.clone(),
            key: source.key.clone(),
            version_id: source.version.id.clone().filter(|_| *named != Named::Current),
            ..GetObjectTaggingInput::default()
        };
        ctx.client.call(read).await?;
    }
    Ok(source.tags.clone())
}

/// Copies an object or a range of it into a part.
///
/// AWS: UploadPartCopy.
pub(crate) async fn upload_part_copy(
    ctx: Ctx,
    input: UploadPartCopyInput,
) -> Result<UploadPartCopyOutput> {
    let customer = customer_of!(input)?;
    let number = check_number(input.part_number)?;
    let wish = Wish::new("s3:PutObject", &input.bucket, &input.expected_bucket_owner);
    admit(&ctx, wish.key(&input.key)).await?;
    let upload = find_upload(&ctx, &input.bucket, &input.key, &input.upload_id).await?;
    sse::check_part(&upload.guard.sse, customer.as_ref())?;
    let (held, copied_version, _) = source_of!(ctx, input);
    let slice = match &input.copy_source_range {
        None => None,
        Some(header) => Some(copied_range(header, held.object.size)?),
    };
    let place = (input.bucket.as_str(), input.key.as_str());
    let own = sse::unlock(&ctx, &upload.guard.sse, place, customer.as_ref()).await?;
    let seal = sse::seal(&ctx, own.as_ref());
    let key = source_key(&ctx, &held.object, source_customer_of!(input)?.as_ref()).await?;
    let body = stream_of(&ctx.drivers, held, slice, key).await?;
    let wanted = upload.algorithm.as_deref().map(by_name);
    let announced = Announced { wanted, seal, ..Announced::default() };
    let landed = receive(&ctx.drivers, Some(body), announced, Room::Files).await?;
    let etag = landed.etag();
    let sum = store_part(&ctx, &upload, number, landed).await?;
    let mut result = CopyPartResult {
        e_tag: Some(format!("\"{etag}\"")),
        last_modified: Some(ctx.now()),
        ..CopyPartResult::default()
    };
    checksum::show!(result, &sum);
    let mut output = UploadPartCopyOutput {
        copy_source_version_id: copied_version,
        copy_part_result: Some(result),
        server_side_encryption: Some(ServerSideEncryption::Aes256),
        ..UploadPartCopyOutput::default()
    };
    show_sse!(output, upload.guard.sse, customer);
    Ok(output)
}

fn copied_range(header: &str, size: u64) -> Result<Slice> {
    let form = || {
        let text = "The x-amz-copy-source-range value must be of the form bytes=first-last where \
                    first and last are the zero-based offsets of the first and last bytes to copy";
        Error::argument("x-amz-copy-source-range", header, text)
    };
    let Some((Some(first), Some(last))) = parse(header).filter(|_| header.starts_with("bytes="))
    else {
        return Err(form());
    };
    if first > last {
        return Err(form());
    }
    if last >= size {
        let text = format!("Range specified is not valid for source object of size: {size}");
        return Err(Error::argument("x-amz-copy-source-range", header, text));
    }
    Ok(Slice { offset: first, length: last - first + 1, shown: None })
}
