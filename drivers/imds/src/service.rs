//! One request: who asks, whether it may, what it gets.
//!
//! AWS: "Use the Instance Metadata Service to access instance metadata".

use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, SERVER};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;

use crate::metadata::{HttpTokens, Options};
use crate::token::Tokens;
use crate::tree::{Entry, Tree};

const TOKEN_PATH: &str = "/latest/api/token";
const TOKEN: &str = "x-aws-ec2-metadata-token";
const TOKEN_TTL: &str = "x-aws-ec2-metadata-token-ttl-seconds";
/// Six hours.
const TTL_MAX_SECONDS: u64 = 21_600;

/// The instance behind an address.
#[derive(Debug)]
pub(crate) struct Guest {
    pub(crate) id: String,
    pub(crate) options: Options,
    pub(crate) tree: Tree,
}

/// How far an answer may travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reach {
    /// As far as any packet.
    Anywhere,
    /// This many hops.
    Hops(u8),
}

/// Answers a request that comes from `source`, behind which `guest` is.
pub(crate) fn answer<B>(
    guest: Option<&Arc<Guest>>,
    tokens: &Tokens,
    source: IpAddr,
    now: u64,
    request: &Request<B>,
) -> (Response<Full<Bytes>>, Reach) {
    let far = |response| (response, Reach::Anywhere);
    let Some(guest) = guest else {
        // An instance may ask before its document is here; clients ask again after a 503.
        return far(error(StatusCode::SERVICE_UNAVAILABLE));
    };
    if !guest.options.endpoint_enabled {
        return far(error(StatusCode::FORBIDDEN));
    }
    let path = request.uri().path();
    if request.method() == Method::PUT && path.trim_end_matches('/') == TOKEN_PATH {
        let hops = Reach::Hops(guest.options.hop_limit.clamp(1, 64));
        return (give_token(guest, tokens, source, now, request), hops);
    }
    if request.method() != Method::GET && request.method() != Method::HEAD {
        return far(error(StatusCode::METHOD_NOT_ALLOWED));
    }
    let token = request.headers().get(TOKEN).map(|token| token.to_str().unwrap_or_default());
    let left = token.map(|token| tokens.take(token, &guest.id, source, now));
    match (left, guest.options.http_tokens) {
        (Some(None), _) | (None, HttpTokens::Required) => {
            return far(error(StatusCode::UNAUTHORIZED));
        }
        (Some(Some(_)), _) | (None, HttpTokens::Optional) => {}
    }
    let mut response = match guest.tree.read(path) {
        Some(Entry::Text(text)) => plain(text, "text/plain"),
        Some(Entry::Bytes(bytes)) => plain(bytes, "application/octet-stream"),
        None => error(StatusCode::NOT_FOUND),
    };
    if let Some(left) = left.flatten() {
        response.headers_mut().insert(TOKEN_TTL, HeaderValue::from(left));
    }
    far(response)
}

fn give_token<B>(
    guest: &Guest,
    tokens: &Tokens,
    source: IpAddr,
    now: u64,
    request: &Request<B>,
) -> Response<Full<Bytes>> {
    if request.headers().contains_key("x-forwarded-for") {
        return error(StatusCode::FORBIDDEN);
    }
    let ttl = request.headers().get(TOKEN_TTL);
    let ttl = ttl.and_then(|ttl| ttl.to_str().ok()?.trim().parse::<u64>().ok());
    let Some(ttl) = ttl.filter(|ttl| (1..=TTL_MAX_SECONDS).contains(ttl)) else {
        return error(StatusCode::BAD_REQUEST);
    };
    let token = tokens.give(&guest.id, source, now + ttl);
    let mut response = plain(token.into_bytes(), "text/plain");
    response.headers_mut().insert(TOKEN_TTL, HeaderValue::from(ttl));
    response
}

fn plain(body: Vec<u8>, content_type: &'static str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert("accept-ranges", HeaderValue::from_static("none"));
    headers.insert(SERVER, HeaderValue::from_static("EC2ws"));
    response
}

fn error(status: StatusCode) -> Response<Full<Bytes>> {
    let title = format!("{} - {}", status.as_u16(), status.canonical_reason().unwrap_or_default());
    let page = format!(
        "<?xml version=\"1.0\" encoding=\"iso-8859-1\"?>\n\
         <!DOCTYPE html PUBLIC \"-//W3C//DTD XHTML 1.0 Transitional//EN\"\n\
         \t\"http://www.w3.org/TR/xhtml1/DTD/xhtml1-transitional.dtd\">\n\
         <html xmlns=\"http://www.w3.org/1999/xhtml\" xml:lang=\"en\" lang=\"en\">\n \
         <head>\n  <title>{title}</title>\n </head>\n \
         <body>\n  <h1>{title}</h1>\n </body>\n</html>\n"
    );
    let mut response = plain(page.into_bytes(), "text/html");
    *response.status_mut() = status;
    response
}
