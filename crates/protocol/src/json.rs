//! JSON bodies: awsJson 1.0 and 1.1, and restJson1.

use serde_json::{Map, Number, Value as Json};

use crate::error::Malformed;
use crate::schema::{Kind, MemberSchema, ServiceSchema, ShapeRef, TimestampFormat};
use crate::text;
use crate::value::{Fields, Value};

/// Reads a body; an empty one is an empty object.
///
/// serde_json refuses more than 128 levels; the values of a schema are bounded by its shapes, and
/// recursive ones by [`crate::schema::MAX_DEPTH`].
pub(crate) fn parse(body: &[u8]) -> Result<Json, Malformed> {
    if body.iter().all(u8::is_ascii_whitespace) {
        return Ok(Json::Object(Map::new()));
    }
    serde_json::from_slice(body).map_err(|error| Malformed::new(error.to_string()))
}

/// Reads the members of a structure that travel in the body.
pub(crate) fn decode_structure(
    service: &ServiceSchema,
    shape: ShapeRef,
    json: Json,
    depth: usize,
) -> Result<Fields, Malformed> {
    let Json::Object(mut object) = json else { return Err(unexpected("an object", &json)) };
    if depth == 0 {
        return Err(Malformed::new("the body nests too deeply"));
    }
    let mut fields = Fields::new();
    for member in service.members(shape).iter().filter(|m| m.location.is_none()) {
        match object.remove(member.location_name.unwrap_or(member.name)) {
            None | Some(Json::Null) => {}
            Some(json) => {
                let value = decode(service, member, json, depth - 1)
                    .map_err(|malformed| malformed.inside(member.name))?;
                fields.push(member.name, value);
            }
        }
    }
    Ok(fields)
}

/// Reads a value of the member's shape.
pub(crate) fn decode(
    service: &ServiceSchema,
    member: &MemberSchema,
    json: Json,
    depth: usize,
) -> Result<Value, Malformed> {
    if depth == 0 {
        return Err(Malformed::new("the body nests too deeply"));
    }
    match (&service.shape(member.target).kind, json) {
        (Kind::Structure(_), json) => {
            decode_structure(service, member.target, json, depth).map(Value::Struct)
        }
        (Kind::List(item), Json::Array(items)) => {
            let mut list = Vec::with_capacity(items.len());
            for (at, json) in items.into_iter().enumerate() {
                let value = decode(service, item, json, depth - 1);
                list.push(value.map_err(|malformed| malformed.inside(&at.to_string()))?);
            }
            Ok(Value::List(list))
        }
        (Kind::Map(pair), Json::Object(entries)) => {
            let mut map = Vec::with_capacity(entries.len());
            for (key, json) in entries.into_iter().filter(|(_, json)| !json.is_null()) {
                let value = decode(service, &pair.1, json, depth - 1);
                let value = value.map_err(|malformed| malformed.inside(&key))?;
                map.push((key, value));
            }
            Ok(Value::Map(map))
        }
        (Kind::String, Json::String(text)) => Ok(Value::Text(text)),
        (Kind::Boolean, Json::Bool(truth)) => Ok(Value::Bool(truth)),
        (Kind::Integer, Json::Number(number)) => {
            integer(&number, i64::from(i32::MIN), i64::from(i32::MAX)).map(Value::Int)
        }
        (Kind::Long, Json::Number(number)) => integer(&number, i64::MIN, i64::MAX).map(Value::Int),
        (Kind::Double, Json::Number(number)) => {
            Ok(Value::Float(number.as_f64().unwrap_or(f64::NAN)))
        }
        (Kind::Double, Json::String(text))
            if matches!(text.as_str(), "NaN" | "Infinity" | "-Infinity") =>
        {
            text::double(&text).map(Value::Float)
        }
        (Kind::Blob, Json::String(text)) => text::blob(&text).map(Value::Blob),
        (Kind::Timestamp, Json::Number(number)) => {
            text::timestamp(&number.to_string()).map(Value::Time)
        }
        (Kind::Timestamp, Json::String(text)) => text::timestamp(&text).map(Value::Time),
        (Kind::Document, json) => Ok(Value::Document(json)),
        (Kind::List(_), json) => Err(unexpected("a list", &json)),
        (Kind::Map(_), json) => Err(unexpected("an object", &json)),
        (Kind::String | Kind::Blob, json) => Err(unexpected("a string", &json)),
        (Kind::Boolean, json) => Err(unexpected("a boolean", &json)),
        (Kind::Integer | Kind::Long, json) => Err(unexpected("an integer", &json)),
        (Kind::Double, json) => Err(unexpected("a number", &json)),
        (Kind::Timestamp, json) => Err(unexpected("a timestamp", &json)),
    }
}

