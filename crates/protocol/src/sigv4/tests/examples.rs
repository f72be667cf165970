//! AWS's own worked examples.

use std::time::Duration;

use super::*;
use crate::sigv4::{EMPTY_SHA256, Payload, presign, sign};

const HOST: (&str, &str) = ("host", "examplebucket.s3.amazonaws.com");

/// AWS: "Signature Calculations for the Authorization Header: Transferring Payload in a Single
/// Chunk", Examples.
#[test]
fn s3_examples_have_their_published_signatures() {
    let now = time("20130524T000000Z");
    let put: &[(&str, &str)] = &[
        HOST,
        ("date", "Fri, 24 May 2013 00:00:00 GMT"),
        ("x-amz-storage-class", "REDUCED_REDUNDANCY"),
    ];
    for (call, body, want) in [
        (
            Call::new("GET", "/test.txt", "", &[HOST, ("range", "bytes=0-9")]),
            &b""[..],
            "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
        ),
        (
            Call::new("PUT", "/test$file.text", "", put),
            b"Welcome to Amazon S3.",
            "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd",
        ),
        (
            Call::new("GET", "/", "lifecycle", &[HOST]),
            b"",
            "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543",
        ),
        (
            Call::new("GET", "/", "max-keys=2&prefix=J", &[HOST]),
            b"",
            "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7",
        ),
    ] {
        let signed = sign(&call.parts(), Payload::Bytes(body), &KEY, &S3, now);
        assert_eq!(signature_of(&signed.headers), want, "{call:?}");
        let call = call.signed(&signed.headers);
        call.verify(KEY.secret, body, now).unwrap();
    }
}

/// AWS: "Authenticating Requests: Using Query Parameters", An Example.
#[test]
fn the_s3_presigned_example_has_its_published_signature() {
    let now = time("20130524T000000Z");
    let call = Call::new("GET", "/test.txt", "", &[HOST]);
    let query = presign(&call.parts(), &KEY, &S3, now, Duration::from_secs(86_400));
    assert_eq!(
        query,
        "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2F\
         us-east-1%2Fs3%2Faws4_request&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&\
         X-Amz-SignedHeaders=host&X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957\
         d157751f604d404"
    );
    let call = Call { query, ..call };
    call.verify(KEY.secret, b"ignored", now + Duration::from_secs(86_399)).unwrap();
}

/// AWS: "Create a signed AWS API request" and the Signature Version 4 test suite.
#[test]
fn general_examples_have_their_published_signatures() {
    let key = Credentials {
        access_key_id: "AKIDEXAMPLE",
        secret: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
        session_token: None,
    };
    let host = ("host", "example.amazonaws.com");
    let service = Scope { region: "us-east-1", service: "service" };
    let iam = Scope { region: "us-east-1", service: "iam" };
    let now = time("20150830T123600Z");
    let form = "application/x-www-form-urlencoded; charset=utf-8";
    for (call, scope, want) in [
        (
            Call::new("GET", "/", "", &[host]),
            service,
            "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31",
        ),
        (
            Call::new("GET", "/", "Param2=value2&Param1=value1", &[host]),
            service,
            "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500",
        ),
        (
            Call::new("GET", "/ሴ", "", &[host]),
            service,
            "8318018e0b0f223aa2bbf98705b62bb787dc9c0e678f255a891fd03141be5d85",
        ),
        (
            Call::new("POST", "/", "", &[host]),
            service,
            "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b",
        ),
        (
            Call::new(
                "GET",
                "/",
                "Action=ListUsers&Version=2010-05-08",
                &[("host", "iam.amazonaws.com"), ("content-type", form)],
            ),
            iam,
            "5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7",
        ),
    ] {
        let signed = sign(&call.parts(), Payload::Hash(EMPTY_SHA256), &key, &scope, now);
        assert_eq!(signature_of(&signed.headers), want, "{call:?}");
        call.signed(&signed.headers).verify(key.secret, b"", now).unwrap();
    }
}
