//! AWS Systems Manager Parameter Store, after the AWS Systems Manager API Reference (2014-11-06).

mod access;
mod cfn;
mod error;
mod history;
mod parameter;
mod policy;
mod public;
mod query;
mod sealing;
mod shelf;
mod store;
mod tags;

use std::sync::Arc;

use kernel::{Service, Task};

use crate::shelf::Shelf;

/// What the service keeps in memory.
#[derive(Default)]
pub(crate) struct Parts {
    pub(crate) shelf: Shelf,
}

pub(crate) type Ctx = kernel::Ctx<Parts>;
pub(crate) type TaskCtx = kernel::TaskCtx<Parts>;

/// The service's table.
pub fn service() -> Service<impl Send + Sync + 'static> {
    Service::with(ssm_api::SERVICE, Arc::new(Parts::default()))
        .access(access::RULES)
        .operation(parameter::put_parameter)
        .operation(parameter::delete_parameter)
        .operation(parameter::delete_parameters)
        .operation(query::get_parameter)
        .operation(query::get_parameters)
        .operation(query::get_parameters_by_path)
        .operation(query::describe_parameters)
        .operation(history::get_parameter_history)
        .operation(history::label_parameter_version)
        .operation(history::unlabel_parameter_version)
        .operation(tags::add_tags_to_resource)
        .operation(tags::remove_tags_from_resource)
        .operation(tags::list_tags_for_resource)
        .resource_tags(tags::of_arn)
        .task(Task::new("ssm.expiration", policy::expire).wakes_on(&["ssm.parameters"]))
        .resource_type(cfn::parameter())
}
