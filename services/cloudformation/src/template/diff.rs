//! What an update would do: the difference between a stack as it is and a template.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::evaluate::{Evaluator, PENDING, Pseudo, Resolver};
use super::expression::{References, references_in};
use super::graph::Graph;
use super::model::{Policy, Resource, Template};
use super::parameter::Inputs;
use super::{Result, TemplateError};

/// What a change of a property does to its resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Recreation {
    /// It is changed in place.
    Never,
    /// It may be replaced.
    Conditionally,
    /// It is replaced.
    Always,
}

/// What the planner must know about resource types.
pub trait Schemas {
    /// What a change of `property` of a `kind` does.
    fn recreation(&self, kind: &str, property: &str) -> Recreation;

    /// Whether resources of `kind` carry the stack's tags.
    fn taggable(&self, kind: &str) -> bool;
}

/// A resource that the stack has.
#[derive(Debug, Clone, PartialEq)]
pub struct Existing {
    /// Its declaration in the template that made it.
    pub declared: Resource,
    /// Its properties with functions evaluated and dynamic references not.
    pub properties: Map<String, Value>,
    /// Its physical id.
    pub physical_id: String,
}

/// What happens to one resource.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// Its logical id.
    pub logical_id: String,
    /// Its type.
    pub kind: String,
    /// Its physical id, if it exists.
    pub physical_id: Option<String>,
    /// What happens.
    pub action: Action,
    /// What becomes of the thing that is given up, where that is not deletion.
    pub policy: Option<Policy>,
    /// For a modification, each member that differs.
    pub details: Vec<Detail>,
}

/// The kinds of change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// It is made.
    Add,
    /// It is changed, and perhaps replaced.
    Modify(Replacement),
    /// It is given up.
    Remove,
}

/// Whether a modification makes a new resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Replacement {
    /// No.
    False,
    /// It depends on values that are not known yet.
    Conditional,
    /// Yes.
    True,
}

/// The part of a resource that a change is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// A property.
    Properties,
    /// The metadata.
    Metadata,
    /// The creation policy.
    CreationPolicy,
    /// The update policy.
    UpdatePolicy,
    /// The deletion policy.
    DeletionPolicy,
    /// The policy on replacement.
    UpdateReplacePolicy,
    /// The stack's tags.
    Tags,
}

/// Why a member differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cause {
    /// The template says something else.
    DirectModification,
    /// The parameter's value is another.
    Parameter(String),
    /// The resource that it refers to is another.
    Resource(String),
    /// The attribute, as `Resource.Attribute`, may be another.
    Attribute(String),
    /// The stack's tags are others.
    Automatic,
}

/// One difference.
#[derive(Debug, Clone, PartialEq)]
pub struct Detail {
    /// Where.
    pub scope: Scope,
    /// The property's name.
    pub name: Option<String>,
    /// What it does to the resource.
    pub recreation: Recreation,
    /// Why.
    pub cause: Cause,
    /// The value now.
    pub before: Option<Value>,
    /// The value then; it holds [`PENDING`] where it is not known yet.
    pub after: Option<Value>,
}

impl Detail {
    /// Whether the value then is known.
    pub fn is_static(&self) -> bool {
        !self.after.as_ref().is_some_and(mentions_pending)
    }
}

impl Change {
    /// The parts that differ, each once.
    pub fn scope(&self) -> BTreeSet<Scope> {
        self.details.iter().map(|detail| detail.scope).collect()
    }
}

/// A planned operation.
#[derive(Clone, Copy)]
pub struct Plan<'a> {
    /// The template wanted.
    pub template: &'a Template,
    /// Its parameters' values.
    pub inputs: &'a Inputs,
    /// The pseudo parameters.
    pub pseudo: &'a Pseudo,
    /// The parameters that the stack has now.
    pub previous: &'a BTreeMap<String, String>,
    /// What the stack has now.
    pub existing: &'a BTreeMap<String, Existing>,
    /// Whether the stack's tags change.
    pub tags_change: bool,
    /// Answers for what exists.
    pub resolver: &'a dyn Resolver,
    /// What the types are like.
    pub schemas: &'a dyn Schemas,
}

