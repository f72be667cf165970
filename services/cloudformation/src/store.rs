//! The service's tables.
//!
//! A stack and its resources carry everything that an operation needs to go on after a crash: the
//! stack's status is the phase, a resource's status and token say how far it came. What a resource
//! was before the operation stays beside what it is, until the operation is over.

use std::collections::{BTreeMap, BTreeSet};

use base::{AccountId, Arn, Tags, Timestamp};
use cloudformation_api::{
    ChangeSetStatus, ExecutionStatus, OnFailure, ResourceStatus, StackStatus,
};
use kernel::Caller;
use policy::Principal;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use store::{Index, Record, Table};

/// A stack.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Stack {
    /// Its ARN.
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) created: Timestamp,
    pub(crate) updated: Option<Timestamp>,
    pub(crate) deleted: Option<Timestamp>,
    #[serde(with = "wire")]
    pub(crate) status: StackStatus,
    pub(crate) reason: Option<String>,
    /// What the stack is, or is becoming.
    pub(crate) deployment: Deployment,
    /// What it was when an update began, until the update is over.
    pub(crate) before: Option<Deployment>,
    /// What is under way, or was last.
    pub(crate) operation: Operation,
    /// A deletion that begins as soon as what is under way has stopped.
    pub(crate) pending: Option<Operation>,
    pub(crate) outputs: Vec<StackOutput>,
    pub(crate) termination_protection: bool,
    pub(crate) timeout_minutes: Option<i32>,
    pub(crate) disable_rollback: bool,
    pub(crate) policy: Option<String>,
    /// The change set that was executed last.
    pub(crate) change_set: Option<String>,
    /// The last operations, newest first: kind and id.
    pub(crate) history: Vec<(String, String)>,
}

/// How many operations a stack remembers.
const HISTORY_MAX: usize = 10;

/// What a stack is made from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Deployment {
    /// The template as it came.
    pub(crate) template: String,
    /// The parameters' values as given or by default.
    pub(crate) parameters: BTreeMap<String, String>,
    /// What the Parameter Store held for parameters from there.
    pub(crate) resolved: BTreeMap<String, String>,
    pub(crate) tags: Tags,
    pub(crate) capabilities: Vec<String>,
    pub(crate) role: Option<String>,
}

/// An operation on a stack.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Operation {
    pub(crate) id: String,
    /// `CREATE_STACK`, `UPDATE_STACK`, …
    pub(crate) kind: String,
    /// The request's token.
    pub(crate) token: Option<String>,
    pub(crate) caller: KeptCaller,
    pub(crate) started: Timestamp,
    /// Why it is to be given up, once somebody or something said so.
    pub(crate) cancelled: Option<String>,
    #[serde(with = "wire")]
    pub(crate) on_failure: OnFailure,
    /// Resources to keep (`DeleteStack`) or to leave as they are (`ContinueUpdateRollback`).
    pub(crate) spared: BTreeSet<String>,
    pub(crate) retain_except_on_create: bool,
}

/// An output with its value.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct StackOutput {
    pub(crate) key: String,
    pub(crate) value: String,
    pub(crate) description: Option<String>,
    pub(crate) export: Option<String>,
}

impl Record for Stack {
    type Key = String;

    fn key(&self) -> String {
        self.id.clone()
    }
}

/// The stacks, also deleted ones.
pub(crate) const STACKS: Table<Stack> =
    Table::new("cloudformation.stacks").with_indexes(&[&LIVE_BY_NAME]);

/// The stacks that are not deleted, by name.
pub(crate) const LIVE_BY_NAME: Index<Stack, String> = Index::unique(
    || STACKS,
    "live-name",
    |stack| stack.deleted.is_none().then(|| stack.name.clone()).into_iter().collect(),
);

impl Stack {
    /// Makes `operation` the stack's, in the phase `status`.
    pub(crate) fn begin(&mut self, operation: Operation, status: StackStatus, why: Option<String>) {
        self.history.insert(0, (operation.kind.clone(), operation.id.clone()));
        self.history.truncate(HISTORY_MAX);
        self.operation = operation;
        self.status = status;
        self.reason = why;
    }

    /// Whether the engine has work with it.
    pub(crate) fn in_progress(&self) -> bool {
        self.status.as_str().ends_with("_IN_PROGRESS")
            && self.status != StackStatus::ReviewInProgress
    }
}

/// A resource of a stack.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct StackResource {
    pub(crate) stack: String,
    pub(crate) logical_id: String,
    pub(crate) kind: String,
    #[serde(with = "wire")]
    pub(crate) status: ResourceStatus,
    pub(crate) reason: Option<String>,
    pub(crate) updated: Timestamp,
    /// What it is, or is becoming.
    pub(crate) current: Incarnation,
    /// What it was when the operation began, once the operation has touched it.
    pub(crate) before: Option<Incarnation>,
    /// The operation that made it, until that is over.
    pub(crate) added_by: Option<String>,
    /// The operation that is done with it.
    pub(crate) done_by: Option<String>,
}

