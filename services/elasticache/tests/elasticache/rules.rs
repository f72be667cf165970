//! What is refused, listed in pages and denied, without an engine.

use elasticache_api::*;

use crate::world::{SUBNETS, World, valkey};

async fn refused(world: &World, change: impl Fn(&mut CreateReplicationGroupInput)) -> String {
    let mut input = valkey("sessions");
    change(&mut input);
    world.root().call(input).await.unwrap_err().code
}

#[tokio::test]
async fn what_cannot_be_honoured_is_refused() {
    let world = World::new(91).await;
    let code = refused(&world, |_| {}).await;
    assert_eq!(code, "CacheSubnetGroupNotFoundFault");
    world.subnet_group().await;
    type Change = fn(&mut CreateReplicationGroupInput);
    let cases: [(&str, Change); 14] = [
        ("InvalidParameterCombination", |it| it.transit_encryption_enabled = Some(true)),
        ("InvalidParameterCombination", |it| it.at_rest_encryption_enabled = Some(true)),
        ("InvalidParameterCombination", |it| it.num_node_groups = Some(2)),
        ("InvalidParameterCombination", |it| it.auth_token = Some("x".repeat(20))),
        ("InvalidParameterCombination", |it| it.snapshot_retention_limit = Some(1)),
        ("InvalidParameterCombination", |it| it.automatic_failover_enabled = Some(false)),
        ("InvalidParameterCombination", |it| it.num_cache_clusters = Some(1)),
        ("InvalidParameterCombination", |it| it.engine_version = Some("5.0".to_owned())),
        ("InvalidParameterValue", |it| it.num_cache_clusters = Some(7)),
        ("InvalidParameterValue", |it| it.cache_node_type = Some("cache.x1.huge".to_owned())),
        ("InvalidParameterValue", |it| it.replication_group_id = "a--b".to_owned()),
        ("InvalidParameterValue", |it| it.security_group_ids = vec!["sg-none".to_owned()]),
        ("InsufficientCacheClusterCapacity", |it| it.engine = Some("memcached".to_owned())),
        ("CacheParameterGroupNotFound", |it| {
            it.cache_parameter_group_name = Some("none".to_owned());
        }),
    ];
    for (code, change) in cases {
        assert_eq!(refused(&world, change).await, code);
    }
    let in_one_zone = |it: &mut CreateReplicationGroupInput| {
        it.preferred_cache_cluster_azs = vec!["ap-northeast-2a".to_owned(); 2];
    };
    assert_eq!(refused(&world, in_one_zone).await, "InvalidParameterCombination");
}

#[tokio::test]
async fn subnet_groups_are_made_changed_listed_in_pages_and_removed() {
    let world = World::new(92).await;
    let root = world.root();
    let group = |name: String| CreateCacheSubnetGroupInput {
        cache_subnet_group_name: name,
        cache_subnet_group_description: "zones".to_owned(),
        subnet_ids: vec![SUBNETS[0].to_owned()],
        tags: vec![Tag { key: Some("team".to_owned()), value: Some("web".to_owned()) }],
    };
    for number in 0..21 {
        root.call(group(format!("g{number:02}"))).await.unwrap();
    }
    let twice = root.call(group("g00".to_owned())).await.unwrap_err();
    assert_eq!(twice.code, "CacheSubnetGroupAlreadyExists");
    let mut input = DescribeCacheSubnetGroupsInput { max_records: Some(20), ..Default::default() };
    let first = root.call(input.clone()).await.unwrap();
    assert_eq!(first.cache_subnet_groups.len(), 20);
    input.marker = first.marker;
    let rest = root.call(input).await.unwrap();
    assert_eq!((rest.cache_subnet_groups.len(), rest.marker), (1, None));
    let arn = rest.cache_subnet_groups[0].arn.clone().unwrap();
    assert!(arn.ends_with(":subnetgroup:g20"), "{arn}");
    let tags = ListTagsForResourceInput { resource_name: arn.clone() };
    assert_eq!(root.call(tags).await.unwrap().tag_list[0].value.as_deref(), Some("web"));
    let gone =
        RemoveTagsFromResourceInput { resource_name: arn, tag_keys: vec!["nobody".to_owned()] };
    assert_eq!(root.call(gone).await.unwrap_err().code, "TagNotFound");
    let modify = ModifyCacheSubnetGroupInput {
        cache_subnet_group_name: "g20".to_owned(),
        subnet_ids: SUBNETS.map(str::to_owned).to_vec(),
        ..Default::default()
    };
    let modified = root.call(modify).await.unwrap().cache_subnet_group.unwrap();
    assert_eq!(modified.subnets.len(), 2);
    let remove = DeleteCacheSubnetGroupInput { cache_subnet_group_name: "g20".to_owned() };
    root.call(remove.clone()).await.unwrap();
    let again = root.call(remove).await.unwrap_err();
    assert_eq!(again.code, "CacheSubnetGroupNotFoundFault");
}

