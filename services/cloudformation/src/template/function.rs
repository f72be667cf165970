//! The intrinsic functions: which object is a call, of what, and whether its arguments fit.

use serde_json::{Map, Value};

use super::{Result, TemplateError};

/// AWS: "Intrinsic function reference".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Function {
    And,
    Base64,
    Cidr,
    Equals,
    FindInMap,
    GetAtt,
    GetAzs,
    If,
    ImportValue,
    Join,
    Not,
    Or,
    Ref,
    Select,
    Split,
    Sub,
}

const SUPPORTED: &str = "Fn::Base64, Fn::GetAtt, Fn::GetAZs, Fn::ImportValue, Fn::Join, Fn::Split, \
     Fn::FindInMap, Fn::Select, Ref, Fn::Equals, Fn::If, Fn::Not, Condition, Fn::And, Fn::Or, \
     Fn::Contains, Fn::EachMemberEquals, Fn::EachMemberIn, Fn::ValueOf, Fn::ValueOfAll, \
     Fn::RefAll, Fn::Sub, Fn::Cidr";

/// The call that an object is: a single member named after a function.
pub(super) fn call(members: &Map<String, Value>) -> Result<Option<(Function, &Value)>> {
    let named = members.iter().find(|(key, _)| key.starts_with("Fn::") || *key == "Ref");
    let Some((name, argument)) = named else {
        return Ok(None);
    };
    if members.len() > 1 {
        // Properties called `Ref` exist; properties called `Fn::…` do not.
        if name == "Ref" {
            return Ok(None);
        }
        return Err(TemplateError::function(format!(
            "the object with {name} must have no other members"
        )));
    }
    let function = match name.as_str() {
        "Fn::And" => Function::And,
        "Fn::Base64" => Function::Base64,
        "Fn::Cidr" => Function::Cidr,
        "Fn::Equals" => Function::Equals,
        "Fn::FindInMap" => Function::FindInMap,
        "Fn::GetAtt" => Function::GetAtt,
        "Fn::GetAZs" => Function::GetAzs,
        "Fn::If" => Function::If,
        "Fn::ImportValue" => Function::ImportValue,
        "Fn::Join" => Function::Join,
        "Fn::Not" => Function::Not,
        "Fn::Or" => Function::Or,
        "Ref" => Function::Ref,
        "Fn::Select" => Function::Select,
        "Fn::Split" => Function::Split,
        "Fn::Sub" => Function::Sub,
        "Fn::Transform" => {
            let name = argument.get("Name").and_then(Value::as_str).unwrap_or("?");
            return Err(TemplateError::UnknownTransform(name.to_owned()));
        }
        other => {
            return Err(TemplateError::function(format!(
                "Encountered unsupported function: {other} Supported functions are: [{SUPPORTED}]"
            )));
        }
    };
    Ok(Some((function, argument)))
}

impl Function {
    /// What to say when the arguments do not fit.
    pub(super) fn misuse(self) -> TemplateError {
        TemplateError::function(match self {
            Self::And => {
                "every Fn::And object requires a list of at least 2 and at most 10 boolean parameters."
            }
            Self::Base64 => "every Fn::Base64 object must have a String-valued property.",
            Self::Cidr => {
                "every Fn::Cidr object requires two required parameters, (1) the CIDR block and (2) the count, and one optional parameter, (3) the CIDR bits."
            }
            Self::Equals => "every Fn::Equals object requires a list of 2 string parameters.",
            Self::FindInMap => {
                "every Fn::FindInMap object requires three parameters, the map name, map key and the attribute for return value"
            }
            Self::GetAtt => {
                "every Fn::GetAtt object requires two non-empty parameters, the resource name and the resource attribute"
            }
            Self::GetAzs => "every Fn::GetAZs object requires a String-valued property.",
            Self::If => {
                "Fn::If requires a list argument with three elements: a condition name and two values."
            }
            Self::ImportValue => {
                "the attribute in Fn::ImportValue must be a string or a function that returns a string"
            }
            Self::Join => {
                "every Fn::Join object requires two parameters, (1) a string delimiter and (2) a list of strings to be joined or a function that returns a list of strings (such as Fn::GetAZs) to be joined."
            }
            Self::Not => "every Fn::Not object requires one boolean parameter.",
            Self::Or => {
                "every Fn::Or object requires a list of at least 2 and at most 10 boolean parameters."
            }
            Self::Ref => "every Ref object must have a single String value.",
            Self::Select => {
                "Fn::Select requires a list argument with two elements: an integer index and a list"
            }
            Self::Split => {
                "every Fn::Split object requires two parameters, (1) a string delimiter and (2) a string to be split or a function that returns a string to be split."
            }
            Self::Sub => {
                "One or more Fn::Sub intrinsic functions don't specify expected arguments. Specify a string as first argument, and an optional second argument to specify a mapping of values to replace in the string"
            }
        })
    }
}

