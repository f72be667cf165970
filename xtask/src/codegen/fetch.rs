//! The pinned `botocore` package and the extract that is kept of it.
//!
//! What is kept: names, types, constraints, and the HTTP, XML and error traits. What is dropped:
//! prose, examples, endpoint rules and what only clients need.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::{Map, Value};

use super::model::Model;

/// The package, and the hash that pip holds it to.
const PACKAGE: &str = "botocore==1.44.5";
const SHA256: &str = "8f16a56d1dff125dd65322ae021efa7ba5195a6db5102b96862566055b748921";

/// The services whose models are kept, by boto3's client name.
pub(super) const SERVICES: &[&str] = &[
    "accessanalyzer",
    "account",
    "acm",
    "acm-pca",
    "apigateway",
    "apigatewaymanagementapi",
    "apigatewayv2",
    "application-autoscaling",
    "athena",
    "autoscaling",
    "autoscaling-plans",
    "backup",
    "budgets",
    "ce",
    "cloudcontrol",
    "cloudformation",
    "cloudfront",
    "cloudfront-keyvaluestore",
    "cloudtrail",
    "cloudwatch",
    "codebuild",
    "codecommit",
    "codeconnections",
    "codedeploy",
    "codepipeline",
    "cognito-identity",
    "cognito-idp",
    "cur",
    "datasync",
    "dax",
    "directconnect",
    "dlm",
    "dms",
    "docdb",
    "dsql",
    "dynamodb",
    "dynamodbstreams",
    "ebs",
    "ec2",
    "ec2-instance-connect",
    "ecr",
    "ecr-public",
    "ecs",
    "efs",
    "eks",
    "eks-auth",
    "elasticache",
    "elasticbeanstalk",
    "elb",
    "elbv2",
    "events",
    "firehose",
    "fsx",
    "glacier",
    "globalaccelerator",
    "glue",
    "health",
    "iam",
    "identitystore",
    "keyspaces",
    "kinesis",
    "kinesis-video-archived-media",
    "kinesis-video-media",
    "kinesis-video-signaling",
    "kinesisanalyticsv2",
    "kinesisvideo",
    "kms",
    "lambda",
    "lightsail",
    "logs",
    "mediaconvert",
    "memorydb",
    "neptune",
    "neptunedata",
    "network-firewall",
    "networkmanager",
    "organizations",
    "outposts",
    "pi",
    "pipes",
    "pricing",
    "quicksight",
    "ram",
    "rds",
    "rds-data",
    "redshift",
    "redshift-data",
    "redshift-serverless",
    "resource-groups",
    "resourcegroupstaggingapi",
    "route53",
    "route53domains",
    "route53resolver",
    "s3",
    "s3control",
    "savingsplans",
    "scheduler",
    "secretsmanager",
    "service-quotas",
    "servicediscovery",
    "ses",
    "sesv2",
    "shield",
    "signer",
    "snowball",
    "sns",
    "sqs",
    "ssm",
    "sso",
    "sso-admin",
    "sso-oidc",
    "stepfunctions",
    "storagegateway",
    "sts",
    "support",
    "synthetics",
    "timestream-influxdb",
    "timestream-query",
    "timestream-write",
    "transfer",
    "trustedadvisor",
    "vpc-lattice",
    "wafv2",
    "wellarchitected",
    "xray",
];

