//! Stages, lists, tags, policies and what is refused.
#![expect(clippy::unwrap_used, reason = "a failed step of a test ends it")]

mod cloud;

use cloud::{code, create, get, start};
use secretsmanager_api::{
    BatchGetSecretValueInput, CancelRotateSecretInput, CreateSecretInput,
    DeleteResourcePolicyInput, DeleteSecretInput, DescribeSecretInput, Filter,
    FilterNameStringType, GetResourcePolicyInput, ListSecretVersionIdsInput, ListSecretsInput,
    PutResourcePolicyInput, PutSecretValueInput, RemoveRegionsFromReplicationInput,
    ReplicaRegionType, ReplicateSecretToRegionsInput, RotateSecretInput, SortByType, SortOrderType,
    StopReplicationToReplicaInput, Tag, TagResourceInput, UntagResourceInput, UpdateSecretInput,
    UpdateSecretVersionStageInput, ValidateResourcePolicyInput,
};
use testkit::TestClient;

async fn put(root: &TestClient, value: &str, stages: &[&str]) -> String {
    let input = PutSecretValueInput {
        secret_id: "db".to_owned(),
        secret_string: Some(value.to_owned()),
        version_stages: stages.iter().map(|stage| (*stage).to_owned()).collect(),
        ..PutSecretValueInput::default()
    };
    root.call(input).await.unwrap().version_id.unwrap()
}

fn id() -> String {
    "db".to_owned()
}

#[tokio::test]
async fn stages_move_when_their_holder_is_named() {
    let cloud = start().await;
    let root = cloud.root();
    let first = root.call(create("db", "one")).await.unwrap().version_id.unwrap();
    let second = put(&root, "two", &["AWSPENDING"]).await;
    assert_eq!(get(&root, "db", None).await.as_deref(), Ok("one"));
    let shift = |from: Option<&str>, to: Option<&str>| UpdateSecretVersionStageInput {
        secret_id: id(),
        version_stage: "AWSCURRENT".to_owned(),
        remove_from_version_id: from.map(str::to_owned),
        move_to_version_id: to.map(str::to_owned),
    };
    let unnamed = root.call(shift(None, Some(&second))).await;
    assert_eq!(code(unnamed), "InvalidParameterException");
    let wrong = root.call(shift(Some(&second), Some("no-such-version-no-such-version-"))).await;
    assert_eq!(code(wrong), "InvalidParameterException");
    let nowhere = root.call(shift(Some(&first), None)).await;
    assert_eq!(code(nowhere), "InvalidParameterException");
    root.call(shift(Some(&first), Some(&second))).await.unwrap();
    assert_eq!(get(&root, "db", None).await.as_deref(), Ok("two"));
    assert_eq!(get(&root, "db", Some("AWSPREVIOUS")).await.as_deref(), Ok("one"));
}

#[tokio::test]
async fn versions_without_a_stage_are_deprecated_and_still_there() {
    let cloud = start().await;
    let root = cloud.root();
    root.call(create("db", "one")).await.unwrap();
    for value in ["two", "three"] {
        put(&root, value, &[]).await;
    }
    let list = |all| ListSecretVersionIdsInput {
        secret_id: id(),
        include_deprecated: Some(all),
        ..ListSecretVersionIdsInput::default()
    };
    assert_eq!(root.call(list(false)).await.unwrap().versions.len(), 2);
    assert_eq!(root.call(list(true)).await.unwrap().versions.len(), 3);
    let page = ListSecretVersionIdsInput { max_results: Some(2), ..list(true) };
    let first = root.call(page.clone()).await.unwrap();
    let rest = ListSecretVersionIdsInput { next_token: first.next_token, ..page };
    assert_eq!(root.call(rest).await.unwrap().versions.len(), 1);
    let shown = root.call(DescribeSecretInput { secret_id: id() }).await.unwrap();
    assert_eq!(shown.version_ids_to_stages.len(), 2);
    let update = UpdateSecretInput {
        secret_id: id(),
        secret_string: Some("four".to_owned()),
        ..UpdateSecretInput::default()
    };
    root.call(update).await.unwrap();
    assert_eq!(get(&root, "db", None).await.as_deref(), Ok("four"));
    let shown = root.call(DescribeSecretInput { secret_id: id() }).await.unwrap();
    assert!(shown.last_accessed_date.is_some());
}

#[tokio::test]
async fn several_values_come_at_once_and_faults_come_apart() {
    let cloud = start().await;
    let root = cloud.root();
    for name in ["a", "b"] {
        root.call(create(name, name)).await.unwrap();
    }
    let batch = |ids: &[&str]| BatchGetSecretValueInput {
        secret_id_list: ids.iter().map(|id| (*id).to_owned()).collect(),
        ..BatchGetSecretValueInput::default()
    };
    let output = root.call(batch(&["a", "none", "b"])).await.unwrap();
    assert_eq!(output.secret_values.len(), 2);
    assert_eq!(output.errors[0].error_code.as_deref(), Some("ResourceNotFoundException"));
    assert_eq!(code(root.call(batch(&[])).await), "InvalidParameterException");
    let filter = Filter { key: Some(FilterNameStringType::Name), values: vec!["b".to_owned()] };
    let by_name = BatchGetSecretValueInput { filters: vec![filter], ..batch(&[]) };
    let output = root.call(by_name).await.unwrap();
    assert_eq!(output.secret_values[0].secret_string.as_deref(), Some("b"));
}

