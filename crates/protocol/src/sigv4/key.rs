//! Signing keys and their cache.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use aws_lc_rs::{constant_time, digest, hmac};

/// How many derived keys are kept: a few hundred principals over a handful of services.
const KEYS_MAX: usize = 4096;

/// A key derived for one day, region and service.
#[derive(Clone)]
pub struct SigningKey(hmac::Key);

impl SigningKey {
    /// Derives the key of `secret`. `date` is eight digits.
    ///
    /// AWS: "Create a signed AWS API request", step 4.
    pub fn derive(secret: &str, date: &str, region: &str, service: &str) -> Self {
        let key = |bytes: &[u8]| hmac::Key::new(hmac::HMAC_SHA256, bytes);
        let by_secret = key(format!("AWS4{secret}").as_bytes());
        let by_date = key(hmac::sign(&by_secret, date.as_bytes()).as_ref());
        let by_region = key(hmac::sign(&by_date, region.as_bytes()).as_ref());
        let by_service = key(hmac::sign(&by_region, service.as_bytes()).as_ref());
        Self(key(hmac::sign(&by_service, b"aws4_request").as_ref()))
    }

    /// The signature of `text` in lower-case hexadecimal.
    pub fn sign(&self, text: &str) -> String {
        hex(hmac::sign(&self.0, text.as_bytes()).as_ref())
    }

    /// Whether `signature` is that of `text`, in a time that does not depend on where they differ.
    pub fn verify(&self, text: &str, signature: &str) -> bool {
        unhex(signature)
            .is_some_and(|signature| hmac::verify(&self.0, text.as_bytes(), &signature).is_ok())
    }
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SigningKey")
    }
}

/// Derived keys by access key, day, region and service, a bounded number of them. Deriving costs
/// four hashes; looking up costs none.
#[derive(Default)]
pub struct KeyCache(Mutex<HashMap<KeyId, Entry>>);

#[derive(PartialEq, Eq, Hash)]
struct KeyId {
    access_key_id: String,
    date: String,
    region: String,
    service: String,
}

struct Entry {
    /// The secret that the key was derived from, so that a changed secret is not honoured.
    secret: String,
    key: SigningKey,
}

impl KeyCache {
    /// An empty cache.
    pub fn new() -> Self {
        Self::default()
    }

    pub(crate) fn get(
        &self,
        access_key_id: &str,
        secret: &str,
        date: &str,
        region: &str,
        service: &str,
    ) -> SigningKey {
        let id = KeyId {
            access_key_id: access_key_id.to_owned(),
            date: date.to_owned(),
            region: region.to_owned(),
            service: service.to_owned(),
        };
        // A panic elsewhere can't leave a map half changed that only gains whole entries.
        let mut keys = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(entry) = keys.get(&id)
            && constant_time::verify_slices_are_equal(entry.secret.as_bytes(), secret.as_bytes())
                .is_ok()
        {
            return entry.key.clone();
        }
        let key = SigningKey::derive(secret, date, region, service);
        if keys.len() >= KEYS_MAX {
            keys.clear();
        }
        keys.insert(id, Entry { secret: secret.to_owned(), key: key.clone() });
        key
    }
}

impl std::fmt::Debug for KeyCache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("KeyCache")
    }
}

/// The SHA-256 of `bytes` in lower-case hexadecimal.
pub fn sha256_hex(bytes: &[u8]) -> String {
    hex(digest::digest(&digest::SHA256, bytes).as_ref())
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        for digit in [byte >> 4, byte & 15] {
            out.push(char::from_digit(u32::from(digit), 16).unwrap_or('0'));
        }
    }
    out
}

/// Reads the lower-case hexadecimal of 32 bytes.
pub(crate) fn unhex(text: &str) -> Option<[u8; 32]> {
    let mut out = [0; 32];
    if text.len() != 64 {
        return None;
    }
    for (slot, pair) in out.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        let [high, low] = pair else { return None };
        let digit = |byte: &u8| match byte {
            b'0'..=b'9' => Some(byte - b'0'),
            b'a'..=b'f' => Some(byte - b'a' + 10),
            _ => None,
        };
        *slot = digit(high)? << 4 | digit(low)?;
    }
    Some(out)
}
