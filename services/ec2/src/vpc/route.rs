//! Routes.

use base::{Cidr, ResourceId};
use ec2_api::{
    CreateRouteInput, CreateRouteOutput, DeleteRouteInput, DeleteRouteOutput, ReplaceRouteInput,
    ReplaceRouteOutput, RouteOrigin, RouteState,
};
use kernel::quota::Quota;
use store::{ReadTx, WriteTx};

use super::store::{
    INTERFACES, Interface, InterfaceKind, NAT_GATEWAYS, NatState, ROUTE_TABLES, Route, RouteTable,
    RouteTarget, Vpc,
};
use super::{attachment, interface, internet_gateway, nat_gateway, route_table, vpc};
use crate::Ctx;
use crate::error::{Error, Result, refuse};

/// Routes per route table.
///
/// AWS: "Amazon VPC quotas".
const ROUTES_MAX: Quota = Quota { service: "vpc", code: "L-93826ACB", default: 500 };

/// The ways that a request may name.
#[derive(Default)]
struct Way<'a> {
    gateway: Option<&'a String>,
    nat_gateway: Option<&'a String>,
    interface: Option<&'a String>,
    instance: Option<&'a String>,
}

fn destination_from(cidr: Option<&String>) -> Result<Cidr> {
    let text = cidr.ok_or_else(|| Error::missing("destinationCidrBlock"))?;
    vpc::cidr_from(text, "destinationCidrBlock")
}

fn target_from(tx: &ReadTx<'_>, table: &RouteTable, way: &Way<'_>) -> Result<RouteTarget> {
    let given = [way.gateway, way.nat_gateway, way.interface, way.instance];
    if given.iter().flatten().count() > 1 {
        return Err(Error::InvalidParameterCombination(
            "The request may specify only one target for a route".to_owned(),
        ));
    }
    let apart = |what: &str| {
        Error::value(format!("route table {} and {what} belong to different networks", table.id))
    };
    if let Some(id) = way.gateway {
        if !id.starts_with("igw-") {
            return Err(Error::GatewayIdNotFound(id.clone()));
        }
        let missing = |_| Error::GatewayIdNotFound(id.clone());
        let gateway = internet_gateway::get(tx, id).map_err(missing)?;
        if gateway.vpc.as_ref() != Some(&table.vpc) {
            return Err(apart(&format!("network gateway {id}")));
        }
        return Ok(RouteTarget::InternetGateway(gateway.id));
    }
    if let Some(id) = way.nat_gateway {
        let missing = |_| Error::NatGatewayIdNotFound(id.clone());
        let gateway = nat_gateway::get(tx, id).map_err(missing)?;
        if matches!(gateway.state, NatState::Deleting | NatState::Deleted) {
            return Err(Error::NatGatewayIdNotFound(id.clone()));
        }
        if gateway.vpc != table.vpc {
            return Err(apart(&format!("NAT gateway {id}")));
        }
        return Ok(RouteTarget::NatGateway(gateway.id));
    }
    let interface = match (way.interface, way.instance) {
        (Some(id), _) => interface::get(tx, id)?,
        (None, Some(id)) => interface_of(tx, id)?,
        (None, None) => return Err(Error::missing("gatewayId")),
    };
    if interface.vpc != table.vpc {
        return Err(apart(&format!("interface {}", interface.id)));
    }
    Ok(RouteTarget::Interface(interface.id))
}

fn interface_of(tx: &ReadTx<'_>, instance: &str) -> Result<Interface> {
    let parsed = ResourceId::parse("i", instance);
    let own = parsed.map(|id| attachment::of_instance(tx, &id)).transpose()?;
    let primary = own.and_then(|own| own.into_iter().next());
    primary.ok_or_else(|| Error::InstanceNotFound(instance.to_owned()))
}

/// Refuses what would take the VPC's own traffic out of it.
///
/// AWS: "Configure route tables", route priority and more specific routes.
fn require_possible(vpc: &Vpc, destination: &Cidr, target: &RouteTarget) -> Result<()> {
    let inside = vpc.blocks.iter().any(|block| block.cidr.contains_block(destination));
    if inside && !matches!(target, RouteTarget::Interface(_)) {
        return Err(Error::value(format!(
            "The destination CIDR block {destination} is equal to or more specific than one of \
             this VPC's CIDR blocks. This route can target only an interface or an instance."
        )));
    }
    Ok(())
}

