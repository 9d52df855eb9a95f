//! A deterministic synthetic market: trades, quotes and instruments of as many symbols, on as many lanes and at such a rate as
//! wanted, with duplicates and late trades if wanted. For tests and measurements.
//!
//! Every event is a function of the configuration and its number in its lane. So the events that a sink must hold can
//! be recomputed without a pipeline, and a lane resumes anywhere at no cost. The exchange is `synthetic`; trades of a
//! symbol have consecutive ids from 1; prices and sizes lie on each symbol's grid.
//!
//! ```
//! use qicore_sources::generator::Generator;
//! let market = Generator::new(7).symbols(4).events(1_000).lanes(2);
//! let second = market.lane_events(1)?;
//! assert_eq!(second.count(), 500);
//! # Ok::<(), qicore_data::Error>(())
//! ```

mod config;
mod market;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use qicore_data::{
    Batch, BatchLimit, Decoded, Decoder, Error, ErrorKind, Event, Frame, FromStart, Lane, LaneEnd, Mistakes, Position,
    Progress, Result, Resume, Settings, Source, SourceCapabilities,
};
use tokio::time::{Instant, sleep};

pub use config::GeneratorConfig;
use market::Market;

/// A frame names so many events at full speed; its decoder makes them on the lane's own task.
const FRAME: u64 = 256;
const NAME: &str = "generator";

/// A source of synthetic events; see the [module](self).
pub struct Generator {
    config: GeneratorConfig,
    resume: Arc<dyn Resume>,
    /// What positions belong to.
    identity: Arc<str>,
    lanes: Vec<Progressing>,
    /// The lane whose turn it is.
    turn: usize,
    /// When the first event was given, and how many have been since.
    clock: Option<Instant>,
    given: u64,
    /// How many were given by earlier runs.
    before: u64,
}

/// How far a lane has come.
struct Progressing {
    lane: Lane,
    /// Whether `resume` has been asked.
    known: bool,
    at: u64,
    end: u64,
}

impl std::fmt::Debug for Generator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Generator")
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

impl Generator {
    /// A market of a million trades of ten symbols on one lane.
    pub fn new(seed: u64) -> Self {
        Self::with_config(GeneratorConfig {
            seed,
            ..GeneratorConfig::default()
        })
    }

    /// A market as configured. Mistakes in the configuration are told by [`open`](Source::open).
    pub fn with_config(config: GeneratorConfig) -> Self {
        Self {
            config,
            resume: Arc::new(FromStart),
            identity: "".into(),
            lanes: Vec::new(),
            turn: 0,
            clock: None,
            given: 0,
            before: 0,
        }
    }

    /// Sets the number of symbols.
    #[must_use]
    pub fn symbols(mut self, symbols: u32) -> Self {
        self.config.symbols = symbols;
        self
    }

    /// Sets the number of events in all.
    #[must_use]
    pub fn events(mut self, events: u64) -> Self {
        self.config.events = events;
        self
    }

    /// Sets the number of lanes.
    #[must_use]
    pub fn lanes(mut self, lanes: u32) -> Self {
        self.config.lanes = lanes;
        self
    }

    /// Gives each symbol's instrument before everything else.
    #[must_use]
    pub fn instruments(mut self) -> Self {
        self.config.instruments = true;
        self
    }

    /// Sets the share of quotes.
    #[must_use]
    pub fn quotes(mut self, share: f64) -> Self {
        self.config.quotes = share;
        self
    }

    /// Sets the share of events that come a second time.
    #[must_use]
    pub fn duplicates(mut self, share: f64) -> Self {
        self.config.duplicates = share;
        self
    }

    /// Sets the share of late trades.
    #[must_use]
    pub fn late(mut self, share: f64) -> Self {
        self.config.late = share;
        self
    }

    /// Sets how many events come per second.
    #[must_use]
    pub fn rate(mut self, events_per_second: f64) -> Self {
        self.config.rate = Some(events_per_second);
        self
    }

    /// The lane of a number, from 0.
    pub fn lane(number: u32) -> Lane {
        Lane::new(format!("{NAME}/{number}"))
    }

    /// All events of a lane, as the source gives them: the truth to compare with. The lane's offsets are these events'
    /// places, from 1.
    ///
    /// # Errors
    /// [`Config`](ErrorKind::Config) if the configuration is wrong.
    pub fn lane_events(
        &self,
        lane: u32,
    ) -> Result<impl ExactSizeIterator<Item = Event> + DoubleEndedIterator + Clone + use<>> {
        let market = Market::new(&self.config, lane)?;
        let count = usize::try_from(self.events_of(lane)).unwrap_or(usize::MAX);
        Ok((0..count).map(move |at| market.event(at as u64)))
    }

    pub(crate) fn build(settings: &Settings) -> Result<Box<dyn Source>, Mistakes> {
        let config: GeneratorConfig = settings.read()?;
        config.check().map_err(|error| settings.mistake(error.message()))?;
        Ok(Box::new(Self::with_config(config)))
    }

    fn events_of(&self, lane: u32) -> u64 {
        let (lanes, lane) = (u64::from(self.config.lanes.max(1)), u64::from(lane));
        if lane >= lanes {
            return 0;
        }
        self.config.events / lanes + u64::from(lane < self.config.events % lanes)
    }

    /// At a set rate an event is a frame, so that it comes on time.
    fn frame_size(&self) -> u64 {
        if self.config.rate.is_some() { 1 } else { FRAME }
    }

    /// What positions belong to: a market, and how it is cut into frames. More events of the same market may follow.
    fn fingerprint(&self) -> String {
        let config = GeneratorConfig {
            events: 0,
            rate: None,
            ..self.config.clone()
        };
        format!("frames of {}, {config:?}", self.frame_size())
    }

