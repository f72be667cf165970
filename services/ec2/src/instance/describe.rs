//! Instances as they are answered, and DescribeInstances.

use base::{ResourceId, Timestamp};
use ec2_api::{
    ArchitectureValues, AttachmentStatus, BootModeValues, CapacityReservationPreference,
    CapacityReservationSpecificationResponse, CpuOptions, DescribeInstancesInput,
    DescribeInstancesOutput, DeviceType, EbsInstanceBlockDevice, EnclaveOptions, GroupIdentifier,
    HibernationOptions, HostnameType, HttpTokensState, HypervisorType, IamInstanceProfile,
    InstanceAutoRecoveryState, InstanceBlockDeviceMapping, InstanceBootModeValues,
    InstanceMaintenanceOptions, InstanceMetadataEndpointState, InstanceMetadataOptionsResponse,
    InstanceMetadataOptionsState, InstanceMetadataProtocolState, InstanceMetadataTagsState,
    InstanceNetworkInterface, InstanceNetworkInterfaceAssociation,
    InstanceNetworkInterfaceAttachment, InstancePrivateIpAddress, InstanceState, Monitoring,
    MonitoringState, NetworkInterfaceStatus, Placement, PrivateDnsNameOptionsResponse, Reservation,
    StateReason, Tenancy, VirtualizationType,
};
use store::ReadTx;

use super::store::{INSTANCES, Instance, MetadataOptions, State};
use super::types::InstanceType;
use super::{interfaces_of, parse};
use crate::Ctx;
use crate::error::{Error, Result};
use crate::instance::network;
use crate::listing::{self, Asked, Field};
use crate::tags;
use crate::volume::VOLUMES;
use crate::vpc::store::{Interface, PrivateAddress, SECURITY_GROUPS};

type Wire = ec2_api::Instance;

/// A state as it is answered.
pub(super) fn state_of(state: State) -> InstanceState {
    InstanceState { code: Some(state.code()), name: Some(state.name()) }
}

/// The groups called `ids` with their names.
fn groups_of(tx: &ReadTx<'_>, ids: &[ResourceId]) -> Result<Vec<GroupIdentifier>> {
    let mut groups = Vec::new();
    for id in ids {
        let group = tx.get(&SECURITY_GROUPS, id)?;
        groups.push(GroupIdentifier {
            group_id: Some(id.to_string()),
            group_name: group.map(|group| group.name),
        });
    }
    Ok(groups)
}

fn association(ctx: &Ctx, address: &PrivateAddress) -> Option<InstanceNetworkInterfaceAssociation> {
    let public = address.public.as_ref()?;
    let owner = if public.elastic.is_some() { ctx.account.as_str() } else { "amazon" };
    Some(InstanceNetworkInterfaceAssociation {
        ip_owner_id: Some(owner.to_owned()),
        public_dns_name: Some(network::public_name(&ctx.region, public.address)),
        public_ip: Some(public.address.to_string()),
        ..InstanceNetworkInterfaceAssociation::default()
    })
}

fn interface(tx: &ReadTx<'_>, ctx: &Ctx, eni: &Interface) -> Result<InstanceNetworkInterface> {
    let private_name = |address| Some(network::private_name(&ctx.region, address));
    let attachment = eni.attachment.as_ref().map(|at| InstanceNetworkInterfaceAttachment {
        attach_time: Some(at.attached),
        attachment_id: Some(at.id.to_string()),
        delete_on_termination: Some(at.delete_on_termination),
        device_index: Some(i32::from(at.device_index)),
        status: Some(AttachmentStatus::Attached),
        network_card_index: Some(0),
        ..InstanceNetworkInterfaceAttachment::default()
    });
    let address = |(n, address): (usize, &PrivateAddress)| InstancePrivateIpAddress {
        association: association(ctx, address),
        primary: Some(n == 0),
        private_dns_name: private_name(address.address),
        private_ip_address: Some(address.address.to_string()),
    };
    Ok(InstanceNetworkInterface {
        association: eni.addresses.first().and_then(|address| association(ctx, address)),
        attachment,
        description: Some(eni.description.clone()),
        groups: groups_of(tx, &eni.groups)?,
        mac_address: Some(eni.mac.to_string()),
        network_interface_id: Some(eni.id.to_string()),
        owner_id: Some(ctx.account.to_string()),
        private_dns_name: private_name(eni.primary()),
        private_ip_address: Some(eni.primary().to_string()),
        private_ip_addresses: eni.addresses.iter().enumerate().map(address).collect(),
        source_dest_check: Some(eni.source_dest_check),
        status: Some(NetworkInterfaceStatus::InUse),
        subnet_id: Some(eni.subnet.to_string()),
        vpc_id: Some(eni.vpc.to_string()),
        interface_type: Some("interface".to_owned()),
        ..InstanceNetworkInterface::default()
    })
}

