//! An instance as the machine runs it: root file system, network namespace, limits, and the files
//! that are written into it at each start.

use std::path::PathBuf;
use std::time::Duration;

use machine::{Kind, Limits, Root, Sandbox, SeedFile, StopRequest, Upper, WorkloadSpec};

use super::network;
use super::store::{How, Instance};
use super::types::InstanceType;
use crate::TaskCtx;
use crate::vpc::store::Interface;

/// How long an instance has to shut down before it is killed.
///
/// AWS: "Stop and start Amazon EC2 instances" (a few minutes there).
const SHUTDOWN_GRACE: Duration = Duration::from_secs(60);
/// How many processes and threads an instance may have: enough for any server, too few for a fork
/// bomb to harm the host.
const PIDS_MAX: u64 = 8192;

/// Where Debian looks for authorities that its host trusts; the image puts them into effect.
const AUTHORITY: &str = "/usr/local/share/ca-certificates/region.crt";

/// What an instance is started with.
pub(super) struct Parts {
    /// The root file system's layers, the uppermost first.
    pub(super) layers: Vec<PathBuf>,
    /// The root volume.
    pub(super) volume: PathBuf,
    /// What the VPC's DHCP options say of names, as `/etc/resolv.conf`.
    pub(super) resolv_conf: String,
}

/// The instance as the machine runs it.
pub(super) fn spec(
    ctx: &TaskCtx,
    instance: &Instance,
    eni: &Interface,
    parts: Parts,
) -> WorkloadSpec {
    let limits = InstanceType::named(&instance.instance_type).map(|instance_type| Limits {
        cpus: Some(f64::from(instance_type.vcpus())),
        memory_bytes: Some(instance_type.memory_bytes()),
        pids_max: Some(PIDS_MAX),
    });
    let files = seed_files(ctx, instance, eni, parts.resolv_conf);
    WorkloadSpec {
        id: instance.id.to_string(),
        kind: Kind::Sandbox(Sandbox {
            root: Root {
                layers: parts.layers,
                upper: Upper::Volume(parts.volume),
                binds: Vec::new(),
                files,
            },
            hostname: instance.hostname.clone(),
            init: vec!["/sbin/init".to_owned()],
            env: Vec::new(),
        }),
        netns: Some(ctx.drivers.net.eni_namespace(&eni.id)),
        limits: limits.unwrap_or_default(),
        stop: StopRequest::systemd_poweroff(SHUTDOWN_GRACE),
    }
}

/// How the machine is asked to end an instance.
pub(super) fn stop(how: How) -> machine::Stop {
    match how {
        How::Gracefully => machine::Stop::Graceful { grace: None },
        How::AtOnce => machine::Stop::Kill,
    }
}

fn seed_files(
    ctx: &TaskCtx,
    instance: &Instance,
    eni: &Interface,
    resolv_conf: String,
) -> Vec<SeedFile> {
    let (host, domain) = (&instance.hostname, network::private_domain(&ctx.region));
    let file = |path: &str, content: String| SeedFile {
        path: PathBuf::from(path),
        mode: 0o644,
        content: content.into_bytes(),
    };
    let address = eni.primary();
    let authority = ctx.drivers.host.authority();
    let trusted = (!authority.is_empty()).then(|| file(AUTHORITY, authority.to_owned()));
    let always = vec![
        file("/etc/hostname", format!("{host}\n")),
        file("/etc/hosts", format!("127.0.0.1 localhost\n{address} {host}.{domain} {host}\n")),
        file("/etc/resolv.conf", resolv_conf),
        file("/etc/environment", environment(ctx, "", "\n")),
        file(
            "/etc/systemd/system.conf.d/10-region.conf",
            format!("[Manager]\nDefaultEnvironment={}\n", environment(ctx, "\"", " ")),
        ),
    ];
    always.into_iter().chain(trusted).collect()
}

/// What AWS's own clients need to find this region, each variable in `quote`s before an `end`.
fn environment(ctx: &TaskCtx, quote: &str, end: &str) -> String {
    let variables = [
        ("AWS_ENDPOINT_URL", endpoint(ctx)),
        ("AWS_DEFAULT_REGION", ctx.region.to_string()),
        ("AWS_REGION", ctx.region.to_string()),
        // AWS's clients bring a list of authorities of their own and trust no other.
        ("AWS_CA_BUNDLE", "/etc/ssl/certs/ca-certificates.crt".to_owned()),
    ];
    let line = |(name, value): (&str, String)| format!("{quote}{name}={value}{quote}{end}");
    variables.into_iter().map(line).collect()
}

/// The region's endpoint as instances reach it: the fabric's own address, the port of everyone.
pub(crate) fn endpoint(ctx: &TaskCtx) -> String {
    let url = &ctx.kernel().settings().endpoint_url;
    let port =
        url.rsplit(':').next().and_then(|port| port.trim_end_matches('/').parse::<u16>().ok());
    let address = ctx.drivers.net_options.endpoint_address();
    format!("http://{address}:{}", port.unwrap_or(80))
}
