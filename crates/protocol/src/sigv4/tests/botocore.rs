//! Requests that botocore signed; `testdata/make_botocore_vectors.py` writes them.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::Deserialize;

use super::*;
use crate::sigv4::{ChunkedDecoder, Payload, Presented, presign, sign};

#[derive(Deserialize)]
struct File {
    date: String,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    service: String,
    region: String,
    method: String,
    path: String,
    query: String,
    headers: Vec<(String, String)>,
    body: String,
    access_key_id: String,
    secret: String,
    token: Option<String>,
    presigned: bool,
    decoded_size: Option<usize>,
}

impl Case {
    fn call(&self) -> Call {
        let headers: Vec<_> = self.headers.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        Call::new(&self.method, &self.path, &self.query, &headers)
    }

    fn body(&self) -> Vec<u8> {
        STANDARD.decode(&self.body).unwrap()
    }
}

fn file() -> File {
    serde_json::from_str(include_str!("../testdata/botocore.json")).unwrap()
}

#[test]
fn every_request_of_botocore_verifies() {
    let file = file();
    let now = time(&file.date);
    assert!(file.cases.len() >= 60);
    for case in &file.cases {
        let (call, body) = (case.call(), case.body());
        let claim = Claim::parse(&call.parts()).unwrap().unwrap();
        assert_eq!(claim.access_key_id, case.access_key_id, "{}", case.name);
        assert_eq!(claim.session_token, case.token, "{}", case.name);
        assert_eq!(claim.check_scope(&case.region, &[&case.service]), Ok(()), "{}", case.name);
        let is_query = matches!(claim.presented, Presented::Query { .. });
        assert_eq!(is_query, case.presigned, "{}", case.name);
        if let Err(error) = call.verify(&case.secret, &body, now) {
            panic!("{}: {error}: {error:#?}", case.name);
        }
        let wrong = call.verify("another secret", &body, now);
        assert!(matches!(wrong, Err(SigV4Error::Mismatch(_))), "{}", case.name);
    }
}

#[test]
fn requests_are_signed_as_botocore_signs_them() {
    let file = file();
    let now = time(&file.date);
    let added = ["authorization", "x-amz-date", "x-amz-security-token", "x-amz-content-sha256"];
    for case in &file.cases {
        let (mut call, body) = (case.call(), case.body());
        let claim = Claim::parse(&call.parts()).unwrap().unwrap();
        let mode = PayloadMode::of(&call.parts(), &claim).unwrap();
        for name in added {
            call.headers.remove(name);
        }
        let credentials = Credentials {
            access_key_id: &case.access_key_id,
            secret: &case.secret,
            session_token: case.token.as_deref(),
        };
        let scope = Scope { region: &case.region, service: &case.service };
        if let Presented::Query { expires } = claim.presented {
            let own = call.query.find("X-Amz-Algorithm").unwrap();
            let mut plain = call.clone();
            plain.query = call.query[..own].trim_end_matches('&').to_owned();
            let query =
                presign(&plain.parts(), &credentials, &scope, now, expires.unwrap_or_default());
            assert!(query.ends_with(&claim.signature), "{}", case.name);
            continue;
        }
        let payload = match &mode {
            PayloadMode::Chunks(mode) => Payload::Chunks(*mode),
            PayloadMode::Unsigned => Payload::Unsigned,
            PayloadMode::Declared(_) | PayloadMode::Computed => Payload::Bytes(&body),
        };
        let signed = sign(&call.parts(), payload, &credentials, &scope, now);
        assert_eq!(signature_of(&signed.headers), claim.signature, "{}", case.name);
    }
}

#[test]
fn bodies_that_botocore_cuts_in_chunks_decode() {
    let file = file();
    let now = time(&file.date);
    let mut seen = 0;
    for case in file.cases.iter().filter(|case| case.decoded_size.is_some()) {
        seen += 1;
        let (call, body) = (case.call(), case.body());
        let claim = Claim::parse(&call.parts()).unwrap().unwrap();
        let PayloadMode::Chunks(mode) = PayloadMode::of(&call.parts(), &claim).unwrap() else {
            panic!("{}", case.name)
        };
        let seed = call.verify(&case.secret, &body, now).unwrap();
        let mut decoder = ChunkedDecoder::new(mode, &call.parts(), Some(&seed)).unwrap();
        let mut input = Bytes::from(body);
        let mut out = Vec::new();
        while let Some(data) = decoder.push(&mut input).unwrap() {
            out.extend_from_slice(&data);
        }
        assert_eq!(decoder.finish().unwrap().len(), 1, "{}", case.name);
        assert_eq!(Some(out.len()), case.decoded_size, "{}", case.name);
        assert!(out.iter().enumerate().all(|(i, byte)| usize::from(*byte) == i * 7 % 251));
    }
    assert_eq!(seen, 3);
}

#[test]
fn a_presigned_request_ends_when_it_says() {
    let file = file();
    let case = file.cases.iter().find(|case| case.name == "presigned get").unwrap();
    let (call, signed_at) = (case.call(), time(&file.date));
    let at = |secs| signed_at + Duration::from_secs(secs);
    assert!(call.verify(&case.secret, b"", at(3600)).is_ok());
    let late = call.verify(&case.secret, b"", at(3601));
    assert!(matches!(late, Err(SigV4Error::PresignedExpired { .. })), "{late:?}");
    let early = call.verify(&case.secret, b"", signed_at - Duration::from_secs(901));
    assert!(matches!(early, Err(SigV4Error::NotYetCurrent { .. })), "{early:?}");
}
