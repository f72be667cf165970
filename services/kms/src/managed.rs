//! AWS managed keys: the keys that services use when nobody names another, made at first use.
//!
//! AWS: "AWS managed keys", "AWS services that use AWS KMS".

use kms_api::{KeySpec, KeyUsageType};
use serde_json::json;
use store::Scope;

use crate::Ctx;
use crate::error::Result;
use crate::key::{add_new_material, blank};
use crate::keyring::arn_of;
use crate::rotation::{YEAR_DAYS, in_days};
use crate::store::{ALIASES, Alias, KEYS, Rotation};

/// One service's key.
struct Managed {
    /// Behind `alias/aws/`.
    name: &'static str,
    /// The service in `kms:ViaService`.
    service: &'static str,
    /// How the policy and the description call the service.
    title: &'static str,
}

const fn managed(name: &'static str, service: &'static str, title: &'static str) -> Managed {
    Managed { name, service, title }
}

const MANAGED: [Managed; 14] = [
    managed("acm", "acm", "ACM"),
    managed("dynamodb", "dynamodb", "Amazon DynamoDB"),
    managed("ebs", "ec2", "EBS"),
    managed("elasticache", "elasticache", "Amazon ElastiCache"),
    managed("elasticfilesystem", "elasticfilesystem", "EFS"),
    managed("kinesis", "kinesis", "Kinesis"),
    managed("lambda", "lambda", "AWS Lambda"),
    managed("rds", "rds", "RDS"),
    managed("s3", "s3", "S3"),
    managed("secretsmanager", "secretsmanager", "AWS Secrets Manager"),
    managed("sns", "sns", "SNS"),
    managed("sqs", "sqs", "SQS"),
    managed("ssm", "ssm", "SSM"),
    managed("xray", "xray", "X-Ray"),
];

/// The aliases of all AWS managed keys, made or not.
pub(crate) fn aliases() -> impl Iterator<Item = String> {
    MANAGED.iter().map(|managed| format!("alias/aws/{}", managed.name))
}

/// Makes the AWS managed key that `alias` stands for, and gives its id; nothing when it is no such
/// alias. Two first uses at once make one key.
pub(crate) async fn make(ctx: &Ctx, scope: &Scope, alias: &str) -> Result<Option<String>> {
    let name = alias.strip_prefix("alias/aws/").unwrap_or_default();
    let Some(managed) = MANAGED.iter().find(|managed| managed.name == name) else {
        return Ok(None);
    };
    if scope.account != ctx.account {
        return Ok(None);
    }
    let id = ctx.random().uuid();
    let mut key = blank(
        ctx,
        id,
        KeySpec::SymmetricDefault,
        KeyUsageType::EncryptDecrypt,
        policy(managed, scope),
    );
    key.description =
        format!("Default key that protects my {} data when no other key is defined", managed.title);
    key.managed_for = Some(name.to_owned());
    key.arn = arn_of(&scope.region, scope.account.as_str(), &key.id);
    key.rotation = Some(Rotation { period_days: YEAR_DAYS, next: in_days(ctx.now(), YEAR_DAYS) });
    add_new_material(ctx, &mut key).await?;
    let now = ctx.now();
    let id = ctx
        .drivers
        .keyring
        .write(ctx.store.store(), scope, |tx| {
            if let Some(known) = tx.get(&ALIASES, alias)? {
                return Ok(known.key_id);
            }
            tx.put(&KEYS, &key)?;
            let name = alias.to_owned();
            let made = Alias { name, key_id: key.id.clone(), created: now, updated: now };
            tx.put(&ALIASES, &made)?;
            Ok(key.id.clone())
        })
        .await?;
    Ok(Some(id))
}

/// AWS: "Viewing a key policy", the policies of AWS managed keys.
fn policy(managed: &Managed, scope: &Scope) -> String {
    let via = format!("{}.{}.amazonaws.com", managed.service, scope.region);
    json!({
        "Version": "2012-10-17",
        "Id": format!("auto-{}-1", managed.name),
        "Statement": [
            {
                "Sid": format!(
                    "Allow access through {} for all principals in the account that are \
                     authorized to use {}",
                    managed.title, managed.title
                ),
                "Effect": "Allow",
                "Principal": { "AWS": "*" },
                "Action": [
                    "kms:Encrypt",
                    "kms:Decrypt",
                    "kms:ReEncrypt*",
                    "kms:GenerateDataKey*",
                    "kms:CreateGrant",
                    "kms:DescribeKey",
                ],
                "Resource": "*",
                "Condition": {
                    "StringEquals": {
                        "kms:CallerAccount": scope.account.as_str(),
                        "kms:ViaService": via,
                    },
                },
            },
            {
                "Sid": "Allow direct access to key metadata to the account",
                "Effect": "Allow",
                "Principal": { "AWS": format!("arn:aws:iam::{}:root", scope.account) },
                "Action": ["kms:Describe*", "kms:Get*", "kms:List*", "kms:RevokeGrant"],
                "Resource": "*",
            },
        ],
    })
    .to_string()
}
