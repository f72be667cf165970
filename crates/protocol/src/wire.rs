//! The way of a request through its protocol: route, decode, validate, encode; and the client's
//! half of it.

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use http::request::Parts;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Empty, Full};
use serde_json::Value as Json;

use crate::cbor;
use crate::error::Malformed;
use crate::json;
use crate::percent;
use crate::query::{self, Dialect};
use crate::rest;
use crate::schema::{MAX_DEPTH, OperationSchema, Protocol, ServiceSchema};
use crate::stream::{ByteStream, StreamBody};
use crate::text;
use crate::value::{Fields, Value};
use crate::xml::{Element, Writer};

pub use crate::error::ServiceError;
pub use crate::route::{Routed, guess, route};
pub use crate::validate::validate_input;

/// The body of a response.
pub type ResponseBody = StreamBody;

/// The body of a message: read, or still travelling.
#[derive(Debug, Clone)]
pub enum Body {
    /// The whole body.
    Bytes(Bytes),
    /// A body that only operations with a streaming member take.
    Stream(ByteStream),
}

/// Whether the operation takes its body as a stream, which must then not be collected.
pub fn has_streaming_input(service: &ServiceSchema, routed: &Routed) -> bool {
    routed.operation.streaming_member(service, routed.operation.input).is_some()
}

/// Reads the input of an operation.
///
/// # Errors
///
/// The protocol's error for a request that cannot be read.
pub fn decode_input(
    service: &ServiceSchema,
    routed: &Routed,
    parts: &Parts,
    body: Body,
) -> Result<Value, ServiceError> {
    decode_request(service, routed, parts, body)
        .map_err(|malformed| ServiceError::malformed(routed.protocol, malformed))
}

fn decode_request(
    service: &ServiceSchema,
    routed: &Routed,
    parts: &Parts,
    body: Body,
) -> Result<Value, Malformed> {
    let whole = match &body {
        Body::Bytes(bytes) => bytes.clone(),
        Body::Stream(_) => Bytes::new(),
    };
    let operation = routed.operation;
    match routed.protocol {
        Protocol::Ec2Query => {
            query::decode(service, operation, &form(parts, &whole)?, Dialect::Ec2)
        }
        Protocol::AwsQuery => {
            query::decode(service, operation, &form(parts, &whole)?, Dialect::Aws)
        }
        Protocol::AwsJson10 | Protocol::AwsJson11 => {
            let json = json::parse(&whole)?;
            let Some(shape) = operation.input else { return Ok(Value::empty_struct()) };
            json::decode_structure(service, shape, json, MAX_DEPTH).map(Value::Struct)
        }
        Protocol::RpcV2Cbor => {
            let Some(shape) = operation.input else { return Ok(Value::empty_struct()) };
            cbor::decode_body(service, shape, &whole)
        }
        Protocol::RestJson1 | Protocol::RestXml => {
            let Some(shape) = operation.input else { return Ok(Value::empty_struct()) };
            let query: Vec<(String, String)> =
                percent::pairs(parts.uri.query().unwrap_or_default()).collect();
            let envelope = rest::Envelope {
                labels: &routed.labels,
                fixed: &operation.uri.query,
                query: &query,
                headers: &parts.headers,
                status: 0,
            };
            rest::decode(service, shape, &envelope, body, routed.protocol)
        }
    }
}

/// What of an operation's input travels in its body, as JSON, for services that keep it: the rest
/// (names in path, query and headers) is left out.
pub fn body_document(service: &ServiceSchema, operation: &OperationSchema, input: &Value) -> Json {
    match (operation.input, input) {
        (Some(shape), Value::Struct(fields)) => json::encode_structure(service, shape, fields),
        _ => Json::Null,
    }
}

/// The members of an operation's input that [`body_document`] gave.
///
/// # Errors
///
/// When the document is of another shape.
pub fn body_of_document(
    service: &ServiceSchema,
    operation: &OperationSchema,
    document: Json,
) -> Result<Fields, ServiceError> {
    let Some(shape) = operation.input else { return Ok(Fields::new()) };
    json::decode_structure(service, shape, document, MAX_DEPTH).map_err(ServiceError::internal)
}

