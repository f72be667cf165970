//! The query protocols: requests are forms with dotted names, answers are XML.
//!
//! EC2's dialect differs in the names (`queryName`, capitalised location names), in that lists are
//! always flat, in the envelope of answers, and in that it refuses parameters it does not know.

use std::collections::BTreeMap;

use crate::error::{Malformed, ServiceError};
use crate::percent;
use crate::schema::{
    Kind, MAX_DEPTH, MemberSchema, OperationSchema, ServiceSchema, ShapeRef, TimestampFormat,
};
use crate::text;
use crate::value::{Fields, Value};
use crate::xml::{self, Element, Writer, is_flattened};

/// Which of the two protocols.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    Aws,
    Ec2,
}

/// Parameters that belong to the request and not to the operation.
const COMMON: &[&str] = &[
    "AWSAccessKeyId",
    "Action",
    "Expires",
    "SecurityToken",
    "Signature",
    "SignatureMethod",
    "SignatureVersion",
    "Timestamp",
    "Version",
];

/// A dotted name's part: its value, and what follows it.
#[derive(Debug, Default)]
struct Node {
    value: Option<String>,
    children: BTreeMap<String, Node>,
}

impl Node {
    fn parse(form: &str) -> Result<Self, Malformed> {
        let mut root = Self::default();
        for (name, value) in percent::pairs(form) {
            if COMMON.contains(&name.as_str()) || name.starts_with("X-Amz-") {
                continue;
            }
            let mut node = &mut root;
            for (depth, part) in name.split('.').enumerate() {
                if depth > 2 * MAX_DEPTH {
                    return Err(Malformed::new("a parameter nests too deeply"));
                }
                node = node.children.entry(part.to_owned()).or_default();
            }
            node.value = Some(value);
        }
        Ok(root)
    }

    /// The children that are numbered, in the order of their numbers.
    fn numbered(&self) -> Result<Vec<&Self>, Malformed> {
        let mut items = Vec::with_capacity(self.children.len());
        for (name, node) in &self.children {
            let number: u32 = name.parse().map_err(|_| Malformed::Unknown(name.clone()))?;
            items.push((number, node));
        }
        items.sort_by_key(|(number, _)| *number);
        Ok(items.into_iter().map(|(_, node)| node).collect())
    }

    fn is_empty_value(&self) -> bool {
        self.children.is_empty() && self.value.as_deref() == Some("")
    }
}

/// Reads the input of an operation from a form.
pub(crate) fn decode(
    service: &ServiceSchema,
    operation: &OperationSchema,
    form: &str,
    dialect: Dialect,
) -> Result<Value, Malformed> {
    let root = Node::parse(form)?;
    let reader = FormReader { service, dialect };
    match operation.input {
        Some(shape) => reader.structure(shape, &root),
        None => Ok(Value::empty_struct()),
    }
}

struct FormReader<'a> {
    service: &'a ServiceSchema,
    dialect: Dialect,
}

/// A member's name in a form.
fn form_name(service: &ServiceSchema, member: &MemberSchema, dialect: Dialect) -> String {
    if dialect == Dialect::Ec2 {
        if let Some(name) = member.query_name {
            return name.to_owned();
        }
        return member.location_name.map_or_else(|| member.name.to_owned(), capitalised);
    }
    if is_flattened(service, member)
        && let Kind::List(item) = &service.shape(member.target).kind
        && let Some(name) = item.location_name
    {
        return name.to_owned();
    }
    member.compatible_name.or(member.location_name).unwrap_or(member.name).to_owned()
}

fn capitalised(name: &str) -> String {
    let mut chars = name.chars();
    chars.next().into_iter().flat_map(char::to_uppercase).chain(chars).collect()
}

