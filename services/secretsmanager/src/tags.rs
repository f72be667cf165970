//! Tags of secrets.

use base::Tags;
use kernel::ServiceError;
use secretsmanager_api::{
    Tag, TagResourceInput, TagResourceOutput, UntagResourceInput, UntagResourceOutput,
};

use crate::Ctx;
use crate::error::{Error, Result};
use crate::resource_policy::secret_of_resource;
use crate::store::{SECRETS, find};

/// Tags as answers show them.
pub(crate) fn shown(tags: &Tags) -> Vec<Tag> {
    let tag = |(key, value): (&String, &String)| Tag {
        key: Some(key.clone()),
        value: Some(value.clone()),
    };
    tags.iter().map(tag).collect()
}

/// Adds tags.
///
/// AWS: TagResource.
///
/// # Errors
///
/// [`Error::SecretNotFound`], [`Error::InvalidParameter`].
pub(crate) async fn tag_resource(ctx: Ctx, input: TagResourceInput) -> Result<TagResourceOutput> {
    let inside = ctx.caller.invoked_by.clone();
    ctx.store
        .write(|tx| -> Result<()> {
            let mut secret = find(tx, &ctx, &input.secret_id)?.usable()?;
            for tag in &input.tags {
                let (key, value) = (tag.key.clone(), tag.value.clone());
                secret.tags.insert(key.unwrap_or_default(), value.unwrap_or_default());
            }
            kernel::tags::check(&secret.tags, inside.as_deref())
                .map_err(|error| Error::InvalidParameter(error.to_string()))?;
            tx.put(&SECRETS, &secret)?;
            Ok(())
        })
        .await?;
    Ok(TagResourceOutput {})
}

/// Takes tags away.
///
/// AWS: UntagResource.
///
/// # Errors
///
/// [`Error::SecretNotFound`].
pub(crate) async fn untag_resource(
    ctx: Ctx,
    input: UntagResourceInput,
) -> Result<UntagResourceOutput> {
    ctx.store
        .write(|tx| -> Result<()> {
            let mut secret = find(tx, &ctx, &input.secret_id)?.usable()?;
            secret.tags.retain(|key, _| !input.tag_keys.contains(key));
            tx.put(&SECRETS, &secret)?;
            Ok(())
        })
        .await?;
    Ok(UntagResourceOutput {})
}

/// The tags of the secret that an authorization resource means.
pub(crate) async fn of_arn(ctx: Ctx, arn: String) -> std::result::Result<Tags, ServiceError> {
    match secret_of_resource(&ctx, &arn).await {
        Ok(secret) => Ok(secret.tags),
        Err(Error::SecretNotFound) => Ok(Tags::new()),
        Err(error) => Err(error.into()),
    }
}
