//! The life of instances: asked for and by itself.

use base::Zone;
use ec2_api::{
    AttributeBooleanValue, AttributeValue, DescribeInstanceAttributeInput,
    DescribeInstanceStatusInput, DescribeVolumesInput, GetConsoleOutputInput,
    InstanceAttributeName, InstanceStateName, ModifyInstanceAttributeInput, RebootInstancesInput,
    RunInstancesInput, ShutdownBehavior, StartInstancesInput, StopInstancesInput,
    TerminateInstancesInput,
};
use machine::{Exit, Machine as _, State};

use crate::region::{Lab, code};

fn zone_of(instance: &ec2_api::Instance) -> Zone {
    Zone::new(instance.placement.clone().unwrap().availability_zone.unwrap())
}

fn stop(id: &str) -> StopInstancesInput {
    StopInstancesInput { instance_ids: vec![id.to_owned()], ..Default::default() }
}

fn start(id: &str) -> StartInstancesInput {
    StartInstancesInput { instance_ids: vec![id.to_owned()], ..Default::default() }
}

fn terminate(id: &str) -> TerminateInstancesInput {
    TerminateInstancesInput { instance_ids: vec![id.to_owned()], ..Default::default() }
}

async fn one(lab: &Lab) -> ec2_api::Instance {
    lab.running(lab.launch(1).await).await
}

async fn is_known(lab: &Lab, zone: &Zone, id: &str) -> bool {
    lab.machine.list(zone).await.unwrap().iter().any(|workload| workload.id == id)
}

#[tokio::test]
async fn a_stop_keeps_volume_and_private_address_and_a_start_gives_a_new_public_one() {
    let lab = Lab::start().await;
    let before = one(&lab).await;
    let id = before.instance_id.clone().unwrap();
    let change = lab.root.call(stop(&id)).await.unwrap().stopping_instances;
    assert_eq!(change[0].previous_state.as_ref().unwrap().code, Some(16));
    assert_eq!(change[0].current_state.as_ref().unwrap().code, Some(64));
    let stopped = lab.until(&id, InstanceStateName::Stopped).await;
    assert_eq!(stopped.public_ip_address, None);
    assert_eq!(stopped.private_ip_address, before.private_ip_address);
    let reason = stopped.state_reason.unwrap();
    assert_eq!(reason.code.as_deref(), Some("Client.UserInitiatedShutdown"));
    assert!(stopped.state_transition_reason.unwrap().starts_with("User initiated (2026-"));
    assert_eq!(lab.host.volumes.lock().unwrap().len(), 1);
    lab.root.call(start(&id)).await.unwrap();
    let after = lab.until(&id, InstanceStateName::Running).await;
    assert!(after.public_ip_address.is_some());
    assert_eq!(after.private_ip_address, before.private_ip_address);
    // What is asked for again changes nothing.
    lab.root.call(start(&id)).await.unwrap();
}

#[tokio::test]
async fn termination_leaves_nothing_and_the_record_for_an_hour() {
    let lab = Lab::start().await;
    let running = one(&lab).await;
    let (id, zone) = (running.instance_id.clone().unwrap(), zone_of(&running));
    lab.root.call(terminate(&id)).await.unwrap();
    let ended = lab.until(&id, InstanceStateName::Terminated).await;
    assert_eq!((ended.private_ip_address, ended.network_interfaces.len()), (None, 0));
    assert!(!is_known(&lab, &zone, &id).await);
    assert_eq!(lab.host.volumes.lock().unwrap().len(), 0);
    let volumes = lab.root.call(DescribeVolumesInput::default()).await.unwrap().volumes;
    assert_eq!(volumes.len(), 0);
    let enis = ec2_api::DescribeNetworkInterfacesInput::default();
    assert_eq!(lab.root.call(enis).await.unwrap().network_interfaces.len(), 0);
    lab.root.call(terminate(&id)).await.unwrap();
    assert_eq!(code(lab.root.call(start(&id)).await), "IncorrectInstanceState");
    assert_eq!(code(lab.root.call(stop(&id)).await), "IncorrectInstanceState");
    lab.cloud.advance(std::time::Duration::from_secs(3601));
    testkit::poll::until("the record to go", || async {
        let input = ec2_api::DescribeInstancesInput::default();
        let all = lab.root.call(input).await.unwrap();
        all.reservations.is_empty().then_some(())
    })
    .await;
    assert_eq!(code(lab.root.call(terminate(&id)).await), "InvalidInstanceID.NotFound");
}

#[tokio::test]
async fn a_protected_instance_is_not_terminated_or_stopped() {
    let lab = Lab::start().await;
    let input = RunInstancesInput {
        disable_api_termination: Some(true),
        disable_api_stop: Some(true),
        ..lab.launch(1).await
    };
    let id = lab.running(input).await.instance_id.unwrap();
    assert_eq!(code(lab.root.call(terminate(&id)).await), "OperationNotPermitted");
    assert_eq!(code(lab.root.call(stop(&id)).await), "OperationNotPermitted");
    let off = ModifyInstanceAttributeInput {
        instance_id: id.clone(),
        disable_api_termination: Some(AttributeBooleanValue { value: Some(false) }),
        ..Default::default()
    };
    lab.root.call(off).await.unwrap();
    lab.root.call(terminate(&id)).await.unwrap();
}

