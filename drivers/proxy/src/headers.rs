//! Headers on their way: what a target gets, what a client gets back.
//!
//! AWS: "HTTP headers and Application Load Balancers"; "Request tracing for your Application Load
//! Balancer".

use std::borrow::Cow;
use std::fmt::Write;
use std::net::{IpAddr, SocketAddr};

use bytes::BytesMut;
use http::header::{CONNECTION, EXPECT, HOST, TE, TRANSFER_ENCODING, UPGRADE};
use http::{HeaderMap, HeaderName, HeaderValue, uri::Authority};

use crate::config::{Attributes, DesyncMode, XffMode};
use crate::dice::Dice;

/// AWS: "Quotas for your Application Load Balancers" (16 K a request line, 16 K a header, 64 K all).
pub(crate) const URI_MAX_BYTES: usize = 16 << 10;
const HEADER_MAX_BYTES: usize = 16 << 10;
const HEADERS_MAX_BYTES: usize = 64 << 10;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_PORT: HeaderName = HeaderName::from_static("x-forwarded-port");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_AMZN_TLS_VERSION: HeaderName = HeaderName::from_static("x-amzn-tls-version");
const X_AMZN_TLS_CIPHER_SUITE: HeaderName = HeaderName::from_static("x-amzn-tls-cipher-suite");
const X_AMZN_TRACE_ID: HeaderName = HeaderName::from_static("x-amzn-trace-id");
const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");
const HTTP2_SETTINGS: HeaderName = HeaderName::from_static("http2-settings");

/// The connection that a request came on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Came {
    pub(crate) from: SocketAddr,
    pub(crate) port: u16,
    pub(crate) scheme: &'static str,
    /// The version of TLS and the suite, if the client's connection has them.
    pub(crate) tls: Option<(&'static str, &'static str)>,
    /// Seconds since 1970.
    pub(crate) at: u64,
}

/// Whether headers are within AWS's limits.
pub(crate) fn fit(headers: &HeaderMap) -> bool {
    let mut all = 0;
    headers.iter().all(|(name, value)| {
        let length = name.as_str().len() + value.len();
        all += length;
        length <= HEADER_MAX_BYTES && all <= HEADERS_MAX_BYTES
    })
}

/// The headers that a target gets, without `Host`.
pub(crate) fn for_target(
    client: &HeaderMap,
    came: &Came,
    attributes: &Attributes,
    dice: &Dice,
    upgrade: bool,
) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(client.len() + 5);
    let listed = listed(client);
    for (name, value) in client {
        let drop = is_hop_by_hop(name)
            || *name == HOST
            || *name == EXPECT
            || listed.as_deref().is_some_and(|listed| is_listed(listed, name))
            || (attributes.drop_invalid_header_fields && !is_plain(name));
        if !drop {
            headers.append(name, value.clone());
        }
    }
    if client.get_all(TE).into_iter().any(|value| value.as_bytes() == b"trailers") {
        headers.insert(TE, HeaderValue::from_static("trailers"));
    }
    if upgrade && let Some(protocol) = client.get(UPGRADE) {
        headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(UPGRADE, protocol.clone());
    }
    forwarded_for(&mut headers, came, attributes);
    headers.insert(X_FORWARDED_PORT, HeaderValue::from(came.port));
    headers.insert(X_FORWARDED_PROTO, HeaderValue::from_static(came.scheme));
    if attributes.tls_headers {
        headers.remove(X_AMZN_TLS_VERSION);
        headers.remove(X_AMZN_TLS_CIPHER_SUITE);
        if let Some((version, suite)) = came.tls {
            headers.insert(X_AMZN_TLS_VERSION, HeaderValue::from_static(version));
            headers.insert(X_AMZN_TLS_CIPHER_SUITE, HeaderValue::from_static(suite));
        }
    }
    let trace = trace_id(client.get(X_AMZN_TRACE_ID), came.at, dice);
    if let Some(trace) = value(trace) {
        headers.insert(X_AMZN_TRACE_ID, trace);
    }
    headers
}

/// Takes from a target's answer what concerns only the connection to it.
pub(crate) fn clean_answer(headers: &mut HeaderMap) {
    if let Some(listed) = listed(headers) {
        for name in listed.split(',').filter_map(|name| HeaderName::try_from(name.trim()).ok()) {
            headers.remove(name);
        }
    }
    for name in [CONNECTION, KEEP_ALIVE, PROXY_CONNECTION, TRANSFER_ENCODING, UPGRADE] {
        headers.remove(name);
    }
}

