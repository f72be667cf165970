//! The bindings that restJson1 and restXml share: path, query, headers, status and payload.

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};

use crate::error::Malformed;
use crate::json;
use crate::percent;
use crate::schema::{
    Kind, Location, MAX_DEPTH, MemberSchema, OperationSchema, Protocol, ServiceSchema, ShapeRef,
    TimestampFormat,
};
use crate::stream::ByteStream;
use crate::text;
use crate::uri::Segment;
use crate::value::{Fields, Value};
use crate::wire::Body;
use crate::xml::{self, Element, Writer};

/// What a message carries beside its body.
pub(crate) struct Envelope<'a> {
    pub(crate) labels: &'a [(&'static str, String)],
    /// The parameters that the template of the operation demands.
    pub(crate) fixed: &'a [(&'static str, Option<&'static str>)],
    pub(crate) query: &'a [(String, String)],
    pub(crate) headers: &'a HeaderMap,
    pub(crate) status: u16,
}

/// Reads a structure from a message.
pub(crate) fn decode(
    service: &ServiceSchema,
    shape: ShapeRef,
    envelope: &Envelope<'_>,
    body: Body,
    protocol: Protocol,
) -> Result<Value, Malformed> {
    let mut fields = Fields::new();
    for member in service.members(shape) {
        let value = bound(service, shape, member, envelope).map_err(|m| m.inside(member.name))?;
        if let Some(value) = value {
            fields.push(member.name, value);
        }
    }
    match service.payload(shape) {
        Some(member) => {
            let value = payload(service, member, body, protocol);
            if let Some(value) = value.map_err(|m| m.inside(member.name))? {
                fields.push(member.name, value);
            }
        }
        None => {
            if service.members(shape).iter().any(|m| m.location.is_none()) {
                for (name, value) in document(service, shape, &whole(body)?, protocol)? {
                    fields.push(name, value);
                }
            }
        }
    }
    Ok(Value::Struct(fields))
}

fn whole(body: Body) -> Result<Bytes, Malformed> {
    match body {
        Body::Bytes(bytes) => Ok(bytes),
        Body::Stream(_) => Err(Malformed::new("the body was not collected")),
    }
}

/// Reads a body that is a document of the protocol.
fn document(
    service: &ServiceSchema,
    shape: ShapeRef,
    body: &[u8],
    protocol: Protocol,
) -> Result<Fields, Malformed> {
    if protocol == Protocol::RestXml {
        if body.iter().all(u8::is_ascii_whitespace) {
            return Ok(Fields::new());
        }
        return xml::decode_structure(service, shape, &Element::parse(body)?);
    }
    json::decode_structure(service, shape, json::parse(body)?, MAX_DEPTH)
}

fn payload(
    service: &ServiceSchema,
    member: &MemberSchema,
    body: Body,
    protocol: Protocol,
) -> Result<Option<Value>, Malformed> {
    let schema = service.shape(member.target);
    if matches!(schema.kind, Kind::Blob) && (member.streaming || schema.streaming) {
        return Ok(Some(Value::Stream(match body {
            Body::Bytes(bytes) => ByteStream::from(bytes),
            Body::Stream(stream) => stream,
        })));
    }
    let body = whole(body)?;
    if body.is_empty() {
        return Ok(None);
    }
    Ok(Some(match &schema.kind {
        Kind::Blob => Value::Blob(body),
        Kind::String => Value::Text(
            String::from_utf8(body.to_vec()).map_err(|_| Malformed::new("expected UTF-8"))?,
        ),
        Kind::Document => Value::Document(json::parse(&body)?),
        Kind::Structure(structure) if structure.event_stream => {
            return Err(Malformed::new("event streams are not supported"));
        }
        Kind::Structure(_)
        | Kind::List(_)
        | Kind::Map(_)
        | Kind::Boolean
        | Kind::Integer
        | Kind::Long
        | Kind::Double
        | Kind::Timestamp => match protocol {
            Protocol::RestXml => xml::decode(service, member, &Element::parse(&body)?)?,
            Protocol::Ec2Query
            | Protocol::AwsQuery
            | Protocol::AwsJson10
            | Protocol::AwsJson11
            | Protocol::RestJson1
            | Protocol::RpcV2Cbor => json::decode(service, member, json::parse(&body)?, MAX_DEPTH)?,
        },
    }))
}

