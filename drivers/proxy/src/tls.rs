//! TLS with clients, where the node shows the certificate that fits the name they ask for, and with
//! targets, whose certificates nobody looks at.
//!
//! AWS: "HTTPS listeners for your Application Load Balancer" (the choice among several
//! certificates), "Target groups for your Application Load Balancers" (certificates of targets).

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{
    ClientConfig, DigitallySignedStruct, ServerConfig, SignatureAlgorithm, SignatureScheme,
    SupportedCipherSuite, SupportedProtocolVersion,
};

use crate::config::{Certificate, ConfigError, ProtocolVersion, Tls, TlsVersion};

/// AWS: "Security policies for your Application Load Balancer", names of suites.
const SUITES: [(&str, SupportedCipherSuite); 7] = [
    ("TLS_AES_128_GCM_SHA256", aws_lc_rs::cipher_suite::TLS13_AES_128_GCM_SHA256),
    ("TLS_AES_256_GCM_SHA384", aws_lc_rs::cipher_suite::TLS13_AES_256_GCM_SHA384),
    ("TLS_CHACHA20_POLY1305_SHA256", aws_lc_rs::cipher_suite::TLS13_CHACHA20_POLY1305_SHA256),
    (
        "ECDHE-ECDSA-AES128-GCM-SHA256",
        aws_lc_rs::cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
    ),
    ("ECDHE-RSA-AES128-GCM-SHA256", aws_lc_rs::cipher_suite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256),
    (
        "ECDHE-ECDSA-AES256-GCM-SHA384",
        aws_lc_rs::cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
    ),
    ("ECDHE-RSA-AES256-GCM-SHA384", aws_lc_rs::cipher_suite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384),
];

/// The name that AWS's policies give a suite.
pub(crate) fn suite_name(suite: SupportedCipherSuite) -> &'static str {
    SUITES.iter().find(|(_, known)| *known == suite).map_or("", |(name, _)| name)
}

fn fault(error: impl std::fmt::Display) -> ConfigError {
    ConfigError::Tls(error.to_string())
}

/// How a listener meets its clients.
pub(crate) fn server_config(tls: &Tls, http2: bool) -> Result<Arc<ServerConfig>, ConfigError> {
    let mut provider = provider(tls.post_quantum);
    let suite = |name: &String| SUITES.iter().find(|(known, _)| known == name).map(|(_, it)| *it);
    provider.cipher_suites = tls.suites.iter().filter_map(suite).collect();
    let versions: Vec<&'static SupportedProtocolVersion> = tls
        .versions
        .iter()
        .map(|version| match version {
            TlsVersion::Tls12 => &rustls::version::TLS12,
            TlsVersion::Tls13 => &rustls::version::TLS13,
        })
        .collect();
    let choices: Result<Vec<Choice>, ConfigError> =
        tls.certificates.iter().map(|it| Choice::new(it, &provider)).collect();
    let choices = choices?;
    if choices.is_empty() {
        return Err(fault("no certificate"));
    }
    let mut config = ServerConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(&versions)
        .map_err(fault)?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(Chooser(choices)));
    config.ignore_client_order = true;
    config.alpn_protocols =
        if http2 { protocols(&["h2", "http/1.1"]) } else { protocols(&["http/1.1"]) };
    Ok(Arc::new(config))
}

fn protocols(names: &[&str]) -> Vec<Vec<u8>> {
    names.iter().map(|name| name.as_bytes().to_vec()).collect()
}

fn provider(post_quantum: bool) -> CryptoProvider {
    use aws_lc_rs::kx_group::{SECP256R1, SECP256R1MLKEM768, SECP384R1, X25519, X25519MLKEM768};
    let mut provider = aws_lc_rs::default_provider();
    provider.kx_groups = if post_quantum {
        vec![X25519MLKEM768, SECP256R1MLKEM768, X25519, SECP256R1, SECP384R1]
    } else {
        vec![X25519, SECP256R1, SECP384R1]
    };
    provider
}

/// A certificate to choose.
#[derive(Debug)]
struct Choice {
    names: Vec<String>,
    key: Arc<CertifiedKey>,
    /// The greater one is taken where several fit.
    worth: (bool, u32, i64),
}

impl Choice {
    fn new(certificate: &Certificate, provider: &CryptoProvider) -> Result<Self, ConfigError> {
        let chain: Result<Vec<_>, _> =
            CertificateDer::pem_slice_iter(certificate.chain.as_bytes()).collect();
        let chain: Vec<CertificateDer<'static>> = chain.map_err(fault)?;
        let key = PrivateKeyDer::from_pem_slice(certificate.key.0.as_bytes()).map_err(fault)?;
        let key = provider.key_provider.load_private_key(key).map_err(fault)?;
        let ecdsa = key.algorithm() == SignatureAlgorithm::ECDSA;
        Ok(Self {
            names: certificate.names.iter().map(|name| name.to_ascii_lowercase()).collect(),
            key: Arc::new(CertifiedKey::new(chain, key)),
            worth: (ecdsa, certificate.key_bits, certificate.not_after),
        })
    }

    fn is_for(&self, name: &str) -> bool {
        self.names.iter().any(|own| match own.strip_prefix("*.") {
            Some(parent) => name
                .split_once('.')
                .is_some_and(|(label, rest)| !label.is_empty() && rest == parent),
            None => own == name,
        })
    }
}

/// Chooses among certificates by the name that a client asks for and by what it can verify.
#[derive(Debug)]
struct Chooser(Vec<Choice>);

impl ResolvesServerCert for Chooser {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let able =
            |choice: &&Choice| choice.key.key.choose_scheme(hello.signature_schemes()).is_some();
        let name = hello.server_name().map(str::to_ascii_lowercase);
        let fitting = name.and_then(|name| {
            let fits = |choice: &&Choice| choice.is_for(&name);
            self.0.iter().filter(fits).filter(able).max_by_key(|choice| choice.worth)
        });
        fitting.or_else(|| self.0.first()).map(|choice| choice.key.clone())
    }
}

/// How targets are met.
#[expect(clippy::expect_used, reason = "the versions and suites are rustls's own")]
pub(crate) fn client_config(version: ProtocolVersion) -> Arc<ClientConfig> {
    let provider = Arc::new(provider(false));
    let mut config = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .expect("the provider has suites for both versions")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyCertificate(provider)))
        .with_no_client_auth();
    config.alpn_protocols = match version {
        ProtocolVersion::Http1 => protocols(&["http/1.1"]),
        ProtocolVersion::Http2 | ProtocolVersion::Grpc => protocols(&["h2"]),
    };
    Arc::new(config)
}

/// Takes any certificate: a load balancer trusts its network with who a target is.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
