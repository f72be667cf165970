//! Single steps on physical resources: calls to the services that own them, repeated where the
//! service asks for patience, and waiting until they are as wanted.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures_util::FutureExt;
use kernel::ServiceError;
use kernel::resource::{Attributes, Progress, Properties, ResourceCtx, ResourceType, Update};
use secretsmanager_api::GetSecretValueInput;
use serde_json::{Map, Value};
use ssm_api::GetParameterInput;
use store::{ChangeFeed, Notice};

use super::Operator;
use crate::store::{Incarnation, StackResource};
use crate::template::dynamic::{self, DynamicReference};

/// How long a resource may take to become as wanted.
const SETTLE_MAX: Duration = Duration::from_secs(3 * 3600);
/// Between two looks at a resource: at least this, since changes come in bursts, and at most the
/// pause that its type asks for.
const PAUSE: std::ops::RangeInclusive<Duration> =
    Duration::from_millis(20)..=Duration::from_secs(5);
/// How often a throttled call is repeated, each time after twice the pause.
const THROTTLED_MAX: u32 = 8;

/// How long, and after what pause, a deletion is tried again that something still stands against.
const BUSY_MAX: Duration = Duration::from_secs(60);
const BUSY_PAUSE: Duration = Duration::from_millis(250);

/// How waiting for a resource ended.
pub(super) enum Settled {
    /// It is as wanted.
    Done(Attributes),
    /// The operation was given up.
    Stopped,
}

/// A step's failure in the words of an event's reason.
pub(super) type Reason = String;

impl Operator {
    /// The type of a resource, which the template was checked to have.
    pub(super) fn resource_type(&self, kind: &str) -> Result<&ResourceType, Reason> {
        self.kernel
            .resource_type(kind)
            .ok_or_else(|| format!("Resource type {kind} is not supported by this region"))
    }

    fn resource_ctx(
        &self,
        logical_id: &str,
        incarnation: &Incarnation,
    ) -> Result<ResourceCtx, Reason> {
        let client = self.client().map_err(|error| error.message)?.clone();
        let mut tags = incarnation.tags.clone();
        let own = [
            ("aws:cloudformation:stack-name", &self.stack.name),
            ("aws:cloudformation:stack-id", &self.stack.id),
            ("aws:cloudformation:logical-id", &logical_id.to_owned()),
        ];
        tags.extend(own.map(|(key, value)| (key.to_owned(), value.clone())));
        Ok(ResourceCtx {
            client,
            stack_name: self.stack.name.clone(),
            stack_id: self.stack.id.clone(),
            logical_id: logical_id.to_owned(),
            token: incarnation.token.clone(),
            tags,
            account: self.account.clone(),
            region: self.kernel.region().clone(),
        })
    }

    /// Makes the resource, or finds what an interrupted try made; gives its physical id.
    pub(super) async fn make(&self, row: &StackResource, resumed: bool) -> Result<String, Reason> {
        let kind = self.resource_type(&row.kind)?;
        let ctx = self.resource_ctx(&row.logical_id, &row.current)?;
        let properties = self.with_secrets(&row.current.properties).await?;
        let handler = &kind.handler;
        if resumed {
            let found = patiently(|| handler.find(&ctx, &properties)).await;
            if let Some(physical_id) = found.map_err(|e| worded(&row.kind, &e))? {
                return Ok(physical_id);
            }
        }
        let made = patiently(|| handler.create(&ctx, &properties)).await;
        made.map_err(|error| worded(&row.kind, &error))
    }

    /// Changes the resource in place from what it was to what it is to be.
    pub(super) async fn change(
        &self,
        row: &StackResource,
        old: &Map<String, Value>,
    ) -> Result<(), Reason> {
        let kind = self.resource_type(&row.kind)?;
        let ctx = self.resource_ctx(&row.logical_id, &row.current)?;
        let new = self.with_secrets(&row.current.properties).await?;
        // A secret that is gone since cannot be compared with; the reference stands for it.
        let old = self.with_secrets(old).await.unwrap_or_else(|_| old.clone());
        let physical_id = row.current.physical_id.clone().unwrap_or_default();
        let changed = patiently(|| kind.handler.update(&ctx, &physical_id, &old, &new)).await;
        changed.map_err(|error| worded(&row.kind, &error))
    }

    /// Waits until the resource is as wanted.
    pub(super) async fn settle(&self, row: &StackResource) -> Result<Settled, Reason> {
        let kind = self.resource_type(&row.kind)?;
        let ctx = self.resource_ctx(&row.logical_id, &row.current)?;
        let properties = self.with_secrets(&row.current.properties).await?;
        let physical_id = row.current.physical_id.clone().unwrap_or_default();
        let end = self.now() + SETTLE_MAX;
        let mut news = self.news_of(&row.kind);
        loop {
            let looked = patiently(|| kind.handler.settled(&ctx, &physical_id, &properties)).await;
            let pause = match looked.map_err(|error| worded(&row.kind, &error))? {
                Progress::Done(attributes) => return Ok(Settled::Done(attributes)),
                Progress::Wait(pause) => pause,
            };
            if self.now() >= end {
                return Err("Exceeded attempts to wait".to_owned());
            }
            tokio::select! {
                () = news.wait(pause) => {}
                () = self.stop.cancelled() => return Ok(Settled::Stopped),
            }
        }
    }

