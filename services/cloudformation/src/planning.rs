//! What an update or a change set would do to a stack.

use std::collections::BTreeMap;

use kernel::Ctx;
use serde_json::Value;

use crate::error::Result;
use crate::request::{self, Wanted};
use crate::schema::Types;
use crate::store::{EXPORTS, RESOURCES, Stack, StackResource};
use crate::store::{PlannedChange, PlannedDetail};
use crate::template::diff::{
    Action, Cause, Change, Detail, Existing, Plan, Recreation, Replacement, Scope,
};
use crate::template::{PENDING, Policy, Resolver, Resource, Template, TemplateError, parse};

/// A stack's resources and the region's exports at one moment.
pub(crate) struct Snapshot {
    rows: BTreeMap<String, StackResource>,
    exports: BTreeMap<String, String>,
}

impl Snapshot {
    /// Reads both; for a stack that does not exist yet there are no resources.
    pub(crate) async fn read(ctx: &Ctx, stack: Option<&str>) -> Result<Self> {
        ctx.store
            .read(|tx| {
                let rows = match stack {
                    Some(stack) => tx.scan(&RESOURCES, (stack.to_owned(),))?,
                    None => Vec::new(),
                };
                let exports = tx.scan(&EXPORTS, ())?;
                Ok(Self {
                    rows: rows.into_iter().map(|row| (row.logical_id.clone(), row)).collect(),
                    exports: exports.into_iter().map(|e| (e.name, e.value)).collect(),
                })
            })
            .await
    }

    fn existing(&self) -> Result<BTreeMap<String, Existing>> {
        let made = self.rows.iter().filter(|(_, row)| row.current.physical_id.is_some());
        made.map(|(name, row)| {
            let declared = Resource::read(name, &row.current.declared)?;
            let properties = row.current.properties.clone();
            let physical_id = row.current.physical_id.clone().unwrap_or_default();
            Ok((name.clone(), Existing { declared, properties, physical_id }))
        })
        .collect()
    }
}

impl Resolver for Snapshot {
    fn reference(&self, resource: &str) -> Result<Value, TemplateError> {
        let id = self.rows.get(resource).and_then(|row| row.current.physical_id.clone());
        Ok(id.unwrap_or_else(|| PENDING.to_owned()).into())
    }

    fn attribute(&self, resource: &str, attribute: &str) -> Result<Value, TemplateError> {
        let value = self.rows.get(resource).and_then(|row| row.current.attributes.get(attribute));
        Ok(value.cloned().unwrap_or_else(|| PENDING.into()))
    }

    fn import(&self, name: &str) -> Result<Value, TemplateError> {
        let value = self.exports.get(name).cloned();
        value.map(Value::from).ok_or_else(|| TemplateError::NoExport(name.to_owned()))
    }

    fn zones(&self, region: &str) -> Vec<String> {
        base::Region::new(region).zones().iter().map(ToString::to_string).collect()
    }
}

/// The changes that make `stack` what is wanted.
pub(crate) fn changes(
    ctx: &Ctx,
    stack: &Stack,
    wanted: &Wanted,
    snapshot: &Snapshot,
) -> Result<Vec<Change>> {
    let existing = snapshot.existing()?;
    let plan = Plan {
        template: &wanted.template,
        inputs: &wanted.inputs,
        pseudo: &request::pseudo(ctx, &stack.id, &stack.name),
        previous: &stack.deployment.parameters,
        existing: &existing,
        tags_change: stack.deployment.tags != wanted.deployment.tags,
        resolver: snapshot,
        schemas: &Types(ctx.kernel()),
    };
    Ok(plan.changes()?)
}

/// Whether the outputs may become others although no resource does.
pub(crate) fn outputs_change(stack: &Stack, wanted: &Wanted) -> bool {
    let old = parse(&stack.deployment.template).and_then(|tree| Template::read(&tree));
    let same = old.is_ok_and(|old| old.outputs == wanted.template.outputs);
    let parameters = stack.deployment.parameters == wanted.deployment.parameters
        && stack.deployment.resolved == wanted.deployment.resolved;
    !same || (!parameters && !wanted.template.outputs.is_empty())
}

/// A change as it is kept with its change set.
pub(crate) fn planned(change: Change) -> PlannedChange {
    let scope = change.scope().into_iter().map(|scope| scope_word(scope).to_owned()).collect();
    let (action, replacement) = match change.action {
        Action::Add => ("Add", None),
        Action::Remove => ("Remove", None),
        Action::Modify(replacement) => ("Modify", Some(replacement_word(replacement).to_owned())),
    };
    let policy = policy_word(&change).map(str::to_owned);
    PlannedChange {
        action: action.to_owned(),
        replacement,
        policy,
        scope,
        logical_id: change.logical_id,
        physical_id: change.physical_id,
        kind: change.kind,
        details: change.details.into_iter().map(detail).collect(),
    }
}

fn detail(detail: Detail) -> PlannedDetail {
    let evaluation = if detail.is_static() { "Static" } else { "Dynamic" };
    let (source, entity) = match detail.cause {
        Cause::DirectModification => ("DirectModification", None),
        Cause::Parameter(name) => ("ParameterReference", Some(name)),
        Cause::Resource(name) => ("ResourceReference", Some(name)),
        Cause::Attribute(name) => ("ResourceAttribute", Some(name)),
        Cause::Automatic => ("Automatic", None),
    };
    let recreation = match detail.recreation {
        Recreation::Never => "Never",
        Recreation::Conditionally => "Conditionally",
        Recreation::Always => "Always",
    };
    PlannedDetail {
        attribute: scope_word(detail.scope).to_owned(),
        name: detail.name,
        recreation: recreation.to_owned(),
        evaluation: evaluation.to_owned(),
        source: source.to_owned(),
        entity,
        before: detail.before,
        after: detail.after,
    }
}

fn scope_word(scope: Scope) -> &'static str {
    match scope {
        Scope::Properties => "Properties",
        Scope::Metadata => "Metadata",
        Scope::CreationPolicy => "CreationPolicy",
        Scope::UpdatePolicy => "UpdatePolicy",
        Scope::DeletionPolicy => "DeletionPolicy",
        Scope::UpdateReplacePolicy => "UpdateReplacePolicy",
        Scope::Tags => "Tags",
    }
}

fn replacement_word(replacement: Replacement) -> &'static str {
    match replacement {
        Replacement::True => "True",
        Replacement::False => "False",
        Replacement::Conditional => "Conditional",
    }
}

fn policy_word(change: &Change) -> Option<&'static str> {
    let policy = change.policy.unwrap_or(Policy::Delete);
    match (change.action, policy) {
        (Action::Remove, Policy::Delete) => Some("Delete"),
        (Action::Remove, Policy::Snapshot) => Some("Snapshot"),
        (Action::Remove, Policy::Retain | Policy::RetainExceptOnCreate) => Some("Retain"),
        (Action::Modify(Replacement::True), Policy::Delete) => Some("ReplaceAndDelete"),
        (Action::Modify(Replacement::True), Policy::Snapshot) => Some("ReplaceAndSnapshot"),
        (Action::Modify(Replacement::True), Policy::Retain | Policy::RetainExceptOnCreate) => {
            Some("ReplaceAndRetain")
        }
        (Action::Add | Action::Modify(Replacement::False | Replacement::Conditional), _) => None,
    }
}