/// The host that a target is told.
///
/// AWS: "Host header preservation": without it, a listener's port that is not the protocol's own is
/// added, and one that is, removed.
pub(crate) fn host_for_target(host: &str, port: u16, preserve: bool) -> Cow<'_, str> {
    let bare = crate::rule::without_port(host);
    let has_port = bare.len() != host.len();
    let asked_port = || host.rsplit(':').next().and_then(|port| port.parse::<u16>().ok());
    match (preserve, port) {
        (true, _) => host.into(),
        (false, 80 | 443) if has_port && asked_port() == Some(port) => bare.into(),
        (false, 80 | 443) => host.into(),
        (false, _) if has_port => host.into(),
        (false, _) => format!("{host}:{port}").into(),
    }
}

/// The host that a request is for: its authority if it has one, else its `Host` header. Nothing if
/// there is none, or several, or one that is no host.
pub(crate) fn host<'a>(
    authority: Option<&'a Authority>,
    headers: &'a HeaderMap,
) -> Option<&'a str> {
    if let Some(authority) = authority {
        return Some(authority.as_str());
    }
    let mut hosts = headers.get_all(HOST).into_iter();
    let host = hosts.next()?.to_str().ok()?;
    let plain = host.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._:[]~%".contains(&b));
    (plain && hosts.next().is_none()).then_some(host)
}

/// Whether a request keeps to what every parser reads alike, as far as `mode` asks for it.
pub(crate) fn is_unambiguous(uri: &http::Uri, headers: &HeaderMap, mode: DesyncMode) -> bool {
    match mode {
        // Both length headers, chunk extensions and the like never get as far as here: the request
        // is written anew for the target, with one length.
        DesyncMode::Monitor | DesyncMode::Defensive => true,
        DesyncMode::Strictest => {
            let values = headers.iter().all(|(name, value)| {
                is_plain(name) && !value.is_empty() && value.as_bytes().iter().all(|b| *b < 0x7f)
            });
            values
                && uri.path().is_ascii()
                && headers.get_all(TRANSFER_ENCODING).iter().count() <= 1
        }
    }
}

fn forwarded_for(headers: &mut HeaderMap, came: &Came, attributes: &Attributes) {
    match attributes.xff_mode {
        XffMode::Preserve => {}
        XffMode::Remove => {
            headers.remove(X_FORWARDED_FOR);
        }
        XffMode::Append => {
            let mut text = BytesMut::with_capacity(48);
            for value in headers.get_all(X_FORWARDED_FOR) {
                text.extend_from_slice(value.as_bytes());
                text.extend_from_slice(b", ");
            }
            let written = match (came.from.ip(), attributes.xff_client_port) {
                (IpAddr::V6(ip), true) => write!(text, "[{ip}]:{}", came.from.port()),
                (IpAddr::V4(ip), true) => write!(text, "{ip}:{}", came.from.port()),
                (ip, false) => write!(text, "{ip}"),
            };
            if let (Ok(()), Some(value)) = (written, value(text)) {
                headers.insert(X_FORWARDED_FOR, value);
            }
        }
    }
}

/// The trace id for a target: a new root, or the client's root with this hop as `Self`.
fn trace_id(client: Option<&HeaderValue>, at: u64, dice: &Dice) -> BytesMut {
    let client = client.and_then(|value| value.to_str().ok()).unwrap_or_default();
    let fields = || client.split(';').map(str::trim).filter(|field| !field.is_empty());
    let own = if fields().any(|field| field.starts_with("Root=")) { "Self" } else { "Root" };
    let mut text = BytesMut::with_capacity(48 + client.len());
    text.extend_from_slice(own.as_bytes());
    text.extend_from_slice(b"=1-");
    hexadecimal(&mut text, at, 8);
    text.extend_from_slice(b"-");
    hexadecimal(&mut text, dice.roll(), 16);
    hexadecimal(&mut text, dice.roll(), 8);
    for field in fields().filter(|field| !field.starts_with("Self=")) {
        text.extend_from_slice(b";");
        text.extend_from_slice(field.as_bytes());
    }
    text
}

/// Writes the lowest `digits` digits of a number.
fn hexadecimal(text: &mut BytesMut, number: u64, digits: u32) {
    for place in (0..digits).rev() {
        let digit = u32::try_from((number >> (4 * place)) & 0xf).unwrap_or(0);
        text.extend(char::from_digit(digit, 16).and_then(|digit| u8::try_from(digit).ok()));
    }
}

fn value(text: BytesMut) -> Option<HeaderValue> {
    HeaderValue::from_maybe_shared(text.freeze()).ok()
}

/// The names that `Connection` lists, when it lists more than the usual.
fn listed(headers: &HeaderMap) -> Option<String> {
    let mut values = headers.get_all(CONNECTION).into_iter().peekable();
    let first = values.peek()?.as_bytes();
    let usual = [&b"keep-alive"[..], b"close", b"upgrade"];
    if headers.get_all(CONNECTION).iter().count() == 1
        && usual.iter().any(|word| first.eq_ignore_ascii_case(word))
    {
        return None;
    }
    let texts: Vec<_> = values.filter_map(|value| value.to_str().ok()).collect();
    Some(texts.join(","))
}

