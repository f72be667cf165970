//! A record of every call, in CloudTrail's event format.
//!
//! AWS: "CloudTrail record contents".

use base::{AccountId, Region, Timestamp};
use protocol::Value;
use protocol::schema::{Kind, ServiceSchema, ShapeRef};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json, json};
use store::{Record, Scope, Store, Table};
use tokio::sync::{mpsc, oneshot};

use crate::ctx::{Caller, RequestInfo};
use policy::Principal;

/// One call.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AuditRecord {
    /// When the call was answered.
    pub time: Timestamp,
    /// The event's id, a UUID.
    pub event_id: String,
    /// The id that the answer carried.
    pub request_id: String,
    /// The event in CloudTrail's format.
    pub event: Json,
    /// What authorization decided and which statements did, for `skyhold why`.
    pub decision: String,
}

impl Record for AuditRecord {
    type Key = (u64, String);

    fn key(&self) -> Self::Key {
        (u64::try_from(self.time.as_millis()).unwrap_or(0), self.event_id.clone())
    }
}

/// The table of records, by time, in the scope of the account and region.
pub const RECORDS: Table<AuditRecord> = Table::new("kernel.audit");

/// How many records wait to be written before callers wait for the writer.
const QUEUE_MAX: usize = 4096;
/// How many records one transaction writes.
const BATCH_MAX: usize = 512;
/// The longest a request parameter is kept, in characters.
const PARAMETER_MAX: usize = 1024;

/// Writes records in the background, in batches.
#[derive(Clone)]
pub(crate) struct Audit(mpsc::Sender<Item>);

/// What waits for the writer.
enum Item {
    Record(Scope, Box<AuditRecord>),
    /// Somebody wants to know when all before it is written.
    Settle(oneshot::Sender<()>),
}

impl Audit {
    /// A writer, and the future that does its work until every sender is gone.
    pub(crate) fn new(store: Store) -> (Self, impl Future<Output = ()> + Send) {
        let (sender, mut queue) = mpsc::channel(QUEUE_MAX);
        let writer = async move {
            let mut batch = Vec::new();
            while queue.recv_many(&mut batch, BATCH_MAX).await > 0 {
                let mut waiting = Vec::new();
                let mut records = Vec::with_capacity(batch.len());
                for item in batch.drain(..) {
                    match item {
                        Item::Record(scope, record) => records.push((scope, record)),
                        Item::Settle(told) => waiting.push(told),
                    }
                }
                let written = store
                    .write(move |tx| {
                        for (scope, record) in &records {
                            tx.scope(scope).put(&RECORDS, record.as_ref())?;
                        }
                        Ok::<_, store::Error>(())
                    })
                    .await;
                if let Err(error) = written {
                    tracing::error!(%error, "audit records were lost");
                }
                for told in waiting {
                    // Whoever asked may have gone.
                    let _ = told.send(());
                }
            }
        };
        (Self(sender), writer)
    }

    pub(crate) async fn record(&self, scope: Scope, record: AuditRecord) {
        if self.0.send(Item::Record(scope, Box::new(record))).await.is_err() {
            tracing::error!("the audit writer is gone");
        }
    }

    /// Waits until every record of before is written.
    pub(crate) async fn settle(&self) {
        let (told, written) = oneshot::channel();
        if self.0.send(Item::Settle(told)).await.is_ok() {
            // A writer that ends has nothing left to write.
            let _ = written.await;
        }
    }
}

/// What an event is made of.
pub(crate) struct Facts<'a> {
    pub(crate) time: Timestamp,
    pub(crate) event_id: String,
    pub(crate) event_source: &'a str,
    pub(crate) event_name: &'a str,
    pub(crate) region: &'a Region,
    pub(crate) account: &'a AccountId,
    pub(crate) caller: Option<&'a Caller>,
    pub(crate) request: &'a RequestInfo,
    pub(crate) input: Option<&'a Value>,
    /// The service's model, which tells what of the input must not be recorded.
    pub(crate) model: Option<&'a ServiceSchema>,
    /// What was answered; only calls that change something record it.
    pub(crate) output: Option<&'a Value>,
    pub(crate) error: Option<(&'a str, &'a str)>,
    pub(crate) decision: String,
}

