//! Rotation: new material for a key, while what the old material encrypted stays readable.
//!
//! AWS: "Rotate AWS KMS keys".

use std::time::Duration;

use base::Timestamp;
use kernel::cipher::Cipher;
use kernel::paging;
use kms_api::{
    DisableKeyRotationInput, DisableKeyRotationOutput, EnableKeyRotationInput,
    EnableKeyRotationOutput, ExpirationModelType, GetKeyRotationStatusInput,
    GetKeyRotationStatusOutput, ImportState, IncludeKeyMaterial, KeyMaterialState, KeySpec,
    ListKeyRotationsInput, ListKeyRotationsOutput, OriginType, RotateKeyOnDemandInput,
    RotateKeyOnDemandOutput, RotationType, RotationsListEntry,
};

use crate::Ctx;
use crate::error::{Error, Result};
use crate::key::{change, material, not_pending_deletion, own, usable};
use crate::store::{Key, Material, Rotation, Why};

/// The period unless a request names another: also that of AWS managed keys.
pub(crate) const YEAR_DAYS: i32 = 365;
/// AWS: "Resource quotas" (AWS KMS), on-demand rotations per key.
const ON_DEMAND_MAX: usize = 25;
/// AWS: ListKeyRotations, `Limit`.
const PAGE: i32 = 100;

/// `days` after `from`.
pub(crate) fn in_days(from: Timestamp, days: i32) -> Timestamp {
    from + Duration::from_secs(86_400) * u32::try_from(days).unwrap_or(0)
}

/// Rotates a key every so often.
///
/// AWS: EnableKeyRotation.
///
/// # Errors
///
/// [`Error::UnsupportedOperation`] for keys that are not rotated automatically, and those of every
/// use of a key.
pub(crate) async fn enable_key_rotation(
    ctx: Ctx,
    input: EnableKeyRotationInput,
) -> Result<EnableKeyRotationOutput> {
    let now = ctx.now();
    change(&ctx, &input.key_id, |key| {
        usable(key)?;
        automatic(key)?;
        let given = input.rotation_period_in_days;
        let period_days = given.or(key.rotation.map(|known| known.period_days));
        let period_days = period_days.unwrap_or(YEAR_DAYS);
        let same = key.rotation.filter(|known| known.period_days == period_days);
        let new = Rotation { period_days, next: in_days(now, period_days) };
        key.rotation = same.or(Some(new));
        Ok(())
    })
    .await?;
    Ok(EnableKeyRotationOutput {})
}

/// Rotates a key no more.
///
/// AWS: DisableKeyRotation.
///
/// # Errors
///
/// As EnableKeyRotation.
pub(crate) async fn disable_key_rotation(
    ctx: Ctx,
    input: DisableKeyRotationInput,
) -> Result<DisableKeyRotationOutput> {
    change(&ctx, &input.key_id, |key| {
        usable(key)?;
        automatic(key)?;
        key.rotation = None;
        Ok(())
    })
    .await?;
    Ok(DisableKeyRotationOutput {})
}

/// Tells whether and when a key is rotated.
///
/// AWS: GetKeyRotationStatus.
///
/// # Errors
///
/// [`Error::NotFound`], [`Error::UnsupportedOperation`], [`Error::InvalidState`].
pub(crate) async fn get_key_rotation_status(
    ctx: Ctx,
    input: GetKeyRotationStatusInput,
) -> Result<GetKeyRotationStatusOutput> {
    let opened = own(&ctx, &input.key_id).await?;
    not_pending_deletion(&opened.key)?;
    symmetric(&opened.key)?;
    let rotation = opened.key.rotation;
    Ok(GetKeyRotationStatusOutput {
        key_rotation_enabled: Some(rotation.is_some()),
        key_id: Some(opened.key.arn.clone()),
        rotation_period_in_days: rotation.map(|rotation| rotation.period_days),
        next_rotation_date: rotation.map(|rotation| rotation.next),
        on_demand_rotation_start_date: None,
    })
}

/// Rotates a key now; of a key with imported material, to the material that waits.
///
/// AWS: RotateKeyOnDemand.
///
/// # Errors
///
/// [`Error::LimitExceeded`], [`Error::UnsupportedOperation`], and those of every use of a key.
pub(crate) async fn rotate_key_on_demand(
    ctx: Ctx,
    input: RotateKeyOnDemandInput,
) -> Result<RotateKeyOnDemandOutput> {
    let now = ctx.now();
    let mut fresh = [0; 32];
    ctx.random().fill(&mut fresh);
    let key = change(&ctx, &input.key_id, |key| {
        usable(key)?;
        symmetric(key)?;
        let done =
            |material: &&Material| material.rotated.is_some_and(|(_, why)| why == Why::OnDemand);
        if key.materials.iter().filter(done).count() >= ON_DEMAND_MAX {
            return Err(Error::LimitExceeded(format!(
                "A KMS key can be rotated on demand {ON_DEMAND_MAX} times."
            )));
        }
        if key.origin() == OriginType::External {
            return promote(key, now);
        }
        new_material(&ctx.drivers.cipher, key, &fresh, Why::OnDemand, now);
        Ok(())
    })
    .await?;
    Ok(RotateKeyOnDemandOutput { key_id: Some(key.arn) })
}

