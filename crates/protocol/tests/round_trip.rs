//! What is written reads back equal: every operation of every embedded service, in every protocol
//! that the service speaks, in both directions.

#![expect(
    clippy::cast_possible_truncation,
    clippy::indexing_slicing,
    clippy::wildcard_enum_match_arm,
    reason = "made values are bounded where they are made, and a panic fails the test"
)]

use std::sync::LazyLock;

use bytes::Bytes;
use http::Response;
use http_body_util::BodyExt;
use proptest::prelude::*;
use protocol::schema::{
    self, Kind, Location, MemberSchema, OperationSchema, Protocol, ServiceSchema, ShapeRef,
    TimestampFormat,
};
use protocol::wire::{self, Body, Routed};
use protocol::{Fields, Timestamp, Value};

/// Makes values of a shape from a seed, so that a failure names all it needs to come back.
struct Maker {
    service: &'static ServiceSchema,
    protocol: Protocol,
    seed: u64,
}

#[derive(Clone, Copy, PartialEq)]
enum Place {
    Body,
    /// Headers and labels hold no control characters, and no text at all is no value.
    Line,
}

impl Maker {
    fn next(&mut self, below: u64) -> u64 {
        // Steele, Lea, Flood: "Fast splittable pseudorandom number generators".
        self.seed = self.seed.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.seed;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % below
    }

    fn structure(&mut self, shape: ShapeRef, depth: usize) -> Option<Fields> {
        let members = self.service.members(shape);
        let Kind::Structure(structure) = &self.service.shape(shape).kind else { return None };
        let mut fields = Fields::new();
        let only = structure.union.then(|| self.next(members.len().max(1) as u64) as usize);
        for (at, member) in members.iter().enumerate() {
            let wanted = match only {
                Some(only) => at == only,
                // Every answer has a status, and bytes have a type of content by default.
                None if member.location == Some(Location::Status) => true,
                None if member.location_name == Some("Content-Type") => true,
                None => member.required || (depth < 4 && self.next(3) > 0),
            };
            // A streamed body is compared by its own test.
            let streams = member.streaming || self.service.shape(member.target).streaming;
            let is_payload = structure.payload == Some(member.name);
            if wanted
                && !streams
                && let Some(value) = self.member(member, depth, is_payload)
            {
                fields.push(member.name, value);
            }
        }
        (!fields.is_empty()).then_some(fields)
    }

    fn member(&mut self, member: &MemberSchema, depth: usize, is_payload: bool) -> Option<Value> {
        let is_rest = matches!(self.protocol, Protocol::RestJson1 | Protocol::RestXml);
        let place = match member.location.filter(|_| is_rest) {
            Some(Location::Status) => return Some(Value::Int(200)),
            Some(Location::Headers) if member.location_name.is_none_or(str::is_empty) => {
                return None;
            }
            Some(_) => Place::Line,
            // An empty body is no text.
            None if is_rest && is_payload => Place::Line,
            None => Place::Body,
        };
        if member.json_value {
            return Some(Value::Text("{\"a\":1}".to_owned()));
        }
        self.value(member, depth, place)
    }

