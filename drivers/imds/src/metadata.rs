//! The document: what each instance may read.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Everything that is told to instances.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Metadata {
    /// The secret that tokens are sealed with. All processes that serve an address share it.
    pub token_secret: String,
    /// The VPCs.
    pub vpcs: Vec<VpcMetadata>,
}

/// The instances of a VPC.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct VpcMetadata {
    /// The VPC's id; it identifies the listener between two documents.
    pub id: String,
    /// The network namespace to listen in; the process's own if there is none.
    pub namespace: Option<PathBuf>,
    /// Where to listen; 169.254.169.254:80 if it is not given.
    pub address: Option<SocketAddr>,
    /// The instance behind each private address. An instance with several has several entries.
    pub instances: BTreeMap<IpAddr, InstanceMetadata>,
}

/// How the service treats an instance.
///
/// AWS: InstanceMetadataOptions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Options {
    /// Whether requests need a token.
    pub http_tokens: HttpTokens,
    /// How many hops the answer with a token may travel, 1 to 64.
    pub hop_limit: u8,
    /// Whether the service answers the instance at all.
    pub endpoint_enabled: bool,
    /// Whether the instance can read its tags.
    pub instance_tags: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            http_tokens: HttpTokens::Optional,
            hop_limit: 1,
            endpoint_enabled: true,
            instance_tags: false,
        }
    }
}

/// Whether requests need a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HttpTokens {
    /// They may have one (IMDSv1 and v2).
    Optional,
    /// They must have one (IMDSv2 only).
    Required,
}

/// What an instance can read.
///
/// AWS: "Instance metadata categories".
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct InstanceMetadata {
    /// How the service treats the instance.
    pub options: Options,
    /// `instance-id`.
    pub instance_id: String,
    /// `ami-id`.
    pub image_id: String,
    /// `ami-launch-index`.
    pub launch_index: u32,
    /// `instance-type`.
    pub instance_type: String,
    /// `instance-life-cycle`; `on-demand` if it is empty.
    pub life_cycle: String,
    /// `reservation-id`.
    pub reservation_id: String,
    /// `local-hostname` and `hostname`.
    pub local_hostname: String,
    /// `local-ipv4`.
    pub local_ipv4: Option<Ipv4Addr>,
    /// `public-hostname`.
    pub public_hostname: Option<String>,
    /// `public-ipv4`.
    pub public_ipv4: Option<Ipv4Addr>,
    /// `mac` of the primary interface.
    pub mac: String,
    /// `security-groups`: names.
    pub security_groups: Vec<String>,
    /// `network/interfaces/macs/…`.
    pub interfaces: Vec<InterfaceMetadata>,
    /// `placement/availability-zone`.
    pub availability_zone: String,
    /// `placement/availability-zone-id`.
    pub availability_zone_id: String,
    /// `placement/region`.
    pub region: String,
    /// `block-device-mapping/…`: device names by `ami`, `root`, `ebs1` and so on.
    pub block_devices: BTreeMap<String, String>,
    /// `public-keys/0/…`.
    pub public_key: Option<PublicKey>,
    /// `iam/…`.
    pub iam: Option<Iam>,
    /// `tags/instance/…`, if the options let the instance see them.
    pub tags: BTreeMap<String, String>,
    /// `autoscaling/target-lifecycle-state`, for an instance of a group.
    pub target_lifecycle_state: Option<String>,
    /// `user-data`, in base64.
    pub user_data: Option<String>,
    /// The account, in the identity document.
    pub account_id: String,
    /// The architecture, in the identity document.
    pub architecture: String,
    /// When the instance was launched, in the identity document (ISO 8601).
    pub pending_time: String,
}

/// An interface of an instance.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct InterfaceMetadata {
    /// The hardware address, which is also its name in the tree.
    pub mac: String,
    /// `device-number`.
    pub device_number: u32,
    /// `interface-id`.
    pub interface_id: String,
    /// `local-hostname`.
    pub local_hostname: String,
    /// `local-ipv4s`.
    pub local_ipv4s: Vec<Ipv4Addr>,
    /// `public-hostname`.
    pub public_hostname: Option<String>,
    /// `public-ipv4s`.
    pub public_ipv4s: Vec<Ipv4Addr>,
    /// `owner-id`.
    pub owner_id: String,
    /// `security-groups`: names.
    pub security_groups: Vec<String>,
    /// `security-group-ids`.
    pub security_group_ids: Vec<String>,
    /// `subnet-id`.
    pub subnet_id: String,
    /// `subnet-ipv4-cidr-block`.
    pub subnet_ipv4_cidr_block: String,
    /// `vpc-id`.
    pub vpc_id: String,
    /// `vpc-ipv4-cidr-blocks`, the primary one first.
    pub vpc_ipv4_cidr_blocks: Vec<String>,
}

/// The key pair that an instance was launched with.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublicKey {
    /// The key pair's name.
    pub name: String,
    /// The key as OpenSSH writes it.
    pub openssh_key: String,
}

/// The role of an instance.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Iam {
    /// The instance profile's ARN.
    pub instance_profile_arn: String,
    /// The instance profile's id.
    pub instance_profile_id: String,
    /// The role's name.
    pub role: String,
    /// The role's credentials; nothing while there are none.
    pub credentials: Option<Credentials>,
}

/// Credentials of a role.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Credentials {
    /// When they were made (ISO 8601).
    pub last_updated: String,
    /// The access key's id.
    pub access_key_id: String,
    /// The access key's secret.
    pub secret_access_key: String,
    /// The session token.
    pub token: String,
    /// When they end (ISO 8601).
    pub expiration: String,
}

impl std::fmt::Debug for Credentials {
    /// Tells which credentials they are, and no secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials")
            .field("access_key_id", &self.access_key_id)
            .field("expiration", &self.expiration)
            .finish_non_exhaustive()
    }
}
