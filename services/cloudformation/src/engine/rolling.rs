//! Rolling updates: an Auto Scaling group whose launch template changed gets its instances
//! replaced batch by batch, while enough of them stay in service.
//!
//! AWS: "UpdatePolicy attribute", AutoScalingRollingUpdate. What still has to be done is read from
//! the group each time, and the batch under way is written down, so that a run after a crash goes
//! on where the last one stood: it waits for that batch before it begins another.

use std::collections::BTreeSet;
use std::time::Duration;

use autoscaling_api::{
    AutoScalingGroup, DescribeAutoScalingGroupsInput, Instance, LifecycleState,
    TerminateInstanceInAutoScalingGroupInput,
};
use base::Timestamp;
use kernel::ServiceError;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use store::{Record, Table};

use super::drive::Failure;
use super::physical::Reason;
use super::{LOOK, Operator, signals};
use crate::event;
use crate::store::{SIGNALS, Signal, StackResource};

/// The type that can be updated so.
const GROUP: &str = "AWS::AutoScaling::AutoScalingGroup";
/// AWS: "UpdatePolicy attribute", PauseTime with signals.
const PAUSE_DEFAULT: Duration = Duration::from_secs(5 * 60);
/// How long a batch may take to come into service where no signals are waited for.
const SERVICE_MAX: Duration = Duration::from_secs(3600);

/// How a group is rolled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rolling {
    in_service_min: usize,
    batch_max: usize,
    pause: Duration,
    signals: bool,
    percent_min: usize,
}

/// Refuses what an `UpdatePolicy` asks for and this version does not do.
pub(crate) fn check(kind: &str, policy: &Value) -> Result<(), Reason> {
    let members = policy.as_object().ok_or("UpdatePolicy must be an object")?;
    if kind != GROUP {
        return Err(format!("UpdatePolicy of type {kind} is not supported by this region"));
    }
    let is_true = |value: Option<&Value>| {
        value.is_some_and(|value| value.as_bool() == Some(true) || value.as_str() == Some("true"))
    };
    for (name, body) in members {
        let supported = match name.as_str() {
            "AutoScalingRollingUpdate" => true,
            "AutoScalingReplacingUpdate" => !is_true(body.get("WillReplace")),
            "AutoScalingScheduledAction" => {
                !is_true(body.get("IgnoreUnmodifiedGroupSizeProperties"))
            }
            _ => false,
        };
        if !supported {
            return Err(format!("UpdatePolicy {name} is not supported by this region"));
        }
    }
    Ok(())
}

/// Reads an evaluated `UpdatePolicy`; nothing when it asks for no rolling update.
pub(super) fn wanted(policy: Option<&Value>) -> Result<Option<Rolling>, Reason> {
    let Some(body) = policy.and_then(|policy| policy.get("AutoScalingRollingUpdate")) else {
        return Ok(None);
    };
    let members = body.as_object().ok_or("AutoScalingRollingUpdate must be an object")?;
    let known = [
        "MaxBatchSize",
        "MinInstancesInService",
        "MinSuccessfulInstancesPercent",
        "PauseTime",
        "SuspendProcesses",
        "WaitOnResourceSignals",
    ];
    if let Some(other) = members.keys().find(|key| !known.contains(&key.as_str())) {
        return Err(format!("AutoScalingRollingUpdate {other} is not supported by this region"));
    }
    let suspend = members.get("SuspendProcesses").and_then(Value::as_array);
    if suspend.is_some_and(|processes| !processes.is_empty()) {
        return Err(
            "AutoScalingRollingUpdate SuspendProcesses is not supported by this region".to_owned()
        );
    }
    let number = |name: &str, default: usize| match members.get(name) {
        None => Ok(default),
        Some(value) => signals::number(value)
            .and_then(|number| usize::try_from(number).ok())
            .ok_or_else(|| format!("AutoScalingRollingUpdate {name} must be a number")),
    };
    let flag = members.get("WaitOnResourceSignals");
    let signals = flag.is_some_and(|v| v.as_bool() == Some(true) || v.as_str() == Some("true"));
    let pause = match members.get("PauseTime") {
        None if signals => PAUSE_DEFAULT,
        None => Duration::ZERO,
        Some(value) => value
            .as_str()
            .and_then(signals::duration)
            .ok_or("AutoScalingRollingUpdate PauseTime must be an ISO 8601 duration")?,
    };
    Ok(Some(Rolling {
        in_service_min: number("MinInstancesInService", 0)?,
        batch_max: number("MaxBatchSize", 1)?.max(1),
        pause,
        signals,
        percent_min: number("MinSuccessfulInstancesPercent", 100)?.min(100),
    }))
}

