//! Stored data sets: which files there are, and in which order they are read.

mod csv;
mod merge;
#[cfg(feature = "parquet")]
mod parquet;
mod rows;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

#[cfg(not(feature = "parquet"))]
use qicore_data::{Error, ErrorKind};
use qicore_data::{Event, EventType, Lane, Result, Timestamp};

use serde::Deserialize;

use super::config::ReplayConfig;
use super::files::without_extension;
use super::outlet::{Outlet, Stop};
use super::{damaged, identity, size};
use merge::Merge;
use rows::{Chain, Row};

/// How events are stored in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Format {
    /// JSON lines: [`Event`]'s normalised JSON.
    Jsonl,
    /// CSV with the [columns](qicore_data::columns) of the type.
    Csv,
    /// Parquet with the same columns.
    Parquet,
}

impl Format {
    /// By the file's name.
    pub(super) fn of(path: &Path) -> Option<Self> {
        let name = path.file_name()?.to_str()?;
        match name.strip_suffix(".zst").unwrap_or(name).rsplit_once('.')?.1 {
            "jsonl" => Some(Self::Jsonl),
            "csv" => Some(Self::Csv),
            "parquet" => Some(Self::Parquet),
            _ => None,
        }
    }
}

#[cfg(not(feature = "parquet"))]
fn no_parquet() -> Error {
    let message = "Parquet is not compiled in: enable the cargo feature \"parquet\"";
    Error::new(ErrorKind::Unsupported, "replay.open", message)
}

/// A file of events, with what its folders tell.
#[derive(Debug, Clone)]
pub(super) struct Stored {
    path: PathBuf,
    /// Below the data set's folder.
    below: String,
    format: Format,
    bytes: u64,
    event_type: Option<EventType>,
    exchange: Option<String>,
    /// Empty where no folder tells it.
    date: String,
}

impl Stored {
    pub(super) fn new(path: &Path, root: &Path, format: Format) -> Result<Self> {
        let below = path.strip_prefix(root).unwrap_or(path).to_string_lossy().into_owned();
        #[cfg(not(feature = "parquet"))]
        if format == Format::Parquet {
            return Err(no_parquet().with("path", path.display()));
        }
        let value = |key: &str| {
            below
                .split('/')
                .find_map(|part| part.strip_prefix(key)?.strip_prefix('='))
        };
        Ok(Self {
            path: path.to_owned(),
            format,
            bytes: size(path)?,
            event_type: value("type").and_then(|name| name.parse().ok()),
            exchange: value("exchange").map(str::to_owned),
            date: value("date").unwrap_or_default().to_owned(),
            below,
        })
    }

    pub(super) fn format(&self) -> Format {
        self.format
    }

    /// Files of one folder that are numbered (`a-1`, `a-2`) were written one after the other: what they have in
    /// common, and the number.
    fn numbered(&self) -> (&str, u64) {
        let stem = without_extension(&self.below);
        let numbered = stem
            .rsplit_once('-')
            .and_then(|(stem, number)| Some((stem, number.parse().ok()?)));
        numbered.unwrap_or((stem, 0))
    }
}

/// Files of events that belong together.
#[derive(Debug)]
pub(super) struct DataSet {
    /// What its lanes' names begin with.
    pub(super) name: Arc<str>,
    files: Vec<Stored>,
}

impl DataSet {
    pub(super) fn new(name: Arc<str>, files: Vec<Stored>) -> Self {
        Self { name, files }
    }

    pub(super) fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).sum()
    }

    /// One group per exchange, with the name that its lanes begin with; a single one if the folders do not tell the
    /// exchange of every file.
    pub(super) fn into_groups(self, config: &ReplayConfig) -> Vec<(Arc<str>, Group)> {
        let partitioned = self.files.iter().all(|file| file.exchange.is_some());
        let mut groups: BTreeMap<Option<String>, Vec<Stored>> = BTreeMap::new();
        for file in self.files {
            let exchange = file.exchange.clone().filter(|_| partitioned);
            groups.entry(exchange).or_default().push(file);
        }
        let name = &self.name;
        let group = |(exchange, files): (Option<String>, Vec<Stored>)| {
            let damaged = match exchange {
                Some(exchange) => damaged::lane(&format!("{name}/{exchange}")),
                None => damaged::lane(name),
            };
            let group = Group {
                files,
                damaged,
                from: config.from,
                to: config.to,
                sort_window: config.sort_window,
                longest: config.max_record_bytes,
            };
            (Arc::clone(name), group)
        };
        groups.into_iter().map(group).collect()
    }
}

/// Files that one reader merges.
#[derive(Debug)]
pub(super) struct Group {
    files: Vec<Stored>,
    damaged: Lane,
    from: Option<Timestamp>,
    to: Option<Timestamp>,
    sort_window: usize,
    longest: usize,
}

impl Group {
    /// The files and what is taken of them: positions are counts, which mean nothing for other files.
    pub(super) fn identity(&self) -> Arc<str> {
        let bounds = format!("{:?} {:?} {}", self.from, self.to, self.sort_window);
        let mut parts: Vec<String> = self
            .files
            .iter()
            .map(|file| format!("{} {}", file.below, file.bytes))
            .collect();
        parts.sort();
        parts.push(bounds);
        identity("data set", parts.iter().map(String::as_bytes))
    }

    /// Reads the events in the order of time.
    pub(super) fn read(&mut self, name: &str, read: &Arc<AtomicU64>, out: &mut Outlet) -> Result<(), Stop> {
        let (from, to, damaged) = (self.from, self.to, self.damaged.clone());
        let give = |out: &mut Outlet, event: Event| {
            let at = event.timestamp;
            if from.is_some_and(|from| at < from) || to.is_some_and(|to| at >= to) {
                return Ok(());
            }
            let exchange = event.exchange;
            let lane = out.lane(exchange.as_str(), || Lane::new(format!("{name}/{exchange}")));
            out.event(lane, event)
        };
        let mut merge = Merge::new(self.sort_window);
        let mut rejected = 0;
        for chains in self.days(read) {
            merge.add(chains);
            while let Some(row) = merge.next()? {
                match row {
                    Row::Event(event) => give(out, event)?,
                    Row::Damaged { bytes, why } => {
                        rejected += 1;
                        // No exchange is named "".
                        let lane = out.lane("", || damaged.clone());
                        out.frame(lane, damaged::frame(rejected, &bytes, why))?;
                    }
                }
            }
        }
        while let Some(event) = merge.rest() {
            give(out, event)?;
        }
        Ok(())
    }

    /// The files by day, and of each day the chains of files that were written one after the other.
    fn days(&mut self, read: &Arc<AtomicU64>) -> Vec<Vec<Chain>> {
        let place = |file: &Stored| (file.date.clone(), file.numbered().0.to_owned(), file.numbered().1);
        self.files.sort_by_cached_key(place);
        let longest = self.longest;
        let chain = |files: &[Stored]| Chain::new(files.iter().cloned().collect(), longest, Arc::clone(read));
        let day = |files: &[Stored]| {
            let chains = files.chunk_by(|file, next| file.numbered().0 == next.numbered().0);
            chains.map(chain).collect()
        };
        let days = self.files.chunk_by(|file, next| file.date == next.date);
        days.map(day).collect()
    }
}
