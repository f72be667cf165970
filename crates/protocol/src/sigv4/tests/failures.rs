//! Claims that are refused, and the words in which they are.

use std::time::Duration;

use super::*;
use crate::sigv4::{Family, Payload, Presented, sign};

const HOST: (&str, &str) = ("host", "sqs.us-east-1.amazonaws.com");
const SQS: Scope<'_> = Scope { region: "us-east-1", service: "sqs" };
const NOW: &str = "20150830T123600Z";
const FIELDS: &str = "Credential=AKIDEXAMPLE/20150830/us-east-1/sqs/aws4_request, \
                      SignedHeaders=host;x-amz-date, Signature=0000";

fn refusal(call: &Call) -> SigV4Error {
    call.verify(KEY.secret, b"", time(NOW)).unwrap_err()
}

fn with_authorization(value: &str, date: Option<&str>) -> Call {
    let mut call = Call::new("POST", "/", "", &[HOST]);
    call.append("authorization", value);
    if let Some(date) = date {
        call.append("x-amz-date", date);
    }
    call
}

#[test]
fn headers_that_are_incomplete_or_malformed() {
    let date = Some(NOW);
    for (value, date, code, message) in [
        (
            "AWS4-HMAC-SHA256",
            date,
            "IncompleteSignature",
            "Authorization header requires 'Credential' parameter. Authorization header requires \
             'Signature' parameter. Authorization header requires 'SignedHeaders' parameter. \
             Authorization=AWS4-HMAC-SHA256",
        ),
        (
            "AWS4-HMAC-SHA256 Credential=a, SignedHeaders=b, Signature=c",
            None,
            "IncompleteSignature",
            "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header. \
             Authorization=AWS4-HMAC-SHA256 Credential=a, SignedHeaders=b, Signature=c",
        ),
        (
            "AWS4-HMAC-SHA256 Credential=a, SignedHeaders=b, Signature=c",
            date,
            "IncompleteSignature",
            "Credential must have exactly 5 slash-delimited elements, e.g. \
             keyid/date/region/service/term, got 'a'",
        ),
        (
            "AWS4-HMAC-SHA256 Credential=a/20150830/b/c/aws3_request, SignedHeaders=b, Signature=c",
            date,
            "SignatureDoesNotMatch",
            "Credential should be scoped with a valid terminator: 'aws4_request', not \
             'aws3_request'.",
        ),
        (
            "AWS4-HMAC-SHA256 Credential=a/20150829/b/c/aws4_request, SignedHeaders=b, Signature=c",
            date,
            "SignatureDoesNotMatch",
            "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from \
             HTTP: '20150829' != '20150830', from '20150830T123600Z'.",
        ),
        (
            "AWS4-HMAC-SHA256 Credential=a/20150830/b/c/aws4_request, SignedHeaders=b, Signature=c",
            Some("2015-08-30T12:36:00Z"),
            "IncompleteSignature",
            "Date must be in ISO-8601 'basic format'. Got '2015-08-30T12:36:00Z'. See \
             http://en.wikipedia.org/wiki/ISO_8601",
        ),
        (
            "AWS4-HMAC-SHA256 Credential=a/20150830/b/c/aws4_request, SignedHeaders=b, Signature=c",
            date,
            "SignatureDoesNotMatch",
            "'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization.",
        ),
        ("Basic Zm9v", date, "IncompleteSignature", "Unsupported AWS 'algorithm': 'Basic'."),
    ] {
        let answer = refusal(&with_authorization(value, date)).answer(Family::Query);
        assert_eq!((answer.code, answer.message.as_str()), (code, message), "{value}");
    }
    let wrong = refusal(&with_authorization(&format!("AWS4-HMAC-SHA256 {FIELDS}"), date));
    assert!(matches!(wrong, SigV4Error::Mismatch(_)), "{wrong:?}");
}

