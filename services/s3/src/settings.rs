//! What is set on a bucket: tags, public access block, object ownership, default encryption.

use base::Tags;
use s3_api::{
    BlockedEncryptionTypes, DeleteBucketEncryptionInput, DeleteBucketEncryptionOutput,
    DeleteBucketOwnershipControlsInput, DeleteBucketOwnershipControlsOutput,
    DeleteBucketTaggingInput, DeleteBucketTaggingOutput, DeletePublicAccessBlockInput,
    DeletePublicAccessBlockOutput, GetBucketEncryptionInput, GetBucketEncryptionOutput,
    GetBucketOwnershipControlsInput, GetBucketOwnershipControlsOutput, GetBucketTaggingInput,
    GetBucketTaggingOutput, GetPublicAccessBlockInput, GetPublicAccessBlockOutput, ObjectOwnership,
    OwnershipControls, OwnershipControlsRule, PublicAccessBlockConfiguration,
    PutBucketEncryptionInput, PutBucketEncryptionOutput, PutBucketOwnershipControlsInput,
    PutBucketOwnershipControlsOutput, PutBucketTaggingInput, PutBucketTaggingOutput,
    PutPublicAccessBlockInput, PutPublicAccessBlockOutput, ServerSideEncryption,
    ServerSideEncryptionByDefault, ServerSideEncryptionConfiguration, ServerSideEncryptionRule,
    Tag,
};

use crate::Ctx;
use crate::acl::Acl;
use crate::admission::{Wish, admit};
use crate::bucket::refuse;
use crate::error::{Error, Result};
use crate::store::{BUCKETS, Bucket, Encryption, PublicAccessBlock};

/// AWS: "Categorizing your objects using tags".
pub(crate) const OBJECT_TAGS_MAX: usize = 10;
/// AWS: "Using cost allocation S3 bucket tags".
const BUCKET_TAGS_MAX: usize = 50;

/// Tags within AWS's limits.
pub(crate) fn tags_from(list: &[Tag], count_max: usize) -> Result<Tags> {
    if list.len() > count_max {
        return match count_max {
            OBJECT_TAGS_MAX => Err(Error::TooManyTags),
            _ => Err(Error::InvalidTag("Bucket tag count cannot be greater than 50".to_owned())),
        };
    }
    let mut tags = Tags::new();
    for Tag { key, value } in list {
        let length = key.chars().count();
        if !(1..=128).contains(&length) || key.to_lowercase().starts_with("aws:") {
            let text = match (1..=128).contains(&length) {
                true => "System tags cannot be added/updated by requester",
                false => "The TagKey you have provided is invalid",
            };
            return Err(Error::InvalidTag(text.to_owned()));
        }
        if value.chars().count() > 256 {
            let text = "The TagValue you have provided is invalid";
            return Err(Error::InvalidTag(text.to_owned()));
        }
        if tags.insert(key.clone(), value.clone()).is_some() {
            let text = "Cannot provide multiple Tags with the same key";
            return Err(Error::InvalidTag(text.to_owned()));
        }
    }
    Ok(tags)
}

/// The tags of an `x-amz-tagging` header, `key=value&...`.
pub(crate) fn tags_from_header(text: Option<&str>) -> Result<Tags> {
    let pairs = text.unwrap_or_default().split('&').filter(|pair| !pair.is_empty());
    let decoded = |text: &str| crate::percent::decode(&text.replace('+', " "));
    let list: Option<Vec<Tag>> = pairs
        .map(|pair| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            Some(Tag { key: decoded(key)?, value: decoded(value)? })
        })
        .collect();
    let list = list.ok_or_else(|| {
        let text = "The header 'x-amz-tagging' shall be encoded as UTF-8 then URLEncoded URL query \
                    parameters without tag name duplicates.";
        Error::argument("x-amz-tagging", "", text)
    })?;
    tags_from(&list, OBJECT_TAGS_MAX)
}

pub(crate) fn tag_list(tags: Tags) -> Vec<Tag> {
    tags.into_iter().map(|(key, value)| Tag { key, value }).collect()
}

