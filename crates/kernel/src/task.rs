//! Reconcilers. A task reads the intent from the store, compares it with what is, acts, and may
//! run twice. It is woken by changes of the tables it names, by [`Kernel::wake`], and by time. A
//! keyed task runs once per key (an instance, a database) and never twice at once for the same key.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use base::{AccountId, Clock, Random, Region, Timestamp};
use store::Store;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::client::Client;
use crate::ctx::{Call, Ctx};
use crate::kernel::Kernel;
use crate::service::BoxFuture;

/// When a task wants to run again, apart from being woken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Only when woken.
    Idle,
    /// When the region's clock shows this.
    At(Timestamp),
    /// After this much machine time, to look at a driver again.
    Poll(Duration),
}

/// Why a run of a task failed. It is logged and the run is repeated with growing pauses.
#[derive(Debug)]
pub struct TaskError(String);

impl TaskError {
    /// A failure with its text.
    pub fn new(text: impl fmt::Display) -> Self {
        Self(text.to_string())
    }
}

impl fmt::Display for TaskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<E: std::error::Error> From<E> for TaskError {
    /// Keeps the error's text and those of its sources.
    fn from(error: E) -> Self {
        let mut text = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            text.push_str(": ");
            text.push_str(&cause.to_string());
            source = cause.source();
        }
        Self(text)
    }
}

type Result<T> = std::result::Result<T, TaskError>;

/// The first pause after a failure, doubled with each further one up to [`BACKOFF_MAX`].
const BACKOFF_MIN: Duration = Duration::from_millis(100);
const BACKOFF_MAX: Duration = Duration::from_secs(15);
/// How many keys of one task run at once.
const PARALLEL_MAX: usize = 64;

type Keys<S> = Arc<dyn Fn(TaskCtx<S>) -> BoxFuture<'static, Result<Vec<String>>> + Send + Sync>;
type Run<S> = Arc<dyn Fn(TaskCtx<S>, String) -> BoxFuture<'static, Result<Next>> + Send + Sync>;

/// A reconciler of a service with the drivers `S`.
pub struct Task<S> {
    name: &'static str,
    wakes_on: &'static [&'static str],
    keys: Keys<S>,
    run: Run<S>,
}

/// What a task run may use.
pub struct TaskCtx<S = ()> {
    kernel: Arc<Kernel>,
    /// The region's whole state.
    pub store: Store,
    /// The region.
    pub region: Region,
    /// What the service was built with.
    pub drivers: Arc<S>,
}

impl<S: Send + Sync + 'static> Task<S> {
    /// A task without keys.
    pub fn new<F, R>(name: &'static str, run: F) -> Self
    where
        F: Fn(TaskCtx<S>) -> R + Send + Sync + Copy + 'static,
        R: Future<Output = Result<Next>> + Send + 'static,
    {
        Self {
            name,
            wakes_on: &[],
            keys: Arc::new(|_| Box::pin(async { Ok(vec![String::new()]) })),
            run: Arc::new(move |ctx, _| Box::pin(run(ctx))),
        }
    }

    /// A task that `run`s once for each of the `keys`, which are listed anew at each wake.
    pub fn keyed<K, KR, F, R>(name: &'static str, keys: K, run: F) -> Self
    where
        K: Fn(TaskCtx<S>) -> KR + Send + Sync + Copy + 'static,
        KR: Future<Output = Result<Vec<String>>> + Send + 'static,
        F: Fn(TaskCtx<S>, String) -> R + Send + Sync + Copy + 'static,
        R: Future<Output = Result<Next>> + Send + 'static,
    {
        Self {
            name,
            wakes_on: &[],
            keys: Arc::new(move |ctx| Box::pin(keys(ctx))),
            run: Arc::new(move |ctx, key| Box::pin(run(ctx, key))),
        }
    }

    /// Runs all keys when one of these tables changes (by the tables' names).
    #[must_use]
    pub fn wakes_on(self, tables: &'static [&'static str]) -> Self {
        Self { wakes_on: tables, ..self }
    }

    pub(crate) fn erase(self, drivers: Arc<S>) -> TaskDef {
        let Self { name, wakes_on, keys, run } = self;
        let context = move |kernel: Arc<Kernel>| TaskCtx::new(kernel, drivers.clone());
        let for_run = context.clone();
        TaskDef {
            name,
            wakes_on,
            keys: Arc::new(move |kernel| keys(context(kernel))),
            run: Arc::new(move |kernel, key| run(for_run(kernel), key)),
        }
    }
}

