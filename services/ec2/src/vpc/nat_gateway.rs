//! NAT gateways: the way out of private subnets.

use std::time::Duration;

use base::ResourceId;
use ec2_api::{
    AvailabilityMode, ConnectivityType, CreateNatGatewayInput, CreateNatGatewayOutput,
    DeleteNatGatewayInput, DeleteNatGatewayOutput, DescribeNatGatewaysInput,
    DescribeNatGatewaysOutput, NatGatewayAddress, NatGatewayAddressStatus, NatGatewayState,
};
use kernel::quota::Quota;
use kernel::token::{self, Known};
use store::{ReadTx, WriteTx};

use super::placement::{self, NewInterface, Secondary};
use super::store::{
    INTERFACES, Interface, InterfaceKind, NAT_GATEWAYS, NatAddress, NatGateway, NatState,
};
use super::{address, interface, internet_gateway, subnet};
use crate::Ctx;
use crate::error::{Error, Result, refuse};
use crate::listing::{self, Asked, Field};
use crate::maker::Maker;
use crate::tags;

/// NAT gateways per zone.
///
/// AWS: "Amazon VPC quotas".
const GATEWAYS_MAX: Quota = Quota { service: "vpc", code: "L-FE5A380F", default: 5 };
/// How long a gateway that is deleted or failed is still told.
///
/// AWS: "Delete a NAT gateway" ("about an hour").
pub(crate) const REMEMBERED: Duration = Duration::from_secs(3600);

/// The gateway called `id`.
pub(crate) fn get(tx: &ReadTx<'_>, id: &str) -> Result<NatGateway> {
    let parsed = ResourceId::parse("nat", id);
    let found = parsed.map(|id| tx.get(&NAT_GATEWAYS, &id)).transpose()?.flatten();
    found.ok_or_else(|| Error::NatGatewayNotFound(id.to_owned()))
}

/// Makes a NAT gateway, which becomes available when the fabric has it.
///
/// AWS: CreateNatGateway.
pub(crate) async fn create_nat_gateway(
    ctx: Ctx,
    input: CreateNatGatewayInput,
) -> Result<CreateNatGatewayOutput> {
    const KIND: &str = "natgateway";
    const OPERATION: &str = "CreateNatGateway";
    require_possible(&input)?;
    let subnet_id = input.subnet_id.as_deref().ok_or_else(|| Error::missing("SubnetId"))?;
    let primary = input.private_ip_address.as_deref().map(interface::address_from).transpose()?;
    let kinds = [KIND];
    let wanted = tags::specified(&ctx, &input.tag_specifications, &kinds, KIND)?;
    let limit = GATEWAYS_MAX.value(ctx.store.store(), ctx.store.scope()).await?;
    let unmarked = CreateNatGatewayInput { client_token: None, ..input.clone() };
    let fingerprint = token::fingerprint(&unmarked);
    let write = |tx: &mut WriteTx<'_>| {
        if let Some(client_token) = &input.client_token {
            match token::look_up(tx, OPERATION, client_token, &fingerprint)? {
                Known::New => {}
                Known::Same(id) => return described(tx, &get(tx, &id)?),
                Known::Different => return Err(Error::IdempotentParameterMismatch),
            }
        }
        let subnet = subnet::get(tx, subnet_id)?;
        require_room(tx, &subnet.zone, limit)?;
        let maker = Maker::of(&ctx);
        let id = maker.id("nat");
        let new = NewInterface {
            subnet: &subnet,
            kind: InterfaceKind::NatGateway,
            description: format!("Interface for NAT Gateway {id}"),
            groups: Vec::new(),
            primary,
            secondary: Secondary::Count(0),
            requester: None,
            tags: base::Tags::new(),
        };
        let mut interface = placement::make(tx, maker, new)?;
        let private_address = interface.primary();
        let allocation = input.allocation_id.as_deref();
        let public = allocation
            .map(|allocation| take_address(tx, maker, &mut interface, allocation))
            .transpose()?;
        let gateway = NatGateway {
            id,
            vpc: subnet.vpc.clone(),
            subnet: subnet.id.clone(),
            interface: interface.id,
            private_address,
            public,
            state: NatState::Pending,
            failure: None,
            created: maker.now,
            deleted: None,
        };
        tx.put(&NAT_GATEWAYS, &gateway)?;
        tags::begin(tx, &gateway.id, KIND, &wanted)?;
        if let Some(client_token) = &input.client_token {
            let id = gateway.id.as_str();
            token::remember(tx, OPERATION, client_token, &fingerprint, id, maker.now)?;
        }
        described(tx, &gateway)
    };
    let nat_gateway = Some(ctx.store.write(write).await?);
    Ok(CreateNatGatewayOutput { nat_gateway, client_token: input.client_token })
}

