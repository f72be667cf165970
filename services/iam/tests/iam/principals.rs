//! Users, groups, roles, profiles and keys, over HTTP.

use crate::region::{Region, policy, trust};
use iam_api::*;
use sts_api::{AssumeRoleInput, GetCallerIdentityInput};

fn user(name: &str) -> CreateUserInput {
    CreateUserInput { user_name: name.to_owned(), ..Default::default() }
}

fn role(name: &str, trust: String) -> CreateRoleInput {
    CreateRoleInput {
        role_name: name.to_owned(),
        assume_role_policy_document: trust,
        ..Default::default()
    }
}

#[tokio::test]
async fn a_user_is_made_shown_renamed_and_deleted() {
    let region = Region::start().await;
    let admin = region.admin();
    let made = admin
        .call(CreateUserInput {
            path: Some("/dev/".to_owned()),
            tags: vec![Tag { key: "team".to_owned(), value: "a".to_owned() }],
            ..user("Bob")
        })
        .await
        .unwrap()
        .user
        .unwrap();
    assert_eq!(made.arn, region.arn("user/dev/Bob"));
    assert!(made.user_id.starts_with("AIDA") && made.user_id.len() == 21, "{}", made.user_id);
    let error = admin.call(user("bob")).await.unwrap_err();
    assert_eq!((error.code.as_str(), error.status), ("EntityAlreadyExists", 409));
    assert_eq!(error.message, "User with name bob already exists.");
    let renamed = UpdateUserInput {
        user_name: "Bob".to_owned(),
        new_path: Some("/".to_owned()),
        new_user_name: Some("Rob".to_owned()),
    };
    admin.call(renamed).await.unwrap();
    let shown = admin.call(GetUserInput { user_name: Some("Rob".to_owned()) }).await.unwrap().user;
    assert_eq!((shown.arn, shown.user_id), (region.arn("user/Rob"), made.user_id));
    assert_eq!(shown.tags.len(), 1);
    admin.call(DeleteUserInput { user_name: "Rob".to_owned() }).await.unwrap();
    let error = admin.call(GetUserInput { user_name: Some("Rob".to_owned()) }).await.unwrap_err();
    assert_eq!((error.code.as_str(), error.status), ("NoSuchEntity", 404));
    assert_eq!(error.message, "The user with name Rob cannot be found.");
}

#[tokio::test]
async fn get_user_without_a_name_shows_the_caller() {
    let region = Region::start().await;
    let own = region.admin().call(GetUserInput::default()).await.unwrap().user;
    assert_eq!(own.user_name, "administrator");
    let root = region.root().call(GetUserInput::default()).await.unwrap().user;
    assert_eq!((root.arn, root.user_id), (region.arn("root"), region.account()));
}

#[tokio::test]
async fn users_are_listed_in_pages_and_by_path() {
    let region = Region::start().await;
    let admin = region.admin();
    for name in ["a", "b", "c"] {
        let path = Some(if name == "c" { "/x/" } else { "/y/" }.to_owned());
        admin.call(CreateUserInput { path, ..user(name) }).await.unwrap();
    }
    let (mut names, mut marker) = (Vec::new(), None);
    loop {
        let input = ListUsersInput { max_items: Some(2), marker, path_prefix: None };
        let page = admin.call(input).await.unwrap();
        names.extend(page.users.into_iter().map(|user| user.user_name));
        assert_eq!(page.is_truncated, Some(page.marker.is_some()));
        marker = page.marker;
        if marker.is_none() {
            break;
        }
    }
    assert_eq!(names, ["a", "administrator", "b", "c"]);
    let input = ListUsersInput { path_prefix: Some("/y".to_owned()), ..Default::default() };
    assert_eq!(admin.call(input).await.unwrap().users.len(), 2);
    let input = ListUsersInput { marker: Some("no".to_owned()), ..Default::default() };
    assert_eq!(admin.call(input).await.unwrap_err().code, "ValidationError");
}

