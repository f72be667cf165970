//! Keeping a DB instance as it is wanted: adopting its cluster, changes, restarts, stop and start.

use std::time::Duration;

use engine::{Loss, Node, Parameters, Role};
use kernel::Next;
use nodes::interface;

use crate::cluster::{self, Running, node_of, place_of};
use crate::create::with_interfaces;
use crate::error::{Error, Result};
use crate::reconcile::Work;
use crate::store::{DbInstance, INSTANCES, NodeRecord, PARAMETER_GROUPS, Source, Status};
use crate::{backup, credentials, delete, endpoint, event, parameter_group, window};

/// How soon something that is under way is looked at again.
const SOON: Duration = Duration::from_millis(100);

/// How long a standby may take to be in step before a restart goes on another day.
const IN_STEP_MAX: Duration = Duration::from_secs(120);

/// The instance whose cluster this one is part of: itself, or its source.
async fn root_of(work: &Work, instance: &DbInstance) -> Result<Option<DbInstance>> {
    let Some(name) = instance.follows() else { return Ok(Some(instance.clone())) };
    Ok(work.store.read(|tx| tx.get(&INSTANCES, name)).await?)
}

/// Brings an instance to what is wanted of it.
pub(crate) async fn run(work: &Work, instance: &DbInstance) -> Result<Next> {
    if instance.promote {
        return promote(work, instance).await;
    }
    if let Some(next) = take_pending(work, instance).await? {
        return Ok(next);
    }
    let Some(root) = root_of(work, instance).await? else {
        // A source that is deleted lets its replicas go first; this one's is being rewritten.
        return Ok(Next::Poll(SOON));
    };
    if !root.status.runs() {
        return Ok(Next::Poll(SOON));
    }
    let running = cluster::of(&work.ctx, &work.store, &root).await?;
    running.keep_whole(&work.ctx, cluster::WATCH);
    set_groups(work, instance).await?;
    if instance.applied.password != instance.password_revision {
        let login = credentials::login(&work.ctx.drivers, instance)?;
        running.cluster.set_master(&login).await?;
        let told = event::Told::new("configuration change", "Reset master credentials");
        let revision = instance.password_revision;
        work.change(Some(told), |instance| instance.applied.password = revision).await?;
    }
    if instance.follows().is_none() && !fit_standby(work, instance, &running).await? {
        return Ok(Next::Poll(SOON));
    }
    let applied = &instance.applied;
    if applied.class != instance.class || applied.port != instance.port {
        resize(work, instance, &root).await?;
        return Ok(Next::Poll(SOON));
    }
    apply_parameters(work, instance, &running).await?;
    if let Some(next) = backup::due(work, instance).await? {
        return Ok(next);
    }
    work.change(None, |instance| {
        if instance.status == Status::Modifying {
            instance.status = Status::Available;
        }
    })
    .await?;
    let maintenance = maintenance_start(instance);
    let next = [instance.next_backup, maintenance].into_iter().flatten().min();
    Ok(next.map_or(Next::Idle, Next::At))
}

fn maintenance_start(instance: &DbInstance) -> Option<base::Timestamp> {
    let since = instance.pending_since?;
    Some(window::weekly(&instance.maintenance_window)?.next_start(since))
}

/// Takes what waited for the maintenance window, when it has come.
async fn take_pending(work: &Work, instance: &DbInstance) -> Result<Option<Next>> {
    if maintenance_start(instance).is_none_or(|start| work.ctx.now() < start) {
        return Ok(None);
    }
    work.change(None, |instance| {
        instance.take_pending();
        instance.status = Status::Modifying;
    })
    .await?;
    Ok(Some(Next::Poll(Duration::ZERO)))
}

impl DbInstance {
    /// Wants what was pending from now on.
    pub(crate) fn take_pending(&mut self) {
        let pending = std::mem::take(&mut self.pending);
        self.pending_since = None;
        self.class = pending.class.unwrap_or_else(|| self.class.clone());
        self.allocated_storage = pending.allocated_storage.unwrap_or(self.allocated_storage);
        self.storage_type = pending.storage_type.unwrap_or_else(|| self.storage_type.clone());
        self.multi_az = pending.multi_az.unwrap_or(self.multi_az);
        self.port = pending.port.unwrap_or(self.port);
    }
}

async fn set_groups(work: &Work, instance: &DbInstance) -> Result<()> {
    if instance.applied.groups == instance.groups {
        return Ok(());
    }
    let client = work.client().await?;
    for eni in instance.nodes.iter().filter_map(|node| node.eni.as_ref()) {
        interface::set_groups(&client, eni, &instance.groups).await?;
    }
    let groups = instance.groups.clone();
    work.change(None, |instance| instance.applied.groups.clone_from(&groups)).await?;
    Ok(())
}

