//! What the store promises, on every backend: the embedded engine on disk and in memory, and the
//! reference model.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod model;

use std::future::Future;
use std::ops::ControlFlow;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use base::{AccountId, Region};
use serde::{Deserialize, Serialize};
use store::{
    Error, Index, Notice, Options, Record, Result, Scope, ScopedStore, StartsWith, Store, Table,
};
use tempfile::TempDir;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Subnet {
    vpc: String,
    id: String,
    #[serde(default)]
    tags: Vec<String>,
    due: u64,
}

impl Record for Subnet {
    type Key = (String, String);

    fn key(&self) -> Self::Key {
        (self.vpc.clone(), self.id.clone())
    }
}

const SUBNETS: Table<Subnet> = Table::new("test.subnets").with_indexes(&[&BY_ID, &BY_TAG, &BY_DUE]);
const BY_ID: Index<Subnet, String> =
    Index::unique(|| SUBNETS, "id", |subnet| vec![subnet.id.clone()]);
const BY_TAG: Index<Subnet, String> = Index::new(|| SUBNETS, "tag", |subnet| subnet.tags.clone());
const BY_DUE: Index<Subnet, u64> = Index::new(|| SUBNETS, "due", |subnet| vec![subnet.due]);

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Counter {
    name: String,
    value: u64,
}

impl Record for Counter {
    type Key = String;

    fn key(&self) -> String {
        self.name.clone()
    }
}

const COUNTERS: Table<Counter> = Table::global("test.counters");
const USERS: Table<Counter> = Table::account("test.users");

fn subnet(vpc: &str, id: &str) -> Subnet {
    Subnet { vpc: vpc.to_owned(), id: id.to_owned(), tags: Vec::new(), due: 0 }
}

fn counter(name: &str, value: u64) -> Counter {
    Counter { name: name.to_owned(), value }
}

fn scope(account: u64, region: &str) -> Scope {
    let account: AccountId = format!("{account:012}").parse().unwrap();
    Scope::new(account, Region::new(region))
}

fn seoul(store: &Store) -> ScopedStore {
    store.scoped(scope(1, "ap-northeast-2"))
}

fn ids(subnets: &[Subnet]) -> Vec<&str> {
    subnets.iter().map(|subnet| subnet.id.as_str()).collect()
}

async fn durable() -> (Store, Option<TempDir>) {
    let dir = tempfile::tempdir().unwrap();
    (Store::open(dir.path(), Options::default()).await.unwrap(), Some(dir))
}

async fn ephemeral() -> (Store, Option<TempDir>) {
    (Store::open("unused".as_ref(), Options::ephemeral()).await.unwrap(), None)
}

async fn reference() -> (Store, Option<TempDir>) {
    (Store::on(Arc::new(model::Model::new())), None)
}

/// Makes each function a test on each backend.
macro_rules! suite {
    ($($name:ident),+ $(,)?) => {
        suite!(@ durable $($name),+);
        suite!(@ ephemeral $($name),+);
        suite!(@ reference $($name),+);
    };
    (@ $backend:ident $($name:ident),+) => {
        mod $backend {
            $(
                #[tokio::test]
                async fn $name() {
                    let (store, _dir) = super::$backend().await;
                    super::$name(store).await;
                }
            )+
        }
    };
}

suite!(
    a_write_is_seen_when_it_returns,
    a_failing_closure_writes_nothing,
    a_closure_sees_its_own_writes,
    concurrent_increments_are_all_counted,
    a_dropped_future_commits_all_the_same,
    scans_follow_key_order_and_prefix,
    pages_join_to_the_whole,
    scopes_do_not_see_each_other,
    indexes_follow_their_records,
    unique_indexes_refuse_duplicates,
    index_ranges_give_what_is_due,
    events_leave_only_with_a_commit,
    the_feed_tells_what_changed,
    a_slow_receiver_is_told_that_it_lags,
    keys_too_long_for_a_backend_are_refused,
    a_closed_store_refuses_everything,
    old_records_migrate_when_the_store_opens,
);

