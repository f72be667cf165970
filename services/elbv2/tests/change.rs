//! Changes to what is there: every operation that the other tests do not need, the resource types
//! as CloudFormation drives them, and who may do none of it.
#![expect(clippy::indexing_slicing, reason = "a test may panic")]
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod fixture;

use elbv2_api::*;
use fixture::{GROUP, Region, SUBNETS, VPC, start};
use kernel::resource::{Attributes, Progress, Properties, ResourceCtx, ResourceType};
use policy::Principal;
use serde_json::{Value as Json, json};
use testkit::{TestClient, poll};

fn fixed(code: &str) -> Vec<Action> {
    vec![Action {
        type_: ActionTypeEnum::FixedResponse,
        fixed_response_config: Some(FixedResponseActionConfig {
            status_code: code.to_owned(),
            ..Default::default()
        }),
        ..Default::default()
    }]
}

struct Made {
    root: TestClient,
    lb: String,
    group: String,
    listener: String,
    rules: Vec<String>,
}

async fn make(region: &Region) -> Made {
    let root = region.cloud.root();
    let input = CreateLoadBalancerInput {
        name: "web".to_owned(),
        subnets: SUBNETS.map(str::to_owned).to_vec(),
        security_groups: vec![GROUP.to_owned()],
        ..Default::default()
    };
    let lb = root.call(input).await.unwrap().load_balancers.remove(0).load_balancer_arn.unwrap();
    let input = CreateTargetGroupInput {
        name: "app".to_owned(),
        protocol: Some(ProtocolEnum::Http),
        port: Some(80),
        vpc_id: Some(VPC.to_owned()),
        ..Default::default()
    };
    let group = root.call(input).await.unwrap().target_groups.remove(0).target_group_arn.unwrap();
    let input = CreateListenerInput {
        load_balancer_arn: lb.clone(),
        protocol: Some(ProtocolEnum::Http),
        port: Some(80),
        default_actions: fixed("404"),
        ..Default::default()
    };
    let listener = root.call(input).await.unwrap().listeners.remove(0).listener_arn.unwrap();
    let mut rules = Vec::new();
    for priority in [10, 20] {
        let condition = RuleCondition {
            field: Some("path-pattern".to_owned()),
            values: vec![format!("/{priority}")],
            ..Default::default()
        };
        let input = CreateRuleInput {
            listener_arn: listener.clone(),
            priority,
            conditions: vec![condition],
            actions: fixed("200"),
            ..Default::default()
        };
        rules.push(root.call(input).await.unwrap().rules.remove(0).rule_arn.unwrap());
    }
    Made { root, lb, group, listener, rules }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn listeners_and_rules_change() {
    let region = start().await;
    let made = make(&region).await;
    let root = &made.root;
    let by_lb =
        DescribeListenersInput { load_balancer_arn: Some(made.lb.clone()), ..Default::default() };
    assert_eq!(root.call(by_lb).await.unwrap().listeners.len(), 1);
    let modify = ModifyListenerInput {
        listener_arn: made.listener.clone(),
        port: Some(8080),
        default_actions: fixed("503"),
        ..Default::default()
    };
    assert_eq!(root.call(modify).await.unwrap().listeners[0].port, Some(8080));
    let attributes = DescribeListenerAttributesInput { listener_arn: made.listener.clone() };
    assert!(!root.call(attributes).await.unwrap().attributes.is_empty());
    let swap = |at: usize, priority| RulePriorityPair {
        rule_arn: Some(made.rules[at].clone()),
        priority: Some(priority),
    };
    let input = SetRulePrioritiesInput { rule_priorities: vec![swap(0, 20), swap(1, 10)] };
    let rules = root.call(input).await.unwrap().rules;
    assert_eq!(rules.len(), 2);
    let modify = ModifyRuleInput {
        rule_arn: made.rules[0].clone(),
        actions: fixed("204"),
        ..Default::default()
    };
    let changed = root.call(modify).await.unwrap().rules.remove(0);
    assert_eq!(changed.priority.as_deref(), Some("20"));
    root.call(DeleteRuleInput { rule_arn: made.rules[1].clone() }).await.unwrap();
    let list =
        DescribeRulesInput { listener_arn: Some(made.listener.clone()), ..Default::default() };
    assert_eq!(root.call(list.clone()).await.unwrap().rules.len(), 2);
    root.call(DeleteListenerInput { listener_arn: made.listener.clone() }).await.unwrap();
    assert_eq!(root.call(list).await.unwrap_err().code, "ListenerNotFound");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn load_balancers_and_groups_change() {
    let region = start().await;
    let made = make(&region).await;
    let root = &made.root;
    let groups = SetSecurityGroupsInput {
        load_balancer_arn: made.lb.clone(),
        security_groups: vec![GROUP.to_owned()],
        ..Default::default()
    };
    assert_eq!(root.call(groups).await.unwrap().security_group_ids, [GROUP]);
    let subnets = SetSubnetsInput {
        load_balancer_arn: made.lb.clone(),
        subnets: SUBNETS.map(str::to_owned).to_vec(),
        ..Default::default()
    };
    assert_eq!(root.call(subnets).await.unwrap().availability_zones.len(), 2);
    let kind =
        |kind| SetIpAddressTypeInput { load_balancer_arn: made.lb.clone(), ip_address_type: kind };
    root.call(kind(IpAddressType::Ipv4)).await.unwrap();
    assert!(root.call(kind(IpAddressType::Dualstack)).await.is_err());
    let all = DescribeLoadBalancerAttributesInput { load_balancer_arn: made.lb.clone() };
    let all = root.call(all).await.unwrap().attributes;
    assert!(all.iter().any(|it| it.key.as_deref() == Some("idle_timeout.timeout_seconds")));
    let input = ModifyTargetGroupInput {
        target_group_arn: made.group.clone(),
        health_check_path: Some("/up".to_owned()),
        ..Default::default()
    };
    let group = root.call(input).await.unwrap().target_groups.remove(0);
    assert_eq!(group.health_check_path.as_deref(), Some("/up"));
    let attribute = TargetGroupAttribute {
        key: Some("deregistration_delay.timeout_seconds".to_owned()),
        value: Some("7".to_owned()),
    };
    let input = ModifyTargetGroupAttributesInput {
        target_group_arn: made.group.clone(),
        attributes: vec![attribute.clone()],
    };
    root.call(input).await.unwrap();
    let all = DescribeTargetGroupAttributesInput { target_group_arn: made.group.clone() };
    assert!(root.call(all).await.unwrap().attributes.contains(&attribute));
    let named = DescribeTargetGroupsInput { names: vec!["app".to_owned()], ..Default::default() };
    assert_eq!(root.call(named).await.unwrap().target_groups.len(), 1);
    let limits = root.call(DescribeAccountLimitsInput::default()).await.unwrap().limits;
    let max = limits.iter().find(|it| it.name.as_deref() == Some("target-groups")).unwrap();
    assert_eq!(max.max.as_deref(), Some("3000"));
    let arns = vec![made.lb.clone(), made.group.clone(), made.listener.clone()];
    let tag = Tag { key: "team".to_owned(), value: Some("web".to_owned()) };
    let input = AddTagsInput { resource_arns: arns.clone(), tags: vec![tag.clone()] };
    root.call(input).await.unwrap();
    let list = DescribeTagsInput { resource_arns: arns.clone() };
    let tags = root.call(list.clone()).await.unwrap().tag_descriptions;
    assert!(tags.len() == 3 && tags.iter().all(|it| it.tags == [tag.clone()]));
    let input = RemoveTagsInput { resource_arns: arns, tag_keys: vec!["team".to_owned()] };
    root.call(input).await.unwrap();
    let tags = root.call(list).await.unwrap().tag_descriptions;
    assert!(tags.iter().all(|it| it.tags.is_empty()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[expect(clippy::too_many_lines, reason = "a row an operation")]
async fn nobody_may_do_anything() {
    let region = start().await;
    let Made { lb, group, listener, rules, .. } = make(&region).await;
    let nobody = region.cloud.nobody();
    let key = || Some("a".to_owned());
    let target = TargetDescription { id: "i-1".to_owned(), ..Default::default() };
    let tag = Tag { key: "a".to_owned(), value: None };
    macro_rules! denied {
        ($($input:expr),+ $(,)?) => {$(
            let error = nobody.call($input).await.unwrap_err();
            assert_eq!(error.code, "AccessDenied", "{}", error.message);
        )+};
    }
    let (rule_arn, load_balancer_arn) = (rules[0].clone(), lb.clone());
    let (listener_arn, target_group_arn) = (listener.clone(), group.clone());
    denied!(
        CreateLoadBalancerInput { name: "a".to_owned(), ..Default::default() },
        DescribeLoadBalancersInput::default(),
        SetSecurityGroupsInput {
            load_balancer_arn: lb.clone(),
            security_groups: vec![GROUP.to_owned()],
            ..Default::default()
        },
        SetSubnetsInput { load_balancer_arn: lb.clone(), ..Default::default() },
        SetIpAddressTypeInput {
            load_balancer_arn: lb.clone(),
            ip_address_type: IpAddressType::Ipv4,
        },
        DescribeLoadBalancerAttributesInput { load_balancer_arn: lb.clone() },
        ModifyLoadBalancerAttributesInput {
            load_balancer_arn: lb.clone(),
            attributes: vec![LoadBalancerAttribute { key: key(), value: key() }],
        },
        CreateListenerInput {
            load_balancer_arn,
            default_actions: fixed("200"),
            ..Default::default()
        },
        DescribeListenersInput { load_balancer_arn: Some(lb), ..Default::default() },
        ModifyListenerInput { listener_arn: listener.clone(), ..Default::default() },
        DescribeListenerAttributesInput { listener_arn: listener.clone() },
        DeleteListenerInput { listener_arn: listener.clone() },
        CreateRuleInput {
            listener_arn,
            priority: 1,
            conditions: vec![RuleCondition { field: key(), ..Default::default() }],
            actions: fixed("200"),
            ..Default::default()
        },
        DescribeRulesInput { listener_arn: Some(listener.clone()), ..Default::default() },
        ModifyRuleInput { rule_arn: rules[0].clone(), ..Default::default() },
        DeleteRuleInput { rule_arn: rules[0].clone() },
        SetRulePrioritiesInput {
            rule_priorities: vec![RulePriorityPair { rule_arn: Some(rule_arn), priority: Some(5) }],
        },
        CreateTargetGroupInput { name: "a".to_owned(), ..Default::default() },
        DescribeTargetGroupsInput::default(),
        ModifyTargetGroupInput { target_group_arn, ..Default::default() },
        DescribeTargetGroupAttributesInput { target_group_arn: group.clone() },
        ModifyTargetGroupAttributesInput {
            target_group_arn: group.clone(),
            attributes: vec![TargetGroupAttribute { key: key(), value: key() }],
        },
        RegisterTargetsInput { target_group_arn: group.clone(), targets: vec![target.clone()] },
        DeregisterTargetsInput { target_group_arn: group.clone(), targets: vec![target.clone()] },
        DescribeTargetHealthInput { target_group_arn: group.clone(), ..Default::default() },
        DeleteTargetGroupInput { target_group_arn: group.clone() },
        AddTagsInput { resource_arns: vec![group.clone()], tags: vec![tag] },
        RemoveTagsInput { resource_arns: vec![group.clone()], tag_keys: vec!["a".to_owned()] },
        DescribeTagsInput { resource_arns: vec![group] },
        DescribeAccountLimitsInput::default(),
    );
}

fn ctx(region: &Region, logical_id: &str) -> ResourceCtx {
    let kernel = &region.cloud.kernel;
    let account = kernel.settings().account.clone();
    let principal = Principal::Root { account: account.clone() };
    let caller = kernel::Caller {
        invoked_by: Some("cloudformation.amazonaws.com".to_owned()),
        ..kernel::plain_caller(principal, &account, account.as_str())
    };
    ResourceCtx {
        client: kernel.client_for(caller, "cloudformation.amazonaws.com"),
        stack_name: "web".to_owned(),
        stack_id: "stack/web/1".to_owned(),
        logical_id: logical_id.to_owned(),
        token: format!("web-{logical_id}-1"),
        tags: [("aws:cloudformation:stack-id".to_owned(), "stack/web/1".to_owned())].into(),
        account,
        region: kernel.region().clone(),
    }
}

fn kind(region: &Region, name: &str) -> ResourceType {
    let name = format!("AWS::ElasticLoadBalancingV2::{name}");
    region.cloud.kernel.resource_type(&name).unwrap().clone()
}

fn object(json: Json) -> Properties {
    json.as_object().unwrap().clone()
}

async fn settle(
    kind: &ResourceType,
    ctx: &ResourceCtx,
    id: &str,
    wanted: &Properties,
) -> Attributes {
    poll::until("the resource to settle", || async {
        match kind.handler.settled(ctx, id, wanted).await.unwrap() {
            Progress::Done(attributes) => Some(attributes),
            Progress::Wait(_) => None,
        }
    })
    .await
}

async fn delete(kind: &ResourceType, ctx: &ResourceCtx, id: &str, properties: &Properties) {
    poll::until("the resource to go", || async {
        match kind.handler.delete(ctx, id, properties).await.unwrap() {
            Progress::Done(_) => Some(()),
            Progress::Wait(_) => None,
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stack_makes_changes_and_takes_away_what_serves_a_site() {
    let region = start().await;
    let root = region.cloud.root();
    let certificate = region.certificate("own", Some("key")).await;
    let other = region.certificate("other", Some("key")).await;
    let (lbs, groups) = (kind(&region, "LoadBalancer"), kind(&region, "TargetGroup"));
    let (listeners, rules) = (kind(&region, "Listener"), kind(&region, "ListenerRule"));
    let extras = kind(&region, "ListenerCertificate");

    let lb_ctx = ctx(&region, "Balancer");
    let wanted = object(json!({ "Subnets": SUBNETS, "SecurityGroups": [GROUP] }));
    let lb = lbs.handler.create(&lb_ctx, &wanted).await.unwrap();
    let known = settle(&lbs, &lb_ctx, &lb, &wanted).await;
    assert!(known["DNSName"].as_str().unwrap().ends_with(".elb.amazonaws.com"));

    let group_ctx = ctx(&region, "Group");
    let group_wanted = object(json!({
        "Protocol": "HTTPS", "Port": 443, "VpcId": VPC, "HealthCheckProtocol": "HTTPS",
        "TargetGroupAttributes": [{ "Key": "stickiness.enabled", "Value": "true" }],
    }));
    let group = groups.handler.create(&group_ctx, &group_wanted).await.unwrap();
    settle(&groups, &group_ctx, &group, &group_wanted).await;

    let listener_ctx = ctx(&region, "Secure");
    let of = |policy: &str| {
        object(json!({
            "LoadBalancerArn": lb, "Protocol": "HTTPS", "Port": 443, "SslPolicy": policy,
            "Certificates": [{ "CertificateArn": certificate }],
            "MutualAuthentication": { "Mode": "off" },
            "DefaultActions": [{ "Type": "forward", "TargetGroupArn": group }],
        }))
    };
    let old = of("ELBSecurityPolicy-TLS13-1-2-2021-06");
    let listener = listeners.handler.create(&listener_ctx, &old).await.unwrap();
    // A step that was cut short is repeated.
    assert_eq!(listeners.handler.create(&listener_ctx, &old).await.unwrap(), listener);
    settle(&listeners, &listener_ctx, &listener, &old).await;
    let new = of("ELBSecurityPolicy-TLS13-1-3-2021-06");
    listeners.handler.update(&listener_ctx, &listener, &old, &new).await.unwrap();
    let input =
        DescribeListenersInput { listener_arns: vec![listener.clone()], ..Default::default() };
    let found = root.call(input).await.unwrap().listeners.remove(0);
    assert_eq!(found.ssl_policy.as_deref(), Some("ELBSecurityPolicy-TLS13-1-3-2021-06"));
    assert_eq!(found.certificates[0].certificate_arn.as_ref(), Some(&certificate));

    let extra_ctx = ctx(&region, "More");
    let extra = object(json!({
        "ListenerArn": listener, "Certificates": [{ "CertificateArn": other }],
    }));
    let extra_id = extras.handler.create(&extra_ctx, &extra).await.unwrap();
    settle(&extras, &extra_ctx, &extra_id, &extra).await;
    assert_eq!(region.users(&other).await, std::slice::from_ref(&lb));

    let rule_ctx = ctx(&region, "Rule");
    let rule_wanted = object(json!({
        "ListenerArn": listener, "Priority": 5,
        "Conditions": [{ "Field": "path-pattern", "Values": ["/a"] }],
        "Actions": [{
            "Type": "redirect",
            "RedirectConfig": { "Protocol": "HTTPS", "Port": "443", "StatusCode": "HTTP_301" },
        }],
    }));
    let rule = rules.handler.create(&rule_ctx, &rule_wanted).await.unwrap();
    settle(&rules, &rule_ctx, &rule, &rule_wanted).await;

    delete(&rules, &rule_ctx, &rule, &rule_wanted).await;
    delete(&extras, &extra_ctx, &extra_id, &extra).await;
    assert!(region.users(&other).await.is_empty());
    delete(&listeners, &listener_ctx, &listener, &new).await;
    delete(&extras, &extra_ctx, &extra_id, &extra).await;
    delete(&groups, &group_ctx, &group, &group_wanted).await;
    delete(&lbs, &lb_ctx, &lb, &wanted).await;
    assert!(region.users(&certificate).await.is_empty());
}
