//! Organizations over HTTP, in a region whose principals IAM itself keeps.
#![expect(clippy::unwrap_used, reason = "a test ends where something fails")]

use std::sync::{Arc, Mutex};

use base::AccountId;
use iam::{Directory, FirstAccount};
use iam_api::{CreateUserInput, ListUsersInput};
use kernel::{Client, plain_caller};
use organizations_api::*;
use policy::Principal;
use sts_api::AssumeRoleInput;
use testkit::{Cloud, TestClient, poll};

struct Region {
    cloud: Cloud,
    first: FirstAccount,
}

impl Region {
    async fn start() -> Self {
        let kept = Mutex::new(None);
        let cloud = Cloud::start_with(|store, clock, random| {
            let directory = Arc::new(Directory::new(store, clock, random));
            *kept.lock().unwrap() = Some(directory.clone());
            let services = vec![
                iam::service(directory.clone()).into(),
                organizations::service().into(),
                sts::service().into(),
            ];
            (directory, services)
        })
        .await;
        let directory = kept.into_inner().unwrap().unwrap();
        let first = directory.create_first_account().await.unwrap();
        Self { cloud, first }
    }

    fn admin(&self) -> TestClient {
        let key = &self.first.administrator;
        self.cloud.client(&key.access_key_id, &key.secret_access_key, None)
    }

    /// The root user of any account, as inside calls know it.
    fn root_of(&self, account: &str) -> Client {
        let account: AccountId = account.parse().unwrap();
        let root = Principal::Root { account: account.clone() };
        let caller = plain_caller(root, &account, account.as_str());
        self.cloud.kernel.client_for(caller, "test.amazonaws.com")
    }

    async fn organization(&self) -> Organization {
        let made = self.admin().call(CreateOrganizationInput::default()).await.unwrap();
        made.organization.unwrap()
    }

    async fn root(&self) -> Root {
        self.admin().call(ListRootsInput::default()).await.unwrap().roots.remove(0)
    }

    /// A new account, once it is usable.
    async fn account(&self, name: &str) -> String {
        let admin = self.admin();
        let input = CreateAccountInput {
            email: format!("{name}@example.com"),
            account_name: name.to_owned(),
            ..Default::default()
        };
        let asked = admin.call(input).await.unwrap().create_account_status.unwrap();
        assert_eq!(asked.state, Some(CreateAccountState::InProgress));
        let id = asked.id.unwrap();
        poll::until("the account to be made", || async {
            let input = DescribeCreateAccountStatusInput { create_account_request_id: id.clone() };
            let status = admin.call(input).await.unwrap().create_account_status.unwrap();
            status.account_id
        })
        .await
    }

    /// The management account's administrator in a member account.
    async fn inside(&self, account: &str) -> TestClient {
        let input = AssumeRoleInput {
            role_arn: format!("arn:aws:iam::{account}:role/OrganizationAccountAccessRole"),
            role_session_name: "admin".to_owned(),
            ..Default::default()
        };
        let made = self.admin().call(input).await.unwrap().credentials.unwrap();
        let token = Some(made.session_token.as_str());
        self.cloud.client(&made.access_key_id, &made.secret_access_key, token)
    }

    async fn policy(&self, kind: PolicyType, content: &str) -> String {
        let input = CreatePolicyInput {
            content: content.to_owned(),
            description: String::new(),
            name: format!("{kind:?}{}", content.len()),
            type_: kind,
            tags: Vec::new(),
        };
        let made = self.admin().call(input).await.unwrap().policy.unwrap();
        made.policy_summary.unwrap().id.unwrap()
    }

    async fn attach(&self, policy: &str, target: &str) {
        let input =
            AttachPolicyInput { policy_id: policy.to_owned(), target_id: target.to_owned() };
        self.admin().call(input).await.unwrap();
    }
}

const NO_USERS: &str = r#"{"Version":"2012-10-17","Statement":{"Effect":"Deny","Action":"iam:ListUsers","Resource":"*"}}"#;