#[test]
fn each_family_has_its_codes() {
    let mismatch = refusal(&with_authorization(&format!("AWS4-HMAC-SHA256 {FIELDS}"), Some(NOW)));
    let incomplete = refusal(&with_authorization("AWS4-HMAC-SHA256", Some(NOW)));
    let missing = SigV4Error::MissingAuthenticationToken;
    let expired =
        SigV4Error::Expired { signed_at: time("20150830T120000Z"), now: time("20150830T123600Z") };
    for (error, family, code, status) in [
        (&mismatch, Family::Query, "SignatureDoesNotMatch", 403),
        (&mismatch, Family::Ec2, "AuthFailure", 401),
        (&mismatch, Family::Json, "InvalidSignatureException", 400),
        (&mismatch, Family::Rest, "InvalidSignatureException", 403),
        (&mismatch, Family::S3, "SignatureDoesNotMatch", 403),
        (&incomplete, Family::Query, "IncompleteSignature", 400),
        (&incomplete, Family::Ec2, "IncompleteSignature", 400),
        (&incomplete, Family::Json, "IncompleteSignatureException", 400),
        (&incomplete, Family::S3, "AuthorizationHeaderMalformed", 400),
        (&missing, Family::Query, "MissingAuthenticationToken", 403),
        (&missing, Family::Json, "MissingAuthenticationTokenException", 400),
        (&missing, Family::Rest, "MissingAuthenticationTokenException", 403),
        (&missing, Family::S3, "AccessDenied", 403),
        (&expired, Family::Query, "SignatureDoesNotMatch", 403),
        (&expired, Family::Ec2, "RequestExpired", 400),
        (&expired, Family::Json, "InvalidSignatureException", 400),
        (&expired, Family::S3, "RequestTimeTooSkewed", 403),
    ] {
        let answer = error.answer(family);
        assert_eq!((answer.code, answer.status), (code, status), "{error:?} {family:?}");
        assert!(!answer.message.is_empty());
    }
    let members: Vec<_> = mismatch.answer(Family::S3).members;
    let names: Vec<_> = members.iter().map(|(name, _)| *name).collect();
    assert_eq!(
        names,
        [
            "AWSAccessKeyId",
            "StringToSign",
            "SignatureProvided",
            "StringToSignBytes",
            "CanonicalRequest",
            "CanonicalRequestBytes"
        ]
    );
}

#[test]
fn clocks_may_differ_by_fifteen_minutes() {
    let call = Call::new("POST", "/", "", &[HOST]);
    let signed_at = time(NOW);
    let signed = sign(&call.parts(), Payload::Bytes(b""), &KEY, &SQS, signed_at);
    let call = call.signed(&signed.headers);
    let minutes = |n: u64| Duration::from_secs(60 * n);
    assert!(call.verify(KEY.secret, b"", signed_at + minutes(15)).is_ok());
    assert!(call.verify(KEY.secret, b"", signed_at - minutes(15)).is_ok());
    let late = call.verify(KEY.secret, b"", signed_at + minutes(16)).unwrap_err();
    assert_eq!(
        late.answer(Family::Query).message,
        "Signature expired: 20150830T123600Z is now earlier than 20150830T123700Z \
         (20150830T125200Z - 15 min.)"
    );
    let early = call.verify(KEY.secret, b"", signed_at - minutes(16)).unwrap_err();
    assert_eq!(
        early.answer(Family::Query).message,
        "Signature not yet current: 20150830T123600Z is still later than 20150830T123500Z \
         (20150830T122000Z + 15 min.)"
    );
    assert_eq!(early.answer(Family::S3).code, "RequestTimeTooSkewed");
}

#[test]
fn scopes_must_be_those_of_the_endpoint() {
    let call = with_authorization(&format!("AWS4-HMAC-SHA256 {FIELDS}"), Some(NOW));
    let claim = Claim::parse(&call.parts()).unwrap().unwrap();
    assert_eq!(claim.presented, Presented::Header);
    assert_eq!(claim.scope(), "20150830/us-east-1/sqs/aws4_request");
    assert_eq!(claim.check_scope("us-east-1", &["sns", "sqs"]), Ok(()));
    let region = claim.check_scope("eu-west-1", &["sqs"]).unwrap_err();
    let answer = region.answer(Family::S3);
    assert_eq!(answer.code, "AuthorizationHeaderMalformed");
    assert_eq!(
        answer.message,
        "The authorization header is malformed; the region 'us-east-1' is wrong; expecting \
         'eu-west-1'"
    );
    assert_eq!(answer.members, [("Region", "eu-west-1".to_owned())]);
    let service = claim.check_scope("us-east-1", &["sns"]).unwrap_err();
    assert_eq!(
        service.answer(Family::Query).message,
        "Credential should be scoped to correct service: 'sns'."
    );
}

