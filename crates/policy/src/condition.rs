//! Condition blocks: operators, set operators and what holds when a key is missing.
//!
//! AWS: "IAM JSON policy elements: Condition operators", "Conditions with multiple context keys or
//! values", "Set operators for multivalued context keys".

use base::Timestamp;

use crate::arn_pattern::ArnPattern;
use crate::context::Context;
use crate::pattern::{BadVariable, Pattern, Variables, Wildcards};
use crate::value::{Block, date, number};

/// One key of one operator of a condition block, with the values it is compared to.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Condition {
    operator: Box<str>,
    /// In lower case.
    key: Box<str>,
    set: SetOperator,
    missing: Missing,
    negated: bool,
    test: Test,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum SetOperator {
    None,
    AnyValue,
    AllValues,
}

/// What an absent key means.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Missing {
    /// The operator's own answer: false, or true where it is negated.
    Compares,
    /// True: `..IfExists`.
    Holds,
}

#[derive(Debug, Clone, PartialEq)]
enum Test {
    Text(Box<[Pattern]>),
    TextWithoutCase(Box<[Pattern]>),
    Number(Order, Box<[f64]>),
    Date(Order, Box<[Timestamp]>),
    Binary(Box<[Box<str>]>),
    Address(Box<[Block]>),
    Arn(Box<[ArnPattern]>),
    /// Whether the key is to be absent.
    Null(Box<[bool]>),
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Order {
    Equal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// Why a condition does not compile.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum BadCondition {
    /// No such operator, or a malformed variable.
    Syntax,
    /// A value that is no number, date, address or truth value as its operator needs.
    Value,
}

impl From<BadVariable> for BadCondition {
    fn from(BadVariable: BadVariable) -> Self {
        Self::Syntax
    }
}

impl Condition {
    /// Compiles one key of an operator.
    pub(crate) fn compile(
        operator: &str,
        key: &str,
        values: &[&str],
        variables: Variables,
    ) -> Result<Self, BadCondition> {
        let (set, rest) = match operator.split_once(':') {
            Some(("ForAnyValue", rest)) => (SetOperator::AnyValue, rest),
            Some(("ForAllValues", rest)) => (SetOperator::AllValues, rest),
            Some(_) => return Err(BadCondition::Syntax),
            None => (SetOperator::None, operator),
        };
        let (name, missing) = match rest.strip_suffix("IfExists") {
            Some(name) => (name, Missing::Holds),
            None => (rest, Missing::Compares),
        };
        let (negated, test) = compile_test(name, values, variables)?;
        if matches!(test, Test::Null(_)) && (set != SetOperator::None || missing == Missing::Holds)
        {
            return Err(BadCondition::Syntax);
        }
        let key = key.to_lowercase().into();
        Ok(Self { operator: operator.into(), key, set, missing, negated, test })
    }

    /// The operator and the key, as explanations show them.
    pub(crate) fn label(&self) -> String {
        format!("{} {}", self.operator, self.key)
    }

    /// Whether the request satisfies the condition.
    pub(crate) fn holds(&self, context: &Context) -> bool {
        let values = context.lowered(&self.key);
        if let Test::Null(wanted) = &self.test {
            return wanted.contains(&values.is_empty());
        }
        if values.is_empty() {
            return match (self.missing, self.set) {
                (Missing::Holds, _) | (_, SetOperator::AllValues) => true,
                (_, SetOperator::AnyValue) => false,
                (_, SetOperator::None) => self.negated,
            };
        }
        match self.set {
            // Without a set operator a negated comparison fails if any value matches.
            SetOperator::None if self.negated => values.iter().all(|v| self.compares(v, context)),
            SetOperator::None | SetOperator::AnyValue => {
                values.iter().any(|value| self.compares(value, context))
            }
            SetOperator::AllValues => {
                // An empty text is a null data set, for which all values match.
                values.iter().all(|value| value.is_empty() || self.compares(value, context))
            }
        }
    }

