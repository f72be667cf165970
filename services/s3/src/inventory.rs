//! Inventories: lists of a bucket's objects that are written on the clock, as compressed CSV files
//! and a manifest, into the bucket that the owner named, as the service `s3.amazonaws.com`.
//!
//! AWS: "Cataloging and analyzing your data with S3 Inventory".

use std::collections::BTreeMap;
use std::io::Write;

use base::Timestamp;
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use kernel::{Client, Next, TaskCtx, TaskError, paging};
use md5::{Digest, Md5};
use protocol::ByteStream;
use s3_api::{
    DeleteBucketInventoryConfigurationInput, DeleteBucketInventoryConfigurationOutput,
    GetBucketInventoryConfigurationInput, GetBucketInventoryConfigurationOutput,
    InventoryConfiguration, InventoryFormat, InventoryFrequency, InventoryIncludedObjectVersions,
    InventoryOptionalField as Field, ListBucketInventoryConfigurationsInput,
    ListBucketInventoryConfigurationsOutput, PutBucketInventoryConfigurationInput,
    PutBucketInventoryConfigurationOutput, PutObjectInput,
};
use serde::{Deserialize, Serialize};
use serde_json::json;
use store::{Record, Table, WriteTx};

use crate::admission::{Wish, admit, arn_of};
use crate::bucket::{canonical_id, refuse};
use crate::error::{Error, Result};
use crate::kept::{CONFIGURATIONS, all_kept, end, input_of, keep, kept};
use crate::sse::Sse;
use crate::store::{BUCKETS, Bucket, Bytes as Where, OBJECTS, Object};
use crate::upload::hex;
use crate::{Ctx, Drivers};

/// AWS: ListBucketInventoryConfigurations, "up to 100 configurations at a time".
const PAGE: usize = 100;
/// AWS: PutBucketInventoryConfiguration, "up to 1,000 inventory configurations per bucket".
const CONFIGURATIONS_MAX: usize = 1000;
/// How many objects one file lists.
const ROWS_MAX: usize = 50_000;
const DAY_SECS: i64 = 86_400;
const SERVICE: &str = "s3.amazonaws.com";

/// When an inventory is written next.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Run {
    bucket_id: String,
    id: String,
    due: Timestamp,
}

impl Record for Run {
    type Key = (String, String);

    fn key(&self) -> Self::Key {
        (self.bucket_id.clone(), self.id.clone())
    }
}

const RUNS: Table<Run> = Table::global("s3.inventory_runs");

/// Tells one inventory of a bucket.
///
/// AWS: GetBucketInventoryConfiguration.
pub(crate) async fn get_bucket_inventory_configuration(
    ctx: Ctx,
    input: GetBucketInventoryConfigurationInput,
) -> Result<GetBucketInventoryConfigurationOutput> {
    let owner = &input.expected_bucket_owner;
    let wish = Wish::new("s3:GetInventoryConfiguration", &input.bucket, owner);
    let bucket = admit(&ctx, wish).await?;
    let set = kept::<PutBucketInventoryConfigurationInput>(&ctx, &bucket, &input.id).await?;
    let set = set.ok_or(Error::NoSuchConfiguration)?;
    let inventory_configuration = Some(set.inventory_configuration);
    Ok(GetBucketInventoryConfigurationOutput { inventory_configuration })
}

/// Sets one inventory of a bucket.
///
/// AWS: PutBucketInventoryConfiguration.
pub(crate) async fn put_bucket_inventory_configuration(
    ctx: Ctx,
    input: PutBucketInventoryConfigurationInput,
) -> Result<PutBucketInventoryConfigurationOutput> {
    let owner = &input.expected_bucket_owner;
    let wish = Wish::new("s3:PutInventoryConfiguration", &input.bucket, owner);
    let bucket = admit(&ctx, wish).await?;
    check(&input.id, &input.inventory_configuration)?;
    let others = all_kept::<PutBucketInventoryConfigurationInput>(&ctx, &bucket).await?;
    let is_new = others.iter().all(|other| other.id != input.id);
    if is_new && others.len() >= CONFIGURATIONS_MAX {
        return Err(Error::TooManyConfigurations);
    }
    let id = input.id.clone();
    keep(&ctx, &bucket, &id, input).await?;
    Ok(PutBucketInventoryConfigurationOutput {})
}

