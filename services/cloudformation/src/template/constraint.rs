//! What a parameter's values must satisfy.

use regex::Regex;
use serde_json::{Map, Value};

use super::parameter::{Kind, Scalar, scalar_text};
use super::{Result, TemplateError};

/// The constraints of one parameter.
///
/// AWS: "CloudFormation template Parameters syntax", Properties.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Constraints {
    /// The values it may have, where they are listed.
    pub allowed_values: Vec<String>,
    /// The expression that the whole value must match.
    pub allowed_pattern: Option<String>,
    /// What to say instead when a constraint is broken.
    pub description: Option<String>,
    length_min: Option<f64>,
    length_max: Option<f64>,
    value_min: Option<f64>,
    value_max: Option<f64>,
}

impl Constraints {
    pub(super) fn read(name: &str, kind: Kind, members: &Map<String, Value>) -> Result<Self> {
        let allowed_values = match members.get("AllowedValues") {
            None => Vec::new(),
            Some(Value::Array(values)) => values.iter().filter_map(scalar_text).collect(),
            Some(_) => {
                return Err(TemplateError::format("Every AllowedValues value must be a list."));
            }
        };
        let allowed_pattern = members.get("AllowedPattern").and_then(scalar_text);
        if let Some(pattern) = &allowed_pattern {
            expression(pattern).ok_or_else(|| {
                TemplateError::format(format!(
                    "Parameter '{name}' has an AllowedPattern that is not a regular expression: {pattern}"
                ))
            })?;
        }
        let bound = |member: &str| -> Result<Option<f64>> {
            let Some(value) = members.get(member) else {
                return Ok(None);
            };
            let number = scalar_text(value).and_then(|text| text.parse().ok());
            number.map(Some).ok_or_else(|| {
                TemplateError::format(format!("Every {member} member must be a number."))
            })
        };
        let numeric = kind.scalar == Scalar::Number;
        for member in ["MinValue", "MaxValue"] {
            if members.contains_key(member) && !numeric {
                return Err(TemplateError::format(format!(
                    "Parameter '{name}' must be of type Number to have {member}"
                )));
            }
        }
        Ok(Self {
            allowed_values,
            allowed_pattern,
            description: members.get("ConstraintDescription").and_then(scalar_text),
            length_min: bound("MinLength")?,
            length_max: bound("MaxLength")?,
            value_min: bound("MinValue")?,
            value_max: bound("MaxValue")?,
        })
    }

    /// Whether `item` satisfies all of them.
    pub(super) fn check(&self, name: &str, kind: Kind, item: &str) -> Result<()> {
        match self.broken(name, kind, item) {
            None => Ok(()),
            Some(text) => Err(TemplateError::Parameter(match &self.description {
                Some(description) => {
                    format!("Parameter '{name}' failed to satisfy constraint: {description}")
                }
                None => text,
            })),
        }
    }

    fn broken(&self, name: &str, kind: Kind, item: &str) -> Option<String> {
        let say = |text: String| Some(format!("Parameter '{name}' {text}"));
        if kind.scalar == Scalar::Number && !kind.from_ssm {
            let Ok(number) = item.trim().parse::<f64>() else {
                return say("must be a number".to_owned());
            };
            if let Some(min) = self.value_min.filter(|min| number < *min) {
                return say(format!("must be a number not less than {min}"));
            }
            if let Some(max) = self.value_max.filter(|max| number > *max) {
                return say(format!("must be a number not greater than {max}"));
            }
        }
        if !self.allowed_values.is_empty() && !self.allowed_values.iter().any(|v| v == item) {
            return say("must be one of AllowedValues".to_owned());
        }
        let length = f64::from(u32::try_from(item.chars().count()).unwrap_or(u32::MAX));
        if let Some(min) = self.length_min.filter(|min| length < *min) {
            return say(format!("must contain at least {min} characters"));
        }
        if let Some(max) = self.length_max.filter(|max| length > *max) {
            return say(format!("must contain at most {max} characters"));
        }
        let pattern = self.allowed_pattern.as_deref()?;
        if expression(pattern).is_some_and(|expression| expression.is_match(item)) {
            return None;
        }
        say(format!("must match pattern {pattern}"))
    }
}

/// The expression that matches `pattern` from a value's first character to its last.
fn expression(pattern: &str) -> Option<Regex> {
    Regex::new(&format!("^(?:{pattern})$")).ok()
}
