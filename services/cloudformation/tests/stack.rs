//! Stacks from creation to deletion.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test says what holds")]

mod world;

use cloudformation_api::{
    ListStacksInput, ListStacksOutput, OnFailure, ResourceSignalStatus, SignalResourceInput,
    StackStatus, Tag, UpdateTerminationProtectionInput,
};
use testkit::poll;
use world::*;

const CHAIN: &str = r#"
Parameters: {Word: {Type: String, Default: hello}}
Resources:
  A: {Type: "Test::Thing", Properties: {Value: !Ref Word}}
  B: {Type: "Test::Thing", Properties: {Value: !Sub "${A}-${A.Value}"}}
  C: {Type: "Test::Thing", DependsOn: B, Properties: {Value: !Join ["/", [!GetAtt A.Arn, !Ref B]]}}
Outputs:
  Last: {Value: !GetAtt C.Value, Description: the end}
"#;

#[tokio::test]
async fn a_stack_is_made_in_order_and_deleted_in_reverse() {
    let (cloud, world) = cloud().await;
    let root = cloud.root();
    let stack = created(&root, "chain", CHAIN).await;
    assert_eq!(world.done(), ["create A", "create B", "create C"]);
    assert_eq!(
        world.values(),
        ["A thing-1 hello", "B thing-2 thing-1-hello", "C thing-3 arn:thing-1/thing-2"]
    );
    let output = &stack.outputs[0];
    assert_eq!(output.output_key.as_deref(), Some("Last"));
    assert_eq!(output.output_value.as_deref(), Some("arn:thing-1/thing-2"));
    assert_eq!(
        told(&root, "chain").await,
        [
            "chain CREATE_IN_PROGRESS: User Initiated",
            "A CREATE_IN_PROGRESS",
            "A CREATE_IN_PROGRESS: Resource creation Initiated",
            "A CREATE_COMPLETE",
            "B CREATE_IN_PROGRESS",
            "B CREATE_IN_PROGRESS: Resource creation Initiated",
            "B CREATE_COMPLETE",
            "C CREATE_IN_PROGRESS",
            "C CREATE_IN_PROGRESS: Resource creation Initiated",
            "C CREATE_COMPLETE",
            "chain CREATE_COMPLETE",
        ]
    );
    let id = stack.stack_id.unwrap();
    root.call(delete("chain")).await.unwrap();
    reach(&root, &id, StackStatus::DeleteComplete).await;
    assert_eq!(world.done(), ["delete C", "delete B", "delete A"]);
    assert!(world.values().is_empty());
    assert!(self::stack(&root, "chain").await.is_none(), "the name is free again");
    let ListStacksOutput { stack_summaries, .. } =
        root.call(ListStacksInput::default()).await.unwrap();
    assert_eq!(stack_summaries[0].stack_status, StackStatus::DeleteComplete);
}

#[tokio::test]
async fn a_failed_creation_is_taken_back() {
    let (cloud, world) = cloud().await;
    let root = cloud.root();
    world.fail("create B");
    root.call(create("chain", CHAIN)).await.unwrap();
    let stack = reach(&root, "chain", StackStatus::RollbackComplete).await;
    assert_eq!(world.done(), ["create A", "delete A"]);
    let told = told(&root, "chain").await;
    assert!(told.contains(
        &"B CREATE_FAILED: Resource handler returned message: \"create B is broken (Service: Thing, Status Code: 400)\" (HandlerErrorCode: Broken)".to_owned()
    ), "{told:#?}");
    assert!(told.contains(
        &"chain ROLLBACK_IN_PROGRESS: The following resource(s) failed to create: [B]. Rollback requested by user.".to_owned()
    ), "{told:#?}");
    assert_eq!(stack.stack_status, StackStatus::RollbackComplete);
    let fault = root.call(update("chain", CHAIN)).await.unwrap_err();
    assert!(
        fault.message.ends_with("is in ROLLBACK_COMPLETE state and can not be updated."),
        "{fault}"
    );
}

#[tokio::test]
async fn on_failure_decides_what_stays() {
    let (cloud, world) = cloud().await;
    let root = cloud.root();
    world.fail("create C");
    let keep = |wish, name| {
        let mut input = create(name, CHAIN);
        input.on_failure = Some(wish);
        input
    };
    root.call(keep(OnFailure::DoNothing, "kept")).await.unwrap();
    reach(&root, "kept", StackStatus::CreateFailed).await;
    assert_eq!(world.values().len(), 2);
    let id = root.call(keep(OnFailure::Delete, "gone")).await.unwrap().stack_id.unwrap();
    reach(&root, &id, StackStatus::DeleteComplete).await;
    assert_eq!(world.values().len(), 2);
    // What failed is made in a second try.
    world.mend();
    root.call(update("kept", &CHAIN.replace("the end", "the very end"))).await.unwrap();
    reach(&root, "kept", StackStatus::UpdateComplete).await;
    assert_eq!(world.values().len(), 3);
}