fn is_local(vpc: &Vpc, destination: &Cidr) -> bool {
    vpc.blocks.iter().any(|block| block.cidr == *destination)
}

/// Adds a route.
///
/// AWS: CreateRoute.
pub(crate) async fn create_route(ctx: Ctx, input: CreateRouteInput) -> Result<CreateRouteOutput> {
    refuse(&[
        ("DestinationPrefixListId", input.destination_prefix_list_id.is_some()),
        ("VpcEndpointId", input.vpc_endpoint_id.is_some()),
        ("TransitGatewayId", input.transit_gateway_id.is_some()),
        ("LocalGatewayId", input.local_gateway_id.is_some()),
        ("CarrierGatewayId", input.carrier_gateway_id.is_some()),
        ("CoreNetworkArn", input.core_network_arn.is_some()),
        ("OdbNetworkArn", input.odb_network_arn.is_some()),
        ("DestinationIpv6CidrBlock", input.destination_ipv6_cidr_block.is_some()),
        ("EgressOnlyInternetGatewayId", input.egress_only_internet_gateway_id.is_some()),
        ("VpcPeeringConnectionId", input.vpc_peering_connection_id.is_some()),
    ])?;
    let destination = destination_from(input.destination_cidr_block.as_ref())?;
    let way = Way {
        gateway: input.gateway_id.as_ref(),
        nat_gateway: input.nat_gateway_id.as_ref(),
        interface: input.network_interface_id.as_ref(),
        instance: input.instance_id.as_ref(),
    };
    let limit = ROUTES_MAX.value(ctx.store.store(), ctx.store.scope()).await?;
    let write = |tx: &mut WriteTx<'_>| {
        let mut table = route_table::get(tx, &input.route_table_id)?;
        let vpc = route_table::vpc_of(tx, &table)?;
        let target = target_from(tx, &table, &way)?;
        if let Some(same) = table.routes.iter().find(|route| route.destination == destination) {
            // Making the same route again is no error.
            if same.target == target {
                return Ok(());
            }
            return Err(Error::RouteAlreadyExists(destination.to_string()));
        }
        if is_local(&vpc, &destination) {
            return Err(Error::RouteAlreadyExists(destination.to_string()));
        }
        require_possible(&vpc, &destination, &target)?;
        if (table.routes.len() + vpc.blocks.len()) as u64 >= limit {
            return Err(Error::RouteLimitExceeded(table.id.to_string()));
        }
        table.routes.push(Route { destination, target });
        Ok(tx.put(&ROUTE_TABLES, &table)?)
    };
    ctx.store.write(write).await?;
    Ok(CreateRouteOutput { return_: Some(true) })
}

/// Gives a route another target.
///
/// AWS: ReplaceRoute.
pub(crate) async fn replace_route(
    ctx: Ctx,
    input: ReplaceRouteInput,
) -> Result<ReplaceRouteOutput> {
    refuse(&[
        ("DestinationPrefixListId", input.destination_prefix_list_id.is_some()),
        ("VpcEndpointId", input.vpc_endpoint_id.is_some()),
        ("TransitGatewayId", input.transit_gateway_id.is_some()),
        ("LocalGatewayId", input.local_gateway_id.is_some()),
        ("CarrierGatewayId", input.carrier_gateway_id.is_some()),
        ("CoreNetworkArn", input.core_network_arn.is_some()),
        ("OdbNetworkArn", input.odb_network_arn.is_some()),
        ("DestinationIpv6CidrBlock", input.destination_ipv6_cidr_block.is_some()),
        ("EgressOnlyInternetGatewayId", input.egress_only_internet_gateway_id.is_some()),
        ("VpcPeeringConnectionId", input.vpc_peering_connection_id.is_some()),
    ])?;
    let destination = destination_from(input.destination_cidr_block.as_ref())?;
    let way = Way {
        gateway: input.gateway_id.as_ref(),
        nat_gateway: input.nat_gateway_id.as_ref(),
        interface: input.network_interface_id.as_ref(),
        instance: input.instance_id.as_ref(),
    };
    let local = input.local_target == Some(true)
        || input.gateway_id.as_deref().is_some_and(|gateway| gateway == "local");
    let write = |tx: &mut WriteTx<'_>| {
        let mut table = route_table::get(tx, &input.route_table_id)?;
        let vpc = route_table::vpc_of(tx, &table)?;
        if is_local(&vpc, &destination) {
            if local {
                return Ok(());
            }
            return Err(Error::Unsupported(
                "Replacing the target of the local route is not supported by this region"
                    .to_owned(),
            ));
        }
        if local {
            return Err(Error::value(format!(
                "The local target may only be given to a local route, not to {destination}"
            )));
        }
        let target = target_from(tx, &table, &way)?;
        require_possible(&vpc, &destination, &target)?;
        let known = table.routes.iter_mut().find(|route| route.destination == destination);
        let known = known.ok_or_else(|| {
            Error::value(format!(
                "There is no route defined for '{destination}' in the route table. Use \
                 CreateRoute instead."
            ))
        })?;
        known.target = target;
        Ok(tx.put(&ROUTE_TABLES, &table)?)
    };
    ctx.store.write(write).await?;
    Ok(ReplaceRouteOutput {})
}

