//! Replication groups from their making to their end, with the engine running.

use std::time::{Duration, Instant};

use elasticache_api::*;
use engine::EngineKind;
use testkit::poll;

use crate::world::{GROUP, World, say, valkey};

/// How long a cache may be without a primary after its process was killed.
const FAILOVER_MAX: Duration = Duration::from_secs(2);

struct Ends {
    primary: Endpoint,
    reader: Endpoint,
    port: i32,
}

fn ends(group: &ReplicationGroup) -> Ends {
    let shard = group.node_groups[0].clone();
    let primary = shard.primary_endpoint.unwrap();
    let port = primary.port.unwrap();
    Ends { primary, reader: shard.reader_endpoint.unwrap(), port }
}

async fn raised(block: u8) -> (World, Ends) {
    let world = World::new(block).await.unpacked(EngineKind::Valkey, "8.1").await;
    world.subnet_group().await;
    world.root().call(valkey("sessions")).await.unwrap();
    let group = world.available("sessions").await;
    (world, ends(&group))
}

/// Waits until the primary's name leads to a cache that takes a write.
async fn written(world: &World, ends: &Ends, word: &str) -> Duration {
    let began = Instant::now();
    poll::until("a write through the primary's name", || async {
        let address = *world.resolve(&ends.primary).await.first()?;
        let answer = say(address, ends.port, &format!("SET word {word}")).await.ok()?;
        (answer == "+OK").then_some(())
    })
    .await;
    began.elapsed()
}