async fn a_write_is_seen_when_it_returns(store: Store) {
    let store = seoul(&store);
    store.write(|tx| tx.put(&SUBNETS, &subnet("a", "1"))).await.unwrap();
    let found = store.read(|tx| tx.get(&SUBNETS, ("a", "1"))).await.unwrap();
    assert_eq!(found, Some(subnet("a", "1")));
    assert!(store.write(|tx| tx.delete(&SUBNETS, ("a", "1"))).await.unwrap());
    assert!(!store.write(|tx| tx.delete(&SUBNETS, ("a", "1"))).await.unwrap());
    assert!(!store.read(|tx| tx.contains(&SUBNETS, ("a", "1"))).await.unwrap());
}

async fn a_failing_closure_writes_nothing(store: Store) {
    let refused: Result<()> = store
        .write(|tx| {
            tx.put(&COUNTERS, &counter("a", 1))?;
            Err(Error::Closed)
        })
        .await;
    assert!(matches!(refused, Err(Error::Closed)));
    assert_eq!(store.read(|tx| tx.scan(&COUNTERS, ())).await.unwrap(), []);
}

async fn a_closure_sees_its_own_writes(store: Store) {
    store.write(|tx| tx.put(&COUNTERS, &counter("b", 1))).await.unwrap();
    let seen: Result<Vec<Counter>> = store
        .write(|tx| {
            tx.put(&COUNTERS, &counter("a", 1))?;
            tx.put(&COUNTERS, &counter("c", 1))?;
            tx.put(&COUNTERS, &counter("c", 2))?;
            tx.delete(&COUNTERS, "b")?;
            assert_eq!(tx.get(&COUNTERS, "c")?, Some(counter("c", 2)));
            assert_eq!(tx.get(&COUNTERS, "b")?, None);
            tx.scan(&COUNTERS, ())
        })
        .await;
    assert_eq!(seen.unwrap(), [counter("a", 1), counter("c", 2)]);
}

async fn concurrent_increments_are_all_counted(store: Store) {
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let store = store.clone();
        tasks.spawn(async move {
            for _ in 0..25 {
                let increment = store.write(|tx| {
                    let value = tx.get(&COUNTERS, "hits")?.map_or(0, |found| found.value);
                    tx.put(&COUNTERS, &counter("hits", value + 1))
                });
                increment.await.unwrap();
            }
        });
    }
    tasks.join_all().await;
    let hits = store.read(|tx| tx.get(&COUNTERS, "hits")).await.unwrap();
    assert_eq!(hits, Some(counter("hits", 200)));
}

async fn a_dropped_future_commits_all_the_same(store: Store) {
    {
        let mut write = pin!(store.write(|tx| tx.put(&COUNTERS, &counter("a", 1))));
        let polled = write.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        assert!(matches!(polled, Poll::Pending | Poll::Ready(Ok(()))));
    }
    // A transaction is answered after everything it saw is durable, and so visible.
    let seen = store.write(|tx| tx.get(&COUNTERS, "a")).await.unwrap();
    assert_eq!(seen, Some(counter("a", 1)));
    let visible = store.read(|tx| tx.get(&COUNTERS, "a")).await.unwrap();
    assert_eq!(visible, Some(counter("a", 1)));
}

async fn scans_follow_key_order_and_prefix(store: Store) {
    let store = seoul(&store);
    let fill: Result<()> = store
        .write(|tx| {
            for (vpc, id) in [("b", "3"), ("a", "2"), ("ab", "4"), ("a", "11"), ("a", "1")] {
                tx.put(&SUBNETS, &subnet(vpc, id))?;
            }
            Ok(())
        })
        .await;
    fill.unwrap();
    let check: Result<()> = store
        .read(|tx| {
            assert_eq!(ids(&tx.scan(&SUBNETS, ())?), ["1", "11", "2", "4", "3"]);
            assert_eq!(ids(&tx.scan(&SUBNETS, ("a",))?), ["1", "11", "2"]);
            assert_eq!(ids(&tx.scan(&SUBNETS, ("a", StartsWith("1")))?), ["1", "11"]);
            assert_eq!(ids(&tx.scan(&SUBNETS, ("none",))?), [""; 0]);
            let mut last = Vec::new();
            tx.for_each_back(&SUBNETS, ("a",), |subnet| {
                last.push(subnet.id);
                let enough = last.len() == 2;
                Ok::<_, Error>(if enough {
                    ControlFlow::Break(())
                } else {
                    ControlFlow::Continue(())
                })
            })?;
            assert_eq!(last, ["2", "11"]);
            let failed = tx.for_each(&SUBNETS, (), |_| Err(Error::Closed));
            assert!(matches!(failed, Err(Error::Closed)));
            Ok(())
        })
        .await;
    check.unwrap();
}