impl<S> TaskCtx<S> {
    fn new(kernel: Arc<Kernel>, drivers: Arc<S>) -> Self {
        let (store, region) = (kernel.store().clone(), kernel.region().clone());
        Self { kernel, store, region, drivers }
    }

    /// The region's time.
    pub fn now(&self) -> Timestamp {
        self.kernel.clock().now()
    }

    /// The region's clock.
    pub fn clock(&self) -> &dyn Clock {
        self.kernel.clock()
    }

    /// The source of randomness.
    pub fn random(&self) -> &dyn Random {
        self.kernel.random()
    }

    /// The kernel.
    pub fn kernel(&self) -> &Arc<Kernel> {
        &self.kernel
    }

    /// Wakes the task called `name`, all its keys.
    pub fn wake(&self, name: &str) {
        self.kernel.wake(name);
    }

    /// A client that calls as the service-linked role of `service` in `account`.
    ///
    /// # Errors
    ///
    /// When the identity store cannot be read or written.
    pub async fn service_client(
        &self,
        account: &AccountId,
        service: &str,
    ) -> std::result::Result<Client, crate::ServiceError> {
        self.kernel.service_client(account, service).await
    }

    /// A context like a handler's, for `account`, as the service `service` itself.
    ///
    /// # Errors
    ///
    /// When the identity store cannot be read or written.
    pub async fn for_account(
        &self,
        account: &AccountId,
        service: &str,
    ) -> std::result::Result<Ctx<S>, crate::ServiceError> {
        let client = self.kernel.service_client(account, service).await?;
        let call = Call::new(
            self.kernel.clone(),
            client.caller().clone(),
            self.kernel.inside_request(service),
        );
        Ok(Ctx::new(call, self.drivers.clone()))
    }
}

impl<S> Clone for TaskCtx<S> {
    fn clone(&self) -> Self {
        Self {
            kernel: self.kernel.clone(),
            store: self.store.clone(),
            region: self.region.clone(),
            drivers: self.drivers.clone(),
        }
    }
}

type ErasedKeys = Arc<dyn Fn(Arc<Kernel>) -> BoxFuture<'static, Result<Vec<String>>> + Send + Sync>;
type ErasedRun = Arc<dyn Fn(Arc<Kernel>, String) -> BoxFuture<'static, Result<Next>> + Send + Sync>;

/// A task without its type parameter.
pub(crate) struct TaskDef {
    pub(crate) name: &'static str,
    pub(crate) wakes_on: &'static [&'static str],
    keys: ErasedKeys,
    run: ErasedRun,
}

/// What a task's runner is told.
#[derive(Debug, Clone)]
pub(crate) enum Wake {
    /// List the keys again and run all.
    All,
    /// Run one key.
    Key(String),
    /// The region's clock was moved: look which keys are due.
    ClockMoved,
}

/// How many wakes wait for a runner; a full queue already holds one that makes it look.
pub(crate) const WAKES_MAX: usize = 256;

#[derive(Default)]
struct KeyState {
    running: bool,
    dirty: bool,
    due: Option<Timestamp>,
    poll: Option<tokio::time::Instant>,
    failures: u32,
}

/// Runs one task until the kernel stops.
pub(crate) struct Runner {
    pub(crate) task: TaskDef,
    pub(crate) kernel: Arc<Kernel>,
    pub(crate) wakes: mpsc::Receiver<Wake>,
    keys: BTreeMap<String, KeyState>,
    running: JoinSet<(String, Result<Next>)>,
}