impl FormReader<'_> {
    fn structure(&self, shape: ShapeRef, node: &Node) -> Result<Value, Malformed> {
        let mut fields = Fields::new();
        let mut known = Vec::new();
        for member in self.service.members(shape) {
            let name = form_name(self.service, member, self.dialect);
            if let Some(child) = node.children.get(&name) {
                let value = self.member(member, child).map_err(|m| m.inside(&name))?;
                fields.push(member.name, value);
            }
            known.push(name);
        }
        let unknown = node.children.keys().find(|name| !known.contains(name));
        match unknown {
            Some(name) if self.dialect == Dialect::Ec2 => Err(Malformed::Unknown(name.clone())),
            _ => Ok(Value::Struct(fields)),
        }
    }

    fn member(&self, member: &MemberSchema, node: &Node) -> Result<Value, Malformed> {
        match &self.service.shape(member.target).kind {
            Kind::Structure(_) => self.structure(member.target, node),
            Kind::List(_) | Kind::Map(_) if node.is_empty_value() => {
                let is_list = matches!(self.service.shape(member.target).kind, Kind::List(_));
                Ok(if is_list { Value::List(Vec::new()) } else { Value::Map(Vec::new()) })
            }
            Kind::List(item) => {
                let flat = self.dialect == Dialect::Ec2 || is_flattened(self.service, member);
                let names = [item.location_name.unwrap_or("member"), "member"];
                let inner = names.iter().find_map(|name| node.children.get(*name));
                let items = if flat { Some(node) } else { inner };
                let items = items.ok_or_else(|| Malformed::new("expected a list"))?.numbered()?;
                let items = items.into_iter().enumerate().map(|(at, node)| {
                    self.member(item, node).map_err(|m| m.inside(&(at + 1).to_string()))
                });
                items.collect::<Result<_, _>>().map(Value::List)
            }
            Kind::Map(pair) => {
                let flat = is_flattened(self.service, member);
                let entries = if flat { Some(node) } else { node.children.get("entry") };
                let entries = entries.ok_or_else(|| Malformed::new("expected a map"))?;
                let entries = entries.numbered()?.into_iter().map(|entry| self.entry(pair, entry));
                entries.collect::<Result<_, _>>().map(Value::Map)
            }
            Kind::String
            | Kind::Boolean
            | Kind::Integer
            | Kind::Long
            | Kind::Double
            | Kind::Blob
            | Kind::Timestamp
            | Kind::Document => {
                let unknown = node.children.keys().next();
                match (unknown, &node.value) {
                    (Some(name), _) => Err(Malformed::Unknown(name.clone())),
                    (None, Some(text)) => text::scalar(self.service, member, text),
                    (None, None) => Err(Malformed::new("expected a value")),
                }
            }
        }
    }

    fn entry(
        &self,
        (key, value): &(MemberSchema, MemberSchema),
        entry: &Node,
    ) -> Result<(String, Value), Malformed> {
        let part = |member: &MemberSchema, default| {
            let name = member.location_name.unwrap_or(default);
            entry.children.get(name).ok_or_else(|| Malformed::new(format!("expected {name}")))
        };
        let name = part(key, "key")?.value.clone().unwrap_or_default();
        Ok((name, self.member(value, part(value, "value")?)?))
    }
}

/// Writes the input of an operation as a form.
pub(crate) fn encode(
    service: &ServiceSchema,
    operation: &OperationSchema,
    input: &Value,
    dialect: Dialect,
) -> String {
    let mut writer = FormWriter { service, dialect, pairs: Vec::new() };
    writer.pairs.push(("Action".to_owned(), operation.name.to_owned()));
    writer.pairs.push(("Version".to_owned(), service.api_version.to_owned()));
    if let (Some(shape), Value::Struct(fields)) = (operation.input, input) {
        writer.structure("", shape, fields);
    }
    let pairs = writer.pairs.iter().map(|(name, value)| {
        format!("{}={}", percent::encode(name, b""), percent::encode(value, b""))
    });
    pairs.collect::<Vec<_>>().join("&")
}

struct FormWriter<'a> {
    service: &'a ServiceSchema,
    dialect: Dialect,
    pairs: Vec<(String, String)>,
}

impl FormWriter<'_> {
    fn structure(&mut self, prefix: &str, shape: ShapeRef, fields: &Fields) {
        for member in self.service.members(shape) {
            if let Some(value) = fields.get(member.name) {
                let name = form_name(self.service, member, self.dialect);
                let name = if prefix.is_empty() { name } else { format!("{prefix}.{name}") };
                self.member(&name, member, value);
            }
        }
    }

    fn member(&mut self, name: &str, member: &MemberSchema, value: &Value) {
        match (value, &self.service.shape(member.target).kind) {
            (Value::Struct(fields), _) => self.structure(name, member.target, fields),
            (Value::List(items), Kind::List(item)) => {
                let flat = self.dialect == Dialect::Ec2 || is_flattened(self.service, member);
                if items.is_empty() && self.dialect == Dialect::Aws {
                    self.pairs.push((name.to_owned(), String::new()));
                }
                for (at, value) in items.iter().enumerate() {
                    let inner = item.location_name.unwrap_or("member");
                    let name = match flat {
                        true => format!("{name}.{}", at + 1),
                        false => format!("{name}.{inner}.{}", at + 1),
                    };
                    self.member(&name, item, value);
                }
            }
            (Value::Map(entries), Kind::Map(pair)) => {
                let infix = if is_flattened(self.service, member) { "" } else { ".entry" };
                for (at, (key, value)) in entries.iter().enumerate() {
                    let entry = format!("{name}{infix}.{}", at + 1);
                    let key_name = pair.0.location_name.unwrap_or("key");
                    let value_name = pair.1.location_name.unwrap_or("value");
                    self.pairs.push((format!("{entry}.{key_name}"), key.clone()));
                    self.member(&format!("{entry}.{value_name}"), &pair.1, value);
                }
            }
            (scalar, _) => {
                let format = text::timestamp_format(self.service, member, TimestampFormat::Iso8601);
                self.pairs.push((name.to_owned(), text::print(scalar, format)));
            }
        }
    }
}

