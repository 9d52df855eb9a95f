//! The rows of stored files, one file after the other.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use bytes::Bytes;
use qicore_data::{Error, ErrorKind, Event, Result};

use super::csv::CsvRows;
use super::{Format, Stored};
use crate::replay::lines::{KEPT, Lines, of_the_system};

/// A row of a stored file.
pub(super) enum Row {
    Event(Event),
    /// A row, or a whole file, that cannot be read.
    Damaged {
        bytes: Bytes,
        why: String,
    },
}

impl Row {
    pub(super) fn damaged(path: &Path, bytes: &[u8], why: impl std::fmt::Display) -> Self {
        let bytes = Bytes::copy_from_slice(&bytes[..bytes.len().min(KEPT)]);
        Self::Damaged {
            bytes,
            why: format!("{}: {why}", path.display()),
        }
    }
}

/// Why a file cannot be read on: the system's error, of kind `Io`, or else what is wrong with its content.
pub(super) fn unreadable(operation: &'static str, path: &Path, error: &(dyn std::error::Error + 'static)) -> Error {
    match of_the_system(error) {
        Some(error) => Error::io(operation, path, error),
        None => Error::decode(operation, error.to_string()),
    }
}

/// The rows of one file.
pub(super) trait Rows {
    /// The next row.
    ///
    /// # Errors
    /// If the file cannot be read: that is not the fault of what is in it.
    fn next(&mut self) -> Result<Option<Row>>;
}

struct JsonRows {
    file: Arc<Path>,
    lines: Lines,
    /// Nothing has been read yet.
    fresh: bool,
}

impl Rows for JsonRows {
    fn next(&mut self) -> Result<Option<Row>> {
        let fresh = std::mem::replace(&mut self.fresh, false);
        let Some(line) = self.lines.next()? else {
            // The sinks publish no file without rows.
            return Ok(fresh.then(|| Row::damaged(&self.file, b"", "the file is empty")));
        };
        let why = match line.fault {
            Some(fault) => fault,
            None => match serde_json::from_slice(line.bytes) {
                Ok(event) => return Ok(Some(Row::Event(event))),
                Err(error) => format!("line {} is no event: {error}", line.number),
            },
        };
        Ok(Some(Row::damaged(&self.file, line.bytes, why)))
    }
}

fn open(stored: &Stored, longest: usize, read: Arc<AtomicU64>) -> Result<Box<dyn Rows>> {
    let file: Arc<Path> = stored.path.as_path().into();
    Ok(match stored.format {
        Format::Jsonl => {
            let lines = Lines::open(&file, longest, read)?;
            Box::new(JsonRows {
                file,
                lines,
                fresh: true,
            })
        }
        Format::Csv => Box::new(CsvRows::open(file, stored.event_type, read)?),
        #[cfg(feature = "parquet")]
        Format::Parquet => Box::new(super::parquet::ParquetRows::open(file, stored.event_type, read)?),
        #[cfg(not(feature = "parquet"))]
        Format::Parquet => return Err(super::no_parquet()),
    })
}

/// Files that are read one after the other.
pub(super) struct Chain {
    files: VecDeque<Stored>,
    open: Option<Box<dyn Rows>>,
    longest: usize,
    read: Arc<AtomicU64>,
}

impl Chain {
    pub(super) fn new(files: VecDeque<Stored>, longest: usize, read: Arc<AtomicU64>) -> Self {
        Self {
            files,
            open: None,
            longest,
            read,
        }
    }

    /// The next row of any of the files. A file whose beginning makes no sense is a damaged row; one that the system does
    /// not open (too many files are open, it has vanished) is an error, since its rows are not to be passed over.
    pub(super) fn next(&mut self) -> Result<Option<Row>> {
        loop {
            if let Some(rows) = &mut self.open {
                match rows.next()? {
                    Some(row) => return Ok(Some(row)),
                    None => self.open = None,
                }
            }
            let Some(file) = self.files.pop_front() else {
                return Ok(None);
            };
            match open(&file, self.longest, Arc::clone(&self.read)) {
                Ok(rows) => self.open = Some(rows),
                Err(error) if error.kind() == ErrorKind::Io => return Err(error),
                Err(error) => return Ok(Some(Row::damaged(&file.path, b"", error))),
            }
        }
    }
}
