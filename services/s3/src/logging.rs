//! Server access logs: each request to a logged bucket becomes a line, and a task puts the lines
//! into the bucket that the owner named, as the service `logging.s3.amazonaws.com`.
//!
//! AWS: "Logging requests with server access logging", "Amazon S3 server access log format".

use std::collections::BTreeMap;
use std::time::Duration;

use base::{AccountId, Timestamp};
use bytes::Bytes;
use kernel::web::Served;
use kernel::{Next, TaskCtx, TaskError};
use policy::Principal;
use protocol::ByteStream;
use s3_api::{
    GetBucketLoggingInput, GetBucketLoggingOutput, LoggingEnabled, PutBucketLoggingInput,
    PutBucketLoggingOutput, PutObjectInput,
};
use serde::{Deserialize, Serialize};
use store::{Record, Table};

use crate::admission::{Wish, admit};
use crate::bucket::{canonical_id, refuse};
use crate::error::{Error, Result};
use crate::kept::{CONFIGURATIONS, end, keep_with, kept};
use crate::store::{BUCKETS, Bucket, OBJECTS};
use crate::{Ctx, Drivers};

/// The service as which logs are delivered.
const SERVICE: &str = "logging.s3.amazonaws.com";
/// How long lines are gathered before they are delivered.
const GATHERED: Duration = Duration::from_secs(300);
/// How many lines one object holds.
const LINES_MAX: usize = 5000;

/// A line that waits to be delivered.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Line {
    bucket: String,
    bucket_id: String,
    time: Timestamp,
    request_id: String,
    text: String,
}

impl Record for Line {
    type Key = (String, Timestamp, String);

    fn key(&self) -> Self::Key {
        (self.bucket_id.clone(), self.time, self.request_id.clone())
    }
}

/// The task that delivers lines.
pub(crate) const TASK: &str = "s3.logs";
const LINES: Table<Line> = Table::global("s3.log_lines");

/// Tells where a bucket's requests are logged.
///
/// AWS: GetBucketLogging.
pub(crate) async fn get_bucket_logging(
    ctx: Ctx,
    input: GetBucketLoggingInput,
) -> Result<GetBucketLoggingOutput> {
    let wish = Wish::new("s3:GetBucketLogging", &input.bucket, &input.expected_bucket_owner);
    let bucket = admit(&ctx, wish).await?;
    let set = kept::<PutBucketLoggingInput>(&ctx, &bucket, "").await?;
    let logging_enabled = set.and_then(|set| set.bucket_logging_status.logging_enabled);
    Ok(GetBucketLoggingOutput { logging_enabled })
}

/// Sets where a bucket's requests are logged, or that they are not.
///
/// AWS: PutBucketLogging.
pub(crate) async fn put_bucket_logging(
    ctx: Ctx,
    input: PutBucketLoggingInput,
) -> Result<PutBucketLoggingOutput> {
    let wish = Wish::new("s3:PutBucketLogging", &input.bucket, &input.expected_bucket_owner);
    let bucket = admit(&ctx, wish).await?;
    let Some(wanted) = &input.bucket_logging_status.logging_enabled else {
        let off = |bucket: &mut Bucket| bucket.sharing.logged = false;
        end::<PutBucketLoggingInput>(&ctx, &bucket, "", off).await?;
        return Ok(PutBucketLoggingOutput {});
    };
    refuse(&[("TargetGrants", !wanted.target_grants.is_empty())])?;
    let target = ctx.store.read(|tx| tx.get(&BUCKETS, &wanted.target_bucket)).await?;
    let wrong = |text: &str| Err(Error::InvalidTargetBucketForLogging(text.to_owned()));
    match target {
        None => return wrong("The target bucket for logging does not exist"),
        Some(target) if target.owner != bucket.owner => {
            return wrong(
                "The owner for the bucket to be logged and the target bucket must be the same.",
            );
        }
        Some(_) => {}
    }
    keep_with(&ctx, &bucket, "", input, |bucket| bucket.sharing.logged = true).await?;
    Ok(PutBucketLoggingOutput {})
}

