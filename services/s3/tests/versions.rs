//! Versions, delete markers and locks over HTTP.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::too_many_lines,
    reason = "a test ends at the first surprise"
)]

mod region;

use region::{Fixture, create, get, header, put, send, start, text, versioned, versioning};
use s3_api::{
    BucketVersioningStatus, CopyObjectInput, CreateBucketInput, DefaultRetention, Delete,
    DeleteBucketInput, DeleteObjectInput, DeleteObjectTaggingInput, DeleteObjectsInput,
    GetBucketVersioningInput, GetObjectAttributesInput, GetObjectLegalHoldInput,
    GetObjectLockConfigurationInput, GetObjectRetentionInput, GetObjectTaggingInput,
    HeadObjectInput, ListObjectVersionsInput, ListObjectsV2Input, ObjectAttributes,
    ObjectIdentifier, ObjectLockConfiguration, ObjectLockEnabled, ObjectLockLegalHold,
    ObjectLockLegalHoldStatus, ObjectLockRetention, ObjectLockRetentionMode, ObjectLockRule,
    PutObjectLegalHoldInput, PutObjectLockConfigurationInput, PutObjectRetentionInput,
    PutObjectTaggingInput, Tag, Tagging,
};
use testkit::TestClient;

const DAY: std::time::Duration = std::time::Duration::from_secs(86_400);

fn delete(key: &str, version: Option<&str>) -> DeleteObjectInput {
    DeleteObjectInput {
        bucket: "things".to_owned(),
        key: key.to_owned(),
        version_id: version.map(str::to_owned),
        ..Default::default()
    }
}

async fn versions(root: &TestClient) -> Vec<(String, String, bool, bool)> {
    let input = ListObjectVersionsInput { bucket: "things".to_owned(), ..Default::default() };
    let listed = root.call(input).await.unwrap();
    let mut found: Vec<_> = listed
        .versions
        .into_iter()
        .map(|v| (v.key.unwrap(), v.version_id.unwrap(), v.is_latest.unwrap(), false))
        .collect();
    found.extend(
        listed
            .delete_markers
            .into_iter()
            .map(|v| (v.key.unwrap(), v.version_id.unwrap(), v.is_latest.unwrap(), true)),
    );
    found
}

async fn keys(root: &TestClient) -> Vec<String> {
    let input = ListObjectsV2Input { bucket: "things".to_owned(), ..Default::default() };
    let listed = root.call(input).await.unwrap();
    listed.contents.into_iter().filter_map(|object| object.key).collect()
}

