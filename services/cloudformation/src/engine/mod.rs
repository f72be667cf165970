//! The engine: carries out the operations on stacks.
//!
//! One task, keyed by stack. A run looks at the stack's status, which is the phase it is in, works
//! until the phase ends, writes the next status, and goes on until nothing is in progress. Every
//! step writes what it is about to do before it does it, with a token that makes a repetition find
//! what the first try made; so a run that begins after a crash does not differ from any other.

mod backward;
mod delete;
mod drive;
mod forward;
mod live;
mod outcome;
mod physical;
mod rolling;
mod signals;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use base::{AccountId, Arn, Timestamp};
use cloudformation_api::{ResourceStatus, StackStatus};
use kernel::{Client, Kernel, Next, ServiceError, Task, TaskCtx, TaskError};
use store::{Scope, ScopedStore, WriteTx};
use tokio_util::sync::CancellationToken;

use crate::error::Error;
use crate::event::{self, NewEvent};
use crate::store::{EXPORTS, RESOURCES, STACKS, Stack, StackResource};
use crate::template::Pseudo;

pub(crate) use rolling::check as check_update_policy;

/// The task's name.
pub(crate) const TASK: &str = "cloudformation.stacks";
/// How often a run looks whether its operation is to be given up.
const LOOK: Duration = Duration::from_millis(200);

/// The task.
pub(crate) fn task() -> Task<()> {
    Task::keyed(TASK, keys, run)
}

async fn keys(ctx: TaskCtx) -> Result<Vec<String>, TaskError> {
    let stacks = ctx.store.read(|tx| tx.scan_all(&STACKS)).await?;
    let busy = stacks.into_iter().map(|(_, stack)| stack).filter(Stack::in_progress);
    Ok(busy.map(|stack| stack.id).collect())
}

async fn run(ctx: TaskCtx, stack_id: String) -> Result<Next, TaskError> {
    let arn: Arn = stack_id.parse()?;
    let account: AccountId = arn.account.parse()?;
    let store = ctx.store.scoped(Scope::new(account.clone(), ctx.region.clone()));
    loop {
        let stack = store.read(|tx| tx.get(&STACKS, &stack_id)).await?;
        let Some(stack) = stack.filter(Stack::in_progress) else {
            return Ok(Next::Idle);
        };
        let operator = Operator::new(&ctx, store.clone(), account.clone(), stack).await?;
        match operator.phase().await {
            // Another operation took over; the next round sees which.
            Ok(()) | Err(Halt::Superseded) => {}
            Err(Halt::Store(error)) => return Err(error.into()),
        }
    }
}

/// Why a phase ended before its time.
#[derive(Debug)]
pub(super) enum Halt {
    /// Another operation has taken the stack over.
    Superseded,
    /// The store failed; the run is repeated.
    Store(store::Error),
}

impl From<store::Error> for Halt {
    fn from(error: store::Error) -> Self {
        Self::Store(error)
    }
}

/// One phase of one operation.
pub(super) struct Operator {
    pub(super) kernel: Arc<Kernel>,
    pub(super) store: ScopedStore,
    pub(super) account: AccountId,
    pub(super) stack: Stack,
    /// Calls as the one who deploys.
    pub(super) client: Result<Client, ServiceError>,
    /// The resources as last written.
    pub(super) rows: Mutex<BTreeMap<String, StackResource>>,
    /// Values that events do not show.
    hidden: Vec<String>,
    /// What other stacks export.
    pub(super) exports: BTreeMap<String, String>,
    /// Says that waiting steps are to stop.
    pub(super) stop: CancellationToken,
    /// Why, when that did not come from a failed resource.
    pub(super) stop_reason: Mutex<Option<String>>,
}

impl Operator {
    async fn new(
        ctx: &TaskCtx,
        store: ScopedStore,
        account: AccountId,
        stack: Stack,
    ) -> Result<Self, TaskError> {
        let (rows, exports) = store
            .read(|tx| {
                let rows = tx.scan(&RESOURCES, (stack.id.clone(),))?;
                Ok::<_, store::Error>((rows, tx.scan(&EXPORTS, ())?))
            })
            .await?;
        let kernel = ctx.kernel().clone();
        let client = crate::role::client(&kernel, &account, &stack).await;
        Ok(Self {
            kernel,
            store,
            account,
            client,
            hidden: crate::request::hidden_values(&stack.deployment),
            rows: Mutex::new(rows.into_iter().map(|row| (row.logical_id.clone(), row)).collect()),
            exports: exports
                .into_iter()
                .filter(|export| export.stack != stack.id)
                .map(|export| (export.name, export.value))
                .collect(),
            stack,
            stop: CancellationToken::new(),
            stop_reason: Mutex::new(None),
        })
    }

    async fn phase(&self) -> Result<(), Halt> {
        match self.stack.status {
            StackStatus::CreateInProgress => self.create().await,
            StackStatus::UpdateInProgress => self.update().await,
            StackStatus::UpdateRollbackInProgress => self.roll_back_update().await,
            StackStatus::UpdateCompleteCleanupInProgress => {
                self.clean_up(StackStatus::UpdateComplete).await
            }
            StackStatus::UpdateRollbackCompleteCleanupInProgress => {
                self.clean_up(StackStatus::UpdateRollbackComplete).await
            }
            StackStatus::RollbackInProgress => self.roll_back_create().await,
            StackStatus::DeleteInProgress => self.delete().await,
            StackStatus::CreateFailed
            | StackStatus::CreateComplete
            | StackStatus::RollbackFailed
            | StackStatus::RollbackComplete
            | StackStatus::DeleteFailed
            | StackStatus::DeleteComplete
            | StackStatus::UpdateComplete
            | StackStatus::UpdateFailed
            | StackStatus::UpdateRollbackFailed
            | StackStatus::UpdateRollbackComplete
            | StackStatus::ReviewInProgress
            | StackStatus::ImportInProgress
            | StackStatus::ImportComplete
            | StackStatus::ImportRollbackInProgress
            | StackStatus::ImportRollbackFailed
            | StackStatus::ImportRollbackComplete => Err(Halt::Superseded),
        }
    }

