//! The write-ahead log: one file, written in place from its start after each checkpoint.
//!
//! A group of transactions is one record, written with one `pwrite` and one `fdatasync`; the next
//! is begun only when that has returned, so at most the last record can be torn. The file is
//! allocated ahead and never shrinks, so that a sync writes data and no metadata. Old records stay
//! behind the end; a generation number, raised at each reset and part of every checksum, keeps
//! them from being taken for new ones. The header stands twice and its copies are written one
//! after the other, so that one is whole at any time.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use crc_fast::{CrcAlgorithm, Digest};
use rustix::fs::FallocateFlags;

use super::overlay::WriteSet;
use crate::{Error, Result};

const FILE: &str = "log";
/// Not text, so that no JSON in a record can look like the start of another.
const RECORD_MAGIC: [u8; 4] = [0xff, 0xfe, b'S', b'K'];
const HEADER_MAGIC: [u8; 8] = *b"SKYHLOG1";
const HEADER_COPIES: [u64; 2] = [0, 4096];
const HEADER_BYTES: usize = 24;
const RECORDS_START: u64 = 8192;
const RECORD_HEADER_BYTES: usize = 32;
/// More than any group can have; a greater length is damage.
const PAYLOAD_BYTES_MAX: u32 = 256 * 1024 * 1024;
/// The value length that stands for a removed row.
const REMOVED: u32 = u32::MAX;
/// How much is read at once when looking for records behind the end.
const SEARCH_BYTES: usize = 64 * 1024;

/// The log, at the place where the next record goes.
#[derive(Debug)]
pub(super) struct Log {
    file: File,
    generation: u64,
    end: u64,
}

/// A whole record's place in the sequence, and what it holds.
struct Record {
    sequence: u64,
    payload: Vec<u8>,
}

impl Log {
    /// Opens the log in `dir`, if there is one.
    pub(super) fn open(dir: &Path) -> Result<Option<Self>> {
        let path = dir.join(FILE);
        match OpenOptions::new().read(true).write(true).open(&path) {
            Ok(file) => {
                let generation = read_generation(&file)?;
                Ok(Some(Self { file, generation, end: RECORDS_START }))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Error::io("opening the log")(error)),
        }
    }

    /// Makes a log in `dir` with room for `capacity` bytes, and the folder's names durable.
    pub(super) fn create(dir: &Path, capacity: u64) -> Result<Self> {
        let unfinished = dir.join("log.new");
        let create = || {
            let mut options = OpenOptions::new();
            let file =
                options.read(true).write(true).create(true).truncate(true).open(&unfinished)?;
            allocate(&file, RECORDS_START + capacity)?;
            for offset in HEADER_COPIES {
                file.write_all_at(&header(1), offset)?;
            }
            file.sync_all()?;
            fs::rename(&unfinished, dir.join(FILE))?;
            File::open(dir)?.sync_all()?;
            Ok(file)
        };
        let file = create().map_err(Error::io("creating the log"))?;
        Ok(Self { file, generation: 1, end: RECORDS_START })
    }

    /// The bytes of the records since the last reset.
    pub(super) fn bytes(&self) -> u64 {
        self.end - RECORDS_START
    }

    /// Shows the writes of all whole records behind `applied`, oldest first, and says with which
    /// sequence number they end. Records at and before `applied` are passed over.
    pub(super) fn replay(
        &mut self,
        applied: u64,
        apply: &mut dyn FnMut(u64, WriteSet) -> Result<()>,
    ) -> Result<u64> {
        let mut last = applied;
        let mut previous = None;
        while let Some(record) = self.record_at(self.end)? {
            if previous.is_some_and(|previous| record.sequence != previous + 1) {
                return Err(Error::Corrupt("the log's records are out of sequence".to_owned()));
            }
            previous = Some(record.sequence);
            if record.sequence > applied {
                if record.sequence != last + 1 {
                    return Err(Error::Corrupt("the log lacks a record".to_owned()));
                }
                apply(record.sequence, decode(&record.payload)?)?;
                last = record.sequence;
            }
            self.end += (RECORD_HEADER_BYTES + record.payload.len()) as u64;
        }
        self.refuse_later_records()?;
        Ok(last)
    }

    /// Writes a record and waits until it is on disk.
    pub(super) fn append(&mut self, sequence: u64, writes: &WriteSet) -> io::Result<()> {
        let record = encode(self.generation, sequence, writes)?;
        self.file.write_all_at(&record, self.end)?;
        self.file.sync_data()?;
        self.end += record.len() as u64;
        Ok(())
    }

