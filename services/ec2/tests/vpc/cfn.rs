//! The resource types of CloudFormation: each is made, made again after an interruption, changed
//! and deleted as the engine would.

use std::time::Duration;

use kernel::Caller;
use kernel::resource::{Attributes, Progress, Properties, ResourceCtx, ResourceType};
use policy::Principal;
use serde_json::{Value as Json, json};

use crate::region::Lab;

struct Stack<'a> {
    lab: &'a Lab,
}

struct Made {
    logical_id: String,
    kind: ResourceType,
    id: String,
    properties: Properties,
    attributes: Attributes,
}

impl Made {
    fn attribute(&self, name: &str) -> Json {
        self.attributes[name].clone()
    }
}

impl Stack<'_> {
    fn ctx(&self, logical_id: &str) -> ResourceCtx {
        let kernel = &self.lab.cloud.kernel;
        let account = kernel.settings().account.clone();
        let caller = Caller {
            principal: Principal::Root { account: account.clone() },
            account: account.clone(),
            arn: format!("arn:aws:iam::{account}:root"),
            user_id: account.to_string(),
            access_key_id: None,
            invoked_by: Some("cloudformation.amazonaws.com".to_owned()),
            session_policies: Vec::new(),
            expires: None,
            facts: kernel::session::SessionFacts::default(),
        };
        let tag = |key: &str, value: &str| (format!("aws:cloudformation:{key}"), value.to_owned());
        ResourceCtx {
            client: kernel.client_for(caller, "cloudformation.amazonaws.com"),
            stack_name: "web".to_owned(),
            stack_id: "arn:aws:cloudformation:ap-northeast-2:123456789012:stack/web/1".to_owned(),
            logical_id: logical_id.to_owned(),
            token: format!("web-{logical_id}-1"),
            tags: [
                tag("stack-name", "web"),
                tag("stack-id", "arn:aws:cloudformation:ap-northeast-2:123456789012:stack/web/1"),
                tag("logical-id", logical_id),
            ]
            .into(),
            account,
            region: kernel.region().clone(),
        }
    }

    async fn make(&self, logical_id: &str, kind: &str, properties: Json) -> Made {
        let kind =
            self.lab.cloud.kernel.resource_type(&format!("AWS::EC2::{kind}")).unwrap().clone();
        let properties = properties.as_object().unwrap().clone();
        for name in properties.keys() {
            assert!(kind.properties.iter().any(|known| known.name == name), "{name}");
        }
        let ctx = self.ctx(logical_id);
        let id = kind.handler.create(&ctx, &properties).await.unwrap();
        if let Some(found) = kind.handler.find(&ctx, &properties).await.unwrap() {
            assert_eq!(found, id, "{logical_id}");
        }
        let mut made = Made {
            logical_id: logical_id.to_owned(),
            kind,
            id,
            properties,
            attributes: Attributes::new(),
        };
        made.attributes = self.settle(&made).await;
        for name in made.kind.attributes {
            assert!(made.attributes.contains_key(*name), "{logical_id} lacks {name}");
        }
        made
    }

    async fn settle(&self, made: &Made) -> Attributes {
        let ctx = self.ctx(&made.logical_id);
        testkit::poll::until(&made.logical_id, || async {
            let handler = &made.kind.handler;
            match handler.settled(&ctx, &made.id, &made.properties).await.unwrap() {
                Progress::Done(attributes) => Some(attributes),
                Progress::Wait(_) => None,
            }
        })
        .await
    }

    async fn change(&self, made: &mut Made, name: &str, value: Json) {
        let ctx = self.ctx(&made.logical_id);
        let mut new = made.properties.clone();
        new.insert(name.to_owned(), value);
        made.kind.handler.update(&ctx, &made.id, &made.properties, &new).await.unwrap();
        made.properties = new;
        made.attributes = self.settle(made).await;
    }

    async fn delete(&self, made: &Made) {
        let ctx = self.ctx(&made.logical_id);
        // Twice: a step may be repeated after a crash.
        for _ in 0..2 {
            testkit::poll::until(&format!("{} to go", made.logical_id), || async {
                let handler = &made.kind.handler;
                let progress = handler.delete(&ctx, &made.id, &made.properties).await.unwrap();
                match progress {
                    Progress::Done(_) => Some(()),
                    Progress::Wait(pause) => {
                        assert!(pause < Duration::from_secs(1));
                        None
                    }
                }
            })
            .await;
        }
    }
}

