//! Subnets: slices of a VPC's blocks, each in one zone.

use base::{Cidr, ResourceId, Tags, Zone};
use ec2_api::{
    CreateSubnetInput, CreateSubnetOutput, DeleteSubnetInput, DeleteSubnetOutput,
    DescribeSubnetsInput, DescribeSubnetsOutput, HostnameType, ModifySubnetAttributeInput,
    ModifySubnetAttributeOutput, PrivateDnsNameOptionsOnLaunch, SubnetState,
};
use kernel::quota::Quota;
use store::{ReadTx, WriteTx};

use super::store::{INTERFACES_BY_SUBNET, SUBNETS, SUBNETS_BY_VPC, Subnet, Vpc};
use super::{default_vpc, vpc};
use crate::Ctx;
use crate::error::{Error, Result, refuse};
use crate::listing::{self, Asked, Field};
use crate::maker::Maker;
use crate::{region, tags};

/// Subnets per VPC.
///
/// AWS: "Amazon VPC quotas".
const SUBNETS_MAX: Quota = Quota { service: "vpc", code: "L-407747CB", default: 200 };
/// How many addresses of a subnet are never leased: the network, the router, DNS, one for later
/// use, and the last.
///
/// AWS: "Subnet CIDR blocks".
const RESERVED: u64 = 5;
/// The largest and the smallest subnet, by prefix length.
///
/// AWS: "Subnet CIDR blocks".
const PREFIXES: std::ops::RangeInclusive<u8> = 16..=28;

/// What a new subnet is to be.
pub(crate) struct NewSubnet<'a> {
    pub(crate) vpc: &'a Vpc,
    pub(crate) zone: Zone,
    pub(crate) cidr: Cidr,
    pub(crate) is_default: bool,
    pub(crate) tags: Tags,
}

/// Makes a subnet in a block that is free.
pub(crate) fn make(tx: &mut WriteTx<'_>, maker: Maker<'_>, new: NewSubnet<'_>) -> Result<Subnet> {
    let NewSubnet { vpc, zone, cidr, is_default, tags } = new;
    let subnet = Subnet {
        id: maker.id("subnet"),
        vpc: vpc.id.clone(),
        zone,
        cidr,
        default_for_az: is_default,
        map_public_ip: is_default,
        resource_names: false,
        resource_name_a_record: false,
        acl: vpc.default_acl.clone(),
        acl_association: maker.id("aclassoc"),
        route_table: None,
    };
    tx.put(&SUBNETS, &subnet)?;
    tags::begin(tx, &subnet.id, "subnet", &tags)?;
    Ok(subnet)
}

/// The subnet called `id`.
pub(crate) fn get(tx: &ReadTx<'_>, id: &str) -> Result<Subnet> {
    let parsed = ResourceId::parse("subnet", id);
    let found = parsed.map(|id| tx.get(&SUBNETS, &id)).transpose()?.flatten();
    found.ok_or_else(|| Error::SubnetNotFound(id.to_owned()))
}

/// Makes a subnet.
///
/// AWS: CreateSubnet.
pub(crate) async fn create_subnet(
    ctx: Ctx,
    input: CreateSubnetInput,
) -> Result<CreateSubnetOutput> {
    refuse(&[
        ("Ipv6CidrBlock", input.ipv6_cidr_block.is_some()),
        ("OutpostArn", input.outpost_arn.is_some()),
        ("Ipv6Native", input.ipv6_native == Some(true)),
        ("Ipv4IpamPoolId", input.ipv4_ipam_pool_id.is_some()),
        ("Ipv4NetmaskLength", input.ipv4_netmask_length.is_some()),
        ("Ipv6IpamPoolId", input.ipv6_ipam_pool_id.is_some()),
        ("Ipv6NetmaskLength", input.ipv6_netmask_length.is_some()),
    ])?;
    let tags = tags::specified(&ctx, &input.tag_specifications, &["subnet"], "subnet")?;
    let text = input.cidr_block.as_deref();
    let text = text.ok_or_else(|| {
        Error::MissingInput(
            "Either 'cidrBlock' or 'ipv4NetmaskLength' should be provided.".to_owned(),
        )
    })?;
    let cidr = vpc::cidr_from(text, "cidrBlock")?;
    let (name, id) = (input.availability_zone.as_deref(), input.availability_zone_id.as_deref());
    let zone = region::zone_from(&ctx.region, name, id)?;
    let limit = SUBNETS_MAX.value(ctx.store.store(), ctx.store.scope()).await?;
    let write = |tx: &mut WriteTx<'_>| {
        let vpc = vpc::get(tx, &input.vpc_id)?;
        let inside = vpc.blocks.iter().any(|block| block.cidr.contains_block(&cidr));
        if !PREFIXES.contains(&cidr.prefix()) || !inside {
            return Err(Error::SubnetRange(cidr.to_string()));
        }
        let others = tx.find(&SUBNETS_BY_VPC, &vpc.id)?;
        if others.iter().any(|other| other.cidr.overlaps(&cidr)) {
            return Err(Error::SubnetConflict(cidr.to_string()));
        }
        if others.len() as u64 >= limit {
            return Err(Error::SubnetLimitExceeded);
        }
        let (zone, tags) = (zone.clone(), tags.clone());
        let new = NewSubnet { vpc: &vpc, zone, cidr, is_default: false, tags };
        let subnet = make(tx, Maker::of(&ctx), new)?;
        described(tx, &ctx, &subnet)
    };
    let subnet = ctx.store.write(write).await?;
    Ok(CreateSubnetOutput { subnet: Some(subnet) })
}

