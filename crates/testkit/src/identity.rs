//! Principals of a test: the account's root user, and users and roles with the policies that the
//! test gives them.

use std::collections::BTreeMap;
use std::sync::Mutex;

use async_trait::async_trait;
use base::{AccountId, Arn, Tags};
use kernel::identity::{AccessKey, Identity, RoleInfo};
use kernel::{Caller, ServiceError};
use policy::{Kind, NamedPolicy, Policy, PolicySet, Principal};

/// The secret of every key of a test.
pub(crate) const SECRET: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";

/// Keeps a test's principals in memory.
pub(crate) struct TestIdentity {
    account: AccountId,
    users: Mutex<BTreeMap<String, PolicySet>>,
}

impl TestIdentity {
    pub(crate) fn new(account: AccountId) -> Self {
        Self { account, users: Mutex::default() }
    }

    /// Adds a user with one identity policy; its access key id is `AKIA` and the name in capitals.
    pub(crate) fn add_user(&self, name: &str, document: &str) -> String {
        let policy =
            Policy::parse(document, Kind::Identity).expect("the test's policy is well formed");
        let set =
            PolicySet { identity: vec![NamedPolicy::new(name, policy)], ..PolicySet::default() };
        self.users.lock().expect("no test panics here").insert(name.to_owned(), set);
        format!("AKIA{}", name.to_uppercase())
    }

    fn caller(&self, principal: Principal, user_id: &str, key: &str) -> Caller {
        Caller {
            arn: principal.arn().map(|arn| arn.to_string()).unwrap_or_default(),
            principal,
            account: self.account.clone(),
            user_id: user_id.to_owned(),
            access_key_id: Some(key.to_owned()),
            invoked_by: None,
            session_policies: Vec::new(),
            expires: None,
            facts: kernel::session::SessionFacts::default(),
        }
    }

    fn role_of(&self, account: &AccountId, path: &str, name: &str, service: &str) -> RoleInfo {
        RoleInfo {
            arn: Arn::new("iam", "", account, format!("role/{path}{name}")),
            role_id: format!("AROA{}", name.to_uppercase()),
            trust_policy: format!(
                r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Allow","Principal":{{"Service":"{service}"}},"Action":"sts:AssumeRole"}}]}}"#
            ),
            max_session_duration_secs: 3600,
            tags: Tags::new(),
        }
    }
}

#[async_trait]
impl Identity for TestIdentity {
    async fn access_key(&self, id: &str) -> Result<Option<AccessKey>, ServiceError> {
        if id == "AKIAROOT" {
            let root = Principal::Root { account: self.account.clone() };
            let caller = self.caller(root, self.account.as_str(), id);
            return Ok(Some(AccessKey { secret: SECRET.to_owned(), active: true, caller }));
        }
        let users = self.users.lock().map_err(ServiceError::internal)?;
        let found = users.keys().find(|name| format!("AKIA{}", name.to_uppercase()) == id);
        Ok(found.map(|name| {
            let arn = Arn::new("iam", "", &self.account, format!("user/{name}"));
            let principal = Principal::User { arn, id: format!("AIDA{}", name.to_uppercase()) };
            let caller = self.caller(principal, &format!("AIDA{}", name.to_uppercase()), id);
            AccessKey { secret: SECRET.to_owned(), active: true, caller }
        }))
    }

    async fn access_key_used(&self, _id: &str, _service: &str, _region: &str) {}

    async fn policies(&self, principal: &Principal) -> Result<Option<PolicySet>, ServiceError> {
        let all = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}"#;
        match principal {
            Principal::User { arn, .. } => {
                let users = self.users.lock().map_err(ServiceError::internal)?;
                Ok(users.get(arn.name()).cloned())
            }
            // Services of the region act as themselves; their own tests say what they may do.
            Principal::Root { .. }
            | Principal::AssumedRole { .. }
            | Principal::FederatedUser { .. }
            | Principal::Service { .. }
            | Principal::Federated { .. }
            | Principal::Anonymous => {
                let policy = Policy::parse(all, Kind::Identity).map_err(ServiceError::internal)?;
                let identity = vec![NamedPolicy::new("everything", policy)];
                Ok(Some(PolicySet { identity, ..PolicySet::default() }))
            }
        }
    }

    async fn role(
        &self,
        account: &AccountId,
        name: &str,
    ) -> Result<Option<RoleInfo>, ServiceError> {
        Ok(Some(self.role_of(account, "", name, "ec2.amazonaws.com")))
    }

    async fn instance_profile_role(
        &self,
        account: &AccountId,
        profile: &str,
    ) -> Result<Option<RoleInfo>, ServiceError> {
        let name = profile.rsplit('/').next().unwrap_or(profile);
        if name.starts_with("missing") {
            return Ok(None);
        }
        Ok(Some(self.role_of(account, "", name, "ec2.amazonaws.com")))
    }

    async fn service_linked_role(
        &self,
        account: &AccountId,
        service: &str,
    ) -> Result<RoleInfo, ServiceError> {
        let name = format!("AWSServiceRoleFor{}", service.split('.').next().unwrap_or(service));
        Ok(self.role_of(account, &format!("aws-service-role/{service}/"), &name, service))
    }
}
