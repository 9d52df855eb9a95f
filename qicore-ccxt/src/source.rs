//! The source.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use ccxt::TypedExchange;
use qicore_data::{
    Batch, BatchLimit, Enrichment, Error, ErrorKind, Exchange, Label, Lane, Mistakes, NameError, Position, Progress,
    Result, Resume, Settings, Source, SourceCapabilities, Timestamp,
};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::config::{CcxtConfig, unusable};
use crate::error;
use crate::page::Cutting;
use crate::stream::{Common, Stream};
use crate::worker::{self, Told};

const NAME: &str = "ccxt";
/// Pages that wait for the pipeline.
const WAITING: usize = 4;

/// Makes the exchange; a test's own in tests.
pub(crate) type Make = Arc<dyn Fn(&CcxtConfig) -> Result<Box<dyn TypedExchange>> + Send + Sync>;

/// A source of an exchange's candles, trades and tickers; see the [crate](crate).
pub struct Ccxt {
    config: CcxtConfig,
    make: Make,
    reading: Option<Reading>,
}

impl fmt::Debug for Ccxt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ccxt")
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

/// The task at work, and what it has told.
struct Reading {
    told: mpsc::Receiver<Told>,
    /// Ends with this.
    _task: JoinSet<()>,
    lanes: Vec<Progressing>,
    /// The page that is being given, and its lane's number.
    page: Option<(usize, Cutting)>,
}

struct Progressing {
    lane: Lane,
    position: Position,
    at: Timestamp,
    done: bool,
}

impl Ccxt {
    /// An exchange's data as configured. Mistakes in the configuration are told by [`open`](Source::open).
    pub fn new(config: CcxtConfig) -> Self {
        Self::made_by(config, Arc::new(make))
    }

    pub(crate) fn made_by(config: CcxtConfig, make: Make) -> Self {
        Self {
            config,
            make,
            reading: None,
        }
    }

    pub(crate) fn build(settings: &Settings) -> Result<Box<dyn Source>, Mistakes> {
        let config: CcxtConfig = settings.read()?;
        config.check().map_err(|error| settings.mistake_of(&error))?;
        make(&config).map_err(|error| settings.mistake_of(&error))?;
        Ok(Box::new(Self::new(config)))
    }

    fn common(&self) -> Result<Common, NameError> {
        let mut enrichment = Enrichment::default();
        enrichment.add_reason(Label::new(crate::FLOAT)?);
        Ok(Common {
            exchange: Exchange::new(&self.config.exchange)?,
            source: Label::new(NAME)?,
            enrichment: Arc::new(enrichment),
            live: self.config.to.is_none(),
        })
    }

    /// The streams that are not at their end, each from where its lane goes on.
    async fn streams(&self, resume: &dyn Resume) -> Result<(Vec<Stream>, Vec<Progressing>)> {
        let common = self
            .common()
            .map_err(|error| unusable("exchange", &error.to_string()))?;
        let now = Timestamp::now();
        let (mut streams, mut lanes) = (Vec::new(), Vec::new());
        for symbol in &self.config.symbols {
            for wanted in &self.config.data {
                let lane = Stream::lane(&self.config, *symbol, *wanted);
                let from = resume.checkpoint(&lane).await?;
                let done = from.as_ref().is_some_and(|from| from.finished);
                let finished_at = self.config.to.filter(|_| done);
                lanes.push(Progressing {
                    lane,
                    position: from.as_ref().map_or(Position::at(0), |from| from.position.clone()),
                    at: finished_at.or(self.config.from).unwrap_or(now),
                    done,
                });
                let which = (*symbol, *wanted);
                streams.push((!done).then(|| Stream::new(&self.config, common.clone(), which, from.as_deref(), now)));
            }
        }
        // The number of a stream is that of its lane.
        lanes.sort_by_key(|lane| lane.done);
        Ok((streams.into_iter().flatten().collect(), lanes))
    }
}

/// The exchange of the configuration.
fn make(config: &CcxtConfig) -> Result<Box<dyn TypedExchange>> {
    ccxt::from_id(&config.exchange, Some(config.to_ccxt())).ok_or_else(|| {
        let message = format!(
            "exchange {:?} is unknown to CCXT, or not compiled in: its cargo feature is ccxt-{}",
            config.exchange, config.exchange
        );
        unusable("exchange", &message)
    })
}

#[async_trait]
impl Source for Ccxt {
    fn name(&self) -> &str {
        NAME
    }

    fn capabilities(&self) -> SourceCapabilities {
        match self.config.to {
            Some(_) => SourceCapabilities::default().replayable().finite(),
            None => SourceCapabilities::default().catches_up(),
        }
    }

    async fn open(&mut self, resume: Arc<dyn Resume>) -> Result<()> {
        self.config.check()?;
        self.reading = None;
        let mut exchange = (self.make)(&self.config)?;
        let markets = exchange.call_raw("load_markets", vec![ccxt::Value::Bool(false)]).await;
        markets.map_err(|error| error::of(&error, "load_markets"))?;
        for symbol in &self.config.symbols {
            let known = exchange.market(symbol.as_str());
            known.map_err(|error| {
                error::of(&error, "market")
                    .with("setting", "symbols")
                    .with("symbol", symbol)
            })?;
        }
        let (streams, lanes) = self.streams(resume.as_ref()).await?;
        let (sender, told) = mpsc::channel(WAITING);
        let mut task = JoinSet::new();
        task.spawn(worker::run(
            exchange,
            streams,
            (self.config.every, self.config.retry),
            sender,
        ));
        self.reading = Some(Reading {
            told,
            _task: task,
            lanes,
            page: None,
        });
        Ok(())
    }

    async fn next_batch(&mut self, limit: BatchLimit) -> Result<Option<Batch>> {
        let Some(reading) = &mut self.reading else {
            return Err(Error::new(ErrorKind::Internal, "ccxt.next", "the source is not open"));
        };
        loop {
            if let Some((at, page)) = &mut reading.page {
                let batch = page.next(limit);
                let lane = &mut reading.lanes[*at];
                lane.position = page.position().clone();
                match batch {
                    Some(batch) => {
                        lane.done |= batch.end.is_some();
                        return Ok(Some(batch));
                    }
                    None => reading.page = None,
                }
            }
            if reading.lanes.iter().all(|lane| lane.done) {
                return Ok(None);
            }
            // What is under way is the task's: to drop this future loses nothing.
            let Some(told) = reading.told.recv().await else {
                let message = "the task that asks the exchange has ended";
                return Err(Error::new(ErrorKind::Internal, "ccxt.next", message));
            };
            let (at, page) = told?;
            let lane = &mut reading.lanes[at];
            lane.at = page.at;
            reading.page = Some((at, Cutting::new(lane.lane.clone(), page, lane.position.clone())));
        }
    }

    fn progress(&self) -> Option<Progress> {
        let (from, to) = (self.config.from?, self.config.to?);
        let lanes = &self.reading.as_ref()?.lanes;
        Some(Progress {
            done: lanes.iter().map(|lane| lane.at.min(to).since(from).as_secs()).sum(),
            total: Some(to.since(from).as_secs() * lanes.len() as u64),
            unit: "seconds of the market",
        })
    }

    async fn close(&mut self) -> Result<()> {
        // CCXT has nothing to close: its connections end with the task.
        self.reading = None;
        Ok(())
    }
}