/// The namespace of answers.
fn namespace(service: &ServiceSchema, dialect: Dialect) -> Option<String> {
    let uri = service.xml_namespace?;
    // EC2 answers with a slash that its model lacks.
    let slash = dialect == Dialect::Ec2 && !uri.ends_with('/');
    Some(if slash { format!("{uri}/") } else { uri.to_owned() })
}

/// Writes the answer of an operation.
pub(crate) fn encode_output(
    service: &ServiceSchema,
    operation: &OperationSchema,
    output: &Fields,
    request_id: &str,
    dialect: Dialect,
) -> String {
    let response = format!("{}Response", operation.name);
    let mut writer = match dialect {
        Dialect::Aws => Writer::bare(),
        Dialect::Ec2 => Writer::document(),
    };
    writer.open(&response, namespace(service, dialect).as_deref());
    match dialect {
        Dialect::Ec2 => {
            writer.leaf("requestId", request_id);
            match operation.output {
                Some(shape) => writer.members(service, shape, output),
                // AWS: "Amazon EC2 API Reference": actions without data return true.
                None => writer.leaf("return", "true"),
            }
        }
        Dialect::Aws => {
            if let Some(shape) = operation.output {
                let result = format!("{}Result", operation.name);
                let result = operation.result_wrapper.unwrap_or(&result);
                writer.open(result, None);
                writer.members(service, shape, output);
                writer.close(result);
            }
            writer.open("ResponseMetadata", None);
            writer.leaf("RequestId", request_id);
            writer.close("ResponseMetadata");
        }
    }
    writer.close(&response);
    writer.text
}

/// Reads the answer of an operation.
pub(crate) fn decode_output(
    service: &ServiceSchema,
    operation: &OperationSchema,
    body: &[u8],
    dialect: Dialect,
) -> Result<Value, Malformed> {
    let Some(shape) = operation.output else { return Ok(Value::empty_struct()) };
    let root = Element::parse(body)?;
    let result = format!("{}Result", operation.name);
    let result = operation.result_wrapper.unwrap_or(&result);
    let element = match dialect {
        Dialect::Ec2 => &root,
        Dialect::Aws => root.child(result).unwrap_or(&root),
    };
    xml::decode_structure(service, shape, element).map(Value::Struct)
}

/// Writes an error; `code` is the one of the query protocols.
pub(crate) fn encode_error(
    service: &ServiceSchema,
    error: &ServiceError,
    code: &str,
    request_id: &str,
    dialect: Dialect,
) -> String {
    let mut writer = match dialect {
        Dialect::Aws => Writer::bare(),
        Dialect::Ec2 => Writer::document(),
    };
    match dialect {
        Dialect::Ec2 => {
            writer.open("Response", None);
            writer.open("Errors", None);
            writer.open("Error", None);
            writer.leaf("Code", code);
            writer.leaf("Message", &error.message);
            writer.close("Error");
            writer.close("Errors");
            writer.leaf("RequestID", request_id);
            writer.close("Response");
        }
        Dialect::Aws => {
            writer.open("ErrorResponse", service.xml_namespace);
            writer.open("Error", None);
            writer.leaf("Type", if error.sender { "Sender" } else { "Receiver" });
            writer.leaf("Code", code);
            writer.leaf("Message", &error.message);
            if let Some(known) = service.error(&error.code) {
                writer.members(service, known.shape, &error.fields);
            }
            writer.close("Error");
            writer.leaf("RequestId", request_id);
            writer.close("ErrorResponse");
        }
    }
    writer.text
}