/// Metadata options as they are answered.
pub(super) fn metadata_of(options: &MetadataOptions) -> InstanceMetadataOptionsResponse {
    use InstanceMetadataEndpointState as Endpoint;
    use InstanceMetadataTagsState as TagsState;
    InstanceMetadataOptionsResponse {
        state: Some(InstanceMetadataOptionsState::Applied),
        http_tokens: Some(if options.tokens_required {
            HttpTokensState::Required
        } else {
            HttpTokensState::Optional
        }),
        http_put_response_hop_limit: Some(i32::from(options.hop_limit)),
        http_endpoint: Some(if options.endpoint { Endpoint::Enabled } else { Endpoint::Disabled }),
        http_protocol_ipv6: Some(InstanceMetadataProtocolState::Disabled),
        instance_metadata_tags: Some(if options.tags {
            TagsState::Enabled
        } else {
            TagsState::Disabled
        }),
    }
}

fn devices(tx: &ReadTx<'_>, instance: &Instance) -> Result<Vec<InstanceBlockDeviceMapping>> {
    let Some(volume) = tx.get(&VOLUMES, &instance.volume)? else { return Ok(Vec::new()) };
    let mapping = volume.attachment.map(|at| InstanceBlockDeviceMapping {
        device_name: Some(at.device),
        ebs: Some(EbsInstanceBlockDevice {
            attach_time: Some(at.at),
            delete_on_termination: Some(at.delete_on_termination),
            status: Some(if volume.made {
                AttachmentStatus::Attached
            } else {
                AttachmentStatus::Attaching
            }),
            volume_id: Some(volume.id.to_string()),
            ..EbsInstanceBlockDevice::default()
        }),
    });
    Ok(mapping.into_iter().collect())
}

/// An instance as it is answered.
pub(super) fn described(tx: &ReadTx<'_>, ctx: &Ctx, instance: &Instance) -> Result<Wire> {
    let enis = interfaces_of(tx, &instance.id)?;
    let primary = enis.first();
    let base = networked(tx, ctx, instance, primary)?;
    let cores = InstanceType::named(&instance.instance_type).ok().map(InstanceType::cores);
    Ok(Wire {
        instance_id: Some(instance.id.to_string()),
        image_id: Some(instance.image.clone()),
        state: Some(state_of(instance.state)),
        state_reason: instance.reason.as_ref().map(|reason| StateReason {
            code: Some(reason.code.clone()),
            message: Some(reason.message.clone()),
        }),
        state_transition_reason: Some(instance.transition.clone()),
        instance_type: Some(instance.instance_type.clone()),
        key_name: instance.key.as_ref().map(|key| key.name.clone()),
        ami_launch_index: i32::try_from(instance.launch_index).ok(),
        launch_time: Some(instance.launched),
        placement: Some(Placement {
            availability_zone: Some(instance.zone.to_string()),
            availability_zone_id: Some(instance.zone.zone_id()),
            group_name: Some(String::new()),
            tenancy: Some(Tenancy::Default),
            ..Placement::default()
        }),
        monitoring: Some(Monitoring {
            state: Some(monitoring(instance.monitoring)),
            ..Monitoring::default()
        }),
        client_token: instance.client_token.clone(),
        ebs_optimized: Some(instance.ebs_optimized),
        iam_instance_profile: instance.profile.as_ref().map(|profile| IamInstanceProfile {
            arn: Some(profile.arn.clone()),
            id: Some(profile.id.clone()).filter(|id| !id.is_empty()),
        }),
        block_device_mappings: devices(tx, instance)?,
        network_interfaces: {
            let enis = enis.iter().map(|eni| interface(tx, ctx, eni));
            enis.collect::<Result<_>>()?
        },
        root_device_name: Some(instance.root_device.clone()),
        metadata_options: Some(metadata_of(&instance.metadata)),
        cpu_options: cores.map(|(cores, threads)| CpuOptions {
            core_count: Some(cores),
            threads_per_core: Some(threads),
            ..CpuOptions::default()
        }),
        maintenance_options: Some(InstanceMaintenanceOptions {
            auto_recovery: Some(if instance.auto_recovery {
                InstanceAutoRecoveryState::Default
            } else {
                InstanceAutoRecoveryState::Disabled
            }),
            reboot_migration: None,
        }),
        usage_operation_update_time: Some(instance.created),
        tags: tags::wire_of(tx, &instance.id)?,
        ..base
    })
}

