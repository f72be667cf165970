//! From an embedded extract to a [`ServiceSchema`].

use std::collections::{BTreeMap, HashMap};

use serde::Deserialize;

use crate::query_compatible;
use crate::schema::{
    ErrorSchema, Kind, Location, MemberSchema, OperationSchema, Paginator, Pattern, Protocol,
    ServiceSchema, ShapeRef, ShapeSchema, Structure, TimestampFormat, XmlNamespace,
};
use crate::uri::UriTemplate;

#[derive(Deserialize)]
struct Model {
    metadata: Metadata,
    operations: BTreeMap<String, Operation>,
    shapes: BTreeMap<String, Shape>,
    #[serde(default)]
    pagination: BTreeMap<String, Pages>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metadata {
    api_version: String,
    aws_query_compatible: Option<serde_json::Value>,
    endpoint_prefix: String,
    global_endpoint: Option<String>,
    json_version: Option<String>,
    protocol: String,
    #[serde(default)]
    protocols: Vec<String>,
    service_id: String,
    signing_name: Option<String>,
    target_prefix: Option<String>,
    xml_namespace: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Operation {
    http: Http,
    input: Option<Member>,
    output: Option<Member>,
    #[serde(default)]
    errors: Vec<String>,
    #[serde(default)]
    readonly: bool,
    #[serde(default)]
    idempotent: bool,
    #[serde(default)]
    deprecated: bool,
    endpoint: Option<Endpoint>,
    authtype: Option<String>,
    http_checksum: Option<Checksum>,
    #[serde(default)]
    http_checksum_required: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Http {
    method: String,
    request_uri: String,
    response_code: Option<u16>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Endpoint {
    host_prefix: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Checksum {
    #[serde(default)]
    request_checksum_required: bool,
}

#[derive(Deserialize)]
struct Pages {
    #[serde(default)]
    input_token: OneOrMany,
    #[serde(default)]
    output_token: OneOrMany,
    limit_key: Option<String>,
    #[serde(default)]
    result_key: OneOrMany,
    more_results: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Shape {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    members: Vec<(String, Member)>,
    #[serde(default)]
    required: Vec<String>,
    member: Option<Member>,
    key: Option<Member>,
    value: Option<Member>,
    #[serde(default, rename = "enum")]
    values: Vec<String>,
    min: Option<serde_json::Number>,
    max: Option<serde_json::Number>,
    pattern: Option<String>,
    payload: Option<String>,
    location_name: Option<String>,
    timestamp_format: Option<String>,
    xml_namespace: Option<Namespace>,
    error: Option<Error>,
    #[serde(default)]
    exception: bool,
    #[serde(default)]
    fault: bool,
    #[serde(default)]
    document: bool,
    #[serde(default)]
    eventstream: bool,
    #[serde(default)]
    flattened: bool,
    #[serde(default)]
    sensitive: bool,
    #[serde(default)]
    streaming: bool,
    #[serde(default)]
    union: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Error {
    code: Option<String>,
    http_status_code: Option<u16>,
    sender_fault: Option<bool>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Member {
    shape: String,
    location: Option<String>,
    location_name: Option<String>,
    query_name: Option<String>,
    result_wrapper: Option<String>,
    timestamp_format: Option<String>,
    xml_namespace: Option<Namespace>,
    #[serde(default)]
    flattened: bool,
    #[serde(default)]
    xml_attribute: bool,
    #[serde(default)]
    idempotency_token: bool,
    #[serde(default)]
    host_label: bool,
    #[serde(default)]
    jsonvalue: bool,
    #[serde(default)]
    streaming: bool,
}

#[derive(Deserialize)]
struct Namespace {
    prefix: Option<String>,
    uri: String,
}

impl Default for OneOrMany {
    fn default() -> Self {
        Self::Many(Vec::new())
    }
}

impl OneOrMany {
    fn into_names(self) -> Vec<&'static str> {
        match self {
            Self::One(name) => vec![leak(name)],
            Self::Many(names) => names.into_iter().map(leak).collect(),
        }
    }
}

/// Names live as long as the process: there is one copy of each model.
fn leak(text: String) -> &'static str {
    Box::leak(text.into_boxed_str())
}

/// Unpacks an extract.
///
/// # Panics
///
/// When the extract is not what `cargo xtask codegen` writes, which a test of every embedded
/// extract excludes.
pub(crate) fn service(name: &'static str, packed: &[u8]) -> ServiceSchema {
    let text = zstd::decode_all(packed).expect("an embedded extract is whole");
    let model: Model = serde_json::from_slice(&text).expect("an embedded extract is well-formed");
    let Model { metadata, operations, shapes, mut pagination } = model;
    let index: HashMap<String, ShapeRef> =
        shapes.keys().enumerate().map(|(at, name)| (name.clone(), ShapeRef(at))).collect();
    let errors: HashMap<&'static str, ErrorSchema> = shapes
        .iter()
        .filter(|(_, shape)| shape.exception || shape.error.is_some())
        .map(|(shape_name, shape)| error(name, shape_name, shape, &index))
        .map(|error| (error.name, error))
        .collect();
    let operations = operations.into_iter().map(|(name, operation)| {
        let pages = pagination.remove(&name);
        let operation = self::operation(leak(name), operation, pages, &index, &errors);
        (operation.name, operation)
    });
    let operations: BTreeMap<_, _> = operations.collect();
    let mut shapes: Vec<ShapeSchema> =
        shapes.into_iter().map(|(name, s)| shape(leak(name), s, &index)).collect();
    query_compatible::name_for_query(name, &mut shapes);
    // The models of restXml name the namespace at the requests.
    let of_requests = operations.values().find_map(|operation| operation.input_namespace);
    let endpoint_prefix = leak(metadata.endpoint_prefix.clone());
    let query_compatible = metadata.aws_query_compatible.is_some();
    ServiceSchema {
        name,
        protocols: protocols(&metadata),
        service_id: leak(metadata.service_id),
        api_version: leak(metadata.api_version),
        signing_name: metadata.signing_name.map_or(endpoint_prefix, leak),
        endpoint_prefix,
        global_endpoint: metadata.global_endpoint.map(leak),
        target_prefix: metadata.target_prefix.map(leak),
        xml_namespace: metadata
            .xml_namespace
            .map(leak)
            .or_else(|| query_compatible::namespace(name))
            .or(of_requests),
        query_compatible,
        operations,
        shapes,
        errors,
    }
}

fn protocols(metadata: &Metadata) -> Vec<Protocol> {
    let mut listed: Vec<&str> = metadata.protocols.iter().map(String::as_str).collect();
    if !listed.contains(&metadata.protocol.as_str()) {
        listed.push(&metadata.protocol);
    }
    // Clients from before the change of protocol still speak the older one.
    if metadata.aws_query_compatible.is_some() && !listed.contains(&"query") {
        listed.push("query");
    }
    let json = if metadata.json_version.as_deref() == Some("1.0") {
        Protocol::AwsJson10
    } else {
        Protocol::AwsJson11
    };
    let known = listed.into_iter().filter_map(|protocol| match protocol {
        "ec2" => Some(Protocol::Ec2Query),
        "query" => Some(Protocol::AwsQuery),
        "json" => Some(json),
        "rest-json" => Some(Protocol::RestJson1),
        "rest-xml" => Some(Protocol::RestXml),
        "smithy-rpc-v2-cbor" => Some(Protocol::RpcV2Cbor),
        _ => None,
    });
    known.collect()
}

fn error(
    service: &str,
    name: &str,
    shape: &Shape,
    index: &HashMap<String, ShapeRef>,
) -> ErrorSchema {
    let name = leak(name.to_owned());
    let code = shape.error.as_ref().and_then(|e| e.code.clone()).map(leak);
    let status = shape.error.as_ref().and_then(|e| e.http_status_code);
    let sender = shape.error.as_ref().and_then(|e| e.sender_fault).unwrap_or(!shape.fault);
    let status = status.unwrap_or(if shape.fault { 500 } else { 400 });
    ErrorSchema {
        name,
        code: code.or_else(|| query_compatible::query_code(service, name)).unwrap_or(name),
        status,
        sender: sender && status < 500,
        shape: resolve(index, name),
    }
}

fn resolve(index: &HashMap<String, ShapeRef>, name: &str) -> ShapeRef {
    *index.get(name).expect("a model names only shapes that it has")
}

fn operation(
    name: &'static str,
    operation: Operation,
    pages: Option<Pages>,
    index: &HashMap<String, ShapeRef>,
    errors: &HashMap<&'static str, ErrorSchema>,
) -> OperationSchema {
    let http_path = leak(operation.http.request_uri);
    let (input, output) = (operation.input, operation.output);
    let input_shape = input.as_ref().map(|i| resolve(index, &i.shape));
    let output_shape = output.as_ref().map(|o| resolve(index, &o.shape));
    let (input_element, input_namespace) = input.map_or((None, None), |input| {
        (input.location_name.map(leak), input.xml_namespace.map(|n| leak(n.uri)))
    });
    OperationSchema {
        name,
        http_method: leak(operation.http.method),
        http_path,
        uri: UriTemplate::parse(http_path),
        status: operation.http.response_code.unwrap_or(200),
        input: input_shape,
        input_element,
        input_namespace,
        output: output_shape,
        result_wrapper: output.and_then(|o| o.result_wrapper).map(leak),
        errors: operation.errors.iter().filter_map(|e| errors.get(e.as_str())).copied().collect(),
        paginator: pages.map(|pages| Paginator {
            input_token: pages.input_token.into_names(),
            output_token: pages.output_token.into_names(),
            limit_key: pages.limit_key.map(leak),
            result_key: pages.result_key.into_names(),
            more_results: pages.more_results.map(leak),
        }),
        readonly: operation.readonly,
        idempotent: operation.idempotent,
        deprecated: operation.deprecated,
        host_prefix: operation.endpoint.and_then(|e| e.host_prefix).map(leak),
        anonymous: operation.authtype.as_deref() == Some("none"),
        checksum_required: operation.http_checksum_required
            || operation.http_checksum.is_some_and(|c| c.request_checksum_required),
    }
}

fn shape(name: &'static str, shape: Shape, index: &HashMap<String, ShapeRef>) -> ShapeSchema {
    let element = |element: Option<Member>, name| {
        member(name, element.expect("a list or map has elements"), false, index)
    };
    let kind = match shape.kind.as_str() {
        "structure" if shape.document => Kind::Document,
        "structure" => Kind::Structure(Structure {
            members: shape
                .members
                .into_iter()
                .map(|(name, m)| {
                    let required = shape.required.contains(&name);
                    member(leak(name), m, required, index)
                })
                .collect(),
            union: shape.union,
            payload: shape.payload.map(leak),
            event_stream: shape.eventstream,
        }),
        "list" => Kind::List(element(shape.member, "member")),
        "map" => Kind::Map(Box::new((element(shape.key, "key"), element(shape.value, "value")))),
        "boolean" => Kind::Boolean,
        "integer" | "short" | "byte" => Kind::Integer,
        "long" => Kind::Long,
        "float" | "double" => Kind::Double,
        "blob" => Kind::Blob,
        "timestamp" => Kind::Timestamp,
        _ => Kind::String,
    };
    ShapeSchema {
        name,
        kind,
        min: shape.min,
        max: shape.max,
        pattern: shape.pattern.map(|pattern| Pattern::new(leak(pattern))),
        values: shape.values.into_iter().map(leak).collect(),
        sensitive: shape.sensitive,
        flattened: shape.flattened,
        streaming: shape.streaming,
        timestamp_format: shape.timestamp_format.as_deref().and_then(timestamp_format),
        location_name: shape.location_name.map(leak),
        xml_namespace: shape.xml_namespace.map(namespace),
    }
}

fn member(
    name: &'static str,
    member: Member,
    required: bool,
    index: &HashMap<String, ShapeRef>,
) -> MemberSchema {
    MemberSchema {
        name,
        target: resolve(index, &member.shape),
        required,
        location: member.location.as_deref().and_then(|location| match location {
            "uri" => Some(Location::Uri),
            "querystring" => Some(Location::Query),
            "header" => Some(Location::Header),
            "headers" => Some(Location::Headers),
            "statusCode" => Some(Location::Status),
            _ => None,
        }),
        location_name: member.location_name.map(leak),
        compatible_name: None,
        query_name: member.query_name.map(leak),
        flattened: member.flattened,
        xml_attribute: member.xml_attribute,
        xml_namespace: member.xml_namespace.map(namespace),
        idempotency_token: member.idempotency_token,
        host_label: member.host_label,
        json_value: member.jsonvalue,
        streaming: member.streaming,
        timestamp_format: member.timestamp_format.as_deref().and_then(timestamp_format),
    }
}

fn namespace(namespace: Namespace) -> XmlNamespace {
    XmlNamespace { prefix: namespace.prefix.map(leak), uri: leak(namespace.uri) }
}

fn timestamp_format(text: &str) -> Option<TimestampFormat> {
    match text {
        "iso8601" => Some(TimestampFormat::Iso8601),
        "unixTimestamp" => Some(TimestampFormat::Epoch),
        "rfc822" => Some(TimestampFormat::HttpDate),
        _ => None,
    }
}
