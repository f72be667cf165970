//! The way of bytes into a blob: counted, hashed and compared with what the client announced, and
//! never whole in memory.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use blob::{BlobId, Blobs, Writer};
use http_body_util::BodyExt;
use md5::{Digest, Md5};
use protocol::ByteStream;
use protocol::sigv4::{Checksum, ChecksumAlgorithm as Algorithm};

use crate::checksum::{self, Sum};
use crate::error::{Error, Result};
use crate::sse::Seal;

/// The largest object that one request may write, and the largest part.
///
/// AWS: "Amazon S3 multipart upload limits".
pub(crate) const SIZE_MAX: u64 = 5 * 1024 * 1024 * 1024;

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
    pub(crate) blob: BlobId,
    pub(crate) size: u64,
    pub(crate) md5: [u8; 16],
    /// The checksum that the client chose; CRC64NVME where it chose none.
    pub(crate) sum: Sum,
    /// The checksum by the algorithm that was wanted.
    pub(crate) wanted: Option<Sum>,
    /// CRC64NVME.
    pub(crate) crc64: Sum,
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
    blobs: &dyn Blobs,
    body: Option<ByteStream>,
    announced: Announced,
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
    let mut writer = blobs.create().await.map_err(Error::Blob)?;
    let judged =
        match copy(body, writer.as_mut(), &mut hashes, (length, announced.seal.as_ref())).await {
            Ok(()) => judge(hashes, &announced, md5),
            Err(error) => Err(error),
        };
    match judged {
        Err(error) => {
            writer.abandon().await;
            Err(error)
        }
        Ok(judged) => {
            let blob = writer.finish().await.map_err(Error::Blob)?;
            let Judged { size, md5, sum, wanted, crc64 } = judged;
            Ok(Landed { blob, size, md5, sum, wanted, crc64 })
        }
    }
}

async fn copy(
    body: ByteStream,
    writer: &mut dyn Writer,
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
            Some(seal) => writer.write(&seal.apply(offset, &data)?).await,
            None => writer.write(&data).await,
        }
        .map_err(Error::Blob)?;
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
