//! Reading parameters.

use kernel::filter::wildcard_matches;
use kernel::paging;
use ssm_api::{
    DescribeParametersInput, DescribeParametersOutput, GetParameterInput, GetParameterOutput,
    GetParametersByPathInput, GetParametersByPathOutput, GetParametersInput, GetParametersOutput,
    Parameter as Shown, ParameterMetadata, ParameterStringFilter, ParameterTier, ParameterType,
    ParametersFilterKey,
};

use crate::Ctx;
use crate::error::{Error, Result};
use crate::public;
use crate::sealing::value_of;
use crate::store::{PARAMETERS, Parameter, Version};

/// How many parameters a page has unless asked otherwise.
///
/// AWS: GetParametersByPath and DescribeParameters, `MaxResults`.
const PATH_PAGE: i32 = 10;
const DESCRIBE_PAGE: i32 = 50;

/// Gives a parameter: the newest version, `name:3`, or `name:label`.
///
/// AWS: GetParameter.
///
/// # Errors
///
/// [`Error::ParameterNotFound`], [`Error::ParameterVersionNotFound`].
pub(crate) async fn get_parameter(
    ctx: Ctx,
    input: GetParameterInput,
) -> Result<GetParameterOutput> {
    let open = input.with_decryption.unwrap_or(false);
    Ok(GetParameterOutput { parameter: Some(find(&ctx, &input.name, open).await?) })
}

/// Gives several parameters.
///
/// AWS: GetParameters.
pub(crate) async fn get_parameters(
    ctx: Ctx,
    input: GetParametersInput,
) -> Result<GetParametersOutput> {
    let open = input.with_decryption.unwrap_or(false);
    let mut output = GetParametersOutput::default();
    for name in &input.names {
        match find(&ctx, name, open).await {
            Ok(parameter) => output.parameters.push(parameter),
            Err(Error::ParameterNotFound | Error::ParameterVersionNotFound(..)) => {
                output.invalid_parameters.push(name.clone());
            }
            Err(error) => return Err(error),
        }
    }
    Ok(output)
}

/// Gives the parameters below a path.
///
/// AWS: GetParametersByPath.
///
/// # Errors
///
/// [`Error::Validation`] for a path that does not start with a slash, and the filters' errors.
pub(crate) async fn get_parameters_by_path(
    ctx: Ctx,
    input: GetParametersByPathInput,
) -> Result<GetParametersByPathOutput> {
    if !input.path.starts_with('/') {
        return Err(Error::Validation(
            "The parameter doesn't meet the parameter name requirements. The parameter name must \
             begin with a forward slash \"/\"."
                .to_owned(),
        ));
    }
    let stem = format!("{}/", input.path.trim_end_matches('/'));
    let recursive = input.recursive.unwrap_or(false);
    let all = ctx.store.read(|tx| tx.scan(&PARAMETERS, store::StartsWith(stem.as_str()))).await?;
    let mut below = Vec::new();
    for parameter in all {
        let rest = parameter.name.strip_prefix(&stem).unwrap_or_default();
        let deep = rest.contains('/');
        if (recursive || !deep) && passes(&parameter, &input.parameter_filters, BY_PATH_KEYS)? {
            below.push(parameter);
        }
    }
    let limit = usize::try_from(input.max_results.unwrap_or(PATH_PAGE)).unwrap_or(1);
    let page = paging::page(below, input.next_token.as_deref(), limit, |p| p.name.clone())
        .map_err(|_| Error::InvalidNextToken)?;
    let open = input.with_decryption.unwrap_or(false);
    let labelled = input.parameter_filters.iter().find(|filter| filter.key == "Label");
    let mut parameters = Vec::new();
    for parameter in &page.items {
        let version = match labelled {
            None => parameter.versions.last(),
            Some(filter) => {
                let has =
                    |version: &&Version| filter.values.iter().any(|l| version.labels.contains(l));
                parameter.versions.iter().find(has)
            }
        };
        let Some(version) = version else { continue };
        parameters.push(shown(&ctx, &parameter.name, version, None, open).await?);
    }
    Ok(GetParametersByPathOutput { parameters, next_token: page.next })
}

