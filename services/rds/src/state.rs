//! Restart, stop, start and deletion of DB instances.

use rds_api::{
    DeleteDBInstanceInput, DeleteDBInstanceOutput, RebootDBInstanceInput, RebootDBInstanceOutput,
    StartDBInstanceInput, StartDBInstanceOutput, StopDBInstanceInput, StopDBInstanceOutput,
};
use store::{ReadTx, WriteTx};

use crate::error::{Error, Result, refuse};
use crate::modify::require_available;
use crate::store::{DbInstance, INSTANCES, SNAPSHOTS, SnapshotKind, Status};
use crate::{Ctx, backup, instance, request, view};

async fn put(
    ctx: &Ctx,
    name: &str,
    change: impl Fn(&ReadTx<'_>, &mut DbInstance) -> Result<()> + Send + Sync,
) -> Result<DbInstance> {
    let write = |tx: &mut WriteTx<'_>| -> Result<DbInstance> {
        let mut instance = instance::get(tx, name)?;
        change(tx, &mut instance)?;
        tx.put(&INSTANCES, &instance)?;
        Ok(instance)
    };
    ctx.store.write(write).await
}

/// Restarts an instance, or has its standby take over.
///
/// AWS: RebootDBInstance.
pub(crate) async fn reboot_db_instance(
    ctx: Ctx,
    input: RebootDBInstanceInput,
) -> Result<RebootDBInstanceOutput> {
    let force = input.force_failover == Some(true);
    let instance = put(&ctx, &input.db_instance_identifier, |_, instance| {
        // A restart is how an instance leaves that state once its group is mended.
        let mended = instance.status == Status::IncompatibleParameters;
        if !(mended && instance.created.is_some()) {
            require_available(instance)?;
        }
        if force && !instance.multi_az {
            return Err(Error::combination(
                "Cannot force failover: the DB instance is not a Multi-AZ instance.",
            ));
        }
        instance.status = Status::Rebooting;
        instance.force_failover = force;
        Ok(())
    });
    let instance = instance.await?;
    Ok(RebootDBInstanceOutput { db_instance: Some(view::instance(&ctx, &instance).await?) })
}

fn require_alone(tx: &ReadTx<'_>, instance: &DbInstance) -> Result<()> {
    let all = tx.scan(&INSTANCES, ())?;
    let replicas = all.iter().any(|one| one.follows() == Some(&instance.name));
    if replicas || instance.follows().is_some() {
        return Err(Error::state(
            "Cannot stop or start a DB instance that has a read replica or is one.",
        ));
    }
    Ok(())
}

/// Stops an instance. Its data stays, and nothing of it runs.
///
/// AWS: StopDBInstance.
pub(crate) async fn stop_db_instance(
    ctx: Ctx,
    input: StopDBInstanceInput,
) -> Result<StopDBInstanceOutput> {
    refuse(&[
        ("DBSnapshotIdentifier", input.db_snapshot_identifier.is_some()),
        (
            "DetachFromDBCapacityReservation",
            input.detach_from_db_capacity_reservation == Some(true),
        ),
    ])?;
    let instance = put(&ctx, &input.db_instance_identifier, |tx, instance| {
        require_available(instance)?;
        require_alone(tx, instance)?;
        instance.status = Status::Stopping;
        Ok(())
    });
    let instance = instance.await?;
    Ok(StopDBInstanceOutput { db_instance: Some(view::instance(&ctx, &instance).await?) })
}

/// Starts a stopped instance.
///
/// AWS: StartDBInstance.
pub(crate) async fn start_db_instance(
    ctx: Ctx,
    input: StartDBInstanceInput,
) -> Result<StartDBInstanceOutput> {
    refuse(&[(
        "DBCapacityReservationIdentifier",
        input.db_capacity_reservation_identifier.is_some(),
    )])?;
    let instance = put(&ctx, &input.db_instance_identifier, |_, instance| {
        if instance.status != Status::Stopped {
            return Err(Error::state(format!(
                "Instance {} is not stopped, it is in {} state.",
                instance.name,
                instance.status.name()
            )));
        }
        instance.status = Status::Starting;
        Ok(())
    });
    let instance = instance.await?;
    Ok(StartDBInstanceOutput { db_instance: Some(view::instance(&ctx, &instance).await?) })
}

/// The final snapshot that is asked for, after AWS's rules about the two members.
fn final_snapshot(instance: &DbInstance, input: &DeleteDBInstanceInput) -> Result<Option<String>> {
    let skip = input.skip_final_snapshot == Some(true);
    match (&input.final_db_snapshot_identifier, skip) {
        (Some(_), true) => Err(Error::combination(
            "FinalDBSnapshotIdentifier can not be specified when deleting the instance without a \
             final snapshot.",
        )),
        (Some(_), false) if instance.follows().is_some() => Err(Error::combination(
            "FinalDBSnapshotIdentifier can not be specified when deleting a replica instance",
        )),
        (Some(name), false) => {
            request::identifier("FinalDBSnapshotIdentifier", name, 255).map(Some)
        }
        (None, false) if instance.follows().is_none() => Err(Error::combination(
            "FinalDBSnapshotIdentifier is required unless SkipFinalSnapshot is specified.",
        )),
        (None, _) => Ok(None),
    }
}

/// Deletes an instance. Its read replicas become instances of their own.
///
/// AWS: DeleteDBInstance.
pub(crate) async fn delete_db_instance(
    ctx: Ctx,
    input: DeleteDBInstanceInput,
) -> Result<DeleteDBInstanceOutput> {
    refuse(&[("DeleteAutomatedBackups", input.delete_automated_backups == Some(false))])?;
    let now = ctx.now();
    let folder = backup::folder_name(&ctx.random().uuid());
    let write = |tx: &mut WriteTx<'_>| -> Result<DbInstance> {
        let mut instance = instance::get(tx, &input.db_instance_identifier)?;
        if instance.deletion_protection {
            return Err(Error::combination(
                "Cannot delete protected DB Instance, please disable deletion protection and try \
                 again.",
            ));
        }
        if instance.status == Status::Deleting {
            return Err(Error::state(format!(
                "Instance {} is already being deleted.",
                instance.name
            )));
        }
        if let Some(name) = final_snapshot(&instance, &input)? {
            if !instance.status.runs() {
                return Err(Error::state(format!(
                    "Unable to create final snapshot since instance {} is in {} state.",
                    instance.name,
                    instance.status.name()
                )));
            }
            if tx.contains(&SNAPSHOTS, &name)? {
                return Err(Error::SnapshotAlreadyExists(name));
            }
            let made = backup::new(&instance, &name, SnapshotKind::Manual, &folder, now);
            tx.put(&SNAPSHOTS, &made)?;
            instance.final_snapshot = Some(name);
        }
        instance.status = Status::Deleting;
        tx.put(&INSTANCES, &instance)?;
        Ok(instance)
    };
    let instance = ctx.store.write(write).await?;
    Ok(DeleteDBInstanceOutput { db_instance: Some(view::instance(&ctx, &instance).await?) })
}
