//! A zone that is lost: nothing is started in it, and everybody is told.

use base::Zone;
use ec2_api::{
    AvailabilityZoneState, DescribeAvailabilityZonesInput, InstanceStateName, Placement,
    RunInstancesInput, StartInstancesInput, StopInstancesInput,
};

use crate::region::{Lab, code, filter};

const LOST: &str = "ap-northeast-2b";

async fn launch_in(lab: &Lab, zone: &str) -> RunInstancesInput {
    let availability_zone = Some(zone.to_owned());
    let placement = Some(Placement { availability_zone, ..Default::default() });
    RunInstancesInput { placement, ..lab.launch(1).await }
}

async fn unavailable(lab: &Lab) -> Vec<String> {
    let filters = vec![filter("state", "unavailable")];
    let input = DescribeAvailabilityZonesInput { filters, ..Default::default() };
    let told = lab.root.call(input).await.unwrap().availability_zones;
    let lost = AvailabilityZoneState::Unavailable;
    assert!(told.iter().all(|zone| zone.state == Some(lost) && !zone.messages.is_empty()));
    told.into_iter().filter_map(|zone| zone.zone_name).collect()
}

#[tokio::test]
async fn nothing_is_launched_or_started_in_a_zone_that_is_lost() {
    let lab = Lab::start().await;
    let stopped = lab.running(launch_in(&lab, LOST).await).await.instance_id.unwrap();
    let instance_ids = vec![stopped.clone()];
    let stop = StopInstancesInput { instance_ids: instance_ids.clone(), ..Default::default() };
    lab.root.call(stop).await.unwrap();
    lab.until(&stopped, InstanceStateName::Stopped).await;
    lab.machine.kill_zone(&Zone::new(LOST));
    assert_eq!(unavailable(&lab).await, [LOST]);
    let refused = lab.run(launch_in(&lab, LOST).await).await.unwrap_err();
    assert_eq!(refused.code, "InsufficientInstanceCapacity");
    assert!(refused.message.contains(LOST), "{}", refused.message);
    let start = StartInstancesInput { instance_ids, ..Default::default() };
    assert_eq!(code(lab.root.call(start.clone()).await), "InsufficientInstanceCapacity");
    // Who leaves the zone open gets another one.
    for _ in 0..8 {
        let made = lab.run(lab.launch(1).await).await.unwrap();
        let zone = made.instances[0].placement.clone().unwrap().availability_zone.unwrap();
        assert_ne!(zone, LOST);
    }
    lab.machine.start_zone(&Zone::new(LOST));
    assert!(unavailable(&lab).await.is_empty());
    lab.root.call(start).await.unwrap();
    lab.until(&stopped, InstanceStateName::Running).await;
}

#[tokio::test]
async fn an_instance_that_comes_back_was_launched_then() {
    let lab = Lab::start().await;
    let before = lab.running(launch_in(&lab, LOST).await).await;
    let id = before.instance_id.unwrap();
    lab.machine.kill_zone(&Zone::new(LOST));
    lab.until(&id, InstanceStateName::Stopped).await;
    lab.cloud.advance(std::time::Duration::from_secs(60));
    lab.machine.start_zone(&Zone::new(LOST));
    let after = lab.until(&id, InstanceStateName::Running).await;
    assert!(after.launch_time > before.launch_time);
    assert_eq!(after.private_ip_address, before.private_ip_address);
}
