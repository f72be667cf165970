//! Uploads in parts: begun, completed, aborted, listed. Completing one moves no bytes: the object
//! is its parts.
//!
//! AWS: "Uploading and copying objects using multipart upload".

use base::AccountId;
use kernel::ServiceError;
use protocol::sigv4::ChecksumAlgorithm as Algorithm;
use s3_api::{
    AbortMultipartUploadInput, AbortMultipartUploadOutput, ChecksumType,
    CompleteMultipartUploadInput, CompleteMultipartUploadOutput, CompletedPart,
    CreateMultipartUploadInput, CreateMultipartUploadOutput, Initiator, ListMultipartUploadsInput,
    ListMultipartUploadsOutput, MultipartUpload, ServerSideEncryption,
};

use crate::Ctx;
use crate::acl::asked_of;
use crate::admission::{Wish, admit};
use crate::bucket::{canonical_id, owner};
use crate::checksum::{self, algorithm_of, by_name};
use crate::class::Class;
use crate::error::{Error, Result};
use crate::guard::Guard;
use crate::lifecycle::{expiration_of_object, lifecycle_of};
use crate::list::{Spelling, common, limit_of};
use crate::object::{
    check_key, headers_of, lock_of, made_version, random_name, refuse_unsupported,
};
use crate::settings::tags_from_header;
use crate::sse::{self, Sse, customer_of, show_sse};
use crate::store::{
    Bytes, Condition, Lock, Object, PARTS, Part, UPLOADS, Upload, Version, discard, discard_parts,
};
use crate::tiering;
use crate::upload::hex;
use crate::version::{Salt, place};

/// AWS: "Amazon S3 multipart upload limits".
const PART_BYTES_MIN: u64 = 5 * 1024 * 1024;
/// AWS: "Amazon S3 multipart upload limits".
pub(crate) const PARTS_MAX: i32 = 10_000;

/// Begins an upload in parts.
///
/// AWS: CreateMultipartUpload.
pub(crate) async fn create_multipart_upload(
    ctx: Ctx,
    input: CreateMultipartUploadInput,
) -> Result<CreateMultipartUploadOutput> {
    check_key(&input.key)?;
    refuse_unsupported!(input)?;
    let class = Class::asked(input.storage_class)?;
    let lock = lock_of!(ctx, input)?;
    let algorithm = algorithm_of(input.checksum_algorithm)?;
    let composite = is_composite(algorithm, input.checksum_type)?;
    let wish = Wish::new("s3:PutObject", &input.bucket, &input.expected_bucket_owner);
    let bucket = admit(&ctx, wish.key(&input.key)).await?;
    let asked = sse::asked_of!(input)?;
    let mut guard = Guard::of_writer(&ctx, &bucket, asked_of!(input, None))?;
    let (sse, _) = sse::choose(&ctx, &bucket, &input.key, &asked).await?;
    guard.sse = sse;
    if lock != Lock::default() && bucket.lock.is_none() {
        let text = "Bucket is missing Object Lock Configuration";
        return Err(Error::InvalidRequest(text.to_owned()));
    }
    let upload = Upload {
        bucket: input.bucket.clone(),
        key: input.key.clone(),
        id: random_name(&ctx),
        initiated: ctx.now(),
        initiator: ctx.account.clone(),
        initiator_arn: ctx.caller.arn.clone(),
        headers: headers_of!(input)?,
        tags: tags_from_header(input.tagging.as_deref())?,
        algorithm: algorithm.map(|algorithm| algorithm.name().to_owned()),
        composite,
        guard,
        class,
        lock,
    };
    ctx.store
        .write(|tx| {
            let there = tx.get(&crate::store::BUCKETS, &bucket.name)?;
            if there.is_none_or(|there| there.id != bucket.id) {
                return Err(Error::NoSuchBucket(bucket.name.clone()));
            }
            Ok(tx.put(&UPLOADS, &upload)?)
        })
        .await?;
    let lifecycle = lifecycle_of(&ctx, &bucket).await?;
    let abort = lifecycle.as_ref().and_then(|rules| rules.abort(&upload.key, upload.initiated));
    let mut output = CreateMultipartUploadOutput {
        abort_date: abort.map(|(time, _)| time),
        abort_rule_id: abort.map(|(_, rule)| rule.to_owned()),
        bucket: Some(input.bucket),
        key: Some(input.key),
        upload_id: Some(upload.id),
        server_side_encryption: Some(ServerSideEncryption::Aes256),
        checksum_algorithm: input.checksum_algorithm,
        checksum_type: algorithm.map(|_| kind(composite)),
        ..CreateMultipartUploadOutput::default()
    };
    show_sse!(output, upload.guard.sse, asked.customer);
    Ok(output)
}

