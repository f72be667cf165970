//! The region, its zones and what the account may use of it.

use base::{Region, Zone};
use ec2_api::{
    AccountAttribute, AccountAttributeName, AccountAttributeValue, AvailabilityZone,
    AvailabilityZoneMessage, AvailabilityZoneOptInStatus, AvailabilityZoneState,
    DescribeAccountAttributesInput, DescribeAccountAttributesOutput,
    DescribeAvailabilityZonesInput, DescribeAvailabilityZonesOutput,
    DescribeManagedPrefixListsInput, DescribeManagedPrefixListsOutput, DescribePrefixListsInput,
    DescribePrefixListsOutput, DescribeRegionsInput, DescribeRegionsOutput, ManagedPrefixList,
    PrefixList, PrefixListState,
};
use kernel::Service;

use crate::error::{Error, Result};
use crate::listing::{self, Asked, Field};
use crate::vpc::default_vpc;
use crate::{Ctx, Drivers};

pub(crate) fn register(service: Service<Drivers>) -> Service<Drivers> {
    service
        .operation(describe_regions)
        .operation(describe_availability_zones)
        .operation(describe_account_attributes)
        .operation(describe_prefix_lists)
        .operation(describe_managed_prefix_lists)
}

/// The zone of a name or an id; the first one when neither is given.
pub(crate) fn zone_from(region: &Region, name: Option<&str>, id: Option<&str>) -> Result<Zone> {
    let zones = region.zones();
    let found = match (name, id) {
        (Some(name), _) => zones.iter().find(|zone| zone.as_str() == name),
        (None, Some(id)) => zones.iter().find(|zone| zone.zone_id() == id),
        (None, None) => zones.first(),
    };
    found.cloned().ok_or_else(|| {
        let known: Vec<&str> = zones.iter().map(Zone::as_str).collect();
        Error::value(format!(
            "Value ({}) for parameter availabilityZone is invalid. Subnets can currently only be \
             created in the following availability zones: {}.",
            name.or(id).unwrap_or_default(),
            known.join(", ")
        ))
    })
}

/// Whether a zone was lost and nothing can run in it.
pub(crate) fn is_down(ctx: &Ctx, zone: &Zone) -> bool {
    ctx.drivers.machine.is_down(zone)
}

/// Refuses what is to run in a zone that was lost, as AWS does where it has no capacity.
pub(crate) fn require_up(ctx: &Ctx, zone: &Zone, instance_type: String) -> Result<()> {
    if is_down(ctx, zone) {
        return Err(Error::InsufficientInstanceCapacity(instance_type, zone.to_string()));
    }
    Ok(())
}

/// The domain of private host names.
///
/// AWS: "DNS attributes for your VPC".
pub(crate) fn private_domain(region: &Region) -> String {
    match region.as_str() {
        "us-east-1" => "ec2.internal".to_owned(),
        other => format!("{other}.compute.internal"),
    }
}

/// The domain of public host names.
///
/// AWS: "DNS attributes for your VPC".
pub(crate) fn public_domain(region: &Region) -> String {
    match region.as_str() {
        "us-east-1" => "compute-1.amazonaws.com".to_owned(),
        other => format!("{other}.compute.amazonaws.com"),
    }
}

/// The id and name of the prefix list of the region's S3 endpoint.
pub(crate) fn prefix_list(region: &Region) -> (String, String) {
    let name = format!("com.amazonaws.{region}.s3");
    let digits: String = kernel::token::fingerprint(&name).chars().take(8).collect();
    (format!("pl-{digits}"), name)
}

const REGION_FIELDS: &[Field<ec2_api::Region>] = &[
    ("endpoint", |region| listing::text(region.endpoint.as_ref())),
    ("opt-in-status", |region| listing::text(region.opt_in_status.as_ref())),
    ("region-name", |region| listing::text(region.region_name.as_ref())),
];

