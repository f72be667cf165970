//! Encryption under keys that are not the store's: those that clients bring along (SSE-C) and data
//! keys of KMS (SSE-KMS, DSSE-KMS). The store seals every blob by itself; what is here goes under
//! that seal, so that without the key nobody reads the bytes. The cipher is AES-256 in counter
//! mode, which can begin anywhere; integrity is the store's. DSSE applies it twice.
//!
//! The counter's start is the entity tag of the object or part: sixteen random bytes, as entity
//! tags of such objects are no digests anyway.
//!
//! AWS: "Using server-side encryption with customer-provided keys (SSE-C)", "Using server-side
//! encryption with AWS KMS keys (SSE-KMS)".

use std::collections::BTreeMap;

use aws_lc_rs::cipher::{AES_256, EncryptionContext, StreamingEncryptingKey, UnboundCipherKey};
use aws_lc_rs::hmac;
use aws_lc_rs::iv::FixedLength;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kernel::ServiceError;
use kms_api::{DataKeySpec, DecryptInput, GenerateDataKeyInput};
use md5::{Digest, Md5};
use policy::Principal;
use s3_api::ServerSideEncryption;
use serde::{Deserialize, Serialize};

use crate::Ctx;
use crate::admission::arn_of;
use crate::error::{Error, Result};
use crate::store::Bucket;
use crate::upload::hex;

/// What AWS calls the only algorithm of such keys.
pub(crate) const ALGORITHM: &str = "AES256";
const BLOCK: u64 = 16;

/// How an object's bytes are encrypted beside the store's own seal.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Sse {
    /// Not at all.
    #[default]
    Store,
    /// Under a key that the client brings each time.
    Customer {
        /// Salts the check, in hexadecimal digits.
        salt: String,
        /// Tells the right key from others without telling the key.
        check: String,
    },
    /// Under a data key that KMS opens.
    Kms(Kms),
}

/// A data key of KMS, sealed, and what it was asked for with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Kms {
    /// Bytes are encrypted twice.
    pub(crate) twice: bool,
    /// The key's ARN.
    pub(crate) key: String,
    /// The client's encryption context.
    context: BTreeMap<String, String>,
    /// The context names the bucket rather than the object.
    pub(crate) bucket_key: bool,
    /// The sealed data key, in base64.
    sealed: String,
}

/// How a request wants its object encrypted.
#[derive(Clone, Default)]
pub(crate) struct Asked {
    pub(crate) algorithm: Option<ServerSideEncryption>,
    pub(crate) key: Option<String>,
    pub(crate) context: Option<String>,
    pub(crate) bucket_key: Option<bool>,
    pub(crate) customer: Option<Customer>,
}

/// A key that a request brought, and its digest as the answer repeats it.
#[derive(Clone)]
pub(crate) struct Customer {
    key: Key,
    pub(crate) md5: String,
}

/// A key of AES-256, and a second one where bytes are encrypted twice.
#[derive(Clone)]
pub(crate) struct Key([u8; 32], Option<[u8; 32]>);

/// What bytes are encrypted with on their way into a blob.
#[derive(Clone)]
pub(crate) struct Seal {
    key: Key,
    pub(crate) start: [u8; 16],
}

impl std::fmt::Debug for Seal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Seal")
    }
}

/// The key that the three headers of an input bring.
macro_rules! customer_of {
    ($input:expr) => {
        $crate::sse::Customer::read(
            $input.sse_customer_algorithm.as_deref(),
            $input.sse_customer_key.as_deref(),
            $input.sse_customer_key_md5.as_deref(),
        )
    };
}
pub(crate) use customer_of;

/// How an input wants its object encrypted.
macro_rules! asked_of {
    ($input:expr) => {
        $crate::sse::customer_of!($input).map(|customer| $crate::sse::Asked {
            algorithm: $input.server_side_encryption,
            key: $input.ssekms_key_id.clone(),
            context: $input.ssekms_encryption_context.clone(),
            bucket_key: $input.bucket_key_enabled,
            customer,
        })
    };
}
pub(crate) use asked_of;

/// The key of the source of a copy.
macro_rules! source_customer_of {
    ($input:expr) => {
        $crate::sse::Customer::read(
            $input.copy_source_sse_customer_algorithm.as_deref(),
            $input.copy_source_sse_customer_key.as_deref(),
            $input.copy_source_sse_customer_key_md5.as_deref(),
        )
    };
}
pub(crate) use source_customer_of;

