//! The runtime of one workload, as root on Linux.
//!
//! The supervisor never builds a sandbox itself: it starts this executable again as
//! `machine-init` ([`init_main`]), a fresh process with one thread, and sends it a [`plan::Plan`].
//! That process (the launcher) joins the workload's cgroups and network namespace, mounts the
//! root in a mount namespace of its own ([`assemble`]) and makes the workload's first process in
//! new user, mount, pid, ipc, uts and cgroup namespaces ([`guest`]), as a child of the supervisor
//! and not of itself, then ends. All mounts are private to the workload: they end with it, and
//! nothing has to be unmounted by anybody.

mod assemble;
mod attempt;
pub(crate) mod cgroup;
mod confine;
mod enter;
mod guest;
mod init;
mod inroot;
pub(crate) mod launch;
pub(crate) mod loops;
pub(crate) mod plan;
pub(crate) mod syscall;

pub use init::{init_main, is_init};