/// The parameters of the query and of the form.
fn form(parts: &Parts, body: &[u8]) -> Result<String, Malformed> {
    let body = std::str::from_utf8(body).map_err(|_| Malformed::new("the form is not UTF-8"))?;
    let query = parts.uri.query().unwrap_or_default();
    Ok(if query.is_empty() { body.to_owned() } else { format!("{query}&{body}") })
}

/// Writes the answer of an operation.
pub fn encode_output(
    service: &ServiceSchema,
    routed: &Routed,
    output: Value,
    request_id: &str,
) -> Response<ResponseBody> {
    let operation = routed.operation;
    let fields = if let Value::Struct(fields) = output { fields } else { Fields::new() };
    let mut status = operation.status;
    let (mut headers, body) = match routed.protocol {
        Protocol::Ec2Query => {
            let text = query::encode_output(service, operation, &fields, request_id, Dialect::Ec2);
            typed("text/xml;charset=UTF-8", text)
        }
        Protocol::AwsQuery => {
            let text = query::encode_output(service, operation, &fields, request_id, Dialect::Aws);
            typed("text/xml", text)
        }
        Protocol::AwsJson10 | Protocol::AwsJson11 => {
            let json = operation.output.map(|s| json::encode_structure(service, s, &fields));
            let text = json.map_or_else(|| "{}".to_owned(), |json| json.to_string());
            typed(json_type(routed.protocol), text)
        }
        Protocol::RpcV2Cbor => {
            let (mut headers, body) = typed(
                "application/cbor",
                cbor::encode_body(service, operation.output, &fields, &[]),
            );
            headers.insert("smithy-protocol", HeaderValue::from_static("rpc-v2-cbor"));
            (headers, body)
        }
        Protocol::RestJson1 | Protocol::RestXml => {
            let root = rest::response_root(service, operation).unwrap_or(operation.name);
            let namespace = service.xml_namespace;
            let message = rest::encode(
                service,
                operation.output,
                &fields,
                (root, namespace),
                routed.protocol,
            );
            status = message.status.unwrap_or(status);
            if is_partial(service, &message.headers) {
                status = 206;
            }
            let body = match is_unwrapped(service, operation) {
                true => Body::Bytes(unwrapped(root, namespace, &fields).into()),
                false => message.body,
            };
            (message.headers, body)
        }
    };
    identify(service, &mut headers, request_id);
    respond(status, headers, body)
}

/// Whether an answer is a stretch of an object, which the model gives no status of its own.
///
/// AWS: "GetObject", response syntax.
fn is_partial(service: &ServiceSchema, headers: &HeaderMap) -> bool {
    service.name == "s3" && headers.contains_key(http::header::CONTENT_RANGE)
}

/// Whether the one text member of an answer stands without an element of its own.
///
/// AWS: "GetBucketLocation", response syntax.
fn is_unwrapped(service: &ServiceSchema, operation: &OperationSchema) -> bool {
    service.name == "s3" && operation.name == "GetBucketLocation"
}

fn unwrapped(root: &str, namespace: Option<&str>, fields: &Fields) -> String {
    let mut writer = Writer::document();
    writer.open(root, namespace);
    if let Some((_, Value::Text(text))) = fields.iter().next() {
        writer.escaped(text);
    }
    writer.close(root);
    writer.text
}

const fn json_type(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::AwsJson10 => "application/x-amz-json-1.0",
        Protocol::AwsJson11 => "application/x-amz-json-1.1",
        Protocol::Ec2Query
        | Protocol::AwsQuery
        | Protocol::RestJson1
        | Protocol::RestXml
        | Protocol::RpcV2Cbor => "application/json",
    }
}

fn typed(content_type: &'static str, body: impl Into<Bytes>) -> (HeaderMap, Body) {
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    (headers, Body::Bytes(body.into()))
}

