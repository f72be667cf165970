//! Stacks: the operations that change them. Each writes what is to be and wakes the engine.

use std::collections::BTreeSet;

use cloudformation_api::{
    CancelUpdateStackInput, CancelUpdateStackOutput, ContinueUpdateRollbackInput,
    ContinueUpdateRollbackOutput, CreateStackInput, CreateStackOutput, DeleteStackInput,
    DeleteStackOutput, DeletionMode, DeploymentConfig, DeploymentConfigMode, OnFailure,
    RollbackStackInput, RollbackStackOutput, StackStatus, UpdateStackInput, UpdateStackOutput,
    UpdateTerminationProtectionInput, UpdateTerminationProtectionOutput,
};
use kernel::Ctx;
use kernel::token::{self, Known};
use store::{ReadTx, WriteTx};

use crate::error::{Error, Result};
use crate::planning::{self, Snapshot};
use crate::request::{self, Request, Wanted};
use crate::store::{Deployment, KeptCaller, LIVE_BY_NAME, Operation, RESOURCES, STACKS, Stack};
use crate::template::diff::Change;
use crate::{engine, event, role, stack_policy};

/// The most stacks in an account and region.
///
/// AWS: "Understand CloudFormation quotas".
const STACKS_MAX: usize = 2000;

/// The stack of a name or id; a deleted one only by its id.
pub(crate) fn find(tx: &ReadTx<'_>, name: &str) -> Result<Stack> {
    find_optional(tx, name)?.ok_or_else(|| Error::no_stack(name))
}

/// As [`find`], where the stack may be missing.
pub(crate) fn find_optional(tx: &ReadTx<'_>, name: &str) -> Result<Option<Stack>> {
    if name.starts_with("arn:") {
        return Ok(tx.get(&STACKS, name)?);
    }
    Ok(tx.find_one(&LIVE_BY_NAME, name)?)
}

/// The stack as it is now, outside a transaction.
pub(crate) async fn load(ctx: &Ctx, name: &str) -> Result<Stack> {
    ctx.store.read(|tx| find(tx, name)).await
}

/// A new operation of the caller's.
pub(crate) fn operation(ctx: &Ctx, kind: &str, token: Option<String>) -> Operation {
    Operation {
        id: ctx.random().uuid(),
        kind: kind.to_owned(),
        token,
        caller: KeptCaller::from(&ctx.caller),
        started: ctx.now(),
        cancelled: None,
        on_failure: OnFailure::Rollback,
        spared: BTreeSet::new(),
        retain_except_on_create: false,
    }
}

/// A new stack of `name`, with nothing in it yet.
pub(crate) fn new_stack(ctx: &Ctx, name: &str, deployment: Deployment, first: Operation) -> Stack {
    let id = ctx.arn("cloudformation", format!("stack/{name}/{}", ctx.random().uuid()));
    Stack {
        id: id.to_string(),
        name: name.to_owned(),
        created: ctx.now(),
        updated: None,
        deleted: None,
        status: StackStatus::CreateInProgress,
        reason: Some("User Initiated".to_owned()),
        deployment,
        before: None,
        history: vec![(first.kind.clone(), first.id.clone())],
        operation: first,
        pending: None,
        outputs: Vec::new(),
        termination_protection: false,
        timeout_minutes: None,
        disable_rollback: false,
        policy: None,
        change_set: None,
    }
}

/// Writes a stack whose status is news, with its event.
pub(crate) fn announce(ctx: &Ctx, tx: &mut WriteTx<'_>, stack: &Stack) -> Result<()> {
    tx.put(&STACKS, stack)?;
    event::append(tx, &event::now_of_stack(stack, ctx.now(), ctx.random()))?;
    Ok(())
}

/// Wakes the engine for a stack.
pub(crate) fn wake(ctx: &Ctx, stack_id: &str) {
    ctx.kernel().wake_key(engine::TASK, stack_id);
}

/// Refuses the deployment modes that are not the ordinary one; tells whether rollback is off.
fn deployment_config(config: Option<&DeploymentConfig>) -> Result<bool> {
    if config.and_then(|config| config.mode) == Some(DeploymentConfigMode::Express) {
        return Err(Error::unsupported("DeploymentConfig Mode EXPRESS"));
    }
    Ok(config.and_then(|config| config.disable_rollback).unwrap_or(false))
}

