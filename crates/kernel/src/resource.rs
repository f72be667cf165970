//! CloudFormation resource types. The service that owns a resource owns its type: what its
//! properties are, which of them need a replacement, and how it is made, changed and deleted
//! through the service's own operations.
//!
//! AWS: "Resource type schema" (CloudFormation CLI User Guide).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde_json::{Map, Value as Json};

use crate::ServiceError;
use crate::client::Client;

/// A resource type, as `AWS::EC2::VPC`.
#[derive(Clone)]
pub struct ResourceType {
    /// Its name.
    pub name: &'static str,
    /// Its properties; any other name is refused.
    pub properties: &'static [Property],
    /// What `Fn::GetAtt` knows.
    pub attributes: &'static [&'static str],
    /// How it is made and unmade.
    pub handler: Arc<dyn ResourceHandler>,
}

/// A property of a resource type.
#[derive(Debug, Clone, Copy)]
pub struct Property {
    /// Its name.
    pub name: &'static str,
    /// Whether it must be given.
    pub required: bool,
    /// What a change of it does to the resource.
    pub update: Update,
}

/// What a change of a property does.
///
/// AWS: "Update behaviors of stack resources".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Update {
    /// The resource stays as it is and works on.
    NoInterruption,
    /// The resource stays but stops working for a while.
    SomeInterruption,
    /// A new resource takes its place.
    Replacement,
}

impl Property {
    /// An optional property that changes in place.
    pub const fn new(name: &'static str) -> Self {
        Self { name, required: false, update: Update::NoInterruption }
    }

    /// The same, but it must be given.
    #[must_use]
    pub const fn required(self) -> Self {
        Self { required: true, ..self }
    }

    /// The same, but a change needs a new resource.
    #[must_use]
    pub const fn replaces(self) -> Self {
        Self { update: Update::Replacement, ..self }
    }

    /// The same, but a change interrupts the resource.
    #[must_use]
    pub const fn interrupts(self) -> Self {
        Self { update: Update::SomeInterruption, ..self }
    }
}

/// What a handler works with.
#[derive(Clone)]
pub struct ResourceCtx {
    /// Calls as the one who deploys the stack.
    pub client: Client,
    /// The stack's name.
    pub stack_name: String,
    /// The stack's ARN.
    pub stack_id: String,
    /// The resource's name in the template.
    pub logical_id: String,
    /// The same for every try to make this resource, another for each replacement: give it as
    /// client token where the operation takes one (letters, digits and dashes, at most 64).
    pub token: String,
    /// The stack's tags with CloudFormation's own (`aws:cloudformation:stack-name`, …).
    pub tags: base::Tags,
    /// The account.
    pub account: base::AccountId,
    /// The region.
    pub region: base::Region,
}

impl ResourceCtx {
    /// A name as CloudFormation makes them, `stack-logical-A1B2C3D4E5F6`: the same for the same
    /// token, at most `length_max` characters.
    pub fn generated_name(&self, length_max: usize) -> String {
        let suffix: String =
            crate::token::fingerprint(&self.token).to_uppercase().chars().take(12).collect();
        let stem = format!("{}-{}", self.stack_name, self.logical_id);
        let room = length_max.saturating_sub(suffix.len() + 1);
        let stem: String = stem.chars().take(room).collect();
        format!("{stem}-{suffix}")
    }
}

/// What is known of a resource after a step.
#[derive(Debug, Clone, PartialEq)]
pub enum Progress {
    /// It is as wanted; its attributes for `Fn::GetAtt`.
    Done(Attributes),
    /// It is on its way: look again after this long.
    Wait(Duration),
}

/// Attribute values by name (`Endpoint.Address` is one name).
pub type Attributes = BTreeMap<String, Json>;
/// The properties of one resource, all intrinsic functions resolved.
pub type Properties = Map<String, Json>;

/// Makes, changes and deletes resources of one type. Every step may be repeated after a crash and
/// must then find what it did before.
#[async_trait]
pub trait ResourceHandler: Send + Sync + 'static {
    /// The physical id of the resource that an earlier, interrupted `create` with the same
    /// `ctx.token` made, if it can tell and there is one. Handlers whose `create` is idempotent
    /// (a client token, a fixed name) need not implement it.
    async fn find(
        &self,
        _ctx: &ResourceCtx,
        _properties: &Properties,
    ) -> Result<Option<String>, ServiceError> {
        Ok(None)
    }

    /// Starts to make the resource; gives its physical id (what `Ref` answers).
    async fn create(
        &self,
        ctx: &ResourceCtx,
        properties: &Properties,
    ) -> Result<String, ServiceError>;

    /// Whether the resource that was created or updated is as wanted yet.
    async fn settled(
        &self,
        ctx: &ResourceCtx,
        physical_id: &str,
        properties: &Properties,
    ) -> Result<Progress, ServiceError>;

    /// Changes the resource in place from `old` to `new`.
    async fn update(
        &self,
        ctx: &ResourceCtx,
        physical_id: &str,
        old: &Properties,
        new: &Properties,
    ) -> Result<(), ServiceError>;

    /// Deletes the resource; [`Progress::Wait`] until it is gone. A resource that is not there is
    /// done.
    async fn delete(
        &self,
        ctx: &ResourceCtx,
        physical_id: &str,
        properties: &Properties,
    ) -> Result<Progress, ServiceError>;

    /// Takes the snapshot that `DeletionPolicy: Snapshot` asks for, before `delete`. Types that
    /// have no snapshots refuse the policy.
    async fn snapshot(
        &self,
        _ctx: &ResourceCtx,
        _physical_id: &str,
        _properties: &Properties,
    ) -> Result<Progress, ServiceError> {
        Err(ServiceError::new(
            "ValidationError",
            "DeletionPolicy Snapshot is not supported by this resource type",
        ))
    }
}
