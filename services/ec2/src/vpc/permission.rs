//! Permissions as clients write them, one or many peers each, and rules as they are kept, one
//! peer each.

use ec2_api::{IpPermission, IpRange, Ipv6Range, PrefixListId, UserIdGroupPair};
use store::ReadTx;

use super::security_group;
use super::store::{GroupPeer, GroupRule, SecurityGroup, Traffic};
use super::traffic;
use crate::error::{Error, Result};
use crate::maker::Maker;
use crate::region;

/// A rule that is wanted but has no id yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub(crate) traffic: Traffic,
    pub(crate) peer: GroupPeer,
    pub(crate) description: Option<String>,
}

impl Wanted {
    /// Whether `rule` allows the same.
    pub(crate) fn is(&self, rule: &GroupRule) -> bool {
        rule.traffic == self.traffic && rule.peer == self.peer
    }

    /// As AWS's errors tell it.
    pub(crate) fn told(&self) -> String {
        let peer = match &self.peer {
            GroupPeer::V4(cidr) => cidr.to_string(),
            GroupPeer::V6(cidr) | GroupPeer::PrefixList(cidr) => cidr.clone(),
            GroupPeer::Group(id) => id.to_string(),
        };
        match (self.traffic.protocol, self.traffic.from.zip(self.traffic.to)) {
            (traffic::ALL, _) => format!("peer: {peer}, ALL, ALLOW"),
            (protocol, Some((from, to))) => format!(
                "peer: {peer}, {}, from port: {from}, to port: {to}, ALLOW",
                traffic::protocol_name(protocol).to_uppercase()
            ),
            (protocol, None) => format!("peer: {peer}, {protocol}, ALLOW"),
        }
    }
}

/// The rules that `permissions` of `group` ask for.
pub(crate) fn wanted(
    tx: &ReadTx<'_>,
    maker: Maker<'_>,
    group: &SecurityGroup,
    permissions: &[IpPermission],
) -> Result<Vec<Wanted>> {
    let mut rules: Vec<Wanted> = Vec::new();
    for permission in permissions {
        let protocol =
            permission.ip_protocol.as_deref().ok_or_else(|| Error::missing("ipProtocol"))?;
        let traffic = traffic::group_traffic(protocol, permission.from_port, permission.to_port)?;
        let peers = peers_of(tx, maker, group, permission)?;
        if peers.is_empty() {
            return Err(Error::missing("source or destination"));
        }
        for (peer, description) in peers {
            let rule = Wanted { traffic: traffic.clone(), peer, description };
            let twice = |other: &Wanted| other.traffic == rule.traffic && other.peer == rule.peer;
            if rules.iter().any(twice) {
                return Err(Error::value("The same permission must not appear multiple times"));
            }
            rules.push(rule);
        }
    }
    Ok(rules)
}

fn peers_of(
    tx: &ReadTx<'_>,
    maker: Maker<'_>,
    group: &SecurityGroup,
    permission: &IpPermission,
) -> Result<Vec<(GroupPeer, Option<String>)>> {
    let mut peers = Vec::new();
    for range in &permission.ip_ranges {
        let text = range.cidr_ip.as_deref().ok_or_else(|| Error::missing("cidrIp"))?;
        peers.push((v4_from(text)?, described(range.description.as_ref())?));
    }
    for range in &permission.ipv6_ranges {
        let text = range.cidr_ipv6.as_deref().ok_or_else(|| Error::missing("cidrIpv6"))?;
        peers.push((v6_from(text)?, described(range.description.as_ref())?));
    }
    for list in &permission.prefix_list_ids {
        let id = list.prefix_list_id.as_deref().ok_or_else(|| Error::missing("prefixListId"))?;
        peers.push((prefix_list_from(maker, id)?, described(list.description.as_ref())?));
    }
    for pair in &permission.user_id_group_pairs {
        let peer = pair_from(tx, maker, group, pair)?;
        peers.push((peer, described(pair.description.as_ref())?));
    }
    Ok(peers)
}

/// A block of addresses as a peer. AWS refuses blocks with host bits.
pub(crate) fn v4_from(text: &str) -> Result<GroupPeer> {
    let malformed = || Error::value(format!("CIDR block {text} is malformed"));
    // A bare address stands for itself.
    let full = if text.contains('/') { text.to_owned() } else { format!("{text}/32") };
    let cidr: base::Cidr = full.parse().map_err(|_| malformed())?;
    if cidr.to_string() != full {
        return Err(malformed());
    }
    Ok(GroupPeer::V4(cidr))
}

