//! A file that is being written, in the staging folder.

use std::fs::File;
use std::path::{Path, PathBuf};

use qicore_data::{RejectedRow, Result, RetryAdvice};

use super::disk::Disk;
use super::format::{Encoder, Row};
use super::manifest::Published;

/// Buffers to reuse: a fresh one costs a page fault for every 4 KiB.
#[derive(Debug, Default)]
pub(crate) struct Spare(Vec<Vec<u8>>);

impl Spare {
    /// More buffers than this, or larger ones, are given back to the system.
    const MOST: usize = 8;
    const LARGEST: usize = 4 << 20;

    fn take(&mut self) -> Vec<u8> {
        self.0.pop().unwrap_or_default()
    }

    fn give(&mut self, mut buffer: Vec<u8>) {
        buffer.clear();
        if self.0.len() < Self::MOST && buffer.capacity() <= Self::LARGEST {
            self.0.push(buffer);
        }
    }
}

pub(crate) struct Part<E> {
    encoder: E,
    name: String,
    path: PathBuf,
    file: Option<File>,
    /// Where the file goes when it is published, from the root.
    target: PathBuf,
    /// Encoded, but not known to be in the file.
    pending: Vec<u8>,
    /// Bytes known to be in the file. What lies beyond them is left of a failed write.
    written: u64,
    rows: u64,
    finished: bool,
    lost: bool,
}

impl<E: Encoder> Part<E> {
    pub(crate) fn new(encoder: E, staging: &Path, name: String, target: PathBuf) -> Self {
        Self {
            encoder,
            path: staging.join(&name),
            name,
            file: None,
            target,
            pending: Vec::new(),
            written: 0,
            rows: 0,
            finished: false,
            lost: false,
        }
    }

    /// Encodes rows.
    pub(crate) fn encode(
        &mut self,
        rows: &[Row<'_>],
        rejected: &mut Vec<RejectedRow>,
        spare: &mut Spare,
    ) -> Result<()> {
        if self.pending.capacity() == 0 {
            self.pending = spare.take();
        }
        let before = rejected.len();
        self.encoder.append(rows, &mut self.pending, rejected)?;
        self.rows += (rows.len() - (rejected.len() - before)) as u64;
        Ok(())
    }

    /// Writes what is pending. After an error nothing is lost: the next call writes it again, at the same place.
    pub(crate) fn write(&mut self, disk: &Disk, spare: &mut Spare) -> Result<()> {
        if !self.pending.is_empty() {
            // Until the write has succeeded the file counts as closed, so that a retry cuts off what failed.
            let mut file = match self.file.take() {
                Some(file) => file,
                None => disk.append_at(&self.path, self.written)?,
            };
            disk.write(&mut file, &self.path, &self.pending)?;
            self.written += self.pending.len() as u64;
            self.file = Some(file);
        }
        if self.pending.capacity() > 0 {
            spare.give(std::mem::take(&mut self.pending));
        }
        Ok(())
    }

    /// Ends the file and makes it durable. May be called again after an error.
    pub(crate) fn finish(&mut self, disk: &Disk, spare: &mut Spare) -> Result<()> {
        if !self.finished {
            self.encoder.finish(&mut self.pending)?;
            self.finished = true;
        }
        self.write(disk, spare)?;
        let file = match self.file.take() {
            Some(file) => file,
            None => disk.append_at(&self.path, self.written)?,
        };
        // After a failed sync the system may have dropped the bytes and say that all is well the next time.
        self.lost = true;
        disk.sync(&file, &self.path)
            .map_err(|error| error.with_retry(RetryAdvice::Never))?;
        self.lost = false;
        Ok(())
    }

    /// Whether bytes that were written may not be there.
    pub(crate) fn is_lost(&self) -> bool {
        self.lost
    }

    /// Closes the handle; the next write opens it again.
    pub(crate) fn park(&mut self) {
        self.file = None;
    }

    /// Bytes of the file so far, with those still in memory.
    pub(crate) fn bytes(&self) -> u64 {
        self.written + (self.pending.len() + self.encoder.held()) as u64
    }

    pub(crate) fn rows(&self) -> u64 {
        self.rows
    }

    /// The file's line in the manifest, once it is finished; nothing where every row was rejected.
    pub(crate) fn published(&self) -> Option<Published> {
        (self.rows > 0).then(|| Published {
            staged: self.name.clone(),
            file: self.target.clone(),
            rows: self.rows,
            bytes: self.written,
        })
    }
}
