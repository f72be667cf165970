//! Accounts: made, listed, moved, closed.
//!
//! AWS: "Managing accounts in an organization".

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use base::{AccountId, Tags};
use iam_api::{AttachRolePolicyInput, CreateRoleInput};
use kernel::{Ctx, Kernel, Next, ServiceError, TaskCtx, TaskError, plain_caller};
use organizations_api as api;
use organizations_api::{
    AccountJoinedMethod, AccountState, AccountStatus, CloseAccountInput, CloseAccountOutput,
    CreateAccountFailureReason, CreateAccountInput, CreateAccountOutput, CreateAccountState,
    CreateAccountStatus, DescribeAccountInput, DescribeAccountOutput,
    DescribeCreateAccountStatusInput, DescribeCreateAccountStatusOutput,
    ListAccountsForParentInput, ListAccountsForParentOutput, ListAccountsInput, ListAccountsOutput,
    ListCreateAccountStatusInput, ListCreateAccountStatusOutput, MoveAccountInput,
    MoveAccountOutput, RemoveAccountFromOrganizationInput, RemoveAccountFromOrganizationOutput,
};
use policy::Principal;
use store::ReadTx;

use crate::access::{managed, visible};
use crate::error::{Error, Result};
use crate::ids::{self, FULL_ACCESS, RCP_FULL_ACCESS};
use crate::listing;
use crate::membership::{RCP, SCP};
use crate::organization::require_not_delegated;
use crate::store::{
    CREATIONS, CREATIONS_OF, Creation, MEMBERS, MEMBERS_OF, Member, ORGANIZATIONS, Organization,
    UNITS,
};
use crate::tag;

/// The principal of the service.
const PRINCIPAL: &str = "organizations.amazonaws.com";
/// The role by which the management account enters a new account. AWS: CreateAccount, `RoleName`.
const ROLE_DEFAULT: &str = "OrganizationAccountAccessRole";
/// How many accounts an organization has at most. AWS: "Quotas for AWS Organizations".
const ACCOUNTS_MAX: usize = 10;
const ADMINISTRATOR: &str = "arn:aws:iam::aws:policy/AdministratorAccess";

impl Member {
    pub(crate) fn view(&self, organization: &Organization) -> api::Account {
        let (status, state) = match self.closed {
            Some(_) => (AccountStatus::Suspended, AccountState::Closed),
            None => (AccountStatus::Active, AccountState::Active),
        };
        api::Account {
            id: Some(self.account.to_string()),
            arn: Some(organization.arn_of("account", self.account.as_str())),
            email: Some(self.email.clone()),
            name: Some(self.name.clone()),
            status: Some(status),
            state: Some(state),
            joined_method: Some(if self.created {
                AccountJoinedMethod::Created
            } else {
                AccountJoinedMethod::Invited
            }),
            joined_timestamp: Some(self.joined),
            ..api::Account::default()
        }
    }

    /// A new member under the root, with what every account begins with.
    pub(crate) fn fresh(
        organization: &Organization,
        account: AccountId,
        name: String,
        email: String,
        joined: base::Timestamp,
    ) -> Self {
        let begins = [(SCP, FULL_ACCESS), (RCP, RCP_FULL_ACCESS)];
        let policies: BTreeSet<String> = begins
            .into_iter()
            .filter(|(kind, _)| organization.types.contains(*kind))
            .map(|(_, id)| id.to_owned())
            .collect();
        Self {
            account,
            organization: organization.id.clone(),
            parent: organization.root.clone(),
            name,
            email,
            joined,
            created: false,
            closed: None,
            policies,
            delegated: BTreeMap::new(),
            tags: Tags::new(),
        }
    }
}

impl Creation {
    fn view(&self) -> CreateAccountStatus {
        let state = match (&self.completed, &self.failure) {
            (None, _) => CreateAccountState::InProgress,
            (Some(_), None) => CreateAccountState::Succeeded,
            (Some(_), Some(_)) => CreateAccountState::Failed,
        };
        let reason = self.failure.as_deref().map(|reason| match reason {
            "EMAIL_ALREADY_EXISTS" => CreateAccountFailureReason::EmailAlreadyExists,
            "ACCOUNT_LIMIT_EXCEEDED" => CreateAccountFailureReason::AccountLimitExceeded,
            _ => CreateAccountFailureReason::InternalFailure,
        });
        CreateAccountStatus {
            id: Some(self.id.clone()),
            account_name: Some(self.name.clone()),
            state: Some(state),
            requested_timestamp: Some(self.requested),
            completed_timestamp: self.completed,
            account_id: self
                .completed
                .filter(|_| self.failure.is_none())
                .map(|_| self.account.to_string()),
            failure_reason: reason,
            ..CreateAccountStatus::default()
        }
    }
}

