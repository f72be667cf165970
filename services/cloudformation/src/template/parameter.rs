//! A template's parameters: their declarations and the values given for them.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::constraint::Constraints;
use super::limits::PARAMETER_VALUE_BYTES_MAX;
use super::model::Template;
use super::{Result, TemplateError};

/// A parameter as the template declares it.
#[derive(Debug, Clone, PartialEq)]
pub struct Declaration {
    /// The type as written.
    pub type_name: String,
    /// What the type means.
    pub kind: Kind,
    /// The value when none is given.
    pub default: Option<String>,
    /// Whether the value is shown as asterisks.
    pub no_echo: bool,
    /// What it is for.
    pub description: Option<String>,
    /// What its values must satisfy.
    pub constraints: Constraints,
}

/// A parameter type, taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kind {
    /// Whether the value is a list, written with commas.
    pub list: bool,
    /// What the value, or each item, is.
    pub scalar: Scalar,
    /// Whether what is given is the name of an SSM parameter that holds the value.
    pub from_ssm: bool,
}

/// What a parameter's value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scalar {
    /// Any text.
    Text,
    /// A number.
    Number,
    /// The id or name of something that exists in the account, by its type name.
    Existing(&'static str),
}

/// AWS: "CloudFormation-supplied parameter types".
const EXISTING: [&str; 12] = [
    "AWS::EC2::AvailabilityZone::Name",
    "AWS::EC2::Image::Id",
    "AWS::EC2::Instance::Id",
    "AWS::EC2::KeyPair::KeyName",
    "AWS::EC2::SecurityGroup::GroupName",
    "AWS::EC2::SecurityGroup::Id",
    "AWS::EC2::Subnet::Id",
    "AWS::EC2::VPC::Id",
    "AWS::EC2::Volume::Id",
    "AWS::Route53::HostedZone::Id",
    "AWS::SSM::Parameter::Name",
    "String",
];

impl Kind {
    /// The kind called `name`, if there is one.
    pub fn parse(name: &str) -> Option<Self> {
        let inner = |prefix: &str| name.strip_prefix(prefix).and_then(|n| n.strip_suffix('>'));
        if let Some(inner) = inner("AWS::SSM::Parameter::Value<") {
            let held = Self::parse(inner).filter(|held| !held.from_ssm)?;
            let allowed = held.scalar != Scalar::Number;
            return allowed.then_some(Self { from_ssm: true, ..held });
        }
        if name == "CommaDelimitedList" {
            return Some(Self { list: true, scalar: Scalar::Text, from_ssm: false });
        }
        let (list, name) = inner("List<").map_or((false, name), |item| (true, item));
        let scalar = match name {
            "String" => Scalar::Text,
            "Number" => Scalar::Number,
            other => Scalar::Existing(EXISTING.iter().find(|known| **known == other)?),
        };
        Some(Self { list, scalar, from_ssm: false })
    }

    /// The value of `text`: itself, or the items between its commas.
    pub fn value(self, text: &str) -> Value {
        if self.list { Value::from(self.items(text)) } else { Value::from(text) }
    }

    /// The items of `text`: those between its commas, or all of it.
    pub fn items(self, text: &str) -> Vec<&str> {
        if self.list { text.split(',').map(str::trim).collect() } else { vec![text] }
    }
}

const MEMBERS: [&str; 11] = [
    "Type",
    "Default",
    "NoEcho",
    "AllowedValues",
    "AllowedPattern",
    "MaxLength",
    "MinLength",
    "MaxValue",
    "MinValue",
    "Description",
    "ConstraintDescription",
];

impl Declaration {
    pub(super) fn read(name: &str, body: &Value) -> Result<Self> {
        let members = body
            .as_object()
            .ok_or_else(|| TemplateError::format("Any Parameters member must be an object."))?;
        if let Some(unknown) = members.keys().find(|key| !MEMBERS.contains(&key.as_str())) {
            return Err(TemplateError::UnknownParameterMember(unknown.clone()));
        }
        let type_name = members.get("Type").and_then(Value::as_str).ok_or_else(|| {
            TemplateError::format("Every Parameters object must contain a Type member.")
        })?;
        let kind = Kind::parse(type_name).ok_or_else(|| {
            TemplateError::format(format!("Unrecognized parameter type: {type_name}"))
        })?;
        let declaration = Self {
            type_name: type_name.to_owned(),
            kind,
            default: default(members)?,
            no_echo: members.get("NoEcho").is_some_and(is_true),
            description: members.get("Description").and_then(Value::as_str).map(str::to_owned),
            constraints: Constraints::read(name, kind, members)?,
        };
        if let Some(default) = &declaration.default {
            declaration
                .check(name, default)
                .map_err(|fault| TemplateError::Format(fault.to_string()))?;
        }
        Ok(declaration)
    }

