//! XML: the answers of the query protocols and both directions of restXml.

use quick_xml::Reader;
use quick_xml::escape::{escape, unescape};
use quick_xml::events::{BytesStart, Event};

use crate::error::Malformed;
use crate::schema::{
    Kind, Location, MAX_DEPTH, MemberSchema, ServiceSchema, ShapeRef, TimestampFormat, XmlNamespace,
};
use crate::text;
use crate::value::{Fields, Value};

/// An element that was read.
#[derive(Debug, Default)]
pub(crate) struct Element {
    pub(crate) name: String,
    attributes: Vec<(String, String)>,
    pub(crate) text: String,
    pub(crate) children: Vec<Element>,
}

impl Element {
    /// Reads a document.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, Malformed> {
        let text =
            std::str::from_utf8(bytes).map_err(|_| Malformed::new("the document is not UTF-8"))?;
        let mut reader = Reader::from_str(text.trim_start_matches('\u{feff}'));
        let mut open = vec![Self::default()];
        loop {
            match reader.read_event().map_err(|e| Malformed::new(e.to_string()))? {
                Event::Start(start) => {
                    if open.len() > MAX_DEPTH {
                        return Err(Malformed::new("the document nests too deeply"));
                    }
                    open.push(Self::start(&start)?);
                }
                Event::Empty(start) => Self::top(&mut open)?.children.push(Self::start(&start)?),
                Event::End(_) => {
                    let done = open.pop().ok_or_else(|| Malformed::new("an element too many"))?;
                    Self::top(&mut open)?.children.push(done);
                }
                Event::Text(text) => {
                    Self::top(&mut open)?.text.push_str(&text.xml10_content());
                }
                Event::CData(data) => {
                    Self::top(&mut open)?.text.push_str(&data.xml10_content());
                }
                Event::GeneralRef(reference) => {
                    let top = Self::top(&mut open)?;
                    let number =
                        reference.resolve_char_ref().map_err(|e| Malformed::new(e.to_string()))?;
                    let name = reference.xml10_content();
                    match number.map(String::from).or_else(|| entity(&name)) {
                        Some(text) => top.text.push_str(&text),
                        None => return Err(Malformed::new(format!("unknown entity {name}"))),
                    }
                }
                Event::DocType(_) => return Err(Malformed::new("document types are refused")),
                Event::Eof => break,
                Event::Comment(_) | Event::Decl(_) | Event::PI(_) => {}
            }
        }
        let root = open.pop().filter(|_| open.is_empty());
        let mut children = root.map(|root| root.children).unwrap_or_default();
        match (children.pop(), children.is_empty()) {
            (Some(root), true) => Ok(root),
            _ => Err(Malformed::new("expected one element")),
        }
    }

    fn top(open: &mut [Self]) -> Result<&mut Self, Malformed> {
        open.last_mut().ok_or_else(|| Malformed::new("an element too many"))
    }

    fn start(start: &BytesStart<'_>) -> Result<Self, Malformed> {
        let name = start.local_name().as_ref().to_owned();
        let mut attributes = Vec::new();
        for attribute in start.attributes() {
            let attribute = attribute.map_err(|e| Malformed::new(e.to_string()))?;
            let key = attribute.key.as_ref().to_owned();
            let value = unescape(&attribute.value).map_err(|e| Malformed::new(e.to_string()))?;
            attributes.push((key, value.into_owned()));
        }
        Ok(Self { name, attributes, ..Self::default() })
    }

    /// The first child with a name.
    pub(crate) fn child(&self, name: &str) -> Option<&Self> {
        self.children.iter().find(|child| child.name == name)
    }

    fn attribute(&self, name: &str) -> Option<&str> {
        let local = |n: &str| n.rsplit(':').next().map(str::to_owned);
        self.attributes
            .iter()
            .find(|(n, _)| n == name || local(n) == local(name))
            .map(|(_, value)| value.as_str())
    }
}

fn entity(name: &str) -> Option<String> {
    Some(match name {
        "amp" => "&".to_owned(),
        "lt" => "<".to_owned(),
        "gt" => ">".to_owned(),
        "quot" => "\"".to_owned(),
        "apos" => "'".to_owned(),
        _ => return None,
    })
}

