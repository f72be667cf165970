//! Rules, compiled: which action a request gets.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use base::Cidr;
use bytes::Bytes;
use http::header::HeaderName;
use http::{HeaderMap, HeaderValue, Method, StatusCode};

use crate::config::{
    Action, Condition, ConfigError, FixedResponse, Forward, QueryPattern, Redirect, Rule,
};
use crate::group::Group;
use crate::pattern::Pattern;

/// What rules look at.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked<'a> {
    pub(crate) method: &'a Method,
    pub(crate) host: &'a str,
    pub(crate) path: &'a str,
    pub(crate) query: &'a str,
    pub(crate) headers: &'a HeaderMap,
    pub(crate) source: IpAddr,
}

/// A listener's rules in order, and what is done when none matches.
#[derive(Debug)]
pub(crate) struct Rules {
    rules: Vec<CompiledRule>,
    default: Does,
}

#[derive(Debug)]
struct CompiledRule {
    tests: Vec<Test>,
    does: Does,
}

/// An action, ready to be taken.
#[derive(Debug)]
pub(crate) enum Does {
    Forward(Split),
    Redirect(Redirect, StatusCode),
    Fixed(Fixed),
}

/// An answer that needs no target.
#[derive(Debug)]
pub(crate) struct Fixed {
    pub(crate) status: StatusCode,
    pub(crate) content_type: Option<HeaderValue>,
    pub(crate) body: Bytes,
}

/// The groups of a forward action and their shares.
#[derive(Debug)]
pub(crate) struct Split {
    groups: Vec<(Arc<Group>, u64)>,
    total: u64,
    turn: AtomicU64,
    pub(crate) stickiness_seconds: Option<u32>,
}

#[derive(Debug)]
enum Test {
    Path(Vec<Pattern>),
    Host(Vec<Pattern>),
    Method(Vec<String>),
    Header(HeaderName, Vec<Pattern>),
    Query(Vec<(Option<Pattern>, Pattern)>),
    Source(Vec<Cidr>),
}

impl Rules {
    /// Compiles a listener's rules; `group` finds the running group of an id.
    pub(crate) fn compile(
        rules: &[Rule],
        default: &Action,
        group: &dyn Fn(&str) -> Option<Arc<Group>>,
    ) -> Result<Self, ConfigError> {
        let mut ordered: Vec<&Rule> = rules.iter().collect();
        ordered.sort_by_key(|rule| rule.priority);
        let compile = |rule: &&Rule| {
            let tests = rule.conditions.iter().map(Test::compile).collect::<Result<_, _>>()?;
            Ok(CompiledRule { tests, does: Does::compile(&rule.action, group)? })
        };
        Ok(Self {
            rules: ordered.iter().map(compile).collect::<Result<_, _>>()?,
            default: Does::compile(default, group)?,
        })
    }

    /// The action of the first rule that holds.
    pub(crate) fn decide(&self, asked: &Asked<'_>) -> &Does {
        let holds = |rule: &&CompiledRule| rule.tests.iter().all(|test| test.holds(asked));
        self.rules.iter().find(holds).map_or(&self.default, |rule| &rule.does)
    }
}

impl Does {
    fn compile(
        action: &Action,
        group: &dyn Fn(&str) -> Option<Arc<Group>>,
    ) -> Result<Self, ConfigError> {
        match action {
            Action::Forward(forward) => Split::compile(forward, group).map(Self::Forward),
            Action::Redirect(redirect) => {
                Ok(Self::Redirect(redirect.clone(), status(redirect.status)?))
            }
            Action::FixedResponse(fixed) => Fixed::compile(fixed).map(Self::Fixed),
        }
    }
}

impl Fixed {
    fn compile(fixed: &FixedResponse) -> Result<Self, ConfigError> {
        let content_type = |text: &String| {
            HeaderValue::try_from(text).map_err(|_| ConfigError::NotHttp(text.clone()))
        };
        Ok(Self {
            status: status(fixed.status)?,
            content_type: fixed.content_type.as_ref().map(content_type).transpose()?,
            body: Bytes::copy_from_slice(fixed.body.as_bytes()),
        })
    }
}

fn status(code: u16) -> Result<StatusCode, ConfigError> {
    StatusCode::from_u16(code).map_err(|_| ConfigError::NotHttp(code.to_string()))
}

impl Split {
    fn compile(
        forward: &Forward,
        group: &dyn Fn(&str) -> Option<Arc<Group>>,
    ) -> Result<Self, ConfigError> {
        let mut groups = Vec::new();
        for weighted in &forward.target_groups {
            let id = &weighted.target_group;
            let running = group(id).ok_or_else(|| ConfigError::UnknownTargetGroup {
                listener: String::new(),
                group: id.clone(),
            })?;
            groups.push((running, u64::from(weighted.weight)));
        }
        // One group alone gets everything, whatever its weight says.
        if let [(_, weight)] = groups.as_mut_slice() {
            *weight = 1;
        }
        let total = groups.iter().map(|(_, weight)| weight).sum();
        let stickiness_seconds = forward.stickiness_seconds;
        Ok(Self { groups, total, turn: AtomicU64::new(0), stickiness_seconds })
    }

