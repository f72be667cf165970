//! The tree: the root, organizational units, and what lies under what.
//!
//! AWS: "Managing organizational units (OUs)".

use kernel::Ctx;
use organizations_api as api;
use organizations_api::{
    Child, ChildType, CreateOrganizationalUnitInput, CreateOrganizationalUnitOutput,
    DeleteOrganizationalUnitInput, DeleteOrganizationalUnitOutput, DescribeOrganizationalUnitInput,
    DescribeOrganizationalUnitOutput, ListChildrenInput, ListChildrenOutput,
    ListOrganizationalUnitsForParentInput, ListOrganizationalUnitsForParentOutput,
    ListParentsInput, ListParentsOutput, ListRootsInput, ListRootsOutput, Parent, ParentType,
    PolicyTypeStatus, PolicyTypeSummary, UpdateOrganizationalUnitInput,
    UpdateOrganizationalUnitOutput,
};
use store::ReadTx;

use crate::access::{managed, own, visible};
use crate::account::{member, require_parent};
use crate::error::{Error, Result};
use crate::ids::{self, FULL_ACCESS, RCP_FULL_ACCESS};
use crate::membership::{RCP, SCP};
use crate::store::{MEMBERS_OF, ORGANIZATIONS, Organization, UNITS, UNITS_OF, Unit};
use crate::{listing, policy, tag};

/// How deep units lie at most. AWS: "Quotas for AWS Organizations", OU nesting.
const DEPTH_MAX: usize = 5;
/// How many units an organization has at most. AWS: as above.
const UNITS_MAX: usize = 2000;

impl Organization {
    /// The root as answers carry it.
    pub(crate) fn root_view(&self) -> api::Root {
        let enabled = self.types.iter().map(|kind| PolicyTypeSummary {
            type_: policy::wire_type(kind),
            status: Some(PolicyTypeStatus::Enabled),
        });
        api::Root {
            id: Some(self.root.clone()),
            arn: Some(self.arn_of("root", &self.root)),
            name: Some("Root".to_owned()),
            policy_types: enabled.collect(),
        }
    }
}

impl Unit {
    pub(crate) fn view(&self, organization: &Organization) -> api::OrganizationalUnit {
        api::OrganizationalUnit {
            id: Some(self.id.clone()),
            arn: Some(organization.arn_of("ou", &self.id)),
            name: Some(self.name.clone()),
            ..api::OrganizationalUnit::default()
        }
    }
}

/// The unit, if it is the organization's.
pub(crate) fn get(tx: &ReadTx<'_>, organization: &Organization, id: &str) -> Result<Unit> {
    let found = tx.get(&UNITS, id)?.filter(|unit| unit.organization == organization.id);
    found.ok_or(Error::UnitNotFound)
}

/// Makes a unit.
///
/// AWS: CreateOrganizationalUnit.
///
/// # Errors
///
/// [`Error::ParentNotFound`], [`Error::DuplicateUnit`], [`Error::ConstraintViolation`].
pub(crate) async fn create_organizational_unit(
    ctx: Ctx,
    input: CreateOrganizationalUnitInput,
) -> Result<CreateOrganizationalUnitOutput> {
    let tags = tag::checked(&input.tags)?;
    let view = ctx
        .store
        .write(|tx| {
            let organization = managed(tx, &ctx)?;
            require_parent(tx, &organization, &input.parent_id, Error::ParentNotFound)?;
            let all = tx.find(&UNITS_OF, organization.id.as_str())?;
            require_free(&all, &input.parent_id, &input.name)?;
            if all.len() >= UNITS_MAX {
                return Err(Error::constraint(
                    "OU_NUMBER_LIMIT_EXCEEDED",
                    "You have exceeded the number of OUs in your organization.",
                ));
            }
            let mut depth = 1;
            let mut above = input.parent_id.clone();
            while let Some(unit) = tx.get(&UNITS, &above)? {
                depth += 1;
                above = unit.parent;
            }
            if depth > DEPTH_MAX {
                return Err(Error::constraint(
                    "OU_DEPTH_LIMIT_EXCEEDED",
                    "You have exceeded the depth of the OU tree.",
                ));
            }
            let begins = [(SCP, FULL_ACCESS), (RCP, RCP_FULL_ACCESS)].into_iter();
            let unit = Unit {
                id: ids::unit(&organization.root, ctx.random()),
                organization: organization.id.clone(),
                parent: input.parent_id.clone(),
                name: input.name.clone(),
                policies: begins
                    .filter(|(kind, _)| organization.types.contains(*kind))
                    .map(|(_, id)| id.to_owned())
                    .collect(),
                tags: tags.clone(),
            };
            tx.put(&UNITS, &unit)?;
            Ok(unit.view(&organization))
        })
        .await?;
    Ok(CreateOrganizationalUnitOutput { organizational_unit: Some(view) })
}

