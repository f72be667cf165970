//! Parameters of DB parameter groups.

use engine::parameters;
use rds_api::{
    ApplyMethod, DescribeDBParametersInput, DescribeDBParametersOutput,
    DescribeEngineDefaultParametersInput, DescribeEngineDefaultParametersOutput, EngineDefaults,
    ModifyDBParameterGroupInput, ModifyDBParameterGroupOutput, Parameter,
    ResetDBParameterGroupInput, ResetDBParameterGroupOutput,
};
use store::WriteTx;

use crate::error::{Error, Result, refuse};
use crate::parameter_group::{engine_of, get, get_own};
use crate::store::{PARAMETER_GROUPS, ParameterGroup};
use crate::{Ctx, listing};

/// The most parameters that one request changes.
///
/// AWS: ModifyDBParameterGroup ("A maximum of 20 parameters can be modified in a single request").
const CHANGED_MAX: usize = 20;

fn known(group: &ParameterGroup, name: &str) -> Result<&'static engine::Parameter> {
    let (kind, series) = engine_of(&group.family)?;
    let found = parameters(kind, series).iter().find(|parameter| parameter.name == name);
    found.ok_or_else(|| Error::value(format!("Could not find parameter with name: {name}")))
}

fn view(parameter: &engine::Parameter, group: Option<&ParameterGroup>) -> Parameter {
    let set = group.and_then(|group| group.values.get(parameter.name));
    let held = group.is_some_and(|group| group.held.contains(parameter.name));
    let default = parameter.default.map(str::to_owned);
    let source = match (set, &default) {
        (Some(_), _) => "user",
        (None, Some(value)) if value.contains('{') => "system",
        (None, _) => "engine-default",
    };
    let at_once = parameter.dynamic && !held;
    Parameter {
        parameter_name: Some(parameter.name.to_owned()),
        parameter_value: set.cloned().or(default),
        description: Some(parameter.description.to_owned()),
        source: Some(source.to_owned()),
        apply_type: Some(if parameter.dynamic { "dynamic" } else { "static" }.to_owned()),
        data_type: Some(parameter.value_type.name().to_owned()),
        allowed_values: Some(parameter.allowed.to_owned()).filter(|text| !text.is_empty()),
        is_modifiable: Some(true),
        apply_method: Some(if at_once {
            ApplyMethod::Immediate
        } else {
            ApplyMethod::PendingReboot
        }),
        ..Default::default()
    }
}

fn name(parameter: &Parameter) -> String {
    parameter.parameter_name.clone().unwrap_or_default()
}

/// Tells a group's parameters.
///
/// AWS: DescribeDBParameters.
pub(crate) async fn describe_db_parameters(
    ctx: Ctx,
    input: DescribeDBParametersInput,
) -> Result<DescribeDBParametersOutput> {
    refuse(&[("Filters", !input.filters.is_empty())])?;
    let group = ctx.store.read(|tx| get(tx, &input.db_parameter_group_name)).await?;
    let (kind, series) = engine_of(&group.family)?;
    let mut all: Vec<_> =
        parameters(kind, series).iter().map(|one| view(one, Some(&group))).collect();
    if let Some(source) = input.source.as_deref() {
        all.retain(|parameter| parameter.source.as_deref() == Some(source));
    }
    let (parameters, marker) =
        listing::page(all, input.marker.as_deref(), input.max_records, name)?;
    Ok(DescribeDBParametersOutput { parameters, marker })
}

/// Tells a family's parameters.
///
/// AWS: DescribeEngineDefaultParameters.
pub(crate) async fn describe_engine_default_parameters(
    _ctx: Ctx,
    input: DescribeEngineDefaultParametersInput,
) -> Result<DescribeEngineDefaultParametersOutput> {
    refuse(&[("Filters", !input.filters.is_empty())])?;
    let (kind, series) = engine_of(&input.db_parameter_group_family)?;
    let all: Vec<_> = parameters(kind, series).iter().map(|one| view(one, None)).collect();
    let (parameters, marker) =
        listing::page(all, input.marker.as_deref(), input.max_records, name)?;
    let defaults = EngineDefaults {
        db_parameter_group_family: Some(input.db_parameter_group_family),
        marker,
        parameters,
    };
    Ok(DescribeEngineDefaultParametersOutput { engine_defaults: Some(defaults) })
}

