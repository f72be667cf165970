//! Amazon Simple Storage Service, after the Amazon S3 API Reference (2006-03-01).

mod accelerate;
mod access;
mod acl;
mod admission;
mod archive;
mod bucket;
mod bucket_policy;
mod cfn;
mod cfn_sharing;
mod checksum;
mod class;
mod copy;
mod cors;
mod error;
mod form;
mod guard;
mod inventory;
mod kept;
mod lifecycle;
mod lifecycle_rule;
mod lifecycle_run;
mod list;
mod lock;
mod logging;
mod multipart;
mod notification;
mod object;
mod parts;
mod percent;
mod post;
mod post_policy;
mod range;
mod read;
mod restore;
mod settings;
mod sharing;
mod sse;
mod store;
mod sweep;
mod tagging;
mod tiering;
mod upload;
mod version;
mod version_list;
mod versioning;
mod web;
mod website;

use std::sync::Arc;

use blob::Blobs;
use kernel::cipher::Cipher;
use kernel::{Service, Task};

/// What the service works with.
pub struct Drivers {
    /// The bytes of objects.
    pub blobs: Arc<dyn Blobs>,
    /// Seals the tokens of listings.
    pub cipher: Cipher,
}

pub(crate) type Ctx = kernel::Ctx<Drivers>;

/// The service's table.
#[expect(clippy::too_many_lines, reason = "one line an operation")]
pub fn service(drivers: Drivers) -> Service<Drivers> {
    sharing_operations(Service::with(s3_api::SERVICE, Arc::new(drivers)))
        .access(access::RULES)
        .subject(admission::subject)
        .resource_owner(admission::owner_of)
        .resource_tags(bucket::tags_of_arn)
        .web(web::answer)
        .served(logging::note)
        .operation(bucket::create_bucket)
        .operation(bucket::delete_bucket)
        .operation(bucket::head_bucket)
        .operation(bucket::list_buckets)
        .operation(bucket::get_bucket_location)
        .operation(bucket::get_bucket_request_payment)
        .operation(bucket::put_bucket_request_payment)
        .operation(bucket_policy::get_bucket_policy)
        .operation(bucket_policy::put_bucket_policy)
        .operation(bucket_policy::delete_bucket_policy)
        .operation(bucket_policy::get_bucket_policy_status)
        .operation(settings::get_bucket_tagging)
        .operation(settings::put_bucket_tagging)
        .operation(settings::delete_bucket_tagging)
        .operation(settings::get_public_access_block)
        .operation(settings::put_public_access_block)
        .operation(settings::delete_public_access_block)
        .operation(settings::get_bucket_ownership_controls)
        .operation(settings::put_bucket_ownership_controls)
        .operation(settings::delete_bucket_ownership_controls)
        .operation(settings::get_bucket_encryption)
        .operation(settings::put_bucket_encryption)
        .operation(settings::delete_bucket_encryption)
        .operation(tagging::get_object_tagging)
        .operation(tagging::put_object_tagging)
        .operation(tagging::delete_object_tagging)
        .operation(versioning::get_bucket_versioning)
        .operation(versioning::put_bucket_versioning)
        .operation(lock::get_object_lock_configuration)
        .operation(lock::put_object_lock_configuration)
        .operation(lock::get_object_retention)
        .operation(lock::put_object_retention)
        .operation(lock::get_object_legal_hold)
        .operation(lock::put_object_legal_hold)
        .operation(lifecycle::get_bucket_lifecycle_configuration)
        .operation(lifecycle::put_bucket_lifecycle_configuration)
        .operation(lifecycle::delete_bucket_lifecycle)
        .operation(tiering::get_bucket_intelligent_tiering_configuration)
        .operation(tiering::put_bucket_intelligent_tiering_configuration)
        .operation(tiering::delete_bucket_intelligent_tiering_configuration)
        .operation(tiering::list_bucket_intelligent_tiering_configurations)
        .operation(restore::restore_object)
        .operation(version_list::list_object_versions)
        .operation(list::list_objects)
        .operation(list::list_objects_v2)
        .operation(object::put_object)
        .operation(object::delete_object)
        .operation(object::delete_objects)
        .operation(read::get_object)
        .operation(read::head_object)
        .operation(read::get_object_attributes)
        .operation(copy::copy_object)
        .operation(copy::upload_part_copy)
        .operation(multipart::create_multipart_upload)
        .operation(multipart::complete_multipart_upload)
        .operation(multipart::abort_multipart_upload)
        .operation(multipart::list_multipart_uploads)
        .operation(parts::upload_part)
        .operation(parts::list_parts)
        .task(Task::new("s3.garbage", sweep::remove_garbage).wakes_on(&[store::GARBAGE_NAME]))
        .task(
            Task::keyed("s3.inventories", inventory::keys, inventory::report)
                .wakes_on(&[kept::CONFIGURATIONS_NAME]),
        )
        .task(Task::new(logging::TASK, logging::deliver))
        .task(Task::new("s3.lifecycle", lifecycle_run::run).wakes_on(lifecycle_run::WAKES))
        .task(Task::new("s3.archive", archive::run).wakes_on(archive::WAKES))
        .task(Task::new("s3.packs", archive::remove_packs).wakes_on(&[store::PACKS_NAME]))
        .task(Task::new("s3.orphans", sweep::remove_orphans))
        .resource_type(cfn::bucket())
        .resource_type(cfn::bucket_policy())
}

/// The operations on how buckets and objects are shared, shown and watched.
fn sharing_operations(service: Service<Drivers>) -> Service<Drivers> {
    service
        .operation(acl::get_bucket_acl)
        .operation(acl::put_bucket_acl)
        .operation(acl::get_object_acl)
        .operation(acl::put_object_acl)
        .operation(cors::get_bucket_cors)
        .operation(cors::put_bucket_cors)
        .operation(cors::delete_bucket_cors)
        .operation(website::get_bucket_website)
        .operation(website::put_bucket_website)
        .operation(website::delete_bucket_website)
        .operation(logging::get_bucket_logging)
        .operation(logging::put_bucket_logging)
        .operation(notification::get_bucket_notification_configuration)
        .operation(notification::put_bucket_notification_configuration)
        .operation(accelerate::get_bucket_accelerate_configuration)
        .operation(accelerate::put_bucket_accelerate_configuration)
        .operation(inventory::get_bucket_inventory_configuration)
        .operation(inventory::put_bucket_inventory_configuration)
        .operation(inventory::delete_bucket_inventory_configuration)
        .operation(inventory::list_bucket_inventory_configurations)
}
