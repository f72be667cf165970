//! CloudFormation resource types.

use iam_api::*;
use kernel::identity::Identity as _;
use kernel::resource::{Attributes, Progress, Properties, ResourceCtx, ResourceHandler};
use serde_json::json;
use std::sync::Arc;

use crate::region::{Region, policy, trust};

struct Stack {
    region: Region,
    ctx: ResourceCtx,
}

impl Stack {
    async fn start() -> Self {
        let region = Region::start().await;
        let key = &region.first.administrator.access_key_id;
        let caller = region.directory.access_key(key).await.unwrap().unwrap().caller;
        let ctx = ResourceCtx {
            client: region
                .cloud
                .kernel
                .client_for(caller, "cloudformation.amazonaws.com")
                .via("cloudformation.amazonaws.com"),
            stack_name: "web".to_owned(),
            stack_id: "arn:aws:cloudformation:x".to_owned(),
            logical_id: "Thing".to_owned(),
            token: "token-1".to_owned(),
            tags: [("aws:cloudformation:stack-name".to_owned(), "web".to_owned())].into(),
            account: region.first.account.clone(),
            region: base::Region::new(testkit::REGION),
        };
        Self { region, ctx }
    }

    fn handler(&self, name: &str) -> Arc<dyn ResourceHandler> {
        self.region.cloud.kernel.resource_type(name).unwrap().handler.clone()
    }

    fn step(&self, token: &str) -> ResourceCtx {
        ResourceCtx { token: token.to_owned(), logical_id: token.to_owned(), ..self.ctx.clone() }
    }

    /// Creates the resource, twice as after a crash, and lets it settle.
    async fn create(
        &self,
        name: &str,
        token: &str,
        properties: &Properties,
    ) -> (String, Attributes) {
        let (handler, ctx) = (self.handler(name), self.step(token));
        let id = handler.create(&ctx, properties).await.unwrap();
        assert_eq!(handler.create(&ctx, properties).await.unwrap(), id, "{name}");
        match handler.settled(&ctx, &id, properties).await.unwrap() {
            Progress::Done(attributes) => (id, attributes),
            Progress::Wait(_) => panic!("{name} settles at once"),
        }
    }

    async fn update(&self, name: &str, id: &str, old: &Properties, new: &Properties) {
        let (handler, ctx) = (self.handler(name), self.step("update"));
        handler.update(&ctx, id, old, new).await.unwrap();
        handler.settled(&ctx, id, new).await.unwrap();
    }

    /// Deletes the resource, twice.
    async fn delete(&self, name: &str, id: &str, properties: &Properties) {
        for _ in 0..2 {
            let done = self.handler(name).delete(&self.step("delete"), id, properties).await;
            assert_eq!(done.unwrap(), Progress::Done(Attributes::new()), "{name}");
        }
    }
}

fn object(value: serde_json::Value) -> Properties {
    value.as_object().unwrap().clone()
}

fn document(text: &str) -> serde_json::Value {
    serde_json::from_str(text).unwrap()
}