/// Changes the record of a bucket that the caller was admitted to.
pub(crate) async fn change(
    ctx: &Ctx,
    bucket: &Bucket,
    apply: impl Fn(&mut Bucket) + Send + Sync,
) -> Result<()> {
    ctx.store
        .write(|tx| {
            let there = tx.get(&BUCKETS, &bucket.name)?.filter(|there| there.id == bucket.id);
            let mut there = there.ok_or_else(|| Error::NoSuchBucket(bucket.name.clone()))?;
            apply(&mut there);
            Ok(tx.put(&BUCKETS, &there)?)
        })
        .await
}

/// Tells a bucket's tags.
///
/// AWS: GetBucketTagging.
pub(crate) async fn get_bucket_tagging(
    ctx: Ctx,
    input: GetBucketTaggingInput,
) -> Result<GetBucketTaggingOutput> {
    let wish = Wish::new("s3:GetBucketTagging", &input.bucket, &input.expected_bucket_owner);
    let bucket = admit(&ctx, wish).await?;
    if bucket.tags.is_empty() {
        return Err(Error::NoSuchTagSet(bucket.name));
    }
    Ok(GetBucketTaggingOutput { tag_set: tag_list(bucket.tags) })
}

fn is_cloudformation(ctx: &Ctx) -> bool {
    ctx.caller.invoked_by.as_deref() == Some("cloudformation.amazonaws.com")
}

/// A bucket's tags within AWS's limits; CloudFormation may also give its own.
pub(crate) fn bucket_tags(ctx: &Ctx, list: Vec<Tag>) -> Result<Tags> {
    let may = is_cloudformation(ctx);
    let (system, given): (Vec<Tag>, Vec<Tag>) =
        list.into_iter().partition(|tag| may && tag.key.starts_with("aws:cloudformation:"));
    let mut tags = tags_from(&given, BUCKET_TAGS_MAX)?;
    tags.extend(system.into_iter().map(|tag| (tag.key, tag.value)));
    Ok(tags)
}

/// Sets a bucket's tags, all of them.
///
/// AWS: PutBucketTagging.
pub(crate) async fn put_bucket_tagging(
    ctx: Ctx,
    input: PutBucketTaggingInput,
) -> Result<PutBucketTaggingOutput> {
    let wish = Wish::new("s3:PutBucketTagging", &input.bucket, &input.expected_bucket_owner);
    let bucket = admit(&ctx, wish).await?;
    let mut tags = bucket_tags(&ctx, input.tagging.tag_set)?;
    if !is_cloudformation(&ctx) {
        let kept = bucket.tags.iter().filter(|(key, _)| key.starts_with("aws:"));
        tags.extend(kept.map(|(key, value)| (key.clone(), value.clone())));
    }
    change(&ctx, &bucket, |bucket| bucket.tags.clone_from(&tags)).await?;
    Ok(PutBucketTaggingOutput {})
}

/// Takes a bucket's tags away.
///
/// AWS: DeleteBucketTagging.
pub(crate) async fn delete_bucket_tagging(
    ctx: Ctx,
    input: DeleteBucketTaggingInput,
) -> Result<DeleteBucketTaggingOutput> {
    let wish = Wish::new("s3:PutBucketTagging", &input.bucket, &input.expected_bucket_owner);
    let bucket = admit(&ctx, wish).await?;
    change(&ctx, &bucket, |bucket| bucket.tags.retain(|key, _| key.starts_with("aws:"))).await?;
    Ok(DeleteBucketTaggingOutput {})
}

/// Tells what is blocked of public access.
///
/// AWS: GetPublicAccessBlock.
pub(crate) async fn get_public_access_block(
    ctx: Ctx,
    input: GetPublicAccessBlockInput,
) -> Result<GetPublicAccessBlockOutput> {
    let owner = &input.expected_bucket_owner;
    let wish = Wish::new("s3:GetBucketPublicAccessBlock", &input.bucket, owner);
    let bucket = admit(&ctx, wish).await?;
    let Some(block) = bucket.public_access_block else {
        return Err(Error::NoSuchPublicAccessBlockConfiguration(bucket.name));
    };
    Ok(GetPublicAccessBlockOutput {
        public_access_block_configuration: Some(PublicAccessBlockConfiguration {
            block_public_acls: Some(block.block_public_acls),
            ignore_public_acls: Some(block.ignore_public_acls),
            block_public_policy: Some(block.block_public_policy),
            restrict_public_buckets: Some(block.restrict_public_buckets),
        }),
    })
}

