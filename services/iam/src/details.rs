//! Everything about an account's permissions in one list.

use base::AccountId;
use iam_api as api;
use iam_api::{
    EntityType, GetAccountAuthorizationDetailsInput, GetAccountAuthorizationDetailsOutput,
    GroupDetail, ManagedPolicyDetail, PolicyDetail, RoleDetail, UserDetail,
};
use policy::managed;
use store::ReadTx;

use crate::Ctx;
use crate::access::{self, Keys};
use crate::document::encoded;
use crate::entity::{Entity, date};
use crate::error::Result;
use crate::listing;
use crate::policy::{self as managed_policy, AnyPolicy, Uses};
use crate::store::{
    GROUPS, Group, InstanceProfile, POLICIES, PROFILES_BY_ROLE, Permissions, ROLES, Role, USERS,
    User,
};
use crate::tag;
use crate::user::boundary_view;

/// One entry of the list.
enum Detail {
    User(UserDetail),
    Group(GroupDetail),
    Role(RoleDetail),
    Policy(ManagedPolicyDetail),
}

impl Detail {
    fn key(&self) -> String {
        let (kind, name) = match self {
            Self::User(user) => ("1", &user.user_id),
            Self::Group(group) => ("2", &group.group_id),
            Self::Role(role) => ("3", &role.role_id),
            Self::Policy(policy) => ("4", &policy.policy_id),
        };
        format!("{kind} {}", name.as_deref().unwrap_or_default())
    }
}

/// The account's users, groups, roles and managed policies, with all their permissions.
///
/// AWS: GetAccountAuthorizationDetails.
pub(crate) async fn get_account_authorization_details(
    ctx: Ctx,
    input: GetAccountAuthorizationDetailsInput,
) -> Result<GetAccountAuthorizationDetailsOutput> {
    access::require(&ctx, "GetAccountAuthorizationDetails", "*", Keys::new()).await?;
    let found = ctx.store.read(|tx| all(tx, &ctx.account, &input.filter)).await?;
    let page = listing::page(found, input.marker.as_deref(), input.max_items, Detail::key)?;
    let mut output = GetAccountAuthorizationDetailsOutput {
        is_truncated: Some(page.next.is_some()),
        marker: page.next,
        ..GetAccountAuthorizationDetailsOutput::default()
    };
    for detail in page.items {
        match detail {
            Detail::User(user) => output.user_detail_list.push(user),
            Detail::Group(group) => output.group_detail_list.push(group),
            Detail::Role(role) => output.role_detail_list.push(role),
            Detail::Policy(policy) => output.policies.push(policy),
        }
    }
    Ok(output)
}

fn all(tx: &ReadTx<'_>, account: &AccountId, filter: &[EntityType]) -> Result<Vec<Detail>> {
    let wants = |kind: EntityType| filter.is_empty() || filter.contains(&kind);
    let mut found = Vec::new();
    if wants(EntityType::User) {
        let users = tx.scan(&USERS, ())?;
        found.extend(users.iter().map(|user| Detail::User(user_detail(user, account))));
    }
    if wants(EntityType::Group) {
        let groups = tx.scan(&GROUPS, ())?;
        found.extend(groups.iter().map(|group| Detail::Group(group_detail(group, account))));
    }
    if wants(EntityType::Role) {
        for role in tx.scan(&ROLES, ())? {
            let profiles = tx.find(&PROFILES_BY_ROLE, &role.name)?;
            found.push(Detail::Role(role_detail(&role, &profiles, account)));
        }
    }
    let mut policies = Vec::new();
    if wants(EntityType::LocalManagedPolicy) {
        policies.extend(tx.scan(&POLICIES, ())?.into_iter().map(AnyPolicy::Own));
    }
    if wants(EntityType::AWSManagedPolicy) {
        policies.extend(managed::all().iter().map(AnyPolicy::Aws));
    }
    for policy in policies {
        let uses = managed_policy::uses(tx, &policy.arn(account))?;
        // Of AWS's many policies only those that the account uses are its permissions.
        let is_idle = matches!(policy, AnyPolicy::Aws(_)) && uses.attached + uses.boundary == 0;
        if !is_idle {
            found.push(Detail::Policy(policy_detail(&policy, account, &uses)));
        }
    }
    Ok(found)
}

fn inline(permissions: &Permissions) -> Vec<PolicyDetail> {
    let view = |(name, document): (&String, &String)| PolicyDetail {
        policy_name: Some(name.clone()),
        policy_document: Some(encoded(document)),
    };
    permissions.inline.iter().map(view).collect()
}

fn user_detail(user: &User, account: &AccountId) -> UserDetail {
    UserDetail {
        path: Some(user.path.clone()),
        user_name: Some(user.name.clone()),
        user_id: Some(user.id.clone()),
        arn: Some(user.arn(account).to_string()),
        create_date: Some(date(user.created)),
        user_policy_list: inline(&user.permissions),
        group_list: user.groups.iter().cloned().collect(),
        attached_managed_policies: managed_policy::names(&user.permissions.attached),
        permissions_boundary: boundary_view(&user.permissions),
        tags: tag::view(&user.tags),
    }
}

fn group_detail(group: &Group, account: &AccountId) -> GroupDetail {
    GroupDetail {
        path: Some(group.path.clone()),
        group_name: Some(group.name.clone()),
        group_id: Some(group.id.clone()),
        arn: Some(group.arn(account).to_string()),
        create_date: Some(date(group.created)),
        group_policy_list: inline(&group.permissions),
        attached_managed_policies: managed_policy::names(&group.permissions.attached),
    }
}

fn role_detail(role: &Role, profiles: &[InstanceProfile], account: &AccountId) -> RoleDetail {
    let profile = |profile: &InstanceProfile| api::InstanceProfile {
        path: profile.path.clone(),
        instance_profile_name: profile.name.clone(),
        instance_profile_id: profile.id.clone(),
        arn: profile.arn(account).to_string(),
        create_date: date(profile.created),
        roles: vec![role.summary(account)],
        tags: tag::view(&profile.tags),
    };
    RoleDetail {
        path: Some(role.path.clone()),
        role_name: Some(role.name.clone()),
        role_id: Some(role.id.clone()),
        arn: Some(role.arn(account).to_string()),
        create_date: Some(date(role.created)),
        assume_role_policy_document: Some(encoded(&role.trust_policy)),
        instance_profile_list: profiles.iter().map(profile).collect(),
        role_policy_list: inline(&role.permissions),
        attached_managed_policies: managed_policy::names(&role.permissions.attached),
        permissions_boundary: boundary_view(&role.permissions),
        tags: tag::view(&role.tags),
        role_last_used: None,
    }
}

fn policy_detail(policy: &AnyPolicy, account: &AccountId, uses: &Uses) -> ManagedPolicyDetail {
    let view = policy.detail(account, uses);
    ManagedPolicyDetail {
        policy_name: view.policy_name,
        policy_id: view.policy_id,
        arn: view.arn,
        path: view.path,
        default_version_id: view.default_version_id,
        attachment_count: view.attachment_count,
        permissions_boundary_usage_count: view.permissions_boundary_usage_count,
        is_attachable: view.is_attachable,
        description: view.description,
        create_date: view.create_date,
        update_date: view.update_date,
        policy_version_list: policy.versions(),
    }
}
