//! Starting, stopping, rebooting and terminating. Each writes the transitional state; the task
//! `ec2.instances` does it.

use base::{ResourceId, Timestamp};
use ec2_api::{
    InstanceStateChange, RebootInstancesInput, RebootInstancesOutput, StartInstancesInput,
    StartInstancesOutput, StopInstancesInput, StopInstancesOutput, TerminateInstancesInput,
    TerminateInstancesOutput,
};
use store::{ReadTx, WriteTx};

use super::describe::state_of;
use super::network;
use super::parse;
use super::store::{How, INSTANCES, Instance, Reason, State};
use crate::Ctx;
use crate::error::{Error, Result, refuse};
use crate::maker::Maker;
use crate::region;

/// The instances called `ids`, each once; all must be there.
pub(super) fn all_named(tx: &ReadTx<'_>, ids: &[String]) -> Result<Vec<Instance>> {
    let mut parsed: Vec<ResourceId> = Vec::new();
    for id in ids {
        let id = parse(id)?;
        if !parsed.contains(&id) {
            parsed.push(id);
        }
    }
    let (mut found, mut missing) = (Vec::new(), Vec::new());
    for id in parsed {
        match tx.get(&INSTANCES, &id)? {
            Some(instance) => found.push(instance),
            None => missing.push(id.to_string()),
        }
    }
    match missing.as_slice() {
        [] => Ok(found),
        [one] => Err(Error::InstanceNotFound(one.clone())),
        many => Err(Error::InstancesNotFound(many.join(", "))),
    }
}

/// As `User initiated (2026-11-20 12:00:00 GMT)`.
pub(super) fn user_initiated(now: Timestamp) -> String {
    let text = now.iso8601_seconds();
    format!("User initiated ({} GMT)", text.trim_end_matches('Z').replace('T', " "))
}

fn wrong_state(instance: &Instance, verb: &str) -> Error {
    let name = instance.state.name();
    Error::IncorrectInstanceState(match verb {
        "" => format!(
            "The instance '{}' is not in a state from which it can be started.",
            instance.id
        ),
        verb => format!(
            "This instance '{}' is not in a state from which it can be {verb}. (It is {name}.)",
            instance.id
        ),
    })
}

fn change(instance: &Instance, before: State) -> InstanceStateChange {
    InstanceStateChange {
        instance_id: Some(instance.id.to_string()),
        current_state: Some(state_of(instance.state)),
        previous_state: Some(state_of(before)),
    }
}

/// Starts stopped instances.
///
/// AWS: StartInstances.
pub(crate) async fn start_instances(
    ctx: Ctx,
    input: StartInstancesInput,
) -> Result<StartInstancesOutput> {
    refuse(&[("AdditionalInfo", input.additional_info.is_some())])?;
    let write = |tx: &mut WriteTx<'_>| {
        let mut changes = Vec::new();
        for mut instance in all_named(tx, &input.instance_ids)? {
            let before = instance.state;
            match before {
                State::Pending | State::Running => {}
                State::Stopped => {
                    let imaging = instance.imaging.is_some();
                    if imaging {
                        return Err(Error::IncorrectInstanceState(format!(
                            "An image of the instance '{}' is being made.",
                            instance.id
                        )));
                    }
                    region::require_up(&ctx, &instance.zone, instance.instance_type.clone())?;
                    network::give_public_address(tx, Maker::of(&ctx), &instance)?;
                    instance.become_state(State::Pending, None, ctx.now());
                    instance.transition = String::new();
                    instance.launched = ctx.now();
                    instance.lost = false;
                    instance.reboot = false;
                    tx.put(&INSTANCES, &instance)?;
                }
                State::Stopping | State::ShuttingDown | State::Terminated => {
                    return Err(wrong_state(&instance, "started"));
                }
            }
            changes.push(change(&instance, before));
        }
        Ok(changes)
    };
    let starting_instances = ctx.store.write(write).await?;
    Ok(StartInstancesOutput { starting_instances })
}

