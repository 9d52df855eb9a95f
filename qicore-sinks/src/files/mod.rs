//! What the file sinks share: partitions, staging, and publication together with a checkpoint.
//!
//! # Layout
//! ```text
//! out/type=trade/exchange=kraken/date=2026-08-09/<lane>-0000000007.jsonl     published, never touched again
//! out/_qicore/jsonl/lanes/<lane>.json                                       the lane's manifest
//! out/_qicore/jsonl/lanes/<lane>.lock                                       held while something is staged
//! out/_qicore/jsonl/staging/<lane>/0000000008-000000.part                   not yet published
//! ```
//! Each lane writes files of its own, one for each event type, venue and UTC date of the event's time. Within a file
//! rows keep the order of the lane, and a lane's files sort by their names. Readers pass over `_qicore`.
//!
//! # Effectively once
//! Rows are written to staged files. A publication ends and syncs them, replaces the lane's manifest, which names
//! them and holds the checkpoint up to which they cover the lane, and then renames them to their final names. The
//! replaced manifest is the moment from which the rows count: a process killed before it has written nothing, one killed
//! after it has its renames done at the next start. So at every instant the published files and the stored checkpoint
//! hold the same events, without a half file or a row twice.
//!
//! A publication is due once a file has its size or its age, and happens at the next delivery that carries a
//! checkpoint.

mod config;
mod disk;
#[cfg(all(test, feature = "jsonl"))]
mod faults;
mod format;
mod manifest;
mod part;
mod partition;
mod place;
#[cfg(all(test, feature = "jsonl"))]
mod tests;
mod writer;

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use qicore_data::{
    BatchPolicy, Checkpoint, Delivery, Error, ErrorKind, EventType, Lane, Receipt, Result, Sink, SinkCapabilities,
    WriterId,
};
use tokio::sync::Mutex as AsyncMutex;
use tokio::task::{JoinError, spawn_blocking};

pub use config::FilesConfig;
pub(crate) use format::defect;
pub use format::{Encoder, Format, Row};

use disk::Disk;
use writer::LaneWriter;

/// A sink that writes files of one format. See the [module](self) for their layout and guarantees.
pub struct FileSink<F: Format> {
    shared: Arc<Shared<F>>,
    lanes: Mutex<HashMap<Lane, Slot<F>>>,
}

/// A lane's writer, once it is taken up. Locked for the length of a call.
struct Slot<F: Format> {
    writer: Arc<AsyncMutex<Option<LaneWriter<F>>>>,
    /// A call has begun, and its caller has not yet heard how it ended.
    calling: Arc<AtomicBool>,
}

impl<F: Format> Default for Slot<F> {
    fn default() -> Self {
        Self {
            writer: Arc::default(),
            calling: Arc::default(),
        }
    }
}

impl<F: Format> Clone for Slot<F> {
    fn clone(&self) -> Self {
        Self {
            writer: Arc::clone(&self.writer),
            calling: Arc::clone(&self.calling),
        }
    }
}

/// What all lanes of a sink share.
#[derive(Debug, Clone)]
pub(crate) struct Shared<F> {
    pub(crate) config: FilesConfig,
    pub(crate) format: F,
    pub(crate) disk: Disk,
}

impl<F> Shared<F> {
    fn wants(&self, event_type: EventType) -> bool {
        self.config.only.is_empty() || self.config.only.contains(&event_type)
    }
}

impl<F: Format> fmt::Debug for FileSink<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileSink")
            .field("config", &self.shared.config)
            .field("format", &self.shared.format)
            .finish_non_exhaustive()
    }
}

impl<F: Format> FileSink<F> {
    pub(crate) fn with_format(config: FilesConfig, format: F) -> Self {
        Self {
            shared: Arc::new(Shared {
                config,
                format,
                disk: Disk::default(),
            }),
            lanes: Mutex::default(),
        }
    }

    /// Only events of these types are written; others are passed over.
    #[must_use]
    pub fn only(self, types: impl IntoIterator<Item = EventType>) -> Self {
        self.with(|shared| shared.config.only = types.into_iter().collect())
    }

    /// Sets the size from which a file is published. Default 128 MiB.
    #[must_use]
    pub fn rotate_bytes(self, bytes: u64) -> Self {
        self.with(|shared| shared.config.rotate_bytes = bytes)
    }

    /// Sets how long after their first row files are published. Default 60 s.
    #[must_use]
    pub fn rotate_after(self, age: Duration) -> Self {
        self.with(|shared| shared.config.rotate_after = age)
    }

    /// Sets how many files a lane holds open. Default 64.
    #[must_use]
    pub fn max_open_files(self, files: usize) -> Self {
        self.with(|shared| shared.config.max_open_files = files)
    }

    #[cfg(all(test, feature = "parquet"))]
    pub(crate) fn format(&self) -> &F {
        &self.shared.format
    }