impl Plan<'_> {
    /// The changes, in an order in which they could be made.
    ///
    /// # Errors
    ///
    /// A value cannot be evaluated, resources wait for each other, or one changes its type.
    pub fn changes(&self) -> Result<Vec<Change>> {
        self.refuse_other_types()?;
        let probe = Evaluator::new(self.template, self.inputs, self.pseudo, self.resolver)?;
        let conditions = probe.conditions().clone();
        let graph = Graph::new(self.template, &conditions)?;
        let mut moved = BTreeMap::new();
        let mut changes = Vec::new();
        for name in graph.order()? {
            let Some(declared) = self.template.resources.get(&name) else {
                continue;
            };
            let foresight = Foresight { inner: self.resolver, moved: &moved };
            let evaluator = Evaluator::new(self.template, self.inputs, self.pseudo, &foresight)?;
            let properties = evaluator.properties(declared)?;
            let Some(change) = self.change(&name, declared, &properties, &conditions, &moved)?
            else {
                continue;
            };
            moved.insert(name, change.action);
            changes.push(change);
        }
        changes.extend(self.removals(&conditions));
        Ok(changes)
    }

    fn refuse_other_types(&self) -> Result<()> {
        let other = |(name, now): (&String, &Existing)| {
            let wanted = self.template.resources.get(name)?;
            (wanted.kind != now.declared.kind).then(|| name.clone())
        };
        let names: Vec<String> = self.existing.iter().filter_map(other).collect();
        if names.is_empty() {
            return Ok(());
        }
        Err(TemplateError::Parameter(format!(
            "Update of resource type is not permitted. The new template modifies resource type of the following resources: [{}]",
            names.join(", ")
        )))
    }

    fn removals(&self, conditions: &BTreeMap<String, bool>) -> Vec<Change> {
        let stays = |name: &String| {
            self.template.resources.get(name).is_some_and(|resource| {
                resource.condition.as_ref().is_none_or(|c| conditions.get(c) == Some(&true))
            })
        };
        let gone = self.existing.iter().filter(|(name, _)| !stays(name));
        gone.map(|(name, now)| Change {
            logical_id: name.clone(),
            kind: now.declared.kind.clone(),
            physical_id: Some(now.physical_id.clone()),
            action: Action::Remove,
            policy: unless_delete(now.declared.policy_on_delete()),
            details: Vec::new(),
        })
        .collect()
    }

    fn change(
        &self,
        name: &str,
        declared: &Resource,
        properties: &Map<String, Value>,
        conditions: &BTreeMap<String, bool>,
        moved: &BTreeMap<String, Action>,
    ) -> Result<Option<Change>> {
        let kind = declared.kind.clone();
        let logical_id = name.to_owned();
        let Some(now) = self.existing.get(name) else {
            let (action, details) = (Action::Add, Vec::new());
            let change =
                Change { logical_id, kind, physical_id: None, action, policy: None, details };
            return Ok(Some(change));
        };
        let mut details = Vec::new();
        let names: BTreeSet<&String> = now.properties.keys().chain(properties.keys()).collect();
        for property in names {
            let (before, after) = (now.properties.get(property), properties.get(property));
            if before == after {
                continue;
            }
            let recreation = self.schemas.recreation(&kind, property);
            let causes = self.causes(property, now, declared, conditions, moved)?;
            details.extend(causes.into_iter().map(|cause| Detail {
                scope: Scope::Properties,
                name: Some(property.clone()),
                recreation,
                cause,
                before: before.cloned(),
                after: after.cloned(),
            }));
        }
        details.extend(attribute_details(&now.declared, declared));
        if self.tags_change && self.schemas.taggable(&kind) {
            details.push(plain(Scope::Tags, Cause::Automatic, None, None));
        }
        if details.is_empty() {
            return Ok(None);
        }
        let replacement = replacement(&details);
        let replaced = replacement == Replacement::True;
        let policy = if replaced { unless_delete(declared.policy_on_replace()) } else { None };
        let physical_id = Some(now.physical_id.clone());
        let action = Action::Modify(replacement);
        Ok(Some(Change { logical_id, kind, physical_id, action, policy, details }))
    }

    /// Why a property differs: every changed thing that its expression names, or the expression.
    fn causes(
        &self,
        property: &str,
        now: &Existing,
        declared: &Resource,
        conditions: &BTreeMap<String, bool>,
        moved: &BTreeMap<String, Action>,
    ) -> Result<Vec<Cause>> {
        let (old, new) = (now.declared.properties.get(property), declared.properties.get(property));
        let found = match new {
            Some(new) => references_in(new, conditions)?,
            None => References::default(),
        };
        let changed_parameter = |name: &&String| {
            let after = self.inputs.given.get(*name);
            after.is_some() && after != self.previous.get(*name)
        };
        let parameters =
            found.names.iter().filter(changed_parameter).cloned().map(Cause::Parameter);
        let renewed = |name: &&String| {
            matches!(
                moved.get(*name),
                Some(Action::Add | Action::Modify(Replacement::True | Replacement::Conditional))
            )
        };
        let resources = found.names.iter().filter(renewed).cloned().map(Cause::Resource);
        let attributes = found.attributes.iter().filter(|(name, _)| moved.contains_key(name));
        let attributes = attributes.map(|(name, key)| Cause::Attribute(format!("{name}.{key}")));
        let mut causes: Vec<Cause> = parameters.chain(resources).chain(attributes).collect();
        if old != new || causes.is_empty() {
            causes.push(Cause::DirectModification);
        }
        Ok(causes)
    }
}

