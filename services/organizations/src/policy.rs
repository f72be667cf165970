//! Policies of the organization: written, attached, enabled.
//!
//! AWS: "Managing organization policies". Service control and resource control policies bind calls;
//! tag policies are kept and merged.

use kernel::Ctx;
use organizations_api as api;
use organizations_api::{
    AttachPolicyInput, AttachPolicyOutput, CreatePolicyInput, CreatePolicyOutput,
    DeletePolicyInput, DeletePolicyOutput, DescribePolicyInput, DescribePolicyOutput,
    DetachPolicyInput, DetachPolicyOutput, ListPoliciesForTargetInput, ListPoliciesForTargetOutput,
    ListPoliciesInput, ListPoliciesOutput, ListTargetsForPolicyInput, ListTargetsForPolicyOutput,
    PolicySummary, PolicyTargetSummary, PolicyType, TargetType, UpdatePolicyInput,
    UpdatePolicyOutput,
};
use policy::{Kind, Policy};
use store::{ReadTx, WriteTx};

use crate::access::{managed_whole, visible};
use crate::error::{Error, Result};
use crate::ids::{self, FULL_ACCESS, RCP_FULL_ACCESS};
use crate::membership::{FULL_ACCESS_TEXT, RCP, RCP_FULL_ACCESS_TEXT, SCP};
use crate::store::{
    MEMBERS, MEMBERS_OF, OrgPolicy, Organization, POLICIES, POLICIES_OF, UNITS, UNITS_OF,
};
use crate::unit::put;
use crate::{listing, tag};

/// The name of tag policies.
pub(crate) const TAG_POLICY: &str = "TAG_POLICY";
/// AWS: "Quotas for AWS Organizations", maximum attachments of a type to a root, OU or account.
const ATTACHED_MAX: usize = 5;
/// AWS: as above, policies of a type in an organization.
const POLICIES_MAX: usize = 1000;
/// The services whose actions resource control policies may name.
///
/// AWS: "Resource control policies (RCPs)", List of AWS services that support RCPs.
const RCP_SERVICES: [&str; 10] =
    ["s3", "sts", "kms", "sqs", "secretsmanager", "ecr", "aoss", "cognito-idp", "dynamodb", "logs"];

/// The types that this region knows, by their names.
pub(crate) fn type_name(kind: PolicyType) -> Result<&'static str> {
    match kind {
        PolicyType::ServiceControlPolicy => Ok(SCP),
        PolicyType::ResourceControlPolicy => Ok(RCP),
        PolicyType::TagPolicy => Ok(TAG_POLICY),
        PolicyType::BackupPolicy
        | PolicyType::AiservicesOptOutPolicy
        | PolicyType::ChatbotPolicy
        | PolicyType::DeclarativePolicyEc2
        | PolicyType::SecurityhubPolicy
        | PolicyType::SecurityhubCspmPolicy
        | PolicyType::InspectorPolicy
        | PolicyType::UpgradeRolloutPolicy
        | PolicyType::BedrockPolicy
        | PolicyType::S3Policy
        | PolicyType::NetworkSecurityDirectorPolicy
        | PolicyType::GuarddutyPolicy => Err(Error::TypeNotAvailable),
    }
}

/// A type as answers name it.
pub(crate) fn wire_type(kind: &str) -> Option<PolicyType> {
    match kind {
        SCP => Some(PolicyType::ServiceControlPolicy),
        RCP => Some(PolicyType::ResourceControlPolicy),
        TAG_POLICY => Some(PolicyType::TagPolicy),
        _ => None,
    }
}

/// AWS's own policy with this id.
fn aws_policy(organization: &Organization, id: &str) -> Option<OrgPolicy> {
    let (kind, name, content) = match id {
        FULL_ACCESS => (SCP, "FullAWSAccess", FULL_ACCESS_TEXT),
        RCP_FULL_ACCESS => (RCP, "RCPFullAWSAccess", RCP_FULL_ACCESS_TEXT),
        _ => return None,
    };
    Some(OrgPolicy {
        id: id.to_owned(),
        organization: organization.id.clone(),
        kind: kind.to_owned(),
        name: name.to_owned(),
        description: "Allows access to every operation".to_owned(),
        content: content.to_owned(),
        changed: organization.created,
        tags: base::Tags::new(),
    })
}