/// Removes a subnet that no interface is in.
///
/// AWS: DeleteSubnet.
pub(crate) async fn delete_subnet(
    ctx: Ctx,
    input: DeleteSubnetInput,
) -> Result<DeleteSubnetOutput> {
    let write = |tx: &mut WriteTx<'_>| {
        let subnet = get(tx, &input.subnet_id)?;
        if !tx.find(&INTERFACES_BY_SUBNET, &subnet.id)?.is_empty() {
            return Err(Error::DependencyViolation(format!(
                "The subnet '{}' has dependencies and cannot be deleted.",
                subnet.id
            )));
        }
        tx.delete(&SUBNETS, &subnet.id)?;
        tags::end(tx, &subnet.id)
    };
    ctx.store.write(write).await?;
    Ok(DeleteSubnetOutput {})
}

/// Changes one attribute of a subnet.
///
/// AWS: ModifySubnetAttribute.
pub(crate) async fn modify_subnet_attribute(
    ctx: Ctx,
    input: ModifySubnetAttributeInput,
) -> Result<ModifySubnetAttributeOutput> {
    let value = |given: &Option<ec2_api::AttributeBooleanValue>| {
        given.as_ref().and_then(|attribute| attribute.value)
    };
    let on = |given| value(given) == Some(true);
    refuse(&[
        ("AssignIpv6AddressOnCreation", on(&input.assign_ipv6_address_on_creation)),
        ("MapCustomerOwnedIpOnLaunch", on(&input.map_customer_owned_ip_on_launch)),
        ("CustomerOwnedIpv4Pool", input.customer_owned_ipv4_pool.is_some()),
        ("EnableDns64", on(&input.enable_dns64)),
        (
            "EnableResourceNameDnsAAAARecordOnLaunch",
            on(&input.enable_resource_name_dns_aaaa_record_on_launch),
        ),
        ("EnableLniAtDeviceIndex", input.enable_lni_at_device_index.is_some()),
        ("DisableLniAtDeviceIndex", on(&input.disable_lni_at_device_index)),
    ])?;
    let map_public_ip = value(&input.map_public_ip_on_launch);
    let a_record = value(&input.enable_resource_name_dns_a_record_on_launch);
    let hostnames = input.private_dns_hostname_type_on_launch;
    let given = [map_public_ip.is_some(), a_record.is_some(), hostnames.is_some()];
    if given.iter().filter(|given| **given).count() > 1 {
        return Err(Error::InvalidParameterCombination(
            "Only one attribute can be modified at a time".to_owned(),
        ));
    }
    let write = |tx: &mut WriteTx<'_>| {
        let mut subnet = get(tx, &input.subnet_id)?;
        subnet.map_public_ip = map_public_ip.unwrap_or(subnet.map_public_ip);
        subnet.resource_name_a_record = a_record.unwrap_or(subnet.resource_name_a_record);
        if let Some(kind) = hostnames {
            subnet.resource_names = kind == HostnameType::ResourceName;
        }
        Ok::<_, Error>(tx.put(&SUBNETS, &subnet)?)
    };
    ctx.store.write(write).await?;
    Ok(ModifySubnetAttributeOutput {})
}

