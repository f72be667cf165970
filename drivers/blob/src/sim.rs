//! Blobs in memory, for tests that are not about disks.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;

use crate::{BlobId, Blobs, Reader, Writer};

/// Blobs in memory. Clones share them.
#[derive(Clone, Default)]
pub struct MemoryBlobs {
    kept: Arc<Mutex<Kept>>,
}

#[derive(Default)]
struct Kept {
    blobs: BTreeMap<BlobId, Bytes>,
    count: u128,
}

struct MemoryWriter {
    blobs: MemoryBlobs,
    bytes: Vec<u8>,
}

struct MemoryReader(Bytes);

impl MemoryBlobs {
    /// No blobs yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// How many blobs are kept.
    pub fn count(&self) -> usize {
        self.lock().blobs.len()
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Blobs for MemoryBlobs {
    async fn create(&self) -> io::Result<Box<dyn Writer>> {
        Ok(Box::new(MemoryWriter { blobs: self.clone(), bytes: Vec::new() }))
    }

    async fn open(&self, id: &BlobId) -> io::Result<Box<dyn Reader>> {
        let found = self.lock().blobs.get(id).cloned();
        let bytes = found.ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
        Ok(Box::new(MemoryReader(bytes)))
    }

    async fn delete(&self, id: &BlobId) -> io::Result<()> {
        self.lock().blobs.remove(id);
        Ok(())
    }

    async fn earlier(&self) -> io::Result<Vec<BlobId>> {
        Ok(Vec::new())
    }

    fn archive(&self) -> Arc<dyn Blobs> {
        Arc::new(self.clone())
    }
}

#[async_trait]
impl Writer for MemoryWriter {
    async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }

    async fn finish(self: Box<Self>) -> io::Result<BlobId> {
        let mut kept = self.blobs.lock();
        kept.count += 1;
        let id = BlobId::new(kept.count.to_be_bytes());
        kept.blobs.insert(id.clone(), self.bytes.into());
        Ok(id)
    }

    async fn abandon(self: Box<Self>) {}
}

#[async_trait]
impl Reader for MemoryReader {
    fn len(&self) -> u64 {
        self.0.len() as u64
    }

    async fn read(&mut self, offset: u64, length_max: usize) -> io::Result<Bytes> {
        let from = usize::try_from(offset).map_err(io::Error::other)?.min(self.0.len());
        let until = from.saturating_add(length_max).min(self.0.len());
        Ok(self.0.slice(from..until))
    }
}
