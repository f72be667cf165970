//! Updates, their rollback, change sets, exports.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test says what holds")]

mod world;

use cloudformation_api::{
    ChangeSetStatus, ChangeSetType, ContinueUpdateRollbackInput, CreateChangeSetInput,
    DescribeChangeSetInput, DescribeChangeSetOutput, ExecuteChangeSetInput, ExecutionStatus,
    ListExportsInput, ListImportsInput, SetStackPolicyInput, StackStatus,
};
use testkit::TestClient;
use world::*;

const OLD: &str = r#"
Resources:
  A: {Type: "Test::Thing", Properties: {Name: a, Value: one}}
  B: {Type: "Test::Thing", Properties: {Name: !Ref A, Value: two}}
  C: {Type: "Test::Thing", Properties: {Value: three}}
"#;

#[tokio::test]
async fn an_update_changes_replaces_adds_and_removes() {
    let (cloud, world) = cloud().await;
    let root = cloud.root();
    created(&root, "s", OLD).await;
    world.done();
    let new = r#"
Resources:
  A: {Type: "Test::Thing", Properties: {Name: b, Value: one}}
  B: {Type: "Test::Thing", Properties: {Name: !Ref A, Value: two}}
  D: {Type: "Test::Thing", Properties: {Value: !Ref B}}
"#;
    root.call(update("s", new)).await.unwrap();
    reach(&root, "s", StackStatus::UpdateComplete).await;
    // The new ones in order, then what is left over in the reverse order.
    let done = world.done();
    assert_eq!(done[..3], ["create A", "create B", "create D"]);
    let at = |what: &str| done.iter().position(|d| d == what).unwrap();
    assert!(at("delete B") < at("delete A"), "{done:?}");
    assert!(at("delete C") > 2);
    assert_eq!(world.values(), ["A thing-4 one", "B thing-5 two", "D thing-6 thing-5"]);
    let told = told(&root, "s").await;
    assert!(told.contains(
        &"A UPDATE_IN_PROGRESS: Requested update requires the creation of a new physical resource; hence creating one.".to_owned()
    ));
    let fault = root.call(update("s", new)).await.unwrap_err();
    assert_eq!(fault.message, "No updates are to be performed.");
}

#[tokio::test]
async fn a_failed_update_is_taken_back_exactly() {
    let (cloud, world) = cloud().await;
    let root = cloud.root();
    created(&root, "s", OLD).await;
    let before = world.values();
    let new = r#"
Resources:
  A: {Type: "Test::Thing", Properties: {Name: b, Value: other}}
  B: {Type: "Test::Thing", Properties: {Name: !Ref A, Value: other}}
  C: {Type: "Test::Thing", Properties: {Value: other}}
  E: {Type: "Test::Thing", DependsOn: [A, B, C]}
"#;
    world.fail("create E");
    root.call(update("s", new)).await.unwrap();
    reach(&root, "s", StackStatus::UpdateRollbackComplete).await;
    assert_eq!(world.values(), before);
    let told = told(&root, "s").await;
    assert!(
        told.contains(
            &"s UPDATE_ROLLBACK_IN_PROGRESS: The following resource(s) failed to update: [E]."
                .to_owned()
        ),
        "{told:#?}"
    );
    // And the stack can be updated from there.
    world.mend();
    root.call(update("s", new)).await.unwrap();
    reach(&root, "s", StackStatus::UpdateComplete).await;
    assert_eq!(world.values().len(), 4);
}

#[tokio::test]
async fn a_rollback_that_fails_can_be_continued() {
    let (cloud, world) = cloud().await;
    let root = cloud.root();
    let template = |value: &str| {
        format!(
            "Resources:\n  A: {{Type: 'Test::Thing', Properties: {{Value: {value}}}}}\n  B: {{Type: 'Test::Thing', DependsOn: A, Properties: {{Value: {value}}}}}"
        )
    };
    created(&root, "s", &template("one")).await;
    world.fail("update B");
    let fails_on_the_way_back = async {
        testkit::poll::until("A to be updated", || async {
            world.done.lock().unwrap().contains(&"update A".to_owned()).then_some(())
        })
        .await;
        world.fail("update A");
    };
    root.call(update("s", &template("two"))).await.unwrap();
    fails_on_the_way_back.await;
    let stack = testkit::poll::until("an end", || async {
        stack(&root, "s").await.filter(|s| !s.stack_status.as_str().ends_with("IN_PROGRESS"))
    })
    .await;
    // B's way back fails too: its update was refused both ways.
    assert_eq!(stack.stack_status, StackStatus::UpdateRollbackFailed);
    world.mend();
    let input = ContinueUpdateRollbackInput { stack_name: "s".to_owned(), ..Default::default() };
    root.call(input).await.unwrap();
    reach(&root, "s", StackStatus::UpdateRollbackComplete).await;
    assert_eq!(world.values(), ["A thing-1 one", "B thing-2 one"]);
}

