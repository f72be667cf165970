//! What a node is told: listeners with their rules, target groups with their targets, attributes.
//!
//! The document is complete: a node keeps nothing that is not in the newest one, except what it
//! observed itself (health, counters, open connections). It is written with AWS's defaults, so
//! that a document made of the required members alone behaves as a fresh load balancer does.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use base::Cidr;
use serde::{Deserialize, Serialize};

use crate::millis;
pub use crate::tls_config::{Certificate, Secret, TargetProtocol, Tls, TlsVersion};

/// Everything that one node of one load balancer does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NodeConfig {
    /// Which node this is.
    pub node: NodeIdentity,
    /// The zones that are enabled for the load balancer. Targets elsewhere are not used; an
    /// empty set enables every zone.
    #[serde(default)]
    pub zones: BTreeSet<String>,
    /// The listeners.
    #[serde(default)]
    pub listeners: Vec<Listener>,
    /// The target groups that the listeners name.
    #[serde(default)]
    pub target_groups: Vec<TargetGroup>,
    /// The load balancer's attributes.
    #[serde(default)]
    pub attributes: Attributes,
    /// The secret that stickiness cookies are made with. All nodes of a load balancer share it, so
    /// that a client stays with its target whichever node it reaches.
    #[serde(default)]
    pub cookie_secret: String,
}

/// The node's place: one per zone and load balancer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeIdentity {
    /// The id of the node's network interface, or any name that is unique among the nodes.
    pub id: String,
    /// The zone it is in.
    pub zone: String,
    /// The address that listeners are bound to and health checks come from.
    pub address: IpAddr,
}

/// A port that the load balancer answers on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Listener {
    /// The listener's ARN. It identifies the listener between two configurations.
    pub id: String,
    /// The port; 0 takes any free one (for tests).
    pub port: u16,
    /// What is spoken on it.
    #[serde(default)]
    pub protocol: ListenerProtocol,
    /// What is done with a request that no rule matches.
    pub default_action: Action,
    /// The rules; they are tried in the order of their priority, whatever the order here.
    #[serde(default)]
    pub rules: Vec<Rule>,
}

/// What a listener speaks.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ListenerProtocol {
    /// HTTP/1.1, and HTTP/2 by prior knowledge.
    #[default]
    Http,
    /// The same inside TLS; the protocol is agreed on in the handshake (ALPN).
    Https(Tls),
}

/// A listener rule: when every condition holds, the action is taken.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Rule {
    /// The rule's ARN.
    pub id: String,
    /// 1 to 50000; the lowest is tried first.
    pub priority: u32,
    /// All must hold.
    pub conditions: Vec<Condition>,
    /// What is done.
    pub action: Action,
}

/// One condition of a rule; it holds when any of its values matches. In patterns `*` stands for any
/// number of characters and `?` for exactly one.
///
/// AWS: "Condition types for listener rules" (Application Load Balancers).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "field", rename_all = "kebab-case")]
pub enum Condition {
    /// The path without its query; case matters.
    PathPattern {
        /// Patterns.
        values: Vec<String>,
    },
    /// The host, without regard to case; a port in the request's host is not looked at.
    HostHeader {
        /// Patterns.
        values: Vec<String>,
    },
    /// The method; case matters, no wildcards.
    HttpRequestMethod {
        /// Method names.
        values: Vec<String>,
    },
    /// The value of a header, without regard to case.
    HttpHeader {
        /// The header's name; no wildcards.
        name: String,
        /// Patterns.
        values: Vec<String>,
    },
    /// The query string's pairs, without regard to case.
    QueryString {
        /// Pairs, or values alone.
        values: Vec<QueryPattern>,
    },
    /// The address that the connection comes from. `X-Forwarded-For` plays no part.
    SourceIp {
        /// Blocks.
        values: Vec<Cidr>,
    },
}

/// A pattern for one pair of a query string.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueryPattern {
    /// The pattern for the key; without one, any key will do.
    #[serde(default)]
    pub key: Option<String>,
    /// The pattern for the value.
    pub value: String,
}

/// What is done with a request.
///
/// AWS: "Action types for listener rules" (Application Load Balancers).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum Action {
    /// It goes to a target of one of the groups.
    Forward(Forward),
    /// The client is sent elsewhere.
    Redirect(Redirect),
    /// The load balancer answers by itself.
    FixedResponse(FixedResponse),
}

