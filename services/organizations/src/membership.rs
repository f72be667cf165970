//! What binds an account: the answer to the kernel's question on every call.
//!
//! AWS: "SCP evaluation", "RCP evaluation", "Organization policy inheritance".

use std::collections::BTreeSet;
use std::sync::Arc;

use base::AccountId;
use kernel::organization::Membership;
use kernel::{Kernel, ServiceError};
use policy::{Kind, NamedPolicy};
use store::ReadTx;

use crate::ids::{FULL_ACCESS, RCP_FULL_ACCESS};
use crate::store::{MEMBERS, ORGANIZATIONS, Organization, POLICIES, UNITS};

/// The name of service control policies.
pub(crate) const SCP: &str = "SERVICE_CONTROL_POLICY";
/// The name of resource control policies.
pub(crate) const RCP: &str = "RESOURCE_CONTROL_POLICY";

pub(crate) const FULL_ACCESS_TEXT: &str =
    r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}"#;
pub(crate) const RCP_FULL_ACCESS_TEXT: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"*","Resource":"*"}]}"#;

/// One level of the tree above an account, the account itself the last.
struct Level {
    id: String,
    policies: BTreeSet<String>,
}

/// The levels from the root to the account, and the organization.
fn levels(
    tx: &ReadTx<'_>,
    account: &AccountId,
) -> Result<Option<(Organization, Vec<Level>, bool)>, store::Error> {
    let Some(member) = tx.get(&MEMBERS, account.as_str())? else { return Ok(None) };
    let Some(organization) = tx.get(&ORGANIZATIONS, &member.organization)? else {
        return Ok(None);
    };
    let mut levels = vec![Level { id: account.to_string(), policies: member.policies }];
    let mut above = member.parent;
    while let Some(unit) = tx.get(&UNITS, &above)? {
        levels.push(Level { id: unit.id, policies: unit.policies });
        above = unit.parent;
    }
    levels.push(Level { id: organization.root.clone(), policies: organization.policies.clone() });
    levels.reverse();
    Ok(Some((organization, levels, member.closed.is_some())))
}

/// The policies of `kind` that each level has, as their ids and texts.
pub(crate) fn texts(
    tx: &ReadTx<'_>,
    account: &AccountId,
    kind: &str,
) -> Result<Vec<Vec<(String, String)>>, store::Error> {
    let Some((_, levels, _)) = levels(tx, account)? else { return Ok(Vec::new()) };
    levels.iter().map(|level| of_kind(tx, &level.policies, kind)).collect()
}

fn of_kind(
    tx: &ReadTx<'_>,
    ids: &BTreeSet<String>,
    kind: &str,
) -> Result<Vec<(String, String)>, store::Error> {
    let mut found = Vec::new();
    for id in ids {
        match (id.as_str(), kind) {
            (FULL_ACCESS, SCP) => found.push((id.clone(), FULL_ACCESS_TEXT.to_owned())),
            (RCP_FULL_ACCESS, RCP) => found.push((id.clone(), RCP_FULL_ACCESS_TEXT.to_owned())),
            _ => {
                let policy = tx.get(&POLICIES, id)?.filter(|policy| policy.kind == kind);
                found.extend(policy.map(|policy| (policy.id, policy.content)));
            }
        }
    }
    Ok(found)
}

/// The place of `account` in its organization, with what binds it there.
///
/// # Errors
///
/// When the tables cannot be read.
pub(crate) async fn of(
    kernel: Arc<Kernel>,
    _drivers: Arc<()>,
    account: AccountId,
) -> Result<Option<Arc<Membership>>, ServiceError> {
    let found = kernel
        .store()
        .read(|tx| {
            let Some((organization, levels, closed)) = levels(tx, &account)? else {
                return Ok(None);
            };
            let above = levels.iter().rev().skip(1).rev().map(|level| level.id.as_str());
            let path: Vec<&str> = [organization.id.as_str()].into_iter().chain(above).collect();
            let path = format!("{}/", path.join("/"));
            // Neither type binds the management account or what it owns.
            let free = organization.management == account;
            let mut texts = [Vec::new(), Vec::new()];
            for (kind, texts) in [SCP, RCP].into_iter().zip(&mut texts) {
                if organization.types.contains(kind) && !free {
                    for level in &levels {
                        texts.push(of_kind(tx, &level.policies, kind)?);
                    }
                }
            }
            Ok::<_, store::Error>(Some((organization.id, path, closed, texts)))
        })
        .await
        .map_err(ServiceError::internal)?;
    let Some((organization, path, closed, [scps, rcps])) = found else { return Ok(None) };
    let compiled = |levels: Vec<Vec<(String, String)>>, kind: Kind| {
        let one = |(id, text): (String, String)| {
            let policy = kernel.policies().get(kind, &id, &text);
            Ok(NamedPolicy::new(id, policy.map_err(ServiceError::internal)?))
        };
        let level = |level: Vec<(String, String)>| level.into_iter().map(one).collect();
        levels.into_iter().map(level).collect::<Result<Vec<Vec<NamedPolicy>>, ServiceError>>()
    };
    let mut scps = compiled(scps, Kind::Scp)?;
    if closed {
        // A closed account may do nothing: a level that allows nothing says so.
        scps.push(Vec::new());
    }
    let rcps = compiled(rcps, Kind::Rcp)?;
    Ok(Some(Arc::new(Membership { organization, path, scps, rcps })))
}
