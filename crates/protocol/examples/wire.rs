//! Reads requests and writes answers for a program that compares them with another implementation.
//!
//! Each line of standard input is a JSON object and gives one line of output. `tests/protocol`
//! feeds it what botocore writes, and feeds botocore what it writes.

#![expect(clippy::indexing_slicing, reason = "a case without its parts ends the comparison")]

use std::io::{BufRead, Write};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http_body_util::BodyExt;
use protocol::schema::{self, Kind, MemberSchema, Protocol, ServiceSchema};
use protocol::wire::{self, Body, Routed};
use protocol::{Timestamp, Value};
use serde_json::{Value as Json, json};

fn main() -> std::io::Result<()> {
    let mut output = std::io::stdout().lock();
    for line in std::io::stdin().lock().lines() {
        let case: Json = serde_json::from_str(&line?)?;
        let answer = if case["kind"] == "request" { request(&case) } else { response(&case) };
        writeln!(output, "{answer}")?;
    }
    Ok(())
}

fn text<'a>(case: &'a Json, name: &str) -> &'a str {
    case[name].as_str().unwrap_or_else(|| panic!("{name} in {case}"))
}

fn service(case: &Json) -> &'static ServiceSchema {
    schema::service(text(case, "service")).expect("an embedded service")
}

fn protocol(case: &Json, service: &ServiceSchema) -> Protocol {
    let json = [Protocol::AwsJson10, Protocol::AwsJson11];
    match text(case, "protocol") {
        "ec2" => Protocol::Ec2Query,
        "query" => Protocol::AwsQuery,
        "rest-json" => Protocol::RestJson1,
        "rest-xml" => Protocol::RestXml,
        "smithy-rpc-v2-cbor" => Protocol::RpcV2Cbor,
        _ => *service.protocols.iter().find(|p| json.contains(p)).expect("a JSON service"),
    }
}

fn request(case: &Json) -> Json {
    let service = service(case);
    let mut request = http::Request::builder().method(text(case, "method")).uri(text(case, "url"));
    for (name, value) in case["headers"].as_object().expect("headers") {
        request = request.header(name, value.as_str().expect("text"));
    }
    let (parts, ()) = request.body(()).expect("a request").into_parts();
    let body = STANDARD.decode(text(case, "body")).expect("base64");
    let decoded = wire::route(service, &parts, &body, None).and_then(|routed| {
        let streams = wire::has_streaming_input(service, &routed);
        let input = wire::decode_input(service, &routed, &parts, Body::Bytes(body.into()))?;
        Ok((routed, streams, input))
    });
    match decoded {
        Ok((routed, streams, input)) => json!({
            "operation": routed.operation.name,
            "protocol": format!("{:?}", routed.protocol),
            "streams": streams,
            "input": print(&input),
        }),
        Err(error) => json!({"error": error.to_string()}),
    }
}

fn response(case: &Json) -> Json {
    let service = service(case);
    let operation = service.operation(text(case, "operation")).expect("an operation");
    let protocol = protocol(case, service);
    let routed = Routed { operation, protocol, labels: Vec::new() };
    let response = match case.get("error") {
        Some(error) => {
            let error =
                protocol::ServiceError::modelled(service, text(error, "code"), "the message");
            wire::encode_error(service, protocol, &error, "request-1")
        }
        None => {
            let output = operation.output.map_or_else(Value::empty_struct, |shape| {
                let members = service.members(shape);
                structure(service, members, &case["output"])
            });
            wire::encode_output(service, &routed, output, "request-1")
        }
    };
    let (parts, body) = response.into_parts();
    let body = now(body.collect()).expect("a body").to_bytes();
    let headers = parts.headers.iter();
    let headers =
        headers.map(|(n, v)| (n.to_string(), Json::from(String::from_utf8_lossy(v.as_bytes()))));
    json!({
        "status": parts.status.as_u16(),
        "headers": Json::Object(headers.collect()),
        "body": STANDARD.encode(&body),
    })
}

fn now<F: Future>(future: F) -> F::Output {
    let mut future = std::pin::pin!(future);
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    match future.as_mut().poll(&mut context) {
        std::task::Poll::Ready(output) => output,
        std::task::Poll::Pending => panic!("a body in memory does not wait"),
    }
}

/// Blobs as base64, times as milliseconds, streams as what they are.
fn print(value: &Value) -> Json {
    match value {
        Value::Bool(truth) => json!(truth),
        Value::Int(number) => json!(number),
        Value::Float(number) => json!(number),
        Value::Text(text) => json!(text),
        Value::Blob(bytes) => json!(STANDARD.encode(bytes)),
        Value::Time(at) => json!(at.as_millis()),
        Value::List(list) => list.iter().map(print).collect(),
        Value::Map(map) => map.iter().map(|(k, v)| (k.clone(), print(v))).collect(),
        Value::Struct(fields) => fields.iter().map(|(n, v)| (n.to_owned(), print(v))).collect(),
        Value::Document(document) => document.clone(),
        Value::Stream(stream) => {
            json!(STANDARD.encode(now(stream.collect(1 << 20)).expect("a body")))
        }
    }
}

fn structure(service: &ServiceSchema, members: &'static [MemberSchema], json: &Json) -> Value {
    let present =
        members.iter().filter_map(|m| Some((m.name, build(service, m, json.get(m.name)?))));
    Value::Struct(present.collect())
}

fn build(service: &ServiceSchema, member: &MemberSchema, json: &Json) -> Value {
    let blob = || STANDARD.decode(json.as_str().expect("base64")).expect("base64").into();
    match &service.shape(member.target).kind {
        Kind::Structure(_) => {
            let members = schema::service(service.name).expect("itself").members(member.target);
            structure(service, members, json)
        }
        Kind::List(item) => Value::List(
            json.as_array()
                .expect("a list")
                .iter()
                .map(|json| build(service, item, json))
                .collect(),
        ),
        Kind::Map(pair) => Value::Map(
            json.as_object()
                .expect("a map")
                .iter()
                .map(|(key, json)| (key.clone(), build(service, &pair.1, json)))
                .collect(),
        ),
        Kind::String => Value::Text(json.as_str().expect("a string").to_owned()),
        Kind::Boolean => Value::Bool(json.as_bool().expect("a boolean")),
        Kind::Integer | Kind::Long => Value::Int(json.as_i64().expect("an integer")),
        Kind::Double => Value::Float(json.as_f64().expect("a number")),
        Kind::Blob if member.streaming || service.shape(member.target).streaming => {
            let bytes: bytes::Bytes = blob();
            Value::Stream(bytes.into())
        }
        Kind::Blob => Value::Blob(blob()),
        Kind::Timestamp => Value::Time(Timestamp::from_millis(json.as_i64().expect("ms"))),
        Kind::Document => Value::Document(json.clone()),
    }
}
