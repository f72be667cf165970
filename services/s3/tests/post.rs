//! Uploads by forms, and the bounds of presigned requests.

mod fixture;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use fixture::{Fixture, browse, code, create, header, put_policy, send, start, text, unblock};
use protocol::sigv4::SigningKey;

const SECRET: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
const BOUNDARY: &str = "9431149156168";

fn form(fields: &[(String, String)], file: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, value) in fields {
        let part = format!(
            "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n"
        );
        out.extend_from_slice(part.as_bytes());
    }
    let head = format!(
        "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"photo.jpg\"\r\nContent-Type: image/jpeg\r\n\r\n"
    );
    out.extend_from_slice(head.as_bytes());
    out.extend_from_slice(file);
    let tail = format!(
        "\r\n--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"submit\"\r\n\r\nUpload\r\n--{BOUNDARY}--\r\n"
    );
    out.extend_from_slice(tail.as_bytes());
    out
}

/// The fields of a form whose policy `key` signed.
fn signed(
    fixture: &Fixture,
    key: &str,
    conditions: &str,
    fields: &[(&str, &str)],
) -> Vec<(String, String)> {
    let now = fixture.cloud.kernel.clock().now();
    let date = now.iso8601_basic();
    let day = date[..8].to_owned();
    let credential = format!("{key}/{day}/{}/s3/aws4_request", testkit::REGION);
    let until = (now + std::time::Duration::from_secs(600)).iso8601_seconds();
    let policy = format!(
        r#"{{"expiration":"{until}","conditions":[{conditions},{{"x-amz-credential":"{credential}"}},{{"x-amz-algorithm":"AWS4-HMAC-SHA256"}},{{"x-amz-date":"{date}"}}]}}"#
    );
    let policy = STANDARD.encode(policy);
    let signature = SigningKey::derive(SECRET, &day, testkit::REGION, "s3").sign(&policy);
    let mut all: Vec<(String, String)> =
        fields.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
    for (name, value) in [
        ("X-Amz-Credential", credential),
        ("X-Amz-Algorithm", "AWS4-HMAC-SHA256".to_owned()),
        ("X-Amz-Date", date),
        ("Policy", policy),
        ("X-Amz-Signature", signature),
    ] {
        all.push((name.to_owned(), value));
    }
    all
}

async fn post(
    fixture: &Fixture,
    fields: &[(String, String)],
    file: &[u8],
) -> http::Response<bytes::Bytes> {
    let kind = format!("multipart/form-data; boundary={BOUNDARY}");
    let body = form(fields, file);
    browse(&fixture.cloud.root(), "POST", "/forms", &[("content-type", &kind)], &body).await
}

const OPEN: &str = r#"{"bucket":"forms"},["starts-with","$key","user/"]"#;

#[tokio::test]
async fn a_signed_form_becomes_an_object() {
    let fixture = start().await;
    let root = fixture.cloud.root();
    root.call(create("forms")).await.unwrap();
    let conditions = format!(
        r#"{OPEN},{{"success_action_status":"201"}},["starts-with","$Content-Type","image/"],{{"x-amz-meta-tag":"x"}},["content-length-range",1,10],["starts-with","$tagging",""]"#
    );
    let fields = [
        ("key", "user/${filename}"),
        ("success_action_status", "201"),
        ("Content-Type", "image/jpeg"),
        ("x-amz-meta-tag", "x"),
        ("tagging", "<Tagging><TagSet><Tag><Key>a</Key><Value>b</Value></Tag></TagSet></Tagging>"),
    ];
    let fields = signed(&fixture, "AKIAROOT", &conditions, &fields);
    let answer = post(&fixture, &fields, b"picture").await;
    assert_eq!(answer.status(), 201, "{}", text(&answer));
    assert!(text(&answer).contains("<Key>user/photo.jpg</Key>"), "{}", text(&answer));
    let got = send(&root, "GET", "/forms/user/photo.jpg", &[], b"").await;
    assert_eq!(got.body().as_ref(), b"picture");
    assert_eq!(header(&got, "content-type"), "image/jpeg");
    assert_eq!(header(&got, "x-amz-meta-tag"), "x");
    assert_eq!(header(&got, "x-amz-tagging-count"), "1");
    for (file, want) in [(b"".as_slice(), "EntityTooSmall"), (b"01234567890", "EntityTooLarge")] {
        let refused = post(&fixture, &fields, file).await;
        assert_eq!((refused.status().as_u16(), code(&refused).as_str()), (400, want));
    }
    let mut extra = fields.clone();
    extra.push(("acl".to_owned(), "private".to_owned()));
    assert_eq!(code(&post(&fixture, &extra, b"picture").await), "AccessDenied");
    let mut forged = fields.clone();
    forged.last_mut().unwrap().1 = "0".repeat(64);
    assert_eq!(code(&post(&fixture, &forged, b"picture").await), "SignatureDoesNotMatch");
    fixture.cloud.advance(std::time::Duration::from_secs(601));
    let late = post(&fixture, &fields, b"picture").await;
    assert_eq!((late.status().as_u16(), code(&late).as_str()), (403, "AccessDenied"));
    assert!(text(&late).contains("Policy expired"), "{}", text(&late));
}