    /// Takes up the lane whose turn it is.
    async fn take_up(&mut self) -> Result<()> {
        let lane = &mut self.lanes[self.turn];
        if lane.known {
            return Ok(());
        }
        if let Some(checkpoint) = self.resume.checkpoint(&lane.lane).await? {
            if checkpoint
                .position
                .detail
                .as_deref()
                .is_some_and(|detail| *detail != *self.identity)
            {
                let message = "the checkpoint was made with another configuration; remove it to start anew";
                return Err(Error::new(ErrorKind::Checkpoint, "generator.resume", message)
                    .with("lane", &lane.lane)
                    .with("checkpoint", checkpoint.position.detail.as_deref().unwrap_or_default())
                    .with("found", &self.identity));
            }
            lane.at = if checkpoint.finished {
                u64::MAX
            } else {
                checkpoint.position.offset
            };
            self.before += lane.at.min(lane.end);
        }
        lane.known = true;
        Ok(())
    }

    /// Waits until another event is due by the rate, and says how many are.
    async fn due(&mut self) -> u64 {
        let Some(rate) = self.config.rate else {
            return u64::MAX;
        };
        let clock = *self.clock.get_or_insert_with(Instant::now);
        let next = Duration::try_from_secs_f64((self.given + 1) as f64 / rate).unwrap_or(Duration::MAX);
        while let Some(rest) = next.checked_sub(clock.elapsed()).filter(|rest| !rest.is_zero()) {
            sleep(rest.min(Duration::from_secs(86_400))).await;
        }
        let due = (clock.elapsed().as_secs_f64() * rate) as u64;
        due.saturating_sub(self.given).max(1)
    }

    /// The next frames of the lane whose turn it is, of at most so many events unless one frame has more.
    fn cut(&mut self, most: u64) -> Batch {
        let size = self.frame_size();
        let lane = &mut self.lanes[self.turn];
        let (from, mut frames) = (lane.at, Vec::new());
        while lane.at < lane.end {
            // Frames end at multiples of their size, wherever the batches of an earlier run ended.
            let last = ((lane.at / size + 1) * size).min(lane.end);
            if last - from > most && !frames.is_empty() {
                break;
            }
            frames.push(Frame::new(last, format!("{}-{last}", lane.at + 1)));
            lane.at = last;
        }
        self.given += lane.at - from;
        let position = Position::at(lane.at).with_detail(Arc::clone(&self.identity));
        Batch::frames(lane.lane.clone(), frames, position)
    }
}

#[async_trait]
impl Source for Generator {
    fn name(&self) -> &str {
        NAME
    }

    fn capabilities(&self) -> SourceCapabilities {
        SourceCapabilities::default().replayable().finite()
    }

    async fn open(&mut self, resume: Arc<dyn Resume>) -> Result<()> {
        self.config.check()?;
        self.resume = resume;
        self.identity = self.fingerprint().into();
        let lanes = (0..self.config.lanes).map(|number| Progressing {
            lane: Self::lane(number),
            known: false,
            at: 0,
            end: self.events_of(number),
        });
        self.lanes = lanes.collect();
        (self.turn, self.clock, self.given, self.before) = (0, None, 0, 0);
        Ok(())
    }

    async fn next_batch(&mut self, limit: BatchLimit) -> Result<Option<Batch>> {
        loop {
            if self.lanes.is_empty() {
                return Ok(None);
            }
            self.turn %= self.lanes.len();
            self.take_up().await?;
            if self.lanes[self.turn].at != u64::MAX {
                break;
            }
            // Finished in an earlier run.
            self.lanes.remove(self.turn);
        }
        let room = limit.items.min(limit.bytes / size_of::<Event>()) as u64;
        let lane = &self.lanes[self.turn];
        let most = if lane.at < lane.end {
            self.due().await.min(room)
        } else {
            0
        };
        let batch = self.cut(most);
        if self.lanes[self.turn].at < self.lanes[self.turn].end {
            self.turn += 1;
            return Ok(Some(batch));
        }
        self.lanes.remove(self.turn);
        Ok(Some(batch.ending(LaneEnd::Exhausted)))
    }

    fn decoder(&self, lane: &Lane) -> Result<Box<dyn Decoder>> {
        let number = lane
            .as_str()
            .strip_prefix(NAME)
            .and_then(|rest| rest.strip_prefix('/')?.parse().ok());
        let number = number
            .filter(|number| *number < self.config.lanes)
            .ok_or_else(|| Error::new(ErrorKind::Internal, "generator.decoder", "no such lane").with("lane", lane))?;
        Ok(Box::new(Ranges(Market::new(&self.config, number)?)))
    }

    fn progress(&self) -> Option<Progress> {
        Some(Progress {
            done: self.before + self.given,
            total: Some(self.config.events),
            unit: "events",
        })
    }
}

/// Makes the events that a frame names: `first-last`, from 1.
struct Ranges(Market);

impl Decoder for Ranges {
    fn decode(&mut self, frame: &Frame, out: &mut Vec<Event>) -> Result<Decoded> {
        let range = std::str::from_utf8(&frame.payload).ok().and_then(|text| {
            let (first, last) = text.split_once('-')?;
            Some((first.parse::<u64>().ok()?.checked_sub(1)?, last.parse::<u64>().ok()?))
        });
        let (from, to) = range
            .filter(|(from, to)| from < to && to - from <= FRAME)
            .ok_or_else(|| Error::decode("generator.decode", "the frame is no range of events"))?;
        out.extend((from..to).map(|at| self.0.event(at)));
        Ok(Decoded::Data)
    }
}