/// The two arguments of a function that takes two.
pub(super) fn pair(function: Function, argument: &Value) -> Result<(&Value, &Value)> {
    match argument.as_array().map(Vec::as_slice) {
        Some([first, second]) => Ok((first, second)),
        _ => Err(function.misuse()),
    }
}

/// The three arguments of a function that takes three.
pub(super) fn triple(function: Function, argument: &Value) -> Result<(&Value, &Value, &Value)> {
    match argument.as_array().map(Vec::as_slice) {
        Some([first, second, third]) => Ok((first, second, third)),
        _ => Err(function.misuse()),
    }
}

/// The condition that an `Fn::If` asks, and its two branches.
pub(super) fn branches(argument: &Value) -> Result<(&str, &Value, &Value)> {
    let (name, yes, no) = triple(Function::If, argument)?;
    let name = name.as_str().ok_or_else(|| Function::If.misuse())?;
    Ok((name, yes, no))
}

/// The resource and attribute that an `Fn::GetAtt` names. The attribute may be a call, of
/// parameters only.
pub(super) fn attribute(argument: &Value) -> Result<(&str, &Value)> {
    let (resource, attribute) = pair(Function::GetAtt, argument)?;
    let resource = resource.as_str().filter(|name| !name.is_empty());
    let resource = resource.ok_or_else(|| Function::GetAtt.misuse())?;
    if attribute.is_object() || attribute.as_str().is_some_and(|name| !name.is_empty()) {
        return Ok((resource, attribute));
    }
    Err(Function::GetAtt.misuse())
}

/// An `Fn::Sub`, taken apart.
pub(super) struct Substitution<'a> {
    /// Its text.
    pub(super) pieces: Vec<Piece<'a>>,
    /// The names it defines itself.
    pub(super) own: Option<&'a Map<String, Value>>,
}

/// Takes an `Fn::Sub` apart.
pub(super) fn substitution(argument: &Value) -> Result<Substitution<'_>> {
    if let Some(text) = argument.as_str() {
        return Ok(Substitution { pieces: pieces(text)?, own: None });
    }
    match argument.as_array().map(Vec::as_slice) {
        Some([Value::String(text)]) => Ok(Substitution { pieces: pieces(text)?, own: None }),
        Some([Value::String(text), Value::Object(own)]) => {
            Ok(Substitution { pieces: pieces(text)?, own: Some(own) })
        }
        _ => Err(Function::Sub.misuse()),
    }
}

/// A part of the text of an `Fn::Sub`.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Piece<'a> {
    /// Text that stays.
    Text(&'a str),
    /// `${!name}`: the text `${name}`.
    Literal(&'a str),
    /// `${name}` or `${resource.attribute}`.
    Variable(&'a str),
}

fn pieces(text: &str) -> Result<Vec<Piece<'_>>> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some((before, inside)) = rest.split_once("${") {
        let Some((name, after)) = inside.split_once('}') else {
            break;
        };
        if !before.is_empty() {
            pieces.push(Piece::Text(before));
        }
        pieces.push(match name.strip_prefix('!') {
            Some(literal) => Piece::Literal(literal),
            None => Piece::Variable(variable(name)?),
        });
        rest = after;
    }
    if !rest.is_empty() {
        pieces.push(Piece::Text(rest));
    }
    Ok(pieces)
}

fn variable(name: &str) -> Result<&str> {
    let name = name.trim();
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | ':');
    if name.is_empty() || !name.chars().all(allowed) {
        return Err(TemplateError::function(
            "variable names in Fn::Sub syntax must contain only alphanumeric characters, underscores, periods, and colons",
        ));
    }
    Ok(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_substitution_is_taken_apart() {
        let found = pieces("a${B}-${!C}${D.Arn}$x${AWS::Region}${").unwrap();
        let expected = [
            Piece::Text("a"),
            Piece::Variable("B"),
            Piece::Text("-"),
            Piece::Literal("C"),
            Piece::Variable("D.Arn"),
            Piece::Text("$x"),
            Piece::Variable("AWS::Region"),
            Piece::Text("${"),
        ];
        assert_eq!(found, expected);
        assert!(pieces("${a-b}").is_err());
        assert!(pieces("${}").is_err());
    }
}
