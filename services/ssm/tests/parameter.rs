//! Parameters over HTTP: versions, hierarchies, secrets, tags, and who may read them.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use kernel::cipher::Cipher;
use kms_api::{CreateKeyInput, DisableKeyInput, EnableKeyInput};
use ssm_api::{
    AddTagsToResourceInput, DeleteParameterInput, DeleteParametersInput, DescribeParametersInput,
    GetParameterHistoryInput, GetParameterInput, GetParametersByPathInput, GetParametersInput,
    LabelParameterVersionInput, ListTagsForResourceInput, ParameterStringFilter, ParameterTier,
    ParameterType, PutParameterInput, RemoveTagsFromResourceInput, ResourceTypeForTagging, Tag,
    UnlabelParameterVersionInput,
};
use testkit::{Cloud, TestClient, poll};

struct Zeroes;

impl base::Random for Zeroes {
    fn fill(&self, bytes: &mut [u8]) {
        bytes.fill(0);
    }
}

async fn cloud() -> Cloud {
    let drivers = kms::Drivers { cipher: Cipher::new([1; 32], Arc::new(Zeroes)) };
    Cloud::start(vec![kms::service(drivers).into(), ssm::service().into()]).await
}

/// A day after the tests' clock starts.
const EXPIRES: &str = r#"[{"Type":"Expiration","Version":"1.0","Attributes":{"Timestamp":"2026-09-22T14:13:20.000Z"}}]"#;

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
            "ValidationException",
        ),
        (
            PutParameterInput {
                key_id: Some("alias/mine".to_owned()),
                type_: Some(ParameterType::SecureString),
                ..put("/k", "x")
            },
            "InvalidKeyId",
        ),
        (
            PutParameterInput { data_type: Some("aws:ec2:image".to_owned()), ..put("/i", "x") },
            "ValidationException",
        ),
        (
            PutParameterInput { policies: Some(EXPIRES.to_owned()), ..put("/p", "x") },
            "ValidationException",
        ),
        (
            PutParameterInput {
                policies: Some(r#"[{"Type":"Other","Version":"1.0"}]"#.to_owned()),
                tier: Some(ParameterTier::Advanced),
                ..put("/p", "x")
            },
            "InvalidPolicyTypeException",
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

#[tokio::test]
async fn a_disabled_key_closes_its_parameters() {
    let cloud = cloud().await;
    let root = cloud.root();
    let key = root.call(CreateKeyInput::default()).await.unwrap().key_metadata.unwrap().key_id;
    let secure = |name: &str, value: &str, tier| PutParameterInput {
        type_: Some(ParameterType::SecureString),
        key_id: Some(key.clone()),
        tier: Some(tier),
        ..put(name, value)
    };
    let long = "long ".repeat(1200);
    root.call(secure("/short", "canary", ParameterTier::Standard)).await.unwrap();
    root.call(secure("/long", &long, ParameterTier::IntelligentTiering)).await.unwrap();
    root.call(put("/open", "x")).await.unwrap();
    let own =
        PutParameterInput { type_: Some(ParameterType::SecureString), ..put("/own", "canary") };
    root.call(own).await.unwrap();
    assert_eq!(get(&root, "/short").await.as_deref(), Ok("canary"));
    assert_eq!(get(&root, "/long").await.as_deref(), Ok(long.as_str()));
    root.call(DisableKeyInput { key_id: key.clone() }).await.unwrap();
    for name in ["/short", "/long"] {
        assert_eq!(get(&root, name).await, Err("InvalidKeyId".to_owned()));
        let sealed = GetParameterInput { name: name.to_owned(), with_decryption: None };
        root.call(sealed).await.unwrap();
    }
    assert_eq!(get(&root, "/open").await.as_deref(), Ok("x"));
    assert_eq!(get(&root, "/own").await.as_deref(), Ok("canary"));
    root.call(EnableKeyInput { key_id: key.clone() }).await.unwrap();
    assert_eq!(get(&root, "/short").await.as_deref(), Ok("canary"));
    let filter = ParameterStringFilter { key: "KeyId".to_owned(), option: None, values: vec![key] };
    let input = DescribeParametersInput { parameter_filters: vec![filter], ..Default::default() };
    assert_eq!(root.call(input).await.unwrap().parameters.len(), 2);
    // Reading a parameter under a key of one's own needs the key as well.
    let alice = cloud.user(
        "alice",
        r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"ssm:GetParameter",
            "Resource":"*"}]}"#,
    );
    assert_eq!(get(&alice, "/own").await.as_deref(), Ok("canary"));
    assert_eq!(get(&alice, "/short").await, Err("AccessDeniedException".to_owned()));
}

