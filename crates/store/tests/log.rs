//! The log after a crash: a torn last record is dropped and nothing before it, wherever it tore;
//! damage that a crash cannot have done is refused.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::Path;

use serde::{Deserialize, Serialize};
use store::{Error, Options, Record, Result, Store, Table};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Row {
    number: u64,
    text: String,
}

impl Record for Row {
    type Key = u64;

    fn key(&self) -> u64 {
        self.number
    }
}

const ROWS: Table<Row> = Table::global("rows");
const COPIES: Table<Row> = Table::global("copies");

/// Where the first header copy, the second one and the records begin.
const HEADERS: [u64; 2] = [0, 4096];
const RECORDS: usize = 8192;

fn options() -> Options {
    Options { checkpoint_bytes: 16 * 1024, ..Options::default() }
}

/// Writes one row to both tables in one transaction.
async fn write(store: &Store, number: u64) -> Result<()> {
    let row = Row { number, text: "t".repeat(20) };
    store
        .write(|tx| {
            tx.put(&ROWS, &row)?;
            tx.put(&COPIES, &row)
        })
        .await
}

async fn numbers(store: &Store) -> Vec<u64> {
    let read: Result<_> = store.read(|tx| Ok((tx.scan(&ROWS, ())?, tx.scan(&COPIES, ())?))).await;
    let (rows, copies) = read.unwrap();
    assert_eq!(rows, copies, "half a transaction");
    rows.iter().map(|row| row.number).collect()
}

/// The files as a power cut would leave them, with the log as `log`.
fn crash_image(from: &Path, to: &Path, log: &[u8]) {
    fs::copy(from.join("data.redb"), to.join("data.redb")).unwrap();
    fs::write(to.join("log"), log).unwrap();
}

/// The files of a store with rows 1, 2 and 3 in its log, and the ends of their records.
async fn three_records(dir: &Path) -> (Vec<u8>, Vec<usize>) {
    let store = Store::open(dir, options()).await.unwrap();
    let mut ends = Vec::new();
    for number in 1..=3 {
        write(&store, number).await.unwrap();
        let log = fs::read(dir.join("log")).unwrap();
        ends.push(log.iter().rposition(|byte| *byte != 0).unwrap() + 1);
    }
    let image = dir.join("image");
    fs::create_dir(&image).unwrap();
    let log = fs::read(dir.join("log")).unwrap();
    crash_image(dir, &image, &log);
    (log, ends)
}

/// What is found when the image in `dir` is opened with this log.
async fn recovered(dir: &Path, log: &[u8]) -> Result<Vec<u64>> {
    let copy = tempfile::tempdir().unwrap();
    crash_image(&dir.join("image"), copy.path(), log);
    let store = Store::open(copy.path(), options()).await?;
    let before = numbers(&store).await;
    // What comes after must not be taken for the torn record's rest, nor bring it back.
    write(&store, 9).await?;
    drop(store);
    let store = Store::open(copy.path(), options()).await?;
    let after = numbers(&store).await;
    assert_eq!(after, [before.as_slice(), &[9]].concat());
    Ok(before)
}

#[tokio::test]
async fn a_record_cut_off_anywhere_is_dropped_alone() {
    let dir = tempfile::tempdir().unwrap();
    let (log, ends) = three_records(dir.path()).await;
    assert_eq!(recovered(dir.path(), &log).await.unwrap(), [1, 2, 3]);
    for cut in ends[1]..ends[2] {
        let found = recovered(dir.path(), &log[..cut]).await.unwrap();
        assert_eq!(found, [1, 2], "cut at {cut}");
    }
}

#[tokio::test]
async fn a_record_damaged_at_any_byte_is_dropped_alone() {
    let dir = tempfile::tempdir().unwrap();
    let (log, ends) = three_records(dir.path()).await;
    for at in ends[1]..ends[2] {
        let mut torn = log.clone();
        torn[at] ^= 0x41;
        assert_eq!(recovered(dir.path(), &torn).await.unwrap(), [1, 2], "damaged at {at}");
    }
}

#[tokio::test]
async fn a_damaged_record_with_whole_ones_behind_it_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (log, ends) = three_records(dir.path()).await;
    for at in [RECORDS, RECORDS + 5, RECORDS + 13, RECORDS + 40, ends[0], ends[1] - 1] {
        let mut damaged = log.clone();
        damaged[at] ^= 1;
        let refused = recovered(dir.path(), &damaged).await;
        assert!(matches!(refused, Err(Error::Corrupt(_))), "{at}: {refused:?}");
    }
}

