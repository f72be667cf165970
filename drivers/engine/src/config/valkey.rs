//! The configuration of a Valkey or Redis server, its users included.

use std::fmt::{Display, Write};

use super::{Parameters, Rendered};
use crate::node::Node;
use crate::spec::{CacheAccess, ClusterSpec, Start};

/// The user that the cluster works as, and that its nodes follow each other as.
pub(crate) const CACHE_ADMIN: &str = "skyhold-admin";

/// What the cluster itself relies on; parameter groups cannot change it. The data is kept in a log
/// that is written once a second, so that a cache comes back filled after a power cut.
const FIXED: &str = "\
bind * -::*
protected-mode no
daemonize no
unixsocket /data/run/engine.sock
unixsocketperm 700
pidfile /data/run/engine.pid
logfile /data/log/error.log
dir /data/cache
dbfilename dump.rdb
save \"\"
appendonly yes
appendfsync everysec
replica-read-only yes
repl-diskless-sync yes
repl-diskless-sync-delay 0
repl-ping-replica-period 1
repl-timeout 10
";

/// What users may not do, because the cluster does it.
///
/// AWS: "Supported and restricted Valkey and Redis OSS commands".
const RESTRICTED: &str = "-acl|deluser -acl|load -acl|save -acl|setuser -bgrewriteaof -bgsave \
    -config -debug -failover -migrate -module -psync -replconf -replicaof -save -shutdown \
    -slaveof -sync";

pub(super) fn render(
    spec: &ClusterSpec,
    node: &Node,
    start: Start<'_>,
    values: &Parameters,
) -> Rendered {
    let mut text = FIXED.to_owned();
    let mut set = |name: &str, value: &dyn Display| {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{name} {value}");
    };
    let mut rendered = Rendered::default();
    match &spec.tls {
        None => set("port", &node.port),
        Some(tls) => {
            set("port", &0);
            set("tls-port", &node.port);
            set("tls-replication", &"yes");
            set("tls-auth-clients", &"no");
            set("tls-cert-file", &"/data/conf/certificate.pem");
            set("tls-key-file", &"/data/conf/key.pem");
            set("tls-ca-cert-file", &"/data/conf/authority.pem");
            rendered.file("conf/certificate.pem", tls.certificate.clone());
            rendered.file("conf/key.pem", tls.key.clone());
            rendered.file("conf/authority.pem", tls.authority.clone());
        }
    }
    set("replica-announce-ip", &node.address);
    let reserved = values.get(RESERVED_MEMORY).map_or("25", String::as_str);
    set("maxmemory", &maxmemory(spec.memory_bytes, reserved));
    for (name, value) in values.iter().filter(|(name, _)| *name != RESERVED_MEMORY) {
        set(name, &quote(value));
    }
    set("masteruser", &CACHE_ADMIN);
    set("masterauth", &spec.secrets.management);
    if let Start::Follower { source, .. } = start {
        set("replicaof", &format!("{} {}", source.address, source.port));
    }
    let admin = format!("{CACHE_ADMIN} on >{} ~* &* +@all", spec.secrets.management);
    set("user", &admin);
    for (user, rule) in rules(&spec.cache_access) {
        // A password may hold what ends a word in this file.
        let rule: Vec<_> = rule.split_whitespace().map(quote).collect();
        set("user", &format!("{user} {}", rule.join(" ")));
    }
    rendered.arguments.push("/data/conf/cache.conf".into());
    rendered.file("conf/cache.conf", text);
    rendered
}

/// The parameter that is ElastiCache's own and becomes the engine's `maxmemory`.
pub(crate) const RESERVED_MEMORY: &str = "reserved-memory-percent";

/// The memory that data may take, when some percent are reserved. A limit of zero would be none.
pub(crate) fn maxmemory(memory_bytes: u64, reserved: &str) -> u64 {
    let reserved = reserved.parse::<u64>().unwrap_or(25).min(100);
    (memory_bytes / 100 * (100 - reserved)).max(1)
}

fn quote(value: &str) -> String {
    format!("\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\""))
}

/// The rules of each user but the cluster's own.
pub(crate) fn rules(access: &CacheAccess) -> Vec<(String, String)> {
    let all = format!("~* &* +@all {RESTRICTED}");
    let mut rules = match access {
        CacheAccess::Open => vec![("default".into(), format!("on nopass {all}"))],
        CacheAccess::Token(token) => vec![("default".into(), format!("on >{token} {all}"))],
        CacheAccess::Users(users) => {
            let rule = |user: &crate::spec::CacheUser| {
                let passwords: Vec<_> =
                    user.passwords.iter().map(|password| format!(">{password}")).collect();
                let key =
                    if passwords.is_empty() { "nopass".to_owned() } else { passwords.join(" ") };
                format!("{key} {} {RESTRICTED}", user.access)
            };
            users.iter().map(|(name, user)| (name.clone(), rule(user))).collect()
        }
    };
    if !rules.iter().any(|(name, _)| name == "default") {
        rules.push(("default".into(), "off".into()));
    }
    rules
}
