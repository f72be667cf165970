//! Certificates and keys as PEM: only what IAM must know of them.
//!
//! RFC 7468 for the armour, RFC 5280 for the certificate.

use aws_lc_rs::rsa;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING, EcdsaKeyPair, KeyPair,
};
use base::Timestamp;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// What of a certificate counts.
pub(crate) struct Certificate {
    /// When it ends.
    pub(crate) not_after: Timestamp,
    /// The public key as its own bit string holds it.
    pub(crate) public_key: Vec<u8>,
}

/// The contents of the first block called `label`.
pub(crate) fn block(text: &str, label: &str) -> Option<Vec<u8>> {
    let begin = format!("-----BEGIN {label}-----");
    let end = format!("-----END {label}-----");
    let inside = text.split_once(&begin)?.1.split_once(&end)?.0;
    let packed: String = inside.chars().filter(|c| !c.is_whitespace()).collect();
    STANDARD.decode(packed).ok()
}

/// A block called `label` around `bytes`.
pub(crate) fn armoured(label: &str, bytes: &[u8]) -> String {
    let text = STANDARD.encode(bytes);
    let lines: Vec<&str> = text
        .as_bytes()
        .chunks(64)
        .map(|line| std::str::from_utf8(line).unwrap_or_default())
        .collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}

/// One element of DER: its tag and contents, and what follows.
fn element(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (tag, rest) = bytes.split_first()?;
    let (first, rest) = rest.split_first()?;
    let (length, rest) = if *first < 0x80 {
        (usize::from(*first), rest)
    } else {
        let count = usize::from(first & 0x7f);
        if count == 0 || count > 4 {
            return None;
        }
        let (digits, rest) = rest.split_at_checked(count)?;
        (digits.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte)), rest)
    };
    let (contents, rest) = rest.split_at_checked(length)?;
    Some((*tag, contents, rest))
}

impl Certificate {
    /// Reads a certificate in PEM.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let der = block(text, "CERTIFICATE")?;
        let (0x30, whole, _) = element(&der)? else { return None };
        let (0x30, mut rest, _) = element(whole)? else { return None };
        // An explicit version comes first where there is one.
        if let Some((0xa0, _, behind)) = element(rest) {
            rest = behind;
        }
        // Serial number, signature algorithm, issuer.
        for _ in 0..3 {
            rest = element(rest)?.2;
        }
        let (0x30, validity, rest) = element(rest)? else { return None };
        let (_, _, behind) = element(validity)?;
        let (kind, ends, _) = element(behind)?;
        let (_, _, rest) = element(rest)?;
        let (0x30, key, _) = element(rest)? else { return None };
        let (_, _, bits) = element(key)?;
        let (0x03, bits, _) = element(bits)? else { return None };
        Some(Self { not_after: time(kind, ends)?, public_key: bits.get(1..)?.to_vec() })
    }

    /// Whether the private key in PEM belongs to the certificate.
    pub(crate) fn belongs(&self, key: &str) -> bool {
        public_of(key).is_some_and(|public| public == self.public_key)
    }
}

/// `UTCTime` (two digits of a year) or `GeneralizedTime`.
fn time(kind: u8, text: &[u8]) -> Option<Timestamp> {
    let text = std::str::from_utf8(text).ok()?;
    let full = match kind {
        0x17 => {
            let century = if text.get(..2)?.parse::<u8>().ok()? < 50 { "20" } else { "19" };
            format!("{century}{text}")
        }
        0x18 => text.to_owned(),
        _ => return None,
    };
    format!("{}T{}", full.get(..8)?, full.get(8..)?).parse().ok()
}

/// The public key of a private key in PEM, in any of the three usual forms.
fn public_of(text: &str) -> Option<Vec<u8>> {
    if let Some(der) = block(text, "RSA PRIVATE KEY") {
        return Some(rsa::KeyPair::from_der(&der).ok()?.public_key().as_ref().to_vec());
    }
    if let Some(der) = block(text, "EC PRIVATE KEY") {
        return [&ECDSA_P256_SHA256_ASN1_SIGNING, &ECDSA_P384_SHA384_ASN1_SIGNING]
            .iter()
            .find_map(|curve| EcdsaKeyPair::from_private_key_der(curve, &der).ok())
            .map(|pair| pair.public_key().as_ref().to_vec());
    }
    let der = block(text, "PRIVATE KEY")?;
    if let Ok(pair) = rsa::KeyPair::from_pkcs8(&der) {
        return Some(pair.public_key().as_ref().to_vec());
    }
    [&ECDSA_P256_SHA256_ASN1_SIGNING, &ECDSA_P384_SHA384_ASN1_SIGNING]
        .iter()
        .find_map(|curve| EcdsaKeyPair::from_pkcs8(curve, &der).ok())
        .map(|pair| pair.public_key().as_ref().to_vec())
}

/// One element of DER.
fn der(tag: u8, contents: &[u8]) -> Vec<u8> {
    let length = contents.len();
    let mut out = vec![tag];
    match u8::try_from(length) {
        Ok(short) if short < 0x80 => out.push(short),
        _ => {
            let digits = length.to_be_bytes();
            let digits: Vec<u8> = digits.into_iter().skip_while(|digit| *digit == 0).collect();
            out.push(0x80 | u8::try_from(digits.len()).unwrap_or_default());
            out.extend(digits);
        }
    }
    out.extend_from_slice(contents);
    out
}

/// A number that is not negative.
fn integer(bytes: &[u8]) -> Vec<u8> {
    let high = bytes.first().is_some_and(|first| first & 0x80 != 0);
    let padding: &[u8] = if high { &[0] } else { &[] };
    der(0x02, &[padding, bytes].concat())
}

/// The `SubjectPublicKeyInfo` of an RSA key, from its modulus and exponent.
pub(crate) fn rsa_spki(modulus: &[u8], exponent: &[u8]) -> Vec<u8> {
    // rsaEncryption, without parameters.
    const ALGORITHM: [u8; 13] =
        [0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00];
    let key = der(0x30, &[integer(modulus), integer(exponent)].concat());
    let bits = der(0x03, &[&[0], key.as_slice()].concat());
    der(0x30, &[der(0x30, &ALGORITHM), bits].concat())
}