#[test]
fn queries_that_are_malformed_in_s3() {
    let query = |expires: &str, credential: &str, date: &str| {
        format!(
            "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential={credential}&X-Amz-Date={date}&\
             X-Amz-Expires={expires}&X-Amz-SignedHeaders=host&X-Amz-Signature=00"
        )
    };
    let good = "a%2F20150830%2Fus-east-1%2Fs3%2Faws4_request";
    let code = "AuthorizationQueryParametersError";
    for (query, message) in [
        (query("x", good, NOW), "X-Amz-Expires should be a number"),
        (query("-1", good, NOW), "X-Amz-Expires must be non-negative"),
        (
            query("604801", good, NOW),
            "X-Amz-Expires must be less than a week (in seconds); that is, the given X-Amz-Expires \
             must be less than 604800 seconds",
        ),
        (
            query("60", "a", NOW),
            "Error parsing the X-Amz-Credential parameter; the Credential is mal-formed; expecting \
             \"<YOUR-AKID>/YYYYMMDD/REGION/SERVICE/aws4_request\".",
        ),
        (
            query("60", good, "now"),
            "X-Amz-Date must be in the ISO8601 Long Format \"yyyyMMdd'T'HHmmss'Z'\"",
        ),
        (
            "X-Amz-Algorithm=AWS4-HMAC-SHA256".to_owned(),
            "Query-string authentication version 4 requires the X-Amz-Algorithm, \
             X-Amz-Credential, X-Amz-Signature, X-Amz-Date, X-Amz-SignedHeaders, and X-Amz-Expires \
             parameters.",
        ),
        (
            "X-Amz-Algorithm=AWS4-HMAC-SHA1".to_owned(),
            "X-Amz-Algorithm only supports \"AWS4-HMAC-SHA256 and AWS4-ECDSA-P256-SHA256\"",
        ),
        (
            query("60", good, NOW).replace("X-Amz-Expires=60&", ""),
            "Query-string authentication version 4 requires the X-Amz-Algorithm, \
             X-Amz-Credential, X-Amz-Signature, X-Amz-Date, X-Amz-SignedHeaders, and X-Amz-Expires \
             parameters.",
        ),
    ] {
        let answer = refusal(&Call::new("GET", "/k", &query, &[HOST])).answer(Family::S3);
        assert_eq!((answer.code, answer.message.as_str()), (code, message), "{query}");
    }
}

#[test]
fn s3_wants_its_headers_signed_and_the_body_named() {
    let call = Call::new("PUT", "/k", "", &[HOST]);
    let signed = sign(&call.parts(), Payload::Bytes(b"x"), &KEY, &S3, time(NOW));
    let mut call = call.signed(&signed.headers);
    let other = call.verify(KEY.secret, b"y", time(NOW)).unwrap_err();
    assert_eq!(other.answer(Family::S3).code, "XAmzContentSHA256Mismatch");
    call.append("x-amz-acl", "public-read");
    let answer = call.verify(KEY.secret, b"x", time(NOW)).unwrap_err().answer(Family::S3);
    assert_eq!(answer.code, "AccessDenied");
    assert_eq!(answer.members, [("HeadersNotSigned", "x-amz-acl".to_owned())]);
    call.headers.insert("x-amz-content-sha256", "nonsense".parse().unwrap());
    assert_eq!(refusal(&call), SigV4Error::BadContentSha256);
    call.headers.remove("x-amz-content-sha256");
    assert_eq!(refusal(&call), SigV4Error::MissingContentSha256);
}

#[test]
fn two_signatures_are_one_too_many() {
    let mut call = with_authorization(&format!("AWS4-HMAC-SHA256 {FIELDS}"), Some(NOW));
    call.query = "X-Amz-Algorithm=AWS4-HMAC-SHA256".to_owned();
    assert_eq!(refusal(&call), SigV4Error::SeveralMechanisms);
    call.query.clear();
    call.append("authorization", "AWS4-HMAC-SHA256 x");
    assert_eq!(refusal(&call), SigV4Error::SeveralMechanisms);
    let unsigned = Call::new("GET", "/", "", &[HOST]);
    assert_eq!(Claim::parse(&unsigned.parts()), Ok(None));
}

#[test]
fn the_authority_stands_for_the_host() {
    let call = Call::new("GET", "/", "", &[]);
    let mut parts = call.parts();
    parts.authority = Some("sqs.us-east-1.amazonaws.com");
    let by_authority = sign(&parts, Payload::Bytes(b""), &KEY, &SQS, time(NOW));
    let by_host = Call::new("GET", "/", "", &[HOST]);
    let by_host = sign(&by_host.parts(), Payload::Bytes(b""), &KEY, &SQS, time(NOW));
    assert_eq!(by_authority.headers, by_host.headers);
}

#[test]
fn a_cached_key_serves_only_its_own_secret() {
    let keys = KeyCache::new();
    let call = Call::new("POST", "/", "", &[HOST]);
    let signed = sign(&call.parts(), Payload::Bytes(b""), &KEY, &SQS, time(NOW));
    let call = call.signed(&signed.headers);
    let parts = call.parts();
    let claim = Claim::parse(&parts).unwrap().unwrap();
    let check = |secret| verify(&claim, secret, &parts, &sha256_hex(b""), time(NOW), &keys).is_ok();
    assert!(check(KEY.secret));
    assert!(!check("changed"));
    assert!(check(KEY.secret));
    assert!(check(KEY.secret));
}
