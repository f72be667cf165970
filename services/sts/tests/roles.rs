//! Sessions of roles and of federated users, in a region whose principals IAM itself keeps.
#![expect(clippy::unwrap_used, reason = "a test ends where something fails")]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use iam::{Directory, FirstAccount};
use iam_api::{
    CreateAccessKeyInput, CreateRoleInput, CreateUserInput, ListUsersInput, PutRolePolicyInput,
    PutUserPolicyInput,
};
use sts_api::*;
use testkit::{Cloud, TestClient};

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
            (directory.clone(), vec![iam::service(directory).into(), sts::service().into()])
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

    fn arn(&self, resource: &str) -> String {
        format!("arn:aws:iam::{}:{resource}", self.first.account)
    }

    async fn user(&self, name: &str, policy: &str) -> TestClient {
        let admin = self.admin();
        let user_name = name.to_owned();
        let input = CreateUserInput { user_name: user_name.clone(), ..Default::default() };
        admin.call(input).await.unwrap();
        let input = PutUserPolicyInput {
            user_name: user_name.clone(),
            policy_name: "p".to_owned(),
            policy_document: policy.to_owned(),
        };
        admin.call(input).await.unwrap();
        let input = CreateAccessKeyInput { user_name: Some(user_name) };
        let key = admin.call(input).await.unwrap().access_key;
        self.cloud.client(&key.access_key_id, &key.secret_access_key, None)
    }

    /// A role that the account trusts for all of STS, under a condition.
    async fn role(&self, name: &str, condition: &str, policy: &str) {
        let admin = self.admin();
        let trust = format!(
            r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Allow","Principal":{{"AWS":"{}"}},"Action":["sts:AssumeRole","sts:TagSession","sts:SetSourceIdentity"],"Condition":{condition}}}]}}"#,
            self.first.account
        );
        let input = CreateRoleInput {
            role_name: name.to_owned(),
            assume_role_policy_document: trust,
            ..Default::default()
        };
        admin.call(input).await.unwrap();
        let input = PutRolePolicyInput {
            role_name: name.to_owned(),
            policy_name: "p".to_owned(),
            policy_document: policy.to_owned(),
        };
        admin.call(input).await.unwrap();
    }

    fn assume(&self, role: &str) -> AssumeRoleInput {
        AssumeRoleInput {
            role_arn: self.arn(&format!("role/{role}")),
            role_session_name: "session".to_owned(),
            ..Default::default()
        }
    }

    fn with(&self, credentials: Credentials) -> TestClient {
        let token = Some(credentials.session_token.as_str());
        self.cloud.client(&credentials.access_key_id, &credentials.secret_access_key, token)
    }
}

const ALL: &str =
    r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}"#;
const NO_STS: &str =
    r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"s3:*","Resource":"*"}}"#;
const RED_LISTS: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"iam:ListUsers","Resource":"*","Condition":{"StringEquals":{"aws:PrincipalTag/team":"red"}}},{"Effect":"Allow","Action":"sts:*","Resource":"*"}]}"#;

fn tag(key: &str, value: &str) -> Tag {
    Tag { key: key.to_owned(), value: value.to_owned() }
}

#[tokio::test]
async fn session_tags_decide_and_transitive_ones_go_on() {
    let region = Region::start().await;
    let ann = region.user("ann", ALL).await;
    region.role("first", "{}", RED_LISTS).await;
    region.role("second", "{}", RED_LISTS).await;
    let plain = ann.call(region.assume("first")).await.unwrap().credentials.unwrap();
    let plain = region.with(plain);
    assert_eq!(plain.call(ListUsersInput::default()).await.unwrap_err().code, "AccessDenied");
    let tagged = |transitive: &[&str]| AssumeRoleInput {
        tags: vec![tag("team", "red"), tag("cost", "1")],
        transitive_tag_keys: transitive.iter().map(|key| (*key).to_owned()).collect(),
        ..region.assume("first")
    };
    let red = ann.call(tagged(&["team"])).await.unwrap().credentials.unwrap();
    let red = region.with(red);
    red.call(ListUsersInput::default()).await.unwrap();
    let chained = red.call(region.assume("second")).await.unwrap().credentials.unwrap();
    region.with(chained).call(ListUsersInput::default()).await.unwrap();
    let conflict = AssumeRoleInput { tags: vec![tag("Team", "blue")], ..region.assume("second") };
    assert_eq!(red.call(conflict).await.unwrap_err().code, "InvalidParameterValue");
    let loose = ann.call(tagged(&[])).await.unwrap().credentials.unwrap();
    let chained = region.with(loose).call(region.assume("second")).await.unwrap();
    let chained = region.with(chained.credentials.unwrap());
    assert_eq!(chained.call(ListUsersInput::default()).await.unwrap_err().code, "AccessDenied");
    let long = AssumeRoleInput { duration_seconds: Some(3601), ..region.assume("second") };
    assert_eq!(red.call(long).await.unwrap_err().code, "ValidationError");
    let twice =
        AssumeRoleInput { tags: vec![tag("a", "1"), tag("A", "2")], ..region.assume("first") };
    assert_eq!(ann.call(twice).await.unwrap_err().code, "InvalidParameterValue");
    let unknown = AssumeRoleInput {
        transitive_tag_keys: vec!["nothing".to_owned()],
        ..region.assume("first")
    };
    assert_eq!(ann.call(unknown).await.unwrap_err().code, "InvalidParameterValue");
}