    /// Whether a choice has to be made at all.
    pub(crate) fn is_single(&self) -> bool {
        self.groups.len() == 1
    }

    /// The group whose turn it is; nothing when all weights are zero.
    ///
    /// Turns walk the weights in steps of the golden ratio, which spreads every stretch of
    /// requests over the groups as evenly as their weights allow, where lots would clump.
    pub(crate) fn next(&self) -> Option<&Arc<Group>> {
        let turn = match self.groups.as_slice() {
            [(group, _)] => return Some(group),
            _ => self.turn.fetch_add(1, Ordering::Relaxed),
        };
        let fraction = turn.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mut at = u64::try_from((u128::from(fraction) * u128::from(self.total)) >> 64).ok()?;
        for (group, weight) in &self.groups {
            if at < *weight {
                return Some(group);
            }
            at -= weight;
        }
        None
    }

    /// The group that `wanted` holds for, if it still gets traffic.
    pub(crate) fn find(&self, wanted: impl Fn(&Group) -> bool) -> Option<&Arc<Group>> {
        let mut weighted = self.groups.iter().filter(|(_, weight)| *weight > 0);
        weighted.find(|(group, _)| wanted(group)).map(|(group, _)| group)
    }
}

impl Test {
    fn compile(condition: &Condition) -> Result<Self, ConfigError> {
        let folded = |values: &[String]| values.iter().map(|text| Pattern::folded(text)).collect();
        Ok(match condition {
            Condition::PathPattern { values } => {
                Self::Path(values.iter().map(|text| Pattern::exact(text)).collect())
            }
            Condition::HostHeader { values } => Self::Host(folded(values)),
            Condition::HttpRequestMethod { values } => Self::Method(values.clone()),
            Condition::HttpHeader { name, values } => {
                let header = HeaderName::try_from(name);
                let header = header.map_err(|_| ConfigError::NotHttp(name.clone()))?;
                Self::Header(header, folded(values))
            }
            Condition::QueryString { values } => {
                let pair = |pattern: &QueryPattern| {
                    (pattern.key.as_deref().map(Pattern::folded), Pattern::folded(&pattern.value))
                };
                Self::Query(values.iter().map(pair).collect())
            }
            Condition::SourceIp { values } => Self::Source(values.clone()),
        })
    }

    fn holds(&self, asked: &Asked<'_>) -> bool {
        let any = |patterns: &[Pattern], text: &[u8]| patterns.iter().any(|it| it.matches(text));
        match self {
            Self::Path(patterns) => any(patterns, asked.path.as_bytes()),
            Self::Host(patterns) => any(patterns, without_port(asked.host).as_bytes()),
            Self::Method(methods) => methods.iter().any(|method| method == asked.method.as_str()),
            Self::Header(name, patterns) => {
                asked.headers.get_all(name).into_iter().any(|value| any(patterns, value.as_bytes()))
            }
            Self::Query(pairs) => pairs.iter().any(|pair| query_holds(pair, asked.query)),
            Self::Source(blocks) => match asked.source {
                IpAddr::V4(source) => blocks.iter().any(|block| block.contains(source)),
                IpAddr::V6(_) => false,
            },
        }
    }
}

fn query_holds((key, value): &(Option<Pattern>, Pattern), query: &str) -> bool {
    query.split('&').filter(|pair| !pair.is_empty()).any(|pair| {
        let (asked_key, asked_value) = pair.split_once('=').unwrap_or((pair, ""));
        let key_holds = key.as_ref().is_none_or(|key| key.matches(asked_key.as_bytes()));
        key_holds && value.matches(asked_value.as_bytes())
    })
}

/// A host without its port.
pub(crate) fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    }
}

/// The address that a redirect sends a client to.
pub(crate) fn location(redirect: &Redirect, scheme: &str, port: u16, asked: &Asked<'_>) -> String {
    let port = port.to_string();
    let fill = |template: &str| {
        template
            .replace("#{protocol}", scheme)
            .replace("#{host}", without_port(asked.host))
            .replace("#{port}", &port)
            .replace("#{path}", asked.path.strip_prefix('/').unwrap_or(asked.path))
            .replace("#{query}", asked.query)
    };
    let scheme = fill(&redirect.protocol).to_ascii_lowercase();
    let (host, port) = (fill(&redirect.host), fill(&redirect.port));
    let (path, query) = (fill(&redirect.path), fill(&redirect.query));
    let mark = if query.is_empty() { "" } else { "?" };
    format!("{scheme}://{host}:{port}{path}{mark}{query}")
}
