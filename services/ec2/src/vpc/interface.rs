//! Elastic network interfaces.

use std::net::Ipv4Addr;

use base::ResourceId;
use ec2_api::{
    AssignPrivateIpAddressesInput, AssignPrivateIpAddressesOutput, AssignedPrivateIpAddress,
    AttributeBooleanValue, AttributeValue, CreateNetworkInterfaceInput,
    CreateNetworkInterfaceOutput, DeleteNetworkInterfaceInput, DeleteNetworkInterfaceOutput,
    DescribeNetworkInterfaceAttributeInput, DescribeNetworkInterfaceAttributeOutput,
    DescribeNetworkInterfacesInput, DescribeNetworkInterfacesOutput,
    ModifyNetworkInterfaceAttributeInput, ModifyNetworkInterfaceAttributeOutput, NetworkInterface,
    NetworkInterfaceAttribute, UnassignPrivateIpAddressesInput, UnassignPrivateIpAddressesOutput,
};
use kernel::quota::Quota;
use kernel::token::{self, Known};
use store::{ReadTx, WriteTx};

use super::placement::{self, NewInterface, Secondary};
use super::store::{ADDRESSES, INTERFACES, Interface, InterfaceKind, SUBNETS};
use super::{interface_view as view, security_group, subnet};
use crate::Ctx;
use crate::error::{Error, Result, refuse};
use crate::listing::{self, Asked};
use crate::maker::{Maker, requester};
use crate::tags;

/// Network interfaces per region.
///
/// AWS: "Amazon VPC quotas".
const INTERFACES_MAX: Quota = Quota { service: "vpc", code: "L-DF5E4CA3", default: 5000 };

/// The interface called `id`.
pub(crate) fn get(tx: &ReadTx<'_>, id: &str) -> Result<Interface> {
    let parsed = ResourceId::parse("eni", id);
    let found = parsed.map(|id| tx.get(&INTERFACES, &id)).transpose()?.flatten();
    found.ok_or_else(|| Error::InterfaceNotFound(id.to_owned()))
}

/// An IPv4 address as a client wrote it.
pub(crate) fn address_from(text: &str) -> Result<Ipv4Addr> {
    text.parse().map_err(|_| {
        Error::value(format!("Invalid value '{text}' for IPv4 address. It is not an address."))
    })
}

/// Refuses to let anyone but its service touch what a service made for itself.
pub(crate) fn require_own(ctx: &Ctx, interface: &Interface) -> Result<()> {
    match &interface.requester {
        Some(service) if requester(ctx) != Some(service.as_str()) => {
            Err(Error::OperationNotPermitted(format!(
                "You do not have permission to manage the network interface '{}'. It is managed \
                 by {service}.",
                interface.id
            )))
        }
        _ => Ok(()),
    }
}

/// The private addresses that are asked for: the primary one and the others.
fn addresses_from(input: &CreateNetworkInterfaceInput) -> Result<(Option<Ipv4Addr>, Secondary)> {
    let mut primary = input.private_ip_address.as_deref().map(address_from).transpose()?;
    let mut others = Vec::new();
    for wanted in &input.private_ip_addresses {
        let text = wanted.private_ip_address.as_deref();
        let address = address_from(text.ok_or_else(|| Error::missing("privateIpAddress"))?)?;
        if wanted.primary != Some(true) {
            others.push(address);
        } else if primary.replace(address).is_some() {
            return Err(Error::value("Only one primary private IP address can be specified."));
        }
    }
    let Some(count) = input.secondary_private_ip_address_count else {
        return Ok((primary, Secondary::These(others)));
    };
    if !input.private_ip_addresses.is_empty() {
        return Err(Error::InvalidParameterCombination(
            "The parameters secondaryPrivateIpAddressCount and privateIpAddresses cannot be used \
             together"
                .to_owned(),
        ));
    }
    let count = usize::try_from(count)
        .map_err(|_| Error::value("secondaryPrivateIpAddressCount must not be negative"))?;
    Ok((primary, Secondary::Count(count)))
}

