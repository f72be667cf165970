//! Cache subnet groups.

use elasticache_api::{
    AvailabilityZone, CacheSubnetGroup, CreateCacheSubnetGroupInput, CreateCacheSubnetGroupOutput,
    DeleteCacheSubnetGroupInput, DeleteCacheSubnetGroupOutput, DescribeCacheSubnetGroupsInput,
    DescribeCacheSubnetGroupsOutput, ModifyCacheSubnetGroupInput, ModifyCacheSubnetGroupOutput,
    NetworkType, Subnet,
};
use kernel::quota::Quota;
use nodes::{GroupSubnet, interface};
use store::{ReadTx, Scope, WriteTx};

use crate::error::{Error, Result};
use crate::store::{CACHES, SUBNET_GROUPS, SubnetGroup};
use crate::{Ctx, NETWORK, endpoint, listing, tags};

/// The group of the default VPC.
const DEFAULT: &str = "default";

/// cache subnet groups per region.
///
/// AWS: "Quotas for ElastiCache", subnet groups per Region.
const GROUPS_MAX: Quota = Quota { service: "elasticache", code: "L-A3A8B4EB", default: 150 };

/// The group called `name`.
pub(crate) fn get(tx: &ReadTx<'_>, name: &str) -> Result<SubnetGroup> {
    let found = tx.get(&SUBNET_GROUPS, name.to_ascii_lowercase())?;
    found.ok_or_else(|| Error::SubnetGroupNotFound(name.to_owned()))
}

/// The group for a new cache: the one that is named, or that of the default VPC.
pub(crate) async fn for_cache(ctx: &Ctx, name: Option<&str>) -> Result<SubnetGroup> {
    if let Some(name) = name.filter(|name| *name != DEFAULT) {
        return ctx.store.read(|tx| get(tx, name)).await;
    }
    let (vpc, subnets) = NETWORK.default_vpc(&ctx.client).await?;
    let group = SubnetGroup {
        name: DEFAULT.to_owned(),
        description: DEFAULT.to_owned(),
        vpc,
        subnets,
        tags: base::Tags::new(),
    };
    ctx.store.write(|tx| tx.put(&SUBNET_GROUPS, &group)).await?;
    Ok(group)
}

/// Checks a group's name and gives it in lower case.
///
/// AWS: CreateCacheSubnetGroup, `CacheSubnetGroupName`.
fn name_from(text: &str) -> Result<String> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    let starts = text.starts_with(|c: char| c.is_ascii_alphanumeric());
    if !starts || text.len() > 255 || !text.chars().all(allowed) || text == DEFAULT {
        return Err(Error::value(
            "The parameter CacheSubnetGroupName must contain no more than 255 letters, numbers, \
             periods, underscores, or hyphens, and must not be Default.",
        ));
    }
    Ok(text.to_ascii_lowercase())
}

/// A group as clients see it.
pub(crate) fn view(scope: &Scope, group: &SubnetGroup) -> CacheSubnetGroup {
    let subnet = |subnet: &GroupSubnet| Subnet {
        subnet_identifier: Some(subnet.id.clone()),
        subnet_availability_zone: Some(AvailabilityZone { name: Some(subnet.zone.to_string()) }),
        subnet_outpost: None,
        supported_network_types: vec![NetworkType::Ipv4],
    };
    CacheSubnetGroup {
        cache_subnet_group_name: Some(group.name.clone()),
        cache_subnet_group_description: Some(group.description.clone()),
        vpc_id: Some(group.vpc.to_string()),
        subnets: group.subnets.iter().map(subnet).collect(),
        arn: Some(endpoint::arn(scope, "subnetgroup", &group.name)),
        supported_network_types: vec![NetworkType::Ipv4],
    }
}