/// The groups to forward to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Forward {
    /// One to five groups.
    pub target_groups: Vec<WeightedGroup>,
    /// How long, in seconds (1 to 604800), a client stays with the group that it got first.
    #[serde(default)]
    pub stickiness_seconds: Option<u32>,
}

/// A group's share of a forward action.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WeightedGroup {
    /// The target group's ARN.
    pub target_group: String,
    /// 0 to 999; a group of weight 0 gets nothing.
    pub weight: u32,
}

/// Where a client is sent. The parts may hold `#{protocol}`, `#{host}`, `#{port}`, `#{path}`
/// (without its leading slash) and `#{query}`, which stand for the request's own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Redirect {
    /// `HTTP`, `HTTPS` or `#{protocol}`.
    pub protocol: String,
    /// The host.
    pub host: String,
    /// A number or `#{port}`.
    pub port: String,
    /// The path, with its leading slash.
    pub path: String,
    /// The query, without its question mark.
    pub query: String,
    /// 301 or 302.
    pub status: u16,
}

impl Default for Redirect {
    /// A redirect that changes nothing, as AWS fills in what is left out.
    fn default() -> Self {
        Self {
            protocol: "#{protocol}".to_owned(),
            host: "#{host}".to_owned(),
            port: "#{port}".to_owned(),
            path: "/#{path}".to_owned(),
            query: "#{query}".to_owned(),
            status: 302,
        }
    }
}

/// An answer that needs no target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FixedResponse {
    /// A 2xx, 4xx or 5xx status.
    pub status: u16,
    /// One of the five content types that AWS accepts.
    #[serde(default)]
    pub content_type: Option<String>,
    /// To 1024 bytes.
    #[serde(default)]
    pub body: String,
}

/// Targets that get the same traffic.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TargetGroup {
    /// The target group's ARN.
    pub id: String,
    /// Whether traffic to the targets is encrypted.
    #[serde(default)]
    pub protocol: TargetProtocol,
    /// Their version of HTTP.
    #[serde(default)]
    pub protocol_version: ProtocolVersion,
    /// How a target is chosen.
    #[serde(default)]
    pub algorithm: Algorithm,
    /// How targets are judged; nothing when health checks are disabled.
    #[serde(default = "default_health_check")]
    pub health_check: Option<HealthCheck>,
    /// How long, in seconds (30 to 900), a target that became healthy gets a growing share; 0 is
    /// off.
    #[serde(default)]
    pub slow_start_seconds: u32,
    /// How long, in seconds, requests under way may take once a target is deregistered.
    #[serde(default = "default_deregistration_delay")]
    pub deregistration_delay_seconds: u32,
    /// Whether clients stay with a target.
    #[serde(default)]
    pub stickiness: Option<Stickiness>,
    /// Whether targets of other zones than the node's get traffic from it.
    #[serde(default = "yes")]
    pub cross_zone: bool,
    /// The targets.
    #[serde(default)]
    pub targets: Vec<Target>,
}

impl TargetGroup {
    /// A group called `id` with AWS's defaults and no targets.
    pub fn new(id: impl Into<String>) -> Self {
        Self {
            id: id.into(),
            protocol: TargetProtocol::default(),
            protocol_version: ProtocolVersion::default(),
            algorithm: Algorithm::default(),
            health_check: default_health_check(),
            slow_start_seconds: 0,
            deregistration_delay_seconds: default_deregistration_delay(),
            stickiness: None,
            cross_zone: true,
            targets: Vec::new(),
        }
    }

    /// How long requests under way may take once a target is deregistered.
    pub(crate) fn deregistration_delay(&self) -> Duration {
        Duration::from_secs(self.deregistration_delay_seconds.into())
    }
}

/// The protocol version that targets are spoken to with.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProtocolVersion {
    /// HTTP/1.1.
    #[default]
    Http1,
    /// HTTP/2, by prior knowledge unless it is encrypted.
    Http2,
    /// gRPC: HTTP/2, and health is a gRPC status.
    Grpc,
}

