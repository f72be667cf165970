//! The one tree that every wire format is read into and written from, and the conversion between it
//! and the generated types.
//!
//! A wire format never knows a Rust type and a Rust type never knows a wire format: both meet in
//! [`Value`], whose structures carry the model's member names. That is what keeps the generated
//! code to one field list a structure.

use std::collections::BTreeMap;
use std::fmt;

use base::Timestamp;
use bytes::Bytes;

pub use crate::stream::{ByteStream, StreamBody};

/// A free-form JSON value, for members that the model calls documents.
pub type Document = serde_json::Value;

/// A decoded or to be encoded value of some shape.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// A boolean.
    Bool(bool),
    /// An integer or long.
    Int(i64),
    /// A float or double.
    Float(f64),
    /// A string or enumeration.
    Text(String),
    /// Bytes held in memory.
    Blob(Bytes),
    /// A point in time.
    Time(Timestamp),
    /// A list.
    List(Vec<Value>),
    /// A map, in the order of the wire.
    Map(Vec<(String, Value)>),
    /// A structure or union.
    Struct(Fields),
    /// Free-form JSON.
    Document(Document),
    /// Bytes that are read or produced as they travel.
    Stream(ByteStream),
}

/// The members of a structure that are present, by the model's member name.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Fields(Vec<(&'static str, Value)>);

/// A value does not have the shape that a generated type asks for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{path}: expected {expected}, found {found}")]
pub struct ShapeMismatch {
    /// The members that lead to the value, joined by dots.
    pub path: String,
    /// What the type asks for.
    pub expected: String,
    /// What was there.
    pub found: String,
}

impl ShapeMismatch {
    /// A mismatch at the value itself.
    pub fn new(expected: impl Into<String>, found: impl Into<String>) -> Self {
        Self { path: String::new(), expected: expected.into(), found: found.into() }
    }

    /// The same mismatch seen from the structure that has the member.
    #[must_use]
    pub fn inside(mut self, member: &str) -> Self {
        self.path = if self.path.is_empty() {
            member.to_owned()
        } else {
            format!("{member}.{}", self.path)
        };
        self
    }
}

impl Fields {
    /// No members.
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// No members, with room for `count`.
    pub fn with_capacity(count: usize) -> Self {
        Self(Vec::with_capacity(count))
    }

    /// The value of a member that is present.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0.iter().find(|(n, _)| *n == name).map(|(_, v)| v)
    }

    /// Removes and returns the value of a member.
    pub fn take(&mut self, name: &str) -> Option<Value> {
        // Members are mostly taken in the order in which they were decoded, see `reversed`.
        let at = self.0.iter().rposition(|(n, _)| *n == name)?;
        Some(self.0.remove(at).1)
    }

    /// Adds a member; the caller adds each at most once.
    pub fn push(&mut self, name: &'static str, value: Value) {
        self.0.push((name, value));
    }

    /// The members in order.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &Value)> {
        self.0.iter().map(|(n, v)| (*n, v))
    }

    /// Whether no member is present.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many members are present.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The members last to first, so that taking them in order is cheap.
    #[must_use]
    pub fn reversed(mut self) -> Self {
        self.0.reverse();
        self
    }
}

impl IntoIterator for Fields {
    type Item = (&'static str, Value);
    type IntoIter = std::vec::IntoIter<Self::Item>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl FromIterator<(&'static str, Value)> for Fields {
    fn from_iter<I: IntoIterator<Item = (&'static str, Value)>>(iter: I) -> Self {
        Self(iter.into_iter().collect())
    }
}

impl Value {
    /// The text of a string.
    pub fn as_str(&self) -> Option<&str> {
        if let Self::Text(text) = self { Some(text) } else { None }
    }

    /// The number of an integer.
    pub fn as_i64(&self) -> Option<i64> {
        if let Self::Int(number) = self { Some(*number) } else { None }
    }

    /// The truth of a boolean.
    pub fn as_bool(&self) -> Option<bool> {
        if let Self::Bool(truth) = self { Some(*truth) } else { None }
    }

    /// The elements of a list.
    pub fn as_list(&self) -> Option<&[Self]> {
        if let Self::List(list) = self { Some(list) } else { None }
    }

    /// The entries of a map.
    pub fn as_map(&self) -> Option<&[(String, Self)]> {
        if let Self::Map(map) = self { Some(map) } else { None }
    }

    /// The members of a structure.
    pub fn as_struct(&self) -> Option<&Fields> {
        if let Self::Struct(fields) = self { Some(fields) } else { None }
    }

    /// A member of a structure.
    pub fn member(&self, name: &str) -> Option<&Self> {
        self.as_struct()?.get(name)
    }

    /// A structure without members.
    pub const fn empty_struct() -> Self {
        Self::Struct(Fields::new())
    }

    /// What kind of value this is, for messages.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Bool(_) => "a boolean",
            Self::Int(_) => "an integer",
            Self::Float(_) => "a number",
            Self::Text(_) => "a string",
            Self::Blob(_) => "a blob",
            Self::Time(_) => "a timestamp",
            Self::List(_) => "a list",
            Self::Map(_) => "a map",
            Self::Struct(_) => "a structure",
            Self::Document(_) => "a document",
            Self::Stream(_) => "a stream",
        }
    }
}

