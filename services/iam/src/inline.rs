//! Inline policies of users, groups and roles.

use kernel::paging::Page;

use crate::Ctx;
use crate::access::{self, Keys};
use crate::document::{self, encoded};
use crate::entity::{self, Permitted};
use crate::error::{Error, Result};
use crate::listing;
use crate::store::{Group, Role, User};
use iam_api::{
    DeleteGroupPolicyInput, DeleteGroupPolicyOutput, DeleteRolePolicyInput, DeleteRolePolicyOutput,
    DeleteUserPolicyInput, DeleteUserPolicyOutput, GetGroupPolicyInput, GetGroupPolicyOutput,
    GetRolePolicyInput, GetRolePolicyOutput, GetUserPolicyInput, GetUserPolicyOutput,
    ListGroupPoliciesInput, ListGroupPoliciesOutput, ListRolePoliciesInput, ListRolePoliciesOutput,
    ListUserPoliciesInput, ListUserPoliciesOutput, PutGroupPolicyInput, PutGroupPolicyOutput,
    PutRolePolicyInput, PutRolePolicyOutput, PutUserPolicyInput, PutUserPolicyOutput,
};

fn unknown<E: Permitted>(policy: &str) -> Error {
    Error::NoSuchEntity(format!("The {} policy with name {policy} cannot be found.", E::NOUN))
}

async fn put<E: Permitted>(
    ctx: &Ctx,
    action: &str,
    name: &str,
    policy: &str,
    text: &str,
) -> Result<()> {
    access::modifiable::<E>(ctx, action, name, Keys::new()).await?;
    document::check_inline(text)?;
    ctx.store
        .write(|tx| {
            let mut found: E = entity::get_modifiable(tx, name)?;
            let inline = &mut found.permissions_mut().inline;
            inline.insert(policy.to_owned(), text.to_owned());
            let chars: usize = inline.values().map(|text| document::chars(text)).sum();
            if chars > E::INLINE_CHARS_MAX {
                return Err(Error::LimitExceeded(format!(
                    "Maximum policy size of {} bytes exceeded for {} {name}",
                    E::INLINE_CHARS_MAX,
                    E::NOUN
                )));
            }
            Ok(tx.put(&E::TABLE, &found)?)
        })
        .await
}

/// The document of an inline policy, as answers carry it.
async fn get<E: Permitted>(ctx: &Ctx, action: &str, name: &str, policy: &str) -> Result<String> {
    let found: E = access::existing(ctx, action, name).await?;
    let text = found.permissions().inline.get(policy).ok_or_else(|| unknown::<E>(policy))?;
    Ok(encoded(text))
}

async fn delete<E: Permitted>(ctx: &Ctx, action: &str, name: &str, policy: &str) -> Result<()> {
    access::modifiable::<E>(ctx, action, name, Keys::new()).await?;
    ctx.store
        .write(|tx| {
            let mut found: E = entity::get_modifiable(tx, name)?;
            let gone = found.permissions_mut().inline.remove(policy);
            gone.ok_or_else(|| unknown::<E>(policy))?;
            Ok(tx.put(&E::TABLE, &found)?)
        })
        .await
}

async fn list<E: Permitted>(
    ctx: &Ctx,
    action: &str,
    name: &str,
    marker: Option<&str>,
    max_items: Option<i32>,
) -> Result<Page<String>> {
    let found: E = access::existing(ctx, action, name).await?;
    let names = found.permissions().inline.keys().cloned().collect();
    listing::page(names, marker, max_items, String::clone)
}

/// Sets an inline policy of a user.
///
/// AWS: PutUserPolicy.
///
/// # Errors
///
/// [`Error::NoSuchEntity`], [`Error::MalformedPolicyDocument`], [`Error::LimitExceeded`].
pub(crate) async fn put_user_policy(
    ctx: Ctx,
    input: PutUserPolicyInput,
) -> Result<PutUserPolicyOutput> {
    let (name, policy) = (&input.user_name, &input.policy_name);
    put::<User>(&ctx, "PutUserPolicy", name, policy, &input.policy_document).await?;
    Ok(PutUserPolicyOutput {})
}

/// An inline policy of a user.
///
/// AWS: GetUserPolicy.
///
/// # Errors
///
/// [`Error::NoSuchEntity`].
pub(crate) async fn get_user_policy(
    ctx: Ctx,
    input: GetUserPolicyInput,
) -> Result<GetUserPolicyOutput> {
    let (name, policy) = (&input.user_name, &input.policy_name);
    let policy_document = get::<User>(&ctx, "GetUserPolicy", name, policy).await?;
    Ok(GetUserPolicyOutput {
        user_name: input.user_name,
        policy_name: input.policy_name,
        policy_document,
    })
}

/// Deletes an inline policy of a user.
///
/// AWS: DeleteUserPolicy.
///
/// # Errors
///
/// [`Error::NoSuchEntity`].
pub(crate) async fn delete_user_policy(
    ctx: Ctx,
    input: DeleteUserPolicyInput,
) -> Result<DeleteUserPolicyOutput> {
    let (name, policy) = (&input.user_name, &input.policy_name);
    delete::<User>(&ctx, "DeleteUserPolicy", name, policy).await?;
    Ok(DeleteUserPolicyOutput {})
}

