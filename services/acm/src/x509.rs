//! What stands in a certificate.

use base::Timestamp;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use serde::{Deserialize, Serialize};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer;
use x509_parser::public_key::PublicKey;

use crate::error::{Result, invalid};

/// A certificate's members as ACM shows them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Facts {
    pub(crate) serial: String,
    pub(crate) subject: String,
    pub(crate) issuer: String,
    pub(crate) common_name: Option<String>,
    pub(crate) names: Vec<String>,
    pub(crate) not_before: Timestamp,
    pub(crate) not_after: Timestamp,
    pub(crate) key_algorithm: String,
    pub(crate) signature_algorithm: String,
    pub(crate) key_usages: Vec<String>,
    /// Names with their object identifiers.
    pub(crate) extended_key_usages: Vec<(String, String)>,
    pub(crate) is_authority: bool,
    pub(crate) self_signed: bool,
}

/// The first certificate of a PEM text: its facts and its public key.
pub(crate) fn read(pem: &[u8]) -> Result<(Facts, Vec<u8>)> {
    let der = CertificateDer::from_pem_slice(pem).map_err(|_| {
        invalid("The certificate field contains a value that is not in PEM format.")
    })?;
    let (_, found) = X509Certificate::from_der(&der)
        .map_err(|_| invalid("The certificate is not a valid X.509 certificate."))?;
    let subject = &found.tbs_certificate.subject;
    let issuer = &found.tbs_certificate.issuer;
    let common_name = subject.iter_common_name().next().and_then(|name| name.as_str().ok());
    let organization = issuer.iter_organization().next().and_then(|name| name.as_str().ok());
    let facts = Facts {
        serial: found.raw_serial_as_string(),
        subject: subject.to_string(),
        issuer: organization.map_or_else(|| issuer.to_string(), str::to_owned),
        common_name: common_name.map(str::to_owned),
        names: names(&found, common_name),
        not_before: Timestamp::from_secs(found.validity().not_before.timestamp()),
        not_after: Timestamp::from_secs(found.validity().not_after.timestamp()),
        key_algorithm: key_algorithm(&found)?,
        signature_algorithm: signature_algorithm(&found),
        key_usages: key_usages(&found),
        extended_key_usages: extended_key_usages(&found),
        is_authority: found.is_ca(),
        self_signed: subject == issuer,
    };
    Ok((facts, found.public_key().raw.to_vec()))
}

/// Whether each certificate of a chain is one, and how many there are.
pub(crate) fn check_chain(pem: &[u8]) -> Result<usize> {
    let mut count = 0;
    for der in CertificateDer::pem_slice_iter(pem) {
        let fault = || invalid("The certificate chain is not in PEM format.");
        let der = der.map_err(|_| fault())?;
        X509Certificate::from_der(&der).map_err(|_| fault())?;
        count += 1;
    }
    if count == 0 {
        return Err(invalid("The certificate chain is not in PEM format."));
    }
    Ok(count)
}

/// Whether `chain` begins with the issuer of `certificate`.
pub(crate) fn is_issued_by(certificate: &[u8], chain: &[u8]) -> bool {
    let read = |pem: &[u8]| CertificateDer::from_pem_slice(pem).ok();
    let (Some(child), Some(parent)) = (read(certificate), read(chain)) else { return false };
    let (Ok((_, child)), Ok((_, parent))) =
        (X509Certificate::from_der(&child), X509Certificate::from_der(&parent))
    else {
        return false;
    };
    child.tbs_certificate.issuer == parent.tbs_certificate.subject
}

fn names(certificate: &X509Certificate<'_>, common_name: Option<&str>) -> Vec<String> {
    let extension = certificate.subject_alternative_name().ok().flatten();
    let listed = extension.into_iter().flat_map(|extension| &extension.value.general_names);
    let dns = |name: &GeneralName<'_>| {
        if let GeneralName::DNSName(name) = name { Some((*name).to_owned()) } else { None }
    };
    let mut names: Vec<String> = listed.filter_map(dns).collect();
    if names.is_empty() {
        names.extend(common_name.map(str::to_owned));
    }
    names
}

