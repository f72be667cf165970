//! `postgresql.conf` and the access file of a PostgreSQL server.

use std::fmt::{Display, Write};

use super::{Parameters, Rendered};
use crate::node::Node;
use crate::spec::{ClusterSpec, EngineFile, Start};

/// What the cluster itself relies on; parameter groups cannot change it. Shared memory lies in
/// files because a workload's `/dev/shm` may be small or absent.
const FIXED: &str = "\
data_directory = '/data/pgdata'
hba_file = '/data/conf/pg_hba.conf'
external_pid_file = '/data/run/engine.pid'
listen_addresses = '*'
unix_socket_directories = '/data/run'
unix_socket_permissions = 0700
logging_collector = on
log_directory = '/data/log'
log_filename = 'error.log'
log_rotation_age = 0
log_rotation_size = 0
hot_standby = on
max_wal_senders = 25
max_replication_slots = 25
wal_keep_size = 512MB
synchronous_commit = on
wal_receiver_timeout = 10s
wal_sender_timeout = 10s
wal_receiver_status_interval = 1s
wal_retrieve_retry_interval = 500ms
recovery_target_timeline = 'latest'
dynamic_shared_memory_type = mmap
huge_pages = off
password_encryption = scram-sha-256
full_page_writes = on
fsync = on
";

pub(super) fn render(
    spec: &ClusterSpec,
    node: &Node,
    start: Start<'_>,
    values: &Parameters,
) -> Rendered {
    let mut rendered = Rendered::default();
    let mut text = FIXED.to_owned();
    let mut set = |name: &str, value: &dyn Display| {
        let value = value.to_string().replace('\\', "\\\\").replace('\'', "''");
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{name} = '{value}'");
    };
    set("port", &node.port);
    for (name, value) in values.iter().filter(|(name, _)| !name.starts_with("rds.")) {
        set(name, value);
    }
    match values.get("rds.logical_replication").map(String::as_str) {
        Some("1") => set("wal_level", &"logical"),
        Some(_) | None => set("wal_level", &"replica"),
    }
    let mut synchronous = String::new();
    match start {
        Start::Primary { standby } => {
            synchronous = standby.map(Node::plain_name).unwrap_or_default();
            rendered.absent.push("pgdata/standby.signal".into());
        }
        Start::Follower { source, .. } => {
            let conninfo = format!(
                "host={} port={} user=rdsrepladmin password={} application_name={} \
                 connect_timeout=5 sslmode=prefer",
                source.address,
                source.port,
                spec.secrets.replication,
                node.plain_name()
            );
            set("primary_conninfo", &conninfo);
            rendered.file("pgdata/standby.signal", String::new());
        }
    }
    if let Some(tls) = &spec.tls {
        set("ssl", &"on");
        set("ssl_cert_file", &"/data/conf/certificate.pem");
        set("ssl_key_file", &"/data/conf/key.pem");
        rendered.file("conf/certificate.pem", tls.certificate.clone());
        rendered.file("conf/key.pem", tls.key.clone());
    }
    text.push_str("include = '/data/conf/sync.conf'\n");
    rendered.files.push(sync_file(&synchronous));
    rendered.file("conf/postgresql.conf", text);
    let tls_only = values.get("rds.force_ssl").is_some_and(|value| value == "1");
    rendered.file("conf/pg_hba.conf", access(tls_only && spec.tls.is_some()));
    rendered.arguments.extend(["-D", "/data/pgdata"].map(str::to_owned));
    rendered.arguments.extend(["-c", "config_file=/data/conf/postgresql.conf"].map(str::to_owned));
    rendered
}

/// The file that says whom commits wait for; it changes while the server runs.
pub(crate) fn sync_file(name: &str) -> EngineFile {
    let content = format!("synchronous_standby_names = '{name}'\n");
    EngineFile { path: "conf/sync.conf".into(), content }
}

/// Who may connect. The management user comes in by the socket in the volume only, which nobody but
/// the host and the server itself can reach.
fn access(tls_only: bool) -> String {
    let host = if tls_only { "hostssl" } else { "host" };
    format!(
        "local all rdsadmin trust\n\
         local replication rdsadmin trust\n\
         host replication rdsrepladmin all scram-sha-256\n\
         host all rdsrepladmin all reject\n\
         host all rdsadmin all reject\n\
         {host} all all all scram-sha-256\n\
         {host} replication all all scram-sha-256\n"
    )
}
