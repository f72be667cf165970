//! What is changed of an instance while it is there: profile, monitoring, metadata options; and
//! what is told of its volume and image.

use ec2_api::{
    AssociateIamInstanceProfileInput, CreateImageInput,
    DescribeIamInstanceProfileAssociationsInput, DescribeImageAttributeInput,
    DescribeInstancesInput, DescribeVolumeStatusInput, DisassociateIamInstanceProfileInput,
    HttpTokensState, IamInstanceProfileSpecification, ImageAttributeName,
    InstanceMetadataEndpointState, InstanceMetadataTagsState, InstanceStateName,
    ModifyImageAttributeInput, ModifyInstanceMetadataOptionsInput, MonitorInstancesInput,
    MonitoringState, OperationType, ReplaceIamInstanceProfileAssociationInput,
    TerminateInstancesInput, UnmonitorInstancesInput, VolumeStatusInfoStatus,
};

use crate::region::{Lab, code, filter};

fn profile(name: &str) -> IamInstanceProfileSpecification {
    IamInstanceProfileSpecification { arn: None, name: Some(name.to_owned()) }
}

async fn running(lab: &Lab) -> String {
    lab.running(lab.launch(1).await).await.instance_id.unwrap()
}

async fn terminated(lab: &Lab) -> String {
    let id = running(lab).await;
    let input = TerminateInstancesInput { instance_ids: vec![id.clone()], ..Default::default() };
    lab.root.call(input).await.unwrap();
    lab.until(&id, InstanceStateName::Terminated).await;
    id
}

#[tokio::test]
async fn a_profile_is_associated_replaced_and_taken_away() {
    let lab = Lab::start().await;
    let id = running(&lab).await;
    let associate = |name: &str| AssociateIamInstanceProfileInput {
        instance_id: id.clone(),
        iam_instance_profile: profile(name),
    };
    assert_eq!(code(lab.root.call(associate("missing")).await), "InvalidParameterValue");
    let made = lab.root.call(associate("web")).await.unwrap().iam_instance_profile_association;
    let made = made.unwrap();
    assert_eq!(made.state.unwrap().as_str(), "associating");
    let association = made.association_id.unwrap();
    assert!(association.starts_with("iip-assoc-"), "{association}");
    assert_eq!(code(lab.root.call(associate("web")).await), "IncorrectState");
    let arn = lab.describe(&id).await.iam_instance_profile.unwrap().arn.unwrap();
    assert_eq!(arn, "arn:aws:iam::123456789012:instance-profile/web");

    let replace = ReplaceIamInstanceProfileAssociationInput {
        association_id: association.clone(),
        iam_instance_profile: profile("app"),
    };
    let replaced = lab.root.call(replace.clone()).await.unwrap().iam_instance_profile_association;
    let replaced = replaced.unwrap().association_id.unwrap();
    assert_ne!(replaced, association);
    assert_eq!(code(lab.root.call(replace).await), "InvalidAssociationID.NotFound");

    let describe =
        |filters| DescribeIamInstanceProfileAssociationsInput { filters, ..Default::default() };
    let input = describe(vec![filter("instance-id", &id), filter("state", "associated")]);
    let told = lab.root.call(input).await.unwrap().iam_instance_profile_associations;
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].association_id.as_ref(), Some(&replaced));
    assert!(told[0].iam_instance_profile.as_ref().unwrap().arn.as_ref().unwrap().ends_with("/app"));

    let take = DisassociateIamInstanceProfileInput { association_id: replaced };
    let taken = lab.root.call(take.clone()).await.unwrap().iam_instance_profile_association;
    assert_eq!(taken.unwrap().state.unwrap().as_str(), "disassociating");
    assert_eq!(code(lab.root.call(take).await), "InvalidAssociationID.NotFound");
    assert!(lab.describe(&id).await.iam_instance_profile.is_none());
    let told = lab.root.call(describe(Vec::new())).await.unwrap();
    assert!(told.iam_instance_profile_associations.is_empty());
}

#[tokio::test]
async fn associations_are_told_page_by_page() {
    let lab = Lab::start().await;
    for _ in 0..3 {
        let instance_id = running(&lab).await;
        let iam_instance_profile = profile("web");
        let input = AssociateIamInstanceProfileInput { instance_id, iam_instance_profile };
        lab.root.call(input).await.unwrap();
    }
    let mut input =
        DescribeIamInstanceProfileAssociationsInput { max_results: Some(2), ..Default::default() };
    // AWS: DescribeIamInstanceProfileAssociations, at least 5 a page.
    assert_eq!(code(lab.root.call(input.clone()).await), "InvalidParameterValue");
    input.max_results = Some(5);
    let told = lab.root.call(input).await.unwrap();
    assert_eq!((told.iam_instance_profile_associations.len(), told.next_token), (3, None));
}

#[tokio::test]
async fn monitoring_is_turned_on_and_off() {
    let lab = Lab::start().await;
    let id = running(&lab).await;
    let instance_ids = vec![id.clone()];
    let on = MonitorInstancesInput { instance_ids, ..Default::default() };
    let changed = lab.root.call(on.clone()).await.unwrap().instance_monitorings;
    let state = changed[0].monitoring.as_ref().unwrap().state;
    assert_eq!(state, Some(MonitoringState::Enabled));
    let by_state = |state: &str| DescribeInstancesInput {
        filters: vec![filter("monitoring-state", state)],
        ..Default::default()
    };
    let found = lab.root.call(by_state("enabled")).await.unwrap().reservations;
    assert_eq!(found[0].instances[0].instance_id.as_ref(), Some(&id));
    let off = UnmonitorInstancesInput { instance_ids: vec![id.clone()], ..Default::default() };
    lab.root.call(off).await.unwrap();
    assert!(lab.root.call(by_state("enabled")).await.unwrap().reservations.is_empty());
    let gone = vec![terminated(&lab).await];
    let on = MonitorInstancesInput { instance_ids: gone, ..on };
    assert_eq!(code(lab.root.call(on).await), "IncorrectInstanceState");
    let instance_ids = vec!["i-00000000000000000".to_owned()];
    let off = UnmonitorInstancesInput { instance_ids, ..Default::default() };
    assert_eq!(code(lab.root.call(off).await), "InvalidInstanceID.NotFound");
}

