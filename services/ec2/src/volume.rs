//! Volumes and snapshots. Every volume here is an instance's root: it is made with the instance,
//! outlives its stops, and goes with it unless it was asked to stay.

use base::{ResourceId, Tags, Timestamp, Zone};
use ec2_api::{
    DescribeSnapshotsInput, DescribeSnapshotsOutput, DescribeVolumeStatusInput,
    DescribeVolumeStatusOutput, DescribeVolumesInput, DescribeVolumesOutput, SnapshotState,
    StorageTier, VolumeAttachment, VolumeAttachmentState, VolumeState, VolumeStatusDetails,
    VolumeStatusInfo, VolumeStatusInfoStatus, VolumeStatusItem, VolumeStatusName, VolumeType,
};
use serde::{Deserialize, Serialize};
use store::{Index, ReadTx, Record, Table, WriteTx};

use crate::Ctx;
use crate::error::{Error, Result, refuse};
use crate::image::store::{SNAPSHOTS, Snapshot};
use crate::listing::{self, Asked, Field};
use crate::maker::Maker;
use crate::tags;

/// A volume.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Volume {
    /// `vol-…`, which is also the driver's name of it.
    pub(crate) id: ResourceId,
    pub(crate) zone: Zone,
    pub(crate) size_gib: u32,
    /// As `gp3`.
    pub(crate) kind: String,
    pub(crate) snapshot: Option<String>,
    pub(crate) created: Timestamp,
    pub(crate) attachment: Option<Attachment>,
    /// Whether the driver has made it.
    pub(crate) made: bool,
}

/// That a volume belongs to an instance.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Attachment {
    pub(crate) instance: ResourceId,
    pub(crate) device: String,
    pub(crate) at: Timestamp,
    pub(crate) delete_on_termination: bool,
}

impl Record for Volume {
    type Key = ResourceId;

    fn key(&self) -> ResourceId {
        self.id.clone()
    }
}

pub(crate) const VOLUMES: Table<Volume> =
    Table::new("ec2.volumes").with_indexes(&[&VOLUMES_BY_INSTANCE]);
pub(crate) const VOLUMES_BY_INSTANCE: Index<Volume, ResourceId> = Index::new(
    || VOLUMES,
    "instance",
    |volume| volume.attachment.iter().map(|attachment| attachment.instance.clone()).collect(),
);

const VOLUME: &str = "volume";

/// What a new root volume is to be.
#[derive(Debug, Clone)]
pub(crate) struct NewVolume {
    pub(crate) zone: Zone,
    pub(crate) size_gib: u32,
    pub(crate) kind: String,
    pub(crate) snapshot: Option<String>,
    pub(crate) device: String,
    pub(crate) delete_on_termination: bool,
    pub(crate) tags: Tags,
}

/// Makes the root volume of an instance; the disk itself is made when the instance starts.
pub(crate) fn make(
    tx: &mut WriteTx<'_>,
    maker: Maker<'_>,
    instance: &ResourceId,
    new: NewVolume,
) -> Result<Volume> {
    let volume = Volume {
        id: maker.id("vol"),
        zone: new.zone,
        size_gib: new.size_gib,
        kind: new.kind,
        snapshot: new.snapshot,
        created: maker.now,
        attachment: Some(Attachment {
            instance: instance.clone(),
            device: new.device,
            at: maker.now,
            delete_on_termination: new.delete_on_termination,
        }),
        made: false,
    };
    tx.put(&VOLUMES, &volume)?;
    tags::begin(tx, &volume.id, VOLUME, &new.tags)?;
    Ok(volume)
}

/// Forgets a volume whose disk is gone.
pub(crate) fn forget(tx: &mut WriteTx<'_>, id: &ResourceId) -> Result<()> {
    tx.delete(&VOLUMES, id)?;
    tags::end(tx, id)
}

/// The id of a volume as a client wrote it.
fn require_ids(ids: &[String], prefix: &str) -> Result<()> {
    match ids.iter().find(|id| ResourceId::parse(prefix, id).is_none()) {
        Some(id) => Err(Error::value(format!(
            "Value ({id}) for parameter {prefix}Id is invalid. Expected: '{prefix}-...'."
        ))),
        None => Ok(()),
    }
}

