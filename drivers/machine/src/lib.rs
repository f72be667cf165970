//! Workloads in zones: everything that runs, behind one trait.
//!
//! A zone has one supervisor process ([`zone::run`]) that is the parent of all its workloads and
//! outlives the control plane. [`LinuxMachine`] talks to the supervisors of a region;
//! [`SimMachine`] plays them in tests. A workload is a sandbox with its own init, one program
//! inside a root file system, or a built-in program of this executable ([`program`]). [`Images`]
//! builds the root trees they share, [`Volumes`] the disks they write to, [`probe()`] tells what
//! the host can do.

mod error;
mod ids;
mod images;
mod linux;
mod probe;
pub mod program;
mod sandbox;
mod sim;
mod spec;
mod volumes;
mod wire;
pub mod zone;

use std::time::Duration;

use async_trait::async_trait;
use base::Zone;
use tokio::sync::broadcast;

pub use error::{Error, Result};
pub use images::{Image, ImageRecipe, Images, mmdebstrap_extract};
pub use linux::{LinuxMachine, MachineOptions, running_zones};
pub use probe::{Feature, probe, probe_with};
pub use sandbox::{init_main, is_init};
pub use sim::{Answer, SimMachine};
pub use spec::{
    Access, Bind, Event, EventKind, Exec, Exit, Kind, Limits, NetworkReach, Output, Process,
    Program, Root, Sandbox, SeedFile, State, Stop, StopRequest, Upper, WorkloadSpec,
    WorkloadStatus,
};
pub use volumes::Volumes;

/// The most that [`Machine::exec`] keeps of each output stream.
pub const EXEC_OUTPUT_MAX: usize = 1 << 20;

/// The most that is kept of a workload's console.
///
/// AWS: GetConsoleOutput ("up to 64 KB").
pub const CONSOLE_MAX: usize = 64 << 10;

/// The longest that a built-in may take to answer [`Machine::call`].
pub const CALL_TIMEOUT: Duration = Duration::from_secs(30);

/// Starts, watches and ends workloads in the zones of a region.
#[async_trait]
pub trait Machine: Send + Sync + 'static {
    /// Starts a workload, and returns when its first process runs. Idempotent: the same id running
    /// or starting already is success, whatever its spec; an exited one starts anew with this spec.
    async fn start(&self, zone: &Zone, spec: WorkloadSpec) -> Result<()>;

    /// Stops a workload and returns when none of its processes is left. Idempotent, also for an
    /// unknown id. Its volume stays.
    async fn stop(&self, zone: &Zone, id: &str, how: Stop) -> Result<()>;

    /// Kills what runs, forgets the workload and deletes what it left at run time (not its
    /// volume). Idempotent, also for an unknown id.
    async fn remove(&self, zone: &Zone, id: &str) -> Result<()>;

    /// Stops the workload gracefully and starts it again with the same spec.
    async fn reboot(&self, zone: &Zone, id: &str) -> Result<()>;

    /// All workloads that the zone's supervisor knows.
    async fn list(&self, zone: &Zone) -> Result<Vec<WorkloadStatus>>;

    /// Sends `message` to a built-in program and returns its answer.
    async fn call(&self, zone: &Zone, id: &str, message: Vec<u8>) -> Result<Vec<u8>>;

    /// The last bytes of the workload's console, at most `max_bytes` and [`CONSOLE_MAX`]. Also of
    /// one that ended, until it is removed.
    async fn console(&self, zone: &Zone, id: &str, max_bytes: usize) -> Result<Vec<u8>>;

    /// Whether a zone was killed and is to stay down until it is started again: nothing can be
    /// started there. A machine whose zones cannot be killed has none.
    fn is_down(&self, zone: &Zone) -> bool {
        let _ = zone;
        false
    }

    /// What happens from now on in all zones. A receiver that lags must list again.
    fn events(&self) -> broadcast::Receiver<Event>;

    /// Holds all processes of the workload still.
    async fn freeze(&self, zone: &Zone, id: &str) -> Result<()>;

    /// Lets them go on.
    async fn thaw(&self, zone: &Zone, id: &str) -> Result<()>;

    /// Runs a command inside a running workload's namespaces and limits.
    async fn exec(&self, zone: &Zone, id: &str, command: Exec) -> Result<Output>;
}
