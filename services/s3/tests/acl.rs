//! Access control lists of buckets and objects.

mod fixture;

use fixture::{browse, create, create_open, header, outcome, send, start, text};
use s3_api::{CreateBucketInput, GetBucketAclInput, GetObjectAclInput, Permission, Type};

fn bucket_acl(bucket: &str) -> GetBucketAclInput {
    GetBucketAclInput { bucket: bucket.to_owned(), expected_bucket_owner: None }
}

#[tokio::test]
async fn a_new_bucket_knows_no_lists() {
    let fixture = start().await;
    let root = fixture.cloud.root();
    root.call(create("modern")).await.unwrap();
    send(&root, "PUT", "/modern/a", &[], b"1").await;
    let acl = root.call(bucket_acl("modern")).await.unwrap();
    let owner = acl.owner.unwrap().id.unwrap();
    let grant = &acl.grants[0];
    assert_eq!(grant.permission, Some(Permission::FullControl));
    assert_eq!(grant.grantee.as_ref().unwrap().id.as_deref(), Some(owner.as_str()));
    let public = [("x-amz-acl", "public-read")];
    let refused = (400, "AccessControlListNotSupported".to_owned());
    for (path, body) in [("/modern?acl", ""), ("/modern/a?acl", ""), ("/modern/b", "x")] {
        assert_eq!(outcome(&root, "PUT", path, &public, body.as_bytes()).await, refused, "{path}");
    }
    let full = [("x-amz-acl", "bucket-owner-full-control")];
    assert_eq!(outcome(&root, "PUT", "/modern/b", &full, b"x").await.0, 200);
    let input = CreateBucketInput { acl: "public-read".parse().ok(), ..create("listed") };
    let error = root.call(input).await.unwrap_err();
    assert_eq!(error.code, "InvalidBucketAclWithObjectOwnership");
}

#[tokio::test]
async fn canned_lists_let_the_public_in_unless_they_are_blocked() {
    let fixture = start().await;
    let root = fixture.cloud.root();
    create_open(&root, "open").await;
    let read = [("x-amz-acl", "public-read")];
    assert_eq!(outcome(&root, "PUT", "/open/a", &read, b"hello").await.0, 200);
    assert_eq!(outcome(&root, "PUT", "/open/b", &[], b"hello").await.0, 200);
    assert_eq!(browse(&root, "GET", "/open/a", &[], b"").await.status(), 200);
    assert_eq!(browse(&root, "GET", "/open/b", &[], b"").await.status(), 403);
    assert_eq!(browse(&root, "GET", "/open", &[], b"").await.status(), 403);
    assert_eq!(outcome(&root, "PUT", "/open?acl", &read, b"").await.0, 200);
    assert_eq!(browse(&root, "GET", "/open", &[], b"").await.status(), 200);
    assert_eq!(browse(&root, "PUT", "/open/c", &[], b"x").await.status(), 403);
    assert_eq!(
        outcome(&root, "PUT", "/open?acl", &[("x-amz-acl", "public-read-write")], b"").await.0,
        200
    );
    assert_eq!(browse(&root, "PUT", "/open/c", &[], b"x").await.status(), 200);
    let signed = [("x-amz-acl", "authenticated-read")];
    assert_eq!(outcome(&root, "PUT", "/open/b?acl", &signed, b"").await.0, 200);
    assert_eq!(browse(&root, "GET", "/open/b", &[], b"").await.status(), 403);
    assert_eq!(outcome(&fixture.stranger(), "GET", "/open/b", &[], b"").await.0, 200);
    let off = b"<OwnershipControls><Rule><ObjectOwnership>BucketOwnerEnforced</ObjectOwnership></Rule></OwnershipControls>";
    let listed = outcome(&root, "PUT", "/open?ownershipControls", &[], off).await;
    assert_eq!(listed, (400, "InvalidBucketAclWithObjectOwnership".to_owned()));
    let block = b"<PublicAccessBlockConfiguration><BlockPublicAcls>true</BlockPublicAcls><IgnorePublicAcls>true</IgnorePublicAcls></PublicAccessBlockConfiguration>";
    assert_eq!(outcome(&root, "PUT", "/open?publicAccessBlock", &[], block).await.0, 200);
    assert_eq!(browse(&root, "GET", "/open/a", &[], b"").await.status(), 403);
    assert_eq!(outcome(&root, "PUT", "/open/d", &read, b"x").await, (403, "AccessDenied".into()));
}

