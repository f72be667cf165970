//! `AWS::EC2::Instance`.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use ec2_api::{
    AssociateIamInstanceProfileInput, AttributeBooleanValue, AttributeValue,
    DescribeIamInstanceProfileAssociationsInput, DescribeInstancesInput,
    DisassociateIamInstanceProfileInput, IamInstanceProfileSpecification, Instance as Wire,
    InstanceStateName, ModifyInstanceAttributeInput, MonitorInstancesInput, RunInstancesInput,
    SecureBlobAttributeValue, StartInstancesInput, StopInstancesInput, TerminateInstancesInput,
    UnmonitorInstancesInput,
};
use kernel::ServiceError;
use kernel::resource::{
    Attributes, Progress, Properties, Property, ResourceCtx, ResourceHandler, ResourceType,
};
use protocol::{Fields, Shape as _, Value};
use serde_json::{Value as Json, json};

use super::shapes;
use super::values::{
    Result, attributes, filter, flag, gone, is_missing, list, made, retag, tagging, text,
};

/// How long to wait between two looks at an instance on its way.
const LOOK: Duration = Duration::from_millis(200);

pub(super) fn types() -> [ResourceType; 1] {
    [ResourceType {
        name: "AWS::EC2::Instance",
        properties: const {
            &[
                Property::new("AvailabilityZone").replaces(),
                Property::new("BlockDeviceMappings").replaces(),
                Property::new("CpuOptions").replaces(),
                Property::new("CreditSpecification").replaces(),
                Property::new("DisableApiTermination"),
                Property::new("EbsOptimized").replaces(),
                Property::new("IamInstanceProfile"),
                Property::new("ImageId").replaces(),
                Property::new("InstanceInitiatedShutdownBehavior"),
                Property::new("InstanceType").interrupts(),
                Property::new("KeyName").replaces(),
                Property::new("LaunchTemplate").replaces(),
                Property::new("MetadataOptions").replaces(),
                Property::new("Monitoring"),
                Property::new("NetworkInterfaces").replaces(),
                Property::new("PrivateIpAddress").replaces(),
                Property::new("PropagateTagsToVolumeOnCreation"),
                Property::new("SecurityGroupIds"),
                Property::new("SecurityGroups").replaces(),
                Property::new("SourceDestCheck"),
                Property::new("SubnetId").replaces(),
                Property::new("Tags"),
                Property::new("Tenancy").replaces(),
                Property::new("UserData").interrupts(),
            ]
        },
        attributes: &[
            "AvailabilityZone",
            "InstanceId",
            "PrivateDnsName",
            "PrivateIp",
            "PublicDnsName",
            "PublicIp",
            "VpcId",
        ],
        handler: Arc::new(Instance),
    }]
}

struct Instance;

/// Properties that RunInstances has under the same name.
const SAME: &[&str] = &[
    "BlockDeviceMappings",
    "CpuOptions",
    "CreditSpecification",
    "DisableApiTermination",
    "EbsOptimized",
    "ImageId",
    "InstanceInitiatedShutdownBehavior",
    "InstanceType",
    "KeyName",
    "LaunchTemplate",
    "MetadataOptions",
    "PrivateIpAddress",
    "SecurityGroupIds",
    "SecurityGroups",
    "SubnetId",
    "UserData",
];

const LAUNCH: &str = "RunInstances";

/// The call that makes the instance of `properties`.
fn launch(ctx: &ResourceCtx, properties: &Properties) -> Result<RunInstancesInput> {
    let mut fields = Fields::new();
    for name in SAME {
        if let Some(json) = properties.get(*name) {
            fields.push(name, shapes::member(LAUNCH, name, json)?);
        }
    }
    if let Some(json) = properties.get("NetworkInterfaces") {
        fields.push(
            "NetworkInterfaces",
            shapes::member(LAUNCH, "NetworkInterfaces", &interfaces(json))?,
        );
    }
    if let Some(name) = text(properties, "IamInstanceProfile") {
        let json = json!({ "Name": name });
        fields.push("IamInstanceProfile", shapes::member(LAUNCH, "IamInstanceProfile", &json)?);
    }
    let mut placement = serde_json::Map::new();
    for (property, member) in [("AvailabilityZone", "AvailabilityZone"), ("Tenancy", "Tenancy")] {
        placement.extend(properties.get(property).map(|json| (member.to_owned(), json.clone())));
    }
    if !placement.is_empty() {
        let json = Json::Object(placement);
        fields.push("Placement", shapes::member(LAUNCH, "Placement", &json)?);
    }
    if let Some(on) = flag(properties, "Monitoring") {
        let json = json!({ "Enabled": on });
        fields.push("Monitoring", shapes::member(LAUNCH, "Monitoring", &json)?);
    }
    fields.push("MinCount", Value::Int(1));
    fields.push("MaxCount", Value::Int(1));
    let input = RunInstancesInput::from_value(Value::Struct(fields));
    let mut input = input.map_err(ServiceError::internal)?;
    input.client_token = Some(ctx.token.clone());
    input.tag_specifications = tagging(ctx, "instance", properties);
    if flag(properties, "PropagateTagsToVolumeOnCreation") == Some(true) {
        input.tag_specifications.extend(tagging(ctx, "volume", properties));
    }
    Ok(input)
}

