//! The model's constraints on inputs, with AWS's own messages: for every service at once.

use std::fmt::Write as _;

use serde_json::Number;

use crate::error::ServiceError;
use crate::schema::{
    Kind, MemberSchema, OperationSchema, Protocol, ServiceSchema, ShapeRef, ShapeSchema,
    TimestampFormat,
};
use crate::text;
use crate::value::{Fields, Value};

/// How many violations a message tells; AWS's messages are bounded likewise.
const VIOLATIONS_MAX: usize = 10;

/// How many values of an enumeration a message tells: EC2 has more than a thousand instance types.
const SHOWN_MAX: usize = 64;

/// A constraint that a value breaks.
enum Violation {
    /// A required member is absent.
    Missing {
        /// The members that lead to it.
        path: Path,
    },
    /// A value is out of its shape's bounds.
    Unfit {
        /// The members that lead to it.
        path: Path,
        /// The value as text, masked if sensitive.
        value: String,
        /// What AWS says a member must.
        must: String,
    },
}

/// Names that lead to a member, as the request spells them.
#[derive(Clone, Default)]
struct Path(Vec<Step>);

#[derive(Clone)]
enum Step {
    Member(&'static str),
    Item(usize),
    Entry(String),
}

impl Path {
    fn with(&self, step: Step) -> Self {
        let mut steps = self.0.clone();
        steps.push(step);
        Self(steps)
    }

    /// `tags.1.member.key`: how validation messages spell a path.
    fn coral(&self) -> String {
        let mut out = String::new();
        for step in &self.0 {
            if !out.is_empty() {
                out.push('.');
            }
            match step {
                Step::Member(name) => out.push_str(&lower_first(name)),
                Step::Item(at) => {
                    // Writing to a string does not fail.
                    let _ = write!(out, "{}.member", at + 1);
                }
                Step::Entry(key) => {
                    let _ = write!(out, "{key}.member");
                }
            }
        }
        out
    }

    /// `Tag.1.Key`: how parameters are spelled.
    fn dotted(&self) -> String {
        let steps = self.0.iter().map(|step| match step {
            Step::Member(name) => (*name).to_owned(),
            Step::Item(at) => (at + 1).to_string(),
            Step::Entry(key) => key.clone(),
        });
        steps.collect::<Vec<_>>().join(".")
    }
}

fn lower_first(name: &str) -> String {
    let mut chars = name.chars();
    chars.next().into_iter().flat_map(char::to_lowercase).chain(chars).collect()
}

/// Checks an input against the model: required members, lengths, ranges, patterns, enumerations.
///
/// # Errors
///
/// AWS's error of the service's family, for the first violation or all of them, as it does.
pub fn validate_input(
    service: &ServiceSchema,
    operation: &OperationSchema,
    input: &Value,
) -> Result<(), ServiceError> {
    // Calls from inside have no protocol; the wording follows the service's first.
    let protocol = service.protocols.first().copied().unwrap_or(Protocol::AwsJson11);
    let (Some(shape), Value::Struct(fields)) = (operation.input, input) else { return Ok(()) };
    let mut checker =
        Checker { service, is_ec2: protocol == Protocol::Ec2Query, found: Vec::new() };
    checker.structure(shape, fields, &Path::default());
    if checker.found.is_empty() {
        return Ok(());
    }
    Err(refusal(service, protocol, &checker.found))
}

struct Checker<'a> {
    service: &'a ServiceSchema,
    is_ec2: bool,
    found: Vec<Violation>,
}