/// A Rust type that stands for a shape of a model.
pub trait Shape: Sized {
    /// Reads the type from a decoded value.
    ///
    /// # Errors
    ///
    /// When the value is of another shape.
    fn from_value(value: Value) -> Result<Self, ShapeMismatch>;

    /// The value to encode.
    fn into_value(self) -> Value;

    /// What the type is when the member is absent; `None` when it must be present.
    fn when_absent() -> Option<Self> {
        None
    }

    /// The value to encode as a member, or `None` to leave the member out.
    fn into_member(self) -> Option<Value> {
        Some(self.into_value())
    }

    /// As [`Shape::into_member`], for members whose absence and emptiness mean the same.
    fn into_member_unless_empty(self) -> Option<Value> {
        self.into_member()
    }
}

/// The typed input of an operation.
pub trait OperationInput: Shape + Send + Clone + fmt::Debug + 'static {
    /// What the operation answers with.
    type Output: Shape + Send + 'static;
    /// The service, by boto3's client name.
    const SERVICE: &'static str;
    /// The operation, by AWS's name.
    const OPERATION: &'static str;
}

macro_rules! scalar {
    ($type:ty, $variant:ident, $what:literal) => {
        impl Shape for $type {
            fn from_value(value: Value) -> Result<Self, ShapeMismatch> {
                if let Value::$variant(inner) = value {
                    Ok(inner)
                } else {
                    Err(ShapeMismatch::new($what, value.kind()))
                }
            }

            fn into_value(self) -> Value {
                Value::$variant(self)
            }
        }
    };
}

scalar!(bool, Bool, "a boolean");
scalar!(i64, Int, "an integer");
scalar!(String, Text, "a string");
scalar!(Bytes, Blob, "a blob");
scalar!(Timestamp, Time, "a timestamp");
scalar!(Document, Document, "a document");
scalar!(ByteStream, Stream, "a stream");

impl Shape for f64 {
    fn from_value(value: Value) -> Result<Self, ShapeMismatch> {
        if let Value::Float(number) = value {
            Ok(number)
        } else {
            Err(ShapeMismatch::new("a number", value.kind()))
        }
    }

    fn into_value(self) -> Value {
        Value::Float(self)
    }
}

impl Shape for i32 {
    fn from_value(value: Value) -> Result<Self, ShapeMismatch> {
        let wide = i64::from_value(value)?;
        Self::try_from(wide)
            .map_err(|_| ShapeMismatch::new("an integer of 32 bits", wide.to_string()))
    }

    fn into_value(self) -> Value {
        Value::Int(i64::from(self))
    }
}

impl<T: Shape> Shape for Box<T> {
    fn from_value(value: Value) -> Result<Self, ShapeMismatch> {
        T::from_value(value).map(Self::new)
    }

    fn into_value(self) -> Value {
        (*self).into_value()
    }
}

impl<T: Shape> Shape for Option<T> {
    fn from_value(value: Value) -> Result<Self, ShapeMismatch> {
        T::from_value(value).map(Some)
    }

    fn into_value(self) -> Value {
        self.map_or(Value::Document(Document::Null), T::into_value)
    }

    fn when_absent() -> Option<Self> {
        Some(None)
    }

    fn into_member(self) -> Option<Value> {
        self.map(T::into_value)
    }
}

impl<T: Shape> Shape for Vec<T> {
    fn from_value(value: Value) -> Result<Self, ShapeMismatch> {
        if let Value::List(list) = value {
            list.into_iter().map(T::from_value).collect()
        } else {
            Err(ShapeMismatch::new("a list", value.kind()))
        }
    }

    fn into_value(self) -> Value {
        Value::List(self.into_iter().map(T::into_value).collect())
    }

    fn when_absent() -> Option<Self> {
        Some(Self::new())
    }

    fn into_member_unless_empty(self) -> Option<Value> {
        (!self.is_empty()).then(|| self.into_value())
    }
}

impl<T: Shape> Shape for BTreeMap<String, T> {
    fn from_value(value: Value) -> Result<Self, ShapeMismatch> {
        if let Value::Map(map) = value {
            map.into_iter().map(|(k, v)| Ok((k, T::from_value(v)?))).collect()
        } else {
            Err(ShapeMismatch::new("a map", value.kind()))
        }
    }