async fn change_set(
    client: &TestClient,
    name: &str,
    template: &str,
    kind: ChangeSetType,
) -> DescribeChangeSetOutput {
    let input = CreateChangeSetInput {
        stack_name: "s".to_owned(),
        change_set_name: name.to_owned(),
        template_body: Some(template.to_owned()),
        change_set_type: Some(kind),
        ..CreateChangeSetInput::default()
    };
    client.call(input).await.unwrap();
    let input = DescribeChangeSetInput {
        stack_name: Some("s".to_owned()),
        change_set_name: name.to_owned(),
        include_property_values: Some(true),
        ..DescribeChangeSetInput::default()
    };
    client.call(input).await.unwrap()
}

fn execute(name: &str) -> ExecuteChangeSetInput {
    ExecuteChangeSetInput {
        stack_name: Some("s".to_owned()),
        change_set_name: name.to_owned(),
        ..ExecuteChangeSetInput::default()
    }
}

/// Action, name, replacement of each change.
fn lines(set: &DescribeChangeSetOutput) -> Vec<String> {
    let changes = set.changes.iter().filter_map(|change| change.resource_change.as_ref());
    changes
        .map(|change| {
            let action = change.action.map_or("", |action| action.as_str());
            let name = change.logical_resource_id.as_deref().unwrap_or_default();
            let replacement = change.replacement.map_or("", |r| r.as_str());
            format!("{action} {name} {replacement}").trim_end().to_owned()
        })
        .collect()
}

#[tokio::test]
async fn change_sets_show_what_they_then_do() {
    let (cloud, world) = cloud().await;
    let root = cloud.root();
    let first = change_set(&root, "first", OLD, ChangeSetType::Create).await;
    assert_eq!(lines(&first), ["Add A", "Add C", "Add B"]);
    assert_eq!(stack(&root, "s").await.unwrap().stack_status, StackStatus::ReviewInProgress);
    assert!(world.done().is_empty(), "looking changes nothing");
    root.call(execute("first")).await.unwrap();
    reach(&root, "s", StackStatus::CreateComplete).await;

    let same = change_set(&root, "same", OLD, ChangeSetType::Update).await;
    assert_eq!(same.status, Some(ChangeSetStatus::Failed));
    assert_eq!(
        same.status_reason.as_deref(),
        Some(
            "The submitted information didn't contain changes. Submit different information to create a change set."
        )
    );

    let new = OLD.replace("Name: a", "Name: b").replace("three", "four");
    let stale = change_set(&root, "stale", &new, ChangeSetType::Update).await;
    let next = change_set(&root, "next", &new, ChangeSetType::Update).await;
    assert_eq!(lines(&next), ["Modify A True", "Modify C False", "Modify B True"]);
    assert_eq!(lines(&next), lines(&stale));
    let detail = &next.changes[1].resource_change.as_ref().unwrap().details[0];
    let target = detail.target.as_ref().unwrap();
    assert_eq!(
        (target.before_value.as_deref(), target.after_value.as_deref()),
        (Some("three"), Some("four"))
    );
    world.done();
    root.call(execute("next")).await.unwrap();
    reach(&root, "s", StackStatus::UpdateComplete).await;
    let done = world.done();
    for expected in ["create A", "update C", "create B", "delete B", "delete A"] {
        assert!(done.iter().any(|d| d == expected), "{expected} in {done:?}");
    }
    assert_eq!(done.len(), 5);

    let fault = root.call(execute("stale")).await.unwrap_err();
    assert_eq!(fault.code, "InvalidChangeSetStatus", "{fault}");
    let input = DescribeChangeSetInput {
        stack_name: Some("s".to_owned()),
        change_set_name: "stale".to_owned(),
        ..DescribeChangeSetInput::default()
    };
    let stale = root.call(input).await.unwrap();
    assert_eq!(stale.execution_status, Some(ExecutionStatus::Obsolete));
}

