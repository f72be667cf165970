//! The way of bytes into a blob: counted, hashed and compared with what the client announced, and
//! never whole in memory.

use base::Timestamp;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use blob::{BlobId, Writer};
use http_body_util::BodyExt;
use md5::{Digest, Md5};
use protocol::ByteStream;
use protocol::sigv4::{Checksum, ChecksumAlgorithm as Algorithm};

use crate::checksum::{self, Sum};
use crate::error::{Error, Result};
use crate::sse::Seal;
use crate::store::{Bytes, Small};
use crate::{Ctx, Drivers};

/// The largest object that one request may write, and the largest part.
///
/// AWS: "Amazon S3 multipart upload limits".
pub(crate) const SIZE_MAX: u64 = 5 * 1024 * 1024 * 1024;
/// Objects up to this size lie in rows of the store, so that a write costs one group commit; a file
/// costs three syncs of its own.
pub(crate) const SMALL_MAX: u64 = 32 * 1024;

/// What is announced of a body.
#[derive(Debug, Default)]
pub(crate) struct Announced {
    pub(crate) md5: Option<String>,
    /// Checksums that came in headers.
    pub(crate) sums: Vec<(Algorithm, String)>,
    /// A checksum to compute without one to compare with.
    pub(crate) wanted: Option<Algorithm>,
    /// What to encrypt it with before it is kept.
    pub(crate) seal: Option<Seal>,
}

/// A body that arrived whole.
#[derive(Debug)]
pub(crate) struct Landed {
    pub(crate) place: Place,
    pub(crate) size: u64,
    pub(crate) md5: [u8; 16],
    /// The checksum that the client chose; CRC64NVME where it chose none.
    pub(crate) sum: Sum,
    /// The checksum by the algorithm that was wanted.
    pub(crate) wanted: Option<Sum>,
    /// CRC64NVME.
    pub(crate) crc64: Sum,
}

/// Where a body lies until a record names it.
#[derive(Debug)]
pub(crate) enum Place {
    Blob(BlobId),
    /// In memory.
    Small(Vec<u8>),
}

/// Whether small bodies stay out of files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Room {
    /// Small ones lie in rows.
    Rows,
    /// All lie in files.
    Files,
}

/// What the seal of a small object's bytes is bound to.
fn seal_of(id: &str) -> String {
    format!("s3 small {id}")
}

/// The plain bytes of a small object.
pub(crate) fn open_small(drivers: &Drivers, small: &Small) -> Result<Vec<u8>> {
    let damaged = || {
        let text = format!("the bytes of small object {} are damaged", small.id);
        Error::Blob(std::io::Error::new(std::io::ErrorKind::InvalidData, text))
    };
    let sealed = STANDARD.decode(&small.sealed).map_err(|_| damaged())?;
    drivers.cipher.open(&seal_of(&small.id), &sealed).map_err(|_| damaged())
}

impl Place {
    /// The blob of a body that was to lie in a file.
    pub(crate) fn into_blob(self) -> Result<BlobId> {
        match self {
            Self::Blob(blob) => Ok(blob),
            Self::Small(_) => Err(Error::Blob(std::io::Error::other("a part has no file"))),
        }
    }

    /// What an object's record says of these bytes, and the row that goes with it.
    pub(crate) fn settle(self, ctx: &Ctx, now: Timestamp) -> (Bytes, Option<Small>) {
        match self {
            Self::Blob(blob) => (Bytes::Whole(blob), None),
            Self::Small(plain) => {
                let mut random = [0; 8];
                ctx.random().fill(&mut random);
                // Rows that are written together lie together.
                let id = format!("{:012x}{}", now.as_millis(), hex(&random));
                let sealed = STANDARD.encode(ctx.drivers.cipher.seal(&seal_of(&id), &plain));
                (Bytes::Small(id.clone()), Some(Small { id, sealed }))
            }
        }
    }
}

impl Landed {
    /// The entity tag: the MD5 in hexadecimal digits, or what the seal has in its place.
    pub(crate) fn etag(&self) -> String {
        hex(&self.md5)
    }
}

/// Bytes as hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

struct Hashes {
    md5: Md5,
    sums: Vec<Checksum>,
    size: u64,
    /// Checksums that came behind the body; reading it has compared them.
    trailing: Vec<(Algorithm, String)>,
}