/// The policy, AWS's or the organization's own.
pub(crate) fn get(tx: &ReadTx<'_>, organization: &Organization, id: &str) -> Result<OrgPolicy> {
    if let Some(policy) = aws_policy(organization, id) {
        return Ok(policy);
    }
    own(tx, organization, id)
}

fn own(tx: &ReadTx<'_>, organization: &Organization, id: &str) -> Result<OrgPolicy> {
    let found = tx.get(&POLICIES, id)?.filter(|found| found.organization == organization.id);
    found.ok_or(Error::PolicyNotFound)
}

fn is_aws(id: &str) -> bool {
    id == FULL_ACCESS || id == RCP_FULL_ACCESS
}

impl OrgPolicy {
    fn summary(&self, organization: &Organization) -> PolicySummary {
        PolicySummary {
            id: Some(self.id.clone()),
            arn: Some(organization.policy_arn(&self.kind, &self.id)),
            name: Some(self.name.clone()),
            description: Some(self.description.clone()),
            type_: wire_type(&self.kind),
            aws_managed: Some(is_aws(&self.id)),
        }
    }

    fn view(&self, organization: &Organization) -> api::Policy {
        api::Policy {
            policy_summary: Some(self.summary(organization)),
            content: Some(self.content.clone()),
        }
    }
}

/// The most characters of a document. AWS: "Quotas for AWS Organizations".
fn chars_max(kind: &str) -> usize {
    if kind == TAG_POLICY { 10_000 } else { 5120 }
}

/// Refuses a document that the type does not take.
fn check_content(kind: &str, content: &str) -> Result<()> {
    if content.chars().count() > chars_max(kind) {
        return Err(Error::constraint(
            "POLICY_CONTENT_LIMIT_EXCEEDED",
            "The policy content exceeds the maximum size.",
        ));
    }
    let malformed = |why: String| Err(Error::MalformedPolicyDocument(why));
    match kind {
        SCP => match Policy::parse(content, Kind::Scp) {
            Ok(_) => Ok(()),
            Err(why) => malformed(why.to_string()),
        },
        RCP => {
            let parsed = match Policy::parse(content, Kind::Rcp) {
                Ok(parsed) => parsed,
                Err(why) => return malformed(why.to_string()),
            };
            for outline in parsed.outlines() {
                let named = |service: &String| RCP_SERVICES.contains(&service.as_str());
                let why = if !outline.denies {
                    "Effect must be Deny."
                } else if !outline.everyone {
                    "Principal must be \"*\"."
                } else if outline.excludes_actions {
                    "NotAction is not supported."
                } else if !outline.services.iter().all(named) {
                    "Actions must be of services that support resource control policies."
                } else {
                    continue;
                };
                return malformed(why.to_owned());
            }
            Ok(())
        }
        _ => match serde_json::from_str::<serde_json::Value>(content) {
            Ok(document) if document.get("tags").is_some_and(serde_json::Value::is_object) => {
                Ok(())
            }
            Ok(_) => malformed("The policy must have an object \"tags\".".to_owned()),
            Err(why) => malformed(why.to_string()),
        },
    }
}

