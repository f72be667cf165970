//! The canonical request and the string to sign.
//!
//! AWS: "Create a signed AWS API request", steps 1 to 3.

use std::borrow::Cow;

use http::HeaderMap;

use super::is_s3;
use super::key::sha256_hex;

/// What of a request is signed, as it came over the wire.
#[derive(Debug, Clone, Copy)]
pub struct Parts<'a> {
    /// The method.
    pub method: &'a str,
    /// The path as sent, still percent-encoded, without the query.
    pub path: &'a str,
    /// The query as sent, without the question mark; empty when there is none.
    pub query: &'a str,
    /// `:authority` of an HTTP/2 request, which then has no `host` header.
    pub authority: Option<&'a str>,
    /// The headers.
    pub headers: &'a HeaderMap,
}

impl<'a> Parts<'a> {
    /// The parts of an HTTP request's head.
    pub fn of(method: &'a http::Method, uri: &'a http::Uri, headers: &'a HeaderMap) -> Self {
        Self {
            method: method.as_str(),
            path: uri.path(),
            query: uri.query().unwrap_or_default(),
            authority: uri.authority().map(http::uri::Authority::as_str),
            headers,
        }
    }

    /// The value of a header that stands once in the request and is text.
    pub fn header(&self, name: &str) -> Option<&'a str> {
        let mut values = self.headers.get_all(name).iter();
        let first = values.next()?.to_str().ok()?;
        values.next().is_none().then_some(first)
    }

    /// The query's names and values, decoded, in their order.
    pub(crate) fn query_pairs(&self) -> impl Iterator<Item = (Cow<'a, [u8]>, Cow<'a, [u8]>)> {
        self.query.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decode(name, Plus::Space), decode(value, Plus::Space))
        })
    }

    /// The first value of a query parameter, if it is text.
    pub fn query_value(&self, name: &str) -> Option<String> {
        let (_, value) = self.query_pairs().find(|(key, _)| **key == *name.as_bytes())?;
        String::from_utf8(value.into_owned()).ok()
    }
}

/// The canonical request of `parts`.
pub(crate) fn canonical_request(
    parts: &Parts<'_>,
    service: &str,
    signed_headers: &[String],
    payload_hash: &str,
) -> Vec<u8> {
    let mut out = Vec::with_capacity(512);
    out.extend_from_slice(parts.method.as_bytes());
    out.push(b'\n');
    if is_s3(service) {
        encode_into(&mut out, &decode(parts.path, Plus::Plain), Slash::Kept);
        if parts.path.is_empty() {
            out.push(b'/');
        }
    } else {
        encode_into(&mut out, normalized(parts.path).as_bytes(), Slash::Kept);
    }
    out.push(b'\n');
    canonical_query(parts, &mut out);
    out.push(b'\n');
    for name in signed_headers {
        canonical_header(parts, name, &mut out);
    }
    out.push(b'\n');
    out.extend_from_slice(signed_headers.join(";").as_bytes());
    out.push(b'\n');
    out.extend_from_slice(payload_hash.as_bytes());
    out
}

/// The string to sign over a canonical request.
pub(crate) fn string_to_sign(
    algorithm: &str,
    amz_date: &str,
    scope: &str,
    canonical_request: &[u8],
) -> String {
    let hash = sha256_hex(canonical_request);
    format!("{algorithm}\n{amz_date}\n{scope}\n{hash}")
}

/// Names and values encoded anew and sorted; the signature itself is left out.
fn canonical_query(parts: &Parts<'_>, out: &mut Vec<u8>) {
    let mut pairs: Vec<(Vec<u8>, Vec<u8>)> = parts
        .query_pairs()
        .filter(|(name, _)| **name != *b"X-Amz-Signature")
        .map(|(name, value)| (encode(&name), encode(&value)))
        .collect();
    pairs.sort();
    for (at, (name, value)) in pairs.iter().enumerate() {
        if at > 0 {
            out.push(b'&');
        }
        out.extend_from_slice(name);
        out.push(b'=');
        out.extend_from_slice(value);
    }
}

/// `name:` and its values, trimmed, inner white space collapsed, several joined by commas.
fn canonical_header(parts: &Parts<'_>, name: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(name.as_bytes());
    out.push(b':');
    let mut found = false;
    for value in parts.headers.get_all(name) {
        if found {
            out.push(b',');
        }
        found = true;
        collapse_into(out, value.as_bytes());
    }
    if !found && name == "host" {
        out.extend_from_slice(parts.authority.unwrap_or_default().as_bytes());
    }
    out.push(b'\n');
}

