//! Lifecycle rules, storage classes and the archive, on the manual clock.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::too_many_lines,
    reason = "a test ends at the first surprise"
)]

mod region;

use std::time::Duration;

use region::{Fixture, bytes_in, create, get, header, put, send, start, text, versioned};
use s3_api::{
    AbortIncompleteMultipartUpload, BucketLifecycleConfiguration, CreateMultipartUploadInput,
    DeleteBucketIntelligentTieringConfigurationInput, DeleteBucketLifecycleInput,
    DeleteObjectInput, ExpirationStatus, GetBucketIntelligentTieringConfigurationInput,
    GetBucketLifecycleConfigurationInput, GlacierJobParameters, IntelligentTieringAccessTier,
    IntelligentTieringConfiguration, IntelligentTieringStatus, LifecycleExpiration, LifecycleRule,
    LifecycleRuleAndOperator, LifecycleRuleFilter, ListBucketIntelligentTieringConfigurationsInput,
    ListMultipartUploadsInput, ListObjectVersionsInput, ListObjectsV2Input,
    NoncurrentVersionExpiration, NoncurrentVersionTransition, ObjectStorageClass,
    OptionalObjectAttributes, PutBucketIntelligentTieringConfigurationInput,
    PutBucketLifecycleConfigurationInput, PutObjectRetentionInput, RestoreObjectInput,
    RestoreRequest, Tag, Tier, Tiering, Transition, TransitionStorageClass,
};
use testkit::{Cloud, TestClient};

const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);

fn configure(rules: Vec<LifecycleRule>) -> PutBucketLifecycleConfigurationInput {
    PutBucketLifecycleConfigurationInput {
        bucket: "things".to_owned(),
        lifecycle_configuration: Some(BucketLifecycleConfiguration { rules }),
        ..Default::default()
    }
}

fn rule(id: &str) -> LifecycleRule {
    LifecycleRule {
        id: Some(id.to_owned()),
        status: ExpirationStatus::Enabled,
        filter: Some(LifecycleRuleFilter::default()),
        ..Default::default()
    }
}

fn expire(days: i32) -> Option<LifecycleExpiration> {
    Some(LifecycleExpiration { days: Some(days), ..Default::default() })
}

fn move_to(days: i32, class: TransitionStorageClass) -> Transition {
    Transition { days: Some(days), date: None, storage_class: Some(class) }
}

async fn classes(root: &TestClient) -> Vec<(String, ObjectStorageClass)> {
    let (mut found, mut token) = (Vec::new(), None);
    loop {
        let input = ListObjectsV2Input {
            bucket: "things".to_owned(),
            continuation_token: token,
            ..Default::default()
        };
        let page = root.call(input).await.unwrap();
        let rows = page.contents.into_iter();
        found.extend(rows.map(|o| (o.key.unwrap(), o.storage_class.unwrap())));
        token = page.next_continuation_token;
        if token.is_none() {
            return found;
        }
    }
}

async fn keys(root: &TestClient) -> Vec<String> {
    classes(root).await.into_iter().map(|(key, _)| key).collect()
}

/// Waits until the bucket has these keys.
async fn until_keys(root: &TestClient, want: &[&str]) {
    testkit::poll::until(&format!("the keys {want:?}"), || async {
        (keys(root).await == want).then_some(())
    })
    .await;
}

/// Lets the lifecycle's task note the day that it starts on.
async fn begin(cloud: &Cloud) {
    let runs = || async {
        let changed = cloud.kernel.store().read(|tx| tx.get(&RUNS, ()).map(|run| run.is_some()));
        changed.await.unwrap().then_some(())
    };
    testkit::poll::until("the lifecycle's task to run", runs).await;
}

#[derive(serde::Serialize, serde::Deserialize)]
struct Run {
    midnight: base::Timestamp,
}

impl store::Record for Run {
    type Key = ();

    fn key(&self) {}
}

const RUNS: store::Table<Run> = store::Table::global("s3.lifecycle-runs");

