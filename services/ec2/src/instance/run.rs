//! RunInstances: everything is checked first, then instances, interfaces and volumes are written in
//! one transaction. The task `ec2.instances` has them run.

use base::{ResourceId, Tags};
use ec2_api::{RunInstancesInput, RunInstancesOutput};
use kernel::token::{self, Known};
use store::{ReadTx, WriteTx};

use super::settings::{DeviceSettings, Settings};
use super::store::{How, INSTANCES, Instance, Key, MetadataOptions, OnShutdown, Profile, State};
use super::types::InstanceType;
use super::{describe, iam_profile, network};
use crate::Ctx;
use crate::error::{Error, Result};
use crate::image::{self, Launchable};
use crate::maker::{Maker, requester_of};
use crate::volume::{self, NewVolume};
use crate::vpc::store::Interface;
use crate::vpc::{default_vpc, security_group};
use crate::{key_pair, launch_template, region, tags};

const OPERATION: &str = "RunInstances";

/// The most instances of one call: more would not fit one transaction's bounds.
const COUNT_MAX: usize = 500;

/// The prefix of an image that a parameter of Systems Manager names.
///
/// AWS: "Use a Systems Manager parameter instead of an AMI ID".
const PARAMETER: &str = "resolve:ssm:";

/// Everything about a launch that does not need the transaction.
struct Launch {
    settings: Settings,
    image: Launchable,
    instance_type: InstanceType,
    profile: Option<Profile>,
    root: Root,
    counts: (usize, usize),
    template_tags: Tags,
}

/// What the root volume is to be.
#[derive(Clone)]
struct Root {
    size_gib: u32,
    kind: String,
    delete_on_termination: bool,
}

/// Launches instances.
///
/// AWS: RunInstances.
pub(crate) async fn run_instances(
    ctx: Ctx,
    input: RunInstancesInput,
) -> Result<RunInstancesOutput> {
    let unmarked = RunInstancesInput { client_token: None, ..input.clone() };
    let fingerprint = token::fingerprint(&unmarked);
    // A call that is repeated finds what the first one made, whatever has changed since.
    if let Some(client_token) = &input.client_token
        && let Some(made) = known(&ctx, client_token, &fingerprint).await?
    {
        return Ok(made);
    }
    let launch = prepare(&ctx, &input).await?;
    default_vpc::ensure(&ctx).await?;
    let groups_max = security_group::interface_limit(&ctx).await?;
    let write = |tx: &mut WriteTx<'_>| {
        if let Some(client_token) = &input.client_token {
            match token::look_up(tx, OPERATION, client_token, &fingerprint)? {
                Known::New => {}
                Known::Same(reservation) => return reservation_of(tx, &ctx, &reservation),
                Known::Different => return Err(Error::IdempotentParameterMismatch),
            }
        }
        let reservation = ctx.id("r");
        if let Some(client_token) = &input.client_token {
            let id = reservation.as_str();
            token::remember(tx, OPERATION, client_token, &fingerprint, id, ctx.now())?;
        }
        make_all(tx, &ctx, &launch, &reservation, input.client_token.as_ref(), groups_max)?;
        reservation_of(tx, &ctx, reservation.as_str())
    };
    ctx.store.write(write).await
}

/// What an earlier call with the same token made.
async fn known(
    ctx: &Ctx,
    client_token: &str,
    fingerprint: &str,
) -> Result<Option<RunInstancesOutput>> {
    let look_up =
        |tx: &mut WriteTx<'_>| match token::look_up(tx, OPERATION, client_token, fingerprint)? {
            Known::New => Ok(None),
            Known::Same(reservation) => reservation_of(tx, ctx, &reservation).map(Some),
            Known::Different => Err(Error::IdempotentParameterMismatch),
        };
    ctx.store.write(look_up).await
}

async fn prepare(ctx: &Ctx, input: &RunInstancesInput) -> Result<Launch> {
    let counts = counts(input)?;
    let mut settings = Settings::of(ctx, input)?;
    let mut template_tags = Tags::new();
    if let Some(named) = &input.launch_template {
        let read = |tx: &ReadTx<'_>| launch_template::resolve(tx, named);
        let (template, version) = ctx.store.read(read).await?;
        settings = version.settings.overlaid(settings);
        // AWS: "Tag your launch template's instances", the tags that AWS adds.
        template_tags.insert("aws:ec2launchtemplate:id".to_owned(), template.id.to_string());
        template_tags
            .insert("aws:ec2launchtemplate:version".to_owned(), version.number.to_string());
    }
    let image = settings.image.as_deref().ok_or_else(|| Error::missing("ImageId"))?;
    let image = match image.strip_prefix(PARAMETER) {
        Some(parameter) => image_in(ctx, parameter).await?,
        None => image.to_owned(),
    };
    let image = image::launchable(ctx, &image).await?;
    let name = settings.instance_type.as_deref().ok_or_else(|| Error::missing("InstanceType"))?;
    let instance_type = InstanceType::named(name)?;
    require_fitting(ctx, &settings, instance_type)?;
    let root = root(&settings.devices, &image)?;
    let profile = match &settings.profile {
        Some(name) => Some(iam_profile::find(ctx, name).await?),
        None => None,
    };
    Ok(Launch { settings, image, instance_type, profile, root, counts, template_tags })
}

