//! Objects as they are read: conditions, ranges, parts, and the stream of their bytes.
//!
//! AWS: GetObject, "Conditional reads".

use std::io;
use std::sync::Arc;

use base::Timestamp;
use blob::{BlobId, Blobs, Reader};
use futures_util::stream;
use http_body::Frame;
use http_body_util::StreamBody;
use policy::Principal;
use protocol::ByteStream;
use s3_api::{
    Checksum as ShownChecksum, ChecksumMode, GetObjectAttributesInput, GetObjectAttributesOutput,
    GetObjectAttributesParts, GetObjectInput, GetObjectOutput, HeadBucketInput, HeadObjectInput,
    HeadObjectOutput, ObjectAttributes, ObjectPart, ServerSideEncryption, StorageClass,
};

use crate::Ctx;
use crate::admission::{Wish, admit};
use crate::checksum;
use crate::error::{Error, Result};
use crate::object::{check_version, tag_count};
use crate::range::{Slice, slice_of};
use crate::sse::{self, Customer, Key, customer_of, show_sse};
use crate::store::{Bytes, OBJECTS, Object, PARTS, Part};

/// How much of an object one step of a download holds.
const CHUNK: usize = 256 * 1024;

/// The conditions of a read.
#[derive(Debug, Clone, Default)]
pub(crate) struct Conditions {
    pub(crate) if_match: Option<String>,
    pub(crate) if_none_match: Option<String>,
    pub(crate) if_modified_since: Option<Timestamp>,
    pub(crate) if_unmodified_since: Option<Timestamp>,
}

impl Conditions {
    /// Whether the object may be sent.
    pub(crate) fn check(&self, object: &Object) -> Result<()> {
        let lists = |list: &String| {
            let mut tags = list.split(',').map(|tag| tag.trim().trim_start_matches("W/"));
            tags.any(|tag| tag == "*" || tag.trim_matches('"') == object.etag)
        };
        // What is shown of the time has whole seconds.
        let modified = object.modified.as_secs();
        let unmodified = self.if_unmodified_since.is_none_or(|time| modified <= time.as_secs());
        match &self.if_match {
            Some(list) if !lists(list) => return Err(Error::PreconditionFailed("If-Match")),
            None if !unmodified => return Err(Error::PreconditionFailed("If-Unmodified-Since")),
            Some(_) | None => {}
        }
        let is_modified = self.if_modified_since.is_none_or(|time| modified > time.as_secs());
        match &self.if_none_match {
            Some(list) if lists(list) => Err(Error::NotModified),
            None if !is_modified => Err(Error::NotModified),
            Some(_) | None => Ok(()),
        }
    }
}

/// The object, if it is there; who may not list the bucket does not learn that it is not.
///
/// AWS: GetObject, "If the object you request doesn't exist".
pub(crate) async fn find(ctx: &Ctx, bucket: &str, key: &str) -> Result<Object> {
    let found = ctx.store.read(|tx| tx.get(&OBJECTS, (bucket, key))).await?;
    if let Some(object) = found {
        return Ok(object);
    }
    let head = HeadBucketInput { bucket: bucket.to_owned(), expected_bucket_owner: None };
    match ctx.client.call(head).await {
        Err(error) if error.status == 403 => Err(Error::AccessDenied(error.message)),
        Ok(_) | Err(_) => Err(Error::NoSuchKey(key.to_owned())),
    }
}

/// What of an object is read.
pub(crate) struct Chosen {
    object: Object,
    slice: Slice,
    parts_count: Option<i32>,
    /// What opens its bytes, where that takes a key.
    key: Option<Key>,
    customer: Option<Customer>,
}

