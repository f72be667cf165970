//! The actions of a statement, ordered by service so that a statement with hundreds of them costs
//! a binary search and the patterns of one service.

use crate::context::Context;
use crate::pattern::Pattern;

/// `Action` or `NotAction` of a statement. Names compare without case.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Actions {
    negated: bool,
    /// Patterns for every service: `*` and `*:..`.
    anywhere: Box<[Pattern]>,
    services: Box<[ServiceActions]>,
}

/// A service's name and the patterns of its actions.
type ServiceActions = (Box<str>, Box<[Pattern]>);

impl Actions {
    /// Compiles names that were checked to be `*` or `service:Name`.
    pub(crate) fn compile<'a>(negated: bool, names: impl IntoIterator<Item = &'a str>) -> Self {
        let mut anywhere = Vec::new();
        let mut services: Vec<(Box<str>, Vec<Pattern>)> = Vec::new();
        for name in names {
            let name = name.to_ascii_lowercase();
            let (service, action) = name.split_once(':').unwrap_or(("*", "*"));
            let pattern = Pattern::wildcard(action);
            if service == "*" {
                anywhere.push(pattern);
            } else if let Some((_, patterns)) = services.iter_mut().find(|(s, _)| **s == *service) {
                patterns.push(pattern);
            } else {
                services.push((service.into(), vec![pattern]));
            }
        }
        services.sort_by(|(a, _), (b, _)| a.cmp(b));
        Self {
            negated,
            anywhere: anywhere.into(),
            services: services.into_iter().map(|(name, list)| (name, list.into())).collect(),
        }
    }

    /// Whether these are all actions but those listed.
    pub(crate) fn is_negated(&self) -> bool {
        self.negated
    }

    /// The services that are named, `*` for all.
    pub(crate) fn services(&self) -> Vec<String> {
        let any = (!self.anywhere.is_empty()).then(|| "*".to_owned());
        any.into_iter().chain(self.services.iter().map(|(name, _)| name.to_string())).collect()
    }

    /// Whether the statement is about action `name` of `service`, both in lower case.
    pub(crate) fn cover(&self, service: &str, name: &str) -> bool {
        // Action names hold no variables, so that the context is never asked.
        let context = Context::new();
        let named = |patterns: &[Pattern]| {
            patterns.iter().any(|pattern| pattern.matches(name, &context) == Some(true))
        };
        let listed = named(&self.anywhere)
            || self
                .services
                .binary_search_by(|(other, _)| (**other).cmp(service))
                .ok()
                .and_then(|at| self.services.get(at))
                .is_some_and(|(_, patterns)| named(patterns));
        listed != self.negated
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn actions_match_without_case_and_by_service() {
        for (names, action, want) in [
            (&["*"][..], "s3:getobject", true),
            (&["*:*"], "s3:getobject", true),
            (&["s3:*"], "s3:getobject", true),
            (&["s3:*"], "s3-object-lambda:getobject", false),
            (&["s3:Get*"], "s3:getobject", true),
            (&["s3:Get*"], "s3:putobject", false),
            (&["S3:GETOBJECT"], "s3:getobject", true),
            (&["s3:Get?bject"], "s3:getobject", true),
            (&["s3:*Object*"], "s3:getobjectacl", true),
            (&["iam:PassRole", "ec2:RunInstances"], "ec2:runinstances", true),
            (&["iam:PassRole", "ec2:RunInstances"], "ec2:stopinstances", false),
            (&["*:Describe*"], "ec2:describeinstances", true),
            (&["*:Describe*"], "ec2:runinstances", false),
        ] {
            let (service, name) = action.split_once(':').unwrap();
            let listed = Actions::compile(false, names.iter().copied());
            assert_eq!(listed.cover(service, name), want, "{names:?} on {action}");
            let others = Actions::compile(true, names.iter().copied());
            assert_eq!(others.cover(service, name), !want, "not {names:?} on {action}");
        }
    }
}
