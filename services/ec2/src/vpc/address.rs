//! Elastic IP addresses.

use std::net::Ipv4Addr;

use base::ResourceId;
use ec2_api::{
    AllocateAddressInput, AllocateAddressOutput, AssociateAddressInput, AssociateAddressOutput,
    DescribeAddressesInput, DescribeAddressesOutput, DisassociateAddressInput,
    DisassociateAddressOutput, DomainType, ReleaseAddressInput, ReleaseAddressOutput,
    ServiceManaged,
};
use kernel::quota::Quota;
use store::{ReadTx, WriteTx};

use super::store::{
    ADDRESSES, Address, Elastic, INTERFACES, Interface, InterfaceKind, PublicAddress,
};
use super::{attachment, interface, internet_gateway, placement};
use crate::Ctx;
use crate::error::{Error, Result, refuse};
use crate::listing::{self, Field};
use crate::maker::{Maker, requester};
use crate::tags;

/// Elastic IP addresses per region.
///
/// AWS: "Amazon EC2 service quotas".
const ADDRESSES_MAX: Quota = Quota { service: "ec2", code: "L-0263D0A3", default: 5 };

/// The address of the allocation `id`.
pub(crate) fn get(tx: &ReadTx<'_>, id: &str) -> Result<Address> {
    let parsed = ResourceId::parse("eipalloc", id);
    let found = parsed.map(|id| tx.get(&ADDRESSES, &id)).transpose()?.flatten();
    found.ok_or_else(|| Error::AllocationNotFound(id.to_owned()))
}

fn by_address(tx: &ReadTx<'_>, text: &str) -> Result<Address> {
    let wanted: Option<Ipv4Addr> = text.parse().ok();
    let found = tx.scan(&ADDRESSES, ())?.into_iter().find(|a| Some(a.address) == wanted);
    found.ok_or_else(|| Error::AddressNotFound(text.to_owned()))
}

/// The address that an operation names by allocation or by itself.
fn either(tx: &ReadTx<'_>, allocation: Option<&str>, address: Option<&str>) -> Result<Address> {
    match (allocation, address) {
        (Some(_), Some(_)) => Err(Error::InvalidParameterCombination(
            "You may specify public IP or allocation id, but not both in the same call".to_owned(),
        )),
        (Some(id), None) => get(tx, id),
        (None, Some(text)) => by_address(tx, text),
        (None, None) => Err(Error::missing("AllocationId")),
    }
}

/// Refuses to let anyone but its service touch an address that a service holds for itself.
fn require_own(ctx: &Ctx, address: &Address) -> Result<()> {
    match &address.requester {
        Some(service) if requester(ctx) != Some(service.as_str()) => {
            Err(Error::OperationNotPermitted(format!(
                "You do not have permission to manage the address '{}'. It is managed by {service}.",
                address.address
            )))
        }
        _ => Ok(()),
    }
}

/// Allocates an address of the pool.
///
/// AWS: AllocateAddress.
pub(crate) async fn allocate_address(
    ctx: Ctx,
    input: AllocateAddressInput,
) -> Result<AllocateAddressOutput> {
    const KIND: &str = "elastic-ip";
    let own_group = |group: &String| group == ctx.region.as_str();
    refuse(&[
        ("Domain", input.domain == Some(DomainType::Standard)),
        ("Address", input.address.is_some()),
        ("PublicIpv4Pool", input.public_ipv4_pool.as_ref().is_some_and(|pool| pool != "amazon")),
        ("NetworkBorderGroup", !input.network_border_group.as_ref().is_none_or(own_group)),
        ("CustomerOwnedIpv4Pool", input.customer_owned_ipv4_pool.is_some()),
        ("IpamPoolId", input.ipam_pool_id.is_some()),
    ])?;
    let wanted = tags::specified(&ctx, &input.tag_specifications, &[KIND], KIND)?;
    let limit = ADDRESSES_MAX.value(ctx.store.store(), ctx.store.scope()).await?;
    let requester = requester(&ctx).map(str::to_owned);
    let write = |tx: &mut WriteTx<'_>| {
        let own = tx.scan(&ADDRESSES, ())?.into_iter().filter(|a| a.requester.is_none()).count();
        if requester.is_none() && own as u64 >= limit {
            return Err(Error::AddressLimitExceeded);
        }
        let maker = Maker::of(&ctx);
        let id = maker.id("eipalloc");
        let address = placement::lease(tx, maker, &id)?;
        let requester = requester.clone();
        let allocated = Address { id, address, interface: None, requester };
        tx.put(&ADDRESSES, &allocated)?;
        tags::begin(tx, &allocated.id, KIND, &wanted)?;
        Ok(allocated)
    };
    let allocated = ctx.store.write(write).await?;
    Ok(AllocateAddressOutput {
        allocation_id: Some(allocated.id.to_string()),
        public_ip: Some(allocated.address.to_string()),
        domain: Some(DomainType::Vpc),
        public_ipv4_pool: Some("amazon".to_owned()),
        network_border_group: Some(ctx.region.to_string()),
        ..AllocateAddressOutput::default()
    })
}

