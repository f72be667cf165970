//! What instances are launched with: the one form that a RunInstances call and a launch template's
//! version are read into. What this region cannot honour is refused here, by name.

use base::{Tags, Zone};
use ec2_api::{
    BlockDeviceMapping, CapacityReservationPreference, HttpTokensState, InstanceAutoRecoveryState,
    InstanceMetadataEndpointState, InstanceMetadataOptionsRequest, InstanceMetadataProtocolState,
    InstanceMetadataTagsState, InstanceNetworkInterfaceSpecification, Placement, RunInstancesInput,
    ShutdownBehavior, Tenancy, VolumeType,
};
use serde::{Deserialize, Serialize};

use super::store::OnShutdown;
use crate::Ctx;
use crate::error::{Error, Result, refuse};
use crate::tags;

/// What tags can be given to at launch.
pub(crate) const TAG_KINDS: &[&str] = &["instance", "volume", "network-interface"];

/// The most bytes of user data, before base64.
///
/// AWS: "Run commands when you launch an EC2 instance with user data input".
const USER_DATA_MAX: usize = 16 << 10;

/// Everything that may be said about a launch; what is not said is absent.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Settings {
    pub(crate) image: Option<String>,
    pub(crate) instance_type: Option<String>,
    pub(crate) key_name: Option<String>,
    /// In base64.
    pub(crate) user_data: Option<String>,
    pub(crate) group_ids: Vec<String>,
    pub(crate) group_names: Vec<String>,
    pub(crate) subnet: Option<String>,
    pub(crate) private_ip: Option<String>,
    pub(crate) interfaces: Vec<InterfaceSettings>,
    pub(crate) profile: Option<ProfileName>,
    pub(crate) devices: Vec<DeviceSettings>,
    pub(crate) zone: Option<String>,
    pub(crate) zone_id: Option<String>,
    pub(crate) monitoring: Option<bool>,
    pub(crate) disable_api_termination: Option<bool>,
    pub(crate) disable_api_stop: Option<bool>,
    pub(crate) on_shutdown: Option<OnShutdown>,
    pub(crate) ebs_optimized: Option<bool>,
    pub(crate) auto_recovery: Option<bool>,
    pub(crate) unlimited_credits: Option<bool>,
    pub(crate) cores: Option<(i32, i32)>,
    pub(crate) metadata: MetadataSettings,
    /// By kind of resource.
    pub(crate) tags: Vec<(String, Tags)>,
}

/// An instance profile by ARN or name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum ProfileName {
    Arn(String),
    Name(String),
}

/// An interface of the launch.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct InterfaceSettings {
    pub(crate) device_index: Option<i32>,
    /// An interface that exists.
    pub(crate) existing: Option<String>,
    pub(crate) subnet: Option<String>,
    pub(crate) description: Option<String>,
    pub(crate) groups: Vec<String>,
    /// The primary one first, if it is named.
    pub(crate) private_ips: Vec<String>,
    /// Whether the first of `private_ips` is the primary one.
    pub(crate) primary_named: bool,
    pub(crate) secondary_count: Option<i32>,
    pub(crate) public_address: Option<bool>,
    pub(crate) delete_on_termination: Option<bool>,
}

/// A block device of the launch.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct DeviceSettings {
    pub(crate) name: String,
    pub(crate) size_gib: Option<i32>,
    pub(crate) volume_type: Option<String>,
    pub(crate) snapshot: Option<String>,
    pub(crate) delete_on_termination: Option<bool>,
}

/// How the metadata service is to treat the instance.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct MetadataSettings {
    pub(crate) tokens_required: Option<bool>,
    pub(crate) hop_limit: Option<u8>,
    pub(crate) endpoint: Option<bool>,
    pub(crate) tags: Option<bool>,
}

