//! The region's services and the life of a call.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock, RwLock};

use base::{AccountId, Arn, Clock, Random, Region};
use policy::Principal;
use protocol::schema::{Protocol, ServiceSchema};
use protocol::{ServiceError, Value};
use store::{ChangeFeed, Notice, Scope, Store};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::audit::{Audit, AuditRecord, Facts};
use crate::authorize::Verdict;
use crate::client::Client;
use crate::ctx::{Call, Caller, RequestInfo};
use crate::identity::{Identity, RoleInfo};
use crate::organization::{Membership, OrganizationHook};
use crate::resource::ResourceType;
use crate::service::ServiceDef;
use crate::session::Sealer;
use crate::task::{Runner, WAKES_MAX, Wake};
use crate::throttle::Throttle;

/// What a region is told when it is built.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Its name.
    pub region: Region,
    /// The account that the first start made.
    pub account: AccountId,
    /// The URL that clients inside and outside use, as `http://127.0.0.1:4566`.
    pub endpoint_url: String,
}

/// A region: its services, and what they share.
pub struct Kernel {
    settings: Settings,
    store: Store,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    identity: Arc<dyn Identity>,
    sealer: Sealer,
    services: BTreeMap<&'static str, ServiceDef>,
    audit: Audit,
    throttle: Throttle,
    policies: policy::Cache,
    organization: Option<OrganizationHook>,
    wakes: RwLock<BTreeMap<&'static str, mpsc::Sender<Wake>>>,
    running: OnceLock<Vec<JoinHandle<()>>>,
}

/// Counts for `skyhold status`.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Status {
    /// Services and how many operations each answers.
    pub services: BTreeMap<String, usize>,
    /// The region's time.
    pub now: String,
}

/// Collects services and starts a [`Kernel`].
pub struct Builder {
    settings: Settings,
    store: Store,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    identity: Arc<dyn Identity>,
    sealing_key: [u8; 32],
    services: BTreeMap<&'static str, ServiceDef>,
}

impl Builder {
    /// A region without services.
    pub fn new(
        settings: Settings,
        store: Store,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
        identity: Arc<dyn Identity>,
        sealing_key: [u8; 32],
    ) -> Self {
        Self { settings, store, clock, random, identity, sealing_key, services: BTreeMap::new() }
    }

    /// Adds a service.
    #[must_use]
    pub fn service(mut self, service: impl Into<ServiceDef>) -> Self {
        let def = service.into();
        self.services.insert(def.name, def);
        self
    }

    /// The region without its tasks, for those who only ask it.
    #[must_use]
    pub fn without_tasks(mut self) -> Self {
        for def in self.services.values_mut() {
            def.tasks.clear();
        }
        self
    }

    /// Starts the tasks and gives the region.
    pub fn start(mut self) -> Arc<Kernel> {
        let tasks: Vec<_> =
            self.services.values_mut().flat_map(|def| std::mem::take(&mut def.tasks)).collect();
        let (audit, audit_writer) = Audit::new(self.store.clone());
        let mut hooks = self.services.values().filter_map(|def| def.organization_hook.clone());
        let organization = hooks.next();
        drop(hooks);
        let kernel = Arc::new(Kernel {
            sealer: Sealer::new(self.sealing_key, self.random.clone()),
            settings: self.settings,
            store: self.store,
            clock: self.clock,
            random: self.random,
            identity: self.identity,
            services: self.services,
            audit,
            throttle: Throttle::default(),
            policies: policy::Cache::new(),
            organization,
            wakes: RwLock::default(),
            running: OnceLock::new(),
        });
        let mut running = vec![spawn(audit_writer)];
        // From before the first task runs: what that writes may be news for another.
        let changes = kernel.store.changes();
        let mut tables: BTreeMap<&'static str, Vec<mpsc::Sender<Wake>>> = BTreeMap::new();
        for task in tasks {
            let (sender, wakes) = mpsc::channel(WAKES_MAX);
            for table in task.wakes_on {
                tables.entry(table).or_default().push(sender.clone());
            }
            if let Ok(mut senders) = kernel.wakes.write() {
                senders.insert(task.name, sender);
            }
            running.push(spawn(Runner::new(task, kernel.clone(), wakes).run()));
        }
        running.push(spawn(forward_changes(changes, tables)));
        // Set once, here; a second start of the same kernel cannot happen.
        let _ = kernel.running.set(running);
        kernel
    }
}

#[expect(clippy::disallowed_methods, reason = "this is the registry that keeps what is spawned")]
fn spawn(future: impl Future<Output = ()> + Send + 'static) -> JoinHandle<()> {
    tokio::spawn(future)
}

