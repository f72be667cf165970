//! The task of each certificate: it looks for validation records, issues, renews, and lets expire.

use std::time::Duration;

use acm_api::KeyAlgorithm;
use base::{AccountId, Arn, Timestamp};
use kernel::certificates;
use kernel::{Next, ServiceError, TaskError};
use rcgen::{
    CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, KeyUsagePurpose,
    SerialNumber,
};
use store::{Scope, ScopedStore};

use crate::authority::moment;
use crate::error::{Error, Result};
use crate::store::{CERTIFICATES, Certificate, Kind, Material, Renewal, Status, Validation};
use crate::{TaskCtx, key, x509};

const DAY: Duration = Duration::from_secs(86_400);
/// How long a public certificate is valid.
///
/// AWS: "ACM certificate characteristics and limitations" (198 days).
const VALID_DAYS: u32 = 198;
/// How long before its end a certificate is renewed.
///
/// AWS: "Managed certificate renewal" (45 days, for certificates of 198 days).
const RENEW_DAYS: u32 = 45;
/// How long validation may take.
///
/// AWS: "DNS validation" (72 hours).
const VALIDATION_MAX: Duration = Duration::from_secs(72 * 3600);
/// How often records are looked up: at first, and for a request that is older than a minute.
const LOOK_EVERY: Duration = Duration::from_secs(1);
const LOOK_SELDOM: Duration = Duration::from_secs(10);
const LOOK_OFTEN_FOR: Duration = Duration::from_secs(60);
/// The longest text of a common name.
const COMMON_NAME_MAX: usize = 64;

/// Every certificate of the region, by its ARN.
pub(crate) async fn keys(ctx: TaskCtx) -> std::result::Result<Vec<String>, TaskError> {
    let all = ctx.store.read(|tx| tx.scan_all(&CERTIFICATES)).await?;
    Ok(all.into_iter().map(|(_, found)| found.arn).collect())
}

/// Takes one certificate as far as it goes.
pub(crate) async fn run(ctx: TaskCtx, arn: String) -> std::result::Result<Next, TaskError> {
    let parsed: Arn = arn.parse()?;
    let account: AccountId = parsed.account.parse()?;
    let store = ctx.store.scoped(Scope::new(account, ctx.region.clone()));
    let Some(found) = store.read(|tx| tx.get(&CERTIFICATES, &arn)).await? else {
        return Ok(Next::Idle);
    };
    let next = match found.status {
        Status::PendingValidation => validate(&ctx, &store, found).await?,
        Status::Issued => keep(&ctx, &store, found).await?,
        Status::Expired | Status::ValidationTimedOut | Status::Revoked | Status::Failed(_) => {
            Next::Idle
        }
    };
    Ok(next)
}

/// Changes a certificate that is still as the run saw it to be.
async fn change(
    store: &ScopedStore,
    seen: &Certificate,
    how: impl Fn(&mut Certificate) + Send + Sync,
) -> Result<()> {
    store
        .write(|tx| {
            let Some(mut found) = tx.get(&CERTIFICATES, &seen.arn)? else { return Ok(()) };
            if found.status == seen.status && found.material == seen.material {
                how(&mut found);
                found.put(tx)?;
            }
            Ok(())
        })
        .await
}

/// Looks for the records that are not seen yet.
async fn look_up(ctx: &TaskCtx, validations: &[Validation]) -> Vec<Validation> {
    let mut looked = validations.to_vec();
    for validation in looked.iter_mut().filter(|it| !it.done) {
        let found = ctx.drivers.resolver.cname(&validation.record).await;
        let value = validation.value.trim_end_matches('.');
        validation.done = found.is_some_and(|found| found.eq_ignore_ascii_case(value));
    }
    looked
}

async fn validate(ctx: &TaskCtx, store: &ScopedStore, seen: Certificate) -> Result<Next> {
    let end = seen.created + VALIDATION_MAX;
    if ctx.now() >= end {
        change(store, &seen, |it| it.status = Status::ValidationTimedOut).await?;
        return Ok(Next::Idle);
    }
    if !ctx.drivers.resolver.asks() {
        return Ok(Next::At(end));
    }
    let looked = look_up(ctx, &seen.validations).await;
    if !looked.iter().all(|it| it.done) {
        if looked != seen.validations {
            change(store, &seen, |it| it.validations.clone_from(&looked)).await?;
        }
        let young = ctx.now().since(seen.created) < LOOK_OFTEN_FOR;
        return Ok(Next::Poll(if young { LOOK_EVERY } else { LOOK_SELDOM }));
    }
    let now = ctx.now();
    let material = make(ctx, &seen, now).await?;
    change(store, &seen, |it| {
        it.validations.clone_from(&looked);
        it.material = Some(material.clone());
        it.issued = Some(now);
        it.status = Status::Issued;
    })
    .await?;
    Ok(Next::At(material.facts.not_after))
}

