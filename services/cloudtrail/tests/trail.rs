//! Events are looked up, and delivered to buckets.
#![expect(clippy::indexing_slicing, reason = "a test may panic")]
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::BTreeMap;
use std::io::Read;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use cloudtrail::Drivers;
use cloudtrail_api::*;
use flate2::read::GzDecoder;
use kernel::cipher::Cipher;
use kernel::{Ctx, Service, ServiceDef, ServiceError};
use protocol::ByteStream;
use s3_api::{GetBucketAclInput, GetBucketAclOutput, PutObjectInput, PutObjectOutput};
use serde_json::Value as Json;
use testkit::{ACCOUNT, Cloud, TestClient, poll};

/// An object's bytes and its metadata.
type Kept = (Vec<u8>, BTreeMap<String, String>);

/// A bucket that takes what is put into it, as long as it is not closed.
#[derive(Default)]
struct Bucket {
    objects: Mutex<BTreeMap<String, Kept>>,
    closed: Mutex<bool>,
}

const BUCKET: &str = "trail-bucket";

fn check(state: &Bucket, bucket: &str, caller: &kernel::Caller) -> Result<(), ServiceError> {
    assert_eq!(caller.arn, "cloudtrail.amazonaws.com");
    if bucket != BUCKET {
        return Err(ServiceError::new("NoSuchBucket", "no such bucket"));
    }
    if *state.closed.lock().unwrap() {
        return Err(ServiceError::new("AccessDenied", "Access Denied"));
    }
    Ok(())
}

async fn get_bucket_acl(
    ctx: Ctx<Bucket>,
    input: GetBucketAclInput,
) -> Result<GetBucketAclOutput, ServiceError> {
    check(&ctx.drivers, &input.bucket, &ctx.caller)?;
    Ok(GetBucketAclOutput::default())
}

async fn put_object(
    ctx: Ctx<Bucket>,
    input: PutObjectInput,
) -> Result<PutObjectOutput, ServiceError> {
    check(&ctx.drivers, &input.bucket, &ctx.caller)?;
    let body = input.body.unwrap_or_default();
    let bytes = collect(body).await;
    ctx.drivers.objects.lock().unwrap().insert(input.key, (bytes, input.metadata));
    Ok(PutObjectOutput::default())
}

async fn collect(body: ByteStream) -> Vec<u8> {
    body.collect(1 << 20).await.unwrap().to_vec()
}

/// Whatever is asked of the bucket is allowed here; the policy is S3's to test.
async fn policy(_: Ctx<Bucket>, arn: String) -> Result<Option<String>, ServiceError> {
    let allow = serde_json::json!({
        "Version": "2012-10-17",
        "Statement": [{
            "Effect": "Allow",
            "Principal": { "Service": "cloudtrail.amazonaws.com" },
            "Action": "s3:*",
            "Resource": arn,
        }],
    });
    Ok(Some(allow.to_string()))
}

fn fake_s3(state: Arc<Bucket>) -> ServiceDef {
    Service::with("s3", state)
        .operation(get_bucket_acl)
        .operation(put_object)
        .resource_policy(policy)
        .into()
}

struct Zeros;

impl base::Random for Zeros {
    fn fill(&self, bytes: &mut [u8]) {
        bytes.fill(0);
    }
}

struct Region {
    cloud: Cloud,
    bucket: Arc<Bucket>,
    root: TestClient,
}

async fn start() -> Region {
    let bucket = Arc::new(Bucket::default());
    let cipher = Cipher::new([3; 32], Arc::new(Zeros));
    let own = cloudtrail::service(Drivers { cipher }).into();
    let cloud = Cloud::start(vec![fake_s3(bucket.clone()), own]).await;
    let root = cloud.root();
    Region { cloud, bucket, root }
}

fn wanted(name: &str) -> CreateTrailInput {
    CreateTrailInput {
        name: name.to_owned(),
        s3_bucket_name: BUCKET.to_owned(),
        enable_log_file_validation: Some(true),
        ..Default::default()
    }
}