/// Reads `body` into a blob.
pub(crate) async fn receive(
    drivers: &Drivers,
    body: Option<ByteStream>,
    announced: Announced,
    room: Room,
) -> Result<Landed> {
    let body = body.unwrap_or_default();
    let length = body.length().ok_or(Error::MissingContentLength)?;
    if length > SIZE_MAX {
        return Err(Error::EntityTooLarge { size: length, max: SIZE_MAX });
    }
    let md5 = announced.md5.as_deref().map(parse_md5).transpose()?;
    for (algorithm, value) in &announced.sums {
        checksum::check_form(*algorithm, value)?;
    }
    if announced.sums.len() > 1 {
        let text = "Expecting a single x-amz-checksum- header. Multiple checksum Types are not \
                    allowed.";
        return Err(Error::InvalidRequest(text.to_owned()));
    }
    let mut algorithms = vec![Algorithm::Crc64Nvme];
    algorithms.extend(announced.sums.iter().map(|(algorithm, _)| *algorithm));
    algorithms.extend(announced.wanted);
    algorithms.dedup();
    let mut hashes = Hashes {
        md5: Md5::new(),
        sums: algorithms.into_iter().map(Checksum::new).collect(),
        size: 0,
        trailing: Vec::new(),
    };
    let mut sink = if room == Room::Rows && length <= SMALL_MAX {
        Sink::Memory(Vec::with_capacity(usize::try_from(length).unwrap_or_default()))
    } else {
        Sink::File(drivers.blobs.create().await.map_err(Error::Blob)?)
    };
    let judged = match copy(body, &mut sink, &mut hashes, (length, announced.seal.as_ref())).await {
        Ok(()) => judge(hashes, &announced, md5),
        Err(error) => Err(error),
    };
    let Judged { size, md5, sum, wanted, crc64 } = match judged {
        Ok(judged) => judged,
        Err(error) => {
            sink.abandon().await;
            return Err(error);
        }
    };
    let place = match sink {
        Sink::Memory(plain) => Place::Small(plain),
        Sink::File(writer) => Place::Blob(writer.finish().await.map_err(Error::Blob)?),
    };
    Ok(Landed { place, size, md5, sum, wanted, crc64 })
}

/// Where a body goes while it arrives.
enum Sink {
    Memory(Vec<u8>),
    File(Box<dyn Writer>),
}

impl Sink {
    async fn write(&mut self, data: &[u8]) -> Result<()> {
        match self {
            Self::Memory(plain) => {
                plain.extend_from_slice(data);
                Ok(())
            }
            Self::File(writer) => writer.write(data).await.map_err(Error::Blob),
        }
    }

    async fn abandon(self) {
        match self {
            Self::Memory(_) => {}
            Self::File(writer) => writer.abandon().await,
        }
    }
}

async fn copy(
    body: ByteStream,
    sink: &mut Sink,
    hashes: &mut Hashes,
    (length, seal): (u64, Option<&Seal>),
) -> Result<()> {
    let mut body = body.take().ok_or(Error::IncompleteBody)?;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| Error::of_body(&error))?;
        let data = match frame.into_data() {
            Ok(data) => data,
            Err(frame) => {
                let trailers = frame.into_trailers().unwrap_or_default();
                hashes.trailing.extend(trailers.iter().filter_map(|(name, value)| {
                    let algorithm = Algorithm::of_header(name.as_str())?;
                    Some((algorithm, value.to_str().ok()?.trim().to_owned()))
                }));
                continue;
            }
        };
        let offset = hashes.size;
        hashes.size += data.len() as u64;
        if hashes.size > length {
            return Err(Error::IncompleteBody);
        }
        hashes.md5.update(&data);
        hashes.sums.iter_mut().for_each(|sum| sum.update(&data));
        match seal {
            Some(seal) => sink.write(&seal.apply(offset, &data)?).await,
            None => sink.write(&data).await,
        }?;
    }
    if hashes.size == length { Ok(()) } else { Err(Error::IncompleteBody) }
}

struct Judged {
    size: u64,
    md5: [u8; 16],
    sum: Sum,
    wanted: Option<Sum>,
    crc64: Sum,
}

/// Compares what came with what was announced.
fn judge(hashes: Hashes, announced: &Announced, md5: Option<[u8; 16]>) -> Result<Judged> {
    let Hashes { md5: computed, sums, size, trailing } = hashes;
    let computed: [u8; 16] = computed.finalize().into();
    if md5.is_some_and(|md5| md5 != computed) {
        return Err(Error::BadDigest(
            "The Content-MD5 you specified did not match what we received.".to_owned(),
        ));
    }
    let done = |algorithm: Algorithm| {
        let found = sums.iter().find(|sum| sum.algorithm() == algorithm).cloned();
        found.map(|sum| Sum::new(algorithm, sum.finish_base64()))
    };
    for (algorithm, value) in &announced.sums {
        let right = done(*algorithm).is_some_and(|sum| sum.value == value.trim());
        if !right {
            return Err(checksum::mismatch(*algorithm));
        }
    }
    let crc64 =
        done(Algorithm::Crc64Nvme).ok_or_else(|| checksum::mismatch(Algorithm::Crc64Nvme))?;
    let chosen = announced.sums.first().or(trailing.first());
    let sum = chosen.map_or_else(
        || crc64.clone(),
        |(algorithm, value)| Sum::new(*algorithm, value.trim().to_owned()),
    );
    let wanted = announced.wanted.and_then(done);
    let computed = announced.seal.as_ref().map_or(computed, |seal| seal.start);
    Ok(Judged { size, md5: computed, sum, wanted, crc64 })
}

fn parse_md5(text: &str) -> Result<[u8; 16]> {
    let bytes = STANDARD.decode(text.trim()).ok();
    let bytes = bytes.and_then(|bytes| <[u8; 16]>::try_from(bytes).ok());
    bytes.ok_or_else(|| Error::InvalidDigest(text.to_owned()))
}