#[tokio::test]
async fn grants_come_in_headers_and_documents() {
    let fixture = start().await;
    let root = fixture.cloud.root();
    create_open(&root, "granted").await;
    let stranger = fixture.stranger();
    // The other account's canonical id is what its own bucket shows.
    create_open(&stranger, "theirs").await;
    let theirs = stranger.call(bucket_acl("theirs")).await.unwrap().owner.unwrap().id.unwrap();
    let grant = format!("id=\"{theirs}\"");
    send(&root, "PUT", "/granted/a", &[("x-amz-grant-read", &grant)], b"1").await;
    assert_eq!(outcome(&stranger, "GET", "/granted/a", &[], b"").await.0, 200);
    assert_eq!(outcome(&stranger, "GET", "/granted/a?acl", &[], b"").await.0, 403);
    let input =
        GetObjectAclInput { bucket: "granted".into(), key: "a".into(), ..Default::default() };
    let acl = root.call(input).await.unwrap();
    assert_eq!(acl.grants.len(), 1);
    assert_eq!(acl.grants[0].grantee.as_ref().unwrap().type_, Type::CanonicalUser);
    let own = acl.owner.unwrap().id.unwrap();
    let document = |owner: &str, grantee: &str, permission: &str| {
        format!(
            "<AccessControlPolicy xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Owner><ID>{owner}</ID></Owner><AccessControlList><Grant><Grantee xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" xsi:type=\"CanonicalUser\"><ID>{grantee}</ID></Grantee><Permission>{permission}</Permission></Grant></AccessControlList></AccessControlPolicy>"
        )
    };
    let put = |path: &'static str, body: String| {
        let root = root.clone();
        async move { outcome(&root, "PUT", path, &[], body.as_bytes()).await }
    };
    assert_eq!(put("/granted/a?acl", document(&own, &theirs, "READ_ACP")).await.0, 200);
    assert_eq!(outcome(&stranger, "GET", "/granted/a", &[], b"").await.0, 403);
    assert_eq!(outcome(&stranger, "GET", "/granted/a?acl", &[], b"").await.0, 200);
    assert_eq!(put("/granted?acl", document(&own, &theirs, "WRITE")).await.0, 200);
    assert_eq!(outcome(&stranger, "PUT", "/granted/new", &[], b"1").await.0, 200);
    assert_eq!(put("/granted?acl", document(&theirs, &theirs, "WRITE")).await.1, "AccessDenied");
    assert_eq!(put("/granted?acl", document(&own, "short", "WRITE")).await.1, "InvalidArgument");
    assert_eq!(outcome(&root, "PUT", "/granted?acl", &[], b"").await.1, "MissingSecurityHeader");
    let both = [("x-amz-acl", "private"), ("x-amz-grant-read", grant.as_str())];
    assert_eq!(outcome(&root, "PUT", "/granted?acl", &both, b"").await.1, "InvalidRequest");
    let mail = [("x-amz-grant-read", "emailAddress=\"a@example.com\"")];
    assert_eq!(outcome(&root, "PUT", "/granted?acl", &mail, b"").await.0, 405);
    let missing = send(&root, "GET", "/granted/none?acl", &[], b"").await;
    assert!(text(&missing).contains("NoSuchKey"), "{}", text(&missing));
    assert_eq!(header(&missing, "content-type"), "application/xml");
}

#[tokio::test]
async fn who_may_not_learns_nothing() {
    let fixture = start().await;
    let root = fixture.cloud.root();
    root.call(create("closed")).await.unwrap();
    send(&root, "PUT", "/closed/a", &[], b"1").await;
    let nobody = fixture.cloud.nobody();
    for (method, path) in [
        ("GET", "/closed?acl"),
        ("PUT", "/closed?acl"),
        ("GET", "/closed/a?acl"),
        ("PUT", "/closed/a?acl"),
        ("GET", "/closed?cors"),
        ("DELETE", "/closed?cors"),
        ("GET", "/closed?website"),
        ("DELETE", "/closed?website"),
        ("GET", "/closed?logging"),
        ("GET", "/closed?requestPayment"),
        ("GET", "/closed?accelerate"),
        ("GET", "/closed?notification"),
        ("GET", "/closed?policy"),
        ("DELETE", "/closed?policy"),
        ("GET", "/closed?policyStatus"),
        ("GET", "/closed?tagging"),
        ("DELETE", "/closed?tagging"),
        ("GET", "/closed?publicAccessBlock"),
        ("DELETE", "/closed?publicAccessBlock"),
        ("GET", "/closed?ownershipControls"),
        ("DELETE", "/closed?ownershipControls"),
        ("GET", "/closed?encryption"),
        ("DELETE", "/closed?encryption"),
        ("GET", "/closed?location"),
        ("GET", "/closed?versioning"),
        ("GET", "/closed?uploads"),
        ("GET", "/closed"),
        ("GET", "/closed?list-type=2"),
        ("HEAD", "/closed"),
        ("DELETE", "/closed"),
        ("GET", "/closed/a"),
        ("HEAD", "/closed/a"),
        ("PUT", "/closed/a"),
        ("DELETE", "/closed/a"),
        ("GET", "/closed/a?tagging"),
        ("DELETE", "/closed/a?tagging"),
        ("POST", "/closed/a?uploads"),
        ("GET", "/closed/a?uploadId=x"),
        ("DELETE", "/closed/a?uploadId=x"),
        ("PUT", "/closed/a?partNumber=1&uploadId=x"),
        ("GET", "/"),
        ("PUT", "/another"),
    ] {
        let acl = [("x-amz-acl", "private")];
        let headers: &[_] = if path.ends_with("acl") { &acl } else { &[] };
        let (status, code) = outcome(&nobody, method, path, headers, b"").await;
        assert_eq!(status, 403, "{method} {path}: {code}");
    }
}