/// Lists parameters without their values.
///
/// AWS: DescribeParameters.
///
/// # Errors
///
/// The filters' errors and [`Error::InvalidNextToken`].
pub(crate) async fn describe_parameters(
    ctx: Ctx,
    input: DescribeParametersInput,
) -> Result<DescribeParametersOutput> {
    if input.shared == Some(true) {
        return Err(Error::Unsupported("Shared parameters are not implemented yet.".to_owned()));
    }
    let mut filters = input.parameter_filters;
    for old in input.filters {
        let key = match old.key {
            ParametersFilterKey::Name => "Name",
            ParametersFilterKey::Type => "Type",
            ParametersFilterKey::KeyId => "KeyId",
        };
        filters.push(ParameterStringFilter {
            key: key.to_owned(),
            option: Some("BeginsWith".to_owned()),
            values: old.values,
        });
    }
    let mut found = Vec::new();
    for parameter in ctx.store.read(|tx| tx.scan(&PARAMETERS, ())).await? {
        if passes(&parameter, &filters, DESCRIBE_KEYS)? {
            found.push(parameter);
        }
    }
    let limit = usize::try_from(input.max_results.unwrap_or(DESCRIBE_PAGE)).unwrap_or(1);
    let page = paging::page(found, input.next_token.as_deref(), limit, |p| p.name.clone())
        .map_err(|_| Error::InvalidNextToken)?;
    let parameters = page.items.iter().filter_map(|p| metadata(&ctx, p)).collect();
    Ok(DescribeParametersOutput { parameters, next_token: page.next })
}

/// A parameter by its name, its ARN, or with a selector.
async fn find(ctx: &Ctx, reference: &str, open: bool) -> Result<Shown> {
    let own = format!("arn:aws:ssm:{}:{}:parameter", ctx.region, ctx.account);
    let (reference, is_arn) = match reference.strip_prefix(&own) {
        Some(rest) => (rest, true),
        None => (reference, false),
    };
    let (name, selector) = match reference.split_once(':') {
        Some((name, selector)) => (name, Some(selector)),
        None => (reference, None),
    };
    if name.starts_with("/aws/service/") {
        return public::find(ctx, name).await;
    }
    let shelf = &ctx.drivers.shelf;
    let mut parameter = shelf.get(&ctx.store, name).await?;
    if parameter.is_none() && is_arn {
        parameter = shelf.get(&ctx.store, name.trim_start_matches('/')).await?;
    }
    let parameter = parameter.ok_or(Error::ParameterNotFound)?;
    let version = match selector {
        None => parameter.versions.last(),
        Some(selector) => parameter.versions.iter().find(|version| {
            version.number.to_string() == selector || version.labels.contains(selector)
        }),
    };
    let version = version.ok_or_else(|| {
        Error::ParameterVersionNotFound(
            selector.unwrap_or_default().to_owned(),
            parameter.name.clone(),
        )
    })?;
    shown(ctx, &parameter.name, version, selector, open).await
}

/// The ARN of a parameter: a name's leading slash stands for the one behind `parameter`.
pub(crate) fn arn(ctx: &Ctx, name: &str) -> String {
    ctx.arn("ssm", format!("parameter/{}", name.trim_start_matches('/'))).to_string()
}

async fn shown(
    ctx: &Ctx,
    name: &str,
    version: &Version,
    selector: Option<&str>,
    open: bool,
) -> Result<Shown> {
    Ok(Shown {
        name: Some(name.to_owned()),
        type_: version.kind.parse().ok(),
        value: Some(value_of(ctx, name, version, open).await?),
        version: Some(version.number),
        selector: selector.map(|selector| format!(":{selector}")),
        source_result: None,
        last_modified_date: Some(version.modified),
        arn: Some(arn(ctx, name)),
        data_type: Some(version.data_type.clone()),
    })
}