async fn forward_changes(
    mut changes: ChangeFeed,
    tables: BTreeMap<&'static str, Vec<mpsc::Sender<Wake>>>,
) {
    while let Some(change) = changes.next().await {
        for (table, senders) in &tables {
            if touches(&change, table) {
                for sender in senders {
                    // A full queue already makes the runner look at everything.
                    let _ = sender.try_send(Wake::All);
                }
            }
        }
    }
}

fn touches(notice: &Notice, table: &str) -> bool {
    match notice {
        Notice::Committed(batch) => batch.changes.iter().any(|change| change.space == table),
        Notice::Lagged => true,
    }
}

impl Kernel {
    /// The region's name.
    pub fn region(&self) -> &Region {
        &self.settings.region
    }

    /// What the region was told when it was built.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The region's state.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// The region's clock.
    pub fn clock(&self) -> &dyn Clock {
        &*self.clock
    }

    /// The source of randomness.
    pub fn random(&self) -> &dyn Random {
        &*self.random
    }

    /// Users, roles and keys.
    pub fn identity(&self) -> &dyn Identity {
        &*self.identity
    }

    /// Compiled policies, by where they stand.
    pub fn policies(&self) -> &policy::Cache {
        &self.policies
    }

    /// What the organization of `account` says of it; none when it belongs to none.
    ///
    /// # Errors
    ///
    /// When the organization cannot be read.
    pub async fn membership(
        self: &Arc<Self>,
        account: &AccountId,
    ) -> Result<Option<Arc<Membership>>, ServiceError> {
        match &self.organization {
            Some(hook) => hook(self.clone(), account.clone()).await,
            None => Ok(None),
        }
    }

    /// Seals and opens session tokens.
    pub fn sealer(&self) -> &Sealer {
        &self.sealer
    }

    /// The services, by name.
    pub fn services(&self) -> impl Iterator<Item = &ServiceDef> {
        self.services.values()
    }

    /// The service called `name`, if the region has it.
    pub fn service(&self, name: &str) -> Option<&ServiceDef> {
        self.services.get(name)
    }

    /// The CloudFormation resource type called `name`.
    pub fn resource_type(&self, name: &str) -> Option<&ResourceType> {
        self.services.values().flat_map(ServiceDef::resource_types).find(|t| t.name == name)
    }

    /// Counts for the operator.
    pub fn status(&self) -> Status {
        let count = |def: &ServiceDef| (def.name.to_owned(), def.operations.len());
        Status {
            services: self.services.values().map(count).collect(),
            now: self.clock.now().to_string(),
        }
    }

    /// Wakes the task called `task`, all its keys.
    pub fn wake(&self, task: &str) {
        self.send(task, Wake::All);
    }

    /// Wakes the task called `task` for one key.
    pub fn wake_key(&self, task: &str, key: &str) {
        self.send(task, Wake::Key(key.to_owned()));
    }

    fn send(&self, task: &str, wake: Wake) {
        let senders = self.wakes.read().ok();
        if let Some(sender) = senders.as_ref().and_then(|senders| senders.get(task)) {
            // A full queue already makes the runner look at everything.
            let _ = sender.try_send(wake);
        }
    }

    /// Tells every task that the region's clock was moved.
    pub fn clock_moved(&self) {
        if let Ok(senders) = self.wakes.read() {
            for sender in senders.values() {
                let _ = sender.try_send(Wake::ClockMoved);
            }
        }
    }

    /// Stops every task. Calls that are under way end by themselves.
    pub fn stop(&self) {
        for task in self.running.get().into_iter().flatten() {
            task.abort();
        }
    }

    /// How a call from inside the region describes itself.
    pub(crate) fn inside_request(&self, service: &str) -> RequestInfo {
        RequestInfo {
            request_id: self.random.uuid(),
            user_agent: service.to_owned(),
            secure: true,
            ..RequestInfo::default()
        }
    }

    /// A client that calls as the service-linked role of `service` in `account`.
    ///
    /// # Errors
    ///
    /// When the identity store cannot be read or written.
    pub async fn service_client(
        self: &Arc<Self>,
        account: &AccountId,
        service: &str,
    ) -> Result<Client, ServiceError> {
        let role = self.identity.service_linked_role(account, service).await?;
        let session = service.split('.').next().unwrap_or(service);
        let caller = role_caller(account, &role, session, Some(service));
        Ok(Client::new(self.clone(), caller, self.inside_request(service)))
    }