/// Interfaces under the names that RunInstances gives their members.
fn interfaces(json: &Json) -> Json {
    let renamed = |interface: &Json| {
        let object = interface.as_object().cloned().unwrap_or_default();
        let rename = |(name, value): (String, Json)| match name.as_str() {
            "GroupSet" => ("Groups".to_owned(), value),
            _ => (name, value),
        };
        Json::Object(object.into_iter().map(rename).collect())
    };
    json.as_array().map_or_else(|| json.clone(), |all| all.iter().map(renamed).collect())
}

async fn described(ctx: &ResourceCtx, id: &str) -> Result<Wire> {
    let input = DescribeInstancesInput {
        instance_ids: vec![id.to_owned()],
        ..DescribeInstancesInput::default()
    };
    let found = ctx.client.call(input).await?.reservations;
    let instance = found.into_iter().flat_map(|reservation| reservation.instances).next();
    instance.ok_or_else(|| ServiceError::internal("an instance was answered without itself"))
}

fn state(instance: &Wire) -> Option<InstanceStateName> {
    instance.state.as_ref().and_then(|state| state.name)
}

fn attribute(id: &str) -> ModifyInstanceAttributeInput {
    ModifyInstanceAttributeInput {
        instance_id: id.to_owned(),
        ..ModifyInstanceAttributeInput::default()
    }
}

fn switch(on: bool) -> Option<AttributeBooleanValue> {
    Some(AttributeBooleanValue { value: Some(on) })
}

/// What only a stopped instance can be given: the changes that are still missing.
async fn changes_at_rest(
    ctx: &ResourceCtx,
    instance: &Wire,
    id: &str,
    properties: &Properties,
) -> Result<Vec<ModifyInstanceAttributeInput>> {
    let mut changes = Vec::new();
    let wanted = text(properties, "InstanceType");
    if let Some(wanted) = wanted.filter(|wanted| Some(wanted) != instance.instance_type.as_ref()) {
        let instance_type = Some(AttributeValue { value: Some(wanted) });
        changes.push(ModifyInstanceAttributeInput { instance_type, ..attribute(id) });
    }
    // Without the property the launch template's user data stays.
    if let Some(wanted) = text(properties, "UserData") {
        let ask = ec2_api::DescribeInstanceAttributeInput {
            instance_id: id.to_owned(),
            attribute: ec2_api::InstanceAttributeName::UserData,
            dry_run: None,
        };
        let kept = ctx.client.call(ask).await?.user_data.and_then(|data| data.value);
        let bytes = |text: &str| crate::instance::user_data_bytes(text).unwrap_or_default();
        if bytes(&wanted) != bytes(kept.as_deref().unwrap_or_default()) {
            let value = Some(Bytes::from(bytes(&STANDARD.encode(bytes(&wanted)))));
            let user_data = Some(SecureBlobAttributeValue { value });
            changes.push(ModifyInstanceAttributeInput { user_data, ..attribute(id) });
        }
    }
    Ok(changes)
}

#[async_trait]
impl ResourceHandler for Instance {
    async fn create(&self, ctx: &ResourceCtx, properties: &Properties) -> Result<String> {
        let made_all = ctx.client.call(launch(ctx, properties)?).await?;
        let id = made(made_all.instances.into_iter().next().and_then(|i| i.instance_id))?;
        if let Some(on) = flag(properties, "SourceDestCheck") {
            let source_dest_check = switch(on);
            let input = ModifyInstanceAttributeInput { source_dest_check, ..attribute(&id) };
            ctx.client.call(input).await?;
        }
        Ok(id)
    }

    async fn settled(
        &self,
        ctx: &ResourceCtx,
        id: &str,
        properties: &Properties,
    ) -> Result<Progress> {
        let instance = described(ctx, id).await?;
        let ids = || vec![id.to_owned()];
        match state(&instance) {
            Some(InstanceStateName::Running) => {
                if changes_at_rest(ctx, &instance, id, properties).await?.is_empty() {
                    return Ok(Progress::Done(shown(instance)));
                }
                let input =
                    StopInstancesInput { instance_ids: ids(), ..StopInstancesInput::default() };
                ctx.client.call(input).await?;
                Ok(Progress::Wait(LOOK))
            }
            Some(InstanceStateName::Stopped) => {
                for change in changes_at_rest(ctx, &instance, id, properties).await? {
                    ctx.client.call(change).await?;
                }
                let input =
                    StartInstancesInput { instance_ids: ids(), ..StartInstancesInput::default() };
                ctx.client.call(input).await?;
                Ok(Progress::Wait(LOOK))
            }
            Some(InstanceStateName::Pending | InstanceStateName::Stopping) => {
                Ok(Progress::Wait(LOOK))
            }
            Some(InstanceStateName::ShuttingDown | InstanceStateName::Terminated) | None => {
                let reason = instance.state_reason.and_then(|reason| reason.message);
                Err(ServiceError::new(
                    "NotStabilized",
                    format!(
                        "Instance {id} failed to stabilize. Reason: {}",
                        reason.unwrap_or_default()
                    ),
                ))
            }
        }
    }

