//! A world outside the region in which `Test::Thing`s are made, so that tests see what was really
//! done, also across a restart of the region.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test says what holds")]
#![allow(dead_code, unreachable_pub, reason = "each test file uses its part")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use cloudformation_api::{
    CreateStackInput, DeleteStackInput, DescribeStackEventsInput, DescribeStacksInput, Parameter,
    Stack, StackEvent, StackStatus, UpdateStackInput,
};
use kernel::resource::{
    Attributes, Progress, Properties, Property, ResourceCtx, ResourceHandler, ResourceType,
};
use kernel::{Service, ServiceDef, ServiceError};
use serde_json::json;
use testkit::{Cloud, TestClient, poll};

/// A thing that was made.
#[derive(Debug, Clone)]
pub struct Thing {
    pub token: String,
    pub logical_id: String,
    pub properties: Properties,
    pub tags: base::Tags,
}

/// What tests look at and turn.
#[derive(Default)]
pub struct World {
    /// The things, by physical id.
    pub things: Mutex<BTreeMap<String, Thing>>,
    /// What was done, as `create A`.
    pub done: Mutex<Vec<String>>,
    /// What fails, as `create A`.
    pub faults: Mutex<BTreeSet<String>>,
    /// What is refused because another still uses it, as `delete A`.
    pub busy: Mutex<BTreeSet<String>>,
    /// The resources that are never as wanted yet.
    pub held: Mutex<BTreeSet<String>>,
    /// How often these were looked at in vain.
    pub looks: Mutex<u32>,
    /// When such a resource is to be looked at again; soon, unless said otherwise.
    pub pause: Mutex<Option<Duration>>,
    made: Mutex<u32>,
}

impl World {
    pub fn fail(&self, what: &str) {
        self.faults.lock().unwrap().insert(what.to_owned());
    }

    pub fn mend(&self) {
        self.faults.lock().unwrap().clear();
    }

    pub fn hold(&self, name: &str) {
        self.held.lock().unwrap().insert(name.to_owned());
    }

    pub fn release(&self) {
        self.held.lock().unwrap().clear();
    }

    pub fn done(&self) -> Vec<String> {
        std::mem::take(&mut *self.done.lock().unwrap())
    }

    /// The value of each thing by the name of its resource.
    pub fn values(&self) -> Vec<String> {
        let things = self.things.lock().unwrap();
        let mut values: Vec<String> = things
            .iter()
            .map(|(id, t)| {
                let value = t.properties.get("Value").and_then(|v| v.as_str()).unwrap_or("-");
                format!("{} {id} {value}", t.logical_id)
            })
            .collect();
        values.sort();
        values
    }

    fn act(&self, verb: &str, name: &str) -> Result<(), ServiceError> {
        let what = format!("{verb} {name}");
        if self.busy.lock().unwrap().contains(&what) {
            return Err(ServiceError::new("DependencyViolation", format!("{name} is in use")));
        }
        if self.faults.lock().unwrap().contains(&what) {
            return Err(ServiceError::new("Broken", format!("{what} is broken")));
        }
        self.done.lock().unwrap().push(what);
        Ok(())
    }
}

struct Handler(Arc<World>);

#[async_trait]
impl ResourceHandler for Handler {
    async fn find(
        &self,
        ctx: &ResourceCtx,
        _properties: &Properties,
    ) -> Result<Option<String>, ServiceError> {
        let things = self.0.things.lock().unwrap();
        Ok(things.iter().find(|(_, thing)| thing.token == ctx.token).map(|(id, _)| id.clone()))
    }

    async fn create(
        &self,
        ctx: &ResourceCtx,
        properties: &Properties,
    ) -> Result<String, ServiceError> {
        self.0.act("create", &ctx.logical_id)?;
        let mut made = self.0.made.lock().unwrap();
        *made += 1;
        let id = format!("thing-{made}");
        let thing = Thing {
            token: ctx.token.clone(),
            logical_id: ctx.logical_id.clone(),
            properties: properties.clone(),
            tags: ctx.tags.clone(),
        };
        let mut things = self.0.things.lock().unwrap();
        let twice = things.values().any(|other| other.token == ctx.token);
        things.insert(id.clone(), thing);
        drop(things);
        assert!(!twice, "{} was made twice", ctx.logical_id);
        Ok(id)
    }

    async fn settled(
        &self,
        ctx: &ResourceCtx,
        physical_id: &str,
        properties: &Properties,
    ) -> Result<Progress, ServiceError> {
        if self.0.held.lock().unwrap().contains(&ctx.logical_id) {
            *self.0.looks.lock().unwrap() += 1;
            let pause = *self.0.pause.lock().unwrap();
            return Ok(Progress::Wait(pause.unwrap_or(Duration::from_millis(20))));
        }
        let value = properties.get("Value").cloned().unwrap_or_else(|| json!(""));
        Ok(Progress::Done(Attributes::from([
            ("Arn".to_owned(), json!(format!("arn:{physical_id}"))),
            ("Value".to_owned(), value),
        ])))
    }

