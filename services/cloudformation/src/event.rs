//! The events of stacks.

use std::ops::ControlFlow;

use base::{Random, Timestamp};
use cloudformation_api::{
    DescribeStackEventsInput, DescribeStackEventsOutput, ResourceStatus, StackEvent as Shown,
};
use kernel::Ctx;
use store::WriteTx;

use crate::error::{Error, Result};
use crate::stack::find;
use crate::store::{EVENTS, Stack, StackEvent};

/// How many events an answer has.
const PAGE: usize = 100;
/// The type of stacks in events.
pub(crate) const STACK_TYPE: &str = "AWS::CloudFormation::Stack";

/// An event that is about to be written.
#[derive(Debug, Clone)]
pub(crate) struct NewEvent {
    pub(crate) stack: String,
    pub(crate) operation: String,
    pub(crate) logical_id: String,
    pub(crate) physical_id: Option<String>,
    pub(crate) kind: String,
    pub(crate) status: ResourceStatus,
    pub(crate) reason: Option<String>,
    pub(crate) properties: Option<String>,
    pub(crate) token: Option<String>,
    pub(crate) at: Timestamp,
    pub(crate) uuid: String,
}

impl NewEvent {
    pub(crate) fn physical(self, physical_id: Option<String>) -> Self {
        Self { physical_id, ..self }
    }

    pub(crate) fn properties(self, properties: Option<String>) -> Self {
        Self { properties, ..self }
    }
}

/// The event that says what a stack's status has become.
pub(crate) fn of_stack(stack: &Stack, at: Timestamp, uuid: String) -> NewEvent {
    NewEvent {
        stack: stack.id.clone(),
        operation: stack.operation.id.clone(),
        logical_id: stack.name.clone(),
        physical_id: Some(stack.id.clone()),
        kind: STACK_TYPE.to_owned(),
        status: resource_status(stack),
        reason: stack.reason.clone(),
        properties: None,
        token: stack.operation.token.clone(),
        at,
        uuid,
    }
}

/// A stack's status in its events, which know fewer.
fn resource_status(stack: &Stack) -> ResourceStatus {
    let text = stack.status.as_str();
    // `UPDATE_COMPLETE_CLEANUP_IN_PROGRESS` and its kin are shown as they are on AWS, which the
    // model's enumeration of resource statuses does not list.
    let text = match text {
        "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS" => "UPDATE_IN_PROGRESS",
        "UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS" => "UPDATE_ROLLBACK_IN_PROGRESS",
        "REVIEW_IN_PROGRESS" => "CREATE_IN_PROGRESS",
        other => other,
    };
    text.parse().unwrap_or_default()
}

/// Appends an event to its stack's.
pub(crate) fn append(tx: &mut WriteTx<'_>, event: &NewEvent) -> Result<(), store::Error> {
    let mut last = 0;
    tx.for_each_back(&EVENTS, (event.stack.clone(),), |newest: StackEvent| {
        last = newest.number;
        Ok::<_, store::Error>(ControlFlow::Break(()))
    })?;
    let id = if event.kind == STACK_TYPE {
        event.uuid.clone()
    } else {
        let at = event.at.to_string();
        format!("{}-{}-{at}", event.logical_id, event.status)
    };
    tx.put(
        &EVENTS,
        &StackEvent {
            stack: event.stack.clone(),
            number: last + 1,
            id,
            operation: event.operation.clone(),
            logical_id: event.logical_id.clone(),
            physical_id: event.physical_id.clone(),
            kind: event.kind.clone(),
            status: event.status,
            reason: event.reason.clone(),
            properties: event.properties.clone(),
            token: event.token.clone(),
            at: event.at,
        },
    )
}

/// An event that a handler writes about a stack.
pub(crate) fn now_of_stack(stack: &Stack, at: Timestamp, random: &dyn Random) -> NewEvent {
    of_stack(stack, at, random.uuid())
}

/// Shows the events of a stack, newest first.
///
/// AWS: DescribeStackEvents.
///
/// # Errors
///
/// [`Error::Validation`] when there is no such stack.
pub(crate) async fn describe_stack_events(
    ctx: Ctx,
    input: DescribeStackEventsInput,
) -> Result<DescribeStackEventsOutput> {
    let before: Option<i64> = match &input.next_token {
        None => None,
        Some(token) => {
            Some(token.parse().map_err(|_| Error::validation("NextToken is not valid"))?)
        }
    };
    ctx.store
        .read(|tx| {
            let stack = find(tx, &input.stack_name)?;
            let mut events: Vec<StackEvent> = Vec::new();
            tx.for_each_back(&EVENTS, (stack.id.clone(),), |event: StackEvent| {
                if before.is_none_or(|before| event.number < before) {
                    events.push(event);
                }
                let full = events.len() > PAGE;
                Ok::<_, store::Error>(if full {
                    ControlFlow::Break(())
                } else {
                    ControlFlow::Continue(())
                })
            })?;
            let more = events.len() > PAGE;
            events.truncate(PAGE);
            let last = events.last().map(|event| event.number.to_string());
            Ok(DescribeStackEventsOutput {
                next_token: last.filter(|_| more),
                stack_events: events.into_iter().map(|event| shown(event, &stack.name)).collect(),
            })
        })
        .await
}

fn shown(event: StackEvent, stack_name: &str) -> Shown {
    Shown {
        stack_id: event.stack,
        event_id: event.id,
        stack_name: stack_name.to_owned(),
        operation_id: Some(event.operation),
        logical_resource_id: Some(event.logical_id),
        physical_resource_id: Some(event.physical_id.unwrap_or_default()),
        resource_type: Some(event.kind),
        timestamp: event.at,
        resource_status: Some(event.status),
        resource_status_reason: event.reason,
        resource_properties: event.properties,
        client_request_token: event.token,
        ..Shown::default()
    }
}
