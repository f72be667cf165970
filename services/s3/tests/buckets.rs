//! What is set on buckets.

mod fixture;

use fixture::{browse, create, outcome, put_policy, send, start, text, unblock};

#[tokio::test]
async fn settings_are_kept_and_ended() {
    let fixture = start().await;
    let root = fixture.cloud.root();
    root.call(create("set")).await.unwrap();
    for (query, document, shown, after) in [
        (
            "tagging",
            "<Tagging><TagSet><Tag><Key>a</Key><Value>b</Value></Tag></TagSet></Tagging>",
            "<Key>a</Key>",
            (404, "NoSuchTagSet"),
        ),
        (
            "publicAccessBlock",
            "<PublicAccessBlockConfiguration><BlockPublicAcls>true</BlockPublicAcls></PublicAccessBlockConfiguration>",
            "<BlockPublicAcls>true",
            (404, "NoSuchPublicAccessBlockConfiguration"),
        ),
        (
            "ownershipControls",
            "<OwnershipControls><Rule><ObjectOwnership>ObjectWriter</ObjectOwnership></Rule></OwnershipControls>",
            "ObjectWriter",
            (404, "OwnershipControlsNotFoundError"),
        ),
        (
            "encryption",
            "<ServerSideEncryptionConfiguration><Rule><ApplyServerSideEncryptionByDefault><SSEAlgorithm>AES256</SSEAlgorithm></ApplyServerSideEncryptionByDefault></Rule></ServerSideEncryptionConfiguration>",
            "AES256",
            (200, ""),
        ),
    ] {
        let path = format!("/set?{query}");
        let put = outcome(&root, "PUT", &path, &[], document.as_bytes()).await;
        assert!(matches!(put.0, 200 | 204), "{query}: {put:?}");
        let got = text(&send(&root, "GET", &path, &[], b"").await);
        assert!(got.contains(shown), "{query}: {got}");
        assert_eq!(outcome(&root, "DELETE", &path, &[], b"").await.0, 204, "{query}");
        let (status, code) = outcome(&root, "GET", &path, &[], b"").await;
        assert_eq!((status, code.as_str()), after, "{query}");
    }
    assert_eq!(outcome(&root, "PUT", "/set?tagging", &[], b"<Tagging").await.1, "MalformedXML");
    assert_eq!(outcome(&root, "GET", "/none?tagging", &[], b"").await.1, "NoSuchBucket");
    assert_eq!(outcome(&root, "GET", "/set?versioning", &[], b"").await.0, 200);
    assert_eq!(outcome(&root, "HEAD", "/set", &[], b"").await.0, 200);
    let other = [("x-amz-expected-bucket-owner", "111122223333")];
    assert_eq!(outcome(&root, "HEAD", "/set", &other, b"").await.0, 403);
    assert_eq!(outcome(&root, "DELETE", "/set", &[], b"").await.0, 204);
    assert_eq!(outcome(&root, "HEAD", "/set", &[], b"").await.0, 404);
}

#[tokio::test]
async fn an_object_is_tagged_and_aborted_uploads_end() {
    let fixture = start().await;
    let root = fixture.cloud.root();
    root.call(create("things")).await.unwrap();
    send(&root, "PUT", "/things/a", &[], b"1").await;
    let tagging = b"<Tagging><TagSet><Tag><Key>k</Key><Value>v</Value></Tag></TagSet></Tagging>";
    assert_eq!(outcome(&root, "PUT", "/things/a?tagging", &[], tagging).await.0, 200);
    let got = text(&send(&root, "GET", "/things/a?tagging", &[], b"").await);
    assert!(got.contains("<Value>v</Value>"), "{got}");
    assert_eq!(outcome(&root, "DELETE", "/things/a?tagging", &[], b"").await.0, 204);
    let missing = outcome(&root, "PUT", "/things/none?tagging", &[], tagging).await;
    assert_eq!(missing, (404, "NoSuchKey".to_owned()));
    let many: String =
        (0..11).map(|n| format!("<Tag><Key>{n}</Key><Value>v</Value></Tag>")).collect();
    let many = format!("<Tagging><TagSet>{many}</TagSet></Tagging>");
    let refused = outcome(&root, "PUT", "/things/a?tagging", &[], many.as_bytes()).await;
    assert_eq!(refused, (400, "BadRequest".to_owned()));
    let begun = text(&send(&root, "POST", "/things/b?uploads", &[], b"").await);
    let id = begun.split("<UploadId>").nth(1).unwrap().split("</UploadId>").next().unwrap();
    let part = format!("/things/b?partNumber=1&uploadId={id}");
    assert_eq!(outcome(&root, "PUT", &part, &[], b"12345").await.0, 200);
    let from = [("x-amz-copy-source", "/things/a")];
    let copied = format!("/things/b?partNumber=2&uploadId={id}");
    assert_eq!(outcome(&root, "PUT", &copied, &from, b"").await.0, 200);
    let upload = format!("/things/b?uploadId={id}");
    assert_eq!(outcome(&root, "DELETE", &upload, &[], b"").await.0, 204);
    let gone = (404, "NoSuchUpload".to_owned());
    assert_eq!(outcome(&root, "DELETE", &upload, &[], b"").await, gone);
    assert_eq!(outcome(&root, "PUT", &part, &[], b"12345").await, gone);
    let attributes = [("x-amz-object-attributes", "ETag,ObjectSize")];
    let told = text(&send(&root, "GET", "/things/a?attributes", &attributes, b"").await);
    assert!(told.contains("<ObjectSize>1</ObjectSize>"), "{told}");
}

