//! Making images of instances, registering and deregistering them.

use base::ResourceId;
use ec2_api::{
    ArchitectureValues, BlockDeviceMapping, BootModeValues, CreateImageInput, CreateImageOutput,
    DeleteSnapshotReturnCode, DeregisterImageInput, DeregisterImageOutput, ImdsSupportValues,
    RegisterImageInput, RegisterImageOutput, SnapshotLocationEnum, SnapshotReturnCodes,
};
use store::{ReadTx, WriteTx};

use super::own;
use super::public::PublicImage;
use super::store::{IMAGES, Image, ImageState, SNAPSHOTS, Snapshot, Source};
use crate::Ctx;
use crate::error::{Error, Result, refuse};
use crate::instance;
use crate::instance::store::{INSTANCES, Instance, State};
use crate::tags;
use crate::volume::{VOLUMES, Volume};

const TAG_KINDS: &[&str] = &["image", "snapshot"];

fn require_name(name: &str) -> Result<()> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "()[] ./-'@_".contains(c);
    if (3..=128).contains(&name.len()) && name.chars().all(allowed) {
        return Ok(());
    }
    Err(Error::ImageNameMalformed)
}

fn require_new_name(tx: &ReadTx<'_>, name: &str) -> Result<()> {
    match tx.scan(&IMAGES, ())?.into_iter().find(|image| image.name == name) {
        Some(taken) => Err(Error::ImageNameDuplicate(name.to_owned(), taken.id.to_string())),
        None => Ok(()),
    }
}

/// Makes an image of an instance's root volume. A running instance is stopped for as long as its
/// volume is copied, and then started again.
///
/// AWS: CreateImage.
pub(crate) async fn create_image(ctx: Ctx, input: CreateImageInput) -> Result<CreateImageOutput> {
    let elsewhere = input.snapshot_location == Some(SnapshotLocationEnum::Local);
    refuse(&[
        ("SnapshotLocation", elsewhere),
        ("BootModeOverride", input.boot_mode_override.is_some()),
    ])?;
    require_name(&input.name)?;
    let image_tags = tags::specified(&ctx, &input.tag_specifications, TAG_KINDS, "image")?;
    let snapshot_tags = tags::specified(&ctx, &input.tag_specifications, TAG_KINDS, "snapshot")?;
    let no_reboot = input.no_reboot == Some(true);
    let write = |tx: &mut WriteTx<'_>| {
        let mut instance = instance::get(tx, &input.instance_id)?;
        require_imageable(&instance, no_reboot)?;
        require_new_name(tx, &input.name)?;
        let volume = tx.get(&VOLUMES, &instance.volume)?;
        let volume = volume.ok_or_else(|| Error::VolumeNotFound(instance.volume.to_string()))?;
        let snapshot = Snapshot {
            id: ctx.id("snap"),
            description: format!("Created by CreateImage({})", instance.id),
            volume: volume.id.clone(),
            size_gib: volume.size_gib,
            started: ctx.now(),
            completed: None,
            failure: None,
            no_reboot,
            instance: instance.id.clone(),
        };
        let image = pending(&ctx, &input, &instance, &volume, &snapshot.id)?;
        instance.imaging = Some(image.id.clone());
        tx.put(&INSTANCES, &instance)?;
        tx.put(&SNAPSHOTS, &snapshot)?;
        tags::begin(tx, &snapshot.id, "snapshot", &snapshot_tags)?;
        tx.put(&IMAGES, &image)?;
        tags::begin(tx, &image.id, "image", &image_tags)?;
        Ok::<_, Error>(image.id.to_string())
    };
    let image_id = ctx.store.write(write).await?;
    Ok(CreateImageOutput { image_id: Some(image_id) })
}

/// Whether an image can be made of an instance now.
fn require_imageable(instance: &Instance, no_reboot: bool) -> Result<()> {
    match instance.state {
        State::Running if no_reboot => {
            return Err(Error::Unsupported(
                "NoReboot is not supported by this region for a running instance: its volume \
                 cannot be copied while it is written to"
                    .to_owned(),
            ));
        }
        State::Running | State::Stopped => {}
        State::Pending | State::ShuttingDown | State::Terminated | State::Stopping => {
            return Err(Error::IncorrectState(format!(
                "Instance '{}' is not 'running' or 'stopped'.",
                instance.id
            )));
        }
    }
    if instance.imaging.is_some() {
        return Err(Error::IncorrectState(format!(
            "An image of the instance '{}' is being made already.",
            instance.id
        )));
    }
    Ok(())
}

