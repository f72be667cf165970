//! Tags of RDS resources, by their ARNs.

use base::Tags;
use kernel::ServiceError;
use rds_api::{
    AddTagsToResourceInput, AddTagsToResourceOutput, ListTagsForResourceInput,
    ListTagsForResourceOutput, RemoveTagsFromResourceInput, RemoveTagsFromResourceOutput, Tag,
};
use store::{ReadTx, WriteTx};

use crate::error::{Error, Result, refuse};
use crate::store::{INSTANCES, PARAMETER_GROUPS, SNAPSHOTS, SUBNET_GROUPS};
use crate::{Ctx, endpoint, instance, parameter_group, snapshot, subnet_group};

/// The tags of a request.
pub(crate) fn from(ctx: &Ctx, given: &[Tag]) -> Result<Tags> {
    let mut tags = Tags::new();
    for tag in given {
        let key = tag.key.clone().unwrap_or_default();
        tags.insert(key, tag.value.clone().unwrap_or_default());
    }
    kernel::tags::check(&tags, ctx.caller.invoked_by.as_deref())
        .map_err(|error| Error::value(error.to_string()))?;
    Ok(tags)
}

/// Tags as clients see them.
pub(crate) fn shown(tags: &Tags) -> Vec<Tag> {
    let tag = |(key, value): (&String, &String)| Tag {
        key: Some(key.clone()),
        value: Some(value.clone()),
    };
    tags.iter().map(tag).collect()
}

/// A resource that can have tags.
enum Tagged {
    Instance(String),
    SubnetGroup(String),
    ParameterGroup(String),
    Snapshot(String),
}

fn parse(ctx: &Ctx, arn: &str) -> Result<Tagged> {
    let invalid = || Error::value(format!("Invalid resource name: {arn}"));
    let own = endpoint::arn(ctx.store.scope(), "", "");
    let prefix = own.strip_suffix("::").or_else(|| own.strip_suffix(':')).unwrap_or(&own);
    let rest = arn.strip_prefix(prefix).ok_or_else(invalid)?;
    let (kind, name) = rest.trim_start_matches(':').split_once(':').ok_or_else(invalid)?;
    let name = name.to_ascii_lowercase();
    match kind {
        "db" => Ok(Tagged::Instance(name)),
        "subgrp" => Ok(Tagged::SubnetGroup(name)),
        "pg" => Ok(Tagged::ParameterGroup(name)),
        "snapshot" => Ok(Tagged::Snapshot(name)),
        _ => Err(invalid()),
    }
}

fn read(tx: &ReadTx<'_>, of: &Tagged) -> Result<Tags> {
    Ok(match of {
        Tagged::Instance(name) => instance::get(tx, name)?.tags,
        Tagged::SubnetGroup(name) => subnet_group::get(tx, name)?.tags,
        Tagged::ParameterGroup(name) => parameter_group::get(tx, name)?.tags,
        Tagged::Snapshot(name) => snapshot::get(tx, name)?.tags,
    })
}

fn write(tx: &mut WriteTx<'_>, of: &Tagged, tags: Tags) -> Result<()> {
    match of {
        Tagged::Instance(name) => {
            let mut found = instance::get(tx, name)?;
            found.tags = tags;
            tx.put(&INSTANCES, &found)?;
        }
        Tagged::SubnetGroup(name) => {
            let mut found = subnet_group::get(tx, name)?;
            found.tags = tags;
            tx.put(&SUBNET_GROUPS, &found)?;
        }
        Tagged::ParameterGroup(name) => {
            let mut found = parameter_group::get(tx, name)?;
            found.tags = tags;
            tx.put(&PARAMETER_GROUPS, &found)?;
        }
        Tagged::Snapshot(name) => {
            let mut found = snapshot::get(tx, name)?;
            found.tags = tags;
            tx.put(&SNAPSHOTS, &found)?;
        }
    }
    Ok(())
}

/// Adds tags, or gives them other values.
///
/// AWS: AddTagsToResource.
pub(crate) async fn add_tags_to_resource(
    ctx: Ctx,
    input: AddTagsToResourceInput,
) -> Result<AddTagsToResourceOutput> {
    let of = parse(&ctx, &input.resource_name)?;
    let added = from(&ctx, &input.tags)?;
    let change = |tx: &mut WriteTx<'_>| -> Result<()> {
        let mut tags = read(tx, &of)?;
        tags.extend(added.clone());
        kernel::tags::check(&tags, Some("rds")).map_err(|error| Error::value(error.to_string()))?;
        write(tx, &of, tags)
    };
    ctx.store.write(change).await?;
    Ok(AddTagsToResourceOutput {})
}

/// Tells a resource's tags.
///
/// AWS: ListTagsForResource.
pub(crate) async fn list_tags_for_resource(
    ctx: Ctx,
    input: ListTagsForResourceInput,
) -> Result<ListTagsForResourceOutput> {
    refuse(&[("Filters", !input.filters.is_empty())])?;
    let of = parse(&ctx, &input.resource_name)?;
    let tags = ctx.store.read(|tx| read(tx, &of)).await?;
    Ok(ListTagsForResourceOutput { tag_list: shown(&tags) })
}

/// Removes tags; those that are not there are no error.
///
/// AWS: RemoveTagsFromResource.
pub(crate) async fn remove_tags_from_resource(
    ctx: Ctx,
    input: RemoveTagsFromResourceInput,
) -> Result<RemoveTagsFromResourceOutput> {
    let of = parse(&ctx, &input.resource_name)?;
    let change = |tx: &mut WriteTx<'_>| -> Result<()> {
        let mut tags = read(tx, &of)?;
        tags.retain(|key, _| !input.tag_keys.contains(key));
        write(tx, &of, tags)
    };
    ctx.store.write(change).await?;
    Ok(RemoveTagsFromResourceOutput {})
}

/// The tags of the resource with this ARN, for `aws:ResourceTag` conditions.
pub(crate) async fn of_arn(ctx: Ctx, arn: String) -> Result<Tags, ServiceError> {
    let Ok(of) = parse(&ctx, &arn) else { return Ok(Tags::new()) };
    match ctx.store.read(|tx| read(tx, &of)).await {
        Ok(tags) => Ok(tags),
        Err(error @ (Error::Store(_) | Error::Inside(_))) => Err(error.into()),
        Err(_) => Ok(Tags::new()),
    }
}
