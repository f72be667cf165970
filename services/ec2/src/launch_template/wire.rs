//! The data of a launch template's version as requests give it and answers show it.

use base::Tags;
use ec2_api::{
    LaunchTemplateAutoRecoveryState, LaunchTemplateBlockDeviceMapping, LaunchTemplateCpuOptions,
    LaunchTemplateEbsBlockDevice, LaunchTemplateHttpTokensState,
    LaunchTemplateIamInstanceProfileSpecification, LaunchTemplateInstanceMaintenanceOptions,
    LaunchTemplateInstanceMetadataEndpointState, LaunchTemplateInstanceMetadataOptions,
    LaunchTemplateInstanceMetadataOptionsState, LaunchTemplateInstanceMetadataTagsState,
    LaunchTemplateInstanceNetworkInterfaceSpecification, LaunchTemplatePlacement,
    LaunchTemplateTagSpecification, LaunchTemplatesMonitoring, PrivateIpAddressSpecification,
    RequestLaunchTemplateData, ResponseLaunchTemplateData, RunInstancesInput, ShutdownBehavior,
};
use kernel::ServiceError;
use protocol::{Shape, Value};

use crate::Ctx;
use crate::error::{Result, refuse};
use crate::instance::settings::{
    DeviceSettings, InterfaceSettings, MetadataSettings, ProfileName, Settings,
};
use crate::instance::store::OnShutdown;
use crate::tags;

/// The settings that a request's data says. The data has RunInstances' members under
/// RunInstances' names, so it is read as such a call.
pub(super) fn settings_from(ctx: &Ctx, data: RequestLaunchTemplateData) -> Result<Settings> {
    refuse(&[
        ("LaunchTemplateData.InstanceRequirements", data.instance_requirements.is_some()),
        ("LaunchTemplateData.RamDiskId", data.ram_disk_id.is_some()),
        (
            "LaunchTemplateData.ElasticGpuSpecifications",
            !data.elastic_gpu_specifications.is_empty(),
        ),
    ])?;
    let monitoring_unsaid = data.monitoring.as_ref().is_some_and(|m| m.enabled.is_none());
    let data = if monitoring_unsaid {
        RequestLaunchTemplateData { monitoring: None, ..data }
    } else {
        data
    };
    let mut value = data.into_value();
    if let Value::Struct(fields) = &mut value {
        for count in ["MinCount", "MaxCount"] {
            fields.push(count, Value::Int(1));
        }
    }
    let call = RunInstancesInput::from_value(value).map_err(ServiceError::internal)?;
    Settings::of(ctx, &call)
}

/// Settings as they are answered.
pub(super) fn data_of(settings: &Settings) -> ResponseLaunchTemplateData {
    let placement =
        (settings.zone.is_some() || settings.zone_id.is_some()).then(|| LaunchTemplatePlacement {
            availability_zone: settings.zone.clone(),
            availability_zone_id: settings.zone_id.clone(),
            ..LaunchTemplatePlacement::default()
        });
    ResponseLaunchTemplateData {
        image_id: settings.image.clone(),
        instance_type: settings.instance_type.clone(),
        key_name: settings.key_name.clone(),
        user_data: settings.user_data.clone(),
        security_group_ids: settings.group_ids.clone(),
        security_groups: settings.group_names.clone(),
        iam_instance_profile: settings.profile.as_ref().map(profile),
        block_device_mappings: settings.devices.iter().map(device).collect(),
        network_interfaces: settings.interfaces.iter().map(interface).collect(),
        monitoring: settings.monitoring.map(|enabled| LaunchTemplatesMonitoring {
            enabled: Some(enabled),
            ..LaunchTemplatesMonitoring::default()
        }),
        placement,
        disable_api_termination: settings.disable_api_termination,
        disable_api_stop: settings.disable_api_stop,
        instance_initiated_shutdown_behavior: settings.on_shutdown.map(|behavior| match behavior {
            OnShutdown::Stop => ShutdownBehavior::Stop,
            OnShutdown::Terminate => ShutdownBehavior::Terminate,
        }),
        ebs_optimized: settings.ebs_optimized,
        metadata_options: metadata(&settings.metadata),
        maintenance_options: settings.auto_recovery.map(|on| {
            LaunchTemplateInstanceMaintenanceOptions {
                auto_recovery: Some(if on {
                    LaunchTemplateAutoRecoveryState::Default
                } else {
                    LaunchTemplateAutoRecoveryState::Disabled
                }),
            }
        }),
        credit_specification: settings
            .unlimited_credits
            .map(|_| ec2_api::CreditSpecification { cpu_credits: Some("unlimited".to_owned()) }),
        cpu_options: settings.cores.map(|(cores, threads)| LaunchTemplateCpuOptions {
            core_count: Some(cores),
            threads_per_core: Some(threads),
            ..LaunchTemplateCpuOptions::default()
        }),
        tag_specifications: settings.tags.iter().map(tag_specification).collect(),
        ..ResponseLaunchTemplateData::default()
    }
}

