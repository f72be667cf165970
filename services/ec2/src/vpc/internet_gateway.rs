//! Internet gateways: a VPC's way out and in.

use base::ResourceId;
use ec2_api::{
    AttachInternetGatewayInput, AttachInternetGatewayOutput, AttachmentStatus,
    CreateInternetGatewayInput, CreateInternetGatewayOutput, DeleteInternetGatewayInput,
    DeleteInternetGatewayOutput, DescribeInternetGatewaysInput, DescribeInternetGatewaysOutput,
    DetachInternetGatewayInput, DetachInternetGatewayOutput, InternetGatewayAttachment,
};
use kernel::quota::Quota;
use store::{ReadTx, WriteTx};

use super::store::{INTERFACES, INTERNET_GATEWAYS, InternetGateway};
use super::{default_vpc, vpc};
use crate::Ctx;
use crate::error::{Error, Result};
use crate::listing::{self, Asked, Field};
use crate::maker::Maker;
use crate::tags;

/// Internet gateways per region.
///
/// AWS: "Amazon VPC quotas".
const GATEWAYS_MAX: Quota = Quota { service: "vpc", code: "L-A4707A72", default: 5 };

/// The gateway called `id`.
pub(crate) fn get(tx: &ReadTx<'_>, id: &str) -> Result<InternetGateway> {
    let parsed = ResourceId::parse("igw", id);
    let found = parsed.map(|id| tx.get(&INTERNET_GATEWAYS, &id)).transpose()?.flatten();
    found.ok_or_else(|| Error::InternetGatewayNotFound(id.to_owned()))
}

/// The gateway that is attached to `vpc`.
pub(crate) fn of(tx: &ReadTx<'_>, vpc: &ResourceId) -> Result<Option<InternetGateway>> {
    let all = tx.scan(&INTERNET_GATEWAYS, ())?;
    Ok(all.into_iter().find(|gateway| gateway.vpc.as_ref() == Some(vpc)))
}

/// Makes an internet gateway.
///
/// AWS: CreateInternetGateway.
pub(crate) async fn create_internet_gateway(
    ctx: Ctx,
    input: CreateInternetGatewayInput,
) -> Result<CreateInternetGatewayOutput> {
    const KIND: &str = "internet-gateway";
    let wanted = tags::specified(&ctx, &input.tag_specifications, &[KIND], KIND)?;
    default_vpc::ensure(&ctx).await?;
    let limit = GATEWAYS_MAX.value(ctx.store.store(), ctx.store.scope()).await?;
    let write = |tx: &mut WriteTx<'_>| {
        if tx.scan(&INTERNET_GATEWAYS, ())?.len() as u64 >= limit {
            return Err(Error::InternetGatewayLimitExceeded);
        }
        let gateway = InternetGateway { id: Maker::of(&ctx).id("igw"), vpc: None };
        tx.put(&INTERNET_GATEWAYS, &gateway)?;
        tags::begin(tx, &gateway.id, KIND, &wanted)?;
        described(tx, &ctx, &gateway)
    };
    let internet_gateway = Some(ctx.store.write(write).await?);
    Ok(CreateInternetGatewayOutput { internet_gateway })
}

/// Removes a gateway that is attached to nothing.
///
/// AWS: DeleteInternetGateway.
pub(crate) async fn delete_internet_gateway(
    ctx: Ctx,
    input: DeleteInternetGatewayInput,
) -> Result<DeleteInternetGatewayOutput> {
    let write = |tx: &mut WriteTx<'_>| {
        let gateway = get(tx, &input.internet_gateway_id)?;
        if gateway.vpc.is_some() {
            return Err(Error::DependencyViolation(format!(
                "The internetGateway '{}' has dependencies and cannot be deleted.",
                gateway.id
            )));
        }
        tx.delete(&INTERNET_GATEWAYS, &gateway.id)?;
        tags::end(tx, &gateway.id)
    };
    ctx.store.write(write).await?;
    Ok(DeleteInternetGatewayOutput {})
}

/// Attaches a gateway to a VPC that has none.
///
/// AWS: AttachInternetGateway.
pub(crate) async fn attach_internet_gateway(
    ctx: Ctx,
    input: AttachInternetGatewayInput,
) -> Result<AttachInternetGatewayOutput> {
    let write = |tx: &mut WriteTx<'_>| {
        let mut gateway = get(tx, &input.internet_gateway_id)?;
        let vpc = vpc::get(tx, &input.vpc_id)?;
        if let Some(other) = &gateway.vpc {
            return Err(Error::AlreadyAssociated(format!(
                "resource {} is already attached to network {other}",
                gateway.id
            )));
        }
        if of(tx, &vpc.id)?.is_some() {
            return Err(Error::value(format!(
                "Network {} already has an internet gateway attached",
                vpc.id
            )));
        }
        gateway.vpc = Some(vpc.id);
        Ok(tx.put(&INTERNET_GATEWAYS, &gateway)?)
    };
    ctx.store.write(write).await?;
    Ok(AttachInternetGatewayOutput {})
}

