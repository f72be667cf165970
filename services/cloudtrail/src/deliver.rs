//! The task of each trail: log files every five minutes, digest files every hour.

use std::collections::BTreeMap;
use std::io::Write;
use std::time::Duration;

use base::{AccountId, Arn, Timestamp};
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use kernel::audit::RECORDS;
use kernel::{Client, Next, ServiceError, TaskError};
use s3_api::PutObjectInput;
use serde_json::{Value as Json, json};
use store::{Scope, ScopedStore};

use crate::digest::{self, hash};
use crate::error::{Error, Result};
use crate::event::Event;
use crate::lookup::{KEPT_FOR, between};
use crate::store::{LogFile, TRAILS, Trail};
use crate::{TaskCtx, selector, trail};

/// How often log files are delivered.
///
/// AWS: "How CloudTrail works" ("about every 5 minutes").
const DELIVER_EVERY: Duration = Duration::from_secs(300);
/// How much time a digest covers.
const DIGEST_EVERY: Duration = Duration::from_secs(3600);
/// Records are written a moment after their calls are answered; a file waits for those.
const RECORDS_WITHIN: Duration = Duration::from_secs(5);
/// Events of one file.
const EVENTS_MAX: usize = 5000;
/// How long after a failed delivery the next one is tried.
const TRY_AGAIN: Duration = Duration::from_secs(5);
/// Records that one run forgets at most.
const FORGET_AT_ONCE: usize = 1000;

/// Every trail of the region, by its ARN.
pub(crate) async fn keys(ctx: TaskCtx) -> std::result::Result<Vec<String>, TaskError> {
    let all = ctx.store.read(|tx| tx.scan_all(&TRAILS)).await?;
    Ok(all.into_iter().map(|(_, trail)| trail.arn).collect())
}

/// A trail and the means to deliver what it takes.
struct Site<'a> {
    ctx: &'a TaskCtx,
    store: &'a ScopedStore,
    account: AccountId,
    s3: Client,
}

/// Delivers what is due of one trail.
pub(crate) async fn run(ctx: TaskCtx, arn: String) -> std::result::Result<Next, TaskError> {
    let parsed: Arn = arn.parse()?;
    let account: AccountId = parsed.account.parse()?;
    let store = ctx.store.scoped(Scope::new(account.clone(), ctx.region.clone()));
    let name = parsed.resource.strip_prefix("trail/").unwrap_or_default().to_owned();
    let Some(found) = store.read(|tx| tx.get(&TRAILS, &name)).await? else {
        return Ok(Next::Idle);
    };
    let s3 = trail::writer(ctx.kernel(), &found)?;
    let site = Site { ctx: &ctx, store: &store, account, s3 };
    let next = site.deliver(found).await?;
    Ok(next)
}

