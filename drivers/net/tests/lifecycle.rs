//! How a fabric comes, changes, outlives its driver and goes.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]
#![allow(clippy::disallowed_methods, reason = "tests run `ip` as a workload would")]

mod lab;

use std::os::unix::fs::MetadataExt as _;
use std::time::{Duration, Instant};

use lab::*;
use net::{Net, Vpc};

fn pair() -> Vpc {
    let mut vpc = vpc(1, "10.0.0.0/16");
    subnet(&mut vpc, 1, "10.0.1.0/24", 1);
    open_group(&mut vpc, 1);
    interface(&mut vpc, 1, 1, "10.0.1.10", 1);
    interface(&mut vpc, 2, 1, "10.0.1.20", 1);
    find(&mut vpc, 1).public.push((ip("10.0.1.10"), ip("198.18.0.10")));
    vpc
}

fn open(lab: &Lab, from: u32, to: &str) -> Flow {
    Flow::open(&lab.eni(from), to, 80, Duration::from_secs(5)).unwrap()
}

#[test]
fn a_new_driver_adopts_what_runs() {
    let mut lab = Lab::new();
    let mut vpc = pair();
    lab.apply(&fabric(&[&vpc]));
    lab.serve(2, 80);
    let inode = |number| std::fs::metadata(lab.eni(number)).unwrap().ino();
    let before = [inode(1), inode(2)];
    let mut inside = open(&lab, 1, "10.0.1.20");
    lab.serve(1, 80);
    let mut outside = Flow::open(&host(), "198.18.0.10", 80, Duration::from_secs(5)).unwrap();
    for round in 0..3 {
        if round == 1 {
            // Without the record the kernel alone tells.
            std::fs::remove_file(lab.options.run_dir.join("net-applied.json")).unwrap();
        }
        if round == 2 {
            // A change that the earlier process did not live to see.
            interface(&mut vpc, 3, 1, "10.0.1.30", 1);
        }
        lab.restart();
        lab.apply(&fabric(&[&vpc]));
        assert!(inside.echoes(), "round {round}");
        assert!(outside.echoes(), "round {round}");
    }
    let inode = |number| std::fs::metadata(lab.eni(number)).unwrap().ino();
    assert_eq!([inode(1), inode(2)], before);
    lab.reaches(3, "10.0.1.20", 80);
    assert!(inside.echoes());
}

#[test]
fn a_new_driver_mends_what_is_broken_and_removes_what_nobody_declares() {
    let mut lab = Lab::new();
    let mut vpc = pair();
    let other = {
        let mut other = self::vpc(2, "10.0.0.0/16");
        subnet(&mut other, 1, "10.0.1.0/24", 1);
        open_group(&mut other, 1);
        interface(&mut other, 5, 1, "10.0.1.10", 1);
        other
    };
    lab.apply(&fabric(&[&vpc, &other]));
    let (gone, router) = (lab.eni(2), lab.router(2));
    assert!(gone.exists() && router.exists());
    // The interface's link is lost, and a namespace of ours lies about.
    ip_command(&lab.router(1), &["link", "delete", "e00000000000001"]);
    let orphan = lab.options.run_dir.join("netns/lab-eni-00000000000000abc");
    std::fs::write(&orphan, "").unwrap();
    vpc.interfaces.retain(|own| own.id != eni(2));
    interface(&mut vpc, 3, 1, "10.0.1.30", 1);
    lab.restart();
    lab.apply(&fabric(&[&vpc]));
    assert!(!gone.exists() && !router.exists() && !orphan.exists());
    lab.serve(1, 80);
    lab.reaches(3, "10.0.1.10", 80);
    reaches(&host(), "198.18.0.10", 80);
}

#[test]
fn unchanged_flows_go_on_through_every_change() {
    let lab = Lab::new();
    let mut vpc = pair();
    lab.apply(&fabric(&[&vpc]));
    lab.serve(2, 80);
    let mut flow = open(&lab, 1, "10.0.1.20");
    for number in 10..30 {
        interface(&mut vpc, number, 1, &format!("10.0.1.{}", number + 100), 1);
        group(&mut vpc, number, vec![tcp(80, net::Peer::Group(id("sg", 1)))], Vec::new());
        find(&mut vpc, number).security_groups.push(id("sg", number));
        lab.apply(&fabric(&[&vpc]));
        assert!(flow.echoes());
    }
    vpc.interfaces.truncate(2);
    vpc.security_groups.truncate(1);
    lab.apply(&fabric(&[&vpc]));
    assert!(flow.echoes());
}

