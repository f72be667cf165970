//! What passes through a fabric and what does not, with real packets.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]
#![allow(clippy::disallowed_methods, reason = "tests run `ip` as a workload would")]

mod lab;

use std::net::Ipv4Addr;

use base::Cidr;
use lab::*;
use net::{Admission, Entry, NetworkAcl, Peer, Protocol, Route, Rule, ServiceAddress, Target};

/// Web (1), application (2) and data (3) in two subnets; groups of the same numbers.
fn three_tiers() -> net::Vpc {
    let mut vpc = vpc(1, "10.0.0.0/16");
    subnet(&mut vpc, 1, "10.0.1.0/24", 1);
    subnet(&mut vpc, 2, "10.0.2.0/24", 2);
    group(&mut vpc, 1, vec![tcp(80, everyone())], vec![any(everyone())]);
    group(&mut vpc, 2, vec![tcp(8080, Peer::Group(id("sg", 1)))], vec![any(everyone())]);
    group(&mut vpc, 3, vec![tcp(3306, Peer::Group(id("sg", 2)))], Vec::new());
    interface(&mut vpc, 1, 1, "10.0.1.10", 1);
    interface(&mut vpc, 2, 2, "10.0.2.20", 2);
    interface(&mut vpc, 3, 2, "10.0.2.30", 3);
    vpc
}

#[test]
fn the_reachability_matrix_is_what_the_groups_say() {
    let lab = Lab::new();
    lab.apply(&fabric(&[&three_tiers()]));
    let addresses = ["10.0.1.10", "10.0.2.20", "10.0.2.30"];
    for port in [80, 8080, 3306] {
        (1..=3).for_each(|number| lab.serve(number, port));
    }
    for (from, to, port) in [(2, 0, 80), (1, 1, 8080), (2, 2, 3306)] {
        let seen = lab.reaches(from, addresses[to], port);
        assert_eq!(seen.to_string(), addresses[from as usize - 1]);
    }
    let allowed = [(2, 0, 80), (1, 1, 8080), (2, 2, 3306)];
    for from in 1..=3 {
        for (to, address) in addresses.iter().enumerate() {
            for port in [80, 8080, 3306] {
                let own = to + 1 == from as usize;
                if !own && !allowed.contains(&(from, to, port)) {
                    lab.is_cut(from, address, port);
                }
            }
        }
    }
}

#[test]
fn groups_change_live_and_references_follow_membership() {
    let lab = Lab::new();
    let mut vpc = three_tiers();
    lab.apply(&fabric(&[&vpc]));
    lab.serve(3, 3306);
    lab.is_cut(1, "10.0.2.30", 3306);
    find(&mut vpc, 1).security_groups.push(id("sg", 2));
    lab.apply(&fabric(&[&vpc]));
    lab.reaches(1, "10.0.2.30", 3306);
    find(&mut vpc, 1).security_groups.pop();
    lab.apply(&fabric(&[&vpc]));
    lab.is_cut(1, "10.0.2.30", 3306);
    vpc.security_groups[2].ingress = vec![tcp(3306, Peer::Cidr(cidr("10.0.1.0/24")))];
    lab.apply(&fabric(&[&vpc]));
    lab.reaches(1, "10.0.2.30", 3306);
    lab.is_cut(2, "10.0.2.30", 3306);
    // Without an egress rule the sender's group decides.
    vpc.security_groups[0].egress.clear();
    lab.apply(&fabric(&[&vpc]));
    lab.is_cut(1, "10.0.2.30", 3306);
}