    /// Forgets all records, which the data file holds durably.
    pub(super) fn reset(&mut self) -> Result<()> {
        let generation = self.generation + 1;
        write_header(&self.file, generation).map_err(Error::io("resetting the log"))?;
        self.generation = generation;
        self.end = RECORDS_START;
        Ok(())
    }

    /// Puts another file in place of the log's, to see what a failing one does.
    #[cfg(test)]
    pub(super) fn replace_file(&mut self, file: File) {
        self.file = file;
    }

    /// The record that starts at `offset`, if a whole one does.
    fn record_at(&self, offset: u64) -> Result<Option<Record>> {
        let failed = Error::io("reading the log");
        let Some(header) = read_exact::<RECORD_HEADER_BYTES>(&self.file, offset).map_err(failed)?
        else {
            return Ok(None);
        };
        let mut rest = header.as_slice();
        let magic: [u8; 4] = take(&mut rest).unwrap_or_default();
        let generation = take(&mut rest).map_or(0, u64::from_le_bytes);
        let sequence = take(&mut rest).map_or(0, u64::from_le_bytes);
        let length = take(&mut rest).map_or(0, u32::from_le_bytes);
        let checksum = take(&mut rest).map_or(0, u64::from_le_bytes);
        if magic != RECORD_MAGIC || generation != self.generation || length > PAYLOAD_BYTES_MAX {
            return Ok(None);
        }
        let mut payload = vec![0; length as usize];
        let start = offset + RECORD_HEADER_BYTES as u64;
        match self.file.read_exact_at(&mut payload, start) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            Err(error) => return Err(Error::io("reading the log")(error)),
        }
        let whole = checksum == record_checksum(generation, sequence, length, &payload);
        Ok(whole.then_some(Record { sequence, payload }))
    }

    /// A torn record is the last one ever written. If a whole one of this generation stands behind
    /// the end, then what stands at the end was damaged later, and acknowledged writes with it.
    fn refuse_later_records(&self) -> Result<()> {
        let mark = [RECORD_MAGIC.as_slice(), &self.generation.to_le_bytes()].concat();
        let mut window = vec![0; SEARCH_BYTES];
        let mut offset = self.end + 1;
        loop {
            let read = read_some(&self.file, &mut window, offset);
            let filled = window.get(..read.map_err(Error::io("reading the log"))?);
            let filled = filled.unwrap_or_default();
            for (at, candidate) in filled.windows(mark.len()).enumerate() {
                // The first byte alone rules out nearly every place.
                if candidate.first() == mark.first()
                    && candidate == mark
                    && self.record_at(offset + at as u64)?.is_some()
                {
                    let end = self.end;
                    return Err(Error::Corrupt(format!(
                        "the log is damaged at byte {end} and whole records stand behind it"
                    )));
                }
            }
            if filled.len() < SEARCH_BYTES {
                return Ok(());
            }
            offset += (filled.len() - mark.len() + 1) as u64;
        }
    }
}

/// Reserves room; on file systems that cannot, the file grows as it is written.
fn allocate(file: &File, length: u64) -> io::Result<()> {
    match rustix::fs::fallocate(file, FallocateFlags::empty(), 0, length) {
        Err(rustix::io::Errno::OPNOTSUPP) => file.set_len(length),
        result => result.map_err(io::Error::from),
    }
}

/// Writes both copies of the header, each durable before the next is touched.
fn write_header(file: &File, generation: u64) -> io::Result<()> {
    let header = header(generation);
    for offset in HEADER_COPIES {
        file.write_all_at(&header, offset)?;
        file.sync_data()?;
    }
    Ok(())
}

fn header(generation: u64) -> Vec<u8> {
    let checksum = header_checksum(generation).to_le_bytes();
    [HEADER_MAGIC.as_slice(), &generation.to_le_bytes(), &checksum].concat()
}