    /// A client that calls as `role`, which `service` assumed (a CloudFormation service role).
    pub fn role_client(
        self: &Arc<Self>,
        account: &AccountId,
        role: &RoleInfo,
        session: &str,
        service: &str,
    ) -> Client {
        let caller = role_caller(account, role, session, Some(service));
        Client::new(self.clone(), caller, self.inside_request(service))
    }

    /// A client for a caller that was kept, as a stack's deployer.
    pub fn client_for(self: &Arc<Self>, mut caller: Caller, service: &str) -> Client {
        caller.facts.called_through(service);
        Client::new(self.clone(), caller, self.inside_request(service))
    }

    /// A client that calls as the service `service` itself (`logging.s3.amazonaws.com`), not as a
    /// role: only resource policies can allow what it does. `keys` are condition keys that tell
    /// for whom it calls.
    pub fn principal_client(
        self: &Arc<Self>,
        account: &AccountId,
        service: &str,
        keys: BTreeMap<String, String>,
    ) -> Client {
        let caller = Caller {
            principal: Principal::Service { name: service.to_owned() },
            account: account.clone(),
            arn: service.to_owned(),
            user_id: service.to_owned(),
            access_key_id: None,
            invoked_by: Some(service.to_owned()),
            session_policies: Vec::new(),
            expires: None,
            facts: crate::session::SessionFacts::default(),
        };
        let request = RequestInfo { keys, ..self.inside_request(service) };
        Client::new(self.clone(), caller, request)
    }

    /// Serves one call whose caller is known: constraints, authorization, throttling, the handler,
    /// the audit record. It runs to its end even if the one who waits for it goes away.
    ///
    /// # Errors
    ///
    /// The service's error or one of the steps before it.
    pub async fn invoke(
        self: &Arc<Self>,
        service: &str,
        operation: &str,
        input: Value,
        caller: Caller,
        request: RequestInfo,
    ) -> Result<Value, ServiceError> {
        let (kernel, service) = (self.clone(), service.to_owned());
        let operation = operation.to_owned();
        #[expect(clippy::disallowed_methods, reason = "a call outlives the one who waits for it")]
        let running = tokio::spawn(async move {
            kernel.serve(&service, &operation, input, caller, request).await
        });
        running.await.unwrap_or_else(|error| Err(ServiceError::internal(error)))
    }

    async fn serve(
        self: Arc<Self>,
        service: &str,
        operation: &str,
        input: Value,
        caller: Caller,
        request: RequestInfo,
    ) -> Result<Value, ServiceError> {
        let schema = protocol::schema::service(service).ok_or_else(|| unknown(service))?;
        let name = schema.operation(operation).ok_or_else(|| unknown(operation))?.name;
        let mut verdict = Verdict::default();
        let result = self.try_serve(schema, name, &input, &caller, &request, &mut verdict).await;
        if let Some(cause) = result.as_ref().err().and_then(|error| error.cause.as_ref()) {
            let request_id = &request.request_id;
            tracing::error!(service, operation, request_id, %cause, "a call failed inside");
        }
        let region = self.settings.region.as_str();
        self.identity.accessed(&caller, schema.signing_name, name, region).await;
        let error = result.as_ref().err().map(|e| (e.code.as_str(), e.message.as_str()));
        let facts = Facts {
            time: self.clock.now(),
            event_id: self.random.uuid(),
            event_source: &event_source(schema),
            event_name: name,
            region: &self.settings.region,
            account: &caller.account,
            caller: Some(&caller),
            request: &request,
            input: Some(&input),
            model: Some(schema),
            output: result.as_ref().ok(),
            error,
            decision: verdict.explanation,
        };
        let scope = Scope::new(caller.account.clone(), self.settings.region.clone());
        self.audit.record(scope, facts.into_record()).await;
        result
    }

    async fn try_serve(
        self: &Arc<Self>,
        schema: &'static ServiceSchema,
        operation: &'static str,
        input: &Value,
        caller: &Caller,
        request: &RequestInfo,
        verdict: &mut Verdict,
    ) -> Result<Value, ServiceError> {
        let op = schema.operation(operation).ok_or_else(|| unknown(operation))?;
        protocol::wire::validate_input(schema, op, input)?;
        let def = self.services.get(schema.name);
        let mut call = Call::new(self.clone(), caller.clone(), request.clone());
        call.client = call.client.through(event_source(schema));
        crate::authorize::authorize(self, def, schema, operation, input, &call, verdict).await?;
        if let Some(limit) = def.and_then(|def| def.limits.get(operation))
            && !self.throttle.take(
                (caller.account.clone(), schema.name, operation),
                *limit,
                self.clock.now(),
            )
        {
            return Err(throttled(schema));
        }
        let handler = def
            .and_then(|def| def.operations.get(operation))
            .ok_or_else(|| not_implemented(schema, operation))?;
        if input.member("DryRun").and_then(Value::as_bool) == Some(true)
            && schema.protocols.contains(&Protocol::Ec2Query)
        {
            return Err(ServiceError::new(
                "DryRunOperation",
                "Request would have succeeded, but DryRun flag is set.",
            )
            .status(412));
        }
        handler(call, input.clone()).await
    }

