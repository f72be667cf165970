//! Key pairs: made, opened, and used, all by AWS-LC.

use aws_lc_rs::agreement::{self, ECDH_P256, ECDH_P384, ECDH_P521, UnparsedPublicKey};
use aws_lc_rs::digest::{self, Digest};
use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rsa::{
    KeySize, OAEP_SHA1_MGF1SHA1, OAEP_SHA256_MGF1SHA256, OaepAlgorithm, OaepPrivateDecryptingKey,
    OaepPublicEncryptingKey, PrivateDecryptingKey,
};
use aws_lc_rs::signature::{
    self, ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P256K1_SHA256_ASN1,
    ECDSA_P256K1_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1, ECDSA_P384_SHA384_ASN1_SIGNING,
    ECDSA_P521_SHA512_ASN1, ECDSA_P521_SHA512_ASN1_SIGNING, ED25519, EcdsaKeyPair,
    EcdsaSigningAlgorithm, Ed25519KeyPair, KeyPair as _, ML_DSA_44, ML_DSA_44_SIGNING, ML_DSA_65,
    ML_DSA_65_SIGNING, ML_DSA_87, ML_DSA_87_SIGNING, PqdsaKeyPair, PqdsaSigningAlgorithm,
    RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_2048_8192_SHA384, RSA_PKCS1_2048_8192_SHA512,
    RSA_PKCS1_SHA256, RSA_PKCS1_SHA384, RSA_PKCS1_SHA512, RSA_PSS_2048_8192_SHA256,
    RSA_PSS_2048_8192_SHA384, RSA_PSS_2048_8192_SHA512, RSA_PSS_SHA256, RSA_PSS_SHA384,
    RSA_PSS_SHA512, RsaEncoding, RsaKeyPair, VerificationAlgorithm,
};
use kms_api::{EncryptionAlgorithmSpec, KeySpec, SigningAlgorithmSpec};

use crate::error::{Error, Result};

/// A key pair, ready for use.
pub(crate) enum Pair {
    Rsa(Box<Rsa>),
    Ecdsa(EcdsaKeyPair),
    Ecdh(agreement::PrivateKey),
    Edwards(Ed25519KeyPair),
    MlDsa(PqdsaKeyPair),
}

/// An RSA pair in the two forms that AWS-LC takes.
pub(crate) struct Rsa {
    signing: RsaKeyPair,
    decrypting: PrivateDecryptingKey,
}

/// What is signed: a message, or the digest of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Message<'a> {
    Raw(&'a [u8]),
    Digest(&'a [u8]),
}

/// The private half of a new pair, as PKCS #8.
///
/// Takes up to a second for RSA: call it on the blocking pool.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "the model lists many more specs and algorithms than one family has"
)]
pub(crate) fn generate(spec: KeySpec) -> Result<Vec<u8>> {
    let size = match spec {
        KeySpec::Rsa2048 => KeySize::Rsa2048,
        KeySpec::Rsa3072 => KeySize::Rsa3072,
        KeySpec::Rsa4096 => KeySize::Rsa4096,
        _ => return generate_elliptic(spec),
    };
    let key = PrivateDecryptingKey::generate(size)?;
    Ok(AsDer::<aws_lc_rs::encoding::Pkcs8V1Der<'_>>::as_der(&key)?.as_ref().to_vec())
}

fn generate_elliptic(spec: KeySpec) -> Result<Vec<u8>> {
    if let Some(algorithm) = curve(spec) {
        return Ok(EcdsaKeyPair::generate(algorithm)?.to_pkcs8v1()?.as_ref().to_vec());
    }
    if let Some(algorithm) = ml_dsa(spec) {
        return Ok(PqdsaKeyPair::generate(algorithm)?.to_pkcs8v1()?.as_ref().to_vec());
    }
    if spec == KeySpec::EccNistEdwards25519 {
        return Ok(Ed25519KeyPair::generate()?.to_pkcs8v1()?.as_ref().to_vec());
    }
    Err(Error::UnsupportedOperation(format!("{spec} keys cannot be generated.")))
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "the model lists many more specs and algorithms than one family has"
)]
fn curve(spec: KeySpec) -> Option<&'static EcdsaSigningAlgorithm> {
    Some(match spec {
        KeySpec::EccNistP256 => &ECDSA_P256_SHA256_ASN1_SIGNING,
        KeySpec::EccNistP384 => &ECDSA_P384_SHA384_ASN1_SIGNING,
        KeySpec::EccNistP521 => &ECDSA_P521_SHA512_ASN1_SIGNING,
        KeySpec::EccSecgP256k1 => &ECDSA_P256K1_SHA256_ASN1_SIGNING,
        _ => return None,
    })
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "the model lists many more specs and algorithms than one family has"
)]
fn ml_dsa(spec: KeySpec) -> Option<&'static PqdsaSigningAlgorithm> {
    Some(match spec {
        KeySpec::MlDsa44 => &ML_DSA_44_SIGNING,
        KeySpec::MlDsa65 => &ML_DSA_65_SIGNING,
        KeySpec::MlDsa87 => &ML_DSA_87_SIGNING,
        _ => return None,
    })
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "the model lists many more specs and algorithms than one family has"
)]
fn ecdh(spec: KeySpec) -> Option<&'static agreement::Algorithm> {
    Some(match spec {
        KeySpec::EccNistP256 => &ECDH_P256,
        KeySpec::EccNistP384 => &ECDH_P384,
        KeySpec::EccNistP521 => &ECDH_P521,
        _ => return None,
    })
}

