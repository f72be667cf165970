//! Instance profiles: how a role gets into an EC2 instance.

use base::AccountId;
use iam_api as api;
use iam_api::{
    AddRoleToInstanceProfileInput, AddRoleToInstanceProfileOutput, CreateInstanceProfileInput,
    CreateInstanceProfileOutput, DeleteInstanceProfileInput, DeleteInstanceProfileOutput,
    GetInstanceProfileInput, GetInstanceProfileOutput, ListInstanceProfilesForRoleInput,
    ListInstanceProfilesForRoleOutput, ListInstanceProfilesInput, ListInstanceProfilesOutput,
    RemoveRoleFromInstanceProfileInput, RemoveRoleFromInstanceProfileOutput,
};
use store::ReadTx;

use crate::Ctx;
use crate::access::{self, Keys};
use crate::directory::unique_id;
use crate::entity::{self, Entity, date};
use crate::error::{Error, Result};
use crate::store::{InstanceProfile, PROFILES, PROFILES_BY_ROLE, Role};
use crate::user::ROOT_PATH;
use crate::{listing, tag};

/// AWS: "IAM and AWS STS quotas", roles in an instance profile.
const ROLES_PER_PROFILE_MAX: usize = 1;

impl InstanceProfile {
    /// The profile as lists show it: without tags.
    fn summary(&self, tx: &ReadTx<'_>, account: &AccountId) -> Result<api::InstanceProfile> {
        let mut roles = Vec::new();
        if let Some(name) = &self.role {
            roles.push(entity::get::<Role>(tx, name)?.summary(account));
        }
        Ok(api::InstanceProfile {
            path: self.path.clone(),
            instance_profile_name: self.name.clone(),
            instance_profile_id: self.id.clone(),
            arn: self.arn(account).to_string(),
            create_date: date(self.created),
            roles,
            tags: Vec::new(),
        })
    }

    fn detail(&self, tx: &ReadTx<'_>, account: &AccountId) -> Result<api::InstanceProfile> {
        let tags = tag::view(&self.tags);
        Ok(api::InstanceProfile { tags, ..self.summary(tx, account)? })
    }
}

/// Makes an empty instance profile.
///
/// AWS: CreateInstanceProfile.
///
/// # Errors
///
/// [`Error::EntityAlreadyExists`].
pub(crate) async fn create_instance_profile(
    ctx: Ctx,
    input: CreateInstanceProfileInput,
) -> Result<CreateInstanceProfileOutput> {
    let path = input.path.clone().unwrap_or_else(|| ROOT_PATH.to_owned());
    let (name, keys) = (&input.instance_profile_name, Keys::new().sets(&input.tags));
    access::may_create::<InstanceProfile>(&ctx, "CreateInstanceProfile", &path, name, keys).await?;
    let profile = InstanceProfile {
        id: unique_id("AIPA", ctx.random()),
        path,
        created: ctx.now(),
        role: None,
        tags: tag::from_request(&ctx, &input.tags)?,
        name: input.instance_profile_name,
    };
    let instance_profile = ctx
        .store
        .write(|tx| {
            entity::require_room::<InstanceProfile>(tx, &profile.name)?;
            tx.put(&PROFILES, &profile)?;
            profile.detail(tx, &ctx.account)
        })
        .await?;
    Ok(CreateInstanceProfileOutput { instance_profile })
}

/// An instance profile with its role.
///
/// AWS: GetInstanceProfile.
///
/// # Errors
///
/// [`Error::NoSuchEntity`].
pub(crate) async fn get_instance_profile(
    ctx: Ctx,
    input: GetInstanceProfileInput,
) -> Result<GetInstanceProfileOutput> {
    let name = &input.instance_profile_name;
    access::existing::<InstanceProfile>(&ctx, "GetInstanceProfile", name).await?;
    let instance_profile = ctx
        .store
        .read(|tx| entity::get::<InstanceProfile>(tx, name)?.detail(tx, &ctx.account))
        .await?;
    Ok(GetInstanceProfileOutput { instance_profile })
}

/// The instance profiles of the account.
///
/// AWS: ListInstanceProfiles.
pub(crate) async fn list_instance_profiles(
    ctx: Ctx,
    input: ListInstanceProfilesInput,
) -> Result<ListInstanceProfilesOutput> {
    let prefix = input.path_prefix.as_deref();
    access::may_list::<InstanceProfile>(&ctx, "ListInstanceProfiles", prefix).await?;
    let page = ctx
        .store
        .read(|tx| {
            let mut found = tx.scan(&PROFILES, ())?;
            found.retain(|profile| listing::under(&profile.path, prefix));
            views(tx, &ctx.account, found, input.marker.as_deref(), input.max_items)
        })
        .await?;
    Ok(ListInstanceProfilesOutput {
        instance_profiles: page.items,
        is_truncated: Some(page.next.is_some()),
        marker: page.next,
    })
}

