//! A template's sections as a checked model.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::limits::{
    DESCRIPTION_BYTES_MAX, MAPPING_ATTRIBUTES_MAX, MAPPINGS_MAX, NAME_CHARS_MAX, OUTPUTS_MAX,
    PARAMETERS_MAX, RESOURCES_MAX,
};
use super::parameter::Declaration;
use super::rule::Rule;
use super::{Result, TemplateError, check};

/// A template that holds together: every name it refers to exists, every function is well formed.
#[derive(Debug, Clone, PartialEq)]
pub struct Template {
    /// The template's own description.
    pub description: Option<String>,
    /// What the template says about itself.
    pub metadata: Option<Value>,
    /// The parameters it declares, by name.
    pub parameters: BTreeMap<String, Declaration>,
    /// Its lookup tables: mapping, first key, second key.
    pub mappings: BTreeMap<String, Map<String, Value>>,
    /// Its conditions, not yet evaluated.
    pub conditions: BTreeMap<String, Value>,
    /// What its parameters must satisfy together.
    pub rules: BTreeMap<String, Rule>,
    /// Its resources, by logical id.
    pub resources: BTreeMap<String, Resource>,
    /// What it tells about itself once created.
    pub outputs: BTreeMap<String, Output>,
}

/// A resource as the template declares it.
#[derive(Debug, Clone, PartialEq)]
pub struct Resource {
    /// The declaration as it stands in the template.
    pub body: Value,
    /// Its type, as `AWS::EC2::VPC`.
    pub kind: String,
    /// Its properties, functions and all.
    pub properties: Map<String, Value>,
    /// The resources it names as coming first.
    pub depends_on: Vec<String>,
    /// The condition without which it does not exist.
    pub condition: Option<String>,
    /// What becomes of it when the stack no longer has it, where the template says so.
    pub deletion_policy: Option<Policy>,
    /// What becomes of the old one when an update replaces it, where the template says so.
    pub update_replace_policy: Option<Policy>,
    /// The signals it waits for.
    pub creation_policy: Option<Value>,
    /// How a group is updated.
    pub update_policy: Option<Value>,
    /// Its metadata.
    pub metadata: Option<Value>,
}

/// What becomes of a resource that a stack gives up.
///
/// AWS: "DeletionPolicy attribute".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Policy {
    /// It is deleted.
    Delete,
    /// It stays.
    Retain,
    /// It stays, unless the creation that made it failed.
    RetainExceptOnCreate,
    /// A snapshot is made, then it is deleted.
    Snapshot,
}

/// One of a template's outputs.
#[derive(Debug, Clone, PartialEq)]
pub struct Output {
    /// Its description.
    pub description: Option<String>,
    /// Its value, functions and all.
    pub value: Value,
    /// The name it is exported by, functions and all.
    pub export: Option<Value>,
    /// The condition without which it does not exist.
    pub condition: Option<String>,
}

const SECTIONS: [&str; 10] = [
    "AWSTemplateFormatVersion",
    "Conditions",
    "Description",
    "Hooks",
    "Mappings",
    "Metadata",
    "Outputs",
    "Parameters",
    "Resources",
    "Rules",
];

impl Template {
    /// Reads and checks a parsed template.
    ///
    /// # Errors
    ///
    /// Whatever is wrong with it that can be known without parameter values.
    pub fn read(sections: &Map<String, Value>) -> Result<Self> {
        check_sections(sections)?;
        let template = Self {
            description: description(sections)?,
            metadata: sections.get("Metadata").cloned(),
            parameters: members(sections, "Parameters")?
                .map(|(name, body)| Ok((name.clone(), Declaration::read(name, body)?)))
                .collect::<Result<_>>()?,
            mappings: members(sections, "Mappings")?
                .map(|(name, body)| Ok((name.clone(), mapping(name, body)?)))
                .collect::<Result<_>>()?,
            conditions: members(sections, "Conditions")?
                .map(|(name, body)| (name.clone(), body.clone()))
                .collect(),
            rules: members(sections, "Rules")?
                .map(|(name, body)| Ok((name.clone(), Rule::read(name, body)?)))
                .collect::<Result<_>>()?,
            resources: members(sections, "Resources")?
                .map(|(name, body)| Ok((name.clone(), Resource::read(name, body)?)))
                .collect::<Result<_>>()?,
            outputs: members(sections, "Outputs")?
                .map(|(name, body)| Ok((name.clone(), Output::read(name, body)?)))
                .collect::<Result<_>>()?,
        };
        if template.resources.is_empty() {
            return Err(TemplateError::format("At least one Resources member must be defined."));
        }
        template.check_counts()?;
        check::template(&template)?;
        Ok(template)
    }