    /// Whether `text` may be this parameter's value. For a parameter from SSM, the constraints
    /// are on the name that is given.
    fn check(&self, name: &str, text: &str) -> Result<()> {
        if text.len() > PARAMETER_VALUE_BYTES_MAX {
            return Err(TemplateError::Parameter(format!(
                "Parameter '{name}' must contain at most {PARAMETER_VALUE_BYTES_MAX} bytes"
            )));
        }
        self.kind
            .items(text)
            .into_iter()
            .try_for_each(|item| self.constraints.check(name, self.kind, item))
    }
}

fn default(members: &Map<String, Value>) -> Result<Option<String>> {
    match members.get("Default") {
        None => Ok(None),
        Some(value) => scalar_text(value)
            .map(Some)
            .ok_or_else(|| TemplateError::format("Every Default member must be a string.")),
    }
}

fn is_true(value: &Value) -> bool {
    scalar_text(value).is_some_and(|text| text.eq_ignore_ascii_case("true"))
}

/// A string, number or boolean as text.
pub(crate) fn scalar_text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// A value given for a parameter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Supplied {
    /// This text.
    Value(String),
    /// What the stack has now.
    Previous,
}

/// The parameters of one operation: every declared parameter has a value that fits.
#[derive(Debug, Clone, PartialEq)]
pub struct Inputs {
    /// What was given, or the default, by parameter.
    pub given: BTreeMap<String, String>,
    /// What `Ref` answers, by parameter. Those from SSM are missing until [`Inputs::resolve`].
    pub values: BTreeMap<String, Value>,
}

impl Inputs {
    /// Gives each parameter of `template` its value; `previous` is what the stack has now.
    ///
    /// # Errors
    ///
    /// Parameters without a value, values without a parameter, and values that break the
    /// declaration.
    pub fn new(
        template: &Template,
        supplied: &BTreeMap<String, Supplied>,
        previous: &BTreeMap<String, String>,
    ) -> Result<Self> {
        let unknown: Vec<String> = supplied
            .keys()
            .filter(|name| !template.parameters.contains_key(*name))
            .cloned()
            .collect();
        if !unknown.is_empty() {
            return Err(TemplateError::ParametersUnknown(unknown));
        }
        let mut missing = Vec::new();
        let mut inputs = Self { given: BTreeMap::new(), values: BTreeMap::new() };
        for (name, declaration) in &template.parameters {
            let text = match supplied.get(name) {
                Some(Supplied::Value(text)) => Some(text.as_str()),
                Some(Supplied::Previous) => previous.get(name).map(String::as_str),
                None => declaration.default.as_deref(),
            };
            let Some(text) = text else {
                missing.push(name.clone());
                continue;
            };
            declaration.check(name, text)?;
            inputs.given.insert(name.clone(), text.to_owned());
            if !declaration.kind.from_ssm {
                inputs.values.insert(name.clone(), declaration.kind.value(text));
            }
        }
        if !missing.is_empty() {
            return Err(TemplateError::ParametersMissing(missing));
        }
        Ok(inputs)
    }

    /// The SSM parameters whose values are still needed, by template parameter.
    pub fn unresolved(&self) -> BTreeMap<&str, &str> {
        let missing = |name: &&String| !self.values.contains_key(*name);
        let names: BTreeSet<&String> = self.given.keys().filter(missing).collect();
        self.given
            .iter()
            .filter(|(name, _)| names.contains(name))
            .map(|(name, text)| (name.as_str(), text.as_str()))
            .collect()
    }