/// The names of a user's inline policies.
///
/// AWS: ListUserPolicies.
///
/// # Errors
///
/// [`Error::NoSuchEntity`].
pub(crate) async fn list_user_policies(
    ctx: Ctx,
    input: ListUserPoliciesInput,
) -> Result<ListUserPoliciesOutput> {
    let (name, marker) = (&input.user_name, input.marker.as_deref());
    let page = list::<User>(&ctx, "ListUserPolicies", name, marker, input.max_items).await?;
    Ok(ListUserPoliciesOutput {
        policy_names: page.items,
        is_truncated: Some(page.next.is_some()),
        marker: page.next,
    })
}

/// Sets an inline policy of a group.
///
/// AWS: PutGroupPolicy.
///
/// # Errors
///
/// [`Error::NoSuchEntity`], [`Error::MalformedPolicyDocument`], [`Error::LimitExceeded`].
pub(crate) async fn put_group_policy(
    ctx: Ctx,
    input: PutGroupPolicyInput,
) -> Result<PutGroupPolicyOutput> {
    let (name, policy) = (&input.group_name, &input.policy_name);
    put::<Group>(&ctx, "PutGroupPolicy", name, policy, &input.policy_document).await?;
    Ok(PutGroupPolicyOutput {})
}

/// An inline policy of a group.
///
/// AWS: GetGroupPolicy.
///
/// # Errors
///
/// [`Error::NoSuchEntity`].
pub(crate) async fn get_group_policy(
    ctx: Ctx,
    input: GetGroupPolicyInput,
) -> Result<GetGroupPolicyOutput> {
    let (name, policy) = (&input.group_name, &input.policy_name);
    let policy_document = get::<Group>(&ctx, "GetGroupPolicy", name, policy).await?;
    Ok(GetGroupPolicyOutput {
        group_name: input.group_name,
        policy_name: input.policy_name,
        policy_document,
    })
}

/// Deletes an inline policy of a group.
///
/// AWS: DeleteGroupPolicy.
///
/// # Errors
///
/// [`Error::NoSuchEntity`].
pub(crate) async fn delete_group_policy(
    ctx: Ctx,
    input: DeleteGroupPolicyInput,
) -> Result<DeleteGroupPolicyOutput> {
    let (name, policy) = (&input.group_name, &input.policy_name);
    delete::<Group>(&ctx, "DeleteGroupPolicy", name, policy).await?;
    Ok(DeleteGroupPolicyOutput {})
}

/// The names of a group's inline policies.
///
/// AWS: ListGroupPolicies.
///
/// # Errors
///
/// [`Error::NoSuchEntity`].
pub(crate) async fn list_group_policies(
    ctx: Ctx,
    input: ListGroupPoliciesInput,
) -> Result<ListGroupPoliciesOutput> {
    let (name, marker) = (&input.group_name, input.marker.as_deref());
    let page = list::<Group>(&ctx, "ListGroupPolicies", name, marker, input.max_items).await?;
    Ok(ListGroupPoliciesOutput {
        policy_names: page.items,
        is_truncated: Some(page.next.is_some()),
        marker: page.next,
    })
}

/// Sets an inline policy of a role.
///
/// AWS: PutRolePolicy.
///
/// # Errors
///
/// [`Error::NoSuchEntity`], [`Error::MalformedPolicyDocument`], [`Error::LimitExceeded`].
pub(crate) async fn put_role_policy(
    ctx: Ctx,
    input: PutRolePolicyInput,
) -> Result<PutRolePolicyOutput> {
    let (name, policy) = (&input.role_name, &input.policy_name);
    put::<Role>(&ctx, "PutRolePolicy", name, policy, &input.policy_document).await?;
    Ok(PutRolePolicyOutput {})
}

/// An inline policy of a role.
///
/// AWS: GetRolePolicy.
///
/// # Errors
///
/// [`Error::NoSuchEntity`].
pub(crate) async fn get_role_policy(
    ctx: Ctx,
    input: GetRolePolicyInput,
) -> Result<GetRolePolicyOutput> {
    let (name, policy) = (&input.role_name, &input.policy_name);
    let policy_document = get::<Role>(&ctx, "GetRolePolicy", name, policy).await?;
    Ok(GetRolePolicyOutput {
        role_name: input.role_name,
        policy_name: input.policy_name,
        policy_document,
    })
}

/// Deletes an inline policy of a role.
///
/// AWS: DeleteRolePolicy.
///
/// # Errors
///
/// [`Error::NoSuchEntity`].
pub(crate) async fn delete_role_policy(
    ctx: Ctx,
    input: DeleteRolePolicyInput,
) -> Result<DeleteRolePolicyOutput> {
    let (name, policy) = (&input.role_name, &input.policy_name);
    delete::<Role>(&ctx, "DeleteRolePolicy", name, policy).await?;
    Ok(DeleteRolePolicyOutput {})
}

/// The names of a role's inline policies.
///
/// AWS: ListRolePolicies.
///
/// # Errors
///
/// [`Error::NoSuchEntity`].
pub(crate) async fn list_role_policies(
    ctx: Ctx,
    input: ListRolePoliciesInput,
) -> Result<ListRolePoliciesOutput> {
    let (name, marker) = (&input.role_name, input.marker.as_deref());
    let page = list::<Role>(&ctx, "ListRolePolicies", name, marker, input.max_items).await?;
    Ok(ListRolePoliciesOutput {
        policy_names: page.items,
        is_truncated: Some(page.next.is_some()),
        marker: page.next,
    })
}