fn kind(composite: bool) -> ChecksumType {
    if composite { ChecksumType::Composite } else { ChecksumType::FullObject }
}

/// Whether the object's checksum is made of its parts' checksums, as asked or by default.
fn is_composite(algorithm: Option<Algorithm>, asked: Option<ChecksumType>) -> Result<bool> {
    let Some(algorithm) = algorithm else {
        return match asked {
            Some(_) => Err(Error::InvalidRequest(
                "The x-amz-checksum-type header can only be used with the \
                 x-amz-checksum-algorithm header."
                    .to_owned(),
            )),
            None => Ok(false),
        };
    };
    let impossible = |kind: &str| {
        let name = algorithm.name().to_lowercase();
        let text =
            format!("The {kind} checksum type cannot be used with the {name} checksum algorithm.");
        Err(Error::InvalidRequest(text))
    };
    match (algorithm, asked) {
        (Algorithm::Crc64Nvme, Some(ChecksumType::Composite)) => impossible("COMPOSITE"),
        (Algorithm::Crc64Nvme, Some(ChecksumType::FullObject) | None) => Ok(false),
        (Algorithm::Sha1 | Algorithm::Sha256, Some(ChecksumType::FullObject)) => {
            impossible("FULL_OBJECT")
        }
        (Algorithm::Sha1 | Algorithm::Sha256, Some(ChecksumType::Composite) | None) => Ok(true),
        (Algorithm::Crc32 | Algorithm::Crc32c, asked) => {
            Ok(asked != Some(ChecksumType::FullObject))
        }
    }
}

/// The upload of this id.
pub(crate) async fn find_upload(ctx: &Ctx, bucket: &str, key: &str, id: &str) -> Result<Upload> {
    let found = ctx.store.read(|tx| tx.get(&UPLOADS, (bucket, key, id))).await?;
    found.ok_or_else(|| Error::NoSuchUpload(id.to_owned()))
}

