//! Signatures of AWS's published examples and of botocore, round trips, and mutations.

mod bodies;
mod botocore;
mod examples;
mod failures;
mod properties;

use base::Timestamp;
use http::{HeaderMap, HeaderName, HeaderValue};

use super::{
    Claim, Credentials, KeyCache, Parts, PayloadMode, Scope, SigV4Error, Verified, sha256_hex,
    verify,
};

/// A request that owns its parts.
#[derive(Debug, Clone)]
struct Call {
    method: String,
    path: String,
    query: String,
    headers: HeaderMap,
}

impl Call {
    fn new(method: &str, path: &str, query: &str, headers: &[(&str, &str)]) -> Self {
        let mut call = Self {
            method: method.to_owned(),
            path: path.to_owned(),
            query: query.to_owned(),
            headers: HeaderMap::new(),
        };
        for (name, value) in headers {
            call.append(name, value);
        }
        call
    }

    fn append(&mut self, name: &str, value: &str) {
        self.headers.append(
            HeaderName::from_bytes(name.as_bytes()).unwrap(),
            HeaderValue::from_bytes(value.as_bytes()).unwrap(),
        );
    }

    fn parts(&self) -> Parts<'_> {
        Parts {
            method: &self.method,
            path: &self.path,
            query: &self.query,
            authority: None,
            headers: &self.headers,
        }
    }

    fn signed(mut self, added: &[(&'static str, String)]) -> Self {
        for (name, value) in added {
            self.append(name, value);
        }
        self
    }

    /// Verifies the call as a gateway does.
    fn verify(&self, secret: &str, body: &[u8], now: Timestamp) -> Result<Verified, SigV4Error> {
        let parts = self.parts();
        let claim = Claim::parse(&parts)?.ok_or(SigV4Error::MissingAuthenticationToken)?;
        let mode = PayloadMode::of(&parts, &claim)?;
        let computed = sha256_hex(body);
        mode.check_body(&computed)?;
        let hash = mode.canonical().unwrap_or(&computed);
        verify(&claim, secret, &parts, hash, now, &KeyCache::new())
    }
}

fn signature_of<'a>(added: &'a [(&'static str, String)]) -> &'a str {
    let (_, value) = added.iter().find(|(name, _)| *name == "authorization").unwrap();
    value.split_once("Signature=").unwrap().1
}

const KEY: Credentials<'_> = Credentials {
    access_key_id: "AKIAIOSFODNN7EXAMPLE",
    secret: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
    session_token: None,
};
const S3: Scope<'_> = Scope { region: "us-east-1", service: "s3" };

fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}