/// What every instance here is.
fn common() -> Wire {
    Wire {
        architecture: Some(ArchitectureValues::X8664),
        boot_mode: Some(BootModeValues::LegacyBios),
        current_instance_boot_mode: Some(InstanceBootModeValues::LegacyBios),
        capacity_reservation_specification: Some(CapacityReservationSpecificationResponse {
            capacity_reservation_preference: Some(CapacityReservationPreference::Open),
            ..CapacityReservationSpecificationResponse::default()
        }),
        ena_support: Some(true),
        enclave_options: Some(EnclaveOptions { enabled: Some(false) }),
        hibernation_options: Some(HibernationOptions { configured: Some(false) }),
        hypervisor: Some(HypervisorType::Xen),
        platform_details: Some("Linux/UNIX".to_owned()),
        root_device_type: Some(DeviceType::Ebs),
        usage_operation: Some("RunInstances".to_owned()),
        virtualization_type: Some(VirtualizationType::Hvm),
        ..Wire::default()
    }
}

/// What an instance shows of its primary interface: nothing once that is gone.
fn networked(
    tx: &ReadTx<'_>,
    ctx: &Ctx,
    instance: &Instance,
    primary: Option<&Interface>,
) -> Result<Wire> {
    let none = Wire {
        private_dns_name: Some(String::new()),
        public_dns_name: Some(String::new()),
        ..common()
    };
    let Some(eni) = primary else { return Ok(none) };
    let public = eni.public();
    let public_name = public.map(|public| network::public_name(&ctx.region, public));
    Ok(Wire {
        private_dns_name: Some(format!(
            "{}.{}",
            instance.hostname,
            network::private_domain(&ctx.region)
        )),
        public_dns_name: Some(public_name.unwrap_or_default()),
        private_dns_name_options: Some(PrivateDnsNameOptionsResponse {
            hostname_type: Some(HostnameType::IpName),
            enable_resource_name_dns_a_record: Some(false),
            enable_resource_name_dns_aaaa_record: Some(false),
        }),
        private_ip_address: Some(eni.primary().to_string()),
        public_ip_address: public.map(|public| public.to_string()),
        security_groups: groups_of(tx, &eni.groups)?,
        source_dest_check: Some(eni.source_dest_check),
        subnet_id: Some(eni.subnet.to_string()),
        vpc_id: Some(eni.vpc.to_string()),
        ..common()
    })
}

pub(super) fn monitoring(on: bool) -> MonitoringState {
    if on { MonitoringState::Enabled } else { MonitoringState::Disabled }
}

/// What filters look at: an instance with what its reservation says.
struct Found {
    reservation: String,
    requester: Option<String>,
    owner: String,
    instance: Wire,
}

