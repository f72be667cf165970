//! Images, instance types and volumes.

use ec2_api::{
    CreateImageInput, DeregisterImageInput, DescribeImagesInput,
    DescribeInstanceTypeOfferingsInput, DescribeInstanceTypesInput, DescribeSnapshotsInput,
    ImageState, InstanceStateName, ModifyImageAttributeInput, OperationType, RegisterImageInput,
    RunInstancesInput,
};

use crate::region::{Lab, code, filter};

#[tokio::test]
async fn an_image_of_an_instance_launches_others() {
    let lab = Lab::start().await;
    let running = lab.running(lab.launch(1).await).await;
    let id = running.instance_id.clone().unwrap();
    let input = CreateImageInput {
        instance_id: id.clone(),
        name: "golden".to_owned(),
        ..Default::default()
    };
    let image = lab.root.call(input.clone()).await.unwrap().image_id.unwrap();
    let again = code(lab.root.call(input).await);
    assert!(matches!(again.as_str(), "InvalidAMIName.Duplicate" | "IncorrectState"), "{again}");
    let described = testkit::poll::until("the image", || async {
        let input = DescribeImagesInput { image_ids: vec![image.clone()], ..Default::default() };
        let found = lab.root.call(input).await.unwrap().images.remove(0);
        (found.state == Some(ImageState::Available)).then_some(found)
    })
    .await;
    assert_eq!(described.source_instance_id, Some(id.clone()));
    lab.until(&id, InstanceStateName::Running).await;
    let snapshots = lab.root.call(DescribeSnapshotsInput::default()).await.unwrap().snapshots;
    assert_eq!(snapshots[0].state.unwrap().as_str(), "completed");
    let launch = RunInstancesInput { image_id: Some(image.clone()), ..lab.launch(1).await };
    let copy = lab.running(launch).await;
    assert_eq!(copy.image_id, Some(image.clone()));
    let register = RegisterImageInput {
        name: "silver".to_owned(),
        root_device_name: described.root_device_name.clone(),
        block_device_mappings: described.block_device_mappings.clone(),
        ..Default::default()
    };
    lab.root.call(register).await.unwrap();
    let share = ModifyImageAttributeInput {
        image_id: image.clone(),
        operation_type: Some(OperationType::Add),
        user_ids: vec!["210987654321".to_owned()],
        ..Default::default()
    };
    lab.root.call(share).await.unwrap();
    let gone = DeregisterImageInput { image_id: image.clone(), ..Default::default() };
    lab.root.call(gone.clone()).await.unwrap();
    assert_eq!(code(lab.root.call(gone).await), "InvalidAMIID.NotFound");
}

#[tokio::test]
async fn public_images_are_found_and_belong_to_others() {
    let lab = Lab::start().await;
    let all = lab.root.call(DescribeImagesInput::default()).await.unwrap().images;
    assert_eq!(all.len(), 2);
    let mine = DescribeImagesInput { owners: vec!["self".to_owned()], ..Default::default() };
    assert_eq!(lab.root.call(mine).await.unwrap().images.len(), 0);
    let lamp = DescribeImagesInput {
        filters: vec![filter("name", "skyhold-lamp-debian-12-*")],
        ..Default::default()
    };
    let lamp = lab.root.call(lamp).await.unwrap().images.remove(0);
    let delete = DeregisterImageInput { image_id: lamp.image_id.unwrap(), ..Default::default() };
    assert_eq!(code(lab.root.call(delete).await), "AuthFailure");
    let unknown = DescribeImagesInput {
        image_ids: vec!["ami-00000000000000000".to_owned()],
        ..Default::default()
    };
    assert_eq!(code(lab.root.call(unknown).await), "InvalidAMIID.NotFound");
}

#[tokio::test]
async fn instance_types_are_told_with_their_limits() {
    let lab = Lab::start().await;
    let input = DescribeInstanceTypesInput {
        instance_types: vec!["t3.micro".to_owned()],
        ..Default::default()
    };
    let micro = lab.root.call(input).await.unwrap().instance_types.remove(0);
    assert_eq!(micro.memory_info.unwrap().size_in_mi_b, Some(1024));
    assert_eq!(micro.v_cpu_info.unwrap().default_v_cpus, Some(2));
    let unknown = DescribeInstanceTypesInput {
        instance_types: vec!["m1.small".to_owned()],
        ..Default::default()
    };
    assert_eq!(code(lab.root.call(unknown).await), "InvalidInstanceType");
    // The host of the test has no room for it.
    let offered = DescribeInstanceTypeOfferingsInput {
        filters: vec![filter("instance-type", "r5.*")],
        ..Default::default()
    };
    let offered = lab.root.call(offered).await.unwrap().instance_type_offerings;
    assert_eq!(offered.len(), 1);
}
