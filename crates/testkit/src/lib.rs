//! A region inside a test: the services that the test names behind a real gateway on port 0, in a
//! folder of its own, with a clock that moves when told. Calls are typed, signed and travel over
//! HTTP in the service's own protocol.
//!
//! ```no_run
//! # async fn example(service: kernel::ServiceDef) {
//! let cloud = testkit::Cloud::start(vec![service]).await;
//! let nobody = cloud.nobody();
//! # }
//! ```

mod client;
mod cloud;
mod identity;
pub mod poll;

pub use client::TestClient;
pub use cloud::{ACCOUNT, Cloud, REGION, START};
