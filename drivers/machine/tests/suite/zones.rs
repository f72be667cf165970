//! Zones and what they keep apart: adoption, loss, isolation, limits.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::region::{EXECUTABLE, Region, echo, image, memory_root, process, until};
use machine::{
    Access, Bind, Error, EventKind, Exec, Exit, Kind, Limits, Machine as _, State, Stop,
};

const SLEEP: &str = "sleep infinity";

fn alive(pid: u32) -> bool {
    // A zombie that nobody waits for is as dead as can be.
    fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}

/// All cgroups of this region's supervisors.
fn groups(pid: u32) -> Vec<PathBuf> {
    let own = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap();
    let mut names = own.lines().filter_map(|line| line.rsplit('/').next());
    let name = names.find(|name| name.starts_with("skyhold-")).unwrap().to_owned();
    ["unified", "memory", "pids", "cpu", ""]
        .iter()
        .map(|controller| Path::new("/sys/fs/cgroup").join(controller).join(&name))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn programs_answer_and_survive_their_control_plane() {
    let region = Region::new();
    let begun = Instant::now();
    region.start(echo("lb-1")).await;
    println!("supervisor and program after {:?}", begun.elapsed());
    let pid = region.pid("lb-1").await;
    let call = |machine: std::sync::Arc<dyn machine::Machine>| {
        let zone = region.zone.clone();
        async move { machine.call(&zone, "lb-1", b"hello".to_vec()).await.unwrap() }
    };
    let expected = format!("{pid} hello").into_bytes();
    assert_eq!(call(region.machine.clone()).await, expected);
    // The same id is not started twice.
    region.start(echo("lb-1")).await;
    let second = std::sync::Arc::new(region.another_client());
    let adopted = second.list(&region.zone).await.unwrap();
    assert!(matches!(adopted[0].state, State::Running { pid: found, .. } if found == pid));
    assert_eq!(call(second.clone()).await, expected);
    second.remove(&region.zone, "lb-1").await.unwrap();
    second.remove(&region.zone, "lb-1").await.unwrap();
    assert!(!alive(pid));
    let gone = region.machine.call(&region.zone, "lb-1", Vec::new()).await;
    assert!(matches!(gone, Err(Error::NoSuchWorkload { .. })), "{gone:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_zone_leaves_nothing_and_comes_back_empty() {
    let (region, image) = (Region::new(), image().await);
    let volume = region.volume_root("vol-1", &image);
    let mut spec = process("db-1", volume, "sleep infinity & sleep infinity");
    spec.limits = Limits { cpus: Some(0.5), memory_bytes: Some(64 << 20), pids_max: Some(20) };
    region.start(spec.clone()).await;
    region.start(echo("lb-1")).await;
    let pids = [region.pid("db-1").await, region.pid("lb-1").await];
    let groups = groups(pids[0]);
    assert!(groups.iter().any(|group| group.exists()));
    let mut events = region.machine.events();
    let begun = Instant::now();
    region.machine.kill_zone(&region.zone).await.unwrap();
    until("the workloads' end", async || !pids.iter().any(|pid| alive(*pid))).await;
    println!("zone dead after {:?}", begun.elapsed());
    until(
        "the event",
        async || matches!(events.try_recv(), Ok(event) if event.kind == EventKind::SupervisorLost),
    )
    .await;
    let down = region.machine.list(&region.zone).await;
    assert!(matches!(down, Err(Error::ZoneDown { .. })), "{down:?}");
    assert!(region.another_client().is_killed(&region.zone));
    region.machine.start_zone(&region.zone).await.unwrap();
    assert_eq!(region.machine.list(&region.zone).await.unwrap(), []);
    assert!(!groups.iter().any(|group| group.exists()), "{groups:?}");
    region.start(spec).await;
    region.machine.stop(&region.zone, "db-1", Stop::Kill).await.unwrap();
    region.volumes.delete("vol-1").unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_supervisor_that_was_killed_is_started_again_when_needed() {
    let region = Region::new();
    region.start(echo("lb-1")).await;
    let pid = region.pid("lb-1").await;
    let supervisor = region.supervisor().unwrap();
    rustix::process::kill_process(supervisor, rustix::process::Signal::KILL).unwrap();
    until("the program's end", async || !alive(pid)).await;
    until(
        "a new supervisor",
        async || matches!(region.machine.list(&region.zone).await, Ok(list) if list.is_empty()),
    )
    .await;
    assert_ne!(region.supervisor().unwrap(), supervisor);
}

/// Wherever a start is when its supervisor dies, nothing of it stays.
#[tokio::test(flavor = "multi_thread")]
async fn a_supervisor_killed_while_workloads_start_leaves_nothing() {
    const ROUNDS: u64 = 12;
    let (region, image) = (Region::new(), image().await);
    region.start(process("p", memory_root(&image), SLEEP)).await;
    let group = groups(region.pid("p").await)[0].file_name().unwrap().to_owned();
    let prefix = group.to_str().unwrap().trim_end_matches("-p").to_owned();
    let ours = || {
        let processes = fs::read_dir("/proc").unwrap().flatten();
        let of_ours = |entry: &fs::DirEntry| {
            let groups = fs::read_to_string(entry.path().join("cgroup")).unwrap_or_default();
            let state = fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
            groups.contains(&prefix) && !state.contains(") Z ")
        };
        processes.filter(of_ours).count()
    };
    assert!(ours() > 0);
    for round in 0..ROUNDS {
        let mut starting = tokio::task::JoinSet::new();
        for number in 0..4 {
            let spec = process(&format!("p{number}"), memory_root(&image), SLEEP);
            let (machine, zone) = (region.machine.clone(), region.zone.clone());
            starting.spawn(async move { machine.start(&zone, spec).await });
        }
        tokio::time::sleep(Duration::from_millis(round * 5)).await;
        let supervisor = region.supervisor().unwrap();
        rustix::process::kill_process(supervisor, rustix::process::Signal::KILL).unwrap();
        while let Some(started) = starting.join_next().await {
            // Started, or refused because the zone is down.
            let _ = started.unwrap();
        }
        until("all processes' end", async || ours() == 0).await;
        until("a new supervisor", async || region.machine.list(&region.zone).await.is_ok()).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_workload_sees_no_files_processes_or_loopback_of_the_host() {
    let (region, image) = (Region::new(), image().await);
    fs::write(region.folder.path().join("secret"), "s").unwrap();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    region.start(process("p", memory_root(&image), SLEEP)).await;
    let secret = region.folder.path().display().to_string();
    for command in [
        format!("cat {secret}/secret"),
        format!("cat /proc/1/root{secret}/secret"),
        format!("cat /proc/self/root/../../..{secret}/secret"),
        format!("kill -0 {}", std::process::id()),
        format!("ls -d /proc/{}", std::process::id()),
        format!("curl -s --max-time 2 http://127.0.0.1:{port}/"),
        "echo b > /proc/sysrq-trigger".to_owned(),
        "echo 1 > /proc/sys/kernel/panic".to_owned(),
        "umount /sys".to_owned(),
        "mount -o remount,rw /sys".to_owned(),
        "echo x > /sys/kernel/uevent_helper".to_owned(),
        "mknod /dev/vda b 254 0 && head -c 1 /dev/vda".to_owned(),
        "mount -t ext4 /dev/vda /mnt".to_owned(),
        "date -s 2001-01-01".to_owned(),
        "dmesg".to_owned(),
        "chroot /proc/1/root cat /etc/skyhold-host".to_owned(),
        "echo 0 > /sys/fs/cgroup/../cgroup.procs".to_owned(),
        "readlink /proc/1/exe && cat /proc/1/exe > /dev/null".to_owned(),
    ] {
        let output = region.shell("p", &command).await;
        assert!(!output.success(), "{command}: {}", String::from_utf8_lossy(&output.stdout));
    }
    let processes = region.print("p", "ls -1d /proc/[0-9]* | wc -l").await;
    assert!(processes.parse::<u32>().unwrap() < 8, "{processes}");
    // The kernel's doors that know no namespaces are shut with EPERM.
    let doors = "import ctypes, errno\nlibc = ctypes.CDLL(None, use_errno=True)\n\
        for name, number in [('kexec_load', 246), ('init_module', 175), ('open_by_handle_at', 304), \
        ('bpf', 321), ('perf_event_open', 298), ('keyctl', 250), ('userfaultfd', 323), \
        ('io_uring_setup', 425)]:\n\
        \x20   result = libc.syscall(number, 0, 0, 0, 0, 0)\n\
        \x20   assert result == -1 and ctypes.get_errno() == errno.EPERM, name\n";
    let python =
        region.machine.exec(&region.zone, "p", Exec::new(["/usr/bin/python3", "-c", doors]));
    let python = python.await.unwrap();
    if cfg!(target_arch = "x86_64") {
        assert!(python.success(), "{}", String::from_utf8_lossy(&python.stderr));
    }
    // And yet root is root, and sudo works.
    assert_eq!(region.print("p", "su admin -s /bin/sh -c 'sudo id -u'").await, "0");
    let pid = region.pid("p").await;
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let uid = status.lines().find(|line| line.starts_with("Uid:")).unwrap();
    assert!(!uid.contains("\t0\t"), "{uid}");
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_hold() {
    let (region, image) = (Region::new(), image().await);
    let mut spec = process("p", memory_root(&image), SLEEP);
    spec.limits = Limits { cpus: Some(0.2), memory_bytes: Some(64 << 20), pids_max: Some(16) };
    region.start(spec).await;
    let greedy = "x = bytearray(200 << 20); print(len(x))";
    let memory =
        region.machine.exec(&region.zone, "p", Exec::new(["/usr/bin/python3", "-c", greedy]));
    assert_eq!(memory.await.unwrap().exit, Exit::Signal(9));
    let forks = region.shell("p", "for i in $(seq 30); do sleep 5 & done; wait").await;
    assert!(String::from_utf8_lossy(&forks.stderr).contains("fork"), "{forks:?}");
    let burn = "import time\nend = time.time() + 2\nwhile time.time() < end: pass\nprint(time.process_time())";
    let burnt = region.machine.exec(&region.zone, "p", Exec::new(["/usr/bin/python3", "-c", burn]));
    let burnt = String::from_utf8(burnt.await.unwrap().stdout).unwrap();
    assert!(burnt.trim().parse::<f64>().unwrap() < 0.9, "{burnt}");
    // The main process is untouched by all this.
    assert!(matches!(region.state("p").await, State::Running { .. }));
}

#[tokio::test(flavor = "multi_thread")]
async fn ends_are_reported_at_once_and_as_they_were() {
    let (region, image) = (Region::new(), image().await);
    let mut events = region.machine.events();
    region.start(process("p", memory_root(&image), "echo to the console; exit 7")).await;
    let ended = async {
        loop {
            if let EventKind::Exited(exit) = events.recv().await.unwrap().kind {
                return exit;
            }
        }
    };
    let ended = tokio::time::timeout(Duration::from_secs(30), ended).await.unwrap();
    assert_eq!(ended, Exit::Code(7));
    assert_eq!(region.console("p").await, "to the console\n");
    // An exited workload starts anew under its old id.
    region.start(process("p", memory_root(&image), SLEEP)).await;
    let pid = region.pid("p").await;
    let begun = Instant::now();
    rustix::process::kill_process(
        rustix::process::Pid::from_raw(pid as i32).unwrap(),
        rustix::process::Signal::KILL,
    )
    .unwrap();
    until("the end", async || matches!(region.state("p").await, State::Exited { .. })).await;
    println!("a killed process was noticed after {:?}", begun.elapsed());
    let state = region.state("p").await;
    assert!(matches!(state, State::Exited { exit: Exit::Signal(9), .. }), "{state:?}");
    let failed = region.machine.start(&region.zone, process("q", memory_root(&image), "true"));
    failed.await.unwrap();
    let mut bad = process("bad", memory_root(&image), "true");
    if let Kind::Process(process) = &mut bad.kind {
        process.argv = vec!["/no/such/program".to_owned()];
    }
    let refused = region.machine.start(&region.zone, bad).await;
    let text = refused.unwrap_err().to_string();
    assert!(text.contains("execute /no/such/program"), "{text}");
    assert!(region.machine.list(&region.zone).await.unwrap().iter().all(|w| w.id != "bad"));
}

#[tokio::test(flavor = "multi_thread")]
async fn frozen_workloads_stand_still_and_can_be_stopped() {
    let (region, image) = (Region::new(), image().await);
    let loop_forever = "i=0; while :; do i=$((i+1)); echo $i > /run/i; sleep 0.01; done";
    region.start(process("p", memory_root(&image), loop_forever)).await;
    region.machine.freeze(&region.zone, "p").await.unwrap();
    assert!(matches!(region.state("p").await, State::Running { frozen: true, .. }));
    region.machine.thaw(&region.zone, "p").await.unwrap();
    let before = region.print("p", "cat /run/i").await;
    until("it to go on", async || region.print("p", "cat /run/i").await != before).await;
    region.machine.freeze(&region.zone, "p").await.unwrap();
    let graceful = Stop::Graceful { grace: None };
    region.machine.stop(&region.zone, "p", graceful).await.unwrap();
    let state = region.state("p").await;
    assert!(matches!(state, State::Exited { exit: Exit::Signal(15), .. }), "{state:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn binds_show_what_they_should_and_no_more() {
    let (region, image) = (Region::new(), image().await);
    let shared = region.folder.path().join("shared");
    fs::create_dir(&shared).unwrap();
    fs::write(shared.join("file"), "content").unwrap();
    std::os::unix::fs::chown(shared.join("file"), Some(33), Some(33)).unwrap();
    let mut root = memory_root(&image);
    let bind = |target: &str, source: &Path, access| Bind {
        source: source.to_path_buf(),
        target: target.into(),
        access,
    };
    let volume = region.volumes.create("data", 64 << 20).unwrap();
    root.binds = vec![
        bind("/srv/ro", &shared, Access::ReadOnly),
        bind("/srv/one/file", &shared.join("file"), Access::ReadOnly),
        bind("/var/lib/data", &volume, Access::ReadWrite),
    ];
    region.start(process("p", root.clone(), SLEEP)).await;
    assert_eq!(
        region.print("p", "stat -c %u /srv/ro/file; cat /srv/one/file").await,
        "33\ncontent"
    );
    for command in ["touch /srv/ro/x", "mount -o remount,bind,rw /srv/ro && touch /srv/ro/x"] {
        assert!(!region.shell("p", command).await.success(), "{command}");
    }
    region.print("p", "echo row > /var/lib/data/table; chown 100:100 /var/lib/data/table").await;
    region.machine.stop(&region.zone, "p", Stop::Kill).await.unwrap();
    // Another workload, with other ids on the host, sees the same owners.
    region.start(process("q", root, SLEEP)).await;
    assert_eq!(
        region.print("q", "stat -c %u /var/lib/data/table; cat /var/lib/data/table").await,
        "100\nrow"
    );
}

#[test]
fn the_probe_tries_everything() {
    for (feature, outcome) in machine::probe_with(Path::new(EXECUTABLE)) {
        println!("{feature}: {outcome:?}");
        assert_eq!(outcome, Ok(()), "{feature}");
    }
}

/// The whole life of a machine where the host has no unified hierarchy of control groups: it is
/// taken from the supervisor's sight in a mount namespace of its own.
#[tokio::test(flavor = "multi_thread")]
async fn control_groups_of_version_1_alone_do() {
    let mounts = fs::read_to_string("/proc/mounts").unwrap();
    let at = |line: &str| line.split(' ').nth(1).map(str::to_owned);
    let unified = mounts.lines().find(|line| line.contains(" cgroup2 ")).and_then(at);
    let freezer = mounts.lines().any(|line| line.contains("cgroup rw") && line.contains("freezer"));
    if !freezer {
        println!("this host has no control groups of version 1 to test with");
        return;
    }
    let hide = unified.map_or_else(String::new, |path| format!("umount {path} && "));
    let script = format!("{hide}exec \"$0\" \"$@\"");
    let command = ["unshare", "-m", "sh", "-c", &script, EXECUTABLE, "zone"];
    let region = Region::with_command(command.map(Into::into).to_vec());
    let image = image().await;
    let mut spec = crate::region::sandbox("i-1", region.volume_root("vol-1", &image));
    spec.limits = Limits { cpus: Some(2.0), memory_bytes: Some(512 << 20), pids_max: Some(200) };
    region.start(spec).await;
    until("the boot", async || {
        region.shell("i-1", "systemctl is-system-running").await.stdout.starts_with(b"running")
    })
    .await;
    let view = "stat -f -c %T /sys/fs/cgroup/systemd; ls -d /sys/fs/cgroup/systemd/init.scope";
    let expected = "cgroupfs\n/sys/fs/cgroup/systemd/init.scope";
    assert_eq!(region.print("i-1", view).await, expected);
    region.machine.freeze(&region.zone, "i-1").await.unwrap();
    region.machine.thaw(&region.zone, "i-1").await.unwrap();
    let pid = region.pid("i-1").await;
    region.machine.stop(&region.zone, "i-1", Stop::Kill).await.unwrap();
    assert!(!alive(pid));
    region.start(process("p", memory_root(&image), "sleep infinity & sleep infinity")).await;
    region.machine.freeze(&region.zone, "p").await.unwrap();
    region.machine.stop(&region.zone, "p", Stop::Kill).await.unwrap();
    let state = region.state("p").await;
    assert!(matches!(state, State::Exited { exit: Exit::Signal(9), .. }), "{state:?}");
}
