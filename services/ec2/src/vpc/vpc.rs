//! VPCs, their blocks and attributes.

use base::{Cidr, ResourceId, Tags};
use ec2_api::{
    AssociateVpcCidrBlockInput, AssociateVpcCidrBlockOutput, AttributeBooleanValue, CreateVpcInput,
    CreateVpcOutput, DeleteVpcInput, DeleteVpcOutput, DescribeVpcAttributeInput,
    DescribeVpcAttributeOutput, DescribeVpcsInput, DescribeVpcsOutput,
    DisassociateVpcCidrBlockInput, DisassociateVpcCidrBlockOutput, ModifyVpcAttributeInput,
    ModifyVpcAttributeOutput, Tenancy, VpcAttributeName, VpcCidrBlockAssociation,
    VpcCidrBlockState, VpcCidrBlockStateCode, VpcState,
};
use kernel::quota::Quota;
use store::{ReadTx, WriteTx};

use super::store::{
    Block, DHCP_OPTIONS, INTERNET_GATEWAYS, NAT_GATEWAYS, NETWORK_ACLS, NETWORK_ACLS_BY_VPC,
    NatState, ROUTE_TABLES, ROUTE_TABLES_BY_VPC, RouteTable, SECURITY_GROUPS,
    SECURITY_GROUPS_BY_VPC, SUBNETS_BY_VPC, VPCS, Vpc,
};
use super::{default_vpc, network_acl, security_group};
use crate::Ctx;
use crate::error::{Error, Result, refuse};
use crate::listing::{self, Asked, Field};
use crate::maker::Maker;
use crate::tags;

/// VPCs per region.
///
/// AWS: "Amazon VPC quotas".
const VPCS_MAX: Quota = Quota { service: "vpc", code: "L-F678F1CE", default: 5 };
/// IPv4 blocks per VPC.
///
/// AWS: "Amazon VPC quotas".
const BLOCKS_MAX: Quota = Quota { service: "vpc", code: "L-83CA0A9D", default: 5 };
/// The largest and the smallest block, by prefix length.
///
/// AWS: "VPC CIDR blocks".
const PREFIXES: std::ops::RangeInclusive<u8> = 16..=28;

/// What a new VPC is to be.
pub(crate) struct NewVpc {
    pub(crate) cidr: Cidr,
    pub(crate) is_default: bool,
    pub(crate) tenancy: Tenancy,
    pub(crate) tags: Tags,
}

/// Makes a VPC with its main route table, default ACL and default security group.
pub(crate) fn make(tx: &mut WriteTx<'_>, maker: Maker<'_>, new: NewVpc) -> Result<Vpc> {
    let dhcp = tx.scan(&DHCP_OPTIONS, ())?.into_iter().find(|options| options.is_default);
    let vpc = Vpc {
        id: maker.id("vpc"),
        blocks: vec![Block { association: maker.id("vpc-cidr-assoc"), cidr: new.cidr }],
        is_default: new.is_default,
        tenancy: new.tenancy.as_str().to_owned(),
        dhcp_options: dhcp.map(|options| options.id),
        dns_support: true,
        // Only the default VPC names its instances unasked.
        dns_hostnames: new.is_default,
        usage_metrics: false,
        main_route_table: maker.id("rtb"),
        main_association: maker.id("rtbassoc"),
        default_acl: maker.id("acl"),
        default_group: maker.id("sg"),
        created: maker.now,
    };
    tx.put(&VPCS, &vpc)?;
    tags::begin(tx, &vpc.id, "vpc", &new.tags)?;
    let main =
        RouteTable { id: vpc.main_route_table.clone(), vpc: vpc.id.clone(), routes: Vec::new() };
    tx.put(&ROUTE_TABLES, &main)?;
    tags::begin(tx, &main.id, "route-table", &Tags::new())?;
    network_acl::make_default(tx, &vpc)?;
    security_group::make_default(tx, maker, &vpc)?;
    Ok(vpc)
}

/// The VPC called `id`.
pub(crate) fn get(tx: &ReadTx<'_>, id: &str) -> Result<Vpc> {
    let parsed = ResourceId::parse("vpc", id);
    let found = parsed.map(|id| tx.get(&VPCS, &id)).transpose()?.flatten();
    found.ok_or_else(|| Error::VpcNotFound(id.to_owned()))
}

