//! The end of a forward phase that succeeded: outputs, exports and imports, and what an update
//! leaves behind.

use std::collections::BTreeSet;
use std::sync::PoisonError;

use cloudformation_api::StackStatus;
use serde_json::Value;

use super::forward::Goal;
use super::live::Live;
use super::physical::Reason;
use super::{Halt, Operator};
use crate::store::{
    EXPORTS, Export, IMPORTS, IMPORTS_BY_STACK, Import, LEFTOVERS, Leftover, RESOURCES, StackOutput,
};
use crate::template::{Evaluator, Policy, Resource, TemplateError, scalar_text};

impl Operator {
    /// Ends a forward phase that succeeded: outputs, exports, and what an update leaves behind.
    pub(super) async fn finish(
        &self,
        goal: &Goal,
        status: StackStatus,
    ) -> Result<Result<(), Reason>, Halt> {
        let outputs = match self.outputs(goal) {
            Ok(outputs) => outputs,
            Err(reason) => return Ok(Err(reason)),
        };
        if let Some(conflict) = self.export_conflict(&outputs).await? {
            return Ok(Err(conflict));
        }
        let leftovers = self.leftovers(goal);
        let imported = goal.imported.lock().unwrap_or_else(PoisonError::into_inner).clone();
        self.advance(status, None, |tx, stack| {
            stack.outputs.clone_from(&outputs);
            self.write_exports(tx, &outputs)?;
            self.write_imports(tx, &imported)?;
            for leftover in &leftovers {
                tx.put(&LEFTOVERS, leftover)?;
            }
            for mut row in self.all_rows() {
                row.before = None;
                row.added_by = None;
                row.done_by = None;
                tx.put(&RESOURCES, &row)?;
            }
            stack.before = None;
            Ok(())
        })
        .await?;
        Ok(Ok(()))
    }

    fn outputs(&self, goal: &Goal) -> Result<Vec<StackOutput>, Reason> {
        let live = Live { operator: self, imported: &goal.imported };
        let evaluate = || -> Result<Vec<StackOutput>, TemplateError> {
            let evaluator = Evaluator::new(&goal.template, &goal.inputs, &goal.pseudo, &live)?;
            let mut outputs = Vec::new();
            for (key, output) in &goal.template.outputs {
                if !evaluator.holds(output.condition.as_deref()) {
                    continue;
                }
                let malformed = |member: &str| {
                    TemplateError::Format(format!(
                        "Output {key} is malformed. The {member} field of every Outputs member must evaluate to a String."
                    ))
                };
                let text = |value: &Value, member| -> Result<String, TemplateError> {
                    let value = evaluator.evaluate(value)?.unwrap_or_default();
                    scalar_text(&value).ok_or_else(|| malformed(member))
                };
                outputs.push(StackOutput {
                    key: key.clone(),
                    value: text(&output.value, "Value")?,
                    description: output.description.clone(),
                    export: output.export.as_ref().map(|e| text(e, "Export Name")).transpose()?,
                });
            }
            Ok(outputs)
        };
        evaluate().map_err(|fault| fault.to_string())
    }

    /// Why the exports cannot become what the outputs say.
    async fn export_conflict(&self, outputs: &[StackOutput]) -> Result<Option<Reason>, Halt> {
        let (exports, imports) = self
            .store
            .read(|tx| {
                let exports = tx.scan(&EXPORTS, ())?;
                Ok::<_, store::Error>((exports, tx.scan(&IMPORTS, ())?))
            })
            .await?;
        for (name, _) in exported(outputs) {
            let taken = exports.iter().find(|e| e.name == name && e.stack != self.stack.id);
            if let Some(taken) = taken {
                return Ok(Some(format!(
                    "Export with name {name} is already exported by stack {}",
                    taken.stack_name
                )));
            }
        }
        for own in exports.iter().filter(|export| export.stack == self.stack.id) {
            let stays =
                exported(outputs).any(|(name, value)| name == own.name && value == own.value);
            let users = users_of(&imports, &own.name);
            if !stays && !users.is_empty() {
                return Ok(Some(format!(
                    "Cannot update export {} as it is in use by {}.",
                    own.name,
                    users.join(" and ")
                )));
            }
        }
        Ok(None)
    }

    fn write_exports(
        &self,
        tx: &mut store::WriteTx<'_>,
        outputs: &[StackOutput],
    ) -> Result<(), store::Error> {
        for own in tx.scan(&EXPORTS, ())?.iter().filter(|e| e.stack == self.stack.id) {
            tx.delete(&EXPORTS, &own.name)?;
        }
        for (name, value) in exported(outputs) {
            let (name, value) = (name.to_owned(), value.to_owned());
            let (stack, stack_name) = (self.stack.id.clone(), self.stack.name.clone());
            tx.put(&EXPORTS, &Export { name, value, stack, stack_name })?;
        }
        Ok(())
    }

    fn write_imports(
        &self,
        tx: &mut store::WriteTx<'_>,
        names: &BTreeSet<String>,
    ) -> Result<(), store::Error> {
        for import in tx.find(&IMPORTS_BY_STACK, &self.stack.id)? {
            tx.delete(&IMPORTS, &(import.export, import.stack))?;
        }
        for export in names {
            let (stack, stack_name) = (self.stack.id.clone(), self.stack.name.clone());
            tx.put(&IMPORTS, &Import { export: export.clone(), stack, stack_name })?;
        }
        Ok(())
    }

    /// What the update leaves behind: replaced resources and those that the template lacks.
    fn leftovers(&self, goal: &Goal) -> Vec<Leftover> {
        let mut leftovers = Vec::new();
        for row in self.all_rows() {
            let wanted = goal.existing().find(|(name, _)| **name == row.logical_id);
            let (incarnation, policy, whole) = match (wanted, row.before) {
                (None, _) => {
                    let declared = Resource::read(&row.logical_id, &row.current.declared);
                    let policy = declared.map_or(Policy::Delete, |d| d.policy_on_delete());
                    (row.current, policy, true)
                }
                (Some((_, declared)), Some(before)) if before.token != row.current.token => {
                    (before, declared.policy_on_replace(), false)
                }
                _ => continue,
            };
            leftovers.push(Leftover {
                stack: row.stack,
                logical_id: row.logical_id,
                kind: row.kind,
                incarnation,
                policy: policy_word(policy).to_owned(),
                whole,
            });
        }
        leftovers
    }
}

/// The policy's word in a leftover.
pub(super) fn policy_word(policy: Policy) -> &'static str {
    match policy {
        Policy::Delete => "Delete",
        Policy::Retain | Policy::RetainExceptOnCreate => "Retain",
        Policy::Snapshot => "Snapshot",
    }
}

fn exported(outputs: &[StackOutput]) -> impl Iterator<Item = (&str, &str)> {
    outputs.iter().filter_map(|o| o.export.as_deref().map(|name| (name, o.value.as_str())))
}

/// The names of the stacks that import `export`.
pub(super) fn users_of(imports: &[Import], export: &str) -> Vec<String> {
    let using = imports.iter().filter(|import| import.export == export);
    using.map(|import| import.stack_name.clone()).collect()
}
