//! What AWS Certificate Manager keeps.

use acm_api::{CertificateStatus, FailureReason, RevocationReason};
use base::{Arn, Tags, Timestamp};
use serde::{Deserialize, Serialize};
use store::{ReadTx, Record, Table, WriteTx};

use crate::Ctx;
use crate::error::{Error, Result};
use crate::x509::Facts;

/// A certificate, from the request on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Certificate {
    pub(crate) arn: String,
    pub(crate) kind: Kind,
    pub(crate) domain: String,
    /// All names, the domain first.
    pub(crate) names: Vec<String>,
    pub(crate) status: Status,
    pub(crate) created: Timestamp,
    pub(crate) issued: Option<Timestamp>,
    pub(crate) imported: Option<Timestamp>,
    pub(crate) revoked: Option<(Timestamp, String)>,
    pub(crate) validations: Vec<Validation>,
    /// The kind of its key, as `RSA_2048`.
    pub(crate) algorithm: String,
    pub(crate) material: Option<Material>,
    pub(crate) renewal: Option<Renewal>,
    pub(crate) transparency: bool,
    pub(crate) exportable: bool,
    /// Whether it was exported since it was issued or renewed last.
    pub(crate) exported: bool,
    /// The idempotency token of the request, as long as that counts.
    pub(crate) token: Option<String>,
    pub(crate) tags: Tags,
}

/// Where a certificate comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Kind {
    AmazonIssued,
    Imported,
}

/// How far a certificate is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Status {
    PendingValidation,
    Issued,
    Expired,
    ValidationTimedOut,
    Revoked,
    /// With the name of the reason.
    Failed(String),
}

/// The record that proves who owns a domain, and whether it was seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Validation {
    pub(crate) domain: String,
    pub(crate) record: String,
    pub(crate) value: String,
    pub(crate) done: bool,
}

/// A certificate that was issued or imported.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Material {
    /// The certificate itself, as PEM.
    pub(crate) certificate: String,
    /// Those it chains to.
    pub(crate) chain: Option<String>,
    /// The private key, sealed.
    pub(crate) sealed_key: String,
    pub(crate) facts: Facts,
}

/// What became of the newest renewal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Renewal {
    pub(crate) done: bool,
    pub(crate) validations: Vec<Validation>,
    pub(crate) updated: Timestamp,
}

/// The account's settings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Account {
    pub(crate) days_before_expiry: i32,
    pub(crate) token: String,
    pub(crate) token_used: Timestamp,
}

impl Record for Certificate {
    type Key = String;

    fn key(&self) -> String {
        self.arn.clone()
    }
}

impl Record for Account {
    type Key = String;

    fn key(&self) -> String {
        Self::KEY.to_owned()
    }
}

impl Account {
    /// There is one row an account and region.
    pub(crate) const KEY: &str = "settings";
}

pub(crate) const CERTIFICATES: Table<Certificate> = Table::new("acm.certificates");
pub(crate) const ACCOUNTS: Table<Account> = Table::new("acm.accounts");

impl Status {
    pub(crate) fn to_wire(&self) -> CertificateStatus {
        match self {
            Self::PendingValidation => CertificateStatus::PendingValidation,
            Self::Issued => CertificateStatus::Issued,
            Self::Expired => CertificateStatus::Expired,
            Self::ValidationTimedOut => CertificateStatus::ValidationTimedOut,
            Self::Revoked => CertificateStatus::Revoked,
            Self::Failed(_) => CertificateStatus::Failed,
        }
    }

    pub(crate) fn failure(&self) -> Option<FailureReason> {
        if let Self::Failed(reason) = self { reason.parse().ok() } else { None }
    }
}

impl Certificate {
    pub(crate) fn revocation(&self) -> Option<RevocationReason> {
        self.revoked.as_ref().and_then(|(_, reason)| reason.parse().ok())
    }

    /// Writes the certificate, and what of it can be served.
    pub(crate) fn put(&self, tx: &mut WriteTx<'_>) -> Result<()> {
        let served = self.material.as_ref().map(|material| kernel::certificates::Material {
            chain: format!(
                "{}{}",
                material.certificate,
                material.chain.as_deref().unwrap_or_default()
            ),
            sealed_key: material.sealed_key.clone(),
            names: material.facts.names.clone(),
            algorithm: material.facts.key_algorithm.clone(),
            not_after: material.facts.not_after,
        });
        let served = kernel::certificates::Certificate { arn: self.arn.clone(), material: served };
        if tx.get(&kernel::certificates::CERTIFICATES, &self.arn)?.as_ref() != Some(&served) {
            tx.put(&kernel::certificates::CERTIFICATES, &served)?;
        }
        Ok(tx.put(&CERTIFICATES, self)?)
    }
}

/// Checks that `arn` names a certificate of the caller's account and region.
pub(crate) fn require_arn(ctx: &Ctx, arn: &str) -> Result<()> {
    let parsed: Option<Arn> = arn.parse().ok();
    match parsed.filter(|it| it.service == "acm" && it.resource.starts_with("certificate/")) {
        None => Err(Error::InvalidArn(arn.to_owned())),
        Some(it) if it.region != ctx.region.as_str() || it.account != ctx.account.as_str() => {
            Err(not_found(ctx, arn))
        }
        Some(_) => Ok(()),
    }
}

fn not_found(ctx: &Ctx, arn: &str) -> Error {
    Error::ResourceNotFound(arn.to_owned(), ctx.account.to_string())
}

/// The certificate called `arn`.
pub(crate) fn find(tx: &ReadTx<'_>, ctx: &Ctx, arn: &str) -> Result<Certificate> {
    require_arn(ctx, arn)?;
    tx.get(&CERTIFICATES, arn)?.ok_or_else(|| not_found(ctx, arn))
}