#[tokio::test]
async fn each_write_makes_a_version_that_stays_until_it_is_destroyed() {
    let Fixture { cloud, folder: _folder } = start().await;
    let root = cloud.root();
    root.call(create("things")).await.unwrap();
    let ask = GetBucketVersioningInput { bucket: "things".to_owned(), ..Default::default() };
    assert_eq!(root.call(ask.clone()).await.unwrap().status, None);
    assert_eq!(put(&root, "/things/a", b"zero").await, "");
    root.call(versioning("things", BucketVersioningStatus::Enabled)).await.unwrap();
    assert_eq!(root.call(ask).await.unwrap().status, Some(BucketVersioningStatus::Enabled));
    let one = put(&root, "/things/a", b"one").await;
    let two = put(&root, "/things/a", b"two").await;
    assert!(one != two && one.len() == 32, "{one} {two}");
    assert_eq!(get(&root, "/things/a").await, (200, "two".to_owned()));
    assert_eq!(get(&root, &format!("/things/a?versionId={one}")).await, (200, "one".to_owned()));
    assert_eq!(get(&root, "/things/a?versionId=null").await, (200, "zero".to_owned()));
    let bad = send(&root, "GET", "/things/a?versionId=nonsense", &[], b"").await;
    assert_eq!(bad.status(), 400, "{}", text(&bad));
    let head = send(&root, "HEAD", "/things/a?versionId=null", &[], b"").await;
    assert_eq!(header(&head, "x-amz-version-id"), "null");

    let deleted = root.call(delete("a", None)).await.unwrap();
    let marker = deleted.version_id.unwrap();
    assert_eq!(deleted.delete_marker, Some(true));
    let gone = send(&root, "GET", "/things/a", &[], b"").await;
    assert_eq!((gone.status().as_u16(), header(&gone, "x-amz-delete-marker")), (404, "true"));
    assert_eq!(header(&gone, "x-amz-version-id"), marker);
    assert!(text(&gone).contains("<Code>NoSuchKey</Code>"), "{}", text(&gone));
    assert!(keys(&root).await.is_empty());
    let not = send(&root, "GET", &format!("/things/a?versionId={marker}"), &[], b"").await;
    assert_eq!((not.status().as_u16(), header(&not, "x-amz-delete-marker")), (405, "true"));
    assert_eq!(header(&not, "allow"), "DELETE");
    let found = versions(&root).await;
    assert_eq!(found.len(), 4);
    assert_eq!(found[0], ("a".to_owned(), two.clone(), false, false));
    assert_eq!(found[3], ("a".to_owned(), marker.clone(), true, true));
    let full = DeleteBucketInput { bucket: "things".to_owned(), expected_bucket_owner: None };
    assert_eq!(root.call(full.clone()).await.unwrap_err().code, "BucketNotEmpty");

    // Removing the marker brings the object back; removing the newest version the one before it.
    let undeleted = root.call(delete("a", Some(&marker))).await.unwrap();
    assert_eq!((undeleted.delete_marker, undeleted.version_id), (Some(true), Some(marker)));
    assert_eq!(get(&root, "/things/a").await.1, "two");
    root.call(delete("a", Some(&two))).await.unwrap();
    assert_eq!(get(&root, "/things/a").await.1, "one");
    let again = root.call(delete("a", Some(&two))).await.unwrap();
    assert_eq!((again.delete_marker, again.version_id), (None, Some(two.clone())));
    let missing = send(&root, "GET", &format!("/things/a?versionId={two}"), &[], b"").await;
    assert!(text(&missing).contains("<Code>NoSuchVersion</Code>"), "{}", text(&missing));
    root.call(delete("a", Some(&one))).await.unwrap();
    assert_eq!(get(&root, "/things/a").await.1, "zero");
    root.call(delete("a", Some("null"))).await.unwrap();
    assert!(versions(&root).await.is_empty());
    root.call(full).await.unwrap();
}

#[tokio::test]
async fn suspending_keeps_versions_and_replaces_the_null_version() {
    let Fixture { cloud, folder: _folder } = start().await;
    let root = cloud.root();
    versioned(&root, "things").await;
    let one = put(&root, "/things/a", b"one").await;
    root.call(versioning("things", BucketVersioningStatus::Suspended)).await.unwrap();
    assert_eq!(put(&root, "/things/a", b"null one").await, "");
    put(&root, "/things/a", b"null two").await;
    assert_eq!(get(&root, "/things/a").await.1, "null two");
    assert_eq!(versions(&root).await.len(), 2);
    let deleted = root.call(delete("a", None)).await.unwrap();
    assert_eq!(deleted.version_id.as_deref(), Some("null"));
    let found = versions(&root).await;
    let want =
        [("a".to_owned(), one.clone(), false, false), ("a".into(), "null".into(), true, true)];
    assert_eq!(found, want);
    // A null version among the past ones is replaced as well.
    root.call(versioning("things", BucketVersioningStatus::Enabled)).await.unwrap();
    let three = put(&root, "/things/a", b"three").await;
    assert_eq!(versions(&root).await.len(), 3);
    root.call(versioning("things", BucketVersioningStatus::Suspended)).await.unwrap();
    put(&root, "/things/a", b"null three").await;
    let found = versions(&root).await;
    let ids: Vec<&str> = found.iter().map(|(_, id, ..)| id.as_str()).collect();
    assert_eq!(ids, ["null", three.as_str(), one.as_str()]);
}

