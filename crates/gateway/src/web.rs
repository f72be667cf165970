//! Requests that no model describes: pages of web sites in buckets, the questions of browsers
//! about other origins, forms; and what is told of an answered call.
//!
//! AWS: "Website endpoints", "Using cross-origin resource sharing (CORS)", "Browser-Based Uploads
//! Using POST".

use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use kernel::web::{Served, WebKind, WebRequest, WebResponse};
use protocol::ByteStream;
use protocol::wire::ResponseBody;

use crate::auth::scope_service;
use crate::detect::{Detected, host_of};
use crate::serve::header;

/// What a host name of a web site starts with behind the bucket's name.
const SITE: &str = "s3-website";

/// What kind of request it is, if the service itself must answer it.
pub(crate) fn kind_of(parts: &Parts, detected: &Detected) -> Option<WebKind> {
    if site_of(host_of(parts)).is_some() {
        return Some(WebKind::Page);
    }
    if detected.candidates.first() != Some(&"s3") {
        return None;
    }
    let is_form =
        header(parts, "content-type").is_some_and(|kind| kind.starts_with("multipart/form-data"));
    match parts.method.as_str() {
        "OPTIONS" => Some(WebKind::Preflight),
        "POST" if is_form && parts.uri.query().unwrap_or_default().is_empty() => {
            Some(WebKind::Form)
        }
        _ => None,
    }
}

/// The bucket of a web site's host name: `bucket.s3-website-REGION.amazonaws.com`,
/// `bucket.s3-website.REGION.amazonaws.com`, `bucket.s3-website.localhost`.
pub(crate) fn site_of(host: &str) -> Option<String> {
    let stem = [".amazonaws.com", ".localhost", ".localhost.localdomain"]
        .iter()
        .find_map(|suffix| host.strip_suffix(suffix))?;
    let labels: Vec<&str> = stem.split('.').collect();
    let is_site = |label: &&str| {
        label.strip_prefix(SITE).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
    };
    let at = labels.iter().rposition(is_site)?;
    // Behind it stands at most the region.
    let bucket = labels.get(..at)?.join(".");
    (labels.len() <= at + 2 && !bucket.is_empty()).then_some(bucket)
}

/// The request as the service sees it.
pub(crate) fn request_of(
    kind: WebKind,
    parts: &Parts,
    host_bucket: Option<&str>,
    body: ByteStream,
) -> WebRequest {
    let path = parts.uri.path();
    let path = path.strip_prefix('/').unwrap_or(path);
    let site = site_of(host_of(parts));
    let (bucket, path) = match site.as_deref().or(host_bucket) {
        Some(bucket) => (bucket.to_owned(), path),
        None => {
            let (bucket, rest) = path.split_once('/').unwrap_or((path, ""));
            (decoded(bucket), rest)
        }
    };
    let headers = parts.headers.iter();
    let headers = headers.filter_map(|(name, value)| {
        Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned()))
    });
    WebRequest {
        kind,
        method: parts.method.as_str().to_owned(),
        bucket,
        path: decoded(path),
        query: parts.uri.query().unwrap_or_default().to_owned(),
        headers: headers.collect(),
        body,
    }
}