/// Writes a policy. It binds nobody until it is attached.
///
/// AWS: CreatePolicy.
///
/// # Errors
///
/// [`Error::MalformedPolicyDocument`], [`Error::DuplicatePolicy`], [`Error::TypeNotAvailable`].
pub(crate) async fn create_policy(
    ctx: Ctx,
    input: CreatePolicyInput,
) -> Result<CreatePolicyOutput> {
    let kind = type_name(input.type_)?;
    let tags = tag::checked(&input.tags)?;
    let view = ctx
        .store
        .write(|tx| {
            let organization = managed_whole(tx, &ctx)?;
            check_content(kind, &input.content)?;
            let all = tx.find(&POLICIES_OF, organization.id.as_str())?;
            let same: Vec<_> = all.iter().filter(|other| other.kind == kind).collect();
            if same.iter().any(|other| other.name == input.name) {
                return Err(Error::DuplicatePolicy);
            }
            if same.len() >= POLICIES_MAX {
                return Err(Error::constraint(
                    "POLICY_NUMBER_LIMIT_EXCEEDED",
                    "You have exceeded the number of policies in your organization.",
                ));
            }
            let policy = OrgPolicy {
                id: ids::policy(ctx.random()),
                organization: organization.id.clone(),
                kind: kind.to_owned(),
                name: input.name.clone(),
                description: input.description.clone(),
                content: input.content.clone(),
                changed: ctx.now(),
                tags: tags.clone(),
            };
            tx.put(&POLICIES, &policy)?;
            Ok(policy.view(&organization))
        })
        .await?;
    Ok(CreatePolicyOutput { policy: Some(view) })
}

/// Changes a policy, wherever it is attached.
///
/// AWS: UpdatePolicy.
///
/// # Errors
///
/// [`Error::PolicyNotFound`], [`Error::MalformedPolicyDocument`], [`Error::DuplicatePolicy`].
pub(crate) async fn update_policy(
    ctx: Ctx,
    input: UpdatePolicyInput,
) -> Result<UpdatePolicyOutput> {
    let view = ctx
        .store
        .write(|tx| {
            let organization = managed_whole(tx, &ctx)?;
            if is_aws(&input.policy_id) {
                return Err(Error::AccessDenied);
            }
            let mut policy = own(tx, &organization, &input.policy_id)?;
            if let Some(name) = input.name.as_ref().filter(|name| **name != policy.name) {
                let all = tx.find(&POLICIES_OF, organization.id.as_str())?;
                if all.iter().any(|other| other.kind == policy.kind && other.name == *name) {
                    return Err(Error::DuplicatePolicy);
                }
                policy.name.clone_from(name);
            }
            if let Some(content) = &input.content {
                check_content(&policy.kind, content)?;
                policy.content.clone_from(content);
            }
            if let Some(description) = &input.description {
                policy.description.clone_from(description);
            }
            policy.changed = ctx.now();
            tx.put(&POLICIES, &policy)?;
            Ok(policy.view(&organization))
        })
        .await?;
    Ok(UpdatePolicyOutput { policy: Some(view) })
}

/// Deletes a policy that is attached nowhere.
///
/// AWS: DeletePolicy.
///
/// # Errors
///
/// [`Error::PolicyNotFound`], [`Error::PolicyInUse`].
pub(crate) async fn delete_policy(
    ctx: Ctx,
    input: DeletePolicyInput,
) -> Result<DeletePolicyOutput> {
    ctx.store
        .write(|tx| {
            let organization = managed_whole(tx, &ctx)?;
            if is_aws(&input.policy_id) {
                return Err(Error::AccessDenied);
            }
            let policy = own(tx, &organization, &input.policy_id)?;
            if !targets(tx, &organization, &policy.id)?.is_empty() {
                return Err(Error::PolicyInUse);
            }
            tx.delete(&POLICIES, &policy.id)?;
            Ok(())
        })
        .await?;
    Ok(DeletePolicyOutput {})
}

/// A policy with its document.
///
/// AWS: DescribePolicy.
///
/// # Errors
///
/// [`Error::PolicyNotFound`].
pub(crate) async fn describe_policy(
    ctx: Ctx,
    input: DescribePolicyInput,
) -> Result<DescribePolicyOutput> {
    let view = ctx
        .store
        .read(|tx| {
            let organization = visible(tx, &ctx)?;
            Ok::<_, Error>(get(tx, &organization, &input.policy_id)?.view(&organization))
        })
        .await?;
    Ok(DescribePolicyOutput { policy: Some(view) })
}

fn summary_id(summary: &PolicySummary) -> String {
    summary.id.clone().unwrap_or_default()
}