/// Reads a member that does not travel in the body.
fn bound(
    service: &ServiceSchema,
    shape: ShapeRef,
    member: &MemberSchema,
    envelope: &Envelope<'_>,
) -> Result<Option<Value>, Malformed> {
    let Some(location) = member.location else { return Ok(None) };
    let name = member.location_name.unwrap_or(member.name);
    match location {
        Location::Uri => {
            let label = envelope.labels.iter().find(|(label, _)| *label == name);
            label.map(|(_, text)| text::scalar(service, member, text)).transpose()
        }
        Location::Status => Ok(Some(Value::Int(i64::from(envelope.status)))),
        Location::Query => query(service, shape, member, name, envelope),
        Location::Header => header(service, member, name, envelope.headers),
        Location::Headers => {
            let prefix = name.to_ascii_lowercase();
            let found = envelope.headers.iter().filter_map(|(header, value)| {
                let name = header.as_str().strip_prefix(prefix.as_str())?;
                Some((name.to_owned(), Value::Text(header_text(value))))
            });
            let found: Vec<_> = found.collect();
            Ok((!found.is_empty()).then_some(Value::Map(found)))
        }
    }
}

fn query(
    service: &ServiceSchema,
    shape: ShapeRef,
    member: &MemberSchema,
    name: &str,
    envelope: &Envelope<'_>,
) -> Result<Option<Value>, Malformed> {
    let query = envelope.query;
    let mut values = query.iter().filter(|(n, _)| n == name).map(|(_, value)| value);
    match &service.shape(member.target).kind {
        Kind::List(item) => {
            let list: Vec<Value> =
                values.map(|text| text::scalar(service, item, text)).collect::<Result<_, _>>()?;
            Ok((!list.is_empty()).then_some(Value::List(list)))
        }
        Kind::Map(pair) => {
            let bound = |name: &str| {
                envelope.fixed.iter().any(|(fixed, _)| *fixed == name)
                    || service.members(shape).iter().any(|m| {
                        m.location == Some(Location::Query) && m.location_name == Some(name)
                    })
            };
            let free = query.iter().filter(|(name, _)| !bound(name));
            let mut map: Vec<(String, Value)> = Vec::new();
            let many = if let Kind::List(item) = &service.shape(pair.1.target).kind {
                Some(item)
            } else {
                None
            };
            for (name, text) in free {
                let value = text::scalar(service, many.unwrap_or(&pair.1), text)?;
                match (many, map.iter_mut().find(|(n, _)| n == name)) {
                    (Some(_), Some((_, Value::List(list)))) => list.push(value),
                    (Some(_), _) => map.push((name.clone(), Value::List(vec![value]))),
                    (None, _) => map.push((name.clone(), value)),
                }
            }
            Ok((!map.is_empty()).then_some(Value::Map(map)))
        }
        Kind::String => Ok(values.next().map(|text| Value::Text(text.clone()))),
        // An empty parameter of another kind is as good as none (`?max-keys=`).
        Kind::Structure(_)
        | Kind::Boolean
        | Kind::Integer
        | Kind::Long
        | Kind::Double
        | Kind::Blob
        | Kind::Timestamp
        | Kind::Document => values
            .next()
            .filter(|text| !text.is_empty())
            .map(|text| text::scalar(service, member, text))
            .transpose(),
    }
}

fn header(
    service: &ServiceSchema,
    member: &MemberSchema,
    name: &str,
    headers: &HeaderMap,
) -> Result<Option<Value>, Malformed> {
    let mut values = headers.get_all(name).iter().map(header_text).peekable();
    if values.peek().is_none() {
        return Ok(None);
    }
    if let Kind::List(item) = &service.shape(member.target).kind {
        let is_date = matches!(service.shape(item.target).kind, Kind::Timestamp);
        let text = values.collect::<Vec<_>>().join(",");
        let items = if is_date { vec![text.as_str()] } else { split_list(&text) };
        let items = items.into_iter().map(|item_text| {
            text::scalar(service, item, item_text.trim_matches(|c| c == '"' || c == ' '))
        });
        return items.collect::<Result<_, _>>().map(|list| Some(Value::List(list)));
    }
    let text = values.next().unwrap_or_default();
    if member.json_value {
        let json = text::blob(&text)?;
        return Ok(Some(Value::Text(String::from_utf8_lossy(&json).into_owned())));
    }
    let is_text = matches!(service.shape(member.target).kind, Kind::String);
    if text.is_empty() && !is_text {
        return Ok(None);
    }
    text::scalar(service, member, &text).map(Some)
}

/// Splits a header's list at commas outside of quotes.
fn split_list(text: &str) -> Vec<&str> {
    let mut quoted = false;
    let items = text.split(move |c: char| {
        quoted ^= c == '"';
        c == ',' && !quoted
    });
    items.map(str::trim).filter(|item| !item.is_empty()).collect()
}

fn header_text(value: &HeaderValue) -> String {
    String::from_utf8_lossy(value.as_bytes()).into_owned()
}

