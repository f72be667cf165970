//! The data plane of an Application Load Balancer node.
//!
//! A [`Node`] listens on the addresses of its network interface, sends requests to targets, checks
//! the targets' health and counts. It gets one document ([`NodeConfig`]) that says everything,
//! answers with one ([`NodeStatus`]), and needs nobody in between: when no new document comes, it
//! goes on with the last.
//!
//! The path of a request: [`listener`](self) accepts a connection and serves HTTP/1.1 or HTTP/2 on
//! it; `serve` checks the request and finds its rule; `forward` chooses a target from the group's
//! snapshot and makes attempts; `h1` and `h2` hold the connections to targets; `answer` is what the
//! client gets. Balancing is per request, never per connection. A configuration replaces plans and
//! snapshots by pointer, so requests never wait for one.

mod answer;
mod config;
mod cookie;
mod counters;
mod dice;
mod edge;
mod forward;
mod group;
mod h1;
mod h2;
mod headers;
mod health;
mod listener;
mod node;
mod pattern;
mod request_body;
mod rule;
mod serve;
mod status;
mod target;
mod time;
mod tunnel;

pub use config::{
    Action, Algorithm, Attributes, Condition, ConfigError, DesyncMode, FixedResponse, Forward,
    HealthCheck, Listener, ListenerProtocol, NodeConfig, NodeIdentity, ProtocolVersion,
    QueryPattern, Redirect, Rule, Stickiness, Target, TargetGroup, Unusable, WeightedGroup,
    XffMode,
};
pub use node::Node;
pub use status::{
    Bucket, GroupCounters, HealthState, ListenerStatus, NodeCounters, NodeStatus, Reason,
    TargetGroupStatus, TargetStatus,
};