fn read_generation(file: &File) -> Result<u64> {
    let mut newest = None;
    for offset in HEADER_COPIES {
        let header = read_exact::<HEADER_BYTES>(file, offset);
        let Some(header) = header.map_err(Error::io("reading the log's header"))? else {
            continue;
        };
        let mut rest = header.as_slice();
        let magic: [u8; 8] = take(&mut rest).unwrap_or_default();
        let generation = take(&mut rest).map_or(0, u64::from_le_bytes);
        let checksum = take(&mut rest).map_or(0, u64::from_le_bytes);
        if magic == HEADER_MAGIC && checksum == header_checksum(generation) {
            newest = newest.max(Some(generation));
        }
    }
    newest.ok_or_else(|| Error::Corrupt("both headers of the log are damaged".to_owned()))
}

fn header_checksum(generation: u64) -> u64 {
    let mut digest = Digest::new(CrcAlgorithm::Crc64Nvme);
    digest.update(&HEADER_MAGIC);
    digest.update(&generation.to_le_bytes());
    digest.finalize()
}

fn record_checksum(generation: u64, sequence: u64, length: u32, payload: &[u8]) -> u64 {
    let mut digest = Digest::new(CrcAlgorithm::Crc64Nvme);
    digest.update(&generation.to_le_bytes());
    digest.update(&sequence.to_le_bytes());
    digest.update(&length.to_le_bytes());
    digest.update(payload);
    digest.finalize()
}

/// A record's bytes: header, number of rows, and each row's lengths, key and value.
fn encode(generation: u64, sequence: u64, writes: &WriteSet) -> io::Result<Vec<u8>> {
    let too_long = |_| io::Error::from(io::ErrorKind::FileTooLarge);
    let rows = writes.iter();
    let mut record = vec![0; RECORD_HEADER_BYTES];
    record.reserve(4 + rows.len() * 8 + writes.bytes());
    record.extend_from_slice(&u32::try_from(rows.len()).map_err(too_long)?.to_le_bytes());
    for (key, value) in rows {
        let value_length = match value {
            Some(value) => u32::try_from(value.len()).map_err(too_long)?,
            None => REMOVED,
        };
        record.extend_from_slice(&u32::try_from(key.len()).map_err(too_long)?.to_le_bytes());
        record.extend_from_slice(&value_length.to_le_bytes());
        record.extend_from_slice(key);
        record.extend_from_slice(value.unwrap_or_default());
    }
    let (header, payload) = record.split_at_mut(RECORD_HEADER_BYTES);
    let length = u32::try_from(payload.len()).map_err(too_long)?;
    if length > PAYLOAD_BYTES_MAX {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    let checksum = record_checksum(generation, sequence, length, payload);
    let fields: [&[u8]; 5] = [
        &RECORD_MAGIC,
        &generation.to_le_bytes(),
        &sequence.to_le_bytes(),
        &length.to_le_bytes(),
        &checksum.to_le_bytes(),
    ];
    header.copy_from_slice(&fields.concat());
    Ok(record)
}

fn decode(payload: &[u8]) -> Result<WriteSet> {
    let mut writes = WriteSet::default();
    let mut rest = payload;
    let mut read = || -> Option<()> {
        let rows = u32::from_le_bytes(take(&mut rest)?);
        for _ in 0..rows {
            let key_length = u32::from_le_bytes(take(&mut rest)?);
            let value_length = u32::from_le_bytes(take(&mut rest)?);
            let key = split(&mut rest, key_length)?;
            let value = match value_length {
                REMOVED => None,
                length => Some(split(&mut rest, length)?),
            };
            writes.set(key, value);
        }
        rest.is_empty().then_some(())
    };
    read().ok_or_else(|| Error::Corrupt("a record of the log does not decode".to_owned()))?;
    Ok(writes)
}

fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (first, rest) = bytes.split_first_chunk::<N>()?;
    *bytes = rest;
    Some(*first)
}

fn split(bytes: &mut &[u8], length: u32) -> Option<Vec<u8>> {
    let (first, rest) = bytes.split_at_checked(length as usize)?;
    *bytes = rest;
    Some(first.to_vec())
}

/// The `N` bytes at `offset`; none when the file ends before them.
fn read_exact<const N: usize>(file: &File, offset: u64) -> io::Result<Option<[u8; N]>> {
    let mut bytes = [0; N];
    match file.read_exact_at(&mut bytes, offset) {
        Ok(()) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
        Err(error) => Err(error),
    }
}

/// Fills `bytes` from `offset` on as far as the file goes; says how far.
fn read_some(file: &File, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut filled = 0;
    while let Some(free) = bytes.get_mut(filled..).filter(|free| !free.is_empty()) {
        match file.read_at(free, offset + filled as u64) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}
