//! Reading properties. Templates may write numbers and truth values as text; what has another
//! form, or a name that is not known, is refused.

use std::str::FromStr;

use kernel::ServiceError;
use kernel::resource::Properties;
use serde_json::Value as Json;

/// A group of properties.
#[derive(Clone, Copy)]
pub(super) struct Object<'a>(&'a Properties);

fn refuse(text: String) -> ServiceError {
    ServiceError::new("ValidationError", text)
}

impl<'a> Object<'a> {
    /// All properties of a resource; their names were checked.
    pub(super) fn of(properties: &'a Properties) -> Self {
        Self(properties)
    }

    /// The group `name`, which may have the members `known`.
    pub(super) fn from(json: &'a Json, name: &str, known: &[&str]) -> Result<Self, ServiceError> {
        let object = json.as_object().ok_or_else(|| refuse(format!("{name} must be an object")))?;
        match object.keys().find(|key| !known.contains(&key.as_str())) {
            Some(unknown) => Err(refuse(format!("{name} has the unsupported property {unknown}"))),
            None => Ok(Self(object)),
        }
    }

    fn get(&self, name: &str) -> Option<&'a Json> {
        self.0.get(name).filter(|value| !value.is_null())
    }

    /// A text.
    pub(super) fn text(&self, name: &str) -> Result<Option<String>, ServiceError> {
        match self.get(name) {
            None => Ok(None),
            Some(Json::String(text)) => Ok(Some(text.clone())),
            Some(Json::Number(number)) => Ok(Some(number.to_string())),
            Some(Json::Bool(it)) => Ok(Some(it.to_string())),
            Some(_) => Err(refuse(format!("{name} must be a string"))),
        }
    }

    /// A number, a truth value or one of an enumeration's texts.
    pub(super) fn parsed<T: FromStr>(&self, name: &str) -> Result<Option<T>, ServiceError> {
        let Some(text) = self.text(name)? else { return Ok(None) };
        let value = text.parse();
        value.map(Some).map_err(|_| refuse(format!("'{text}' is not a valid value of {name}")))
    }

    /// A list.
    pub(super) fn list(&self, name: &str) -> Result<&'a [Json], ServiceError> {
        match self.get(name) {
            None => Ok(&[]),
            Some(Json::Array(items)) => Ok(items),
            Some(_) => Err(refuse(format!("{name} must be a list"))),
        }
    }

    /// A list of texts.
    pub(super) fn texts(&self, name: &str) -> Result<Vec<String>, ServiceError> {
        let one = |item: &Json| match item {
            Json::String(text) => Ok(text.clone()),
            Json::Number(number) => Ok(number.to_string()),
            Json::Null | Json::Bool(_) | Json::Array(_) | Json::Object(_) => {
                Err(refuse(format!("{name} must be a list of strings")))
            }
        };
        self.list(name)?.iter().map(one).collect()
    }
}
