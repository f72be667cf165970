//! AWS's API models in memory: what the codecs, the validator and the router are driven by.
//!
//! The extracts are embedded; a service's is unpacked when it is first asked for and then lives as
//! long as the process, so that names can be `&'static str` everywhere. This is constant data, not
//! state.

use std::collections::{BTreeMap, HashMap};
use std::sync::{LazyLock, OnceLock};

use regex::Regex;

use crate::load;
use crate::uri::UriTemplate;

/// How deep values may nest on the wire; deeper requests are refused before they are built.
pub const MAX_DEPTH: usize = 64;

type Loaded = (&'static [u8], OnceLock<ServiceSchema>);

static EMBEDDED: &[(ServiceHead, &[u8])] = include!("../../../models/embedded.inc");

static LOADED: LazyLock<HashMap<&'static str, Loaded>> = LazyLock::new(|| {
    EMBEDDED.iter().map(|(head, packed)| (head.name, (*packed, OnceLock::new()))).collect()
});

/// A service's model, by boto3's client name.
pub fn service(name: &str) -> Option<&'static ServiceSchema> {
    let (name, (packed, schema)) = LazyLock::force(&LOADED).get_key_value(name)?;
    Some(schema.get_or_init(|| load::service(name, packed)))
}

/// The names of all embedded services, in alphabetical order.
pub fn services() -> impl Iterator<Item = &'static str> {
    heads().map(|head| head.name)
}

/// What tells the embedded services apart, without unpacking their models.
pub fn heads() -> impl Iterator<Item = &'static ServiceHead> {
    EMBEDDED.iter().map(|(head, _)| head)
}

/// What tells a service apart from others.
#[derive(Debug)]
pub struct ServiceHead {
    /// The name of boto3's client: `elbv2`.
    pub name: &'static str,
    /// The name that SDKs and CloudTrail derive theirs from: `Elastic Load Balancing v2`.
    pub service_id: &'static str,
    /// The version of the API: `2015-12-01`.
    pub api_version: &'static str,
    /// The name in the signature's scope: `elasticloadbalancing`.
    pub signing_name: &'static str,
    /// The first label of the host name.
    pub endpoint_prefix: &'static str,
    /// What stands before the dot in `X-Amz-Target`.
    pub target_prefix: Option<&'static str>,
}

/// A wire protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// EC2's form-encoded requests and XML answers.
    Ec2Query,
    /// Form-encoded requests and XML answers.
    AwsQuery,
    /// JSON 1.0 with a target header.
    AwsJson10,
    /// JSON 1.1 with a target header.
    AwsJson11,
    /// JSON with bindings to the path, query and headers.
    RestJson1,
    /// XML with bindings to the path, query and headers.
    RestXml,
    /// CBOR on `/service/{service}/operation/{operation}`.
    RpcV2Cbor,
}

/// A service's model.
#[derive(Debug)]
pub struct ServiceSchema {
    /// The name of boto3's client: `elbv2`.
    pub name: &'static str,
    /// The name that SDKs and CloudTrail derive theirs from: `Elastic Load Balancing v2`.
    pub service_id: &'static str,
    /// The version of the API: `2015-12-01`.
    pub api_version: &'static str,
    /// The name in the signature's scope: `elasticloadbalancing`.
    pub signing_name: &'static str,
    /// The first label of the host name.
    pub endpoint_prefix: &'static str,
    /// The host of a service that is one for all regions.
    pub global_endpoint: Option<&'static str>,
    /// What stands before the dot in `X-Amz-Target`.
    pub target_prefix: Option<&'static str>,
    /// The namespace of XML answers.
    pub xml_namespace: Option<&'static str>,
    /// The protocols that the service accepts, in the model's order.
    pub protocols: Vec<Protocol>,
    /// Whether JSON errors also carry the code of the query protocol that came before.
    pub query_compatible: bool,
    pub(crate) operations: BTreeMap<&'static str, OperationSchema>,
    pub(crate) shapes: Vec<ShapeSchema>,
    pub(crate) errors: HashMap<&'static str, ErrorSchema>,
}

