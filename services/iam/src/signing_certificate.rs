//! X.509 certificates with which users sign.

use iam_api as api;
use iam_api::{
    DeleteSigningCertificateInput, DeleteSigningCertificateOutput, ListSigningCertificatesInput,
    ListSigningCertificatesOutput, StatusType, UpdateSigningCertificateInput,
    UpdateSigningCertificateOutput, UploadSigningCertificateInput, UploadSigningCertificateOutput,
};
use store::ReadTx;

use crate::access::{holder, holder_id};
use crate::entity::date;
use crate::error::{Error, Result};
use crate::pem::Certificate;
use crate::store::{PublicKey, SIGNING_BY_HOLDER, SIGNING_CERTS};
use crate::{Ctx, listing};

/// AWS: "IAM and AWS STS quotas", signing certificates assigned to an IAM user.
pub(crate) const CERTIFICATES_MAX: usize = 2;
/// How long a certificate's id is.
const ID_CHARS: usize = 32;

fn view(name: &str, found: PublicKey) -> api::SigningCertificate {
    api::SigningCertificate {
        user_name: name.to_owned(),
        certificate_id: found.id,
        certificate_body: found.body,
        status: if found.active { StatusType::Active } else { StatusType::Inactive },
        upload_date: Some(date(found.uploaded)),
    }
}

fn held(tx: &ReadTx<'_>, id: &str, holder: &str) -> Result<PublicKey> {
    let found = tx.get(&SIGNING_CERTS, id)?.filter(|found| found.holder == holder);
    found.ok_or_else(|| {
        Error::NoSuchEntity(format!("The Certificate with id {id} cannot be found."))
    })
}

/// Adds a certificate to a user.
///
/// AWS: UploadSigningCertificate.
///
/// # Errors
///
/// [`Error::MalformedCertificate`], [`Error::DuplicateCertificate`], [`Error::LimitExceeded`].
pub(crate) async fn upload_signing_certificate(
    ctx: Ctx,
    input: UploadSigningCertificateInput,
) -> Result<UploadSigningCertificateOutput> {
    let user = holder(&ctx, "UploadSigningCertificate", input.user_name.as_deref()).await?;
    let holder = holder_id(&ctx, user.as_ref());
    if Certificate::parse(&input.certificate_body).is_none() {
        return Err(Error::MalformedCertificate(
            "Unable to parse certificate. Please ensure the certificate is in PEM format.",
        ));
    }
    let certificate = PublicKey {
        id: ctx.random().text("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", ID_CHARS),
        holder,
        body: input.certificate_body,
        fingerprint: String::new(),
        active: true,
        uploaded: ctx.now(),
    };
    ctx.store
        .write(|tx| {
            let own = tx.find(&SIGNING_BY_HOLDER, certificate.holder.as_str())?;
            if own.iter().any(|other| other.body == certificate.body) {
                return Err(Error::DuplicateCertificate(
                    "The certificate is already associated with the user.".to_owned(),
                ));
            }
            if own.len() >= CERTIFICATES_MAX {
                return Err(Error::quota("CertificatesPerUser", CERTIFICATES_MAX));
            }
            Ok(tx.put(&SIGNING_CERTS, &certificate)?)
        })
        .await?;
    let name = user.map(|user| user.name).unwrap_or_default();
    Ok(UploadSigningCertificateOutput { certificate: view(&name, certificate) })
}

/// The certificates of a user.
///
/// AWS: ListSigningCertificates.
///
/// # Errors
///
/// [`Error::NoSuchEntity`].
pub(crate) async fn list_signing_certificates(
    ctx: Ctx,
    input: ListSigningCertificatesInput,
) -> Result<ListSigningCertificatesOutput> {
    let user = holder(&ctx, "ListSigningCertificates", input.user_name.as_deref()).await?;
    let holder = holder_id(&ctx, user.as_ref());
    let own = ctx.store.read(|tx| tx.find(&SIGNING_BY_HOLDER, holder.as_str())).await?;
    let page =
        listing::page(own, input.marker.as_deref(), input.max_items, |found| found.id.clone())?;
    let name = user.map(|user| user.name).unwrap_or_default();
    Ok(ListSigningCertificatesOutput {
        is_truncated: Some(page.next.is_some()),
        marker: page.next,
        certificates: page.items.into_iter().map(|found| view(&name, found)).collect(),
    })
}

/// Switches a certificate on or off.
///
/// AWS: UpdateSigningCertificate.
///
/// # Errors
///
/// [`Error::NoSuchEntity`].
pub(crate) async fn update_signing_certificate(
    ctx: Ctx,
    input: UpdateSigningCertificateInput,
) -> Result<UpdateSigningCertificateOutput> {
    let user = holder(&ctx, "UpdateSigningCertificate", input.user_name.as_deref()).await?;
    let holder = holder_id(&ctx, user.as_ref());
    ctx.store
        .write(|tx| {
            let mut found = held(tx, &input.certificate_id, &holder)?;
            found.active = input.status == StatusType::Active;
            Ok::<_, Error>(tx.put(&SIGNING_CERTS, &found)?)
        })
        .await?;
    Ok(UpdateSigningCertificateOutput {})
}

/// Takes a certificate from a user.
///
/// AWS: DeleteSigningCertificate.
///
/// # Errors
///
/// [`Error::NoSuchEntity`].
pub(crate) async fn delete_signing_certificate(
    ctx: Ctx,
    input: DeleteSigningCertificateInput,
) -> Result<DeleteSigningCertificateOutput> {
    let user = holder(&ctx, "DeleteSigningCertificate", input.user_name.as_deref()).await?;
    let holder = holder_id(&ctx, user.as_ref());
    ctx.store
        .write(|tx| {
            held(tx, &input.certificate_id, &holder)?;
            tx.delete(&SIGNING_CERTS, &input.certificate_id)?;
            Ok::<_, Error>(())
        })
        .await?;
    Ok(DeleteSigningCertificateOutput {})
}