fn collapse_into(out: &mut Vec<u8>, value: &[u8]) {
    let words = value.split(|byte| matches!(byte, b' ' | b'\t')).filter(|word| !word.is_empty());
    for (at, word) in words.enumerate() {
        if at > 0 {
            out.push(b' ');
        }
        out.extend_from_slice(word);
    }
}

/// The path without empty, `.` and `..` segments.
fn normalized(path: &str) -> String {
    let mut segments: Vec<&str> = Vec::new();
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." => {
                segments.pop();
            }
            other => segments.push(other),
        }
    }
    let mut out = String::with_capacity(path.len() + 1);
    for segment in &segments {
        out.push('/');
        out.push_str(segment);
    }
    // A path that ends in dots names no folder here, other than in RFC 3986: clients sign it so.
    if segments.is_empty() || path.ends_with('/') {
        out.push('/');
    }
    out
}

#[derive(Clone, Copy, PartialEq)]
enum Plus {
    Plain,
    Space,
}

#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Slash {
    Kept,
    Encoded,
}

/// Undoes percent-encoding; what is no valid escape stays as it is.
fn decode(text: &str, plus: Plus) -> Cow<'_, [u8]> {
    let bytes = text.as_bytes();
    if !bytes.iter().any(|byte| *byte == b'%' || (*byte == b'+' && plus == Plus::Space)) {
        return Cow::Borrowed(bytes);
    }
    let mut out = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some((first, tail)) = rest.split_first() {
        rest = tail;
        match (first, tail) {
            (b'%', [high, low, behind @ ..]) if let Some(byte) = hex_pair(*high, *low) => {
                out.push(byte);
                rest = behind;
            }
            (b'+', _) if plus == Plus::Space => out.push(b' '),
            (other, _) => out.push(*other),
        }
    }
    Cow::Owned(out)
}

fn hex_pair(high: u8, low: u8) -> Option<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|d| u8::try_from(d).ok());
    Some(digit(high)? << 4 | digit(low)?)
}

fn encode(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len() + 8);
    encode_into(&mut out, bytes, Slash::Encoded);
    out
}

/// Percent-encodes all but RFC 3986's unreserved characters.
pub(crate) fn encode_into(out: &mut Vec<u8>, bytes: &[u8], slash: Slash) {
    const HEX: [u8; 16] = *b"0123456789ABCDEF";
    for byte in bytes {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(*byte),
            b'/' if slash == Slash::Kept => out.push(b'/'),
            other => {
                out.push(b'%');
                let digit = |at: u8| HEX.get(usize::from(at)).copied().unwrap_or(b'0');
                out.extend([digit(other >> 4), digit(other & 15)]);
            }
        }
    }
}

#[cfg(test)]
mod unit {
    use super::*;

    #[test]
    fn paths_are_normalized_outside_s3() {
        for (path, want) in [
            ("", "/"),
            ("/", "/"),
            ("//", "/"),
            ("/a/b", "/a/b"),
            ("/a/b/", "/a/b/"),
            ("//a///b", "/a/b"),
            ("/a/./b", "/a/b"),
            ("/a/../b", "/b"),
            ("/a/..", "/"),
            ("/a/b/..", "/a"),
            ("/a/.", "/a"),
            ("/../..", "/"),
            ("/%2e%2e/a", "/%2e%2e/a"),
        ] {
            assert_eq!(normalized(path), want, "{path}");
        }
    }

    #[test]
    fn escapes_survive_decoding_and_encoding() {
        for (text, want) in [
            ("a%20b", "a%20b"),
            ("a+b", "a%20b"),
            ("%2B", "%2B"),
            ("%e1%88%b4", "%E1%88%B4"),
            ("%zz%4", "%25zz%254"),
            ("~-._", "~-._"),
            ("%2F", "%2F"),
            ("%ff", "%FF"),
        ] {
            assert_eq!(encode(&decode(text, Plus::Space)), want.as_bytes(), "{text}");
        }
    }

    #[test]
    fn header_values_lose_spare_white_space() {
        for (value, want) in [
            ("  a   b  ", "a b"),
            ("", ""),
            ("a", "a"),
            ("\t a\tb", "a b"),
            ("\"a  b\"", "\"a b\""),
        ] {
            let mut out = Vec::new();
            collapse_into(&mut out, value.as_bytes());
            assert_eq!(out, want.as_bytes(), "{value:?}");
        }
    }
}