#[test]
fn a_cohort_talks_whatever_the_rules_say_and_may_be_closed_to_others() {
    let lab = Lab::new();
    let mut vpc = three_tiers();
    group(&mut vpc, 4, vec![tcp(3306, everyone())], Vec::new());
    interface(&mut vpc, 4, 1, "10.0.1.40", 4);
    // Nothing crosses the border of a subnet.
    let shut = NetworkAcl { id: id("acl", 1), ingress: Vec::new(), egress: Vec::new() };
    vpc.network_acls.retain(|acl| acl.id != shut.id);
    vpc.network_acls.push(shut);
    let cohort = |name: &str, members: &[(u32, Admission)]| {
        let members = members.iter().map(|(number, admission)| (eni(*number), *admission));
        let set = net::Net::set_cohort(&lab.net, name, members.collect());
        lab.runtime.block_on(set).unwrap();
    };
    // A member may be named before it is there.
    cohort("pair", &[(3, Admission::Groups), (4, Admission::Cohort)]);
    lab.apply(&fabric(&[&vpc]));
    for number in [3, 4] {
        lab.serve(number, 3306);
        lab.serve(number, 9000);
    }
    lab.reaches(3, "10.0.1.40", 9000);
    lab.reaches(4, "10.0.2.30", 3306);
    // In one subnet, and its own group admits everyone.
    let patience = std::time::Duration::from_secs(5);
    let refused = Flow::open(&lab.eni(1), "10.0.1.40", 3306, patience).err().unwrap();
    assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
    lab.reaches(2, "10.0.2.30", 3306);
    lab.is_cut(2, "10.0.2.30", 9000);
    // They change parts.
    cohort("pair", &[(3, Admission::Cohort), (4, Admission::Groups)]);
    lab.reaches(1, "10.0.1.40", 3306);
    lab.is_cut(2, "10.0.2.30", 3306);
    lab.reaches(4, "10.0.2.30", 3306);
    cohort("pair", &[]);
    lab.is_cut(3, "10.0.1.40", 9000);
    lab.reaches(2, "10.0.2.30", 3306);
    // A member that is gone is forgotten.
    cohort("pair", &[(3, Admission::Groups), (4, Admission::Groups)]);
    vpc.interfaces.retain(|interface| interface.id != eni(4));
    lab.apply(&fabric(&[&vpc]));
    interface(&mut vpc, 4, 1, "10.0.1.40", 4);
    lab.apply(&fabric(&[&vpc]));
    lab.serve(4, 9000);
    lab.is_cut(3, "10.0.1.40", 9000);
}

#[test]
fn rules_know_port_ranges_and_icmp() {
    let lab = Lab::new();
    let mut vpc = vpc(1, "10.0.0.0/16");
    subnet(&mut vpc, 1, "10.0.1.0/24", 1);
    open_group(&mut vpc, 1);
    let range = Rule { protocol: Protocol::Tcp { from: 1000, to: 1010 }, peer: everyone() };
    group(&mut vpc, 2, vec![range], vec![]);
    interface(&mut vpc, 1, 1, "10.0.1.10", 1);
    interface(&mut vpc, 2, 1, "10.0.1.20", 2);
    lab.apply(&fabric(&[&vpc]));
    for port in [999, 1000, 1010, 1011] {
        lab.serve(2, port);
    }
    lab.is_cut(1, "10.0.1.20", 999);
    lab.reaches(1, "10.0.1.20", 1000);
    lab.reaches(1, "10.0.1.20", 1010);
    lab.is_cut(1, "10.0.1.20", 1011);
    assert!(!pings(&lab.eni(1), "10.0.1.20"));
    let echo = Protocol::Icmp { icmp_type: Some(8), code: None };
    vpc.security_groups[1].ingress.push(Rule { protocol: echo, peer: everyone() });
    lab.apply(&fabric(&[&vpc]));
    assert!(pings(&lab.eni(1), "10.0.1.20"));
    let other = Protocol::Icmp { icmp_type: Some(13), code: Some(0) };
    vpc.security_groups[1].ingress.pop();
    vpc.security_groups[1].ingress.push(Rule { protocol: other, peer: everyone() });
    lab.apply(&fabric(&[&vpc]));
    assert!(!pings(&lab.eni(1), "10.0.1.20"));
}

fn entry(number: u16, allow: bool, protocol: Protocol, block: &str) -> Entry {
    Entry { number, allow, protocol, cidr: cidr(block) }
}