fn metadata(ctx: &Ctx, parameter: &Parameter) -> Option<ParameterMetadata> {
    let version = parameter.versions.last()?;
    Some(ParameterMetadata {
        name: Some(parameter.name.clone()),
        arn: Some(arn(ctx, &parameter.name)),
        type_: version.kind.parse().ok(),
        key_id: version.key.clone(),
        last_modified_date: Some(version.modified),
        last_modified_user: Some(version.modified_by.clone()),
        description: version.description.clone(),
        allowed_pattern: version.allowed_pattern.clone(),
        version: Some(version.number),
        tier: version.tier.parse().ok(),
        policies: crate::policy::shown(&version.policies),
        data_type: Some(version.data_type.clone()),
    })
}

const BY_PATH_KEYS: &[&str] = &["Type", "KeyId", "Label"];
const DESCRIBE_KEYS: &[&str] = &["Name", "Type", "KeyId", "Path", "Tier", "DataType"];

fn passes(parameter: &Parameter, filters: &[ParameterStringFilter], keys: &[&str]) -> Result<bool> {
    for filter in filters {
        let tag = filter.key.strip_prefix("tag:");
        let by_tag = tag.is_some() && keys.contains(&"Name");
        if !by_tag && !keys.contains(&filter.key.as_str()) {
            return Err(Error::InvalidFilterKey(filter.key.clone()));
        }
        check_values(filter)?;
        let found = values(parameter, &filter.key, tag);
        let option = filter.option.as_deref().unwrap_or("Equals");
        if option == "Path" || filter.key == "Path" {
            let recursive = option == "Recursive";
            if !filter.values.iter().any(|path| lies_below(&parameter.name, path, recursive)) {
                return Ok(false);
            }
            continue;
        }
        let holds: fn(&str, &str) -> bool = match option {
            "Equals" => |value, wanted| value == wanted,
            "BeginsWith" => |value, wanted| value.starts_with(wanted),
            "Contains" => |value, wanted| wildcard_matches(&format!("*{wanted}*"), value),
            other => return Err(Error::InvalidFilterOption(other.to_owned())),
        };
        let any = filter.values.is_empty() && !found.is_empty();
        if !any && !found.iter().any(|value| filter.values.iter().any(|w| holds(value, w))) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Refuses values that no parameter can have.
fn check_values(filter: &ParameterStringFilter) -> Result<()> {
    let known: fn(&str) -> bool = match filter.key.as_str() {
        "Type" => |value| value.parse::<ParameterType>().is_ok(),
        "Tier" => |value| value.parse::<ParameterTier>().is_ok(),
        _ => return Ok(()),
    };
    match filter.values.iter().find(|value| !known(value)) {
        Some(value) => Err(Error::InvalidFilterValue(format!(
            "The value {value} of the filter {} is not valid.",
            filter.key
        ))),
        None => Ok(()),
    }
}

fn lies_below(name: &str, path: &str, recursive: bool) -> bool {
    let stem = format!("{}/", path.trim_end_matches('/'));
    name.strip_prefix(&stem).is_some_and(|rest| recursive || !rest.contains('/'))
}

fn values(parameter: &Parameter, key: &str, tag: Option<&str>) -> Vec<String> {
    if let Some(tag) = tag {
        return parameter.tags.get(tag).cloned().into_iter().collect();
    }
    let Some(version) = parameter.versions.last() else { return Vec::new() };
    match key {
        "Name" => vec![parameter.name.clone()],
        "Type" => vec![version.kind.clone()],
        "Tier" => vec![version.tier.clone()],
        "DataType" => vec![version.data_type.clone()],
        "Label" => parameter.versions.iter().flat_map(|v| v.labels.iter().cloned()).collect(),
        "KeyId" => version.key.iter().cloned().collect(),
        _ => Vec::new(),
    }
}
