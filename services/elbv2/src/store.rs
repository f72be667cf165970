//! What Elastic Load Balancing keeps.
//!
//! What the data plane is told (actions, conditions, why a target is unusable) is kept in the
//! words of its own document, so that nothing is translated twice.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use base::{Arn, ResourceId, Tags, Timestamp, Zone};
use serde::{Deserialize, Serialize};
use store::{Record, Table};

/// Attributes that were changed from their defaults.
pub(crate) type Attributes = BTreeMap<String, String>;

/// A load balancer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct LoadBalancer {
    pub(crate) arn: Arn,
    pub(crate) name: String,
    pub(crate) scheme: Scheme,
    pub(crate) vpc: ResourceId,
    pub(crate) places: Vec<Place>,
    pub(crate) security_groups: Vec<ResourceId>,
    pub(crate) dns_name: String,
    pub(crate) created: Timestamp,
    /// Whether a node was seen to answer since it was made.
    pub(crate) was_active: bool,
    /// Deleted by its owner; its nodes are being taken away.
    pub(crate) deleting: bool,
    pub(crate) attributes: Attributes,
    pub(crate) cookie_secret: String,
    pub(crate) tags: Tags,
}

/// Who can reach a load balancer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Scheme {
    InternetFacing,
    Internal,
}

/// A subnet that has a node, and its zone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Place {
    pub(crate) subnet: ResourceId,
    pub(crate) zone: Zone,
}

/// What was made for a load balancer in one subnet, and what was seen of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Node {
    pub(crate) load_balancer: Arn,
    pub(crate) place: Place,
    /// The client token of its interface.
    pub(crate) token: String,
    pub(crate) interface: Option<Interface>,
    pub(crate) address: Option<PublicAddress>,
    /// Whether it answered when it was last asked.
    pub(crate) alive: bool,
}

/// A node's network interface.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Interface {
    pub(crate) id: ResourceId,
    pub(crate) private: Ipv4Addr,
    pub(crate) security_groups: Vec<ResourceId>,
}

/// A node's public address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PublicAddress {
    pub(crate) allocation: String,
    pub(crate) public: Ipv4Addr,
    pub(crate) association: Option<String>,
}

/// A listener with its default action.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Listener {
    pub(crate) arn: Arn,
    pub(crate) load_balancer: Arn,
    pub(crate) port: u16,
    /// How it speaks TLS; nothing for HTTP.
    #[serde(default)]
    pub(crate) tls: Option<ListenerTls>,
    pub(crate) action: RuleAction,
    pub(crate) tags: Tags,
}

/// What an HTTPS listener shows its clients.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ListenerTls {
    /// The name of its security policy.
    pub(crate) policy: String,
    /// The ARN of its default certificate.
    pub(crate) certificate: String,
    /// The ARNs of its certificate list, in the order they were added.
    pub(crate) others: Vec<String>,
}

/// An action as it was asked for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct RuleAction {
    pub(crate) order: Option<i32>,
    pub(crate) action: proxy::Action,
}

/// A rule of a listener, other than the default one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Rule {
    pub(crate) arn: Arn,
    pub(crate) listener: Arn,
    pub(crate) priority: u32,
    pub(crate) conditions: Vec<proxy::Condition>,
    pub(crate) action: RuleAction,
    pub(crate) tags: Tags,
}

/// A target group.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct TargetGroup {
    pub(crate) arn: Arn,
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) protocol: proxy::TargetProtocol,
    pub(crate) version: proxy::ProtocolVersion,
    pub(crate) port: u16,
    pub(crate) vpc: ResourceId,
    pub(crate) kind: TargetKind,
    pub(crate) health_check: HealthCheck,
    pub(crate) attributes: Attributes,
    pub(crate) tags: Tags,
}

/// What a target group's targets are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum TargetKind {
    Instance,
    Ip,
}

/// How a group's targets are judged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct HealthCheck {
    pub(crate) enabled: bool,
    #[serde(default)]
    pub(crate) protocol: proxy::TargetProtocol,
    /// None is the port that the target gets traffic on.
    pub(crate) port: Option<u16>,
    pub(crate) path: String,
    pub(crate) interval_secs: u32,
    pub(crate) timeout_secs: u32,
    pub(crate) healthy_threshold: u32,
    pub(crate) unhealthy_threshold: u32,
    pub(crate) matcher: String,
}

/// A registered target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Target {
    pub(crate) group: Arn,
    /// The instance's id or the address.
    pub(crate) id: String,
    pub(crate) port: u16,
    /// The zone as it was given.
    pub(crate) zone_asked: Option<String>,
    /// The address of the instance's first interface, or the target itself.
    pub(crate) address: Ipv4Addr,
    /// The zone that it is in; none counts as every zone.
    pub(crate) zone: Option<String>,
    pub(crate) unusable: Option<proxy::Unusable>,
    /// Set once it was deregistered: when it is forgotten.
    pub(crate) draining_until: Option<Timestamp>,
}

macro_rules! keyed_by_arn {
    ($($record:ty),+) => {$(
        impl Record for $record {
            type Key = String;

            fn key(&self) -> String {
                self.arn.to_string()
            }
        }
    )+};
}

keyed_by_arn!(LoadBalancer, Listener, Rule, TargetGroup);

impl Record for Node {
    type Key = (String, String);

    fn key(&self) -> Self::Key {
        (self.load_balancer.to_string(), self.place.subnet.to_string())
    }
}

impl Record for Target {
    type Key = (String, String, i64);

    fn key(&self) -> Self::Key {
        (self.group.to_string(), self.id.clone(), self.port.into())
    }
}

pub(crate) const LOAD_BALANCERS: Table<LoadBalancer> = Table::new("elbv2.load_balancers");
/// Written by the task of its load balancer alone.
pub(crate) const NODES: Table<Node> = Table::new("elbv2.nodes");
pub(crate) const LISTENERS: Table<Listener> = Table::new("elbv2.listeners");
pub(crate) const RULES: Table<Rule> = Table::new("elbv2.rules");
pub(crate) const TARGET_GROUPS: Table<TargetGroup> = Table::new("elbv2.target_groups");
pub(crate) const TARGETS: Table<Target> = Table::new("elbv2.targets");
