//! Cache parameter groups: those that were made, and the default of each family.

use elasticache_api::{
    CacheParameterGroup, CreateCacheParameterGroupInput, CreateCacheParameterGroupOutput,
    DeleteCacheParameterGroupInput, DeleteCacheParameterGroupOutput,
    DescribeCacheParameterGroupsInput, DescribeCacheParameterGroupsOutput,
};
use engine::{EngineKind, Parameters};
use kernel::quota::Quota;
use nodes::parameter_group::{Families, default_name, is_default};
use store::{ReadTx, Scope, ScopedStore, WriteTx};

use crate::error::{Error, Result};
use crate::store::{CACHES, PARAMETER_GROUPS, ParameterGroup};
use crate::{Ctx, endpoint, listing, request, tags};

/// cache parameter groups per region.
///
/// AWS: "Quotas for ElastiCache", parameter groups per Region.
const GROUPS_MAX: Quota = Quota { service: "elasticache", code: "L-9D1AD2A5", default: 150 };

/// The families there are.
const FAMILIES: Families = Families(&[EngineKind::Valkey, EngineKind::Redis]);

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
            "Default cache parameter groups cannot be modified or deleted.".to_owned(),
        ));
    }
    Ok(group)
}

/// The values of a group.
pub(crate) async fn values(store: &ScopedStore, name: &str) -> Result<Parameters> {
    Ok(store.read(|tx| get(tx, name)).await?.values)
}

/// The name of the group that a cache of a family is to have.
pub(crate) async fn for_cache(ctx: &Ctx, asked: Option<&str>, family: &str) -> Result<String> {
    let Some(asked) = asked else { return Ok(default_name(family)) };
    let group = ctx.store.read(|tx| get(tx, asked)).await?;
    if group.family != family {
        return Err(Error::combination(format!(
            "The Parameter Group {} with CacheParameterGroupFamily {} can't be used for this \
             cluster. Please use a Parameter Group with CacheParameterGroupFamily {family}",
            group.name, group.family
        )));
    }
    Ok(group.name)
}

fn view(scope: &Scope, group: &ParameterGroup) -> CacheParameterGroup {
    CacheParameterGroup {
        cache_parameter_group_name: Some(group.name.clone()),
        cache_parameter_group_family: Some(group.family.clone()),
        description: Some(group.description.clone()),
        is_global: Some(false),
        arn: Some(endpoint::arn(scope, "parametergroup", &group.name)),
    }
}

/// Makes a cache parameter group with the values of its family's default.
///
/// AWS: CreateCacheParameterGroup.
pub(crate) async fn create_cache_parameter_group(
    ctx: Ctx,
    input: CreateCacheParameterGroupInput,
) -> Result<CreateCacheParameterGroupOutput> {
    let name =
        request::identifier("CacheParameterGroupName", &input.cache_parameter_group_name, 255)?;
    engine_of(&input.cache_parameter_group_family)?;
    let limit = GROUPS_MAX.value(ctx.store.store(), ctx.store.scope()).await?;
    let group = ParameterGroup {
        name,
        description: input.description,
        tags: tags::from(&ctx, &input.tags)?,
        ..default_of(&input.cache_parameter_group_family)
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
    Ok(CreateCacheParameterGroupOutput { cache_parameter_group: Some(shown) })
}

/// Tells the cache parameter groups, the defaults among them.
///
/// AWS: DescribeCacheParameterGroups.
pub(crate) async fn describe_cache_parameter_groups(
    ctx: Ctx,
    input: DescribeCacheParameterGroupsInput,
) -> Result<DescribeCacheParameterGroupsOutput> {
    let all = match &input.cache_parameter_group_name {
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
    Ok(DescribeCacheParameterGroupsOutput { marker, cache_parameter_groups: shown })
}

/// Removes a group that no cache uses.
///
/// AWS: DeleteCacheParameterGroup.
pub(crate) async fn delete_cache_parameter_group(
    ctx: Ctx,
    input: DeleteCacheParameterGroupInput,
) -> Result<DeleteCacheParameterGroupOutput> {
    let write = |tx: &mut WriteTx<'_>| -> Result<()> {
        let group = get_own(tx, &input.cache_parameter_group_name)?;
        let used = tx.scan(&CACHES, ())?.iter().any(|cache| {
            cache.parameter_group == group.name || cache.applied.parameter_group == group.name
        });
        if used {
            return Err(Error::InvalidParameterGroupState(
                "One or more cache clusters are still members of this parameter group, so \
                 the group cannot be deleted"
                    .to_owned(),
            ));
        }
        tx.delete(&PARAMETER_GROUPS, &group.name)?;
        Ok(())
    };
    ctx.store.write(write).await?;
    Ok(DeleteCacheParameterGroupOutput {})
}
