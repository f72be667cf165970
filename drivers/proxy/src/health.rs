//! Health as a state machine over outcomes, and the check that produces an outcome.
//!
//! A new target is `initial`: one success makes it healthy, the unhealthy threshold of failures in
//! a row makes it unhealthy. Afterwards the thresholds count exactly, and an opposite outcome in
//! between starts the count again.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT_ENCODING, CONNECTION, CONTENT_TYPE, HOST, TE, USER_AGENT};
use http::{Method, Request, Response, Version};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;

use crate::config::{ConfigError, HealthCheck, ProtocolVersion, TargetProtocol};
use crate::status::{HealthState, Reason};
use crate::stream::Stream;
use crate::tls;

/// A target's health and what led to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Health {
    pub(crate) state: HealthState,
    pub(crate) reason: Option<Reason>,
    pub(crate) description: Option<String>,
    in_a_row: u32,
    last_passed: bool,
}

/// What one check found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    Passed,
    WrongCode(u32),
    TimedOut,
    Failed,
}

/// What a machine's next count is measured against.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Thresholds {
    pub(crate) healthy: u32,
    pub(crate) unhealthy: u32,
}

impl Health {
    /// A target that was registered this moment.
    pub(crate) fn registered() -> Self {
        Self {
            state: HealthState::Initial,
            reason: Some(Reason::RegistrationInProgress),
            description: Some("Target registration is in progress".to_owned()),
            in_a_row: 0,
            last_passed: false,
        }
    }

    /// Takes in one outcome. Whether the state changed.
    pub(crate) fn observe(&mut self, outcome: &Outcome, thresholds: Thresholds) -> bool {
        let passed = *outcome == Outcome::Passed;
        self.in_a_row =
            if passed == self.last_passed { self.in_a_row.saturating_add(1) } else { 1 };
        self.last_passed = passed;
        let before = self.state;
        self.state = match (before, passed) {
            (HealthState::Initial, true) => HealthState::Healthy,
            (HealthState::Unhealthy, true) if self.in_a_row >= thresholds.healthy => {
                HealthState::Healthy
            }
            (HealthState::Initial | HealthState::Healthy, false)
                if self.in_a_row >= thresholds.unhealthy =>
            {
                HealthState::Unhealthy
            }
            (same, _) => same,
        };
        self.explain(outcome);
        before != self.state
    }

    fn explain(&mut self, outcome: &Outcome) {
        (self.reason, self.description) = match (self.state, outcome) {
            (HealthState::Healthy, _) => (None, None),
            (HealthState::Initial, _) => (
                Some(Reason::InitialHealthChecking),
                Some("Initial health checks in progress".to_owned()),
            ),
            // Successes that are not yet enough leave the reason of the last failure standing.
            (_, Outcome::Passed) => return,
            (_, Outcome::WrongCode(code)) => (
                Some(Reason::ResponseCodeMismatch),
                Some(format!("Health checks failed with these codes: [{code}]")),
            ),
            (_, Outcome::TimedOut) => (Some(Reason::Timeout), Some("Request timed out".to_owned())),
            (_, Outcome::Failed) => {
                (Some(Reason::FailedHealthChecks), Some("Health checks failed".to_owned()))
            }
        };
    }
}

/// The codes of a healthy answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Matcher(Vec<(u32, u32)>);

impl Matcher {
    /// Reads `200`, `200,202` or `200-299`, or any list of such.
    pub(crate) fn parse(text: &str) -> Result<Self, ConfigError> {
        let refuse = || ConfigError::Matcher(text.to_owned());
        let code = |text: &str| text.trim().parse::<u32>().map_err(|_| refuse());
        let part = |part: &str| match part.split_once('-') {
            Some((from, to)) => Ok((code(from)?, code(to)?)),
            None => code(part).map(|code| (code, code)),
        };
        text.split(',').map(part).collect::<Result<_, _>>().map(Self)
    }

    fn holds(&self, code: u32) -> bool {
        self.0.iter().any(|(from, to)| (*from..=*to).contains(&code))
    }
}

/// All that a check needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Check {
    pub(crate) address: SocketAddr,
    pub(crate) version: ProtocolVersion,
    pub(crate) settings: HealthCheck,
}

impl Check {
    /// Asks the target once, over a connection of its own.
    pub(crate) async fn run(&self, matcher: &Matcher) -> Outcome {
        match tokio::time::timeout(self.settings.timeout, self.ask()).await {
            Ok(Ok(code)) if matcher.holds(code) => Outcome::Passed,
            Ok(Ok(code)) => Outcome::WrongCode(code),
            Ok(Err(error)) => {
                tracing::debug!(target = %self.address, %error, "health check failed");
                Outcome::Failed
            }
            Err(_) => Outcome::TimedOut,
        }
    }

    pub(crate) fn thresholds(&self) -> Thresholds {
        Thresholds {
            healthy: self.settings.healthy_threshold,
            unhealthy: self.settings.unhealthy_threshold,
        }
    }

    pub(crate) fn interval(&self) -> Duration {
        // A timer can't have no period at all.
        self.settings.interval.max(Duration::from_millis(1))
    }

