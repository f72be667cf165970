//! Client tokens: a request that is repeated with its token has its effect once.
//!
//! AWS: "Ensuring idempotency in Amazon EC2 API requests".

use aws_lc_rs::digest;
use base::Timestamp;
use serde::{Deserialize, Serialize};
use store::{Record, Table, WriteTx};

/// A token that was used.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Used {
    operation: String,
    token: String,
    fingerprint: String,
    result: String,
    at: Timestamp,
}

impl Record for Used {
    type Key = (String, String);

    fn key(&self) -> Self::Key {
        (self.operation.clone(), self.token.clone())
    }
}

const USED: Table<Used> = Table::new("kernel.client_tokens");

/// What is known of a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Known {
    /// Nothing: do it and [`remember`] it.
    New,
    /// The same request was made; its result (an id).
    Same(String),
    /// Another request used the token (`IdempotentParameterMismatch`).
    Different,
}

/// A fingerprint of what a request asks for. The token itself must not be part of `request`.
pub fn fingerprint(request: &impl std::fmt::Debug) -> String {
    let hash = digest::digest(&digest::SHA256, format!("{request:?}").as_bytes());
    hash.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Looks a token up, in the transaction that will act on the answer.
///
/// # Errors
///
/// When the store cannot be read.
pub fn look_up(
    tx: &WriteTx<'_>,
    operation: &str,
    token: &str,
    fingerprint: &str,
) -> Result<Known, store::Error> {
    let used = tx.get(&USED, &(operation.to_owned(), token.to_owned()))?;
    Ok(match used {
        None => Known::New,
        Some(used) if used.fingerprint == fingerprint => Known::Same(used.result),
        Some(_) => Known::Different,
    })
}

/// Notes that `token` had the effect `result`, in the transaction that has it.
///
/// # Errors
///
/// When the store cannot be written.
pub fn remember(
    tx: &mut WriteTx<'_>,
    operation: &str,
    token: &str,
    fingerprint: &str,
    result: &str,
    now: Timestamp,
) -> Result<(), store::Error> {
    tx.put(
        &USED,
        &Used {
            operation: operation.to_owned(),
            token: token.to_owned(),
            fingerprint: fingerprint.to_owned(),
            result: result.to_owned(),
            at: now,
        },
    )
}
