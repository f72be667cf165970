//! OpenID Connect tokens: their claims, and the proof that the issuer made them.
//!
//! AWS: AssumeRoleWithWebIdentity; "Create an OpenID Connect (OIDC) identity provider in IAM".

use aws_lc_rs::signature::{self, RsaPublicKeyComponents, UnparsedPublicKey};
use base::{Tags, Timestamp};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use kernel::identity::OidcProvider;
use serde_json::Value as Json;

use crate::error::{Error, Result};
use crate::issuer;

/// How far clocks may differ.
const SKEW_SECS: i64 = 300;

/// A token, taken apart, of which nothing is proved.
pub(crate) struct Token<'a> {
    signed: &'a str,
    signature: Vec<u8>,
    algorithm: String,
    key_id: Option<String>,
    claims: Json,
}

/// What a token whose issuer is proved says.
pub(crate) struct Claims {
    pub(crate) subject: String,
    pub(crate) audience: String,
    /// The audience that the token names beside who was authorized.
    original_audience: Option<String>,
    methods: Vec<String>,
    pub(crate) source_identity: Option<String>,
    pub(crate) tags: Tags,
    pub(crate) transitive: Vec<String>,
}

fn invalid(why: &str) -> Error {
    Error::InvalidIdentityToken(why.to_owned())
}

fn decoded(part: &str) -> Result<Vec<u8>> {
    URL_SAFE_NO_PAD
        .decode(part.trim_end_matches('='))
        .map_err(|_| invalid("The ID Token provided is not a valid JWT"))
}

fn object(part: &str) -> Result<Json> {
    serde_json::from_slice(&decoded(part)?)
        .map_err(|_| invalid("The ID Token provided is not a valid JWT"))
}

impl<'a> Token<'a> {
    /// Takes a token apart.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidIdentityToken`].
    pub(crate) fn parse(text: &'a str) -> Result<Self> {
        let whole = || {
            invalid(
                "The ID Token provided is not a valid JWT. (You may see this error \
                                if you sent an Access Token)",
            )
        };
        let (signed, signature) = text.rsplit_once('.').ok_or_else(whole)?;
        let (header, claims) = signed.split_once('.').ok_or_else(whole)?;
        if claims.contains('.') {
            return Err(whole());
        }
        let header = object(header)?;
        let member = |name: &str| header.get(name).and_then(Json::as_str).map(str::to_owned);
        Ok(Self {
            signed,
            signature: decoded(signature)?,
            algorithm: member("alg").ok_or_else(whole)?,
            key_id: member("kid"),
            claims: object(claims)?,
        })
    }

    fn text(&self, name: &str) -> Option<&str> {
        self.claims.get(name).and_then(Json::as_str)
    }

    /// The issuer, without its scheme.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidIdentityToken`].
    pub(crate) fn issuer(&self) -> Result<&str> {
        let issuer = self.text("iss").ok_or_else(|| invalid("Missing a required claim: iss"))?;
        let issuer = issuer.strip_prefix("https://");
        issuer.ok_or_else(|| invalid("The issuer of the token is not an https URL"))
    }

    /// The claims, once the provider's key, audience and times hold.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidIdentityToken`], [`Error::ExpiredToken`], [`Error::IdpCommunication`].
    pub(crate) async fn verify(&self, provider: &OidcProvider, now: Timestamp) -> Result<Claims> {
        let keys = issuer::keys(provider).await?;
        let candidates = keys.iter().filter(|key| {
            let id = key.get("kid").and_then(Json::as_str);
            self.key_id.is_none() || id == self.key_id.as_deref()
        });
        let mut known = false;
        let mut proved = false;
        for key in candidates {
            known = true;
            proved |= self.proves(key);
        }
        if !known {
            return Err(invalid("Couldn't retrieve verification key from your identity provider"));
        }
        if !proved {
            return Err(invalid("The signature of the ID Token is not valid"));
        }
        self.check_times(now)?;
        self.claims(provider)
    }

    fn check_times(&self, now: Timestamp) -> Result<()> {
        let time = |name: &str| self.claims.get(name).and_then(Json::as_f64);
        #[expect(clippy::cast_precision_loss, reason = "seconds since 1970 fit a double")]
        let (now, skew) = (now.as_secs() as f64, SKEW_SECS as f64);
        let ends = time("exp").ok_or_else(|| invalid("Missing a required claim: exp"))?;
        time("iat").ok_or_else(|| invalid("Missing a required claim: iat"))?;
        if ends + skew <= now {
            return Err(Error::ExpiredToken(
                "Token expired: current date/time must be before the \
                                            expiration date/time"
                    .to_owned(),
            ));
        }
        let early = |name: &str| time(name).is_some_and(|from| from - skew > now);
        if early("nbf") || early("iat") {
            return Err(invalid("The ID Token is not valid yet"));
        }
        Ok(())
    }

