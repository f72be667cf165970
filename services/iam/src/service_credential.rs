//! User names and passwords for one service.
//!
//! AWS: "Use IAM with Amazon Keyspaces", "Use IAM with CodeCommit", service-specific credentials.

use std::time::Duration;

use iam_api as api;
use iam_api::{
    CreateServiceSpecificCredentialInput, CreateServiceSpecificCredentialOutput,
    DeleteServiceSpecificCredentialInput, DeleteServiceSpecificCredentialOutput,
    ListServiceSpecificCredentialsInput, ListServiceSpecificCredentialsOutput,
    ResetServiceSpecificCredentialInput, ResetServiceSpecificCredentialOutput,
    ServiceSpecificCredentialMetadata, StatusType, UpdateServiceSpecificCredentialInput,
    UpdateServiceSpecificCredentialOutput,
};
use store::ReadTx;

use crate::access::{self, Keys, holder, holder_id};
use crate::directory::unique_id;
use crate::entity::date;
use crate::error::{Error, Result};
use crate::store::{LOGINS_BY_HOLDER, SERVICE_LOGINS, ServiceLogin, USERS, User};
use crate::{Ctx, listing, password};

/// The services that take such credentials.
const SERVICES: [&str; 2] = ["codecommit.amazonaws.com", "cassandra.amazonaws.com"];
/// AWS: CreateServiceSpecificCredential: two sets for each service.
const PER_SERVICE_MAX: usize = 2;
const PASSWORD_CHARS: usize = 44;

fn status(found: &ServiceLogin) -> StatusType {
    if found.active { StatusType::Active } else { StatusType::Inactive }
}

fn view(name: &str, found: &ServiceLogin, password: &str) -> api::ServiceSpecificCredential {
    api::ServiceSpecificCredential {
        create_date: date(found.created),
        expiration_date: found.expires.map(date),
        service_name: found.service.clone(),
        service_user_name: Some(found.user_name.clone()),
        service_password: Some(password.to_owned()),
        service_specific_credential_id: found.id.clone(),
        user_name: name.to_owned(),
        status: status(found),
        ..api::ServiceSpecificCredential::default()
    }
}

fn held(tx: &ReadTx<'_>, id: &str, holder: &str) -> Result<ServiceLogin> {
    let found = tx.get(&SERVICE_LOGINS, id)?.filter(|found| found.holder == holder);
    found
        .ok_or_else(|| Error::NoSuchEntity(format!("The credential with id {id} cannot be found.")))
}

fn new_password(ctx: &Ctx) -> String {
    let letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=";
    ctx.random().text(letters, PASSWORD_CHARS)
}

/// Makes a user name and a password, which is told this once.
///
/// AWS: CreateServiceSpecificCredential.
///
/// # Errors
///
/// [`Error::NotSupportedService`], [`Error::LimitExceeded`].
pub(crate) async fn create_service_specific_credential(
    ctx: Ctx,
    input: CreateServiceSpecificCredentialInput,
) -> Result<CreateServiceSpecificCredentialOutput> {
    let action = "CreateServiceSpecificCredential";
    let keys = Keys::new().with("iam:ServiceSpecificCredentialServiceName", &input.service_name);
    let user: User = access::existing_with(&ctx, action, &input.user_name, keys).await?;
    if !SERVICES.contains(&input.service_name.as_str()) {
        return Err(Error::NotSupportedService(format!(
            "No such service {} is supported for Service Specific Credentials",
            input.service_name
        )));
    }
    let password = new_password(&ctx);
    let days = input.credential_age_days.and_then(|days| u64::try_from(days).ok());
    let mut login = ServiceLogin {
        id: unique_id("ACCA", ctx.random()),
        holder: user.id.clone(),
        service: input.service_name,
        user_name: format!("{}-at-{}", user.name, ctx.account),
        hash: password::hash(&password, ctx.random()),
        active: true,
        created: ctx.now(),
        expires: days.map(|days| ctx.now() + Duration::from_secs(days * 86_400)),
    };
    ctx.store
        .write(|tx| {
            let own = tx.find(&LOGINS_BY_HOLDER, login.holder.as_str())?;
            let same: Vec<_> = own.iter().filter(|o| o.service == login.service).collect();
            if same.len() >= PER_SERVICE_MAX {
                return Err(Error::quota("ServiceSpecificCredentialsPerUser", PER_SERVICE_MAX));
            }
            let plain = format!("{}-at-{}", user.name, ctx.account);
            let taken = same.iter().any(|other| other.user_name == plain);
            login.user_name =
                if taken { format!("{}+1-at-{}", user.name, ctx.account) } else { plain };
            Ok(tx.put(&SERVICE_LOGINS, &login)?)
        })
        .await?;
    Ok(CreateServiceSpecificCredentialOutput {
        service_specific_credential: Some(view(&user.name, &login, &password)),
    })
}

