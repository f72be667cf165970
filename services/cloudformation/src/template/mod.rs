//! The template language: parsing, checking, evaluating and comparing templates.
//!
//! Everything here is pure: no store, no clock, no network. A template goes through four steps,
//! each of which can fail with one of AWS's own messages: [`parse`] turns text into a tree,
//! [`Template::read`] turns the tree into a checked model, [`Inputs::new`] and
//! [`Evaluator`] give parameters, conditions and intrinsic functions their values, and
//! [`Graph`] and [`diff`] say in which order to act and what an update would do.
//! Whatever needs the outside (attributes of live resources, exports, secrets) is asked of a
//! [`Resolver`].

mod capability;
mod check;
mod cidr;
mod condition;
mod constraint;
pub mod diff;
pub mod dynamic;
mod error;
mod evaluate;
mod expression;
mod function;
mod graph;
mod limits;
mod model;
mod parameter;
mod parse;
mod rule;
mod yaml;

pub use capability::{Capability, required_capabilities};
pub use error::TemplateError;
pub use evaluate::{Evaluator, PENDING, Pseudo, Resolver, Unresolvable};
pub use expression::{References, references, references_in};
pub use graph::{Graph, Schedule};
pub use limits::{BODY_BYTES_MAX, OBJECT_BYTES_MAX};
pub use model::{Output, Policy, Resource, Template};
pub(crate) use parameter::scalar_text;
pub use parameter::{Declaration, Inputs, Kind, Scalar, Supplied};
pub use parse::parse;

/// What the template functions return.
pub type Result<T, E = TemplateError> = std::result::Result<T, E>;
