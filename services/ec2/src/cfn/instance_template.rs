//! `AWS::EC2::LaunchTemplate`.

use std::sync::Arc;

use async_trait::async_trait;
use ec2_api::{
    CreateLaunchTemplateInput, CreateLaunchTemplateVersionInput, DeleteLaunchTemplateInput,
    DescribeLaunchTemplatesInput, RequestLaunchTemplateData, TagSpecification,
};
use kernel::ServiceError;
use kernel::resource::{
    Attributes, Progress, Properties, Property, ResourceCtx, ResourceHandler, ResourceType,
};
use protocol::Shape as _;
use serde_json::Value as Json;

use super::shapes;
use super::values::{Result, attributes, gone, invalid, made, text};

pub(super) fn types() -> [ResourceType; 1] {
    [ResourceType {
        name: "AWS::EC2::LaunchTemplate",
        properties: const {
            &[
                Property::new("LaunchTemplateData").required(),
                Property::new("LaunchTemplateName").replaces(),
                Property::new("TagSpecifications").replaces(),
                Property::new("VersionDescription"),
            ]
        },
        attributes: &["DefaultVersionNumber", "LatestVersionNumber", "LaunchTemplateId"],
        handler: Arc::new(LaunchTemplate),
    }]
}

struct LaunchTemplate;

fn data(properties: &Properties) -> Result<RequestLaunchTemplateData> {
    let json = properties.get("LaunchTemplateData");
    let json = json.ok_or_else(|| invalid("Property LaunchTemplateData must be an object"))?;
    let value = shapes::member("CreateLaunchTemplate", "LaunchTemplateData", json)?;
    RequestLaunchTemplateData::from_value(value).map_err(ServiceError::internal)
}

/// The template's own tags: the stack's and those that are asked for.
fn tag_specifications(ctx: &ResourceCtx, properties: &Properties) -> Result<Vec<TagSpecification>> {
    const KIND: &str = "launch-template";
    let mut all = ctx.tags.clone();
    if let Some(json) = properties.get("TagSpecifications") {
        let value = shapes::member("CreateLaunchTemplate", "TagSpecifications", json)?;
        let given = Vec::<TagSpecification>::from_value(value).map_err(ServiceError::internal)?;
        for specification in given {
            if specification.resource_type.as_deref() != Some(KIND) {
                return Err(invalid("TagSpecifications can only be of launch-template"));
            }
            all.extend(crate::tags::from_wire(&specification.tags));
        }
    }
    Ok(vec![TagSpecification {
        resource_type: Some(KIND.to_owned()),
        tags: crate::tags::to_wire(&all),
    }])
}

#[async_trait]
impl ResourceHandler for LaunchTemplate {
    async fn create(&self, ctx: &ResourceCtx, properties: &Properties) -> Result<String> {
        let name = text(properties, "LaunchTemplateName");
        let input = CreateLaunchTemplateInput {
            launch_template_name: name.unwrap_or_else(|| ctx.generated_name(128)),
            launch_template_data: data(properties)?,
            version_description: text(properties, "VersionDescription"),
            client_token: Some(ctx.token.clone()),
            tag_specifications: tag_specifications(ctx, properties)?,
            ..CreateLaunchTemplateInput::default()
        };
        made(ctx.client.call(input).await?.launch_template.unwrap_or_default().launch_template_id)
    }

    async fn settled(&self, ctx: &ResourceCtx, id: &str, _: &Properties) -> Result<Progress> {
        let launch_template_ids = vec![id.to_owned()];
        let input = DescribeLaunchTemplatesInput {
            launch_template_ids,
            ..DescribeLaunchTemplatesInput::default()
        };
        let template = ctx.client.call(input).await?.launch_templates.pop().unwrap_or_default();
        let number = |number: Option<i64>| number.map(|number| number.to_string());
        Ok(Progress::Done(attributes([
            ("LaunchTemplateId", template.launch_template_id),
            ("DefaultVersionNumber", number(template.default_version_number)),
            ("LatestVersionNumber", number(template.latest_version_number)),
        ])))
    }

    async fn update(
        &self,
        ctx: &ResourceCtx,
        id: &str,
        old: &Properties,
        new: &Properties,
    ) -> Result<()> {
        let changed = |name: &str| {
            old.get(name).unwrap_or(&Json::Null) != new.get(name).unwrap_or(&Json::Null)
        };
        if !changed("LaunchTemplateData") && !changed("VersionDescription") {
            return Ok(());
        }
        // A version that is made twice after an interruption is one number more, and the same.
        let input = CreateLaunchTemplateVersionInput {
            launch_template_id: Some(id.to_owned()),
            launch_template_data: data(new)?,
            version_description: text(new, "VersionDescription"),
            ..CreateLaunchTemplateVersionInput::default()
        };
        ctx.client.call(input).await.map(|_| ())
    }

    async fn delete(&self, ctx: &ResourceCtx, id: &str, _: &Properties) -> Result<Progress> {
        let input = DeleteLaunchTemplateInput {
            launch_template_id: Some(id.to_owned()),
            ..DeleteLaunchTemplateInput::default()
        };
        match ctx.client.call(input).await {
            Err(error) if error.code == "InvalidLaunchTemplateId.Malformed" => {
                Ok(Progress::Done(Attributes::new()))
            }
            deleted => gone(deleted),
        }
    }
}
