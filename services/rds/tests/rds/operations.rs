//! Operations one by one: what they answer, what they refuse, and that nobody may call them
//! without permission.

use engine::EngineKind;
use rds_api as rds;
use testkit::poll;

use crate::world::{SUBNETS, World, mariadb};

/// Calls an operation as somebody without permissions.
macro_rules! denied {
    ($world:expr, $($input:expr),+ $(,)?) => {{
        let nobody = $world.cloud().nobody();
        $(
            let error = nobody.call($input).await.unwrap_err();
            assert_eq!(error.code, "AccessDenied", "{}", stringify!($input));
        )+
    }};
}

/// Calls an operation that must be refused with this code.
macro_rules! refused {
    ($world:expr, $($code:literal: $input:expr),+ $(,)?) => {{
        let root = $world.root();
        $(
            let error = root.call($input).await.unwrap_err();
            assert_eq!(error.code, $code, "{}", stringify!($input));
        )+
    }};
}

#[tokio::test]
async fn nobody_is_let_in_without_permission() {
    let world = World::new(81).await;
    let db = || "shop".to_owned();
    denied!(
        world,
        mariadb("shop"),
        rds::DescribeDBInstancesInput::default(),
        rds::ModifyDBInstanceInput { db_instance_identifier: db(), ..Default::default() },
        rds::DeleteDBInstanceInput { db_instance_identifier: db(), ..Default::default() },
        rds::RebootDBInstanceInput { db_instance_identifier: db(), force_failover: None },
        rds::StartDBInstanceInput { db_instance_identifier: db(), ..Default::default() },
        rds::StopDBInstanceInput { db_instance_identifier: db(), ..Default::default() },
        rds::CreateDBInstanceReadReplicaInput {
            db_instance_identifier: db(),
            source_db_instance_identifier: Some(db()),
            ..Default::default()
        },
        rds::PromoteReadReplicaInput { db_instance_identifier: db(), ..Default::default() },
        rds::CreateDBSnapshotInput {
            db_snapshot_identifier: db(),
            db_instance_identifier: db(),
            tags: Vec::new(),
        },
        rds::DeleteDBSnapshotInput { db_snapshot_identifier: db() },
        rds::DescribeDBSnapshotsInput::default(),
        rds::RestoreDBInstanceFromDBSnapshotInput {
            db_instance_identifier: db(),
            db_snapshot_identifier: Some(db()),
            ..Default::default()
        },
        rds::DescribeEventsInput::default(),
        rds::DescribeDBLogFilesInput { db_instance_identifier: db(), ..Default::default() },
        rds::DownloadDBLogFilePortionInput {
            db_instance_identifier: db(),
            log_file_name: "error/error.log".to_owned(),
            ..Default::default()
        },
    );
}

#[tokio::test]
async fn nobody_touches_groups_or_tags_without_permission() {
    let world = World::new(82).await;
    let name = || "site".to_owned();
    let arn = || format!("arn:aws:rds:{}:{}:pg:site", testkit::REGION, testkit::ACCOUNT);
    denied!(
        world,
        rds::CreateDBSubnetGroupInput {
            db_subnet_group_name: name(),
            db_subnet_group_description: name(),
            subnet_ids: SUBNETS.map(str::to_owned).to_vec(),
            tags: Vec::new(),
        },
        rds::ModifyDBSubnetGroupInput {
            db_subnet_group_name: name(),
            subnet_ids: SUBNETS.map(str::to_owned).to_vec(),
            ..Default::default()
        },
        rds::DeleteDBSubnetGroupInput { db_subnet_group_name: name() },
        rds::DescribeDBSubnetGroupsInput::default(),
        rds::CreateDBParameterGroupInput {
            db_parameter_group_name: name(),
            db_parameter_group_family: "mariadb10.11".to_owned(),
            description: name(),
            tags: Vec::new(),
        },
        rds::ModifyDBParameterGroupInput {
            db_parameter_group_name: name(),
            parameters: vec![rds::Parameter { parameter_name: Some(name()), ..Default::default() }],
        },
        rds::ResetDBParameterGroupInput { db_parameter_group_name: name(), ..Default::default() },
        rds::DeleteDBParameterGroupInput { db_parameter_group_name: name() },
        rds::DescribeDBParameterGroupsInput::default(),
        rds::DescribeDBParametersInput { db_parameter_group_name: name(), ..Default::default() },
        rds::DescribeEngineDefaultParametersInput {
            db_parameter_group_family: "mariadb10.11".to_owned(),
            ..Default::default()
        },
        rds::DescribeDBEngineVersionsInput::default(),
        rds::DescribeOrderableDBInstanceOptionsInput {
            engine: "mariadb".to_owned(),
            ..Default::default()
        },
        rds::AddTagsToResourceInput { resource_name: arn(), tags: Vec::new() },
        rds::RemoveTagsFromResourceInput { resource_name: arn(), tag_keys: vec![name()] },
        rds::ListTagsForResourceInput { resource_name: arn(), ..Default::default() },
    );
}