const FIELDS: &[Field<Found>] = &[
    ("reservation-id", |f| vec![f.reservation.clone()]),
    ("owner-id", |f| vec![f.owner.clone()]),
    ("requester-id", |f| listing::text(f.requester.as_ref())),
    ("instance-id", |f| listing::text(f.instance.instance_id.as_ref())),
    ("instance-type", |f| listing::text(f.instance.instance_type.as_ref())),
    ("image-id", |f| listing::text(f.instance.image_id.as_ref())),
    ("key-name", |f| listing::text(f.instance.key_name.as_ref())),
    ("client-token", |f| listing::text(f.instance.client_token.as_ref())),
    ("architecture", |f| listing::shown(f.instance.architecture)),
    ("hypervisor", |f| listing::shown(f.instance.hypervisor)),
    ("virtualization-type", |f| listing::shown(f.instance.virtualization_type)),
    ("root-device-type", |f| listing::shown(f.instance.root_device_type)),
    ("root-device-name", |f| listing::text(f.instance.root_device_name.as_ref())),
    ("launch-index", |f| listing::shown(f.instance.ami_launch_index)),
    ("launch-time", |f| listing::shown(f.instance.launch_time)),
    ("availability-zone", |f| placement(f, |p| p.availability_zone.clone())),
    ("availability-zone-id", |f| placement(f, |p| p.availability_zone_id.clone())),
    ("tenancy", |f| placement(f, |p| Some(p.tenancy?.to_string()))),
    ("monitoring-state", |f| listing::shown(f.instance.monitoring.as_ref().and_then(|m| m.state))),
    ("instance-state-name", |f| {
        listing::shown(f.instance.state.as_ref().and_then(|state| state.name))
    }),
    ("instance-state-code", |f| {
        listing::shown(f.instance.state.as_ref().and_then(|state| state.code))
    }),
    ("state-reason-code", |f| {
        listing::text(f.instance.state_reason.as_ref().and_then(|reason| reason.code.as_ref()))
    }),
    ("reason", |f| listing::text(f.instance.state_transition_reason.as_ref())),
    ("vpc-id", |f| listing::text(f.instance.vpc_id.as_ref())),
    ("subnet-id", |f| listing::text(f.instance.subnet_id.as_ref())),
    ("private-ip-address", |f| listing::text(f.instance.private_ip_address.as_ref())),
    ("ip-address", |f| listing::text(f.instance.public_ip_address.as_ref())),
    ("private-dns-name", |f| listing::text(f.instance.private_dns_name.as_ref())),
    ("dns-name", |f| listing::text(f.instance.public_dns_name.as_ref())),
    ("source-dest-check", |f| listing::shown(f.instance.source_dest_check)),
    ("instance.group-id", |f| groups(&f.instance.security_groups, |g| g.group_id.clone())),
    ("instance.group-name", |f| groups(&f.instance.security_groups, |g| g.group_name.clone())),
    ("group-id", |f| groups(&f.instance.security_groups, |g| g.group_id.clone())),
    ("group-name", |f| groups(&f.instance.security_groups, |g| g.group_name.clone())),
    ("iam-instance-profile.arn", |f| {
        listing::text(f.instance.iam_instance_profile.as_ref().and_then(|p| p.arn.as_ref()))
    }),
    ("metadata-options.http-tokens", |f| metadata(f, |m| Some(m.http_tokens?.to_string()))),
    ("metadata-options.http-endpoint", |f| metadata(f, |m| Some(m.http_endpoint?.to_string()))),
    ("block-device-mapping.device-name", |f| {
        f.instance.block_device_mappings.iter().filter_map(|d| d.device_name.clone()).collect()
    }),
    ("block-device-mapping.volume-id", |f| {
        let devices = f.instance.block_device_mappings.iter();
        devices.filter_map(|d| d.ebs.as_ref()?.volume_id.clone()).collect()
    }),
    ("network-interface.network-interface-id", |f| enis(f, |e| e.network_interface_id.clone())),
    ("network-interface.subnet-id", |f| enis(f, |e| e.subnet_id.clone())),
    ("network-interface.vpc-id", |f| enis(f, |e| e.vpc_id.clone())),
    ("network-interface.mac-address", |f| enis(f, |e| e.mac_address.clone())),
    ("network-interface.description", |f| enis(f, |e| e.description.clone())),
    ("network-interface.status", |f| enis(f, |e| Some(e.status?.to_string()))),
    ("network-interface.addresses.private-ip-address", |f| {
        let addresses = f.instance.network_interfaces.iter().flat_map(|e| &e.private_ip_addresses);
        addresses.filter_map(|address| address.private_ip_address.clone()).collect()
    }),
    ("network-interface.addresses.association.public-ip", |f| {
        let addresses = f.instance.network_interfaces.iter().flat_map(|e| &e.private_ip_addresses);
        addresses.filter_map(|a| a.association.as_ref()?.public_ip.clone()).collect()
    }),
    ("network-interface.group-id", |f| {
        let all = f.instance.network_interfaces.iter().flat_map(|e| &e.groups);
        all.filter_map(|group| group.group_id.clone()).collect()
    }),
];

