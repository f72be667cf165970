//! What AWS CloudTrail keeps.

use base::{AccountId, Arn, Region, Tags, Timestamp};
use serde::{Deserialize, Serialize};
use store::{ReadTx, Record, Table};

use crate::Ctx;
use crate::error::{Error, Result};

/// A trail, and how far it has come.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Trail {
    pub(crate) name: String,
    pub(crate) arn: String,
    pub(crate) bucket: String,
    pub(crate) prefix: Option<String>,
    pub(crate) global_events: bool,
    pub(crate) multi_region: bool,
    pub(crate) validation: bool,
    pub(crate) selectors: Selectors,
    pub(crate) tags: Tags,
    /// When logging was started last, and when it was stopped, if it is.
    pub(crate) started: Option<Timestamp>,
    pub(crate) stopped: Option<Timestamp>,
    /// Events before this are delivered.
    pub(crate) delivered_to: Timestamp,
    /// Log files that no digest names yet.
    pub(crate) undigested: Vec<LogFile>,
    /// Where the next digest begins; nothing without validation.
    pub(crate) digest_from: Option<Timestamp>,
    pub(crate) last_digest: Option<Digest>,
    pub(crate) delivery: Outcome,
    pub(crate) digest_delivery: Outcome,
}

/// Which events a trail takes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Selectors {
    Basic(Vec<Basic>),
    Advanced(Vec<Advanced>),
}

/// An event selector.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Basic {
    /// Read-only events alone, or others alone, or both.
    pub(crate) read_only: Option<bool>,
    pub(crate) management: bool,
    /// Values of `AWS::S3::Object`; nothing when the type was not named.
    pub(crate) objects: Option<Vec<String>>,
    pub(crate) excluded_sources: Vec<String>,
}

/// An advanced event selector.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Advanced {
    pub(crate) name: Option<String>,
    pub(crate) fields: Vec<Field>,
}

/// What a field of an event must be.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Field {
    pub(crate) field: String,
    pub(crate) equals: Vec<String>,
    pub(crate) starts_with: Vec<String>,
    pub(crate) ends_with: Vec<String>,
    pub(crate) not_equals: Vec<String>,
    pub(crate) not_starts_with: Vec<String>,
    pub(crate) not_ends_with: Vec<String>,
}

/// A log file that was delivered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LogFile {
    pub(crate) bucket: String,
    pub(crate) object: String,
    pub(crate) hash: String,
    pub(crate) oldest: Timestamp,
    pub(crate) newest: Timestamp,
    pub(crate) delivered: Timestamp,
}

/// The newest digest file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Digest {
    pub(crate) bucket: String,
    pub(crate) object: String,
    pub(crate) hash: String,
    pub(crate) signature: String,
}

/// How deliveries went.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Outcome {
    pub(crate) error: Option<String>,
    pub(crate) succeeded: Option<Timestamp>,
    pub(crate) tried: Option<Timestamp>,
}

/// A key that digests are signed with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SigningKey {
    pub(crate) fingerprint: String,
    /// The public half, as PKCS #1 in base64.
    pub(crate) public: String,
    /// The private key, sealed, in base64.
    pub(crate) sealed: String,
    pub(crate) from: Timestamp,
    pub(crate) until: Timestamp,
}

impl Record for Trail {
    type Key = String;

    fn key(&self) -> String {
        self.name.clone()
    }
}

impl Record for SigningKey {
    type Key = (i64, String);

    fn key(&self) -> Self::Key {
        (self.from.as_millis(), self.fingerprint.clone())
    }
}

pub(crate) const TRAILS: Table<Trail> = Table::new("cloudtrail.trails");
pub(crate) const KEYS: Table<SigningKey> = Table::new("cloudtrail.keys");

impl Outcome {
    pub(crate) fn note(&mut self, at: Timestamp, result: std::result::Result<(), &str>) {
        self.tried = Some(at);
        match result {
            Ok(()) => {
                self.error = None;
                self.succeeded = Some(at);
            }
            Err(code) => self.error = Some(code.to_owned()),
        }
    }
}

impl Trail {
    /// What the keys of its files begin with.
    pub(crate) fn folder(&self, kind: &str, account: &AccountId, region: &Region) -> String {
        let prefix = self.prefix.as_deref().map(|it| format!("{it}/")).unwrap_or_default();
        format!("{prefix}AWSLogs/{account}/{kind}/{region}")
    }
}

/// The name of a trail that is given by its name or its ARN.
pub(crate) fn name_of(ctx: &Ctx, given: &str) -> Result<String> {
    if !given.starts_with("arn:") {
        check_name(given)?;
        return Ok(given.to_owned());
    }
    let parsed: Option<Arn> = given.parse().ok();
    let parsed = parsed.filter(|arn| arn.service == "cloudtrail");
    let arn = parsed.ok_or_else(|| Error::ArnInvalid(given.to_owned()))?;
    let Some(name) = arn.resource.strip_prefix("trail/") else {
        return Err(Error::ArnInvalid(given.to_owned()));
    };
    if arn.account != ctx.account.as_str() || arn.region != ctx.region.as_str() {
        return Err(not_found(ctx, given));
    }
    Ok(name.to_owned())
}

pub(crate) fn not_found(ctx: &Ctx, name: &str) -> Error {
    Error::TrailNotFound(name.to_owned(), ctx.account.to_string())
}

/// The trail that is given by its name or its ARN.
pub(crate) fn find(tx: &ReadTx<'_>, ctx: &Ctx, given: &str) -> Result<Trail> {
    tx.get(&TRAILS, &name_of(ctx, given)?)?.ok_or_else(|| not_found(ctx, given))
}

/// AWS: CreateTrail (`Name`).
pub(crate) fn check_name(name: &str) -> Result<()> {
    let refuse = |text: &str| Err(Error::InvalidTrailName(text.to_owned()));
    if name.len() < 3 || name.len() > 128 {
        return refuse("Trail name must have between 3 and 128 characters.");
    }
    if !name.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b)) {
        return refuse(
            "Trail name can contain only letters, numbers, periods, underscores and dashes.",
        );
    }
    if !name.starts_with(|c: char| c.is_ascii_alphanumeric())
        || !name.ends_with(|c: char| c.is_ascii_alphanumeric())
    {
        return refuse("Trail name must start and end with a letter or number.");
    }
    let marks = |pair: &[u8]| pair.iter().all(|byte| b"._-".contains(byte));
    if name.as_bytes().windows(2).any(marks) {
        return refuse("Trail name cannot have adjacent periods, underscores or dashes.");
    }
    if name.parse::<std::net::Ipv4Addr>().is_ok() {
        return refuse("Trail name cannot be in IP address format.");
    }
    Ok(())
}
