//! More and fewer replicas of a replication group.

use elasticache_api::{
    ConfigureShard, DecreaseReplicaCountInput, DecreaseReplicaCountOutput,
    IncreaseReplicaCountInput, IncreaseReplicaCountOutput,
};
use store::WriteTx;

use crate::error::{Error, Result, refuse};
use crate::replication_group::{check_failover, get, require_available, require_ids_free};
use crate::store::{CACHES, Cache, Status};
use crate::{Ctx, request, subnet_group, view};

/// The number of replicas that a request asks for, and the zones of all nodes if it names them.
fn asked(count: Option<i32>, shards: &[ConfigureShard]) -> Result<(Option<i32>, Vec<String>)> {
    let Some(shard) = shards.first() else { return Ok((count, Vec::new())) };
    if shards.len() > 1 || shard.node_group_id != view::NODE_GROUP {
        return Err(Error::NodeGroupNotFound(shard.node_group_id.clone()));
    }
    if count.is_some_and(|count| count != shard.new_replica_count) {
        return Err(Error::combination(
            "NewReplicaCount and ReplicaConfiguration contradict each other.",
        ));
    }
    refuse(&[("PreferredOutpostArns", !shard.preferred_outpost_arns.is_empty())])?;
    Ok((Some(shard.new_replica_count), shard.preferred_availability_zones.clone()))
}

fn require_now(apply_immediately: bool) -> Result<()> {
    if apply_immediately {
        return Ok(());
    }
    Err(Error::value("ApplyImmediately must be true for changes of the replica count."))
}

/// The zones that are asked for beyond those that the nodes lie in already.
fn new_zones(cache: &Cache, zones: &[String], count: usize) -> Result<Vec<String>> {
    if zones.is_empty() {
        return Ok(Vec::new());
    }
    let mut rest = zones.to_vec();
    for node in cache.staying() {
        if let Some(at) = rest.iter().position(|zone| zone == node.zone.as_str()) {
            rest.remove(at);
        }
    }
    if rest.len() == count {
        return Ok(rest);
    }
    Err(Error::combination(
        "PreferredAvailabilityZones must name the availability zones of all nodes, those that \
         exist among them.",
    ))
}

/// Adds replicas to a replication group.
///
/// AWS: IncreaseReplicaCount.
pub(crate) async fn increase_replica_count(
    ctx: Ctx,
    input: IncreaseReplicaCountInput,
) -> Result<IncreaseReplicaCountOutput> {
    require_now(input.apply_immediately)?;
    let (count, zones) = asked(input.new_replica_count, &input.replica_configuration)?;
    let count = count.ok_or_else(|| {
        Error::combination("NewReplicaCount or ReplicaConfiguration must be specified.")
    })?;
    let wanted = usize::try_from(count).unwrap_or_default();
    if wanted > request::REPLICAS_MAX {
        return Err(Error::value(format!(
            "Invalid replica count: {count}. Must be at most {}.",
            request::REPLICAS_MAX
        )));
    }
    let write = |tx: &mut WriteTx<'_>| -> Result<Cache> {
        let mut cache = get(tx, &input.replication_group_id)?;
        require_available(&cache)?;
        let present = cache.staying().count().saturating_sub(1);
        let Some(more) = wanted.checked_sub(present).filter(|more| *more > 0) else {
            return Err(Error::NoOperation(format!(
                "The replication group has {present} replicas; the new replica count must be \
                 greater."
            )));
        };
        let subnets = subnet_group::get(tx, &cache.subnet_group)?;
        let zones = new_zones(&cache, &zones, more)?;
        for subnet in &request::subnets_for(&subnets, &cache.nodes, more, &zones)? {
            cache.add_member(subnet);
        }
        let ids: Vec<_> = cache.nodes.iter().map(|node| &node.cluster).collect();
        require_ids_free(tx, &cache, &ids)?;
        check_failover(&cache)?;
        cache.status = Status::Modifying;
        tx.put(&CACHES, &cache)?;
        Ok(cache)
    };
    let cache = ctx.store.write(write).await?;
    let shown = view::group(ctx.store.scope(), &cache);
    Ok(IncreaseReplicaCountOutput { replication_group: Some(shown) })
}

/// The replicas that go: those that are named, else the youngest.
fn going(cache: &Cache, named: &[String], wanted: Option<usize>) -> Result<Vec<String>> {
    let replicas: Vec<_> = cache.staying().filter(|node| node.id != cache.primary).collect();
    if named.is_empty() {
        let fewer = wanted.and_then(|wanted| replicas.len().checked_sub(wanted));
        let Some(fewer) = fewer.filter(|fewer| *fewer > 0) else {
            return Err(Error::NoOperation(format!(
                "The replication group has {} replicas; the new replica count must be less.",
                replicas.len()
            )));
        };
        let mut ids: Vec<_> = replicas.iter().map(|node| (node.number, node.id.clone())).collect();
        ids.sort_unstable_by(|a, b| b.cmp(a));
        return Ok(ids.into_iter().take(fewer).map(|(_, id)| id).collect());
    }
    let mut ids = Vec::new();
    for name in named {
        let found = replicas.iter().find(|node| node.cluster.eq_ignore_ascii_case(name));
        let found = found.ok_or_else(|| {
            Error::value(format!("{name} is not a replica of replication group {}.", cache.name))
        })?;
        ids.push(found.id.clone());
    }
    if wanted.is_some_and(|wanted| replicas.len() != wanted + ids.len()) {
        return Err(Error::combination(
            "NewReplicaCount and ReplicasToRemove contradict each other.",
        ));
    }
    Ok(ids)
}

/// Takes replicas out of a replication group.
///
/// AWS: DecreaseReplicaCount.
pub(crate) async fn decrease_replica_count(
    ctx: Ctx,
    input: DecreaseReplicaCountInput,
) -> Result<DecreaseReplicaCountOutput> {
    require_now(input.apply_immediately)?;
    let (count, zones) = asked(input.new_replica_count, &input.replica_configuration)?;
    refuse(&[("PreferredAvailabilityZones", !zones.is_empty())])?;
    if count.is_none() && input.replicas_to_remove.is_empty() {
        return Err(Error::combination(
            "NewReplicaCount, ReplicaConfiguration or ReplicasToRemove must be specified.",
        ));
    }
    let wanted = count.map(|count| usize::try_from(count).unwrap_or_default());
    let write = |tx: &mut WriteTx<'_>| -> Result<Cache> {
        let mut cache = get(tx, &input.replication_group_id)?;
        require_available(&cache)?;
        let ids = going(&cache, &input.replicas_to_remove, wanted)?;
        for node in cache.nodes.iter_mut().filter(|node| ids.contains(&node.id)) {
            node.leaving = true;
        }
        check_failover(&cache)?;
        cache.status = Status::Modifying;
        tx.put(&CACHES, &cache)?;
        Ok(cache)
    };
    let cache = ctx.store.write(write).await?;
    let shown = view::group(ctx.store.scope(), &cache);
    Ok(DecreaseReplicaCountOutput { replication_group: Some(shown) })
}