/// Refuses kinds of gateways that this region does not have, and addresses that do not fit the
/// kind.
fn require_possible(input: &CreateNatGatewayInput) -> Result<()> {
    let regional = input.availability_mode == Some(AvailabilityMode::Regional);
    let more = input.secondary_private_ip_address_count.is_some_and(|count| count != 0);
    refuse(&[
        ("AvailabilityMode", regional),
        ("VpcId", input.vpc_id.is_some()),
        ("AvailabilityZoneAddresses", !input.availability_zone_addresses.is_empty()),
        ("SecondaryAllocationIds", !input.secondary_allocation_ids.is_empty()),
        ("SecondaryPrivateIpAddresses", !input.secondary_private_ip_addresses.is_empty()),
        ("SecondaryPrivateIpAddressCount", more),
    ])?;
    let public = input.connectivity_type != Some(ConnectivityType::Private);
    match (public, &input.allocation_id) {
        (true, None) => Err(Error::missing("AllocationId")),
        (false, Some(_)) => Err(Error::InvalidParameterCombination(
            "AllocationId cannot be specified for a private NAT gateway".to_owned(),
        )),
        (true, Some(_)) | (false, None) => Ok(()),
    }
}

/// Gives the elastic address of `allocation`, which nothing else may have, to a gateway's
/// interface.
fn take_address(
    tx: &mut WriteTx<'_>,
    maker: Maker<'_>,
    interface: &mut Interface,
    allocation: &str,
) -> Result<NatAddress> {
    let mut elastic = address::get(tx, allocation)?;
    if elastic.interface.is_some() || elastic.requester.is_some() {
        return Err(Error::AlreadyAssociated(format!(
            "Elastic IP address [{allocation}] is already associated"
        )));
    }
    let private = interface.primary();
    let association = address::put_on(tx, maker, &mut elastic, interface, private)?;
    Ok(NatAddress { allocation: elastic.id, association, address: elastic.address })
}

fn require_room(tx: &ReadTx<'_>, zone: &base::Zone, limit: u64) -> Result<()> {
    let mut here: u64 = 0;
    for gateway in tx.scan(&NAT_GATEWAYS, ())? {
        let alive =
            matches!(gateway.state, NatState::Pending | NatState::Available | NatState::Deleting);
        let interface = tx.get(&INTERFACES, &gateway.interface)?;
        if alive && interface.is_some_and(|interface| interface.zone == *zone) {
            here += 1;
        }
    }
    if here >= limit { Err(Error::NatGatewayLimitExceeded) } else { Ok(()) }
}

/// Lets a gateway go; it is deleted when the fabric has it no more.
///
/// AWS: DeleteNatGateway.
pub(crate) async fn delete_nat_gateway(
    ctx: Ctx,
    input: DeleteNatGatewayInput,
) -> Result<DeleteNatGatewayOutput> {
    let write = |tx: &mut WriteTx<'_>| {
        let mut gateway = get(tx, &input.nat_gateway_id)?;
        match gateway.state {
            NatState::Pending | NatState::Available => gateway.state = NatState::Deleting,
            NatState::Failed => {
                gateway.state = NatState::Deleted;
                gateway.deleted = Some(ctx.now());
            }
            NatState::Deleting | NatState::Deleted => return Ok(()),
        }
        Ok::<_, Error>(tx.put(&NAT_GATEWAYS, &gateway)?)
    };
    ctx.store.write(write).await?;
    Ok(DeleteNatGatewayOutput { nat_gateway_id: Some(input.nat_gateway_id) })
}

/// What the fabric's task does with a gateway after it looked at the fabric.
pub(crate) fn observed(
    tx: &mut WriteTx<'_>,
    now: base::Timestamp,
    id: &ResourceId,
    up: bool,
) -> Result<()> {
    let Some(mut gateway) = tx.get(&NAT_GATEWAYS, id)? else { return Ok(()) };
    let way_out = internet_gateway::of(tx, &gateway.vpc)?.is_some();
    match gateway.state {
        NatState::Pending if gateway.public.is_some() && !way_out => {
            gateway.state = NatState::Failed;
            let text = format!("Network {} has no Internet gateway attached", gateway.vpc);
            gateway.failure = Some(("Gateway.NotAttached".to_owned(), text));
            gateway.deleted = Some(now);
            remove_interface(tx, &gateway.interface)?;
        }
        NatState::Pending if up => gateway.state = NatState::Available,
        NatState::Deleting => {
            gateway.state = NatState::Deleted;
            gateway.deleted = Some(now);
            remove_interface(tx, &gateway.interface)?;
        }
        NatState::Deleted | NatState::Failed => {
            if gateway.deleted.is_some_and(|deleted| now.since(deleted) >= REMEMBERED) {
                tx.delete(&NAT_GATEWAYS, id)?;
                return tags::end(tx, id);
            }
            return Ok(());
        }
        NatState::Pending | NatState::Available => return Ok(()),
    }
    Ok(tx.put(&NAT_GATEWAYS, &gateway)?)
}

