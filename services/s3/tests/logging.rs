//! Server access logs, as they arrive in the bucket that the owner named.

mod fixture;

use std::time::Duration;

use fixture::{create, outcome, put_policy, send, start, text};

fn status(target: &str) -> String {
    format!(
        "<BucketLoggingStatus><LoggingEnabled><TargetBucket>{target}</TargetBucket><TargetPrefix>log/</TargetPrefix></LoggingEnabled></BucketLoggingStatus>"
    )
}

#[tokio::test]
async fn requests_arrive_as_lines() {
    let fixture = start().await;
    let root = fixture.cloud.root();
    root.call(create("watched")).await.unwrap();
    root.call(create("records")).await.unwrap();
    put_policy(&root, "records", r#"{"Effect":"Allow","Principal":{"Service":"logging.s3.amazonaws.com"},"Action":"s3:PutObject","Resource":"arn:aws:s3:::records/log/*","Condition":{"ArnLike":{"aws:SourceArn":"arn:aws:s3:::watched"},"StringEquals":{"aws:SourceAccount":"123456789012"}}}"#).await;
    let put = outcome(&root, "PUT", "/watched?logging", &[], status("records").as_bytes()).await;
    assert_eq!(put.0, 200, "{}", put.1);
    let agent = [("user-agent", "test/1"), ("referer", "http://a/")];
    send(&root, "PUT", "/watched/a%20b", &agent, b"12345").await;
    send(&root, "GET", "/watched/none", &[], b"").await;
    fixture.cloud.advance(Duration::from_secs(301));
    let listed = testkit::poll::until("the log", || async {
        let page = send(&root, "GET", "/records?prefix=log/", &[], b"").await;
        let key = text(&page).split("<Key>").nth(1)?.split("</Key>").next()?.to_owned();
        Some(key)
    })
    .await;
    assert!(listed.starts_with("log/2026-"), "{listed}");
    let log = text(&send(&root, "GET", &format!("/records/{listed}"), &[], b"").await);
    let put = log.lines().find(|line| line.contains("REST.PUT.OBJECT")).expect("a line");
    assert!(put.contains("a+b \"PUT /watched/a%20b HTTP/1.1\" 200 - - 5 "), "{put}");
    assert!(put.contains("\"http://a/\" \"test/1\""), "{put}");
    let get = log.lines().find(|line| line.contains("REST.GET.OBJECT")).expect("a line");
    assert!(get.contains("\" 404 NoSuchKey "), "{get}");
}

#[tokio::test]
async fn logging_is_set_checked_and_ended() {
    let fixture = start().await;
    let root = fixture.cloud.root();
    root.call(create("quiet")).await.unwrap();
    let plain = send(&root, "GET", "/quiet?logging", &[], b"").await;
    assert!(!text(&plain).contains("LoggingEnabled"), "{}", text(&plain));
    let wrong = (400, "InvalidTargetBucketForLogging".to_owned());
    let put = |target: &'static str| {
        let root = root.clone();
        async move { outcome(&root, "PUT", "/quiet?logging", &[], status(target).as_bytes()).await }
    };
    assert_eq!(put("no-such-bucket").await, wrong);
    fixture.stranger().call(create("theirs")).await.unwrap();
    assert_eq!(put("theirs").await, wrong);
    assert_eq!(put("quiet").await.0, 200);
    let kept = send(&root, "GET", "/quiet?logging", &[], b"").await;
    assert!(text(&kept).contains("<TargetPrefix>log/</TargetPrefix>"), "{}", text(&kept));
    let off = b"<BucketLoggingStatus/>";
    assert_eq!(outcome(&root, "PUT", "/quiet?logging", &[], off).await.0, 200);
    let gone = send(&root, "GET", "/quiet?logging", &[], b"").await;
    assert!(!text(&gone).contains("LoggingEnabled"), "{}", text(&gone));
    let nobody = fixture.cloud.nobody();
    assert_eq!(outcome(&nobody, "PUT", "/quiet?logging", &[], off).await.0, 403);
}