/// Makes a network interface.
///
/// AWS: CreateNetworkInterface.
pub(crate) async fn create_network_interface(
    ctx: Ctx,
    input: CreateNetworkInterfaceInput,
) -> Result<CreateNetworkInterfaceOutput> {
    const KIND: &str = "network-interface";
    const OPERATION: &str = "CreateNetworkInterface";
    refuse(&[
        ("Ipv4Prefixes", !input.ipv4_prefixes.is_empty()),
        ("Ipv4PrefixCount", input.ipv4_prefix_count.is_some()),
        ("Ipv6Prefixes", !input.ipv6_prefixes.is_empty()),
        ("Ipv6PrefixCount", input.ipv6_prefix_count.is_some()),
        ("InterfaceType", input.interface_type.is_some()),
        ("EnablePrimaryIpv6", input.enable_primary_ipv6 == Some(true)),
        ("ConnectionTrackingSpecification", input.connection_tracking_specification.is_some()),
        ("Operator", input.operator.is_some()),
        ("Ipv6Addresses", !input.ipv6_addresses.is_empty()),
        ("Ipv6AddressCount", input.ipv6_address_count.is_some_and(|count| count != 0)),
    ])?;
    let wanted = tags::specified(&ctx, &input.tag_specifications, &[KIND], KIND)?;
    let (primary, secondary) = addresses_from(&input)?;
    let limit = INTERFACES_MAX.value(ctx.store.store(), ctx.store.scope()).await?;
    let group_limit = security_group::interface_limit(&ctx).await?;
    let requester = requester(&ctx).map(str::to_owned);
    let unmarked = CreateNetworkInterfaceInput { client_token: None, ..input.clone() };
    let fingerprint = token::fingerprint(&unmarked);
    let write = |tx: &mut WriteTx<'_>| {
        if let Some(client_token) = &input.client_token {
            match token::look_up(tx, OPERATION, client_token, &fingerprint)? {
                Known::New => {}
                Known::Same(id) => return view::described(tx, &ctx, &get(tx, &id)?),
                Known::Different => return Err(Error::IdempotentParameterMismatch),
            }
        }
        let subnet = subnet::get(tx, &input.subnet_id)?;
        if tx.scan(&INTERFACES, ())?.len() as u64 >= limit {
            return Err(Error::InterfaceLimitExceeded);
        }
        let new = NewInterface {
            subnet: &subnet,
            kind: InterfaceKind::Interface,
            description: input.description.clone().unwrap_or_default(),
            groups: security_group::for_interface(tx, &subnet.vpc, &input.groups, group_limit)?,
            primary,
            secondary: secondary.clone(),
            requester: requester.clone(),
            tags: wanted.clone(),
        };
        let interface = placement::make(tx, Maker::of(&ctx), new)?;
        if let Some(client_token) = &input.client_token {
            let id = interface.id.as_str();
            token::remember(tx, OPERATION, client_token, &fingerprint, id, ctx.now())?;
        }
        view::described(tx, &ctx, &interface)
    };
    let network_interface = Some(ctx.store.write(write).await?);
    Ok(CreateNetworkInterfaceOutput { network_interface, client_token: input.client_token })
}

/// Removes an interface that nothing uses.
///
/// AWS: DeleteNetworkInterface.
pub(crate) async fn delete_network_interface(
    ctx: Ctx,
    input: DeleteNetworkInterfaceInput,
) -> Result<DeleteNetworkInterfaceOutput> {
    let write = |tx: &mut WriteTx<'_>| {
        let interface = get(tx, &input.network_interface_id)?;
        let foreign = require_own(&ctx, &interface).is_err();
        if foreign || interface.attachment.is_some() || interface.kind == InterfaceKind::NatGateway
        {
            return Err(Error::value(format!(
                "Network interface '{}' is currently in use.",
                interface.id
            )));
        }
        placement::remove(tx, &interface)
    };
    ctx.store.write(write).await?;
    Ok(DeleteNetworkInterfaceOutput {})
}

