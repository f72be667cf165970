//! Secrets over HTTP: versions and stages, tokens, deletion on the clock, who may read.

mod cloud;

use std::time::Duration;

use cloud::{create, get, start};
use secretsmanager_api::{
    DeleteSecretInput, DescribeSecretInput, GetRandomPasswordInput, ListSecretsInput,
    PutResourcePolicyInput, PutSecretValueInput, RestoreSecretInput,
};
use testkit::poll;

#[tokio::test]
async fn a_new_value_is_current_and_the_old_one_previous() {
    let cloud = start().await;
    let root = cloud.root();
    let arn = root.call(create("db", "one")).await.unwrap().arn.unwrap();
    assert_eq!(root.call(create("db", "one")).await.unwrap().arn.as_deref(), Some(arn.as_str()));
    assert_eq!(root.call(create("db", "other")).await.unwrap_err().code, "ResourceExistsException");
    let put = PutSecretValueInput {
        secret_id: arn.clone(),
        secret_string: Some("two".to_owned()),
        ..PutSecretValueInput::default()
    };
    root.call(put).await.unwrap();
    for id in ["db", arn.as_str()] {
        assert_eq!(get(&root, id, None).await.as_deref(), Ok("two"));
        assert_eq!(get(&root, id, Some("AWSPREVIOUS")).await.as_deref(), Ok("one"));
    }
    let described = root.call(DescribeSecretInput { secret_id: "db".to_owned() }).await.unwrap();
    assert_eq!(described.version_ids_to_stages.len(), 2);
    let missing = get(&root, "db", Some("nowhere")).await;
    assert_eq!(missing, Err("ResourceNotFoundException".to_owned()));
}

#[tokio::test]
async fn a_deleted_secret_comes_back_until_its_window_ends() {
    let cloud = start().await;
    let root = cloud.root();
    root.call(create("db", "one")).await.unwrap();
    let delete = DeleteSecretInput {
        secret_id: "db".to_owned(),
        recovery_window_in_days: Some(7),
        ..DeleteSecretInput::default()
    };
    root.call(delete.clone()).await.unwrap();
    assert_eq!(get(&root, "db", None).await, Err("InvalidRequestException".to_owned()));
    assert!(root.call(ListSecretsInput::default()).await.unwrap().secret_list.is_empty());
    root.call(RestoreSecretInput { secret_id: "db".to_owned() }).await.unwrap();
    assert_eq!(get(&root, "db", None).await.as_deref(), Ok("one"));
    root.call(delete).await.unwrap();
    cloud.advance(Duration::from_secs(8 * 86_400));
    poll::until("the secret to be gone", || async {
        let described = root.call(DescribeSecretInput { secret_id: "db".to_owned() }).await;
        described.is_err().then_some(())
    })
    .await;
}

#[tokio::test]
async fn passwords_obey_their_rules() {
    let cloud = start().await;
    let input = GetRandomPasswordInput {
        password_length: Some(20),
        exclude_punctuation: Some(true),
        exclude_characters: Some("abc".to_owned()),
        ..GetRandomPasswordInput::default()
    };
    let made = cloud.root().call(input).await.unwrap().random_password.unwrap();
    assert_eq!(made.len(), 20);
    assert!(made.chars().all(|c| c.is_ascii_alphanumeric() && !"abc".contains(c)), "{made}");
    let impossible = GetRandomPasswordInput {
        exclude_lowercase: Some(true),
        exclude_uppercase: Some(true),
        exclude_numbers: Some(true),
        exclude_punctuation: Some(true),
        ..GetRandomPasswordInput::default()
    };
    let error = cloud.root().call(impossible).await.unwrap_err();
    assert_eq!(error.code, "InvalidParameterException");
}

#[tokio::test]
async fn the_secrets_own_policy_lets_somebody_in() {
    let cloud = start().await;
    let root = cloud.root();
    root.call(create("db", "one")).await.unwrap();
    let nobody = cloud.nobody();
    assert_eq!(get(&nobody, "db", None).await, Err("AccessDeniedException".to_owned()));
    let policy = format!(
        r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Allow","Principal":{{"AWS":
        "arn:aws:iam::{}:user/nobody"}},"Action":"secretsmanager:GetSecretValue","Resource":"*"}}]}}"#,
        testkit::ACCOUNT
    );
    let put = PutResourcePolicyInput {
        secret_id: "db".to_owned(),
        resource_policy: policy,
        ..PutResourcePolicyInput::default()
    };
    assert_eq!(nobody.call(put.clone()).await.unwrap_err().code, "AccessDeniedException");
    root.call(put).await.unwrap();
    assert_eq!(get(&nobody, "db", None).await.as_deref(), Ok("one"));
}
