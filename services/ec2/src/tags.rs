//! Tags of every resource of the service. A row per resource is written when the resource is made
//! and removed with it, empty or not: it is what tells that an id may be tagged.

use base::Tags;
use ec2_api::{
    CreateTagsInput, CreateTagsOutput, DeleteTagsInput, DeleteTagsOutput, DescribeTagsInput,
    DescribeTagsOutput, Tag, TagDescription, TagSpecification,
};
use kernel::{Service, ServiceError};
use serde::{Deserialize, Serialize};
use store::{ReadTx, Record, Table, WriteTx};

use crate::error::{Error, Result};
use crate::listing::{self, Asked, Field};
use crate::{Ctx, Drivers};

/// The tags of a resource.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Tagged {
    resource: String,
    /// As `vpc` or `network-interface`.
    kind: String,
    tags: Tags,
}

impl Record for Tagged {
    type Key = String;

    fn key(&self) -> String {
        self.resource.clone()
    }
}

pub(crate) const TAGS: Table<Tagged> = Table::new("ec2.tags");

/// The most resources that one call may tag.
///
/// AWS: CreateTags.
const RESOURCES_MAX: usize = 1000;

pub(crate) fn register(service: Service<Drivers>) -> Service<Drivers> {
    service
        .operation(create_tags)
        .operation(delete_tags)
        .operation(describe_tags)
        .resource_tags(of_arn)
}

/// The tags of the resource that `arn` names, for `aws:ResourceTag` conditions.
async fn of_arn(ctx: Ctx, arn: String) -> std::result::Result<Tags, ServiceError> {
    let id = arn.rsplit('/').next().unwrap_or_default().to_owned();
    Ok(ctx.store.read(|tx| of(tx, &id)).await?)
}

/// Begins the tags of a new resource of `kind`.
pub(crate) fn begin(
    tx: &mut WriteTx<'_>,
    resource: impl ToString,
    kind: &str,
    tags: &Tags,
) -> Result<()> {
    let row = Tagged { resource: resource.to_string(), kind: kind.to_owned(), tags: tags.clone() };
    Ok(tx.put(&TAGS, &row)?)
}

/// Ends the tags of a resource that goes.
pub(crate) fn end(tx: &mut WriteTx<'_>, resource: impl ToString) -> Result<()> {
    tx.delete(&TAGS, resource.to_string())?;
    Ok(())
}

/// The tags of a resource.
pub(crate) fn of(tx: &ReadTx<'_>, resource: impl ToString) -> Result<Tags> {
    Ok(tx.get(&TAGS, resource.to_string())?.map(|row| row.tags).unwrap_or_default())
}

/// The tags of a resource as they are answered.
pub(crate) fn wire_of(tx: &ReadTx<'_>, resource: impl ToString) -> Result<Vec<Tag>> {
    Ok(to_wire(&of(tx, resource)?))
}

/// Tags as they are answered.
pub(crate) fn to_wire(tags: &Tags) -> Vec<Tag> {
    let tag = |(key, value): (&String, &String)| Tag {
        key: Some(key.clone()),
        value: Some(value.clone()),
    };
    tags.iter().map(tag).collect()
}

/// Tags as they were asked for or answered.
pub(crate) fn from_wire(tags: &[Tag]) -> Tags {
    let pair =
        |tag: &Tag| (tag.key.clone().unwrap_or_default(), tag.value.clone().unwrap_or_default());
    tags.iter().map(pair).collect()
}

/// The tags that `specifications` give to a resource of `kind`. `kinds` are all that the
/// operation makes; another is refused.
pub(crate) fn specified(
    ctx: &Ctx,
    specifications: &[TagSpecification],
    kinds: &[&str],
    kind: &str,
) -> Result<Tags> {
    let mut tags = Tags::new();
    for specification in specifications {
        let named = specification
            .resource_type
            .as_deref()
            .ok_or_else(|| Error::value("Tag specification resource type must have a value"))?;
        if !kinds.contains(&named) {
            return Err(Error::value(format!(
                "'{named}' is not a valid taggable resource type for this operation."
            )));
        }
        if named == kind {
            tags.extend(checked(ctx, &specification.tags)?);
        }
    }
    Ok(tags)
}

fn checked(ctx: &Ctx, tags: &[Tag]) -> Result<Tags> {
    if tags.iter().any(|tag| tag.key.is_none()) {
        return Err(Error::missing("Tag.Key"));
    }
    let wanted = from_wire(tags);
    if wanted.len() != tags.len() {
        return Err(Error::value(
            "Duplicate tag keys found. Please note that Tag keys are case insensitive.".to_owned(),
        ));
    }
    kernel::tags::check(&wanted, ctx.caller.invoked_by.as_deref())?;
    Ok(wanted)
}

fn known(tx: &WriteTx<'_>, resource: &str) -> Result<Tagged> {
    tx.get(&TAGS, resource)?.ok_or_else(|| not_found(resource))
}

