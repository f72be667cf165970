//! What the models lack since their services changed protocol: the codes and the namespace of the
//! query protocol that older clients still speak.

/// The query protocol's code of an error, where it is not the error's name.
///
/// AWS: "Amazon SQS API Reference", errors as SDKs before the JSON protocol see them.
pub(crate) fn query_code(service: &str, error: &str) -> Option<&'static str> {
    if service != "sqs" {
        return None;
    }
    let code = match error {
        "QueueDoesNotExist" => "AWS.SimpleQueueService.NonExistentQueue",
        "QueueNameExists" => "QueueAlreadyExists",
        "QueueDeletedRecently" => "AWS.SimpleQueueService.QueueDeletedRecently",
        "PurgeQueueInProgress" => "AWS.SimpleQueueService.PurgeQueueInProgress",
        "EmptyBatchRequest" => "AWS.SimpleQueueService.EmptyBatchRequest",
        "TooManyEntriesInBatchRequest" => "AWS.SimpleQueueService.TooManyEntriesInBatchRequest",
        "BatchEntryIdsNotDistinct" => "AWS.SimpleQueueService.BatchEntryIdsNotDistinct",
        "BatchRequestTooLong" => "AWS.SimpleQueueService.BatchRequestTooLong",
        "InvalidBatchEntryId" => "AWS.SimpleQueueService.InvalidBatchEntryId",
        "UnsupportedOperation" => "AWS.SimpleQueueService.UnsupportedOperation",
        "MessageNotInflight" => "AWS.SimpleQueueService.MessageNotInflight",
        "KmsAccessDenied" => "KMS.AccessDeniedException",
        "KmsDisabled" => "KMS.DisabledException",
        "KmsInvalidKeyUsage" => "KMS.InvalidKeyUsageException",
        "KmsInvalidState" => "KMS.InvalidStateException",
        "KmsNotFound" => "KMS.NotFoundException",
        "KmsOptInRequired" => "KMS.OptInRequired",
        "KmsThrottled" => "KMS.ThrottlingException",
        _ => return None,
    };
    Some(code)
}

/// The namespace of XML answers, where the model has none.
pub(crate) fn namespace(service: &str) -> Option<&'static str> {
    match service {
        "s3" => Some("http://s3.amazonaws.com/doc/2006-03-01/"),
        "sqs" => Some("http://queue.amazonaws.com/doc/2012-11-05/"),
        _ => None,
    }
}
