//! The lifecycle of buckets: rules as they are set, checked and shown.
//!
//! AWS: "Managing the lifecycle of objects", PutBucketLifecycleConfiguration.

use base::{Tags, Timestamp};
use s3_api::{
    AbortIncompleteMultipartUpload, DeleteBucketLifecycleInput, DeleteBucketLifecycleOutput,
    ExpirationStatus, GetBucketLifecycleConfigurationInput, GetBucketLifecycleConfigurationOutput,
    LifecycleExpiration, LifecycleRule, LifecycleRuleAndOperator, LifecycleRuleFilter,
    NoncurrentVersionExpiration, NoncurrentVersionTransition, PutBucketLifecycleConfigurationInput,
    PutBucketLifecycleConfigurationOutput, Tag, Transition as ShownTransition,
    TransitionDefaultMinimumObjectSize,
};
use store::Table;

use crate::Ctx;
use crate::admission::{Wish, admit};
use crate::class::Class;
use crate::error::{Error, Result};
use crate::lifecycle_rule::{
    DAY, Expiration, Filter, Form, Lifecycle, Minimum, NoncurrentExpiration, NoncurrentTransition,
    Rule, Transition,
};
use crate::percent;
use crate::settings::{OBJECT_TAGS_MAX, tag_list, tags_from};
use crate::store::{BUCKETS, Bucket, Object};
use crate::version::same_bucket;

/// AWS: "Lifecycle configuration elements", the number of rules.
const RULES_MAX: usize = 1000;
/// AWS: LifecycleRule, ID.
const ID_MAX: usize = 255;
/// AWS: "Transitioning objects using Amazon S3 Lifecycle", constraints.
const INFREQUENT_DAYS_MIN: i32 = 30;
/// AWS: NoncurrentVersionExpiration, NewerNoncurrentVersions.
const NEWER_MAX: i32 = 100;

pub(crate) const LIFECYCLES: Table<Lifecycle> = Table::global(LIFECYCLES_NAME);
pub(crate) const LIFECYCLES_NAME: &str = "s3.lifecycles";

/// Sets the lifecycle of a bucket, all its rules.
///
/// AWS: PutBucketLifecycleConfiguration.
pub(crate) async fn put_bucket_lifecycle_configuration(
    ctx: Ctx,
    input: PutBucketLifecycleConfigurationInput,
) -> Result<PutBucketLifecycleConfigurationOutput> {
    let action = "s3:PutLifecycleConfiguration";
    let bucket =
        admit(&ctx, Wish::new(action, &input.bucket, &input.expected_bucket_owner)).await?;
    let given = input.lifecycle_configuration.ok_or(Error::MalformedXml)?;
    let asked = input.transition_default_minimum_object_size;
    let minimum = match asked {
        Some(TransitionDefaultMinimumObjectSize::VariesByStorageClass) => Minimum::VariesByClass,
        Some(TransitionDefaultMinimumObjectSize::AllStorageClasses128k) | None => Minimum::All128K,
    };
    let rules = rules_of(&ctx, given.rules)?;
    let lifecycle = Lifecycle { bucket: input.bucket, rules, minimum };
    ctx.store
        .write(|tx| {
            let there = same_bucket(tx, &bucket)?;
            tx.put(&LIFECYCLES, &lifecycle)?;
            Ok::<_, Error>(tx.put(&BUCKETS, &Bucket { has_lifecycle: true, ..there })?)
        })
        .await?;
    Ok(PutBucketLifecycleConfigurationOutput {
        transition_default_minimum_object_size: Some(shown_minimum(minimum)),
    })
}

fn shown_minimum(minimum: Minimum) -> TransitionDefaultMinimumObjectSize {
    match minimum {
        Minimum::All128K => TransitionDefaultMinimumObjectSize::AllStorageClasses128k,
        Minimum::VariesByClass => TransitionDefaultMinimumObjectSize::VariesByStorageClass,
    }
}

