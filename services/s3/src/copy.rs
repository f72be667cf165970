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
use crate::error::{Error, Result};
use crate::guard::Guard;
use crate::multipart::find_upload;
use crate::object::{check_key, check_version, headers_of, refuse_unsupported, store_object};
use crate::parts::{check_number, store_part};
use crate::percent;
use crate::range::{Slice, parse};
use crate::read::stream_of;
use crate::settings::tags_from_header;
use crate::sse::{self, Customer, Key, customer_of, show_sse, source_customer_of};
use crate::store::{Bytes, Condition, OBJECTS, Object};
use crate::upload::{Announced, SIZE_MAX, receive};

/// What a copy reads.
struct Source {
    bucket: String,
    key: String,
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
        check_version(&version)?;
        let path = percent::decode(path).ok_or_else(invalid)?;
        if path.starts_with("arn:") {
            return Err(Error::NotImplemented("x-amz-copy-source"));
        }
        let path = path.strip_prefix('/').unwrap_or(&path);
        let (bucket, key) = path.split_once('/').ok_or_else(invalid)?;
        if bucket.is_empty() || key.is_empty() {
            return Err(invalid());
        }
        Ok(Self { bucket: bucket.to_owned(), key: key.to_owned() })
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
        let key = (&source.bucket, &source.key);
        let found = ctx.store.read(|tx| tx.get(&OBJECTS, key)).await?;
        found.ok_or_else(|| Error::NoSuchKey(source.key.clone()))?
    }};
}

/// A copy has no answer for "not modified": the condition failed.
fn of_head(error: ServiceError) -> Error {
    match error.status {
        304 => Error::PreconditionFailed("x-amz-copy-source-If-None-Match"),
        _ => Error::Inside(error),
    }
}

/// Copies an object.
///
/// AWS: CopyObject.
pub(crate) async fn copy_object(ctx: Ctx, input: CopyObjectInput) -> Result<CopyObjectOutput> {
    check_key(&input.key)?;
    refuse_unsupported!(input)?;
    refuse(&[("x-amz-annotation-directive", input.annotation_directive.is_some())])?;
    let condition = Condition::of(input.if_match.clone(), input.if_none_match.clone())?;
    let wanted = algorithm_of(input.checksum_algorithm)?;
    let wish = Wish::new("s3:PutObject", &input.bucket, &input.expected_bucket_owner);
    let bucket = admit(&ctx, wish.key(&input.key)).await?;
    let mut guard = Guard::of_writer(&ctx, &bucket, asked_of!(input, None))?;
    let asked = sse::asked_of!(input)?;
    let source = source_of!(ctx, input);
    if source.size > SIZE_MAX {
        return Err(Error::InvalidRequest(
            "The specified copy source is larger than the maximum allowable size for a copy \
             source: 5368709120"
                .to_owned(),
        ));
    }
    let replaces = input.metadata_directive == Some(MetadataDirective::Replace);
    let retags = input.tagging_directive == Some(TaggingDirective::Replace);
    let recrypts = asked.algorithm.is_some() || asked.customer.is_some();
    let same = source.bucket == input.bucket && source.key == input.key;
    if same && !replaces && !recrypts && wanted.is_none() {
        return Err(unchanged());
    }
    let mut headers = if replaces { headers_of!(input)? } else { source.headers.clone() };
    // A redirect is not copied: it is what the request says.
    headers.website_redirect_location = input.website_redirect_location.clone();
    let tags = if retags {
        tags_from_header(input.tagging.as_deref())?
    } else {
        copied_tags(&ctx, &source).await?
    };
    // The source's algorithm stays, unless another is asked for.
    let wanted =
        wanted.or((!source.checksum.composite).then(|| by_name(&source.checksum.algorithm)));
    let (sse, key) = sse::choose(&ctx, &bucket, &input.key, &asked).await?;
    guard.sse = sse;
    let seal = sse::seal(&ctx, key.as_ref());
    let key = source_key(&ctx, &source, source_customer_of!(input)?.as_ref()).await?;
    let body = stream_of(&ctx, &source, Slice::whole(source.size), key).await?;
    let announced = Announced { wanted, seal, ..Announced::default() };
    let landed = receive(ctx.drivers.blobs.as_ref(), Some(body), announced).await?;
    let object = Object {
        bucket: input.bucket,
        key: input.key,
        size: landed.size,
        etag: landed.etag(),
        bytes: Bytes::Whole(landed.blob),
        modified: ctx.now(),
        headers,
        tags,
        checksum: landed.wanted.unwrap_or(landed.crc64),
        guard,
    };
    store_object(&ctx, &bucket, &object, &condition).await?;
    let mut result = CopyObjectResult {
        e_tag: Some(format!("\"{}\"", object.etag)),
        last_modified: Some(object.modified),
        checksum_type: Some(object.checksum.kind()),
        ..CopyObjectResult::default()
    };
    checksum::show!(result, &object.checksum);
    let mut output = CopyObjectOutput {
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
async fn copied_tags(ctx: &Ctx, source: &Object) -> Result<base::Tags> {
    if !source.tags.is_empty() {
        let read = GetObjectTaggingInput {
            bucket: source.bucket.clone(),
            key: source.key.clone(),
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
    let source = source_of!(ctx, input);
    let slice = match &input.copy_source_range {
        None => Slice::whole(source.size),
        Some(header) => copied_range(header, source.size)?,
    };
    let place = (input.bucket.as_str(), input.key.as_str());
    let own = sse::unlock(&ctx, &upload.guard.sse, place, customer.as_ref()).await?;
    let seal = sse::seal(&ctx, own.as_ref());
    let key = source_key(&ctx, &source, source_customer_of!(input)?.as_ref()).await?;
    let body = stream_of(&ctx, &source, slice, key).await?;
    let wanted = upload.algorithm.as_deref().map(by_name);
    let announced = Announced { wanted, seal, ..Announced::default() };
    let landed = receive(ctx.drivers.blobs.as_ref(), Some(body), announced).await?;
    let etag = landed.etag();
    let sum = store_part(&ctx, &upload, number, landed).await?;
    let mut result = CopyPartResult {
        e_tag: Some(format!("\"{etag}\"")),
        last_modified: Some(ctx.now()),
        ..CopyPartResult::default()
    };
    checksum::show!(result, &sum);
    let mut output = UploadPartCopyOutput {
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
