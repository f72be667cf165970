//! Text patterns: `*`, `?` and policy variables, compiled so that the common shapes (anything, an
//! exact text, a prefix) cost one comparison.
//!
//! AWS: "IAM policy elements: Variables and tags".

use std::borrow::Cow;

use crate::context::Context;

/// A compiled pattern.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Pattern(Shape);

#[derive(Debug, Clone, PartialEq)]
enum Shape {
    Any,
    Exact(Box<str>),
    Prefix(Box<str>),
    Glob(Box<[Token]>),
    /// A glob with a variable in it, resolved anew at each match.
    Variable(Box<[Token]>),
}

#[derive(Debug, Clone, PartialEq)]
enum Token {
    Literal(Box<str>),
    One,
    Many,
    Variable { key: Box<str>, default: Option<Box<str>> },
}

/// What `*` and `?` mean in a pattern's source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wildcards {
    Active,
    Literal,
}

/// Whether `${..}` is a variable: only since version 2012-10-17 of the language.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Variables {
    Active,
    Literal,
}

/// The source holds a `${` that names no variable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BadVariable;

enum Piece<'a> {
    Literal(&'a str),
    One,
    Many,
}

impl Pattern {
    /// Compiles `source`.
    pub(crate) fn compile(
        source: &str,
        wildcards: Wildcards,
        variables: Variables,
    ) -> Result<Self, BadVariable> {
        let tokens = tokens_of(source, wildcards, variables)?;
        let shape = match tokens.as_slice() {
            [] => Shape::Exact("".into()),
            [Token::Many] => Shape::Any,
            [Token::Literal(text)] => Shape::Exact(text.clone()),
            [Token::Literal(text), Token::Many] => Shape::Prefix(text.clone()),
            _ if tokens.iter().any(|token| matches!(token, Token::Variable { .. })) => {
                Shape::Variable(tokens.into())
            }
            _ => Shape::Glob(tokens.into()),
        };
        Ok(Self(shape))
    }

    /// Compiles `source` with active wildcards and no variables.
    pub(crate) fn wildcard(source: &str) -> Self {
        Self::compile(source, Wildcards::Active, Variables::Literal).unwrap_or(Self(Shape::Any))
    }

    /// Whether the whole of `text` matches; nothing when a variable has no value.
    pub(crate) fn matches(&self, text: &str, context: &Context) -> Option<bool> {
        Some(match &self.0 {
            Shape::Any => true,
            Shape::Exact(want) => **want == *text,
            Shape::Prefix(want) => text.starts_with(&**want),
            Shape::Glob(tokens) => glob(tokens.len(), |at| plain_piece(tokens, at), text),
            Shape::Variable(tokens) => {
                let pieces = resolved(tokens, context)?;
                glob(pieces.len(), |at| copy_piece(&pieces, at), text)
            }
        })
    }

    /// The text that the pattern stands for, its wildcards taken literally.
    pub(crate) fn resolve(&self, context: &Context) -> Option<Cow<'_, str>> {
        match &self.0 {
            Shape::Exact(text) => Some(Cow::Borrowed(text)),
            Shape::Any => Some(Cow::Borrowed("*")),
            Shape::Prefix(text) => Some(Cow::Owned(format!("{text}*"))),
            Shape::Glob(tokens) | Shape::Variable(tokens) => {
                let mut text = String::new();
                for piece in resolved(tokens, context)? {
                    match piece {
                        Piece::Literal(part) => text.push_str(part),
                        Piece::One => text.push('?'),
                        Piece::Many => text.push('*'),
                    }
                }
                Some(Cow::Owned(text))
            }
        }
    }

    /// Whether the pattern is nothing but stars.
    pub(crate) fn is_any(&self) -> bool {
        self.0 == Shape::Any
    }
}

fn plain_piece(tokens: &[Token], at: usize) -> Piece<'_> {
    match tokens.get(at) {
        Some(Token::Literal(text)) => Piece::Literal(text),
        Some(Token::One) => Piece::One,
        Some(Token::Many) => Piece::Many,
        // A glob without variables holds none, and `glob` asks for no piece past the end.
        Some(Token::Variable { .. }) | None => Piece::Literal(""),
    }
}

