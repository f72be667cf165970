//! The tree that an instance reads, made from its document.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::Serialize;

use crate::metadata::{Iam, InstanceMetadata, InterfaceMetadata};

/// The versions of the tree that are answered. They differ, at AWS, in what they have; here all
/// have everything.
///
/// AWS: "Access instance metadata for an EC2 instance" (versions).
const VERSIONS: [&str; 24] = [
    "1.0",
    "2007-01-19",
    "2007-03-01",
    "2007-08-29",
    "2007-10-10",
    "2007-12-15",
    "2008-02-01",
    "2008-09-01",
    "2009-04-04",
    "2011-01-01",
    "2011-05-01",
    "2012-01-12",
    "2014-02-25",
    "2014-11-05",
    "2015-10-20",
    "2016-04-19",
    "2016-06-30",
    "2016-09-02",
    "2018-03-28",
    "2018-08-17",
    "2018-09-24",
    "2019-10-01",
    "2021-03-23",
    "latest",
];

/// What an instance can read, by path (`meta-data/instance-id`).
#[derive(Debug, Default)]
pub(crate) struct Tree {
    leaves: BTreeMap<String, Vec<u8>>,
}

/// What stands at a path.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Entry {
    Text(Vec<u8>),
    /// User data, which may be anything.
    Bytes(Vec<u8>),
}

impl Tree {
    pub(crate) fn new(instance: &InstanceMetadata) -> Self {
        let mut tree = Self::default();
        tree.add_identity(instance);
        tree.add_names(instance);
        tree.add_place(instance);
        for interface in &instance.interfaces {
            tree.add_interface(interface);
        }
        if let Some(key) = &instance.public_key {
            // AWS ends the key with a line end, which lets it be appended to others.
            let line = format!("{}\n", key.openssh_key.trim_end());
            tree.put("meta-data/public-keys/0/openssh-key", &line);
            tree.put("meta-data/public-keys/0=", &key.name);
        }
        if let Some(iam) = &instance.iam {
            tree.add_iam(iam);
        }
        if instance.options.instance_tags {
            for (key, value) in &instance.tags {
                tree.leaves.insert(format!("meta-data/tags/instance/{key}"), value.clone().into());
            }
        }
        if let Some(data) = instance.user_data.as_ref().and_then(|data| BASE64.decode(data).ok()) {
            tree.leaves.insert("user-data".to_owned(), data);
        }
        tree
    }

    /// What stands at a request's path; nothing if nothing does.
    pub(crate) fn read(&self, path: &str) -> Option<Entry> {
        let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
        let Some((version, rest)) = parts.split_first() else {
            return Some(Entry::Text(VERSIONS.join("\n").into()));
        };
        if !VERSIONS.contains(version) {
            return None;
        }
        let at = rest.join("/");
        if let Some(text) = self.leaves.get(&at) {
            let is_folder_asked = path.ends_with('/');
            return match (is_folder_asked, at.as_str()) {
                (true, _) => None,
                (false, "user-data") => Some(Entry::Bytes(text.clone())),
                (false, _) => Some(Entry::Text(text.clone())),
            };
        }
        let listing = self.list(&at);
        (!listing.is_empty()).then(|| Entry::Text(listing.into()))
    }

    /// The names in a folder, as AWS lists them: those of folders end with a slash, except in the
    /// topmost folder; those of keys stand with the key's name.
    fn list(&self, folder: &str) -> String {
        let within = if folder.is_empty() { String::new() } else { format!("{folder}/") };
        let mut names = BTreeSet::new();
        for path in self.leaves.keys() {
            let Some(rest) = path.strip_prefix(&within) else { continue };
            let name = match rest.split_once('/') {
                Some((name, _)) if folder.is_empty() => name.to_owned(),
                Some(_) if folder == "meta-data/public-keys" => continue,
                Some((name, _)) => format!("{name}/"),
                None if rest == "0=" => {
                    let key = self.leaves.get(path).map(Vec::as_slice).unwrap_or_default();
                    format!("0={}", String::from_utf8_lossy(key))
                }
                None => rest.to_owned(),
            };
            names.insert(name);
        }
        names.into_iter().collect::<Vec<_>>().join("\n")
    }

    fn put(&mut self, path: &str, value: &str) {
        if !value.is_empty() {
            self.leaves.insert(path.to_owned(), value.as_bytes().to_vec());
        }
    }

    /// Puts `value` at `meta-data/…`.
    fn meta(&mut self, path: &str, value: impl ToString) {
        self.put(&format!("meta-data/{path}"), &value.to_string());
    }

    fn add_identity(&mut self, instance: &InstanceMetadata) {
        self.meta("ami-id", &instance.image_id);
        self.meta("ami-launch-index", instance.launch_index);
        self.meta("ami-manifest-path", "(unknown)");
        self.meta("instance-action", "none");
        self.meta("instance-id", &instance.instance_id);
        let life_cycle =
            if instance.life_cycle.is_empty() { "on-demand" } else { instance.life_cycle.as_str() };
        self.meta("instance-life-cycle", life_cycle);
        self.meta("instance-type", &instance.instance_type);
        self.meta("profile", "default-hvm");
        self.meta("reservation-id", &instance.reservation_id);
        self.meta("system", "nitro");
        for (name, device) in &instance.block_devices {
            self.meta(&format!("block-device-mapping/{name}"), device);
        }
        if let Some(state) = &instance.target_lifecycle_state {
            self.meta("autoscaling/target-lifecycle-state", state);
        }
        let document = IdentityDocument {
            account_id: &instance.account_id,
            architecture: &instance.architecture,
            availability_zone: &instance.availability_zone,
            billing_products: None,
            devpay_product_codes: None,
            marketplace_product_codes: None,
            image_id: &instance.image_id,
            instance_id: &instance.instance_id,
            instance_type: &instance.instance_type,
            kernel_id: None,
            pending_time: &instance.pending_time,
            private_ip: instance.local_ipv4.map(|address| address.to_string()),
            ramdisk_id: None,
            region: &instance.region,
            version: "2017-09-30",
        };
        self.json("dynamic/instance-identity/document", &document);
    }

