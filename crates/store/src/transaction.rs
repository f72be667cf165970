//! Typed reads and writes over a backend's rows: what a handler's closure gets.

use std::ops::{Bound, ControlFlow, Deref, RangeBounds};
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::backend::{Order, Snapshot, Span, Transaction};
use crate::key::{self, Key, KeyLike, Prefix};
use crate::record::{AnyIndex, Index, Record, Table, index_space};
use crate::scope::Scope;
use crate::{Error, Result};

/// The keyspace of emitted events that were not yet forgotten.
pub(crate) const OUTBOX: &str = "store.outbox";

/// A consistent view of the tables, in one scope or in none.
pub struct ReadTx<'a> {
    rows: &'a dyn Snapshot,
    scope: Option<&'a Scope>,
}

/// A view that can be changed. Everything written is seen by its own reads, and by nobody else's
/// until it is committed.
pub struct WriteTx<'a> {
    read: ReadTx<'a>,
    rows: &'a dyn Transaction,
}

/// A part of a table in key order.
#[derive(Debug, Clone)]
pub struct Page<R: Record> {
    /// The records.
    pub records: Vec<R>,
    /// The key to go on after; none when this is the end.
    pub next: Option<R::Key>,
}

/// An event as it lies in the outbox.
#[derive(Debug, Clone)]
pub struct Emitted {
    /// Rises in commit order; what [`ReadTx::events`] goes on after.
    pub number: u64,
    body: Vec<u8>,
}

impl<'a> ReadTx<'a> {
    pub(crate) fn new(rows: &'a dyn Snapshot, scope: Option<&'a Scope>) -> Self {
        Self { rows, scope }
    }

    /// The same view in `scope`.
    pub fn scope<'b>(&'b self, scope: &'b Scope) -> ReadTx<'b> {
        ReadTx { rows: self.rows, scope: Some(scope) }
    }

    /// The record of `key`.
    ///
    /// # Errors
    ///
    /// When the row cannot be read or decoded, or the table needs a scope that this view lacks.
    pub fn get<R: Record>(&self, table: &Table<R>, key: impl KeyLike<R::Key>) -> Result<Option<R>> {
        let key = table.row_key(self.scope, &key)?;
        self.rows.get(table.name(), &key)?.map(|row| table.decode(&row)).transpose()
    }

    /// Whether there is a record of `key`.
    ///
    /// # Errors
    ///
    /// As [`ReadTx::get`].
    pub fn contains<R: Record>(&self, table: &Table<R>, key: impl KeyLike<R::Key>) -> Result<bool> {
        let key = table.row_key(self.scope, &key)?;
        Ok(self.rows.get(table.name(), &key)?.is_some())
    }

    /// All records whose key starts with `prefix` (`()` for all), in key order.
    ///
    /// # Errors
    ///
    /// As [`ReadTx::get`].
    pub fn scan<R: Record>(&self, table: &Table<R>, prefix: impl Prefix<R::Key>) -> Result<Vec<R>> {
        let mut records = Vec::new();
        self.for_each(table, prefix, |record| {
            records.push(record);
            Ok::<_, Error>(ControlFlow::Continue(()))
        })?;
        Ok(records)
    }

    /// Shows the records whose key starts with `prefix` one by one, until `visit` breaks off.
    ///
    /// # Errors
    ///
    /// As [`ReadTx::get`], and what `visit` returns.
    pub fn for_each<R: Record, E: From<Error>>(
        &self,
        table: &Table<R>,
        prefix: impl Prefix<R::Key>,
        visit: impl FnMut(R) -> Result<ControlFlow<()>, E>,
    ) -> Result<(), E> {
        let span = self.span(table, &prefix)?;
        self.walk(table, &span, visit)
    }

    /// As [`ReadTx::for_each`], from the highest key down.
    ///
    /// # Errors
    ///
    /// As [`ReadTx::for_each`].
    pub fn for_each_back<R: Record, E: From<Error>>(
        &self,
        table: &Table<R>,
        prefix: impl Prefix<R::Key>,
        visit: impl FnMut(R) -> Result<ControlFlow<()>, E>,
    ) -> Result<(), E> {
        let span = self.span(table, &prefix)?.descending();
        self.walk(table, &span, visit)
    }