/// Tells in an answer how the object is encrypted.
macro_rules! show_sse {
    ($output:expr, $sse:expr, $customer:expr) => {
        if let $crate::sse::Sse::Kms(kms) = &$sse {
            $output.server_side_encryption = Some(kms.algorithm());
            $output.ssekms_key_id = Some(kms.key.clone());
            $output.bucket_key_enabled = kms.bucket_key.then_some(true);
        }
        if let Some(customer) = &$customer {
            $output.server_side_encryption = None;
            $output.sse_customer_algorithm = Some($crate::sse::ALGORITHM.to_owned());
            $output.sse_customer_key_md5 = Some(customer.md5.clone());
        }
    };
}
pub(crate) use show_sse;

const WITH: &str = "Requests specifying Server Side Encryption with Customer provided keys must";

impl Customer {
    /// The key of a request, if it brings one.
    pub(crate) fn read(
        algorithm: Option<&str>,
        key: Option<&str>,
        md5: Option<&str>,
    ) -> Result<Option<Self>> {
        if algorithm.is_none() && key.is_none() && md5.is_none() {
            return Ok(None);
        }
        let wrong =
            |name: &'static str, value: &str, text: String| Err(Error::argument(name, value, text));
        let prefix = "x-amz-server-side-encryption";
        if algorithm.is_none_or(|algorithm| algorithm != ALGORITHM) {
            let text = format!("{WITH} provide a valid encryption algorithm.");
            return wrong(prefix, algorithm.unwrap_or("null"), text);
        }
        let Some(key) = key else {
            return wrong(prefix, "null", format!("{WITH} provide an appropriate secret key."));
        };
        let Some(md5) = md5 else {
            let text = format!("{WITH} provide the client calculated MD5 of the secret key.");
            return wrong(prefix, "null", text);
        };
        let bytes = STANDARD.decode(key.trim()).ok();
        let Some(bytes) = bytes.and_then(|bytes| <[u8; 32]>::try_from(bytes).ok()) else {
            let text = "The secret key was invalid for the specified algorithm.";
            return wrong(prefix, "null", text.to_owned());
        };
        if STANDARD.encode(Md5::digest(bytes)) != md5.trim() {
            let text = "The calculated MD5 hash of the key did not match the hash that was \
                        provided.";
            return wrong(prefix, "null", text.to_owned());
        }
        Ok(Some(Self { key: Key(bytes, None), md5: md5.trim().to_owned() }))
    }

    fn check(&self, salt: &str) -> String {
        let key = hmac::Key::new(hmac::HMAC_SHA256, salt.as_bytes());
        hex(hmac::sign(&key, &self.key.0).as_ref())
    }
}

impl Key {
    /// `data`, which begins at `offset` of the whole, encrypted or decrypted.
    pub(crate) fn apply(&self, start: &[u8; 16], offset: u64, data: &[u8]) -> Result<Vec<u8>> {
        let once = Self::layer(&self.0, start, offset, data)?;
        match &self.1 {
            None => Ok(once),
            Some(second) => Self::layer(second, &start.map(|byte| !byte), offset, &once),
        }
    }

    fn layer(key: &[u8; 32], start: &[u8; 16], offset: u64, data: &[u8]) -> Result<Vec<u8>> {
        let failed = |_| Error::Inside(ServiceError::internal("a cipher failed"));
        let block = u128::from(offset / BLOCK);
        let counter = u128::from_be_bytes(*start).wrapping_add(block).to_be_bytes();
        let key = UnboundCipherKey::new(&AES_256, key).map_err(failed)?;
        let context = EncryptionContext::Iv128(FixedLength::from(counter));
        let mut cipher = StreamingEncryptingKey::less_safe_ctr(key, context).map_err(failed)?;
        let skipped = usize::try_from(offset % BLOCK).unwrap_or_default();
        if skipped > 0 {
            let mut unused = [0; 32];
            let zeroes = [0; 16];
            let head = zeroes.get(..skipped).unwrap_or_default();
            cipher.update(head, &mut unused).map_err(failed)?;
        }
        let mut out = vec![0; data.len() + 16];
        cipher.update(data, &mut out).map_err(failed)?;
        out.truncate(data.len());
        Ok(out)
    }
}

impl Seal {
    /// `data`, which begins at `offset`, as it goes into the blob.
    pub(crate) fn apply(&self, offset: u64, data: &[u8]) -> Result<Vec<u8>> {
        self.key.apply(&self.start, offset, data)
    }
}

impl Kms {
    /// `aws:kms` or `aws:kms:dsse`.
    pub(crate) fn algorithm(&self) -> ServerSideEncryption {
        match self.twice {
            true => ServerSideEncryption::AwsKmsDsse,
            false => ServerSideEncryption::AwsKms,
        }
    }

    /// What the data key is bound to.
    fn bound_to(&self, bucket: &str, key: &str) -> BTreeMap<String, String> {
        let mut context = self.context.clone();
        let key = (!self.bucket_key).then_some(key);
        context.insert("aws:s3:arn".to_owned(), arn_of(bucket, key));
        context
    }

