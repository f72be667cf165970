//! Load balancers: what their owners ask for. The task of [`crate::node`] makes it so.

use base::{Arn, ResourceId};
use elbv2_api::{
    AvailabilityZone, CreateLoadBalancerInput, CreateLoadBalancerOutput, DeleteLoadBalancerInput,
    DeleteLoadBalancerOutput, DescribeLoadBalancersInput, DescribeLoadBalancersOutput,
    IpAddressType, LoadBalancerSchemeEnum, LoadBalancerState, LoadBalancerStateEnum,
    LoadBalancerTypeEnum, SetIpAddressTypeInput, SetIpAddressTypeOutput, SetSecurityGroupsInput,
    SetSecurityGroupsOutput, SetSubnetsInput, SetSubnetsOutput, SubnetMapping,
};
use store::{ReadTx, StartsWith, WriteTx};

use crate::error::{Error, Result, invalid, unsupported};
use crate::store::{
    Attributes, LISTENERS, LOAD_BALANCERS, LoadBalancer, NODES, Node, Place, RULES, Scheme,
};
use crate::{Ctx, PRINCIPAL, certificate, limit, listing, load_balancer_attribute, network, tag};

/// The hosted zones that load balancers' names lie in, by region.
///
/// AWS: "Elastic Load Balancing endpoints and quotas".
const HOSTED_ZONES: &[(&str, &str)] = &[
    ("us-east-1", "Z35SXDOTRQ7X7K"),
    ("us-east-2", "Z3AADJGX6KTTL2"),
    ("us-west-1", "Z368ELLRRE2KJ0"),
    ("us-west-2", "Z1H1FL5HABSF5"),
    ("ap-northeast-1", "Z14GRHDCWA56QT"),
    ("ap-northeast-2", "ZWKZPGTI48KDX"),
    ("ap-northeast-3", "Z5LXEXXYW11ES"),
    ("ap-south-1", "ZP97RAFLXTNZK"),
    ("ap-southeast-1", "Z1LMS91P8CMLE5"),
    ("ap-southeast-2", "Z1GM3OXH4ZPM65"),
    ("ca-central-1", "ZQSVJUPU6J1EY"),
    ("eu-central-1", "Z215JYRZR1TBD5"),
    ("eu-north-1", "Z23TAZ6LKFMNIO"),
    ("eu-west-1", "Z32O12XQLNTSW2"),
    ("eu-west-2", "ZHURV8PSTC4K8"),
    ("eu-west-3", "Z3Q77PNBQS71R4"),
    ("sa-east-1", "Z2P70J7HTTTPLU"),
];

/// Makes a load balancer, or returns the equal one that exists.
///
/// AWS: CreateLoadBalancer.
///
/// # Errors
///
/// [`Error::DuplicateLoadBalancerName`] when the name is taken with other settings.
pub(crate) async fn create_load_balancer(
    ctx: Ctx,
    input: CreateLoadBalancerInput,
) -> Result<CreateLoadBalancerOutput> {
    let wanted = wanted(&ctx, input).await?;
    let max = limit::value(&ctx, limit::LOAD_BALANCERS).await?;
    let made = ctx
        .store
        .write(|tx| {
            let all = all(tx)?;
            if let Some(existing) = all.iter().find(|other| other.name == wanted.name) {
                return if same_settings(existing, &wanted) {
                    Ok((existing.clone(), nodes(tx, &existing.arn)?))
                } else {
                    Err(Error::DuplicateLoadBalancerName(wanted.name.clone()))
                };
            }
            if all.len() >= max {
                return Err(Error::TooManyLoadBalancers);
            }
            tx.put(&LOAD_BALANCERS, &wanted)?;
            Ok((wanted.clone(), Vec::new()))
        })
        .await?;
    Ok(CreateLoadBalancerOutput { load_balancers: vec![to_wire(&made.0, &made.1)] })
}

