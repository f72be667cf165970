//! Attributes of images that customers made: description and who may launch them.

use ec2_api::{
    AttributeValue, DescribeImageAttributeInput, DescribeImageAttributeOutput, ImageAttributeName,
    LaunchPermission, LaunchPermissionModifications, ModifyImageAttributeInput,
    ModifyImageAttributeOutput, OperationType, PermissionGroup,
};
use store::WriteTx;

use super::describe::root_mapping;
use super::own;
use super::store::{IMAGES, Image};
use crate::Ctx;
use crate::error::{Error, Result, refuse};

/// Tells an attribute of one of the account's images.
///
/// AWS: DescribeImageAttribute.
pub(crate) async fn describe_image_attribute(
    ctx: Ctx,
    input: DescribeImageAttributeInput,
) -> Result<DescribeImageAttributeOutput> {
    let image = ctx.store.read(|tx| own(tx, &ctx, &input.image_id)).await?;
    let value = |value: Option<String>| Some(AttributeValue { value });
    let mut output = DescribeImageAttributeOutput {
        image_id: Some(input.image_id.clone()),
        ..DescribeImageAttributeOutput::default()
    };
    match input.attribute {
        ImageAttributeName::Description => output.description = value(image.description),
        ImageAttributeName::LaunchPermission => {
            output.launch_permissions = permissions(&image);
        }
        ImageAttributeName::BlockDeviceMapping => {
            output.block_device_mappings = vec![root_mapping(
                &image.root_device,
                Some(image.snapshot.to_string()),
                image.size_gib,
                image.delete_on_termination,
            )];
        }
        ImageAttributeName::BootMode => output.boot_mode = value(Some("legacy-bios".to_owned())),
        ImageAttributeName::ImdsSupport => {
            output.imds_support = value(image.imds_v2.then(|| "v2.0".to_owned()));
        }
        ImageAttributeName::DeregistrationProtection => {
            output.deregistration_protection = value(Some("disabled".to_owned()));
        }
        ImageAttributeName::Kernel => output.kernel_id = value(None),
        ImageAttributeName::Ramdisk => output.ramdisk_id = value(None),
        ImageAttributeName::SriovNetSupport => output.sriov_net_support = value(None),
        ImageAttributeName::TpmSupport => output.tpm_support = value(None),
        ImageAttributeName::UefiData => output.uefi_data = value(None),
        ImageAttributeName::ProductCodes => {}
        ImageAttributeName::LastLaunchedTime => {
            return Err(Error::Unsupported(
                "The attribute lastLaunchedTime is not kept by this region".to_owned(),
            ));
        }
    }
    Ok(output)
}

fn permissions(image: &Image) -> Vec<LaunchPermission> {
    let everybody = image.public.then_some(LaunchPermission {
        group: Some(PermissionGroup::All),
        ..LaunchPermission::default()
    });
    let account = |account: &String| LaunchPermission {
        user_id: Some(account.clone()),
        ..LaunchPermission::default()
    };
    everybody.into_iter().chain(image.launchers.iter().map(account)).collect()
}

/// Changes an attribute of one of the account's images.
///
/// AWS: ModifyImageAttribute.
pub(crate) async fn modify_image_attribute(
    ctx: Ctx,
    input: ModifyImageAttributeInput,
) -> Result<ModifyImageAttributeOutput> {
    refuse(&[
        ("ProductCode", !input.product_codes.is_empty()),
        ("OrganizationArn", !input.organization_arns.is_empty()),
        ("OrganizationalUnitArn", !input.organizational_unit_arns.is_empty()),
    ])?;
    let changes = launch_changes(&input)?;
    let description = match (&input.description, input.attribute.as_deref()) {
        (Some(given), _) => given.value.clone(),
        (None, Some("description")) => input.value.clone(),
        (None, _) => None,
    };
    let imds_v2 = input.imds_support.as_ref().and_then(|given| given.value.as_deref());
    if imds_v2.is_some_and(|version| version != "v2.0") {
        return Err(Error::AttributeValue("ImdsSupport can only be v2.0".to_owned()));
    }
    if changes.is_none() && description.is_none() && imds_v2.is_none() {
        return Err(Error::InvalidParameterCombination("No attributes specified.".to_owned()));
    }
    let write = |tx: &mut WriteTx<'_>| {
        let mut image = own(tx, &ctx, &input.image_id)?;
        if let Some(text) = &description {
            image.description = Some(text.clone());
        }
        image.imds_v2 |= imds_v2.is_some();
        if let Some(changes) = &changes {
            apply(&mut image, changes)?;
        }
        Ok::<_, Error>(tx.put(&IMAGES, &image)?)
    };
    ctx.store.write(write).await?;
    Ok(ModifyImageAttributeOutput {})
}

/// The launch permissions to add and remove, in whichever of the two forms they were given.
fn launch_changes(
    input: &ModifyImageAttributeInput,
) -> Result<Option<LaunchPermissionModifications>> {
    if input.launch_permission.is_some() {
        return Ok(input.launch_permission.clone());
    }
    if input.user_ids.is_empty() && input.user_groups.is_empty() {
        return Ok(None);
    }
    let user =
        |id: &String| LaunchPermission { user_id: Some(id.clone()), ..LaunchPermission::default() };
    let group = |name: &String| match name.as_str() {
        "all" => Ok(LaunchPermission {
            group: Some(PermissionGroup::All),
            ..LaunchPermission::default()
        }),
        other => Err(Error::AttributeValue(format!("Invalid attribute item value \"{other}\""))),
    };
    let groups = input.user_groups.iter().map(group).collect::<Result<Vec<_>>>()?;
    let all = input.user_ids.iter().map(user).chain(groups).collect();
    Ok(Some(match input.operation_type {
        Some(OperationType::Add) => LaunchPermissionModifications { add: all, remove: Vec::new() },
        Some(OperationType::Remove) => {
            LaunchPermissionModifications { add: Vec::new(), remove: all }
        }
        None => return Err(Error::missing("OperationType")),
    }))
}

fn apply(image: &mut Image, changes: &LaunchPermissionModifications) -> Result<()> {
    for permission in changes.add.iter().chain(&changes.remove) {
        refuse(&[
            ("OrganizationArn", permission.organization_arn.is_some()),
            ("OrganizationalUnitArn", permission.organizational_unit_arn.is_some()),
        ])?;
        if let Some(account) = &permission.user_id
            && account.parse::<base::AccountId>().is_err()
        {
            return Err(Error::AttributeValue(format!(
                "Invalid attribute item value \"{account}\" for userId item type."
            )));
        }
    }
    for added in &changes.add {
        image.public |= added.group.is_some();
        let new = added.user_id.iter().filter(|id| !image.launchers.contains(id));
        let new: Vec<_> = new.cloned().collect();
        image.launchers.extend(new);
    }
    for removed in &changes.remove {
        image.public &= removed.group.is_none();
        image.launchers.retain(|account| removed.user_id.as_ref() != Some(account));
    }
    Ok(())
}
