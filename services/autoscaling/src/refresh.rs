//! Instance refresh: replacing all members, a few at a time.
//!
//! AWS: "Use an instance refresh to update instances in an Auto Scaling group".

use std::time::Duration;

use autoscaling_api::{
    CancelInstanceRefreshInput, CancelInstanceRefreshOutput, DescribeInstanceRefreshesInput,
    DescribeInstanceRefreshesOutput, InstanceRefresh, RefreshPreferences, RefreshStrategy,
    StartInstanceRefreshInput, StartInstanceRefreshOutput,
};
use base::Timestamp;
use kernel::paging;
use store::{ReadTx, Record as _, WriteTx};

use crate::Ctx;
use crate::error::{Error, Result};
use crate::group::{edit, edit_with};
use crate::plan::Step;
use crate::store::{GROUPS, Group, Life, Member, PAST_REFRESHES, PastRefresh, Refresh};

/// AWS: DescribeInstanceRefreshes, `MaxRecords`.
const PAGE: i32 = 50;
/// How many refreshes of a group are kept; AWS keeps those of the past six weeks.
const KEPT_MAX: usize = 100;
/// AWS: RefreshPreferences, `MinHealthyPercentage`.
const MIN_HEALTHY_DEFAULT: i32 = 90;

pub(crate) fn is_active(refresh: &Refresh) -> bool {
    refresh.status == "InProgress" || refresh.status == "Cancelling"
}

fn outdated<'a>(group: &'a Group, refresh: &'a Refresh) -> impl Iterator<Item = &'a Member> {
    group.active().filter(|member| member.launched < refresh.started)
}

/// The member that a refresh replaces next.
pub(crate) fn step(group: &Group, now: Timestamp) -> Option<Step> {
    let refresh = group.refresh.as_ref().filter(|refresh| refresh.status == "InProgress")?;
    let warm = |member: &&Member| {
        let warmed = member.in_service.is_some_and(|since| {
            member.launched < refresh.started
                || now.since(since) >= Duration::from_secs(refresh.warmup_secs)
        });
        member.life == Life::InService && member.healthy && warmed
    };
    let serving = group.active().filter(warm).count();
    let percent = usize::try_from(refresh.min_healthy_percent).unwrap_or(100);
    let least = (group.desired * percent).div_ceil(100).min(group.desired.saturating_sub(1));
    let victim = outdated(group, refresh).find(|member| member.life == Life::InService)?;
    if serving <= least || group.members.len() != group.desired {
        return None;
    }
    let cause = format!(
        "At {} an instance was taken out of service in response to an instance refresh.",
        now.iso8601_seconds()
    );
    Some(Step::Terminate { number: victim.number, cause })
}

/// The refresh with its progress as of now.
pub(crate) fn progressed(group: &Group, now: Timestamp) -> Option<Refresh> {
    let mut refresh = group.refresh.clone()?;
    if !is_active(&refresh) {
        return Some(refresh);
    }
    refresh.left = outdated(group, &refresh).count();
    let settled = group.members.len() == group.desired
        && group.members.iter().all(|member| {
            member.life == Life::InService
                && member.in_service.is_some_and(|since| {
                    member.launched < refresh.started
                        || now.since(since) >= Duration::from_secs(refresh.warmup_secs)
                })
        });
    if settled && (refresh.left == 0 || refresh.status == "Cancelling") {
        let done = refresh.left == 0 && refresh.status == "InProgress";
        refresh.status = if done { "Successful" } else { "Cancelled" }.to_owned();
        refresh.ended = Some(now);
    }
    Some(refresh)
}

/// Starts a refresh.
///
/// AWS: StartInstanceRefresh.
///
/// # Errors
///
/// [`Error::InstanceRefreshInProgress`], [`Error::Validation`] for an unknown group.
pub(crate) async fn start_instance_refresh(
    ctx: Ctx,
    input: StartInstanceRefreshInput,
) -> Result<StartInstanceRefreshOutput> {
    if input.desired_configuration.is_some() {
        return Err(Error::Unsupported("StartInstanceRefresh with DesiredConfiguration"));
    }
    if input.strategy.is_some_and(|strategy| strategy != RefreshStrategy::Rolling) {
        return Err(Error::Unsupported("The strategy ReplaceRootVolume"));
    }
    let preferences = input.preferences.unwrap_or_default();
    refuse_unsupported(&preferences)?;
    let id = ctx.random().uuid();
    let now = ctx.now();
    let warmup = preferences.instance_warmup.unwrap_or(0);
    let start = |tx: &mut WriteTx<'_>, group: &mut Group| {
        if group.refresh.as_ref().is_some_and(is_active) {
            return Err(Error::InstanceRefreshInProgress);
        }
        let total = group.active().count();
        let before = group.refresh.replace(Refresh {
            id: id.clone(),
            status: "InProgress".to_owned(),
            reason: None,
            started: now,
            ended: None,
            min_healthy_percent: preferences.min_healthy_percentage.unwrap_or(MIN_HEALTHY_DEFAULT),
            warmup_secs: u64::try_from(warmup).unwrap_or(0),
            total,
            left: total,
        });
        before.map_or(Ok(()), |before| remember(tx, &group.name, before))
    };
    edit_with(&ctx, &input.auto_scaling_group_name, start).await?;
    Ok(StartInstanceRefreshOutput { instance_refresh_id: Some(id) })
}

