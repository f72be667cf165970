//! Packs: the bytes of many objects one behind another in a blob, each compressed with zstd and
//! with a checksum of its own inside the seal.

use std::io;

use bytes::Bytes;
use zstd::stream::raw::{Decoder, Encoder, InBuffer, Operation, OutBuffer};

use crate::{BlobId, Reader, Writer};

/// zstd's own default, about 300 MB/s on one core.
const LEVEL: i32 = 3;
/// How many bytes one step of the codec makes at most.
const STEP: usize = 128 * 1024;

/// A pack in the making.
pub struct PackWriter {
    writer: Box<dyn Writer>,
    out: Vec<u8>,
    /// Where the next member begins.
    offset: u64,
    member: Option<Encoder<'static>>,
    start: u64,
}

/// Reads one member of a pack.
pub struct PackReader {
    reader: Box<dyn Reader>,
    decoder: Decoder<'static>,
    at: u64,
    end: u64,
    /// Compressed bytes that wait for the decoder.
    waiting: Bytes,
    is_done: bool,
}

fn damaged() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "a member of a pack is damaged")
}

impl PackWriter {
    /// A pack that goes to `writer`.
    pub fn new(writer: Box<dyn Writer>) -> Self {
        Self { writer, out: vec![0; STEP], offset: 0, member: None, start: 0 }
    }

    /// Begins a member.
    ///
    /// # Errors
    ///
    /// When there is no memory for it.
    pub fn begin(&mut self) -> io::Result<()> {
        let mut encoder = Encoder::new(LEVEL)?;
        encoder.set_parameter(zstd::zstd_safe::CParameter::ChecksumFlag(true))?;
        self.start = self.offset;
        self.member = Some(encoder);
        Ok(())
    }

    /// Appends plain bytes to the member.
    ///
    /// # Errors
    ///
    /// When the disk refuses.
    pub async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut encoder = self.member.take().ok_or_else(|| io::Error::other("no member begun"))?;
        let mut done = 0;
        while let Some(rest) = bytes.get(done..).filter(|rest| !rest.is_empty()) {
            let mut input = InBuffer::around(rest);
            let mut output = OutBuffer::around(&mut self.out);
            encoder.run(&mut input, &mut output)?;
            let made = output.pos();
            done += input.pos();
            self.put(made).await?;
        }
        self.member = Some(encoder);
        Ok(())
    }

    /// Ends the member; tells where it begins and how many bytes it takes.
    ///
    /// # Errors
    ///
    /// When the disk refuses.
    pub async fn end(&mut self) -> io::Result<(u64, u64)> {
        let mut encoder = self.member.take().ok_or_else(|| io::Error::other("no member begun"))?;
        loop {
            let mut output = OutBuffer::around(&mut self.out);
            let left = encoder.finish(&mut output, true)?;
            let made = output.pos();
            self.put(made).await?;
            if left == 0 {
                return Ok((self.start, self.offset - self.start));
            }
        }
    }

    /// Appends a member of another pack as it lies there; tells where it begins.
    ///
    /// # Errors
    ///
    /// When the disk refuses, or the other pack is damaged.
    pub async fn take(
        &mut self,
        from: &mut dyn Reader,
        offset: u64,
        length: u64,
    ) -> io::Result<u64> {
        let start = self.offset;
        let mut done = 0;
        while done < length {
            let want = usize::try_from(length - done).unwrap_or(STEP).min(STEP);
            let bytes = from.read(offset + done, want).await?;
            if bytes.is_empty() {
                return Err(damaged());
            }
            self.writer.write(&bytes).await?;
            done += bytes.len() as u64;
        }
        self.offset += length;
        Ok(start)
    }

    async fn put(&mut self, made: usize) -> io::Result<()> {
        let bytes = self.out.get(..made).unwrap_or_default();
        self.writer.write(bytes).await?;
        self.offset += made as u64;
        Ok(())
    }

    /// How many bytes the pack has.
    pub fn len(&self) -> u64 {
        self.offset
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.offset == 0
    }

    /// Makes the pack durable and gives its id.
    ///
    /// # Errors
    ///
    /// When the disk refuses.
    pub async fn finish(self) -> io::Result<BlobId> {
        self.writer.finish().await
    }

    /// Gives the pack up.
    pub async fn abandon(self) {
        self.writer.abandon().await;
    }
}

