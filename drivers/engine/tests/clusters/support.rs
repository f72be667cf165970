//! Engines as child processes of a test: a host that starts, stops, kills and freezes them, writers
//! that remember every row that was acknowledged.

use std::collections::{BTreeSet, HashMap};
use std::io;
use std::net::{IpAddr, Ipv4Addr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use engine::{
    CacheAccess, Cluster, ClusterSpec, Engine, EngineKind, EngineProcess, EngineRoot, Engines,
    Event, Host, Login, Node, Origin, Owner, Role, RootCommand, Secrets, Template, user_of,
};
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::Child;
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;

pub(crate) type Failure = Box<dyn std::error::Error + Send + Sync>;
pub(crate) type Outcome<T = ()> = Result<T, Failure>;

/// How a test talks to an engine as an application does.
#[async_trait]
pub(crate) trait Client: Send + Sized + 'static {
    const KIND: EngineKind;
    const VERSION: &'static str;
    async fn connect(port: u16) -> Outcome<Self>;
    /// Makes the table of the rows.
    async fn prepare(&mut self) -> Outcome;
    /// Returns only when the row was acknowledged.
    async fn insert(&mut self, writer: u64, row: u64) -> Outcome;
    async fn rows(&mut self) -> Outcome<BTreeSet<(u64, u64)>>;
}

pub(crate) fn login() -> Login {
    Login { user: "admin".into(), password: "It's a \\secret\" 1".into() }
}

struct Process {
    pid: i32,
    gone: Arc<Notify>,
    ended: Arc<AtomicBool>,
}

/// Runs nodes as child processes.
pub(crate) struct TestHost {
    root: EngineRoot,
    processes: Mutex<HashMap<String, Process>>,
    reapers: Mutex<JoinSet<()>>,
    cluster: Mutex<std::sync::Weak<Cluster>>,
    pub(crate) events: Mutex<Vec<Event>>,
    pub(crate) cut: Mutex<BTreeSet<String>>,
    pub(crate) primary: watch::Sender<u16>,
    closed: AtomicBool,
}

impl TestHost {
    fn reap(self: &Arc<Self>, id: String, mut child: Child, process: &Process) {
        let (gone, ended) = (Arc::clone(&process.gone), Arc::clone(&process.ended));
        let host = Arc::downgrade(self);
        self.reapers.lock().unwrap().spawn(async move {
            let _ = child.wait().await;
            ended.store(true, Ordering::SeqCst);
            gone.notify_waiters();
            let cluster = host.upgrade().and_then(|host| host.cluster.lock().unwrap().upgrade());
            if let Some(cluster) = cluster {
                cluster.node_exited(&id);
            }
        });
    }

    pub(crate) fn signal(&self, id: &str, signal: Signal) {
        if let Some(process) = self.processes.lock().unwrap().get(id)
            && !process.ended.load(Ordering::SeqCst)
        {
            // A workload is frozen and killed as a whole, children and all.
            let mut pids = vec![process.pid];
            if matches!(signal, Signal::KILL | Signal::STOP) {
                pids.extend(children(process.pid));
            }
            for pid in pids {
                let _ = kill_process(Pid::from_raw(pid).unwrap(), signal);
            }
        }
    }

    async fn end(&self, id: &str, signal: Signal) -> io::Result<()> {
        let waiting = self
            .processes
            .lock()
            .unwrap()
            .get(id)
            .map(|process| (Arc::clone(&process.gone), Arc::clone(&process.ended)));
        let Some((gone, ended)) = waiting else { return Ok(()) };
        let notified = gone.notified();
        self.signal(id, signal);
        if !ended.load(Ordering::SeqCst) {
            tokio::time::timeout(Duration::from_secs(60), notified).await?;
        }
        Ok(())
    }

    pub(crate) fn happened(&self, wanted: impl Fn(&Event) -> bool) -> bool {
        self.events.lock().unwrap().iter().any(wanted)
    }

