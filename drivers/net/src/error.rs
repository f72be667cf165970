//! What can go wrong while the fabric is built.

use std::io;

/// The result of a call to the fabric.
pub type Result<T> = std::result::Result<T, Error>;

/// A reason why the fabric is not as declared.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The declaration contradicts itself; nothing was changed.
    #[error("the declared network is not possible: {0}")]
    Invalid(String),
    /// Another install, or the host itself, already routes the public pool.
    #[error("the public pool {0} is already routed by another link of this host")]
    PoolTaken(base::Cidr),
    /// Building the fabric takes a privilege that the process lacks.
    #[error("only root (CAP_NET_ADMIN and CAP_SYS_ADMIN) can {0}")]
    Privilege(String),
    /// The host refused a step.
    #[error("could not {what}")]
    Kernel {
        /// The step, as "add link igw".
        what: String,
        /// Why.
        source: io::Error,
    },
    /// The thread that builds the fabric has ended.
    #[error("the network driver has stopped")]
    Stopped,
}

impl Error {
    /// An error of the host in a step called `what`.
    pub(crate) fn kernel(what: impl Into<String>, source: impl Into<io::Error>) -> Self {
        let (what, source) = (what.into(), source.into());
        if source.kind() == io::ErrorKind::PermissionDenied {
            return Self::Privilege(what);
        }
        Self::Kernel { what, source }
    }
}