/// Makes a cache subnet group.
///
/// AWS: CreateCacheSubnetGroup.
pub(crate) async fn create_cache_subnet_group(
    ctx: Ctx,
    input: CreateCacheSubnetGroupInput,
) -> Result<CreateCacheSubnetGroupOutput> {
    let name = name_from(&input.cache_subnet_group_name)?;
    let (vpc, subnets) = interface::subnets(&ctx.client, &input.subnet_ids).await?;
    let limit = GROUPS_MAX.value(ctx.store.store(), ctx.store.scope()).await?;
    let group = SubnetGroup {
        name,
        description: input.cache_subnet_group_description,
        vpc,
        subnets,
        tags: tags::from(&ctx, &input.tags)?,
    };
    let write = |tx: &mut WriteTx<'_>| -> Result<()> {
        if tx.contains(&SUBNET_GROUPS, &group.name)? {
            return Err(Error::SubnetGroupAlreadyExists(group.name.clone()));
        }
        let count = tx.scan(&SUBNET_GROUPS, ())?.len();
        if u64::try_from(count).unwrap_or(u64::MAX) >= limit {
            return Err(Error::SubnetGroupQuotaExceeded(limit));
        }
        tx.put(&SUBNET_GROUPS, &group)?;
        Ok(())
    };
    ctx.store.write(write).await?;
    let shown = view(ctx.store.scope(), &group);
    Ok(CreateCacheSubnetGroupOutput { cache_subnet_group: Some(shown) })
}

/// Tells the account's cache subnet groups.
///
/// AWS: DescribeCacheSubnetGroups.
pub(crate) async fn describe_cache_subnet_groups(
    ctx: Ctx,
    input: DescribeCacheSubnetGroupsInput,
) -> Result<DescribeCacheSubnetGroupsOutput> {
    let all = match &input.cache_subnet_group_name {
        Some(name) => vec![ctx.store.read(|tx| get(tx, name)).await?],
        None => ctx.store.read(|tx| tx.scan(&SUBNET_GROUPS, ())).await?,
    };
    let (page, marker) =
        listing::page(all, input.marker.as_deref(), input.max_records, |one| one.name.clone())?;
    let shown = page.iter().map(|group| view(ctx.store.scope(), group)).collect();
    Ok(DescribeCacheSubnetGroupsOutput { marker, cache_subnet_groups: shown })
}

/// Changes a group's subnets or description. Subnets that a node lies in must stay.
///
/// AWS: ModifyCacheSubnetGroup.
pub(crate) async fn modify_cache_subnet_group(
    ctx: Ctx,
    input: ModifyCacheSubnetGroupInput,
) -> Result<ModifyCacheSubnetGroupOutput> {
    let wanted = match input.subnet_ids.as_slice() {
        [] => None,
        ids => Some(interface::subnets(&ctx.client, ids).await?),
    };
    let write = |tx: &mut WriteTx<'_>| -> Result<SubnetGroup> {
        let mut group = get(tx, &input.cache_subnet_group_name)?;
        if let Some((vpc, subnets)) = &wanted {
            if group.vpc != *vpc {
                return Err(Error::InvalidSubnet(
                    "The new subnets are not in the VPC of the existing subnet group.".to_owned(),
                ));
            }
            let kept = |id: &String| subnets.iter().any(|subnet| subnet.id == *id);
            for cache in tx.scan(&CACHES, ())? {
                let of_group = cache.subnet_group == group.name;
                if let Some(node) = cache.nodes.iter().find(|node| of_group && !kept(&node.subnet))
                {
                    return Err(Error::SubnetInUse(node.subnet.clone()));
                }
            }
            group.subnets.clone_from(subnets);
        }
        if let Some(description) = &input.cache_subnet_group_description {
            group.description.clone_from(description);
        }
        tx.put(&SUBNET_GROUPS, &group)?;
        Ok(group)
    };
    let group = ctx.store.write(write).await?;
    let shown = view(ctx.store.scope(), &group);
    Ok(ModifyCacheSubnetGroupOutput { cache_subnet_group: Some(shown) })
}

/// Removes a group that no cache uses.
///
/// AWS: DeleteCacheSubnetGroup.
pub(crate) async fn delete_cache_subnet_group(
    ctx: Ctx,
    input: DeleteCacheSubnetGroupInput,
) -> Result<DeleteCacheSubnetGroupOutput> {
    let write = |tx: &mut WriteTx<'_>| -> Result<()> {
        let group = get(tx, &input.cache_subnet_group_name)?;
        if tx.scan(&CACHES, ())?.iter().any(|cache| cache.subnet_group == group.name) {
            return Err(Error::SubnetGroupInUse(group.name));
        }
        tx.delete(&SUBNET_GROUPS, &group.name)?;
        Ok(())
    };
    ctx.store.write(write).await?;
    Ok(DeleteCacheSubnetGroupOutput {})
}
