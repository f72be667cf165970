//! The keys that digests are signed with.

use std::time::Duration;

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::KeyPair as _;
use base::Timestamp;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use cloudtrail_api::{ListPublicKeysInput, ListPublicKeysOutput, PublicKey};
use kernel::ServiceError;
use kernel::cipher::Cipher;
use md5::{Digest as _, Md5};
use store::ScopedStore;

use crate::Ctx;
use crate::error::{Error, Result};
use crate::store::{KEYS, SigningKey};

/// How long a key signs; AWS does not say how long its own do.
const VALID_FOR: Duration = Duration::from_secs(365 * 86_400);

fn internal(error: impl std::fmt::Display) -> Error {
    Error::Inside(ServiceError::internal(error))
}

fn place(fingerprint: &str) -> String {
    format!("cloudtrail.key:{fingerprint}")
}

/// The key that signs at a moment, made where there is none.
pub(crate) async fn current(
    store: &ScopedStore,
    cipher: &Cipher,
    at: Timestamp,
) -> Result<SigningKey> {
    let valid = |key: &SigningKey| key.from <= at && at < key.until;
    let known = store.read(|tx| tx.scan(&KEYS, ())).await?;
    if let Some(key) = known.into_iter().rev().find(valid) {
        return Ok(key);
    }
    let made = make(cipher, at)?;
    store
        .write(|tx| {
            // Another call may have made one meanwhile.
            if let Some(key) = tx.scan(&KEYS, ())?.into_iter().rev().find(valid) {
                return Ok(key);
            }
            tx.put(&KEYS, &made)?;
            Ok(made.clone())
        })
        .await
}

fn make(cipher: &Cipher, at: Timestamp) -> Result<SigningKey> {
    let pair = KeyPair::generate(KeySize::Rsa2048).map_err(internal)?;
    let private = AsDer::<Pkcs8V1Der<'_>>::as_der(&pair).map_err(internal)?;
    let public = pair.public_key().as_ref();
    let fingerprint: String =
        Md5::digest(public).iter().map(|byte| format!("{byte:02x}")).collect();
    let sealed = cipher.seal(&place(&fingerprint), private.as_ref());
    Ok(SigningKey {
        public: STANDARD.encode(public),
        sealed: STANDARD.encode(sealed),
        fingerprint,
        from: at,
        until: at + VALID_FOR,
    })
}

impl SigningKey {
    /// The signature of a text, in hexadecimal.
    pub(crate) fn sign(&self, cipher: &Cipher, text: &str) -> Result<String> {
        let sealed = STANDARD.decode(&self.sealed).map_err(internal)?;
        let private = cipher.open(&place(&self.fingerprint), &sealed).map_err(internal)?;
        let pair = KeyPair::from_pkcs8(&private).map_err(internal)?;
        let mut signature = vec![0; pair.public_modulus_len()];
        let random = aws_lc_rs::rand::SystemRandom::new();
        let how = &aws_lc_rs::signature::RSA_PKCS1_SHA256;
        pair.sign(how, &random, text.as_bytes(), &mut signature).map_err(internal)?;
        Ok(signature.iter().map(|byte| format!("{byte:02x}")).collect())
    }
}

/// Lists the public halves of the keys that signed in a range of time.
///
/// AWS: ListPublicKeys.
///
/// # Errors
///
/// [`Error::InvalidTimeRange`].
pub(crate) async fn list_public_keys(
    ctx: Ctx,
    input: ListPublicKeysInput,
) -> Result<ListPublicKeysOutput> {
    if input.next_token.is_some() {
        return Err(Error::InvalidToken);
    }
    // Without a range, the keys of now.
    let start = input.start_time.unwrap_or_else(|| ctx.now());
    let end = input.end_time.unwrap_or_else(|| ctx.now());
    if start > end {
        return Err(Error::InvalidTimeRange);
    }
    let known = ctx.store.read(|tx| tx.scan(&KEYS, ())).await?;
    let asked = |key: &SigningKey| key.from <= end && start < key.until;
    let public_key_list =
        known.into_iter().filter(asked).map(to_wire).collect::<Result<Vec<_>>>()?;
    Ok(ListPublicKeysOutput { public_key_list, next_token: None })
}

fn to_wire(key: SigningKey) -> Result<PublicKey> {
    Ok(PublicKey {
        value: Some(Bytes::from(STANDARD.decode(&key.public).map_err(internal)?)),
        validity_start_time: Some(key.from),
        validity_end_time: Some(key.until),
        fingerprint: Some(key.fingerprint),
    })
}
