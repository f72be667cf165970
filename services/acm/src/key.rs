//! Private keys: made, checked against certificates, encrypted for export.

use acm_api::KeyAlgorithm;
use aws_lc_rs::cipher::{
    AES_256, AES_256_KEY_LEN, EncryptionContext, PaddedBlockEncryptingKey, UnboundCipherKey,
};
use aws_lc_rs::iv::{FixedLength, IV_LEN_128_BIT};
use aws_lc_rs::pbkdf2::{self, PBKDF2_HMAC_SHA256};
use base::Random;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kernel::ServiceError;
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_RSA_SHA256, RsaKeySize};
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;

use crate::error::{Error, Result, invalid};

/// A new key of a kind that certificates can be requested with.
///
/// AWS: RequestCertificate (`KeyAlgorithm`).
pub(crate) fn generate(algorithm: KeyAlgorithm) -> Result<KeyPair> {
    let made = match algorithm {
        KeyAlgorithm::Rsa2048 => KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048),
        KeyAlgorithm::EcPrime256v1 => KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256),
        KeyAlgorithm::EcSecp384r1 => KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384),
        KeyAlgorithm::Rsa1024
        | KeyAlgorithm::Rsa3072
        | KeyAlgorithm::Rsa4096
        | KeyAlgorithm::EcSecp521r1 => return Err(not_requested(algorithm)),
    };
    made.map_err(|error| Error::Inside(ServiceError::internal(error)))
}

/// Refuses a kind of key that certificates can be imported with only.
pub(crate) fn require_requested(algorithm: KeyAlgorithm) -> Result<()> {
    match algorithm {
        KeyAlgorithm::Rsa2048 | KeyAlgorithm::EcPrime256v1 | KeyAlgorithm::EcSecp384r1 => Ok(()),
        KeyAlgorithm::Rsa1024
        | KeyAlgorithm::Rsa3072
        | KeyAlgorithm::Rsa4096
        | KeyAlgorithm::EcSecp521r1 => Err(not_requested(algorithm)),
    }
}

fn not_requested(algorithm: KeyAlgorithm) -> Error {
    Error::InvalidParameter(format!(
        "The key algorithm {algorithm} is not supported for public certificates."
    ))
}

/// The public half (`SubjectPublicKeyInfo`) of a private key in PEM.
pub(crate) fn public_half(pem: &[u8]) -> Result<Vec<u8>> {
    let text = String::from_utf8_lossy(pem);
    if text.contains("ENCRYPTED") {
        return Err(invalid("The private key must not be encrypted."));
    }
    let key = PrivateKeyDer::from_pem_slice(pem)
        .map_err(|_| invalid("The private key is not in PEM format."))?;
    let key = rustls::crypto::aws_lc_rs::sign::any_supported_type(&key)
        .map_err(|_| invalid("The private key is not supported."))?;
    let half = key.public_key().ok_or_else(|| invalid("The private key is not supported."))?;
    Ok(half.as_ref().to_vec())
}

/// Rounds of the passphrase's derivation.
const ROUNDS: u32 = 2048;
const SALT_LEN: usize = 16;

/// A private key as an encrypted PKCS #8 document (RFC 5958) under PBES2 (RFC 8018): PBKDF2 with
/// HMAC-SHA-256, and AES-256 in CBC mode.
pub(crate) fn encrypt(pem: &str, passphrase: &[u8], random: &dyn Random) -> Result<String> {
    let fault = || Error::Inside(ServiceError::internal("a private key cannot be encrypted"));
    let der = PrivateKeyDer::from_pem_slice(pem.as_bytes()).map_err(|_| fault())?;
    let mut salt = [0; SALT_LEN];
    let mut iv = [0; IV_LEN_128_BIT];
    random.fill(&mut salt);
    random.fill(&mut iv);
    let mut key = [0; AES_256_KEY_LEN];
    let rounds = std::num::NonZeroU32::new(ROUNDS).ok_or_else(fault)?;
    pbkdf2::derive(PBKDF2_HMAC_SHA256, rounds, &salt, passphrase, &mut key);
    let key = UnboundCipherKey::new(&AES_256, &key).map_err(|_| fault())?;
    let key = PaddedBlockEncryptingKey::cbc_pkcs7(key).map_err(|_| fault())?;
    let mut body = der.secret_der().to_vec();
    let context = EncryptionContext::Iv128(FixedLength::from(iv));
    key.less_safe_encrypt(&mut body, context).map_err(|_| fault())?;
    Ok(armour("ENCRYPTED PRIVATE KEY", &document(&salt, &iv, &body)))
}

/// 1.2.840.113549.1.5.13, .12, 1.2.840.113549.2.9 and 2.16.840.1.101.3.4.1.42, in DER.
const PBES2: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x05, 0x0d];
const PBKDF2: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x05, 0x0c];
const HMAC_SHA256: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x02, 0x09];
const AES_256_CBC: &[u8] = &[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x01, 0x2a];

const INTEGER: u8 = 0x02;
const OCTETS: u8 = 0x04;
const NULL: u8 = 0x05;
const OID: u8 = 0x06;
const SEQUENCE: u8 = 0x30;

fn document(salt: &[u8], iv: &[u8], body: &[u8]) -> Vec<u8> {
    let sequence = |parts: &[Vec<u8>]| tagged(SEQUENCE, &parts.concat());
    let prf = sequence(&[tagged(OID, HMAC_SHA256), tagged(NULL, &[])]);
    let rounds = tagged(INTEGER, &ROUNDS.to_be_bytes().into_iter().skip(2).collect::<Vec<_>>());
    let derivation = sequence(&[tagged(OCTETS, salt), rounds, prf]);
    let derivation = sequence(&[tagged(OID, PBKDF2), derivation]);
    let scheme = sequence(&[tagged(OID, AES_256_CBC), tagged(OCTETS, iv)]);
    let algorithm = sequence(&[tagged(OID, PBES2), sequence(&[derivation, scheme])]);
    sequence(&[algorithm, tagged(OCTETS, body)])
}

/// A value with its tag and length, in DER.
fn tagged(tag: u8, value: &[u8]) -> Vec<u8> {
    let length = value.len().to_be_bytes();
    let length: Vec<u8> = length.into_iter().skip_while(|byte| *byte == 0).collect();
    let mut out = vec![tag];
    match length.as_slice() {
        [] => out.push(0),
        [short] if *short < 0x80 => out.push(*short),
        long => {
            out.push(0x80 | u8::try_from(long.len()).unwrap_or(8));
            out.extend(long);
        }
    }
    out.extend(value);
    out
}

fn armour(label: &str, der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let mut out = format!("-----BEGIN {label}-----\n");
    for (at, character) in text.chars().enumerate() {
        if at > 0 && at % 64 == 0 {
            out.push('\n');
        }
        out.push(character);
    }
    out.push_str(&format!("\n-----END {label}-----\n"));
    out
}
