//! Blobs as files of one folder: `tmp/ID` while they are written, `XX/ID` afterwards, where `XX`
//! are the id's last two digits.

use std::io::{self, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use aws_lc_rs::rand;
use bytes::Bytes;
use tokio::fs::{self, File};
use tokio::io::{AsyncReadExt, AsyncSeekExt, AsyncWriteExt};

use crate::frame::{self, FRAME, FrameKey, HEADER, TAG};
use crate::{BlobId, Blobs, Reader, Writer};

/// How many sealed bytes are gathered before they go to the disk.
const WRITE_BYTES: usize = 4 * (FRAME + TAG);
/// How many frames one read takes from the disk at most.
const READ_FRAMES: u64 = 4;

/// The folder of the archive within the one of the blobs.
const ARCHIVE: &str = "archive";

/// Blobs in a folder of this machine.
pub struct LocalBlobs {
    shared: Arc<Shared>,
}

struct Shared {
    folder: PathBuf,
    key: [u8; 32],
    /// What the ids made by this process start with.
    start: [u8; 4],
}

struct LocalWriter {
    shared: Arc<Shared>,
    id: BlobId,
    key: FrameKey,
    file: File,
    /// Plain bytes of the frame that is being filled.
    plain: Vec<u8>,
    /// Sealed bytes that wait for the disk.
    sealed: Vec<u8>,
    frames: u64,
}

struct LocalReader {
    file: File,
    key: FrameKey,
    frames: u64,
    length: u64,
}

impl LocalBlobs {
    /// Blobs in `folder`, sealed under `key`. The disk is not touched before the first use.
    ///
    /// # Panics
    ///
    /// When the system has no randomness.
    pub fn new(folder: &Path, key: [u8; 32]) -> Self {
        let start = random();
        Self { shared: Arc::new(Shared { folder: folder.to_owned(), key, start }) }
    }
}

#[expect(clippy::expect_used, reason = "without randomness nothing here can be kept safe")]
fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    rand::fill(&mut bytes).expect("the system gives random bytes");
    bytes
}

impl Shared {
    fn new_id(&self) -> BlobId {
        let mut bytes: [u8; 16] = random();
        bytes.iter_mut().zip(self.start).for_each(|(to, from)| *to = from);
        BlobId::new(bytes)
    }

    fn is_ours(&self, id: &BlobId) -> bool {
        let start: String = self.start.iter().map(|byte| format!("{byte:02x}")).collect();
        id.as_str().starts_with(&start)
    }

    fn temporary(&self) -> PathBuf {
        self.folder.join("tmp")
    }

    fn shard(&self, id: &BlobId) -> PathBuf {
        self.folder.join(id.as_str().get(30..).unwrap_or_default())
    }

    fn path(&self, id: &BlobId) -> PathBuf {
        self.shard(id).join(id.as_str())
    }
}

/// Makes the entries of a folder durable.
async fn sync(folder: &Path) -> io::Result<()> {
    File::open(folder).await?.sync_all().await
}

fn is_absent(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound
}

#[async_trait]
impl Blobs for LocalBlobs {
    async fn create(&self) -> io::Result<Box<dyn Writer>> {
        let id = self.shared.new_id();
        let path = self.shared.temporary().join(id.as_str());
        let file = match File::create_new(&path).await {
            Err(error) if is_absent(&error) => {
                fs::create_dir_all(self.shared.temporary()).await?;
                File::create_new(&path).await?
            }
            other => other?,
        };
        let key = FrameKey::derive(&self.shared.key, &id)?;
        let sealed = HEADER.to_vec();
        let shared = self.shared.clone();
        let plain = Vec::new();
        Ok(Box::new(LocalWriter { shared, id, key, file, plain, sealed, frames: 0 }))
    }

    async fn open(&self, id: &BlobId) -> io::Result<Box<dyn Reader>> {
        let mut file = File::open(self.shared.path(id)).await?;
        let mut header = [0; HEADER.len()];
        let read = file.read_exact(&mut header).await;
        if read.is_err() || header != HEADER {
            let text = format!("blob {id} is not in a known form");
            return Err(io::Error::new(io::ErrorKind::InvalidData, text));
        }
        let (frames, length) = frame::measure(file.metadata().await?.len())?;
        let key = FrameKey::derive(&self.shared.key, id)?;
        Ok(Box::new(LocalReader { file, key, frames, length }))
    }

