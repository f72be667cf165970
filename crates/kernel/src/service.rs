//! A service as a table of plain functions.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use base::AccountId;
use protocol::{OperationInput, ServiceError, Shape, Value};

use crate::access::{Access, Asked, OwnerHook, PolicyHook, Subject, SubjectHook, TagHook};
use crate::ctx::{Call, Ctx};
use crate::kernel::Kernel;
use crate::organization::{Membership, OrganizationHook};
use crate::resource::ResourceType;
use crate::task::{Task, TaskDef};
use crate::throttle::Limit;
use crate::web::{Served, ServedHook, WebHook, WebRequest, WebResponse};

/// A boxed future that may move between threads.
pub(crate) type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

pub(crate) type Handler =
    Arc<dyn Fn(Call, Value) -> BoxFuture<'static, Result<Value, ServiceError>> + Send + Sync>;

/// Builds a service around its drivers `S`.
pub struct Service<S = ()> {
    drivers: Arc<S>,
    def: ServiceDef,
}

/// A service ready to be served.
pub struct ServiceDef {
    /// The name of its client in boto3 and of its model.
    pub name: &'static str,
    pub(crate) operations: BTreeMap<&'static str, Handler>,
    pub(crate) access: &'static [Access],
    pub(crate) tasks: Vec<TaskDef>,
    pub(crate) resource_types: Vec<ResourceType>,
    pub(crate) policy_hook: Option<PolicyHook>,
    pub(crate) tag_hook: Option<TagHook>,
    pub(crate) subject_hook: Option<SubjectHook>,
    pub(crate) owner_hook: Option<OwnerHook>,
    pub(crate) organization_hook: Option<OrganizationHook>,
    pub(crate) web_hook: Option<WebHook>,
    pub(crate) served_hook: Option<ServedHook>,
    pub(crate) limits: BTreeMap<&'static str, Limit>,
}

impl Service<()> {
    /// A service that needs no driver. `name` is the generated crate's `SERVICE`.
    pub fn new(name: &'static str) -> Self {
        Self::with(name, Arc::new(()))
    }
}