    fn key_of(&self, plain: &[u8]) -> Result<Key> {
        let first = <[u8; 32]>::try_from(plain);
        let first = first.map_err(|_| inside("KMS gave a data key of another length"))?;
        let second = self.twice.then(|| {
            let derived = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &first), b"second layer");
            <[u8; 32]>::try_from(derived.as_ref()).unwrap_or(first)
        });
        Ok(Key(first, second))
    }
}

fn inside(text: &str) -> Error {
    Error::Inside(ServiceError::internal(text))
}

/// What KMS refuses, as S3 passes it on.
fn of_kms(error: ServiceError) -> Error {
    if error.status >= 500 {
        return Error::Inside(error);
    }
    match error.code.as_str() {
        "AccessDeniedException" => Error::AccessDenied(error.message),
        code => Error::Inside(ServiceError::new(format!("KMS.{code}"), error.message).status(400)),
    }
}

/// How a new object is encrypted, as asked or by the bucket's default, and with which key.
pub(crate) async fn choose(
    ctx: &Ctx,
    bucket: &Bucket,
    key: &str,
    asked: &Asked,
) -> Result<(Sse, Option<Key>)> {
    if let Some(customer) = &asked.customer {
        return by_customer(ctx, bucket, customer, asked.algorithm.is_some());
    }
    let default = bucket.encryption.algorithm.as_deref();
    let default = default.and_then(|name| name.parse().ok());
    let algorithm = asked.algorithm.or(default).unwrap_or(ServerSideEncryption::Aes256);
    let named = asked.key.is_some() || asked.context.is_some();
    let twice = match algorithm {
        ServerSideEncryption::AwsKms => false,
        ServerSideEncryption::AwsKmsDsse => true,
        ServerSideEncryption::AwsFsx | ServerSideEncryption::AwsBackup => {
            return Err(Error::NotImplemented("x-amz-server-side-encryption"));
        }
        ServerSideEncryption::Aes256 if !named => return Ok((Sse::Store, None)),
        ServerSideEncryption::Aes256 => {
            let text = "Server Side Encryption with AWS KMS managed key requires HTTP header \
                        x-amz-server-side-encryption : aws:kms or aws:kms:dsse";
            return Err(Error::argument("x-amz-server-side-encryption", "null", text));
        }
    };
    // A key of the bucket's default stands where the request names none of its own.
    let own = asked.key.clone().or_else(|| bucket.encryption.kms_key.clone());
    let mut kms = Kms {
        twice,
        key: own.unwrap_or_else(|| "alias/aws/s3".to_owned()),
        context: context_of(asked.context.as_deref())?,
        bucket_key: !twice && asked.bucket_key.unwrap_or(bucket.encryption.bucket_key_enabled),
        sealed: String::new(),
    };
    let input = GenerateDataKeyInput {
        key_id: kms.key.clone(),
        encryption_context: kms.bound_to(&bucket.name, key),
        key_spec: Some(DataKeySpec::Aes256),
        ..GenerateDataKeyInput::default()
    };
    let output = ctx.client.call(input).await.map_err(of_kms)?;
    let plain = output.plaintext.ok_or_else(|| inside("KMS gave no data key"))?;
    let sealed = output.ciphertext_blob.ok_or_else(|| inside("KMS gave no data key"))?;
    kms.sealed = STANDARD.encode(&sealed);
    kms.key = output.key_id.unwrap_or(kms.key);
    let key = kms.key_of(&plain)?;
    Ok((Sse::Kms(kms), Some(key)))
}

/// The encryption context of a header: a JSON object of texts, in base64.
fn context_of(header: Option<&str>) -> Result<BTreeMap<String, String>> {
    let Some(header) = header else { return Ok(BTreeMap::new()) };
    let bytes = STANDARD.decode(header.trim()).ok();
    let read = bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok());
    read.ok_or_else(|| {
        let text = "The header 'x-amz-server-side-encryption-context' shall be Base64-encoded \
                    UTF-8 string holding JSON which represents a string-string map";
        Error::argument("x-amz-server-side-encryption-context", header, text)
    })
}

fn by_customer(
    ctx: &Ctx,
    bucket: &Bucket,
    customer: &Customer,
    other: bool,
) -> Result<(Sse, Option<Key>)> {
    if other {
        let text = "Server Side Encryption with Customer provided key is incompatible with the \
                    encryption method specified";
        return Err(Error::argument("x-amz-server-side-encryption", "AES256", text));
    }
    if bucket.encryption.blocked_types.iter().any(|kind| kind == "SSE-C") {
        return Err(Error::denied());
    }
    let mut salt = [0; 16];
    ctx.random().fill(&mut salt);
    let salt = hex(&salt);
    let check = customer.check(&salt);
    Ok((Sse::Customer { salt, check }, Some(customer.key.clone())))
}

