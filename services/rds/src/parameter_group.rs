//! DB parameter groups: those that were made, and the default of each family.

use engine::{EngineKind, Parameters};
use kernel::quota::Quota;
use nodes::parameter_group::{Families, default_name, is_default};
use rds_api::{
    CreateDBParameterGroupInput, CreateDBParameterGroupOutput, DBParameterGroup,
    DeleteDBParameterGroupInput, DeleteDBParameterGroupOutput, DescribeDBParameterGroupsInput,
    DescribeDBParameterGroupsOutput,
};
use store::{ReadTx, Scope, ScopedStore, WriteTx};

use crate::error::{Error, Result, refuse};
use crate::store::{INSTANCES, PARAMETER_GROUPS, ParameterGroup};
use crate::{Ctx, endpoint, listing, request, tags};

/// DB parameter groups per region.
///
/// AWS: "Quotas and constraints for Amazon RDS".
const GROUPS_MAX: Quota = Quota { service: "rds", code: "L-DE55804A", default: 50 };

/// The families there are.
const FAMILIES: Families = Families(&[EngineKind::MariaDb, EngineKind::PostgreSql]);

/// The engine and series of a family.
pub(crate) fn engine_of(family: &str) -> Result<(EngineKind, &'static str)> {
    FAMILIES.engine_of(family).ok_or_else(|| {
        Error::value(format!("ParameterGroupFamily {family} is not a valid parameter group family"))
    })
}

/// The default group of a family, which is nowhere kept.
fn default_of(family: &str) -> ParameterGroup {
    ParameterGroup {
        name: default_name(family),
        family: family.to_owned(),
        description: format!("Default parameter group for {family}"),
        values: Parameters::new(),
        held: std::collections::BTreeSet::new(),
        tags: base::Tags::new(),
    }
}

/// The group called `name`, kept or a default.
pub(crate) fn get(tx: &ReadTx<'_>, name: &str) -> Result<ParameterGroup> {
    let name = name.to_ascii_lowercase();
    match FAMILIES.of_default(&name) {
        Some(family) => Ok(default_of(family)),
        None => {
            let found = tx.get(&PARAMETER_GROUPS, &name)?;
            found.ok_or(Error::ParameterGroupNotFound(name))
        }
    }
}

/// The group called `name` if it may be changed.
pub(crate) fn get_own(tx: &ReadTx<'_>, name: &str) -> Result<ParameterGroup> {
    let group = get(tx, name)?;
    if is_default(&group.name) {
        return Err(Error::InvalidParameterGroupState(
            "Default DBParameterGroups cannot be modified or deleted.".to_owned(),
        ));
    }
    Ok(group)
}

/// The values of a group.
pub(crate) async fn values(store: &ScopedStore, name: &str) -> Result<Parameters> {
    Ok(store.read(|tx| get(tx, name)).await?.values)
}

/// The name of the group that an instance of a family is to have.
pub(crate) async fn for_instance(ctx: &Ctx, asked: Option<&str>, family: &str) -> Result<String> {
    let Some(asked) = asked else { return Ok(default_name(family)) };
    let group = ctx.store.read(|tx| get(tx, asked)).await?;
    if group.family != family {
        return Err(Error::combination(format!(
            "The Parameter Group {} with DBParameterGroupFamily {} can't be used for this \
             instance. Please use a Parameter Group with DBParameterGroupFamily {family}",
            group.name, group.family
        )));
    }
    Ok(group.name)
}

fn view(scope: &Scope, group: &ParameterGroup) -> DBParameterGroup {
    DBParameterGroup {
        db_parameter_group_name: Some(group.name.clone()),
        db_parameter_group_family: Some(group.family.clone()),
        description: Some(group.description.clone()),
        db_parameter_group_arn: Some(endpoint::arn(scope, "pg", &group.name)),
    }
}

/// Makes a DB parameter group with the values of its family's default.
///
/// AWS: CreateDBParameterGroup.
pub(crate) async fn create_db_parameter_group(
    ctx: Ctx,
    input: CreateDBParameterGroupInput,
) -> Result<CreateDBParameterGroupOutput> {
    let name = request::identifier("DBParameterGroupName", &input.db_parameter_group_name, 255)?;
    engine_of(&input.db_parameter_group_family)?;
    let limit = GROUPS_MAX.value(ctx.store.store(), ctx.store.scope()).await?;
    let group = ParameterGroup {
        name,
        description: input.description,
        tags: tags::from(&ctx, &input.tags)?,
        ..default_of(&input.db_parameter_group_family)
    };
    let write = |tx: &mut WriteTx<'_>| -> Result<()> {
        if tx.contains(&PARAMETER_GROUPS, &group.name)? {
            return Err(Error::ParameterGroupAlreadyExists(group.name.clone()));
        }
        let count = tx.scan(&PARAMETER_GROUPS, ())?.len();
        if u64::try_from(count).unwrap_or(u64::MAX) >= limit {
            return Err(Error::ParameterGroupQuotaExceeded(limit));
        }
        tx.put(&PARAMETER_GROUPS, &group)?;
        Ok(())
    };
    ctx.store.write(write).await?;
    let shown = view(ctx.store.scope(), &group);
    Ok(CreateDBParameterGroupOutput { db_parameter_group: Some(shown) })
}

/// Tells the DB parameter groups, the defaults among them.
///
/// AWS: DescribeDBParameterGroups.
pub(crate) async fn describe_db_parameter_groups(
    ctx: Ctx,
    input: DescribeDBParameterGroupsInput,
) -> Result<DescribeDBParameterGroupsOutput> {
    refuse(&[("Filters", !input.filters.is_empty())])?;
    let all = match &input.db_parameter_group_name {
        Some(name) => vec![ctx.store.read(|tx| get(tx, name)).await?],
        None => {
            let mut all: Vec<ParameterGroup> =
                ctx.store.read(|tx| tx.scan(&PARAMETER_GROUPS, ())).await?;
            all.extend(FAMILIES.all().map(|(family, ..)| default_of(&family)));
            all
        }
    };
    let (page, marker) =
        listing::page(all, input.marker.as_deref(), input.max_records, |one| one.name.clone())?;
    let shown = page.iter().map(|group| view(ctx.store.scope(), group)).collect();
    Ok(DescribeDBParameterGroupsOutput { marker, db_parameter_groups: shown })
}

/// Removes a group that no instance uses.
///
/// AWS: DeleteDBParameterGroup.
pub(crate) async fn delete_db_parameter_group(
    ctx: Ctx,
    input: DeleteDBParameterGroupInput,
) -> Result<DeleteDBParameterGroupOutput> {
    let write = |tx: &mut WriteTx<'_>| -> Result<()> {
        let group = get_own(tx, &input.db_parameter_group_name)?;
        let used = tx.scan(&INSTANCES, ())?.iter().any(|instance| {
            instance.parameter_group == group.name || instance.applied.parameter_group == group.name
        });
        if used {
            return Err(Error::InvalidParameterGroupState(
                "One or more database instances are still members of this parameter group, so \
                 the group cannot be deleted"
                    .to_owned(),
            ));
        }
        tx.delete(&PARAMETER_GROUPS, &group.name)?;
        Ok(())
    };
    ctx.store.write(write).await?;
    Ok(DeleteDBParameterGroupOutput {})
}
