//! What every service shares.
//!
//! A [`Service`] is a table: operations (plain async functions), access rules, tasks and
//! CloudFormation resource types. The [`Kernel`] holds the services of a region and gives every
//! call the same life, whether it came over HTTP or from another service: constraints of the
//! model, authorization, throttling, the handler, the audit record. A handler receives a [`Ctx`]
//! and a typed input and never sees HTTP. Work that takes time is a [`Task`]: a reconciler that
//! reads the intent from the store, compares it with what drivers report, and acts.

pub mod access;
pub mod audit;
mod authorize;
pub mod certificates;
pub mod cipher;
mod client;
pub mod clock;
mod ctx;
pub mod filter;
pub mod identity;
mod kernel;
pub mod names;
pub mod organization;
pub mod paging;
pub mod quota;
pub mod resource;
mod service;
pub mod session;
pub mod tags;
mod task;
pub mod throttle;
pub mod token;
pub mod web;
pub mod workflow;

pub use access::Access;
pub use authorize::Question;
pub use client::Client;
pub use ctx::{Call, Caller, Ctx, RequestInfo};
pub use kernel::{Builder, Kernel, Settings, Status, plain_caller, role_caller};
pub use protocol::ServiceError;
pub use service::{Service, ServiceDef};
pub use task::{Next, Task, TaskCtx, TaskError};