/// Makes the object that the parts of an upload are.
///
/// AWS: CompleteMultipartUpload.
pub(crate) async fn complete_multipart_upload(
    ctx: Ctx,
    input: CompleteMultipartUploadInput,
) -> Result<CompleteMultipartUploadOutput> {
    let customer = customer_of!(input)?;
    let condition = Condition::of(input.if_match.clone(), input.if_none_match.clone())?;
    let given = checksum::given!(input)?;
    let wish = Wish::new("s3:PutObject", &input.bucket, &input.expected_bucket_owner);
    let bucket = admit(&ctx, wish.key(&input.key)).await?;
    let wanted = input.multipart_upload.clone().unwrap_or_default().parts;
    if wanted.is_empty() {
        return Err(Error::MalformedXml);
    }
    let (now, salt) = (ctx.now(), Salt::new(&ctx));
    let object = ctx
        .store
        .write(|tx| {
            let key = (&input.bucket, &input.key, &input.upload_id);
            let upload = tx.get(&UPLOADS, key)?;
            let upload = upload.ok_or_else(|| Error::NoSuchUpload(input.upload_id.clone()))?;
            if customer.is_some() {
                sse::check_part(&upload.guard.sse, customer.as_ref())?;
            }
            let uploaded = tx.scan(&PARTS, (&upload.id,))?;
            let (chosen, left) = choose(&upload, &wanted, uploaded)?;
            let object = assemble(upload, &chosen, now);
            check_whole(&input, &given, &object)?;
            for part in left {
                tx.delete(&PARTS, (&part.upload, part.number))?;
                discard(tx, part.blob, now)?;
            }
            tx.delete(&UPLOADS, key)?;
            place(tx, &bucket, object, None, (&condition, salt))
        })
        .await?;
    let location = format!(
        "https://{}.s3.{}.amazonaws.com/{}",
        object.bucket,
        ctx.region,
        crate::percent::encode(&object.key)
    );
    let mut output = CompleteMultipartUploadOutput {
        version_id: made_version(&object),
        expiration: expiration_of_object(&ctx, &bucket, &object).await?,
        location: Some(location),
        bucket: Some(object.bucket),
        key: Some(object.key),
        e_tag: Some(format!("\"{}\"", object.etag)),
        checksum_type: Some(object.checksum.kind()),
        server_side_encryption: Some(ServerSideEncryption::Aes256),
        ..CompleteMultipartUploadOutput::default()
    };
    match object.guard.sse {
        Sse::Store => {}
        Sse::Customer { .. } => output.server_side_encryption = None,
        Sse::Kms(kms) => {
            output.server_side_encryption = Some(kms.algorithm());
            output.bucket_key_enabled = kms.bucket_key.then_some(true);
            output.ssekms_key_id = Some(kms.key);
        }
    }
    checksum::show!(output, &object.checksum);
    Ok(output)
}

/// The parts that the client names, and those it leaves out.
fn choose(
    upload: &Upload,
    wanted: &[CompletedPart],
    uploaded: Vec<Part>,
) -> Result<(Vec<Part>, Vec<Part>)> {
    let numbers: Vec<i32> = wanted.iter().map(|part| part.part_number.unwrap_or(0)).collect();
    if !numbers.is_sorted_by(|a, b| a < b) {
        return Err(Error::InvalidPartOrder(upload.id.clone()));
    }
    let (mut chosen, mut left) = (Vec::with_capacity(wanted.len()), Vec::new());
    let mut asked = wanted.iter().zip(numbers).peekable();
    let missing = |part: &CompletedPart, number: i32| Error::InvalidPart {
        upload: upload.id.clone(),
        number,
        etag: part.e_tag.clone().unwrap_or_default().trim_matches('"').to_owned(),
    };
    for part in uploaded {
        let number = i32::try_from(part.number).unwrap_or(i32::MAX);
        match asked.peek() {
            Some((want, at)) if *at == number => {
                let etag = want.e_tag.as_deref().unwrap_or_default();
                let sums = checksum::given!(want)?;
                let differs = |(algorithm, value): &(Algorithm, String)| {
                    algorithm.name() == part.checksum.algorithm && *value != part.checksum.value
                };
                if etag.trim_matches('"') != part.etag || sums.iter().any(differs) {
                    return Err(missing(want, number));
                }
                asked.next();
                chosen.push(part);
            }
            Some((want, at)) if *at < number => return Err(missing(want, *at)),
            Some(_) | None => left.push(part),
        }
    }
    if let Some((want, at)) = asked.next() {
        return Err(missing(want, at));
    }
    let small = chosen.iter().rev().skip(1).find(|part| part.size < PART_BYTES_MIN);
    if let Some(part) = small {
        return Err(Error::EntityTooSmall {
            size: part.size,
            min: PART_BYTES_MIN,
            number: part.number,
            etag: part.etag.clone(),
        });
    }
    Ok((chosen, left))
}