/// Gives an address back.
///
/// AWS: ReleaseAddress.
pub(crate) async fn release_address(
    ctx: Ctx,
    input: ReleaseAddressInput,
) -> Result<ReleaseAddressOutput> {
    let other_group = input.network_border_group.as_ref().is_some_and(|g| g != ctx.region.as_str());
    refuse(&[("NetworkBorderGroup", other_group)])?;
    let write = |tx: &mut WriteTx<'_>| {
        let address = either(tx, input.allocation_id.as_deref(), input.public_ip.as_deref())?;
        require_own(&ctx, &address)?;
        if address.interface.is_some() {
            return Err(Error::AddressInUse(format!("Address {} is in use.", address.address)));
        }
        placement::give_back(tx, address.address)?;
        tx.delete(&ADDRESSES, &address.id)?;
        tags::end(tx, &address.id)
    };
    ctx.store.write(write).await?;
    Ok(ReleaseAddressOutput {})
}

/// Takes an address from the interface that has it.
pub(crate) fn take_off(tx: &mut WriteTx<'_>, address: &mut Address) -> Result<()> {
    let holder = address.interface.take();
    let holder = holder.map(|id| tx.get(&INTERFACES, &id)).transpose()?.flatten();
    if let Some(mut holder) = holder {
        for private in &mut holder.addresses {
            private.public.take_if(|public| public.address == address.address);
        }
        tx.put(&INTERFACES, &holder)?;
    }
    Ok(tx.put(&ADDRESSES, address)?)
}

/// Makes `address` stand for the private address `private` of `interface`, whose former public
/// address goes.
pub(crate) fn put_on(
    tx: &mut WriteTx<'_>,
    maker: Maker<'_>,
    address: &mut Address,
    interface: &mut Interface,
    private: Ipv4Addr,
) -> Result<ResourceId> {
    let association = maker.id("eipassoc");
    let elastic = Elastic { allocation: address.id.clone(), association: association.clone() };
    let public = PublicAddress { address: address.address, elastic: Some(elastic) };
    let place = interface.addresses.iter_mut().find(|known| known.address == private);
    let place = place.ok_or_else(|| {
        Error::value(format!("The address '{private}' is not assigned to the network interface"))
    })?;
    match place.public.replace(public) {
        Some(PublicAddress { address, elastic: None }) => placement::give_back(tx, address)?,
        Some(PublicAddress { elastic: Some(former), .. }) => {
            if let Some(mut former) = tx.get(&ADDRESSES, &former.allocation)? {
                former.interface = None;
                tx.put(&ADDRESSES, &former)?;
            }
        }
        None => {}
    }
    address.interface = Some(interface.id.clone());
    tx.put(&INTERFACES, interface)?;
    tx.put(&ADDRESSES, address)?;
    Ok(association)
}

