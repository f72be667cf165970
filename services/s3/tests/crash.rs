//! A region that is killed while it writes keeps what it acknowledged.
//!
//! The test runs itself again as the region: that process checks what the one before it had
//! acknowledged, then writes until it is killed. `S3_CRASH_ROUNDS` sets how often.

#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "the test runs itself again as the process that it kills"
)]

mod region;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use region::{create, send, service, text};
use testkit::{Cloud, TestClient};

const FOLDER: &str = "S3_CRASH_FOLDER";
const WRITERS: usize = 8;
const KEYS: u64 = 6;

/// The body of write `number` of a key: of a size and with bytes that tell it from all others.
fn body(key: u64, number: u64) -> Vec<u8> {
    let size = [0, 100, 4096, 33_000, 200_000][usize::try_from((key + number) % 5).unwrap()];
    let mut state = (key << 32 | number).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[0]
    };
    (0..size).map(|_| next()).collect()
}

/// What the process before this one acknowledged: the last write of each key.
fn acknowledged(folder: &Path) -> BTreeMap<u64, u64> {
    let text = std::fs::read_to_string(folder.join("acknowledged")).unwrap_or_default();
    let lines = text.lines().filter_map(|line| {
        let (key, number) = line.split_once(' ')?;
        Some((key.parse().ok()?, number.parse().ok()?))
    });
    lines.collect()
}

async fn check(root: &TestClient, folder: &Path) -> BTreeMap<u64, u64> {
    let mut known = acknowledged(folder);
    for (key, number) in &mut known {
        let got = send(root, "GET", &format!("/things/{key}"), &[], b"").await;
        assert_eq!(got.status(), 200, "{key} {number}: {}", text(&got));
        // The write under way when the process died may have come through as well.
        let found = [*number, *number + 1].into_iter().find(|n| got.body() == &body(*key, *n));
        *number = found.unwrap_or_else(|| panic!("key {key} is not as write {number} left it"));
    }
    known
}

async fn write(root: TestClient, writer: u64, mut known: BTreeMap<u64, u64>) {
    for turn in 0.. {
        let key = writer * KEYS + turn % KEYS;
        let number = known.get(&key).map_or(0, |number| number + 1);
        let path = format!("/things/{key}");
        let put = send(&root, "PUT", &path, &[], &body(key, number)).await;
        assert_eq!(put.status(), 200, "{}", text(&put));
        // One call a line, so that a line is whole or not there.
        std::io::stdout().write_all(format!("ACK {key} {number}\n").as_bytes()).unwrap();
        known.insert(key, number);
    }
}

/// The region that is killed. Without its folder there is nothing to do.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn region_of_the_crash_test() {
    let Ok(folder) = std::env::var(FOLDER) else { return };
    let folder = Path::new(&folder);
    let own = tempfile::tempdir_in(folder).unwrap();
    std::fs::create_dir_all(folder.join("store")).unwrap();
    std::os::unix::fs::symlink(folder.join("store"), own.path().join("store")).unwrap();
    let cloud = Cloud::start_in(own, vec![service(folder)]).await;
    let root = cloud.root();
    let _ = root.call(create("things")).await;
    let known = check(&root, folder).await;
    std::io::stdout().write_all(format!("CHECKED {}\n", known.len()).as_bytes()).unwrap();
    let writers = (0..WRITERS as u64).map(|writer| {
        let own = known.range(writer * KEYS..(writer + 1) * KEYS).map(|(k, n)| (*k, *n)).collect();
        write(cloud.root(), writer, own)
    });
    futures_util::future::join_all(writers).await;
}

#[test]
fn what_was_acknowledged_survives_a_kill_at_any_moment() {
    let rounds = std::env::var("S3_CRASH_ROUNDS").ok().and_then(|text| text.parse().ok());
    let folder = tempfile::tempdir().unwrap();
    let mut last: BTreeMap<u64, u64> = BTreeMap::new();
    for round in 0..rounds.unwrap_or(6_u64) {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "region_of_the_crash_test", "--nocapture"])
            .env(FOLDER, folder.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let (mut checked, mut acks) = (false, 0);
        let wanted = 20 + round * 37 % 150;
        for line in lines {
            let line = line.unwrap_or_default();
            // The test harness begins a line that the first of ours may end.
            checked |= line.contains("CHECKED");
            if let Some((_, ack)) = line.split_once("ACK ")
                && let Some((key, number)) = ack.split_once(' ')
                && let (Ok(key), Ok(number)) = (key.parse(), number.parse())
            {
                last.insert(key, number);
                acks += 1;
                if acks == wanted {
                    // Some rounds end in the middle of a flush, some between.
                    std::thread::sleep(Duration::from_micros(round * 731 % 5000));
                    child.kill().unwrap();
                }
            }
        }
        let end = child.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&end.stderr);
        assert!(checked && acks >= wanted, "round {round}: {acks} writes\n{said}");
        let known: String = last.iter().map(|(key, number)| format!("{key} {number}\n")).collect();
        std::fs::write(folder.path().join("acknowledged"), known).unwrap();
    }
    assert!(last.len() > WRITERS);
}