/// Tells the account's network interfaces.
///
/// AWS: DescribeNetworkInterfaces.
pub(crate) async fn describe_network_interfaces(
    ctx: Ctx,
    input: DescribeNetworkInterfacesInput,
) -> Result<DescribeNetworkInterfacesOutput> {
    let read = |tx: &ReadTx<'_>| {
        let mut all = tx.scan(&INTERFACES, ())?;
        if !input.network_interface_ids.is_empty() {
            for id in &input.network_interface_ids {
                get(tx, id)?;
            }
            all.retain(|eni| input.network_interface_ids.iter().any(|id| id == eni.id.as_str()));
        }
        all.iter().map(|eni| view::described(tx, &ctx, eni)).collect::<Result<Vec<_>>>()
    };
    let all = ctx.store.read(read).await?;
    let id = |eni: &NetworkInterface| eni.network_interface_id.clone().unwrap_or_default();
    let all = listing::select(all, &input.filters, view::FIELDS, |eni| &eni.tag_set)?;
    let asked = Asked {
        ids: &input.network_interface_ids,
        max_results: input.max_results,
        next_token: input.next_token.as_deref(),
    };
    let (network_interfaces, next_token) = listing::page(all, asked, id)?;
    Ok(DescribeNetworkInterfacesOutput { network_interfaces, next_token })
}

/// Tells one attribute of an interface.
///
/// AWS: DescribeNetworkInterfaceAttribute.
pub(crate) async fn describe_network_interface_attribute(
    ctx: Ctx,
    input: DescribeNetworkInterfaceAttributeInput,
) -> Result<DescribeNetworkInterfaceAttributeOutput> {
    let read = |tx: &ReadTx<'_>| {
        let interface = get(tx, &input.network_interface_id)?;
        Ok::<_, Error>((view::described(tx, &ctx, &interface)?, interface.wants_public))
    };
    let (described, wants_public) = ctx.store.read(read).await?;
    let mut output = DescribeNetworkInterfaceAttributeOutput {
        network_interface_id: described.network_interface_id,
        ..DescribeNetworkInterfaceAttributeOutput::default()
    };
    match input.attribute.ok_or_else(|| Error::missing("attribute"))? {
        NetworkInterfaceAttribute::Description => {
            output.description = Some(AttributeValue { value: described.description });
        }
        NetworkInterfaceAttribute::GroupSet => output.groups = described.groups,
        NetworkInterfaceAttribute::SourceDestCheck => {
            output.source_dest_check =
                Some(AttributeBooleanValue { value: described.source_dest_check });
        }
        NetworkInterfaceAttribute::Attachment => output.attachment = described.attachment,
        NetworkInterfaceAttribute::AssociatePublicIpAddress => {
            output.associate_public_ip_address = Some(wants_public);
        }
    }
    Ok(output)
}

/// Changes one attribute of an interface.
///
/// AWS: ModifyNetworkInterfaceAttribute.
pub(crate) async fn modify_network_interface_attribute(
    ctx: Ctx,
    input: ModifyNetworkInterfaceAttributeInput,
) -> Result<ModifyNetworkInterfaceAttributeOutput> {
    refuse(&[
        ("EnaSrdSpecification", input.ena_srd_specification.is_some()),
        ("EnablePrimaryIpv6", input.enable_primary_ipv6 == Some(true)),
        ("ConnectionTrackingSpecification", input.connection_tracking_specification.is_some()),
        ("AssociatedSubnetIds", !input.associated_subnet_ids.is_empty()),
    ])?;
    let given = [
        input.description.is_some(),
        input.source_dest_check.is_some(),
        !input.groups.is_empty(),
        input.attachment.is_some(),
        input.associate_public_ip_address.is_some(),
    ];
    match given.iter().filter(|given| **given).count() {
        0 => return Err(Error::missing("attribute")),
        1 => {}
        _ => {
            return Err(Error::InvalidParameterCombination(
                "Only one attribute can be modified at a time".to_owned(),
            ));
        }
    }
    let group_limit = security_group::interface_limit(&ctx).await?;
    let write = |tx: &mut WriteTx<'_>| {
        let mut interface = get(tx, &input.network_interface_id)?;
        require_own(&ctx, &interface)?;
        change(tx, &ctx, &input, &mut interface, group_limit)?;
        Ok::<_, Error>(tx.put(&INTERFACES, &interface)?)
    };
    ctx.store.write(write).await?;
    Ok(ModifyNetworkInterfaceAttributeOutput {})
}