/// Notes a request that was answered, if its bucket is logged. A log is never why a request fails:
/// what cannot be noted is told to the operator.
pub(crate) async fn note(ctx: Ctx, served: Served) {
    let found = ctx.store.read(|tx| tx.get(&BUCKETS, &served.bucket)).await;
    let Ok(Some(bucket)) = found else { return };
    if !bucket.sharing.logged {
        return;
    }
    let size = ctx.store.read(|tx| tx.get(&OBJECTS, (&served.bucket, &served.path))).await;
    let size = size.ok().flatten().map(|object| object.size);
    let line = Line {
        bucket: bucket.name.clone(),
        bucket_id: bucket.id.clone(),
        time: ctx.now(),
        request_id: ctx.request.request_id.clone(),
        text: line_of(&ctx, &bucket, &served, size),
    };
    let written = ctx
        .store
        .write(|tx| {
            let waiting = tx.scan_page_in(&LINES, (&line.bucket_id,), None, 1)?;
            tx.put(&LINES, &line)?;
            Ok::<_, store::Error>(waiting.records.is_empty())
        })
        .await;
    match written {
        // The first line of a bucket sets when all that gather behind it are delivered.
        Ok(true) => ctx.wake(TASK),
        Ok(false) => {}
        Err(error) => tracing::warn!(%error, "a request to a logged bucket was not noted"),
    }
}

/// AWS: "Amazon S3 server access log format".
fn line_of(ctx: &Ctx, bucket: &Bucket, served: &Served, size: Option<u64>) -> String {
    let dash = |text: Option<String>| text.filter(|t| !t.is_empty()).unwrap_or("-".to_owned());
    let quoted = |text: Option<&str>| match text {
        Some(text) if !text.is_empty() => format!("\"{}\"", text.replace('"', "%22")),
        Some(_) | None => "\"-\"".to_owned(),
    };
    let requester = match &ctx.caller.principal {
        Principal::Anonymous => None,
        Principal::Root { account } => Some(canonical_id(account)),
        Principal::User { .. }
        | Principal::AssumedRole { .. }
        | Principal::FederatedUser { .. }
        | Principal::Service { .. }
        | Principal::Federated { .. } => Some(ctx.caller.arn.clone()),
    };
    let key = crate::percent::encode(&served.path);
    let tls = ctx.request.secure;
    let fields = [
        canonical_id(&bucket.owner),
        bucket.name.clone(),
        format!("[{}]", clock_of(ctx.now())),
        dash(ctx.request.source_ip.map(|ip| ip.to_string())),
        dash(requester),
        ctx.request.request_id.clone(),
        operation_of(served),
        dash(Some(key)),
        format!("\"{} {} HTTP/1.1\"", served.method, served.uri.replace('"', "%22")),
        served.status.to_string(),
        dash(served.error.clone()),
        dash(served.bytes.filter(|bytes| *bytes > 0).map(|bytes| bytes.to_string())),
        dash(size.map(|size| size.to_string())),
        served.duration_ms.to_string(),
        "-".to_owned(),
        quoted(served.referer.as_deref()),
        quoted(Some(&ctx.request.user_agent)),
        dash(served.version_id.clone()),
        ctx.request.request_id.clone(),
        dash(served.auth.map(|_| "SigV4".to_owned())),
        dash(tls.then(|| "TLS_AES_128_GCM_SHA256".to_owned())),
        dash(served.auth.map(str::to_owned)),
        dash(Some(ctx.request.host.clone())),
        dash(tls.then(|| "TLSv1.3".to_owned())),
        "-".to_owned(),
        "-".to_owned(),
    ];
    fields.join(" ")
}

/// `06/Feb/2019:00:00:38 +0000`.
fn clock_of(time: Timestamp) -> String {
    // "Wed, 06 Feb 2019 00:00:38 GMT" has the same parts.
    let http = time.http_date();
    let parts: Vec<&str> = http.split(' ').collect();
    match parts.as_slice() {
        [_, day, month, year, clock, _] => format!("{day}/{month}/{year}:{clock} +0000"),
        _ => http,
    }
}

