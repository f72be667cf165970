//! VPCs, subnets, gateways, ACLs, DHCP options, zones.

use ec2_api::*;
use protocol::ServiceError;

use crate::region::{Lab, code, filter};

#[tokio::test]
async fn an_account_starts_with_a_default_network() {
    let lab = Lab::start().await;
    let vpcs = lab.root.call(DescribeVpcsInput::default()).await.unwrap().vpcs;
    assert_eq!(vpcs.len(), 1);
    assert_eq!(vpcs[0].cidr_block.as_deref(), Some("172.31.0.0/16"));
    assert_eq!(vpcs[0].is_default, Some(true));
    let subnets = lab.root.call(DescribeSubnetsInput::default()).await.unwrap().subnets;
    assert_eq!(subnets.len(), 4);
    assert!(subnets.iter().all(|s| s.default_for_az == Some(true)));
    assert!(subnets.iter().all(|s| s.available_ip_address_count == Some(4091)));
    let table = lab.main_table(vpcs[0].vpc_id.as_deref().unwrap()).await;
    assert_eq!(table.routes.len(), 2);
    let groups = lab.root.call(DescribeSecurityGroupsInput::default()).await.unwrap();
    assert_eq!(groups.security_groups.len(), 1);
    assert_eq!(groups.security_groups[0].ip_permissions.len(), 1);
    assert_eq!(groups.security_groups[0].ip_permissions_egress.len(), 1);
    assert_eq!(
        code(lab.root.call(CreateDefaultVpcInput::default()).await),
        "DefaultVpcAlreadyExists"
    );
}

#[tokio::test]
async fn a_deleted_default_network_can_be_made_again() {
    let lab = Lab::start().await;
    let vpc = lab.root.call(DescribeVpcsInput::default()).await.unwrap().vpcs.remove(0);
    let vpc_id = vpc.vpc_id.unwrap();
    let delete = DeleteVpcInput { vpc_id: vpc_id.clone(), dry_run: None };
    assert_eq!(code(lab.root.call(delete.clone()).await), "DependencyViolation");
    for subnet in lab.root.call(DescribeSubnetsInput::default()).await.unwrap().subnets {
        let input = DeleteSubnetInput { subnet_id: subnet.subnet_id.unwrap(), dry_run: None };
        lab.root.call(input).await.unwrap();
    }
    let found = lab.root.call(DescribeInternetGatewaysInput::default()).await.unwrap();
    let internet_gateway_id = found.internet_gateways[0].internet_gateway_id.clone().unwrap();
    let detach = DetachInternetGatewayInput {
        internet_gateway_id: internet_gateway_id.clone(),
        vpc_id: vpc_id.clone(),
        dry_run: None,
    };
    lab.root.call(detach.clone()).await.unwrap();
    assert_eq!(code(lab.root.call(detach).await), "Gateway.NotAttached");
    lab.root.call(DeleteInternetGatewayInput { internet_gateway_id, dry_run: None }).await.unwrap();
    lab.root.call(delete.clone()).await.unwrap();
    assert_eq!(code(lab.root.call(delete).await), "InvalidVpcID.NotFound");
    assert!(lab.root.call(DescribeVpcsInput::default()).await.unwrap().vpcs.is_empty());
    let zone = Some("ap-northeast-2b".to_owned());
    let subnet = CreateDefaultSubnetInput { availability_zone: zone, ..Default::default() };
    assert_eq!(code(lab.root.call(subnet.clone()).await), "DefaultVpcDoesNotExist");
    let made = lab.root.call(CreateDefaultVpcInput::default()).await.unwrap().vpc.unwrap();
    assert_eq!(made.is_default, Some(true));
    assert_eq!(code(lab.root.call(subnet).await), "DefaultSubnetAlreadyExistsInAvailabilityZone");
}