fn copy_piece<'a>(pieces: &[Piece<'a>], at: usize) -> Piece<'a> {
    match pieces.get(at) {
        Some(Piece::Literal(text)) => Piece::Literal(text),
        Some(Piece::One) => Piece::One,
        Some(Piece::Many) => Piece::Many,
        None => Piece::Literal(""),
    }
}

/// The pieces with each variable's value, in which wildcards are plain characters.
fn resolved<'a>(tokens: &'a [Token], context: &'a Context) -> Option<Vec<Piece<'a>>> {
    tokens
        .iter()
        .map(|token| {
            Some(match token {
                Token::Literal(text) => Piece::Literal(text),
                Token::One => Piece::One,
                Token::Many => Piece::Many,
                Token::Variable { key, default } => {
                    Piece::Literal(context.single(key).or(default.as_deref())?)
                }
            })
        })
        .collect()
}

/// Matches by going back to the last star only, which suffices and is at worst quadratic.
fn glob<'a>(len: usize, piece: impl Fn(usize) -> Piece<'a>, text: &str) -> bool {
    let (mut at, mut rest) = (0, text);
    let mut retry: Option<(usize, &str)> = None;
    loop {
        if at < len {
            match piece(at) {
                Piece::Many => {
                    at += 1;
                    if at == len {
                        return true;
                    }
                    retry = Some((at, rest));
                    continue;
                }
                Piece::One => {
                    if let Some(tail) = behind_first(rest) {
                        (at, rest) = (at + 1, tail);
                        continue;
                    }
                }
                Piece::Literal(text) => {
                    if let Some(tail) = rest.strip_prefix(text) {
                        (at, rest) = (at + 1, tail);
                        continue;
                    }
                }
            }
        } else if rest.is_empty() {
            return true;
        }
        match retry.and_then(|(after, from)| Some((after, behind_first(from)?))) {
            Some((after, from)) => {
                retry = Some((after, from));
                (at, rest) = (after, from);
            }
            None => return false,
        }
    }
}

/// `text` without its first character, or nothing when it is empty.
fn behind_first(text: &str) -> Option<&str> {
    let mut chars = text.chars();
    chars.next()?;
    Some(chars.as_str())
}

fn tokens_of(
    source: &str,
    wildcards: Wildcards,
    variables: Variables,
) -> Result<Vec<Token>, BadVariable> {
    let mut tokens = Vec::new();
    let mut literal = String::new();
    let mut rest = source;
    while let Some(first) = rest.chars().next() {
        if variables == Variables::Active
            && let Some(tail) = rest.strip_prefix("${")
        {
            let (inside, tail) = tail.split_once('}').ok_or(BadVariable)?;
            rest = tail;
            match inside {
                "*" | "?" | "$" => literal.push_str(inside),
                _ => {
                    flush(&mut tokens, &mut literal);
                    tokens.push(variable(inside)?);
                }
            }
            continue;
        }
        rest = behind_first(rest).unwrap_or_default();
        match first {
            '*' if wildcards == Wildcards::Active => {
                flush(&mut tokens, &mut literal);
                if tokens.last() != Some(&Token::Many) {
                    tokens.push(Token::Many);
                }
            }
            '?' if wildcards == Wildcards::Active => {
                flush(&mut tokens, &mut literal);
                tokens.push(Token::One);
            }
            other => literal.push(other),
        }
    }
    flush(&mut tokens, &mut literal);
    Ok(tokens)
}

fn flush(tokens: &mut Vec<Token>, literal: &mut String) {
    if !literal.is_empty() {
        tokens.push(Token::Literal(std::mem::take(literal).into()));
    }
}