#[tokio::test]
async fn a_new_account_is_entered_by_its_role_and_is_an_account_of_its_own() {
    let region = Region::start().await;
    let organization = region.organization().await;
    assert_eq!(organization.feature_set, Some(OrganizationFeatureSet::All));
    let account = region.account("dev").await;
    let dev = region.inside(&account).await;
    let user = CreateUserInput { user_name: "dev".to_owned(), ..Default::default() };
    let made = dev.call(user).await.unwrap().user.unwrap();
    assert_eq!(made.arn, format!("arn:aws:iam::{account}:user/dev"));
    let own = region.admin().call(ListUsersInput::default()).await.unwrap().users;
    assert!(own.iter().all(|user| user.user_name != "dev"));
    let listed = region.admin().call(ListAccountsInput::default()).await.unwrap().accounts;
    assert_eq!(listed.len(), 2);
    let again = CreateAccountInput {
        email: "dev@example.com".to_owned(),
        account_name: "again".to_owned(),
        ..Default::default()
    };
    let id = region.admin().call(again).await.unwrap().create_account_status.unwrap().id.unwrap();
    let reason = poll::until("the second to be refused", || async {
        let input = DescribeCreateAccountStatusInput { create_account_request_id: id.clone() };
        let status = region.admin().call(input).await.unwrap().create_account_status.unwrap();
        status.failure_reason
    })
    .await;
    assert_eq!(reason, CreateAccountFailureReason::EmailAlreadyExists);
}

#[tokio::test]
async fn a_control_policy_binds_a_members_root_user_and_never_the_management_account() {
    let region = Region::start().await;
    region.organization().await;
    let account = region.account("prod").await;
    let prod = region.inside(&account).await;
    let root = region.root_of(&account);
    prod.call(ListUsersInput::default()).await.unwrap();
    root.call(ListUsersInput::default()).await.unwrap();
    let policy = region.policy(PolicyType::ServiceControlPolicy, NO_USERS).await;
    region.attach(&policy, &region.root().await.id.unwrap()).await;
    for error in [
        prod.call(ListUsersInput::default()).await.unwrap_err(),
        root.call(ListUsersInput::default()).await.unwrap_err(),
    ] {
        assert_eq!(error.code, "AccessDenied");
        let text = "with an explicit deny in a service control policy";
        assert!(error.message.contains(text), "{}", error.message);
    }
    region.admin().call(ListUsersInput::default()).await.unwrap();
    let detach =
        DetachPolicyInput { policy_id: policy, target_id: region.root().await.id.unwrap() };
    region.admin().call(detach).await.unwrap();
    prod.call(ListUsersInput::default()).await.unwrap();
}

