//! Encrypting and decrypting.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use kms_api::{
    DecryptInput, DecryptOutput, EncryptInput, EncryptOutput, EncryptionAlgorithmSpec, KeySpec,
    KeyUsageType, ReEncryptInput, ReEncryptOutput,
};

use crate::error::{Error, Result};
use crate::key::{named, usable};
use crate::keyring::{Opened, Secret, arn_of};
use crate::{Ctx, blob, spec};

/// The longest encryption context, as the sum of its texts.
///
/// AWS: "Encryption context"; the limit is that of the request's JSON.
const CONTEXT_BYTES_MAX: usize = 8192;

/// Encrypts up to 4096 bytes.
///
/// AWS: Encrypt.
///
/// # Errors
///
/// [`Error::NotFound`], [`Error::Disabled`], [`Error::InvalidState`], [`Error::InvalidKeyUsage`],
/// [`Error::InvalidGrantToken`], [`Error::DryRun`].
pub(crate) async fn encrypt(ctx: Ctx, input: EncryptInput) -> Result<EncryptOutput> {
    crate::grant::check_tokens(&ctx, &input.grant_tokens)?;
    let opened = named(&ctx, &input.key_id).await?;
    let algorithm = algorithm(input.encryption_algorithm);
    ready(&opened, algorithm, &input.encryption_context, "Encrypt")?;
    dry(input.dry_run)?;
    let sealed = seal(&ctx, &opened, algorithm, &input.encryption_context, &input.plaintext)?;
    Ok(EncryptOutput {
        ciphertext_blob: Some(sealed.into()),
        key_id: Some(opened.key.arn.clone()),
        encryption_algorithm: Some(algorithm),
    })
}

/// Decrypts.
///
/// AWS: Decrypt.
///
/// # Errors
///
/// [`Error::InvalidCiphertext`], [`Error::IncorrectKey`], [`Error::NotFound`],
/// [`Error::Disabled`], [`Error::InvalidState`], [`Error::InvalidKeyUsage`],
/// [`Error::InvalidGrantToken`], [`Error::DryRun`].
pub(crate) async fn decrypt(ctx: Ctx, input: DecryptInput) -> Result<DecryptOutput> {
    crate::grant::check_tokens(&ctx, &input.grant_tokens)?;
    no_recipient(input.recipient.is_some())?;
    if !input.dry_run_modifiers.is_empty() {
        return Err(Error::NotImplemented("DryRunModifiers are not implemented yet.".to_owned()));
    }
    let blob = input
        .ciphertext_blob
        .ok_or_else(|| Error::Validation("The CiphertextBlob parameter is required.".to_owned()))?;
    let algorithm = algorithm(input.encryption_algorithm);
    let (opened, number) = key_of(&ctx, input.key_id.as_deref(), algorithm, &blob).await?;
    ready(&opened, algorithm, &input.encryption_context, "Decrypt")?;
    let plain = open(&opened, algorithm, &input.encryption_context, &blob, number)?;
    dry(input.dry_run)?;
    Ok(DecryptOutput {
        key_id: Some(opened.key.arn.clone()),
        plaintext: Some(plain.into()),
        encryption_algorithm: Some(algorithm),
        ciphertext_for_recipient: None,
        key_material_id: material_id(&opened, number),
    })
}

/// Decrypts and encrypts anew, without the plaintext leaving the service.
///
/// AWS: ReEncrypt.
///
/// # Errors
///
/// Those of Decrypt with the source, and of Encrypt with the destination.
pub(crate) async fn re_encrypt(ctx: Ctx, input: ReEncryptInput) -> Result<ReEncryptOutput> {
    crate::grant::check_tokens(&ctx, &input.grant_tokens)?;
    if !input.dry_run_modifiers.is_empty() {
        return Err(Error::NotImplemented("DryRunModifiers are not implemented yet.".to_owned()));
    }
    let blob = input
        .ciphertext_blob
        .ok_or_else(|| Error::Validation("The CiphertextBlob parameter is required.".to_owned()))?;
    let from = algorithm(input.source_encryption_algorithm);
    let to = algorithm(input.destination_encryption_algorithm);
    let (source, number) = key_of(&ctx, input.source_key_id.as_deref(), from, &blob).await?;
    ready(&source, from, &input.source_encryption_context, "ReEncrypt")?;
    let target = named(&ctx, &input.destination_key_id).await?;
    ready(&target, to, &input.destination_encryption_context, "ReEncrypt")?;
    let plain = open(&source, from, &input.source_encryption_context, &blob, number)?;
    dry(input.dry_run)?;
    let sealed = seal(&ctx, &target, to, &input.destination_encryption_context, &plain)?;
    let current = target.key.current;
    Ok(ReEncryptOutput {
        ciphertext_blob: Some(sealed.into()),
        source_key_id: Some(source.key.arn.clone()),
        key_id: Some(target.key.arn.clone()),
        source_encryption_algorithm: Some(from),
        destination_encryption_algorithm: Some(to),
        source_key_material_id: material_id(&source, number),
        destination_key_material_id: material_id(&target, current),
    })
}

fn algorithm(asked: Option<EncryptionAlgorithmSpec>) -> EncryptionAlgorithmSpec {
    asked.unwrap_or(EncryptionAlgorithmSpec::SymmetricDefault)
}

/// Ends a request that asks only whether it would succeed.
pub(crate) fn dry(dry_run: Option<bool>) -> Result<()> {
    if dry_run == Some(true) { Err(Error::DryRun) } else { Ok(()) }
}