fn key_algorithm(certificate: &X509Certificate<'_>) -> Result<String> {
    let refuse = || invalid("The certificate's public key algorithm is not supported.");
    match certificate.public_key().parsed().map_err(|_| refuse())? {
        PublicKey::RSA(key) => Ok(format!("RSA_{}", key.key_size())),
        PublicKey::EC(point) => match point.key_size() {
            256 => Ok("EC_prime256v1".to_owned()),
            384 => Ok("EC_secp384r1".to_owned()),
            _ => Ok("EC_secp521r1".to_owned()),
        },
        PublicKey::DSA(_)
        | PublicKey::GostR3410(_)
        | PublicKey::GostR3410_2012(_)
        | PublicKey::Unknown(_) => Err(refuse()),
    }
}

fn signature_algorithm(certificate: &X509Certificate<'_>) -> String {
    let oid = certificate.signature_algorithm.algorithm.to_id_string();
    let known = match oid.as_str() {
        "1.2.840.113549.1.1.5" => "SHA1WITHRSA",
        "1.2.840.113549.1.1.11" => "SHA256WITHRSA",
        "1.2.840.113549.1.1.12" => "SHA384WITHRSA",
        "1.2.840.113549.1.1.13" => "SHA512WITHRSA",
        "1.2.840.10045.4.3.2" => "SHA256WITHECDSA",
        "1.2.840.10045.4.3.3" => "SHA384WITHECDSA",
        "1.2.840.10045.4.3.4" => "SHA512WITHECDSA",
        _ => return oid,
    };
    known.to_owned()
}

fn key_usages(certificate: &X509Certificate<'_>) -> Vec<String> {
    let Some(usage) = certificate.key_usage().ok().flatten() else { return Vec::new() };
    let usage = usage.value;
    let all = [
        (usage.digital_signature(), "DIGITAL_SIGNATURE"),
        (usage.non_repudiation(), "NON_REPUDIATION"),
        (usage.key_encipherment(), "KEY_ENCIPHERMENT"),
        (usage.data_encipherment(), "DATA_ENCIPHERMENT"),
        (usage.key_agreement(), "KEY_AGREEMENT"),
        (usage.key_cert_sign(), "CERTIFICATE_SIGNING"),
        (usage.crl_sign(), "CRL_SIGNING"),
        (usage.encipher_only(), "ENCIPHER_ONLY"),
        (usage.decipher_only(), "DECIPHER_ONLY"),
    ];
    all.iter().filter(|(on, _)| *on).map(|(_, name)| (*name).to_owned()).collect()
}

fn extended_key_usages(certificate: &X509Certificate<'_>) -> Vec<(String, String)> {
    let Some(usage) = certificate.extended_key_usage().ok().flatten() else { return Vec::new() };
    let usage = usage.value;
    let all = [
        (usage.any, "ANY", "2.5.29.37.0"),
        (usage.server_auth, "TLS_WEB_SERVER_AUTHENTICATION", "1.3.6.1.5.5.7.3.1"),
        (usage.client_auth, "TLS_WEB_CLIENT_AUTHENTICATION", "1.3.6.1.5.5.7.3.2"),
        (usage.code_signing, "CODE_SIGNING", "1.3.6.1.5.5.7.3.3"),
        (usage.email_protection, "EMAIL_PROTECTION", "1.3.6.1.5.5.7.3.4"),
        (usage.time_stamping, "TIME_STAMPING", "1.3.6.1.5.5.7.3.8"),
        (usage.ocsp_signing, "OCSP_SIGNING", "1.3.6.1.5.5.7.3.9"),
    ];
    let known = all.iter().filter(|(on, ..)| *on);
    let known = known.map(|(_, name, oid)| ((*name).to_owned(), (*oid).to_owned()));
    let other = usage.other.iter().map(|oid| ("CUSTOM".to_owned(), oid.to_id_string()));
    known.chain(other).collect()
}
