//! What the engine does when its disk fails, seen from inside: the log's file is swapped.

use std::fs::{File, OpenOptions};
use std::future::Future;
use std::path::Path;
use std::pin::pin;
use std::task::{Context, Waker};

use serde::{Deserialize, Serialize};

use super::*;
use crate::record::{Record, Table};
use crate::store::Store;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Note {
    name: String,
    text: String,
}

impl Record for Note {
    type Key = String;

    fn key(&self) -> String {
        self.name.clone()
    }
}

const NOTES: Table<Note> = Table::global("test.notes");

fn note(name: &str) -> Note {
    Note { name: name.to_owned(), text: "kept".to_owned() }
}

/// A store whose log goes to `log_file`.
fn open_with_log(dir: &Path, log_file: File) -> Store {
    let (mut committer, rows) = Committer::open(dir, &Options::default()).unwrap();
    committer.replace_log_file(log_file);
    Store::on(Arc::new(Embedded::start(committer, Arc::new(rows)).unwrap()))
}

fn full_disk() -> File {
    OpenOptions::new().read(true).write(true).open("/dev/full").unwrap()
}

#[tokio::test]
async fn a_full_disk_makes_the_store_read_only_and_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), Options::default()).await.unwrap();
    store.write(|tx| tx.put(&NOTES, &note("before"))).await.unwrap();
    store.close().await.unwrap();

    let store = open_with_log(dir.path(), full_disk());
    let refused = store.write(|tx| tx.put(&NOTES, &note("lost"))).await.unwrap_err();
    assert!(matches!(&refused, Error::ReadOnly(reason) if reason.contains("space")), "{refused}");
    let again = store.write(|tx| tx.put(&NOTES, &note("later"))).await.unwrap_err();
    assert!(matches!(again, Error::ReadOnly(_)), "{again}");
    let notes = store.read(|tx| tx.scan(&NOTES, ())).await.unwrap();
    assert_eq!(notes, [note("before")]);
    store.close().await.unwrap();

    let store = Store::open(dir.path(), Options::default()).await.unwrap();
    store.write(|tx| tx.put(&NOTES, &note("after"))).await.unwrap();
    let notes = store.read(|tx| tx.scan(&NOTES, ())).await.unwrap();
    assert_eq!(notes, [note("after"), note("before")]);
}

#[tokio::test]
async fn an_answer_that_rests_on_a_lost_write_is_a_refusal_too() {
    let dir = tempfile::tempdir().unwrap();
    // A pipe that nobody reads from yet stands for a disk that has not answered.
    let (reader, writer) = std::io::pipe().unwrap();
    let store = open_with_log(dir.path(), File::from(std::os::fd::OwnedFd::from(writer)));
    let mut first = pin!(store.write(|tx| tx.put(&NOTES, &note("lost"))));
    let mut second = pin!(store.write(|tx| tx.get(&NOTES, "lost")));
    let mut context = Context::from_waker(Waker::noop());
    assert!(first.as_mut().poll(&mut context).is_pending());
    let polled = second.as_mut().poll(&mut context);
    drop(reader);
    // A pipe cannot be written at an offset: the first write fails, by now or soon.
    assert!(matches!(first.await, Err(Error::ReadOnly(_))));
    let answer = match polled {
        std::task::Poll::Ready(answer) => answer,
        std::task::Poll::Pending => second.await,
    };
    assert!(matches!(answer, Err(Error::ReadOnly(_))), "{answer:?}");
}

#[tokio::test]
async fn a_panicking_closure_leaves_the_store_usable() {
    let store =
        Store::on(Arc::new(Embedded::open(Path::new("unused"), &Options::ephemeral()).unwrap()));
    let panicking = {
        let store = store.clone();
        async move {
            store
                .write(|tx| -> Result<()> {
                    tx.put(&NOTES, &note("lost"))?;
                    panic!("as the test wants")
                })
                .await
        }
    };
    let mut tasks = tokio::task::JoinSet::new();
    tasks.spawn(panicking);
    assert!(tasks.join_next().await.unwrap().unwrap_err().is_panic());
    store.write(|tx| tx.put(&NOTES, &note("kept"))).await.unwrap();
    assert_eq!(store.read(|tx| tx.scan(&NOTES, ())).await.unwrap(), [note("kept")]);
}

#[tokio::test]
async fn a_full_group_makes_writers_wait_and_then_go_on() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), Options::default()).await.unwrap();
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..12 {
        let store = store.clone();
        tasks.spawn(async move {
            let text = "x".repeat(GROUP_BYTES_MAX / 3);
            let big = Note { name: number.to_string(), text };
            store.write(|tx| tx.put(&NOTES, &big)).await
        });
    }
    for result in tasks.join_all().await {
        result.unwrap();
    }
    assert_eq!(store.read(|tx| tx.scan(&NOTES, ())).await.unwrap().len(), 12);
}
