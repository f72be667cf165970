//! `my.cnf` and the statements that a MariaDB server runs at each start.

use std::fmt::Write;

use super::{Parameters, Rendered};
use crate::node::Node;
use crate::spec::{ClusterSpec, Start};

/// How long a commit waits for the standby before the server gives up on it by itself.
///
/// The cluster gives up earlier and on purpose, after it has noted that the standby is stale; this
/// bound only matters while nobody watches. An observation that commits wait for the standby is
/// good for this long.
pub(crate) const SYNC_WAIT_MS: u64 = 30_000;

/// What the cluster itself relies on; parameter groups cannot change it.
const FIXED: &str = "\
datadir=/data/mysql
socket=/data/run/engine.sock
pid_file=/data/run/engine.pid
log_error=/data/log/error.log
init_file=/data/conf/init.sql
skip_name_resolve=ON
read_only=ON
log_bin=binlog
log_slave_updates=ON
relay_log=relay
relay_log_recovery=ON
gtid_strict_mode=ON
gtid_domain_id=0
rpl_semi_sync_master_wait_point=AFTER_SYNC
rpl_semi_sync_master_wait_no_slave=ON
slave_net_timeout=4
slave_parallel_threads=4
slave_parallel_mode=optimistic
slave_sql_verify_checksum=ON
innodb_log_write_ahead_size=8192
innodb_buffer_pool_dump_at_shutdown=OFF
innodb_buffer_pool_load_at_startup=OFF
";

pub(super) fn render(
    spec: &ClusterSpec,
    node: &Node,
    start: Start<'_>,
    values: &Parameters,
) -> Rendered {
    let standby = matches!(start, Start::Follower { standby: true, .. });
    let back = matches!(start, Start::Follower { was_primary: true, .. });
    let mut text = format!("[mariadbd]\n{FIXED}");
    let mut set = |name: &str, value: &dyn std::fmt::Display| {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{name}={value}");
    };
    set("port", &node.port);
    set("server_id", &node.number);
    set("report_host", &node.address);
    set("rpl_semi_sync_master_timeout", &SYNC_WAIT_MS);
    let holds = matches!(start, Start::Primary { standby: Some(_) });
    set("rpl_semi_sync_master_enabled", &if holds { "ON" } else { "OFF" });
    set("rpl_semi_sync_slave_enabled", &if standby { "ON" } else { "OFF" });
    // A crashed primary that comes back as a follower takes back what no standby has acknowledged.
    set("init_rpl_role", &if back { "SLAVE" } else { "MASTER" });
    for (name, value) in values {
        set(option(name), &quoted(value));
    }
    let mut rendered = Rendered::default();
    if let Some(tls) = &spec.tls {
        set("ssl_cert", &"/data/conf/certificate.pem");
        set("ssl_key", &"/data/conf/key.pem");
        rendered.file("conf/certificate.pem", tls.certificate.clone());
        rendered.file("conf/key.pem", tls.key.clone());
    }
    rendered.arguments.push("--defaults-file=/data/conf/my.cnf".into());
    rendered.file("conf/my.cnf", text);
    rendered.file("conf/init.sql", init_statements(spec));
    rendered
}

/// The name of a variable in the options file, which is another for a few.
fn option(variable: &str) -> &str {
    match variable {
        "time_zone" => "default_time_zone",
        "tx_isolation" => "transaction_isolation",
        other => other,
    }
}

/// A value as the options file wants it: in quotes when it holds anything that means something
/// there.
fn quoted(value: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._,:+-/".contains(c);
    if value.chars().all(plain) {
        return value.to_owned();
    }
    format!("\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\""))
}

/// The users of the cluster, made anew at each start on each node and kept out of the binary log,
/// so that a copy or a restored snapshot gets the passwords of the cluster that it is in.
fn init_statements(spec: &ClusterSpec) -> String {
    let (management, replication) = (&spec.secrets.management, &spec.secrets.replication);
    format!(
        "SET SESSION sql_log_bin=0;\n\
         CREATE OR REPLACE USER rdsadmin@localhost IDENTIFIED BY '{management}';\n\
         GRANT ALL ON *.* TO rdsadmin@localhost WITH GRANT OPTION;\n\
         CREATE OR REPLACE USER rdsrepladmin@'%' IDENTIFIED BY '{replication}';\n\
         GRANT REPLICATION SLAVE ON *.* TO rdsrepladmin@'%';\n"
    )
}
