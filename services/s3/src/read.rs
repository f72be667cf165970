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
    HeadObjectOutput, ObjectAttributes, ObjectPart, ServerSideEncryption,
};
use store::ReadTx;

use crate::admission::{Wish, admit};
use crate::checksum;
use crate::error::{Error, Result};
use crate::lifecycle::expiration_of_object;
use crate::object::tag_count;
use crate::range::{Slice, slice_of};
use crate::sse::{self, Customer, Key, customer_of, show_sse};
use crate::store::{Bytes, Object, PARTS, Part, SMALL, Small};
use crate::upload::open_small;
use crate::version::{self, Named};
use crate::{Ctx, Drivers, lock, restore, tagging, tiering};

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

/// An object with all that its bytes are found by, read at one time.
#[derive(Debug, Clone)]
pub(crate) struct Held {
    pub(crate) object: Object,
    pub(crate) parts: Vec<Part>,
    small: Option<Small>,
}

/// The version that is named, if it is there.
pub(crate) fn held(tx: &ReadTx<'_>, bucket: &str, key: &str, named: &Named) -> Result<Held> {
    let object = version::object(tx, bucket, key, named)?;
    let parts = match &object.bytes {
        Bytes::Parts { upload, .. }
        | Bytes::Joined { upload, .. }
        | Bytes::Packed { upload: Some(upload), .. } => tx.scan(&PARTS, (upload,))?,
        Bytes::Whole(_) | Bytes::Small(_) | Bytes::Packed { upload: None, .. } => Vec::new(),
    };
    let small = match &object.bytes {
        Bytes::Small(id) => tx.get(&SMALL, id)?,
        Bytes::Whole(_) | Bytes::Parts { .. } | Bytes::Joined { .. } | Bytes::Packed { .. } => None,
    };
    Ok(Held { object, parts, small })
}

/// The version that is named; who may not list the bucket does not learn that it is not there.
///
/// AWS: GetObject, "If the object you request doesn't exist".
pub(crate) async fn find(ctx: &Ctx, bucket: &str, key: &str, named: &Named) -> Result<Held> {
    let missing = match ctx.store.read(|tx| held(tx, bucket, key, named)).await {
        Ok(found) => return Ok(found),
        Err(error @ (Error::NoSuchKey(_) | Error::DeletedKey { .. })) => error,
        Err(error) => return Err(error),
    };
    let head = HeadBucketInput { bucket: bucket.to_owned(), expected_bucket_owner: None };
    match ctx.client.call(head).await {
        Err(error) if error.status == 403 => Err(Error::AccessDenied(error.message)),
        Ok(_) | Err(_) => Err(missing),
    }
}

/// What of an object is read.
pub(crate) struct Chosen {
    held: Held,
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
        let named = Named::parse(input.version_id.as_deref())?;
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
        let action = tagging::action(&named, "s3:GetObject", "s3:GetObjectVersion");
        let wish = Wish::new(action, &input.bucket, &input.expected_bucket_owner);
        let bucket = admit(&$ctx, wish.key(&input.key)).await?;
        let held = find(&$ctx, &input.bucket, &input.key, &named).await?;
        sse::check(&held.object.guard.sse, customer.as_ref())?;
        let conditions = Conditions {
            if_match: input.if_match.clone(),
            if_none_match: input.if_none_match.clone(),
            if_modified_since: input.if_modified_since,
            if_unmodified_since: input.if_unmodified_since,
        };
        conditions.check(&held.object)?;
        let expiration = match named {
            Named::Current => expiration_of_object(&$ctx, &bucket, &held.object).await?,
            Named::Null | Named::Id(..) => None,
        };
        let version_id = tagging::shown(&bucket, &held.object.version);
        let found = chosen(held, input.range.as_deref(), input.part_number)?;
        (Chosen { customer, ..found }, version_id, expiration)
    }};
}

