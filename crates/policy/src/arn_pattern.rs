//! Patterns over ARNs: matched segment by segment, so that a wildcard in the region or account
//! never reaches into the next part.
//!
//! AWS: "IAM JSON policy elements: Resource", "ARN condition operators". A pattern of six segments
//! compares each with its like; the last one takes everything behind the fifth colon. A pattern
//! with fewer segments (`*`, `arn:aws:s3*`) lets its last one expand over the rest.

use crate::context::Context;
use crate::pattern::{BadVariable, Pattern, Variables, Wildcards};

/// A compiled pattern over ARNs.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ArnPattern(Box<[Pattern]>);

impl ArnPattern {
    /// Compiles `source`.
    pub(crate) fn compile(source: &str, variables: Variables) -> Result<Self, BadVariable> {
        segments(source, variables)
            .into_iter()
            .map(|segment| Pattern::compile(segment, Wildcards::Active, variables))
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// Whether `arn` matches; nothing when a variable that was reached has no value.
    pub(crate) fn matches(&self, arn: &str, context: &Context) -> Option<bool> {
        let mut rest = arn;
        let (last, leading) = self.0.split_last()?;
        for pattern in leading {
            let Some((segment, tail)) = rest.split_once(':') else { return Some(false) };
            if !pattern.matches(segment, context)? {
                return Some(false);
            }
            rest = tail;
        }
        last.matches(rest, context)
    }

    /// Whether the pattern is `*`.
    pub(crate) fn is_any(&self) -> bool {
        matches!(&*self.0, [only] if only.is_any())
    }
}

/// Splits at the first five colons that stand outside a variable.
fn segments(source: &str, variables: Variables) -> Vec<&str> {
    let mut parts = Vec::new();
    let (mut start, mut inside) = (0, false);
    for (at, byte) in source.bytes().enumerate() {
        match byte {
            b'{' if variables == Variables::Active
                && at > 0
                && source.as_bytes().get(at - 1) == Some(&b'$') =>
            {
                inside = true;
            }
            b'}' => inside = false,
            b':' if !inside && parts.len() < 5 => {
                parts.push(source.get(start..at).unwrap_or_default());
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(source.get(start..).unwrap_or_default());
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arns_match_by_segment() {
        let context =
            Context::new().with("aws:username", "ann").with("aws:PrincipalAccount", "111122223333");
        for (pattern, arn, want) in [
            ("*", "arn:aws:s3:::b", Some(true)),
            ("*", "*", Some(true)),
            ("arn:aws:s3:::b", "arn:aws:s3:::b", Some(true)),
            ("arn:aws:s3:::b", "arn:aws:s3:::B", Some(false)),
            ("arn:aws:s3:::b", "*", Some(false)),
            ("arn:aws:s3:::b/*", "arn:aws:s3:::b", Some(false)),
            ("arn:aws:s3:::b/*", "arn:aws:s3:::b/", Some(true)),
            ("arn:aws:s3:::b/*", "arn:aws:s3:::b/a:b:c", Some(true)),
            ("arn:aws:s3:::b*", "arn:aws:s3:::bucket/x", Some(true)),
            ("arn:aws:s3:*:*:b", "arn:aws:s3:::b", Some(true)),
            ("arn:aws:s3*", "arn:aws:s3:::b", Some(true)),
            ("arn:*", "arn:aws:s3:::b", Some(true)),
            ("arn:aws:ec2:*:1:instance/*", "arn:aws:ec2:r:1:instance/i", Some(true)),
            ("arn:aws:ec2:*:1:instance/*", "arn:aws:ec2:r:2:x:1:instance/i", Some(false)),
            ("arn:aws:ec2:r?:1:vpc/v", "arn:aws:ec2:r1:1:vpc/v", Some(true)),
            ("arn:aws:ec2:r?:1:vpc/v", "arn:aws:ec2:r:1:vpc/v", Some(false)),
            ("arn:aws:logs:r:1:log-group:g:*", "arn:aws:logs:r:1:log-group:g:s:t", Some(true)),
            ("arn:aws:iam::1:user/${aws:username}", "arn:aws:iam::1:user/ann", Some(true)),
            ("arn:aws:iam::1:user/${aws:username}", "arn:aws:iam::1:user/bob", Some(false)),
            (
                "arn:aws:iam::${aws:PrincipalAccount}:user/*",
                "arn:aws:iam::111122223333:user/x",
                Some(true),
            ),
            ("arn:aws:iam::${aws:PrincipalAccount}:user/*", "arn:aws:iam::9:user/x", Some(false)),
            ("arn:aws:s3:::b/${aws:nope}", "arn:aws:s3:::b/x", None),
            ("arn:aws:s3:::b/${aws:nope}", "arn:aws:sqs:::b/x", Some(false)),
            ("arn:aws:s3:::b/${aws:nope, 'x'}", "arn:aws:s3:::b/x", Some(true)),
        ] {
            let compiled = ArnPattern::compile(pattern, Variables::Active).unwrap();
            assert_eq!(compiled.matches(arn, &context), want, "{pattern} on {arn}");
        }
    }
}