/// The image that is to be made of an instance.
fn pending(
    ctx: &Ctx,
    input: &CreateImageInput,
    instance: &Instance,
    volume: &Volume,
    snapshot: &ResourceId,
) -> Result<Image> {
    let root = root_of(&instance.root_device, &input.block_device_mappings)?;
    let delete_on_termination = root.as_ref().and_then(|root| root.delete_on_termination);
    Ok(Image {
        id: ctx.id("ami"),
        name: input.name.clone(),
        description: input.description.clone(),
        created: ctx.now(),
        root_device: instance.root_device.clone(),
        size_gib: at_least(root.and_then(|root| root.size_gib), volume.size_gib)?,
        delete_on_termination: delete_on_termination.unwrap_or_else(|| {
            volume.attachment.as_ref().is_none_or(|at| at.delete_on_termination)
        }),
        state: ImageState::Pending,
        reason: None,
        snapshot: snapshot.clone(),
        instance: Some(instance.id.clone()),
        source_image: Some(instance.image.clone()),
        imds_v2: PublicImage::named(&ctx.region, &instance.image).is_some(),
        public: false,
        launchers: Vec::new(),
    })
}

/// What mappings say of the root device; one of another device is refused.
fn root_of(device: &str, mappings: &[BlockDeviceMapping]) -> Result<Option<RootSettings>> {
    let mut root = None;
    for mapping in mappings {
        if mapping.device_name.as_deref() != Some(device) {
            return Err(Error::Unsupported(
                "Images with more than a root volume are not supported by this region".to_owned(),
            ));
        }
        let ebs = mapping.ebs.clone().unwrap_or_default();
        refuse(&[
            ("BlockDeviceMapping.NoDevice", mapping.no_device.is_some()),
            ("BlockDeviceMapping.VirtualName", mapping.virtual_name.is_some()),
            ("BlockDeviceMapping.Ebs.Encrypted", ebs.encrypted == Some(true)),
            ("BlockDeviceMapping.Ebs.KmsKeyId", ebs.kms_key_id.is_some()),
            ("BlockDeviceMapping.Ebs.Iops", ebs.iops.is_some()),
            ("BlockDeviceMapping.Ebs.Throughput", ebs.throughput.is_some()),
            ("BlockDeviceMapping.Ebs.OutpostArn", ebs.outpost_arn.is_some()),
        ])?;
        root = Some(RootSettings {
            size_gib: ebs.volume_size,
            delete_on_termination: ebs.delete_on_termination,
            snapshot: ebs.snapshot_id,
        });
    }
    Ok(root)
}

struct RootSettings {
    size_gib: Option<i32>,
    delete_on_termination: Option<bool>,
    snapshot: Option<String>,
}

/// The size that is asked for, which must hold what is there.
fn at_least(asked: Option<i32>, size_gib: u32) -> Result<u32> {
    let Some(asked) = asked else { return Ok(size_gib) };
    let asked = u32::try_from(asked).ok().filter(|asked| *asked >= size_gib);
    asked.ok_or_else(|| {
        Error::BlockDeviceMapping(format!(
            "Volume of size {size_gib}GB is larger than the size that is asked for"
        ))
    })
}

/// Registers an image whose root volume is made of a snapshot that is there.
///
/// AWS: RegisterImage.
pub(crate) async fn register_image(
    ctx: Ctx,
    input: RegisterImageInput,
) -> Result<RegisterImageOutput> {
    let other =
        |given: Option<ArchitectureValues>| given.is_some_and(|a| a != ArchitectureValues::X8664);
    let hvm = input.virtualization_type.as_deref();
    refuse(&[
        ("ImageLocation", input.image_location.is_some()),
        ("BillingProducts", !input.billing_products.is_empty()),
        ("BootMode", input.boot_mode.is_some_and(|mode| mode != BootModeValues::LegacyBios)),
        ("TpmSupport", input.tpm_support.is_some()),
        ("UefiData", input.uefi_data.is_some()),
        ("Architecture", other(input.architecture)),
        ("KernelId", input.kernel_id.is_some()),
        ("RamdiskId", input.ramdisk_id.is_some()),
        ("VirtualizationType", hvm.is_some_and(|kind| kind != "hvm")),
        ("SriovNetSupport", input.sriov_net_support.is_some()),
    ])?;
    require_name(&input.name)?;
    let wanted = tags::specified(&ctx, &input.tag_specifications, &["image"], "image")?;
    let device = input.root_device_name.clone().ok_or_else(|| Error::missing("RootDeviceName"))?;
    let root = root_of(&device, &input.block_device_mappings)?;
    let root = root.ok_or_else(|| Error::missing("BlockDeviceMapping"))?;
    let snapshot = root.snapshot.clone().ok_or_else(|| Error::missing("Ebs.SnapshotId"))?;
    let write = |tx: &mut WriteTx<'_>| {
        let missing = || Error::SnapshotNotFound(snapshot.clone());
        let id = ResourceId::parse("snap", &snapshot).ok_or_else(missing)?;
        let kept = tx.get(&SNAPSHOTS, &id)?.ok_or_else(missing)?;
        if kept.completed.is_none() {
            return Err(Error::IncorrectState(format!(
                "The snapshot '{snapshot}' is not completed."
            )));
        }
        require_new_name(tx, &input.name)?;
        let image = Image {
            id: ctx.id("ami"),
            name: input.name.clone(),
            description: input.description.clone(),
            created: ctx.now(),
            root_device: device.clone(),
            size_gib: at_least(root.size_gib, kept.size_gib)?,
            delete_on_termination: root.delete_on_termination.unwrap_or(true),
            state: ImageState::Available,
            reason: None,
            snapshot: kept.id,
            instance: None,
            source_image: None,
            imds_v2: input.imds_support == Some(ImdsSupportValues::V20),
            public: false,
            launchers: Vec::new(),
        };
        tx.put(&IMAGES, &image)?;
        tags::begin(tx, &image.id, "image", &wanted)?;
        Ok(image.id.to_string())
    };
    let image_id = ctx.store.write(write).await?;
    Ok(RegisterImageOutput { image_id: Some(image_id) })
}

