//! A region that dies again and again while it works on stacks.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test says what holds")]

mod world;

use std::sync::Arc;

use cloudformation_api::StackStatus;
use testkit::{Cloud, poll};
use world::*;

/// Twelve things in four layers.
fn template(value: &str) -> String {
    let mut text = "Resources:\n".to_owned();
    for layer in 0..4 {
        for column in 0..3 {
            let needs = if layer == 0 {
                "[]".to_owned()
            } else {
                format!("[R{}{column}, R{}{}]", layer - 1, layer - 1, (column + 1) % 3)
            };
            text.push_str(&format!(
                "  R{layer}{column}: {{Type: 'Test::Thing', DependsOn: {needs}, Properties: {{Value: {value}}}}}\n"
            ));
        }
    }
    text
}

/// Restarts the region each time `steps` more things have been done, until the stack's status no
/// longer says that something is in progress.
async fn die_often(
    mut cloud: Cloud,
    world: &Arc<World>,
    id: &str,
    steps: usize,
) -> (Cloud, StackStatus) {
    for _ in 0..200 {
        let start = world.done.lock().unwrap().len();
        let root = cloud.root();
        let ended = poll::until("some steps", || async {
            let found = stack(&root, id).await?;
            if !found.stack_status.as_str().ends_with("_IN_PROGRESS") {
                return Some(Some(found.stack_status));
            }
            (world.done.lock().unwrap().len() >= start + steps).then_some(None)
        })
        .await;
        if let Some(status) = ended {
            return (cloud, status);
        }
        cloud = cloud.restart(services(world)).await;
    }
    panic!("the stack never ended");
}

#[tokio::test]
async fn stacks_survive_a_region_that_dies_at_every_step() {
    for steps in [1, 2, 5] {
        let (cloud, world) = cloud().await;
        let input = create("s", &template("one"));
        let id = cloud.root().call(input).await.unwrap().stack_id.unwrap();
        let (cloud, status) = die_often(cloud, &world, &id, steps).await;
        assert_eq!(status, StackStatus::CreateComplete);
        assert_eq!(world.values().len(), 12, "each was made once");

        cloud.root().call(update("s", &template("two"))).await.unwrap();
        let (cloud, status) = die_often(cloud, &world, &id, steps).await;
        assert_eq!(status, StackStatus::UpdateComplete);
        assert!(world.values().iter().all(|line| line.ends_with("two")));

        world.fail("update R30");
        cloud.root().call(update("s", &template("three"))).await.unwrap();
        // The way back of R30 fails as its way there did; then it is mended.
        let (cloud, status) = die_often(cloud, &world, &id, steps).await;
        assert_eq!(status, StackStatus::UpdateRollbackFailed);
        world.mend();
        let input = cloudformation_api::ContinueUpdateRollbackInput {
            stack_name: "s".to_owned(),
            ..Default::default()
        };
        cloud.root().call(input).await.unwrap();
        let (cloud, status) = die_often(cloud, &world, &id, steps).await;
        assert_eq!(status, StackStatus::UpdateRollbackComplete);
        assert!(world.values().iter().all(|line| line.ends_with("two")), "{:?}", world.values());

        cloud.root().call(delete("s")).await.unwrap();
        let (_cloud, status) = die_often(cloud, &world, &id, steps).await;
        assert_eq!(status, StackStatus::DeleteComplete);
        assert!(world.values().is_empty());
    }
}

#[tokio::test]
async fn a_creation_that_fails_leaves_nothing_although_the_region_dies() {
    let (cloud, world) = cloud().await;
    world.fail("create R31");
    let input = create("s", &template("one"));
    let id = cloud.root().call(input).await.unwrap().stack_id.unwrap();
    let (_cloud, status) = die_often(cloud, &world, &id, 2).await;
    assert_eq!(status, StackStatus::RollbackComplete);
    assert!(world.values().is_empty());
}
