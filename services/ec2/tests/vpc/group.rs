//! Security groups and their rules.

use ec2_api::*;
use protocol::ServiceError;

use crate::region::{Lab, code, filter};

async fn group(lab: &Lab, vpc: &str, name: &str) -> Result<String, ServiceError> {
    let input = CreateSecurityGroupInput {
        group_name: name.to_owned(),
        description: "for a test".to_owned(),
        vpc_id: Some(vpc.to_owned()),
        ..Default::default()
    };
    Ok(lab.root.call(input).await?.group_id.unwrap())
}

fn tcp(port: i32, cidr: &str) -> IpPermission {
    IpPermission {
        ip_protocol: Some("tcp".to_owned()),
        from_port: Some(port),
        to_port: Some(port),
        ip_ranges: vec![IpRange { cidr_ip: Some(cidr.to_owned()), description: None }],
        ..Default::default()
    }
}

fn let_in(group: &str, ip_permissions: Vec<IpPermission>) -> AuthorizeSecurityGroupIngressInput {
    AuthorizeSecurityGroupIngressInput {
        group_id: Some(group.to_owned()),
        ip_permissions,
        ..Default::default()
    }
}

async fn describe(lab: &Lab, group: &str) -> SecurityGroup {
    let group_ids = vec![group.to_owned()];
    let input = DescribeSecurityGroupsInput { group_ids, ..Default::default() };
    lab.root.call(input).await.unwrap().security_groups.remove(0)
}

#[tokio::test]
async fn a_new_group_lets_everything_out_and_nothing_in() {
    let lab = Lab::start().await;
    let vpc = lab.vpc("10.0.0.0/16").await;
    let id = group(&lab, &vpc, "web").await.unwrap();
    let told = describe(&lab, &id).await;
    assert!(told.ip_permissions.is_empty());
    assert_eq!(told.ip_permissions_egress[0].ip_ranges[0].cidr_ip.as_deref(), Some("0.0.0.0/0"));
    assert_eq!(code(group(&lab, &vpc, "web").await), "InvalidGroup.Duplicate");
    assert_eq!(code(group(&lab, &vpc, "default").await), "InvalidParameterValue");
    assert_eq!(code(group(&lab, &vpc, "sg-web").await), "InvalidParameterValue");
    assert_eq!(code(group(&lab, "vpc-0", "app").await), "InvalidVpcID.NotFound");
}

#[tokio::test]
async fn rules_are_unique_and_well_formed() {
    let lab = Lab::start().await;
    let vpc = lab.vpc("10.0.0.0/16").await;
    let id = group(&lab, &vpc, "web").await.unwrap();
    let made = lab.root.call(let_in(&id, vec![tcp(80, "0.0.0.0/0")])).await.unwrap();
    assert!(
        made.security_group_rules[0].security_group_rule_id.as_deref().unwrap().starts_with("sgr-")
    );
    let again = lab.root.call(let_in(&id, vec![tcp(80, "0.0.0.0/0")])).await.unwrap_err();
    assert_eq!(again.code, "InvalidPermission.Duplicate");
    assert_eq!(
        again.message,
        "the specified rule \"peer: 0.0.0.0/0, TCP, from port: 80, to port: 80, ALLOW\" already \
         exists"
    );
    for bad in [tcp(70_000, "0.0.0.0/0"), tcp(80, "10.0.0.1/24"), tcp(80, "everywhere")] {
        assert_eq!(code(lab.root.call(let_in(&id, vec![bad])).await), "InvalidParameterValue");
    }
    assert_eq!(code(lab.root.call(let_in(&id, Vec::new())).await), "MissingParameter");
    assert_eq!(
        code(lab.root.call(let_in("sg-0123456789abcdef0", vec![tcp(80, "0.0.0.0/0")])).await),
        "InvalidGroup.NotFound"
    );
    assert_eq!(
        code(lab.root.call(let_in("web", vec![tcp(80, "0.0.0.0/0")])).await),
        "InvalidGroupId.Malformed"
    );
    let many = (0..60).map(|n| tcp(1000 + n, "10.0.0.0/8")).collect();
    assert_eq!(code(lab.root.call(let_in(&id, many)).await), "RulesPerSecurityGroupLimitExceeded");
}