fn check(id: &str, wanted: &InventoryConfiguration) -> Result<()> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if id != wanted.id || id.is_empty() || id.len() > 64 || !id.chars().all(is_name) {
        return Err(Error::InvalidConfigurationId);
    }
    let target = &wanted.destination.s3_bucket_destination;
    if target.bucket.strip_prefix("arn:aws:s3:::").is_none_or(str::is_empty) {
        return Err(Error::InvalidS3DestinationBucket);
    }
    let versions = wanted.included_object_versions == InventoryIncludedObjectVersions::All;
    refuse(&[
        ("InventoryFormat", target.format != InventoryFormat::Csv),
        ("InventoryEncryption", target.encryption.is_some()),
        ("IncludedObjectVersions", versions),
        ("OptionalFields", wanted.optional_fields.iter().any(|field| !is_known(*field))),
    ])
}

fn is_known(field: Field) -> bool {
    matches!(
        field,
        Field::Size
            | Field::LastModifiedDate
            | Field::ETag
            | Field::IsMultipartUploaded
            | Field::ReplicationStatus
            | Field::EncryptionStatus
            | Field::BucketKeyStatus
            | Field::ChecksumAlgorithm
            | Field::ObjectOwner
    )
}

/// Ends one inventory of a bucket.
///
/// AWS: DeleteBucketInventoryConfiguration.
pub(crate) async fn delete_bucket_inventory_configuration(
    ctx: Ctx,
    input: DeleteBucketInventoryConfigurationInput,
) -> Result<DeleteBucketInventoryConfigurationOutput> {
    let owner = &input.expected_bucket_owner;
    let wish = Wish::new("s3:PutInventoryConfiguration", &input.bucket, owner);
    let bucket = admit(&ctx, wish).await?;
    let there = end::<PutBucketInventoryConfigurationInput>(&ctx, &bucket, &input.id, |_| {});
    if !there.await? {
        return Err(Error::NoSuchConfiguration);
    }
    let run = (&bucket.id, &input.id);
    ctx.store.write(|tx| tx.delete(&RUNS, run).map(|_| ())).await?;
    Ok(DeleteBucketInventoryConfigurationOutput {})
}

/// Forgets when the inventories of a bucket that goes are due.
pub(crate) fn forget(tx: &mut WriteTx<'_>, bucket: &Bucket) -> Result<()> {
    for run in tx.scan(&RUNS, (&bucket.id,))? {
        tx.delete(&RUNS, run.key())?;
    }
    Ok(())
}

/// Lists the inventories of a bucket.
///
/// AWS: ListBucketInventoryConfigurations.
pub(crate) async fn list_bucket_inventory_configurations(
    ctx: Ctx,
    input: ListBucketInventoryConfigurationsInput,
) -> Result<ListBucketInventoryConfigurationsOutput> {
    let owner = &input.expected_bucket_owner;
    let wish = Wish::new("s3:GetInventoryConfiguration", &input.bucket, owner);
    let bucket = admit(&ctx, wish).await?;
    let all = all_kept::<PutBucketInventoryConfigurationInput>(&ctx, &bucket).await?;
    let token = input.continuation_token.as_deref();
    let page = paging::page(all, token, PAGE, |set| set.id.clone()).map_err(|_| {
        let text = "The continuation token provided is incorrect";
        Error::argument("continuation-token", token.unwrap_or_default(), text)
    })?;
    let list = page.items.into_iter().map(|set| set.inventory_configuration);
    Ok(ListBucketInventoryConfigurationsOutput {
        inventory_configuration_list: list.collect(),
        is_truncated: Some(page.next.is_some()),
        next_continuation_token: page.next,
        continuation_token: input.continuation_token,
    })
}

/// Every inventory: the bucket's id and its own.
pub(crate) async fn keys(ctx: TaskCtx<Drivers>) -> std::result::Result<Vec<String>, TaskError> {
    let all = ctx.store.read(|tx| tx.scan(&CONFIGURATIONS, ())).await?;
    let ours = all.into_iter().filter(|kept| kept.operation == "PutBucketInventoryConfiguration");
    Ok(ours.map(|kept| format!("{} {}", kept.bucket_id, kept.id)).collect())
}