/// Forgets an image; instances that run from it go on. Its snapshot goes with it if that is asked
/// for and nothing else needs it.
///
/// AWS: DeregisterImage.
pub(crate) async fn deregister_image(
    ctx: Ctx,
    input: DeregisterImageInput,
) -> Result<DeregisterImageOutput> {
    let with_snapshot = input.delete_associated_snapshots == Some(true);
    let write = |tx: &mut WriteTx<'_>| {
        let image = own(tx, &ctx, &input.image_id)?;
        if image.state == ImageState::Pending {
            return Err(Error::ImageUnavailable(input.image_id.clone()));
        }
        tx.delete(&IMAGES, &image.id)?;
        tags::end(tx, &image.id)?;
        if !with_snapshot {
            return Ok(None);
        }
        let removable = removable(tx, &image.snapshot)?;
        if removable.is_some() {
            tx.delete(&SNAPSHOTS, &image.snapshot)?;
            tags::end(tx, &image.snapshot)?;
        }
        Ok(Some((image.snapshot, removable)))
    };
    let Some((snapshot, removable)) = ctx.store.write(write).await? else {
        return Ok(DeregisterImageOutput {
            return_: Some(true),
            delete_snapshot_results: Vec::new(),
        });
    };
    let code = match removable {
        Some(Removable::Bytes(id)) => {
            let removed = ctx.drivers.host.remove_snapshot(&id).await;
            removed.map_err(kernel::ServiceError::internal)?;
            SnapshotReturnCodes::Success
        }
        Some(Removable::Record) => SnapshotReturnCodes::Success,
        None => SnapshotReturnCodes::Skipped,
    };
    let result = DeleteSnapshotReturnCode {
        snapshot_id: Some(snapshot.to_string()),
        return_code: Some(code),
    };
    Ok(DeregisterImageOutput { return_: Some(true), delete_snapshot_results: vec![result] })
}

/// What of a snapshot may go.
enum Removable {
    /// The record alone: another snapshot has the same content.
    Record,
    /// The content too, by the driver's id.
    Bytes(String),
}

/// Whether a snapshot may go: no image and no instance is made of it.
fn removable(tx: &ReadTx<'_>, id: &ResourceId) -> Result<Option<Removable>> {
    let Some(snapshot) = tx.get(&SNAPSHOTS, id)? else { return Ok(None) };
    if tx.scan(&IMAGES, ())?.iter().any(|image| image.snapshot == *id) {
        return Ok(None);
    }
    let Some(done) = snapshot.completed else { return Ok(Some(Removable::Record)) };
    let Some(own) = done.layers.first() else { return Ok(Some(Removable::Record)) };
    // Another account may run an instance of it, or have a snapshot on top of it.
    let others = tx.scan_all(&SNAPSHOTS)?.into_iter().filter(|(_, other)| other.id != *id);
    let others: Vec<_> = others.filter_map(|(_, other)| other.completed).collect();
    if others.iter().any(|other| other.image == done.image) {
        return Ok(Some(Removable::Record));
    }
    let below_another = others.iter().any(|other| other.layers.contains(own));
    let used = tx.scan_all(&INSTANCES)?.into_iter().any(|(_, instance)| match instance.source {
        Source::Layers(layers) => instance.state != State::Terminated && layers.contains(own),
        Source::Recipe(_) => false,
    });
    Ok((!below_another && !used).then_some(Removable::Bytes(done.image)))
}