/// The seal for one object or part, if there is a key.
pub(crate) fn seal(ctx: &Ctx, key: Option<&Key>) -> Option<Seal> {
    let mut start = [0; 16];
    ctx.random().fill(&mut start);
    key.map(|key| Seal { key: key.clone(), start })
}

/// Refuses who does not bring the key that what is encrypted as `sse` needs, or brings one for
/// nothing.
pub(crate) fn check(sse: &Sse, customer: Option<&Customer>) -> Result<()> {
    let wrong = |text: &str| Err(Error::InvalidRequest(text.to_owned()));
    match (sse, customer) {
        (Sse::Store | Sse::Kms(_), None) => Ok(()),
        (Sse::Store | Sse::Kms(_), Some(_)) => {
            wrong("The encryption parameters are not applicable to this object.")
        }
        (Sse::Customer { .. }, None) => wrong(
            "The object was stored using a form of Server Side Encryption. The correct parameters \
             must be provided to retrieve the object.",
        ),
        (Sse::Customer { salt, check }, Some(customer)) => match customer.check(salt) == *check {
            true => Ok(()),
            false => Err(Error::denied()),
        },
    }
}

/// The key that opens what is encrypted as `sse` under this bucket and key.
pub(crate) async fn unlock(
    ctx: &Ctx,
    sse: &Sse,
    (bucket, key): (&str, &str),
    customer: Option<&Customer>,
) -> Result<Option<Key>> {
    let kms = match sse {
        Sse::Store => return Ok(None),
        Sse::Customer { .. } => return Ok(customer.map(|customer| customer.key.clone())),
        Sse::Kms(kms) => kms,
    };
    if let Principal::Anonymous = ctx.caller.principal {
        let text = "Requests specifying Server Side Encryption with AWS KMS managed keys require \
                    AWS Signature Version 4.";
        return Err(Error::argument("Authorization", "null", text));
    }
    let sealed = STANDARD.decode(&kms.sealed).map_err(|_| inside("a sealed key is damaged"))?;
    let input = DecryptInput {
        ciphertext_blob: Some(sealed.into()),
        encryption_context: kms.bound_to(bucket, key),
        key_id: Some(kms.key.clone()),
        ..DecryptInput::default()
    };
    let output = ctx.client.call(input).await.map_err(of_kms)?;
    let plain = output.plaintext.ok_or_else(|| inside("KMS opened no data key"))?;
    kms.key_of(&plain).map(Some)
}

/// Whether a part may come with this key, or without one.
pub(crate) fn check_part(sse: &Sse, customer: Option<&Customer>) -> Result<()> {
    let wrong = |text: &str| Err(Error::InvalidRequest(text.to_owned()));
    match (sse, customer) {
        (Sse::Store | Sse::Kms(_), None) => Ok(()),
        (Sse::Customer { .. }, None) => wrong(
            "The multipart upload initiate requested encryption. Subsequent part requests must \
             include the appropriate encryption parameters.",
        ),
        (Sse::Store | Sse::Kms(_), Some(_)) => wrong(
            "The multipart upload initiate did not request encryption. Please resend the request \
             without sending encryption parameters.",
        ),
        (Sse::Customer { salt, check }, Some(customer)) => match customer.check(salt) == *check {
            true => Ok(()),
            false => {
                wrong("The provided encryption parameters did not match the ones used originally.")
            }
        },
    }
}

/// The counter's start, which an entity tag is.
pub(crate) fn start_of(etag: &str) -> [u8; 16] {
    u128::from_str_radix(etag, 16).unwrap_or_default().to_be_bytes()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Any stretch can be opened by itself.
        #[test]
        fn the_cipher_can_begin_anywhere(
            key: [u8; 32], start: [u8; 16],
            data in proptest::collection::vec(any::<u8>(), 1..200),
            from in 0usize..200, length in 0usize..200,
        ) {
            let key = Key(key, Some([9; 32]));
            let sealed = key.apply(&start, 0, &data).unwrap();
            let from = from.min(data.len());
            let until = (from + length).min(data.len());
            let opened = key.apply(&start, from as u64, &sealed[from..until]).unwrap();
            prop_assert_eq!(opened.as_slice(), &data[from..until]);
            prop_assert_eq!(start_of(&hex(&start)), start);
        }

        #[test]
        fn no_header_panics(a in ".{0,10}", k in ".{0,50}", m in ".{0,30}") {
            prop_assert!(Customer::read(Some(&a), Some(&k), Some(&m)).is_err());
        }
    }
}
