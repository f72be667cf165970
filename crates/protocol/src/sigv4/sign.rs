//! Making signatures: for built-in callers and for test clients.

use std::time::Duration;

use base::Timestamp;
use http::HeaderMap;

use super::canonical::{Parts, Slash, canonical_request, encode_into, string_to_sign};
use super::key::{SigningKey, sha256_hex};
use super::payload::ChunkMode;
use super::verify::Verified;
use super::{ALGORITHM, UNSIGNED_PAYLOAD, is_s3};

/// Headers that hops on the way add or change, which clients leave unsigned.
const UNSIGNED_HEADERS: [&str; 6] =
    ["authorization", "connection", "expect", "transfer-encoding", "user-agent", "x-amzn-trace-id"];

/// An access key.
#[derive(Clone, Copy)]
pub struct Credentials<'a> {
    /// The access key's id.
    pub access_key_id: &'a str,
    /// The secret.
    pub secret: &'a str,
    /// The session token of temporary credentials.
    pub session_token: Option<&'a str>,
}

impl std::fmt::Debug for Credentials<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials")
            .field("access_key_id", &self.access_key_id)
            .finish_non_exhaustive()
    }
}

/// Where a request is for.
#[derive(Debug, Clone, Copy)]
pub struct Scope<'a> {
    /// The region.
    pub region: &'a str,
    /// The signing name, as `s3`.
    pub service: &'a str,
}

/// The body to sign.
#[derive(Debug, Clone, Copy)]
pub enum Payload<'a> {
    /// These bytes.
    Bytes(&'a [u8]),
    /// Bytes with this SHA-256, in hexadecimal.
    Hash(&'a str),
    /// Not signed.
    Unsigned,
    /// In chunks, which a [`super::ChunkSigner`] then makes.
    Chunks(ChunkMode),
}

/// A signed request: the headers to add, and the seed of its chunks.
#[derive(Debug, Clone)]
pub struct Signed {
    /// Header names, in lower case, and values.
    pub headers: Vec<(&'static str, String)>,
    /// What chunk signatures are chained to.
    pub seed: Verified,
}

/// Signs a request in its headers. All of the request's headers are signed but those that hops
/// change; `host` is taken from them or from the authority.
pub fn sign(
    parts: &Parts<'_>,
    payload: Payload<'_>,
    credentials: &Credentials<'_>,
    scope: &Scope<'_>,
    now: Timestamp,
) -> Signed {
    let amz_date = now.iso8601_basic();
    let payload_hash = match payload {
        Payload::Bytes(bytes) => sha256_hex(bytes),
        Payload::Hash(hash) => hash.to_owned(),
        Payload::Unsigned => UNSIGNED_PAYLOAD.to_owned(),
        Payload::Chunks(mode) => mode.name().to_owned(),
    };
    let mut added = vec![("x-amz-date", amz_date.clone())];
    if let Some(token) = credentials.session_token {
        added.push(("x-amz-security-token", token.to_owned()));
    }
    if is_s3(scope.service) || !matches!(payload, Payload::Bytes(_) | Payload::Hash(_)) {
        added.push(("x-amz-content-sha256", payload_hash.clone()));
    }
    let mut headers = parts.headers.clone();
    for (name, value) in &added {
        insert(&mut headers, name, value);
    }
    let signed_headers = names_to_sign(&headers);
    let all = Parts { headers: &headers, ..*parts };
    let canonical = canonical_request(&all, scope.service, &signed_headers, &payload_hash);
    let (key, scope_text) = key_and_scope(credentials, scope, &amz_date);
    let signature = key.sign(&string_to_sign(ALGORITHM, &amz_date, &scope_text, &canonical));
    added.push((
        "authorization",
        format!(
            "{ALGORITHM} Credential={}/{scope_text}, SignedHeaders={}, Signature={signature}",
            credentials.access_key_id,
            signed_headers.join(";"),
        ),
    ));
    Signed { headers: added, seed: Verified { key, amz_date, scope: scope_text, signature } }
}

/// Signs a request in its query, for `expires` from `now`, with an unsigned body. Gives the whole
/// query, the request's own first.
pub fn presign(
    parts: &Parts<'_>,
    credentials: &Credentials<'_>,
    scope: &Scope<'_>,
    now: Timestamp,
    expires: Duration,
) -> String {
    let amz_date = now.iso8601_basic();
    let (key, scope_text) = key_and_scope(credentials, scope, &amz_date);
    let signed_headers = names_to_sign(parts.headers);
    let mut query = Vec::from(parts.query.as_bytes());
    let mut push = |name: &str, value: &str| {
        if !query.is_empty() {
            query.push(b'&');
        }
        query.extend_from_slice(name.as_bytes());
        query.push(b'=');
        encode_into(&mut query, value.as_bytes(), Slash::Encoded);
    };
    push("X-Amz-Algorithm", ALGORITHM);
    push("X-Amz-Credential", &format!("{}/{scope_text}", credentials.access_key_id));
    push("X-Amz-Date", &amz_date);
    push("X-Amz-Expires", &expires.as_secs().to_string());
    push("X-Amz-SignedHeaders", &signed_headers.join(";"));
    if let Some(token) = credentials.session_token {
        push("X-Amz-Security-Token", token);
    }
    let mut query = String::from_utf8_lossy(&query).into_owned();
    // Only S3 leaves the body out; elsewhere a presigned request has none.
    let hash = if is_s3(scope.service) { UNSIGNED_PAYLOAD } else { super::EMPTY_SHA256 };
    let all = Parts { query: &query, ..*parts };
    let canonical = canonical_request(&all, scope.service, &signed_headers, hash);
    let signature = key.sign(&string_to_sign(ALGORITHM, &amz_date, &scope_text, &canonical));
    query.push_str("&X-Amz-Signature=");
    query.push_str(&signature);
    query
}

fn key_and_scope(
    credentials: &Credentials<'_>,
    scope: &Scope<'_>,
    amz_date: &str,
) -> (SigningKey, String) {
    let day = amz_date.get(..8).unwrap_or(amz_date);
    let key = SigningKey::derive(credentials.secret, day, scope.region, scope.service);
    (key, format!("{day}/{}/{}/aws4_request", scope.region, scope.service))
}

fn names_to_sign(headers: &HeaderMap) -> Vec<String> {
    let mut names: Vec<String> = headers
        .keys()
        .map(|name| name.as_str().to_owned())
        .filter(|name| !UNSIGNED_HEADERS.contains(&name.as_str()))
        .chain(["host".to_owned()])
        .collect();
    names.sort();
    names.dedup();
    names
}

/// Sets a header whose value is made here, of visible characters only; another is left out and
/// then fails to verify.
fn insert(headers: &mut HeaderMap, name: &'static str, value: &str) {
    if let Ok(value) = http::HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}