const METADATA: &[&str] = &[
    "apiVersion",
    "awsQueryCompatible",
    "endpointPrefix",
    "globalEndpoint",
    "jsonVersion",
    "protocol",
    "protocols",
    "serviceId",
    "signingName",
    "targetPrefix",
    "xmlNamespace",
];
const OPERATION: &[&str] = &[
    "authtype",
    "deprecated",
    "endpoint",
    "errors",
    "http",
    "httpChecksum",
    "httpChecksumRequired",
    "idempotent",
    "input",
    "output",
    "readonly",
    "unsignedPayload",
];
const SHAPE: &[&str] = &[
    "document",
    "enum",
    "error",
    "event",
    "eventstream",
    "exception",
    "fault",
    "flattened",
    "key",
    "locationName",
    "max",
    "member",
    "min",
    "pattern",
    "payload",
    "required",
    "requiresLength",
    "retryable",
    "sensitive",
    "sparse",
    "streaming",
    "timestampFormat",
    "type",
    "union",
    "value",
    "wrapper",
    "xmlNamespace",
    "xmlOrder",
];
const MEMBER: &[&str] = &[
    "eventpayload",
    "flattened",
    "hostLabel",
    "idempotencyToken",
    "jsonvalue",
    "location",
    "locationName",
    "queryName",
    "resultWrapper",
    "shape",
    "streaming",
    "timestampFormat",
    "xmlAttribute",
    "xmlNamespace",
];

/// Gets the package and writes the extracts.
pub(super) fn fetch(root: &Path) -> Result<()> {
    let target = root.join("target/botocore");
    std::fs::create_dir_all(&target)?;
    let requirements = target.join("requirements.txt");
    std::fs::write(&requirements, format!("{PACKAGE} --hash=sha256:{SHA256}\n"))?;
    let package = target.join("package");
    let arguments =
        ["install", "--quiet", "--no-deps", "--require-hashes", "--upgrade", "--target"];
    output(command("pip").args(arguments).arg(&package).arg("-r").arg(&requirements))?;

    let data = package.join("botocore/data");
    let models = root.join("models");
    for service in SERVICES {
        let version =
            newest(&data.join(service)).with_context(|| format!("no model of {service}"))?;
        let mut model = extract(&serde_json::from_slice(&read(&version, "service-2")?)?)?;
        if let Ok(paginators) = read(&version, "paginators-1") {
            let paginators: Value = serde_json::from_slice(&paginators)?;
            let pages = paginators.get("pagination").cloned().unwrap_or_default();
            model.insert("pagination".into(), pages);
        }
        let text = serde_json::to_vec(&model)?;
        std::fs::write(
            models.join(format!("{service}.json.zst")),
            zstd::encode_all(text.as_slice(), 19)?,
        )?;
    }
    let notice = std::fs::read_to_string(
        package.join(format!("{}.dist-info/licenses/NOTICE", PACKAGE.replace("==", "-"))),
    )
    .or_else(|_| {
        std::fs::read_to_string(
            package.join(format!("{}.dist-info/NOTICE", PACKAGE.replace("==", "-"))),
        )
    })?;
    let about = format!(
        "The files *.json.zst in this folder are extracts of the API models in the Python package {PACKAGE},\n\
         licensed under the Apache License, Version 2.0.\n\
         They were changed: prose, examples and client settings are left out.\n\
         `cargo xtask codegen --fetch` writes them. The notice of that package follows.\n\n"
    );
    std::fs::write(models.join("NOTICE"), about + &notice)?;
    Ok(())
}

/// The Rust text that embeds the extracts, with what tells services apart before one is unpacked.
pub(super) fn embedded(root: &Path) -> Result<String> {
    let mut text = "// Generated by cargo xtask codegen. Do not edit.\n&[\n".to_owned();
    for service in SERVICES {
        let metadata = Model::read(root, service)?.metadata;
        let signing_name = metadata.signing_name.as_ref().unwrap_or(&metadata.endpoint_prefix);
        text += &format!(
            "    (\n        ServiceHead {{\n            name: {service:?},\n            \
             service_id: {:?},\n            api_version: {:?},\n            \
             signing_name: {signing_name:?},\n            endpoint_prefix: {:?},\n            \
             target_prefix: {:?},\n        }},\n        \
             include_bytes!(\"{service}.json.zst\").as_slice(),\n    ),\n",
            metadata.service_id,
            metadata.api_version,
            metadata.endpoint_prefix,
            metadata.target_prefix,
        );
    }
    Ok(text + "]\n")
}

/// The newest version's folder of a service.
fn newest(service: &Path) -> Option<PathBuf> {
    let entries = std::fs::read_dir(service).ok()?;
    entries.filter_map(|entry| entry.ok().map(|e| e.path())).filter(|p| p.is_dir()).max()
}