/// The members that GetObject and HeadObject share.
macro_rules! choose {
    ($ctx:expr, $input:expr) => {{
        let input = &$input;
        check_version(&input.version_id)?;
        let customer = customer_of!(input)?;
        let overrides = input.response_cache_control.is_some()
            || input.response_content_disposition.is_some()
            || input.response_content_encoding.is_some()
            || input.response_content_language.is_some()
            || input.response_content_type.is_some()
            || input.response_expires.is_some();
        if overrides && matches!($ctx.caller.principal, Principal::Anonymous) {
            return Err(Error::InvalidRequest(
                "Request specific response headers cannot be used for anonymous GET requests."
                    .to_owned(),
            ));
        }
        let wish = Wish::new("s3:GetObject", &input.bucket, &input.expected_bucket_owner);
        admit(&$ctx, wish.key(&input.key)).await?;
        let object = find(&$ctx, &input.bucket, &input.key).await?;
        sse::check(&object.guard.sse, customer.as_ref())?;
        let conditions = Conditions {
            if_match: input.if_match.clone(),
            if_none_match: input.if_none_match.clone(),
            if_modified_since: input.if_modified_since,
            if_unmodified_since: input.if_unmodified_since,
        };
        conditions.check(&object)?;
        let found = chosen(&$ctx, object, input.range.as_deref(), input.part_number).await?;
        Chosen { customer, ..found }
    }};
}

/// Describes what was chosen.
macro_rules! describe {
    ($output:ident, $input:expr, $chosen:expr) => {{
        let (object, slice) = (&$chosen.object, &$chosen.slice);
        let headers = object.headers.clone();
        let input = &$input;
        let mut output = $output {
            accept_ranges: Some("bytes".to_owned()),
            last_modified: Some(object.modified),
            content_length: i64::try_from(slice.length).ok(),
            content_range: slice.shown.clone(),
            e_tag: Some(format!("\"{}\"", object.etag)),
            cache_control: input.response_cache_control.clone().or(headers.cache_control),
            content_disposition: input
                .response_content_disposition
                .clone()
                .or(headers.content_disposition),
            content_encoding: input.response_content_encoding.clone().or(headers.content_encoding),
            content_language: input.response_content_language.clone().or(headers.content_language),
            content_type: input
                .response_content_type
                .clone()
                .or(headers.content_type)
                .or_else(|| Some("binary/octet-stream".to_owned())),
            expires: input.response_expires.map(Timestamp::http_date).or(headers.expires),
            website_redirect_location: headers.website_redirect_location,
            metadata: headers.metadata,
            server_side_encryption: Some(ServerSideEncryption::Aes256),
            tag_count: tag_count(&object.tags),
            parts_count: $chosen.parts_count,
            ..$output::default()
        };
        show_sse!(output, object.guard.sse, $chosen.customer);
        // The checksum is the whole object's; a part of it would not match.
        if input.checksum_mode == Some(ChecksumMode::Enabled) && slice.length == object.size {
            checksum::show!(output, &object.checksum);
            output.checksum_type = Some(object.checksum.kind());
        }
        output
    }};
}

/// Sends an object or a range of it.
///
/// AWS: GetObject.
pub(crate) async fn get_object(ctx: Ctx, input: GetObjectInput) -> Result<GetObjectOutput> {
    let mut chosen = choose!(ctx, input);
    let place = (input.bucket.as_str(), input.key.as_str());
    let sse = &chosen.object.guard.sse;
    chosen.key = sse::unlock(&ctx, sse, place, chosen.customer.as_ref()).await?;
    let mut output = describe!(GetObjectOutput, input, chosen);
    output.body = Some(stream_of(&ctx, &chosen.object, chosen.slice, chosen.key).await?);
    Ok(output)
}

/// Tells about an object without sending it.
///
/// AWS: HeadObject.
pub(crate) async fn head_object(ctx: Ctx, input: HeadObjectInput) -> Result<HeadObjectOutput> {
    let chosen = choose!(ctx, input);
    Ok(describe!(HeadObjectOutput, input, chosen))
}

