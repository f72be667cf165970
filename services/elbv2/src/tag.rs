//! Tags of load balancers, target groups, listeners and rules.

use base::Tags;
use elbv2_api::{
    AddTagsInput, AddTagsOutput, DescribeTagsInput, DescribeTagsOutput, RemoveTagsInput,
    RemoveTagsOutput, Tag, TagDescription,
};
use kernel::ServiceError;
use kernel::tags::TagError;
use store::{ReadTx, WriteTx};

use crate::Ctx;
use crate::error::{Error, Result, invalid};
use crate::store::{LISTENERS, LOAD_BALANCERS, RULES, TARGET_GROUPS};

/// Resources that one call may name.
///
/// AWS: DescribeTags ("up to 20 resources").
const RESOURCES_MAX: usize = 20;

/// The tags of a request, checked.
pub(crate) fn from_wire(ctx: &Ctx, tags: Vec<Tag>) -> Result<Tags> {
    let mut out = Tags::new();
    for Tag { key, value } in tags {
        if out.insert(key.clone(), value.unwrap_or_default()).is_some() {
            return Err(Error::DuplicateTagKeys(key));
        }
    }
    check(ctx, &out)?;
    Ok(out)
}

fn check(ctx: &Ctx, tags: &Tags) -> Result<()> {
    kernel::tags::check(tags, ctx.caller.invoked_by.as_deref()).map_err(|error| match error {
        TagError::TooMany => Error::TooManyTags(error.to_string()),
        TagError::Key | TagError::Value | TagError::Reserved => invalid(error.to_string()),
    })
}

fn to_wire(tags: &Tags) -> Vec<Tag> {
    tags.iter().map(|(key, value)| Tag { key: key.clone(), value: Some(value.clone()) }).collect()
}

/// Sets tags.
///
/// AWS: AddTags.
pub(crate) async fn add_tags(ctx: Ctx, input: AddTagsInput) -> Result<AddTagsOutput> {
    require_few(&input.resource_arns)?;
    let wanted = from_wire(&ctx, input.tags)?;
    ctx.store
        .write(|tx| {
            input.resource_arns.iter().try_for_each(|arn| {
                change(tx, arn, |tags| {
                    tags.extend(wanted.clone());
                    check(&ctx, tags)
                })
            })
        })
        .await?;
    Ok(AddTagsOutput {})
}

/// Takes tags away.
///
/// AWS: RemoveTags.
pub(crate) async fn remove_tags(ctx: Ctx, input: RemoveTagsInput) -> Result<RemoveTagsOutput> {
    require_few(&input.resource_arns)?;
    if ctx.caller.invoked_by.is_none()
        && input.tag_keys.iter().any(|key| kernel::tags::is_reserved(key))
    {
        return Err(invalid(TagError::Reserved.to_string()));
    }
    ctx.store
        .write(|tx| {
            input.resource_arns.iter().try_for_each(|arn| {
                change(tx, arn, |tags| {
                    tags.retain(|key, _| !input.tag_keys.contains(key));
                    Ok(())
                })
            })
        })
        .await?;
    Ok(RemoveTagsOutput {})
}

/// Lists tags.
///
/// AWS: DescribeTags.
pub(crate) async fn describe_tags(
    ctx: Ctx,
    input: DescribeTagsInput,
) -> Result<DescribeTagsOutput> {
    require_few(&input.resource_arns)?;
    let tag_descriptions = ctx
        .store
        .read(|tx| {
            let describe = |arn: &String| {
                let tags = to_wire(&tags_of(tx, arn)?);
                Ok(TagDescription { resource_arn: Some(arn.clone()), tags })
            };
            input.resource_arns.iter().map(describe).collect::<Result<Vec<_>>>()
        })
        .await?;
    Ok(DescribeTagsOutput { tag_descriptions })
}

/// The tags of a resource, for conditions of policies; none of one that is not there.
pub(crate) async fn hook(ctx: Ctx, arn: String) -> std::result::Result<Tags, ServiceError> {
    let found = ctx.store.read(|tx| tags_of(tx, &arn)).await;
    match found {
        Ok(tags) => Ok(tags),
        Err(Error::Store(error)) => Err(ServiceError::internal(error)),
        Err(_) => Ok(Tags::new()),
    }
}

fn require_few(arns: &[String]) -> Result<()> {
    if arns.len() > RESOURCES_MAX {
        return Err(invalid(format!("At most '{RESOURCES_MAX}' resources can be named")));
    }
    Ok(())
}

fn kind_of(arn: &str) -> &str {
    let resource = arn.splitn(6, ':').nth(5).unwrap_or_default();
    resource.split('/').next().unwrap_or_default()
}

fn not_found(arn: &str) -> Error {
    match kind_of(arn) {
        "loadbalancer" => Error::LoadBalancerNotFound(format!("Load balancer '{arn}' not found")),
        "targetgroup" => Error::TargetGroupNotFound(format!("Target group '{arn}' not found")),
        "listener" => Error::ListenerNotFound(format!("Listener '{arn}' not found")),
        "listener-rule" => Error::RuleNotFound(format!("Rule '{arn}' not found")),
        _ => invalid(format!("'{arn}' is not a valid ARN")),
    }
}

fn tags_of(tx: &ReadTx<'_>, arn: &str) -> Result<Tags> {
    let tags = match kind_of(arn) {
        "loadbalancer" => {
            tx.get(&LOAD_BALANCERS, arn)?.filter(|found| !found.deleting).map(|found| found.tags)
        }
        "targetgroup" => tx.get(&TARGET_GROUPS, arn)?.map(|found| found.tags),
        "listener" => tx.get(&LISTENERS, arn)?.map(|found| found.tags),
        "listener-rule" => tx.get(&RULES, arn)?.map(|found| found.tags),
        _ => None,
    };
    tags.ok_or_else(|| not_found(arn))
}

fn change(tx: &mut WriteTx<'_>, arn: &str, how: impl Fn(&mut Tags) -> Result<()>) -> Result<()> {
    let mut tags = tags_of(tx, arn)?;
    how(&mut tags)?;
    if let Some(found) = tx.get(&LOAD_BALANCERS, arn)? {
        tx.put(&LOAD_BALANCERS, &crate::store::LoadBalancer { tags, ..found })?;
    } else if let Some(found) = tx.get(&TARGET_GROUPS, arn)? {
        tx.put(&TARGET_GROUPS, &crate::store::TargetGroup { tags, ..found })?;
    } else if let Some(found) = tx.get(&LISTENERS, arn)? {
        tx.put(&LISTENERS, &crate::store::Listener { tags, ..found })?;
    } else if let Some(found) = tx.get(&RULES, arn)? {
        tx.put(&RULES, &crate::store::Rule { tags, ..found })?;
    }
    Ok(())
}
