//! The region's front door: one port that takes HTTP/1.1 and HTTP/2, plain or over TLS (told apart
//! by the first byte), finds the service and operation that a request means, authenticates it,
//! and hands typed values to the kernel.

mod auth;
mod body;
mod detect;
mod serve;
mod web;

pub use auth::Mode;
pub use detect::Detector;
pub use serve::{Gateway, Options};
