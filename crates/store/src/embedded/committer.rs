//! The one thread that writes: log, data file, and the answers to writers.

use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::sync::{Arc, PoisonError};

use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition};

use super::log::Log;
use super::overlay::{self, Rows, WriteSet};
use super::{Shared, Stop, Waiter};
use crate::backend::{Batch, Change};
use crate::store::{Durability, Options};
use crate::{Error, Result};

const DATA_FILE: &str = "data.redb";
const ROWS: TableDefinition<'static, &'static [u8], &'static [u8]> = TableDefinition::new("rows");
/// The row that says up to which record of the log the data file is; no keyspace is called "".
const APPLIED: &[u8] = &[0];

/// The files, and where they stand.
pub(super) struct Committer {
    database: Database,
    /// None when the rows are in memory only.
    log: Option<Log>,
    /// The last record applied.
    sequence: u64,
    /// The bytes applied since the data file was last flushed.
    unflushed_bytes: u64,
    checkpoint_bytes: u64,
}

/// What to do next.
enum Task {
    Commit(Arc<WriteSet>),
    Checkpoint(Vec<Waiter>),
    Stop(Stop),
}

/// How a commit is made to last.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Flush {
    /// Not yet: the log has it.
    Later,
    /// At once.
    Now,
}

impl Committer {
    pub(super) fn open(dir: &Path, options: &Options) -> Result<(Self, Rows)> {
        let mut builder = Database::builder();
        builder.set_cache_size(options.cache_bytes);
        let (database, log) = match options.durability {
            Durability::Ephemeral => {
                let memory = redb::backends::InMemoryBackend::new();
                (builder.create_with_backend(memory).map_err(Error::engine)?, None)
            }
            Durability::Durable => {
                let (database, log) = open_files(dir, &builder, options)?;
                (database, Some(log))
            }
        };
        let checkpoint_bytes = options.checkpoint_bytes;
        let mut committer =
            Self { database, log, sequence: 0, unflushed_bytes: 0, checkpoint_bytes };
        committer.recover()?;
        let rows = committer.rows()?;
        Ok((committer, rows))
    }

    /// Applies what the log has beyond the data file, then starts the log anew.
    fn recover(&mut self) -> Result<()> {
        let mut transaction = self.begin(Flush::Later)?;
        let applied = {
            let mut table = transaction.open_table(ROWS).map_err(Error::engine)?;
            let row = table.get(APPLIED).map_err(Error::engine)?;
            let applied = row.map(|row| sequence_from(row.value())).transpose()?.unwrap_or(0);
            self.sequence = applied;
            if let Some(log) = &mut self.log {
                self.sequence = log.replay(applied, &mut |sequence, writes| {
                    apply(&mut table, sequence, &writes)
                })?;
            }
            applied
        };
        let records = self.sequence - applied;
        if records > 0 {
            make_durable(&mut transaction)?;
        }
        transaction.commit().map_err(Error::engine)?;
        // What is left of a torn record may stay: the next one overwrites its beginning, and no
        // rest of it has a checksum of its own.
        if let Some(log) = self.log.as_mut().filter(|log| log.bytes() > 0) {
            log.reset()?;
            tracing::info!(records, "replayed the store's log");
        }
        Ok(())
    }

    /// Puts another file in place of the log's, to see what a failing one does.
    #[cfg(test)]
    pub(super) fn replace_log_file(&mut self, file: File) {
        if let Some(log) = &mut self.log {
            log.replace_file(file);
        }
    }

    /// Works until told to stop.
    pub(super) fn run(mut self, shared: &Shared) {
        loop {
            let result = match next_task(shared) {
                Task::Commit(group) => self.commit_group(shared, &group),
                Task::Checkpoint(waiters) => {
                    let result = self.checkpoint();
                    answer(waiters, &result);
                    result
                }
                Task::Stop(stop) => return self.stop(shared, stop),
            };
            if let Err(error) = result {
                fail(shared, &error);
            }
        }
    }