fn identify(service: &ServiceSchema, headers: &mut HeaderMap, request_id: &str) {
    let Ok(value) = HeaderValue::from_str(request_id) else { return };
    if service.name == "s3" {
        headers.insert("x-amz-request-id", value.clone());
        headers.insert("x-amz-id-2", value);
    } else {
        headers.insert("x-amzn-requestid", value);
    }
}

fn respond(status: u16, headers: HeaderMap, body: Body) -> Response<ResponseBody> {
    let body = match body {
        Body::Bytes(bytes) => full(bytes),
        Body::Stream(stream) => stream.take().unwrap_or_else(|| {
            // The handler gave the same stream away before; an empty body would look like data.
            let broken = std::io::Error::other("the body was sent before");
            StreamBody::new(Broken(Some(broken)))
        }),
    };
    let mut response = Response::new(body);
    *response.status_mut() =
        StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    *response.headers_mut() = headers;
    response
}

fn full(bytes: Bytes) -> ResponseBody {
    if bytes.is_empty() {
        return Empty::new().map_err(|never| match never {}).boxed_unsync();
    }
    Full::new(bytes).map_err(|never| match never {}).boxed_unsync()
}

/// A body that breaks at once.
struct Broken(Option<std::io::Error>);

impl http_body::Body for Broken {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<http_body::Frame<Bytes>, std::io::Error>>> {
        std::task::Poll::Ready(self.0.take().map(Err))
    }
}

/// Writes an error in the form of a protocol.
pub fn encode_error(
    service: &ServiceSchema,
    protocol: Protocol,
    error: &ServiceError,
    request_id: &str,
) -> Response<ResponseBody> {
    let known = service.error(&error.code);
    let name = known.map_or(error.code.as_str(), |known| known.name);
    let code = known.map_or(error.code.as_str(), |known| known.code);
    let (mut headers, body) = match protocol {
        Protocol::Ec2Query => {
            let text = query::encode_error(service, error, code, request_id, Dialect::Ec2);
            typed("text/xml;charset=UTF-8", text)
        }
        Protocol::AwsQuery => {
            let text = query::encode_error(service, error, code, request_id, Dialect::Aws);
            typed("text/xml", text)
        }
        Protocol::RestXml if service.name == "s3" => {
            let (mut headers, body) = typed("application/xml", s3_error(error, code, request_id));
            for (name, value) in error.fields.iter().filter(|(name, _)| is_header(name)) {
                let text = text::print(value, crate::schema::TimestampFormat::HttpDate);
                insert(&mut headers, name, &text);
            }
            (headers, body)
        }
        Protocol::RestXml => {
            let text = query::encode_error(service, error, code, request_id, Dialect::Aws);
            typed("text/xml", text)
        }
        Protocol::AwsJson10 | Protocol::AwsJson11 => {
            typed(json_type(protocol), error_json(service, error, Some(name)).to_string())
        }
        Protocol::RestJson1 => {
            let (mut headers, body) =
                typed("application/json", error_json(service, error, None).to_string());
            insert(&mut headers, "x-amzn-errortype", name);
            (headers, body)
        }
        Protocol::RpcV2Cbor => {
            let shape = known.map(|known| known.shape);
            let key = message_key(service, error);
            let extra = [("__type", name), (key, error.message.as_str())];
            let (mut headers, body) =
                typed("application/cbor", cbor::encode_body(service, shape, &error.fields, &extra));
            headers.insert("smithy-protocol", HeaderValue::from_static("rpc-v2-cbor"));
            (headers, body)
        }
    };
    let is_rpc =
        matches!(protocol, Protocol::AwsJson10 | Protocol::AwsJson11 | Protocol::RpcV2Cbor);
    if service.query_compatible && is_rpc {
        let fault = if error.sender { "Sender" } else { "Receiver" };
        insert(&mut headers, "x-amzn-query-error", &format!("{code};{fault}"));
    }
    identify(service, &mut headers, request_id);
    respond(error.status, headers, body)
}

