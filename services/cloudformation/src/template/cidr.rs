//! `Fn::Cidr`: address blocks cut out of a larger one.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::{Result, TemplateError};

/// The most blocks that one call may ask for.
const COUNT_MAX: u128 = 256;

/// The first `count` blocks with `bits` host bits of the block `text`, IPv4 or IPv6.
///
/// AWS: "Fn::Cidr" (`cidrBits` is the inverse of the prefix: 8 makes /24 blocks in IPv4).
pub(super) fn blocks(text: &str, count: u128, bits: Option<u32>) -> Result<Vec<String>> {
    let malformed = || TemplateError::function(format!("Fn::Cidr: {text} is not a CIDR block"));
    let (address, prefix) = text.split_once('/').ok_or_else(malformed)?;
    let prefix: u32 = prefix.parse().map_err(|_| malformed())?;
    if let Ok(v4) = address.parse::<Ipv4Addr>() {
        let bits = bits.unwrap_or(8);
        let first = u128::from(u32::from(v4));
        let show = |at: u128| u32::try_from(at).map(Ipv4Addr::from).map(|a| a.to_string()).ok();
        return cut(text, first, prefix, 32, bits, count, &show);
    }
    let v6: Ipv6Addr = address.parse().map_err(|_| malformed())?;
    let bits = bits.unwrap_or(64);
    cut(text, u128::from(v6), prefix, 128, bits, count, &|at| Some(Ipv6Addr::from(at).to_string()))
}

fn cut(
    text: &str,
    first: u128,
    prefix: u32,
    width: u32,
    bits: u32,
    count: u128,
    show: &dyn Fn(u128) -> Option<String>,
) -> Result<Vec<String>> {
    let misfit = || {
        TemplateError::function(format!(
            "Fn::Cidr: {text} cannot be cut into {count} blocks of {bits} host bits"
        ))
    };
    if prefix > width || bits > width || !(1..=COUNT_MAX).contains(&count) {
        return Err(misfit());
    }
    let host_bits = width - prefix;
    // How many blocks fit; more than 2^127 is as good as 2^127.
    let room = host_bits.checked_sub(bits).map(|bits| 1_u128 << bits.min(127));
    if room.is_none_or(|room| count > room) {
        return Err(misfit());
    }
    let start = first.checked_shr(host_bits).unwrap_or(0).checked_shl(host_bits).unwrap_or(0);
    let block = |index: u128| {
        let offset = index.checked_shl(bits).unwrap_or(0);
        start.checked_add(offset).and_then(show).map(|at| format!("{at}/{}", width - bits))
    };
    (0..count).map(|index| block(index).ok_or_else(misfit)).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn blocks_are_cut_from_the_front() {
        let found = blocks("10.0.0.0/16", 3, Some(8)).unwrap();
        assert_eq!(found, ["10.0.0.0/24", "10.0.1.0/24", "10.0.2.0/24"]);
        assert_eq!(blocks("192.168.0.0/24", 6, Some(5)).unwrap()[5], "192.168.0.160/27");
        assert_eq!(
            blocks("2001:db8::/56", 2, Some(64)).unwrap(),
            ["2001:db8::/64", "2001:db8:0:1::/64"]
        );
        assert_eq!(blocks("10.0.0.0/24", 1, Some(8)).unwrap(), ["10.0.0.0/24"]);
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        for (text, count, bits) in [
            ("10.0.0.0/24", 2, 8),
            ("10.0.0.0/16", 257, 4),
            ("10.0.0.0/16", 0, 4),
            ("10.0.0.0/33", 1, 4),
            ("10.0.0.0", 1, 4),
            ("x/8", 1, 4),
            ("10.0.0.0/8", 1, 40),
        ] {
            assert!(blocks(text, count, Some(bits)).is_err(), "{text} {count} {bits}");
        }
    }

    proptest! {
        #[test]
        fn blocks_lie_inside_and_never_overlap(
            address: u32, prefix in 0_u32..=32, bits in 0_u32..=32, count in 1_u128..=256,
        ) {
            let whole = format!("{}/{prefix}", Ipv4Addr::from(address));
            if let Ok(found) = blocks(&whole, count, Some(bits)) {
                let whole: base::Cidr = whole.parse().unwrap();
                let cut: Vec<base::Cidr> = found.iter().map(|b| b.parse().unwrap()).collect();
                prop_assert!(cut.iter().all(|block| whole.contains_block(block)));
                prop_assert!(cut.windows(2).all(|two| !two[0].overlaps(&two[1])));
            }
        }
    }
}