/// The account, if it is the organization's.
pub(crate) fn member(tx: &ReadTx<'_>, organization: &Organization, id: &str) -> Result<Member> {
    let found = tx.get(&MEMBERS, id)?.filter(|member| member.organization == organization.id);
    found.ok_or(Error::AccountNotFound)
}

/// Asks for an account. It is made in the background; its status tells when it is usable.
///
/// AWS: CreateAccount.
///
/// # Errors
///
/// [`Error::AccessDenied`], [`Error::ConstraintViolation`].
pub(crate) async fn create_account(
    ctx: Ctx,
    input: CreateAccountInput,
) -> Result<CreateAccountOutput> {
    let digits =
        format!("{}{}", ctx.random().text("123456789", 1), ctx.random().text("0123456789", 11));
    let account: AccountId =
        digits.parse().map_err(|error| Error::Inside(ServiceError::internal(error)))?;
    let mut creation = Creation {
        id: ids::creation(ctx.random()),
        organization: String::new(),
        account,
        name: input.account_name,
        email: input.email,
        role: input.role_name.unwrap_or_else(|| ROLE_DEFAULT.to_owned()),
        requested: ctx.now(),
        completed: None,
        failure: None,
        tags: tag::checked(&input.tags)?,
    };
    ctx.store
        .write(|tx| {
            let organization = managed(tx, &ctx)?;
            creation.organization.clone_from(&organization.id);
            if tx.find(&MEMBERS_OF, organization.id.as_str())?.len() >= ACCOUNTS_MAX {
                return Err(Error::constraint(
                    "ACCOUNT_NUMBER_LIMIT_EXCEEDED",
                    "You have exceeded the allowed number of AWS accounts in the organization.",
                ));
            }
            Ok(tx.put(&CREATIONS, &creation)?)
        })
        .await?;
    Ok(CreateAccountOutput { create_account_status: Some(creation.view()) })
}

/// The accounts that are to be made.
pub(crate) async fn keys(ctx: TaskCtx) -> std::result::Result<Vec<String>, TaskError> {
    let all = ctx.store.read(|tx| tx.scan(&CREATIONS, ())).await?;
    Ok(all.into_iter().filter(|c| c.completed.is_none()).map(|c| c.id).collect())
}

/// Makes an account: its entry, then its role, then its membership, each of which may be there
/// already when a run was cut short.
pub(crate) async fn run(ctx: TaskCtx, id: String) -> std::result::Result<Next, TaskError> {
    let found = ctx.store.read(|tx| {
        let creation = tx.get(&CREATIONS, &id)?.filter(|creation| creation.completed.is_none());
        let Some(creation) = creation else { return Ok(None) };
        let organization = tx.get(&ORGANIZATIONS, &creation.organization)?;
        let taken = tx.scan(&MEMBERS, ())?.iter().any(|m| m.email == creation.email);
        Ok::<_, store::Error>(organization.map(|organization| (creation, organization, taken)))
    });
    let Some((creation, organization, taken)) = found.await? else { return Ok(Next::Idle) };
    if taken {
        finish(&ctx, creation, Some("EMAIL_ALREADY_EXISTS")).await?;
        return Ok(Next::Idle);
    }
    let kernel = ctx.kernel();
    kernel.identity().account_made(&creation.account).await.map_err(TaskError::new)?;
    make_role(kernel, &creation, &organization).await.map_err(TaskError::new)?;
    finish(&ctx, creation, None).await?;
    Ok(Next::Idle)
}

/// Makes the role by which the management account's people enter the new account.
async fn make_role(
    kernel: &Arc<Kernel>,
    creation: &Creation,
    organization: &Organization,
) -> std::result::Result<(), ServiceError> {
    let root = Principal::Root { account: creation.account.clone() };
    let caller = plain_caller(root, &creation.account, creation.account.as_str());
    let client = kernel.client_for(caller, PRINCIPAL);
    let trust = format!(
        "{{\"Version\":\"2012-10-17\",\"Statement\":[{{\"Effect\":\"Allow\",\"Principal\":\
         {{\"AWS\":\"arn:aws:iam::{}:root\"}},\"Action\":\"sts:AssumeRole\"}}]}}",
        organization.management
    );
    let made = client
        .call(CreateRoleInput {
            role_name: creation.role.clone(),
            assume_role_policy_document: trust,
            ..CreateRoleInput::default()
        })
        .await;
    match made {
        Ok(_) => {}
        Err(error) if error.code == "EntityAlreadyExists" => {}
        Err(error) => return Err(error),
    }
    client
        .call(AttachRolePolicyInput {
            role_name: creation.role.clone(),
            policy_arn: ADMINISTRATOR.to_owned(),
        })
        .await?;
    Ok(())
}

