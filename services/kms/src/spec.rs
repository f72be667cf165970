//! What kinds of keys there are and what each is for.
//!
//! AWS: "Key spec reference", "Key types in AWS KMS".

use kms_api::{
    DataKeyPairSpec, EncryptionAlgorithmSpec, KeyAgreementAlgorithmSpec, KeySpec, KeyUsageType,
    MacAlgorithmSpec, SigningAlgorithmSpec,
};

use crate::error::{Error, Result};

/// The family of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Family {
    Symmetric,
    Hmac,
    Rsa,
    /// A curve of NIST's or secp256k1.
    Curve,
    Edwards,
    MlDsa,
}

/// The family of `spec`.
///
/// # Errors
///
/// [`Error::UnsupportedOperation`] for what no library here does.
pub(crate) fn family(spec: KeySpec) -> Result<Family> {
    Ok(match spec {
        KeySpec::SymmetricDefault => Family::Symmetric,
        KeySpec::Hmac224 | KeySpec::Hmac256 | KeySpec::Hmac384 | KeySpec::Hmac512 => Family::Hmac,
        KeySpec::Rsa2048 | KeySpec::Rsa3072 | KeySpec::Rsa4096 => Family::Rsa,
        KeySpec::EccNistP256
        | KeySpec::EccNistP384
        | KeySpec::EccNistP521
        | KeySpec::EccSecgP256k1 => Family::Curve,
        KeySpec::EccNistEdwards25519 => Family::Edwards,
        KeySpec::MlDsa44 | KeySpec::MlDsa65 | KeySpec::MlDsa87 => Family::MlDsa,
        KeySpec::Sm2 | KeySpec::MlKem512 | KeySpec::MlKem768 | KeySpec::MlKem1024 => {
            return Err(Error::UnsupportedOperation(format!(
                "The key spec {spec} is not supported in this region."
            )));
        }
    })
}

/// The key spec that a pair of data keys has.
pub(crate) fn of_pair(spec: DataKeyPairSpec) -> KeySpec {
    match spec {
        DataKeyPairSpec::Rsa2048 => KeySpec::Rsa2048,
        DataKeyPairSpec::Rsa3072 => KeySpec::Rsa3072,
        DataKeyPairSpec::Rsa4096 => KeySpec::Rsa4096,
        DataKeyPairSpec::EccNistP256 => KeySpec::EccNistP256,
        DataKeyPairSpec::EccNistP384 => KeySpec::EccNistP384,
        DataKeyPairSpec::EccNistP521 => KeySpec::EccNistP521,
        DataKeyPairSpec::EccSecgP256k1 => KeySpec::EccSecgP256k1,
        DataKeyPairSpec::Sm2 => KeySpec::Sm2,
        DataKeyPairSpec::EccNistEdwards25519 => KeySpec::EccNistEdwards25519,
        DataKeyPairSpec::MlKem512 => KeySpec::MlKem512,
        DataKeyPairSpec::MlKem768 => KeySpec::MlKem768,
        DataKeyPairSpec::MlKem1024 => KeySpec::MlKem1024,
    }
}

/// The usages that keys of `spec` may have; the first is the default where AWS has one.
pub(crate) fn usages(spec: KeySpec) -> Result<&'static [KeyUsageType]> {
    use KeyUsageType::{EncryptDecrypt, GenerateVerifyMac, KeyAgreement, SignVerify};
    Ok(match family(spec)? {
        Family::Symmetric => &[EncryptDecrypt],
        Family::Hmac => &[GenerateVerifyMac],
        Family::Rsa => &[EncryptDecrypt, SignVerify],
        Family::Curve if spec == KeySpec::EccSecgP256k1 => &[SignVerify],
        Family::Curve => &[SignVerify, KeyAgreement],
        Family::Edwards | Family::MlDsa => &[SignVerify],
    })
}

/// The algorithms that keys of `spec` and `usage` encrypt with.
pub(crate) fn encryption(spec: KeySpec, usage: KeyUsageType) -> &'static [EncryptionAlgorithmSpec] {
    use EncryptionAlgorithmSpec::{RsaesOaepSha1, RsaesOaepSha256, SymmetricDefault};
    if usage != KeyUsageType::EncryptDecrypt {
        return &[];
    }
    if spec == KeySpec::SymmetricDefault {
        &[SymmetricDefault]
    } else {
        &[RsaesOaepSha1, RsaesOaepSha256]
    }
}

