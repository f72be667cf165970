//! The system calls that have no safe wrapper: clone with namespaces, id-mapped mounts, seccomp.
#![expect(unsafe_code, reason = "these system calls have no safe wrapper in rustix or std")]

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

/// Which side of a clone one is.
pub(crate) enum Side {
    /// The new process.
    Child,
    /// The old one, with the new one's number.
    Parent(u32),
}

/// The workload's namespaces, apart from the network's.
pub(crate) const NAMESPACES: libc::c_int = libc::CLONE_NEWUSER
    | libc::CLONE_NEWNS
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWUTS
    | libc::CLONE_NEWCGROUP;

/// Forks with `flags`. Only for processes with one thread: the child may then do anything.
pub(crate) fn clone(flags: libc::c_int) -> io::Result<Side> {
    let flags = libc::c_long::from(flags) | libc::c_long::from(libc::SIGCHLD);
    // SAFETY: with a null stack this is fork(2) with namespace flags: no memory is shared, and the
    // launcher has one thread, so no lock can be held by a thread that the child lacks.
    let pid = unsafe { libc::syscall(libc::SYS_clone, flags, 0_usize, 0_usize, 0_usize, 0_usize) };
    match u32::try_from(pid) {
        Ok(0) => Ok(Side::Child),
        Ok(pid) => Ok(Side::Parent(pid)),
        Err(_) => Err(io::Error::last_os_error()),
    }
}

/// Ends the process at once, without running anything of the copied parent.
pub(crate) fn exit_now(code: i32) -> ! {
    // SAFETY: _exit takes no pointers and does not return.
    unsafe { libc::_exit(code) }
}

/// Maps the ids of a detached mount by a user namespace, and sets its attributes.
pub(crate) fn set_mount(
    mount: BorrowedFd<'_>,
    attributes: u64,
    user_namespace: Option<BorrowedFd<'_>>,
) -> io::Result<()> {
    let map = if user_namespace.is_some() { libc::MOUNT_ATTR_IDMAP } else { 0 };
    let fd = user_namespace.map_or(0, |fd| fd.as_raw_fd());
    let request = libc::mount_attr {
        attr_set: attributes | map,
        attr_clr: 0,
        propagation: 0,
        userns_fd: u64::try_from(fd).unwrap_or(0),
    };
    // SAFETY: `request` outlives the call and its true size is passed; the path is an empty string.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_raw_fd(),
            c"".as_ptr(),
            libc::AT_EMPTY_PATH,
            std::ptr::from_ref(&request),
            size_of::<libc::mount_attr>(),
        )
    };
    zero(result)
}

/// Joins the namespaces in `flags` of the process behind `target` (a pidfd or namespace file).
pub(crate) fn join(target: BorrowedFd<'_>, flags: libc::c_int) -> io::Result<()> {
    // SAFETY: no pointers.
    zero(libc::c_long::from(unsafe { libc::setns(target.as_raw_fd(), flags) }))
}

/// Leaves the namespaces in `flags` for new ones.
pub(crate) fn unshare(flags: libc::c_int) -> io::Result<()> {
    // SAFETY: no pointers; the callers have one thread and share no descriptor table.
    zero(libc::c_long::from(unsafe { libc::unshare(flags) }))
}

/// Loads a seccomp filter for this thread and what it starts, without `no_new_privs`.
pub(crate) fn load_filter(program: &[libc::sock_filter]) -> io::Result<()> {
    let length = u16::try_from(program.len())
        .map_err(|_| io::Error::new(io::ErrorKind::InvalidInput, "filter too long"))?;
    let program = libc::sock_fprog { len: length, filter: program.as_ptr().cast_mut() };
    // SAFETY: `program` and what it points to outlive the call; the kernel only reads them.
    let result = unsafe {
        libc::syscall(
            libc::SYS_seccomp,
            libc::SECCOMP_SET_MODE_FILTER,
            0_u32,
            std::ptr::from_ref(&program),
        )
    };
    zero(result)
}

/// Sets the user, the group and no other groups, of this process (it has one thread).
pub(crate) fn become_user(uid: u32, gid: u32) -> io::Result<()> {
    // SAFETY: the list of groups is empty, so its pointer is not read.
    zero(libc::c_long::from(unsafe { libc::setgroups(0, std::ptr::null()) }))?;
    // SAFETY: no pointers.
    zero(libc::c_long::from(unsafe { libc::setresgid(gid, gid, gid) }))?;
    // SAFETY: no pointers.
    zero(libc::c_long::from(unsafe { libc::setresuid(uid, uid, uid) }))
}

