//! Events as CloudTrail shows them: the kernel's records, told apart into management and data
//! events, with the resources that they name.
//!
//! AWS: "CloudTrail record contents"; "Logging data events".

use kernel::audit::AuditRecord;
use serde_json::{Map, Value as Json, json};

/// The operations of S3 that are data events.
///
/// AWS: "Amazon S3 CloudTrail events" (object-level actions).
const OBJECT_ACTIONS: &[&str] = &[
    "AbortMultipartUpload",
    "CompleteMultipartUpload",
    "CopyObject",
    "CreateMultipartUpload",
    "DeleteObject",
    "DeleteObjectTagging",
    "DeleteObjects",
    "GetObject",
    "GetObjectAcl",
    "GetObjectAttributes",
    "GetObjectLegalHold",
    "GetObjectRetention",
    "GetObjectTagging",
    "GetObjectTorrent",
    "HeadBucket",
    "HeadObject",
    "ListMultipartUploads",
    "ListObjectVersions",
    "ListObjects",
    "ListObjectsV2",
    "ListParts",
    "PostObject",
    "PutObject",
    "PutObjectAcl",
    "PutObjectLegalHold",
    "PutObjectRetention",
    "PutObjectTagging",
    "RestoreObject",
    "SelectObjectContent",
    "UploadPart",
    "UploadPartCopy",
];

/// The type of the resources of S3's data events.
pub(crate) const OBJECT: &str = "AWS::S3::Object";

/// Services whose events are of all regions.
///
/// AWS: "Global service events".
const GLOBAL_SOURCES: [&str; 4] =
    ["cloudfront.amazonaws.com", "iam.amazonaws.com", "route53.amazonaws.com", "sts.amazonaws.com"];

/// An event.
pub(crate) struct Event {
    pub(crate) record: AuditRecord,
    pub(crate) json: Json,
    /// Whether it is a data event.
    pub(crate) is_data: bool,
}

impl Event {
    /// What a record looks like as an event.
    pub(crate) fn of(record: AuditRecord) -> Self {
        let mut json = record.event.clone();
        let name = text(&json, "eventName").to_owned();
        let from_s3 = text(&json, "eventSource") == "s3.amazonaws.com";
        let is_data = from_s3 && OBJECT_ACTIONS.contains(&name.as_str());
        if is_data && let Some(map) = json.as_object_mut() {
            describe_object(map);
            if name == "ListObjectsV2" {
                map.insert("eventName".to_owned(), json!("ListObjects"));
            }
        }
        Self { record, json, is_data }
    }

    /// A member that is a text.
    pub(crate) fn text(&self, name: &str) -> &str {
        text(&self.json, name)
    }

    pub(crate) fn is_read_only(&self) -> bool {
        self.json.get("readOnly").and_then(Json::as_bool).unwrap_or(false)
    }

    pub(crate) fn is_global(&self) -> bool {
        GLOBAL_SOURCES.contains(&self.text("eventSource"))
    }

    /// The resources of a data event: type and ARN.
    pub(crate) fn data_resources(&self) -> Vec<(&str, &str)> {
        let listed = self.json.get("resources").and_then(Json::as_array);
        let one = |it| (text(it, "type"), text(it, "ARN"));
        listed.into_iter().flatten().map(one).collect()
    }

    /// Who made the call, as lookups name it.
    pub(crate) fn user_name(&self) -> Option<&str> {
        let identity = self.json.get("userIdentity")?;
        match text(identity, "type") {
            "Root" => Some("root"),
            "IAMUser" => identity.get("userName").and_then(Json::as_str),
            "AssumedRole" | "FederatedUser" | "WebIdentityUser" => {
                let id = text(identity, "principalId");
                id.split_once(':').map(|(_, session)| session)
            }
            "AWSService" => identity.get("invokedBy").and_then(Json::as_str),
            _ => None,
        }
    }

    pub(crate) fn access_key(&self) -> Option<&str> {
        self.json.get("userIdentity")?.get("accessKeyId")?.as_str()
    }

    /// The resources that lookups find the event by: type and name.
    pub(crate) fn resources(&self) -> Vec<(&'static str, String)> {
        let mut found = Vec::new();
        for member in ["requestParameters", "responseElements"] {
            if let Some(json) = self.json.get(member) {
                name_resources(self.text("eventSource"), json, &mut found);
            }
        }
        found
    }
}

fn text<'a>(json: &'a Json, name: &str) -> &'a str {
    json.get(name).and_then(Json::as_str).unwrap_or_default()
}