#[tokio::test]
async fn versions_are_listed_in_pages_of_any_size() {
    let Fixture { cloud, folder: _folder } = start().await;
    let root = cloud.root();
    versioned(&root, "things").await;
    for key in ["a", "b/1", "b/2", "c", "c+d", "e/1"] {
        for body in ["1", "2", "3"] {
            put(&root, &format!("/things/{key}"), body.as_bytes()).await;
        }
    }
    root.call(delete("c", None)).await.unwrap();
    for (prefix, delimiter, want) in [
        (None, None, 19),
        (None, Some("/"), 12),
        (Some("b/"), Some("/"), 6),
        (Some("c"), None, 7),
        (Some("zz"), None, 0),
    ] {
        for size in [1, 2, 3, 5, 1000] {
            let (mut seen, mut key_marker, mut version_marker) = (Vec::new(), None, None);
            loop {
                let input = ListObjectVersionsInput {
                    bucket: "things".to_owned(),
                    prefix: prefix.map(str::to_owned),
                    delimiter: delimiter.map(str::to_owned),
                    key_marker,
                    version_id_marker: version_marker,
                    max_keys: Some(size),
                    ..Default::default()
                };
                let page = root.call(input).await.unwrap();
                let mut rows: Vec<(String, String, bool)> = page
                    .versions
                    .iter()
                    .map(|v| (v.key.clone(), v.version_id.clone(), v.is_latest))
                    .chain(
                        page.delete_markers
                            .iter()
                            .map(|v| (v.key.clone(), v.version_id.clone(), v.is_latest)),
                    )
                    .map(|(key, id, latest)| (key.unwrap(), id.unwrap(), latest.unwrap()))
                    .collect();
                rows.extend(
                    page.common_prefixes
                        .iter()
                        .map(|p| (p.prefix.clone().unwrap(), String::new(), true)),
                );
                assert!(rows.len() <= usize::try_from(size).unwrap());
                seen.extend(rows);
                if page.is_truncated != Some(true) {
                    break;
                }
                (key_marker, version_marker) = (page.next_key_marker, page.next_version_id_marker);
            }
            let mut unique = seen.clone();
            unique.sort();
            unique.dedup();
            assert_eq!((seen.len(), unique.len()), (want, want), "{prefix:?} {delimiter:?} {size}");
            let mut latest: Vec<&String> = seen
                .iter()
                .filter(|(_, id, latest)| *latest && !id.is_empty())
                .map(|s| &s.0)
                .collect();
            latest.sort();
            latest.dedup();
            let newest = seen.iter().filter(|(_, id, latest)| *latest && !id.is_empty()).count();
            assert_eq!(latest.len(), newest, "one latest a key");
        }
    }
    let bad = ListObjectVersionsInput {
        bucket: "things".to_owned(),
        version_id_marker: Some("null".to_owned()),
        ..Default::default()
    };
    assert_eq!(root.call(bad).await.unwrap_err().code, "InvalidArgument");
}

#[tokio::test]
async fn versions_have_their_own_tags_attributes_and_copies() {
    let Fixture { cloud, folder: _folder } = start().await;
    let root = cloud.root();
    versioned(&root, "things").await;
    let one = put(&root, "/things/a", b"one").await;
    let two = put(&root, "/things/a", b"three").await;
    let tag = PutObjectTaggingInput {
        bucket: "things".to_owned(),
        key: "a".to_owned(),
        version_id: Some(one.clone()),
        tagging: Tagging { tag_set: vec![Tag { key: "k".to_owned(), value: "v".to_owned() }] },
        ..Default::default()
    };
    assert_eq!(root.call(tag).await.unwrap().version_id.as_ref(), Some(&one));
    let tags = |version: Option<String>| GetObjectTaggingInput {
        bucket: "things".to_owned(),
        key: "a".to_owned(),
        version_id: version,
        ..Default::default()
    };
    assert_eq!(root.call(tags(Some(one.clone()))).await.unwrap().tag_set.len(), 1);
    let current = root.call(tags(None)).await.unwrap();
    assert_eq!((current.tag_set.len(), current.version_id), (0, Some(two.clone())));
    let untag = DeleteObjectTaggingInput {
        bucket: "things".to_owned(),
        key: "a".to_owned(),
        version_id: Some(one.clone()),
        ..Default::default()
    };
    root.call(untag).await.unwrap();
    assert_eq!(root.call(tags(Some(one.clone()))).await.unwrap().tag_set.len(), 0);
    let attributes = GetObjectAttributesInput {
        bucket: "things".to_owned(),
        key: "a".to_owned(),
        version_id: Some(one.clone()),
        object_attributes: vec![ObjectAttributes::ObjectSize],
        ..Default::default()
    };
    let told = root.call(attributes).await.unwrap();
    assert_eq!((told.object_size, told.version_id), (Some(3), Some(one.clone())));
    let copy = |source: String| CopyObjectInput {
        bucket: "things".to_owned(),
        key: "a".to_owned(),
        copy_source: source,
        ..Default::default()
    };
    let copied = root.call(copy(format!("things/a?versionId={one}"))).await.unwrap();
    assert_eq!(copied.copy_source_version_id.as_ref(), Some(&one));
    assert!(copied.version_id.is_some_and(|id| id != one && id != two));
    assert_eq!(get(&root, "/things/a").await.1, "one");
    let marker = root.call(delete("a", None)).await.unwrap().version_id.unwrap();
    let refused = root.call(copy(format!("things/a?versionId={marker}"))).await.unwrap_err();
    assert_eq!(refused.code, "InvalidRequest");
    assert_eq!(root.call(copy("things/a".to_owned())).await.unwrap_err().status, 404);
}

