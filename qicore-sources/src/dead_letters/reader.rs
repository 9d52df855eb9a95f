//! Reads letters and sorts them into lanes.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, PoisonError};

use qicore_data::{DeadLetter, Error, Lane, Payload, Result, StableHash};

use super::{DeadLettersConfig, NAME};
use crate::replay::damaged;
use crate::replay::lines::Lines;
use crate::replay::outlet::{Outlet, Stop};
use crate::venue::{SymbolMap, Venue};

/// What decodes a lane's frames.
#[derive(Debug, Clone)]
pub(super) enum Origin {
    Venue {
        venue: &'static Venue,
        exchange: String,
        symbols: Arc<SymbolMap>,
    },
    /// They are a broker's messages.
    #[cfg(feature = "kafka")]
    Messages,
}

/// Lanes of frames, as far as it is known what decodes them.
pub(super) type Origins = HashMap<Lane, Origin>;

pub(super) struct Letters {
    config: DeadLettersConfig,
    files: Vec<(PathBuf, u64)>,
    read: Arc<AtomicU64>,
    origins: Arc<Mutex<Origins>>,
    /// The instruments of each exchange, for all of its lanes.
    symbols: HashMap<String, Arc<SymbolMap>>,
    /// Tells the letters of this replay from those of others: part of the names of its lanes.
    mark: String,
}

impl Letters {
    pub(super) fn new(
        config: &DeadLettersConfig,
        files: Vec<(PathBuf, u64)>,
        read: &Arc<AtomicU64>,
        origins: &Arc<Mutex<Origins>>,
    ) -> Result<Self> {
        let mut hash = StableHash::default();
        for (path, length) in &files {
            hash_file(&mut hash, path, *length).map_err(|error| Error::io("dead_letters.open", path, error))?;
        }
        hash.write(format!("{:?} {:?}", config.stage, config.reason).as_bytes());
        Ok(Self {
            config: config.clone(),
            files,
            read: Arc::clone(read),
            origins: Arc::clone(origins),
            symbols: HashMap::new(),
            mark: hash.short(),
        })
    }
}

impl Letters {
    /// What positions belong to.
    pub(super) fn identity(&self) -> Arc<str> {
        format!("{NAME} {}", self.mark).into()
    }

    pub(super) fn read(mut self, out: &mut Outlet) -> Result<(), Stop> {
        let mut seen = HashSet::new();
        let mut before = 0;
        for (path, length) in std::mem::take(&mut self.files) {
            let mut number = 0;
            let read = Arc::clone(&self.read);
            let mut lines = Lines::open_up_to(&path, length, self.config.max_record_bytes, read)?;
            while let Some(line) = lines.next()? {
                number = line.number;
                let offset = before + number;
                let letter = match line.fault {
                    Some(fault) => Err(fault),
                    None => serde_json::from_slice::<DeadLetter>(line.bytes).map_err(|error| error.to_string()),
                };
                match letter {
                    Ok(letter) => {
                        if self.wanted(&letter) && seen.insert(key(&letter)) {
                            self.letter(letter, offset, line.bytes, out)?;
                        }
                    }
                    Err(why) => reject(
                        offset,
                        line.bytes,
                        format!("line {number} is no dead letter: {why}"),
                        out,
                    )?,
                }
            }
            before += number;
        }
        Ok(())
    }

    fn wanted(&self, letter: &DeadLetter) -> bool {
        let is = |wanted: &Option<String>, value: &str| wanted.as_deref().is_none_or(|wanted| wanted == value);
        is(&self.config.stage, &letter.stage) && is(&self.config.reason, &letter.reason)
    }

    fn letter(&mut self, letter: DeadLetter, offset: u64, line: &[u8], out: &mut Outlet) -> Result<(), Stop> {
        if let Payload::Event { event } = letter.payload {
            let key = format!("{NAME}/{}/{}", self.mark, letter.stage);
            let at = out.lane(&key, || Lane::new(key.as_str()));
            return out.event_at(at, *event, offset);
        }
        let Some(frame) = letter.payload.to_frame(offset) else {
            return reject(offset, line, "the letter's payload is not in hexadecimal digits", out);
        };
        let key = format!("{NAME}/{}/{}/{}", self.mark, letter.stage, letter.lane);
        let at = out.lane(&key, || Lane::new(key.as_str()));
        if let Some(origin) = self.origin(&letter) {
            let mut origins = self.origins.lock().unwrap_or_else(PoisonError::into_inner);
            origins.entry(Lane::new(key)).or_insert(origin);
        }
        out.frame(at, frame)
    }

    fn origin(&mut self, letter: &DeadLetter) -> Option<Origin> {
        if damaged::is(&letter.lane) {
            return None;
        }
        #[cfg(feature = "kafka")]
        if letter.source == "kafka" && self.config.venue.is_none() {
            return Some(Origin::Messages);
        }
        let (venue, exchange) = self.venue(&letter.source, &letter.lane)?;
        Some(Origin::Venue {
            venue,
            exchange: exchange.to_owned(),
            symbols: Arc::clone(self.symbols.entry(exchange.to_owned()).or_default()),
        })
    }

    /// The venue and exchange of a letter with a frame.
    fn venue(&self, source: &str, lane: &Lane) -> Option<(&'static Venue, &'static str)> {
        let connection = |part: &str| Venue::recorded_as(part.split('.').next().unwrap_or(part)).ok();
        let recorded = lane.as_str().split('/').find_map(connection);
        match Venue::named(self.config.venue.as_deref().unwrap_or(source)) {
            Ok(venue) => {
                let same = recorded.filter(|(recorded, _)| recorded.name == venue.name);
                Some((venue, same.map_or(venue.name, |(_, exchange)| exchange)))
            }
            Err(_) => recorded,
        }
    }
}

/// Takes in the first `length` bytes of a file.
fn hash_file(hash: &mut StableHash, path: &Path, length: u64) -> io::Result<()> {
    let mut file = File::open(path)?.take(length);
    let mut block = vec![0; 1 << 16];
    loop {
        match file.read(&mut block)? {
            0 => return Ok(()),
            read => hash.write(&block[..read]),
        }
    }
}

/// Tells a letter that was written again from another one: the ids of live connections start anew in each run.
fn key(letter: &DeadLetter) -> (Box<str>, u64) {
    let mut hasher = DefaultHasher::new();
    // Whatever came in as JSON has a JSON form.
    serde_json::to_string(&letter.payload)
        .unwrap_or_default()
        .hash(&mut hasher);
    (letter.id.as_str().into(), hasher.finish())
}

fn reject(offset: u64, line: &[u8], why: impl Into<String>, out: &mut Outlet) -> Result<(), Stop> {
    let at = out.lane("", || damaged::lane(NAME));
    out.frame(at, damaged::frame(offset, line, why))
}
