//! The gateway's certificate: a certificate authority of the region's own, made at the first start,
//! and a server certificate below it.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};
use base::Region;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::credentials::{private_folder, write_private};

/// The file with the names that the certificate is for.
const NAMES: &str = "gateway-names";

/// The gateway's TLS configuration; keys and certificates are kept in `keys`.
pub(crate) fn server_config(keys: &Path, region: &Region) -> Result<Arc<rustls::ServerConfig>> {
    private_folder(keys)?;
    let names = names(region);
    let noted = std::fs::read_to_string(keys.join(NAMES)).unwrap_or_default();
    if noted != names.join("\n") {
        make(keys, &names)?;
    }
    let (chain, key) = (keys.join("gateway.pem"), keys.join("gateway-key.pem"));
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

/// The certificate of the region's authority, as PEM.
pub(crate) fn authority(keys: &Path) -> Result<String> {
    Ok(std::fs::read_to_string(keys.join("ca.pem"))?)
}

/// The region's authority, ready to sign. It was made with the gateway's certificate.
pub(crate) fn signing_authority(keys: &Path) -> Result<acm::Authority> {
    let key = std::fs::read_to_string(keys.join("ca-key.pem"))?;
    Ok(acm::Authority::open(authority(keys)?, &key)?)
}

/// The names that AWS's endpoints have, and those of this machine. A wildcard stands for one label,
/// so the services whose names carry more are named.
fn names(region: &Region) -> Vec<String> {
    let own = ["localhost", "*.localhost", "127.0.0.1", "::1", "*.amazonaws.com"];
    let domains = ["s3", "execute-api", "dkr.ecr", "lambda-url", "iot", "es", "aoss"];
    let regional = domains.map(|service| format!("*.{service}.{region}.amazonaws.com"));
    let others = [format!("*.{region}.amazonaws.com"), "*.s3.amazonaws.com".to_owned()];
    own.into_iter().map(str::to_owned).chain(others).chain(regional).collect()
}

/// Certifies the gateway under `names`, by the region's authority, which is made once.
fn make(keys: &Path, names: &[String]) -> Result<()> {
    let mut ca = CertificateParams::new(Vec::new())?;
    ca.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    ca.distinguished_name.push(DnType::CommonName, "Skyhold root");
    let (ca_key, ca_pem) = (keys.join("ca-key.pem"), keys.join("ca.pem"));
    if !ca_key.exists() || !ca_pem.exists() {
        let fresh = KeyPair::generate()?;
        write_private(&ca_pem, ca.self_signed(&fresh)?.pem().as_bytes())?;
        write_private(&ca_key, fresh.serialize_pem().as_bytes())?;
    }
    let issuer = Issuer::new(ca, KeyPair::from_pem(&std::fs::read_to_string(&ca_key)?)?);
    let key = KeyPair::generate()?;
    let leaf = CertificateParams::new(names.to_vec())?
        .signed_by(&key, &issuer)
        .context("cannot sign the gateway's certificate")?;
    write_private(&keys.join("gateway-key.pem"), key.serialize_pem().as_bytes())?;
    let chain = format!("{}{}", leaf.pem(), authority(keys)?);
    write_private(&keys.join("gateway.pem"), chain.as_bytes())?;
    // Last, so that a start that was cut short makes them again.
    write_private(&keys.join(NAMES), names.join("\n").as_bytes())
}