impl Facts<'_> {
    pub(crate) fn into_record(self) -> AuditRecord {
        let read_only = ["Get", "List", "Describe", "Head", "Lookup", "Search", "Validate"]
            .iter()
            .any(|prefix| self.event_name.starts_with(prefix));
        let source_ip = match (&self.request.source_ip, self.caller) {
            (Some(ip), _) => ip.to_string(),
            (None, Some(Caller { invoked_by: Some(service), .. })) => service.clone(),
            (None, _) => "AWS Internal".to_owned(),
        };
        let mut event = json!({
            "eventVersion": "1.11",
            "userIdentity": self.caller.map_or_else(unknown_identity, |it| identity(it, self.time)),
            "eventTime": self.time.iso8601_seconds(),
            "eventSource": self.event_source,
            "eventName": self.event_name,
            "awsRegion": self.region.as_str(),
            "sourceIPAddress": source_ip,
            "userAgent": self.request.user_agent,
            "requestParameters": self.input.map_or(Json::Null, members),
            "responseElements": self.output.filter(|_| !read_only).map_or(Json::Null, members),
            "requestID": self.request.request_id,
            "eventID": self.event_id,
            "readOnly": read_only,
            "eventType": "AwsApiCall",
            "managementEvent": true,
            "recipientAccountId": self.account.as_str(),
            "eventCategory": "Management",
        });
        let encrypted = self.request.secure && self.request.source_ip.is_some();
        if let Some(map) = event.as_object_mut().filter(|_| encrypted) {
            map.insert(
                "tlsDetails".to_owned(),
                json!({ "clientProvidedHostHeader": self.request.host }),
            );
        }
        if let Some(model) = self.model
            && let Some(shape) = model.operation(self.event_name).and_then(|op| op.input)
            && let Some(parameters) = event.get_mut("requestParameters")
        {
            hide(parameters, model, shape);
        }
        shorten(&mut event);
        if let (Some((code, message)), Some(map)) = (self.error, event.as_object_mut()) {
            map.insert("errorCode".to_owned(), json!(code));
            map.insert("errorMessage".to_owned(), json!(message));
        }
        AuditRecord {
            time: self.time,
            event_id: self.event_id,
            request_id: self.request.request_id.clone(),
            event,
            decision: self.decision,
        }
    }
}

fn unknown_identity() -> Json {
    json!({ "type": "Unknown" })
}

/// AWS: "CloudTrail userIdentity element".
fn identity(caller: &Caller, now: Timestamp) -> Json {
    let account = caller.account.as_str();
    let mut members = Map::new();
    let mut set = |name: &str, value: Json| {
        if !value.is_null() {
            members.insert(name.to_owned(), value);
        }
    };
    let kind = match &caller.principal {
        Principal::Root { .. } => "Root",
        Principal::User { .. } => "IAMUser",
        Principal::AssumedRole { .. } => "AssumedRole",
        Principal::Service { name } => {
            set("type", json!("AWSService"));
            set("invokedBy", json!(name));
            return Json::Object(members);
        }
        Principal::FederatedUser { .. } => "FederatedUser",
        Principal::Federated { .. } => "WebIdentityUser",
        Principal::Anonymous => {
            set("type", json!("AWSAccount"));
            set("principalId", json!(""));
            set("accountId", json!("ANONYMOUS_PRINCIPAL"));
            return Json::Object(members);
        }
    };
    set("type", json!(kind));
    set("principalId", json!(caller.user_id));
    set("arn", json!(caller.arn));
    set("accountId", json!(account));
    set("accessKeyId", json!(caller.access_key_id));
    if kind == "IAMUser" {
        set("userName", json!(caller.arn.rsplit('/').next()));
    }
    if kind == "AssumedRole" {
        set("sessionContext", session(caller, now));
    }
    set("invokedBy", json!(caller.invoked_by));
    Json::Object(members)
}

