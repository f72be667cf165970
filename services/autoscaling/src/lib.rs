//! Amazon EC2 Auto Scaling, after the Amazon EC2 Auto Scaling API Reference (2011-01-01).
//!
//! A group's record holds its members and what each is on its way to. [`reconcile`] runs once per
//! group: [`plan`] decides, without I/O, who joins and who leaves; [`act`] makes it so through EC2
//! and Elastic Load Balancing, as the service-linked role.

mod access;
mod act;
mod activity;
mod cfn;
mod describe;
mod error;
mod group;
mod instance;
mod plan;
mod reconcile;
mod refresh;
mod store;
mod tags;
mod target_group;

use kernel::{Service, Task};

pub(crate) type Ctx = kernel::Ctx;
pub(crate) type TaskCtx = kernel::TaskCtx;

/// The service's table.
pub fn service() -> Service {
    Service::new(autoscaling_api::SERVICE)
        .access(access::RULES)
        .operation(group::create_auto_scaling_group)
        .operation(group::update_auto_scaling_group)
        .operation(group::delete_auto_scaling_group)
        .operation(group::set_desired_capacity)
        .operation(group::suspend_processes)
        .operation(group::resume_processes)
        .operation(describe::describe_auto_scaling_groups)
        .operation(describe::describe_auto_scaling_instances)
        .operation(describe::describe_account_limits)
        .operation(activity::describe_scaling_activities)
        .operation(instance::terminate_instance_in_auto_scaling_group)
        .operation(instance::set_instance_health)
        .operation(instance::set_instance_protection)
        .operation(target_group::attach_load_balancer_target_groups)
        .operation(target_group::detach_load_balancer_target_groups)
        .operation(target_group::describe_load_balancer_target_groups)
        .operation(refresh::start_instance_refresh)
        .operation(refresh::describe_instance_refreshes)
        .operation(refresh::cancel_instance_refresh)
        .operation(tags::create_or_update_tags)
        .operation(tags::delete_tags)
        .operation(tags::describe_tags)
        .task(Task::keyed("autoscaling.groups", reconcile::keys, reconcile::reconcile).wakes_on(&[
            "autoscaling.groups",
            "ec2.instances",
            "elbv2.targets",
        ]))
        .resource_type(cfn::auto_scaling_group())
}
