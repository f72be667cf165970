//! Data keys: secrets for use outside the service, with a copy that only a KMS key opens.

use std::collections::BTreeMap;
use std::sync::Arc;

use kms_api::{
    DataKeyPairSpec, DataKeySpec, EncryptionAlgorithmSpec, GenerateDataKeyInput,
    GenerateDataKeyOutput, GenerateDataKeyPairInput, GenerateDataKeyPairOutput,
    GenerateDataKeyPairWithoutPlaintextInput, GenerateDataKeyPairWithoutPlaintextOutput,
    GenerateDataKeyWithoutPlaintextInput, GenerateDataKeyWithoutPlaintextOutput,
    GenerateRandomInput, GenerateRandomOutput, KeySpec,
};

use crate::asymmetric::{self, Pair};
use crate::encrypt::{dry, material_id, no_recipient, ready, seal};
use crate::error::{Error, Result};
use crate::key::named;
use crate::keyring::Opened;
use crate::{Ctx, spec};

const SYMMETRIC: EncryptionAlgorithmSpec = EncryptionAlgorithmSpec::SymmetricDefault;

/// Makes a data key.
///
/// AWS: GenerateDataKey.
///
/// # Errors
///
/// Those of Encrypt.
pub(crate) async fn generate_data_key(
    ctx: Ctx,
    input: GenerateDataKeyInput,
) -> Result<GenerateDataKeyOutput> {
    crate::grant::check_tokens(&ctx, &input.grant_tokens)?;
    no_recipient(input.recipient.is_some())?;
    let length = length(input.key_spec, input.number_of_bytes)?;
    let opened =
        wrapping(&ctx, &input.key_id, &input.encryption_context, "GenerateDataKey").await?;
    dry(input.dry_run)?;
    let plain = random(&ctx, length);
    let sealed = seal(&ctx, &opened, SYMMETRIC, &input.encryption_context, &plain)?;
    Ok(GenerateDataKeyOutput {
        ciphertext_blob: Some(sealed.into()),
        plaintext: Some(plain.into()),
        key_id: Some(opened.key.arn.clone()),
        ciphertext_for_recipient: None,
        key_material_id: material_id(&opened, opened.key.current),
    })
}

/// Makes a data key that is shown encrypted only.
///
/// AWS: GenerateDataKeyWithoutPlaintext.
///
/// # Errors
///
/// Those of Encrypt.
pub(crate) async fn generate_data_key_without_plaintext(
    ctx: Ctx,
    input: GenerateDataKeyWithoutPlaintextInput,
) -> Result<GenerateDataKeyWithoutPlaintextOutput> {
    crate::grant::check_tokens(&ctx, &input.grant_tokens)?;
    let length = length(input.key_spec, input.number_of_bytes)?;
    let operation = "GenerateDataKeyWithoutPlaintext";
    let opened = wrapping(&ctx, &input.key_id, &input.encryption_context, operation).await?;
    dry(input.dry_run)?;
    let plain = random(&ctx, length);
    let sealed = seal(&ctx, &opened, SYMMETRIC, &input.encryption_context, &plain)?;
    Ok(GenerateDataKeyWithoutPlaintextOutput {
        ciphertext_blob: Some(sealed.into()),
        key_id: Some(opened.key.arn.clone()),
        key_material_id: material_id(&opened, opened.key.current),
    })
}

/// Makes a pair of data keys.
///
/// AWS: GenerateDataKeyPair.
///
/// # Errors
///
/// Those of Encrypt; [`Error::UnsupportedOperation`] for pairs that are not here.
pub(crate) async fn generate_data_key_pair(
    ctx: Ctx,
    input: GenerateDataKeyPairInput,
) -> Result<GenerateDataKeyPairOutput> {
    crate::grant::check_tokens(&ctx, &input.grant_tokens)?;
    no_recipient(input.recipient.is_some())?;
    let context = &input.encryption_context;
    let opened = wrapping(&ctx, &input.key_id, context, "GenerateDataKeyPair").await?;
    let pair = pair(input.key_pair_spec, input.dry_run).await?;
    let sealed = seal(&ctx, &opened, SYMMETRIC, context, &pair.private)?;
    Ok(GenerateDataKeyPairOutput {
        private_key_ciphertext_blob: Some(sealed.into()),
        private_key_plaintext: Some(pair.private.into()),
        public_key: Some(pair.public.into()),
        key_id: Some(opened.key.arn.clone()),
        key_pair_spec: Some(input.key_pair_spec),
        ciphertext_for_recipient: None,
        key_material_id: material_id(&opened, opened.key.current),
    })
}