#[tokio::test]
async fn a_role_with_a_profile_and_policies_comes_changes_and_goes() {
    let stack = Stack::start().await;
    let admin = stack.region.admin();
    let role = object(json!({
        "AssumeRolePolicyDocument": document(&trust("Service", "ec2.amazonaws.com")),
        "ManagedPolicyArns": ["arn:aws:iam::aws:policy/AmazonSSMManagedInstanceCore"],
        "Policies": [{
            "PolicyName": "read",
            "PolicyDocument": document(&policy("Allow", "s3:GetObject", "*")),
        }],
        "Tags": [{"Key": "team", "Value": "a"}],
    }));
    let (name, attributes) = stack.create("AWS::IAM::Role", "role", &role).await;
    assert!(name.starts_with("web-role-"), "{name}");
    assert_eq!(attributes["Arn"], stack.region.arn(&format!("role/{name}")));
    let profile = object(json!({"Roles": [name]}));
    let (profile_name, _) = stack.create("AWS::IAM::InstanceProfile", "profile", &profile).await;
    let inline = object(json!({
        "PolicyName": "more",
        "PolicyDocument": document(&policy("Allow", "s3:PutObject", "*")),
        "Roles": [name],
    }));
    let (inline_id, _) = stack.create("AWS::IAM::Policy", "inline", &inline).await;
    let list = ListRolePoliciesInput { role_name: name.clone(), ..Default::default() };
    assert_eq!(admin.call(list.clone()).await.unwrap().policy_names, ["more", "read"]);
    let changed = object(json!({
        "AssumeRolePolicyDocument": document(&trust("Service", "rds.amazonaws.com")),
        "Description": "changed",
        "Tags": [{"Key": "team", "Value": "b"}],
    }));
    stack.update("AWS::IAM::Role", &name, &role, &changed).await;
    assert_eq!(admin.call(list).await.unwrap().policy_names, ["more"]);
    let shown = admin.call(GetRoleInput { role_name: name.clone() }).await.unwrap().role;
    assert_eq!(shown.description.as_deref(), Some("changed"));
    assert!(shown.tags.contains(&Tag { key: "team".to_owned(), value: "b".to_owned() }));
    stack.delete("AWS::IAM::Policy", &inline_id, &inline).await;
    stack.delete("AWS::IAM::InstanceProfile", &profile_name, &profile).await;
    stack.delete("AWS::IAM::Role", &name, &changed).await;
}

#[tokio::test]
async fn a_user_with_group_key_and_managed_policy_comes_and_goes() {
    let stack = Stack::start().await;
    let group = object(json!({"Path": "/teams/"}));
    let (group_name, _) = stack.create("AWS::IAM::Group", "group", &group).await;
    let user = object(json!({"UserName": "carol", "Groups": [group_name]}));
    let (user_name, attributes) = stack.create("AWS::IAM::User", "user", &user).await;
    assert_eq!(attributes["Arn"], stack.region.arn("user/carol"));
    let key = object(json!({"UserName": user_name}));
    let (key_id, attributes) = stack.create("AWS::IAM::AccessKey", "key", &key).await;
    let secret = attributes["SecretAccessKey"].as_str().unwrap();
    let carol = stack.region.cloud.client(&key_id, secret, None);
    let managed = object(json!({
        "PolicyDocument": document(&policy("Allow", "iam:ListUsers", "*")),
        "Groups": [group_name],
    }));
    let (arn, _) = stack.create("AWS::IAM::ManagedPolicy", "managed", &managed).await;
    carol.call(ListUsersInput::default()).await.unwrap();
    let changed = object(json!({
        "PolicyDocument": document(&policy("Allow", "iam:ListRoles", "*")),
        "Groups": [group_name],
    }));
    stack.update("AWS::IAM::ManagedPolicy", &arn, &managed, &changed).await;
    carol.call(ListRolesInput::default()).await.unwrap();
    assert_eq!(carol.call(ListUsersInput::default()).await.unwrap_err().code, "AccessDenied");
    stack.delete("AWS::IAM::ManagedPolicy", &arn, &changed).await;
    stack.delete("AWS::IAM::AccessKey", &key_id, &key).await;
    stack.delete("AWS::IAM::User", &user_name, &user).await;
    stack.delete("AWS::IAM::Group", &group_name, &group).await;
}

#[tokio::test]
async fn a_stack_does_not_take_over_what_another_made() {
    let stack = Stack::start().await;
    let user = object(json!({"UserName": "administrator"}));
    let error =
        stack.handler("AWS::IAM::User").create(&stack.step("user"), &user).await.unwrap_err();
    assert_eq!(error.code, "AlreadyExists");
    let linked = object(json!({"AWSServiceName": "rds.amazonaws.com"}));
    let (name, _) = stack.create("AWS::IAM::ServiceLinkedRole", "linked", &linked).await;
    assert_eq!(name, "AWSServiceRoleForRDS");
    stack.delete("AWS::IAM::ServiceLinkedRole", &name, &linked).await;
}