#[tokio::test]
async fn the_requester_pays_where_the_owner_says_so() {
    let fixture = start().await;
    let root = fixture.cloud.root();
    root.call(create("dear")).await.unwrap();
    unblock(&root, "dear").await;
    put_policy(&root, "dear", r#"{"Effect":"Allow","Principal":"*","Action":"s3:*","Resource":["arn:aws:s3:::dear","arn:aws:s3:::dear/*"]}"#).await;
    send(&root, "PUT", "/dear/a", &[], b"1").await;
    let stranger = fixture.stranger();
    assert_eq!(outcome(&stranger, "GET", "/dear/a", &[], b"").await.0, 200);
    let pays =
        b"<RequestPaymentConfiguration><Payer>Requester</Payer></RequestPaymentConfiguration>";
    assert_eq!(outcome(&root, "PUT", "/dear?requestPayment", &[], pays).await.0, 200);
    let got = text(&send(&root, "GET", "/dear?requestPayment", &[], b"").await);
    assert!(got.contains("<Payer>Requester</Payer>"), "{got}");
    assert_eq!(outcome(&stranger, "GET", "/dear/a", &[], b"").await.0, 403);
    let agrees = [("x-amz-request-payer", "requester")];
    assert_eq!(outcome(&stranger, "GET", "/dear/a", &agrees, b"").await.0, 200);
    assert_eq!(outcome(&root, "GET", "/dear/a", &[], b"").await.0, 200);
    assert_eq!(browse(&root, "GET", "/dear/a", &agrees, b"").await.status(), 403);
}

#[tokio::test]
async fn acceleration_and_notifications_are_honoured_or_refused() {
    let fixture = start().await;
    let root = fixture.cloud.root();
    root.call(create("fast")).await.unwrap();
    send(&root, "PUT", "/fast/a", &[], b"1").await;
    let on = b"<AccelerateConfiguration><Status>Enabled</Status></AccelerateConfiguration>";
    assert_eq!(outcome(&root, "PUT", "/fast?accelerate", &[], on).await.0, 200);
    let got = text(&send(&root, "GET", "/fast?accelerate", &[], b"").await);
    assert!(got.contains("<Status>Enabled</Status>"), "{got}");
    root.call(create("dot.ted")).await.unwrap();
    assert_eq!(outcome(&root, "PUT", "/dot.ted?accelerate", &[], on).await.1, "InvalidRequest");
    let none = b"<NotificationConfiguration/>";
    assert_eq!(outcome(&root, "PUT", "/fast?notification", &[], none).await.0, 200);
    assert_eq!(outcome(&root, "GET", "/fast?notification", &[], b"").await.0, 200);
    let queue = b"<NotificationConfiguration><QueueConfiguration><Queue>arn:aws:sqs:ap-northeast-2:123456789012:q</Queue><Event>s3:ObjectCreated:*</Event></QueueConfiguration></NotificationConfiguration>";
    let refused = outcome(&root, "PUT", "/fast?notification", &[], queue).await;
    assert_eq!(refused, (400, "InvalidArgument".to_owned()));
}
