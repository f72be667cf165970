//! What each operation is authorized on.
//!
//! AWS: "Actions, resources, and condition keys for Amazon S3" (Service Authorization Reference).

use kernel::Access;
use kernel::access::Need;

const BUCKET: &[&str] = &["arn:aws:s3:::{Bucket}"];
const OBJECT: &[&str] = &["arn:aws:s3:::{Bucket}/{Key}"];
const LISTED: &[(&str, &str)] =
    &[("s3:prefix", "Prefix"), ("s3:delimiter", "Delimiter"), ("s3:max-keys", "MaxKeys")];
const WRITTEN: &[(&str, &str)] = &[
    ("s3:x-amz-acl", "ACL"),
    ("s3:x-amz-server-side-encryption", "ServerSideEncryption"),
    ("s3:x-amz-storage-class", "StorageClass"),
    ("s3:x-amz-server-side-encryption-aws-kms-key-id", "SSEKMSKeyId"),
    ("s3:x-amz-server-side-encryption-customer-algorithm", "SSECustomerAlgorithm"),
    ("s3:x-amz-website-redirect-location", "WebsiteRedirectLocation"),
    ("s3:x-amz-grant-full-control", "GrantFullControl"),
    ("s3:x-amz-grant-read", "GrantRead"),
    ("s3:x-amz-grant-read-acp", "GrantReadACP"),
    ("s3:x-amz-grant-write", "GrantWrite"),
    ("s3:x-amz-grant-write-acp", "GrantWriteACP"),
    ("s3:object-lock-mode", "ObjectLockMode"),
    ("s3:object-lock-legal-hold", "ObjectLockLegalHoldStatus"),
    ("s3:if-none-match", "IfNoneMatch"),
    ("s3:if-match", "IfMatch"),
];
const LISTS: &[(&str, &str)] = &[
    ("s3:x-amz-acl", "ACL"),
    ("s3:x-amz-grant-full-control", "GrantFullControl"),
    ("s3:x-amz-grant-read", "GrantRead"),
    ("s3:x-amz-grant-read-acp", "GrantReadACP"),
    ("s3:x-amz-grant-write", "GrantWrite"),
    ("s3:x-amz-grant-write-acp", "GrantWriteACP"),
];
const VERSION: &[(&str, &str)] = &[("s3:versionid", "VersionId")];
const COPIED: &[(&str, &str)] = &[
    ("s3:x-amz-acl", "ACL"),
    ("s3:x-amz-copy-source", "CopySource"),
    ("s3:x-amz-metadata-directive", "MetadataDirective"),
    ("s3:x-amz-server-side-encryption-aws-kms-key-id", "SSEKMSKeyId"),
    ("s3:x-amz-server-side-encryption-customer-algorithm", "SSECustomerAlgorithm"),
    ("s3:x-amz-website-redirect-location", "WebsiteRedirectLocation"),
    ("s3:x-amz-grant-full-control", "GrantFullControl"),
    ("s3:x-amz-grant-read", "GrantRead"),
    ("s3:x-amz-grant-read-acp", "GrantReadACP"),
    ("s3:x-amz-grant-write-acp", "GrantWriteACP"),
    ("s3:object-lock-mode", "ObjectLockMode"),
    ("s3:object-lock-legal-hold", "ObjectLockLegalHoldStatus"),
    ("s3:x-amz-server-side-encryption", "ServerSideEncryption"),
    ("s3:x-amz-storage-class", "StorageClass"),
];
const LOCKED: &[(&str, &str)] = &[
    ("s3:object-lock-mode", "ObjectLockMode"),
    ("s3:object-lock-retain-until-date", "ObjectLockRetainUntilDate"),
    ("s3:object-lock-legal-hold", "ObjectLockLegalHoldStatus"),
];
const RETAINED: &[(&str, &str)] = &[
    ("s3:object-lock-mode", "Retention.Mode"),
    ("s3:object-lock-retain-until-date", "Retention.RetainUntilDate"),
    ("s3:versionid", "VersionId"),
];
const PLACED: &[(&str, &str)] = &[
    ("s3:x-amz-acl", "ACL"),
    ("s3:locationconstraint", "CreateBucketConfiguration.LocationConstraint"),
    ("s3:x-amz-object-ownership", "ObjectOwnership"),
    ("s3:x-amz-bucket-namespace", "BucketNamespace"),
    ("s3:x-amz-grant-full-control", "GrantFullControl"),
    ("s3:x-amz-grant-read", "GrantRead"),
    ("s3:x-amz-grant-read-acp", "GrantReadACP"),
    ("s3:x-amz-grant-write", "GrantWrite"),
    ("s3:x-amz-grant-write-acp", "GrantWriteACP"),
];

