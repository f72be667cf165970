//! The drivers of a running region: the only way to the host.

use std::ffi::OsString;
use std::sync::Arc;

use anyhow::Result;
use base::Region;
use machine::{Images, LinuxMachine, Machine, MachineOptions, Volumes};
use net::{LinuxNet, Net};

use crate::paths::Paths;

/// The block that public addresses come from, reachable from the host.
const PUBLIC_POOL: &str = "198.18.0.0/15";

/// Every driver that services are built with.
#[derive(Clone)]
pub(crate) struct Drivers {
    /// The VPC fabric.
    pub(crate) net: Arc<dyn Net>,
    /// How the fabric is laid out on the host.
    pub(crate) net_options: net::Options,
    /// Workloads, as services see them.
    pub(crate) machine: Arc<dyn Machine>,
    /// Workloads, as the operator sees them.
    pub(crate) linux_machine: Arc<LinuxMachine>,
    /// What instances are made of: images and root volumes.
    pub(crate) folders: ec2::Folders,
    /// Database and cache engines.
    pub(crate) engines: Arc<engine::Engines>,
    /// Whether this process may make namespaces and what lives in them.
    pub(crate) may_run: bool,
}

impl Drivers {
    /// The drivers of the region in `paths`. Nothing on the host changes yet.
    pub(crate) fn open(paths: &Paths, region: &Region) -> Result<Self> {
        let net_options = net::Options {
            run_dir: paths.run(),
            prefix: prefix(paths),
            egress: true,
            public_pool: PUBLIC_POOL.parse()?,
        };
        let supervisor: Vec<OsString> =
            vec![std::env::current_exe()?.into_os_string(), "zone".into()];
        let linux_machine = Arc::new(LinuxMachine::new(MachineOptions {
            data_dir: paths.data.clone(),
            run_dir: paths.run(),
            zones: region.zones(),
            supervisor_command: supervisor,
        }));
        Ok(Self {
            net: Arc::new(LinuxNet::new(net_options.clone())?),
            net_options,
            machine: linux_machine.clone(),
            linux_machine,
            folders: ec2::Folders {
                public: Arc::new(Images::new(Paths::cache().join("images"))),
                own: Arc::new(Images::new(paths.data.join("images"))),
                volumes: Arc::new(Volumes::new(paths.data.join("volumes"))),
            },
            engines: Arc::new(engine::Engines::new(Paths::cache().join("engines"))),
            may_run: rustix::process::geteuid().is_root(),
        })
    }
}

/// What this install's host-visible names begin with: the same for the same data folder.
fn prefix(paths: &Paths) -> String {
    let hash = aws_lc_rs::digest::digest(
        &aws_lc_rs::digest::SHA256,
        paths.data.as_os_str().as_encoded_bytes(),
    );
    let hex: String = hash.as_ref().iter().take(2).map(|byte| format!("{byte:02x}")).collect();
    format!("sk{hex}")
}