impl Pair {
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "the model lists many more specs than there are pairs"
    )]
    /// The pair whose private half is `pkcs8`, if it is one of `spec`.
    pub(crate) fn open(spec: KeySpec, agrees: bool, pkcs8: &[u8]) -> Option<Self> {
        if agrees {
            let key = agreement::PrivateKey::from_private_key_der(ecdh(spec)?, pkcs8).ok()?;
            return Some(Self::Ecdh(key));
        }
        if let Some(algorithm) = curve(spec) {
            return EcdsaKeyPair::from_pkcs8(algorithm, pkcs8).ok().map(Self::Ecdsa);
        }
        if let Some(algorithm) = ml_dsa(spec) {
            return PqdsaKeyPair::from_pkcs8(algorithm, pkcs8).ok().map(Self::MlDsa);
        }
        let bits = match spec {
            KeySpec::Rsa2048 => 2048,
            KeySpec::Rsa3072 => 3072,
            KeySpec::Rsa4096 => 4096,
            KeySpec::EccNistEdwards25519 => {
                let key = Ed25519KeyPair::from_pkcs8_maybe_unchecked(pkcs8).ok()?;
                return Some(Self::Edwards(key));
            }
            _ => return None,
        };
        let signing = RsaKeyPair::from_pkcs8(pkcs8).ok()?;
        let decrypting = PrivateDecryptingKey::from_pkcs8(pkcs8).ok()?;
        (signing.public_modulus_len() * 8 == bits)
            .then(|| Self::Rsa(Box::new(Rsa { signing, decrypting })))
    }

    /// The public half, as SubjectPublicKeyInfo.
    pub(crate) fn public(&self) -> Result<Vec<u8>> {
        Ok(match self {
            Self::Rsa(rsa) => rsa.signing.public_key().as_der()?.as_ref().to_vec(),
            Self::Ecdsa(pair) => pair.public_key().as_der()?.as_ref().to_vec(),
            Self::Ecdh(key) => {
                let public = key.compute_public_key()?;
                AsDer::<aws_lc_rs::encoding::PublicKeyX509Der<'_>>::as_der(&public)?
                    .as_ref()
                    .to_vec()
            }
            Self::Edwards(pair) => pair.public_key().as_der()?.as_ref().to_vec(),
            Self::MlDsa(pair) => pair.public_key().as_der()?.as_ref().to_vec(),
        })
    }

    /// Encrypts for the pair.
    pub(crate) fn encrypt(
        &self,
        algorithm: EncryptionAlgorithmSpec,
        plain: &[u8],
    ) -> Result<Vec<u8>> {
        let Self::Rsa(rsa) = self else { return Err(Error::Crypto) };
        let oaep = oaep(algorithm)?;
        let key = OaepPublicEncryptingKey::new(rsa.decrypting.public_key())?;
        if plain.len() > key.max_plaintext_size(oaep) {
            return Err(Error::Validation(format!(
                "Algorithm {algorithm} and key spec RSA_{} cannot encrypt data larger than {} \
                 bytes.",
                key.key_size_bits(),
                key.max_plaintext_size(oaep)
            )));
        }
        let mut out = vec![0; key.ciphertext_size()];
        Ok(key.encrypt(oaep, plain, &mut out, None)?.to_vec())
    }

    /// Decrypts what was encrypted for the pair.
    pub(crate) fn decrypt(
        &self,
        algorithm: EncryptionAlgorithmSpec,
        ciphertext: &[u8],
    ) -> Result<Vec<u8>> {
        let Self::Rsa(rsa) = self else { return Err(Error::Crypto) };
        let key = OaepPrivateDecryptingKey::new(rsa.decrypting.clone())?;
        let mut out = vec![0; key.min_output_size()];
        let plain = key.decrypt(oaep(algorithm)?, ciphertext, &mut out, None);
        plain.map(|plain| plain.to_vec()).map_err(|_| Error::InvalidCiphertext)
    }

    /// Signs.
    pub(crate) fn sign(
        &self,
        algorithm: SigningAlgorithmSpec,
        message: Message<'_>,
    ) -> Result<Vec<u8>> {
        Ok(match self {
            Self::Rsa(rsa) => {
                let mut out = vec![0; rsa.signing.public_modulus_len()];
                let digest = digest_of(algorithm, message)?;
                rsa.signing.sign_digest(rsa_encoding(algorithm)?, &digest, &mut out)?;
                out
            }
            Self::Ecdsa(pair) => {
                pair.sign_digest(&digest_of(algorithm, message)?)?.as_ref().to_vec()
            }
            Self::Edwards(pair) => pair.sign(raw(algorithm, message)?).as_ref().to_vec(),
            Self::MlDsa(pair) => {
                let mut out = vec![0; pair.algorithm().signature_len()];
                let length = pair.sign(raw(algorithm, message)?, &mut out)?;
                out.truncate(length);
                out
            }
            Self::Ecdh(_) => return Err(Error::Crypto),
        })
    }

    /// Whether `signature` is one of this pair's over `message`.
    pub(crate) fn verifies(
        &self,
        algorithm: SigningAlgorithmSpec,
        message: Message<'_>,
        signature: &[u8],
    ) -> Result<bool> {
        let by_digest = |verifier: &'static dyn VerificationAlgorithm, public: &[u8]| {
            let digest = digest_of(algorithm, message)?;
            let key = signature::UnparsedPublicKey::new(verifier, public);
            Ok(key.verify_digest(&digest, signature).is_ok())
        };
        let by_message = |verifier: &'static dyn VerificationAlgorithm, public: &[u8]| {
            let key = signature::UnparsedPublicKey::new(verifier, public);
            Ok(key.verify(raw(algorithm, message)?, signature).is_ok())
        };
        match self {
            Self::Rsa(rsa) => {
                by_digest(rsa_verifier(algorithm)?, rsa.signing.public_key().as_ref())
            }
            Self::Ecdsa(pair) => {
                by_digest(ecdsa_verifier(pair.algorithm())?, pair.public_key().as_ref())
            }
            Self::Edwards(pair) => by_message(&ED25519, pair.public_key().as_ref()),
            Self::MlDsa(pair) => {
                by_message(ml_dsa_verifier(pair.algorithm())?, pair.public_key().as_ref())
            }
            Self::Ecdh(_) => Err(Error::Crypto),
        }
    }

    /// The secret shared with whoever holds the private half of `public`, a SubjectPublicKeyInfo.
    pub(crate) fn agree(&self, public: &[u8]) -> Result<Vec<u8>> {
        let refused = || {
            Error::Validation(
                "The public key is not valid: it must be a DER-encoded X.509 public key of the \
                 curve of the KMS key."
                    .to_owned(),
            )
        };
        let Self::Ecdh(key) = self else { return Err(Error::Crypto) };
        let peer = UnparsedPublicKey::new(key.algorithm(), public);
        agreement::agree(key, peer, refused(), |secret| Ok(secret.to_vec()))
    }
}

