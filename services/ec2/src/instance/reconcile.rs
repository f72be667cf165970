//! The task `ec2.instances`: what the store says of each instance is made so. It runs once per
//! instance that is on its way somewhere; what happens to instances by itself is noticed by
//! `machines`.

use std::time::Duration;

use base::AccountId;
use kernel::{Next, TaskError};
use machine::{Error as MachineError, Exit, State as WorkloadState};
use store::{ReadTx, Scope, ScopedStore, WriteTx};

use super::store::{INSTANCES, Instance, OnShutdown, ROLE_CREDENTIALS, Reason, State};
use super::workload::{self, Parts};
use super::{interfaces_of, metadata};
use crate::error::{self, Error};
use crate::image::public;
use crate::image::store::{Completed, IMAGES, ImageState, SNAPSHOTS, Snapshot, Source};
use crate::maker::Maker;
use crate::volume::{self, VOLUMES};
use crate::vpc::store::{DHCP_OPTIONS, Interface, VPCS};
use crate::vpc::{attachment, dhcp_options, resolver};
use crate::{TaskCtx, tags};

type Outcome = Result<Next, TaskError>;

/// How long a terminated instance is still shown.
///
/// AWS: "Terminate Amazon EC2 instances" (usually one hour).
const SHOWN_AFTER_END: Duration = Duration::from_secs(3600);
/// How long a launch may fail before it is given up.
const LAUNCH_PATIENCE: Duration = Duration::from_secs(300);
/// How long an instance whose volume goes with it may take to end.
const TERMINATION_GRACE: Duration = Duration::from_secs(3);

/// Where an instance is kept.
pub(super) struct Place {
    pub(super) store: ScopedStore,
    pub(super) account: AccountId,
}

impl Place {
    pub(super) fn of(ctx: &TaskCtx, scope: &Scope) -> Self {
        Self { store: ctx.store.scoped(scope.clone()), account: scope.account.clone() }
    }

    pub(super) fn maker<'a>(&'a self, ctx: &'a TaskCtx) -> Maker<'a> {
        Maker {
            random: ctx.random(),
            now: ctx.now(),
            region: &ctx.region,
            account: &self.account,
            pool: ctx.drivers.net_options.public_pool,
        }
    }

    async fn load(&self, id: &str) -> Result<Option<Instance>, TaskError> {
        let Ok(id) = super::parse(id) else { return Ok(None) };
        Ok(self.store.read(|tx| tx.get(&INSTANCES, &id)).await?)
    }

    /// Changes an instance if it is still as it was when `change` was decided on: `change` gets
    /// what is kept now and says whether it did something.
    pub(super) async fn update(
        &self,
        instance: &Instance,
        change: impl Fn(&mut WriteTx<'_>, &mut Instance) -> error::Result<bool> + Send + Sync,
    ) -> Result<(), TaskError> {
        let write = |tx: &mut WriteTx<'_>| {
            let Some(mut kept) = tx.get(&INSTANCES, &instance.id)? else { return Ok(()) };
            if change(tx, &mut kept)? {
                tx.put(&INSTANCES, &kept)?;
            }
            Ok::<_, Error>(())
        };
        Ok(self.store.write(write).await?)
    }
}

/// The key of an instance.
fn key(scope: &Scope, instance: &Instance) -> String {
    format!("{}/{}", scope.account, instance.id)
}

/// The account and the id in a key.
pub(super) fn place_of<'a>(ctx: &TaskCtx, key: &'a str) -> Option<(Place, &'a str)> {
    let (account, id) = key.split_once('/')?;
    let scope = Scope::new(account.parse().ok()?, ctx.region.clone());
    Some((Place::of(ctx, &scope), id))
}