/// The name of a member's element.
fn element_name(service: &ServiceSchema, member: &MemberSchema) -> &'static str {
    if is_flattened(service, member)
        && let Kind::List(element) = &service.shape(member.target).kind
        && let Some(name) = element.location_name
    {
        return name;
    }
    member.compatible_name.or(member.location_name).unwrap_or(member.name)
}

pub(crate) fn is_flattened(service: &ServiceSchema, member: &MemberSchema) -> bool {
    member.flattened || service.shape(member.target).flattened
}

/// Reads the members of a structure that travel in the body.
pub(crate) fn decode_structure(
    service: &ServiceSchema,
    shape: ShapeRef,
    element: &Element,
) -> Result<Fields, Malformed> {
    let mut fields = Fields::new();
    for member in service.members(shape).iter().filter(|m| m.location.is_none()) {
        let value = decode_member(service, member, element)
            .map_err(|malformed| malformed.inside(member.name))?;
        if let Some(value) = value {
            fields.push(member.name, value);
        }
    }
    Ok(fields)
}

fn decode_member(
    service: &ServiceSchema,
    member: &MemberSchema,
    parent: &Element,
) -> Result<Option<Value>, Malformed> {
    if member.xml_attribute {
        let text = parent.attribute(member.location_name.unwrap_or(member.name));
        return text.map(|text| text::scalar(service, member, text)).transpose();
    }
    let name = element_name(service, member);
    if is_flattened(service, member) {
        let alias = member.location_name.unwrap_or(member.name);
        let found: Vec<&Element> =
            parent.children.iter().filter(|c| c.name == name || c.name == alias).collect();
        if found.is_empty() {
            return Ok(None);
        }
        if let Kind::List(element) = &service.shape(member.target).kind {
            return decode_list(service, element, found.into_iter()).map(Some);
        }
        if let Kind::Map(pair) = &service.shape(member.target).kind {
            return decode_map(service, pair, found.into_iter()).map(Some);
        }
    }
    parent.child(name).map(|child| decode(service, member, child)).transpose()
}

/// Reads an element of the member's shape.
pub(crate) fn decode(
    service: &ServiceSchema,
    member: &MemberSchema,
    element: &Element,
) -> Result<Value, Malformed> {
    match &service.shape(member.target).kind {
        Kind::Structure(_) => decode_structure(service, member.target, element).map(Value::Struct),
        Kind::List(item) => {
            let name = item.location_name.unwrap_or("member");
            // Some clients use the general name where the model has its own.
            let items = element.children.iter().filter(|c| c.name == name || c.name == "member");
            decode_list(service, item, items)
        }
        Kind::Map(pair) => {
            decode_map(service, pair, element.children.iter().filter(|c| c.name == "entry"))
        }
        Kind::String
        | Kind::Boolean
        | Kind::Integer
        | Kind::Long
        | Kind::Double
        | Kind::Blob
        | Kind::Timestamp
        | Kind::Document => text::scalar(service, member, &element.text),
    }
}

fn decode_list<'a>(
    service: &ServiceSchema,
    item: &MemberSchema,
    elements: impl Iterator<Item = &'a Element>,
) -> Result<Value, Malformed> {
    elements.map(|e| decode(service, item, e)).collect::<Result<_, _>>().map(Value::List)
}

fn decode_map<'a>(
    service: &ServiceSchema,
    (key, value): &(MemberSchema, MemberSchema),
    entries: impl Iterator<Item = &'a Element>,
) -> Result<Value, Malformed> {
    let part = |entry: &'a Element, member: &MemberSchema| {
        let name = member.location_name.unwrap_or(member.name);
        entry.child(name).ok_or_else(|| Malformed::new(format!("an entry without {name}")))
    };
    let entries = entries.map(|entry| {
        let name = part(entry, key)?.text.clone();
        Ok((name, decode(service, value, part(entry, value)?)?))
    });
    entries.collect::<Result<_, Malformed>>().map(Value::Map)
}

/// Writes XML without white space between elements.
pub(crate) struct Writer {
    pub(crate) text: String,
}

impl Writer {
    /// A document with its declaration.
    pub(crate) fn document() -> Self {
        Self { text: "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n".to_owned() }
    }

    pub(crate) fn bare() -> Self {
        Self { text: String::new() }
    }

    pub(crate) fn open(&mut self, name: &str, namespace: Option<&str>) {
        self.text.push('<');
        self.text.push_str(name);
        if let Some(uri) = namespace {
            self.attribute("xmlns", uri);
        }
        self.text.push('>');
    }

