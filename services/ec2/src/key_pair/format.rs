//! How keys are written: OpenSSH's public and private form, PEM, and the fingerprints that EC2
//! shows.
//!
//! RFC 4253, section 6.6; OpenSSH: PROTOCOL.key; RFC 8017, appendix A.1.
//! AWS: "Verify the fingerprint of your key pair".

use aws_lc_rs::digest;
use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der};
use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeySize};
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kernel::ServiceError;
use md5::{Digest as _, Md5};

use super::Kind;

/// A public key with its fingerprint.
#[derive(Debug)]
pub(super) struct PublicKey {
    pub(super) kind: Kind,
    pub(super) fingerprint: String,
    /// Kind and base64, without comment.
    pub(super) openssh: String,
}

/// A new key pair.
pub(super) struct NewKey {
    pub(super) kind: Kind,
    pub(super) fingerprint: String,
    pub(super) openssh: String,
    /// The private key as `ssh -i` takes it.
    pub(super) private: String,
}

const RSA: &str = "ssh-rsa";
const ED25519: &str = "ssh-ed25519";
const SEQUENCE: u8 = 0x30;
const INTEGER: u8 = 0x02;
const OCTETS: u8 = 0x04;
const BITS: u8 = 0x03;
/// The algorithm identifier of RSA with its empty parameters.
const RSA_ALGORITHM: &[u8] =
    &[0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00];

/// A new RSA key of 2048 bits. Takes some hundred milliseconds.
pub(super) fn new_rsa() -> Result<NewKey, ServiceError> {
    let pair = RsaKeyPair::generate(KeySize::Rsa2048).map_err(ServiceError::internal)?;
    let pkcs8: Pkcs8V1Der<'_> = pair.as_der().map_err(ServiceError::internal)?;
    let malformed = || ServiceError::internal("the new key has an unknown form");
    let pkcs1 = pkcs1_of(pkcs8.as_ref()).ok_or_else(malformed)?;
    let (modulus, exponent) = rsa_numbers(pair.public_key().as_ref()).ok_or_else(malformed)?;
    let blob = rsa_blob(modulus, exponent);
    let hash = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, pkcs8.as_ref());
    Ok(NewKey {
        kind: Kind::Rsa,
        fingerprint: colons(hash.as_ref()),
        openssh: format!("{RSA} {}", STANDARD.encode(blob)),
        private: pem("RSA PRIVATE KEY", pkcs1, 64),
    })
}

/// The Ed25519 key of a seed.
pub(super) fn new_ed25519(seed: &[u8; 32]) -> Result<NewKey, ServiceError> {
    let pair = Ed25519KeyPair::from_seed_unchecked(seed).map_err(ServiceError::internal)?;
    let public = pair.public_key().as_ref();
    let blob = ed25519_blob(public);
    Ok(NewKey {
        kind: Kind::Ed25519,
        fingerprint: sha256(&blob),
        openssh: format!("{ED25519} {}", STANDARD.encode(&blob)),
        private: pem("OPENSSH PRIVATE KEY", &openssh_private(seed, public, &blob), 70),
    })
}

/// A public key that was given in OpenSSH's form, as PEM or as DER; none if it is no RSA key of
/// 1024, 2048 or 4096 bits and no Ed25519 key.
pub(super) fn imported(material: &[u8]) -> Option<PublicKey> {
    if let Ok(text) = std::str::from_utf8(material) {
        let text = text.trim();
        if text.starts_with(RSA) || text.starts_with(ED25519) {
            return from_blob(&STANDARD.decode(text.split_whitespace().nth(1)?).ok()?);
        }
        if text.starts_with("---- BEGIN SSH2 PUBLIC KEY ----") {
            return from_blob(&STANDARD.decode(ssh2_body(text)).ok()?);
        }
        if text.starts_with("-----BEGIN PUBLIC KEY-----") {
            let body: String = text.lines().filter(|line| !line.starts_with("-----")).collect();
            return from_spki(&STANDARD.decode(body).ok()?);
        }
        if let Ok(der) = STANDARD.decode(text.split_whitespace().collect::<String>()) {
            return from_spki(&der);
        }
    }
    from_spki(material)
}