    async fn delete(&self, id: &BlobId) -> io::Result<()> {
        match fs::remove_file(self.shared.path(id)).await {
            Err(error) if is_absent(&error) => Ok(()),
            other => other,
        }
    }

    async fn earlier(&self) -> io::Result<Vec<BlobId>> {
        let mut found = Vec::new();
        let mut folders = match fs::read_dir(&self.shared.folder).await {
            Err(error) if is_absent(&error) => return Ok(found),
            other => other?,
        };
        while let Some(folder) = folders.next_entry().await? {
            if !folder.file_type().await?.is_dir() {
                continue;
            }
            if folder.file_name() == ARCHIVE {
                continue;
            }
            let unfinished = folder.file_name() == "tmp";
            let mut files = fs::read_dir(folder.path()).await?;
            while let Some(file) = files.next_entry().await? {
                let id = file.file_name().to_str().and_then(BlobId::parse);
                let Some(id) = id.filter(|id| !self.shared.is_ours(id)) else { continue };
                if unfinished {
                    fs::remove_file(file.path()).await?;
                } else {
                    found.push(id);
                }
            }
        }
        Ok(found)
    }

    fn archive(&self) -> Arc<dyn Blobs> {
        let Shared { folder, key, start } = &*self.shared;
        let shared = Shared { folder: folder.join(ARCHIVE), key: *key, start: *start };
        Arc::new(Self { shared: Arc::new(shared) })
    }
}

impl LocalWriter {
    fn seal_frame(&mut self, last: bool) -> io::Result<()> {
        let mut frame = std::mem::take(&mut self.plain);
        self.key.seal(self.frames, last, &mut frame)?;
        self.frames += 1;
        self.sealed.append(&mut frame);
        self.plain = frame;
        Ok(())
    }

    async fn flush(&mut self) -> io::Result<()> {
        self.file.write_all(&self.sealed).await?;
        self.sealed.clear();
        Ok(())
    }

    async fn make_durable(&mut self) -> io::Result<()> {
        self.seal_frame(true)?;
        self.flush().await?;
        self.file.flush().await?;
        self.file.sync_all().await?;
        let from = self.shared.temporary().join(self.id.as_str());
        let shard = self.shared.shard(&self.id);
        if !fs::try_exists(&shard).await? {
            fs::create_dir_all(&shard).await?;
            sync(&self.shared.folder).await?;
        }
        fs::rename(&from, self.shared.path(&self.id)).await?;
        sync(&shard).await
    }
}

#[async_trait]
impl Writer for LocalWriter {
    async fn write(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            // A full frame waits until it is known not to be the last.
            if self.plain.len() == FRAME {
                self.seal_frame(false)?;
                if self.sealed.len() >= WRITE_BYTES {
                    self.flush().await?;
                }
            }
            let room = FRAME - self.plain.len();
            let (now, later) = bytes.split_at(room.min(bytes.len()));
            self.plain.extend_from_slice(now);
            bytes = later;
        }
        Ok(())
    }

    async fn finish(mut self: Box<Self>) -> io::Result<BlobId> {
        match self.make_durable().await {
            Ok(()) => Ok(self.id.clone()),
            Err(error) => {
                self.abandon().await;
                Err(error)
            }
        }
    }

    async fn abandon(self: Box<Self>) {
        let path = self.shared.temporary().join(self.id.as_str());
        // What cannot be removed now is removed after the next start.
        let _ = fs::remove_file(path).await;
    }
}

#[async_trait]
impl Reader for LocalReader {
    fn len(&self) -> u64 {
        self.length
    }

