//! Virtual MFA devices: made, given to a user with two codes, and taken away.
//!
//! AWS: "AWS Multi-factor authentication in IAM".

use base::{AccountId, Arn, Timestamp};
use iam_api::{
    AssignmentStatusType, CreateVirtualMFADeviceInput, CreateVirtualMFADeviceOutput,
    DeactivateMFADeviceInput, DeactivateMFADeviceOutput, DeleteVirtualMFADeviceInput,
    DeleteVirtualMFADeviceOutput, EnableMFADeviceInput, EnableMFADeviceOutput, GetMFADeviceInput,
    GetMFADeviceOutput, ListMFADeviceTagsInput, ListMFADeviceTagsOutput, ListMFADevicesInput,
    ListMFADevicesOutput, ListVirtualMFADevicesInput, ListVirtualMFADevicesOutput, MFADevice,
    ResyncMFADeviceInput, ResyncMFADeviceOutput, TagMFADeviceInput, TagMFADeviceOutput,
    UntagMFADeviceInput, UntagMFADeviceOutput, VirtualMFADevice,
};
use kernel::ServiceError;
use kernel::session::Sealer;
use policy::Principal;
use store::{ReadTx, WriteTx};

use crate::access::{self, Keys, holder, holder_id};
use crate::entity::date;
use crate::error::{Error, Result};
use crate::store::{MFA_BY_HOLDER, MFA_DEVICES, MfaDevice, USERS, User};
use crate::{Ctx, listing, tag, totp};

/// AWS: "IAM and AWS STS quotas", MFA devices assigned to an IAM user.
pub(crate) const DEVICES_PER_USER_MAX: usize = 8;
/// How many bytes a seed has.
const SEED_BYTES: usize = 40;

const WRONG_CODE: &str = "Authentication code for device is not valid.";

fn missing(serial: &str) -> Error {
    Error::NoSuchEntity(format!("VirtualMFADevice with serial number {serial} does not exist."))
}

fn get(tx: &ReadTx<'_>, serial: &str) -> Result<MfaDevice> {
    tx.get(&MFA_DEVICES, serial)?.ok_or_else(|| missing(serial))
}

/// What a seed is sealed for.
fn place(serial: &str) -> String {
    format!("mfa/{serial}")
}

/// The seed of a device.
fn seed(sealer: &Sealer, device: &MfaDevice) -> std::result::Result<Vec<u8>, ServiceError> {
    let text = sealer.open_text(&place(&device.serial), &device.seed);
    let text = text.map_err(ServiceError::internal)?;
    Ok(text.bytes().collect())
}

impl MfaDevice {
    /// Takes a code that the device shows now.
    ///
    /// # Errors
    ///
    /// When the seed cannot be opened.
    pub(crate) fn take(
        &mut self,
        sealer: &Sealer,
        now: Timestamp,
        shown: &str,
    ) -> std::result::Result<bool, ServiceError> {
        let seed = seed(sealer, self)?;
        let now = totp::step(now.as_secs());
        let Some(at) = totp::matching(&seed, now, self.drift, self.spent, shown) else {
            return Ok(false);
        };
        self.spent = at;
        self.drift = at - now;
        Ok(true)
    }

    /// Sets the device's clock by two codes in a row.
    fn synchronize(
        &mut self,
        sealer: &Sealer,
        now: Timestamp,
        first: &str,
        second: &str,
    ) -> Result<()> {
        let seed = seed(sealer, self)?;
        let now = totp::step(now.as_secs());
        let at = totp::matching_pair(&seed, now, first, second)
            .ok_or(Error::InvalidAuthenticationCode(WRONG_CODE))?;
        (self.spent, self.drift) = (at, at - now);
        Ok(())
    }
}

/// The ARN of the device that a request names.
fn arn(ctx: &Ctx, path: &str, name: &str) -> String {
    Arn::new("iam", "", &ctx.account, format!("mfa{path}{name}")).to_string()
}