    fn check_counts(&self) -> Result<()> {
        let counts = [
            ("resources", self.resources.len(), RESOURCES_MAX),
            ("parameters", self.parameters.len(), PARAMETERS_MAX),
            ("mappings", self.mappings.len(), MAPPINGS_MAX),
            ("outputs", self.outputs.len(), OUTPUTS_MAX),
        ];
        match counts.into_iter().find(|(_, count, max)| count > max) {
            Some((what, count, max)) => Err(TemplateError::TooMany { what, count, max }),
            None => Ok(()),
        }
    }

    /// The types the template names, each once.
    pub fn types(&self) -> Vec<&str> {
        let mut types: Vec<&str> = self.resources.values().map(|r| r.kind.as_str()).collect();
        types.sort_unstable();
        types.dedup();
        types
    }
}

fn check_sections(sections: &Map<String, Value>) -> Result<()> {
    if let Some(transform) = sections.get("Transform") {
        let first = transform.as_array().and_then(|names| names.first()).unwrap_or(transform);
        let name = first.as_str().or_else(|| first.get("Name").and_then(Value::as_str));
        return Err(TemplateError::UnknownTransform(name.unwrap_or("?").to_owned()));
    }
    let unknown: Vec<String> =
        sections.keys().filter(|name| !SECTIONS.contains(&name.as_str())).cloned().collect();
    if !unknown.is_empty() {
        return Err(TemplateError::UnknownSections(unknown));
    }
    if sections.contains_key("Hooks") {
        return Err(TemplateError::format("The Hooks section is not supported here."));
    }
    match sections.get("AWSTemplateFormatVersion") {
        None => Ok(()),
        Some(Value::String(version)) if version == "2010-09-09" => Ok(()),
        Some(other) => Err(TemplateError::format(format!(
            "{} is not a supported value for AWSTemplateFormatVersion.",
            other.as_str().map_or_else(|| other.to_string(), str::to_owned)
        ))),
    }
}

fn description(sections: &Map<String, Value>) -> Result<Option<String>> {
    match sections.get("Description") {
        None => Ok(None),
        Some(Value::String(text)) if text.len() > DESCRIPTION_BYTES_MAX => {
            Err(TemplateError::format(format!(
                "Template description length ({}) exceeds the maximum allowed ({DESCRIPTION_BYTES_MAX}).",
                text.len()
            )))
        }
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(_) => Err(TemplateError::format("Description member must be a string.")),
    }
}

/// The members of a section, whose names are checked.
fn members<'a>(
    sections: &'a Map<String, Value>,
    section: &'static str,
) -> Result<impl Iterator<Item = (&'a String, &'a Value)>> {
    let members = match sections.get(section) {
        None => None,
        Some(Value::Object(members)) => Some(members),
        Some(_) => {
            return Err(TemplateError::format(format!("{section} section must be an object.")));
        }
    };
    let kind = section.strip_suffix('s').unwrap_or(section);
    for name in members.into_iter().flat_map(Map::keys) {
        let alphanumeric = name.bytes().all(|b| b.is_ascii_alphanumeric());
        // Mapping names may be anything in AWS's documentation, but its service refuses these too.
        if name.is_empty() || !alphanumeric {
            return Err(TemplateError::format(format!("{kind} name {name} is non alphanumeric.")));
        }
        if name.len() > NAME_CHARS_MAX {
            return Err(TemplateError::format(format!(
                "{kind} name {name} exceeds the maximum length of {NAME_CHARS_MAX}."
            )));
        }
    }
    Ok(members.into_iter().flatten())
}