    /// Sets the value of a parameter from SSM to the text that the store holds.
    pub fn resolve(&mut self, template: &Template, name: &str, held: &str) {
        if let Some(declaration) = template.parameters.get(name) {
            self.values.insert(name.to_owned(), declaration.kind.value(held));
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::parse;
    use super::*;

    fn template(parameters: &str) -> Result<Template> {
        Template::read(&parse(&format!("Resources: {{A: {{Type: T}}}}\nParameters: {parameters}"))?)
    }

    fn inputs(parameters: &str, given: &[(&str, &str)]) -> Result<Inputs> {
        let supplied = given
            .iter()
            .map(|(name, text)| ((*name).to_owned(), Supplied::Value((*text).to_owned())))
            .collect();
        Inputs::new(&template(parameters)?, &supplied, &BTreeMap::new())
    }

    #[test]
    fn kinds_are_taken_apart() {
        let cases = [
            ("String", Some((false, Scalar::Text, false))),
            ("List<Number>", Some((true, Scalar::Number, false))),
            ("CommaDelimitedList", Some((true, Scalar::Text, false))),
            (
                "List<AWS::EC2::Subnet::Id>",
                Some((true, Scalar::Existing("AWS::EC2::Subnet::Id"), false)),
            ),
            (
                "AWS::SSM::Parameter::Value<AWS::EC2::Image::Id>",
                Some((false, Scalar::Existing("AWS::EC2::Image::Id"), true)),
            ),
            ("AWS::SSM::Parameter::Value<List<String>>", Some((true, Scalar::Text, true))),
            ("AWS::SSM::Parameter::Value<CommaDelimitedList>", Some((true, Scalar::Text, true))),
            ("AWS::SSM::Parameter::Value<Number>", None),
            ("List<List<String>>", None),
            ("Boolean", None),
        ];
        for (name, expected) in cases {
            let found = Kind::parse(name).map(|k| (k.list, k.scalar, k.from_ssm));
            assert_eq!(found, expected, "{name}");
        }
    }

    #[test]
    fn values_fit_their_declarations() {
        let found = inputs(
            "{S: {Type: String, Default: 1}, L: {Type: CommaDelimitedList}, N: {Type: Number, MinValue: 1}}",
            &[("L", "a, b,c"), ("N", "2")],
        )
        .unwrap();
        assert_eq!(found.values["S"], "1");
        assert_eq!(found.values["L"], json!(["a", "b", "c"]));
        assert_eq!(found.values["N"], "2");
    }

    #[test]
    fn values_that_do_not_fit_are_refused_in_aws_words() {
        type Case = (&'static str, &'static [(&'static str, &'static str)], &'static str);
        let cases: [Case; 11] = [
            ("{P: {Type: String}, Q: {Type: String}}", &[], "Parameters: [P, Q] must have values"),
            (
                "{P: {Type: String}}",
                &[("X", "1"), ("P", "")],
                "Parameters: [X] do not exist in the template",
            ),
            (
                "{P: {Type: String, AllowedValues: [a, b]}}",
                &[("P", "c")],
                "Parameter 'P' must be one of AllowedValues",
            ),
            (
                "{P: {Type: String, AllowedPattern: '[a-z]+'}}",
                &[("P", "a1")],
                "Parameter 'P' must match pattern [a-z]+",
            ),
            (
                "{P: {Type: String, AllowedPattern: '[a-z]+', ConstraintDescription: small letters}}",
                &[("P", "A")],
                "Parameter 'P' failed to satisfy constraint: small letters",
            ),
            (
                "{P: {Type: String, MinLength: 3}}",
                &[("P", "ab")],
                "Parameter 'P' must contain at least 3 characters",
            ),
            (
                "{P: {Type: String, MaxLength: '3'}}",
                &[("P", "abcd")],
                "Parameter 'P' must contain at most 3 characters",
            ),
            ("{P: {Type: Number}}", &[("P", "x")], "Parameter 'P' must be a number"),
            (
                "{P: {Type: Number, MinValue: 2}}",
                &[("P", "1")],
                "Parameter 'P' must be a number not less than 2",
            ),
            (
                "{P: {Type: Number, MaxValue: 2}}",
                &[("P", "2.5")],
                "Parameter 'P' must be a number not greater than 2",
            ),
            ("{P: {Type: 'List<Number>'}}", &[("P", "1,b")], "Parameter 'P' must be a number"),
        ];
        for (parameters, given, expected) in cases {
            assert_eq!(
                inputs(parameters, given).unwrap_err().to_string(),
                expected,
                "{parameters}"
            );
        }
    }

    #[test]
    fn declarations_are_checked() {
        let cases = [
            ("{P: {Type: Strin}}", "Template format error: Unrecognized parameter type: Strin"),
            (
                "{P: {Default: x}}",
                "Template format error: Every Parameters object must contain a Type member.",
            ),
            ("{P: {Type: String, Defualt: x}}", "Invalid template parameter property 'Defualt'"),
            (
                "{P: {Type: String, Default: [x]}}",
                "Template format error: Every Default member must be a string.",
            ),
            (
                "{P: {Type: Number, Default: x}}",
                "Template format error: Parameter 'P' must be a number",
            ),
            (
                "{P: {Type: String, AllowedPattern: '['}}",
                "Template format error: Parameter 'P' has an AllowedPattern that is not a regular expression: [",
            ),
        ];
        for (parameters, expected) in cases {
            assert_eq!(template(parameters).unwrap_err().to_string(), expected, "{parameters}");
        }
    }

    #[test]
    fn previous_and_ssm_values_come_later() {
        let template = template("{A: {Type: 'AWS::SSM::Parameter::Value<List<String>>', Default: /x}, B: {Type: String}}").unwrap();
        let supplied = BTreeMap::from([("B".to_owned(), Supplied::Previous)]);
        let previous = BTreeMap::from([("B".to_owned(), "old".to_owned())]);
        let mut inputs = Inputs::new(&template, &supplied, &previous).unwrap();
        assert_eq!(inputs.values["B"], "old");
        assert_eq!(inputs.unresolved(), BTreeMap::from([("A", "/x")]));
        inputs.resolve(&template, "A", "1,2");
        assert_eq!(inputs.values["A"], json!(["1", "2"]));
        assert!(inputs.unresolved().is_empty());
    }
}