fn unexpected(expected: &str, found: &Json) -> Malformed {
    let found = match found {
        Json::Null => "null",
        Json::Bool(_) => "a boolean",
        Json::Number(_) => "a number",
        Json::String(_) => "a string",
        Json::Array(_) => "a list",
        Json::Object(_) => "an object",
    };
    Malformed::new(format!("expected {expected}, found {found}"))
}

/// An integer, also when it is written with a fraction of zero.
fn integer(number: &Number, min: i64, max: i64) -> Result<i64, Malformed> {
    /// Beyond it a double does not hold every integer.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    let whole = number.as_f64().filter(|f| f.fract() == 0.0 && f.abs() <= EXACT);
    #[expect(clippy::cast_possible_truncation, reason = "the number is whole and in range")]
    let integer = number.as_i64().or_else(|| whole.map(|f| f as i64));
    integer
        .filter(|integer| (min..=max).contains(integer))
        .ok_or_else(|| Malformed::new(format!("expected an integer, found {number}")))
}

/// Writes the members of a structure that travel in the body.
pub(crate) fn encode_structure(service: &ServiceSchema, shape: ShapeRef, fields: &Fields) -> Json {
    let mut object = Map::new();
    for member in service.members(shape).iter().filter(|m| m.location.is_none()) {
        if let Some(value) = fields.get(member.name) {
            let name = member.location_name.unwrap_or(member.name);
            object.insert(name.to_owned(), encode(service, member, value));
        }
    }
    Json::Object(object)
}

/// Writes a value of the member's shape.
pub(crate) fn encode(service: &ServiceSchema, member: &MemberSchema, value: &Value) -> Json {
    match (value, &service.shape(member.target).kind) {
        (Value::Struct(fields), _) => encode_structure(service, member.target, fields),
        (Value::List(items), Kind::List(item)) => {
            items.iter().map(|value| encode(service, item, value)).collect()
        }
        (Value::Map(entries), Kind::Map(pair)) => Json::Object(
            entries.iter().map(|(k, v)| (k.clone(), encode(service, &pair.1, v))).collect(),
        ),
        (Value::Bool(truth), _) => Json::Bool(*truth),
        (Value::Int(number), _) => Json::from(*number),
        (Value::Float(number), _) => Number::from_f64(*number)
            .map_or_else(|| Json::String(text::print_double(*number)), Json::Number),
        (Value::Text(text), _) => Json::String(text.clone()),
        (Value::Blob(bytes), _) => Json::String(text::print_blob(bytes)),
        (Value::Time(at), _) => {
            let format = text::timestamp_format(service, member, TimestampFormat::Epoch);
            if format != TimestampFormat::Epoch {
                Json::String(text::print(value, format))
            } else if at.as_millis() % 1000 == 0 {
                Json::from(at.as_secs())
            } else {
                Json::from(at.as_secs_f64())
            }
        }
        (Value::Document(document), _) => document.clone(),
        (Value::List(_) | Value::Map(_) | Value::Stream(_), _) => Json::Null,
    }
}
