//! The rows of stored files, one file after the other.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use bytes::Bytes;
use qicore_data::{Event, Result};

use super::csv::CsvRows;
use super::{Format, Stored};
use crate::replay::lines::{KEPT, Lines};

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

/// The rows of one file.
pub(super) trait Rows {
    fn next(&mut self) -> Option<Row>;
}

struct JsonRows {
    file: Arc<Path>,
    lines: Lines,
}

impl Rows for JsonRows {
    fn next(&mut self) -> Option<Row> {
        let line = self.lines.next()?;
        let why = match line.fault {
            Some(fault) => fault,
            None => match serde_json::from_slice(line.bytes) {
                Ok(event) => return Some(Row::Event(event)),
                Err(error) => format!("line {} is no event: {error}", line.number),
            },
        };
        Some(Row::damaged(&self.file, line.bytes, why))
    }
}

fn open(stored: &Stored, longest: usize, read: Arc<AtomicU64>) -> Result<Box<dyn Rows>> {
    let file: Arc<Path> = stored.path.as_path().into();
    Ok(match stored.format {
        Format::Jsonl => {
            let lines = Lines::open(&file, longest, read)?;
            Box::new(JsonRows { file, lines })
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

    /// The next row of any of the files; a file that cannot be opened is a damaged row.
    pub(super) fn next(&mut self) -> Option<Row> {
        loop {
            if let Some(rows) = &mut self.open {
                match rows.next() {
                    Some(row) => return Some(row),
                    None => self.open = None,
                }
            }
            let file = self.files.pop_front()?;
            match open(&file, self.longest, Arc::clone(&self.read)) {
                Ok(rows) => self.open = Some(rows),
                Err(error) => return Some(Row::damaged(&file.path, b"", error)),
            }
        }
    }
}
