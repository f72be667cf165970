//! Buckets and objects over HTTP.

use std::sync::Arc;

use bytes::Bytes;
use http::Request;
use kernel::cipher::Cipher;
use s3_api::{
    CompleteMultipartUploadInput, CompletedMultipartUpload, CompletedPart, CopyObjectInput,
    CreateBucketConfiguration, CreateBucketInput, CreateMultipartUploadInput, Delete,
    DeleteBucketInput, DeleteObjectsInput, DeletePublicAccessBlockInput, GetBucketLocationInput,
    GetObjectTaggingInput, HeadObjectInput, ListBucketsInput, ListMultipartUploadsInput,
    ListObjectsInput, ListObjectsV2Input, ListPartsInput, ObjectIdentifier, PutBucketPolicyInput,
};
use testkit::{Cloud, TestClient};

struct Zeroes;

impl base::Random for Zeroes {
    fn fill(&self, bytes: &mut [u8]) {
        bytes.fill(0);
    }
}

fn service(folder: &std::path::Path) -> kernel::ServiceDef {
    let blobs = Arc::new(blob::LocalBlobs::new(&folder.join("objects"), [5; 32]));
    let cipher = Cipher::new([1; 32], Arc::new(Zeroes));
    s3::service(s3::Drivers { blobs, cipher }).into()
}

struct Fixture {
    cloud: Cloud,
    _folder: tempfile::TempDir,
}

async fn start() -> Fixture {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let cloud = Cloud::start(vec![service(folder.path())]).await;
    Fixture { cloud, _folder: folder }
}

fn create(bucket: &str) -> CreateBucketInput {
    CreateBucketInput {
        bucket: bucket.to_owned(),
        create_bucket_configuration: Some(CreateBucketConfiguration {
            location_constraint: testkit::REGION.parse().ok(),
            ..Default::default()
        }),
        ..Default::default()
    }
}

/// A signed request with a body, as clients send objects: status, headers and body of the answer.
async fn send(
    client: &TestClient,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> http::Response<Bytes> {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    client.send("s3", request.body(Bytes::copy_from_slice(body)).expect("a request")).await
}

fn text(response: &http::Response<Bytes>) -> String {
    String::from_utf8_lossy(response.body()).into_owned()
}

fn header<'a>(response: &'a http::Response<Bytes>, name: &str) -> &'a str {
    response.headers().get(name).map(|v| v.to_str().expect("text")).unwrap_or_default()
}

#[tokio::test]
async fn a_bucket_name_belongs_to_one_account() {
    let fixture = start().await;
    let root = fixture.cloud.root();
    let output = root.call(create("first-bucket")).await.unwrap();
    assert_eq!(output.location.as_deref(), Some("http://first-bucket.s3.amazonaws.com/"));
    let again = root.call(create("first-bucket")).await.unwrap_err();
    assert_eq!((again.code.as_str(), again.status), ("BucketAlreadyOwnedByYou", 409));
    let bad = root.call(create("Bad_Name")).await.unwrap_err();
    assert_eq!(bad.code, "InvalidBucketName");
    let plain = CreateBucketInput { bucket: "no-place".to_owned(), ..Default::default() };
    let unplaced = root.call(plain).await.unwrap_err();
    assert_eq!(unplaced.code, "IllegalLocationConstraintException");
    let location =
        GetBucketLocationInput { bucket: "first-bucket".to_owned(), expected_bucket_owner: None };
    let location = root.call(location).await.unwrap().location_constraint;
    assert_eq!(location.map(|l| l.as_str()), Some(testkit::REGION));
    let listed = root.call(ListBucketsInput::default()).await.unwrap();
    assert_eq!(listed.buckets.len(), 1);
    let denied = fixture.cloud.nobody().call(ListBucketsInput::default()).await.unwrap_err();
    assert_eq!((denied.code.as_str(), denied.status), ("AccessDenied", 403));
}