fn insert(headers: &mut HeaderMap, name: &'static str, text: &str) {
    if let Ok(value) = HeaderValue::from_str(text) {
        headers.insert(HeaderName::from_static(name), value);
    }
}

/// Members of an error of S3 whose names begin small go into headers, as `x-amz-delete-marker`.
fn is_header(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_lowercase())
}

/// AWS: "Amazon S3 API Reference", error responses.
fn s3_error(error: &ServiceError, code: &str, request_id: &str) -> String {
    let mut writer = Writer::document();
    writer.open("Error", None);
    writer.leaf("Code", code);
    writer.leaf("Message", &error.message);
    for (name, value) in error.fields.iter().filter(|(name, _)| !is_header(name)) {
        writer.leaf(name, &text::print(value, crate::schema::TimestampFormat::Iso8601));
    }
    writer.leaf("RequestId", request_id);
    writer.leaf("HostId", request_id);
    writer.close("Error");
    writer.text
}

/// The name that an error's message has: services differ in its capital.
fn message_key(service: &ServiceSchema, error: &ServiceError) -> &'static str {
    let members = service.error(&error.code).map(|known| service.members(known.shape));
    let mut members = members.unwrap_or_default().iter();
    let found = members.find(|member| member.name.eq_ignore_ascii_case("message"));
    found.map_or("message", |member| member.location_name.unwrap_or(member.name))
}

fn error_json(service: &ServiceSchema, error: &ServiceError, kind: Option<&str>) -> Json {
    let mut object = serde_json::Map::new();
    if let Some(kind) = kind {
        // Clients of services that changed protocol expect the shape's full name.
        let kind = match service.query_compatible {
            true => format!("com.amazonaws.{}#{kind}", service.name),
            false => kind.to_owned(),
        };
        object.insert("__type".to_owned(), kind.into());
    }
    if !error.message.is_empty() || kind.is_none() {
        object.insert(message_key(service, error).to_owned(), error.message.clone().into());
    }
    if let Some(known) = service.error(&error.code)
        && let Json::Object(members) = json::encode_structure(service, known.shape, &error.fields)
    {
        object.extend(members);
    }
    Json::Object(object)
}

/// Writes a request: its path, query, headers and body. The caller sets the host and signs.
///
/// # Errors
///
/// When a member makes no valid request target.
pub fn encode_request(
    service: &ServiceSchema,
    operation: &OperationSchema,
    protocol: Protocol,
    input: &Value,
) -> Result<Request<Bytes>, http::Error> {
    let none = Fields::new();
    let fields = input.as_struct().unwrap_or(&none);
    let form = "application/x-www-form-urlencoded; charset=utf-8";
    let post = |content_type, body: Vec<u8>| {
        Request::post("/").header(CONTENT_TYPE, content_type).body(Bytes::from(body))
    };
    match protocol {
        Protocol::Ec2Query => {
            post(form, query::encode(service, operation, input, Dialect::Ec2).into())
        }
        Protocol::AwsQuery => {
            post(form, query::encode(service, operation, input, Dialect::Aws).into())
        }
        Protocol::AwsJson10 | Protocol::AwsJson11 => {
            let json = operation.input.map(|s| json::encode_structure(service, s, fields));
            let json = json.unwrap_or_else(|| Json::Object(serde_json::Map::new()));
            let target = format!("{}.{}", service.target_prefix.unwrap_or(""), operation.name);
            Request::post("/")
                .header(CONTENT_TYPE, json_type(protocol))
                .header("x-amz-target", target)
                .body(Bytes::from(json.to_string()))
        }
        Protocol::RpcV2Cbor => {
            let prefix = service.target_prefix.unwrap_or(service.service_id);
            Request::post(format!("/service/{prefix}/operation/{}", operation.name))
                .header(CONTENT_TYPE, "application/cbor")
                .header("smithy-protocol", "rpc-v2-cbor")
                .header("accept", "application/cbor")
                .body(cbor::encode_body(service, operation.input, fields, &[]).into())
        }
        Protocol::RestJson1 | Protocol::RestXml => {
            let root = operation.input_element.unwrap_or(operation.name);
            let namespace = operation.input_namespace.or(service.xml_namespace);
            let message =
                rest::encode(service, operation.input, fields, (root, namespace), protocol);
            let target = rest::target(operation, &message);
            let body = match message.body {
                Body::Bytes(bytes) => bytes,
                // A request with a stream is sent by the caller; here it has no body.
                Body::Stream(_) => Bytes::new(),
            };
            let mut request =
                Request::builder().method(operation.http_method).uri(target).body(body)?;
            request.headers_mut().extend(message.headers);
            Ok(request)
        }
    }
}