#[tokio::test]
async fn what_is_not_there_is_refused_by_its_kind() {
    let world = World::new(83).await;
    let name = || "nothing".to_owned();
    refused!(
        world,
        "DBInstanceNotFound": rds::ModifyDBInstanceInput {
            db_instance_identifier: name(),
            ..Default::default()
        },
        "DBInstanceNotFound": rds::RebootDBInstanceInput {
            db_instance_identifier: name(),
            force_failover: None,
        },
        "DBInstanceNotFound": rds::StartDBInstanceInput {
            db_instance_identifier: name(),
            ..Default::default()
        },
        "DBInstanceNotFound": rds::StopDBInstanceInput {
            db_instance_identifier: name(),
            ..Default::default()
        },
        "DBInstanceNotFound": rds::CreateDBInstanceReadReplicaInput {
            db_instance_identifier: "reader".to_owned(),
            source_db_instance_identifier: Some(name()),
            ..Default::default()
        },
        "DBInstanceNotFound": rds::PromoteReadReplicaInput {
            db_instance_identifier: name(),
            ..Default::default()
        },
        "DBInstanceNotFound": rds::CreateDBSnapshotInput {
            db_snapshot_identifier: "kept".to_owned(),
            db_instance_identifier: name(),
            tags: Vec::new(),
        },
        "DBInstanceNotFound": rds::DescribeDBLogFilesInput {
            db_instance_identifier: name(),
            ..Default::default()
        },
        "DBSnapshotNotFound": rds::DeleteDBSnapshotInput { db_snapshot_identifier: name() },
        "DBSnapshotNotFound": rds::RestoreDBInstanceFromDBSnapshotInput {
            db_instance_identifier: "again".to_owned(),
            db_snapshot_identifier: Some(name()),
            ..Default::default()
        },
        "DBSubnetGroupNotFoundFault": rds::DeleteDBSubnetGroupInput {
            db_subnet_group_name: name(),
        },
        "DBParameterGroupNotFound": rds::ResetDBParameterGroupInput {
            db_parameter_group_name: name(),
            ..Default::default()
        },
        "DBParameterGroupNotFound": rds::DeleteDBParameterGroupInput {
            db_parameter_group_name: name(),
        },
        "InvalidDBParameterGroupState": rds::DeleteDBParameterGroupInput {
            db_parameter_group_name: "default.mariadb10.11".to_owned(),
        },
        "InvalidParameterValue": rds::DescribeEngineDefaultParametersInput {
            db_parameter_group_family: "db2-11".to_owned(),
            ..Default::default()
        },
    );
}

#[tokio::test]
async fn a_subnet_group_is_told_changed_and_deleted() {
    let world = World::new(84).await;
    world.subnet_group().await;
    let root = world.root();
    let all = root.call(rds::DescribeDBSubnetGroupsInput::default()).await.unwrap();
    let found = &all.db_subnet_groups[0];
    assert_eq!(found.db_subnet_group_name.as_deref(), Some("data"));
    let ids: Vec<_> =
        found.subnets.iter().filter_map(|subnet| subnet.subnet_identifier.as_deref()).collect();
    assert_eq!(ids, SUBNETS);
    let wider = [SUBNETS[0], SUBNETS[1], "subnet-0000001a"];
    let modify = |ids: &[&str]| rds::ModifyDBSubnetGroupInput {
        db_subnet_group_name: "data".to_owned(),
        db_subnet_group_description: Some("wider".to_owned()),
        subnet_ids: ids.iter().map(|id| (*id).to_owned()).collect(),
    };
    let changed = root.call(modify(&wider)).await.unwrap().db_subnet_group.unwrap();
    assert_eq!(changed.subnets.len(), 3);
    assert_eq!(changed.db_subnet_group_description.as_deref(), Some("wider"));
    refused!(
        world,
        "DBSubnetGroupDoesNotCoverEnoughAZs": modify(&["subnet-0000000a", "subnet-0000001a"]),
        "InvalidSubnet": modify(&["subnet-0000000a", "subnet-99999999"]),
    );
    let delete = rds::DeleteDBSubnetGroupInput { db_subnet_group_name: "data".to_owned() };
    root.call(delete).await.unwrap();
    let all = root.call(rds::DescribeDBSubnetGroupsInput::default()).await.unwrap();
    assert!(all.db_subnet_groups.is_empty());
}

