//! The table of cases of `policy`, asked of the simulator, and a part of it of real calls.

use std::collections::BTreeMap;

use iam_api::*;
use serde_json::Value;

use crate::region::{Region, policy};

const TABLE: &str = include_str!("../../../../crates/policy/tests/cases/evaluation.json");

/// Cases whose caller the simulator can be: a user, without a session. It takes neither resource
/// control policies nor the policies of keys and roles, and its protocol cannot say that a level
/// has no policy at all.
fn can_be_simulated(case: &Value) -> bool {
    let absent = ["session", "rcps", "key", "trust"];
    let mut levels = case["scps"].as_array().into_iter().flatten();
    case["who"] == "user"
        && absent.iter().all(|layer| case[*layer].is_null())
        && levels.all(|level| !level.as_array().unwrap().is_empty())
}

fn entries(case: &Value) -> Vec<ContextEntry> {
    let given = case["context"].as_object().into_iter().flatten();
    given
        .map(|(key, values)| ContextEntry {
            context_key_name: Some(key.clone()),
            context_key_values: values
                .as_array()
                .unwrap()
                .iter()
                .map(|value| value.as_str().unwrap().to_owned())
                .collect(),
            context_key_type: Some(ContextKeyTypeEnum::StringList),
        })
        .collect()
}

#[tokio::test]
async fn the_simulator_agrees_with_every_case() {
    let region = Region::start().await;
    let admin = region.admin();
    let table: Value = serde_json::from_str(TABLE).unwrap();
    let policies = table["policies"].as_array().unwrap();
    let text = |at: &Value| policies[usize::try_from(at.as_u64().unwrap()).unwrap()].to_string();
    let texts =
        |list: &Value| -> Vec<String> { list.as_array().into_iter().flatten().map(text).collect() };
    let nothing = policy("Allow", "none:None", "*");
    let mut wrong = Vec::new();
    let mut asked = 0;
    for case in table["cases"].as_array().unwrap().iter().filter(|case| can_be_simulated(case)) {
        let mut identity = texts(&case["identity"]);
        if identity.is_empty() {
            // A simulation needs a policy; this one is about nothing.
            identity.push(nothing.clone());
        }
        let levels = case["scps"].as_array().cloned().unwrap_or_default();
        let cross = case["cross"].as_bool() == Some(true);
        let input = SimulateCustomPolicyInput {
            policy_input_list: identity,
            permissions_boundary_policy_input_list: (!case["boundary"].is_null())
                .then(|| text(&case["boundary"]))
                .into_iter()
                .collect(),
            ordered_organization_policy_input_list: levels
                .iter()
                .map(|level| OrderedOrganizationPolicyType {
                    service_control_policy_input_list: texts(level),
                })
                .collect(),
            resource_policy: (!case["resource"].is_null()).then(|| text(&case["resource"])),
            resource_owner: cross.then(|| "444455556666".to_owned()),
            caller_arn: Some("arn:aws:iam::111122223333:user/team/ann".to_owned()),
            action_names: vec![case["action"].as_str().unwrap().to_owned()],
            resource_arns: vec![case["arn"].as_str().unwrap().to_owned()],
            context_entries: entries(case)
                .into_iter()
                .chain([ContextEntry {
                    context_key_name: Some("aws:userid".to_owned()),
                    context_key_values: vec!["AIDAANNEXAMPLE000001".to_owned()],
                    context_key_type: Some(ContextKeyTypeEnum::String),
                }])
                .collect(),
            ..Default::default()
        };
        // The simulator knows its caller by the ARN alone.
        if case.to_string().contains("AIDAANN") || text_names_id(case, policies) {
            continue;
        }
        let answer = admin.call(input).await.unwrap_or_else(|error| panic!("{error}: {case}"));
        let got = match answer.evaluation_results[0].eval_decision {
            PolicyEvaluationDecisionType::Allowed => "allow",
            PolicyEvaluationDecisionType::ExplicitDeny => "explicit",
            PolicyEvaluationDecisionType::ImplicitDeny => "implicit",
        };
        asked += 1;
        if got != case["expect"].as_str().unwrap() {
            wrong.push(format!("{got}: {case}"));
        }
    }
    assert!(asked >= 900, "{asked} cases");
    assert!(wrong.is_empty(), "{} of {asked}:\n{}", wrong.len(), wrong.join("\n"));
}