/// Reads an answer.
///
/// # Errors
///
/// The error that the answer carries, or `SerializationException` when it cannot be read.
pub fn decode_output(
    service: &ServiceSchema,
    operation: &OperationSchema,
    protocol: Protocol,
    response: Response<Bytes>,
) -> Result<Value, ServiceError> {
    let (parts, body) = response.into_parts();
    let status = parts.status.as_u16();
    if status >= 300 && status != operation.status {
        return Err(decode_error(protocol, status, &parts.headers, &body));
    }
    let Some(shape) = operation.output else { return Ok(Value::empty_struct()) };
    let decoded = match protocol {
        Protocol::Ec2Query => query::decode_output(service, operation, &body, Dialect::Ec2),
        Protocol::AwsQuery => query::decode_output(service, operation, &body, Dialect::Aws),
        Protocol::AwsJson10 | Protocol::AwsJson11 => json::parse(&body)
            .and_then(|json| json::decode_structure(service, shape, json, MAX_DEPTH))
            .map(Value::Struct),
        Protocol::RpcV2Cbor => cbor::decode_body(service, shape, &body),
        Protocol::RestXml if is_unwrapped(service, operation) => {
            Element::parse(&body).map(|root| {
                let member = service.members(shape).first();
                let text = (!root.text.is_empty()).then_some(Value::Text(root.text));
                Value::Struct(member.and_then(|m| Some((m.name, text?))).into_iter().collect())
            })
        }
        Protocol::RestJson1 | Protocol::RestXml => {
            let envelope = rest::Envelope {
                labels: &[],
                fixed: &[],
                query: &[],
                headers: &parts.headers,
                status,
            };
            rest::decode(service, shape, &envelope, Body::Bytes(body), protocol)
        }
    };
    decoded.map_err(|malformed| {
        ServiceError::new("SerializationException", malformed.to_string()).status(500)
    })
}

fn decode_error(protocol: Protocol, status: u16, headers: &HeaderMap, body: &[u8]) -> ServiceError {
    let (code, message) = match protocol {
        Protocol::Ec2Query | Protocol::AwsQuery | Protocol::RestXml => {
            let root = Element::parse(body).unwrap_or_default();
            let error = root.child("Errors").unwrap_or(&root);
            let error = error.child("Error").unwrap_or(error);
            let text = |name| error.child(name).map(|e| e.text.clone()).unwrap_or_default();
            (text("Code"), text("Message"))
        }
        Protocol::AwsJson10 | Protocol::AwsJson11 | Protocol::RestJson1 => {
            let json = json::parse(body).unwrap_or_default();
            let text = |name: &str| json.get(name).and_then(Json::as_str).map(str::to_owned);
            let header = headers.get("x-amzn-errortype").and_then(|v| v.to_str().ok());
            let code = header.map(str::to_owned).or_else(|| text("__type"));
            let message = text("message").or_else(|| text("Message"));
            (code.unwrap_or_default(), message.unwrap_or_default())
        }
        Protocol::RpcV2Cbor => cbor::decode_error(body).unwrap_or_default(),
    };
    let code = code.split(':').next().unwrap_or_default();
    let code = code.rsplit('#').next().unwrap_or_default();
    let code = if code.is_empty() { status.to_string() } else { code.to_owned() };
    ServiceError::new(code, message).status(status)
}
