//! Where rows and payloads go that cannot be processed.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use qicore_data::{DeadLetter, DeadLetters, Error, ErrorKind, Result, RetryAdvice};

/// A file of JSON lines, one letter a line, synced to disk after each write. Several pipelines may write to one file.
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
        let file = match slot.take() {
            Some(file) => file,
            None => open(&self.path).map_err(failed)?,
        };
        // Another pipeline may write to the same file: one at a time, each behind the other's last whole line. On an
        // error the file is not put back, and its lock goes with it.
        file.lock().map_err(failed)?;
        mend(&file).map_err(failed)?;
        (&file)
            .write_all(&lines)
            .and_then(|()| file.sync_data())
            .and_then(|()| file.unlock())
            .map_err(failed)?;
        *slot = Some(file);
        Ok(())
    }

    /// Finds out at the start of a run, rather than with the first letter, that the file cannot be written.
    fn check(&self) -> Result<()> {
        let failed = |error| Error::io("dead_letters.open", &self.path, error).with_retry(RetryAdvice::Never);
        match self.path.metadata() {
            Ok(about) if about.is_dir() => Err(failed(std::io::ErrorKind::IsADirectory.into())),
            Ok(_) => OpenOptions::new()
                .append(true)
                .open(&self.path)
                .map(drop)
                .map_err(failed),
            Err(_) => self
                .path
                .parent()
                .map_or(Ok(()), |folder| std::fs::create_dir_all(folder).map_err(failed)),
        }
    }
}

fn open(path: &Path) -> std::io::Result<File> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    OpenOptions::new().read(true).append(true).create(true).open(path)
}

/// Every letter begins so.
const START: &[u8] = b"{\"id\":";

/// Sees to it that the next line stands by itself. The start of a letter without an end is what a kill or a full disk
/// left of one that was never acknowledged and comes again: it is cut. Anything else is not ours, and gets its line end.
fn mend(mut file: &File) -> std::io::Result<()> {
    let length = file.metadata()?.len();
    let mut end = length;
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
    if end == length {
        return Ok(());
    }
    let mut start = vec![0; START.len().min((length - end) as usize)];
    file.seek(SeekFrom::Start(end))?;
    file.read_exact(&mut start)?;
    if START.starts_with(&start) {
        file.set_len(end)
    } else {
        file.write_all(b"\n")
    }
}

#[async_trait]
impl DeadLetters for DeadLetterFile {
    async fn open(&self) -> Result<()> {
        self.check()
    }

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
    async fn what_is_no_letter_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notes.txt");
        std::fs::write(&path, "my notes").unwrap();
        DeadLetterFile::new(&path).write(vec![letter("1")]).await.unwrap();
        assert!(
            std::fs::read_to_string(&path)
                .unwrap()
                .starts_with("my notes\n{\"id\":\"1\"")
        );
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn two_writers_share_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("letters.jsonl");
        let write = |name: &'static str| {
            let file = DeadLetterFile::new(&path);
            tokio::spawn(async move {
                for number in 0..50 {
                    file.write(vec![letter(&format!("{name}{number}"))]).await.unwrap();
                }
            })
        };
        let (one, two) = (write("a"), write("b"));
        one.await.unwrap();
        two.await.unwrap();
        assert_eq!(ids(&path).len(), 100);
    }

    #[tokio::test]
    async fn a_folder_in_its_place_is_told_at_the_start() {
        let folder = tempfile::tempdir().unwrap();
        let error = DeadLetterFile::new(folder.path()).open().await.unwrap_err();
        assert_eq!((error.kind(), error.retry()), (ErrorKind::Io, RetryAdvice::Never));
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
