//! Bucket policies: who is let in, under which conditions, and who is kept out.

mod fixture;

use fixture::{browse, create, create_open, outcome, put_policy, send, start, text, unblock};
use s3_api::{
    GetBucketPolicyInput, GetBucketPolicyStatusInput, PutBucketPolicyInput,
    PutPublicAccessBlockInput,
};

const ALL: &str =
    r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:*","Resource":"*"}]}"#;

fn policy_input(bucket: &str, statements: &str) -> PutBucketPolicyInput {
    PutBucketPolicyInput {
        bucket: bucket.to_owned(),
        policy: format!(r#"{{"Version":"2012-10-17","Statement":[{statements}]}}"#),
        ..Default::default()
    }
}

#[tokio::test]
async fn everyone_is_let_in_by_policy_alone() {
    let fixture = start().await;
    let root = fixture.cloud.root();
    root.call(create("shop")).await.unwrap();
    send(&root, "PUT", "/shop/page", &[], b"hello").await;
    assert_eq!(browse(&root, "GET", "/shop/page", &[], b"").await.status(), 403);
    let public = r#"{"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::shop/*"}"#;
    let blocked = root.call(policy_input("shop", public)).await.unwrap_err();
    assert_eq!((blocked.code.as_str(), blocked.status), ("AccessDenied", 403));
    unblock(&root, "shop").await;
    root.call(policy_input("shop", public)).await.unwrap();
    let page = browse(&root, "GET", "/shop/page", &[], b"").await;
    assert_eq!((page.status().as_u16(), page.body().as_ref()), (200, b"hello".as_ref()));
    assert_eq!(browse(&root, "PUT", "/shop/page", &[], b"x").await.status(), 403);
    assert_eq!(browse(&root, "GET", "/shop", &[], b"").await.status(), 403);
    let nowhere = browse(&root, "GET", "/no-such-bucket/x", &[], b"").await;
    assert!(text(&nowhere).contains("NoSuchBucket"), "{}", text(&nowhere));
    let status = GetBucketPolicyStatusInput { bucket: "shop".into(), expected_bucket_owner: None };
    let status = root.call(status).await.unwrap().policy_status.unwrap();
    assert_eq!(status.is_public, Some(true));
    // The block that comes later takes the policy's effect away.
    let block = s3_api::PublicAccessBlockConfiguration {
        restrict_public_buckets: Some(true),
        ..Default::default()
    };
    let input = PutPublicAccessBlockInput {
        bucket: "shop".into(),
        public_access_block_configuration: block,
        ..Default::default()
    };
    root.call(input).await.unwrap();
    assert_eq!(browse(&root, "GET", "/shop/page", &[], b"").await.status(), 403);
    assert_eq!(
        fixture
            .stranger()
            .send("s3", fixture::request("GET", "/shop/page", &[], b""))
            .await
            .status(),
        403
    );
}

#[tokio::test]
async fn another_account_needs_both_sides() {
    let fixture = start().await;
    let root = fixture.cloud.root();
    root.call(create("shared")).await.unwrap();
    send(&root, "PUT", "/shared/a", &[], b"1").await;
    let stranger = fixture.stranger();
    assert_eq!(outcome(&stranger, "GET", "/shared/a", &[], b"").await.0, 403);
    let statement = format!(
        r#"{{"Effect":"Allow","Principal":{{"AWS":"arn:aws:iam::{}:root"}},"Action":"s3:GetObject","Resource":"arn:aws:s3:::shared/*"}}"#,
        fixture::OTHER
    );
    put_policy(&root, "shared", &statement).await;
    assert_eq!(outcome(&stranger, "GET", "/shared/a", &[], b"").await.0, 200);
    assert_eq!(outcome(&stranger, "DELETE", "/shared/a", &[], b"").await.0, 403);
    let nobody = fixture.cloud.nobody();
    assert_eq!(outcome(&nobody, "GET", "/shared/a", &[], b"").await.0, 403);
}

#[tokio::test]
async fn conditions_are_weighed_against_the_request_and_what_is_stored() {
    let fixture = start().await;
    let root = fixture.cloud.root();
    let user = fixture.cloud.user("ann", ALL);
    root.call(create("rules")).await.unwrap();
    let deny = |action: &str, resource: &str, condition: &str| {
        format!(
            r#"{{"Effect":"Deny","Principal":"*","Action":"{action}","Resource":"arn:aws:s3:::rules{resource}","Condition":{condition}}}"#
        )
    };
    put_policy(
        &root,
        "rules",
        &[
            deny(
                "s3:PutObject",
                "/*",
                r#"{"StringNotEquals":{"s3:x-amz-server-side-encryption":"AES256"}}"#,
            ),
            deny("s3:ListBucket", "", r#"{"StringNotLike":{"s3:prefix":"home/*"}}"#),
            deny("s3:GetObject", "/*", r#"{"StringEquals":{"s3:ExistingObjectTag/secret":"yes"}}"#),
            deny(
                "s3:PutObjectTagging",
                "/*",
                r#"{"StringEquals":{"s3:RequestObjectTag/secret":"no"}}"#,
            ),
            deny("s3:DeleteObject", "/*", r#"{"Bool":{"aws:SecureTransport":"false"}}"#),
            deny("s3:GetObjectAcl", "/*", r#"{"StringEquals":{"s3:authType":"REST-HEADER"}}"#),
            deny("s3:GetBucketTagging", "", r#"{"StringLike":{"aws:Referer":"http://evil/*"}}"#),
        ]
        .join(","),
    )
    .await;
    let sse = [("x-amz-server-side-encryption", "AES256"), ("x-amz-tagging", "secret=yes")];
    assert_eq!(outcome(&user, "PUT", "/rules/home/a", &[], b"1").await.0, 403);
    assert_eq!(outcome(&user, "PUT", "/rules/home/a", &sse, b"1").await.0, 200);
    assert_eq!(outcome(&user, "PUT", "/rules/home/b", &sse[..1], b"1").await.0, 200);
    assert_eq!(outcome(&user, "GET", "/rules?prefix=home/", &[], b"").await.0, 200);
    assert_eq!(outcome(&user, "GET", "/rules?list-type=2&prefix=etc/", &[], b"").await.0, 403);
    assert_eq!(outcome(&user, "GET", "/rules/home/a", &[], b"").await.0, 403);
    assert_eq!(outcome(&user, "GET", "/rules/home/b", &[], b"").await.0, 200);
    let tagging = |value: &str| {
        format!(
            "<Tagging><TagSet><Tag><Key>secret</Key><Value>{value}</Value></Tag></TagSet></Tagging>"
        )
    };
    let path = "/rules/home/b?tagging";
    assert_eq!(outcome(&user, "PUT", path, &[], tagging("no").as_bytes()).await.0, 403);
    assert_eq!(outcome(&user, "PUT", path, &[], tagging("maybe").as_bytes()).await.0, 200);
    // The test's connection is not encrypted.
    assert_eq!(outcome(&user, "DELETE", "/rules/home/b", &[], b"").await.0, 403);
    assert_eq!(outcome(&user, "GET", "/rules/home/b?acl", &[], b"").await.0, 403);
    let referer = [("referer", "http://evil/page")];
    assert_eq!(outcome(&user, "GET", "/rules?tagging", &referer, b"").await.0, 403);
    assert_eq!(outcome(&user, "GET", "/rules?tagging", &[], b"").await.1, "NoSuchTagSet");
    // The owner's root user is bound by denials as well, but can always mend the policy.
    assert_eq!(outcome(&root, "GET", "/rules/home/a", &[], b"").await.0, 403);
    put_policy(&root, "rules", r#"{"Effect":"Deny","Principal":"*","Action":"s3:*","Resource":["arn:aws:s3:::rules","arn:aws:s3:::rules/*"]}"#).await;
    assert_eq!(outcome(&root, "GET", "/rules?acl", &[], b"").await.0, 403);
    assert_eq!(outcome(&root, "DELETE", "/rules?policy", &[], b"").await.0, 204);
    assert_eq!(outcome(&root, "GET", "/rules?acl", &[], b"").await.0, 200);
}

#[tokio::test]
async fn a_policy_that_locks_its_writer_out_must_be_confirmed() {
    let fixture = start().await;
    let user = fixture.cloud.user("bob", ALL);
    user.call(create("locked")).await.unwrap();
    let deny = r#"{"Effect":"Deny","Principal":"*","Action":"s3:PutBucketPolicy","Resource":"arn:aws:s3:::locked"}"#;
    let refused = user.call(policy_input("locked", deny)).await.unwrap_err();
    assert_eq!(refused.code, "MalformedPolicy");
    let confirmed = PutBucketPolicyInput {
        confirm_remove_self_bucket_access: Some(true),
        ..policy_input("locked", deny)
    };
    user.call(confirmed).await.unwrap();
    let again = user.call(policy_input("locked", deny)).await.unwrap_err();
    assert_eq!(again.status, 403);
    fixture.cloud.root().call(policy_input("locked", deny)).await.unwrap();
}

#[tokio::test]
async fn policies_are_checked_and_kept_as_they_came() {
    let fixture = start().await;
    let root = fixture.cloud.root();
    root.call(create("kept-policy")).await.unwrap();
    let get = || GetBucketPolicyInput { bucket: "kept-policy".into(), expected_bucket_owner: None };
    assert_eq!(root.call(get()).await.unwrap_err().code, "NoSuchBucketPolicy");
    for bad in [
        r#"{"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::other/*"}"#,
        r#"{"Effect":"Allow","Principal":"*","Action":"ec2:RunInstances","Resource":"arn:aws:s3:::kept-policy"}"#,
        r#"{"Effect":"Maybe","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::kept-policy/*"}"#,
    ] {
        let error = root.call(policy_input("kept-policy", bad)).await.unwrap_err();
        assert_eq!(error.code, "MalformedPolicy", "{bad}");
    }
    let status =
        GetBucketPolicyStatusInput { bucket: "kept-policy".into(), expected_bucket_owner: None };
    assert_eq!(root.call(status.clone()).await.unwrap_err().code, "NoSuchBucketPolicy");
    let good = r#"{"Effect":"Allow","Principal":{"AWS":"123456789012"},"Action":"s3:GetObject","Resource":"arn:aws:s3:::kept-policy/*"}"#;
    let input = policy_input("kept-policy", good);
    root.call(input.clone()).await.unwrap();
    assert_eq!(root.call(get()).await.unwrap().policy, Some(input.policy));
    let status = root.call(status).await.unwrap().policy_status.unwrap();
    assert_eq!(status.is_public, Some(false));
    let stranger = fixture.stranger();
    for (method, query) in [("GET", "policy"), ("DELETE", "policy"), ("GET", "policyStatus")] {
        let path = format!("/kept-policy?{query}");
        assert_eq!(outcome(&stranger, method, &path, &[], b"").await.0, 403, "{method} {query}");
    }
}

#[tokio::test]
async fn whoever_owns_an_object_decides_who_reads_it() {
    let fixture = start().await;
    let root = fixture.cloud.root();
    create_open(&root, "drop-box").await;
    let all = r#"{"Effect":"Allow","Principal":"*","Action":["s3:PutObject","s3:PutObjectAcl","s3:GetObject"],"Resource":"arn:aws:s3:::drop-box/*"}"#;
    put_policy(&root, "drop-box", all).await;
    let stranger = fixture.stranger();
    assert_eq!(outcome(&stranger, "PUT", "/drop-box/mine", &[], b"1").await.0, 200);
    // The bucket's owner has no right to what the other account keeps in its bucket.
    assert_eq!(outcome(&root, "GET", "/drop-box/mine", &[], b"").await.0, 403);
    assert_eq!(outcome(&stranger, "GET", "/drop-box/mine", &[], b"").await.0, 200);
    let full = [("x-amz-acl", "bucket-owner-full-control")];
    assert_eq!(outcome(&stranger, "PUT", "/drop-box/given", &full, b"1").await.0, 200);
    assert_eq!(outcome(&root, "GET", "/drop-box/given", &[], b"").await.0, 200);
    // Once lists are off, the owner of the bucket owns everything.
    let off = b"<OwnershipControls><Rule><ObjectOwnership>BucketOwnerEnforced</ObjectOwnership></Rule></OwnershipControls>";
    assert_eq!(outcome(&root, "PUT", "/drop-box?ownershipControls", &[], off).await.0, 200);
    assert_eq!(outcome(&root, "GET", "/drop-box/mine", &[], b"").await.0, 200);
}

#[tokio::test]
async fn a_named_version_is_another_action() {
    let fixture = start().await;
    let root = fixture.cloud.root();
    root.call(create("versions")).await.unwrap();
    send(&root, "PUT", "/versions/a", &[], b"1").await;
    let newest = fixture.cloud.user("newest", r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["s3:GetObject","s3:DeleteObject"],"Resource":"arn:aws:s3:::versions/*"}]}"#);
    assert_eq!(outcome(&newest, "GET", "/versions/a", &[], b"").await.0, 200);
    assert_eq!(outcome(&newest, "GET", "/versions/a?versionId=null", &[], b"").await.0, 403);
    assert_eq!(outcome(&newest, "DELETE", "/versions/a?versionId=null", &[], b"").await.0, 403);
    assert_eq!(outcome(&root, "GET", "/versions/a?versionId=null", &[], b"").await.0, 200);
}