/// Renews a certificate whose end is near, and marks one that has ended.
async fn keep(ctx: &TaskCtx, store: &ScopedStore, seen: Certificate) -> Result<Next> {
    let Some(material) = &seen.material else { return Ok(Next::Idle) };
    let (now, end) = (ctx.now(), material.facts.not_after);
    if now >= end {
        change(store, &seen, |it| it.status = Status::Expired).await?;
        return Ok(Next::Idle);
    }
    let due = Timestamp::from_millis(
        end.as_millis() - i64::try_from((DAY * RENEW_DAYS).as_millis()).unwrap_or(0),
    );
    if seen.kind == Kind::Imported {
        return Ok(Next::At(end));
    }
    if now < due {
        return Ok(Next::At(due));
    }
    let used = store.read(|tx| certificates::users(tx, &seen.arn)).await?;
    if used.is_empty() && !(seen.exported && seen.exportable) {
        // It becomes eligible when something uses it, which wakes this task.
        return Ok(Next::At(end));
    }
    renew(ctx, store, &seen).await
}

/// Issues a certificate anew under its ARN, if its domains are still the owner's.
pub(crate) async fn renew(ctx: &TaskCtx, store: &ScopedStore, seen: &Certificate) -> Result<Next> {
    let again = |it: &Validation| Validation { done: false, ..it.clone() };
    let wanted: Vec<Validation> = seen.validations.iter().map(again).collect();
    let validations = look_up(ctx, &wanted).await;
    let now = ctx.now();
    if !validations.iter().all(|it| it.done) {
        let same = |renewal: &Renewal| !renewal.done && renewal.validations == validations;
        if !seen.renewal.as_ref().is_some_and(same) {
            let renewal = Renewal { done: false, validations, updated: now };
            change(store, seen, |it| it.renewal = Some(renewal.clone())).await?;
        }
        let end = seen.material.as_ref().map_or(now, |it| it.facts.not_after);
        return Ok(if ctx.drivers.resolver.asks() {
            Next::Poll(LOOK_SELDOM)
        } else {
            Next::At(end)
        });
    }
    let material = make(ctx, seen, now).await?;
    let renewal = Renewal { done: true, validations, updated: now };
    change(store, seen, |it| {
        it.material = Some(material.clone());
        it.renewal = Some(renewal.clone());
        it.issued = Some(now);
        it.exported = false;
    })
    .await?;
    Ok(Next::At(material.facts.not_after))
}

/// A key and its certificate, signed by the region's authority.
async fn make(ctx: &TaskCtx, wanted: &Certificate, now: Timestamp) -> Result<Material> {
    let algorithm: KeyAlgorithm = wanted.algorithm.parse().unwrap_or_default();
    // Primes take a while to find.
    let key = tokio::task::spawn_blocking(move || key::generate(algorithm));
    let key = key.await.map_err(internal)??;
    let mut serial = [0; 16];
    ctx.random().fill(&mut serial);
    // A serial number is positive.
    let [first, ..] = &mut serial;
    *first = (*first & 0x7f) | 0x01;
    let params = params(wanted, &serial, now).map_err(internal)?;
    let certificate = ctx.drivers.authority.sign(params, &key).map_err(internal)?;
    let (facts, _) = x509::read(certificate.as_bytes())?;
    let sealed_key = certificates::seal(&ctx.drivers.cipher, &wanted.arn, &key.serialize_pem());
    let chain = Some(ctx.drivers.authority.certificate().to_owned());
    Ok(Material { certificate, chain, sealed_key, facts })
}

fn internal(error: impl std::fmt::Display) -> Error {
    Error::Inside(ServiceError::internal(error))
}

fn params(
    wanted: &Certificate,
    serial: &[u8],
    now: Timestamp,
) -> std::result::Result<CertificateParams, rcgen::Error> {
    let mut params = CertificateParams::new(wanted.names.clone())?;
    let midnight = now.as_secs() - now.as_secs().rem_euclid(86_400);
    let last = midnight + i64::from(VALID_DAYS) * 86_400 - 1;
    params.not_before = moment(Timestamp::from_secs(midnight));
    params.not_after = moment(Timestamp::from_secs(last));
    params.serial_number = Some(SerialNumber::from_slice(serial));
    params.distinguished_name = DistinguishedName::new();
    if wanted.domain.len() <= COMMON_NAME_MAX {
        params.distinguished_name.push(DnType::CommonName, wanted.domain.as_str());
    }
    params.use_authority_key_identifier_extension = true;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    if wanted.algorithm.starts_with("RSA") {
        params.key_usages.push(KeyUsagePurpose::KeyEncipherment);
    }
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    Ok(params)
}
