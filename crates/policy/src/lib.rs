//! The IAM policy language: documents are parsed and validated as IAM does, compiled once, and
//! evaluated in microseconds. Nothing here does I/O or knows a service.
//!
//! AWS: "IAM JSON policy elements reference", "Policy evaluation logic".
//!
//! A [`Policy`] is what [`Policy::parse`] makes of a document. A [`PolicySet`] gathers every policy
//! that applies to a call, and [`evaluate`] answers with the policy and statement that decided.

mod action;
mod arn_pattern;
mod cache;
mod check;
mod condition;
mod context;
mod document;
mod evaluate;
mod json;
pub mod managed;
mod pattern;
mod principal;
mod value;

pub use cache::Cache;
pub use context::Context;
pub use document::{Kind, Outline, Policy, PolicyError};
pub use evaluate::{
    Cause, Decision, Layer, NamedPolicy, PolicySet, Reach, Request, considered, evaluate,
};
pub use principal::Principal;