    fn commit_group(&mut self, shared: &Shared, group: &Arc<WriteSet>) -> Result<()> {
        let sequence = self.sequence + 1;
        if let Some(log) = &mut self.log {
            log.append(sequence, group).map_err(Error::io("writing the log"))?;
        }
        self.apply_group(sequence, group)?;
        self.sequence = sequence;
        self.unflushed_bytes += group.bytes() as u64;
        let rows = Arc::new(self.rows()?);
        shared.show(Some(rows.clone()));
        let waiters = {
            let mut writer = shared.lock();
            writer.base = Some(rows);
            writer.syncing = Arc::default();
            std::mem::take(&mut writer.syncing_waiters)
        };
        publish(shared, sequence, group);
        answer(waiters, &Ok(()));
        let log_bytes = self.log.as_ref().map_or(0, Log::bytes);
        if log_bytes.max(self.unflushed_bytes) >= self.checkpoint_bytes {
            self.checkpoint()?;
        }
        Ok(())
    }

    fn apply_group(&self, sequence: u64, group: &WriteSet) -> Result<()> {
        let transaction = self.begin(Flush::Later)?;
        {
            let mut table = transaction.open_table(ROWS).map_err(Error::engine)?;
            apply(&mut table, sequence, group)?;
        }
        transaction.commit().map_err(Error::engine)
    }

    /// Flushes the data file; then the log's records are no longer needed.
    fn checkpoint(&mut self) -> Result<()> {
        let transaction = self.begin(Flush::Now)?;
        transaction.commit().map_err(Error::engine)?;
        self.unflushed_bytes = 0;
        if let Some(log) = &mut self.log {
            log.reset()?;
        }
        tracing::debug!(sequence = self.sequence, "flushed the store's data file");
        Ok(())
    }

    fn begin(&self, flush: Flush) -> Result<redb::WriteTransaction> {
        let mut transaction = self.database.begin_write().map_err(Error::engine)?;
        match flush {
            Flush::Later => {
                let durability = redb::Durability::None;
                transaction.set_durability(durability).map_err(Error::engine)?;
            }
            Flush::Now => make_durable(&mut transaction)?,
        }
        Ok(transaction)
    }

    fn rows(&self) -> Result<Rows> {
        let transaction = self.database.begin_read().map_err(Error::engine)?;
        transaction.open_table(ROWS).map_err(Error::engine)
    }

    fn stop(mut self, shared: &Shared, stop: Stop) {
        let healthy = !matches!(shared.lock().refusal, Some(Error::ReadOnly(_)));
        let result = match &stop {
            Stop::Close(_) if healthy => self.checkpoint(),
            Stop::Close(_) | Stop::Abandon => Ok(()),
        };
        let checkpoints = {
            let mut writer = shared.lock();
            writer.base = None;
            writer.refusal = Some(Error::Closed);
            std::mem::take(&mut writer.checkpoints)
        };
        shared.show(None);
        shared.taken.notify_waiters();
        // The file's lock must be free before anyone learns that the store is closed.
        drop(self);
        answer(checkpoints, &Err(Error::Closed));
        match stop {
            Stop::Close(waiter) => answer(vec![waiter], &result),
            Stop::Abandon => {}
        }
    }
}

/// Waits for something to do. What was written comes first, so that stopping loses nothing.
fn next_task(shared: &Shared) -> Task {
    let mut writer = shared.lock();
    loop {
        if !writer.open.is_empty() {
            let group = Arc::new(std::mem::take(&mut writer.open));
            writer.syncing = group.clone();
            writer.syncing_waiters = std::mem::take(&mut writer.open_waiters);
            drop(writer);
            shared.taken.notify_waiters();
            return Task::Commit(group);
        }
        if !writer.checkpoints.is_empty() {
            return Task::Checkpoint(std::mem::take(&mut writer.checkpoints));
        }
        if let Some(stop) = writer.stop.take() {
            return Task::Stop(stop);
        }
        writer = shared.wake.wait(writer).unwrap_or_else(PoisonError::into_inner);
    }
}

/// Ends all writing: what is not acknowledged by now is answered with the reason.
fn fail(shared: &Shared, error: &Error) {
    tracing::error!(error = error as &dyn std::error::Error, "the store takes no more writes");
    let mut reason = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        reason = format!("{reason}: {cause}");
        source = cause.source();
    }
    let refusal = Error::ReadOnly(Arc::from(reason));
    let waiters = {
        let mut writer = shared.lock();
        writer.refusal = Some(refusal.clone());
        writer.open = WriteSet::default();
        writer.syncing = Arc::default();
        let mut waiters = std::mem::take(&mut writer.syncing_waiters);
        waiters.append(&mut writer.open_waiters);
        waiters
    };
    shared.taken.notify_waiters();
    answer(waiters, &Err(refusal));
}

