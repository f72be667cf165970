//! Stacks and their resources as the API shows them.

use cloudformation_api::{
    DescribeStackResourceInput, DescribeStackResourceOutput, DescribeStackResourcesInput,
    DescribeStackResourcesOutput, DescribeStacksInput, DescribeStacksOutput,
    ListStackResourcesInput, ListStackResourcesOutput, ListStacksInput, ListStacksOutput,
    OperationEntry, Output, Stack as Shown, StackDriftInformation, StackDriftInformationSummary,
    StackDriftStatus, StackResource as ShownResource, StackResourceDetail,
    StackResourceDriftInformation, StackResourceDriftInformationSummary, StackResourceDriftStatus,
    StackResourceSummary, StackStatus, StackSummary,
};
use kernel::Ctx;
use kernel::paging::page;
use store::ReadTx;

use crate::error::{Error, Result};
use crate::request::{shown_capabilities, shown_parameters, shown_tags};
use crate::stack::find;
use crate::store::{RESOURCES, STACKS, Stack, StackResource};
use crate::template::{Template, parse};

/// How many stacks or resources an answer has.
const PAGE: usize = 100;

/// Shows stacks: one by its name or id, or all that are not deleted.
///
/// AWS: DescribeStacks.
///
/// # Errors
///
/// [`Error::Validation`] when the one that is named does not exist.
pub(crate) async fn describe_stacks(
    ctx: Ctx,
    input: DescribeStacksInput,
) -> Result<DescribeStacksOutput> {
    if let Some(name) = &input.stack_name {
        let stack = ctx.store.read(|tx| find(tx, name)).await?;
        return Ok(DescribeStacksOutput { stacks: vec![shown(stack)], next_token: None });
    }
    let all = ctx.store.read(|tx| Ok::<_, Error>(tx.scan(&STACKS, ())?)).await?;
    let live: Vec<Stack> = all.into_iter().filter(|stack| stack.deleted.is_none()).collect();
    let page = page(live, input.next_token.as_deref(), PAGE, |stack| stack.id.clone())
        .map_err(|fault| Error::validation(fault.to_string()))?;
    let stacks = page.items.into_iter().map(shown).collect();
    Ok(DescribeStacksOutput { stacks, next_token: page.next })
}

fn shown(stack: Stack) -> Shown {
    let description = template_of(&stack).and_then(|template| template.description);
    let outputs = stack.outputs.iter().map(|output| Output {
        output_key: Some(output.key.clone()),
        output_value: Some(output.value.clone()),
        description: output.description.clone(),
        export_name: output.export.clone(),
    });
    Shown {
        outputs: outputs.collect(),
        parameters: shown_parameters(&stack.deployment),
        capabilities: shown_capabilities(&stack.deployment),
        tags: shown_tags(&stack.deployment.tags),
        last_operations: last_operations(&stack),
        stack_id: Some(stack.id),
        stack_name: stack.name,
        change_set_id: stack.change_set,
        description,
        creation_time: stack.created,
        deletion_time: stack.deleted,
        last_updated_time: stack.updated,
        stack_status: stack.status,
        stack_status_reason: stack.reason,
        disable_rollback: Some(stack.disable_rollback),
        timeout_in_minutes: stack.timeout_minutes,
        role_arn: stack.deployment.role,
        enable_termination_protection: Some(stack.termination_protection),
        drift_information: Some(StackDriftInformation {
            stack_drift_status: StackDriftStatus::NotChecked,
            last_check_timestamp: None,
        }),
        ..Shown::default()
    }
}

fn last_operations(stack: &Stack) -> Vec<OperationEntry> {
    let entries = stack.history.iter().take(1);
    entries
        .map(|(kind, id)| OperationEntry {
            operation_type: kind.parse().ok(),
            operation_id: Some(id.clone()),
        })
        .collect()
}

fn template_of(stack: &Stack) -> Option<Template> {
    parse(&stack.deployment.template).and_then(|tree| Template::read(&tree)).ok()
}

/// Lists stacks by status, also those that are deleted.
///
/// AWS: ListStacks.
///
/// # Errors
///
/// [`Error::Validation`] when the token is not one of ours.
pub(crate) async fn list_stacks(ctx: Ctx, input: ListStacksInput) -> Result<ListStacksOutput> {
    let filter: Vec<StackStatus> = input.stack_status_filter;
    let mut all = ctx.store.read(|tx| Ok::<_, Error>(tx.scan(&STACKS, ())?)).await?;
    all.retain(|stack| filter.is_empty() || filter.contains(&stack.status));
    let page = page(all, input.next_token.as_deref(), PAGE, |stack| stack.id.clone())
        .map_err(|fault| Error::validation(fault.to_string()))?;
    let summary = |stack: Stack| StackSummary {
        template_description: template_of(&stack).and_then(|template| template.description),
        last_operations: last_operations(&stack),
        stack_id: Some(stack.id),
        stack_name: stack.name,
        creation_time: stack.created,
        last_updated_time: stack.updated,
        deletion_time: stack.deleted,
        stack_status: stack.status,
        stack_status_reason: stack.reason,
        drift_information: Some(StackDriftInformationSummary {
            stack_drift_status: StackDriftStatus::NotChecked,
            last_check_timestamp: None,
        }),
        ..StackSummary::default()
    };
    let stack_summaries = page.items.into_iter().map(summary).collect();
    Ok(ListStacksOutput { stack_summaries, next_token: page.next })
}