    fn add_names(&mut self, instance: &InstanceMetadata) {
        self.meta("hostname", &instance.local_hostname);
        self.meta("local-hostname", &instance.local_hostname);
        self.meta("local-ipv4", text(instance.local_ipv4.as_ref()));
        self.meta("mac", &instance.mac);
        self.meta("public-hostname", text(instance.public_hostname.as_ref()));
        self.meta("public-ipv4", text(instance.public_ipv4.as_ref()));
        self.meta("security-groups", instance.security_groups.join("\n"));
    }

    fn add_place(&mut self, instance: &InstanceMetadata) {
        self.meta("placement/availability-zone", &instance.availability_zone);
        self.meta("placement/availability-zone-id", &instance.availability_zone_id);
        self.meta("placement/region", &instance.region);
        self.meta("services/domain", base::Partition::DNS_SUFFIX);
        self.meta("services/partition", base::Partition::NAME);
    }

    fn add_interface(&mut self, interface: &InterfaceMetadata) {
        let folder = format!("network/interfaces/macs/{}", interface.mac);
        let mut add = |name: &str, value: String| self.meta(&format!("{folder}/{name}"), value);
        add("device-number", interface.device_number.to_string());
        add("interface-id", interface.interface_id.clone());
        add("local-hostname", interface.local_hostname.clone());
        add("local-ipv4s", lines(&interface.local_ipv4s));
        add("mac", interface.mac.clone());
        add("owner-id", interface.owner_id.clone());
        add("public-hostname", text(interface.public_hostname.as_ref()));
        add("public-ipv4s", lines(&interface.public_ipv4s));
        add("security-group-ids", interface.security_group_ids.join("\n"));
        add("security-groups", interface.security_groups.join("\n"));
        add("subnet-id", interface.subnet_id.clone());
        add("subnet-ipv4-cidr-block", interface.subnet_ipv4_cidr_block.clone());
        add("vpc-id", interface.vpc_id.clone());
        add("vpc-ipv4-cidr-block", text(interface.vpc_ipv4_cidr_blocks.first()));
        add("vpc-ipv4-cidr-blocks", interface.vpc_ipv4_cidr_blocks.join("\n"));
        if let ([public], [local]) =
            (interface.public_ipv4s.as_slice(), interface.local_ipv4s.as_slice())
        {
            add(&format!("ipv4-associations/{public}"), local.to_string());
        }
    }

    fn add_iam(&mut self, iam: &Iam) {
        let Some(credentials) = &iam.credentials else { return };
        let info = IamInfo {
            code: "Success",
            last_updated: &credentials.last_updated,
            instance_profile_arn: &iam.instance_profile_arn,
            instance_profile_id: &iam.instance_profile_id,
        };
        self.json("meta-data/iam/info", &info);
        let document = CredentialsDocument {
            code: "Success",
            last_updated: &credentials.last_updated,
            kind: "AWS-HMAC",
            access_key_id: &credentials.access_key_id,
            secret_access_key: &credentials.secret_access_key,
            token: &credentials.token,
            expiration: &credentials.expiration,
        };
        self.json(&format!("meta-data/iam/security-credentials/{}", iam.role), &document);
    }

    fn json(&mut self, path: &str, document: &impl Serialize) {
        match serde_json::to_vec_pretty(document) {
            Ok(text) => {
                self.leaves.insert(path.to_owned(), text);
            }
            Err(error) => tracing::warn!(%error, path, "a document can't be written"),
        }
    }
}

fn text(value: Option<&impl ToString>) -> String {
    value.map(ToString::to_string).unwrap_or_default()
}

fn lines(values: &[impl ToString]) -> String {
    values.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

/// AWS: "Instance identity documents for Amazon EC2 instances".
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct IdentityDocument<'a> {
    account_id: &'a str,
    architecture: &'a str,
    availability_zone: &'a str,
    billing_products: Option<Vec<String>>,
    devpay_product_codes: Option<Vec<String>>,
    marketplace_product_codes: Option<Vec<String>>,
    image_id: &'a str,
    instance_id: &'a str,
    instance_type: &'a str,
    kernel_id: Option<String>,
    pending_time: &'a str,
    private_ip: Option<String>,
    ramdisk_id: Option<String>,
    region: &'a str,
    version: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct IamInfo<'a> {
    code: &'a str,
    last_updated: &'a str,
    instance_profile_arn: &'a str,
    instance_profile_id: &'a str,
}

/// AWS: "Retrieve security credentials from instance metadata".
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct CredentialsDocument<'a> {
    code: &'a str,
    last_updated: &'a str,
    #[serde(rename = "Type")]
    kind: &'a str,
    access_key_id: &'a str,
    secret_access_key: &'a str,
    token: &'a str,
    expiration: &'a str,
}
