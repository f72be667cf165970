//! What each operation of Organizations is authorized on, and who of an organization may ask.
//!
//! AWS: Service Authorization Reference, "Actions, resources, and condition keys for AWS
//! Organizations". ARNs hold the organization's id, which no request names: [`subject`] sets it.

use kernel::access::{Asked, Need, Subject};
use kernel::{Access, Ctx, ServiceError};
use store::ReadTx;

use crate::error::{Error, Result};
use crate::store::{MEMBERS, Member, ORGANIZATIONS, Organization};

macro_rules! on {
    ($operation:literal) => {
        Access::new($operation, &[Need::on(concat!("organizations:", $operation), &[])])
    };
    ($operation:literal, $($resource:literal),+) => {
        Access::new(
            $operation,
            &[Need::on(concat!("organizations:", $operation), &[$($resource),+])],
        )
    };
}

/// Operations on `*` that tell the type of policy or the service.
macro_rules! keyed {
    ($operation:literal, $key:literal, $member:literal) => {
        Access::new(
            $operation,
            &[Need::on(concat!("organizations:", $operation), &[]).keys(&[($key, $member)])],
        )
    };
}

pub(crate) const RULES: &[Access] = &[
    on!("AcceptHandshake", "arn:aws:organizations::{account}:handshake/o-*/*/{HandshakeId}"),
    on!(
        "AttachPolicy",
        "arn:aws:organizations::{account}:policy/o-*/*/{PolicyId}",
        "arn:aws:organizations::{account}:target/o-*/{TargetId}"
    ),
    on!("CancelHandshake", "arn:aws:organizations::{account}:handshake/o-*/*/{HandshakeId}"),
    on!("CloseAccount", "arn:aws:organizations::{account}:account/o-*/{AccountId}"),
    on!("CreateAccount"),
    on!("CreateOrganization"),
    on!("CreateOrganizationalUnit", "arn:aws:organizations::{account}:target/o-*/{ParentId}"),
    keyed!("CreatePolicy", "organizations:PolicyType", "Type"),
    on!("DeclineHandshake", "arn:aws:organizations::{account}:handshake/o-*/*/{HandshakeId}"),
    on!("DeleteOrganization"),
    on!(
        "DeleteOrganizationalUnit",
        "arn:aws:organizations::{account}:ou/o-*/{OrganizationalUnitId}"
    ),
    on!("DeletePolicy", "arn:aws:organizations::{account}:policy/o-*/*/{PolicyId}"),
    Access::new(
        "DeregisterDelegatedAdministrator",
        &[Need::on(
            "organizations:DeregisterDelegatedAdministrator",
            &["arn:aws:organizations::{account}:account/o-*/{AccountId}"],
        )
        .keys(&[("organizations:ServicePrincipal", "ServicePrincipal")])],
    ),
    on!("DescribeAccount", "arn:aws:organizations::{account}:account/o-*/{AccountId}"),
    on!("DescribeCreateAccountStatus"),
    keyed!("DescribeEffectivePolicy", "organizations:PolicyType", "PolicyType"),
    on!("DescribeHandshake", "arn:aws:organizations::{account}:handshake/o-*/*/{HandshakeId}"),
    on!("DescribeOrganization"),
    on!(
        "DescribeOrganizationalUnit",
        "arn:aws:organizations::{account}:ou/o-*/{OrganizationalUnitId}"
    ),
    on!("DescribePolicy", "arn:aws:organizations::{account}:policy/o-*/*/{PolicyId}"),
    on!(
        "DetachPolicy",
        "arn:aws:organizations::{account}:policy/o-*/*/{PolicyId}",
        "arn:aws:organizations::{account}:target/o-*/{TargetId}"
    ),
    keyed!("DisableAWSServiceAccess", "organizations:ServicePrincipal", "ServicePrincipal"),
    on!("DisablePolicyType", "arn:aws:organizations::{account}:root/o-*/{RootId}"),
    keyed!("EnableAWSServiceAccess", "organizations:ServicePrincipal", "ServicePrincipal"),
    on!("EnableAllFeatures"),
    on!("EnablePolicyType", "arn:aws:organizations::{account}:root/o-*/{RootId}"),
    on!("InviteAccountToOrganization", "arn:aws:organizations::{account}:account/o-*/{Target.Id}"),
    on!("LeaveOrganization"),
    on!("ListAWSServiceAccessForOrganization"),
    on!("ListAccounts"),
    on!("ListAccountsForParent", "arn:aws:organizations::{account}:target/o-*/{ParentId}"),
    on!("ListChildren", "arn:aws:organizations::{account}:target/o-*/{ParentId}"),
    on!("ListCreateAccountStatus"),
    keyed!("ListDelegatedAdministrators", "organizations:ServicePrincipal", "ServicePrincipal"),
    on!(
        "ListDelegatedServicesForAccount",
        "arn:aws:organizations::{account}:account/o-*/{AccountId}"
    ),
    on!("ListHandshakesForAccount"),
    on!("ListHandshakesForOrganization"),
    on!(
        "ListOrganizationalUnitsForParent",
        "arn:aws:organizations::{account}:target/o-*/{ParentId}"
    ),
    on!("ListParents", "arn:aws:organizations::{account}:target/o-*/{ChildId}"),
    keyed!("ListPolicies", "organizations:PolicyType", "Filter"),
    on!("ListPoliciesForTarget", "arn:aws:organizations::{account}:target/o-*/{TargetId}"),
    on!("ListRoots"),
    on!("ListTagsForResource", "arn:aws:organizations::{account}:target/o-*/{ResourceId}"),
    on!("ListTargetsForPolicy", "arn:aws:organizations::{account}:policy/o-*/*/{PolicyId}"),
    on!(
        "MoveAccount",
        "arn:aws:organizations::{account}:account/o-*/{AccountId}",
        "arn:aws:organizations::{account}:target/o-*/{SourceParentId}",
        "arn:aws:organizations::{account}:target/o-*/{DestinationParentId}"
    ),
    Access::new(
        "RegisterDelegatedAdministrator",
        &[Need::on(
            "organizations:RegisterDelegatedAdministrator",
            &["arn:aws:organizations::{account}:account/o-*/{AccountId}"],
        )
        .keys(&[("organizations:ServicePrincipal", "ServicePrincipal")])],
    ),
    on!(
        "RemoveAccountFromOrganization",
        "arn:aws:organizations::{account}:account/o-*/{AccountId}"
    ),
    on!("TagResource", "arn:aws:organizations::{account}:target/o-*/{ResourceId}"),
    on!("UntagResource", "arn:aws:organizations::{account}:target/o-*/{ResourceId}"),
    on!(
        "UpdateOrganizationalUnit",
        "arn:aws:organizations::{account}:ou/o-*/{OrganizationalUnitId}"
    ),
    on!("UpdatePolicy", "arn:aws:organizations::{account}:policy/o-*/*/{PolicyId}"),
];

