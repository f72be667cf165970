//! Scalars as text: in queries, XML elements, headers and paths.

use base::Timestamp;
use base64::Engine as _;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD};
use bytes::Bytes;

use crate::error::Malformed;
use crate::schema::{Kind, MemberSchema, ServiceSchema, TimestampFormat};
use crate::value::Value;

/// Clients send base64 with and without padding.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Reads a scalar of the member's shape; `None` when the shape is no scalar.
pub(crate) fn scalar(
    service: &ServiceSchema,
    member: &MemberSchema,
    text: &str,
) -> Result<Value, Malformed> {
    Ok(match &service.shape(member.target).kind {
        Kind::String => Value::Text(text.to_owned()),
        Kind::Boolean => Value::Bool(boolean(text)?),
        Kind::Integer => Value::Int(integer(text, i64::from(i32::MIN), i64::from(i32::MAX))?),
        Kind::Long => Value::Int(integer(text, i64::MIN, i64::MAX)?),
        Kind::Double => Value::Float(double(text)?),
        Kind::Blob => Value::Blob(blob(text)?),
        Kind::Timestamp => Value::Time(timestamp(text)?),
        Kind::Document => Value::Document(
            serde_json::from_str(text).map_err(|error| Malformed::new(error.to_string()))?,
        ),
        Kind::Structure(_) | Kind::List(_) | Kind::Map(_) => {
            return Err(Malformed::new("expected a structure, list or map, found text"));
        }
    })
}

/// The form of a member's timestamp, or else the protocol's.
pub(crate) fn timestamp_format(
    service: &ServiceSchema,
    member: &MemberSchema,
    default: TimestampFormat,
) -> TimestampFormat {
    member.timestamp_format.or(service.shape(member.target).timestamp_format).unwrap_or(default)
}

/// Writes a scalar; lists, maps and structures, which are no scalars, are empty.
pub(crate) fn print(value: &Value, format: TimestampFormat) -> String {
    match value {
        Value::Bool(truth) => truth.to_string(),
        Value::Int(number) => number.to_string(),
        Value::Float(number) => print_double(*number),
        Value::Text(text) => text.clone(),
        Value::Blob(bytes) => STANDARD.encode(bytes),
        Value::Time(at) => print_timestamp(*at, format),
        Value::Document(document) => document.to_string(),
        Value::List(_) | Value::Map(_) | Value::Struct(_) | Value::Stream(_) => String::new(),
    }
}

/// Base64 as every protocol but CBOR writes blobs.
pub(crate) fn print_blob(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// Reads base64.
pub(crate) fn blob(text: &str) -> Result<Bytes, Malformed> {
    let bytes = LENIENT.decode(text.trim());
    bytes.map(Bytes::from).map_err(|_| Malformed::new("expected base64"))
}

/// Reads any of the forms; a service accepts all, whichever its model names.
pub(crate) fn timestamp(text: &str) -> Result<Timestamp, Malformed> {
    text.trim().parse().map_err(|_| Malformed::new(format!("expected a timestamp, found {text:?}")))
}

fn print_timestamp(at: Timestamp, format: TimestampFormat) -> String {
    match format {
        TimestampFormat::Iso8601 if at.as_millis() % 1000 == 0 => at.iso8601_seconds(),
        TimestampFormat::Iso8601 => at.to_string(),
        TimestampFormat::Epoch => print_double(at.as_secs_f64()),
        TimestampFormat::HttpDate => at.http_date(),
    }
}

fn boolean(text: &str) -> Result<bool, Malformed> {
    match text.trim() {
        "true" | "True" | "TRUE" | "1" => Ok(true),
        "false" | "False" | "FALSE" | "0" => Ok(false),
        _ => Err(Malformed::new(format!("expected a boolean, found {text:?}"))),
    }
}

/// Reads an integer within bounds.
pub(crate) fn integer(text: &str, min: i64, max: i64) -> Result<i64, Malformed> {
    let number: Option<i64> = text.trim().parse().ok();
    number
        .filter(|number| (min..=max).contains(number))
        .ok_or_else(|| Malformed::new(format!("expected an integer, found {text:?}")))
}

/// Reads a number, with the texts that stand for what JSON cannot write.
pub(crate) fn double(text: &str) -> Result<f64, Malformed> {
    let refuse = || Malformed::new(format!("expected a number, found {text:?}"));
    match text.trim() {
        "NaN" => Ok(f64::NAN),
        "Infinity" => Ok(f64::INFINITY),
        "-Infinity" => Ok(f64::NEG_INFINITY),
        number if number.ends_with(|c: char| c.is_ascii_digit() || c == '.') => {
            number.parse().map_err(|_| refuse())
        }
        _ => Err(refuse()),
    }
}

/// Writes a number, with the texts that stand for what JSON cannot write.
pub(crate) fn print_double(number: f64) -> String {
    if number.is_nan() {
        "NaN".to_owned()
    } else if number.is_infinite() {
        if number > 0.0 { "Infinity" } else { "-Infinity" }.to_owned()
    } else {
        number.to_string()
    }
}