    fn claims(&self, provider: &OidcProvider) -> Result<Claims> {
        let audiences = texts(self.claims.get("aud"));
        let party = self.text("azp").map(str::to_owned);
        let audience = party.clone().or_else(|| audiences.first().cloned());
        let audience = audience.ok_or_else(|| invalid("Missing a required claim: aud"))?;
        if !provider.client_ids.contains(&audience) {
            return Err(invalid("Incorrect token audience"));
        }
        let subject = self.text("sub").ok_or_else(|| invalid("Missing a required claim: sub"))?;
        let tags = self.claims.get("https://aws.amazon.com/tags");
        let principal = tags.and_then(|tags| tags.get("principal_tags")).and_then(Json::as_object);
        let mut given = Tags::new();
        for (key, value) in principal.into_iter().flatten() {
            let value = texts(Some(value)).into_iter().next();
            given.insert(key.clone(), value.ok_or_else(|| invalid("A session tag has no value"))?);
        }
        Ok(Claims {
            subject: subject.to_owned(),
            original_audience: party.and_then(|_| audiences.first().cloned()),
            audience,
            methods: texts(self.claims.get("amr")),
            source_identity: self.text("https://aws.amazon.com/source_identity").map(str::to_owned),
            tags: given,
            transitive: texts(tags.and_then(|tags| tags.get("transitive_tag_keys"))),
        })
    }

    /// Whether the key signed the token, by the algorithm that both name.
    fn proves(&self, key: &Json) -> bool {
        let member = |name: &str| {
            let text = key.get(name).and_then(Json::as_str)?;
            URL_SAFE_NO_PAD.decode(text.trim_end_matches('=')).ok()
        };
        let kind = key.get("kty").and_then(Json::as_str).unwrap_or_default();
        let named = key.get("alg").and_then(Json::as_str);
        let signing = key.get("use").and_then(Json::as_str).is_none_or(|using| using == "sig");
        if named.is_some_and(|named| named != self.algorithm) || !signing {
            return false;
        }
        let message = self.signed.as_bytes();
        let rsa = match (kind, self.algorithm.as_str()) {
            ("RSA", "RS256") => Some(&signature::RSA_PKCS1_2048_8192_SHA256),
            ("RSA", "RS384") => Some(&signature::RSA_PKCS1_2048_8192_SHA384),
            ("RSA", "RS512") => Some(&signature::RSA_PKCS1_2048_8192_SHA512),
            _ => None,
        };
        if let Some(algorithm) = rsa {
            let (Some(n), Some(e)) = (member("n"), member("e")) else { return false };
            let key = RsaPublicKeyComponents { n, e };
            return key.verify(algorithm, message, &self.signature).is_ok();
        }
        let curve = key.get("crv").and_then(Json::as_str).unwrap_or_default();
        let algorithm = match (kind, curve, self.algorithm.as_str()) {
            ("EC", "P-256", "ES256") => &signature::ECDSA_P256_SHA256_FIXED,
            ("EC", "P-384", "ES384") => &signature::ECDSA_P384_SHA384_FIXED,
            ("EC", "P-521", "ES512") => &signature::ECDSA_P521_SHA512_FIXED,
            _ => return false,
        };
        let (Some(x), Some(y)) = (member("x"), member("y")) else { return false };
        let point: Vec<u8> = [4].into_iter().chain(x).chain(y).collect();
        UnparsedPublicKey::new(algorithm, point).verify(message, &self.signature).is_ok()
    }
}

impl Claims {
    /// The condition keys that the claims give, without the provider's name.
    ///
    /// AWS: "Available keys for AWS web identity federation".
    pub(crate) fn keys(&self) -> Vec<(String, Vec<String>)> {
        let mut keys = vec![
            ("aud".to_owned(), vec![self.audience.clone()]),
            ("sub".to_owned(), vec![self.subject.clone()]),
        ];
        keys.extend(self.original_audience.iter().map(|a| ("oaud".to_owned(), vec![a.clone()])));
        if !self.methods.is_empty() {
            keys.push(("amr".to_owned(), self.methods.clone()));
        }
        keys
    }
}

/// A text, or an array's texts.
fn texts(value: Option<&Json>) -> Vec<String> {
    match value {
        Some(Json::String(text)) => vec![text.clone()],
        Some(Json::Array(items)) => {
            items.iter().filter_map(Json::as_str).map(str::to_owned).collect()
        }
        Some(Json::Null | Json::Bool(_) | Json::Number(_) | Json::Object(_)) | None => Vec::new(),
    }
}
