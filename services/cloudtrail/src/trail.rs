//! Trails: what their owners ask for.

use std::collections::BTreeMap;

use base::Timestamp;
use bytes::Bytes;
use cloudtrail_api::{
    CreateTrailInput, CreateTrailOutput, DeleteTrailInput, DeleteTrailOutput, DescribeTrailsInput,
    DescribeTrailsOutput, GetTrailInput, GetTrailOutput, ListTrailsInput, ListTrailsOutput,
    TrailInfo, UpdateTrailInput, UpdateTrailOutput,
};
use kernel::Client;
use s3_api::{GetBucketAclInput, PutObjectInput};

use crate::error::{Error, Result};
use crate::store::{Basic, Outcome, Selectors, TRAILS, Trail, check_name, find};
use crate::{Ctx, PRINCIPAL, public_key, tags};

/// Trails of an account in a region.
///
/// AWS: "Quotas in AWS CloudTrail".
const TRAILS_MAX: usize = 5;
/// AWS: CreateTrail (`S3KeyPrefix`, 200 characters).
const PREFIX_MAX: usize = 200;

/// Makes a trail. It logs once it is started.
///
/// AWS: CreateTrail.
///
/// # Errors
///
/// [`Error::InsufficientS3BucketPolicy`] when CloudTrail may not write to the bucket.
pub(crate) async fn create_trail(ctx: Ctx, input: CreateTrailInput) -> Result<CreateTrailOutput> {
    check_name(&input.name)?;
    refuse_unsupported(&Unsupported {
        topic: input.sns_topic_name.as_deref(),
        log_group: input.cloud_watch_logs_log_group_arn.as_deref(),
        role: input.cloud_watch_logs_role_arn.as_deref(),
        key: input.kms_key_id.as_deref(),
        organization: input.is_organization_trail,
        recursive: input.recursive_logging,
    })?;
    let global_events = input.include_global_service_events.unwrap_or(true);
    let multi_region = input.is_multi_region_trail.unwrap_or(false);
    require_global(multi_region, global_events)?;
    let tags = tags::from_wire(&ctx, input.tags_list)?;
    let validation = input.enable_log_file_validation.unwrap_or(false);
    let prefix = prefix(input.s3_key_prefix)?;
    let trail = Trail {
        arn: ctx.arn("cloudtrail", format!("trail/{}", input.name)).to_string(),
        name: input.name,
        bucket: bucket(input.s3_bucket_name)?,
        prefix,
        global_events,
        multi_region,
        validation,
        selectors: Selectors::Basic(vec![Basic {
            read_only: None,
            management: true,
            objects: None,
            excluded_sources: Vec::new(),
        }]),
        tags,
        started: None,
        stopped: None,
        delivered_to: ctx.now(),
        undigested: Vec::new(),
        digest_from: validation.then(|| ctx.now()),
        last_digest: None,
        delivery: Outcome::default(),
        digest_delivery: Outcome::default(),
    };
    require_free(&ctx, &trail).await?;
    require_bucket(&ctx, &trail).await?;
    if validation {
        public_key::current(&ctx.store, &ctx.drivers.cipher, ctx.now()).await?;
    }
    ctx.store
        .write(|tx| {
            let all = tx.scan(&TRAILS, ())?;
            check_free(&ctx, &all, &trail)?;
            Ok::<_, Error>(tx.put(&TRAILS, &trail)?)
        })
        .await?;
    let shown = to_wire(&ctx, &trail);
    Ok(CreateTrailOutput {
        name: shown.name,
        s3_bucket_name: shown.s3_bucket_name,
        s3_key_prefix: shown.s3_key_prefix,
        include_global_service_events: shown.include_global_service_events,
        is_multi_region_trail: shown.is_multi_region_trail,
        trail_arn: shown.trail_arn,
        log_file_validation_enabled: shown.log_file_validation_enabled,
        is_organization_trail: shown.is_organization_trail,
        ..CreateTrailOutput::default()
    })
}

