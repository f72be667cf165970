//! Replication to other regions: this installation has one.

use secretsmanager_api::{
    RemoveRegionsFromReplicationInput, RemoveRegionsFromReplicationOutput,
    ReplicateSecretToRegionsInput, ReplicateSecretToRegionsOutput, StopReplicationToReplicaInput,
    StopReplicationToReplicaOutput,
};

use crate::Ctx;
use crate::error::{Error, Result};
use crate::store::find;

/// Refuses to replicate a secret.
///
/// AWS: ReplicateSecretToRegions.
///
/// # Errors
///
/// [`Error::SecretNotFound`], else [`Error::InvalidParameter`], always.
pub(crate) async fn replicate_secret_to_regions(
    ctx: Ctx,
    input: ReplicateSecretToRegionsInput,
) -> Result<ReplicateSecretToRegionsOutput> {
    ctx.store.read(|tx| find(tx, &ctx, &input.secret_id)).await?.usable()?;
    Err(one_region(&ctx))
}

/// Refuses to remove replicas: no secret has one.
///
/// AWS: RemoveRegionsFromReplication.
///
/// # Errors
///
/// [`Error::SecretNotFound`], else [`Error::InvalidParameter`], always.
pub(crate) async fn remove_regions_from_replication(
    ctx: Ctx,
    input: RemoveRegionsFromReplicationInput,
) -> Result<RemoveRegionsFromReplicationOutput> {
    ctx.store.read(|tx| find(tx, &ctx, &input.secret_id)).await?.usable()?;
    Err(Error::InvalidParameter(format!(
        "The secret has no replica in {}.",
        input.remove_replica_regions.join(", ")
    )))
}

/// Refuses to make a replica a secret of its own: there are none.
///
/// AWS: StopReplicationToReplica.
///
/// # Errors
///
/// [`Error::SecretNotFound`], else [`Error::InvalidRequest`], always.
pub(crate) async fn stop_replication_to_replica(
    ctx: Ctx,
    input: StopReplicationToReplicaInput,
) -> Result<StopReplicationToReplicaOutput> {
    ctx.store.read(|tx| find(tx, &ctx, &input.secret_id)).await?.usable()?;
    Err(Error::InvalidRequest("The secret is not a replica secret.".to_owned()))
}

/// Why nothing is replicated.
pub(crate) fn one_region(ctx: &Ctx) -> Error {
    Error::InvalidParameter(format!(
        "Secrets cannot be replicated: this installation has one region, {}.",
        ctx.region
    ))
}
