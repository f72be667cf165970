//! Detailed monitoring, on or off.

use ec2_api::{
    InstanceMonitoring, MonitorInstancesInput, MonitorInstancesOutput, Monitoring,
    UnmonitorInstancesInput, UnmonitorInstancesOutput,
};
use store::WriteTx;

use super::describe::monitoring;
use super::lifecycle::all_named;
use super::store::{INSTANCES, State};
use crate::Ctx;
use crate::error::{Error, Result, refuse};

/// Asks for metrics each minute.
///
/// AWS: MonitorInstances.
pub(crate) async fn monitor_instances(
    ctx: Ctx,
    input: MonitorInstancesInput,
) -> Result<MonitorInstancesOutput> {
    refuse(&[("MetricCategoryIds", !input.metric_category_ids.is_empty())])?;
    let instance_monitorings = set(&ctx, &input.instance_ids, true).await?;
    Ok(MonitorInstancesOutput { instance_monitorings })
}

/// Asks for metrics every five minutes again.
///
/// AWS: UnmonitorInstances.
pub(crate) async fn unmonitor_instances(
    ctx: Ctx,
    input: UnmonitorInstancesInput,
) -> Result<UnmonitorInstancesOutput> {
    refuse(&[("MetricCategoryIds", !input.metric_category_ids.is_empty())])?;
    let instance_monitorings = set(&ctx, &input.instance_ids, false).await?;
    Ok(UnmonitorInstancesOutput { instance_monitorings })
}

async fn set(ctx: &Ctx, ids: &[String], on: bool) -> Result<Vec<InstanceMonitoring>> {
    let write = |tx: &mut WriteTx<'_>| {
        let mut changed = Vec::new();
        for mut instance in all_named(tx, ids)? {
            if instance.state == State::Terminated {
                return Err(Error::IncorrectInstanceState(format!(
                    "The instance '{}' is terminated.",
                    instance.id
                )));
            }
            instance.monitoring = on;
            tx.put(&INSTANCES, &instance)?;
            changed.push(InstanceMonitoring {
                instance_id: Some(instance.id.to_string()),
                monitoring: Some(Monitoring {
                    state: Some(monitoring(on)),
                    ..Monitoring::default()
                }),
            });
        }
        Ok(changed)
    };
    ctx.store.write(write).await
}
