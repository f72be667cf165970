//! CBOR bodies: rpcv2Cbor.

use bytes::Bytes;
use minicbor::data::{Tag, Type};
use minicbor::decode::Error as CborError;
use minicbor::{Decoder, Encoder};

use base::Timestamp;

use crate::error::Malformed;
use crate::schema::{Kind, MAX_DEPTH, MemberSchema, ServiceSchema, ShapeRef};
use crate::value::{Fields, Value};

/// The tag of a timestamp in seconds since the epoch.
const EPOCH: u64 = 1;

impl From<CborError> for Malformed {
    fn from(error: CborError) -> Self {
        Self::new(error.to_string())
    }
}

/// Reads a body of a structure's shape; an empty one is an empty structure.
pub(crate) fn decode_body(
    service: &ServiceSchema,
    shape: ShapeRef,
    body: &[u8],
) -> Result<Value, Malformed> {
    if body.is_empty() {
        return Ok(Value::empty_struct());
    }
    let mut reader = Reader { service, decoder: Decoder::new(body) };
    let value = reader.structure(shape, MAX_DEPTH)?;
    if reader.decoder.position() == body.len() {
        Ok(value)
    } else {
        Err(Malformed::new("the body goes on after its value"))
    }
}

struct Reader<'a> {
    service: &'a ServiceSchema,
    decoder: Decoder<'a>,
}

impl Reader<'_> {
    /// Whether another element follows; counts down where the number is known.
    fn more(&mut self, left: &mut Option<u64>) -> Result<bool, Malformed> {
        match left {
            Some(0) => Ok(false),
            Some(count) => {
                *count -= 1;
                Ok(true)
            }
            None if self.decoder.datatype()? == Type::Break => {
                self.decoder.skip()?;
                Ok(false)
            }
            None => Ok(true),
        }
    }

    fn structure(&mut self, shape: ShapeRef, depth: usize) -> Result<Value, Malformed> {
        let depth = depth.checked_sub(1).ok_or_else(too_deep)?;
        let mut fields = Fields::new();
        let mut left = self.decoder.map()?;
        while self.more(&mut left)? {
            let key = self.text()?;
            let members = self.service.members(shape);
            let member = members.iter().find(|m| m.location_name.unwrap_or(m.name) == key);
            match member {
                Some(member) if fields.get(member.name).is_none() => {
                    let value = self.value(member, depth).map_err(|m| m.inside(member.name))?;
                    if let Some(value) = value {
                        fields.push(member.name, value);
                    }
                }
                Some(member) => return Err(Malformed::new("is there twice").inside(member.name)),
                None => self.skip(depth)?,
            }
        }
        Ok(Value::Struct(fields))
    }

    /// Passes over an unknown value; minicbor does so without recursion.
    fn skip(&mut self, _depth: usize) -> Result<(), Malformed> {
        Ok(self.decoder.skip()?)
    }

    fn text(&mut self) -> Result<String, Malformed> {
        let mut text = String::new();
        for piece in self.decoder.str_iter()? {
            text.push_str(piece?);
        }
        Ok(text)
    }

    /// A value of the member's shape; `None` for null.
    fn value(&mut self, member: &MemberSchema, depth: usize) -> Result<Option<Value>, Malformed> {
        let depth = depth.checked_sub(1).ok_or_else(too_deep)?;
        let found = self.decoder.datatype()?;
        if matches!(found, Type::Null | Type::Undefined) {
            self.decoder.skip()?;
            return Ok(None);
        }
        let service = self.service;
        let value = match &service.shape(member.target).kind {
            Kind::Structure(_) => self.structure(member.target, depth)?,
            Kind::List(item) => {
                let mut list = Vec::new();
                let mut left = self.decoder.array()?;
                while self.more(&mut left)? {
                    let value = self.value(item, depth)?;
                    list.push(value.ok_or_else(|| Malformed::new("a list holds null"))?);
                }
                Value::List(list)
            }
            Kind::Map(pair) => {
                let mut map = Vec::new();
                let mut left = self.decoder.map()?;
                while self.more(&mut left)? {
                    let key = self.text()?;
                    if let Some(value) = self.value(&pair.1, depth)? {
                        map.push((key, value));
                    }
                }
                Value::Map(map)
            }
            Kind::String => Value::Text(self.text()?),
            Kind::Boolean => Value::Bool(self.decoder.bool()?),
            Kind::Integer => Value::Int(i64::from(self.decoder.i32()?)),
            Kind::Long => Value::Int(self.decoder.i64()?),
            Kind::Double => Value::Float(self.number(found)?),
            Kind::Blob => {
                let mut bytes = Vec::new();
                for piece in self.decoder.bytes_iter()? {
                    bytes.extend_from_slice(piece?);
                }
                Value::Blob(Bytes::from(bytes))
            }
            Kind::Timestamp => Value::Time(self.timestamp()?),
            Kind::Document => return Err(Malformed::new("documents do not travel in CBOR")),
        };
        Ok(Some(value))
    }

    fn number(&mut self, found: Type) -> Result<f64, Malformed> {
        if matches!(found, Type::F16 | Type::F32 | Type::F64) {
            return Ok(self.decoder.f64()?);
        }
        #[expect(clippy::cast_precision_loss, reason = "the wire allows an integer for a double")]
        Ok(self.decoder.i64()? as f64)
    }

    fn timestamp(&mut self) -> Result<Timestamp, Malformed> {
        if self.decoder.tag()? != Tag::new(EPOCH) {
            return Err(Malformed::new("expected a timestamp"));
        }
        let found = self.decoder.datatype()?;
        if !matches!(found, Type::F16 | Type::F32 | Type::F64) {
            return Ok(Timestamp::from_secs(self.decoder.i64()?));
        }
        crate::text::timestamp(&self.decoder.f64()?.to_string())
    }
}