impl Settings {
    /// What a call asks for.
    pub(crate) fn of(ctx: &Ctx, input: &RunInstancesInput) -> Result<Self> {
        refuse_unknown(input)?;
        let placement = input.placement.clone().unwrap_or_default();
        refuse_placement(&placement)?;
        if let Some(data) = &input.user_data {
            require_user_data(data)?;
        }
        let capacity = input.capacity_reservation_specification.as_ref();
        if capacity.is_some_and(|c| {
            c.capacity_reservation_target.is_some()
                || c.capacity_reservation_preference
                    == Some(CapacityReservationPreference::CapacityReservationsOnly)
        }) {
            return Err(unsupported("CapacityReservationSpecification"));
        }
        let mut wanted_tags = Vec::new();
        for kind in TAG_KINDS {
            let of_kind = tags::specified(ctx, &input.tag_specifications, TAG_KINDS, kind)?;
            if !of_kind.is_empty() {
                wanted_tags.push(((*kind).to_owned(), of_kind));
            }
        }
        Ok(Self {
            image: input.image_id.clone(),
            instance_type: input.instance_type.clone(),
            key_name: input.key_name.clone(),
            user_data: input.user_data.clone(),
            group_ids: input.security_group_ids.clone(),
            group_names: input.security_groups.clone(),
            subnet: input.subnet_id.clone(),
            private_ip: input.private_ip_address.clone(),
            interfaces: input.network_interfaces.iter().map(interface).collect::<Result<_>>()?,
            profile: profile(input)?,
            devices: input.block_device_mappings.iter().map(device).collect::<Result<_>>()?,
            zone: placement.availability_zone,
            zone_id: placement.availability_zone_id,
            monitoring: input.monitoring.as_ref().map(|monitoring| monitoring.enabled),
            disable_api_termination: input.disable_api_termination,
            disable_api_stop: input.disable_api_stop,
            on_shutdown: input.instance_initiated_shutdown_behavior.map(
                |behavior| match behavior {
                    ShutdownBehavior::Stop => OnShutdown::Stop,
                    ShutdownBehavior::Terminate => OnShutdown::Terminate,
                },
            ),
            ebs_optimized: input.ebs_optimized,
            auto_recovery: input.maintenance_options.as_ref().and_then(|options| {
                Some(options.auto_recovery? == InstanceAutoRecoveryState::Default)
            }),
            unlimited_credits: credits(input)?,
            cores: cores(input)?,
            metadata: input
                .metadata_options
                .as_ref()
                .map_or(Ok(MetadataSettings::default()), metadata)?,
            tags: wanted_tags,
        })
    }

    /// These settings with those of `above` over them, member by member as AWS does it.
    pub(crate) fn overlaid(self, above: Self) -> Self {
        let list = |low: Vec<String>, high: Vec<String>| if high.is_empty() { low } else { high };
        // A call that names a network of its own does not get the template's groups as well.
        let (group_ids, group_names) = if above.group_ids.is_empty() && above.group_names.is_empty()
        {
            (self.group_ids, self.group_names)
        } else {
            (above.group_ids, list(Vec::new(), above.group_names))
        };
        Self {
            image: above.image.or(self.image),
            instance_type: above.instance_type.or(self.instance_type),
            key_name: above.key_name.or(self.key_name),
            user_data: above.user_data.or(self.user_data),
            group_ids,
            group_names,
            subnet: above.subnet.or(self.subnet),
            private_ip: above.private_ip.or(self.private_ip),
            interfaces: overlaid_interfaces(self.interfaces, above.interfaces),
            profile: above.profile.or(self.profile),
            devices: overlaid_devices(self.devices, above.devices),
            zone: above.zone.or(self.zone),
            zone_id: above.zone_id.or(self.zone_id),
            monitoring: above.monitoring.or(self.monitoring),
            disable_api_termination: above.disable_api_termination.or(self.disable_api_termination),
            disable_api_stop: above.disable_api_stop.or(self.disable_api_stop),
            on_shutdown: above.on_shutdown.or(self.on_shutdown),
            ebs_optimized: above.ebs_optimized.or(self.ebs_optimized),
            auto_recovery: above.auto_recovery.or(self.auto_recovery),
            unlimited_credits: above.unlimited_credits.or(self.unlimited_credits),
            cores: above.cores.or(self.cores),
            metadata: MetadataSettings {
                tokens_required: above.metadata.tokens_required.or(self.metadata.tokens_required),
                hop_limit: above.metadata.hop_limit.or(self.metadata.hop_limit),
                endpoint: above.metadata.endpoint.or(self.metadata.endpoint),
                tags: above.metadata.tags.or(self.metadata.tags),
            },
            tags: overlaid_tags(self.tags, above.tags),
        }
    }

