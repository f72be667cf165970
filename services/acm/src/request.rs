//! Requests for certificates.

use acm_api::{
    CertificateExport, CertificateTransparencyLoggingPreference, KeyAlgorithm,
    RequestCertificateInput, RequestCertificateOutput, ValidationMethod,
};
use base::Tags;
use kernel::quota::Quota;
use std::time::Duration;
use store::{ReadTx, Scope};

use crate::error::{Error, Result};
use crate::store::{CERTIFICATES, Certificate, Kind, Status};
use crate::{Ctx, domain, key, tags};

/// Certificates of an account in a region.
///
/// AWS: "Quotas" (AWS Certificate Manager User Guide), as below.
pub(crate) const CERTIFICATES_MAX: Quota =
    Quota { service: "acm", code: "L-F141DD1D", default: 2500 };
/// Names of one certificate.
const NAMES_MAX: Quota = Quota { service: "acm", code: "L-FB94F0B0", default: 10 };
/// How long a token makes a request the same one.
///
/// AWS: RequestCertificate (`IdempotencyToken`, one hour).
const TOKEN_COUNTS: Duration = Duration::from_secs(3600);

/// Asks for a certificate. It is issued once the record of each domain is found.
///
/// AWS: RequestCertificate.
///
/// # Errors
///
/// [`Error::LimitExceeded`] for too many certificates or names.
pub(crate) async fn request_certificate(
    ctx: Ctx,
    input: RequestCertificateInput,
) -> Result<RequestCertificateOutput> {
    let names = names(&input)?;
    refuse_unsupported(&input, &names)?;
    let names_max = quota(&ctx, NAMES_MAX).await?;
    if names.len() > names_max {
        return Err(Error::LimitExceeded(format!(
            "Error: you have reached your limit of {names_max} domain names in a certificate."
        )));
    }
    let algorithm = input.key_algorithm.unwrap_or(KeyAlgorithm::Rsa2048);
    key::require_requested(algorithm)?;
    let wanted = wanted(&ctx, &input, names, algorithm, tags::from_wire(&ctx, input.tags.clone())?);
    let max = quota(&ctx, CERTIFICATES_MAX).await?;
    let arn = ctx
        .store
        .write(|tx| {
            if let Some(same) = requested_before(tx, &wanted)? {
                return Ok(same);
            }
            require_room(tx, max)?;
            wanted.put(tx)?;
            Ok::<_, Error>(wanted.arn.clone())
        })
        .await?;
    Ok(RequestCertificateOutput { certificate_arn: Some(arn) })
}

/// The value of `quota` for the caller's account.
pub(crate) async fn quota(ctx: &Ctx, quota: Quota) -> Result<usize> {
    let scope = Scope::new(ctx.account.clone(), ctx.region.clone());
    let value = quota.value(ctx.store.store(), &scope).await?;
    Ok(usize::try_from(value).unwrap_or(usize::MAX))
}

/// Refuses one certificate more than the quota.
pub(crate) fn require_room(tx: &ReadTx<'_>, max: usize) -> Result<()> {
    if tx.scan(&CERTIFICATES, ())?.len() >= max {
        return Err(Error::LimitExceeded(format!(
            "Error: you have reached your limit of {max} certificates in the last year."
        )));
    }
    Ok(())
}

/// All names in lower case, the domain first, each once.
fn names(input: &RequestCertificateInput) -> Result<Vec<String>> {
    let mut names: Vec<String> = Vec::new();
    for name in std::iter::once(&input.domain_name).chain(&input.subject_alternative_names) {
        domain::check(name)?;
        let name = name.to_ascii_lowercase();
        if !names.contains(&name) {
            names.push(name);
        }
    }
    Ok(names)
}

fn refuse_unsupported(input: &RequestCertificateInput, names: &[String]) -> Result<()> {
    if let Some(authority) = &input.certificate_authority_arn {
        // Private authorities are a service of their own, which the region does not have.
        return Err(Error::InvalidArn(authority.clone()));
    }
    let refuse = |text: &str| Err(Error::InvalidParameter(text.to_owned()));
    if input.managed_by.is_some() {
        return refuse("Certificates managed by other services are not available in this region.");
    }
    let options = input.options.as_ref();
    if options.is_some_and(|options| options.validation_method.is_some()) {
        return refuse("The validation method of the options can only be updated.");
    }
    match input.validation_method {
        Some(ValidationMethod::Dns) => {}
        None | Some(ValidationMethod::Email) => {
            return refuse(
                "Email validation is not available in this region. Use the validation method DNS.",
            );
        }
        Some(ValidationMethod::Http) => {
            return refuse("HTTP validation is available for CloudFront certificates only.");
        }
    }
    for option in &input.domain_validation_options {
        let name = option.domain_name.to_ascii_lowercase();
        let above = option.validation_domain.to_ascii_lowercase();
        let superior = name == above || name.ends_with(&format!(".{above}"));
        if !names.contains(&name) || !superior {
            return Err(Error::InvalidDomainValidationOptions(format!(
                "The validation domain {above} is not a superdomain of {name}."
            )));
        }
    }
    Ok(())
}

fn wanted(
    ctx: &Ctx,
    input: &RequestCertificateInput,
    names: Vec<String>,
    algorithm: KeyAlgorithm,
    tags: Tags,
) -> Certificate {
    let options = input.options.as_ref();
    let logging = options.and_then(|it| it.certificate_transparency_logging_preference);
    let export = options.and_then(|it| it.export);
    let status = if names.iter().any(|name| domain::is_amazons(name)) {
        Status::Failed("DOMAIN_NOT_ALLOWED".to_owned())
    } else {
        Status::PendingValidation
    };
    Certificate {
        arn: ctx.arn("acm", format!("certificate/{}", ctx.random().uuid())).to_string(),
        kind: Kind::AmazonIssued,
        domain: names.first().cloned().unwrap_or_default(),
        validations: names.iter().map(|name| domain::validation(&ctx.account, name)).collect(),
        names,
        status,
        created: ctx.now(),
        issued: None,
        imported: None,
        revoked: None,
        algorithm: algorithm.to_string(),
        material: None,
        renewal: None,
        transparency: logging != Some(CertificateTransparencyLoggingPreference::Disabled),
        exportable: export == Some(CertificateExport::Enabled),
        exported: false,
        token: input.idempotency_token.clone(),
        tags,
    }
}

/// The certificate that the same request made within the hour.
fn requested_before(tx: &ReadTx<'_>, wanted: &Certificate) -> Result<Option<String>> {
    if wanted.token.is_none() {
        return Ok(None);
    }
    let same = |it: &Certificate| {
        it.token == wanted.token
            && wanted.created.since(it.created) < TOKEN_COUNTS
            && it.names == wanted.names
            && it.algorithm == wanted.algorithm
            && it.exportable == wanted.exportable
    };
    Ok(tx.scan(&CERTIFICATES, ())?.into_iter().find(same).map(|found| found.arn))
}
