//! The machine on Linux: a client of the zones' supervisors, which it starts when missing.

mod connection;

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use base::Zone;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::sync::broadcast;

use crate::error::{Doing as _, Error, Result};
use crate::spec::{Event, EventKind, Exec, Output, Stop, WorkloadSpec, WorkloadStatus};
use crate::zone::protocol::{Action, Bytes, Reply};
use crate::zone::{ZoneOptions, remove_console, sweep_zone, zone_folder};
use crate::{CALL_TIMEOUT, Machine};

use connection::Connection;

const EVENTS_MAX: usize = 4096;

/// How long a supervisor may take to serve.
const SUPERVISOR_START_TIMEOUT: Duration = Duration::from_secs(20);

/// How long a supervisor may take over what itself waits for slow things.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(180);

/// The most that any workload gets to end when all of them are to. What must survive a power cut
/// survives a kill.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(30);

/// The file that keeps a killed zone from being started again.
const KILLED: &str = "killed";

/// How to run the zones of a region.
#[derive(Debug, Clone)]
pub struct MachineOptions {
    /// What outlives a restart of the host.
    pub data_dir: PathBuf,
    /// Sockets, logs and mount points. At most some 60 characters, for the sockets' sake.
    pub run_dir: PathBuf,
    /// The zones.
    pub zones: Vec<Zone>,
    /// The command that runs a supervisor; `--zone`, `--run-dir` and `--data-dir` are appended.
    pub supervisor_command: Vec<OsString>,
}

/// The supervisors of a region's zones, behind [`Machine`].
pub struct LinuxMachine {
    shared: Arc<Shared>,
}

/// What outlives a borrow of the machine: connections report to it.
struct Shared {
    options: MachineOptions,
    zones: BTreeMap<Zone, Link>,
    events: broadcast::Sender<Event>,
}

/// The way to one supervisor.
#[derive(Default)]
struct Link {
    connection: Mutex<Option<Arc<Connection>>>,
    /// Held while a supervisor is looked for or started.
    opening: tokio::sync::Mutex<()>,
}

impl LinuxMachine {
    /// The machine of these zones. Nothing is started yet: each zone's supervisor is found, or
    /// started, when it is first needed, or by [`Self::start_all`].
    pub fn new(options: MachineOptions) -> Self {
        let (events, _) = broadcast::channel(EVENTS_MAX);
        let zones = options.zones.iter().map(|zone| (zone.clone(), Link::default())).collect();
        Self { shared: Arc::new(Shared { options, zones, events }) }
    }

    /// Connects to all zones' supervisors and starts those that do not run, except in zones that
    /// were killed. What runs already goes on: [`Machine::list`] tells.
    ///
    /// # Errors
    ///
    /// When a supervisor can be neither reached nor started; its log is
    /// `<run_dir>/zone-<name>/supervisor.log`.
    pub async fn start_all(&self) -> Result<()> {
        let mut opening = tokio::task::JoinSet::new();
        for zone in &self.shared.options.zones {
            let zone = zone.clone();
            let shared = Arc::clone(&self.shared);
            opening.spawn(async move { shared.open_unless_killed(&zone).await });
        }
        while let Some(opened) = opening.join_next().await {
            opened.map_err(|error| Error::Refused(error.to_string()))??;
        }
        Ok(())
    }

    /// Kills a zone as a power cut would: its supervisor and all that runs in it, at once. It stays
    /// down until [`Self::start_zone`], over restarts too.
    ///
    /// # Errors
    ///
    /// When the zone is not one of ours, or the kill is refused.
    pub async fn kill_zone(&self, zone: &Zone) -> Result<()> {
        let folder = zone_folder(&self.shared.options.run_dir, zone);
        let connection = self.shared.running(zone).await?;
        fs::create_dir_all(&folder).doing(|| format!("make {}", folder.display()))?;
        let file = folder.join(KILLED);
        fs::write(&file, b"").doing(|| format!("write {}", file.display()))?;
        if let Some(connection) = connection {
            connection.kill_group()?;
            connection.closed().await;
        }
        self.shared.sweep(zone).await
    }

