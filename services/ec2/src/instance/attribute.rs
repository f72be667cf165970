//! Attributes of instances, one at a time.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ec2_api::{
    AttributeBooleanValue, AttributeValue, DescribeInstanceAttributeInput,
    DescribeInstanceAttributeOutput, EnclaveOptions, GroupIdentifier, InstanceAttributeName,
    ModifyInstanceAttributeInput, ModifyInstanceAttributeOutput,
};
use store::{ReadTx, WriteTx};

use super::describe;
use super::settings::require_user_data;
use super::store::{INSTANCES, Instance, OnShutdown, State};
use super::types::InstanceType;
use super::{interfaces_of, network};
use crate::Ctx;
use crate::error::{Error, Result, refuse};
use crate::volume::VOLUMES;
use crate::vpc::security_group;

fn shutdown_name(behavior: OnShutdown) -> &'static str {
    match behavior {
        OnShutdown::Stop => "stop",
        OnShutdown::Terminate => "terminate",
    }
}

/// Tells an attribute of an instance.
///
/// AWS: DescribeInstanceAttribute.
pub(crate) async fn describe_instance_attribute(
    ctx: Ctx,
    input: DescribeInstanceAttributeInput,
) -> Result<DescribeInstanceAttributeOutput> {
    use InstanceAttributeName as Name;
    let text = |value: Option<String>| Some(AttributeValue { value });
    let flag = |value: bool| Some(AttributeBooleanValue { value: Some(value) });
    let read = |tx: &ReadTx<'_>| {
        let instance = super::get(tx, &input.instance_id)?;
        Ok::<_, Error>((describe::described(tx, &ctx, &instance)?, instance))
    };
    let (wire, instance) = ctx.store.read(read).await?;
    let mut output = DescribeInstanceAttributeOutput {
        instance_id: Some(instance.id.to_string()),
        ..DescribeInstanceAttributeOutput::default()
    };
    match input.attribute {
        Name::InstanceType => output.instance_type = text(Some(instance.instance_type)),
        Name::Kernel => output.kernel_id = text(None),
        Name::Ramdisk => output.ramdisk_id = text(None),
        Name::UserData => output.user_data = text(instance.user_data),
        Name::DisableApiTermination => {
            output.disable_api_termination = flag(instance.disable_api_termination);
        }
        Name::DisableApiStop => output.disable_api_stop = flag(instance.disable_api_stop),
        Name::InstanceInitiatedShutdownBehavior => {
            let behavior = shutdown_name(instance.on_shutdown).to_owned();
            output.instance_initiated_shutdown_behavior = text(Some(behavior));
        }
        Name::RootDeviceName => output.root_device_name = text(Some(instance.root_device)),
        Name::BlockDeviceMapping => output.block_device_mappings = wire.block_device_mappings,
        Name::ProductCodes => {}
        Name::SourceDestCheck => {
            output.source_dest_check = flag(wire.source_dest_check == Some(true))
        }
        Name::GroupSet => {
            let id = |group: GroupIdentifier| GroupIdentifier { group_name: None, ..group };
            output.groups = wire.security_groups.into_iter().map(id).collect();
        }
        Name::EbsOptimized => output.ebs_optimized = flag(instance.ebs_optimized),
        Name::SriovNetSupport => output.sriov_net_support = text(None),
        Name::EnaSupport => output.ena_support = flag(true),
        Name::EnclaveOptions => {
            output.enclave_options = Some(EnclaveOptions { enabled: Some(false) });
        }
    }
    Ok(output)
}

/// One change of an instance.
enum Change {
    InstanceType(String),
    UserData(Option<String>),
    DisableApiTermination(bool),
    DisableApiStop(bool),
    OnShutdown(OnShutdown),
    SourceDestCheck(bool),
    Groups(Vec<String>),
    EbsOptimized(bool),
    DeleteOnTermination(Vec<(String, bool)>),
}