/// Stops running instances.
///
/// AWS: StopInstances.
pub(crate) async fn stop_instances(
    ctx: Ctx,
    input: StopInstancesInput,
) -> Result<StopInstancesOutput> {
    refuse(&[("Hibernate", input.hibernate == Some(true))])?;
    let at_once = input.force == Some(true) || input.skip_os_shutdown == Some(true);
    let write = |tx: &mut WriteTx<'_>| {
        let mut changes = Vec::new();
        for mut instance in all_named(tx, &input.instance_ids)? {
            let before = instance.state;
            match before {
                State::Running | State::Pending => {
                    if instance.disable_api_stop {
                        return Err(Error::OperationNotPermitted(format!(
                            "The instance '{}' may not be stopped. Modify its 'disableApiStop' \
                             instance attribute and try again.",
                            instance.id
                        )));
                    }
                    stop(&mut instance, at_once, ctx.now());
                    tx.put(&INSTANCES, &instance)?;
                }
                State::Stopping if at_once => {
                    instance.how = How::AtOnce;
                    tx.put(&INSTANCES, &instance)?;
                }
                State::Stopping | State::Stopped => {}
                State::ShuttingDown | State::Terminated => {
                    return Err(wrong_state(&instance, "stopped"));
                }
            }
            changes.push(change(&instance, before));
        }
        Ok(changes)
    };
    let stopping_instances = ctx.store.write(write).await?;
    Ok(StopInstancesOutput { stopping_instances })
}

fn stop(instance: &mut Instance, at_once: bool, now: Timestamp) {
    let reason = Reason::new("Client.UserInitiatedShutdown", "User initiated shutdown");
    instance.become_state(State::Stopping, Some(reason), now);
    instance.transition = user_initiated(now);
    instance.how = if at_once { How::AtOnce } else { How::Gracefully };
    instance.reboot = false;
}

/// Restarts running instances; host name, addresses and volume stay.
///
/// AWS: RebootInstances.
pub(crate) async fn reboot_instances(
    ctx: Ctx,
    input: RebootInstancesInput,
) -> Result<RebootInstancesOutput> {
    let write = |tx: &mut WriteTx<'_>| {
        for mut instance in all_named(tx, &input.instance_ids)? {
            match instance.state {
                State::Running => {
                    instance.reboot = true;
                    tx.put(&INSTANCES, &instance)?;
                }
                // It is starting already.
                State::Pending => {}
                State::ShuttingDown | State::Terminated | State::Stopping | State::Stopped => {
                    return Err(wrong_state(&instance, "rebooted"));
                }
            }
        }
        Ok(())
    };
    ctx.store.write(write).await?;
    Ok(RebootInstancesOutput {})
}

/// Ends instances for good.
///
/// AWS: TerminateInstances.
pub(crate) async fn terminate_instances(
    ctx: Ctx,
    input: TerminateInstancesInput,
) -> Result<TerminateInstancesOutput> {
    let at_once = input.skip_os_shutdown == Some(true) || input.force == Some(true);
    let write = |tx: &mut WriteTx<'_>| {
        let mut changes = Vec::new();
        for mut instance in all_named(tx, &input.instance_ids)? {
            let before = instance.state;
            if instance.disable_api_termination && !before.is_ending() {
                return Err(Error::OperationNotPermitted(format!(
                    "The instance '{}' may not be terminated. Modify its 'disableApiTermination' \
                     instance attribute and try again.",
                    instance.id
                )));
            }
            if !before.is_ending() {
                instance.become_state(State::ShuttingDown, Some(Reason::user()), ctx.now());
                instance.transition = user_initiated(ctx.now());
                instance.how = if at_once { How::AtOnce } else { How::Gracefully };
                tx.put(&INSTANCES, &instance)?;
            }
            changes.push(change(&instance, before));
        }
        Ok(changes)
    };
    let terminating_instances = ctx.store.write(write).await?;
    Ok(TerminateInstancesOutput { terminating_instances })
}