#[tokio::test]
async fn a_parameter_expires_when_its_policy_says() {
    let cloud = cloud().await;
    let root = cloud.root();
    let input = PutParameterInput {
        policies: Some(EXPIRES.to_owned()),
        tier: Some(ParameterTier::IntelligentTiering),
        ..put("/short-lived", "x")
    };
    assert_eq!(root.call(input).await.unwrap().tier, Some(ParameterTier::Advanced));
    let shown = root.call(DescribeParametersInput::default()).await.unwrap().parameters;
    assert_eq!(shown[0].policies[0].policy_type.as_deref(), Some("Expiration"));
    let down = PutParameterInput {
        tier: Some(ParameterTier::Standard),
        overwrite: Some(true),
        ..put("/short-lived", "y")
    };
    assert_eq!(root.call(down).await.unwrap_err().code, "ValidationException");
    cloud.advance(Duration::from_secs(2 * 86_400));
    poll::until("the parameter to expire", || async {
        (get(&root, "/short-lived").await == Err("ParameterNotFound".to_owned())).then_some(())
    })
    .await;
}

#[tokio::test]
async fn labels_and_tags_are_taken_away() {
    let cloud = cloud().await;
    let root = cloud.root();
    root.call(put("/a/one", "1")).await.unwrap();
    root.call(PutParameterInput { overwrite: Some(true), ..put("/a/one", "2") }).await.unwrap();
    let name = || "/a/one".to_owned();
    let labels = vec!["live".to_owned()];
    let label = LabelParameterVersionInput {
        name: name(),
        parameter_version: Some(1),
        labels: labels.clone(),
    };
    root.call(label).await.unwrap();
    let filter =
        ParameterStringFilter { key: "Label".to_owned(), option: None, values: labels.clone() };
    let by_label = GetParametersByPathInput {
        path: "/a".to_owned(),
        parameter_filters: vec![filter],
        ..Default::default()
    };
    let found = root.call(by_label).await.unwrap().parameters;
    assert_eq!(found[0].value.as_deref(), Some("1"));
    let unlabel = UnlabelParameterVersionInput {
        name: name(),
        parameter_version: 1,
        labels: vec!["live".to_owned(), "dead".to_owned()],
    };
    let output = root.call(unlabel).await.unwrap();
    assert_eq!((output.removed_labels, output.invalid_labels), (labels, vec!["dead".to_owned()]));
    assert_eq!(get(&root, "/a/one:live").await, Err("ParameterVersionNotFound".to_owned()));
    let tag = AddTagsToResourceInput {
        resource_type: ResourceTypeForTagging::Parameter,
        resource_id: name(),
        tags: vec![Tag { key: "team".to_owned(), value: "a".to_owned() }],
    };
    root.call(tag).await.unwrap();
    let untag = RemoveTagsFromResourceInput {
        resource_type: ResourceTypeForTagging::Parameter,
        resource_id: name(),
        tag_keys: vec!["team".to_owned()],
    };
    root.call(untag).await.unwrap();
    let delete = DeleteParametersInput { names: vec![name(), "/none".to_owned()] };
    let output = root.call(delete).await.unwrap();
    assert_eq!((output.deleted_parameters.len(), output.invalid_parameters.len()), (1, 1));
}

/// Every file below `folder`.
fn files(folder: &Path, found: &mut Vec<Vec<u8>>) {
    for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
        let path = entry.path();
        if path.is_dir() {
            files(&path, found);
        } else {
            found.push(std::fs::read(&path).expect("a file"));
        }
    }
}

#[tokio::test]
async fn no_file_holds_a_secure_value_in_the_clear() {
    let cloud = cloud().await;
    let root = cloud.root();
    let input = PutParameterInput {
        type_: Some(ParameterType::SecureString),
        ..put("/canary", "canary-9f27c1")
    };
    root.call(input).await.unwrap();
    assert_eq!(get(&root, "/canary").await.as_deref(), Ok("canary-9f27c1"));
    let contains = |wanted: &[u8]| {
        let mut found = Vec::new();
        files(cloud.folder.path(), &mut found);
        found.iter().any(|file| file.windows(wanted.len()).any(|part| part == wanted))
    };
    // The record of the call is written behind it.
    poll::until("the record of the call", || async { contains(b"PutParameter").then_some(()) })
        .await;
    cloud.kernel.store().checkpoint().await.unwrap();
    assert!(!contains(b"canary-9f27c1"));
}
