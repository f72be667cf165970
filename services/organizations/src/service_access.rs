//! Services that the organization trusts, and accounts that administer them for it.
//!
//! AWS: "Using AWS Organizations with other AWS services", "Delegated administrator".

use kernel::Ctx;
use organizations_api::{
    DelegatedAdministrator, DelegatedService, DeregisterDelegatedAdministratorInput,
    DeregisterDelegatedAdministratorOutput, DisableAWSServiceAccessInput,
    DisableAWSServiceAccessOutput, EnableAWSServiceAccessInput, EnableAWSServiceAccessOutput,
    EnabledServicePrincipal, ListAWSServiceAccessForOrganizationInput,
    ListAWSServiceAccessForOrganizationOutput, ListDelegatedAdministratorsInput,
    ListDelegatedAdministratorsOutput, ListDelegatedServicesForAccountInput,
    ListDelegatedServicesForAccountOutput, RegisterDelegatedAdministratorInput,
    RegisterDelegatedAdministratorOutput,
};

use crate::access::{managed_whole, visible};
use crate::account::member;
use crate::error::{Error, Result};
use crate::listing;
use crate::store::{MEMBERS, MEMBERS_OF};
use crate::unit::put;

fn check(service: &str) -> Result<()> {
    if service.ends_with(".amazonaws.com") {
        return Ok(());
    }
    Err(Error::input(
        "UNRECOGNIZED_SERVICE_PRINCIPAL",
        "You specified a service principal that isn't recognized.",
    ))
}

/// Lets a service act in all accounts of the organization.
///
/// AWS: EnableAWSServiceAccess.
///
/// # Errors
///
/// [`Error::InvalidInput`], [`Error::ConstraintViolation`].
pub(crate) async fn enable_aws_service_access(
    ctx: Ctx,
    input: EnableAWSServiceAccessInput,
) -> Result<EnableAWSServiceAccessOutput> {
    check(&input.service_principal)?;
    ctx.store
        .write(|tx| {
            let mut organization = managed_whole(tx, &ctx)?;
            organization.services.entry(input.service_principal.clone()).or_insert(ctx.now());
            put(tx, &organization)
        })
        .await?;
    Ok(EnableAWSServiceAccessOutput {})
}

/// Ends a service's access.
///
/// AWS: DisableAWSServiceAccess.
///
/// # Errors
///
/// [`Error::ConstraintViolation`] while an account administers the service.
pub(crate) async fn disable_aws_service_access(
    ctx: Ctx,
    input: DisableAWSServiceAccessInput,
) -> Result<DisableAWSServiceAccessOutput> {
    check(&input.service_principal)?;
    ctx.store
        .write(|tx| {
            let mut organization = managed_whole(tx, &ctx)?;
            let members = tx.find(&MEMBERS_OF, organization.id.as_str())?;
            if members.iter().any(|m| m.delegated.contains_key(&input.service_principal)) {
                return Err(Error::constraint(
                    "DELEGATED_ADMINISTRATOR_EXISTS_FOR_THIS_SERVICE",
                    "Deregister the delegated administrators of the service first.",
                ));
            }
            organization.services.remove(&input.service_principal);
            put(tx, &organization)
        })
        .await?;
    Ok(DisableAWSServiceAccessOutput {})
}

/// The services that are trusted.
///
/// AWS: ListAWSServiceAccessForOrganization.
pub(crate) async fn list_aws_service_access_for_organization(
    ctx: Ctx,
    input: ListAWSServiceAccessForOrganizationInput,
) -> Result<ListAWSServiceAccessForOrganizationOutput> {
    let organization = ctx.store.read(|tx| visible(tx, &ctx)).await?;
    let all = organization.services.into_iter().map(|(name, since)| EnabledServicePrincipal {
        service_principal: Some(name),
        date_enabled: Some(since),
    });
    let name =
        |found: &EnabledServicePrincipal| found.service_principal.clone().unwrap_or_default();
    let page = listing::page(all.collect(), input.next_token.as_deref(), input.max_results, name)?;
    Ok(ListAWSServiceAccessForOrganizationOutput {
        enabled_service_principals: page.items,
        next_token: page.next,
    })
}

