//! The network that every account has from the start: a VPC of 172.31.0.0/16 with one subnet a
//! zone, an internet gateway and a way to it.
//!
//! AWS: "Default VPCs".

use std::net::Ipv4Addr;

use base::{Cidr, Tags, Zone};
use ec2_api::{
    CreateDefaultSubnetInput, CreateDefaultSubnetOutput, CreateDefaultVpcInput,
    CreateDefaultVpcOutput, Tenancy,
};
use kernel::{Next, TaskError};
use store::{ReadTx, WriteTx};

use super::store::{
    ACCOUNT_NETWORKS, AccountNetwork, DHCP_OPTIONS, DhcpOptions, INTERNET_GATEWAYS,
    InternetGateway, ROUTE_TABLES, Route, RouteTarget, SUBNETS_BY_VPC, Subnet, VPCS, Vpc,
};
use super::subnet::{self, NewSubnet};
use super::vpc::{self, NewVpc};
use crate::error::{Error, Result, refuse};
use crate::maker::Maker;
use crate::{Ctx, TaskCtx, region, tags};

/// Makes the account's default network unless that was done once.
pub(crate) async fn ensure(ctx: &Ctx) -> Result<()> {
    if ctx.store.read(|tx| tx.contains(&ACCOUNT_NETWORKS, ())).await? {
        return Ok(());
    }
    ctx.store.write(|tx| ensure_in(tx, Maker::of(ctx))).await
}

/// The same inside a transaction.
pub(crate) fn ensure_in(tx: &mut WriteTx<'_>, maker: Maker<'_>) -> Result<()> {
    if tx.contains(&ACCOUNT_NETWORKS, ())? {
        return Ok(());
    }
    tx.put(&ACCOUNT_NETWORKS, &AccountNetwork { made: maker.now })?;
    make_dhcp_options(tx, maker)?;
    make(tx, maker).map(|_| ())
}

/// Gives the first account its network when the region starts.
pub(crate) async fn prepare(ctx: TaskCtx) -> std::result::Result<Next, TaskError> {
    let account = ctx.kernel().settings().account.clone();
    let store = ctx.store.scoped(store::Scope::new(account.clone(), ctx.region.clone()));
    let pool = ctx.drivers.net_options.public_pool;
    let write = |tx: &mut WriteTx<'_>| {
        let (random, now) = (ctx.random(), ctx.now());
        ensure_in(tx, Maker { random, now, region: &ctx.region, account: &account, pool })
    };
    store.write(write).await?;
    Ok(Next::Idle)
}

fn make_dhcp_options(tx: &mut WriteTx<'_>, maker: Maker<'_>) -> Result<()> {
    let options = DhcpOptions {
        id: maker.id("dopt"),
        is_default: true,
        configurations: vec![
            ("domain-name".to_owned(), vec![region::private_domain(maker.region)]),
            ("domain-name-servers".to_owned(), vec!["AmazonProvidedDNS".to_owned()]),
        ],
    };
    tx.put(&DHCP_OPTIONS, &options)?;
    tags::begin(tx, &options.id, "dhcp-options", &Tags::new())
}

fn make(tx: &mut WriteTx<'_>, maker: Maker<'_>) -> Result<Vpc> {
    let cidr = Cidr::containing(Ipv4Addr::new(172, 31, 0, 0), 16);
    let new = NewVpc { cidr, is_default: true, tenancy: Tenancy::Default, tags: Tags::new() };
    let vpc = vpc::make(tx, maker, new)?;
    let gateway = InternetGateway { id: maker.id("igw"), vpc: Some(vpc.id.clone()) };
    tx.put(&INTERNET_GATEWAYS, &gateway)?;
    tags::begin(tx, &gateway.id, "internet-gateway", &Tags::new())?;
    if let Some(mut main) = tx.get(&ROUTE_TABLES, &vpc.main_route_table)? {
        let target = RouteTarget::InternetGateway(gateway.id);
        main.routes.push(Route { destination: Cidr::ALL, target });
        tx.put(&ROUTE_TABLES, &main)?;
    }
    for zone in maker.region.zones() {
        make_subnet(tx, maker, &vpc, zone)?;
    }
    Ok(vpc)
}

