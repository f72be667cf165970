//! Making a stack what its template says: the forward phase of creation and update.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

use cloudformation_api::{OnFailure as Wish, ResourceStatus, StackStatus};
use serde_json::{Map, Value};

use super::drive::{Failure, OnFailure};
use super::live::Live;
use super::physical::{Reason, Settled};
use super::{Halt, Operator, reason, rolling, signals};
use crate::error::Error;
use crate::store::{Incarnation, StackResource};
use crate::template::{Evaluator, Graph, Inputs, Pseudo, Resource, Template, TemplateError};

/// How long a token is; some services take no more than 32 to 64 characters.
const TOKEN_CHARS: usize = 32;

/// What a stack is to become.
pub(super) struct Goal {
    pub(super) template: Template,
    pub(super) inputs: Inputs,
    pub(super) pseudo: Pseudo,
    conditions: BTreeMap<String, bool>,
    graph: Graph,
    /// The exports that were asked for.
    pub(super) imported: Mutex<BTreeSet<String>>,
}

/// The values of a resource's declaration.
struct Evaluated {
    properties: Map<String, Value>,
    metadata: Option<Value>,
    update_policy: Option<Value>,
}

/// How a step on a resource is called in its status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verb {
    Create,
    Update,
}

impl Verb {
    fn in_progress(self) -> ResourceStatus {
        match self {
            Self::Create => ResourceStatus::CreateInProgress,
            Self::Update => ResourceStatus::UpdateInProgress,
        }
    }

    fn complete(self) -> ResourceStatus {
        match self {
            Self::Create => ResourceStatus::CreateComplete,
            Self::Update => ResourceStatus::UpdateComplete,
        }
    }

    fn failed(self) -> ResourceStatus {
        match self {
            Self::Create => ResourceStatus::CreateFailed,
            Self::Update => ResourceStatus::UpdateFailed,
        }
    }

    fn cancelled(self) -> String {
        match self {
            Self::Create => "Resource creation cancelled".to_owned(),
            Self::Update => "Resource update cancelled".to_owned(),
        }
    }
}

impl Operator {
    /// The phase `CREATE_IN_PROGRESS`.
    pub(super) async fn create(&self) -> Result<(), Halt> {
        let failure = match self.forward().await? {
            Ok(goal) => match self.finish(&goal, StackStatus::CreateComplete).await? {
                Ok(()) => return Ok(()),
                Err(reason) => reason,
            },
            Err(reason) => reason,
        };
        let (status, wish) = match self.stack.operation.on_failure {
            Wish::DoNothing => (StackStatus::CreateFailed, None),
            Wish::Rollback => (StackStatus::RollbackInProgress, Some("Rollback")),
            Wish::Delete => (StackStatus::DeleteInProgress, Some("Delete")),
        };
        let wish = wish.map(|wish| format!(" {wish} requested by user.")).unwrap_or_default();
        self.advance(status, Some(format!("{failure}{wish}")), |_, _| Ok(())).await
    }

    /// The phase `UPDATE_IN_PROGRESS`.
    pub(super) async fn update(&self) -> Result<(), Halt> {
        let next = StackStatus::UpdateCompleteCleanupInProgress;
        let failure = match self.forward().await? {
            Ok(goal) => match self.finish(&goal, next).await? {
                Ok(()) => return Ok(()),
                Err(reason) => reason,
            },
            Err(reason) => reason,
        };
        let status = match self.stack.operation.on_failure {
            Wish::DoNothing => StackStatus::UpdateFailed,
            Wish::Rollback | Wish::Delete => StackStatus::UpdateRollbackInProgress,
        };
        self.advance(status, Some(failure), |_, _| Ok(())).await
    }

    /// Works through the template; the reason of the stack's failure when one failed.
    async fn forward(&self) -> Result<Result<Goal, Reason>, Halt> {
        let goal = match self.goal() {
            Ok(goal) => goal,
            Err(error) => return Ok(Err(reason(&error))),
        };
        if let Some(failure) = self.refuse_misnamed(&goal).await? {
            return Ok(Err(failure));
        }
        let work = |name| self.deploy(&goal, name);
        let failed = self.drive(&goal.graph, OnFailure::Stop, work).await?;
        if !failed.is_empty() {
            return Ok(Err(self.failure_of(&failed)));
        }
        let stopped = self.stop_reason.lock().unwrap_or_else(PoisonError::into_inner).clone();
        match stopped {
            // Nobody but another operation stops a phase without saying why.
            Some(why) if why.is_empty() => Err(Halt::Superseded),
            Some(why) => Ok(Err(why)),
            None => Ok(Ok(goal)),
        }
    }

