//! What each operation of Secrets Manager is authorized on. A secret's id may be its name or its
//! ARN; a name stands for `secret:name`.
//!
//! AWS: Service Authorization Reference, "Actions, resources, and condition keys for AWS Secrets
//! Manager".

use kernel::Access;
use kernel::access::Need;

const SECRET: &[&str] = &["arn:aws:secretsmanager:{region}:{account}:secret:{SecretId:arn}"];
const NEW: &[&str] = &["arn:aws:secretsmanager:{region}:{account}:secret:{Name}"];

macro_rules! on_secret {
    ($($operation:literal),* $(,)?) => {
        &[
            Access::new("CreateSecret", &[Need::on("secretsmanager:CreateSecret", NEW).keys(&[
                ("secretsmanager:Name", "Name"),
                ("secretsmanager:Description", "Description"),
                ("secretsmanager:KmsKeyId", "KmsKeyId"),
                ("secretsmanager:AddReplicaRegions", "AddReplicaRegions.Region"),
            ])]),
            Access::new("ListSecrets", &[Need::on("secretsmanager:ListSecrets", &[])]),
            Access::new("BatchGetSecretValue", &[Need::on(
                "secretsmanager:BatchGetSecretValue",
                &[],
            )]),
            Access::new("ValidateResourcePolicy", &[Need::on(
                "secretsmanager:ValidateResourcePolicy",
                SECRET,
            )]),
            Access::new("GetRandomPassword", &[Need::on("secretsmanager:GetRandomPassword", &[])]),
            $(Access::new($operation, &[Need::on(concat!("secretsmanager:", $operation), SECRET)
                .keys(&[
                    ("secretsmanager:SecretId", "SecretId"),
                    ("secretsmanager:VersionId", "VersionId"),
                    ("secretsmanager:VersionStage", "VersionStage"),
                    ("secretsmanager:KmsKeyId", "KmsKeyId"),
                    ("secretsmanager:Description", "Description"),
                    ("secretsmanager:BlockPublicPolicy", "BlockPublicPolicy"),
                    ("secretsmanager:RecoveryWindowInDays", "RecoveryWindowInDays"),
                    ("secretsmanager:ForceDeleteWithoutRecovery", "ForceDeleteWithoutRecovery"),
                    ("secretsmanager:RotationLambdaARN", "RotationLambdaARN"),
                ])]),)*
        ]
    };
}

pub(crate) const RULES: &[Access] = on_secret!(
    "UpdateSecret",
    "DescribeSecret",
    "DeleteSecret",
    "RestoreSecret",
    "GetSecretValue",
    "PutSecretValue",
    "UpdateSecretVersionStage",
    "ListSecretVersionIds",
    "RotateSecret",
    "CancelRotateSecret",
    "ReplicateSecretToRegions",
    "RemoveRegionsFromReplication",
    "StopReplicationToReplica",
    "PutResourcePolicy",
    "GetResourcePolicy",
    "DeleteResourcePolicy",
    "TagResource",
    "UntagResource",
);