#[tokio::test]
async fn many_are_deleted_at_once_with_their_versions() {
    let Fixture { cloud, folder: _folder } = start().await;
    let root = cloud.root();
    versioned(&root, "things").await;
    let one = put(&root, "/things/a", b"one").await;
    put(&root, "/things/b", b"two").await;
    let pick = |key: &str, version: Option<&str>| ObjectIdentifier {
        key: key.to_owned(),
        version_id: version.map(str::to_owned),
        ..Default::default()
    };
    let remove = |objects| DeleteObjectsInput {
        bucket: "things".to_owned(),
        delete: Delete { objects, quiet: None },
        ..Default::default()
    };
    let objects = vec![pick("a", Some(&one)), pick("b", None), pick("c", None)];
    let deleted = root.call(remove(objects)).await.unwrap().deleted;
    assert_eq!(deleted[0].version_id.as_ref(), Some(&one));
    assert_eq!(deleted[0].delete_marker, None);
    let markers: Vec<_> =
        deleted[1..].iter().map(|d| d.delete_marker_version_id.clone().unwrap()).collect();
    assert_eq!(deleted[1].delete_marker, Some(true));
    assert_eq!(versions(&root).await.len(), 3);
    let objects = vec![pick("b", Some(&markers[0])), pick("c", Some(&markers[1]))];
    let undone = root.call(remove(objects)).await.unwrap().deleted;
    assert_eq!(undone[0].delete_marker, Some(true));
    assert_eq!(undone[0].delete_marker_version_id, undone[0].version_id);
    assert_eq!(keys(&root).await, ["b"]);
}

#[tokio::test]
async fn conditions_look_at_the_current_version() {
    let Fixture { cloud, folder: _folder } = start().await;
    let root = cloud.root();
    versioned(&root, "things").await;
    let only_new = [("if-none-match", "*")];
    assert_eq!(send(&root, "PUT", "/things/a", &only_new, b"1").await.status(), 200);
    assert_eq!(send(&root, "PUT", "/things/a", &only_new, b"2").await.status(), 412);
    root.call(delete("a", None)).await.unwrap();
    // A delete marker is no object.
    let put = send(&root, "PUT", "/things/a", &only_new, b"3").await;
    assert_eq!(put.status(), 200, "{}", text(&put));
    let etag = header(&put, "etag").to_owned();
    let wrong = [("if-match", "\"0\"")];
    assert_eq!(send(&root, "PUT", "/things/a", &wrong, b"4").await.status(), 412);
    assert_eq!(send(&root, "DELETE", "/things/a", &wrong, b"").await.status(), 412);
    assert_eq!(send(&root, "PUT", "/things/none", &wrong, b"4").await.status(), 404);
    let right = [("if-match", etag.as_str())];
    assert_eq!(send(&root, "DELETE", "/things/a", &right, b"").await.status(), 204);
}

#[tokio::test]
async fn versions_are_guarded_by_actions_of_their_own() {
    let Fixture { cloud, folder: _folder } = start().await;
    let root = cloud.root();
    versioned(&root, "things").await;
    let one = put(&root, "/things/a", b"one").await;
    let plain = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":
        ["s3:GetObject","s3:DeleteObject","s3:GetObjectTagging"],"Resource":"*"}]}"#;
    let reader = cloud.user("reader", plain);
    assert_eq!(get(&reader, "/things/a").await.0, 200);
    assert_eq!(get(&reader, &format!("/things/a?versionId={one}")).await.0, 403);
    assert_eq!(get(&reader, &format!("/things/a?tagging&versionId={one}")).await.0, 403);
    assert_eq!(reader.call(delete("a", Some(&one))).await.unwrap_err().code, "AccessDenied");
    reader.call(delete("a", None)).await.unwrap();
    let other = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":
        ["s3:GetObjectVersion"],"Resource":"*"}]}"#;
    let other = cloud.user("historian", other);
    assert_eq!(get(&other, &format!("/things/a?versionId={one}")).await.0, 200);
    assert_eq!(get(&other, "/things/a").await.0, 403);
}