/// The base64 of RFC 4716: everything that is neither mark nor header.
fn ssh2_body(text: &str) -> String {
    let mut continued = false;
    let body = text.lines().filter(|line| {
        let header = continued || line.contains(':');
        continued = header && line.ends_with('\\');
        !header && !line.starts_with("----")
    });
    body.collect()
}

fn from_blob(blob: &[u8]) -> Option<PublicKey> {
    let (kind, rest) = take_string(blob)?;
    if kind == ED25519.as_bytes() {
        let (public, rest) = take_string(rest)?;
        if public.len() != 32 || !rest.is_empty() {
            return None;
        }
        return Some(ed25519_key(public));
    }
    if kind != RSA.as_bytes() {
        return None;
    }
    let (exponent, rest) = take_string(rest)?;
    let (modulus, rest) = take_string(rest)?;
    if !rest.is_empty() {
        return None;
    }
    rsa_key(modulus, exponent)
}

fn from_spki(der: &[u8]) -> Option<PublicKey> {
    let (SEQUENCE, body, []) = take_der(der)? else { return None };
    let (SEQUENCE, algorithm, rest) = take_der(body)? else { return None };
    let (BITS, bits, []) = take_der(rest)? else { return None };
    let key = bits.strip_prefix(&[0])?;
    if RSA_ALGORITHM.ends_with(algorithm) {
        let (modulus, exponent) = rsa_numbers(key)?;
        return rsa_key(modulus, exponent);
    }
    // id-Ed25519 (RFC 8410).
    if algorithm == [0x06, 0x03, 0x2b, 0x65, 0x70] && key.len() == 32 {
        return Some(ed25519_key(key));
    }
    None
}

fn ed25519_key(public: &[u8]) -> PublicKey {
    let blob = ed25519_blob(public);
    PublicKey {
        kind: Kind::Ed25519,
        fingerprint: sha256(&blob),
        openssh: format!("{ED25519} {}", STANDARD.encode(&blob)),
    }
}

fn rsa_key(modulus: &[u8], exponent: &[u8]) -> Option<PublicKey> {
    let bytes = modulus.strip_prefix(&[0]).unwrap_or(modulus);
    if !matches!(bytes.len(), 128 | 256 | 512) || bytes.first()? & 0x80 == 0 {
        return None;
    }
    let numbers = [der(INTEGER, modulus), der(INTEGER, exponent)].concat();
    let key = [&[0], der(SEQUENCE, &numbers).as_slice()].concat();
    let spki = der(SEQUENCE, &[RSA_ALGORITHM, &der(BITS, &key)].concat());
    Some(PublicKey {
        kind: Kind::Rsa,
        fingerprint: colons(&Md5::digest(&spki)),
        openssh: format!("{RSA} {}", STANDARD.encode(rsa_blob(modulus, exponent))),
    })
}

/// Modulus and exponent of an `RSAPublicKey`.
fn rsa_numbers(der: &[u8]) -> Option<(&[u8], &[u8])> {
    let (SEQUENCE, body, []) = take_der(der)? else { return None };
    let (INTEGER, modulus, rest) = take_der(body)? else { return None };
    let (INTEGER, exponent, []) = take_der(rest)? else { return None };
    Some((modulus, exponent))
}

/// The `RSAPrivateKey` in a PKCS #8 document.
fn pkcs1_of(pkcs8: &[u8]) -> Option<&[u8]> {
    let (SEQUENCE, body, _) = take_der(pkcs8)? else { return None };
    let (INTEGER, _, rest) = take_der(body)? else { return None };
    let (SEQUENCE, _, rest) = take_der(rest)? else { return None };
    let (OCTETS, key, _) = take_der(rest)? else { return None };
    Some(key)
}

/// Tag, content and what follows of a DER element.
fn take_der(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&[tag, first], rest) = bytes.split_first_chunk::<2>()?;
    let (length, rest) = if first < 0x80 {
        (usize::from(first), rest)
    } else {
        let count = usize::from(first & 0x7f);
        if count == 0 || count > 4 {
            return None;
        }
        let (digits, rest) = rest.split_at_checked(count)?;
        (digits.iter().fold(0, |sum, digit| sum << 8 | usize::from(*digit)), rest)
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((tag, content, rest))
}