fn change(
    tx: &mut WriteTx<'_>,
    ctx: &Ctx,
    input: &ModifyNetworkInterfaceAttributeInput,
    interface: &mut Interface,
    group_limit: u64,
) -> Result<()> {
    if let Some(description) = &input.description {
        interface.description = description.value.clone().unwrap_or_default();
    }
    if let Some(check) = input.source_dest_check.as_ref().and_then(|check| check.value) {
        interface.source_dest_check = check;
    }
    if !input.groups.is_empty() {
        interface.groups =
            security_group::for_interface(tx, &interface.vpc, &input.groups, group_limit)?;
    }
    if let Some(changes) = &input.attachment {
        refuse(&[
            ("Attachment.DefaultEnaQueueCount", changes.default_ena_queue_count.is_some()),
            ("Attachment.EnaQueueCount", changes.ena_queue_count.is_some()),
        ])?;
        let id = changes.attachment_id.clone().ok_or_else(|| Error::missing("attachmentId"))?;
        let own = interface.attachment.as_mut().filter(|own| own.id.as_str() == id);
        let own = own.ok_or(Error::AttachmentNotFound(id))?;
        own.delete_on_termination =
            changes.delete_on_termination.unwrap_or(own.delete_on_termination);
    }
    match input.associate_public_ip_address {
        Some(true) => placement::assign_public(tx, Maker::of(ctx), interface),
        Some(false) => {
            interface.wants_public = false;
            placement::unassign_public(tx, interface)
        }
        None => Ok(()),
    }
}

/// Gives an interface further private addresses.
///
/// AWS: AssignPrivateIpAddresses.
pub(crate) async fn assign_private_ip_addresses(
    ctx: Ctx,
    input: AssignPrivateIpAddressesInput,
) -> Result<AssignPrivateIpAddressesOutput> {
    refuse(&[
        ("Ipv4Prefixes", !input.ipv4_prefixes.is_empty()),
        ("Ipv4PrefixCount", input.ipv4_prefix_count.is_some()),
    ])?;
    let these: Vec<Ipv4Addr> =
        input.private_ip_addresses.iter().map(|text| address_from(text)).collect::<Result<_>>()?;
    let wanted = match (input.secondary_private_ip_address_count, these.is_empty()) {
        (Some(count), true) => Secondary::Count(
            usize::try_from(count)
                .map_err(|_| Error::value("secondaryPrivateIpAddressCount must not be negative"))?,
        ),
        (None, false) => Secondary::These(these),
        (Some(_), false) => {
            return Err(Error::InvalidParameterCombination(
                "The parameters secondaryPrivateIpAddressCount and privateIpAddress cannot be \
                 used together"
                    .to_owned(),
            ));
        }
        (None, true) => return Err(Error::missing("secondaryPrivateIpAddressCount")),
    };
    let write = |tx: &mut WriteTx<'_>| {
        let mut interface = get(tx, &input.network_interface_id)?;
        require_own(&ctx, &interface)?;
        let subnet = tx.get(&SUBNETS, &interface.subnet)?;
        let subnet = subnet.ok_or_else(|| Error::SubnetNotFound(interface.subnet.to_string()))?;
        let mut wanted = wanted.clone();
        if let Secondary::These(addresses) = &mut wanted {
            addresses.retain(|address| interface.addresses.iter().all(|a| a.address != *address));
            if input.allow_reassignment == Some(true) {
                take_from_others(tx, &interface, addresses)?;
            }
        }
        let added = placement::add(tx, Maker::of(&ctx), &subnet, &mut interface, &wanted)?;
        tx.put(&INTERFACES, &interface)?;
        Ok::<_, Error>(added)
    };
    let added = ctx.store.write(write).await?;
    let assigned = |address: Ipv4Addr| AssignedPrivateIpAddress {
        private_ip_address: Some(address.to_string()),
    };
    Ok(AssignPrivateIpAddressesOutput {
        network_interface_id: Some(input.network_interface_id),
        assigned_private_ip_addresses: added.into_iter().map(assigned).collect(),
        assigned_ipv4_prefixes: Vec::new(),
    })
}

