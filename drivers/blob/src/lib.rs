//! The bytes of objects: written once, read in parts, deleted.
//!
//! A blob is immutable and has an id of its own; what it belongs to stands in the store. Bytes are
//! sealed at rest in frames, so that a damaged, cut or exchanged file is noticed by whoever reads
//! the damaged part, and any range is read at the cost of its own frames.

mod frame;
mod local;
mod pack;
mod sim;

use std::fmt;
use std::io;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use serde::{Deserialize, Serialize};

pub use local::LocalBlobs;
pub use pack::{PackReader, PackWriter};
pub use sim::MemoryBlobs;

/// The id of a blob: 32 hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct BlobId(String);

impl BlobId {
    pub(crate) fn new(bytes: [u8; 16]) -> Self {
        Self(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
    }

    /// The id that `text` is, if it is one.
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        (text.len() == 32 && digits).then(|| Self(text.to_owned()))
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for BlobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Keeps blobs.
#[async_trait]
pub trait Blobs: Send + Sync + 'static {
    /// Begins a blob. It is not there until [`Writer::finish`], and never if that is not called.
    ///
    /// # Errors
    ///
    /// When the disk refuses.
    async fn create(&self) -> io::Result<Box<dyn Writer>>;

    /// Opens a blob. What was opened can be read to its end even when the blob is deleted.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::NotFound`] when there is none; [`io::ErrorKind::InvalidData`] when it is
    /// damaged.
    async fn open(&self, id: &BlobId) -> io::Result<Box<dyn Reader>>;

    /// Deletes a blob; one that is not there is deleted already.
    ///
    /// # Errors
    ///
    /// When the disk refuses.
    async fn delete(&self, id: &BlobId) -> io::Result<()>;

    /// The blobs that were made before this driver was, and drops what was begun then and never
    /// finished: for the search after orphans of a crash.
    ///
    /// # Errors
    ///
    /// When the disk refuses.
    async fn earlier(&self) -> io::Result<Vec<BlobId>>;

    /// The cold part of the store, where packs of archived objects lie apart from the bytes that
    /// are read at once.
    fn archive(&self) -> Arc<dyn Blobs>;
}

/// A blob in the making. Dropped unfinished, it leaves nothing that outlives a restart.
#[async_trait]
pub trait Writer: Send {
    /// Appends bytes.
    ///
    /// # Errors
    ///
    /// When the disk refuses.
    async fn write(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// Makes the blob durable and gives its id.
    ///
    /// # Errors
    ///
    /// When the disk refuses.
    async fn finish(self: Box<Self>) -> io::Result<BlobId>;

    /// Gives the blob up.
    async fn abandon(self: Box<Self>);
}

/// An opened blob.
#[async_trait]
pub trait Reader: Send {
    /// How many bytes it has.
    fn len(&self) -> u64;

    /// Whether it has none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Some bytes from `offset` on, at most `length_max`; none only at the end.
    ///
    /// # Errors
    ///
    /// When the disk refuses; [`io::ErrorKind::InvalidData`] when the bytes are not those that
    /// were written.
    async fn read(&mut self, offset: u64, length_max: usize) -> io::Result<Bytes>;
}