    /// The tags of a kind of resource.
    pub(crate) fn tags_of(&self, kind: &str) -> Tags {
        let of_kind = self.tags.iter().filter(|(named, _)| named == kind);
        of_kind.flat_map(|(_, tags)| tags.clone()).collect()
    }

    /// The zone that is asked for, by name or id.
    pub(crate) fn zone(&self, ctx: &Ctx) -> Result<Option<Zone>> {
        let wanted = match (&self.zone, &self.zone_id) {
            (Some(_), Some(_)) => {
                return Err(Error::InvalidParameterCombination(
                    "AvailabilityZone and AvailabilityZoneId cannot both be given".to_owned(),
                ));
            }
            (Some(name), None) => (name, false),
            (None, Some(id)) => (id, true),
            (None, None) => return Ok(None),
        };
        let is = |zone: &Zone| {
            if wanted.1 { zone.zone_id() == *wanted.0 } else { zone.as_str() == wanted.0 }
        };
        let found = ctx.region.zones().into_iter().find(is);
        found.map(Some).ok_or_else(|| Error::InvalidZone(wanted.0.clone()))
    }
}

fn overlaid_interfaces(
    below: Vec<InterfaceSettings>,
    above: Vec<InterfaceSettings>,
) -> Vec<InterfaceSettings> {
    let index = |interface: &InterfaceSettings| interface.device_index.unwrap_or(0);
    let kept = below.into_iter().filter(|low| !above.iter().any(|high| index(high) == index(low)));
    let mut all: Vec<_> = kept.chain(above.iter().cloned()).collect();
    all.sort_by_key(index);
    all
}

fn overlaid_devices(below: Vec<DeviceSettings>, above: Vec<DeviceSettings>) -> Vec<DeviceSettings> {
    let kept = below.into_iter().filter(|low| !above.iter().any(|high| high.name == low.name));
    kept.chain(above.iter().cloned()).collect()
}

fn overlaid_tags(below: Vec<(String, Tags)>, above: Vec<(String, Tags)>) -> Vec<(String, Tags)> {
    let mut all = below;
    for (kind, tags) in above {
        match all.iter_mut().find(|(known, _)| *known == kind) {
            Some((_, known)) => known.extend(tags),
            None => all.push((kind, tags)),
        }
    }
    all
}

fn unsupported(name: &str) -> Error {
    Error::Unsupported(format!("The parameter {name} is not supported by this region"))
}