#[tokio::test]
async fn an_object_comes_back_as_it_was_put() {
    let fixture = start().await;
    let root = fixture.cloud.root();
    root.call(create("things")).await.unwrap();
    let headers = [
        ("content-type", "text/plain"),
        ("cache-control", "no-cache"),
        ("x-amz-meta-colour", "blue"),
        ("x-amz-tagging", "a=1&b=x%20y"),
        ("x-amz-checksum-crc32", "y/Q5Jg=="),
    ];
    let put = send(&root, "PUT", "/things/a/b", &headers, b"123456789").await;
    assert_eq!(put.status(), 200, "{}", text(&put));
    assert_eq!(header(&put, "etag"), "\"25f9e794323b453885f5181f1b624d0b\"");
    assert_eq!(header(&put, "x-amz-checksum-crc32"), "y/Q5Jg==");
    let mode = [("x-amz-checksum-mode", "ENABLED")];
    let got = send(&root, "GET", "/things/a/b", &mode, b"").await;
    assert_eq!((got.status().as_u16(), got.body().as_ref()), (200, b"123456789".as_ref()));
    assert_eq!(header(&got, "content-type"), "text/plain");
    assert_eq!(header(&got, "x-amz-meta-colour"), "blue");
    assert_eq!(header(&got, "x-amz-tagging-count"), "2");
    assert_eq!(header(&got, "x-amz-checksum-crc32"), "y/Q5Jg==");
    assert_eq!(header(&got, "content-length"), "9");
    let part = send(&root, "GET", "/things/a/b", &[("range", "bytes=2-4")], b"").await;
    assert_eq!((part.status().as_u16(), part.body().as_ref()), (206, b"345".as_ref()));
    assert_eq!(header(&part, "content-range"), "bytes 2-4/9");
    let beyond = send(&root, "GET", "/things/a/b", &[("range", "bytes=9-")], b"").await;
    assert_eq!(beyond.status(), 416);
    assert!(text(&beyond).contains("<ActualObjectSize>9</ActualObjectSize>"), "{}", text(&beyond));
    let etag = header(&got, "etag").to_owned();
    let same = send(&root, "GET", "/things/a/b", &[("if-none-match", &etag)], b"").await;
    assert_eq!(same.status(), 304);
    let other = send(&root, "GET", "/things/a/b", &[("if-match", "\"x\"")], b"").await;
    assert_eq!(other.status(), 412);
    let head = send(&root, "HEAD", "/things/a/b", &[], b"").await;
    assert_eq!((head.status().as_u16(), header(&head, "content-length")), (200, "9"));
    let tags = GetObjectTaggingInput {
        bucket: "things".to_owned(),
        key: "a/b".to_owned(),
        ..Default::default()
    };
    let tags = root.call(tags).await.unwrap().tag_set;
    assert_eq!(tags[1].value, "x y");
    let missing = send(&root, "GET", "/things/none", &[], b"").await;
    assert_eq!(missing.status(), 404);
    assert!(text(&missing).contains("<Code>NoSuchKey</Code>"));
    assert!(text(&missing).contains("<Key>none</Key>"));
}

#[tokio::test]
async fn a_damaged_body_is_refused_and_nothing_changes() {
    let fixture = start().await;
    let root = fixture.cloud.root();
    root.call(create("things")).await.unwrap();
    for (name, value, code) in [
        ("content-md5", "AAAAAAAAAAAAAAAAAAAAAA==", "BadDigest"),
        ("content-md5", "short", "InvalidDigest"),
        ("x-amz-checksum-crc32", "AAAAAA==", "BadDigest"),
        ("x-amz-checksum-sha256", "nonsense", "InvalidRequest"),
        ("x-amz-storage-class", "OUTPOSTS", "InvalidStorageClass"),
        ("x-amz-server-side-encryption", "aws:kms", "NotImplemented"),
        ("x-amz-acl", "public-read", "AccessControlListNotSupported"),
    ] {
        let put = send(&root, "PUT", "/things/x", &[(name, value)], b"123456789").await;
        assert!(text(&put).contains(&format!("<Code>{code}</Code>")), "{name}: {}", text(&put));
    }
    let head = send(&root, "HEAD", "/things/x", &[], b"").await;
    assert_eq!(head.status(), 404);
    let only_new = [("if-none-match", "*")];
    assert_eq!(send(&root, "PUT", "/things/x", &only_new, b"1").await.status(), 200);
    assert_eq!(send(&root, "PUT", "/things/x", &only_new, b"2").await.status(), 412);
    let got = send(&root, "GET", "/things/x", &[], b"").await;
    assert_eq!(got.body().as_ref(), b"1");
}

