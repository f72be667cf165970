//! Key material: imported, expiring, deleted, and never in the clear on disk.
#![expect(clippy::unwrap_used, reason = "a failed step of a test ends it")]

mod cloud;

use std::path::Path;
use std::time::Duration;

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::key_wrap::{AES_256, AesKek, KeyWrapPadded};
use aws_lc_rs::rsa::{OAEP_SHA256_MGF1SHA256, OaepPublicEncryptingKey, PublicEncryptingKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cloud::{code, make, of, start, symmetric};
use kms_api::{
    AlgorithmSpec, CreateKeyInput, DecryptInput, DeleteImportedKeyMaterialInput, DescribeKeyInput,
    DisableKeyRotationInput, EnableKeyRotationInput, EncryptInput, ExpirationModelType,
    GetKeyRotationStatusInput, GetParametersForImportInput, ImportKeyMaterialInput, ImportType,
    KeySpec, KeyState, KeyUsageType, OriginType, RotateKeyOnDemandInput, WrappingKeySpec,
};
use testkit::{Cloud, TestClient, poll};

fn external() -> CreateKeyInput {
    CreateKeyInput { origin: Some(OriginType::External), ..CreateKeyInput::default() }
}

fn wrap(public: &[u8], plain: &[u8]) -> Vec<u8> {
    let key = PublicEncryptingKey::from_der(public).unwrap();
    let key = OaepPublicEncryptingKey::new(key).unwrap();
    let mut out = vec![0; key.ciphertext_size()];
    key.encrypt(&OAEP_SHA256_MGF1SHA256, plain, &mut out, None).unwrap().to_vec()
}

async fn import(root: &TestClient, key_id: &str, plain: &[u8]) -> ImportKeyMaterialInput {
    let parameters = GetParametersForImportInput {
        key_id: key_id.to_owned(),
        wrapping_algorithm: AlgorithmSpec::RsaesOaepSha256,
        wrapping_key_spec: WrappingKeySpec::Rsa2048,
    };
    let parameters = root.call(parameters).await.unwrap();
    ImportKeyMaterialInput {
        key_id: key_id.to_owned(),
        import_token: parameters.import_token.unwrap(),
        encrypted_key_material: wrap(&parameters.public_key.unwrap(), plain).into(),
        expiration_model: Some(ExpirationModelType::KeyMaterialDoesNotExpire),
        ..ImportKeyMaterialInput::default()
    }
}

async fn state(root: &TestClient, key_id: &str) -> KeyState {
    let input = DescribeKeyInput { key_id: key_id.to_owned(), ..DescribeKeyInput::default() };
    root.call(input).await.unwrap().key_metadata.unwrap().key_state.unwrap()
}

async fn encrypt(root: &TestClient, key_id: &str) -> Result<Vec<u8>, String> {
    let input = EncryptInput {
        key_id: key_id.to_owned(),
        plaintext: b"plain".to_vec().into(),
        ..EncryptInput::default()
    };
    match root.call(input).await {
        Ok(output) => Ok(output.ciphertext_blob.unwrap().to_vec()),
        Err(error) => Err(error.code),
    }
}

fn decrypt(blob: &[u8]) -> DecryptInput {
    DecryptInput { ciphertext_blob: Some(blob.to_vec().into()), ..DecryptInput::default() }
}

#[tokio::test]
async fn imported_material_works_until_it_is_taken_away() {
    let cloud = start().await;
    let root = cloud.root();
    let key = make(&root, external()).await.key_id;
    assert_eq!(state(&root, &key).await, KeyState::PendingImport);
    assert_eq!(encrypt(&root, &key).await, Err("KMSInvalidStateException".to_owned()));
    let short = import(&root, &key, &[5; 31]).await;
    assert_eq!(code(root.call(short).await), "IncorrectKeyMaterialException");
    let first = import(&root, &key, &[5; 32]).await;
    let garbled =
        ImportKeyMaterialInput { encrypted_key_material: vec![1; 256].into(), ..first.clone() };
    assert_eq!(code(root.call(garbled).await), "InvalidCiphertextException");
    let other = make(&root, external()).await.key_id;
    let strange = ImportKeyMaterialInput { key_id: other, ..first.clone() };
    assert_eq!(code(root.call(strange).await), "InvalidImportTokenException");
    root.call(first.clone()).await.unwrap();
    assert_eq!(state(&root, &key).await, KeyState::Enabled);
    let blob = encrypt(&root, &key).await.unwrap();

    let delete = DeleteImportedKeyMaterialInput { key_id: key.clone(), key_material_id: None };
    root.call(delete.clone()).await.unwrap();
    assert_eq!(state(&root, &key).await, KeyState::PendingImport);
    assert_eq!(code(root.call(decrypt(&blob)).await), "KMSInvalidStateException");
    let different = import(&root, &key, &[6; 32]).await;
    assert_eq!(code(root.call(different).await), "IncorrectKeyMaterialException");
    root.call(first.clone()).await.unwrap();
    assert_eq!(root.call(decrypt(&blob)).await.unwrap().plaintext.unwrap().as_ref(), b"plain");

    cloud.advance(Duration::from_secs(86_401));
    assert_eq!(code(root.call(first).await), "ExpiredImportTokenException");
    let own = make(&root, symmetric()).await.key_id;
    let input = DeleteImportedKeyMaterialInput { key_id: own, key_material_id: None };
    assert_eq!(code(root.call(input).await), "UnsupportedOperationException");
}

#[tokio::test]
async fn imported_material_expires_and_rotates() {
    let cloud = start().await;
    let root = cloud.root();
    let key = make(&root, external()).await.key_id;
    root.call(import(&root, &key, &[5; 32]).await).await.unwrap();
    let old = encrypt(&root, &key).await.unwrap();
    let next = ImportKeyMaterialInput {
        import_type: Some(ImportType::NewKeyMaterial),
        expiration_model: Some(ExpirationModelType::KeyMaterialExpires),
        valid_to: Some(testkit::START + Duration::from_secs(86_400)),
        ..import(&root, &key, &[6; 32]).await
    };
    root.call(next).await.unwrap();
    root.call(RotateKeyOnDemandInput { key_id: key.clone() }).await.unwrap();
    let new = encrypt(&root, &key).await.unwrap();
    for blob in [&old, &new] {
        root.call(decrypt(blob)).await.unwrap();
    }
    cloud.advance(Duration::from_secs(86_401));
    poll::until("the material to expire", || async {
        (state(&root, &key).await == KeyState::PendingImport).then_some(())
    })
    .await;
    assert_eq!(code(root.call(decrypt(&new)).await), "KMSInvalidStateException");
    let rotate = EnableKeyRotationInput { key_id: key, rotation_period_in_days: None };
    assert_eq!(code(root.call(rotate).await), "KMSInvalidStateException");
}

#[tokio::test]
async fn a_private_key_is_imported_wrapped_twice() {
    let cloud = start().await;
    let root = cloud.root();
    let input = CreateKeyInput {
        origin: Some(OriginType::External),
        ..of(KeySpec::Rsa2048, KeyUsageType::SignVerify)
    };
    let key = make(&root, input).await.key_id;
    let pair = aws_lc_rs::rsa::KeyPair::generate(aws_lc_rs::rsa::KeySize::Rsa2048).unwrap();
    let plain: aws_lc_rs::encoding::Pkcs8V1Der<'_> = pair.as_der().unwrap();
    let parameters = GetParametersForImportInput {
        key_id: key.clone(),
        wrapping_algorithm: AlgorithmSpec::RsaAesKeyWrapSha256,
        wrapping_key_spec: WrappingKeySpec::Rsa2048,
    };
    let parameters = root.call(parameters).await.unwrap();
    let mut wrapped = wrap(&parameters.public_key.unwrap(), &[9; 32]);
    let mut inner = vec![0; plain.as_ref().len() + 16];
    let kek = AesKek::new(&AES_256, &[9; 32]).unwrap();
    wrapped.extend_from_slice(kek.wrap_with_padding(plain.as_ref(), &mut inner).unwrap());
    let import = ImportKeyMaterialInput {
        key_id: key.clone(),
        import_token: parameters.import_token.unwrap(),
        encrypted_key_material: wrapped.into(),
        expiration_model: Some(ExpirationModelType::KeyMaterialDoesNotExpire),
        ..ImportKeyMaterialInput::default()
    };
    root.call(import).await.unwrap();
    assert_eq!(state(&root, &key).await, KeyState::Enabled);
}

#[tokio::test]
async fn rotation_is_turned_on_and_off() {
    let cloud = start().await;
    let root = cloud.root();
    let key = make(&root, symmetric()).await.key_id;
    let status = || GetKeyRotationStatusInput { key_id: key.clone() };
    assert_eq!(root.call(status()).await.unwrap().key_rotation_enabled, Some(false));
    let on = EnableKeyRotationInput { key_id: key.clone(), rotation_period_in_days: None };
    root.call(on).await.unwrap();
    let shown = root.call(status()).await.unwrap();
    assert_eq!(
        (shown.key_rotation_enabled, shown.rotation_period_in_days),
        (Some(true), Some(365))
    );
    root.call(DisableKeyRotationInput { key_id: key.clone() }).await.unwrap();
    assert_eq!(root.call(status()).await.unwrap().key_rotation_enabled, Some(false));
    let pair = make(&root, of(KeySpec::EccNistP256, KeyUsageType::SignVerify)).await.key_id;
    let input = EnableKeyRotationInput { key_id: pair, rotation_period_in_days: None };
    assert_eq!(code(root.call(input).await), "UnsupportedOperationException");
}

/// Every file below `folder`.
fn files(folder: &Path, found: &mut Vec<Vec<u8>>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, found);
        } else {
            found.push(std::fs::read(&path).unwrap());
        }
    }
}

#[tokio::test]
async fn no_file_holds_a_key_in_the_clear() {
    let cloud: Cloud = start().await;
    let root = cloud.root();
    let material: Vec<u8> = (0..32).map(|n| n * 7 + 3).collect();
    let key = make(&root, external()).await.key_id;
    root.call(import(&root, &key, &material).await).await.unwrap();
    encrypt(&root, &key).await.unwrap();
    cloud.kernel.store().checkpoint().await.unwrap();
    let mut found = Vec::new();
    files(cloud.folder.path(), &mut found);
    assert!(found.iter().any(|file| contains(file, key.as_bytes())), "the key was written");
    let hex: String = material.iter().map(|byte| format!("{byte:02x}")).collect();
    let text = serde_json::to_string(&material).unwrap();
    let forms = [material.clone(), STANDARD.encode(&material).into(), hex.into(), text.into()];
    for form in forms {
        assert!(!found.iter().any(|file| contains(file, &form)));
    }
}

fn contains(file: &[u8], wanted: &[u8]) -> bool {
    file.windows(wanted.len()).any(|window| window == wanted)
}
