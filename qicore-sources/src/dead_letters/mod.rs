//! Replay of dead letters: what an earlier run could not process is tried again.
//!
//! Reads the JSON-lines files that pipelines write (one [`DeadLetter`] a line), compressed or not. Letters with an
//! event are events of the lane `dead-letters/<mark>/<stage>`. Letters with a frame are decoded again, on a lane
//! `dead-letters/<mark>/<stage>/<their lane>`, by the decoder of their venue: the one configured, else the one that the
//! letter's `source` names, else the one by which the letter's lane was recorded (`KRAKEN/KRAKEN.ws.50`). A letter
//! whose venue cannot be told, a damaged line, and a letter that fails again become dead letters again.
//!
//! The mark is a hash of the letters: an interrupted replay goes on where it stopped, while letters that have been mended
//! or added to are other letters, and are all sent. Move a file away once its letters are through.
//!
//! Offsets are line numbers, counted through all files. A letter whose `id` and payload were there before is passed
//! over: pipelines write letters again after a restart. The files are read up to the length that they have when the source is opened,
//! so that a pipeline may write its own dead letters to the file that it reads.

mod reader;

use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use qicore_data::{
    Batch, BatchLimit, DeadLetter, Decoded, Decoder, Error, Event, EventType, Frame, Lane, Mistakes, Progress, Result,
    Resume, Settings, Source, SourceCapabilities,
};
use serde::Deserialize;

use crate::replay::lines::{Lines, check_regular};
use crate::replay::player::{Player, Start};
use crate::replay::stream::Stream;
use crate::replay::{Pace, damaged, outlet};
use crate::venue::{Venue, VenueContext};
use reader::{Letters, Origin};

const NAME: &str = "dead-letters";

/// Letters are single frames of a stream: that the ones between them are not there is no gap.
struct WithoutGaps(Box<dyn Decoder>);

impl Decoder for WithoutGaps {
    fn decode(&mut self, frame: &Frame, out: &mut Vec<Event>) -> Result<Decoded> {
        let before = out.len();
        let decoded = self.0.decode(frame, out)?;
        let mut at = 0;
        out.retain(|event| {
            at += 1;
            at <= before || event.event_type() != EventType::Gap
        });
        Ok(decoded)
    }

    fn snapshot(&self) -> Result<Option<Box<str>>> {
        self.0.snapshot()
    }

    fn restore(&mut self, state: &str) -> Result<()> {
        self.0.restore(state)
    }
}

/// Goes through the lines of a file of letters, compressed or not: `each` gets the letter, or `None` where the line is
/// damaged, and the line.
///
/// # Errors
/// If the file cannot be read, and those of `each`.
pub fn scan(path: impl AsRef<Path>, mut each: impl FnMut(Option<DeadLetter>, &[u8]) -> Result<()>) -> Result<()> {
    let longest = DeadLettersConfig::default().max_record_bytes;
    let mut lines = Lines::open(path.as_ref(), longest, Arc::default())?;
    while let Some(line) = lines.next()? {
        each(serde_json::from_slice(line.bytes).ok(), line.bytes)?;
    }
    Ok(())
}

/// The stages that the letters of a file are of.
///
/// # Errors
/// If the file cannot be read.
pub fn stages(path: impl AsRef<Path>) -> Result<BTreeSet<String>> {
    let mut stages = BTreeSet::new();
    scan(path, |letter, _| {
        // A damaged line is told when the letters are read.
        stages.extend(letter.map(|letter| letter.stage));
        Ok(())
    })?;
    Ok(stages)
}

/// The configuration of [`DeadLetters`].
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct DeadLettersConfig {
    /// A file of dead letters, or a folder whose `.jsonl` and `.jsonl.zst` files are.
    pub path: PathBuf,
    /// Only letters of this stage (`decode`, `sink:timescale`).
    pub stage: Option<String>,
    /// Only letters with this reason.
    pub reason: Option<String>,
    /// The venue that decodes frames, where the letters do not tell it.
    pub venue: Option<String>,
    /// A longer line is rejected, with its first 4 KiB kept.
    pub max_record_bytes: usize,
}

impl Default for DeadLettersConfig {
    fn default() -> Self {
        Self {
            path: PathBuf::new(),
            stage: None,
            reason: None,
            venue: None,
            max_record_bytes: 64 << 20,
        }
    }
}

/// A source of dead letters; see the [module](self).
pub struct DeadLetters {
    config: DeadLettersConfig,
    player: Player,
    /// Where the frames of the lanes seen so far are from.
    origins: Arc<Mutex<reader::Origins>>,
    read: Arc<AtomicU64>,
    total: u64,
}

impl fmt::Debug for DeadLetters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeadLetters")
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

