//! Properties that are an operation's members under the same names, read by the operation's model.
//! Names that the model does not have are refused; scalars may be written as text, as templates
//! often do.

use ec2_api::SERVICE;
use kernel::ServiceError;
use protocol::schema::{self, Kind, ServiceSchema, ShapeRef};
use protocol::{Fields, Value};
use serde_json::Value as Json;

use super::values::{Result, invalid, written};

/// How deep properties may be nested.
const DEPTH_MAX: usize = 16;

/// The value of `member` of `operation`'s input that `json` writes.
pub(super) fn member(operation: &str, member: &str, json: &Json) -> Result<Value> {
    let model = schema::service(SERVICE).ok_or_else(|| unknown(SERVICE))?;
    let input = model.operation(operation).and_then(|operation| operation.input);
    let input = input.ok_or_else(|| unknown(operation))?;
    let Kind::Structure(structure) = &model.shape(input).kind else {
        return Err(unknown(operation));
    };
    let found = structure.members.iter().find(|known| known.name == member);
    let found = found.ok_or_else(|| unknown(member))?;
    read(model, found.target, json, member, DEPTH_MAX)
}

fn unknown(name: &str) -> ServiceError {
    ServiceError::internal(format!("no model of {name}"))
}

fn read(
    model: &ServiceSchema,
    shape: ShapeRef,
    json: &Json,
    path: &str,
    depth: usize,
) -> Result<Value> {
    let wrong = |wanted: &str| invalid(format!("Value of property {path} must be {wanted}"));
    let depth = depth.checked_sub(1).ok_or_else(|| wrong("less deeply nested"))?;
    let scalar = || written(json).ok_or_else(|| wrong("of type String"));
    match &model.shape(shape).kind {
        Kind::Structure(structure) => {
            let object = json.as_object().ok_or_else(|| wrong("an object"))?;
            let mut fields = Fields::new();
            for (name, value) in object {
                let known = structure.members.iter().find(|member| member.name == name);
                let known = known.ok_or_else(|| {
                    invalid(format!("Encountered unsupported property {name} in {path}"))
                })?;
                let path = format!("{path}.{name}");
                fields.push(known.name, read(model, known.target, value, &path, depth)?);
            }
            Ok(Value::Struct(fields))
        }
        Kind::List(element) => {
            let list = json.as_array().ok_or_else(|| wrong("a list"))?;
            let values = list.iter().map(|value| read(model, element.target, value, path, depth));
            Ok(Value::List(values.collect::<Result<_>>()?))
        }
        Kind::String => Ok(Value::Text(scalar()?)),
        Kind::Boolean => {
            let flag = scalar()?.to_ascii_lowercase().parse();
            Ok(Value::Bool(flag.map_err(|_| wrong("of type Boolean"))?))
        }
        Kind::Integer | Kind::Long => {
            let number = scalar()?.parse();
            Ok(Value::Int(number.map_err(|_| wrong("of type Integer"))?))
        }
        Kind::Double => Ok(Value::Float(scalar()?.parse().map_err(|_| wrong("of type Double"))?)),
        Kind::Map(_) | Kind::Blob | Kind::Timestamp | Kind::Document => {
            Err(invalid(format!("Encountered unsupported property {path}")))
        }
    }
}