/// The instances that are on their way.
pub(crate) async fn keys(ctx: TaskCtx) -> Result<Vec<String>, TaskError> {
    let all = ctx.store.read(|tx| tx.scan_all(&INSTANCES)).await?;
    let moving = |instance: &Instance| match instance.state {
        State::Pending | State::ShuttingDown | State::Stopping | State::Terminated => true,
        State::Running | State::Stopped => instance.reboot || instance.imaging.is_some(),
    };
    let here = all.iter().filter(|(scope, _)| scope.region == ctx.region);
    Ok(here.filter(|(_, i)| moving(i)).map(|(scope, i)| key(scope, i)).collect())
}

/// Brings one instance a step further.
pub(crate) async fn run(ctx: TaskCtx, key: String) -> Outcome {
    let Some((place, id)) = place_of(&ctx, &key) else { return Ok(Next::Idle) };
    let Some(instance) = place.load(id).await? else { return Ok(Next::Idle) };
    match instance.state {
        State::Pending => Box::pin(start(&ctx, &place, instance)).await,
        State::Running | State::Stopped if instance.imaging.is_some() => {
            Box::pin(make_image(&ctx, &place, instance)).await
        }
        State::Running if instance.reboot => reboot(&ctx, &place, instance).await,
        State::Running | State::Stopped => Ok(Next::Idle),
        State::Stopping => stop(&ctx, &place, instance).await,
        State::ShuttingDown => terminate(&ctx, &place, instance).await,
        State::Terminated => forget(&ctx, &place, instance).await,
    }
}

/// Starts what is pending; running is only what the machine reports as running.
async fn start(ctx: &TaskCtx, place: &Place, instance: Instance) -> Outcome {
    let read = |tx: &ReadTx<'_>| {
        let eni = interfaces_of(tx, &instance.id)?.into_iter().next();
        let up = match &eni {
            Some(eni) => attachment::is_up(tx, &eni.id)?,
            None => false,
        };
        Ok::<_, Error>((eni, up))
    };
    let (eni, up) = place.store.read(read).await?;
    let Some(eni) = eni else {
        let why = "The network interface of the instance is gone";
        return give_up(ctx, place, &instance, "Client.InternalError", why).await;
    };
    if !up {
        if ctx.drivers.machine.is_down(&instance.zone) {
            let zone = instance.zone.to_string();
            let error = MachineError::ZoneDown { zone }.into();
            return launch_failed(ctx, place, &instance, error).await;
        }
        // The fabric's report wakes this task.
        return Ok(Next::Idle);
    }
    match Box::pin(try_start(ctx, place, &instance, &eni)).await {
        Ok(()) => observe_start(ctx, place, &instance).await,
        Err(error) => launch_failed(ctx, place, &instance, error).await,
    }
}

async fn try_start(
    ctx: &TaskCtx,
    place: &Place,
    instance: &Instance,
    eni: &Interface,
) -> Result<(), LaunchError> {
    metadata::ensure_credentials(ctx, place, instance).await?;
    let layers = match &instance.source {
        Source::Layers(layers) => layers.clone(),
        Source::Recipe(name) => {
            let recipe = public::recipe(name);
            let recipe = recipe.ok_or_else(|| MachineError::Refused(format!("no image {name}")))?;
            ctx.drivers.host.image(recipe).await?.layers
        }
    };
    let spec = spec(ctx, place, instance, eni, layers).await?;
    tell_metadata(ctx, instance).await;
    // An image may have taken minutes: the instance may not be wanted any more.
    let wanted = place.load(instance.id.as_str()).await?;
    if wanted.is_some_and(|wanted| wanted.state == State::Pending) {
        ctx.drivers.machine.start(&instance.zone, spec).await?;
    }
    Ok(())
}

/// Has the metadata service know the instance before it asks: a first boot takes its keys and its
/// user data from there. An instance without metadata boots all the same, as on AWS.
async fn tell_metadata(ctx: &TaskCtx, instance: &Instance) {
    let told = resolver::run(ctx.clone(), instance.zone.to_string()).await;
    if let Err(error) = told {
        tracing::debug!(instance = %instance.id, %error, "the metadata service is not told yet");
    }
}

