//! The engines' logs.

use std::io::SeekFrom;
use std::path::PathBuf;

use rds_api::{
    DescribeDBLogFilesDetails, DescribeDBLogFilesInput, DescribeDBLogFilesOutput,
    DownloadDBLogFilePortionInput, DownloadDBLogFilePortionOutput,
};
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _};

use crate::error::{Error, Result, refuse};
use crate::store::DbInstance;
use crate::{Ctx, instance, listing};

/// What the names of logs begin with.
const FOLDER: &str = "error/";

/// The most that one portion holds.
///
/// AWS: DownloadDBLogFilePortion ("up to 1 MB in size").
const PORTION_MAX: u64 = 1 << 20;

fn folder(ctx: &Ctx, instance: &DbInstance) -> PathBuf {
    ctx.drivers.volume(&instance.primary).join("log")
}

/// Tells the logs of an instance.
///
/// AWS: DescribeDBLogFiles.
pub(crate) async fn describe_db_log_files(
    ctx: Ctx,
    input: DescribeDBLogFilesInput,
) -> Result<DescribeDBLogFilesOutput> {
    refuse(&[("Filters", !input.filters.is_empty())])?;
    let instance = ctx.store.read(|tx| instance::get(tx, &input.db_instance_identifier)).await?;
    let mut all = Vec::new();
    let mut entries = match tokio::fs::read_dir(folder(&ctx, &instance)).await {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Ok(DescribeDBLogFilesOutput::default());
        }
        Err(error) => return Err(error.into()),
    };
    while let Some(entry) = entries.next_entry().await? {
        let meta = entry.metadata().await?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        if !meta.is_file() {
            continue;
        }
        let written = meta.modified()?.duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        all.push(DescribeDBLogFilesDetails {
            log_file_name: Some(format!("{FOLDER}{name}")),
            last_written: i64::try_from(written.as_millis()).ok(),
            size: i64::try_from(meta.len()).ok(),
        });
    }
    all.retain(|log| {
        let name = log.log_file_name.as_deref().unwrap_or_default();
        input.filename_contains.as_deref().is_none_or(|part| name.contains(part))
            && input.file_last_written.is_none_or(|since| log.last_written >= Some(since))
            && input.file_size.is_none_or(|size| log.size >= Some(size))
    });
    let key = |log: &DescribeDBLogFilesDetails| log.log_file_name.clone().unwrap_or_default();
    let (describe_db_log_files, marker) =
        listing::page(all, input.marker.as_deref(), input.max_records, key)?;
    Ok(DescribeDBLogFilesOutput { describe_db_log_files, marker })
}

/// Gives a portion of a log: from the marker on, or its last lines.
///
/// AWS: DownloadDBLogFilePortion.
pub(crate) async fn download_db_log_file_portion(
    ctx: Ctx,
    input: DownloadDBLogFilePortionInput,
) -> Result<DownloadDBLogFilePortionOutput> {
    let instance = ctx.store.read(|tx| instance::get(tx, &input.db_instance_identifier)).await?;
    let missing = || Error::LogFileNotFound(input.log_file_name.clone());
    let name = input.log_file_name.strip_prefix(FOLDER).ok_or_else(missing)?;
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    if name.starts_with('.') || !name.chars().all(plain) {
        return Err(missing());
    }
    let mut file = match tokio::fs::File::open(folder(&ctx, &instance).join(name)).await {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Err(missing()),
        Err(error) => return Err(error.into()),
    };
    let size = file.metadata().await?.len();
    let from = match input.marker.as_deref() {
        None | Some("") => size.saturating_sub(PORTION_MAX),
        Some(marker) => {
            marker.parse().ok().filter(|at| *at <= size).ok_or_else(listing::bad_marker)?
        }
    };
    file.seek(SeekFrom::Start(from)).await?;
    let mut bytes = Vec::new();
    file.take(PORTION_MAX).read_to_end(&mut bytes).await?;
    let read = u64::try_from(bytes.len()).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let tail = input.marker.is_none();
    let (text, used) = match usize::try_from(input.number_of_lines.unwrap_or_default()) {
        Ok(0) | Err(_) => (text, read),
        Ok(count) if tail => {
            let lines: Vec<&str> = text.split_inclusive('\n').collect();
            let skipped = lines.len().saturating_sub(count);
            (lines.into_iter().skip(skipped).collect(), read)
        }
        Ok(count) => {
            let first: String = text.split_inclusive('\n').take(count).collect();
            let length = u64::try_from(first.len()).unwrap_or_default();
            (first, length.min(read))
        }
    };
    let next = from.saturating_add(used);
    Ok(DownloadDBLogFilePortionOutput {
        log_file_data: Some(text),
        marker: Some(next.to_string()),
        additional_data_pending: Some(next < size),
    })
}
