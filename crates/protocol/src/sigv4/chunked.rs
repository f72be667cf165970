//! Bodies in chunks: `aws-chunked`, with or without signatures and trailers.
//!
//! AWS: "Signature Calculations for the Authorization Header: Transferring Payload in Multiple
//! Chunks", "... with trailing headers". A chunk is its size in hexadecimal and its signature on a
//! line, its bytes, and a line end; a chunk of no bytes is the last, and trailers follow it.
//!
//! Bytes are handed on as they come, before the signature of their chunk is proved, so that a
//! chunk of any size needs no memory. Whoever reads them must not act on them before the end.

use aws_lc_rs::digest;
use bytes::{Buf, Bytes, BytesMut};

use super::EMPTY_SHA256;
use super::canonical::Parts;
use super::checksum::{Checksum, ChecksumAlgorithm};
use super::error::SigV4Error;
use super::key::{hex, sha256_hex};
use super::payload::ChunkMode;
use super::verify::Verified;

/// The longest line before a chunk or of a trailer. S3 documents no bound; signatures and
/// checksums need a tenth.
const LINE_MAX: usize = 1024;
/// The most trailers.
const TRAILERS_MAX: usize = 16;
/// The least size of a signed chunk that is not the last.
///
/// AWS: "Transferring Payload in Multiple Chunks", chunk size.
const CHUNK_MIN: u64 = 8192;

/// Decodes a body in chunks and verifies all that is said of it: signatures, length, trailers and
/// the checksum among them.
#[derive(Debug)]
pub struct ChunkedDecoder {
    mode: ChunkMode,
    seed: Option<Verified>,
    previous: String,
    state: State,
    /// The beginning of a line whose end has not come.
    line: BytesMut,
    declared: u64,
    decoded: u64,
    saw_small_chunk: Option<u64>,
    announced: Vec<String>,
    checksum: Option<Checksum>,
    trailers: Vec<(String, String)>,
}

enum State {
    Header,
    Data {
        left: u64,
        hash: digest::Context,
        signature: String,
    },
    DataEnd {
        hash: digest::Context,
        signature: String,
    },
    Trailer,
    /// The line end behind the last chunk of a body without trailers.
    LastEnd,
    Done,
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Header => "Header",
            Self::Data { .. } => "Data",
            Self::DataEnd { .. } => "DataEnd",
            Self::Trailer => "Trailer",
            Self::LastEnd => "LastEnd",
            Self::Done => "Done",
        })
    }
}

impl ChunkedDecoder {
    /// A decoder for the body of a request. `seed` is its verified claim; an anonymous request has
    /// none and then may not claim signed chunks.
    ///
    /// # Errors
    ///
    /// [`SigV4Error::MissingDecodedLength`], and [`SigV4Error::MissingAuthenticationToken`] for
    /// signed chunks without a seed.
    pub fn new(
        mode: ChunkMode,
        parts: &Parts<'_>,
        seed: Option<&Verified>,
    ) -> Result<Self, SigV4Error> {
        let declared = parts
            .header("x-amz-decoded-content-length")
            .and_then(|text| text.trim().parse().ok())
            .ok_or(SigV4Error::MissingDecodedLength)?;
        if mode.is_signed() && seed.is_none() {
            return Err(SigV4Error::MissingAuthenticationToken);
        }
        let announced: Vec<String> = parts
            .header("x-amz-trailer")
            .unwrap_or_default()
            .split(',')
            .map(|name| name.trim().to_ascii_lowercase())
            .filter(|name| !name.is_empty())
            .collect();
        let checksum = announced.iter().find_map(|name| ChecksumAlgorithm::of_header(name));
        Ok(Self {
            mode,
            previous: seed.map(|seed| seed.signature.clone()).unwrap_or_default(),
            seed: seed.cloned(),
            state: State::Header,
            line: BytesMut::new(),
            declared,
            decoded: 0,
            saw_small_chunk: None,
            announced,
            checksum: checksum.map(Checksum::new),
            trailers: Vec::new(),
        })
    }

    /// The length that the body says it decodes to.
    pub fn decoded_length(&self) -> u64 {
        self.declared
    }

    /// Takes bytes off the front of `input` until some are decoded or none are left. Bytes that
    /// are nothing means that more input is needed.
    ///
    /// # Errors
    ///
    /// What is wrong with the body; the decoder is of no use afterwards.
    pub fn push(&mut self, input: &mut Bytes) -> Result<Option<Bytes>, SigV4Error> {
        while !input.is_empty() {
            if let State::Data { left, hash, .. } = &mut self.state {
                let take = usize::try_from(*left).unwrap_or(usize::MAX).min(input.len());
                let data = input.split_to(take);
                *left -= u64::try_from(take).unwrap_or(u64::MAX);
                let finished = *left == 0;
                if self.mode.is_signed() {
                    hash.update(&data);
                }
                if let Some(checksum) = &mut self.checksum {
                    checksum.update(&data);
                }
                if finished {
                    self.data_finished();
                }
                return Ok(Some(data));
            }
            if matches!(self.state, State::Done) {
                return Err(SigV4Error::MalformedChunk);
            }
            let Some(line) = self.take_line(input)? else { return Ok(None) };
            self.read_line(&line)?;
        }
        Ok(None)
    }

