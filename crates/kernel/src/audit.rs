//! A record of every call, in CloudTrail's event format.
//!
//! AWS: "CloudTrail record contents".

use base::{AccountId, Region, Timestamp};
use protocol::Value;
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};
use store::{Record, Scope, Store, Table};
use tokio::sync::mpsc;

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
pub(crate) struct Audit(mpsc::Sender<(Scope, AuditRecord)>);

impl Audit {
    /// A writer, and the future that does its work until every sender is gone.
    pub(crate) fn new(store: Store) -> (Self, impl Future<Output = ()> + Send) {
        let (sender, mut queue) = mpsc::channel(QUEUE_MAX);
        let writer = async move {
            let mut batch = Vec::new();
            while queue.recv_many(&mut batch, BATCH_MAX).await > 0 {
                let records = std::mem::take(&mut batch);
                let written = store
                    .write(move |tx| {
                        for (scope, record) in &records {
                            tx.scope(scope).put(&RECORDS, record)?;
                        }
                        Ok::<_, store::Error>(())
                    })
                    .await;
                if let Err(error) = written {
                    tracing::error!(%error, "audit records were lost");
                }
            }
        };
        (Self(sender), writer)
    }

    pub(crate) async fn record(&self, scope: Scope, record: AuditRecord) {
        if self.0.send((scope, record)).await.is_err() {
            tracing::error!("the audit writer is gone");
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
            "userIdentity": self.caller.map_or_else(unknown_identity, identity),
            "eventTime": self.time.iso8601_seconds(),
            "eventSource": self.event_source,
            "eventName": self.event_name,
            "awsRegion": self.region.as_str(),
            "sourceIPAddress": source_ip,
            "userAgent": self.request.user_agent,
            "requestParameters": self.input.map_or(Json::Null, parameters),
            "responseElements": Json::Null,
            "requestID": self.request.request_id,
            "eventID": self.event_id,
            "readOnly": read_only,
            "eventType": "AwsApiCall",
            "managementEvent": true,
            "recipientAccountId": self.account.as_str(),
            "eventCategory": "Management",
        });
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

fn identity(caller: &Caller) -> Json {
    let kind = match &caller.principal {
        Principal::Root { .. } => "Root",
        Principal::User { .. } => "IAMUser",
        Principal::AssumedRole { .. } => "AssumedRole",
        Principal::Service { .. } => "AWSService",
        Principal::FederatedUser { .. } => "FederatedUser",
        Principal::Federated { .. } => "WebIdentityUser",
        Principal::Anonymous => "Unknown",
    };
    json!({
        "type": kind,
        "principalId": caller.user_id,
        "arn": caller.arn,
        "accountId": caller.account.as_str(),
        "accessKeyId": caller.access_key_id,
        "invokedBy": caller.invoked_by,
    })
}

/// Names of members whose values are never recorded.
const SECRET_WORDS: [&str; 6] =
    ["password", "secret", "token", "credential", "privatekey", "authtoken"];

fn parameters(input: &Value) -> Json {
    if let Some(fields) = input.as_struct() {
        let entry = |(name, value): (&'static str, &Value)| {
            let lower = name.to_lowercase();
            let hidden = SECRET_WORDS.iter().any(|word| lower.contains(word))
                && !lower.ends_with("id")
                && !lower.ends_with("arn");
            let shown =
                if hidden { json!("HIDDEN_DUE_TO_SECURITY_REASONS") } else { parameters(value) };
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

fn lower_camel(name: &str) -> String {
    let mut chars = name.chars();
    chars.next().map_or_else(String::new, |first| first.to_lowercase().chain(chars).collect())
}