#[tokio::test]
async fn listings_roll_up_and_page() {
    let fixture = start().await;
    let root = fixture.cloud.root();
    root.call(create("things")).await.unwrap();
    for key in ["a.txt", "b/1", "b/2", "b/3", "c/x/1", "c/y", "d%20e", "z"] {
        let put = send(&root, "PUT", &format!("/things/{key}"), &[], b"x").await;
        assert_eq!(put.status(), 200, "{}", text(&put));
    }
    let ask = |token: Option<String>, limit| ListObjectsV2Input {
        bucket: "things".to_owned(),
        delimiter: Some("/".to_owned()),
        max_keys: Some(limit),
        continuation_token: token,
        ..Default::default()
    };
    let (mut seen, mut token) = (Vec::new(), None);
    loop {
        let page = root.call(ask(token, 1)).await.unwrap();
        seen.extend(page.contents.into_iter().filter_map(|object| object.key));
        seen.extend(page.common_prefixes.into_iter().filter_map(|prefix| prefix.prefix));
        token = page.next_continuation_token;
        assert_eq!(page.is_truncated, Some(token.is_some()));
        if token.is_none() {
            break;
        }
    }
    assert_eq!(seen, ["a.txt", "b/", "c/", "d e", "z"]);
    let inside = ListObjectsInput {
        bucket: "things".to_owned(),
        prefix: Some("b/".to_owned()),
        marker: Some("b/1".to_owned()),
        ..Default::default()
    };
    let inside = root.call(inside).await.unwrap();
    assert_eq!(inside.contents.len(), 2);
    let bad = root.call(ask(Some("nonsense".to_owned()), 1)).await.unwrap_err();
    assert_eq!(bad.code, "InvalidArgument");
    let full = DeleteBucketInput { bucket: "things".to_owned(), expected_bucket_owner: None };
    assert_eq!(root.call(full.clone()).await.unwrap_err().code, "BucketNotEmpty");
    let keys = ["a.txt", "b/1", "b/2", "b/3", "c/x/1", "c/y", "d e", "z", "not there"];
    let objects = keys
        .iter()
        .map(|key| ObjectIdentifier { key: (*key).to_owned(), ..Default::default() })
        .collect();
    let input = DeleteObjectsInput {
        bucket: "things".to_owned(),
        delete: Delete { objects, quiet: None },
        ..Default::default()
    };
    let deleted = root.call(input).await.unwrap();
    assert_eq!((deleted.deleted.len(), deleted.errors.len()), (9, 0));
    root.call(full).await.unwrap();
}

#[tokio::test]
async fn parts_make_an_object() {
    let fixture = start().await;
    let root = fixture.cloud.root();
    root.call(create("things")).await.unwrap();
    let begin = CreateMultipartUploadInput {
        bucket: "things".to_owned(),
        key: "big".to_owned(),
        ..Default::default()
    };
    let id = root.call(begin).await.unwrap().upload_id.unwrap();
    let first = vec![b'a'; 5 * 1024 * 1024];
    let mut parts = Vec::new();
    for (number, body) in [(1, first.as_slice()), (2, b"tail")] {
        let path = format!("/things/big?partNumber={number}&uploadId={id}");
        let put = send(&root, "PUT", &path, &[], body).await;
        assert_eq!(put.status(), 200, "{}", text(&put));
        parts.push(CompletedPart {
            part_number: Some(number),
            e_tag: Some(header(&put, "etag").to_owned()),
            ..Default::default()
        });
    }
    let list = ListPartsInput {
        bucket: "things".to_owned(),
        key: "big".to_owned(),
        upload_id: id.clone(),
        max_parts: Some(1),
        ..Default::default()
    };
    let listed = root.call(list).await.unwrap();
    assert_eq!((listed.parts.len(), listed.is_truncated), (1, Some(true)));
    let uploads = ListMultipartUploadsInput { bucket: "things".to_owned(), ..Default::default() };
    assert_eq!(root.call(uploads).await.unwrap().uploads.len(), 1);
    let complete = |parts: Vec<CompletedPart>| CompleteMultipartUploadInput {
        bucket: "things".to_owned(),
        key: "big".to_owned(),
        upload_id: id.clone(),
        multipart_upload: Some(CompletedMultipartUpload { parts }),
        ..Default::default()
    };
    let turned: Vec<_> = parts.iter().rev().cloned().collect();
    assert_eq!(root.call(complete(turned)).await.unwrap_err().code, "InvalidPartOrder");
    let mut wrong = parts.clone();
    wrong[1].e_tag = Some("\"0\"".to_owned());
    assert_eq!(root.call(complete(wrong)).await.unwrap_err().code, "InvalidPart");
    let done = root.call(complete(parts.clone())).await.unwrap();
    assert!(done.e_tag.unwrap().ends_with("-2\""));
    let got = send(&root, "GET", "/things/big", &[("range", "bytes=5242878-")], b"").await;
    assert_eq!(got.body().as_ref(), b"aatail");
    let mode = [("x-amz-checksum-mode", "ENABLED")];
    let whole = send(&root, "GET", "/things/big", &mode, b"").await;
    assert_eq!(whole.body().len(), first.len() + 4);
    let copy = CopyObjectInput {
        bucket: "things".to_owned(),
        key: "copy".to_owned(),
        copy_source: "things/big".to_owned(),
        ..Default::default()
    };
    let copied = root.call(copy).await.unwrap().copy_object_result.unwrap();
    let sum = header(&whole, "x-amz-checksum-crc64nvme");
    assert_eq!(copied.checksum_crc64_nvme.as_deref(), Some(sum));
    assert_eq!(root.call(complete(parts)).await.unwrap_err().code, "NoSuchUpload");
}

