//! Event notifications. The services that would take the events are not here yet, so a
//! configuration that names one is refused as AWS refuses a destination that it cannot reach.
//!
//! AWS: "Amazon S3 Event Notifications".

use s3_api::{
    GetBucketNotificationConfigurationInput, GetBucketNotificationConfigurationOutput,
    PutBucketNotificationConfigurationInput, PutBucketNotificationConfigurationOutput,
};

use crate::Ctx;
use crate::admission::{Wish, admit};
use crate::error::{Error, Result};

/// Tells whom a bucket notifies: nobody can be told to yet.
///
/// AWS: GetBucketNotificationConfiguration.
pub(crate) async fn get_bucket_notification_configuration(
    ctx: Ctx,
    input: GetBucketNotificationConfigurationInput,
) -> Result<GetBucketNotificationConfigurationOutput> {
    let wish = Wish::new("s3:GetBucketNotification", &input.bucket, &input.expected_bucket_owner);
    admit(&ctx, wish).await?;
    Ok(GetBucketNotificationConfigurationOutput::default())
}

/// Sets whom a bucket notifies: nobody, until there are queues, topics, functions or buses here.
///
/// AWS: PutBucketNotificationConfiguration.
pub(crate) async fn put_bucket_notification_configuration(
    ctx: Ctx,
    input: PutBucketNotificationConfigurationInput,
) -> Result<PutBucketNotificationConfigurationOutput> {
    let wish = Wish::new("s3:PutBucketNotification", &input.bucket, &input.expected_bucket_owner);
    admit(&ctx, wish).await?;
    let wanted = &input.notification_configuration;
    let first = [
        ("SQS queues", !wanted.queue_configurations.is_empty()),
        ("SNS topics", !wanted.topic_configurations.is_empty()),
        ("Lambda functions", !wanted.lambda_function_configurations.is_empty()),
        ("EventBridge", wanted.event_bridge_configuration.is_some()),
    ];
    match first.iter().find(|(_, present)| *present) {
        None => Ok(PutBucketNotificationConfigurationOutput {}),
        Some((kind, _)) => Err(Error::argument(
            "NotificationConfiguration",
            kind,
            format!(
                "Unable to validate the following destination configurations: this region cannot \
                 deliver event notifications to {kind} yet"
            ),
        )),
    }
}