/// Makes a device, whose seed is told this once.
///
/// AWS: CreateVirtualMFADevice.
///
/// # Errors
///
/// [`Error::EntityAlreadyExists`].
pub(crate) async fn create_virtual_mfa_device(
    ctx: Ctx,
    input: CreateVirtualMFADeviceInput,
) -> Result<CreateVirtualMFADeviceOutput> {
    let path = input.path.as_deref().unwrap_or("/");
    let serial = arn(&ctx, path, &input.virtual_mfa_device_name);
    access::require(&ctx, "CreateVirtualMFADevice", &serial, Keys::new().sets(&input.tags)).await?;
    let letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let seed = ctx.random().text(letters, SEED_BYTES);
    let device = MfaDevice {
        seed: ctx.kernel().sealer().seal_text(&place(&serial), &seed),
        serial,
        created: ctx.now(),
        holder: None,
        enabled: None,
        drift: 0,
        spent: 0,
        tags: tag::from_request(&ctx, &input.tags)?,
    };
    ctx.store
        .write(|tx| {
            if tx.contains(&MFA_DEVICES, &device.serial)? {
                return Err(Error::EntityAlreadyExists(
                    "MFADevice entity at the same path and name already exists.".to_owned(),
                ));
            }
            Ok(tx.put(&MFA_DEVICES, &device)?)
        })
        .await?;
    Ok(CreateVirtualMFADeviceOutput {
        virtual_mfa_device: VirtualMFADevice {
            serial_number: device.serial.clone(),
            base32_string_seed: Some(totp::base32(seed.as_bytes()).into_bytes().into()),
            tags: tag::view(&device.tags),
            ..VirtualMFADevice::default()
        },
    })
}

/// Deletes a device that nobody has.
///
/// AWS: DeleteVirtualMFADevice.
///
/// # Errors
///
/// [`Error::NoSuchEntity`], [`Error::PolicyInUse`] (`DeleteConflict`).
pub(crate) async fn delete_virtual_mfa_device(
    ctx: Ctx,
    input: DeleteVirtualMFADeviceInput,
) -> Result<DeleteVirtualMFADeviceOutput> {
    access::require(&ctx, "DeleteVirtualMFADevice", &input.serial_number, Keys::new()).await?;
    ctx.store
        .write(|tx| {
            let device = get(tx, &input.serial_number)?;
            if device.holder.is_some() {
                return Err(Error::PolicyInUse("MFA VirtualDevice in use. Must deactivate first."));
            }
            tx.delete(&MFA_DEVICES, &device.serial)?;
            Ok(())
        })
        .await?;
    Ok(DeleteVirtualMFADeviceOutput {})
}

/// The account's virtual devices.
///
/// AWS: ListVirtualMFADevices.
pub(crate) async fn list_virtual_mfa_devices(
    ctx: Ctx,
    input: ListVirtualMFADevicesInput,
) -> Result<ListVirtualMFADevicesOutput> {
    access::require(&ctx, "ListVirtualMFADevices", &arn(&ctx, "/", "*"), Keys::new()).await?;
    let wanted = input.assignment_status.unwrap_or(AssignmentStatusType::Any);
    let (mut devices, users) = ctx
        .store
        .read(|tx| Ok::<_, Error>((tx.scan(&MFA_DEVICES, ())?, tx.scan(&USERS, ())?)))
        .await?;
    devices.retain(|device| match wanted {
        AssignmentStatusType::Assigned => device.holder.is_some(),
        AssignmentStatusType::Unassigned => device.holder.is_none(),
        AssignmentStatusType::Any => true,
    });
    let page = listing::page(devices, input.marker.as_deref(), input.max_items, |device| {
        device.serial.clone()
    })?;
    let view = |device: MfaDevice| {
        let holder = device.holder.as_deref();
        let user = users.iter().find(|user| Some(user.id.as_str()) == holder);
        let root = holder == Some(ctx.account.as_str());
        VirtualMFADevice {
            serial_number: device.serial,
            user: user.map(|user| user.summary(&ctx.account)).or_else(|| {
                root.then(|| iam_api::User {
                    user_id: ctx.account.to_string(),
                    arn: Arn::new("iam", "", &ctx.account, "root").to_string(),
                    create_date: date(device.created),
                    ..iam_api::User::default()
                })
            }),
            enable_date: device.enabled.map(date),
            ..VirtualMFADevice::default()
        }
    };
    Ok(ListVirtualMFADevicesOutput {
        is_truncated: Some(page.next.is_some()),
        marker: page.next,
        virtual_mfa_devices: page.items.into_iter().map(view).collect(),
    })
}

/// The user whom an operation on devices names. The root user is named by its account's id.
async fn named(ctx: &Ctx, action: &str, name: &str) -> Result<Option<User>> {
    let is_root = matches!(ctx.caller.principal, Principal::Root { .. });
    if is_root && (name == ctx.account.as_str() || name == "root") {
        return Ok(None);
    }
    access::existing(ctx, action, name).await.map(Some)
}

