//! A machine from its start to its first login: systemd, keys, user data, volumes, snapshots.

use std::io::Read as _;
use std::time::{Duration, Instant};

use crate::region::{Network, Region, image, sandbox, until};
use machine::{EventKind, Exit, Images, Machine as _, State, Stop, Upper};

const KEY: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ0000000000000000000000000000000000000000 k";

/// Waits for sshd's banner from inside the network; returns how long it took.
fn banner(network: &Network, begun: Instant) -> Duration {
    network.inside(move || {
        loop {
            assert!(begun.elapsed() < Duration::from_secs(60), "no banner");
            if let Ok(mut stream) = std::net::TcpStream::connect("127.0.0.1:22") {
                let mut banner = [0; 8];
                if stream.read_exact(&mut banner).is_ok() {
                    assert_eq!(&banner, b"SSH-2.0-");
                    return begun.elapsed();
                }
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    })
}

fn metadata(user_data: &'static [u8]) -> Network {
    Network::new(move |path| match path {
        "meta-data/instance-id" => Some(b"i-0123456789abcdef0".to_vec()),
        "meta-data/public-keys/0/openssh-key" => Some(format!("{KEY}\n").into_bytes()),
        "user-data" => Some(user_data.to_vec()),
        _ => None,
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_answers_ssh_and_runs_its_user_data_once() {
    let (region, image) = (Region::new(), image().await);
    let network = metadata(b"#!/bin/sh\necho hello from $(hostname)\ndate +%N >> /root/runs\n");
    region.machine.start_all().await.unwrap();
    let begun = Instant::now();
    let mut spec = sandbox("i-1", region.volume_root("vol-1", &image));
    spec.netns = Some(network.path.clone());
    region.start(spec).await;
    let started = begun.elapsed();
    let banner_after = tokio::task::block_in_place(|| banner(&network, begun));
    println!("started after {started:?}, ssh banner after {banner_after:?}");
    let keys = region
        .print(
            "i-1",
            "cat /home/admin/.ssh/authorized_keys; stat -c %U:%a /home/admin/.ssh/authorized_keys",
        )
        .await;
    assert_eq!(keys, format!("{KEY}\nadmin:600"));
    assert_eq!(region.print("i-1", "cloud-init status --wait").await, "status: done");
    println!("user data done after {:?}", begun.elapsed());
    let log = region.print("i-1", "cat /var/log/cloud-init-output.log").await;
    assert!(log.contains("hello from i-1"), "{log}");
    let console = region.console("i-1").await;
    assert!(console.contains("hello from i-1"), "{console}");
    assert!(console.contains("BEGIN SSH HOST KEY FINGERPRINTS"), "{console}");
    println!("{}", region.print("i-1", "systemctl --failed --no-legend; systemd-analyze; systemd-analyze blame | head -12; systemctl list-units --no-legend --no-pager | wc -l").await);

    let begun = Instant::now();
    region.machine.reboot(&region.zone, "i-1").await.unwrap();
    let again = tokio::task::block_in_place(|| banner(&network, begun));
    println!("rebooted after {again:?}");
    assert_eq!(region.print("i-1", "cloud-init status --wait").await, "status: done");
    assert_eq!(region.print("i-1", "wc -l < /root/runs").await, "1");

    let begun = Instant::now();
    region.machine.stop(&region.zone, "i-1", Stop::Graceful { grace: None }).await.unwrap();
    println!("stopped after {:?}", begun.elapsed());
    assert!(matches!(region.state("i-1").await, State::Exited { exit: Exit::PoweredOff, .. }));
}

#[tokio::test(flavor = "multi_thread")]
async fn cloud_config_is_honoured_and_what_is_unknown_is_refused_loudly() {
    let (region, image) = (Region::new(), image().await);
    let data = b"Content-Type: multipart/mixed; boundary=\"b\"\nMIME-Version: 1.0\n\n--b\n\
        Content-Type: text/cloud-config\n\n#cloud-config\nwrite_files:\n- path: /etc/motd\n  content: hi\n  permissions: '0600'\n\
        users:\n- name: ann\n  sudo: ALL=(ALL) NOPASSWD:ALL\n  groups: [web]\nruncmd:\n- [touch, /root/run cmd]\n- echo $((1+1)) > /root/two\n\n--b\n\
        Content-Type: text/cloud-config\n\n#cloud-config\nchef:\n  install: true\n\n--b\n\
        Content-Type: text/x-shellscript\n\n#!/bin/sh\ncat /root/two > /root/three\nexit 3\n\n--b--\n";
    let network = metadata(data);
    let mut spec = sandbox("i-2", region.volume_root("vol-1", &image));
    spec.netns = Some(network.path.clone());
    region.start(spec).await;
    until("first boot", async || {
        region.shell("i-2", "cloud-init status | grep -q error").await.success()
    })
    .await;
    assert_eq!(region.print("i-2", "cat /etc/motd; stat -c %a /etc/motd").await, "hi600");
    assert_eq!(region.print("i-2", "cat /root/three; ls /root").await, "2\nrun cmd\nthree\ntwo");
    assert_eq!(region.print("i-2", "su ann -c 'sudo id -u'").await, "0");
    let console = region.console("i-2").await;
    assert!(console.contains("keys that this image does not support: chef"), "{console}");
    assert!(console.contains("part-001 ended with 3"), "{console}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_restarts_and_powers_off_by_itself() {
    let (region, image) = (Region::new(), image().await);
    let mut events = region.machine.events();
    region.start(sandbox("i-3", region.volume_root("vol-1", &image))).await;
    let first = region.pid("i-3").await;
    // These commands die with the machine that they end.
    region.shell("i-3", "echo kept > /root/file; sync; reboot -f").await;
    until(
        "the restart",
        async || matches!(region.state("i-3").await, State::Running { pid, .. } if pid != first),
    )
    .await;
    assert_eq!(region.print("i-3", "cat /root/file").await, "kept");
    region.shell("i-3", "poweroff -f").await;
    let mut seen = Vec::new();
    while !matches!(seen.last(), Some(EventKind::Exited(_))) {
        let event = tokio::time::timeout(Duration::from_secs(60), events.recv()).await;
        seen.push(event.unwrap().unwrap().kind);
    }
    let expected = [
        EventKind::SupervisorBack,
        EventKind::Started,
        EventKind::Started,
        EventKind::Exited(Exit::PoweredOff),
    ];
    assert_eq!(seen, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_volume_outlives_its_machine_has_a_real_size_and_can_become_an_image() {
    let (region, image) = (Region::new(), image().await);
    region.start(sandbox("i-4", region.volume_root("vol-1", &image))).await;
    let setup = "install -o 33 -m 4755 /bin/id /srv/id; rm /etc/motd; ln -s x /srv/link; mv /usr/share/zoneinfo /srv/";
    region.print("i-4", setup).await;
    let full = region.shell("i-4", "dd if=/dev/zero of=/big bs=1M count=600").await;
    assert!(String::from_utf8_lossy(&full.stderr).contains("No space left"), "{full:?}");
    region.print("i-4", "rm /big").await;
    let images = Images::new(region.folder.path().join("images"));
    assert!(images.snapshot(&region.volumes, "vol-1", &image.layers).is_err(), "it is in use");
    region.machine.stop(&region.zone, "i-4", Stop::Kill).await.unwrap();
    let begun = Instant::now();
    let copy = images.snapshot(&region.volumes, "vol-1", &image.layers).unwrap();
    println!("snapshot of {} bytes took {:?}", copy.size_bytes, begun.elapsed());
    assert_eq!(copy.layers.len(), image.layers.len() + 1);
    let mut root = region.volume_root("vol-2", &copy);
    assert!(matches!(root.upper, Upper::Volume(_)));
    root.files.push(machine::SeedFile {
        path: "/etc/skyhold/seed".into(),
        mode: 0o600,
        content: b"seed".to_vec(),
    });
    region.start(sandbox("i-5", root)).await;
    let found = region.print("i-5", "stat -c '%u %a' /srv/id; readlink /srv/link; test -e /etc/motd || echo gone; ls -d /srv/zoneinfo /usr/share/zoneinfo; cat /etc/skyhold/seed").await;
    assert_eq!(found, "33 4755\nx\ngone\n/srv/zoneinfo\nseed");
    // A copy of the disk is a machine too, beside the first.
    region.volumes.copy("vol-1", "vol-3").unwrap();
    region.start(sandbox("i-6", region.volume_root("vol-3", &image))).await;
    region.start(sandbox("i-4", region.volume_root("vol-1", &image))).await;
    for id in ["i-4", "i-6"] {
        assert_eq!(region.print(id, "stat -c '%u %a' /srv/id").await, "33 4755");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn many_machines_start_together() {
    const COUNT: usize = 10;
    let (region, image) = (Region::new(), image().await);
    region.machine.start_all().await.unwrap();
    region.volumes.create("warm", 512 << 20).unwrap();
    let begun = Instant::now();
    let mut starting = tokio::task::JoinSet::new();
    let mut networks = Vec::new();
    for number in 0..COUNT {
        let network = metadata(b"");
        let root = region.volume_root(&format!("vol-{number}"), &image);
        let mut spec = sandbox(&format!("i-{number}"), root);
        spec.netns = Some(network.path.clone());
        networks.push(network);
        let (machine, zone) = (region.machine.clone(), region.zone.clone());
        starting.spawn(async move { machine.start(&zone, spec).await });
    }
    while let Some(started) = starting.join_next().await {
        started.unwrap().unwrap();
    }
    println!("{COUNT} started after {:?}", begun.elapsed());
    for network in &networks {
        tokio::task::block_in_place(|| banner(network, begun));
    }
    println!("{COUNT} banners after {:?}", begun.elapsed());
    region.machine.shutdown().await.unwrap();
    println!("all stopped after {:?}", begun.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_lamp_image_serves_php_when_its_user_asks_for_it() {
    let region = Region::new();
    let images = Images::new(Images::default_folder());
    let image = images.ensure(machine::ImageRecipe::Debian12Lamp).await.unwrap();
    println!("image of {} bytes built in {:?}", image.size_bytes, image.build_time);
    let network = metadata(
        b"#!/bin/sh\nset -e\nsed -i 's/^Listen .*/Listen 127.0.0.1:80/' /etc/apache2/ports.conf\n\
          echo '<?php echo PHP_VERSION_ID > 80000 ? \"php\" : \"\";' > /var/www/html/i.php\n\
          systemctl start apache2\n",
    );
    let mut spec = sandbox("i-6", region.volume_root("vol-1", &image));
    spec.netns = Some(network.path.clone());
    let begun = Instant::now();
    region.start(spec).await;
    tokio::task::block_in_place(|| banner(&network, begun));
    assert_eq!(region.print("i-6", "cloud-init status --wait").await, "status: done");
    assert_eq!(region.print("i-6", "curl -sf http://127.0.0.1/i.php").await, "php");
    println!("PHP answered after {:?}", begun.elapsed());
    let version = region.print("i-6", "aws --version").await;
    assert!(version.starts_with("aws-cli/2.17"), "{version}");
    let modules = region.print("i-6", "php -m").await;
    for module in ["mysqli", "pdo_mysql", "redis", "curl", "SimpleXML"] {
        assert!(modules.lines().any(|line| line == module), "{module} is missing: {modules}");
    }
}
