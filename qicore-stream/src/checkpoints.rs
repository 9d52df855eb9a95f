//! Where checkpoints are kept for sinks that do not keep them with their rows.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use qicore_data::{Checkpoint, Error, ErrorKind, Lane, Result};

/// Keeps the last committed checkpoint of each lane.
#[async_trait]
pub trait CheckpointStore: Send + Sync {
    /// The checkpoint of a lane, if there is one.
    async fn load(&self, lane: &Lane) -> Result<Option<Checkpoint>>;

    /// Replaces a lane's checkpoint, whole or not at all.
    async fn save(&self, checkpoint: &Checkpoint) -> Result<()>;
}

/// A folder with one small JSON file a lane, each replaced atomically.
#[derive(Debug, Clone)]
pub struct FileCheckpoints {
    folder: PathBuf,
}

impl FileCheckpoints {
    /// The folder belongs to one pipeline alone; it is made when the first checkpoint is saved.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into() }
    }

    fn path(&self, lane: &Lane) -> PathBuf {
        self.folder.join(lane.file_name()).with_added_extension("json")
    }
}

fn replace(folder: &Path, path: &Path, text: &str) -> std::io::Result<()> {
    fs::create_dir_all(folder)?;
    let fresh = path.with_added_extension("new");
    let mut file = File::create(&fresh)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&fresh, path)?;
    File::open(folder)?.sync_all()
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|error| Err(Error::new(ErrorKind::Internal, "checkpoints", error.to_string())))
}

#[async_trait]
impl CheckpointStore for FileCheckpoints {
    async fn load(&self, lane: &Lane) -> Result<Option<Checkpoint>> {
        let path = self.path(lane);
        blocking(move || match fs::read_to_string(&path) {
            Ok(text) => Checkpoint::from_json(&text)
                .map(Some)
                .map_err(|error| error.with("path", path.display())),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Error::io("checkpoints.load", &path, error)),
        })
        .await
    }

    async fn save(&self, checkpoint: &Checkpoint) -> Result<()> {
        let (folder, path, text) = (self.folder.clone(), self.path(&checkpoint.lane), checkpoint.to_json());
        blocking(move || replace(&folder, &path, &text).map_err(|error| Error::io("checkpoints.save", &path, error)))
            .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use qicore_data::Position;

    #[tokio::test]
    async fn the_last_one_counts() {
        let folder = tempfile::tempdir().unwrap();
        let store = FileCheckpoints::new(folder.path().join("cp"));
        let lane = Lane::new("topic/3");
        assert_eq!(store.load(&lane).await.unwrap(), None);
        for offset in [3, 9] {
            store
                .save(&Checkpoint::new(lane.clone(), Position::at(offset)))
                .await
                .unwrap();
        }
        let again = FileCheckpoints::new(folder.path().join("cp"));
        assert_eq!(again.load(&lane).await.unwrap().unwrap().position.offset, 9);
        assert_eq!(again.load(&Lane::new("topic:3")).await.unwrap(), None);
    }

    #[tokio::test]
    async fn damage_and_missing_rights_are_told() {
        let folder = tempfile::tempdir().unwrap();
        let store = FileCheckpoints::new(folder.path());
        let lane = Lane::new("l");
        fs::write(store.path(&lane), "{\"lane\":").unwrap();
        let error = store.load(&lane).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Checkpoint);
        assert!(error.to_string().contains("path="), "{error}");
        let error = FileCheckpoints::new("/proc/no")
            .save(&Checkpoint::new(lane, Position::at(1)))
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Io);
    }
}
