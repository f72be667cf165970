//! Elastic Load Balancing, after the Elastic Load Balancing API Reference (2015-12-01):
//! Application Load Balancers.
//!
//! A load balancer has a node in each of its subnets: a built-in program in the namespace of a
//! network interface of its own, which gets one document that says everything and goes on with the
//! last one when nobody tells it more. The task `elbv2.nodes` makes the nodes, tells them, watches
//! them and publishes the addresses of those that answer.

mod access;
mod action;
mod attribute;
mod certificate;
mod cfn;
mod condition;
mod error;
mod health;
mod limit;
mod listener;
mod listing;
mod load_balancer;
mod load_balancer_attribute;
mod network;
mod node;
mod plan;
mod rule;
mod ssl_policy;
mod store;
mod tag;
mod target;
mod target_group;
mod target_group_attribute;
mod target_watch;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use kernel::cipher::Cipher;
use kernel::{Service, Task};
use serde::{Deserialize, Serialize};

/// What the service reaches the host with.
#[derive(Clone)]
pub struct Drivers {
    /// The VPC fabric, which knows each interface's namespace.
    pub net: Arc<dyn net::Net>,
    /// Workloads in zones: the nodes.
    pub machine: Arc<dyn machine::Machine>,
    /// Opens the keys of certificates.
    pub cipher: Cipher,
}

/// What a node is sent with [`machine::Machine::call`], as JSON.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum NodeMessage {
    /// Do this from now on. The answer is empty, or the fault of the document as text.
    Configure(proxy::NodeConfig),
    /// Tell what you see. The answer is a [`proxy::NodeStatus`] as JSON.
    Status,
}

/// The drivers, and what each node was told last by this process.
pub struct Fleet {
    drivers: Drivers,
    told: Mutex<BTreeMap<String, Vec<u8>>>,
}

impl Fleet {
    fn told(&self) -> MutexGuard<'_, BTreeMap<String, Vec<u8>>> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(crate) type Ctx = kernel::Ctx<Fleet>;
pub(crate) type TaskCtx = kernel::TaskCtx<Fleet>;

/// The principal that the service's role is linked to.
pub(crate) const PRINCIPAL: &str = "elasticloadbalancing.amazonaws.com";

/// The service's table.
pub fn service(drivers: Drivers) -> Service<Fleet> {
    let fleet = Fleet { drivers, told: Mutex::default() };
    let service = Service::with(elbv2_api::SERVICE, Arc::new(fleet))
        .access(access::RULES)
        .resource_tags(tag::hook)
        .operation(load_balancer::create_load_balancer)
        .operation(load_balancer::describe_load_balancers)
        .operation(load_balancer::delete_load_balancer)
        .operation(load_balancer::set_security_groups)
        .operation(load_balancer::set_subnets)
        .operation(load_balancer::set_ip_address_type)
        .operation(load_balancer_attribute::describe_load_balancer_attributes)
        .operation(load_balancer_attribute::modify_load_balancer_attributes)
        .operation(listener::create_listener)
        .operation(listener::describe_listeners)
        .operation(listener::modify_listener)
        .operation(listener::delete_listener)
        .operation(listener::describe_listener_attributes)
        .operation(certificate::add_listener_certificates)
        .operation(certificate::remove_listener_certificates)
        .operation(certificate::describe_listener_certificates)
        .operation(ssl_policy::describe_ssl_policies)
        .operation(rule::create_rule)
        .operation(rule::describe_rules)
        .operation(rule::modify_rule)
        .operation(rule::delete_rule)
        .operation(rule::set_rule_priorities);
    tasks(resource_types(target_operations(service)))
}

fn target_operations(service: Service<Fleet>) -> Service<Fleet> {
    service
        .operation(target_group::create_target_group)
        .operation(target_group::describe_target_groups)
        .operation(target_group::modify_target_group)
        .operation(target_group::delete_target_group)
        .operation(target_group_attribute::describe_target_group_attributes)
        .operation(target_group_attribute::modify_target_group_attributes)
        .operation(target::register_targets)
        .operation(target::deregister_targets)
        .operation(health::describe_target_health)
        .operation(tag::add_tags)
        .operation(tag::remove_tags)
        .operation(tag::describe_tags)
        .operation(limit::describe_account_limits)
}

fn resource_types(service: Service<Fleet>) -> Service<Fleet> {
    cfn::types().into_iter().fold(service, Service::resource_type)
}

fn tasks(service: Service<Fleet>) -> Service<Fleet> {
    service
        .task(Task::keyed("elbv2.nodes", node::keys, node::run).wakes_on(&[
            "elbv2.load_balancers",
            "elbv2.listeners",
            "elbv2.rules",
            "elbv2.target_groups",
            "elbv2.targets",
            kernel::certificates::TABLE,
        ]))
        .task(Task::new("elbv2.events", node::follow_events))
        .task(
            Task::keyed("elbv2.instances", target_watch::accounts, target_watch::follow_instances)
                .wakes_on(&["elbv2.targets", "ec2.instances"]),
        )
        .task(
            Task::keyed("elbv2.draining", target_watch::accounts, target_watch::forget_drained)
                .wakes_on(&["elbv2.targets"]),
        )
}
