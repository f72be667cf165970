//! Signed, typed calls over HTTP.

use std::net::SocketAddr;
use std::sync::Arc;

use base::Clock;
use bytes::Bytes;
use http::{HeaderName, HeaderValue, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use protocol::schema::{self, Protocol};
use protocol::sigv4::{self, Credentials, Payload, Scope};
use protocol::{OperationInput, ServiceError, Shape, wire};

use crate::cloud::{Cloud, REGION};
use crate::identity::SECRET;

/// Calls a test's region as one principal.
#[derive(Clone)]
pub struct TestClient {
    address: SocketAddr,
    access_key_id: String,
    secret: String,
    session_token: Option<String>,
    clock: Arc<dyn Clock>,
    http: Client<HttpConnector, Full<Bytes>>,
}

impl TestClient {
    pub(crate) fn new(cloud: &Cloud, access_key_id: &str) -> Self {
        Self {
            address: cloud.address,
            access_key_id: access_key_id.to_owned(),
            secret: SECRET.to_owned(),
            session_token: None,
            clock: cloud.clock.clone(),
            http: Client::builder(TokioExecutor::new()).build_http(),
        }
    }

    /// The same client with keys of its own, and with the token of temporary ones.
    #[must_use]
    pub fn with_keys(mut self, secret: &str, session_token: Option<&str>) -> Self {
        secret.clone_into(&mut self.secret);
        self.session_token = session_token.map(str::to_owned);
        self
    }

    /// Calls an operation in the first protocol of its model.
    ///
    /// # Errors
    ///
    /// The service's error.
    ///
    /// # Panics
    ///
    /// When the region does not answer, or with what the protocol does not allow.
    pub async fn call<I: OperationInput>(&self, input: I) -> Result<I::Output, ServiceError> {
        let model = schema::service(I::SERVICE).expect("the model is embedded");
        let protocol = model.protocols.first().copied().expect("a service speaks a protocol");
        self.call_in(protocol, input).await
    }

    /// Calls an operation in a protocol of the test's choice.
    ///
    /// # Errors
    ///
    /// The service's error.
    ///
    /// # Panics
    ///
    /// As [`TestClient::call`].
    pub async fn call_in<I: OperationInput>(
        &self,
        protocol: Protocol,
        input: I,
    ) -> Result<I::Output, ServiceError> {
        let model = schema::service(I::SERVICE).expect("the model is embedded");
        let operation = model.operation(I::OPERATION).expect("the operation is in the model");
        let request = wire::encode_request(model, operation, protocol, &input.into_value())
            .expect("a request the protocol can write");
        let response = self.send(model.signing_name, request).await;
        let output = wire::decode_output(model, operation, protocol, response)?;
        Ok(I::Output::from_value(output).expect("the answer has the shape of the model"))
    }

    /// Signs and sends a request as it is.
    ///
    /// # Panics
    ///
    /// When the region does not answer.
    pub async fn send(&self, service: &str, request: Request<Bytes>) -> Response<Bytes> {
        let (mut parts, body) = request.into_parts();
        let host = HeaderValue::from_str(&self.address.to_string()).expect("an address");
        parts.headers.insert(http::header::HOST, host);
        let credentials = Credentials {
            access_key_id: &self.access_key_id,
            secret: &self.secret,
            session_token: self.session_token.as_deref(),
        };
        let sig = sigv4::Parts::of(&parts.method, &parts.uri, &parts.headers);
        let scope = Scope { region: REGION, service };
        let signed =
            sigv4::sign(&sig, Payload::Bytes(&body), &credentials, &scope, self.clock.now());
        for (name, value) in signed.headers {
            let value = HeaderValue::from_str(&value).expect("a header value");
            parts.headers.insert(HeaderName::from_static(name), value);
        }
        self.send_unsigned(Request::from_parts(parts, body)).await
    }

    /// Sends a request without touching it.
    ///
    /// # Panics
    ///
    /// When the region does not answer.
    pub async fn send_unsigned(&self, request: Request<Bytes>) -> Response<Bytes> {
        let (mut parts, body) = request.into_parts();
        let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
        let uri = format!("http://{}{path}", self.address);
        parts.uri = uri.parse().expect("a well-formed address");
        parts.headers.entry(HeaderName::from_static("content-length")).or_insert(body.len().into());
        let request = Request::from_parts(parts, Full::new(body));
        let response = self.http.request(request).await.expect("the region answers");
        let (parts, body) = response.into_parts();
        let body = body.collect().await.expect("a whole answer").to_bytes();
        Response::from_parts(parts, body)
    }
}