    /// Kills all that is left, lets nothing start again, and waits until all is gone, so that the
    /// folder that they wrote to can be deleted.
    fn clean(&self) {
        self.closed.store(true, Ordering::SeqCst);
        let ids: Vec<_> = self.processes.lock().unwrap().keys().cloned().collect();
        for id in &ids {
            self.signal(id, Signal::KILL);
        }
        let end = Instant::now() + Duration::from_secs(5);
        let all_ended = || {
            let processes = self.processes.lock().unwrap();
            processes.values().all(|process| process.ended.load(Ordering::SeqCst))
        };
        while !all_ended() && Instant::now() < end {
            std::thread::park_timeout(Duration::from_millis(5));
        }
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        self.watching.abort_all();
        self.host.clean();
    }
}

/// The processes that a process has started.
fn children(parent: i32) -> Vec<i32> {
    let path = format!("/proc/{parent}/task/{parent}/children");
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.split_whitespace().filter_map(|pid| pid.parse().ok()).collect()
}

/// The host as the cluster holds it.
pub(crate) struct Hosting(pub(crate) Arc<TestHost>);

#[async_trait]
impl Host for Hosting {
    async fn start(&self, node: &Node, process: &EngineProcess) -> io::Result<()> {
        if self.0.closed.load(Ordering::SeqCst) {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let owner = Owner { uid: process.uid, gid: process.gid };
        let command = RootCommand::new(&self.0.root.path, owner, process.argv.clone())
            .envs(&process.env)
            .bind(&node.volume, process.data_mount);
        let log = std::fs::File::options()
            .create(true)
            .append(true)
            .open(node.volume.join("console.log"))?;
        let mut command = command.command();
        command.stdout(log.try_clone()?).stderr(log);
        let child = command.spawn()?;
        let process = Process {
            pid: i32::try_from(child.id().unwrap()).unwrap(),
            gone: Arc::new(Notify::new()),
            ended: Arc::new(AtomicBool::new(false)),
        };
        self.0.reap(node.id.clone(), child, &process);
        self.0.processes.lock().unwrap().insert(node.id.clone(), process);
        Ok(())
    }

    async fn stop(&self, node: &Node) -> io::Result<()> {
        let signal =
            if self.0.root.kind == EngineKind::PostgreSql { Signal::INT } else { Signal::TERM };
        self.0.end(&node.id, signal).await
    }

    async fn fence(&self, node: &Node) -> io::Result<()> {
        self.0.cut.lock().unwrap().remove(&node.id);
        self.0.end(&node.id, Signal::KILL).await?;
        if self.0.root.kind == EngineKind::PostgreSql {
            // A workload's processes end together; as children they do so a moment later.
            let pid_file = node.volume.join("pgdata/postmaster.pid");
            let _ = std::fs::remove_file(pid_file);
        }
        Ok(())
    }

    async fn runs(&self, node: &Node) -> io::Result<bool> {
        let processes = self.0.processes.lock().unwrap();
        Ok(processes.get(&node.id).is_some_and(|process| !process.ended.load(Ordering::SeqCst)))
    }

    async fn reach(&self, node: &Node) -> io::Result<()> {
        if self.0.cut.lock().unwrap().contains(&node.id) {
            return Err(io::ErrorKind::HostUnreachable.into());
        }
        Ok(())
    }

    async fn primary_changed(&self, node: &Node) -> io::Result<()> {
        self.0.primary.send_replace(node.port);
        Ok(())
    }

    fn notice(&self, event: Event) {
        eprintln!("event: {event:?}");
        self.0.events.lock().unwrap().push(event);
    }
}

/// A cluster under test.
pub(crate) struct Bench {
    pub(crate) host: Arc<TestHost>,
    pub(crate) cluster: Arc<Cluster>,
    pub(crate) template: Template,
    pub(crate) spec: ClusterSpec,
    pub(crate) folder: tempfile::TempDir,
    nodes: Vec<(Node, Role)>,
    watching: JoinSet<()>,
}

pub(crate) fn engines() -> Engines {
    Engines::new(Path::new(env!("CARGO_TARGET_TMPDIR")).join("engines"))
}

pub(crate) async fn root_of(kind: EngineKind, version: &str) -> Outcome<(EngineRoot, Template)> {
    let engines = engines();
    let root = engines.ensure(&Engine { kind, version: version.into() }).await?;
    let template = engines.template(&root).await?;
    Ok((root, template))
}

pub(crate) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

pub(crate) fn node(folder: &Path, kind: EngineKind, number: u32) -> Node {
    Node {
        id: format!("n{number}"),
        number,
        zone: format!("zone-{number}"),
        address: IpAddr::V4(Ipv4Addr::LOCALHOST),
        port: free_port(),
        volume: folder.join(format!("n{number}")),
        owner: user_of(kind),
    }
}

pub(crate) fn spec(root: EngineRoot) -> ClusterSpec {
    ClusterSpec {
        root,
        secrets: Secrets { management: "manage1234".into(), replication: "replicate1234".into() },
        parameters: [].into(),
        memory_bytes: 256 << 20,
        cache_access: CacheAccess::Open,
        tls: None,
    }
}

impl Bench {
    /// A cluster with these roles for the nodes `n1`, `n2` and so on.
    pub(crate) async fn new<C: Client>(roles: &[Role]) -> Outcome<Self> {
        Self::with::<C>(roles, None, |_| ()).await
    }