async fn wanted(ctx: &Ctx, input: CreateLoadBalancerInput) -> Result<LoadBalancer> {
    require_offered(&input)?;
    require_name("load balancer", &input.name)?;
    if input.name.starts_with("internal-") {
        return Err(invalid("A load balancer name cannot begin with 'internal-'"));
    }
    let tags = tag::from_wire(ctx, input.tags)?;
    let ec2 = ctx.service_client(PRINCIPAL).await?;
    let ids = subnet_ids(input.subnets, input.subnet_mappings)?;
    let subnets = network::subnets(&ec2, &ids).await?;
    let vpc = network::check_subnets(&subnets)?;
    let scheme = match input.scheme.unwrap_or_default() {
        LoadBalancerSchemeEnum::InternetFacing => Scheme::InternetFacing,
        LoadBalancerSchemeEnum::Internal => Scheme::Internal,
    };
    if scheme == Scheme::InternetFacing {
        network::require_internet(&ec2, &vpc).await?;
    }
    let security_groups = network::security_groups(&ec2, &vpc, &input.security_groups).await?;
    let hex = ctx.random().text("0123456789abcdef", 16);
    let number = ctx.random().text("0123456789", 10);
    let prefix = match scheme {
        Scheme::InternetFacing => "",
        Scheme::Internal => "internal-",
    };
    let region = &ctx.region;
    let dns_name = format!("{prefix}{}-{number}.{region}.elb.amazonaws.com", input.name);
    Ok(LoadBalancer {
        arn: ctx.arn("elasticloadbalancing", format!("loadbalancer/app/{}/{hex}", input.name)),
        name: input.name,
        scheme,
        vpc,
        places: subnets.into_iter().map(|subnet| subnet.place).collect(),
        security_groups,
        dns_name: dns_name.to_lowercase(),
        created: ctx.now(),
        was_active: false,
        deleting: false,
        attributes: Attributes::new(),
        cookie_secret: ctx.random().text("0123456789abcdef", 64),
        tags,
    })
}

/// Refuses what this region does not have.
fn require_offered(input: &CreateLoadBalancerInput) -> Result<()> {
    match input.type_.unwrap_or_default() {
        LoadBalancerTypeEnum::Application => {}
        other @ (LoadBalancerTypeEnum::Network | LoadBalancerTypeEnum::Gateway) => {
            return Err(unsupported(format!(
                "Load balancers of type '{other}' are not supported in this region"
            )));
        }
    }
    require_ipv4(input.ip_address_type)?;
    if input.customer_owned_ipv4_pool.is_some() {
        return Err(unsupported("Customer-owned address pools are not supported in this region"));
    }
    if input.ipam_pools.is_some() {
        return Err(unsupported("IPAM pools are not supported in this region"));
    }
    require_no_source_nat(input.enable_prefix_for_ipv6_source_nat.is_some())
}

fn require_no_source_nat(given: bool) -> Result<()> {
    if given {
        return Err(invalid(
            "EnablePrefixForIpv6SourceNat is supported only for network load balancers",
        ));
    }
    Ok(())
}

fn require_ipv4(asked: Option<IpAddressType>) -> Result<()> {
    match asked {
        None | Some(IpAddressType::Ipv4) => Ok(()),
        Some(IpAddressType::Dualstack | IpAddressType::DualstackWithoutPublicIpv4) => {
            Err(unsupported("You must specify subnets with an associated IPv6 CIDR block."))
        }
    }
}

/// Checks a name as load balancers and target groups have them.
pub(crate) fn require_name(what: &str, name: &str) -> Result<()> {
    const LENGTH_MAX: usize = 32;
    if name.len() > LENGTH_MAX {
        return Err(invalid(format!(
            "The {what} name '{name}' cannot be longer than '{LENGTH_MAX}' characters"
        )));
    }
    if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') {
        return Err(invalid(format!(
            "The {what} name '{name}' can only contain characters that are alphanumeric \
             characters and hyphens(-)"
        )));
    }
    if name.starts_with('-') || name.ends_with('-') {
        return Err(invalid(format!(
            "The {what} name '{name}' cannot begin or end with a hyphen (-)"
        )));
    }
    Ok(())
}

