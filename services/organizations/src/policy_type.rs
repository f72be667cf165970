//! Types of policies: enabled and disabled in the root.
//!
//! AWS: "Enabling and disabling policy types".

use kernel::Ctx;
use organizations_api::{
    DisablePolicyTypeInput, DisablePolicyTypeOutput, EnablePolicyTypeInput, EnablePolicyTypeOutput,
};
use store::WriteTx;

use crate::access::managed_whole;
use crate::error::{Error, Result};
use crate::ids::{FULL_ACCESS, RCP_FULL_ACCESS};
use crate::membership::{RCP, SCP};
use crate::policy::type_name;
use crate::store::{MEMBERS, MEMBERS_OF, Organization, POLICIES_OF, UNITS, UNITS_OF};
use crate::unit::{put, require_root};

/// Enables a type: everything in the tree begins with the policy that allows all.
///
/// # Errors
///
/// When the tables cannot be read.
pub(crate) fn enable(tx: &mut WriteTx<'_>, organization: &Organization, kind: &str) -> Result<()> {
    let first = match kind {
        SCP => Some(FULL_ACCESS),
        RCP => Some(RCP_FULL_ACCESS),
        _ => None,
    };
    let mut changed = organization.clone();
    changed.types.insert(kind.to_owned());
    changed.policies.extend(first.map(str::to_owned));
    put(tx, &changed)?;
    let Some(first) = first else { return Ok(()) };
    for mut unit in tx.find(&UNITS_OF, organization.id.as_str())? {
        unit.policies.insert(first.to_owned());
        tx.put(&UNITS, &unit)?;
    }
    for mut member in tx.find(&MEMBERS_OF, organization.id.as_str())? {
        member.policies.insert(first.to_owned());
        tx.put(&MEMBERS, &member)?;
    }
    Ok(())
}

/// Enables a type of policies in the root.
///
/// AWS: EnablePolicyType.
///
/// # Errors
///
/// [`Error::RootNotFound`], [`Error::TypeAlreadyEnabled`], [`Error::TypeNotAvailable`].
pub(crate) async fn enable_policy_type(
    ctx: Ctx,
    input: EnablePolicyTypeInput,
) -> Result<EnablePolicyTypeOutput> {
    let kind = type_name(input.policy_type)?;
    let root = ctx
        .store
        .write(|tx| {
            let mut organization = managed_whole(tx, &ctx)?;
            require_root(&organization, &input.root_id)?;
            if organization.types.contains(kind) {
                return Err(Error::TypeAlreadyEnabled);
            }
            enable(tx, &organization, kind)?;
            organization.types.insert(kind.to_owned());
            Ok(organization.root_view())
        })
        .await?;
    Ok(EnablePolicyTypeOutput { root: Some(root) })
}

/// Disables a type: all its policies come off everything, and none binds any more.
///
/// AWS: DisablePolicyType.
///
/// # Errors
///
/// [`Error::RootNotFound`], [`Error::TypeNotEnabled`].
pub(crate) async fn disable_policy_type(
    ctx: Ctx,
    input: DisablePolicyTypeInput,
) -> Result<DisablePolicyTypeOutput> {
    let kind = type_name(input.policy_type)?;
    let root = ctx
        .store
        .write(|tx| {
            let mut organization = managed_whole(tx, &ctx)?;
            require_root(&organization, &input.root_id)?;
            if !organization.types.remove(kind) {
                return Err(Error::TypeNotEnabled);
            }
            let mut gone = Vec::new();
            let own = tx.find(&POLICIES_OF, organization.id.as_str())?;
            gone.extend(own.into_iter().filter(|p| p.kind == kind).map(|p| p.id));
            gone.extend((kind == SCP).then(|| FULL_ACCESS.to_owned()));
            gone.extend((kind == RCP).then(|| RCP_FULL_ACCESS.to_owned()));
            organization.policies.retain(|id| !gone.contains(id));
            put(tx, &organization)?;
            for mut unit in tx.find(&UNITS_OF, organization.id.as_str())? {
                unit.policies.retain(|id| !gone.contains(id));
                tx.put(&UNITS, &unit)?;
            }
            for mut member in tx.find(&MEMBERS_OF, organization.id.as_str())? {
                member.policies.retain(|id| !gone.contains(id));
                tx.put(&MEMBERS, &member)?;
            }
            Ok(organization.root_view())
        })
        .await?;
    Ok(DisablePolicyTypeOutput { root: Some(root) })
}
