//! Replay of recorded sessions and of stored data sets.
//!
//! A **recording** is a capture of raw traffic: a JSON-lines file, zstd-compressed or not, that begins with a header.
//! Each connection in it is a lane `<name>/<connection>`, whose frames (messages received and HTTP responses) go
//! through the venue's decoder as they would live. The offset of a frame is its line in the file.
//!
//! A **data set** is what the file sinks write: JSON lines, CSV or (with the feature `parquet`) Parquet files, in
//! folders `type=…/exchange=…/date=…` or single. Each exchange is a lane `<name>/<exchange>`, whose events come in the
//! order of time over all files, as a backtest needs them: a candle at its close time, so that nothing is known before
//! it has happened. Offsets count events.
//!
//! A connection that is made again in the middle of a recording leaves a `gap` for each symbol seen on it, and the
//! decoder forgets its books and sequence numbers, as it would live.
//!
//! What cannot be read (a cut file, a malformed line, a record that is too long) becomes a frame of the lane
//! `<name>/damaged records`, whose decoder rejects it with the reason, so that it reaches the dead letters and everything else
//! goes on. A lane's position knows the data that it belongs to: resuming with other data is an error.
//!
//! ```
//! use qicore_sources::replay::{Pace, Replay};
//! let replay = Replay::recording("KRAKEN.jsonl.zst").pace(Pace::Times(10.0));
//! ```

mod config;
pub(crate) mod damaged;
mod dataset;
pub(crate) mod files;
pub(crate) mod lines;
pub(crate) mod outlet;
pub(crate) mod player;
mod reconnect;
mod record;
mod recording;
pub(crate) mod stream;

use std::fmt;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use qicore_data::{
    Batch, BatchLimit, Decoder, Error, ErrorKind, Lane, Mistakes, Progress, Result, Resume, Settings, Source,
    SourceCapabilities, StableHash,
};

pub use config::{Pace, ReplayConfig};
pub use dataset::Format;

use dataset::DataSet;
use files::Found;
use player::{Player, Start};
use recording::{Only, Recording};
use stream::Stream;

/// A source of recorded sessions and stored data sets; see the [module](self).
pub struct Replay {
    config: ReplayConfig,
    recordings: Vec<Arc<Recording>>,
    player: Player,
    /// The bytes read of each input, by each of its readers.
    read: Vec<Vec<Arc<AtomicU64>>>,
    total: u64,
}

impl fmt::Debug for Replay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Replay")
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

impl Replay {
    /// Replays recordings, files of stored events, or folders of either, at full speed.
    pub fn new<P: Into<PathBuf>>(paths: impl IntoIterator<Item = P>) -> Self {
        Self::with_config(ReplayConfig::new(paths))
    }

    /// Replays one recording at full speed.
    pub fn recording(path: impl Into<PathBuf>) -> Self {
        Self::new([path])
    }

    /// Replays as configured. Mistakes in the configuration are told by [`open`](Source::open).
    pub fn with_config(config: ReplayConfig) -> Self {
        Self {
            config,
            recordings: Vec::new(),
            player: Player::idle(),
            read: Vec::new(),
            total: 0,
        }
    }

    /// Sets how fast.
    #[must_use]
    pub fn pace(mut self, pace: Pace) -> Self {
        self.config.pace = pace;
        self
    }

    pub(crate) fn build(settings: &Settings) -> Result<Box<dyn Source>, Mistakes> {
        let config: ReplayConfig = settings.read()?;
        config.check().map_err(|error| settings.mistake(error.message()))?;
        Ok(Box::new(Self::with_config(config)))
    }

    /// A counter of bytes read, for the input that was added last.
    fn counter(&mut self) -> Arc<AtomicU64> {
        let counter = Arc::<AtomicU64>::default();
        if let Some(readers) = self.read.last_mut() {
            readers.push(Arc::clone(&counter));
        }
        counter
    }

    /// At full speed a recording has one reader.
    fn reader(&mut self, recording: &Arc<Recording>) -> Start {
        let (recording, read) = (Arc::clone(recording), self.counter());
        Box::new(move || {
            let identity = Arc::clone(&recording.identity);
            let messages = outlet::start(move |out| {
                recording.scan()?;
                recording.read(&Only::All, read, out)
            })?;
            Ok(Stream::new(messages, identity))
        })
    }

    /// By time, each connection has its own reader, since recordings hold one connection after the other.
    fn readers(&mut self, recording: &Arc<Recording>, connections: Vec<Box<str>>) -> Vec<Start> {
        let connections = connections.into_iter().map(Only::Connection);
        let mut readers: Vec<Start> = Vec::new();
        for only in connections.chain([Only::Damaged]) {
            let (recording, read) = (Arc::clone(recording), self.counter());
            readers.push(Box::new(move || {
                let identity = Arc::clone(&recording.identity);
                let messages = outlet::start(move |out| recording.read(&only, read, out))?;
                Ok(Stream::new(messages, identity))
            }));
        }
        readers
    }