    /// Waits until the calls that were answered by now are recorded.
    pub async fn settle_audit(&self) {
        self.audit.settle().await;
    }

    /// Records a call that was refused before its caller was known.
    pub async fn audit_refused(
        &self,
        schema: &ServiceSchema,
        operation: &str,
        request: &RequestInfo,
        error: &ServiceError,
    ) {
        let facts = Facts {
            time: self.clock.now(),
            event_id: self.random.uuid(),
            event_source: &event_source(schema),
            event_name: operation,
            region: &self.settings.region,
            account: &self.settings.account,
            caller: None,
            request,
            input: None,
            model: Some(schema),
            output: None,
            error: Some((&error.code, &error.message)),
            decision: "refused before authorization".to_owned(),
        };
        let account = self.settings.account.clone();
        let scope = Scope::new(account, self.settings.region.clone());
        self.audit.record(scope, facts.into_record()).await;
    }

    /// The record of the call with `request_id`, looking back from the newest.
    ///
    /// # Errors
    ///
    /// When the store cannot be read.
    pub async fn audit_of(&self, request_id: &str) -> Result<Option<AuditRecord>, store::Error> {
        self.settle_audit().await;
        let all = self.store.read(|tx| tx.scan_all(&crate::audit::RECORDS)).await?;
        Ok(all.into_iter().rev().map(|(_, r)| r).find(|r| r.request_id == request_id))
    }
}

/// The caller that a session of `role` is.
pub fn role_caller(
    account: &AccountId,
    role: &RoleInfo,
    session: &str,
    invoked_by: Option<&str>,
) -> Caller {
    let role_name = role.arn.name().rsplit('/').next().unwrap_or_default();
    let arn = Arn::new("sts", "", account, format!("assumed-role/{role_name}/{session}"));
    Caller {
        arn: arn.to_string(),
        principal: Principal::AssumedRole {
            role: role.arn.clone(),
            session: arn,
            role_id: role.role_id.clone(),
        },
        account: account.clone(),
        user_id: format!("{}:{session}", role.role_id),
        access_key_id: None,
        invoked_by: invoked_by.map(str::to_owned),
        session_policies: Vec::new(),
        expires: None,
        facts: crate::session::SessionFacts::default(),
    }
}

/// A caller that is `principal` itself, without a session.
pub fn plain_caller(principal: Principal, account: &AccountId, user_id: &str) -> Caller {
    Caller {
        arn: principal.arn().map(|arn| arn.to_string()).unwrap_or_default(),
        principal,
        account: account.clone(),
        user_id: user_id.to_owned(),
        access_key_id: None,
        invoked_by: None,
        session_policies: Vec::new(),
        expires: None,
        facts: crate::session::SessionFacts::default(),
    }
}

fn event_source(schema: &ServiceSchema) -> String {
    format!("{}.amazonaws.com", schema.endpoint_prefix)
}

fn unknown(name: &str) -> ServiceError {
    ServiceError::internal(format!("no model of {name}"))
}

fn not_implemented(schema: &ServiceSchema, operation: &str) -> ServiceError {
    ServiceError::new(
        "NotImplemented",
        format!("{}:{operation} is not implemented by Skyhold yet.", schema.name),
    )
    .status(501)
}

fn throttled(schema: &ServiceSchema) -> ServiceError {
    if schema.protocols.contains(&Protocol::Ec2Query) {
        return ServiceError::new("RequestLimitExceeded", "Request limit exceeded.").status(503);
    }
    let code = if is_json(schema) { "ThrottlingException" } else { "Throttling" };
    ServiceError::new(code, "Rate exceeded")
}

/// Whether the service's own protocol is one of the JSON ones.
pub(crate) fn is_json(schema: &ServiceSchema) -> bool {
    let json = [Protocol::AwsJson10, Protocol::AwsJson11, Protocol::RestJson1];
    schema.protocols.first().is_some_and(|first| json.contains(first))
}