/// Whose session a caller's is. `arn:aws:sts::1:assumed-role/role/session` is of `role`.
fn session(caller: &Caller, now: Timestamp) -> Json {
    let account = caller.account.as_str();
    let role = caller.arn.split('/').nth(1).unwrap_or_default();
    let id = caller.user_id.split(':').next().unwrap_or_default();
    json!({
        "sessionIssuer": {
            "type": "Role",
            "principalId": id,
            "arn": format!("arn:aws:iam::{account}:role/{role}"),
            "accountId": account,
            "userName": role,
        },
        "attributes": {
            "creationDate": caller.facts.issued.unwrap_or(now).iso8601_seconds(),
            "mfaAuthenticated": caller.facts.mfa.is_some().to_string(),
        },
    })
}

/// Names of members whose values are never recorded.
const SECRET_WORDS: [&str; 7] =
    ["password", "secret", "token", "credential", "privatekey", "authtoken", "customerkey"];

/// The members of a request or an answer; nothing where there are none.
fn members(value: &Value) -> Json {
    let members = parameters(value);
    if members.as_object().is_some_and(Map::is_empty) { Json::Null } else { members }
}

/// Leaves out what makes an event longer than events may be.
///
/// AWS: "CloudTrail record contents" (events of at most 256 KB; fields that are too long are
/// omitted).
fn shorten(event: &mut Json) {
    const MEMBER_MAX_BYTES: usize = 100 << 10;
    for name in ["requestParameters", "responseElements"] {
        let Some(member) = event.get_mut(name) else { continue };
        let size = if member.is_null() { 0 } else { member.to_string().len() };
        if size > MEMBER_MAX_BYTES {
            *member = json!({
                "omitted": true,
                "originalSize": size,
                "reason": format!("{name} too large"),
            });
        }
    }
}

/// What stands in the place of a value that is not recorded.
const HIDDEN: &str = "HIDDEN_DUE_TO_SECURITY_REASONS";

fn parameters(input: &Value) -> Json {
    if let Some(fields) = input.as_struct() {
        let entry = |(name, value): (&'static str, &Value)| {
            let lower = name.to_lowercase();
            let hidden = SECRET_WORDS.iter().any(|word| lower.contains(word))
                && !lower.ends_with("id")
                && !lower.ends_with("arn");
            let shown = if hidden { json!(HIDDEN) } else { parameters(value) };
            (lower_camel(name), shown)
        };
        return Json::Object(fields.iter().map(entry).collect());
    }
    if let Some(list) = input.as_list() {
        return Json::Array(list.iter().map(parameters).collect());
    }
    if let Some(map) = input.as_map() {
        return Json::Object(map.iter().map(|(k, v)| (k.clone(), parameters(v))).collect());
    }
    if let Some(text) = input.as_str() {
        return Json::String(text.chars().take(PARAMETER_MAX).collect());
    }
    if let Some(flag) = input.as_bool() {
        return json!(flag);
    }
    input.as_i64().map_or(Json::Null, |number| json!(number))
}

/// Hides what the model calls sensitive, as the value of a parameter.
fn hide(shown: &mut Json, model: &ServiceSchema, shape: ShapeRef) {
    let shape = model.shape(shape);
    if shape.sensitive && !shown.is_null() {
        *shown = json!(HIDDEN);
        return;
    }
    match (&shape.kind, shown) {
        (Kind::Structure(structure), Json::Object(map)) => {
            for member in &structure.members {
                if let Some(value) = map.get_mut(&lower_camel(member.name)) {
                    hide(value, model, member.target);
                }
            }
        }
        (Kind::List(element), Json::Array(list)) => {
            list.iter_mut().for_each(|value| hide(value, model, element.target));
        }
        (Kind::Map(sides), Json::Object(map)) => {
            map.values_mut().for_each(|value| hide(value, model, sides.1.target));
        }
        _ => {}
    }
}

fn lower_camel(name: &str) -> String {
    let mut chars = name.chars();
    chars.next().map_or_else(String::new, |first| first.to_lowercase().chain(chars).collect())
}