/// Describes what was chosen.
macro_rules! describe {
    ($output:ident, $input:expr, $chosen:expr) => {{
        let (object, slice) = (&$chosen.held.object, &$chosen.slice);
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
            storage_class: object.class.header(),
            restore: restore::header(object),
            ..$output::default()
        };
        show_sse!(output, object.guard.sse, $chosen.customer);
        lock::show!(output, &object.lock);
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
    let (mut chosen, version_id, expiration) = choose!(ctx, input);
    restore::check_readable(&chosen.held.object)?;
    let place = (input.bucket.as_str(), input.key.as_str());
    let sse = &chosen.held.object.guard.sse;
    chosen.key = sse::unlock(&ctx, sse, place, chosen.customer.as_ref()).await?;
    let mut output = describe!(GetObjectOutput, input, chosen);
    output.version_id = version_id;
    output.expiration = expiration;
    tiering::touch(&ctx, &chosen.held.object).await?;
    output.body = Some(stream_of(&ctx.drivers, chosen.held, Some(chosen.slice), chosen.key).await?);
    Ok(output)
}

/// Tells about an object without sending it.
///
/// AWS: HeadObject.
pub(crate) async fn head_object(ctx: Ctx, input: HeadObjectInput) -> Result<HeadObjectOutput> {
    let (chosen, version_id, expiration) = choose!(ctx, input);
    let mut output = describe!(HeadObjectOutput, input, chosen);
    output.version_id = version_id;
    output.expiration = expiration;
    output.archive_status = tiering::archive_status(&chosen.held.object);
    Ok(output)
}

fn chosen(held: Held, range: Option<&str>, number: Option<i32>) -> Result<Chosen> {
    let size = held.object.size;
    let Some(number) = number else {
        let slice = slice_of(range, size)?;
        return Ok(Chosen { held, slice, parts_count: None, key: None, customer: None });
    };
    if range.is_some() {
        let text = "Cannot specify both Range header and partNumber query parameter";
        return Err(Error::InvalidRequest(text.to_owned()));
    }
    let count = u32::try_from(held.parts.len()).unwrap_or(u32::MAX);
    if held.parts.is_empty() && number == 1 {
        let slice = Slice::part(0, size, size);
        return Ok(Chosen { held, slice, parts_count: None, key: None, customer: None });
    }
    let wanted = u32::try_from(number).ok();
    let before = held.parts.iter().take_while(|part| Some(part.number) < wanted);
    let offset = before.map(|part| part.size).sum();
    match held.parts.iter().find(|part| Some(part.number) == wanted) {
        Some(part) => {
            let slice = Slice::part(offset, part.size, size);
            let parts_count = i32::try_from(count).ok();
            Ok(Chosen { held, slice, parts_count, key: None, customer: None })
        }
        None => Err(Error::InvalidPartNumber { requested: number, count: count.max(1) }),
    }
}

/// Some bytes of a blob.
struct Stretch {
    blob: BlobId,
    offset: u64,
    length: u64,
    /// Where the counter starts that they are encrypted by, if they are.
    start: [u8; 16],
    /// Where in the blob that counter starts.
    base: u64,
}

/// Where the bytes of a stream still to be sent lie.
struct Source {
    blobs: Arc<dyn Blobs>,
    /// Last first.
    rest: Vec<Stretch>,
    key: Option<Key>,
    open: Option<(Box<dyn Reader>, Stretch)>,
}

/// An object or a slice of it as a stream. The first blob is open when this returns, so that most
/// faults show before the answer begins.
pub(crate) async fn stream_of(
    drivers: &Drivers,
    held: Held,
    slice: Option<Slice>,
    key: Option<Key>,
) -> Result<ByteStream> {
    let Held { object, parts, small } = held;
    let slice = slice.unwrap_or_else(|| Slice::whole(object.size));
    let copy = object.restore.and_then(|restore| restore.copy);
    // The one blob that the bytes are in, where they are not in parts of their own.
    let whole = match (copy, object.bytes) {
        (Some(blob), _) | (None, Bytes::Whole(blob) | Bytes::Joined { blob, .. }) => Some(blob),
        (None, Bytes::Parts { .. }) => None,
        (None, Bytes::Small(_)) => {
            let start = sse::start_of(&object.etag);
            return small_stream(drivers, small, &slice, key.map(|key| (key, start)));
        }
        (None, Bytes::Packed { .. }) => {
            let text = "an object that lies in a pack alone was to be read";
            return Err(Error::Blob(io::Error::other(text)));
        }
    };
    let rest = match (whole, parts.is_empty()) {
        (Some(blob), true) => {
            let Slice { offset, length, .. } = slice;
            vec![Stretch { blob, offset, length, start: sse::start_of(&object.etag), base: 0 }]
        }
        (whole, _) => stretches(whole.as_ref(), parts, &slice),
    };
    let blobs = drivers.blobs.clone();
    let mut source = Source { blobs, rest, key, open: None };
    source.advance().await.map_err(Error::Blob)?;
    let frames = stream::try_unfold(source, |mut source| async move {
        let bytes = source.next().await?;
        Ok::<_, io::Error>((!bytes.is_empty()).then(|| (Frame::data(bytes), source)))
    });
    Ok(ByteStream::from_body(StreamBody::new(frames)).with_length(Some(slice.length)))
}

/// The stretches of a slice of an object that came in parts, last first.
fn stretches(whole: Option<&BlobId>, parts: Vec<Part>, slice: &Slice) -> Vec<Stretch> {
    let (from, until) = (slice.offset, slice.offset + slice.length);
    let (mut rest, mut begun) = (Vec::new(), 0);
    for part in parts {
        let (low, high) = (from.max(begun), until.min(begun + part.size));
        if low < high {
            let (start, length) = (sse::start_of(&part.etag), high - low);
            rest.push(match whole {
                Some(blob) => {
                    Stretch { blob: blob.clone(), offset: low, length, start, base: begun }
                }
                None => Stretch { blob: part.blob, offset: low - begun, length, start, base: 0 },
            });
        }
        begun += part.size;
    }
    rest.reverse();
    rest
}

fn small_stream(
    drivers: &Drivers,
    small: Option<Small>,
    slice: &Slice,
    key: Option<(Key, [u8; 16])>,
) -> Result<ByteStream> {
    let missing = || Error::Blob(io::Error::other("the bytes of a small object are gone"));
    let mut plain = open_small(drivers, &small.ok_or_else(missing)?)?;
    if let Some((key, start)) = key {
        plain = key.apply(&start, 0, &plain)?;
    }
    let plain = bytes::Bytes::from(plain);
    let place = |at: u64| usize::try_from(at).unwrap_or(usize::MAX).min(plain.len());
    let (from, until) = (place(slice.offset), place(slice.offset + slice.length));
    Ok(ByteStream::from(plain.slice(from..until)))
}

impl Source {
    /// Opens the next blob.
    async fn advance(&mut self) -> io::Result<()> {
        self.open = match self.rest.pop() {
            Some(stretch) => Some((self.blobs.open(&stretch.blob).await?, stretch)),
            None => None,
        };
        Ok(())
    }

    /// The next bytes; none at the end.
    async fn next(&mut self) -> io::Result<bytes::Bytes> {
        loop {
            let Some((reader, stretch)) = &mut self.open else {
                return Ok(bytes::Bytes::new());
            };
            if stretch.length == 0 {
                self.advance().await?;
                continue;
            }
            let want = usize::try_from(stretch.length).unwrap_or(CHUNK).min(CHUNK);
            let bytes = reader.read(stretch.offset, want).await?;
            if bytes.is_empty() {
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "a blob is too short"));
            }
            let at = stretch.offset - stretch.base;
            stretch.offset += bytes.len() as u64;
            stretch.length -= bytes.len() as u64;
            return match &self.key {
                None => Ok(bytes),
                Some(key) => {
                    let opened = key.apply(&stretch.start, at, &bytes);
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
    let named = Named::parse(input.version_id.as_deref())?;
    let customer = customer_of!(input)?;
    let action = tagging::action(&named, "s3:GetObjectAttributes", "s3:GetObjectVersionAttributes");
    let wish = Wish::new(action, &input.bucket, &input.expected_bucket_owner);
    let bucket = admit(&ctx, wish.key(&input.key)).await?;
    let Held { object, parts, .. } = find(&ctx, &input.bucket, &input.key, &named).await?;
    sse::check(&object.guard.sse, customer.as_ref())?;
    let asked = |attribute| input.object_attributes.contains(&attribute);
    let checksum = asked(ObjectAttributes::Checksum).then(|| {
        let kind = Some(object.checksum.kind());
        let mut shown = ShownChecksum { checksum_type: kind, ..ShownChecksum::default() };
        checksum::show!(shown, &object.checksum);
        shown
    });
    let object_parts = match asked(ObjectAttributes::ObjectParts) && !parts.is_empty() {
        true => Some(shown_parts(&input, &object, parts)?),
        false => None,
    };
    Ok(GetObjectAttributesOutput {
        last_modified: Some(object.modified),
        version_id: tagging::shown(&bucket, &object.version),
        e_tag: asked(ObjectAttributes::ETag).then(|| object.etag.clone()),
        checksum,
        object_parts,
        storage_class: object.class.shown().filter(|_| asked(ObjectAttributes::StorageClass)),
        object_size: i64::try_from(object.size)
            .ok()
            .filter(|_| asked(ObjectAttributes::ObjectSize)),
        ..GetObjectAttributesOutput::default()
    })
}

fn shown_parts(
    input: &GetObjectAttributesInput,
    object: &Object,
    parts: Vec<Part>,
) -> Result<GetObjectAttributesParts> {
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
