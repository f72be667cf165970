//! The life of a DB instance with a real MariaDB server in it.

use engine::EngineKind;
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, OptsBuilder};
use rds_api as rds;
use testkit::poll;

use crate::world::{World, mariadb};

async fn connect(world: &World, name: &str) -> Option<Conn> {
    let instance = world.instance(name).await?;
    let address = world.resolve(&instance).await;
    let port = u16::try_from(instance.endpoint?.port?).ok()?;
    let options = OptsBuilder::default()
        .ip_or_hostname(address.to_string())
        .tcp_port(port)
        .user(Some("admin"))
        .pass(Some("correct-horse"))
        .db_name(Some("shop"))
        .prefer_socket(false);
    Conn::new(options).await.ok()
}

async fn count(world: &World, name: &str) -> Option<u64> {
    connect(world, name).await?.query_first("SELECT COUNT(*) FROM orders").await.ok()?
}

async fn fill(world: &World, name: &str) {
    let mut conn = connect(world, name).await.unwrap();
    conn.query_drop("CREATE TABLE orders (id INT PRIMARY KEY)").await.unwrap();
    conn.query_drop("INSERT INTO orders VALUES (1), (2), (3)").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_multi_az_instance_survives_its_primary_and_the_control_plane() {
    let mut world = World::new(71).await.unpacked(EngineKind::MariaDb, "10.11").await;
    let root = world.root();
    let input = rds::CreateDBInstanceInput { multi_az: Some(true), ..mariadb("writer") };
    let made = root.call(input).await.unwrap().db_instance.unwrap();
    assert_eq!(made.db_instance_status.as_deref(), Some("creating"));
    assert!(made.endpoint.is_none());
    let before = world.available("writer").await;
    assert_eq!(before.multi_az, Some(true));
    assert_ne!(before.availability_zone, before.secondary_availability_zone);
    fill(&world, "writer").await;
    let old = world.resolve(&before).await;

    // Adopted, not restarted.
    let running = world.host.machine.running();
    assert_eq!(running.len(), 2);
    world.restart().await;
    assert_eq!(count(&world, "writer").await, Some(3));

    let reboot = rds::RebootDBInstanceInput {
        db_instance_identifier: "writer".to_owned(),
        force_failover: Some(true),
    };
    let root = world.root();
    root.call(reboot).await.unwrap();
    let after = world.available("writer").await;
    assert_eq!(after.availability_zone, before.secondary_availability_zone);
    assert_ne!(world.resolve(&after).await, old);
    assert_eq!(count(&world, "writer").await, Some(3));

    // The former primary comes back as the standby and takes over when the new one is killed.
    let began = std::time::Instant::now();
    let zone = |instance: &rds::DBInstance| instance.availability_zone.clone();
    poll::until("a standby in step and a failover", || async {
        let now = world.instance("writer").await?;
        if zone(&now) == zone(&before) {
            return Some(());
        }
        if world.host.machine.running().len() == 2 && began.elapsed().as_secs() >= 5 {
            let number = if zone(&after) == zone(&before) { 1 } else { 2 };
            let resource = now.dbi_resource_id.clone()?.to_ascii_lowercase();
            world.host.machine.kill(&format!("rds-{resource}-{number}"));
            // One kill is enough: what follows is the cluster's work.
            poll::until("the name to move", || async {
                let now = world.instance("writer").await?;
                (zone(&now) == zone(&before)).then_some(())
            })
            .await;
        }
        None
    })
    .await;
    assert_eq!(count(&world, "writer").await, Some(3));
    let events = rds::DescribeEventsInput {
        source_identifier: Some("writer".to_owned()),
        source_type: Some(rds::SourceType::DbInstance),
        ..Default::default()
    };
    let events = root.call(events).await.unwrap().events;
    let told = |text: &str| events.iter().any(|event| event.message.as_deref() == Some(text));
    assert!(told("DB instance created") && told("Multi-AZ instance failover completed"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_follows_and_a_snapshot_holds_the_data() {
    let world = World::new(72).await.unpacked(EngineKind::MariaDb, "10.11").await;
    let root = world.root();
    root.call(mariadb("source")).await.unwrap();
    world.available("source").await;
    fill(&world, "source").await;
    let input = rds::CreateDBInstanceReadReplicaInput {
        db_instance_identifier: "reader".to_owned(),
        source_db_instance_identifier: Some("source".to_owned()),
        ..Default::default()
    };
    root.call(input).await.unwrap();
    world.available("reader").await;
    poll::until("the rows on the reader", || async {
        count(&world, "reader").await.filter(|rows| *rows == 3)
    })
    .await;
    let mut reader = connect(&world, "reader").await.unwrap();
    assert!(reader.query_drop("INSERT INTO orders VALUES (9)").await.is_err());
    let listed = world.instance("source").await.unwrap().read_replica_db_instance_identifiers;
    assert_eq!(listed, ["reader"]);
    let promote = rds::PromoteReadReplicaInput {
        db_instance_identifier: "reader".to_owned(),
        ..Default::default()
    };
    root.call(promote).await.unwrap();
    world.available("reader").await;
    poll::until("the former replica to take writes", || async {
        let mut own = connect(&world, "reader").await?;
        own.query_drop("REPLACE INTO orders VALUES (9)").await.ok()
    })
    .await;
    assert_eq!(count(&world, "source").await, Some(3));

    let snapshot = rds::CreateDBSnapshotInput {
        db_snapshot_identifier: "kept".to_owned(),
        db_instance_identifier: "source".to_owned(),
        tags: Vec::new(),
    };
    root.call(snapshot).await.unwrap();
    world.available("source").await;
    let delete = rds::DeleteDBInstanceInput {
        db_instance_identifier: "source".to_owned(),
        skip_final_snapshot: Some(true),
        ..Default::default()
    };
    root.call(delete).await.unwrap();
    poll::until("the source to be gone", || async {
        world.instance("source").await.is_none().then_some(())
    })
    .await;
    assert_eq!(world.host.addresses.deleted().len(), 1);
    let restore = rds::RestoreDBInstanceFromDBSnapshotInput {
        db_instance_identifier: "restored".to_owned(),
        db_snapshot_identifier: Some("kept".to_owned()),
        db_subnet_group_name: Some("data".to_owned()),
        ..Default::default()
    };
    root.call(restore).await.unwrap();
    world.available("restored").await;
    assert_eq!(count(&world, "restored").await, Some(3));
}

async fn variable(world: &World, name: &str, variable: &str) -> Option<u64> {
    let query = format!("SELECT @@{variable}");
    connect(world, name).await?.query_first(query).await.ok()?
}

fn setting(name: &str, value: &str, method: rds::ApplyMethod) -> rds::Parameter {
    rds::Parameter {
        parameter_name: Some(name.to_owned()),
        parameter_value: Some(value.to_owned()),
        apply_method: Some(method),
        ..Default::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn parameters_reach_the_engine_and_a_stopped_instance_starts_again() {
    let world = World::new(75).await.unpacked(EngineKind::MariaDb, "10.11").await;
    let root = world.root();
    let group = rds::CreateDBParameterGroupInput {
        db_parameter_group_name: "site".to_owned(),
        db_parameter_group_family: "mariadb10.11".to_owned(),
        description: "of the site".to_owned(),
        tags: Vec::new(),
    };
    root.call(group).await.unwrap();
    let input = rds::CreateDBInstanceInput {
        db_parameter_group_name: Some("site".to_owned()),
        ..mariadb("shop")
    };
    root.call(input).await.unwrap();
    world.available("shop").await;
    fill(&world, "shop").await;
    let set = rds::ModifyDBParameterGroupInput {
        db_parameter_group_name: "site".to_owned(),
        parameters: vec![
            setting("max_connections", "77", rds::ApplyMethod::Immediate),
            setting("wait_timeout", "1234", rds::ApplyMethod::PendingReboot),
        ],
    };
    root.call(set).await.unwrap();
    poll::until("the dynamic value", || async {
        variable(&world, "shop", "global.max_connections").await.filter(|value| *value == 77)
    })
    .await;
    assert_ne!(variable(&world, "shop", "global.wait_timeout").await, Some(1234));
    let reboot = rds::RebootDBInstanceInput {
        db_instance_identifier: "shop".to_owned(),
        force_failover: None,
    };
    root.call(reboot).await.unwrap();
    world.available("shop").await;
    assert_eq!(variable(&world, "shop", "global.wait_timeout").await, Some(1234));

    let db_instance_identifier = "shop".to_owned();
    root.call(rds::StopDBInstanceInput {
        db_instance_identifier: db_instance_identifier.clone(),
        ..Default::default()
    })
    .await
    .unwrap();
    poll::until("the instance to be stopped", || async {
        let status = world.instance("shop").await?.db_instance_status?;
        (status == "stopped").then_some(())
    })
    .await;
    assert!(world.host.machine.running().is_empty());
    let start = rds::StartDBInstanceInput { db_instance_identifier, ..Default::default() };
    root.call(start).await.unwrap();
    world.available("shop").await;
    assert_eq!(count(&world, "shop").await, Some(3));

    let modify = rds::ModifyDBInstanceInput {
        db_instance_identifier: "shop".to_owned(),
        multi_az: Some(true),
        db_instance_class: Some("db.t3.small".to_owned()),
        apply_immediately: Some(true),
        ..Default::default()
    };
    root.call(modify).await.unwrap();
    let after = world.available("shop").await;
    assert_eq!(after.db_instance_class.as_deref(), Some("db.t3.small"));
    assert!(after.secondary_availability_zone.is_some());
    assert_eq!(count(&world, "shop").await, Some(3));
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_runs_in_two_zones_and_leaves_a_final_snapshot() {
    let world = World::new(76).await.unpacked(EngineKind::PostgreSql, "15").await;
    let root = world.root();
    let input = rds::CreateDBInstanceInput {
        engine: "postgres".to_owned(),
        engine_version: Some("15".to_owned()),
        multi_az: Some(true),
        ..mariadb("books")
    };
    let input = rds::CreateDBInstanceInput { master_username: Some("owner".to_owned()), ..input };
    root.call(input).await.unwrap();
    let before = world.available("books").await;
    assert!(before.engine_version.as_deref().is_some_and(|version| version.starts_with("15.")));
    assert_eq!(before.endpoint.unwrap().port, Some(5432));
    let reboot = rds::RebootDBInstanceInput {
        db_instance_identifier: "books".to_owned(),
        force_failover: Some(true),
    };
    root.call(reboot).await.unwrap();
    let after = world.available("books").await;
    assert_eq!(after.availability_zone, before.secondary_availability_zone);
    let logs = rds::DescribeDBLogFilesInput {
        db_instance_identifier: "books".to_owned(),
        ..Default::default()
    };
    let logs = root.call(logs).await.unwrap().describe_db_log_files;
    assert!(logs.iter().any(|log| log.size.is_some_and(|size| size > 0)));
    let delete = rds::DeleteDBInstanceInput {
        db_instance_identifier: "books".to_owned(),
        final_db_snapshot_identifier: Some("last".to_owned()),
        ..Default::default()
    };
    root.call(delete).await.unwrap();
    poll::until("the instance to be gone", || async {
        world.instance("books").await.is_none().then_some(())
    })
    .await;
    assert_eq!(world.host.addresses.deleted().len(), 2);
    assert!(world.host.machine.running().is_empty());
    let snapshots = rds::DescribeDBSnapshotsInput {
        db_snapshot_identifier: Some("last".to_owned()),
        ..Default::default()
    };
    let last = root.call(snapshots).await.unwrap().db_snapshots;
    assert_eq!(last[0].status.as_deref(), Some("available"));
    assert!(last[0].full_snapshot_size_in_bytes > Some(0));
}