async fn pages_join_to_the_whole(store: Store) {
    let fill: Result<()> = store
        .write(|tx| (0..10).try_for_each(|n| tx.put(&COUNTERS, &counter(&format!("c{n}"), n))))
        .await;
    fill.unwrap();
    for limit in 1..=11 {
        let mut names = Vec::new();
        let mut after = None;
        loop {
            let page =
                store.read(|tx| tx.scan_page(&COUNTERS, after.as_ref(), limit)).await.unwrap();
            assert!(page.records.len() <= limit);
            names.extend(page.records.into_iter().map(|record| record.name));
            let Some(next) = page.next else { break };
            after = Some(next);
        }
        assert_eq!(names.len(), 10, "{limit}");
        assert!(names.is_sorted());
    }
}

async fn scopes_do_not_see_each_other(store: Store) {
    let (ours, theirs) = (scope(1, "ap-northeast-2"), scope(2, "ap-northeast-2"));
    let ours_elsewhere = scope(1, "us-east-1");
    for scope in [&ours, &theirs, &ours_elsewhere] {
        let name = format!("subnet-{scope}");
        let write: Result<()> = store
            .scoped(scope.clone())
            .write(|tx| {
                tx.put(&SUBNETS, &subnet("vpc", &name))?;
                tx.put(&COUNTERS, &counter("shared", 1))?;
                tx.put(&USERS, &counter("user", 1))
            })
            .await;
        write.unwrap();
    }
    let found = store.scoped(theirs.clone()).read(|tx| tx.scan(&SUBNETS, ())).await.unwrap();
    assert_eq!(ids(&found), [format!("subnet-{theirs}")]);
    let check: Result<()> = store
        .read(|tx| {
            let all = tx.scan_all(&SUBNETS)?;
            let scopes: Vec<&Scope> = all.iter().map(|(scope, _)| scope).collect();
            assert_eq!(scopes, [&ours, &ours_elsewhere, &theirs]);
            assert_eq!(
                tx.scopes(&SUBNETS)?,
                [ours.clone(), ours_elsewhere.clone(), theirs.clone()]
            );
            assert_eq!(tx.scan_all(&USERS)?.len(), 2);
            assert_eq!(tx.scope(&ours_elsewhere).scan(&USERS, ())?.len(), 1);
            assert_eq!(tx.scan(&COUNTERS, ())?.len(), 1);
            assert_eq!(tx.scope(&ours).find(&BY_ID, format!("subnet-{theirs}"))?, []);
            let unscoped = tx.get(&SUBNETS, ("vpc", "x"));
            assert!(matches!(unscoped, Err(Error::WrongScope { table: "test.subnets" })));
            assert!(matches!(tx.scan_all(&COUNTERS), Err(Error::WrongScope { .. })));
            Ok(())
        })
        .await;
    check.unwrap();
}

async fn indexes_follow_their_records(store: Store) {
    let store = seoul(&store);
    let tagged = |id: &str, tags: &[&str]| Subnet {
        tags: tags.iter().map(|tag| (*tag).to_owned()).collect(),
        ..subnet("vpc", id)
    };
    let put: Result<()> = store
        .write(|tx| {
            tx.put(&SUBNETS, &tagged("1", &["web", "blue"]))?;
            tx.put(&SUBNETS, &tagged("2", &["web"]))
        })
        .await;
    put.unwrap();
    assert_eq!(ids(&store.read(|tx| tx.find(&BY_TAG, "web")).await.unwrap()), ["1", "2"]);
    store.write(|tx| tx.put(&SUBNETS, &tagged("1", &["blue", "app"]))).await.unwrap();
    assert_eq!(ids(&store.read(|tx| tx.find(&BY_TAG, "web")).await.unwrap()), ["2"]);
    assert_eq!(ids(&store.read(|tx| tx.find(&BY_TAG, "app")).await.unwrap()), ["1"]);
    assert_eq!(ids(&store.read(|tx| tx.find(&BY_TAG, "blue")).await.unwrap()), ["1"]);
    assert_eq!(ids(&store.read(|tx| tx.find(&BY_TAG, "we")).await.unwrap()), [""; 0]);
    store.write(|tx| tx.delete(&SUBNETS, ("vpc", "2"))).await.unwrap();
    assert_eq!(store.read(|tx| tx.find(&BY_TAG, "web")).await.unwrap(), []);
    assert_eq!(store.read(|tx| tx.find_one(&BY_ID, "2")).await.unwrap(), None);
}

