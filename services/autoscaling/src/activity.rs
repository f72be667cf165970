//! Scaling activities: what was done and why.

use autoscaling_api::{
    Activity as Shown, DescribeScalingActivitiesInput, DescribeScalingActivitiesOutput,
    ScalingActivityStatusCode,
};
use base::Timestamp;
use kernel::{TaskError, paging};
use serde_json::json;

use crate::Ctx;
use crate::error::{Error, Result};
use crate::reconcile::Run;
use crate::store::{ACTIVITIES, Activity, GROUPS, Group, Subnet};

/// AWS: DescribeScalingActivities, `MaxRecords`.
const PAGE: i32 = 100;
/// How many activities of a group are kept; AWS keeps those of the past six weeks.
const KEPT_MAX: usize = 1000;

/// An activity that starts now.
pub(crate) fn started(
    group: &Group,
    id: &str,
    description: String,
    cause: &str,
    subnet: &Subnet,
    now: Timestamp,
) -> Activity {
    let details = json!({ "Subnet ID": subnet.id, "Availability Zone": subnet.zone });
    Activity {
        id: id.to_owned(),
        group: group.name.clone(),
        group_arn: group.arn.clone(),
        group_deleted: false,
        description,
        cause: cause.to_owned(),
        started: now,
        ended: None,
        status: "InProgress".to_owned(),
        message: None,
        progress: 50,
        details: details.to_string(),
    }
}

/// The launch of an instance that ended before it was in service.
pub(crate) fn cancelled(launch: Activity, now: Timestamp) -> Activity {
    let message = "Instance became unhealthy while waiting for instance to be in InService state.";
    Activity {
        ended: Some(now),
        status: "Cancelled".to_owned(),
        message: Some(message.to_owned()),
        progress: 100,
        ..launch
    }
}

/// Tells more of an activity under way.
pub(crate) async fn describe(
    run: &Run,
    id: &str,
    description: &str,
) -> std::result::Result<(), TaskError> {
    edit(run, id, |activity| description.clone_into(&mut activity.description)).await
}

/// Ends an activity.
pub(crate) async fn finish(
    run: &Run,
    id: &str,
    status: &str,
    message: Option<String>,
) -> std::result::Result<(), TaskError> {
    let now = run.now();
    edit(run, id, |activity| {
        if activity.ended.is_none() {
            activity.ended = Some(now);
            status.clone_into(&mut activity.status);
            activity.message.clone_from(&message);
            activity.progress = 100;
        }
    })
    .await
}

async fn edit(
    run: &Run,
    id: &str,
    change: impl Fn(&mut Activity) + Send + Sync,
) -> std::result::Result<(), TaskError> {
    let store = run.ctx.store.scoped(run.scope.clone());
    store
        .write(|tx| {
            let key = (run.name.clone(), id.to_owned());
            let Some(mut activity) = tx.get(&ACTIVITIES, &key)? else { return Ok(()) };
            change(&mut activity);
            tx.put(&ACTIVITIES, &activity)?;
            let mut kept = tx.scan(&ACTIVITIES, (run.name.as_str(),))?;
            if kept.len() > KEPT_MAX {
                kept.sort_by_key(|activity| activity.started);
                for old in kept.iter().take(kept.len() - KEPT_MAX) {
                    tx.delete(&ACTIVITIES, &(old.group.clone(), old.id.clone()))?;
                }
            }
            Ok::<_, store::Error>(())
        })
        .await?;
    Ok(())
}

/// Lists activities, the newest first.
///
/// AWS: DescribeScalingActivities.
///
/// # Errors
///
/// [`Error::Validation`] for a group that does not exist, [`Error::InvalidNextToken`].
pub(crate) async fn describe_scaling_activities(
    ctx: Ctx,
    input: DescribeScalingActivitiesInput,
) -> Result<DescribeScalingActivitiesOutput> {
    if !input.filters.is_empty() {
        return Err(Error::Unsupported("DescribeScalingActivities with Filters"));
    }
    let deleted = input.include_deleted_groups.unwrap_or(false);
    let mut found = ctx
        .store
        .read(|tx| -> Result<Vec<Activity>> {
            let Some(name) = &input.auto_scaling_group_name else {
                return Ok(tx.scan(&ACTIVITIES, ())?);
            };
            if !deleted && !tx.contains(&GROUPS, name)? {
                return Err(Error::not_found(name));
            }
            Ok(tx.scan(&ACTIVITIES, (name.as_str(),))?)
        })
        .await?;
    found.retain(|activity| deleted || !activity.group_deleted);
    if !input.activity_ids.is_empty() {
        found.retain(|activity| input.activity_ids.contains(&activity.id));
    }
    let limit = usize::try_from(input.max_records.unwrap_or(PAGE)).unwrap_or(1);
    let newest_first = |activity: &Activity| {
        format!("{:020}/{}", i64::MAX - activity.started.as_millis(), activity.id)
    };
    let page = paging::page(found, input.next_token.as_deref(), limit, newest_first)
        .map_err(|_| Error::InvalidNextToken)?;
    let activities = page.items.into_iter().map(shown).collect();
    Ok(DescribeScalingActivitiesOutput { activities, next_token: page.next })
}

pub(crate) fn shown(activity: Activity) -> Shown {
    Shown {
        activity_id: activity.id,
        auto_scaling_group_name: activity.group,
        description: Some(activity.description),
        cause: activity.cause,
        start_time: activity.started,
        end_time: activity.ended,
        status_code: activity.status.parse().unwrap_or(ScalingActivityStatusCode::InProgress),
        status_message: activity.message,
        progress: Some(activity.progress),
        details: Some(activity.details),
        auto_scaling_group_state: activity.group_deleted.then(|| "Deleted".to_owned()),
        auto_scaling_group_arn: Some(activity.group_arn),
    }
}