#[test]
fn addresses_come_and_go_without_a_new_namespace() {
    let mut lab = Lab::new();
    let mut vpc = pair();
    lab.apply(&fabric(&[&vpc]));
    let inode = std::fs::metadata(lab.eni(2)).unwrap().ino();
    lab.serve(2, 80);
    find(&mut vpc, 2).addresses.push(ip("10.0.1.21"));
    lab.apply(&fabric(&[&vpc]));
    lab.reaches(1, "10.0.1.21", 80);
    find(&mut vpc, 2).addresses = vec![ip("10.0.1.20"), ip("10.0.1.22")];
    lab.restart();
    lab.apply(&fabric(&[&vpc]));
    lab.reaches(1, "10.0.1.22", 80);
    lab.is_cut(1, "10.0.1.21", 80);
    lab.reaches(1, "10.0.1.20", 80);
    assert_eq!(std::fs::metadata(lab.eni(2)).unwrap().ino(), inode);
}

#[test]
fn links_are_cut_and_restored_by_zone_and_by_interface() {
    let mut lab = Lab::new();
    let mut vpc = pair();
    vpc.interfaces[1].zone = zone('b');
    lab.apply(&fabric(&[&vpc]));
    lab.serve(2, 80);
    lab.serve(1, 80);
    let up = |lab: &Lab, number| lab.observe().interfaces[&eni(number)].up;
    assert!(up(&lab, 1) && up(&lab, 2));
    let mut flow = open(&lab, 1, "10.0.1.20");
    lab.runtime.block_on(lab.net.set_zone_link(&zone('b'), false)).unwrap();
    assert!(up(&lab, 1) && !up(&lab, 2));
    lab.is_cut(1, "10.0.1.20", 80);
    // It stays so through changes and restarts.
    interface(&mut vpc, 3, 1, "10.0.1.30", 1);
    lab.apply(&fabric(&[&vpc]));
    lab.restart();
    lab.apply(&fabric(&[&vpc]));
    assert!(!up(&lab, 2) && up(&lab, 3));
    lab.runtime.block_on(lab.net.set_zone_link(&zone('b'), true)).unwrap();
    lab.reaches(1, "10.0.1.20", 80);
    assert!(flow.echoes());
    let unknown = lab.runtime.block_on(lab.net.set_eni_link(&eni(77), false));
    assert!(matches!(unknown, Err(net::Error::Invalid(_))), "{unknown:?}");
    lab.runtime.block_on(lab.net.set_eni_link(&eni(1), false)).unwrap();
    is_cut(&host(), "198.18.0.10", 80);
    lab.runtime.block_on(lab.net.set_eni_link(&eni(1), true)).unwrap();
    reaches(&host(), "198.18.0.10", 80);
}

#[test]
fn the_control_plane_reaches_interfaces_from_the_router() {
    let lab = Lab::new();
    let mut vpc = pair();
    vpc.security_groups[0].ingress.clear();
    lab.apply(&fabric(&[&vpc]));
    lab.serve(1, 80);
    lab.is_cut(2, "10.0.1.10", 80);
    reaches(&lab.router(1), "10.0.1.10", 80);
}

#[test]
fn counters_are_the_workloads() {
    let lab = Lab::new();
    lab.apply(&fabric(&[&pair()]));
    lab.serve(2, 80);
    let mut flow = open(&lab, 1, "10.0.1.20");
    assert!(flow.echoes());
    let seen = lab.observe().interfaces[&eni(1)];
    assert!(seen.tx_bytes > 0 && seen.rx_bytes > 0 && seen.tx_packets >= 3, "{seen:?}");
}