fn der(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = content.len();
    let digits: Vec<u8> = length.to_be_bytes().into_iter().skip_while(|byte| *byte == 0).collect();
    let mut out = vec![tag];
    match u8::try_from(length) {
        Ok(short) if short < 0x80 => out.push(short),
        Ok(_) | Err(_) => {
            out.push(0x80 | u8::try_from(digits.len()).unwrap_or(0x7f));
            out.extend(digits);
        }
    }
    out.extend_from_slice(content);
    out
}

fn rsa_blob(modulus: &[u8], exponent: &[u8]) -> Vec<u8> {
    [string(RSA.as_bytes()), string(exponent), string(modulus)].concat()
}

fn ed25519_blob(public: &[u8]) -> Vec<u8> {
    [string(ED25519.as_bytes()), string(public)].concat()
}

/// OpenSSH's own form of a private key, unencrypted.
fn openssh_private(seed: &[u8], public: &[u8], blob: &[u8]) -> Vec<u8> {
    let check = digest::digest(&digest::SHA256, seed);
    let check = check.as_ref().get(..4).unwrap_or_default();
    let both = [seed, public].concat();
    let mut private = [check, check].concat();
    for part in [ED25519.as_bytes(), public, &both, b""] {
        private.extend(string(part));
    }
    let padding = (8 - private.len() % 8) % 8;
    private.extend((1..=8).take(padding));
    let mut out = b"openssh-key-v1\0".to_vec();
    for part in [b"none".as_slice(), b"none", b""] {
        out.extend(string(part));
    }
    out.extend(1_u32.to_be_bytes());
    out.extend(string(blob));
    out.extend(string(&private));
    out
}

/// A string of the SSH protocol: length and bytes.
fn string(bytes: &[u8]) -> Vec<u8> {
    let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    [&length.to_be_bytes(), bytes].concat()
}

fn take_string(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    rest.split_at_checked(usize::try_from(u32::from_be_bytes(*length)).ok()?)
}

fn pem(label: &str, bytes: &[u8], width: usize) -> String {
    let body = STANDARD.encode(bytes);
    let mut out = format!("-----BEGIN {label}-----\n");
    let mut rest = body.as_str();
    while !rest.is_empty() {
        let (line, tail) = rest.split_at(width.min(rest.len()));
        out.push_str(line);
        out.push('\n');
        rest = tail;
    }
    out.push_str(&format!("-----END {label}-----\n"));
    out
}

fn colons(hash: &[u8]) -> String {
    hash.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(":")
}

fn sha256(blob: &[u8]) -> String {
    STANDARD.encode(digest::digest(&digest::SHA256, blob))
}

#[cfg(test)]
mod tests {
    use super::*;

    // Made with `ssh-keygen -t rsa -b 2048` and read back with `openssl`.
    #[test]
    fn a_made_rsa_key_is_read_back_as_its_public_half() {
        let key = new_rsa().unwrap();
        assert_eq!(key.fingerprint.len(), 20 * 3 - 1);
        assert!(key.private.starts_with("-----BEGIN RSA PRIVATE KEY-----\n"));
        let public = imported(key.openssh.as_bytes()).unwrap();
        assert_eq!((public.kind, public.openssh), (Kind::Rsa, key.openssh));
        assert_eq!(public.fingerprint.len(), 16 * 3 - 1);
    }

    #[test]
    fn an_ed25519_key_follows_from_its_seed() {
        // RFC 8032, section 7.1, test 1.
        let seed = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60";
        let public = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";
        let bytes = |hex: &str| -> Vec<u8> {
            (0..hex.len())
                .step_by(2)
                .map(|i| u8::from_str_radix(&hex[i..i + 2], 16).unwrap())
                .collect()
        };
        let key = new_ed25519(bytes(seed).as_slice().try_into().unwrap()).unwrap();
        let blob = STANDARD.decode(key.openssh.split(' ').nth(1).unwrap()).unwrap();
        assert!(blob.ends_with(&bytes(public)));
        let read = imported(format!("{} me@home", key.openssh).as_bytes()).unwrap();
        assert_eq!((read.fingerprint, read.openssh), (key.fingerprint, key.openssh));
    }

    #[test]
    fn what_is_no_public_key_is_refused() {
        for material in [&b""[..], b"ssh-rsa", b"ssh-rsa AAAA", b"ssh-dss AAAA", &[0x30, 0xff]] {
            assert!(imported(material).is_none(), "{material:?}");
        }
    }
}