#[tokio::test]
async fn rules_are_revoked_changed_and_described() {
    let lab = Lab::start().await;
    let vpc = lab.vpc("10.0.0.0/16").await;
    let id = group(&lab, &vpc, "web").await.unwrap();
    let wanted = vec![tcp(80, "0.0.0.0/0"), tcp(443, "0.0.0.0/0")];
    let made = lab.root.call(let_in(&id, wanted)).await.unwrap().security_group_rules;
    let rule = made[0].security_group_rule_id.clone().unwrap();
    let modify = ModifySecurityGroupRulesInput {
        group_id: id.clone(),
        security_group_rules: vec![SecurityGroupRuleUpdate {
            security_group_rule_id: rule.clone(),
            security_group_rule: Some(SecurityGroupRuleRequest {
                ip_protocol: Some("tcp".to_owned()),
                from_port: Some(8080),
                to_port: Some(8080),
                cidr_ipv4: Some("10.0.0.0/8".to_owned()),
                description: Some("inside".to_owned()),
                ..Default::default()
            }),
        }],
        dry_run: None,
    };
    lab.root.call(modify).await.unwrap();
    let input = DescribeSecurityGroupRulesInput {
        security_group_rule_ids: vec![rule.clone()],
        ..Default::default()
    };
    let told = lab.root.call(input).await.unwrap().security_group_rules.remove(0);
    assert_eq!((told.from_port, told.description.as_deref()), (Some(8080), Some("inside")));
    let update = UpdateSecurityGroupRuleDescriptionsIngressInput {
        group_id: Some(id.clone()),
        ip_permissions: vec![IpPermission {
            ip_ranges: vec![IpRange {
                cidr_ip: Some("0.0.0.0/0".to_owned()),
                description: Some("web".to_owned()),
            }],
            ..tcp(443, "0.0.0.0/0")
        }],
        ..Default::default()
    };
    lab.root.call(update).await.unwrap();
    let told = describe(&lab, &id).await;
    assert!(
        told.ip_permissions.iter().any(|p| p.ip_ranges[0].description.as_deref() == Some("web"))
    );
    let revoke = |ip_permissions, security_group_rule_ids| RevokeSecurityGroupIngressInput {
        group_id: Some(id.clone()),
        ip_permissions,
        security_group_rule_ids,
        ..Default::default()
    };
    let gone = lab.root.call(revoke(Vec::new(), vec![rule.clone()])).await.unwrap();
    assert_eq!(gone.revoked_security_group_rules.len(), 1);
    assert_eq!(
        code(lab.root.call(revoke(Vec::new(), vec![rule])).await),
        "InvalidSecurityGroupRuleId.NotFound"
    );
    assert_eq!(
        code(lab.root.call(revoke(vec![tcp(22, "0.0.0.0/0")], Vec::new())).await),
        "InvalidPermission.NotFound"
    );
    let everything = IpPermission {
        ip_protocol: Some("-1".to_owned()),
        ip_ranges: vec![IpRange { cidr_ip: Some("0.0.0.0/0".to_owned()), description: None }],
        ..Default::default()
    };
    let out = RevokeSecurityGroupEgressInput {
        group_id: id.clone(),
        ip_permissions: vec![everything],
        ..Default::default()
    };
    lab.root.call(out).await.unwrap();
    assert!(describe(&lab, &id).await.ip_permissions_egress.is_empty());
}

#[tokio::test]
async fn a_group_that_is_named_or_used_stays() {
    let lab = Lab::start().await;
    let vpc = lab.vpc("10.0.0.0/16").await;
    let subnet = lab.subnet(&vpc, "10.0.0.0/24").await;
    let (web, app) =
        (group(&lab, &vpc, "web").await.unwrap(), group(&lab, &vpc, "app").await.unwrap());
    let from_web = IpPermission {
        ip_ranges: Vec::new(),
        user_id_group_pairs: vec![UserIdGroupPair {
            group_id: Some(web.clone()),
            ..Default::default()
        }],
        ..tcp(8080, "0.0.0.0/0")
    };
    lab.root.call(let_in(&app, vec![from_web])).await.unwrap();
    let delete =
        |id: &str| DeleteSecurityGroupInput { group_id: Some(id.to_owned()), ..Default::default() };
    assert_eq!(code(lab.root.call(delete(&web)).await), "DependencyViolation");
    let input = CreateNetworkInterfaceInput {
        subnet_id: subnet,
        groups: vec![app.clone()],
        ..Default::default()
    };
    let eni = lab.root.call(input).await.unwrap().network_interface.unwrap();
    assert_eq!(code(lab.root.call(delete(&app)).await), "DependencyViolation");
    let network_interface_id = eni.network_interface_id.unwrap();
    lab.root
        .call(DeleteNetworkInterfaceInput { network_interface_id, dry_run: None })
        .await
        .unwrap();
    lab.root.call(delete(&app)).await.unwrap();
    lab.root.call(delete(&web)).await.unwrap();
    let filters = vec![filter("vpc-id", &vpc), filter("group-name", "default")];
    let input = DescribeSecurityGroupsInput { filters, ..Default::default() };
    let default = lab.root.call(input).await.unwrap().security_groups.remove(0);
    assert_eq!(code(lab.root.call(delete(&default.group_id.unwrap())).await), "CannotDelete");
}

#[tokio::test]
async fn a_rule_for_what_goes_out_is_made_and_described() {
    let lab = Lab::start().await;
    let vpc = lab.vpc("10.0.0.0/16").await;
    let id = group(&lab, &vpc, "web").await.unwrap();
    let let_out = |group: &str| AuthorizeSecurityGroupEgressInput {
        group_id: group.to_owned(),
        ip_permissions: vec![tcp(443, "10.0.0.0/8")],
        ..Default::default()
    };
    let made = lab.root.call(let_out(&id)).await.unwrap().security_group_rules;
    assert_eq!((made[0].is_egress, made[0].from_port), (Some(true), Some(443)));
    assert_eq!(code(lab.root.call(let_out(&id)).await), "InvalidPermission.Duplicate");
    let missing = lab.root.call(let_out("sg-0123456789abcdef0")).await;
    assert_eq!(code(missing), "InvalidGroup.NotFound");
    let rule = made[0].security_group_rule_id.clone().unwrap();
    let update = |rule: &str| UpdateSecurityGroupRuleDescriptionsEgressInput {
        group_id: Some(id.clone()),
        security_group_rule_descriptions: vec![SecurityGroupRuleDescription {
            security_group_rule_id: Some(rule.to_owned()),
            description: Some("to the others".to_owned()),
        }],
        ..Default::default()
    };
    lab.root.call(update(&rule)).await.unwrap();
    let unknown = lab.root.call(update("sgr-0123456789abcdef0")).await;
    assert_eq!(code(unknown), "InvalidSecurityGroupRuleId.NotFound");
    let input = DescribeSecurityGroupRulesInput {
        security_group_rule_ids: vec![rule],
        ..Default::default()
    };
    let told = lab.root.call(input).await.unwrap().security_group_rules.remove(0);
    assert_eq!(told.description.as_deref(), Some("to the others"));
    assert!(describe(&lab, &id).await.ip_permissions.is_empty());
}