#[tokio::test]
async fn vpc_blocks_are_checked_and_counted() {
    let lab = Lab::start().await;
    let create = |cidr: &str| {
        lab.root.call(CreateVpcInput { cidr_block: Some(cidr.to_owned()), ..Default::default() })
    };
    assert_eq!(code(create("10.0.0.0/8").await), "InvalidVpc.Range");
    assert_eq!(code(create("10.0.0.0/29").await), "InvalidVpc.Range");
    assert_eq!(code(create("ten").await), "InvalidParameterValue");
    assert_eq!(code(lab.root.call(CreateVpcInput::default()).await), "MissingParameter");
    let vpc = create("10.0.7.1/16").await.unwrap().vpc.unwrap();
    assert_eq!(vpc.cidr_block.as_deref(), Some("10.0.0.0/16"));
    assert_eq!(vpc.state, Some(VpcState::Pending));
    let id = vpc.vpc_id.unwrap();
    let associate = |cidr: &str| {
        lab.root.call(AssociateVpcCidrBlockInput {
            vpc_id: id.clone(),
            cidr_block: Some(cidr.to_owned()),
            ..Default::default()
        })
    };
    assert_eq!(code(associate("10.0.128.0/20").await), "CidrConflict");
    assert_eq!(code(associate("192.168.0.0/16").await), "InvalidVpc.Range");
    let added = associate("10.1.0.0/16").await.unwrap().cidr_block_association.unwrap();
    for n in 2..5 {
        associate(&format!("10.{n}.0.0/16")).await.unwrap();
    }
    assert_eq!(code(associate("10.9.0.0/16").await), "VpcCidrBlockLimitExceeded");
    lab.subnet(&id, "10.1.5.0/24").await;
    let association_id = added.association_id.unwrap();
    let leave = DisassociateVpcCidrBlockInput { association_id };
    assert_eq!(code(lab.root.call(leave).await), "DependencyViolation");
    for n in 0..3 {
        create(&format!("10.{n}.0.0/16")).await.unwrap();
    }
    assert_eq!(code(create("10.9.0.0/16").await), "VpcLimitExceeded");
}

#[tokio::test]
async fn vpc_attributes_change_one_at_a_time() {
    let lab = Lab::start().await;
    let vpc_id = lab.vpc("10.0.0.0/16").await;
    let on = Some(AttributeBooleanValue { value: Some(true) });
    let both = ModifyVpcAttributeInput {
        vpc_id: vpc_id.clone(),
        enable_dns_hostnames: on.clone(),
        enable_dns_support: on.clone(),
        ..Default::default()
    };
    assert_eq!(code(lab.root.call(both.clone()).await), "InvalidParameterCombination");
    lab.root.call(ModifyVpcAttributeInput { enable_dns_support: None, ..both }).await.unwrap();
    let attribute = VpcAttributeName::EnableDnsHostnames;
    let input = DescribeVpcAttributeInput { attribute, vpc_id, dry_run: None };
    assert_eq!(lab.root.call(input).await.unwrap().enable_dns_hostnames, on);
}

#[tokio::test]
async fn subnets_lie_inside_the_vpc_and_apart() {
    let lab = Lab::start().await;
    let vpc = lab.vpc("10.0.0.0/16").await;
    let subnet = lab.try_subnet(&vpc, "10.0.0.0/24").await.unwrap();
    assert_eq!(subnet.available_ip_address_count, Some(251));
    assert_eq!(code(lab.try_subnet(&vpc, "10.0.0.128/25").await), "InvalidSubnet.Conflict");
    assert_eq!(code(lab.try_subnet(&vpc, "10.1.0.0/24").await), "InvalidSubnet.Range");
    assert_eq!(code(lab.try_subnet(&vpc, "10.0.1.0/29").await), "InvalidSubnet.Range");
    assert_eq!(code(lab.try_subnet("vpc-0", "10.0.1.0/24").await), "InvalidVpcID.NotFound");
    let elsewhere = CreateSubnetInput {
        vpc_id: vpc,
        cidr_block: Some("10.0.2.0/24".to_owned()),
        availability_zone: Some("us-east-1a".to_owned()),
        ..Default::default()
    };
    assert_eq!(code(lab.root.call(elsewhere).await), "InvalidParameterValue");
    let id = subnet.subnet_id.unwrap();
    lab.interface(&id).await;
    let delete = DeleteSubnetInput { subnet_id: id.clone(), dry_run: None };
    assert_eq!(code(lab.root.call(delete).await), "DependencyViolation");
    let found = lab
        .root
        .call(DescribeSubnetsInput { subnet_ids: vec![id.clone()], ..Default::default() })
        .await
        .unwrap();
    assert_eq!(found.subnets[0].available_ip_address_count, Some(250));
    let modify = ModifySubnetAttributeInput {
        subnet_id: id.clone(),
        map_public_ip_on_launch: Some(AttributeBooleanValue { value: Some(true) }),
        ..Default::default()
    };
    lab.root.call(modify).await.unwrap();
    let filters = vec![filter("map-public-ip-on-launch", "true"), filter("cidr", "10.*")];
    let input = DescribeSubnetsInput { filters, ..Default::default() };
    assert_eq!(lab.root.call(input).await.unwrap().subnets.len(), 1);
}

