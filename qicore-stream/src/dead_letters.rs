//! Where rows and payloads go that cannot be processed.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use qicore_data::{DeadLetter, Error, ErrorKind, Result};

/// Keeps what could not be processed. A batch counts as done only once its rejects are kept here.
#[async_trait]
pub trait DeadLetters: Send + Sync {
    /// Keeps the letters; on `Ok` they are durable. A letter may come again after a restart, with the same id.
    async fn write(&self, letters: Vec<DeadLetter>) -> Result<()>;
}

/// A file of JSON lines, one letter a line, synced to disk after each write.
#[derive(Debug, Clone)]
pub struct DeadLetterFile {
    path: PathBuf,
    file: Arc<Mutex<Option<File>>>,
}

impl DeadLetterFile {
    /// Letters go to the end of this file; it is made, with its folder, when the first one comes.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            file: Arc::default(),
        }
    }

    fn append(&self, letters: &[DeadLetter]) -> Result<()> {
        let failed = |error| Error::io("dead_letters.write", &self.path, error);
        let mut lines = Vec::new();
        for letter in letters {
            serde_json::to_writer(&mut lines, letter).map_err(|error| {
                Error::new(ErrorKind::Internal, "dead_letters.write", "a letter has no JSON form").with_source(error)
            })?;
            lines.push(b'\n');
        }
        let mut slot = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let mut file = match slot.take() {
            Some(file) => file,
            None => open(&self.path).map_err(failed)?,
        };
        // On an error the file is not put back: the next try opens it anew, which cuts a half line.
        file.write_all(&lines).and_then(|()| file.sync_data()).map_err(failed)?;
        *slot = Some(file);
        Ok(())
    }
}

/// Opens for appending, behind the last whole line: half a line is what a kill or a full disk left of a letter that
/// was never acknowledged and comes again.
fn open(path: &Path) -> std::io::Result<File> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)?;
    let mut end = file.metadata()?.len();
    let mut block = [0; 4096];
    while end > 0 {
        let from = end.saturating_sub(block.len() as u64);
        let block = &mut block[..(end - from) as usize];
        file.seek(SeekFrom::Start(from))?;
        file.read_exact(block)?;
        if let Some(at) = block.iter().rposition(|byte| *byte == b'\n') {
            end = from + at as u64 + 1;
            break;
        }
        end = from;
    }
    file.set_len(end)?;
    file.seek(SeekFrom::Start(end))?;
    Ok(file)
}

#[async_trait]
impl DeadLetters for DeadLetterFile {
    async fn write(&self, letters: Vec<DeadLetter>) -> Result<()> {
        let this = self.clone();
        tokio::task::spawn_blocking(move || this.append(&letters))
            .await
            .unwrap_or_else(|error| Err(Error::new(ErrorKind::Internal, "dead_letters.write", error.to_string())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use qicore_data::{Frame, Lane, Payload, Timestamp};

    fn letter(id: &str) -> DeadLetter {
        DeadLetter {
            id: id.into(),
            at: Timestamp::from_nanos(1),
            pipeline: "p".into(),
            source: "s".into(),
            stage: "decode".into(),
            reason: "decode".into(),
            error: "no".into(),
            lane: Lane::new("l"),
            offset: 1,
            payload: Payload::of_frame(&Frame::new(1, "{")),
        }
    }

    fn ids(path: &Path) -> Vec<String> {
        let text = std::fs::read_to_string(path).unwrap();
        text.lines()
            .map(|line| serde_json::from_str::<DeadLetter>(line).unwrap().id)
            .collect()
    }

    #[tokio::test]
    async fn goes_on_behind_the_last_whole_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("below/letters.jsonl");
        DeadLetterFile::new(&path)
            .write(vec![letter("1"), letter("2")])
            .await
            .unwrap();
        let half = std::fs::metadata(&path).unwrap().len() - 30;
        OpenOptions::new()
            .write(true)
            .open(&path)
            .unwrap()
            .set_len(half)
            .unwrap();
        DeadLetterFile::new(&path).write(vec![letter("3")]).await.unwrap();
        assert_eq!(ids(&path), ["1", "3"]);
    }

    #[tokio::test]
    async fn a_full_disk_is_told() {
        let error = DeadLetterFile::new("/dev/full")
            .write(vec![letter("1")])
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Io);
        assert!(error.to_string().contains("/dev/full"), "{error}");
    }
}
