//! Where a lane keeps its things below the root, and who may touch them.

use std::fs::{self, File, TryLockError};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use qicore_data::{Error, ErrorKind, Lane, Result};

use super::disk::{Disk, failed};
use super::manifest::{Manifest, Published};

/// Folder of everything that is not a published file. Readers pass over names that start with `_`.
const PRIVATE: &str = "_qicore";

/// A lane's corner of the root folder.
#[derive(Debug)]
pub(crate) struct Place {
    root: PathBuf,
    pub(crate) staging: PathBuf,
    pub(crate) manifest: PathBuf,
    lock: PathBuf,
}

/// Held as long as this process may touch the lane's files. The system lets go of it when the process ends.
#[derive(Debug)]
pub(crate) struct Lock(#[expect(dead_code, reason = "closing the file unlocks it")] File);

/// The folder of a format's manifests.
pub(crate) fn manifests(root: &Path, format: &str) -> PathBuf {
    root.join(PRIVATE).join(format).join("lanes")
}

impl Place {
    /// The format is part of the path, so that several sinks can share a root.
    pub(crate) fn new(root: &Path, format: &str, lane: &Lane) -> Self {
        let name = lane.file_name();
        let manifests = manifests(root, format);
        Self {
            root: root.to_owned(),
            staging: root.join(PRIVATE).join(format).join("staging").join(&name),
            manifest: manifests.join(format!("{name}.json")),
            lock: manifests.join(format!("{name}.lock")),
        }
    }

    pub(crate) fn lock(&self, disk: &Disk, lane: &Lane) -> Result<Lock> {
        disk.create_dir(self.lock.parent().unwrap_or(&self.root))?;
        disk.create_dir(&self.staging)?;
        let file = disk.append_at(&self.lock, 0)?;
        match file.try_lock() {
            Ok(()) => Ok(Lock(file)),
            Err(TryLockError::WouldBlock) => Err(taken(lane).with("path", self.lock.display())),
            Err(TryLockError::Error(error)) => Err(failed("files.lock", &self.lock, error)),
        }
    }

    /// Brings the files of a manifest to their final names, as far as they are not there yet.
    pub(crate) fn roll_forward(&self, disk: &Disk, files: &[Published]) -> Result<()> {
        let mut folders: Vec<PathBuf> = Vec::new();
        for file in files {
            let (staged, target) = (self.staging.join(&file.staged), self.root.join(&file.file));
            let folder = target.parent().unwrap_or(&self.root).to_owned();
            if !folders.contains(&folder) {
                disk.create_dir(&folder)?;
                folders.push(folder);
            }
            // A staged file disappears only by its renaming: if it is gone, that was done.
            if !staged.exists() {
                continue;
            }
            if !target.exists() {
                disk.rename(&staged, &target)?;
            } else if same(&staged, &target).map_err(|error| failed("files.compare", &target, error))? {
                disk.remove(&staged)?;
            } else {
                return Err(occupied(&target));
            }
        }
        // Also after renames of an earlier call: that may have failed before it came here.
        folders.iter().try_for_each(|folder| disk.sync_dir(folder))?;
        disk.sync_dir(&self.staging)
    }

    /// Removes what an interrupted run left in the staging folder.
    pub(crate) fn clear_staging(&self, disk: &Disk) -> Result<()> {
        let list = || -> io::Result<Vec<PathBuf>> {
            fs::read_dir(&self.staging)?
                .map(|entry| entry.map(|entry| entry.path()))
                .collect()
        };
        let left = list().map_err(|error| failed("files.clear", &self.staging, error))?;
        left.iter().try_for_each(|path| disk.remove(path))
    }

    /// The manifest, with what it publishes in place and nothing else staged.
    pub(crate) fn recover(&self, disk: &Disk, lane: &Lane) -> Result<Manifest> {
        let manifest = Manifest::read(&self.manifest, lane)?;
        self.roll_forward(disk, &manifest.files)?;
        self.clear_staging(disk)?;
        Ok(manifest)
    }
}

fn taken(lane: &Lane) -> Error {
    let message = "another process (or another sink of this one) is writing this lane";
    Error::new(ErrorKind::Unavailable, "files.lock", message)
        .with("lane", lane)
        .with("advice", "stop it, or give each pipeline a folder of its own")
}

fn occupied(target: &Path) -> Error {
    let message = "a different file has the name of a file to be published";
    Error::new(ErrorKind::Io, "files.publish", message)
        .with("path", target.display())
        .with(
            "advice",
            "move it away and restart; published files are never overwritten",
        )
}

/// Whether two files hold the same bytes.
fn same(one: &Path, other: &Path) -> io::Result<bool> {
    let (mut one, mut other) = (File::open(one)?, File::open(other)?);
    if one.metadata()?.len() != other.metadata()?.len() {
        return Ok(false);
    }
    let (mut left, mut right) = (vec![0; 64 << 10], vec![0; 64 << 10]);
    loop {
        let len = one.read(&mut left)?;
        if len == 0 {
            return Ok(true);
        }
        other.read_exact(&mut right[..len])?;
        if left[..len] != right[..len] {
            return Ok(false);
        }
    }
}