/// The parts of an object, where it has any.
pub(crate) async fn parts_of(ctx: &Ctx, object: &Object) -> Result<Vec<Part>> {
    match &object.bytes {
        Bytes::Whole(_) => Ok(Vec::new()),
        Bytes::Parts { upload, .. } => Ok(ctx.store.read(|tx| tx.scan(&PARTS, (upload,))).await?),
    }
}

async fn chosen(
    ctx: &Ctx,
    object: Object,
    range: Option<&str>,
    number: Option<i32>,
) -> Result<Chosen> {
    let Some(number) = number else {
        let slice = slice_of(range, object.size)?;
        return Ok(Chosen { object, slice, parts_count: None, key: None, customer: None });
    };
    if range.is_some() {
        let text = "Cannot specify both Range header and partNumber query parameter";
        return Err(Error::InvalidRequest(text.to_owned()));
    }
    let parts = parts_of(ctx, &object).await?;
    let count = u32::try_from(parts.len()).unwrap_or(u32::MAX);
    if parts.is_empty() && number == 1 {
        let slice = Slice::part(0, object.size, object.size);
        return Ok(Chosen { object, slice, parts_count: None, key: None, customer: None });
    }
    let wanted = u32::try_from(number).ok();
    let mut offset = 0;
    for part in &parts {
        if Some(part.number) == wanted {
            let slice = Slice::part(offset, part.size, object.size);
            let parts_count = i32::try_from(count).ok();
            return Ok(Chosen { object, slice, parts_count, key: None, customer: None });
        }
        offset += part.size;
    }
    Err(Error::InvalidPartNumber { requested: number, count: count.max(1) })
}

/// Where the bytes of a stream still to be sent lie.
struct Source {
    blobs: Arc<dyn Blobs>,
    /// Blobs with the offset and length to be read of each, last first.
    rest: Vec<(BlobId, u64, u64, [u8; 16])>,
    key: Option<Key>,
    /// Where the counter of the open blob starts.
    start: [u8; 16],
    open: Option<(Box<dyn Reader>, u64, u64)>,
}

/// A slice of an object as a stream. The first blob is open when this returns, so that most faults
/// show before the answer begins.
pub(crate) async fn stream_of(
    ctx: &Ctx,
    object: &Object,
    slice: Slice,
    key: Option<Key>,
) -> Result<ByteStream> {
    let mut rest = Vec::new();
    match &object.bytes {
        Bytes::Whole(blob) => {
            rest.push((blob.clone(), slice.offset, slice.length, sse::start_of(&object.etag)));
        }
        Bytes::Parts { .. } => {
            let (from, until) = (slice.offset, slice.offset + slice.length);
            let mut start = 0;
            for part in parts_of(ctx, object).await? {
                let (low, high) = (from.max(start), until.min(start + part.size));
                if low < high {
                    rest.push((part.blob, low - start, high - low, sse::start_of(&part.etag)));
                }
                start += part.size;
            }
            rest.reverse();
        }
    }
    let blobs = ctx.drivers.blobs.clone();
    let mut source = Source { blobs, rest, key, start: [0; 16], open: None };
    source.advance().await.map_err(Error::Blob)?;
    let frames = stream::try_unfold(source, |mut source| async move {
        let bytes = source.next().await?;
        Ok::<_, io::Error>((!bytes.is_empty()).then(|| (Frame::data(bytes), source)))
    });
    Ok(ByteStream::from_body(StreamBody::new(frames)).with_length(Some(slice.length)))
}

impl Source {
    /// Opens the next blob.
    async fn advance(&mut self) -> io::Result<()> {
        self.open = match self.rest.pop() {
            Some((blob, offset, length, start)) => {
                self.start = start;
                Some((self.blobs.open(&blob).await?, offset, length))
            }
            None => None,
        };
        Ok(())
    }

