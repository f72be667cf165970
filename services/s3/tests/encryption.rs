//! Encryption: what the store does by itself, and keys that clients bring along.

mod fixture;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use fixture::{Fixture, code, create, header, outcome, send, start, text};
use md5::{Digest, Md5};

/// The three headers of a key, for the object or for the source of a copy.
fn key(byte: u8, source: bool) -> Vec<(String, String)> {
    let bytes = [byte; 32];
    let start = if source { "x-amz-copy-source-" } else { "x-amz-" };
    let name = |part: &str| format!("{start}server-side-encryption-customer-{part}");
    vec![
        (name("algorithm"), "AES256".to_owned()),
        (name("key"), STANDARD.encode(bytes)),
        (name("key-md5"), STANDARD.encode(Md5::digest(bytes))),
    ]
}

fn plain(headers: &[(String, String)]) -> Vec<(&str, &str)> {
    headers.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect()
}

const ALLOW: &str = "<ServerSideEncryptionConfiguration><Rule><ApplyServerSideEncryptionByDefault><SSEAlgorithm>AES256</SSEAlgorithm></ApplyServerSideEncryptionByDefault><BlockedEncryptionTypes><EncryptionType>NONE</EncryptionType></BlockedEncryptionTypes></Rule></ServerSideEncryptionConfiguration>";

async fn bucket_for_keys() -> Fixture {
    let fixture = start().await;
    let root = fixture.cloud.root();
    root.call(create("sealed")).await.expect("a new name");
    let put = outcome(&root, "PUT", "/sealed?encryption", &[], ALLOW.as_bytes()).await;
    assert_eq!(put.0, 200, "{}", put.1);
    fixture
}

#[tokio::test]
async fn a_new_bucket_takes_no_keys_of_clients() {
    let fixture = start().await;
    let root = fixture.cloud.root();
    root.call(create("modern")).await.unwrap();
    let got = text(&send(&root, "GET", "/modern?encryption", &[], b"").await);
    assert!(got.contains("<EncryptionType>SSE-C</EncryptionType>"), "{got}");
    let mine = key(1, false);
    let refused = outcome(&root, "PUT", "/modern/a", &plain(&mine), b"1").await;
    assert_eq!(refused, (403, "AccessDenied".to_owned()));
    let put = send(&root, "PUT", "/modern/a", &[], b"1").await;
    assert_eq!(header(&put, "x-amz-server-side-encryption"), "AES256");
    let useless = send(&root, "GET", "/modern/a", &plain(&mine), b"").await;
    assert_eq!((useless.status().as_u16(), code(&useless).as_str()), (400, "InvalidRequest"));
}

#[tokio::test]
async fn without_the_key_nobody_reads() {
    let fixture = bucket_for_keys().await;
    let root = fixture.cloud.root();
    let (mine, other) = (key(1, false), key(2, false));
    let body: Vec<u8> = (0..100_000u32).map(|n| u8::try_from(n % 251).unwrap()).collect();
    let put = send(&root, "PUT", "/sealed/a", &plain(&mine), &body).await;
    assert_eq!(put.status(), 200, "{}", text(&put));
    assert_eq!(header(&put, "x-amz-server-side-encryption-customer-algorithm"), "AES256");
    assert_eq!(header(&put, "x-amz-server-side-encryption-customer-key-md5"), mine[2].1);
    assert_eq!(header(&put, "x-amz-server-side-encryption"), "");
    let got = send(&root, "GET", "/sealed/a", &plain(&mine), b"").await;
    assert_eq!((got.status().as_u16(), got.body().as_ref()), (200, body.as_slice()));
    let mut ranged = plain(&mine);
    ranged.push(("range", "bytes=33333-70001"));
    let part = send(&root, "GET", "/sealed/a", &ranged, b"").await;
    assert_eq!((part.status().as_u16(), part.body().as_ref()), (206, &body[33333..=70001]));
    let without = outcome(&root, "GET", "/sealed/a", &[], b"").await;
    assert_eq!(without, (400, "InvalidRequest".to_owned()));
    assert_eq!(outcome(&root, "HEAD", "/sealed/a", &[], b"").await.0, 400);
    let wrong = outcome(&root, "GET", "/sealed/a", &plain(&other), b"").await;
    assert_eq!(wrong, (403, "AccessDenied".to_owned()));
    let mut attributes = plain(&mine);
    attributes.push(("x-amz-object-attributes", "ObjectSize"));
    assert_eq!(outcome(&root, "GET", "/sealed/a?attributes", &attributes[3..], b"").await.0, 400);
    assert_eq!(outcome(&root, "GET", "/sealed/a?attributes", &attributes, b"").await.0, 200);
    // The key is nowhere on disk, and neither are the bytes.
    let copied = [("x-amz-copy-source", "/sealed/a")];
    assert_eq!(outcome(&root, "PUT", "/sealed/b", &copied, b"").await.0, 400);
    let source = key(1, true);
    let mut both = plain(&source);
    both.extend(copied);
    both.extend(plain(&other));
    let copy = outcome(&root, "PUT", "/sealed/b", &both, b"").await;
    assert_eq!(copy.0, 200, "{}", copy.1);
    let got = send(&root, "GET", "/sealed/b", &plain(&other), b"").await;
    assert_eq!(got.body().as_ref(), body.as_slice());
}