impl Region {
    /// The files of a kind: their keys, texts and metadata.
    fn files(&self, kind: &str) -> Vec<(String, String, BTreeMap<String, String>)> {
        let objects = self.bucket.objects.lock().unwrap();
        let kept = objects.iter().filter(|(key, _)| key.contains(kind) && key.ends_with(".gz"));
        let read = |(key, (bytes, metadata)): (&String, &(Vec<u8>, BTreeMap<String, String>))| {
            let mut text = String::new();
            GzDecoder::new(bytes.as_slice()).read_to_string(&mut text).unwrap();
            (key.clone(), text, metadata.clone())
        };
        kept.map(read).collect()
    }

    fn events(&self) -> Vec<Json> {
        let logs = self.files("/CloudTrail/");
        let records = |(_, text, _): (String, String, BTreeMap<String, String>)| {
            let json: Json = serde_json::from_str(&text).unwrap();
            json["Records"].as_array().unwrap().clone()
        };
        logs.into_iter().flat_map(records).collect()
    }

    async fn lookup(&self, input: LookupEventsInput) -> LookupEventsOutput {
        // The quota is two lookups a second.
        self.cloud.advance(Duration::from_secs(1));
        self.root.call(input).await.unwrap()
    }

    async fn found(&self, key: LookupAttributeKey, value: &str) -> Vec<Event> {
        let attribute = LookupAttribute { attribute_key: key, attribute_value: value.to_owned() };
        let input = LookupEventsInput { lookup_attributes: vec![attribute], ..Default::default() };
        self.lookup(input).await.events
    }

    async fn code<I: protocol::OperationInput>(&self, input: I) -> String {
        self.root.call(input).await.err().map(|error| error.code).unwrap_or_default()
    }

    /// Makes a trail that logs.
    async fn trail(&self, name: &str) -> String {
        let arn = self.root.call(wanted(name)).await.unwrap().trail_arn.unwrap();
        self.root.call(StartLoggingInput { name: name.to_owned() }).await.unwrap();
        arn
    }
}

#[tokio::test]
async fn calls_are_looked_up_by_what_they_were() {
    let region = start().await;
    region.trail("web").await;
    region.code(GetTrailInput { name: "nothing".to_owned() }).await;
    let made = poll::until("the event", || async {
        region.found(LookupAttributeKey::EventName, "CreateTrail").await.into_iter().next()
    })
    .await;
    assert_eq!(made.username.as_deref(), Some("root"));
    assert_eq!(made.read_only.as_deref(), Some("false"));
    assert_eq!(made.event_source.as_deref(), Some("cloudtrail.amazonaws.com"));
    let event: Json = serde_json::from_str(made.cloud_trail_event.as_deref().unwrap()).unwrap();
    assert_eq!(event["userIdentity"]["type"], "Root");
    assert_eq!(event["requestParameters"]["s3BucketName"], BUCKET);
    assert_eq!(event["responseElements"]["logFileValidationEnabled"], true);
    assert_eq!(event["recipientAccountId"], ACCOUNT);
    let failed = poll::until("the failure", || async {
        region.found(LookupAttributeKey::EventName, "GetTrail").await.into_iter().next()
    })
    .await;
    let event: Json = serde_json::from_str(failed.cloud_trail_event.as_deref().unwrap()).unwrap();
    assert_eq!(event["errorCode"], "TrailNotFoundException");
    assert_eq!((&event["responseElements"], &event["readOnly"]), (&Json::Null, &Json::Bool(true)));
    let id = made.event_id.clone().unwrap();
    for (key, value) in [
        (LookupAttributeKey::EventId, id.as_str()),
        (LookupAttributeKey::ResourceName, "web"),
        (LookupAttributeKey::ResourceType, "AWS::CloudTrail::Trail"),
        (LookupAttributeKey::AccessKeyId, "AKIAROOT"),
        (LookupAttributeKey::Username, "root"),
        (LookupAttributeKey::ReadOnly, "false"),
        (LookupAttributeKey::EventSource, "cloudtrail.amazonaws.com"),
    ] {
        let all = region.found(key, value).await;
        assert!(all.iter().any(|it| it.event_id.as_ref() == Some(&id)), "{key:?}");
    }
    assert!(region.found(LookupAttributeKey::Username, "nobody").await.is_empty());
}