#[tokio::test]
async fn what_holds_a_stack_up_is_cancelled_when_another_fails() {
    let (cloud, world) = cloud().await;
    let root = cloud.root();
    world.hold("Slow");
    world.fail("create Bad");
    let template = "Resources:\n  Slow: {Type: 'Test::Thing'}\n  Quick: {Type: 'Test::Thing'}\n  \
                    Bad: {Type: 'Test::Thing', DependsOn: Quick}";
    root.call(create("race", template)).await.unwrap();
    reach(&root, "race", StackStatus::RollbackComplete).await;
    let told = told(&root, "race").await;
    assert!(
        told.contains(&"Slow CREATE_FAILED: Resource creation cancelled".to_owned()),
        "{told:#?}"
    );
    assert!(world.values().is_empty());
}

#[tokio::test]
async fn a_stack_can_be_deleted_while_it_is_made() {
    let (cloud, world) = cloud().await;
    let root = cloud.root();
    world.hold("B");
    let id = root.call(create("chain", CHAIN)).await.unwrap().stack_id.unwrap();
    poll::until("B to be made", || async {
        world.done.lock().unwrap().contains(&"create B".to_owned()).then_some(())
    })
    .await;
    root.call(delete("chain")).await.unwrap();
    reach(&root, &id, StackStatus::DeleteComplete).await;
    assert!(world.values().is_empty());
}

#[tokio::test]
async fn policies_keep_resources() {
    let (cloud, world) = cloud().await;
    let root = cloud.root();
    let template = "Resources:\n  A: {Type: 'Test::Thing', DeletionPolicy: Retain}\n  B: {Type: 'Test::Thing'}";
    let stack = created(&root, "kept", template).await;
    root.call(delete("kept")).await.unwrap();
    let id = stack.stack_id.unwrap();
    reach(&root, &id, StackStatus::DeleteComplete).await;
    assert_eq!(world.values().len(), 1);
    assert!(told(&root, &id).await.contains(&"A DELETE_SKIPPED".to_owned()));
}

#[tokio::test]
async fn a_deletion_that_fails_can_be_tried_again() {
    let (cloud, world) = cloud().await;
    let root = cloud.root();
    created(&root, "chain", CHAIN).await;
    world.fail("delete B");
    root.call(delete("chain")).await.unwrap();
    let stack = reach(&root, "chain", StackStatus::DeleteFailed).await;
    let reason = stack.stack_status_reason.unwrap();
    assert_eq!(reason, "The following resource(s) failed to delete: [B]. ");
    let mut again = delete("chain");
    again.retain_resources = vec!["B".to_owned()];
    root.call(again).await.unwrap();
    reach(&root, &stack.stack_id.unwrap(), StackStatus::DeleteComplete).await;
    assert_eq!(world.values().len(), 1, "B was kept on demand, A went");
}

#[tokio::test]
async fn what_is_still_in_use_is_deleted_when_it_is_free() {
    let (cloud, world) = cloud().await;
    let root = cloud.root();
    let stack = created(&root, "chain", CHAIN).await;
    world.busy.lock().unwrap().insert("delete B".to_owned());
    root.call(delete("chain")).await.unwrap();
    poll::until("C to go", || async {
        world.done.lock().unwrap().contains(&"delete C".to_owned()).then_some(())
    })
    .await;
    world.busy.lock().unwrap().clear();
    reach(&root, &stack.stack_id.unwrap(), StackStatus::DeleteComplete).await;
    assert!(world.values().is_empty());
}

#[tokio::test]
async fn stacks_carry_their_tags_and_their_own() {
    let (cloud, world) = cloud().await;
    let root = cloud.root();
    let mut input = create("chain", CHAIN);
    input.tags = vec![Tag { key: "team".to_owned(), value: "blue".to_owned() }];
    root.call(input).await.unwrap();
    let stack = reach(&root, "chain", StackStatus::CreateComplete).await;
    let things = world.things.lock().unwrap();
    let tags = &things["thing-1"].tags;
    assert_eq!(tags["team"], "blue");
    assert_eq!(tags["aws:cloudformation:stack-name"], "chain");
    assert_eq!(tags["aws:cloudformation:logical-id"], "A");
    assert_eq!(tags.get("aws:cloudformation:stack-id"), stack.stack_id.as_ref());
}