/// A block as a client wrote it; host bits are cleared.
pub(crate) fn cidr_from(text: &str, parameter: &str) -> Result<Cidr> {
    text.parse().map_err(|_| {
        Error::value(format!(
            "Value ({text}) for parameter {parameter} is invalid. This is not a valid CIDR block."
        ))
    })
}

/// Makes a VPC.
///
/// AWS: CreateVpc.
pub(crate) async fn create_vpc(ctx: Ctx, input: CreateVpcInput) -> Result<CreateVpcOutput> {
    refuse(&[
        ("Ipv6Pool", input.ipv6_pool.is_some()),
        ("Ipv6CidrBlock", input.ipv6_cidr_block.is_some()),
        ("Ipv4IpamPoolId", input.ipv4_ipam_pool_id.is_some()),
        ("Ipv4NetmaskLength", input.ipv4_netmask_length.is_some()),
        ("Ipv6IpamPoolId", input.ipv6_ipam_pool_id.is_some()),
        ("Ipv6NetmaskLength", input.ipv6_netmask_length.is_some()),
        ("Ipv6CidrBlockNetworkBorderGroup", input.ipv6_cidr_block_network_border_group.is_some()),
        ("VpcEncryptionControl", input.vpc_encryption_control.is_some()),
        ("AmazonProvidedIpv6CidrBlock", input.amazon_provided_ipv6_cidr_block == Some(true)),
        ("InstanceTenancy", input.instance_tenancy.is_some_and(|t| t != Tenancy::Default)),
    ])?;
    let text = input.cidr_block.as_deref().ok_or_else(|| Error::missing("cidrBlock"))?;
    let cidr = cidr_from(text, "cidrBlock")?;
    require_size(&cidr)?;
    let wanted = tags::specified(&ctx, &input.tag_specifications, &["vpc"], "vpc")?;
    default_vpc::ensure(&ctx).await?;
    let limit = VPCS_MAX.value(ctx.store.store(), ctx.store.scope()).await?;
    let write = |tx: &mut WriteTx<'_>| {
        if tx.scan(&VPCS, ())?.len() as u64 >= limit {
            return Err(Error::VpcLimitExceeded);
        }
        let (tenancy, tags) = (Tenancy::Default, wanted.clone());
        let vpc = make(tx, Maker::of(&ctx), NewVpc { cidr, is_default: false, tenancy, tags })?;
        described(tx, &ctx, &vpc)
    };
    let vpc = ctx.store.write(write).await?;
    // The answer leaves before the fabric can have heard of the network.
    Ok(CreateVpcOutput { vpc: Some(ec2_api::Vpc { state: Some(VpcState::Pending), ..vpc }) })
}

fn require_size(cidr: &Cidr) -> Result<()> {
    if PREFIXES.contains(&cidr.prefix()) {
        return Ok(());
    }
    Err(Error::VpcRange(cidr.to_string()))
}

/// Removes a VPC that nothing is left in but what was made with it.
///
/// AWS: DeleteVpc.
pub(crate) async fn delete_vpc(ctx: Ctx, input: DeleteVpcInput) -> Result<DeleteVpcOutput> {
    let write = |tx: &mut WriteTx<'_>| {
        let vpc = get(tx, &input.vpc_id)?;
        if is_used(tx, &vpc)? {
            return Err(Error::DependencyViolation(format!(
                "The vpc '{}' has dependencies and cannot be deleted.",
                vpc.id
            )));
        }
        tx.delete(&VPCS, &vpc.id)?;
        tx.delete(&ROUTE_TABLES, &vpc.main_route_table)?;
        tx.delete(&NETWORK_ACLS, &vpc.default_acl)?;
        security_group::remove(tx, &vpc.default_group)?;
        for id in [&vpc.id, &vpc.main_route_table, &vpc.default_acl] {
            tags::end(tx, id)?;
        }
        tx.delete(&SECURITY_GROUPS, &vpc.default_group)?;
        Ok(())
    };
    ctx.store.write(write).await?;
    Ok(DeleteVpcOutput {})
}