/// Makes imported material that waits the current one.
fn promote(key: &mut Key, now: Timestamp) -> Result<()> {
    let pending = key.pending().filter(|material| material.sealed.is_some());
    let number = pending.map(|material| material.number).ok_or_else(|| {
        Error::InvalidState(format!(
            "{} has no imported key material that is pending rotation.",
            key.arn
        ))
    })?;
    for material in key.materials.iter_mut().filter(|material| material.number == number) {
        material.rotated = Some((now, Why::OnDemand));
    }
    key.current = Some(number);
    Ok(())
}

/// Adds material to a symmetric key and makes it the current one.
pub(crate) fn new_material(
    cipher: &Cipher,
    key: &mut Key,
    plain: &[u8; 32],
    why: Why,
    at: Timestamp,
) {
    let last = key.materials.iter().map(|material| material.number).max().unwrap_or(0);
    let mut new = material(cipher, &key.arn, last + 1, plain);
    new.rotated = Some((at, why));
    key.current = Some(new.number);
    key.materials.push(new);
}

/// Lists a key's rotations, or all its material.
///
/// AWS: ListKeyRotations.
///
/// # Errors
///
/// [`Error::NotFound`], [`Error::UnsupportedOperation`], [`Error::InvalidMarker`].
pub(crate) async fn list_key_rotations(
    ctx: Ctx,
    input: ListKeyRotationsInput,
) -> Result<ListKeyRotationsOutput> {
    let opened = own(&ctx, &input.key_id).await?;
    let key = &opened.key;
    symmetric(key)?;
    let all = input.include_key_material == Some(IncludeKeyMaterial::AllKeyMaterial);
    let wanted = |material: &&Material| all || material.rotated.is_some();
    let found: Vec<Material> = key.materials.iter().filter(wanted).cloned().collect();
    let limit = usize::try_from(input.limit.unwrap_or(PAGE)).unwrap_or(1);
    let page = paging::page(found, input.marker.as_deref(), limit, |material| {
        format!("{:010}", material.number)
    })
    .map_err(|_| Error::InvalidMarker)?;
    let truncated = Some(page.next.is_some());
    let rotations = page.items.into_iter().map(|material| entry(key, material)).collect();
    Ok(ListKeyRotationsOutput { rotations, next_marker: page.next, truncated })
}

fn entry(key: &Key, material: Material) -> RotationsListEntry {
    let imported = key.origin() == OriginType::External;
    let state = match key.current {
        Some(current) if material.number == current => KeyMaterialState::Current,
        Some(current) if material.number < current => KeyMaterialState::NonCurrent,
        Some(_) | None => KeyMaterialState::PendingRotation,
    };
    let import_state = match material.sealed {
        Some(_) => ImportState::Imported,
        None => ImportState::PendingImport,
    };
    let expiration = match material.valid_to {
        Some(_) => ExpirationModelType::KeyMaterialExpires,
        None => ExpirationModelType::KeyMaterialDoesNotExpire,
    };
    let kind = material.rotated.map(|(_, why)| match why {
        Why::Automatic => RotationType::Automatic,
        Why::OnDemand => RotationType::OnDemand,
    });
    RotationsListEntry {
        key_id: Some(key.arn.clone()),
        key_material_id: Some(material.id),
        key_material_description: material.description,
        import_state: Some(import_state).filter(|_| imported),
        key_material_state: Some(state),
        expiration_model: Some(expiration).filter(|_| imported),
        valid_to: material.valid_to,
        rotation_date: material.rotated.map(|(at, _)| at),
        rotation_type: kind,
    }
}

/// Refuses keys that have no rotation at all.
fn symmetric(key: &Key) -> Result<()> {
    if key.spec() == KeySpec::SymmetricDefault {
        return Ok(());
    }
    Err(Error::UnsupportedOperation(format!(
        "{} key spec is {} which is not valid for this operation.",
        key.arn, key.spec
    )))
}

/// Refuses keys that are not rotated by themselves.
fn automatic(key: &Key) -> Result<()> {
    symmetric(key)?;
    if key.origin() == OriginType::AwsKms {
        return Ok(());
    }
    Err(Error::UnsupportedOperation(format!(
        "{} origin is {} which is not valid for this operation.",
        key.arn, key.origin
    )))
}