/// Removes a route; the local ones stay.
///
/// AWS: DeleteRoute.
pub(crate) async fn delete_route(ctx: Ctx, input: DeleteRouteInput) -> Result<DeleteRouteOutput> {
    refuse(&[
        ("DestinationPrefixListId", input.destination_prefix_list_id.is_some()),
        ("DestinationIpv6CidrBlock", input.destination_ipv6_cidr_block.is_some()),
    ])?;
    let destination = destination_from(input.destination_cidr_block.as_ref())?;
    let write = |tx: &mut WriteTx<'_>| {
        let mut table = route_table::get(tx, &input.route_table_id)?;
        let vpc = route_table::vpc_of(tx, &table)?;
        if is_local(&vpc, &destination) {
            return Err(Error::value(format!(
                "cannot remove local route {destination} in route table {}",
                table.id
            )));
        }
        let before = table.routes.len();
        table.routes.retain(|route| route.destination != destination);
        if table.routes.len() == before {
            return Err(Error::RouteNotFound(table.id.to_string(), destination.to_string()));
        }
        Ok(tx.put(&ROUTE_TABLES, &table)?)
    };
    ctx.store.write(write).await?;
    Ok(DeleteRouteOutput {})
}

/// The routes of a table as they are answered, the local ones first.
pub(crate) fn described(
    tx: &ReadTx<'_>,
    ctx: &Ctx,
    vpc: &Vpc,
    table: &RouteTable,
) -> Result<Vec<ec2_api::Route>> {
    let local = |cidr: &Cidr| ec2_api::Route {
        destination_cidr_block: Some(cidr.to_string()),
        gateway_id: Some("local".to_owned()),
        origin: Some(RouteOrigin::CreateRouteTable),
        state: Some(RouteState::Active),
        ..ec2_api::Route::default()
    };
    let mut routes: Vec<_> = vpc.blocks.iter().map(|block| local(&block.cidr)).collect();
    for route in &table.routes {
        routes.push(described_one(tx, ctx, table, route)?);
    }
    Ok(routes)
}

fn described_one(
    tx: &ReadTx<'_>,
    ctx: &Ctx,
    table: &RouteTable,
    route: &Route,
) -> Result<ec2_api::Route> {
    let mut wire = ec2_api::Route {
        destination_cidr_block: Some(route.destination.to_string()),
        origin: Some(RouteOrigin::CreateRoute),
        ..ec2_api::Route::default()
    };
    let alive = match &route.target {
        RouteTarget::InternetGateway(id) => {
            wire.gateway_id = Some(id.to_string());
            internet_gateway::of(tx, &table.vpc)?.is_some_and(|gateway| gateway.id == *id)
        }
        RouteTarget::NatGateway(id) => {
            wire.nat_gateway_id = Some(id.to_string());
            let gateway = tx.get(&NAT_GATEWAYS, id)?;
            gateway.is_some_and(|nat| matches!(nat.state, NatState::Pending | NatState::Available))
        }
        RouteTarget::Interface(id) => {
            wire.network_interface_id = Some(id.to_string());
            let interface = tx.get(&INTERFACES, id)?;
            let instance = interface.as_ref().and_then(Interface::instance);
            wire.instance_id = instance.map(ToString::to_string);
            wire.instance_owner_id = instance.map(|_| ctx.account.to_string());
            interface.is_some_and(|eni| {
                eni.attachment.is_some()
                    || eni.requester.is_some()
                    || eni.kind == InterfaceKind::NatGateway
            })
        }
    };
    wire.state = Some(if alive { RouteState::Active } else { RouteState::Blackhole });
    Ok(wire)
}