#[tokio::test]
async fn rules_come_back_as_they_were_set_and_bad_ones_are_refused() {
    let Fixture { cloud, folder: _folder } = start().await;
    let root = cloud.root();
    root.call(create("things")).await.unwrap();
    let ask =
        GetBucketLifecycleConfigurationInput { bucket: "things".to_owned(), ..Default::default() };
    let none = root.call(ask.clone()).await.unwrap_err();
    assert_eq!((none.code.as_str(), none.status), ("NoSuchLifecycleConfiguration", 404));
    let rules = vec![
        LifecycleRule { expiration: expire(400), ..rule("plain") },
        LifecycleRule {
            filter: None,
            prefix: Some("old/".to_owned()),
            transitions: vec![
                move_to(30, TransitionStorageClass::StandardIa),
                move_to(180, TransitionStorageClass::Glacier),
            ],
            ..rule("legacy prefix")
        },
        LifecycleRule {
            filter: Some(LifecycleRuleFilter {
                and: Some(LifecycleRuleAndOperator {
                    prefix: Some("logs/".to_owned()),
                    tags: vec![Tag { key: "a".to_owned(), value: "b".to_owned() }],
                    object_size_greater_than: Some(10),
                    object_size_less_than: Some(1000),
                }),
                ..Default::default()
            }),
            noncurrent_version_transitions: vec![NoncurrentVersionTransition {
                noncurrent_days: Some(30),
                storage_class: Some(TransitionStorageClass::OnezoneIa),
                newer_noncurrent_versions: None,
            }],
            noncurrent_version_expiration: Some(NoncurrentVersionExpiration {
                noncurrent_days: Some(60),
                newer_noncurrent_versions: Some(3),
            }),
            ..rule("and")
        },
        LifecycleRule {
            abort_incomplete_multipart_upload: Some(AbortIncompleteMultipartUpload {
                days_after_initiation: Some(7),
            }),
            expiration: Some(LifecycleExpiration {
                expired_object_delete_marker: Some(true),
                ..Default::default()
            }),
            ..rule("abort")
        },
    ];
    root.call(configure(rules.clone())).await.unwrap();
    assert_eq!(root.call(ask.clone()).await.unwrap().rules, rules);
    let named = || LifecycleRule { expiration: expire(1), ..rule("x") };
    let date = |time: &str| LifecycleExpiration { date: time.parse().ok(), ..Default::default() };
    for (rules, code) in [
        (vec![rule("nothing")], "InvalidRequest"),
        (vec![named(), named()], "InvalidArgument"),
        (vec![LifecycleRule { expiration: expire(0), ..rule("x") }], "InvalidArgument"),
        (vec![LifecycleRule { filter: None, ..named() }], "MalformedXML"),
        (vec![LifecycleRule { prefix: Some(String::new()), ..named() }], "MalformedXML"),
        (vec![LifecycleRule { id: Some("x".repeat(256)), ..named() }], "InvalidArgument"),
        (
            vec![LifecycleRule { expiration: Some(date("2030-01-01T01:00:00Z")), ..rule("x") }],
            "InvalidArgument",
        ),
        (
            vec![LifecycleRule {
                transitions: vec![move_to(29, TransitionStorageClass::StandardIa)],
                ..rule("x")
            }],
            "InvalidArgument",
        ),
        (
            vec![LifecycleRule {
                transitions: vec![move_to(30, TransitionStorageClass::Glacier)],
                ..LifecycleRule { expiration: expire(30), ..rule("x") }
            }],
            "InvalidRequest",
        ),
        (
            vec![LifecycleRule {
                transitions: vec![
                    move_to(30, TransitionStorageClass::StandardIa),
                    move_to(40, TransitionStorageClass::Glacier),
                ],
                ..rule("x")
            }],
            "InvalidRequest",
        ),
    ] {
        let error = root.call(configure(rules.clone())).await.unwrap_err();
        assert_eq!(error.code, code, "{rules:?}");
    }
    assert_eq!(root.call(ask.clone()).await.unwrap().rules, rules, "nothing changed");
    let end = DeleteBucketLifecycleInput { bucket: "things".to_owned(), ..Default::default() };
    root.call(end).await.unwrap();
    assert_eq!(root.call(ask).await.unwrap_err().code, "NoSuchLifecycleConfiguration");
}

