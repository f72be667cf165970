//! Change sets: what an update would do, to be looked at before it is done.

use cloudformation_api::{
    AttributeChangeType, Change as ShownChange, ChangeSetStatus, ChangeSetSummary, ChangeSetType,
    ChangeType, CreateChangeSetInput, CreateChangeSetOutput, DeleteChangeSetInput,
    DeleteChangeSetOutput, DeploymentConfigMode, DescribeChangeSetInput, DescribeChangeSetOutput,
    ExecuteChangeSetInput, ExecuteChangeSetOutput, ExecutionStatus, ListChangeSetsInput,
    ListChangeSetsOutput, OnFailure, OnStackFailure, ResourceChange, ResourceChangeDetail,
    ResourceTargetDefinition, StackStatus,
};
use kernel::Ctx;
use kernel::paging::page;
use serde_json::{Map, Value};
use store::{ReadTx, WriteTx};

use crate::error::{Error, Result};
use crate::planning::{self, Snapshot};
use crate::request::{self, Request, shown_capabilities, shown_parameters, shown_tags};
use crate::store::{
    CHANGE_SETS, ChangeSet, Deployment, KeptCaller, PlannedChange, PlannedDetail, Stack,
};
use crate::{role, stack};

/// How many changes or change sets an answer has.
const PAGE: usize = 100;
/// AWS: "CreateChangeSet", a change set without changes.
const NO_CHANGES: &str = "The submitted information didn't contain changes. Submit different \
     information to create a change set.";

/// Removes the change sets of a stack that is gone.
pub(crate) fn forget_all(tx: &mut WriteTx<'_>, stack_id: &str) -> Result<(), store::Error> {
    for set in tx.scan(&CHANGE_SETS, (stack_id.to_owned(),))? {
        tx.delete(&CHANGE_SETS, &(set.stack, set.id))?;
    }
    Ok(())
}

fn find(tx: &ReadTx<'_>, name: &str, stack_name: Option<&str>) -> Result<ChangeSet> {
    let missing = || Error::ChangeSetNotFound(name.to_owned());
    if name.starts_with("arn:") {
        let all = tx.scan(&CHANGE_SETS, ())?;
        return all.into_iter().find(|set| set.id == name).ok_or_else(missing);
    }
    let Some(stack_name) = stack_name else {
        return Err(Error::validation(
            "StackName must be specified if ChangeSetName is not specified as an ARN.",
        ));
    };
    let stack = stack::find(tx, stack_name)?;
    let sets = tx.scan(&CHANGE_SETS, (stack.id,))?;
    sets.into_iter().find(|set| set.name == name).ok_or_else(missing)
}

/// The change set as it is now.
pub(crate) async fn load(ctx: &Ctx, name: &str, stack_name: Option<&str>) -> Result<ChangeSet> {
    ctx.store.read(|tx| find(tx, name, stack_name)).await
}

/// Finds what an update, or the creation of a stack, would do.
///
/// AWS: CreateChangeSet.
///
/// # Errors
///
/// [`Error::Validation`], [`Error::Template`], [`Error::AlreadyExists`],
/// [`Error::InsufficientCapabilities`].
pub(crate) async fn create_change_set(
    ctx: Ctx,
    input: CreateChangeSetInput,
) -> Result<CreateChangeSetOutput> {
    refuse_unsupported(&input)?;
    let stack = target(&ctx, &input).await?;
    let creating = stack.status == StackStatus::ReviewInProgress;
    let previous = (!creating).then_some(&stack.deployment);
    let shared = Request {
        body: input.template_body.clone(),
        url: input.template_url.clone(),
        use_previous: input.use_previous_template.unwrap_or(false),
        parameters: input.parameters.clone(),
        tags: input.tags.clone(),
        capabilities: input.capabilities.clone(),
        resource_types: input.resource_types.clone(),
        role: input.role_arn.clone(),
        notification_arns: input.notification_arns.clone(),
        rollback: input.rollback_configuration.clone(),
    };
    let wanted = shared.complete(&ctx, previous).await?;
    if let Some(role) = &wanted.deployment.role {
        role::assume(ctx.kernel(), &ctx.account, role).await?;
    }
    let snapshot = Snapshot::read(&ctx, Some(&stack.id)).await?;
    let changes = planning::changes(&ctx, &stack, &wanted, &snapshot)?;
    let pseudo = request::pseudo(&ctx, &stack.id, &stack.name);
    request::check_with_inputs(&wanted, &pseudo, &snapshot)?;
    let something = creating
        || !changes.is_empty()
        || stack.deployment.tags != wanted.deployment.tags
        || planning::outputs_change(&stack, &wanted);
    let set = new_set(&ctx, &input, &stack, wanted.deployment, changes, something);
    ctx.store
        .write(|tx| {
            let taken = tx.scan(&CHANGE_SETS, (stack.id.clone(),))?;
            if taken.iter().any(|other| other.name == set.name) {
                return Err(Error::AlreadyExists(set.name.clone()));
            }
            if stack::find_optional(tx, &stack.id)?.is_none() {
                if stack::find_optional(tx, &stack.name)?.is_some() {
                    return Err(Error::AlreadyExists(stack.name.clone()));
                }
                stack::refuse_too_many(tx)?;
                stack::announce(&ctx, tx, &stack)?;
            }
            tx.put(&CHANGE_SETS, &set)?;
            Ok(())
        })
        .await?;
    Ok(CreateChangeSetOutput { id: Some(set.id), stack_id: Some(stack.id) })
}

