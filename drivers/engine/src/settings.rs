//! Changing what a running cluster was made with: passwords, access, parameters.

use std::sync::PoisonError;

use crate::cluster::{Cluster, host_error};
use crate::config::{Parameters, evaluate};
use crate::control::Login;
use crate::error::Result;
use crate::member::Member;
use crate::node::{Node, Role};
use crate::parameters;
use crate::spec::{CacheAccess, ClusterSpec, EngineProcess, Start};
use crate::steer::in_time;

impl Cluster {
    /// Sets the owner's password, or makes the owner's user.
    ///
    /// # Errors
    ///
    /// The engine's answer.
    pub async fn set_master(&self, login: &Login) -> Result<()> {
        self.primary()?.control.set_master(login).await
    }

    /// Sets who may use a cache, on every node at once.
    ///
    /// # Errors
    ///
    /// [`Error::Refused`](crate::Error::Refused) for a database, else the engine's answer.
    pub async fn set_cache_access(&self, access: CacheAccess) -> Result<()> {
        let _operation = self.operation.lock().await;
        for member in self.members() {
            in_time(member.control.set_access(&access)).await?;
        }
        self.locked_spec().cache_access = access;
        self.install_all()
    }

    /// Takes new values of the parameter group. Dynamic ones are in force on every node when this
    /// returns; the names of those that wait for a restart are returned.
    ///
    /// # Errors
    ///
    /// [`Error::Refused`](crate::Error::Refused) for a parameter or a value that the engine has
    /// not, the engine's answer when it takes a value not; the next start is then with the former
    /// values.
    pub async fn apply_parameters(&self, wanted: Parameters) -> Result<Vec<String>> {
        let _operation = self.operation.lock().await;
        let mut spec = self.spec();
        let former = std::mem::replace(&mut spec.parameters, wanted);
        let after = crate::config::values(&spec)?;
        let before = crate::config::values(&self.spec())?;
        *self.locked_spec() = spec.clone();
        let primary = self.primary()?;
        self.learn_limits(&primary).await;
        let raised = self.raises(&spec, &after);
        self.install_all()?;
        let put = self.put_parameters(&spec, &before, &after).await;
        if put.is_err() {
            self.locked_spec().parameters = former;
            self.install_all()?;
        } else if raised {
            self.restart_followers().await?;
        }
        put
    }

    async fn put_parameters(
        &self,
        spec: &ClusterSpec,
        before: &Parameters,
        after: &Parameters,
    ) -> Result<Vec<String>> {
        let mut pending = Vec::new();
        for parameter in parameters::of(spec.root.kind, spec.root.series) {
            let (old, new) = (before.get(parameter.name), after.get(parameter.name));
            if old == new {
                continue;
            }
            let value = new.map(String::as_str).or(parameter.default);
            let Some(value) = value.filter(|_| parameter.dynamic) else {
                pending.push(parameter.name.to_owned());
                continue;
            };
            let value = evaluate(value, spec.memory_bytes)?;
            for member in self.members() {
                in_time(member.control.set_parameter(parameter.name, &value)).await?;
            }
        }
        Ok(pending)
    }
}

impl Cluster {
    /// Puts every node's files on its volume anew, for its next start.
    pub(crate) fn install_all(&self) -> Result<()> {
        let primary = self.primary()?;
        for member in self.members() {
            let start = self.start_of(&member, &primary.node);
            self.process(&member.node, start.get())?.install(&member.node)?;
        }
        Ok(())
    }

    /// What to run for a node, with no limit under the primary's.
    pub(crate) fn process(&self, node: &Node, start: Start<'_>) -> Result<EngineProcess> {
        let mut spec = self.spec();
        if matches!(start, Start::Follower { .. }) {
            let values = crate::config::values(&spec)?;
            let floor = self.floor.lock().unwrap_or_else(PoisonError::into_inner);
            for (name, least) in floor.iter() {
                if limit(&spec, &values, name).is_some_and(|value| value < *least) {
                    spec.parameters.insert(name.clone(), least.to_string());
                }
            }
        }
        spec.process(node, start)
    }

    /// Asks the primary which limits it runs with: those of its last start, which may have been as
    /// a follower, under parameters that have changed since.
    pub(crate) async fn learn_limits(&self, primary: &Member) {
        if let Ok(limits) = in_time(primary.control.limits()).await {
            *self.floor.lock().unwrap_or_else(PoisonError::into_inner) =
                limits.into_iter().collect();
        }
    }

    /// Whether these values raise a limit over that which the primary runs with.
    fn raises(&self, spec: &ClusterSpec, values: &Parameters) -> bool {
        let floor = self.floor.lock().unwrap_or_else(PoisonError::into_inner);
        floor
            .iter()
            .any(|(name, least)| limit(spec, values, name).is_some_and(|value| value > *least))
    }

    async fn restart_followers(&self) -> Result<()> {
        let primary = self.primary()?;
        for member in self.members().into_iter().filter(|member| member.role() != Role::Primary) {
            let stopped = self.host.stop(&member.node).await;
            stopped.map_err(|source| host_error("stop", &member.node, source))?;
            self.launch(&member, &primary).await?;
        }
        Ok(())
    }
}

/// The value of a limit that is in force with these values.
fn limit(spec: &ClusterSpec, values: &Parameters, name: &str) -> Option<u64> {
    let table = parameters::of(spec.root.kind, spec.root.series);
    let parameter = table.iter().find(|parameter| parameter.name == name)?;
    values.get(name).map(String::as_str).or(parameter.default)?.parse().ok()
}