    fn attribute(&mut self, name: &str, value: &str) {
        self.text.push(' ');
        self.text.push_str(name);
        self.text.push_str("=\"");
        self.text.push_str(&escape(value));
        self.text.push('"');
    }

    pub(crate) fn close(&mut self, name: &str) {
        self.text.push_str("</");
        self.text.push_str(name);
        self.text.push('>');
    }

    /// An element with text.
    pub(crate) fn leaf(&mut self, name: &str, text: &str) {
        self.open(name, None);
        self.escaped(text);
        self.close(name);
    }

    /// Text as an element holds it.
    pub(crate) fn escaped(&mut self, text: &str) {
        let escaped = escape(text);
        if !escaped.contains(|c: char| c.is_control()) {
            self.text.push_str(&escaped);
            return;
        }
        // A parser would turn a bare carriage return into a line feed, and refuses the others,
        // which AWS writes all the same (S3 keys may hold them).
        for c in escaped.chars() {
            if c.is_control() && !matches!(c, '\t' | '\n') {
                self.text.push_str(&format!("&#x{:X};", u32::from(c)));
            } else {
                self.text.push(c);
            }
        }
    }

    /// The members of a structure that travel in the body.
    pub(crate) fn members(&mut self, service: &ServiceSchema, shape: ShapeRef, fields: &Fields) {
        for member in service.members(shape) {
            if member.xml_attribute || member.location.is_some_and(|l| l != Location::Status) {
                continue;
            }
            if let Some(value) = fields.get(member.name) {
                self.member(service, member, value);
            }
        }
    }

    fn member(&mut self, service: &ServiceSchema, member: &MemberSchema, value: &Value) {
        let name = element_name(service, member);
        if is_flattened(service, member) {
            match (value, &service.shape(member.target).kind) {
                (Value::List(items), Kind::List(item)) => {
                    items.iter().for_each(|v| self.element(service, item, name, v));
                    return;
                }
                (Value::Map(entries), Kind::Map(pair)) => {
                    entries.iter().for_each(|entry| self.entry(service, pair, name, entry));
                    return;
                }
                (_, _) => {}
            }
        }
        self.element(service, member, name, value);
    }

    /// An element of the member's shape.
    pub(crate) fn element(
        &mut self,
        service: &ServiceSchema,
        member: &MemberSchema,
        name: &str,
        value: &Value,
    ) {
        let schema = service.shape(member.target);
        self.text.push('<');
        self.text.push_str(name);
        self.namespace(member.xml_namespace.or(schema.xml_namespace));
        if let Value::Struct(fields) = value {
            for inner in service.members(member.target).iter().filter(|m| m.xml_attribute) {
                if let Some(value) = fields.get(inner.name) {
                    let text = text::print(value, TimestampFormat::Iso8601);
                    self.attribute(inner.location_name.unwrap_or(inner.name), &text);
                }
            }
        }
        self.text.push('>');
        match (value, &schema.kind) {
            (Value::Struct(fields), _) => self.members(service, member.target, fields),
            (Value::List(items), Kind::List(item)) => {
                let name = item.location_name.unwrap_or("member");
                items.iter().for_each(|value| self.element(service, item, name, value));
            }
            (Value::Map(entries), Kind::Map(pair)) => {
                entries.iter().for_each(|entry| self.entry(service, pair, "entry", entry));
            }
            (scalar, _) => {
                let format = text::timestamp_format(service, member, TimestampFormat::Iso8601);
                self.escaped(&text::print(scalar, format));
            }
        }
        self.close(name);
    }

    fn namespace(&mut self, namespace: Option<XmlNamespace>) {
        if let Some(XmlNamespace { prefix, uri }) = namespace {
            match prefix {
                Some(prefix) => self.attribute(&format!("xmlns:{prefix}"), uri),
                None => self.attribute("xmlns", uri),
            }
        }
    }

    fn entry(
        &mut self,
        service: &ServiceSchema,
        (key, value): &(MemberSchema, MemberSchema),
        name: &str,
        (entry_key, entry_value): &(String, Value),
    ) {
        self.open(name, None);
        self.leaf(key.location_name.unwrap_or("key"), entry_key);
        self.element(service, value, value.location_name.unwrap_or("value"), entry_value);
        self.close(name);
    }
}