fn rules_of(ctx: &Ctx, given: Vec<LifecycleRule>) -> Result<Vec<Rule>> {
    if given.is_empty() || given.len() > RULES_MAX {
        return Err(Error::MalformedXml);
    }
    let mut rules: Vec<Rule> = Vec::with_capacity(given.len());
    for rule in given {
        let mut rule = rule_of(rule)?;
        if rule.id.is_empty() {
            rule.id = ctx.id("rule").to_string();
        }
        if rule.id.chars().count() > ID_MAX {
            let text = "ID length should not exceed allowed limit of 255";
            return Err(Error::argument("ID", &rule.id, text));
        }
        if rules.iter().any(|other| other.id == rule.id) {
            let text = "Rule ID must be unique. Found same ID for more than one rule";
            return Err(Error::argument("ID", &rule.id, text));
        }
        rules.push(rule);
    }
    Ok(rules)
}

fn rule_of(rule: LifecycleRule) -> Result<Rule> {
    let filter = filter_of(rule.filter, rule.prefix)?;
    let expiration = rule.expiration.map(|expiration| expiration_of(expiration, &filter));
    let transitions = rule.transitions.into_iter().map(transition_of);
    let noncurrent = rule.noncurrent_version_transitions.into_iter().map(noncurrent_of);
    let ends = rule.noncurrent_version_expiration.map(|given| {
        let days = positive("NoncurrentDays", "NoncurrentVersionExpiration", given.noncurrent_days);
        Ok::<_, Error>(NoncurrentExpiration {
            days: days?,
            newer: newer_of(given.newer_noncurrent_versions)?,
        })
    });
    let abort = rule.abort_incomplete_multipart_upload.map(|given| {
        if !filter.tags.is_empty() || filter.larger_than.is_some() || filter.smaller_than.is_some()
        {
            return Err(Error::InvalidRequest(
                "AbortIncompleteMultipartUpload cannot be specified with Tags.".to_owned(),
            ));
        }
        let name = "AbortIncompleteMultipartUpload";
        positive("DaysAfterInitiation", name, given.days_after_initiation)
    });
    let rule = Rule {
        id: rule.id.unwrap_or_default(),
        enabled: rule.status == ExpirationStatus::Enabled,
        expiration: expiration.transpose()?,
        transitions: transitions.collect::<Result<_>>()?,
        noncurrent_transitions: noncurrent.collect::<Result<_>>()?,
        noncurrent_expiration: ends.transpose()?,
        abort_days: abort.transpose()?,
        filter,
    };
    check_together(&rule)?;
    Ok(rule)
}

fn check_together(rule: &Rule) -> Result<()> {
    let acts = rule.expiration.is_some()
        || !rule.transitions.is_empty()
        || !rule.noncurrent_transitions.is_empty()
        || rule.noncurrent_expiration.is_some()
        || rule.abort_days.is_some();
    if !acts {
        let text = "At least one action needs to be specified in a rule";
        return Err(Error::InvalidRequest(text.to_owned()));
    }
    let mut classes: Vec<u8> = rule.transitions.iter().map(|t| t.class.depth()).collect();
    classes.sort_unstable();
    if classes.windows(2).any(|pair| matches!(pair, [a, b] if a == b)) {
        let text = "'StorageClass' must be different for 'Transition' actions in same 'Rule'";
        return Err(Error::InvalidRequest(text.to_owned()));
    }
    let by_date = rule.transitions.iter().filter(|t| t.date.is_some()).count();
    let expires_by_date = rule.expiration.as_ref().is_some_and(|e| e.date.is_some());
    let expires_by_days = rule.expiration.as_ref().is_some_and(|e| e.days.is_some());
    let mixed = by_date != 0 && (by_date != rule.transitions.len() || expires_by_days)
        || expires_by_date && by_date != rule.transitions.len();
    if mixed {
        let text = "Found mixed 'Date' and 'Days' based Expiration and Transition actions in \
                    lifecycle rule";
        return Err(Error::InvalidRequest(text.to_owned()));
    }
    let prefix = rule.filter.prefix.clone().unwrap_or_default();
    let longest = rule.transitions.iter().filter_map(|t| t.days).max();
    let ends = rule.expiration.as_ref().and_then(|e| e.days);
    if let (Some(longest), Some(ends)) = (longest, ends)
        && ends <= longest
    {
        return Err(Error::InvalidRequest(format!(
            "'Days' in the Expiration action for filter '(prefix={prefix})' must be greater than \
             'Days' in the Transition action"
        )));
    }
    check_steps(rule, &prefix)
}

