//! Making a plan so, through EC2 and Elastic Load Balancing. Every call may be repeated: launches
//! carry a client token, registrations and terminations have their effect once by nature.

use std::collections::{BTreeMap, BTreeSet};

use base::Timestamp;
use ec2_api::{
    AvailabilityZone, AvailabilityZoneState, DescribeAvailabilityZonesInput,
    DescribeInstancesInput, LaunchTemplateSpecification, Placement, RunInstancesInput, Tag,
    TagSpecification, TerminateInstancesInput,
};
use elbv2_api::{
    DeregisterTargetsInput, DescribeTargetHealthInput, RegisterTargetsInput, TargetDescription,
};
use futures_util::future::join_all;
use kernel::TaskError;

use crate::activity;
use crate::reconcile::Run;
use crate::store::{Group, Life, Member};

type Result<T> = std::result::Result<T, TaskError>;

/// What EC2 and the load balancers say of an instance.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Seen {
    pub(crate) state: String,
    /// When it was last started.
    pub(crate) launched: Option<Timestamp>,
    pub(crate) is_alive: bool,
    pub(crate) is_unhealthy_target: bool,
    /// Target groups that still know the instance.
    pub(crate) targeted: BTreeSet<String>,
}

/// Asks EC2 and the load balancers about the members.
pub(crate) async fn look(run: &Run, group: &Group) -> Result<BTreeMap<String, Seen>> {
    let ids: Vec<String> = group.members.iter().filter_map(|m| m.instance.clone()).collect();
    let mut seen = BTreeMap::new();
    if ids.is_empty() {
        return Ok(seen);
    }
    for id in ids {
        let input = DescribeInstancesInput {
            instance_ids: vec![id.clone()],
            ..DescribeInstancesInput::default()
        };
        let (state, launched) = match run.client.call(input).await {
            Ok(found) => {
                let instance = found.reservations.into_iter().flat_map(|r| r.instances).next();
                let launched = instance.as_ref().and_then(|instance| instance.launch_time);
                let name = instance.and_then(|i| i.state).and_then(|state| state.name);
                (name.map(|name| name.as_str().to_owned()).unwrap_or_default(), launched)
            }
            Err(error) if error.code.starts_with("InvalidInstanceID") => {
                ("terminated".to_owned(), None)
            }
            Err(error) => return Err(error.into()),
        };
        let is_alive = state == "pending" || state == "running";
        seen.insert(id, Seen { state, launched, is_alive, ..Seen::default() });
    }
    for arn in group.target_groups.iter().chain(&group.leaving_target_groups) {
        let input = DescribeTargetHealthInput {
            target_group_arn: arn.clone(),
            ..DescribeTargetHealthInput::default()
        };
        let health = match run.client.call(input).await {
            Ok(health) => health,
            // A deleted target group holds nobody any more; another failure is no answer.
            Err(error) if error.code.contains("NotFound") => continue,
            Err(error) => return Err(error.into()),
        };
        for described in health.target_health_descriptions {
            let Some(id) = described.target.map(|target| target.id) else { continue };
            let Some(seen) = seen.get_mut(&id) else { continue };
            seen.targeted.insert(arn.clone());
            let state = described.target_health.and_then(|health| health.state);
            seen.is_unhealthy_target |= state.is_some_and(|state| state.as_str() == "unhealthy");
        }
    }
    Ok(seen)
}

/// The zones in which nothing can be launched now.
pub(crate) async fn lost_zones(run: &Run) -> Result<Vec<String>> {
    let described = run.client.call(DescribeAvailabilityZonesInput::default()).await?;
    let is_lost = |zone: &AvailabilityZone| zone.state == Some(AvailabilityZoneState::Unavailable);
    let lost = described.availability_zones.into_iter().filter(is_lost);
    Ok(lost.filter_map(|zone| zone.zone_name).collect())
}

/// Moves every member one step on.
pub(crate) async fn act(run: &Run, group: &Group, seen: &BTreeMap<String, Seen>) -> Result<()> {
    let moves = group.members.iter().map(|member| async move {
        let instance = member.instance.as_ref();
        let known = instance.and_then(|id| seen.get(id)).cloned().unwrap_or_default();
        match (member.life, instance) {
            (Life::Pending, None) => launch(run, group, member).await,
            (Life::Pending, Some(id)) if known.state == "running" => {
                register(run, group, member, id).await?;
                enter_service(run, group, member).await
            }
            (Life::Pending, Some(_)) => Ok(()),
            (Life::InService, Some(id)) => {
                register(run, group, member, id).await?;
                leave_detached(run, group, member, id).await
            }
            (Life::InService, None) => Ok(()),
            (Life::Terminating, None) => finish(run, group, member).await,
            (Life::Terminating, Some(id)) => terminate(run, group, member, id, &known).await,
        }
    });
    for done in join_all(moves).await {
        done?;
    }
    Ok(())
}