fn not_found(resource: &str) -> Error {
    let id = resource.to_owned();
    match resource.split_once('-').map(|(prefix, _)| prefix) {
        Some("vpc") => Error::VpcNotFound(id),
        Some("subnet") => Error::SubnetNotFound(id),
        Some("igw") => Error::InternetGatewayNotFound(id),
        Some("nat") => Error::NatGatewayNotFound(id),
        Some("rtb") => Error::RouteTableNotFound(id),
        Some("eni") => Error::InterfaceNotFound(id),
        Some("eipalloc") => Error::AllocationNotFound(id),
        Some("sg") => Error::GroupNotFound(id),
        Some("sgr") => Error::RuleIdNotFound(id),
        Some("acl") => Error::NetworkAclNotFound(id),
        Some("dopt") => Error::DhcpOptionsNotFound(id),
        Some("i") => Error::InstanceNotFound(id),
        Some("ami") => Error::ImageNotFound(id),
        Some("vol") => Error::VolumeNotFound(id),
        Some("snap") => Error::SnapshotNotFound(id),
        Some("key") => Error::KeyPairIdNotFound(id),
        Some("lt") => Error::LaunchTemplateIdNotFound(id),
        _ => Error::InvalidId(id),
    }
}

/// Adds tags to resources, or gives those that they have another value.
///
/// AWS: CreateTags.
pub(crate) async fn create_tags(ctx: Ctx, input: CreateTagsInput) -> Result<CreateTagsOutput> {
    let wanted = checked(&ctx, &input.tags)?;
    require_few(&input.resources)?;
    let write = |tx: &mut WriteTx<'_>| {
        for resource in &input.resources {
            let mut row = known(tx, resource)?;
            row.tags.extend(wanted.clone());
            kernel::tags::check(&row.tags, Some("tags that were there before"))?;
            tx.put(&TAGS, &row)?;
        }
        Ok::<_, Error>(())
    };
    ctx.store.write(write).await?;
    Ok(CreateTagsOutput {})
}

/// Takes tags from resources: all of a resource's own, those of a key, or those of a key and value.
///
/// AWS: DeleteTags.
pub(crate) async fn delete_tags(ctx: Ctx, input: DeleteTagsInput) -> Result<DeleteTagsOutput> {
    require_few(&input.resources)?;
    if input.tags.iter().any(|tag| tag.key.is_none()) {
        return Err(Error::missing("Tag.Key"));
    }
    let inside = ctx.caller.invoked_by.is_some();
    let reserved = |key: &str| kernel::tags::is_reserved(key) && !inside;
    if let Some(tag) = input.tags.iter().find(|tag| tag.key.as_deref().is_some_and(reserved)) {
        return Err(Error::value(format!(
            "Tag keys starting with 'aws:' are reserved for internal use: {}",
            tag.key.as_deref().unwrap_or_default()
        )));
    }
    let goes = |key: &String, value: &String| {
        let matches = |tag: &Tag| {
            tag.key.as_ref() == Some(key) && tag.value.as_ref().is_none_or(|named| named == value)
        };
        if input.tags.is_empty() { !reserved(key) } else { input.tags.iter().any(matches) }
    };
    let write = |tx: &mut WriteTx<'_>| {
        for resource in &input.resources {
            let mut row = known(tx, resource)?;
            row.tags.retain(|key, value| !goes(key, value));
            tx.put(&TAGS, &row)?;
        }
        Ok::<_, Error>(())
    };
    ctx.store.write(write).await?;
    Ok(DeleteTagsOutput {})
}

fn require_few(resources: &[String]) -> Result<()> {
    if resources.len() > RESOURCES_MAX {
        return Err(Error::value(format!(
            "The maximum number of resources for a request is {RESOURCES_MAX}."
        )));
    }
    Ok(())
}

const FIELDS: &[Field<TagDescription>] = &[
    ("key", |tag| listing::text(tag.key.as_ref())),
    ("value", |tag| listing::text(tag.value.as_ref())),
    ("resource-id", |tag| listing::text(tag.resource_id.as_ref())),
    ("resource-type", |tag| listing::text(tag.resource_type.as_ref())),
];

/// Tells the tags of the account's resources.
///
/// AWS: DescribeTags.
pub(crate) async fn describe_tags(
    ctx: Ctx,
    input: DescribeTagsInput,
) -> Result<DescribeTagsOutput> {
    let rows = ctx.store.read(|tx| tx.scan(&TAGS, ())).await?;
    let described = rows.into_iter().flat_map(|row| {
        let Tagged { resource, kind, tags } = row;
        tags.into_iter().map(move |(key, value)| TagDescription {
            key: Some(key),
            value: Some(value),
            resource_id: Some(resource.clone()),
            resource_type: Some(kind.clone()),
        })
    });
    // `tag:…` filters look at the resource's tags in other operations; here at the tag itself.
    let of_itself: fn(&TagDescription) -> &[Tag] = |_| &[];
    let (by_tag, filters): (Vec<_>, Vec<_>) = input
        .filters
        .into_iter()
        .partition(|filter| filter.name.as_deref().is_some_and(|name| name.starts_with("tag:")));
    let mut tags = listing::select(described.collect(), &filters, FIELDS, of_itself)?;
    for filter in by_tag {
        let key = filter.name.as_deref().and_then(|name| name.strip_prefix("tag:"));
        tags.retain(|tag| {
            let value = tag.value.as_deref().unwrap_or_default();
            tag.key.as_deref() == key
                && filter.values.iter().any(|p| kernel::filter::wildcard_matches(p, value))
        });
    }
    let asked =
        Asked { ids: &[], max_results: input.max_results, next_token: input.next_token.as_deref() };
    let key = |tag: &TagDescription| {
        let text = |value: &Option<String>| value.clone().unwrap_or_default();
        format!("{}\u{0}{}", text(&tag.resource_id), text(&tag.key))
    };
    let (tags, next_token) = listing::page(tags, asked, key)?;
    Ok(DescribeTagsOutput { tags, next_token })
}