    /// A cluster made from a snapshot, under passwords of its own.
    pub(crate) async fn restored<C: Client>(roles: &[Role], snapshot: PathBuf) -> Outcome<Self> {
        let change = |spec: &mut ClusterSpec| {
            let (management, replication) = ("another1".to_owned(), "another2".to_owned());
            spec.secrets = Secrets { management, replication };
        };
        Self::with::<C>(roles, Some(snapshot), change).await
    }

    pub(crate) async fn with<C: Client>(
        roles: &[Role],
        snapshot: Option<PathBuf>,
        change: impl FnOnce(&mut ClusterSpec),
    ) -> Outcome<Self> {
        let (root, template) = root_of(C::KIND, C::VERSION).await?;
        let folder = tempfile::tempdir()?;
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755))?;
        let mut spec = spec(root.clone());
        change(&mut spec);
        let nodes: Vec<_> = roles
            .iter()
            .zip(1..)
            .map(|(role, number)| (node(folder.path(), C::KIND, number), *role))
            .collect();
        let port = nodes[0].0.port;
        let host = Arc::new(TestHost {
            root,
            processes: Mutex::default(),
            reapers: Mutex::default(),
            cluster: Mutex::default(),
            events: Mutex::default(),
            cut: Mutex::default(),
            primary: watch::channel(port).0,
            closed: AtomicBool::new(false),
        });
        let hosting = Arc::new(Hosting(Arc::clone(&host)));
        let cluster = Arc::new(Cluster::new(spec.clone(), nodes.clone(), hosting)?);
        *host.cluster.lock().unwrap() = Arc::downgrade(&cluster);
        let began = Instant::now();
        let origin = match snapshot {
            Some(path) => Origin::Snapshot(path),
            None => Origin::Template(template.clone()),
        };
        let database = (C::KIND.default_port() != 6379).then_some("app");
        cluster.create(&origin, &login(), database).await.map_err(|error| error.chain())?;
        eprintln!("created {roles:?} in {:?}", began.elapsed());
        let mut watching = JoinSet::new();
        watching.spawn(Arc::clone(&cluster).watch());
        Ok(Self { host, cluster, template, spec, folder, nodes, watching })
    }

    /// Waits until the cluster is whole: everyone answers, and every follower follows in step.
    pub(crate) async fn whole(&self) -> Outcome {
        let all = |status: &engine::ClusterStatus| {
            let follows = |node: &engine::NodeStatus| {
                node.role == Role::Primary || (node.lag.is_some() && node.broken.is_none())
            };
            let standby = status.nodes.iter().any(|node| node.role == Role::Standby);
            status.nodes.iter().all(|node| node.answers && follows(node))
                && (status.in_step || !standby)
        };
        until("the cluster is whole", Duration::from_secs(60), || {
            let status = self.cluster.status();
            all(&status)
        })
        .await
        .map_err(|error| format!("{error}: {:?}", self.cluster.status()).into())
    }

    /// A new control plane over the same nodes, with the roles that the first one was given.
    pub(crate) async fn take_over(&mut self) -> Outcome {
        self.stop_watching().await;
        let nodes = self.nodes.clone();
        let hosting = Arc::new(Hosting(Arc::clone(&self.host)));
        self.cluster = Arc::new(Cluster::new(self.spec.clone(), nodes, hosting)?);
        *self.host.cluster.lock().unwrap() = Arc::downgrade(&self.cluster);
        self.watch();
        Ok(())
    }

    pub(crate) fn watch(&mut self) {
        self.watching.spawn(Arc::clone(&self.cluster).watch());
    }

    pub(crate) fn node(&self, id: &str) -> Node {
        self.nodes.iter().map(|(node, _)| node).find(|node| node.id == id).unwrap().clone()
    }

    /// Takes the control plane away: nobody watches any more.
    pub(crate) async fn stop_watching(&mut self) {
        self.watching.shutdown().await;
    }

    pub(crate) fn port(&self) -> u16 {
        *self.host.primary.borrow()
    }

    pub(crate) fn primary(&self) -> String {
        self.cluster.status().primary.unwrap()
    }

    pub(crate) async fn client<C: Client>(&self) -> Outcome<C> {
        C::connect(self.port()).await
    }
}