#[test]
fn network_acls_are_ordered_stateless_and_only_at_the_border() {
    let lab = Lab::new();
    let mut vpc = vpc(1, "10.0.0.0/16");
    subnet(&mut vpc, 1, "10.0.1.0/24", 1);
    subnet(&mut vpc, 2, "10.0.2.0/24", 1);
    open_group(&mut vpc, 1);
    interface(&mut vpc, 1, 1, "10.0.1.10", 1);
    interface(&mut vpc, 2, 2, "10.0.2.20", 1);
    interface(&mut vpc, 3, 2, "10.0.2.30", 1);
    let web = Protocol::Tcp { from: 80, to: 80 };
    let all = "0.0.0.0/0";
    let ephemeral = Protocol::Tcp { from: 1024, to: 65535 };
    vpc.network_acls.push(NetworkAcl {
        id: id("acl", 2),
        ingress: vec![entry(20, true, web, all), entry(10, false, web, "10.0.1.99/32")],
        egress: vec![entry(10, true, ephemeral, all)],
    });
    vpc.subnets[1].network_acl = id("acl", 2);
    lab.apply(&fabric(&[&vpc]));
    for port in [80, 8080] {
        lab.serve(2, port);
    }
    lab.reaches(1, "10.0.2.20", 80);
    lab.is_cut(1, "10.0.2.20", 8080);
    // Inside the subnet nothing of it counts.
    lab.reaches(3, "10.0.2.20", 8080);
    // Stateless: without the way back, the answer is lost.
    vpc.network_acls[1].egress.clear();
    lab.apply(&fabric(&[&vpc]));
    lab.is_cut(1, "10.0.2.20", 80);
    // The lower number decides.
    vpc.network_acls[1].egress = vec![entry(10, true, ephemeral, all)];
    vpc.network_acls[1].ingress.push(entry(5, false, Protocol::All, "10.0.1.0/24"));
    lab.apply(&fabric(&[&vpc]));
    lab.is_cut(1, "10.0.2.20", 80);
}

#[test]
fn spoofed_sources_are_dropped_until_the_check_is_off() {
    let lab = Lab::new();
    let mut vpc = vpc(1, "10.0.0.0/16");
    subnet(&mut vpc, 1, "10.0.1.0/24", 1);
    open_group(&mut vpc, 1);
    interface(&mut vpc, 1, 1, "10.0.1.10", 1);
    interface(&mut vpc, 2, 1, "10.0.1.20", 1);
    lab.apply(&fabric(&[&vpc]));
    let receiver = net::udp_bind(&lab.eni(2), "10.0.1.20:500".parse().unwrap()).unwrap();
    receiver.set_nonblocking(false).unwrap();
    // An address that the fabric did not give it, as a spoofer would take it.
    ip_command(&lab.eni(1), &["address", "add", "10.0.1.99/24", "dev", "eth0"]);
    let send = |from: Ipv4Addr| {
        net::in_namespace(&lab.eni(1), || {
            let socket = std::net::UdpSocket::bind((from, 0))?;
            socket.send_to(b"x", "10.0.1.20:500")
        })
        .unwrap();
        receiver.set_read_timeout(Some(std::time::Duration::from_millis(300))).unwrap();
        receiver.recv_from(&mut [0; 8]).ok().map(|(_, from)| from.ip().to_string())
    };
    assert_eq!(send(ip("10.0.1.10")).as_deref(), Some("10.0.1.10"));
    assert_eq!(send(ip("10.0.1.99")), None);
    find(&mut vpc, 1).source_dest_check = false;
    lab.apply(&fabric(&[&vpc]));
    assert_eq!(send(ip("10.0.1.99")).as_deref(), Some("10.0.1.99"));
}

/// One interface with a public address in a public subnet.
fn public_server() -> net::Vpc {
    let mut vpc = vpc(1, "10.0.0.0/16");
    subnet(&mut vpc, 1, "10.0.1.0/24", 1);
    open_group(&mut vpc, 1);
    interface(&mut vpc, 1, 1, "10.0.1.10", 1);
    find(&mut vpc, 1).public.push((ip("10.0.1.10"), ip("198.18.0.10")));
    vpc
}

#[test]
fn the_host_reaches_a_public_address_only_through_every_layer() {
    let lab = Lab::new();
    let whole = public_server();
    lab.apply(&fabric(&[&whole]));
    lab.serve(1, 80);
    assert_eq!(reaches(&host(), "198.18.0.10", 80), ip("198.18.0.1"));
    type Spoil = fn(&mut net::Vpc);
    let without: [(&str, Spoil); 5] = [
        ("a route", |vpc| vpc.subnets[0].route_table = id("rtb", 2)),
        ("a group's rule", |vpc| vpc.security_groups[0].ingress.clear()),
        ("an ACL's entry", |vpc| vpc.network_acls[0].ingress.clear()),
        ("a public address", |vpc| vpc.interfaces[0].public.clear()),
        ("an internet gateway", |vpc| vpc.internet_gateway = None),
    ];
    for (layer, remove) in without {
        let mut vpc = whole.clone();
        remove(&mut vpc);
        lab.apply(&fabric(&[&vpc]));
        println!("without {layer}");
        is_cut(&host(), "198.18.0.10", 80);
        lab.apply(&fabric(&[&whole]));
        reaches(&host(), "198.18.0.10", 80);
    }
}