fn describe_object(event: &mut Map<String, Json>) {
    event.insert("managementEvent".to_owned(), json!(false));
    event.insert("eventCategory".to_owned(), json!("Data"));
    let parameters = event.get("requestParameters");
    let of = |name: &str| parameters.and_then(|it| it.get(name)).and_then(Json::as_str);
    let Some(bucket) = of("bucketName").or_else(|| of("bucket")) else { return };
    let (bucket, key) = (bucket.to_owned(), of("key").map(str::to_owned));
    let account = event.get("recipientAccountId").cloned().unwrap_or(Json::Null);
    let mut resources = Vec::new();
    match key {
        Some(key) => resources.push(json!({
            "type": OBJECT,
            "ARN": format!("arn:aws:s3:::{bucket}/{key}"),
        })),
        None => resources.push(json!({
            "type": OBJECT,
            "ARNPrefix": format!("arn:aws:s3:::{bucket}/"),
            "ARN": format!("arn:aws:s3:::{bucket}/"),
        })),
    }
    resources.push(json!({
        "accountId": account,
        "type": "AWS::S3::Bucket",
        "ARN": format!("arn:aws:s3:::{bucket}"),
    }));
    event.insert("resources".to_owned(), Json::Array(resources));
}

/// Members that name resources, with the service where that matters, and the resources' types.
const NAMED: &[(&str, &str, &str)] = &[
    ("", "bucket", "AWS::S3::Bucket"),
    ("", "bucketName", "AWS::S3::Bucket"),
    ("", "vpcId", "AWS::EC2::VPC"),
    ("", "subnetId", "AWS::EC2::Subnet"),
    ("", "instanceId", "AWS::EC2::Instance"),
    ("", "networkInterfaceId", "AWS::EC2::NetworkInterface"),
    ("", "routeTableId", "AWS::EC2::RouteTable"),
    ("", "internetGatewayId", "AWS::EC2::InternetGateway"),
    ("", "allocationId", "AWS::EC2::EIP"),
    ("", "volumeId", "AWS::EC2::Volume"),
    ("", "imageId", "AWS::EC2::Ami"),
    ("", "keyName", "AWS::EC2::KeyPair"),
    ("ec2.amazonaws.com", "groupId", "AWS::EC2::SecurityGroup"),
    ("iam.amazonaws.com", "userName", "AWS::IAM::User"),
    ("iam.amazonaws.com", "roleName", "AWS::IAM::Role"),
    ("iam.amazonaws.com", "groupName", "AWS::IAM::Group"),
    ("iam.amazonaws.com", "policyArn", "AWS::IAM::Policy"),
    ("iam.amazonaws.com", "instanceProfileName", "AWS::IAM::InstanceProfile"),
    ("iam.amazonaws.com", "accessKeyId", "AWS::IAM::AccessKey"),
    ("sts.amazonaws.com", "roleArn", "AWS::IAM::Role"),
    ("", "certificateArn", "AWS::ACM::Certificate"),
    ("", "loadBalancerArn", "AWS::ElasticLoadBalancingV2::LoadBalancer"),
    ("", "targetGroupArn", "AWS::ElasticLoadBalancingV2::TargetGroup"),
    ("", "dBInstanceIdentifier", "AWS::RDS::DBInstance"),
    ("", "autoScalingGroupName", "AWS::AutoScaling::AutoScalingGroup"),
    ("", "stackName", "AWS::CloudFormation::Stack"),
    ("", "stackId", "AWS::CloudFormation::Stack"),
    ("", "secretId", "AWS::SecretsManager::Secret"),
    ("cloudtrail.amazonaws.com", "name", "AWS::CloudTrail::Trail"),
    ("cloudtrail.amazonaws.com", "trailName", "AWS::CloudTrail::Trail"),
    ("cloudtrail.amazonaws.com", "trailARN", "AWS::CloudTrail::Trail"),
    ("kms.amazonaws.com", "keyId", "AWS::KMS::Key"),
];

/// Resources that one event names at most.
const RESOURCES_MAX: usize = 50;

fn name_resources(source: &str, json: &Json, found: &mut Vec<(&'static str, String)>) {
    match json {
        Json::Object(members) => {
            for (member, value) in members {
                let fits = |it: &&(&str, &str, &str)| {
                    (it.0.is_empty() || it.0 == source) && it.1 == member.as_str()
                };
                match (NAMED.iter().find(fits), value.as_str()) {
                    (Some((_, _, kind)), Some(name)) => {
                        let one = (*kind, name.to_owned());
                        if found.len() < RESOURCES_MAX && !found.contains(&one) {
                            found.push(one);
                        }
                    }
                    _ => name_resources(source, value, found),
                }
            }
        }
        Json::Array(items) => items.iter().for_each(|it| name_resources(source, it, found)),
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => {}
    }
}
