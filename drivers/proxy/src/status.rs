//! What a node tells: each target's health with AWS's reasons, and what it counted.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

/// Everything that a node observed.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct NodeStatus {
    /// The listeners, by configuration order.
    pub listeners: Vec<ListenerStatus>,
    /// The target groups, by configuration order.
    pub target_groups: Vec<TargetGroupStatus>,
    /// What the node itself counted.
    pub counters: NodeCounters,
}

/// Whether a listener listens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListenerStatus {
    /// The listener's id.
    pub id: String,
    /// Where it listens; nothing while it can't.
    pub address: Option<SocketAddr>,
    /// Why it can't. It is tried again every second.
    pub error: Option<String>,
}

/// A target group as this node sees it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct TargetGroupStatus {
    /// The target group's id.
    pub id: String,
    /// The targets that this node may send to, by configuration order.
    pub targets: Vec<TargetStatus>,
    /// What was counted for the group.
    pub counters: GroupCounters,
}

/// A target as this node sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TargetStatus {
    /// The target's id.
    pub id: String,
    /// Where it is reached.
    pub address: SocketAddr,
    /// Its state.
    pub state: HealthState,
    /// Why it is not healthy.
    pub reason: Option<Reason>,
    /// AWS's text for the reason.
    pub description: Option<String>,
    /// Requests under way.
    pub in_flight: u64,
    /// Requests sent to it since the node started.
    pub requests: u64,
    /// Connections to it that failed.
    pub connection_errors: u64,
    /// Whether its errors stand out among its fellows'.
    pub anomalous: bool,
}

/// A target's health.
///
/// AWS: TargetHealth (`State`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HealthState {
    /// Registered, not yet judged.
    Initial,
    /// Gets traffic.
    Healthy,
    /// Gets traffic only when no target of the group is healthy.
    Unhealthy,
    /// Deregistered; finishing.
    Draining,
    /// Not in use.
    Unused,
    /// Health checks are disabled.
    Unavailable,
}

/// Why a target is in a state other than healthy.
///
/// AWS: TargetHealth (`Reason`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reason {
    /// The target is being registered.
    #[serde(rename = "Elb.RegistrationInProgress")]
    RegistrationInProgress,
    /// The first checks are under way.
    #[serde(rename = "Elb.InitialHealthChecking")]
    InitialHealthChecking,
    /// The answer's code is not one of the matcher's.
    #[serde(rename = "Target.ResponseCodeMismatch")]
    ResponseCodeMismatch,
    /// No answer in time.
    #[serde(rename = "Target.Timeout")]
    Timeout,
    /// No connection, or no valid answer.
    #[serde(rename = "Target.FailedHealthChecks")]
    FailedHealthChecks,
    /// The group is in no listener's action, or the zone is not enabled.
    #[serde(rename = "Target.NotInUse")]
    NotInUse,
    /// The target was deregistered.
    #[serde(rename = "Target.DeregistrationInProgress")]
    DeregistrationInProgress,
    /// The instance is stopped or terminated.
    #[serde(rename = "Target.InvalidState")]
    InvalidState,
    /// The address can't be used as a target.
    #[serde(rename = "Target.IpUnusable")]
    IpUnusable,
    /// Health checks are disabled.
    #[serde(rename = "Target.HealthCheckDisabled")]
    HealthCheckDisabled,
}

impl Reason {
    /// The code as AWS writes it.
    pub fn code(self) -> &'static str {
        match self {
            Self::RegistrationInProgress => "Elb.RegistrationInProgress",
            Self::InitialHealthChecking => "Elb.InitialHealthChecking",
            Self::ResponseCodeMismatch => "Target.ResponseCodeMismatch",
            Self::Timeout => "Target.Timeout",
            Self::FailedHealthChecks => "Target.FailedHealthChecks",
            Self::NotInUse => "Target.NotInUse",
            Self::DeregistrationInProgress => "Target.DeregistrationInProgress",
            Self::InvalidState => "Target.InvalidState",
            Self::IpUnusable => "Target.IpUnusable",
            Self::HealthCheckDisabled => "Target.HealthCheckDisabled",
        }
    }
}

/// What the node counted since it started. Two readings give a rate.
///
/// AWS: "CloudWatch metrics for your Application Load Balancer"; the names are the metrics'.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeCounters {
    /// `ActiveConnectionCount`: connections open now, from clients.
    pub active_connections: u64,
    /// `NewConnectionCount`, from clients.
    pub new_connections: u64,
    /// `RejectedConnectionCount`: refused because the node was full.
    pub rejected_connections: u64,
    /// `ClientTLSNegotiationErrorCount`.
    #[serde(default)]
    pub tls_errors: u64,
    /// `ProcessedBytes`, from and to clients.
    pub processed_bytes: u64,
    /// `RequestCount`: every request, also those that no target got.
    pub requests: u64,
    /// `HTTP_Redirect_Count`.
    pub redirects: u64,
    /// `HTTP_Fixed_Response_Count`.
    pub fixed_responses: u64,
    /// `HTTPCode_ELB_3XX_Count`.
    pub elb_3xx: u64,
    /// `HTTPCode_ELB_4XX_Count`.
    pub elb_4xx: u64,
    /// `HTTPCode_ELB_5XX_Count`.
    pub elb_5xx: u64,
    /// `HTTPCode_ELB_500_Count`.
    pub elb_500: u64,
    /// `HTTPCode_ELB_502_Count`.
    pub elb_502: u64,
    /// `HTTPCode_ELB_503_Count`.
    pub elb_503: u64,
    /// `HTTPCode_ELB_504_Count`.
    pub elb_504: u64,
    /// `GrpcRequestCount`.
    pub grpc_requests: u64,
    /// Requests under way now.
    pub in_flight: u64,
}

/// What was counted for a target group since the node started.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct GroupCounters {
    /// `RequestCountPerTarget` times the targets: requests that a target got.
    pub requests: u64,
    /// `HTTPCode_Target_2XX_Count`.
    pub target_2xx: u64,
    /// `HTTPCode_Target_3XX_Count`.
    pub target_3xx: u64,
    /// `HTTPCode_Target_4XX_Count`.
    pub target_4xx: u64,
    /// `HTTPCode_Target_5XX_Count`.
    pub target_5xx: u64,
    /// `TargetConnectionErrorCount`.
    pub connection_errors: u64,
    /// Requests that were sent again, to the same target or another.
    pub retries: u64,
    /// `TargetResponseTime`: how many answers' headers took no longer than each bound.
    pub response_time: Vec<Bucket>,
    /// The sum of those times, in microseconds.
    pub response_time_sum_us: u64,
    /// `HealthyHostCount` as this node sees it.
    pub healthy: u64,
    /// `UnHealthyHostCount` as this node sees it.
    pub unhealthy: u64,
}

/// One bar of a histogram.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bucket {
    /// The upper bound, in microseconds; nothing for the last bar.
    pub up_to_us: Option<u64>,
    /// How many fell in it.
    pub count: u64,
}