/// Creates a stack.
///
/// AWS: CreateStack.
///
/// # Errors
///
/// [`Error::Validation`], [`Error::Template`], [`Error::AlreadyExists`],
/// [`Error::InsufficientCapabilities`], [`Error::LimitExceeded`], [`Error::TokenAlreadyExists`].
pub(crate) async fn create_stack(ctx: Ctx, input: CreateStackInput) -> Result<CreateStackOutput> {
    let fingerprint = fingerprint_without_token(&CreateStackInput {
        client_request_token: None,
        ..input.clone()
    });
    request::check_name(&input.stack_name)?;
    let on_failure = on_failure_of(&input)?;
    if input.stack_policy_url.is_some() {
        return Err(Error::unsupported("StackPolicyURL"));
    }
    let policy = input.stack_policy_body.clone();
    policy.as_deref().map(stack_policy::parse).transpose()?;
    let token = input.client_request_token.clone();
    let shared = Request {
        body: input.template_body.clone(),
        url: input.template_url.clone(),
        use_previous: false,
        parameters: input.parameters.clone(),
        tags: input.tags.clone(),
        capabilities: input.capabilities.clone(),
        resource_types: input.resource_types.clone(),
        role: input.role_arn.clone(),
        notification_arns: input.notification_arns.clone(),
        rollback: input.rollback_configuration.clone(),
    };
    // A repeated request must not fail on the stack that it made.
    let known =
        ctx.store.read(|tx| Ok::<_, Error>(tx.find_one(&LIVE_BY_NAME, &input.stack_name)?)).await?;
    if known.is_some() && token.is_none() {
        return Err(Error::AlreadyExists(input.stack_name));
    }
    let wanted = shared.complete(&ctx, None).await?;
    if let Some(role) = &wanted.deployment.role {
        role::assume(ctx.kernel(), &ctx.account, role).await?;
    }
    let mut first = operation(&ctx, "CREATE_STACK", token.clone());
    first.on_failure = on_failure;
    first.retain_except_on_create = input.retain_except_on_create.unwrap_or(false);
    let mut stack = new_stack(&ctx, &input.stack_name, wanted.deployment.clone(), first);
    stack.termination_protection = input.enable_termination_protection.unwrap_or(false);
    stack.timeout_minutes = input.timeout_in_minutes;
    stack.disable_rollback = on_failure == OnFailure::DoNothing;
    stack.policy = policy;
    let snapshot = Snapshot::read(&ctx, None).await?;
    let pseudo = request::pseudo(&ctx, &stack.id, &stack.name);
    request::check_with_inputs(&wanted, &pseudo, &snapshot)?;
    let stack_id = ctx
        .store
        .write(|tx| {
            if let Some(id) = repeated(tx, "CreateStack", token.as_deref(), &fingerprint)? {
                return Ok(id);
            }
            if tx.find_one(&LIVE_BY_NAME, &stack.name)?.is_some() {
                return Err(Error::AlreadyExists(stack.name.clone()));
            }
            refuse_too_many(tx)?;
            announce(&ctx, tx, &stack)?;
            remember(&ctx, tx, "CreateStack", token.as_deref(), &fingerprint, &stack.id)?;
            Ok::<_, Error>(stack.id.clone())
        })
        .await?;
    wake(&ctx, &stack_id);
    Ok(CreateStackOutput { operation_id: Some(stack.operation.id), stack_id: Some(stack_id) })
}

fn on_failure_of(input: &CreateStackInput) -> Result<OnFailure> {
    let disable = deployment_config(input.deployment_config.as_ref())?
        || input.disable_rollback.unwrap_or(false);
    match (input.on_failure, input.disable_rollback) {
        (Some(_), Some(_)) => Err(Error::validation(
            "Cannot specify both OnFailure and DisableRollback in the same request.",
        )),
        (Some(wish), None) => Ok(wish),
        (None, _) if disable => Ok(OnFailure::DoNothing),
        (None, _) => Ok(OnFailure::Rollback),
    }
}

/// Refuses a stack more than the account may have.
pub(crate) fn refuse_too_many(tx: &ReadTx<'_>) -> Result<()> {
    let live = tx.scan(&STACKS, ())?.iter().filter(|stack| stack.deleted.is_none()).count();
    if live >= STACKS_MAX {
        return Err(Error::LimitExceeded(format!(
            "Limit for stack has been exceeded: {STACKS_MAX}"
        )));
    }
    Ok(())
}

fn fingerprint_without_token(input: &impl std::fmt::Debug) -> String {
    token::fingerprint(input)
}