#[tokio::test]
async fn lists_come_in_pages_and_know_their_filters() {
    let lab = Lab::start().await;
    let vpc = lab.vpc("10.0.0.0/16").await;
    for n in 0..8 {
        lab.subnet(&vpc, &format!("10.0.{n}.0/24")).await;
    }
    let (mut seen, mut next_token) = (Vec::new(), None);
    loop {
        let input = DescribeSubnetsInput {
            max_results: Some(5),
            next_token,
            filters: vec![filter("vpc-id", &vpc)],
            ..Default::default()
        };
        let page = lab.root.call(input).await.unwrap();
        assert!(page.subnets.len() <= 5);
        seen.extend(page.subnets.into_iter().filter_map(|s| s.subnet_id));
        next_token = page.next_token;
        if next_token.is_none() {
            break;
        }
    }
    seen.dedup();
    assert_eq!(seen.len(), 8);
    let unknown =
        DescribeSubnetsInput { filters: vec![filter("colour", "red")], ..Default::default() };
    let error = lab.root.call(unknown).await.unwrap_err();
    assert_eq!(
        (error.code.as_str(), error.message.as_str()),
        ("InvalidParameterValue", "The filter 'colour' is invalid")
    );
    let bad = DescribeSubnetsInput { next_token: Some("?".to_owned()), ..Default::default() };
    assert_eq!(code(lab.root.call(bad).await), "InvalidPaginationToken");
}

#[tokio::test]
async fn a_vpc_has_one_internet_gateway() {
    let lab = Lab::start().await;
    let (one, other) = (lab.vpc("10.0.0.0/16").await, lab.vpc("10.1.0.0/16").await);
    let gateway = lab.gateway(&one).await;
    assert_eq!(code(lab.attach(&gateway, &other).await), "Resource.AlreadyAssociated");
    let second = lab.root.call(CreateInternetGatewayInput::default()).await.unwrap();
    let second = second.internet_gateway.unwrap().internet_gateway_id.unwrap();
    assert_eq!(code(lab.attach(&second, &one).await), "InvalidParameterValue");
    assert_eq!(code(lab.attach("igw-0", &one).await), "InvalidInternetGatewayID.NotFound");
    let delete = DeleteInternetGatewayInput { internet_gateway_id: gateway, dry_run: None };
    assert_eq!(code(lab.root.call(delete).await), "DependencyViolation");
}

fn entry(acl: &str, number: i32) -> CreateNetworkAclEntryInput {
    CreateNetworkAclEntryInput {
        network_acl_id: acl.to_owned(),
        rule_number: number,
        protocol: "6".to_owned(),
        rule_action: RuleAction::Allow,
        egress: false,
        cidr_block: Some("0.0.0.0/0".to_owned()),
        port_range: Some(PortRange { from: Some(80), to: Some(80) }),
        ..Default::default()
    }
}