fn mapping(name: &str, body: &Value) -> Result<Map<String, Value>> {
    let malformed =
        || TemplateError::format(format!("Every Mappings member {name} must be a map."));
    let keys = body.as_object().ok_or_else(malformed)?;
    if keys.len() > MAPPING_ATTRIBUTES_MAX {
        return Err(TemplateError::TooMany {
            what: "mapping attributes",
            count: keys.len(),
            max: MAPPING_ATTRIBUTES_MAX,
        });
    }
    for (key, attributes) in keys {
        let attributes = attributes.as_object().ok_or_else(|| {
            TemplateError::format(format!("Every Mappings attribute must be a map: {name}.{key}"))
        })?;
        let plain = |value: &Value| match value {
            Value::Array(items) => items.iter().all(|item| !item.is_array() && !item.is_object()),
            Value::String(_) | Value::Number(_) | Value::Bool(_) => true,
            Value::Null | Value::Object(_) => false,
        };
        if !attributes.values().all(plain) {
            return Err(TemplateError::format(
                "Every Mappings attribute must be a String or a List.",
            ));
        }
    }
    Ok(keys.clone())
}

const RESOURCE_MEMBERS: [&str; 9] = [
    "Type",
    "Properties",
    "DependsOn",
    "Condition",
    "DeletionPolicy",
    "UpdateReplacePolicy",
    "CreationPolicy",
    "UpdatePolicy",
    "Metadata",
];

impl Resource {
    /// Reads the declaration of the resource `name`.
    ///
    /// # Errors
    ///
    /// A member is missing, unknown or malformed.
    pub fn read(name: &str, body: &Value) -> Result<Self> {
        let members = body
            .as_object()
            .ok_or_else(|| TemplateError::format("Any Resources member must be an object."))?;
        if let Some(unknown) = members.keys().find(|key| !RESOURCE_MEMBERS.contains(&key.as_str()))
        {
            return Err(TemplateError::UnknownResourceMember(unknown.clone()));
        }
        let kind = match members.get("Type") {
            Some(Value::String(kind)) if !kind.is_empty() => kind.clone(),
            Some(_) => {
                return Err(TemplateError::format(format!(
                    "[/Resources/{name}/Type] Every Resources object must contain a Type member of type String."
                )));
            }
            None => {
                return Err(TemplateError::format(format!(
                    "[/Resources/{name}] Every Resources object must contain a Type member."
                )));
            }
        };
        let properties = match members.get("Properties") {
            None => Map::new(),
            Some(Value::Object(properties)) => properties.clone(),
            Some(_) => {
                return Err(TemplateError::format(format!(
                    "[/Resources/{name}/Properties] Properties must be an object."
                )));
            }
        };
        let policy = |member| policy(&kind, member, members.get(member));
        Ok(Self {
            depends_on: depends_on(members.get("DependsOn"))?,
            condition: condition(members.get("Condition"), "Resources")?,
            deletion_policy: policy("DeletionPolicy")?,
            update_replace_policy: policy("UpdateReplacePolicy")?,
            creation_policy: members.get("CreationPolicy").cloned(),
            update_policy: members.get("UpdatePolicy").cloned(),
            metadata: members.get("Metadata").cloned(),
            properties,
            kind,
            body: body.clone(),
        })
    }

    /// What becomes of the resource when the stack no longer has it: the template's word, else
    /// the type's default.
    ///
    /// AWS: "DeletionPolicy attribute" (databases without a cluster default to a snapshot).
    pub fn policy_on_delete(&self) -> Policy {
        let snapshot_by_default = match self.kind.as_str() {
            "AWS::RDS::DBInstance" => !["DBClusterIdentifier", "SourceDBInstanceIdentifier"]
                .iter()
                .any(|property| self.properties.contains_key(*property)),
            "AWS::RDS::DBCluster" => true,
            _ => false,
        };
        let default = if snapshot_by_default { Policy::Snapshot } else { Policy::Delete };
        self.deletion_policy.unwrap_or(default)
    }