fn read(folder: &Path, name: &str) -> Result<Vec<u8>> {
    let plain = folder.join(format!("{name}.json"));
    if plain.exists() {
        return Ok(std::fs::read(plain)?);
    }
    let packed = folder.join(format!("{name}.json.gz"));
    ensure!(packed.exists(), "no {name} in {}", folder.display());
    output(command("gzip").arg("-dc").arg(packed))
}

#[expect(
    clippy::disallowed_methods,
    reason = "a build tool runs programs; drivers are for the server"
)]
fn command(program: &str) -> std::process::Command {
    std::process::Command::new(program)
}

fn output(command: &mut std::process::Command) -> Result<Vec<u8>> {
    let done = command.output().with_context(|| format!("running {command:?}"))?;
    if !done.status.success() {
        bail!("{command:?}: {}", String::from_utf8_lossy(&done.stderr));
    }
    Ok(done.stdout)
}

/// A model as botocore ships it.
#[derive(serde::Deserialize)]
struct Source {
    metadata: Map<String, Value>,
    operations: BTreeMap<String, Map<String, Value>>,
    shapes: BTreeMap<String, Shape>,
}

/// A shape whose members keep their order: XML and query outputs are written in it.
#[derive(serde::Deserialize)]
struct Shape {
    #[serde(default, deserialize_with = "in_order")]
    members: Option<Vec<(String, Map<String, Value>)>>,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

#[expect(clippy::type_complexity, reason = "the field's own type")]
fn in_order<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> std::result::Result<Option<Vec<(String, Map<String, Value>)>>, D::Error> {
    struct Members;
    impl<'de> Visitor<'de> for Members {
        type Value = Vec<(String, Map<String, Value>)>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("members by name")
        }

        fn visit_map<A: MapAccess<'de>>(
            self,
            mut map: A,
        ) -> std::result::Result<Self::Value, A::Error> {
            let mut members = Vec::new();
            while let Some(entry) = map.next_entry()? {
                members.push(entry);
            }
            Ok(members)
        }
    }
    deserializer.deserialize_map(Members).map(Some)
}

fn extract(model: &Source) -> Result<Map<String, Value>> {
    let mut kept = Map::new();
    kept.insert("metadata".into(), keep(&model.metadata, METADATA).into());
    let operations = model.operations.iter().map(|(n, o)| (n.clone(), extract_operation(o)));
    kept.insert("operations".into(), Value::Object(operations.collect()));
    let shapes = model.shapes.iter().map(|(n, s)| (n.clone(), extract_shape(s)));
    kept.insert("shapes".into(), Value::Object(shapes.collect()));
    Ok(kept)
}

fn extract_operation(operation: &Map<String, Value>) -> Value {
    let mut kept = keep(operation, OPERATION);
    for side in ["input", "output"] {
        if let Some(Value::Object(shape)) = operation.get(side) {
            kept.insert(side.to_owned(), keep(shape, MEMBER).into());
        }
    }
    if let Some(Value::Array(errors)) = operation.get("errors") {
        let names = errors.iter().filter_map(|error| error.get("shape").cloned());
        kept.insert("errors".to_owned(), names.collect());
    }
    kept.into()
}

fn extract_shape(shape: &Shape) -> Value {
    let mut kept = keep(&shape.rest, SHAPE);
    for side in ["member", "key", "value"] {
        if let Some(Value::Object(member)) = shape.rest.get(side) {
            kept.insert(side.to_owned(), keep(member, MEMBER).into());
        }
    }
    if let Some(members) = &shape.members {
        let pairs = members.iter().map(|(name, m)| serde_json::json!([name, keep(m, MEMBER)]));
        kept.insert("members".to_owned(), pairs.collect());
    }
    kept.into()
}

fn keep(object: &Map<String, Value>, keys: &[&str]) -> Map<String, Value> {
    let kept = object.iter().filter(|(key, _)| keys.contains(&key.as_str()));
    kept.map(|(key, value)| (key.clone(), value.clone())).collect()
}