    /// Deletes a physical resource and waits until it is gone. One whose creation left no id is
    /// looked for first.
    pub(super) async fn unmake(
        &self,
        logical_id: &str,
        kind: &str,
        incarnation: &Incarnation,
    ) -> Result<(), Reason> {
        let resource_type = self.resource_type(kind)?;
        let ctx = self.resource_ctx(logical_id, incarnation)?;
        let handler = &resource_type.handler;
        let properties = self.with_secrets(&incarnation.properties).await;
        let properties = properties.unwrap_or_else(|_| incarnation.properties.clone());
        let physical_id = match incarnation.physical_id.clone() {
            Some(physical_id) => physical_id,
            None => {
                let found = patiently(|| handler.find(&ctx, &properties)).await;
                match found.map_err(|error| worded(kind, &error))? {
                    Some(physical_id) => physical_id,
                    None => return Ok(()),
                }
            }
        };
        self.until_done(kind, || handler.delete(&ctx, &physical_id, &properties)).await
    }

    /// Takes the snapshot that a policy asks for.
    pub(super) async fn snapshot(
        &self,
        logical_id: &str,
        kind: &str,
        incarnation: &Incarnation,
    ) -> Result<(), Reason> {
        let Some(physical_id) = incarnation.physical_id.clone() else {
            return Ok(());
        };
        let handler = &self.resource_type(kind)?.handler;
        let ctx = self.resource_ctx(logical_id, incarnation)?;
        let properties = &incarnation.properties;
        self.until_done(kind, || handler.snapshot(&ctx, &physical_id, properties)).await
    }

    async fn until_done<F>(&self, kind: &str, step: impl Fn() -> F) -> Result<(), Reason>
    where
        F: Future<Output = Result<Progress, ServiceError>>,
    {
        let end = self.now() + SETTLE_MAX;
        let mut news = self.news_of(kind);
        let busy_until = tokio::time::Instant::now() + BUSY_MAX;
        loop {
            let pause = match patiently(&step).await {
                Ok(Progress::Done(_)) => return Ok(()),
                Ok(Progress::Wait(pause)) => pause,
                // What used it a moment ago may still be on its way out.
                Err(error) if is_in_use(&error) && tokio::time::Instant::now() < busy_until => {
                    BUSY_PAUSE
                }
                Err(error) => return Err(worded(kind, &error)),
            };
            if self.now() >= end {
                return Err("Exceeded attempts to wait".to_owned());
            }
            news.wait(pause).await;
        }
    }

    /// Tells from now on when the service that owns a resource type writes something down.
    fn news_of(&self, kind: &str) -> News {
        let owner = self.kernel.services().find(|service| {
            service.resource_types().iter().any(|resource_type| resource_type.name == kind)
        });
        let tables = owner.map(|service| format!("{}.", service.name)).unwrap_or_default();
        News { feed: self.kernel.store().changes(), tables }
    }

    /// The properties with the values of their dynamic references, read as the deployer.
    async fn with_secrets(&self, properties: &Map<String, Value>) -> Result<Properties, Reason> {
        let mut value = Value::Object(properties.clone());
        let references = dynamic::find(&value).map_err(|error| error.to_string())?;
        let mut values = BTreeMap::new();
        for reference in references {
            let text = self.dynamic_value(&reference).await?;
            values.insert(reference, text);
        }
        dynamic::substitute(&mut value, &values).map_err(|error| error.to_string())?;
        let Value::Object(members) = value else {
            return Ok(Map::new());
        };
        Ok(members)
    }

