//! Rows stored in a database, in the order of their times: for backtests, for copies into other stores. What the sources
//! of all databases share.
//!
//! Each kind of row is a lane, `NAME/PLACE/KIND`, read by one statement, as fast as the pipeline takes it; what has not been
//! asked for waits in the server. Offsets count rows. A restart goes on behind the last row that was committed, by its time
//! and key: rows that were stored before that row's time in the meantime are not read. A selection that was read to its
//! end is finished: what is stored later is read by a pipeline of another name, with `from`.
//!
//! A row that another program has stored and that is no event (a price of `NaN`, a time before 1677) goes to the dead
//! letters, by the columns that tell which it is.
//!
//! A connection that is lost is made again, with growing pauses, and reading goes on where it was.

mod config;
mod foreign;

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use qicore_data::{
    Batch, BatchLimit, Decoder, Error, ErrorKind, EventType, FromStart, Lane, LaneEnd, Mistakes, Position, Progress,
    Result, Resume, RetryAdvice, Settings, Source, SourceCapabilities, Timeframe, Timestamp,
};
use qicore_stores::{Cursor, Page, Reading, Selection, Stored};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, sleep_until};

pub(crate) use config::rows_config;

/// What a database's source is configured with.
pub trait StoredConfig: fmt::Debug + Clone + Send + Sync + 'static {
    /// The plugin's name.
    const NAME: &'static str;
    /// How the database is asked.
    type Store: Stored;

    /// Finds mistakes without connecting.
    ///
    /// # Errors
    /// [`Config`](ErrorKind::Config).
    fn check(&self) -> Result<()>;

    /// The schema or database that the tables are in.
    fn place(&self) -> &str;

    /// The kinds of rows; one lane each, one after the other.
    fn types(&self) -> &[EventType];

    /// Which rows of a kind are meant.
    fn selection(&self, event_type: EventType) -> Selection;

    /// Connects when it is first used.
    ///
    /// # Errors
    /// Where a setting makes no sense.
    fn store(&self) -> Result<Self::Store>;
}

const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// What is wrong with a selection.
pub(crate) fn checked(
    types: &[EventType],
    timeframe: Option<Timeframe>,
    range: Option<(Timestamp, Timestamp)>,
) -> Result<(), &'static str> {
    let twice = |(at, kind): (usize, &EventType)| types[..at].contains(kind);
    if types.is_empty() {
        return Err("types is empty: name the kinds of rows to read");
    }
    if types.iter().enumerate().any(twice) {
        return Err("types names a kind twice");
    }
    if timeframe.is_some() && types != [EventType::Candle] {
        return Err("timeframe is for candles alone");
    }
    match range {
        Some((from, to)) if from >= to => Err("from must be before to"),
        _ => Ok(()),
    }
}

/// Reads stored rows.
pub struct StoredRows<C: StoredConfig> {
    pub(crate) config: C,
    store: Option<C::Store>,
    resume: Arc<dyn Resume>,
    /// What is yet to be read, the kind that is being read first.
    kinds: VecDeque<Kind>,
    read: u64,
    failures: u32,
    pause_until: Option<Instant>,
}

/// One kind of row, and how far it has been read.
struct Kind {
    event_type: EventType,
    lane: Lane,
    known: bool,
    offset: u64,
    after: Option<Cursor>,
    reading: Option<Reading>,
}

/// What a position holds beside the offset.
#[derive(Debug, Serialize, Deserialize)]
struct Detail {
    /// What is selected, so that another selection is not taken up in the middle.
    selection: String,
    /// Behind which row to go on; none where no row was found.
    after: Option<String>,
}

impl<C: StoredConfig> fmt::Debug for StoredRows<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoredRows")
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

impl<C: StoredConfig> StoredRows<C> {
    /// From its configuration.
    pub fn from_config(config: C) -> Self {
        Self {
            config,
            store: None,
            resume: Arc::new(FromStart),
            kinds: VecDeque::new(),
            read: 0,
            failures: 0,
            pause_until: None,
        }
    }

    pub(crate) fn build(settings: &Settings) -> Result<Box<dyn Source>, Mistakes>
    where
        C: DeserializeOwned,
    {
        let config: C = settings.read()?;
        config.check().map_err(|error| settings.mistake(error.message()))?;
        Ok(Box::new(Self::from_config(config)))
    }

    fn kind(&self, event_type: EventType) -> Kind {
        Kind {
            event_type,
            lane: Lane::new(format!("{}/{}/{event_type}", C::NAME, self.config.place())),
            known: false,
            offset: 0,
            after: None,
            reading: None,
        }
    }

    /// What is selected of a kind, as text.
    fn identity(&self, event_type: EventType) -> String {
        let of = self.config.selection(event_type);
        let names = |names: Vec<&str>| names.join(" ");
        format!(
            "{event_type} symbols={} exchanges={} timeframe={} from={} to={}",
            names(of.symbols.iter().map(|symbol| symbol.as_str()).collect()),
            names(of.exchanges.iter().map(|exchange| exchange.as_str()).collect()),
            of.timeframe.map_or("", |timeframe| timeframe.as_str()),
            of.from.map_or(String::new(), |from| from.to_string()),
            of.to.map_or(String::new(), |to| to.to_string()),
        )
    }