/// Adds or removes the standby; false while it is not done.
async fn fit_standby(work: &Work, instance: &DbInstance, running: &Running) -> Result<bool> {
    let standby = instance.nodes.iter().find(|node| node.id != instance.primary);
    match (instance.multi_az, standby) {
        (false, None) => Ok(true),
        (false, Some(standby)) => {
            running.cluster.remove(&standby.id).await?;
            running.host.forget(&standby.id).await?;
            delete::node(work, standby).await?;
            let gone = standby.id.clone();
            let text = "Finished applying modification to convert to a Single-AZ DB Instance";
            let told = event::Told::new("configuration change", text);
            work.change(Some(told), |instance| instance.nodes.retain(|node| node.id != gone))
                .await?;
            Ok(true)
        }
        (true, None) => {
            let group = crate::subnet_group::of_instance(&work.store, instance).await?;
            let taken = instance.primary_node().map(|node| node.zone.clone());
            let subnet = group.subnets.iter().find(|subnet| Some(&subnet.zone) != taken.as_ref());
            let subnet = subnet.ok_or_else(|| Error::state("no subnet in another zone"))?.clone();
            work.change(None, |instance| instance.add_node(&subnet.id, &subnet.zone)).await?;
            Ok(false)
        }
        (true, Some(standby)) => add_standby(work, instance, standby, running).await,
    }
}

async fn add_standby(
    work: &Work,
    instance: &DbInstance,
    standby: &NodeRecord,
    running: &Running,
) -> Result<bool> {
    let known = running.cluster.status().nodes.iter().any(|node| node.id == standby.id);
    if known {
        return Ok(true);
    }
    let Some(instance) = with_interfaces(work, instance).await? else { return Ok(false) };
    let record = instance.nodes.iter().find(|node| node.id == standby.id);
    let node = record.and_then(|record| node_of(&work.ctx.drivers, &instance, record));
    let place = record.map(|record| place_of(&instance, record)).transpose()?.flatten();
    let (Some(node), Some(place)) = (node, place) else { return Ok(false) };
    running.host.put(&node.id, place);
    tokio::fs::create_dir_all(&node.volume).await?;
    let template = work.ctx.drivers.drivers.engines.template(&running.root).await?;
    engine::Host::stop(running.host.as_ref(), &node).await?;
    running.cluster.add(node, Role::Standby, &template).await?;
    let text = "Finished applying modification to convert to a Multi-AZ DB Instance";
    work.change(Some(event::Told::new("configuration change", text)), |_| {}).await?;
    Ok(true)
}

/// Gives an instance its new class and port: its cluster is made anew over the nodes that run, and
/// those of the instance are started again, the standby first.
async fn resize(work: &Work, instance: &DbInstance, root: &DbInstance) -> Result<()> {
    work.ctx.drivers.clusters.let_go(&root.resource_id).await;
    let running = cluster::of(&work.ctx, &work.store, root).await?;
    restart_all(work, instance, &running).await?;
    running.keep_whole(&work.ctx, cluster::WATCH);
    let (class, port) = (instance.class.clone(), instance.port);
    let told = (instance.applied.class != class).then(|| {
        let text = "Finished applying modification to DB instance class";
        event::Told::new("configuration change", text)
    });
    work.change(told, |instance| {
        instance.applied.class.clone_from(&class);
        instance.applied.port = port;
    })
    .await?;
    Ok(())
}

/// Restarts the instance's nodes, with a failover between them where there is a standby.
async fn restart_all(work: &Work, instance: &DbInstance, running: &Running) -> Result<()> {
    running.cluster.observe().await;
    let standby = instance.nodes.iter().find(|node| node.id != instance.primary);
    let Some(standby) = standby.filter(|_| instance.follows().is_none()) else {
        running.cluster.restart(&instance.primary).await?;
        return Ok(());
    };
    running.cluster.restart(&standby.id).await?;
    running.keep_whole(&work.ctx, cluster::WATCH);
    in_step(running).await?;
    running.cluster.failover("the DB instance is modified", Loss::Refuse).await?;
    Ok(())
}

async fn in_step(running: &Running) -> Result<()> {
    let waiting = async {
        while !running.cluster.observe().await.in_step {
            tokio::time::sleep(SOON).await;
        }
    };
    let waited = tokio::time::timeout(IN_STEP_MAX, waiting).await;
    waited.map_err(|_| Error::Engine(engine::Error::Timeout("the standby to be in step")))
}

/// The values that an instance takes while it runs: those that its group holds back, it keeps.
async fn wanted_values(work: &Work, instance: &DbInstance) -> Result<Parameters> {
    let name = &instance.applied.parameter_group;
    let mut values = parameter_group::values(&work.store, name).await?;
    let group = work.store.read(|tx| tx.get(&PARAMETER_GROUPS, name)).await?;
    for held in group.iter().flat_map(|group| &group.held) {
        match instance.applied.values.get(held) {
            Some(value) => values.insert(held.clone(), value.clone()),
            None => values.remove(held),
        };
    }
    Ok(values)
}