#[tokio::test]
async fn a_new_acl_denies_until_it_has_entries() {
    let lab = Lab::start().await;
    let vpc_id = lab.vpc("10.0.0.0/16").await;
    let subnet = lab.subnet(&vpc_id, "10.0.0.0/24").await;
    let input = CreateNetworkAclInput { vpc_id, ..Default::default() };
    let acl = lab.root.call(input).await.unwrap().network_acl.unwrap();
    assert_eq!(acl.entries.len(), 2);
    assert!(acl.entries.iter().all(|e| e.rule_action == Some(RuleAction::Deny)));
    let id = acl.network_acl_id.unwrap();
    lab.root.call(entry(&id, 100)).await.unwrap();
    assert_eq!(code(lab.root.call(entry(&id, 100)).await), "NetworkAclEntryAlreadyExists");
    assert_eq!(code(lab.root.call(entry(&id, 32767)).await), "InvalidParameterValue");
    let other = |number: i32, cidr: &str| ReplaceNetworkAclEntryInput {
        network_acl_id: id.clone(),
        rule_number: number,
        protocol: "17".to_owned(),
        rule_action: RuleAction::Deny,
        egress: false,
        cidr_block: Some(cidr.to_owned()),
        port_range: Some(PortRange { from: Some(53), to: Some(53) }),
        ..Default::default()
    };
    lab.root.call(other(100, "10.0.0.0/8")).await.unwrap();
    assert_eq!(code(lab.root.call(other(100, "nowhere")).await), "InvalidParameterValue");
    let unknown = lab.root.call(other(101, "10.0.0.0/8")).await;
    assert_eq!(code(unknown), "InvalidNetworkAclEntry.NotFound");
    let network_acl_ids = vec![id.clone()];
    let input = DescribeNetworkAclsInput { network_acl_ids, ..Default::default() };
    let told = lab.root.call(input).await.unwrap().network_acls.remove(0).entries;
    let replaced = told.iter().find(|e| e.rule_number == Some(100)).unwrap();
    assert_eq!(replaced.rule_action, Some(RuleAction::Deny));
    assert_eq!(replaced.protocol.as_deref(), Some("17"));
    assert_eq!(replaced.cidr_block.as_deref(), Some("10.0.0.0/8"));
    let no_ports = CreateNetworkAclEntryInput { port_range: None, ..entry(&id, 110) };
    assert_eq!(code(lab.root.call(no_ports).await), "MissingParameter");
    let filters = vec![filter("association.subnet-id", &subnet)];
    let input = DescribeNetworkAclsInput { filters, ..Default::default() };
    let present = lab.root.call(input).await.unwrap().network_acls.remove(0);
    let association_id = present.associations[0].network_acl_association_id.clone().unwrap();
    let replace = ReplaceNetworkAclAssociationInput {
        association_id: association_id.clone(),
        network_acl_id: id.clone(),
        dry_run: None,
    };
    lab.root.call(replace.clone()).await.unwrap();
    assert_eq!(code(lab.root.call(replace).await), "InvalidAssociationID.NotFound");
    let delete = DeleteNetworkAclInput { network_acl_id: id.clone(), dry_run: None };
    assert_eq!(code(lab.root.call(delete).await), "DependencyViolation");
    let mut gone = DeleteNetworkAclEntryInput {
        network_acl_id: id,
        rule_number: 100,
        egress: false,
        dry_run: None,
    };
    lab.root.call(gone.clone()).await.unwrap();
    assert_eq!(code(lab.root.call(gone.clone()).await), "InvalidNetworkAclEntry.NotFound");
    gone.network_acl_id = present.network_acl_id.unwrap();
    lab.root.call(gone.clone()).await.unwrap();
    let delete = DeleteNetworkAclInput { network_acl_id: gone.network_acl_id, dry_run: None };
    assert_eq!(code(lab.root.call(delete).await), "InvalidParameterValue");
}

#[tokio::test]
async fn dhcp_options_are_kept_while_used() {
    let lab = Lab::start().await;
    let vpc_id = lab.vpc("10.0.0.0/16").await;
    let make = |key: &str, value: &str| CreateDhcpOptionsInput {
        dhcp_configurations: vec![NewDhcpConfiguration {
            key: Some(key.to_owned()),
            values: vec![value.to_owned()],
        }],
        ..Default::default()
    };
    assert_eq!(code(lab.root.call(make("colour", "red")).await), "InvalidParameterValue");
    let bad = make("domain-name-servers", "nowhere");
    assert_eq!(code(lab.root.call(bad).await), "InvalidParameterValue");
    let made = lab.root.call(make("domain-name", "example.internal")).await.unwrap();
    let dhcp_options_id = made.dhcp_options.unwrap().dhcp_options_id.unwrap();
    let associate = |dhcp_options_id: &str| AssociateDhcpOptionsInput {
        dhcp_options_id: dhcp_options_id.to_owned(),
        vpc_id: vpc_id.clone(),
        dry_run: None,
    };
    lab.root.call(associate(&dhcp_options_id)).await.unwrap();
    let delete = DeleteDhcpOptionsInput { dhcp_options_id: dhcp_options_id.clone(), dry_run: None };
    assert_eq!(code(lab.root.call(delete.clone()).await), "DependencyViolation");
    let ask = |id: &str| DescribeDhcpOptionsInput {
        dhcp_options_ids: vec![id.to_owned()],
        ..Default::default()
    };
    let told = lab.root.call(ask(&dhcp_options_id)).await.unwrap().dhcp_options.remove(0);
    let configuration = &told.dhcp_configurations[0];
    assert_eq!(configuration.key.as_deref(), Some("domain-name"));
    assert_eq!(configuration.values[0].value.as_deref(), Some("example.internal"));
    let filters = vec![filter("key", "domain-name"), filter("value", "example.internal")];
    let input = DescribeDhcpOptionsInput { filters, ..Default::default() };
    assert_eq!(lab.root.call(input).await.unwrap().dhcp_options, [told]);
    lab.root.call(associate("default")).await.unwrap();
    lab.root.call(delete).await.unwrap();
    let gone = lab.root.call(ask(&dhcp_options_id)).await;
    assert_eq!(code(gone), "InvalidDhcpOptionID.NotFound");
    assert_eq!(
        code(lab.root.call(associate(&dhcp_options_id)).await),
        "InvalidDhcpOptionID.NotFound"
    );
}