fn unless_delete(policy: Policy) -> Option<Policy> {
    (policy != Policy::Delete).then_some(policy)
}

fn plain(scope: Scope, cause: Cause, before: Option<Value>, after: Option<Value>) -> Detail {
    Detail { scope, name: None, recreation: Recreation::Never, cause, before, after }
}

fn attribute_details(now: &Resource, wanted: &Resource) -> Vec<Detail> {
    let word = |policy: Option<Policy>| policy.map(|policy| Value::from(format!("{policy:?}")));
    let pairs = [
        (Scope::Metadata, now.metadata.clone(), wanted.metadata.clone()),
        (Scope::CreationPolicy, now.creation_policy.clone(), wanted.creation_policy.clone()),
        (Scope::UpdatePolicy, now.update_policy.clone(), wanted.update_policy.clone()),
        (Scope::DeletionPolicy, word(now.deletion_policy), word(wanted.deletion_policy)),
        (
            Scope::UpdateReplacePolicy,
            word(now.update_replace_policy),
            word(wanted.update_replace_policy),
        ),
    ];
    let differ = pairs.into_iter().filter(|(_, before, after)| before != after);
    differ
        .map(|(scope, before, after)| plain(scope, Cause::DirectModification, before, after))
        .collect()
}

fn replacement(details: &[Detail]) -> Replacement {
    let of = |detail: &Detail| match detail.recreation {
        Recreation::Never => Replacement::False,
        Recreation::Conditionally => Replacement::Conditional,
        Recreation::Always if detail.is_static() => Replacement::True,
        Recreation::Always => match detail.cause {
            // A resource that is surely another makes a value that is surely another.
            Cause::Resource(_) | Cause::DirectModification => Replacement::True,
            Cause::Parameter(_) | Cause::Attribute(_) | Cause::Automatic => {
                Replacement::Conditional
            }
        },
    };
    details.iter().map(of).max().unwrap_or(Replacement::False)
}

fn mentions_pending(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains(PENDING),
        Value::Array(items) => items.iter().any(mentions_pending),
        Value::Object(members) => members.values().any(mentions_pending),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

/// Answers [`PENDING`] for what the changes planned so far make unknown.
struct Foresight<'a> {
    inner: &'a dyn Resolver,
    moved: &'a BTreeMap<String, Action>,
}

impl Resolver for Foresight<'_> {
    fn reference(&self, resource: &str) -> Result<Value> {
        match self.moved.get(resource) {
            Some(Action::Add | Action::Modify(Replacement::True | Replacement::Conditional)) => {
                Ok(PENDING.into())
            }
            Some(Action::Modify(Replacement::False) | Action::Remove) | None => {
                self.inner.reference(resource)
            }
        }
    }

    fn attribute(&self, resource: &str, attribute: &str) -> Result<Value> {
        match self.moved.get(resource) {
            Some(_) => Ok(PENDING.into()),
            None => self.inner.attribute(resource, attribute),
        }
    }

    fn import(&self, name: &str) -> Result<Value> {
        self.inner.import(name)
    }

    fn zones(&self, region: &str) -> Vec<String> {
        self.inner.zones(region)
    }
}

#[cfg(test)]
mod tests {
    use super::super::parameter::Supplied;
    use super::super::parse;
    use super::*;

    /// A world in which every resource `X` has the id `x-1` and attributes `x-1.Name`.
    struct World;

    impl Resolver for World {
        fn reference(&self, resource: &str) -> Result<Value> {
            Ok(format!("{}-1", resource.to_lowercase()).into())
        }
        fn attribute(&self, resource: &str, attribute: &str) -> Result<Value> {
            Ok(format!("{}-1.{attribute}", resource.to_lowercase()).into())
        }
        fn import(&self, name: &str) -> Result<Value> {
            Err(TemplateError::NoExport(name.to_owned()))
        }
        fn zones(&self, region: &str) -> Vec<String> {
            vec![format!("{region}a")]
        }
    }

    impl Schemas for World {
        fn recreation(&self, _kind: &str, property: &str) -> Recreation {
            match property.as_bytes().first() {
                Some(b'R') => Recreation::Always,
                Some(b'C') => Recreation::Conditionally,
                _ => Recreation::Never,
            }
        }
        fn taggable(&self, kind: &str) -> bool {
            kind == "T"
        }
    }

    fn pseudo() -> Pseudo {
        Pseudo {
            account: "123456789012".to_owned(),
            region: "r-1".to_owned(),
            stack_id: "arn".to_owned(),
            stack_name: "s".to_owned(),
            notification_arns: Vec::new(),
        }
    }

    fn inputs(template: &Template, p: &str) -> Inputs {
        let given = template.parameters.keys().map(|n| (n.clone(), Supplied::Value(p.to_owned())));
        Inputs::new(template, &given.collect(), &BTreeMap::new()).unwrap()
    }

