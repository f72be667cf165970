//! One request: checked, matched against the rules, answered.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use http::header::{CONNECTION, CONTENT_TYPE, SERVER};
use http::{HeaderValue, Method, Request, Response, Version, request::Parts};
use hyper::body::Incoming;

use crate::answer::{self, Outgoing};
use crate::edge::{Busy, Edge};
use crate::forward::Visit;
use crate::headers::{self, Came};
use crate::listener::Plan;
use crate::request_body::Source;
use crate::rule::{self, Asked, Does};
use crate::time;

/// Answers a request. It never fails: what goes wrong is an answer, too.
pub(crate) async fn handle(
    edge: Arc<Edge>,
    request: Request<Incoming>,
) -> Result<Response<Outgoing>, Infallible> {
    let busy = Busy::new(edge.clone());
    let plan = edge.door.plan();
    let http1 = request.version() < Version::HTTP_2;
    let mut answer = match answer(&edge, &plan, request, &busy).await {
        Ok(answer) => answer,
        Err(code) => own(&edge, &plan, answer::error(code)),
    };
    busy.answered();
    if http1 && (edge.age() >= plan.keep_alive() || edge.door.is_closing()) {
        answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    Ok(answer.map(|body| body.keep(busy)))
}

/// Finishes an answer that no target gave.
fn own(edge: &Edge, plan: &Plan, mut answer: Response<Outgoing>) -> Response<Outgoing> {
    edge.node.counts.own_answer(answer.status().as_u16());
    if !plan.attributes.server_header {
        answer.headers_mut().remove(SERVER);
    }
    answer
}

/// The answer, or the code of an error page.
async fn answer(
    edge: &Arc<Edge>,
    plan: &Arc<Plan>,
    mut request: Request<Incoming>,
    busy: &Arc<Busy>,
) -> Result<Response<Outgoing>, u16> {
    let upgrade = is_upgrade(&request).then(|| hyper::upgrade::on(&mut request));
    let (mut parts, body) = request.into_parts();
    let extensions = std::mem::take(&mut parts.extensions);
    check(&parts, plan)?;
    let host = headers::host(parts.uri.authority(), &parts.headers).unwrap_or_default();
    if host.is_empty() && parts.version == Version::HTTP_11 {
        return Err(400);
    }
    // The newest date that answers need is that of this moment, to the second.
    let at = time::epoch_seconds();
    let came = Came { from: edge.from, port: edge.port, scheme: edge.scheme, tls: edge.tls(), at };
    let asked = Asked {
        method: &parts.method,
        host,
        path: parts.uri.path(),
        query: parts.uri.query().unwrap_or_default(),
        headers: &parts.headers,
        source: edge.from.ip(),
    };
    match plan.rules.decide(&asked) {
        Does::Redirect(redirect, status) => {
            edge.node.counts.redirects.up();
            let location = rule::location(redirect, edge.scheme, edge.port, &asked);
            Ok(own(edge, plan, answer::redirect(*status, location)))
        }
        Does::Fixed(fixed) => {
            edge.node.counts.fixed_responses.up();
            Ok(own(edge, plan, answer::fixed(fixed)))
        }
        Does::Forward(split) => {
            let visit = Visit {
                edge,
                plan,
                parts: &parts,
                extensions,
                host,
                came,
                source: Source::new(body),
                busy,
            };
            visit.forward(split, upgrade).await
        }
    }
}

/// Refuses what no target is to see.
fn check(parts: &Parts, plan: &Plan) -> Result<(), u16> {
    if parts.method == Method::TRACE {
        return Err(405);
    }
    if parts.method == Method::CONNECT {
        return Err(400);
    }
    if parts.uri.path_and_query().map_or(0, |path| path.as_str().len()) > headers::URI_MAX_BYTES {
        return Err(414);
    }
    if !headers::fit(&parts.headers)
        || !headers::is_unambiguous(&parts.uri, &parts.headers, plan.attributes.desync)
    {
        return Err(400);
    }
    // AWS: HTTP 463, an `X-Forwarded-For` of more than 30 addresses.
    const FORWARDS_MAX: usize = 30;
    let forwards = parts.headers.get_all("x-forwarded-for").into_iter();
    let commas = |value: &HeaderValue| value.as_bytes().split(|byte| *byte == b',').count();
    if forwards.map(commas).sum::<usize>() > FORWARDS_MAX {
        return Err(answer::TOO_MANY_FORWARDS);
    }
    Ok(())
}

/// Whether the client asks for another protocol on its connection.
fn is_upgrade(request: &Request<Incoming>) -> bool {
    let headers = request.headers();
    let asks = |value: &HeaderValue| {
        value.to_str().is_ok_and(|value| {
            value.split(',').any(|word| word.trim().eq_ignore_ascii_case("upgrade"))
        })
    };
    request.version() == Version::HTTP_11
        && headers.get_all(CONNECTION).into_iter().any(asks)
        && headers.get("upgrade").is_some_and(|protocol| protocol != "h2c")
}

/// Whether a request is a gRPC call.
pub(crate) fn is_grpc(parts: &Parts) -> bool {
    let grpc = |value: &HeaderValue| value.as_bytes().starts_with(b"application/grpc");
    parts.headers.get(CONTENT_TYPE).is_some_and(grpc)
}

impl Plan {
    pub(crate) fn keep_alive(&self) -> Duration {
        Duration::from_secs(self.attributes.client_keep_alive_seconds.into())
    }

    pub(crate) fn idle_timeout(&self) -> Duration {
        Duration::from_secs(self.attributes.idle_timeout_seconds.into())
    }
}
