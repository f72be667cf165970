//! The document that nodes get, made from what the owner asked for.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use kernel::ServiceError;
use kernel::certificates::{CERTIFICATES, Material};
use kernel::cipher::Cipher;
use proxy::{NodeConfig, NodeIdentity};
use store::{ReadTx, StartsWith};

use crate::error::Result;
use crate::load_balancer::{listeners_of, rules_of};
use crate::store::{
    HealthCheck, LISTENERS, LOAD_BALANCERS, Listener, ListenerTls, LoadBalancer, RULES, Rule,
    TARGET_GROUPS, TARGETS, Target, TargetGroup,
};
use crate::{action, certificate, load_balancer_attribute, ssl_policy, target_group_attribute};

/// A load balancer and everything that hangs on it.
pub(crate) struct Plan {
    pub(crate) load_balancer: LoadBalancer,
    listeners: Vec<(Listener, Vec<Rule>)>,
    groups: Vec<(TargetGroup, Vec<Target>)>,
    certificates: BTreeMap<String, Material>,
}

/// The groups that the listeners of a load balancer forward to.
pub(crate) fn groups_used(tx: &ReadTx<'_>, load_balancer: &str) -> Result<BTreeSet<String>> {
    let mut used = BTreeSet::new();
    for listener in tx.scan(&LISTENERS, StartsWith(&listeners_of(load_balancer)))? {
        used.extend(action::groups(&listener.action.action));
    }
    let prefix = load_balancer.replacen(":loadbalancer/", ":listener-rule/", 1);
    for rule in tx.scan(&RULES, StartsWith(&format!("{prefix}/")))? {
        used.extend(action::groups(&rule.action.action));
    }
    Ok(used)
}

impl Plan {
    /// The plan of a load balancer, also of one that is being deleted.
    pub(crate) fn read(tx: &ReadTx<'_>, arn: &str) -> Result<Option<Self>> {
        let Some(load_balancer) = tx.get(&LOAD_BALANCERS, arn)? else { return Ok(None) };
        let mut listeners = Vec::new();
        for listener in tx.scan(&LISTENERS, StartsWith(&listeners_of(arn)))? {
            let rules = tx.scan(&RULES, StartsWith(&rules_of(&listener.arn.to_string())))?;
            listeners.push((listener, rules));
        }
        let mut groups = Vec::new();
        for group in groups_used(tx, arn)? {
            if let Some(found) = tx.get(&TARGET_GROUPS, &group)? {
                groups.push((found, tx.scan(&TARGETS, (group,))?));
            }
        }
        let mut certificates = BTreeMap::new();
        for arn in listeners.iter().flat_map(|(listener, _)| certificate::shown(listener)) {
            let found = tx.get(&CERTIFICATES, arn)?.and_then(|found| found.material);
            certificates.extend(found.map(|material| (arn.to_owned(), material)));
        }
        Ok(Some(Self { load_balancer, listeners, groups, certificates }))
    }

    /// What the node called `node` does.
    ///
    /// # Errors
    ///
    /// A certificate's key cannot be opened.
    pub(crate) fn config(&self, node: NodeIdentity, cipher: &Cipher) -> Result<NodeConfig> {
        let places = &self.load_balancer.places;
        let mut listeners = Vec::new();
        for (listener, rules) in &self.listeners {
            let protocol = match &listener.tls {
                None => proxy::ListenerProtocol::Http,
                Some(tls) => proxy::ListenerProtocol::Https(self.tls(listener, tls, cipher)?),
            };
            listeners.push(document(listener, protocol, rules));
        }
        Ok(NodeConfig {
            node,
            zones: places.iter().map(|place| place.zone.to_string()).collect(),
            listeners,
            target_groups: self.groups.iter().map(|(it, targets)| group(it, targets)).collect(),
            attributes: load_balancer_attribute::for_node(&self.load_balancer.attributes),
            cookie_secret: self.load_balancer.cookie_secret.clone(),
        })
    }

    fn tls(&self, listener: &Listener, tls: &ListenerTls, cipher: &Cipher) -> Result<proxy::Tls> {
        let policy = ssl_policy::find(&tls.policy)?;
        let mut certificates = Vec::new();
        for arn in certificate::shown(listener) {
            let Some(material) = self.certificates.get(arn) else { continue };
            let key = material.key(cipher, arn).map_err(ServiceError::internal)?;
            certificates.push(proxy::Certificate {
                id: arn.to_owned(),
                chain: material.chain.clone(),
                key: proxy::Secret(key),
                names: material.names.clone(),
                key_bits: material.key_bits(),
                not_after: material.not_after.as_secs(),
            });
        }
        Ok(proxy::Tls {
            versions: policy.versions(),
            suites: policy.ciphers().map(str::to_owned).collect(),
            post_quantum: policy.post_quantum,
            certificates,
        })
    }
}

fn document(
    listener: &Listener,
    protocol: proxy::ListenerProtocol,
    rules: &[Rule],
) -> proxy::Listener {
    let rule = |rule: &Rule| proxy::Rule {
        id: rule.arn.to_string(),
        priority: rule.priority,
        conditions: rule.conditions.clone(),
        action: rule.action.action.clone(),
    };
    proxy::Listener {
        id: listener.arn.to_string(),
        port: listener.port,
        protocol,
        default_action: listener.action.action.clone(),
        rules: rules.iter().map(rule).collect(),
    }
}

fn group(group: &TargetGroup, targets: &[Target]) -> proxy::TargetGroup {
    let settings = target_group_attribute::for_node(&group.attributes);
    proxy::TargetGroup {
        id: group.arn.to_string(),
        protocol: group.protocol,
        protocol_version: group.version,
        algorithm: settings.algorithm,
        health_check: health_check(&group.health_check),
        slow_start_seconds: settings.slow_start_secs,
        deregistration_delay_seconds: settings.deregistration_delay_secs,
        stickiness: settings.stickiness,
        cross_zone: settings.cross_zone,
        targets: targets.iter().map(target).collect(),
    }
}

fn health_check(check: &HealthCheck) -> Option<proxy::HealthCheck> {
    check.enabled.then(|| proxy::HealthCheck {
        protocol: check.protocol,
        port: check.port,
        path: check.path.clone(),
        interval: Duration::from_secs(check.interval_secs.into()),
        timeout: Duration::from_secs(check.timeout_secs.into()),
        healthy_threshold: check.healthy_threshold,
        unhealthy_threshold: check.unhealthy_threshold,
        matcher: check.matcher.clone(),
    })
}

fn target(target: &Target) -> proxy::Target {
    proxy::Target {
        id: target.id.clone(),
        address: SocketAddr::new(IpAddr::V4(target.address), target.port),
        zone: target.zone.clone(),
        draining: target.draining_until.is_some(),
        unusable: target.unusable,
    }
}