/// An IPv6 block as a peer.
pub(crate) fn v6_from(text: &str) -> Result<GroupPeer> {
    let (address, prefix) = text.split_once('/').unwrap_or((text, "128"));
    let address = address.parse::<std::net::Ipv6Addr>().ok();
    let prefix = prefix.parse::<u8>().ok().filter(|prefix| *prefix <= 128);
    match address.zip(prefix) {
        Some((address, prefix)) => Ok(GroupPeer::V6(format!("{address}/{prefix}"))),
        None => Err(Error::value(format!("CIDR block {text} is malformed"))),
    }
}

/// A prefix list as a peer.
pub(crate) fn prefix_list_from(maker: Maker<'_>, id: &str) -> Result<GroupPeer> {
    if region::prefix_list(maker.region).0 != id {
        return Err(Error::PrefixListNotFound(id.to_owned()));
    }
    Ok(GroupPeer::PrefixList(id.to_owned()))
}

fn pair_from(
    tx: &ReadTx<'_>,
    maker: Maker<'_>,
    group: &SecurityGroup,
    pair: &UserIdGroupPair,
) -> Result<GroupPeer> {
    if pair.vpc_peering_connection_id.is_some() {
        return Err(Error::Unsupported(
            "VPC peering connections are not supported by this region".to_owned(),
        ));
    }
    let foreign = pair.user_id.as_ref().is_some_and(|user| user != maker.account.as_str());
    let named = pair.group_id.as_ref().or(pair.group_name.as_ref());
    if foreign {
        return Err(Error::GroupNotFound(named.cloned().unwrap_or_default()));
    }
    let peer = match (&pair.group_id, &pair.group_name) {
        (Some(id), _) => security_group::get(tx, id)?,
        (None, Some(name)) => security_group::by_name(tx, &group.vpc, name)?,
        (None, None) => return Err(Error::missing("groupId")),
    };
    if peer.vpc != group.vpc {
        return Err(Error::GroupOfOtherNetwork);
    }
    Ok(GroupPeer::Group(peer.id))
}

/// Checks a rule's description.
///
/// AWS: IpRange.
pub(crate) fn described(description: Option<&String>) -> Result<Option<String>> {
    let Some(text) = description else { return Ok(None) };
    let known = |c: char| c.is_ascii_alphanumeric() || " ._-:/()#,@[]+=&;{}!$*".contains(c);
    if text.chars().count() > 255 || !text.chars().all(known) {
        return Err(Error::value(format!(
            "Invalid rule description. Valid descriptions are strings less than 256 characters \
             from the following set: a-zA-Z0-9. _-:/()#,@[]+=&;{{}}!$* ({text})"
        )));
    }
    Ok((!text.is_empty()).then(|| text.clone()))
}

/// Rules as permissions, those of the same traffic together.
pub(crate) fn grouped<'a>(
    rules: impl Iterator<Item = &'a GroupRule>,
    account: &str,
) -> Vec<IpPermission> {
    let mut grouped: Vec<(Traffic, IpPermission)> = Vec::new();
    for rule in rules {
        let at = grouped.iter().position(|(traffic, _)| *traffic == rule.traffic);
        let at = at.unwrap_or_else(|| {
            let permission = IpPermission {
                ip_protocol: Some(traffic::protocol_name(rule.traffic.protocol)),
                from_port: rule.traffic.from,
                to_port: rule.traffic.to,
                ..IpPermission::default()
            };
            grouped.push((rule.traffic.clone(), permission));
            grouped.len() - 1
        });
        if let Some((_, permission)) = grouped.get_mut(at) {
            add_peer(permission, rule, account);
        }
    }
    grouped.into_iter().map(|(_, permission)| permission).collect()
}

fn add_peer(permission: &mut IpPermission, rule: &GroupRule, account: &str) {
    let description = rule.description.clone();
    match &rule.peer {
        GroupPeer::V4(cidr) => {
            permission.ip_ranges.push(IpRange { cidr_ip: Some(cidr.to_string()), description })
        }
        GroupPeer::V6(cidr) => {
            permission.ipv6_ranges.push(Ipv6Range { cidr_ipv6: Some(cidr.clone()), description })
        }
        GroupPeer::PrefixList(id) => permission
            .prefix_list_ids
            .push(PrefixListId { prefix_list_id: Some(id.clone()), description }),
        GroupPeer::Group(id) => permission.user_id_group_pairs.push(UserIdGroupPair {
            group_id: Some(id.to_string()),
            user_id: Some(account.to_owned()),
            description,
            ..UserIdGroupPair::default()
        }),
    }
}
