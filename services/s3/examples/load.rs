//! Times S3 in one process: a region on this machine's disk, durable as in production, and clients
//! over HTTP with signed requests, on the same cores.
//!
//! `cargo run --release -p s3 --example load -- [FOLDER] [SECONDS] [KEYS]`: where the region lies,
//! how long each figure is taken, and how many objects the listing has.
#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a bench prints its figures and ends at the first surprise"
)]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::Request;
use kernel::cipher::Cipher;
use s3_api::{CreateBucketConfiguration, CreateBucketInput, ListObjectsV2Input};
use testkit::{Cloud, TestClient};

struct System;

impl base::Random for System {
    fn fill(&self, bytes: &mut [u8]) {
        aws_lc_rs::rand::fill(bytes).unwrap();
    }
}

struct Plan {
    name: &'static str,
    method: &'static str,
    size: usize,
    clients: usize,
    /// Keys are taken round and round.
    keys: u64,
}

/// Calls as fast as `plan.clients` clients get answers; prints the rate and the percentiles.
async fn run(cloud: &Cloud, plan: Plan, time: Duration) {
    let next = Arc::new(AtomicU64::new(0));
    let body = Bytes::from(vec![b'x'; if plan.method == "PUT" { plan.size } else { 0 }]);
    let began = Instant::now();
    let tasks: Vec<_> = (0..plan.clients)
        .map(|_| {
            let (client, next, body) = (cloud.root(), next.clone(), body.clone());
            let (method, keys) = (plan.method, plan.keys);
            tokio::spawn(async move {
                let mut times = Vec::new();
                while began.elapsed() < time {
                    let number = next.fetch_add(1, Ordering::Relaxed) % keys;
                    let start = Instant::now();
                    call(&client, method, &format!("/bench/{number:012}"), body.clone()).await;
                    times.push(start.elapsed());
                }
                times
            })
        })
        .collect();
    let mut times = Vec::new();
    for task in tasks {
        times.append(&mut task.await.unwrap());
    }
    report(plan.name, &mut times, began.elapsed(), plan.size);
}

async fn call(client: &TestClient, method: &str, path: &str, body: Bytes) {
    let request = Request::builder().method(method).uri(path).body(body).unwrap();
    let answer = client.send("s3", request).await;
    assert_eq!(answer.status(), 200, "{:?}", answer.body());
}

fn report(name: &str, times: &mut [Duration], all: Duration, size: usize) {
    times.sort_unstable();
    let at = |part: usize| {
        let index = (times.len() * part / 100).min(times.len().saturating_sub(1));
        times.get(index).copied().unwrap_or_default().as_secs_f64() * 1000.0
    };
    let rate = times.len() as f64 / all.as_secs_f64();
    let bytes = rate * size as f64 / 1_048_576.0;
    println!(
        "{name:<28} {rate:>9.0}/s {bytes:>8.1} MiB/s  p50 {:>8.3} ms  p99 {:>8.3} ms",
        at(50),
        at(99)
    );
}

async fn list(cloud: &Cloud, keys: u64) {
    let (client, mut times, began) = (cloud.root(), Vec::new(), Instant::now());
    for step in 0..200 {
        let start = Instant::now();
        let input = ListObjectsV2Input {
            bucket: "bench".to_owned(),
            start_after: Some(format!("{:012}", step * (keys / 200))),
            ..ListObjectsV2Input::default()
        };
        let page = client.call(input).await.unwrap();
        times.push(start.elapsed());
        assert!(step == 199 || page.contents.len() == 1000);
    }
    report(&format!("LIST 1,000 of {keys}"), &mut times, began.elapsed(), 0);
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let mut words = std::env::args().skip(1);
    let folder = words.next().map_or_else(std::env::temp_dir, Into::into);
    let seconds = words.next().and_then(|text| text.parse().ok()).unwrap_or(10);
    let keys: u64 = words.next().and_then(|text| text.parse().ok()).unwrap_or(100_000);
    let folder = tempfile::tempdir_in(folder).unwrap();
    let blobs = Arc::new(blob::LocalBlobs::new(&folder.path().join("objects"), [5; 32]));
    let cipher = Cipher::new([1; 32], Arc::new(System));
    let cloud =
        Cloud::start_in(folder, vec![s3::service(s3::Drivers { blobs, cipher }).into()]).await;
    let bucket = CreateBucketInput {
        bucket: "bench".to_owned(),
        create_bucket_configuration: Some(CreateBucketConfiguration {
            location_constraint: testkit::REGION.parse().ok(),
            ..CreateBucketConfiguration::default()
        }),
        ..CreateBucketInput::default()
    };
    cloud.root().call(bucket).await.unwrap();
    let (time, small, large) = (Duration::from_secs(seconds), 4096, 8 * 1024 * 1024);
    for plan in [
        Plan { name: "PUT 4 KiB, 1 client", method: "PUT", size: small, clients: 1, keys },
        Plan { name: "PUT 4 KiB, 32 clients", method: "PUT", size: small, clients: 32, keys },
    ] {
        run(&cloud, plan, time).await;
    }
    // What is not there yet, so that reads and the listing find each key.
    let filled = Instant::now();
    let next = Arc::new(AtomicU64::new(0));
    let tasks: Vec<_> = (0..32)
        .map(|_| {
            let (client, next) = (cloud.root(), next.clone());
            tokio::spawn(async move {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= keys {
                        break;
                    }
                    let body = Bytes::from(vec![b'x'; 4096]);
                    call(&client, "PUT", &format!("/bench/{number:012}"), body).await;
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    println!("{keys} objects of 4 KiB were put in {:.1} s", filled.elapsed().as_secs_f64());
    for plan in [
        Plan { name: "GET 4 KiB, 1 client", method: "GET", size: small, clients: 1, keys },
        Plan { name: "GET 4 KiB, 32 clients", method: "GET", size: small, clients: 32, keys },
    ] {
        run(&cloud, plan, time).await;
    }
    list(&cloud, keys).await;
    for plan in [
        Plan { name: "PUT 8 MiB, 4 clients", method: "PUT", size: large, clients: 4, keys: 32 },
        Plan { name: "GET 8 MiB, 4 clients", method: "GET", size: large, clients: 4, keys: 32 },
    ] {
        run(&cloud, plan, time).await;
    }
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let resident = status.lines().find(|line| line.starts_with("VmHWM")).unwrap_or_default();
    println!("memory at its highest, clients and region together: {resident}");
}