/// Changes an attribute of an instance.
///
/// AWS: ModifyInstanceAttribute.
pub(crate) async fn modify_instance_attribute(
    ctx: Ctx,
    input: ModifyInstanceAttributeInput,
) -> Result<ModifyInstanceAttributeOutput> {
    refuse(&[
        ("EnclaveOptions", input.enclave_options.is_some()),
        ("Kernel", input.kernel.is_some()),
        ("Ramdisk", input.ramdisk.is_some()),
        ("SriovNetSupport", input.sriov_net_support.is_some()),
        ("EnaSupport", input.ena_support.is_some()),
    ])?;
    let mut changes = members(&input)?;
    if let Some(name) = input.attribute {
        changes.extend(named(name, input.value.as_deref())?);
    }
    let change = match (changes.pop(), changes.is_empty()) {
        (Some(change), true) => change,
        (None, _) => {
            return Err(Error::InvalidParameterCombination("No attributes specified.".to_owned()));
        }
        (Some(_), false) => {
            return Err(Error::InvalidParameterCombination(
                "Fields for multiple attribute types specified: only one attribute can be modified \
                 at a time."
                    .to_owned(),
            ));
        }
    };
    let groups_max = security_group::interface_limit(&ctx).await?;
    let write = |tx: &mut WriteTx<'_>| {
        let mut instance = super::get(tx, &input.instance_id)?;
        if instance.state == State::Terminated {
            return Err(Error::IncorrectInstanceState(format!(
                "The instance '{}' is terminated.",
                instance.id
            )));
        }
        apply(tx, &ctx, &mut instance, &change, groups_max)?;
        Ok::<_, Error>(tx.put(&INSTANCES, &instance)?)
    };
    ctx.store.write(write).await?;
    Ok(ModifyInstanceAttributeOutput {})
}

/// The changes that have a member of their own.
fn members(input: &ModifyInstanceAttributeInput) -> Result<Vec<Change>> {
    let flag =
        |given: &Option<AttributeBooleanValue>| given.as_ref().map(|v| v.value == Some(true));
    let mut changes = Vec::new();
    changes.extend(flag(&input.disable_api_termination).map(Change::DisableApiTermination));
    changes.extend(flag(&input.disable_api_stop).map(Change::DisableApiStop));
    changes.extend(flag(&input.source_dest_check).map(Change::SourceDestCheck));
    changes.extend(flag(&input.ebs_optimized).map(Change::EbsOptimized));
    if let Some(given) = &input.instance_type {
        changes.push(Change::InstanceType(given.value.clone().unwrap_or_default()));
    }
    if let Some(given) = &input.instance_initiated_shutdown_behavior {
        changes.push(Change::OnShutdown(shutdown(given.value.as_deref())?));
    }
    if let Some(given) = &input.user_data {
        let text = given.value.as_ref().map(|bytes| STANDARD.encode(bytes));
        changes.push(Change::UserData(text.filter(|text| !text.is_empty())));
    }
    if !input.groups.is_empty() {
        changes.push(Change::Groups(input.groups.clone()));
    }
    if !input.block_device_mappings.is_empty() {
        let mut devices = Vec::new();
        for mapping in &input.block_device_mappings {
            refuse(&[
                ("BlockDeviceMapping.NoDevice", mapping.no_device.is_some()),
                ("BlockDeviceMapping.VirtualName", mapping.virtual_name.is_some()),
            ])?;
            let name = mapping.device_name.clone().ok_or_else(|| Error::missing("DeviceName"))?;
            let ebs = mapping.ebs.as_ref().ok_or_else(|| Error::missing("Ebs"))?;
            let delete = ebs.delete_on_termination;
            devices.push((name, delete.ok_or_else(|| Error::missing("Ebs.DeleteOnTermination"))?));
        }
        changes.push(Change::DeleteOnTermination(devices));
    }
    Ok(changes)
}

/// The change that is given as an attribute's name and a value.
fn named(name: InstanceAttributeName, value: Option<&str>) -> Result<Option<Change>> {
    use InstanceAttributeName as Name;
    let Some(value) = value else { return Ok(None) };
    let flag = || match value {
        "true" | "True" => Ok(true),
        "false" | "False" => Ok(false),
        other => Err(Error::value(format!("Value ({other}) for parameter value is invalid."))),
    };
    Ok(Some(match name {
        Name::InstanceType => Change::InstanceType(value.to_owned()),
        Name::UserData => Change::UserData(Some(value.to_owned()).filter(|text| !text.is_empty())),
        Name::DisableApiTermination => Change::DisableApiTermination(flag()?),
        Name::DisableApiStop => Change::DisableApiStop(flag()?),
        Name::InstanceInitiatedShutdownBehavior => Change::OnShutdown(shutdown(Some(value))?),
        Name::SourceDestCheck => Change::SourceDestCheck(flag()?),
        Name::EbsOptimized => Change::EbsOptimized(flag()?),
        Name::Kernel
        | Name::Ramdisk
        | Name::RootDeviceName
        | Name::BlockDeviceMapping
        | Name::ProductCodes
        | Name::GroupSet
        | Name::SriovNetSupport
        | Name::EnaSupport
        | Name::EnclaveOptions => {
            return Err(Error::Unsupported(format!(
                "The attribute {name} cannot be changed by its name in this region"
            )));
        }
    }))
}