    fn failure_of(&self, failed: &[String]) -> Reason {
        let verb =
            if self.stack.status == StackStatus::CreateInProgress { "create" } else { "update" };
        format!("The following resource(s) failed to {verb}: [{}].", failed.join(", "))
    }

    fn goal(&self) -> Result<Goal, Error> {
        let deployment = &self.stack.deployment;
        let template = crate::request::read(&deployment.template, &self.kernel)?;
        let inputs = crate::request::inputs_of(&template, deployment)?;
        let pseudo = self.pseudo();
        let imported = Mutex::new(BTreeSet::new());
        let live = Live { operator: self, imported: &imported };
        let conditions = Evaluator::new(&template, &inputs, &pseudo, &live)?.conditions().clone();
        let graph = Graph::new(&template, &conditions)?;
        Ok(Goal { template, inputs, pseudo, conditions, graph, imported })
    }

    /// Fails the resources whose properties the types do not have, before anything is made.
    async fn refuse_misnamed(&self, goal: &Goal) -> Result<Option<Reason>, Halt> {
        let mut failed = Vec::new();
        for (name, declared) in goal.existing() {
            let names = declared.properties.keys().map(String::as_str).collect();
            let Some(fault) = self.misnamed(name, &declared.kind, &names) else {
                continue;
            };
            let (verb, mut row) = match self.row(name) {
                Some(row) => (Verb::Update, row),
                None => (Verb::Create, self.new_row(name, declared, Map::new(), BTreeSet::new())),
            };
            row.status = verb.failed();
            self.write_row(row, Some(Some(fault))).await?;
            failed.push(name.clone());
        }
        Ok((!failed.is_empty()).then(|| self.failure_of(&failed)))
    }

    fn new_row(
        &self,
        name: &str,
        declared: &Resource,
        properties: Map<String, Value>,
        needs: BTreeSet<String>,
    ) -> StackResource {
        StackResource {
            stack: self.stack.id.clone(),
            logical_id: name.to_owned(),
            kind: declared.kind.clone(),
            status: ResourceStatus::CreateInProgress,
            reason: None,
            updated: self.now(),
            current: self.incarnation(name, declared, properties, needs),
            before: None,
            added_by: Some(self.stack.operation.id.clone()),
            done_by: None,
        }
    }

    /// The token of what this operation makes under `name`: the same in every try.
    fn token(&self, name: &str) -> String {
        let whole = kernel::token::fingerprint(&(&self.stack.id, &self.stack.operation.id, name));
        whole.chars().take(TOKEN_CHARS).collect()
    }

    fn incarnation(
        &self,
        name: &str,
        declared: &Resource,
        properties: Map<String, Value>,
        needs: BTreeSet<String>,
    ) -> Incarnation {
        Incarnation {
            token: self.token(name),
            physical_id: None,
            properties,
            attributes: BTreeMap::new(),
            declared: declared.body.clone(),
            needs,
            metadata: None,
            update_policy: None,
            tags: self.stack.deployment.tags.clone(),
        }
    }

    /// Makes one resource what the template says.
    async fn deploy(&self, goal: &Goal, name: String) -> Result<(), Failure> {
        let Some(declared) = goal.template.resources.get(&name) else {
            return Ok(());
        };
        let operation = Some(&self.stack.operation.id);
        let Some(row) = self.row(&name) else {
            return self.begin_creation(goal, &name, declared).await;
        };
        if row.done_by.as_ref() == operation {
            return Ok(());
        }
        if row.status == ResourceStatus::CreateInProgress {
            return self.bring_up(goal, row, Verb::Create, true).await;
        }
        if row.status == ResourceStatus::CreateFailed {
            return self.begin_again(goal, &name, declared, row).await;
        }
        if row.status != ResourceStatus::UpdateInProgress {
            return self.begin_update(goal, &name, declared, row).await;
        }
        if row.before.as_ref().is_some_and(|before| before.token != row.current.token) {
            return self.bring_up(goal, row, Verb::Update, true).await;
        }
        self.alter(row).await
    }