#[tokio::test]
async fn exports_hold_their_stack() {
    let (cloud, _world) = cloud().await;
    let root = cloud.root();
    let exporting = "Resources: {A: {Type: 'Test::Thing'}}\nOutputs: {O: {Value: !Ref A, Export: {Name: !Sub '${AWS::StackName}-a'}}}";
    let importing =
        "Resources: {B: {Type: 'Test::Thing', Properties: {Value: !ImportValue from-a}}}";
    let none = root.call(create("to", importing)).await;
    assert!(none.is_ok());
    let stack = reach(&root, "to", StackStatus::RollbackComplete).await;
    root.call(delete("to")).await.unwrap();
    reach(&root, &stack.stack_id.unwrap(), StackStatus::DeleteComplete).await;

    let from = created(&root, "from", exporting).await;
    let to = created(&root, "to", importing).await;
    let exports = root.call(ListExportsInput::default()).await.unwrap().exports;
    assert_eq!(exports[0].name.as_deref(), Some("from-a"));
    let input = ListImportsInput { export_name: "from-a".to_owned(), next_token: None };
    assert_eq!(root.call(input).await.unwrap().imports, ["to"]);

    root.call(delete("from")).await.unwrap();
    let held = reach(&root, "from", StackStatus::DeleteFailed).await;
    assert_eq!(
        held.stack_status_reason.as_deref(),
        Some("Delete canceled. Cannot delete export from-a as it is in use by to.")
    );
    root.call(delete("to")).await.unwrap();
    reach(&root, &to.stack_id.unwrap(), StackStatus::DeleteComplete).await;
    root.call(delete("from")).await.unwrap();
    reach(&root, &from.stack_id.unwrap(), StackStatus::DeleteComplete).await;
}

#[tokio::test]
async fn a_stack_policy_holds_updates_off() {
    let (cloud, world) = cloud().await;
    let root = cloud.root();
    created(&root, "s", OLD).await;
    world.done();
    let policy = r#"{"Statement": [
        {"Effect": "Allow", "Action": "Update:*", "Principal": "*", "Resource": "*"},
        {"Effect": "Deny", "Action": "Update:Replace", "Principal": "*", "Resource": "LogicalResourceId/A"}]}"#;
    let input = SetStackPolicyInput {
        stack_name: "s".to_owned(),
        stack_policy_body: Some(policy.to_owned()),
        ..SetStackPolicyInput::default()
    };
    root.call(input).await.unwrap();
    let fault = root.call(update("s", &OLD.replace("Name: a", "Name: b"))).await.unwrap_err();
    assert_eq!(
        fault.message,
        "Action denied by stack policy: [Update:Replace] is not allowed for resource [A]"
    );
    assert!(world.done().is_empty());
    root.call(update("s", &OLD.replace("Value: one", "Value: five"))).await.unwrap();
    reach(&root, "s", StackStatus::UpdateComplete).await;
}

#[tokio::test]
async fn previous_values_and_templates_are_used() {
    let (cloud, world) = cloud().await;
    let root = cloud.root();
    let template = "Parameters: {P: {Type: String, NoEcho: true}, Q: {Type: String}}\n\
                    Resources: {A: {Type: 'Test::Thing', Properties: {Value: !Sub '${P}-${Q}'}}}";
    let mut input = create("s", template);
    input.parameters = vec![parameter("P", "secret"), parameter("Q", "one")];
    root.call(input).await.unwrap();
    let stack = reach(&root, "s", StackStatus::CreateComplete).await;
    assert_eq!(stack.parameters[0].parameter_value.as_deref(), Some("****"));
    let shown = events(&root, "s").await;
    assert!(shown.iter().all(|event| !format!("{event:?}").contains("secret")));
    let mut next = update("s", "");
    next.template_body = None;
    next.use_previous_template = Some(true);
    let mut previous = parameter("P", "");
    previous.parameter_value = None;
    previous.use_previous_value = Some(true);
    next.parameters = vec![previous, parameter("Q", "two")];
    root.call(next).await.unwrap();
    reach(&root, "s", StackStatus::UpdateComplete).await;
    assert_eq!(world.values(), ["A thing-1 secret-two"]);
}
