//! Inventories, as they arrive on the clock.

mod fixture;

use std::io::Read as _;
use std::time::Duration;

use fixture::{create, outcome, put_policy, send, start, text};

fn configuration(id: &str, more: &str) -> String {
    format!(
        "<InventoryConfiguration><Destination><S3BucketDestination><Bucket>arn:aws:s3:::reports</Bucket><Format>CSV</Format><Prefix>inv</Prefix></S3BucketDestination></Destination><IsEnabled>true</IsEnabled><Filter><Prefix>a/</Prefix></Filter><Id>{id}</Id><IncludedObjectVersions>Current</IncludedObjectVersions><OptionalFields><Field>Size</Field><Field>ETag</Field>{more}</OptionalFields><Schedule><Frequency>Daily</Frequency></Schedule></InventoryConfiguration>"
    )
}

#[tokio::test]
async fn a_list_of_objects_arrives_every_day() {
    let fixture = start().await;
    let root = fixture.cloud.root();
    root.call(create("stock")).await.unwrap();
    root.call(create("reports")).await.unwrap();
    put_policy(&root, "reports", r#"{"Effect":"Allow","Principal":{"Service":"s3.amazonaws.com"},"Action":"s3:PutObject","Resource":"arn:aws:s3:::reports/inv/*","Condition":{"ArnLike":{"aws:SourceArn":"arn:aws:s3:::stock"},"StringEquals":{"aws:SourceAccount":"123456789012","s3:x-amz-acl":"bucket-owner-full-control"}}},{"Effect":"Allow","Principal":{"Service":"s3.amazonaws.com"},"Action":"s3:PutObjectAcl","Resource":"arn:aws:s3:::reports/inv/*"}"#).await;
    for key in ["a/one", "a/t%20wo", "b/three"] {
        send(&root, "PUT", &format!("/stock/{key}"), &[], b"123456789").await;
    }
    let put = configuration("daily", "");
    let set = outcome(&root, "PUT", "/stock?inventory&id=daily", &[], put.as_bytes()).await;
    assert_eq!(set.0, 200, "{}", set.1);
    // The task has seen the configuration when it has set the day's end as its next time.
    let manifest = testkit::poll::until("the manifest", || async {
        fixture.cloud.advance(Duration::from_secs(86_400));
        let page = text(&send(&root, "GET", "/reports?prefix=inv/stock/daily/2", &[], b"").await);
        page.split("<Key>").find_map(|key| {
            let key = key.split("</Key>").next()?;
            key.ends_with("manifest.json").then(|| key.to_owned())
        })
    })
    .await;
    let manifest = text(&send(&root, "GET", &format!("/reports/{manifest}"), &[], b"").await);
    assert!(manifest.contains("\"fileSchema\":\"Bucket, Key, Size, ETag\""), "{manifest}");
    let file = manifest.split("\"key\":\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    let file = send(&root, "GET", &format!("/reports/{file}"), &[], b"").await;
    let mut csv = String::new();
    flate2::read::GzDecoder::new(file.body().as_ref()).read_to_string(&mut csv).unwrap();
    let etag = "25f9e794323b453885f5181f1b624d0b";
    assert_eq!(
        csv,
        format!("\"stock\",\"a/one\",\"9\",\"{etag}\"\n\"stock\",\"a/t+wo\",\"9\",\"{etag}\"\n")
    );
}

#[tokio::test]
async fn inventories_are_set_listed_checked_and_ended() {
    let fixture = start().await;
    let root = fixture.cloud.root();
    root.call(create("stock")).await.unwrap();
    let missing = (404, "NoSuchConfiguration".to_owned());
    assert_eq!(outcome(&root, "GET", "/stock?inventory&id=one", &[], b"").await, missing);
    assert_eq!(outcome(&root, "DELETE", "/stock?inventory&id=one", &[], b"").await, missing);
    for id in ["one", "two"] {
        let path = format!("/stock?inventory&id={id}");
        let body = configuration(id, "");
        assert_eq!(outcome(&root, "PUT", &path, &[], body.as_bytes()).await.0, 200);
    }
    let got = text(&send(&root, "GET", "/stock?inventory&id=one", &[], b"").await);
    assert!(got.contains("<Id>one</Id>"), "{got}");
    let listed = text(&send(&root, "GET", "/stock?inventory", &[], b"").await);
    assert_eq!(listed.matches("<InventoryConfiguration>").count(), 2, "{listed}");
    let wrong = configuration("other", "");
    let refused = outcome(&root, "PUT", "/stock?inventory&id=one", &[], wrong.as_bytes()).await;
    assert_eq!(refused, (400, "InvalidConfigurationId".to_owned()));
    let later = configuration("one", "<Field>LifecycleExpirationDate</Field>");
    let refused = outcome(&root, "PUT", "/stock?inventory&id=one", &[], later.as_bytes()).await;
    assert_eq!(refused, (501, "NotImplemented".to_owned()));
    let nobody = fixture.cloud.nobody();
    for (method, path) in [
        ("GET", "/stock?inventory"),
        ("GET", "/stock?inventory&id=one"),
        ("DELETE", "/stock?inventory&id=one"),
    ] {
        assert_eq!(outcome(&nobody, method, path, &[], b"").await.0, 403, "{method} {path}");
    }
    let body = configuration("one", "");
    assert_eq!(
        outcome(&nobody, "PUT", "/stock?inventory&id=one", &[], body.as_bytes()).await.0,
        403
    );
    assert_eq!(outcome(&root, "DELETE", "/stock?inventory&id=one", &[], b"").await.0, 204);
    assert_eq!(outcome(&root, "GET", "/stock?inventory&id=one", &[], b"").await, missing);
}
