use std::path::PathBuf;
use std::time::Duration;

use qicore_data::{EventType, settings};
use serde::Deserialize;

/// What all file sinks have in common: the configuration of [`Jsonl`](crate::Jsonl) and [`Csv`](crate::Csv), and part
/// of every other's.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct FilesConfig {
    /// The root folder; made where it does not exist.
    pub path: PathBuf,
    /// The event types to write; empty for all. Events of other types are passed over: neither written nor rejected.
    pub only: Vec<EventType>,
    /// Files are published once one of them has this size.
    pub rotate_bytes: u64,
    /// Files are published this long after their first row. What a crash makes the source read again is no more.
    #[serde(deserialize_with = "settings::duration::deserialize")]
    pub rotate_after: Duration,
    /// A lane holds this many files open, and publishes early once it writes more partitions than that.
    pub max_open_files: usize,
}

impl Default for FilesConfig {
    fn default() -> Self {
        Self {
            path: PathBuf::new(),
            only: Vec::new(),
            rotate_bytes: 128 << 20,
            rotate_after: Duration::from_secs(60),
            max_open_files: 64,
        }
    }
}

impl FilesConfig {
    /// The defaults, with this root folder.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            ..Self::default()
        }
    }

    pub(crate) fn check(&self) -> Result<(), &'static str> {
        match self {
            Self { path, .. } if path.as_os_str().is_empty() => Err("path is missing: the root folder of the files"),
            Self { rotate_bytes: 0, .. } => Err("rotate_bytes must be at least 1"),
            Self { max_open_files: 0, .. } => Err("max_open_files must be at least 1"),
            _ => Ok(()),
        }
    }
}
