//! The parts of uploads.
//!
//! AWS: "Uploading and copying objects using multipart upload".

use s3_api::{
    ListPartsInput, ListPartsOutput, Part as Shown, ServerSideEncryption, UploadPartInput,
    UploadPartOutput,
};

use crate::Ctx;
use crate::admission::{Wish, admit};
use crate::bucket::owner;
use crate::checksum::{self, Sum, algorithm_of, by_name};
use crate::error::{Error, Result};
use crate::lifecycle::lifecycle_of;
use crate::list::limit_of;
use crate::multipart::{PARTS_MAX, find_upload, initiator};
use crate::sse::{self, customer_of, show_sse};
use crate::store::{PARTS, Part, UPLOADS, Upload, discard};
use crate::upload::{Announced, Landed, Room, receive};

/// The number of a part within what S3 allows.
pub(crate) fn check_number(number: i32) -> Result<u32> {
    let checked = u32::try_from(number).ok().filter(|_| (1..=PARTS_MAX).contains(&number));
    checked.ok_or_else(|| {
        let text = "Part number must be an integer between 1 and 10000, inclusive";
        Error::argument("partNumber", number, text)
    })
}

/// Writes a part of an upload, replacing the one of its number.
///
/// AWS: UploadPart.
pub(crate) async fn upload_part(ctx: Ctx, input: UploadPartInput) -> Result<UploadPartOutput> {
    let customer = customer_of!(input)?;
    let number = check_number(input.part_number)?;
    let sums = checksum::given!(input)?;
    let named = algorithm_of(input.checksum_algorithm)?;
    let wish = Wish::new("s3:PutObject", &input.bucket, &input.expected_bucket_owner);
    admit(&ctx, wish.key(&input.key)).await?;
    let upload = find_upload(&ctx, &input.bucket, &input.key, &input.upload_id).await?;
    let expected = upload.algorithm.as_deref().map(by_name);
    let came = sums.first().map(|(algorithm, _)| *algorithm).or(named);
    if let (Some(expected), Some(came)) = (expected, came)
        && expected != came
    {
        return Err(Error::InvalidRequest(format!(
            "Checksum Type mismatch occurred, expected checksum Type: {}, actual checksum Type: {}",
            expected.name().to_lowercase(),
            came.name().to_lowercase()
        )));
    }
    sse::check_part(&upload.guard.sse, customer.as_ref())?;
    let place = (input.bucket.as_str(), input.key.as_str());
    let key = sse::unlock(&ctx, &upload.guard.sse, place, customer.as_ref()).await?;
    let seal = sse::seal(&ctx, key.as_ref());
    let announced = Announced { md5: input.content_md5.clone(), sums, wanted: expected, seal };
    let landed = receive(&ctx.drivers, input.body.clone(), announced, Room::Files).await?;
    let (etag, shown) = (landed.etag(), landed.sum.clone());
    store_part(&ctx, &upload, number, landed).await?;
    let mut output = UploadPartOutput {
        server_side_encryption: Some(ServerSideEncryption::Aes256),
        e_tag: Some(format!("\"{etag}\"")),
        ..UploadPartOutput::default()
    };
    show_sse!(output, upload.guard.sse, customer);
    checksum::show!(output, &shown);
    Ok(output)
}

/// Keeps a part that has landed, with the checksum that its upload goes by.
pub(crate) async fn store_part(
    ctx: &Ctx,
    upload: &Upload,
    number: u32,
    landed: Landed,
) -> Result<Sum> {
    let (etag, now) = (landed.etag(), ctx.now());
    let sum = landed.wanted.unwrap_or(landed.crc64);
    let part = Part {
        upload: upload.id.clone(),
        number,
        blob: landed.place.into_blob()?,
        size: landed.size,
        etag,
        modified: now,
        checksum: sum.clone(),
    };
    let stored = ctx
        .store
        .write(|tx| {
            if !tx.contains(&UPLOADS, (&upload.bucket, &upload.key, &upload.id))? {
                return Err(Error::NoSuchUpload(upload.id.clone()));
            }
            if let Some(old) = tx.get(&PARTS, (&part.upload, part.number))? {
                discard(tx, old.blob, now)?;
            }
            Ok(tx.put(&PARTS, &part)?)
        })
        .await;
    if stored.is_err() {
        ctx.store.write(|tx| discard(tx, part.blob.clone(), now)).await?;
    }
    stored.map(|()| sum)
}

/// Lists the parts of an upload.
///
/// AWS: ListParts.
pub(crate) async fn list_parts(ctx: Ctx, input: ListPartsInput) -> Result<ListPartsOutput> {
    let customer = customer_of!(input)?;
    let owner_given = &input.expected_bucket_owner;
    let wish = Wish::new("s3:ListMultipartUploadParts", &input.bucket, owner_given);
    let bucket = admit(&ctx, wish.key(&input.key)).await?;
    let upload = find_upload(&ctx, &input.bucket, &input.key, &input.upload_id).await?;
    if customer.is_some() {
        sse::check_part(&upload.guard.sse, customer.as_ref())?;
    }
    let max_parts = limit_of("max-parts", input.max_parts)?;
    let marker = input.part_number_marker.unwrap_or(0);
    let after = (upload.id.clone(), u32::try_from(marker).unwrap_or(0));
    let limit = usize::try_from(max_parts).unwrap_or_default();
    let lifecycle = lifecycle_of(&ctx, &bucket).await?;
    let abort = lifecycle.as_ref().and_then(|rules| rules.abort(&upload.key, upload.initiated));
    let page =
        ctx.store.read(|tx| tx.scan_page_in(&PARTS, (&upload.id,), Some(&after), limit)).await?;
    let parts: Vec<Shown> = page.records.iter().map(shown).collect();
    Ok(ListPartsOutput {
        abort_date: abort.map(|(time, _)| time),
        abort_rule_id: abort.map(|(_, rule)| rule.to_owned()),
        bucket: Some(input.bucket),
        key: Some(input.key),
        part_number_marker: Some(marker),
        next_part_number_marker: parts.last().and_then(|part| part.part_number).or(Some(0)),
        max_parts: Some(max_parts),
        is_truncated: Some(page.next.is_some()),
        parts,
        initiator: Some(initiator(&upload.initiator, &upload.initiator_arn)),
        owner: Some(owner(&bucket.owner)),
        storage_class: upload.class.shown(),
        checksum_type: upload.algorithm.as_ref().map(|_| match upload.composite {
            true => s3_api::ChecksumType::Composite,
            false => s3_api::ChecksumType::FullObject,
        }),
        checksum_algorithm: upload.algorithm.and_then(|name| name.parse().ok()),
        upload_id: Some(upload.id),
        ..ListPartsOutput::default()
    })
}

fn shown(part: &Part) -> Shown {
    let mut shown = Shown {
        part_number: i32::try_from(part.number).ok(),
        last_modified: Some(part.modified),
        e_tag: Some(format!("\"{}\"", part.etag)),
        size: i64::try_from(part.size).ok(),
        ..Shown::default()
    };
    checksum::show!(shown, &part.checksum);
    shown
}
