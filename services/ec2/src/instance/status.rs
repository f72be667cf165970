//! Status checks: whether the zone that holds an instance answers, and whether it runs there.

use std::collections::BTreeMap;

use base::Zone;
use ec2_api::{
    DescribeInstanceStatusInput, DescribeInstanceStatusOutput, EbsStatusDetails, EbsStatusSummary,
    InstanceStatus, InstanceStatusDetails, InstanceStatusSummary, StatusName, StatusType,
    SummaryStatus,
};
use machine::State as WorkloadState;
use store::ReadTx;

use super::describe::state_of;
use super::parse;
use super::store::{INSTANCES, Instance, State};
use crate::Ctx;
use crate::error::{Error, Result};
use crate::listing::{self, Asked, Field};

/// What was seen of an instance.
#[derive(Clone, Copy)]
struct Seen {
    system: SummaryStatus,
    instance: SummaryStatus,
}

fn summary(status: SummaryStatus) -> InstanceStatusSummary {
    let passed = match status {
        SummaryStatus::Ok => StatusType::Passed,
        SummaryStatus::Impaired => StatusType::Failed,
        SummaryStatus::Initializing => StatusType::Initializing,
        SummaryStatus::InsufficientData => StatusType::InsufficientData,
        SummaryStatus::NotApplicable => {
            return InstanceStatusSummary { details: Vec::new(), status: Some(status) };
        }
    };
    InstanceStatusSummary {
        details: vec![InstanceStatusDetails {
            impaired_since: None,
            name: Some(StatusName::Reachability),
            status: Some(passed),
        }],
        status: Some(status),
    }
}

fn described(instance: &Instance, seen: Seen) -> InstanceStatus {
    let system = summary(seen.system);
    let ebs = EbsStatusSummary {
        status: Some(seen.system),
        details: system
            .details
            .iter()
            .map(|detail| EbsStatusDetails {
                impaired_since: detail.impaired_since,
                name: detail.name,
                status: detail.status,
            })
            .collect(),
    };
    InstanceStatus {
        availability_zone: Some(instance.zone.to_string()),
        availability_zone_id: Some(instance.zone.zone_id()),
        instance_id: Some(instance.id.to_string()),
        instance_state: Some(state_of(instance.state)),
        instance_status: Some(summary(seen.instance)),
        system_status: Some(system),
        attached_ebs_status: Some(ebs),
        ..InstanceStatus::default()
    }
}

type Observed = BTreeMap<Zone, Option<Vec<(String, WorkloadState)>>>;

fn seen(instance: &Instance, observed: &Observed) -> Seen {
    use SummaryStatus::{Impaired, Initializing, NotApplicable, Ok};
    match instance.state {
        State::Running => {}
        State::Pending => return Seen { system: Initializing, instance: Initializing },
        State::ShuttingDown | State::Terminated | State::Stopping | State::Stopped => {
            return Seen { system: NotApplicable, instance: NotApplicable };
        }
    }
    let Some(Some(workloads)) = observed.get(&instance.zone) else {
        return Seen { system: Impaired, instance: Impaired };
    };
    let workload = workloads.iter().find(|(id, _)| id == instance.id.as_str());
    let instance = match workload.map(|(_, state)| state) {
        Some(WorkloadState::Running { frozen: false, .. }) => Ok,
        Some(WorkloadState::Starting) => Initializing,
        Some(WorkloadState::Running { .. } | WorkloadState::Exited { .. }) | None => Impaired,
    };
    Seen { system: Ok, instance }
}

async fn observe(ctx: &Ctx, instances: &[Instance]) -> Observed {
    let mut observed = Observed::new();
    for instance in instances.iter().filter(|instance| instance.state == State::Running) {
        if observed.contains_key(&instance.zone) {
            continue;
        }
        let listed = ctx.drivers.machine.list(&instance.zone).await.ok();
        let listed = listed.map(|all| all.into_iter().map(|w| (w.id, w.state)).collect());
        observed.insert(instance.zone.clone(), listed);
    }
    observed
}

const FIELDS: &[Field<InstanceStatus>] = &[
    ("availability-zone", |s| listing::text(s.availability_zone.as_ref())),
    ("availability-zone-id", |s| listing::text(s.availability_zone_id.as_ref())),
    ("instance-state-name", |s| {
        listing::shown(s.instance_state.as_ref().and_then(|state| state.name))
    }),
    ("instance-state-code", |s| {
        listing::shown(s.instance_state.as_ref().and_then(|state| state.code))
    }),
    ("instance-status.status", |s| {
        listing::shown(s.instance_status.as_ref().and_then(|status| status.status))
    }),
    ("instance-status.reachability", |s| {
        let details = s.instance_status.iter().flat_map(|status| &status.details);
        details.filter_map(|detail| Some(detail.status?.to_string())).collect()
    }),
    ("system-status.status", |s| {
        listing::shown(s.system_status.as_ref().and_then(|status| status.status))
    }),
    ("system-status.reachability", |s| {
        let details = s.system_status.iter().flat_map(|status| &status.details);
        details.filter_map(|detail| Some(detail.status?.to_string())).collect()
    }),
    ("attached-ebs-status.status", |s| {
        listing::shown(s.attached_ebs_status.as_ref().and_then(|status| status.status))
    }),
];

/// Tells the status checks of running instances, or of all.
///
/// AWS: DescribeInstanceStatus.
pub(crate) async fn describe_instance_status(
    ctx: Ctx,
    input: DescribeInstanceStatusInput,
) -> Result<DescribeInstanceStatusOutput> {
    for id in &input.instance_ids {
        parse(id)?;
    }
    let read = |tx: &ReadTx<'_>| {
        let all = tx.scan(&INSTANCES, ())?;
        listing::named(all, &input.instance_ids, |i| i.id.as_str(), Error::InstanceNotFound)
    };
    let mut instances = ctx.store.read(read).await?;
    if input.include_all_instances != Some(true) {
        instances.retain(|instance| instance.state == State::Running);
    }
    let observed = observe(&ctx, &instances).await;
    let all = instances.iter().map(|i| described(i, seen(i, &observed))).collect();
    let selected = listing::select(all, &input.filters, FIELDS, |_| &[])?;
    let asked = Asked {
        ids: &input.instance_ids,
        max_results: input.max_results,
        next_token: input.next_token.as_deref(),
    };
    let key = |status: &InstanceStatus| status.instance_id.clone().unwrap_or_default();
    let (instance_statuses, next_token) = listing::page(selected, asked, key)?;
    Ok(DescribeInstanceStatusOutput { instance_statuses, next_token })
}