/// Reads `key` or `key, 'default'`.
fn variable(inside: &str) -> Result<Token, BadVariable> {
    let (key, default) = match inside.split_once(',') {
        None => (inside.trim(), None),
        Some((key, default)) => {
            let quoted = default.trim().strip_prefix('\'').and_then(|d| d.strip_suffix('\''));
            (key.trim(), Some(quoted.ok_or(BadVariable)?.into()))
        }
    };
    if key.is_empty() || key.contains(['\'', '{', '$']) {
        return Err(BadVariable);
    }
    Ok(Token::Variable { key: key.to_lowercase().into(), default })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn matches(pattern: &str, text: &str) -> bool {
        let pattern = Pattern::compile(pattern, Wildcards::Active, Variables::Active).unwrap();
        pattern.matches(text, &Context::new()).unwrap()
    }

    #[test]
    fn wildcards_match_as_the_resource_page_says() {
        for (pattern, text, want) in [
            ("*", "", true),
            ("*", "anything/at:all", true),
            ("**", "x", true),
            ("", "", true),
            ("", "a", false),
            ("?", "", false),
            ("?", "é", true),
            ("??", "é", false),
            ("a*", "a", true),
            ("a*", "ba", false),
            ("*a", "ba", true),
            ("*a", "ab", false),
            ("a*b", "ab", true),
            ("a*b", "aXXb", true),
            ("a*b", "aXXbc", false),
            ("a?b", "aXb", true),
            ("a?b", "ab", false),
            ("a*b*c", "a1b2c", true),
            ("a*b*c", "a1c2b", false),
            ("*ab*ab*", "xxabyyabzz", true),
            ("*ab*ab*", "xxabyyazz", false),
            ("*aab", "aaaab", true),
            ("?*", "", false),
            ("?*", "abc", true),
            ("*?", "a", true),
            ("arn:aws:s3:::b/*/x", "arn:aws:s3:::b/1/2/x", true),
            ("${*}", "*", true),
            ("${*}", "a", false),
            ("${?}x", "?x", true),
            ("${?}x", "ax", false),
            ("${$}{a}", "${a}", true),
            ("A", "a", false),
        ] {
            assert_eq!(matches(pattern, text), want, "{pattern} on {text}");
        }
    }

    #[test]
    fn variables_take_their_value_or_default() {
        let context = Context::new().with("aws:username", "a*b").with_all("aws:TagKeys", ["x"]);
        for (source, text, want) in [
            ("home/${aws:username}/*", "home/a*b/f", Some(true)),
            ("home/${aws:username}/*", "home/aXb/f", Some(false)),
            ("${AWS:UserName}", "a*b", Some(true)),
            ("${ aws:username }", "a*b", Some(true)),
            ("${aws:missing}", "", None),
            ("${aws:missing, 'team'}/*", "team/x", Some(true)),
            ("${aws:missing,'team*'}", "team1", Some(false)),
            ("${aws:username, 'team'}", "a*b", Some(true)),
            ("${aws:TagKeys}", "x", None),
        ] {
            let pattern = Pattern::compile(source, Wildcards::Active, Variables::Active).unwrap();
            assert_eq!(pattern.matches(text, &context), want, "{source} on {text}");
        }
        let old =
            Pattern::compile("${aws:username}", Wildcards::Active, Variables::Literal).unwrap();
        assert_eq!(old.matches("${aws:username}", &context), Some(true));
    }

    #[test]
    fn malformed_variables_are_refused() {
        for source in ["${", "${a", "${}", "${ }", "${a, b}", "${a, 'b}", "${'a'}", "${${a}}"] {
            let compiled = Pattern::compile(source, Wildcards::Active, Variables::Active);
            assert_eq!(compiled, Err(BadVariable), "{source}");
        }
    }

    /// The definition, in as many words: slow and plain.
    fn naive(pattern: &[char], text: &[char]) -> bool {
        match pattern.split_first() {
            None => text.is_empty(),
            Some(('*', rest)) => (0..=text.len()).any(|skip| naive(rest, &text[skip..])),
            Some((first, rest)) => match text.split_first() {
                Some((head, tail)) => (*first == '?' || first == head) && naive(rest, tail),
                None => false,
            },
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4000))]

        #[test]
        fn globs_equal_the_naive_definition(pattern in "[ab*?é]{0,9}", text in "[abé]{0,12}") {
            let want = naive(
                &pattern.chars().collect::<Vec<_>>(),
                &text.chars().collect::<Vec<_>>(),
            );
            prop_assert_eq!(matches(&pattern, &text), want);
        }

        #[test]
        fn a_text_matches_itself_with_any_part_starred(text in "[a-z/:é]{1,20}", cut in 0usize..20) {
            let at = text.char_indices().map(|(i, _)| i).nth(cut).unwrap_or(text.len());
            let pattern = format!("{}*", &text[..at]);
            prop_assert!(matches(&pattern, &text));
        }

        #[test]
        fn compiling_never_panics(source in ".{0,40}", text in ".{0,40}") {
            if let Ok(pattern) = Pattern::compile(&source, Wildcards::Active, Variables::Active) {
                let _ = pattern.matches(&text, &Context::new());
            }
        }
    }
}
