//! The models' patterns, which are written for Java, compiled for Rust.

use regex::{Regex, RegexBuilder};

/// Compiled patterns larger than this are skipped, so that a model cannot cost unbounded memory.
const SIZE_MAX: usize = 4 << 20;

/// Compiles a pattern for a whole text; `None` when it uses what the engine lacks.
///
/// Look-around and back references are such, as they allow exponential time. Values that such a
/// pattern constrains are checked by the service.
pub(crate) fn compile(text: &str) -> Option<Regex> {
    // Java writes the characters beyond the basic plane as pairs.
    let translated =
        translate(&text.replace(r"\uD800\uDC00-\uDBFF\uDFFF", r"\x{10000}-\x{10FFFF}"));
    let translated =
        translated.replace(r"\p{Print}", r"[\x20-\x7E]").replace(r"\p{all}", r"[\s\S]");
    RegexBuilder::new(&format!("^(?:{translated})$"))
        .dot_matches_new_line(false)
        .size_limit(SIZE_MAX)
        .build()
        .ok()
}

/// Java's notation to Rust's where they differ.
fn translate(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    let mut in_class = false;
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                // Java's four-digit escape.
                Some('u') if chars.peek() != Some(&'{') => {
                    let digits: String = chars.by_ref().take(4).collect();
                    out.push_str(&format!("\\u{{{digits}}}"));
                }
                // Rust refuses to escape letters and digits that mean nothing.
                Some(
                    escaped @ ('_' | '"' | '\'' | '/' | '=' | ':' | '@' | ',' | ';' | '!' | '%'
                    | '<' | '>' | '`' | ' '),
                ) => {
                    if in_class || escaped != ' ' {
                        out.push(escaped);
                    } else {
                        out.push_str("\\x20");
                    }
                }
                Some(escaped) => {
                    out.push('\\');
                    out.push(escaped);
                }
                None => out.push('\\'),
            },
            // Inside a class Java's unions are rare; a bare bracket is meant as itself.
            '[' if in_class && chars.peek() != Some(&':') => out.push_str("\\["),
            '[' => {
                in_class = true;
                out.push('[');
                if chars.peek() == Some(&'^') {
                    chars.next();
                    out.push('^');
                }
                if chars.peek() == Some(&']') {
                    chars.next();
                    out.push_str("\\]");
                }
            }
            ']' => {
                in_class = false;
                out.push(']');
            }
            // Rust reads these doubled in a class as operators.
            '&' | '~' if in_class => {
                out.push('\\');
                out.push(c);
            }
            _ => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_texts_match() {
        for (pattern, yes, no) in [
            ("[\\w+=,.@-]+", "a+b", "a b"),
            ("[\\u0009\\u000A\\u000D\\u0020-\\u00FF]+", "tab\there", "\u{3042}"),
            ("arn:aws:iam::\\d{12}:role\\/.*", "arn:aws:iam::123456789012:role/x", "role/x"),
            ("a|b", "b", "ab"),
            (r"[\u0020-\uD7FF\uE000-\uFFFD\uD800\uDC00-\uDBFF\uDFFF]*", "a\u{1F600}", "a\tb"),
            (r"\p{Print}+", "a b", "a\tb"),
            ("[[:alpha:]]+", "abc", "1"),
        ] {
            let regex = compile(pattern).unwrap();
            assert!(regex.is_match(yes), "{pattern} {yes}");
            assert!(!regex.is_match(no), "{pattern} {no}");
        }
    }

    #[test]
    fn few_patterns_are_skipped() {
        let mut texts = std::collections::BTreeMap::new();
        for name in crate::schema::services() {
            for shape in &crate::schema::service(name).unwrap().shapes {
                if let Some(pattern) = &shape.pattern {
                    texts.insert(pattern.text, (name, shape.name));
                }
            }
        }
        let all = texts.len();
        let skipped: Vec<_> = texts.iter().filter(|(text, _)| compile(text).is_none()).collect();
        println!("{} of {all} skipped", skipped.len());
        for one in &skipped {
            println!("{one:?}");
        }
        assert!(skipped.len() * 16 < all, "{} of {all}", skipped.len());
    }
}