/// Takes the effective user `uid` without losing any power.
pub(crate) fn act_as(uid: u32) -> io::Result<()> {
    let bits = rustix::thread::CapabilitiesSecureBits::NO_SETUID_FIXUP;
    rustix::thread::set_capabilities_secure_bits(bits)?;
    // SAFETY: no pointers; minus one leaves an id as it is.
    zero(libc::c_long::from(unsafe { libc::setresuid(u32::MAX, uid, u32::MAX) }))
}

/// Makes descriptor `target` another name of `fd`; it stays open across exec.
pub(crate) fn duplicate_to(fd: BorrowedFd<'_>, target: RawFd) -> io::Result<()> {
    // SAFETY: dup2 only changes this process's table; whoever owned `target` is about to exec or
    // was told to by the caller.
    let result = unsafe { libc::dup2(fd.as_raw_fd(), target) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Takes one of the descriptors that the parent left open for us, under a number of its own that
/// does not survive exec.
pub(crate) fn inherited(number: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: fcntl takes no pointers here.
    let copy = unsafe { libc::fcntl(number, libc::F_DUPFD_CLOEXEC, 10) };
    if copy < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel just made `copy` and nothing else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(copy) })
}

/// Takes a descriptor that the parent left open for exactly this use.
pub(crate) fn take_inherited(number: RawFd) -> io::Result<OwnedFd> {
    let copy = inherited(number)?;
    // SAFETY: by contract with the parent nothing in this process owns `number`.
    drop(unsafe { OwnedFd::from_raw_fd(number) });
    Ok(copy)
}

/// Marks all descriptors from `first` on to close at exec.
pub(crate) fn close_at_exec_from(first: u32) -> io::Result<()> {
    // SAFETY: no pointers.
    zero(unsafe {
        libc::syscall(libc::SYS_close_range, first, u32::MAX, libc::CLOSE_RANGE_CLOEXEC)
    })
}

/// Gives all signals their default meaning and unblocks them, as a fresh process expects.
pub(crate) fn reset_signals() -> io::Result<()> {
    for signal in 1..=libc::SIGRTMAX() {
        // SAFETY: SIG_DFL is valid for every signal; for SIGKILL, SIGSTOP and the C library's own
        // the call fails, which is right.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
    mask(libc::SIG_SETMASK, false)
}

/// Blocks all signals.
pub(crate) fn block_signals() -> io::Result<()> {
    mask(libc::SIG_SETMASK, true)
}

fn mask(how: libc::c_int, all: bool) -> io::Result<()> {
    let mut set = std::mem::MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: sigfillset and sigemptyset initialise the set that they are given.
    unsafe {
        if all { libc::sigfillset(set.as_mut_ptr()) } else { libc::sigemptyset(set.as_mut_ptr()) }
    };
    // SAFETY: the set was initialised just above.
    zero(libc::c_long::from(unsafe { libc::sigprocmask(how, set.as_ptr(), std::ptr::null_mut()) }))
}

/// Blocks the signals that ask a process to end, in this thread and those that it starts.
pub(crate) fn block_end_signals() -> io::Result<()> {
    let set = end_signals();
    // SAFETY: the set is initialised; the old one is not asked for.
    zero(libc::c_long::from(unsafe {
        libc::sigprocmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut())
    }))
}