/// Gives an address to an instance or interface.
///
/// AWS: AssociateAddress.
pub(crate) async fn associate_address(
    ctx: Ctx,
    input: AssociateAddressInput,
) -> Result<AssociateAddressOutput> {
    let private = input.private_ip_address.as_deref().map(interface::address_from).transpose()?;
    let write = |tx: &mut WriteTx<'_>| {
        let mut address = either(tx, input.allocation_id.as_deref(), input.public_ip.as_deref())?;
        require_own(&ctx, &address)?;
        let target = target_of(tx, &input)?;
        interface::require_own(&ctx, &target)?;
        require_way_out(tx, &target)?;
        let private = private.unwrap_or_else(|| target.primary());
        let place = target.addresses.iter().find(|known| known.address == private);
        let present = place.and_then(|place| place.public.as_ref());
        let present = present.and_then(|public| public.elastic.as_ref());
        if let Some(present) = present.filter(|present| present.allocation == address.id) {
            return Ok(present.association.clone());
        }
        if input.allow_reassociation == Some(false) {
            require_free(tx, &address, &target, present)?;
        }
        require_movable(tx, &address)?;
        take_off(tx, &mut address)?;
        let mut target = interface::get(tx, target.id.as_str())?;
        put_on(tx, Maker::of(&ctx), &mut address, &mut target, private)
    };
    let association = ctx.store.write(write).await?;
    Ok(AssociateAddressOutput { association_id: Some(association.to_string()) })
}

fn target_of(tx: &ReadTx<'_>, input: &AssociateAddressInput) -> Result<Interface> {
    match (&input.network_interface_id, &input.instance_id) {
        (Some(id), None) => interface::get(tx, id),
        (None, Some(id)) => {
            let instance = ResourceId::parse("i", id);
            let own = instance.map(|id| attachment::of_instance(tx, &id)).transpose()?;
            let primary = own.and_then(|own| own.into_iter().next());
            primary.ok_or_else(|| Error::InstanceNotFound(id.clone()))
        }
        (Some(_), Some(_)) => Err(Error::InvalidParameterCombination(
            "You may specify instance id or network interface id, but not both".to_owned(),
        )),
        (None, None) => Err(Error::missing("InstanceId or NetworkInterfaceId")),
    }
}

fn require_way_out(tx: &ReadTx<'_>, target: &Interface) -> Result<()> {
    if internet_gateway::of(tx, &target.vpc)?.is_some() {
        return Ok(());
    }
    Err(Error::GatewayNotAttached(format!(
        "Network {} is not attached to any internet gateway",
        target.vpc
    )))
}

fn require_free(
    tx: &ReadTx<'_>,
    address: &Address,
    target: &Interface,
    present: Option<&Elastic>,
) -> Result<()> {
    let holder = address.interface.as_ref().map(|id| tx.get(&INTERFACES, id)).transpose()?;
    if let Some(association) = holder.flatten().and_then(|eni| association_in(&eni, address)) {
        return Err(Error::AlreadyAssociated(format!(
            "resource {} is already associated with associate-id {association}",
            address.id
        )));
    }
    if let Some(present) = present {
        return Err(Error::AlreadyAssociated(format!(
            "resource {} is already associated with address: {}",
            target.id, present.allocation
        )));
    }
    Ok(())
}

/// Refuses to take the address of a NAT gateway, which keeps it until it is deleted.
fn require_movable(tx: &ReadTx<'_>, address: &Address) -> Result<()> {
    let holder = address.interface.as_ref().map(|id| tx.get(&INTERFACES, id)).transpose()?;
    if holder.flatten().is_some_and(|eni| eni.kind == InterfaceKind::NatGateway) {
        return Err(Error::AuthFailure(
            "You do not have permission to access the specified resource.".to_owned(),
        ));
    }
    Ok(())
}

fn association_in(interface: &Interface, address: &Address) -> Option<ResourceId> {
    let public = interface.addresses.iter().filter_map(|private| private.public.as_ref());
    let mut elastic = public.filter_map(|public| public.elastic.as_ref());
    elastic.find(|e| e.allocation == address.id).map(|e| e.association.clone())
}

/// Takes an address from what it was given to.
///
/// AWS: DisassociateAddress.
pub(crate) async fn disassociate_address(
    ctx: Ctx,
    input: DisassociateAddressInput,
) -> Result<DisassociateAddressOutput> {
    let write = |tx: &mut WriteTx<'_>| {
        let mut address = match (&input.association_id, &input.public_ip) {
            (Some(id), _) => by_association(tx, id)?,
            (None, Some(text)) => by_address(tx, text)?,
            (None, None) => return Err(Error::missing("AssociationId")),
        };
        require_own(&ctx, &address)?;
        require_movable(tx, &address)?;
        if address.interface.is_none() {
            return Err(Error::AssociationNotFound(address.address.to_string()));
        }
        take_off(tx, &mut address)
    };
    ctx.store.write(write).await?;
    Ok(DisassociateAddressOutput {})
}

