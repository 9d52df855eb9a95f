//! The manifest of a lane: which files are published, together with the checkpoint up to which they hold the lane.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use qicore_data::{Checkpoint, Error, ErrorKind, Lane, Result};
use serde::{Deserialize, Serialize};

use super::disk::{Disk, failed};

/// Bumped when older programs can no longer read the manifest.
const VERSION: u32 = 1;

/// What a lane has published. Replaced as a whole: that is the moment from which the files count.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Manifest {
    version: u32,
    pub(crate) lane: Lane,
    /// How often the lane has published; part of the names of its files.
    pub(crate) sequence: u64,
    pub(crate) checkpoint: Option<Checkpoint>,
    /// The files of this publication.
    pub(crate) files: Vec<Published>,
}

/// A file of a publication.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Published {
    /// Its name in the lane's staging folder.
    pub(crate) staged: String,
    /// Its final path, from the root.
    pub(crate) file: PathBuf,
    pub(crate) rows: u64,
    pub(crate) bytes: u64,
}

impl Manifest {
    pub(crate) fn new(lane: Lane) -> Self {
        Self {
            version: VERSION,
            lane,
            sequence: 0,
            checkpoint: None,
            files: Vec::new(),
        }
    }

    /// The lane's manifest; a fresh one where it has published nothing yet.
    pub(crate) fn read(path: &Path, lane: &Lane) -> Result<Self> {
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::new(lane.clone())),
            Err(error) => return Err(failed("files.manifest", path, error)),
        };
        let damaged = |message: String| {
            Error::new(ErrorKind::Checkpoint, "files.manifest", message)
                .with("path", path.display())
                .with("advice", "restore it from a backup, or start anew in an empty folder")
        };
        let manifest: Self = serde_json::from_str(&text)
            .map_err(|error| damaged("the lane's manifest is damaged".to_owned()).with_source(error))?;
        if manifest.version != VERSION {
            let message = format!(
                "the manifest has version {}, this program reads {VERSION}",
                manifest.version
            );
            return Err(damaged(message));
        }
        if manifest.lane != *lane {
            return Err(damaged(format!(
                "the manifest is of lane {:?}, not {:?}",
                manifest.lane.as_str(),
                lane.as_str()
            )));
        }
        Ok(manifest)
    }

    pub(crate) fn write(&self, disk: &Disk, path: &Path) -> Result<()> {
        let text = serde_json::to_vec(self)
            .map_err(|error| Error::new(ErrorKind::Internal, "files.manifest", "cannot write it").with_source(error))?;
        disk.replace(path, &text)
    }
}