#[tokio::test]
async fn external_ids_names_and_source_identities_are_conditions() {
    let region = Region::start().await;
    let ann = region.user("ann", ALL).await;
    let condition = r#"{"StringEquals":{"sts:ExternalId":"42","sts:SourceIdentity":"ann"},"StringLike":{"sts:RoleSessionName":"ses*"}}"#;
    region.role("careful", condition, ALL).await;
    assert_eq!(ann.call(region.assume("careful")).await.unwrap_err().code, "AccessDenied");
    let right = AssumeRoleInput {
        external_id: Some("42".to_owned()),
        source_identity: Some("ann".to_owned()),
        ..region.assume("careful")
    };
    let named = AssumeRoleInput { role_session_name: "other".to_owned(), ..right.clone() };
    assert_eq!(ann.call(named).await.unwrap_err().code, "AccessDenied");
    let given = ann.call(right.clone()).await.unwrap();
    assert_eq!(given.source_identity.as_deref(), Some("ann"));
    let session = region.with(given.credentials.unwrap());
    let other = AssumeRoleInput { source_identity: Some("bob".to_owned()), ..right.clone() };
    assert_eq!(session.call(other).await.unwrap_err().code, "AccessDenied");
    // The identity stays without being asked for.
    let again = AssumeRoleInput { source_identity: None, ..right };
    let given = session.call(again).await.unwrap();
    assert_eq!(given.source_identity.as_deref(), Some("ann"));
}

#[tokio::test]
async fn session_policies_narrow_a_role_and_sessions_end() {
    let region = Region::start().await;
    let ann = region.user("ann", ALL).await;
    region.role("wide", "{}", ALL).await;
    let narrow = AssumeRoleInput { policy: Some(NO_STS.to_owned()), ..region.assume("wide") };
    let given = ann.call(narrow).await.unwrap();
    assert!(given.packed_policy_size.is_some());
    let narrow = region.with(given.credentials.unwrap());
    let refused = narrow.call(ListUsersInput::default()).await.unwrap_err();
    let text = "because no session policy allows the iam:ListUsers action";
    assert!(refused.message.contains(text), "{}", refused.message);
    let managed = AssumeRoleInput {
        policy_arns: vec![PolicyDescriptorType {
            arn: Some("arn:aws:iam::aws:policy/AdministratorAccess".to_owned()),
        }],
        duration_seconds: Some(900),
        ..region.assume("wide")
    };
    let given = ann.call(managed.clone()).await.unwrap().credentials.unwrap();
    let session = region.with(given);
    session.call(ListUsersInput::default()).await.unwrap();
    region.cloud.advance(Duration::from_secs(900));
    assert_eq!(session.call(ListUsersInput::default()).await.unwrap_err().code, "ExpiredToken");
    let unknown = AssumeRoleInput {
        policy_arns: vec![PolicyDescriptorType {
            arn: Some("arn:aws:iam::aws:policy/NothingOfTheKind".to_owned()),
        }],
        ..managed
    };
    assert_eq!(ann.call(unknown).await.unwrap_err().code, "ValidationError");
}

#[tokio::test]
async fn a_federated_user_may_what_its_user_and_its_policy_both_allow() {
    let region = Region::start().await;
    let ann = region.user("ann", ALL).await;
    let ask = |policy: Option<&str>| GetFederationTokenInput {
        name: "guest".to_owned(),
        policy: policy.map(str::to_owned),
        ..Default::default()
    };
    let given = ann.call(ask(Some(ALL))).await.unwrap();
    let user = given.federated_user.unwrap();
    assert!(user.arn.ends_with(":federated-user/guest"), "{}", user.arn);
    let guest = region.with(given.credentials.unwrap());
    let who = guest.call(GetCallerIdentityInput::default()).await.unwrap();
    assert_eq!(who.arn.as_deref(), Some(&*user.arn));
    let info = GetAccessKeyInfoInput { access_key_id: region.first.root.access_key_id.clone() };
    guest.call(info.clone()).await.unwrap();
    // IAM is closed to federated users.
    let iam = guest.call(ListUsersInput::default()).await.unwrap_err();
    assert_eq!(iam.code, "InvalidClientTokenId");
    let given = ann.call(ask(None)).await.unwrap().credentials.unwrap();
    let nothing = region.with(given);
    assert_eq!(nothing.call(info.clone()).await.unwrap_err().code, "AccessDenied");
    assert_eq!(guest.call(ask(None)).await.unwrap_err().code, "AccessDenied");
    let poor = region.user("poor", r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"sts:GetFederationToken","Resource":"*"}}"#).await;
    let given = poor.call(ask(Some(ALL))).await.unwrap().credentials.unwrap();
    assert_eq!(region.with(given).call(info).await.unwrap_err().code, "AccessDenied");
}

#[tokio::test]
async fn only_what_this_region_wrote_is_decoded() {
    let region = Region::start().await;
    let input = DecodeAuthorizationMessageInput { encoded_message: "nonsense".to_owned() };
    let error = region.admin().call(input.clone()).await.unwrap_err();
    assert_eq!(error.code, "InvalidAuthorizationMessageException");
    let nobody = region.user("nobody", NO_STS).await;
    assert_eq!(nobody.call(input).await.unwrap_err().code, "AccessDenied");
}