fn answer(waiters: Vec<Waiter>, result: &Result<()>) {
    for waiter in waiters {
        // Nobody listens when the caller's future was dropped; the commit stands all the same.
        let _ = waiter.send(result.clone());
    }
}

fn publish(shared: &Shared, sequence: u64, group: &WriteSet) {
    if shared.feed.receiver_count() == 0 {
        return;
    }
    let change = |(key, _): (&[u8], Option<&[u8]>)| {
        let (space, key) = overlay::split_key(key);
        Change { space: String::from_utf8_lossy(space).into_owned(), key: key.to_vec() }
    };
    let batch = Batch { sequence, changes: group.iter().map(change).collect() };
    // The last receiver may have gone meanwhile.
    let _ = shared.feed.send(Arc::new(batch));
}

fn apply(
    table: &mut redb::Table<'_, &'static [u8], &'static [u8]>,
    sequence: u64,
    writes: &WriteSet,
) -> Result<()> {
    for (key, value) in writes.iter() {
        match value {
            Some(value) => table.insert(key, value).map_err(Error::engine)?,
            None => table.remove(key).map_err(Error::engine)?,
        };
    }
    table.insert(APPLIED, sequence.to_be_bytes().as_slice()).map_err(Error::engine)?;
    Ok(())
}

/// Has the commit wait for the disk, and save the allocator's state with it, so that an opening
/// after a crash need not walk the whole tree.
fn make_durable(transaction: &mut redb::WriteTransaction) -> Result<()> {
    transaction.set_durability(redb::Durability::Immediate).map_err(Error::engine)?;
    transaction.set_quick_repair(true);
    Ok(())
}

/// Opens the two files in `dir`, or makes them where neither is.
///
/// The data file comes first and under its name only when whole; then the log, whose making also
/// syncs the folder. So a log without a data file, or a used data file without a log, is no
/// crash's doing, and to go on with an empty one would lose what the other was to complete.
fn open_files(dir: &Path, builder: &redb::Builder, options: &Options) -> Result<(Database, Log)> {
    make_folder(dir).map_err(Error::io("making the store's folder"))?;
    let path = dir.join(DATA_FILE);
    let log = Log::open(dir)?;
    if path.exists() {
        let database = builder.open(path).map_err(|error| {
            let in_use = matches!(error, redb::DatabaseError::DatabaseAlreadyOpen);
            if in_use { Error::InUse } else { Error::engine(error) }
        })?;
        let log = match log {
            Some(log) => log,
            None if is_unused(&database)? => Log::create(dir, options.checkpoint_bytes)?,
            None => return Err(Error::Corrupt("the log is gone".to_owned())),
        };
        return Ok((database, log));
    }
    if log.is_some() {
        return Err(Error::Corrupt("the data file is gone".to_owned()));
    }
    let unfinished = dir.join("data.new");
    let discarded = match fs::remove_file(&unfinished) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    };
    discarded.map_err(Error::io("removing an unfinished data file"))?;
    let database = builder.create(&unfinished).map_err(Error::engine)?;
    fs::rename(&unfinished, &path).map_err(Error::io("naming the data file"))?;
    Ok((database, Log::create(dir, options.checkpoint_bytes)?))
}

/// Whether nothing was ever flushed into the data file.
fn is_unused(database: &Database) -> Result<bool> {
    let transaction = database.begin_read().map_err(Error::engine)?;
    match transaction.open_table(ROWS) {
        Ok(_) => Ok(false),
        Err(redb::TableError::TableDoesNotExist(_)) => Ok(true),
        Err(error) => Err(Error::engine(error)),
    }
}

/// Makes the folder, durably, if it is not there.
fn make_folder(dir: &Path) -> io::Result<()> {
    if dir.exists() {
        return Ok(());
    }
    fs::create_dir_all(dir)?;
    let parent = dir.parent().filter(|parent| !parent.as_os_str().is_empty());
    File::open(parent.unwrap_or(Path::new(".")))?.sync_all()
}

fn sequence_from(row: &[u8]) -> Result<u64> {
    let bytes = row.try_into();
    bytes.map(u64::from_be_bytes).map_err(|_| Error::Corrupt("the data file's place".to_owned()))
}