    async fn ask(&self) -> Result<u32, Box<dyn std::error::Error + Send + Sync>> {
        let socket = TcpStream::connect(self.address).await?;
        socket.set_nodelay(true)?;
        let tls = match self.settings.protocol {
            TargetProtocol::Http => None,
            TargetProtocol::Https => Some(tls::client_config(self.version)),
        };
        let io = TokioIo::new(Stream::over(socket, self.address, tls).await?);
        match self.version {
            ProtocolVersion::Http1 => {
                let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await?;
                let answer = sender.send_request(self.request(Version::HTTP_11)?);
                let answer = drive(connection, answer).await?;
                Ok(answer.status().as_u16().into())
            }
            ProtocolVersion::Http2 => {
                let executor = TokioExecutor::new();
                let (mut sender, connection) =
                    hyper::client::conn::http2::handshake(executor, io).await?;
                let answer = sender.send_request(self.request(Version::HTTP_2)?);
                let answer = drive(connection, answer).await?;
                Ok(answer.status().as_u16().into())
            }
            ProtocolVersion::Grpc => {
                let executor = TokioExecutor::new();
                let (mut sender, connection) =
                    hyper::client::conn::http2::handshake(executor, io).await?;
                let answer = sender.send_request(self.grpc_request()?);
                let status = async { grpc_status(answer.await?).await };
                drive(connection, status).await
            }
        }
    }

    fn scheme(&self) -> &'static str {
        match self.settings.protocol {
            TargetProtocol::Http => "http",
            TargetProtocol::Https => "https",
        }
    }

    fn request(&self, version: Version) -> Result<Request<Full<Bytes>>, http::Error> {
        let request = Request::builder().method(Method::GET).version(version);
        let request = if version == Version::HTTP_2 {
            request.uri(format!("{}://{}{}", self.scheme(), self.address, self.settings.path))
        } else {
            request
                .uri(&self.settings.path)
                .header(HOST, self.address.to_string())
                .header(CONNECTION, "close")
        };
        request
            .header(USER_AGENT, "ELB-HealthChecker/2.0")
            .header(ACCEPT_ENCODING, "gzip, compressed")
            .body(Full::default())
    }

    fn grpc_request(&self) -> Result<Request<Full<Bytes>>, http::Error> {
        // An empty message: no compression, no bytes.
        let message = Bytes::from_static(&[0; 5]);
        Request::builder()
            .method(Method::POST)
            .version(Version::HTTP_2)
            .uri(format!("{}://{}{}", self.scheme(), self.address, self.settings.path))
            .header(USER_AGENT, "ELB-HealthChecker/2.0")
            .header(CONTENT_TYPE, "application/grpc")
            .header(TE, "trailers")
            .body(Full::new(message))
    }
}

/// The gRPC status, which is in the trailers, or in the headers of an answer without a body.
async fn grpc_status(
    mut answer: Response<Incoming>,
) -> Result<u32, Box<dyn std::error::Error + Send + Sync>> {
    let read =
        |headers: &http::HeaderMap| headers.get("grpc-status")?.to_str().ok()?.parse::<u32>().ok();
    if let Some(status) = read(answer.headers()) {
        return Ok(status);
    }
    while let Some(frame) = answer.body_mut().frame().await {
        if let Some(status) = frame?.trailers_ref().and_then(read) {
            return Ok(status);
        }
    }
    Err("the answer has no grpc-status".into())
}

/// Runs a connection until the answer is there, and drops it then.
async fn drive<C, A, T, E>(
    connection: C,
    answer: A,
) -> Result<T, Box<dyn std::error::Error + Send + Sync>>
where
    C: Future<Output = hyper::Result<()>>,
    A: Future<Output = Result<T, E>>,
    E: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let mut answer = std::pin::pin!(answer);
    tokio::select! {
        biased;
        answer = &mut answer => return answer.map_err(Into::into),
        ended = connection => ended?,
    }
    // The connection ended with the answer on its way out.
    answer.await.map_err(Into::into)
}

#[cfg(test)]
mod tests {
    use super::*;

    const AWS: Thresholds = Thresholds { healthy: 5, unhealthy: 2 };

    fn check(outcomes: &str) -> Health {
        let mut health = Health::registered();
        for outcome in outcomes.chars() {
            let outcome = match outcome {
                '+' => Outcome::Passed,
                't' => Outcome::TimedOut,
                'c' => Outcome::WrongCode(404),
                _ => Outcome::Failed,
            };
            health.observe(&outcome, AWS);
        }
        health
    }

    #[test]
    fn thresholds_count_exactly() {
        use HealthState::{Healthy, Initial, Unhealthy};
        let cases = [
            ("", Initial),
            ("+", Healthy),
            ("-", Initial),
            ("-+", Healthy),
            ("--", Unhealthy),
            ("+-", Healthy),
            ("+-+-+-", Healthy),
            ("+--", Unhealthy),
            ("--++++", Unhealthy),
            ("--+++++", Healthy),
            ("--++++-+", Unhealthy),
            ("--++++-+++++", Healthy),
        ];
        for (outcomes, state) in cases {
            assert_eq!(check(outcomes).state, state, "{outcomes}");
        }
    }

    #[test]
    fn reasons_are_aws_own() {
        let code = check("cc");
        assert_eq!(code.reason.unwrap().code(), "Target.ResponseCodeMismatch");
        assert_eq!(code.description.unwrap(), "Health checks failed with these codes: [404]");
        assert_eq!(check("tt").reason, Some(Reason::Timeout));
        assert_eq!(check("--").reason, Some(Reason::FailedHealthChecks));
        assert_eq!(check("-").reason, Some(Reason::InitialHealthChecking));
        assert_eq!(check("").reason, Some(Reason::RegistrationInProgress));
        assert_eq!(check("+").reason, None);
        assert_eq!(check("cc+").reason, Some(Reason::ResponseCodeMismatch));
    }

    #[test]
    fn matchers_are_codes_and_ranges() {
        let matcher = Matcher::parse("200,202,300-399").unwrap();
        for (code, holds) in [(200, true), (201, false), (202, true), (300, true), (400, false)] {
            assert_eq!(matcher.holds(code), holds, "{code}");
        }
        for text in ["", "abc", "200-", "200;201"] {
            assert!(Matcher::parse(text).is_err(), "{text}");
        }
    }
}
