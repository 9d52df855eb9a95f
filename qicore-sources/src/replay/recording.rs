//! One recording: its header, its instruments, its frames.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use qicore_data::{Decoder, Lane, Result, Timestamp};

use super::config::ReplayConfig;
use super::lines::Lines;
use super::outlet::{Outlet, Stop};
use super::reconnect::{self, Reconnects};
use super::record::{self, Entry, Header, Kind};
use super::{damaged, size};
use crate::venue::{Venue, VenueContext};

/// A recording whose header has been read.
#[derive(Debug, Clone)]
pub(crate) struct Recording {
    path: PathBuf,
    /// What its lanes' names begin with.
    pub(super) name: Arc<str>,
    /// Tells it from others of the same name.
    pub(super) identity: Arc<str>,
    /// Size of the file.
    pub(super) bytes: u64,
    longest: usize,
    venue: &'static Venue,
    context: VenueContext,
}

/// Which records a reader takes.
#[derive(Debug)]
pub(super) enum Only {
    All,
    Connection(Box<str>),
    Damaged,
}

impl Only {
    /// Whether a line can be left out unread.
    fn skips(&self, line: &[u8]) -> bool {
        match self {
            Self::Connection(wanted) => Kind::of(line).is_none_or(|kind| kind.conn != **wanted),
            Self::All | Self::Damaged => false,
        }
    }

    fn takes(&self, conn: &str) -> bool {
        match self {
            Self::All => true,
            Self::Connection(wanted) => **wanted == *conn,
            Self::Damaged => false,
        }
    }
}

impl Recording {
    /// The recording of this header and identity.
    ///
    /// # Errors
    /// [`Config`](qicore_data::ErrorKind::Config) if its venue is not known or not compiled in.
    pub(super) fn new(
        path: PathBuf,
        name: Arc<str>,
        identity: Arc<str>,
        header: &Header,
        config: &ReplayConfig,
    ) -> Result<Self> {
        let (venue, exchange) = match &config.venue {
            Some(name) => {
                let venue = Venue::named(name)?;
                let mut names = venue.recorded_as.iter();
                let known = names.find(|(name, _)| name.eq_ignore_ascii_case(&header.exchange));
                (venue, known.map_or(venue.name, |(_, exchange)| *exchange))
            }
            None => Venue::recorded_as(&header.exchange).map_err(|error| error.with("path", path.display()))?,
        };
        let exchange = config.exchange.as_deref().unwrap_or(exchange);
        let context = VenueContext::new(exchange, venue.name)
            .map_err(|error| qicore_data::Error::config("replay", format!("exchange: {error}")))?;
        let recording = Self {
            bytes: size(&path)?,
            path,
            name,
            identity,
            longest: config.max_record_bytes,
            venue,
            context,
        };
        recording.decoder().map(|_| recording)
    }

    /// A decoder for one of its lanes.
    pub(super) fn decoder(&self) -> Result<Box<dyn Decoder>> {
        Ok(Box::new(Reconnects(self.venue.decoder(&self.context)?)))
    }

    /// Goes through the file once, learns the instruments that its HTTP responses list, and returns its connections.
    ///
    /// Decoders would else know an instrument or not, depending on which lane happens to be ahead. What this decoder
    /// cannot read is told when the record's own lane comes to it.
    pub(super) fn scan(&self) -> Result<Vec<Box<str>>> {
        let mut decoder = self.decoder()?;
        let mut discarded = Vec::new();
        let mut connections: Vec<Box<str>> = Vec::new();
        let mut lines = Lines::open(&self.path, self.longest, Arc::default())?;
        while let Some(line) = lines.next()? {
            let Some(kind) = Kind::of(line.bytes).filter(|kind| kind.is_frame() && line.fault.is_none()) else {
                continue;
            };
            if !connections.iter().rev().any(|known| **known == *kind.conn) {
                connections.push(kind.conn.as_ref().into());
            }
            if kind.t == "http"
                && let Ok(Entry::Frame(_, frame)) = record::read(line.number, line.bytes)
            {
                let _ = decoder.decode(&frame, &mut discarded);
                discarded.clear();
            }
        }
        Ok(connections)
    }

    /// Reads the frames in file order.
    pub(super) fn read(&self, only: &Only, read: Arc<AtomicU64>, out: &mut Outlet) -> Result<(), Stop> {
        let mut lines = Lines::open(&self.path, self.longest, read)?;
        // When the last frame of each lane was received, by the lane's place.
        let mut heard: Vec<Option<Timestamp>> = Vec::new();
        while let Some(line) = lines.next()? {
            let (number, bytes) = (line.number, line.bytes);
            if only.skips(bytes) {
                continue;
            }
            let entry = match line.fault {
                None => record::read(number, bytes),
                Some(fault) => Err(fault),
            };
            match entry {
                Ok(Entry::Frame(conn, frame)) if only.takes(&conn) => {
                    let lane = out.lane(&conn, || Lane::new(format!("{}/{conn}", self.name)));
                    heard.resize(heard.len().max(lane + 1), None);
                    heard[lane] = frame.received.or(heard[lane]);
                    out.frame(lane, frame)?;
                }
                Ok(Entry::Connect(conn, back)) if only.takes(&conn) => {
                    let lane = out.lane(&conn, || Lane::new(format!("{}/{conn}", self.name)));
                    if let Some(lost) = heard.get(lane).copied().flatten() {
                        out.frame(lane, reconnect::frame(number, lost, back))?;
                    }
                }
                // No connection is named "": the record reader sees to that.
                Err(why) if !matches!(only, Only::Connection(_)) => {
                    let lane = out.lane("", || damaged::lane(&self.name));
                    out.frame(lane, damaged::frame(number, bytes, why))?;
                }
                Ok(_) | Err(_) => {}
            }
        }
        Ok(())
    }
}
