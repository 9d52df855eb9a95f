//! Lines of a file, compressed or not, whatever state the file is in.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Take};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use qicore_data::{Error, Result};

/// The first bytes of a zstd frame (RFC 8878, 3.1.1).
const ZSTD_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
/// So much of a damaged record is kept.
pub(crate) const KEPT: usize = 4096;

/// A line, without its end.
pub(crate) struct Line<'a> {
    /// From 1.
    pub(crate) number: u64,
    /// The line, or its beginning where it has a fault.
    pub(crate) bytes: &'a [u8],
    /// Why this is not the whole line.
    pub(crate) fault: Option<String>,
}

/// Reads lines one after the other; a line that cannot be had as a whole comes out with its fault.
pub(crate) struct Lines {
    reader: Box<dyn BufRead + Send>,
    buffer: Vec<u8>,
    number: u64,
    longest: usize,
    ended: bool,
}

impl Lines {
    /// Opens a file, with the bytes read of it counted in `read`. Lines longer than `longest` come out as faults.
    pub(crate) fn open(path: &Path, longest: usize, read: Arc<AtomicU64>) -> Result<Self> {
        Self::open_up_to(path, u64::MAX, longest, read)
    }

    /// Opens a file and reads no more of it than its first `length` bytes.
    pub(crate) fn open_up_to(path: &Path, length: u64, longest: usize, read: Arc<AtomicU64>) -> Result<Self> {
        Ok(Self {
            reader: open(path, length, read)?,
            buffer: Vec::new(),
            number: 0,
            longest,
            ended: false,
        })
    }

    /// The next line that is not blank.
    pub(crate) fn next(&mut self) -> Option<Line<'_>> {
        while !self.ended {
            let fault = self.read();
            let blank = self.buffer.iter().all(u8::is_ascii_whitespace);
            if fault.is_some() || !blank {
                return Some(Line {
                    number: self.number,
                    bytes: &self.buffer,
                    fault,
                });
            }
        }
        None
    }

    /// Reads one line into the buffer.
    fn read(&mut self) -> Option<String> {
        self.buffer.clear();
        self.number += 1;
        let bound = u64::try_from(self.longest).unwrap_or(u64::MAX).saturating_add(1);
        if let Err(error) = (&mut self.reader).take(bound).read_until(b'\n', &mut self.buffer) {
            return Some(self.cut(&error));
        }
        if self.buffer.last() == Some(&b'\n') {
            self.buffer.pop();
            return None;
        }
        if self.buffer.len() <= self.longest {
            self.ended = true;
            return None;
        }
        let length = self.buffer.len();
        self.buffer.truncate(KEPT);
        match self.reader.skip_until(b'\n') {
            Ok(rest) => Some(format!(
                "the record has {} bytes, more than the {} that max_record_bytes allows",
                length.saturating_add(rest),
                self.longest
            )),
            Err(error) => Some(self.cut(&error)),
        }
    }

    /// The file cannot be read any further.
    fn cut(&mut self, error: &io::Error) -> String {
        self.ended = true;
        self.buffer.truncate(KEPT);
        format!("the file is cut or damaged at line {}: {error}", self.number)
    }
}

/// Opens a file and sees by its first bytes whether it is compressed.
pub(crate) fn open(path: &Path, length: u64, read: Arc<AtomicU64>) -> Result<Box<dyn BufRead + Send>> {
    let told = |error| Error::io("replay.open", path, error);
    let file = File::open(path).map_err(told)?;
    let mut plain = BufReader::with_capacity(
        1 << 16,
        Counted {
            file: file.take(length),
            read,
        },
    );
    // A short first read is no matter: a file gives what it has.
    if !plain.fill_buf().map_err(told)?.starts_with(&ZSTD_MAGIC) {
        return Ok(Box::new(plain));
    }
    let decoder = zstd::Decoder::with_buffer(plain).map_err(told)?;
    Ok(Box::new(BufReader::with_capacity(1 << 17, decoder)))
}

struct Counted {
    file: Take<File>,
    read: Arc<AtomicU64>,
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read(buffer)?;
        self.read.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}
