//! Kinds of traffic as rules and entries name them: protocols, ports, ICMP types. Pure.

use crate::error::{Error, Result};

use super::store::Traffic;

/// All protocols.
pub(crate) const ALL: i16 = -1;
const ICMP: i16 = 1;
const TCP: i16 = 6;
const UDP: i16 = 17;
const ICMP_V6: i16 = 58;

/// The number of the protocol `text`, by name or number.
pub(crate) fn protocol_from(text: &str) -> Option<i16> {
    match text.to_ascii_lowercase().as_str() {
        "-1" | "all" => Some(ALL),
        "icmp" => Some(ICMP),
        "tcp" => Some(TCP),
        "udp" => Some(UDP),
        "icmpv6" => Some(ICMP_V6),
        number => number.parse::<u8>().ok().map(i16::from),
    }
}

/// The protocol as security groups answer it: four have names.
pub(crate) fn protocol_name(protocol: i16) -> String {
    match protocol {
        ICMP => "icmp".to_owned(),
        TCP => "tcp".to_owned(),
        UDP => "udp".to_owned(),
        ICMP_V6 => "icmpv6".to_owned(),
        other => other.to_string(),
    }
}

/// Traffic as a security group's rule names it.
///
/// AWS: IpPermission.
pub(crate) fn group_traffic(protocol: &str, from: Option<i32>, to: Option<i32>) -> Result<Traffic> {
    let number = protocol_from(protocol).ok_or_else(|| {
        Error::value(format!("Invalid value '{protocol}' for IP protocol. Unknown protocol."))
    })?;
    match number {
        TCP | UDP => {
            let range = from.zip(to).ok_or_else(|| {
                Error::InvalidParameterValue(format!(
                    "Invalid value 'Must specify both from and to ports with {}.' for portRange.",
                    if number == TCP { "TCP/UDP" } else { "UDP/TCP" }
                ))
            })?;
            ports_from(range.0, range.1)?;
            Ok(Traffic { protocol: number, from, to })
        }
        ICMP | ICMP_V6 => {
            let (kind, code) = (from.unwrap_or(-1), to.unwrap_or(-1));
            icmp_from(kind, code)?;
            Ok(Traffic { protocol: number, from: Some(kind), to: Some(code) })
        }
        // AWS keeps no ports of protocols that have none.
        other => Ok(Traffic { protocol: other, from: None, to: None }),
    }
}

/// Checks a range of ports.
pub(crate) fn ports_from(from: i32, to: i32) -> Result<(u16, u16)> {
    let port = |value: i32| {
        u16::try_from(value).map_err(|_| {
            Error::value(format!("Invalid value '{value}' for portRange. Must be 0 to 65535."))
        })
    };
    let (first, last) = (port(from)?, port(to)?);
    if first > last {
        return Err(Error::value(format!("Invalid TCP/UDP port range ({first}:{last})")));
    }
    Ok((first, last))
}

/// Checks an ICMP type and code, of which `-1` is any.
pub(crate) fn icmp_from(kind: i32, code: i32) -> Result<(Option<u8>, Option<u8>)> {
    let part = |value: i32| match value {
        -1 => Ok(None),
        value => u8::try_from(value).map(Some).map_err(|_| {
            Error::value(format!("ICMP type and code must be -1 to 255, not {value}"))
        }),
    };
    let (kind, code) = (part(kind)?, part(code)?);
    if kind.is_none() && code.is_some() {
        return Err(Error::value("ICMP code (port end) should be -1 when the ICMP type is -1"));
    }
    Ok((kind, code))
}

/// The same traffic as the fabric knows it; none for traffic that IPv4 does not have.
pub(crate) fn compiled(traffic: &Traffic) -> Option<net::Protocol> {
    let ports = || {
        let port =
            |value: Option<i32>, other| value.and_then(|v| u16::try_from(v).ok()).unwrap_or(other);
        (port(traffic.from, 0), port(traffic.to, u16::MAX))
    };
    let part = |value: Option<i32>| value.and_then(|v| u8::try_from(v).ok());
    match traffic.protocol {
        ALL => Some(net::Protocol::All),
        TCP => {
            let (from, to) = ports();
            Some(net::Protocol::Tcp { from, to })
        }
        UDP => {
            let (from, to) = ports();
            Some(net::Protocol::Udp { from, to })
        }
        ICMP => {
            let icmp_type = part(traffic.from);
            let code = icmp_type.and(part(traffic.to));
            Some(net::Protocol::Icmp { icmp_type, code })
        }
        ICMP_V6 => None,
        other => u8::try_from(other).ok().map(net::Protocol::Other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn group_traffic_follows_ip_permission() {
        let check = |protocol: &str, from, to, want: Option<(i16, Option<i32>, Option<i32>)>| {
            let got = group_traffic(protocol, from, to).ok();
            let got = got.map(|traffic| (traffic.protocol, traffic.from, traffic.to));
            assert_eq!(got, want, "{protocol} {from:?} {to:?}");
        };
        check("tcp", Some(80), Some(80), Some((6, Some(80), Some(80))));
        check("6", Some(0), Some(65535), Some((6, Some(0), Some(65535))));
        check("tcp", Some(81), Some(80), None);
        check("tcp", None, None, None);
        check("udp", Some(-1), Some(5), None);
        check("-1", Some(1), Some(2), Some((-1, None, None)));
        check("icmp", Some(8), Some(-1), Some((1, Some(8), Some(-1))));
        check("icmp", Some(-1), Some(3), None);
        check("47", None, None, Some((47, None, None)));
        check("256", None, None, None);
        check("carrier-pigeon", None, None, None);
    }
}
