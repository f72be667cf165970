//! What each operation of IAM is authorized on.
//!
//! AWS: Service Authorization Reference, "Actions, resources, and condition keys for AWS Identity
//! and Access Management". A request names a user, group, role or profile without its path, but
//! policies name ARNs, in which the path is. So the rules ask nothing of the kernel, and each
//! handler asks here, once it knows the whole ARN, before it says whether the entity exists.

use base::{Arn, Tags};
use kernel::{Access, Question};
use policy::Principal;

use crate::Ctx;
use crate::entity::{self, Entity, Permitted};
use crate::error::{Error, Result};
use crate::store::{HolderId, User};
use crate::user::calling_user;

macro_rules! asked_by_handlers {
    ($($operation:literal)*) => {
        pub(crate) const RULES: &[Access] = &[$(Access::new($operation, &[]),)*];
    };
}

asked_by_handlers! {
    "AddClientIDToOpenIDConnectProvider" "ChangePassword" "CreateLoginProfile"
    "CreateOpenIDConnectProvider" "CreateSAMLProvider" "CreateServiceSpecificCredential"
    "CreateVirtualMFADevice" "DeactivateMFADevice" "DeleteAccountPasswordPolicy"
    "DeleteLoginProfile" "DeleteOpenIDConnectProvider" "DeleteSAMLProvider" "DeleteSSHPublicKey"
    "DeleteServerCertificate" "DeleteServiceSpecificCredential" "DeleteSigningCertificate"
    "DeleteVirtualMFADevice"
    "EnableMFADevice"
    "GenerateCredentialReport" "GenerateServiceLastAccessedDetails" "GetAccountPasswordPolicy"
    "GetContextKeysForCustomPolicy" "GetContextKeysForPrincipalPolicy" "GetCredentialReport"
    "GetLoginProfile" "GetMFADevice" "GetOpenIDConnectProvider" "GetSAMLProvider"
    "GetSSHPublicKey" "GetServerCertificate" "GetServiceLastAccessedDetails"
    "GetServiceLastAccessedDetailsWithEntities" "ListMFADeviceTags" "ListMFADevices"
    "ListOpenIDConnectProviderTags" "ListOpenIDConnectProviders"
    "ListPoliciesGrantingServiceAccess" "ListSAMLProviderTags" "ListSAMLProviders"
    "ListSSHPublicKeys" "ListServerCertificateTags" "ListServerCertificates"
    "ListServiceSpecificCredentials" "ListSigningCertificates" "ListVirtualMFADevices"
    "RemoveClientIDFromOpenIDConnectProvider" "ResetServiceSpecificCredential" "ResyncMFADevice"
    "TagMFADevice" "TagOpenIDConnectProvider" "TagSAMLProvider" "TagServerCertificate"
    "UntagMFADevice" "UntagOpenIDConnectProvider" "UntagSAMLProvider" "UntagServerCertificate"
    "UpdateAccountPasswordPolicy" "UpdateLoginProfile" "UpdateOpenIDConnectProviderThumbprint"
    "UpdateSAMLProvider" "UpdateSSHPublicKey" "UpdateServerCertificate"
    "UpdateServiceSpecificCredential" "UpdateSigningCertificate" "UploadSSHPublicKey"
    "UploadServerCertificate" "UploadSigningCertificate"
    "AddRoleToInstanceProfile" "AddUserToGroup" "AttachGroupPolicy" "AttachRolePolicy"
    "AttachUserPolicy" "CreateAccessKey" "CreateAccountAlias" "CreateGroup"
    "CreateInstanceProfile" "CreatePolicy" "CreatePolicyVersion" "CreateRole"
    "CreateServiceLinkedRole" "CreateUser" "DeleteAccessKey" "DeleteAccountAlias" "DeleteGroup"
    "DeleteGroupPolicy" "DeleteInstanceProfile" "DeletePolicy" "DeletePolicyVersion" "DeleteRole"
    "DeleteRolePermissionsBoundary" "DeleteRolePolicy" "DeleteServiceLinkedRole" "DeleteUser"
    "DeleteUserPermissionsBoundary" "DeleteUserPolicy" "DetachGroupPolicy" "DetachRolePolicy"
    "DetachUserPolicy" "GetAccessKeyLastUsed" "GetAccountAuthorizationDetails"
    "GetAccountSummary" "GetGroup" "GetGroupPolicy" "GetInstanceProfile" "GetPolicy"
    "GetPolicyVersion" "GetRole" "GetRolePolicy" "GetServiceLinkedRoleDeletionStatus" "GetUser"
    "GetUserPolicy" "ListAccessKeys" "ListAccountAliases" "ListAttachedGroupPolicies"
    "ListAttachedRolePolicies" "ListAttachedUserPolicies" "ListEntitiesForPolicy"
    "ListGroupPolicies" "ListGroups" "ListGroupsForUser" "ListInstanceProfileTags"
    "ListInstanceProfiles" "ListInstanceProfilesForRole" "ListPolicies" "ListPolicyTags"
    "ListPolicyVersions" "ListRolePolicies" "ListRoleTags" "ListRoles" "ListUserPolicies"
    "ListUserTags" "ListUsers" "PutGroupPolicy" "PutRolePermissionsBoundary" "PutRolePolicy"
    "PutUserPermissionsBoundary" "PutUserPolicy" "RemoveRoleFromInstanceProfile"
    "RemoveUserFromGroup" "SetDefaultPolicyVersion" "SimulateCustomPolicy"
    "SimulatePrincipalPolicy" "TagInstanceProfile" "TagPolicy" "TagRole" "TagUser"
    "UntagInstanceProfile" "UntagPolicy" "UntagRole" "UntagUser" "UpdateAccessKey"
    "UpdateAssumeRolePolicy" "UpdateGroup" "UpdateRole" "UpdateRoleDescription" "UpdateUser"
}