fn is_listed(listed: &str, name: &HeaderName) -> bool {
    listed.split(',').any(|entry| entry.trim().eq_ignore_ascii_case(name.as_str()))
}

fn is_hop_by_hop(name: &HeaderName) -> bool {
    let hop =
        [CONNECTION, KEEP_ALIVE, PROXY_CONNECTION, TE, TRANSFER_ENCODING, UPGRADE, HTTP2_SETTINGS];
    hop.contains(name)
}

/// AWS: `routing.http.drop_invalid_header_fields.enabled`: names are of letters, digits and dashes.
fn is_plain(name: &HeaderName) -> bool {
    name.as_str().bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn came() -> Came {
        Came {
            from: "192.0.2.7:4711".parse().unwrap(),
            port: 80,
            scheme: "http",
            tls: None,
            at: 0x5759_e988,
        }
    }

    fn passed(client: &[(&str, &str)], attributes: &Attributes) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in client {
            let name = HeaderName::try_from(*name).unwrap();
            headers.append(name, HeaderValue::from_str(value).unwrap());
        }
        for_target(&headers, &came(), attributes, &Dice::new(), false)
    }

    #[test]
    fn the_client_is_named() {
        let plain = Attributes::default();
        let headers = passed(&[], &plain);
        assert_eq!(headers["x-forwarded-for"], "192.0.2.7");
        assert_eq!(headers["x-forwarded-port"], "80");
        assert_eq!(headers["x-forwarded-proto"], "http");
        let before = [("x-forwarded-for", "198.51.100.1"), ("x-forwarded-proto", "https")];
        assert_eq!(passed(&before, &plain)["x-forwarded-for"], "198.51.100.1, 192.0.2.7");
        assert_eq!(passed(&before, &plain)["x-forwarded-proto"], "http");
        let mode = |xff_mode| Attributes { xff_mode, ..Attributes::default() };
        assert_eq!(passed(&before, &mode(XffMode::Preserve))["x-forwarded-for"], "198.51.100.1");
        assert!(!passed(&before, &mode(XffMode::Remove)).contains_key("x-forwarded-for"));
        let port = Attributes { xff_client_port: true, ..Attributes::default() };
        assert_eq!(passed(&[], &port)["x-forwarded-for"], "192.0.2.7:4711");
    }

    #[test]
    fn what_concerns_the_connection_stays_behind() {
        let headers = passed(
            &[
                ("connection", "keep-alive, x-secret"),
                ("keep-alive", "300"),
                ("x-secret", "1"),
                ("te", "trailers"),
                ("upgrade", "h2c"),
                ("expect", "100-continue"),
                ("x_odd", "1"),
                ("accept", "*/*"),
            ],
            &Attributes { drop_invalid_header_fields: true, ..Attributes::default() },
        );
        let mut names: Vec<_> = headers.keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        let forwarded = ["x-forwarded-for", "x-forwarded-port", "x-forwarded-proto"];
        assert_eq!(names[..3], ["accept", "te", "x-amzn-trace-id"]);
        assert_eq!(names[3..], forwarded);
    }

    #[test]
    fn traces_keep_their_root() {
        let dice = Dice::new();
        let text = |client: Option<&HeaderValue>| {
            String::from_utf8(trace_id(client, 0x5759_e988, &dice).to_vec()).unwrap()
        };
        let trace = |client: &'static str| text(Some(&HeaderValue::from_static(client)));
        let fresh = text(None);
        assert!(fresh.starts_with("Root=1-5759e988-"), "{fresh}");
        assert_eq!(fresh.len(), "Root=1-5759e988-bd862e3fe1be46a994272793".len());
        let kept = trace("Root=1-67891233-abcdef012345678912345678;CalledFrom=app");
        assert!(kept.starts_with("Self=1-5759e988-"), "{kept}");
        assert!(kept.ends_with(";Root=1-67891233-abcdef012345678912345678;CalledFrom=app"));
        let again = trace("Self=1-1-2;Root=1-67891233-abcdef012345678912345678");
        assert_eq!(again.matches("Self=").count(), 1, "{again}");
        assert!(trace("CalledFrom=app").starts_with("Root=1-5759e988-"));
    }

    #[test]
    fn hosts_get_the_listeners_port() {
        let cases = [
            ("a.test", 80, false, "a.test"),
            ("a.test:80", 80, false, "a.test"),
            ("a.test", 8080, false, "a.test:8080"),
            ("a.test:8080", 8080, false, "a.test:8080"),
            ("a.test", 8080, true, "a.test"),
        ];
        for (host, port, preserve, expected) in cases {
            assert_eq!(host_for_target(host, port, preserve), expected);
        }
    }
}
