//! Deleting stacks, and taking back creations.

use cloudformation_api::{ResourceStatus, StackStatus};

use super::drive::{Failure, OnFailure};
use super::outcome::users_of;
use super::{Halt, Operator};
use crate::store::{EXPORTS, IMPORTS, IMPORTS_BY_STACK, LEFTOVERS, Leftover, StackResource};
use crate::template::{Graph, Policy, Resource};

impl Operator {
    /// The phase `DELETE_IN_PROGRESS`.
    pub(super) async fn delete(&self) -> Result<(), Halt> {
        if let Some(reason) = self.export_in_use().await? {
            return self.advance(StackStatus::DeleteFailed, Some(reason), |_, _| Ok(())).await;
        }
        self.set_replacements_aside().await?;
        let failed = self.delete_all().await?;
        if !failed.is_empty() {
            let reason =
                format!("The following resource(s) failed to delete: [{}]. ", failed.join(", "));
            return self.advance(StackStatus::DeleteFailed, Some(reason), |_, _| Ok(())).await;
        }
        let now = self.now();
        self.advance(StackStatus::DeleteComplete, None, |tx, stack| {
            stack.deleted = Some(now);
            stack.before = None;
            for own in tx.scan(&EXPORTS, ())?.iter().filter(|e| e.stack == self.stack.id) {
                tx.delete(&EXPORTS, &own.name)?;
            }
            for import in tx.find(&IMPORTS_BY_STACK, &self.stack.id)? {
                tx.delete(&IMPORTS, &(import.export, import.stack))?;
            }
            crate::change_set::forget_all(tx, &self.stack.id)
        })
        .await
    }

    /// The phase `ROLLBACK_IN_PROGRESS`: of a creation that failed.
    pub(super) async fn roll_back_create(&self) -> Result<(), Halt> {
        let failed = self.delete_all().await?;
        if failed.is_empty() {
            return self.advance(StackStatus::RollbackComplete, None, |_, _| Ok(())).await;
        }
        let reason =
            format!("The following resource(s) failed to delete: [{}]. ", failed.join(", "));
        self.advance(StackStatus::RollbackFailed, Some(reason), |_, _| Ok(())).await
    }

    async fn export_in_use(&self) -> Result<Option<String>, Halt> {
        let (exports, imports) = self
            .store
            .read(|tx| {
                let exports = tx.scan(&EXPORTS, ())?;
                Ok::<_, store::Error>((exports, tx.scan(&IMPORTS, ())?))
            })
            .await?;
        for own in exports.iter().filter(|export| export.stack == self.stack.id) {
            let users = users_of(&imports, &own.name);
            if !users.is_empty() {
                return Ok(Some(format!(
                    "Delete canceled. Cannot delete export {} as it is in use by {}.",
                    own.name,
                    users.join(" and ")
                )));
            }
        }
        Ok(None)
    }

    /// Of a resource that an update left in two incarnations, both are to go.
    async fn set_replacements_aside(&self) -> Result<(), Halt> {
        for mut row in self.all_rows() {
            let Some(before) = row.before.take() else {
                continue;
            };
            if before.token != row.current.token {
                let leftover = Leftover {
                    stack: row.stack.clone(),
                    logical_id: row.logical_id.clone(),
                    kind: row.kind.clone(),
                    incarnation: before,
                    policy: "Delete".to_owned(),
                    whole: false,
                };
                self.write(|tx, _| tx.put(&LEFTOVERS, &leftover)).await?;
            }
            self.write_row(row, None).await?;
        }
        Ok(())
    }

    /// Deletes every resource, those that need others first; gives the names that failed.
    async fn delete_all(&self) -> Result<Vec<String>, Halt> {
        let rows = self.all_rows();
        let needs = rows.iter().map(|row| (row.logical_id.clone(), row.current.needs.clone()));
        let graph = Graph::from_needs(needs).reversed();
        let failed = self.drive(&graph, OnFailure::Block, |name| self.delete_one(name)).await?;
        if failed.is_empty() {
            self.delete_leftovers().await?;
        }
        Ok(failed)
    }

    async fn delete_one(&self, name: String) -> Result<(), Failure> {
        let Some(mut row) = self.row(&name) else {
            return Ok(());
        };
        let gone = [ResourceStatus::DeleteComplete, ResourceStatus::DeleteSkipped];
        if gone.contains(&row.status) {
            return Ok(());
        }
        let policy = self.policy_of(&row);
        if policy == Policy::Retain && row.current.physical_id.is_some() {
            row.status = ResourceStatus::DeleteSkipped;
            return Ok(self.write_row(row, Some(None)).await?);
        }
        let completed = row.done_by.is_none() || row.status == ResourceStatus::CreateComplete;
        row.status = ResourceStatus::DeleteInProgress;
        self.write_row(row.clone(), Some(None)).await?;
        let outcome = match policy {
            Policy::Snapshot if completed => self.snapshot(&name, &row.kind, &row.current).await,
            Policy::Delete | Policy::Retain | Policy::RetainExceptOnCreate | Policy::Snapshot => {
                Ok(())
            }
        };
        let outcome = match outcome {
            Ok(()) => self.unmake(&name, &row.kind, &row.current).await,
            Err(fault) => Err(fault),
        };
        match outcome {
            Ok(()) => {
                row.status = ResourceStatus::DeleteComplete;
                Ok(self.write_row(row, Some(None)).await?)
            }
            Err(fault) => {
                row.status = ResourceStatus::DeleteFailed;
                self.write_row(row, Some(Some(fault))).await?;
                Err(Failure::Failed)
            }
        }
    }

    /// What becomes of a resource in this operation.
    fn policy_of(&self, row: &StackResource) -> Policy {
        if self.stack.operation.spared.contains(&row.logical_id) {
            return Policy::Retain;
        }
        let declared = Resource::read(&row.logical_id, &row.current.declared);
        let policy = declared.map_or(Policy::Delete, |declared| declared.policy_on_delete());
        let creating = self.stack.status == StackStatus::RollbackInProgress;
        match policy {
            Policy::Retain if creating && self.stack.operation.retain_except_on_create => {
                Policy::Delete
            }
            Policy::RetainExceptOnCreate if creating => Policy::Delete,
            Policy::RetainExceptOnCreate => Policy::Retain,
            Policy::Delete | Policy::Retain | Policy::Snapshot => policy,
        }
    }

    async fn delete_leftovers(&self) -> Result<(), Halt> {
        let leftovers = self.store.read(|tx| tx.scan(&LEFTOVERS, (self.stack.id.clone(),))).await?;
        for leftover in leftovers {
            let Leftover { stack, logical_id, kind, incarnation, .. } = leftover;
            if let Err(error) = self.unmake(&logical_id, &kind, &incarnation).await {
                tracing::warn!(stack, logical_id, error, "a replaced resource cannot be deleted");
            }
            let key = (stack, incarnation.token);
            self.write(|tx, _| tx.delete(&LEFTOVERS, &key)).await?;
        }
        Ok(())
    }
}
