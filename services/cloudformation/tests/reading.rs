//! What can be read of stacks, and who may.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test says what holds")]

mod world;

use cloudformation_api::{
    CancelUpdateStackInput, ChangeSetType, ContinueUpdateRollbackInput, CreateChangeSetInput,
    DeleteChangeSetInput, DescribeChangeSetInput, DescribeStackEventsInput,
    DescribeStackResourceInput, DescribeStackResourcesInput, DescribeStacksInput,
    ExecuteChangeSetInput, GetStackPolicyInput, GetTemplateInput, GetTemplateSummaryInput,
    ListChangeSetsInput, ListExportsInput, ListImportsInput, ListStackResourcesInput,
    ListStacksInput, OnFailure, ResourceStatus, RollbackStackInput, SetStackPolicyInput,
    SignalResourceInput, StackStatus, TemplateSummaryConfig, UpdateTerminationProtectionInput,
    ValidateTemplateInput,
};
use testkit::poll;
use world::*;

const TEMPLATE: &str = r#"
Description: two things
Parameters: {Word: {Type: String, Default: hello, AllowedValues: [hello, bye], Description: a word}}
Resources:
  A: {Type: "Test::Thing", Metadata: {Why: !Ref Word}, Properties: {Value: !Ref Word}}
  B: {Type: "Test::Thing", DependsOn: A}
"#;

fn named(name: &str) -> String {
    name.to_owned()
}

