//! Network interfaces as they are answered.

use std::net::Ipv4Addr;

use base::Region;
use ec2_api::{
    AttachmentStatus, GroupIdentifier, NetworkInterface, NetworkInterfaceAssociation,
    NetworkInterfaceAttachment, NetworkInterfacePrivateIpAddress, NetworkInterfaceStatus,
    NetworkInterfaceType, OperatorResponse,
};
use store::ReadTx;

use super::attachment;
use super::store::{
    ADDRESSES, Interface, InterfaceKind, PrivateAddress, PublicAddress, SECURITY_GROUPS, VPCS,
};
use crate::Ctx;
use crate::error::Result;
use crate::listing::{self, Field};
use crate::{region, tags};

/// The private host name of `address`.
///
/// AWS: "DNS attributes for your VPC".
pub(crate) fn private_name(region: &Region, address: Ipv4Addr) -> String {
    format!("ip-{}.{}", dashed(address), region::private_domain(region))
}

/// The public host name of `address`.
///
/// AWS: "DNS attributes for your VPC".
pub(crate) fn public_name(region: &Region, address: Ipv4Addr) -> String {
    format!("ec2-{}.{}", dashed(address), region::public_domain(region))
}

fn dashed(address: Ipv4Addr) -> String {
    address.to_string().replace('.', "-")
}

pub(crate) const FIELDS: &[Field<NetworkInterface>] = &[
    ("addresses.association.owner-id", |eni| associations(eni, |a| a.ip_owner_id.clone())),
    ("addresses.association.public-ip", |eni| associations(eni, |a| a.public_ip.clone())),
    ("addresses.primary", |eni| {
        eni.private_ip_addresses.iter().flat_map(|a| listing::shown(a.primary)).collect()
    }),
    ("addresses.private-ip-address", |eni| {
        eni.private_ip_addresses.iter().filter_map(|a| a.private_ip_address.clone()).collect()
    }),
    ("association.allocation-id", |eni| association(eni, |a| a.allocation_id.clone())),
    ("association.association-id", |eni| association(eni, |a| a.association_id.clone())),
    ("association.ip-owner-id", |eni| association(eni, |a| a.ip_owner_id.clone())),
    ("association.public-dns-name", |eni| association(eni, |a| a.public_dns_name.clone())),
    ("association.public-ip", |eni| association(eni, |a| a.public_ip.clone())),
    ("attachment.attach-time", |eni| attached(eni, |a| a.attach_time.map(|t| t.to_string()))),
    ("attachment.attachment-id", |eni| attached(eni, |a| a.attachment_id.clone())),
    ("attachment.delete-on-termination", |eni| {
        attached(eni, |a| a.delete_on_termination.map(|d| d.to_string()))
    }),
    ("attachment.device-index", |eni| attached(eni, |a| a.device_index.map(|i| i.to_string()))),
    ("attachment.instance-id", |eni| attached(eni, |a| a.instance_id.clone())),
    ("attachment.instance-owner-id", |eni| attached(eni, |a| a.instance_owner_id.clone())),
    ("attachment.status", |eni| attached(eni, |a| a.status.map(|s| s.to_string()))),
    ("availability-zone", |eni| listing::text(eni.availability_zone.as_ref())),
    ("availability-zone-id", |eni| listing::text(eni.availability_zone_id.as_ref())),
    ("description", |eni| listing::text(eni.description.as_ref())),
    ("group-id", |eni| eni.groups.iter().filter_map(|group| group.group_id.clone()).collect()),
    ("group-name", |eni| eni.groups.iter().filter_map(|group| group.group_name.clone()).collect()),
    ("interface-type", |eni| listing::shown(eni.interface_type)),
    ("ipv6-addresses.ipv6-address", |_| Vec::new()),
    ("mac-address", |eni| listing::text(eni.mac_address.as_ref())),
    ("network-interface-id", |eni| listing::text(eni.network_interface_id.as_ref())),
    ("operator.managed", |eni| {
        listing::shown(eni.operator.as_ref().and_then(|operator| operator.managed))
    }),
    ("operator.principal", |eni| {
        listing::shown(eni.operator.as_ref().and_then(|operator| operator.principal.clone()))
    }),
    ("owner-id", |eni| listing::text(eni.owner_id.as_ref())),
    ("private-dns-name", |eni| listing::text(eni.private_dns_name.as_ref())),
    ("private-ip-address", |eni| listing::text(eni.private_ip_address.as_ref())),
    ("requester-id", |eni| listing::text(eni.requester_id.as_ref())),
    ("requester-managed", |eni| listing::shown(eni.requester_managed)),
    ("source-dest-check", |eni| listing::shown(eni.source_dest_check)),
    ("status", |eni| listing::shown(eni.status)),
    ("subnet-id", |eni| listing::text(eni.subnet_id.as_ref())),
    ("vpc-id", |eni| listing::text(eni.vpc_id.as_ref())),
];

