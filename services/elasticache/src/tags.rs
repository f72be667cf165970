//! Tags of ElastiCache resources, by their ARNs.

use base::Tags;
use elasticache_api::{
    AddTagsToResourceInput, AddTagsToResourceOutput, ListTagsForResourceInput,
    ListTagsForResourceOutput, RemoveTagsFromResourceInput, RemoveTagsFromResourceOutput, Tag,
};
use kernel::ServiceError;
use store::{ReadTx, WriteTx};

use crate::error::{Error, Result};
use crate::store::{CACHES, PARAMETER_GROUPS, SUBNET_GROUPS};
use crate::{Ctx, cache_cluster, endpoint, parameter_group, replication_group, subnet_group};

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
    Group(String),
    Cluster(String),
    SubnetGroup(String),
    ParameterGroup(String),
}

fn parse(ctx: &Ctx, arn: &str) -> Result<Tagged> {
    let invalid = || Error::InvalidArn(arn.to_owned());
    let own = endpoint::arn(ctx.store.scope(), "", "");
    let prefix = own.trim_end_matches(':');
    let rest = arn.strip_prefix(prefix).and_then(|rest| rest.strip_prefix(':'));
    let (kind, name) = rest.and_then(|rest| rest.split_once(':')).ok_or_else(invalid)?;
    let name = name.to_ascii_lowercase();
    match kind {
        "replicationgroup" => Ok(Tagged::Group(name)),
        "cluster" => Ok(Tagged::Cluster(name)),
        "subnetgroup" => Ok(Tagged::SubnetGroup(name)),
        "parametergroup" => Ok(Tagged::ParameterGroup(name)),
        _ => Err(invalid()),
    }
}

fn read(tx: &ReadTx<'_>, of: &Tagged) -> Result<Tags> {
    Ok(match of {
        Tagged::Group(name) => replication_group::get(tx, name)?.tags,
        Tagged::Cluster(name) => cache_cluster::get(tx, name)?.1.tags,
        Tagged::SubnetGroup(name) => subnet_group::get(tx, name)?.tags,
        Tagged::ParameterGroup(name) => parameter_group::get(tx, name)?.tags,
    })
}

/// Changes a resource's tags; those of a replication group on all its nodes too.
///
/// AWS: AddTagsToResource ("when you add or remove tags on replication groups, those actions are
/// replicated to all nodes in the group").
fn change(tx: &mut WriteTx<'_>, of: &Tagged, change: impl Fn(&mut Tags)) -> Result<()> {
    match of {
        Tagged::Group(name) => {
            let mut found = replication_group::get(tx, name)?;
            change(&mut found.tags);
            for node in &mut found.nodes {
                change(&mut node.tags);
            }
            tx.put(&CACHES, &found)?;
        }
        Tagged::Cluster(name) => {
            let (mut found, node) = cache_cluster::get(tx, name)?;
            for known in found.nodes.iter_mut().filter(|known| known.id == node.id) {
                change(&mut known.tags);
            }
            tx.put(&CACHES, &found)?;
        }
        Tagged::SubnetGroup(name) => {
            let mut found = subnet_group::get(tx, name)?;
            change(&mut found.tags);
            tx.put(&SUBNET_GROUPS, &found)?;
        }
        Tagged::ParameterGroup(name) => {
            let mut found = parameter_group::get_own(tx, name)?;
            change(&mut found.tags);
            tx.put(&PARAMETER_GROUPS, &found)?;
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
    let write = |tx: &mut WriteTx<'_>| -> Result<Tags> {
        let mut tags = read(tx, &of)?;
        tags.extend(added.clone());
        kernel::tags::check(&tags, Some("elasticache")).map_err(|_| Error::TagQuotaExceeded)?;
        change(tx, &of, |tags| tags.extend(added.clone()))?;
        Ok(tags)
    };
    let tags = ctx.store.write(write).await?;
    Ok(AddTagsToResourceOutput { tag_list: shown(&tags) })
}

/// Tells a resource's tags.
///
/// AWS: ListTagsForResource.
pub(crate) async fn list_tags_for_resource(
    ctx: Ctx,
    input: ListTagsForResourceInput,
) -> Result<ListTagsForResourceOutput> {
    let of = parse(&ctx, &input.resource_name)?;
    let tags = ctx.store.read(|tx| read(tx, &of)).await?;
    Ok(ListTagsForResourceOutput { tag_list: shown(&tags) })
}

/// Removes tags, which must be there.
///
/// AWS: RemoveTagsFromResource.
pub(crate) async fn remove_tags_from_resource(
    ctx: Ctx,
    input: RemoveTagsFromResourceInput,
) -> Result<RemoveTagsFromResourceOutput> {
    let of = parse(&ctx, &input.resource_name)?;
    let write = |tx: &mut WriteTx<'_>| -> Result<Tags> {
        let present = read(tx, &of)?;
        if let Some(key) = input.tag_keys.iter().find(|key| !present.contains_key(*key)) {
            return Err(Error::TagNotFound(key.clone()));
        }
        change(tx, &of, |tags| tags.retain(|key, _| !input.tag_keys.contains(key)))?;
        read(tx, &of)
    };
    let tags = ctx.store.write(write).await?;
    Ok(RemoveTagsFromResourceOutput { tag_list: shown(&tags) })
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