/// Sets what is blocked of public access.
///
/// AWS: PutPublicAccessBlock.
pub(crate) async fn put_public_access_block(
    ctx: Ctx,
    input: PutPublicAccessBlockInput,
) -> Result<PutPublicAccessBlockOutput> {
    let owner = &input.expected_bucket_owner;
    let wish = Wish::new("s3:PutBucketPublicAccessBlock", &input.bucket, owner);
    let bucket = admit(&ctx, wish).await?;
    let given = input.public_access_block_configuration;
    let block = PublicAccessBlock {
        block_public_acls: given.block_public_acls == Some(true),
        ignore_public_acls: given.ignore_public_acls == Some(true),
        block_public_policy: given.block_public_policy == Some(true),
        restrict_public_buckets: given.restrict_public_buckets == Some(true),
    };
    change(&ctx, &bucket, |bucket| bucket.public_access_block = Some(block)).await?;
    Ok(PutPublicAccessBlockOutput {})
}

/// Blocks nothing of public access any more.
///
/// AWS: DeletePublicAccessBlock.
pub(crate) async fn delete_public_access_block(
    ctx: Ctx,
    input: DeletePublicAccessBlockInput,
) -> Result<DeletePublicAccessBlockOutput> {
    let owner = &input.expected_bucket_owner;
    let wish = Wish::new("s3:PutBucketPublicAccessBlock", &input.bucket, owner);
    let bucket = admit(&ctx, wish).await?;
    change(&ctx, &bucket, |bucket| bucket.public_access_block = None).await?;
    Ok(DeletePublicAccessBlockOutput {})
}

/// Tells who owns objects that others write.
///
/// AWS: GetBucketOwnershipControls.
pub(crate) async fn get_bucket_ownership_controls(
    ctx: Ctx,
    input: GetBucketOwnershipControlsInput,
) -> Result<GetBucketOwnershipControlsOutput> {
    let owner = &input.expected_bucket_owner;
    let wish = Wish::new("s3:GetBucketOwnershipControls", &input.bucket, owner);
    let bucket = admit(&ctx, wish).await?;
    let ownership = bucket.ownership.as_deref().and_then(|text| text.parse().ok());
    let Some(object_ownership) = ownership else {
        return Err(Error::OwnershipControlsNotFoundError(bucket.name));
    };
    let rules = vec![OwnershipControlsRule { object_ownership }];
    Ok(GetBucketOwnershipControlsOutput { ownership_controls: Some(OwnershipControls { rules }) })
}

/// Sets who owns objects that others write.
///
/// AWS: PutBucketOwnershipControls.
pub(crate) async fn put_bucket_ownership_controls(
    ctx: Ctx,
    input: PutBucketOwnershipControlsInput,
) -> Result<PutBucketOwnershipControlsOutput> {
    let owner = &input.expected_bucket_owner;
    let wish = Wish::new("s3:PutBucketOwnershipControls", &input.bucket, owner);
    let bucket = admit(&ctx, wish).await?;
    let [rule] = input.ownership_controls.rules.as_slice() else {
        return Err(Error::MalformedXml);
    };
    let ownership = rule.object_ownership.as_str();
    let enforced = rule.object_ownership == ObjectOwnership::BucketOwnerEnforced;
    if enforced && bucket.sharing.acl != Acl::default() {
        return Err(Error::InvalidBucketAclWithObjectOwnership);
    }
    change(&ctx, &bucket, |bucket| bucket.ownership = Some(ownership.to_owned())).await?;
    Ok(PutBucketOwnershipControlsOutput {})
}

/// Says nothing any more of who owns objects that others write.
///
/// AWS: DeleteBucketOwnershipControls.
pub(crate) async fn delete_bucket_ownership_controls(
    ctx: Ctx,
    input: DeleteBucketOwnershipControlsInput,
) -> Result<DeleteBucketOwnershipControlsOutput> {
    let owner = &input.expected_bucket_owner;
    let wish = Wish::new("s3:PutBucketOwnershipControls", &input.bucket, owner);
    let bucket = admit(&ctx, wish).await?;
    change(&ctx, &bucket, |bucket| bucket.ownership = None).await?;
    Ok(DeleteBucketOwnershipControlsOutput {})
}

