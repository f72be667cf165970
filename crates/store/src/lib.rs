//! The region's state: a transactional, ordered key-value store with typed tables over it.
//!
//! Three layers, each knowing only the one below. [`Backend`] is the engine: byte keys in named
//! keyspaces, snapshots and serializable transactions; the embedded one keeps a write-ahead log
//! of its own in front of a B-tree file, and the trait asks nothing that a PostgreSQL table per
//! keyspace could not answer. [`Table`], [`Index`] and [`Key`] turn records into rows and say
//! under which account and region they lie. [`Store`] and [`ScopedStore`] are what handlers hold:
//! a read or a write is a plain closure, so no transaction can wait for anything outside it.
//!
//! ```
//! use serde::{Deserialize, Serialize};
//! use store::{Index, Options, Record, Result, Scope, Store, Table};
//!
//! #[derive(Serialize, Deserialize)]
//! struct Queue {
//!     name: String,
//!     dead_letters: Option<String>,
//! }
//!
//! impl Record for Queue {
//!     type Key = String;
//!     fn key(&self) -> String {
//!         self.name.clone()
//!     }
//! }
//!
//! const QUEUES: Table<Queue> = Table::new("sqs.queues").with_indexes(&[&BY_DEAD_LETTERS]);
//! const BY_DEAD_LETTERS: Index<Queue, String> =
//!     Index::new(|| QUEUES, "dead-letters", |queue| queue.dead_letters.clone().into_iter().collect());
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<()> {
//! # let folder = tempfile::tempdir().unwrap();
//! let store = Store::open(folder.path(), Options::default()).await?;
//! let scope = Scope::new("123456789012".parse().unwrap(), base::Region::new("ap-northeast-2"));
//! let store = store.scoped(scope);
//! let queue = Queue { name: "orders".to_owned(), dead_letters: Some("lost".to_owned()) };
//! store.write(|tx| tx.put(&QUEUES, &queue)).await?;
//! let sources = store.read(|tx| tx.find(&BY_DEAD_LETTERS, "lost")).await?;
//! assert_eq!(sources[0].name, "orders");
//! # Ok(())
//! # }
//! ```

mod backend;
mod embedded;
mod error;
mod feed;
mod key;
mod migrate;
mod record;
mod scope;
mod store;
mod transaction;

pub use backend::{
    Backend, Batch, BoxFuture, Change, Order, Snapshot, Span, Transaction, Verdict, Visit,
};
pub use error::{Error, Result};
pub use feed::{ChangeFeed, Notice};
pub use key::{Key, KeyLike, Prefix, StartsWith, decode_text, encode_text};
pub use record::{AnyIndex, Index, Reach, Record, Table};
pub use scope::Scope;
pub use store::{Durability, Options, ScopedStore, Store};
pub use transaction::{Emitted, Page, ReadTx, WriteTx};
