//! Loads a store on disk and prints what it did: durable writes a second by number of clients,
//! reads, scans, memory. `cargo run --release -p store --example load [folder]`.

use std::io::Write;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use store::{Index, Options, Record, Result, Store, Table};

const SECONDS: u64 = 4;

#[derive(Serialize, Deserialize)]
struct Row {
    key: u64,
    owner: String,
    text: String,
}

impl Record for Row {
    type Key = u64;

    fn key(&self) -> u64 {
        self.key
    }
}

const PLAIN: Table<Row> = Table::global("plain");
const INDEXED: Table<Row> = Table::global("indexed").with_indexes(&[&BY_OWNER]);
const BY_OWNER: Index<Row, String> = Index::new(|| INDEXED, "owner", |row| vec![row.owner.clone()]);

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Result<()> {
    let folder = std::env::args_os().nth(1).map_or_else(std::env::temp_dir, PathBuf::from);
    let folder = folder.join(format!("store-load-{}", std::process::id()));
    let began = Instant::now();
    let store = Store::open(&folder, Options::default()).await?;
    say(&format!("open, empty: {:.1} ms, {} KiB resident", millis(began), resident()));
    for table in [PLAIN, INDEXED] {
        for clients in [1, 16, 64, 256] {
            put(&store, table, clients).await?;
        }
    }
    get(&store).await?;
    scan(&store).await?;
    say(&format!("{} KiB resident", resident()));
    drop(store);
    let began = Instant::now();
    let store = Store::open(&folder, Options::default()).await?;
    say(&format!("open, with a log to replay: {:.1} ms", millis(began)));
    store.close().await?;
    // The figures stand; a folder that stays is only untidy.
    let _ = std::fs::remove_dir_all(&folder);
    Ok(())
}

async fn put(store: &Store, table: Table<Row>, clients: u64) -> Result<()> {
    let (began, processor) = (Instant::now(), processor_time());
    let mut tasks = tokio::task::JoinSet::new();
    for client in 0..clients {
        let store = store.clone();
        tasks.spawn(async move {
            let mut waits = Vec::new();
            let mut key = client.wrapping_mul(0x9e37_79b9_7f4a_7c15);
            while began.elapsed() < Duration::from_secs(SECONDS) {
                key = key.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695);
                let owner = format!("owner-{}", key % 1000);
                let row = Row { key, owner, text: "x".repeat(80) };
                let sent = Instant::now();
                store.write(|tx| tx.put(&table, &row)).await?;
                waits.push(sent.elapsed());
            }
            Ok(waits)
        });
    }
    let results: Result<Vec<_>> = tasks.join_all().await.into_iter().collect();
    let mut waits = results?.concat();
    let (seconds, processor) = (began.elapsed().as_secs_f64(), processor_time() - processor);
    waits.sort_unstable();
    let count = waits.len();
    let at =
        |part: usize| waits.get(count * part / 1000).map_or(0.0, |wait| 1e3 * wait.as_secs_f64());
    say(&format!(
        "durable put, {:8} {clients:4} clients: {:7.0} ops/s, p50 {:6.2} ms, p99 {:6.2} ms, {:4.0} us of processor each",
        table.name(),
        count as f64 / seconds,
        at(500),
        at(990),
        1e6 * processor / count as f64,
    ));
    Ok(())
}

async fn get(store: &Store) -> Result<()> {
    let keys: Vec<u64> = store
        .read(|tx| Ok::<_, store::Error>(tx.scan_page(&PLAIN, None, 50_000)?.records))
        .await?
        .iter()
        .map(|row| row.key)
        .collect();
    let began = Instant::now();
    for at in 0..keys.len() {
        // A stride that is prime to the length visits the keys in no order.
        let key = keys.get(at * 7919 % keys.len()).copied().unwrap_or_default();
        store.read(|tx| tx.get(&PLAIN, key)).await?;
    }
    say(&format!("get of {}: {:.2} us each", keys.len(), 1e3 * millis(began) / keys.len() as f64));
    Ok(())
}

async fn scan(store: &Store) -> Result<()> {
    let began = Instant::now();
    let mut rows = 0;
    store
        .read(|tx| {
            tx.for_each(&PLAIN, (), |_| {
                rows += 1;
                Ok::<_, store::Error>(std::ops::ControlFlow::Continue(()))
            })
        })
        .await?;
    say(&format!("scan of {rows} rows: {:.2} us each", 1e3 * millis(began) / f64::from(rows)));
    Ok(())
}

fn say(line: &str) {
    // Whoever reads the figures may stop reading them.
    let _ = writeln!(std::io::stdout(), "{line}");
}

fn millis(since: Instant) -> f64 {
    1e3 * since.elapsed().as_secs_f64()
}

/// Seconds of processor time that this process has used.
fn processor_time() -> f64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

/// This process's resident memory, in KiB.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or_default()
}