/// The policies of a type.
///
/// AWS: ListPolicies.
///
/// # Errors
///
/// [`Error::TypeNotAvailable`].
pub(crate) async fn list_policies(
    ctx: Ctx,
    input: ListPoliciesInput,
) -> Result<ListPoliciesOutput> {
    let kind = type_name(input.filter)?;
    let all = ctx
        .store
        .read(|tx| {
            let organization = visible(tx, &ctx)?;
            let aws = [FULL_ACCESS, RCP_FULL_ACCESS].into_iter();
            let aws = aws.filter_map(|id| aws_policy(&organization, id));
            let own = tx.find(&POLICIES_OF, organization.id.as_str())?;
            let all = aws.chain(own).filter(|policy| policy.kind == kind);
            Ok::<_, Error>(all.map(|policy| policy.summary(&organization)).collect::<Vec<_>>())
        })
        .await?;
    let page = listing::page(all, input.next_token.as_deref(), input.max_results, summary_id)?;
    Ok(ListPoliciesOutput { policies: page.items, next_token: page.next })
}

/// The policies of a type that are attached to a target itself.
///
/// AWS: ListPoliciesForTarget.
///
/// # Errors
///
/// [`Error::TargetNotFound`], [`Error::TypeNotAvailable`].
pub(crate) async fn list_policies_for_target(
    ctx: Ctx,
    input: ListPoliciesForTargetInput,
) -> Result<ListPoliciesForTargetOutput> {
    let kind = type_name(input.filter)?;
    let all = ctx
        .store
        .read(|tx| {
            let organization = visible(tx, &ctx)?;
            let mut found = Vec::new();
            for id in attached(tx, &organization, &input.target_id)? {
                let policy = get(tx, &organization, &id)?;
                if policy.kind == kind {
                    found.push(policy.summary(&organization));
                }
            }
            Ok::<_, Error>(found)
        })
        .await?;
    let page = listing::page(all, input.next_token.as_deref(), input.max_results, summary_id)?;
    Ok(ListPoliciesForTargetOutput { policies: page.items, next_token: page.next })
}

/// Where a policy is attached.
///
/// AWS: ListTargetsForPolicy.
///
/// # Errors
///
/// [`Error::PolicyNotFound`].
pub(crate) async fn list_targets_for_policy(
    ctx: Ctx,
    input: ListTargetsForPolicyInput,
) -> Result<ListTargetsForPolicyOutput> {
    let all = ctx
        .store
        .read(|tx| {
            let organization = visible(tx, &ctx)?;
            get(tx, &organization, &input.policy_id)?;
            targets(tx, &organization, &input.policy_id)
        })
        .await?;
    let id = |target: &PolicyTargetSummary| target.target_id.clone().unwrap_or_default();
    let page = listing::page(all, input.next_token.as_deref(), input.max_results, id)?;
    Ok(ListTargetsForPolicyOutput { targets: page.items, next_token: page.next })
}

/// Everything that has the policy.
fn targets(
    tx: &ReadTx<'_>,
    organization: &Organization,
    policy: &str,
) -> Result<Vec<PolicyTargetSummary>> {
    let target = |id: &str, arn: String, name: &str, type_| PolicyTargetSummary {
        target_id: Some(id.to_owned()),
        arn: Some(arn),
        name: Some(name.to_owned()),
        type_: Some(type_),
    };
    let mut found = Vec::new();
    if organization.policies.contains(policy) {
        let arn = organization.arn_of("root", &organization.root);
        found.push(target(&organization.root, arn, "Root", TargetType::Root));
    }
    for unit in tx.find(&UNITS_OF, organization.id.as_str())? {
        if unit.policies.contains(policy) {
            let arn = organization.arn_of("ou", &unit.id);
            found.push(target(&unit.id, arn, &unit.name, TargetType::OrganizationalUnit));
        }
    }
    for member in tx.find(&MEMBERS_OF, organization.id.as_str())? {
        if member.policies.contains(policy) {
            let id = member.account.as_str();
            let arn = organization.arn_of("account", id);
            found.push(target(id, arn, &member.name, TargetType::Account));
        }
    }
    Ok(found)
}

