//! Properties of templates as IAM's operations take them.

use base::Tags;
use iam_api::Tag;
use kernel::ServiceError;
use kernel::resource::{Properties, ResourceCtx};
use serde_json::Value as Json;

/// An inline policy of a template.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Inline {
    pub(super) name: String,
    pub(super) document: String,
}

fn wrong(name: &str, kind: &str) -> ServiceError {
    let text = format!("Value of property {name} must be of type {kind}");
    ServiceError::new("ValidationError", text)
}

/// A text; numbers and truth values are written as templates write them.
///
/// # Errors
///
/// For any other value.
pub(super) fn text(properties: &Properties, name: &str) -> Result<Option<String>, ServiceError> {
    match properties.get(name) {
        None | Some(Json::Null) => Ok(None),
        Some(Json::String(text)) => Ok(Some(text.clone())),
        Some(Json::Number(number)) => Ok(Some(number.to_string())),
        Some(Json::Bool(truth)) => Ok(Some(truth.to_string())),
        Some(Json::Array(_) | Json::Object(_)) => Err(wrong(name, "String")),
    }
}

/// A text that must be there.
///
/// # Errors
///
/// When it is not, or is no text.
pub(super) fn required(properties: &Properties, name: &str) -> Result<String, ServiceError> {
    text(properties, name)?.ok_or_else(|| {
        ServiceError::new("ValidationError", format!("Property {name} cannot be empty."))
    })
}

/// A whole number.
///
/// # Errors
///
/// For any other value.
pub(super) fn number(properties: &Properties, name: &str) -> Result<Option<i32>, ServiceError> {
    let found = text(properties, name)?;
    found.map(|text| text.parse().map_err(|_| wrong(name, "Integer"))).transpose()
}

/// A list of texts.
///
/// # Errors
///
/// For any other value.
pub(super) fn texts(properties: &Properties, name: &str) -> Result<Vec<String>, ServiceError> {
    let Some(found) = properties.get(name).filter(|value| !value.is_null()) else {
        return Ok(Vec::new());
    };
    let list = found.as_array().ok_or_else(|| wrong(name, "List of String"))?;
    let text = |item: &Json| item.as_str().map(str::to_owned);
    list.iter().map(|item| text(item).ok_or_else(|| wrong(name, "List of String"))).collect()
}

/// A policy document that must be there.
///
/// # Errors
///
/// When it is not, or is no object.
pub(super) fn document(properties: &Properties, name: &str) -> Result<String, ServiceError> {
    match properties.get(name) {
        Some(Json::Object(document)) => {
            serde_json::to_string(document).map_err(ServiceError::internal)
        }
        Some(Json::String(text)) => Ok(text.clone()),
        Some(_) | None => Err(wrong(name, "Json")),
    }
}

/// The inline policies in `Policies`.
///
/// # Errors
///
/// When they are not well-formed.
pub(super) fn policies(properties: &Properties) -> Result<Vec<Inline>, ServiceError> {
    let Some(found) = properties.get("Policies").filter(|value| !value.is_null()) else {
        return Ok(Vec::new());
    };
    let kind = "List of Policy";
    let list = found.as_array().ok_or_else(|| wrong("Policies", kind))?;
    list.iter()
        .map(|item| {
            let policy = item.as_object().ok_or_else(|| wrong("Policies", kind))?;
            if let Some(other) =
                policy.keys().find(|key| !["PolicyName", "PolicyDocument"].contains(&key.as_str()))
            {
                let text = format!("Encountered unsupported property {other}");
                return Err(ServiceError::new("ValidationError", text));
            }
            Ok(Inline {
                name: required(policy, "PolicyName")?,
                document: document(policy, "PolicyDocument")?,
            })
        })
        .collect()
}

/// The tags of the stack and of the resource itself, which go before.
///
/// # Errors
///
/// When they are not well-formed.
pub(super) fn tags(ctx: &ResourceCtx, properties: &Properties) -> Result<Vec<Tag>, ServiceError> {
    let mut tags: Tags = ctx.tags.clone();
    let kind = "List of Tag";
    if let Some(found) = properties.get("Tags").filter(|value| !value.is_null()) {
        for item in found.as_array().ok_or_else(|| wrong("Tags", kind))? {
            let tag = item.as_object().ok_or_else(|| wrong("Tags", kind))?;
            tags.insert(required(tag, "Key")?, text(tag, "Value")?.unwrap_or_default());
        }
    }
    Ok(tags.into_iter().map(|(key, value)| Tag { key, value }).collect())
}

/// What `old` has and `new` lacks.
pub(super) fn lost(old: &[String], new: &[String]) -> Vec<String> {
    old.iter().filter(|item| !new.contains(item)).cloned().collect()
}
