//! Parameters of cache parameter groups.

use elasticache_api::{
    ChangeType, DescribeCacheParametersInput, DescribeCacheParametersOutput,
    ModifyCacheParameterGroupInput, ModifyCacheParameterGroupOutput, Parameter,
};
use engine::parameters;
use store::WriteTx;

use crate::error::{Error, Result};
use crate::parameter_group::{engine_of, get, get_own};
use crate::store::{PARAMETER_GROUPS, ParameterGroup};
use crate::{Ctx, listing};

/// The most parameters that one request changes.
///
/// AWS: ModifyCacheParameterGroup ("A maximum of 20 parameters may be modified per request").
const CHANGED_MAX: usize = 20;

fn view(parameter: &engine::Parameter, group: &ParameterGroup) -> Parameter {
    let set = group.values.get(parameter.name);
    let source = if set.is_some() { "user" } else { "system" };
    let change = if parameter.dynamic { ChangeType::Immediate } else { ChangeType::RequiresReboot };
    Parameter {
        parameter_name: Some(parameter.name.to_owned()),
        parameter_value: set.cloned().or(parameter.default.map(str::to_owned)),
        description: Some(parameter.description.to_owned()),
        source: Some(source.to_owned()),
        data_type: Some(parameter.value_type.name().to_owned()),
        allowed_values: Some(parameter.allowed.to_owned()).filter(|text| !text.is_empty()),
        is_modifiable: Some(true),
        minimum_engine_version: None,
        change_type: Some(change),
    }
}

/// Tells a group's parameters.
///
/// AWS: DescribeCacheParameters.
pub(crate) async fn describe_cache_parameters(
    ctx: Ctx,
    input: DescribeCacheParametersInput,
) -> Result<DescribeCacheParametersOutput> {
    let group = ctx.store.read(|tx| get(tx, &input.cache_parameter_group_name)).await?;
    let (kind, series) = engine_of(&group.family)?;
    let mut all: Vec<_> = parameters(kind, series).iter().map(|one| view(one, &group)).collect();
    match input.source.as_deref() {
        Some(source @ ("user" | "system")) => {
            all.retain(|parameter| parameter.source.as_deref() == Some(source));
        }
        Some("engine-default") => all.clear(),
        Some(other) => return Err(Error::value(format!("Invalid source: {other}"))),
        None => {}
    }
    let key = |one: &Parameter| one.parameter_name.clone().unwrap_or_default();
    let (parameters, marker) = listing::page(all, input.marker.as_deref(), input.max_records, key)?;
    Ok(DescribeCacheParametersOutput {
        marker,
        parameters,
        cache_node_type_specific_parameters: Vec::new(),
    })
}

/// Gives parameters values. Dynamic ones reach running caches at once.
///
/// AWS: ModifyCacheParameterGroup.
pub(crate) async fn modify_cache_parameter_group(
    ctx: Ctx,
    input: ModifyCacheParameterGroupInput,
) -> Result<ModifyCacheParameterGroupOutput> {
    if input.parameter_name_values.is_empty() || input.parameter_name_values.len() > CHANGED_MAX {
        return Err(Error::value(format!(
            "Between 1 and {CHANGED_MAX} parameters can be modified in a single request."
        )));
    }
    let write = |tx: &mut WriteTx<'_>| -> Result<String> {
        let mut group = get_own(tx, &input.cache_parameter_group_name)?;
        let (kind, series) = engine_of(&group.family)?;
        for given in &input.parameter_name_values {
            let name = given.parameter_name.clone().unwrap_or_default();
            let known = parameters(kind, series).iter().find(|parameter| parameter.name == name);
            let known = known.ok_or_else(|| {
                Error::value(format!("The parameter {name} does not exist in {}.", group.family))
            })?;
            let value = given.parameter_value.clone().ok_or_else(|| {
                Error::value("The parameter ParameterValue must be provided and must not be blank.")
            })?;
            if !known.allows(&value) {
                return Err(Error::value(format!(
                    "The parameter value {value} is not allowed for {name}. Allowed values: {}",
                    known.allowed
                )));
            }
            group.values.insert(name, value);
        }
        tx.put(&PARAMETER_GROUPS, &group)?;
        Ok(group.name)
    };
    let name = ctx.store.write(write).await?;
    Ok(ModifyCacheParameterGroupOutput { cache_parameter_group_name: Some(name) })
}
