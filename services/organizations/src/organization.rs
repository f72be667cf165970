//! The organization itself.
//!
//! AWS: "Creating and managing an organization".

use std::collections::BTreeSet;

use base::AccountId;
use kernel::Ctx;
use organizations_api as api;
use organizations_api::{
    ActionType, CreateOrganizationInput, CreateOrganizationOutput, DeleteOrganizationInput,
    DeleteOrganizationOutput, DescribeOrganizationInput, DescribeOrganizationOutput,
    EnableAllFeaturesInput, EnableAllFeaturesOutput, LeaveOrganizationInput,
    LeaveOrganizationOutput, OrganizationFeatureSet, PolicyTypeStatus, PolicyTypeSummary,
};
use store::{ReadTx, WriteTx};

use crate::access::{managed, own};
use crate::error::{Error, Result};
use crate::handshake;
use crate::ids::{self, FULL_ACCESS};
use crate::membership::SCP;
use crate::policy_type;
use crate::store::{
    CREATIONS, CREATIONS_OF, HANDSHAKES, HANDSHAKES_OF, Handshake, MEMBERS, MEMBERS_OF, Member,
    ORGANIZATIONS, Organization, POLICIES_OF, State, UNITS_OF,
};

impl Organization {
    fn view(&self, email: &str) -> api::Organization {
        let account = |id: &AccountId| self.arn_of("account", id.as_str());
        // AWS lists one type here, whatever is enabled: see ListRoots for the truth.
        let types = self.all_features.then_some(PolicyTypeSummary {
            type_: Some(api::PolicyType::ServiceControlPolicy),
            status: Some(PolicyTypeStatus::Enabled),
        });
        api::Organization {
            id: Some(self.id.clone()),
            arn: Some(self.arn()),
            feature_set: Some(if self.all_features {
                OrganizationFeatureSet::All
            } else {
                OrganizationFeatureSet::ConsolidatedBilling
            }),
            master_account_arn: Some(account(&self.management)),
            master_account_id: Some(self.management.to_string()),
            master_account_email: Some(email.to_owned()),
            available_policy_types: types.into_iter().collect(),
        }
    }
}

/// The address of an account that nobody gave one.
pub(crate) fn email_of(account: &AccountId) -> String {
    format!("account-{account}@example.com")
}

/// Makes an organization, which the caller's account manages.
///
/// AWS: CreateOrganization.
///
/// # Errors
///
/// [`Error::AlreadyInOrganization`].
pub(crate) async fn create_organization(
    ctx: Ctx,
    input: CreateOrganizationInput,
) -> Result<CreateOrganizationOutput> {
    let whole = input.feature_set != Some(OrganizationFeatureSet::ConsolidatedBilling);
    // With all features service control policies are enabled from the start.
    let types: BTreeSet<String> = whole.then(|| SCP.to_owned()).into_iter().collect();
    let policies: BTreeSet<String> = whole.then(|| FULL_ACCESS.to_owned()).into_iter().collect();
    let organization = Organization {
        id: ids::organization(ctx.random()),
        management: ctx.account.clone(),
        all_features: whole,
        created: ctx.now(),
        root: ids::root(ctx.random()),
        types,
        policies: policies.clone(),
        root_tags: base::Tags::new(),
        services: std::collections::BTreeMap::new(),
    };
    let member = Member {
        account: ctx.account.clone(),
        organization: organization.id.clone(),
        parent: organization.root.clone(),
        name: "management".to_owned(),
        email: email_of(&ctx.account),
        joined: ctx.now(),
        created: false,
        closed: None,
        policies,
        delegated: std::collections::BTreeMap::new(),
        tags: base::Tags::new(),
    };
    ctx.store
        .write(|tx| {
            if tx.contains(&MEMBERS, ctx.account.as_str())? {
                return Err(Error::AlreadyInOrganization(
                    "The AWS account is already a member of an organization.".to_owned(),
                ));
            }
            tx.put(&ORGANIZATIONS, &organization)?;
            Ok(tx.put(&MEMBERS, &member)?)
        })
        .await?;
    Ok(CreateOrganizationOutput { organization: Some(organization.view(&member.email)) })
}

/// The caller's organization.
///
/// AWS: DescribeOrganization.
///
/// # Errors
///
/// [`Error::NotInUse`].
pub(crate) async fn describe_organization(
    ctx: Ctx,
    _input: DescribeOrganizationInput,
) -> Result<DescribeOrganizationOutput> {
    let (organization, email) = ctx
        .store
        .read(|tx| {
            let (organization, _) = own(tx, &ctx)?;
            let master = tx.get(&MEMBERS, organization.management.as_str())?;
            Ok::<_, Error>((organization, master.map(|m| m.email).unwrap_or_default()))
        })
        .await?;
    Ok(DescribeOrganizationOutput { organization: Some(organization.view(&email)) })
}

