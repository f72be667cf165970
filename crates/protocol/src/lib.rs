//! AWS's wire formats, driven by AWS's own API models.
//!
//! [`schema`] holds the models, [`value`] the one tree that every format is read into and written
//! from, and [`wire`] the way through: route, decode, validate, encode.

mod cbor;
pub mod error;
mod json;
mod load;
mod pattern;
mod percent;
mod query;
mod query_compatible;
mod rest;
mod route;
pub mod schema;
pub mod sigv4;
pub mod stream;
mod text;
pub mod uri;
mod validate;
pub mod value;
pub mod wire;
mod xml;

pub use base::Timestamp;
pub use bytes::Bytes;
pub use error::ServiceError;
pub use value::{ByteStream, Document, Fields, OperationInput, Shape, ShapeMismatch, Value};
pub use wire::{Body, ResponseBody, Routed};
