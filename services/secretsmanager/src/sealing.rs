//! Values at rest: each version under a data key of its own, which a KMS key wraps.
//!
//! AWS: "Secret encryption and decryption in AWS Secrets Manager". The calls to KMS are made in
//! the caller's name with the secret's ARN and version as encryption context, so that KMS decides
//! for every reading whether the key is there, enabled, and allowed.

use std::collections::BTreeMap;
use std::sync::Arc;

use base::Random;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kernel::cipher::Cipher;
use kernel::{Kernel, ServiceError};
use kms_api::{DataKeySpec, DecryptInput, GenerateDataKeyInput, error as kms};

use crate::Ctx;
use crate::error::{Error, Result};
use crate::store::Version;
use crate::version::Value;

/// The key that is used when nobody names another.
pub(crate) const OWN_KEY: &str = "alias/aws/secretsmanager";
/// How the service names itself to KMS.
const SERVICE: &str = "secretsmanager.amazonaws.com";

/// A value as a version keeps it.
#[derive(Debug, Clone)]
pub(crate) struct Sealed {
    /// The data key as KMS wrapped it.
    data_key: String,
    sealed: String,
    /// Tells whether a repeated request brings the same value, without KMS.
    digest: String,
    binary: bool,
    /// The KMS key that was named; none for the service's own.
    key: Option<String>,
}

struct KernelRandom(Arc<Kernel>);

impl Random for KernelRandom {
    fn fill(&self, bytes: &mut [u8]) {
        self.0.random().fill(bytes);
    }
}

/// Seals `value` as the version `id` of the secret `arn` under the KMS key `key`.
pub(crate) async fn seal(
    ctx: &Ctx,
    key: Option<&str>,
    arn: &str,
    id: &str,
    value: &Value,
) -> Result<Sealed> {
    let input = GenerateDataKeyInput {
        key_id: key.unwrap_or(OWN_KEY).to_owned(),
        encryption_context: context(arn, id),
        key_spec: Some(DataKeySpec::Aes256),
        ..GenerateDataKeyInput::default()
    };
    let made = ctx.client.via(SERVICE).call(input).await;
    let made = made.map_err(|error| refused(error, Error::EncryptionFailure))?;
    let (plain, wrapped) =
        (made.plaintext.unwrap_or_default(), made.ciphertext_blob.unwrap_or_default());
    let sealed = cipher(ctx, &plain)?.seal(arn, value.bytes());
    Ok(Sealed {
        data_key: STANDARD.encode(wrapped),
        sealed: STANDARD.encode(sealed),
        digest: STANDARD.encode(ctx.drivers.cipher.seal(arn, value.digest().as_bytes())),
        binary: matches!(value, Value::Binary(_)),
        key: key.map(str::to_owned),
    })
}

/// The value that a version holds.
pub(crate) async fn open(ctx: &Ctx, arn: &str, version: &Version) -> Result<Value> {
    let blob = STANDARD.decode(&version.data_key).map_err(ServiceError::internal)?;
    let input = DecryptInput {
        ciphertext_blob: Some(blob.into()),
        encryption_context: context(arn, &version.id),
        ..DecryptInput::default()
    };
    let opened = ctx.client.via(SERVICE).call(input).await;
    let opened = opened.map_err(|error| refused(error, Error::DecryptionFailure))?;
    let sealed = STANDARD.decode(&version.sealed).map_err(ServiceError::internal)?;
    let plain = cipher(ctx, &opened.plaintext.unwrap_or_default())?.open(arn, &sealed);
    Value::from_bytes(plain.map_err(ServiceError::internal)?, version.binary)
}

/// Whether `version` holds `value`.
pub(crate) fn holds(ctx: &Ctx, arn: &str, version: &Version, value: &Value) -> Result<bool> {
    let digest = STANDARD.decode(&version.digest).map_err(ServiceError::internal)?;
    let digest = ctx.drivers.cipher.open(arn, &digest).map_err(ServiceError::internal)?;
    Ok(digest == value.digest().as_bytes())
}

impl Version {
    /// The same value under another key.
    pub(crate) fn seal_anew(&mut self, sealed: &Sealed) {
        self.data_key.clone_from(&sealed.data_key);
        self.sealed.clone_from(&sealed.sealed);
        self.digest.clone_from(&sealed.digest);
        self.key.clone_from(&sealed.key);
    }
}

impl Sealed {
    /// The version `id` with this value.
    pub(crate) fn version(&self, id: &str, created: base::Timestamp) -> Version {
        Version {
            id: id.to_owned(),
            data_key: self.data_key.clone(),
            sealed: self.sealed.clone(),
            digest: self.digest.clone(),
            binary: self.binary,
            key: self.key.clone(),
            stages: std::collections::BTreeSet::new(),
            created,
            accessed: None,
        }
    }
}

fn context(arn: &str, id: &str) -> BTreeMap<String, String> {
    BTreeMap::from([
        ("SecretARN".to_owned(), arn.to_owned()),
        ("SecretVersionId".to_owned(), id.to_owned()),
    ])
}

fn cipher(ctx: &Ctx, key: &[u8]) -> Result<Cipher> {
    let key: [u8; 32] = key.try_into().map_err(ServiceError::internal)?;
    Ok(Cipher::new(key, Arc::new(KernelRandom(ctx.kernel().clone()))))
}

/// What the caller is told when KMS refuses.
fn refused(error: ServiceError, failure: fn(String) -> Error) -> Error {
    if error.code == "AccessDeniedException" {
        return Error::KmsDenied;
    }
    let known = [
        kms::NOT_FOUND_EXCEPTION,
        kms::DISABLED_EXCEPTION,
        kms::KMS_INVALID_STATE_EXCEPTION,
        kms::INVALID_KEY_USAGE_EXCEPTION,
        kms::INVALID_CIPHERTEXT_EXCEPTION,
        kms::KEY_UNAVAILABLE_EXCEPTION,
    ];
    if known.contains(&error.code.as_str()) { failure(error.message) } else { Error::Inside(error) }
}