/// Lets a member administer a service for the organization.
///
/// AWS: RegisterDelegatedAdministrator.
///
/// # Errors
///
/// [`Error::AccountNotFound`], [`Error::AccountAlreadyRegistered`], [`Error::ConstraintViolation`].
pub(crate) async fn register_delegated_administrator(
    ctx: Ctx,
    input: RegisterDelegatedAdministratorInput,
) -> Result<RegisterDelegatedAdministratorOutput> {
    check(&input.service_principal)?;
    ctx.store
        .write(|tx| {
            let organization = managed_whole(tx, &ctx)?;
            let mut member = member(tx, &organization, &input.account_id)?;
            if member.account == organization.management {
                return Err(Error::constraint(
                    "CANNOT_REGISTER_MASTER_AS_DELEGATED_ADMINISTRATOR",
                    "You can't register the management account.",
                ));
            }
            if member.delegated.contains_key(&input.service_principal) {
                return Err(Error::AccountAlreadyRegistered);
            }
            if member.closed.is_some() {
                return Err(Error::constraint(
                    "CANNOT_REGISTER_SUSPENDED_ACCOUNT_AS_DELEGATED_ADMINISTRATOR",
                    "You can't register a suspended account.",
                ));
            }
            member.delegated.insert(input.service_principal.clone(), ctx.now());
            Ok(tx.put(&MEMBERS, &member)?)
        })
        .await?;
    Ok(RegisterDelegatedAdministratorOutput {})
}

/// Ends what [`register_delegated_administrator`] began.
///
/// AWS: DeregisterDelegatedAdministrator.
///
/// # Errors
///
/// [`Error::AccountNotFound`], [`Error::AccountNotRegistered`].
pub(crate) async fn deregister_delegated_administrator(
    ctx: Ctx,
    input: DeregisterDelegatedAdministratorInput,
) -> Result<DeregisterDelegatedAdministratorOutput> {
    ctx.store
        .write(|tx| {
            let organization = managed_whole(tx, &ctx)?;
            let mut member = member(tx, &organization, &input.account_id)?;
            if member.delegated.remove(&input.service_principal).is_none() {
                return Err(Error::AccountNotRegistered);
            }
            Ok(tx.put(&MEMBERS, &member)?)
        })
        .await?;
    Ok(DeregisterDelegatedAdministratorOutput {})
}

/// The accounts that administer services.
///
/// AWS: ListDelegatedAdministrators.
pub(crate) async fn list_delegated_administrators(
    ctx: Ctx,
    input: ListDelegatedAdministratorsInput,
) -> Result<ListDelegatedAdministratorsOutput> {
    let all = ctx
        .store
        .read(|tx| {
            let organization = visible(tx, &ctx)?;
            let members = tx.find(&MEMBERS_OF, organization.id.as_str())?;
            let wanted = input.service_principal.as_ref();
            let found = members.iter().filter(|member| match wanted {
                Some(service) => member.delegated.contains_key(service),
                None => !member.delegated.is_empty(),
            });
            let view = |member: &crate::store::Member| {
                let account = member.view(&organization);
                DelegatedAdministrator {
                    id: account.id,
                    arn: account.arn,
                    email: account.email,
                    name: account.name,
                    status: account.status,
                    state: account.state,
                    joined_method: account.joined_method,
                    joined_timestamp: account.joined_timestamp,
                    delegation_enabled_date: match wanted {
                        Some(service) => member.delegated.get(service).copied(),
                        None => member.delegated.values().min().copied(),
                    },
                }
            };
            Ok::<_, Error>(found.map(view).collect::<Vec<_>>())
        })
        .await?;
    let id = |found: &DelegatedAdministrator| found.id.clone().unwrap_or_default();
    let page = listing::page(all, input.next_token.as_deref(), input.max_results, id)?;
    Ok(ListDelegatedAdministratorsOutput {
        delegated_administrators: page.items,
        next_token: page.next,
    })
}

/// The services that an account administers.
///
/// AWS: ListDelegatedServicesForAccount.
///
/// # Errors
///
/// [`Error::AccountNotFound`], [`Error::AccountNotRegistered`].
pub(crate) async fn list_delegated_services_for_account(
    ctx: Ctx,
    input: ListDelegatedServicesForAccountInput,
) -> Result<ListDelegatedServicesForAccountOutput> {
    let member = ctx
        .store
        .read(|tx| {
            let organization = visible(tx, &ctx)?;
            member(tx, &organization, &input.account_id)
        })
        .await?;
    if member.delegated.is_empty() {
        return Err(Error::AccountNotRegistered);
    }
    let all = member.delegated.into_iter().map(|(name, since)| DelegatedService {
        service_principal: Some(name),
        delegation_enabled_date: Some(since),
    });
    let name = |found: &DelegatedService| found.service_principal.clone().unwrap_or_default();
    let page = listing::page(all.collect(), input.next_token.as_deref(), input.max_results, name)?;
    Ok(ListDelegatedServicesForAccountOutput {
        delegated_services: page.items,
        next_token: page.next,
    })
}