#[tokio::test]
async fn parameters_go_back_to_their_defaults() {
    let world = World::new(85).await;
    let root = world.root();
    let group = rds::CreateDBParameterGroupInput {
        db_parameter_group_name: "site".to_owned(),
        db_parameter_group_family: "postgres15".to_owned(),
        description: "of the site".to_owned(),
        tags: Vec::new(),
    };
    root.call(group).await.unwrap();
    let parameter = |name: &str, value: &str| rds::Parameter {
        parameter_name: Some(name.to_owned()),
        parameter_value: Some(value.to_owned()),
        apply_method: Some(rds::ApplyMethod::PendingReboot),
        ..Default::default()
    };
    let set = rds::ModifyDBParameterGroupInput {
        db_parameter_group_name: "site".to_owned(),
        parameters: vec![parameter("work_mem", "8192"), parameter("max_connections", "50")],
    };
    root.call(set).await.unwrap();
    let own = || async {
        let input = rds::DescribeDBParametersInput {
            db_parameter_group_name: "site".to_owned(),
            source: Some("user".to_owned()),
            ..Default::default()
        };
        let shown = world.root().call(input).await.unwrap().parameters;
        shown.into_iter().filter_map(|one| one.parameter_name).collect::<Vec<_>>()
    };
    assert_eq!(own().await, ["max_connections", "work_mem"]);
    let reset = |parameters| rds::ResetDBParameterGroupInput {
        db_parameter_group_name: "site".to_owned(),
        reset_all_parameters: None,
        parameters,
    };
    root.call(reset(vec![parameter("work_mem", "")])).await.unwrap();
    assert_eq!(own().await, ["max_connections"]);
    let both = rds::ResetDBParameterGroupInput {
        reset_all_parameters: Some(true),
        ..reset(vec![parameter("work_mem", "")])
    };
    refused!(
        world,
        "InvalidParameterCombination": both,
        "InvalidParameterValue": reset(vec![parameter("no_such_thing", "")]),
    );
    root.call(reset(Vec::new())).await.unwrap();
    assert!(own().await.is_empty());
    let input = rds::DescribeEngineDefaultParametersInput {
        db_parameter_group_family: "postgres15".to_owned(),
        ..Default::default()
    };
    let defaults = root.call(input).await.unwrap().engine_defaults.unwrap();
    assert!(defaults.parameters.iter().any(|one| one.parameter_name.is_some()));
}

#[tokio::test]
async fn engines_and_classes_on_offer_are_told() {
    let world = World::new(86).await;
    let root = world.root();
    let input = rds::DescribeDBEngineVersionsInput {
        engine: Some("postgres".to_owned()),
        ..Default::default()
    };
    let found = root.call(input).await.unwrap().db_engine_versions;
    let families: Vec<_> =
        found.iter().filter_map(|one| one.db_parameter_group_family.as_deref()).collect();
    assert_eq!(families, ["postgres15", "postgres17"]);
    let input = rds::DescribeDBEngineVersionsInput {
        engine: Some("oracle-ee".to_owned()),
        ..Default::default()
    };
    assert!(root.call(input).await.unwrap().db_engine_versions.is_empty());
    let input = rds::DescribeOrderableDBInstanceOptionsInput {
        engine: "mariadb".to_owned(),
        db_instance_class: Some("db.t3.micro".to_owned()),
        ..Default::default()
    };
    let found = root.call(input).await.unwrap().orderable_db_instance_options;
    assert!(!found.is_empty());
    assert!(found.iter().all(|one| one.multi_az_capable == Some(true)));
}

