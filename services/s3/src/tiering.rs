//! INTELLIGENT_TIERING: when its objects were last used, and the archive tiers that a bucket opts
//! in to. Objects move between the frequent, infrequent and instant archive tiers by the age of
//! their last use alone, which changes nothing of how they are read.
//!
//! AWS: "How S3 Intelligent-Tiering works".

use base::Timestamp;
use s3_api::{
    ArchiveStatus, DeleteBucketIntelligentTieringConfigurationInput,
    DeleteBucketIntelligentTieringConfigurationOutput,
    GetBucketIntelligentTieringConfigurationInput, GetBucketIntelligentTieringConfigurationOutput,
    IntelligentTieringAccessTier, IntelligentTieringAndOperator, IntelligentTieringConfiguration,
    IntelligentTieringFilter, IntelligentTieringStatus,
    ListBucketIntelligentTieringConfigurationsInput,
    ListBucketIntelligentTieringConfigurationsOutput,
    PutBucketIntelligentTieringConfigurationInput, PutBucketIntelligentTieringConfigurationOutput,
    Tiering as ShownTiering,
};
use serde::{Deserialize, Serialize};
use store::Table;

use crate::Ctx;
use crate::admission::{Wish, admit};
use crate::class::Class;
use crate::error::{Error, Result};
use crate::lifecycle_rule::{DAY, Filter, Form};
use crate::settings::{OBJECT_TAGS_MAX, tag_list, tags_from};
use crate::store::{ArchiveTier, Object, Tiering};
use crate::version::{self, Named, same_bucket};

/// AWS: "How S3 Intelligent-Tiering works", smaller objects stay in the frequent access tier.
const BYTES_MIN: u64 = 128 * 1024;
/// AWS: Tiering, Days.
const DAYS_MAX: i32 = 730;
const ARCHIVE_DAYS_MIN: i32 = 90;
const DEEP_ARCHIVE_DAYS_MIN: i32 = 180;
/// AWS: PutBucketIntelligentTieringConfiguration, configurations of a bucket.
const CONFIGURATIONS_MAX: usize = 1000;
/// AWS: ListBucketIntelligentTieringConfigurations.
const PAGE: usize = 100;

/// The archive tiers that some of a bucket's objects may move to.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Configuration {
    pub(crate) bucket: String,
    pub(crate) id: String,
    pub(crate) enabled: bool,
    pub(crate) filter: Option<Filter>,
    /// Tiers with the days without use after which objects move there.
    pub(crate) tiers: Vec<(ArchiveTier, i32)>,
}

impl store::Record for Configuration {
    type Key = (String, String);

    fn key(&self) -> Self::Key {
        (self.bucket.clone(), self.id.clone())
    }
}

pub(crate) const TIERINGS: Table<Configuration> = Table::global("s3.tierings");

/// The tier that an object is to be moved to, if it was not used for so long.
pub(crate) fn tier_due(
    configurations: &[Configuration],
    object: &Object,
    now: Timestamp,
) -> Option<ArchiveTier> {
    let tiering = object.tiering.as_ref().filter(|_| object.class == Class::IntelligentTiering)?;
    if object.size < BYTES_MIN {
        return None;
    }
    let idle = now.since(tiering.accessed);
    let matching = configurations.iter().filter(|configuration| {
        let filter = configuration.filter.as_ref();
        configuration.enabled
            && filter.is_none_or(|f| f.holds(&object.key, &object.tags, object.size))
    });
    let due = matching
        .flat_map(|configuration| &configuration.tiers)
        .filter(|(_, days)| idle >= DAY.saturating_mul(u32::try_from(*days).unwrap_or(u32::MAX)));
    let tier = due.map(|(tier, _)| *tier).max()?;
    (tiering.archived < Some(tier)).then_some(tier)
}

/// The tiering of an object that is written into `class` now.
pub(crate) fn begun(class: Class, now: Timestamp) -> Option<Tiering> {
    let tiers = class == Class::IntelligentTiering;
    tiers.then_some(Tiering { accessed: now, archived: None })
}