async fn launch(run: &Run, group: &Group, member: &Member) -> Result<()> {
    let mut tags = vec![tag("aws:autoscaling:groupName", &group.name)];
    for (key, value) in group.tags.iter().filter(|(_, tag)| tag.propagate) {
        tags.push(tag(key, &value.value));
    }
    let input = RunInstancesInput {
        min_count: 1,
        max_count: 1,
        client_token: Some(format!("{}-{}", group.uid, member.number)),
        launch_template: Some(LaunchTemplateSpecification {
            launch_template_id: Some(group.template.id.clone()),
            version: Some(group.template.version.clone()),
            ..LaunchTemplateSpecification::default()
        }),
        subnet_id: Some(member.subnet.id.clone()),
        placement: Some(Placement {
            availability_zone: Some(member.subnet.zone.clone()),
            ..Placement::default()
        }),
        tag_specifications: vec![TagSpecification { resource_type: "instance".parse().ok(), tags }],
        ..RunInstancesInput::default()
    };
    match run.client.call(input).await {
        Ok(output) => {
            let Some(instance) = output.instances.into_iter().next() else { return Ok(()) };
            let id = instance.instance_id.unwrap_or_default();
            let version = template_version(&instance.tags);
            let kind = instance.instance_type.map(|kind| kind.to_string());
            activity::describe(
                run,
                &member.activity,
                &format!("Launching a new EC2 instance: {id}"),
            )
            .await?;
            run.change_member(member.number, |member| {
                member.instance = Some(id.clone());
                member.instance_type.clone_from(&kind);
                member.template_version.clone_from(&version);
            })
            .await
        }
        Err(error) => {
            let message = format!("{}. Launching EC2 instance failed.", error.message);
            activity::finish(run, &member.activity, "Failed", Some(message)).await?;
            let now = run.now();
            run.change(|group| {
                group.members.retain(|kept| kept.number != member.number);
                group.launch_failed(&member.subnet.zone, now);
            })
            .await
            .map(|_| ())
        }
    }
}

/// EC2 tags an instance with the version of the template that launched it.
fn template_version(tags: &[Tag]) -> Option<String> {
    let found = tags.iter().find(|t| t.key.as_deref() == Some("aws:ec2launchtemplate:version"));
    found.and_then(|tag| tag.value.clone())
}

fn tag(key: &str, value: &str) -> Tag {
    Tag { key: Some(key.to_owned()), value: Some(value.to_owned()) }
}

async fn register(run: &Run, group: &Group, member: &Member, id: &str) -> Result<()> {
    if group.suspended.contains("AddToLoadBalancer") {
        return Ok(());
    }
    for arn in group.target_groups.iter().filter(|arn| !member.registered.contains(*arn)) {
        let input =
            RegisterTargetsInput { target_group_arn: arn.clone(), targets: vec![target(id)] };
        run.client.call(input).await?;
        run.change_member(member.number, |member| {
            member.registered.insert(arn.clone());
        })
        .await?;
    }
    Ok(())
}

fn target(id: &str) -> TargetDescription {
    TargetDescription { id: id.to_owned(), ..TargetDescription::default() }
}

async fn deregister(run: &Run, arn: &str, id: &str) -> Result<()> {
    let input =
        DeregisterTargetsInput { target_group_arn: arn.to_owned(), targets: vec![target(id)] };
    match run.client.call(input).await {
        Ok(_) => Ok(()),
        Err(error) if error.code.contains("NotFound") || error.code.contains("InvalidTarget") => {
            Ok(())
        }
        Err(error) => Err(error.into()),
    }
}

/// Takes a member out of target groups that the group no longer has.
async fn leave_detached(run: &Run, group: &Group, member: &Member, id: &str) -> Result<()> {
    for arn in member.registered.difference(&group.target_groups) {
        deregister(run, arn, id).await?;
        run.change_member(member.number, |member| {
            member.registered.remove(arn);
        })
        .await?;
    }
    Ok(())
}

async fn enter_service(run: &Run, group: &Group, member: &Member) -> Result<()> {
    let now = run.now();
    run.change_member(member.number, |member| {
        member.life = Life::InService;
        member.in_service = Some(now);
    })
    .await?;
    activity::finish(run, &member.activity, "Successful", None).await?;
    let zone = member.subnet.zone.clone();
    if group.failures > 0 || group.failed_zones.contains_key(&zone) {
        run.change(|group| {
            group.failures = 0;
            group.failed_zones.remove(&zone);
        })
        .await?;
    }
    Ok(())
}

/// Out of the load balancers first, until they have drained it, then ended.
async fn terminate(
    run: &Run,
    group: &Group,
    member: &Member,
    id: &str,
    known: &Seen,
) -> Result<()> {
    if !member.registered.is_empty() {
        for arn in &member.registered {
            deregister(run, arn, id).await?;
        }
        run.change_member(member.number, |member| member.registered.clear()).await?;
        if known.is_alive {
            return Ok(());
        }
    }
    if known.state == "terminated" || known.state.is_empty() {
        return finish(run, group, member).await;
    }
    let draining = known.is_alive && !known.targeted.is_empty();
    if draining || known.state == "shutting-down" {
        return Ok(());
    }
    let input = TerminateInstancesInput {
        instance_ids: vec![id.to_owned()],
        ..TerminateInstancesInput::default()
    };
    match run.client.call(input).await {
        Ok(_) => Ok(()),
        Err(error) if error.code.starts_with("InvalidInstanceID") => {
            finish(run, group, member).await
        }
        Err(error) => Err(error.into()),
    }
}

async fn finish(run: &Run, _group: &Group, member: &Member) -> Result<()> {
    activity::finish(run, &member.activity, "Successful", None).await?;
    run.change(|group| group.members.retain(|kept| kept.number != member.number)).await?;
    Ok(())
}