    /// The first `limit` records behind the key `after`, or from the start.
    ///
    /// # Errors
    ///
    /// As [`ReadTx::get`].
    pub fn scan_page<R: Record>(
        &self,
        table: &Table<R>,
        after: Option<&R::Key>,
        limit: usize,
    ) -> Result<Page<R>> {
        self.scan_page_in(table, (), after, limit)
    }

    /// As [`ReadTx::scan_page`], of the records whose key starts with `prefix`.
    ///
    /// # Errors
    ///
    /// As [`ReadTx::get`].
    pub fn scan_page_in<R: Record>(
        &self,
        table: &Table<R>,
        prefix: impl Prefix<R::Key>,
        after: Option<&R::Key>,
        limit: usize,
    ) -> Result<Page<R>> {
        let mut span = self.span(table, &prefix)?;
        if let Some(after) = after {
            span = span.after(&table.row_key(self.scope, after)?);
        }
        let mut page = Page { records: Vec::new(), next: None };
        self.walk(table, &span, |record: R| {
            if page.records.len() == limit {
                page.next = page.records.last().map(Record::key);
                return Ok::<_, Error>(ControlFlow::Break(()));
            }
            page.records.push(record);
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(page)
    }

    /// All records of every account and region, with the scope each lies in: for reconcilers.
    /// Account-wide tables give [`Scope::GLOBAL_REGION`] as region.
    ///
    /// # Errors
    ///
    /// As [`ReadTx::get`]; [`Error::WrongScope`] for a global table.
    pub fn scan_all<R: Record>(&self, table: &Table<R>) -> Result<Vec<(Scope, R)>> {
        let mut found = Vec::new();
        self.rows.scan(table.name(), &Span::prefix(Vec::new()), &mut |mut key, row| {
            let scope = table.decode_scope(&mut key)?;
            let scope = scope.ok_or(Error::WrongScope { table: table.name() })?;
            found.push((scope, table.decode(row)?));
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(found)
    }

    /// The scopes that have rows in `table`, each found by one seek.
    ///
    /// # Errors
    ///
    /// As [`ReadTx::scan_all`].
    pub fn scopes<R: Record>(&self, table: &Table<R>) -> Result<Vec<Scope>> {
        let mut scopes = Vec::new();
        let mut span = Span::prefix(Vec::new());
        loop {
            let mut next = None;
            self.rows.scan(table.name(), &span, &mut |mut key, _| {
                next = table.decode_scope(&mut key)?;
                if next.is_none() {
                    return Err(Error::WrongScope { table: table.name() });
                }
                Ok(ControlFlow::Break(()))
            })?;
            let Some(scope) = next else { return Ok(scopes) };
            span = span.beyond(&table.encode_scope(Some(&scope))?);
            scopes.push(scope);
        }
    }

    /// The records that `index` has under `value`, in key order.
    ///
    /// # Errors
    ///
    /// As [`ReadTx::get`]; [`Error::Corrupt`] when the index names a record that is not there.
    pub fn find<R: Record, V: Key>(
        &self,
        index: &Index<R, V>,
        value: impl KeyLike<V>,
    ) -> Result<Vec<R>> {
        let mut prefix = index.table().encode_scope(self.scope)?;
        value.encode_key(&mut prefix);
        self.find_in(index, &Span::prefix(prefix), usize::MAX)
    }

    /// The first record that `index` has under `value`: the only one if the index is unique.
    ///
    /// # Errors
    ///
    /// As [`ReadTx::find`].
    pub fn find_one<R: Record, V: Key>(
        &self,
        index: &Index<R, V>,
        value: impl KeyLike<V>,
    ) -> Result<Option<R>> {
        let mut prefix = index.table().encode_scope(self.scope)?;
        value.encode_key(&mut prefix);
        Ok(self.find_in(index, &Span::prefix(prefix), 1)?.pop())
    }

    /// At most `limit` records that `index` has under the values in `range`, by value and key: for
    /// what is due (`..=now`).
    ///
    /// # Errors
    ///
    /// As [`ReadTx::find`].
    pub fn find_range<R: Record, V: Key>(
        &self,
        index: &Index<R, V>,
        range: impl RangeBounds<V>,
        limit: usize,
    ) -> Result<Vec<R>> {
        let scope = index.table().encode_scope(self.scope)?;
        let bound = |value: &V| {
            let mut key = scope.clone();
            value.encode_key(&mut key);
            Span::prefix(key)
        };
        let mut span = Span::prefix(scope.clone());
        match range.start_bound() {
            Bound::Included(value) => span.from = bound(value).from,
            Bound::Excluded(value) => span = span.beyond(&bound(value).from),
            Bound::Unbounded => {}
        }
        match range.end_bound() {
            Bound::Included(value) => span.until = bound(value).until,
            Bound::Excluded(value) => span.until = Some(bound(value).from),
            Bound::Unbounded => {}
        }
        self.find_in(index, &span, limit)
    }

    /// At most `limit` events behind the number `after`, oldest first.
    ///
    /// # Errors
    ///
    /// When the outbox cannot be read.
    pub fn events(&self, after: u64, limit: usize) -> Result<Vec<Emitted>> {
        let mut events = Vec::new();
        let span = Span::prefix(Vec::new()).after(&after.to_be_bytes());
        self.rows.scan(OUTBOX, &span, &mut |key, body| {
            if events.len() == limit {
                return Ok(ControlFlow::Break(()));
            }
            events.push(Emitted { number: key::decode_whole(key)?, body: body.to_vec() });
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(events)
    }

    fn span<R: Record>(&self, table: &Table<R>, prefix: &impl Prefix<R::Key>) -> Result<Span> {
        let mut key = table.encode_scope(self.scope)?;
        prefix.encode_prefix(&mut key);
        Ok(Span::prefix(key))
    }

    fn walk<R: Record, E: From<Error>>(
        &self,
        table: &Table<R>,
        span: &Span,
        mut visit: impl FnMut(R) -> Result<ControlFlow<()>, E>,
    ) -> Result<(), E> {
        // The engine knows only the store's own errors; the visitor's waits here meanwhile.
        let mut failure = None;
        self.rows.scan(table.name(), span, &mut |_, row| match visit(table.decode(row)?) {
            Ok(flow) => Ok(flow),
            Err(error) => {
                failure = Some(error);
                Ok(ControlFlow::Break(()))
            }
        })?;
        failure.map_or(Ok(()), Err)
    }

    fn find_in<R: Record, V: Key>(
        &self,
        index: &Index<R, V>,
        span: &Span,
        limit: usize,
    ) -> Result<Vec<R>> {
        let table = index.table();
        let scope = table.encode_scope(self.scope)?;
        let mut records = Vec::new();
        if limit == 0 || span.is_empty() {
            return Ok(records);
        }
        self.rows.scan(&index.space(), span, &mut |entry, _| {
            let mut rest = entry.get(scope.len()..).unwrap_or_default();
            V::decode_key(&mut rest)?;
            let row = self.rows.get(table.name(), &[&scope, rest].concat())?;
            let row = row.ok_or_else(|| {
                Error::Corrupt(format!("index {} names a record that is gone", index.space()))
            })?;
            records.push(table.decode(&row)?);
            let more = records.len() < limit;
            Ok(if more { ControlFlow::Continue(()) } else { ControlFlow::Break(()) })
        })?;
        Ok(records)
    }
}

impl<'a> WriteTx<'a> {
    pub(crate) fn new(rows: &'a dyn Transaction, scope: Option<&'a Scope>) -> Self {
        Self { read: ReadTx { rows, scope }, rows }
    }

    /// The same transaction in `scope`.
    pub fn scope<'b>(&'b mut self, scope: &'b Scope) -> WriteTx<'b> {
        WriteTx::new(self.rows, Some(scope))
    }

    /// Writes `record`, replacing the one with its key.
    ///
    /// # Errors
    ///
    /// [`Error::Duplicate`] when a unique index has its value for another record; when it does
    /// not serialize, its key is too long, or the transaction grows too large.
    pub fn put<R: Record>(&mut self, table: &Table<R>, record: &R) -> Result<()> {
        let row_key = table.row_key(self.read.scope, &record.key())?;
        if !table.indexes().is_empty() {
            let old = self.rows.get(table.name(), &row_key)?;
            let old = old.map(|row| table.decode(&row)).transpose()?;
            self.reindex(table, &row_key, old.as_ref(), Some(record))?;
        }
        self.rows.put(table.name(), row_key, table.encode(record)?)
    }

    /// Removes the record of `key`; says whether there was one.
    ///
    /// # Errors
    ///
    /// As [`ReadTx::get`], or when the transaction grows too large.
    pub fn delete<R: Record>(
        &mut self,
        table: &Table<R>,
        key: impl KeyLike<R::Key>,
    ) -> Result<bool> {
        let row_key = table.row_key(self.read.scope, &key)?;
        let Some(row) = self.rows.get(table.name(), &row_key)? else { return Ok(false) };
        if !table.indexes().is_empty() {
            self.reindex(table, &row_key, Some(&table.decode(&row)?), None)?;
        }
        self.rows.delete(table.name(), &row_key)?;
        Ok(true)
    }

    /// Appends `event` to the outbox: it leaves only if this transaction commits.
    ///
    /// # Errors
    ///
    /// When it does not serialize or the transaction grows too large.
    pub fn emit(&mut self, event: impl Serialize) -> Result<()> {
        let body = serde_json::to_vec(&event).map_err(|error| Error::Unencodable {
            table: OUTBOX,
            cause: Arc::from(error.to_string()),
        })?;
        self.rows.append(OUTBOX, body)?;
        Ok(())
    }

    /// Removes the events up to and with number `through`, which everyone has got.
    ///
    /// # Errors
    ///
    /// When the outbox cannot be read or the transaction grows too large.
    pub fn forget_events(&mut self, through: u64) -> Result<()> {
        let mut keys = Vec::new();
        let until = through.checked_add(1).map(|end| end.to_be_bytes().to_vec());
        let span = Span { from: Vec::new(), until, order: Order::Ascending };
        self.rows.scan(OUTBOX, &span, &mut |key, _| {
            keys.push(key.to_vec());
            Ok(ControlFlow::Continue(()))
        })?;
        keys.iter().try_for_each(|key| self.rows.delete(OUTBOX, key))
    }

    /// The backend's transaction underneath.
    pub(crate) fn rows(&self) -> &'a dyn Transaction {
        self.rows
    }

    /// Makes the index rows of one record those of `new`, where they were those of `old`.
    pub(crate) fn reindex<R: Record>(
        &self,
        table: &Table<R>,
        row_key: &[u8],
        old: Option<&R>,
        new: Option<&R>,
    ) -> Result<()> {
        let scope = table.encode_scope(self.read.scope)?;
        let key = row_key.get(scope.len()..).unwrap_or_default();
        for index in table.indexes() {
            let space = index_space(table.name(), index.name());
            let entries = |record: Option<&R>| -> Vec<Vec<u8>> {
                let values = record.map(|record| index.encoded(record)).unwrap_or_default();
                values.into_iter().map(|value| [&scope, value.as_slice()].concat()).collect()
            };
            let (old, new) = (entries(old), entries(new));
            for value in old.iter().filter(|value| !new.contains(value)) {
                self.rows.delete(&space, &[value, key].concat())?;
            }
            for value in new {
                if index.unique() {
                    self.refuse_duplicate(table, *index, &value, key)?;
                }
                let entry = [value.as_slice(), key].concat();
                key::check_length(&entry)?;
                self.rows.put(&space, entry, Vec::new())?;
            }
        }
        Ok(())
    }

    fn refuse_duplicate<R: Record>(
        &self,
        table: &Table<R>,
        index: &dyn AnyIndex<R>,
        value: &[u8],
        key: &[u8],
    ) -> Result<()> {
        let space = index_space(table.name(), index.name());
        self.rows.scan(&space, &Span::prefix(value.to_vec()), &mut |entry, _| {
            if entry.get(value.len()..) == Some(key) {
                return Ok(ControlFlow::Continue(()));
            }
            Err(Error::Duplicate { table: table.name(), index: index.name() })
        })
    }
}

impl<'a> Deref for WriteTx<'a> {
    type Target = ReadTx<'a>;

    fn deref(&self) -> &ReadTx<'a> {
        &self.read
    }
}

impl Emitted {
    /// The event.
    ///
    /// # Errors
    ///
    /// When it does not read as a `T`.
    pub fn decode<T: DeserializeOwned>(&self) -> Result<T> {
        serde_json::from_slice(&self.body).map_err(|error| Error::Undecodable {
            table: OUTBOX,
            cause: Arc::from(error.to_string()),
        })
    }
}