#[tokio::test]
async fn objects_expire_at_the_midnight_behind_their_days() {
    let Fixture { cloud, folder: _folder } = start().await;
    let root = cloud.root();
    root.call(create("things")).await.unwrap();
    begin(&cloud).await;
    let tagged = LifecycleRuleFilter {
        tag: Some(Tag { key: "keep".to_owned(), value: "no".to_owned() }),
        ..Default::default()
    };
    let large = LifecycleRuleFilter { object_size_greater_than: Some(5), ..Default::default() };
    let rules = vec![
        LifecycleRule {
            filter: Some(LifecycleRuleFilter {
                prefix: Some("log/".to_owned()),
                ..Default::default()
            }),
            expiration: expire(3),
            ..rule("logs")
        },
        LifecycleRule { filter: Some(tagged), expiration: expire(10), ..rule("tagged") },
        LifecycleRule { filter: Some(large), expiration: expire(20), ..rule("large") },
        LifecycleRule { status: ExpirationStatus::Disabled, expiration: expire(1), ..rule("off") },
    ];
    root.call(configure(rules)).await.unwrap();
    let answer = send(&root, "PUT", "/things/log/a", &[], b"1").await;
    // The clock starts on 2026-09-21 at 14:13:20.
    let want = "expiry-date=\"Fri, 25 Sep 2026 00:00:00 GMT\", rule-id=\"logs\"";
    assert_eq!(header(&answer, "x-amz-expiration"), want);
    assert_eq!(
        header(&send(&root, "HEAD", "/things/log/a", &[], b"").await, "x-amz-expiration"),
        want
    );
    send(&root, "PUT", "/things/tagged", &[("x-amz-tagging", "keep=no")], b"1").await;
    put(&root, "/things/large", b"123456").await;
    put(&root, "/things/small", b"12345").await;
    cloud.advance(DAY * 3);
    put(&root, "/things/log/b", b"2").await;
    until_keys(&root, &["large", "log/a", "log/b", "small", "tagged"]).await;
    cloud.advance(HOUR * 12);
    until_keys(&root, &["large", "log/b", "small", "tagged"]).await;
    cloud.advance(DAY * 8);
    until_keys(&root, &["large", "small"]).await;
    cloud.advance(DAY * 10);
    until_keys(&root, &["small"]).await;
}

#[tokio::test]
async fn past_versions_and_lone_markers_go_and_locked_ones_stay() {
    let Fixture { cloud, folder: _folder } = start().await;
    let root = cloud.root();
    let bucket = s3_api::CreateBucketInput {
        object_lock_enabled_for_bucket: Some(true),
        ..create("things")
    };
    root.call(bucket).await.unwrap();
    begin(&cloud).await;
    let rules = vec![LifecycleRule {
        noncurrent_version_expiration: Some(NoncurrentVersionExpiration {
            noncurrent_days: Some(5),
            newer_noncurrent_versions: Some(1),
        }),
        expiration: Some(LifecycleExpiration {
            expired_object_delete_marker: Some(true),
            ..Default::default()
        }),
        ..rule("past")
    }];
    root.call(configure(rules)).await.unwrap();
    let locked = put(&root, "/things/a", b"1").await;
    let lock = PutObjectRetentionInput {
        bucket: "things".to_owned(),
        key: "a".to_owned(),
        version_id: Some(locked.clone()),
        retention: Some(s3_api::ObjectLockRetention {
            mode: Some(s3_api::ObjectLockRetentionMode::Compliance),
            retain_until_date: Some(testkit::START + DAY * 30),
            ..Default::default()
        }),
        ..Default::default()
    };
    root.call(lock).await.unwrap();
    for body in [b"2", b"3", b"4"] {
        put(&root, "/things/a", body).await;
    }
    let remove = |key: &str| DeleteObjectInput {
        bucket: "things".to_owned(),
        key: key.to_owned(),
        ..Default::default()
    };
    root.call(remove("never there")).await.unwrap();
    let list = || async {
        let input = ListObjectVersionsInput { bucket: "things".to_owned(), ..Default::default() };
        let listed = root.call(input).await.unwrap();
        let ids = listed.versions.into_iter().map(|v| v.version_id.unwrap());
        (ids.collect::<Vec<_>>(), listed.delete_markers.len())
    };
    assert_eq!((list().await.0.len(), list().await.1), (4, 1));
    // The newest past version is kept, the locked one cannot go, the one between them does.
    cloud.advance(DAY * 7);
    testkit::poll::until("the past version and the marker to go", || async {
        let (ids, markers) = list().await;
        (ids.len() == 3 && ids.contains(&locked) && markers == 0).then_some(())
    })
    .await;
    cloud.advance(DAY * 30);
    testkit::poll::until("the version to go after its lock", || async {
        (list().await.0.len() == 2).then_some(())
    })
    .await;
}