#[tokio::test(flavor = "multi_thread")]
async fn logs_are_read_in_portions_and_snapshots_and_tags_go() {
    let world = World::new(87).await.unpacked(EngineKind::MariaDb, "10.11").await;
    let root = world.root();
    root.call(mariadb("shop")).await.unwrap();
    world.available("shop").await;
    let used = rds::DeleteDBSubnetGroupInput { db_subnet_group_name: "data".to_owned() };
    let log = |name: &str, marker: Option<&str>| rds::DownloadDBLogFilePortionInput {
        db_instance_identifier: "shop".to_owned(),
        log_file_name: name.to_owned(),
        marker: marker.map(str::to_owned),
        number_of_lines: Some(2),
    };
    refused!(
        world,
        "InvalidDBSubnetGroupStateFault": used,
        "DBInstanceAlreadyExists": mariadb("shop"),
        "DBLogFileNotFoundFault": log("error/none.log", None),
        "DBLogFileNotFoundFault": log("error/../cluster.json", None),
        "InvalidParameterValue": log("error/error.log", Some("99999999999")),
    );
    let first = root.call(log("error/error.log", Some("0"))).await.unwrap();
    assert_eq!(first.log_file_data.unwrap().lines().count(), 2);
    assert_eq!(first.additional_data_pending, Some(true));
    let next = root.call(log("error/error.log", first.marker.as_deref())).await.unwrap();
    assert!(next.marker > first.marker || next.marker.unwrap().len() > first.marker.unwrap().len());

    let take = rds::CreateDBSnapshotInput {
        db_snapshot_identifier: "kept".to_owned(),
        db_instance_identifier: "shop".to_owned(),
        tags: Vec::new(),
    };
    root.call(take.clone()).await.unwrap();
    world.available("shop").await;
    refused!(world, "DBSnapshotAlreadyExists": take);
    let delete = rds::DeleteDBSnapshotInput { db_snapshot_identifier: "kept".to_owned() };
    let kept = || async {
        let input = rds::DescribeDBSnapshotsInput {
            db_snapshot_identifier: Some("kept".to_owned()),
            ..Default::default()
        };
        let found = world.root().call(input).await.ok()?.db_snapshots.into_iter().next()?;
        (found.status.as_deref() == Some("available")).then_some(found)
    };
    let found = poll::until("the snapshot", kept).await;
    assert_eq!(found.percent_progress, Some(100));
    root.call(delete.clone()).await.unwrap();
    refused!(world, "DBSnapshotNotFound": delete);
    assert!(std::fs::read_dir(world.host.data().join("snapshots")).map_or(0, Iterator::count) == 0);

    let arn = world.instance("shop").await.unwrap().db_instance_arn.unwrap();
    let tag = rds::Tag { key: Some("team".to_owned()), value: Some("shop".to_owned()) };
    let tags =
        || rds::ListTagsForResourceInput { resource_name: arn.clone(), ..Default::default() };
    let add = rds::AddTagsToResourceInput { resource_name: arn.clone(), tags: vec![tag.clone()] };
    root.call(add).await.unwrap();
    assert_eq!(root.call(tags()).await.unwrap().tag_list, [tag]);
    let tag_keys = vec!["team".to_owned(), "never".to_owned()];
    let remove = rds::RemoveTagsFromResourceInput { resource_name: arn.clone(), tag_keys };
    root.call(remove).await.unwrap();
    assert!(root.call(tags()).await.unwrap().tag_list.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_that_gets_no_interface_has_failed_and_can_be_deleted() {
    let world = World::new(88).await.unpacked(EngineKind::MariaDb, "10.11").await;
    let root = world.root();
    world.host.addresses.refuse("InsufficientFreeAddressesInSubnet");
    root.call(mariadb("shop")).await.unwrap();
    poll::until("the instance to have failed", || async {
        let status = world.instance("shop").await?.db_instance_status?;
        (status == "failed").then_some(())
    })
    .await;
    assert!(world.host.machine.running().is_empty());
    let told = root.call(rds::DescribeEventsInput::default()).await.unwrap().events;
    let failure = |one: &rds::Event| one.event_categories.iter().any(|kind| kind == "failure");
    assert!(told.iter().any(failure), "{told:?}");
    let delete = rds::DeleteDBInstanceInput {
        db_instance_identifier: "shop".to_owned(),
        skip_final_snapshot: Some(true),
        ..Default::default()
    };
    root.call(delete).await.unwrap();
    poll::until("the instance to be gone", || async {
        world.instance("shop").await.is_none().then_some(())
    })
    .await;
}
