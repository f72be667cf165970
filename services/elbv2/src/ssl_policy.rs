//! Security policies: which versions and suites of TLS a listener speaks.
//!
//! AWS: "Security policies for your Application Load Balancer". Of AWS's policies those are here
//! that need nothing older than TLS 1.2 and no FIPS module.

use std::collections::BTreeSet;

use elbv2_api::{
    Cipher, DescribeSSLPoliciesInput, DescribeSSLPoliciesOutput, LoadBalancerTypeEnum, SslPolicy,
};
use proxy::TlsVersion;

use crate::error::{Error, Result};
use crate::{Ctx, listing};

/// The policy of a listener that names none: the console's default.
pub(crate) const DEFAULT: &str = "ELBSecurityPolicy-TLS13-1-2-Res-PQ-2025-09";

/// A security policy.
pub(crate) struct Policy {
    pub(crate) name: &'static str,
    tls13: bool,
    tls12: &'static [&'static [&'static str]],
    /// Whether keys are exchanged in a hybrid way.
    pub(crate) post_quantum: bool,
}

const TLS13: &[&str] =
    &["TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"];
/// Suites with AEAD and forward secrecy, which are those that nodes negotiate.
const GCM: &[&str] = &[
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-RSA-AES128-GCM-SHA256",
    "ECDHE-ECDSA-AES256-GCM-SHA384",
    "ECDHE-RSA-AES256-GCM-SHA384",
];
const CBC: &[&str] = &[
    "ECDHE-ECDSA-AES128-SHA256",
    "ECDHE-RSA-AES128-SHA256",
    "ECDHE-ECDSA-AES256-SHA384",
    "ECDHE-RSA-AES256-SHA384",
];
const CBC_SHA1: &[&str] = &[
    "ECDHE-ECDSA-AES128-SHA",
    "ECDHE-RSA-AES128-SHA",
    "ECDHE-RSA-AES256-SHA",
    "ECDHE-ECDSA-AES256-SHA",
];
const RSA: &[&str] = &["AES128-GCM-SHA256", "AES128-SHA256", "AES256-GCM-SHA384", "AES256-SHA256"];
const RSA_SHA1: &[&str] = &["AES128-SHA", "AES256-SHA"];

const fn policy(
    name: &'static str,
    tls13: bool,
    tls12: &'static [&'static [&'static str]],
    post_quantum: bool,
) -> Policy {
    Policy { name, tls13, tls12, post_quantum }
}

const RES_SUITES: &[&[&str]] = &[GCM];
const SUITES: &[&[&str]] = &[GCM, CBC];
const EXT1_SUITES: &[&[&str]] = &[GCM, CBC, RSA];
const EXT2_SUITES: &[&[&str]] = &[GCM, CBC, CBC_SHA1, RSA, RSA_SHA1];
const FS_SUITES: &[&[&str]] = &[GCM, CBC, CBC_SHA1];

const POLICIES: &[Policy] = &[
    policy("ELBSecurityPolicy-TLS13-1-2-2021-06", true, SUITES, false),
    policy("ELBSecurityPolicy-TLS13-1-2-Res-2021-06", true, RES_SUITES, false),
    policy("ELBSecurityPolicy-TLS13-1-2-Ext1-2021-06", true, EXT1_SUITES, false),
    policy("ELBSecurityPolicy-TLS13-1-2-Ext2-2021-06", true, EXT2_SUITES, false),
    policy("ELBSecurityPolicy-TLS13-1-3-2021-06", true, &[], false),
    policy("ELBSecurityPolicy-TLS13-1-2-PQ-2025-09", true, SUITES, true),
    policy(DEFAULT, true, RES_SUITES, true),
    policy("ELBSecurityPolicy-TLS13-1-2-Ext1-PQ-2025-09", true, EXT1_SUITES, true),
    policy("ELBSecurityPolicy-TLS13-1-2-Ext2-PQ-2025-09", true, EXT2_SUITES, true),
    policy("ELBSecurityPolicy-TLS13-1-3-PQ-2025-09", true, &[], true),
    policy("ELBSecurityPolicy-TLS-1-2-2017-01", false, EXT1_SUITES, false),
    policy("ELBSecurityPolicy-TLS-1-2-Ext-2018-06", false, EXT2_SUITES, false),
    policy("ELBSecurityPolicy-FS-1-2-2019-08", false, FS_SUITES, false),
    policy("ELBSecurityPolicy-FS-1-2-Res-2019-08", false, SUITES, false),
    policy("ELBSecurityPolicy-FS-1-2-Res-2020-10", false, RES_SUITES, false),
];

impl Policy {
    /// The versions of TLS.
    pub(crate) fn versions(&self) -> BTreeSet<TlsVersion> {
        let old = (!self.tls12.is_empty()).then_some(TlsVersion::Tls12);
        old.into_iter().chain(self.tls13.then_some(TlsVersion::Tls13)).collect()
    }

    /// The suites, the most wanted first.
    pub(crate) fn ciphers(&self) -> impl Iterator<Item = &'static str> {
        let new: &[&str] = if self.tls13 { TLS13 } else { &[] };
        new.iter().copied().chain(self.tls12.iter().flat_map(|suites| suites.iter().copied()))
    }

    fn to_wire(&self) -> SslPolicy {
        let number = |(at, name): (usize, &str)| Cipher {
            name: Some(name.to_owned()),
            priority: i32::try_from(at + 1).ok(),
        };
        let version = |version: TlsVersion| match version {
            TlsVersion::Tls12 => "TLSv1.2".to_owned(),
            TlsVersion::Tls13 => "TLSv1.3".to_owned(),
        };
        SslPolicy {
            name: Some(self.name.to_owned()),
            ssl_protocols: self.versions().into_iter().map(version).collect(),
            ciphers: self.ciphers().enumerate().map(number).collect(),
            supported_load_balancer_types: vec!["application".to_owned()],
        }
    }
}

/// The policy called `name`.
pub(crate) fn find(name: &str) -> Result<&'static Policy> {
    let found = POLICIES.iter().find(|policy| policy.name == name);
    found.ok_or_else(|| Error::SslPolicyNotFound(name.to_owned()))
}

/// Lists the security policies.
///
/// AWS: DescribeSSLPolicies.
pub(crate) async fn describe_ssl_policies(
    _ctx: Ctx,
    input: DescribeSSLPoliciesInput,
) -> Result<DescribeSSLPoliciesOutput> {
    if let Some(unknown) = input.names.iter().find(|name| find(name).is_err()) {
        return Err(Error::SslPolicyNotFound(unknown.clone()));
    }
    let asked = |policy: &&Policy| {
        (input.names.is_empty() || input.names.iter().any(|name| name == policy.name))
            && matches!(input.load_balancer_type, None | Some(LoadBalancerTypeEnum::Application))
    };
    let found: Vec<&Policy> = POLICIES.iter().filter(asked).collect();
    let page = listing::page(found, input.marker.as_deref(), input.page_size, |policy| {
        policy.name.to_owned()
    })?;
    Ok(DescribeSSLPoliciesOutput {
        ssl_policies: page.items.into_iter().map(Policy::to_wire).collect(),
        next_marker: page.next,
    })
}
