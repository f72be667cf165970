//! Instances and what they are made from.

mod attribute;
mod console;
mod describe;
mod iam_profile;
mod lifecycle;
mod machines;
pub(crate) mod metadata;
mod metadata_options;
mod monitoring;
mod network;
mod reconcile;
mod run;
pub(crate) mod settings;
mod status;
pub(crate) mod store;
pub(crate) mod types;
mod workload;

use ::store::ReadTx;
use base::{Arn, ResourceId};
use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use kernel::{Service, Task};

use self::settings::{DeviceSettings, InterfaceSettings, MetadataSettings, ProfileName, Settings};
use self::store::{INSTANCES, Instance};
use crate::error::{Error, Result};
use crate::vpc::store::{INTERFACES_BY_INSTANCE, Interface};
use crate::{Drivers, cfn, image, key_pair, launch_template, tags, volume};

/// Adds the family's operations, tasks and resource types.
pub(crate) fn register(service: Service<Drivers>) -> Service<Drivers> {
    let service = service
        .operation(run::run_instances)
        .operation(describe::describe_instances)
        .operation(lifecycle::start_instances)
        .operation(lifecycle::stop_instances)
        .operation(lifecycle::reboot_instances)
        .operation(lifecycle::terminate_instances)
        .operation(status::describe_instance_status)
        .operation(attribute::describe_instance_attribute)
        .operation(attribute::modify_instance_attribute)
        .operation(metadata_options::modify_instance_metadata_options)
        .operation(console::get_console_output)
        .operation(monitoring::monitor_instances)
        .operation(monitoring::unmonitor_instances)
        .operation(iam_profile::associate_iam_instance_profile)
        .operation(iam_profile::disassociate_iam_instance_profile)
        .operation(iam_profile::replace_iam_instance_profile_association)
        .operation(iam_profile::describe_iam_instance_profile_associations)
        .operation(types::describe_instance_types)
        .operation(types::describe_instance_type_offerings);
    cfn::register_instances(register_sources(service))
        .task(
            Task::keyed("ec2.instances", reconcile::keys, reconcile::run)
                .wakes_on(&["ec2.instances", "ec2.interface_states"]),
        )
        .task(Task::new("ec2.machines", machines::watch))
        .task(
            Task::keyed("ec2.role_credentials", metadata::keys, metadata::rotate)
                .wakes_on(&["ec2.instances"]),
        )
}

/// What instances are made from: images, key pairs, volumes, launch templates.
fn register_sources(service: Service<Drivers>) -> Service<Drivers> {
    service
        .operation(image::describe_images)
        .operation(image::create_image)
        .operation(image::register_image)
        .operation(image::deregister_image)
        .operation(image::describe_image_attribute)
        .operation(image::modify_image_attribute)
        .operation(key_pair::create_key_pair)
        .operation(key_pair::import_key_pair)
        .operation(key_pair::delete_key_pair)
        .operation(key_pair::describe_key_pairs)
        .operation(volume::describe_volumes)
        .operation(volume::describe_volume_status)
        .operation(volume::describe_snapshots)
        .operation(launch_template::create_launch_template)
        .operation(launch_template::create_launch_template_version)
        .operation(launch_template::delete_launch_template)
        .operation(launch_template::delete_launch_template_versions)
        .operation(launch_template::describe_launch_templates)
        .operation(launch_template::describe_launch_template_versions)
        .operation(launch_template::modify_launch_template)
        .operation(launch_template::get_launch_template_data)
}

/// The id of an instance as a client wrote it.
pub(crate) fn parse(id: &str) -> Result<ResourceId> {
    ResourceId::parse("i", id).ok_or_else(|| Error::InstanceIdMalformed(id.to_owned()))
}

/// The instance called `id`.
pub(crate) fn get(tx: &ReadTx<'_>, id: &str) -> Result<Instance> {
    tx.get(&INSTANCES, &parse(id)?)?.ok_or_else(|| Error::InstanceNotFound(id.to_owned()))
}

