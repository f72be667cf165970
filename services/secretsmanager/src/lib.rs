//! AWS Secrets Manager, after the AWS Secrets Manager API Reference (2017-10-17).

mod access;
mod cfn;
mod error;
mod list;
mod password;
mod replication;
mod resource_policy;
mod rotation;
mod sealing;
mod secret;
mod store;
mod tags;
mod version;

use std::sync::Arc;

use kernel::Service;
use kernel::Task;
use kernel::cipher::Cipher;

/// What the service works with.
pub struct Drivers {
    /// Seals what tells values apart; the values themselves are sealed by KMS.
    pub cipher: Cipher,
}

pub(crate) type Ctx = kernel::Ctx<Drivers>;
pub(crate) type TaskCtx = kernel::TaskCtx<Drivers>;

/// The service's table.
pub fn service(drivers: Drivers) -> Service<Drivers> {
    Service::with(secretsmanager_api::SERVICE, Arc::new(drivers))
        .access(access::RULES)
        .operation(secret::create_secret)
        .operation(secret::update_secret)
        .operation(secret::describe_secret)
        .operation(secret::delete_secret)
        .operation(secret::restore_secret)
        .operation(version::get_secret_value)
        .operation(version::batch_get_secret_value)
        .operation(version::put_secret_value)
        .operation(version::update_secret_version_stage)
        .operation(list::list_secrets)
        .operation(list::list_secret_version_ids)
        .operation(password::get_random_password)
        .operation(resource_policy::put_resource_policy)
        .operation(resource_policy::get_resource_policy)
        .operation(resource_policy::delete_resource_policy)
        .operation(resource_policy::validate_resource_policy)
        .operation(rotation::rotate_secret)
        .operation(rotation::cancel_rotate_secret)
        .operation(replication::replicate_secret_to_regions)
        .operation(replication::remove_regions_from_replication)
        .operation(replication::stop_replication_to_replica)
        .operation(tags::tag_resource)
        .operation(tags::untag_resource)
        .resource_policy(resource_policy::of_arn)
        .resource_tags(tags::of_arn)
        .task(
            Task::new("secretsmanager.deletion", secret::delete_due)
                .wakes_on(&["secretsmanager.secrets"]),
        )
        .resource_type(cfn::secret())
        .resource_type(cfn::attachment())
        .resource_type(cfn::policy())
}