    /// Changes the settings, before a lane is taken up.
    pub(crate) fn with(mut self, change: impl FnOnce(&mut Shared<F>)) -> Self {
        change(Arc::make_mut(&mut self.shared));
        self
    }
}

impl<F: Format> FileSink<F> {
    fn slot(&self, lane: &Lane) -> Slot<F> {
        let mut lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        lanes.entry(lane.clone()).or_default().clone()
    }

    /// Lets go of a lane that is done: a backfill has thousands, each with its last checkpoint in memory.
    fn forget(&self, lane: &Lane, done: bool) {
        if done {
            self.lanes.lock().unwrap_or_else(PoisonError::into_inner).remove(lane);
        }
    }

    /// Runs `work` on the lane's writer, on a thread that may block. The writer is taken up where it is not yet, and
    /// anew where `anew` says so.
    async fn on_lane<T: Send + 'static>(
        &self,
        lane: &Lane,
        anew: bool,
        work: impl FnOnce(&mut LaneWriter<F>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let slot = self.slot(lane);
        let mut held = Arc::clone(&slot.writer).lock_owned().await;
        // A caller that went away before the answer cannot know what was written: its lane must not go on.
        let unheard = slot.calling.swap(true, Ordering::Relaxed);
        let (shared, lane) = (Arc::clone(&self.shared), lane.clone());
        let call = move || {
            if anew {
                *held = None;
            }
            let writer = match &mut *held {
                Some(writer) => writer,
                none => none.insert(LaneWriter::open(shared, lane)?),
            };
            writer.broken |= unheard && !anew;
            work(writer)
        };
        let result = spawn_blocking(call).await.map_err(panicked)?;
        slot.calling.store(false, Ordering::Relaxed);
        result
    }
}

fn panicked(error: JoinError) -> Error {
    let message = "the writer of files panicked, or the runtime is shutting down";
    Error::new(ErrorKind::Internal, "files.write", message).with_source(error)
}

#[async_trait]
impl<F: Format> Sink for FileSink<F> {
    fn name(&self) -> &str {
        F::NAME
    }

    fn capabilities(&self) -> SinkCapabilities {
        let batch = BatchPolicy::new(4096, 8 << 20, Duration::from_millis(200));
        SinkCapabilities::default()
            .stores_checkpoints()
            .batch(batch)
            .flush_after(self.shared.config.rotate_after)
    }

    async fn open(&self, _writer: &WriterId) -> Result<()> {
        let shared = Arc::clone(&self.shared);
        let config = &shared.config;
        config.check().map_err(|message| Error::config("files.open", message))?;
        let prepare = move || {
            let folder = place::manifests(&shared.config.path, F::NAME);
            shared.disk.create_dir(&folder)?;
            // Finds out now that the folder cannot be written, rather than with the first rows.
            shared.disk.append_at(&folder.join(".writable"), 0).map(drop)
        };
        spawn_blocking(prepare).await.map_err(panicked)?
    }

    async fn checkpoint(&self, lane: &Lane) -> Result<Option<Checkpoint>> {
        self.on_lane(lane, true, |writer| Ok(writer.stored().cloned())).await
    }

    async fn write(&self, delivery: &Delivery) -> Result<Receipt> {
        let held = delivery.clone();
        let work = move |writer: &mut LaneWriter<F>| Ok((writer.write(&held)?, writer.is_done()));
        let (receipt, done) = self.on_lane(&delivery.lane, false, work).await?;
        self.forget(&delivery.lane, done);
        Ok(receipt)
    }

    async fn flush(&self, lane: &Lane) -> Result<()> {
        let work = |writer: &mut LaneWriter<F>| writer.flush().map(|()| writer.is_done());
        let done = self.on_lane(lane, false, work).await?;
        self.forget(lane, done);
        Ok(())
    }

    /// # Errors
    /// [`Abandoned`](ErrorKind::Abandoned) where rows are staged that no flush has published. They are not in the
    /// published files; a restart reads them again from the stored checkpoint.
    async fn close(&self) -> Result<()> {
        let lanes = std::mem::take(&mut *self.lanes.lock().unwrap_or_else(PoisonError::into_inner));
        let mut lost = Vec::new();
        for (lane, slot) in lanes {
            let rows = slot.writer.lock().await.take().map_or(0, |writer| writer.unpublished());
            if rows > 0 {
                lost.push(format!("{rows} of lane {lane}"));
            }
        }
        if lost.is_empty() {
            return Ok(());
        }
        lost.sort_unstable();
        let message = format!("closed with rows that were not published: {}", lost.join(", "));
        Err(Error::new(ErrorKind::Abandoned, "files.close", message)
            .with("path", self.shared.config.path.display())
            .with(
                "advice",
                "restart: the lanes resume from their last published checkpoints",
            ))
    }
}
