//! Works through a graph of resources, as many at once as may be.

use std::future::Future;
use std::pin::pin;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;

use super::{Halt, Operator};
use crate::template::{Graph, Schedule};

/// How many resources of one stack are worked on at once.
const PARALLEL_MAX: usize = 48;

/// Why a resource is not as wanted.
#[derive(Debug)]
pub(super) enum Failure {
    /// It failed, and the row says why.
    Failed,
    /// It was given up because of something else.
    Stopped,
    /// The whole phase cannot go on.
    Halt(Halt),
}

impl From<Halt> for Failure {
    fn from(halt: Halt) -> Self {
        Self::Halt(halt)
    }
}

/// What a failure means for the rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OnFailure {
    /// Nothing new is begun, and what waits stops waiting.
    Stop,
    /// What needs the failed resource out of the way is left; the rest goes on.
    Block,
    /// Everything is tried.
    Ignore,
}

impl Operator {
    /// Runs `work` for every resource of `graph` in its order; gives the names that failed.
    pub(super) async fn drive<F>(
        &self,
        graph: &Graph,
        on_failure: OnFailure,
        work: impl Fn(String) -> F,
    ) -> Result<Vec<String>, Halt>
    where
        F: Future<Output = Result<(), Failure>>,
    {
        let mut schedule = Schedule::new(graph);
        let mut waiting: Vec<String> = Vec::new();
        let mut running = FuturesUnordered::new();
        let mut failed = Vec::new();
        let mut given_up = pin!(self.given_up());
        loop {
            waiting.extend(schedule.start());
            while running.len() < PARALLEL_MAX && !self.stop.is_cancelled() {
                let Some(name) = waiting.pop() else { break };
                let outcome = work(name.clone());
                running.push(async move { (name, outcome.await) });
            }
            if running.is_empty() {
                failed.sort_unstable();
                return Ok(failed);
            }
            tokio::select! {
                Some((name, outcome)) = running.next() => match outcome {
                    Ok(()) => schedule.finish(&name),
                    Err(Failure::Halt(halt)) => return Err(halt),
                    Err(Failure::Stopped) => {}
                    Err(Failure::Failed) => {
                        match on_failure {
                            OnFailure::Stop => self.stop.cancel(),
                            OnFailure::Block => {}
                            OnFailure::Ignore => schedule.finish(&name),
                        }
                        failed.push(name);
                    }
                },
                reason = &mut given_up, if !self.stop.is_cancelled() => {
                    if let Ok(mut kept) = self.stop_reason.lock() {
                        *kept = Some(reason);
                    }
                    self.stop.cancel();
                }
            }
        }
    }
}