impl Checker<'_> {
    fn structure(&mut self, shape: ShapeRef, fields: &Fields, path: &Path) {
        for member in self.service.members(shape) {
            let path = path.with(Step::Member(self.spelled(member)));
            match fields.get(member.name) {
                Some(value) => self.value(member, value, &path),
                None if member.required => self.push(Violation::Missing { path }),
                None => {}
            }
        }
    }

    /// EC2 spells members as its requests do, the others as their models do.
    fn spelled(&self, member: &MemberSchema) -> &'static str {
        let query = member.query_name.filter(|_| self.is_ec2);
        let location = member.location_name.filter(|_| self.is_ec2);
        query.or(location).unwrap_or(member.name)
    }

    fn push(&mut self, violation: Violation) {
        if self.found.len() < VIOLATIONS_MAX {
            self.found.push(violation);
        }
    }

    fn value(&mut self, member: &MemberSchema, value: &Value, path: &Path) {
        let schema = self.service.shape(member.target);
        match (value, &schema.kind) {
            (Value::Struct(fields), _) => self.structure(member.target, fields, path),
            (Value::List(items), Kind::List(item)) => {
                self.length(schema, items.len(), value, path);
                for (at, value) in items.iter().enumerate() {
                    self.value(item, value, &path.with(Step::Item(at)));
                }
            }
            (Value::Map(entries), Kind::Map(pair)) => {
                self.length(schema, entries.len(), value, path);
                for (key, value) in entries {
                    let path = path.with(Step::Entry(key.clone()));
                    self.value(&pair.0, &Value::Text(key.clone()), &path);
                    self.value(&pair.1, value, &path);
                }
            }
            (Value::Text(text), _) => self.text(schema, text, value, path),
            (Value::Blob(bytes), _) => self.length(schema, bytes.len(), value, path),
            (Value::Int(number), _) => {
                let below =
                    schema.min.as_ref().and_then(Number::as_i64).is_some_and(|m| *number < m);
                let above =
                    schema.max.as_ref().and_then(Number::as_i64).is_some_and(|m| *number > m);
                self.range(schema, below, above, value, path);
            }
            (Value::Float(number), _) => {
                let below =
                    schema.min.as_ref().and_then(Number::as_f64).is_some_and(|m| *number < m);
                let above =
                    schema.max.as_ref().and_then(Number::as_f64).is_some_and(|m| *number > m);
                self.range(schema, below, above, value, path);
            }
            (
                Value::Bool(_)
                | Value::Time(_)
                | Value::List(_)
                | Value::Map(_)
                | Value::Document(_)
                | Value::Stream(_),
                _,
            ) => {}
        }
    }

    fn text(&mut self, schema: &ShapeSchema, text: &str, value: &Value, path: &Path) {
        if !schema.values.is_empty() && !schema.values.contains(&text) {
            let must = if schema.values.len() > SHOWN_MAX {
                "satisfy enum value set".to_owned()
            } else {
                format!("satisfy enum value set: [{}]", schema.values.join(", "))
            };
            self.unfit(schema, value, must, path);
            return;
        }
        self.length(schema, text.chars().count(), value, path);
        if let Some(pattern) = &schema.pattern
            && pattern.regex().is_some_and(|regex| !regex.is_match(text))
        {
            let must = format!("satisfy regular expression pattern: {}", pattern.text);
            self.unfit(schema, value, must, path);
        }
    }

    fn length(&mut self, schema: &ShapeSchema, length: usize, value: &Value, path: &Path) {
        let bound = |bound: &Option<Number>| bound.as_ref().and_then(Number::as_u64);
        let length = u64::try_from(length).unwrap_or(u64::MAX);
        if let Some(min) = bound(&schema.min).filter(|min| length < *min) {
            let must = format!("have length greater than or equal to {min}");
            self.unfit(schema, value, must, path);
        }
        if let Some(max) = bound(&schema.max).filter(|max| length > *max) {
            let must = format!("have length less than or equal to {max}");
            self.unfit(schema, value, must, path);
        }
    }

    fn range(
        &mut self,
        schema: &ShapeSchema,
        below: bool,
        above: bool,
        value: &Value,
        path: &Path,
    ) {
        if let Some(min) = schema.min.as_ref().filter(|_| below) {
            let must = format!("have value greater than or equal to {min}");
            self.unfit(schema, value, must, path);
        }
        if let Some(max) = schema.max.as_ref().filter(|_| above) {
            let must = format!("have value less than or equal to {max}");
            self.unfit(schema, value, must, path);
        }
    }

    fn unfit(&mut self, schema: &ShapeSchema, value: &Value, must: String, path: &Path) {
        let value = if schema.sensitive { "***".to_owned() } else { shown(value) };
        self.push(Violation::Unfit { path: path.clone(), value, must });
    }
}

/// A value as messages show it.
fn shown(value: &Value) -> String {
    match value {
        Value::List(items) => {
            format!("[{}]", items.iter().map(shown).collect::<Vec<_>>().join(", "))
        }
        Value::Map(entries) => {
            let entries = entries.iter().map(|(key, value)| format!("{key}={}", shown(value)));
            format!("{{{}}}", entries.collect::<Vec<_>>().join(", "))
        }
        Value::Struct(fields) => {
            let fields = fields.iter().map(|(name, value)| format!("{name}={}", shown(value)));
            format!("{{{}}}", fields.collect::<Vec<_>>().join(", "))
        }
        Value::Blob(bytes) => format!("({} bytes)", bytes.len()),
        Value::Bool(_)
        | Value::Int(_)
        | Value::Float(_)
        | Value::Text(_)
        | Value::Time(_)
        | Value::Document(_)
        | Value::Stream(_) => text::print(value, TimestampFormat::Iso8601),
    }
}

fn refusal(service: &ServiceSchema, protocol: Protocol, found: &[Violation]) -> ServiceError {
    match (protocol, found.first()) {
        (Protocol::Ec2Query, Some(first)) => match first {
            Violation::Missing { path } => ServiceError::new(
                "MissingParameter",
                format!("The request must contain the parameter {}", path.dotted()),
            ),
            Violation::Unfit { path, value, must } => ServiceError::new(
                "InvalidParameterValue",
                format!(
                    "Value ({value}) for parameter {} is invalid. Member must {must}",
                    path.dotted()
                ),
            ),
        },
        (Protocol::RestXml, Some(first)) if service.name == "s3" => match first {
            Violation::Missing { path } => ServiceError::new(
                "InvalidRequest",
                format!("Missing required parameter: {}", path.dotted()),
            ),
            Violation::Unfit { path, value, must } => {
                let message = format!("{}: member must {must}", path.dotted());
                ServiceError::new("InvalidArgument", message)
                    .field("ArgumentName", Value::Text(path.dotted()))
                    .field("ArgumentValue", Value::Text(value.clone()))
            }
        },
        _ => coral(protocol, found),
    }
}

/// The message that all services but EC2 and S3 share.
fn coral(protocol: Protocol, found: &[Violation]) -> ServiceError {
    let details = found.iter().map(|violation| match violation {
        Violation::Missing { path } => format!(
            "Value null at '{}' failed to satisfy constraint: Member must not be null",
            path.coral()
        ),
        Violation::Unfit { path, value, must } => format!(
            "Value '{value}' at '{}' failed to satisfy constraint: Member must {must}",
            path.coral()
        ),
    });
    let details = details.collect::<Vec<_>>().join("; ");
    let errors = if found.len() == 1 { "error" } else { "errors" };
    let message = format!("{} validation {errors} detected: {details}", found.len());
    let code = match protocol {
        Protocol::AwsQuery => "ValidationError",
        Protocol::Ec2Query
        | Protocol::AwsJson10
        | Protocol::AwsJson11
        | Protocol::RestJson1
        | Protocol::RestXml
        | Protocol::RpcV2Cbor => "ValidationException",
    };
    ServiceError::new(code, message)
}
