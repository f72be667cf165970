//! Parameter values that depend on the memory of the instance class.
//!
//! AWS: "Specifying DB parameters" (formulas, `GREATEST`, `LEAST`, `SUM`).

use crate::error::{Error, Result};

/// How deep functions may stand in each other.
const DEPTH_MAX: usize = 8;

/// Works out a value. A value without braces or functions is itself.
pub(crate) fn evaluate(value: &str, memory_bytes: u64) -> Result<String> {
    let trimmed = value.trim();
    let function = ["LEAST(", "GREATEST(", "SUM("].iter().any(|name| trimmed.starts_with(name));
    if !trimmed.starts_with('{') && !function {
        return Ok(value.to_owned());
    }
    number(trimmed, memory_bytes, 0)
        .map(|number| number.to_string())
        .ok_or_else(|| Error::Refused(format!("cannot work out the formula {value}")))
}

fn number(text: &str, memory_bytes: u64, depth: usize) -> Option<u64> {
    let text = text.trim();
    if depth > DEPTH_MAX {
        return None;
    }
    if let Ok(number) = text.parse() {
        return Some(number);
    }
    if let Some(inner) = text.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) {
        return product(inner, memory_bytes);
    }
    let (name, rest) = text.split_once('(')?;
    let inner = rest.strip_suffix(')')?;
    let arguments = split(inner)
        .into_iter()
        .map(|argument| number(argument, memory_bytes, depth + 1))
        .collect::<Option<Vec<u64>>>()?;
    match name.trim().to_ascii_uppercase().as_str() {
        "LEAST" => arguments.into_iter().min(),
        "GREATEST" => arguments.into_iter().max(),
        "SUM" => arguments.into_iter().try_fold(0u64, u64::checked_add),
        _ => None,
    }
}

/// The arguments between commas that stand in no inner parentheses.
fn split(text: &str) -> Vec<&str> {
    let mut depth = 0usize;
    text.split(|c| {
        match c {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        c == ',' && depth == 0
    })
    .collect()
}

/// `DBInstanceClassMemory*3/4`: factors from left to right.
fn product(text: &str, memory_bytes: u64) -> Option<u64> {
    if text.ends_with(['*', '/']) {
        return None;
    }
    let mut result: u128 = 1;
    let mut divide = false;
    for piece in text.split_inclusive(['*', '/']) {
        let (word, next) = match piece.strip_suffix('/') {
            Some(word) => (word, true),
            None => (piece.strip_suffix('*').unwrap_or(piece), false),
        };
        let factor = match word.trim() {
            "DBInstanceClassMemory" | "AllocatedMemory" => u128::from(memory_bytes),
            digits => digits.parse().ok()?,
        };
        let combine = if divide { u128::checked_div } else { u128::checked_mul };
        result = combine(result, factor)?;
        divide = next;
    }
    u64::try_from(result).ok()
}

#[cfg(test)]
mod tests {
    use super::evaluate;

    #[test]
    fn formulas_follow_the_memory() {
        let check = |formula: &str, result: &str| {
            assert_eq!(evaluate(formula, 1 << 30).unwrap(), result, "{formula}");
        };
        check("{DBInstanceClassMemory*3/4}", "805306368");
        check("{DBInstanceClassMemory/12582880}", "85");
        check("LEAST({DBInstanceClassMemory/9531392},5000)", "112");
        check("GREATEST(LEAST(7,9),SUM(1,2),{64})", "64");
        check("utf8mb4", "utf8mb4");
        check("STRICT_TRANS_TABLES,NO_ZERO_DATE", "STRICT_TRANS_TABLES,NO_ZERO_DATE");
        assert!(evaluate("{DBInstanceClassMemory*}", 1).is_err());
        assert!(evaluate("{1/0}", 1).is_err());
        assert!(evaluate("LEAST(1,many)", 1).is_err());
    }
}