/// How a target is chosen among the healthy ones.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Algorithm {
    /// Each in turn.
    #[default]
    RoundRobin,
    /// The one with the fewest requests under way.
    LeastOutstandingRequests,
    /// By lot; with anomaly mitigation, one whose errors stand out gets less.
    WeightedRandom {
        /// Whether a target that errs more than its fellows gets less traffic.
        #[serde(default)]
        anomaly_mitigation: bool,
    },
}

/// How a target's health is found out.
///
/// AWS: "Health checks for Application Load Balancer target groups".
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HealthCheck {
    /// Whether the check is encrypted.
    #[serde(default)]
    pub protocol: TargetProtocol,
    /// The port; without one, the target's own.
    #[serde(default)]
    pub port: Option<u16>,
    /// The path that is asked for (for gRPC, the method that is called).
    #[serde(default = "default_path")]
    pub path: String,
    /// The time between two checks of a target.
    #[serde(default = "default_interval_ms", rename = "interval_ms", with = "millis")]
    pub interval: Duration,
    /// How long an answer may take.
    #[serde(default = "default_timeout_ms", rename = "timeout_ms", with = "millis")]
    pub timeout: Duration,
    /// How many successes in a row make an unhealthy target healthy.
    #[serde(default = "default_healthy_threshold")]
    pub healthy_threshold: u32,
    /// How many failures in a row make a target unhealthy.
    #[serde(default = "default_unhealthy_threshold")]
    pub unhealthy_threshold: u32,
    /// The codes of a healthy answer, as `200`, `200,202` or `200-299` (HTTP status codes, or gRPC
    /// ones for a gRPC group).
    #[serde(default = "default_matcher")]
    pub matcher: String,
}

impl Default for HealthCheck {
    fn default() -> Self {
        Self {
            protocol: TargetProtocol::default(),
            port: None,
            path: default_path(),
            interval: default_interval_ms(),
            timeout: default_timeout_ms(),
            healthy_threshold: default_healthy_threshold(),
            unhealthy_threshold: default_unhealthy_threshold(),
            matcher: default_matcher(),
        }
    }
}

/// How clients are kept with a target.
///
/// AWS: "Sticky sessions for your Application Load Balancer".
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Stickiness {
    /// By a cookie of the load balancer's own, `AWSALB`.
    LbCookie {
        /// 1 to 604800.
        duration_seconds: u32,
    },
    /// As long as the application's cookie lasts, by `AWSALBAPP-0` beside it.
    AppCookie {
        /// The application's cookie.
        cookie_name: String,
        /// 1 to 604800.
        duration_seconds: u32,
    },
}

/// Something that takes requests.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    /// The instance id or the address that was registered.
    pub id: String,
    /// Where it is reached.
    pub address: SocketAddr,
    /// Its zone; without one (`all`) it counts as being in every zone.
    #[serde(default)]
    pub zone: Option<String>,
    /// Whether it was deregistered and is to finish what it has.
    #[serde(default)]
    pub draining: bool,
    /// Why it can't be used at all, if so.
    #[serde(default)]
    pub unusable: Option<Unusable>,
}

impl Target {
    /// A target called `id` at `address`, in every zone.
    pub fn new(id: impl Into<String>, address: SocketAddr) -> Self {
        Self { id: id.into(), address, zone: None, draining: false, unusable: None }
    }
}

/// Why a target gets neither traffic nor health checks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unusable {
    /// Its instance is stopped.
    Stopped,
    /// Its instance is terminated.
    Terminated,
    /// The address is taken by a load balancer.
    AddressInUse,
}

/// The load balancer's attributes.
///
/// AWS: "Edit attributes for your Application Load Balancer".
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Attributes {
    /// `idle_timeout.timeout_seconds`, 1 to 4000.
    pub idle_timeout_seconds: u32,
    /// `client_keep_alive.seconds`, 60 to 604800: how long a client's connection is kept.
    pub client_keep_alive_seconds: u32,
    /// `routing.http.drop_invalid_header_fields.enabled`.
    pub drop_invalid_header_fields: bool,
    /// `routing.http.preserve_host_header.enabled`.
    pub preserve_host_header: bool,
    /// `routing.http.x_amzn_tls_version_and_cipher_suite.enabled`.
    pub tls_headers: bool,
    /// `routing.http.xff_client_port.enabled`.
    pub xff_client_port: bool,
    /// `routing.http.xff_header_processing.mode`.
    pub xff_mode: XffMode,
    /// `routing.http.desync_mitigation_mode`.
    pub desync: DesyncMode,
    /// `routing.http2.enabled`.
    pub http2: bool,
    /// `routing.http.response.server.enabled`: whether the balancer's own answers name it.
    pub server_header: bool,
}