impl PackReader {
    /// The member of `length` bytes at `offset` of a pack.
    ///
    /// # Errors
    ///
    /// When there is no memory for it.
    pub fn new(reader: Box<dyn Reader>, offset: u64, length: u64) -> io::Result<Self> {
        Ok(Self {
            reader,
            decoder: Decoder::new()?,
            at: offset,
            end: offset.saturating_add(length),
            waiting: Bytes::new(),
            is_done: false,
        })
    }

    /// Some plain bytes; none at the end.
    ///
    /// # Errors
    ///
    /// When the disk refuses; [`io::ErrorKind::InvalidData`] when the bytes are not those that
    /// were written.
    pub async fn next(&mut self) -> io::Result<Bytes> {
        let mut out = vec![0; STEP];
        loop {
            if self.waiting.is_empty() && self.at < self.end {
                let want = usize::try_from(self.end - self.at).unwrap_or(STEP).min(STEP);
                self.waiting = self.reader.read(self.at, want).await?;
                self.at += self.waiting.len() as u64;
            }
            if self.is_done {
                return Ok(Bytes::new());
            }
            let is_last = self.waiting.is_empty();
            let mut input = InBuffer::around(&self.waiting);
            let mut output = OutBuffer::around(&mut out);
            let left = self.decoder.run(&mut input, &mut output).map_err(|_| damaged())?;
            let (used, made) = (input.pos(), output.pos());
            self.waiting = self.waiting.slice(used..);
            self.is_done = left == 0;
            if made > 0 {
                out.truncate(made);
                return Ok(out.into());
            }
            if is_last && !self.is_done {
                return Err(damaged());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Blobs, MemoryBlobs};

    async fn all(mut reader: PackReader) -> io::Result<Vec<u8>> {
        let mut out = Vec::new();
        loop {
            let bytes = reader.next().await?;
            if bytes.is_empty() {
                return Ok(out);
            }
            out.extend_from_slice(&bytes);
        }
    }

    #[tokio::test]
    async fn members_come_back_and_damage_is_noticed() {
        let blobs = MemoryBlobs::new();
        let mut pack = PackWriter::new(blobs.create().await.unwrap());
        let noise = |n: usize| (n.wrapping_mul(2_654_435_761) >> 7).to_le_bytes()[0];
        let members = [
            Vec::new(),
            b"x".to_vec(),
            b"again ".repeat(100_000),
            (0..700_000).map(noise).collect(),
        ];
        let mut places = Vec::new();
        for member in &members {
            pack.begin().unwrap();
            for chunk in member.chunks(9_999) {
                pack.write(chunk).await.unwrap();
            }
            places.push(pack.end().await.unwrap());
        }
        assert!(places[2].1 < 1000, "{places:?}");
        let id = pack.finish().await.unwrap();
        for (member, (offset, length)) in members.iter().zip(&places) {
            let reader = blobs.open(&id).await.unwrap();
            let got = all(PackReader::new(reader, *offset, *length).unwrap()).await.unwrap();
            assert!(got == *member, "a member of {} bytes", member.len());
        }
        let mut second = PackWriter::new(blobs.create().await.unwrap());
        let mut from = blobs.open(&id).await.unwrap();
        let start = second.take(from.as_mut(), places[2].0, places[2].1).await.unwrap();
        let second = second.finish().await.unwrap();
        let reader = blobs.open(&second).await.unwrap();
        let got = all(PackReader::new(reader, start, places[2].1).unwrap()).await.unwrap();
        assert!(got == members[2]);
        let (offset, length) = places[3];
        let reader = blobs.open(&id).await.unwrap();
        assert!(all(PackReader::new(reader, offset, length - 1).unwrap()).await.is_err(), "cut");
        let reader = blobs.open(&id).await.unwrap();
        assert!(all(PackReader::new(reader, offset + 5, length - 5).unwrap()).await.is_err());
    }
}