#[tokio::test]
async fn a_user_has_two_keys_that_work_until_they_are_switched_off() {
    let region = Region::start().await;
    let (admin, bob) = (region.admin(), region.user("bob", None).await);
    let who = bob.call(GetCallerIdentityInput {}).await.unwrap();
    assert_eq!(who.arn, Some(region.arn("user/bob")));
    let create = || CreateAccessKeyInput { user_name: Some("bob".to_owned()) };
    let second = admin.call(create()).await.unwrap().access_key;
    let error = admin.call(create()).await.unwrap_err();
    assert_eq!(error.code, "LimitExceeded");
    assert_eq!(error.message, "Cannot exceed quota for AccessKeysPerUser: 2");
    let update = UpdateAccessKeyInput {
        user_name: Some("bob".to_owned()),
        access_key_id: second.access_key_id.clone(),
        status: StatusType::Inactive,
    };
    admin.call(update).await.unwrap();
    let off = region.cloud.client(&second.access_key_id, &second.secret_access_key, None);
    let error = off.call(GetCallerIdentityInput {}).await.unwrap_err();
    assert_eq!((error.code.as_str(), error.status), ("InvalidClientTokenId", 403));
    let input = ListAccessKeysInput { user_name: Some("bob".to_owned()), ..Default::default() };
    let keys = admin.call(input).await.unwrap().access_key_metadata;
    let (used, idle): (Vec<_>, Vec<_>) =
        keys.into_iter().partition(|key| key.status == Some(StatusType::Active));
    let last =
        |id: &Option<String>| GetAccessKeyLastUsedInput { access_key_id: id.clone().unwrap() };
    let found =
        admin.call(last(&used[0].access_key_id)).await.unwrap().access_key_last_used.unwrap();
    assert_eq!((found.service_name.as_str(), found.region.as_str()), ("sts", testkit::REGION));
    let found =
        admin.call(last(&idle[0].access_key_id)).await.unwrap().access_key_last_used.unwrap();
    assert_eq!((found.last_used_date, found.service_name.as_str()), (None, "N/A"));
    let error = admin.call(DeleteUserInput { user_name: "bob".to_owned() }).await.unwrap_err();
    assert_eq!(error.code, "DeleteConflict");
    let delete = |id: &str| DeleteAccessKeyInput {
        user_name: Some("bob".to_owned()),
        access_key_id: id.to_owned(),
    };
    admin.call(delete(&second.access_key_id)).await.unwrap();
    let error = admin.call(delete(&second.access_key_id)).await.unwrap_err();
    assert_eq!(error.code, "NoSuchEntity");
}

#[tokio::test]
async fn a_group_gives_its_policies_to_its_users() {
    let region = Region::start().await;
    let (admin, bob) = (region.admin(), region.user("bob", None).await);
    let group_name = "readers".to_owned();
    let input = CreateGroupInput { path: None, group_name: group_name.clone() };
    let group = admin.call(input).await.unwrap().group;
    assert!(group.group_id.starts_with("AGPA"));
    let put = PutGroupPolicyInput {
        group_name: group_name.clone(),
        policy_name: "read".to_owned(),
        policy_document: policy("Allow", "iam:ListUsers", "*"),
    };
    admin.call(put).await.unwrap();
    assert_eq!(bob.call(ListUsersInput::default()).await.unwrap_err().code, "AccessDenied");
    let join = AddUserToGroupInput { group_name: group_name.clone(), user_name: "bob".to_owned() };
    admin.call(join).await.unwrap();
    assert_eq!(bob.call(ListUsersInput::default()).await.unwrap().users.len(), 2);
    let rename = UpdateGroupInput {
        group_name: group_name.clone(),
        new_path: None,
        new_group_name: Some("listers".to_owned()),
    };
    admin.call(rename).await.unwrap();
    bob.call(ListUsersInput::default()).await.unwrap();
    let input = ListGroupsForUserInput { user_name: "bob".to_owned(), ..Default::default() };
    assert_eq!(admin.call(input).await.unwrap().groups[0].group_name, "listers");
    let group_name = "listers".to_owned();
    let input = GetGroupInput { group_name: group_name.clone(), ..Default::default() };
    assert_eq!(admin.call(input).await.unwrap().users[0].user_name, "bob");
    let error = admin.call(DeleteGroupInput { group_name: group_name.clone() }).await.unwrap_err();
    assert_eq!(error.message, "Cannot delete entity, must remove users from group first.");
    let leave = RemoveUserFromGroupInput { group_name, user_name: "bob".to_owned() };
    admin.call(leave).await.unwrap();
    assert_eq!(bob.call(ListUsersInput::default()).await.unwrap_err().code, "AccessDenied");
}

#[tokio::test]
async fn a_role_is_assumed_by_whom_it_trusts_and_may_what_its_policies_say() {
    let region = Region::start().await;
    let admin = region.admin();
    let bob = region.user("bob", Some(&policy("Allow", "sts:AssumeRole", "*"))).await;
    let made =
        admin.call(role("lister", trust("AWS", &region.arn("user/bob")))).await.unwrap().role;
    assert!(made.role_id.starts_with("AROA"));
    assert!(made.assume_role_policy_document.unwrap().starts_with("%7B%22Version%22%3A"));
    let attach = AttachRolePolicyInput {
        role_name: "lister".to_owned(),
        policy_arn: "arn:aws:iam::aws:policy/ReadOnlyAccess".to_owned(),
    };
    admin.call(attach).await.unwrap();
    let assume = || AssumeRoleInput {
        role_arn: made.arn.clone(),
        role_session_name: "work".to_owned(),
        ..Default::default()
    };
    assert_eq!(admin.call(assume()).await.unwrap_err().code, "AccessDenied");
    let given = bob.call(assume()).await.unwrap().credentials.unwrap();
    let session = region.cloud.client(
        &given.access_key_id,
        &given.secret_access_key,
        Some(&given.session_token),
    );
    session.call(ListUsersInput::default()).await.unwrap();
    assert_eq!(session.call(user("eve")).await.unwrap_err().code, "AccessDenied");
    let update = UpdateAssumeRolePolicyInput {
        role_name: "lister".to_owned(),
        policy_document: trust("Service", "ec2.amazonaws.com"),
    };
    admin.call(update).await.unwrap();
    assert_eq!(bob.call(assume()).await.unwrap_err().code, "AccessDenied");
    let error = admin.call(DeleteRoleInput { role_name: "lister".to_owned() }).await.unwrap_err();
    assert_eq!(error.message, "Cannot delete entity, must detach all policies first.");
    let error = admin.call(role("x", "{}".to_owned())).await.unwrap_err();
    assert_eq!((error.code.as_str(), error.status), ("MalformedPolicyDocument", 400));
}