fn is_used(tx: &WriteTx<'_>, vpc: &Vpc) -> Result<bool> {
    let gateways = tx.scan(&INTERNET_GATEWAYS, ())?;
    let nats = tx.scan(&NAT_GATEWAYS, ())?;
    Ok(!tx.find(&SUBNETS_BY_VPC, &vpc.id)?.is_empty()
        || gateways.iter().any(|gateway| gateway.vpc.as_ref() == Some(&vpc.id))
        || nats.iter().any(|nat| nat.vpc == vpc.id && nat.state != NatState::Deleted)
        || tx.find(&ROUTE_TABLES_BY_VPC, &vpc.id)?.len() > 1
        || tx.find(&NETWORK_ACLS_BY_VPC, &vpc.id)?.len() > 1
        || tx.find(&SECURITY_GROUPS_BY_VPC, &vpc.id)?.len() > 1)
}

const FIELDS: &[Field<ec2_api::Vpc>] = &[
    ("cidr", |vpc| listing::text(vpc.cidr_block.as_ref())),
    ("cidr-block", |vpc| listing::text(vpc.cidr_block.as_ref())),
    ("cidrBlock", |vpc| listing::text(vpc.cidr_block.as_ref())),
    ("cidr-block-association.cidr-block", |vpc| {
        vpc.cidr_block_association_set.iter().filter_map(|a| a.cidr_block.clone()).collect()
    }),
    ("cidr-block-association.association-id", |vpc| {
        vpc.cidr_block_association_set.iter().filter_map(|a| a.association_id.clone()).collect()
    }),
    ("cidr-block-association.state", |vpc| {
        vpc.cidr_block_association_set.iter().map(|_| "associated".to_owned()).collect()
    }),
    ("dhcp-options-id", |vpc| listing::text(vpc.dhcp_options_id.as_ref())),
    ("ipv6-cidr-block-association.ipv6-cidr-block", |_| Vec::new()),
    ("ipv6-cidr-block-association.ipv6-pool", |_| Vec::new()),
    ("ipv6-cidr-block-association.association-id", |_| Vec::new()),
    ("ipv6-cidr-block-association.state", |_| Vec::new()),
    ("is-default", |vpc| listing::shown(vpc.is_default)),
    ("isDefault", |vpc| listing::shown(vpc.is_default)),
    ("owner-id", |vpc| listing::text(vpc.owner_id.as_ref())),
    ("state", |vpc| listing::shown(vpc.state)),
    ("vpc-id", |vpc| listing::text(vpc.vpc_id.as_ref())),
];

/// Tells the account's VPCs.
///
/// AWS: DescribeVpcs.
pub(crate) async fn describe_vpcs(
    ctx: Ctx,
    input: DescribeVpcsInput,
) -> Result<DescribeVpcsOutput> {
    default_vpc::ensure(&ctx).await?;
    let read = |tx: &ReadTx<'_>| {
        let all = tx.scan(&VPCS, ())?;
        all.iter().map(|vpc| described(tx, &ctx, vpc)).collect::<Result<Vec<_>>>()
    };
    let all = ctx.store.read(read).await?;
    let id = |vpc: &ec2_api::Vpc| vpc.vpc_id.clone().unwrap_or_default();
    let all = listing::named(
        all,
        &input.vpc_ids,
        |vpc| vpc.vpc_id.as_deref().unwrap_or_default(),
        Error::VpcNotFound,
    )?;
    let all = listing::select(all, &input.filters, FIELDS, |vpc| &vpc.tags)?;
    let asked = Asked {
        ids: &input.vpc_ids,
        max_results: input.max_results,
        next_token: input.next_token.as_deref(),
    };
    let (vpcs, next_token) = listing::page(all, asked, id)?;
    Ok(DescribeVpcsOutput { vpcs, next_token })
}

