//! Buckets: their names, which everyone shares, and their life.
//!
//! AWS: "General purpose bucket naming rules".

use base::Tags;
use kernel::paging;
use s3_api::{
    Bucket as Shown, BucketCannedACL, BucketLocationConstraint, BucketNamespace, CreateBucketInput,
    CreateBucketOutput, DeleteBucketInput, DeleteBucketOutput, GetBucketLocationInput,
    GetBucketLocationOutput, GetBucketRequestPaymentInput, GetBucketRequestPaymentOutput,
    HeadBucketInput, HeadBucketOutput, ListBucketsInput, ListBucketsOutput, ObjectOwnership, Owner,
    Payer, PutBucketRequestPaymentInput, PutBucketRequestPaymentOutput,
};

use crate::Ctx;
use crate::acl::{asked_of, is_enforced};
use crate::admission::{Wish, admit, arn_of};
use crate::error::{Error, Result};
use crate::settings::{bucket_tags, change};
use crate::sharing::Sharing;
use crate::store::{
    BUCKETS, BY_OWNER, Bucket, BucketLock, Encryption, OBJECTS, PAST, PublicAccessBlock, UPLOADS,
    Versioning, discard_parts,
};
use crate::upload::hex;

/// AWS: "General purpose bucket quotas, limitations, and restrictions".
const BUCKETS_MAX: usize = 10_000;
const PAGE_MAX: i32 = 10_000;
/// The region whose name is the absence of a location constraint.
const UNCONSTRAINED: &str = "us-east-1";
const PREFIXES: [&str; 3] = ["xn--", "sthree-", "amzn-s3-demo-"];
const SUFFIXES: [&str; 5] = ["-s3alias", "--ol-s3", ".mrap", "--x-s3", "--table-s3"];

/// Makes a bucket.
///
/// AWS: CreateBucket.
pub(crate) async fn create_bucket(
    ctx: Ctx,
    input: CreateBucketInput,
) -> Result<CreateBucketOutput> {
    let bucket = wanted(&ctx, &input)?;
    let name = bucket.name.clone();
    let unconstrained = ctx.region.as_str() == UNCONSTRAINED;
    ctx.store
        .write(|tx| {
            if let Some(there) = tx.get(&BUCKETS, &name)? {
                return if there.owner != ctx.account {
                    Err(Error::BucketAlreadyExists(name.clone()))
                } else if unconstrained {
                    Ok(())
                } else {
                    Err(Error::BucketAlreadyOwnedByYou(name.clone()))
                };
            }
            if tx.find(&BY_OWNER, &ctx.account)?.len() >= BUCKETS_MAX {
                return Err(Error::TooManyBuckets);
            }
            Ok(tx.put(&BUCKETS, &bucket)?)
        })
        .await?;
    let location = match unconstrained {
        true => format!("/{name}"),
        false => format!("http://{name}.s3.amazonaws.com/"),
    };
    Ok(CreateBucketOutput { location: Some(location), bucket_arn: Some(arn_of(&name, None)) })
}

fn wanted(ctx: &Ctx, input: &CreateBucketInput) -> Result<Bucket> {
    if !is_valid_name(&input.bucket) {
        return Err(Error::InvalidBucketName(input.bucket.clone()));
    }
    let configuration = input.create_bucket_configuration.clone().unwrap_or_default();
    if configuration.location.is_some() || configuration.bucket.is_some() {
        return Err(Error::NotImplemented("CreateBucketConfiguration"));
    }
    check_location(ctx, configuration.location_constraint)?;
    let ownership = input.object_ownership.unwrap_or(ObjectOwnership::BucketOwnerEnforced);
    // Locks hold versions, so that a bucket that locks keeps them from the start.
    let locks = input.object_lock_enabled_for_bucket == Some(true);
    let regional = input.bucket_namespace == Some(BucketNamespace::AccountRegional);
    if !is_in_namespace(&input.bucket, regional.then(|| (&ctx.account, ctx.region.as_str()))) {
        return Err(Error::InvalidBucketName(input.bucket.clone()));
    }
    let asked = asked_of!(input, input.grant_write.clone());
    let mut bucket = Bucket {
        name: input.bucket.clone(),
        id: ctx.id("bucket").to_string(),
        owner: ctx.account.clone(),
        region: ctx.region.clone(),
        created: ctx.now(),
        tags: bucket_tags(ctx, configuration.tags)?,
        policy: None,
        public_access_block: Some(PublicAccessBlock {
            block_public_acls: true,
            ignore_public_acls: true,
            block_public_policy: true,
            restrict_public_buckets: true,
        }),
        ownership: Some(ownership.as_str().to_owned()),
        encryption: Encryption::of_new_bucket(),
        sharing: Sharing::default(),
        versioning: if locks { Versioning::Enabled } else { Versioning::Never },
        lock: locks.then(BucketLock::default),
        has_lifecycle: false,
    };
    let has_list = asked.is_some() && input.acl != Some(BucketCannedACL::Private);
    if has_list && is_enforced(&bucket) {
        return Err(Error::InvalidBucketAclWithObjectOwnership);
    }
    bucket.sharing.acl = asked.checked(&bucket, &ctx.account)?;
    Ok(bucket)
}

