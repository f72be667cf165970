//! A backend so simple that it can be seen to be right: a sorted map under a lock. It runs every
//! write closure twice, as an engine that meets a conflict would.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex};

use store::{
    Backend, Batch, BoxFuture, Change, Error, Order, Result, Snapshot, Span, Transaction, Verdict,
    Visit,
};
use tokio::sync::broadcast;

type Rows = BTreeMap<(String, Vec<u8>), Vec<u8>>;

/// The model.
pub(crate) struct Model {
    state: Mutex<State>,
    feed: broadcast::Sender<Arc<Batch>>,
}

struct State {
    rows: Rows,
    sequence: u64,
    closed: bool,
}

struct Edit {
    rows: RefCell<Rows>,
    changes: RefCell<Vec<Change>>,
}

impl Model {
    /// An empty one.
    pub(crate) fn new() -> Self {
        let state = State { rows: Rows::new(), sequence: 0, closed: false };
        Self { state: Mutex::new(state), feed: broadcast::channel(1024).0 }
    }

    fn read_now(&self, work: &mut (dyn FnMut(&dyn Snapshot) + Send)) -> Result<()> {
        let state = self.state.lock().unwrap();
        if state.closed {
            return Err(Error::Closed);
        }
        work(&Edit::on(state.rows.clone()));
        Ok(())
    }

    fn write_now(&self, work: &mut (dyn FnMut(&dyn Transaction) -> Verdict + Send)) -> Result<()> {
        let mut state = self.state.lock().unwrap();
        if state.closed {
            return Err(Error::Closed);
        }
        work(&Edit::on(state.rows.clone()));
        let edit = Edit::on(state.rows.clone());
        let changes = match work(&edit) {
            Verdict::Commit => edit.changes.into_inner(),
            Verdict::Discard => return Ok(()),
        };
        state.rows = edit.rows.into_inner();
        if !changes.is_empty() {
            state.sequence += 1;
            // Nobody need be listening.
            let _ = self.feed.send(Arc::new(Batch { sequence: state.sequence, changes }));
        }
        Ok(())
    }
}

impl Backend for Model {
    fn read<'a>(
        &'a self,
        work: &'a mut (dyn FnMut(&dyn Snapshot) + Send),
    ) -> BoxFuture<'a, Result<()>> {
        Box::pin(async { self.read_now(work) })
    }

    fn write<'a>(
        &'a self,
        work: &'a mut (dyn FnMut(&dyn Transaction) -> Verdict + Send),
    ) -> BoxFuture<'a, Result<()>> {
        Box::pin(async { self.write_now(work) })
    }

    fn subscribe(&self) -> broadcast::Receiver<Arc<Batch>> {
        self.feed.subscribe()
    }

    fn checkpoint(&self) -> BoxFuture<'_, Result<()>> {
        Box::pin(async { Ok(()) })
    }

    fn close(&self) -> BoxFuture<'_, Result<()>> {
        Box::pin(async {
            self.state.lock().unwrap().closed = true;
            Ok(())
        })
    }
}

impl Edit {
    fn on(rows: Rows) -> Self {
        Self { rows: RefCell::new(rows), changes: RefCell::default() }
    }

    fn changed(&self, space: &str, key: &[u8]) {
        let change = Change { space: space.to_owned(), key: key.to_vec() };
        self.changes.borrow_mut().push(change);
    }
}

impl Snapshot for Edit {
    fn get(&self, space: &str, key: &[u8]) -> Result<Option<Vec<u8>>> {
        Ok(self.rows.borrow().get(&(space.to_owned(), key.to_vec())).cloned())
    }

    fn scan(&self, space: &str, span: &Span, visit: &mut Visit<'_>) -> Result<()> {
        let rows = self.rows.borrow();
        let mut found: Vec<_> = rows
            .iter()
            .filter(|((row_space, key), _)| {
                row_space == space
                    && *key >= span.from
                    && span.until.as_ref().is_none_or(|until| key < until)
            })
            .collect();
        if span.order == Order::Descending {
            found.reverse();
        }
        for ((_, key), value) in found {
            if visit(key, value)? == ControlFlow::Break(()) {
                break;
            }
        }
        Ok(())
    }
}

impl Transaction for Edit {
    fn put(&self, space: &str, key: Vec<u8>, value: Vec<u8>) -> Result<()> {
        self.changed(space, &key);
        self.rows.borrow_mut().insert((space.to_owned(), key), value);
        Ok(())
    }

    fn delete(&self, space: &str, key: &[u8]) -> Result<()> {
        self.changed(space, key);
        self.rows.borrow_mut().remove(&(space.to_owned(), key.to_vec()));
        Ok(())
    }

    fn append(&self, space: &str, value: Vec<u8>) -> Result<u64> {
        let counter = ("counters".to_owned(), space.as_bytes().to_vec());
        let last = self.rows.borrow().get(&counter).cloned();
        let last = last.map_or(0, |bytes| u64::from_be_bytes(bytes.try_into().unwrap()));
        let number = last + 1;
        self.rows.borrow_mut().insert(counter, number.to_be_bytes().to_vec());
        self.put(space, number.to_be_bytes().to_vec(), value)?;
        Ok(number)
    }
}