fn association(
    eni: &NetworkInterface,
    value: impl Fn(&NetworkInterfaceAssociation) -> Option<String>,
) -> Vec<String> {
    eni.association.as_ref().and_then(value).into_iter().collect()
}

fn associations(
    eni: &NetworkInterface,
    value: impl Fn(&NetworkInterfaceAssociation) -> Option<String>,
) -> Vec<String> {
    let all = eni.private_ip_addresses.iter().filter_map(|address| address.association.as_ref());
    all.filter_map(value).collect()
}

fn attached(
    eni: &NetworkInterface,
    value: impl Fn(&NetworkInterfaceAttachment) -> Option<String>,
) -> Vec<String> {
    eni.attachment.as_ref().and_then(value).into_iter().collect()
}

/// An interface as it is answered.
pub(crate) fn described(
    tx: &ReadTx<'_>,
    ctx: &Ctx,
    interface: &Interface,
) -> Result<NetworkInterface> {
    let vpc = tx.get(&VPCS, &interface.vpc)?;
    let hostnames = vpc.is_some_and(|vpc| vpc.dns_hostnames);
    let mut groups = Vec::new();
    for id in &interface.groups {
        let name = tx.get(&SECURITY_GROUPS, id)?.map(|group| group.name);
        groups.push(GroupIdentifier { group_id: Some(id.to_string()), group_name: name });
    }
    let name = hostnames.then(|| private_name(&ctx.region, interface.primary()));
    let mut private_ip_addresses = Vec::new();
    for private in &interface.addresses {
        let primary = private.address == interface.primary();
        private_ip_addresses.push(address_of(tx, ctx, private, primary, hostnames)?);
    }
    let association = private_ip_addresses.first().and_then(|first| first.association.clone());
    let public_dns_name = association.as_ref().and_then(|known| known.public_dns_name.clone());
    let operator = interface
        .requester
        .as_ref()
        .map(|service| OperatorResponse {
            managed: Some(true),
            principal: Some(service.clone()),
            ..OperatorResponse::default()
        })
        .unwrap_or_else(|| OperatorResponse {
            managed: Some(false),
            ..OperatorResponse::default()
        });
    let managed = interface.requester.is_some() || interface.kind == InterfaceKind::NatGateway;
    Ok(NetworkInterface {
        network_interface_id: Some(interface.id.to_string()),
        owner_id: Some(ctx.account.to_string()),
        vpc_id: Some(interface.vpc.to_string()),
        subnet_id: Some(interface.subnet.to_string()),
        availability_zone: Some(interface.zone.to_string()),
        availability_zone_id: Some(interface.zone.zone_id()),
        description: Some(interface.description.clone()),
        interface_type: Some(match interface.kind {
            InterfaceKind::Interface => NetworkInterfaceType::Interface,
            InterfaceKind::NatGateway => NetworkInterfaceType::NatGateway,
        }),
        mac_address: Some(interface.mac.to_string()),
        groups,
        private_dns_name: name,
        public_dns_name,
        private_ip_address: Some(interface.primary().to_string()),
        private_ip_addresses,
        association,
        attachment: attachment_of(ctx, interface),
        requester_id: interface.requester.as_ref().map(|service| owner_name(service)),
        requester_managed: Some(managed),
        source_dest_check: Some(interface.source_dest_check),
        status: Some(status_of(tx, interface, managed)?),
        operator: Some(operator),
        tag_set: tags::wire_of(tx, &interface.id)?,
        ..NetworkInterface::default()
    })
}