    async fn read(&mut self, offset: u64, length_max: usize) -> io::Result<Bytes> {
        let wanted = u64::try_from(length_max).unwrap_or(u64::MAX);
        let until = offset.saturating_add(wanted).min(self.length);
        if offset >= until {
            return Ok(Bytes::new());
        }
        let first = frame::number_at(offset);
        let end = (frame::number_at(until - 1) + 1).min(first + READ_FRAMES);
        let file_end = if end >= self.frames {
            frame::place(0) + self.length + self.frames * TAG as u64
        } else {
            frame::place(end)
        };
        let size = usize::try_from(file_end - frame::place(first)).map_err(io::Error::other)?;
        let mut sealed = vec![0; size];
        self.file.seek(SeekFrom::Start(frame::place(first))).await?;
        self.file.read_exact(&mut sealed).await?;
        let mut plain = Vec::with_capacity(size);
        for (number, frame) in (first..end).zip(sealed.chunks_mut(FRAME + TAG)) {
            let count = self.key.open(number, number + 1 == self.frames, frame)?;
            plain.extend_from_slice(frame.get(..count).unwrap_or_default());
        }
        let skip = usize::try_from(offset % FRAME as u64).map_err(io::Error::other)?;
        let count = usize::try_from(until - offset).map_err(io::Error::other)?;
        let plain = Bytes::from(plain);
        let stop = plain.len().min(skip + count);
        Ok(plain.slice(skip.min(stop)..stop))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn whole(blobs: &dyn Blobs, id: &BlobId, offset: u64, count: u64) -> io::Result<Vec<u8>> {
        let mut reader = blobs.open(id).await?;
        let mut out = Vec::new();
        while (out.len() as u64) < count {
            let left = usize::try_from(count - out.len() as u64).unwrap();
            let bytes = reader.read(offset + out.len() as u64, left).await?;
            if bytes.is_empty() {
                break;
            }
            out.extend_from_slice(&bytes);
        }
        Ok(out)
    }

    fn pattern(size: usize) -> Vec<u8> {
        (0..size).map(|n| u8::try_from(n * 31 % 251).unwrap()).collect()
    }

    async fn put(blobs: &dyn Blobs, data: &[u8]) -> BlobId {
        let mut writer = blobs.create().await.unwrap();
        for chunk in data.chunks(10_007) {
            writer.write(chunk).await.unwrap();
        }
        writer.finish().await.unwrap()
    }

    #[tokio::test]
    async fn bytes_come_back_in_any_range() {
        let folder = tempfile::tempdir().unwrap();
        let blobs = LocalBlobs::new(folder.path(), [3; 32]);
        for size in [0, 1, FRAME - 1, FRAME, FRAME + 1, 5 * FRAME, 9 * FRAME + 17] {
            let data = pattern(size);
            let id = put(&blobs, &data).await;
            assert_eq!(blobs.open(&id).await.unwrap().len(), size as u64);
            for (from, to) in [(0, size), (size / 2, size), (size / 3, size / 2), (1, 2)] {
                let (from, to) = (from.min(size), to.min(size));
                let got = whole(&blobs, &id, from as u64, (to - from) as u64).await.unwrap();
                assert!(got == data[from..to], "{size}: {from}..{to}");
            }
        }
    }

    #[tokio::test]
    async fn damage_is_noticed_and_plain_bytes_are_not_on_disk() {
        let folder = tempfile::tempdir().unwrap();
        let blobs = LocalBlobs::new(folder.path(), [3; 32]);
        let data = b"canary ".repeat(30_000);
        let id = put(&blobs, &data).await;
        let path = blobs.shared.path(&id);
        let sealed = std::fs::read(&path).unwrap();
        assert!(!sealed.windows(7).any(|w| w == b"canary "));
        let mut flipped = sealed.clone();
        flipped[100] ^= 1;
        std::fs::write(&path, &flipped).unwrap();
        let error = whole(&blobs, &id, 0, data.len() as u64).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        std::fs::write(&path, &sealed[..HEADER.len() + FRAME + TAG]).unwrap();
        assert!(whole(&blobs, &id, 0, 10).await.is_err(), "cut at a frame's end");
        std::fs::write(&path, &sealed).unwrap();
        let other = LocalBlobs::new(folder.path(), [4; 32]);
        assert!(whole(&other, &id, 0, 10).await.is_err(), "another key");
    }

    #[tokio::test]
    async fn a_restart_finds_earlier_blobs_and_drops_unfinished_ones() {
        let folder = tempfile::tempdir().unwrap();
        let first = LocalBlobs::new(folder.path(), [3; 32]);
        assert_eq!(first.earlier().await.unwrap(), vec![]);
        let id = put(&first, b"kept").await;
        let mut unfinished = first.create().await.unwrap();
        unfinished.write(b"lost").await.unwrap();
        drop(unfinished);
        assert_eq!(first.earlier().await.unwrap(), vec![]);
        let second = LocalBlobs::new(folder.path(), [3; 32]);
        assert_eq!(second.earlier().await.unwrap(), vec![id.clone()]);
        assert_eq!(std::fs::read_dir(folder.path().join("tmp")).unwrap().count(), 0);
        second.delete(&id).await.unwrap();
        second.delete(&id).await.unwrap();
        let gone = second.open(&id).await.err().unwrap();
        assert_eq!(gone.kind(), io::ErrorKind::NotFound);
    }
}
