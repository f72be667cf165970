//! Elastic IP addresses and NAT gateways.

use std::time::Duration;

use base::AccountId;
use ec2_api::*;
use kernel::Client;

use crate::region::{Lab, code, filter};

async fn service(lab: &Lab, name: &str) -> Client {
    let account: AccountId = "123456789012".parse().unwrap();
    lab.cloud.kernel.service_client(&account, name).await.unwrap()
}

#[tokio::test]
async fn five_addresses_are_the_customers_limit_and_not_a_services() {
    let lab = Lab::start().await;
    let mut seen = Vec::new();
    for _ in 0..5 {
        seen.push(lab.allocate().await.unwrap().public_ip.unwrap());
    }
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), 5);
    assert_eq!(code(lab.allocate().await), "AddressLimitExceeded");
    let elb = service(&lab, "elasticloadbalancing.amazonaws.com").await;
    let held = elb.call(AllocateAddressInput::default()).await;
    // The test's linked roles may be allowed nothing; the quota is not what refuses them.
    if let Err(error) = held {
        assert_eq!(error.code, "UnauthorizedOperation");
    }
}

#[tokio::test]
async fn an_address_moves_between_interfaces() {
    let lab = Lab::start().await;
    let vpc = lab.vpc("10.0.0.0/16").await;
    let subnet = lab.subnet(&vpc, "10.0.0.0/24").await;
    let (one, other) = (lab.interface(&subnet).await, lab.interface(&subnet).await);
    let allocation = lab.allocate().await.unwrap();
    let associate = |eni: &NetworkInterface| AssociateAddressInput {
        allocation_id: allocation.allocation_id.clone(),
        network_interface_id: eni.network_interface_id.clone(),
        ..Default::default()
    };
    assert_eq!(code(lab.root.call(associate(&one)).await), "Gateway.NotAttached");
    lab.gateway(&vpc).await;
    let first = lab.root.call(associate(&one)).await.unwrap().association_id.unwrap();
    let same = lab.root.call(associate(&one)).await.unwrap().association_id.unwrap();
    assert_eq!(first, same);
    let careful = AssociateAddressInput { allow_reassociation: Some(false), ..associate(&other) };
    assert_eq!(code(lab.root.call(careful).await), "Resource.AlreadyAssociated");
    lab.root.call(associate(&other)).await.unwrap();
    let told = lab.root.call(DescribeAddressesInput::default()).await.unwrap().addresses.remove(0);
    assert_eq!(told.network_interface_id, other.network_interface_id);
    assert_eq!(told.private_ip_address, other.private_ip_address);
    lab.built("the address on the second interface", |fabric| {
        let vpc = fabric.vpcs.iter().find(|known| known.id.as_str() == vpc)?;
        let holders: Vec<_> = vpc.interfaces.iter().filter(|eni| !eni.public.is_empty()).collect();
        let own = holders.first()?.id.to_string();
        (holders.len() == 1 && Some(own) == other.network_interface_id).then_some(())
    })
    .await;
    let release = ReleaseAddressInput {
        allocation_id: allocation.allocation_id.clone(),
        ..Default::default()
    };
    assert_eq!(code(lab.root.call(release.clone()).await), "InvalidIPAddress.InUse");
    let leave = |id: &str| DisassociateAddressInput {
        association_id: Some(id.to_owned()),
        ..Default::default()
    };
    assert_eq!(code(lab.root.call(leave(&first)).await), "InvalidAssociationID.NotFound");
    lab.root.call(leave(&told.association_id.unwrap())).await.unwrap();
    lab.root.call(release.clone()).await.unwrap();
    assert_eq!(code(lab.root.call(release).await), "InvalidAllocationID.NotFound");
}

fn nat(subnet: &str, allocation: Option<String>) -> CreateNatGatewayInput {
    CreateNatGatewayInput {
        subnet_id: Some(subnet.to_owned()),
        allocation_id: allocation,
        ..Default::default()
    }
}

async fn until(lab: &Lab, id: &str, state: NatGatewayState) -> NatGateway {
    testkit::poll::until(&format!("{id} to be {state}"), || async {
        let nat_gateway_ids = vec![id.to_owned()];
        let input = DescribeNatGatewaysInput { nat_gateway_ids, ..Default::default() };
        let found = lab.root.call(input).await.unwrap().nat_gateways.remove(0);
        (found.state == Some(state)).then_some(found)
    })
    .await
}

#[tokio::test]
async fn a_nat_gateway_comes_and_goes_with_the_fabric() {
    let lab = Lab::start().await;
    let vpc = lab.vpc("10.0.0.0/16").await;
    let subnet = lab.subnet(&vpc, "10.0.0.0/24").await;
    lab.gateway(&vpc).await;
    assert_eq!(code(lab.root.call(nat(&subnet, None)).await), "MissingParameter");
    let allocation = lab.allocate().await.unwrap().allocation_id;
    let input = CreateNatGatewayInput {
        client_token: Some("once".to_owned()),
        ..nat(&subnet, allocation.clone())
    };
    let made = lab.root.call(input.clone()).await.unwrap().nat_gateway.unwrap();
    assert_eq!(made.state, Some(NatGatewayState::Pending));
    let again = lab.root.call(input.clone()).await.unwrap().nat_gateway.unwrap();
    assert_eq!(again.nat_gateway_id, made.nat_gateway_id);
    let different = CreateNatGatewayInput { allocation_id: Some("eipalloc-0".to_owned()), ..input };
    assert_eq!(code(lab.root.call(different).await), "IdempotentParameterMismatch");
    let id = made.nat_gateway_id.unwrap();
    until(&lab, &id, NatGatewayState::Available).await;
    assert_eq!(
        code(lab.root.call(nat(&subnet, allocation.clone())).await),
        "Resource.AlreadyAssociated"
    );
    let input = DeleteNatGatewayInput { nat_gateway_id: id.clone(), dry_run: None };
    lab.root.call(input).await.unwrap();
    until(&lab, &id, NatGatewayState::Deleted).await;
    let release = ReleaseAddressInput { allocation_id: allocation, ..Default::default() };
    lab.root.call(release).await.unwrap();
    lab.cloud.advance(Duration::from_secs(3601));
    testkit::poll::until("the gateway to be forgotten", || async {
        let filter = vec![filter("nat-gateway-id", &id)];
        let input = DescribeNatGatewaysInput { filter, ..Default::default() };
        lab.root.call(input).await.unwrap().nat_gateways.is_empty().then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_public_nat_gateway_without_a_way_out_fails() {
    let lab = Lab::start().await;
    let vpc = lab.vpc("10.0.0.0/16").await;
    let subnet = lab.subnet(&vpc, "10.0.0.0/24").await;
    let allocation = lab.allocate().await.unwrap().allocation_id;
    let made = lab.root.call(nat(&subnet, allocation)).await.unwrap().nat_gateway.unwrap();
    let failed = until(&lab, &made.nat_gateway_id.unwrap(), NatGatewayState::Failed).await;
    assert_eq!(failed.failure_code.as_deref(), Some("Gateway.NotAttached"));
    let private = CreateNatGatewayInput {
        connectivity_type: Some(ConnectivityType::Private),
        ..nat(&subnet, None)
    };
    let made = lab.root.call(private).await.unwrap().nat_gateway.unwrap();
    until(&lab, &made.nat_gateway_id.unwrap(), NatGatewayState::Available).await;
}