impl Runner {
    pub(crate) fn new(task: TaskDef, kernel: Arc<Kernel>, wakes: mpsc::Receiver<Wake>) -> Self {
        Self { task, kernel, wakes, keys: BTreeMap::new(), running: JoinSet::new() }
    }

    /// Serves wakes until the sender is gone.
    pub(crate) async fn run(mut self) {
        self.list_keys().await;
        loop {
            self.start_due();
            let pause = self.next_pause();
            tokio::select! {
                wake = self.wakes.recv() => match wake {
                    Some(wake) => self.woken(wake).await,
                    None => break,
                },
                Some(done) = self.running.join_next() => match done {
                    Ok((key, result)) => self.finished(&key, result),
                    Err(error) => tracing::error!(task = self.task.name, %error, "a task run ended abnormally"),
                },
                () = tokio::time::sleep(pause) => {}
            }
        }
        self.running.shutdown().await;
    }

    async fn woken(&mut self, wake: Wake) {
        match wake {
            Wake::All => self.list_keys().await,
            Wake::Key(key) => self.keys.entry(key).or_default().dirty = true,
            Wake::ClockMoved => {}
        }
    }

    async fn list_keys(&mut self) {
        // One look serves every wake that is waiting.
        while let Ok(wake) = self.wakes.try_recv() {
            if let Wake::Key(key) = wake {
                self.keys.entry(key).or_default().dirty = true;
            }
        }
        match (self.task.keys)(self.kernel.clone()).await {
            Ok(listed) => {
                let listed: BTreeSet<String> = listed.into_iter().collect();
                self.keys.retain(|key, state| state.running || listed.contains(key));
                for key in listed {
                    self.keys.entry(key).or_default().dirty = true;
                }
            }
            Err(error) => tracing::warn!(task = self.task.name, %error, "cannot list keys"),
        }
    }

    fn start_due(&mut self) {
        let (now, instant) = (self.kernel.clock().now(), tokio::time::Instant::now());
        for (key, state) in &mut self.keys {
            let due = state.due.is_some_and(|due| due <= now)
                || state.poll.is_some_and(|poll| poll <= instant);
            if state.running || !(state.dirty || due) || self.running.len() >= PARALLEL_MAX {
                continue;
            }
            *state = KeyState { running: true, failures: state.failures, ..KeyState::default() };
            let run = (self.task.run)(self.kernel.clone(), key.clone());
            let key = key.clone();
            self.running.spawn(async move { (key, run.await) });
        }
    }

    fn finished(&mut self, key: &str, result: Result<Next>) {
        let Some(state) = self.keys.get_mut(key) else { return };
        state.running = false;
        match result {
            Ok(next) => {
                state.failures = 0;
                match next {
                    Next::Idle => {}
                    Next::At(at) => state.due = Some(at),
                    Next::Poll(after) => state.poll = Some(tokio::time::Instant::now() + after),
                }
            }
            Err(error) => {
                let pause =
                    BACKOFF_MIN.saturating_mul(1 << state.failures.min(10)).min(BACKOFF_MAX);
                state.failures = state.failures.saturating_add(1);
                state.poll = Some(tokio::time::Instant::now() + pause);
                tracing::warn!(task = self.task.name, key, %error, ?pause, "a task run failed");
            }
        }
    }

    fn next_pause(&self) -> Duration {
        const LONGEST: Duration = Duration::from_secs(60);
        let instant = tokio::time::Instant::now();
        let of = |state: &KeyState| {
            let due = state.due.and_then(|due| self.kernel.clock().until(due));
            let poll = state.poll.map(|poll| poll.saturating_duration_since(instant));
            due.into_iter().chain(poll).min()
        };
        let waiting = self.keys.values().filter(|state| !state.running);
        waiting.filter_map(of).min().unwrap_or(LONGEST).min(LONGEST)
    }
}
