//! What instances print.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ec2_api::{GetConsoleOutputInput, GetConsoleOutputOutput};
use machine::{CONSOLE_MAX, Error as MachineError};

use super::store::State;
use crate::Ctx;
use crate::error::Result;

/// The last 64 KB that an instance printed on its console. It is there from the first start to the
/// instance's end, and always the latest.
///
/// AWS: GetConsoleOutput.
pub(crate) async fn get_console_output(
    ctx: Ctx,
    input: GetConsoleOutputInput,
) -> Result<GetConsoleOutputOutput> {
    let instance = ctx.store.read(|tx| super::get(tx, &input.instance_id)).await?;
    let text = if instance.state == State::Terminated {
        None
    } else {
        let read = ctx.drivers.machine.console(&instance.zone, instance.id.as_str(), CONSOLE_MAX);
        match read.await {
            Ok(text) => Some(text),
            // Nothing was printed yet, or the zone that knows it is down.
            Err(MachineError::NoSuchWorkload { .. } | MachineError::ZoneDown { .. }) => None,
            Err(error) => return Err(kernel::ServiceError::internal(error).into()),
        }
    };
    Ok(GetConsoleOutputOutput {
        instance_id: Some(instance.id.to_string()),
        timestamp: Some(ctx.now()),
        output: text.filter(|text| !text.is_empty()).map(|text| STANDARD.encode(text)),
    })
}