#[tokio::test]
async fn policies_decide_who_reads() {
    let fixture = start().await;
    let root = fixture.cloud.root();
    root.call(create("things")).await.unwrap();
    send(&root, "PUT", "/things/open/a", &[], b"hello").await;
    let anonymous = |path: &str| Request::get(path.to_owned()).header("host", "127.0.0.1");
    let refused = root.send_unsigned(anonymous("/things/open/a").body(Bytes::new()).unwrap()).await;
    assert_eq!(refused.status(), 403);
    let policy = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*",
        "Action":"s3:GetObject","Resource":"arn:aws:s3:::things/open/*"}]}"#;
    let put = PutBucketPolicyInput {
        bucket: "things".to_owned(),
        policy: policy.to_owned(),
        ..Default::default()
    };
    assert_eq!(root.call(put.clone()).await.unwrap_err().code, "AccessDenied");
    let unblock =
        DeletePublicAccessBlockInput { bucket: "things".to_owned(), expected_bucket_owner: None };
    root.call(unblock).await.unwrap();
    root.call(put.clone()).await.unwrap();
    let read = root.send_unsigned(anonymous("/things/open/a").body(Bytes::new()).unwrap()).await;
    assert_eq!((read.status().as_u16(), read.body().as_ref()), (200, b"hello".as_ref()));
    let elsewhere = PutBucketPolicyInput { policy: policy.replace("things", "other"), ..put };
    assert_eq!(root.call(elsewhere).await.unwrap_err().code, "MalformedPolicy");
    let only = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:*",
        "Resource":"arn:aws:s3:::other/*"}]}"#;
    let user = fixture.cloud.user("other", only);
    // A key that looks like an ARN of what the user may write is a key of this bucket all the same.
    let tricky = send(&user, "PUT", "/things/arn:aws:s3:::other/x", &[], b"x").await;
    assert_eq!(tricky.status(), 403, "{}", text(&tricky));
    let head = HeadObjectInput {
        bucket: "things".to_owned(),
        key: "shut".to_owned(),
        ..Default::default()
    };
    assert_eq!(user.call(head).await.unwrap_err().status, 403);
}

