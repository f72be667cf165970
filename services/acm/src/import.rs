//! Certificates that others issued.

use acm_api::{ImportCertificateInput, ImportCertificateOutput};
use kernel::certificates;

use crate::error::{Error, Result, invalid};
use crate::request::{CERTIFICATES_MAX, quota, require_room};
use crate::store::{Certificate, Kind, Material, Status, find};
use crate::x509::Facts;
use crate::{Ctx, key, tags, x509};

/// Takes in a certificate, or puts a newer one in place of an imported one.
///
/// AWS: ImportCertificate; "Prerequisites for importing ACM certificates".
///
/// # Errors
///
/// [`Error::Validation`] when certificate, key and chain do not go together.
pub(crate) async fn import_certificate(
    ctx: Ctx,
    input: ImportCertificateInput,
) -> Result<ImportCertificateOutput> {
    if input.certificate_arn.is_some() && !input.tags.is_empty() {
        return Err(Error::InvalidParameter(
            "You cannot apply tags when reimporting a certificate.".to_owned(),
        ));
    }
    let facts = checked(&ctx, &input)?;
    let tags = tags::from_wire(&ctx, input.tags)?;
    let arn = input.certificate_arn.clone().unwrap_or_else(|| {
        ctx.arn("acm", format!("certificate/{}", ctx.random().uuid())).to_string()
    });
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned() + "\n";
    let private = String::from_utf8_lossy(&input.private_key).into_owned();
    let material = Material {
        certificate: text(&input.certificate),
        chain: input.certificate_chain.as_deref().map(text),
        sealed_key: certificates::seal(&ctx.drivers.cipher, &arn, &private),
        facts,
    };
    let max = quota(&ctx, CERTIFICATES_MAX).await?;
    let made = made(&ctx, &arn, &material, tags);
    ctx.store
        .write(|tx| {
            let wanted = match &input.certificate_arn {
                None => {
                    require_room(tx, max)?;
                    made.clone()
                }
                Some(arn) => replaced(find(tx, &ctx, arn)?, &made)?,
            };
            wanted.put(tx)
        })
        .await?;
    Ok(ImportCertificateOutput { certificate_arn: Some(arn) })
}

fn made(ctx: &Ctx, arn: &str, material: &Material, tags: base::Tags) -> Certificate {
    let names = material.facts.names.clone();
    let domain = material.facts.common_name.clone().or_else(|| names.first().cloned());
    Certificate {
        arn: arn.to_owned(),
        kind: Kind::Imported,
        domain: domain.unwrap_or_default(),
        names,
        status: Status::Issued,
        created: ctx.now(),
        issued: None,
        imported: Some(ctx.now()),
        revoked: None,
        validations: Vec::new(),
        algorithm: material.facts.key_algorithm.clone(),
        material: Some(material.clone()),
        renewal: None,
        transparency: false,
        exportable: false,
        exported: false,
        token: None,
        tags,
    }
}

/// A certificate that was imported before, with what is imported now.
fn replaced(before: Certificate, now: &Certificate) -> Result<Certificate> {
    if before.kind != Kind::Imported {
        return Err(invalid("The certificate cannot be reimported because it was not imported."));
    }
    let usages = |it: &Certificate| {
        it.material
            .as_ref()
            .map(|it| (it.facts.key_usages.clone(), it.facts.extended_key_usages.clone()))
    };
    let used = before.material.as_ref().is_some_and(|it| !it.facts.key_usages.is_empty());
    if before.domain != now.domain && !now.names.contains(&before.domain) {
        return Err(invalid("The certificate's domain name cannot be removed by a reimport."));
    }
    if used && usages(&before) != usages(now) {
        return Err(invalid("The key usages of a certificate cannot be changed by a reimport."));
    }
    Ok(Certificate { created: before.created, tags: before.tags, ..now.clone() })
}

/// The certificate's facts, once it, its key and its chain fit.
fn checked(ctx: &Ctx, input: &ImportCertificateInput) -> Result<Facts> {
    let begins = String::from_utf8_lossy(&input.certificate).matches("BEGIN CERT").count();
    if begins > 1 {
        return Err(invalid(
            "The certificate field contains more than one certificate. You can specify only one \
             certificate in this field.",
        ));
    }
    let (facts, public) = x509::read(&input.certificate)?;
    if key::public_half(&input.private_key)? != public {
        return Err(invalid("The private key is not matching with the certificate's public key."));
    }
    if facts.not_after <= ctx.now() {
        return Err(invalid("The certificate is expired."));
    }
    if facts.not_before > ctx.now() {
        return Err(invalid("The certificate is not valid yet."));
    }
    if facts.signature_algorithm.starts_with("SHA1") {
        return Err(invalid("The certificate's signature algorithm is not supported."));
    }
    match &input.certificate_chain {
        Some(chain) => {
            x509::check_chain(chain)?;
            if !x509::is_issued_by(&input.certificate, chain) {
                return Err(invalid(
                    "Could not validate the certificate with the certificate chain.",
                ));
            }
        }
        None => {
            // AWS takes a certificate without its chain, too; clients must know the issuer then.
        }
    }
    Ok(facts)
}