/// The instance profiles that a role is in.
///
/// AWS: ListInstanceProfilesForRole.
///
/// # Errors
///
/// [`Error::NoSuchEntity`].
pub(crate) async fn list_instance_profiles_for_role(
    ctx: Ctx,
    input: ListInstanceProfilesForRoleInput,
) -> Result<ListInstanceProfilesForRoleOutput> {
    access::existing::<Role>(&ctx, "ListInstanceProfilesForRole", &input.role_name).await?;
    let page = ctx
        .store
        .read(|tx| {
            let found = tx.find(&PROFILES_BY_ROLE, &input.role_name)?;
            views(tx, &ctx.account, found, input.marker.as_deref(), input.max_items)
        })
        .await?;
    Ok(ListInstanceProfilesForRoleOutput {
        instance_profiles: page.items,
        is_truncated: Some(page.next.is_some()),
        marker: page.next,
    })
}

fn views(
    tx: &ReadTx<'_>,
    account: &AccountId,
    found: Vec<InstanceProfile>,
    marker: Option<&str>,
    max_items: Option<i32>,
) -> Result<kernel::paging::Page<api::InstanceProfile>> {
    let page = listing::page(found, marker, max_items, |profile| profile.name.clone())?;
    let items = page.items.iter().map(|profile| profile.summary(tx, account));
    Ok(kernel::paging::Page { items: items.collect::<Result<_>>()?, next: page.next })
}

/// Puts a role into an empty instance profile. The caller must be allowed to pass the role on.
///
/// AWS: AddRoleToInstanceProfile.
///
/// # Errors
///
/// [`Error::LimitExceeded`] when the profile has a role, [`Error::UnmodifiableEntity`] for a
/// service-linked role.
pub(crate) async fn add_role_to_instance_profile(
    ctx: Ctx,
    input: AddRoleToInstanceProfileInput,
) -> Result<AddRoleToInstanceProfileOutput> {
    let name = &input.instance_profile_name;
    access::existing::<InstanceProfile>(&ctx, "AddRoleToInstanceProfile", name).await?;
    let to_ec2 = Keys::new().with("iam:PassedToService", "ec2.amazonaws.com");
    access::existing_with::<Role>(&ctx, "PassRole", &input.role_name, to_ec2).await?;
    ctx.store
        .write(|tx| {
            let mut profile: InstanceProfile = entity::get(tx, name)?;
            let role: Role = entity::get_modifiable(tx, &input.role_name)?;
            if profile.role.is_some() {
                let quota = "InstanceSessionsPerInstanceProfile";
                return Err(Error::quota(quota, ROLES_PER_PROFILE_MAX));
            }
            profile.role = Some(role.name);
            Ok(tx.put(&PROFILES, &profile)?)
        })
        .await?;
    Ok(AddRoleToInstanceProfileOutput {})
}

/// Takes the role out of an instance profile.
///
/// AWS: RemoveRoleFromInstanceProfile.
///
/// # Errors
///
/// [`Error::NoSuchEntity`] when the role is not in it.
pub(crate) async fn remove_role_from_instance_profile(
    ctx: Ctx,
    input: RemoveRoleFromInstanceProfileInput,
) -> Result<RemoveRoleFromInstanceProfileOutput> {
    let name = &input.instance_profile_name;
    access::existing::<InstanceProfile>(&ctx, "RemoveRoleFromInstanceProfile", name).await?;
    ctx.store
        .write(|tx| {
            let mut profile: InstanceProfile = entity::get(tx, name)?;
            if profile.role.take_if(|role| *role == input.role_name).is_none() {
                return Err(Role::missing(&input.role_name));
            }
            Ok(tx.put(&PROFILES, &profile)?)
        })
        .await?;
    Ok(RemoveRoleFromInstanceProfileOutput {})
}

/// Deletes an empty instance profile.
///
/// AWS: DeleteInstanceProfile.
///
/// # Errors
///
/// [`Error::DeleteConflict`] while a role is in it.
pub(crate) async fn delete_instance_profile(
    ctx: Ctx,
    input: DeleteInstanceProfileInput,
) -> Result<DeleteInstanceProfileOutput> {
    let name = &input.instance_profile_name;
    access::existing::<InstanceProfile>(&ctx, "DeleteInstanceProfile", name).await?;
    ctx.store
        .write(|tx| {
            let profile: InstanceProfile = entity::get(tx, name)?;
            if profile.role.is_some() {
                return Err(Error::DeleteConflict("remove roles from instance profile"));
            }
            tx.delete(&PROFILES, name)?;
            Ok(())
        })
        .await?;
    Ok(DeleteInstanceProfileOutput {})
}
