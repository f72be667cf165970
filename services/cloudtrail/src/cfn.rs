//! `AWS::CloudTrail::Trail`. `Ref` gives the trail's name.

use std::sync::Arc;

use async_trait::async_trait;
use base::Tags;
use cloudtrail_api::{
    AddTagsInput, AdvancedEventSelector, AdvancedFieldSelector, CreateTrailInput, DataResource,
    DeleteTrailInput, EventSelector, GetTrailInput, ListTagsInput, PutEventSelectorsInput,
    RemoveTagsInput, StartLoggingInput, StopLoggingInput, Tag, UpdateTrailInput, error as code,
};
use kernel::ServiceError;
use kernel::resource::{
    Attributes, Progress, Properties, Property, ResourceCtx, ResourceHandler, ResourceType,
};
use serde_json::{Value as Json, json};

const PROPERTIES: &[Property] = &[
    Property::new("AdvancedEventSelectors"),
    Property::new("CloudWatchLogsLogGroupArn"),
    Property::new("CloudWatchLogsRoleArn"),
    Property::new("EnableLogFileValidation"),
    Property::new("EventSelectors"),
    Property::new("IncludeGlobalServiceEvents"),
    Property::new("IsLogging").required(),
    Property::new("IsMultiRegionTrail"),
    Property::new("IsOrganizationTrail"),
    Property::new("KMSKeyId"),
    Property::new("S3BucketName").required(),
    Property::new("S3KeyPrefix"),
    Property::new("SnsTopicName"),
    Property::new("Tags"),
    Property::new("TrailName").replaces(),
];

pub(crate) fn trail() -> ResourceType {
    ResourceType {
        name: "AWS::CloudTrail::Trail",
        properties: PROPERTIES,
        attributes: &["Arn"],
        handler: Arc::new(Handler),
    }
}

struct Handler;

fn text(json: Option<&Json>) -> Option<String> {
    match json? {
        Json::String(text) => Some(text.clone()),
        Json::Number(number) => Some(number.to_string()),
        Json::Bool(flag) => Some(flag.to_string()),
        Json::Null | Json::Array(_) | Json::Object(_) => None,
    }
}

fn flag(json: Option<&Json>) -> Option<bool> {
    text(json)?.parse().ok()
}

fn texts(json: Option<&Json>) -> Vec<String> {
    let items = json.and_then(Json::as_array).into_iter().flatten();
    items.filter_map(|item| text(Some(item))).collect()
}

fn items(json: Option<&Json>) -> impl Iterator<Item = &Json> {
    json.and_then(Json::as_array).into_iter().flatten()
}

fn name(ctx: &ResourceCtx, properties: &Properties) -> String {
    text(properties.get("TrailName")).unwrap_or_else(|| ctx.generated_name(128))
}

fn tags(ctx: &ResourceCtx, properties: &Properties) -> Tags {
    let mut tags = ctx.tags.clone();
    for tag in items(properties.get("Tags")) {
        let part = |name: &str| text(tag.get(name)).unwrap_or_default();
        tags.insert(part("Key"), part("Value"));
    }
    tags
}

fn to_wire(tags: Tags) -> Vec<Tag> {
    tags.into_iter().map(|(key, value)| Tag { key, value: Some(value) }).collect()
}

fn selectors(properties: &Properties) -> Result<Vec<EventSelector>, ServiceError> {
    let data = |item: &Json| DataResource {
        type_: text(item.get("Type")),
        values: texts(item.get("Values")),
    };
    let one = |item: &Json| {
        let kind = text(item.get("ReadWriteType"));
        let kind = kind.map(|kind| kind.parse()).transpose().map_err(|_| {
            ServiceError::new(code::INVALID_EVENT_SELECTORS_EXCEPTION, "ReadWriteType is not valid")
        })?;
        Ok(EventSelector {
            read_write_type: kind,
            include_management_events: flag(item.get("IncludeManagementEvents")),
            data_resources: items(item.get("DataResources")).map(data).collect(),
            exclude_management_event_sources: texts(item.get("ExcludeManagementEventSources")),
        })
    };
    items(properties.get("EventSelectors")).map(one).collect()
}

fn advanced(properties: &Properties) -> Vec<AdvancedEventSelector> {
    let field = |item: &Json| AdvancedFieldSelector {
        field: text(item.get("Field")).unwrap_or_default(),
        equals: texts(item.get("Equals")),
        starts_with: texts(item.get("StartsWith")),
        ends_with: texts(item.get("EndsWith")),
        not_equals: texts(item.get("NotEquals")),
        not_starts_with: texts(item.get("NotStartsWith")),
        not_ends_with: texts(item.get("NotEndsWith")),
    };
    let one = |item: &Json| AdvancedEventSelector {
        name: text(item.get("Name")),
        field_selectors: items(item.get("FieldSelectors")).map(field).collect(),
    };
    items(properties.get("AdvancedEventSelectors")).map(one).collect()
}

/// What follows the making and each change of a trail.
async fn finish(
    ctx: &ResourceCtx,
    trail: &str,
    properties: &Properties,
    was_selected: bool,
) -> Result<(), ServiceError> {
    let mut input = PutEventSelectorsInput {
        trail_name: trail.to_owned(),
        event_selectors: selectors(properties)?,
        advanced_event_selectors: advanced(properties),
    };
    let selects = !input.event_selectors.is_empty() || !input.advanced_event_selectors.is_empty();
    if !selects && was_selected {
        input.event_selectors = vec![EventSelector::default()];
    }
    if selects || was_selected {
        ctx.client.call(input).await?;
    }
    let name = trail.to_owned();
    if flag(properties.get("IsLogging")).unwrap_or(false) {
        ctx.client.call(StartLoggingInput { name }).await?;
    } else {
        ctx.client.call(StopLoggingInput { name }).await?;
    }
    Ok(())
}