fn oaep(algorithm: EncryptionAlgorithmSpec) -> Result<&'static OaepAlgorithm> {
    match algorithm {
        EncryptionAlgorithmSpec::RsaesOaepSha1 => Ok(&OAEP_SHA1_MGF1SHA1),
        EncryptionAlgorithmSpec::RsaesOaepSha256 => Ok(&OAEP_SHA256_MGF1SHA256),
        EncryptionAlgorithmSpec::SymmetricDefault | EncryptionAlgorithmSpec::Sm2pke => {
            Err(Error::Crypto)
        }
    }
}

fn hash(algorithm: SigningAlgorithmSpec) -> Result<&'static digest::Algorithm> {
    use SigningAlgorithmSpec as Alg;
    match algorithm {
        Alg::RsassaPssSha256 | Alg::RsassaPkcs1V15Sha256 | Alg::EcdsaSha256 => Ok(&digest::SHA256),
        Alg::RsassaPssSha384 | Alg::RsassaPkcs1V15Sha384 | Alg::EcdsaSha384 => Ok(&digest::SHA384),
        Alg::RsassaPssSha512 | Alg::RsassaPkcs1V15Sha512 | Alg::EcdsaSha512 => Ok(&digest::SHA512),
        Alg::Sm2dsa | Alg::MlDsaShake256 | Alg::Ed25519Sha512 | Alg::Ed25519PhSha512 => {
            Err(Error::Crypto)
        }
    }
}

