//! DescribeImages: what an account may see of its own, of others' and of the public images.

use base::AccountId;
use ec2_api::{
    ArchitectureValues, BlockDeviceMapping, BootModeValues, DescribeImagesInput,
    DescribeImagesOutput, DeviceType, EbsBlockDevice, HypervisorType, ImageTypeValues,
    ImdsSupportValues, VirtualizationType, VolumeType,
};
use store::ReadTx;

use super::public::PublicImage;
use super::store::{IMAGES, Image, ImageState};
use super::{ROOT_GIB, may_launch, parse};
use crate::Ctx;
use crate::error::{Error, Result};
use crate::listing::{self, Asked, Field};
use crate::tags;

type Wire = ec2_api::Image;

/// The device mapping of a root volume.
pub(super) fn root_mapping(
    device: &str,
    snapshot: Option<String>,
    size_gib: u32,
    delete_on_termination: bool,
) -> BlockDeviceMapping {
    BlockDeviceMapping {
        device_name: Some(device.to_owned()),
        ebs: Some(EbsBlockDevice {
            delete_on_termination: Some(delete_on_termination),
            snapshot_id: snapshot,
            volume_size: i32::try_from(size_gib).ok(),
            volume_type: Some(VolumeType::Gp3),
            encrypted: Some(false),
            ..EbsBlockDevice::default()
        }),
        ..BlockDeviceMapping::default()
    }
}

/// What all images here share.
fn common() -> Wire {
    Wire {
        architecture: Some(ArchitectureValues::X8664),
        boot_mode: Some(BootModeValues::LegacyBios),
        ena_support: Some(true),
        hypervisor: Some(HypervisorType::Xen),
        image_type: Some(ImageTypeValues::Machine),
        platform_details: Some("Linux/UNIX".to_owned()),
        root_device_type: Some(DeviceType::Ebs),
        usage_operation: Some("RunInstances".to_owned()),
        virtualization_type: Some(VirtualizationType::Hvm),
        ..Wire::default()
    }
}

fn described_public(ctx: &Ctx, image: PublicImage) -> Wire {
    let name = image.name().to_owned();
    Wire {
        image_id: Some(image.id(&ctx.region)),
        image_location: Some(format!("{}/{name}", image.owner())),
        name: Some(name),
        description: Some(image.description().to_owned()),
        owner_id: Some(image.owner().to_owned()),
        creation_date: Some(image.created().to_owned()),
        public: Some(true),
        state: Some(ec2_api::ImageState::Available),
        imds_support: Some(ImdsSupportValues::V20),
        root_device_name: Some(PublicImage::ROOT_DEVICE.to_owned()),
        block_device_mappings: vec![root_mapping(PublicImage::ROOT_DEVICE, None, ROOT_GIB, true)],
        public_ssm_parameter_name: Some(image.parameter().to_owned()),
        ..common()
    }
}

fn described(tx: &ReadTx<'_>, owner: &AccountId, image: &Image) -> Result<Wire> {
    let snapshot = Some(image.snapshot.to_string());
    let reason = image.reason.as_ref().map(|text| ec2_api::StateReason {
        code: Some("Client.InvalidSnapshot.NotFound".to_owned()),
        message: Some(text.clone()),
    });
    Ok(Wire {
        image_id: Some(image.id.to_string()),
        image_location: Some(format!("{owner}/{}", image.name)),
        name: Some(image.name.clone()),
        description: image.description.clone(),
        owner_id: Some(owner.to_string()),
        creation_date: Some(image.created.to_string()),
        public: Some(image.public),
        state: Some(match image.state {
            ImageState::Pending => ec2_api::ImageState::Pending,
            ImageState::Available => ec2_api::ImageState::Available,
            ImageState::Failed => ec2_api::ImageState::Failed,
        }),
        state_reason: reason,
        imds_support: image.imds_v2.then_some(ImdsSupportValues::V20),
        root_device_name: Some(image.root_device.clone()),
        block_device_mappings: vec![root_mapping(
            &image.root_device,
            snapshot,
            image.size_gib,
            image.delete_on_termination,
        )],
        source_instance_id: image.instance.as_ref().map(ToString::to_string),
        source_image_id: image.source_image.clone(),
        tags: tags::wire_of(tx, &image.id)?,
        ..common()
    })
}

