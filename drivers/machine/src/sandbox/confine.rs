//! What a workload's processes may never do: capabilities and system calls that are out.
//!
//! Inside its user namespace a workload's root is root, so that ordinary distributions work. What
//! is taken from it has either no meaning there or reaches parts of the kernel that know no
//! namespaces. `no_new_privs` stays off, because `sudo` must work inside.

use std::io;

use rustix::thread::{CapabilitySet, remove_capability_from_bounding_set};

use super::syscall::load_filter;
use crate::spec::NetworkReach;

/// A sandbox's root keeps these. `SYS_BOOT` acts on its own pid namespace only (reboot(2)): that
/// is how a machine switches itself off; kexec asks the initial user namespace, and the filter.
fn sandbox_keeps() -> CapabilitySet {
    let mut all = CapabilitySet::all();
    for out in [
        CapabilitySet::SYS_MODULE,
        CapabilitySet::SYS_RAWIO,
        CapabilitySet::SYS_TIME,
        CapabilitySet::MAC_ADMIN,
        CapabilitySet::MAC_OVERRIDE,
        CapabilitySet::SYSLOG,
        CapabilitySet::SYS_PACCT,
        CapabilitySet::WAKE_ALARM,
        CapabilitySet::BLOCK_SUSPEND,
        CapabilitySet::LINUX_IMMUTABLE,
        CapabilitySet::BPF,
        CapabilitySet::PERFMON,
        CapabilitySet::CHECKPOINT_RESTORE,
        CapabilitySet::AUDIT_CONTROL,
        CapabilitySet::AUDIT_READ,
    ] {
        all.remove(out);
    }
    all
}

/// A built-in program runs as the host's root user and so keeps hardly anything.
fn program_keeps(reach: NetworkReach) -> CapabilitySet {
    let own = CapabilitySet::NET_BIND_SERVICE | CapabilitySet::NET_RAW;
    match reach {
        NetworkReach::Own => own,
        NetworkReach::All => own | CapabilitySet::SYS_ADMIN,
    }
}

/// Takes capabilities and system calls from a sandbox's first process.
pub(super) fn sandbox() -> io::Result<()> {
    bound(sandbox_keeps())?;
    load_filter(&filter(DENIED))
}

/// The same for a built-in program, which also can gain nothing by executing.
pub(super) fn program(reach: NetworkReach) -> io::Result<()> {
    bound(program_keeps(reach))?;
    load_filter(&filter(DENIED))?;
    Ok(rustix::thread::set_no_new_privs(true)?)
}

/// Loads the filter alone, to see whether the kernel takes it.
pub(super) fn try_filter() -> io::Result<()> {
    load_filter(&filter(DENIED))
}

fn bound(keep: CapabilitySet) -> io::Result<()> {
    for capability in CapabilitySet::all().iter() {
        if keep.contains(capability) {
            continue;
        }
        match remove_capability_from_bounding_set(capability) {
            // A kernel that does not know a capability has nothing to take.
            Ok(()) | Err(rustix::io::Errno::INVAL) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// System calls that fail with `EPERM`. They reach kernel parts without namespaces: other kernels
/// and modules, files by handle instead of by path, keys, programs inside the kernel, its clock
/// and its accounting.
const DENIED: &[libc::c_long] = &[
    libc::SYS_kexec_load,
    libc::SYS_kexec_file_load,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_open_by_handle_at,
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_keyctl,
    libc::SYS_userfaultfd,
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_acct,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_clock_adjtime,
    libc::SYS_adjtimex,
    libc::SYS_syslog,
    libc::SYS_quotactl,
    libc::SYS_lookup_dcookie,
    libc::SYS_nfsservctl,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_iopl,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_ioperm,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_modify_ldt,
];

/// This machine's number in seccomp's data (`AUDIT_ARCH_*` of linux/audit.h).
#[cfg(target_arch = "x86_64")]
const ARCHITECTURE: u32 = 0xc000_003e;
#[cfg(target_arch = "aarch64")]
const ARCHITECTURE: u32 = 0xc000_00b7;

/// System calls numbered from here on are of the x32 variant, which would slip past the list.
const X32: u32 = 0x4000_0000;

const ALLOW: u32 = libc::SECCOMP_RET_ALLOW;
const REFUSE: u32 = libc::SECCOMP_RET_ERRNO | 1; // EPERM
const UNKNOWN: u32 = libc::SECCOMP_RET_ERRNO | 38; // ENOSYS

/// The filter as the kernel's classic BPF.
fn filter(denied: &[libc::c_long]) -> Vec<libc::sock_filter> {
    const LOAD: u16 = 0x20; // BPF_LD | BPF_W | BPF_ABS
    const EQUAL: u16 = 0x15; // BPF_JMP | BPF_JEQ | BPF_K
    const AT_LEAST: u16 = 0x35; // BPF_JMP | BPF_JGE | BPF_K
    const RETURN: u16 = 0x06; // BPF_RET | BPF_K
    let step = |code, jt, jf, k| libc::sock_filter { code, jt, jf, k };
    let mut program = vec![
        step(LOAD, 0, 0, 4), // seccomp_data.arch
        step(EQUAL, 1, 0, ARCHITECTURE),
        step(RETURN, 0, 0, UNKNOWN),
        step(LOAD, 0, 0, 0), // seccomp_data.nr
        step(AT_LEAST, 0, 1, X32),
        step(RETURN, 0, 0, UNKNOWN),
    ];
    for number in denied.iter().filter_map(|number| u32::try_from(*number).ok()) {
        program.push(step(EQUAL, 0, 1, number));
        program.push(step(RETURN, 0, 0, REFUSE));
    }
    program.push(step(RETURN, 0, 0, ALLOW));
    program
}