    /// Ends the body and gives its trailers, names in lower case.
    ///
    /// # Errors
    ///
    /// [`SigV4Error::MalformedChunk`] when the body ended too soon.
    pub fn finish(mut self) -> Result<Vec<(String, String)>, SigV4Error> {
        // Some clients leave out the empty line at the very end.
        if matches!(self.state, State::Trailer) && self.line.is_empty() {
            self.end_trailers()?;
        }
        match self.state {
            State::Done | State::LastEnd => Ok(self.trailers),
            State::Header | State::Data { .. } | State::DataEnd { .. } | State::Trailer => {
                Err(SigV4Error::MalformedChunk)
            }
        }
    }

    fn data_finished(&mut self) {
        if let State::Data { hash, signature, .. } =
            std::mem::replace(&mut self.state, State::Header)
        {
            self.state = State::DataEnd { hash, signature };
        }
    }

    /// A line without its end, once it is whole.
    fn take_line(&mut self, input: &mut Bytes) -> Result<Option<Bytes>, SigV4Error> {
        let end = input.iter().position(|byte| *byte == b'\n');
        let part = input.split_to(end.unwrap_or(input.len()));
        if self.line.len() + part.len() > LINE_MAX {
            return Err(SigV4Error::MalformedChunk);
        }
        self.line.extend_from_slice(&part);
        if end.is_none() {
            return Ok(None);
        }
        input.advance(1);
        let mut line = self.line.split().freeze();
        if line.last() == Some(&b'\r') {
            line.truncate(line.len() - 1);
        }
        Ok(Some(line))
    }

    fn read_line(&mut self, line: &[u8]) -> Result<(), SigV4Error> {
        match std::mem::replace(&mut self.state, State::Header) {
            State::Header => self.read_header(line),
            State::DataEnd { hash, signature } => {
                if !line.is_empty() {
                    return Err(SigV4Error::MalformedChunk);
                }
                self.check_chunk(&hex(hash.finish().as_ref()), signature)
            }
            State::Trailer if line.is_empty() => self.end_trailers(),
            State::Trailer => {
                self.state = State::Trailer;
                self.read_trailer(line)
            }
            State::LastEnd if line.is_empty() => {
                self.state = State::Done;
                Ok(())
            }
            State::LastEnd | State::Data { .. } | State::Done => Err(SigV4Error::MalformedChunk),
        }
    }

    fn read_header(&mut self, line: &[u8]) -> Result<(), SigV4Error> {
        let line = std::str::from_utf8(line).map_err(|_| SigV4Error::MalformedChunk)?;
        let (size, extension) = line.split_once(';').unwrap_or((line, ""));
        let plain = !size.is_empty() && size.bytes().all(|byte| byte.is_ascii_hexdigit());
        let size = if plain { u64::from_str_radix(size, 16).ok() } else { None };
        let size = size.ok_or(SigV4Error::MalformedChunk)?;
        let signature = match extension.strip_prefix("chunk-signature=") {
            Some(signature) => signature.to_owned(),
            None if self.mode.is_signed() => return Err(SigV4Error::MalformedChunk),
            None => String::new(),
        };
        let decoded = self.decoded.checked_add(size).ok_or(SigV4Error::MalformedChunk)?;
        let is_last = size == 0;
        if decoded > self.declared || is_last && decoded != self.declared {
            return Err(SigV4Error::DecodedLength { declared: self.declared, decoded });
        }
        self.decoded = decoded;
        if !is_last {
            if let Some(size) = self.saw_small_chunk.filter(|_| self.mode.is_signed()) {
                return Err(SigV4Error::ChunkTooSmall { size });
            }
            self.saw_small_chunk = (size < CHUNK_MIN).then_some(size);
            let hash = digest::Context::new(&digest::SHA256);
            self.state = State::Data { left: size, hash, signature };
            return Ok(());
        }
        self.check_chunk(EMPTY_SHA256, signature)?;
        self.state = if self.mode.has_trailer() { State::Trailer } else { State::LastEnd };
        Ok(())
    }

    fn check_chunk(&mut self, hash: &str, signature: String) -> Result<(), SigV4Error> {
        let Some(seed) = self.seed.as_ref().filter(|_| self.mode.is_signed()) else {
            return Ok(());
        };
        let text = chunk_string(seed, &self.previous, hash);
        if !seed.key.verify(&text, &signature) {
            return Err(SigV4Error::ChunkSignature { string_to_sign: text, signature });
        }
        self.previous = signature;
        Ok(())
    }

