//! The region's names: the resolver that every VPC has at its second address, and the host's.
//!
//! A [`Dns`] gets one document ([`Zones`]) that says everything: who listens where, in which
//! network namespace, and which names are known to whom. It keeps answering from the last document
//! when no new one comes. Names that are not known are refused at once or asked of other resolvers,
//! within a bound; a query is never left without an answer.
//!
//! Several processes may serve the same addresses: sockets are opened with `SO_REUSEPORT`, so that
//! when one process dies the others answer.

mod answer;
mod lookup;
mod server;
mod socket;
mod upstream;
mod zones;

pub use server::{Counters, Dns, DnsStatus, ListenerStatus};
pub use socket::InNamespace;
pub use zones::{Names, Records, VpcNames, Zones};
