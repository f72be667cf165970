//! Writes that are not in the data file yet, and reads through them.
//!
//! A key is the keyspace's name, a zero byte and the key: one B-tree holds all keyspaces. A write
//! closure sees up to three layers of writes over the data file: its own, those of the group that
//! is being filled, and those of the group that is being made durable.

use std::collections::{BTreeMap, btree_map};
use std::iter::Rev;
use std::ops::{Bound, ControlFlow};

use crate::backend::{Order, Span, Visit};
use crate::{Error, Result};

/// The data file's rows at one moment.
pub(super) type Rows = redb::ReadOnlyTable<&'static [u8], &'static [u8]>;

/// What a transaction or a group of them writes: values, and nothing for what it removes.
#[derive(Debug, Default)]
pub(super) struct WriteSet {
    rows: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
    bytes: usize,
}

impl WriteSet {
    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The bytes of its keys and values, overwritten ones included.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn set(&mut self, key: Vec<u8>, value: Option<Vec<u8>>) {
        self.bytes += key.len() + value.as_ref().map_or(0, Vec::len);
        self.rows.insert(key, value);
    }

    /// Takes over the writes of `later`.
    pub(super) fn merge(&mut self, later: Self) {
        self.bytes += later.bytes;
        if self.rows.is_empty() {
            self.rows = later.rows;
        } else {
            self.rows.extend(later.rows);
        }
    }

    pub(super) fn iter(&self) -> impl ExactSizeIterator<Item = (&[u8], Option<&[u8]>)> {
        self.rows.iter().map(|(key, value)| (key.as_slice(), value.as_deref()))
    }
}

/// The key of `key` in `space`.
pub(super) fn full_key(space: &str, key: &[u8]) -> Vec<u8> {
    [space.as_bytes(), &[0], key].concat()
}

/// The keyspace and the key in it of a full key.
pub(super) fn split_key(full: &[u8]) -> (&[u8], &[u8]) {
    let end = full.iter().position(|byte| *byte == 0).unwrap_or(full.len());
    let (space, rest) = full.split_at_checked(end).unwrap_or((full, &[]));
    (space, rest.get(1..).unwrap_or_default())
}

/// Layers of writes, newest first, over the data file.
pub(super) struct Layers<'a> {
    pub(super) overlays: &'a [&'a WriteSet],
    pub(super) base: &'a Rows,
}

/// A row as a layer has it: its full key, and its value or that it was removed.
type Entry = (Vec<u8>, Option<Vec<u8>>);

/// One layer's rows in scan order.
enum Source<'a> {
    Up(btree_map::Range<'a, Vec<u8>, Option<Vec<u8>>>),
    Down(Rev<btree_map::Range<'a, Vec<u8>, Option<Vec<u8>>>>),
    Base(Box<BaseRange>, Order),
}

impl Layers<'_> {
    pub(super) fn get(&self, space: &str, key: &[u8]) -> Result<Option<Vec<u8>>> {
        let key = full_key(space, key);
        for overlay in self.overlays {
            if let Some(value) = overlay.rows.get(&key) {
                return Ok(value.clone());
            }
        }
        let row = self.base.get(key.as_slice()).map_err(Error::engine)?;
        Ok(row.map(|row| row.value().to_vec()))
    }

    pub(super) fn scan(&self, space: &str, span: &Span, visit: &mut Visit<'_>) -> Result<()> {
        let from = full_key(space, &span.from);
        let until = match &span.until {
            Some(until) => full_key(space, until),
            None => [space.as_bytes(), &[1]].concat(),
        };
        if until <= from {
            return Ok(());
        }
        let strip = space.len() + 1;
        let overlays: Vec<_> = self.overlays.iter().filter(|layer| !layer.is_empty()).collect();
        let base = self.base.range(from.as_slice()..until.as_slice()).map_err(Error::engine)?;
        if overlays.is_empty() {
            return scan_base(base, span.order, strip, visit);
        }
        let bounds = (Bound::Included(from), Bound::Excluded(until));
        let mut sources: Vec<Source<'_>> = overlays
            .iter()
            .map(|layer| match span.order {
                Order::Ascending => Source::Up(layer.rows.range(bounds.clone())),
                Order::Descending => Source::Down(layer.rows.range(bounds.clone()).rev()),
            })
            .collect();
        sources.push(Source::Base(Box::new(base), span.order));
        merge(sources, span.order, strip, visit)
    }
}

impl Source<'_> {
    fn next(&mut self) -> Result<Option<Entry>> {
        let cloned = |(key, value): (&Vec<u8>, &Option<Vec<u8>>)| (key.clone(), value.clone());
        let (range, order) = match self {
            Self::Up(range) => return Ok(range.next().map(cloned)),
            Self::Down(range) => return Ok(range.next().map(cloned)),
            Self::Base(range, order) => (range, *order),
        };
        let row = step(range, order).transpose().map_err(Error::engine)?;
        Ok(row.map(|(key, value)| (key.value().to_vec(), Some(value.value().to_vec()))))
    }
}

type BaseRange = redb::Range<'static, &'static [u8], &'static [u8]>;
type BaseRow = redb::AccessGuard<'static, &'static [u8]>;

fn step(
    range: &mut BaseRange,
    order: Order,
) -> Option<std::result::Result<(BaseRow, BaseRow), redb::StorageError>> {
    match order {
        Order::Ascending => range.next(),
        Order::Descending => range.next_back(),
    }
}

fn scan_base(
    mut range: BaseRange,
    order: Order,
    strip: usize,
    visit: &mut Visit<'_>,
) -> Result<()> {
    while let Some(row) = step(&mut range, order) {
        let (key, value) = row.map_err(Error::engine)?;
        if visit(key.value().get(strip..).unwrap_or_default(), value.value())?.is_break() {
            break;
        }
    }
    Ok(())
}

/// Shows the rows of all `sources` in order; of a key that several have, the first one's.
fn merge(
    mut sources: Vec<Source<'_>>,
    order: Order,
    strip: usize,
    visit: &mut Visit<'_>,
) -> Result<()> {
    let mut heads = sources.iter_mut().map(Source::next).collect::<Result<Vec<_>>>()?;
    loop {
        let keys = heads.iter().flatten().map(|(key, _)| key);
        let first = match order {
            Order::Ascending => keys.min(),
            Order::Descending => keys.max(),
        };
        let Some(first) = first.cloned() else { return Ok(()) };
        let mut newest = None;
        for (source, head) in sources.iter_mut().zip(&mut heads) {
            if head.as_ref().is_some_and(|(key, _)| *key == first) {
                let entry = std::mem::replace(head, source.next()?);
                newest = newest.or(entry);
            }
        }
        let Some((key, Some(value))) = newest else { continue };
        let flow = visit(key.get(strip..).unwrap_or_default(), &value)?;
        if flow == ControlFlow::Break(()) {
            return Ok(());
        }
    }
}
