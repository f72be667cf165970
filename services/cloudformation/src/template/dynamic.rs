//! Dynamic references: values that stay in SSM or Secrets Manager until they are used.
//!
//! AWS: "Get values stored in other services using dynamic references".

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{Result, TemplateError};

/// The most references in a template.
const REFERENCES_MAX: usize = 60;

/// One `{{resolve:…}}`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum DynamicReference {
    /// A parameter of the Systems Manager Parameter Store.
    Ssm {
        /// Its name.
        name: String,
        /// Its version; the newest when there is none.
        version: Option<u64>,
        /// Whether it is a secure string.
        secure: bool,
    },
    /// A secret, or a member of one.
    Secret {
        /// Its name or ARN.
        id: String,
        /// The member of the JSON in it; the whole text when there is none.
        key: Option<String>,
        /// The version's stage.
        stage: Option<String>,
        /// The version's id.
        version: Option<String>,
    },
}

/// The references in `value`, each once.
///
/// # Errors
///
/// One that is malformed, or more than AWS allows.
pub fn find(value: &Value) -> Result<BTreeSet<DynamicReference>> {
    let mut found = BTreeSet::new();
    collect(value, &mut found)?;
    if found.len() > REFERENCES_MAX {
        return Err(TemplateError::Dynamic(format!(
            "The template contains more than {REFERENCES_MAX} dynamic references"
        )));
    }
    Ok(found)
}

fn collect(value: &Value, found: &mut BTreeSet<DynamicReference>) -> Result<()> {
    match value {
        Value::String(text) => {
            for (_, reference) in occurrences(text)? {
                found.insert(reference);
            }
            Ok(())
        }
        Value::Array(items) => items.iter().try_for_each(|item| collect(item, found)),
        Value::Object(members) => members.values().try_for_each(|item| collect(item, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) => Ok(()),
    }
}

/// Puts the values of the references into `value`; those that `values` lacks stay.
///
/// # Errors
///
/// A reference is malformed.
pub fn substitute(value: &mut Value, values: &BTreeMap<DynamicReference, String>) -> Result<()> {
    match value {
        Value::String(text) => {
            let mut replaced = text.clone();
            for (whole, reference) in occurrences(text)? {
                if let Some(found) = values.get(&reference) {
                    replaced = replaced.replace(whole, found);
                }
            }
            *text = replaced;
            Ok(())
        }
        Value::Array(items) => items.iter_mut().try_for_each(|item| substitute(item, values)),
        Value::Object(members) => {
            members.values_mut().try_for_each(|item| substitute(item, values))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => Ok(()),
    }
}

fn occurrences(text: &str) -> Result<Vec<(&str, DynamicReference)>> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some(start) = rest.find("{{resolve:") {
        let here = rest.get(start..).unwrap_or_default();
        let Some(end) = here.find("}}") else {
            break;
        };
        let whole = here.get(..end + 2).unwrap_or_default();
        let inside = here.get("{{resolve:".len()..end).unwrap_or_default();
        found.push((whole, parse(inside)?));
        rest = here.get(end + 2..).unwrap_or_default();
    }
    Ok(found)
}

fn parse(inside: &str) -> Result<DynamicReference> {
    let malformed = |why: &str| {
        TemplateError::Dynamic(format!(
            "Incorrect format is used in the following dynamic reference: {{{{resolve:{inside}}}}}{why}"
        ))
    };
    let (service, key) = inside.split_once(':').ok_or_else(|| malformed(""))?;
    match service {
        "ssm" | "ssm-secure" => {
            // The name of a shared parameter is an ARN, so only a trailing number is a version.
            let versioned = key
                .rsplit_once(':')
                .and_then(|(name, version)| version.parse().ok().map(|version| (name, version)));
            let (name, version) = match versioned {
                Some((name, version)) => (name, Some(version)),
                None => (key, None),
            };
            let plain = |b: u8| b.is_ascii_alphanumeric() || b"_.-/:".contains(&b);
            if name.is_empty() || !name.bytes().all(plain) {
                return Err(malformed(""));
            }
            let secure = service == "ssm-secure";
            Ok(DynamicReference::Ssm { name: name.to_owned(), version, secure })
        }
        "secretsmanager" => secret(key).ok_or_else(|| malformed("")),
        _ => Err(malformed(": the service must be ssm, ssm-secure or secretsmanager")),
    }
}

fn secret(text: &str) -> Option<DynamicReference> {
    // An ARN has seven parts of its own before the reference's.
    let parts: Vec<&str> = text.split(':').collect();
    let own = if text.starts_with("arn:") { 7 } else { 1 };
    let id = parts.get(..own)?.join(":");
    let mut rest = parts.get(own..)?.iter().copied();
    let kind = rest.next();
    if id.is_empty() || !matches!(kind, None | Some("" | "SecretString")) {
        return None;
    }
    let mut next = || rest.next().filter(|part| !part.is_empty()).map(str::to_owned);
    let (key, stage, version) = (next(), next(), next());
    if rest.next().is_some() || (stage.is_some() && version.is_some()) {
        return None;
    }
    Some(DynamicReference::Secret { id, key, stage, version })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn secret(id: &str, key: Option<&str>, stage: Option<&str>) -> DynamicReference {
        let own = |text: &str| text.to_owned();
        DynamicReference::Secret {
            id: own(id),
            key: key.map(own),
            stage: stage.map(own),
            version: None,
        }
    }

    fn ssm(name: &str, version: Option<u64>, secure: bool) -> DynamicReference {
        DynamicReference::Ssm { name: name.to_owned(), version, secure }
    }

    #[test]
    fn references_are_taken_apart() {
        let arn = "arn:aws:secretsmanager:r:123456789012:secret:db-AbCdEf";
        let cases = [
            ("ssm:/a/b:3".to_owned(), Some(ssm("/a/b", Some(3), false))),
            ("ssm:name".to_owned(), Some(ssm("name", None, false))),
            ("ssm-secure:p:1".to_owned(), Some(ssm("p", Some(1), true))),
            ("secretsmanager:db".to_owned(), Some(secret("db", None, None))),
            (
                "secretsmanager:db:SecretString:password".to_owned(),
                Some(secret("db", Some("password"), None)),
            ),
            (
                "secretsmanager:db:SecretString:p:AWSCURRENT".to_owned(),
                Some(secret("db", Some("p"), Some("AWSCURRENT"))),
            ),
            ("secretsmanager:db:SecretString:::".to_owned(), Some(secret("db", None, None))),
            (format!("secretsmanager:{arn}:SecretString:u"), Some(secret(arn, Some("u"), None))),
            ("secretsmanager:db:SecretBinary:p".to_owned(), None),
            ("secretsmanager:db:SecretString:p:s:v".to_owned(), None),
            ("vault:x".to_owned(), None),
            ("ssm".to_owned(), None),
        ];
        for (text, expected) in cases {
            assert_eq!(parse(&text).ok(), expected, "{text}");
        }
    }

    #[test]
    fn values_are_put_in_place() {
        let mut value =
            json!({"a": ["x{{resolve:ssm:n}}y{{resolve:ssm:n:2}}", 1], "b": "{{other}}"});
        let found = find(&value).unwrap();
        assert_eq!(found, BTreeSet::from([ssm("n", None, false), ssm("n", Some(2), false)]));
        let values = BTreeMap::from([
            (ssm("n", None, false), "1".to_owned()),
            (ssm("n", Some(2), false), "2".to_owned()),
        ]);
        substitute(&mut value, &values).unwrap();
        assert_eq!(value, json!({"a": ["x1y2", 1], "b": "{{other}}"}));
    }
}
