//! Getting certificates out, with their keys or without.

use acm_api::{
    ExportCertificateInput, ExportCertificateOutput, GetCertificateInput, GetCertificateOutput,
};
use kernel::ServiceError;

use crate::error::{Error, Result, invalid};
use crate::store::{Certificate, Kind, Material, Status, find};
use crate::{Ctx, key};

/// AWS: ExportCertificate (`Passphrase`, 4 to 128 characters, without `#`, `$` and `%`).
const PASSPHRASE: std::ops::RangeInclusive<usize> = 4..=128;

/// The certificate and those it chains to.
///
/// AWS: GetCertificate.
///
/// # Errors
///
/// [`Error::RequestInProgress`] until it is issued.
pub(crate) async fn get_certificate(
    ctx: Ctx,
    input: GetCertificateInput,
) -> Result<GetCertificateOutput> {
    let found = ctx.store.read(|tx| find(tx, &ctx, &input.certificate_arn)).await?;
    let material = issued(&found)?;
    Ok(GetCertificateOutput {
        certificate: Some(material.certificate.clone()),
        certificate_chain: material.chain.clone(),
    })
}

fn issued(found: &Certificate) -> Result<&Material> {
    found.material.as_ref().ok_or_else(|| match found.status {
        Status::PendingValidation => Error::RequestInProgress(found.arn.clone()),
        Status::Issued
        | Status::Expired
        | Status::ValidationTimedOut
        | Status::Revoked
        | Status::Failed(_) => invalid(format!("Certificate {} was not issued.", found.arn)),
    })
}

/// The certificate with its private key, which the passphrase opens.
///
/// AWS: ExportCertificate.
///
/// # Errors
///
/// [`Error::Validation`] unless the certificate was requested to be exportable.
pub(crate) async fn export_certificate(
    ctx: Ctx,
    input: ExportCertificateInput,
) -> Result<ExportCertificateOutput> {
    let passphrase = &input.passphrase;
    let allowed = |byte: &u8| byte.is_ascii() && !b"#$%".contains(byte);
    if !PASSPHRASE.contains(&passphrase.len()) || !passphrase.iter().all(allowed) {
        return Err(invalid(
            "The passphrase must have 4 to 128 ASCII characters and must not contain #, $ or %.",
        ));
    }
    let arn = &input.certificate_arn;
    let found = ctx.store.read(|tx| find(tx, &ctx, arn)).await?;
    if found.kind == Kind::Imported || !found.exportable {
        return Err(invalid(format!(
            "Certificate ARN: {arn} is not a private certificate or an exportable certificate."
        )));
    }
    let material = issued(&found)?;
    let served = kernel::certificates::Material {
        chain: String::new(),
        sealed_key: material.sealed_key.clone(),
        names: Vec::new(),
        algorithm: String::new(),
        not_after: material.facts.not_after,
    };
    let plain = served.key(&ctx.drivers.cipher, arn).map_err(ServiceError::internal)?;
    let private_key = key::encrypt(&plain, passphrase, ctx.random())?;
    ctx.store
        .write(|tx| {
            let mut found = find(tx, &ctx, arn)?;
            found.exported = true;
            found.put(tx)
        })
        .await?;
    Ok(ExportCertificateOutput {
        certificate: Some(material.certificate.clone()),
        certificate_chain: material.chain.clone(),
        private_key: Some(private_key),
    })
}