/// Refuses a request that has one of these headers.
pub(crate) fn refuse(headers: &[(&'static str, bool)]) -> Result<()> {
    match headers.iter().find(|(_, present)| *present) {
        Some((name, _)) => Err(Error::NotImplemented(name)),
        None => Ok(()),
    }
}

fn check_location(ctx: &Ctx, constraint: Option<BucketLocationConstraint>) -> Result<()> {
    let region = ctx.region.as_str();
    let named = constraint.map(|constraint| match constraint.as_str() {
        "EU" => "eu-west-1",
        other => other,
    });
    match named {
        Some(named) if named == region => Ok(()),
        None if region == UNCONSTRAINED => Ok(()),
        Some(named) => Err(Error::IllegalLocationConstraintException(format!(
            "The {named} location constraint is incompatible for the region specific endpoint \
             this request was sent to."
        ))),
        None => Err(Error::IllegalLocationConstraintException(
            "The unspecified location constraint is incompatible for the region specific \
             endpoint this request was sent to."
                .to_owned(),
        )),
    }
}

fn is_valid_name(name: &str) -> bool {
    let alphanumeric = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    (3..=63).contains(&name.len())
        && name.chars().all(|c| alphanumeric(c) || c == '-' || c == '.')
        && name.starts_with(alphanumeric)
        && name.ends_with(alphanumeric)
        && !name.contains("..")
        && name.parse::<std::net::Ipv4Addr>().is_err()
        && !PREFIXES.iter().any(|prefix| name.starts_with(prefix))
        && !SUFFIXES.iter().any(|suffix| name.ends_with(suffix))
}

/// Whether a name belongs where the bucket is to be: in the namespace of an account and region, or
/// in the one that all share.
///
/// AWS: "Account regional namespace naming rules".
fn is_in_namespace(name: &str, regional: Option<(&base::AccountId, &str)>) -> bool {
    if let Some((account, region)) = regional {
        let prefix = name.strip_suffix(&format!("-{account}-{region}-an"));
        return prefix.is_some_and(|prefix| !prefix.is_empty());
    }
    let is_account = |part: &str| part.len() == 12 && part.bytes().all(|b| b.is_ascii_digit());
    !(name.ends_with("-an") && name.split('-').skip(1).any(is_account))
}

/// Deletes an empty bucket; uploads in parts that were begun in it end with it.
///
/// AWS: DeleteBucket.
pub(crate) async fn delete_bucket(
    ctx: Ctx,
    input: DeleteBucketInput,
) -> Result<DeleteBucketOutput> {
    let wish = Wish::new("s3:DeleteBucket", &input.bucket, &input.expected_bucket_owner);
    let bucket = admit(&ctx, wish).await?;
    let (name, now) = (&bucket.name, ctx.now());
    ctx.store
        .write(|tx| {
            if tx.get(&BUCKETS, name)?.is_none_or(|there| there.id != bucket.id) {
                return Err(Error::NoSuchBucket(name.clone()));
            }
            let has_past = !tx.scan_page_in(&PAST, (name,), None, 1)?.records.is_empty();
            if has_past || !tx.scan_page_in(&OBJECTS, (name,), None, 1)?.records.is_empty() {
                return Err(Error::BucketNotEmpty(name.clone()));
            }
            for upload in tx.scan(&UPLOADS, (name,))? {
                discard_parts(tx, &upload.id, now)?;
                tx.delete(&UPLOADS, (&upload.bucket, &upload.key, &upload.id))?;
            }
            crate::kept::end_all(tx, &bucket)?;
            crate::inventory::forget(tx, &bucket)?;
            tx.delete(&BUCKETS, name)?;
            Ok(())
        })
        .await?;
    Ok(DeleteBucketOutput {})
}

/// Tells whether a bucket is there and may be listed, and where it is.
///
/// AWS: HeadBucket.
pub(crate) async fn head_bucket(ctx: Ctx, input: HeadBucketInput) -> Result<HeadBucketOutput> {
    let wish = Wish::new("s3:ListBucket", &input.bucket, &input.expected_bucket_owner);
    let bucket = admit(&ctx, wish).await?;
    Ok(HeadBucketOutput {
        bucket_arn: Some(arn_of(&bucket.name, None)),
        bucket_region: Some(bucket.region.to_string()),
        access_point_alias: Some(false),
        ..HeadBucketOutput::default()
    })
}

/// Lists the caller's buckets.
///
/// AWS: ListBuckets.
pub(crate) async fn list_buckets(ctx: Ctx, input: ListBucketsInput) -> Result<ListBucketsOutput> {
    let limit = input.max_buckets.unwrap_or(PAGE_MAX).clamp(1, PAGE_MAX);
    let mut buckets = ctx.store.read(|tx| tx.find(&BY_OWNER, &ctx.account)).await?;
    let prefix = input.prefix.clone().unwrap_or_default();
    buckets.retain(|bucket| {
        let wanted = input.bucket_region.as_deref();
        bucket.name.starts_with(&prefix) && wanted.is_none_or(|w| w == bucket.region.as_str())
    });
    let limit = usize::try_from(limit).unwrap_or(1);
    let token = input.continuation_token.as_deref();
    let page = paging::page(buckets, token, limit, |bucket| bucket.name.clone());
    let page = page.map_err(|_| {
        let value = input.continuation_token.clone().unwrap_or_default();
        Error::argument("continuation-token", value, "The continuation token provided is incorrect")
    })?;
    let shown = |bucket: Bucket| Shown {
        bucket_arn: Some(arn_of(&bucket.name, None)),
        name: Some(bucket.name),
        creation_date: Some(bucket.created),
        bucket_region: Some(bucket.region.to_string()),
    };
    Ok(ListBucketsOutput {
        buckets: page.items.into_iter().map(shown).collect(),
        owner: Some(owner(&ctx.account)),
        continuation_token: page.next,
        prefix: input.prefix,
    })
}

/// An account as the owner of something: its canonical user id.
pub(crate) fn owner(account: &base::AccountId) -> Owner {
    Owner { display_name: None, id: Some(canonical_id(account)) }
}

/// The canonical user id of an account: 64 digits that are the same for the same account.
pub(crate) fn canonical_id(account: &base::AccountId) -> String {
    let text = format!("canonical user {}", account.as_str());
    let hash = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, text.as_bytes());
    hex(hash.as_ref())
}

/// Tells where a bucket is.
///
/// AWS: GetBucketLocation.
pub(crate) async fn get_bucket_location(
    ctx: Ctx,
    input: GetBucketLocationInput,
) -> Result<GetBucketLocationOutput> {
    let wish = Wish::new("s3:GetBucketLocation", &input.bucket, &input.expected_bucket_owner);
    let bucket = admit(&ctx, wish).await?;
    Ok(GetBucketLocationOutput { location_constraint: bucket.region.as_str().parse().ok() })
}

/// Tells who pays for requests to a bucket.
///
/// AWS: GetBucketRequestPayment.
pub(crate) async fn get_bucket_request_payment(
    ctx: Ctx,
    input: GetBucketRequestPaymentInput,
) -> Result<GetBucketRequestPaymentOutput> {
    let owner = &input.expected_bucket_owner;
    let wish = Wish::new("s3:GetBucketRequestPayment", &input.bucket, owner);
    let bucket = admit(&ctx, wish).await?;
    let payer = match bucket.sharing.requester_pays {
        true => Payer::Requester,
        false => Payer::BucketOwner,
    };
    Ok(GetBucketRequestPaymentOutput { payer: Some(payer) })
}

/// Sets who pays for requests to a bucket.
///
/// AWS: PutBucketRequestPayment.
pub(crate) async fn put_bucket_request_payment(
    ctx: Ctx,
    input: PutBucketRequestPaymentInput,
) -> Result<PutBucketRequestPaymentOutput> {
    let owner = &input.expected_bucket_owner;
    let wish = Wish::new("s3:PutBucketRequestPayment", &input.bucket, owner);
    let bucket = admit(&ctx, wish).await?;
    let requester = input.request_payment_configuration.payer == Payer::Requester;
    change(&ctx, &bucket, |bucket| bucket.sharing.requester_pays = requester).await?;
    Ok(PutBucketRequestPaymentOutput {})
}

/// Tags as a condition key sees them.
pub(crate) async fn tags_of_arn(
    ctx: Ctx,
    arn: String,
) -> std::result::Result<Tags, kernel::ServiceError> {
    let resource = arn.strip_prefix("arn:aws:s3:::").unwrap_or_default();
    // Only objects' own tags count in `s3:ExistingObjectTag`; `aws:ResourceTag` is a bucket's.
    if resource.contains('/') {
        return Ok(Tags::new());
    }
    let found = ctx.store.read(|tx| tx.get(&BUCKETS, resource)).await;
    let found = found.map_err(kernel::ServiceError::internal)?;
    Ok(found.map(|bucket| bucket.tags).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_has_names_of_its_own() {
        let account: base::AccountId = "111122223333".parse().unwrap();
        let own = Some((&account, "us-west-2"));
        for (name, regional, global) in [
            ("shop-111122223333-us-west-2-an", true, false),
            ("shop-444455556666-us-west-2-an", false, false),
            ("-111122223333-us-west-2-an", false, false),
            ("shop", false, true),
            ("shop-an", false, true),
        ] {
            assert_eq!(is_in_namespace(name, own), regional, "{name}");
            assert_eq!(is_in_namespace(name, None), global, "{name}");
        }
    }

    #[test]
    fn names_follow_the_rules() {
        for (name, valid) in [
            ("abc", true),
            ("my.bucket-1", true),
            ("ab", false),
            ("Abc", false),
            ("a_bc", false),
            ("-abc", false),
            ("abc-", false),
            ("a..b", false),
            ("192.168.5.4", false),
            ("xn--abc", false),
            ("abc-s3alias", false),
            ("abc--x-s3", false),
        ] {
            assert_eq!(is_valid_name(name), valid, "{name}");
        }
        assert!(is_valid_name(&"a".repeat(63)) && !is_valid_name(&"a".repeat(64)));
    }
}