/// The result of the same request made before.
fn repeated(
    tx: &WriteTx<'_>,
    operation: &str,
    token: Option<&str>,
    fingerprint: &str,
) -> Result<Option<String>> {
    let Some(token) = token else {
        return Ok(None);
    };
    match token::look_up(tx, operation, token, fingerprint)? {
        Known::New => Ok(None),
        Known::Same(result) => Ok(Some(result)),
        Known::Different => Err(Error::TokenAlreadyExists(token.to_owned())),
    }
}

fn remember(
    ctx: &Ctx,
    tx: &mut WriteTx<'_>,
    operation: &str,
    token: Option<&str>,
    fingerprint: &str,
    result: &str,
) -> Result<()> {
    if let Some(token) = token {
        token::remember(tx, operation, token, fingerprint, result, ctx.now())?;
    }
    Ok(())
}

/// Updates a stack.
///
/// AWS: UpdateStack.
///
/// # Errors
///
/// As [`create_stack`]; [`Error::Validation`] when nothing would change or the stack is busy.
pub(crate) async fn update_stack(ctx: Ctx, input: UpdateStackInput) -> Result<UpdateStackOutput> {
    let fingerprint = fingerprint_without_token(&UpdateStackInput {
        client_request_token: None,
        ..input.clone()
    });
    if input.stack_policy_url.is_some() || input.stack_policy_during_update_url.is_some() {
        return Err(Error::unsupported("StackPolicyURL"));
    }
    let disable = deployment_config(input.deployment_config.as_ref())?
        || input.disable_rollback.unwrap_or(false);
    let token = input.client_request_token.clone();
    let stack = load(&ctx, &input.stack_name).await?;
    let same =
        ctx.store.write(|tx| repeated(tx, "UpdateStack", token.as_deref(), &fingerprint)).await?;
    if let Some(operation_id) = same {
        return Ok(UpdateStackOutput {
            stack_id: Some(stack.id),
            operation_id: Some(operation_id),
        });
    }
    require_updatable(&stack)?;
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
    let wanted = shared.complete(&ctx, Some(&stack.deployment)).await?;
    if let Some(role) = &wanted.deployment.role {
        role::assume(ctx.kernel(), &ctx.account, role).await?;
    }
    let changes = plan_update(&ctx, &stack, &wanted).await?;
    let during = input.stack_policy_during_update_body.as_deref();
    stack_policy::check(during.or(stack.policy.as_deref()), &changes)?;
    let policy = input.stack_policy_body.clone();
    policy.as_deref().map(stack_policy::parse).transpose()?;
    let mut next = operation(&ctx, "UPDATE_STACK", token.clone());
    next.on_failure = if disable { OnFailure::DoNothing } else { OnFailure::Rollback };
    let operation_id = next.id.clone();
    ctx.store
        .write(|tx| {
            let mut now = find(tx, &stack.id)?;
            require_updatable(&now)?;
            begin_update(&mut now, next.clone(), wanted.deployment.clone());
            now.policy = policy.clone().or(now.policy);
            announce(&ctx, tx, &now)?;
            remember(&ctx, tx, "UpdateStack", token.as_deref(), &fingerprint, &next.id)
        })
        .await?;
    wake(&ctx, &stack.id);
    Ok(UpdateStackOutput { stack_id: Some(stack.id), operation_id: Some(operation_id) })
}

/// Makes `deployment` what the stack is to become.
pub(crate) fn begin_update(stack: &mut Stack, next: Operation, deployment: Deployment) {
    let now = std::mem::replace(&mut stack.deployment, deployment);
    // After an update that failed and was not rolled back, the way back leads to before that one.
    stack.before.get_or_insert(now);
    stack.disable_rollback = next.on_failure == OnFailure::DoNothing;
    stack.begin(next, StackStatus::UpdateInProgress, Some("User Initiated".to_owned()));
}

async fn plan_update(ctx: &Ctx, stack: &Stack, wanted: &Wanted) -> Result<Vec<Change>> {
    let snapshot = Snapshot::read(ctx, Some(&stack.id)).await?;
    let changes = planning::changes(ctx, stack, wanted, &snapshot)?;
    let same = changes.is_empty()
        && stack.deployment.tags == wanted.deployment.tags
        && !planning::outputs_change(stack, wanted)
        && stack.status != StackStatus::UpdateFailed
        && stack.status != StackStatus::CreateFailed;
    if same {
        return Err(Error::validation("No updates are to be performed."));
    }
    Ok(changes)
}