impl Default for Attributes {
    fn default() -> Self {
        Self {
            idle_timeout_seconds: 60,
            client_keep_alive_seconds: 3600,
            drop_invalid_header_fields: false,
            preserve_host_header: false,
            tls_headers: false,
            xff_client_port: false,
            xff_mode: XffMode::Append,
            desync: DesyncMode::Defensive,
            http2: true,
            server_header: true,
        }
    }
}

/// What is done with `X-Forwarded-For`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum XffMode {
    /// The client's address is added at the end.
    Append,
    /// The header is passed on as it came.
    Preserve,
    /// The header is removed.
    Remove,
}

/// How requests that parsers may read differently are treated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DesyncMode {
    /// Passed on, made unambiguous.
    Monitor,
    /// Passed on, made unambiguous; the connection is closed afterwards.
    Defensive,
    /// Refused unless they keep to RFC 7230.
    Strictest,
}

/// Why a document can't be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// An action names a group that the document lacks.
    #[error("listener {listener} forwards to the unknown target group {group}")]
    UnknownTargetGroup {
        /// The listener.
        listener: String,
        /// The group it names.
        group: String,
    },
    /// Two listeners or two target groups have one id.
    #[error("{0} stands twice in the configuration")]
    Duplicate(String),
    /// A matcher is not a list of codes and ranges.
    #[error("not a list of codes: {0}")]
    Matcher(String),
    /// A certificate, its key or the way to use them can't be used.
    #[error("can't be used for TLS: {0}")]
    Tls(String),
    /// A status, header or other text can't be put into an HTTP message.
    #[error("can't be sent in HTTP: {0}")]
    NotHttp(String),
}

impl NodeConfig {
    /// Whether the document hangs together. [`Node`](crate::Node) refuses one that does not and
    /// goes on with what it has.
    ///
    /// # Errors
    ///
    /// The first fault found.
    pub fn check(&self) -> Result<(), ConfigError> {
        let mut seen = BTreeSet::new();
        let ids = self.listeners.iter().map(|listener| &listener.id);
        for id in ids.chain(self.target_groups.iter().map(|group| &group.id)) {
            if !seen.insert(id) {
                return Err(ConfigError::Duplicate(id.clone()));
            }
        }
        let groups: BTreeMap<_, _> =
            self.target_groups.iter().map(|group| (group.id.as_str(), group)).collect();
        for (listener, group) in self.forwards() {
            if !groups.contains_key(group) {
                return Err(ConfigError::UnknownTargetGroup {
                    listener: listener.to_owned(),
                    group: group.to_owned(),
                });
            }
        }
        Ok(())
    }

    /// Each listener's id with each group that it may forward to.
    pub(crate) fn forwards(&self) -> impl Iterator<Item = (&str, &str)> {
        self.listeners.iter().flat_map(|listener| {
            let rules = listener.rules.iter().map(|rule| &rule.action);
            let actions = rules.chain(std::iter::once(&listener.default_action));
            actions.flat_map(move |action| {
                let groups = match action {
                    Action::Forward(forward) => forward.target_groups.as_slice(),
                    Action::Redirect(_) | Action::FixedResponse(_) => &[],
                };
                groups.iter().map(move |group| (listener.id.as_str(), group.target_group.as_str()))
            })
        })
    }
}

fn yes() -> bool {
    true
}

#[expect(clippy::unnecessary_wraps, reason = "serde wants the field's own type")]
fn default_health_check() -> Option<HealthCheck> {
    Some(HealthCheck::default())
}

fn default_deregistration_delay() -> u32 {
    300
}

fn default_path() -> String {
    "/".to_owned()
}

fn default_interval_ms() -> Duration {
    Duration::from_secs(30)
}

fn default_timeout_ms() -> Duration {
    Duration::from_secs(5)
}

fn default_healthy_threshold() -> u32 {
    5
}

fn default_unhealthy_threshold() -> u32 {
    2
}

fn default_matcher() -> String {
    "200".to_owned()
}
