//! The generated market: pure functions of a seed. Nothing is stored; trades, bars and books of any time are computed when
//! asked for, so a history of a million bars costs nothing until it is read.

mod book;
mod candles;
mod day;
pub(crate) mod decimal;
mod instrument;
mod live;
mod noise;
mod timeframe;
pub(crate) mod times;
mod trades;
mod truth;

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

pub use instrument::Instrument;
pub use timeframe::Timeframe;
pub use truth::{Side, TruthBook, TruthCandle, TruthQuote, TruthTrade};

pub(crate) use book::{Book, Changes, Level};
pub(crate) use candles::Bar;
pub(crate) use day::Day;
pub(crate) use live::Live;
pub(crate) use trades::Fill;

use crate::VenueKind;
use noise::Noise;

/// What a market is made of.
#[derive(Debug, Clone)]
pub(crate) struct Config {
    pub(crate) kind: VenueKind,
    pub(crate) instruments: Vec<Instrument>,
    pub(crate) seed: u64,
    /// Nanoseconds.
    pub(crate) start: i64,
    pub(crate) trade_interval: Duration,
    pub(crate) book_interval: Duration,
    pub(crate) book_depth: usize,
    /// Nanoseconds the venue's clock is ahead.
    pub(crate) skew: i64,
}

/// The market behind a venue, and its truth. Cheap to clone. Symbols are canonical (`BTC/USDT`), times nanoseconds since the
/// epoch; unknown symbols give `None` or nothing.
#[derive(Debug, Clone)]
pub struct Market {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    kind: VenueKind,
    /// Nanoseconds of the venue's time resolution.
    quantum: i64,
    start: i64,
    trade_interval: i64,
    book_interval: i64,
    book_depth: usize,
    skew: i64,
    series: BTreeMap<String, Series>,
}

/// One symbol's market.
#[derive(Debug)]
pub(crate) struct Series {
    pub(crate) instrument: Instrument,
    noise: Noise,
    memo: Mutex<Memo>,
}

/// What is remembered, because many connections ask for the same at once, and what tests changed.
#[derive(Debug, Default)]
struct Memo {
    books: VecDeque<Arc<Book>>,
    minutes: BTreeMap<i64, Bar>,
    revised: BTreeMap<(&'static str, i64), Bar>,
    /// No trade and no book update at or after this time.
    delisted: Option<i64>,
}

impl Series {
    fn memo(&self) -> MutexGuard<'_, Memo> {
        self.memo.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Market {
    pub(crate) fn new(config: &Config) -> Self {
        let series = config.instruments.iter().map(|instrument| {
            let noise = Noise::new(config.seed, &instrument.symbol);
            (
                instrument.symbol.clone(),
                Series {
                    instrument: instrument.clone(),
                    noise,
                    memo: Mutex::default(),
                },
            )
        });
        let nanos = |duration: Duration| i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX).max(1);
        Self {
            shared: Arc::new(Shared {
                kind: config.kind,
                quantum: if config.kind == VenueKind::Binance {
                    1_000_000
                } else {
                    1_000
                },
                start: config.start,
                trade_interval: nanos(config.trade_interval),
                book_interval: nanos(config.book_interval),
                book_depth: config.book_depth.max(1),
                skew: config.skew,
                series: series.collect(),
            }),
        }
    }

    /// The venue's clock: real time and the skew, in nanoseconds.
    pub fn now(&self) -> i64 {
        let real = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default()
            .as_nanos();
        i64::try_from(real).unwrap_or(i64::MAX) + self.shared.skew
    }

    /// When the first trade may happen.
    pub fn start(&self) -> i64 {
        self.shared.start
    }

    /// The canonical symbols, delisted ones too.
    pub fn symbols(&self) -> Vec<String> {
        self.shared.series.keys().cloned().collect()
    }

    /// The instrument of a symbol.
    pub fn instrument(&self, symbol: &str) -> Option<&Instrument> {
        self.series(symbol).map(|series| &series.instrument)
    }

    /// The timeframe of that name with this venue's alignment.
    pub fn timeframe(&self, name: &str) -> Option<Timeframe> {
        match self.shared.kind {
            VenueKind::Kraken => Timeframe::of_kraken(name),
            VenueKind::Binance | VenueKind::Coinbase => Timeframe::of(name),
        }
    }

    /// Stops a symbol's market at `time`.
    pub(crate) fn delist(&self, symbol: &str, time: i64) {
        if let Some(series) = self.series(symbol) {
            series.memo().delisted = Some(time);
        }
    }

    /// Whether the symbol is traded now.
    pub fn is_listed(&self, symbol: &str) -> bool {
        self.series(symbol)
            .is_some_and(|series| series.memo().delisted.is_none())
    }

    pub(crate) fn series(&self, symbol: &str) -> Option<&Series> {
        self.shared.series.get(symbol)
    }

    pub(crate) fn listed(&self) -> impl Iterator<Item = &Series> {
        self.shared
            .series
            .values()
            .filter(|series| series.memo().delisted.is_none())
    }

    /// The listed series of a native name, given how the venue makes it.
    pub(crate) fn find(&self, name: &str, native: impl Fn(&Instrument) -> String) -> Option<&Series> {
        self.listed().find(|series| native(&series.instrument) == name)
    }

    /// The last moment whose data exist: `time`, or the delisting before it.
    pub(crate) fn until(series: &Series, time: i64) -> i64 {
        series.memo().delisted.map_or(time, |end| time.min(end - 1))
    }
}