const FIELDS: &[Field<ec2_api::Subnet>] = &[
    ("availability-zone", |subnet| listing::text(subnet.availability_zone.as_ref())),
    ("availabilityZone", |subnet| listing::text(subnet.availability_zone.as_ref())),
    ("availability-zone-id", |subnet| listing::text(subnet.availability_zone_id.as_ref())),
    ("availabilityZoneId", |subnet| listing::text(subnet.availability_zone_id.as_ref())),
    ("available-ip-address-count", |subnet| listing::shown(subnet.available_ip_address_count)),
    ("cidr", |subnet| listing::text(subnet.cidr_block.as_ref())),
    ("cidr-block", |subnet| listing::text(subnet.cidr_block.as_ref())),
    ("cidrBlock", |subnet| listing::text(subnet.cidr_block.as_ref())),
    ("default-for-az", |subnet| listing::shown(subnet.default_for_az)),
    ("defaultForAz", |subnet| listing::shown(subnet.default_for_az)),
    ("enable-dns64", |subnet| listing::shown(subnet.enable_dns64)),
    ("ipv6-cidr-block-association.ipv6-cidr-block", |_| Vec::new()),
    ("ipv6-cidr-block-association.association-id", |_| Vec::new()),
    ("ipv6-cidr-block-association.state", |_| Vec::new()),
    ("ipv6-native", |subnet| listing::shown(subnet.ipv6_native)),
    ("map-public-ip-on-launch", |subnet| listing::shown(subnet.map_public_ip_on_launch)),
    ("outpost-arn", |_| Vec::new()),
    ("owner-id", |subnet| listing::text(subnet.owner_id.as_ref())),
    ("private-dns-name-options-on-launch.hostname-type", |subnet| {
        let options = subnet.private_dns_name_options_on_launch.as_ref();
        listing::shown(options.and_then(|options| options.hostname_type))
    }),
    ("private-dns-name-options-on-launch.enable-resource-name-dns-a-record", |subnet| {
        let options = subnet.private_dns_name_options_on_launch.as_ref();
        listing::shown(options.and_then(|options| options.enable_resource_name_dns_a_record))
    }),
    ("state", |subnet| listing::shown(subnet.state)),
    ("subnet-arn", |subnet| listing::text(subnet.subnet_arn.as_ref())),
    ("subnet-id", |subnet| listing::text(subnet.subnet_id.as_ref())),
    ("vpc-id", |subnet| listing::text(subnet.vpc_id.as_ref())),
];

/// Tells the account's subnets.
///
/// AWS: DescribeSubnets.
pub(crate) async fn describe_subnets(
    ctx: Ctx,
    input: DescribeSubnetsInput,
) -> Result<DescribeSubnetsOutput> {
    default_vpc::ensure(&ctx).await?;
    let read = |tx: &ReadTx<'_>| {
        let all = tx.scan(&SUBNETS, ())?;
        all.iter().map(|subnet| described(tx, &ctx, subnet)).collect::<Result<Vec<_>>>()
    };
    let all = ctx.store.read(read).await?;
    let id = |subnet: &ec2_api::Subnet| subnet.subnet_id.clone().unwrap_or_default();
    let all = listing::named(
        all,
        &input.subnet_ids,
        |subnet| subnet.subnet_id.as_deref().unwrap_or_default(),
        Error::SubnetNotFound,
    )?;
    let all = listing::select(all, &input.filters, FIELDS, |subnet| &subnet.tags)?;
    let asked = Asked {
        ids: &input.subnet_ids,
        max_results: input.max_results,
        next_token: input.next_token.as_deref(),
    };
    let (subnets, next_token) = listing::page(all, asked, id)?;
    Ok(DescribeSubnetsOutput { subnets, next_token })
}

/// How many addresses can still be leased.
pub(crate) fn available(tx: &ReadTx<'_>, subnet: &Subnet) -> Result<u64> {
    let interfaces = tx.find(&INTERFACES_BY_SUBNET, &subnet.id)?;
    let used: usize = interfaces.iter().map(|interface| interface.addresses.len()).sum();
    Ok(subnet.cidr.size().saturating_sub(RESERVED).saturating_sub(used as u64))
}

/// A subnet as it is answered.
pub(crate) fn described(tx: &ReadTx<'_>, ctx: &Ctx, subnet: &Subnet) -> Result<ec2_api::Subnet> {
    let kind =
        if subnet.resource_names { HostnameType::ResourceName } else { HostnameType::IpName };
    Ok(ec2_api::Subnet {
        subnet_id: Some(subnet.id.to_string()),
        subnet_arn: Some(ctx.arn("ec2", format!("subnet/{}", subnet.id)).to_string()),
        owner_id: Some(ctx.account.to_string()),
        vpc_id: Some(subnet.vpc.to_string()),
        state: Some(SubnetState::Available),
        availability_zone: Some(subnet.zone.to_string()),
        availability_zone_id: Some(subnet.zone.zone_id()),
        cidr_block: Some(subnet.cidr.to_string()),
        available_ip_address_count: i32::try_from(available(tx, subnet)?).ok(),
        default_for_az: Some(subnet.default_for_az),
        map_public_ip_on_launch: Some(subnet.map_public_ip),
        map_customer_owned_ip_on_launch: Some(false),
        assign_ipv6_address_on_creation: Some(false),
        enable_dns64: Some(false),
        ipv6_native: Some(false),
        private_dns_name_options_on_launch: Some(PrivateDnsNameOptionsOnLaunch {
            hostname_type: Some(kind),
            enable_resource_name_dns_a_record: Some(subnet.resource_name_a_record),
            enable_resource_name_dns_aaaa_record: Some(false),
        }),
        tags: tags::wire_of(tx, &subnet.id)?,
        ..ec2_api::Subnet::default()
    })
}