/// Notes that an object was read, once a day.
pub(crate) async fn touch(ctx: &Ctx, object: &Object) -> Result<()> {
    let now = ctx.now();
    let Some(tiering) = &object.tiering else { return Ok(()) };
    if tiering.archived.is_some() || now.since(tiering.accessed) < DAY {
        return Ok(());
    }
    let named = Named::of(&object.version);
    let noted = version::change(ctx, (&object.bucket, &object.key), &named, |object| {
        if let Some(tiering) = &mut object.tiering {
            tiering.accessed = tiering.accessed.max(now);
        }
        Ok(())
    })
    .await;
    match noted {
        // Deleted meanwhile: there is nothing to note.
        Ok(_) | Err(Error::NoSuchKey(_) | Error::NoSuchVersion { .. }) => Ok(()),
        Err(error) => Err(error),
    }
}

/// The archive tier of an object, as headers tell it.
pub(crate) fn archive_status(object: &Object) -> Option<ArchiveStatus> {
    let archived = object.tiering.as_ref()?.archived?;
    Some(match archived {
        ArchiveTier::Archive => ArchiveStatus::ArchiveAccess,
        ArchiveTier::DeepArchive => ArchiveStatus::DeepArchiveAccess,
    })
}

/// Sets one of a bucket's configurations.
///
/// AWS: PutBucketIntelligentTieringConfiguration.
pub(crate) async fn put_bucket_intelligent_tiering_configuration(
    ctx: Ctx,
    input: PutBucketIntelligentTieringConfigurationInput,
) -> Result<PutBucketIntelligentTieringConfigurationOutput> {
    let action = "s3:PutIntelligentTieringConfiguration";
    let bucket =
        admit(&ctx, Wish::new(action, &input.bucket, &input.expected_bucket_owner)).await?;
    let given = input.intelligent_tiering_configuration;
    if given.id != input.id {
        return Err(Error::argument("Id", &given.id, "The configuration ID does not match"));
    }
    let configuration = Configuration {
        bucket: input.bucket,
        id: given.id,
        enabled: given.status == IntelligentTieringStatus::Enabled,
        filter: given.filter.map(filter_of).transpose()?,
        tiers: tiers_of(&given.tierings)?,
    };
    ctx.store
        .write(|tx| {
            same_bucket(tx, &bucket)?;
            let others = tx.scan(&TIERINGS, (&bucket.name,))?;
            let others = others.iter().filter(|other| other.id != configuration.id);
            if others.count() >= CONFIGURATIONS_MAX {
                return Err(Error::InvalidRequest(
                    "You are attempting to create a new configuration but have already reached \
                     the 1,000-configuration limit."
                        .to_owned(),
                ));
            }
            Ok(tx.put(&TIERINGS, &configuration)?)
        })
        .await?;
    Ok(PutBucketIntelligentTieringConfigurationOutput {})
}

fn filter_of(given: IntelligentTieringFilter) -> Result<Filter> {
    let members = [given.prefix.is_some(), given.tag.is_some(), given.and.is_some()];
    if members.iter().filter(|present| **present).count() > 1 {
        return Err(Error::MalformedXml);
    }
    let (form, prefix, tags) = match given.and {
        Some(and) => (Form::And, and.prefix, and.tags),
        None => (Form::Filter, given.prefix, given.tag.into_iter().collect()),
    };
    let tags = tags_from(&tags, OBJECT_TAGS_MAX)?;
    Ok(Filter { form, prefix, tags, ..Filter::default() })
}

fn tiers_of(given: &[ShownTiering]) -> Result<Vec<(ArchiveTier, i32)>> {
    let mut tiers: Vec<(ArchiveTier, i32)> = Vec::new();
    for tiering in given {
        let (tier, min) = match tiering.access_tier {
            IntelligentTieringAccessTier::ArchiveAccess => (ArchiveTier::Archive, ARCHIVE_DAYS_MIN),
            IntelligentTieringAccessTier::DeepArchiveAccess => {
                (ArchiveTier::DeepArchive, DEEP_ARCHIVE_DAYS_MIN)
            }
        };
        if !(min..=DAYS_MAX).contains(&tiering.days) {
            let text = format!("Days must be between {min} and {DAYS_MAX} for this access tier");
            return Err(Error::argument("Days", tiering.days, text));
        }
        if tiers.iter().any(|(other, _)| *other == tier) {
            return Err(Error::MalformedXml);
        }
        tiers.push((tier, tiering.days));
    }
    if tiers.is_empty() { Err(Error::MalformedXml) } else { Ok(tiers) }
}