/// The instance as the machine runs it, its volume made.
async fn spec(
    ctx: &TaskCtx,
    place: &Place,
    instance: &Instance,
    eni: &Interface,
    layers: Vec<std::path::PathBuf>,
) -> Result<machine::WorkloadSpec, LaunchError> {
    let read = |tx: &ReadTx<'_>| {
        let vpc = tx.get(&VPCS, &instance.vpc)?;
        let options = vpc.as_ref().and_then(|vpc| vpc.dhcp_options.as_ref());
        let options = options.map(|id| tx.get(&DHCP_OPTIONS, id)).transpose()?.flatten();
        Ok::<_, Error>((tx.get(&VOLUMES, &instance.volume)?, vpc, options))
    };
    let (volume, vpc, options) = place.store.read(read).await.map_err(TaskError::from)?;
    let volume =
        volume.ok_or_else(|| MachineError::Refused("the root volume is gone".to_owned()))?;
    let size_bytes = u64::from(volume.size_gib) << 30;
    let path = ctx.drivers.host.create_volume(volume.id.as_str(), size_bytes).await?;
    if !volume.made {
        let write = |tx: &mut WriteTx<'_>| {
            tx.put(&VOLUMES, &volume::Volume { made: true, ..volume.clone() })
        };
        place.store.write(write).await.map_err(TaskError::from)?;
    }
    let block = vpc.and_then(|vpc| vpc.blocks.first().map(|block| block.cidr));
    let resolver = block.and_then(|block| block.nth(2)).unwrap_or(net::DNS_ADDRESS);
    let resolv_conf = dhcp_options::resolv_conf(options.as_ref(), resolver);
    Ok(workload::spec(ctx, instance, eni, Parts { layers, volume: path, resolv_conf }))
}

/// Why an instance could not be started.
enum LaunchError {
    Machine(MachineError),
    Task(TaskError),
}

impl From<MachineError> for LaunchError {
    fn from(error: MachineError) -> Self {
        Self::Machine(error)
    }
}

impl From<TaskError> for LaunchError {
    fn from(error: TaskError) -> Self {
        Self::Task(error)
    }
}

/// Gives a launch up when trying again cannot help.
async fn launch_failed(
    ctx: &TaskCtx,
    place: &Place,
    instance: &Instance,
    error: LaunchError,
) -> Outcome {
    let error = match error {
        LaunchError::Task(error) => return Err(error),
        LaunchError::Machine(error) => error,
    };
    tracing::warn!(instance = %instance.id, %error, "an instance does not start");
    match &error {
        MachineError::ZoneDown { .. } => {
            let why = "Insufficient capacity to satisfy instance request";
            give_up(ctx, place, instance, "Server.InsufficientInstanceCapacity", why).await
        }
        MachineError::HostLacks(_) | MachineError::Refused(_) | MachineError::Command { .. } => {
            let why = format!("Internal error on launch: {error}");
            give_up(ctx, place, instance, "Server.InternalError", &why).await
        }
        MachineError::NoSuchWorkload { .. }
        | MachineError::NotRunning { .. }
        | MachineError::StartFailed { .. }
        | MachineError::TimedOut(_)
        | MachineError::Io { .. } => {
            if ctx.now().since(instance.changed) < LAUNCH_PATIENCE {
                return Err(TaskError::from(error));
            }
            let why = format!("Internal error on launch: {error}");
            give_up(ctx, place, instance, "Server.InternalError", &why).await
        }
    }
}

/// A first launch that fails ends the instance; a later start leaves it stopped.
async fn give_up(
    ctx: &TaskCtx,
    place: &Place,
    instance: &Instance,
    code: &str,
    why: &str,
) -> Outcome {
    let now = ctx.now();
    let change = |_: &mut WriteTx<'_>, kept: &mut Instance| {
        if kept.state != State::Pending {
            return Ok(false);
        }
        let first = kept.launched == kept.created && !kept.lost;
        let state = if first { State::ShuttingDown } else { State::Stopping };
        kept.become_state(state, Some(Reason::new(code, why)), now);
        kept.transition = code.to_owned();
        Ok(true)
    };
    place.update(instance, change).await?;
    Ok(Next::Idle)
}

