//! Amazon Simple Storage Service, after the Amazon S3 API Reference (2006-03-01).

mod access;
mod admission;
mod bucket;
mod bucket_policy;
mod cfn;
mod checksum;
mod copy;
mod error;
mod list;
mod multipart;
mod object;
mod parts;
mod percent;
mod range;
mod read;
mod settings;
mod store;
mod sweep;
mod upload;

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
pub fn service(drivers: Drivers) -> Service<Drivers> {
    Service::with(s3_api::SERVICE, Arc::new(drivers))
        .access(access::RULES)
        .resource_policy(admission::resource_policy)
        .resource_tags(bucket::tags_of_arn)
        .operation(bucket::create_bucket)
        .operation(bucket::delete_bucket)
        .operation(bucket::head_bucket)
        .operation(bucket::list_buckets)
        .operation(bucket::get_bucket_location)
        .operation(bucket::get_bucket_versioning)
        .operation(bucket_policy::get_bucket_policy)
        .operation(bucket_policy::put_bucket_policy)
        .operation(bucket_policy::delete_bucket_policy)
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
        .operation(settings::get_object_tagging)
        .operation(settings::put_object_tagging)
        .operation(settings::delete_object_tagging)
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
        .task(Task::new("s3.orphans", sweep::remove_orphans))
        .resource_type(cfn::bucket())
        .resource_type(cfn::bucket_policy())
}
