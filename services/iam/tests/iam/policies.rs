//! Policies: managed, inline, boundaries, paths, simulation; over HTTP.

use crate::region::{Region, policy, trust};
use iam_api::*;

fn managed(name: &str, document: String) -> CreatePolicyInput {
    CreatePolicyInput {
        policy_name: name.to_owned(),
        policy_document: document,
        ..Default::default()
    }
}

#[tokio::test]
async fn a_policy_has_five_versions_of_which_one_is_in_force() {
    let region = Region::start().await;
    let (admin, bob) = (region.admin(), region.user("bob", None).await);
    let allow = policy("Allow", "iam:ListUsers", "*");
    let made = admin.call(managed("list", allow)).await.unwrap().policy.unwrap();
    let policy_arn = made.arn.unwrap();
    assert_eq!(policy_arn, region.arn("policy/list"));
    assert_eq!(made.default_version_id.as_deref(), Some("v1"));
    let attach =
        AttachUserPolicyInput { user_name: "bob".to_owned(), policy_arn: policy_arn.clone() };
    admin.call(attach).await.unwrap();
    bob.call(ListUsersInput::default()).await.unwrap();
    let version = |set: bool| CreatePolicyVersionInput {
        policy_arn: policy_arn.clone(),
        policy_document: policy("Deny", "iam:*", "*"),
        set_as_default: Some(set),
    };
    let second = admin.call(version(true)).await.unwrap().policy_version.unwrap();
    assert_eq!(second.version_id.as_deref(), Some("v2"));
    let error = bob.call(ListUsersInput::default()).await.unwrap_err();
    assert!(error.message.contains("with an explicit deny"), "{}", error.message);
    for _ in 0..3 {
        admin.call(version(false)).await.unwrap();
    }
    assert_eq!(admin.call(version(false)).await.unwrap_err().code, "LimitExceeded");
    let delete = |id: &str| DeletePolicyVersionInput {
        policy_arn: policy_arn.clone(),
        version_id: id.to_owned(),
    };
    assert_eq!(admin.call(delete("v2")).await.unwrap_err().code, "DeleteConflict");
    assert_eq!(admin.call(delete("v9")).await.unwrap_err().code, "NoSuchEntity");
    let back = SetDefaultPolicyVersionInput {
        policy_arn: policy_arn.clone(),
        version_id: "v1".to_owned(),
    };
    admin.call(back).await.unwrap();
    bob.call(ListUsersInput::default()).await.unwrap();
    for id in ["v2", "v3", "v4"] {
        admin.call(delete(id)).await.unwrap();
    }
    let next = admin.call(version(false)).await.unwrap().policy_version.unwrap();
    assert_eq!(next.version_id.as_deref(), Some("v6"));
    let shown = admin.call(GetPolicyInput { policy_arn: policy_arn.clone() }).await.unwrap();
    assert_eq!(shown.policy.unwrap().attachment_count, Some(1));
    let drop = DeletePolicyInput { policy_arn: policy_arn.clone() };
    assert_eq!(admin.call(drop.clone()).await.unwrap_err().code, "DeleteConflict");
    let input = ListEntitiesForPolicyInput { policy_arn: policy_arn.clone(), ..Default::default() };
    let using = admin.call(input).await.unwrap();
    assert_eq!(using.policy_users[0].user_name.as_deref(), Some("bob"));
    let detach =
        DetachUserPolicyInput { user_name: "bob".to_owned(), policy_arn: policy_arn.clone() };
    admin.call(detach.clone()).await.unwrap();
    assert_eq!(admin.call(detach).await.unwrap_err().code, "NoSuchEntity");
    assert_eq!(bob.call(ListUsersInput::default()).await.unwrap_err().code, "AccessDenied");
    for id in ["v5", "v6"] {
        admin.call(delete(id)).await.unwrap();
    }
    admin.call(drop).await.unwrap();
}

#[tokio::test]
async fn nobody_changes_awss_own_policies() {
    let region = Region::start().await;
    let arn = "arn:aws:iam::aws:policy/ReadOnlyAccess".to_owned();
    let input = GetPolicyVersionInput { policy_arn: arn.clone(), version_id: "v1".to_owned() };
    let version = region.admin().call(input).await.unwrap().policy_version.unwrap();
    assert!(version.document.unwrap().contains("%22Statement%22"));
    let error = region.root().call(DeletePolicyInput { policy_arn: arn }).await.unwrap_err();
    assert_eq!(error.code, "AccessDenied");
    let linked = "arn:aws:iam::aws:policy/aws-service-role/AmazonRDSServiceRolePolicy";
    let attach = AttachUserPolicyInput {
        user_name: "administrator".to_owned(),
        policy_arn: linked.to_owned(),
    };
    assert_eq!(region.root().call(attach).await.unwrap_err().code, "PolicyNotAttachable");
    let input = ListPoliciesInput { scope: Some(PolicyScopeType::Local), ..Default::default() };
    assert!(region.admin().call(input).await.unwrap().policies.is_empty());
    let input = ListPoliciesInput { only_attached: Some(true), ..Default::default() };
    let used = region.admin().call(input).await.unwrap().policies;
    assert_eq!(used[0].policy_name.as_deref(), Some("AdministratorAccess"));
}