/// Looks whether the machine runs what was started.
async fn observe_start(ctx: &TaskCtx, place: &Place, instance: &Instance) -> Outcome {
    let listed = ctx.drivers.machine.list(&instance.zone).await;
    let listed = match listed {
        Err(error @ MachineError::ZoneDown { .. }) => {
            return launch_failed(ctx, place, instance, error.into()).await;
        }
        listed => listed?,
    };
    let seen = listed.into_iter().find(|workload| workload.id == instance.id.as_str());
    match seen.map(|workload| workload.state) {
        Some(WorkloadState::Running { .. }) => {
            let now = ctx.now();
            let change = |_: &mut WriteTx<'_>, kept: &mut Instance| {
                let pending = kept.state == State::Pending;
                if pending {
                    kept.become_state(State::Running, None, now);
                    kept.transition = String::new();
                    kept.lost = false;
                }
                Ok(pending)
            };
            place.update(instance, change).await?;
            Ok(Next::Idle)
        }
        Some(WorkloadState::Starting) => Ok(Next::Poll(Duration::from_millis(50))),
        Some(WorkloadState::Exited { exit, .. }) => ended(ctx, place, instance, exit).await,
        None => Ok(Next::Poll(Duration::from_millis(200))),
    }
}

/// An instance that should run has ended by itself.
pub(super) async fn ended(
    ctx: &TaskCtx,
    place: &Place,
    instance: &Instance,
    exit: Exit,
) -> Outcome {
    let now = ctx.now();
    let reason = match exit {
        Exit::PoweredOff => {
            Reason::new("Client.InstanceInitiatedShutdown", "Instance initiated shutdown")
        }
        Exit::Code(code) => Reason::new(
            "Server.InternalError",
            &format!("The instance ended unexpectedly with code {code}"),
        ),
        Exit::Signal(signal) => Reason::new(
            "Server.InternalError",
            &format!("The instance ended unexpectedly by signal {signal}"),
        ),
    };
    let change = |_: &mut WriteTx<'_>, kept: &mut Instance| {
        let should_run = matches!(kept.state, State::Running | State::Pending);
        if !should_run || kept.reboot || kept.imaging.is_some() {
            return Ok(false);
        }
        let state = match kept.on_shutdown {
            OnShutdown::Stop => State::Stopping,
            OnShutdown::Terminate => State::ShuttingDown,
        };
        kept.become_state(state, Some(reason.clone()), now);
        kept.transition = reason.code.clone();
        Ok(true)
    };
    place.update(instance, change).await?;
    Ok(Next::Idle)
}

async fn reboot(ctx: &TaskCtx, place: &Place, instance: Instance) -> Outcome {
    let done = ctx.drivers.machine.reboot(&instance.zone, instance.id.as_str()).await;
    let failed = match done {
        Ok(()) => false,
        // It ended by itself meanwhile, or with its zone.
        Err(
            MachineError::NotRunning { .. }
            | MachineError::NoSuchWorkload { .. }
            | MachineError::ZoneDown { .. },
        ) => true,
        Err(error) => return Err(error.into()),
    };
    let change = |_: &mut WriteTx<'_>, kept: &mut Instance| {
        kept.reboot = false;
        Ok(true)
    };
    place.update(&instance, change).await?;
    if failed {
        // Looked at after the mark is gone, so that an end in between is seen.
        return super::machines::look(ctx, place, &instance).await.map(|()| Next::Idle);
    }
    Ok(Next::Idle)
}

/// Treats a zone that is down as one in which nothing runs.
fn gone_is_done(done: machine::Result<()>) -> machine::Result<()> {
    match done {
        Err(MachineError::ZoneDown { .. }) => Ok(()),
        done => done,
    }
}