/// The model has no word for an interface that is being made: AWS answers `pending`, this
/// `attaching`.
fn status_of(
    tx: &ReadTx<'_>,
    interface: &Interface,
    managed: bool,
) -> Result<NetworkInterfaceStatus> {
    let used = managed || interface.attachment.is_some();
    Ok(match (attachment::is_up(tx, &interface.id)?, used) {
        (false, _) => NetworkInterfaceStatus::Attaching,
        (true, true) => NetworkInterfaceStatus::InUse,
        (true, false) => NetworkInterfaceStatus::Available,
    })
}

fn attachment_of(ctx: &Ctx, interface: &Interface) -> Option<NetworkInterfaceAttachment> {
    let of_instance = interface.attachment.as_ref().map(|attachment| NetworkInterfaceAttachment {
        attachment_id: Some(attachment.id.to_string()),
        attach_time: Some(attachment.attached),
        delete_on_termination: Some(attachment.delete_on_termination),
        device_index: Some(i32::from(attachment.device_index)),
        network_card_index: Some(0),
        instance_id: Some(attachment.instance.to_string()),
        instance_owner_id: Some(ctx.account.to_string()),
        status: Some(AttachmentStatus::Attached),
        ..NetworkInterfaceAttachment::default()
    });
    let of_service = interface.requester.as_ref().map(|service| NetworkInterfaceAttachment {
        attachment_id: Some(interface.id.as_str().replace("eni-", "ela-attach-")),
        attach_time: Some(interface.created),
        delete_on_termination: Some(false),
        device_index: Some(1),
        network_card_index: Some(0),
        instance_owner_id: Some(owner_name(service)),
        status: Some(AttachmentStatus::Attached),
        ..NetworkInterfaceAttachment::default()
    });
    of_instance.or(of_service)
}

/// AWS's name for a service as owner, as `amazon-rds`.
fn owner_name(service: &str) -> String {
    match service.split('.').next().unwrap_or(service) {
        "elasticloadbalancing" => "amazon-elb".to_owned(),
        other => format!("amazon-{other}"),
    }
}

fn address_of(
    tx: &ReadTx<'_>,
    ctx: &Ctx,
    private: &PrivateAddress,
    primary: bool,
    hostnames: bool,
) -> Result<NetworkInterfacePrivateIpAddress> {
    let association = private.public.as_ref();
    Ok(NetworkInterfacePrivateIpAddress {
        primary: Some(primary),
        private_ip_address: Some(private.address.to_string()),
        private_dns_name: hostnames.then(|| private_name(&ctx.region, private.address)),
        association: association
            .map(|public| association_of(tx, ctx, public, hostnames))
            .transpose()?,
    })
}

fn association_of(
    tx: &ReadTx<'_>,
    ctx: &Ctx,
    public: &PublicAddress,
    hostnames: bool,
) -> Result<NetworkInterfaceAssociation> {
    let elastic = public.elastic.as_ref();
    let held = elastic.map(|e| tx.get(&ADDRESSES, &e.allocation)).transpose()?.flatten();
    let owner = match (elastic, held.and_then(|address| address.requester)) {
        (None, _) => "amazon".to_owned(),
        (Some(_), Some(service)) => owner_name(&service),
        (Some(_), None) => ctx.account.to_string(),
    };
    Ok(NetworkInterfaceAssociation {
        allocation_id: elastic.map(|elastic| elastic.allocation.to_string()),
        association_id: elastic.map(|elastic| elastic.association.to_string()),
        ip_owner_id: Some(owner),
        public_ip: Some(public.address.to_string()),
        public_dns_name: hostnames.then(|| public_name(&ctx.region, public.address)),
        ..NetworkInterfaceAssociation::default()
    })
}
