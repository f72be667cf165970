//! What holds for every request: it verifies as it was signed, and in no other form.

use std::time::Duration;

use bytes::Bytes;
use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::sigv4::{ChunkMode, ChunkSigner, ChunkedDecoder, Family, Payload, presign, sign};

const NOW: &str = "20261120T111400Z";

fn scopes() -> impl Strategy<Value = Scope<'static>> {
    prop_oneof![
        Just(Scope { region: "ap-northeast-2", service: "s3" }),
        Just(Scope { region: "us-east-1", service: "execute-api" }),
    ]
}

fn calls() -> impl Strategy<Value = Call> {
    let name = "[a-z][a-z0-9-]{0,6}";
    let pair = "([a-zA-Z0-9._~-]|%[0-9A-F]{2}){0,4}=([a-zA-Z0-9._~+-]|%[0-9A-F]{2}){0,4}";
    (
        "GET|PUT|POST|DELETE",
        "(/([a-zA-Z0-9._~$@:+-]|%[0-9A-F]{2}){0,6}){1,4}",
        vec(pair, 0..4),
        vec((name, "[ -~]{0,12}"), 0..4),
    )
        .prop_map(|(method, path, query, headers)| {
            let mut call = Call::new(&method, &path, &query.join("&"), &[("host", "h.example")]);
            for (name, value) in headers {
                call.append(&format!("x-{name}"), value.trim());
            }
            call
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn signed_requests_verify(call in calls(), scope in scopes(), body in vec(any::<u8>(), 0..64)) {
        let now = time(NOW);
        let signed = sign(&call.parts(), Payload::Bytes(&body), &KEY, &scope, now);
        let call = call.signed(&signed.headers);
        let verified = call.verify(KEY.secret, &body, now);
        prop_assert!(verified.is_ok(), "{:?}", verified);
    }

    #[test]
    fn presigned_requests_verify(call in calls(), scope in scopes(), secs in 1u64..604_800) {
        let now = time(NOW);
        let query = presign(&call.parts(), &KEY, &scope, now, Duration::from_secs(secs));
        let call = Call { query, ..call };
        let verified = call.verify(KEY.secret, b"", now);
        prop_assert!(verified.is_ok(), "{:?}", verified);
    }

    #[test]
    fn a_changed_request_does_not_verify(
        call in calls(), scope in scopes(), body in vec(any::<u8>(), 1..32), at in any::<usize>(),
        place in 0..5, flip in 0u32..7,
    ) {
        let now = time(NOW);
        let signed = sign(&call.parts(), Payload::Bytes(&body), &KEY, &scope, now);
        let call = call.signed(&signed.headers);
        let mut changed = call.clone();
        let mut changed_body = body.clone();
        let bit = 1u8 << flip;
        let change = |text: &str| {
            let mut bytes = text.as_bytes().to_vec();
            let index = at % bytes.len().max(1);
            if let Some(byte) = bytes.get_mut(index) {
                *byte ^= bit;
            }
            String::from_utf8(bytes).unwrap_or_default()
        };
        match place {
            0 => changed.method = change(&call.method),
            1 => changed.path = change(&call.path),
            2 => changed.query = change(&call.query),
            3 => {
                let index = at % body.len();
                changed_body[index] ^= bit;
            }
            _ => {
                let names: Vec<_> = call.headers.keys().cloned().collect();
                let name = &names[at % names.len()];
                let value = change(call.headers[name].to_str().unwrap());
                match HeaderValue::from_str(&value) {
                    Ok(value) => {
                        changed.headers.insert(name.clone(), value);
                    }
                    Err(_) => return Ok(()),
                }
            }
        }
        // What differs only in spelling is the same request: escapes in either case, needless
        // escapes, plus for space, dots in paths, white space in values.
        let same = |call: &Call| {
            let claim = Claim::parse(&call.parts()).ok().flatten();
            let names = claim.as_ref().map(|claim| claim.signed_headers.clone());
            let canonical = crate::sigv4::canonical::canonical_request(
                &call.parts(), scope.service, &names.unwrap_or_default(), "",
            );
            (canonical, claim)
        };
        // An access key's id is not signed: it chooses the secret.
        let claim = same(&changed).1;
        if claim.is_some_and(|claim| claim.access_key_id != KEY.access_key_id) {
            return Ok(());
        }
        let untouched = same(&call) == same(&changed) && body == changed_body;
        let result = changed.verify(KEY.secret, &changed_body, now);
        prop_assert_eq!(result.is_ok(), untouched, "{:?}", changed);
    }

    #[test]
    fn chunked_bodies_round_trip(
        data in vec(any::<u8>(), 1..30_000), size in 8192usize..20_000, step in 1usize..9000,
        signed in any::<bool>(),
    ) {
        let mode = if signed { ChunkMode::Signed } else { ChunkMode::UnsignedTrailer };
        let length = data.len().to_string();
        let call = Call::new("PUT", "/k", "", &[("host", "h"), ("x-amz-decoded-content-length", &length)]);
        let seed = sign(&call.parts(), Payload::Chunks(mode), &KEY, &S3, time(NOW)).seed;
        let mut signer = ChunkSigner::new(mode, &seed);
        let mut body = Vec::new();
        for chunk in data.chunks(size) {
            for piece in signer.chunk(Bytes::copy_from_slice(chunk)) {
                body.extend_from_slice(&piece);
            }
        }
        body.extend_from_slice(&signer.finish(&[]));
        let mut decoder = ChunkedDecoder::new(mode, &call.parts(), Some(&seed)).unwrap();
        let mut out = Vec::new();
        for piece in body.chunks(step) {
            let mut input = Bytes::copy_from_slice(piece);
            while let Some(bytes) = decoder.push(&mut input).unwrap() {
                out.extend_from_slice(&bytes);
            }
        }
        prop_assert!(decoder.finish().is_ok());
        prop_assert!(out == data);
    }

    #[test]
    fn garbage_never_panics(
        path in ".{0,40}", query in ".{0,60}", names in vec("[a-z-]{1,12}", 0..4),
        values in vec(vec(any::<u8>(), 0..40), 4), authorization in ".{0,80}", date in ".{0,20}",
    ) {
        let mut call = Call::new("GET", &path, &query, &[]);
        for (name, value) in names.iter().zip(&values) {
            let Ok(value) = HeaderValue::from_bytes(value) else { continue };
            let Ok(name) = HeaderName::from_bytes(name.as_bytes()) else { continue };
            call.headers.append(name, value);
        }
        for (name, text) in [("authorization", &authorization), ("x-amz-date", &date)] {
            if let Ok(value) = HeaderValue::from_str(text) {
                call.headers.append(HeaderName::from_static(name), value);
            }
        }
        if let Err(error) = call.verify(KEY.secret, b"", time(NOW)) {
            for family in [Family::Query, Family::Ec2, Family::Json, Family::Rest, Family::S3] {
                let _ = error.answer(family);
            }
        }
    }

    #[test]
    fn near_claims_never_panic(
        credential in "[a-z0-9/%]{0,40}", signed in "[a-z;-]{0,20}", signature in "[0-9a-f]{0,70}",
        date in "[0-9TZ]{0,17}", expires in "[0-9-]{0,9}",
    ) {
        let header = format!(
            "AWS4-HMAC-SHA256 Credential={credential}, SignedHeaders={signed}, Signature={signature}"
        );
        let call = Call::new("GET", "/", "", &[("authorization", &header), ("x-amz-date", &date)]);
        let _ = call.verify(KEY.secret, b"", time(NOW));
        let query = format!(
            "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential={credential}&X-Amz-Date={date}&\
             X-Amz-SignedHeaders={signed}&X-Amz-Signature={signature}&X-Amz-Expires={expires}"
        );
        let _ = Call::new("GET", "/", &query, &[]).verify(KEY.secret, b"", time(NOW));
    }

    #[test]
    fn garbage_bodies_never_panic(
        body in vec(prop_oneof![any::<u8>(), Just(b'\n'), Just(b'0'), Just(b';')], 0..300),
        signed in any::<bool>(),
    ) {
        let mode = if signed { ChunkMode::SignedTrailer } else { ChunkMode::UnsignedTrailer };
        let call = Call::new("PUT", "/k", "", &[("x-amz-decoded-content-length", "5")]);
        let seed = sign(&call.parts(), Payload::Chunks(mode), &KEY, &S3, time(NOW)).seed;
        let mut decoder = ChunkedDecoder::new(mode, &call.parts(), Some(&seed)).unwrap();
        let mut input = Bytes::from(body);
        while let Ok(Some(_)) = decoder.push(&mut input) {}
        let _ = decoder.finish();
    }
}