async fn finish(
    ctx: &TaskCtx,
    mut creation: Creation,
    failure: Option<&str>,
) -> std::result::Result<(), TaskError> {
    let now = ctx.now();
    creation.completed = Some(now);
    creation.failure = failure.map(str::to_owned);
    ctx.store
        .write(|tx| {
            tx.put(&CREATIONS, &creation)?;
            let organization = tx.get(&ORGANIZATIONS, &creation.organization)?;
            let Some(organization) = organization.filter(|_| creation.failure.is_none()) else {
                return Ok(());
            };
            let (name, email) = (creation.name.clone(), creation.email.clone());
            let account = creation.account.clone();
            let mut member = Member::fresh(&organization, account, name, email, now);
            member.created = true;
            member.tags.clone_from(&creation.tags);
            tx.put(&MEMBERS, &member)
        })
        .await?;
    Ok(())
}

/// How far the making of an account is.
///
/// AWS: DescribeCreateAccountStatus.
///
/// # Errors
///
/// [`Error::CreationNotFound`].
pub(crate) async fn describe_create_account_status(
    ctx: Ctx,
    input: DescribeCreateAccountStatusInput,
) -> Result<DescribeCreateAccountStatusOutput> {
    let creation = ctx
        .store
        .read(|tx| {
            let organization = visible(tx, &ctx)?;
            let found = tx.get(&CREATIONS, &input.create_account_request_id)?;
            let own = found.filter(|creation| creation.organization == organization.id);
            own.ok_or(Error::CreationNotFound)
        })
        .await?;
    Ok(DescribeCreateAccountStatusOutput { create_account_status: Some(creation.view()) })
}

/// The accounts that were asked for.
///
/// AWS: ListCreateAccountStatus.
pub(crate) async fn list_create_account_status(
    ctx: Ctx,
    input: ListCreateAccountStatusInput,
) -> Result<ListCreateAccountStatusOutput> {
    let all = ctx
        .store
        .read(|tx| {
            let organization = visible(tx, &ctx)?;
            Ok::<_, Error>(tx.find(&CREATIONS_OF, organization.id.as_str())?)
        })
        .await?;
    let mut views: Vec<CreateAccountStatus> = all.iter().map(Creation::view).collect();
    if !input.states.is_empty() {
        views.retain(|view| view.state.is_some_and(|state| input.states.contains(&state)));
    }
    let page = listing::page(views, input.next_token.as_deref(), input.max_results, |view| {
        view.id.clone().unwrap_or_default()
    })?;
    Ok(ListCreateAccountStatusOutput { create_account_statuses: page.items, next_token: page.next })
}

/// An account of the organization.
///
/// AWS: DescribeAccount.
///
/// # Errors
///
/// [`Error::AccountNotFound`].
pub(crate) async fn describe_account(
    ctx: Ctx,
    input: DescribeAccountInput,
) -> Result<DescribeAccountOutput> {
    let account = ctx
        .store
        .read(|tx| {
            let organization = visible(tx, &ctx)?;
            Ok::<_, Error>(member(tx, &organization, &input.account_id)?.view(&organization))
        })
        .await?;
    Ok(DescribeAccountOutput { account: Some(account) })
}

/// The organization's accounts.
///
/// AWS: ListAccounts.
pub(crate) async fn list_accounts(
    ctx: Ctx,
    input: ListAccountsInput,
) -> Result<ListAccountsOutput> {
    let accounts = ctx
        .store
        .read(|tx| {
            let organization = visible(tx, &ctx)?;
            let all = tx.find(&MEMBERS_OF, organization.id.as_str())?;
            Ok::<_, Error>(all.iter().map(|m| m.view(&organization)).collect::<Vec<_>>())
        })
        .await?;
    let page = listing::page(accounts, input.next_token.as_deref(), input.max_results, id_of)?;
    Ok(ListAccountsOutput { accounts: page.items, next_token: page.next })
}

