//! Secrets under keys of KMS: a key that is closed closes them.

mod cloud;

use cloud::{code, create, get, start};
use kms_api::{CreateKeyInput, DescribeKeyInput, DisableKeyInput, EnableKeyInput};
use secretsmanager_api::{
    CreateSecretInput, DescribeSecretInput, ListSecretVersionIdsInput, PutSecretValueInput,
    UpdateSecretInput,
};

#[tokio::test]
async fn a_disabled_key_closes_the_secret_until_it_is_enabled() {
    let cloud = start().await;
    let root = cloud.root();
    let key = root.call(CreateKeyInput::default()).await.unwrap().key_metadata.unwrap();
    let id = || key.key_id.clone();
    let input = CreateSecretInput { kms_key_id: Some(id()), ..create("db", "one") };
    root.call(input.clone()).await.unwrap();
    let shown = root.call(DescribeSecretInput { secret_id: "db".to_owned() }).await.unwrap();
    assert_eq!(shown.kms_key_id, Some(id()));
    assert_eq!(get(&root, "db", None).await.as_deref(), Ok("one"));
    root.call(DisableKeyInput { key_id: id() }).await.unwrap();
    assert_eq!(get(&root, "db", None).await, Err("DecryptionFailure".to_owned()));
    let put = PutSecretValueInput {
        secret_id: "db".to_owned(),
        secret_string: Some("two".to_owned()),
        ..PutSecretValueInput::default()
    };
    assert_eq!(code(root.call(put.clone()).await), "EncryptionFailure");
    // What was made before is known without the key.
    root.call(input).await.unwrap();
    root.call(EnableKeyInput { key_id: id() }).await.unwrap();
    assert_eq!(get(&root, "db", None).await.as_deref(), Ok("one"));
    root.call(put).await.unwrap();
    assert_eq!(get(&root, "db", None).await.as_deref(), Ok("two"));
    let list = ListSecretVersionIdsInput { secret_id: "db".to_owned(), ..Default::default() };
    let versions = root.call(list).await.unwrap().versions;
    assert!(versions.iter().all(|version| version.kms_key_ids == [id()]));
    let missing =
        CreateSecretInput { kms_key_id: Some("alias/none".to_owned()), ..create("new", "x") };
    assert_eq!(code(root.call(missing).await), "EncryptionFailure");
}

#[tokio::test]
async fn the_services_own_key_is_made_at_first_use() {
    let cloud = start().await;
    let root = cloud.root();
    root.call(create("db", "one")).await.unwrap();
    let input = DescribeKeyInput {
        key_id: "alias/aws/secretsmanager".to_owned(),
        ..DescribeKeyInput::default()
    };
    let key = root.call(input).await.unwrap().key_metadata.unwrap();
    assert_eq!(key.key_manager, Some(kms_api::KeyManagerType::Aws));
    // Who may read secrets needs no word about the service's own key.
    let alice = cloud.user(
        "alice",
        r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow",
        "Action":"secretsmanager:GetSecretValue","Resource":"*"}]}"#,
    );
    assert_eq!(get(&alice, "db", None).await.as_deref(), Ok("one"));
}

#[tokio::test]
async fn a_key_of_ones_own_is_needed_by_who_reads() {
    let cloud = start().await;
    let root = cloud.root();
    let key = root.call(CreateKeyInput::default()).await.unwrap().key_metadata.unwrap();
    let input = CreateSecretInput { kms_key_id: key.arn.clone(), ..create("db", "one") };
    let arn = root.call(input).await.unwrap().arn.unwrap();
    let policy = |more: &str| {
        format!(
            r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Allow",
            "Action":"secretsmanager:GetSecretValue","Resource":"*"}}{more}]}}"#
        )
    };
    let alice = cloud.user("alice", &policy(""));
    assert_eq!(get(&alice, "db", None).await, Err("AccessDeniedException".to_owned()));
    let bob = cloud.user(
        "bob",
        &policy(&format!(
            r#",{{"Effect":"Allow","Action":"kms:Decrypt","Resource":"*","Condition":
            {{"StringEquals":{{"kms:ViaService":"secretsmanager.{}.amazonaws.com",
            "kms:EncryptionContext:SecretARN":"{arn}"}}}}}}"#,
            testkit::REGION
        )),
    );
    assert_eq!(get(&bob, "db", None).await.as_deref(), Ok("one"));
}

#[tokio::test]
async fn another_key_takes_over_what_is_in_force() {
    let cloud = start().await;
    let root = cloud.root();
    let key = root.call(CreateKeyInput::default()).await.unwrap().key_metadata.unwrap();
    root.call(create("db", "one")).await.unwrap();
    let update = UpdateSecretInput {
        secret_id: "db".to_owned(),
        kms_key_id: Some(key.key_id.clone()),
        description: Some("the database's".to_owned()),
        ..UpdateSecretInput::default()
    };
    root.call(update).await.unwrap();
    assert_eq!(get(&root, "db", None).await.as_deref(), Ok("one"));
    root.call(DisableKeyInput { key_id: key.key_id }).await.unwrap();
    assert_eq!(get(&root, "db", None).await, Err("DecryptionFailure".to_owned()));
    let shown = root.call(DescribeSecretInput { secret_id: "db".to_owned() }).await.unwrap();
    assert_eq!(shown.description.as_deref(), Some("the database's"));
}