async fn stop(ctx: &TaskCtx, place: &Place, instance: Instance) -> Outcome {
    let how = workload::stop(instance.how);
    gone_is_done(ctx.drivers.machine.stop(&instance.zone, instance.id.as_str(), how).await)?;
    // What was lost with its zone comes back as soon as the zone does.
    let back = instance.lost && ctx.drivers.machine.list(&instance.zone).await.is_ok();
    let now = ctx.now();
    let maker = place.maker(ctx);
    let change = |tx: &mut WriteTx<'_>, kept: &mut Instance| {
        if kept.state != State::Stopping {
            return Ok(false);
        }
        if !kept.lost {
            // Who was lost keeps its addresses: nobody stopped it.
            attachment::instance_stopped(tx, &kept.id)?;
        }
        if kept.lost && back {
            attachment::instance_started(tx, maker, &kept.id)?;
            kept.become_state(State::Pending, None, now);
        } else {
            let reason = kept.reason.take();
            kept.become_state(State::Stopped, reason, now);
        }
        kept.reboot = false;
        abandon_image(tx, kept)?;
        Ok(true)
    };
    place.update(&instance, change).await?;
    Ok(Next::Idle)
}

async fn terminate(ctx: &TaskCtx, place: &Place, instance: Instance) -> Outcome {
    let (zone, id) = (&instance.zone, instance.id.as_str());
    let volume = place.store.read(|tx| tx.get(&VOLUMES, &instance.volume)).await?;
    let attached = volume.as_ref().and_then(|volume| volume.attachment.as_ref());
    let keeps_volume = attached.is_some_and(|attachment| !attachment.delete_on_termination);
    let how = match workload::stop(instance.how) {
        machine::Stop::Graceful { .. } if !keeps_volume => {
            machine::Stop::Graceful { grace: Some(TERMINATION_GRACE) }
        }
        how @ (machine::Stop::Graceful { .. } | machine::Stop::Kill) => how,
    };
    gone_is_done(ctx.drivers.machine.stop(zone, id, how).await)?;
    gone_is_done(ctx.drivers.machine.remove(zone, id).await)?;
    if !keeps_volume {
        ctx.drivers.host.delete_volume(instance.volume.as_str()).await?;
    }
    let now = ctx.now();
    let change = |tx: &mut WriteTx<'_>, kept: &mut Instance| {
        if kept.state != State::ShuttingDown {
            return Ok(false);
        }
        attachment::instance_terminated(tx, &kept.id)?;
        if keeps_volume {
            if let Some(volume) = tx.get(&VOLUMES, &kept.volume)? {
                tx.put(&VOLUMES, &volume::Volume { attachment: None, ..volume })?;
            }
        } else {
            volume::forget(tx, &kept.volume)?;
        }
        tx.delete(&ROLE_CREDENTIALS, &kept.id)?;
        abandon_image(tx, kept)?;
        kept.profile = None;
        let reason = kept.reason.take();
        kept.become_state(State::Terminated, reason, now);
        Ok(true)
    };
    place.update(&instance, change).await?;
    Ok(Next::At(now + SHOWN_AFTER_END))
}

/// Forgets an instance that ended long ago.
async fn forget(ctx: &TaskCtx, place: &Place, instance: Instance) -> Outcome {
    let until = instance.changed + SHOWN_AFTER_END;
    if ctx.now() < until {
        return Ok(Next::At(until));
    }
    let write = |tx: &mut WriteTx<'_>| {
        tx.delete(&INSTANCES, &instance.id)?;
        tags::end(tx, &instance.id)
    };
    place.store.write(write).await?;
    Ok(Next::Idle)
}

/// An image that was to be made of an instance that ends first fails.
fn abandon_image(tx: &mut WriteTx<'_>, instance: &mut Instance) -> error::Result<()> {
    let Some(id) = instance.imaging.take() else { return Ok(()) };
    let why = "The instance ended before the image was made";
    image_failed(tx, &id, why)
}

