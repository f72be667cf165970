//! The ciphertext of symmetric keys: a versioned header that names account, key and material,
//! then AES-256-GCM.
//!
//! ```text
//! 1  version, 0x01
//! 1  flags: bit 0, the key is a multi-Region key
//! 8  account, big-endian
//! 16 key id
//! 4  number of the material, big-endian
//! 16 salt
//! 12 nonce
//! …  ciphertext and tag
//! ```
//!
//! Every message has a key of its own, HMAC-SHA-256 of the salt under the key's material, so that
//! random nonces stay safe however many messages a key encrypts. The header and the encryption
//! context are additional data: a blob whose header is changed, or that is opened in another
//! context, does not open.
//!
//! AWS: "Encryption context", "AWS KMS Cryptographic Details", Encrypt.

use std::collections::BTreeMap;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::hmac;
use base::Random;

use crate::error::{Error, Result};

const VERSION: u8 = 1;
const MULTI_REGION: u8 = 1;
const SALT_BYTES: usize = 16;
/// Version, flags, account, key id, material number.
const NAME_BYTES: usize = 1 + 1 + 8 + 16 + 4;
const HEADER_BYTES: usize = NAME_BYTES + SALT_BYTES;
/// What the derived keys are for.
const PURPOSE: &[u8] = b"skyhold kms ciphertext 1";

/// What a ciphertext's header says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) account: String,
    pub(crate) key_id: String,
    pub(crate) material: u32,
}

/// Encrypts `plain` under the material `key`.
pub(crate) fn seal(
    key: &hmac::Key,
    header: &Header,
    context: &BTreeMap<String, String>,
    plain: &[u8],
    random: &dyn Random,
) -> Result<Vec<u8>> {
    let mut salt = [0; SALT_BYTES];
    random.fill(&mut salt);
    let mut nonce = [0; NONCE_LEN];
    random.fill(&mut nonce);
    let mut out = name(header)?;
    out.extend_from_slice(&salt);
    let additional = additional(&out, context);
    let mut body = plain.to_vec();
    message_key(key, &salt)?.seal_in_place_append_tag(
        Nonce::assume_unique_for_key(nonce),
        Aad::from(additional),
        &mut body,
    )?;
    out.extend_from_slice(&nonce);
    out.append(&mut body);
    Ok(out)
}

/// Decrypts a blob under the material `key`, whose number its header gave.
///
/// # Errors
///
/// [`Error::InvalidCiphertext`] when blob, key and context do not belong together.
pub(crate) fn open(
    key: &hmac::Key,
    blob: &[u8],
    context: &BTreeMap<String, String>,
) -> Result<Vec<u8>> {
    let (header, rest) = blob.split_at_checked(HEADER_BYTES).ok_or(Error::InvalidCiphertext)?;
    let (nonce, body) = rest.split_at_checked(NONCE_LEN).ok_or(Error::InvalidCiphertext)?;
    let salt = header.get(NAME_BYTES..).ok_or(Error::InvalidCiphertext)?;
    let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| Error::InvalidCiphertext)?;
    let mut body = body.to_vec();
    let plain = message_key(key, salt)?
        .open_in_place(nonce, Aad::from(additional(header, context)), &mut body)
        .map_err(|_| Error::InvalidCiphertext)?;
    Ok(plain.to_vec())
}

/// What a blob's header says; nothing when it is none of ours.
pub(crate) fn header(blob: &[u8]) -> Option<Header> {
    let (version, rest) = blob.split_first()?;
    let (flags, rest) = rest.split_first()?;
    let (account, rest) = rest.split_first_chunk::<8>()?;
    let (key, rest) = rest.split_first_chunk::<16>()?;
    let (material, rest) = rest.split_first_chunk::<4>()?;
    if *version != VERSION || *flags > MULTI_REGION || rest.len() < SALT_BYTES + NONCE_LEN {
        return None;
    }
    let digits = format!("{:032x}", u128::from_be_bytes(*key));
    let part = |from: usize, to: usize| digits.get(from..to).unwrap_or_default();
    let key_id = if *flags == MULTI_REGION {
        format!("mrk-{digits}")
    } else {
        [part(0, 8), part(8, 12), part(12, 16), part(16, 20), part(20, 32)].join("-")
    };
    Some(Header {
        account: format!("{:012}", u64::from_be_bytes(*account)),
        key_id,
        material: u32::from_be_bytes(*material),
    })
}

fn name(header: &Header) -> Result<Vec<u8>> {
    let bare = header.key_id.strip_prefix("mrk-");
    let digits = bare.unwrap_or(&header.key_id).replace('-', "");
    let key = u128::from_str_radix(&digits, 16).map_err(|_| Error::Crypto)?;
    let account: u64 = header.account.parse().map_err(|_| Error::Crypto)?;
    let mut out = vec![VERSION, u8::from(bare.is_some()) * MULTI_REGION];
    out.extend_from_slice(&account.to_be_bytes());
    out.extend_from_slice(&key.to_be_bytes());
    out.extend_from_slice(&header.material.to_be_bytes());
    Ok(out)
}

fn message_key(key: &hmac::Key, salt: &[u8]) -> Result<LessSafeKey> {
    let mut derive = hmac::Context::with_key(key);
    derive.update(PURPOSE);
    derive.update(salt);
    Ok(LessSafeKey::new(UnboundKey::new(&AES_256_GCM, derive.sign().as_ref())?))
}

/// The header and the context, each text with its length before it, sorted by key.
fn additional(header: &[u8], context: &BTreeMap<String, String>) -> Vec<u8> {
    let mut out = header.to_vec();
    for text in context.iter().flat_map(|(key, value)| [key, value]) {
        out.extend_from_slice(&(text.len() as u64).to_be_bytes());
        out.extend_from_slice(text.as_bytes());
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Sevens;

    impl Random for Sevens {
        fn fill(&self, bytes: &mut [u8]) {
            bytes.fill(7);
        }
    }

    fn context(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
    }

    #[test]
    fn a_blob_opens_only_whole_and_in_its_context() {
        let key = hmac::Key::new(hmac::HMAC_SHA256, &[3; 32]);
        for key_id in
            ["1234abcd-12ab-34cd-56ef-1234567890ab", "mrk-1234abcd12ab34cd56ef1234567890ab"]
        {
            let named =
                Header { account: "012345678901".into(), key_id: key_id.into(), material: 2 };
            let home = context(&[("a", "b"), ("c", "")]);
            let blob = seal(&key, &named, &home, b"plain", &Sevens).unwrap();
            assert_eq!(header(&blob).as_ref(), Some(&named));
            assert_eq!(open(&key, &blob, &home).unwrap(), b"plain");
            for other in [context(&[]), context(&[("a", "bc")]), context(&[("a", "b"), ("c", "c")])]
            {
                assert!(open(&key, &blob, &other).is_err());
            }
            for at in 0..blob.len() {
                let mut bad = blob.clone();
                bad[at] ^= 1;
                assert!(open(&key, &bad, &home).is_err(), "byte {at}");
                assert!(open(&key, &blob[..at], &home).is_err(), "cut at {at}");
            }
        }
        assert_eq!(header(b"no blob"), None);
    }
}
