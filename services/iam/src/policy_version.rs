//! Versions of managed policies.

use iam_api as api;
use iam_api::{
    CreatePolicyVersionInput, CreatePolicyVersionOutput, DeletePolicyVersionInput,
    DeletePolicyVersionOutput, GetPolicyVersionInput, GetPolicyVersionOutput,
    ListPolicyVersionsInput, ListPolicyVersionsOutput, SetDefaultPolicyVersionInput,
    SetDefaultPolicyVersionOutput,
};

use crate::Ctx;
use crate::access::Keys;
use crate::document::{self, encoded};
use crate::entity::{self, date};
use crate::error::{Error, Result};
use crate::listing;
use crate::policy::{self, AnyPolicy};
use crate::store::{ManagedPolicy, POLICIES, PolicyVersion};

/// AWS: "IAM and AWS STS quotas", versions of a managed policy that can be stored.
pub(crate) const VERSIONS_MAX: usize = 5;

impl AnyPolicy {
    /// Its versions, the newest first.
    pub(crate) fn versions(&self) -> Vec<api::PolicyVersion> {
        match self {
            Self::Aws(policy) => vec![api::PolicyVersion {
                document: Some(encoded(policy.document)),
                version_id: Some(policy.version_id.to_owned()),
                is_default_version: Some(true),
                create_date: None,
            }],
            Self::Own(policy) => {
                let view = |version: &PolicyVersion| view(policy, version);
                policy.versions.iter().rev().map(view).collect()
            }
        }
    }
}

fn view(policy: &ManagedPolicy, version: &PolicyVersion) -> api::PolicyVersion {
    api::PolicyVersion {
        document: Some(encoded(&version.document)),
        version_id: Some(format!("v{}", version.id)),
        is_default_version: Some(version.id == policy.default_version),
        create_date: Some(date(version.created)),
    }
}

/// The number of a version that the policy has.
fn number_of(policy: &ManagedPolicy, arn: &str, version: &str) -> Result<u32> {
    let number = version.strip_prefix('v').and_then(|digits| digits.parse().ok());
    number.filter(|id| policy.version(*id).is_some()).ok_or_else(|| no_version(arn, version))
}

fn no_version(arn: &str, version: &str) -> Error {
    Error::NoSuchEntity(format!(
        "Policy {arn} version {version} does not exist or is not attachable."
    ))
}

/// Adds a version to a customer managed policy.
///
/// AWS: CreatePolicyVersion.
///
/// # Errors
///
/// [`Error::LimitExceeded`] beyond five versions, [`Error::MalformedPolicyDocument`].
pub(crate) async fn create_policy_version(
    ctx: Ctx,
    input: CreatePolicyVersionInput,
) -> Result<CreatePolicyVersionOutput> {
    let policy = policy::own(&ctx, "CreatePolicyVersion", &input.policy_arn, Keys::new()).await?;
    document::check_managed(&input.policy_document)?;
    let now = ctx.now();
    let version = ctx
        .store
        .write(|tx| {
            let mut policy: ManagedPolicy = entity::get(tx, &policy.name)?;
            if policy.versions.len() >= VERSIONS_MAX {
                return Err(Error::LimitExceeded(format!(
                    "A managed policy can have up to {VERSIONS_MAX} versions. Before you create a \
                     new version, you must delete an existing version."
                )));
            }
            let document = input.policy_document.clone();
            let version = PolicyVersion { id: policy.next_version, document, created: now };
            policy.next_version += 1;
            policy.updated = now;
            if input.set_as_default == Some(true) {
                policy.default_version = version.id;
            }
            policy.versions.push(version.clone());
            tx.put(&POLICIES, &policy)?;
            Ok(api::PolicyVersion { document: None, ..view(&policy, &version) })
        })
        .await?;
    Ok(CreatePolicyVersionOutput { policy_version: Some(version) })
}

/// A version with its document.
///
/// AWS: GetPolicyVersion.
///
/// # Errors
///
/// [`Error::NoSuchEntity`].
pub(crate) async fn get_policy_version(
    ctx: Ctx,
    input: GetPolicyVersionInput,
) -> Result<GetPolicyVersionOutput> {
    let policy = policy::any(&ctx, "GetPolicyVersion", &input.policy_arn).await?;
    let found = policy
        .versions()
        .into_iter()
        .find(|version| version.version_id.as_ref() == Some(&input.version_id))
        .ok_or_else(|| no_version(&input.policy_arn, &input.version_id))?;
    Ok(GetPolicyVersionOutput { policy_version: Some(found) })
}

/// The versions of a policy, without their documents.
///
/// AWS: ListPolicyVersions.
///
/// # Errors
///
/// [`Error::NoSuchEntity`].
pub(crate) async fn list_policy_versions(
    ctx: Ctx,
    input: ListPolicyVersionsInput,
) -> Result<ListPolicyVersionsOutput> {
    let policy = policy::any(&ctx, "ListPolicyVersions", &input.policy_arn).await?;
    let versions: Vec<(usize, api::PolicyVersion)> = policy
        .versions()
        .into_iter()
        .map(|version| api::PolicyVersion { document: None, ..version })
        .enumerate()
        .collect();
    // Newest first; five versions never need more than one digit.
    let page = listing::page(versions, input.marker.as_deref(), input.max_items, |(place, _)| {
        place.to_string()
    })?;
    Ok(ListPolicyVersionsOutput {
        versions: page.items.into_iter().map(|(_, version)| version).collect(),
        is_truncated: Some(page.next.is_some()),
        marker: page.next,
    })
}

/// Puts another version in force, for all who have the policy.
///
/// AWS: SetDefaultPolicyVersion.
///
/// # Errors
///
/// [`Error::NoSuchEntity`].
pub(crate) async fn set_default_policy_version(
    ctx: Ctx,
    input: SetDefaultPolicyVersionInput,
) -> Result<SetDefaultPolicyVersionOutput> {
    let arn = &input.policy_arn;
    let policy = policy::own(&ctx, "SetDefaultPolicyVersion", arn, Keys::new()).await?;
    ctx.store
        .write(|tx| {
            let mut policy: ManagedPolicy = entity::get(tx, &policy.name)?;
            policy.default_version = number_of(&policy, arn, &input.version_id)?;
            policy.updated = ctx.now();
            Ok::<_, Error>(tx.put(&POLICIES, &policy)?)
        })
        .await?;
    Ok(SetDefaultPolicyVersionOutput {})
}

/// Deletes a version that is not in force.
///
/// AWS: DeletePolicyVersion.
///
/// # Errors
///
/// [`Error::PolicyInUse`] for the default version.
pub(crate) async fn delete_policy_version(
    ctx: Ctx,
    input: DeletePolicyVersionInput,
) -> Result<DeletePolicyVersionOutput> {
    let arn = &input.policy_arn;
    let policy = policy::own(&ctx, "DeletePolicyVersion", arn, Keys::new()).await?;
    ctx.store
        .write(|tx| {
            let mut policy: ManagedPolicy = entity::get(tx, &policy.name)?;
            let number = number_of(&policy, arn, &input.version_id)?;
            if number == policy.default_version {
                let text = "Cannot delete the default version of a policy.";
                return Err(Error::PolicyInUse(text));
            }
            policy.versions.retain(|version| version.id != number);
            policy.updated = ctx.now();
            Ok(tx.put(&POLICIES, &policy)?)
        })
        .await?;
    Ok(DeletePolicyVersionOutput {})
}
