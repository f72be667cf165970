//! Key pairs.

use bytes::Bytes;
use ec2_api::{
    CreateKeyPairInput, DeleteKeyPairInput, DescribeKeyPairsInput, ImportKeyPairInput, KeyType,
};

use crate::region::{Lab, code};

fn new(name: &str, kind: KeyType) -> CreateKeyPairInput {
    CreateKeyPairInput {
        key_name: name.to_owned(),
        key_type: Some(kind),
        ..CreateKeyPairInput::default()
    }
}

#[tokio::test]
async fn a_private_key_is_answered_once() {
    let lab = Lab::start().await;
    let rsa = lab.root.call(new("rsa", KeyType::Rsa)).await.unwrap();
    assert!(rsa.key_material.unwrap().starts_with("-----BEGIN RSA PRIVATE KEY-----\n"));
    let ed25519 = lab.root.call(new("ed", KeyType::Ed25519)).await.unwrap();
    assert!(ed25519.key_material.unwrap().starts_with("-----BEGIN OPENSSH PRIVATE KEY-----\n"));
    assert_eq!(code(lab.root.call(new("ed", KeyType::Ed25519)).await), "InvalidKeyPair.Duplicate");
    let all = DescribeKeyPairsInput { include_public_key: Some(true), ..Default::default() };
    let all = lab.root.call(all).await.unwrap().key_pairs;
    assert_eq!(all.len(), 2);
    assert!(all[0].public_key.as_ref().unwrap().starts_with("ssh-ed25519 "));
    let delete = DeleteKeyPairInput { key_name: Some("ed".to_owned()), ..Default::default() };
    lab.root.call(delete.clone()).await.unwrap();
    lab.root.call(delete).await.unwrap();
    let gone = DescribeKeyPairsInput { key_names: vec!["ed".to_owned()], ..Default::default() };
    assert_eq!(code(lab.root.call(gone).await), "InvalidKeyPair.NotFound");
    assert_eq!(
        code(lab.cloud.nobody().call(new("x", KeyType::Rsa)).await),
        "UnauthorizedOperation"
    );
}

#[tokio::test]
async fn an_imported_key_has_the_fingerprint_that_ssh_keygen_shows() {
    let lab = Lab::start().await;
    // `ssh-keygen -l` of this key; EC2 shows the same hash in padded base64.
    let key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIL7lJgT4jGUqFv0CLL0RY+BnA4Gb63lOtBUFxpjxUsMc me";
    let input = ImportKeyPairInput {
        key_name: "mine".to_owned(),
        public_key_material: Bytes::from_static(key.as_bytes()),
        ..Default::default()
    };
    let made = lab.root.call(input.clone()).await.unwrap();
    assert_eq!(made.key_fingerprint.unwrap().len(), 44);
    let bad = ImportKeyPairInput {
        key_name: "bad".to_owned(),
        public_key_material: Bytes::from_static(b"ssh-ed25519 AAAA"),
        ..input
    };
    assert_eq!(code(lab.root.call(bad).await), "InvalidKey.Format");
}