pub(crate) const RULES: &[Access] = &[
    Access::new("ListBuckets", &[Need::on("s3:ListAllMyBuckets", &[])]),
    Access::new(
        "CreateBucket",
        &[
            Need::on("s3:CreateBucket", BUCKET).keys(PLACED),
            Need::on("s3:PutBucketAcl", BUCKET).keys(PLACED).when("ACL"),
            Need::on("s3:PutBucketOwnershipControls", BUCKET).keys(PLACED).when("ObjectOwnership"),
            Need::on("s3:TagResource", BUCKET).when("CreateBucketConfiguration.Tags.Key"),
        ],
    ),
    Access::new("DeleteBucket", &[Need::on("s3:DeleteBucket", BUCKET)]),
    Access::new("HeadBucket", &[Need::on("s3:ListBucket", BUCKET)]),
    Access::new("GetBucketLocation", &[Need::on("s3:GetBucketLocation", BUCKET)]),
    Access::new("GetBucketVersioning", &[Need::on("s3:GetBucketVersioning", BUCKET)]),
    Access::new("GetBucketTagging", &[Need::on("s3:GetBucketTagging", BUCKET)]),
    Access::new("PutBucketTagging", &[Need::on("s3:PutBucketTagging", BUCKET)]),
    Access::new("DeleteBucketTagging", &[Need::on("s3:PutBucketTagging", BUCKET)]),
    Access::new("GetBucketPolicy", &[Need::on("s3:GetBucketPolicy", BUCKET)]),
    Access::new("PutBucketPolicy", &[Need::on("s3:PutBucketPolicy", BUCKET)]),
    Access::new("DeleteBucketPolicy", &[Need::on("s3:DeleteBucketPolicy", BUCKET)]),
    Access::new("GetBucketPolicyStatus", &[Need::on("s3:GetBucketPolicyStatus", BUCKET)]),
    Access::new("GetBucketAcl", &[Need::on("s3:GetBucketAcl", BUCKET)]),
    Access::new("PutBucketAcl", &[Need::on("s3:PutBucketAcl", BUCKET).keys(LISTS)]),
    Access::new(
        "GetObjectAcl",
        &[
            Need::on("s3:GetObjectAcl", OBJECT).unless("VersionId"),
            Need::on("s3:GetObjectVersionAcl", OBJECT).keys(VERSION).when("VersionId"),
        ],
    ),
    Access::new(
        "PutObjectAcl",
        &[
            Need::on("s3:PutObjectAcl", OBJECT).keys(LISTS).unless("VersionId"),
            Need::on("s3:PutObjectVersionAcl", OBJECT).keys(LISTS).when("VersionId"),
        ],
    ),
    Access::new("GetBucketCors", &[Need::on("s3:GetBucketCORS", BUCKET)]),
    Access::new("PutBucketCors", &[Need::on("s3:PutBucketCORS", BUCKET)]),
    Access::new("DeleteBucketCors", &[Need::on("s3:PutBucketCORS", BUCKET)]),
    Access::new("GetBucketWebsite", &[Need::on("s3:GetBucketWebsite", BUCKET)]),
    Access::new("PutBucketWebsite", &[Need::on("s3:PutBucketWebsite", BUCKET)]),
    Access::new("DeleteBucketWebsite", &[Need::on("s3:DeleteBucketWebsite", BUCKET)]),
    Access::new("GetBucketLogging", &[Need::on("s3:GetBucketLogging", BUCKET)]),
    Access::new("PutBucketLogging", &[Need::on("s3:PutBucketLogging", BUCKET)]),
    Access::new(
        "GetBucketInventoryConfiguration",
        &[Need::on("s3:GetInventoryConfiguration", BUCKET)],
    ),
    Access::new(
        "PutBucketInventoryConfiguration",
        &[Need::on("s3:PutInventoryConfiguration", BUCKET).keys(&[(
            "s3:InventoryAccessibleOptionalFields",
            "InventoryConfiguration.OptionalFields",
        )])],
    ),
    Access::new(
        "DeleteBucketInventoryConfiguration",
        &[Need::on("s3:PutInventoryConfiguration", BUCKET)],
    ),
    Access::new(
        "ListBucketInventoryConfigurations",
        &[Need::on("s3:GetInventoryConfiguration", BUCKET)],
    ),
    Access::new("GetBucketRequestPayment", &[Need::on("s3:GetBucketRequestPayment", BUCKET)]),
    Access::new("PutBucketRequestPayment", &[Need::on("s3:PutBucketRequestPayment", BUCKET)]),
    Access::new(
        "GetBucketAccelerateConfiguration",
        &[Need::on("s3:GetAccelerateConfiguration", BUCKET)],
    ),
    Access::new(
        "PutBucketAccelerateConfiguration",
        &[Need::on("s3:PutAccelerateConfiguration", BUCKET)],
    ),
    Access::new(
        "GetBucketNotificationConfiguration",
        &[Need::on("s3:GetBucketNotification", BUCKET)],
    ),
    Access::new(
        "PutBucketNotificationConfiguration",
        &[Need::on("s3:PutBucketNotification", BUCKET)],
    ),
    Access::new("GetPublicAccessBlock", &[Need::on("s3:GetBucketPublicAccessBlock", BUCKET)]),
    Access::new("PutPublicAccessBlock", &[Need::on("s3:PutBucketPublicAccessBlock", BUCKET)]),
    Access::new("DeletePublicAccessBlock", &[Need::on("s3:PutBucketPublicAccessBlock", BUCKET)]),
    Access::new("GetBucketOwnershipControls", &[Need::on("s3:GetBucketOwnershipControls", BUCKET)]),
    Access::new("PutBucketOwnershipControls", &[Need::on("s3:PutBucketOwnershipControls", BUCKET)]),
    Access::new(
        "DeleteBucketOwnershipControls",
        &[Need::on("s3:PutBucketOwnershipControls", BUCKET)],
    ),
    Access::new("GetBucketEncryption", &[Need::on("s3:GetEncryptionConfiguration", BUCKET)]),
    Access::new("PutBucketEncryption", &[Need::on("s3:PutEncryptionConfiguration", BUCKET)]),
    Access::new("DeleteBucketEncryption", &[Need::on("s3:PutEncryptionConfiguration", BUCKET)]),
    Access::new("ListObjects", &[Need::on("s3:ListBucket", BUCKET).keys(LISTED)]),
    Access::new("ListObjectsV2", &[Need::on("s3:ListBucket", BUCKET).keys(LISTED)]),
    Access::new(
        "ListMultipartUploads",
        &[Need::on("s3:ListBucketMultipartUploads", BUCKET).keys(LISTED)],
    ),
    Access::new(
        "GetObject",
        &[
            Need::on("s3:GetObject", OBJECT).unless("VersionId"),
            Need::on("s3:GetObjectVersion", OBJECT).keys(VERSION).when("VersionId"),
        ],
    ),
    Access::new(
        "HeadObject",
        &[
            Need::on("s3:GetObject", OBJECT).unless("VersionId"),
            Need::on("s3:GetObjectVersion", OBJECT).keys(VERSION).when("VersionId"),
        ],
    ),
    Access::new(
        "GetObjectAttributes",
        &[
            Need::on("s3:GetObject", OBJECT).unless("VersionId"),
            Need::on("s3:GetObjectAttributes", OBJECT).unless("VersionId"),
            Need::on("s3:GetObjectVersion", OBJECT).keys(VERSION).when("VersionId"),
            Need::on("s3:GetObjectVersionAttributes", OBJECT).keys(VERSION).when("VersionId"),
        ],
    ),
    Access::new(
        "PutObject",
        &[
            Need::on("s3:PutObject", OBJECT).keys(WRITTEN),
            Need::on("s3:PutObjectAcl", OBJECT).keys(WRITTEN).when("ACL"),
            Need::on("s3:PutObjectTagging", OBJECT).when("Tagging"),
            Need::on("s3:PutObjectRetention", OBJECT).keys(LOCKED).when("ObjectLockMode"),
            Need::on("s3:PutObjectLegalHold", OBJECT)
                .keys(LOCKED)
                .when("ObjectLockLegalHoldStatus"),
        ],
    ),
    // The source is authorized by the HeadObject that reads it.
    Access::new(
        "CopyObject",
        &[
            Need::on("s3:PutObject", OBJECT).keys(COPIED),
            Need::on("s3:PutObjectAcl", OBJECT).keys(COPIED).when("ACL"),
            Need::on("s3:PutObjectTagging", OBJECT).when("Tagging"),
            Need::on("s3:PutObjectRetention", OBJECT).keys(LOCKED).when("ObjectLockMode"),
            Need::on("s3:PutObjectLegalHold", OBJECT)
                .keys(LOCKED)
                .when("ObjectLockLegalHoldStatus"),
        ],
    ),
    Access::new(
        "DeleteObject",
        &[
            Need::on("s3:DeleteObject", OBJECT).unless("VersionId"),
            Need::on("s3:DeleteObjectVersion", OBJECT).keys(VERSION).when("VersionId"),
            Need::on("s3:BypassGovernanceRetention", OBJECT).when("BypassGovernanceRetention"),
        ],
    ),
    // Each key is authorized by the DeleteObject that removes it: one that is denied is reported in
    // the answer and does not keep the others.
    Access::new("DeleteObjects", &[]),
    Access::new(
        "GetObjectTagging",
        &[
            Need::on("s3:GetObjectTagging", OBJECT).unless("VersionId"),
            Need::on("s3:GetObjectVersionTagging", OBJECT).keys(VERSION).when("VersionId"),
        ],
    ),
    Access::new(
        "PutObjectTagging",
        &[
            Need::on("s3:PutObjectTagging", OBJECT).unless("VersionId"),
            Need::on("s3:PutObjectVersionTagging", OBJECT).keys(VERSION).when("VersionId"),
        ],
    ),
    Access::new(
        "DeleteObjectTagging",
        &[
            Need::on("s3:DeleteObjectTagging", OBJECT).unless("VersionId"),
            Need::on("s3:DeleteObjectVersionTagging", OBJECT).keys(VERSION).when("VersionId"),
        ],
    ),
    Access::new("PutBucketVersioning", &[Need::on("s3:PutBucketVersioning", BUCKET)]),
    Access::new("ListObjectVersions", &[Need::on("s3:ListBucketVersions", BUCKET).keys(LISTED)]),
    Access::new(
        "GetObjectLockConfiguration",
        &[Need::on("s3:GetBucketObjectLockConfiguration", BUCKET)],
    ),
    Access::new(
        "PutObjectLockConfiguration",
        &[Need::on("s3:PutBucketObjectLockConfiguration", BUCKET)],
    ),
    Access::new("GetObjectRetention", &[Need::on("s3:GetObjectRetention", OBJECT)]),
    Access::new(
        "PutObjectRetention",
        &[
            Need::on("s3:PutObjectRetention", OBJECT).keys(RETAINED),
            Need::on("s3:BypassGovernanceRetention", OBJECT)
                .keys(RETAINED)
                .when("BypassGovernanceRetention"),
        ],
    ),
    Access::new("GetObjectLegalHold", &[Need::on("s3:GetObjectLegalHold", OBJECT)]),
    Access::new(
        "PutObjectLegalHold",
        &[Need::on("s3:PutObjectLegalHold", OBJECT)
            .keys(&[("s3:object-lock-legal-hold", "LegalHold.Status")])],
    ),
    Access::new(
        "GetBucketLifecycleConfiguration",
        &[Need::on("s3:GetLifecycleConfiguration", BUCKET)],
    ),
    Access::new(
        "PutBucketLifecycleConfiguration",
        &[Need::on("s3:PutLifecycleConfiguration", BUCKET)],
    ),
    Access::new("DeleteBucketLifecycle", &[Need::on("s3:PutLifecycleConfiguration", BUCKET)]),
    Access::new(
        "GetBucketIntelligentTieringConfiguration",
        &[Need::on("s3:GetIntelligentTieringConfiguration", BUCKET)],
    ),
    Access::new(
        "ListBucketIntelligentTieringConfigurations",
        &[Need::on("s3:GetIntelligentTieringConfiguration", BUCKET)],
    ),
    Access::new(
        "PutBucketIntelligentTieringConfiguration",
        &[Need::on("s3:PutIntelligentTieringConfiguration", BUCKET)],
    ),
    Access::new(
        "DeleteBucketIntelligentTieringConfiguration",
        &[Need::on("s3:PutIntelligentTieringConfiguration", BUCKET)],
    ),
    Access::new("RestoreObject", &[Need::on("s3:RestoreObject", OBJECT)]),
    Access::new(
        "CreateMultipartUpload",
        &[
            Need::on("s3:PutObject", OBJECT).keys(WRITTEN),
            Need::on("s3:PutObjectAcl", OBJECT).keys(WRITTEN).when("ACL"),
            Need::on("s3:PutObjectTagging", OBJECT).when("Tagging"),
            Need::on("s3:PutObjectRetention", OBJECT).keys(LOCKED).when("ObjectLockMode"),
            Need::on("s3:PutObjectLegalHold", OBJECT)
                .keys(LOCKED)
                .when("ObjectLockLegalHoldStatus"),
        ],
    ),
    Access::new("UploadPart", &[Need::on("s3:PutObject", OBJECT)]),
    Access::new("UploadPartCopy", &[Need::on("s3:PutObject", OBJECT)]),
    Access::new("CompleteMultipartUpload", &[Need::on("s3:PutObject", OBJECT)]),
    Access::new("AbortMultipartUpload", &[Need::on("s3:AbortMultipartUpload", OBJECT)]),
    Access::new("ListParts", &[Need::on("s3:ListMultipartUploadParts", OBJECT)]),
];

/// Whether some operation is authorized for `action`, on an object or on a bucket: what a handler
/// takes for granted must stand in the table.
pub(crate) fn weighs(action: &str, on_object: bool) -> bool {
    let resources = if on_object { OBJECT } else { BUCKET };
    let mut needs = RULES.iter().flat_map(|rule| rule.needs);
    needs.any(|need| need.action == action && need.resources == resources)
}