/// Whether a resource policy names the caller by its unique id.
fn text_names_id(case: &Value, policies: &[Value]) -> bool {
    let at = case["resource"].as_u64().and_then(|at| usize::try_from(at).ok());
    at.and_then(|at| policies.get(at)).is_some_and(|text| text.to_string().contains("AIDAANN"))
}

/// What a layer of a real user says of `iam:ListUsers`.
fn document(what: &str) -> Option<String> {
    match what {
        "allow" => Some(policy("Allow", "iam:*", "*")),
        "deny" => Some(policy("Deny", "iam:*", "*")),
        "other" => Some(policy("Allow", "ec2:*", "*")),
        _ => None,
    }
}

#[tokio::test]
async fn real_calls_and_the_simulator_agree_on_identity_and_boundary() {
    let region = Region::start().await;
    let admin = region.admin();
    let mut boundaries = BTreeMap::new();
    for name in ["allow", "deny", "other"] {
        let input = CreatePolicyInput {
            policy_name: format!("boundary-{name}"),
            policy_document: document(name).unwrap(),
            ..Default::default()
        };
        let made = admin.call(input).await.unwrap().policy.unwrap();
        boundaries.insert(name, made.arn.unwrap());
    }
    for own in ["none", "allow", "deny", "other"] {
        for group in ["none", "allow", "deny", "other"] {
            for boundary in ["none", "allow", "deny", "other"] {
                let name = format!("u-{own}-{group}-{boundary}");
                let client = region.user(&name, document(own).as_deref()).await;
                if let Some(text) = document(group) {
                    let group_name = format!("g-{name}");
                    let input =
                        CreateGroupInput { group_name: group_name.clone(), ..Default::default() };
                    admin.call(input).await.unwrap();
                    let put = PutGroupPolicyInput {
                        group_name: group_name.clone(),
                        policy_name: "p".to_owned(),
                        policy_document: text,
                    };
                    admin.call(put).await.unwrap();
                    let add = AddUserToGroupInput { group_name, user_name: name.clone() };
                    admin.call(add).await.unwrap();
                }
                if let Some(arn) = boundaries.get(boundary) {
                    let put = PutUserPermissionsBoundaryInput {
                        user_name: name.clone(),
                        permissions_boundary: arn.clone(),
                    };
                    admin.call(put).await.unwrap();
                }
                // AWS: "Permissions boundaries for IAM entities".
                let denied = [own, group, boundary].contains(&"deny");
                let granted = [own, group].contains(&"allow");
                let bounded = ["none", "allow"].contains(&boundary);
                let want = !denied && granted && bounded;
                let real = client.call(ListUsersInput::default()).await;
                assert_eq!(real.is_ok(), want, "{name}: {:?}", real.err());
                let simulated = admin
                    .call(SimulatePrincipalPolicyInput {
                        policy_source_arn: region.arn(&format!("user/{name}")),
                        action_names: vec!["iam:ListUsers".to_owned()],
                        ..Default::default()
                    })
                    .await
                    .unwrap();
                let decision = simulated.evaluation_results[0].eval_decision;
                let allowed = decision == PolicyEvaluationDecisionType::Allowed;
                assert_eq!(allowed, want, "{name} simulated");
            }
        }
    }
}

#[tokio::test]
async fn the_simulator_tells_which_keys_policies_read() {
    let region = Region::start().await;
    let admin = region.admin();
    let text = r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"s3:*","Resource":"arn:aws:s3:::b/${aws:username}/*","Condition":{"StringEquals":{"s3:prefix":"${aws:PrincipalTag/team}"}}}}"#;
    let keys = admin
        .call(GetContextKeysForCustomPolicyInput { policy_input_list: vec![text.to_owned()] })
        .await
        .unwrap();
    assert_eq!(keys.context_key_names, ["aws:PrincipalTag/team", "aws:username", "s3:prefix"]);
    region.user("reader", Some(text)).await;
    let of_user = admin
        .call(GetContextKeysForPrincipalPolicyInput {
            policy_source_arn: region.arn("user/reader"),
            policy_input_list: Vec::new(),
        })
        .await
        .unwrap();
    assert_eq!(of_user.context_key_names, keys.context_key_names);
    let simulated = admin
        .call(SimulatePrincipalPolicyInput {
            policy_source_arn: region.arn("user/reader"),
            action_names: vec!["s3:GetObject".to_owned()],
            ..Default::default()
        })
        .await
        .unwrap();
    let missing = &simulated.evaluation_results[0].missing_context_values;
    assert_eq!(*missing, ["aws:PrincipalTag/team", "s3:prefix"]);
}