/// The ids of the policies that a target has.
fn attached(tx: &ReadTx<'_>, organization: &Organization, target: &str) -> Result<Vec<String>> {
    if organization.root == target {
        return Ok(organization.policies.iter().cloned().collect());
    }
    if let Ok(unit) = crate::unit::get(tx, organization, target) {
        return Ok(unit.policies.into_iter().collect());
    }
    let member = crate::account::member(tx, organization, target);
    let member = member.map_err(|_| Error::TargetNotFound)?;
    Ok(member.policies.into_iter().collect())
}

/// Changes the policies that a target has.
fn change(
    tx: &mut WriteTx<'_>,
    organization: &Organization,
    target: &str,
    with: impl FnOnce(&mut std::collections::BTreeSet<String>),
) -> Result<()> {
    if organization.root == target {
        let mut organization = organization.clone();
        with(&mut organization.policies);
        return put(tx, &organization);
    }
    if let Ok(mut unit) = crate::unit::get(tx, organization, target) {
        with(&mut unit.policies);
        return Ok(tx.put(&UNITS, &unit)?);
    }
    let mut member =
        crate::account::member(tx, organization, target).map_err(|_| Error::TargetNotFound)?;
    with(&mut member.policies);
    Ok(tx.put(&MEMBERS, &member)?)
}

/// How many policies of a type a target has.
fn count(
    tx: &ReadTx<'_>,
    organization: &Organization,
    ids: &[String],
    kind: &str,
) -> Result<usize> {
    let mut count = 0;
    for id in ids {
        count += usize::from(get(tx, organization, id)?.kind == kind);
    }
    Ok(count)
}

/// Attaches a policy: it binds all accounts at or below the target from the next call on.
///
/// AWS: AttachPolicy.
///
/// # Errors
///
/// [`Error::PolicyNotFound`], [`Error::TargetNotFound`], [`Error::TypeNotEnabled`],
/// [`Error::DuplicateAttachment`], [`Error::ConstraintViolation`].
pub(crate) async fn attach_policy(
    ctx: Ctx,
    input: AttachPolicyInput,
) -> Result<AttachPolicyOutput> {
    ctx.store
        .write(|tx| {
            let organization = managed_whole(tx, &ctx)?;
            let policy = get(tx, &organization, &input.policy_id)?;
            if !organization.types.contains(&policy.kind) {
                return Err(Error::TypeNotEnabled);
            }
            let has = attached(tx, &organization, &input.target_id)?;
            if has.contains(&policy.id) {
                return Err(Error::DuplicateAttachment);
            }
            if count(tx, &organization, &has, &policy.kind)? >= ATTACHED_MAX {
                return Err(Error::constraint(
                    "MAX_POLICY_TYPE_ATTACHMENT_LIMIT_EXCEEDED",
                    "You have exceeded the number of policies that can be attached to the target.",
                ));
            }
            change(tx, &organization, &input.target_id, |policies| {
                policies.insert(policy.id);
            })
        })
        .await?;
    Ok(AttachPolicyOutput {})
}

/// Takes a policy off a target.
///
/// AWS: DetachPolicy.
///
/// # Errors
///
/// [`Error::PolicyNotAttached`], [`Error::ConstraintViolation`] for the last service control
/// policy, and for the resource control policy that allows everything.
pub(crate) async fn detach_policy(
    ctx: Ctx,
    input: DetachPolicyInput,
) -> Result<DetachPolicyOutput> {
    ctx.store
        .write(|tx| {
            let organization = managed_whole(tx, &ctx)?;
            let policy = get(tx, &organization, &input.policy_id)?;
            let has = attached(tx, &organization, &input.target_id)?;
            if !has.contains(&policy.id) {
                return Err(Error::PolicyNotAttached);
            }
            let last = policy.kind == SCP && count(tx, &organization, &has, SCP)? == 1;
            if last || policy.id == RCP_FULL_ACCESS {
                return Err(Error::constraint(
                    "MIN_POLICY_TYPE_ATTACHMENT_LIMIT_EXCEEDED",
                    "You must have at least one policy of this type attached to the target.",
                ));
            }
            change(tx, &organization, &input.target_id, |policies| {
                policies.remove(&policy.id);
            })
        })
        .await?;
    Ok(DetachPolicyOutput {})
}