fn tag_specification((kind, wanted): &(String, Tags)) -> LaunchTemplateTagSpecification {
    LaunchTemplateTagSpecification {
        resource_type: Some(kind.clone()),
        tags: tags::to_wire(wanted),
    }
}

fn profile(profile: &ProfileName) -> LaunchTemplateIamInstanceProfileSpecification {
    let (arn, name) = match profile {
        ProfileName::Arn(arn) => (Some(arn.clone()), None),
        ProfileName::Name(name) => (None, Some(name.clone())),
    };
    LaunchTemplateIamInstanceProfileSpecification { arn, name }
}

fn device(device: &DeviceSettings) -> LaunchTemplateBlockDeviceMapping {
    LaunchTemplateBlockDeviceMapping {
        device_name: Some(device.name.clone()),
        ebs: Some(LaunchTemplateEbsBlockDevice {
            delete_on_termination: device.delete_on_termination,
            snapshot_id: device.snapshot.clone(),
            volume_size: device.size_gib,
            volume_type: device.volume_type.as_deref().and_then(|kind| kind.parse().ok()),
            ..LaunchTemplateEbsBlockDevice::default()
        }),
        ..LaunchTemplateBlockDeviceMapping::default()
    }
}

fn interface(settings: &InterfaceSettings) -> LaunchTemplateInstanceNetworkInterfaceSpecification {
    let primary = settings.private_ips.first().filter(|_| settings.primary_named);
    let secondary = settings.private_ips.iter().skip(usize::from(settings.primary_named));
    LaunchTemplateInstanceNetworkInterfaceSpecification {
        associate_public_ip_address: settings.public_address,
        delete_on_termination: settings.delete_on_termination,
        description: settings.description.clone(),
        device_index: settings.device_index,
        groups: settings.groups.clone(),
        network_interface_id: settings.existing.clone(),
        private_ip_address: primary.cloned(),
        private_ip_addresses: secondary
            .map(|address| PrivateIpAddressSpecification {
                primary: Some(false),
                private_ip_address: Some(address.clone()),
            })
            .collect(),
        secondary_private_ip_address_count: settings.secondary_count,
        subnet_id: settings.subnet.clone(),
        ..LaunchTemplateInstanceNetworkInterfaceSpecification::default()
    }
}

fn metadata(settings: &MetadataSettings) -> Option<LaunchTemplateInstanceMetadataOptions> {
    use LaunchTemplateHttpTokensState as Tokens;
    use LaunchTemplateInstanceMetadataEndpointState as Endpoint;
    use LaunchTemplateInstanceMetadataTagsState as TagsState;
    (*settings != MetadataSettings::default()).then(|| LaunchTemplateInstanceMetadataOptions {
        state: Some(LaunchTemplateInstanceMetadataOptionsState::Applied),
        http_tokens: settings
            .tokens_required
            .map(|required| if required { Tokens::Required } else { Tokens::Optional }),
        http_put_response_hop_limit: settings.hop_limit.map(i32::from),
        http_endpoint: settings
            .endpoint
            .map(|on| if on { Endpoint::Enabled } else { Endpoint::Disabled }),
        http_protocol_ipv6: None,
        instance_metadata_tags: settings
            .tags
            .map(|on| if on { TagsState::Enabled } else { TagsState::Disabled }),
    })
}