#[tokio::test]
async fn policies_are_inherited_down_the_tree() {
    let region = Region::start().await;
    region.organization().await;
    let admin = region.admin();
    let root = region.root().await.id.unwrap();
    let unit = |parent: &str, name: &str| CreateOrganizationalUnitInput {
        parent_id: parent.to_owned(),
        name: name.to_owned(),
        tags: Vec::new(),
    };
    let made = admin.call(unit(&root, "teams")).await.unwrap().organizational_unit.unwrap();
    let teams = made.id.unwrap();
    assert_eq!(
        admin.call(unit(&root, "teams")).await.unwrap_err().code,
        "DuplicateOrganizationalUnitException"
    );
    let made = admin.call(unit(&teams, "red")).await.unwrap().organizational_unit.unwrap();
    let red = made.id.unwrap();
    let account = region.account("red").await;
    let inside = region.inside(&account).await;
    let policy = region.policy(PolicyType::ServiceControlPolicy, NO_USERS).await;
    region.attach(&policy, &teams).await;
    inside.call(ListUsersInput::default()).await.unwrap();
    let input = MoveAccountInput {
        account_id: account.clone(),
        source_parent_id: root.clone(),
        destination_parent_id: red.clone(),
    };
    admin.call(input).await.unwrap();
    assert_eq!(inside.call(ListUsersInput::default()).await.unwrap_err().code, "AccessDenied");
    // A level that allows too little closes what lies below it.
    let detach = DetachPolicyInput { policy_id: policy.clone(), target_id: teams.clone() };
    admin.call(detach).await.unwrap();
    let only_s3 =
        r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"s3:*","Resource":"*"}}"#;
    let narrow = region.policy(PolicyType::ServiceControlPolicy, only_s3).await;
    region.attach(&narrow, &red).await;
    let full =
        DetachPolicyInput { policy_id: "p-FullAWSAccess".to_owned(), target_id: red.clone() };
    admin.call(full).await.unwrap();
    let error = inside.call(ListUsersInput::default()).await.unwrap_err();
    let text = "because no service control policy allows the iam:ListUsers action";
    assert!(error.message.contains(text), "{}", error.message);
    let last = DetachPolicyInput { policy_id: narrow, target_id: red.clone() };
    assert_eq!(admin.call(last).await.unwrap_err().code, "ConstraintViolationException");
    let parents = ListParentsInput { child_id: account, ..Default::default() };
    assert_eq!(admin.call(parents).await.unwrap().parents[0].id.as_deref(), Some(&*red));
    let delete = DeleteOrganizationalUnitInput { organizational_unit_id: red };
    assert_eq!(admin.call(delete).await.unwrap_err().code, "OrganizationalUnitNotEmptyException");
}

#[tokio::test]
async fn a_resource_control_policy_keeps_strangers_from_roles() {
    let region = Region::start().await;
    region.organization().await;
    let admin = region.admin();
    let account = region.account("data").await;
    region.inside(&account).await;
    let enable = EnablePolicyTypeInput {
        root_id: region.root().await.id.unwrap(),
        policy_type: PolicyType::ResourceControlPolicy,
    };
    admin.call(enable.clone()).await.unwrap();
    assert_eq!(admin.call(enable).await.unwrap_err().code, "PolicyTypeAlreadyEnabledException");
    let content = r#"{"Version":"2012-10-17","Statement":{"Effect":"Deny","Principal":"*","Action":"sts:AssumeRole","Resource":"*"}}"#;
    let allows = CreatePolicyInput {
        content: content.replace("Deny", "Allow"),
        description: String::new(),
        name: "allows".to_owned(),
        type_: PolicyType::ResourceControlPolicy,
        tags: Vec::new(),
    };
    assert_eq!(admin.call(allows).await.unwrap_err().code, "MalformedPolicyDocumentException");
    let policy = region.policy(PolicyType::ResourceControlPolicy, content).await;
    region.attach(&policy, &account).await;
    let input = AssumeRoleInput {
        role_arn: format!("arn:aws:iam::{account}:role/OrganizationAccountAccessRole"),
        role_session_name: "admin".to_owned(),
        ..Default::default()
    };
    assert_eq!(admin.call(input).await.unwrap_err().code, "AccessDenied");
}

#[tokio::test]
async fn an_organization_for_billing_alone_refuses_the_rest_until_it_has_all_features() {
    let region = Region::start().await;
    let admin = region.admin();
    let billing =
        CreateOrganizationInput { feature_set: Some(OrganizationFeatureSet::ConsolidatedBilling) };
    admin.call(billing.clone()).await.unwrap();
    assert_eq!(admin.call(billing).await.unwrap_err().code, "AlreadyInOrganizationException");
    let policy = CreatePolicyInput {
        content: NO_USERS.to_owned(),
        description: String::new(),
        name: "p".to_owned(),
        type_: PolicyType::ServiceControlPolicy,
        tags: Vec::new(),
    };
    let refused = admin.call(policy.clone()).await.unwrap_err();
    assert_eq!(refused.code, "ConstraintViolationException");
    admin.call(EnableAllFeaturesInput::default()).await.unwrap();
    admin.call(policy).await.unwrap();
    let shown = admin.call(DescribeOrganizationInput::default()).await.unwrap();
    assert_eq!(shown.organization.unwrap().feature_set, Some(OrganizationFeatureSet::All));
}

