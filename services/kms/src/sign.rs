//! Signatures, public keys and shared secrets.

use kms_api::{
    DeriveSharedSecretInput, DeriveSharedSecretOutput, GetPublicKeyInput, GetPublicKeyOutput,
    KeyUsageType, MessageType, SignInput, SignOutput, SigningAlgorithmSpec, VerifyInput,
    VerifyOutput,
};

use crate::asymmetric::{Message, Pair};
use crate::encrypt::{dry, no_recipient, usage};
use crate::error::{Error, Result};
use crate::key::{named, old_spec, usable};
use crate::keyring::{Opened, Secret};
use crate::{Ctx, spec};

/// Signs a message or a digest.
///
/// AWS: Sign.
///
/// # Errors
///
/// [`Error::InvalidKeyUsage`] for another kind of key or algorithm, [`Error::Validation`] for a
/// digest of the wrong length, and those of every use of a key.
pub(crate) async fn sign(ctx: Ctx, input: SignInput) -> Result<SignOutput> {
    crate::grant::check_tokens(&ctx, &input.grant_tokens)?;
    let opened = named(&ctx, &input.key_id).await?;
    let pair = ready(&opened, input.signing_algorithm, "Sign")?;
    let message = message(input.message_type, &input.message)?;
    dry(input.dry_run)?;
    let signature = pair.sign(input.signing_algorithm, message)?;
    Ok(SignOutput {
        key_id: Some(opened.key.arn.clone()),
        signature: Some(signature.into()),
        signing_algorithm: Some(input.signing_algorithm),
    })
}

/// Checks a signature.
///
/// AWS: Verify.
///
/// # Errors
///
/// [`Error::InvalidSignature`], and those of Sign.
pub(crate) async fn verify(ctx: Ctx, input: VerifyInput) -> Result<VerifyOutput> {
    crate::grant::check_tokens(&ctx, &input.grant_tokens)?;
    let opened = named(&ctx, &input.key_id).await?;
    let pair = ready(&opened, input.signing_algorithm, "Verify")?;
    let message = message(input.message_type, &input.message)?;
    dry(input.dry_run)?;
    if !pair.verifies(input.signing_algorithm, message, &input.signature)? {
        return Err(Error::InvalidSignature);
    }
    Ok(VerifyOutput {
        key_id: Some(opened.key.arn.clone()),
        signature_valid: Some(true),
        signing_algorithm: Some(input.signing_algorithm),
    })
}

/// Gives the public half of a pair.
///
/// AWS: GetPublicKey.
///
/// # Errors
///
/// [`Error::UnsupportedOperation`] for keys without one, and those of every use of a key.
pub(crate) async fn get_public_key(
    ctx: Ctx,
    input: GetPublicKeyInput,
) -> Result<GetPublicKeyOutput> {
    crate::grant::check_tokens(&ctx, &input.grant_tokens)?;
    let opened = named(&ctx, &input.key_id).await?;
    let (key_spec, key_usage) = (opened.key.spec(), opened.key.usage());
    if matches!(spec::family(key_spec)?, spec::Family::Symmetric | spec::Family::Hmac) {
        return Err(Error::UnsupportedOperation(format!(
            "{} key spec is {key_spec} which has no public key.",
            opened.key.arn
        )));
    }
    usable(&opened.key)?;
    Ok(GetPublicKeyOutput {
        key_id: Some(opened.key.arn.clone()),
        public_key: Some(pair_of(&opened)?.public()?.into()),
        customer_master_key_spec: old_spec(key_spec),
        key_spec: Some(key_spec),
        key_usage: Some(key_usage),
        encryption_algorithms: spec::encryption(key_spec, key_usage).to_vec(),
        signing_algorithms: spec::signing(key_spec, key_usage).to_vec(),
        key_agreement_algorithms: spec::agreement(key_usage).to_vec(),
        encapsulation_algorithms: Vec::new(),
    })
}

/// Agrees on a secret with the holder of another key pair.
///
/// AWS: DeriveSharedSecret.
///
/// # Errors
///
/// [`Error::InvalidKeyUsage`] for another kind of key, [`Error::Validation`] for a public key of
/// another curve, and those of every use of a key.
pub(crate) async fn derive_shared_secret(
    ctx: Ctx,
    input: DeriveSharedSecretInput,
) -> Result<DeriveSharedSecretOutput> {
    crate::grant::check_tokens(&ctx, &input.grant_tokens)?;
    no_recipient(input.recipient.is_some())?;
    let opened = named(&ctx, &input.key_id).await?;
    usable(&opened.key)?;
    usage(&opened, KeyUsageType::KeyAgreement, "DeriveSharedSecret")?;
    let secret = pair_of(&opened)?.agree(&input.public_key)?;
    dry(input.dry_run)?;
    Ok(DeriveSharedSecretOutput {
        key_id: Some(opened.key.arn.clone()),
        shared_secret: Some(secret.into()),
        ciphertext_for_recipient: None,
        key_agreement_algorithm: Some(input.key_agreement_algorithm),
        key_origin: Some(opened.key.origin()),
    })
}

fn ready<'a>(
    opened: &'a Opened,
    algorithm: SigningAlgorithmSpec,
    operation: &str,
) -> Result<&'a Pair> {
    usable(&opened.key)?;
    usage(opened, KeyUsageType::SignVerify, operation)?;
    if !spec::signing(opened.key.spec(), opened.key.usage()).contains(&algorithm) {
        return Err(Error::InvalidKeyUsage(format!(
            "Algorithm {algorithm} is incompatible with key spec {}.",
            opened.key.spec
        )));
    }
    pair_of(opened)
}

fn pair_of(opened: &Opened) -> Result<&Pair> {
    match opened.current() {
        Some((_, Secret::Pair(pair))) => Ok(pair),
        Some((_, Secret::Symmetric(_) | Secret::Hmac(_))) | None => Err(Error::Crypto),
    }
}

fn message(kind: Option<MessageType>, bytes: &[u8]) -> Result<Message<'_>> {
    match kind.unwrap_or(MessageType::Raw) {
        MessageType::Raw => Ok(Message::Raw(bytes)),
        MessageType::Digest => Ok(Message::Digest(bytes)),
        MessageType::ExternalMu => Err(Error::NotImplemented(
            "The message type EXTERNAL_MU is not implemented yet.".to_owned(),
        )),
    }
}
