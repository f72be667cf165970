//! Network interfaces.

use ec2_api::*;

use crate::region::{Lab, code, filter};

async fn describe(lab: &Lab, id: &str) -> NetworkInterface {
    let input = DescribeNetworkInterfacesInput {
        network_interface_ids: vec![id.to_owned()],
        ..Default::default()
    };
    lab.root.call(input).await.unwrap().network_interfaces.remove(0)
}

#[tokio::test]
async fn an_interface_is_available_when_the_fabric_has_it() {
    let lab = Lab::start().await;
    let vpc = lab.vpc("10.0.0.0/16").await;
    let subnet = lab.subnet(&vpc, "10.0.0.0/24").await;
    lab.net.fail("the host is busy");
    let made = lab.interface(&subnet).await;
    assert_eq!(made.status, Some(NetworkInterfaceStatus::Attaching));
    let id = made.network_interface_id.unwrap();
    assert_eq!(describe(&lab, &id).await.status, Some(NetworkInterfaceStatus::Attaching));
    lab.net.recover();
    testkit::poll::until("the interface to be available", || async {
        let told = describe(&lab, &id).await;
        (told.status == Some(NetworkInterfaceStatus::Available)).then_some(())
    })
    .await;
    let delete = DeleteNetworkInterfaceInput { network_interface_id: id, dry_run: None };
    lab.root.call(delete.clone()).await.unwrap();
    assert_eq!(code(lab.root.call(delete).await), "InvalidNetworkInterfaceID.NotFound");
}

#[tokio::test]
async fn addresses_are_leased_once_and_never_the_reserved_ones() {
    let lab = Lab::start().await;
    let vpc = lab.vpc("10.0.0.0/16").await;
    let subnet = lab.subnet(&vpc, "10.0.0.0/28").await;
    let with = |address: &str| CreateNetworkInterfaceInput {
        subnet_id: subnet.clone(),
        private_ip_address: Some(address.to_owned()),
        ..Default::default()
    };
    for reserved in ["10.0.0.0", "10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.15", "10.0.1.4"] {
        assert_eq!(
            code(lab.root.call(with(reserved)).await),
            "InvalidParameterValue",
            "{reserved}"
        );
    }
    lab.root.call(with("10.0.0.4")).await.unwrap();
    assert_eq!(code(lab.root.call(with("10.0.0.4")).await), "InvalidIPAddress.InUse");
    let mut seen = vec!["10.0.0.4".to_owned()];
    for _ in 0..10 {
        seen.push(lab.interface(&subnet).await.private_ip_address.unwrap());
    }
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), 11);
    let input = CreateNetworkInterfaceInput { subnet_id: subnet, ..Default::default() };
    assert_eq!(code(lab.root.call(input).await), "InsufficientFreeAddressesInSubnet");
}

#[tokio::test]
async fn secondary_addresses_come_go_and_move() {
    let lab = Lab::start().await;
    let vpc = lab.vpc("10.0.0.0/16").await;
    let subnet = lab.subnet(&vpc, "10.0.0.0/24").await;
    let (one, other) = (lab.interface(&subnet).await, lab.interface(&subnet).await);
    let assign = |eni: &NetworkInterface, force: bool| AssignPrivateIpAddressesInput {
        network_interface_id: eni.network_interface_id.clone().unwrap(),
        private_ip_addresses: vec!["10.0.0.200".to_owned()],
        allow_reassignment: Some(force),
        ..Default::default()
    };
    lab.root.call(assign(&one, false)).await.unwrap();
    assert_eq!(code(lab.root.call(assign(&other, false)).await), "InvalidIPAddress.InUse");
    lab.root.call(assign(&other, true)).await.unwrap();
    let filters = vec![filter("addresses.private-ip-address", "10.0.0.200")];
    let input = DescribeNetworkInterfacesInput { filters, ..Default::default() };
    let found = lab.root.call(input).await.unwrap().network_interfaces;
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].network_interface_id, other.network_interface_id);
    let unassign = |address: &str| UnassignPrivateIpAddressesInput {
        network_interface_id: other.network_interface_id.clone().unwrap(),
        private_ip_addresses: vec![address.to_owned()],
        ..Default::default()
    };
    let primary = other.private_ip_address.clone().unwrap();
    assert_eq!(code(lab.root.call(unassign(&primary)).await), "InvalidParameterValue");
    lab.root.call(unassign("10.0.0.200")).await.unwrap();
}

#[tokio::test]
async fn attributes_change_and_groups_are_limited() {
    let lab = Lab::start().await;
    let vpc = lab.vpc("10.0.0.0/16").await;
    let subnet = lab.subnet(&vpc, "10.0.0.0/24").await;
    let id = lab.interface(&subnet).await.network_interface_id.unwrap();
    let modify = ModifyNetworkInterfaceAttributeInput {
        network_interface_id: id.clone(),
        ..Default::default()
    };
    assert_eq!(code(lab.root.call(modify.clone()).await), "MissingParameter");
    let off = Some(AttributeBooleanValue { value: Some(false) });
    let input =
        ModifyNetworkInterfaceAttributeInput { source_dest_check: off.clone(), ..modify.clone() };
    lab.root.call(input).await.unwrap();
    let ask = DescribeNetworkInterfaceAttributeInput {
        network_interface_id: id.clone(),
        attribute: Some(NetworkInterfaceAttribute::SourceDestCheck),
        dry_run: None,
    };
    assert_eq!(lab.root.call(ask).await.unwrap().source_dest_check, off);
    let mut groups = Vec::new();
    for n in 0..6 {
        let input = CreateSecurityGroupInput {
            group_name: format!("g{n}"),
            description: "one of six".to_owned(),
            vpc_id: Some(vpc.clone()),
            ..Default::default()
        };
        groups.push(lab.root.call(input).await.unwrap().group_id.unwrap());
    }
    let input = ModifyNetworkInterfaceAttributeInput { groups: groups.clone(), ..modify.clone() };
    assert_eq!(code(lab.root.call(input).await), "SecurityGroupsPerInterfaceLimitExceeded");
    groups.pop();
    let input = ModifyNetworkInterfaceAttributeInput { groups, ..modify };
    lab.root.call(input).await.unwrap();
    assert_eq!(describe(&lab, &id).await.groups.len(), 5);
}

#[tokio::test]
async fn an_interface_is_made_once_for_a_token() {
    let lab = Lab::start().await;
    let vpc = lab.vpc("10.0.0.0/16").await;
    let subnet_id = lab.subnet(&vpc, "10.0.0.0/24").await;
    let input = CreateNetworkInterfaceInput {
        subnet_id,
        client_token: Some("once".to_owned()),
        ..Default::default()
    };
    let one = lab.root.call(input.clone()).await.unwrap().network_interface.unwrap();
    let two = lab.root.call(input.clone()).await.unwrap().network_interface.unwrap();
    assert_eq!(one.network_interface_id, two.network_interface_id);
    let other = CreateNetworkInterfaceInput { description: Some("x".to_owned()), ..input };
    assert_eq!(code(lab.root.call(other).await), "IdempotentParameterMismatch");
}