    fn read_trailer(&mut self, line: &[u8]) -> Result<(), SigV4Error> {
        let line = std::str::from_utf8(line).map_err(|_| SigV4Error::MalformedTrailer)?;
        let (name, value) = line.split_once(':').ok_or(SigV4Error::MalformedTrailer)?;
        let name = name.trim().to_ascii_lowercase();
        let known = name == TRAILER_SIGNATURE || self.announced.contains(&name);
        let repeated = self.trailers.iter().any(|(other, _)| *other == name);
        if !known || repeated || self.trailers.len() >= TRAILERS_MAX {
            return Err(SigV4Error::MalformedTrailer);
        }
        self.trailers.push((name, value.trim().to_owned()));
        Ok(())
    }

    fn end_trailers(&mut self) -> Result<(), SigV4Error> {
        let at = self.trailers.iter().position(|(name, _)| name == TRAILER_SIGNATURE);
        let signature = at.map(|at| self.trailers.remove(at).1);
        let all_came =
            self.announced.iter().all(|name| self.trailers.iter().any(|(other, _)| other == name));
        if !all_came {
            return Err(SigV4Error::MalformedTrailer);
        }
        if self.mode.is_signed() && (signature.is_some() || !self.trailers.is_empty()) {
            let seed = self.seed.as_ref().ok_or(SigV4Error::MalformedTrailer)?;
            let signature = signature.ok_or(SigV4Error::MalformedTrailer)?;
            let text = trailer_string(seed, &self.previous, &self.trailers);
            if !seed.key.verify(&text, &signature) {
                return Err(SigV4Error::ChunkSignature { string_to_sign: text, signature });
            }
        }
        if let Some(checksum) = self.checksum.take() {
            let algorithm = checksum.algorithm();
            let carried = self.trailers.iter().find(|(name, _)| name == algorithm.header());
            if !carried.is_some_and(|(_, value)| checksum.matches(value)) {
                return Err(SigV4Error::ChecksumMismatch { algorithm });
            }
        }
        self.state = State::Done;
        Ok(())
    }
}

const TRAILER_SIGNATURE: &str = "x-amz-trailer-signature";

fn chunk_string(seed: &Verified, previous: &str, hash: &str) -> String {
    format!(
        "AWS4-HMAC-SHA256-PAYLOAD\n{}\n{}\n{previous}\n{EMPTY_SHA256}\n{hash}",
        seed.amz_date, seed.scope
    )
}

fn trailer_string(seed: &Verified, previous: &str, trailers: &[(String, String)]) -> String {
    let mut lines: Vec<String> =
        trailers.iter().map(|(name, value)| format!("{name}:{value}\n")).collect();
    lines.sort();
    format!(
        "AWS4-HMAC-SHA256-TRAILER\n{}\n{}\n{previous}\n{}",
        seed.amz_date,
        seed.scope,
        sha256_hex(lines.concat().as_bytes())
    )
}

/// Encodes a body in chunks.
#[derive(Debug)]
pub struct ChunkSigner {
    mode: ChunkMode,
    seed: Verified,
    previous: String,
}

impl ChunkSigner {
    /// An encoder for the body of a request that [`super::sign`] signed for `mode`.
    pub fn new(mode: ChunkMode, seed: &Verified) -> Self {
        Self { mode, seed: seed.clone(), previous: seed.signature.clone() }
    }

    /// The pieces of one chunk of `data`, which is not empty: its header, its bytes, its end.
    pub fn chunk(&mut self, data: Bytes) -> [Bytes; 3] {
        let header = self.header(data.len(), &data);
        [header, data, Bytes::from_static(b"\r\n")]
    }

    /// The last chunk and the trailers.
    pub fn finish(mut self, trailers: &[(String, String)]) -> Bytes {
        let mut out = BytesMut::from(self.header(0, &[]).as_ref());
        if self.mode.has_trailer() {
            for (name, value) in trailers {
                out.extend_from_slice(format!("{name}:{value}\r\n").as_bytes());
            }
            if self.mode.is_signed() {
                let text = trailer_string(&self.seed, &self.previous, trailers);
                let signature = self.seed.key.sign(&text);
                out.extend_from_slice(format!("{TRAILER_SIGNATURE}:{signature}\r\n").as_bytes());
            }
        }
        out.extend_from_slice(b"\r\n");
        out.freeze()
    }

    fn header(&mut self, size: usize, data: &[u8]) -> Bytes {
        if !self.mode.is_signed() {
            return Bytes::from(format!("{size:x}\r\n"));
        }
        self.previous =
            self.seed.key.sign(&chunk_string(&self.seed, &self.previous, &sha256_hex(data)));
        Bytes::from(format!("{size:x};chunk-signature={}\r\n", self.previous))
    }
}
