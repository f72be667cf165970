//! Passwords of users.
//!
//! AWS: "Manage passwords for IAM users".

use std::time::Duration;

use base::Timestamp;
use iam_api as api;
use iam_api::{
    ChangePasswordInput, ChangePasswordOutput, CreateLoginProfileInput, CreateLoginProfileOutput,
    DeleteLoginProfileInput, DeleteLoginProfileOutput, GetLoginProfileInput, GetLoginProfileOutput,
    UpdateLoginProfileInput, UpdateLoginProfileOutput,
};
use policy::Principal;
use store::ReadTx;

use crate::access::{self, holder};
use crate::entity::date;
use crate::error::{Error, Result};
use crate::password_policy::rules;
use crate::store::{LOGIN_PROFILES, LoginProfile, User};
use crate::{Ctx, password};

/// The most earlier passwords that are remembered. AWS: UpdateAccountPasswordPolicy,
/// `PasswordReusePrevention`.
const EARLIER_MAX: usize = 24;

fn get(tx: &ReadTx<'_>, user: &User) -> Result<LoginProfile> {
    tx.get(&LOGIN_PROFILES, &user.id)?.ok_or_else(|| {
        Error::NoSuchEntity(format!("Login Profile for User {} cannot be found.", user.name))
    })
}

fn view(user: &User, profile: &LoginProfile) -> api::LoginProfile {
    api::LoginProfile {
        user_name: user.name.clone(),
        create_date: date(profile.created),
        password_reset_required: Some(profile.reset_required),
    }
}

/// The user of an operation that says nothing of the root user.
async fn user(ctx: &Ctx, action: &str, name: Option<&str>) -> Result<User> {
    holder(ctx, action, name).await?.ok_or_else(|| {
        Error::Validation("Must specify userName when calling with root credentials".to_owned())
    })
}

/// Gives a user a password.
///
/// AWS: CreateLoginProfile.
///
/// # Errors
///
/// [`Error::EntityAlreadyExists`], [`Error::PasswordPolicyViolation`].
pub(crate) async fn create_login_profile(
    ctx: Ctx,
    input: CreateLoginProfileInput,
) -> Result<CreateLoginProfileOutput> {
    let user = user(&ctx, "CreateLoginProfile", input.user_name.as_deref()).await?;
    let text = input.password.ok_or_else(|| {
        Error::Validation("Password is required to create a login profile.".to_owned())
    })?;
    let profile = LoginProfile {
        holder: user.id.clone(),
        hash: password::hash(&text, ctx.random()),
        created: ctx.now(),
        changed: ctx.now(),
        reset_required: input.password_reset_required.unwrap_or(false),
        earlier: Vec::new(),
    };
    ctx.store
        .write(|tx| {
            if tx.contains(&LOGIN_PROFILES, &user.id)? {
                return Err(Error::EntityAlreadyExists(format!(
                    "Login Profile for user {} already exists.",
                    user.name
                )));
            }
            let (rules, is_set) = rules(tx)?;
            rules.check(&text, is_set)?;
            Ok(tx.put(&LOGIN_PROFILES, &profile)?)
        })
        .await?;
    Ok(CreateLoginProfileOutput { login_profile: view(&user, &profile) })
}

/// Whether a user has a password, and since when.
///
/// AWS: GetLoginProfile.
///
/// # Errors
///
/// [`Error::NoSuchEntity`].
pub(crate) async fn get_login_profile(
    ctx: Ctx,
    input: GetLoginProfileInput,
) -> Result<GetLoginProfileOutput> {
    let user = user(&ctx, "GetLoginProfile", input.user_name.as_deref()).await?;
    let profile = ctx.store.read(|tx| get(tx, &user)).await?;
    Ok(GetLoginProfileOutput { login_profile: view(&user, &profile) })
}

/// Sets a user's password anew.
///
/// AWS: UpdateLoginProfile.
///
/// # Errors
///
/// [`Error::NoSuchEntity`], [`Error::PasswordPolicyViolation`].
pub(crate) async fn update_login_profile(
    ctx: Ctx,
    input: UpdateLoginProfileInput,
) -> Result<UpdateLoginProfileOutput> {
    let user = user(&ctx, "UpdateLoginProfile", Some(&input.user_name)).await?;
    let hash = input.password.as_deref().map(|text| password::hash(text, ctx.random()));
    ctx.store
        .write(|tx| {
            let mut profile = get(tx, &user)?;
            if let (Some(text), Some(hash)) = (&input.password, &hash) {
                let (rules, is_set) = rules(tx)?;
                rules.check(text, is_set)?;
                profile.replace(text, hash, rules.reuse_prevention, ctx.now())?;
            }
            if let Some(required) = input.password_reset_required {
                profile.reset_required = required;
            }
            Ok::<_, Error>(tx.put(&LOGIN_PROFILES, &profile)?)
        })
        .await?;
    Ok(UpdateLoginProfileOutput {})
}