/// The interfaces of an instance, the primary one first.
pub(crate) fn interfaces_of(tx: &ReadTx<'_>, instance: &ResourceId) -> Result<Vec<Interface>> {
    let mut interfaces = tx.find(&INTERFACES_BY_INSTANCE, instance)?;
    let index = |eni: &Interface| eni.attachment.as_ref().map_or(u16::MAX, |a| a.device_index);
    interfaces.sort_by_key(index);
    Ok(interfaces)
}

/// The bytes of user data in base64, whose padding may be missing.
pub(crate) fn user_data_bytes(text: &str) -> Option<Vec<u8>> {
    const LENIENT: GeneralPurpose = GeneralPurpose::new(
        &alphabet::STANDARD,
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
    );
    let plain: String = text.split_whitespace().collect();
    LENIENT.decode(plain).ok()
}

/// The settings that would launch an instance like this one.
pub(crate) fn settings_of(tx: &ReadTx<'_>, instance: &Instance) -> Result<Settings> {
    let volume = tx.get(&volume::VOLUMES, &instance.volume)?;
    let device = volume.map(|volume| DeviceSettings {
        name: instance.root_device.clone(),
        size_gib: i32::try_from(volume.size_gib).ok(),
        volume_type: Some(volume.kind.clone()),
        snapshot: volume.snapshot.clone(),
        delete_on_termination: volume.attachment.map(|at| at.delete_on_termination),
    });
    let interface = |eni: &Interface| {
        let attachment = eni.attachment.as_ref();
        InterfaceSettings {
            device_index: attachment.map(|at| i32::from(at.device_index)),
            subnet: Some(eni.subnet.to_string()),
            description: Some(eni.description.clone()),
            groups: eni.groups.iter().map(ToString::to_string).collect(),
            private_ips: eni.addresses.iter().map(|ip| ip.address.to_string()).collect(),
            primary_named: true,
            public_address: Some(instance.public_address),
            delete_on_termination: attachment.map(|at| at.delete_on_termination),
            ..InterfaceSettings::default()
        }
    };
    let kinds = [("instance", &instance.id), ("volume", &instance.volume)];
    let mut wanted_tags = Vec::new();
    for (kind, id) in kinds {
        let mut own = tags::of(tx, id)?;
        own.retain(|key, _| !kernel::tags::is_reserved(key));
        if !own.is_empty() {
            wanted_tags.push((kind.to_owned(), own));
        }
    }
    Ok(Settings {
        image: Some(instance.image.clone()),
        instance_type: Some(instance.instance_type.clone()),
        key_name: instance.key.as_ref().map(|key| key.name.clone()),
        user_data: instance.user_data.clone(),
        interfaces: interfaces_of(tx, &instance.id)?.iter().map(interface).collect(),
        profile: instance.profile.as_ref().map(|profile| ProfileName::Arn(profile.arn.clone())),
        devices: device.into_iter().collect(),
        zone: Some(instance.zone.to_string()),
        monitoring: Some(instance.monitoring),
        disable_api_termination: Some(instance.disable_api_termination),
        disable_api_stop: Some(instance.disable_api_stop),
        on_shutdown: Some(instance.on_shutdown),
        ebs_optimized: Some(instance.ebs_optimized),
        auto_recovery: Some(instance.auto_recovery),
        metadata: MetadataSettings {
            tokens_required: Some(instance.metadata.tokens_required),
            hop_limit: Some(instance.metadata.hop_limit),
            endpoint: Some(instance.metadata.endpoint),
            tags: Some(instance.metadata.tags),
        },
        tags: wanted_tags,
        ..Settings::default()
    })
}

/// The name of an instance profile in its ARN.
pub(crate) fn profile_in(arn: &str) -> Option<String> {
    let parsed: Arn = arn.parse().ok()?;
    let name = parsed.resource.strip_prefix("instance-profile/")?;
    Some(name.rsplit('/').next().unwrap_or(name).to_owned())
}