#[tokio::test]
async fn current_objects_of_versioned_buckets_get_delete_markers() {
    let Fixture { cloud, folder: _folder } = start().await;
    let root = cloud.root();
    versioned(&root, "things").await;
    begin(&cloud).await;
    root.call(configure(vec![LifecycleRule { expiration: expire(1), ..rule("x") }])).await.unwrap();
    let one = put(&root, "/things/a", b"1").await;
    cloud.advance(DAY * 2);
    until_keys(&root, &[]).await;
    assert_eq!(get(&root, &format!("/things/a?versionId={one}")).await.0, 200);
}

#[tokio::test]
async fn uploads_that_nobody_ends_are_aborted() {
    let Fixture { cloud, folder } = start().await;
    let root = cloud.root();
    root.call(create("things")).await.unwrap();
    begin(&cloud).await;
    let abort = AbortIncompleteMultipartUpload { days_after_initiation: Some(2) };
    let rules = vec![LifecycleRule { abort_incomplete_multipart_upload: Some(abort), ..rule("x") }];
    root.call(configure(rules)).await.unwrap();
    let begin = CreateMultipartUploadInput {
        bucket: "things".to_owned(),
        key: "big".to_owned(),
        ..Default::default()
    };
    let begun = root.call(begin).await.unwrap();
    assert_eq!(begun.abort_rule_id.as_deref(), Some("x"));
    let id = begun.upload_id.unwrap();
    let path = format!("/things/big?partNumber=1&uploadId={id}");
    assert_eq!(send(&root, "PUT", &path, &[], &[7; 100_000]).await.status(), 200);
    cloud.advance(DAY * 3);
    let list = ListMultipartUploadsInput { bucket: "things".to_owned(), ..Default::default() };
    testkit::poll::until("the upload to go", || async {
        root.call(list.clone()).await.unwrap().uploads.is_empty().then_some(())
    })
    .await;
    cloud.advance(HOUR);
    testkit::poll::until("its bytes to go", || async {
        (bytes_in(&folder.path().join("objects"), "tmp") == 0).then_some(())
    })
    .await;
}

/// Bytes that zstd cannot make smaller, each number's own.
fn noise(number: u64, size: usize) -> Vec<u8> {
    let mut state = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    (0..size.div_ceil(8)).flat_map(|_| next()).take(size).collect()
}

fn restore(key: &str, days: Option<i32>, tier: Tier) -> RestoreObjectInput {
    RestoreObjectInput {
        bucket: "things".to_owned(),
        key: key.to_owned(),
        restore_request: Some(RestoreRequest {
            days,
            glacier_job_parameters: days.map(|_| GlacierJobParameters { tier }),
            tier: days.is_none().then_some(tier),
            ..Default::default()
        }),
        ..Default::default()
    }
}

async fn until_restored(root: &TestClient, path: &str) -> http::Response<bytes::Bytes> {
    testkit::poll::until("the object to come back", || async {
        let answer = send(root, "GET", path, &[], b"").await;
        (answer.status() == 200).then_some(answer)
    })
    .await
}

