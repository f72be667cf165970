//! Passwords: only their hashes are kept.

use std::num::NonZeroU32;

use aws_lc_rs::pbkdf2;
use base::Random;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// How often a password is hashed, for who guesses must do so as well.
const ROUNDS: NonZeroU32 = match NonZeroU32::new(100_000) {
    Some(rounds) => rounds,
    None => NonZeroU32::MIN,
};
const SALT_BYTES: usize = 16;
const HASH_BYTES: usize = 32;

/// The hash of a password under a salt of its own. It takes some milliseconds.
pub(crate) fn hash(password: &str, random: &dyn Random) -> String {
    let mut salt = [0; SALT_BYTES];
    random.fill(&mut salt);
    let mut out = [0; HASH_BYTES];
    pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, ROUNDS, &salt, password.as_bytes(), &mut out);
    format!("{}${}", STANDARD.encode(salt), STANDARD.encode(out))
}

/// Whether `hash` is that of `password`.
pub(crate) fn is(password: &str, hash: &str) -> bool {
    let parts = hash
        .split_once('$')
        .and_then(|(salt, hash)| Some((STANDARD.decode(salt).ok()?, STANDARD.decode(hash).ok()?)));
    parts.is_some_and(|(salt, hash)| {
        let secret = password.as_bytes();
        pbkdf2::verify(pbkdf2::PBKDF2_HMAC_SHA256, ROUNDS, &salt, secret, &hash).is_ok()
    })
}