/// Whether the change between two sets of properties makes instances out of date.
pub(super) fn outdates(old: &Map<String, Value>, new: &Map<String, Value>) -> bool {
    ["LaunchTemplate", "LaunchConfigurationName", "MixedInstancesPolicy"]
        .iter()
        .any(|name| old.get(*name) != new.get(*name))
}

/// A group's instances, told apart.
struct Members {
    outdated: Vec<String>,
    /// Those of the new kind.
    fresh: BTreeSet<String>,
    fresh_in_service: usize,
    in_service: usize,
}

impl Members {
    fn of(group: &AutoScalingGroup) -> Self {
        let here = |instance: &&Instance| {
            !instance.lifecycle_state.as_str().starts_with("Terminat")
                && !instance.lifecycle_state.as_str().starts_with("Detach")
        };
        let current =
            |instance: &Instance| match (&instance.launch_template, &group.launch_template) {
                (Some(has), Some(wants)) => {
                    has.launch_template_id == wants.launch_template_id
                        && has.version == wants.version
                }
                (has, wants) => has.is_none() && wants.is_none(),
            };
        let serving = |instance: &&Instance| instance.lifecycle_state == LifecycleState::InService;
        let (fresh, old): (Vec<&Instance>, Vec<&Instance>) =
            group.instances.iter().filter(here).partition(|instance| current(instance));
        Self {
            fresh_in_service: fresh.iter().copied().filter(|i| serving(i)).count(),
            in_service: group.instances.iter().filter(serving).count(),
            outdated: old.into_iter().map(|i| i.instance_id.clone()).collect(),
            fresh: fresh.into_iter().map(|i| i.instance_id.clone()).collect(),
        }
    }
}

impl Rolling {
    /// The instances that go next.
    fn batch<'a>(&self, members: &'a Members) -> &'a [String] {
        let spare = members.in_service.saturating_sub(self.in_service_min).max(1);
        let size = self.batch_max.min(spare).min(members.outdated.len());
        members.outdated.get(..size).unwrap_or_default()
    }

    /// Whether the signals of `count` new instances decide; the reason of a failure.
    fn verdict(&self, signals: &[Signal], count: usize, late: bool) -> Option<Result<(), Reason>> {
        let needed = (count * self.percent_min).div_ceil(100);
        let good = signals.iter().filter(|signal| signal.success).count();
        let bad = signals.len() - good;
        if good >= needed {
            return Some(Ok(()));
        }
        (bad + needed > count || late).then(|| {
            Err(format!(
                "Received {good} SUCCESS signal(s) out of {count}. Unable to satisfy {}% MinSuccessfulInstancesPercent requirement",
                self.percent_min
            ))
        })
    }
}

/// A batch under way.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Batch {
    /// The token of the group's incarnation.
    token: String,
    /// The operation and the phase that it belongs to; of another one it means nothing.
    operation: String,
    phase: String,
    /// The instances that go.
    going: Vec<String>,
    /// Those of the new kind that were there before.
    known: BTreeSet<String>,
    started: Timestamp,
}

impl Record for Batch {
    type Key = String;

    fn key(&self) -> String {
        self.token.clone()
    }
}

const BATCHES: Table<Batch> = Table::new("cloudformation.batches");