#[tokio::test]
async fn archived_objects_are_read_after_they_are_restored() {
    let Fixture { cloud, folder } = start().await;
    let root = cloud.root();
    root.call(create("things")).await.unwrap();
    let body = noise(1, 300_000);
    let cold = [("x-amz-storage-class", "GLACIER"), ("x-amz-meta-a", "b")];
    let answer = send(&root, "PUT", "/things/cold", &cold, &body).await;
    assert_eq!(answer.status(), 200, "{}", text(&answer));
    send(&root, "PUT", "/things/tiny", &[("x-amz-storage-class", "DEEP_ARCHIVE")], b"tiny").await;
    let refused = send(&root, "GET", "/things/cold", &[], b"").await;
    assert_eq!(refused.status(), 403);
    assert!(text(&refused).contains("<Code>InvalidObjectState</Code>"), "{}", text(&refused));
    assert!(text(&refused).contains("<StorageClass>GLACIER</StorageClass>"));
    let head = send(&root, "HEAD", "/things/cold", &[], b"").await;
    assert_eq!(header(&head, "x-amz-storage-class"), "GLACIER");
    let copy = [("x-amz-copy-source", "things/cold")];
    assert_eq!(send(&root, "PUT", "/things/copy", &copy, b"").await.status(), 403);
    // The bytes leave the hot store.
    let objects = folder.path().join("objects");
    cloud.advance(HOUR);
    testkit::poll::until("the hot bytes to go", || async {
        (bytes_in(&objects, "archive") == 0).then_some(())
    })
    .await;
    assert!(bytes_in(&objects.join("archive"), "tmp") > 300_000);

    let hot = root.call(restore("cold", None, Tier::Standard)).await.unwrap_err();
    assert_eq!(hot.code, "MalformedXML");
    let fast = root.call(restore("tiny", Some(1), Tier::Expedited)).await.unwrap_err();
    assert_eq!(fast.code, "InvalidArgument");
    put(&root, "/things/warm", b"x").await;
    let warm = root.call(restore("warm", Some(1), Tier::Bulk)).await.unwrap_err();
    assert_eq!((warm.code.as_str(), warm.status), ("InvalidObjectState", 403));
    root.call(restore("cold", Some(2), Tier::Standard)).await.unwrap();
    root.call(restore("tiny", Some(2), Tier::Bulk)).await.unwrap();
    let twice = root.call(restore("cold", Some(2), Tier::Standard)).await.unwrap_err();
    assert_eq!((twice.code.as_str(), twice.status), ("RestoreAlreadyInProgress", 409));
    let head = send(&root, "HEAD", "/things/cold", &[], b"").await;
    assert_eq!(header(&head, "x-amz-restore"), "ongoing-request=\"true\"");
    cloud.advance(HOUR * 4);
    assert_eq!(get(&root, "/things/cold").await.0, 403);
    cloud.advance(HOUR);
    let back = until_restored(&root, "/things/cold").await;
    assert!(back.body().as_ref() == body);
    assert_eq!(header(&back, "x-amz-meta-a"), "b");
    let shown = header(&back, "x-amz-restore").to_owned();
    assert!(shown.starts_with("ongoing-request=\"false\", expiry-date=\""), "{shown}");
    let part = send(&root, "GET", "/things/cold", &[("range", "bytes=299990-")], b"").await;
    assert_eq!(part.body().as_ref(), &body[299_990..]);
    let listed = ListObjectsV2Input {
        bucket: "things".to_owned(),
        optional_object_attributes: vec![OptionalObjectAttributes::RestoreStatus],
        ..Default::default()
    };
    let listed = root.call(listed).await.unwrap().contents;
    let status = listed[0].restore_status.clone().unwrap();
    assert_eq!(status.is_restore_in_progress, Some(false));
    assert_eq!(get(&root, "/things/tiny").await.0, 403);
    // It may be copied while it is there, which is how its class is changed back.
    let copy = [("x-amz-copy-source", "things/cold"), ("x-amz-storage-class", "STANDARD")];
    let copied = send(&root, "PUT", "/things/copy", &copy, b"").await;
    assert_eq!(copied.status(), 200, "{}", text(&copied));
    cloud.advance(DAY * 4);
    testkit::poll::until("the copy to expire", || async {
        (get(&root, "/things/cold").await.0 == 403).then_some(())
    })
    .await;
    assert_eq!(get(&root, "/things/copy").await.0, 200);
    // A pack goes with the last object in it.
    for key in ["cold", "tiny"] {
        let remove = DeleteObjectInput {
            bucket: "things".to_owned(),
            key: key.to_owned(),
            ..Default::default()
        };
        root.call(remove).await.unwrap();
    }
    testkit::poll::until("the pack to be given up", || async {
        cloud.advance(HOUR);
        (bytes_in(&objects.join("archive"), "tmp") == 0).then_some(())
    })
    .await;
}

