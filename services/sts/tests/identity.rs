//! Who calls, and temporary credentials, over HTTP.

use bytes::Bytes;
use sts_api::{
    AssumeRoleInput, GetAccessKeyInfoInput, GetCallerIdentityInput, GetSessionTokenInput,
};
use testkit::{ACCOUNT, Cloud};

async fn cloud() -> Cloud {
    Cloud::start(vec![sts::service().into()]).await
}

#[tokio::test]
async fn a_caller_learns_who_it_is() {
    let cloud = cloud().await;
    let root = cloud.root().call(GetCallerIdentityInput {}).await.unwrap();
    assert_eq!(root.account.as_deref(), Some(ACCOUNT));
    assert_eq!(root.arn, Some(format!("arn:aws:iam::{ACCOUNT}:root")));
    let nobody = cloud.nobody().call(GetCallerIdentityInput {}).await.unwrap();
    assert_eq!(nobody.arn, Some(format!("arn:aws:iam::{ACCOUNT}:user/nobody")));
}

#[tokio::test]
async fn an_operation_without_permission_is_denied() {
    let cloud = cloud().await;
    let input = GetAccessKeyInfoInput { access_key_id: "AKIAROOTROOTROOT".to_owned() };
    let error = cloud.nobody().call(input).await.unwrap_err();
    assert_eq!((error.code.as_str(), error.status), ("AccessDenied", 403));
    assert!(error.message.contains("is not authorized to perform: sts:GetAccessKeyInfo"));
}

#[tokio::test]
async fn a_request_that_was_changed_after_signing_is_refused() {
    let cloud = cloud().await;
    let body = "Action=GetCallerIdentity&Version=2011-06-15";
    let request = http::Request::post("/")
        .header("content-type", "application/x-www-form-urlencoded")
        .header("host", cloud.address.to_string())
        .header("authorization", format!(
            "AWS4-HMAC-SHA256 Credential=AKIAROOT/20260921/{}/sts/aws4_request, SignedHeaders=host;x-amz-date, Signature={}",
            testkit::REGION,
            "0".repeat(64)
        ))
        .header("x-amz-date", testkit::START.iso8601_basic())
        .body(Bytes::from_static(body.as_bytes()))
        .unwrap();
    let answer = cloud.root().send_unsigned(request).await;
    assert_eq!(answer.status(), 403);
    let text = String::from_utf8_lossy(answer.body()).into_owned();
    assert!(text.contains("<Code>SignatureDoesNotMatch</Code>"), "{text}");
}

#[tokio::test]
async fn a_request_without_signature_is_refused() {
    let cloud = cloud().await;
    let request = http::Request::get("/?Action=GetCallerIdentity&Version=2011-06-15")
        .header("host", "sts.amazonaws.com")
        .body(Bytes::new())
        .unwrap();
    let answer = cloud.root().send_unsigned(request).await;
    assert_eq!(answer.status(), 403);
    let text = String::from_utf8_lossy(answer.body()).into_owned();
    assert!(text.contains("<Code>MissingAuthenticationToken</Code>"), "{text}");
}

#[tokio::test]
async fn a_role_that_does_not_trust_the_caller_cannot_be_assumed() {
    let cloud = cloud().await;
    let input = AssumeRoleInput {
        role_arn: format!("arn:aws:iam::{ACCOUNT}:role/worker"),
        role_session_name: "session".to_owned(),
        ..AssumeRoleInput::default()
    };
    let error = cloud.nobody().call(input.clone()).await.unwrap_err();
    assert_eq!(error.code, "AccessDenied");
    assert!(error.message.contains("sts:AssumeRole on resource"), "{}", error.message);
    let error = cloud.root().call(input).await.unwrap_err();
    assert_eq!(error.message, "Roles may not be assumed by root accounts.");
}

#[tokio::test]
async fn a_session_may_last_as_long_as_the_model_says() {
    let cloud = cloud().await;
    let long = GetSessionTokenInput { duration_seconds: Some(200_000), ..Default::default() };
    let error = cloud.root().call(long).await.unwrap_err();
    assert_eq!(error.code, "ValidationError");
    let hour = GetSessionTokenInput { duration_seconds: Some(900), ..Default::default() };
    let given = cloud.root().call(hour).await.unwrap().credentials.unwrap();
    assert!(given.access_key_id.starts_with("ASIA"));
    assert_eq!(given.expiration.as_secs(), testkit::START.as_secs() + 900);
}