impl Operator {
    /// Replaces the group's outdated instances; gives the reason of a failure.
    pub(super) async fn roll(
        &self,
        row: &StackResource,
        rolling: Rolling,
    ) -> Result<Result<(), Reason>, Failure> {
        loop {
            let group = match self.group(row).await {
                Ok(group) => group,
                Err(error) => return Ok(Err(error.message)),
            };
            let members = Members::of(&group);
            let batch = match self.batch_under_way(row).await? {
                Some(batch) => batch,
                None if members.outdated.is_empty() => return Ok(Ok(())),
                None => self.begin_batch(row, rolling, &members).await?,
            };
            for instance in batch.going.iter().filter(|id| members.outdated.contains(id)) {
                if let Err(error) = self.terminate(instance).await {
                    self.end_batch(row, None).await?;
                    return Ok(Err(error.message));
                }
            }
            let left = members.outdated.iter().filter(|id| !batch.going.contains(id)).count();
            let outcome = match self.await_batch(row, rolling, &batch).await {
                // The run is repeated, and needs to know.
                Err(Failure::Halt(halt)) => return Err(Failure::Halt(halt)),
                outcome => outcome,
            };
            let text = matches!(outcome, Ok(Ok(()))).then(|| batch.progress(left));
            self.end_batch(row, text).await?;
            if let Err(reason) = outcome? {
                return Ok(Err(reason));
            }
        }
    }

    /// The batch that a run before this one began and did not see the end of.
    async fn batch_under_way(&self, row: &StackResource) -> Result<Option<Batch>, Failure> {
        let token = row.current.token.clone();
        let read = self.store.read(|tx| tx.get(&BATCHES, &token)).await;
        let found = read.map_err(|error| Failure::Halt(error.into()))?;
        Ok(found.filter(|batch| {
            batch.operation == self.stack.operation.id && batch.phase == self.stack.status.as_str()
        }))
    }

    /// Writes the next batch down, and tells of it.
    async fn begin_batch(
        &self,
        row: &StackResource,
        rolling: Rolling,
        members: &Members,
    ) -> Result<Batch, Failure> {
        let batch = Batch {
            token: row.current.token.clone(),
            operation: self.stack.operation.id.clone(),
            phase: self.stack.status.as_str().to_owned(),
            going: rolling.batch(members).to_vec(),
            known: members.fresh.clone(),
            started: self.now(),
        };
        let text = format!(
            "Terminating instance(s) [{}]; replacing with {} new instance(s).",
            batch.going.join(","),
            batch.going.len()
        );
        let event = self.progress_event(row, text);
        let written = self.write(|tx, _| {
            tx.put(&BATCHES, &batch)?;
            event::append(tx, &event)
        });
        written.await.map_err(Failure::Halt)?;
        Ok(batch)
    }

    /// Forgets the batch, and tells how far it brought the group.
    async fn end_batch(&self, row: &StackResource, text: Option<String>) -> Result<(), Failure> {
        let token = row.current.token.clone();
        let event = text.map(|text| self.progress_event(row, text));
        let written = self.write(|tx, _| {
            tx.delete(&BATCHES, &token)?;
            event.as_ref().map_or(Ok(()), |event| event::append(tx, event))
        });
        written.await.map_err(Failure::Halt)
    }

    /// Waits until as many new instances as went are in service and, where asked for, have
    /// signalled.
    async fn await_batch(
        &self,
        row: &StackResource,
        rolling: Rolling,
        batch: &Batch,
    ) -> Result<Result<(), Reason>, Failure> {
        let Batch { going, known, started, .. } = batch;
        let patience = if rolling.signals { rolling.pause } else { SERVICE_MAX };
        loop {
            let late = self.now() >= *started + patience;
            let group = match self.group(row).await {
                Ok(group) => group,
                Err(error) => return Ok(Err(error.message)),
            };
            let members = Members::of(&group);
            let gone = !going.iter().any(|id| members.outdated.contains(id));
            let new: BTreeSet<&String> = members.fresh.difference(known).collect();
            let serving = gone && members.fresh_in_service >= known.len() + going.len();
            if rolling.signals {
                let token = row.current.token.clone();
                let read = self.store.read(|tx| tx.scan(&SIGNALS, (token,))).await;
                let mut heard: Vec<Signal> = read.map_err(|error| Failure::Halt(error.into()))?;
                heard.retain(|signal| new.contains(&signal.unique_id));
                match rolling.verdict(&heard, going.len(), late) {
                    Some(Ok(())) if serving => return Ok(Ok(())),
                    Some(Err(reason)) => return Ok(Err(reason)),
                    Some(Ok(())) | None => {}
                }
            } else if serving && self.now() >= *started + rolling.pause {
                return Ok(Ok(()));
            } else if late && !serving {
                return Ok(Err("New instances did not come into service in time".to_owned()));
            }
            tokio::select! {
                () = tokio::time::sleep(LOOK) => {}
                () = self.stop.cancelled() => return Err(Failure::Stopped),
            }
        }
    }