/// An operation of a service.
#[derive(Debug)]
pub struct OperationSchema {
    /// AWS's name: `CreateQueue`.
    pub name: &'static str,
    /// The HTTP method.
    pub http_method: &'static str,
    /// The template of the path and query: `/{Bucket}/{Key+}?acl`.
    pub http_path: &'static str,
    /// The template, taken apart.
    pub uri: UriTemplate,
    /// The status of a success.
    pub status: u16,
    /// What the operation is asked with.
    pub input: Option<ShapeRef>,
    /// The element around an XML request.
    pub input_element: Option<&'static str>,
    /// The namespace of an XML request.
    pub input_namespace: Option<&'static str>,
    /// What the operation answers.
    pub output: Option<ShapeRef>,
    /// The element around the members of a query answer.
    pub result_wrapper: Option<&'static str>,
    /// The errors that the model lists.
    pub errors: Vec<ErrorSchema>,
    /// How the operation pages.
    pub paginator: Option<Paginator>,
    /// Whether the model says that it changes nothing.
    pub readonly: bool,
    /// Whether the model says that it may be repeated.
    pub idempotent: bool,
    /// What stands before the host name: `{Bucket}.`.
    pub host_prefix: Option<&'static str>,
    /// Whether another operation took its place.
    pub deprecated: bool,
    /// Whether callers need no signature.
    pub anonymous: bool,
    /// Whether a checksum of the body is required.
    pub checksum_required: bool,
}

/// How an operation pages.
#[derive(Debug, Clone, Default)]
pub struct Paginator {
    /// The members that carry the token in.
    pub input_token: Vec<&'static str>,
    /// The members (or paths to them) that carry the token out.
    pub output_token: Vec<&'static str>,
    /// The member that bounds a page.
    pub limit_key: Option<&'static str>,
    /// The lists that are paged.
    pub result_key: Vec<&'static str>,
    /// The member that says whether more follows.
    pub more_results: Option<&'static str>,
}

/// An error of a service.
#[derive(Debug, Clone, Copy)]
pub struct ErrorSchema {
    /// The name of its shape.
    pub name: &'static str,
    /// Its code in the query protocols.
    pub code: &'static str,
    /// Its HTTP status.
    pub status: u16,
    /// Whether the caller is to blame.
    pub sender: bool,
    /// Its members.
    pub shape: ShapeRef,
}

/// A reference to a shape of the same service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ShapeRef(pub(crate) usize);

/// A shape.
#[derive(Debug)]
pub struct ShapeSchema {
    /// AWS's name.
    pub name: &'static str,
    /// What it is made of.
    pub kind: Kind,
    /// The least value, or the least length.
    pub min: Option<serde_json::Number>,
    /// The greatest value, or the greatest length.
    pub max: Option<serde_json::Number>,
    /// What a string must match as a whole.
    pub pattern: Option<Pattern>,
    /// The values of an enumeration; empty for other strings.
    pub values: Vec<&'static str>,
    /// Whether its values must not be logged.
    pub sensitive: bool,
    /// Whether a list or map is written without an element of its own.
    pub flattened: bool,
    /// Whether a blob travels as a stream.
    pub streaming: bool,
    /// The form of a timestamp where it is not the protocol's.
    pub timestamp_format: Option<TimestampFormat>,
    /// The element's name in XML.
    pub location_name: Option<&'static str>,
    /// The namespace of its element in XML.
    pub xml_namespace: Option<XmlNamespace>,
}

/// What a shape is made of.
#[derive(Debug)]
pub enum Kind {
    /// Named members.
    Structure(Structure),
    /// Elements of one shape.
    List(MemberSchema),
    /// Values of one shape by strings.
    Map(Box<(MemberSchema, MemberSchema)>),
    /// Text.
    String,
    /// Truth.
    Boolean,
    /// 32 bits.
    Integer,
    /// 64 bits.
    Long,
    /// A floating-point number.
    Double,
    /// Bytes.
    Blob,
    /// A point in time.
    Timestamp,
    /// Free-form JSON.
    Document,
}

/// The members of a structure.
#[derive(Debug)]
pub struct Structure {
    /// The members in the model's order.
    pub members: Vec<MemberSchema>,
    /// Whether exactly one member must be set.
    pub union: bool,
    /// The member that is the whole body.
    pub payload: Option<&'static str>,
    /// Whether it is a stream of events.
    pub event_stream: bool,
}

/// A member of a structure, or the element of a list or map.
#[derive(Debug)]
pub struct MemberSchema {
    /// AWS's name; `member`, `key` or `value` for elements.
    pub name: &'static str,
    /// Its shape.
    pub target: ShapeRef,
    /// Whether it must be present.
    pub required: bool,
    /// Where it travels in the REST protocols, if not in the body.
    pub location: Option<Location>,
    /// Its name on the wire where that differs.
    pub location_name: Option<&'static str>,
    /// Its name in the query protocol where the service has another protocol now.
    pub compatible_name: Option<&'static str>,
    /// Its name in EC2's requests where that differs.
    pub query_name: Option<&'static str>,
    /// Whether a list or map is written without an element of its own.
    pub flattened: bool,
    /// Whether it is an attribute of the element in XML.
    pub xml_attribute: bool,
    /// The namespace of its element in XML.
    pub xml_namespace: Option<XmlNamespace>,
    /// Whether clients fill it to make a repeated call harmless.
    pub idempotency_token: bool,
    /// Whether it is part of the host name.
    pub host_label: bool,
    /// Whether it is JSON inside a header.
    pub json_value: bool,
    /// Whether it travels as a stream.
    pub streaming: bool,
    /// The form of a timestamp where it is not the protocol's.
    pub timestamp_format: Option<TimestampFormat>,
}