/// Gives a device to a user who shows two codes of it.
///
/// AWS: EnableMFADevice.
///
/// # Errors
///
/// [`Error::InvalidAuthenticationCode`], [`Error::EntityAlreadyExists`], [`Error::LimitExceeded`].
pub(crate) async fn enable_mfa_device(
    ctx: Ctx,
    input: EnableMFADeviceInput,
) -> Result<EnableMFADeviceOutput> {
    let user = named(&ctx, "EnableMFADevice", &input.user_name).await?;
    let holder = holder_id(&ctx, user.as_ref());
    let sealer = ctx.kernel().sealer();
    ctx.store
        .write(|tx| {
            let mut device = get(tx, &input.serial_number)?;
            if device.holder.is_some() {
                return Err(Error::EntityAlreadyExists("MFA Device is already in use.".to_owned()));
            }
            if tx.find(&MFA_BY_HOLDER, holder.as_str())?.len() >= DEVICES_PER_USER_MAX {
                return Err(Error::quota("MFADevicesPerUser", DEVICES_PER_USER_MAX));
            }
            let codes = (&input.authentication_code1, &input.authentication_code2);
            device.synchronize(sealer, ctx.now(), codes.0, codes.1)?;
            device.holder = Some(holder.clone());
            device.enabled = Some(ctx.now());
            Ok(tx.put(&MFA_DEVICES, &device)?)
        })
        .await?;
    Ok(EnableMFADeviceOutput {})
}

/// The device, if this holder has it.
fn held(tx: &WriteTx<'_>, serial: &str, holder: &str) -> Result<MfaDevice> {
    let found = tx.get(&MFA_DEVICES, serial)?;
    let held = found.filter(|device| device.holder.as_deref() == Some(holder));
    held.ok_or_else(|| {
        Error::NoSuchEntity(format!("MFA Device {serial} is not associated with the user."))
    })
}

/// Takes a device from a user.
///
/// AWS: DeactivateMFADevice.
///
/// # Errors
///
/// [`Error::NoSuchEntity`].
pub(crate) async fn deactivate_mfa_device(
    ctx: Ctx,
    input: DeactivateMFADeviceInput,
) -> Result<DeactivateMFADeviceOutput> {
    let user = match &input.user_name {
        Some(name) => named(&ctx, "DeactivateMFADevice", name).await?,
        None => holder(&ctx, "DeactivateMFADevice", None).await?,
    };
    let holder = holder_id(&ctx, user.as_ref());
    ctx.store
        .write(|tx| {
            let mut device = held(tx, &input.serial_number, &holder)?;
            (device.holder, device.enabled) = (None, None);
            Ok::<_, Error>(tx.put(&MFA_DEVICES, &device)?)
        })
        .await?;
    Ok(DeactivateMFADeviceOutput {})
}

/// Sets a device's clock anew.
///
/// AWS: ResyncMFADevice.
///
/// # Errors
///
/// [`Error::InvalidAuthenticationCode`], [`Error::NoSuchEntity`].
pub(crate) async fn resync_mfa_device(
    ctx: Ctx,
    input: ResyncMFADeviceInput,
) -> Result<ResyncMFADeviceOutput> {
    let user = named(&ctx, "ResyncMFADevice", &input.user_name).await?;
    let holder = holder_id(&ctx, user.as_ref());
    let sealer = ctx.kernel().sealer();
    ctx.store
        .write(|tx| {
            let mut device = held(tx, &input.serial_number, &holder)?;
            let codes = (&input.authentication_code1, &input.authentication_code2);
            device.synchronize(sealer, ctx.now(), codes.0, codes.1)?;
            Ok::<_, Error>(tx.put(&MFA_DEVICES, &device)?)
        })
        .await?;
    Ok(ResyncMFADeviceOutput {})
}

/// The devices of a user.
///
/// AWS: ListMFADevices.
///
/// # Errors
///
/// [`Error::NoSuchEntity`].
pub(crate) async fn list_mfa_devices(
    ctx: Ctx,
    input: ListMFADevicesInput,
) -> Result<ListMFADevicesOutput> {
    let user = holder(&ctx, "ListMFADevices", input.user_name.as_deref()).await?;
    let holder = holder_id(&ctx, user.as_ref());
    let devices = ctx.store.read(|tx| tx.find(&MFA_BY_HOLDER, holder.as_str())).await?;
    let page = listing::page(devices, input.marker.as_deref(), input.max_items, |device| {
        device.serial.clone()
    })?;
    let name = user.map(|user| user.name).unwrap_or_default();
    let view = |device: MfaDevice| MFADevice {
        user_name: name.clone(),
        serial_number: device.serial,
        enable_date: date(device.enabled.unwrap_or(device.created)),
    };
    Ok(ListMFADevicesOutput {
        is_truncated: Some(page.next.is_some()),
        marker: page.next,
        mfa_devices: page.items.into_iter().map(view).collect(),
    })
}