    /// What becomes of the old resource when an update replaces it.
    pub fn policy_on_replace(&self) -> Policy {
        self.update_replace_policy.unwrap_or(Policy::Delete)
    }
}

fn depends_on(value: Option<&Value>) -> Result<Vec<String>> {
    let malformed = || TemplateError::format("DependsOn must be a string or a list of strings.");
    match value {
        None => Ok(Vec::new()),
        Some(Value::String(name)) => Ok(vec![name.clone()]),
        Some(Value::Array(names)) => names
            .iter()
            .map(|name| name.as_str().map(str::to_owned).ok_or_else(malformed))
            .collect(),
        Some(_) => Err(malformed()),
    }
}

fn condition(value: Option<&Value>, section: &str) -> Result<Option<String>> {
    match value {
        None => Ok(None),
        Some(Value::String(name)) => Ok(Some(name.clone())),
        Some(_) => Err(TemplateError::format(format!(
            "Every Condition member must be a string in the {section} block of the template"
        ))),
    }
}

fn policy(kind: &str, member: &str, value: Option<&Value>) -> Result<Option<Policy>> {
    let Some(value) = value else {
        return Ok(None);
    };
    let unrecognized = || TemplateError::format(format!("Unrecognized {member} {value}"));
    let policy = match value.as_str().ok_or_else(unrecognized)? {
        "Delete" => Policy::Delete,
        "Retain" => Policy::Retain,
        "RetainExceptOnCreate" if member == "DeletionPolicy" => Policy::RetainExceptOnCreate,
        "Snapshot" if SNAPSHOT_TYPES.contains(&kind) => Policy::Snapshot,
        "Snapshot" => {
            return Err(TemplateError::format(format!(
                "{member} attribute Snapshot is not supported for resource type {kind}"
            )));
        }
        _ => return Err(unrecognized()),
    };
    Ok(Some(policy))
}

/// AWS: "DeletionPolicy attribute", Snapshot.
const SNAPSHOT_TYPES: [&str; 9] = [
    "AWS::DocDB::DBCluster",
    "AWS::EC2::Volume",
    "AWS::ElastiCache::CacheCluster",
    "AWS::ElastiCache::ReplicationGroup",
    "AWS::Neptune::DBCluster",
    "AWS::RDS::DBCluster",
    "AWS::RDS::DBInstance",
    "AWS::Redshift::Cluster",
    "AWS::MemoryDB::Cluster",
];

