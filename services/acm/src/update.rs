//! Changes to certificates that were requested.

use acm_api::{
    CertificateExport, CertificateTransparencyLoggingPreference, RenewCertificateInput,
    RenewCertificateOutput, ResendValidationEmailInput, ResendValidationEmailOutput,
    UpdateCertificateOptionsInput, UpdateCertificateOptionsOutput,
};

use crate::Ctx;
use crate::error::{Error, Result, invalid};
use crate::store::{Kind, Status, find};

/// Renews a private certificate; public ones are renewed by themselves.
///
/// AWS: RenewCertificate ("Renews an eligible ACM certificate": exported private ones).
///
/// # Errors
///
/// [`Error::Validation`] always: the region has no private authorities.
pub(crate) async fn renew_certificate(
    ctx: Ctx,
    input: RenewCertificateInput,
) -> Result<RenewCertificateOutput> {
    let found = ctx.store.read(|tx| find(tx, &ctx, &input.certificate_arn)).await?;
    if found.status == Status::PendingValidation {
        return Err(Error::RequestInProgress(found.arn));
    }
    Err(invalid(format!("Certificate {} is not a private certificate.", found.arn)))
}

/// Sets whether a certificate is logged publicly.
///
/// AWS: UpdateCertificateOptions.
///
/// # Errors
///
/// [`Error::InvalidState`] for a certificate that is not issued.
pub(crate) async fn update_certificate_options(
    ctx: Ctx,
    input: UpdateCertificateOptionsInput,
) -> Result<UpdateCertificateOptionsOutput> {
    let options = input.options;
    if options.validation_method.is_some() {
        return Err(invalid("The validation method of a certificate cannot be changed here."));
    }
    ctx.store
        .write(|tx| {
            let mut found = find(tx, &ctx, &input.certificate_arn)?;
            if found.kind == Kind::Imported {
                return Err(invalid("The options of an imported certificate cannot be updated."));
            }
            if found.status != Status::Issued {
                return Err(Error::InvalidState(format!(
                    "Certificate {} is not issued.",
                    found.arn
                )));
            }
            let export = options.export.map(|it| it == CertificateExport::Enabled);
            if export.is_some_and(|export| export != found.exportable) {
                return Err(invalid(
                    "The export option cannot be changed once a certificate is issued.",
                ));
            }
            if let Some(logging) = options.certificate_transparency_logging_preference {
                found.transparency = logging == CertificateTransparencyLoggingPreference::Enabled;
            }
            found.put(tx)
        })
        .await?;
    Ok(UpdateCertificateOptionsOutput {})
}

/// Refused, since no certificate here is validated by email.
///
/// AWS: ResendValidationEmail.
///
/// # Errors
///
/// [`Error::InvalidState`] always.
pub(crate) async fn resend_validation_email(
    ctx: Ctx,
    input: ResendValidationEmailInput,
) -> Result<ResendValidationEmailOutput> {
    let found = ctx.store.read(|tx| find(tx, &ctx, &input.certificate_arn)).await?;
    Err(Error::InvalidState(format!(
        "Certificate {} is not validated by email: {} and {} get no message.",
        found.arn, input.domain, input.validation_domain
    )))
}