async fn require_free(ctx: &Ctx, trail: &Trail) -> Result<()> {
    let all = ctx.store.read(|tx| tx.scan(&TRAILS, ())).await?;
    check_free(ctx, &all, trail)
}

fn check_free(ctx: &Ctx, all: &[Trail], trail: &Trail) -> Result<()> {
    let account = ctx.account.to_string();
    if all.iter().any(|other| other.name == trail.name) {
        return Err(Error::TrailAlreadyExists(trail.name.clone(), account));
    }
    if all.len() >= TRAILS_MAX {
        let region = ctx.region.to_string();
        return Err(Error::MaximumNumberOfTrailsExceeded(account, TRAILS_MAX, region));
    }
    Ok(())
}

/// What other services would have to be there for.
struct Unsupported<'a> {
    topic: Option<&'a str>,
    log_group: Option<&'a str>,
    role: Option<&'a str>,
    key: Option<&'a str>,
    organization: Option<bool>,
    recursive: Option<bool>,
}

fn refuse_unsupported(asked: &Unsupported<'_>) -> Result<()> {
    let given = |value: Option<&str>| value.is_some_and(|value| !value.is_empty());
    let members = [
        (given(asked.topic), "SnsTopicName"),
        (given(asked.log_group), "CloudWatchLogsLogGroupArn"),
        (given(asked.role), "CloudWatchLogsRoleArn"),
        (given(asked.key), "KmsKeyId"),
        (asked.organization == Some(true), "IsOrganizationTrail"),
        (asked.recursive.is_some(), "RecursiveLogging"),
    ];
    match members.iter().find(|(given, _)| *given) {
        Some((_, name)) => Err(Error::UnsupportedOperation(format!(
            "{name} is not supported for trails of this region."
        ))),
        None => Ok(()),
    }
}

fn require_global(multi_region: bool, global_events: bool) -> Result<()> {
    if multi_region && !global_events {
        return Err(Error::InvalidParameterCombination(
            "Multi-Region trail must include global service events.".to_owned(),
        ));
    }
    Ok(())
}

fn bucket(name: String) -> Result<String> {
    let fits = (3..=63).contains(&name.len())
        && name
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'.');
    if fits { Ok(name) } else { Err(Error::InvalidS3BucketName(name)) }
}

fn prefix(given: Option<String>) -> Result<Option<String>> {
    let Some(text) = given.filter(|text| !text.is_empty()) else { return Ok(None) };
    let text = text.trim_end_matches('/').to_owned();
    if text.len() > PREFIX_MAX || text.starts_with('/') {
        return Err(Error::InvalidS3Prefix(text));
    }
    Ok(Some(text))
}

/// A client that writes to the trail's bucket as CloudTrail itself.
///
/// AWS: "Amazon S3 bucket policy for CloudTrail" (`aws:SourceArn`).
pub(crate) fn writer(kernel: &std::sync::Arc<kernel::Kernel>, trail: &Trail) -> Result<Client> {
    let arn: base::Arn = trail.arn.parse().map_err(|_| Error::ArnInvalid(trail.arn.clone()))?;
    let account: base::AccountId =
        arn.account.parse().map_err(|_| Error::ArnInvalid(trail.arn.clone()))?;
    let keys = BTreeMap::from([
        ("aws:SourceArn".to_owned(), trail.arn.clone()),
        ("aws:SourceAccount".to_owned(), account.to_string()),
        // Files are written into the bucket owner's own account, so the owner controls them
        // without a list that says so; the policy's condition on it is met.
        ("s3:x-amz-acl".to_owned(), "bucket-owner-full-control".to_owned()),
    ]);
    Ok(kernel.principal_client(&account, PRINCIPAL, keys))
}