fn too_deep() -> Malformed {
    Malformed::new("the body nests too deeply")
}

/// Writes a structure, with `extra` text members before its own.
pub(crate) fn encode_body(
    service: &ServiceSchema,
    shape: Option<ShapeRef>,
    fields: &Fields,
    extra: &[(&str, &str)],
) -> Vec<u8> {
    let mut encoder = Encoder::new(Vec::new());
    let done = write_structure(&mut encoder, service, shape, fields, extra);
    done.expect("writing to memory does not fail");
    encoder.into_writer()
}

type Written = Result<(), minicbor::encode::Error<std::convert::Infallible>>;

fn write_structure(
    encoder: &mut Encoder<Vec<u8>>,
    service: &ServiceSchema,
    shape: Option<ShapeRef>,
    fields: &Fields,
    extra: &[(&str, &str)],
) -> Written {
    let members = shape.map(|shape| service.members(shape)).unwrap_or_default();
    encoder.begin_map()?;
    for (name, text) in extra {
        encoder.str(name)?.str(text)?;
    }
    for member in members {
        if let Some(value) = fields.get(member.name) {
            encoder.str(member.location_name.unwrap_or(member.name))?;
            write(encoder, service, member, value)?;
        }
    }
    encoder.end()?;
    Ok(())
}

fn write(
    encoder: &mut Encoder<Vec<u8>>,
    service: &ServiceSchema,
    member: &MemberSchema,
    value: &Value,
) -> Written {
    match (value, &service.shape(member.target).kind) {
        (Value::Struct(fields), _) => {
            write_structure(encoder, service, Some(member.target), fields, &[])?;
        }
        (Value::List(items), Kind::List(item)) => {
            encoder.array(items.len() as u64)?;
            for value in items {
                write(encoder, service, item, value)?;
            }
        }
        (Value::Map(entries), Kind::Map(pair)) => {
            encoder.map(entries.len() as u64)?;
            for (key, value) in entries {
                encoder.str(key)?;
                write(encoder, service, &pair.1, value)?;
            }
        }
        (Value::Bool(truth), _) => {
            encoder.bool(*truth)?;
        }
        (Value::Int(number), _) => {
            encoder.i64(*number)?;
        }
        (Value::Float(number), _) => {
            encoder.f64(*number)?;
        }
        (Value::Text(text), _) => {
            encoder.str(text)?;
        }
        (Value::Blob(bytes), _) => {
            encoder.bytes(bytes)?;
        }
        (Value::Time(at), _) => {
            encoder.tag(Tag::new(EPOCH))?;
            if at.as_millis() % 1000 == 0 {
                encoder.i64(at.as_secs())?;
            } else {
                encoder.f64(at.as_secs_f64())?;
            }
        }
        (Value::List(_) | Value::Map(_) | Value::Document(_) | Value::Stream(_), _) => {
            encoder.null()?;
        }
    }
    Ok(())
}

/// The code and message of an error.
pub(crate) fn decode_error(body: &[u8]) -> Result<(String, String), Malformed> {
    let mut decoder = Decoder::new(body);
    let (mut code, mut message) = (String::new(), String::new());
    let mut left = decoder.map()?.unwrap_or(u64::MAX);
    while left > 0 && decoder.datatype()? != Type::Break {
        left -= 1;
        match decoder.str()? {
            "__type" => code = decoder.str()?.to_owned(),
            "message" | "Message" => message = decoder.str()?.to_owned(),
            _ => decoder.skip()?,
        }
    }
    Ok((code, message))
}