#[tokio::test]
async fn an_instance_that_powers_off_does_what_it_was_told_to() {
    let lab = Lab::start().await;
    let stays = one(&lab).await;
    let goes = RunInstancesInput {
        instance_initiated_shutdown_behavior: Some(ShutdownBehavior::Terminate),
        ..lab.launch(1).await
    };
    let goes = lab.running(goes).await;
    for instance in [&stays, &goes] {
        let id = instance.instance_id.clone().unwrap();
        lab.machine.end(&zone_of(instance), &id, Exit::PoweredOff);
    }
    let stopped = lab.until(&stays.instance_id.unwrap(), InstanceStateName::Stopped).await;
    let code = stopped.state_reason.unwrap().code;
    assert_eq!(code.as_deref(), Some("Client.InstanceInitiatedShutdown"));
    lab.until(&goes.instance_id.unwrap(), InstanceStateName::Terminated).await;
}

#[tokio::test]
async fn an_instance_that_is_killed_is_told_as_failed() {
    let lab = Lab::start().await;
    let running = one(&lab).await;
    let id = running.instance_id.clone().unwrap();
    lab.machine.end(&zone_of(&running), &id, Exit::Signal(9));
    let stopped = lab.until(&id, InstanceStateName::Stopped).await;
    assert_eq!(stopped.state_reason.unwrap().code.as_deref(), Some("Server.InternalError"));
}

#[tokio::test]
async fn a_reboot_keeps_the_instance_running() {
    let lab = Lab::start().await;
    let before = one(&lab).await;
    let id = before.instance_id.clone().unwrap();
    let pid = |workloads: Vec<machine::WorkloadStatus>| match workloads[0].state {
        State::Running { pid, .. } => pid,
        State::Starting | State::Exited { .. } => 0,
    };
    let zone = zone_of(&before);
    let first = pid(lab.machine.list(&zone).await.unwrap());
    let input = RebootInstancesInput { instance_ids: vec![id.clone()], dry_run: None };
    lab.root.call(input).await.unwrap();
    testkit::poll::until("another process", || async {
        let now = pid(lab.machine.list(&zone).await.unwrap());
        (now != first && now != 0).then_some(())
    })
    .await;
    let after = lab.until(&id, InstanceStateName::Running).await;
    assert_eq!(after.public_ip_address, before.public_ip_address);
    assert_eq!(after.launch_time, before.launch_time);
}

#[tokio::test]
async fn a_zone_that_is_lost_stops_its_instances_and_brings_them_back() {
    let lab = Lab::start().await;
    let running = one(&lab).await;
    let (id, zone) = (running.instance_id.clone().unwrap(), zone_of(&running));
    let status = |id: &str| DescribeInstanceStatusInput {
        instance_ids: vec![id.to_owned()],
        include_all_instances: Some(true),
        ..Default::default()
    };
    let checks = lab.root.call(status(&id)).await.unwrap().instance_statuses;
    assert_eq!(checks[0].system_status.as_ref().unwrap().status.unwrap().as_str(), "ok");
    assert_eq!(checks[0].instance_status.as_ref().unwrap().status.unwrap().as_str(), "ok");
    lab.machine.kill_zone(&zone);
    let lost = lab.until(&id, InstanceStateName::Stopped).await;
    assert_eq!(lost.state_reason.unwrap().code.as_deref(), Some("Server.InternalError"));
    lab.machine.start_zone(&zone);
    let back = lab.until(&id, InstanceStateName::Running).await;
    assert_eq!(back.private_ip_address, running.private_ip_address);
    assert_eq!(back.public_ip_address, running.public_ip_address);
}

#[tokio::test]
async fn a_restart_adopts_what_runs_and_starts_what_does_not() {
    let lab = Lab::start().await;
    let (adopted, cut) = (one(&lab).await, one(&lab).await);
    let id = |instance: &ec2_api::Instance| instance.instance_id.clone().unwrap();
    let pid_of = |workloads: Vec<machine::WorkloadStatus>, id: &str| {
        let found = workloads.into_iter().find(|w| w.id == id)?;
        Some(found.state)
    };
    let before = pid_of(lab.machine.list(&zone_of(&adopted)).await.unwrap(), &id(&adopted));
    lab.machine.remove(&zone_of(&cut), &id(&cut)).await.unwrap();
    let lab = lab.restart().await;
    let zone = zone_of(&cut);
    testkit::poll::until("the other to run again", || async {
        is_known(&lab, &zone, &id(&cut)).await.then_some(())
    })
    .await;
    lab.until(&id(&cut), InstanceStateName::Running).await;
    let after = pid_of(lab.machine.list(&zone_of(&adopted)).await.unwrap(), &id(&adopted));
    assert_eq!(after, before);
    assert_eq!(lab.describe(&id(&adopted)).await, adopted);
}

#[tokio::test]
async fn a_console_is_read_and_attributes_are_changed_where_they_may_be() {
    let lab = Lab::start().await;
    let running = one(&lab).await;
    let id = running.instance_id.clone().unwrap();
    lab.machine.print(&id, b"Welcome");
    let input = GetConsoleOutputInput { instance_id: id.clone(), ..Default::default() };
    let output = lab.root.call(input).await.unwrap().output;
    assert_eq!(output.as_deref(), Some("V2VsY29tZQ=="));
    let resize = ModifyInstanceAttributeInput {
        instance_id: id.clone(),
        instance_type: Some(AttributeValue { value: Some("t3.small".to_owned()) }),
        ..Default::default()
    };
    assert_eq!(code(lab.root.call(resize.clone()).await), "IncorrectInstanceState");
    lab.root.call(stop(&id)).await.unwrap();
    lab.until(&id, InstanceStateName::Stopped).await;
    lab.root.call(resize).await.unwrap();
    let ask = DescribeInstanceAttributeInput {
        instance_id: id.clone(),
        attribute: InstanceAttributeName::InstanceType,
        dry_run: None,
    };
    let answer = lab.root.call(ask).await.unwrap().instance_type.unwrap();
    assert_eq!(answer.value.as_deref(), Some("t3.small"));
}