/// Who goes through an infrequent access class stays there for a month.
fn check_steps(rule: &Rule, prefix: &str) -> Result<()> {
    let days =
        |class: Class| rule.transitions.iter().find(|t| t.class == class).and_then(|t| t.days);
    let infrequent = days(Class::StandardIa).max(days(Class::OnezoneIa));
    let archive = days(Class::Glacier).into_iter().chain(days(Class::DeepArchive)).min();
    if let (Some(infrequent), Some(archive)) = (infrequent, archive)
        && archive < infrequent.saturating_add(INFREQUENT_DAYS_MIN)
    {
        return Err(Error::InvalidRequest(format!(
            "'Days' in the 'Transition' action with StorageClass 'GLACIER' for filter \
             '(prefix={prefix})' must be 30 days more than 'filter' in the 'Transition' action \
             with StorageClass 'STANDARD_IA'"
        )));
    }
    Ok(())
}

fn filter_of(filter: Option<LifecycleRuleFilter>, prefix: Option<String>) -> Result<Filter> {
    let filter = match (filter, prefix) {
        (None, Some(prefix)) => {
            return Ok(Filter { form: Form::Prefix, prefix: Some(prefix), ..Filter::default() });
        }
        (Some(filter), None) => filter,
        (None, None) | (Some(_), Some(_)) => return Err(Error::MalformedXml),
    };
    let members = [
        filter.prefix.is_some(),
        filter.tag.is_some(),
        filter.object_size_greater_than.is_some(),
        filter.object_size_less_than.is_some(),
        filter.and.is_some(),
    ];
    if members.iter().filter(|present| **present).count() > 1 {
        return Err(Error::MalformedXml);
    }
    let (form, all) = match filter.and {
        Some(and) => (Form::And, and),
        None => (
            Form::Filter,
            LifecycleRuleAndOperator {
                prefix: filter.prefix,
                tags: filter.tag.into_iter().collect(),
                object_size_greater_than: filter.object_size_greater_than,
                object_size_less_than: filter.object_size_less_than,
            },
        ),
    };
    let larger_than = all.object_size_greater_than.map(size_of).transpose()?;
    let smaller_than = all.object_size_less_than.map(size_of).transpose()?;
    if let (Some(larger), Some(smaller)) = (larger_than, smaller_than)
        && larger >= smaller
    {
        let text = "'ObjectSizeGreaterThan' has to be a value smaller than 'ObjectSizeLessThan'";
        return Err(Error::InvalidRequest(text.to_owned()));
    }
    let tags: Tags = tags_from(&all.tags, OBJECT_TAGS_MAX)?;
    Ok(Filter { form, prefix: all.prefix, tags, larger_than, smaller_than })
}

fn size_of(given: i64) -> Result<u64> {
    u64::try_from(given).map_err(|_| {
        Error::argument("ObjectSize", given, "'ObjectSize' must be a non-negative integer")
    })
}

fn positive(name: &'static str, action: &str, days: Option<i32>) -> Result<i32> {
    match days {
        Some(days) if days > 0 => Ok(days),
        Some(days) => {
            let text = format!("'{name}' for {action} action must be a positive integer");
            Err(Error::argument(name, days, text))
        }
        None => Err(Error::MalformedXml),
    }
}

fn newer_of(given: Option<i32>) -> Result<Option<i32>> {
    match given {
        Some(count) if !(1..=NEWER_MAX).contains(&count) => {
            let text = "'NewerNoncurrentVersions' must be a positive integer not greater than 100";
            Err(Error::argument("NewerNoncurrentVersions", count, text))
        }
        other => Ok(other),
    }
}