fn require_free(all: &[Unit], parent: &str, name: &str) -> Result<()> {
    if all.iter().any(|unit| unit.parent == parent && unit.name == name) {
        return Err(Error::DuplicateUnit);
    }
    Ok(())
}

/// Gives a unit another name.
///
/// AWS: UpdateOrganizationalUnit.
///
/// # Errors
///
/// [`Error::UnitNotFound`], [`Error::DuplicateUnit`].
pub(crate) async fn update_organizational_unit(
    ctx: Ctx,
    input: UpdateOrganizationalUnitInput,
) -> Result<UpdateOrganizationalUnitOutput> {
    let view = ctx
        .store
        .write(|tx| {
            let organization = managed(tx, &ctx)?;
            let mut unit = get(tx, &organization, &input.organizational_unit_id)?;
            if let Some(name) = input.name.as_ref().filter(|name| **name != unit.name) {
                let all = tx.find(&UNITS_OF, organization.id.as_str())?;
                require_free(&all, &unit.parent, name)?;
                unit.name.clone_from(name);
                tx.put(&UNITS, &unit)?;
            }
            Ok::<_, Error>(unit.view(&organization))
        })
        .await?;
    Ok(UpdateOrganizationalUnitOutput { organizational_unit: Some(view) })
}

/// Deletes a unit that has nothing under it.
///
/// AWS: DeleteOrganizationalUnit.
///
/// # Errors
///
/// [`Error::UnitNotFound`], [`Error::UnitNotEmpty`].
pub(crate) async fn delete_organizational_unit(
    ctx: Ctx,
    input: DeleteOrganizationalUnitInput,
) -> Result<DeleteOrganizationalUnitOutput> {
    ctx.store
        .write(|tx| {
            let organization = managed(tx, &ctx)?;
            let unit = get(tx, &organization, &input.organizational_unit_id)?;
            let id = organization.id.as_str();
            let units = tx.find(&UNITS_OF, id)?.iter().any(|other| other.parent == unit.id);
            let members = tx.find(&MEMBERS_OF, id)?.iter().any(|other| other.parent == unit.id);
            if units || members {
                return Err(Error::UnitNotEmpty);
            }
            tx.delete(&UNITS, &unit.id)?;
            Ok(())
        })
        .await?;
    Ok(DeleteOrganizationalUnitOutput {})
}

/// A unit.
///
/// AWS: DescribeOrganizationalUnit.
///
/// # Errors
///
/// [`Error::UnitNotFound`].
pub(crate) async fn describe_organizational_unit(
    ctx: Ctx,
    input: DescribeOrganizationalUnitInput,
) -> Result<DescribeOrganizationalUnitOutput> {
    let view = ctx
        .store
        .read(|tx| {
            let organization = visible(tx, &ctx)?;
            let unit = get(tx, &organization, &input.organizational_unit_id)?;
            Ok::<_, Error>(unit.view(&organization))
        })
        .await?;
    Ok(DescribeOrganizationalUnitOutput { organizational_unit: Some(view) })
}

