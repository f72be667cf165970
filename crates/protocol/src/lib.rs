//! AWS's wire formats, driven by AWS's own API models.

pub mod schema;
pub mod sigv4;
pub mod stream;
pub mod value;

pub use base::Timestamp;
pub use bytes::Bytes;
pub use value::{ByteStream, Document, Fields, OperationInput, Shape, ShapeMismatch, Value};