#[tokio::test]
async fn protection_holds_a_deletion_off() {
    let (cloud, _world) = cloud().await;
    let root = cloud.root();
    created(&root, "chain", CHAIN).await;
    let protect = |on| UpdateTerminationProtectionInput {
        enable_termination_protection: on,
        stack_name: "chain".to_owned(),
    };
    root.call(protect(true)).await.unwrap();
    let fault = root.call(delete("chain")).await.unwrap_err();
    assert_eq!(
        fault.message,
        "Stack [chain] cannot be deleted while TerminationProtection is enabled"
    );
    root.call(protect(false)).await.unwrap();
    root.call(delete("chain")).await.unwrap();
}

fn signal(resource: &str, id: &str, status: ResourceSignalStatus) -> SignalResourceInput {
    SignalResourceInput {
        stack_name: "signals".to_owned(),
        logical_resource_id: resource.to_owned(),
        unique_id: id.to_owned(),
        status,
    }
}

const SIGNALS: &str = "Resources: {A: {Type: 'Test::Thing', CreationPolicy: {ResourceSignal: {Count: 2, Timeout: PT5M}}}}";

#[tokio::test]
async fn signals_complete_a_resource() {
    let (cloud, _world) = cloud().await;
    let root = cloud.root();
    root.call(create("signals", SIGNALS)).await.unwrap();
    poll::until("the signal to be taken", || async {
        root.call(signal("A", "i-1", ResourceSignalStatus::Success)).await.ok()
    })
    .await;
    assert_eq!(stack(&root, "signals").await.unwrap().stack_status, StackStatus::CreateInProgress);
    root.call(signal("A", "i-1", ResourceSignalStatus::Success)).await.unwrap();
    root.call(signal("A", "i-2", ResourceSignalStatus::Success)).await.unwrap();
    reach(&root, "signals", StackStatus::CreateComplete).await;
    let told = told(&root, "signals").await;
    assert!(
        told.contains(
            &"A CREATE_IN_PROGRESS: Received SUCCESS signal with UniqueId i-2".to_owned()
        )
    );
    let late = root.call(signal("A", "i-3", ResourceSignalStatus::Success)).await.unwrap_err();
    assert_eq!(late.message, "Resource A is in CREATE_COMPLETE state and can not be signaled.");
}

#[tokio::test]
async fn failure_signals_and_silence_fail_a_resource() {
    let (cloud, _world) = cloud().await;
    let root = cloud.root();
    root.call(create("signals", SIGNALS)).await.unwrap();
    poll::until("the signal to be taken", || async {
        root.call(signal("A", "i-1", ResourceSignalStatus::Failure)).await.ok()
    })
    .await;
    let stack = reach(&root, "signals", StackStatus::RollbackComplete).await;
    root.call(delete("signals")).await.unwrap();
    reach(&root, &stack.stack_id.unwrap(), StackStatus::DeleteComplete).await;
    root.call(create("signals", SIGNALS)).await.unwrap();
    poll::until("A to wait", || async {
        let told = told(&root, "signals").await;
        told.iter().any(|line| line.contains("Initiated") && line.starts_with('A')).then_some(())
    })
    .await;
    cloud.advance(std::time::Duration::from_secs(301));
    reach(&root, "signals", StackStatus::RollbackComplete).await;
    let told = told(&root, "signals").await;
    let reason =
        "A CREATE_FAILED: Failed to receive 2 resource signal(s) within the specified duration";
    assert!(told.contains(&reason.to_owned()), "{told:#?}");
}