    async fn begin_creation(
        &self,
        goal: &Goal,
        name: &str,
        declared: &Resource,
    ) -> Result<(), Failure> {
        let needs = goal.graph.needs(name);
        let mut row = self.new_row(name, declared, Map::new(), needs);
        match self.evaluated(goal, declared) {
            Ok(found) => {
                row.current.properties = found.properties;
                row.current.metadata = found.metadata;
                row.current.update_policy = found.update_policy;
            }
            Err(fault) => return self.fail(row, Verb::Create, fault).await,
        }
        self.write_row(row.clone(), Some(None)).await?;
        self.bring_up(goal, row, Verb::Create, false).await
    }

    /// Makes a resource anew whose creation failed in an operation that was not rolled back.
    async fn begin_again(
        &self,
        goal: &Goal,
        name: &str,
        declared: &Resource,
        row: StackResource,
    ) -> Result<(), Failure> {
        if let Err(fault) = self.unmake(name, &row.kind, &row.current).await {
            return self.fail(row, Verb::Create, fault).await;
        }
        self.begin_creation(goal, name, declared).await
    }

    async fn begin_update(
        &self,
        goal: &Goal,
        name: &str,
        declared: &Resource,
        mut row: StackResource,
    ) -> Result<(), Failure> {
        let Evaluated { properties, metadata, update_policy } = match self.evaluated(goal, declared)
        {
            Ok(found) => found,
            Err(fault) => return self.fail(row, Verb::Update, fault).await,
        };
        let old = row.current.clone();
        let mut new = Incarnation {
            declared: declared.body.clone(),
            needs: goal.graph.needs(name),
            metadata,
            update_policy,
            tags: self.stack.deployment.tags.clone(),
            ..old.clone()
        };
        let taggable = crate::schema::taggable(&self.kernel, &row.kind);
        let same_tags = !taggable || old.tags == new.tags;
        if properties == old.properties && same_tags && row.status != ResourceStatus::UpdateFailed {
            row.current = new;
            row.before.get_or_insert(old);
            row.done_by = Some(self.stack.operation.id.clone());
            self.write_row(row, None).await?;
            return Ok(());
        }
        row.status = ResourceStatus::UpdateInProgress;
        let replace = self.must_replace(&row.kind, &old.properties, &properties);
        new.properties = properties;
        if replace {
            new.token = self.token(name);
            new.physical_id = None;
            new.attributes = BTreeMap::new();
        }
        row.before.get_or_insert(old);
        row.current = new;
        let why = replace.then(|| {
            "Requested update requires the creation of a new physical resource; hence creating one."
                .to_owned()
        });
        self.write_row(row.clone(), Some(why)).await?;
        if replace {
            self.bring_up(goal, row, Verb::Update, false).await
        } else {
            self.alter(row).await
        }
    }

    /// Makes the row's current incarnation and waits until it is as wanted.
    async fn bring_up(
        &self,
        goal: &Goal,
        mut row: StackResource,
        verb: Verb,
        resumed: bool,
    ) -> Result<(), Failure> {
        if row.current.physical_id.is_none() {
            match self.make(&row, resumed).await {
                Ok(physical_id) => row.current.physical_id = Some(physical_id),
                Err(fault) => return self.fail(row, verb, fault).await,
            }
            row.status = verb.in_progress();
            let initiated = "Resource creation Initiated".to_owned();
            self.write_row(row.clone(), Some(Some(initiated))).await?;
        }
        let waits = match self.signals_of(goal, &row.logical_id) {
            Ok(waits) => waits,
            Err(fault) => return self.fail(row, verb, fault).await,
        };
        // What signals is already running while the service still reports it as on its way.
        if let Some(wanted) = waits {
            match self.await_signals(&row, wanted).await {
                Ok(Ok(())) => {}
                Ok(Err(fault)) => return self.fail(row, verb, fault).await,
                Err(Failure::Stopped) => return self.cancel(row, verb).await,
                Err(other) => return Err(other),
            }
        }
        self.conclude(row, verb).await
    }