/// The credentials of a user or of all, without their passwords.
///
/// AWS: ListServiceSpecificCredentials.
///
/// # Errors
///
/// [`Error::NoSuchEntity`].
pub(crate) async fn list_service_specific_credentials(
    ctx: Ctx,
    input: ListServiceSpecificCredentialsInput,
) -> Result<ListServiceSpecificCredentialsOutput> {
    let action = "ListServiceSpecificCredentials";
    let all_users = input.all_users == Some(true);
    let (logins, users) = if all_users {
        access::require(&ctx, action, "*", Keys::new()).await?;
        ctx.store
            .read(|tx| Ok::<_, Error>((tx.scan(&SERVICE_LOGINS, ())?, tx.scan(&USERS, ())?)))
            .await?
    } else {
        let user = holder(&ctx, action, input.user_name.as_deref()).await?;
        let holder = holder_id(&ctx, user.as_ref());
        let own = ctx.store.read(|tx| tx.find(&LOGINS_BY_HOLDER, holder.as_str())).await?;
        (own, user.into_iter().collect())
    };
    let wanted = input.service_name.as_deref();
    let logins = logins.into_iter().filter(|l| wanted.is_none_or(|w| w == l.service)).collect();
    let page =
        listing::page(logins, input.marker.as_deref(), input.max_items, |found| found.id.clone())?;
    let metadata = |found: ServiceLogin| ServiceSpecificCredentialMetadata {
        user_name: users
            .iter()
            .find(|user| user.id == found.holder)
            .map(|user| user.name.clone())
            .unwrap_or_default(),
        status: status(&found),
        create_date: date(found.created),
        expiration_date: found.expires.map(date),
        service_user_name: Some(found.user_name),
        service_specific_credential_id: found.id,
        service_name: found.service,
        ..ServiceSpecificCredentialMetadata::default()
    };
    Ok(ListServiceSpecificCredentialsOutput {
        is_truncated: Some(page.next.is_some()),
        marker: page.next,
        service_specific_credentials: page.items.into_iter().map(metadata).collect(),
    })
}

/// Switches a credential on or off.
///
/// AWS: UpdateServiceSpecificCredential.
///
/// # Errors
///
/// [`Error::NoSuchEntity`].
pub(crate) async fn update_service_specific_credential(
    ctx: Ctx,
    input: UpdateServiceSpecificCredentialInput,
) -> Result<UpdateServiceSpecificCredentialOutput> {
    let name = input.user_name.as_deref();
    let user = holder(&ctx, "UpdateServiceSpecificCredential", name).await?;
    let holder = holder_id(&ctx, user.as_ref());
    ctx.store
        .write(|tx| {
            let mut found = held(tx, &input.service_specific_credential_id, &holder)?;
            found.active = input.status == StatusType::Active;
            Ok::<_, Error>(tx.put(&SERVICE_LOGINS, &found)?)
        })
        .await?;
    Ok(UpdateServiceSpecificCredentialOutput {})
}

/// Gives a credential another password.
///
/// AWS: ResetServiceSpecificCredential.
///
/// # Errors
///
/// [`Error::NoSuchEntity`].
pub(crate) async fn reset_service_specific_credential(
    ctx: Ctx,
    input: ResetServiceSpecificCredentialInput,
) -> Result<ResetServiceSpecificCredentialOutput> {
    let name = input.user_name.as_deref();
    let user = holder(&ctx, "ResetServiceSpecificCredential", name).await?;
    let holder = holder_id(&ctx, user.as_ref());
    let password = new_password(&ctx);
    let hash = password::hash(&password, ctx.random());
    let login = ctx
        .store
        .write(|tx| {
            let mut found = held(tx, &input.service_specific_credential_id, &holder)?;
            found.hash.clone_from(&hash);
            tx.put(&SERVICE_LOGINS, &found)?;
            Ok::<_, Error>(found)
        })
        .await?;
    let name = user.map(|user| user.name).unwrap_or_default();
    Ok(ResetServiceSpecificCredentialOutput {
        service_specific_credential: Some(view(&name, &login, &password)),
    })
}

/// Deletes a credential.
///
/// AWS: DeleteServiceSpecificCredential.
///
/// # Errors
///
/// [`Error::NoSuchEntity`].
pub(crate) async fn delete_service_specific_credential(
    ctx: Ctx,
    input: DeleteServiceSpecificCredentialInput,
) -> Result<DeleteServiceSpecificCredentialOutput> {
    let name = input.user_name.as_deref();
    let user = holder(&ctx, "DeleteServiceSpecificCredential", name).await?;
    let holder = holder_id(&ctx, user.as_ref());
    ctx.store
        .write(|tx| {
            held(tx, &input.service_specific_credential_id, &holder)?;
            tx.delete(&SERVICE_LOGINS, &input.service_specific_credential_id)?;
            Ok::<_, Error>(())
        })
        .await?;
    Ok(DeleteServiceSpecificCredentialOutput {})
}
