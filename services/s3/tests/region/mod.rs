//! A region with S3 in it, and plain requests to it.
#![allow(dead_code, clippy::unwrap_used, reason = "each test file uses its part")]

use std::sync::Arc;

use bytes::Bytes;
use http::Request;
use kernel::cipher::Cipher;
use s3_api::{
    BucketVersioningStatus, CreateBucketConfiguration, CreateBucketInput, PutBucketVersioningInput,
    VersioningConfiguration,
};
use testkit::{Cloud, TestClient};

struct Zeroes;

impl base::Random for Zeroes {
    fn fill(&self, bytes: &mut [u8]) {
        bytes.fill(0);
    }
}

/// The service over blobs in `folder`.
pub(crate) fn service(folder: &std::path::Path) -> kernel::ServiceDef {
    let blobs = Arc::new(blob::LocalBlobs::new(&folder.join("objects"), [5; 32]));
    let cipher = Cipher::new([1; 32], Arc::new(Zeroes));
    s3::service(s3::Drivers { blobs, cipher }).into()
}

/// A region of one test.
pub(crate) struct Fixture {
    pub(crate) cloud: Cloud,
    pub(crate) folder: tempfile::TempDir,
}

pub(crate) async fn start() -> Fixture {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let cloud = Cloud::start(vec![service(folder.path())]).await;
    Fixture { cloud, folder }
}

pub(crate) fn create(bucket: &str) -> CreateBucketInput {
    CreateBucketInput {
        bucket: bucket.to_owned(),
        create_bucket_configuration: Some(CreateBucketConfiguration {
            location_constraint: testkit::REGION.parse().ok(),
            ..Default::default()
        }),
        ..Default::default()
    }
}

pub(crate) fn versioning(bucket: &str, status: BucketVersioningStatus) -> PutBucketVersioningInput {
    PutBucketVersioningInput {
        bucket: bucket.to_owned(),
        versioning_configuration: VersioningConfiguration {
            status: Some(status),
            ..Default::default()
        },
        ..Default::default()
    }
}

/// A bucket that keeps versions.
pub(crate) async fn versioned(client: &TestClient, bucket: &str) {
    client.call(create(bucket)).await.unwrap();
    client.call(versioning(bucket, BucketVersioningStatus::Enabled)).await.unwrap();
}

/// A signed request with a body, as clients send objects: status, headers and body of the answer.
pub(crate) async fn send(
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

/// Writes an object; gives its version.
pub(crate) async fn put(client: &TestClient, path: &str, body: &[u8]) -> String {
    let answer = send(client, "PUT", path, &[], body).await;
    assert_eq!(answer.status(), 200, "{}", text(&answer));
    header(&answer, "x-amz-version-id").to_owned()
}

/// Status and body of a read.
pub(crate) async fn get(client: &TestClient, path: &str) -> (u16, String) {
    let answer = send(client, "GET", path, &[], b"").await;
    (answer.status().as_u16(), text(&answer))
}

pub(crate) fn text(response: &http::Response<Bytes>) -> String {
    String::from_utf8_lossy(response.body()).into_owned()
}

pub(crate) fn header<'a>(response: &'a http::Response<Bytes>, name: &str) -> &'a str {
    response.headers().get(name).map(|v| v.to_str().expect("text")).unwrap_or_default()
}

/// How many bytes lie in the files below `folder`, without those in `without`.
pub(crate) fn bytes_in(folder: &std::path::Path, without: &str) -> u64 {
    let Ok(entries) = std::fs::read_dir(folder) else { return 0 };
    let size = |entry: std::fs::DirEntry| {
        let path = entry.path();
        match path.is_dir() {
            true if path.ends_with(without) => 0,
            true => bytes_in(&path, without),
            false => entry.metadata().map(|data| data.len()).unwrap_or_default(),
        }
    };
    entries.map(|entry| size(entry.expect("an entry"))).sum()
}