#[tokio::test]
async fn the_signer_must_be_allowed_to_write() {
    let fixture = start().await;
    fixture.cloud.root().call(create("forms")).await.unwrap();
    fixture.cloud.nobody();
    let fields = signed(&fixture, "AKIANOBODY", OPEN, &[("key", "user/a")]);
    assert_eq!(post(&fixture, &fields, b"1").await.status(), 403);
    let unknown = signed(&fixture, "AKIAUNKNOWN", OPEN, &[("key", "user/a")]);
    assert_eq!(code(&post(&fixture, &unknown, b"1").await), "InvalidAccessKeyId");
    let old = vec![
        ("key".to_owned(), "user/a".to_owned()),
        ("AWSAccessKeyId".to_owned(), "AKIAROOT".to_owned()),
        ("Signature".to_owned(), "x".to_owned()),
        ("Policy".to_owned(), STANDARD.encode("{}")),
    ];
    let refused = post(&fixture, &old, b"1").await;
    assert_eq!(code(&refused), "InvalidRequest");
    assert!(text(&refused).contains("AWS4-HMAC-SHA256"), "{}", text(&refused));
}

#[tokio::test]
async fn an_unsigned_form_is_judged_as_everyone_is() {
    let fixture = start().await;
    let root = fixture.cloud.root();
    root.call(create("forms")).await.unwrap();
    let plain = |status: &str| {
        vec![
            ("key".to_owned(), "a b".to_owned()),
            ("success_action_redirect".to_owned(), status.to_owned()),
        ]
    };
    assert_eq!(post(&fixture, &plain(""), b"1").await.status(), 403);
    unblock(&root, "forms").await;
    put_policy(&root, "forms", r#"{"Effect":"Allow","Principal":"*","Action":"s3:PutObject","Resource":"arn:aws:s3:::forms/*"}"#).await;
    assert_eq!(post(&fixture, &plain(""), b"1").await.status(), 204);
    let answer = post(&fixture, &plain("https://example.com/done?x=1"), b"1").await;
    assert_eq!(answer.status(), 303);
    let to = header(&answer, "location");
    assert!(to.starts_with("https://example.com/done?x=1&bucket=forms&key=a+b&etag=%22"), "{to}");
    let no_key = post(&fixture, &[], b"1").await;
    assert_eq!((no_key.status().as_u16(), code(&no_key).as_str()), (400, "InvalidArgument"));
    let kind = [("content-type", "multipart/form-data; boundary=x")];
    let broken = browse(&root, "POST", "/forms", &kind, b"nothing").await;
    assert_eq!(code(&broken), "MalformedPOSTRequest");
}

#[tokio::test]
async fn what_is_presigned_has_bounds() {
    let fixture = start().await;
    let root = fixture.cloud.root();
    root.call(create("forms")).await.unwrap();
    let date = fixture.cloud.kernel.clock().now().iso8601_basic();
    let query = |expires: &str| {
        format!(
            "/forms/a?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIAROOT%2F{}%2F{}%2Fs3%2Faws4_request&X-Amz-Date={date}{expires}&X-Amz-SignedHeaders=host&X-Amz-Signature=00",
            &date[..8],
            testkit::REGION
        )
    };
    for (path, status, want) in [
        (query("&X-Amz-Expires=604801"), 400, "AuthorizationQueryParametersError"),
        (query("&X-Amz-Expires=-1"), 400, "AuthorizationQueryParametersError"),
        (query(""), 400, "AuthorizationQueryParametersError"),
        (query("&X-Amz-Expires=60"), 403, "SignatureDoesNotMatch"),
        (
            "/forms/a?AWSAccessKeyId=AKIAROOT&Signature=x&Expires=1".to_owned(),
            400,
            "InvalidRequest",
        ),
    ] {
        let answer = browse(&root, "GET", &path, &[], b"").await;
        assert_eq!((answer.status().as_u16(), code(&answer).as_str()), (status, want), "{path}");
    }
    let old = [("authorization", "AWS AKIAROOT:frJIUN8DYpKDtOLCwo//yllqDzg=")];
    assert_eq!(code(&browse(&root, "GET", "/forms/a", &old, b"").await), "InvalidRequest");
}
