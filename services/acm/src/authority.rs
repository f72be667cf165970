//! The region's root certificate authority: what public authorities are to AWS. Whoever trusts its
//! certificate trusts what ACM issues here, and the gateway.

use base::Timestamp;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use time::OffsetDateTime;

/// The authority cannot be made, opened or used.
#[derive(Debug, thiserror::Error)]
#[error("the certificate authority failed: {0}")]
pub struct AuthorityError(#[from] rcgen::Error);

/// Signs certificates for the region.
pub struct Authority {
    certificate: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    /// A new authority, and its private key as PEM, which the caller must seal.
    ///
    /// # Errors
    ///
    /// When no key can be made.
    pub fn make() -> Result<(Self, String), AuthorityError> {
        let key = KeyPair::generate()?;
        let key_pem = key.serialize_pem();
        let certificate = params()?.self_signed(&key)?.pem();
        Ok((Self { certificate, issuer: Issuer::new(params()?, key) }, key_pem))
    }

    /// The authority that was made with this certificate and key, both PEM.
    ///
    /// # Errors
    ///
    /// When the key is not one.
    pub fn open(certificate: String, key: &str) -> Result<Self, AuthorityError> {
        let key = KeyPair::from_pem(key)?;
        Ok(Self { certificate, issuer: Issuer::new(params()?, key) })
    }

    /// Its own certificate, as PEM.
    pub fn certificate(&self) -> &str {
        &self.certificate
    }

    /// The certificate of `key` with `params`, signed, as PEM.
    ///
    /// # Errors
    ///
    /// When the parameters cannot be written.
    pub fn sign(&self, params: CertificateParams, key: &KeyPair) -> Result<String, AuthorityError> {
        Ok(params.signed_by(key, &self.issuer)?.pem())
    }
}

fn params() -> Result<CertificateParams, rcgen::Error> {
    let mut params = CertificateParams::new(Vec::new())?;
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.distinguished_name.push(DnType::CommonName, "Skyhold root");
    Ok(params)
}

/// A moment as `rcgen` takes it.
pub(crate) fn moment(at: Timestamp) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(at.as_secs()).unwrap_or(OffsetDateTime::UNIX_EPOCH)
}