/// Refuses to encrypt an answer for an enclave: there are none here that could attest.
pub(crate) fn no_recipient(present: bool) -> Result<()> {
    if present {
        let text = "Recipient is not implemented: there are no attested enclaves here.";
        return Err(Error::NotImplemented(text.to_owned()));
    }
    Ok(())
}

/// Refuses a key that cannot do this now, or not at all.
pub(crate) fn ready(
    opened: &Opened,
    algorithm: EncryptionAlgorithmSpec,
    context: &BTreeMap<String, String>,
    operation: &str,
) -> Result<()> {
    let key = &opened.key;
    usable(key)?;
    usage(opened, KeyUsageType::EncryptDecrypt, operation)?;
    let symmetric = key.spec() == KeySpec::SymmetricDefault;
    if !spec::encryption(key.spec(), key.usage()).contains(&algorithm) {
        return Err(Error::InvalidKeyUsage(format!(
            "Algorithm {algorithm} is incompatible with key spec {}.",
            key.spec
        )));
    }
    if !symmetric && !context.is_empty() {
        return Err(Error::Validation(
            "You cannot specify an encryption context with an asymmetric KMS key.".to_owned(),
        ));
    }
    let length: usize = context.iter().map(|(key, value)| key.len() + value.len()).sum();
    if length > CONTEXT_BYTES_MAX {
        return Err(Error::Validation(format!(
            "The encryption context cannot be longer than {CONTEXT_BYTES_MAX} bytes."
        )));
    }
    Ok(())
}

/// Refuses a key that is for something else.
pub(crate) fn usage(opened: &Opened, wanted: KeyUsageType, operation: &str) -> Result<()> {
    if opened.key.usage() == wanted {
        return Ok(());
    }
    Err(Error::InvalidKeyUsage(format!(
        "{} key usage is {} which is not valid for {operation}.",
        opened.key.arn, opened.key.usage
    )))
}

/// The key that a ciphertext is for, and the number of the material where it tells.
async fn key_of(
    ctx: &Ctx,
    named_as: Option<&str>,
    algorithm: EncryptionAlgorithmSpec,
    ciphertext: &[u8],
) -> Result<(Arc<Opened>, Option<u32>)> {
    if algorithm != EncryptionAlgorithmSpec::SymmetricDefault {
        let id = named_as.ok_or_else(|| {
            Error::Validation(
                "You must specify a KeyId to decrypt with an asymmetric KMS key.".to_owned(),
            )
        })?;
        return Ok((named(ctx, id).await?, None));
    }
    let asked = match named_as {
        Some(id) => Some(named(ctx, id).await?),
        None => None,
    };
    if let Some(asked) = &asked {
        // A key of the wrong kind is told before the ciphertext is looked at.
        ready(asked, algorithm, &BTreeMap::new(), "Decrypt")?;
    }
    let header = blob::header(ciphertext).ok_or(Error::InvalidCiphertext)?;
    let arn = arn_of(&ctx.region, &header.account, &header.key_id);
    let opened = match asked {
        Some(asked) if asked.key.arn == arn => asked,
        Some(_) => return Err(Error::IncorrectKey),
        None => match named(ctx, &arn).await {
            Err(Error::NotFound(_)) => return Err(Error::InvalidCiphertext),
            found => found?,
        },
    };
    Ok((opened, Some(header.material)))
}

/// The ARN of the key that a symmetric ciphertext names.
pub(crate) fn arn_in(ctx: &Ctx, ciphertext: &[u8]) -> Option<String> {
    let header = blob::header(ciphertext)?;
    Some(arn_of(&ctx.region, &header.account, &header.key_id))
}

/// The id of a symmetric key's material.
pub(crate) fn material_id(opened: &Opened, number: Option<u32>) -> Option<String> {
    if opened.key.spec() != KeySpec::SymmetricDefault {
        return None;
    }
    Some(opened.key.material(number?)?.id.clone())
}

/// Encrypts under the key's current material.
pub(crate) fn seal(
    ctx: &Ctx,
    opened: &Opened,
    algorithm: EncryptionAlgorithmSpec,
    context: &BTreeMap<String, String>,
    plain: &[u8],
) -> Result<Vec<u8>> {
    match opened.current() {
        Some((number, Secret::Symmetric(key))) => {
            let header = blob::Header {
                account: opened.key.account.clone(),
                key_id: opened.key.id.clone(),
                material: number,
            };
            blob::seal(key, &header, context, plain, ctx.random())
        }
        Some((_, Secret::Pair(pair))) => pair.encrypt(algorithm, plain),
        Some((_, Secret::Hmac(_))) | None => Err(Error::Crypto),
    }
}

fn open(
    opened: &Opened,
    algorithm: EncryptionAlgorithmSpec,
    context: &BTreeMap<String, String>,
    ciphertext: &Bytes,
    number: Option<u32>,
) -> Result<Vec<u8>> {
    let secret = match number {
        Some(number) => opened.secret(number),
        None => opened.current().map(|(_, secret)| secret),
    };
    match secret {
        Some(Secret::Symmetric(key)) => blob::open(key, ciphertext, context),
        Some(Secret::Pair(pair)) => pair.decrypt(algorithm, ciphertext),
        Some(Secret::Hmac(_)) | None => Err(Error::InvalidCiphertext),
    }
}
