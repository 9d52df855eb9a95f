//! What the configured paths hold.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use qicore_data::{Error, Result};

use super::config::ReplayConfig;
use super::dataset::{DataSet, Format, Stored};
use super::identity;
use super::lines::{Line, Lines, check_regular};
use super::record::Header;
use super::recording::Recording;

/// Folders are searched to this depth, in case links make a circle.
const DEEPEST: usize = 32;

/// What is to be replayed.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) recordings: Vec<Recording>,
    pub(super) data_sets: Vec<DataSet>,
}

impl Found {
    /// Looks at all paths.
    ///
    /// # Errors
    /// [`Config`](qicore_data::ErrorKind::Config) for a path that holds nothing that can be replayed.
    pub(super) fn look(config: &ReplayConfig) -> Result<Self> {
        let mut found = Self::default();
        for path in &config.paths {
            let about = fs::metadata(path).map_err(|error| Error::io("replay.open", path, error))?;
            if about.is_dir() {
                found.folder(path, config)?;
            } else {
                check_regular(path)?;
                found.file(path, config)?;
            }
        }
        found.check(config)?;
        Ok(found)
    }

    fn file(&mut self, path: &Path, config: &ReplayConfig) -> Result<()> {
        let name = without_extension(&path.file_name().unwrap_or_default().to_string_lossy()).to_owned();
        let format = Format::of(path);
        if matches!(format, None | Some(Format::Jsonl))
            && let Some(recording) = recording(path, &name, config)?
        {
            self.recordings.push(recording);
            return Ok(());
        }
        let stored = match format {
            Some(Format::Jsonl) if !holds_events(path)? => None,
            format => format,
        };
        let Some(format) = stored else {
            let message = "no recording and no stored events: a recording is a .jsonl or .jsonl.zst file whose first \
                           line is a header like {\"t\":\"header\",\"format\":2,\"exchange\":\"KRAKEN\"}; stored \
                           events are .jsonl, .csv or .parquet files as the sinks write them";
            return Err(Error::config("replay.open", message).with("path", path.display()));
        };
        let stored = Stored::new(path, path.parent().unwrap_or(Path::new("")), format)?;
        self.data_sets.push(DataSet::new(name.into(), vec![stored]));
        Ok(())
    }

    /// Recordings are named by their path below the folder; all stored events of the folder are one data set.
    fn folder(&mut self, root: &Path, config: &ReplayConfig) -> Result<()> {
        let mut files = Vec::new();
        walk(root, DEEPEST, &mut files)?;
        files.sort();
        let (mut stored, before) = (Vec::new(), self.recordings.len());
        for (path, format) in files {
            let below = path.strip_prefix(root).unwrap_or(&path).to_string_lossy();
            let recording = match format {
                // Files of a partition need not be looked into: there are many.
                Format::Jsonl if !below.starts_with("type=") => recording(&path, without_extension(&below), config)?,
                _ => None,
            };
            match recording {
                Some(recording) => self.recordings.push(recording),
                None if config.format.is_none_or(|wanted| wanted == format) => {
                    stored.push(Stored::new(&path, root, format)?);
                }
                None => {}
            }
        }
        if let Some(pair) = stored.windows(2).find(|pair| pair[0].format() != pair[1].format()) {
            let message = "the folder holds stored events in several formats, which may be the same events: set format";
            let formats = format!("{:?}, {:?}", pair[0].format(), pair[1].format());
            let error = Error::config("replay.open", message).with("path", root.display());
            return Err(error.with("formats", formats.to_lowercase()));
        }
        if stored.is_empty() && self.recordings.len() == before {
            let message = "the folder holds no .jsonl, .jsonl.zst, .csv or .parquet file";
            return Err(Error::config("replay.open", message).with("path", root.display()));
        }
        if !stored.is_empty() {
            // A path like `.` has its name only once it is resolved.
            let root = fs::canonicalize(root).map_err(|error| Error::io("replay.open", root, error))?;
            let name = root.file_name().unwrap_or(root.as_os_str()).to_string_lossy();
            self.data_sets.push(DataSet::new(name.as_ref().into(), stored));
        }
        Ok(())
    }

    fn check(&self, config: &ReplayConfig) -> Result<()> {
        let recordings = self.recordings.iter().map(|recording| &recording.name);
        let mut names: Vec<&Arc<str>> = recordings.chain(self.data_sets.iter().map(|set| &set.name)).collect();
        names.sort();
        if let Some(pair) = names.windows(2).find(|pair| pair[0] == pair[1]) {
            let message = "two inputs have the same name, by which positions are stored: name the folder above both, \
                           or rename one";
            return Err(Error::config("replay.open", message).with("name", pair[0]));
        }
        if !self.recordings.is_empty() && (config.from.is_some() || config.to.is_some()) {
            let message = "from and to are for stored data sets: a part of a recording has no books to start from";
            return Err(Error::config("replay.open", message));
        }
        if config.paths.is_empty()
            || self.recordings.is_empty() && (config.venue.is_some() || config.exchange.is_some())
        {
            let message = "venue and exchange are for recordings, and there are none";
            return Err(Error::config("replay.open", message));
        }
        Ok(())
    }
}

/// The file as a recording, if its first line is a header.
fn recording(path: &Path, name: &str, config: &ReplayConfig) -> Result<Option<Recording>> {
    let mut lines = Lines::open(path, config.max_record_bytes, Arc::default())?;
    let Some(line) = lines.next()? else { return Ok(None) };
    let Some(header) = Header::read(line.bytes) else {
        return Ok(None);
    };
    let header = header.map_err(|error| error.with("path", path.display()))?;
    // Headers of different recordings may be equal; the first records, with their times, are not.
    let mut beginning = vec![line.bytes.to_vec()];
    beginning.extend(lines.next()?.map(|first| first.bytes.to_vec()));
    let identity = identity("recording", beginning.iter().map(Vec::as_slice));
    Recording::new(path.to_owned(), name.into(), identity, &header, config).map(Some)
}

/// Whether the first line looks like an event, however damaged.
///
/// # Errors
/// If there is no telling: the first line cannot be read.
fn holds_events(path: &Path) -> Result<bool> {
    let mut lines = Lines::open(path, 1 << 20, Arc::default())?;
    match lines.next()? {
        Some(line) if line.bytes.starts_with(b"{\"type\":") => Ok(true),
        Some(Line { fault: Some(fault), .. }) => Err(Error::decode("replay.open", fault).with("path", path.display())),
        _ => Ok(false),
    }
}

fn walk(folder: &Path, depth: usize, files: &mut Vec<(PathBuf, Format)>) -> Result<()> {
    let told = |error| Error::io("replay.open", folder, error);
    for entry in fs::read_dir(folder).map_err(told)? {
        let path = entry.map_err(told)?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        // The sinks keep manifests and what is not yet published under `_qicore`.
        if name == "_qicore" || name.starts_with('.') {
            continue;
        }
        let about = fs::metadata(&path).map_err(told)?;
        if about.is_dir() {
            if depth > 0 {
                walk(&path, depth - 1, files)?;
            }
        } else if about.is_file()
            && let Some(format) = Format::of(&path)
        {
            files.push((path, format));
        }
    }
    Ok(())
}

/// A file's name without what tells its format.
pub(crate) fn without_extension(name: &str) -> &str {
    let name = name.strip_suffix(".zst").unwrap_or(name);
    let known = [".jsonl", ".csv", ".parquet"];
    known.iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name)
}