fn described(tx: &ReadTx<'_>, ctx: &Ctx, volume: &Volume) -> Result<ec2_api::Volume> {
    let in_use = volume.attachment.is_some();
    let attachment = |attachment: &Attachment| VolumeAttachment {
        volume_id: Some(volume.id.to_string()),
        instance_id: Some(attachment.instance.to_string()),
        device: Some(attachment.device.clone()),
        state: Some(if volume.made {
            VolumeAttachmentState::Attached
        } else {
            VolumeAttachmentState::Attaching
        }),
        attach_time: Some(attachment.at),
        delete_on_termination: Some(attachment.delete_on_termination),
        ..VolumeAttachment::default()
    };
    let gp3 = volume.kind == "gp3";
    Ok(ec2_api::Volume {
        volume_id: Some(volume.id.to_string()),
        volume_arn: Some(ctx.arn("ec2", format!("volume/{}", volume.id)).to_string()),
        owner_id: Some(ctx.account.to_string()),
        size: i32::try_from(volume.size_gib).ok(),
        snapshot_id: volume.snapshot.clone(),
        availability_zone: Some(volume.zone.to_string()),
        availability_zone_id: Some(volume.zone.zone_id()),
        state: Some(match (volume.made, in_use) {
            (false, _) => VolumeState::Creating,
            (true, true) => VolumeState::InUse,
            (true, false) => VolumeState::Available,
        }),
        create_time: Some(volume.created),
        attachments: volume.attachment.iter().map(attachment).collect(),
        encrypted: Some(false),
        volume_type: volume.kind.parse::<VolumeType>().ok(),
        iops: gp3.then_some(3000),
        throughput: gp3.then_some(125),
        multi_attach_enabled: Some(false),
        tags: tags::wire_of(tx, &volume.id)?,
        ..ec2_api::Volume::default()
    })
}

type Wire = ec2_api::Volume;

const FIELDS: &[Field<Wire>] = &[
    ("volume-id", |v| listing::text(v.volume_id.as_ref())),
    ("availability-zone", |v| listing::text(v.availability_zone.as_ref())),
    ("availability-zone-id", |v| listing::text(v.availability_zone_id.as_ref())),
    ("status", |v| listing::shown(v.state)),
    ("size", |v| listing::shown(v.size)),
    ("snapshot-id", |v| listing::text(v.snapshot_id.as_ref())),
    ("volume-type", |v| listing::shown(v.volume_type)),
    ("encrypted", |v| listing::shown(v.encrypted)),
    ("create-time", |v| listing::shown(v.create_time)),
    ("multi-attach-enabled", |v| listing::shown(v.multi_attach_enabled)),
    ("attachment.instance-id", |v| {
        v.attachments.iter().filter_map(|a| a.instance_id.clone()).collect()
    }),
    ("attachment.device", |v| v.attachments.iter().filter_map(|a| a.device.clone()).collect()),
    ("attachment.status", |v| {
        v.attachments.iter().filter_map(|a| Some(a.state?.to_string())).collect()
    }),
    ("attachment.attach-time", |v| {
        v.attachments.iter().filter_map(|a| Some(a.attach_time?.to_string())).collect()
    }),
    ("attachment.delete-on-termination", |v| {
        v.attachments.iter().filter_map(|a| Some(a.delete_on_termination?.to_string())).collect()
    }),
];

async fn all_described(ctx: &Ctx, ids: &[String]) -> Result<Vec<Wire>> {
    require_ids(ids, "vol")?;
    let read = |tx: &ReadTx<'_>| {
        let all = tx.scan(&VOLUMES, ())?;
        let named = listing::named(all, ids, |v| v.id.as_str(), Error::VolumeNotFound)?;
        named.iter().map(|volume| described(tx, ctx, volume)).collect::<Result<Vec<_>>>()
    };
    ctx.store.read(read).await
}

/// Tells the account's volumes.
///
/// AWS: DescribeVolumes.
pub(crate) async fn describe_volumes(
    ctx: Ctx,
    input: DescribeVolumesInput,
) -> Result<DescribeVolumesOutput> {
    let all = all_described(&ctx, &input.volume_ids).await?;
    let selected = listing::select(all, &input.filters, FIELDS, |volume| &volume.tags)?;
    let asked = Asked {
        ids: &input.volume_ids,
        max_results: input.max_results,
        next_token: input.next_token.as_deref(),
    };
    let key = |volume: &Wire| volume.volume_id.clone().unwrap_or_default();
    let (volumes, next_token) = listing::page(selected, asked, key)?;
    Ok(DescribeVolumesOutput { volumes, next_token })
}

const STATUS_FIELDS: &[Field<VolumeStatusItem>] = &[
    ("availability-zone", |s| listing::text(s.availability_zone.as_ref())),
    ("availability-zone-id", |s| listing::text(s.availability_zone_id.as_ref())),
    ("volume-status.status", |s| {
        listing::shown(s.volume_status.as_ref().and_then(|status| status.status))
    }),
];