#[test]
fn public_addresses_reach_each_other_in_one_vpc_and_across_two() {
    let lab = Lab::new();
    let mut first = public_server();
    interface(&mut first, 2, 1, "10.0.1.20", 1);
    find(&mut first, 2).public.push((ip("10.0.1.20"), ip("198.18.0.20")));
    interface(&mut first, 4, 1, "10.0.1.40", 1);
    let mut second = vpc(2, "10.0.0.0/16");
    subnet(&mut second, 3, "10.0.1.0/24", 1);
    open_group(&mut second, 2);
    interface(&mut second, 3, 3, "10.0.1.10", 2);
    find(&mut second, 3).public.push((ip("10.0.1.10"), ip("198.18.0.30")));
    lab.apply(&fabric(&[&first, &second]));
    (1..=3).for_each(|number| lab.serve(number, 80));
    assert_eq!(lab.reaches(1, "198.18.0.20", 80), ip("198.18.0.10"));
    assert_eq!(lab.reaches(1, "198.18.0.30", 80), ip("198.18.0.10"));
    assert_eq!(lab.reaches(3, "198.18.0.20", 80), ip("198.18.0.30"));
    // Without a public address there is no way out.
    lab.is_cut(4, "198.18.0.30", 80);
    // The address moves to another interface.
    find(&mut first, 1).public.clear();
    find(&mut first, 2).public = vec![(ip("10.0.1.20"), ip("198.18.0.10"))];
    lab.apply(&fabric(&[&first, &second]));
    assert_eq!(lab.reaches(2, "198.18.0.30", 80), ip("198.18.0.10"));
    reaches(&host(), "198.18.0.10", 80);
    is_cut(&host(), "198.18.0.20", 80);
}

#[test]
fn a_nat_gateway_carries_flows_out_and_none_in() {
    let lab = Lab::new();
    let mut first = public_server();
    subnet(&mut first, 2, "10.0.2.0/24", 2);
    interface(&mut first, 2, 2, "10.0.2.20", 1);
    nat(&mut first, 9, 1, "10.0.1.9", "198.18.0.9");
    let target = Target::NatGateway(id("nat", 9));
    first.route_tables[1].routes.push(Route { destination: Cidr::ALL, target });
    let mut second = vpc(2, "10.1.0.0/16");
    subnet(&mut second, 3, "10.1.1.0/24", 1);
    open_group(&mut second, 2);
    interface(&mut second, 3, 3, "10.1.1.10", 2);
    find(&mut second, 3).public.push((ip("10.1.1.10"), ip("198.18.0.30")));
    lab.apply(&fabric(&[&first, &second]));
    lab.serve(3, 80);
    lab.serve(2, 80);
    let endpoint = lab.options.endpoint_address();
    serve(&net::Net::internet_namespace(&lab.net), endpoint, 443);
    assert_eq!(lab.reaches(2, "198.18.0.30", 80), ip("198.18.0.9"));
    assert_eq!(lab.reaches(2, &endpoint.to_string(), 443), ip("198.18.0.9"));
    assert_eq!(reaches(&host(), &endpoint.to_string(), 443), ip("198.18.0.1"));
    is_cut(&host(), "198.18.0.9", 80);
    lab.is_cut(3, "198.18.0.9", 80);
    // Through the gateway and back in by a public address of the same VPC.
    lab.serve(1, 80);
    assert_eq!(lab.reaches(2, "198.18.0.10", 80), ip("198.18.0.9"));
    // Without its public address it leads nowhere.
    first.nat_gateways[0].public_address = None;
    lab.apply(&fabric(&[&first, &second]));
    lab.is_cut(2, "198.18.0.30", 80);
}

#[test]
fn nothing_leaves_for_the_host_unless_egress_is_on() {
    let lab = Lab::new();
    lab.apply(&fabric(&[&public_server()]));
    serve(&host(), Ipv4Addr::UNSPECIFIED, 8080);
    lab.is_cut(1, "198.18.0.1", 8080);
}

