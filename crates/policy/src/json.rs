//! JSON that keeps the order of members and refuses a member named twice, which policy grammar
//! forbids and `serde_json::Value` would swallow.

use std::fmt;

use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

/// A JSON value. Scalars other than null are kept as text, the form in which policies compare them.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Json {
    Null,
    Text(String),
    /// A boolean or a number, as text. Valid in conditions only.
    Scalar(String),
    Array(Vec<Json>),
    Object(Vec<(String, Json)>),
}

impl Json {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }

    pub(crate) fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Null | Self::Scalar(_) | Self::Array(_) | Self::Object(_) => None,
        }
    }

    pub(crate) fn as_object(&self) -> Option<&[(String, Self)]> {
        match self {
            Self::Object(members) => Some(members),
            Self::Null | Self::Text(_) | Self::Scalar(_) | Self::Array(_) => None,
        }
    }

    /// A text, or an array of nothing but texts, as the texts it holds.
    pub(crate) fn texts(&self) -> Option<Vec<&str>> {
        match self {
            Self::Text(text) => Some(vec![text]),
            Self::Array(items) => items.iter().map(Self::as_text).collect(),
            Self::Null | Self::Scalar(_) | Self::Object(_) => None,
        }
    }

    /// As [`Json::texts`], booleans and numbers included.
    pub(crate) fn scalars(&self) -> Option<Vec<&str>> {
        match self {
            Self::Text(text) | Self::Scalar(text) => Some(vec![text]),
            Self::Array(items) => items
                .iter()
                .map(|item| match item {
                    Self::Text(text) | Self::Scalar(text) => Some(text.as_str()),
                    Self::Null | Self::Array(_) | Self::Object(_) => None,
                })
                .collect(),
            Self::Null | Self::Object(_) => None,
        }
    }
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(JsonVisitor)
    }
}

struct JsonVisitor;

impl<'de> Visitor<'de> for JsonVisitor {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E: de::Error>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<Json, E> {
        Ok(Json::Scalar(value.to_string()))
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Json, E> {
        Ok(Json::Scalar(value.to_string()))
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Json, E> {
        Ok(Json::Scalar(value.to_string()))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Json, E> {
        Ok(Json::Scalar(value.to_string()))
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<Json, E> {
        Ok(Json::Text(value.to_owned()))
    }

    fn visit_string<E: de::Error>(self, value: String) -> Result<Json, E> {
        Ok(Json::Text(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Json, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element()? {
            items.push(item);
        }
        Ok(Json::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Json, A::Error> {
        let mut members: Vec<(String, Json)> = Vec::new();
        while let Some((name, value)) = map.next_entry::<String, Json>()? {
            if members.iter().any(|(other, _)| *other == name) {
                return Err(de::Error::custom("a member is named twice"));
            }
            members.push((name, value));
        }
        Ok(Json::Object(members))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_named_twice_is_refused() {
        assert_eq!(Json::parse(r#"{"a":1,"a":2}"#), None);
        assert_eq!(Json::parse(r#"{"a":1}{}"#), None);
        assert!(Json::parse(r#"{"a":{"b":1},"c":{"b":1}}"#).is_some());
    }

    #[test]
    fn nesting_is_bounded() {
        assert_eq!(Json::parse(&"[".repeat(100_000)), None);
    }
}
