//! A region of one zone on this host, for one test; and a network for its machines.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use base::Zone;
use machine::{
    Exec, Image, ImageRecipe, Images, Kind, Limits, LinuxMachine, Machine, MachineOptions,
    NetworkReach, Output, Process, Program, Root, Sandbox, State, StopRequest, Upper, Volumes,
    WorkloadSpec,
};

/// The executable with the supervisor, the launcher and the echo program.
pub(crate) const EXECUTABLE: &str = env!("CARGO_BIN_EXE_machine-zone");

/// A zone with its own folders; everything in it ends when this is dropped.
pub(crate) struct Region {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) zone: Zone,
    pub(crate) machine: Arc<LinuxMachine>,
    pub(crate) volumes: Volumes,
}

impl Region {
    pub(crate) fn new() -> Self {
        Self::with_command(vec![EXECUTABLE.into(), "zone".into()])
    }

    /// One whose supervisor is started in another way.
    pub(crate) fn with_command(supervisor_command: Vec<std::ffi::OsString>) -> Self {
        // Not in memory: volumes are disks, and layers must be mappable as they are in use.
        let folder = tempfile::Builder::new().prefix("skyhold-").tempdir_in("/var/tmp").unwrap();
        let zone = Zone::new("ap-northeast-2a");
        let volumes =
            Volumes::new(folder.path().join("volumes")).with_launcher(PathBuf::from(EXECUTABLE));
        let machine = Arc::new(LinuxMachine::new(MachineOptions {
            supervisor_command,
            ..options(folder.path(), &zone)
        }));
        Self { folder, zone, machine, volumes }
    }

    /// Another control plane for the same zone.
    pub(crate) fn another_client(&self) -> LinuxMachine {
        LinuxMachine::new(options(self.folder.path(), &self.zone))
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.folder.path().join("run").join(format!("zone-{}", self.zone)).join("supervisor.sock")
    }

    /// The supervisor's process, if it runs.
    pub(crate) fn supervisor(&self) -> Option<rustix::process::Pid> {
        let stream = std::os::unix::net::UnixStream::connect(self.socket()).ok()?;
        Some(rustix::net::sockopt::socket_peercred(&stream).unwrap().pid)
    }

    pub(crate) async fn start(&self, spec: WorkloadSpec) {
        self.machine.start(&self.zone, spec).await.unwrap();
    }

    pub(crate) async fn state(&self, id: &str) -> State {
        let list = self.machine.list(&self.zone).await.unwrap();
        list.into_iter().find(|status| status.id == id).unwrap().state
    }

    pub(crate) async fn pid(&self, id: &str) -> u32 {
        match self.state(id).await {
            State::Running { pid, .. } => pid,
            other => panic!("{id} does not run: {other:?}"),
        }
    }

    /// Runs a shell command inside as root.
    pub(crate) async fn shell(&self, id: &str, command: &str) -> Output {
        let command = Exec::new(["/bin/sh", "-c", command]);
        self.machine.exec(&self.zone, id, command).await.unwrap()
    }

