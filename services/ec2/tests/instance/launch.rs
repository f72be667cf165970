//! Launches: what they make, what they refuse.

use ec2_api::{
    BlockDeviceMapping, DescribeInstancesInput, DescribeTagsInput, DescribeVolumesInput,
    EbsBlockDevice, IamInstanceProfileSpecification, InstanceNetworkInterfaceSpecification,
    InstanceStateName, Placement, RunInstancesInput, Tag, TagSpecification,
};
use machine::{Kind, Upper};

use crate::region::{Lab, code, filter};

fn tagged(kind: &str, key: &str, value: &str) -> TagSpecification {
    TagSpecification {
        resource_type: Some(kind.to_owned()),
        tags: vec![Tag { key: Some(key.to_owned()), value: Some(value.to_owned()) }],
    }
}

#[tokio::test]
async fn a_launched_instance_runs_in_the_default_network() {
    let lab = Lab::start().await;
    let made = lab.run(lab.launch(1).await).await.unwrap();
    let instance = &made.instances[0];
    assert_eq!(instance.state.as_ref().unwrap().name, Some(InstanceStateName::Pending));
    assert_eq!(instance.state.as_ref().unwrap().code, Some(0));
    let id = instance.instance_id.clone().unwrap();
    let running = lab.until(&id, InstanceStateName::Running).await;
    assert!(running.public_ip_address.unwrap().starts_with("198."));
    let private = running.private_ip_address.unwrap();
    assert!(private.starts_with("172.31."));
    let name = format!("ip-{}.ap-northeast-2.compute.internal", private.replace('.', "-"));
    assert_eq!(running.private_dns_name, Some(name));
    assert_eq!(running.security_groups[0].group_name.as_deref(), Some("default"));
    assert_eq!(running.metadata_options.unwrap().http_tokens.unwrap().as_str(), "required");
    let zone = base::Zone::new(running.placement.unwrap().availability_zone.unwrap());
    let spec = lab.machine.spec(&zone, &id).unwrap();
    assert_eq!(spec.limits.memory_bytes, Some(1 << 30));
    assert_eq!(spec.limits.cpus, Some(2.0));
    let Kind::Sandbox(sandbox) = spec.kind else { panic!("an instance is a sandbox") };
    assert!(matches!(sandbox.root.upper, Upper::Volume(_)));
    let file = |path: &str| {
        let found = sandbox.root.files.iter().find(|f| f.path.to_str() == Some(path)).unwrap();
        String::from_utf8(found.content.clone()).unwrap()
    };
    assert!(file("/etc/resolv.conf").contains("nameserver 172.31.0.2"));
    assert!(file("/etc/environment").contains("AWS_ENDPOINT_URL=http://198.18.0.3:"));
    assert!(file("/etc/hosts").contains(&private));
}

#[tokio::test]
async fn a_launch_makes_what_its_members_say() {
    let lab = Lab::start().await;
    let input = RunInstancesInput {
        user_data: Some("IyEvYmluL3NoCg==".to_owned()),
        disable_api_termination: Some(true),
        iam_instance_profile: Some(IamInstanceProfileSpecification {
            arn: None,
            name: Some("web".to_owned()),
        }),
        placement: Some(Placement {
            availability_zone: Some("ap-northeast-2c".to_owned()),
            ..Default::default()
        }),
        block_device_mappings: vec![BlockDeviceMapping {
            device_name: Some("/dev/xvda".to_owned()),
            ebs: Some(EbsBlockDevice {
                volume_size: Some(20),
                delete_on_termination: Some(false),
                ..Default::default()
            }),
            ..Default::default()
        }],
        tag_specifications: vec![
            tagged("instance", "Name", "web-1"),
            tagged("volume", "of", "web-1"),
            tagged("network-interface", "of", "web-1"),
        ],
        network_interfaces: vec![InstanceNetworkInterfaceSpecification {
            device_index: Some(0),
            associate_public_ip_address: Some(false),
            ..Default::default()
        }],
        ..lab.launch(1).await
    };
    let running = lab.running(input).await;
    assert_eq!(running.public_ip_address, None);
    assert_eq!(running.placement.unwrap().availability_zone.as_deref(), Some("ap-northeast-2c"));
    let arn = running.iam_instance_profile.unwrap().arn.unwrap();
    assert_eq!(arn, "arn:aws:iam::123456789012:instance-profile/web");
    let volumes = lab.root.call(DescribeVolumesInput::default()).await.unwrap().volumes;
    assert_eq!((volumes.len(), volumes[0].size), (1, Some(20)));
    assert_eq!(volumes[0].attachments[0].delete_on_termination, Some(false));
    let tags = lab.root.call(DescribeTagsInput::default()).await.unwrap().tags;
    let mut kinds: Vec<_> = tags.iter().filter_map(|t| t.resource_type.clone()).collect();
    kinds.sort();
    assert_eq!(kinds, ["instance", "network-interface", "volume"]);
    let by_name = DescribeInstancesInput {
        filters: vec![filter("tag:Name", "web-*"), filter("instance-state-name", "running")],
        ..Default::default()
    };
    assert_eq!(lab.root.call(by_name).await.unwrap().reservations.len(), 1);
}