fn refuse_unknown(input: &RunInstancesInput) -> Result<()> {
    let hibernates = input.hibernation_options.as_ref().is_some_and(|h| h.configured == Some(true));
    let enclave = input.enclave_options.as_ref().is_some_and(|e| e.enabled == Some(true));
    let ip_name = input.private_dns_name_options.as_ref().is_none_or(|dns| {
        dns.hostname_type.is_none_or(|kind| kind == ec2_api::HostnameType::IpName)
            && dns.enable_resource_name_dns_a_record != Some(true)
            && dns.enable_resource_name_dns_aaaa_record != Some(true)
    });
    let market = input.instance_market_options.as_ref();
    refuse(&[
        ("Ipv6AddressCount", input.ipv6_address_count.is_some_and(|count| count != 0)),
        ("Ipv6Address", !input.ipv6_addresses.is_empty()),
        ("KernelId", input.kernel_id.is_some()),
        ("RamdiskId", input.ramdisk_id.is_some()),
        ("ElasticGpuSpecification", !input.elastic_gpu_specification.is_empty()),
        ("ElasticInferenceAccelerator", !input.elastic_inference_accelerators.is_empty()),
        ("InstanceMarketOptions", market.is_some()),
        ("HibernationOptions", hibernates),
        ("LicenseSpecification", !input.license_specifications.is_empty()),
        ("EnclaveOptions", enclave),
        ("PrivateDnsNameOptions", !ip_name),
        ("EnablePrimaryIpv6", input.enable_primary_ipv6 == Some(true)),
        ("NetworkPerformanceOptions", input.network_performance_options.is_some()),
        ("Operator", input.operator.is_some()),
        ("SecondaryInterfaces", !input.secondary_interfaces.is_empty()),
        ("AdditionalInfo", input.additional_info.is_some()),
        (
            "Monitoring.MetricCategoryIds",
            input.monitoring.as_ref().is_some_and(|m| !m.metric_category_ids.is_empty()),
        ),
    ])
}

fn refuse_placement(placement: &Placement) -> Result<()> {
    refuse(&[
        ("Placement.Affinity", placement.affinity.is_some()),
        ("Placement.GroupName", placement.group_name.as_ref().is_some_and(|n| !n.is_empty())),
        ("Placement.GroupId", placement.group_id.is_some()),
        ("Placement.PartitionNumber", placement.partition_number.is_some()),
        ("Placement.HostId", placement.host_id.is_some()),
        ("Placement.HostResourceGroupArn", placement.host_resource_group_arn.is_some()),
        ("Placement.SpreadDomain", placement.spread_domain.is_some()),
        ("Placement.Tenancy", placement.tenancy.is_some_and(|t| t != Tenancy::Default)),
    ])
}

/// Checks that user data is base64 of at most 16 KiB.
pub(crate) fn require_user_data(text: &str) -> Result<()> {
    let bytes = super::user_data_bytes(text).ok_or(Error::UserDataMalformed)?;
    if bytes.len() > USER_DATA_MAX {
        return Err(Error::value("User data is limited to 16384 bytes"));
    }
    Ok(())
}

fn profile(input: &RunInstancesInput) -> Result<Option<ProfileName>> {
    let Some(given) = &input.iam_instance_profile else { return Ok(None) };
    profile_name(given.arn.as_ref(), given.name.as_ref()).map(Some)
}

/// The profile that is named by ARN or by name.
pub(crate) fn profile_name(arn: Option<&String>, name: Option<&String>) -> Result<ProfileName> {
    match (arn, name) {
        (Some(_), Some(_)) => Err(Error::InvalidParameterCombination(
            "The parameter 'iamInstanceProfile.name' may not be used in combination with \
             'iamInstanceProfile.arn'"
                .to_owned(),
        )),
        (Some(arn), None) => Ok(ProfileName::Arn(arn.clone())),
        (None, Some(name)) => Ok(ProfileName::Name(name.clone())),
        (None, None) => Err(Error::missing("IamInstanceProfile.Name")),
    }
}