/// Takes a user's password away.
///
/// AWS: DeleteLoginProfile.
///
/// # Errors
///
/// [`Error::NoSuchEntity`].
pub(crate) async fn delete_login_profile(
    ctx: Ctx,
    input: DeleteLoginProfileInput,
) -> Result<DeleteLoginProfileOutput> {
    let user = user(&ctx, "DeleteLoginProfile", input.user_name.as_deref()).await?;
    ctx.store
        .write(|tx| {
            get(tx, &user)?;
            tx.delete(&LOGIN_PROFILES, &user.id)?;
            Ok::<_, Error>(())
        })
        .await?;
    Ok(DeleteLoginProfileOutput {})
}

/// Changes the calling user's own password.
///
/// AWS: ChangePassword.
///
/// # Errors
///
/// [`Error::AccessDenied`] for a wrong old password, [`Error::InvalidUserType`],
/// [`Error::PasswordPolicyViolation`].
pub(crate) async fn change_password(
    ctx: Ctx,
    input: ChangePasswordInput,
) -> Result<ChangePasswordOutput> {
    let Principal::User { arn, .. } = &ctx.caller.principal else {
        return Err(Error::InvalidUserType("ChangePassword can only be called by an IAM user."));
    };
    let name = arn.resource.rsplit('/').next().unwrap_or_default();
    let user: User = change_allowed(&ctx, name).await?;
    let hash = password::hash(&input.new_password, ctx.random());
    ctx.store
        .write(|tx| {
            let mut profile = get(tx, &user)?;
            if !password::is(&input.old_password, &profile.hash) {
                return Err(Error::AccessDenied("The old password was incorrect.".to_owned()));
            }
            let (rules, is_set) = rules(tx)?;
            let age = rules.age_max_days.and_then(|days| u64::try_from(days).ok());
            let expired = age.is_some_and(|days| {
                ctx.now().since(profile.changed) > Duration::from_secs(days * 86_400)
            });
            if rules.hard_expiry && expired {
                return Err(Error::EntityTemporarilyUnmodifiable(
                    "The password has expired; an administrator must set it.".to_owned(),
                ));
            }
            rules.check(&input.new_password, is_set)?;
            profile.replace(&input.new_password, &hash, rules.reuse_prevention, ctx.now())?;
            profile.reset_required = false;
            Ok(tx.put(&LOGIN_PROFILES, &profile)?)
        })
        .await?;
    Ok(ChangePasswordOutput {})
}

/// A user may change its password where the password policy lets all, or a policy lets it.
///
/// AWS: "Permit IAM users to change their own passwords".
async fn change_allowed(ctx: &Ctx, name: &str) -> Result<User> {
    let (rules, _) = ctx.store.read(rules).await?;
    if rules.users_may_change {
        return ctx.store.read(|tx| crate::entity::get(tx, name)).await;
    }
    access::existing(ctx, "ChangePassword", name).await
}

impl LoginProfile {
    /// Puts another password in the place of the one in force.
    fn replace(
        &mut self,
        text: &str,
        hash: &str,
        reuse_prevention: Option<i32>,
        now: Timestamp,
    ) -> Result<()> {
        let remembered = usize::try_from(reuse_prevention.unwrap_or(0)).unwrap_or_default();
        let newest_first = [&self.hash].into_iter().chain(self.earlier.iter().rev());
        let reused = newest_first.take(remembered).any(|hash| password::is(text, hash));
        if reused {
            return Err(Error::PasswordPolicyViolation(
                "Password does not conform to the account password policy: it was used before."
                    .to_owned(),
            ));
        }
        self.earlier.push(std::mem::replace(&mut self.hash, hash.to_owned()));
        if self.earlier.len() > EARLIER_MAX {
            self.earlier.remove(0);
        }
        self.changed = now;
        Ok(())
    }
}