fn id_of(account: &api::Account) -> String {
    account.id.clone().unwrap_or_default()
}

/// The accounts directly under a root or unit.
///
/// AWS: ListAccountsForParent.
///
/// # Errors
///
/// [`Error::ParentNotFound`].
pub(crate) async fn list_accounts_for_parent(
    ctx: Ctx,
    input: ListAccountsForParentInput,
) -> Result<ListAccountsForParentOutput> {
    let accounts = ctx
        .store
        .read(|tx| {
            let organization = visible(tx, &ctx)?;
            require_parent(tx, &organization, &input.parent_id, Error::ParentNotFound)?;
            let all = tx.find(&MEMBERS_OF, organization.id.as_str())?;
            let under = all.iter().filter(|member| member.parent == input.parent_id);
            Ok::<_, Error>(under.map(|m| m.view(&organization)).collect::<Vec<_>>())
        })
        .await?;
    let page = listing::page(accounts, input.next_token.as_deref(), input.max_results, id_of)?;
    Ok(ListAccountsForParentOutput { accounts: page.items, next_token: page.next })
}

/// Refuses what is neither the root nor a unit of the organization.
///
/// # Errors
///
/// `missing`.
pub(crate) fn require_parent(
    tx: &ReadTx<'_>,
    organization: &Organization,
    id: &str,
    missing: Error,
) -> Result<()> {
    let unit = tx.get(&UNITS, id)?.filter(|unit| unit.organization == organization.id);
    if id == organization.root || unit.is_some() { Ok(()) } else { Err(missing) }
}

/// Moves an account to another place of the tree.
///
/// AWS: MoveAccount.
///
/// # Errors
///
/// [`Error::AccountNotFound`], [`Error::SourceParentNotFound`],
/// [`Error::DestinationParentNotFound`], [`Error::DuplicateAccount`].
pub(crate) async fn move_account(ctx: Ctx, input: MoveAccountInput) -> Result<MoveAccountOutput> {
    ctx.store
        .write(|tx| {
            let organization = managed(tx, &ctx)?;
            let mut member = member(tx, &organization, &input.account_id)?;
            if member.parent != input.source_parent_id {
                return Err(Error::SourceParentNotFound);
            }
            let destination = &input.destination_parent_id;
            require_parent(tx, &organization, destination, Error::DestinationParentNotFound)?;
            if member.parent == *destination {
                return Err(Error::DuplicateAccount);
            }
            member.parent.clone_from(destination);
            Ok(tx.put(&MEMBERS, &member)?)
        })
        .await?;
    Ok(MoveAccountOutput {})
}

/// Takes an account out of the organization.
///
/// AWS: RemoveAccountFromOrganization.
///
/// # Errors
///
/// [`Error::AccountNotFound`], [`Error::MasterCannotLeave`], [`Error::ConstraintViolation`].
pub(crate) async fn remove_account_from_organization(
    ctx: Ctx,
    input: RemoveAccountFromOrganizationInput,
) -> Result<RemoveAccountFromOrganizationOutput> {
    ctx.store
        .write(|tx| {
            let organization = managed(tx, &ctx)?;
            let member = member(tx, &organization, &input.account_id)?;
            if member.account == organization.management {
                return Err(Error::MasterCannotLeave);
            }
            require_not_delegated(tx, &member)?;
            tx.delete(&MEMBERS, member.account.as_str())?;
            Ok(())
        })
        .await?;
    Ok(RemoveAccountFromOrganizationOutput {})
}

/// Closes an account: from then on nothing is allowed in it.
///
/// AWS: CloseAccount.
///
/// # Errors
///
/// [`Error::AccountNotFound`], [`Error::AccountAlreadyClosed`], [`Error::ConstraintViolation`].
pub(crate) async fn close_account(
    ctx: Ctx,
    input: CloseAccountInput,
) -> Result<CloseAccountOutput> {
    ctx.store
        .write(|tx| {
            let organization = managed(tx, &ctx)?;
            let mut member = member(tx, &organization, &input.account_id)?;
            if member.account == organization.management {
                return Err(Error::constraint(
                    "CANNOT_CLOSE_MANAGEMENT_ACCOUNT",
                    "You attempted to close the management account.",
                ));
            }
            require_not_delegated(tx, &member)?;
            if member.closed.is_some() {
                return Err(Error::AccountAlreadyClosed);
            }
            member.closed = Some(ctx.now());
            Ok(tx.put(&MEMBERS, &member)?)
        })
        .await?;
    Ok(CloseAccountOutput {})
}
