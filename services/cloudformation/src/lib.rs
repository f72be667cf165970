//! AWS CloudFormation, after the AWS CloudFormation API Reference (2010-05-15).
//!
//! [`template`] is the language, pure; [`request`] turns what is asked into what a stack is to
//! become; [`engine`] makes it so. Resource types belong to the services that own the resources.

mod access;
mod change_set;
mod description;
mod engine;
mod error;
mod event;
mod existence;
mod export;
mod planning;
mod request;
mod role;
mod schema;
mod signal;
mod stack;
mod stack_policy;
mod store;
pub mod template;
mod template_body;

use kernel::Service;

/// The service's principal.
pub(crate) const PRINCIPAL: &str = "cloudformation.amazonaws.com";

/// The service's table.
pub fn service() -> Service {
    Service::new(cloudformation_api::SERVICE)
        .access(access::RULES)
        .operation(stack::create_stack)
        .operation(stack::update_stack)
        .operation(stack::delete_stack)
        .operation(stack::cancel_update_stack)
        .operation(stack::continue_update_rollback)
        .operation(stack::rollback_stack)
        .operation(stack::update_termination_protection)
        .operation(description::describe_stacks)
        .operation(description::list_stacks)
        .operation(description::describe_stack_resource)
        .operation(description::describe_stack_resources)
        .operation(description::list_stack_resources)
        .operation(event::describe_stack_events)
        .operation(change_set::create_change_set)
        .operation(change_set::describe_change_set)
        .operation(change_set::execute_change_set)
        .operation(change_set::delete_change_set)
        .operation(change_set::list_change_sets)
        .operation(export::list_exports)
        .operation(export::list_imports)
        .operation(signal::signal_resource)
        .operation(stack_policy::get_stack_policy)
        .operation(stack_policy::set_stack_policy)
        .operation(template_body::get_template)
        .operation(template_body::get_template_summary)
        .operation(template_body::validate_template)
        .task(engine::task())
}