    /// The same, which must succeed; returns what it printed.
    pub(crate) async fn print(&self, id: &str, command: &str) -> String {
        let output = self.shell(id, command).await;
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.success(), "{command}: {:?} {errors}", output.exit);
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    pub(crate) async fn console(&self, id: &str) -> String {
        let bytes = self.machine.console(&self.zone, id, 65_536).await.unwrap();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    pub(crate) fn volume_root(&self, id: &str, image: &Image) -> Root {
        let upper = Upper::Volume(self.volumes.create(id, 512 << 20).unwrap());
        Root { layers: image.layers.clone(), upper, binds: Vec::new(), files: Vec::new() }
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        if let Some(pid) = self.supervisor() {
            // In order, so that it removes its control groups.
            if end_supervisor(&self.socket()).is_err() {
                let _ = rustix::process::kill_process_group(pid, rustix::process::Signal::KILL);
            }
            wait_blocking("the supervisor's end", || self.supervisor().is_none());
        }
        for id in self.volumes.list().unwrap_or_default() {
            let _ = self.volumes.delete(&id);
        }
    }
}

/// Asks a supervisor to kill everything and end, as the control plane would.
fn end_supervisor(socket: &Path) -> std::io::Result<()> {
    use std::io::{Read as _, Write as _};
    let mut stream = std::os::unix::net::UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    let request = br#"{"number":0,"action":{"Shutdown":{"how":"Kill"}}}"#;
    stream.write_all(&u32::try_from(request.len()).unwrap().to_be_bytes())?;
    stream.write_all(request)?;
    stream.read_to_end(&mut Vec::new()).map(drop)
}

fn options(folder: &Path, zone: &Zone) -> MachineOptions {
    MachineOptions {
        data_dir: folder.to_path_buf(),
        run_dir: folder.join("run"),
        zones: vec![zone.clone()],
        supervisor_command: vec![EXECUTABLE.into(), "zone".into()],
    }
}

/// The base image, built once a host.
pub(crate) async fn image() -> Image {
    Images::new(Images::default_folder()).ensure(ImageRecipe::Debian12).await.unwrap()
}

pub(crate) fn memory_root(image: &Image) -> Root {
    Root {
        layers: image.layers.clone(),
        upper: Upper::Memory { size_bytes: 64 << 20 },
        binds: Vec::new(),
        files: Vec::new(),
    }
}

pub(crate) fn spec(id: &str, kind: Kind) -> WorkloadSpec {
    WorkloadSpec {
        id: id.to_owned(),
        kind,
        netns: None,
        limits: Limits::default(),
        stop: StopRequest::terminate(Duration::from_secs(5)),
    }
}

/// A process that runs a shell command.
pub(crate) fn process(id: &str, root: Root, command: &str) -> WorkloadSpec {
    let path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    spec(
        id,
        Kind::Process(Process {
            root,
            hostname: id.to_owned(),
            argv: ["/bin/sh", "-c", command].map(str::to_owned).to_vec(),
            env: vec![("PATH".to_owned(), path.to_owned())],
            uid: 0,
            gid: 0,
            cwd: PathBuf::from("/"),
        }),
    )
}

/// A machine with systemd.
pub(crate) fn sandbox(id: &str, root: Root) -> WorkloadSpec {
    let mut spec = spec(
        id,
        Kind::Sandbox(Sandbox {
            root,
            hostname: id.to_owned(),
            init: vec!["/sbin/init".to_owned()],
            env: Vec::new(),
        }),
    );
    spec.stop = StopRequest::systemd_poweroff(Duration::from_secs(20));
    spec
}

pub(crate) fn echo(id: &str) -> WorkloadSpec {
    spec(
        id,
        Kind::Program(Program {
            args: vec!["echo".to_owned()],
            env: Vec::new(),
            reach: NetworkReach::Own,
        }),
    )
}

/// Waits for a condition, at most half a minute.
pub(crate) async fn until(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let begun = Instant::now();
    while !condition().await {
        assert!(begun.elapsed() < Duration::from_secs(60), "waited too long for {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

pub(crate) fn wait_blocking(what: &str, mut condition: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !condition() {
        assert!(begun.elapsed() < Duration::from_secs(60), "waited too long for {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// A network namespace with an instance metadata service, held by a thread.
pub(crate) struct Network {
    /// Its path.
    pub(crate) path: PathBuf,
    jobs: std::sync::mpsc::Sender<Job>,
}

type Job = Box<dyn FnOnce() + Send>;

impl Network {
    /// The service answers with what `answer` gives for a path below `/latest/`.
    pub(crate) fn new(answer: impl Fn(&str) -> Option<Vec<u8>> + Send + Sync + 'static) -> Self {
        let (jobs, todo) = std::sync::mpsc::channel::<Job>();
        let (ready, path) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            leave_network();
            for args in ["link set lo up", "addr add 169.254.169.254/32 dev lo"] {
                let ip = std::process::Command::new("ip").args(args.split(' ')).status().unwrap();
                assert!(ip.success());
            }
            let metadata = SocketAddr::from((Ipv4Addr::new(169, 254, 169, 254), 80));
            let listener = std::net::TcpListener::bind(metadata).unwrap();
            let thread = rustix::thread::gettid().as_raw_nonzero();
            let own = format!("/proc/{}/task/{thread}/ns/net", std::process::id());
            ready.send(PathBuf::from(own)).unwrap();
            std::thread::spawn(move || {
                for stream in listener.incoming() {
                    serve_metadata(stream.unwrap(), &answer);
                }
            });
            while let Ok(job) = todo.recv() {
                job();
            }
        });
        Self { path: path.recv().unwrap(), jobs }
    }

    /// Does something inside.
    pub(crate) fn inside<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> T {
        let (done, result) = std::sync::mpsc::channel();
        let job = move || done.send(work()).unwrap();
        self.jobs.send(Box::new(job)).unwrap();
        result.recv().unwrap()
    }
}

fn serve_metadata(mut stream: std::net::TcpStream, answer: &impl Fn(&str) -> Option<Vec<u8>>) {
    use std::io::{BufRead as _, Write as _};
    let mut reader = std::io::BufReader::new(stream.try_clone().unwrap());
    let mut line = String::new();
    reader.read_line(&mut line).unwrap();
    let mut token = false;
    loop {
        let mut header = String::new();
        if reader.read_line(&mut header).unwrap() == 0 || header.trim().is_empty() {
            break;
        }
        token |= header.to_lowercase().starts_with("x-aws-ec2-metadata-token: token");
    }
    let path = line.split(' ').nth(1).unwrap_or_default().trim_start_matches("/latest/");
    let (status, body) = match path {
        "api/token" => ("200 OK", b"token".to_vec()),
        _ if !token => ("401 Unauthorized", Vec::new()),
        _ => answer(path).map_or(("404 Not Found", Vec::new()), |body| ("200 OK", body)),
    };
    let head =
        format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
    let _ = stream.write_all(head.as_bytes());
    let _ = stream.write_all(&body);
}

/// Gives the calling thread a network namespace of its own.
#[expect(unsafe_code, reason = "the wrapper is unsafe because other flags can break threads")]
fn leave_network() {
    // SAFETY: only the network namespace of this thread changes; no descriptor table or memory.
    unsafe { rustix::thread::unshare_unsafe(rustix::thread::UnshareFlags::NEWNET) }.unwrap();
}