    /// Brings a killed zone back: an empty supervisor. What should run in it must be started.
    ///
    /// # Errors
    ///
    /// When the supervisor cannot be started.
    pub async fn start_zone(&self, zone: &Zone) -> Result<()> {
        let file = zone_folder(&self.shared.options.run_dir, zone).join(KILLED);
        match fs::remove_file(&file) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(error).doing(|| format!("delete {}", file.display()));
            }
            Ok(()) | Err(_) => {}
        }
        self.shared.open(zone).await.map(drop)
    }

    /// Whether a zone was killed and not started since.
    pub fn is_killed(&self, zone: &Zone) -> bool {
        self.shared.is_killed(zone)
    }

    /// Stops all workloads, each in its own way and grace but at most half a minute, and then all
    /// supervisors, also those that an earlier control plane left running.
    ///
    /// # Errors
    ///
    /// The first supervisor's that does not end; the others are asked all the same.
    pub async fn shutdown(&self) -> Result<()> {
        let mut ending = tokio::task::JoinSet::new();
        for zone in &self.shared.options.zones {
            let zone = zone.clone();
            let shared = Arc::clone(&self.shared);
            ending.spawn(async move { shared.end(&zone).await });
        }
        let mut outcome = Ok(());
        while let Some(ended) = ending.join_next().await {
            let ended = ended.map_err(|error| Error::Refused(error.to_string())).flatten();
            outcome = outcome.and(ended);
        }
        outcome
    }

    async fn ask(&self, zone: &Zone, action: Action, patience: Duration) -> Result<Reply> {
        let connection = self.shared.open_unless_killed(zone).await?;
        let down = || Error::ZoneDown { zone: zone.to_string() };
        connection.ok_or_else(down)?.ask(action, patience).await
    }

    async fn tell(&self, zone: &Zone, action: Action) -> Result<()> {
        match self.ask(zone, action, REQUEST_TIMEOUT).await? {
            Reply::Done => Ok(()),
            other @ (Reply::List(_) | Reply::Bytes(_) | Reply::Output(_)) => {
                Err(unexpected(&other))
            }
        }
    }
}

fn unexpected(reply: &Reply) -> Error {
    Error::Refused(format!("the supervisor answered something else: {reply:?}"))
}

impl Shared {
    fn link(&self, zone: &Zone) -> Result<&Link> {
        let unknown = || Error::Refused(format!("{zone} is not a zone of this region"));
        self.zones.get(zone).ok_or_else(unknown)
    }

    fn is_killed(&self, zone: &Zone) -> bool {
        zone_folder(&self.options.run_dir, zone).join(KILLED).exists()
    }

    fn send(&self, zone: &Zone, id: String, kind: EventKind) {
        // Nobody may be listening; that is not the machine's trouble.
        let _ = self.events.send(Event { zone: zone.clone(), id, kind });
    }

    async fn open_unless_killed(self: &Arc<Self>, zone: &Zone) -> Result<Option<Arc<Connection>>> {
        if self.is_killed(zone) {
            self.link(zone)?;
            return Ok(None);
        }
        self.open(zone).await.map(Some)
    }

    /// The connection to a zone's supervisor, which is started when there is none.
    async fn open(self: &Arc<Self>, zone: &Zone) -> Result<Arc<Connection>> {
        let link = self.link(zone)?;
        if let Some(connection) = link.connection().clone() {
            return Ok(connection);
        }
        let _opening = link.opening.lock().await;
        if let Some(connection) = link.connection().clone() {
            return Ok(connection);
        }
        let zone_options = self.zone_options(zone);
        let connection = match Connection::open(self, &zone_options).await {
            Ok(connection) => connection,
            Err(_) => {
                self.start_supervisor(&zone_options).await?;
                Connection::open(self, &zone_options).await?
            }
        };
        *link.connection() = Some(Arc::clone(&connection));
        self.send(zone, String::new(), EventKind::SupervisorBack);
        Ok(connection)
    }

