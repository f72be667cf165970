//! Key pairs and codes over HTTP: signatures, public keys, shared secrets.

mod cloud;

use cloud::{code, make, of, start, symmetric};
use kms_api::{
    CreateKeyInput, DataKeyPairSpec, DecryptInput, DeriveSharedSecretInput, EncryptInput,
    EncryptionAlgorithmSpec, GenerateDataKeyPairInput, GenerateDataKeyPairWithoutPlaintextInput,
    GenerateMacInput, GetPublicKeyInput, KeyAgreementAlgorithmSpec, KeySpec, KeyUsageType,
    MacAlgorithmSpec, MessageType, SignInput, SigningAlgorithmSpec as Alg, VerifyInput,
    VerifyMacInput,
};

fn sign(key: &str, algorithm: Alg, message: &[u8]) -> SignInput {
    SignInput {
        key_id: key.to_owned(),
        message: message.to_vec().into(),
        signing_algorithm: algorithm,
        ..SignInput::default()
    }
}

#[tokio::test]
async fn every_pair_verifies_what_it_signed_and_nothing_else() {
    let cloud = start().await;
    let root = cloud.root();
    for spec in [
        KeySpec::Rsa2048,
        KeySpec::EccNistP256,
        KeySpec::EccNistP384,
        KeySpec::EccNistP521,
        KeySpec::EccSecgP256k1,
        KeySpec::EccNistEdwards25519,
        KeySpec::MlDsa44,
        KeySpec::MlDsa65,
        KeySpec::MlDsa87,
    ] {
        let key = make(&root, of(spec, KeyUsageType::SignVerify)).await;
        assert!(!key.signing_algorithms.is_empty(), "{spec}");
        for algorithm in key.signing_algorithms {
            let signed = root.call(sign(&key.key_id, algorithm, b"message")).await.unwrap();
            let verify = VerifyInput {
                key_id: key.key_id.clone(),
                message: b"message".to_vec().into(),
                signature: signed.signature.unwrap(),
                signing_algorithm: algorithm,
                ..VerifyInput::default()
            };
            let answer = root.call(verify.clone()).await.unwrap();
            assert_eq!(answer.signature_valid, Some(true), "{spec} {algorithm}");
            let other = VerifyInput { message: b"other".to_vec().into(), ..verify };
            assert_eq!(code(root.call(other).await), "KMSInvalidSignatureException");
        }
        let input = GetPublicKeyInput { key_id: key.key_id, ..GetPublicKeyInput::default() };
        assert!(!root.call(input).await.unwrap().public_key.unwrap().is_empty());
    }
}

#[tokio::test]
async fn a_digest_stands_for_its_message_if_it_has_the_right_length() {
    let cloud = start().await;
    let root = cloud.root();
    let key = make(&root, of(KeySpec::EccNistP256, KeyUsageType::SignVerify)).await;
    let digest = |length| SignInput {
        message_type: Some(MessageType::Digest),
        ..sign(&key.key_id, Alg::EcdsaSha256, &vec![7; length])
    };
    root.call(digest(32)).await.unwrap();
    assert_eq!(code(root.call(digest(31)).await), "ValidationException");
    let wrong = sign(&key.key_id, Alg::EcdsaSha384, b"message");
    assert_eq!(code(root.call(wrong).await), "InvalidKeyUsageException");
}

#[tokio::test]
async fn rsa_keys_encrypt_what_fits() {
    let cloud = start().await;
    let root = cloud.root();
    let key = make(&root, of(KeySpec::Rsa2048, KeyUsageType::EncryptDecrypt)).await;
    for algorithm in
        [EncryptionAlgorithmSpec::RsaesOaepSha1, EncryptionAlgorithmSpec::RsaesOaepSha256]
    {
        let encrypt = EncryptInput {
            key_id: key.key_id.clone(),
            plaintext: b"plain".to_vec().into(),
            encryption_algorithm: Some(algorithm),
            ..EncryptInput::default()
        };
        let blob = root.call(encrypt.clone()).await.unwrap().ciphertext_blob;
        let decrypt = DecryptInput {
            key_id: Some(key.key_id.clone()),
            ciphertext_blob: blob,
            encryption_algorithm: Some(algorithm),
            ..DecryptInput::default()
        };
        let plain = root.call(decrypt.clone()).await.unwrap().plaintext.unwrap();
        assert_eq!(plain.as_ref(), b"plain");
        let unnamed = DecryptInput { key_id: None, ..decrypt };
        assert_eq!(code(root.call(unnamed).await), "ValidationException");
        let long = EncryptInput { plaintext: vec![1; 215].into(), ..encrypt };
        assert_eq!(code(root.call(long).await), "ValidationException");
    }
    let symmetric = EncryptInput {
        key_id: key.key_id.clone(),
        plaintext: b"plain".to_vec().into(),
        ..EncryptInput::default()
    };
    assert_eq!(code(root.call(symmetric).await), "InvalidKeyUsageException");
    let signs = sign(&key.key_id, Alg::RsassaPssSha256, b"message");
    assert_eq!(code(root.call(signs).await), "InvalidKeyUsageException");
}