fn shutdown(value: Option<&str>) -> Result<OnShutdown> {
    match value {
        Some("stop") => Ok(OnShutdown::Stop),
        Some("terminate") => Ok(OnShutdown::Terminate),
        other => Err(Error::value(format!(
            "Invalid value '{}' for instanceInitiatedShutdownBehavior.",
            other.unwrap_or_default()
        ))),
    }
}

fn apply(
    tx: &mut WriteTx<'_>,
    ctx: &Ctx,
    instance: &mut Instance,
    change: &Change,
    groups_max: u64,
) -> Result<()> {
    match change {
        Change::InstanceType(name) => {
            require_stopped(instance, "instanceType")?;
            let wanted = InstanceType::named(name)?;
            if wanted.memory_bytes() > ctx.drivers.host.memory_bytes() {
                let zone = instance.zone.to_string();
                return Err(Error::InsufficientInstanceCapacity(wanted.name(), zone));
            }
            instance.instance_type = wanted.name();
        }
        Change::UserData(text) => {
            require_stopped(instance, "userData")?;
            if let Some(text) = text {
                require_user_data(text)?;
            }
            instance.user_data.clone_from(text);
        }
        Change::DisableApiTermination(on) => instance.disable_api_termination = *on,
        Change::DisableApiStop(on) => instance.disable_api_stop = *on,
        Change::OnShutdown(behavior) => instance.on_shutdown = *behavior,
        Change::EbsOptimized(on) => {
            require_stopped(instance, "ebsOptimized")?;
            instance.ebs_optimized = *on;
        }
        Change::SourceDestCheck(_) | Change::Groups(_) => {
            let enis = interfaces_of(tx, &instance.id)?;
            let [eni] = enis.as_slice() else {
                return Err(Error::InvalidInstanceId(format!(
                    "There are multiple interfaces attached to instance '{}'. Please specify an \
                     interface ID for the operation instead.",
                    instance.id
                )));
            };
            match change {
                Change::SourceDestCheck(on) => network::set_source_dest_check(tx, eni, *on)?,
                Change::Groups(ids) => network::set_groups(tx, eni, ids, groups_max)?,
                Change::InstanceType(_)
                | Change::UserData(_)
                | Change::DisableApiTermination(_)
                | Change::DisableApiStop(_)
                | Change::OnShutdown(_)
                | Change::EbsOptimized(_)
                | Change::DeleteOnTermination(_) => {}
            }
        }
        Change::DeleteOnTermination(devices) => set_delete_on_termination(tx, instance, devices)?,
    }
    Ok(())
}

fn require_stopped(instance: &Instance, attribute: &str) -> Result<()> {
    if instance.state == State::Stopped {
        return Ok(());
    }
    Err(Error::IncorrectInstanceState(format!(
        "The instance '{}' is not in the 'stopped' state; its attribute '{attribute}' cannot be \
         modified.",
        instance.id
    )))
}

fn set_delete_on_termination(
    tx: &mut WriteTx<'_>,
    instance: &Instance,
    devices: &[(String, bool)],
) -> Result<()> {
    for (device, delete) in devices {
        let volume = tx.get(&VOLUMES, &instance.volume)?;
        let mut volume = volume.filter(|_| *device == instance.root_device).ok_or_else(|| {
            Error::InstanceAttribute(format!("No device is currently mapped at {device}"))
        })?;
        if let Some(attachment) = &mut volume.attachment {
            attachment.delete_on_termination = *delete;
        }
        tx.put(&VOLUMES, &volume)?;
    }
    Ok(())
}
