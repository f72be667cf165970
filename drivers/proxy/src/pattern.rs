//! Wildcard patterns of listener rules: `*` is any number of characters, `?` exactly one.

/// A pattern that was looked at once, so that matching does no more than it must.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pattern {
    parts: Vec<Part>,
    fold_case: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Byte(u8),
    One,
    Any,
}

impl Pattern {
    /// A pattern for which case matters.
    pub(crate) fn exact(text: &str) -> Self {
        Self { parts: parts(text, false), fold_case: false }
    }

    /// A pattern that ignores case.
    pub(crate) fn folded(text: &str) -> Self {
        Self { parts: parts(text, true), fold_case: true }
    }

    /// Whether the whole of `text` matches.
    ///
    /// On a mismatch it goes back to the last `*` only: a later star can do all that an earlier one
    /// could, so the time is bounded by the product of the lengths and needs no recursion.
    pub(crate) fn matches(&self, text: &[u8]) -> bool {
        let (mut at, mut part) = (0, 0);
        let mut retry: Option<(usize, usize)> = None;
        while let Some(&byte) = text.get(at) {
            let byte = if self.fold_case { byte.to_ascii_lowercase() } else { byte };
            match self.parts.get(part) {
                Some(Part::Any) => {
                    part += 1;
                    retry = Some((part, at));
                    continue;
                }
                Some(Part::One) => {
                    (at, part) = (at + 1, part + 1);
                    continue;
                }
                Some(Part::Byte(wanted)) if *wanted == byte => {
                    (at, part) = (at + 1, part + 1);
                    continue;
                }
                Some(Part::Byte(_)) | None => {}
            }
            let Some((after_star, star_at)) = retry else { return false };
            retry = Some((after_star, star_at + 1));
            (part, at) = (after_star, star_at + 1);
        }
        self.parts.get(part..).is_some_and(|rest| rest.iter().all(|part| *part == Part::Any))
    }
}

fn parts(text: &str, fold_case: bool) -> Vec<Part> {
    let mut parts = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        parts.push(match byte {
            b'*' => Part::Any,
            b'?' => Part::One,
            // A backslash takes the meaning from the wildcard after it.
            b'\\' => Part::Byte(bytes.next().unwrap_or(b'\\')),
            other if fold_case => Part::Byte(other.to_ascii_lowercase()),
            other => Part::Byte(other),
        });
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards_match_as_aws_says() {
        let cases = [
            ("/img/*", "/img/", true),
            ("/img/*", "/img/a/b", true),
            ("/img/*", "/img", false),
            ("/img/*/pics", "/img/x/y/pics", true),
            ("/img/*/pics", "/img/x/pic", false),
            ("*.example.com", "a.example.com", true),
            ("*.example.com", "example.com", false),
            ("/a?c", "/abc", true),
            ("/a?c", "/ac", false),
            ("*a*b*c*", "xxaxxbxxcxx", true),
            ("*a*b*c*", "xxaxxcxxbxx", false),
            ("", "", true),
            ("*", "", true),
            ("?", "", false),
            (r"a\*b", "a*b", true),
            (r"a\*b", "axb", false),
            ("/IMG", "/img", false),
        ];
        for (pattern, text, expected) in cases {
            assert_eq!(
                Pattern::exact(pattern).matches(text.as_bytes()),
                expected,
                "{pattern} {text}"
            );
        }
        assert!(Pattern::folded("*.Example.com").matches(b"WWW.example.COM"));
    }

    #[test]
    fn hostile_patterns_take_no_time() {
        let pattern = "*a".repeat(60);
        assert!(!Pattern::exact(&pattern).matches("a".repeat(59).as_bytes()));
        assert!(!Pattern::exact(&(pattern + "b")).matches("a".repeat(8000).as_bytes()));
    }
}