/// A physical resource.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Incarnation {
    /// The same for every try to make it.
    pub(crate) token: String,
    /// Missing until it is known.
    pub(crate) physical_id: Option<String>,
    /// Its properties; dynamic references stay as they are.
    pub(crate) properties: Map<String, Value>,
    pub(crate) attributes: BTreeMap<String, Value>,
    /// Its declaration in the template.
    pub(crate) declared: Value,
    /// The resources it needs.
    pub(crate) needs: BTreeSet<String>,
    pub(crate) metadata: Option<Value>,
    /// How it is updated, where the template says so.
    #[serde(default)]
    pub(crate) update_policy: Option<Value>,
    /// The stack's tags when it was made or changed last.
    pub(crate) tags: Tags,
}

impl Record for StackResource {
    type Key = (String, String);

    fn key(&self) -> Self::Key {
        (self.stack.clone(), self.logical_id.clone())
    }
}

/// The resources of the stacks.
pub(crate) const RESOURCES: Table<StackResource> = Table::new("cloudformation.resources");

/// A physical resource that a stack no longer has and that is still to be given up.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Leftover {
    pub(crate) stack: String,
    pub(crate) logical_id: String,
    pub(crate) kind: String,
    pub(crate) incarnation: Incarnation,
    /// `Delete`, `Retain` or `Snapshot`.
    pub(crate) policy: String,
    /// Whether the resource goes as a whole, row and all, rather than one incarnation of it.
    pub(crate) whole: bool,
}

impl Record for Leftover {
    type Key = (String, String);

    fn key(&self) -> Self::Key {
        (self.stack.clone(), self.incarnation.token.clone())
    }
}

/// What the clean-up phases still have to do.
pub(crate) const LEFTOVERS: Table<Leftover> = Table::new("cloudformation.leftovers");

/// An event of a stack.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct StackEvent {
    pub(crate) stack: String,
    pub(crate) number: i64,
    pub(crate) id: String,
    pub(crate) operation: String,
    pub(crate) logical_id: String,
    pub(crate) physical_id: Option<String>,
    pub(crate) kind: String,
    #[serde(with = "wire")]
    pub(crate) status: ResourceStatus,
    pub(crate) reason: Option<String>,
    pub(crate) properties: Option<String>,
    pub(crate) token: Option<String>,
    pub(crate) at: Timestamp,
}

impl Record for StackEvent {
    type Key = (String, i64);

    fn key(&self) -> Self::Key {
        (self.stack.clone(), self.number)
    }
}

/// The events, oldest first.
pub(crate) const EVENTS: Table<StackEvent> = Table::new("cloudformation.events");

/// A signal for a resource.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Signal {
    /// The token of the incarnation it is for.
    pub(crate) token: String,
    pub(crate) unique_id: String,
    pub(crate) success: bool,
}

impl Record for Signal {
    type Key = (String, String);

    fn key(&self) -> Self::Key {
        (self.token.clone(), self.unique_id.clone())
    }
}

/// The signals that came.
pub(crate) const SIGNALS: Table<Signal> = Table::new("cloudformation.signals");

/// A value that a stack exports.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Export {
    pub(crate) name: String,
    pub(crate) value: String,
    pub(crate) stack: String,
    pub(crate) stack_name: String,
}

impl Record for Export {
    type Key = String;

    fn key(&self) -> String {
        self.name.clone()
    }
}

/// The exports of the region.
pub(crate) const EXPORTS: Table<Export> = Table::new("cloudformation.exports");

/// A stack's use of an export.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Import {
    pub(crate) export: String,
    pub(crate) stack: String,
    pub(crate) stack_name: String,
}

impl Record for Import {
    type Key = (String, String);

    fn key(&self) -> Self::Key {
        (self.export.clone(), self.stack.clone())
    }
}

/// The imports of the region.
pub(crate) const IMPORTS: Table<Import> =
    Table::new("cloudformation.imports").with_indexes(&[&IMPORTS_BY_STACK]);

/// The imports of a stack.
pub(crate) const IMPORTS_BY_STACK: Index<Import, String> =
    Index::new(|| IMPORTS, "stack", |import| vec![import.stack.clone()]);

/// A change set.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct ChangeSet {
    /// Its ARN.
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) stack: String,
    pub(crate) stack_name: String,
    pub(crate) description: Option<String>,
    pub(crate) created: Timestamp,
    #[serde(with = "wire")]
    pub(crate) status: ChangeSetStatus,
    pub(crate) reason: Option<String>,
    #[serde(with = "wire")]
    pub(crate) execution: ExecutionStatus,
    pub(crate) deployment: Deployment,
    pub(crate) changes: Vec<PlannedChange>,
    #[serde(with = "wire")]
    pub(crate) on_failure: OnFailure,
    pub(crate) caller: KeptCaller,
    /// The stack's last operation when the changes were found.
    pub(crate) based_on: String,
}

