//! The file operations of the file sinks, with errors that say where and what to do.

use std::fs::{self, File};
use std::io::{self, ErrorKind as Io, Write};
use std::path::Path;

use qicore_data::{Error, Result};

/// Tests kill sinks, but do not cut the power: what is written is there, and a sync would only take its milliseconds.
const SYNCS: bool = !cfg!(all(test, feature = "jsonl"));

/// Every change on disk goes through here, so that tests can stop a sink between any two of them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Disk {
    #[cfg(all(test, feature = "jsonl"))]
    pub(crate) faults: super::faults::Faults,
}

impl Disk {
    #[cfg(all(test, feature = "jsonl"))]
    fn step(&self) -> io::Result<()> {
        self.faults.step()
    }

    #[cfg(not(all(test, feature = "jsonl")))]
    fn step(&self) -> io::Result<()> {
        Ok(())
    }

    /// Makes a directory and those above it, durably.
    pub(crate) fn create_dir(&self, path: &Path) -> Result<()> {
        if path.as_os_str().is_empty() || path.is_dir() {
            return Ok(());
        }
        let parent = path.parent().unwrap_or(Path::new(""));
        self.create_dir(parent)?;
        match self.step().and_then(|()| fs::create_dir(path)) {
            Err(error) if error.kind() == Io::AlreadyExists && !path.is_dir() => {
                Err(failed("files.create_dir", path, Io::NotADirectory.into()))
            }
            Err(error) if error.kind() != Io::AlreadyExists => Err(failed("files.create_dir", path, error)),
            _ => self.sync_dir(parent),
        }
    }

    /// Opens a file for appending after its first `len` bytes; what lies beyond them is cut off.
    pub(crate) fn append_at(&self, path: &Path, len: u64) -> Result<File> {
        let open = || {
            self.step()?;
            let file = File::options().append(true).create(true).open(path)?;
            file.set_len(len)?;
            Ok(file)
        };
        open().map_err(|error| failed("files.open", path, error))
    }

    pub(crate) fn write(&self, file: &mut File, path: &Path, bytes: &[u8]) -> Result<()> {
        let mut write = || {
            if let Err(error) = self.step() {
                // As a real failure may leave it: with half of the bytes.
                file.write_all(&bytes[..bytes.len() / 2])?;
                return Err(error);
            }
            file.write_all(bytes)
        };
        write().map_err(|error| failed("files.write", path, error))
    }

    pub(crate) fn sync(&self, file: &File, path: &Path) -> Result<()> {
        self.step()
            .and_then(|()| if SYNCS { file.sync_all() } else { Ok(()) })
            .map_err(|error| failed("files.sync", path, error))
    }

    /// Makes the names in a directory durable.
    pub(crate) fn sync_dir(&self, path: &Path) -> Result<()> {
        let path = if path.as_os_str().is_empty() {
            Path::new(".")
        } else {
            path
        };
        let sync = || {
            self.step()?;
            // Elsewhere a directory cannot be opened as a file, and a rename is durable with the journal.
            if cfg!(unix) {
                File::open(path)?.sync_all()
            } else {
                Ok(())
            }
        };
        sync().map_err(|error| failed("files.sync", path, error))
    }

    pub(crate) fn rename(&self, from: &Path, to: &Path) -> Result<()> {
        self.step()
            .and_then(|()| fs::rename(from, to))
            .map_err(|error| failed("files.rename", to, error))
    }

    pub(crate) fn remove(&self, path: &Path) -> Result<()> {
        match self.step().and_then(|()| fs::remove_file(path)) {
            Err(error) if error.kind() != Io::NotFound => Err(failed("files.remove", path, error)),
            _ => Ok(()),
        }
    }

    /// Replaces a file as a whole: after a crash it holds either the old bytes or the new ones.
    pub(crate) fn replace(&self, path: &Path, bytes: &[u8]) -> Result<()> {
        let fresh = path.with_extension("new");
        let mut file = self.append_at(&fresh, 0)?;
        self.write(&mut file, &fresh, bytes)?;
        self.sync(&file, &fresh)?;
        drop(file);
        self.rename(&fresh, path)?;
        self.sync_dir(path.parent().unwrap_or(Path::new("")))
    }
}

/// A file operation's error, with what its user can do about it.
pub(crate) fn failed(operation: &'static str, path: &Path, error: io::Error) -> Error {
    let advice = match error.kind() {
        Io::StorageFull | Io::QuotaExceeded => "free some space; nothing is lost, the write is tried again",
        Io::PermissionDenied | Io::ReadOnlyFilesystem => "make the folder writable for this user, or choose another",
        Io::NotADirectory => "a file is where a folder has to be: remove it, or choose another folder",
        Io::NotFound => "the file or folder was removed under the sink: restart to resume from what is published",
        _ if error.raw_os_error() == Some(TOO_MANY_OPEN) => "lower max_open_files or raise the limit (ulimit -n)",
        _ => return Error::io(operation, path, error),
    };
    Error::io(operation, path, error).with("advice", advice)
}

/// `EMFILE` on Linux, macOS and the BSDs.
const TOO_MANY_OPEN: i32 = 24;