/// Midnight after `now`, or the one that begins the next Sunday.
fn due_after(now: Timestamp, frequency: InventoryFrequency) -> Timestamp {
    let day = now.as_secs().div_euclid(DAY_SECS) + 1;
    // The first day of the epoch was a Thursday.
    let until_sunday = match frequency {
        InventoryFrequency::Daily => 0,
        InventoryFrequency::Weekly => (3 - day).rem_euclid(7),
    };
    Timestamp::from_secs((day + until_sunday) * DAY_SECS)
}

/// Writes an inventory when it is due.
pub(crate) async fn report(
    ctx: TaskCtx<Drivers>,
    key: String,
) -> std::result::Result<Next, TaskError> {
    let (bucket_id, id) = key.split_once(' ').unwrap_or_default();
    let place = (bucket_id, "PutBucketInventoryConfiguration", id);
    let found = ctx.store.read(|tx| tx.get(&CONFIGURATIONS, place)).await?;
    let Some(found) = found else { return Ok(Next::Idle) };
    let bucket = ctx.store.read(|tx| tx.get(&BUCKETS, &found.bucket)).await?;
    let Some(bucket) = bucket.filter(|bucket| bucket.id == bucket_id) else {
        return Ok(Next::Idle);
    };
    let set: PutBucketInventoryConfigurationInput = input_of(found).map_err(TaskError::new)?;
    let wanted = set.inventory_configuration;
    if !wanted.is_enabled {
        return Ok(Next::Idle);
    }
    let now = ctx.now();
    let next = due_after(now, wanted.schedule.frequency);
    let run = ctx.store.read(|tx| tx.get(&RUNS, (bucket_id, id))).await?;
    if let Some(run) = &run {
        if run.due > now {
            return Ok(Next::At(run.due));
        }
        write(&ctx, &bucket, &wanted, run.due).await?;
    }
    let run = Run { bucket_id: bucket_id.to_owned(), id: id.to_owned(), due: next };
    ctx.store.write(|tx| tx.put(&RUNS, &run)).await?;
    Ok(Next::At(next))
}

/// Where one inventory goes.
struct Target {
    client: Client,
    bucket: String,
    /// `prefix/source/id`.
    folder: String,
}

impl Target {
    /// Puts a file; false when the destination does not take it.
    async fn put(&self, key: &str, bytes: Vec<u8>, kind: &str) -> bool {
        let input = PutObjectInput {
            bucket: self.bucket.clone(),
            key: key.to_owned(),
            body: Some(ByteStream::from(Bytes::from(bytes))),
            content_type: Some(kind.to_owned()),
            acl: "bucket-owner-full-control".parse().ok(),
            ..PutObjectInput::default()
        };
        match self.client.call(input).await {
            Ok(_) => true,
            Err(error) => {
                tracing::info!(%error, target = self.bucket, key, "an inventory was not taken");
                false
            }
        }
    }
}

/// Writes the files of one inventory, the manifest last. The same run writes the same names, so a
/// run that was cut short is simply written again.
async fn write(
    ctx: &TaskCtx<Drivers>,
    bucket: &Bucket,
    wanted: &InventoryConfiguration,
    due: Timestamp,
) -> std::result::Result<(), TaskError> {
    let destination = &wanted.destination.s3_bucket_destination;
    let keys = BTreeMap::from([
        ("aws:SourceArn".to_owned(), arn_of(&bucket.name, None)),
        ("aws:SourceAccount".to_owned(), bucket.owner.to_string()),
    ]);
    let prefix = destination.prefix.as_deref().filter(|prefix| !prefix.is_empty());
    let prefix = prefix.map(|prefix| format!("{}/", prefix.trim_end_matches('/')));
    let target = Target {
        client: ctx.kernel().principal_client(&bucket.owner, SERVICE, keys),
        bucket: destination.bucket.strip_prefix("arn:aws:s3:::").unwrap_or_default().to_owned(),
        folder: format!("{}{}/{}", prefix.unwrap_or_default(), bucket.name, wanted.id),
    };
    let stamp = due.iso8601_seconds();
    let (hour, minute) = (stamp.get(..13), stamp.get(14..16));
    let stamp = format!("{}-{}Z", hour.unwrap_or_default(), minute.unwrap_or_default());
    let mut files = Vec::new();
    let mut after: Option<(String, String)> = None;
    loop {
        let (name, from) = (&bucket.name, after.clone());
        let page = ctx
            .store
            .read(|tx| tx.scan_page_in(&OBJECTS, (name,), from.as_ref(), ROWS_MAX))
            .await?;
        let last = page.records.last().map(Record::key);
        let text = rows(bucket, wanted, &page.records);
        if !text.is_empty() || files.is_empty() {
            let key = format!("{}/data/{stamp}-{:04}.csv.gz", target.folder, files.len());
            let bytes = compressed(text.as_bytes())?;
            let (size, sum) = (bytes.len(), hex(&Md5::digest(&bytes)));
            if !target.put(&key, bytes, "application/x-gzip").await {
                return Ok(());
            }
            files.push(json!({ "key": key, "size": size, "MD5checksum": sum }));
        }
        after = last;
        if page.next.is_none() {
            break;
        }
    }
    let manifest = json!({
        "sourceBucket": bucket.name,
        "destinationBucket": destination.bucket,
        "version": "2016-11-30",
        "creationTimestamp": due.as_millis().to_string(),
        "fileFormat": "CSV",
        "fileSchema": schema(wanted),
        "files": files,
    });
    let manifest = manifest.to_string().into_bytes();
    let sum = hex(&Md5::digest(&manifest)).into_bytes();
    let folder = format!("{}/{stamp}", target.folder);
    if target.put(&format!("{folder}/manifest.json"), manifest, "application/json").await {
        target.put(&format!("{folder}/manifest.checksum"), sum, "text/plain").await;
    }
    Ok(())
}

