//! Bringing a table's rows and index rows to this release's form, once, when the store opens.

use std::ops::ControlFlow;

use serde::{Deserialize, Serialize};

use crate::backend::Span;
use crate::record::{Record, Table, index_space};
use crate::store::Store;
use crate::transaction::WriteTx;
use crate::{Error, Result};

/// How many rows one transaction of a migration rewrites.
const ROWS_PER_TRANSACTION: usize = 512;

const FORMS: Table<Form> = Table::global("store.forms");

/// The form that all rows of a table have.
#[derive(Debug, Serialize, Deserialize, PartialEq)]
struct Form {
    table: String,
    version: u16,
    indexes: Vec<String>,
}

impl Record for Form {
    type Key = String;

    fn key(&self) -> String {
        self.table.clone()
    }
}

impl Store {
    /// Rewrites the rows of `table` that have an older version, and all its index rows when the
    /// version or the set of indexes changed. Costs one lookup when there is nothing to do. An
    /// interrupted migration starts over.
    ///
    /// # Errors
    ///
    /// When a row has a newer version or cannot be migrated, or the store fails.
    pub async fn migrate<R: Record>(&self, table: &Table<R>) -> Result<()> {
        let form = Form {
            table: table.name().to_owned(),
            version: R::VERSION,
            indexes: table.indexes().iter().map(|index| index.name().to_owned()).collect(),
        };
        let before = self.read(|tx| tx.get(&FORMS, table.name())).await?;
        if before.as_ref() == Some(&form) {
            return Ok(());
        }
        let mut stale = form.indexes.clone();
        stale.extend(before.into_iter().flat_map(|form| form.indexes));
        stale.sort();
        stale.dedup();
        for index in stale {
            let space = index_space(table.name(), &index);
            while self.write(|tx| clear(tx, &space)).await? == ROWS_PER_TRANSACTION {}
        }
        let mut after = None;
        loop {
            let next = self.write(|tx| rewrite(tx, table, after.as_deref())).await?;
            match next {
                Some(next) => after = Some(next),
                None => break,
            }
        }
        self.write(|tx| tx.put(&FORMS, &form)).await
    }
}

/// Removes some rows of `space`; says how many.
fn clear(tx: &WriteTx<'_>, space: &str) -> Result<usize> {
    let keys = page(tx, space, None)?;
    for (key, _) in &keys {
        tx.rows().delete(space, key)?;
    }
    Ok(keys.len())
}

/// Rewrites some rows of `table` behind the key `after`; gives the last one's key unless it was at
/// the end.
fn rewrite<R: Record>(
    tx: &mut WriteTx<'_>,
    table: &Table<R>,
    after: Option<&[u8]>,
) -> Result<Option<Vec<u8>>> {
    let rows = page(tx, table.name(), after)?;
    for (key, row) in &rows {
        let record = table.decode(row)?;
        let mut rest = key.as_slice();
        let scope = table.decode_scope(&mut rest)?;
        let scoped = WriteTx::new(tx.rows(), scope.as_ref());
        let new_key = table.row_key(scope.as_ref(), &record.key())?;
        if new_key != *key {
            if tx.rows().get(table.name(), &new_key)?.is_some() {
                let table = table.name();
                return Err(Error::Corrupt(format!("two rows of {table} migrate to one key")));
            }
            tx.rows().delete(table.name(), key)?;
        }
        scoped.reindex(table, &new_key, None, Some(&record))?;
        tx.rows().put(table.name(), new_key, table.encode(&record)?)?;
    }
    let full = rows.len() == ROWS_PER_TRANSACTION;
    Ok(rows.into_iter().next_back().filter(|_| full).map(|(key, _)| key))
}

/// A row's key and value.
type Row = (Vec<u8>, Vec<u8>);

fn page(tx: &WriteTx<'_>, space: &str, after: Option<&[u8]>) -> Result<Vec<Row>> {
    let mut span = Span::prefix(Vec::new());
    if let Some(after) = after {
        span = span.after(after);
    }
    let mut rows = Vec::new();
    tx.rows().scan(space, &span, &mut |key, row| {
        rows.push((key.to_vec(), row.to_vec()));
        let full = rows.len() == ROWS_PER_TRANSACTION;
        Ok(if full { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    })?;
    Ok(rows)
}