// Locks.

async fn locking() -> (Fixture, TestClient) {
    let fixture = start().await;
    let root = fixture.cloud.root();
    let bucket =
        CreateBucketInput { object_lock_enabled_for_bucket: Some(true), ..create("things") };
    root.call(bucket).await.unwrap();
    (fixture, root)
}

fn retain(
    version: &str,
    mode: Option<ObjectLockRetentionMode>,
    until: Option<base::Timestamp>,
    bypass: bool,
) -> PutObjectRetentionInput {
    PutObjectRetentionInput {
        bucket: "things".to_owned(),
        key: "a".to_owned(),
        version_id: Some(version.to_owned()),
        retention: Some(ObjectLockRetention {
            mode,
            retain_until_date: until,
            ..Default::default()
        }),
        bypass_governance_retention: bypass.then_some(true),
        ..Default::default()
    }
}

fn hold(version: &str, status: ObjectLockLegalHoldStatus) -> PutObjectLegalHoldInput {
    PutObjectLegalHoldInput {
        bucket: "things".to_owned(),
        key: "a".to_owned(),
        version_id: Some(version.to_owned()),
        legal_hold: Some(ObjectLockLegalHold { status: Some(status) }),
        ..Default::default()
    }
}

fn bypassing(version: &str) -> DeleteObjectInput {
    DeleteObjectInput { bypass_governance_retention: Some(true), ..delete("a", Some(version)) }
}

#[tokio::test]
async fn compliance_holds_against_everyone_until_its_time() {
    let (Fixture { cloud, folder: _folder }, root) = locking().await;
    let one = put(&root, "/things/a", b"one").await;
    let until = testkit::START + DAY * 10;
    let compliance = Some(ObjectLockRetentionMode::Compliance);
    root.call(retain(&one, compliance, Some(until), false)).await.unwrap();
    let ask = GetObjectRetentionInput {
        bucket: "things".to_owned(),
        key: "a".to_owned(),
        ..Default::default()
    };
    let told = root.call(ask).await.unwrap().retention.unwrap();
    assert_eq!((told.mode, told.retain_until_date), (compliance, Some(until)));
    let head = send(&root, "HEAD", "/things/a", &[], b"").await;
    assert_eq!(header(&head, "x-amz-object-lock-mode"), "COMPLIANCE");

    let denied = |error: kernel::ServiceError| {
        assert_eq!((error.code.as_str(), error.status), ("AccessDenied", 403), "{error:?}");
    };
    // By its version, with and without the permission to go past governance.
    denied(root.call(delete("a", Some(&one))).await.unwrap_err());
    denied(root.call(bypassing(&one)).await.unwrap_err());
    // Among many.
    let many = DeleteObjectsInput {
        bucket: "things".to_owned(),
        delete: Delete {
            objects: vec![ObjectIdentifier {
                key: "a".to_owned(),
                version_id: Some(one.clone()),
                ..Default::default()
            }],
            quiet: None,
        },
        bypass_governance_retention: Some(true),
        ..Default::default()
    };
    let errors = root.call(many).await.unwrap().errors;
    assert_eq!(errors[0].code.as_deref(), Some("AccessDenied"));
    // By shortening, weakening or removing the retention.
    let sooner = Some(testkit::START + DAY);
    let governance = Some(ObjectLockRetentionMode::Governance);
    denied(root.call(retain(&one, compliance, sooner, true)).await.unwrap_err());
    denied(root.call(retain(&one, governance, Some(until), true)).await.unwrap_err());
    denied(root.call(retain(&one, None, None, true)).await.unwrap_err());
    // By suspending versions, so that a write would replace it.
    let suspend = versioning("things", BucketVersioningStatus::Suspended);
    assert_eq!(root.call(suspend).await.unwrap_err().code, "InvalidBucketState");
    // By deleting the bucket.
    let bucket = DeleteBucketInput { bucket: "things".to_owned(), expected_bucket_owner: None };
    assert_eq!(root.call(bucket.clone()).await.unwrap_err().code, "BucketNotEmpty");
    // A write and a plain delete leave the version where it is.
    put(&root, "/things/a", b"two").await;
    root.call(delete("a", None)).await.unwrap();
    assert_eq!(get(&root, &format!("/things/a?versionId={one}")).await.1, "one");
    denied(root.call(bypassing(&one)).await.unwrap_err());
    // It may be prolonged, and goes when its time is over.
    root.call(retain(&one, compliance, Some(until + DAY), false)).await.unwrap();
    cloud.advance(DAY * 10 + DAY / 2);
    denied(root.call(delete("a", Some(&one))).await.unwrap_err());
    cloud.advance(DAY);
    root.call(delete("a", Some(&one))).await.unwrap();
}