/// Keeps a refresh that ended, and forgets the oldest.
fn remember(tx: &mut WriteTx<'_>, group: &str, refresh: Refresh) -> Result<()> {
    tx.put(&PAST_REFRESHES, &PastRefresh { group: group.to_owned(), refresh })?;
    let mut kept = tx.scan(&PAST_REFRESHES, (group,))?;
    kept.sort_by_key(|past| past.refresh.started);
    for old in kept.iter().take(kept.len().saturating_sub(KEPT_MAX)) {
        tx.delete(&PAST_REFRESHES, old.key())?;
    }
    Ok(())
}

fn refuse_unsupported(preferences: &RefreshPreferences) -> Result<()> {
    let asked = [
        (!preferences.checkpoint_percentages.is_empty(), "CheckpointPercentages"),
        (preferences.checkpoint_delay.is_some(), "CheckpointDelay"),
        (preferences.skip_matching == Some(true), "SkipMatching"),
        (preferences.auto_rollback == Some(true), "AutoRollback"),
        (preferences.scale_in_protected_instances.is_some(), "ScaleInProtectedInstances"),
        (preferences.standby_instances.is_some(), "StandbyInstances"),
        (preferences.alarm_specification.is_some(), "AlarmSpecification"),
        (preferences.max_healthy_percentage.is_some_and(|p| p != 100), "MaxHealthyPercentage"),
        (preferences.bake_time.is_some_and(|time| time != 0), "BakeTime"),
    ];
    match asked.iter().find(|(given, _)| *given) {
        Some((_, name)) => Err(Error::Unsupported(name)),
        None => Ok(()),
    }
}

/// Shows the refreshes of a group, the newest first.
///
/// AWS: DescribeInstanceRefreshes.
///
/// # Errors
///
/// [`Error::Validation`] for an unknown group, [`Error::InvalidNextToken`].
pub(crate) async fn describe_instance_refreshes(
    ctx: Ctx,
    input: DescribeInstanceRefreshesInput,
) -> Result<DescribeInstanceRefreshesOutput> {
    let name = &input.auto_scaling_group_name;
    let read = |tx: &ReadTx<'_>| {
        let group = tx.get(&GROUPS, name)?.ok_or_else(|| Error::not_found(name))?;
        let past = tx.scan(&PAST_REFRESHES, (name.as_str(),))?;
        Ok::<_, Error>(group.refresh.into_iter().chain(past.into_iter().map(|past| past.refresh)))
    };
    let mut found: Vec<Refresh> = ctx.store.read(read).await?.collect();
    let ids = &input.instance_refresh_ids;
    found.retain(|refresh| ids.is_empty() || ids.contains(&refresh.id));
    let limit = usize::try_from(input.max_records.unwrap_or(PAGE)).unwrap_or(1);
    let newest_first = |refresh: &Refresh| {
        format!("{:020}/{}", i64::MAX - refresh.started.as_millis(), refresh.id)
    };
    let page = paging::page(found, input.next_token.as_deref(), limit, newest_first)
        .map_err(|_| Error::InvalidNextToken)?;
    let instance_refreshes = page.items.into_iter().map(|refresh| shown(name, refresh)).collect();
    Ok(DescribeInstanceRefreshesOutput { instance_refreshes, next_token: page.next })
}

fn shown(group: &str, refresh: Refresh) -> InstanceRefresh {
    let done = (refresh.total - refresh.left.min(refresh.total)) * 100;
    let percent = done.checked_div(refresh.total).unwrap_or(100);
    InstanceRefresh {
        instance_refresh_id: Some(refresh.id),
        auto_scaling_group_name: Some(group.to_owned()),
        status: refresh.status.parse().ok(),
        status_reason: refresh.reason,
        start_time: Some(refresh.started),
        end_time: refresh.ended,
        percentage_complete: i32::try_from(percent).ok(),
        instances_to_update: i32::try_from(refresh.left).ok(),
        strategy: Some(RefreshStrategy::Rolling),
        preferences: Some(RefreshPreferences {
            min_healthy_percentage: Some(refresh.min_healthy_percent),
            instance_warmup: i32::try_from(refresh.warmup_secs).ok(),
            ..RefreshPreferences::default()
        }),
        ..InstanceRefresh::default()
    }
}

/// Stops a refresh; members already replaced stay.
///
/// AWS: CancelInstanceRefresh.
///
/// # Errors
///
/// [`Error::ActiveInstanceRefreshNotFound`].
pub(crate) async fn cancel_instance_refresh(
    ctx: Ctx,
    input: CancelInstanceRefreshInput,
) -> Result<CancelInstanceRefreshOutput> {
    if input.wait_for_transitioning_instances == Some(false) {
        return Err(Error::Unsupported("CancelInstanceRefresh without waiting"));
    }
    let name = &input.auto_scaling_group_name;
    let group = edit(&ctx, name, |group| {
        let active = group.refresh.as_mut().filter(|refresh| is_active(refresh));
        let active = active.ok_or_else(|| Error::ActiveInstanceRefreshNotFound(name.clone()))?;
        "Cancelling".clone_into(&mut active.status);
        Ok(())
    })
    .await?;
    let instance_refresh_id = group.refresh.map(|refresh| refresh.id);
    Ok(CancelInstanceRefreshOutput { instance_refresh_id })
}