/// What the log calls the operation: `REST.GET.OBJECT`, `WEBSITE.GET.OBJECT`.
fn operation_of(served: &Served) -> String {
    let method = &served.method;
    let thing = match served.operation.as_str() {
        "" => return format!("WEBSITE.{method}.OBJECT"),
        "CopyObject" => return "REST.COPY.OBJECT".to_owned(),
        "UploadPartCopy" => return "REST.COPY.PART".to_owned(),
        "DeleteObjects" => "MULTI_OBJECT_DELETE",
        "ListObjects" | "ListObjectsV2" | "HeadBucket" | "CreateBucket" | "DeleteBucket" => {
            "BUCKET"
        }
        "ListObjectVersions" => "BUCKETVERSIONS",
        "CreateMultipartUpload" | "ListMultipartUploads" => "UPLOADS",
        "CompleteMultipartUpload" | "AbortMultipartUpload" | "ListParts" => "UPLOAD",
        "UploadPart" => "PART",
        "GetObjectTagging" | "PutObjectTagging" | "DeleteObjectTagging" => "OBJECT_TAGGING",
        "GetBucketPolicy" | "PutBucketPolicy" | "DeleteBucketPolicy" => "BUCKETPOLICY",
        "GetBucketAcl" | "PutBucketAcl" | "GetObjectAcl" | "PutObjectAcl" => "ACL",
        "GetBucketLocation" => "LOCATION",
        "GetBucketVersioning" | "PutBucketVersioning" => "VERSIONING",
        "GetBucketLogging" | "PutBucketLogging" => "LOGGING_STATUS",
        "GetBucketCors" | "PutBucketCors" | "DeleteBucketCors" => "CORS",
        "GetBucketWebsite" | "PutBucketWebsite" | "DeleteBucketWebsite" => "WEBSITE",
        "GetBucketTagging" | "PutBucketTagging" | "DeleteBucketTagging" => "TAGGING",
        "GetBucketEncryption" | "PutBucketEncryption" | "DeleteBucketEncryption" => "ENCRYPTION",
        other if other.contains("Object") => "OBJECT",
        other => return format!("REST.{method}.{}", upper(other)),
    };
    format!("REST.{method}.{thing}")
}

/// `GetBucketRequestPayment` as `REQUEST_PAYMENT`.
fn upper(operation: &str) -> String {
    let thing = operation.split("Bucket").nth(1).unwrap_or(operation);
    let mut out = String::new();
    for (at, letter) in thing.chars().enumerate() {
        if letter.is_uppercase() && at > 0 {
            out.push('_');
        }
        out.push(letter.to_ascii_uppercase());
    }
    out
}

/// Delivers lines that were gathered long enough.
pub(crate) async fn deliver(ctx: TaskCtx<Drivers>) -> std::result::Result<Next, TaskError> {
    let mut after = None;
    let mut next: Option<Timestamp> = None;
    loop {
        let from = after.clone();
        let page = ctx.store.read(|tx| tx.scan_page(&LINES, from.as_ref(), LINES_MAX)).await?;
        let Some(first) = page.records.first().cloned() else { break };
        let of_one = page.records.into_iter().take_while(|line| line.bucket_id == first.bucket_id);
        let lines: Vec<Line> = of_one.collect();
        let due = first.time + GATHERED;
        if due <= ctx.now() || lines.len() == LINES_MAX {
            deliver_batch(&ctx, &lines).await?;
        } else {
            next = Some(next.map_or(due, |known| known.min(due)));
        }
        // On to the next bucket, or to this one's further lines.
        after = lines.last().map(Record::key);
    }
    Ok(next.map_or(Next::Idle, Next::At))
}