#[test]
fn destroy_leaves_nothing() {
    let lab = Lab::with(true);
    let mut vpc = pair();
    nat(&mut vpc, 9, 1, "10.0.1.9", "198.18.0.9");
    lab.apply(&fabric(&[&vpc]));
    // Others' sockets hold the namespaces, as the metadata service's do.
    serve(&lab.router(1), net::METADATA_ADDRESS, 80);
    lab.serve(1, 80);
    reaches(&host(), "198.18.0.10", 80);
    lab.runtime.block_on(lab.net.destroy()).unwrap();
    let left = |folder: &std::path::Path| match std::fs::read_dir(folder) {
        Ok(entries) => entries.map(|entry| entry.unwrap().file_name()).collect(),
        Err(_) => Vec::new(),
    };
    assert_eq!(left(&lab.options.run_dir), Vec::<std::ffi::OsString>::new());
    assert_eq!(host_command("ip", &["-o", "link"]).lines().count(), 1);
    assert_eq!(host_command("ip", &["route"]), "");
    let mounts = std::fs::read_to_string("/proc/thread-self/mounts").unwrap();
    assert!(!mounts.contains(lab.dir.path().to_str().unwrap()), "{mounts}");
    // And it can begin again.
    lab.apply(&fabric(&[&vpc]));
    lab.serve(1, 80);
    reaches(&host(), "198.18.0.10", 80);
}

#[test]
fn a_pool_that_is_routed_elsewhere_is_refused() {
    let lab = Lab::new();
    lab.apply(&fabric(&[&pair()]));
    let mut options = lab.options.clone();
    options.prefix = "other".to_owned();
    options.run_dir = lab.dir.path().join("other");
    let other = net::LinuxNet::new(options).unwrap();
    let refused = lab.runtime.block_on(other.apply(fabric(&[])));
    assert!(matches!(refused, Err(net::Error::PoolTaken(_))), "{refused:?}");
    lab.serve(1, 80);
    reaches(&host(), "198.18.0.10", 80);
    lab.runtime.block_on(other.destroy()).unwrap();
    reaches(&host(), "198.18.0.10", 80);
}

#[test]
fn contradictions_are_refused_and_change_nothing() {
    let lab = Lab::new();
    let good = pair();
    lab.apply(&fabric(&[&good]));
    let bad: [fn(&mut Vpc); 6] = [
        |vpc| find(vpc, 1).addresses = vec![ip("10.0.2.10")],
        |vpc| find(vpc, 1).addresses.clear(),
        |vpc| find(vpc, 1).addresses = vec![ip("10.0.1.20")],
        |vpc| find(vpc, 1).security_groups = vec![id("sg", 77)],
        |vpc| vpc.subnets[0].route_table = id("rtb", 77),
        |vpc| find(vpc, 1).public = vec![(ip("10.0.1.10"), ip("198.18.0.1"))],
    ];
    lab.serve(1, 80);
    for spoil in bad {
        let mut vpc = good.clone();
        spoil(&mut vpc);
        let refused = lab.try_apply(&fabric(&[&vpc]));
        assert!(matches!(refused, Err(net::Error::Invalid(_))), "{refused:?}");
        reaches(&host(), "198.18.0.10", 80);
    }
}

#[test]
fn two_hundred_interfaces_take_little_time() {
    let lab = Lab::new();
    let mut vpc = vpc(1, "10.0.0.0/16");
    subnet(&mut vpc, 1, "10.0.0.0/20", 1);
    open_group(&mut vpc, 1);
    group(&mut vpc, 2, vec![tcp(80, net::Peer::Group(id("sg", 1)))], Vec::new());
    lab.apply(&fabric(&[&vpc]));
    for number in 0..200 {
        interface(&mut vpc, number, 1, &format!("10.0.{}.{}", 1 + number / 100, number % 100), 1);
    }
    let timed = |what: &str, vpc: &Vpc| {
        let start = Instant::now();
        lab.apply(&fabric(&[vpc]));
        println!("{what}: {:?}", start.elapsed());
        start.elapsed()
    };
    let all = timed("200 interfaces", &vpc);
    find(&mut vpc, 7).public.push((ip("10.0.1.7"), ip("198.18.0.10")));
    let public = timed("a public address", &vpc);
    vpc.security_groups[1].ingress.clear();
    timed("a group's rule", &vpc);
    timed("nothing", &vpc);
    interface(&mut vpc, 300, 1, "10.0.9.9", 1);
    timed("one interface more", &vpc);
    let one = vpc.interfaces.clone();
    vpc.interfaces.clear();
    timed("200 interfaces gone", &vpc);
    vpc.interfaces = one;
    assert!(all < Duration::from_secs(10), "{all:?}");
    assert!(public < Duration::from_secs(1), "{public:?}");
}

