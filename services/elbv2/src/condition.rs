//! Conditions of rules: which requests a rule is for.
//!
//! AWS: "Condition types for listener rules" (Application Load Balancers).

use base::Cidr;
use elbv2_api::{
    HostHeaderConditionConfig, HttpHeaderConditionConfig, HttpRequestMethodConditionConfig,
    PathPatternConditionConfig, QueryStringConditionConfig, QueryStringKeyValuePair, RuleCondition,
    SourceIpAddressTypeEnum, SourceIpConditionConfig,
};
use proxy::{Condition, QueryPattern};

use crate::error::{Result, invalid, unsupported};
use crate::limit::{CONDITION_VALUES, CONDITION_WILDCARDS};

/// AWS: "Condition types for listener rules", the longest value.
const VALUE_MAX: usize = 128;
/// AWS: HttpHeaderConditionConfig (`HttpHeaderName`, up to 40 characters).
const HEADER_NAME_MAX: usize = 40;
/// AWS: HttpRequestMethodConditionConfig (`Values`, up to 40 characters).
const METHOD_MAX: usize = 40;

/// The conditions in a request.
pub(crate) fn from_wire(conditions: Vec<RuleCondition>) -> Result<Vec<Condition>> {
    if conditions.is_empty() {
        return Err(invalid("A condition must be specified"));
    }
    let conditions = conditions.into_iter().map(one).collect::<Result<Vec<_>>>()?;
    let (values, wildcards) =
        conditions.iter().map(size).fold((0, 0), |a, b| (a.0 + b.0, a.1 + b.1));
    if values > CONDITION_VALUES {
        return Err(invalid(format!("A rule can only have '{CONDITION_VALUES}' condition values")));
    }
    if wildcards > CONDITION_WILDCARDS {
        return Err(invalid(format!(
            "A rule can only have '{CONDITION_WILDCARDS}' condition wildcards"
        )));
    }
    for single in ["host-header", "path-pattern", "http-request-method", "source-ip"] {
        if conditions.iter().filter(|condition| field(condition) == single).count() > 1 {
            return Err(invalid(format!("A rule can only have one '{single}' condition")));
        }
    }
    Ok(conditions)
}

fn one(condition: RuleCondition) -> Result<Condition> {
    require_no_regex(&condition)?;
    require_own_members(&condition)?;
    let plain = condition.values;
    let field = condition.field.unwrap_or_default();
    let either = |config: Option<Vec<String>>| match (plain.is_empty(), config) {
        (true, Some(values)) => Ok(values),
        (false, None) => Ok(plain.clone()),
        (true, None) => Err(invalid("A condition value must be specified")),
        (false, Some(_)) => Err(invalid("A condition can have its values in one place only")),
    };
    let condition = match field.as_str() {
        "path-pattern" => Condition::PathPattern {
            values: either(condition.path_pattern_config.map(|config| config.values))?,
        },
        "host-header" => Condition::HostHeader {
            values: either(condition.host_header_config.map(|config| config.values))?,
        },
        "http-request-method" => Condition::HttpRequestMethod {
            values: either(condition.http_request_method_config.map(|config| config.values))?,
        },
        "http-header" => {
            let config = condition.http_header_config.unwrap_or_default();
            Condition::HttpHeader {
                name: config.http_header_name.unwrap_or_default(),
                values: config.values,
            }
        }
        "query-string" => {
            let pairs = condition.query_string_config.unwrap_or_default().values;
            Condition::QueryString { values: pairs.into_iter().map(pair).collect::<Result<_>>()? }
        }
        "source-ip" => {
            let config = condition.source_ip_config.unwrap_or_default();
            if config.ip_address_type == Some(SourceIpAddressTypeEnum::Ipv6) {
                return Err(unsupported("IPv6 conditions are not supported in this region"));
            }
            Condition::SourceIp { values: config.values.iter().map(block).collect::<Result<_>>()? }
        }
        other => return Err(invalid(format!("Condition field '{other}' is not valid"))),
    };
    check(&condition)?;
    Ok(condition)
}

fn require_no_regex(condition: &RuleCondition) -> Result<()> {
    let regexes = [
        &condition.regex_values,
        &condition
            .host_header_config
            .as_ref()
            .map(|it| it.regex_values.clone())
            .unwrap_or_default(),
        &condition
            .path_pattern_config
            .as_ref()
            .map(|it| it.regex_values.clone())
            .unwrap_or_default(),
        &condition
            .http_header_config
            .as_ref()
            .map(|it| it.regex_values.clone())
            .unwrap_or_default(),
    ];
    if regexes.iter().any(|values| !values.is_empty()) {
        return Err(unsupported(
            "Regular expressions in conditions are not supported in this region",
        ));
    }
    Ok(())
}

/// Refuses the configuration of another field than the condition's own.
fn require_own_members(condition: &RuleCondition) -> Result<()> {
    let field = condition.field.as_deref().unwrap_or_default();
    let given = [
        ("host-header", condition.host_header_config.is_some()),
        ("path-pattern", condition.path_pattern_config.is_some()),
        ("http-header", condition.http_header_config.is_some()),
        ("query-string", condition.query_string_config.is_some()),
        ("http-request-method", condition.http_request_method_config.is_some()),
        ("source-ip", condition.source_ip_config.is_some()),
    ];
    if given.iter().any(|(of, given)| *given && *of != field) {
        return Err(invalid(format!(
            "The condition of field '{field}' has the configuration of another field"
        )));
    }
    let plain = matches!(field, "host-header" | "path-pattern" | "http-request-method");
    if !plain && !condition.values.is_empty() {
        return Err(invalid(format!(
            "The values of field '{field}' belong into its configuration"
        )));
    }
    Ok(())
}

