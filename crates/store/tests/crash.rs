//! The process is killed under load again and again; whatever it had acknowledged is there.
//!
//! The test runs itself as a child, which writes from several tasks and prints a line for each
//! acknowledged transaction, and kills it after a random number of lines. `STORE_CRASH_ROUNDS`
//! makes it run longer.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::env;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use serde::{Deserialize, Serialize};
use store::{Index, Options, Record, Result, Store, Table};

const ROUNDS: usize = 15;
const TASKS: u64 = 6;
/// How many of its rows each task keeps; with each row written, the oldest goes.
const KEPT: u64 = 8;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Row {
    task: u64,
    number: u64,
    filler: String,
}

impl Record for Row {
    type Key = (u64, u64);

    fn key(&self) -> Self::Key {
        (self.task, self.number)
    }
}

const ROWS: Table<Row> = Table::global("rows").with_indexes(&[&BY_NUMBER]);
const BY_NUMBER: Index<Row, u64> = Index::new(|| ROWS, "number", |row| vec![row.number]);
const COPIES: Table<Row> = Table::global("copies");

fn options() -> Options {
    // Small, so that flushes and log resets are hit as often as writes.
    Options { checkpoint_bytes: 48 * 1024, ..Options::default() }
}

/// One step of a task: a row in both tables, the oldest one gone from both, and an event.
async fn step(store: &Store, task: u64, number: u64) -> Result<()> {
    let length = usize::try_from(number * 37 % 400).unwrap();
    let row = Row { task, number, filler: "f".repeat(length) };
    store
        .write(|tx| {
            tx.put(&ROWS, &row)?;
            if let Some(oldest) = number.checked_sub(KEPT) {
                tx.delete(&ROWS, (task, oldest))?;
                tx.delete(&COPIES, (task, oldest))?;
            }
            tx.put(&COPIES, &row)?;
            if let Some(last) = tx.events(0, 64)?.get(63) {
                tx.forget_events(last.number)?;
            }
            tx.emit((task, number))
        })
        .await
}

/// The child: writes until it is killed. Does nothing when run as an ordinary test.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn child_that_is_killed() {
    let Some(dir) = env::var_os("STORE_CRASH_DIR") else { return };
    say("opening");
    let store = Store::open(dir.as_ref(), options()).await.unwrap();
    let next = check(&store).await;
    // What was found again counts as acknowledged: the parent sees that it is not less than before.
    for (task, last) in &next {
        say(&format!("{task} {last}"));
    }
    let mut tasks = tokio::task::JoinSet::new();
    for task in 0..TASKS {
        let store = store.clone();
        let mut number = next.get(&task).map_or(0, |last| last + 1);
        tasks.spawn(async move {
            loop {
                step(&store, task, number).await.unwrap();
                say(&format!("{task} {number}"));
                number += 1;
            }
        });
    }
    tasks.join_all().await;
}

/// Prints a line in one write, past the test harness's capture and any buffer.
fn say(line: &str) {
    let line = format!("@{line}\n");
    rustix::io::write(rustix::stdio::stdout(), line.as_bytes()).unwrap();
}

/// Checks all that must hold whenever the store is opened; gives each task's last number.
async fn check(store: &Store) -> BTreeMap<u64, u64> {
    let read: Result<_> = store
        .read(|tx| {
            let rows = tx.scan(&ROWS, ())?;
            for row in &rows {
                let found = tx.find(&BY_NUMBER, row.number)?;
                assert!(found.contains(row), "the index lacks {row:?}");
            }
            let indexed = tx.find_range(&BY_NUMBER, .., usize::MAX)?;
            assert_eq!(indexed.len(), rows.len(), "the index has entries of its own");
            Ok((rows, tx.scan(&COPIES, ())?, tx.events(0, usize::MAX)?))
        })
        .await;
    let (rows, copies, events) = read.unwrap();
    assert_eq!(rows, copies, "half a transaction");
    let mut numbers: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
    for row in rows {
        numbers.entry(row.task).or_default().push(row.number);
    }
    let mut last = BTreeMap::new();
    for (task, numbers) in numbers {
        let newest = *numbers.last().unwrap();
        let expected: Vec<u64> = ((newest + 1).saturating_sub(KEPT)..=newest).collect();
        assert_eq!(numbers, expected, "task {task}");
        last.insert(task, newest);
    }
    let mut emitted = BTreeMap::new();
    for pair in events.windows(2) {
        assert_eq!(pair[0].number + 1, pair[1].number, "events are numbered without gaps");
    }
    for event in events {
        let (task, number): (u64, u64) = event.decode().unwrap();
        let before = emitted.insert(task, number);
        assert!(before.is_none_or(|before| before + 1 == number), "an event is missing");
    }
    for (task, number) in emitted {
        assert_eq!(last.get(&task), Some(&number), "events end where rows do");
    }
    last
}

