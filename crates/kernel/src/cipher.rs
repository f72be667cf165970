//! Encryption of what services keep at rest until KMS holds the keys: AES-256-GCM under a key of
//! the data folder, with the place of the value as additional data, so that a sealed value cannot
//! be moved to another row.

use std::sync::Arc;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use base::Random;

/// The bytes were not sealed here, or not for this place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the sealed value cannot be opened")]
pub struct CannotOpen;

/// Seals and opens values.
#[derive(Clone)]
pub struct Cipher {
    key: Arc<LessSafeKey>,
    random: Arc<dyn Random>,
}

impl Cipher {
    /// A cipher under `key`.
    pub fn new(key: [u8; 32], random: Arc<dyn Random>) -> Self {
        #[expect(clippy::expect_used, reason = "a key of 32 bytes is what AES-256 takes")]
        let key = UnboundKey::new(&AES_256_GCM, &key).expect("the key has 32 bytes");
        Self { key: Arc::new(LessSafeKey::new(key)), random }
    }

    /// `plain`, sealed for `place`.
    ///
    /// # Panics
    ///
    /// Never: sealing fails only beyond 64 GiB, and what is sealed is held in memory.
    pub fn seal(&self, place: &str, plain: &[u8]) -> Vec<u8> {
        let mut nonce = [0; NONCE_LEN];
        self.random.fill(&mut nonce);
        let mut body = plain.to_vec();
        let aad = Aad::from(place.as_bytes());
        #[expect(clippy::expect_used, reason = "sealing fails only for bodies beyond 64 GiB")]
        self.key
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), aad, &mut body)
            .expect("the body is small");
        let mut sealed = nonce.to_vec();
        sealed.append(&mut body);
        sealed
    }

    /// What was sealed for `place`.
    ///
    /// # Errors
    ///
    /// [`CannotOpen`] when it was not sealed here or not for this place.
    pub fn open(&self, place: &str, sealed: &[u8]) -> Result<Vec<u8>, CannotOpen> {
        let mut bytes = sealed.to_vec();
        let (nonce, body) = bytes.split_at_mut_checked(NONCE_LEN).ok_or(CannotOpen)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| CannotOpen)?;
        let aad = Aad::from(place.as_bytes());
        let plain = self.key.open_in_place(nonce, aad, body).map_err(|_| CannotOpen)?;
        Ok(plain.to_vec())
    }
}
