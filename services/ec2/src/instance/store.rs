//! The tables of instances.

use base::{ResourceId, Timestamp, Zone};
use serde::{Deserialize, Serialize};
use store::{Record, Table};

use crate::image::store::Source;

/// An instance. Its interfaces and root volume stand in tables of their own.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Instance {
    pub(crate) id: ResourceId,
    /// `r-…`: what one RunInstances made.
    pub(crate) reservation: ResourceId,
    /// Its place in the reservation.
    pub(crate) launch_index: u32,
    /// The AWS service that launched it for the customer, as `autoscaling.amazonaws.com`.
    pub(crate) requester: Option<String>,
    pub(crate) client_token: Option<String>,
    pub(crate) image: String,
    /// What it boots: kept, so that an image may be deregistered while its instances live.
    pub(crate) source: Source,
    pub(crate) instance_type: String,
    pub(crate) zone: Zone,
    pub(crate) vpc: ResourceId,
    pub(crate) subnet: ResourceId,
    /// The host name without its domain.
    pub(crate) hostname: String,
    pub(crate) key: Option<Key>,
    /// In base64, as it was given.
    pub(crate) user_data: Option<String>,
    pub(crate) profile: Option<Profile>,
    pub(crate) metadata: MetadataOptions,
    pub(crate) disable_api_termination: bool,
    pub(crate) disable_api_stop: bool,
    pub(crate) on_shutdown: OnShutdown,
    pub(crate) monitoring: bool,
    pub(crate) ebs_optimized: bool,
    pub(crate) auto_recovery: bool,
    /// Whether it gets a public address of its subnet's kind whenever it starts.
    pub(crate) public_address: bool,
    pub(crate) root_device: String,
    pub(crate) volume: ResourceId,
    pub(crate) state: State,
    pub(crate) reason: Option<Reason>,
    /// As `User initiated (2026-11-20 12:00:00 GMT)`.
    pub(crate) transition: String,
    /// When it was last started.
    pub(crate) launched: Timestamp,
    /// When it was first launched.
    pub(crate) created: Timestamp,
    /// When it last became what it is.
    pub(crate) changed: Timestamp,
    /// How it is to be stopped while it is stopping or shutting down.
    pub(crate) how: How,
    /// Whether somebody asked for a reboot that was not done yet.
    pub(crate) reboot: bool,
    /// The image that is to be made of it before anything else happens to it.
    pub(crate) imaging: Option<ResourceId>,
    /// Whether it was lost with its zone, and comes back with it.
    pub(crate) lost: bool,
}

/// The state of an instance.
///
/// AWS: InstanceState.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum State {
    Pending,
    Running,
    ShuttingDown,
    Terminated,
    Stopping,
    Stopped,
}

/// How an instance is ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum How {
    Gracefully,
    AtOnce,
}

/// What a shutdown from inside does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum OnShutdown {
    Stop,
    Terminate,
}

/// Why an instance is in its state.
///
/// AWS: StateReason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Reason {
    pub(crate) code: String,
    pub(crate) message: String,
}

/// The key pair that an instance was launched with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Key {
    pub(crate) name: String,
    /// The public key as OpenSSH writes it; none when the instance got a name alone.
    pub(crate) openssh: String,
}

/// An instance profile and its association.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Profile {
    /// `iip-assoc-…`.
    pub(crate) association: ResourceId,
    /// The profile's ARN.
    pub(crate) arn: String,
    /// The profile's id, as it is shown.
    pub(crate) id: String,
    pub(crate) since: Timestamp,
}

/// How the metadata service treats an instance.
///
/// AWS: InstanceMetadataOptionsResponse.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct MetadataOptions {
    pub(crate) tokens_required: bool,
    pub(crate) hop_limit: u8,
    pub(crate) endpoint: bool,
    pub(crate) tags: bool,
}

impl Record for Instance {
    type Key = ResourceId;

    fn key(&self) -> ResourceId {
        self.id.clone()
    }
}

/// The credentials of the role in an instance's profile, as the metadata service tells them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RoleCredentials {
    pub(crate) instance: ResourceId,
    /// The profile they were made for.
    pub(crate) profile: String,
    pub(crate) role_arn: String,
    pub(crate) role_name: String,
    pub(crate) access_key_id: String,
    pub(crate) secret_access_key: String,
    pub(crate) token: String,
    pub(crate) issued: Timestamp,
    pub(crate) expires: Timestamp,
}

impl Record for RoleCredentials {
    type Key = ResourceId;

    fn key(&self) -> ResourceId {
        self.instance.clone()
    }
}

impl State {
    /// The code that goes with the name.
    ///
    /// AWS: InstanceState.
    pub(crate) fn code(self) -> i32 {
        match self {
            Self::Pending => 0,
            Self::Running => 16,
            Self::ShuttingDown => 32,
            Self::Terminated => 48,
            Self::Stopping => 64,
            Self::Stopped => 80,
        }
    }

    /// The name.
    pub(crate) fn name(self) -> ec2_api::InstanceStateName {
        use ec2_api::InstanceStateName as Name;
        match self {
            Self::Pending => Name::Pending,
            Self::Running => Name::Running,
            Self::ShuttingDown => Name::ShuttingDown,
            Self::Terminated => Name::Terminated,
            Self::Stopping => Name::Stopping,
            Self::Stopped => Name::Stopped,
        }
    }

    /// Whether it has ended for good, or is about to.
    pub(crate) fn is_ending(self) -> bool {
        match self {
            Self::ShuttingDown | Self::Terminated => true,
            Self::Pending | Self::Running | Self::Stopping | Self::Stopped => false,
        }
    }
}

impl Reason {
    /// A reason as AWS writes it: the code, then the code again with its text.
    pub(crate) fn new(code: &str, text: &str) -> Self {
        Self { code: code.to_owned(), message: format!("{code}: {text}") }
    }

    /// Somebody asked for it.
    pub(crate) fn user() -> Self {
        Self::new("Client.UserInitiatedShutdown", "User initiated shutdown")
    }
}

impl Instance {
    /// Moves to `state` for `reason`.
    pub(crate) fn become_state(&mut self, state: State, reason: Option<Reason>, now: Timestamp) {
        self.state = state;
        self.reason = reason;
        self.changed = now;
    }
}

pub(crate) const INSTANCES: Table<Instance> = Table::new("ec2.instances");
pub(crate) const ROLE_CREDENTIALS: Table<RoleCredentials> = Table::new("ec2.role_credentials");
