//! Who calls.

use kernel::Ctx;
use sts_api::{
    GetAccessKeyInfoInput, GetAccessKeyInfoOutput, GetCallerIdentityInput, GetCallerIdentityOutput,
};

use crate::error::{Error, Result};

/// Tells the caller who it is.
///
/// AWS: GetCallerIdentity.
pub(crate) async fn get_caller_identity(
    ctx: Ctx,
    _input: GetCallerIdentityInput,
) -> Result<GetCallerIdentityOutput> {
    Ok(GetCallerIdentityOutput {
        user_id: Some(ctx.caller.user_id.clone()),
        account: Some(ctx.account.to_string()),
        arn: Some(ctx.caller.arn.clone()),
    })
}

/// Tells the account that an access key belongs to.
///
/// AWS: GetAccessKeyInfo.
///
/// # Errors
///
/// [`Error::Validation`] when this region knows no such key.
pub(crate) async fn get_access_key_info(
    ctx: Ctx,
    input: GetAccessKeyInfoInput,
) -> Result<GetAccessKeyInfoOutput> {
    let key = ctx.kernel().identity().access_key(&input.access_key_id).await?;
    let key = key.ok_or_else(|| {
        Error::Validation(format!("Access key {} was not found", input.access_key_id))
    })?;
    Ok(GetAccessKeyInfoOutput { account: Some(key.caller.account.to_string()) })
}