/// Makes the default subnet of `zone`: the first /20 that is free.
fn make_subnet(tx: &mut WriteTx<'_>, maker: Maker<'_>, vpc: &Vpc, zone: Zone) -> Result<Subnet> {
    const STEP: u32 = 1 << 12;
    let block = vpc.blocks.first().map_or(Cidr::ALL, |block| block.cidr);
    let taken = tx.find(&SUBNETS_BY_VPC, &vpc.id)?;
    let candidates = (0..16).filter_map(|n| block.nth(n * STEP));
    let cidr = candidates
        .map(|first| Cidr::containing(first, 20))
        .find(|cidr| !taken.iter().any(|other| other.cidr.overlaps(cidr)))
        .ok_or_else(|| Error::InsufficientFreeAddresses(vpc.id.to_string()))?;
    let new = NewSubnet { vpc, zone, cidr, is_default: true, tags: Tags::new() };
    subnet::make(tx, maker, new)
}

/// The account's default VPC.
pub(crate) fn find(tx: &ReadTx<'_>) -> Result<Option<Vpc>> {
    Ok(tx.scan(&VPCS, ())?.into_iter().find(|vpc| vpc.is_default))
}

/// The default subnets of the default VPC, by zone.
pub(crate) fn subnets(tx: &ReadTx<'_>) -> Result<Vec<Subnet>> {
    let Some(vpc) = find(tx)? else { return Ok(Vec::new()) };
    let mut subnets = tx.find(&SUBNETS_BY_VPC, &vpc.id)?;
    subnets.retain(|subnet| subnet.default_for_az);
    subnets.sort_by(|one, other| one.zone.cmp(&other.zone));
    Ok(subnets)
}

/// Makes the default VPC again that was deleted.
///
/// AWS: CreateDefaultVpc.
pub(crate) async fn create_default_vpc(
    ctx: Ctx,
    _: CreateDefaultVpcInput,
) -> Result<CreateDefaultVpcOutput> {
    ensure(&ctx).await?;
    let write = |tx: &mut WriteTx<'_>| {
        if find(tx)?.is_some() {
            return Err(Error::DefaultVpcAlreadyExists);
        }
        let vpc = make(tx, Maker::of(&ctx))?;
        vpc::described(tx, &ctx, &vpc)
    };
    let vpc = ctx.store.write(write).await?;
    Ok(CreateDefaultVpcOutput { vpc: Some(vpc) })
}

/// Makes the default subnet of a zone again that was deleted.
///
/// AWS: CreateDefaultSubnet.
pub(crate) async fn create_default_subnet(
    ctx: Ctx,
    input: CreateDefaultSubnetInput,
) -> Result<CreateDefaultSubnetOutput> {
    refuse(&[("Ipv6Native", input.ipv6_native == Some(true))])?;
    if input.availability_zone.is_none() && input.availability_zone_id.is_none() {
        return Err(Error::missing("availabilityZone"));
    }
    let (name, id) = (input.availability_zone.as_deref(), input.availability_zone_id.as_deref());
    let zone = region::zone_from(&ctx.region, name, id)?;
    ensure(&ctx).await?;
    let write = |tx: &mut WriteTx<'_>| {
        let vpc = find(tx)?.ok_or(Error::DefaultVpcDoesNotExist)?;
        if let Some(other) = subnets(tx)?.iter().find(|subnet| subnet.zone == zone) {
            return Err(Error::DefaultSubnetAlreadyExists(other.id.to_string()));
        }
        let made = make_subnet(tx, Maker::of(&ctx), &vpc, zone.clone())?;
        subnet::described(tx, &ctx, &made)
    };
    let subnet = ctx.store.write(write).await?;
    Ok(CreateDefaultSubnetOutput { subnet: Some(subnet) })
}
