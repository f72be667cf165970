//! The region of one test.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use base::{AccountId, Clock, ManualClock, Random, Region, Timestamp};
use gateway::{Gateway, Mode, Options};
use kernel::identity::Identity;
use kernel::{Builder, Kernel, ServiceDef, Settings};
use store::Store;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::client::TestClient;
use crate::identity::TestIdentity;

/// The account of every test.
pub const ACCOUNT: &str = "123456789012";
/// The region of every test.
pub const REGION: &str = "ap-northeast-2";
/// When a test's clock starts.
pub const START: Timestamp = Timestamp::from_secs(1_790_000_000);

/// A region with the services that a test names.
pub struct Cloud {
    /// The region's kernel.
    pub kernel: Arc<Kernel>,
    /// The region's clock.
    pub clock: Arc<ManualClock>,
    /// Where the gateway listens.
    pub address: SocketAddr,
    /// The test's folder; it goes with the cloud.
    pub folder: Arc<tempfile::TempDir>,
    identity: Arc<TestIdentity>,
    serving: JoinHandle<()>,
}

impl Cloud {
    /// Starts a region in a folder of its own.
    ///
    /// # Panics
    ///
    /// When the host gives no folder or port.
    pub async fn start(services: Vec<ServiceDef>) -> Self {
        let folder = Arc::new(tempfile::tempdir().expect("a temporary folder"));
        let clock = Arc::new(ManualClock::new(START));
        let account: AccountId = ACCOUNT.parse().expect("twelve digits");
        let identity = Arc::new(TestIdentity::new(account));
        Self::over(folder, clock, identity, |_, _, identity| (identity, services)).await
    }

    /// Starts a region in `folder`, as for a bench that says which disk it is on.
    ///
    /// # Panics
    ///
    /// When the host gives no port.
    pub async fn start_in(folder: tempfile::TempDir, services: Vec<ServiceDef>) -> Self {
        let clock = Arc::new(ManualClock::new(START));
        let account: AccountId = ACCOUNT.parse().expect("twelve digits");
        let identity = Arc::new(TestIdentity::new(account));
        Self::over(Arc::new(folder), clock, identity, |_, _, identity| (identity, services)).await
    }

    /// Starts a region whose principals a service keeps: `make` builds them and the services over
    /// the region's store, clock and source of randomness. [`Cloud::root`] and [`Cloud::user`] know
    /// nobody there; [`Cloud::client`] calls as whom the test names.
    ///
    /// # Panics
    ///
    /// When the host gives no folder or port.
    pub async fn start_with(
        make: impl FnOnce(
            Store,
            Arc<dyn Clock>,
            Arc<dyn Random>,
        ) -> (Arc<dyn Identity>, Vec<ServiceDef>),
    ) -> Self {
        let folder = Arc::new(tempfile::tempdir().expect("a temporary folder"));
        let clock = Arc::new(ManualClock::new(START));
        let account: AccountId = ACCOUNT.parse().expect("twelve digits");
        let identity = Arc::new(TestIdentity::new(account));
        let own_clock = clock.clone();
        Self::over(folder, clock, identity, |store, random, _| make(store, own_clock, random)).await
    }

    /// Stops the region and starts it anew over the same state, with `services` built anew.
    ///
    /// # Panics
    ///
    /// When the store cannot be closed or opened.
    pub async fn restart(self, services: Vec<ServiceDef>) -> Self {
        self.serving.abort();
        self.kernel.stop();
        self.kernel.store().close().await.expect("the store closes");
        let (folder, clock) = (self.folder.clone(), self.clock.clone());
        let identity = self.identity.clone();
        drop(self);
        Self::over(folder, clock, identity, |_, _, identity| (identity, services)).await
    }

    async fn over(
        folder: Arc<tempfile::TempDir>,
        clock: Arc<ManualClock>,
        identity: Arc<TestIdentity>,
        make: impl FnOnce(
            Store,
            Arc<dyn Random>,
            Arc<TestIdentity>,
        ) -> (Arc<dyn Identity>, Vec<ServiceDef>),
    ) -> Self {
        let path = folder.path().join("store");
        let store = Store::open(&path, store::Options::default()).await.expect("the store opens");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("a bound address");
        let settings = Settings {
            region: Region::new(REGION),
            account: ACCOUNT.parse().expect("twelve digits"),
            endpoint_url: format!("http://{address}"),
        };
        let random = Arc::new(Counting::default());
        let (principals, services) = make(store.clone(), random.clone(), identity.clone());
        let mut builder = Builder::new(settings, store, clock.clone(), random, principals, [7; 32]);
        for service in services {
            builder = builder.service(service);
        }
        let kernel = builder.start();
        let options = Options { mode: Mode::Signed, tls: None };
        let gateway = Arc::new(Gateway::new(kernel.clone(), options));
        #[expect(clippy::disallowed_methods, reason = "the test's gateway ends with the test")]
        let serving = tokio::spawn(gateway.serve(listener, std::future::pending()));
        Self { kernel, clock, address, folder, identity, serving }
    }

    /// The account's root user.
    pub fn root(&self) -> TestClient {
        TestClient::new(self, "AKIAROOT")
    }

    /// Whoever has this access key; `session_token` goes with temporary ones.
    pub fn client(
        &self,
        access_key_id: &str,
        secret: &str,
        session_token: Option<&str>,
    ) -> TestClient {
        TestClient::new(self, access_key_id).with_keys(secret, session_token)
    }

    /// A user called `name` whose only policy is `document`.
    ///
    /// # Panics
    ///
    /// When the policy is malformed.
    pub fn user(&self, name: &str, document: &str) -> TestClient {
        TestClient::new(self, &self.identity.add_user(name, document))
    }

    /// A user that may do nothing.
    pub fn nobody(&self) -> TestClient {
        // A policy must say something; this allows what no service has.
        let document = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"none:Nothing","Resource":"*"}]}"#;
        self.user("nobody", document)
    }

    /// Moves the region's clock forward.
    pub fn advance(&self, by: Duration) {
        self.clock.advance(by);
        self.kernel.clock_moved();
    }
}

impl Drop for Cloud {
    fn drop(&mut self) {
        self.serving.abort();
        self.kernel.stop();
    }
}

/// Bytes that never repeat within a test and are the same in each run of it.
#[derive(Default)]
struct Counting(AtomicU64);

impl Random for Counting {
    fn fill(&self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            // A round of splitmix64 spreads the counter over all bits.
            let mut z = self.0.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::SeqCst);
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            let word = (z ^ (z >> 31)).to_le_bytes();
            chunk.iter_mut().zip(word).for_each(|(byte, random)| *byte = random);
        }
    }
}
