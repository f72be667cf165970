//! Archived objects on their way back.
//!
//! AWS: "Restoring an archived object", "Understanding archive retrieval options".

use std::time::Duration;

use base::Timestamp;
use s3_api::{RestoreObjectInput, RestoreObjectOutput, RestoreRequest, RestoreStatus, Tier};

use crate::Ctx;
use crate::admission::{Wish, admit};
use crate::bucket::refuse;
use crate::class::Class;
use crate::error::{Error, Result};
use crate::lifecycle_rule::{DAY, midnight_at_or_after};
use crate::store::{ArchiveTier, Object, Restore};
use crate::version::{self, Named};

/// When a copy that is there since `ready` goes: at the midnight behind its days.
pub(crate) fn expiry(ready: Timestamp, days: i32) -> Timestamp {
    midnight_at_or_after(ready + DAY.saturating_mul(u32::try_from(days).unwrap_or_default()))
}

/// What the `x-amz-restore` header says of an object.
pub(crate) fn header(object: &Object) -> Option<String> {
    let restore = object.restore.as_ref()?;
    Some(match restore.expires {
        Some(expires) => {
            format!("ongoing-request=\"false\", expiry-date=\"{}\"", expires.http_date())
        }
        None => "ongoing-request=\"true\"".to_owned(),
    })
}

/// What listings say of an object on its way back.
pub(crate) fn status(object: &Object) -> Option<RestoreStatus> {
    let restore = object.restore.as_ref()?;
    Some(RestoreStatus {
        is_restore_in_progress: Some(restore.expires.is_none()),
        restore_expiry_date: restore.expires,
    })
}

/// Refuses to read what is archived and has no copy.
pub(crate) fn check_readable(object: &Object) -> Result<()> {
    let has_copy = object.restore.as_ref().is_some_and(|restore| restore.copy.is_some());
    if !object.is_archived() || has_copy {
        return Ok(());
    }
    Err(Error::InvalidObjectState {
        message: "The operation is not valid for the object's storage class",
        class: object.class.name(),
        tier: tier_of(object).map(|tier| match tier {
            ArchiveTier::Archive => "ARCHIVE_ACCESS",
            ArchiveTier::DeepArchive => "DEEP_ARCHIVE_ACCESS",
        }),
    })
}

fn tier_of(object: &Object) -> Option<ArchiveTier> {
    object.tiering.as_ref().and_then(|tiering| tiering.archived)
}

/// How long a retrieval takes at most.
///
/// AWS: "Understanding archive retrieval options".
fn delay(object: &Object, tier: Tier) -> Result<Duration> {
    let is_deep =
        object.class == Class::DeepArchive || tier_of(object) == Some(ArchiveTier::DeepArchive);
    let minutes = match (is_deep, tier) {
        (false, Tier::Expedited) => 5,
        (false, Tier::Standard) => 5 * 60,
        (false, Tier::Bulk) => 12 * 60,
        (true, Tier::Standard) => 12 * 60,
        (true, Tier::Bulk) => 48 * 60,
        (true, Tier::Expedited) => {
            let text = "Retrieval option is not supported by this storage class";
            return Err(Error::argument("Tier", tier.as_str(), text));
        }
    };
    Ok(Duration::from_secs(minutes * 60))
}

/// How fast one tier is, the fastest highest.
fn speed(tier: &str) -> u8 {
    match tier {
        "Expedited" => 2,
        "Standard" => 1,
        _ => 0,
    }
}

/// Asks for a copy of an archived object for some days, or prolongs it; brings an object of
/// INTELLIGENT_TIERING back for good.
///
/// AWS: RestoreObject.
pub(crate) async fn restore_object(
    ctx: Ctx,
    input: RestoreObjectInput,
) -> Result<RestoreObjectOutput> {
    let named = Named::parse(input.version_id.as_deref())?;
    let wish = Wish::new("s3:RestoreObject", &input.bucket, &input.expected_bucket_owner);
    admit(&ctx, wish.key(&input.key)).await?;
    let request = input.restore_request.ok_or(Error::MalformedXml)?;
    refuse(&[
        ("Type", request.type_.is_some()),
        ("SelectParameters", request.select_parameters.is_some()),
        ("OutputLocation", request.output_location.is_some()),
    ])?;
    let now = ctx.now();
    version::change(&ctx, (&input.bucket, &input.key), &named, |object| {
        begin(object, &request, now)
    })
    .await?;
    Ok(RestoreObjectOutput::default())
}

fn begin(object: &mut Object, request: &RestoreRequest, now: Timestamp) -> Result<()> {
    if !object.is_archived() {
        return Err(Error::InvalidObjectState {
            message: "Restore is not allowed for the object's current storage class",
            class: object.class.name(),
            tier: None,
        });
    }
    let for_good = object.class == Class::IntelligentTiering;
    let days = match (for_good, request.days) {
        (true, None) => None,
        (false, Some(days)) if days > 0 => Some(days),
        (false, Some(days)) => {
            return Err(Error::argument("Days", days, "restoration days should be at least 1"));
        }
        (true, Some(_)) | (false, None) => return Err(Error::MalformedXml),
    };
    let in_parameters = request.glacier_job_parameters.as_ref().map(|given| given.tier);
    let tier = in_parameters.or(request.tier).unwrap_or(Tier::Standard);
    let ready = now + delay(object, tier)?;
    let asked = Restore { days, tier: tier.as_str().to_owned(), ready, expires: None, copy: None };
    object.restore = Some(match object.restore.take() {
        None => asked,
        Some(there) => match (there.expires, days) {
            // The copy stays for so many days from now.
            (Some(_), Some(days)) => Restore { expires: Some(expiry(now, days)), ..there },
            (None, _) if speed(&asked.tier) > speed(&there.tier) && ready < there.ready => {
                Restore { tier: asked.tier, ready, ..there }
            }
            (_, _) => return Err(Error::RestoreAlreadyInProgress),
        },
    });
    Ok(())
}