fn placement(found: &Found, of: fn(&Placement) -> Option<String>) -> Vec<String> {
    found.instance.placement.as_ref().and_then(of).into_iter().collect()
}

fn metadata(
    found: &Found,
    of: fn(&InstanceMetadataOptionsResponse) -> Option<String>,
) -> Vec<String> {
    found.instance.metadata_options.as_ref().and_then(of).into_iter().collect()
}

fn groups(groups: &[GroupIdentifier], of: fn(&GroupIdentifier) -> Option<String>) -> Vec<String> {
    groups.iter().filter_map(of).collect()
}

fn enis(found: &Found, of: fn(&InstanceNetworkInterface) -> Option<String>) -> Vec<String> {
    found.instance.network_interfaces.iter().filter_map(of).collect()
}

/// Tells the account's instances, by reservation. A terminated one is told for an hour.
///
/// AWS: DescribeInstances.
pub(crate) async fn describe_instances(
    ctx: Ctx,
    input: DescribeInstancesInput,
) -> Result<DescribeInstancesOutput> {
    for id in &input.instance_ids {
        parse(id)?;
    }
    let read = |tx: &ReadTx<'_>| {
        let all = tx.scan(&INSTANCES, ())?;
        let named =
            listing::named(all, &input.instance_ids, |i| i.id.as_str(), Error::InstanceNotFound)?;
        let found = |instance: Instance| {
            Ok::<_, Error>(Found {
                instance: described(tx, &ctx, &instance)?,
                reservation: instance.reservation.to_string(),
                requester: instance.requester,
                owner: ctx.account.to_string(),
            })
        };
        named.into_iter().map(found).collect::<Result<Vec<_>>>()
    };
    let all = ctx.store.read(read).await?;
    let selected = listing::select(all, &input.filters, FIELDS, |found| &found.instance.tags)?;
    let asked = Asked {
        ids: &input.instance_ids,
        max_results: input.max_results,
        next_token: input.next_token.as_deref(),
    };
    // Reservations stay together on a page, in the order that they were made in.
    let key = |found: &Found| {
        let launched = found.instance.usage_operation_update_time.map_or(0, Timestamp::as_millis);
        let index = found.instance.ami_launch_index.unwrap_or_default();
        let id = found.instance.instance_id.as_deref().unwrap_or_default();
        format!("{launched:020} {} {index:06} {id}", found.reservation)
    };
    let (page, next_token) = listing::page(selected, asked, key)?;
    let mut reservations: Vec<Reservation> = Vec::new();
    for found in page {
        let known = reservations
            .last_mut()
            .filter(|last| last.reservation_id.as_ref() == Some(&found.reservation));
        match known {
            Some(reservation) => reservation.instances.push(found.instance),
            None => reservations.push(Reservation {
                reservation_id: Some(found.reservation),
                owner_id: Some(found.owner),
                requester_id: found.requester,
                groups: Vec::new(),
                instances: vec![found.instance],
            }),
        }
    }
    Ok(DescribeInstancesOutput { next_token, reservations })
}