#[tokio::test]
async fn lookups_are_paged_newest_first_and_bounded_in_time() {
    let region = start().await;
    for _ in 0..7 {
        region.root.call(ListTrailsInput::default()).await.unwrap();
        region.cloud.advance(Duration::from_secs(3600));
    }
    let attribute = LookupAttribute {
        attribute_key: LookupAttributeKey::EventName,
        attribute_value: "ListTrails".to_owned(),
    };
    let input = LookupEventsInput {
        lookup_attributes: vec![attribute],
        max_results: Some(3),
        ..Default::default()
    };
    poll::until("all seven", || async {
        let all = LookupEventsInput { max_results: Some(50), ..input.clone() };
        (region.lookup(all).await.events.len() == 7).then_some(())
    })
    .await;
    let (mut times, mut token) = (Vec::new(), None);
    loop {
        let page = LookupEventsInput { next_token: token, ..input.clone() };
        let page = region.lookup(page).await;
        times.extend(page.events.iter().map(|it| it.event_time.unwrap()));
        token = page.next_token;
        if token.is_none() {
            break;
        }
    }
    assert_eq!(times.len(), 7);
    assert!(times.windows(2).all(|pair| pair[0] > pair[1]));
    let range = LookupEventsInput {
        start_time: Some(times[5]),
        end_time: Some(times[3]),
        max_results: None,
        ..input.clone()
    };
    assert_eq!(region.lookup(range.clone()).await.events.len(), 3);
    let wrong = LookupEventsInput { start_time: Some(times[0]), ..range.clone() };
    region.cloud.advance(Duration::from_secs(1));
    assert_eq!(region.code(wrong).await, "InvalidTimeRangeException");
    let foreign = LookupEventsInput { next_token: Some("bad".to_owned()), ..input.clone() };
    region.cloud.advance(Duration::from_secs(1));
    assert_eq!(region.code(foreign).await, "InvalidNextTokenException");
    let two = [&input.lookup_attributes[..], &input.lookup_attributes[..]].concat();
    let two = LookupEventsInput { lookup_attributes: two, ..input.clone() };
    region.cloud.advance(Duration::from_secs(1));
    let code = region.code(two).await;
    assert!(["InvalidLookupAttributesException", "ValidationException"].contains(&code.as_str()));
    let insight =
        LookupEventsInput { event_category: Some(EventCategory::Insight), ..Default::default() };
    assert!(region.lookup(insight).await.events.is_empty());
    region.cloud.advance(Duration::from_secs(91 * 86_400));
    assert!(region.lookup(input.clone()).await.events.is_empty());
    let mut codes = Vec::new();
    for _ in 0..4 {
        codes.push(region.code(input.clone()).await);
    }
    assert!(codes.iter().any(|code| code.contains("Throttl")), "{codes:?}");
}

#[tokio::test]
async fn log_files_and_digests_are_delivered_and_chained() {
    let region = start().await;
    let arn = region.trail("web").await;
    let status = GetTrailStatusInput { name: arn.clone() };
    assert_eq!(region.root.call(status.clone()).await.unwrap().is_logging, Some(true));
    region.root.call(ListTrailsInput::default()).await.unwrap();
    region.cloud.advance(Duration::from_secs(301));
    poll::until("a log file", || async {
        region.events().iter().any(|it| it["eventName"] == "ListTrails").then_some(())
    })
    .await;
    let (key, ..) = region.files("/CloudTrail/").remove(0);
    let region_name = testkit::REGION;
    let start = format!("AWSLogs/{ACCOUNT}/CloudTrail/{region_name}/2026/09/");
    assert!(key.starts_with(&start), "{key}");
    let name = key.rsplit('/').next().unwrap();
    assert!(name.starts_with(&format!("{ACCOUNT}_CloudTrail_{region_name}_2026")), "{name}");
    assert!(region.events().iter().all(|it| it["eventCategory"] == "Management"));
    for hours in 1..=3 {
        region.cloud.advance(Duration::from_secs(3600));
        poll::until("a digest", || async {
            (region.files("/CloudTrail-Digest/").len() == hours).then_some(())
        })
        .await;
    }
    let digests = region.files("/CloudTrail-Digest/");
    let bodies: Vec<Json> =
        digests.iter().map(|(_, text, _)| serde_json::from_str(text).unwrap()).collect();
    let keys = region.root.call(ListPublicKeysInput::default()).await.unwrap().public_key_list;
    let public = aws_lc_rs::signature::UnparsedPublicKey::new(
        &aws_lc_rs::signature::RSA_PKCS1_2048_8192_SHA256,
        keys[0].value.clone().unwrap(),
    );
    let mut previous = "null".to_owned();
    let mut listed = 0;
    for ((key, text, metadata), body) in digests.iter().zip(&bodies) {
        assert_eq!(body["digestS3Object"], *key);
        assert_eq!(body["digestPublicKeyFingerprint"], keys[0].fingerprint.clone().unwrap());
        let end = body["digestEndTime"].as_str().unwrap();
        let signed = format!("{end}\n{BUCKET}/{key}\n{}\n{previous}", hash(text));
        let signature = unhex(&metadata["signature"]);
        public.verify(signed.as_bytes(), &signature).expect("the digest is signed");
        assert_eq!(metadata["signature-algorithm"], "SHA256withRSA");
        for file in body["logFiles"].as_array().unwrap() {
            let logs = region.files("/CloudTrail/");
            let (_, log, _) =
                logs.iter().find(|(key, ..)| file["s3Object"] == **key).expect("a log file");
            assert_eq!(file["hashValue"], hash(log));
            listed += 1;
        }
        previous.clone_from(&metadata["signature"]);
    }
    assert!(listed > 0);
    assert_eq!(bodies[0]["previousDigestSignature"], Json::Null);
    assert_eq!(bodies[1]["previousDigestHashValue"], hash(&digests[0].1));
    assert_eq!(bodies[1]["previousDigestS3Object"], digests[0].0);
    assert_eq!(bodies[1]["digestStartTime"], bodies[0]["digestEndTime"]);
    let seen = region.root.call(status).await.unwrap();
    assert!(seen.latest_delivery_time.is_some() && seen.latest_digest_delivery_time.is_some());
}