/// Ends an organization that has nothing left but its management account.
///
/// AWS: DeleteOrganization.
///
/// # Errors
///
/// [`Error::OrganizationNotEmpty`].
pub(crate) async fn delete_organization(
    ctx: Ctx,
    _input: DeleteOrganizationInput,
) -> Result<DeleteOrganizationOutput> {
    ctx.store
        .write(|tx| {
            let organization = managed(tx, &ctx)?;
            let id = organization.id.as_str();
            let alone = tx.find(&MEMBERS_OF, id)?.len() == 1
                && tx.find_one(&UNITS_OF, id)?.is_none()
                && tx.find_one(&POLICIES_OF, id)?.is_none();
            if !alone {
                return Err(Error::OrganizationNotEmpty);
            }
            for creation in tx.find(&CREATIONS_OF, id)? {
                tx.delete(&CREATIONS, &creation.id)?;
            }
            for handshake in tx.find(&HANDSHAKES_OF, id)? {
                tx.delete(&HANDSHAKES, &handshake.id)?;
            }
            tx.delete(&MEMBERS, ctx.account.as_str())?;
            tx.delete(&ORGANIZATIONS, id)?;
            Ok(())
        })
        .await?;
    Ok(DeleteOrganizationOutput {})
}

/// Turns an organization for billing alone into one with all features. Accounts that were invited
/// must agree first.
///
/// AWS: EnableAllFeatures.
///
/// # Errors
///
/// [`Error::HandshakeConstraint`] when it has all features.
pub(crate) async fn enable_all_features(
    ctx: Ctx,
    _input: EnableAllFeaturesInput,
) -> Result<EnableAllFeaturesOutput> {
    let id = ids::handshake(ctx.random());
    let handshake = ctx
        .store
        .write(|tx| {
            let organization = managed(tx, &ctx)?;
            if organization.all_features {
                return Err(Error::HandshakeConstraint(
                    "ORGANIZATION_ALREADY_HAS_ALL_FEATURES: the organization has all features."
                        .to_owned(),
                ));
            }
            let handshake = handshake::all_features(&ctx, &organization, &id);
            tx.put(&HANDSHAKES, &handshake)?;
            let invited = tx.find(&MEMBERS_OF, organization.id.as_str())?;
            let asked = invited.iter().any(|m| !m.created && m.account != ctx.account);
            if asked {
                return Ok(handshake.view(&organization, ActionType::EnableAllFeatures));
            }
            finish_all_features(tx, &organization)?;
            let handshake = Handshake { state: State::Accepted, ..handshake };
            tx.put(&HANDSHAKES, &handshake)?;
            Ok(handshake.view(&organization, ActionType::EnableAllFeatures))
        })
        .await?;
    Ok(EnableAllFeaturesOutput { handshake: Some(handshake) })
}

/// Gives an organization all features; service control policies begin with one that allows all.
pub(crate) fn finish_all_features(tx: &mut WriteTx<'_>, organization: &Organization) -> Result<()> {
    let mut organization = organization.clone();
    organization.all_features = true;
    tx.put(&ORGANIZATIONS, &organization)?;
    policy_type::enable(tx, &organization, SCP)
}

/// Leaves the organization.
///
/// AWS: LeaveOrganization.
///
/// # Errors
///
/// [`Error::MasterCannotLeave`].
pub(crate) async fn leave_organization(
    ctx: Ctx,
    _input: LeaveOrganizationInput,
) -> Result<LeaveOrganizationOutput> {
    ctx.store
        .write(|tx| {
            let (organization, member) = own(tx, &ctx)?;
            if organization.management == member.account {
                return Err(Error::MasterCannotLeave);
            }
            require_not_delegated(tx, &member)?;
            tx.delete(&MEMBERS, member.account.as_str())?;
            Ok(())
        })
        .await?;
    Ok(LeaveOrganizationOutput {})
}

/// An account that administers a service for the organization stays.
///
/// # Errors
///
/// [`Error::ConstraintViolation`].
pub(crate) fn require_not_delegated(_tx: &ReadTx<'_>, member: &Member) -> Result<()> {
    if member.delegated.is_empty() {
        return Ok(());
    }
    Err(Error::constraint(
        "CANNOT_REMOVE_DELEGATED_ADMINISTRATOR_FROM_ORG",
        "The account is a delegated administrator; deregister it first.",
    ))
}