fn interface(given: &InstanceNetworkInterfaceSpecification) -> Result<InterfaceSettings> {
    let kind = given.interface_type.as_deref();
    refuse(&[
        ("NetworkInterface.Ipv6AddressCount", given.ipv6_address_count.is_some_and(|n| n != 0)),
        ("NetworkInterface.Ipv6Addresses", !given.ipv6_addresses.is_empty()),
        (
            "NetworkInterface.AssociateCarrierIpAddress",
            given.associate_carrier_ip_address == Some(true),
        ),
        ("NetworkInterface.InterfaceType", kind.is_some_and(|kind| kind != "interface")),
        ("NetworkInterface.NetworkCardIndex", given.network_card_index.is_some_and(|n| n != 0)),
        ("NetworkInterface.Ipv4Prefixes", !given.ipv4_prefixes.is_empty()),
        ("NetworkInterface.Ipv4PrefixCount", given.ipv4_prefix_count.is_some_and(|n| n != 0)),
        ("NetworkInterface.Ipv6Prefixes", !given.ipv6_prefixes.is_empty()),
        ("NetworkInterface.Ipv6PrefixCount", given.ipv6_prefix_count.is_some_and(|n| n != 0)),
        ("NetworkInterface.PrimaryIpv6", given.primary_ipv6 == Some(true)),
        ("NetworkInterface.EnaSrdSpecification", given.ena_srd_specification.is_some()),
        (
            "NetworkInterface.ConnectionTrackingSpecification",
            given.connection_tracking_specification.is_some(),
        ),
        ("NetworkInterface.EnaQueueCount", given.ena_queue_count.is_some()),
    ])?;
    let primary = given.private_ip_addresses.iter().filter(|ip| ip.primary == Some(true));
    let primary: Vec<_> = primary.filter_map(|ip| ip.private_ip_address.clone()).collect();
    let named: Vec<String> = given.private_ip_address.iter().cloned().chain(primary).collect();
    if named.len() > 1 {
        return Err(Error::InvalidParameterCombination(
            "Only one primary private IP address can be specified.".to_owned(),
        ));
    }
    let secondary = given.private_ip_addresses.iter().filter(|ip| ip.primary != Some(true));
    let secondary = secondary.filter_map(|ip| ip.private_ip_address.clone());
    let primary_named = !named.is_empty();
    Ok(InterfaceSettings {
        device_index: given.device_index,
        existing: given.network_interface_id.clone(),
        subnet: given.subnet_id.clone(),
        description: given.description.clone(),
        groups: given.groups.clone(),
        private_ips: named.into_iter().chain(secondary).collect(),
        primary_named,
        secondary_count: given.secondary_private_ip_address_count,
        public_address: given.associate_public_ip_address,
        delete_on_termination: given.delete_on_termination,
    })
}

fn device(given: &BlockDeviceMapping) -> Result<DeviceSettings> {
    let name = given.device_name.clone().ok_or_else(|| Error::missing("DeviceName"))?;
    let ebs = given.ebs.clone().unwrap_or_default();
    let volume_type = ebs.volume_type;
    // What a volume of the type has without being asked.
    let usual = |value: Option<i32>, usual: i32| {
        value.is_none_or(|value| volume_type == Some(VolumeType::Gp3) && value == usual)
    };
    refuse(&[
        ("BlockDeviceMapping.NoDevice", given.no_device.is_some()),
        ("BlockDeviceMapping.VirtualName", given.virtual_name.is_some()),
        ("BlockDeviceMapping.Ebs.Iops", !usual(ebs.iops, 3000)),
        ("BlockDeviceMapping.Ebs.Throughput", !usual(ebs.throughput, 125)),
        ("BlockDeviceMapping.Ebs.Encrypted", ebs.encrypted == Some(true)),
        ("BlockDeviceMapping.Ebs.KmsKeyId", ebs.kms_key_id.is_some()),
        ("BlockDeviceMapping.Ebs.OutpostArn", ebs.outpost_arn.is_some()),
        ("BlockDeviceMapping.Ebs.AvailabilityZone", ebs.availability_zone.is_some()),
        ("BlockDeviceMapping.Ebs.AvailabilityZoneId", ebs.availability_zone_id.is_some()),
        (
            "BlockDeviceMapping.Ebs.VolumeInitializationRate",
            ebs.volume_initialization_rate.is_some(),
        ),
        ("BlockDeviceMapping.Ebs.EbsCardIndex", ebs.ebs_card_index.is_some_and(|n| n != 0)),
        (
            "BlockDeviceMapping.Ebs.VolumeType of provisioned performance",
            matches!(volume_type, Some(VolumeType::Io1 | VolumeType::Io2)),
        ),
    ])?;
    Ok(DeviceSettings {
        name,
        size_gib: ebs.volume_size,
        volume_type: volume_type.map(|kind| kind.as_str().to_owned()),
        snapshot: ebs.snapshot_id,
        delete_on_termination: ebs.delete_on_termination,
    })
}