    async fn dynamic_value(&self, reference: &DynamicReference) -> Result<String, Reason> {
        let client = self.client().map_err(|error| error.message)?;
        match reference {
            DynamicReference::Ssm { name, version, secure } => {
                let name = match version {
                    Some(version) => format!("{name}:{version}"),
                    None => name.clone(),
                };
                let input = GetParameterInput { name, with_decryption: Some(*secure) };
                let found = client.call(input).await.map_err(|error| error.message)?;
                Ok(found.parameter.and_then(|parameter| parameter.value).unwrap_or_default())
            }
            DynamicReference::Secret { id, key, stage, version } => {
                let input = GetSecretValueInput {
                    secret_id: id.clone(),
                    version_id: version.clone(),
                    version_stage: stage.clone(),
                };
                let found = client.call(input).await.map_err(|error| error.message)?;
                let text = found.secret_string.unwrap_or_default();
                let Some(key) = key else {
                    return Ok(text);
                };
                let members: Option<Value> = serde_json::from_str(&text).ok();
                let member = members.as_ref().and_then(|members| members.get(key));
                member
                    .map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned))
                    .ok_or_else(|| {
                        "Could not find a value associated with JSONKey in SecretString".to_owned()
                    })
            }
        }
    }

    /// What the type says against the properties' names, in the words of CloudFormation's schema
    /// check.
    pub(super) fn misnamed(
        &self,
        logical_id: &str,
        kind: &str,
        properties: &BTreeSet<&str>,
    ) -> Option<Reason> {
        let resource_type = match self.resource_type(kind) {
            Ok(resource_type) => resource_type,
            Err(reason) => return Some(reason),
        };
        let known = |name: &str| resource_type.properties.iter().any(|p| p.name == name);
        let mut faults: Vec<String> = properties
            .iter()
            .filter(|name| !known(name))
            .map(|name| format!("#: extraneous key [{name}] is not permitted"))
            .collect();
        let missing = resource_type
            .properties
            .iter()
            .filter(|property| property.required && !properties.contains(property.name));
        faults.extend(missing.map(|p| format!("#: required key [{}] not found", p.name)));
        if faults.is_empty() {
            return None;
        }
        Some(format!(
            "Properties validation failed for resource {logical_id} with message:\n{}",
            faults.join("\n")
        ))
    }

    /// Whether the change between two sets of properties needs a new resource.
    pub(super) fn must_replace(
        &self,
        kind: &str,
        old: &Map<String, Value>,
        new: &Map<String, Value>,
    ) -> bool {
        let Ok(resource_type) = self.resource_type(kind) else {
            return false;
        };
        resource_type
            .properties
            .iter()
            .filter(|property| property.update == Update::Replacement)
            .any(|property| old.get(property.name) != new.get(property.name))
    }
}

/// What a service writes, as a reason to look at one of its resources again.
struct News {
    feed: ChangeFeed,
    /// How the names of the service's tables begin.
    tables: String,
}

impl News {
    /// Waits until the service has written something since the last look, but no longer than
    /// `pause`. Cancellation-safe.
    async fn wait(&mut self, pause: Duration) {
        let pause = pause.clamp(*PAUSE.start(), *PAUSE.end());
        tokio::select! {
            () = self.written() => tokio::time::sleep(*PAUSE.start()).await,
            () = tokio::time::sleep(pause) => {}
        }
        // The next look sees all of them.
        while self.feed.next().now_or_never().flatten().is_some() {}
    }

    async fn written(&mut self) {
        while let Some(notice) = self.feed.next().await {
            match notice {
                Notice::Committed(batch) => {
                    let own = |space: &str| space.starts_with(&self.tables);
                    if batch.changes.iter().any(|change| own(&change.space)) {
                        return;
                    }
                }
                Notice::Lagged => return,
            }
        }
        // The store is closed: nothing will come any more.
        std::future::pending().await
    }
}

/// Calls a service, and again after a pause while it says that calls come too fast.
async fn patiently<T, F>(call: impl Fn() -> F) -> Result<T, ServiceError>
where
    F: Future<Output = Result<T, ServiceError>>,
{
    let mut pause = Duration::from_millis(100);
    let mut tries = 0;
    loop {
        match call().await {
            Err(error) if tries < THROTTLED_MAX && is_throttled(&error) => {
                tries += 1;
                tokio::time::sleep(pause).await;
                pause *= 2;
            }
            outcome => return outcome,
        }
    }
}

fn is_throttled(error: &ServiceError) -> bool {
    matches!(error.code.as_str(), "RequestLimitExceeded" | "Throttling" | "ThrottlingException")
}

/// Whether a service refuses to delete a thing because another one uses it, or because it is
/// still at work itself.
fn is_in_use(error: &ServiceError) -> bool {
    const CODES: [&str; 10] = [
        "CacheSubnetGroupInUse",
        "DeleteConflict",
        "DependencyViolation",
        "InvalidDBInstanceState",
        "InvalidDBParameterGroupState",
        "InvalidDBSubnetGroupStateFault",
        "InvalidReplicationGroupState",
        "ResourceInUse",
        "ScalingActivityInProgress",
        "ResourceInUseFault",
    ];
    CODES.contains(&error.code.as_str())
}

/// A service's error as CloudFormation puts it into an event.
fn worded(kind: &str, error: &ServiceError) -> Reason {
    let service = kind.split("::").nth(1).unwrap_or(kind);
    format!(
        "Resource handler returned message: \"{} (Service: {service}, Status Code: {})\" (HandlerErrorCode: {})",
        error.message, error.status, error.code
    )
}