#[tokio::test]
async fn requests_that_cannot_be_are_refused() {
    let (cloud, world) = cloud().await;
    let root = cloud.root();
    let fault = |template: &str| {
        let (root, input) = (root.clone(), create("bad", template));
        async move { root.call(input).await.unwrap_err() }
    };
    let cases = [
        (
            "Resources: {A: {Type: 'AWS::Nope::Thing'}}",
            "Template format error: Unrecognized resource types: [AWS::Nope::Thing]",
        ),
        (
            "Resources: {A: {Type: 'Test::Thing', Properties: {Value: !GetAtt B.Arn}}}",
            "Template error: instance of Fn::GetAtt references undefined resource B",
        ),
        (
            "Resources: {A: {Type: 'Test::Thing', Properties: {Value: !GetAtt B.Nope}}, B: {Type: 'Test::Thing'}}",
            "Template error: resource B does not support attribute type Nope in Fn::GetAtt",
        ),
        (
            "Resources: {A: {Type: 'Test::Thing', DependsOn: B}, B: {Type: 'Test::Thing', DependsOn: A}}",
            "Circular dependency between resources: [A, B]",
        ),
        ("Resources: {A: {Type: 'AWS::IAM::Role'}}", "Requires capabilities : [CAPABILITY_IAM]"),
        (
            "Parameters: {P: {Type: String}}\nResources: {A: {Type: 'Test::Thing'}}",
            "Parameters: [P] must have values",
        ),
    ];
    for (template, expected) in cases {
        assert_eq!(fault(template).await.message, expected, "{template}");
    }
    assert_eq!(
        fault("Resources: {A: {Type: 'AWS::IAM::Role'}}").await.code,
        "InsufficientCapabilitiesException"
    );
    assert!(world.done().is_empty());
    assert!(stack(&root, "bad").await.is_none());
    // A property that the type does not have fails its resource by name, before anything is made.
    let wrong =
        "Resources: {A: {Type: 'Test::Thing', Properties: {Valeu: 1}}, B: {Type: 'Test::Thing'}}";
    root.call(create("bad", wrong)).await.unwrap();
    reach(&root, "bad", StackStatus::RollbackComplete).await;
    let told = told(&root, "bad").await;
    assert!(told.contains(
        &"A CREATE_FAILED: Properties validation failed for resource A with message:\n#: extraneous key [Valeu] is not permitted".to_owned()
    ), "{told:#?}");
    assert!(world.done().is_empty());
}

#[tokio::test]
async fn a_name_is_taken_once_and_a_token_repeats() {
    let (cloud, world) = cloud().await;
    let root = cloud.root();
    let mut input = create("chain", CHAIN);
    input.client_request_token = Some("token-1".to_owned());
    let first = root.call(input.clone()).await.unwrap().stack_id;
    let second = root.call(input).await.unwrap().stack_id;
    assert_eq!(first, second);
    let fault = root.call(create("chain", CHAIN)).await.unwrap_err();
    assert_eq!(
        (fault.code.as_str(), fault.message.as_str()),
        ("AlreadyExistsException", "Stack [chain] already exists")
    );
    reach(&root, "chain", StackStatus::CreateComplete).await;
    assert_eq!(world.values().len(), 3);
}

#[tokio::test]
async fn whoever_may_not_is_denied() {
    let (cloud, _world) = cloud().await;
    let root = cloud.root();
    created(&root, "chain", CHAIN).await;
    let nobody = cloud.nobody();
    let denied = nobody.call(create("mine", CHAIN)).await.unwrap_err();
    assert_eq!(denied.status, 403, "{denied}");
    assert!(nobody.call(delete("chain")).await.is_err());
    let reader = cloud.user(
        "reader",
        r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"cloudformation:DescribeStacks",
            "Resource":"arn:aws:cloudformation:ap-northeast-2:123456789012:stack/chain/*"}]}"#,
    );
    assert!(stack(&reader, "chain").await.is_some());
    assert!(reader.call(update("chain", CHAIN)).await.is_err());
}

/// A row of the service that owns `Test::Thing`.
#[derive(serde::Serialize, serde::Deserialize)]
struct Row;

impl store::Record for Row {
    type Key = String;

    fn key(&self) -> String {
        "row".to_owned()
    }
}

#[tokio::test]
async fn a_waiting_resource_is_looked_at_as_soon_as_its_service_writes() {
    let (cloud, world) = cloud().await;
    let root = cloud.root();
    world.hold("A");
    *world.pause.lock().unwrap() = Some(std::time::Duration::from_secs(3600));
    root.call(create("one", r#"Resources: {A: {Type: "Test::Thing"}}"#)).await.unwrap();
    poll::until("a look", || async { (*world.looks.lock().unwrap() > 0).then_some(()) }).await;
    world.release();
    // Between two looks by themselves are five seconds at most, which this is less than.
    let written = async {
        let rows: store::Table<Row> = store::Table::global("sqs.rows");
        cloud.kernel.store().write(|tx| tx.put(&rows, &Row)).await.unwrap();
        reach(&root, "one", StackStatus::CreateComplete).await;
    };
    tokio::time::timeout(std::time::Duration::from_secs(3), written).await.unwrap();
}