    fn zone_options(&self, zone: &Zone) -> ZoneOptions {
        let options = &self.options;
        ZoneOptions::new(zone.clone(), options.run_dir.clone(), options.data_dir.clone())
    }

    /// Removes what a supervisor that is gone left behind.
    async fn sweep(&self, zone: &Zone) -> Result<()> {
        let options = self.zone_options(zone);
        let sweeping = tokio::task::spawn_blocking(move || sweep_zone(&options));
        sweeping.await.map_err(|error| Error::Refused(error.to_string()))?
    }

    /// The connection to a zone's supervisor if one runs; none is started.
    async fn running(self: &Arc<Self>, zone: &Zone) -> Result<Option<Arc<Connection>>> {
        let link = self.link(zone)?;
        let _opening = link.opening.lock().await;
        let current = link.connection().clone();
        if current.is_some() {
            return Ok(current);
        }
        let opened = Connection::open(self, &self.zone_options(zone)).await.ok();
        link.connection().clone_from(&opened);
        Ok(opened)
    }

    /// Ends a zone's supervisor, if it runs, and removes what one that was killed left.
    async fn end(self: &Arc<Self>, zone: &Zone) -> Result<()> {
        let Some(connection) = self.running(zone).await? else { return self.sweep(zone).await };
        connection.expect_end();
        let how = Stop::Graceful { grace: Some(SHUTDOWN_GRACE) };
        let answer = connection.ask(Action::Shutdown { how }, REQUEST_TIMEOUT).await;
        match answer {
            // It ends so fast that the answer may be lost.
            Ok(_) | Err(Error::ZoneDown { .. }) => {
                connection.closed().await;
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    /// Called by a connection when its supervisor is gone.
    fn lost(&self, zone: &Zone, gone: &Arc<Connection>) {
        self.forget(zone, gone);
        self.send(zone, String::new(), EventKind::SupervisorLost);
    }

    fn forget(&self, zone: &Zone, gone: &Arc<Connection>) {
        if let Ok(link) = self.link(zone) {
            let mut current = link.connection();
            if current.as_ref().is_some_and(|current| Arc::ptr_eq(current, gone)) {
                *current = None;
            }
        }
    }

    /// Starts a supervisor in a session of its own and waits until it serves.
    async fn start_supervisor(&self, zone: &ZoneOptions) -> Result<()> {
        let folder = zone_folder(&zone.run_dir, &zone.zone);
        fs::create_dir_all(&folder).doing(|| format!("make {}", folder.display()))?;
        let log_path = folder.join("supervisor.log");
        let log = fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(&log_path)
            .doing(|| format!("open {}", log_path.display()))?;
        let [program, arguments @ ..] = self.options.supervisor_command.as_slice() else {
            return Err(Error::Refused("the supervisor command is empty".to_owned()));
        };
        #[expect(clippy::disallowed_methods, reason = "a driver starts processes")]
        let mut command = std::process::Command::new(program);
        command.args(arguments).arg("--zone").arg(zone.zone.as_str());
        command.arg("--run-dir").arg(&zone.run_dir).arg("--data-dir").arg(&zone.data_dir);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log);
        let mut child = tokio::process::Command::from(command)
            .spawn()
            .doing(|| format!("start the supervisor of {}", zone.zone))?;
        let output = child.stdout.take();
        let ready = async {
            let mut line = String::new();
            if let Some(output) = output {
                BufReader::new(output).read_line(&mut line).await?;
            }
            io::Result::Ok(line == "ready\n")
        };
        // Dropped here, the child is reaped by the runtime whenever it ends.
        match tokio::time::timeout(SUPERVISOR_START_TIMEOUT, ready).await {
            Ok(Ok(true)) => Ok(()),
            Ok(Ok(false) | Err(_)) => Err(Error::Refused(format!(
                "the supervisor of {} ended; see {}",
                zone.zone,
                log_path.display()
            ))),
            Err(_) => Err(Error::TimedOut(format!("the supervisor of {}", zone.zone))),
        }
    }
}

impl Link {
    fn connection(&self) -> MutexGuard<'_, Option<Arc<Connection>>> {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Machine for LinuxMachine {
    async fn start(&self, zone: &Zone, spec: WorkloadSpec) -> Result<()> {
        self.tell(zone, Action::Start(Box::new(spec))).await
    }

    async fn stop(&self, zone: &Zone, id: &str, how: Stop) -> Result<()> {
        let grace = match how {
            Stop::Graceful { grace } => grace.unwrap_or_default(),
            Stop::Kill => Duration::ZERO,
        };
        let patience = REQUEST_TIMEOUT.saturating_add(grace);
        self.ask(zone, Action::Stop { id: id.to_owned(), how }, patience).await.map(drop)
    }

    async fn remove(&self, zone: &Zone, id: &str) -> Result<()> {
        let removed = self.tell(zone, Action::Remove { id: id.to_owned() }).await;
        if let Err(Error::ZoneDown { .. }) = &removed {
            // What ran there ended with its zone; its console is all that is left of it.
            remove_console(&self.shared.zone_options(zone), id)?;
        }
        removed
    }

    async fn reboot(&self, zone: &Zone, id: &str) -> Result<()> {
        self.tell(zone, Action::Reboot { id: id.to_owned() }).await
    }

    async fn list(&self, zone: &Zone) -> Result<Vec<WorkloadStatus>> {
        match self.ask(zone, Action::List, REQUEST_TIMEOUT).await? {
            Reply::List(list) => Ok(list),
            other @ (Reply::Done | Reply::Bytes(_) | Reply::Output(_)) => Err(unexpected(&other)),
        }
    }

    async fn call(&self, zone: &Zone, id: &str, message: Vec<u8>) -> Result<Vec<u8>> {
        let action = Action::Call { id: id.to_owned(), message: Bytes(message) };
        bytes(self.ask(zone, action, CALL_TIMEOUT.saturating_mul(2)).await?)
    }

    async fn console(&self, zone: &Zone, id: &str, max_bytes: usize) -> Result<Vec<u8>> {
        let action = Action::Console { id: id.to_owned(), max_bytes };
        bytes(self.ask(zone, action, REQUEST_TIMEOUT).await?)
    }

    fn is_down(&self, zone: &Zone) -> bool {
        self.is_killed(zone)
    }

    fn events(&self) -> broadcast::Receiver<Event> {
        self.shared.events.subscribe()
    }

    async fn freeze(&self, zone: &Zone, id: &str) -> Result<()> {
        self.tell(zone, Action::Freeze { id: id.to_owned() }).await
    }

    async fn thaw(&self, zone: &Zone, id: &str) -> Result<()> {
        self.tell(zone, Action::Thaw { id: id.to_owned() }).await
    }

    async fn exec(&self, zone: &Zone, id: &str, command: Exec) -> Result<Output> {
        let patience = command.timeout.saturating_add(REQUEST_TIMEOUT);
        let action = Action::Exec { id: id.to_owned(), command: Box::new(command) };
        match self.ask(zone, action, patience).await? {
            Reply::Output(output) => Ok(*output),
            other @ (Reply::Done | Reply::List(_) | Reply::Bytes(_)) => Err(unexpected(&other)),
        }
    }
}

fn bytes(reply: Reply) -> Result<Vec<u8>> {
    match reply {
        Reply::Bytes(Bytes(bytes)) => Ok(bytes),
        other @ (Reply::Done | Reply::List(_) | Reply::Output(_)) => Err(unexpected(&other)),
    }
}

/// The zones of `options` whose supervisors run now, found without starting any: for `status`.
pub async fn running_zones(options: &MachineOptions) -> BTreeSet<Zone> {
    let mut running = BTreeSet::new();
    for zone in &options.zones {
        let zone_options =
            ZoneOptions::new(zone.clone(), options.run_dir.clone(), options.data_dir.clone());
        if tokio::net::UnixStream::connect(&zone_options.socket).await.is_ok() {
            running.insert(zone.clone());
        }
    }
    running
}