fn by_association(tx: &ReadTx<'_>, id: &str) -> Result<Address> {
    for address in tx.scan(&ADDRESSES, ())? {
        let holder = address.interface.as_ref().map(|id| tx.get(&INTERFACES, id)).transpose()?;
        let association = holder.flatten().and_then(|eni| association_in(&eni, &address));
        if association.is_some_and(|association| association.as_str() == id) {
            return Ok(address);
        }
    }
    Err(Error::AssociationNotFound(id.to_owned()))
}

const FIELDS: &[Field<ec2_api::Address>] = &[
    ("allocation-id", |address| listing::text(address.allocation_id.as_ref())),
    ("association-id", |address| listing::text(address.association_id.as_ref())),
    ("domain", |address| listing::shown(address.domain)),
    ("instance-id", |address| listing::text(address.instance_id.as_ref())),
    ("network-border-group", |address| listing::text(address.network_border_group.as_ref())),
    ("network-interface-id", |address| listing::text(address.network_interface_id.as_ref())),
    ("network-interface-owner-id", |address| {
        listing::text(address.network_interface_owner_id.as_ref())
    }),
    ("private-ip-address", |address| listing::text(address.private_ip_address.as_ref())),
    ("public-ip", |address| listing::text(address.public_ip.as_ref())),
    ("service-managed", |address| listing::shown(address.service_managed)),
];

/// Tells the account's elastic IP addresses.
///
/// AWS: DescribeAddresses.
pub(crate) async fn describe_addresses(
    ctx: Ctx,
    input: DescribeAddressesInput,
) -> Result<DescribeAddressesOutput> {
    let read = |tx: &ReadTx<'_>| {
        let all = tx.scan(&ADDRESSES, ())?;
        all.iter().map(|address| described(tx, &ctx, address)).collect::<Result<Vec<_>>>()
    };
    let all = ctx.store.read(read).await?;
    let all = listing::named(
        all,
        &input.allocation_ids,
        |address| address.allocation_id.as_deref().unwrap_or_default(),
        Error::AllocationNotFound,
    )?;
    let all = listing::named(
        all,
        &input.public_ips,
        |address| address.public_ip.as_deref().unwrap_or_default(),
        Error::AddressNotFound,
    )?;
    let addresses = listing::select(all, &input.filters, FIELDS, |address| &address.tags)?;
    Ok(DescribeAddressesOutput { addresses })
}

fn described(tx: &ReadTx<'_>, ctx: &Ctx, address: &Address) -> Result<ec2_api::Address> {
    let holder = address.interface.as_ref().map(|id| tx.get(&INTERFACES, id)).transpose()?;
    let holder = holder.flatten();
    let private = holder.as_ref().and_then(|eni| {
        eni.addresses.iter().find(|private| {
            private.public.as_ref().is_some_and(|public| public.address == address.address)
        })
    });
    let association = holder.as_ref().and_then(|eni| association_in(eni, address));
    let service = address.requester.as_deref();
    Ok(ec2_api::Address {
        allocation_id: Some(address.id.to_string()),
        public_ip: Some(address.address.to_string()),
        domain: Some(DomainType::Vpc),
        public_ipv4_pool: Some("amazon".to_owned()),
        network_border_group: Some(ctx.region.to_string()),
        association_id: association.map(|id| id.to_string()),
        network_interface_id: holder.as_ref().map(|eni| eni.id.to_string()),
        network_interface_owner_id: holder.as_ref().map(|_| ctx.account.to_string()),
        private_ip_address: private.map(|private| private.address.to_string()),
        instance_id: holder.as_ref().and_then(Interface::instance).map(ToString::to_string),
        service_managed: match service {
            Some("elasticloadbalancing.amazonaws.com") => Some(ServiceManaged::Alb),
            Some("rds.amazonaws.com") => Some(ServiceManaged::Rds),
            _ => None,
        },
        tags: tags::wire_of(tx, &address.id)?,
        ..ec2_api::Address::default()
    })
}