#[tokio::test]
async fn keys_are_checked_before_anything_is_read() {
    let fixture = bucket_for_keys().await;
    let root = fixture.cloud.root();
    let mine = key(1, false);
    for (at, value) in [
        (0, Some("AES128")),
        (0, None),
        (1, Some("c2hvcnQ=")),
        (1, None),
        (2, Some("AAAAAAAAAAAAAAAAAAAAAA==")),
        (2, None),
    ] {
        let mut headers = mine.clone();
        match value {
            Some(value) => value.clone_into(&mut headers[at].1),
            None => drop(headers.remove(at)),
        }
        let refused = outcome(&root, "PUT", "/sealed/a", &plain(&headers), b"1").await;
        assert_eq!(refused, (400, "InvalidArgument".to_owned()), "{at} {value:?}");
    }
    let mut both = plain(&mine);
    both.push(("x-amz-server-side-encryption", "AES256"));
    let refused = outcome(&root, "PUT", "/sealed/a", &both, b"1").await;
    assert_eq!(refused, (400, "InvalidArgument".to_owned()));
}

#[tokio::test]
async fn all_parts_bring_the_key_of_their_upload() {
    let fixture = bucket_for_keys().await;
    let root = fixture.cloud.root();
    let (mine, other) = (key(1, false), key(2, false));
    let begun = text(&send(&root, "POST", "/sealed/big?uploads", &plain(&mine), b"").await);
    let id = begun.split("<UploadId>").nth(1).unwrap().split("</UploadId>").next().unwrap();
    let part = |number: u32| format!("/sealed/big?partNumber={number}&uploadId={id}");
    let first = vec![7u8; 5 * 1024 * 1024];
    for headers in [&[][..], &plain(&other)] {
        let refused = outcome(&root, "PUT", &part(1), headers, b"1").await;
        assert_eq!(refused, (400, "InvalidRequest".to_owned()));
    }
    let mut etags = Vec::new();
    for (number, bytes) in [(1, first.as_slice()), (2, b"tail".as_slice())] {
        let put = send(&root, "PUT", &part(number), &plain(&mine), bytes).await;
        assert_eq!(put.status(), 200, "{}", text(&put));
        etags.push(header(&put, "etag").to_owned());
    }
    let listed: String = etags
        .iter()
        .zip(1..)
        .map(|(etag, number)| {
            format!("<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>")
        })
        .collect();
    let body = format!("<CompleteMultipartUpload>{listed}</CompleteMultipartUpload>");
    let done =
        send(&root, "POST", &format!("/sealed/big?uploadId={id}"), &[], body.as_bytes()).await;
    assert_eq!(done.status(), 200, "{}", text(&done));
    let mut ranged = plain(&mine);
    ranged.push(("range", "bytes=5242875-"));
    let got = send(&root, "GET", "/sealed/big", &ranged, b"").await;
    assert_eq!(got.body().as_ref(), b"\x07\x07\x07\x07\x07tail");
    assert_eq!(outcome(&root, "GET", "/sealed/big", &[], b"").await.0, 400);
}