fn checked_midnight(date: Timestamp) -> Result<Timestamp> {
    let day = i64::try_from(DAY.as_millis()).unwrap_or(86_400_000);
    if date.as_millis() % day != 0 {
        return Err(Error::argument("Date", date, "'Date' must be at midnight GMT"));
    }
    Ok(date)
}

fn expiration_of(given: LifecycleExpiration, filter: &Filter) -> Result<Expiration> {
    let LifecycleExpiration { days, date, expired_object_delete_marker: marker } = given;
    let count = [days.is_some(), date.is_some(), marker.is_some()];
    if count.iter().filter(|present| **present).count() != 1 {
        return Err(Error::MalformedXml);
    }
    if marker == Some(true) && !filter.tags.is_empty() {
        let text = "ExpiredObjectDeleteMarker cannot be specified with Tags.";
        return Err(Error::InvalidRequest(text.to_owned()));
    }
    let days = days.map(|days| positive("Days", "Expiration", Some(days))).transpose()?;
    Ok(Expiration { days, date: date.map(checked_midnight).transpose()?, delete_marker: marker })
}

fn check_infrequent(name: &'static str, action: &str, days: i32, class: Class) -> Result<()> {
    let is_infrequent = matches!(class, Class::StandardIa | Class::OnezoneIa);
    if is_infrequent && days < INFREQUENT_DAYS_MIN {
        let class = class.name();
        let text = format!(
            "'{name}' in {action} action must be greater than or equal to 30 for storageClass \
             '{class}'"
        );
        return Err(Error::argument(name, days, text));
    }
    Ok(())
}

fn transition_of(given: ShownTransition) -> Result<Transition> {
    let class = Class::of_transition(given.storage_class.ok_or(Error::MalformedXml)?);
    match (given.days, given.date) {
        (Some(days), None) => {
            if days < 0 {
                let text = "'Days' in Transition action must be nonnegative";
                return Err(Error::argument("Days", days, text));
            }
            check_infrequent("Days", "Transition", days, class)?;
        }
        (None, Some(date)) => {
            checked_midnight(date)?;
        }
        (_, _) => return Err(Error::MalformedXml),
    }
    Ok(Transition { days: given.days, date: given.date, class })
}

fn noncurrent_of(given: NoncurrentVersionTransition) -> Result<NoncurrentTransition> {
    let class = Class::of_transition(given.storage_class.ok_or(Error::MalformedXml)?);
    let days = given.noncurrent_days.ok_or(Error::MalformedXml)?;
    if days < 0 {
        let text = "'NoncurrentDays' in NoncurrentVersionTransition action must be nonnegative";
        return Err(Error::argument("NoncurrentDays", days, text));
    }
    check_infrequent("NoncurrentDays", "NoncurrentVersionTransition", days, class)?;
    Ok(NoncurrentTransition { days, newer: newer_of(given.newer_noncurrent_versions)?, class })
}

/// Tells the lifecycle of a bucket.
///
/// AWS: GetBucketLifecycleConfiguration.
pub(crate) async fn get_bucket_lifecycle_configuration(
    ctx: Ctx,
    input: GetBucketLifecycleConfigurationInput,
) -> Result<GetBucketLifecycleConfigurationOutput> {
    let action = "s3:GetLifecycleConfiguration";
    let bucket =
        admit(&ctx, Wish::new(action, &input.bucket, &input.expected_bucket_owner)).await?;
    let found = ctx.store.read(|tx| tx.get(&LIFECYCLES, &bucket.name)).await?;
    let found = found.ok_or(Error::NoSuchLifecycleConfiguration(bucket.name))?;
    Ok(GetBucketLifecycleConfigurationOutput {
        rules: found.rules.into_iter().map(shown_rule).collect(),
        transition_default_minimum_object_size: Some(shown_minimum(found.minimum)),
    })
}