async fn deliver_batch(
    ctx: &TaskCtx<Drivers>,
    lines: &[Line],
) -> std::result::Result<(), TaskError> {
    let Some(first) = lines.first() else { return Ok(()) };
    let key = (&first.bucket_id, "PutBucketLogging", "");
    let kept = ctx.store.read(|tx| tx.get(&CONFIGURATIONS, key)).await?;
    let bucket = ctx.store.read(|tx| tx.get(&BUCKETS, &first.bucket)).await?;
    if let (Some(kept), Some(bucket)) = (kept, bucket) {
        let set: PutBucketLoggingInput = crate::kept::input_of(kept).map_err(TaskError::new)?;
        if let Some(target) = set.bucket_logging_status.logging_enabled {
            send(ctx, &bucket, &target, lines).await;
        }
    }
    ctx.store
        .write(|tx| {
            for line in lines {
                tx.delete(&LINES, line.key())?;
            }
            Ok::<_, store::Error>(())
        })
        .await?;
    Ok(())
}

/// Puts the lines into the target. What it does not take is lost, as AWS delivers on a best effort.
async fn send(ctx: &TaskCtx<Drivers>, bucket: &Bucket, target: &LoggingEnabled, lines: &[Line]) {
    let Some(first) = lines.first() else { return };
    let mut text = String::new();
    for line in lines {
        text.push_str(&line.text);
        text.push('\n');
    }
    let keys = BTreeMap::from([
        ("aws:SourceArn".to_owned(), crate::admission::arn_of(&bucket.name, None)),
        ("aws:SourceAccount".to_owned(), bucket.owner.to_string()),
    ]);
    let client = ctx.kernel().principal_client(&bucket.owner, SERVICE, keys);
    let input = PutObjectInput {
        bucket: target.target_bucket.clone(),
        key: key_of(target, (&bucket.name, &bucket.owner, bucket.region.as_str()), first),
        body: Some(ByteStream::from(Bytes::from(text))),
        content_type: Some("text/plain".to_owned()),
        ..PutObjectInput::default()
    };
    if let Err(error) = client.call(input).await {
        let (source, target) = (&bucket.name, &target.target_bucket);
        tracing::info!(%error, source, target, "access logs were not taken");
    }
}

/// AWS: "Log object key format". The same lines give the same name.
fn key_of(
    target: &LoggingEnabled,
    (bucket, account, region): (&str, &AccountId, &str),
    first: &Line,
) -> String {
    let stamp = first.time.iso8601_seconds().replace(['T', ':'], "-");
    let stamp = stamp.trim_end_matches('Z');
    let unique: String =
        first.request_id.chars().filter(char::is_ascii_alphanumeric).take(16).collect();
    let unique = unique.to_uppercase();
    let prefix = &target.target_prefix;
    let format = target.target_object_key_format.clone().unwrap_or_default();
    if format.partitioned_prefix.is_none() {
        return format!("{prefix}{stamp}-{unique}");
    }
    let day = stamp.split('-').take(3).collect::<Vec<_>>().join("/");
    format!("{prefix}{account}/{region}/{bucket}/{day}/{stamp}-{unique}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_have_the_names_of_the_log() {
        let served = |operation: &str, method: &str| Served {
            operation: operation.to_owned(),
            method: method.to_owned(),
            bucket: String::new(),
            path: String::new(),
            uri: String::new(),
            status: 200,
            error: None,
            bytes: None,
            duration_ms: 0,
            version_id: None,
            referer: None,
            auth: None,
        };
        for (operation, method, want) in [
            ("GetObject", "GET", "REST.GET.OBJECT"),
            ("ListObjectsV2", "GET", "REST.GET.BUCKET"),
            ("GetBucketRequestPayment", "GET", "REST.GET.REQUEST_PAYMENT"),
            ("DeleteObjects", "POST", "REST.POST.MULTI_OBJECT_DELETE"),
            ("", "GET", "WEBSITE.GET.OBJECT"),
        ] {
            assert_eq!(operation_of(&served(operation, method)), want);
        }
        assert_eq!(clock_of(Timestamp::from_secs(1_549_411_238)), "06/Feb/2019:00:00:38 +0000");
    }
}
