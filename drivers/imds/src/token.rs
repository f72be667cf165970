//! Session tokens: the second that they end, sealed for one instance at one address.

use std::net::IpAddr;

use aws_lc_rs::{constant_time, hmac};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE as BASE64;

const VERSION: u8 = 1;
const END_BYTES: usize = 8;
const SEAL_BYTES: usize = 32;

/// Gives and takes tokens.
#[derive(Debug)]
pub(crate) struct Tokens(hmac::Key);

impl Tokens {
    pub(crate) fn new(secret: &str) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes()))
    }

    /// A token that holds until `end` (seconds since 1970).
    pub(crate) fn give(&self, instance: &str, source: IpAddr, end: u64) -> String {
        let mut bytes = vec![VERSION];
        bytes.extend_from_slice(&end.to_be_bytes());
        bytes.extend_from_slice(self.seal(instance, source, end).as_ref());
        BASE64.encode(bytes)
    }

    /// How many seconds a token still holds; nothing if it does not.
    pub(crate) fn take(
        &self,
        token: &str,
        instance: &str,
        source: IpAddr,
        now: u64,
    ) -> Option<u64> {
        let bytes = BASE64.decode(token).ok()?;
        let (version, rest) = bytes.split_first()?;
        let (end, seal) = rest.split_at_checked(END_BYTES)?;
        if *version != VERSION || seal.len() != SEAL_BYTES {
            return None;
        }
        let end = u64::from_be_bytes(end.try_into().ok()?);
        let expected = self.seal(instance, source, end);
        constant_time::verify_slices_are_equal(expected.as_ref(), seal).ok()?;
        end.checked_sub(now).filter(|left| *left > 0)
    }

    fn seal(&self, instance: &str, source: IpAddr, end: u64) -> hmac::Tag {
        hmac::sign(&self.0, format!("imds\n{instance}\n{source}\n{end}").as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_for_one_instance_and_ends() {
        let tokens = Tokens::new("secret");
        let (here, there) = (IpAddr::from([10, 0, 1, 5]), IpAddr::from([10, 0, 1, 6]));
        let token = tokens.give("i-1", here, 100);
        assert_eq!(tokens.take(&token, "i-1", here, 40), Some(60));
        assert_eq!(tokens.take(&token, "i-1", here, 100), None);
        assert_eq!(tokens.take(&token, "i-2", here, 40), None);
        assert_eq!(tokens.take(&token, "i-1", there, 40), None);
        assert_eq!(Tokens::new("other").take(&token, "i-1", here, 40), None);
        for bad in ["", "x", "AQ==", &token[..20], &format!("{token}AAAA")] {
            assert_eq!(tokens.take(bad, "i-1", here, 40), None, "{bad}");
        }
    }
}