fn host_command(program: &str, arguments: &[&str]) -> String {
    let output = std::process::Command::new(program).args(arguments).output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

/// Names the run folder of a test that runs this binary's [`victim`] in a process to kill.
const VICTIM: &str = "NET_TEST_VICTIM";

fn growing(size: u32) -> Vpc {
    let mut vpc = pair();
    for number in 10..10 + size {
        interface(&mut vpc, number, 1, &format!("10.0.1.{}", number + 50), 1);
        find(&mut vpc, number).public = vec![(
            ip(&format!("10.0.1.{}", number + 50)),
            ip(&format!("198.18.1.{}", number + 50)),
        )];
    }
    nat(&mut vpc, 9, 1, "10.0.1.9", "198.18.0.9");
    vpc
}

#[test]
fn victim() {
    let Ok(run_dir) = std::env::var(VICTIM) else { return };
    let options = net::Options {
        run_dir: run_dir.into(),
        prefix: "lab".to_owned(),
        egress: false,
        public_pool: cidr("198.18.0.0/15"),
    };
    let net = net::LinuxNet::new(options).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    for round in 0.. {
        let size = if round % 2 == 0 { 40 } else { 3 };
        runtime.block_on(net.apply(fabric(&[&growing(size)]))).unwrap();
    }
}

#[test]
fn a_driver_killed_at_any_moment_is_followed_by_one_that_makes_it_whole() {
    let mut lab = Lab::new();
    lab.apply(&fabric(&[&growing(0)]));
    lab.serve(2, 80);
    let mut flow = open(&lab, 1, "10.0.1.20");
    for round in 0..8_u64 {
        let mut child = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["victim", "--exact", "--nocapture"])
            .env(VICTIM, &lab.options.run_dir)
            .stderr(std::process::Stdio::null())
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap();
        // The moment of the kill is the point of the test; nothing is waited for.
        std::thread::sleep(Duration::from_millis(20 + round * 23));
        child.kill().unwrap();
        child.wait().unwrap();
        lab.restart();
        lab.apply(&fabric(&[&growing(5)]));
        assert!(flow.echoes(), "round {round}");
        for number in [9, 10, 14] {
            assert!(lab.observe().interfaces[&eni(number)].up, "round {round}");
        }
        lab.reaches(14, "10.0.1.20", 80);
        assert_eq!(lab.reaches(13, "10.0.1.20", 80), ip("10.0.1.63"));
        let mounts = std::fs::read_dir(lab.options.run_dir.join("netns")).unwrap().count();
        assert_eq!(mounts, 2 + 5 + 1 + 2, "round {round}");
    }
}

#[test]
fn an_ordinary_user_is_told_what_is_missing() {
    isolate();
    let dir = tempfile::tempdir().unwrap();
    let options = net::Options {
        run_dir: dir.path().join("run"),
        prefix: "lab".to_owned(),
        egress: false,
        public_pool: cidr("198.18.0.0/15"),
    };
    // Without its capabilities the thread is an ordinary one, and so is the driver's.
    let none = rustix::thread::CapabilitySet::empty();
    let sets =
        rustix::thread::CapabilitySets { effective: none, permitted: none, inheritable: none };
    rustix::thread::set_capabilities(None, sets).unwrap();
    let net = net::LinuxNet::new(options).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let refused = runtime.block_on(net.apply(fabric(&[&pair()]))).unwrap_err();
    assert!(matches!(refused, net::Error::Privilege(_)), "{refused:?}");
    assert!(refused.to_string().contains("root"), "{refused}");
    assert!(net::probe().iter().all(|(_, result)| result.is_err()));
}

#[test]
fn every_feature_works_on_a_host_that_passes_these_tests() {
    isolate();
    for (feature, result) in net::probe() {
        assert!(result.is_ok(), "{feature}: {result:?}");
    }
}
