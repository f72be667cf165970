//! Temporary credentials. The session token carries everything the region must know about them,
//! sealed under a key that never leaves the data folder, so that no table of sessions is needed
//! and no token can be made up.

use std::sync::Arc;

use base::{AccountId, Random, Timestamp};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use crate::cipher::Cipher;

/// What a session token says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// The temporary key's id, `ASIA…`.
    pub access_key_id: String,
    /// The secret that signs.
    pub secret_access_key: String,
    /// The account the session works in.
    pub account: AccountId,
    /// Whose session it is.
    pub subject: Subject,
    /// Session policies, JSON.
    #[serde(default)]
    pub policies: Vec<String>,
    /// Session tags.
    #[serde(default)]
    pub tags: base::Tags,
    /// When it was issued.
    pub issued: Timestamp,
    /// When it ends.
    pub expires: Timestamp,
    /// The service that holds the role, as `ec2.amazonaws.com`, if one does.
    #[serde(default)]
    pub service: Option<String>,
}

/// Whose session it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Subject {
    /// A role's.
    Role {
        /// The role's ARN.
        role_arn: String,
        /// Its unique id.
        role_id: String,
        /// The session's name.
        session_name: String,
    },
    /// A user's (`GetSessionToken`).
    User {
        /// The user's ARN.
        arn: String,
        /// The user's unique id.
        user_id: String,
    },
    /// The account's root user's.
    Root,
}

/// The token is not one of this region's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the session token is not valid")]
pub struct InvalidSessionToken;

/// Seals and opens session tokens.
pub struct Sealer {
    cipher: Cipher,
    random: Arc<dyn Random>,
}

/// What session tokens are sealed for.
const PLACE: &str = "session";

impl Sealer {
    /// A sealer under `key`.
    pub fn new(key: [u8; 32], random: Arc<dyn Random>) -> Self {
        Self { cipher: Cipher::new(key, random.clone()), random }
    }

    /// The token of `session`.
    pub fn seal(&self, session: &Session) -> String {
        let body = serde_json::to_vec(session).unwrap_or_default();
        STANDARD.encode(self.cipher.seal(PLACE, &body))
    }

    /// The session that `token` carries. The caller checks its end.
    ///
    /// # Errors
    ///
    /// [`InvalidSessionToken`] when this region did not seal it.
    pub fn open(&self, token: &str) -> Result<Session, InvalidSessionToken> {
        let bytes = STANDARD.decode(token).map_err(|_| InvalidSessionToken)?;
        let body = self.cipher.open(PLACE, &bytes).map_err(|_| InvalidSessionToken)?;
        serde_json::from_slice(&body).map_err(|_| InvalidSessionToken)
    }

    /// New temporary credentials for `subject`, from `now` to `expires`, with their token.
    pub fn issue(
        &self,
        account: AccountId,
        subject: Subject,
        now: Timestamp,
        expires: Timestamp,
    ) -> Session {
        let letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
        let secret = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        Session {
            access_key_id: format!("ASIA{}", self.random.text(letters, 16)),
            secret_access_key: self.random.text(secret, 40),
            account,
            subject,
            policies: Vec::new(),
            tags: base::Tags::new(),
            issued: now,
            expires,
            service: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Counter(std::sync::atomic::AtomicU8);

    impl Random for Counter {
        fn fill(&self, bytes: &mut [u8]) {
            bytes.fill_with(|| self.0.fetch_add(1, std::sync::atomic::Ordering::SeqCst));
        }
    }

    #[test]
    fn a_token_opens_only_under_its_key_and_unchanged() {
        let sealer = |key| Sealer::new([key; 32], Arc::new(Counter(0.into())));
        let account: AccountId = "123456789012".parse().unwrap();
        let (now, later) = (Timestamp::from_secs(1), Timestamp::from_secs(2));
        let session = sealer(1).issue(account, Subject::Root, now, later);
        let token = sealer(1).seal(&session);
        assert_eq!(sealer(1).open(&token), Ok(session));
        assert_eq!(sealer(2).open(&token), Err(InvalidSessionToken));
        let mut bytes = STANDARD.decode(&token).unwrap();
        for i in 0..bytes.len() {
            bytes[i] ^= 1;
            assert_eq!(sealer(1).open(&STANDARD.encode(&bytes)), Err(InvalidSessionToken));
            bytes[i] ^= 1;
        }
        assert_eq!(sealer(1).open(""), Err(InvalidSessionToken));
    }
}
