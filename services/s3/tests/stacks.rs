//! The resource types of buckets, driven as CloudFormation would.

mod fixture;

use fixture::{Fixture, browse, header, outcome, send, start, text};
use kernel::resource::{Progress, Properties, ResourceCtx, ResourceType};
use policy::Principal;
use serde_json::{Value as Json, json};

fn ctx(fixture: &Fixture) -> ResourceCtx {
    let kernel = &fixture.cloud.kernel;
    let account = kernel.settings().account.clone();
    let principal = Principal::Root { account: account.clone() };
    let mut caller = kernel::plain_caller(principal, &account, account.as_str());
    caller.invoked_by = Some("cloudformation.amazonaws.com".to_owned());
    let tag = |key: &str, value: &str| (format!("aws:cloudformation:{key}"), value.to_owned());
    ResourceCtx {
        client: kernel.client_for(caller, "cloudformation.amazonaws.com"),
        stack_name: "web".to_owned(),
        stack_id: "stack/web/1".to_owned(),
        logical_id: "Site".to_owned(),
        token: "web-site-1".to_owned(),
        tags: [tag("stack-id", "stack/web/1"), tag("logical-id", "Site")].into(),
        account,
        region: kernel.region().clone(),
    }
}

fn kind(fixture: &Fixture, name: &str) -> ResourceType {
    fixture.cloud.kernel.resource_type(name).expect("the type").clone()
}

fn object(json: Json) -> Properties {
    json.as_object().expect("an object").clone()
}

#[tokio::test]
async fn a_bucket_of_a_template_is_shared_as_it_says() {
    let fixture = start().await;
    let (root, ctx) = (fixture.cloud.root(), ctx(&fixture));
    let bucket = kind(&fixture, "AWS::S3::Bucket");
    let plain = json!({
        "BucketName": "of-a-stack",
        "PublicAccessBlockConfiguration": { "BlockPublicPolicy": false },
        "OwnershipControls": { "Rules": [{ "ObjectOwnership": "ObjectWriter" }] },
    });
    let mut wanted = plain.clone();
    for (name, value) in [
        ("AccessControl", json!("PublicRead")),
        (
            "WebsiteConfiguration",
            json!({
                "IndexDocument": "index.html",
                "RoutingRules": [{
                    "RedirectRule": { "ReplaceKeyPrefixWith": "new/" },
                    "RoutingRuleCondition": { "KeyPrefixEquals": "old/" },
                }],
            }),
        ),
        (
            "CorsConfiguration",
            json!({ "CorsRules": [{
            "AllowedOrigins": ["*"], "AllowedMethods": ["GET"], "MaxAge": 60,
        }] }),
        ),
        ("LoggingConfiguration", json!({ "LogFilePrefix": "log/" })),
        ("AccelerateConfiguration", json!({ "AccelerationStatus": "Enabled" })),
    ] {
        wanted[name] = value;
    }
    let (plain, wanted) = (object(plain), object(wanted));
    let id = bucket.handler.create(&ctx, &wanted).await.unwrap();
    assert_eq!(id, "of-a-stack");
    assert_eq!(bucket.handler.find(&ctx, &wanted).await.unwrap(), Some(id.clone()));
    let Progress::Done(attributes) = bucket.handler.settled(&ctx, &id, &wanted).await.unwrap()
    else {
        panic!("a bucket is there at once");
    };
    let address = "http://of-a-stack.s3-website.ap-northeast-2.amazonaws.com";
    assert_eq!(attributes["WebsiteURL"], address);
    let host = [("host", "of-a-stack.s3-website.ap-northeast-2.amazonaws.com")];
    let moved = browse(&root, "GET", "/old/a", &host, b"").await;
    assert!(header(&moved, "location").ends_with("/new/a"), "{}", header(&moved, "location"));
    for (query, want) in [
        ("acl", "AllUsers"),
        ("cors", "<MaxAgeSeconds>60</MaxAgeSeconds>"),
        ("logging", "<TargetBucket>of-a-stack</TargetBucket>"),
        ("accelerate", "Enabled"),
    ] {
        let got = text(&send(&root, "GET", &format!("/of-a-stack?{query}"), &[], b"").await);
        assert!(got.contains(want), "{query}: {got}");
    }
    bucket.handler.update(&ctx, &id, &wanted, &plain).await.unwrap();
    for (query, want) in [("website", 404), ("cors", 404), ("logging", 200)] {
        let path = format!("/of-a-stack?{query}");
        assert_eq!(outcome(&root, "GET", &path, &[], b"").await.0, want, "{query}");
    }
    let acl = text(&send(&root, "GET", "/of-a-stack?acl", &[], b"").await);
    assert!(!acl.contains("AllUsers"), "{acl}");
    let wrong = object(json!({ "BucketName": "wrong", "WebsiteConfiguration": { "Home": "x" } }));
    let error = bucket.handler.create(&ctx, &wrong).await.unwrap_err();
    assert!(error.message.contains("Home"), "{}", error.message);
    let gone = bucket.handler.delete(&ctx, &id, &plain).await.unwrap();
    assert!(matches!(gone, Progress::Done(_)));
    assert_eq!(outcome(&root, "HEAD", "/of-a-stack", &[], b"").await.0, 404);
}

#[tokio::test]
async fn a_policy_of_a_template_comes_and_goes() {
    let fixture = start().await;
    let (root, ctx) = (fixture.cloud.root(), ctx(&fixture));
    root.call(fixture::create("policed")).await.unwrap();
    let policy = kind(&fixture, "AWS::S3::BucketPolicy");
    let wanted = object(json!({
        "Bucket": "policed",
        "PolicyDocument": { "Version": "2012-10-17", "Statement": [{
            "Effect": "Deny", "Principal": "*", "Action": "s3:GetObject",
            "Resource": "arn:aws:s3:::policed/*",
            "Condition": { "Bool": { "aws:SecureTransport": "false" } },
        }] },
    }));
    let id = policy.handler.create(&ctx, &wanted).await.unwrap();
    assert_eq!(outcome(&root, "GET", "/policed/a", &[], b"").await.0, 403);
    policy.handler.delete(&ctx, &id, &wanted).await.unwrap();
    assert_eq!(outcome(&root, "GET", "/policed/a", &[], b"").await.0, 404);
}
