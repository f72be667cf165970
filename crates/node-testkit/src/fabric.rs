//! A fabric that carries every interface of the played EC2.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use base::{ResourceId, Zone};
use net::{Cohort, Fabric, InterfaceState, Net, Observed};

use crate::Addresses;

/// The fabric. It remembers who was tied to whom.
pub struct Carrier {
    addresses: Arc<Addresses>,
    cohorts: Mutex<BTreeMap<String, Cohort>>,
}

impl Carrier {
    pub(crate) fn new(addresses: Arc<Addresses>) -> Self {
        Self { addresses, cohorts: Mutex::default() }
    }

    /// The members of every cohort by its name.
    pub fn cohorts(&self) -> BTreeMap<String, Cohort> {
        self.cohorts.lock().unwrap().clone()
    }
}

#[async_trait]
impl Net for Carrier {
    async fn apply(&self, _: Fabric) -> net::Result<()> {
        Ok(())
    }

    async fn observe(&self) -> net::Result<Observed> {
        let up = InterfaceState { up: true, ..Default::default() };
        let made = self.addresses.made();
        Ok(Observed { interfaces: made.into_values().map(|(id, _)| (id, up)).collect() })
    }

    fn eni_namespace(&self, _: &ResourceId) -> PathBuf {
        "/proc/self/ns/net".into()
    }

    fn router_namespace(&self, _: &ResourceId) -> PathBuf {
        "/proc/self/ns/net".into()
    }

    fn internet_namespace(&self) -> PathBuf {
        "/proc/self/ns/net".into()
    }

    async fn set_zone_link(&self, _: &Zone, _: bool) -> net::Result<()> {
        Ok(())
    }

    async fn set_eni_link(&self, _: &ResourceId, _: bool) -> net::Result<()> {
        Ok(())
    }

    async fn set_cohort(&self, name: &str, members: Cohort) -> net::Result<()> {
        self.cohorts.lock().unwrap().insert(name.to_owned(), members);
        Ok(())
    }

    async fn destroy(&self) -> net::Result<()> {
        Ok(())
    }
}