#[tokio::test]
async fn one_damaged_header_is_survived_and_two_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (log, _) = three_records(dir.path()).await;
    let damage = |headers: &[u64]| {
        let mut damaged = log.clone();
        for header in headers {
            damaged[usize::try_from(*header).unwrap() + 9] ^= 1;
        }
        damaged
    };
    for header in HEADERS {
        assert_eq!(recovered(dir.path(), &damage(&[header])).await.unwrap(), [1, 2, 3]);
    }
    let refused = recovered(dir.path(), &damage(&HEADERS)).await;
    assert!(matches!(refused, Err(Error::Corrupt(_))), "{refused:?}");
}

#[tokio::test]
async fn records_from_before_a_flush_are_not_replayed() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), options()).await.unwrap();
    for number in 1..=3 {
        write(&store, number).await.unwrap();
    }
    store.checkpoint().await.unwrap();
    let delete: Result<bool> = store
        .write(|tx| {
            tx.delete(&COPIES, 2)?;
            tx.delete(&ROWS, 2)
        })
        .await;
    delete.unwrap();
    drop(store);
    let store = Store::open(dir.path(), options()).await.unwrap();
    assert_eq!(numbers(&store).await, [1, 3]);
    store.close().await.unwrap();
    let store = Store::open(dir.path(), options()).await.unwrap();
    assert_eq!(numbers(&store).await, [1, 3]);
}

#[tokio::test]
async fn the_log_stays_within_its_room() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), options()).await.unwrap();
    for number in 0..200 {
        write(&store, number).await.unwrap();
    }
    let length = fs::metadata(dir.path().join("log")).unwrap().len();
    assert!(length < 3 * options().checkpoint_bytes, "{length}");
    assert_eq!(numbers(&store).await.len(), 200);
}

#[tokio::test]
async fn a_store_can_be_open_only_once() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), options()).await.unwrap();
    assert!(matches!(Store::open(dir.path(), options()).await.err(), Some(Error::InUse)));
    let clone = store.clone();
    store.close().await.unwrap();
    Store::open(dir.path(), options()).await.unwrap();
    assert!(matches!(write(&clone, 1).await, Err(Error::Closed)));
}

#[tokio::test]
async fn a_log_without_its_first_record_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (log, ends) = three_records(dir.path()).await;
    let copy = tempfile::tempdir().unwrap();
    let mut shifted = log[..RECORDS].to_vec();
    shifted.extend_from_slice(&log[ends[0]..]);
    crash_image(&dir.path().join("image"), copy.path(), &shifted);
    let refused = Store::open(copy.path(), options()).await.err();
    assert!(matches!(refused, Some(Error::Corrupt(_))), "{refused:?}");
    // The files are left as they were, for whoever can mend them.
    let file = OpenOptions::new().read(true).open(copy.path().join("log")).unwrap();
    let mut found = vec![0; shifted.len()];
    file.read_exact_at(&mut found, 0).unwrap();
    assert_eq!(found, shifted);
}

#[tokio::test]
async fn a_store_that_lost_one_of_its_files_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), options()).await.unwrap();
    write(&store, 1).await.unwrap();
    store.close().await.unwrap();
    for file in ["log", "data.redb"] {
        let (here, away) = (dir.path().join(file), dir.path().join("away"));
        fs::rename(&here, &away).unwrap();
        let refused = Store::open(dir.path(), options()).await.err();
        assert!(matches!(refused, Some(Error::Corrupt(_))), "{file}: {refused:?}");
        fs::rename(&away, &here).unwrap();
    }
    let store = Store::open(dir.path(), options()).await.unwrap();
    assert_eq!(numbers(&store).await, [1]);
}

#[tokio::test]
async fn a_store_whose_making_was_cut_short_is_made_anew() {
    for (name, bytes) in
        [("data.new", [].as_slice()), ("data.new", &[0; 4096]), ("log.new", &[1, 2, 3])]
    {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(name), bytes).unwrap();
        let store = Store::open(dir.path(), options()).await.unwrap();
        write(&store, 1).await.unwrap();
        drop(store);
        let store = Store::open(dir.path(), options()).await.unwrap();
        assert_eq!(numbers(&store).await, [1], "{name}");
    }
}
