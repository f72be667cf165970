//! The resource types of instances and what they are made from, driven as CloudFormation would.

use std::time::Duration;

use ec2_api::{DescribeKeyPairsInput, InstanceStateName};
use kernel::Caller;
use kernel::resource::{Attributes, Progress, Properties, ResourceCtx, ResourceType};
use policy::Principal;
use serde_json::{Value as Json, json};

use crate::region::Lab;

fn ctx(lab: &Lab, logical_id: &str) -> ResourceCtx {
    let kernel = &lab.cloud.kernel;
    let account = kernel.settings().account.clone();
    let caller = Caller {
        principal: Principal::Root { account: account.clone() },
        account: account.clone(),
        arn: format!("arn:aws:iam::{account}:root"),
        user_id: account.to_string(),
        access_key_id: None,
        invoked_by: Some("cloudformation.amazonaws.com".to_owned()),
        session_policies: Vec::new(),
        expires: None,
        facts: kernel::session::SessionFacts::default(),
    };
    let tag = |key: &str, value: &str| (format!("aws:cloudformation:{key}"), value.to_owned());
    ResourceCtx {
        client: kernel.client_for(caller, "cloudformation.amazonaws.com"),
        stack_name: "web".to_owned(),
        stack_id: "stack/web/1".to_owned(),
        logical_id: logical_id.to_owned(),
        token: format!("web-{logical_id}-1"),
        tags: [tag("stack-id", "stack/web/1"), tag("logical-id", logical_id)].into(),
        account,
        region: kernel.region().clone(),
    }
}

fn kind(lab: &Lab, name: &str) -> ResourceType {
    lab.cloud.kernel.resource_type(&format!("AWS::EC2::{name}")).unwrap().clone()
}

fn object(json: Json) -> Properties {
    json.as_object().unwrap().clone()
}

async fn settle(
    kind: &ResourceType,
    ctx: &ResourceCtx,
    id: &str,
    wanted: &Properties,
) -> Attributes {
    testkit::poll::until("the resource to settle", || async {
        match kind.handler.settled(ctx, id, wanted).await.unwrap() {
            Progress::Done(attributes) => Some(attributes),
            Progress::Wait(_) => None,
        }
    })
    .await
}

async fn delete(kind: &ResourceType, ctx: &ResourceCtx, id: &str) {
    testkit::poll::until("the resource to go", || async {
        match kind.handler.delete(ctx, id, &Properties::new()).await.unwrap() {
            Progress::Done(_) => Some(()),
            Progress::Wait(wait) => {
                assert!(wait <= Duration::from_secs(5));
                None
            }
        }
    })
    .await;
}

#[tokio::test]
async fn a_stack_launches_an_instance_of_its_template_and_changes_its_type() {
    let lab = Lab::start().await;
    let (templates, instances) = (kind(&lab, "LaunchTemplate"), kind(&lab, "Instance"));
    let of_template = ctx(&lab, "Template");
    let data = |user_data: &str| {
        object(json!({"LaunchTemplateData": {
            "KeyName": Json::Null,
            "UserData": user_data,
            "MetadataOptions": {"HttpTokens": "required", "HttpPutResponseHopLimit": "2"},
            "BlockDeviceMappings": [{"DeviceName": "/dev/xvda", "Ebs": {"VolumeSize": "12"}}],
            "Monitoring": {"Enabled": "false"},
        }}))
    };
    let mut first = data("IyEvYmluL3NoCg==");
    if let Some(Json::Object(data)) = first.get_mut("LaunchTemplateData") {
        data.remove("KeyName");
    }
    let template = templates.handler.create(&of_template, &first).await.unwrap();
    assert_eq!(templates.handler.create(&of_template, &first).await.unwrap(), template);
    let attributes = settle(&templates, &of_template, &template, &first).await;
    assert_eq!(attributes["LatestVersionNumber"], "1");
    let mut second = first.clone();
    second["LaunchTemplateData"]["UserData"] = json!("IyEvYmluL2Jhc2gK");
    templates.handler.update(&of_template, &template, &first, &second).await.unwrap();
    let attributes = settle(&templates, &of_template, &template, &second).await;
    assert_eq!(attributes["LatestVersionNumber"], "2");

    let of_instance = ctx(&lab, "Server");
    let wanted = object(json!({
        "ImageId": lab.debian().await,
        "InstanceType": "t3.nano",
        "LaunchTemplate": {"LaunchTemplateId": template, "Version": "$Latest"},
        "AvailabilityZone": "ap-northeast-2b",
        "Monitoring": "true",
        "SourceDestCheck": "false",
        "Tags": [{"Key": "Name", "Value": "server"}],
    }));
    let id = instances.handler.create(&of_instance, &wanted).await.unwrap();
    assert_eq!(instances.handler.create(&of_instance, &wanted).await.unwrap(), id);
    let attributes = settle(&instances, &of_instance, &id, &wanted).await;
    assert_eq!(attributes["AvailabilityZone"], "ap-northeast-2b");
    let instance = lab.describe(&id).await;
    assert_eq!(instance.private_ip_address, attributes["PrivateIp"].as_str().map(str::to_owned));
    assert_eq!(instance.source_dest_check, Some(false));
    let larger = Properties::from_iter(
        wanted.clone().into_iter().chain([("InstanceType".to_owned(), json!("t3.small"))]),
    );
    instances.handler.update(&of_instance, &id, &wanted, &larger).await.unwrap();
    settle(&instances, &of_instance, &id, &larger).await;
    let instance = lab.until(&id, InstanceStateName::Running).await;
    assert_eq!(instance.instance_type.as_deref(), Some("t3.small"));
    delete(&instances, &of_instance, &id).await;
    delete(&templates, &of_template, &template).await;
    delete(&templates, &of_template, &template).await;
}

#[tokio::test]
async fn a_template_with_a_property_nobody_knows_is_refused_by_its_name() {
    let lab = Lab::start().await;
    let templates = kind(&lab, "LaunchTemplate");
    let wanted = object(json!({"LaunchTemplateData": {"ImageID": "ami-12345678"}}));
    let refused = templates.handler.create(&ctx(&lab, "Template"), &wanted).await.unwrap_err();
    assert!(refused.message.contains("ImageID"), "{}", refused.message);
}

#[tokio::test]
async fn a_stack_imports_a_key_pair() {
    let lab = Lab::start().await;
    let pairs = kind(&lab, "KeyPair");
    let of_pair = ctx(&lab, "Key");
    let key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIL7lJgT4jGUqFv0CLL0RY+BnA4Gb63lOtBUFxpjxUsMc me";
    let wanted = object(json!({"KeyName": "mine", "PublicKeyMaterial": key}));
    let id = pairs.handler.create(&of_pair, &wanted).await.unwrap();
    assert_eq!(id, "mine");
    let attributes = settle(&pairs, &of_pair, &id, &wanted).await;
    assert!(attributes["KeyPairId"].as_str().unwrap().starts_with("key-"));
    let all = lab.root.call(DescribeKeyPairsInput::default()).await.unwrap();
    assert_eq!(all.key_pairs.len(), 1);
}