    fn value(&mut self, member: &MemberSchema, depth: usize, place: Place) -> Option<Value> {
        if depth > 12 {
            return None;
        }
        let shape = self.service.shape(member.target);
        Some(match &shape.kind {
            Kind::Structure(_) => Value::Struct(self.structure(member.target, depth + 1)?),
            Kind::List(item) => {
                let count = 1 + self.next(3);
                let items: Option<Vec<Value>> =
                    (0..count).map(|_| self.value(item, depth + 1, place)).collect();
                Value::List(items?)
            }
            Kind::Map(pair) => {
                let count = 1 + self.next(3);
                let entries: Option<Vec<(String, Value)>> = (0..count)
                    .map(|n| Some((format!("key-{n}"), self.value(&pair.1, depth + 1, place)?)))
                    .collect();
                Value::Map(entries?)
            }
            Kind::String if !shape.values.is_empty() => {
                let at = self.next(shape.values.len() as u64) as usize;
                Value::Text(shape.values[at].to_owned())
            }
            Kind::String => Value::Text(self.text(place)),
            Kind::Boolean => Value::Bool(self.next(2) == 0),
            Kind::Integer => Value::Int(self.next(1 << 32) as i64 - (1 << 31)),
            Kind::Long => Value::Int(self.next(u64::MAX) as i64),
            Kind::Double => Value::Float((self.next(1 << 20) as f64 - 5e5) / 8.0),
            Kind::Blob => {
                let count = 1 + self.next(20);
                Value::Blob((0..count).map(|_| self.next(256) as u8).collect())
            }
            Kind::Timestamp => {
                let ms = self.next(4_000_000_000_000) as i64;
                let is_date = [member.timestamp_format, shape.timestamp_format]
                    .contains(&Some(TimestampFormat::HttpDate));
                let whole = place == Place::Line || is_date || self.next(2) == 0;
                Value::Time(Timestamp::from_millis(if whole { ms / 1000 * 1000 } else { ms }))
            }
            Kind::Document if self.protocol == Protocol::RpcV2Cbor => return None,
            Kind::Document => Value::Document(serde_json::json!({"a": [1, null, "b"]})),
        })
    }

    fn text(&mut self, place: Place) -> String {
        const BODY: &[&str] = &[
            "a", "B", "0", " ", "<", "&", "\"", "'", "é", "漢", "\r", "\n", "\t", "+", "%", "/",
            "]]>", "=",
        ];
        const LINE: &[&str] =
            &["a", "B", "0", "-", "_", ".", "é", "漢", "+", "%", "=", "&", "/", "?"];
        let letters = if place == Place::Line { LINE } else { BODY };
        let count = self.next(8) + u64::from(place == Place::Line);
        (0..count).map(|_| letters[self.next(letters.len() as u64) as usize]).collect()
    }
}

fn has_events(service: &ServiceSchema, shape: Option<ShapeRef>) -> bool {
    shape.is_some_and(|shape| {
        service.members(shape).iter().any(|member| {
            matches!(&service.shape(member.target).kind, Kind::Structure(s) if s.event_stream)
        })
    })
}

/// The same with the members of structures, and what maps hold, in the order of their names.
fn sorted(value: Value) -> Value {
    match value {
        Value::Struct(fields) => {
            let mut fields: Vec<_> = fields.into_iter().map(|(n, v)| (n, sorted(v))).collect();
            fields.sort_by_key(|(name, _)| *name);
            Value::Struct(fields.into_iter().collect())
        }
        Value::Map(mut map) => {
            map.sort_by(|(a, _), (b, _)| a.cmp(b));
            Value::Map(map.into_iter().map(|(key, value)| (key, sorted(value))).collect())
        }
        Value::List(list) => Value::List(list.into_iter().map(sorted).collect()),
        other => other,
    }
}

fn check_request(
    service: &'static ServiceSchema,
    operation: &'static OperationSchema,
    protocol: Protocol,
    seed: u64,
) -> Result<(), String> {
    if has_events(service, operation.input) {
        return Ok(());
    }
    let mut maker = Maker { service, protocol, seed };
    let fields = operation.input.and_then(|shape| maker.structure(shape, 0)).unwrap_or_default();
    let input = Value::Struct(fields);
    let request = wire::encode_request(service, operation, protocol, &input)
        .map_err(|error| format!("{error}: {input:?}"))?;
    let (parts, body) = request.into_parts();
    let text = format!("{} {} {:?}", parts.method, parts.uri, body);
    let routed =
        wire::route(service, &parts, &body, None).map_err(|error| format!("{error}: {text}"))?;
    // Only the host tells directory buckets.
    if operation.name == "ListDirectoryBuckets" {
        return Ok(());
    }
    if routed.operation.name != operation.name {
        return Err(format!("routed to {}: {text}", routed.operation.name));
    }
    if wire::has_streaming_input(service, &routed) {
        return Ok(());
    }
    let got = wire::decode_input(service, &routed, &parts, Body::Bytes(body))
        .map_err(|error| format!("{error}: {text}"))?;
    let (want, got) = (sorted(input), sorted(got));
    if want == got { Ok(()) } else { Err(format!("{text}\nwant {want:?}\ngot  {got:?}")) }
}