    /// The next bytes; none at the end.
    async fn next(&mut self) -> io::Result<bytes::Bytes> {
        loop {
            let Some((reader, offset, left)) = &mut self.open else {
                return Ok(bytes::Bytes::new());
            };
            if *left == 0 {
                self.advance().await?;
                continue;
            }
            let want = usize::try_from(*left).unwrap_or(CHUNK).min(CHUNK);
            let bytes = reader.read(*offset, want).await?;
            if bytes.is_empty() {
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "a blob is too short"));
            }
            let at = *offset;
            *offset += bytes.len() as u64;
            *left -= bytes.len() as u64;
            return match &self.key {
                None => Ok(bytes),
                Some(key) => {
                    let opened = key.apply(&self.start, at, &bytes);
                    opened.map(Into::into).map_err(io::Error::other)
                }
            };
        }
    }
}

/// Tells what is asked of an object, its parts with it.
///
/// AWS: GetObjectAttributes.
pub(crate) async fn get_object_attributes(
    ctx: Ctx,
    input: GetObjectAttributesInput,
) -> Result<GetObjectAttributesOutput> {
    check_version(&input.version_id)?;
    let customer = customer_of!(input)?;
    let wish = Wish::new("s3:GetObjectAttributes", &input.bucket, &input.expected_bucket_owner);
    admit(&ctx, wish.key(&input.key)).await?;
    let object = find(&ctx, &input.bucket, &input.key).await?;
    sse::check(&object.guard.sse, customer.as_ref())?;
    let asked = |attribute| input.object_attributes.contains(&attribute);
    let checksum = asked(ObjectAttributes::Checksum).then(|| {
        let kind = Some(object.checksum.kind());
        let mut shown = ShownChecksum { checksum_type: kind, ..ShownChecksum::default() };
        checksum::show!(shown, &object.checksum);
        shown
    });
    let object_parts = match (&object.bytes, asked(ObjectAttributes::ObjectParts)) {
        (Bytes::Parts { .. }, true) => Some(shown_parts(&ctx, &input, &object).await?),
        (Bytes::Parts { .. } | Bytes::Whole(_), _) => None,
    };
    Ok(GetObjectAttributesOutput {
        last_modified: Some(object.modified),
        e_tag: asked(ObjectAttributes::ETag).then(|| object.etag.clone()),
        checksum,
        object_parts,
        storage_class: asked(ObjectAttributes::StorageClass).then_some(StorageClass::Standard),
        object_size: i64::try_from(object.size)
            .ok()
            .filter(|_| asked(ObjectAttributes::ObjectSize)),
        ..GetObjectAttributesOutput::default()
    })
}

async fn shown_parts(
    ctx: &Ctx,
    input: &GetObjectAttributesInput,
    object: &Object,
) -> Result<GetObjectAttributesParts> {
    let parts = parts_of(ctx, object).await?;
    let total = i32::try_from(parts.len()).ok();
    // Parts are told one by one only where they have checksums that were asked for.
    let told = if object.checksum.composite { parts } else { Vec::new() };
    let marker = input.part_number_marker.unwrap_or(0);
    let limit = crate::list::limit_of("max-parts", input.max_parts)?;
    let behind = told.into_iter().filter(|part| i64::from(part.number) > i64::from(marker));
    let behind: Vec<Part> = behind.collect();
    let room = usize::try_from(limit).unwrap_or_default();
    let page: Vec<ObjectPart> = behind
        .iter()
        .take(room)
        .map(|part| {
            let mut shown = ObjectPart {
                part_number: i32::try_from(part.number).ok(),
                size: i64::try_from(part.size).ok(),
                ..ObjectPart::default()
            };
            checksum::show!(shown, &part.checksum);
            shown
        })
        .collect();
    Ok(GetObjectAttributesParts {
        total_parts_count: total,
        part_number_marker: Some(marker),
        next_part_number_marker: page.last().and_then(|part| part.part_number),
        max_parts: Some(limit),
        is_truncated: Some(behind.len() > room),
        parts: page,
    })
}