/// The condition keys of one question, beyond those that every call has.
#[derive(Default)]
pub(crate) struct Keys(Vec<(String, Vec<String>)>);

impl Keys {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    pub(crate) fn with(mut self, key: &str, value: impl Into<String>) -> Self {
        self.0.push((key.to_owned(), vec![value.into()]));
        self
    }

    /// The managed policy that the operation is about.
    pub(crate) fn policy(self, arn: &str) -> Self {
        self.with("iam:PolicyARN", arn)
    }

    /// The boundary that the entity will have.
    pub(crate) fn boundary(self, arn: Option<&str>) -> Self {
        match arn {
            Some(arn) => self.with("iam:PermissionsBoundary", arn),
            None => self,
        }
    }

    /// The tags that the request sets.
    pub(crate) fn sets(mut self, tags: &[iam_api::Tag]) -> Self {
        for tag in tags {
            self = self.with(&format!("aws:RequestTag/{}", tag.key), tag.value.as_str());
        }
        self.names(tags.iter().map(|tag| tag.key.clone()).collect())
    }

    /// The tag keys that the request names.
    pub(crate) fn names(mut self, keys: Vec<String>) -> Self {
        if !keys.is_empty() {
            self.0.push(("aws:TagKeys".to_owned(), keys));
        }
        self
    }

    /// The tags that the resource has.
    pub(crate) fn has(mut self, tags: Option<&Tags>) -> Self {
        for (key, value) in tags.into_iter().flatten() {
            self = self
                .with(&format!("aws:ResourceTag/{key}"), value.as_str())
                .with(&format!("iam:ResourceTag/{key}"), value.as_str());
        }
        self
    }

    fn knows(&self, key: &str) -> bool {
        self.0.iter().any(|(known, _)| known == key)
    }
}