fn start_child(dir: &Path) -> (Child, BufReader<ChildStdout>) {
    #[expect(clippy::disallowed_methods, reason = "the test runs itself, to be killed")]
    let mut command = Command::new(env::current_exe().unwrap());
    command.args(["--exact", "child_that_is_killed", "--nocapture", "--test-threads=1"]);
    command.env("STORE_CRASH_DIR", dir).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let output = BufReader::new(child.stdout.take().unwrap());
    (child, output)
}

/// What the child says in a line, past what the test harness prints before it.
fn said(line: &str) -> Option<&str> {
    line.split_once('@').map(|(_, said)| said.trim_end())
}

/// Runs a child until it has said `lines` lines, kills it, and adds what it acknowledged.
fn run_and_kill(dir: &Path, lines: usize, acknowledged: &mut BTreeMap<u64, u64>) {
    let (mut child, mut output) = start_child(dir);
    let mut heard = 0;
    let mut killed = false;
    let mut line = String::new();
    // After the kill, what it had said before is still in the pipe, and counts.
    while output.read_line(&mut line).unwrap() > 0 {
        if let Some(said) = said(&line) {
            heard += 1;
            if let Some((task, number)) = said.split_once(' ') {
                let number: u64 = number.parse().unwrap();
                let before = acknowledged.insert(task.parse().unwrap(), number);
                assert!(before <= Some(number), "task {task}: {before:?} was lost, {number} found");
            }
        }
        if heard >= lines && !killed {
            child.kill().unwrap();
            killed = true;
        }
        line.clear();
    }
    let ended = child.wait().unwrap();
    if !killed {
        let mut errors = String::new();
        std::io::Read::read_to_string(&mut child.stderr.take().unwrap(), &mut errors).unwrap();
        panic!("the child ended by itself, {ended}: {errors}");
    }
}

#[tokio::test]
async fn a_store_killed_while_it_is_made_opens() {
    if env::var_os("STORE_CRASH_DIR").is_some() {
        return;
    }
    for _ in 0..ROUNDS {
        let dir = tempfile::tempdir().unwrap();
        run_and_kill(dir.path(), 1, &mut BTreeMap::new());
        let store = Store::open(dir.path(), options()).await.unwrap();
        check(&store).await;
    }
}

#[tokio::test]
async fn nothing_acknowledged_is_lost_when_the_process_is_killed() {
    if env::var_os("STORE_CRASH_DIR").is_some() {
        return;
    }
    let rounds = env::var("STORE_CRASH_ROUNDS").map_or(ROUNDS, |text| text.parse().unwrap());
    let seed = u64::from(std::process::id());
    let dir = tempfile::tempdir().unwrap();
    let mut acknowledged = BTreeMap::new();
    let mut random = seed;
    for round in 0..rounds {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(round as u64 | 1);
        // Every fourth one is killed while it opens what the last one left.
        let lines = if round % 4 == 3 { 1 } else { 2 + usize::try_from(random >> 56).unwrap() };
        run_and_kill(dir.path(), lines, &mut acknowledged);
        if round % 3 == 2 {
            // The next child then has the crash of this one to recover from, and this of that.
            continue;
        }
        let store = Store::open(dir.path(), options()).await.unwrap();
        let last = check(&store).await;
        for (task, number) in &acknowledged {
            let found = last.get(task).copied();
            assert!(found >= Some(*number), "seed {seed}, round {round}: task {task}: {found:?}");
        }
        for (task, number) in &last {
            acknowledged.insert(*task, *number);
        }
        if round % 2 == 0 {
            store.close().await.unwrap();
        }
    }
    writeln!(std::io::stderr(), "{rounds} rounds, {acknowledged:?}").unwrap();
    assert!(acknowledged.values().sum::<u64>() > 0);
}