/// Waits until this process is asked to end; the signals must be blocked.
pub(crate) fn wait_for_end_signal() -> io::Result<()> {
    let set = end_signals();
    // SAFETY: the set is initialised; no information is asked for.
    let signal = unsafe { libc::sigwaitinfo(&raw const set, std::ptr::null_mut()) };
    if signal < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

fn end_signals() -> libc::sigset_t {
    let mut set = std::mem::MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: sigemptyset initialises the set before the others read it.
    unsafe {
        libc::sigemptyset(set.as_mut_ptr());
        libc::sigaddset(set.as_mut_ptr(), libc::SIGTERM);
        libc::sigaddset(set.as_mut_ptr(), libc::SIGINT);
        set.assume_init()
    }
}

/// Waits for a blocked signal and returns its number.
pub(crate) fn next_signal() -> io::Result<i32> {
    let mut set = std::mem::MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: sigfillset initialises the set; sigwaitinfo reads it and may write no information.
    let signal = unsafe {
        libc::sigfillset(set.as_mut_ptr());
        libc::sigwaitinfo(set.as_ptr(), std::ptr::null_mut())
    };
    if signal < 0 { Err(io::Error::last_os_error()) } else { Ok(signal) }
}

/// Sends a signal to one process.
pub(crate) fn kill(pid: u32, signal: i32) -> io::Result<()> {
    let pid = libc::pid_t::try_from(pid).map_err(|_| io::Error::from_raw_os_error(libc::ESRCH))?;
    // SAFETY: no pointers.
    zero(libc::c_long::from(unsafe { libc::kill(pid, signal) }))
}

/// Sends any signal, real-time ones too, to the process that a pidfd stands for.
pub(crate) fn kill_pidfd(pidfd: BorrowedFd<'_>, signal: i32) -> io::Result<()> {
    // SAFETY: a null siginfo is allowed and means an ordinary kill.
    zero(unsafe {
        libc::syscall(
            libc::SYS_pidfd_send_signal,
            pidfd.as_raw_fd(),
            signal,
            std::ptr::null::<libc::siginfo_t>(),
            0_u32,
        )
    })
}

/// A terminal: its controlling side and the side that a workload uses.
pub(crate) fn open_terminal() -> io::Result<(OwnedFd, OwnedFd)> {
    use rustix::pty::{OpenptFlags, grantpt, ioctl_tiocgptpeer, openpt, unlockpt};
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
    grantpt(&master)?;
    unlockpt(&master)?;
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let slave = ioctl_tiocgptpeer(&master, flags)?;
    Ok((master, slave))
}

/// Brings up the loopback interface of the network namespace that this process is in.
pub(crate) fn loopback_up() -> io::Result<()> {
    use rustix::net::{AddressFamily, SocketType, socket};
    let socket = socket(AddressFamily::INET, SocketType::DGRAM, None)?;
    // SAFETY: ifreq is plain data for which all zeroes is a valid value.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(b"lo") {
        *to = libc::c_char::try_from(*from).unwrap_or(0);
    }
    request.ifr_ifru.ifru_flags = libc::c_short::try_from(libc::IFF_UP).unwrap_or(0);
    // SAFETY: SIOCSIFFLAGS reads an ifreq, which lives across the call.
    let result = unsafe {
        libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS, std::ptr::from_mut(&mut request))
    };
    zero(libc::c_long::from(result))
}

/// Replaces this process; returns only on failure.
pub(crate) fn exec(path: &str, argv: &[String], env: &[(String, String)]) -> io::Error {
    let text =
        |text: String| CString::new(text).map_err(|error| io::Error::other(error.to_string()));
    let prepared = || -> io::Result<(CString, Vec<CString>, Vec<CString>)> {
        let argv = argv.iter().cloned().map(text).collect::<io::Result<_>>()?;
        let env = env.iter().map(|(k, v)| text(format!("{k}={v}"))).collect::<io::Result<_>>()?;
        Ok((text(path.to_owned())?, argv, env))
    };
    let (path, argv, env) = match prepared() {
        Ok(prepared) => prepared,
        Err(error) => return error,
    };
    let pointers = |list: &[CString]| {
        let mut pointers: Vec<_> = list.iter().map(|text| text.as_ptr()).collect();
        pointers.push(std::ptr::null());
        pointers
    };
    let (argv, env) = (pointers(&argv), pointers(&env));
    // SAFETY: all three are null-terminated and live until the call replaces the process or fails.
    unsafe { libc::execve(path.as_ptr(), argv.as_ptr(), env.as_ptr()) };
    io::Error::last_os_error()
}

/// A command of the loop driver that takes a number.
pub(crate) fn loop_number(fd: BorrowedFd<'_>, command: u32, number: u64) -> io::Result<u64> {
    let number = libc::c_ulong::from(number);
    // SAFETY: the commands used with this (GET_FREE, CLR_FD) take a plain number.
    let result = unsafe { libc::ioctl(fd.as_raw_fd(), command.into(), number) };
    u64::try_from(result).map_err(|_| io::Error::last_os_error())
}

/// A command of the loop driver that reads or writes a structure.
pub(crate) fn loop_structure<T>(fd: BorrowedFd<'_>, command: u32, value: &mut T) -> io::Result<()> {
    // SAFETY: callers pass the structure that the command is defined with; it lives across the
    // call.
    let result = unsafe { libc::ioctl(fd.as_raw_fd(), command.into(), std::ptr::from_mut(value)) };
    zero(libc::c_long::from(result))
}

/// Hands a descriptor over as a standard stream of a process to start.
pub(crate) fn as_stdio(fd: impl AsFd) -> io::Result<std::process::Stdio> {
    Ok(std::process::Stdio::from(fd.as_fd().try_clone_to_owned()?))
}

/// A descriptor as a plain file, for reading and writing.
pub(crate) fn as_file(fd: OwnedFd) -> std::fs::File {
    std::fs::File::from(fd)
}

fn zero(result: libc::c_long) -> io::Result<()> {
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
