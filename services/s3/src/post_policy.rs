//! The policy of a form: until when it may be sent, and what its fields may be.
//!
//! AWS: "POST Policy".

use base::Timestamp;
use serde_json::Value as Json;

use crate::error::{Error, Result};
use crate::form::Form;
use crate::post::decoded;

/// A policy.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Policy {
    expiration: Timestamp,
    conditions: Vec<Condition>,
}

#[derive(Debug, Clone, PartialEq)]
enum Condition {
    Equals { field: String, value: String },
    StartsWith { field: String, value: String },
    Length { min: u64, max: u64 },
}

/// Fields that need no condition.
const FREE: [&str; 4] = ["x-amz-signature", "file", "policy", "bucket"];

fn invalid(text: &str) -> Error {
    Error::InvalidPolicyDocument(format!("Invalid Policy: {text}"))
}

fn refused(text: &str) -> Error {
    Error::AccessDenied(format!("Invalid according to Policy: {text}"))
}

impl Policy {
    /// Reads a policy from its field.
    pub(crate) fn read(text: &str) -> Result<Self> {
        let bytes = decoded(text).ok_or_else(|| invalid("Invalid Base64."))?;
        let json: Json = serde_json::from_slice(&bytes).map_err(|_| invalid("Invalid JSON."))?;
        let expiration = json.get("expiration").and_then(Json::as_str);
        let expiration =
            expiration.ok_or_else(|| invalid("Policy missing required entry: expiration"))?;
        let expiration = expiration.parse();
        let expiration = expiration.map_err(|_| invalid("Invalid 'expiration' value."))?;
        let list = json.get("conditions").and_then(Json::as_array);
        let list = list.ok_or_else(|| invalid("Policy missing required entry: conditions"))?;
        let mut conditions = Vec::new();
        for entry in list {
            conditions.extend(Condition::read(entry)?);
        }
        Ok(Self { expiration, conditions })
    }

    /// Whether the form may be sent now, as it is, to `bucket`.
    pub(crate) fn check(&self, form: &Form, bucket: &str, now: Timestamp) -> Result<()> {
        if now > self.expiration {
            return Err(refused("Policy expired."));
        }
        let size = form.file.len() as u64;
        for condition in &self.conditions {
            condition.check(form, bucket, size)?;
        }
        for (name, _) in &form.fields {
            let bound = self.conditions.iter().any(|condition| condition.is_about(name));
            if !bound && !FREE.contains(&name.as_str()) && !name.starts_with("x-ignore-") {
                return Err(refused(&format!("Extra input fields: {name}")));
            }
        }
        Ok(())
    }
}

impl Condition {
    fn read(entry: &Json) -> Result<Vec<Self>> {
        let text = |value: &Json| match value {
            Json::String(text) => Some(text.clone()),
            Json::Number(number) => Some(number.to_string()),
            Json::Null | Json::Bool(_) | Json::Array(_) | Json::Object(_) => None,
        };
        if let Some(map) = entry.as_object() {
            let pairs = map.iter().map(|(field, value)| {
                let value = text(value).ok_or_else(|| invalid("Invalid Simple-Condition"))?;
                Ok(Self::Equals { field: field.to_ascii_lowercase(), value })
            });
            return pairs.collect();
        }
        let Some([kind, first, second]) = entry.as_array().map(Vec::as_slice) else {
            return Err(invalid("Invalid Condition: expecting three elements."));
        };
        let kind = kind.as_str().unwrap_or_default().to_ascii_lowercase();
        if kind == "content-length-range" {
            let number = |value: &Json| text(value).and_then(|text| text.parse().ok());
            let (Some(min), Some(max)) = (number(first), number(second)) else {
                return Err(invalid("Invalid content-length-range."));
            };
            return Ok(vec![Self::Length { min, max }]);
        }
        let field = first.as_str().and_then(|name| name.strip_prefix('$'));
        let field = field.ok_or_else(|| invalid("Invalid Condition: field must start with $."))?;
        let field = field.to_ascii_lowercase();
        let value = text(second).ok_or_else(|| invalid("Invalid Condition value."))?;
        match kind.as_str() {
            "eq" => Ok(vec![Self::Equals { field, value }]),
            "starts-with" => Ok(vec![Self::StartsWith { field, value }]),
            other => Err(invalid(&format!("Invalid Condition: unknown operation '{other}'."))),
        }
    }