    /// Compares one value of the request. A comparison that needs a variable without a value
    /// fails, negated or not.
    fn compares(&self, value: &str, context: &Context) -> bool {
        self.test.matches(value, context).is_some_and(|matched| matched != self.negated)
    }
}

impl Test {
    /// Whether any of the policy's values matches; nothing when none does and one is unresolved.
    fn matches(&self, value: &str, context: &Context) -> Option<bool> {
        match self {
            Self::Text(patterns) => any(patterns, |pattern| pattern.matches(value, context)),
            Self::TextWithoutCase(patterns) => {
                any(patterns, |pattern| Some(equal_without_case(&pattern.resolve(context)?, value)))
            }
            Self::Arn(patterns) => any(patterns, |pattern| pattern.matches(value, context)),
            Self::Number(order, bounds) => Some(
                number(value).is_some_and(|v| bounds.iter().any(|bound| order.holds(&v, bound))),
            ),
            Self::Date(order, bounds) => {
                Some(date(value).is_some_and(|v| bounds.iter().any(|bound| order.holds(&v, bound))))
            }
            Self::Binary(wanted) => Some(wanted.iter().any(|want| **want == *value)),
            Self::Address(blocks) => Some(
                value
                    .parse()
                    .is_ok_and(|address| blocks.iter().any(|block| block.contains(address))),
            ),
            Self::Null(wanted) => Some(wanted.contains(&false)),
        }
    }
}

fn equal_without_case(a: &str, b: &str) -> bool {
    a.eq_ignore_ascii_case(b) || a.to_lowercase() == b.to_lowercase()
}

fn any<T>(patterns: &[T], matches: impl Fn(&T) -> Option<bool>) -> Option<bool> {
    let mut unresolved = false;
    for pattern in patterns {
        match matches(pattern) {
            Some(true) => return Some(true),
            Some(false) => {}
            None => unresolved = true,
        }
    }
    (!unresolved).then_some(false)
}

impl Order {
    fn holds<T: PartialOrd>(self, value: &T, bound: &T) -> bool {
        match self {
            Self::Equal => value == bound,
            Self::Less => value < bound,
            Self::LessOrEqual => value <= bound,
            Self::Greater => value > bound,
            Self::GreaterOrEqual => value >= bound,
        }
    }

    /// Reads what follows `Numeric` or `Date` in an operator, and whether it is negated.
    fn parse(name: &str) -> Option<(bool, Self)> {
        Some(match name {
            "Equals" => (false, Self::Equal),
            "NotEquals" => (true, Self::Equal),
            "LessThan" => (false, Self::Less),
            "LessThanEquals" => (false, Self::LessOrEqual),
            "GreaterThan" => (false, Self::Greater),
            "GreaterThanEquals" => (false, Self::GreaterOrEqual),
            _ => return None,
        })
    }
}

fn compile_test(
    name: &str,
    values: &[&str],
    variables: Variables,
) -> Result<(bool, Test), BadCondition> {
    let text = |wildcards| -> Result<Box<[Pattern]>, BadCondition> {
        Ok(values
            .iter()
            .map(|value| Pattern::compile(value, wildcards, variables))
            .collect::<Result<_, _>>()?)
    };
    let arns = || -> Result<Box<[ArnPattern]>, BadCondition> {
        Ok(values
            .iter()
            .map(|value| ArnPattern::compile(value, variables))
            .collect::<Result<_, _>>()?)
    };
    if let Some((negated, order)) = name.strip_prefix("Numeric").and_then(Order::parse) {
        return Ok((negated, Test::Number(order, typed(values, number)?)));
    }
    if let Some((negated, order)) = name.strip_prefix("Date").and_then(Order::parse) {
        return Ok((negated, Test::Date(order, typed(values, date)?)));
    }
    Ok(match name {
        "StringEquals" => (false, Test::Text(text(Wildcards::Literal)?)),
        "StringNotEquals" => (true, Test::Text(text(Wildcards::Literal)?)),
        "StringEqualsIgnoreCase" => (false, Test::TextWithoutCase(text(Wildcards::Literal)?)),
        "StringNotEqualsIgnoreCase" => (true, Test::TextWithoutCase(text(Wildcards::Literal)?)),
        "StringLike" => (false, Test::Text(text(Wildcards::Active)?)),
        "StringNotLike" => (true, Test::Text(text(Wildcards::Active)?)),
        "ArnEquals" | "ArnLike" => (false, Test::Arn(arns()?)),
        "ArnNotEquals" | "ArnNotLike" => (true, Test::Arn(arns()?)),
        "IpAddress" => (false, Test::Address(typed(values, Block::parse)?)),
        "NotIpAddress" => (true, Test::Address(typed(values, Block::parse)?)),
        "BinaryEquals" => (false, Test::Binary(values.iter().map(|v| (*v).into()).collect())),
        "Null" => (false, Test::Null(typed(values, truth)?)),
        "Bool" => {
            let valid = |value: &&str| truth(value).is_some() || value.contains("${");
            if !values.iter().all(valid) {
                return Err(BadCondition::Value);
            }
            (false, Test::TextWithoutCase(text(Wildcards::Literal)?))
        }
        _ => return Err(BadCondition::Syntax),
    })
}

fn typed<T>(values: &[&str], read: impl Fn(&str) -> Option<T>) -> Result<Box<[T]>, BadCondition> {
    values.iter().map(|value| read(value)).collect::<Option<_>>().ok_or(BadCondition::Value)
}

fn truth(text: &str) -> Option<bool> {
    match () {
        () if text.eq_ignore_ascii_case("true") => Some(true),
        () if text.eq_ignore_ascii_case("false") => Some(false),
        () => None,
    }
}
