//! Rust names for AWS's names.

use std::sync::LazyLock;

use regex::Regex;

static PLURAL: LazyLock<Regex> = LazyLock::new(|| regex("[A-Z]{2,}s$"));
static FIRST: LazyLock<Regex> = LazyLock::new(|| regex("(.)([A-Z][a-z]+)"));
static LAST: LazyLock<Regex> = LazyLock::new(|| regex("([a-z0-9])([A-Z])"));

fn regex(pattern: &str) -> Regex {
    Regex::new(pattern).expect("a constant pattern compiles")
}

/// The snake case that boto3 uses, so that its users know the names.
pub(super) fn snake(name: &str) -> String {
    if name.contains('_') {
        return name.to_lowercase();
    }
    let mut name = name.replace(['-', '.', ':'], "_");
    if let Some(found) = PLURAL.find(&name) {
        let (head, tail) = name.split_at(found.start());
        let joint = if head.is_empty() { "" } else { "_" };
        name = format!("{head}{joint}{}", tail.to_lowercase());
    }
    let name = FIRST.replace_all(&name, "${1}_${2}");
    let name = LAST.replace_all(&name, "${1}_${2}").to_lowercase();
    name.replace("__", "_")
}

/// As [`snake`], usable as a field: keywords end with an underscore.
pub(super) fn field(name: &str) -> String {
    let mut name = snake(name);
    if name.starts_with(|c: char| c.is_ascii_digit()) {
        name.insert(0, 'n');
    }
    if KEYWORDS.contains(&name.as_str()) {
        name.push('_');
    }
    name
}

/// A shape's name with a capital first letter, otherwise as AWS spells it.
pub(super) fn type_name(name: &str) -> String {
    let name: String = name.chars().filter(|c| c.is_ascii_alphanumeric()).collect();
    let mut chars = name.chars();
    let name: String = chars.next().into_iter().flat_map(char::to_uppercase).chain(chars).collect();
    if TAKEN.contains(&name.as_str()) { format!("{name}Shape") } else { name }
}

/// A constant's name.
pub(super) fn constant(name: &str) -> String {
    snake(name).to_uppercase()
}

/// An enumeration's variants for its values: `CREATE_COMPLETE` is `CreateComplete`.
pub(super) fn variants(values: &[String]) -> Vec<String> {
    let mut taken = Vec::new();
    for value in values {
        let mut name: String = value
            .split(|c: char| !c.is_ascii_alphanumeric())
            .filter(|word| !word.is_empty())
            .map(camel_word)
            .collect();
        if name.is_empty() {
            name = if value.is_empty() { "Empty".into() } else { "Symbol".into() };
        }
        if name.starts_with(|c: char| c.is_ascii_digit()) {
            name.insert(0, 'V');
        }
        if name == "Self" {
            name.push('_');
        }
        let stem = name.clone();
        let mut number = 2;
        while taken.contains(&name) {
            name = format!("{stem}Value{number}");
            number += 1;
        }
        taken.push(name);
    }
    taken
}

fn camel_word(word: &str) -> String {
    let shout = word.len() > 1 && !word.contains(|c: char| c.is_ascii_lowercase());
    let (head, tail) = word.split_at(1);
    let tail = if shout { tail.to_lowercase() } else { tail.to_owned() };
    head.to_uppercase() + &tail
}

const KEYWORDS: &[&str] = &[
    "abstract", "as", "async", "await", "become", "box", "break", "const", "continue", "crate",
    "do", "dyn", "else", "enum", "extern", "false", "final", "fn", "for", "gen", "if", "impl",
    "in", "let", "loop", "macro", "match", "mod", "move", "mut", "override", "priv", "pub", "ref",
    "return", "self", "static", "struct", "super", "trait", "true", "try", "type", "typeof",
    "unsafe", "unsized", "use", "virtual", "where", "while", "yield",
];

/// Names that the generated files use for something else.
const TAKEN: &[&str] = &[
    "BTreeMap",
    "Box",
    "ByteStream",
    "Bytes",
    "Document",
    "None",
    "Option",
    "Result",
    "Some",
    "String",
    "Timestamp",
    "Vec",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_boto3s() {
        for (aws, rust) in [
            ("CreateDBInstance", "create_db_instance"),
            ("DescribeSSLPolicies", "describe_ssl_policies"),
            ("ListObjectsV2", "list_objects_v2"),
            ("AssignIpv6Addresses", "assign_ipv6_addresses"),
            ("TargetGroupARNs", "target_group_arns"),
            ("VPCZoneIdentifier", "vpc_zone_identifier"),
            ("DBName", "db_name"),
            ("Type", "type_"),
            ("SSEKMSKeyId", "ssekms_key_id"),
        ] {
            assert_eq!(field(aws), rust);
        }
    }

    #[test]
    fn variants_are_distinct() {
        let values =
            ["CREATE_COMPLETE", "ap-northeast-2", "gp2", "-1", "GP2", "", "m5.large", "TCP"];
        let want =
            ["CreateComplete", "ApNortheast2", "Gp2", "V1", "Gp2Value2", "Empty", "M5Large", "Tcp"];
        assert_eq!(variants(&values.map(str::to_owned)), want);
    }
}
