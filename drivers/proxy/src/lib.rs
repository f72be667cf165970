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
//!
//! # Differs
//!
//! - A request that hyper can't parse gets a bare 400 (or 431), without AWS's page.
//! - AWS does not say which requests it repeats. Here a request is repeated when its target was
//!   never reached, or, if it is idempotent, when the connection ended before an answer: once at
//!   the same target when that connection had been idle, and once at another target; bodies are
//!   kept for that up to 64 KiB.
//! - A target that acknowledges nothing for three seconds loses its connections, and one that could
//!   not be connected to in time is chosen last for a second. Neither changes its health.
//! - The desync modes `monitor` and `defensive` are alike: what is passed on was written anew, with
//!   one length, so there is nothing left to read in two ways.
//! - Anomaly mitigation follows a rule of our own, since AWS's is not public.
//! - TLS is that of rustls: versions 1.2 and 1.3, and of their suites those with AEAD and forward
//!   secrecy. Other suites of a security policy are not offered.
//! - Authentication actions, mutual TLS, regular expressions in conditions and rewrites are not
//!   there; the document has no members for them.

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
mod millis;
mod node;
mod pattern;
mod request_body;
mod rule;
mod serve;
mod status;
mod stream;
mod target;
mod time;
mod tls;
mod tls_config;
mod tunnel;

pub use config::{
    Action, Algorithm, Attributes, Certificate, Condition, ConfigError, DesyncMode, FixedResponse,
    Forward, HealthCheck, Listener, ListenerProtocol, NodeConfig, NodeIdentity, ProtocolVersion,
    QueryPattern, Redirect, Rule, Secret, Stickiness, Target, TargetGroup, TargetProtocol, Tls,
    TlsVersion, Unusable, WeightedGroup, XffMode,
};
pub use node::Node;
pub use status::{
    Bucket, GroupCounters, HealthState, ListenerStatus, NodeCounters, NodeStatus, Reason,
    TargetGroupStatus, TargetStatus,
};