#[tokio::test]
async fn small_objects_are_moved_only_where_a_rule_says_so() {
    let Fixture { cloud, folder: _folder } = start().await;
    let root = cloud.root();
    root.call(create("things")).await.unwrap();
    begin(&cloud).await;
    put(&root, "/things/any/small", &noise(1, 1000)).await;
    put(&root, "/things/any/large", &noise(2, 200_000)).await;
    put(&root, "/things/sized/small", &noise(3, 1000)).await;
    let under = |prefix: &str, larger: Option<i64>| LifecycleRuleFilter {
        and: Some(LifecycleRuleAndOperator {
            prefix: Some(prefix.to_owned()),
            object_size_greater_than: larger,
            ..Default::default()
        }),
        ..Default::default()
    };
    let to_glacier = vec![move_to(10, TransitionStorageClass::Glacier)];
    let rules = vec![
        LifecycleRule {
            filter: Some(under("any/", None)),
            transitions: to_glacier.clone(),
            ..rule("any")
        },
        LifecycleRule {
            filter: Some(under("sized/", Some(10))),
            transitions: to_glacier,
            ..rule("sized")
        },
    ];
    root.call(configure(rules)).await.unwrap();
    cloud.advance(DAY * 12);
    let want = [
        ("any/large".to_owned(), ObjectStorageClass::Glacier),
        ("any/small".to_owned(), ObjectStorageClass::Standard),
        ("sized/small".to_owned(), ObjectStorageClass::Glacier),
    ];
    testkit::poll::until("the objects to move", || async {
        (classes(&root).await == want).then_some(())
    })
    .await;
}

fn deep_after_half_a_year() -> PutBucketIntelligentTieringConfigurationInput {
    PutBucketIntelligentTieringConfigurationInput {
        bucket: "things".to_owned(),
        id: "deep".to_owned(),
        intelligent_tiering_configuration: IntelligentTieringConfiguration {
            id: "deep".to_owned(),
            status: IntelligentTieringStatus::Enabled,
            tierings: vec![Tiering {
                days: 180,
                access_tier: IntelligentTieringAccessTier::DeepArchiveAccess,
            }],
            filter: None,
        },
        ..Default::default()
    }
}

#[tokio::test]
async fn archive_tiers_are_set_listed_and_taken_away() {
    let Fixture { cloud, folder: _folder } = start().await;
    let root = cloud.root();
    root.call(create("things")).await.unwrap();
    let ask = GetBucketIntelligentTieringConfigurationInput {
        bucket: "things".to_owned(),
        id: "deep".to_owned(),
        ..Default::default()
    };
    assert_eq!(root.call(ask.clone()).await.unwrap_err().code, "NoSuchConfiguration");
    root.call(deep_after_half_a_year()).await.unwrap();
    let told = root.call(ask).await.unwrap().intelligent_tiering_configuration.unwrap();
    assert_eq!(told, deep_after_half_a_year().intelligent_tiering_configuration);
    let mut early = deep_after_half_a_year();
    early.intelligent_tiering_configuration.tierings[0].days = 179;
    assert_eq!(root.call(early).await.unwrap_err().code, "InvalidArgument");
    let list = ListBucketIntelligentTieringConfigurationsInput {
        bucket: "things".to_owned(),
        ..Default::default()
    };
    let listed = root.call(list).await.unwrap();
    assert_eq!(listed.intelligent_tiering_configuration_list.len(), 1);
    let end = DeleteBucketIntelligentTieringConfigurationInput {
        bucket: "things".to_owned(),
        id: "deep".to_owned(),
        ..Default::default()
    };
    root.call(end.clone()).await.unwrap();
    assert_eq!(root.call(end).await.unwrap_err().code, "NoSuchConfiguration");
}