/// A VPC as it is answered.
pub(crate) fn described(tx: &ReadTx<'_>, ctx: &Ctx, vpc: &Vpc) -> Result<ec2_api::Vpc> {
    let association = |block| association_of(block, VpcCidrBlockStateCode::Associated);
    Ok(ec2_api::Vpc {
        vpc_id: Some(vpc.id.to_string()),
        owner_id: Some(ctx.account.to_string()),
        state: Some(VpcState::Available),
        cidr_block: vpc.blocks.first().map(|block| block.cidr.to_string()),
        cidr_block_association_set: vpc.blocks.iter().map(association).collect(),
        dhcp_options_id: Some(
            vpc.dhcp_options.as_ref().map_or_else(|| "default".to_owned(), ToString::to_string),
        ),
        instance_tenancy: vpc.tenancy.parse().ok(),
        is_default: Some(vpc.is_default),
        tags: tags::wire_of(tx, &vpc.id)?,
        ..ec2_api::Vpc::default()
    })
}

fn association_of(block: &Block, state: VpcCidrBlockStateCode) -> VpcCidrBlockAssociation {
    VpcCidrBlockAssociation {
        association_id: Some(block.association.to_string()),
        cidr_block: Some(block.cidr.to_string()),
        cidr_block_state: Some(VpcCidrBlockState { state: Some(state), status_message: None }),
    }
}

/// Tells one attribute of a VPC.
///
/// AWS: DescribeVpcAttribute.
pub(crate) async fn describe_vpc_attribute(
    ctx: Ctx,
    input: DescribeVpcAttributeInput,
) -> Result<DescribeVpcAttributeOutput> {
    let vpc = ctx.store.read(|tx| get(tx, &input.vpc_id)).await?;
    let mut output = DescribeVpcAttributeOutput {
        vpc_id: Some(vpc.id.to_string()),
        ..DescribeVpcAttributeOutput::default()
    };
    let value = |value| Some(AttributeBooleanValue { value: Some(value) });
    match input.attribute {
        VpcAttributeName::EnableDnsSupport => output.enable_dns_support = value(vpc.dns_support),
        VpcAttributeName::EnableDnsHostnames => {
            output.enable_dns_hostnames = value(vpc.dns_hostnames);
        }
        VpcAttributeName::EnableNetworkAddressUsageMetrics => {
            output.enable_network_address_usage_metrics = value(vpc.usage_metrics);
        }
    }
    Ok(output)
}

/// Changes one attribute of a VPC.
///
/// AWS: ModifyVpcAttribute.
pub(crate) async fn modify_vpc_attribute(
    ctx: Ctx,
    input: ModifyVpcAttributeInput,
) -> Result<ModifyVpcAttributeOutput> {
    let value = |given: &Option<AttributeBooleanValue>| given.as_ref().and_then(|v| v.value);
    let support = value(&input.enable_dns_support);
    let hostnames = value(&input.enable_dns_hostnames);
    refuse(&[(
        "EnableNetworkAddressUsageMetrics",
        value(&input.enable_network_address_usage_metrics) == Some(true),
    )])?;
    if support.is_some() && hostnames.is_some() {
        return Err(Error::InvalidParameterCombination(
            "Fields for multiple attribute types specified: enableDnsSupport, enableDnsHostnames"
                .to_owned(),
        ));
    }
    let write = |tx: &mut WriteTx<'_>| {
        let mut vpc = get(tx, &input.vpc_id)?;
        vpc.dns_support = support.unwrap_or(vpc.dns_support);
        vpc.dns_hostnames = hostnames.unwrap_or(vpc.dns_hostnames);
        Ok::<_, Error>(tx.put(&VPCS, &vpc)?)
    };
    ctx.store.write(write).await?;
    Ok(ModifyVpcAttributeOutput {})
}