    pub(super) fn now(&self) -> Timestamp {
        self.kernel.clock().now()
    }

    pub(super) fn pseudo(&self) -> Pseudo {
        Pseudo {
            account: self.account.to_string(),
            region: self.kernel.region().to_string(),
            stack_id: self.stack.id.clone(),
            stack_name: self.stack.name.clone(),
            notification_arns: Vec::new(),
        }
    }

    /// The row of a resource, if the stack has one.
    pub(super) fn row(&self, name: &str) -> Option<StackResource> {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }

    /// All rows.
    pub(super) fn all_rows(&self) -> Vec<StackResource> {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    /// Writes a row and, where its status is news, an event. The stack must still be ours.
    pub(super) async fn write_row(
        &self,
        mut row: StackResource,
        news: Option<Option<String>>,
    ) -> Result<(), Halt> {
        row.updated = self.now();
        row.reason = news.clone().flatten();
        let event = news.map(|reason| {
            self.event(&row.logical_id, &row.kind, row.status, reason)
                .physical(row.current.physical_id.clone())
                .properties(self.shown_properties(&row))
        });
        self.write(|tx, _| {
            tx.put(&RESOURCES, &row)?;
            if let Some(event) = &event {
                event::append(tx, event)?;
            }
            Ok(())
        })
        .await?;
        let mut rows = self.rows.lock().unwrap_or_else(PoisonError::into_inner);
        rows.insert(row.logical_id.clone(), row);
        Ok(())
    }

    /// The properties as events show them, without the values of parameters that are not shown.
    fn shown_properties(&self, row: &StackResource) -> Option<String> {
        let text = serde_json::to_string(&row.current.properties).ok()?;
        Some(self.hidden.iter().fold(text, |text, value| text.replace(value, "****")))
    }

    /// An event of this operation.
    pub(super) fn event(
        &self,
        logical_id: &str,
        kind: &str,
        status: ResourceStatus,
        reason: Option<String>,
    ) -> NewEvent {
        NewEvent {
            stack: self.stack.id.clone(),
            operation: self.stack.operation.id.clone(),
            logical_id: logical_id.to_owned(),
            physical_id: None,
            kind: kind.to_owned(),
            status,
            reason,
            properties: None,
            token: self.stack.operation.token.clone(),
            at: self.now(),
            uuid: self.kernel.random().uuid(),
        }
    }

    /// Runs `work` in a transaction in which the stack is still this operation's.
    pub(super) async fn write<T: Send>(
        &self,
        mut work: impl FnMut(&mut WriteTx<'_>, &mut Stack) -> Result<T, store::Error> + Send,
    ) -> Result<T, Halt> {
        self.store
            .write(|tx| {
                let stack = tx.get(&STACKS, &self.stack.id)?;
                let mut stack = stack
                    .filter(|stack| stack.operation.id == self.stack.operation.id)
                    .filter(|stack| stack.status == self.stack.status)
                    .ok_or(Halt::Superseded)?;
                Ok(work(tx, &mut stack)?)
            })
            .await
    }

    /// Gives the stack its next status, with whatever else `also` changes; or lets the deletion
    /// begin that waits for this operation to stop.
    pub(super) async fn advance(
        &self,
        status: StackStatus,
        reason: Option<String>,
        mut also: impl FnMut(&mut WriteTx<'_>, &mut Stack) -> Result<(), store::Error> + Send,
    ) -> Result<(), Halt> {
        let now = self.now();
        let uuid = self.kernel.random().uuid();
        self.write(|tx, stack| {
            if let Some(deletion) = stack.pending.take() {
                stack.begin(deletion, StackStatus::DeleteInProgress, None);
            } else {
                stack.status = status;
                stack.reason.clone_from(&reason);
                also(tx, stack)?;
            }
            stack.updated = Some(now);
            stack.operation.cancelled = None;
            tx.put(&STACKS, stack)?;
            event::append(tx, &event::of_stack(stack, now, uuid.clone()))
        })
        .await
    }

    /// Waits until somebody or the clock says that the operation is to be given up.
    pub(super) async fn given_up(&self) -> String {
        loop {
            tokio::time::sleep(LOOK).await;
            let found = self.store.read(|tx| tx.get(&STACKS, &self.stack.id)).await;
            let Ok(found) = found else {
                continue;
            };
            let ours = found.filter(|stack| stack.operation.id == self.stack.operation.id);
            let Some(stack) = ours.filter(|stack| stack.status == self.stack.status) else {
                return String::new();
            };
            if let Some(reason) = stack.operation.cancelled {
                return reason;
            }
            let minutes = self.stack.timeout_minutes.and_then(|m| u64::try_from(m).ok());
            let creating = self.stack.status == StackStatus::CreateInProgress;
            if let Some(minutes) = minutes.filter(|_| creating) {
                let end = stack.operation.started + Duration::from_secs(minutes * 60);
                if self.now() >= end {
                    return "Stack creation time exceeded the specified timeout.".to_owned();
                }
            }
        }
    }

    /// The client of the operation, or why there is none.
    pub(super) fn client(&self) -> Result<&Client, ServiceError> {
        self.client.as_ref().map_err(Clone::clone)
    }
}

/// An error of the service's own functions as the reason of a failed step.
pub(super) fn reason(error: &Error) -> String {
    error.to_string()
}