/// Whether a stack may be updated as it is.
pub(crate) fn require_updatable(stack: &Stack) -> Result<()> {
    let updatable = [
        StackStatus::CreateComplete,
        StackStatus::UpdateComplete,
        StackStatus::UpdateRollbackComplete,
        StackStatus::UpdateFailed,
        StackStatus::CreateFailed,
        StackStatus::ImportComplete,
    ];
    if updatable.contains(&stack.status) && stack.deleted.is_none() {
        return Ok(());
    }
    Err(Error::validation(format!(
        "Stack:{} is in {} state and can not be updated.",
        stack.id, stack.status
    )))
}

/// Deletes a stack.
///
/// AWS: DeleteStack.
///
/// # Errors
///
/// [`Error::Validation`] when the stack is protected or busy.
pub(crate) async fn delete_stack(ctx: Ctx, input: DeleteStackInput) -> Result<DeleteStackOutput> {
    deployment_config(input.deployment_config.as_ref())?;
    if input.deletion_mode == Some(DeletionMode::ForceDeleteStack) {
        return Err(Error::unsupported("DeletionMode FORCE_DELETE_STACK"));
    }
    if let Some(role) = &input.role_arn {
        role::assume(ctx.kernel(), &ctx.account, role).await?;
    }
    let mut next = operation(&ctx, "DELETE_STACK", input.client_request_token.clone());
    next.spared = input.retain_resources.iter().cloned().collect();
    let stack_id = ctx
        .store
        .write(|tx| {
            let Some(mut stack) = find_optional(tx, &input.stack_name)? else {
                return Ok(None);
            };
            if stack.deleted.is_some() || stack.status == StackStatus::DeleteInProgress {
                return Ok(None);
            }
            require_deletable(&stack, &input)?;
            if input.role_arn.is_some() {
                stack.deployment.role.clone_from(&input.role_arn);
            }
            if stack.in_progress() {
                // What is under way must stop before its results can be deleted.
                stack.operation.cancelled = Some("Stack deletion requested.".to_owned());
                stack.pending = Some(next.clone());
                tx.put(&STACKS, &stack)?;
                return Ok(Some(stack.id));
            }
            let why = Some("User Initiated".to_owned());
            stack.begin(next.clone(), StackStatus::DeleteInProgress, why);
            announce(&ctx, tx, &stack)?;
            Ok::<_, Error>(Some(stack.id))
        })
        .await?;
    if let Some(stack_id) = stack_id {
        wake(&ctx, &stack_id);
    }
    Ok(DeleteStackOutput {})
}

fn require_deletable(stack: &Stack, input: &DeleteStackInput) -> Result<()> {
    if stack.termination_protection {
        return Err(Error::validation(format!(
            "Stack [{}] cannot be deleted while TerminationProtection is enabled",
            stack.name
        )));
    }
    if !input.retain_resources.is_empty() && stack.status != StackStatus::DeleteFailed {
        return Err(Error::validation(format!(
            "Invalid operation on stack [{}]. RetainResources can be specified only for stacks in the DELETE_FAILED state.",
            stack.id
        )));
    }
    let stoppable = [StackStatus::CreateInProgress, StackStatus::RollbackInProgress];
    if stack.in_progress() && !stoppable.contains(&stack.status) {
        return Err(Error::validation(format!(
            "Stack [{}] cannot be deleted while in status {}",
            stack.name, stack.status
        )));
    }
    Ok(())
}

/// Stops an update that is under way and takes it back.
///
/// AWS: CancelUpdateStack.
///
/// # Errors
///
/// [`Error::Validation`] when no update is under way.
pub(crate) async fn cancel_update_stack(
    ctx: Ctx,
    input: CancelUpdateStackInput,
) -> Result<CancelUpdateStackOutput> {
    ctx.store
        .write(|tx| {
            let mut stack = find(tx, &input.stack_name)?;
            if stack.status != StackStatus::UpdateInProgress {
                return Err(Error::validation(format!(
                    "CancelUpdateStack cannot be called from current stack status {}",
                    stack.status
                )));
            }
            stack.operation.cancelled = Some("User Initiated".to_owned());
            stack.operation.on_failure = OnFailure::Rollback;
            tx.put(&STACKS, &stack)?;
            Ok::<_, Error>(())
        })
        .await?;
    Ok(CancelUpdateStackOutput {})
}