impl<S: Send + Sync + 'static> Service<S> {
    /// A service whose handlers and tasks reach `drivers` through their context.
    pub fn with(name: &'static str, drivers: Arc<S>) -> Self {
        let def = ServiceDef {
            name,
            operations: BTreeMap::new(),
            access: &[],
            tasks: Vec::new(),
            resource_types: Vec::new(),
            policy_hook: None,
            tag_hook: None,
            subject_hook: None,
            owner_hook: None,
            organization_hook: None,
            web_hook: None,
            served_hook: None,
            limits: BTreeMap::new(),
        };
        Self { drivers, def }
    }

    /// Adds an operation. Its name and shapes follow from the handler's input type.
    #[must_use]
    pub fn operation<I, E, F, R>(mut self, handler: F) -> Self
    where
        I: OperationInput,
        E: Into<ServiceError> + 'static,
        F: Fn(Ctx<S>, I) -> R + Send + Sync + Copy + 'static,
        R: Future<Output = Result<I::Output, E>> + Send + 'static,
    {
        debug_assert_eq!(I::SERVICE, self.def.name);
        let drivers = self.drivers.clone();
        let erased: Handler = Arc::new(move |call, input| {
            let ctx = Ctx::new(call, drivers.clone());
            Box::pin(async move {
                let input = I::from_value(input).map_err(ServiceError::internal)?;
                let output = handler(ctx, input).await.map_err(Into::into)?;
                Ok(output.into_value())
            })
        });
        self.def.operations.insert(I::OPERATION, erased);
        self
    }

    /// What each operation is authorized on. An operation without a rule is authorized on `*`.
    #[must_use]
    pub fn access(mut self, rules: &'static [Access]) -> Self {
        self.def.access = rules;
        self
    }

    /// Adds a reconciler.
    #[must_use]
    pub fn task(mut self, task: Task<S>) -> Self {
        self.def.tasks.push(task.erase(self.drivers.clone()));
        self
    }

    /// Adds a CloudFormation resource type.
    #[must_use]
    pub fn resource_type(mut self, resource_type: ResourceType) -> Self {
        self.def.resource_types.push(resource_type);
        self
    }

    /// Tells the policy that is attached to a resource (a bucket policy), by its ARN.
    #[must_use]
    pub fn resource_policy<F, R>(mut self, hook: F) -> Self
    where
        F: Fn(Ctx<S>, String) -> R + Send + Sync + Copy + 'static,
        R: Future<Output = Result<Option<String>, ServiceError>> + Send + 'static,
    {
        let drivers = self.drivers.clone();
        self.def.policy_hook =
            Some(Arc::new(move |call, arn| Box::pin(hook(Ctx::new(call, drivers.clone()), arn))));
        self
    }

    /// Tells the tags of a resource by its ARN, for `aws:ResourceTag` conditions.
    #[must_use]
    pub fn resource_tags<F, R>(mut self, hook: F) -> Self
    where
        F: Fn(Ctx<S>, String) -> R + Send + Sync + Copy + 'static,
        R: Future<Output = Result<base::Tags, ServiceError>> + Send + 'static,
    {
        let drivers = self.drivers.clone();
        self.def.tag_hook =
            Some(Arc::new(move |call, arn| Box::pin(hook(Ctx::new(call, drivers.clone()), arn))));
        self
    }

    /// Tells what the service knows of a resource that a call is authorized on: its own ARN, where
    /// requests may name it otherwise, its compiled policy, and condition keys that no member of
    /// the request holds. With it the account's root user is held to that policy as well.
    #[must_use]
    pub fn subject<F, R>(mut self, hook: F) -> Self
    where
        F: Fn(Ctx<S>, Asked) -> R + Send + Sync + Copy + 'static,
        R: Future<Output = Result<Subject, ServiceError>> + Send + 'static,
    {
        let drivers = self.drivers.clone();
        self.def.subject_hook = Some(Arc::new(move |call, asked| {
            Box::pin(hook(Ctx::new(call, drivers.clone()), asked))
        }));
        self
    }

    /// Tells whose a resource is whose ARN names no account (a bucket).
    #[must_use]
    pub fn resource_owner<F, R>(mut self, hook: F) -> Self
    where
        F: Fn(Ctx<S>, String) -> R + Send + Sync + Copy + 'static,
        R: Future<Output = Result<Option<AccountId>, ServiceError>> + Send + 'static,
    {
        let drivers = self.drivers.clone();
        self.def.owner_hook =
            Some(Arc::new(move |call, arn| Box::pin(hook(Ctx::new(call, drivers.clone()), arn))));
        self
    }

    /// Tells the organization of an account and the policies that bind it there.
    #[must_use]
    pub fn organization<F, R>(mut self, hook: F) -> Self
    where
        F: Fn(Arc<Kernel>, Arc<S>, AccountId) -> R + Send + Sync + Copy + 'static,
        R: Future<Output = Result<Option<Arc<Membership>>, ServiceError>> + Send + 'static,
    {
        let drivers = self.drivers.clone();
        self.def.organization_hook =
            Some(Arc::new(move |kernel, account| Box::pin(hook(kernel, drivers.clone(), account))));
        self
    }

    /// Answers what comes as the web has it: pages, forms, the questions of browsers.
    #[must_use]
    pub fn web<F, R>(mut self, hook: F) -> Self
    where
        F: Fn(Ctx<S>, WebRequest) -> R + Send + Sync + Copy + 'static,
        R: Future<Output = Result<WebResponse, ServiceError>> + Send + 'static,
    {
        let drivers = self.drivers.clone();
        self.def.web_hook = Some(Arc::new(move |call, request| {
            Box::pin(hook(Ctx::new(call, drivers.clone()), request))
        }));
        self
    }

    /// Is told of every call that came over the network when it is answered.
    #[must_use]
    pub fn served<F, R>(mut self, hook: F) -> Self
    where
        F: Fn(Ctx<S>, Served) -> R + Send + Sync + Copy + 'static,
        R: Future<Output = ()> + Send + 'static,
    {
        let drivers = self.drivers.clone();
        self.def.served_hook = Some(Arc::new(move |call, served| {
            Box::pin(hook(Ctx::new(call, drivers.clone()), served))
        }));
        self
    }

    /// Limits how often one account may call `operation`.
    #[must_use]
    pub fn throttle(mut self, operation: &'static str, limit: Limit) -> Self {
        self.def.limits.insert(operation, limit);
        self
    }

    /// The finished table.
    pub fn build(self) -> ServiceDef {
        self.def
    }
}

impl<S: Send + Sync + 'static> From<Service<S>> for ServiceDef {
    fn from(service: Service<S>) -> Self {
        service.build()
    }
}

impl ServiceDef {
    /// The same table where the host cannot do what the service needs: it runs nothing, and every
    /// call is refused for `reason`, after it was validated and authorized.
    #[must_use]
    pub fn refusing(mut self, reason: &'static str) -> Self {
        self.tasks.clear();
        let code = if self.name == "ec2" { "Unavailable" } else { "ServiceUnavailable" };
        for handler in self.operations.values_mut() {
            *handler = Arc::new(move |_, _| {
                Box::pin(async move { Err(ServiceError::new(code, reason).status(503)) })
            });
        }
        self
    }

    /// The names of the operations that are implemented, sorted.
    pub fn operations(&self) -> impl Iterator<Item = &'static str> + '_ {
        self.operations.keys().copied()
    }

    /// The access rules.
    pub fn access_rules(&self) -> &'static [Access] {
        self.access
    }

    /// The CloudFormation types that the service owns.
    pub fn resource_types(&self) -> &[ResourceType] {
        &self.resource_types
    }
}