impl Output {
    fn read(name: &str, body: &Value) -> Result<Self> {
        let malformed = |text: &str| TemplateError::format(format!("Output {name} {text}"));
        let members = body.as_object().ok_or_else(|| malformed("is malformed"))?;
        let known = ["Value", "Description", "Export", "Condition"];
        if let Some(unknown) = members.keys().find(|key| !known.contains(&key.as_str())) {
            return Err(TemplateError::format(format!(
                "Invalid template output property '{unknown}'"
            )));
        }
        let value = members.get("Value").ok_or_else(|| {
            TemplateError::format("Every Outputs member must contain a Value object")
        })?;
        let export = match members.get("Export") {
            None => None,
            Some(Value::Object(export)) if export.len() == 1 && export.contains_key("Name") => {
                export.get("Name").cloned()
            }
            Some(_) => return Err(malformed("must have an Export with exactly one member, Name")),
        };
        let description = match members.get("Description") {
            None => None,
            Some(Value::String(text)) if text.len() <= DESCRIPTION_BYTES_MAX => Some(text.clone()),
            Some(_) => return Err(malformed("must have a Description of at most 1024 bytes")),
        };
        Ok(Self {
            description,
            value: value.clone(),
            export,
            condition: condition(members.get("Condition"), "Outputs")?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::parse;
    use super::*;

    pub(crate) fn read(text: &str) -> Result<Template> {
        Template::read(&parse(text)?)
    }

    fn check(text: &str, expected: &str) {
        match read(text) {
            Ok(_) => panic!("read: {text}"),
            Err(fault) => assert_eq!(fault.to_string(), expected, "{text}"),
        }
    }

    #[test]
    fn a_whole_template_is_read() {
        let template = read(
            r#"
AWSTemplateFormatVersion: "2010-09-09"
Description: d
Metadata: {a: 1}
Parameters: {P: {Type: String}}
Mappings: {M: {k: {v: [1, 2]}}}
Conditions: {C: !Equals [!Ref P, x]}
Resources:
  A:
    Type: AWS::EC2::VPC
    DependsOn: B
    DeletionPolicy: Retain
    Metadata: {x: y}
  B:
    Type: AWS::RDS::DBInstance
    Condition: C
    UpdateReplacePolicy: Snapshot
Outputs:
  O: {Value: !Ref A, Export: {Name: !Sub "${P}-x"}, Condition: C, Description: t}
"#,
        )
        .unwrap();
        let [a, b] = ["A", "B"].map(|name| &template.resources[name]);
        assert_eq!(a.depends_on, ["B"]);
        assert_eq!((a.policy_on_delete(), a.policy_on_replace()), (Policy::Retain, Policy::Delete));
        assert_eq!(
            (b.policy_on_delete(), b.policy_on_replace()),
            (Policy::Snapshot, Policy::Snapshot)
        );
        assert_eq!(template.types(), ["AWS::EC2::VPC", "AWS::RDS::DBInstance"]);
        assert_eq!(template.outputs["O"].condition.as_deref(), Some("C"));
    }

    #[test]
    fn malformed_sections_are_refused_in_aws_words() {
        let one = "Resources: {A: {Type: T}}\n";
        let cases = [
            (
                "Resources: {}",
                "Template format error: At least one Resources member must be defined.",
            ),
            (
                "Description: x",
                "Template format error: At least one Resources member must be defined.",
            ),
            (
                "Resources: {A: {}}",
                "Template format error: [/Resources/A] Every Resources object must contain a Type member.",
            ),
            ("Resources: {A: x}", "Template format error: Any Resources member must be an object."),
            (
                "Resources: {A-b: {Type: T}}",
                "Template format error: Resource name A-b is non alphanumeric.",
            ),
            (
                "Resources: {A: {Type: T, Propertys: {}}}",
                "Invalid template resource property 'Propertys'",
            ),
            (
                "Resources: {A: {Type: T, DeletionPolicy: Keep}}",
                "Template format error: Unrecognized DeletionPolicy \"Keep\"",
            ),
            (
                "Resources: {A: {Type: T, DeletionPolicy: Snapshot}}",
                "Template format error: DeletionPolicy attribute Snapshot is not supported for resource type T",
            ),
            (
                "Resources: {A: {Type: T, DependsOn: B}}",
                "Template format error: Unresolved resource dependencies [B] in the Resources block of the template",
            ),
        ];
        for (text, expected) in cases {
            check(text, expected);
        }
        let more = [
            ("Resorces: {}", "Invalid template property or properties [Resorces]"),
            (
                "AWSTemplateFormatVersion: 2012-01-01",
                "Template format error: 2012-01-01 is not a supported value for AWSTemplateFormatVersion.",
            ),
            (
                "Transform: AWS::Serverless-2016-10-31",
                "No transform named AWS::Serverless-2016-10-31 found.",
            ),
            (
                "Outputs: {O: {Description: d}}",
                "Template format error: Every Outputs member must contain a Value object",
            ),
            (
                "Mappings: {M: {k: v}}",
                "Template format error: Every Mappings attribute must be a map: M.k",
            ),
            ("Parameters: []", "Template format error: Parameters section must be an object."),
            (
                "Outputs: {O: {Value: x, Condition: Nope}}",
                "Template format error: Unresolved condition dependency Nope in the Outputs block of the template",
            ),
        ];
        for (section, expected) in more {
            check(&format!("{one}{section}"), expected);
        }
    }

    #[test]
    fn the_quotas_hold() {
        let many = |count: usize| {
            let lines: String = (0..count).map(|i| format!("  R{i}: {{Type: T}}\n")).collect();
            format!("Resources:\n{lines}")
        };
        assert!(read(&many(500)).is_ok());
        check(
            &many(501),
            "Template format error: Number of resources, 501, is greater than maximum allowed, 500",
        );
    }
}
