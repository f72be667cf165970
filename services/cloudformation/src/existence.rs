//! Parameters whose values must exist in the account.
//!
//! AWS: "CloudFormation-supplied parameter types".

use ec2_api::{
    DescribeAvailabilityZonesInput, DescribeImagesInput, DescribeInstancesInput,
    DescribeKeyPairsInput, DescribeSecurityGroupsInput, DescribeSubnetsInput, DescribeVolumesInput,
    DescribeVpcsInput,
};
use kernel::{Client, Ctx, ServiceError};
use ssm_api::GetParameterInput;

use crate::error::{Error, Result};
use crate::template::{Inputs, Scalar, Template};

/// Refuses the first value that does not exist.
pub(crate) async fn check(ctx: &Ctx, template: &Template, inputs: &Inputs) -> Result<()> {
    let client = ctx.client.via(crate::PRINCIPAL);
    for (name, declaration) in &template.parameters {
        let Scalar::Existing(kind) = declaration.kind.scalar else {
            continue;
        };
        let Some(value) = inputs.values.get(name) else {
            continue;
        };
        for item in value.as_array().unwrap_or(&vec![value.clone()]) {
            let item = item.as_str().unwrap_or_default();
            exists(&client, kind, item).await.map_err(|fault| refuse(name, item, &fault))?;
        }
    }
    Ok(())
}

fn refuse(parameter: &str, value: &str, fault: &ServiceError) -> Error {
    // Whoever may not look is told so; any other answer means that it is not there.
    if fault.status == 403 || fault.status >= 500 || fault.code.contains("Unauthorized") {
        return Error::Service(fault.clone());
    }
    Error::validation(format!(
        "Parameter validation failed: parameter value {value} for parameter name {parameter} does not exist"
    ))
}

async fn exists(client: &Client, kind: &str, value: &str) -> Result<(), ServiceError> {
    let one = vec![value.to_owned()];
    match kind {
        "AWS::EC2::AvailabilityZone::Name" => {
            let input = DescribeAvailabilityZonesInput { zone_names: one, ..Default::default() };
            client.call(input).await.map(drop)
        }
        "AWS::EC2::Image::Id" => {
            let input = DescribeImagesInput { image_ids: one, ..Default::default() };
            client.call(input).await.map(drop)
        }
        "AWS::EC2::Instance::Id" => {
            let input = DescribeInstancesInput { instance_ids: one, ..Default::default() };
            client.call(input).await.map(drop)
        }
        "AWS::EC2::KeyPair::KeyName" => {
            let input = DescribeKeyPairsInput { key_names: one, ..Default::default() };
            client.call(input).await.map(drop)
        }
        "AWS::EC2::SecurityGroup::GroupName" => {
            let input = DescribeSecurityGroupsInput { group_names: one, ..Default::default() };
            client.call(input).await.map(drop)
        }
        "AWS::EC2::SecurityGroup::Id" => {
            let input = DescribeSecurityGroupsInput { group_ids: one, ..Default::default() };
            client.call(input).await.map(drop)
        }
        "AWS::EC2::Subnet::Id" => {
            let input = DescribeSubnetsInput { subnet_ids: one, ..Default::default() };
            client.call(input).await.map(drop)
        }
        "AWS::EC2::VPC::Id" => {
            let input = DescribeVpcsInput { vpc_ids: one, ..Default::default() };
            client.call(input).await.map(drop)
        }
        "AWS::EC2::Volume::Id" => {
            let input = DescribeVolumesInput { volume_ids: one, ..Default::default() };
            client.call(input).await.map(drop)
        }
        "AWS::SSM::Parameter::Name" => {
            let input = GetParameterInput { name: value.to_owned(), with_decryption: None };
            client.call(input).await.map(drop)
        }
        "String" => Ok(()),
        other => Err(ServiceError::new(
            "ValidationError",
            format!("Parameters of type {other} are not supported by this region."),
        )
        .status(501)),
    }
}