    async fn group(&self, row: &StackResource) -> Result<AutoScalingGroup, ServiceError> {
        let name = row.current.physical_id.clone().unwrap_or_default();
        let input = DescribeAutoScalingGroupsInput {
            auto_scaling_group_names: vec![name.clone()],
            ..DescribeAutoScalingGroupsInput::default()
        };
        let found = self.client()?.call(input).await?.auto_scaling_groups.pop();
        found.ok_or_else(|| {
            ServiceError::new("ValidationError", format!("AutoScalingGroup {name} not found"))
        })
    }

    async fn terminate(&self, instance: &str) -> Result<(), ServiceError> {
        let input = TerminateInstanceInAutoScalingGroupInput {
            instance_id: Some(instance.to_owned()),
            should_decrement_desired_capacity: false,
            ..TerminateInstanceInAutoScalingGroupInput::default()
        };
        self.client()?.call(input).await.map(drop)
    }

    fn progress_event(&self, row: &StackResource, text: String) -> event::NewEvent {
        self.event(&row.logical_id, &row.kind, row.status, Some(text))
            .physical(row.current.physical_id.clone())
    }
}

impl Batch {
    /// What its end is told as, with so many instances still to go.
    fn progress(&self, left: usize) -> String {
        let done = self.known.len() + self.going.len();
        let percent = done * 100 / (done + left).max(1);
        format!(
            "Successfully terminated instance(s) [{}] (Progress {percent}%).",
            self.going.join(",")
        )
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn policies_are_read_or_refused() {
        let policy = json!({"AutoScalingRollingUpdate": {
            "MinInstancesInService": "1", "MaxBatchSize": 2, "PauseTime": "PT1M", "WaitOnResourceSignals": "true",
        }});
        assert_eq!(check(GROUP, &policy), Ok(()));
        let found = wanted(Some(&policy)).unwrap().unwrap();
        assert_eq!((found.in_service_min, found.batch_max, found.signals), (1, 2, true));
        assert_eq!(wanted(None), Ok(None));
        assert!(check("AWS::Lambda::Alias", &policy).is_err());
        assert!(
            check(GROUP, &json!({"AutoScalingReplacingUpdate": {"WillReplace": true}})).is_err()
        );
        assert!(check(GROUP, &json!({"UseOnlineResharding": true})).is_err());
        let other =
            json!({"AutoScalingRollingUpdate": {"SuspendProcesses": ["AlarmNotification"]}});
        assert!(wanted(Some(&other)).is_err());
    }

    #[test]
    fn batches_keep_enough_in_service() {
        let rolling = |batch_max, in_service_min| Rolling {
            in_service_min,
            batch_max,
            pause: Duration::ZERO,
            signals: false,
            percent_min: 100,
        };
        let members = Members {
            outdated: ["a", "b", "c"].map(str::to_owned).to_vec(),
            fresh: BTreeSet::new(),
            fresh_in_service: 0,
            in_service: 3,
        };
        assert_eq!(rolling(2, 1).batch(&members), ["a", "b"]);
        assert_eq!(rolling(3, 2).batch(&members), ["a"]);
        assert_eq!(rolling(5, 0).batch(&members).len(), 3);
    }
}
