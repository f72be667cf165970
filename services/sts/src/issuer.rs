//! The keys of an OpenID Connect issuer, asked of the issuer itself over TLS.
//!
//! Who speaks for an issuer must show a certificate below one of the thumbprints that the account
//! has written down for it, as AWS holds issuers that no public authority vouches for.
//!
//! AWS: "Obtain the thumbprint for an OpenID Connect identity provider".

use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest;
use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Empty, Limited};
use hyper_util::rt::TokioIo;
use kernel::identity::OidcProvider;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
};
use serde_json::Value as Json;
use tokio::net::TcpStream;

use crate::error::{Error, Result};

/// How long an issuer has to answer.
const ANSWER_MAX: Duration = Duration::from_secs(5);
/// The longest document of an issuer.
const DOCUMENT_BYTES_MAX: usize = 1 << 20;
/// The most keys that are looked at.
const KEYS_MAX: usize = 100;

/// The keys that the provider signs with.
///
/// # Errors
///
/// [`Error::IdpCommunication`].
pub(crate) async fn keys(provider: &OidcProvider) -> Result<Vec<Json>> {
    let base = provider.issuer.trim_end_matches('/');
    let configuration =
        document(provider, &format!("https://{base}/.well-known/openid-configuration")).await?;
    let stated = configuration.get("issuer").and_then(Json::as_str).unwrap_or_default();
    if stated.trim_end_matches('/') != format!("https://{base}") {
        return Err(trouble("The issuer's configuration names another issuer"));
    }
    let place = configuration.get("jwks_uri").and_then(Json::as_str);
    let place = place.ok_or_else(|| trouble("The issuer's configuration names no keys"))?;
    let keys = document(provider, place).await?;
    let keys = keys.get("keys").and_then(Json::as_array).cloned().unwrap_or_default();
    Ok(keys.into_iter().take(KEYS_MAX).collect())
}

fn trouble(why: impl std::fmt::Display) -> Error {
    Error::IdpCommunication(format!(
        "Couldn't retrieve verification key from your identity provider, please reference \
         AssumeRoleWithWebIdentity documentation for requirements: {why}"
    ))
}

async fn document(provider: &OidcProvider, url: &str) -> Result<Json> {
    match tokio::time::timeout(ANSWER_MAX, fetch(provider, url)).await {
        Ok(answer) => answer,
        Err(_) => Err(trouble("it did not answer in time")),
    }
}

async fn fetch(provider: &OidcProvider, url: &str) -> Result<Json> {
    let uri: http::Uri = url.parse().map_err(trouble)?;
    if uri.scheme_str() != Some("https") {
        return Err(trouble("only https is spoken"));
    }
    let host = uri.host().ok_or_else(|| trouble("no host"))?.to_owned();
    let stream = TcpStream::connect((host.as_str(), uri.port_u16().unwrap_or(443)));
    let stream = stream.await.map_err(trouble)?;
    let name = ServerName::try_from(host.clone()).map_err(trouble)?;
    let connector = tokio_rustls::TlsConnector::from(Arc::new(configuration(provider)?));
    let stream = connector.connect(name, stream).await.map_err(trouble)?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(trouble)?;
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let request = Request::get(path)
        .header(http::header::HOST, uri.authority().map_or(host.as_str(), |a| a.as_str()))
        .header(http::header::ACCEPT, "application/json")
        .body(Empty::<Bytes>::new())
        .map_err(trouble)?;
    let answer = async {
        let answer = sender.send_request(request).await.map_err(trouble)?;
        if answer.status() != StatusCode::OK {
            return Err(trouble(format!("it answered {}", answer.status())));
        }
        let body = Limited::new(answer.into_body(), DOCUMENT_BYTES_MAX).collect().await;
        let body = body.map_err(trouble)?.to_bytes();
        serde_json::from_slice(&body).map_err(trouble)
    };
    // The connection moves only while it is polled beside the answer.
    tokio::pin!(answer);
    let mut connection = std::pin::pin!(connection);
    tokio::select! {
        answer = &mut answer => answer,
        ended = &mut connection => {
            ended.map_err(trouble)?;
            answer.await
        }
    }
}

fn configuration(provider: &OidcProvider) -> Result<ClientConfig> {
    let crypto = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let pinned = Pinned {
        thumbprints: provider.thumbprints.iter().map(|text| text.to_lowercase()).collect(),
        crypto: crypto.clone(),
    };
    Ok(ClientConfig::builder_with_provider(crypto)
        .with_safe_default_protocol_versions()
        .map_err(trouble)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(pinned))
        .with_no_client_auth())
}

/// Trusts the certificates with these SHA-1 thumbprints, as authorities, and no other.
#[derive(Debug)]
struct Pinned {
    thumbprints: Vec<String>,
    crypto: Arc<rustls::crypto::CryptoProvider>,
}

fn thumbprint(certificate: &CertificateDer<'_>) -> String {
    let hash = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, certificate.as_ref());
    hash.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> std::result::Result<ServerCertVerified, rustls::Error> {
        let mut roots = RootCertStore::empty();
        for certificate in intermediates.iter().chain([end_entity]) {
            if self.thumbprints.contains(&thumbprint(certificate)) {
                roots.add(certificate.clone().into_owned())?;
            }
        }
        if roots.is_empty() {
            return Err(CertificateError::UnknownIssuer.into());
        }
        let verifier =
            WebPkiServerVerifier::builder_with_provider(Arc::new(roots), self.crypto.clone())
                .build()
                .map_err(|error| rustls::Error::General(error.to_string()))?;
        verifier.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.crypto.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, cert, dss, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.crypto.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, cert, dss, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.crypto.signature_verification_algorithms.supported_schemes()
    }
}