/// The resource with its organization's id, and with the kind that its own id tells.
///
/// # Errors
///
/// When the tables cannot be read.
pub(crate) async fn subject(ctx: Ctx, asked: Asked) -> std::result::Result<Subject, ServiceError> {
    let resource = match asked.resource.split_once("/o-*/") {
        None => asked.resource,
        Some((head, rest)) => ctx
            .store
            .read(|tx| {
                let member = tx.get(&MEMBERS, ctx.account.as_str())?;
                let organization = match &member {
                    Some(member) => tx.get(&ORGANIZATIONS, &member.organization)?,
                    None => None,
                };
                let id = organization.as_ref().map_or("o-*", |found| found.id.as_str());
                let kind = match (head.strip_suffix(":target"), rest) {
                    (None, _) => return named(tx, head, id, rest),
                    (Some(head), rest) => (head, kind_of(rest)),
                };
                Ok::<_, store::Error>(format!("{}:{}/{id}/{rest}", kind.0, kind.1))
            })
            .await
            .map_err(ServiceError::internal)?,
    };
    Ok(Subject { resource, policy: None, context: asked.context })
}

/// A policy's ARN names its type.
fn named(
    tx: &ReadTx<'_>,
    head: &str,
    organization: &str,
    rest: &str,
) -> std::result::Result<String, store::Error> {
    if let (true, Some(id)) = (head.ends_with(":policy"), rest.strip_prefix("*/")) {
        let kind = match id {
            crate::ids::FULL_ACCESS => Some("service_control_policy".to_owned()),
            crate::ids::RCP_FULL_ACCESS => Some("resource_control_policy".to_owned()),
            id => tx.get(&crate::store::POLICIES, id)?.map(|found| found.kind.to_lowercase()),
        };
        let kind = kind.unwrap_or_else(|| "*".to_owned());
        return Ok(format!("{head}/{organization}/{kind}/{id}"));
    }
    Ok(format!("{head}/{organization}/{rest}"))
}

/// What an id is of.
fn kind_of(id: &str) -> &'static str {
    match id {
        id if id.starts_with("r-") => "root",
        id if id.starts_with("ou-") => "ou",
        id if id.starts_with("p-") => "policy",
        _ => "account",
    }
}

/// The caller's organization and its own place there.
///
/// # Errors
///
/// [`Error::NotInUse`].
pub(crate) fn own(tx: &ReadTx<'_>, ctx: &Ctx) -> Result<(Organization, Member)> {
    let member = tx.get(&MEMBERS, ctx.account.as_str())?.ok_or(Error::NotInUse)?;
    let organization = tx.get(&ORGANIZATIONS, &member.organization)?.ok_or(Error::NotInUse)?;
    Ok((organization, member))
}

/// The organization that the caller's account manages.
///
/// # Errors
///
/// [`Error::NotInUse`], [`Error::AccessDenied`].
pub(crate) fn managed(tx: &ReadTx<'_>, ctx: &Ctx) -> Result<Organization> {
    let (organization, member) = own(tx, ctx)?;
    if organization.management != member.account {
        return Err(Error::AccessDenied);
    }
    Ok(organization)
}

/// The organization that the caller's account manages or administers for a service.
///
/// # Errors
///
/// As [`managed`].
pub(crate) fn visible(tx: &ReadTx<'_>, ctx: &Ctx) -> Result<Organization> {
    let (organization, member) = own(tx, ctx)?;
    if organization.management != member.account && member.delegated.is_empty() {
        return Err(Error::AccessDenied);
    }
    Ok(organization)
}

/// As [`managed`], with all features.
///
/// # Errors
///
/// As [`managed`], and [`Error::ConstraintViolation`] in an organization for billing alone.
pub(crate) fn managed_whole(tx: &ReadTx<'_>, ctx: &Ctx) -> Result<Organization> {
    let organization = managed(tx, ctx)?;
    if !organization.all_features {
        return Err(Error::constraint(
            "ORGANIZATION_NOT_IN_ALL_FEATURES_MODE",
            "This operation requires the organization to be configured to support all features.",
        ));
    }
    Ok(organization)
}
