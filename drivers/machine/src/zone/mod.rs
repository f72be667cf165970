//! The zone supervisor: one process a zone, parent of all its workloads.
//!
//! It serves a local socket that only its user may open, does what it is told, reports what it
//! sees, and keeps everything running while nobody is connected. It has plain threads and no
//! runtime: one a workload (waits for its end and collects its output), one a connection, one a
//! request while it is worked on. The main thread starts all processes, because a process dies
//! with the *thread* that started it, and that one never ends.

mod console;
mod control;
mod keeper;
pub(crate) mod protocol;
mod run;
mod serve;
mod start;
mod workload;

use std::ffi::OsString;
use std::io::Write as _;
use std::path::PathBuf;

use base::Zone;

use crate::error::{Error, Result, chain};

pub(crate) use run::sweep_zone;
pub(crate) use workload::remove_console;

/// What a supervisor must know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ZoneOptions {
    /// Its zone.
    pub zone: Zone,
    /// The folder for what lives as long as the machine is up. The zone's own is
    /// `zone-<name>` in it.
    pub run_dir: PathBuf,
    /// The folder for what outlives a restart of the machine.
    pub data_dir: PathBuf,
    /// The socket to serve.
    pub socket: PathBuf,
}

impl ZoneOptions {
    /// The options of `zone` with the socket at its usual place.
    pub fn new(zone: Zone, run_dir: PathBuf, data_dir: PathBuf) -> Self {
        let socket = zone_folder(&run_dir, &zone).join("supervisor.sock");
        Self { zone, run_dir, data_dir, socket }
    }

    /// From a command line: `--zone Z --run-dir D --data-dir D [--socket S]`, as
    /// [`crate::LinuxMachine`] appends it to its supervisor command.
    ///
    /// # Errors
    ///
    /// [`Error::Refused`] names what is missing or unknown.
    pub fn from_args(args: impl IntoIterator<Item = OsString>) -> Result<Self> {
        let (mut zone, mut run_dir, mut data_dir, mut socket) = (None, None, None, None);
        let mut args = args.into_iter();
        while let Some(name) = args.next() {
            let value = args.next();
            let value = value.ok_or_else(|| refused(&format!("{name:?} lacks its value")))?;
            match name.to_str() {
                Some("--zone") => zone = value.to_str().map(Zone::new),
                Some("--run-dir") => run_dir = Some(PathBuf::from(value)),
                Some("--data-dir") => data_dir = Some(PathBuf::from(value)),
                Some("--socket") => socket = Some(PathBuf::from(value)),
                Some(_) | None => return Err(refused(&format!("unknown option {name:?}"))),
            }
        }
        let zone = zone.ok_or_else(|| refused("--zone is missing"))?;
        let run_dir = run_dir.ok_or_else(|| refused("--run-dir is missing"))?;
        let data_dir = data_dir.ok_or_else(|| refused("--data-dir is missing"))?;
        let mut options = Self::new(zone, run_dir, data_dir);
        if let Some(socket) = socket {
            options.socket = socket;
        }
        Ok(options)
    }
}

/// The folder of a zone's supervisor.
pub(crate) fn zone_folder(run_dir: &std::path::Path, zone: &Zone) -> PathBuf {
    run_dir.join(format!("zone-{zone}"))
}

fn refused(why: &str) -> Error {
    Error::Refused(why.to_owned())
}

/// Supervises a zone until it is told to shut down. Prints `ready` on standard output when the
/// socket answers. The process should have no other threads.
pub fn run(options: ZoneOptions) -> ! {
    let code = match run::supervise(options) {
        Ok(()) => 0,
        Err(error) => {
            // Standard error is the zone's log; if it is gone there is nowhere to complain.
            let _ = writeln!(std::io::stderr(), "zone supervisor: {}", chain(&error));
            1
        }
    };
    std::process::exit(code)
}