/// The units directly under a root or unit.
///
/// AWS: ListOrganizationalUnitsForParent.
///
/// # Errors
///
/// [`Error::ParentNotFound`].
pub(crate) async fn list_organizational_units_for_parent(
    ctx: Ctx,
    input: ListOrganizationalUnitsForParentInput,
) -> Result<ListOrganizationalUnitsForParentOutput> {
    let units = ctx
        .store
        .read(|tx| {
            let organization = visible(tx, &ctx)?;
            require_parent(tx, &organization, &input.parent_id, Error::ParentNotFound)?;
            let all = tx.find(&UNITS_OF, organization.id.as_str())?;
            let under = all.iter().filter(|unit| unit.parent == input.parent_id);
            Ok::<_, Error>(under.map(|unit| unit.view(&organization)).collect::<Vec<_>>())
        })
        .await?;
    let id = |unit: &api::OrganizationalUnit| unit.id.clone().unwrap_or_default();
    let page = listing::page(units, input.next_token.as_deref(), input.max_results, id)?;
    Ok(ListOrganizationalUnitsForParentOutput {
        organizational_units: page.items,
        next_token: page.next,
    })
}

/// The organization's root.
///
/// AWS: ListRoots.
pub(crate) async fn list_roots(ctx: Ctx, _input: ListRootsInput) -> Result<ListRootsOutput> {
    let organization = ctx.store.read(|tx| visible(tx, &ctx)).await?;
    Ok(ListRootsOutput { roots: vec![organization.root_view()], next_token: None })
}

/// What lies directly under a root or unit.
///
/// AWS: ListChildren.
///
/// # Errors
///
/// [`Error::ParentNotFound`].
pub(crate) async fn list_children(
    ctx: Ctx,
    input: ListChildrenInput,
) -> Result<ListChildrenOutput> {
    let ids: Vec<String> = ctx
        .store
        .read(|tx| {
            let organization = visible(tx, &ctx)?;
            require_parent(tx, &organization, &input.parent_id, Error::ParentNotFound)?;
            let id = organization.id.as_str();
            Ok::<_, Error>(match input.child_type {
                ChildType::Account => tx
                    .find(&MEMBERS_OF, id)?
                    .into_iter()
                    .filter(|member| member.parent == input.parent_id)
                    .map(|member| member.account.to_string())
                    .collect(),
                ChildType::OrganizationalUnit => tx
                    .find(&UNITS_OF, id)?
                    .into_iter()
                    .filter(|unit| unit.parent == input.parent_id)
                    .map(|unit| unit.id)
                    .collect(),
            })
        })
        .await?;
    let page = listing::page(ids, input.next_token.as_deref(), input.max_results, String::clone)?;
    let child = |id| Child { id: Some(id), type_: Some(input.child_type) };
    Ok(ListChildrenOutput {
        children: page.items.into_iter().map(child).collect(),
        next_token: page.next,
    })
}

/// What an account or unit lies under.
///
/// AWS: ListParents.
///
/// # Errors
///
/// [`Error::ChildNotFound`].
pub(crate) async fn list_parents(ctx: Ctx, input: ListParentsInput) -> Result<ListParentsOutput> {
    let parent = ctx
        .store
        .read(|tx| {
            let (organization, caller) = own(tx, &ctx)?;
            let privileged = organization.management == caller.account
                || !caller.delegated.is_empty()
                || caller.account.as_str() == input.child_id;
            if !privileged {
                return Err(Error::AccessDenied);
            }
            match member(tx, &organization, &input.child_id) {
                Ok(member) => Ok(member.parent),
                Err(_) => get(tx, &organization, &input.child_id)
                    .map(|unit| unit.parent)
                    .map_err(|_| Error::ChildNotFound),
            }
        })
        .await?;
    let kind =
        if parent.starts_with("r-") { ParentType::Root } else { ParentType::OrganizationalUnit };
    Ok(ListParentsOutput {
        parents: vec![Parent { id: Some(parent), type_: Some(kind) }],
        next_token: None,
    })
}

/// The organization with this root.
///
/// # Errors
///
/// [`Error::RootNotFound`].
pub(crate) fn require_root(organization: &Organization, id: &str) -> Result<()> {
    if organization.root == id { Ok(()) } else { Err(Error::RootNotFound) }
}

/// Writes an organization back.
pub(crate) fn put(tx: &mut store::WriteTx<'_>, organization: &Organization) -> Result<()> {
    Ok(tx.put(&ORGANIZATIONS, organization)?)
}
