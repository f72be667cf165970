//! Every operation is refused to who may not call it.

use kernel::RequestInfo;
use kernel::identity::Identity as _;
use protocol::{Fields, Value, schema};

use crate::region::Region;

/// A value that the model takes for a required member.
fn value(member: &str, account: &str) -> Value {
    let text = |text: &str| Value::Text(text.to_owned());
    let tag = || {
        let mut tag = Fields::new();
        tag.push("Key", Value::Text("k".to_owned()));
        tag.push("Value", Value::Text("v".to_owned()));
        Value::Struct(tag)
    };
    match member {
        "Tags" => Value::List(vec![tag()]),
        "TagKeys" => Value::List(vec![text("k")]),
        "ActionNames" => Value::List(vec![text("s3:GetObject")]),
        "PolicyInputList" => Value::List(vec![text("{}")]),
        "PolicyArn" | "PermissionsBoundary" => {
            text(&format!("arn:aws:iam::{account}:policy/anything"))
        }
        "PolicySourceArn" => text(&format!("arn:aws:iam::{account}:user/anyone")),
        "VersionId" => text("v1"),
        "Status" => text("Active"),
        "AWSServiceName" => text("autoscaling.amazonaws.com"),
        "AccountAlias" => text("anything"),
        "AccessKeyId" => text("AKIAAAAAAAAAAAAAAAAA"),
        "SerialNumber" => text(&format!("arn:aws:iam::{account}:mfa/anything")),
        "AuthenticationCode1" | "AuthenticationCode2" => text("123456"),
        "SAMLMetadataDocument" => text(&"x".repeat(1000)),
        "SAMLProviderArn" => text(&format!("arn:aws:iam::{account}:saml-provider/anything")),
        "OpenIDConnectProviderArn" => {
            text(&format!("arn:aws:iam::{account}:oidc-provider/idp.example.com"))
        }
        "Url" => text("https://idp.example.com"),
        "ThumbprintList" => Value::List(vec![text(&"a".repeat(40))]),
        "SSHPublicKeyId" | "ServiceSpecificCredentialId" => text(&"A".repeat(20)),
        "CertificateId" => text(&"A".repeat(32)),
        "JobId" => text("11111111-2222-3333-4444-555555555555"),
        "Arn" => text(&format!("arn:aws:iam::{account}:user/anyone")),
        "ServiceNamespaces" => Value::List(vec![text("s3")]),
        "Encoding" => text("SSH"),
        _ => text("anything"),
    }
}

#[tokio::test]
async fn every_operation_is_denied_without_permission() {
    let region = Region::start().await;
    region.user("nobody", None).await;
    let admin = region.admin();
    let input = iam_api::CreateAccessKeyInput { user_name: Some("nobody".to_owned()) };
    let key = admin.call(input).await.unwrap().access_key;
    let caller = region.directory.access_key(&key.access_key_id).await.unwrap().unwrap().caller;
    let model = schema::service("iam").unwrap();
    let kernel = &region.cloud.kernel;
    let mut asked = 0;
    for operation in kernel.service("iam").unwrap().operations() {
        let shape = model.operation(operation).unwrap().input;
        let mut input = Fields::new();
        for member in shape.map(|shape| model.members(shape)).unwrap_or_default() {
            if member.required {
                input.push(member.name, value(member.name, &region.account()));
            }
        }
        let (caller, request) = (caller.clone(), RequestInfo::default());
        let answer = kernel.invoke("iam", operation, Value::Struct(input), caller, request).await;
        let error = answer.expect_err(operation);
        assert_eq!(error.code, "AccessDenied", "{operation}: {error}");
        let text = format!("is not authorized to perform: iam:{operation} on resource: ");
        assert!(error.message.contains(&text), "{operation}: {error}");
        asked += 1;
    }
    assert_eq!(asked, kernel.service("iam").unwrap().operations().count());
    assert!(asked >= 150, "{asked} operations");
}