#[tokio::test]
async fn nobody_may_do_anything() {
    let fixture = start().await;
    let (root, nobody) = (fixture.cloud.root(), fixture.cloud.nobody());
    root.call(create("things")).await.unwrap();
    send(&root, "PUT", "/things/a", &[], b"hello").await;
    let tags = "<Tagging><TagSet><Tag><Key>a</Key><Value>b</Value></Tag></TagSet></Tagging>";
    for (method, path, headers, body) in [
        ("PUT", "/other", &[] as &[(&str, &str)], ""),
        ("DELETE", "/things", &[], ""),
        ("GET", "/things", &[], ""),
        ("GET", "/things?list-type=2", &[], ""),
        ("GET", "/things?location", &[], ""),
        ("GET", "/things?versioning", &[], ""),
        ("GET", "/things?tagging", &[], ""),
        ("PUT", "/things?tagging", &[], tags),
        ("DELETE", "/things?tagging", &[], ""),
        ("GET", "/things?policy", &[], ""),
        ("PUT", "/things?policy", &[], "{}"),
        ("DELETE", "/things?policy", &[], ""),
        ("GET", "/things?publicAccessBlock", &[], ""),
        ("DELETE", "/things?publicAccessBlock", &[], ""),
        ("GET", "/things?ownershipControls", &[], ""),
        ("DELETE", "/things?ownershipControls", &[], ""),
        ("GET", "/things?encryption", &[], ""),
        ("DELETE", "/things?encryption", &[], ""),
        ("GET", "/things?uploads", &[], ""),
        ("GET", "/things/a", &[], ""),
        ("GET", "/things/none", &[], ""),
        ("GET", "/things/a?attributes", &[("x-amz-object-attributes", "ETag")], ""),
        ("PUT", "/things/b", &[], "x"),
        ("PUT", "/things/b", &[("x-amz-copy-source", "things/a")], ""),
        ("DELETE", "/things/a", &[], ""),
        ("GET", "/things/a?tagging", &[], ""),
        ("PUT", "/things/a?tagging", &[], tags),
        ("DELETE", "/things/a?tagging", &[], ""),
        ("POST", "/things/b?uploads", &[], ""),
        ("PUT", "/things/b?partNumber=1&uploadId=x", &[], "x"),
        ("GET", "/things/b?uploadId=x", &[], ""),
        ("DELETE", "/things/b?uploadId=x", &[], ""),
    ] {
        let answer = send(&nobody, method, path, headers, body.as_bytes()).await;
        let found = (answer.status().as_u16(), text(&answer).contains("<Code>AccessDenied</Code>"));
        assert_eq!(found, (403, true), "{method} {path}: {}", text(&answer));
    }
    let input = DeleteObjectsInput {
        bucket: "things".to_owned(),
        delete: Delete {
            objects: vec![ObjectIdentifier { key: "a".to_owned(), ..Default::default() }],
            quiet: None,
        },
        ..Default::default()
    };
    let kept = nobody.call(input).await.unwrap();
    assert_eq!(kept.errors[0].code.as_deref(), Some("AccessDenied"));
    assert_eq!(send(&root, "GET", "/things/a", &[], b"").await.status(), 200);
}

fn blobs_in(folder: &std::path::Path) -> usize {
    let shards = std::fs::read_dir(folder.join("objects")).expect("a folder");
    let shards = shards.map(|entry| entry.expect("an entry").path());
    let count = |shard: std::path::PathBuf| std::fs::read_dir(shard).expect("a folder").count();
    shards.filter(|shard| !shard.ends_with("tmp")).map(count).sum()
}

#[tokio::test]
async fn bytes_survive_a_restart_and_go_after_their_object() {
    let folder = tempfile::tempdir().unwrap();
    let cloud = Cloud::start(vec![service(folder.path())]).await;
    let root = cloud.root();
    root.call(create("things")).await.unwrap();
    // Large enough to lie in files of their own.
    let (kept, gone) = (vec![b'k'; 40_000], vec![b'g'; 40_000]);
    send(&root, "PUT", "/things/kept", &[], &kept).await;
    send(&root, "PUT", "/things/gone", &[], &gone).await;
    send(&root, "PUT", "/things/small", &[], b"small").await;
    // What a crash leaves between landing and being referred to.
    let stray = folder.path().join("objects/ff").join(format!("{:030}ff", 0));
    std::fs::create_dir_all(stray.parent().unwrap()).unwrap();
    std::fs::write(&stray, b"stray").unwrap();
    let cloud = cloud.restart(vec![service(folder.path())]).await;
    let root = cloud.root();
    let got = send(&root, "GET", "/things/kept", &[], b"").await;
    assert!(got.body().as_ref() == kept);
    let got = send(&root, "GET", "/things/small", &[], b"").await;
    assert_eq!(got.body().as_ref(), b"small");
    testkit::poll::until("the stray blob to go", || async { (!stray.exists()).then_some(()) })
        .await;
    assert_eq!(blobs_in(folder.path()), 2);
    assert_eq!(send(&root, "DELETE", "/things/gone", &[], b"").await.status(), 204);
    cloud.advance(std::time::Duration::from_secs(301));
    testkit::poll::until("the deleted object's blob to go", || async {
        (blobs_in(folder.path()) == 1).then_some(())
    })
    .await;
}
