//! What is told about one certificate.

use acm_api::{
    CertificateDetail, CertificateExport, CertificateKeyPairOrigin, CertificateOptions,
    CertificateTransparencyLoggingPreference, CertificateType, DescribeCertificateInput,
    DescribeCertificateOutput, DomainStatus, DomainValidation, ExtendedKeyUsage, KeyUsage,
    RecordType, RenewalEligibility, RenewalStatus, RenewalSummary, ResourceRecord,
    ValidationMethod,
};
use kernel::certificates;

use crate::Ctx;
use crate::error::{Error, Result};
use crate::store::{Certificate, Kind, Renewal, Status, Validation, find};

/// Tells everything about a certificate.
///
/// AWS: DescribeCertificate.
pub(crate) async fn describe_certificate(
    ctx: Ctx,
    input: DescribeCertificateInput,
) -> Result<DescribeCertificateOutput> {
    let (found, users) = ctx
        .store
        .read(|tx| {
            let found = find(tx, &ctx, &input.certificate_arn)?;
            let users = certificates::users(tx, &found.arn)?;
            Ok::<_, Error>((found, users))
        })
        .await?;
    Ok(DescribeCertificateOutput { certificate: Some(to_wire(found, users)) })
}

/// Whether a certificate will be renewed when its time comes.
///
/// AWS: "Managed certificate renewal in AWS Certificate Manager".
pub(crate) fn eligibility(found: &Certificate, used: bool) -> Option<RenewalEligibility> {
    let used = used || (found.exported && found.exportable);
    match (&found.status, found.kind) {
        (Status::Issued, Kind::AmazonIssued) if used => Some(RenewalEligibility::Eligible),
        _ => Some(RenewalEligibility::Ineligible),
    }
}

pub(crate) fn kind(found: &Certificate) -> CertificateType {
    match found.kind {
        Kind::AmazonIssued => CertificateType::AmazonIssued,
        Kind::Imported => CertificateType::Imported,
    }
}

pub(crate) fn origin(found: &Certificate) -> Option<CertificateKeyPairOrigin> {
    match found.kind {
        Kind::AmazonIssued => "AWS_MANAGED".parse().ok(),
        Kind::Imported => "CUSTOMER_PROVIDED".parse().ok(),
    }
}

fn validation(all_done: bool) -> impl Fn(&Validation) -> DomainValidation {
    move |it| DomainValidation {
        domain_name: it.domain.clone(),
        validation_domain: Some(it.domain.clone()),
        validation_status: Some(if it.done || all_done {
            DomainStatus::Success
        } else {
            DomainStatus::PendingValidation
        }),
        resource_record: Some(ResourceRecord {
            name: it.record.clone(),
            type_: RecordType::Cname,
            value: it.value.clone(),
        }),
        validation_method: Some(ValidationMethod::Dns),
        ..DomainValidation::default()
    }
}

fn renewal(renewal: &Renewal) -> RenewalSummary {
    RenewalSummary {
        renewal_status: if renewal.done {
            RenewalStatus::Success
        } else {
            RenewalStatus::PendingValidation
        },
        domain_validation_options: renewal.validations.iter().map(validation(false)).collect(),
        renewal_status_reason: None,
        updated_at: renewal.updated,
    }
}

/// The status of each domain, which follows the certificate's where that is final.
fn validations(found: &Certificate) -> Vec<DomainValidation> {
    let failed = match found.status {
        Status::Failed(_) | Status::ValidationTimedOut => true,
        Status::PendingValidation | Status::Issued | Status::Expired | Status::Revoked => false,
    };
    let mut all: Vec<DomainValidation> =
        found.validations.iter().map(validation(found.issued.is_some())).collect();
    for it in all.iter_mut().filter(|_| failed) {
        if it.validation_status != Some(DomainStatus::Success) {
            it.validation_status = Some(DomainStatus::Failed);
        }
    }
    all
}

pub(crate) fn options(found: &Certificate) -> CertificateOptions {
    let logging = if found.transparency {
        CertificateTransparencyLoggingPreference::Enabled
    } else {
        CertificateTransparencyLoggingPreference::Disabled
    };
    CertificateOptions {
        certificate_transparency_logging_preference: Some(logging),
        export: (found.kind == Kind::AmazonIssued).then(|| export(found)),
        validation_method: None,
    }
}

pub(crate) fn export(found: &Certificate) -> CertificateExport {
    if found.exportable { CertificateExport::Enabled } else { CertificateExport::Disabled }
}

fn to_wire(found: Certificate, users: Vec<String>) -> CertificateDetail {
    let facts = found.material.as_ref().map(|material| &material.facts);
    CertificateDetail {
        certificate_arn: Some(found.arn.clone()),
        domain_name: Some(found.domain.clone()),
        subject_alternative_names: found.names.clone(),
        domain_validation_options: validations(&found),
        serial: facts.map(|it| it.serial.clone()),
        subject: Some(
            facts.map_or_else(|| format!("CN={}", found.domain), |it| it.subject.clone()),
        ),
        issuer: facts.map(|it| it.issuer.clone()),
        created_at: Some(found.created).filter(|_| found.kind == Kind::AmazonIssued),
        issued_at: found.issued,
        imported_at: found.imported,
        status: Some(found.status.to_wire()),
        revoked_at: found.revoked.as_ref().map(|(at, _)| *at),
        revocation_reason: found.revocation(),
        not_before: facts.map(|it| it.not_before),
        not_after: facts.map(|it| it.not_after),
        key_algorithm: found.algorithm.parse().ok(),
        signature_algorithm: Some(
            facts.map_or("SHA256WITHECDSA", |it| it.signature_algorithm.as_str()).to_owned(),
        ),
        renewal_eligibility: eligibility(&found, !users.is_empty()),
        in_use_by: users,
        failure_reason: found.status.failure(),
        type_: Some(kind(&found)),
        renewal_summary: found.renewal.as_ref().map(renewal),
        key_usages: facts
            .into_iter()
            .flat_map(|it| &it.key_usages)
            .map(|name| KeyUsage { name: name.parse().ok() })
            .collect(),
        extended_key_usages: facts
            .into_iter()
            .flat_map(|it| &it.extended_key_usages)
            .map(|(name, oid)| ExtendedKeyUsage { name: name.parse().ok(), oid: Some(oid.clone()) })
            .collect(),
        options: Some(options(&found)),
        certificate_key_pair_origin: origin(&found),
        ..CertificateDetail::default()
    }
}
