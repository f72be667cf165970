//! What a caller must acknowledge before a template may make it.

use serde_json::Value;

use super::model::Template;

/// A capability of `CreateStack` and its kin.
///
/// AWS: "CreateStack", Capabilities.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Capability {
    /// The template makes IAM resources.
    Iam,
    /// The template makes IAM resources with names of its own.
    NamedIam,
}

impl Capability {
    /// Its name in requests and answers.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Iam => "CAPABILITY_IAM",
            Self::NamedIam => "CAPABILITY_NAMED_IAM",
        }
    }
}

/// The IAM types, each with the property that names its resources.
const IAM: [(&str, Option<&str>); 8] = [
    ("AWS::IAM::AccessKey", None),
    ("AWS::IAM::Group", Some("GroupName")),
    ("AWS::IAM::InstanceProfile", Some("InstanceProfileName")),
    ("AWS::IAM::ManagedPolicy", Some("ManagedPolicyName")),
    ("AWS::IAM::Policy", None),
    ("AWS::IAM::Role", Some("RoleName")),
    ("AWS::IAM::User", Some("UserName")),
    ("AWS::IAM::UserToGroupAddition", None),
];

/// The capability that `template` needs, and the types that need it.
pub fn required_capabilities(template: &Template) -> Option<(Capability, Vec<&str>)> {
    let mut types = Vec::new();
    let mut needed = None;
    for resource in template.resources.values() {
        let Some((kind, name)) = IAM.iter().find(|(kind, _)| *kind == resource.kind) else {
            continue;
        };
        types.push(*kind);
        let named = name.and_then(|name| resource.properties.get(name)).is_some_and(is_name);
        needed = needed.max(Some(if named { Capability::NamedIam } else { Capability::Iam }));
    }
    types.sort_unstable();
    types.dedup();
    needed.map(|capability| (capability, types))
}

/// A name that is `AWS::NoValue` is none.
fn is_name(value: &Value) -> bool {
    value.get("Ref").and_then(Value::as_str) != Some("AWS::NoValue")
}