#[tokio::test]
async fn lists_run_both_ways_over_pages() {
    let cloud = start().await;
    let root = cloud.root();
    for name in ["a", "ab", "b", "c"] {
        root.call(create(name, "x")).await.unwrap();
    }
    for (order, want) in
        [(SortOrderType::Asc, ["a", "ab", "b", "c"]), (SortOrderType::Desc, ["c", "b", "ab", "a"])]
    {
        let (mut seen, mut next_token) = (Vec::new(), None);
        loop {
            let input = ListSecretsInput {
                sort_by: Some(SortByType::Name),
                sort_order: Some(order),
                max_results: Some(3),
                next_token,
                ..ListSecretsInput::default()
            };
            let page = root.call(input).await.unwrap();
            seen.extend(page.secret_list.into_iter().filter_map(|secret| secret.name));
            next_token = page.next_token;
            if next_token.is_none() {
                break;
            }
        }
        assert_eq!(seen, want);
    }
}

#[tokio::test]
async fn tags_and_policies_come_and_go() {
    let cloud = start().await;
    let root = cloud.root();
    root.call(create("db", "one")).await.unwrap();
    let tag = Tag { key: Some("team".to_owned()), value: Some("a".to_owned()) };
    root.call(TagResourceInput { secret_id: id(), tags: vec![tag] }).await.unwrap();
    let shown = root.call(DescribeSecretInput { secret_id: id() }).await.unwrap();
    assert_eq!(shown.tags.len(), 1);
    let untag = UntagResourceInput { secret_id: id(), tag_keys: vec!["team".to_owned()] };
    root.call(untag).await.unwrap();
    let shown = root.call(DescribeSecretInput { secret_id: id() }).await.unwrap();
    assert!(shown.tags.is_empty());

    let public = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*",
        "Action":"secretsmanager:GetSecretValue","Resource":"*"}]}"#;
    let validate = |resource_policy: &str| ValidateResourcePolicyInput {
        secret_id: Some(id()),
        resource_policy: resource_policy.to_owned(),
    };
    let answer = root.call(validate(public)).await.unwrap();
    assert_eq!(answer.policy_validation_passed, Some(false));
    assert_eq!(answer.validation_errors.len(), 1);
    assert_eq!(code(root.call(validate("{}")).await), "MalformedPolicyDocumentException");
    let put = PutResourcePolicyInput {
        secret_id: id(),
        resource_policy: public.to_owned(),
        block_public_policy: Some(true),
        ..PutResourcePolicyInput::default()
    };
    assert_eq!(code(root.call(put.clone()).await), "PublicPolicyException");
    let put = PutResourcePolicyInput { block_public_policy: None, ..put };
    root.call(put).await.unwrap();
    let read = || GetResourcePolicyInput { secret_id: id(), policy_name: None };
    assert_eq!(root.call(read()).await.unwrap().resource_policy.as_deref(), Some(public));
    let delete = DeleteResourcePolicyInput { secret_id: id(), policy_name: None };
    root.call(delete).await.unwrap();
    assert_eq!(root.call(read()).await.unwrap().resource_policy, None);
}

#[tokio::test]
async fn what_needs_lambda_or_another_region_is_refused() {
    let cloud = start().await;
    let root = cloud.root();
    root.call(create("db", "one")).await.unwrap();
    let rotate = RotateSecretInput { secret_id: id(), ..RotateSecretInput::default() };
    assert_eq!(code(root.call(rotate.clone()).await), "InvalidRequestException");
    let function = "arn:aws:lambda:ap-northeast-2:123456789012:function:rotate".to_owned();
    let rotate = RotateSecretInput { rotation_lambda_arn: Some(function), ..rotate };
    assert_eq!(code(root.call(rotate).await), "AccessDeniedException");
    let cancel = CancelRotateSecretInput { secret_id: id() };
    assert_eq!(code(root.call(cancel).await), "InvalidRequestException");
    let region = ReplicaRegionType { region: Some("us-east-1".to_owned()), ..Default::default() };
    let replicate = ReplicateSecretToRegionsInput {
        secret_id: id(),
        add_replica_regions: vec![region.clone()],
        ..ReplicateSecretToRegionsInput::default()
    };
    assert_eq!(code(root.call(replicate).await), "InvalidParameterException");
    let create = CreateSecretInput { add_replica_regions: vec![region], ..create("new", "x") };
    assert_eq!(code(root.call(create).await), "InvalidParameterException");
    let remove = RemoveRegionsFromReplicationInput {
        secret_id: id(),
        remove_replica_regions: vec!["us-east-1".to_owned()],
    };
    assert_eq!(code(root.call(remove).await), "InvalidParameterException");
    let stop = StopReplicationToReplicaInput { secret_id: id() };
    assert_eq!(code(root.call(stop).await), "InvalidRequestException");
}

#[tokio::test]
async fn deleting_by_force_what_is_not_there_is_no_error() {
    let cloud = start().await;
    let root = cloud.root();
    let delete = DeleteSecretInput {
        secret_id: id(),
        force_delete_without_recovery: Some(true),
        ..DeleteSecretInput::default()
    };
    root.call(delete.clone()).await.unwrap();
    let soft = DeleteSecretInput { force_delete_without_recovery: None, ..delete };
    assert_eq!(code(root.call(soft).await), "ResourceNotFoundException");
}