    async fn recording_readers(&mut self) -> Result<Vec<Start>> {
        let mut readers = Vec::new();
        for recording in self.recordings.clone() {
            self.read.push(Vec::new());
            if self.config.pace == Pace::Full {
                readers.push(self.reader(&recording));
                continue;
            }
            let scanned = Arc::clone(&recording);
            let connections = blocking(move || scanned.scan()).await?;
            readers.extend(self.readers(&recording, connections));
        }
        Ok(readers)
    }

    fn data_set_readers(&mut self, data_sets: Vec<DataSet>) -> Vec<Start> {
        let mut readers: Vec<Start> = Vec::new();
        let groups: Vec<_> = data_sets
            .into_iter()
            .flat_map(|set| set.into_groups(&self.config))
            .collect();
        for (name, mut group) in groups {
            self.read.push(Vec::new());
            let read = self.counter();
            let identity = group.identity();
            readers.push(Box::new(move || {
                let messages = outlet::start(move |out| group.read(&name, &read, out))?;
                Ok(Stream::new(messages, identity))
            }));
        }
        readers
    }
}

#[async_trait]
impl Source for Replay {
    fn name(&self) -> &str {
        "replay"
    }

    fn capabilities(&self) -> SourceCapabilities {
        SourceCapabilities::default().replayable().finite()
    }

    async fn open(&mut self, resume: Arc<dyn Resume>) -> Result<()> {
        self.config.check()?;
        let config = self.config.clone();
        let found = blocking(move || Found::look(&config)).await?;
        self.read.clear();
        self.total = found.recordings.iter().map(|recording| recording.bytes).sum::<u64>()
            + found.data_sets.iter().map(DataSet::bytes).sum::<u64>();
        self.recordings = found.recordings.into_iter().map(Arc::new).collect();
        let mut readers = self.recording_readers().await?;
        readers.extend(self.data_set_readers(found.data_sets));
        self.player = Player::new(self.config.pace, resume, readers);
        Ok(())
    }

    async fn next_batch(&mut self, limit: BatchLimit) -> Result<Option<Batch>> {
        self.player.next(limit).await
    }

    fn decoder(&self, lane: &Lane) -> Result<Box<dyn Decoder>> {
        if damaged::is(lane) {
            return Ok(Box::new(damaged::Rejects(None)));
        }
        let of_lane = |recording: &&Arc<Recording>| {
            lane.as_str()
                .strip_prefix(&*recording.name)
                .is_some_and(|rest| rest.starts_with('/'))
        };
        // Of `a` and `a/b`, which may both begin a name, the longer is meant.
        let recording = self
            .recordings
            .iter()
            .filter(of_lane)
            .max_by_key(|recording| recording.name.len());
        let message = "the lane belongs to none of the recordings";
        let recording =
            recording.ok_or_else(|| Error::new(ErrorKind::Internal, "replay.decoder", message).with("lane", lane))?;
        recording.decoder()
    }

    /// Bytes of the files, compressed as they are. Readers are a little ahead of what has been given out.
    fn progress(&self) -> Option<Progress> {
        let of_input = |readers: &Vec<Arc<AtomicU64>>| readers.iter().map(|read| read.load(Ordering::Relaxed)).min();
        let done: u64 = self.read.iter().filter_map(of_input).sum();
        Some(Progress {
            done: done.min(self.total),
            total: Some(self.total),
            unit: "bytes",
        })
    }

    async fn close(&mut self) -> Result<()> {
        self.player = Player::idle();
        Ok(())
    }
}

/// Whether a file is a recording: whether its first line is a header.
pub(crate) fn is_recording(path: &std::path::Path) -> Result<bool> {
    let mut lines = lines::Lines::open(path, ReplayConfig::default().max_record_bytes, Arc::default())?;
    Ok(lines
        .next()?
        .is_some_and(|line| record::Header::read(line.bytes).is_some()))
}

/// Does file work off the runtime's workers.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|error| Err(Error::new(ErrorKind::Internal, "replay.open", error.to_string())))
}

/// What tells data from other data of the same name: a hash (FNV-1a) of what is particular to it.
pub(crate) fn identity<'a>(kind: &str, parts: impl IntoIterator<Item = &'a [u8]>) -> Arc<str> {
    let mut hash = StableHash::default();
    for part in parts {
        hash.write(part);
        hash.write(b"\n");
    }
    format!("{kind} {:016x}", hash.finish()).into()
}

/// The size of a file.
fn size(path: &std::path::Path) -> Result<u64> {
    Ok(fs::metadata(path)
        .map_err(|error| Error::io("replay.open", path, error))?
        .len())
}