#[tokio::test]
async fn a_repeated_token_launches_once() {
    let lab = Lab::start().await;
    let input = RunInstancesInput { client_token: Some("once".to_owned()), ..lab.launch(2).await };
    let first = lab.run(input.clone()).await.unwrap();
    let second = lab.run(input.clone()).await.unwrap();
    assert_eq!(first.reservation_id, second.reservation_id);
    assert_eq!(second.instances.len(), 2);
    let other = RunInstancesInput { ebs_optimized: Some(true), ..input };
    assert_eq!(code(lab.run(other).await), "IdempotentParameterMismatch");
}

#[tokio::test]
async fn launches_that_cannot_be_are_refused_and_make_nothing() {
    let lab = Lab::start().await;
    let good = lab.launch(1).await;
    let with = |change: fn(&mut RunInstancesInput)| {
        let mut input = good.clone();
        change(&mut input);
        input
    };
    let cases: Vec<(&str, RunInstancesInput)> = vec![
        ("InvalidAMIID.Malformed", with(|i| i.image_id = Some("debian".to_owned()))),
        ("InvalidAMIID.NotFound", with(|i| i.image_id = Some("ami-00000000000000000".to_owned()))),
        ("MissingParameter", with(|i| i.image_id = None)),
        ("InvalidParameterValue", with(|i| i.instance_type = Some("t3.gigantic".to_owned()))),
        ("InvalidParameterValue", with(|i| i.instance_type = Some("t4g.micro".to_owned()))),
        ("InsufficientInstanceCapacity", with(|i| i.instance_type = Some("r5.4xlarge".to_owned()))),
        ("InvalidKeyPair.NotFound", with(|i| i.key_name = Some("nobody".to_owned()))),
        ("InvalidParameterCombination", with(|i| i.min_count = 2)),
        ("InvalidParameterValue", with(|i| i.min_count = 0)),
        ("InvalidSubnetID.NotFound", with(|i| i.subnet_id = Some("subnet-00000000".to_owned()))),
        ("InvalidUserData.Malformed", with(|i| i.user_data = Some("!".to_owned()))),
        ("UnsupportedOperation", with(|i| i.kernel_id = Some("aki-00000000".to_owned()))),
        (
            "InvalidParameterValue",
            with(|i| {
                i.iam_instance_profile = Some(IamInstanceProfileSpecification {
                    arn: None,
                    name: Some("missing".to_owned()),
                });
            }),
        ),
        (
            "InvalidParameterValue",
            with(|i| {
                i.placement = Some(Placement {
                    availability_zone: Some("mars-1a".to_owned()),
                    ..Default::default()
                });
            }),
        ),
        (
            "InvalidBlockDeviceMapping",
            with(|i| {
                i.block_device_mappings = vec![BlockDeviceMapping {
                    device_name: Some("/dev/xvda".to_owned()),
                    ebs: Some(EbsBlockDevice { volume_size: Some(1), ..Default::default() }),
                    ..Default::default()
                }];
            }),
        ),
        ("InvalidParameterValue", with(|i| i.user_data = Some("A".repeat(30_000)))),
    ];
    for (want, input) in cases {
        assert_eq!(code(lab.run(input.clone()).await), want, "{input:?}");
    }
    let all = lab.root.call(DescribeInstancesInput::default()).await.unwrap();
    assert_eq!(all.reservations.len(), 0);
    assert_eq!(code(lab.cloud.nobody().call(good).await), "UnauthorizedOperation");
}

#[tokio::test]
async fn a_launch_whose_image_cannot_be_built_ends_with_the_reason() {
    let lab = Lab::start().await;
    *lab.host.broken.lock().unwrap() = Some("mmdebstrap".to_owned());
    let made = lab.run(lab.launch(1).await).await.unwrap();
    let id = made.instances[0].instance_id.clone().unwrap();
    let ended = lab.until(&id, InstanceStateName::Terminated).await;
    let reason = ended.state_reason.unwrap();
    assert_eq!(reason.code.as_deref(), Some("Server.InternalError"));
    assert!(reason.message.unwrap().contains("mmdebstrap"));
}

#[tokio::test]
async fn instances_are_told_in_pages() {
    let lab = Lab::start().await;
    lab.run(lab.launch(7).await).await.unwrap();
    let (mut seen, mut token) = (Vec::new(), None);
    loop {
        let input = DescribeInstancesInput {
            max_results: Some(5),
            next_token: token.clone(),
            ..Default::default()
        };
        let page = lab.root.call(input).await.unwrap();
        let instances = page.reservations.into_iter().flat_map(|r| r.instances);
        seen.extend(instances.filter_map(|i| i.instance_id));
        token = page.next_token;
        if token.is_none() {
            break;
        }
    }
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), 7);
    let unknown = DescribeInstancesInput {
        instance_ids: vec!["i-00000000000000000".to_owned()],
        ..Default::default()
    };
    assert_eq!(code(lab.root.call(unknown).await), "InvalidInstanceID.NotFound");
    let malformed =
        DescribeInstancesInput { instance_ids: vec!["nine".to_owned()], ..Default::default() };
    assert_eq!(code(lab.root.call(malformed).await), "InvalidInstanceID.Malformed");
    let odd =
        DescribeInstancesInput { filters: vec![filter("colour", "red")], ..Default::default() };
    assert_eq!(code(lab.root.call(odd).await), "InvalidParameterValue");
}
