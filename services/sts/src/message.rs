//! What an encoded refusal says.

use kernel::Ctx;
use sts_api::{DecodeAuthorizationMessageInput, DecodeAuthorizationMessageOutput};

use crate::error::{Error, Result};

/// Tells why a call was refused whose error carried an encoded message.
///
/// AWS: DecodeAuthorizationMessage.
///
/// # Errors
///
/// [`Error::InvalidAuthorizationMessage`] for what this region did not write.
pub(crate) async fn decode_authorization_message(
    ctx: Ctx,
    input: DecodeAuthorizationMessageInput,
) -> Result<DecodeAuthorizationMessageOutput> {
    let decoded_message = ctx.kernel().authorization_message(&input.encoded_message);
    let decoded_message = decoded_message.ok_or(Error::InvalidAuthorizationMessage)?;
    Ok(DecodeAuthorizationMessageOutput { decoded_message: Some(decoded_message) })
}
