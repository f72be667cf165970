//! Several steps that must all happen or be undone. A workflow's place is kept in the store after
//! each step, so that a restart goes on where it stood; a step may therefore run twice.

use std::future::Future;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use store::{Record, Table};

use crate::ServiceError;
use crate::ctx::Ctx;
use crate::service::BoxFuture;

/// Where a workflow stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// The workflow's own id.
    pub id: String,
    /// How many steps are done.
    pub done: usize,
    /// Whether it goes backwards, and why.
    pub undoing: Option<String>,
    /// What the steps have found out so far.
    pub data: Json,
}

impl Record for Progress {
    type Key = String;

    fn key(&self) -> String {
        self.id.clone()
    }
}

/// The table of workflows that are under way.
pub const WORKFLOWS: Table<Progress> = Table::new("kernel.workflows");

type StepFn<S> =
    Arc<dyn Fn(Ctx<S>, Json) -> BoxFuture<'static, Result<Json, ServiceError>> + Send + Sync>;

struct Step<S> {
    name: &'static str,
    act: StepFn<S>,
    undo: StepFn<S>,
}

/// A list of steps, each with its undo.
pub struct Workflow<S = ()> {
    steps: Vec<Step<S>>,
}

/// How a workflow ended.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// Every step was done; the data.
    Done(Json),
    /// A step failed and those before it were undone; why.
    Undone(String),
}

impl<S: Send + Sync + 'static> Default for Workflow<S> {
    fn default() -> Self {
        Self { steps: Vec::new() }
    }
}

impl<S: Send + Sync + 'static> Workflow<S> {
    /// Adds a step: `act` takes the data and gives it back changed, `undo` takes it back.
    #[must_use]
    pub fn step<A, AR, U, UR>(mut self, name: &'static str, act: A, undo: U) -> Self
    where
        A: Fn(Ctx<S>, Json) -> AR + Send + Sync + Copy + 'static,
        AR: Future<Output = Result<Json, ServiceError>> + Send + 'static,
        U: Fn(Ctx<S>, Json) -> UR + Send + Sync + Copy + 'static,
        UR: Future<Output = Result<Json, ServiceError>> + Send + 'static,
    {
        self.steps.push(Step {
            name,
            act: Arc::new(move |ctx, data| Box::pin(act(ctx, data))),
            undo: Arc::new(move |ctx, data| Box::pin(undo(ctx, data))),
        });
        self
    }

    /// Runs the workflow `id` from the start, or from where it stood.
    ///
    /// # Errors
    ///
    /// When the store fails or an undo does; run it again then.
    pub async fn run(&self, ctx: &Ctx<S>, id: &str, data: Json) -> Result<Outcome, ServiceError> {
        let key = id.to_owned();
        let kept =
            ctx.store.read(|tx| tx.get(&WORKFLOWS, &key)).await.map_err(ServiceError::internal)?;
        let mut at = kept.unwrap_or(Progress { id: id.to_owned(), done: 0, undoing: None, data });
        while at.undoing.is_none() {
            let Some(step) = self.steps.get(at.done) else { break };
            match (step.act)(ctx.clone(), at.data.clone()).await {
                Ok(data) => at = Progress { data, done: at.done + 1, ..at },
                Err(error) => {
                    tracing::info!(workflow = id, step = step.name, %error, "undoing");
                    at.undoing = Some(error.message);
                }
            }
            self.keep(ctx, &at).await?;
        }
        while at.undoing.is_some() && at.done > 0 {
            let Some(step) = self.steps.get(at.done - 1) else { break };
            let data = (step.undo)(ctx.clone(), at.data.clone()).await?;
            at = Progress { data, done: at.done - 1, ..at };
            self.keep(ctx, &at).await?;
        }
        let key = id.to_owned();
        ctx.store
            .write(move |tx| tx.delete(&WORKFLOWS, &key))
            .await
            .map_err(ServiceError::internal)?;
        Ok(match at.undoing {
            Some(why) => Outcome::Undone(why),
            None => Outcome::Done(at.data),
        })
    }

    async fn keep(&self, ctx: &Ctx<S>, at: &Progress) -> Result<(), ServiceError> {
        let at = at.clone();
        ctx.store.write(move |tx| tx.put(&WORKFLOWS, &at)).await.map_err(ServiceError::internal)
    }
}
