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
    path: Arc<Path>,
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
            path: path.into(),
            reader: open(path, length, read)?,
            buffer: Vec::new(),
            number: 0,
            longest,
            ended: false,
        })
    }

    /// The next line that is not blank.
    ///
    /// # Errors
    /// If the file cannot be read: that is not the fault of what is in it.
    pub(crate) fn next(&mut self) -> Result<Option<Line<'_>>> {
        while !self.ended {
            let fault = self.read()?;
            let blank = self.buffer.iter().all(u8::is_ascii_whitespace);
            if fault.is_some() || !blank {
                return Ok(Some(Line {
                    number: self.number,
                    bytes: &self.buffer,
                    fault,
                }));
            }
        }
        Ok(None)
    }

    /// Reads one line into the buffer.
    fn read(&mut self) -> Result<Option<String>> {
        self.buffer.clear();
        self.number += 1;
        let bound = u64::try_from(self.longest).unwrap_or(u64::MAX).saturating_add(1);
        if let Err(error) = (&mut self.reader).take(bound).read_until(b'\n', &mut self.buffer) {
            return self.cut(&error).map(Some);
        }
        if self.buffer.last() == Some(&b'\n') {
            self.buffer.pop();
            return Ok(None);
        }
        if self.buffer.len() <= self.longest {
            self.ended = true;
            return Ok(None);
        }
        let length = self.buffer.len();
        self.buffer.truncate(KEPT);
        match self.reader.skip_until(b'\n') {
            Ok(rest) => Ok(Some(format!(
                "the record has {} bytes, more than the {} that max_record_bytes allows",
                length.saturating_add(rest),
                self.longest
            ))),
            Err(error) => self.cut(&error).map(Some),
        }
    }

    /// The file cannot be read any further.
    fn cut(&mut self, error: &io::Error) -> Result<String> {
        self.ended = true;
        self.buffer.truncate(KEPT);
        if let Some(error) = of_the_system(error) {
            return Err(Error::io("replay.read", &self.path, error));
        }
        Ok(format!("the file is cut or damaged at line {}: {error}", self.number))
    }
}

/// Whether a file can be read from its start whenever that is wanted. A pipe cannot, and to open one waits for a writer.
pub(crate) fn check_regular(path: &Path) -> Result<()> {
    let about = std::fs::metadata(path).map_err(|error| Error::io("replay.open", path, error))?;
    if about.is_file() {
        return Ok(());
    }
    let message = "no regular file: write a pipe's content to a file first";
    Err(Error::config("replay.open", message).with("path", path.display()))
}

/// Opens a file and sees by its first bytes whether it is compressed.
pub(crate) fn open(path: &Path, length: u64, read: Arc<AtomicU64>) -> Result<Box<dyn BufRead + Send>> {
    check_regular(path)?;
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

/// The system's error behind this one, if reading failed rather than the decoding of what was read.
pub(crate) fn of_the_system(error: &(dyn std::error::Error + 'static)) -> Option<io::Error> {
    std::iter::successors(Some(error), |error| error.source())
        .find_map(|error| error.downcast_ref::<io::Error>()?.raw_os_error())
        .map(io::Error::from_raw_os_error)
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