#[tokio::test]
async fn every_type_is_made_changed_and_deleted() {
    let lab = Lab::start().await;
    let stack = Stack { lab: &lab };
    let name = json!([{"Key": "Name", "Value": "one"}]);
    let mut vpc = stack
        .make(
            "Vpc",
            "VPC",
            json!({"CidrBlock": "10.0.0.0/16", "EnableDnsHostnames": "true", "Tags": name.clone()}),
        )
        .await;
    stack.change(&mut vpc, "Tags", json!([{"Key": "Name", "Value": "two"}])).await;
    let subnet = stack
        .make(
            "Subnet",
            "Subnet",
            json!({"VpcId": vpc.id, "CidrBlock": "10.0.1.0/24", "MapPublicIpOnLaunch": true}),
        )
        .await;
    assert_eq!(subnet.attribute("AvailabilityZone"), "ap-northeast-2a");
    let gateway = stack.make("Gateway", "InternetGateway", json!({})).await;
    let attachment = stack
        .make(
            "Attachment",
            "VPCGatewayAttachment",
            json!({"VpcId": vpc.id, "InternetGatewayId": gateway.id}),
        )
        .await;
    let table = stack.make("Table", "RouteTable", json!({"VpcId": vpc.id})).await;
    let mut route = stack
        .make(
            "Route",
            "Route",
            json!({"RouteTableId": table.id, "DestinationCidrBlock": "0.0.0.0/0", "GatewayId": gateway.id}),
        )
        .await;
    let uses = stack
        .make(
            "Uses",
            "SubnetRouteTableAssociation",
            json!({"SubnetId": subnet.id, "RouteTableId": table.id}),
        )
        .await;
    let address = stack.make("Address", "EIP", json!({"Domain": "vpc"})).await;
    let nat = stack
        .make(
            "Nat",
            "NatGateway",
            json!({"SubnetId": subnet.id, "AllocationId": address.attribute("AllocationId")}),
        )
        .await;
    let mut without_gateway = route.properties.clone();
    without_gateway.remove("GatewayId");
    route.properties = without_gateway;
    stack.change(&mut route, "NatGatewayId", json!(nat.id)).await;
    let mut group = stack
        .make(
            "Group",
            "SecurityGroup",
            json!({
                "GroupDescription": "of a test",
                "VpcId": vpc.id,
                "SecurityGroupIngress": [
                    {"IpProtocol": "tcp", "FromPort": "80", "ToPort": 80, "CidrIp": "0.0.0.0/0"}
                ]
            }),
        )
        .await;
    stack
        .change(
            &mut group,
            "SecurityGroupIngress",
            json!([{"IpProtocol": "tcp", "FromPort": 443, "ToPort": 443, "CidrIp": "0.0.0.0/0"}]),
        )
        .await;
    let mut ingress = stack
        .make(
            "Ingress",
            "SecurityGroupIngress",
            json!({"GroupId": group.id, "IpProtocol": "-1", "SourceSecurityGroupId": group.id}),
        )
        .await;
    stack.change(&mut ingress, "Description", json!("from its own")).await;
    let egress = stack
        .make(
            "Egress",
            "SecurityGroupEgress",
            json!({"GroupId": group.id, "IpProtocol": "tcp", "FromPort": 443, "ToPort": 443, "CidrIp": "0.0.0.0/0"}),
        )
        .await;
    let group_ids = vec![group.id.clone()];
    let input = ec2_api::DescribeSecurityGroupsInput { group_ids, ..Default::default() };
    let told = lab.root.call(input).await.unwrap().security_groups.remove(0);
    assert_eq!(told.ip_permissions.len(), 2);
    assert_eq!(told.ip_permissions_egress.len(), 1);
    assert_eq!(told.ip_permissions_egress[0].from_port, Some(443));
    let acl = stack.make("Acl", "NetworkAcl", json!({"VpcId": vpc.id})).await;
    let mut entry = stack
        .make(
            "Entry",
            "NetworkAclEntry",
            json!({
                "NetworkAclId": acl.id, "RuleNumber": 100, "Protocol": 6, "RuleAction": "allow",
                "CidrBlock": "0.0.0.0/0", "PortRange": {"From": 80, "To": 80}
            }),
        )
        .await;
    stack.change(&mut entry, "RuleAction", json!("deny")).await;
    let guards = stack
        .make(
            "Guards",
            "SubnetNetworkAclAssociation",
            json!({"SubnetId": subnet.id, "NetworkAclId": acl.id}),
        )
        .await;
    let mut interface = stack
        .make(
            "Interface",
            "NetworkInterface",
            json!({"SubnetId": subnet.id, "GroupSet": [group.id], "SourceDestCheck": false}),
        )
        .await;
    stack.change(&mut interface, "Description", json!("a test's")).await;
    let second = stack.make("Second", "EIP", json!({})).await;
    let holds = stack
        .make(
            "Holds",
            "EIPAssociation",
            json!({
                "AllocationId": second.attribute("AllocationId"),
                "NetworkInterfaceId": interface.id
            }),
        )
        .await;
    let options = stack
        .make(
            "Options",
            "DHCPOptions",
            json!({"DomainName": "web.internal", "DomainNameServers": ["AmazonProvidedDNS"]}),
        )
        .await;
    let told = stack
        .make(
            "Told",
            "VPCDHCPOptionsAssociation",
            json!({"VpcId": vpc.id, "DhcpOptionsId": options.id}),
        )
        .await;
    for made in [
        told, options, holds, second, interface, guards, entry, acl, egress, ingress, group, route,
        nat, address, uses, table, attachment, gateway, subnet, vpc,
    ] {
        stack.delete(&made).await;
    }
    let left = lab.root.call(ec2_api::DescribeVpcsInput::default()).await.unwrap().vpcs;
    assert_eq!(left.len(), 1);
}