#[tokio::test]
async fn documents_are_checked_and_measured() {
    let region = Region::start().await;
    let admin = region.admin();
    let bad = admin.call(managed("bad", "{\"Version\":\"2012-10-17\"}".to_owned())).await;
    assert_eq!(bad.unwrap_err().code, "MalformedPolicyDocument");
    let long = policy("Allow", "s3:GetObject", &format!("arn:aws:s3:::{}", "x".repeat(6200)));
    let error = admin.call(managed("long", long)).await.unwrap_err();
    assert_eq!(error.message, "Cannot exceed quota for PolicySize: 6144");
    region.user("bob", None).await;
    let put = |size: usize| PutUserPolicyInput {
        user_name: "bob".to_owned(),
        policy_name: "p".to_owned(),
        policy_document: policy(
            "Allow",
            "s3:GetObject",
            &format!("arn:aws:s3:::{}", "x".repeat(size)),
        ),
    };
    admin.call(put(1900)).await.unwrap();
    let error = admin.call(put(2100)).await.unwrap_err();
    assert_eq!(error.message, "Maximum policy size of 2048 bytes exceeded for user bob");
    let get = |name: &str| GetUserPolicyInput {
        user_name: "bob".to_owned(),
        policy_name: name.to_owned(),
    };
    admin.call(get("p")).await.unwrap();
    let error = admin.call(get("q")).await.unwrap_err();
    assert_eq!(error.message, "The user policy with name q cannot be found.");
    let list = ListUserPoliciesInput { user_name: "bob".to_owned(), ..Default::default() };
    assert_eq!(admin.call(list).await.unwrap().policy_names, ["p"]);
    let delete = DeleteUserPolicyInput { user_name: "bob".to_owned(), policy_name: "p".to_owned() };
    admin.call(delete.clone()).await.unwrap();
    assert_eq!(admin.call(delete).await.unwrap_err().code, "NoSuchEntity");
}

#[tokio::test]
async fn a_boundary_narrows_what_a_user_may_do() {
    let region = Region::start().await;
    let admin = region.admin();
    let bob = region.user("bob", Some(&policy("Allow", "iam:*", "*"))).await;
    let document = policy("Allow", "iam:Get*", "*");
    let bound = admin.call(managed("bound", document)).await.unwrap().policy.unwrap().arn.unwrap();
    bob.call(ListUsersInput::default()).await.unwrap();
    let put = |arn: &str| PutUserPermissionsBoundaryInput {
        user_name: "bob".to_owned(),
        permissions_boundary: arn.to_owned(),
    };
    assert_eq!(admin.call(put(&region.arn("policy/no"))).await.unwrap_err().code, "NoSuchEntity");
    admin.call(put(&bound)).await.unwrap();
    let error = bob.call(ListUsersInput::default()).await.unwrap_err();
    assert!(error.message.contains("no permissions boundary allows"), "{}", error.message);
    let shown = bob.call(GetUserInput::default()).await.unwrap().user;
    let arn = shown.permissions_boundary.unwrap().permissions_boundary_arn;
    assert_eq!(arn.as_deref(), Some(bound.as_str()));
    let delete = DeletePolicyInput { policy_arn: bound };
    assert_eq!(admin.call(delete).await.unwrap_err().code, "DeleteConflict");
    let free = DeleteUserPermissionsBoundaryInput { user_name: "bob".to_owned() };
    admin.call(free.clone()).await.unwrap();
    assert_eq!(admin.call(free).await.unwrap_err().code, "NoSuchEntity");
    bob.call(ListUsersInput::default()).await.unwrap();
}

#[tokio::test]
async fn permissions_reach_users_by_their_whole_arn() {
    let region = Region::start().await;
    let admin = region.admin();
    let document = policy("Allow", "iam:*User", &region.arn("user/dev/*"));
    let bob = region.user("bob", Some(&document)).await;
    let create = |path: &str| CreateUserInput {
        path: Some(path.to_owned()),
        user_name: "eve".to_owned(),
        ..Default::default()
    };
    assert_eq!(bob.call(create("/ops/")).await.unwrap_err().code, "AccessDenied");
    bob.call(create("/dev/")).await.unwrap();
    bob.call(GetUserInput { user_name: Some("eve".to_owned()) }).await.unwrap();
    let error = bob.call(GetUserInput { user_name: Some("bob".to_owned()) }).await.unwrap_err();
    assert_eq!(error.code, "AccessDenied");
    // Who may not look is not told whether there is anybody.
    let error = bob.call(GetUserInput { user_name: Some("no".to_owned()) }).await.unwrap_err();
    assert_eq!(error.code, "AccessDenied");
    let moved = UpdateUserInput {
        user_name: "eve".to_owned(),
        new_path: Some("/ops/".to_owned()),
        new_user_name: None,
    };
    assert_eq!(bob.call(moved.clone()).await.unwrap_err().code, "AccessDenied");
    admin.call(moved).await.unwrap();
    let error = bob.call(DeleteUserInput { user_name: "eve".to_owned() }).await.unwrap_err();
    assert_eq!(error.code, "AccessDenied");
}

