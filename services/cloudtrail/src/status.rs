//! Whether trails log, and how their deliveries go.

use base::Timestamp;
use cloudtrail_api::{
    GetTrailStatusInput, GetTrailStatusOutput, StartLoggingInput, StartLoggingOutput,
    StopLoggingInput, StopLoggingOutput,
};

use crate::Ctx;
use crate::error::{Error, Result};
use crate::store::{TRAILS, find};
use crate::trail::written;

/// Tells how a trail does.
///
/// AWS: GetTrailStatus.
pub(crate) async fn get_trail_status(
    ctx: Ctx,
    input: GetTrailStatusInput,
) -> Result<GetTrailStatusOutput> {
    let trail = ctx.store.read(|tx| find(tx, &ctx, &input.name)).await?;
    let text = |at: Option<Timestamp>| Some(at.map(written).unwrap_or_default());
    Ok(GetTrailStatusOutput {
        is_logging: Some(trail.started.is_some() && trail.stopped.is_none()),
        latest_delivery_error: trail.delivery.error.clone(),
        latest_delivery_time: trail.delivery.succeeded,
        start_logging_time: trail.started,
        stop_logging_time: trail.stopped,
        latest_digest_delivery_time: trail.digest_delivery.succeeded,
        latest_digest_delivery_error: trail.digest_delivery.error,
        latest_delivery_attempt_time: text(trail.delivery.tried),
        latest_notification_attempt_time: text(None),
        latest_notification_attempt_succeeded: text(None),
        latest_delivery_attempt_succeeded: text(trail.delivery.succeeded),
        time_logging_started: text(trail.started),
        time_logging_stopped: text(trail.stopped),
        ..GetTrailStatusOutput::default()
    })
}

/// Has a trail log from now on.
///
/// AWS: StartLogging.
pub(crate) async fn start_logging(
    ctx: Ctx,
    input: StartLoggingInput,
) -> Result<StartLoggingOutput> {
    ctx.store
        .write(|tx| {
            let mut trail = find(tx, &ctx, &input.name)?;
            if trail.started.is_none() || trail.stopped.is_some() {
                let now = ctx.now();
                trail.started = Some(now);
                trail.stopped = None;
                trail.delivered_to = now;
                tx.put(&TRAILS, &trail)?;
            }
            Ok::<_, Error>(())
        })
        .await?;
    Ok(StartLoggingOutput {})
}

/// Has a trail log no more. What it took in before is delivered yet.
///
/// AWS: StopLogging.
pub(crate) async fn stop_logging(ctx: Ctx, input: StopLoggingInput) -> Result<StopLoggingOutput> {
    ctx.store
        .write(|tx| {
            let mut trail = find(tx, &ctx, &input.name)?;
            if trail.started.is_some() && trail.stopped.is_none() {
                trail.stopped = Some(ctx.now());
                tx.put(&TRAILS, &trail)?;
            }
            Ok::<_, Error>(())
        })
        .await?;
    Ok(StopLoggingOutput {})
}