/// Refuses the call unless the caller may do `action` (without its prefix) on `resource`.
///
/// # Errors
///
/// [`Error::AccessDenied`] with AWS's text.
pub(crate) async fn require(ctx: &Ctx, action: &str, resource: &str, keys: Keys) -> Result<()> {
    // AWS: "Compare AWS STS credentials": sessions of users without MFA have no access to IAM.
    let weak = match &ctx.caller.principal {
        Principal::FederatedUser { .. } => true,
        Principal::User { .. } | Principal::Root { .. } => {
            ctx.caller.expires.is_some() && ctx.caller.facts.mfa.is_none()
        }
        Principal::AssumedRole { .. }
        | Principal::Service { .. }
        | Principal::Federated { .. }
        | Principal::Anonymous => false,
    };
    if weak {
        return Err(Error::InvalidClientTokenId);
    }
    let action = format!("iam:{action}");
    let question = Question { action: &action, resource, keys: &keys.0, ..Question::default() };
    ctx.call().ask(question).await?.map_or(Ok(()), |message| Err(Error::AccessDenied(message)))
}

/// The user that the call is about, once the caller may do `action` on it: the one who is named,
/// or the calling one; none for the root user.
///
/// # Errors
///
/// As [`existing`], and [`Error::Validation`] when nobody is named and no user calls.
pub(crate) async fn holder(ctx: &Ctx, action: &str, name: Option<&str>) -> Result<Option<User>> {
    let name = match name {
        Some(name) => Some(name.to_owned()),
        None => calling_user(ctx)?,
    };
    match name {
        Some(name) => existing(ctx, action, &name).await.map(Some),
        None => Ok(None),
    }
}

/// How tables name the holder of something.
pub(crate) fn holder_id(ctx: &Ctx, user: Option<&User>) -> HolderId {
    user.map_or_else(|| ctx.account.to_string(), |user| user.id.clone())
}

/// The entity called `name`, once the caller may do `action` on it.
///
/// # Errors
///
/// [`Error::AccessDenied`] before anything is said about the entity, then [`Error::NoSuchEntity`].
pub(crate) async fn existing<E: Entity>(ctx: &Ctx, action: &str, name: &str) -> Result<E> {
    existing_with(ctx, action, name, Keys::new()).await
}

/// As [`existing`], with condition keys of the operation.
///
/// # Errors
///
/// As [`existing`].
pub(crate) async fn existing_with<E: Entity>(
    ctx: &Ctx,
    action: &str,
    name: &str,
    mut keys: Keys,
) -> Result<E> {
    let found = ctx.store.read(|tx| tx.get(&E::TABLE, name)).await?;
    let arn = match &found {
        Some(entity) => entity.arn(&ctx.account),
        None => entity::arn_of::<E>(&ctx.account, "/", name),
    };
    if let Some(entity) = &found {
        if !keys.knows("iam:PermissionsBoundary") {
            keys = keys.boundary(entity.boundary());
        }
        keys = keys.has(entity.tags());
    }
    require(ctx, action, &arn.to_string(), keys).await?;
    found.ok_or_else(|| E::missing(name))
}

/// As [`existing_with`], of an entity that is about to be changed.
///
/// # Errors
///
/// As [`existing`], and [`Error::UnmodifiableEntity`] for a service-linked role.
pub(crate) async fn modifiable<E: Permitted>(
    ctx: &Ctx,
    action: &str,
    name: &str,
    keys: Keys,
) -> Result<E> {
    let found: E = existing_with(ctx, action, name, keys).await?;
    if found.is_protected() {
        return Err(Error::UnmodifiableEntity(name.to_owned()));
    }
    Ok(found)
}

/// Refuses the call unless the caller may make an entity of this path and name.
///
/// # Errors
///
/// [`Error::AccessDenied`].
pub(crate) async fn may_create<E: Entity>(
    ctx: &Ctx,
    action: &str,
    path: &str,
    name: &str,
    keys: Keys,
) -> Result<()> {
    let arn: Arn = entity::arn_of::<E>(&ctx.account, path, name);
    require(ctx, action, &arn.to_string(), keys).await
}

/// Refuses the call unless the caller may list entities under `prefix`.
///
/// # Errors
///
/// [`Error::AccessDenied`].
pub(crate) async fn may_list<E: Entity>(
    ctx: &Ctx,
    action: &str,
    prefix: Option<&str>,
) -> Result<()> {
    let arn = entity::arn_of::<E>(&ctx.account, prefix.unwrap_or("/"), "");
    require(ctx, action, &arn.to_string(), Keys::new()).await
}