fn resources_of(tx: &ReadTx<'_>, stack: &Stack) -> Result<Vec<StackResource>> {
    Ok(tx.scan(&RESOURCES, (stack.id.clone(),))?)
}

/// Shows one resource of a stack.
///
/// AWS: DescribeStackResource.
///
/// # Errors
///
/// [`Error::Validation`] when the stack or the resource does not exist.
pub(crate) async fn describe_stack_resource(
    ctx: Ctx,
    input: DescribeStackResourceInput,
) -> Result<DescribeStackResourceOutput> {
    let (stack, row) = ctx
        .store
        .read(|tx| {
            let stack = find(tx, &input.stack_name)?;
            let key = (stack.id.clone(), input.logical_resource_id.clone());
            let row = tx.get(&RESOURCES, &key)?.ok_or_else(|| {
                Error::validation(format!(
                    "Resource {} does not exist for stack {}",
                    input.logical_resource_id, stack.name
                ))
            })?;
            Ok::<_, Error>((stack, row))
        })
        .await?;
    let detail = StackResourceDetail {
        stack_name: Some(stack.name),
        stack_id: Some(stack.id),
        logical_resource_id: row.logical_id,
        physical_resource_id: row.current.physical_id,
        resource_type: row.kind,
        last_updated_timestamp: row.updated,
        resource_status: row.status,
        resource_status_reason: row.reason,
        metadata: row.current.metadata.map(|metadata| metadata.to_string()),
        drift_information: Some(StackResourceDriftInformation {
            stack_resource_drift_status: StackResourceDriftStatus::NotChecked,
            last_check_timestamp: None,
        }),
        ..StackResourceDetail::default()
    };
    Ok(DescribeStackResourceOutput { stack_resource_detail: Some(detail) })
}

/// Shows the resources of a stack, or of the stack that a physical resource belongs to.
///
/// AWS: DescribeStackResources.
///
/// # Errors
///
/// [`Error::Validation`] when there is no such stack.
pub(crate) async fn describe_stack_resources(
    ctx: Ctx,
    input: DescribeStackResourcesInput,
) -> Result<DescribeStackResourcesOutput> {
    let (stack, mut rows) = ctx
        .store
        .read(|tx| {
            let stack = match (&input.stack_name, &input.physical_resource_id) {
                (Some(name), None) => find(tx, name)?,
                (None, Some(physical_id)) => owner(tx, physical_id)?,
                _ => {
                    return Err(Error::validation(
                        "Either StackName or PhysicalResourceId must be specified, but not both.",
                    ));
                }
            };
            let rows = resources_of(tx, &stack)?;
            Ok((stack, rows))
        })
        .await?;
    if let Some(name) = &input.logical_resource_id {
        rows.retain(|row| row.logical_id == *name);
    }
    rows.truncate(PAGE);
    let shown = rows.into_iter().map(|row| ShownResource {
        stack_name: Some(stack.name.clone()),
        stack_id: Some(stack.id.clone()),
        logical_resource_id: row.logical_id,
        physical_resource_id: row.current.physical_id,
        resource_type: row.kind,
        timestamp: row.updated,
        resource_status: row.status,
        resource_status_reason: row.reason,
        drift_information: Some(StackResourceDriftInformation {
            stack_resource_drift_status: StackResourceDriftStatus::NotChecked,
            last_check_timestamp: None,
        }),
        ..ShownResource::default()
    });
    Ok(DescribeStackResourcesOutput { stack_resources: shown.collect() })
}

fn owner(tx: &ReadTx<'_>, physical_id: &str) -> Result<Stack> {
    let rows = tx.scan(&RESOURCES, ())?;
    let row = rows.into_iter().find(|row| row.current.physical_id.as_deref() == Some(physical_id));
    let row =
        row.ok_or_else(|| Error::validation(format!("Stack for {physical_id} does not exist")))?;
    find(tx, &row.stack)
}

/// Lists the resources of a stack.
///
/// AWS: ListStackResources.
///
/// # Errors
///
/// [`Error::Validation`] when there is no such stack.
pub(crate) async fn list_stack_resources(
    ctx: Ctx,
    input: ListStackResourcesInput,
) -> Result<ListStackResourcesOutput> {
    let rows = ctx
        .store
        .read(|tx| {
            let stack = find(tx, &input.stack_name)?;
            resources_of(tx, &stack)
        })
        .await?;
    let page = page(rows, input.next_token.as_deref(), PAGE, |row| row.logical_id.clone())
        .map_err(|fault| Error::validation(fault.to_string()))?;
    let summary = |row: StackResource| StackResourceSummary {
        logical_resource_id: row.logical_id,
        physical_resource_id: row.current.physical_id,
        resource_type: row.kind,
        last_updated_timestamp: row.updated,
        resource_status: row.status,
        resource_status_reason: row.reason,
        drift_information: Some(StackResourceDriftInformationSummary {
            stack_resource_drift_status: StackResourceDriftStatus::NotChecked,
            last_check_timestamp: None,
        }),
        ..StackResourceSummary::default()
    };
    let stack_resource_summaries = page.items.into_iter().map(summary).collect();
    Ok(ListStackResourcesOutput { stack_resource_summaries, next_token: page.next })
}