/// Gives a VPC a further block.
///
/// AWS: AssociateVpcCidrBlock.
pub(crate) async fn associate_vpc_cidr_block(
    ctx: Ctx,
    input: AssociateVpcCidrBlockInput,
) -> Result<AssociateVpcCidrBlockOutput> {
    refuse(&[
        ("Ipv6CidrBlock", input.ipv6_cidr_block.is_some()),
        ("Ipv6Pool", input.ipv6_pool.is_some()),
        ("Ipv6CidrBlockNetworkBorderGroup", input.ipv6_cidr_block_network_border_group.is_some()),
        ("Ipv4IpamPoolId", input.ipv4_ipam_pool_id.is_some()),
        ("Ipv4NetmaskLength", input.ipv4_netmask_length.is_some()),
        ("Ipv6IpamPoolId", input.ipv6_ipam_pool_id.is_some()),
        ("Ipv6NetmaskLength", input.ipv6_netmask_length.is_some()),
        ("AmazonProvidedIpv6CidrBlock", input.amazon_provided_ipv6_cidr_block == Some(true)),
    ])?;
    let text = input.cidr_block.as_deref().ok_or_else(|| Error::missing("cidrBlock"))?;
    let cidr = cidr_from(text, "cidrBlock")?;
    require_size(&cidr)?;
    let limit = BLOCKS_MAX.value(ctx.store.store(), ctx.store.scope()).await?;
    let block = Block { association: ctx.id("vpc-cidr-assoc"), cidr };
    let write = |tx: &mut WriteTx<'_>| {
        let mut vpc = get(tx, &input.vpc_id)?;
        if vpc.blocks.iter().any(|other| other.cidr.overlaps(&cidr)) {
            return Err(Error::CidrConflict(cidr.to_string()));
        }
        if vpc.blocks.first().is_some_and(|primary| !may_join(&primary.cidr, &cidr)) {
            return Err(Error::VpcRangeRestricted(cidr.to_string()));
        }
        if vpc.blocks.len() as u64 >= limit {
            return Err(Error::CidrBlockLimitExceeded(vpc.id.to_string()));
        }
        vpc.blocks.push(block.clone());
        Ok(tx.put(&VPCS, &vpc)?)
    };
    ctx.store.write(write).await?;
    Ok(AssociateVpcCidrBlockOutput {
        vpc_id: Some(input.vpc_id),
        cidr_block_association: Some(association_of(&block, VpcCidrBlockStateCode::Associating)),
        ipv6_cidr_block_association: None,
    })
}

/// Whether a block may be added to a VPC of the primary block `primary`.
///
/// AWS: "IPv4 CIDR block association restrictions".
fn may_join(primary: &Cidr, added: &Cidr) -> bool {
    let block = |text: &str| text.parse::<Cidr>().ok();
    let private = ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"].map(block);
    let range_of = |cidr: &Cidr| {
        private.iter().position(|range| range.is_some_and(|range| range.contains_block(cidr)))
    };
    let benchmark = block("198.19.0.0/16").is_some_and(|range| range.overlaps(added));
    match (range_of(primary), range_of(added)) {
        _ if benchmark => false,
        (Some(own), Some(other)) => own == other,
        (_, _) => true,
    }
}

/// Takes a further block from a VPC.
///
/// AWS: DisassociateVpcCidrBlock.
pub(crate) async fn disassociate_vpc_cidr_block(
    ctx: Ctx,
    input: DisassociateVpcCidrBlockInput,
) -> Result<DisassociateVpcCidrBlockOutput> {
    let write = |tx: &mut WriteTx<'_>| {
        let wanted = |block: &Block| block.association.as_str() == input.association_id;
        let found = tx.scan(&VPCS, ())?.into_iter().find(|vpc| vpc.blocks.iter().any(wanted));
        let missing = || Error::CidrAssociationNotFound(input.association_id.clone());
        let mut vpc = found.ok_or_else(missing)?;
        let at = vpc.blocks.iter().position(wanted).ok_or_else(missing)?;
        if at == 0 {
            return Err(Error::Unsupported(format!(
                "The vpc CIDR block with association ID {} may not be disassociated. It is the \
                 primary IPv4 CIDR block of the VPC",
                input.association_id
            )));
        }
        let block = vpc.blocks.remove(at);
        let subnets = tx.find(&SUBNETS_BY_VPC, &vpc.id)?;
        if subnets.iter().any(|subnet| block.cidr.contains_block(&subnet.cidr)) {
            return Err(Error::DependencyViolation(format!(
                "The vpc CIDR block '{}' has dependencies and cannot be disassociated.",
                block.cidr
            )));
        }
        tx.put(&VPCS, &vpc)?;
        Ok((vpc.id, block))
    };
    let (vpc, block) = ctx.store.write(write).await?;
    let association = association_of(&block, VpcCidrBlockStateCode::Disassociating);
    Ok(DisassociateVpcCidrBlockOutput {
        vpc_id: Some(vpc.to_string()),
        cidr_block_association: Some(association),
        ipv6_cidr_block_association: None,
    })
}