fn refuse_unsupported(input: &CreateChangeSetInput) -> Result<()> {
    let refused = [
        ("ResourcesToImport", !input.resources_to_import.is_empty()),
        ("ChangeSetType IMPORT", input.change_set_type == Some(ChangeSetType::Import)),
        ("IncludeNestedStacks", input.include_nested_stacks == Some(true)),
        ("ImportExistingResources", input.import_existing_resources == Some(true)),
        ("DeploymentMode", input.deployment_mode.is_some()),
        (
            "DeploymentConfig Mode EXPRESS",
            input.deployment_config.as_ref().and_then(|config| config.mode)
                == Some(DeploymentConfigMode::Express),
        ),
    ];
    match refused.into_iter().find(|(_, given)| *given) {
        Some((member, _)) => Err(Error::unsupported(member)),
        None => Ok(()),
    }
}

/// The stack that the change set is for; for a new one, as it would begin.
async fn target(ctx: &Ctx, input: &CreateChangeSetInput) -> Result<Stack> {
    let name = &input.stack_name;
    let known = ctx.store.read(|tx| stack::find_optional(tx, name)).await?;
    let known = known.filter(|stack| stack.deleted.is_none());
    let creating = input.change_set_type == Some(ChangeSetType::Create);
    match known {
        Some(stack) if stack.status == StackStatus::ReviewInProgress => Ok(stack),
        Some(stack) if creating => Err(Error::validation(format!(
            "Stack [{}] already exists and cannot be created again with the changeSet [{}].",
            stack.name, input.change_set_name
        ))),
        Some(stack) => stack::require_updatable(&stack).map(|()| stack),
        None if !creating => Err(Error::validation(format!("Stack [{name}] does not exist"))),
        None => {
            request::check_name(name)?;
            let first = stack::operation(ctx, "CREATE_CHANGESET", input.client_token.clone());
            let nothing = Deployment {
                template: String::new(),
                parameters: std::collections::BTreeMap::new(),
                resolved: std::collections::BTreeMap::new(),
                tags: base::Tags::new(),
                capabilities: Vec::new(),
                role: None,
            };
            let mut stack = stack::new_stack(ctx, name, nothing, first);
            stack.status = StackStatus::ReviewInProgress;
            Ok(stack)
        }
    }
}

fn new_set(
    ctx: &Ctx,
    input: &CreateChangeSetInput,
    stack: &Stack,
    deployment: Deployment,
    changes: Vec<crate::template::diff::Change>,
    something: bool,
) -> ChangeSet {
    let name = input.change_set_name.clone();
    let id = ctx.arn("cloudformation", format!("changeSet/{name}/{}", ctx.random().uuid()));
    let (status, execution) = if something {
        (ChangeSetStatus::CreateComplete, ExecutionStatus::Available)
    } else {
        (ChangeSetStatus::Failed, ExecutionStatus::Unavailable)
    };
    let disable = input.deployment_config.as_ref().and_then(|config| config.disable_rollback);
    let on_failure = match input.on_stack_failure {
        Some(OnStackFailure::DoNothing) => OnFailure::DoNothing,
        Some(OnStackFailure::Delete) => OnFailure::Delete,
        Some(OnStackFailure::Rollback) => OnFailure::Rollback,
        None if disable == Some(true) => OnFailure::DoNothing,
        None => OnFailure::Rollback,
    };
    ChangeSet {
        id: id.to_string(),
        name,
        stack: stack.id.clone(),
        stack_name: stack.name.clone(),
        description: input.description.clone(),
        created: ctx.now(),
        status,
        reason: (!something).then(|| NO_CHANGES.to_owned()),
        execution,
        deployment,
        changes: changes.into_iter().map(planning::planned).collect(),
        on_failure,
        caller: KeptCaller::from(&ctx.caller),
        based_on: stack.operation.id.clone(),
    }
}