fn shown(configuration: Configuration) -> IntelligentTieringConfiguration {
    let filter = configuration.filter.map(|filter| {
        let mut tags = tag_list(filter.tags);
        match filter.form {
            Form::And => IntelligentTieringFilter {
                and: Some(IntelligentTieringAndOperator { prefix: filter.prefix, tags }),
                ..IntelligentTieringFilter::default()
            },
            Form::Filter | Form::Prefix => {
                IntelligentTieringFilter { prefix: filter.prefix, tag: tags.pop(), and: None }
            }
        }
    });
    let tier = |(tier, days): (ArchiveTier, i32)| ShownTiering {
        days,
        access_tier: match tier {
            ArchiveTier::Archive => IntelligentTieringAccessTier::ArchiveAccess,
            ArchiveTier::DeepArchive => IntelligentTieringAccessTier::DeepArchiveAccess,
        },
    };
    IntelligentTieringConfiguration {
        id: configuration.id,
        filter,
        status: match configuration.enabled {
            true => IntelligentTieringStatus::Enabled,
            false => IntelligentTieringStatus::Disabled,
        },
        tierings: configuration.tiers.into_iter().map(tier).collect(),
    }
}

/// Tells one of a bucket's configurations.
///
/// AWS: GetBucketIntelligentTieringConfiguration.
pub(crate) async fn get_bucket_intelligent_tiering_configuration(
    ctx: Ctx,
    input: GetBucketIntelligentTieringConfigurationInput,
) -> Result<GetBucketIntelligentTieringConfigurationOutput> {
    let action = "s3:GetIntelligentTieringConfiguration";
    let bucket =
        admit(&ctx, Wish::new(action, &input.bucket, &input.expected_bucket_owner)).await?;
    let found = ctx.store.read(|tx| tx.get(&TIERINGS, (&bucket.name, &input.id))).await?;
    let found = found.ok_or(Error::NoSuchConfiguration)?;
    Ok(GetBucketIntelligentTieringConfigurationOutput {
        intelligent_tiering_configuration: Some(shown(found)),
    })
}

/// Takes one of a bucket's configurations away.
///
/// AWS: DeleteBucketIntelligentTieringConfiguration.
pub(crate) async fn delete_bucket_intelligent_tiering_configuration(
    ctx: Ctx,
    input: DeleteBucketIntelligentTieringConfigurationInput,
) -> Result<DeleteBucketIntelligentTieringConfigurationOutput> {
    let action = "s3:PutIntelligentTieringConfiguration";
    let bucket =
        admit(&ctx, Wish::new(action, &input.bucket, &input.expected_bucket_owner)).await?;
    let key = (&bucket.name, &input.id);
    let was_there = ctx.store.write(|tx| tx.delete(&TIERINGS, key)).await?;
    match was_there {
        true => Ok(DeleteBucketIntelligentTieringConfigurationOutput {}),
        false => Err(Error::NoSuchConfiguration),
    }
}

/// Lists a bucket's configurations.
///
/// AWS: ListBucketIntelligentTieringConfigurations.
pub(crate) async fn list_bucket_intelligent_tiering_configurations(
    ctx: Ctx,
    input: ListBucketIntelligentTieringConfigurationsInput,
) -> Result<ListBucketIntelligentTieringConfigurationsOutput> {
    let action = "s3:GetIntelligentTieringConfiguration";
    let bucket =
        admit(&ctx, Wish::new(action, &input.bucket, &input.expected_bucket_owner)).await?;
    let after = input.continuation_token.clone().map(|id| (bucket.name.clone(), id));
    let page = ctx
        .store
        .read(|tx| tx.scan_page_in(&TIERINGS, (&bucket.name,), after.as_ref(), PAGE))
        .await?;
    Ok(ListBucketIntelligentTieringConfigurationsOutput {
        is_truncated: Some(page.next.is_some()),
        continuation_token: input.continuation_token,
        next_continuation_token: page.next.map(|(_, id)| id),
        intelligent_tiering_configuration_list: page.records.into_iter().map(shown).collect(),
    })
}