/// Tells how new objects are encrypted.
///
/// AWS: GetBucketEncryption.
pub(crate) async fn get_bucket_encryption(
    ctx: Ctx,
    input: GetBucketEncryptionInput,
) -> Result<GetBucketEncryptionOutput> {
    let owner = &input.expected_bucket_owner;
    let wish = Wish::new("s3:GetEncryptionConfiguration", &input.bucket, owner);
    let encryption = admit(&ctx, wish).await?.encryption;
    let algorithm = encryption.algorithm.as_deref().and_then(|name| name.parse().ok());
    let algorithm = algorithm.unwrap_or(ServerSideEncryption::Aes256);
    let blocked = &encryption.blocked_types;
    let blocked_encryption_types = (!blocked.is_empty()).then(|| BlockedEncryptionTypes {
        encryption_type: blocked.iter().filter_map(|text| text.parse().ok()).collect(),
    });
    let rule = ServerSideEncryptionRule {
        apply_server_side_encryption_by_default: Some(ServerSideEncryptionByDefault {
            sse_algorithm: algorithm,
            kms_master_key_id: encryption.kms_key.clone(),
        }),
        bucket_key_enabled: Some(encryption.bucket_key_enabled),
        blocked_encryption_types,
    };
    Ok(GetBucketEncryptionOutput {
        server_side_encryption_configuration: Some(ServerSideEncryptionConfiguration {
            rules: vec![rule],
        }),
    })
}

/// Sets how new objects are encrypted.
///
/// AWS: PutBucketEncryption.
pub(crate) async fn put_bucket_encryption(
    ctx: Ctx,
    input: PutBucketEncryptionInput,
) -> Result<PutBucketEncryptionOutput> {
    let owner = &input.expected_bucket_owner;
    let wish = Wish::new("s3:PutEncryptionConfiguration", &input.bucket, owner);
    let bucket = admit(&ctx, wish).await?;
    let [rule] = input.server_side_encryption_configuration.rules.as_slice() else {
        return Err(Error::MalformedXml);
    };
    let default = rule.apply_server_side_encryption_by_default.clone();
    if let Some(default) = &default {
        if default.sse_algorithm == ServerSideEncryption::Aes256
            && default.kms_master_key_id.is_some()
        {
            return Err(Error::argument(
                "KMSMasterKeyID",
                "",
                "a KMSMasterKeyID is not applicable if the default sse algorithm is not aws:kms \
                 or aws:kms:dsse",
            ));
        }
        let is_foreign = matches!(
            default.sse_algorithm,
            ServerSideEncryption::AwsFsx | ServerSideEncryption::AwsBackup
        );
        refuse(&[("ServerSideEncryptionConfiguration", is_foreign)])?;
    }
    let blocked = rule.blocked_encryption_types.clone().unwrap_or_default().encryption_type;
    let encryption = Encryption {
        bucket_key_enabled: rule.bucket_key_enabled == Some(true),
        blocked_types: match blocked.is_empty() {
            true => bucket.encryption.blocked_types.clone(),
            false => blocked.iter().map(ToString::to_string).collect(),
        },
        algorithm: default.as_ref().and_then(|default| match default.sse_algorithm {
            ServerSideEncryption::AwsKms | ServerSideEncryption::AwsKmsDsse => {
                Some(default.sse_algorithm.as_str().to_owned())
            }
            ServerSideEncryption::Aes256
            | ServerSideEncryption::AwsFsx
            | ServerSideEncryption::AwsBackup => None,
        }),
        kms_key: default.and_then(|default| default.kms_master_key_id),
    };
    change(&ctx, &bucket, |bucket| bucket.encryption = encryption.clone()).await?;
    Ok(PutBucketEncryptionOutput {})
}

/// Sets the encryption of new objects back to what a new bucket has.
///
/// AWS: DeleteBucketEncryption.
pub(crate) async fn delete_bucket_encryption(
    ctx: Ctx,
    input: DeleteBucketEncryptionInput,
) -> Result<DeleteBucketEncryptionOutput> {
    let owner = &input.expected_bucket_owner;
    let wish = Wish::new("s3:PutEncryptionConfiguration", &input.bucket, owner);
    let bucket = admit(&ctx, wish).await?;
    change(&ctx, &bucket, |bucket| bucket.encryption = Encryption::of_new_bucket()).await?;
    Ok(DeleteBucketEncryptionOutput {})
}
