//! The end of certificates.

use acm_api::{
    DeleteCertificateInput, DeleteCertificateOutput, RevokeCertificateInput,
    RevokeCertificateOutput,
};
use kernel::certificates;

use crate::Ctx;
use crate::error::{Error, Result, invalid};
use crate::store::{CERTIFICATES, Kind, Status, find};

/// Deletes a certificate that nothing uses.
///
/// AWS: DeleteCertificate.
///
/// # Errors
///
/// [`Error::ResourceInUse`] while something serves it.
pub(crate) async fn delete_certificate(
    ctx: Ctx,
    input: DeleteCertificateInput,
) -> Result<DeleteCertificateOutput> {
    let arn = input.certificate_arn;
    ctx.store
        .write(|tx| {
            find(tx, &ctx, &arn)?;
            if !certificates::users(tx, &arn)?.is_empty() {
                return Err(Error::ResourceInUse(arn.clone(), ctx.account.to_string()));
            }
            tx.delete(&certificates::CERTIFICATES, &arn)?;
            tx.delete(&CERTIFICATES, &arn)?;
            Ok(())
        })
        .await?;
    Ok(DeleteCertificateOutput {})
}

/// Revokes an exportable certificate that nothing uses.
///
/// AWS: RevokeCertificate.
///
/// # Errors
///
/// [`Error::Validation`] for certificates that were not issued to be exported.
pub(crate) async fn revoke_certificate(
    ctx: Ctx,
    input: RevokeCertificateInput,
) -> Result<RevokeCertificateOutput> {
    let arn = input.certificate_arn;
    let reason = input.revocation_reason.to_string();
    ctx.store
        .write(|tx| {
            let mut found = find(tx, &ctx, &arn)?;
            if found.kind == Kind::Imported || !found.exportable {
                return Err(invalid("Only exportable public certificates can be revoked."));
            }
            if found.status != Status::Issued {
                return Err(Error::Conflict(format!("Certificate {arn} is not issued.")));
            }
            if !certificates::users(tx, &arn)?.is_empty() {
                return Err(Error::ResourceInUse(arn.clone(), ctx.account.to_string()));
            }
            found.status = Status::Revoked;
            found.revoked = Some((ctx.now(), reason.clone()));
            found.put(tx)?;
            // Nothing can be made to serve it from now on.
            let none = certificates::Certificate { arn: arn.clone(), material: None };
            Ok(tx.put(&certificates::CERTIFICATES, &none)?)
        })
        .await?;
    Ok(RevokeCertificateOutput { certificate_arn: Some(arn) })
}