    async fn update(
        &self,
        ctx: &ResourceCtx,
        id: &str,
        old: &Properties,
        new: &Properties,
    ) -> Result<()> {
        let changed = |name: &str| old.get(name) != new.get(name);
        if changed("DisableApiTermination") {
            let on = flag(new, "DisableApiTermination").unwrap_or(false);
            let input = ModifyInstanceAttributeInput {
                disable_api_termination: switch(on),
                ..attribute(id)
            };
            ctx.client.call(input).await?;
        }
        if changed("SourceDestCheck") {
            let on = flag(new, "SourceDestCheck").unwrap_or(true);
            let input =
                ModifyInstanceAttributeInput { source_dest_check: switch(on), ..attribute(id) };
            ctx.client.call(input).await?;
        }
        if changed("InstanceInitiatedShutdownBehavior") {
            let behavior = text(new, "InstanceInitiatedShutdownBehavior");
            let value = Some(behavior.unwrap_or_else(|| "stop".to_owned()));
            let input = ModifyInstanceAttributeInput {
                instance_initiated_shutdown_behavior: Some(AttributeValue { value }),
                ..attribute(id)
            };
            ctx.client.call(input).await?;
        }
        let groups = list(new, "SecurityGroupIds");
        if changed("SecurityGroupIds") && !groups.is_empty() {
            let input = ModifyInstanceAttributeInput { groups, ..attribute(id) };
            ctx.client.call(input).await?;
        }
        if changed("Monitoring") {
            monitor(ctx, id, flag(new, "Monitoring").unwrap_or(false)).await?;
        }
        if changed("IamInstanceProfile") {
            change_profile(ctx, id, text(new, "IamInstanceProfile")).await?;
        }
        retag(ctx, id, old, new).await
    }

    async fn delete(&self, ctx: &ResourceCtx, id: &str, _: &Properties) -> Result<Progress> {
        let input = TerminateInstancesInput {
            instance_ids: vec![id.to_owned()],
            ..TerminateInstancesInput::default()
        };
        match ctx.client.call(input).await {
            Ok(_) => {}
            Err(error) => return gone::<()>(Err(error)),
        }
        match described(ctx, id).await {
            Ok(instance) if state(&instance) != Some(InstanceStateName::Terminated) => {
                Ok(Progress::Wait(LOOK))
            }
            Ok(_) => Ok(Progress::Done(Attributes::new())),
            Err(error) if is_missing(&error) => Ok(Progress::Done(Attributes::new())),
            Err(error) => Err(error),
        }
    }
}

fn shown(instance: Wire) -> Attributes {
    let zone = instance.placement.and_then(|placement| placement.availability_zone);
    attributes([
        ("AvailabilityZone", zone),
        ("InstanceId", instance.instance_id),
        ("PrivateDnsName", instance.private_dns_name),
        ("PrivateIp", instance.private_ip_address),
        ("PublicDnsName", instance.public_dns_name),
        ("PublicIp", Some(instance.public_ip_address.unwrap_or_default())),
        ("VpcId", instance.vpc_id),
    ])
}

async fn monitor(ctx: &ResourceCtx, id: &str, on: bool) -> Result<()> {
    let instance_ids = vec![id.to_owned()];
    if on {
        let input = MonitorInstancesInput { instance_ids, ..MonitorInstancesInput::default() };
        ctx.client.call(input).await.map(|_| ())
    } else {
        let input = UnmonitorInstancesInput { instance_ids, ..UnmonitorInstancesInput::default() };
        ctx.client.call(input).await.map(|_| ())
    }
}

async fn change_profile(ctx: &ResourceCtx, id: &str, wanted: Option<String>) -> Result<()> {
    let ask = DescribeIamInstanceProfileAssociationsInput {
        filters: vec![filter("instance-id", id)],
        ..DescribeIamInstanceProfileAssociationsInput::default()
    };
    for known in ctx.client.call(ask).await?.iam_instance_profile_associations {
        let association_id = known.association_id.unwrap_or_default();
        ctx.client.call(DisassociateIamInstanceProfileInput { association_id }).await?;
    }
    if let Some(name) = wanted {
        let input = AssociateIamInstanceProfileInput {
            iam_instance_profile: IamInstanceProfileSpecification { arn: None, name: Some(name) },
            instance_id: id.to_owned(),
        };
        ctx.client.call(input).await?;
    }
    Ok(())
}