#[tokio::test]
async fn governance_holds_against_who_may_not_go_past_it() {
    let (Fixture { cloud, folder: _folder }, root) = locking().await;
    let one = put(&root, "/things/a", b"one").await;
    let governance = Some(ObjectLockRetentionMode::Governance);
    let until = Some(testkit::START + DAY * 10);
    root.call(retain(&one, governance, until, false)).await.unwrap();
    let all_but = r#"{"Version":"2012-10-17","Statement":[
        {"Effect":"Allow","Action":"s3:*","Resource":"*"},
        {"Effect":"Deny","Action":"s3:BypassGovernanceRetention","Resource":"*"}]}"#;
    let user = cloud.user("worker", all_but);
    for attempt in [delete("a", Some(&one)), bypassing(&one)] {
        assert_eq!(user.call(attempt).await.unwrap_err().code, "AccessDenied");
    }
    let sooner = Some(testkit::START + DAY);
    for bypass in [false, true] {
        let weaken = retain(&one, governance, sooner, bypass);
        assert_eq!(user.call(weaken).await.unwrap_err().code, "AccessDenied");
    }
    assert_eq!(root.call(delete("a", Some(&one))).await.unwrap_err().code, "AccessDenied");
    assert_eq!(
        root.call(retain(&one, governance, sooner, false)).await.unwrap_err().code,
        "AccessDenied"
    );
    root.call(retain(&one, governance, sooner, true)).await.unwrap();
    root.call(bypassing(&one)).await.unwrap();
    assert!(versions(&root).await.is_empty());
}

#[tokio::test]
async fn a_legal_hold_holds_until_it_is_lifted() {
    let (Fixture { cloud, folder: _folder }, root) = locking().await;
    let one = put(&root, "/things/a", b"one").await;
    let ask = GetObjectLegalHoldInput {
        bucket: "things".to_owned(),
        key: "a".to_owned(),
        ..Default::default()
    };
    let none = root.call(ask.clone()).await.unwrap_err();
    assert_eq!((none.code.as_str(), none.status), ("NoSuchObjectLockConfiguration", 404));
    root.call(hold(&one, ObjectLockLegalHoldStatus::On)).await.unwrap();
    assert_eq!(
        root.call(ask).await.unwrap().legal_hold.unwrap().status,
        Some(ObjectLockLegalHoldStatus::On)
    );
    cloud.advance(DAY * 5000);
    for attempt in [delete("a", Some(&one)), bypassing(&one)] {
        assert_eq!(root.call(attempt).await.unwrap_err().code, "AccessDenied");
    }
    root.call(hold(&one, ObjectLockLegalHoldStatus::Off)).await.unwrap();
    root.call(delete("a", Some(&one))).await.unwrap();
}