#[tokio::test]
async fn resources_are_shown() {
    let (cloud, _world) = cloud().await;
    let root = cloud.root();
    let stack = created(&root, "s", TEMPLATE).await;
    assert_eq!(stack.description.as_deref(), Some("two things"));
    let input =
        DescribeStackResourceInput { stack_name: named("s"), logical_resource_id: named("A") };
    let detail = root.call(input).await.unwrap().stack_resource_detail.unwrap();
    assert_eq!(detail.physical_resource_id.as_deref(), Some("thing-1"));
    assert_eq!(detail.metadata.as_deref(), Some(r#"{"Why":"hello"}"#));
    assert_eq!(detail.resource_status, ResourceStatus::CreateComplete);
    let by_thing = DescribeStackResourcesInput {
        physical_resource_id: Some(named("thing-2")),
        ..DescribeStackResourcesInput::default()
    };
    let found = root.call(by_thing).await.unwrap().stack_resources;
    let names: Vec<&str> = found.iter().map(|r| r.logical_resource_id.as_str()).collect();
    assert_eq!(names, ["A", "B"]);
    let input = ListStackResourcesInput { stack_name: named("s"), next_token: None };
    assert_eq!(root.call(input).await.unwrap().stack_resource_summaries.len(), 2);
    let missing =
        DescribeStackResourceInput { stack_name: named("s"), logical_resource_id: named("Z") };
    let fault = root.call(missing).await.unwrap_err();
    assert_eq!(fault.message, "Resource Z does not exist for stack s");
    let fault = root
        .call(DescribeStacksInput { stack_name: Some(named("t")), next_token: None })
        .await
        .unwrap_err();
    assert_eq!(
        (fault.code.as_str(), fault.message.as_str()),
        ("ValidationError", "Stack with id t does not exist")
    );
}

#[tokio::test]
async fn templates_are_shown_and_checked() {
    let (cloud, _world) = cloud().await;
    let root = cloud.root();
    created(&root, "s", TEMPLATE).await;
    let input = GetTemplateInput { stack_name: Some(named("s")), ..GetTemplateInput::default() };
    assert_eq!(root.call(input).await.unwrap().template_body.as_deref(), Some(TEMPLATE));
    let input = ValidateTemplateInput {
        template_body: Some(TEMPLATE.to_owned()),
        ..ValidateTemplateInput::default()
    };
    let valid = root.call(input).await.unwrap();
    assert_eq!(valid.parameters[0].default_value.as_deref(), Some("hello"));
    assert!(valid.capabilities.is_empty());
    let input = GetTemplateSummaryInput {
        stack_name: Some(named("s")),
        ..GetTemplateSummaryInput::default()
    };
    let summary = root.call(input).await.unwrap();
    assert_eq!(summary.resource_types, ["Test::Thing"]);
    let constraints = summary.parameters[0].parameter_constraints.as_ref().unwrap();
    assert_eq!(constraints.allowed_values, ["hello", "bye"]);
    let input = GetTemplateSummaryInput {
        template_body: Some("Resources: {A: {Type: 'AWS::Nope::X'}}".to_owned()),
        template_summary_config: Some(TemplateSummaryConfig {
            treat_unrecognized_resource_types_as_warnings: Some(true),
        }),
        ..GetTemplateSummaryInput::default()
    };
    let warnings = root.call(input).await.unwrap().warnings.unwrap();
    assert_eq!(warnings.unrecognized_resource_types, ["AWS::Nope::X"]);
    let none = root.call(ValidateTemplateInput::default()).await.unwrap_err();
    assert_eq!(none.message, "Either Template URL or Template Body must be specified.");
    let long = ValidateTemplateInput {
        template_body: Some(" ".repeat(51_201)),
        ..ValidateTemplateInput::default()
    };
    assert!(root.call(long).await.unwrap_err().message.contains("less than or equal to 51200"));
}

#[tokio::test]
async fn lists_come_in_pages() {
    let (cloud, _world) = cloud().await;
    let root = cloud.root();
    let many: String = (0..150).map(|i| format!("  R{i}: {{Type: 'Test::Thing'}}\n")).collect();
    created(&root, "s", &format!("Resources:\n{many}")).await;
    let mut names = Vec::new();
    let mut next_token = None;
    loop {
        let input = ListStackResourcesInput { stack_name: named("s"), next_token };
        let page = root.call(input).await.unwrap();
        assert!(page.stack_resource_summaries.len() <= 100);
        names.extend(page.stack_resource_summaries.into_iter().map(|r| r.logical_resource_id));
        next_token = page.next_token;
        if next_token.is_none() {
            break;
        }
    }
    names.sort();
    names.dedup();
    assert_eq!(names.len(), 150);
    assert_eq!(events(&root, "s").await.len(), 2 + 3 * 150);
}

#[tokio::test]
async fn an_update_can_be_cancelled() {
    let (cloud, world) = cloud().await;
    let root = cloud.root();
    created(&root, "s", TEMPLATE).await;
    let cancel = || CancelUpdateStackInput { stack_name: named("s"), ..Default::default() };
    let fault = root.call(cancel()).await.unwrap_err();
    assert_eq!(
        fault.message,
        "CancelUpdateStack cannot be called from current stack status CREATE_COMPLETE"
    );
    world.hold("A");
    let mut next = update("s", TEMPLATE);
    next.parameters = vec![parameter("Word", "bye")];
    root.call(next).await.unwrap();
    poll::until("A to be changed", || async {
        world.done.lock().unwrap().contains(&"update A".to_owned()).then_some(())
    })
    .await;
    root.call(cancel()).await.unwrap();
    poll::until("the rollback", || async {
        let stack = stack(&root, "s").await?;
        (stack.stack_status == StackStatus::UpdateRollbackInProgress).then_some(())
    })
    .await;
    world.release();
    reach(&root, "s", StackStatus::UpdateRollbackComplete).await;
    assert!(world.values().contains(&"A thing-1 hello".to_owned()));
}

#[tokio::test]
async fn a_failed_stack_that_was_left_can_be_rolled_back() {
    let (cloud, world) = cloud().await;
    let root = cloud.root();
    world.fail("create B");
    let mut input = create("s", TEMPLATE);
    input.on_failure = Some(OnFailure::DoNothing);
    root.call(input).await.unwrap();
    reach(&root, "s", StackStatus::CreateFailed).await;
    let roll_back = || RollbackStackInput { stack_name: named("s"), ..Default::default() };
    root.call(roll_back()).await.unwrap();
    reach(&root, "s", StackStatus::RollbackComplete).await;
    assert!(world.values().is_empty());
    assert!(root.call(roll_back()).await.is_err());
}

#[tokio::test]
async fn change_sets_are_listed_and_deleted() {
    let (cloud, _world) = cloud().await;
    let root = cloud.root();
    let input = CreateChangeSetInput {
        stack_name: named("s"),
        change_set_name: named("c"),
        template_body: Some(TEMPLATE.to_owned()),
        change_set_type: Some(ChangeSetType::Create),
        ..CreateChangeSetInput::default()
    };
    root.call(input.clone()).await.unwrap();
    let fault = root.call(input).await.unwrap_err();
    assert_eq!(fault.code, "AlreadyExistsException");
    let list = || ListChangeSetsInput { stack_name: named("s"), next_token: None };
    assert_eq!(root.call(list()).await.unwrap().summaries.len(), 1);
    let input = DeleteChangeSetInput { change_set_name: named("c"), stack_name: Some(named("s")) };
    root.call(input).await.unwrap();
    assert!(root.call(list()).await.unwrap().summaries.is_empty());
    let input = DescribeChangeSetInput {
        change_set_name: named("c"),
        stack_name: Some(named("s")),
        ..DescribeChangeSetInput::default()
    };
    let fault = root.call(input).await.unwrap_err();
    assert_eq!(
        (fault.code.as_str(), fault.message.as_str()),
        ("ChangeSetNotFound", "ChangeSet [c] does not exist")
    );
    // A stack that was only looked at goes like any other.
    root.call(delete("s")).await.unwrap();
    poll::until("the stack to go", || async { stack(&root, "s").await.is_none().then_some(()) })
        .await;
}

macro_rules! denied {
    ($client:expr, $($input:expr),* $(,)?) => {
        $(
            let fault = $client.call($input).await.unwrap_err();
            assert_eq!(fault.status, 403, "{}: {fault}", stringify!($input));
            assert!(fault.code.starts_with("AccessDenied"), "{fault}");
        )*
    };
}

#[tokio::test]
async fn whoever_has_no_permission_is_denied_every_operation() {
    let (cloud, world) = cloud().await;
    let root = cloud.root();
    created(&root, "s", TEMPLATE).await;
    world.done();
    let nobody = cloud.nobody();
    let s = || named("s");
    denied!(
        nobody,
        create("t", TEMPLATE),
        update("s", TEMPLATE),
        delete("s"),
        CancelUpdateStackInput { stack_name: s(), ..Default::default() },
        ContinueUpdateRollbackInput { stack_name: s(), ..Default::default() },
        RollbackStackInput { stack_name: s(), ..Default::default() },
        UpdateTerminationProtectionInput { stack_name: s(), ..Default::default() },
        DescribeStacksInput { stack_name: Some(s()), ..Default::default() },
        ListStacksInput::default(),
        DescribeStackResourceInput { stack_name: s(), logical_resource_id: named("A") },
        DescribeStackResourcesInput { stack_name: Some(s()), ..Default::default() },
        ListStackResourcesInput { stack_name: s(), ..Default::default() },
        DescribeStackEventsInput { stack_name: s(), ..Default::default() },
        CreateChangeSetInput { stack_name: s(), change_set_name: named("c"), ..Default::default() },
        DescribeChangeSetInput {
            stack_name: Some(s()),
            change_set_name: named("c"),
            ..Default::default()
        },
        ExecuteChangeSetInput {
            stack_name: Some(s()),
            change_set_name: named("c"),
            ..Default::default()
        },
        DeleteChangeSetInput { stack_name: Some(s()), change_set_name: named("c") },
        ListChangeSetsInput { stack_name: s(), ..Default::default() },
        ListExportsInput::default(),
        ListImportsInput { export_name: named("x"), ..Default::default() },
        SignalResourceInput {
            stack_name: s(),
            logical_resource_id: named("A"),
            unique_id: named("i"),
            ..Default::default()
        },
        GetStackPolicyInput { stack_name: s() },
        SetStackPolicyInput { stack_name: s(), ..Default::default() },
        GetTemplateInput { stack_name: Some(s()), ..Default::default() },
        GetTemplateSummaryInput { stack_name: Some(s()), ..Default::default() },
        ValidateTemplateInput { template_body: Some(TEMPLATE.to_owned()), ..Default::default() },
    );
    assert!(world.done().is_empty());
}

#[tokio::test]
async fn what_the_deployer_may_not_do_fails_the_stack() {
    let (cloud, world) = cloud().await;
    let policy = GetStackPolicyInput { stack_name: named("s") };
    let deployer = cloud.user(
        "deployer",
        r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"cloudformation:*","Resource":"*"}]}"#,
    );
    // Things need no permission of their own, but values from the Parameter Store do.
    let template = "Parameters: {P: {Type: 'AWS::SSM::Parameter::Value<String>', Default: /x}}\n\
                    Resources: {A: {Type: 'Test::Thing', Properties: {Value: !Ref P}}}";
    let fault = deployer.call(create("s", template)).await.unwrap_err();
    assert!(fault.message.contains("ssm:GetParameters"), "{fault}");
    assert!(cloud.root().call(policy).await.is_err(), "no stack was made");
    assert!(world.done().is_empty());
}