async fn read_back(world: &World, ends: &Ends, word: &str) {
    poll::until("the word through the reader's name", || async {
        let address = *world.resolve(&ends.reader).await.first()?;
        (say(address, ends.port, "GET word").await.ok()? == word).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_takes_over_when_the_primary_dies_and_the_old_one_comes_back() {
    let (world, ends) = raised(81).await;
    let code = ".ng.0001.apn2.cache.amazonaws.com";
    assert!(ends.primary.address.as_ref().unwrap().starts_with("sessions."));
    assert!(ends.reader.address.as_ref().unwrap().starts_with("sessions-ro."));
    assert!(ends.primary.address.as_ref().unwrap().ends_with(code));
    written(&world, &ends, "first").await;
    read_back(&world, &ends, "first").await;
    let old = world.resolve(&ends.primary).await[0];
    // Until the replica has caught up the reader's name leads to the primary.
    let replica = poll::until("the replica to serve readers", || async {
        world.resolve(&ends.reader).await.first().copied().filter(|reader| *reader != old)
    })
    .await;
    let answer = say(replica, ends.port, "SET word other").await.unwrap();
    assert!(answer.starts_with("-READONLY"), "{answer}");
    assert_eq!(world.primary("sessions").await, "sessions-001");
    world.host.machine.kill(&world.workload(old));
    let began = Instant::now();
    poll::until("another primary", || async {
        (world.resolve(&ends.primary).await == [replica]).then_some(())
    })
    .await;
    written(&world, &ends, "second").await;
    let took = began.elapsed();
    println!("a write was taken {took:?} after the primary was killed");
    assert!(took < FAILOVER_MAX, "{took:?}");
    assert_eq!(world.primary("sessions").await, "sessions-002");
    poll::until("the old primary to serve readers", || async {
        (world.resolve(&ends.reader).await == [old]).then_some(())
    })
    .await;
    read_back(&world, &ends, "second").await;
    let events = world.root().call(DescribeEventsInput::default()).await.unwrap().events;
    let told = |text: &str| events.iter().any(|one| one.message.as_deref() == Some(text));
    assert!(told("Replication group sessions created"));
    assert!(told("Failover to replica node sessions-002 completed"), "{events:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failover_is_tested_and_replicas_come_and_go() {
    let (world, ends) = raised(82).await;
    let root = world.root();
    written(&world, &ends, "kept").await;
    // Replication is asynchronous: what the replica has not read yet a failover may lose.
    read_back(&world, &ends, "kept").await;
    let test = |node_group: &str| TestFailoverInput {
        replication_group_id: "sessions".to_owned(),
        node_group_id: node_group.to_owned(),
    };
    assert_eq!(root.call(test("0002")).await.unwrap_err().code, "NodeGroupNotFoundFault");
    let answer = root.call(test("0001")).await.unwrap().replication_group.unwrap();
    assert_eq!(answer.status.as_deref(), Some("modifying"));
    world.available("sessions").await;
    assert_eq!(world.primary("sessions").await, "sessions-002");
    let more = IncreaseReplicaCountInput {
        replication_group_id: "sessions".to_owned(),
        new_replica_count: Some(2),
        replica_configuration: Vec::new(),
        apply_immediately: true,
    };
    root.call(more.clone()).await.unwrap();
    let group = world.available("sessions").await;
    assert_eq!(group.member_clusters, ["sessions-001", "sessions-002", "sessions-003"]);
    assert_eq!(root.call(more).await.unwrap_err().code, "NoOperationFault");
    poll::until("two readers", || async {
        (world.resolve(&ends.reader).await.len() == 2).then_some(())
    })
    .await;
    let fewer = DecreaseReplicaCountInput {
        replication_group_id: "sessions".to_owned(),
        replicas_to_remove: vec!["sessions-001".to_owned()],
        apply_immediately: true,
        ..Default::default()
    };
    root.call(fewer).await.unwrap();
    let group = world.available("sessions").await;
    assert_eq!(group.member_clusters, ["sessions-002", "sessions-003"]);
    read_back(&world, &ends, "kept").await;
    let last = DeleteCacheClusterInput {
        cache_cluster_id: "sessions-003".to_owned(),
        final_snapshot_identifier: None,
    };
    assert_eq!(root.call(last).await.unwrap_err().code, "InvalidCacheClusterState");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_control_plane_that_starts_again_adopts_the_nodes_and_a_deletion_leaves_nothing() {
    let (mut world, ends) = raised(83).await;
    written(&world, &ends, "kept").await;
    read_back(&world, &ends, "kept").await;
    let before = world.host.machine.pids();
    world.restart().await;
    let old = world.resolve(&ends.primary).await[0];
    poll::until("the cache to be adopted", || async {
        read_back(&world, &ends, "kept").await;
        Some(())
    })
    .await;
    assert_eq!(world.host.machine.pids(), before);
    world.host.machine.kill(&world.workload(old));
    poll::until("another primary", || async {
        (world.resolve(&ends.primary).await != [old]).then_some(())
    })
    .await;
    written(&world, &ends, "again").await;
    let input = DeleteReplicationGroupInput {
        replication_group_id: "sessions".to_owned(),
        ..Default::default()
    };
    world.root().call(input.clone()).await.unwrap();
    poll::until("the group to be gone", || async {
        world.group("sessions").await.is_none().then_some(())
    })
    .await;
    let again = world.root().call(input).await.unwrap_err();
    assert_eq!(again.code, "ReplicationGroupNotFoundFault");
    assert!(world.host.machine.running().is_empty());
    assert_eq!(world.host.addresses.deleted().len(), 2);
    assert!(world.resolve(&ends.primary).await.is_empty());
    assert!(world.resolve(&ends.reader).await.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn parameters_node_types_and_restarts_reach_the_engine() {
    let (world, ends) = raised(84).await;
    let root = world.root();
    let made = CreateCacheParameterGroupInput {
        cache_parameter_group_name: "lean".to_owned(),
        cache_parameter_group_family: "valkey8".to_owned(),
        description: "lean".to_owned(),
        tags: Vec::new(),
    };
    root.call(made).await.unwrap();
    let value = |name: &str, value: &str| ModifyCacheParameterGroupInput {
        cache_parameter_group_name: "lean".to_owned(),
        parameter_name_values: vec![ParameterNameValue {
            parameter_name: Some(name.to_owned()),
            parameter_value: Some(value.to_owned()),
        }],
    };
    root.call(value("reserved-memory-percent", "50")).await.unwrap();
    assert_eq!(root.call(value("timeout", "no")).await.unwrap_err().code, "InvalidParameterValue");
    let change = ModifyReplicationGroupInput {
        replication_group_id: "sessions".to_owned(),
        cache_parameter_group_name: Some("lean".to_owned()),
        cache_node_type: Some("cache.t3.small".to_owned()),
        security_group_ids: vec![GROUP.to_owned()],
        apply_immediately: Some(true),
        ..Default::default()
    };
    root.call(change).await.unwrap();
    let group = world.available("sessions").await;
    assert_eq!(group.cache_node_type.as_deref(), Some("cache.t3.small"));
    written(&world, &ends, "large").await;
    let address = world.resolve(&ends.primary).await[0];
    // What users may not do is shut to them; the memory is told by INFO.
    assert!(say(address, ends.port, "CONFIG GET maxmemory").await.unwrap().starts_with("-NOPERM"));
    let memory = (137_u64 << 30) / 100 / 100 * 50;
    poll::until("the memory of the new type", || async {
        let info = info(address, ends.port).await?;
        info.contains(&format!("maxmemory:{memory}\r")).then_some(())
    })
    .await;
    let reboot = RebootCacheClusterInput {
        cache_cluster_id: world.primary("sessions").await,
        cache_node_ids_to_reboot: vec!["0001".to_owned()],
    };
    root.call(reboot).await.unwrap();
    world.available("sessions").await;
    read_back(&world, &ends, "large").await;
}

async fn info(address: std::net::Ipv4Addr, port: i32) -> Option<String> {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let port = u16::try_from(port).unwrap();
    let mut stream = tokio::net::TcpStream::connect((address, port)).await.ok()?;
    stream.write_all(b"INFO memory\r\nQUIT\r\n").await.ok()?;
    let mut text = String::new();
    stream.read_to_string(&mut text).await.ok()?;
    Some(text)
}