fn subnet_ids(subnets: Vec<String>, mappings: Vec<SubnetMapping>) -> Result<Vec<String>> {
    if !subnets.is_empty() && !mappings.is_empty() {
        return Err(invalid("You can specify only one of 'Subnets' and 'SubnetMappings'"));
    }
    let of_mapping = |mapping: SubnetMapping| {
        if mapping.allocation_id.is_some() || mapping.private_i_pv4_address.is_some() {
            return Err(unsupported(
                "You cannot specify addresses for the subnets of an application load balancer",
            ));
        }
        if mapping.i_pv6_address.is_some() || mapping.source_nat_ipv6_prefix.is_some() {
            return Err(unsupported(
                "You cannot specify IPv6 addresses for the subnets of an application load balancer",
            ));
        }
        mapping.subnet_id.ok_or_else(|| invalid("A subnet mapping must have a subnet ID"))
    };
    let mapped = mappings.into_iter().map(of_mapping).collect::<Result<Vec<_>>>()?;
    Ok(if mapped.is_empty() { subnets } else { mapped })
}

fn same_settings(a: &LoadBalancer, b: &LoadBalancer) -> bool {
    let sorted = |places: &[Place]| {
        let mut ids: Vec<ResourceId> = places.iter().map(|place| place.subnet.clone()).collect();
        ids.sort();
        ids
    };
    a.scheme == b.scheme
        && sorted(&a.places) == sorted(&b.places)
        && a.security_groups == b.security_groups
        && a.tags == b.tags
}

/// Lists load balancers.
///
/// AWS: DescribeLoadBalancers.
pub(crate) async fn describe_load_balancers(
    ctx: Ctx,
    input: DescribeLoadBalancersInput,
) -> Result<DescribeLoadBalancersOutput> {
    if !input.load_balancer_arns.is_empty() && !input.names.is_empty() {
        return Err(invalid("Load balancer names and ARNs cannot both be specified"));
    }
    let missing =
        |asked| Error::LoadBalancerNotFound(format!("Load balancers '[{asked}]' not found"));
    let (found, nodes) =
        ctx.store.read(|tx| Ok::<_, Error>((all(tx)?, tx.scan(&NODES, ())?))).await?;
    let found =
        listing::asked_for(found, &input.load_balancer_arns, |lb| lb.arn.to_string(), missing)?;
    let found = listing::asked_for(found, &input.names, |lb| lb.name.clone(), missing)?;
    let page =
        listing::page(found, input.marker.as_deref(), input.page_size, |lb| lb.arn.to_string())?;
    let of = |lb: &LoadBalancer| {
        let own = nodes.iter().filter(|node| node.load_balancer == lb.arn).cloned();
        to_wire(lb, &own.collect::<Vec<_>>())
    };
    Ok(DescribeLoadBalancersOutput {
        load_balancers: page.items.iter().map(of).collect(),
        next_marker: page.next,
    })
}

/// Deletes a load balancer with its listeners and rules. One that is not there is deleted already.
///
/// AWS: DeleteLoadBalancer.
///
/// # Errors
///
/// [`Error::OperationNotPermitted`] while deletion protection is on.
pub(crate) async fn delete_load_balancer(
    ctx: Ctx,
    input: DeleteLoadBalancerInput,
) -> Result<DeleteLoadBalancerOutput> {
    let arn = input.load_balancer_arn;
    require_load_balancer_arn(&arn)?;
    ctx.store
        .write(|tx| {
            let Some(found) = tx.get(&LOAD_BALANCERS, &arn)?.filter(|found| !found.deleting) else {
                return Ok(());
            };
            if load_balancer_attribute::is_protected(&found) {
                return Err(Error::OperationNotPermitted(format!(
                    "Load balancer '{arn}' cannot be deleted because deletion protection is \
                     enabled"
                )));
            }
            for listener in tx.scan(&LISTENERS, StartsWith(&listeners_of(&arn)))? {
                remove_listener(tx, &listener.arn)?;
            }
            tx.put(&LOAD_BALANCERS, &LoadBalancer { deleting: true, ..found })?;
            Ok(())
        })
        .await?;
    Ok(DeleteLoadBalancerOutput {})
}

