//! How the metadata service treats an instance, changed while it runs.

use ec2_api::{
    HttpTokensState, InstanceMetadataEndpointState, InstanceMetadataProtocolState,
    InstanceMetadataTagsState, ModifyInstanceMetadataOptionsInput,
    ModifyInstanceMetadataOptionsOutput,
};
use store::WriteTx;

use super::describe::metadata_of;
use super::settings::hop_limit;
use super::store::{INSTANCES, State};
use crate::Ctx;
use crate::error::{Error, Result, refuse};

/// Changes how the metadata service treats an instance.
///
/// AWS: ModifyInstanceMetadataOptions.
pub(crate) async fn modify_instance_metadata_options(
    ctx: Ctx,
    input: ModifyInstanceMetadataOptionsInput,
) -> Result<ModifyInstanceMetadataOptionsOutput> {
    let ipv6 = input.http_protocol_ipv6 == Some(InstanceMetadataProtocolState::Enabled);
    refuse(&[("HttpProtocolIpv6", ipv6)])?;
    let hops = input.http_put_response_hop_limit.map(hop_limit).transpose()?;
    let write = |tx: &mut WriteTx<'_>| {
        let mut instance = super::get(tx, &input.instance_id)?;
        if instance.state == State::Terminated {
            return Err(Error::IncorrectInstanceState(format!(
                "The instance '{}' is terminated.",
                instance.id
            )));
        }
        let options = &mut instance.metadata;
        if let Some(tokens) = input.http_tokens {
            options.tokens_required = tokens == HttpTokensState::Required;
        }
        if let Some(hops) = hops {
            options.hop_limit = hops;
        }
        if let Some(endpoint) = input.http_endpoint {
            options.endpoint = endpoint == InstanceMetadataEndpointState::Enabled;
        }
        if let Some(tags) = input.instance_metadata_tags {
            options.tags = tags == InstanceMetadataTagsState::Enabled;
        }
        tx.put(&INSTANCES, &instance)?;
        Ok(metadata_of(&instance.metadata))
    };
    let options = ctx.store.write(write).await?;
    Ok(ModifyInstanceMetadataOptionsOutput {
        instance_id: Some(input.instance_id),
        instance_metadata_options: Some(options),
    })
}