/// Objects that were not used for half a year are archived: by their use in the one bucket, by
/// their age in the other.
#[tokio::test]
async fn what_was_not_used_for_half_a_year_is_archived() {
    const COUNT: usize = 300;
    const SIZE: usize = 128 * 1024;
    let Fixture { cloud, folder } = start().await;
    let root = cloud.root();
    root.call(create("things")).await.unwrap();
    root.call(create("by-age")).await.unwrap();
    begin(&cloud).await;
    root.call(deep_after_half_a_year()).await.unwrap();
    let by_age = LifecycleRule {
        transitions: vec![move_to(180, TransitionStorageClass::Glacier)],
        ..rule("age")
    };
    let by_age = PutBucketLifecycleConfigurationInput {
        bucket: "by-age".to_owned(),
        ..configure(vec![by_age])
    };
    root.call(by_age).await.unwrap();
    let tiered = [("x-amz-storage-class", "INTELLIGENT_TIERING")];
    let body = |number: usize| noise(u64::try_from(number).unwrap(), SIZE);
    for number in 0..COUNT {
        let path = format!("/things/{number:04}");
        assert_eq!(send(&root, "PUT", &path, &tiered, &body(number)).await.status(), 200);
        if number % 10 == 0 {
            put(&root, &format!("/by-age/{number:04}"), &body(number)).await;
        }
    }
    cloud.advance(DAY * 100);
    for number in (0..COUNT).step_by(2) {
        let answer = send(&root, "GET", &format!("/things/{number:04}"), &[], b"").await;
        assert_eq!(answer.status(), 200);
    }
    let objects = folder.path().join("objects");
    let before = bytes_in(&objects, "archive");
    // Day 181, and an hour for bytes that nobody needs any more.
    cloud.advance(DAY * 81);
    let archived = (COUNT / 2 + COUNT / 10) as u64 * SIZE as u64;
    for tenth in 1..=10 {
        let want = archived / 10 * tenth;
        testkit::poll::until("packs to be written", || async {
            (bytes_in(&objects.join("archive"), "none") >= want).then_some(())
        })
        .await;
    }
    testkit::poll::until("the archived bytes to leave the hot store", || async {
        cloud.advance(Duration::from_secs(301));
        let gone = before.saturating_sub(bytes_in(&objects, "archive"));
        (gone.abs_diff(archived) * 100 < archived).then_some(())
    })
    .await;
    for number in 0..20 {
        let head = send(&root, "HEAD", &format!("/things/{number:04}"), &[], b"").await;
        let want = if number % 2 == 0 { "" } else { "DEEP_ARCHIVE_ACCESS" };
        assert_eq!(header(&head, "x-amz-archive-status"), want, "{number}");
        let status = get(&root, &format!("/things/{number:04}")).await.0;
        assert_eq!(status, if number % 2 == 0 { 200 } else { 403 }, "{number}");
    }
    assert_eq!(get(&root, "/by-age/0000").await.0, 403);
    root.call(restore("0001", None, Tier::Standard)).await.unwrap();
    let mut aged = restore("0010", Some(3), Tier::Standard);
    aged.bucket = "by-age".to_owned();
    root.call(aged).await.unwrap();
    cloud.advance(HOUR * 12);
    let back = until_restored(&root, "/things/0001").await;
    assert!(back.body().as_ref() == body(1));
    assert!(until_restored(&root, "/by-age/0010").await.body().as_ref() == body(10));
    let head = send(&root, "HEAD", "/things/0001", &[], b"").await;
    assert_eq!(header(&head, "x-amz-archive-status"), "", "it is back for good");
}

#[tokio::test]
async fn nobody_may_do_anything_with_lifecycles_and_tiers() {
    let Fixture { cloud, folder: _folder } = start().await;
    let root = cloud.root();
    root.call(create("things")).await.unwrap();
    put(&root, "/things/a", b"1").await;
    let nobody = cloud.nobody();
    let rules = "<LifecycleConfiguration><Rule><ID>x</ID><Status>Enabled</Status><Filter/>\
                 <Expiration><Days>1</Days></Expiration></Rule></LifecycleConfiguration>";
    let tiers = "<IntelligentTieringConfiguration><Id>x</Id><Status>Enabled</Status><Tiering>\
                 <Days>90</Days><AccessTier>ARCHIVE_ACCESS</AccessTier></Tiering>\
                 </IntelligentTieringConfiguration>";
    for (method, path, body) in [
        ("GET", "/things?lifecycle", ""),
        ("PUT", "/things?lifecycle", rules),
        ("DELETE", "/things?lifecycle", ""),
        ("GET", "/things?intelligent-tiering&id=x", ""),
        ("GET", "/things?intelligent-tiering", ""),
        ("PUT", "/things?intelligent-tiering&id=x", tiers),
        ("DELETE", "/things?intelligent-tiering&id=x", ""),
        ("POST", "/things/a?restore", "<RestoreRequest><Days>1</Days></RestoreRequest>"),
    ] {
        let answer = send(&nobody, method, path, &[], body.as_bytes()).await;
        let found = (answer.status().as_u16(), text(&answer).contains("<Code>AccessDenied</Code>"));
        assert_eq!(found, (403, true), "{method} {path}: {}", text(&answer));
    }
}
