//! Digest files: which log files were delivered in an hour, with their hashes, chained and signed.
//!
//! AWS: "CloudTrail digest file structure"; "Custom implementations of CloudTrail log file
//! integrity validation".

use aws_lc_rs::digest::{SHA256, digest};
use base::{AccountId, Region, Timestamp};
use kernel::cipher::Cipher;
use serde_json::{Value as Json, json};
use store::ScopedStore;

use crate::error::Result;
use crate::public_key;
use crate::store::{Digest, LogFile, Trail};
use crate::trail::written;

/// A digest file that is to be written.
pub(crate) struct Made {
    pub(crate) object: String,
    pub(crate) text: String,
    pub(crate) digest: Digest,
}

/// The SHA-256 of bytes, in hexadecimal.
pub(crate) fn hash(bytes: &[u8]) -> String {
    digest(&SHA256, bytes).as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Where a digest file lies.
fn object(trail: &Trail, account: &AccountId, region: &Region, end: Timestamp) -> String {
    let folder = trail.folder("CloudTrail-Digest", account, region);
    let stamp = end.iso8601_basic();
    let day = crate::deliver::day(end);
    let name = &trail.name;
    format!("{folder}/{day}/{account}_CloudTrail-Digest_{region}_{name}_{region}_{stamp}.json.gz")
}

/// The digest of the files that were delivered before `end`.
pub(crate) async fn make(
    store: &ScopedStore,
    cipher: &Cipher,
    trail: &Trail,
    (account, region): (&AccountId, &Region),
    (start, end): (Timestamp, Timestamp),
) -> Result<Made> {
    let key = public_key::current(store, cipher, end).await?;
    let object = object(trail, account, region, end);
    let files: Vec<&LogFile> = trail.undigested.iter().filter(|it| it.delivered < end).collect();
    let previous = trail.last_digest.as_ref();
    let oldest = files.iter().map(|it| it.oldest).min().map(written);
    let newest = files.iter().map(|it| it.newest).max().map(written);
    let body = json!({
        "awsAccountId": account.as_str(),
        "digestStartTime": written(start),
        "digestEndTime": written(end),
        "digestS3Bucket": trail.bucket,
        "digestS3Object": object,
        "digestPublicKeyFingerprint": key.fingerprint,
        "digestSignatureAlgorithm": "SHA256withRSA",
        "newestEventTime": newest,
        "oldestEventTime": oldest,
        "previousDigestS3Bucket": previous.map(|it| &it.bucket),
        "previousDigestS3Object": previous.map(|it| &it.object),
        "previousDigestHashValue": previous.map(|it| &it.hash),
        "previousDigestHashAlgorithm": previous.map(|_| "SHA-256"),
        "previousDigestSignature": previous.map(|it| &it.signature),
        "logFiles": files.into_iter().map(file).collect::<Vec<_>>(),
    });
    let text = body.to_string();
    let hashed = hash(text.as_bytes());
    let before = previous.map_or("null", |it| it.signature.as_str());
    let signed = format!("{}\n{}/{object}\n{hashed}\n{before}", written(end), trail.bucket);
    let signature = key.sign(cipher, &signed)?;
    let digest =
        Digest { bucket: trail.bucket.clone(), object: object.clone(), hash: hashed, signature };
    Ok(Made { object, text, digest })
}

fn file(it: &LogFile) -> Json {
    json!({
        "s3Bucket": it.bucket,
        "s3Object": it.object,
        "hashValue": it.hash,
        "hashAlgorithm": "SHA-256",
        "newestEventTime": written(it.newest),
        "oldestEventTime": written(it.oldest),
    })
}