/// Deletes a listener and its rules.
pub(crate) fn remove_listener(tx: &mut WriteTx<'_>, arn: &Arn) -> Result<()> {
    for rule in tx.scan(&RULES, StartsWith(&rules_of(&arn.to_string())))? {
        tx.delete(&RULES, rule.arn.to_string())?;
    }
    if let Some(listener) = tx.get(&LISTENERS, arn.to_string())? {
        certificate::note_uses(tx, &listener, None)?;
        tx.delete(&LISTENERS, arn.to_string())?;
    }
    Ok(())
}

/// What the ARNs of a load balancer's listeners begin with.
pub(crate) fn listeners_of(load_balancer: &str) -> String {
    format!("{}/", load_balancer.replacen(":loadbalancer/", ":listener/", 1))
}

/// What the ARNs of a listener's rules begin with.
pub(crate) fn rules_of(listener: &str) -> String {
    format!("{}/", listener.replacen(":listener/", ":listener-rule/", 1))
}

/// Gives a load balancer other security groups.
///
/// AWS: SetSecurityGroups.
pub(crate) async fn set_security_groups(
    ctx: Ctx,
    input: SetSecurityGroupsInput,
) -> Result<SetSecurityGroupsOutput> {
    if input.enforce_security_group_inbound_rules_on_private_link_traffic.is_some() {
        return Err(invalid(
            "EnforceSecurityGroupInboundRulesOnPrivateLinkTraffic is supported only for network \
             load balancers",
        ));
    }
    let arn = input.load_balancer_arn;
    let found = ctx.store.read(|tx| find(tx, &arn)).await?;
    let ec2 = ctx.service_client(PRINCIPAL).await?;
    if input.security_groups.is_empty() {
        return Err(invalid("At least one security group must be specified"));
    }
    let groups = network::security_groups(&ec2, &found.vpc, &input.security_groups).await?;
    ctx.store
        .write(|tx| {
            let found = find(tx, &arn)?;
            tx.put(&LOAD_BALANCERS, &LoadBalancer { security_groups: groups.clone(), ..found })?;
            Ok::<_, Error>(())
        })
        .await?;
    let security_group_ids = groups.iter().map(ToString::to_string).collect();
    Ok(SetSecurityGroupsOutput { security_group_ids, ..Default::default() })
}

/// Puts a load balancer into other subnets; nodes of subnets that stay are not touched.
///
/// AWS: SetSubnets.
pub(crate) async fn set_subnets(ctx: Ctx, input: SetSubnetsInput) -> Result<SetSubnetsOutput> {
    require_ipv4(input.ip_address_type)?;
    require_no_source_nat(input.enable_prefix_for_ipv6_source_nat.is_some())?;
    let arn = input.load_balancer_arn;
    let found = ctx.store.read(|tx| find(tx, &arn)).await?;
    let ec2 = ctx.service_client(PRINCIPAL).await?;
    let ids = subnet_ids(input.subnets, input.subnet_mappings)?;
    let subnets = network::subnets(&ec2, &ids).await?;
    if network::check_subnets(&subnets)? != found.vpc {
        return Err(Error::InvalidSubnet(format!("The subnets must be in VPC '{}'", found.vpc)));
    }
    let places: Vec<Place> = subnets.into_iter().map(|subnet| subnet.place).collect();
    ctx.store
        .write(|tx| {
            let found = find(tx, &arn)?;
            tx.put(&LOAD_BALANCERS, &LoadBalancer { places: places.clone(), ..found })?;
            Ok::<_, Error>(())
        })
        .await?;
    Ok(SetSubnetsOutput {
        availability_zones: places.iter().map(zone_to_wire).collect(),
        ip_address_type: Some(IpAddressType::Ipv4),
        ..Default::default()
    })
}

