//! A region whose principals IAM itself keeps.

use std::sync::{Arc, Mutex};

use iam::{Directory, FirstAccount};
use iam_api::{CreateAccessKeyInput, CreateUserInput, PutUserPolicyInput};
use testkit::{Cloud, TestClient};

pub(crate) struct Region {
    pub(crate) cloud: Cloud,
    pub(crate) first: FirstAccount,
    pub(crate) directory: Arc<Directory>,
}

impl Region {
    pub(crate) async fn start() -> Self {
        let kept = Mutex::new(None);
        let cloud = Cloud::start_with(|store, clock, random| {
            let directory = Arc::new(Directory::new(store, clock, random));
            *kept.lock().unwrap() = Some(directory.clone());
            let services = vec![iam::service(directory.clone()).into(), sts::service().into()];
            (directory, services)
        })
        .await;
        let directory = kept.into_inner().unwrap().unwrap();
        let first = directory.create_first_account().await.unwrap();
        Self { cloud, first, directory }
    }

    pub(crate) fn account(&self) -> String {
        self.first.account.to_string()
    }

    pub(crate) fn arn(&self, resource: &str) -> String {
        format!("arn:aws:iam::{}:{resource}", self.first.account)
    }

    pub(crate) fn admin(&self) -> TestClient {
        let key = &self.first.administrator;
        self.cloud.client(&key.access_key_id, &key.secret_access_key, None)
    }

    pub(crate) fn root(&self) -> TestClient {
        let key = &self.first.root;
        self.cloud.client(&key.access_key_id, &key.secret_access_key, None)
    }

    /// A new user that may do what `document` says.
    pub(crate) async fn user(&self, name: &str, document: Option<&str>) -> TestClient {
        let admin = self.admin();
        let user_name = name.to_owned();
        let input = CreateUserInput { user_name: user_name.clone(), ..Default::default() };
        admin.call(input).await.unwrap();
        if let Some(document) = document {
            let input = PutUserPolicyInput {
                user_name: user_name.clone(),
                policy_name: "may".to_owned(),
                policy_document: document.to_owned(),
            };
            admin.call(input).await.unwrap();
        }
        let input = CreateAccessKeyInput { user_name: Some(user_name) };
        let key = admin.call(input).await.unwrap().access_key;
        self.cloud.client(&key.access_key_id, &key.secret_access_key, None)
    }
}

/// A policy of one statement.
pub(crate) fn policy(effect: &str, action: &str, resource: &str) -> String {
    format!(
        r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"{effect}","Action":"{action}","Resource":"{resource}"}}]}}"#
    )
}

/// A trust policy for a service or an AWS principal.
pub(crate) fn trust(kind: &str, who: &str) -> String {
    format!(
        r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Allow","Principal":{{"{kind}":"{who}"}},"Action":"sts:AssumeRole"}}]}}"#
    )
}