fn digest_of(algorithm: SigningAlgorithmSpec, message: Message<'_>) -> Result<Digest> {
    let hash = hash(algorithm)?;
    match message {
        Message::Raw(message) => Ok(digest::digest(hash, message)),
        Message::Digest(bytes) => Digest::import_less_safe(bytes, hash).map_err(|_| {
            Error::Validation(format!("Digest is invalid length for algorithm {algorithm}."))
        }),
    }
}

fn raw(algorithm: SigningAlgorithmSpec, message: Message<'_>) -> Result<&[u8]> {
    match message {
        Message::Raw(message) => Ok(message),
        Message::Digest(_) => Err(Error::Validation(format!(
            "The MessageType DIGEST is not valid for the signing algorithm {algorithm}."
        ))),
    }
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "the model lists many more specs and algorithms than one family has"
)]
fn rsa_encoding(algorithm: SigningAlgorithmSpec) -> Result<&'static dyn RsaEncoding> {
    use SigningAlgorithmSpec as Alg;
    Ok(match algorithm {
        Alg::RsassaPssSha256 => &RSA_PSS_SHA256,
        Alg::RsassaPssSha384 => &RSA_PSS_SHA384,
        Alg::RsassaPssSha512 => &RSA_PSS_SHA512,
        Alg::RsassaPkcs1V15Sha256 => &RSA_PKCS1_SHA256,
        Alg::RsassaPkcs1V15Sha384 => &RSA_PKCS1_SHA384,
        Alg::RsassaPkcs1V15Sha512 => &RSA_PKCS1_SHA512,
        _ => return Err(Error::Crypto),
    })
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "the model lists many more specs and algorithms than one family has"
)]
fn rsa_verifier(algorithm: SigningAlgorithmSpec) -> Result<&'static dyn VerificationAlgorithm> {
    use SigningAlgorithmSpec as Alg;
    Ok(match algorithm {
        Alg::RsassaPssSha256 => &RSA_PSS_2048_8192_SHA256,
        Alg::RsassaPssSha384 => &RSA_PSS_2048_8192_SHA384,
        Alg::RsassaPssSha512 => &RSA_PSS_2048_8192_SHA512,
        Alg::RsassaPkcs1V15Sha256 => &RSA_PKCS1_2048_8192_SHA256,
        Alg::RsassaPkcs1V15Sha384 => &RSA_PKCS1_2048_8192_SHA384,
        Alg::RsassaPkcs1V15Sha512 => &RSA_PKCS1_2048_8192_SHA512,
        _ => return Err(Error::Crypto),
    })
}

fn ecdsa_verifier(
    algorithm: &'static EcdsaSigningAlgorithm,
) -> Result<&'static dyn VerificationAlgorithm> {
    if *algorithm == ECDSA_P256_SHA256_ASN1_SIGNING {
        return Ok(&ECDSA_P256_SHA256_ASN1);
    }
    if *algorithm == ECDSA_P384_SHA384_ASN1_SIGNING {
        return Ok(&ECDSA_P384_SHA384_ASN1);
    }
    if *algorithm == ECDSA_P521_SHA512_ASN1_SIGNING {
        return Ok(&ECDSA_P521_SHA512_ASN1);
    }
    if *algorithm == ECDSA_P256K1_SHA256_ASN1_SIGNING {
        return Ok(&ECDSA_P256K1_SHA256_ASN1);
    }
    Err(Error::Crypto)
}

fn ml_dsa_verifier(
    algorithm: &'static PqdsaSigningAlgorithm,
) -> Result<&'static dyn VerificationAlgorithm> {
    if *algorithm == ML_DSA_44_SIGNING {
        return Ok(&ML_DSA_44);
    }
    if *algorithm == ML_DSA_65_SIGNING {
        return Ok(&ML_DSA_65);
    }
    if *algorithm == ML_DSA_87_SIGNING {
        return Ok(&ML_DSA_87);
    }
    Err(Error::Crypto)
}
