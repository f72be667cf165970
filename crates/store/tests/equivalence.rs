//! The embedded engine does what the reference model does, whatever is asked of it: transactions
//! that overlap on their way to the disk, flushes and restarts in between.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod model;

use std::future::Future;
use std::ops::ControlFlow;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Waker};

use proptest::prelude::*;
use serde::{Deserialize, Serialize};
use store::{Error, Index, Options, ReadTx, Record, Result, Store, Table, WriteTx};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Row {
    key: (u8, String),
    value: u8,
}

impl Record for Row {
    type Key = (u8, String);

    fn key(&self) -> Self::Key {
        self.key.clone()
    }
}

const ROWS: Table<Row> = Table::global("rows").with_indexes(&[&BY_VALUE]);
const BY_VALUE: Index<Row, u8> = Index::new(|| ROWS, "value", |row| vec![row.value]);
/// A keyspace whose name starts as another's does.
const MORE_ROWS: Table<Row> = Table::global("rows.more");

#[derive(Debug, Clone)]
enum Op {
    Put(bool, Row),
    Delete(bool, (u8, String)),
    Emit(u8),
    Forget(u64),
}

#[derive(Debug, Clone)]
enum Step {
    /// Transactions begun one after the other before any is answered; those marked fail.
    Group(Vec<(Vec<Op>, bool)>),
    Checkpoint,
    Close,
    /// The process ends without closing; what was acknowledged is in the log.
    Abandon,
}

fn key() -> impl Strategy<Value = (u8, String)> {
    (0..3_u8, "[a\0\u{ff}]{0,2}")
}

fn op() -> impl Strategy<Value = Op> {
    let row = (key(), 0..4_u8).prop_map(|(key, value)| Row { key, value });
    prop_oneof![
        5 => (any::<bool>(), row).prop_map(|(more, row)| Op::Put(more, row)),
        3 => (any::<bool>(), key()).prop_map(|(more, key)| Op::Delete(more, key)),
        1 => any::<u8>().prop_map(Op::Emit),
        1 => (0..6_u64).prop_map(Op::Forget),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let transaction = (proptest::collection::vec(op(), 0..6), proptest::bool::weighted(0.2));
    prop_oneof![
        8 => proptest::collection::vec(transaction, 1..6).prop_map(Step::Group),
        1 => Just(Step::Checkpoint),
        1 => Just(Step::Close),
        1 => Just(Step::Abandon),
    ]
}

/// Everything that can be seen, by every way of looking.
#[derive(Debug, PartialEq)]
struct Sight {
    rows: Vec<Row>,
    backwards: Vec<Row>,
    more: Vec<Row>,
    part: Vec<Row>,
    page: Vec<Row>,
    found: Vec<Vec<Row>>,
    due: Vec<Row>,
    events: Vec<(u64, u8)>,
}

fn look(tx: &ReadTx<'_>) -> Result<Sight> {
    let mut backwards = Vec::new();
    tx.for_each_back(&ROWS, (), |row| {
        backwards.push(row);
        Ok::<_, Error>(ControlFlow::Continue(()))
    })?;
    let after = (1, "a".to_owned());
    let events = tx.events(0, 100)?;
    Ok(Sight {
        rows: tx.scan(&ROWS, ())?,
        backwards,
        more: tx.scan(&MORE_ROWS, ())?,
        part: tx.scan(&ROWS, (1,))?,
        page: tx.scan_page(&ROWS, Some(&after), 3)?.records,
        found: (0..4).map(|value| tx.find(&BY_VALUE, value)).collect::<Result<_>>()?,
        due: tx.find_range(&BY_VALUE, 1..3, 4)?,
        events: events
            .iter()
            .map(|event| Ok((event.number, event.decode()?)))
            .collect::<Result<_>>()?,
    })
}

fn run(tx: &mut WriteTx<'_>, ops: &[Op]) -> Result<()> {
    for op in ops {
        match op {
            Op::Put(false, row) => tx.put(&ROWS, row)?,
            Op::Put(true, row) => tx.put(&MORE_ROWS, row)?,
            Op::Delete(false, key) => drop(tx.delete(&ROWS, key)?),
            Op::Delete(true, key) => drop(tx.delete(&MORE_ROWS, key)?),
            Op::Emit(event) => tx.emit(event)?,
            Op::Forget(through) => tx.forget_events(*through)?,
        }
    }
    Ok(())
}

type Seen = Result<Sight, Failed>;

/// A transaction that was told to fail, and what it saw.
#[derive(Debug)]
struct Failed(Box<Sight>);

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        panic!("{error}")
    }
}

/// Begins all transactions in order, then waits for all; gives what each saw at its end.
async fn group(store: &Store, transactions: &[(Vec<Op>, bool)]) -> Vec<Sight> {
    let begin = |(ops, fails): &(Vec<Op>, bool)| {
        let (store, ops, fails) = (store.clone(), ops.clone(), *fails);
        let mut write: Pin<Box<dyn Future<Output = Seen>>> = Box::pin(async move {
            store
                .write(|tx| {
                    run(tx, &ops)?;
                    let sight = look(tx)?;
                    if fails { Err(Failed(Box::new(sight))) } else { Ok(sight) }
                })
                .await
        });
        let polled = write.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        (write, polled)
    };
    let begun: Vec<_> = transactions.iter().map(begin).collect();
    let mut sights = Vec::new();
    for (write, polled) in begun {
        let seen = match polled {
            std::task::Poll::Ready(seen) => seen,
            std::task::Poll::Pending => write.await,
        };
        sights.push(seen.unwrap_or_else(|failed| *failed.0));
    }
    sights
}

async fn open(dir: &Path) -> Store {
    let options = Options { checkpoint_bytes: 2048, ..Options::default() };
    Store::open(dir, options).await.unwrap()
}

async fn compare(steps: Vec<Step>) {
    let dir = tempfile::tempdir().unwrap();
    let mut store = open(dir.path()).await;
    let memory = Store::open(dir.path(), Options::ephemeral()).await.unwrap();
    let model = Store::on(Arc::new(model::Model::new()));
    for step in steps {
        match step {
            Step::Group(transactions) => {
                let expected = group(&model, &transactions).await;
                assert_eq!(group(&store, &transactions).await, expected);
                assert_eq!(group(&memory, &transactions).await, expected);
            }
            Step::Checkpoint => store.checkpoint().await.unwrap(),
            Step::Close => {
                store.close().await.unwrap();
                store = open(dir.path()).await;
            }
            Step::Abandon => {
                drop(store);
                store = open(dir.path()).await;
            }
        }
        let expected = model.read(look).await.unwrap();
        assert_eq!(store.read(look).await.unwrap(), expected);
        assert_eq!(memory.read(look).await.unwrap(), expected);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn the_engine_does_what_the_model_does(steps in proptest::collection::vec(step(), 1..16)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(compare(steps));
    }
}