fn assemble(upload: Upload, parts: &[Part], now: base::Timestamp) -> Object {
    use md5::{Digest, Md5};
    let mut md5 = Md5::new();
    for part in parts {
        md5.update(unhex(&part.etag));
    }
    let algorithm = by_name(upload.algorithm.as_deref().unwrap_or("CRC64NVME"));
    let sums: Vec<(Vec<u8>, u64)> =
        parts.iter().map(|part| (checksum::raw(&part.checksum), part.size)).collect();
    let count = u32::try_from(parts.len()).unwrap_or(u32::MAX);
    Object {
        bucket: upload.bucket,
        key: upload.key,
        bytes: Bytes::Parts { upload: upload.id, count },
        size: parts.iter().map(|part| part.size).sum(),
        etag: format!("{}-{count}", hex(&md5.finalize())),
        modified: now,
        headers: upload.headers,
        tags: upload.tags,
        checksum: checksum::of_parts(algorithm, upload.composite, &sums),
        guard: upload.guard,
        version: Version::default(),
        class: upload.class,
        lock: upload.lock,
        tiering: tiering::begun(upload.class, now),
        restore: None,
    }
}

fn unhex(text: &str) -> Vec<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|d| u8::try_from(d).ok());
    text.as_bytes()
        .chunks(2)
        .filter_map(|pair| match pair {
            [high, low] => Some(digit(*high)? * 16 + digit(*low)?),
            _ => None,
        })
        .collect()
}

fn check_whole(
    input: &CompleteMultipartUploadInput,
    given: &[(Algorithm, String)],
    object: &Object,
) -> Result<()> {
    let size = i64::try_from(object.size).unwrap_or(i64::MAX);
    if let Some(announced) = input.mpu_object_size.filter(|announced| *announced != size) {
        return Err(Error::InvalidRequest(format!(
            "The provided 'x-amz-mp-object-size' header value {announced} does not match what was \
             computed: {size}"
        )));
    }
    if input.checksum_type.is_some_and(|kind| kind != object.checksum.kind()) {
        return Err(Error::InvalidRequest(format!(
            "The upload was created using the {} checksum mode. The complete request must use the \
             same checksum mode.",
            object.checksum.kind().as_str()
        )));
    }
    for (algorithm, value) in given {
        let plain = object.checksum.value.split('-').next().unwrap_or_default();
        let same_kind = algorithm.name() == object.checksum.algorithm;
        if !same_kind || (*value != object.checksum.value && value != plain) {
            return Err(checksum::mismatch(*algorithm));
        }
    }
    Ok(())
}

/// Ends an upload without an object.
///
/// AWS: AbortMultipartUpload.
pub(crate) async fn abort_multipart_upload(
    ctx: Ctx,
    input: AbortMultipartUploadInput,
) -> Result<AbortMultipartUploadOutput> {
    let wish = Wish::new("s3:AbortMultipartUpload", &input.bucket, &input.expected_bucket_owner);
    admit(&ctx, wish.key(&input.key)).await?;
    let now = ctx.now();
    ctx.store
        .write(|tx| {
            let key = (&input.bucket, &input.key, &input.upload_id);
            let upload = tx.get(&UPLOADS, key)?;
            let upload = upload.ok_or_else(|| Error::NoSuchUpload(input.upload_id.clone()))?;
            let wanted = input.if_match_initiated_time;
            if wanted.is_some_and(|time| time.as_secs() != upload.initiated.as_secs()) {
                return Err(Error::PreconditionFailed("x-amz-if-match-initiated-time"));
            }
            discard_parts(tx, &upload.id, now)?;
            tx.delete(&UPLOADS, key)?;
            Ok(())
        })
        .await?;
    Ok(AbortMultipartUploadOutput::default())
}

/// Who began an upload.
pub(crate) fn initiator(account: &AccountId, arn: &str) -> Initiator {
    let is_root = arn.ends_with(":root") || arn.is_empty();
    let id = if is_root { canonical_id(account) } else { arn.to_owned() };
    let display_name = arn.rsplit('/').next().filter(|_| !is_root).map(str::to_owned);
    Initiator { id: Some(id), display_name }
}

