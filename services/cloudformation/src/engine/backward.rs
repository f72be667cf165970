//! Taking an update back, and clearing away what an update or its undoing leaves behind.

use std::collections::{BTreeMap, BTreeSet};

use cloudformation_api::{ResourceStatus, StackStatus};

use super::drive::{Failure, OnFailure};
use super::physical::Settled;
use super::{Halt, Operator};
use crate::event;
use crate::store::{LEFTOVERS, Leftover, RESOURCES, StackResource};
use crate::template::Graph;

impl Operator {
    /// The phase `UPDATE_ROLLBACK_IN_PROGRESS`.
    pub(super) async fn roll_back_update(&self) -> Result<(), Halt> {
        let rows = self.all_rows();
        let touched = rows.iter().filter_map(|row| {
            row.before.as_ref().map(|before| (row.logical_id.clone(), before.needs.clone()))
        });
        let graph = Graph::from_needs(touched);
        let failed = self.drive(&graph, OnFailure::Block, |name| self.restore(name)).await?;
        if !failed.is_empty() {
            let status = StackStatus::UpdateRollbackFailed;
            let reason =
                format!("The following resource(s) failed to update: [{}]. ", failed.join(", "));
            return self.advance(status, Some(reason), |_, _| Ok(())).await;
        }
        let leftovers: Vec<Leftover> = self
            .all_rows()
            .into_iter()
            .filter(|row| row.before.is_none() && row.added_by.is_some())
            .map(|row| Leftover {
                stack: row.stack,
                logical_id: row.logical_id,
                kind: row.kind,
                incarnation: row.current,
                policy: "Delete".to_owned(),
                whole: true,
            })
            .collect();
        let status = StackStatus::UpdateRollbackCompleteCleanupInProgress;
        self.advance(status, None, |tx, stack| {
            for leftover in &leftovers {
                tx.put(&LEFTOVERS, leftover)?;
            }
            for mut row in self.all_rows() {
                row.before = None;
                row.added_by = None;
                row.done_by = None;
                tx.put(&RESOURCES, &row)?;
            }
            if let Some(before) = stack.before.take() {
                stack.deployment = before;
            }
            Ok(())
        })
        .await
    }

    /// Makes one resource what it was before the update.
    async fn restore(&self, name: String) -> Result<(), Failure> {
        let Some((mut row, before)) = self.row(&name).and_then(|row| {
            let before = row.before.clone()?;
            Some((row, before))
        }) else {
            return Ok(());
        };
        if self.stack.operation.spared.contains(&name) {
            row.current = before;
            row.before = None;
            row.status = ResourceStatus::UpdateComplete;
            return Ok(self.write_row(row, Some(None)).await?);
        }
        if before.token != row.current.token {
            return Ok(self.take_back_replacement(row, before).await?);
        }
        let untouched =
            before.properties == row.current.properties && before.tags == row.current.tags;
        if untouched {
            row.current = before;
            row.before = None;
            return Ok(self.write_row(row, None).await?);
        }
        let attempted = row.current.properties.clone();
        row.status = ResourceStatus::UpdateInProgress;
        // The row keeps what was attempted until the way back is done, so that it can be repeated.
        self.write_row(row.clone(), Some(None)).await?;
        let mut back = StackResource { current: before.clone(), ..row.clone() };
        let changed = match self.change(&back, &attempted).await {
            Ok(()) => self.roll_if_outdated(&back, &attempted).await?,
            Err(fault) => Err(fault),
        };
        let outcome = match changed {
            Ok(()) => self.settle(&back).await,
            Err(fault) => Err(fault),
        };
        match outcome {
            Ok(Settled::Done(attributes)) => {
                back.current.attributes = attributes;
                back.before = None;
                back.status = ResourceStatus::UpdateComplete;
                Ok(self.write_row(back, Some(None)).await?)
            }
            Ok(Settled::Stopped) => Err(Failure::Stopped),
            Err(fault) => {
                row.status = ResourceStatus::UpdateFailed;
                self.write_row(row, Some(Some(fault))).await?;
                Err(Failure::Failed)
            }
        }
    }