#[tokio::test]
async fn a_disabled_key_closes_what_it_sealed() {
    let fixture = start().await;
    let root = fixture.cloud.root();
    root.call(create("vault")).await.unwrap();
    let made = root.call(kms_api::CreateKeyInput::default()).await.unwrap().key_metadata.unwrap();
    let arn = made.arn.clone().unwrap();
    let kms = [
        ("x-amz-server-side-encryption", "aws:kms"),
        ("x-amz-server-side-encryption-aws-kms-key-id", arn.as_str()),
    ];
    let put = send(&root, "PUT", "/vault/a", &kms, b"secret bytes").await;
    assert_eq!(put.status(), 200, "{}", text(&put));
    assert_eq!(header(&put, "x-amz-server-side-encryption"), "aws:kms");
    assert_eq!(header(&put, "x-amz-server-side-encryption-aws-kms-key-id"), arn);
    let got = send(&root, "GET", "/vault/a", &[("range", "bytes=7-11")], b"").await;
    assert_eq!(
        (got.status().as_u16(), got.body().as_ref()),
        (206, b"bytes".as_ref()),
        "{}",
        text(&got)
    );
    assert_eq!(header(&got, "x-amz-server-side-encryption"), "aws:kms");
    let disable = kms_api::DisableKeyInput { key_id: arn.clone() };
    root.call(disable).await.unwrap();
    let closed = outcome(&root, "GET", "/vault/a", &[], b"").await;
    assert_eq!(closed, (400, "KMS.DisabledException".to_owned()));
    assert_eq!(outcome(&root, "HEAD", "/vault/a", &[], b"").await.0, 200);
    assert_eq!(outcome(&root, "PUT", "/vault/b", &kms, b"1").await.1, "KMS.DisabledException");
    let enable = kms_api::EnableKeyInput { key_id: arn };
    root.call(enable).await.unwrap();
    assert_eq!(send(&root, "GET", "/vault/a", &[], b"").await.body().as_ref(), b"secret bytes");
    // Whoever may read the bucket but not use the key reads nothing.
    let reader = fixture.cloud.user("reader", r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:*","Resource":"*"}]}"#);
    assert_eq!(
        outcome(&reader, "GET", "/vault/a", &[], b"").await,
        (403, "AccessDenied".to_owned())
    );
    let unknown = [
        ("x-amz-server-side-encryption", "aws:kms"),
        ("x-amz-server-side-encryption-aws-kms-key-id", "alias/none"),
    ];
    let refused = outcome(&root, "PUT", "/vault/c", &unknown, b"1").await;
    assert_eq!(refused, (400, "KMS.NotFoundException".to_owned()));
    let lost = [("x-amz-server-side-encryption-aws-kms-key-id", "alias/none")];
    assert_eq!(outcome(&root, "PUT", "/vault/c", &lost, b"1").await.1, "InvalidArgument");
}

#[tokio::test]
async fn the_default_of_a_bucket_seals_what_says_nothing() {
    let fixture = start().await;
    let root = fixture.cloud.root();
    root.call(create("defaults")).await.unwrap();
    let rule = |algorithm: &str| {
        format!(
            "<ServerSideEncryptionConfiguration><Rule><ApplyServerSideEncryptionByDefault><SSEAlgorithm>{algorithm}</SSEAlgorithm></ApplyServerSideEncryptionByDefault><BucketKeyEnabled>true</BucketKeyEnabled></Rule></ServerSideEncryptionConfiguration>"
        )
    };
    for (algorithm, bucket_key) in [("aws:kms", "true"), ("aws:kms:dsse", "")] {
        let set =
            outcome(&root, "PUT", "/defaults?encryption", &[], rule(algorithm).as_bytes()).await;
        assert_eq!(set.0, 200, "{}", set.1);
        let got = text(&send(&root, "GET", "/defaults?encryption", &[], b"").await);
        assert!(got.contains(algorithm), "{got}");
        let put = send(&root, "PUT", "/defaults/a", &[], b"0123456789").await;
        assert_eq!(put.status(), 200, "{}", text(&put));
        assert_eq!(header(&put, "x-amz-server-side-encryption"), algorithm);
        assert_eq!(header(&put, "x-amz-server-side-encryption-bucket-key-enabled"), bucket_key);
        assert!(header(&put, "x-amz-server-side-encryption-aws-kms-key-id").contains(":key/"));
        let got = send(&root, "GET", "/defaults/a", &[("range", "bytes=3-5")], b"").await;
        assert_eq!(got.body().as_ref(), b"345");
        let copied =
            [("x-amz-copy-source", "/defaults/a"), ("x-amz-server-side-encryption", "AES256")];
        assert_eq!(outcome(&root, "PUT", "/defaults/b", &copied, b"").await.0, 200);
        let plain = send(&root, "GET", "/defaults/b", &[], b"").await;
        assert_eq!(plain.body().as_ref(), b"0123456789");
        assert_eq!(header(&plain, "x-amz-server-side-encryption"), "AES256");
    }
    let begun = text(&send(&root, "POST", "/defaults/big?uploads", &[], b"").await);
    let id = begun.split("<UploadId>").nth(1).unwrap().split("</UploadId>").next().unwrap();
    let put =
        send(&root, "PUT", &format!("/defaults/big?partNumber=1&uploadId={id}"), &[], b"part")
            .await;
    assert_eq!(header(&put, "x-amz-server-side-encryption"), "aws:kms:dsse", "{}", text(&put));
    let body = format!(
        "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>{}</ETag></Part></CompleteMultipartUpload>",
        header(&put, "etag")
    );
    let done =
        send(&root, "POST", &format!("/defaults/big?uploadId={id}"), &[], body.as_bytes()).await;
    assert_eq!(done.status(), 200, "{}", text(&done));
    assert_eq!(send(&root, "GET", "/defaults/big", &[], b"").await.body().as_ref(), b"part");
}