impl Site<'_> {
    async fn deliver(&self, mut found: Trail) -> Result<Next> {
        let now = self.ctx.now();
        let Some(started) = found.started else { return Ok(Next::Idle) };
        // What was delivered in an hour that is over belongs to that hour's digest.
        if !self.digests(&mut found, now).await? {
            return Ok(Next::Poll(TRY_AGAIN));
        }
        let until = found.stopped.unwrap_or(now).min(now);
        let due = found.delivered_to.max(started) + DELIVER_EVERY;
        let last = found.stopped.is_some() && found.delivered_to < until;
        if last || (found.stopped.is_none() && now >= due) {
            // A file that is cut off at the stop has to wait for late records, too.
            if now.since(until) < RECORDS_WITHIN && last {
                return Ok(Next::At(until + RECORDS_WITHIN));
            }
            let lag = if last { Duration::ZERO } else { RECORDS_WITHIN };
            let to = Timestamp::from_millis(
                until.as_millis() - i64::try_from(lag.as_millis()).unwrap_or(0),
            );
            if !self.logs(&mut found, to, now).await? {
                return Ok(Next::Poll(TRY_AGAIN));
            }
            self.forget(now).await?;
        }
        let digest = found.digest_from.map(|from| from + DIGEST_EVERY);
        let logs = found.stopped.is_none().then(|| found.delivered_to + DELIVER_EVERY);
        Ok(logs.into_iter().chain(digest).min().map_or(Next::Idle, Next::At))
    }

    /// Writes the log files of what happened up to `to`. False when the bucket did not take them.
    async fn logs(&self, found: &mut Trail, to: Timestamp, now: Timestamp) -> Result<bool> {
        let from = found.delivered_to;
        self.ctx.kernel().settle_audit().await;
        let records = between(self.store, from.as_millis(), to.as_millis() - 1).await?;
        let events: Vec<Event> = records.into_iter().map(Event::of).collect();
        let taken: Vec<&Event> = events.iter().filter(|it| selector::takes(found, it)).collect();
        let mut files = Vec::new();
        for (number, some) in taken.chunks(EVENTS_MAX).enumerate() {
            let (file, body) = self.log_file(found, some, (from, to), number, now)?;
            let put = self.put(&found.bucket, &file.object, body, BTreeMap::new()).await;
            if let Err(error) = put {
                self.note(found, now, Err(error), false).await?;
                return Ok(false);
            }
            files.push(file);
        }
        let wrote = !files.is_empty();
        let validation = found.validation;
        trail::change(self.store, &found.name, |trail| {
            trail.delivered_to = to;
            if validation {
                trail.undigested.extend(files.iter().cloned());
            }
            if wrote {
                trail.delivery.note(now, Ok(()));
            }
        })
        .await?;
        found.delivered_to = to;
        Ok(true)
    }

    fn log_file(
        &self,
        found: &Trail,
        events: &[&Event],
        (from, to): (Timestamp, Timestamp),
        number: usize,
        now: Timestamp,
    ) -> Result<(LogFile, Vec<u8>)> {
        let (account, region) = (&self.account, &self.ctx.region);
        // The same file again when a run that was cut short is repeated.
        let once = (&found.arn, from, to, number);
        let unique: String = kernel::token::fingerprint(&once)
            .chars()
            .filter(char::is_ascii_alphanumeric)
            .take(16)
            .collect();
        let folder = found.folder("CloudTrail", account, region);
        let (day, minute) = (day(to), minute(to));
        let object =
            format!("{folder}/{day}/{account}_CloudTrail_{region}_{minute}_{unique}.json.gz");
        let records: Vec<&Json> = events.iter().map(|event| &event.json).collect();
        let text = json!({ "Records": records }).to_string();
        let times = || events.iter().map(|event| event.record.time);
        let file = LogFile {
            bucket: found.bucket.clone(),
            object,
            hash: hash(text.as_bytes()),
            oldest: times().min().unwrap_or(from),
            newest: times().max().unwrap_or(to),
            delivered: now,
        };
        Ok((file, gzip(&text)?))
    }

    /// Writes the digests that are due. False when the bucket did not take one.
    async fn digests(&self, found: &mut Trail, now: Timestamp) -> Result<bool> {
        while let Some(start) = found.digest_from.filter(|from| now >= *from + DIGEST_EVERY) {
            let end = start + DIGEST_EVERY;
            let place = (&self.account, &self.ctx.region);
            let cipher = &self.ctx.drivers.cipher;
            let made = digest::make(self.store, cipher, found, place, (start, end)).await?;
            let metadata = BTreeMap::from([
                ("signature".to_owned(), made.digest.signature.clone()),
                ("signature-algorithm".to_owned(), "SHA256withRSA".to_owned()),
            ]);
            let body = gzip(&made.text)?;
            if let Err(error) = self.put(&found.bucket, &made.object, body, metadata).await {
                self.note(found, now, Err(error), true).await?;
                return Ok(false);
            }
            let step = |trail: &mut Trail| {
                trail.digest_from = Some(end);
                trail.last_digest = Some(made.digest.clone());
                trail.undigested.retain(|file| file.delivered >= end);
                trail.digest_delivery.note(now, Ok(()));
            };
            trail::change(self.store, &found.name, step).await?;
            step(found);
        }
        Ok(true)
    }

    async fn put(
        &self,
        bucket: &str,
        object: &str,
        body: Vec<u8>,
        metadata: BTreeMap<String, String>,
    ) -> std::result::Result<(), ServiceError> {
        let input = PutObjectInput {
            bucket: bucket.to_owned(),
            key: object.to_owned(),
            content_type: Some("application/json".to_owned()),
            content_encoding: Some("gzip".to_owned()),
            body: Some(Bytes::from(body).into()),
            metadata,
            ..PutObjectInput::default()
        };
        self.s3.call(input).await.map(|_| ())
    }

    /// Notes how a delivery went, and that a bucket took nothing.
    async fn note(
        &self,
        found: &Trail,
        now: Timestamp,
        result: std::result::Result<(), ServiceError>,
        is_digest: bool,
    ) -> Result<()> {
        let code = result.as_ref().err().map(|error| error.code.clone());
        if let Some(code) = &code {
            tracing::info!(trail = found.name, code, "a bucket took no file of a trail");
        }
        trail::change(self.store, &found.name, |trail| {
            let outcome = if is_digest { &mut trail.digest_delivery } else { &mut trail.delivery };
            outcome.note(now, code.as_deref().map_or(Ok(()), Err));
        })
        .await
    }

    /// Forgets records that can be looked up no more.
    async fn forget(&self, now: Timestamp) -> Result<()> {
        let end = now.as_millis() - i64::try_from(KEPT_FOR.as_millis()).unwrap_or(0);
        if end <= 0 {
            return Ok(());
        }
        let end = u64::try_from(end).unwrap_or(0);
        self.store
            .write(|tx| {
                let old = tx.scan_page(&RECORDS, None, FORGET_AT_ONCE)?.records;
                for record in old {
                    let key = store::Record::key(&record);
                    if key.0 >= end {
                        break;
                    }
                    tx.delete(&RECORDS, key)?;
                }
                Ok::<_, Error>(())
            })
            .await
    }
}

fn gzip(text: &str) -> Result<Vec<u8>> {
    let mut writer = GzEncoder::new(Vec::new(), Compression::default());
    let written = writer.write_all(text.as_bytes()).and_then(|()| writer.finish());
    written.map_err(|error| Error::Inside(ServiceError::internal(error)))
}

/// The folder of a day, as `2026/11/20`.
pub(crate) fn day(at: Timestamp) -> String {
    at.iso8601_seconds().chars().take(10).map(|c| if c == '-' { '/' } else { c }).collect()
}

/// A minute as file names have it, as `20261120T1505Z`.
fn minute(at: Timestamp) -> String {
    let text: String = at.iso8601_basic().chars().take(13).collect();
    format!("{text}Z")
}
