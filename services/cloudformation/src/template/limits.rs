//! How large a template may be.
//!
//! AWS: "Understand CloudFormation quotas".

/// The longest template in a request.
pub const BODY_BYTES_MAX: usize = 51_200;
/// The longest template in an S3 object.
pub const OBJECT_BYTES_MAX: usize = 1_000_000;
/// The most resources in a template.
pub(crate) const RESOURCES_MAX: usize = 500;
/// The most parameters in a template.
pub(crate) const PARAMETERS_MAX: usize = 200;
/// The most mappings in a template.
pub(crate) const MAPPINGS_MAX: usize = 200;
/// The most attributes of a mapping.
pub(crate) const MAPPING_ATTRIBUTES_MAX: usize = 200;
/// The most outputs of a template.
pub(crate) const OUTPUTS_MAX: usize = 200;
/// The longest parameter value, in bytes.
pub(crate) const PARAMETER_VALUE_BYTES_MAX: usize = 4096;
/// The longest name of a resource, parameter, mapping or output.
pub(crate) const NAME_CHARS_MAX: usize = 255;
/// The longest description, in bytes.
pub(crate) const DESCRIPTION_BYTES_MAX: usize = 1024;
/// How deep a template may nest here; the recursive walks rely on it.
pub(crate) const DEPTH_MAX: usize = 100;
/// How many nodes a template may have once its aliases are expanded.
pub(crate) const NODES_MAX: usize = 500_000;