/// Checks that CloudTrail may look at the bucket and write to the trail's folder in it.
async fn require_bucket(ctx: &Ctx, trail: &Trail) -> Result<()> {
    let s3 = writer(ctx.kernel(), trail)?;
    let bucket = trail.bucket.clone();
    let failed = |error: kernel::ServiceError| match error.code.as_str() {
        "NoSuchBucket" => Error::S3BucketDoesNotExist(trail.bucket.clone()),
        "AccessDenied" => Error::InsufficientS3BucketPolicy(trail.bucket.clone()),
        _ => Error::Inside(error),
    };
    let look = GetBucketAclInput { bucket: bucket.clone(), ..GetBucketAclInput::default() };
    s3.call(look).await.map_err(failed)?;
    let prefix = trail.prefix.as_deref().map(|it| format!("{it}/")).unwrap_or_default();
    let write = PutObjectInput {
        bucket,
        key: format!("{prefix}AWSLogs/{}/CloudTrail/", ctx.account),
        body: Some(Bytes::new().into()),
        ..PutObjectInput::default()
    };
    s3.call(write).await.map_err(failed)?;
    Ok(())
}

/// Changes a trail.
///
/// AWS: UpdateTrail.
pub(crate) async fn update_trail(ctx: Ctx, input: UpdateTrailInput) -> Result<UpdateTrailOutput> {
    refuse_unsupported(&Unsupported {
        topic: input.sns_topic_name.as_deref(),
        log_group: input.cloud_watch_logs_log_group_arn.as_deref(),
        role: input.cloud_watch_logs_role_arn.as_deref(),
        key: input.kms_key_id.as_deref(),
        organization: input.is_organization_trail,
        recursive: input.recursive_logging,
    })?;
    let bucket = input.s3_bucket_name.map(bucket).transpose()?;
    let prefix = match input.s3_key_prefix {
        None => None,
        given => Some(prefix(given)?),
    };
    let now = ctx.now();
    let change = |mut trail: Trail| -> Result<Trail> {
        trail.bucket = bucket.clone().unwrap_or(trail.bucket);
        trail.prefix = prefix.clone().unwrap_or(trail.prefix);
        trail.global_events = input.include_global_service_events.unwrap_or(trail.global_events);
        trail.multi_region = input.is_multi_region_trail.unwrap_or(trail.multi_region);
        require_global(trail.multi_region, trail.global_events)?;
        let validation = input.enable_log_file_validation.unwrap_or(trail.validation);
        if validation != trail.validation {
            trail.validation = validation;
            // A chain that was broken begins anew.
            trail.digest_from = validation.then_some(now);
            trail.last_digest = None;
            trail.undigested.clear();
        }
        Ok(trail)
    };
    let before = ctx.store.read(|tx| find(tx, &ctx, &input.name)).await?;
    let wanted = change(before.clone())?;
    if (&wanted.bucket, &wanted.prefix) != (&before.bucket, &before.prefix) {
        require_bucket(&ctx, &wanted).await?;
    }
    if wanted.validation {
        public_key::current(&ctx.store, &ctx.drivers.cipher, now).await?;
    }
    let trail = ctx
        .store
        .write(|tx| {
            let trail = change(find(tx, &ctx, &input.name)?)?;
            tx.put(&TRAILS, &trail)?;
            Ok::<_, Error>(trail)
        })
        .await?;
    let shown = to_wire(&ctx, &trail);
    Ok(UpdateTrailOutput {
        name: shown.name,
        s3_bucket_name: shown.s3_bucket_name,
        s3_key_prefix: shown.s3_key_prefix,
        include_global_service_events: shown.include_global_service_events,
        is_multi_region_trail: shown.is_multi_region_trail,
        trail_arn: shown.trail_arn,
        log_file_validation_enabled: shown.log_file_validation_enabled,
        is_organization_trail: shown.is_organization_trail,
        ..UpdateTrailOutput::default()
    })
}

/// Deletes a trail. What it delivered stays.
///
/// AWS: DeleteTrail.
pub(crate) async fn delete_trail(ctx: Ctx, input: DeleteTrailInput) -> Result<DeleteTrailOutput> {
    ctx.store
        .write(|tx| {
            let trail = find(tx, &ctx, &input.name)?;
            Ok::<_, Error>(tx.delete(&TRAILS, &trail.name)?)
        })
        .await?;
    Ok(DeleteTrailOutput {})
}