fn credits(input: &RunInstancesInput) -> Result<Option<bool>> {
    match input.credit_specification.as_ref().map(|credit| credit.cpu_credits.as_str()) {
        None => Ok(None),
        Some("unlimited") => Ok(Some(true)),
        // Processors are not held below their number here, whatever the credits.
        Some("standard") => Err(unsupported("CreditSpecification.CpuCredits=standard")),
        Some(other) => {
            Err(Error::value(format!("Value ({other}) for parameter CpuCredits is invalid.")))
        }
    }
}

fn cores(input: &RunInstancesInput) -> Result<Option<(i32, i32)>> {
    let Some(options) = &input.cpu_options else { return Ok(None) };
    refuse(&[
        ("CpuOptions.AmdSevSnp", options.amd_sev_snp.is_some()),
        ("CpuOptions.NestedVirtualization", options.nested_virtualization.is_some()),
    ])?;
    match (options.core_count, options.threads_per_core) {
        (None, None) => Ok(None),
        (Some(cores), Some(threads)) => Ok(Some((cores, threads))),
        (Some(_), None) | (None, Some(_)) => {
            Err(Error::missing("CpuOptions.CoreCount and CpuOptions.ThreadsPerCore"))
        }
    }
}

fn metadata(given: &InstanceMetadataOptionsRequest) -> Result<MetadataSettings> {
    let ipv6 = given.http_protocol_ipv6 == Some(InstanceMetadataProtocolState::Enabled);
    refuse(&[("MetadataOptions.HttpProtocolIpv6", ipv6)])?;
    let hop_limit = given.http_put_response_hop_limit.map(hop_limit).transpose()?;
    Ok(MetadataSettings {
        tokens_required: given.http_tokens.map(|tokens| tokens == HttpTokensState::Required),
        hop_limit,
        endpoint: given.http_endpoint.map(|state| state == InstanceMetadataEndpointState::Enabled),
        tags: given.instance_metadata_tags.map(|state| state == InstanceMetadataTagsState::Enabled),
    })
}

/// How far the metadata service's answer to a token request may travel: 1 to 64.
///
/// AWS: InstanceMetadataOptionsRequest.
pub(crate) fn hop_limit(given: i32) -> Result<u8> {
    let limit = u8::try_from(given).ok().filter(|limit| (1..=64).contains(limit));
    limit.ok_or_else(|| {
        Error::value(format!(
            "Value ({given}) for parameter HttpPutResponseHopLimit is invalid. It must be from 1 to 64."
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_goes_over_its_template_member_by_member() {
        let template = Settings {
            image: Some("ami-1".to_owned()),
            key_name: Some("old".to_owned()),
            group_ids: vec!["sg-1".to_owned()],
            tags: vec![("instance".to_owned(), [("a".to_owned(), "1".to_owned())].into())],
            ..Settings::default()
        };
        let call = Settings {
            key_name: Some("new".to_owned()),
            tags: vec![("instance".to_owned(), [("b".to_owned(), "2".to_owned())].into())],
            ..Settings::default()
        };
        let both = template.overlaid(call);
        assert_eq!(both.image.as_deref(), Some("ami-1"));
        assert_eq!(both.key_name.as_deref(), Some("new"));
        assert_eq!(both.group_ids, ["sg-1"]);
        assert_eq!(both.tags_of("instance").len(), 2);
    }
}
