//! Which operation a request asks for, and in which protocol.

use http::request::Parts;

use crate::error::ServiceError;
use crate::percent;
use crate::schema::{Location, OperationSchema, Protocol, ServiceSchema};
use crate::uri::Labels;

/// A request whose operation and protocol are known.
#[derive(Debug, Clone)]
pub struct Routed {
    /// The operation.
    pub operation: &'static OperationSchema,
    /// The protocol that the request speaks.
    pub protocol: Protocol,
    /// What the path gave, in the REST protocols.
    pub labels: Labels,
}

/// Finds the operation that a request asks for.
///
/// `body` is the whole body, or empty where it was not read: only the query protocols look into it.
/// `bucket` is the bucket that the gateway found in the host name.
///
/// # Errors
///
/// The protocol's own error for an operation that the service does not have.
pub fn route(
    service: &'static ServiceSchema,
    parts: &Parts,
    body: &[u8],
    bucket: Option<&str>,
) -> Result<Routed, ServiceError> {
    if let Some(routed) = rpc(service, parts) {
        return routed;
    }
    let rest = [Protocol::RestJson1, Protocol::RestXml].into_iter().find(|p| service.speaks(*p));
    if let Some(protocol) = rest {
        return self::rest(service, parts, bucket, protocol);
    }
    let query = [Protocol::Ec2Query, Protocol::AwsQuery].into_iter().find(|p| service.speaks(*p));
    let json = service.protocols.iter().find(|protocol| is_json(**protocol)).copied();
    if let Some(protocol) = query {
        if let Some(action) = action(parts, body) {
            return named(service, protocol, &action);
        }
        if json.is_none() {
            return Err(ServiceError::new(
                "MissingAction",
                "Request is missing the Action parameter.",
            ));
        }
    }
    Err(ServiceError::unknown_operation(service, json.unwrap_or(Protocol::RpcV2Cbor), ""))
}

/// Which protocol's form an error has before a request is routed, by the signs it carries.
pub fn guess(service: &ServiceSchema, parts: &Parts) -> Protocol {
    let signs = [
        (Protocol::RpcV2Cbor, parts.headers.contains_key("smithy-protocol")),
        (Protocol::AwsJson10, parts.headers.contains_key("x-amz-target")),
        (Protocol::AwsJson11, parts.headers.contains_key("x-amz-target")),
        (Protocol::Ec2Query, true),
        (Protocol::AwsQuery, true),
    ];
    let sign = signs.into_iter().find(|(protocol, seen)| *seen && service.speaks(*protocol));
    let first = service.protocols.first().copied();
    sign.map(|(protocol, _)| protocol).or(first).unwrap_or(Protocol::RestJson1)
}

const fn is_json(protocol: Protocol) -> bool {
    matches!(protocol, Protocol::AwsJson10 | Protocol::AwsJson11)
}

/// The protocols that name the operation outside of the body.
fn rpc(service: &'static ServiceSchema, parts: &Parts) -> Option<Result<Routed, ServiceError>> {
    if service.speaks(Protocol::RpcV2Cbor)
        && parts.headers.get("smithy-protocol").is_some_and(|v| v == "rpc-v2-cbor")
    {
        let name = parts.uri.path().rsplit_once("/operation/").map_or("", |(_, name)| name);
        return Some(named(service, Protocol::RpcV2Cbor, name));
    }
    let protocol = service.protocols.iter().find(|protocol| is_json(**protocol)).copied()?;
    let target = parts.headers.get("x-amz-target")?.to_str().unwrap_or_default();
    let (prefix, name) = target.rsplit_once('.').unwrap_or(("", target));
    let is_ours = service.target_prefix.is_none_or(|known| {
        // Some SDKs leave out the package of the few prefixes that have one.
        known == prefix || known.rsplit('.').next() == Some(prefix)
    });
    let name = if is_ours { name } else { "" };
    Some(named(service, protocol, name))
}

fn named(
    service: &'static ServiceSchema,
    protocol: Protocol,
    name: &str,
) -> Result<Routed, ServiceError> {
    let operation = service.operation(name);
    let operation =
        operation.ok_or_else(|| ServiceError::unknown_operation(service, protocol, name))?;
    Ok(Routed { operation, protocol, labels: Labels::new() })
}

/// The `Action` parameter of the query or of the form.
fn action(parts: &Parts, body: &[u8]) -> Option<String> {
    let query = parts.uri.query().unwrap_or_default();
    let form = std::str::from_utf8(body).unwrap_or_default();
    let mut pairs = percent::pairs(query).chain(percent::pairs(form));
    pairs.find(|(name, _)| name == "Action").map(|(_, value)| value)
}

/// How well an operation fits a request; the greatest wins.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Fit {
    literal_path: usize,
    not_greedy: bool,
    complete: bool,
    literal_query: usize,
    required: usize,
    current: bool,
}

fn rest(
    service: &'static ServiceSchema,
    parts: &Parts,
    bucket: Option<&str>,
    protocol: Protocol,
) -> Result<Routed, ServiceError> {
    let path = match bucket {
        Some(bucket) => format!("/{}{}", percent::encode(bucket, b""), parts.uri.path()),
        None => parts.uri.path().to_owned(),
    };
    let query: Vec<(String, String)> =
        percent::pairs(parts.uri.query().unwrap_or_default()).collect();
    let mut best: Option<(Fit, &'static OperationSchema, Labels)> = None;
    for operation in service.operations() {
        if operation.http_method != parts.method.as_str() || !operation.uri.match_query(&query) {
            continue;
        }
        let Some(labels) = operation.uri.match_path(&path) else { continue };
        let fit = fit(service, operation, parts, &query);
        if best.as_ref().is_none_or(|(other, ..)| fit > *other) {
            best = Some((fit, operation, labels));
        }
    }
    match best {
        Some((_, operation, labels)) => Ok(Routed { operation, protocol, labels }),
        None => Err(ServiceError::unknown_operation(service, protocol, "")),
    }
}

/// Operations on the same path differ in the parameters and headers that they require: that is how
/// CopyObject differs from PutObject, and ListParts from GetObject.
fn fit(
    service: &ServiceSchema,
    operation: &OperationSchema,
    parts: &Parts,
    query: &[(String, String)],
) -> Fit {
    let members = operation.input.map(|shape| service.members(shape)).unwrap_or_default();
    let (mut required, mut present) = (0, 0);
    for member in members.iter().filter(|member| member.required) {
        let name = member.location_name.unwrap_or(member.name);
        let is_there = match member.location {
            Some(Location::Query) => query.iter().any(|(n, _)| n == name),
            Some(Location::Header) => parts.headers.contains_key(name),
            Some(Location::Uri | Location::Headers | Location::Status) | None => continue,
        };
        required += 1;
        present += usize::from(is_there);
    }
    Fit {
        literal_path: operation.uri.literals(),
        not_greedy: !operation.uri.is_greedy(),
        complete: present == required,
        literal_query: operation.uri.query.len(),
        required: present,
        current: !operation.deprecated,
    }
}
