use std::path::PathBuf;
use std::time::Duration;

use qicore_data::{EventType, settings};
use serde::Deserialize;

use super::Parquet;
use crate::files::FilesConfig;

/// How the pages of a file are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Compression {
    /// Zstandard, level 1: the smallest files.
    #[default]
    Zstd,
    /// Snappy: a little faster, larger files.
    Snappy,
    /// Not at all.
    None,
}

/// The configuration of [`Parquet`]: what all file sinks have, and its own.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct ParquetConfig {
    /// See [`FilesConfig::path`].
    pub path: PathBuf,
    /// See [`FilesConfig::only`].
    pub only: Vec<EventType>,
    /// See [`FilesConfig::rotate_bytes`].
    pub rotate_bytes: u64,
    /// See [`FilesConfig::rotate_after`].
    #[serde(deserialize_with = "settings::duration::deserialize")]
    pub rotate_after: Duration,
    /// See [`FilesConfig::max_open_files`].
    pub max_open_files: usize,
    /// Fractional digits of the decimal columns, at most 28.
    pub scale: u8,
    /// How pages are compressed.
    pub compression: Compression,
    /// Writes decimals with Parquet's `BYTE_STREAM_SPLIT`: a quarter faster, and files a third smaller, but only
    /// readers that know the encoding for decimals (Parquet format 2.11, of 2024) can read them.
    pub split_bytes: bool,
    /// Rows of a row group. A file that is being written holds at most one in memory.
    pub row_group_rows: usize,
    /// Bytes of a row group, encoded, from which it is ended early.
    pub row_group_bytes: usize,
}

impl Default for ParquetConfig {
    fn default() -> Self {
        let files = FilesConfig::default();
        Self {
            path: files.path,
            only: files.only,
            rotate_bytes: files.rotate_bytes,
            rotate_after: files.rotate_after,
            max_open_files: files.max_open_files,
            scale: 18,
            compression: Compression::default(),
            split_bytes: false,
            row_group_rows: 256 << 10,
            row_group_bytes: 32 << 20,
        }
    }
}

impl ParquetConfig {
    /// The defaults, with this root folder.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            ..Self::default()
        }
    }

    pub(super) fn files(&self) -> FilesConfig {
        let mut files = FilesConfig::new(&self.path);
        files.only.clone_from(&self.only);
        files.rotate_bytes = self.rotate_bytes;
        files.rotate_after = self.rotate_after;
        files.max_open_files = self.max_open_files;
        files
    }

    pub(super) fn check(&self) -> Result<(), &'static str> {
        match self {
            Self { scale: 29.., .. } => Err("scale must be at most 28"),
            Self { row_group_rows: 0, .. } | Self { row_group_bytes: 0, .. } => {
                Err("row_group_rows and row_group_bytes must be at least 1")
            }
            _ => self.files().check(),
        }
    }
}

impl Parquet {
    /// Sets the fractional digits of the decimal columns, at most 28. Default 18.
    #[must_use]
    pub fn scale(self, digits: u8) -> Self {
        self.with(|shared| shared.format.scale = digits.min(28))
    }

    /// Sets how pages are compressed. Default zstd, level 1.
    #[must_use]
    pub fn compression(self, compression: Compression) -> Self {
        self.with(|shared| shared.format.compression = compression)
    }

    /// Sets whether decimals are written with `BYTE_STREAM_SPLIT`; see [`ParquetConfig::split_bytes`]. Default false.
    #[must_use]
    pub fn split_bytes(self, split: bool) -> Self {
        self.with(|shared| shared.format.split_bytes = split)
    }

    /// Sets the rows and the encoded bytes from which a row group ends. Default 262,144 rows, 32 MiB.
    #[must_use]
    pub fn row_group(self, rows: usize, bytes: usize) -> Self {
        self.with(|shared| {
            shared.format.row_group_rows = rows.max(1);
            shared.format.row_group_bytes = bytes.max(1);
        })
    }
}