/// Tells the regions: this one.
///
/// AWS: DescribeRegions.
pub(crate) async fn describe_regions(
    ctx: Ctx,
    input: DescribeRegionsInput,
) -> Result<DescribeRegionsOutput> {
    let own = ec2_api::Region {
        region_name: Some(ctx.region.to_string()),
        endpoint: Some(format!("ec2.{}.amazonaws.com", ctx.region)),
        opt_in_status: Some("opt-in-not-required".to_owned()),
        ..ec2_api::Region::default()
    };
    let known = ctx.region.as_str();
    if let Some(name) = input.region_names.iter().find(|name| *name != known) {
        return Err(Error::value(format!("Invalid region provided: {name}")));
    }
    let regions = listing::select(vec![own], &input.filters, REGION_FIELDS, |_| &[])?;
    Ok(DescribeRegionsOutput { regions })
}

const ZONE_FIELDS: &[Field<AvailabilityZone>] = &[
    ("group-name", |zone| listing::text(zone.group_name.as_ref())),
    ("message", |zone| zone.messages.iter().filter_map(|told| told.message.clone()).collect()),
    ("opt-in-status", |zone| listing::shown(zone.opt_in_status)),
    ("parent-zone-id", |_| Vec::new()),
    ("parent-zone-name", |_| Vec::new()),
    ("region-name", |zone| listing::text(zone.region_name.as_ref())),
    ("state", |zone| listing::shown(zone.state)),
    ("zone-id", |zone| listing::text(zone.zone_id.as_ref())),
    ("zone-name", |zone| listing::text(zone.zone_name.as_ref())),
    ("zone-type", |zone| listing::text(zone.zone_type.as_ref())),
];

/// Tells the region's zones.
///
/// AWS: DescribeAvailabilityZones.
pub(crate) async fn describe_availability_zones(
    ctx: Ctx,
    input: DescribeAvailabilityZonesInput,
) -> Result<DescribeAvailabilityZonesOutput> {
    let lost = || AvailabilityZoneMessage { message: Some("The zone was lost.".to_owned()) };
    let described = |zone: Zone| AvailabilityZone {
        messages: is_down(&ctx, &zone).then(lost).into_iter().collect(),
        group_name: Some(format!("{}-zg-1", ctx.region)),
        network_border_group: Some(ctx.region.to_string()),
        opt_in_status: Some(AvailabilityZoneOptInStatus::OptInNotRequired),
        region_name: Some(ctx.region.to_string()),
        state: Some(if is_down(&ctx, &zone) {
            AvailabilityZoneState::Unavailable
        } else {
            AvailabilityZoneState::Available
        }),
        zone_id: Some(zone.zone_id()),
        zone_name: Some(zone.to_string()),
        zone_type: Some("availability-zone".to_owned()),
        ..AvailabilityZone::default()
    };
    let zones: Vec<_> = ctx.region.zones().into_iter().map(described).collect();
    let invalid = |name: String| Error::InvalidZone(name);
    let name = |zone: &AvailabilityZone| zone.zone_name.clone().unwrap_or_default();
    let zones = listing::named(
        zones,
        &input.zone_names,
        |zone| zone.zone_name.as_deref().unwrap_or_default(),
        invalid,
    )?;
    let zones = listing::named(
        zones,
        &input.zone_ids,
        |zone| zone.zone_id.as_deref().unwrap_or_default(),
        invalid,
    )?;
    let mut zones = listing::select(zones, &input.filters, ZONE_FIELDS, |_| &[])?;
    zones.sort_by_key(name);
    Ok(DescribeAvailabilityZonesOutput { availability_zones: zones })
}

/// Tells what the account has of the region.
///
/// AWS: DescribeAccountAttributes.
pub(crate) async fn describe_account_attributes(
    ctx: Ctx,
    input: DescribeAccountAttributesInput,
) -> Result<DescribeAccountAttributesOutput> {
    default_vpc::ensure(&ctx).await?;
    let default = ctx.store.read(default_vpc::find).await?;
    let default = default.map_or_else(|| "none".to_owned(), |vpc| vpc.id.to_string());
    let all = [
        (AccountAttributeName::SupportedPlatforms, "VPC".to_owned()),
        (AccountAttributeName::DefaultVpc, default),
    ];
    let asked = |name: &AccountAttributeName| {
        input.attribute_names.is_empty() || input.attribute_names.contains(name)
    };
    let attribute = |(name, value): (AccountAttributeName, String)| AccountAttribute {
        attribute_name: Some(name.to_string()),
        attribute_values: vec![AccountAttributeValue { attribute_value: Some(value) }],
    };
    let chosen = all.into_iter().filter(|(name, _)| asked(name)).map(attribute).collect();
    Ok(DescribeAccountAttributesOutput { account_attributes: chosen })
}

