//! YAML templates: the parser's events, short-form tags and aliases into one JSON tree.
//!
//! Scalars follow YAML 1.1 as CloudFormation reads it: dates stay text (`2012-10-17`), and so do
//! numbers with leading zeros, which are account ids more often than octal numbers.

use std::collections::BTreeMap;

use saphyr_parser::{Event, Parser, ScalarStyle, Span, Tag};
use serde_json::{Map, Number, Value};

use super::limits::{DEPTH_MAX, NODES_MAX};
use super::{Result, TemplateError};

/// Parses the first document of `text`; an empty text is null.
pub(super) fn parse(text: &str) -> Result<Value> {
    let mut builder = Builder::default();
    let mut parser = Parser::new_from_str(text);
    while let Some(next) = parser.next_event() {
        let (event, span) = next.map_err(|fault| at(*fault.marker()))?;
        if builder.accept(event, span)? {
            break;
        }
    }
    Ok(builder.root.unwrap_or(Value::Null))
}

fn at(mark: saphyr_parser::Marker) -> TemplateError {
    TemplateError::Yaml { line: mark.line(), column: mark.col() + 1 }
}

/// A collection that is still open.
struct Open {
    anchor: usize,
    function: Option<String>,
    value: Collection,
}

enum Collection {
    List(Vec<Value>),
    Object { members: Map<String, Value>, key: Option<String> },
}

/// What an anchor stands for, and how large that is.
#[derive(Clone)]
struct Anchored {
    value: Value,
    nodes: usize,
    depth: usize,
}

#[derive(Default)]
struct Builder {
    open: Vec<Open>,
    anchors: BTreeMap<usize, Anchored>,
    nodes: usize,
    root: Option<Value>,
}

impl Builder {
    /// Takes one event; true when the document has ended.
    fn accept(&mut self, event: Event<'_>, span: Span) -> Result<bool> {
        match event {
            Event::Nothing | Event::StreamStart | Event::DocumentStart(_) => {}
            Event::StreamEnd | Event::DocumentEnd => return Ok(true),
            Event::Alias(anchor) => {
                let found = self.anchors.get(&anchor).cloned().ok_or_else(|| at(span.start))?;
                if self.open.len() + found.depth > DEPTH_MAX {
                    return Err(TemplateError::Structure);
                }
                self.count(found.nodes)?;
                self.place(found.value, span)?;
            }
            Event::Scalar(text, style, anchor, tag) => {
                // A key is text whatever it looks like: a condition may be called `On`.
                let value = if self.at_key() {
                    Value::String(text.into_owned())
                } else {
                    scalar(&text, style, tag.as_deref())
                };
                let value = call(function_of(tag.as_deref()), value);
                self.finish(anchor, value, span)?;
            }
            Event::SequenceStart(anchor, tag) => {
                self.start(anchor, tag.as_deref(), Collection::List(Vec::new()))?;
            }
            Event::MappingStart(anchor, tag) => {
                let value = Collection::Object { members: Map::new(), key: None };
                self.start(anchor, tag.as_deref(), value)?;
            }
            Event::SequenceEnd | Event::MappingEnd => {
                let Some(open) = self.open.pop() else {
                    return Err(at(span.start));
                };
                let value = match open.value {
                    Collection::List(items) => Value::Array(items),
                    Collection::Object { members, .. } => Value::Object(members),
                };
                self.finish(open.anchor, call(open.function, value), span)?;
            }
        }
        Ok(false)
    }

    fn at_key(&self) -> bool {
        let open = self.open.last().map(|open| &open.value);
        matches!(open, Some(Collection::Object { key: None, .. }))
    }

    fn start(&mut self, anchor: usize, tag: Option<&Tag>, value: Collection) -> Result<()> {
        if self.open.len() >= DEPTH_MAX {
            return Err(TemplateError::Structure);
        }
        self.open.push(Open { anchor, function: function_of(tag), value });
        Ok(())
    }