    /// Where the first kind stands.
    fn position(&self) -> Result<Position> {
        let Some(kind) = self.kinds.front() else {
            return Ok(Position::at(0));
        };
        let detail = Detail {
            selection: self.identity(kind.event_type),
            after: kind.after.as_ref().map(|after| after.as_str().to_owned()),
        };
        let defect = |error: serde_json::Error| Error::new(ErrorKind::Internal, "stored.read", error.to_string());
        Ok(Position::at(kind.offset).with_detail(serde_json::to_string(&detail).map_err(defect)?))
    }

    /// Asks where the first kind goes on. False if it was finished by an earlier run.
    async fn take_up(&mut self) -> Result<bool> {
        let Some(kind) = self.kinds.front() else {
            return Ok(true);
        };
        if kind.known {
            return Ok(true);
        }
        let held = self.resume.checkpoint(&kind.lane).await?;
        let identity = self.identity(kind.event_type);
        let Some(kind) = self.kinds.front_mut() else {
            return Ok(true);
        };
        kind.known = true;
        let Some(held) = held else { return Ok(true) };
        let detail = held.position.detail.as_deref();
        let detail: Option<Detail> = detail.and_then(|detail| serde_json::from_str(detail).ok());
        // Also of a lane that is finished: another selection would be taken for read.
        let Some(detail) = detail.filter(|detail| detail.selection == identity) else {
            let message =
                "the checkpoint was made with another selection; give the pipeline another name to start anew";
            return Err(Error::new(ErrorKind::Checkpoint, "stored.resume", message).with("lane", &kind.lane));
        };
        if held.finished {
            return Ok(false);
        }
        kind.offset = held.position.offset;
        kind.after = detail.after.map(Cursor::new);
        self.read += kind.offset;
        Ok(true)
    }

    /// The next page of the first kind. Cancel-safe: what is under way is kept.
    async fn page(&mut self, limit: BatchLimit) -> Result<Option<Page>> {
        let (Some(store), Some(kind)) = (&self.store, self.kinds.front_mut()) else {
            return Ok(None);
        };
        let reading = match &mut kind.reading {
            Some(reading) => reading,
            none => {
                let selection = self.config.selection(kind.event_type);
                none.insert(store.read(&selection, kind.after.as_ref(), limit)?)
            }
        };
        reading.next().await
    }

    /// A page as a batch of the first kind.
    fn taken(&mut self, page: Page) -> Result<Option<Batch>> {
        let Some(kind) = self.kinds.front_mut() else {
            return Ok(None);
        };
        let rows = page.events.len() as u64 + u64::from(page.foreign.is_some());
        kind.offset += rows;
        kind.after = Some(page.cursor);
        let (lane, offset) = (kind.lane.clone(), kind.offset);
        self.read += rows;
        let position = self.position()?;
        Ok(Some(match page.foreign {
            None => Batch::events(lane, page.events, position),
            Some(foreign) => Batch::frames(lane, vec![foreign::frame(offset, foreign)], position),
        }))
    }

    /// Waits before another try, or gives up on what no try can help.
    fn failed(&mut self, error: Error) -> Result<()> {
        if let Some(kind) = self.kinds.front_mut() {
            kind.reading = None;
        }
        if error.retry() == RetryAdvice::Never {
            return Err(error);
        }
        let pause = (FIRST_PAUSE * 2u32.saturating_pow(self.failures)).min(LONGEST_PAUSE);
        tracing::warn!(%error, ?pause, "reading again");
        self.failures = (self.failures + 1).min(16);
        self.pause_until = Some(Instant::now() + pause);
        Ok(())
    }
}

#[async_trait]
impl<C: StoredConfig> Source for StoredRows<C> {
    fn name(&self) -> &str {
        C::NAME
    }

    fn capabilities(&self) -> SourceCapabilities {
        SourceCapabilities::default().replayable().finite()
    }

    async fn open(&mut self, resume: Arc<dyn Resume>) -> Result<()> {
        self.config.check()?;
        let store = self.config.store()?;
        store.check().await?;
        self.store = Some(store);
        self.resume = resume;
        self.kinds = self.config.types().iter().map(|kind| self.kind(*kind)).collect();
        (self.read, self.failures, self.pause_until) = (0, 0, None);
        Ok(())
    }

    async fn next_batch(&mut self, limit: BatchLimit) -> Result<Option<Batch>> {
        loop {
            if let Some(at) = self.pause_until {
                sleep_until(at).await;
                self.pause_until = None;
            }
            if !self.take_up().await? {
                self.kinds.pop_front();
                continue;
            }
            let page = match self.page(limit).await {
                Ok(page) => page,
                Err(error) => {
                    self.failed(error)?;
                    continue;
                }
            };
            self.failures = 0;
            let position = self.position()?;
            let Some(page) = page else {
                let ended = self.kinds.pop_front();
                return Ok(ended.map(|kind| Batch::end(kind.lane, position, LaneEnd::Exhausted)));
            };
            return self.taken(page);
        }
    }

    fn decoder(&self, _lane: &Lane) -> Result<Box<dyn Decoder>> {
        Ok(Box::new(foreign::Refused))
    }

    fn progress(&self) -> Option<Progress> {
        Some(Progress {
            done: self.read,
            total: None,
            unit: "rows",
        })
    }

    async fn close(&mut self) -> Result<()> {
        self.kinds.clear();
        if let Some(store) = self.store.take() {
            store.close().await;
        }
        Ok(())
    }
}
