//! `AWS::ElasticLoadBalancingV2::ListenerCertificate`.

use std::sync::Arc;

use async_trait::async_trait;
use elbv2_api::{AddListenerCertificatesInput, RemoveListenerCertificatesInput, error as shape};
use kernel::ServiceError;
use kernel::resource::{
    Attributes, Progress, Properties, Property, ResourceCtx, ResourceHandler, ResourceType,
};

use super::listener::certificates;
use super::property::Object;

const PROPERTIES: &[Property] = &[
    Property::new("Certificates").required().replaces(),
    Property::new("ListenerArn").required().replaces(),
];

pub(super) fn resource_type() -> ResourceType {
    ResourceType {
        name: "AWS::ElasticLoadBalancingV2::ListenerCertificate",
        properties: PROPERTIES,
        attributes: &["Id"],
        handler: Arc::new(Handler),
    }
}

struct Handler;

fn listener(properties: &Properties) -> Result<String, ServiceError> {
    Ok(Object::of(properties).text("ListenerArn")?.unwrap_or_default())
}

#[async_trait]
impl ResourceHandler for Handler {
    async fn create(
        &self,
        ctx: &ResourceCtx,
        properties: &Properties,
    ) -> Result<String, ServiceError> {
        let input = AddListenerCertificatesInput {
            listener_arn: listener(properties)?,
            certificates: certificates(properties)?,
        };
        ctx.client.call(input).await?;
        Ok(ctx.generated_name(120))
    }

    async fn settled(
        &self,
        _ctx: &ResourceCtx,
        physical_id: &str,
        _properties: &Properties,
    ) -> Result<Progress, ServiceError> {
        let id = ("Id".to_owned(), physical_id.into());
        Ok(Progress::Done(Attributes::from([id])))
    }

    async fn update(
        &self,
        _ctx: &ResourceCtx,
        _physical_id: &str,
        _old: &Properties,
        _new: &Properties,
    ) -> Result<(), ServiceError> {
        // Every property replaces the resource.
        Ok(())
    }

    async fn delete(
        &self,
        ctx: &ResourceCtx,
        _physical_id: &str,
        properties: &Properties,
    ) -> Result<Progress, ServiceError> {
        let input = RemoveListenerCertificatesInput {
            listener_arn: listener(properties)?,
            certificates: certificates(properties)?,
        };
        super::deleted(ctx.client.call(input).await, shape::LISTENER_NOT_FOUND_EXCEPTION)
    }
}