/// What may be done with a change set now: one that was made before the stack's last operation
/// is out of date.
fn execution_now(set: &ChangeSet, stack: &Stack) -> ExecutionStatus {
    let outdated =
        set.execution == ExecutionStatus::Available && set.based_on != stack.operation.id;
    if outdated { ExecutionStatus::Obsolete } else { set.execution }
}

/// Shows a change set.
///
/// AWS: DescribeChangeSet.
///
/// # Errors
///
/// [`Error::ChangeSetNotFound`].
pub(crate) async fn describe_change_set(
    ctx: Ctx,
    input: DescribeChangeSetInput,
) -> Result<DescribeChangeSetOutput> {
    let (set, stack) = ctx
        .store
        .read(|tx| {
            let set = find(tx, &input.change_set_name, input.stack_name.as_deref())?;
            let stack = stack::find(tx, &set.stack)?;
            Ok::<_, Error>((set, stack))
        })
        .await?;
    let values = input.include_property_values.unwrap_or(false);
    let changes = set.changes.iter().cloned().enumerate().collect();
    let page = page(changes, input.next_token.as_deref(), PAGE, |(at, _)| format!("{at:06}"))
        .map_err(|fault| Error::validation(fault.to_string()))?;
    Ok(DescribeChangeSetOutput {
        execution_status: Some(execution_now(&set, &stack)),
        changes: page.items.into_iter().map(|(_, change)| shown(change, values)).collect(),
        next_token: page.next,
        parameters: shown_parameters(&set.deployment),
        capabilities: shown_capabilities(&set.deployment),
        tags: shown_tags(&set.deployment.tags),
        change_set_name: Some(set.name),
        change_set_id: Some(set.id),
        stack_id: Some(set.stack),
        stack_name: Some(set.stack_name),
        description: set.description,
        creation_time: Some(set.created),
        status: Some(set.status),
        status_reason: set.reason,
        include_nested_stacks: Some(false),
        on_stack_failure: match set.on_failure {
            OnFailure::DoNothing => Some(OnStackFailure::DoNothing),
            OnFailure::Delete => Some(OnStackFailure::Delete),
            OnFailure::Rollback => None,
        },
        ..DescribeChangeSetOutput::default()
    })
}

fn shown(change: PlannedChange, values: bool) -> ShownChange {
    let context = |side: fn(&PlannedDetail) -> Option<&Value>| {
        let members: Map<String, Value> = change
            .details
            .iter()
            .filter_map(|d| Some((d.name.clone()?, side(d)?.clone())))
            .collect();
        values.then(|| serde_json::json!({ "Properties": members }).to_string())
    };
    let (before, after) =
        (context(|detail| detail.before.as_ref()), context(|detail| detail.after.as_ref()));
    ShownChange {
        type_: Some(ChangeType::Resource),
        hook_invocation_count: None,
        resource_change: Some(ResourceChange {
            policy_action: change.policy.and_then(|word| word.parse().ok()),
            action: change.action.parse().ok(),
            logical_resource_id: Some(change.logical_id),
            physical_resource_id: change.physical_id,
            resource_type: Some(change.kind),
            replacement: change.replacement.and_then(|word| word.parse().ok()),
            scope: change.scope.iter().filter_map(|word| word.parse().ok()).collect(),
            details: change.details.into_iter().map(|d| shown_detail(d, values)).collect(),
            before_context: before,
            after_context: after,
            ..ResourceChange::default()
        }),
    }
}

fn shown_detail(detail: PlannedDetail, values: bool) -> ResourceChangeDetail {
    let text = |value: Option<&Value>| {
        let value = value.filter(|_| values)?;
        Some(value.as_str().map_or_else(|| value.to_string(), str::to_owned))
    };
    let kind = match (&detail.before, &detail.after) {
        (None, Some(_)) => AttributeChangeType::Add,
        (Some(_), None) => AttributeChangeType::Remove,
        (Some(_), Some(_)) | (None, None) => AttributeChangeType::Modify,
    };
    let path = detail.name.as_ref().map(|name| format!("/{}/{name}", detail.attribute));
    ResourceChangeDetail {
        evaluation: detail.evaluation.parse().ok(),
        change_source: detail.source.parse().ok(),
        causing_entity: detail.entity,
        target: Some(ResourceTargetDefinition {
            attribute: detail.attribute.parse().ok(),
            requires_recreation: detail.recreation.parse().ok(),
            path: path.filter(|_| values),
            before_value: text(detail.before.as_ref()),
            after_value: text(detail.after.as_ref()),
            attribute_change_type: values.then_some(kind),
            name: detail.name,
            ..ResourceTargetDefinition::default()
        }),
    }
}

