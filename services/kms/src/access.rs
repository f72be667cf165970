//! What each operation of KMS is authorized on. Which key a request means, [`crate::subject`]
//! finds out: a template here only says that there is one.
//!
//! AWS: Service Authorization Reference, "Actions, resources, and condition keys for AWS Key
//! Management Service".

use kernel::Access;
use kernel::access::Need;

const KEY: &[&str] = &["arn:aws:kms:{region}:{account}:key/{KeyId}"];
const TARGET: &[&str] = &["arn:aws:kms:{region}:{account}:key/{TargetKeyId}"];
const SOURCE: &[&str] = &["arn:aws:kms:{region}:{account}:key/{SourceKeyId}"];
const DESTINATION: &[&str] = &["arn:aws:kms:{region}:{account}:key/{DestinationKeyId}"];
const ALIAS: &[&str] = &["arn:aws:kms:{region}:{account}:{AliasName}"];
/// The key that an alias names now.
const ALIASED: &[&str] = &["arn:aws:kms:{region}:{account}:key/{AliasName}"];

macro_rules! on_key {
    ($($operation:literal),* $(,)?) => {
        &[
            Access::new("CreateKey", &[Need::on("kms:CreateKey", &[])]),
            Access::new("ListKeys", &[Need::on("kms:ListKeys", &[])]),
            Access::new("ListAliases", &[Need::on("kms:ListAliases", &[])]),
            Access::new("GenerateRandom", &[Need::on("kms:GenerateRandom", &[])]),
            Access::new("ListRetirableGrants", &[Need::on("kms:ListRetirableGrants", &[])]),
            Access::new("CreateAlias", &[
                Need::on("kms:CreateAlias", ALIAS),
                Need::on("kms:CreateAlias", TARGET),
            ]),
            Access::new("UpdateAlias", &[
                Need::on("kms:UpdateAlias", ALIAS),
                Need::on("kms:UpdateAlias", ALIASED),
                Need::on("kms:UpdateAlias", TARGET),
            ]),
            Access::new("DeleteAlias", &[
                Need::on("kms:DeleteAlias", ALIAS),
                Need::on("kms:DeleteAlias", ALIASED),
            ]),
            Access::new("ReEncrypt", &[
                Need::on("kms:ReEncryptFrom", SOURCE),
                Need::on("kms:ReEncryptTo", DESTINATION),
            ]),
            $(Access::new($operation, &[Need::on(concat!("kms:", $operation), KEY)]),)*
        ]
    };
}

pub(crate) const RULES: &[Access] = on_key!(
    "CancelKeyDeletion",
    "CreateGrant",
    "Decrypt",
    "DeleteImportedKeyMaterial",
    "DeriveSharedSecret",
    "DescribeKey",
    "DisableKey",
    "DisableKeyRotation",
    "EnableKey",
    "EnableKeyRotation",
    "Encrypt",
    "GenerateDataKey",
    "GenerateDataKeyPair",
    "GenerateDataKeyPairWithoutPlaintext",
    "GenerateDataKeyWithoutPlaintext",
    "GenerateMac",
    "GetKeyPolicy",
    "GetKeyRotationStatus",
    "GetParametersForImport",
    "GetPublicKey",
    "ImportKeyMaterial",
    "ListGrants",
    "ListKeyPolicies",
    "ListKeyRotations",
    "ListResourceTags",
    "PutKeyPolicy",
    "ReplicateKey",
    "RetireGrant",
    "RevokeGrant",
    "RotateKeyOnDemand",
    "ScheduleKeyDeletion",
    "Sign",
    "TagResource",
    "UntagResource",
    "UpdateKeyDescription",
    "UpdatePrimaryRegion",
    "Verify",
    "VerifyMac",
);