fn pair(pair: QueryStringKeyValuePair) -> Result<QueryPattern> {
    let value = pair.value.ok_or_else(|| invalid("A query string value must be specified"))?;
    Ok(QueryPattern { key: pair.key, value })
}

fn block(text: &String) -> Result<Cidr> {
    text.parse().map_err(|_| invalid(format!("The source IP '{text}' is not a valid CIDR block")))
}

fn check(condition: &Condition) -> Result<()> {
    let values = texts(condition);
    if values.is_empty() {
        return Err(invalid("A condition value must be specified"));
    }
    let longest = if matches!(condition, Condition::HttpRequestMethod { .. }) {
        METHOD_MAX
    } else {
        VALUE_MAX
    };
    if let Some(long) = values.iter().find(|value| value.is_empty() || value.len() > longest) {
        return Err(invalid(format!(
            "The condition value '{long}' must have between 1 and {longest} characters"
        )));
    }
    match condition {
        Condition::HttpRequestMethod { values } => {
            let fine = |b: u8| b.is_ascii_uppercase() || b == b'-' || b == b'_';
            if let Some(bad) = values.iter().find(|value| !value.bytes().all(fine)) {
                return Err(invalid(format!("The HTTP request method '{bad}' is not valid")));
            }
        }
        Condition::HttpHeader { name, .. } => {
            let fine = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
            let allowed = !name.is_empty()
                && name.len() <= HEADER_NAME_MAX
                && name.bytes().all(fine)
                && !name.eq_ignore_ascii_case("host");
            if !allowed {
                return Err(invalid(format!("The HTTP header name '{name}' is not valid")));
            }
        }
        Condition::PathPattern { .. }
        | Condition::HostHeader { .. }
        | Condition::QueryString { .. }
        | Condition::SourceIp { .. } => {}
    }
    Ok(())
}

fn texts(condition: &Condition) -> Vec<String> {
    match condition {
        Condition::PathPattern { values }
        | Condition::HostHeader { values }
        | Condition::HttpRequestMethod { values }
        | Condition::HttpHeader { values, .. } => values.clone(),
        Condition::QueryString { values } => values
            .iter()
            .map(|it| format!("{}{}", it.key.as_deref().unwrap_or(""), it.value))
            .collect(),
        Condition::SourceIp { values } => values.iter().map(ToString::to_string).collect(),
    }
}

/// How many values a condition has, and how many wildcards in them.
fn size(condition: &Condition) -> (usize, usize) {
    let values = texts(condition);
    let wildcards = match condition {
        Condition::HttpRequestMethod { .. } | Condition::SourceIp { .. } => 0,
        Condition::PathPattern { .. }
        | Condition::HostHeader { .. }
        | Condition::HttpHeader { .. }
        | Condition::QueryString { .. } => {
            values.iter().flat_map(|value| value.chars()).filter(|c| matches!(c, '*' | '?')).count()
        }
    };
    (values.len(), wildcards)
}

fn field(condition: &Condition) -> &'static str {
    match condition {
        Condition::PathPattern { .. } => "path-pattern",
        Condition::HostHeader { .. } => "host-header",
        Condition::HttpRequestMethod { .. } => "http-request-method",
        Condition::HttpHeader { .. } => "http-header",
        Condition::QueryString { .. } => "query-string",
        Condition::SourceIp { .. } => "source-ip",
    }
}

/// The condition as it is described.
pub(crate) fn to_wire(condition: &Condition) -> RuleCondition {
    let of = RuleCondition { field: Some(field(condition).to_owned()), ..Default::default() };
    match condition {
        Condition::PathPattern { values } => {
            let config =
                PathPatternConditionConfig { values: values.clone(), ..Default::default() };
            RuleCondition { values: values.clone(), path_pattern_config: Some(config), ..of }
        }
        Condition::HostHeader { values } => {
            let config = HostHeaderConditionConfig { values: values.clone(), ..Default::default() };
            RuleCondition { values: values.clone(), host_header_config: Some(config), ..of }
        }
        Condition::HttpRequestMethod { values } => {
            let config = HttpRequestMethodConditionConfig { values: values.clone() };
            RuleCondition { http_request_method_config: Some(config), ..of }
        }
        Condition::HttpHeader { name, values } => {
            let config = HttpHeaderConditionConfig {
                http_header_name: Some(name.clone()),
                values: values.clone(),
                ..Default::default()
            };
            RuleCondition { http_header_config: Some(config), ..of }
        }
        Condition::QueryString { values } => {
            let pair = |it: &QueryPattern| QueryStringKeyValuePair {
                key: it.key.clone(),
                value: Some(it.value.clone()),
            };
            let config = QueryStringConditionConfig { values: values.iter().map(pair).collect() };
            RuleCondition { query_string_config: Some(config), ..of }
        }
        Condition::SourceIp { values } => {
            let config = SourceIpConditionConfig {
                values: values.iter().map(ToString::to_string).collect(),
                ..Default::default()
            };
            RuleCondition { source_ip_config: Some(config), ..of }
        }
    }
}