    /// The old resource is the current one again; the new one is cleared away later.
    async fn take_back_replacement(
        &self,
        mut row: StackResource,
        before: crate::store::Incarnation,
    ) -> Result<(), Halt> {
        let leftover = Leftover {
            stack: row.stack.clone(),
            logical_id: row.logical_id.clone(),
            kind: row.kind.clone(),
            incarnation: row.current.clone(),
            policy: "Delete".to_owned(),
            whole: false,
        };
        self.write(|tx, _| tx.put(&LEFTOVERS, &leftover)).await?;
        row.current = before;
        row.before = None;
        row.status = ResourceStatus::UpdateComplete;
        self.write_row(row, Some(None)).await
    }

    /// A clean-up phase, which ends in `status` whatever can or cannot be deleted.
    pub(super) async fn clean_up(&self, status: StackStatus) -> Result<(), Halt> {
        let leftovers = self.store.read(|tx| tx.scan(&LEFTOVERS, (self.stack.id.clone(),))).await?;
        let by_token: BTreeMap<String, Leftover> =
            leftovers.into_iter().map(|l| (l.incarnation.token.clone(), l)).collect();
        let graph = deletion_order(&by_token);
        let work = |token: String| self.give_up(by_token.get(&token).cloned());
        self.drive(&graph, OnFailure::Ignore, work).await?;
        self.advance(status, None, |_, _| Ok(())).await
    }

    /// Gives one leftover up, as its policy says.
    async fn give_up(&self, leftover: Option<Leftover>) -> Result<(), Failure> {
        let Some(leftover) = leftover else {
            return Ok(());
        };
        let retained = leftover.policy == "Retain" && leftover.incarnation.physical_id.is_some();
        if retained {
            self.tell(&leftover, ResourceStatus::DeleteSkipped, None, true).await?;
            return Ok(());
        }
        self.tell(&leftover, ResourceStatus::DeleteInProgress, None, false).await?;
        match self.snapshot_and_unmake(&leftover).await {
            Ok(()) => {
                self.tell(&leftover, ResourceStatus::DeleteComplete, None, true).await?;
                Ok(())
            }
            Err(fault) => {
                self.tell(&leftover, ResourceStatus::DeleteFailed, Some(fault), true).await?;
                Err(Failure::Failed)
            }
        }
    }

    async fn snapshot_and_unmake(&self, leftover: &Leftover) -> Result<(), String> {
        let Leftover { logical_id, kind, incarnation, .. } = leftover;
        if leftover.policy == "Snapshot" {
            self.snapshot(logical_id, kind, incarnation).await?;
        }
        self.unmake(logical_id, kind, incarnation).await
    }

    /// Writes an event about a leftover, and forgets it when that was the last.
    async fn tell(
        &self,
        leftover: &Leftover,
        status: ResourceStatus,
        reason: Option<String>,
        last: bool,
    ) -> Result<(), Halt> {
        let event = self
            .event(&leftover.logical_id, &leftover.kind, status, reason)
            .physical(leftover.incarnation.physical_id.clone());
        self.write(|tx, _| {
            if last {
                tx.delete(
                    &LEFTOVERS,
                    &(leftover.stack.clone(), leftover.incarnation.token.clone()),
                )?;
                if leftover.whole {
                    let key = (leftover.stack.clone(), leftover.logical_id.clone());
                    tx.delete(&RESOURCES, &key)?;
                }
            }
            event::append(tx, &event)
        })
        .await
    }
}

/// The order in which leftovers go: each before those it needs.
fn deletion_order(leftovers: &BTreeMap<String, Leftover>) -> Graph {
    let needs = leftovers.iter().map(|(token, leftover)| {
        let needed = |(other, candidate): &(&String, &Leftover)| {
            *other != token && leftover.incarnation.needs.contains(&candidate.logical_id)
        };
        let needed: BTreeSet<String> =
            leftovers.iter().filter(needed).map(|(other, _)| other.clone()).collect();
        (token.clone(), needed)
    });
    Graph::from_needs(needs).reversed()
}