const PREFIX_FIELDS: &[Field<PrefixList>] = &[
    ("prefix-list-id", |list| listing::text(list.prefix_list_id.as_ref())),
    ("prefix-list-name", |list| listing::text(list.prefix_list_name.as_ref())),
];

/// Tells the prefix lists of services: that of S3, whose only address here is the region's
/// endpoint.
///
/// AWS: DescribePrefixLists.
pub(crate) async fn describe_prefix_lists(
    ctx: Ctx,
    input: DescribePrefixListsInput,
) -> Result<DescribePrefixListsOutput> {
    let (id, name) = prefix_list(&ctx.region);
    let endpoint = ctx.drivers.net_options.endpoint_address();
    let own = PrefixList {
        cidrs: vec![base::Cidr::host(endpoint).to_string()],
        prefix_list_id: Some(id),
        prefix_list_name: Some(name),
    };
    let all = listing::named(
        vec![own],
        &input.prefix_list_ids,
        |list| list.prefix_list_id.as_deref().unwrap_or_default(),
        Error::PrefixListNotFound,
    )?;
    let all = listing::select(all, &input.filters, PREFIX_FIELDS, |_| &[])?;
    let asked = Asked {
        ids: &input.prefix_list_ids,
        max_results: input.max_results,
        next_token: input.next_token.as_deref(),
    };
    let id = |list: &PrefixList| list.prefix_list_id.clone().unwrap_or_default();
    let (prefix_lists, next_token) = listing::page(all, asked, id)?;
    Ok(DescribePrefixListsOutput { prefix_lists, next_token })
}

const MANAGED_FIELDS: &[Field<ManagedPrefixList>] = &[
    ("owner-id", |list| listing::text(list.owner_id.as_ref())),
    ("prefix-list-id", |list| listing::text(list.prefix_list_id.as_ref())),
    ("prefix-list-name", |list| listing::text(list.prefix_list_name.as_ref())),
];

/// Tells the managed prefix lists: AWS's own, since customers cannot make theirs here.
///
/// AWS: DescribeManagedPrefixLists.
pub(crate) async fn describe_managed_prefix_lists(
    ctx: Ctx,
    input: DescribeManagedPrefixListsInput,
) -> Result<DescribeManagedPrefixListsOutput> {
    let (id, name) = prefix_list(&ctx.region);
    let arn = format!("arn:aws:ec2:{}:aws:prefix-list/{id}", ctx.region);
    let own = ManagedPrefixList {
        prefix_list_id: Some(id),
        address_family: Some("IPv4".to_owned()),
        state: Some(PrefixListState::CreateComplete),
        prefix_list_arn: Some(arn),
        prefix_list_name: Some(name),
        owner_id: Some("AWS".to_owned()),
        ..ManagedPrefixList::default()
    };
    let all = listing::named(
        vec![own],
        &input.prefix_list_ids,
        |list| list.prefix_list_id.as_deref().unwrap_or_default(),
        Error::PrefixListNotFound,
    )?;
    let all = listing::select(all, &input.filters, MANAGED_FIELDS, |_| &[])?;
    let asked = Asked {
        ids: &input.prefix_list_ids,
        max_results: input.max_results,
        next_token: input.next_token.as_deref(),
    };
    let id = |list: &ManagedPrefixList| list.prefix_list_id.clone().unwrap_or_default();
    let (prefix_lists, next_token) = listing::page(all, asked, id)?;
    Ok(DescribeManagedPrefixListsOutput { prefix_lists, next_token })
}