/// How a change of a parameter is to be applied; static ones take a restart.
fn method(group: &ParameterGroup, given: &Parameter) -> Result<(String, ApplyMethod)> {
    let name = name(given);
    let parameter = known(group, &name)?;
    let method = given.apply_method.ok_or_else(|| {
        Error::value("The parameter ApplyMethod must be provided and must not be blank.")
    })?;
    if method == ApplyMethod::Immediate && !parameter.dynamic {
        return Err(Error::combination("cannot use immediate apply method for static parameter"));
    }
    Ok((name, method))
}

fn hold(group: &mut ParameterGroup, name: &str, method: ApplyMethod) {
    match method {
        ApplyMethod::Immediate => group.held.remove(name),
        ApplyMethod::PendingReboot => group.held.insert(name.to_owned()),
    };
}

/// Gives parameters values. Dynamic ones reach running instances at once.
///
/// AWS: ModifyDBParameterGroup.
pub(crate) async fn modify_db_parameter_group(
    ctx: Ctx,
    input: ModifyDBParameterGroupInput,
) -> Result<ModifyDBParameterGroupOutput> {
    if input.parameters.len() > CHANGED_MAX {
        return Err(Error::combination(format!(
            "Cannot modify more than {CHANGED_MAX} parameters in a single request."
        )));
    }
    let write = |tx: &mut WriteTx<'_>| -> Result<String> {
        let mut group = get_own(tx, &input.db_parameter_group_name)?;
        for given in &input.parameters {
            let (name, method) = method(&group, given)?;
            let value = given.parameter_value.clone().ok_or_else(|| {
                Error::value("The parameter ParameterValue must be provided and must not be blank.")
            })?;
            let parameter = known(&group, &name)?;
            let formula = value.contains(['{', '(']);
            if !formula && !parameter.allows(&value) {
                return Err(Error::value(format!(
                    "Invalid parameter value: {value} for: {name} allowed values are: {}",
                    parameter.allowed
                )));
            }
            group.values.insert(name.clone(), value);
            hold(&mut group, &name, method);
        }
        tx.put(&PARAMETER_GROUPS, &group)?;
        Ok(group.name)
    };
    let name = ctx.store.write(write).await?;
    Ok(ModifyDBParameterGroupOutput { db_parameter_group_name: Some(name) })
}

/// Gives parameters their defaults back.
///
/// AWS: ResetDBParameterGroup.
pub(crate) async fn reset_db_parameter_group(
    ctx: Ctx,
    input: ResetDBParameterGroupInput,
) -> Result<ResetDBParameterGroupOutput> {
    let all = input.reset_all_parameters != Some(false) && input.parameters.is_empty();
    if input.reset_all_parameters == Some(true) && !input.parameters.is_empty() {
        return Err(Error::combination(
            "ResetAllParameters and Parameters cannot be specified together.",
        ));
    }
    if !all && input.parameters.is_empty() {
        return Err(Error::combination(
            "Parameters must be specified when ResetAllParameters is false.",
        ));
    }
    let write = |tx: &mut WriteTx<'_>| -> Result<String> {
        let mut group = get_own(tx, &input.db_parameter_group_name)?;
        if all {
            // Static parameters wait for a restart by themselves.
            group.values.clear();
            group.held.clear();
        }
        for given in &input.parameters {
            let (name, method) = method(&group, given)?;
            group.values.remove(&name);
            hold(&mut group, &name, method);
        }
        tx.put(&PARAMETER_GROUPS, &group)?;
        Ok(group.name)
    };
    let name = ctx.store.write(write).await?;
    Ok(ResetDBParameterGroupOutput { db_parameter_group_name: Some(name) })
}
