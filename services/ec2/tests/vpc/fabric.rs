//! What the tasks make of the networks.

use ec2_api::*;

use crate::region::Lab;

#[tokio::test]
async fn a_network_without_interfaces_is_not_built() {
    let lab = Lab::start().await;
    let vpc = lab.vpc("10.0.0.0/16").await;
    lab.subnet(&vpc, "10.0.0.0/24").await;
    lab.built("the first look", |fabric| fabric.vpcs.is_empty().then_some(())).await;
}

#[tokio::test]
async fn networks_reach_the_fabric_as_they_are() {
    let lab = Lab::start().await;
    let vpc = lab.vpc("10.0.0.0/16").await;
    let subnet = lab.subnet(&vpc, "10.0.0.0/24").await;
    let gateway = lab.gateway(&vpc).await;
    let eni = lab.interface(&subnet).await;
    let main = lab.main_table(&vpc).await.route_table_id.unwrap();
    let input = CreateRouteInput {
        route_table_id: main,
        destination_cidr_block: Some("0.0.0.0/0".to_owned()),
        gateway_id: Some(gateway.clone()),
        ..Default::default()
    };
    lab.root.call(input).await.unwrap();
    let built = lab
        .built("the route", |fabric| {
            let vpc = fabric.vpcs.iter().find(|known| known.id.as_str() == vpc)?;
            let table = vpc.route_tables.first()?;
            (!table.routes.is_empty()).then(|| vpc.clone())
        })
        .await;
    assert_eq!(built.internet_gateway.unwrap().as_str(), gateway);
    assert_eq!(built.interfaces[0].id.as_str(), eni.network_interface_id.unwrap());
    assert_eq!(built.route_tables[0].routes[0].target, net::Target::InternetGateway);
    assert_eq!(built.network_acls[0].ingress[0].number, 100);
    let group = &built.security_groups[0];
    assert_eq!(group.ingress[0].peer, net::Peer::Group(group.id.clone()));
    assert_eq!(group.egress[0].protocol, net::Protocol::All);
    assert_eq!(built.subnets[0].route_table, built.route_tables[0].id);
}

#[tokio::test]
async fn each_zone_with_an_interface_has_a_program_that_serves_it() {
    let lab = Lab::start().await;
    let vpc = lab.vpc("10.0.0.0/16").await;
    let subnet = lab.subnet(&vpc, "10.0.0.0/24").await;
    let (sent, heard) = std::sync::mpsc::channel();
    lab.machine.answer_with(move |id, message| {
        let config: ec2::VpcServicesConfig = serde_json::from_slice(message).unwrap();
        sent.send((id.to_owned(), config)).unwrap();
        Ok(Vec::new())
    });
    let eni = lab.interface(&subnet).await;
    let (id, config) =
        testkit::poll::until("a configuration", || async { heard.try_recv().ok() }).await;
    assert_eq!(id, "vpc-services");
    let own = config.dns.vpcs.iter().find(|known| known.id == vpc).unwrap();
    let address = eni.private_ip_address.unwrap();
    let name = format!("ip-{}.ap-northeast-2.compute.internal", address.replace('.', "-"));
    assert_eq!(own.names.records[&name].addresses[0].to_string(), address);
    assert_eq!(own.addresses[0].to_string(), "10.0.0.2");
    let endpoint = &config.dns.shared.records["*.amazonaws.com"];
    assert_eq!(endpoint.addresses[0].to_string(), "198.18.0.3");
    assert_eq!(config.imds.vpcs.len(), 1);
}
