//! What the models lack since their services changed protocol: the codes, names and namespace of
//! the query protocol that older clients still speak.

use crate::schema::{Kind, ShapeSchema};

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

/// Gives the shapes of a service the names that the query protocol has for them.
///
/// AWS: "Amazon SQS Developer Guide", making Query API requests.
pub(crate) fn name_for_query(service: &str, shapes: &mut [ShapeSchema]) {
    if service != "sqs" {
        return;
    }
    let maps: Vec<Option<[&'static str; 3]>> =
        shapes.iter().map(|shape| map_names(shape.name)).collect();
    for shape in shapes {
        let [_, key, value] = map_names(shape.name).unwrap_or(["", "key", "value"]);
        match &mut shape.kind {
            Kind::List(element) => element.location_name = element_name(shape.name),
            Kind::Map(pair) => {
                pair.0.location_name = Some(key);
                pair.1.location_name = Some(value);
            }
            Kind::Structure(structure) => {
                for member in &mut structure.members {
                    let names = maps.get(member.target.0).copied().flatten();
                    member.compatible_name = names.map(|[name, ..]| name);
                }
            }
            Kind::String
            | Kind::Boolean
            | Kind::Integer
            | Kind::Long
            | Kind::Double
            | Kind::Blob
            | Kind::Timestamp
            | Kind::Document => {}
        }
    }
}

/// The name of a list's elements.
fn element_name(list: &'static str) -> Option<&'static str> {
    match list {
        "StringList" => Some("StringListValue"),
        "BinaryList" => Some("BinaryListValue"),
        "MessageSystemAttributeList" => Some("MessageSystemAttributeName"),
        _ => list.strip_suffix("List"),
    }
}

/// The names of a map, its keys and its values.
fn map_names(map: &str) -> Option<[&'static str; 3]> {
    match map {
        "QueueAttributeMap" | "MessageSystemAttributeMap" => Some(["Attribute", "Name", "Value"]),
        "MessageBodyAttributeMap" => Some(["MessageAttribute", "Name", "Value"]),
        "MessageBodySystemAttributeMap" => Some(["MessageSystemAttribute", "Name", "Value"]),
        "TagMap" => Some(["Tag", "Key", "Value"]),
        _ => None,
    }
}
