//! The fabric on Linux: network namespaces, veth pairs, routes and nf_tables.

use std::path::PathBuf;
use std::thread;

use async_trait::async_trait;
use base::{ResourceId, Zone};
use tokio::sync::{mpsc, oneshot};

use crate::space::path;
use crate::worker::{INTERNET, Worker};
use crate::{Cohort, Error, Fabric, Net, Observed, Options, Result};

/// How many calls may wait for the thread that builds; further callers wait themselves.
const CALLS_MAX: usize = 64;

type Call = Box<dyn FnOnce(&mut Worker) + Send>;

/// Builds the fabric in the kernel. A namespace belongs to a thread, so one thread does all of
/// it; it ends when this value is dropped. What was built stays until [`Net::destroy`].
#[derive(Debug)]
pub struct LinuxNet {
    options: Options,
    calls: mpsc::Sender<Call>,
}

impl LinuxNet {
    /// Starts the thread that builds, in the calling thread's network and mount namespaces.
    /// Nothing is touched before the first [`Net::apply`].
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] when the prefix or the pool is not possible, [`Error::Kernel`] when
    /// there can be no thread.
    pub fn new(options: Options) -> Result<Self> {
        let letters = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
        if !(1..=8).contains(&options.prefix.len()) || !options.prefix.bytes().all(letters) {
            let text = format!("{:?} is not a prefix of 1 to 8 letters or digits", options.prefix);
            return Err(Error::Invalid(text));
        }
        if options.public_pool.prefix() > 28 {
            return Err(Error::Invalid(format!("the pool {} is too small", options.public_pool)));
        }
        let (calls, mut queue) = mpsc::channel::<Call>(CALLS_MAX);
        let (tell, told) = std::sync::mpsc::sync_channel(1);
        let own = options.clone();
        let run = move || match Worker::new(own) {
            Ok(mut worker) => {
                // The receiver waits below; if it is gone, so is the queue's other end.
                let _ = tell.send(Ok(()));
                while let Some(call) = queue.blocking_recv() {
                    call(&mut worker);
                }
            }
            Err(error) => {
                // As above.
                let _ = tell.send(Err(error));
            }
        };
        thread::Builder::new()
            .name("net".to_owned())
            .spawn(run)
            .map_err(|error| Error::kernel("start the network thread", error))?;
        told.recv().map_err(|_| Error::Stopped)??;
        Ok(Self { options, calls })
    }

    async fn call<T: Send + 'static>(
        &self,
        f: impl FnOnce(&mut Worker) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let (answer, answered) = oneshot::channel();
        let call: Call = Box::new(move |worker| {
            let result = worker.at_home(f);
            // A caller that has gone away does not want the answer.
            let _ = answer.send(result);
        });
        self.calls.send(call).await.map_err(|_| Error::Stopped)?;
        answered.await.map_err(|_| Error::Stopped)?
    }

    fn namespace(&self, name: &str) -> PathBuf {
        path(&self.options.run_dir.join("netns"), &self.options.prefix, name)
    }
}

#[async_trait]
impl Net for LinuxNet {
    async fn apply(&self, desired: Fabric) -> Result<()> {
        self.call(move |worker| worker.apply(desired)).await
    }

    async fn observe(&self) -> Result<Observed> {
        self.call(Worker::observe).await
    }

    fn eni_namespace(&self, eni: &ResourceId) -> PathBuf {
        self.namespace(eni.as_str())
    }

    fn router_namespace(&self, vpc: &ResourceId) -> PathBuf {
        self.namespace(vpc.as_str())
    }

    fn internet_namespace(&self) -> PathBuf {
        self.namespace(INTERNET)
    }

    async fn set_zone_link(&self, zone: &Zone, up: bool) -> Result<()> {
        let zone = zone.clone();
        let change = move |worker: &mut Worker| {
            worker.overlay(|overlay| {
                if up {
                    overlay.zones.remove(&zone)
                } else {
                    overlay.zones.insert(zone)
                };
            })
        };
        self.call(change).await
    }

    async fn set_eni_link(&self, eni: &ResourceId, up: bool) -> Result<()> {
        let eni = eni.clone();
        self.call(move |worker| worker.cut_interface(eni, up)).await
    }

    async fn set_cohort(&self, name: &str, members: Cohort) -> Result<()> {
        let name = name.to_owned();
        let change = move |worker: &mut Worker| {
            worker.overlay(|overlay| {
                if members.is_empty() {
                    overlay.cohorts.remove(&name);
                } else {
                    overlay.cohorts.insert(name, members);
                }
            })
        };
        self.call(change).await
    }

    async fn destroy(&self) -> Result<()> {
        self.call(Worker::destroy).await
    }
}