#[tokio::test]
async fn two_keys_agree_on_one_secret() {
    let cloud = start().await;
    let root = cloud.root();
    let (one, two) = (
        make(&root, of(KeySpec::EccNistP384, KeyUsageType::KeyAgreement)).await,
        make(&root, of(KeySpec::EccNistP384, KeyUsageType::KeyAgreement)).await,
    );
    let public = |key_id: &str| {
        let input = GetPublicKeyInput { key_id: key_id.to_owned(), ..GetPublicKeyInput::default() };
        root.call(input)
    };
    let derive = |key_id: &str, public_key| DeriveSharedSecretInput {
        key_id: key_id.to_owned(),
        key_agreement_algorithm: KeyAgreementAlgorithmSpec::Ecdh,
        public_key,
        ..DeriveSharedSecretInput::default()
    };
    let other = public(&two.key_id).await.unwrap().public_key.unwrap();
    let here = root.call(derive(&one.key_id, other)).await.unwrap().shared_secret.unwrap();
    let other = public(&one.key_id).await.unwrap().public_key.unwrap();
    let there = root.call(derive(&two.key_id, other)).await.unwrap().shared_secret.unwrap();
    assert_eq!(here, there);
    assert_eq!(here.len(), 48);
    let nonsense = derive(&one.key_id, b"nonsense".to_vec().into());
    assert_eq!(code(root.call(nonsense).await), "ValidationException");
}

#[tokio::test]
async fn codes_are_checked() {
    let cloud = start().await;
    let root = cloud.root();
    for (spec, algorithm, length) in [
        (KeySpec::Hmac224, MacAlgorithmSpec::HmacSha224, 28),
        (KeySpec::Hmac256, MacAlgorithmSpec::HmacSha256, 32),
        (KeySpec::Hmac384, MacAlgorithmSpec::HmacSha384, 48),
        (KeySpec::Hmac512, MacAlgorithmSpec::HmacSha512, 64),
    ] {
        let key = make(&root, of(spec, KeyUsageType::GenerateVerifyMac)).await;
        let input = GenerateMacInput {
            message: b"message".to_vec().into(),
            key_id: key.key_id.clone(),
            mac_algorithm: algorithm,
            ..GenerateMacInput::default()
        };
        let mac = root.call(input).await.unwrap().mac.unwrap();
        assert_eq!(mac.len(), length);
        let verify = VerifyMacInput {
            message: b"message".to_vec().into(),
            key_id: key.key_id,
            mac_algorithm: algorithm,
            mac,
            ..VerifyMacInput::default()
        };
        assert_eq!(root.call(verify.clone()).await.unwrap().mac_valid, Some(true));
        let other = VerifyMacInput { message: b"other".to_vec().into(), ..verify };
        assert_eq!(code(root.call(other).await), "KMSInvalidMacException");
    }
}

#[tokio::test]
async fn pairs_of_data_keys_are_opened_by_their_key() {
    let cloud = start().await;
    let root = cloud.root();
    let key = make(&root, symmetric()).await;
    let input = GenerateDataKeyPairInput {
        key_id: key.key_id.clone(),
        key_pair_spec: DataKeyPairSpec::EccNistP256,
        ..GenerateDataKeyPairInput::default()
    };
    let made = root.call(input.clone()).await.unwrap();
    let decrypt = DecryptInput {
        ciphertext_blob: made.private_key_ciphertext_blob,
        ..DecryptInput::default()
    };
    assert_eq!(root.call(decrypt).await.unwrap().plaintext, made.private_key_plaintext);
    let hidden = GenerateDataKeyPairWithoutPlaintextInput {
        key_id: key.key_id,
        key_pair_spec: DataKeyPairSpec::EccNistEdwards25519,
        ..GenerateDataKeyPairWithoutPlaintextInput::default()
    };
    assert!(root.call(hidden).await.unwrap().public_key.is_some());
    let absent = GenerateDataKeyPairInput { key_pair_spec: DataKeyPairSpec::Sm2, ..input };
    assert_eq!(code(root.call(absent).await), "UnsupportedOperationException");
}

#[tokio::test]
async fn kinds_that_are_not_here_or_do_not_fit_are_refused() {
    let cloud = start().await;
    let root = cloud.root();
    for (input, want) in [
        (of(KeySpec::Sm2, KeyUsageType::SignVerify), "UnsupportedOperationException"),
        (
            of(KeySpec::MlKem768, KeyUsageType::EncapsulateDecapsulate),
            "UnsupportedOperationException",
        ),
        (of(KeySpec::EccSecgP256k1, KeyUsageType::KeyAgreement), "ValidationException"),
        (of(KeySpec::SymmetricDefault, KeyUsageType::SignVerify), "ValidationException"),
        (
            CreateKeyInput { key_spec: Some(KeySpec::Rsa2048), ..CreateKeyInput::default() },
            "ValidationException",
        ),
    ] {
        assert_eq!(code(root.call(input).await), want);
    }
}
