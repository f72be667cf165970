//! Temporary credentials. The session token carries everything the region must know about them,
//! sealed under a key that never leaves the data folder, so that no table of sessions is needed
//! and no token can be made up.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use base::{AccountId, Arn, Random, Timestamp};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use policy::{Context, Principal};
use protocol::ServiceError;

use crate::cipher::Cipher;
use crate::ctx::Caller;
use crate::identity::RoleInfo;
use crate::kernel::{plain_caller, role_caller};

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
    /// What the session says beyond its subject.
    #[serde(default)]
    pub facts: SessionFacts,
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
    /// Somebody's for whom a user or the root user vouches (`GetFederationToken`).
    Federated {
        /// The session's ARN: `arn:aws:sts::123456789012:federated-user/name`.
        arn: String,
        /// The user's ARN; none for the root user.
        user: Option<String>,
    },
}

/// What a session says beyond its principal: the condition keys that only it knows.
///
/// AWS: "AWS global condition context keys", Properties of a role session.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionFacts {
    /// Session tags, which hide the role's or user's tags of the same keys.
    #[serde(default)]
    pub tags: base::Tags,
    /// The keys of tags that go on to the next role of a chain.
    #[serde(default)]
    pub transitive: BTreeSet<String>,
    /// When it was issued.
    #[serde(default)]
    pub issued: Option<Timestamp>,
    /// When its maker proved to have a second factor.
    #[serde(default)]
    pub mfa: Option<Timestamp>,
    /// Who is behind the session, for all roles of a chain.
    #[serde(default)]
    pub source_identity: Option<String>,
    /// Further keys, as `aws:FederatedProvider` and what the provider said.
    #[serde(default)]
    pub keys: BTreeMap<String, Vec<String>>,
    /// The services through which the call came in its maker's name, first to last.
    #[serde(default)]
    pub called_via: Vec<String>,
}

/// How long a chain of services may be.
const CALLED_VIA_MAX: usize = 16;

impl SessionFacts {
    /// Notes that `service` calls in its caller's name.
    pub(crate) fn called_through(&mut self, service: &str) {
        if self.called_via.len() < CALLED_VIA_MAX
            && self.called_via.last().is_none_or(|last| last != service)
        {
            self.called_via.push(service.to_owned());
        }
    }

    /// Sets the condition keys. Long-term credentials have none of a session's.
    pub(crate) fn describe(&self, temporary: bool, now: Timestamp, context: &mut Context) {
        for (key, value) in &self.tags {
            context.set(&format!("aws:PrincipalTag/{key}"), value.as_str());
        }
        if temporary {
            context.set("aws:MultiFactorAuthPresent", self.mfa.is_some().to_string());
        }
        if let Some(at) = self.mfa {
            context.set("aws:MultiFactorAuthAge", now.since(at).as_secs().to_string());
        }
        if let Some(issued) = self.issued {
            context.set("aws:TokenIssueTime", issued.iso8601_seconds());
        }
        if let Some(identity) = &self.source_identity {
            context.set("aws:SourceIdentity", identity.as_str());
        }
        for (key, values) in &self.keys {
            match values.as_slice() {
                [one] => context.set(key, one.as_str()),
                many => context.set_all(key, many.iter().map(String::as_str)),
            }
        }
        context.set("aws:ViaAWSService", (!self.called_via.is_empty()).to_string());
        if let (Some(first), Some(last)) = (self.called_via.first(), self.called_via.last()) {
            context.set_all("aws:CalledVia", self.called_via.iter().map(String::as_str));
            context.set("aws:CalledViaFirst", first.as_str());
            context.set("aws:CalledViaLast", last.as_str());
        }
    }
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

    /// `text`, sealed for `place`, as base64: what clients may carry and not read.
    pub fn seal_text(&self, place: &str, text: &str) -> String {
        STANDARD.encode(self.cipher.seal(place, text.as_bytes()))
    }

    /// The text that [`Sealer::seal_text`] sealed for `place`.
    ///
    /// # Errors
    ///
    /// [`InvalidSessionToken`] when this region did not seal it for that place.
    pub fn open_text(&self, place: &str, sealed: &str) -> Result<String, InvalidSessionToken> {
        let bytes = STANDARD.decode(sealed).map_err(|_| InvalidSessionToken)?;
        let text = self.cipher.open(place, &bytes).map_err(|_| InvalidSessionToken)?;
        String::from_utf8(text).map_err(|_| InvalidSessionToken)
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
            facts: SessionFacts { issued: Some(now), ..SessionFacts::default() },
            issued: now,
            expires,
            service: None,
        }
    }
}

/// The caller that a session token stands for.
///
/// # Errors
///
/// When the session names a role or user by what is no ARN.
pub fn session_caller(session: Session) -> Result<Caller, ServiceError> {
    let invalid = |error: base::ParseArnError| ServiceError::internal(error);
    let mut caller = match &session.subject {
        Subject::Role { role_arn, role_id, session_name } => {
            let role = RoleInfo {
                arn: role_arn.parse().map_err(invalid)?,
                role_id: role_id.clone(),
                trust_policy: String::new(),
                max_session_duration_secs: 0,
                tags: base::Tags::new(),
            };
            role_caller(&session.account, &role, session_name, None)
        }
        Subject::User { arn, user_id } => {
            let principal =
                Principal::User { arn: arn.parse().map_err(invalid)?, id: user_id.clone() };
            plain_caller(principal, &session.account, user_id)
        }
        Subject::Root => {
            let principal = Principal::Root { account: session.account.clone() };
            plain_caller(principal, &session.account, session.account.as_str())
        }
        Subject::Federated { arn, user } => {
            let arn: Arn = arn.parse().map_err(invalid)?;
            let user = user.as_ref().map(|user| user.parse()).transpose().map_err(invalid)?;
            let user_id = format!("{}:{}", session.account, arn.name());
            let principal = Principal::FederatedUser { arn, user };
            plain_caller(principal, &session.account, &user_id)
        }
    };
    caller.facts = session.facts;
    caller.access_key_id = Some(session.access_key_id);
    caller.session_policies = session.policies;
    caller.expires = Some(session.expires);
    Ok(caller)
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