    /// Changes the row's resource in place and waits until it is as wanted.
    async fn alter(&self, row: StackResource) -> Result<(), Failure> {
        let old = row.before.as_ref().map(|before| before.properties.clone()).unwrap_or_default();
        if let Err(fault) = self.change(&row, &old).await {
            return self.fail(row, Verb::Update, fault).await;
        }
        match self.roll_if_outdated(&row, &old).await {
            Ok(Ok(())) => self.conclude(row, Verb::Update).await,
            Ok(Err(fault)) => self.fail(row, Verb::Update, fault).await,
            Err(Failure::Stopped) => self.cancel(row, Verb::Update).await,
            Err(other) => Err(other),
        }
    }

    /// Replaces a group's instances where its update policy asks for it.
    pub(super) async fn roll_if_outdated(
        &self,
        row: &StackResource,
        old: &Map<String, Value>,
    ) -> Result<Result<(), Reason>, Failure> {
        match rolling::wanted(row.current.update_policy.as_ref()) {
            Ok(Some(rolling)) if rolling::outdates(old, &row.current.properties) => {
                self.roll(row, rolling).await
            }
            Ok(_) => Ok(Ok(())),
            Err(fault) => Ok(Err(fault)),
        }
    }

    async fn conclude(&self, mut row: StackResource, verb: Verb) -> Result<(), Failure> {
        match self.settle(&row).await {
            Ok(Settled::Done(attributes)) => {
                row.current.attributes = attributes;
                row.status = verb.complete();
                row.done_by = Some(self.stack.operation.id.clone());
                self.write_row(row, Some(None)).await?;
                Ok(())
            }
            Ok(Settled::Stopped) => self.cancel(row, verb).await,
            Err(fault) => self.fail(row, verb, fault).await,
        }
    }

    async fn fail(&self, mut row: StackResource, verb: Verb, why: Reason) -> Result<(), Failure> {
        row.status = verb.failed();
        self.write_row(row, Some(Some(why))).await?;
        Err(Failure::Failed)
    }

    async fn cancel(&self, mut row: StackResource, verb: Verb) -> Result<(), Failure> {
        row.status = verb.failed();
        self.write_row(row, Some(Some(verb.cancelled()))).await?;
        Err(Failure::Stopped)
    }

    /// The values of a resource's properties, metadata and update policy.
    fn evaluated(&self, goal: &Goal, declared: &Resource) -> Result<Evaluated, Reason> {
        let live = Live { operator: self, imported: &goal.imported };
        let evaluate = || -> Result<_, TemplateError> {
            let evaluator = Evaluator::new(&goal.template, &goal.inputs, &goal.pseudo, &live)?;
            let value = |part: &Option<Value>| {
                part.as_ref().map_or(Ok(None), |value| evaluator.evaluate(value))
            };
            Ok(Evaluated {
                properties: evaluator.properties(declared)?,
                metadata: value(&declared.metadata)?,
                update_policy: value(&declared.update_policy)?,
            })
        };
        evaluate().map_err(|fault| fault.to_string())
    }

    fn signals_of(&self, goal: &Goal, name: &str) -> Result<Option<signals::Wanted>, Reason> {
        let declared = goal.template.resources.get(name);
        let Some(policy) = declared.and_then(|declared| declared.creation_policy.as_ref()) else {
            return Ok(None);
        };
        let live = Live { operator: self, imported: &goal.imported };
        let evaluate = || -> Result<_, TemplateError> {
            Evaluator::new(&goal.template, &goal.inputs, &goal.pseudo, &live)?.evaluate(policy)
        };
        let policy = evaluate().map_err(|fault| fault.to_string())?;
        policy.as_ref().map_or(Ok(None), signals::wanted)
    }
}

impl Goal {
    /// The resources that exist under the conditions.
    pub(super) fn existing(&self) -> impl Iterator<Item = (&String, &Resource)> {
        let holds = |resource: &Resource| {
            resource.condition.as_ref().is_none_or(|name| self.conditions.get(name) == Some(&true))
        };
        self.template.resources.iter().filter(move |(_, resource)| holds(resource))
    }
}
