//! Quotas: how many of a thing an account may have. A service names each as a constant beside the
//! code that enforces it.

use store::{Record, Scope, Store, Table};

/// One quota.
#[derive(Debug, Clone, Copy)]
pub struct Quota {
    /// The service's code in Service Quotas, as `vpc`.
    pub service: &'static str,
    /// The quota's code, as `L-F678F1CE`.
    pub code: &'static str,
    /// AWS's default.
    pub default: u64,
}

/// A quota that was raised for an account.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub struct Raised {
    service: String,
    code: String,
    value: u64,
}

impl Record for Raised {
    type Key = (String, String);

    fn key(&self) -> Self::Key {
        (self.service.clone(), self.code.clone())
    }
}

const RAISED: Table<Raised> = Table::new("kernel.quotas");

impl Quota {
    /// The value that holds for the account and region in `scope`.
    ///
    /// # Errors
    ///
    /// When the store cannot be read.
    pub async fn value(&self, store: &Store, scope: &Scope) -> Result<u64, store::Error> {
        let key = (self.service.to_owned(), self.code.to_owned());
        let raised = store.scoped(scope.clone()).read(|tx| tx.get(&RAISED, &key)).await?;
        Ok(raised.map_or(self.default, |raised| raised.value))
    }
}