fn image_failed(tx: &mut WriteTx<'_>, id: &base::ResourceId, why: &str) -> error::Result<()> {
    let Some(mut image) = tx.get(&IMAGES, id)? else { return Ok(()) };
    if image.state != ImageState::Pending {
        return Ok(());
    }
    if let Some(snapshot) = tx.get(&SNAPSHOTS, &image.snapshot)? {
        tx.put(&SNAPSHOTS, &Snapshot { failure: Some(why.to_owned()), ..snapshot })?;
    }
    image.state = ImageState::Failed;
    image.reason = Some(why.to_owned());
    Ok(tx.put(&IMAGES, &image)?)
}

/// Makes the image that was asked for: stops what runs, copies what it wrote, starts it again.
async fn make_image(ctx: &TaskCtx, place: &Place, instance: Instance) -> Outcome {
    let Some(image_id) = instance.imaging.clone() else { return Ok(Next::Idle) };
    let (zone, id) = (&instance.zone, instance.id.as_str());
    let runs = instance.state == State::Running;
    let image = place.store.read(|tx| tx.get(&IMAGES, &image_id)).await?;
    if image.is_some_and(|image| image.state == ImageState::Pending) {
        if runs {
            let how = machine::Stop::Graceful { grace: None };
            gone_is_done(ctx.drivers.machine.stop(zone, id, how).await)?;
        }
        take_snapshot(ctx, place, &instance, &image_id).await?;
    }
    let current = place.load(id).await?;
    if runs && current.is_some_and(|current| current.state == State::Running) {
        let eni = place.store.read(|tx| interfaces_of(tx, &instance.id)).await?;
        if let Some(eni) = eni.first() {
            let started = Box::pin(restart(ctx, place, &instance, eni)).await;
            if let Err(LaunchError::Task(error)) = started {
                return Err(error);
            }
            // An instance that does not start again is found not to run, below.
        }
    }
    let change = |_: &mut WriteTx<'_>, kept: &mut Instance| {
        kept.imaging = None;
        Ok(true)
    };
    place.update(&instance, change).await?;
    super::machines::look(ctx, place, &instance).await?;
    Ok(Next::Idle)
}

async fn restart(
    ctx: &TaskCtx,
    place: &Place,
    instance: &Instance,
    eni: &Interface,
) -> Result<(), LaunchError> {
    let layers = layers_of(ctx, instance).await?;
    let spec = spec(ctx, place, instance, eni, layers).await?;
    Ok(ctx.drivers.machine.start(&instance.zone, spec).await?)
}

async fn layers_of(
    ctx: &TaskCtx,
    instance: &Instance,
) -> Result<Vec<std::path::PathBuf>, LaunchError> {
    match &instance.source {
        Source::Layers(layers) => Ok(layers.clone()),
        Source::Recipe(name) => {
            let recipe = public::recipe(name);
            let recipe = recipe.ok_or_else(|| MachineError::Refused(format!("no image {name}")))?;
            Ok(ctx.drivers.host.image(recipe).await?.layers)
        }
    }
}

async fn take_snapshot(
    ctx: &TaskCtx,
    place: &Place,
    instance: &Instance,
    image_id: &base::ResourceId,
) -> Result<(), TaskError> {
    let made = match layers_of(ctx, instance).await {
        Ok(layers) => ctx.drivers.host.snapshot(instance.volume.as_str(), layers).await,
        Err(LaunchError::Machine(error)) => Err(error),
        Err(LaunchError::Task(error)) => return Err(error),
    };
    let now = ctx.now();
    let write = |tx: &mut WriteTx<'_>| {
        let made = match &made {
            Ok(made) => made,
            Err(error) => return image_failed(tx, image_id, &error.to_string()),
        };
        let Some(mut image) = tx.get(&IMAGES, image_id)? else { return Ok(()) };
        if let Some(snapshot) = tx.get(&SNAPSHOTS, &image.snapshot)? {
            let completed = Completed {
                at: now,
                image: made.id.clone(),
                layers: made.layers.clone(),
                size_bytes: made.size_bytes,
            };
            tx.put(&SNAPSHOTS, &Snapshot { completed: Some(completed), ..snapshot })?;
        }
        image.state = ImageState::Available;
        Ok(tx.put(&IMAGES, &image)?)
    };
    Ok(place.store.write(write).await?)
}