    fn is_about(&self, name: &str) -> bool {
        match self {
            Self::Equals { field, .. } | Self::StartsWith { field, .. } => field == name,
            Self::Length { .. } => false,
        }
    }

    fn check(&self, form: &Form, bucket: &str, size: u64) -> Result<()> {
        let given = |field: &str| match field {
            "bucket" => Some(bucket),
            other => form.field(other),
        };
        let failed = |kind: &str, field: &str, value: &str| {
            let text = format!("Policy Condition failed: [\"{kind}\", \"${field}\", \"{value}\"]");
            Err(refused(&text))
        };
        match self {
            Self::Equals { field, value } if given(field) != Some(value) => {
                failed("eq", field, value)
            }
            Self::StartsWith { field, value } => {
                // A list of types must start so in every element.
                let text = given(field).unwrap_or_default();
                let fits = match field.as_str() {
                    "content-type" => text.split(',').all(|part| part.starts_with(value.as_str())),
                    _ => text.starts_with(value.as_str()),
                };
                if fits { Ok(()) } else { failed("starts-with", field, value) }
            }
            Self::Length { max, .. } if size > *max => {
                Err(Error::EntityTooLarge { size, max: *max })
            }
            Self::Length { min, .. } if size < *min => Err(Error::FormTooSmall { size, min: *min }),
            Self::Equals { .. } | Self::Length { .. } => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use proptest::prelude::*;

    use super::*;

    fn policy(conditions: &str) -> Result<Policy> {
        let text =
            format!(r#"{{"expiration":"2030-01-01T00:00:00.000Z","conditions":[{conditions}]}}"#);
        Policy::read(&STANDARD.encode(text))
    }

    fn form(fields: &[(&str, &str)], size: usize) -> Form {
        Form {
            fields: fields.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect(),
            file_name: "f".to_owned(),
            file: vec![0; size].into(),
        }
    }

    #[test]
    fn conditions_bind_the_fields() {
        let now = Timestamp::from_secs(1_700_000_000);
        for (conditions, fields, size, want) in [
            (r#"{"bucket":"b"},["starts-with","$key","user/"]"#, vec![("key", "user/x")], 1, ""),
            (r#"["starts-with","$key","user/"]"#, vec![("key", "other")], 1, "AccessDenied"),
            (r#"{"bucket":"c"},["starts-with","$key",""]"#, vec![("key", "x")], 1, "AccessDenied"),
            (r#"["eq","$key","x"]"#, vec![("key", "x"), ("acl", "private")], 1, "AccessDenied"),
            (r#"{"Key":"x"}"#, vec![("key", "x"), ("x-ignore-me", "1")], 1, ""),
            (
                r#"{"key":"x"},["content-length-range",2,4]"#,
                vec![("key", "x")],
                5,
                "EntityTooLarge",
            ),
            (
                r#"{"key":"x"},["content-length-range",2,4]"#,
                vec![("key", "x")],
                1,
                "EntityTooSmall",
            ),
            (r#"{"key":"x"},["content-length-range","2","4"]"#, vec![("key", "x")], 3, ""),
        ] {
            let result = policy(conditions).unwrap().check(&form(&fields, size), "b", now);
            let code = result.err().map(|e| kernel::ServiceError::from(e).code).unwrap_or_default();
            assert_eq!(code, want, "{conditions} {fields:?}");
        }
        let late = Timestamp::from_secs(4_000_000_000);
        assert!(
            policy(r#"{"key":"x"}"#).unwrap().check(&form(&[("key", "x")], 1), "b", late).is_err()
        );
    }

    proptest! {
        #[test]
        fn no_text_panics(text in ".{0,80}", json in "[\\[\\]{}\",$a-z0-9:-]{0,60}") {
            let _ = Policy::read(&text);
            let _ = policy(&json);
        }
    }
}