#[tokio::test]
async fn engines_and_parameters_are_told() {
    let world = World::new(93).await;
    let root = world.root();
    let versions = root.call(DescribeCacheEngineVersionsInput::default()).await.unwrap();
    let families: Vec<_> = versions
        .cache_engine_versions
        .iter()
        .filter_map(|one| one.cache_parameter_group_family.as_deref())
        .collect();
    assert_eq!(families, ["redis7", "valkey8"]);
    let groups = root.call(DescribeCacheParameterGroupsInput::default()).await.unwrap();
    assert_eq!(groups.cache_parameter_groups.len(), 2);
    let input = DescribeCacheParametersInput {
        cache_parameter_group_name: "default.valkey8".to_owned(),
        ..Default::default()
    };
    let found = root.call(input).await.unwrap().parameters;
    let policy = found.iter().find(|one| one.parameter_name.as_deref() == Some("maxmemory-policy"));
    assert_eq!(policy.unwrap().parameter_value.as_deref(), Some("volatile-lru"));
    let change = ModifyCacheParameterGroupInput {
        cache_parameter_group_name: "default.valkey8".to_owned(),
        parameter_name_values: vec![ParameterNameValue {
            parameter_name: Some("timeout".to_owned()),
            parameter_value: Some("10".to_owned()),
        }],
    };
    let error = root.call(change).await.unwrap_err();
    assert_eq!(error.code, "InvalidCacheParameterGroupState");
}

macro_rules! denied {
    ($client:expr; $($input:expr),+ $(,)?) => {$(
        let error = $client.call($input).await.unwrap_err();
        assert_eq!(error.code, "AccessDenied", "{}", stringify!($input));
    )+};
}

#[tokio::test]
async fn every_operation_is_denied_to_who_may_do_nothing() {
    let world = World::new(94).await;
    let nobody = world.cloud().nobody();
    let name = || "sessions".to_owned();
    let arn = || "arn:aws:elasticache:ap-northeast-2:123456789012:cluster:a".to_owned();
    denied!(nobody;
        valkey("sessions"),
        DescribeReplicationGroupsInput::default(),
        ModifyReplicationGroupInput { replication_group_id: name(), ..Default::default() },
        DeleteReplicationGroupInput { replication_group_id: name(), ..Default::default() },
        TestFailoverInput { replication_group_id: name(), node_group_id: "0001".to_owned() },
        IncreaseReplicaCountInput { replication_group_id: name(), ..Default::default() },
        DecreaseReplicaCountInput { replication_group_id: name(), ..Default::default() },
        CreateCacheClusterInput { cache_cluster_id: name(), ..Default::default() },
        DescribeCacheClustersInput::default(),
        ModifyCacheClusterInput { cache_cluster_id: name(), ..Default::default() },
        DeleteCacheClusterInput { cache_cluster_id: name(), ..Default::default() },
        RebootCacheClusterInput {
            cache_cluster_id: name(),
            cache_node_ids_to_reboot: vec!["0001".to_owned()],
        },
        CreateCacheSubnetGroupInput {
            cache_subnet_group_name: name(),
            cache_subnet_group_description: name(),
            subnet_ids: vec![SUBNETS[0].to_owned()],
            tags: Vec::new(),
        },
        DeleteCacheSubnetGroupInput { cache_subnet_group_name: name() },
        DescribeCacheSubnetGroupsInput::default(),
        ModifyCacheSubnetGroupInput { cache_subnet_group_name: name(), ..Default::default() },
        CreateCacheParameterGroupInput {
            cache_parameter_group_name: name(),
            cache_parameter_group_family: "valkey8".to_owned(),
            description: name(),
            tags: Vec::new(),
        },
        DeleteCacheParameterGroupInput { cache_parameter_group_name: name() },
        DescribeCacheParameterGroupsInput::default(),
        DescribeCacheParametersInput { cache_parameter_group_name: name(), ..Default::default() },
        ModifyCacheParameterGroupInput {
            cache_parameter_group_name: name(),
            parameter_name_values: vec![ParameterNameValue {
                parameter_name: Some("timeout".to_owned()),
                parameter_value: Some("10".to_owned()),
            }],
        },
        DescribeCacheEngineVersionsInput::default(),
        DescribeEventsInput::default(),
        AddTagsToResourceInput {
            resource_name: arn(),
            tags: vec![Tag { key: Some(name()), value: None }],
        },
        ListTagsForResourceInput { resource_name: arn() },
        RemoveTagsFromResourceInput { resource_name: arn(), tag_keys: vec![name()] },
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_that_gets_no_interface_has_failed_and_can_be_deleted() {
    let world = World::new(95).await.unpacked(engine::EngineKind::Valkey, "8.1").await;
    world.subnet_group().await;
    world.host.addresses.refuse("InsufficientFreeAddressesInSubnet");
    world.root().call(valkey("sessions")).await.unwrap();
    testkit::poll::until("the group to have failed", || async {
        let status = world.group("sessions").await?.status?;
        (status == "create-failed").then_some(())
    })
    .await;
    assert!(world.host.machine.running().is_empty());
    let delete = DeleteReplicationGroupInput {
        replication_group_id: "sessions".to_owned(),
        ..Default::default()
    };
    world.root().call(delete).await.unwrap();
    testkit::poll::until("the group to be gone", || async {
        world.group("sessions").await.is_none().then_some(())
    })
    .await;
}
