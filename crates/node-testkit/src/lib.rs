//! A host for the tests of services that run engines: an EC2 that hands out loopback addresses, a
//! machine that runs engines as child processes of the test, a fabric that carries everything.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a part of tests, which may panic"
)]

mod ec2;
mod fabric;
mod machine;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use engine::{Engine, EngineKind, Engines};
use kernel::ServiceDef;
use kernel::cipher::Cipher;
use tokio::sync::broadcast;

pub use self::ec2::{Addresses, GROUP, SUBNETS};
pub use self::fabric::Carrier;
pub use self::machine::Children;

/// What the services of one test reach the host with.
pub struct Host {
    /// The zones.
    pub machine: Arc<Children>,
    /// The played EC2's.
    pub addresses: Arc<Addresses>,
    /// The fabric.
    pub net: Arc<Carrier>,
    folder: PathBuf,
    data: PathBuf,
}

impl Host {
    /// A host whose nodes have addresses in `127.block`, for the service that is called `principal`
    /// as a caller; it keeps its files below `folder` (`CARGO_TARGET_TMPDIR`).
    pub fn new(block: u8, principal: &'static str, folder: &str) -> Self {
        let (events, _) = broadcast::channel(64);
        let addresses = Arc::new(Addresses::new(block, principal));
        let machine = Arc::new(Children::new(events, addresses.clone()));
        let net = Arc::new(Carrier::new(addresses.clone()));
        let folder = PathBuf::from(folder);
        let data = folder.join(format!("{principal}-{}-{block}", std::process::id()));
        Self { machine, addresses, net, folder, data }
    }

    /// EC2 as it is played here.
    pub fn ec2(&self) -> ServiceDef {
        ec2::service(self.addresses.clone())
    }

    /// The folder of databases and snapshots.
    pub fn data(&self) -> &Path {
        &self.data
    }

    /// The engines, which the tests of a crate share.
    pub fn engines(&self) -> Engines {
        Engines::new(self.folder.join("engines"))
    }

    /// Unpacks an engine before anything waits for it: the first time it is downloaded.
    pub async fn unpack(&self, kind: EngineKind, version: &str) {
        let engines = self.engines();
        let root = engines.ensure(&Engine { kind, version: version.to_owned() }).await.unwrap();
        engines.template(&root).await.unwrap();
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        self.machine.clean();
        // What is left lies below the build's own folder.
        let _ = std::fs::remove_dir_all(&self.data);
    }
}

/// A cipher for passwords at rest.
pub fn cipher() -> Cipher {
    Cipher::new([1; 32], Arc::new(Sevens))
}

struct Sevens;

impl base::Random for Sevens {
    fn fill(&self, bytes: &mut [u8]) {
        bytes.fill(7);
    }
}
