//! The form of a blob's file: a header, then frames of AES-256-GCM under a key of the blob's own.
//!
//! Every frame but the last holds [`FRAME`] bytes. A frame's nonce is its number, its additional
//! data says whether it is the last: frames can be neither moved, nor exchanged between blobs, nor
//! cut off the end.

use std::io;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::hkdf::{HKDF_SHA256, Salt};

use crate::BlobId;

/// Plain bytes in a frame.
pub(crate) const FRAME: usize = 64 * 1024;
/// Bytes that sealing adds to a frame.
pub(crate) const TAG: usize = 16;
/// What every file starts with: the form's name and version.
pub(crate) const HEADER: [u8; 8] = *b"skblob\x00\x01";

const SEALED: u64 = (FRAME + TAG) as u64;

/// How many frames and plain bytes a file of `file_len` bytes holds.
pub(crate) fn measure(file_len: u64) -> io::Result<(u64, u64)> {
    let damaged = || io::Error::new(io::ErrorKind::InvalidData, "the blob's file is cut short");
    let body = file_len.checked_sub(HEADER.len() as u64).ok_or_else(damaged)?;
    let frames = body.div_ceil(SEALED).max(1);
    let plain = body.checked_sub(frames * TAG as u64).ok_or_else(damaged)?;
    Ok((frames, plain))
}

/// Where frame `number` starts in the file.
pub(crate) fn place(number: u64) -> u64 {
    HEADER.len() as u64 + number * SEALED
}

/// The frame that holds the plain byte at `offset`.
pub(crate) fn number_at(offset: u64) -> u64 {
    offset / FRAME as u64
}

/// Seals and opens the frames of one blob.
pub(crate) struct FrameKey(LessSafeKey);

impl FrameKey {
    /// The key of blob `id` under the `master` key.
    pub(crate) fn derive(master: &[u8; 32], id: &BlobId) -> io::Result<Self> {
        let failed = |_| io::Error::other("no key could be derived");
        let prk = Salt::new(HKDF_SHA256, id.as_str().as_bytes()).extract(master);
        let okm = prk.expand(&[b"skyhold blob"], &AES_256_GCM).map_err(failed)?;
        Ok(Self(LessSafeKey::new(UnboundKey::from(okm))))
    }

    /// Seals one frame in place.
    pub(crate) fn seal(&self, number: u64, last: bool, frame: &mut Vec<u8>) -> io::Result<()> {
        self.0
            .seal_in_place_append_tag(nonce(number), aad(last), frame)
            .map_err(|_| io::Error::other("a frame could not be sealed"))
    }

    /// Opens one frame in place and gives its plain bytes' count.
    pub(crate) fn open(&self, number: u64, last: bool, frame: &mut [u8]) -> io::Result<usize> {
        let opened = self.0.open_in_place(nonce(number), aad(last), frame);
        opened.map(|plain| plain.len()).map_err(|_| {
            io::Error::new(io::ErrorKind::InvalidData, format!("frame {number} is damaged"))
        })
    }
}

fn nonce(number: u64) -> Nonce {
    let mut bytes = [0; NONCE_LEN];
    bytes.iter_mut().skip(4).zip(number.to_be_bytes()).for_each(|(to, from)| *to = from);
    Nonce::assume_unique_for_key(bytes)
}

fn aad(last: bool) -> Aad<[u8; 1]> {
    Aad::from([u8::from(last)])
}
