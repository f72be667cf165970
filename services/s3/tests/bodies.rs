//! Documents in requests, damaged in every way: none may do more than be refused.

use bytes::Bytes;
use proptest::prelude::*;
use protocol::schema;
use protocol::wire::{self, Body};

/// Requests with documents, each with a whole one.
const DOCUMENTS: [(&str, &str, &str); 12] = [
    (
        "PUT",
        "/b?acl",
        "<AccessControlPolicy><Owner><ID>a</ID></Owner><AccessControlList><Grant><Grantee xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" xsi:type=\"CanonicalUser\"><ID>b</ID></Grantee><Permission>READ</Permission></Grant></AccessControlList></AccessControlPolicy>",
    ),
    (
        "PUT",
        "/b?cors",
        "<CORSConfiguration><CORSRule><AllowedOrigin>*</AllowedOrigin><AllowedMethod>GET</AllowedMethod><MaxAgeSeconds>1</MaxAgeSeconds></CORSRule></CORSConfiguration>",
    ),
    (
        "PUT",
        "/b?website",
        "<WebsiteConfiguration><IndexDocument><Suffix>i</Suffix></IndexDocument><RoutingRules><RoutingRule><Redirect><HostName>h</HostName></Redirect></RoutingRule></RoutingRules></WebsiteConfiguration>",
    ),
    (
        "PUT",
        "/b?logging",
        "<BucketLoggingStatus><LoggingEnabled><TargetBucket>t</TargetBucket><TargetPrefix>p</TargetPrefix></LoggingEnabled></BucketLoggingStatus>",
    ),
    (
        "PUT",
        "/b?tagging",
        "<Tagging><TagSet><Tag><Key>k</Key><Value>v</Value></Tag></TagSet></Tagging>",
    ),
    (
        "PUT",
        "/b?encryption",
        "<ServerSideEncryptionConfiguration><Rule><ApplyServerSideEncryptionByDefault><SSEAlgorithm>AES256</SSEAlgorithm></ApplyServerSideEncryptionByDefault></Rule></ServerSideEncryptionConfiguration>",
    ),
    (
        "PUT",
        "/b?publicAccessBlock",
        "<PublicAccessBlockConfiguration><BlockPublicAcls>true</BlockPublicAcls></PublicAccessBlockConfiguration>",
    ),
    (
        "PUT",
        "/b?inventory&id=x",
        "<InventoryConfiguration><Destination><S3BucketDestination><Bucket>b</Bucket><Format>CSV</Format></S3BucketDestination></Destination><IsEnabled>true</IsEnabled><Id>x</Id><IncludedObjectVersions>Current</IncludedObjectVersions><Schedule><Frequency>Daily</Frequency></Schedule></InventoryConfiguration>",
    ),
    (
        "PUT",
        "/b?notification",
        "<NotificationConfiguration><QueueConfiguration><Queue>q</Queue><Event>s3:ObjectCreated:*</Event></QueueConfiguration></NotificationConfiguration>",
    ),
    ("POST", "/b?delete", "<Delete><Object><Key>k</Key></Object><Quiet>true</Quiet></Delete>"),
    (
        "POST",
        "/b/k?uploadId=u",
        "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>e</ETag></Part></CompleteMultipartUpload>",
    ),
    (
        "PUT",
        "/b",
        "<CreateBucketConfiguration><LocationConstraint>eu-west-1</LocationConstraint></CreateBucketConfiguration>",
    ),
];

/// Whether the request is read and within the model's constraints.
fn is_read(method: &str, uri: &str, body: &[u8]) -> bool {
    let service = schema::service("s3").expect("the model is embedded");
    let request = http::Request::builder().method(method).uri(uri).body(()).expect("a request");
    let (parts, ()) = request.into_parts();
    let routed = wire::route(service, &parts, &[], None).expect("an operation");
    let body = Body::Bytes(Bytes::copy_from_slice(body));
    let read = wire::decode_input(service, &routed, &parts, body);
    read.and_then(|input| wire::validate_input(service, routed.operation, &input)).is_ok()
}

#[test]
fn whole_documents_are_read() {
    for (method, uri, document) in DOCUMENTS {
        assert!(is_read(method, uri, document.as_bytes()), "{uri}");
    }
}

proptest! {
    #[test]
    fn what_is_no_document_is_refused_or_empty(
        at in 0usize..12,
        bytes in proptest::collection::vec(any::<u8>(), 0..200),
    ) {
        let (method, uri, _) = DOCUMENTS[at];
        is_read(method, uri, &bytes);
    }

    #[test]
    fn damage_never_panics(
        at in 0usize..12,
        cut in 0usize..400,
        length in 0usize..60,
        put in "[<>/&;#x\"'= a-zA-Z0-9!\\[\\]-]{0,40}",
    ) {
        let (method, uri, document) = DOCUMENTS[at];
        let mut bytes = document.as_bytes().to_vec();
        let cut = cut.min(bytes.len());
        let end = (cut + length).min(bytes.len());
        bytes.splice(cut..end, put.bytes());
        is_read(method, uri, &bytes);
    }

    #[test]
    fn no_depth_is_too_much(at in 0usize..12, depth in 1usize..3000) {
        let (method, uri, _) = DOCUMENTS[at];
        let text = format!("{}{}", "<a>".repeat(depth), "</a>".repeat(depth));
        is_read(method, uri, text.as_bytes());
    }
}
