//! A file system that is really full: the store stops taking writes, says so, keeps what it
//! acknowledged, and goes on when there is room again.
//!
//! The test runs itself as a child in a mount namespace of its own, where a small tmpfs stands
//! for the disk; the namespace takes it along when the child ends.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::env;
use std::path::Path;
use std::process::Command;

use rustix::mount::{MountFlags, mount, mount_remount};
use serde::{Deserialize, Serialize};
use store::{Error, Options, Record, Store, Table};

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Row {
    number: u64,
    filler: String,
}

impl Record for Row {
    type Key = u64;

    fn key(&self) -> u64 {
        self.number
    }
}

const ROWS: Table<Row> = Table::global("rows");

fn options() -> Options {
    Options { checkpoint_bytes: 2 * 1024 * 1024, ..Options::default() }
}

async fn write(store: &Store, number: u64) -> Result<(), Error> {
    let row = Row { number, filler: "f".repeat(20_000) };
    store.write(|tx| tx.put(&ROWS, &row)).await
}

async fn count(store: &Store) -> u64 {
    let rows = store.read(|tx| tx.scan(&ROWS, ())).await.unwrap();
    for (expected, row) in (0..).zip(&rows) {
        assert_eq!(row.number, expected, "a row is missing");
    }
    rows.len() as u64
}

async fn fill_the_disk(disk: &Path) {
    mount("none", disk, "tmpfs", MountFlags::empty(), Some(c"size=16m")).unwrap();
    let dir = disk.join("store");
    let store = Store::open(&dir, options()).await.unwrap();
    let mut acknowledged = 0;
    let refusal = loop {
        match write(&store, acknowledged).await {
            Ok(()) => acknowledged += 1,
            Err(error) => break error,
        }
    };
    assert!(acknowledged > 100, "{acknowledged}");
    assert!(matches!(&refusal, Error::ReadOnly(reason) if reason.contains("space")), "{refusal}");
    assert!(matches!(write(&store, acknowledged + 1).await, Err(Error::ReadOnly(_))));
    drop(store);

    mount_remount(disk, MountFlags::empty(), c"size=64m").unwrap();
    let store = Store::open(&dir, options()).await.unwrap();
    let found = count(&store).await;
    // The write that met the full disk may have reached the log.
    assert!(found == acknowledged || found == acknowledged + 1, "{acknowledged}, {found}");
    for number in found..found + 50 {
        write(&store, number).await.unwrap();
    }
    assert_eq!(count(&store).await, found + 50);
    store.close().await.unwrap();
}

#[tokio::test]
async fn a_full_file_system_loses_nothing_acknowledged() {
    if let Some(disk) = env::var_os("STORE_FULL_DISK") {
        return fill_the_disk(disk.as_ref()).await;
    }
    let disk = tempfile::tempdir().unwrap();
    #[expect(clippy::disallowed_methods, reason = "the test runs itself in another namespace")]
    let mut command = Command::new("unshare");
    // With a user namespace it needs no privilege.
    command.args(["--map-root-user", "--mount", "--"]).arg(env::current_exe().unwrap());
    command.args(["--exact", "a_full_file_system_loses_nothing_acknowledged", "--nocapture"]);
    let output = command.env("STORE_FULL_DISK", disk.path()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stdout));
}