/// Detaches a gateway from a VPC in which nothing has a public address.
///
/// AWS: DetachInternetGateway.
pub(crate) async fn detach_internet_gateway(
    ctx: Ctx,
    input: DetachInternetGatewayInput,
) -> Result<DetachInternetGatewayOutput> {
    let write = |tx: &mut WriteTx<'_>| {
        let mut gateway = get(tx, &input.internet_gateway_id)?;
        let vpc = vpc::get(tx, &input.vpc_id)?;
        if gateway.vpc.as_ref() != Some(&vpc.id) {
            return Err(Error::GatewayNotAttached(format!(
                "resource {} is not attached to network {}",
                gateway.id, vpc.id
            )));
        }
        let mapped = tx.scan(&INTERFACES, ())?.into_iter().any(|interface| {
            interface.vpc == vpc.id && interface.addresses.iter().any(|a| a.public.is_some())
        });
        if mapped {
            return Err(Error::DependencyViolation(format!(
                "Network {} has some mapped public address(es). Please unmap those public \
                 address(es) before detaching the gateway.",
                vpc.id
            )));
        }
        gateway.vpc = None;
        Ok(tx.put(&INTERNET_GATEWAYS, &gateway)?)
    };
    ctx.store.write(write).await?;
    Ok(DetachInternetGatewayOutput {})
}

const FIELDS: &[Field<ec2_api::InternetGateway>] = &[
    ("attachment.state", |gateway| {
        // AWS calls the attachment of an internet gateway `available`, which the model cannot say.
        gateway.attachments.iter().map(|_| "available".to_owned()).collect()
    }),
    ("attachment.vpc-id", |gateway| {
        gateway.attachments.iter().filter_map(|a| a.vpc_id.clone()).collect()
    }),
    ("internet-gateway-id", |gateway| listing::text(gateway.internet_gateway_id.as_ref())),
    ("owner-id", |gateway| listing::text(gateway.owner_id.as_ref())),
];

/// Tells the account's internet gateways.
///
/// AWS: DescribeInternetGateways.
pub(crate) async fn describe_internet_gateways(
    ctx: Ctx,
    input: DescribeInternetGatewaysInput,
) -> Result<DescribeInternetGatewaysOutput> {
    default_vpc::ensure(&ctx).await?;
    let read = |tx: &ReadTx<'_>| {
        let all = tx.scan(&INTERNET_GATEWAYS, ())?;
        all.iter().map(|gateway| described(tx, &ctx, gateway)).collect::<Result<Vec<_>>>()
    };
    let all = ctx.store.read(read).await?;
    let id = |gateway: &ec2_api::InternetGateway| {
        gateway.internet_gateway_id.clone().unwrap_or_default()
    };
    let all = listing::named(
        all,
        &input.internet_gateway_ids,
        |gateway| gateway.internet_gateway_id.as_deref().unwrap_or_default(),
        Error::InternetGatewayNotFound,
    )?;
    let all = listing::select(all, &input.filters, FIELDS, |gateway| &gateway.tags)?;
    let asked = Asked {
        ids: &input.internet_gateway_ids,
        max_results: input.max_results,
        next_token: input.next_token.as_deref(),
    };
    let (internet_gateways, next_token) = listing::page(all, asked, id)?;
    Ok(DescribeInternetGatewaysOutput { internet_gateways, next_token })
}

fn described(
    tx: &ReadTx<'_>,
    ctx: &Ctx,
    gateway: &InternetGateway,
) -> Result<ec2_api::InternetGateway> {
    let attachment = |vpc: &ResourceId| InternetGatewayAttachment {
        state: Some(AttachmentStatus::Attached),
        vpc_id: Some(vpc.to_string()),
    };
    Ok(ec2_api::InternetGateway {
        internet_gateway_id: Some(gateway.id.to_string()),
        owner_id: Some(ctx.account.to_string()),
        attachments: gateway.vpc.iter().map(attachment).collect(),
        tags: tags::wire_of(tx, &gateway.id)?,
    })
}