fn remove_interface(tx: &mut WriteTx<'_>, id: &ResourceId) -> Result<()> {
    match tx.get(&INTERFACES, id)? {
        Some(interface) => placement::remove(tx, &interface),
        None => Ok(()),
    }
}

const FIELDS: &[Field<ec2_api::NatGateway>] = &[
    ("nat-gateway-id", |gateway| listing::text(gateway.nat_gateway_id.as_ref())),
    ("state", |gateway| listing::shown(gateway.state)),
    ("subnet-id", |gateway| listing::text(gateway.subnet_id.as_ref())),
    ("vpc-id", |gateway| listing::text(gateway.vpc_id.as_ref())),
];

/// Tells the account's NAT gateways.
///
/// AWS: DescribeNatGateways.
pub(crate) async fn describe_nat_gateways(
    ctx: Ctx,
    input: DescribeNatGatewaysInput,
) -> Result<DescribeNatGatewaysOutput> {
    let read = |tx: &ReadTx<'_>| {
        let all = tx.scan(&NAT_GATEWAYS, ())?;
        all.iter().map(|gateway| described(tx, gateway)).collect::<Result<Vec<_>>>()
    };
    let all = ctx.store.read(read).await?;
    let id = |gateway: &ec2_api::NatGateway| gateway.nat_gateway_id.clone().unwrap_or_default();
    let all = listing::named(
        all,
        &input.nat_gateway_ids,
        |gateway| gateway.nat_gateway_id.as_deref().unwrap_or_default(),
        Error::NatGatewayNotFound,
    )?;
    let all = listing::select(all, &input.filter, FIELDS, |gateway| &gateway.tags)?;
    let asked = Asked {
        ids: &input.nat_gateway_ids,
        max_results: input.max_results,
        next_token: input.next_token.as_deref(),
    };
    let (nat_gateways, next_token) = listing::page(all, asked, id)?;
    Ok(DescribeNatGatewaysOutput { nat_gateways, next_token })
}

fn described(tx: &ReadTx<'_>, gateway: &NatGateway) -> Result<ec2_api::NatGateway> {
    let public = gateway.public.as_ref();
    let status = match gateway.state {
        NatState::Pending => NatGatewayAddressStatus::Associating,
        NatState::Available => NatGatewayAddressStatus::Succeeded,
        NatState::Failed => NatGatewayAddressStatus::Failed,
        NatState::Deleting | NatState::Deleted => NatGatewayAddressStatus::Disassociating,
    };
    let address = NatGatewayAddress {
        allocation_id: public.map(|public| public.allocation.to_string()),
        association_id: public.map(|public| public.association.to_string()),
        public_ip: public.map(|public| public.address.to_string()),
        private_ip: Some(gateway.private_address.to_string()),
        network_interface_id: Some(gateway.interface.to_string()),
        is_primary: Some(true),
        status: Some(status),
        ..NatGatewayAddress::default()
    };
    let kind = if public.is_some() { ConnectivityType::Public } else { ConnectivityType::Private };
    Ok(ec2_api::NatGateway {
        nat_gateway_id: Some(gateway.id.to_string()),
        vpc_id: Some(gateway.vpc.to_string()),
        subnet_id: Some(gateway.subnet.to_string()),
        state: Some(match gateway.state {
            NatState::Pending => NatGatewayState::Pending,
            NatState::Failed => NatGatewayState::Failed,
            NatState::Available => NatGatewayState::Available,
            NatState::Deleting => NatGatewayState::Deleting,
            NatState::Deleted => NatGatewayState::Deleted,
        }),
        connectivity_type: Some(kind),
        availability_mode: Some(AvailabilityMode::Zonal),
        create_time: Some(gateway.created),
        delete_time: gateway.deleted,
        failure_code: gateway.failure.as_ref().map(|failure| failure.0.clone()),
        failure_message: gateway.failure.as_ref().map(|failure| failure.1.clone()),
        nat_gateway_addresses: vec![address],
        tags: tags::wire_of(tx, &gateway.id)?,
        ..ec2_api::NatGateway::default()
    })
}