#[tokio::test]
async fn invited_accounts_must_agree_before_an_organization_has_all_features() {
    let region = Region::start().await;
    let admin = region.admin();
    let billing =
        CreateOrganizationInput { feature_set: Some(OrganizationFeatureSet::ConsolidatedBilling) };
    admin.call(billing).await.unwrap();
    let invited = "999988887777";
    let invite = InviteAccountToOrganizationInput {
        target: HandshakeParty { id: invited.to_owned(), type_: HandshakePartyType::Account },
        notes: None,
        tags: Vec::new(),
    };
    let made = admin.call(invite).await.unwrap().handshake.unwrap();
    let other = region.root_of(invited);
    let accept = |id: &str| AcceptHandshakeInput { handshake_id: id.to_owned() };
    other.call(accept(made.id.as_deref().unwrap())).await.unwrap();
    let asked = admin.call(EnableAllFeaturesInput::default()).await.unwrap().handshake.unwrap();
    assert_eq!(asked.state, Some(HandshakeState::Open));
    let id = asked.id.unwrap();
    let early = admin.call(accept(&id)).await.unwrap_err();
    assert_eq!(early.code, "HandshakeConstraintViolationException");
    other.call(accept(&id)).await.unwrap();
    admin.call(accept(&id)).await.unwrap();
    let shown = admin.call(DescribeOrganizationInput::default()).await.unwrap();
    assert_eq!(shown.organization.unwrap().feature_set, Some(OrganizationFeatureSet::All));
}

#[tokio::test]
async fn an_account_that_is_invited_joins_and_leaves() {
    let region = Region::start().await;
    region.organization().await;
    let admin = region.admin();
    let stranger = "999988887777";
    let invite = InviteAccountToOrganizationInput {
        target: HandshakeParty { id: stranger.to_owned(), type_: HandshakePartyType::Account },
        notes: Some("join us".to_owned()),
        tags: Vec::new(),
    };
    let made = admin.call(invite.clone()).await.unwrap().handshake.unwrap();
    assert_eq!(admin.call(invite.clone()).await.unwrap_err().code, "DuplicateHandshakeException");
    let other = region.root_of(stranger);
    let listed = other.call(ListHandshakesForAccountInput::default()).await.unwrap();
    assert_eq!(listed.handshakes[0].id, made.id);
    let id = made.id.unwrap();
    let decline = DeclineHandshakeInput { handshake_id: id.clone() };
    other.call(decline).await.unwrap();
    let accept = AcceptHandshakeInput { handshake_id: id };
    assert_eq!(other.call(accept).await.unwrap_err().code, "InvalidHandshakeTransitionException");
    let made = admin.call(invite.clone()).await.unwrap().handshake.unwrap();
    let accept = AcceptHandshakeInput { handshake_id: made.id.unwrap() };
    other.call(accept).await.unwrap();
    other.call(DescribeOrganizationInput::default()).await.unwrap();
    assert_eq!(
        other.call(ListAccountsInput::default()).await.unwrap_err().code,
        "AccessDeniedException"
    );
    other.call(LeaveOrganizationInput::default()).await.unwrap();
    let cancelled = admin.call(invite).await.unwrap().handshake.unwrap();
    let describe = DescribeHandshakeInput { handshake_id: cancelled.id.clone().unwrap() };
    admin.call(describe).await.unwrap();
    let cancel = CancelHandshakeInput { handshake_id: cancelled.id.unwrap() };
    admin.call(cancel).await.unwrap();
    let all = admin.call(ListHandshakesForOrganizationInput::default()).await.unwrap();
    assert_eq!(all.handshakes.len(), 3);
}