#[tokio::test]
async fn metadata_options_are_changed_one_by_one() {
    let lab = Lab::start().await;
    let instance_id = running(&lab).await;
    let same = ModifyInstanceMetadataOptionsInput {
        instance_id: instance_id.clone(),
        ..Default::default()
    };
    let optional = ModifyInstanceMetadataOptionsInput {
        http_tokens: Some(HttpTokensState::Optional),
        instance_metadata_tags: Some(InstanceMetadataTagsState::Enabled),
        ..same.clone()
    };
    let told = lab.root.call(optional).await.unwrap().instance_metadata_options.unwrap();
    assert_eq!(told.http_tokens, Some(HttpTokensState::Optional));
    assert_eq!(told.http_endpoint, Some(InstanceMetadataEndpointState::Enabled));
    let closed = ModifyInstanceMetadataOptionsInput {
        http_endpoint: Some(InstanceMetadataEndpointState::Disabled),
        http_put_response_hop_limit: Some(3),
        ..same.clone()
    };
    lab.root.call(closed).await.unwrap();
    let told = lab.describe(&instance_id).await.metadata_options.unwrap();
    assert_eq!(told.http_tokens, Some(HttpTokensState::Optional));
    assert_eq!(told.http_endpoint, Some(InstanceMetadataEndpointState::Disabled));
    assert_eq!(told.http_put_response_hop_limit, Some(3));
    assert_eq!(told.instance_metadata_tags, Some(InstanceMetadataTagsState::Enabled));
    let far = ModifyInstanceMetadataOptionsInput { http_put_response_hop_limit: Some(65), ..same };
    assert_eq!(code(lab.root.call(far.clone()).await), "InvalidParameterValue");
    let instance_id = terminated(&lab).await;
    let gone = ModifyInstanceMetadataOptionsInput {
        instance_id,
        http_put_response_hop_limit: None,
        ..far
    };
    assert_eq!(code(lab.root.call(gone).await), "IncorrectInstanceState");
}

#[tokio::test]
async fn attributes_of_an_image_are_told_as_they_were_set() {
    let lab = Lab::start().await;
    let input = CreateImageInput {
        instance_id: running(&lab).await,
        name: "golden".to_owned(),
        description: Some("as it should be".to_owned()),
        ..Default::default()
    };
    let image_id = lab.root.call(input).await.unwrap().image_id.unwrap();
    let share = ModifyImageAttributeInput {
        image_id: image_id.clone(),
        operation_type: Some(OperationType::Add),
        user_ids: vec!["210987654321".to_owned()],
        ..Default::default()
    };
    lab.root.call(share).await.unwrap();
    let ask = |attribute| DescribeImageAttributeInput {
        attribute,
        image_id: image_id.clone(),
        ..Default::default()
    };
    let told = lab.root.call(ask(ImageAttributeName::Description)).await.unwrap();
    assert_eq!(told.description.unwrap().value.as_deref(), Some("as it should be"));
    let told = lab.root.call(ask(ImageAttributeName::LaunchPermission)).await.unwrap();
    assert_eq!(told.launch_permissions[0].user_id.as_deref(), Some("210987654321"));
    let told = lab.root.call(ask(ImageAttributeName::BlockDeviceMapping)).await.unwrap();
    let root = told.block_device_mappings[0].ebs.as_ref().unwrap();
    assert!(root.snapshot_id.as_ref().unwrap().starts_with("snap-"));
    let kept = lab.root.call(ask(ImageAttributeName::LastLaunchedTime)).await;
    assert_eq!(code(kept), "UnsupportedOperation");
    let mut other = ask(ImageAttributeName::Description);
    other.image_id = lab.debian().await;
    assert_eq!(code(lab.root.call(other.clone()).await), "AuthFailure");
    other.image_id = "ami-00000000000000000".to_owned();
    assert_eq!(code(lab.root.call(other).await), "InvalidAMIID.NotFound");
}

#[tokio::test]
async fn a_volume_is_well_while_its_disk_is_there() {
    let lab = Lab::start().await;
    running(&lab).await;
    let all = DescribeVolumeStatusInput::default();
    let told = lab.root.call(all.clone()).await.unwrap().volume_statuses;
    let state = |status: &ec2_api::VolumeStatusItem| status.volume_status.as_ref().unwrap().status;
    assert_eq!(told.len(), 1);
    assert_eq!(state(&told[0]), Some(VolumeStatusInfoStatus::Ok));
    lab.host.volumes.lock().unwrap().clear();
    let told = lab.root.call(all.clone()).await.unwrap().volume_statuses;
    assert_eq!(state(&told[0]), Some(VolumeStatusInfoStatus::Impaired));
    let filters = vec![filter("volume-status.status", "ok")];
    let well = DescribeVolumeStatusInput { filters, ..all.clone() };
    assert!(lab.root.call(well).await.unwrap().volume_statuses.is_empty());
    let volume_ids = vec!["vol-00000000000000000".to_owned()];
    let missing = DescribeVolumeStatusInput { volume_ids, ..all };
    assert_eq!(code(lab.root.call(missing).await), "InvalidVolume.NotFound");
}