#[tokio::test]
async fn tags_are_kept_without_regard_to_case_and_decide_access() {
    let region = Region::start().await;
    let admin = region.admin();
    let tag = |key: &str, value: &str| Tag { key: key.to_owned(), value: value.to_owned() };
    let document = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"iam:DeleteRole","Resource":"*","Condition":{"StringEquals":{"aws:ResourceTag/team":"a"}}}]}"#;
    let bob = region.user("bob", Some(document)).await;
    let input = CreateRoleInput {
        role_name: "r".to_owned(),
        assume_role_policy_document: trust("Service", "ec2.amazonaws.com"),
        tags: vec![tag("Team", "b")],
        ..Default::default()
    };
    admin.call(input).await.unwrap();
    let delete = DeleteRoleInput { role_name: "r".to_owned() };
    assert_eq!(bob.call(delete.clone()).await.unwrap_err().code, "AccessDenied");
    let twice =
        TagRoleInput { role_name: "r".to_owned(), tags: vec![tag("x", "1"), tag("X", "2")] };
    assert_eq!(admin.call(twice).await.unwrap_err().code, "InvalidInput");
    let reserved = TagRoleInput { role_name: "r".to_owned(), tags: vec![tag("aws:x", "1")] };
    assert_eq!(admin.call(reserved).await.unwrap_err().code, "InvalidInput");
    let set = TagRoleInput { role_name: "r".to_owned(), tags: vec![tag("team", "a")] };
    admin.call(set).await.unwrap();
    let list = ListRoleTagsInput { role_name: "r".to_owned(), ..Default::default() };
    assert_eq!(admin.call(list.clone()).await.unwrap().tags, [tag("team", "a")]);
    bob.call(delete).await.unwrap();
    assert_eq!(admin.call(list).await.unwrap_err().code, "NoSuchEntity");
}

#[tokio::test]
async fn a_simulation_says_what_a_call_would_meet() {
    let region = Region::start().await;
    region.user("bob", Some(&policy("Allow", "s3:Get*", "*"))).await;
    let input = SimulatePrincipalPolicyInput {
        policy_source_arn: region.arn("user/bob"),
        action_names: vec!["s3:GetObject".to_owned(), "s3:PutObject".to_owned()],
        policy_input_list: vec![policy("Deny", "s3:*", "arn:aws:s3:::secret/*")],
        resource_arns: vec!["arn:aws:s3:::open/a".to_owned(), "arn:aws:s3:::secret/a".to_owned()],
        ..Default::default()
    };
    let results = region.admin().call(input).await.unwrap().evaluation_results;
    let said: Vec<_> = results.iter().map(|result| result.eval_decision.as_str()).collect();
    assert_eq!(said, ["allowed", "explicitDeny", "implicitDeny", "explicitDeny"]);
    assert_eq!(results[0].matched_statements[0].source_policy_id.as_deref(), Some("may"));
}

#[tokio::test]
async fn the_account_is_named_counted_and_listed() {
    let region = Region::start().await;
    let admin = region.admin();
    let name = |alias: &str| CreateAccountAliasInput { account_alias: alias.to_owned() };
    admin.call(name("acme")).await.unwrap();
    assert_eq!(admin.call(name("acme")).await.unwrap_err().code, "EntityAlreadyExists");
    admin.call(name("acme-2")).await.unwrap();
    let aliases = admin.call(ListAccountAliasesInput::default()).await.unwrap().account_aliases;
    assert_eq!(aliases, ["acme-2"]);
    admin.call(DeleteAccountAliasInput { account_alias: "acme-2".to_owned() }).await.unwrap();
    let gone = DeleteAccountAliasInput { account_alias: "acme-2".to_owned() };
    assert_eq!(admin.call(gone).await.unwrap_err().code, "NoSuchEntity");
    let summary = admin.call(GetAccountSummaryInput {}).await.unwrap().summary_map;
    assert_eq!((summary["Users"], summary["UsersQuota"]), (1, 5000));
    let details = admin.call(GetAccountAuthorizationDetailsInput::default()).await.unwrap();
    assert_eq!(details.user_detail_list[0].user_name.as_deref(), Some("administrator"));
    assert_eq!(details.policies[0].policy_name.as_deref(), Some("AdministratorAccess"));
}