    async fn update(
        &self,
        ctx: &ResourceCtx,
        physical_id: &str,
        _old: &Properties,
        new: &Properties,
    ) -> Result<(), ServiceError> {
        self.0.act("update", &ctx.logical_id)?;
        let mut things = self.0.things.lock().unwrap();
        let thing = things.get_mut(physical_id).expect("the thing is there");
        thing.properties = new.clone();
        thing.tags = ctx.tags.clone();
        Ok(())
    }

    async fn delete(
        &self,
        ctx: &ResourceCtx,
        physical_id: &str,
        _properties: &Properties,
    ) -> Result<Progress, ServiceError> {
        if self.0.things.lock().unwrap().contains_key(physical_id) {
            self.0.act("delete", &ctx.logical_id)?;
            self.0.things.lock().unwrap().remove(physical_id);
        }
        Ok(Progress::Done(Attributes::new()))
    }
}

/// The services of a test's region.
pub fn services(world: &Arc<World>) -> Vec<ServiceDef> {
    let thing = |name: &'static str| ResourceType {
        name,
        properties: const {
            &[
                Property::new("Name").replaces(),
                Property::new("Value"),
                Property::new("Tags"),
                Property::new("Other"),
            ]
        },
        attributes: &["Arn", "Value"],
        handler: Arc::new(Handler(world.clone())),
    };
    // The owner of the types has no operation here, only its name.
    let owner = Service::new("sqs")
        .resource_type(thing("Test::Thing"))
        .resource_type(thing("AWS::IAM::Role"));
    vec![cloudformation::service().build(), owner.build()]
}

/// A region with things.
pub async fn cloud() -> (Cloud, Arc<World>) {
    let world = Arc::new(World::default());
    (Cloud::start(services(&world)).await, world)
}

pub fn create(name: &str, template: &str) -> CreateStackInput {
    CreateStackInput {
        stack_name: name.to_owned(),
        template_body: Some(template.to_owned()),
        ..CreateStackInput::default()
    }
}

pub fn update(name: &str, template: &str) -> UpdateStackInput {
    UpdateStackInput {
        stack_name: name.to_owned(),
        template_body: Some(template.to_owned()),
        ..UpdateStackInput::default()
    }
}

pub fn delete(name: &str) -> DeleteStackInput {
    DeleteStackInput { stack_name: name.to_owned(), ..DeleteStackInput::default() }
}

pub fn parameter(key: &str, value: &str) -> Parameter {
    Parameter {
        parameter_key: Some(key.to_owned()),
        parameter_value: Some(value.to_owned()),
        ..Parameter::default()
    }
}

pub async fn stack(client: &TestClient, name: &str) -> Option<Stack> {
    let input =
        DescribeStacksInput { stack_name: Some(name.to_owned()), ..DescribeStacksInput::default() };
    client.call(input).await.ok()?.stacks.pop()
}

/// Waits until the stack has this status, and gives it.
pub async fn reach(client: &TestClient, name: &str, status: StackStatus) -> Stack {
    poll::until(status.as_str(), || async {
        let found = stack(client, name).await?;
        let ended = !found.stack_status.as_str().ends_with("_IN_PROGRESS");
        assert!(
            !ended
                || found.stack_status == status
                || found.stack_status.as_str().ends_with("COMPLETE"),
            "waited for {status}: {found:?}"
        );
        (found.stack_status == status).then_some(found)
    })
    .await
}

/// Creates a stack and waits for its end.
pub async fn created(client: &TestClient, name: &str, template: &str) -> Stack {
    client.call(create(name, template)).await.unwrap();
    reach(client, name, StackStatus::CreateComplete).await
}

pub async fn events(client: &TestClient, name: &str) -> Vec<StackEvent> {
    let mut events = Vec::new();
    let mut next_token = None;
    loop {
        let input = DescribeStackEventsInput { stack_name: name.to_owned(), next_token };
        let page = client.call(input).await.unwrap();
        events.extend(page.stack_events);
        next_token = page.next_token;
        if next_token.is_none() {
            events.reverse();
            return events;
        }
    }
}

/// The events, oldest first: name, status and reason.
pub async fn told(client: &TestClient, name: &str) -> Vec<String> {
    let line = |event: StackEvent| {
        let status = event.resource_status.map_or("", |status| status.as_str());
        let reason = event.resource_status_reason.map_or(String::new(), |why| format!(": {why}"));
        format!("{} {status}{reason}", event.logical_resource_id.unwrap_or_default())
    };
    events(client, name).await.into_iter().map(line).collect()
}