const FIELDS: &[Field<Wire>] = &[
    ("image-id", |i| listing::text(i.image_id.as_ref())),
    ("name", |i| listing::text(i.name.as_ref())),
    ("description", |i| listing::text(i.description.as_ref())),
    ("owner-id", |i| listing::text(i.owner_id.as_ref())),
    ("owner-alias", |i| listing::text(i.image_owner_alias.as_ref())),
    ("architecture", |i| listing::shown(i.architecture)),
    ("state", |i| listing::shown(i.state)),
    ("is-public", |i| listing::shown(i.public)),
    ("creation-date", |i| listing::text(i.creation_date.as_ref())),
    ("image-type", |i| listing::shown(i.image_type)),
    ("platform-details", |i| listing::text(i.platform_details.as_ref())),
    ("platform", |i| listing::shown(i.platform)),
    ("root-device-name", |i| listing::text(i.root_device_name.as_ref())),
    ("root-device-type", |i| listing::shown(i.root_device_type)),
    ("virtualization-type", |i| listing::shown(i.virtualization_type)),
    ("hypervisor", |i| listing::shown(i.hypervisor)),
    ("ena-support", |i| listing::shown(i.ena_support)),
    ("boot-mode", |i| listing::shown(i.boot_mode)),
    ("imds-support", |i| listing::shown(i.imds_support)),
    ("source-instance-id", |i| listing::text(i.source_instance_id.as_ref())),
    ("source-image-id", |i| listing::text(i.source_image_id.as_ref())),
    ("manifest-location", |i| listing::text(i.image_location.as_ref())),
    ("block-device-mapping.device-name", |i| devices(i, |d| d.device_name.clone())),
    ("block-device-mapping.snapshot-id", |i| ebs(i, |e| e.snapshot_id.clone())),
    ("block-device-mapping.volume-size", |i| ebs(i, |e| Some(e.volume_size?.to_string()))),
    ("block-device-mapping.volume-type", |i| ebs(i, |e| Some(e.volume_type?.to_string()))),
    ("block-device-mapping.delete-on-termination", |i| {
        ebs(i, |e| Some(e.delete_on_termination?.to_string()))
    }),
];

fn devices(image: &Wire, of: fn(&BlockDeviceMapping) -> Option<String>) -> Vec<String> {
    image.block_device_mappings.iter().filter_map(of).collect()
}

fn ebs(image: &Wire, of: fn(&EbsBlockDevice) -> Option<String>) -> Vec<String> {
    image.block_device_mappings.iter().filter_map(|device| of(device.ebs.as_ref()?)).collect()
}

/// Tells images: the account's own, those that it may launch, and the public ones.
///
/// AWS: DescribeImages.
pub(crate) async fn describe_images(
    ctx: Ctx,
    input: DescribeImagesInput,
) -> Result<DescribeImagesOutput> {
    for id in &input.image_ids {
        parse(id)?;
    }
    let read = |tx: &ReadTx<'_>| {
        let mut found = Vec::new();
        for (scope, image) in tx.scan_all(&IMAGES)? {
            let asked = executable(&input, &ctx, Some(&image), &scope.account);
            let seen =
                scope.region == ctx.region && may_launch(&image, &scope.account, &ctx.account);
            if seen && asked {
                found.push(described(&tx.scope(&scope), &scope.account, &image)?);
            }
        }
        Ok::<_, Error>(found)
    };
    let mut all = ctx.store.store().read(read).await?;
    let public = PublicImage::all().filter(|_| executable(&input, &ctx, None, &ctx.account));
    all.extend(public.map(|image| described_public(&ctx, image)));
    let unknown =
        input.image_ids.iter().find(|id| !all.iter().any(|i| i.image_id.as_ref() == Some(id)));
    if let Some(unknown) = unknown {
        return Err(Error::ImageNotFound(unknown.clone()));
    }
    let owner = |image: &Wire| {
        let owner = image.owner_id.as_deref().unwrap_or_default();
        let is =
            |asked: &String| asked == owner || (asked == "self" && owner == ctx.account.as_str());
        input.owners.is_empty() || input.owners.iter().any(is)
    };
    let named = |image: &Wire| {
        input.image_ids.is_empty()
            || image.image_id.as_ref().is_some_and(|id| input.image_ids.contains(id))
    };
    let all = all.into_iter().filter(|image| owner(image) && named(image)).collect();
    let selected = listing::select(all, &input.filters, FIELDS, |image| &image.tags)?;
    let asked = Asked {
        ids: &input.image_ids,
        max_results: input.max_results,
        next_token: input.next_token.as_deref(),
    };
    let key = |image: &Wire| image.image_id.clone().unwrap_or_default();
    let (images, next_token) = listing::page(selected, asked, key)?;
    Ok(DescribeImagesOutput { next_token, images })
}

/// Whether one of those that `ExecutableUsers` names may launch an image; a public one if `image`
/// is none.
fn executable(
    input: &DescribeImagesInput,
    ctx: &Ctx,
    image: Option<&Image>,
    owner: &AccountId,
) -> bool {
    let may = |user: &String| match image {
        None => user == "all",
        Some(image) => {
            let account = if user == "self" { ctx.account.as_str() } else { user.as_str() };
            (user == "all" && image.public)
                || image.launchers.iter().any(|a| a == account)
                || (user == "self" && owner == &ctx.account)
        }
    };
    input.executable_users.is_empty() || input.executable_users.iter().any(may)
}
