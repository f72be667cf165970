//! AWS Systems Manager Parameter Store, after the AWS Systems Manager API Reference (2014-11-06).

mod access;
mod cfn;
mod error;
mod history;
mod parameter;
mod public;
mod query;
mod store;
mod tags;

use std::sync::Arc;

use kernel::Service;
use kernel::cipher::Cipher;

/// What the service works with.
pub struct Drivers {
    /// Seals the values of `SecureString` parameters.
    pub cipher: Cipher,
}

pub(crate) type Ctx = kernel::Ctx<Drivers>;

/// The service's table.
pub fn service(drivers: Drivers) -> Service<Drivers> {
    Service::with(ssm_api::SERVICE, Arc::new(drivers))
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
        .operation(tags::add_tags_to_resource)
        .operation(tags::remove_tags_from_resource)
        .operation(tags::list_tags_for_resource)
        .resource_tags(tags::of_arn)
        .resource_type(cfn::parameter())
}