/// Tells whether the disks of volumes are there.
///
/// AWS: DescribeVolumeStatus.
pub(crate) async fn describe_volume_status(
    ctx: Ctx,
    input: DescribeVolumeStatusInput,
) -> Result<DescribeVolumeStatusOutput> {
    let there = ctx.drivers.host.volumes().await.map_err(kernel::ServiceError::internal)?;
    let all = all_described(&ctx, &input.volume_ids).await?;
    let status = |volume: Wire| {
        let id = volume.volume_id.clone().unwrap_or_default();
        let (status, io) = if there.contains(&id) {
            (VolumeStatusInfoStatus::Ok, "passed")
        } else if volume.state == Some(VolumeState::Creating) {
            (VolumeStatusInfoStatus::InsufficientData, "not-applicable")
        } else {
            (VolumeStatusInfoStatus::Impaired, "failed")
        };
        let detail = VolumeStatusDetails {
            name: Some(VolumeStatusName::IoEnabled),
            status: Some(io.to_owned()),
        };
        VolumeStatusItem {
            availability_zone: volume.availability_zone,
            availability_zone_id: volume.availability_zone_id,
            volume_id: volume.volume_id,
            volume_status: Some(VolumeStatusInfo { details: vec![detail], status: Some(status) }),
            ..VolumeStatusItem::default()
        }
    };
    let all = all.into_iter().map(status).collect();
    let selected = listing::select(all, &input.filters, STATUS_FIELDS, |_| &[])?;
    let asked = Asked {
        ids: &input.volume_ids,
        max_results: input.max_results,
        next_token: input.next_token.as_deref(),
    };
    let key = |item: &VolumeStatusItem| item.volume_id.clone().unwrap_or_default();
    let (volume_statuses, next_token) = listing::page(selected, asked, key)?;
    Ok(DescribeVolumeStatusOutput { volume_statuses, next_token })
}

fn described_snapshot(
    tx: &ReadTx<'_>,
    ctx: &Ctx,
    snapshot: &Snapshot,
) -> Result<ec2_api::Snapshot> {
    let state = match (&snapshot.completed, &snapshot.failure) {
        (Some(_), _) => SnapshotState::Completed,
        (None, Some(_)) => SnapshotState::Error,
        (None, None) => SnapshotState::Pending,
    };
    let size = snapshot.completed.as_ref().and_then(|done| i64::try_from(done.size_bytes).ok());
    Ok(ec2_api::Snapshot {
        snapshot_id: Some(snapshot.id.to_string()),
        volume_id: Some(snapshot.volume.to_string()),
        state: Some(state),
        state_message: snapshot.failure.clone(),
        start_time: Some(snapshot.started),
        completion_time: snapshot.completed.as_ref().map(|done| done.at),
        progress: Some(if snapshot.completed.is_some() { "100%" } else { "0%" }.to_owned()),
        owner_id: Some(ctx.account.to_string()),
        description: Some(snapshot.description.clone()),
        volume_size: i32::try_from(snapshot.size_gib).ok(),
        full_snapshot_size_in_bytes: size,
        encrypted: Some(false),
        storage_tier: Some(StorageTier::Standard),
        tags: tags::wire_of(tx, &snapshot.id)?,
        ..ec2_api::Snapshot::default()
    })
}

const SNAPSHOT_FIELDS: &[Field<ec2_api::Snapshot>] = &[
    ("snapshot-id", |s| listing::text(s.snapshot_id.as_ref())),
    ("volume-id", |s| listing::text(s.volume_id.as_ref())),
    ("status", |s| listing::shown(s.state)),
    ("owner-id", |s| listing::text(s.owner_id.as_ref())),
    ("description", |s| listing::text(s.description.as_ref())),
    ("volume-size", |s| listing::shown(s.volume_size)),
    ("progress", |s| listing::text(s.progress.as_ref())),
    ("start-time", |s| listing::shown(s.start_time)),
    ("encrypted", |s| listing::shown(s.encrypted)),
    ("storage-tier", |s| listing::shown(s.storage_tier)),
];

/// Tells the account's snapshots.
///
/// AWS: DescribeSnapshots.
pub(crate) async fn describe_snapshots(
    ctx: Ctx,
    input: DescribeSnapshotsInput,
) -> Result<DescribeSnapshotsOutput> {
    refuse(&[("RestorableBy", !input.restorable_by_user_ids.is_empty())])?;
    require_ids(&input.snapshot_ids, "snap")?;
    let mine = |owner: &String| owner == "self" || owner == ctx.account.as_str();
    let shown = input.owner_ids.is_empty() || input.owner_ids.iter().any(mine);
    let read = |tx: &ReadTx<'_>| {
        let all = tx.scan(&SNAPSHOTS, ())?;
        let all =
            listing::named(all, &input.snapshot_ids, |s| s.id.as_str(), Error::SnapshotNotFound)?;
        let all = all.iter().filter(|_| shown);
        all.map(|snapshot| described_snapshot(tx, &ctx, snapshot)).collect::<Result<Vec<_>>>()
    };
    let all = ctx.store.read(read).await?;
    let selected = listing::select(all, &input.filters, SNAPSHOT_FIELDS, |s| &s.tags)?;
    let asked = Asked {
        ids: &input.snapshot_ids,
        max_results: input.max_results,
        next_token: input.next_token.as_deref(),
    };
    let key = |snapshot: &ec2_api::Snapshot| snapshot.snapshot_id.clone().unwrap_or_default();
    let (snapshots, next_token) = listing::page(selected, asked, key)?;
    Ok(DescribeSnapshotsOutput { snapshots, next_token })
}
