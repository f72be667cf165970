//! Cache clusters that are in no replication group, and the resource types of CloudFormation.

use elasticache_api::*;
use engine::EngineKind;
use kernel::Caller;
use kernel::resource::{Progress, Properties, ResourceCtx};
use policy::Principal;
use serde_json::json;
use testkit::poll;

use crate::world::{GROUP, SUBNETS, World, free_port, say};

async fn shown(world: &World, id: &str) -> Option<CacheCluster> {
    let input = DescribeCacheClustersInput {
        cache_cluster_id: Some(id.to_owned()),
        show_cache_node_info: Some(true),
        ..Default::default()
    };
    world.root().call(input).await.ok()?.cache_clusters.into_iter().next()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_single_node_serves_comes_back_after_a_crash_with_its_data_and_is_deleted() {
    let world = World::new(85).await.unpacked(EngineKind::Valkey, "8.1").await;
    world.subnet_group().await;
    let root = world.root();
    let input = CreateCacheClusterInput {
        cache_cluster_id: "Scratch".to_owned(),
        engine: Some("valkey".to_owned()),
        cache_node_type: Some("cache.t4g.micro".to_owned()),
        num_cache_nodes: Some(1),
        cache_subnet_group_name: Some("data".to_owned()),
        security_group_ids: vec![GROUP.to_owned()],
        port: Some(free_port()),
        ..Default::default()
    };
    root.call(input.clone()).await.unwrap();
    let twice = root.call(input).await.unwrap_err();
    assert_eq!(twice.code, "CacheClusterAlreadyExists");
    let available = || async {
        let found = shown(&world, "scratch").await?;
        (found.cache_cluster_status.as_deref() == Some("available")).then_some(found)
    };
    let cluster = poll::until("an available cluster", available).await;
    assert_eq!(cluster.replication_group_id, None);
    let endpoint = cluster.cache_nodes[0].endpoint.clone().unwrap();
    assert!(endpoint.address.as_ref().unwrap().ends_with(".0001.apn2.cache.amazonaws.com"));
    let (address, port) = (world.resolve(&endpoint).await[0], endpoint.port.unwrap());
    assert_eq!(say(address, port, "SET word kept").await.unwrap(), "+OK");
    // The log is written to disk once a second.
    poll::until("the word on disk", || async {
        let text = say(address, port, "WAITAOF 1 0 0").await.ok()?;
        text.starts_with('*').then_some(())
    })
    .await;
    world.host.machine.kill(&world.workload(address));
    poll::until("the word after a crash", || async {
        (say(address, port, "GET word").await.ok()? == "kept").then_some(())
    })
    .await;
    let gone = DeleteCacheClusterInput {
        cache_cluster_id: "scratch".to_owned(),
        final_snapshot_identifier: None,
    };
    root.call(gone.clone()).await.unwrap();
    poll::until("the cluster to be gone", || async {
        shown(&world, "scratch").await.is_none().then_some(())
    })
    .await;
    assert_eq!(root.call(gone).await.unwrap_err().code, "CacheClusterNotFound");
    assert!(world.host.machine.running().is_empty());
}

fn properties(json: serde_json::Value) -> Properties {
    json.as_object().unwrap().clone()
}

fn context(world: &World, logical_id: &str) -> ResourceCtx {
    let kernel = &world.cloud().kernel;
    let account = kernel.settings().account.clone();
    let caller = Caller {
        principal: Principal::Root { account: account.clone() },
        account: account.clone(),
        arn: format!("arn:aws:iam::{account}:root"),
        user_id: account.to_string(),
        access_key_id: None,
        invoked_by: Some("cloudformation.amazonaws.com".to_owned()),
        session_policies: Vec::new(),
        expires: None,
        facts: kernel::session::SessionFacts::default(),
    };
    let tag = |key: &str, value: &str| (format!("aws:cloudformation:{key}"), value.to_owned());
    ResourceCtx {
        client: kernel.client_for(caller, "cloudformation.amazonaws.com"),
        stack_name: "Web".to_owned(),
        stack_id: "stack/Web/1".to_owned(),
        logical_id: logical_id.to_owned(),
        token: format!("web-{logical_id}-1"),
        tags: [tag("stack-id", "stack/Web/1"), tag("logical-id", logical_id)].into(),
        account,
        region: kernel.region().clone(),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stack_makes_a_group_finds_it_again_reads_its_attributes_and_deletes_it() {
    let world = World::new(86).await.unpacked(EngineKind::Valkey, "8.1").await;
    let kernel = world.cloud().kernel.clone();
    let handler = |name: &str| kernel.resource_type(name).unwrap().handler.clone();
    let subnets = handler("AWS::ElastiCache::SubnetGroup");
    let group = handler("AWS::ElastiCache::ReplicationGroup");
    let (at_subnets, at_group) = (context(&world, "Subnets"), context(&world, "Cache"));
    let wanted = properties(json!({"Description": "data", "SubnetIds": SUBNETS}));
    assert_eq!(subnets.find(&at_subnets, &wanted).await.unwrap(), None);
    let name = subnets.create(&at_subnets, &wanted).await.unwrap();
    assert_eq!(subnets.find(&at_subnets, &wanted).await.unwrap(), Some(name.clone()));
    let wanted = properties(json!({
        "ReplicationGroupDescription": "sessions",
        "Engine": "valkey",
        "TransitEncryptionEnabled": false,
        "CacheNodeType": "cache.t3.micro",
        "NumCacheClusters": 2,
        "AutomaticFailoverEnabled": true,
        "MultiAZEnabled": "true",
        "CacheSubnetGroupName": name,
        "SecurityGroupIds": [GROUP],
        "Port": free_port(),
        "Tags": [{"Key": "Name", "Value": "cache"}],
    }));
    let id = group.create(&at_group, &wanted).await.unwrap();
    assert_eq!(group.find(&at_group, &wanted).await.unwrap(), Some(id.clone()));
    let attributes = poll::until("the group to settle", || async {
        match group.settled(&at_group, &id, &wanted).await.unwrap() {
            Progress::Done(attributes) => Some(attributes),
            Progress::Wait(_) => None,
        }
    })
    .await;
    let address = attributes["PrimaryEndPoint.Address"].as_str().unwrap();
    assert!(address.starts_with(&format!("{id}.")), "{address}");
    assert_eq!(attributes["PrimaryEndPoint.Port"], json!(wanted["Port"].to_string()));
    assert_eq!(attributes["ReadEndPoint.Addresses.List"].as_array().unwrap().len(), 1);
    let in_use = subnets.delete(&at_subnets, &name, &wanted).await.unwrap_err();
    assert_eq!(in_use.code, error::CACHE_SUBNET_GROUP_IN_USE);
    poll::until("the group to be deleted", || async {
        let progress = group.delete(&at_group, &id, &wanted).await.unwrap();
        matches!(progress, Progress::Done(_)).then_some(())
    })
    .await;
    let progress = subnets.delete(&at_subnets, &name, &wanted).await.unwrap();
    assert!(matches!(progress, Progress::Done(_)));
}
