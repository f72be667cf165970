//! `SecureString` values: what KMS makes of them.
//!
//! AWS: "How AWS Systems Manager Parameter Store uses AWS KMS". A value of the standard tier is
//! encrypted by KMS itself; one of the advanced tier may be longer than KMS encrypts, and is sealed
//! under a data key of its own. The calls are made in the caller's name, with the parameter's ARN
//! as encryption context.

use std::collections::BTreeMap;
use std::sync::Arc;

use base::Random;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kernel::cipher::Cipher;
use kernel::{Kernel, ServiceError};
use kms_api::{DataKeySpec, DecryptInput, EncryptInput, GenerateDataKeyInput, error as kms};
use ssm_api::{ParameterTier, ParameterType};

use crate::Ctx;
use crate::error::{Error, Result};
use crate::query::arn;
use crate::store::Version;

/// The key that is used when nobody names another.
pub(crate) const OWN_KEY: &str = "alias/aws/ssm";
/// How the service names itself to KMS.
const SERVICE: &str = "ssm.amazonaws.com";

/// A value as a version keeps it.
pub(crate) struct Sealed {
    pub(crate) value: String,
    /// The data key as KMS wrapped it, for the advanced tier.
    pub(crate) data_key: Option<String>,
}

struct KernelRandom(Arc<Kernel>);

impl Random for KernelRandom {
    fn fill(&self, bytes: &mut [u8]) {
        self.0.random().fill(bytes);
    }
}

/// Seals `value` for the parameter `name` under the KMS key `key`.
pub(crate) async fn seal(
    ctx: &Ctx,
    name: &str,
    key: &str,
    tier: ParameterTier,
    value: &str,
) -> Result<Sealed> {
    let client = ctx.client.via(SERVICE);
    if tier == ParameterTier::Standard {
        let input = EncryptInput {
            key_id: key.to_owned(),
            plaintext: value.to_owned().into(),
            encryption_context: context(ctx, name),
            ..EncryptInput::default()
        };
        let blob = client.call(input).await.map_err(refused)?.ciphertext_blob.unwrap_or_default();
        return Ok(Sealed { value: STANDARD.encode(blob), data_key: None });
    }
    let input = GenerateDataKeyInput {
        key_id: key.to_owned(),
        encryption_context: context(ctx, name),
        key_spec: Some(DataKeySpec::Aes256),
        ..GenerateDataKeyInput::default()
    };
    let made = client.call(input).await.map_err(refused)?;
    let cipher = cipher(ctx, &made.plaintext.unwrap_or_default())?;
    Ok(Sealed {
        value: STANDARD.encode(cipher.seal(&arn(ctx, name), value.as_bytes())),
        data_key: Some(STANDARD.encode(made.ciphertext_blob.unwrap_or_default())),
    })
}

/// The value of a version, opened when asked to.
pub(crate) async fn value_of(
    ctx: &Ctx,
    name: &str,
    version: &Version,
    open: bool,
) -> Result<String> {
    if version.kind != ParameterType::SecureString.as_str() || !open {
        return Ok(version.value.clone());
    }
    let wrapped = version.data_key.as_ref().unwrap_or(&version.value);
    let blob = STANDARD.decode(wrapped).map_err(ServiceError::internal)?;
    let input = DecryptInput {
        ciphertext_blob: Some(blob.into()),
        encryption_context: context(ctx, name),
        ..DecryptInput::default()
    };
    let opened = ctx.client.via(SERVICE).call(input).await.map_err(refused)?;
    let mut plain = opened.plaintext.unwrap_or_default().to_vec();
    if version.data_key.is_some() {
        let sealed = STANDARD.decode(&version.value).map_err(ServiceError::internal)?;
        plain =
            cipher(ctx, &plain)?.open(&arn(ctx, name), &sealed).map_err(ServiceError::internal)?;
    }
    String::from_utf8(plain).map_err(|error| ServiceError::internal(error).into())
}

fn context(ctx: &Ctx, name: &str) -> BTreeMap<String, String> {
    BTreeMap::from([("PARAMETER_ARN".to_owned(), arn(ctx, name))])
}

fn cipher(ctx: &Ctx, key: &[u8]) -> Result<Cipher> {
    let key: [u8; 32] = key.try_into().map_err(ServiceError::internal)?;
    Ok(Cipher::new(key, Arc::new(KernelRandom(ctx.kernel().clone()))))
}

/// What the caller is told when KMS refuses: that it may not, or that the key is of no use.
fn refused(error: ServiceError) -> Error {
    let known = [
        kms::NOT_FOUND_EXCEPTION,
        kms::DISABLED_EXCEPTION,
        kms::KMS_INVALID_STATE_EXCEPTION,
        kms::INVALID_KEY_USAGE_EXCEPTION,
        kms::INVALID_CIPHERTEXT_EXCEPTION,
        kms::KEY_UNAVAILABLE_EXCEPTION,
    ];
    if known.contains(&error.code.as_str()) {
        return Error::InvalidKeyId(error.message);
    }
    Error::Inside(error)
}
