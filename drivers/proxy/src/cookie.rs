//! Stickiness cookies: what they hold, how they are made, how they are read.
//!
//! A cookie holds the masked hash of its target (or target group), the second it ends, and a seal
//! over both. So it tells a client nothing, can't be made up, and every node of the load
//! balancer reads it alike, also after a restart.

use aws_lc_rs::{constant_time, digest, hmac};
use base::Timestamp;
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use http::header::{COOKIE, SET_COOKIE};
use http::{HeaderMap, HeaderValue};

use crate::target::Tag;

/// The cookie that names a target.
pub(crate) const TARGET: &str = "AWSALB";
/// The cookie that names a target as long as the application's own cookie lasts.
pub(crate) const APP_TARGET: &str = "AWSALBAPP-0";
/// The cookie that names a target group of a weighted forward action.
pub(crate) const GROUP: &str = "AWSALBTG";

const SEAL_BYTES: usize = 8;
const END_BYTES: usize = 8;

/// Makes and reads cookies.
#[derive(Debug)]
pub(crate) struct Seal(hmac::Key);

impl Seal {
    pub(crate) fn new(secret: &str) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes()))
    }

    /// The value of a cookie that names `tag` until `end` (seconds since 1970).
    pub(crate) fn write(&self, cookie: &str, tag: &Tag, end: u64) -> String {
        let end = end.to_be_bytes();
        let mut bytes = self.mask(cookie, end, tag).to_vec();
        bytes.extend_from_slice(&end);
        bytes.extend_from_slice(&self.seal(cookie, &bytes));
        BASE64.encode(bytes)
    }

    /// What a request's cookie names, if the cookie is ours and has not ended.
    pub(crate) fn read(&self, headers: &HeaderMap, cookie: &str, now: u64) -> Option<Tag> {
        let bytes = BASE64.decode(value(headers, cookie)?).ok()?;
        let (named, seal) = bytes.split_at_checked(size_of::<Tag>() + END_BYTES)?;
        let (masked, end) = named.split_at_checked(size_of::<Tag>())?;
        let end: [u8; END_BYTES] = end.try_into().ok()?;
        constant_time::verify_slices_are_equal(&self.seal(cookie, named), seal).ok()?;
        let masked = masked.try_into().ok()?;
        (u64::from_be_bytes(end) >= now).then(|| self.mask(cookie, end, &masked))
    }

    /// Hides a tag, or shows a hidden one.
    fn mask(&self, cookie: &str, end: [u8; END_BYTES], tag: &Tag) -> Tag {
        let mut hash = hmac::Context::with_key(&self.0);
        hash.update(b"mask");
        hash.update(cookie.as_bytes());
        hash.update(&end);
        let mut mask: Tag = first_bytes(hash.sign().as_ref());
        mask.iter_mut().zip(tag).for_each(|(mask, byte)| *mask ^= byte);
        mask
    }

    fn seal(&self, cookie: &str, bytes: &[u8]) -> [u8; SEAL_BYTES] {
        let mut hash = hmac::Context::with_key(&self.0);
        hash.update(cookie.as_bytes());
        hash.update(bytes);
        first_bytes(hash.sign().as_ref())
    }
}

/// The name of something in cookies.
pub(crate) fn tag(parts: &[&str]) -> Tag {
    let mut hash = digest::Context::new(&digest::SHA256);
    for part in parts {
        hash.update(&part.len().to_be_bytes());
        hash.update(part.as_bytes());
    }
    first_bytes(hash.finish().as_ref())
}

fn first_bytes<const N: usize>(from: &[u8]) -> [u8; N] {
    from.first_chunk().copied().unwrap_or([0; N])
}

/// The value of a request's cookie.
pub(crate) fn value<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let lines = headers.get_all(COOKIE).into_iter().filter_map(|line| line.to_str().ok());
    let mut pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.split_once('='));
    pairs.find(|(key, _)| key.trim() == name).map(|(_, value)| value.trim())
}

/// Whether an answer sets the cookie `name`.
pub(crate) fn is_set(headers: &HeaderMap, name: &str) -> bool {
    let lines = headers.get_all(SET_COOKIE).into_iter().filter_map(|line| line.to_str().ok());
    lines.filter_map(|line| line.split_once('=')).any(|(key, _)| key.trim() == name)
}

/// Puts a cookie into an answer, and its twin for requests that come from other sites' pages.
pub(crate) fn set(headers: &mut HeaderMap, name: &str, value: &str, end: u64) {
    let expires = Timestamp::from_secs(i64::try_from(end).unwrap_or(i64::MAX)).http_date();
    let twin = match name {
        TARGET => Some("AWSALBCORS"),
        GROUP => Some("AWSALBTGCORS"),
        _ => None,
    };
    let mut add = |text: String| {
        if let Ok(text) = HeaderValue::try_from(text) {
            headers.append(SET_COOKIE, text);
        }
    };
    add(format!("{name}={value}; Expires={expires}; Path=/"));
    if let Some(twin) = twin {
        add(format!("{twin}={value}; Expires={expires}; Path=/; SameSite=None"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(cookie: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(COOKIE, HeaderValue::from_str(cookie).unwrap());
        headers
    }

    #[test]
    fn a_cookie_names_its_target_until_it_ends() {
        let seal = Seal::new("secret");
        let tag = tag(&["group", "i-1"]);
        let value = seal.write(TARGET, &tag, 100);
        let headers = request(&format!("a=b; AWSALB={value}; c=d"));
        assert_eq!(seal.read(&headers, TARGET, 100), Some(tag));
        assert_eq!(seal.read(&headers, TARGET, 101), None);
        assert_eq!(seal.read(&headers, GROUP, 100), None);
        assert_eq!(Seal::new("other").read(&headers, TARGET, 100), None);
        assert_eq!(seal.read(&request("AWSALB=bm9uc2Vuc2U="), TARGET, 0), None);
        assert_eq!(seal.read(&request("AWSALB=%%%"), TARGET, 0), None);
    }
}