/// Makes the changes of a change set.
///
/// AWS: ExecuteChangeSet.
///
/// # Errors
///
/// [`Error::ChangeSetNotFound`], [`Error::InvalidChangeSetStatus`], [`Error::Validation`].
pub(crate) async fn execute_change_set(
    ctx: Ctx,
    input: ExecuteChangeSetInput,
) -> Result<ExecuteChangeSetOutput> {
    let stack_id = ctx
        .store
        .write(|tx| {
            let mut set = find(tx, &input.change_set_name, input.stack_name.as_deref())?;
            let mut now = stack::find(tx, &set.stack)?;
            let execution = execution_now(&set, &now);
            if execution != ExecutionStatus::Available {
                return Err(Error::InvalidChangeSetStatus(format!(
                    "ChangeSet [{}] cannot be executed in its current status of [{}] and execution status of [{execution}]",
                    set.id, set.status
                )));
            }
            let creating = now.status == StackStatus::ReviewInProgress;
            let kind = if creating { "CREATE_STACK" } else { "UPDATE_STACK" };
            let mut next = stack::operation(&ctx, kind, input.client_request_token.clone());
            next.on_failure = match input.disable_rollback {
                Some(true) => OnFailure::DoNothing,
                Some(false) | None => set.on_failure,
            };
            next.retain_except_on_create = input.retain_except_on_create.unwrap_or(false);
            if creating {
                now.deployment = set.deployment.clone();
                now.disable_rollback = next.on_failure == OnFailure::DoNothing;
                let why = Some("User Initiated".to_owned());
                now.begin(next, StackStatus::CreateInProgress, why);
            } else {
                stack::require_updatable(&now)?;
                stack::begin_update(&mut now, next, set.deployment.clone());
            }
            now.change_set = Some(set.id.clone());
            stack::announce(&ctx, tx, &now)?;
            set.execution = ExecutionStatus::ExecuteComplete;
            tx.put(&CHANGE_SETS, &set)?;
            Ok(now.id)
        })
        .await?;
    stack::wake(&ctx, &stack_id);
    Ok(ExecuteChangeSetOutput {})
}

/// Deletes a change set.
///
/// AWS: DeleteChangeSet.
///
/// # Errors
///
/// [`Error::ChangeSetNotFound`] when it is named without its ARN and does not exist.
pub(crate) async fn delete_change_set(
    ctx: Ctx,
    input: DeleteChangeSetInput,
) -> Result<DeleteChangeSetOutput> {
    ctx.store
        .write(|tx| {
            let set = match find(tx, &input.change_set_name, input.stack_name.as_deref()) {
                Ok(set) => set,
                Err(Error::ChangeSetNotFound(_)) => return Ok(DeleteChangeSetOutput {}),
                Err(other) => return Err(other),
            };
            tx.delete(&CHANGE_SETS, &(set.stack, set.id))?;
            Ok(DeleteChangeSetOutput {})
        })
        .await
}

/// Lists the change sets of a stack.
///
/// AWS: ListChangeSets.
///
/// # Errors
///
/// [`Error::Validation`] when there is no such stack.
pub(crate) async fn list_change_sets(
    ctx: Ctx,
    input: ListChangeSetsInput,
) -> Result<ListChangeSetsOutput> {
    let (stack, sets) = ctx
        .store
        .read(|tx| {
            let stack = stack::find(tx, &input.stack_name)?;
            let sets = tx.scan(&CHANGE_SETS, (stack.id.clone(),))?;
            Ok::<_, Error>((stack, sets))
        })
        .await?;
    let page = page(sets, input.next_token.as_deref(), PAGE, |set| set.id.clone())
        .map_err(|fault| Error::validation(fault.to_string()))?;
    let summary = |set: ChangeSet| ChangeSetSummary {
        execution_status: Some(execution_now(&set, &stack)),
        stack_id: Some(set.stack),
        stack_name: Some(set.stack_name),
        change_set_id: Some(set.id),
        change_set_name: Some(set.name),
        status: Some(set.status),
        status_reason: set.reason,
        creation_time: Some(set.created),
        description: set.description,
        include_nested_stacks: Some(false),
        ..ChangeSetSummary::default()
    };
    let summaries = page.items.into_iter().map(summary).collect();
    Ok(ListChangeSetsOutput { summaries, next_token: page.next })
}