fn counts(input: &RunInstancesInput) -> Result<(usize, usize)> {
    let count = |given: i32, name: &str| {
        let count = usize::try_from(given).ok().filter(|count| *count >= 1);
        count.ok_or_else(|| {
            Error::value(format!(
                "Value ({given}) for parameter {name} is invalid. Must be at least 1."
            ))
        })
    };
    let (min, max) = (count(input.min_count, "minCount")?, count(input.max_count, "maxCount")?);
    if min > max {
        return Err(Error::InvalidParameterCombination(format!(
            "Min count of instances ({min}) is larger than max count of instances ({max})."
        )));
    }
    if min > COUNT_MAX {
        return Err(Error::InstanceLimitExceeded(min));
    }
    Ok((min, max.min(COUNT_MAX)))
}

/// The image that a parameter of Systems Manager names, `name` or `name:version`.
async fn image_in(ctx: &Ctx, name: &str) -> Result<String> {
    let input = ssm_api::GetParameterInput { name: name.to_owned(), with_decryption: None };
    let found = ctx.client.call(input).await.map_err(|error| {
        Error::value(format!(
            "Value ({PARAMETER}{name}) for parameter ImageId is invalid: {}",
            error.message
        ))
    })?;
    let value = found.parameter.and_then(|parameter| parameter.value);
    value.ok_or_else(|| Error::ImageNotFound(name.to_owned()))
}

/// Whether the host has what the type promises.
fn require_fitting(ctx: &Ctx, settings: &Settings, instance_type: InstanceType) -> Result<()> {
    if instance_type.memory_bytes() > ctx.drivers.host.memory_bytes() {
        let zone = settings.zone.clone().unwrap_or_else(|| ctx.region.to_string());
        return Err(Error::InsufficientInstanceCapacity(instance_type.name(), zone));
    }
    if settings.cores.is_some_and(|cores| cores != instance_type.cores()) {
        return Err(Error::Unsupported(
            "CpuOptions other than the type's own are not supported by this region".to_owned(),
        ));
    }
    if settings.unlimited_credits.is_some() && !instance_type.burstable() {
        return Err(Error::InvalidParameterCombination(format!(
            "The {} instance type does not support CPU credits.",
            instance_type.name()
        )));
    }
    Ok(())
}

/// What the root volume is to be. There is no other volume here.
fn root(devices: &[DeviceSettings], image: &Launchable) -> Result<Root> {
    const SIZE_MAX_GIB: u32 = 16_384;
    let mut root = Root {
        size_gib: image.size_gib,
        kind: "gp3".to_owned(),
        delete_on_termination: image.delete_on_termination,
    };
    for device in devices {
        if device.name != image.root_device {
            return Err(Error::Unsupported(format!(
                "The device {} is not supported by this region: instances have a root volume, {}, \
                 and no other",
                device.name, image.root_device
            )));
        }
        if device.snapshot.is_some() && device.snapshot != image.snapshot {
            return Err(Error::BlockDeviceMapping(
                "snapshotId cannot be modified on root device".to_owned(),
            ));
        }
        if let Some(size) = device.size_gib {
            let fits = |size: &u32| (1..=SIZE_MAX_GIB).contains(size);
            let size = u32::try_from(size).ok().filter(fits).ok_or_else(|| {
                Error::value(format!("Volume size of {size} GiB is invalid: 1 to {SIZE_MAX_GIB}"))
            })?;
            if size < image.size_gib {
                return Err(Error::BlockDeviceMapping(format!(
                    "Volume of size {size}GB is smaller than snapshot '{}', expect size >= {}GB",
                    image.snapshot.as_deref().unwrap_or(&image.id),
                    image.size_gib
                )));
            }
            root.size_gib = size;
        }
        if let Some(kind) = &device.volume_type {
            root.kind.clone_from(kind);
        }
        root.delete_on_termination =
            device.delete_on_termination.unwrap_or(root.delete_on_termination);
    }
    Ok(root)
}