fn shown_filter(filter: Filter) -> (Option<LifecycleRuleFilter>, Option<String>) {
    let Filter { form, prefix, tags, larger_than, smaller_than } = filter;
    let size = |bound: Option<u64>| bound.and_then(|bound| i64::try_from(bound).ok());
    let (larger, smaller) = (size(larger_than), size(smaller_than));
    let tags: Vec<Tag> = tag_list(tags);
    let filter = match form {
        Form::Prefix => return (None, prefix),
        Form::Filter => LifecycleRuleFilter {
            prefix,
            tag: tags.into_iter().next(),
            object_size_greater_than: larger,
            object_size_less_than: smaller,
            and: None,
        },
        Form::And => LifecycleRuleFilter {
            and: Some(LifecycleRuleAndOperator {
                prefix,
                tags,
                object_size_greater_than: larger,
                object_size_less_than: smaller,
            }),
            ..LifecycleRuleFilter::default()
        },
    };
    (Some(filter), None)
}

fn shown_rule(rule: Rule) -> LifecycleRule {
    let (filter, prefix) = shown_filter(rule.filter);
    let transition = |t: Transition| ShownTransition {
        days: t.days,
        date: t.date,
        storage_class: t.class.name().parse().ok(),
    };
    let noncurrent = |t: NoncurrentTransition| NoncurrentVersionTransition {
        noncurrent_days: Some(t.days),
        newer_noncurrent_versions: t.newer,
        storage_class: t.class.name().parse().ok(),
    };
    LifecycleRule {
        id: Some(rule.id),
        status: match rule.enabled {
            true => ExpirationStatus::Enabled,
            false => ExpirationStatus::Disabled,
        },
        filter,
        prefix,
        expiration: rule.expiration.map(|e| LifecycleExpiration {
            days: e.days,
            date: e.date,
            expired_object_delete_marker: e.delete_marker,
        }),
        transitions: rule.transitions.into_iter().map(transition).collect(),
        noncurrent_version_transitions: rule
            .noncurrent_transitions
            .into_iter()
            .map(noncurrent)
            .collect(),
        noncurrent_version_expiration: rule.noncurrent_expiration.map(|e| {
            NoncurrentVersionExpiration {
                noncurrent_days: Some(e.days),
                newer_noncurrent_versions: e.newer,
            }
        }),
        abort_incomplete_multipart_upload: rule
            .abort_days
            .map(|days| AbortIncompleteMultipartUpload { days_after_initiation: Some(days) }),
    }
}

/// Takes the lifecycle of a bucket away.
///
/// AWS: DeleteBucketLifecycle.
pub(crate) async fn delete_bucket_lifecycle(
    ctx: Ctx,
    input: DeleteBucketLifecycleInput,
) -> Result<DeleteBucketLifecycleOutput> {
    let action = "s3:PutLifecycleConfiguration";
    let bucket =
        admit(&ctx, Wish::new(action, &input.bucket, &input.expected_bucket_owner)).await?;
    ctx.store
        .write(|tx| {
            let there = same_bucket(tx, &bucket)?;
            tx.delete(&LIFECYCLES, &bucket.name)?;
            Ok::<_, Error>(tx.put(&BUCKETS, &Bucket { has_lifecycle: false, ..there })?)
        })
        .await?;
    Ok(DeleteBucketLifecycleOutput {})
}

/// The lifecycle of a bucket, where it has one.
pub(crate) async fn lifecycle_of(ctx: &Ctx, bucket: &Bucket) -> Result<Option<Lifecycle>> {
    if !bucket.has_lifecycle {
        return Ok(None);
    }
    Ok(ctx.store.read(|tx| tx.get(&LIFECYCLES, &bucket.name)).await?)
}

/// The `x-amz-expiration` header of a current object.
pub(crate) async fn expiration_of_object(
    ctx: &Ctx,
    bucket: &Bucket,
    object: &Object,
) -> Result<Option<String>> {
    let lifecycle = lifecycle_of(ctx, bucket).await?;
    let expiry = lifecycle.as_ref().and_then(|lifecycle| lifecycle.expiry(object));
    Ok(expiry.map(|(time, rule)| {
        let rule = percent::encode(rule);
        format!("expiry-date=\"{}\", rule-id=\"{rule}\"", time.http_date())
    }))
}
