//! What a handler knows about the call it serves.

use std::net::IpAddr;
use std::ops::Deref;
use std::sync::Arc;

use base::{AccountId, Arn, Clock, Random, Region, ResourceId, Timestamp};
use policy::{Context, Principal};
use serde::{Deserialize, Serialize};
use store::{Scope, ScopedStore};

use crate::client::Client;
use crate::kernel::Kernel;
use crate::session::SessionFacts;

/// Who makes a call.
#[derive(Debug, Clone)]
pub struct Caller {
    /// The principal that policies are evaluated for.
    pub principal: Principal,
    /// The account the principal belongs to.
    pub account: AccountId,
    /// The principal's ARN, as `sts:GetCallerIdentity` shows it.
    pub arn: String,
    /// The principal's unique id, as `AIDA…` or `AROA…:session`.
    pub user_id: String,
    /// The access key that signed the call; none inside the region.
    pub access_key_id: Option<String>,
    /// The service on whose behalf the call is made, as `autoscaling.amazonaws.com`.
    pub invoked_by: Option<String>,
    /// Session policies (JSON), which narrow what the principal may do.
    pub session_policies: Vec<String>,
    /// When the credentials end, for temporary ones.
    pub expires: Option<Timestamp>,
    /// What the session says beyond its principal.
    pub facts: SessionFacts,
}

/// How a call reached the region: what condition keys and the audit record need.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct RequestInfo {
    /// The id that the answer carries.
    pub request_id: String,
    /// The client's address; none inside the region.
    pub source_ip: Option<IpAddr>,
    /// The client's `User-Agent`; the calling service's name inside the region.
    pub user_agent: String,
    /// Whether the client's connection is encrypted.
    pub secure: bool,
    /// The host name the client called.
    pub host: String,
    /// Condition keys that follow from how the call came (`aws:Referer`, `s3:authType`) or on
    /// whose account a service calls (`aws:SourceArn`), with their values.
    #[serde(default)]
    pub keys: std::collections::BTreeMap<String, String>,
}

/// One call: who, where, when, and the means to serve it.
#[derive(Clone)]
pub struct Call {
    pub(crate) kernel: Arc<Kernel>,
    /// Who calls.
    pub caller: Caller,
    /// How the call came.
    pub request: RequestInfo,
    /// The account the call works in: the caller's.
    pub account: AccountId,
    /// The region the call works in.
    pub region: Region,
    /// The state: regional tables of this account and region, account-wide and global ones.
    pub store: ScopedStore,
    /// Calls to other services, made as this caller.
    pub client: Client,
}

/// A [`Call`] with the service's own drivers. Services alias it: `type Ctx = kernel::Ctx<Drivers>`.
pub struct Ctx<S = ()> {
    call: Call,
    /// What the service was built with.
    pub drivers: Arc<S>,
}

impl Call {
    pub(crate) fn new(kernel: Arc<Kernel>, caller: Caller, request: RequestInfo) -> Self {
        let account = caller.account.clone();
        let region = kernel.region().clone();
        let store = kernel.store().scoped(Scope::new(account.clone(), region.clone()));
        let client = Client::new(kernel.clone(), caller.clone(), request.clone());
        Self { kernel, caller, request, account, region, store, client }
    }

    /// The region's time.
    pub fn now(&self) -> Timestamp {
        self.kernel.clock().now()
    }

    /// The region's clock.
    pub fn clock(&self) -> &dyn Clock {
        self.kernel.clock()
    }

    /// The source of randomness.
    pub fn random(&self) -> &dyn Random {
        self.kernel.random()
    }

    /// A new resource id, as `vpc-0123456789abcdef0` for the prefix `vpc`.
    pub fn id(&self, prefix: &str) -> ResourceId {
        ResourceId::random(prefix, self.kernel.random())
    }

    /// The ARN of this account's and region's `resource` of `service`.
    pub fn arn(&self, service: &str, resource: impl Into<String>) -> Arn {
        Arn::new(service, &self.region, &self.account, resource)
    }

    /// A client that calls as `caller`, where the service found out itself who that is (a signed
    /// form); the call came as this one did.
    pub fn client_as(&self, caller: Caller) -> Client {
        Client::new(self.kernel.clone(), caller, self.request.clone())
    }

    /// The kernel, for what has no shorter name.
    pub fn kernel(&self) -> &Arc<Kernel> {
        &self.kernel
    }

    /// Wakes the task called `name`, all its keys.
    pub fn wake(&self, name: &str) {
        self.kernel.wake(name);
    }

    /// The condition keys that every call has.
    ///
    /// AWS: "AWS global condition context keys".
    pub fn context(&self) -> Context {
        let mut context = Context::of(&self.caller.principal);
        let now = self.now();
        context.set("aws:CurrentTime", now.iso8601_seconds());
        context.set("aws:EpochTime", now.as_secs().to_string());
        context.set("aws:RequestedRegion", self.region.as_str());
        context.set("aws:SecureTransport", self.request.secure.to_string());
        context.set("aws:UserAgent", self.request.user_agent.as_str());
        self.caller.facts.describe(self.caller.expires.is_some(), now, &mut context);
        if let Some(ip) = self.request.source_ip {
            context.set("aws:SourceIp", ip.to_string());
        }
        for (key, value) in &self.request.keys {
            context.set(key, value.as_str());
        }
        context
    }

    /// A client that calls as the service-linked role of `service` (as
    /// `autoscaling.amazonaws.com`) in this account, making the role where it is missing.
    ///
    /// # Errors
    ///
    /// When the identity store cannot be read or written.
    ///
    /// AWS: "Create a service-linked role".
    pub async fn service_client(&self, service: &str) -> Result<Client, crate::ServiceError> {
        self.kernel.service_client(&self.account, service).await
    }
}

impl<S> Ctx<S> {
    pub(crate) fn new(call: Call, drivers: Arc<S>) -> Self {
        Self { call, drivers }
    }

    /// The call without the drivers.
    pub fn call(&self) -> &Call {
        &self.call
    }
}

impl<S> Clone for Ctx<S> {
    fn clone(&self) -> Self {
        Self { call: self.call.clone(), drivers: self.drivers.clone() }
    }
}

impl<S> Deref for Ctx<S> {
    type Target = Call;

    fn deref(&self) -> &Call {
        &self.call
    }
}
