//! Message authentication codes.

use aws_lc_rs::hmac;
use kms_api::{
    GenerateMacInput, GenerateMacOutput, KeySpec, KeyUsageType, MacAlgorithmSpec, VerifyMacInput,
    VerifyMacOutput,
};

use crate::encrypt::{dry, usage};
use crate::error::{Error, Result};
use crate::key::{named, usable};
use crate::keyring::{Opened, Secret};
use crate::{Ctx, spec};

/// Makes a code.
///
/// AWS: GenerateMac.
///
/// # Errors
///
/// [`Error::InvalidKeyUsage`] for another kind of key or algorithm, and those of every use of a
/// key.
pub(crate) async fn generate_mac(ctx: Ctx, input: GenerateMacInput) -> Result<GenerateMacOutput> {
    crate::grant::check_tokens(&ctx, &input.grant_tokens)?;
    let opened = named(&ctx, &input.key_id).await?;
    let key = ready(&opened, input.mac_algorithm, "GenerateMac")?;
    dry(input.dry_run)?;
    let code = hmac::sign(key, &input.message).as_ref().to_vec();
    Ok(GenerateMacOutput {
        mac: Some(code.into()),
        mac_algorithm: Some(input.mac_algorithm),
        key_id: Some(opened.key.arn.clone()),
    })
}

/// Checks a code.
///
/// AWS: VerifyMac.
///
/// # Errors
///
/// [`Error::InvalidMac`], and those of GenerateMac.
pub(crate) async fn verify_mac(ctx: Ctx, input: VerifyMacInput) -> Result<VerifyMacOutput> {
    crate::grant::check_tokens(&ctx, &input.grant_tokens)?;
    let opened = named(&ctx, &input.key_id).await?;
    let key = ready(&opened, input.mac_algorithm, "VerifyMac")?;
    dry(input.dry_run)?;
    hmac::verify(key, &input.message, &input.mac).map_err(|_| Error::InvalidMac)?;
    Ok(VerifyMacOutput {
        key_id: Some(opened.key.arn.clone()),
        mac_valid: Some(true),
        mac_algorithm: Some(input.mac_algorithm),
    })
}

/// AWS-LC's algorithm for codes of `spec`.
pub(crate) fn algorithm(spec: KeySpec) -> Option<hmac::Algorithm> {
    Some(match spec::mac(spec)? {
        MacAlgorithmSpec::HmacSha224 => hmac::HMAC_SHA224,
        MacAlgorithmSpec::HmacSha256 => hmac::HMAC_SHA256,
        MacAlgorithmSpec::HmacSha384 => hmac::HMAC_SHA384,
        MacAlgorithmSpec::HmacSha512 => hmac::HMAC_SHA512,
    })
}

fn ready<'a>(
    opened: &'a Opened,
    algorithm: MacAlgorithmSpec,
    operation: &str,
) -> Result<&'a hmac::Key> {
    usable(&opened.key)?;
    usage(opened, KeyUsageType::GenerateVerifyMac, operation)?;
    if spec::mac(opened.key.spec()) != Some(algorithm) {
        return Err(Error::InvalidKeyUsage(format!(
            "Algorithm {algorithm} is incompatible with key spec {}.",
            opened.key.spec
        )));
    }
    match opened.current() {
        Some((_, Secret::Hmac(key))) => Ok(key),
        Some((_, Secret::Symmetric(_) | Secret::Pair(_))) | None => Err(Error::Crypto),
    }
}