#[tokio::test]
async fn services_are_trusted_and_administered_and_closed_accounts_may_nothing() {
    let region = Region::start().await;
    region.organization().await;
    let admin = region.admin();
    let account = region.account("audit").await;
    let service = || "cloudtrail.amazonaws.com".to_owned();
    admin.call(EnableAWSServiceAccessInput { service_principal: service() }).await.unwrap();
    let trusted = admin.call(ListAWSServiceAccessForOrganizationInput::default()).await.unwrap();
    assert_eq!(trusted.enabled_service_principals.len(), 1);
    let register = RegisterDelegatedAdministratorInput {
        account_id: account.clone(),
        service_principal: service(),
    };
    admin.call(register.clone()).await.unwrap();
    assert_eq!(admin.call(register).await.unwrap_err().code, "AccountAlreadyRegisteredException");
    // Who administers a service sees the organization.
    let audit = region.inside(&account).await;
    audit.call(ListAccountsInput::default()).await.unwrap();
    let listed = admin.call(ListDelegatedAdministratorsInput::default()).await.unwrap();
    assert_eq!(listed.delegated_administrators.len(), 1);
    let services =
        ListDelegatedServicesForAccountInput { account_id: account.clone(), ..Default::default() };
    assert_eq!(admin.call(services).await.unwrap().delegated_services.len(), 1);
    let remove = RemoveAccountFromOrganizationInput { account_id: account.clone() };
    assert_eq!(admin.call(remove).await.unwrap_err().code, "ConstraintViolationException");
    let deregister = DeregisterDelegatedAdministratorInput {
        account_id: account.clone(),
        service_principal: service(),
    };
    admin.call(deregister).await.unwrap();
    admin.call(DisableAWSServiceAccessInput { service_principal: service() }).await.unwrap();
    admin.call(CloseAccountInput { account_id: account.clone() }).await.unwrap();
    let shown = DescribeAccountInput { account_id: account };
    let shown = admin.call(shown).await.unwrap().account.unwrap();
    assert_eq!(shown.status, Some(AccountStatus::Suspended));
    assert_eq!(audit.call(ListUsersInput::default()).await.unwrap_err().code, "AccessDenied");
}

#[tokio::test]
async fn tag_policies_merge_for_an_account() {
    let region = Region::start().await;
    region.organization().await;
    let admin = region.admin();
    let root = region.root().await.id.unwrap();
    let account = region.account("tagged").await;
    let enable =
        EnablePolicyTypeInput { root_id: root.clone(), policy_type: PolicyType::TagPolicy };
    admin.call(enable).await.unwrap();
    let content =
        r#"{"tags":{"cost":{"tag_key":{"@@assign":"Cost"},"tag_value":{"@@assign":["1"]}}}}"#;
    let policy = region.policy(PolicyType::TagPolicy, content).await;
    region.attach(&policy, &root).await;
    let more = r#"{"tags":{"cost":{"tag_value":{"@@append":["2"]}}}}"#;
    let below = region.policy(PolicyType::TagPolicy, more).await;
    region.attach(&below, &account).await;
    let input = DescribeEffectivePolicyInput {
        policy_type: EffectivePolicyType::TagPolicy,
        target_id: Some(account),
    };
    let effective = admin.call(input).await.unwrap().effective_policy.unwrap();
    let want = r#"{"tags":{"cost":{"tag_key":"Cost","tag_value":["1","2"]}}}"#;
    assert_eq!(effective.policy_content.as_deref(), Some(want));
    let targets = ListTargetsForPolicyInput { policy_id: policy.clone(), ..Default::default() };
    assert_eq!(admin.call(targets).await.unwrap().targets.len(), 1);
    let delete = DeletePolicyInput { policy_id: policy };
    assert_eq!(admin.call(delete).await.unwrap_err().code, "PolicyInUseException");
    let disable = DisablePolicyTypeInput { root_id: root, policy_type: PolicyType::TagPolicy };
    admin.call(disable).await.unwrap();
}