/// Makes a pair of data keys whose private half is shown encrypted only.
///
/// AWS: GenerateDataKeyPairWithoutPlaintext.
///
/// # Errors
///
/// Those of GenerateDataKeyPair.
pub(crate) async fn generate_data_key_pair_without_plaintext(
    ctx: Ctx,
    input: GenerateDataKeyPairWithoutPlaintextInput,
) -> Result<GenerateDataKeyPairWithoutPlaintextOutput> {
    crate::grant::check_tokens(&ctx, &input.grant_tokens)?;
    let context = &input.encryption_context;
    let operation = "GenerateDataKeyPairWithoutPlaintext";
    let opened = wrapping(&ctx, &input.key_id, context, operation).await?;
    let pair = pair(input.key_pair_spec, input.dry_run).await?;
    let sealed = seal(&ctx, &opened, SYMMETRIC, context, &pair.private)?;
    Ok(GenerateDataKeyPairWithoutPlaintextOutput {
        private_key_ciphertext_blob: Some(sealed.into()),
        public_key: Some(pair.public.into()),
        key_id: Some(opened.key.arn.clone()),
        key_pair_spec: Some(input.key_pair_spec),
        key_material_id: material_id(&opened, opened.key.current),
    })
}

/// Gives random bytes.
///
/// AWS: GenerateRandom.
///
/// # Errors
///
/// [`Error::Validation`] without a number of bytes, [`Error::CustomKeyStoreNotFound`].
pub(crate) async fn generate_random(
    ctx: Ctx,
    input: GenerateRandomInput,
) -> Result<GenerateRandomOutput> {
    no_recipient(input.recipient.is_some())?;
    if let Some(id) = input.custom_key_store_id {
        return Err(Error::CustomKeyStoreNotFound(format!(
            "Custom key store {id} is not found: there are no custom key stores in this region."
        )));
    }
    let length = input.number_of_bytes.and_then(|number| usize::try_from(number).ok());
    let length =
        length.ok_or_else(|| Error::Validation("NumberOfBytes must be specified.".to_owned()))?;
    let plaintext = Some(random(&ctx, length).into());
    Ok(GenerateRandomOutput { plaintext, ciphertext_for_recipient: None })
}

struct NewPair {
    private: Vec<u8>,
    public: Vec<u8>,
}

async fn pair(pair_spec: DataKeyPairSpec, dry_run: Option<bool>) -> Result<NewPair> {
    let spec = spec::of_pair(pair_spec);
    spec::family(spec)?;
    dry(dry_run)?;
    let making = tokio::task::spawn_blocking(move || {
        let private = asymmetric::generate(spec)?;
        let public = Pair::open(spec, false, &private).ok_or(Error::Crypto)?.public()?;
        Ok::<_, Error>(NewPair { private, public })
    });
    making.await.map_err(kernel::ServiceError::internal)?
}

/// The symmetric key that a data key is encrypted under.
async fn wrapping(
    ctx: &Ctx,
    id: &str,
    context: &BTreeMap<String, String>,
    operation: &str,
) -> Result<Arc<Opened>> {
    let opened = named(ctx, id).await?;
    if opened.key.spec() != KeySpec::SymmetricDefault {
        crate::key::usable(&opened.key)?;
        return Err(Error::InvalidKeyUsage(format!(
            "{} key spec is {} which is not valid for {operation}.",
            opened.key.arn, opened.key.spec
        )));
    }
    ready(&opened, SYMMETRIC, context, operation)?;
    Ok(opened)
}

fn random(ctx: &Ctx, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    ctx.random().fill(&mut bytes);
    bytes
}

fn length(spec: Option<DataKeySpec>, number: Option<i32>) -> Result<usize> {
    match (spec, number) {
        (Some(DataKeySpec::Aes256), None) => Ok(32),
        (Some(DataKeySpec::Aes128), None) => Ok(16),
        (None, Some(number)) => {
            usize::try_from(number).map_err(|_| Error::Validation("NumberOfBytes".to_owned()))
        }
        (Some(_), Some(_)) | (None, None) => {
            Err(Error::Validation("Please specify either number of bytes or key spec.".to_owned()))
        }
    }
}