fn check_output(
    service: &'static ServiceSchema,
    operation: &'static OperationSchema,
    protocol: Protocol,
    seed: u64,
) -> Result<(), String> {
    if has_events(service, operation.output) {
        return Ok(());
    }
    let mut maker = Maker { service, protocol, seed };
    let fields = operation.output.and_then(|shape| maker.structure(shape, 0)).unwrap_or_default();
    let output = Value::Struct(fields);
    let routed = Routed { operation, protocol, labels: Vec::new() };
    let response = wire::encode_output(service, &routed, output.clone(), "request-1");
    let (parts, body) = response.into_parts();
    let body = now(body.collect()).map_err(|error| error.to_string())?.to_bytes();
    let text = format!("{} {:?} {body:?}", parts.status, parts.headers);
    let response = Response::from_parts(parts, body);
    let got = wire::decode_output(service, operation, protocol, response)
        .map_err(|error| format!("{error}: {text}"))?;
    // A streaming payload reads as a stream, also when it is empty.
    let Value::Struct(got) = got else { return Err(text) };
    let got = got.into_iter().filter(|(_, value)| !matches!(value, Value::Stream(_)));
    let (want, got) = (sorted(output), sorted(Value::Struct(got.collect())));
    if want == got { Ok(()) } else { Err(format!("{text}\nwant {want:?}\ngot  {got:?}")) }
}

/// Ends a future that never waits.
fn now<F: Future>(future: F) -> F::Output {
    let mut future = std::pin::pin!(future);
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    match future.as_mut().poll(&mut context) {
        std::task::Poll::Ready(output) => output,
        std::task::Poll::Pending => panic!("a body in memory does not wait"),
    }
}

type Case = (&'static ServiceSchema, &'static OperationSchema, Protocol);

static CASES: LazyLock<Vec<Case>> = LazyLock::new(|| {
    let mut cases = Vec::new();
    for service in schema::services().filter_map(schema::service) {
        for protocol in &service.protocols {
            // Deprecated operations share their URI with their successors.
            let current = service.operations().filter(|operation| !operation.deprecated);
            cases.extend(current.map(|operation| (service, operation, *protocol)));
        }
    }
    cases
});

#[test]
fn every_operation_of_every_service_reads_back() {
    let mut failures = Vec::new();
    for (service, operation, protocol) in &*CASES {
        for check in [check_request, check_output] {
            if let Err(failure) = check(service, operation, *protocol, 7) {
                failures
                    .push(format!("{} {} {protocol:?} {failure}", service.name, operation.name));
            }
        }
    }
    let shown: Vec<&String> = failures.iter().take(20).collect();
    assert!(failures.is_empty(), "{} of {}: {shown:#?}", failures.len(), 2 * CASES.len());
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_value_reads_back(at in any::<prop::sample::Index>(), seed in any::<u64>()) {
        let (service, operation, protocol) = CASES[at.index(CASES.len())];
        let what = format!("{} {} {protocol:?}", service.name, operation.name);
        prop_assert_eq!(check_request(service, operation, protocol, seed), Ok(()), "{}", what);
        prop_assert_eq!(check_output(service, operation, protocol, seed), Ok(()), "{}", what);
    }

    #[test]
    fn no_body_breaks_a_decoder(
        at in any::<prop::sample::Index>(),
        body in prop_oneof![
            prop::collection::vec(any::<u8>(), 0..200),
            "[{}\\[\\]\":,a-z0-9.<>/&;=%+-]{0,200}".prop_map(String::into_bytes),
        ],
    ) {
        let (service, operation, protocol) = CASES[at.index(CASES.len())];
        let (parts, ()) = http::Request::post("/?x=1").body(()).unwrap().into_parts();
        let routed = Routed { operation, protocol, labels: Vec::new() };
        // Only that it returns matters: most of these are errors.
        let body = Body::Bytes(Bytes::from(body));
        let _ = wire::decode_input(service, &routed, &parts, body).map(|input| {
            wire::validate_input(service, operation, &input)
        });
    }
}
