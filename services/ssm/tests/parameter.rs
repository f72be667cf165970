//! Parameters over HTTP: versions, hierarchies, secrets, tags, and who may read them.

use std::sync::Arc;

use kernel::cipher::Cipher;
use ssm_api::{
    AddTagsToResourceInput, DeleteParameterInput, DescribeParametersInput,
    GetParameterHistoryInput, GetParameterInput, GetParametersByPathInput, GetParametersInput,
    LabelParameterVersionInput, ListTagsForResourceInput, ParameterType, PutParameterInput,
    ResourceTypeForTagging, Tag,
};
use testkit::{Cloud, TestClient};

struct Zeroes;

impl base::Random for Zeroes {
    fn fill(&self, bytes: &mut [u8]) {
        bytes.fill(0);
    }
}

async fn cloud() -> Cloud {
    let drivers = ssm::Drivers { cipher: Cipher::new([1; 32], Arc::new(Zeroes)) };
    Cloud::start(vec![ssm::service(drivers).into()]).await
}

fn put(name: &str, value: &str) -> PutParameterInput {
    PutParameterInput {
        name: name.to_owned(),
        value: value.to_owned(),
        type_: Some(ParameterType::String),
        ..PutParameterInput::default()
    }
}

async fn get(client: &TestClient, name: &str) -> Result<String, String> {
    let input = GetParameterInput { name: name.to_owned(), with_decryption: Some(true) };
    match client.call(input).await {
        Ok(output) => Ok(output.parameter.and_then(|p| p.value).unwrap_or_default()),
        Err(error) => Err(error.code),
    }
}

#[tokio::test]
async fn a_parameter_keeps_its_versions_and_labels() {
    let cloud = cloud().await;
    let root = cloud.root();
    assert_eq!(root.call(put("/app/url", "one")).await.unwrap().version, Some(1));
    let again = root.call(put("/app/url", "two")).await.unwrap_err();
    assert_eq!(again.code, "ParameterAlreadyExists");
    let over = PutParameterInput { overwrite: Some(true), ..put("/app/url", "two") };
    assert_eq!(root.call(over).await.unwrap().version, Some(2));
    assert_eq!(get(&root, "/app/url").await.as_deref(), Ok("two"));
    assert_eq!(get(&root, "/app/url:1").await.as_deref(), Ok("one"));
    let label = LabelParameterVersionInput {
        name: "/app/url".to_owned(),
        parameter_version: Some(1),
        labels: vec!["live".to_owned(), "1bad".to_owned()],
    };
    assert_eq!(root.call(label).await.unwrap().invalid_labels, vec!["1bad"]);
    assert_eq!(get(&root, "/app/url:live").await.as_deref(), Ok("one"));
    assert_eq!(get(&root, "/app/url:9").await, Err("ParameterVersionNotFound".to_owned()));
    assert_eq!(get(&root, "/app/none").await, Err("ParameterNotFound".to_owned()));
    let input = GetParameterHistoryInput { name: "/app/url".to_owned(), ..Default::default() };
    assert_eq!(root.call(input).await.unwrap().parameters.len(), 2);
}

#[tokio::test]
async fn a_secure_string_is_sealed_unless_opened() {
    let cloud = cloud().await;
    let root = cloud.root();
    let secret = PutParameterInput {
        type_: Some(ParameterType::SecureString),
        ..put("secret", "canary-value")
    };
    root.call(secret).await.unwrap();
    let sealed = GetParameterInput { name: "secret".to_owned(), with_decryption: None };
    let sealed = root.call(sealed).await.unwrap().parameter.unwrap().value.unwrap();
    assert!(!sealed.contains("canary"));
    assert_eq!(get(&root, "secret").await.as_deref(), Ok("canary-value"));
}

#[tokio::test]
async fn paths_list_what_lies_below_page_by_page() {
    let cloud = cloud().await;
    let root = cloud.root();
    for name in ["/a/1", "/a/2", "/a/3", "/a/b/4", "/ab/5"] {
        root.call(put(name, "x")).await.unwrap();
    }
    let mut names = Vec::new();
    let mut token = None;
    loop {
        let input = GetParametersByPathInput {
            path: "/a".to_owned(),
            recursive: Some(true),
            max_results: Some(2),
            next_token: token,
            ..Default::default()
        };
        let page = root.call(input).await.unwrap();
        names.extend(page.parameters.into_iter().map(|p| p.name.unwrap()));
        token = page.next_token;
        if token.is_none() {
            break;
        }
    }
    assert_eq!(names, ["/a/1", "/a/2", "/a/3", "/a/b/4"]);
    let flat = GetParametersByPathInput { path: "/a".to_owned(), ..Default::default() };
    assert_eq!(root.call(flat).await.unwrap().parameters.len(), 3);
    let all = root.call(DescribeParametersInput::default()).await.unwrap();
    assert_eq!(all.parameters.len(), 5);
    let some = GetParametersInput {
        names: vec!["/a/1".to_owned(), "/none".to_owned()],
        ..Default::default()
    };
    let some = root.call(some).await.unwrap();
    assert_eq!((some.parameters.len(), some.invalid_parameters.len()), (1, 1));
}

#[tokio::test]
async fn bad_parameters_change_nothing() {
    let cloud = cloud().await;
    let root = cloud.root();
    for (input, code) in [
        (put("aws-thing", "x"), "ValidationException"),
        (put("/a b", "x"), "ValidationException"),
        (put("/big", &"x".repeat(5000)), "ValidationException"),
        (
            PutParameterInput { allowed_pattern: Some("^[0-9]+$".to_owned()), ..put("/n", "x") },
            "ParameterPatternMismatchException",
        ),
        (
            PutParameterInput { key_id: Some("alias/mine".to_owned()), ..put("/k", "x") },
            "InvalidKeyId",
        ),
    ] {
        assert_eq!(root.call(input).await.unwrap_err().code, code);
    }
    let all = root.call(DescribeParametersInput::default()).await.unwrap();
    assert!(all.parameters.is_empty());
}

#[tokio::test]
async fn only_who_may_reads_and_tags_decide() {
    let cloud = cloud().await;
    let root = cloud.root();
    root.call(put("/team/a", "x")).await.unwrap();
    root.call(put("/team/b", "x")).await.unwrap();
    let tag = AddTagsToResourceInput {
        resource_type: ResourceTypeForTagging::Parameter,
        resource_id: "/team/a".to_owned(),
        tags: vec![Tag { key: "team".to_owned(), value: "a".to_owned() }],
    };
    root.call(tag).await.unwrap();
    let list = ListTagsForResourceInput {
        resource_type: ResourceTypeForTagging::Parameter,
        resource_id: "/team/a".to_owned(),
    };
    assert_eq!(root.call(list).await.unwrap().tag_list.len(), 1);
    let alice = cloud.user(
        "alice",
        r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"ssm:GetParameter",
            "Resource":"arn:aws:ssm:*:*:parameter/team/*",
            "Condition":{"StringEquals":{"aws:ResourceTag/team":"a"}}}]}"#,
    );
    assert_eq!(get(&alice, "/team/a").await.as_deref(), Ok("x"));
    assert_eq!(get(&alice, "/team/b").await, Err("AccessDeniedException".to_owned()));
    let delete = DeleteParameterInput { name: "/team/a".to_owned() };
    assert_eq!(alice.call(delete.clone()).await.unwrap_err().code, "AccessDeniedException");
    root.call(delete).await.unwrap();
    assert_eq!(get(&root, "/team/a").await, Err("ParameterNotFound".to_owned()));
}