    fn existing(template: &Template, inputs: &Inputs) -> BTreeMap<String, Existing> {
        let pseudo = pseudo();
        let evaluator = Evaluator::new(template, inputs, &pseudo, &World).unwrap();
        let one = |(name, declared): (&String, &Resource)| {
            let properties = evaluator.properties(declared).unwrap();
            let physical_id = format!("{}-1", name.to_lowercase());
            (name.clone(), Existing { declared: declared.clone(), properties, physical_id })
        };
        evaluator.resources().map(one).collect()
    }

    /// The plan from one template to another, a line a change: action, name, replacement, causes.
    fn plan(old: &str, new: &str) -> Result<Vec<String>> {
        let read = |text: &str| {
            let text = format!(
                "Parameters: {{P: {{Type: String}}}}\nConditions: {{Two: !Equals [!Ref P, two]}}\n{text}"
            );
            Template::read(&parse(&text).unwrap()).unwrap()
        };
        let (old, new) = (read(old), read(new));
        let (before, after) = (inputs(&old, "one"), inputs(&new, "two"));
        let plan = Plan {
            template: &new,
            inputs: &after,
            pseudo: &pseudo(),
            previous: &before.given,
            existing: &existing(&old, &before),
            tags_change: false,
            resolver: &World,
            schemas: &World,
        };
        let line = |change: Change| {
            let details = change
                .details
                .iter()
                .map(|d| format!(" {}:{:?}", d.name.as_deref().unwrap_or("-"), d.cause));
            let details: String = details.collect();
            let policy = change.policy.map_or(String::new(), |p| format!(" {p:?}"));
            format!("{:?} {}{policy}{details}", change.action, change.logical_id)
        };
        Ok(plan.changes()?.into_iter().map(line).collect())
    }

    #[test]
    fn additions_modifications_and_removals_are_planned() {
        let old = "Resources:\n  A: {Type: T, Properties: {n: 1, Rn: x}}\n  B: {Type: T, Properties: {n: !Ref P}}\n  \
                   C: {Type: T, DeletionPolicy: Retain}\n  D: {Type: T}\n  E: {Type: T, Metadata: {a: 1}}";
        let new = "Resources:\n  A: {Type: T, Properties: {n: 2, Rn: x}}\n  B: {Type: T, Properties: {n: !Ref P}}\n  \
                   D: {Type: T}\n  E: {Type: T, Metadata: {a: 2}}\n  F: {Type: T}\n  G: {Type: T, Condition: Two}";
        assert_eq!(
            plan(old, new).unwrap(),
            [
                "Modify(False) A n:DirectModification",
                "Modify(False) B n:Parameter(\"P\")",
                "Modify(False) E -:DirectModification",
                "Add F",
                "Add G",
                "Remove C Retain",
            ]
        );
    }

    #[test]
    fn replacement_spreads_through_references() {
        let old = "Resources:\n  A: {Type: T, UpdateReplacePolicy: Retain, Properties: {Rn: 1}}\n  \
                   B: {Type: T, Properties: {Ra: !Ref A}}\n  \
                   C: {Type: T, Properties: {n: !Sub '${B}'}}\n  \
                   D: {Type: T, Properties: {R: !GetAtt C.Arn}}\n  \
                   E: {Type: T, Properties: {Cn: 1}}\n  \
                   F: {Type: T, Properties: {n: !Ref D}}";
        let new = old.replace("{Rn: 1}", "{Rn: 2}").replace("{Cn: 1}", "{Cn: 2}");
        assert_eq!(
            plan(old, &new).unwrap(),
            [
                "Modify(True) A Retain Rn:DirectModification",
                "Modify(Conditional) E Cn:DirectModification",
                "Modify(True) B Ra:Resource(\"A\")",
                "Modify(False) C n:Resource(\"B\")",
                "Modify(Conditional) D R:Attribute(\"C.Arn\")",
                "Modify(False) F n:Resource(\"D\")",
            ]
        );
    }

    #[test]
    fn nothing_changes_when_nothing_differs() {
        let same = "Resources: {A: {Type: T, Properties: {a: [1, {b: !Sub '${AWS::Region}'}]}}}";
        assert!(plan(same, same).unwrap().is_empty());
        let other = "Resources: {A: {Type: T, Properties: {a: [1, {b: r-1}]}}}";
        assert!(plan(same, other).unwrap().is_empty(), "the same values differently said");
    }

    #[test]
    fn a_type_cannot_change() {
        let fault = plan("Resources: {A: {Type: T}}", "Resources: {A: {Type: U}}").unwrap_err();
        assert_eq!(
            fault.to_string(),
            "Update of resource type is not permitted. The new template modifies resource type of the following resources: [A]"
        );
    }
}