fn compressed(text: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text)?;
    encoder.finish()
}

fn schema(wanted: &InventoryConfiguration) -> String {
    let mut names = vec!["Bucket", "Key"];
    names.extend(wanted.optional_fields.iter().map(|field| field.as_str()));
    names.join(", ")
}

fn rows(bucket: &Bucket, wanted: &InventoryConfiguration, objects: &[Object]) -> String {
    let prefix = wanted.filter.as_ref().map_or("", |filter| filter.prefix.as_str());
    let mut text = String::new();
    for object in objects.iter().filter(|object| object.key.starts_with(prefix)) {
        let key = crate::percent::encode(&object.key);
        text.push_str(&format!("\"{}\",\"{key}\"", bucket.name));
        for field in &wanted.optional_fields {
            text.push_str(&format!(",\"{}\"", value(bucket, object, *field)));
        }
        text.push('\n');
    }
    text
}

#[expect(clippy::wildcard_enum_match_arm, reason = "other fields are refused when they are set")]
fn value(bucket: &Bucket, object: &Object, field: Field) -> String {
    match field {
        Field::Size => object.size.to_string(),
        Field::LastModifiedDate => object.modified.iso8601_seconds().replace('Z', ".000Z"),
        Field::ETag => object.etag.clone(),
        Field::IsMultipartUploaded => matches!(object.bytes, Where::Parts { .. }).to_string(),
        Field::ReplicationStatus => object.guard.replication.clone().unwrap_or_default(),
        Field::EncryptionStatus => match &object.guard.sse {
            Sse::Store => "SSE-S3".to_owned(),
            Sse::Customer { .. } => "SSE-C".to_owned(),
            Sse::Kms(kms) if kms.twice => "DSSE-KMS".to_owned(),
            Sse::Kms(_) => "SSE-KMS".to_owned(),
        },
        Field::BucketKeyStatus => match &object.guard.sse {
            Sse::Kms(kms) if kms.bucket_key => "ENABLED".to_owned(),
            Sse::Kms(_) | Sse::Store | Sse::Customer { .. } => "DISABLED".to_owned(),
        },
        Field::ChecksumAlgorithm => object.checksum.algorithm.clone(),
        Field::ObjectOwner => canonical_id(&object.guard.owner(bucket)),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inventories_are_due_at_midnight() {
        // A Sunday, five minutes past three.
        let now: Timestamp = "2026-09-20T03:05:00Z".parse().unwrap();
        let daily = due_after(now, InventoryFrequency::Daily);
        assert_eq!(daily.iso8601_seconds(), "2026-09-21T00:00:00Z");
        let weekly = due_after(now, InventoryFrequency::Weekly);
        assert_eq!(weekly.iso8601_seconds(), "2026-09-27T00:00:00Z");
        assert_eq!(
            due_after(daily, InventoryFrequency::Daily),
            daily + std::time::Duration::from_secs(86_400)
        );
    }
}
