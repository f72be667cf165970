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
    ("s3:if-none-match", "IfNoneMatch"),
    ("s3:if-match", "IfMatch"),
];
const COPIED: &[(&str, &str)] = &[
    ("s3:x-amz-acl", "ACL"),
    ("s3:x-amz-copy-source", "CopySource"),
    ("s3:x-amz-metadata-directive", "MetadataDirective"),
    ("s3:x-amz-server-side-encryption", "ServerSideEncryption"),
    ("s3:x-amz-storage-class", "StorageClass"),
];
const PLACED: &[(&str, &str)] = &[
    ("s3:x-amz-acl", "ACL"),
    ("s3:locationconstraint", "CreateBucketConfiguration.LocationConstraint"),
    ("s3:x-amz-object-ownership", "ObjectOwnership"),
];

pub(crate) const RULES: &[Access] = &[
    Access::new("ListBuckets", &[Need::on("s3:ListAllMyBuckets", &[])]),
    Access::new("CreateBucket", &[Need::on("s3:CreateBucket", BUCKET).keys(PLACED)]),
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
    Access::new("ListMultipartUploads", &[Need::on("s3:ListBucketMultipartUploads", BUCKET)]),
    Access::new("GetObject", &[Need::on("s3:GetObject", OBJECT)]),
    Access::new("HeadObject", &[Need::on("s3:GetObject", OBJECT)]),
    Access::new(
        "GetObjectAttributes",
        &[Need::on("s3:GetObject", OBJECT), Need::on("s3:GetObjectAttributes", OBJECT)],
    ),
    Access::new(
        "PutObject",
        &[
            Need::on("s3:PutObject", OBJECT).keys(WRITTEN),
            Need::on("s3:PutObjectTagging", OBJECT).when("Tagging"),
        ],
    ),
    // The source is authorized by the HeadObject that reads it.
    Access::new(
        "CopyObject",
        &[
            Need::on("s3:PutObject", OBJECT).keys(COPIED),
            Need::on("s3:PutObjectTagging", OBJECT).when("Tagging"),
        ],
    ),
    Access::new("DeleteObject", &[Need::on("s3:DeleteObject", OBJECT)]),
    // Each key is authorized by the DeleteObject that removes it: one that is denied is reported in
    // the answer and does not keep the others.
    Access::new("DeleteObjects", &[]),
    Access::new("GetObjectTagging", &[Need::on("s3:GetObjectTagging", OBJECT)]),
    Access::new("PutObjectTagging", &[Need::on("s3:PutObjectTagging", OBJECT)]),
    Access::new("DeleteObjectTagging", &[Need::on("s3:DeleteObjectTagging", OBJECT)]),
    Access::new(
        "CreateMultipartUpload",
        &[
            Need::on("s3:PutObject", OBJECT).keys(WRITTEN),
            Need::on("s3:PutObjectTagging", OBJECT).when("Tagging"),
        ],
    ),
    Access::new("UploadPart", &[Need::on("s3:PutObject", OBJECT)]),
    Access::new("UploadPartCopy", &[Need::on("s3:PutObject", OBJECT)]),
    Access::new("CompleteMultipartUpload", &[Need::on("s3:PutObject", OBJECT)]),
    Access::new("AbortMultipartUpload", &[Need::on("s3:AbortMultipartUpload", OBJECT)]),
    Access::new("ListParts", &[Need::on("s3:ListMultipartUploadParts", OBJECT)]),
];