/// A message to send.
pub(crate) struct Message {
    pub(crate) status: Option<u16>,
    pub(crate) headers: HeaderMap,
    pub(crate) query: Vec<(String, String)>,
    pub(crate) labels: Vec<(&'static str, String)>,
    pub(crate) body: Body,
}

/// Writes a structure to a message. `root` names the element of an XML body and its namespace.
pub(crate) fn encode(
    service: &ServiceSchema,
    shape: Option<ShapeRef>,
    fields: &Fields,
    root: (&str, Option<&str>),
    protocol: Protocol,
) -> Message {
    let mut message = Message {
        status: None,
        headers: HeaderMap::new(),
        query: Vec::new(),
        labels: Vec::new(),
        body: Body::Bytes(Bytes::new()),
    };
    let Some(shape) = shape else { return message };
    let mut has_body = false;
    for member in service.members(shape) {
        has_body |= member.location.is_none();
        if let Some(value) = fields.get(member.name) {
            bind(service, member, value, &mut message);
        }
    }
    if let Some(member) = service.payload(shape) {
        if let Some(value) = fields.get(member.name) {
            encode_payload(service, member, value, root, protocol, &mut message);
        }
    } else if has_body && protocol == Protocol::RestXml {
        let mut writer = Writer::document();
        writer.open(root.0, root.1);
        writer.members(service, shape, fields);
        writer.close(root.0);
        message.body = Body::Bytes(writer.text.into());
        content_type(&mut message, "application/xml");
    } else if has_body {
        let json = json::encode_structure(service, shape, fields);
        message.body = Body::Bytes(json.to_string().into());
        content_type(&mut message, "application/json");
    }
    message
}

fn content_type(message: &mut Message, default: &'static str) {
    message.headers.entry(CONTENT_TYPE).or_insert(HeaderValue::from_static(default));
}

fn encode_payload(
    service: &ServiceSchema,
    member: &MemberSchema,
    value: &Value,
    root: (&str, Option<&str>),
    protocol: Protocol,
    message: &mut Message,
) {
    match value {
        Value::Stream(stream) => {
            message.body = Body::Stream(stream.clone());
            content_type(message, "application/octet-stream");
        }
        Value::Blob(bytes) => {
            message.body = Body::Bytes(bytes.clone());
            content_type(message, "application/octet-stream");
        }
        Value::Text(text) => {
            message.body = Body::Bytes(text.clone().into());
            content_type(message, "text/plain");
        }
        Value::Struct(fields) if protocol == Protocol::RestXml => {
            let shape = service.shape(member.target);
            let name = member.location_name.or(shape.location_name).unwrap_or(shape.name);
            let namespace = member.xml_namespace.or(shape.xml_namespace).map(|n| n.uri);
            let mut writer = Writer::document();
            writer.open(name, namespace.or(root.1));
            writer.members(service, member.target, fields);
            writer.close(name);
            message.body = Body::Bytes(writer.text.into());
            content_type(message, "application/xml");
        }
        Value::Struct(_)
        | Value::Document(_)
        | Value::List(_)
        | Value::Map(_)
        | Value::Bool(_)
        | Value::Int(_)
        | Value::Float(_)
        | Value::Time(_) => {
            message.body = Body::Bytes(json::encode(service, member, value).to_string().into());
            content_type(message, "application/json");
        }
    }
}

/// Writes a member that does not travel in the body.
fn bind(service: &ServiceSchema, member: &MemberSchema, value: &Value, message: &mut Message) {
    let Some(location) = member.location else { return };
    let name = member.location_name.unwrap_or(member.name);
    let print = |value: &Value, default| {
        text::print(value, text::timestamp_format(service, member, default))
    };
    match (location, value) {
        (Location::Uri, value) => {
            message.labels.push((name, print(value, TimestampFormat::Iso8601)));
        }
        (Location::Status, value) => {
            message.status = value.as_i64().and_then(|status| u16::try_from(status).ok());
        }
        (Location::Query, Value::List(items)) => {
            for item in items {
                message.query.push((name.to_owned(), print(item, TimestampFormat::Iso8601)));
            }
        }
        (Location::Query, Value::Map(entries)) => {
            for (key, value) in entries {
                for item in value.as_list().unwrap_or(std::slice::from_ref(value)) {
                    message.query.push((key.clone(), print(item, TimestampFormat::Iso8601)));
                }
            }
        }
        (Location::Query, value) => {
            message.query.push((name.to_owned(), print(value, TimestampFormat::Iso8601)));
        }
        (Location::Headers, Value::Map(entries)) => {
            for (key, value) in entries {
                let text = print(value, TimestampFormat::HttpDate);
                push_header(&mut message.headers, &format!("{name}{key}"), &text);
            }
        }
        (Location::Header | Location::Headers, Value::List(items)) => {
            let items = items.iter().map(|item| {
                let text = print(item, TimestampFormat::HttpDate);
                if text.contains(',') && !matches!(item, Value::Time(_)) {
                    format!("\"{text}\"")
                } else {
                    text
                }
            });
            push_header(&mut message.headers, name, &items.collect::<Vec<_>>().join(","));
        }
        (Location::Header | Location::Headers, value) => {
            let text = print(value, TimestampFormat::HttpDate);
            let text = if member.json_value { text::print_blob(text.as_bytes()) } else { text };
            push_header(&mut message.headers, name, &text);
        }
    }
}

/// Adds a header. A value that no header may have (line breaks) is left out: sending it would let
/// it forge further headers.
fn push_header(headers: &mut HeaderMap, name: &str, text: &str) {
    let name = HeaderName::from_bytes(name.as_bytes());
    if let (Ok(name), Ok(value)) = (name, HeaderValue::from_bytes(text.as_bytes())) {
        headers.insert(name, value);
    }
}

/// The path and query of a request.
pub(crate) fn target(operation: &OperationSchema, message: &Message) -> String {
    let mut path = String::new();
    for segment in &operation.uri.segments {
        path.push('/');
        let label = |name: &str| {
            let label = message.labels.iter().find(|(label, _)| *label == name);
            label.map(|(_, text)| text.as_str()).unwrap_or_default()
        };
        match segment {
            Segment::Literal(text) => path.push_str(text),
            Segment::Label(name) => path.push_str(&percent::encode(label(name), b"")),
            Segment::Greedy(name) => path.push_str(&percent::encode(label(name), b"/")),
        }
    }
    if path.is_empty() {
        path.push('/');
    }
    let fixed = operation.uri.query.iter().map(|(name, value)| match value {
        Some(value) => format!("{name}={value}"),
        None => (*name).to_owned(),
    });
    let free = message.query.iter().map(|(name, value)| {
        format!("{}={}", percent::encode(name, b""), percent::encode(value, b""))
    });
    let query = fixed.chain(free).collect::<Vec<_>>().join("&");
    if query.is_empty() { path } else { format!("{path}?{query}") }
}

/// The element around an answer's members, where it is not the name of the output's shape.
///
/// AWS: "Amazon S3 API Reference", response syntax of each action; the models botocore ships leave
/// these names out, while other SDKs check them.
pub(crate) fn response_root(
    service: &ServiceSchema,
    operation: &OperationSchema,
) -> Option<&'static str> {
    if service.name != "s3" {
        return operation.output.map(|shape| service.shape(shape).name);
    }
    Some(match operation.name {
        "CompleteMultipartUpload" => "CompleteMultipartUploadResult",
        "CreateMultipartUpload" => "InitiateMultipartUploadResult",
        "CreateSession" => "CreateSessionResult",
        "DeleteObjects" => "DeleteResult",
        "GetBucketAccelerateConfiguration" => "AccelerateConfiguration",
        "GetBucketAcl" | "GetObjectAcl" => "AccessControlPolicy",
        "GetBucketCors" => "CORSConfiguration",
        "GetBucketLifecycle" | "GetBucketLifecycleConfiguration" => "LifecycleConfiguration",
        "GetBucketLocation" => "LocationConstraint",
        "GetBucketLogging" => "BucketLoggingStatus",
        "GetBucketNotification" | "GetBucketNotificationConfiguration" => {
            "NotificationConfiguration"
        }
        "GetBucketRequestPayment" => "RequestPaymentConfiguration",
        "GetBucketTagging" | "GetObjectTagging" => "Tagging",
        "GetBucketVersioning" => "VersioningConfiguration",
        "GetBucketWebsite" => "WebsiteConfiguration",
        "GetObjectAttributes" => "GetObjectAttributesResponse",
        "ListBucketAnalyticsConfigurations" => "ListBucketAnalyticsConfigurationResult",
        "ListBucketInventoryConfigurations" => "ListInventoryConfigurationsResult",
        "ListBucketMetricsConfigurations" => "ListMetricsConfigurationsResult",
        "ListBuckets" => "ListAllMyBucketsResult",
        "ListDirectoryBuckets" => "ListAllMyDirectoryBucketsResult",
        "ListMultipartUploads" => "ListMultipartUploadsResult",
        "ListObjectVersions" => "ListVersionsResult",
        "ListObjects" | "ListObjectsV2" => "ListBucketResult",
        "ListParts" => "ListPartsResult",
        _ => operation.output.map(|shape| service.shape(shape).name)?,
    })
}
