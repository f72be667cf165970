//! `AWS::RDS::DBParameterGroup`.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use kernel::ServiceError;
use kernel::resource::{
    Attributes, Progress, Properties, Property, ResourceCtx, ResourceHandler, ResourceType,
};
use rds_api::{
    ApplyMethod, CreateDBParameterGroupInput, DeleteDBParameterGroupInput,
    DescribeEngineDefaultParametersInput, ModifyDBParameterGroupInput, Parameter,
    ResetDBParameterGroupInput,
};
use serde_json::{Value as Json, json};

use super::{is, set_tags, tags, text};

/// The most parameters that one request changes.
///
/// AWS: ModifyDBParameterGroup.
const CHANGED_MAX: usize = 20;

const PROPERTIES: &[Property] = &[
    Property::new("DBParameterGroupName").replaces(),
    Property::new("Description").required().replaces(),
    Property::new("Family").required().replaces(),
    Property::new("Parameters"),
    Property::new("Tags"),
];

/// The resource type.
pub(crate) fn resource_type() -> ResourceType {
    ResourceType {
        name: "AWS::RDS::DBParameterGroup",
        properties: PROPERTIES,
        attributes: &["DBParameterGroupName"],
        handler: Arc::new(ParameterGroup),
    }
}

struct ParameterGroup;

fn arn(ctx: &ResourceCtx, name: &str) -> String {
    format!("arn:aws:rds:{}:{}:pg:{name}", ctx.region, ctx.account)
}

fn values(properties: &Properties) -> BTreeMap<String, String> {
    let all = properties.get("Parameters").and_then(Json::as_object);
    let value = |value: &Json| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    all.into_iter().flatten().map(|(name, one)| (name.clone(), value(one))).collect()
}

/// The names of a family's static parameters, which take a restart.
async fn fixed(ctx: &ResourceCtx, family: &str) -> Result<Vec<String>, ServiceError> {
    let (mut names, mut marker) = (Vec::new(), None);
    loop {
        let input = DescribeEngineDefaultParametersInput {
            db_parameter_group_family: family.to_owned(),
            marker,
            ..Default::default()
        };
        let page = ctx.client.call(input).await?.engine_defaults.unwrap_or_default();
        let fixed = page.parameters.into_iter();
        let fixed = fixed.filter(|one| one.apply_type.as_deref() == Some("static"));
        names.extend(fixed.filter_map(|one| one.parameter_name));
        marker = page.marker;
        if marker.is_none() {
            return Ok(names);
        }
    }
}

fn parameter(fixed: &[String], name: &str, value: Option<String>) -> Parameter {
    let waits = fixed.iter().any(|one| one == name);
    Parameter {
        parameter_name: Some(name.to_owned()),
        parameter_value: value,
        apply_method: Some(if waits { ApplyMethod::PendingReboot } else { ApplyMethod::Immediate }),
        ..Default::default()
    }
}

async fn set(
    ctx: &ResourceCtx,
    name: &str,
    family: &str,
    wanted: &BTreeMap<String, String>,
) -> Result<(), ServiceError> {
    if wanted.is_empty() {
        return Ok(());
    }
    let fixed = fixed(ctx, family).await?;
    let all: Vec<Parameter> =
        wanted.iter().map(|(name, value)| parameter(&fixed, name, Some(value.clone()))).collect();
    for some in all.chunks(CHANGED_MAX) {
        let input = ModifyDBParameterGroupInput {
            db_parameter_group_name: name.to_owned(),
            parameters: some.to_vec(),
        };
        ctx.client.call(input).await?;
    }
    Ok(())
}

#[async_trait]
impl ResourceHandler for ParameterGroup {
    async fn create(
        &self,
        ctx: &ResourceCtx,
        properties: &Properties,
    ) -> Result<String, ServiceError> {
        let own = text(properties, "DBParameterGroupName");
        let generated = own.is_none();
        let name = own.unwrap_or_else(|| ctx.generated_name(255)).to_ascii_lowercase();
        let family = text(properties, "Family").unwrap_or_default();
        let input = CreateDBParameterGroupInput {
            db_parameter_group_name: name.clone(),
            db_parameter_group_family: family.clone(),
            description: text(properties, "Description").unwrap_or_default(),
            tags: tags(ctx, properties),
        };
        match ctx.client.call(input).await {
            // A generated name is this resource's alone: an interrupted try made it.
            Err(error) if generated && is(&error, "DBParameterGroupAlreadyExists") => {}
            Err(error) => return Err(error),
            Ok(_) => {}
        }
        match set(ctx, &name, &family, &values(properties)).await {
            Ok(()) => Ok(name),
            Err(error) => {
                let input = DeleteDBParameterGroupInput { db_parameter_group_name: name };
                ctx.client.call(input).await?;
                Err(error)
            }
        }
    }

    async fn settled(
        &self,
        _ctx: &ResourceCtx,
        physical_id: &str,
        _properties: &Properties,
    ) -> Result<Progress, ServiceError> {
        let name = ("DBParameterGroupName".to_owned(), json!(physical_id));
        Ok(Progress::Done(Attributes::from([name])))
    }

    async fn update(
        &self,
        ctx: &ResourceCtx,
        physical_id: &str,
        old: &Properties,
        new: &Properties,
    ) -> Result<(), ServiceError> {
        let (before, after) = (values(old), values(new));
        let family = text(new, "Family").unwrap_or_default();
        let gone: Vec<&String> = before.keys().filter(|name| !after.contains_key(*name)).collect();
        if !gone.is_empty() {
            let fixed = fixed(ctx, &family).await?;
            let input = ResetDBParameterGroupInput {
                db_parameter_group_name: physical_id.to_owned(),
                reset_all_parameters: Some(false),
                parameters: gone.iter().map(|name| parameter(&fixed, name, None)).collect(),
            };
            ctx.client.call(input).await?;
        }
        set(ctx, physical_id, &family, &after).await?;
        set_tags(ctx, &arn(ctx, physical_id), new).await
    }

    async fn delete(
        &self,
        ctx: &ResourceCtx,
        physical_id: &str,
        _properties: &Properties,
    ) -> Result<Progress, ServiceError> {
        let input = DeleteDBParameterGroupInput { db_parameter_group_name: physical_id.to_owned() };
        match ctx.client.call(input).await {
            Err(error) if !is(&error, "DBParameterGroupNotFound") => Err(error),
            Ok(_) | Err(_) => Ok(Progress::Done(Attributes::new())),
        }
    }
}
