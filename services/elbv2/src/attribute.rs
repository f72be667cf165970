//! Attributes: a table of names with their defaults and what values they take.

use crate::error::{Result, invalid, unsupported};
use crate::store::Attributes;

/// An attribute of a load balancer or target group.
pub(crate) struct Attribute {
    pub(crate) name: &'static str,
    pub(crate) default: &'static str,
    pub(crate) takes: Takes,
}

/// The values that an attribute takes.
pub(crate) enum Takes {
    /// `true` or `false`.
    Bool,
    /// A whole number.
    Number(std::ops::RangeInclusive<u32>),
    /// Zero or a whole number.
    ZeroOr(std::ops::RangeInclusive<u32>),
    /// One of these.
    OneOf(&'static [&'static str]),
    /// Any text of at most so many characters.
    Text(usize),
    /// AWS takes others too; here only the default can be honoured.
    DefaultOnly,
}

/// The value of an attribute that holds.
pub(crate) fn value<'a>(table: &'a [Attribute], set: &'a Attributes, name: &str) -> &'a str {
    let default = || table.iter().find(|it| it.name == name).map_or("", |it| it.default);
    set.get(name).map_or_else(default, String::as_str)
}

/// The value of an attribute that holds, as a number.
pub(crate) fn number(table: &[Attribute], set: &Attributes, name: &str) -> u32 {
    value(table, set, name).parse().unwrap_or_default()
}

/// Whether an attribute is `true`.
pub(crate) fn is_on(table: &[Attribute], set: &Attributes, name: &str) -> bool {
    value(table, set, name) == "true"
}

/// All attributes with the values that hold.
pub(crate) fn all<T>(
    table: &[Attribute],
    set: &Attributes,
    make: impl Fn(Option<String>, Option<String>) -> T,
) -> Vec<T> {
    let one = |it: &Attribute| {
        make(Some(it.name.to_owned()), Some(value(table, set, it.name).to_owned()))
    };
    table.iter().map(one).collect()
}

/// Checks attributes that are to be set; what is given as its default is kept as unset.
pub(crate) fn check(
    table: &[Attribute],
    asked: impl IntoIterator<Item = (Option<String>, Option<String>)>,
) -> Result<Vec<(String, String)>> {
    let one = |(name, value): (Option<String>, Option<String>)| {
        let name = name.unwrap_or_default();
        let value = value.unwrap_or_default();
        let known = table
            .iter()
            .find(|it| it.name == name)
            .ok_or_else(|| invalid(format!("Attribute key '{name}' is not recognized")))?;
        require(known, &value)?;
        Ok((name, value))
    };
    asked.into_iter().map(one).collect()
}

fn require(attribute: &Attribute, value: &str) -> Result<()> {
    let Attribute { name, default, takes } = attribute;
    let within = |range: &std::ops::RangeInclusive<u32>| {
        value.parse().is_ok_and(|number| range.contains(&number))
    };
    let (fits, what) = match takes {
        Takes::Bool => (matches!(value, "true" | "false"), "'true' or 'false'".to_owned()),
        Takes::Number(range) => {
            (within(range), format!("between '{}' and '{}'", range.start(), range.end()))
        }
        Takes::ZeroOr(range) => (
            value == "0" || within(range),
            format!("'0' or between '{}' and '{}'", range.start(), range.end()),
        ),
        Takes::OneOf(values) => (values.contains(&value), format!("one of {}", values.join(", "))),
        Takes::Text(max) => (value.chars().count() <= *max, format!("at most {max} characters")),
        Takes::DefaultOnly => {
            if value == *default {
                return Ok(());
            }
            return Err(unsupported(format!(
                "The attribute '{name}' can only be '{default}' in this region"
            )));
        }
    };
    if fits { Ok(()) } else { Err(invalid(format!("Value of attribute '{name}' must be {what}"))) }
}