    fn finish(&mut self, anchor: usize, value: Value, span: Span) -> Result<()> {
        if anchor != 0 {
            let (nodes, depth) = size(&value);
            self.anchors.insert(anchor, Anchored { value: value.clone(), nodes, depth });
        }
        self.count(1)?;
        self.place(value, span)
    }

    fn count(&mut self, nodes: usize) -> Result<()> {
        self.nodes = self.nodes.saturating_add(nodes);
        if self.nodes > NODES_MAX { Err(TemplateError::Structure) } else { Ok(()) }
    }

    fn place(&mut self, value: Value, span: Span) -> Result<()> {
        let Some(open) = self.open.last_mut() else {
            self.root = Some(value);
            return Ok(());
        };
        match &mut open.value {
            Collection::List(items) => items.push(value),
            Collection::Object { members, key } => match key.take() {
                Some(name) => {
                    members.insert(name, value);
                }
                None => {
                    let Value::String(name) = value else {
                        return Err(at(span.start));
                    };
                    if members.contains_key(&name) {
                        let (line, column) = (span.start.line(), span.start.col() + 1);
                        return Err(TemplateError::DuplicateKey { key: name, line, column });
                    }
                    *key = Some(name);
                }
            },
        }
        Ok(())
    }
}

/// How many nodes `value` has and how deep they nest.
fn size(value: &Value) -> (usize, usize) {
    let sum = |(nodes, depth): (usize, usize), child: &Value| {
        let (more, below) = size(child);
        (nodes + more, depth.max(below + 1))
    };
    match value {
        Value::Array(items) => items.iter().fold((1, 1), sum),
        Value::Object(members) => members.values().fold((1, 1), sum),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => (1, 1),
    }
}

/// The long form's key for a short-form tag; tags of the YAML schema itself are none.
fn function_of(tag: Option<&Tag>) -> Option<String> {
    let tag = tag.filter(|tag| tag.handle == "!" && !tag.suffix.is_empty())?;
    Some(match tag.suffix.as_str() {
        plain @ ("Ref" | "Condition") => plain.to_owned(),
        name => format!("Fn::{name}"),
    })
}

fn call(function: Option<String>, argument: Value) -> Value {
    let Some(function) = function else {
        return argument;
    };
    let argument = match (function.as_str(), argument) {
        ("Fn::GetAtt", Value::String(text)) => match text.split_once('.') {
            Some((resource, attribute)) => Value::from(vec![resource, attribute]),
            None => Value::String(text),
        },
        (_, argument) => argument,
    };
    Value::Object(Map::from_iter([(function, argument)]))
}

fn scalar(text: &str, style: ScalarStyle, tag: Option<&Tag>) -> Value {
    let plain = matches!(style, ScalarStyle::Plain);
    // A short form's argument is text whatever it looks like: `!Ref 12` names the parameter 12.
    let is_text = tag.is_some_and(|tag| !tag.is_yaml_core_schema() || tag.suffix == "str");
    if !plain || is_text {
        return Value::String(text.to_owned());
    }
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Value::Null,
        "true" | "True" | "TRUE" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" => Value::Bool(true),
        "false" | "False" | "FALSE" | "no" | "No" | "NO" | "off" | "Off" | "OFF" => {
            Value::Bool(false)
        }
        other => number(other).unwrap_or_else(|| Value::String(other.to_owned())),
    }
}

fn number(text: &str) -> Option<Value> {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    if !digits.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let leading_zero = whole.len() > 1 && whole.starts_with('0');
    let all_digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
    if leading_zero || !all_digits(whole) || !all_digits(fraction) || digits.ends_with('.') {
        return None;
    }
    if digits.contains('.') {
        return text.parse().ok().and_then(Number::from_f64).map(Value::Number);
    }
    text.parse::<i64>().ok().map(Value::from)
}