#[tokio::test]
async fn the_region_tells_its_zones() {
    let lab = Lab::start().await;
    let zones = lab.root.call(DescribeAvailabilityZonesInput::default()).await.unwrap();
    let names: Vec<_> =
        zones.availability_zones.iter().filter_map(|zone| zone.zone_name.as_deref()).collect();
    assert_eq!(names, ["ap-northeast-2a", "ap-northeast-2b", "ap-northeast-2c", "ap-northeast-2d"]);
    let regions = lab.root.call(DescribeRegionsInput::default()).await.unwrap().regions;
    assert_eq!(regions[0].region_name.as_deref(), Some("ap-northeast-2"));
    let lists = lab.root.call(DescribePrefixListsInput::default()).await.unwrap().prefix_lists;
    assert_eq!(lists[0].cidrs, ["198.18.0.3/32"]);
    let managed = lab.root.call(DescribeManagedPrefixListsInput::default()).await.unwrap();
    assert_eq!(managed.prefix_lists[0].prefix_list_id, lists[0].prefix_list_id);
    let attributes = lab.root.call(DescribeAccountAttributesInput::default()).await.unwrap();
    assert_eq!(attributes.account_attributes.len(), 2);
}

#[tokio::test]
async fn who_may_nothing_is_refused_and_a_dry_run_changes_nothing() {
    let lab = Lab::start().await;
    let nobody = lab.cloud.nobody();
    let denied: Vec<ServiceError> = vec![
        nobody.call(DescribeVpcsInput::default()).await.unwrap_err(),
        nobody.call(DescribeSubnetsInput::default()).await.unwrap_err(),
        nobody.call(CreateInternetGatewayInput::default()).await.unwrap_err(),
        nobody.call(AllocateAddressInput::default()).await.unwrap_err(),
        nobody.call(CreateDefaultVpcInput::default()).await.unwrap_err(),
    ];
    assert!(denied.iter().all(|error| error.code == "UnauthorizedOperation"), "{denied:?}");
    let dry = CreateInternetGatewayInput { dry_run: Some(true), ..Default::default() };
    assert_eq!(code(lab.root.call(dry).await), "DryRunOperation");
    let gateways = lab.root.call(DescribeInternetGatewaysInput::default()).await.unwrap();
    assert_eq!(gateways.internet_gateways.len(), 1);
}

#[tokio::test]
async fn access_is_decided_by_resource_and_its_tags() {
    let lab = Lab::start().await;
    let (mine, other) = (lab.vpc("10.0.0.0/16").await, lab.vpc("10.1.0.0/16").await);
    let tags = vec![Tag { key: Some("team".to_owned()), value: Some("a".to_owned()) }];
    let input = CreateTagsInput { resources: vec![mine.clone()], tags, dry_run: None };
    lab.root.call(input).await.unwrap();
    let alice = lab.cloud.user(
        "alice",
        r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"ec2:DeleteVpc",
            "Resource":"arn:aws:ec2:*:*:vpc/*",
            "Condition":{"StringEquals":{"aws:ResourceTag/team":"a"}}}]}"#,
    );
    let delete = |vpc_id: &str| DeleteVpcInput { vpc_id: vpc_id.to_owned(), dry_run: None };
    assert_eq!(code(alice.call(delete(&other)).await), "UnauthorizedOperation");
    alice.call(delete(&mine)).await.unwrap();
}