/// Lists the uploads of a bucket that are neither complete nor aborted.
///
/// AWS: ListMultipartUploads.
pub(crate) async fn list_multipart_uploads(
    ctx: Ctx,
    input: ListMultipartUploadsInput,
) -> std::result::Result<ListMultipartUploadsOutput, ServiceError> {
    let wish =
        Wish::new("s3:ListBucketMultipartUploads", &input.bucket, &input.expected_bucket_owner);
    let bucket = admit(&ctx, wish).await?;
    let max_uploads = limit_of("max-uploads", input.max_uploads)?;
    let limit = usize::try_from(max_uploads).unwrap_or_default();
    let prefix = input.prefix.clone().unwrap_or_default();
    let delimiter = input.delimiter.as_deref().filter(|delimiter| !delimiter.is_empty());
    let marker = input.key_marker.clone().unwrap_or_default();
    let id_marker = input.upload_id_marker.clone().filter(|_| !marker.is_empty());
    let all = ctx.store.read(|tx| tx.scan(&UPLOADS, (&bucket.name,))).await;
    let all = all.map_err(Error::Store)?;
    let is_behind = |upload: &Upload| match &id_marker {
        Some(id) => (&upload.key, &upload.id) > (&marker, id),
        None => upload.key > marker,
    };
    let (mut uploads, mut prefixes) = (Vec::new(), Vec::<String>::new());
    let mut last: Option<(String, Option<String>)> = None;
    let mut is_truncated = false;
    let spelling = Spelling::new(input.encoding_type);
    for upload in all.into_iter().filter(|u| u.key.starts_with(&prefix) && is_behind(u)) {
        let rolled = common(&upload.key, &prefix, delimiter).map(str::to_owned);
        if rolled.as_ref().is_some_and(|r| prefixes.last() == Some(r) || *r == marker) {
            continue;
        }
        if uploads.len() + prefixes.len() == limit {
            is_truncated = limit > 0;
            break;
        }
        match rolled {
            Some(rolled) => {
                last = Some((rolled.clone(), None));
                prefixes.push(rolled);
            }
            None => {
                last = Some((upload.key.clone(), Some(upload.id.clone())));
                uploads.push(shown(upload, spelling, &bucket.owner));
            }
        }
    }
    let last = last.filter(|_| is_truncated);
    let (next_key, next_id) = last.map_or((None, None), |(key, id)| (Some(key), id));
    Ok(ListMultipartUploadsOutput {
        bucket: Some(bucket.name),
        key_marker: Some(spelling.write(&marker)),
        upload_id_marker: Some(input.upload_id_marker.unwrap_or_default()),
        next_key_marker: next_key.map(|key| spelling.write(&key)),
        prefix: input.prefix.map(|prefix| spelling.write(&prefix)),
        delimiter: input.delimiter.map(|delimiter| spelling.write(&delimiter)),
        next_upload_id_marker: next_id,
        max_uploads: Some(max_uploads),
        is_truncated: Some(is_truncated),
        uploads,
        common_prefixes: spelling.prefixes(&prefixes),
        encoding_type: input.encoding_type,
        request_charged: None,
    })
}

fn shown(upload: Upload, spelling: Spelling, bucket_owner: &AccountId) -> MultipartUpload {
    MultipartUpload {
        upload_id: Some(upload.id),
        key: Some(spelling.write(&upload.key)),
        initiated: Some(upload.initiated),
        storage_class: upload.class.shown(),
        owner: Some(owner(bucket_owner)),
        initiator: Some(initiator(&upload.initiator, &upload.initiator_arn)),
        checksum_type: upload.algorithm.as_ref().map(|_| kind(upload.composite)),
        checksum_algorithm: upload.algorithm.and_then(|name| name.parse().ok()),
        version_id: None,
    }
}