/// Makes as many instances as find room: at least the smaller count, or none.
fn make_all(
    tx: &mut WriteTx<'_>,
    ctx: &Ctx,
    launch: &Launch,
    reservation: &ResourceId,
    client_token: Option<&String>,
    groups_max: u64,
) -> Result<()> {
    let (maker, settings) = (Maker::of(ctx), &launch.settings);
    let zone = settings.zone(ctx)?;
    let mut usable = ctx.region.zones();
    usable.retain(|zone| !region::is_down(ctx, zone));
    let (min, max) = launch.counts;
    let kind = (launch.instance_type, max);
    let plan = network::plan(tx, maker, settings, (zone.as_ref(), &usable), groups_max, kind)?;
    region::require_up(ctx, &plan.subnet.zone, launch.instance_type.name())?;
    let key = match &settings.key_name {
        None => None,
        Some(name) => {
            let pair = key_pair::named(tx, name)?;
            Some(Key { name: pair.name, openssh: pair.openssh })
        }
    };
    for index in 0..max {
        let id = ctx.id("i");
        let eni_tags = settings.tags_of("network-interface");
        let eni = match network::place(tx, maker, &plan, &id, eni_tags) {
            Err(Error::InsufficientFreeAddresses(_) | Error::InsufficientAddressCapacity)
                if index >= min =>
            {
                break;
            }
            placed => placed?,
        };
        let new = NewVolume {
            zone: eni.zone.clone(),
            size_gib: launch.root.size_gib,
            kind: launch.root.kind.clone(),
            snapshot: launch.image.snapshot.clone(),
            device: launch.image.root_device.clone(),
            delete_on_termination: launch.root.delete_on_termination,
            tags: settings.tags_of("volume"),
        };
        let volume = volume::make(tx, maker, &id, new)?;
        let made = Made { id, index, eni: &eni, volume: volume.id, public: plan.public };
        let instance = Instance {
            client_token: client_token.cloned(),
            key: key.clone(),
            ..record(ctx, launch, made, reservation)
        };
        let mut own_tags = launch.template_tags.clone();
        own_tags.extend(settings.tags_of("instance"));
        tags::begin(tx, &instance.id, "instance", &own_tags)?;
        tx.put(&INSTANCES, &instance)?;
    }
    Ok(())
}

/// What was made for one instance.
struct Made<'a> {
    id: ResourceId,
    index: usize,
    eni: &'a Interface,
    volume: ResourceId,
    public: bool,
}

/// An instance of a launch, which is to start.
fn record(ctx: &Ctx, launch: &Launch, made: Made<'_>, reservation: &ResourceId) -> Instance {
    let (settings, now) = (&launch.settings, ctx.now());
    let dns = network::private_name(&ctx.region, made.eni.primary());
    // AWS: "Configure the Instance Metadata Service options": images made for version 2 let the
    // answer travel into a container.
    let hops = if launch.image.imds_v2 { 2 } else { 1 };
    Instance {
        id: made.id,
        reservation: reservation.clone(),
        launch_index: u32::try_from(made.index).unwrap_or(u32::MAX),
        requester: requester_of(ctx),
        client_token: None,
        image: launch.image.id.clone(),
        source: launch.image.source.clone(),
        instance_type: launch.instance_type.name(),
        zone: made.eni.zone.clone(),
        vpc: made.eni.vpc.clone(),
        subnet: made.eni.subnet.clone(),
        hostname: dns.split('.').next().unwrap_or_default().to_owned(),
        key: None,
        user_data: settings.user_data.clone().filter(|text| !text.is_empty()),
        profile: launch
            .profile
            .clone()
            .map(|profile| Profile { association: ctx.id("iip-assoc"), ..profile }),
        metadata: MetadataOptions {
            tokens_required: settings.metadata.tokens_required.unwrap_or(true),
            hop_limit: settings.metadata.hop_limit.unwrap_or(hops),
            endpoint: settings.metadata.endpoint.unwrap_or(true),
            tags: settings.metadata.tags.unwrap_or(false),
        },
        disable_api_termination: settings.disable_api_termination.unwrap_or(false),
        disable_api_stop: settings.disable_api_stop.unwrap_or(false),
        on_shutdown: settings.on_shutdown.unwrap_or(OnShutdown::Stop),
        monitoring: settings.monitoring.unwrap_or(false),
        ebs_optimized: settings.ebs_optimized.unwrap_or(false),
        auto_recovery: settings.auto_recovery.unwrap_or(true),
        public_address: made.public,
        root_device: launch.image.root_device.clone(),
        volume: made.volume,
        state: State::Pending,
        reason: None,
        transition: String::new(),
        launched: now,
        created: now,
        changed: now,
        how: How::Gracefully,
        reboot: false,
        imaging: None,
        lost: false,
    }
}

/// The instances of a reservation, as the call that made them answers.
fn reservation_of(tx: &ReadTx<'_>, ctx: &Ctx, reservation: &str) -> Result<RunInstancesOutput> {
    let mut made = tx.scan(&INSTANCES, ())?;
    made.retain(|instance| instance.reservation.as_str() == reservation);
    made.sort_by_key(|instance| instance.launch_index);
    let requester_id = made.first().and_then(|instance| instance.requester.clone());
    let instances = made.iter().map(|instance| describe::described(tx, ctx, instance));
    Ok(RunInstancesOutput {
        reservation_id: Some(reservation.to_owned()),
        owner_id: Some(ctx.account.to_string()),
        requester_id,
        groups: Vec::new(),
        instances: instances.collect::<Result<_>>()?,
    })
}