/// Takes secondary addresses from the other interfaces of the subnet that have them.
fn take_from_others(
    tx: &mut WriteTx<'_>,
    interface: &Interface,
    addresses: &[Ipv4Addr],
) -> Result<()> {
    let others = tx.find(&super::store::INTERFACES_BY_SUBNET, &interface.subnet)?;
    for mut other in others.into_iter().filter(|other| other.id != interface.id) {
        let primary = other.primary();
        let moves = |address: Ipv4Addr| address != primary && addresses.contains(&address);
        if other.addresses.iter().any(|private| moves(private.address)) {
            free_publics(tx, &other, moves)?;
            other.addresses.retain(|private| !moves(private.address));
            tx.put(&INTERFACES, &other)?;
        }
    }
    Ok(())
}

/// Frees the elastic addresses that stand for the private ones that go.
fn free_publics(
    tx: &mut WriteTx<'_>,
    interface: &Interface,
    goes: impl Fn(Ipv4Addr) -> bool,
) -> Result<()> {
    for private in interface.addresses.iter().filter(|private| goes(private.address)) {
        let elastic = private.public.as_ref().and_then(|public| public.elastic.as_ref());
        if let Some(elastic) = elastic
            && let Some(mut address) = tx.get(&ADDRESSES, &elastic.allocation)?
        {
            address.interface = None;
            tx.put(&ADDRESSES, &address)?;
        }
    }
    Ok(())
}

/// Takes secondary private addresses from an interface.
///
/// AWS: UnassignPrivateIpAddresses.
pub(crate) async fn unassign_private_ip_addresses(
    ctx: Ctx,
    input: UnassignPrivateIpAddressesInput,
) -> Result<UnassignPrivateIpAddressesOutput> {
    refuse(&[("Ipv4Prefixes", !input.ipv4_prefixes.is_empty())])?;
    let these: Vec<Ipv4Addr> =
        input.private_ip_addresses.iter().map(|text| address_from(text)).collect::<Result<_>>()?;
    let write = |tx: &mut WriteTx<'_>| {
        let mut interface = get(tx, &input.network_interface_id)?;
        require_own(&ctx, &interface)?;
        let primary = interface.primary();
        let secondary = |address: &Ipv4Addr| {
            *address != primary && interface.addresses.iter().any(|a| a.address == *address)
        };
        if let Some(other) = these.iter().find(|address| !secondary(address)) {
            return Err(Error::value(format!(
                "Some of the specified addresses are not assigned to interface {}: {other}",
                interface.id
            )));
        }
        free_publics(tx, &interface, |address| these.contains(&address))?;
        interface.addresses.retain(|private| !these.contains(&private.address));
        Ok(tx.put(&INTERFACES, &interface)?)
    };
    ctx.store.write(write).await?;
    Ok(UnassignPrivateIpAddressesOutput {})
}
