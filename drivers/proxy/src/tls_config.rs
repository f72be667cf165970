//! What a node is told about TLS: versions, suites, certificates with their keys.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

/// How a listener speaks TLS.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tls {
    /// The versions of the protocol.
    pub versions: BTreeSet<TlsVersion>,
    /// The cipher suites by their names in AWS's security policies, the most wanted first. Those
    /// that the node does not have are not offered.
    pub suites: Vec<String>,
    /// Whether hybrid post-quantum key exchange is offered before the classical one.
    pub post_quantum: bool,
    /// The certificates; the first is shown to clients whose name none is made for.
    pub certificates: Vec<Certificate>,
}

/// A version of TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum TlsVersion {
    /// TLS 1.2.
    #[serde(rename = "TLSv1.2")]
    Tls12,
    /// TLS 1.3.
    #[serde(rename = "TLSv1.3")]
    Tls13,
}

/// A certificate that a listener shows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Certificate {
    /// Its ARN.
    pub id: String,
    /// The certificate and those it chains to, as PEM.
    pub chain: String,
    /// The private key, as PEM.
    pub key: Secret,
    /// The names that it is made for; `*.` stands for one label.
    pub names: Vec<String>,
    /// The length of its key, in bits.
    pub key_bits: u32,
    /// When it ends, in seconds since 1970.
    pub not_after: i64,
}

/// A text that is not shown.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Secret(pub String);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret")
    }
}

/// How targets are spoken to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TargetProtocol {
    /// In the clear.
    #[default]
    Http,
    /// Inside TLS. Whatever certificate a target shows is taken.
    Https,
}