impl DeadLetters {
    /// All letters of a file, or of the files of a folder.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        let path = path.into();
        Self::with_config(DeadLettersConfig {
            path,
            ..DeadLettersConfig::default()
        })
    }

    /// Letters as configured. Mistakes in the configuration are told by [`open`](Source::open).
    pub fn with_config(config: DeadLettersConfig) -> Self {
        Self {
            config,
            player: Player::idle(),
            origins: Arc::default(),
            read: Arc::default(),
            total: 0,
        }
    }

    /// Only letters of this stage.
    #[must_use]
    pub fn stage(mut self, stage: impl Into<String>) -> Self {
        self.config.stage = Some(stage.into());
        self
    }

    /// Only letters with this reason.
    #[must_use]
    pub fn reason(mut self, reason: impl Into<String>) -> Self {
        self.config.reason = Some(reason.into());
        self
    }

    /// Frames are decoded by this venue.
    #[must_use]
    pub fn venue(mut self, venue: impl Into<String>) -> Self {
        self.config.venue = Some(venue.into());
        self
    }

    pub(crate) fn build(settings: &Settings) -> Result<Box<dyn Source>, Mistakes> {
        let config: DeadLettersConfig = settings.read()?;
        config.check().map_err(|error| settings.mistake(error.message()))?;
        Ok(Box::new(Self::with_config(config)))
    }
}

impl DeadLettersConfig {
    fn check(&self) -> Result<()> {
        if self.path.as_os_str().is_empty() {
            return Err(Error::config(
                NAME,
                "path is missing: a file of dead letters, or a folder of them",
            ));
        }
        if self.max_record_bytes == 0 {
            return Err(Error::config(NAME, "max_record_bytes must be above 0"));
        }
        self.venue
            .as_deref()
            .map_or(Ok(()), |venue| Venue::named(venue).map(|_| ()))
    }
}

/// The files of a path, in the order of their names, with their lengths.
fn files(path: &Path) -> Result<Vec<(PathBuf, u64)>> {
    let told = |error| Error::io("dead_letters.open", path, error);
    let about = fs::metadata(path).map_err(told)?;
    if !about.is_dir() {
        check_regular(path)?;
        return Ok(vec![(path.to_owned(), about.len())]);
    }
    let mut files = Vec::new();
    for entry in fs::read_dir(path).map_err(told)? {
        let entry = entry.map_err(told)?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let about = entry.metadata().map_err(told)?;
        if about.is_file() && (name.ends_with(".jsonl") || name.ends_with(".jsonl.zst")) {
            files.push((entry.path(), about.len()));
        }
    }
    if files.is_empty() {
        let error = Error::config("dead_letters.open", "the folder holds no .jsonl or .jsonl.zst file");
        return Err(error.with("path", path.display()));
    }
    files.sort();
    Ok(files)
}

#[async_trait]
impl Source for DeadLetters {
    fn name(&self) -> &str {
        NAME
    }

    fn capabilities(&self) -> SourceCapabilities {
        SourceCapabilities::default().replayable().finite()
    }

    async fn open(&mut self, resume: Arc<dyn Resume>) -> Result<()> {
        self.config.check()?;
        let files = files(&self.config.path)?;
        self.total = files.iter().map(|(_, length)| length).sum();
        self.read = Arc::default();
        self.origins = Arc::default();
        let letters = Letters::new(&self.config, files, &self.read, &self.origins)?;
        let start: Start = Box::new(move || {
            let identity = letters.identity();
            Ok(Stream::new(outlet::start(move |out| letters.read(out))?, identity))
        });
        self.player = Player::new(Pace::Full, resume, [start]);
        Ok(())
    }

    async fn next_batch(&mut self, limit: BatchLimit) -> Result<Option<Batch>> {
        self.player.next(limit).await
    }

    fn decoder(&self, lane: &Lane) -> Result<Box<dyn Decoder>> {
        let origins = self.origins.lock().unwrap_or_else(PoisonError::into_inner);
        match origins.get(lane) {
            #[cfg(feature = "kafka")]
            Some(Origin::Messages) => Ok(crate::kafka::messages(lane)),
            Some(Origin::Venue {
                venue,
                exchange,
                symbols,
            }) => {
                let named = VenueContext::new(exchange, venue.name);
                let mut context = named.map_err(|error| Error::config(NAME, error.to_string()))?;
                context.symbols = Arc::clone(symbols);
                Ok(Box::new(WithoutGaps(venue.decoder(&context)?)))
            }
            None if damaged::is(lane) => Ok(Box::new(damaged::Rejects(None))),
            None => Ok(Box::new(damaged::Rejects(Some(
                "the letter does not tell which venue decodes it: set venue",
            )))),
        }
    }

    fn progress(&self) -> Option<Progress> {
        let done = self.read.load(Ordering::Relaxed).min(self.total);
        Some(Progress {
            done,
            total: Some(self.total),
            unit: "bytes",
        })
    }

    async fn close(&mut self) -> Result<()> {
        self.player = Player::idle();
        Ok(())
    }
}