/// A change as a change set shows it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct PlannedChange {
    pub(crate) action: String,
    pub(crate) logical_id: String,
    pub(crate) physical_id: Option<String>,
    pub(crate) kind: String,
    pub(crate) replacement: Option<String>,
    pub(crate) policy: Option<String>,
    pub(crate) scope: Vec<String>,
    pub(crate) details: Vec<PlannedDetail>,
}

/// A difference as a change set shows it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct PlannedDetail {
    pub(crate) attribute: String,
    pub(crate) name: Option<String>,
    pub(crate) recreation: String,
    pub(crate) evaluation: String,
    pub(crate) source: String,
    pub(crate) entity: Option<String>,
    pub(crate) before: Option<Value>,
    pub(crate) after: Option<Value>,
}

impl Record for ChangeSet {
    type Key = (String, String);

    fn key(&self) -> Self::Key {
        (self.stack.clone(), self.id.clone())
    }
}

/// The change sets.
pub(crate) const CHANGE_SETS: Table<ChangeSet> = Table::new("cloudformation.change_sets");

/// The one on whose behalf a stack is worked on, as kept for the time of the operation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct KeptCaller {
    principal: KeptPrincipal,
    account: AccountId,
    arn: String,
    user_id: String,
    access_key_id: Option<String>,
    session_policies: Vec<String>,
    #[serde(default)]
    facts: kernel::session::SessionFacts,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
enum KeptPrincipal {
    Root {
        account: AccountId,
    },
    User {
        arn: Arn,
        id: String,
    },
    AssumedRole {
        role: Arn,
        session: Arn,
        role_id: String,
    },
    FederatedUser {
        arn: Arn,
        #[serde(default)]
        user: Option<Arn>,
    },
    Service {
        name: String,
    },
    Federated {
        provider: String,
    },
    Anonymous,
}

impl From<&Caller> for KeptCaller {
    fn from(caller: &Caller) -> Self {
        let principal = match caller.principal.clone() {
            Principal::Root { account } => KeptPrincipal::Root { account },
            Principal::User { arn, id } => KeptPrincipal::User { arn, id },
            Principal::AssumedRole { role, session, role_id } => {
                KeptPrincipal::AssumedRole { role, session, role_id }
            }
            Principal::FederatedUser { arn, user } => KeptPrincipal::FederatedUser { arn, user },
            Principal::Service { name } => KeptPrincipal::Service { name },
            Principal::Federated { provider } => KeptPrincipal::Federated { provider },
            Principal::Anonymous => KeptPrincipal::Anonymous,
        };
        Self {
            principal,
            account: caller.account.clone(),
            arn: caller.arn.clone(),
            user_id: caller.user_id.clone(),
            access_key_id: caller.access_key_id.clone(),
            session_policies: caller.session_policies.clone(),
            facts: caller.facts.clone(),
        }
    }
}

impl From<KeptCaller> for Caller {
    /// The session of a forward access: it outlives the credentials that began it, as AWS's does.
    fn from(kept: KeptCaller) -> Self {
        let principal = match kept.principal {
            KeptPrincipal::Root { account } => Principal::Root { account },
            KeptPrincipal::User { arn, id } => Principal::User { arn, id },
            KeptPrincipal::AssumedRole { role, session, role_id } => {
                Principal::AssumedRole { role, session, role_id }
            }
            KeptPrincipal::FederatedUser { arn, user } => Principal::FederatedUser { arn, user },
            KeptPrincipal::Service { name } => Principal::Service { name },
            KeptPrincipal::Federated { provider } => Principal::Federated { provider },
            KeptPrincipal::Anonymous => Principal::Anonymous,
        };
        Self {
            principal,
            account: kept.account,
            arn: kept.arn,
            user_id: kept.user_id,
            access_key_id: kept.access_key_id,
            invoked_by: Some(crate::PRINCIPAL.to_owned()),
            session_policies: kept.session_policies,
            expires: None,
            facts: kept.facts,
        }
    }
}

/// Enumerations of the model as their texts on the wire.
mod wire {
    use std::fmt::Display;
    use std::str::FromStr;

    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<T: Display, S: Serializer>(
        value: &T,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        to.collect_str(value)
    }

    pub(super) fn deserialize<'de, T, D>(from: D) -> Result<T, D::Error>
    where
        T: FromStr,
        T::Err: Display,
        D: Deserializer<'de>,
    {
        String::deserialize(from)?.parse().map_err(D::Error::custom)
    }
}