async fn unique_indexes_refuse_duplicates(store: Store) {
    let store = seoul(&store);
    store.write(|tx| tx.put(&SUBNETS, &subnet("a", "1"))).await.unwrap();
    store.write(|tx| tx.put(&SUBNETS, &subnet("a", "1"))).await.unwrap();
    let refused = store.write(|tx| tx.put(&SUBNETS, &subnet("b", "1"))).await;
    assert!(matches!(refused, Err(Error::Duplicate { index: "id", .. })), "{refused:?}");
    let moved: Result<()> = store
        .write(|tx| {
            tx.delete(&SUBNETS, ("a", "1"))?;
            tx.put(&SUBNETS, &subnet("b", "1"))
        })
        .await;
    moved.unwrap();
    let found = store.read(|tx| tx.find_one(&BY_ID, "1")).await.unwrap();
    assert_eq!(found, Some(subnet("b", "1")));
}

async fn index_ranges_give_what_is_due(store: Store) {
    let store = seoul(&store);
    let fill: Result<()> = store
        .write(|tx| {
            for due in [30, 10, 20, 10] {
                let id = format!("{due}-{}", tx.scan(&SUBNETS, ())?.len());
                tx.put(&SUBNETS, &Subnet { due, ..subnet("vpc", &id) })?;
            }
            Ok(())
        })
        .await;
    fill.unwrap();
    let due = |found: Vec<Subnet>| found.iter().map(|subnet| subnet.due).collect::<Vec<_>>();
    let check: Result<()> = store
        .read(|tx| {
            assert_eq!(due(tx.find_range(&BY_DUE, ..=20, 10)?), [10, 10, 20]);
            assert_eq!(due(tx.find_range(&BY_DUE, ..20, 10)?), [10, 10]);
            assert_eq!(due(tx.find_range(&BY_DUE, ..=20, 1)?), [10]);
            assert_eq!(due(tx.find_range(&BY_DUE, 20.., 10)?), [20, 30]);
            assert_eq!(due(tx.find_range(&BY_DUE, 11..30, 10)?), [20]);
            assert_eq!(due(tx.find_range(&BY_DUE, .., 10)?), [10, 10, 20, 30]);
            assert_eq!(due(tx.find_range(&BY_DUE, 31.., 10)?), [0; 0]);
            let above = (std::ops::Bound::Excluded(10), std::ops::Bound::Unbounded);
            assert_eq!(due(tx.find_range(&BY_DUE, above, 10)?), [20, 30]);
            Ok(())
        })
        .await;
    check.unwrap();
}

async fn events_leave_only_with_a_commit(store: Store) {
    let mut feed = store.changes();
    store.write(|tx| tx.emit("first")).await.unwrap();
    let refused: Result<()> = store
        .write(|tx| {
            tx.emit("never")?;
            Err(Error::Closed)
        })
        .await;
    assert!(refused.is_err());
    let two: Result<()> = store
        .write(|tx| {
            tx.emit("second")?;
            tx.emit(String::from("third"))
        })
        .await;
    two.unwrap();
    assert!(feed.next().await.unwrap().has_events());
    let events = store.read(|tx| tx.events(0, 10)).await.unwrap();
    let texts: Vec<String> = events.iter().map(|event| event.decode().unwrap()).collect();
    assert_eq!(texts, ["first", "second", "third"]);
    let later = store.read(|tx| tx.events(events[0].number, 1)).await.unwrap();
    assert_eq!(later[0].number, events[1].number);
    store.write(|tx| tx.forget_events(events[2].number)).await.unwrap();
    assert!(store.read(|tx| tx.events(0, 10)).await.unwrap().is_empty());
    store.write(|tx| tx.emit("fourth")).await.unwrap();
    let fourth = store.read(|tx| tx.events(0, 10)).await.unwrap();
    assert_eq!(fourth[0].number, events[2].number + 1);
}