#[async_trait]
impl ResourceHandler for Handler {
    async fn find(
        &self,
        ctx: &ResourceCtx,
        properties: &Properties,
    ) -> Result<Option<String>, ServiceError> {
        let name = name(ctx, properties);
        let found = match ctx.client.call(GetTrailInput { name: name.clone() }).await {
            Ok(found) => found.trail.and_then(|trail| trail.trail_arn).unwrap_or_default(),
            Err(error) if error.code == code::TRAIL_NOT_FOUND_EXCEPTION => return Ok(None),
            Err(error) => return Err(error),
        };
        let input = ListTagsInput { resource_id_list: vec![found], next_token: None };
        let tags = ctx.client.call(input).await?.resource_tag_list;
        let ours = |tag: &Tag| {
            tag.key == "aws:cloudformation:stack-id" && tag.value.as_ref() == Some(&ctx.stack_id)
        };
        Ok(tags.iter().flat_map(|it| &it.tags_list).any(ours).then_some(name))
    }

    async fn create(
        &self,
        ctx: &ResourceCtx,
        properties: &Properties,
    ) -> Result<String, ServiceError> {
        let input = CreateTrailInput {
            name: name(ctx, properties),
            s3_bucket_name: text(properties.get("S3BucketName")).unwrap_or_default(),
            s3_key_prefix: text(properties.get("S3KeyPrefix")),
            sns_topic_name: text(properties.get("SnsTopicName")),
            include_global_service_events: flag(properties.get("IncludeGlobalServiceEvents")),
            is_multi_region_trail: flag(properties.get("IsMultiRegionTrail")),
            enable_log_file_validation: flag(properties.get("EnableLogFileValidation")),
            cloud_watch_logs_log_group_arn: text(properties.get("CloudWatchLogsLogGroupArn")),
            cloud_watch_logs_role_arn: text(properties.get("CloudWatchLogsRoleArn")),
            kms_key_id: text(properties.get("KMSKeyId")),
            is_organization_trail: flag(properties.get("IsOrganizationTrail")),
            tags_list: to_wire(tags(ctx, properties)),
            recursive_logging: None,
        };
        let made = ctx.client.call(input).await?.name.unwrap_or_default();
        finish(ctx, &made, properties, false).await?;
        Ok(made)
    }

    async fn settled(
        &self,
        ctx: &ResourceCtx,
        physical_id: &str,
        _properties: &Properties,
    ) -> Result<Progress, ServiceError> {
        let input = GetTrailInput { name: physical_id.to_owned() };
        let found = ctx.client.call(input).await?.trail.unwrap_or_default();
        let arn = ("Arn".to_owned(), json!(found.trail_arn));
        Ok(Progress::Done(Attributes::from([arn])))
    }

    async fn update(
        &self,
        ctx: &ResourceCtx,
        physical_id: &str,
        old: &Properties,
        new: &Properties,
    ) -> Result<(), ServiceError> {
        let input = UpdateTrailInput {
            name: physical_id.to_owned(),
            s3_bucket_name: text(new.get("S3BucketName")),
            s3_key_prefix: Some(text(new.get("S3KeyPrefix")).unwrap_or_default()),
            sns_topic_name: text(new.get("SnsTopicName")),
            include_global_service_events: flag(new.get("IncludeGlobalServiceEvents"))
                .or(Some(true)),
            is_multi_region_trail: flag(new.get("IsMultiRegionTrail")).or(Some(false)),
            enable_log_file_validation: flag(new.get("EnableLogFileValidation")).or(Some(false)),
            cloud_watch_logs_log_group_arn: text(new.get("CloudWatchLogsLogGroupArn")),
            cloud_watch_logs_role_arn: text(new.get("CloudWatchLogsRoleArn")),
            kms_key_id: text(new.get("KMSKeyId")),
            is_organization_trail: flag(new.get("IsOrganizationTrail")),
            recursive_logging: None,
        };
        let arn = ctx.client.call(input).await?.trail_arn.unwrap_or_default();
        let (before, after) = (tags(ctx, old), tags(ctx, new));
        let gone: Vec<Tag> = before
            .into_keys()
            .filter(|key| !after.contains_key(key))
            .map(|key| Tag { key, value: None })
            .collect();
        if !gone.is_empty() {
            let input = RemoveTagsInput { resource_id: arn.clone(), tags_list: gone };
            ctx.client.call(input).await?;
        }
        let input = AddTagsInput { resource_id: arn, tags_list: to_wire(after) };
        ctx.client.call(input).await?;
        let was = old.contains_key("EventSelectors") || old.contains_key("AdvancedEventSelectors");
        finish(ctx, physical_id, new, was).await
    }

    async fn delete(
        &self,
        ctx: &ResourceCtx,
        physical_id: &str,
        _properties: &Properties,
    ) -> Result<Progress, ServiceError> {
        match ctx.client.call(DeleteTrailInput { name: physical_id.to_owned() }).await {
            Ok(_) => Ok(Progress::Done(Attributes::new())),
            Err(error) if error.code == code::TRAIL_NOT_FOUND_EXCEPTION => {
                Ok(Progress::Done(Attributes::new()))
            }
            Err(error) => Err(error),
        }
    }
}
