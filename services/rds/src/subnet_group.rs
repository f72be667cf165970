//! DB subnet groups.

use std::collections::BTreeSet;

use kernel::quota::Quota;
use nodes::{GroupSubnet, interface};
use rds_api::{
    AvailabilityZone, CreateDBSubnetGroupInput, CreateDBSubnetGroupOutput, DBSubnetGroup,
    DeleteDBSubnetGroupInput, DeleteDBSubnetGroupOutput, DescribeDBSubnetGroupsInput,
    DescribeDBSubnetGroupsOutput, ModifyDBSubnetGroupInput, ModifyDBSubnetGroupOutput, Subnet,
};
use store::{ReadTx, Scope, ScopedStore, WriteTx};

use crate::error::{Error, Result, refuse};
use crate::store::{DbInstance, INSTANCES, SUBNET_GROUPS, SubnetGroup};
use crate::{Ctx, NETWORK, endpoint, listing, tags};

/// The group of the default VPC.
const DEFAULT: &str = "default";

/// DB subnet groups per region.
///
/// AWS: "Quotas and constraints for Amazon RDS".
const GROUPS_MAX: Quota = Quota { service: "rds", code: "L-48C6BF61", default: 50 };

/// The group called `name`.
pub(crate) fn get(tx: &ReadTx<'_>, name: &str) -> Result<SubnetGroup> {
    let found = tx.get(&SUBNET_GROUPS, name.to_ascii_lowercase())?;
    found.ok_or_else(|| Error::SubnetGroupNotFound(name.to_owned()))
}

/// The group of an instance.
pub(crate) async fn of_instance(store: &ScopedStore, instance: &DbInstance) -> Result<SubnetGroup> {
    store.read(|tx| get(tx, &instance.subnet_group)).await
}

/// The group for a new instance: the one that is named, or that of the default VPC.
pub(crate) async fn for_instance(ctx: &Ctx, name: Option<&str>) -> Result<SubnetGroup> {
    if let Some(name) = name.filter(|name| *name != DEFAULT) {
        return ctx.store.read(|tx| get(tx, name)).await;
    }
    let (vpc, subnets) = NETWORK.default_vpc(&ctx.client).await?;
    require_zones(&subnets)?;
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

fn require_zones(subnets: &[GroupSubnet]) -> Result<()> {
    let zones: BTreeSet<_> = subnets.iter().map(|subnet| &subnet.zone).collect();
    if zones.len() >= 2 {
        return Ok(());
    }
    let covered: Vec<_> = zones.iter().map(|zone| zone.as_str()).collect();
    Err(Error::SubnetGroupCoversTooFewZones(format!(
        "The DB subnet group doesn't meet Availability Zone (AZ) coverage requirement. Current AZ \
         coverage: {}. Add subnets to cover at least 2 AZs.",
        covered.join(", ")
    )))
}

/// Checks a group's name and gives it in lower case.
///
/// AWS: CreateDBSubnetGroup, `DBSubnetGroupName`.
fn name_from(text: &str) -> Result<String> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | ' ');
    let starts = text.starts_with(|c: char| c.is_ascii_alphabetic());
    if !starts || text.len() > 255 || !text.chars().all(allowed) || text == DEFAULT {
        return Err(Error::value(
            "The parameter DBSubnetGroupName must contain no more than 255 letters, numbers, \
             periods, underscores, spaces, or hyphens, start with a letter, and must not be \
             Default.",
        ));
    }
    Ok(text.to_ascii_lowercase())
}

/// A group as clients see it.
pub(crate) fn view(scope: &Scope, group: &SubnetGroup) -> DBSubnetGroup {
    let subnet = |subnet: &GroupSubnet| Subnet {
        subnet_identifier: Some(subnet.id.clone()),
        subnet_availability_zone: Some(AvailabilityZone { name: Some(subnet.zone.to_string()) }),
        subnet_status: Some("Active".to_owned()),
        ..Default::default()
    };
    DBSubnetGroup {
        db_subnet_group_name: Some(group.name.clone()),
        db_subnet_group_description: Some(group.description.clone()),
        vpc_id: Some(group.vpc.to_string()),
        subnet_group_status: Some("Complete".to_owned()),
        subnets: group.subnets.iter().map(subnet).collect(),
        db_subnet_group_arn: Some(endpoint::arn(scope, "subgrp", &group.name)),
        supported_network_types: vec!["IPV4".to_owned()],
    }
}