    fn into_value(self) -> Value {
        Value::Map(self.into_iter().map(|(k, v)| (k, v.into_value())).collect())
    }

    fn when_absent() -> Option<Self> {
        Some(Self::new())
    }

    fn into_member_unless_empty(self) -> Option<Value> {
        (!self.is_empty()).then(|| self.into_value())
    }
}

/// Takes a member out of a structure that is being read.
///
/// # Errors
///
/// When a required member is absent or the member is of another shape.
pub fn take_member<T: Shape>(fields: &mut Fields, name: &'static str) -> Result<T, ShapeMismatch> {
    match fields.take(name) {
        Some(value) => T::from_value(value).map_err(|mismatch| mismatch.inside(name)),
        None => {
            T::when_absent().ok_or_else(|| ShapeMismatch::new("a value", "nothing").inside(name))
        }
    }
}

/// Adds a member to a structure that is being written.
pub fn put_member(fields: &mut Fields, name: &'static str, value: Option<Value>) {
    if let Some(value) = value {
        fields.push(name, value);
    }
}

/// The members of a structure that is being read, ready to be taken in order.
///
/// # Errors
///
/// When the value is no structure.
pub fn into_fields(value: Value) -> Result<Fields, ShapeMismatch> {
    if let Value::Struct(fields) = value {
        Ok(fields.reversed())
    } else {
        Err(ShapeMismatch::new("a structure", value.kind()))
    }
}

/// Declares a structure of a model with its members' wire names.
///
/// Each member ends with how it is encoded: `required`, `optional`, `always` (a list or map that
/// is written even when empty) or `nonempty` (one that is left out when empty).
#[macro_export]
macro_rules! structure {
    (@put required $value:expr) => { $crate::value::Shape::into_member($value) };
    (@put optional $value:expr) => { $crate::value::Shape::into_member($value) };
    (@put always $value:expr) => { $crate::value::Shape::into_member($value) };
    (@put nonempty $value:expr) => { $crate::value::Shape::into_member_unless_empty($value) };
    ($(#[$meta:meta])* pub struct $name:ident {
        $($field:ident: $type:ty = $wire:literal, $flag:ident;)*
    }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Default, PartialEq)]
        pub struct $name {
            $(#[doc = $wire] pub $field: $type,)*
        }

        impl $crate::value::Shape for $name {
            #[allow(unused_mut, unused_variables, reason = "a structure may have no members")]
            fn from_value(
                value: $crate::value::Value,
            ) -> Result<Self, $crate::value::ShapeMismatch> {
                let mut fields = $crate::value::into_fields(value)?;
                Ok(Self { $($field: $crate::value::take_member(&mut fields, $wire)?,)* })
            }

            #[allow(unused_mut, reason = "a structure may have no members")]
            fn into_value(self) -> $crate::value::Value {
                let mut fields = $crate::value::Fields::new();
                $($crate::value::put_member(
                    &mut fields,
                    $wire,
                    $crate::structure!(@put $flag self.$field),
                );)*
                $crate::value::Value::Struct(fields)
            }
        }
    };
}

/// Declares an enumeration of a model with its values' wire texts; the default is the first.
#[macro_export]
macro_rules! enumeration {
    ($(#[$meta:meta])* pub enum $name:ident {
        $first:ident = $first_wire:literal, $($variant:ident = $wire:literal,)*
    }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
        pub enum $name {
            #[default]
            #[doc = $first_wire]
            $first,
            $(#[doc = $wire] $variant,)*
        }

        impl $name {
            /// The text on the wire.
            pub const fn as_str(self) -> &'static str {
                match self {
                    Self::$first => $first_wire,
                    $(Self::$variant => $wire,)*
                }
            }

            /// All values, in the model's order.
            pub const fn values() -> &'static [Self] {
                &[Self::$first, $(Self::$variant,)*]
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::value::ShapeMismatch;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                match text {
                    $first_wire => Ok(Self::$first),
                    $($wire => Ok(Self::$variant),)*
                    other => Err($crate::value::ShapeMismatch::new(stringify!($name), other)),
                }
            }
        }

        impl $crate::value::Shape for $name {
            fn from_value(
                value: $crate::value::Value,
            ) -> Result<Self, $crate::value::ShapeMismatch> {
                <String as $crate::value::Shape>::from_value(value)?.parse()
            }

            fn into_value(self) -> $crate::value::Value {
                $crate::value::Value::Text(self.as_str().to_owned())
            }
        }
    };
}

/// Binds an operation's input to its output and name.
#[macro_export]
macro_rules! operation {
    ($input:ident => $output:ident, $name:literal) => {
        impl $crate::value::OperationInput for $input {
            type Output = $output;
            const SERVICE: &'static str = SERVICE;
            const OPERATION: &'static str = $name;
        }
    };
}
