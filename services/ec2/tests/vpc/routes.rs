//! Route tables and routes.

use ec2_api::*;
use protocol::ServiceError;

use crate::region::{Lab, code};

async fn table(lab: &Lab, vpc: &str) -> String {
    let input = CreateRouteTableInput { vpc_id: vpc.to_owned(), ..Default::default() };
    lab.root.call(input).await.unwrap().route_table.unwrap().route_table_id.unwrap()
}

async fn route(
    lab: &Lab,
    table: &str,
    destination: &str,
    gateway: &str,
) -> Result<CreateRouteOutput, ServiceError> {
    let input = CreateRouteInput {
        route_table_id: table.to_owned(),
        destination_cidr_block: Some(destination.to_owned()),
        gateway_id: Some(gateway.to_owned()),
        ..Default::default()
    };
    lab.root.call(input).await
}

#[tokio::test]
async fn the_local_route_stays() {
    let lab = Lab::start().await;
    let vpc = lab.vpc("10.0.0.0/16").await;
    let id = table(&lab, &vpc).await;
    let delete = DeleteRouteInput {
        route_table_id: id.clone(),
        destination_cidr_block: Some("10.0.0.0/16".to_owned()),
        ..Default::default()
    };
    let error = lab.root.call(delete.clone()).await.unwrap_err();
    assert_eq!(error.code, "InvalidParameterValue");
    assert_eq!(error.message, format!("cannot remove local route 10.0.0.0/16 in route table {id}"));
    let other = DeleteRouteInput { destination_cidr_block: Some("0.0.0.0/0".to_owned()), ..delete };
    assert_eq!(code(lab.root.call(other).await), "InvalidRoute.NotFound");
}

#[tokio::test]
async fn routes_lead_to_gateways_of_their_vpc() {
    let lab = Lab::start().await;
    let (vpc, other) = (lab.vpc("10.0.0.0/16").await, lab.vpc("10.1.0.0/16").await);
    let (gateway, foreign) = (lab.gateway(&vpc).await, lab.gateway(&other).await);
    let id = table(&lab, &vpc).await;
    route(&lab, &id, "0.0.0.0/0", &gateway).await.unwrap();
    route(&lab, &id, "0.0.0.0/0", &gateway).await.unwrap();
    assert_eq!(code(route(&lab, &id, "1.0.0.0/8", &foreign).await), "InvalidParameterValue");
    assert_eq!(code(route(&lab, &id, "1.0.0.0/8", "igw-0").await), "InvalidGatewayID.NotFound");
    assert_eq!(code(route(&lab, &id, "10.0.0.0/16", &gateway).await), "RouteAlreadyExists");
    assert_eq!(code(route(&lab, &id, "10.0.1.0/24", &gateway).await), "InvalidParameterValue");
    let subnet = lab.subnet(&vpc, "10.0.0.0/24").await;
    let eni = lab.interface(&subnet).await.network_interface_id;
    let input = CreateRouteInput {
        route_table_id: id.clone(),
        destination_cidr_block: Some("0.0.0.0/0".to_owned()),
        network_interface_id: eni.clone(),
        ..Default::default()
    };
    assert_eq!(code(lab.root.call(input).await), "RouteAlreadyExists");
    let replace = ReplaceRouteInput {
        route_table_id: id.clone(),
        destination_cidr_block: Some("0.0.0.0/0".to_owned()),
        network_interface_id: eni,
        ..Default::default()
    };
    lab.root.call(replace.clone()).await.unwrap();
    let unknown =
        ReplaceRouteInput { destination_cidr_block: Some("9.0.0.0/8".to_owned()), ..replace };
    assert_eq!(code(lab.root.call(unknown).await), "InvalidParameterValue");
    let input = DescribeRouteTablesInput { route_table_ids: vec![id], ..Default::default() };
    let told = lab.root.call(input).await.unwrap().route_tables.remove(0);
    assert_eq!(told.routes[0].gateway_id.as_deref(), Some("local"));
    // An interface that nothing uses forwards nothing.
    assert_eq!(told.routes[1].state, Some(RouteState::Blackhole));
}

#[tokio::test]
async fn a_subnet_has_one_route_table() {
    let lab = Lab::start().await;
    let vpc = lab.vpc("10.0.0.0/16").await;
    let subnet = lab.subnet(&vpc, "10.0.0.0/24").await;
    let (one, other) = (table(&lab, &vpc).await, table(&lab, &vpc).await);
    let associate = |table: &str| AssociateRouteTableInput {
        route_table_id: table.to_owned(),
        subnet_id: Some(subnet.clone()),
        ..Default::default()
    };
    let association_id = lab.root.call(associate(&one)).await.unwrap().association_id.unwrap();
    assert_eq!(code(lab.root.call(associate(&other)).await), "Resource.AlreadyAssociated");
    let delete = DeleteRouteTableInput { route_table_id: one.clone(), dry_run: None };
    assert_eq!(code(lab.root.call(delete.clone()).await), "DependencyViolation");
    let replace = ReplaceRouteTableAssociationInput {
        association_id: association_id.clone(),
        route_table_id: other.clone(),
        dry_run: None,
    };
    let new = lab.root.call(replace.clone()).await.unwrap().new_association_id.unwrap();
    assert_eq!(code(lab.root.call(replace).await), "InvalidAssociationID.NotFound");
    lab.root.call(delete).await.unwrap();
    let leave = DisassociateRouteTableInput { association_id: new, dry_run: None };
    lab.root.call(leave).await.unwrap();
    let main = lab.main_table(&vpc).await;
    let association_id = main.associations[0].route_table_association_id.clone().unwrap();
    let leave =
        DisassociateRouteTableInput { association_id: association_id.clone(), dry_run: None };
    assert_eq!(code(lab.root.call(leave).await), "InvalidParameterValue");
    let replace = ReplaceRouteTableAssociationInput {
        association_id,
        route_table_id: other.clone(),
        dry_run: None,
    };
    lab.root.call(replace).await.unwrap();
    assert_eq!(lab.main_table(&vpc).await.route_table_id, Some(other));
}