/// Makes a DB subnet group.
///
/// AWS: CreateDBSubnetGroup.
pub(crate) async fn create_db_subnet_group(
    ctx: Ctx,
    input: CreateDBSubnetGroupInput,
) -> Result<CreateDBSubnetGroupOutput> {
    let name = name_from(&input.db_subnet_group_name)?;
    let (vpc, subnets) = interface::subnets(&ctx.client, &input.subnet_ids).await?;
    require_zones(&subnets)?;
    let limit = GROUPS_MAX.value(ctx.store.store(), ctx.store.scope()).await?;
    let group = SubnetGroup {
        name,
        description: input.db_subnet_group_description,
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
    Ok(CreateDBSubnetGroupOutput { db_subnet_group: Some(shown) })
}

/// Tells the account's DB subnet groups.
///
/// AWS: DescribeDBSubnetGroups.
pub(crate) async fn describe_db_subnet_groups(
    ctx: Ctx,
    input: DescribeDBSubnetGroupsInput,
) -> Result<DescribeDBSubnetGroupsOutput> {
    refuse(&[("Filters", !input.filters.is_empty())])?;
    let all = match &input.db_subnet_group_name {
        Some(name) => vec![ctx.store.read(|tx| get(tx, name)).await?],
        None => ctx.store.read(|tx| tx.scan(&SUBNET_GROUPS, ())).await?,
    };
    let (page, marker) =
        listing::page(all, input.marker.as_deref(), input.max_records, |one| one.name.clone())?;
    let shown = page.iter().map(|group| view(ctx.store.scope(), group)).collect();
    Ok(DescribeDBSubnetGroupsOutput { marker, db_subnet_groups: shown })
}

/// Changes a group's subnets or description. Subnets that a node lies in must stay.
///
/// AWS: ModifyDBSubnetGroup.
pub(crate) async fn modify_db_subnet_group(
    ctx: Ctx,
    input: ModifyDBSubnetGroupInput,
) -> Result<ModifyDBSubnetGroupOutput> {
    let (vpc, subnets) = interface::subnets(&ctx.client, &input.subnet_ids).await?;
    require_zones(&subnets)?;
    let write = |tx: &mut WriteTx<'_>| -> Result<SubnetGroup> {
        let mut group = get(tx, &input.db_subnet_group_name)?;
        if group.vpc != vpc {
            return Err(Error::InvalidSubnet(
                "The new Subnets are not in the same Vpc as the existing subnet group".to_owned(),
            ));
        }
        for instance in tx.scan(&INSTANCES, ())? {
            let of_group = instance.subnet_group == group.name;
            let kept = |id: &String| subnets.iter().any(|subnet| subnet.id == *id);
            let lost = instance.nodes.iter().find(|node| of_group && !kept(&node.subnet));
            if let Some(node) = lost {
                return Err(Error::Inside(kernel::ServiceError::new(
                    "SubnetAlreadyInUse",
                    format!(
                        "Some of the subnets to be deleted are currently in use: {}",
                        node.subnet
                    ),
                )));
            }
        }
        group.subnets.clone_from(&subnets);
        if let Some(description) = &input.db_subnet_group_description {
            group.description.clone_from(description);
        }
        tx.put(&SUBNET_GROUPS, &group)?;
        Ok(group)
    };
    let group = ctx.store.write(write).await?;
    let shown = view(ctx.store.scope(), &group);
    Ok(ModifyDBSubnetGroupOutput { db_subnet_group: Some(shown) })
}

/// Removes a group that no instance uses.
///
/// AWS: DeleteDBSubnetGroup.
pub(crate) async fn delete_db_subnet_group(
    ctx: Ctx,
    input: DeleteDBSubnetGroupInput,
) -> Result<DeleteDBSubnetGroupOutput> {
    let write = |tx: &mut WriteTx<'_>| -> Result<()> {
        let group = get(tx, &input.db_subnet_group_name)?;
        let users = tx.scan(&INSTANCES, ())?;
        if let Some(user) = users.iter().find(|instance| instance.subnet_group == group.name) {
            return Err(Error::InvalidSubnetGroupState(format!(
                "Cannot delete the subnet group '{}' because at least one database instance: {} \
                 is still using it.",
                group.name, user.name
            )));
        }
        tx.delete(&SUBNET_GROUPS, &group.name)?;
        Ok(())
    };
    ctx.store.write(write).await?;
    Ok(DeleteDBSubnetGroupOutput {})
}