pub(crate) async fn until(what: &str, limit: Duration, condition: impl Fn() -> bool) -> Outcome {
    let end = Instant::now() + limit;
    while !condition() {
        if Instant::now() > end {
            return Err(format!("waited {limit:?} in vain until {what}").into());
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Ok(())
}

/// Writers that insert rows one by one and remember which were acknowledged.
pub(crate) struct Writers {
    tasks: JoinSet<BTreeSet<(u64, u64)>>,
    halt: Arc<AtomicBool>,
    pub(crate) acknowledged: Arc<AtomicU64>,
}

impl Writers {
    pub(crate) fn start<C: Client>(bench: &Bench, count: u64) -> Self {
        let halt = Arc::new(AtomicBool::new(false));
        let acknowledged = Arc::new(AtomicU64::new(0));
        let mut tasks = JoinSet::new();
        static NEXT: AtomicU64 = AtomicU64::new(1);
        for _ in 0..count {
            let writer = NEXT.fetch_add(1, Ordering::SeqCst);
            let halt = Arc::clone(&halt);
            let acknowledged = Arc::clone(&acknowledged);
            let primary = bench.host.primary.subscribe();
            tasks.spawn(async move {
                let mut rows = BTreeSet::new();
                let mut row = 0;
                let mut client = None;
                while !halt.load(Ordering::SeqCst) {
                    let port = *primary.borrow();
                    let held = match client.take() {
                        Some((held_port, held)) if held_port == port => Some(held),
                        _ => {
                            let opening = C::connect(port);
                            let limit = Duration::from_millis(500);
                            tokio::time::timeout(limit, opening).await.ok().and_then(Result::ok)
                        }
                    };
                    let Some(mut held) = held else {
                        tokio::time::sleep(Duration::from_millis(5)).await;
                        continue;
                    };
                    row += 1;
                    let insert = held.insert(writer, row);
                    let moved = async {
                        let mut primary = primary.clone();
                        let _ = primary.wait_for(|now| *now != port).await;
                    };
                    let done = tokio::select! {
                        done = insert => done.is_ok(),
                        // The endpoint leads elsewhere: what hangs on the old one is given up.
                        () = moved => false,
                    };
                    if done {
                        rows.insert((writer, row));
                        acknowledged.fetch_add(1, Ordering::SeqCst);
                        client = Some((port, held));
                    }
                }
                rows
            });
        }
        Self { tasks, halt, acknowledged }
    }

    /// Waits until so many more rows were acknowledged.
    pub(crate) async fn more(&self, count: u64) -> Outcome {
        let wanted = self.acknowledged.load(Ordering::SeqCst) + count;
        until("rows are acknowledged", Duration::from_secs(60), || {
            self.acknowledged.load(Ordering::SeqCst) >= wanted
        })
        .await
    }

    pub(crate) async fn finish(mut self) -> Outcome<BTreeSet<(u64, u64)>> {
        self.halt.store(true, Ordering::SeqCst);
        let mut rows = BTreeSet::new();
        while let Some(done) = self.tasks.join_next().await {
            rows.extend(done?);
        }
        Ok(rows)
    }
}
