//! Signals from resources that are being made.

use cloudformation_api::{
    ResourceSignalStatus, ResourceStatus, SignalResourceInput, SignalResourceOutput,
};
use kernel::Ctx;

use crate::error::{Error, Result};
use crate::stack::find;
use crate::store::{RESOURCES, SIGNALS, Signal};

/// Takes a signal for a resource that waits for some.
///
/// AWS: SignalResource.
///
/// # Errors
///
/// [`Error::Validation`] when nothing waits for it.
pub(crate) async fn signal_resource(
    ctx: Ctx,
    input: SignalResourceInput,
) -> Result<SignalResourceOutput> {
    ctx.store
        .write(|tx| {
            let stack = find(tx, &input.stack_name)?;
            let key = (stack.id.clone(), input.logical_resource_id.clone());
            let row = tx.get(&RESOURCES, &key)?.ok_or_else(|| {
                Error::validation(format!(
                    "Resource {} does not exist for stack {}",
                    input.logical_resource_id, stack.name
                ))
            })?;
            let waiting = [ResourceStatus::CreateInProgress, ResourceStatus::UpdateInProgress];
            if !waiting.contains(&row.status) {
                return Err(Error::validation(format!(
                    "Resource {} is in {} state and can not be signaled.",
                    row.logical_id, row.status
                )));
            }
            let policies = [
                "/CreationPolicy/ResourceSignal",
                "/UpdatePolicy/AutoScalingRollingUpdate/WaitOnResourceSignals",
            ];
            let declared = &row.current.declared;
            if !policies.iter().any(|policy| declared.pointer(policy).is_some()) {
                return Err(Error::validation(format!(
                    "Resource {} has no policy that waits for signals.",
                    row.logical_id
                )));
            }
            tx.put(
                &SIGNALS,
                &Signal {
                    token: row.current.token,
                    unique_id: input.unique_id.clone(),
                    success: input.status == ResourceSignalStatus::Success,
                },
            )?;
            Ok(SignalResourceOutput {})
        })
        .await
}