#[test]
fn egress_is_masqueraded_and_the_hosts_own_services_stay_closed() {
    let mut lab = Lab::with(true);
    lab.apply(&fabric(&[&public_server()]));
    serve(&host(), Ipv4Addr::UNSPECIFIED, 8080);
    lab.is_cut(1, "198.18.0.1", 8080);
    // A second install stands for the world outside; it also shows that two live side by side.
    let options = net::Options {
        run_dir: lab.dir.path().join("other"),
        prefix: "other".to_owned(),
        egress: false,
        public_pool: cidr("203.0.113.0/24"),
    };
    let other = net::LinuxNet::new(options).unwrap();
    let mut world = public_server();
    find(&mut world, 1).public = vec![(ip("10.0.1.10"), ip("203.0.113.10"))];
    let declared = net::Fabric { public_pool: cidr("203.0.113.0/24"), vpcs: vec![world] };
    lab.runtime.block_on(net::Net::apply(&other, declared)).unwrap();
    serve(&net::Net::eni_namespace(&other, &eni(1)), Ipv4Addr::UNSPECIFIED, 80);
    assert_eq!(lab.reaches(1, "203.0.113.10", 80), ip("203.0.113.1"));
    let forwarding =
        || net::in_namespace(&host(), || std::fs::read_to_string("/proc/sys/net/ipv4/ip_forward"));
    assert_eq!(forwarding().unwrap().trim(), "1");
    lab.restart();
    lab.runtime.block_on(net::Net::destroy(&lab.net)).unwrap();
    assert_eq!(forwarding().unwrap().trim(), "0");
    lab.runtime.block_on(net::Net::destroy(&other)).unwrap();
}

#[test]
fn the_router_answers_its_services_and_nothing_else() {
    let lab = Lab::new();
    // Two VPCs with the same addresses each have their own.
    let closed = |number, interface_number| {
        let mut vpc = vpc(number, "10.0.0.0/16");
        subnet(&mut vpc, 1, "10.0.1.0/24", 2);
        group(&mut vpc, 1, Vec::new(), Vec::new());
        interface(&mut vpc, interface_number, 1, "10.0.1.10", 1);
        let address = ip("169.254.170.2");
        vpc.service_addresses = vec![ServiceAddress { address, tcp_ports: vec![8443] }];
        vpc
    };
    lab.apply(&fabric(&[&closed(1, 1), &closed(2, 2)]));
    for port in [53, 80, 8443, 9000] {
        serve(&lab.router(1), Ipv4Addr::UNSPECIFIED, port);
    }
    let open = [
        ("169.254.169.254", 80),
        ("169.254.169.253", 53),
        ("10.0.0.2", 53),
        ("169.254.170.2", 8443),
    ];
    for (address, port) in open {
        assert_eq!(lab.reaches(1, address, port), ip("10.0.1.10"));
    }
    for (address, port) in [
        ("169.254.169.254", 53),
        ("10.0.0.2", 80),
        ("10.0.1.1", 53),
        ("10.0.1.1", 80),
        ("169.254.170.2", 80),
        ("169.254.169.254", 9000),
    ] {
        lab.is_cut(1, address, port);
    }
    assert!(pings(&lab.eni(1), "10.0.1.1"));
    // The other VPC's router has no such sockets.
    lab.is_cut(2, "169.254.169.254", 80);
    serve(&lab.router(2), ip("169.254.169.254"), 80);
    assert_eq!(lab.reaches(2, "169.254.169.254", 80), ip("10.0.1.10"));
    let time = net::udp_bind(&lab.router(1), "169.254.169.123:123".parse().unwrap()).unwrap();
    net::in_namespace(&lab.eni(1), || {
        std::net::UdpSocket::bind("0.0.0.0:0")?.send_to(b"t", "169.254.169.123:123")
    })
    .unwrap();
    time.set_nonblocking(false).unwrap();
    time.set_read_timeout(Some(std::time::Duration::from_secs(5))).unwrap();
    assert_eq!(time.recv_from(&mut [0; 4]).unwrap().1.ip().to_string(), "10.0.1.10");
}

