//! Verifying a claim.

use std::time::Duration;

use base::Timestamp;

use super::canonical::{Parts, canonical_request, string_to_sign};
use super::claim::{Claim, Presented, REGION_SET};
use super::error::{Mismatch, SigV4Error};
use super::key::{KeyCache, SigningKey};
use super::{ALGORITHM, ALGORITHM_A, is_s3, sigv4a};

/// How far a request's clock may be off.
const SKEW_MAX: Duration = Duration::from_secs(15 * 60);

/// A proved claim: what the chunks of a body are chained to.
#[derive(Debug, Clone)]
pub struct Verified {
    pub(crate) key: SigningKey,
    pub(crate) amz_date: String,
    pub(crate) scope: String,
    pub(crate) signature: String,
}

/// Verifies `claim` over `parts` with the claimant's `secret`. `payload_hash` is what
/// [`super::PayloadMode::canonical`] gives or else the SHA-256 of the body in hexadecimal.
///
/// # Errors
///
/// Why the request is not to be trusted.
pub fn verify(
    claim: &Claim,
    secret: &str,
    parts: &Parts<'_>,
    payload_hash: &str,
    now: Timestamp,
    keys: &KeyCache,
) -> Result<Verified, SigV4Error> {
    check_headers(claim, parts)?;
    check_time(claim, now)?;
    let canonical = canonical_request(parts, &claim.service, &claim.signed_headers, payload_hash);
    let (amz_date, scope) = (claim.date.iso8601_basic(), claim.scope());
    let algorithm = if claim.asymmetric { ALGORITHM_A } else { ALGORITHM };
    let text = string_to_sign(algorithm, &amz_date, &scope, &canonical);
    let key =
        keys.get(&claim.access_key_id, secret, &claim.scope_date, &claim.region, &claim.service);
    let proved = if claim.asymmetric {
        sigv4a::verify(&claim.access_key_id, secret, &text, &claim.signature)
    } else {
        key.verify(&text, &claim.signature)
    };
    if !proved {
        return Err(SigV4Error::Mismatch(Box::new(Mismatch {
            access_key_id: claim.access_key_id.clone(),
            signature: claim.signature.clone(),
            string_to_sign: text,
            canonical_request: String::from_utf8_lossy(&canonical).into_owned(),
        })));
    }
    Ok(Verified { key, amz_date, scope, signature: claim.signature.clone() })
}

/// Headers that say what a request is: each must be signed where it stands, and stand once.
const TELLING: [&str; 5] =
    ["x-amz-target", "x-amz-date", "x-amz-content-sha256", "x-amz-security-token", REGION_SET];

/// The host must be signed everywhere, every `x-amz-` header in S3, and elsewhere what names the
/// operation and the regions. What tells what a request is must not be said twice.
fn check_headers(claim: &Claim, parts: &Parts<'_>) -> Result<(), SigV4Error> {
    let signed = |name: &str| claim.signed_headers.iter().any(|other| other == name);
    if !signed("host") && !signed(":authority") {
        return Err(SigV4Error::HostNotSigned);
    }
    let repeated = |name: &str| parts.headers.get_all(name).iter().nth(1).is_some();
    if TELLING.iter().any(|name| repeated(name)) || repeated("host") {
        return Err(SigV4Error::SeveralMechanisms);
    }
    if claim.asymmetric && claim.presented == Presented::Header && !signed(REGION_SET) {
        return Err(SigV4Error::HeadersNotSigned(vec![REGION_SET.to_owned()]));
    }
    if !is_s3(&claim.service) {
        let named = parts.headers.contains_key("x-amz-target");
        if named && !signed("x-amz-target") {
            return Err(SigV4Error::HeadersNotSigned(vec!["x-amz-target".to_owned()]));
        }
        return Ok(());
    }
    let unsigned: Vec<String> = parts
        .headers
        .keys()
        .map(http::HeaderName::as_str)
        .filter(|name| name.starts_with("x-amz-") && !signed(name))
        .map(str::to_owned)
        .collect();
    if unsigned.is_empty() { Ok(()) } else { Err(SigV4Error::HeadersNotSigned(unsigned)) }
}

fn check_time(claim: &Claim, now: Timestamp) -> Result<(), SigV4Error> {
    let signed_at = claim.date;
    if signed_at.since(now) > SKEW_MAX {
        return Err(SigV4Error::NotYetCurrent { signed_at, now, place: claim.place() });
    }
    match claim.presented {
        Presented::Query { expires: Some(expires) } if now.since(signed_at) > expires => {
            Err(SigV4Error::PresignedExpired { signed_at, expires, now })
        }
        Presented::Query { expires: Some(_) } => Ok(()),
        Presented::Query { expires: None } | Presented::Header => {
            if now.since(signed_at) > SKEW_MAX {
                return Err(SigV4Error::Expired { signed_at, now });
            }
            Ok(())
        }
    }
}
