//! One kind of data of one symbol: what is asked next, and what is new in the answer. Pure: the time is told.

mod candles;
mod tickers;
mod trades;

use std::sync::Arc;
use std::time::Duration;

use ccxt::Value;
use qicore_data::{Checkpoint, Data, Enrichment, Event, Exchange, Label, Lane, Quality, Result, Symbol, Timestamp};

use crate::config::{CcxtConfig, Wanted};
use crate::page::Page;
use candles::Candles;
use tickers::Tickers;
use trades::Trades;

/// Answers are whole this long after the moment that they are about.
const GRACE: Duration = Duration::from_secs(5);

/// What all events of an exchange have in common.
#[derive(Debug, Clone)]
pub(crate) struct Common {
    pub(crate) exchange: Exchange,
    pub(crate) source: Label,
    pub(crate) enrichment: Arc<Enrichment>,
    /// Whether it goes on for good: then events have the time of their receipt.
    pub(crate) live: bool,
}

impl Common {
    /// An event of quality `medium`: its numbers have been floats.
    fn event(&self, symbol: Symbol, at: Timestamp, data: impl Into<Data>, now: Timestamp) -> Event {
        let mut event = Event::new(self.exchange, symbol, at, self.source, data);
        event.quality = Quality::Medium;
        event.enrichment = Some(Arc::clone(&self.enrichment));
        event.received = self.live.then_some(now);
        event
    }
}

/// When a stream is to be asked again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Again {
    /// There may be more already.
    Now,
    /// After the configured pause.
    Later,
}

/// A call of one of CCXT's unified methods.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) method: &'static str,
    pub(crate) arguments: Vec<Value>,
}

/// See the [module](self).
#[derive(Debug)]
pub(crate) struct Stream {
    pub(crate) lane: Lane,
    symbol: Symbol,
    page: Value,
    common: Common,
    data: Kind,
}

#[derive(Debug)]
enum Kind {
    Candles(Candles),
    Trades(Trades),
    Tickers(Tickers),
}

/// From when to when, as configured.
#[derive(Debug, Clone, Copy)]
struct Range {
    from: Timestamp,
    to: Option<Timestamp>,
}

impl Range {
    fn holds(&self, at: Timestamp) -> bool {
        self.from <= at && self.to.is_none_or(|to| at < to)
    }

    /// Whether all of it is past.
    fn is_over(&self, now: Timestamp) -> bool {
        self.to.is_some_and(|to| to.saturating_add(GRACE) <= now)
    }
}

impl Stream {
    /// The lane of a stream: another stretch of history is another lane.
    pub(crate) fn lane(config: &CcxtConfig, symbol: Symbol, wanted: Wanted) -> Lane {
        let stream = format!("ccxt/{}/{symbol} {wanted}", config.exchange);
        match (config.from, config.to) {
            (Some(from), Some(to)) => Lane::new(format!("{stream} {from}..{to}")),
            _ => Lane::new(stream),
        }
    }

    /// A stream that goes on behind `checkpoint`, or begins.
    pub(crate) fn new(
        config: &CcxtConfig,
        common: Common,
        (symbol, wanted): (Symbol, Wanted),
        checkpoint: Option<&Checkpoint>,
        now: Timestamp,
    ) -> Self {
        let position = checkpoint
            .map(|checkpoint| &checkpoint.position)
            .filter(|position| position.offset > 0);
        let range = Range {
            from: config.from.unwrap_or(match wanted {
                // What came while nobody asked is wanted too.
                _ if position.is_some() => Timestamp::from_nanos(0),
                // The bar that is open now is the first whole one that will be seen.
                Wanted::Candles(timeframe) => timeframe.floor(now),
                _ => now,
            }),
            to: config.to,
        };
        let data = match wanted {
            Wanted::Candles(timeframe) => Kind::Candles(Candles::new(timeframe, range, position, config.page)),
            Wanted::Trades => Kind::Trades(Trades::new(range, position, config.every)),
            Wanted::Tickers => Kind::Tickers(Tickers::new(position)),
        };
        Self {
            lane: Self::lane(config, symbol, wanted),
            symbol,
            page: config.page.map_or(Value::Null, |rows| Value::Int(rows.into())),
            common,
            data,
        }
    }

    /// What is asked next.
    pub(crate) fn call(&self) -> Call {
        let symbol = Value::from(self.symbol.as_str());
        let limit = self.page.clone();
        match &self.data {
            Kind::Candles(candles) => {
                let (timeframe, since) = candles.ask();
                Call {
                    method: "fetch_ohlcv",
                    arguments: vec![
                        symbol,
                        Value::from(timeframe.as_str()),
                        Value::Int(since),
                        limit,
                        Value::Null,
                    ],
                }
            }
            Kind::Trades(trades) => Call {
                method: "fetch_trades",
                arguments: vec![symbol, Value::Int(trades.ask()), limit, Value::Null],
            },
            Kind::Tickers(_) => Call {
                method: "fetch_ticker",
                arguments: vec![symbol, Value::Null],
            },
        }
    }

    /// What is new in the answer, which came at `now`.
    pub(crate) fn take(&mut self, answer: &Value, now: Timestamp) -> Result<(Page, Again)> {
        let event = |at, data| self.common.event(self.symbol, at, data, now);
        let taken = match &mut self.data {
            Kind::Candles(candles) => candles.take(answer, now, event),
            Kind::Trades(trades) => trades.take(answer, now, event),
            Kind::Tickers(tickers) => tickers.take(answer, now, event),
        };
        taken.map_err(|error| error.with("lane", &self.lane))
    }
}
