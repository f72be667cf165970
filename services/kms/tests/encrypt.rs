//! Encrypting over HTTP: contexts, states, rotation, who may.

mod cloud;

use std::collections::BTreeMap;
use std::time::Duration;

use cloud::{code, make, start, symmetric};
use kms_api::{
    CancelKeyDeletionInput, CreateAliasInput, DataKeySpec, DecryptInput, DescribeKeyInput,
    DisableKeyInput, EnableKeyInput, EnableKeyRotationInput, EncryptInput, GenerateDataKeyInput,
    GenerateDataKeyWithoutPlaintextInput, GenerateRandomInput, KeyState, ListKeyRotationsInput,
    ReEncryptInput, RotateKeyOnDemandInput, RotationType, ScheduleKeyDeletionInput,
};
use testkit::poll;

fn context(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

fn encrypt(key: &str, plain: &str, pairs: &[(&str, &str)]) -> EncryptInput {
    EncryptInput {
        key_id: key.to_owned(),
        plaintext: plain.to_owned().into(),
        encryption_context: context(pairs),
        ..EncryptInput::default()
    }
}

fn decrypt(blob: &[u8], pairs: &[(&str, &str)]) -> DecryptInput {
    DecryptInput {
        ciphertext_blob: Some(blob.to_vec().into()),
        encryption_context: context(pairs),
        ..DecryptInput::default()
    }
}

#[tokio::test]
async fn what_was_encrypted_opens_in_its_context_alone() {
    let cloud = start().await;
    let root = cloud.root();
    let key = make(&root, symmetric()).await;
    let alias =
        CreateAliasInput { alias_name: "alias/app".to_owned(), target_key_id: key.key_id.clone() };
    root.call(alias).await.unwrap();
    let arn = key.arn.clone().unwrap();
    for name in [
        key.key_id.as_str(),
        &arn,
        "alias/app",
        &arn.replace(&format!("key/{}", key.key_id), "alias/app"),
    ] {
        let blob = root.call(encrypt(name, "plain", &[("a", "b")])).await.unwrap();
        assert_eq!(blob.key_id.as_ref(), Some(&arn));
        let blob = blob.ciphertext_blob.unwrap();
        let plain = root.call(decrypt(&blob, &[("a", "b")])).await.unwrap();
        assert_eq!(plain.plaintext.unwrap().as_ref(), b"plain");
        assert_eq!(plain.key_id.as_ref(), Some(&arn));
        for other in [decrypt(&blob, &[]), decrypt(&blob, &[("a", "c")]), decrypt(&blob[1..], &[])]
        {
            assert_eq!(code(root.call(other).await), "InvalidCiphertextException");
        }
        let other = make(&root, symmetric()).await;
        let wrong = DecryptInput { key_id: Some(other.key_id), ..decrypt(&blob, &[("a", "b")]) };
        assert_eq!(code(root.call(wrong).await), "IncorrectKeyException");
    }
    let missing = encrypt("alias/none", "plain", &[]);
    assert_eq!(code(root.call(missing).await), "NotFoundException");
    let missing = encrypt("11111111-1111-4111-8111-111111111111", "plain", &[]);
    assert_eq!(code(root.call(missing).await), "NotFoundException");
    let dry = EncryptInput { dry_run: Some(true), ..encrypt("alias/app", "plain", &[]) };
    assert_eq!(code(root.call(dry).await), "DryRunOperationException");
}

#[tokio::test]
async fn data_keys_are_opened_by_their_key() {
    let cloud = start().await;
    let root = cloud.root();
    let key = make(&root, symmetric()).await;
    let input = GenerateDataKeyInput {
        key_id: key.key_id.clone(),
        key_spec: Some(DataKeySpec::Aes256),
        encryption_context: context(&[("bucket", "b")]),
        ..GenerateDataKeyInput::default()
    };
    let made = root.call(input.clone()).await.unwrap();
    let opened = root.call(decrypt(&made.ciphertext_blob.unwrap(), &[("bucket", "b")])).await;
    assert_eq!(opened.unwrap().plaintext, made.plaintext);
    assert_eq!(made.plaintext.unwrap().len(), 32);
    let both = GenerateDataKeyInput { number_of_bytes: Some(7), ..input };
    assert_eq!(code(root.call(both).await), "ValidationException");
    let hidden = GenerateDataKeyWithoutPlaintextInput {
        key_id: key.key_id,
        number_of_bytes: Some(7),
        ..GenerateDataKeyWithoutPlaintextInput::default()
    };
    let hidden = root.call(hidden).await.unwrap().ciphertext_blob.unwrap();
    assert_eq!(root.call(decrypt(&hidden, &[])).await.unwrap().plaintext.unwrap().len(), 7);
    let random = GenerateRandomInput { number_of_bytes: Some(9), ..GenerateRandomInput::default() };
    assert_eq!(root.call(random).await.unwrap().plaintext.unwrap().len(), 9);
}

#[tokio::test]
async fn a_key_that_is_disabled_or_to_be_deleted_opens_nothing() {
    let cloud = start().await;
    let root = cloud.root();
    let key = make(&root, symmetric()).await;
    let id = || key.key_id.clone();
    let blob = root.call(encrypt(&id(), "plain", &[])).await.unwrap().ciphertext_blob.unwrap();
    root.call(DisableKeyInput { key_id: id() }).await.unwrap();
    assert_eq!(code(root.call(decrypt(&blob, &[])).await), "DisabledException");
    assert_eq!(code(root.call(encrypt(&id(), "plain", &[])).await), "DisabledException");
    root.call(EnableKeyInput { key_id: id() }).await.unwrap();
    root.call(decrypt(&blob, &[])).await.unwrap();
    let delete = ScheduleKeyDeletionInput { key_id: id(), pending_window_in_days: Some(7) };
    let bad = ScheduleKeyDeletionInput { pending_window_in_days: Some(6), ..delete.clone() };
    assert_eq!(code(root.call(bad).await), "ValidationException");
    let marked = root.call(delete.clone()).await.unwrap();
    assert_eq!(marked.key_state, Some(KeyState::PendingDeletion));
    assert_eq!(code(root.call(decrypt(&blob, &[])).await), "KMSInvalidStateException");
    assert_eq!(code(root.call(delete.clone()).await), "KMSInvalidStateException");
    root.call(CancelKeyDeletionInput { key_id: id() }).await.unwrap();
    assert_eq!(code(root.call(decrypt(&blob, &[])).await), "DisabledException");
    root.call(delete).await.unwrap();
    cloud.advance(Duration::from_secs(7 * 86_400 + 1));
    poll::until("the key to be gone", || async {
        let input = DescribeKeyInput { key_id: key.key_id.clone(), ..Default::default() };
        (code(root.call(input).await) == "NotFoundException").then_some(())
    })
    .await;
    assert_eq!(code(root.call(decrypt(&blob, &[])).await), "InvalidCiphertextException");
}

#[tokio::test]
async fn a_rotated_key_opens_what_its_old_material_sealed() {
    let cloud = start().await;
    let root = cloud.root();
    let key = make(&root, symmetric()).await;
    let id = || key.key_id.clone();
    let seal = || async {
        root.call(encrypt(&key.key_id, "plain", &[])).await.unwrap().ciphertext_blob.unwrap()
    };
    let first = seal().await;
    let material = |blob: &[u8]| root.call(decrypt(blob, &[]));
    let old = material(&first).await.unwrap().key_material_id;
    let rotate = EnableKeyRotationInput { key_id: id(), rotation_period_in_days: Some(90) };
    root.call(rotate).await.unwrap();
    root.call(RotateKeyOnDemandInput { key_id: id() }).await.unwrap();
    let second = seal().await;
    assert_ne!(material(&second).await.unwrap().key_material_id, old);
    assert_eq!(material(&first).await.unwrap().key_material_id, old);
    cloud.advance(Duration::from_secs(91 * 86_400));
    let list = || ListKeyRotationsInput { key_id: id(), ..ListKeyRotationsInput::default() };
    let rotations = poll::until("the rotation", || async {
        let rotations = root.call(list()).await.unwrap().rotations;
        (rotations.len() == 2).then_some(rotations)
    })
    .await;
    let kinds: Vec<_> = rotations.iter().filter_map(|rotation| rotation.rotation_type).collect();
    assert_eq!(kinds, [RotationType::OnDemand, RotationType::Automatic]);
    for blob in [first, second, seal().await] {
        assert_eq!(material(&blob).await.unwrap().plaintext.unwrap().as_ref(), b"plain");
    }
}

#[tokio::test]
async fn re_encrypting_changes_key_and_context() {
    let cloud = start().await;
    let root = cloud.root();
    let (one, two) = (make(&root, symmetric()).await, make(&root, symmetric()).await);
    let blob = root.call(encrypt(&one.key_id, "plain", &[("a", "1")])).await.unwrap();
    let input = ReEncryptInput {
        ciphertext_blob: blob.ciphertext_blob,
        source_encryption_context: context(&[("a", "1")]),
        destination_key_id: two.key_id.clone(),
        destination_encryption_context: context(&[("b", "2")]),
        ..ReEncryptInput::default()
    };
    let moved = root.call(input.clone()).await.unwrap();
    assert_eq!((moved.source_key_id, moved.key_id), (one.arn, two.arn));
    let plain = root.call(decrypt(&moved.ciphertext_blob.unwrap(), &[("b", "2")])).await.unwrap();
    assert_eq!(plain.plaintext.unwrap().as_ref(), b"plain");
    let wrong = ReEncryptInput { source_encryption_context: BTreeMap::new(), ..input };
    assert_eq!(code(root.call(wrong).await), "InvalidCiphertextException");
}