/// Goes on with a rollback that failed.
///
/// AWS: ContinueUpdateRollback.
///
/// # Errors
///
/// [`Error::Validation`] when no rollback failed, or a resource to skip did not fail.
pub(crate) async fn continue_update_rollback(
    ctx: Ctx,
    input: ContinueUpdateRollbackInput,
) -> Result<ContinueUpdateRollbackOutput> {
    if input.force_rollback == Some(true) {
        return Err(Error::unsupported("ForceRollback"));
    }
    let mut next = operation(&ctx, "CONTINUE_ROLLBACK", input.client_request_token.clone());
    next.spared = input.resources_to_skip.iter().cloned().collect();
    let stack_id = ctx
        .store
        .write(|tx| {
            let mut stack = find(tx, &input.stack_name)?;
            if stack.status != StackStatus::UpdateRollbackFailed {
                return Err(Error::validation(format!(
                    "Stack:{} is in {} state and can not continue rollback.",
                    stack.id, stack.status
                )));
            }
            for name in &next.spared {
                let row = tx.get(&RESOURCES, &(stack.id.clone(), name.clone()))?;
                let failed = row.is_some_and(|row| row.status.as_str().ends_with("_FAILED"));
                if !failed {
                    return Err(Error::validation(format!(
                        "Resource {name} is not in a failed state and can not be skipped."
                    )));
                }
            }
            if input.role_arn.is_some() {
                stack.deployment.role.clone_from(&input.role_arn);
            }
            let why = Some("User Initiated".to_owned());
            stack.begin(next.clone(), StackStatus::UpdateRollbackInProgress, why);
            announce(&ctx, tx, &stack)?;
            Ok::<_, Error>(stack.id)
        })
        .await?;
    wake(&ctx, &stack_id);
    Ok(ContinueUpdateRollbackOutput {})
}

/// Rolls back a stack whose last operation failed and was left as it was.
///
/// AWS: RollbackStack.
///
/// # Errors
///
/// [`Error::Validation`] when there is nothing to roll back.
pub(crate) async fn rollback_stack(
    ctx: Ctx,
    input: RollbackStackInput,
) -> Result<RollbackStackOutput> {
    deployment_config(input.deployment_config.as_ref())?;
    let mut next = operation(&ctx, "ROLLBACK", input.client_request_token.clone());
    next.retain_except_on_create = input.retain_except_on_create.unwrap_or(false);
    let stack_id = ctx
        .store
        .write(|tx| {
            let mut stack = find(tx, &input.stack_name)?;
            let creating = stack.status == StackStatus::CreateFailed && stack.before.is_none();
            let status = if stack.status == StackStatus::UpdateFailed {
                StackStatus::UpdateRollbackInProgress
            } else if creating {
                StackStatus::RollbackInProgress
            } else {
                return Err(Error::validation(format!(
                    "Stack:{} is in {} state and can not be rolled back.",
                    stack.id, stack.status
                )));
            };
            if input.role_arn.is_some() {
                stack.deployment.role.clone_from(&input.role_arn);
            }
            stack.begin(next.clone(), status, Some("User Initiated".to_owned()));
            announce(&ctx, tx, &stack)?;
            Ok::<_, Error>(stack.id)
        })
        .await?;
    wake(&ctx, &stack_id);
    Ok(RollbackStackOutput { stack_id: Some(stack_id), operation_id: Some(next.id) })
}

/// Turns the protection against deletion on or off.
///
/// AWS: UpdateTerminationProtection.
///
/// # Errors
///
/// [`Error::Validation`] when there is no such stack.
pub(crate) async fn update_termination_protection(
    ctx: Ctx,
    input: UpdateTerminationProtectionInput,
) -> Result<UpdateTerminationProtectionOutput> {
    let stack_id = ctx
        .store
        .write(|tx| {
            let mut stack = find(tx, &input.stack_name)?;
            if stack.deleted.is_some() || stack.status == StackStatus::DeleteInProgress {
                return Err(Error::validation(format!(
                    "Termination protection cannot be updated on stack [{}] in status {}",
                    stack.name, stack.status
                )));
            }
            stack.termination_protection = input.enable_termination_protection;
            tx.put(&STACKS, &stack)?;
            Ok::<_, Error>(stack.id)
        })
        .await?;
    Ok(UpdateTerminationProtectionOutput { stack_id: Some(stack_id) })
}