/// `text` with its escapes resolved; escapes that are none stay.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        let digit = |at: usize| char::from(*tail.get(at)?).to_digit(16);
        let escape = (*first == b'%').then(|| Some(digit(0)? * 16 + digit(1)?)).flatten();
        match escape.and_then(|value| u8::try_from(value).ok()) {
            Some(value) => {
                bytes.push(value);
                rest = tail.get(2..).unwrap_or_default();
            }
            None => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The service's answer as HTTP.
pub(crate) fn response_of(answer: WebResponse) -> Response<ResponseBody> {
    let length = answer.body.length();
    let body = answer.body.take().unwrap_or_else(|| crate::body::empty(bytes::Bytes::new()));
    let mut response = Response::new(body);
    *response.status_mut() =
        StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    extend(response.headers_mut(), &answer.headers);
    if let Some(length) = length {
        response.headers_mut().entry(http::header::CONTENT_LENGTH).or_insert(length.into());
    }
    response
}

/// Adds headers; what cannot stand in a header is left out.
pub(crate) fn extend(headers: &mut HeaderMap, more: &[(String, String)]) {
    for (name, value) in more {
        let name = HeaderName::from_bytes(name.as_bytes());
        if let (Ok(name), Ok(value)) = (name, HeaderValue::from_str(value)) {
            headers.append(name, value);
        }
    }
}

/// The condition keys that follow from how a call came.
///
/// AWS: "Amazon S3 Signature Version 4 authentication specific policy keys".
pub(crate) fn keys_of(parts: &Parts, now: base::Timestamp, secure: bool) -> Vec<(String, String)> {
    let mut keys = Vec::new();
    let mut set = |key: &str, value: String| keys.push((key.to_owned(), value));
    if let Some(referer) = header(parts, "referer") {
        set("aws:Referer", referer.to_owned());
    }
    if secure {
        set("s3:TlsVersion", "1.3".to_owned());
    }
    if scope_service(parts).as_deref() == Some("s3") {
        set("s3:signatureversion", protocol::sigv4::ALGORITHM.to_owned());
        let kind = if is_presigned(parts) { "REST-QUERY-STRING" } else { "REST-HEADER" };
        set("s3:authType", kind.to_owned());
        let sig = protocol::sigv4::Parts::of(&parts.method, &parts.uri, &parts.headers);
        if let Ok(Some(claim)) = protocol::sigv4::Claim::parse(&sig) {
            let age = now.as_secs().saturating_sub(claim.date.as_secs()).max(0);
            set("s3:signatureAge", (age * 1000).to_string());
        }
        let hash = header(parts, "x-amz-content-sha256").unwrap_or("UNSIGNED-PAYLOAD");
        set("s3:x-amz-content-sha256", hash.to_owned());
    }
    keys
}

fn is_presigned(parts: &Parts) -> bool {
    parts.uri.query().is_some_and(|query| query.contains("X-Amz-Signature="))
}

/// What is told of a call that was answered with `response`.
pub(crate) fn served(
    request: &WebRequest,
    parts: &Parts,
    operation: &str,
    response: &Response<ResponseBody>,
    error: Option<String>,
    duration_ms: i64,
) -> Served {
    let answer = |name: &str| {
        response.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned)
    };
    let length = answer("content-length").and_then(|text| text.parse().ok());
    Served {
        operation: operation.to_owned(),
        method: request.method.clone(),
        bucket: request.bucket.clone(),
        path: request.path.clone(),
        uri: parts.uri.path_and_query().map_or("/", |path| path.as_str()).to_owned(),
        status: response.status().as_u16(),
        error,
        bytes: length.or_else(|| http_body::Body::size_hint(response.body()).exact()),
        duration_ms,
        version_id: answer("x-amz-version-id"),
        referer: header(parts, "referer").map(str::to_owned),
        auth: match (is_presigned(parts), header(parts, "authorization")) {
            (true, _) => Some("QueryString"),
            (false, Some(_)) => Some("AuthHeader"),
            (false, None) => None,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sites_have_host_names_of_their_own() {
        for (host, want) in [
            ("b.s3-website-us-east-1.amazonaws.com", Some("b")),
            ("www.b.s3-website.ap-northeast-2.amazonaws.com", Some("www.b")),
            ("b.s3-website.localhost", Some("b")),
            ("b.s3.amazonaws.com", None),
            ("s3-website.b.s3.localhost", None),
            ("127.0.0.1", None),
        ] {
            assert_eq!(site_of(host).as_deref(), want, "{host}");
        }
    }

    #[test]
    fn escapes_that_are_none_stay() {
        assert_eq!(decoded("a%20b%2f%zz%"), "a b/%zz%");
    }
}