/// Lists trails with their settings; a name that is none is left out.
///
/// AWS: DescribeTrails.
pub(crate) async fn describe_trails(
    ctx: Ctx,
    input: DescribeTrailsInput,
) -> Result<DescribeTrailsOutput> {
    // A region has no shadows of other regions' trails, so there are none to include.
    let all = ctx.store.read(|tx| tx.scan(&TRAILS, ())).await?;
    let mut names = Vec::new();
    for given in &input.trail_name_list {
        // An ARN of elsewhere names no trail of here; it is left out as well.
        let elsewhere = |error: &Error| matches!(error, Error::TrailNotFound(..));
        match crate::store::name_of(&ctx, given) {
            Err(error) if elsewhere(&error) => names.push(String::new()),
            Err(error) => return Err(error),
            Ok(name) => names.push(name),
        }
    }
    let asked = |trail: &&Trail| names.is_empty() || names.contains(&trail.name);
    let trail_list = all.iter().filter(asked).map(|trail| to_wire(&ctx, trail)).collect();
    Ok(DescribeTrailsOutput { trail_list })
}

/// Tells a trail's settings.
///
/// AWS: GetTrail.
pub(crate) async fn get_trail(ctx: Ctx, input: GetTrailInput) -> Result<GetTrailOutput> {
    let trail = ctx.store.read(|tx| find(tx, &ctx, &input.name)).await?;
    Ok(GetTrailOutput { trail: Some(to_wire(&ctx, &trail)) })
}

/// Lists the names of trails.
///
/// AWS: ListTrails.
///
/// # Errors
///
/// [`Error::InvalidParameter`] for a token, since all trails fit on one page.
pub(crate) async fn list_trails(ctx: Ctx, input: ListTrailsInput) -> Result<ListTrailsOutput> {
    if input.next_token.is_some() {
        return Err(Error::InvalidParameter("The token is not valid.".to_owned()));
    }
    let all = ctx.store.read(|tx| tx.scan(&TRAILS, ())).await?;
    let one = |trail: Trail| TrailInfo {
        trail_arn: Some(trail.arn),
        name: Some(trail.name),
        home_region: Some(ctx.region.to_string()),
    };
    Ok(ListTrailsOutput { trails: all.into_iter().map(one).collect(), next_token: None })
}

fn to_wire(ctx: &Ctx, trail: &Trail) -> cloudtrail_api::Trail {
    let standard = Selectors::Basic(vec![Basic {
        read_only: None,
        management: true,
        objects: None,
        excluded_sources: Vec::new(),
    }]);
    cloudtrail_api::Trail {
        name: Some(trail.name.clone()),
        s3_bucket_name: Some(trail.bucket.clone()),
        s3_key_prefix: trail.prefix.clone(),
        include_global_service_events: Some(trail.global_events),
        is_multi_region_trail: Some(trail.multi_region),
        home_region: Some(ctx.region.to_string()),
        trail_arn: Some(trail.arn.clone()),
        log_file_validation_enabled: Some(trail.validation),
        has_custom_event_selectors: Some(trail.selectors != standard),
        has_insight_selectors: Some(false),
        is_organization_trail: Some(false),
        ..cloudtrail_api::Trail::default()
    }
}

/// Changes the trail called `name`, if it is still there.
pub(crate) async fn change(
    store: &store::ScopedStore,
    name: &str,
    how: impl Fn(&mut Trail) + Send + Sync,
) -> Result<()> {
    store
        .write(|tx| {
            if let Some(mut trail) = tx.get(&TRAILS, name)? {
                how(&mut trail);
                tx.put(&TRAILS, &trail)?;
            }
            Ok(())
        })
        .await
}

/// A moment as events write it.
pub(crate) fn written(at: Timestamp) -> String {
    at.iso8601_seconds()
}