#[tokio::test]
async fn an_instance_profile_has_one_role() {
    let region = Region::start().await;
    let admin = region.admin();
    for name in ["one", "two"] {
        admin.call(role(name, trust("Service", "ec2.amazonaws.com"))).await.unwrap();
    }
    let instance_profile_name = "web".to_owned();
    let input = CreateInstanceProfileInput {
        instance_profile_name: instance_profile_name.clone(),
        ..Default::default()
    };
    let made = admin.call(input).await.unwrap().instance_profile;
    assert_eq!(made.arn, region.arn("instance-profile/web"));
    let add = |role: &str| AddRoleToInstanceProfileInput {
        instance_profile_name: "web".to_owned(),
        role_name: role.to_owned(),
    };
    // Who may fill profiles but not pass the role on, may not.
    let only_add = policy("Allow", "iam:AddRoleToInstanceProfile", "*");
    let bob = region.user("bob", Some(&only_add)).await;
    let error = bob.call(add("one")).await.unwrap_err();
    assert!(error.message.contains("iam:PassRole on resource"), "{}", error.message);
    admin.call(add("one")).await.unwrap();
    let error = admin.call(add("two")).await.unwrap_err();
    assert_eq!(error.message, "Cannot exceed quota for InstanceSessionsPerInstanceProfile: 1");
    let input =
        ListInstanceProfilesForRoleInput { role_name: "one".to_owned(), ..Default::default() };
    let found = admin.call(input).await.unwrap().instance_profiles;
    assert_eq!(found[0].roles[0].role_name, "one");
    let error = admin.call(DeleteRoleInput { role_name: "one".to_owned() }).await.unwrap_err();
    assert_eq!(
        error.message,
        "Cannot delete entity, must remove roles from instance profile first."
    );
    let delete = DeleteInstanceProfileInput { instance_profile_name };
    assert_eq!(admin.call(delete.clone()).await.unwrap_err().code, "DeleteConflict");
    let remove = RemoveRoleFromInstanceProfileInput {
        instance_profile_name: "web".to_owned(),
        role_name: "one".to_owned(),
    };
    admin.call(remove.clone()).await.unwrap();
    assert_eq!(admin.call(remove).await.unwrap_err().code, "NoSuchEntity");
    admin.call(delete).await.unwrap();
    admin.call(DeleteRoleInput { role_name: "one".to_owned() }).await.unwrap();
}

#[tokio::test]
async fn a_linked_role_is_only_its_services() {
    let region = Region::start().await;
    let admin = region.admin();
    let create = |service: &str, suffix: Option<&str>| CreateServiceLinkedRoleInput {
        aws_service_name: service.to_owned(),
        custom_suffix: suffix.map(str::to_owned),
        description: None,
    };
    let service = "autoscaling.amazonaws.com";
    let made = admin.call(create(service, None)).await.unwrap().role.unwrap();
    assert_eq!(
        made.arn,
        region.arn("role/aws-service-role/autoscaling.amazonaws.com/AWSServiceRoleForAutoScaling")
    );
    let error = admin.call(create(service, None)).await.unwrap_err();
    assert_eq!(error.code, "InvalidInput");
    admin.call(create(service, Some("blue"))).await.unwrap();
    assert_eq!(admin.call(create("no.such", None)).await.unwrap_err().code, "InvalidInput");
    let role_name = made.role_name;
    let error = admin.call(DeleteRoleInput { role_name: role_name.clone() }).await.unwrap_err();
    assert_eq!((error.code.as_str(), error.status), ("UnmodifiableEntity", 400));
    let deletion =
        admin.call(DeleteServiceLinkedRoleInput { role_name: role_name.clone() }).await.unwrap();
    let input =
        GetServiceLinkedRoleDeletionStatusInput { deletion_task_id: deletion.deletion_task_id };
    let status = admin.call(input).await.unwrap().status;
    assert_eq!(status, DeletionTaskStatusType::Succeeded);
    assert_eq!(admin.call(GetRoleInput { role_name }).await.unwrap_err().code, "NoSuchEntity");
    // A service that needs its role gets it anew.
    use kernel::identity::Identity as _;
    let role = region.directory.service_linked_role(&region.first.account, service).await.unwrap();
    assert!(role.arn.to_string().ends_with("/AWSServiceRoleForAutoScaling"));
}