/// The algorithms that keys of `spec` and `usage` sign with.
pub(crate) fn signing(spec: KeySpec, usage: KeyUsageType) -> &'static [SigningAlgorithmSpec] {
    use SigningAlgorithmSpec as Alg;
    const RSA: &[Alg] = &[
        Alg::RsassaPkcs1V15Sha256,
        Alg::RsassaPkcs1V15Sha384,
        Alg::RsassaPkcs1V15Sha512,
        Alg::RsassaPssSha256,
        Alg::RsassaPssSha384,
        Alg::RsassaPssSha512,
    ];
    if usage != KeyUsageType::SignVerify {
        return &[];
    }
    match spec {
        KeySpec::Rsa2048 | KeySpec::Rsa3072 | KeySpec::Rsa4096 => RSA,
        KeySpec::EccNistP256 | KeySpec::EccSecgP256k1 => &[Alg::EcdsaSha256],
        KeySpec::EccNistP384 => &[Alg::EcdsaSha384],
        KeySpec::EccNistP521 => &[Alg::EcdsaSha512],
        KeySpec::EccNistEdwards25519 => &[Alg::Ed25519Sha512],
        KeySpec::MlDsa44 | KeySpec::MlDsa65 | KeySpec::MlDsa87 => &[Alg::MlDsaShake256],
        KeySpec::SymmetricDefault
        | KeySpec::Hmac224
        | KeySpec::Hmac256
        | KeySpec::Hmac384
        | KeySpec::Hmac512
        | KeySpec::Sm2
        | KeySpec::MlKem512
        | KeySpec::MlKem768
        | KeySpec::MlKem1024 => &[],
    }
}

/// The algorithms that keys of `spec` make codes with.
pub(crate) fn mac(spec: KeySpec) -> Option<MacAlgorithmSpec> {
    Some(match spec {
        KeySpec::Hmac224 => MacAlgorithmSpec::HmacSha224,
        KeySpec::Hmac256 => MacAlgorithmSpec::HmacSha256,
        KeySpec::Hmac384 => MacAlgorithmSpec::HmacSha384,
        KeySpec::Hmac512 => MacAlgorithmSpec::HmacSha512,
        KeySpec::Rsa2048
        | KeySpec::Rsa3072
        | KeySpec::Rsa4096
        | KeySpec::EccNistP256
        | KeySpec::EccNistP384
        | KeySpec::EccNistP521
        | KeySpec::EccSecgP256k1
        | KeySpec::SymmetricDefault
        | KeySpec::Sm2
        | KeySpec::MlDsa44
        | KeySpec::MlDsa65
        | KeySpec::MlDsa87
        | KeySpec::EccNistEdwards25519
        | KeySpec::MlKem512
        | KeySpec::MlKem768
        | KeySpec::MlKem1024 => return None,
    })
}

/// How keys of `usage` agree on a secret.
pub(crate) fn agreement(usage: KeyUsageType) -> &'static [KeyAgreementAlgorithmSpec] {
    if usage == KeyUsageType::KeyAgreement { &[KeyAgreementAlgorithmSpec::Ecdh] } else { &[] }
}

/// How many bytes imported material of a secret key has: exactly, or within bounds.
///
/// AWS: "Importing key material for AWS KMS keys", Requirements for imported key material.
pub(crate) fn imported_length(spec: KeySpec) -> std::ops::RangeInclusive<usize> {
    match spec {
        KeySpec::Hmac224 => 28..=28,
        KeySpec::Hmac256 | KeySpec::SymmetricDefault => 32..=32,
        KeySpec::Hmac384 => 48..=48,
        KeySpec::Hmac512 => 64..=64,
        KeySpec::Rsa2048
        | KeySpec::Rsa3072
        | KeySpec::Rsa4096
        | KeySpec::EccNistP256
        | KeySpec::EccNistP384
        | KeySpec::EccNistP521
        | KeySpec::EccSecgP256k1
        | KeySpec::Sm2
        | KeySpec::MlDsa44
        | KeySpec::MlDsa65
        | KeySpec::MlDsa87
        | KeySpec::EccNistEdwards25519
        | KeySpec::MlKem512
        | KeySpec::MlKem768
        | KeySpec::MlKem1024 => 1..=8192,
    }
}
