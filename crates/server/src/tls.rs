//! The gateway's certificate: a certificate authority of the region's own, made at the first start,
//! and a server certificate below it.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::credentials::{private_folder, write_private};

/// The gateway's TLS configuration; keys and certificates are kept in `keys`.
pub(crate) fn server_config(keys: &Path) -> Result<Arc<rustls::ServerConfig>> {
    let (chain, key) = (keys.join("gateway.pem"), keys.join("gateway-key.pem"));
    if !chain.exists() || !key.exists() {
        make(keys)?;
    }
    let chain: Vec<CertificateDer<'static>> =
        CertificateDer::pem_file_iter(&chain)?.collect::<Result<_, _>>()?;
    let key = PrivateKeyDer::from_pem_file(&key)?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

fn make(keys: &Path) -> Result<()> {
    private_folder(keys)?;
    let ca_key = KeyPair::generate()?;
    let mut ca = CertificateParams::new(Vec::new())?;
    ca.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    ca.distinguished_name.push(DnType::CommonName, "Skyhold root");
    let ca_certificate = ca.self_signed(&ca_key)?;
    let issuer = Issuer::new(ca, ca_key);
    let names = ["localhost", "*.localhost", "127.0.0.1", "::1", "*.amazonaws.com"];
    let key = KeyPair::generate()?;
    let leaf = CertificateParams::new(names.map(str::to_owned).to_vec())?
        .signed_by(&key, &issuer)
        .context("cannot sign the gateway's certificate")?;
    write_private(&keys.join("ca.pem"), ca_certificate.pem().as_bytes())?;
    write_private(&keys.join("gateway-key.pem"), key.serialize_pem().as_bytes())?;
    let chain = format!("{}{}", leaf.pem(), ca_certificate.pem());
    write_private(&keys.join("gateway.pem"), chain.as_bytes())?;
    Ok(())
}