async fn the_feed_tells_what_changed(store: Store) {
    let mut feed = store.changes();
    let scoped = seoul(&store);
    scoped.write(|tx| tx.put(&SUBNETS, &subnet("a", "1"))).await.unwrap();
    scoped.write(|tx| tx.delete(&SUBNETS, ("a", "1"))).await.unwrap();
    let mut sequence = 0;
    for _ in 0..2 {
        let Some(Notice::Committed(batch)) = feed.next().await else { panic!("no batch") };
        assert!(batch.touches(&SUBNETS) && !batch.touches(&USERS) && !batch.has_events());
        let keys = batch.keys(&SUBNETS).unwrap();
        assert_eq!(keys, [(scoped.scope().clone(), ("a".to_owned(), "1".to_owned()))]);
        assert!(batch.sequence > sequence);
        sequence = batch.sequence;
    }
}

async fn a_slow_receiver_is_told_that_it_lags(store: Store) {
    let mut feed = store.changes();
    for number in 0..1100 {
        store.write(|tx| tx.put(&COUNTERS, &counter("n", number))).await.unwrap();
    }
    let first = feed.next().await.unwrap();
    assert!(matches!(first, Notice::Lagged) && first.touches(&USERS) && first.has_events());
    assert!(matches!(feed.next().await, Some(Notice::Committed(_))));
}

async fn keys_too_long_for_a_backend_are_refused(store: Store) {
    let long = "k".repeat(3000);
    let refused = store.write(|tx| tx.put(&COUNTERS, &counter(&long, 1))).await;
    assert!(matches!(refused, Err(Error::KeyTooLong { .. })));
    store.write(|tx| tx.put(&COUNTERS, &counter(&long[..2000], 1))).await.unwrap();
}

async fn a_closed_store_refuses_everything(store: Store) {
    let clone = store.clone();
    store.checkpoint().await.unwrap();
    store.close().await.unwrap();
    assert!(matches!(clone.read(|tx| tx.scan(&COUNTERS, ())).await, Err(Error::Closed)));
    let written = clone.write(|tx| tx.put(&COUNTERS, &counter("a", 1))).await;
    assert!(matches!(written, Err(Error::Closed)));
}

/// [`Subnet`] as it was: keyed by id, with the VPC under another name.
#[derive(Serialize, Deserialize)]
struct OldHost {
    id: String,
    network: String,
}

impl Record for OldHost {
    type Key = String;

    fn key(&self) -> String {
        self.id.clone()
    }
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Host {
    id: String,
    vpc: String,
}

impl Record for Host {
    type Key = (String, String);

    const VERSION: u16 = 2;

    fn key(&self) -> Self::Key {
        (self.vpc.clone(), self.id.clone())
    }

    fn migrate(version: u16, value: serde_json::Value) -> Result<Self> {
        let old: OldHost = match version {
            1 => serde_json::from_value(value).map_err(|_| Error::Closed)?,
            found => return Err(Error::NoMigration { found, wanted: Self::VERSION }),
        };
        Ok(Self { id: old.id, vpc: old.network })
    }
}

const OLD_HOSTS: Table<OldHost> = Table::new("test.hosts");
const HOSTS: Table<Host> = Table::new("test.hosts").with_indexes(&[&HOSTS_BY_VPC]);
const HOSTS_BY_VPC: Index<Host, String> =
    Index::new(|| HOSTS, "vpc", |host| vec![host.vpc.clone()]);

async fn old_records_migrate_when_the_store_opens(store: Store) {
    store.migrate(&OLD_HOSTS).await.unwrap();
    let scoped = seoul(&store);
    for number in 0..600 {
        let host = OldHost { id: format!("h{number:03}"), network: format!("v{}", number % 2) };
        scoped.write(|tx| tx.put(&OLD_HOSTS, &host)).await.unwrap();
    }
    store.migrate(&HOSTS).await.unwrap();
    store.migrate(&HOSTS).await.unwrap();
    assert_eq!(scoped.read(|tx| tx.find(&HOSTS_BY_VPC, "v1")).await.unwrap().len(), 300);
    let host = scoped.read(|tx| tx.get(&HOSTS, ("v1", "h001"))).await.unwrap();
    assert_eq!(host, Some(Host { id: "h001".to_owned(), vpc: "v1".to_owned() }));
    assert_eq!(scoped.read(|tx| tx.scan(&HOSTS, ())).await.unwrap().len(), 600);
    let newer = scoped.read(|tx| tx.scan(&OLD_HOSTS, ())).await.err();
    assert!(matches!(newer, Some(Error::NewerVersion { found: 2, known: 1, .. })), "{newer:?}");
}
