//! The typed values that conditions compare: numbers, dates, address blocks.

use std::net::IpAddr;

use base::Timestamp;

/// Reads a decimal number.
pub(crate) fn number(text: &str) -> Option<f64> {
    let plain = text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E'));
    let value: f64 = plain.then(|| text.parse().ok())??;
    value.is_finite().then_some(value)
}

/// Reads a date in a form of ISO 8601 that W3C names (year, month, day, minute, second, fraction)
/// or in epoch seconds. Four digits are a year.
pub(crate) fn date(text: &str) -> Option<Timestamp> {
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    match *text.split('-').collect::<Vec<_>>() {
        [year] if year.len() == 4 && digits(year) => format!("{year}-01-01").parse().ok(),
        [year, month] if year.len() == 4 && digits(year) && month.len() == 2 => {
            format!("{year}-{month}-01").parse().ok()
        }
        _ => text.parse().ok(),
    }
}

/// An IPv4 or IPv6 block.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Block {
    address: u128,
    mask: u128,
    v6: bool,
}

impl Block {
    /// Reads an address or a block; without a prefix it is one address.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => {
                let plain = !prefix.is_empty() && prefix.bytes().all(|b| b.is_ascii_digit());
                (address, Some(plain.then(|| prefix.parse::<u32>().ok())??))
            }
            None => (text, None),
        };
        let address: IpAddr = address.parse().ok()?;
        let (value, width) = bits(address);
        let prefix = prefix.unwrap_or(width);
        if prefix > width {
            return None;
        }
        let mask = u128::MAX.checked_shl(width - prefix).unwrap_or(0);
        Some(Self { address: value & mask, mask, v6: width == 128 })
    }

    /// Whether `address` lies in the block.
    pub(crate) fn contains(&self, address: IpAddr) -> bool {
        let (value, width) = bits(address);
        self.v6 == (width == 128) && value & self.mask == self.address
    }
}

fn bits(address: IpAddr) -> (u128, u32) {
    match address {
        IpAddr::V4(address) => (u128::from(u32::from(address)), 32),
        IpAddr::V6(address) => (u128::from(address), 128),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_hold_what_they_say() {
        for (block, address, want) in [
            ("203.0.113.0/24", "203.0.113.9", true),
            ("203.0.113.0/24", "203.0.114.9", false),
            ("203.0.113.9", "203.0.113.9", true),
            ("203.0.113.9", "203.0.113.8", false),
            ("0.0.0.0/0", "1.2.3.4", true),
            ("0.0.0.0/0", "::1", false),
            ("::/0", "2001:db8::1", true),
            ("::/0", "1.2.3.4", false),
            ("2001:DB8:1234:5678::/64", "2001:db8:1234:5678::1", true),
            ("2001:DB8:1234:5678::/64", "2001:db8:1234:5679::1", false),
            ("203.0.113.77/24", "203.0.113.1", true),
        ] {
            let held = Block::parse(block).unwrap().contains(address.parse().unwrap());
            assert_eq!(held, want, "{block} {address}");
        }
        for bad in ["", "10.0.0.0/33", "10.0.0/8", "::/129", "10.0.0.0/", "10.0.0.0/+8", "x"] {
            assert_eq!(Block::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn dates_have_many_forms() {
        for (text, secs) in [
            ("2020-04-01T00:00:00Z", 1_585_699_200),
            ("2020-04-01", 1_585_699_200),
            ("2020-04", 1_585_699_200),
            ("2020", 1_577_836_800),
            ("2020-04-01T00:00Z", 1_585_699_200),
            ("2020-04-01T09:00:00+09:00", 1_585_699_200),
            ("2020-04-01T00:00:00.999Z", 1_585_699_200),
            ("1585699200", 1_585_699_200),
        ] {
            assert_eq!(date(text).map(Timestamp::as_secs), Some(secs), "{text}");
        }
        for bad in ["", "soon", "2020-13-01", "2020-04-01T25:00:00Z"] {
            assert_eq!(date(bad), None, "{bad}");
        }
    }

    #[test]
    fn numbers_are_decimal() {
        assert_eq!(number("10"), Some(10.0));
        assert_eq!(number("-1.5e2"), Some(-150.0));
        for bad in ["", "ten", "NaN", "inf", "1e999", "0x10", " 1"] {
            assert_eq!(number(bad), None, "{bad}");
        }
    }
}
