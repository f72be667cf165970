//! Resource ids and the randomness they come from.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A source of random bytes; the server's is the operating system, a test's is seeded.
pub trait Random: Send + Sync + 'static {
    /// Fills `bytes`.
    fn fill(&self, bytes: &mut [u8]);

    /// A random number below `bound`, which must not be zero.
    fn below(&self, bound: u64) -> u64 {
        let mut bytes = [0; 8];
        self.fill(&mut bytes);
        u64::from_le_bytes(bytes) % bound
    }

    /// `length` random characters of `alphabet`, which must not be empty.
    fn text(&self, alphabet: &str, length: usize) -> String {
        let letters: Vec<char> = alphabet.chars().collect();
        let count = letters.len() as u64;
        let pick = |_| usize::try_from(self.below(count)).ok().and_then(|i| letters.get(i));
        (0..length).filter_map(pick).collect()
    }

    /// A random version 4 UUID in its usual form.
    fn uuid(&self) -> String {
        let mut bytes = [0; 16];
        self.fill(&mut bytes);
        let free = u128::from_be_bytes(bytes) & !(0xf << 76) & !(0x3 << 62);
        let bits = free | (0x4 << 76) | (0x2 << 62);
        let hex = format!("{bits:032x}");
        let part = |from: usize, to: usize| hex.get(from..to).unwrap_or_default();
        [part(0, 8), part(8, 12), part(12, 16), part(16, 20), part(20, 32)].join("-")
    }
}

/// An id of the form that EC2 gives its resources: a prefix and 17 hexadecimal digits, as
/// `i-0123456789abcdef0`.
///
/// AWS: "Resource IDs" (Amazon EC2 User Guide).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ResourceId(String);

impl ResourceId {
    /// A new id with `prefix` (without its dash).
    pub fn random(prefix: &str, random: &dyn Random) -> Self {
        Self(format!("{prefix}-0{}", random.text("0123456789abcdef", 16)))
    }

    /// The id in `text`, if it has `prefix` and 8 or 17 hexadecimal digits.
    pub fn parse(prefix: &str, text: &str) -> Option<Self> {
        let digits = text.strip_prefix(prefix)?.strip_prefix('-')?;
        let well_formed = matches!(digits.len(), 8 | 17)
            && digits.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        well_formed.then(|| Self(text.to_owned()))
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ResourceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A hardware address of a network interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct MacAddress(pub [u8; 6]);

impl MacAddress {
    /// A new locally administered unicast address (`02:…`).
    pub fn random(random: &dyn Random) -> Self {
        let mut bytes = [0; 6];
        random.fill(&mut bytes);
        let [_, b, c, d, e, f] = bytes;
        Self([0x02, b, c, d, e, f])
    }
}

impl fmt::Display for MacAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Fixed(u8);

    impl Random for Fixed {
        fn fill(&self, bytes: &mut [u8]) {
            bytes.fill(self.0);
        }
    }

    #[test]
    fn ids_have_aws_shape() {
        let id = ResourceId::random("vpc", &Fixed(3));
        assert_eq!(ResourceId::parse("vpc", id.as_str()), Some(id.clone()));
        assert_eq!(id.as_str().len(), "vpc-".len() + 17);
        assert_eq!(ResourceId::parse("subnet", id.as_str()), None);
        assert_eq!(ResourceId::parse("vpc", "vpc-XYZ"), None);
    }

    #[test]
    fn uuids_are_version_four() {
        assert_eq!(Fixed(0xff).uuid(), "ffffffff-ffff-4fff-bfff-ffffffffffff");
    }
}