/// Where a member travels in the REST protocols.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Location {
    /// A label of the path.
    Uri,
    /// A parameter of the query.
    Query,
    /// A header.
    Header,
    /// All headers with a prefix.
    Headers,
    /// The status.
    Status,
}

/// The form of a timestamp.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimestampFormat {
    /// `2026-11-20T11:14:00Z`.
    Iso8601,
    /// Seconds since the epoch.
    Epoch,
    /// `Fri, 20 Nov 2026 11:14:00 GMT`.
    HttpDate,
}

/// A namespace of an XML element.
#[derive(Debug, Clone, Copy)]
pub struct XmlNamespace {
    /// The prefix that it is bound to, or none for the default.
    pub prefix: Option<&'static str>,
    /// The name.
    pub uri: &'static str,
}

/// A pattern, compiled when it is first needed.
#[derive(Debug)]
pub struct Pattern {
    /// The model's text.
    pub text: &'static str,
    compiled: OnceLock<Option<Regex>>,
}

impl Pattern {
    pub(crate) const fn new(text: &'static str) -> Self {
        Self { text, compiled: OnceLock::new() }
    }

    /// The pattern for a whole text, or `None` where it uses what the engine lacks (look-around).
    pub fn regex(&self) -> Option<&Regex> {
        self.compiled.get_or_init(|| crate::pattern::compile(self.text)).as_ref()
    }
}

impl ServiceSchema {
    /// An operation by AWS's name.
    pub fn operation(&self, name: &str) -> Option<&OperationSchema> {
        self.operations.get(name)
    }

    /// All operations, in alphabetical order.
    pub fn operations(&self) -> impl Iterator<Item = &OperationSchema> {
        self.operations.values()
    }

    /// The shape that a reference of this service names.
    pub fn shape(&self, reference: ShapeRef) -> &ShapeSchema {
        self.shapes.get(reference.0).expect("references are made with the table they index")
    }

    /// An error by the name of its shape, or else by its code in the query protocols.
    pub fn error(&self, name: &str) -> Option<&ErrorSchema> {
        let name = name.rsplit('#').next().unwrap_or(name);
        self.errors
            .get(name)
            .or_else(|| self.errors.values().filter(|e| e.code == name).min_by_key(|e| e.name))
    }

    /// All errors, in no order.
    pub fn errors(&self) -> impl Iterator<Item = &ErrorSchema> {
        self.errors.values()
    }

    /// Whether the service speaks a protocol.
    pub fn speaks(&self, protocol: Protocol) -> bool {
        self.protocols.contains(&protocol)
    }

    /// The members of a structure; none for other shapes.
    pub fn members(&self, reference: ShapeRef) -> &[MemberSchema] {
        match &self.shape(reference).kind {
            Kind::Structure(structure) => &structure.members,
            Kind::List(_)
            | Kind::Map(_)
            | Kind::String
            | Kind::Boolean
            | Kind::Integer
            | Kind::Long
            | Kind::Double
            | Kind::Blob
            | Kind::Timestamp
            | Kind::Document => &[],
        }
    }
}

impl OperationSchema {
    /// The member of the input that is the whole body and travels as a stream.
    pub(crate) fn streaming_member<'a>(
        &self,
        service: &'a ServiceSchema,
        shape: Option<ShapeRef>,
    ) -> Option<&'a MemberSchema> {
        let reference = shape?;
        let payload = service.payload(reference)?;
        let blob = matches!(service.shape(payload.target).kind, Kind::Blob);
        (blob && (payload.streaming || service.shape(payload.target).streaming)).then_some(payload)
    }
}

impl ServiceSchema {
    /// The member of a structure that is the whole body.
    pub(crate) fn payload(&self, reference: ShapeRef) -> Option<&MemberSchema> {
        let Kind::Structure(structure) = &self.shape(reference).kind else { return None };
        let name = structure.payload?;
        structure.members.iter().find(|member| member.name == name)
    }
}
