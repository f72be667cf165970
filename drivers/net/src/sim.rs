//! A fabric that exists in memory only, for tests of what stands on it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use base::{ResourceId, Zone};

use crate::{Cohort, Error, Fabric, InterfaceState, Net, Observed, Result};

/// Remembers the last declaration and reports every interface of it as up.
#[derive(Debug, Default)]
pub struct SimNet {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    applied: Option<Fabric>,
    failure: Option<String>,
    zones_down: BTreeSet<Zone>,
    interfaces_down: BTreeSet<ResourceId>,
    cohorts: BTreeMap<String, Cohort>,
}

impl SimNet {
    /// A fabric with nothing in it.
    pub fn new() -> Self {
        Self::default()
    }

    /// What was applied last.
    pub fn applied(&self) -> Option<Fabric> {
        self.state().applied.clone()
    }

    /// The cohort of this name, if there is one.
    pub fn cohort(&self, name: &str) -> Option<Cohort> {
        self.state().cohorts.get(name).cloned()
    }

    /// Makes every later call fail with `reason`, until [`SimNet::recover`].
    pub fn fail(&self, reason: impl Into<String>) {
        self.state().failure = Some(reason.into());
    }

    /// Ends what [`SimNet::fail`] began.
    pub fn recover(&self) {
        self.state().failure = None;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn working(&self) -> Result<MutexGuard<'_, State>> {
        let state = self.state();
        match &state.failure {
            Some(reason) => {
                Err(Error::kernel("simulate a network", std::io::Error::other(reason.clone())))
            }
            None => Ok(state),
        }
    }
}

#[async_trait]
impl Net for SimNet {
    async fn apply(&self, desired: Fabric) -> Result<()> {
        let mut state = self.working()?;
        desired.check()?;
        state.interfaces_down.retain(|id| desired.has_interface(id));
        state.applied = Some(desired);
        Ok(())
    }

    async fn observe(&self) -> Result<Observed> {
        let state = self.working()?;
        let mut observed = Observed::default();
        for vpc in state.applied.iter().flat_map(|fabric| &fabric.vpcs) {
            let own = vpc.interfaces.iter().map(|eni| (&eni.id, &eni.zone));
            let nat = vpc.nat_gateways.iter().map(|nat| (&nat.interface, &nat.zone));
            for (id, zone) in own.chain(nat) {
                let up = !state.zones_down.contains(zone) && !state.interfaces_down.contains(id);
                let seen = InterfaceState { up, ..InterfaceState::default() };
                observed.interfaces.insert(id.clone(), seen);
            }
        }
        Ok(observed)
    }

    fn eni_namespace(&self, eni: &ResourceId) -> PathBuf {
        PathBuf::from(format!("/nonexistent/netns/sim-{eni}"))
    }

    fn router_namespace(&self, vpc: &ResourceId) -> PathBuf {
        PathBuf::from(format!("/nonexistent/netns/sim-{vpc}"))
    }

    fn internet_namespace(&self) -> PathBuf {
        PathBuf::from("/nonexistent/netns/sim-internet")
    }

    async fn set_zone_link(&self, zone: &Zone, up: bool) -> Result<()> {
        let mut state = self.working()?;
        if up {
            state.zones_down.remove(zone);
        } else {
            state.zones_down.insert(zone.clone());
        }
        Ok(())
    }

    async fn set_eni_link(&self, eni: &ResourceId, up: bool) -> Result<()> {
        let mut state = self.working()?;
        let known = state.applied.as_ref().is_some_and(|fabric| fabric.has_interface(eni));
        if up {
            state.interfaces_down.remove(eni);
        } else if !known {
            return Err(Error::Invalid(format!("{eni} is no interface of the fabric")));
        } else {
            state.interfaces_down.insert(eni.clone());
        }
        Ok(())
    }

    async fn set_cohort(&self, name: &str, members: Cohort) -> Result<()> {
        let mut state = self.working()?;
        if members.is_empty() {
            state.cohorts.remove(name);
        } else {
            state.cohorts.insert(name.to_owned(), members);
        }
        Ok(())
    }

    async fn destroy(&self) -> Result<()> {
        *self.working()? = State::default();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
    }

    #[test]
    fn it_remembers_fails_on_demand_and_refuses_what_the_real_one_refuses() {
        let sim = SimNet::new();
        let fabric = Fabric { public_pool: "198.18.0.0/15".parse().unwrap(), vpcs: Vec::new() };
        run(sim.apply(fabric.clone())).unwrap();
        assert_eq!(sim.applied(), Some(fabric.clone()));
        sim.fail("no kernel");
        assert!(matches!(run(sim.apply(fabric.clone())), Err(Error::Kernel { .. })));
        sim.recover();
        run(sim.apply(fabric)).unwrap();
        let unknown = ResourceId::parse("eni", "eni-12345678").unwrap();
        assert!(matches!(run(sim.set_eni_link(&unknown, false)), Err(Error::Invalid(_))));
    }
}