#[test]
fn a_route_may_lead_to_an_interface_that_forwards() {
    let lab = Lab::new();
    let mut vpc = vpc(1, "10.0.0.0/16");
    subnet(&mut vpc, 1, "10.0.1.0/24", 1);
    subnet(&mut vpc, 2, "10.0.2.0/24", 2);
    open_group(&mut vpc, 1);
    interface(&mut vpc, 1, 1, "10.0.1.10", 1);
    interface(&mut vpc, 2, 2, "10.0.2.20", 1);
    let destination = cidr("192.0.2.0/24");
    let target = Target::Interface(eni(2));
    vpc.route_tables[0].routes.push(Route { destination, target });
    lab.apply(&fabric(&[&vpc]));
    // The workload behind the interface takes the routed block as its own.
    ip_command(&lab.eni(2), &["route", "add", "local", "192.0.2.0/24", "dev", "lo"]);
    lab.serve(2, 80);
    lab.is_cut(1, "192.0.2.7", 80);
    find(&mut vpc, 2).source_dest_check = false;
    lab.apply(&fabric(&[&vpc]));
    lab.reaches(1, "192.0.2.7", 80);
    // Another subnet's table knows nothing of it, and a target that is gone is a black hole.
    vpc.interfaces.retain(|own| own.id != eni(2));
    lab.apply(&fabric(&[&vpc]));
    lab.is_cut(1, "192.0.2.7", 80);
}

#[test]
fn a_flow_to_a_public_address_follows_it_to_its_new_holder() {
    let lab = Lab::new();
    let mut vpc = public_server();
    interface(&mut vpc, 2, 1, "10.0.1.20", 1);
    lab.apply(&fabric(&[&vpc]));
    let client = net::udp_bind(&host(), "0.0.0.0:5000".parse().unwrap()).unwrap();
    let receive = |number| {
        let server = net::udp_bind(&lab.eni(number), "0.0.0.0:53".parse().unwrap()).unwrap();
        server.set_nonblocking(false).unwrap();
        server.set_read_timeout(Some(std::time::Duration::from_secs(5))).unwrap();
        server
    };
    let (first, second) = (receive(1), receive(2));
    client.send_to(b"1", "198.18.0.10:53").unwrap();
    assert_eq!(first.recv_from(&mut [0; 4]).unwrap().1.port(), 5000);
    find(&mut vpc, 1).public.clear();
    find(&mut vpc, 2).public.push((ip("10.0.1.20"), ip("198.18.0.10")));
    lab.apply(&fabric(&[&vpc]));
    client.send_to(b"2", "198.18.0.10:53").unwrap();
    assert_eq!(second.recv_from(&mut [0; 4]).unwrap().1.port(), 5000);
}

#[test]
fn large_transfers_pass_the_smaller_frames_of_the_internet_gateway() {
    let lab = Lab::new();
    let mut first = public_server();
    subnet(&mut first, 2, "10.0.2.0/24", 2);
    interface(&mut first, 2, 2, "10.0.2.20", 1);
    nat(&mut first, 9, 1, "10.0.1.9", "198.18.0.9");
    let target = Target::NatGateway(id("nat", 9));
    first.route_tables[1].routes.push(Route { destination: Cidr::ALL, target });
    let mut second = vpc(2, "10.0.0.0/16");
    subnet(&mut second, 3, "10.0.1.0/24", 1);
    open_group(&mut second, 2);
    interface(&mut second, 3, 3, "10.0.1.10", 2);
    find(&mut second, 3).public.push((ip("10.0.1.10"), ip("198.18.0.30")));
    lab.apply(&fabric(&[&first, &second]));
    lab.serve(3, 80);
    lab.serve(1, 80);
    let patience = std::time::Duration::from_secs(10);
    let ways = [(lab.eni(2), "198.18.0.30"), (lab.eni(1), "198.18.0.30"), (host(), "198.18.0.10")];
    for (from, to) in ways {
        let mut flow = Flow::open(&from, to, 80, patience).unwrap();
        assert!(flow.echoes_much(), "{to} from {from:?}");
    }
}

#[test]
fn workloads_may_ping_and_serve_low_ports_without_privilege() {
    let lab = Lab::new();
    lab.apply(&fabric(&[&public_server()]));
    let read = |name: &str| {
        let path = format!("/proc/sys/net/ipv4/{name}");
        net::in_namespace(&lab.eni(1), move || std::fs::read_to_string(path)).unwrap()
    };
    assert_eq!(read("ip_unprivileged_port_start").trim(), "0");
    assert_eq!(read("ping_group_range").split_whitespace().last(), Some("2147483647"));
}