/// Gives a running cluster the dynamic values of its parameter group.
async fn apply_parameters(work: &Work, instance: &DbInstance, running: &Running) -> Result<()> {
    if instance.follows().is_some() {
        // Its source's values are the whole cluster's.
        return Ok(());
    }
    let wanted = wanted_values(work, instance).await?;
    if wanted == instance.applied.values {
        return Ok(());
    }
    let pending = running.cluster.apply_parameters(wanted.clone()).await?;
    let name = instance.applied.parameter_group.clone();
    let text = format!("Finished updating DB parameter group {name}");
    let told = event::Told::new("configuration change", text);
    work.change(Some(told), |instance| {
        instance.applied.values.clone_from(&wanted);
        for name in &pending {
            if !instance.parameters_pending.contains(name) {
                instance.parameters_pending.push(name.clone());
            }
        }
    })
    .await?;
    Ok(())
}

/// Restarts an instance, or has its standby take over.
pub(crate) async fn reboot(work: &Work, instance: &DbInstance) -> Result<Next> {
    let Some(root) = root_of(work, instance).await? else { return Ok(Next::Poll(SOON)) };
    let running = cluster::of(&work.ctx, &work.store, &root).await?;
    running.keep_whole(&work.ctx, cluster::WATCH);
    let values = parameter_group::values(&work.store, &instance.parameter_group).await?;
    if instance.follows().is_none() {
        running.cluster.apply_parameters(values.clone()).await?;
    }
    if instance.force_failover {
        running.cluster.failover("a reboot with failover was asked for", Loss::Refuse).await?;
    } else {
        for node in &instance.nodes {
            running.cluster.restart(&node.id).await?;
        }
    }
    let group = instance.parameter_group.clone();
    let failed_over = instance.force_failover;
    let told = (!failed_over).then(|| event::Told::new("availability", "DB instance restarted"));
    work.change(told, |instance| {
        instance.status = Status::Available;
        instance.force_failover = false;
        instance.applied.parameter_group.clone_from(&group);
        instance.applied.values.clone_from(&values);
        instance.parameters_pending.clear();
    })
    .await?;
    Ok(Next::Idle)
}

/// Ends an instance's engine. Its data stays.
pub(crate) async fn stop(work: &Work, instance: &DbInstance) -> Result<Next> {
    let running = cluster::of(&work.ctx, &work.store, instance).await?;
    // Nobody may start its nodes again meanwhile.
    work.ctx.drivers.clusters.let_go(&instance.resource_id).await;
    running.cluster.stop().await?;
    let told = event::Told::new("notification", "DB instance stopped");
    work.change(Some(told), |instance| instance.status = Status::Stopped).await?;
    Ok(Next::Idle)
}

/// Starts an instance's engine on its data; available when it takes writes at its address.
pub(crate) async fn start(work: &Work, instance: &DbInstance) -> Result<Next> {
    let running = cluster::of(&work.ctx, &work.store, instance).await?;
    running.keep_whole(&work.ctx, cluster::WATCH);
    let status = running.cluster.status();
    let up = status.nodes.iter().any(|node| node.role == Role::Primary && node.writable);
    let node = instance.nodes.iter().find(|node| Some(&node.id) == status.primary.as_ref());
    let node: Option<Node> =
        node.and_then(|node| node_of(&work.ctx.drivers, instance, node)).filter(|_| up);
    let Some(node) = node else { return Ok(Next::Poll(SOON)) };
    if engine::Host::reach(running.host.as_ref(), &node).await.is_err() {
        return Ok(Next::Poll(SOON));
    }
    let told = event::Told::new("notification", "DB instance started");
    work.change(Some(told), |instance| {
        instance.status = Status::Available;
        instance.parameters_pending.clear();
    })
    .await?;
    Ok(Next::Idle)
}

/// Makes a read replica an instance of its own.
async fn promote(work: &Work, instance: &DbInstance) -> Result<Next> {
    let root = root_of(work, instance).await?;
    if let Some(root) = root.filter(|root| root.name != instance.name) {
        let running = cluster::of(&work.ctx, &work.store, &root).await?;
        let member = running.cluster.status().nodes.iter().any(|node| node.id == instance.primary);
        if member {
            running.cluster.promote_replica(&instance.primary).await?;
        }
        running.host.forget(&instance.primary).await?;
    }
    let now = work.ctx.now();
    let text = "Promoted read replica to a stand-alone DB instance";
    let told = event::Told::new("configuration change", text);
    let promoted = work.change(Some(told), |instance| {
        instance.source = Source::Nothing;
        instance.joined = false;
        instance.promote = false;
        instance.status = Status::Modifying;
        instance.next_backup = window::daily(&instance.backup_window)
            .filter(|_| instance.backup_retention_days > 0)
            .map(|window| window.next_start(now));
    });
    if let Some(instance) = promoted.await? {
        let scope = work.store.scope();
        work.store.write(|tx| endpoint::write(tx, scope, &instance)).await?;
    }
    Ok(Next::Poll(Duration::ZERO))
}