/// A device of a user.
///
/// AWS: GetMFADevice.
///
/// # Errors
///
/// [`Error::NoSuchEntity`].
pub(crate) async fn get_mfa_device(
    ctx: Ctx,
    input: GetMFADeviceInput,
) -> Result<GetMFADeviceOutput> {
    let user = holder(&ctx, "GetMFADevice", input.user_name.as_deref()).await?;
    let holder = holder_id(&ctx, user.as_ref());
    let device = ctx.store.read(|tx| get(tx, &input.serial_number)).await?;
    if device.holder.as_deref() != Some(&holder) {
        return Err(missing(&input.serial_number));
    }
    Ok(GetMFADeviceOutput {
        user_name: user.map(|user| user.name),
        serial_number: device.serial,
        enable_date: device.enabled.map(date),
        ..GetMFADeviceOutput::default()
    })
}

/// Sets tags of a device.
///
/// AWS: TagMFADevice.
///
/// # Errors
///
/// [`Error::NoSuchEntity`].
pub(crate) async fn tag_mfa_device(
    ctx: Ctx,
    input: TagMFADeviceInput,
) -> Result<TagMFADeviceOutput> {
    let keys = Keys::new().sets(&input.tags);
    access::require(&ctx, "TagMFADevice", &input.serial_number, keys).await?;
    let wanted = tag::from_request(&ctx, &input.tags)?;
    ctx.store
        .write(|tx| {
            let mut device = get(tx, &input.serial_number)?;
            tag::merge(&mut device.tags, &wanted)?;
            Ok::<_, Error>(tx.put(&MFA_DEVICES, &device)?)
        })
        .await?;
    Ok(TagMFADeviceOutput {})
}

/// Takes tags of a device away.
///
/// AWS: UntagMFADevice.
///
/// # Errors
///
/// [`Error::NoSuchEntity`].
pub(crate) async fn untag_mfa_device(
    ctx: Ctx,
    input: UntagMFADeviceInput,
) -> Result<UntagMFADeviceOutput> {
    let keys = Keys::new().names(input.tag_keys.clone());
    access::require(&ctx, "UntagMFADevice", &input.serial_number, keys).await?;
    ctx.store
        .write(|tx| {
            let mut device = get(tx, &input.serial_number)?;
            tag::cut(&mut device.tags, &input.tag_keys);
            Ok::<_, Error>(tx.put(&MFA_DEVICES, &device)?)
        })
        .await?;
    Ok(UntagMFADeviceOutput {})
}

/// The tags of a device.
///
/// AWS: ListMFADeviceTags.
///
/// # Errors
///
/// [`Error::NoSuchEntity`].
pub(crate) async fn list_mfa_device_tags(
    ctx: Ctx,
    input: ListMFADeviceTagsInput,
) -> Result<ListMFADeviceTagsOutput> {
    access::require(&ctx, "ListMFADeviceTags", &input.serial_number, Keys::new()).await?;
    let device = ctx.store.read(|tx| get(tx, &input.serial_number)).await?;
    let page = tag::page(&device.tags, input.marker.as_deref(), input.max_items)?;
    Ok(ListMFADeviceTagsOutput {
        is_truncated: Some(page.next.is_some()),
        marker: page.next,
        tags: page.items,
    })
}

/// Takes a code of a device that this holder has.
///
/// # Errors
///
/// When the store or the seed cannot be read.
pub(crate) fn authenticate(
    tx: &mut WriteTx<'_>,
    sealer: &Sealer,
    account: &AccountId,
    user: Option<&str>,
    (serial, shown): (&str, &str),
    now: Timestamp,
) -> Result<bool> {
    let holder = match user {
        Some(name) => match tx.get(&USERS, name)? {
            Some(user) => user.id,
            None => return Ok(false),
        },
        None => account.to_string(),
    };
    let Ok(mut device) = held(tx, serial, &holder) else { return Ok(false) };
    if !device.take(sealer, now, shown)? {
        return Ok(false);
    }
    tx.put(&MFA_DEVICES, &device)?;
    Ok(true)
}