fn hash(text: &str) -> String {
    let hash = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, text.as_bytes());
    hash.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Vec<u8> {
    let pair = |at: usize| u8::from_str_radix(&text[at..at + 2], 16).unwrap();
    (0..text.len()).step_by(2).map(pair).collect()
}

#[tokio::test]
async fn a_bucket_that_refuses_is_told_and_gets_everything_later() {
    let region = start().await;
    region.trail("web").await;
    *region.bucket.closed.lock().unwrap() = true;
    region.root.call(ListTrailsInput::default()).await.unwrap();
    region.cloud.advance(Duration::from_secs(301));
    let status = GetTrailStatusInput { name: "web".to_owned() };
    poll::until("the failure", || async {
        let error = region.root.call(status.clone()).await.unwrap().latest_delivery_error?;
        (error == "AccessDenied").then_some(())
    })
    .await;
    *region.bucket.closed.lock().unwrap() = false;
    region.cloud.kernel.wake("cloudtrail.delivery");
    poll::until("the events", || async {
        region.events().iter().any(|it| it["eventName"] == "ListTrails").then_some(())
    })
    .await;
    poll::until("the failure to be over", || async {
        let found = region.root.call(status.clone()).await.unwrap();
        found.latest_delivery_error.is_none().then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_stopped_trail_delivers_what_it_took_and_no_more() {
    let region = start().await;
    region.trail("web").await;
    region.root.call(ListTrailsInput::default()).await.unwrap();
    region.cloud.advance(Duration::from_secs(10));
    region.root.call(StopLoggingInput { name: "web".to_owned() }).await.unwrap();
    region.cloud.advance(Duration::from_secs(10));
    poll::until("the events", || async {
        region.events().iter().any(|it| it["eventName"] == "ListTrails").then_some(())
    })
    .await;
    region.root.call(DescribeTrailsInput::default()).await.unwrap();
    region.cloud.advance(Duration::from_secs(600));
    region.root.call(StartLoggingInput { name: "web".to_owned() }).await.unwrap();
    region.root.call(ListPublicKeysInput::default()).await.unwrap();
    region.cloud.advance(Duration::from_secs(310));
    poll::until("later events", || async {
        region.events().iter().any(|it| it["eventName"] == "ListPublicKeys").then_some(())
    })
    .await;
    assert!(!region.events().iter().any(|it| it["eventName"] == "DescribeTrails"));
}

#[tokio::test]
#[expect(clippy::too_many_lines, reason = "a selector after another on one trail")]
async fn selectors_choose_what_is_delivered() {
    let region = start().await;
    region.trail("web").await;
    let put = |selector: EventSelector| PutEventSelectorsInput {
        trail_name: "web".to_owned(),
        event_selectors: vec![selector],
        ..Default::default()
    };
    let writes = EventSelector {
        read_write_type: Some(ReadWriteType::WriteOnly),
        data_resources: vec![DataResource {
            type_: Some("AWS::S3::Object".to_owned()),
            values: vec![format!("arn:aws:s3:::{BUCKET}/AWSLogs")],
        }],
        ..Default::default()
    };
    region.root.call(put(writes)).await.unwrap();
    region.root.call(ListTrailsInput::default()).await.unwrap();
    region.cloud.advance(Duration::from_secs(301));
    poll::until("the change", || async {
        region.events().iter().any(|it| it["eventName"] == "PutEventSelectors").then_some(())
    })
    .await;
    region.cloud.advance(Duration::from_secs(301));
    // The trail's own file is an object of the bucket, too.
    let data = poll::until("a data event", || async {
        region.events().into_iter().find(|it| it["eventName"] == "PutObject")
    })
    .await;
    assert_eq!(data["eventCategory"], "Data");
    assert_eq!(data["managementEvent"], false);
    assert_eq!(data["userIdentity"]["type"], "AWSService");
    assert_eq!(data["userIdentity"]["invokedBy"], "cloudtrail.amazonaws.com");
    assert_eq!(data["resources"][0]["type"], "AWS::S3::Object");
    assert!(!region.events().iter().any(|it| it["eventName"] == "ListTrails"));
    let fields = |fields: &[(&str, &str)]| AdvancedEventSelector {
        name: Some("own".to_owned()),
        field_selectors: fields
            .iter()
            .map(|(field, value)| AdvancedFieldSelector {
                field: (*field).to_owned(),
                equals: vec![(*value).to_owned()],
                ..Default::default()
            })
            .collect(),
    };
    let advanced = |selector: AdvancedEventSelector| PutEventSelectorsInput {
        trail_name: "web".to_owned(),
        advanced_event_selectors: vec![selector],
        ..Default::default()
    };
    let only = fields(&[("eventCategory", "Management"), ("eventName", "ListTrails")]);
    region.root.call(advanced(only.clone())).await.unwrap();
    let get = GetEventSelectorsInput { trail_name: "web".to_owned() };
    let kept = region.root.call(get).await.unwrap();
    assert_eq!(kept.advanced_event_selectors, [only]);
    region.root.call(ListTrailsInput::default()).await.unwrap();
    region.cloud.advance(Duration::from_secs(310));
    poll::until("the chosen event", || async {
        region.events().iter().any(|it| it["eventName"] == "ListTrails").then_some(())
    })
    .await;
    let other = DataResource {
        type_: Some("AWS::Lambda::Function".to_owned()),
        values: vec!["arn:aws:lambda".to_owned()],
    };
    let lambda = EventSelector { data_resources: vec![other], ..Default::default() };
    assert_eq!(region.code(put(lambda)).await, "InvalidEventSelectorsException");
    let open = advanced(fields(&[("eventName", "ListTrails")]));
    assert_eq!(region.code(open).await, "InvalidEventSelectorsException");
    let untyped = advanced(fields(&[("eventCategory", "Data")]));
    assert_eq!(region.code(untyped).await, "InvalidEventSelectorsException");
    let nothing = PutEventSelectorsInput { trail_name: "web".to_owned(), ..Default::default() };
    assert_eq!(region.code(nothing).await, "InvalidEventSelectorsException");
    let insights =
        GetInsightSelectorsInput { trail_name: Some("web".to_owned()), ..Default::default() };
    assert_eq!(region.code(insights).await, "InsightNotEnabledException");
}

#[tokio::test]
async fn trails_are_made_changed_and_deleted() {
    let region = start().await;
    let tag = |key: &str| Tag { key: key.to_owned(), value: Some("1".to_owned()) };
    let input = CreateTrailInput { tags_list: vec![tag("a")], ..wanted("web") };
    let arn = region.root.call(input).await.unwrap().trail_arn.unwrap();
    assert_eq!(region.code(wanted("web")).await, "TrailAlreadyExistsException");
    let get = GetTrailInput { name: arn.clone() };
    let trail = region.root.call(get.clone()).await.unwrap().trail.unwrap();
    assert_eq!(trail.has_custom_event_selectors, Some(false));
    assert_eq!(trail.home_region.as_deref(), Some(testkit::REGION));
    let update = UpdateTrailInput {
        name: "web".to_owned(),
        s3_key_prefix: Some("logs".to_owned()),
        is_multi_region_trail: Some(true),
        ..Default::default()
    };
    region.root.call(update).await.unwrap();
    let trail = region.root.call(get.clone()).await.unwrap().trail.unwrap();
    assert_eq!(trail.s3_key_prefix.as_deref(), Some("logs"));
    let bad = UpdateTrailInput {
        name: "web".to_owned(),
        include_global_service_events: Some(false),
        ..Default::default()
    };
    assert_eq!(region.code(bad).await, "InvalidParameterCombinationException");
    let add = AddTagsInput { resource_id: arn.clone(), tags_list: vec![tag("b")] };
    region.root.call(add).await.unwrap();
    let remove = RemoveTagsInput { resource_id: arn.clone(), tags_list: vec![tag("a")] };
    region.root.call(remove).await.unwrap();
    let list = ListTagsInput { resource_id_list: vec![arn.clone()], next_token: None };
    let tags = region.root.call(list).await.unwrap().resource_tag_list;
    assert_eq!(tags[0].tags_list, [tag("b")]);
    for name in ["ab", "-web", "a..b", "10.0.0.1", "a b c"] {
        assert_eq!(region.code(wanted(name)).await, "InvalidTrailNameException", "{name}");
    }
    let gone = CreateTrailInput { s3_bucket_name: "nothing".to_owned(), ..wanted("api") };
    assert_eq!(region.code(gone).await, "S3BucketDoesNotExistException");
    *region.bucket.closed.lock().unwrap() = true;
    assert_eq!(region.code(wanted("api")).await, "InsufficientS3BucketPolicyException");
    *region.bucket.closed.lock().unwrap() = false;
    let topic = CreateTrailInput { sns_topic_name: Some("t".to_owned()), ..wanted("api") };
    assert_eq!(region.code(topic).await, "UnsupportedOperationException");
    for name in ["tr2", "tr3", "tr4", "tr5"] {
        region.root.call(wanted(name)).await.unwrap();
    }
    assert_eq!(region.code(wanted("tr6")).await, "MaximumNumberOfTrailsExceededException");
    assert_eq!(region.root.call(ListTrailsInput::default()).await.unwrap().trails.len(), 5);
    let some = DescribeTrailsInput {
        trail_name_list: vec!["tr2".to_owned(), "absent".to_owned()],
        ..Default::default()
    };
    assert_eq!(region.root.call(some).await.unwrap().trail_list.len(), 1);
    region.root.call(DeleteTrailInput { name: arn.clone() }).await.unwrap();
    assert_eq!(region.code(get).await, "TrailNotFoundException");
    let list = ListTagsInput { resource_id_list: vec![arn], next_token: None };
    assert_eq!(region.code(list).await, "ResourceNotFoundException");
}

#[tokio::test]
async fn nobody_may_do_anything() {
    let region = start().await;
    let nobody = region.cloud.nobody();
    let arn = region.trail("web").await;
    let name = "web".to_owned();
    macro_rules! denied {
        ($($input:expr),+ $(,)?) => {$(
            assert_eq!(nobody.call($input).await.unwrap_err().code, "AccessDeniedException");
        )+};
    }
    denied!(
        wanted("api"),
        UpdateTrailInput { name: name.clone(), ..Default::default() },
        DeleteTrailInput { name: name.clone() },
        GetTrailInput { name: name.clone() },
        GetTrailStatusInput { name: name.clone() },
        StartLoggingInput { name: name.clone() },
        StopLoggingInput { name: name.clone() },
        DescribeTrailsInput::default(),
        ListTrailsInput::default(),
        ListPublicKeysInput::default(),
        LookupEventsInput::default(),
        GetEventSelectorsInput { trail_name: name.clone() },
        PutEventSelectorsInput { trail_name: name.clone(), ..Default::default() },
        GetInsightSelectorsInput { trail_name: Some(name), ..Default::default() },
        AddTagsInput { resource_id: arn.clone(), tags_list: Vec::new() },
        RemoveTagsInput { resource_id: arn.clone(), tags_list: Vec::new() },
        ListTagsInput { resource_id_list: vec![arn], next_token: None },
    );
}