#[tokio::test]
async fn a_bucket_gives_new_versions_its_retention() {
    let Fixture { cloud, folder: _folder } = start().await;
    let root = cloud.root();
    root.call(create("things")).await.unwrap();
    let ask = GetObjectLockConfigurationInput { bucket: "things".to_owned(), ..Default::default() };
    let none = root.call(ask.clone()).await.unwrap_err();
    assert_eq!(none.code, "ObjectLockConfigurationNotFoundError");
    let configure = |days: Option<i32>, years: Option<i32>| PutObjectLockConfigurationInput {
        bucket: "things".to_owned(),
        object_lock_configuration: Some(ObjectLockConfiguration {
            object_lock_enabled: Some(ObjectLockEnabled::Enabled),
            rule: Some(ObjectLockRule {
                default_retention: Some(DefaultRetention {
                    mode: Some(ObjectLockRetentionMode::Governance),
                    days,
                    years,
                    ..Default::default()
                }),
            }),
        }),
        ..Default::default()
    };
    let unversioned = root.call(configure(Some(1), None)).await.unwrap_err();
    assert_eq!((unversioned.code.as_str(), unversioned.status), ("InvalidBucketState", 409));
    let unlocked = send(&root, "PUT", "/things/a", &[], b"x").await;
    assert_eq!(unlocked.status(), 200);
    assert_eq!(
        root.call(hold("null", ObjectLockLegalHoldStatus::On)).await.unwrap_err().code,
        "InvalidRequest"
    );
    root.call(versioning("things", BucketVersioningStatus::Enabled)).await.unwrap();
    for (days, years) in [(Some(1), Some(1)), (None, None)] {
        assert_eq!(root.call(configure(days, years)).await.unwrap_err().code, "MalformedXML");
    }
    for days in [0, -1, 36_501] {
        let refused = root.call(configure(Some(days), None)).await.unwrap_err();
        assert_eq!(refused.code, "InvalidArgument");
    }
    root.call(configure(Some(3), None)).await.unwrap();
    let told = root.call(ask).await.unwrap().object_lock_configuration.unwrap();
    assert_eq!(told.rule.unwrap().default_retention.unwrap().days, Some(3));
    put(&root, "/things/b", b"x").await;
    let head =
        HeadObjectInput { bucket: "things".to_owned(), key: "b".to_owned(), ..Default::default() };
    let head = root.call(head).await.unwrap();
    assert_eq!(head.object_lock_retain_until_date, Some(testkit::START + DAY * 3));
    // What a write says itself counts instead, and its body must be checked.
    let later = (testkit::START + DAY * 30).iso8601_seconds();
    let headers = [
        ("x-amz-object-lock-mode", "COMPLIANCE"),
        ("x-amz-object-lock-retain-until-date", later.as_str()),
        ("x-amz-object-lock-legal-hold", "ON"),
    ];
    let unchecked = send(&root, "PUT", "/things/c", &headers, b"123456789").await;
    assert!(text(&unchecked).contains("InvalidRequest"), "{}", text(&unchecked));
    let mut checked = headers.to_vec();
    checked.push(("x-amz-checksum-crc32", "y/Q5Jg=="));
    let stored = send(&root, "PUT", "/things/c", &checked, b"123456789").await;
    assert_eq!(stored.status(), 200, "{}", text(&stored));
    let head = send(&root, "HEAD", "/things/c", &[], b"").await;
    assert_eq!(header(&head, "x-amz-object-lock-mode"), "COMPLIANCE");
    assert_eq!(header(&head, "x-amz-object-lock-legal-hold"), "ON");
    let past =
        [headers[0], ("x-amz-object-lock-retain-until-date", "2001-01-01T00:00:00Z"), checked[3]];
    let late = send(&root, "PUT", "/things/d", &past, b"123456789").await;
    assert!(text(&late).contains("must be in the future"), "{}", text(&late));
}

#[tokio::test]
async fn nobody_may_do_anything_with_versions_and_locks() {
    let (Fixture { cloud, folder: _folder }, root) = locking().await;
    let one = put(&root, "/things/a", b"one").await;
    let nobody = cloud.nobody();
    let status = "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>";
    let lock = "<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled>\
                </ObjectLockConfiguration>";
    let on = "<LegalHold><Status>ON</Status></LegalHold>";
    for (method, path, body) in [
        ("PUT", "/things?versioning".to_owned(), status),
        ("GET", "/things?versions".to_owned(), ""),
        ("GET", "/things?object-lock".to_owned(), ""),
        ("PUT", "/things?object-lock".to_owned(), lock),
        ("GET", "/things/a?retention".to_owned(), ""),
        ("PUT", "/things/a?retention".to_owned(), "<Retention/>"),
        ("GET", "/things/a?legal-hold".to_owned(), ""),
        ("PUT", "/things/a?legal-hold".to_owned(), on),
        ("GET", format!("/things/a?versionId={one}"), ""),
        ("DELETE", format!("/things/a?versionId={one}"), ""),
    ] {
        let answer = send(&nobody, method, &path, &[], body.as_bytes()).await;
        let found = (answer.status().as_u16(), text(&answer).contains("<Code>AccessDenied</Code>"));
        assert_eq!(found, (403, true), "{method} {path}: {}", text(&answer));
    }
}