/// Sets the kind of addresses; only IPv4 is there.
///
/// AWS: SetIpAddressType.
pub(crate) async fn set_ip_address_type(
    ctx: Ctx,
    input: SetIpAddressTypeInput,
) -> Result<SetIpAddressTypeOutput> {
    ctx.store.read(|tx| find(tx, &input.load_balancer_arn)).await?;
    require_ipv4(Some(input.ip_address_type))?;
    Ok(SetIpAddressTypeOutput { ip_address_type: Some(IpAddressType::Ipv4) })
}

/// All load balancers that are not being deleted.
pub(crate) fn all(tx: &ReadTx<'_>) -> Result<Vec<LoadBalancer>> {
    let mut all = tx.scan(&LOAD_BALANCERS, ())?;
    all.retain(|found| !found.deleting);
    Ok(all)
}

/// A load balancer by its ARN.
pub(crate) fn find(tx: &ReadTx<'_>, arn: &str) -> Result<LoadBalancer> {
    require_load_balancer_arn(arn)?;
    let found = tx.get(&LOAD_BALANCERS, arn)?.filter(|found| !found.deleting);
    found.ok_or_else(|| Error::LoadBalancerNotFound(format!("Load balancer '{arn}' not found")))
}

/// A load balancer's nodes.
pub(crate) fn nodes(tx: &ReadTx<'_>, arn: &Arn) -> Result<Vec<Node>> {
    Ok(tx.scan(&NODES, (arn.to_string(),))?)
}

fn require_load_balancer_arn(arn: &str) -> Result<()> {
    if arn.parse::<Arn>().is_ok_and(|arn| arn.resource.starts_with("loadbalancer/")) {
        return Ok(());
    }
    Err(invalid(format!("'{arn}' is not a valid load balancer ARN")))
}

fn to_wire(lb: &LoadBalancer, nodes: &[Node]) -> elbv2_api::LoadBalancer {
    let zone_id = HOSTED_ZONES.iter().find(|(region, _)| *region == lb.arn.region);
    elbv2_api::LoadBalancer {
        load_balancer_arn: Some(lb.arn.to_string()),
        dns_name: Some(lb.dns_name.clone()),
        canonical_hosted_zone_id: zone_id.map(|(_, id)| (*id).to_owned()),
        created_time: Some(lb.created),
        load_balancer_name: Some(lb.name.clone()),
        scheme: Some(match lb.scheme {
            Scheme::InternetFacing => LoadBalancerSchemeEnum::InternetFacing,
            Scheme::Internal => LoadBalancerSchemeEnum::Internal,
        }),
        vpc_id: Some(lb.vpc.to_string()),
        state: Some(state(lb, nodes)),
        type_: Some(LoadBalancerTypeEnum::Application),
        availability_zones: lb.places.iter().map(zone_to_wire).collect(),
        security_groups: lb.security_groups.iter().map(ToString::to_string).collect(),
        ip_address_type: Some(IpAddressType::Ipv4),
        ..Default::default()
    }
}

fn zone_to_wire(place: &Place) -> AvailabilityZone {
    AvailabilityZone {
        zone_name: Some(place.zone.to_string()),
        subnet_id: Some(place.subnet.to_string()),
        ..Default::default()
    }
}

/// `active` once a node answered, `active_impaired` while none does any more.
fn state(lb: &LoadBalancer, nodes: &[Node]) -> LoadBalancerState {
    let answers = nodes.iter().any(|node| node.alive);
    let (code, reason) = match (lb.was_active, answers) {
        (false, _) => (LoadBalancerStateEnum::Provisioning, None),
        (true, true) => (LoadBalancerStateEnum::Active, None),
        (true, false) => (
            LoadBalancerStateEnum::ActiveImpaired,
            Some("No node of the load balancer answers".to_owned()),
        ),
    };
    LoadBalancerState { code: Some(code), reason }
}
