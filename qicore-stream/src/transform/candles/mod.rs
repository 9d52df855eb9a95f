//! `candles`: builds OHLCV candles of several timeframes from trades.
//!
//! - **Closing** goes by event time. A candle closes when the lane has come past its end by the [allowed
//!   lateness](CandlesConfig::allowed_lateness): when a trade of *any* symbol of the lane is that late. So the last candle
//!   of a symbol that falls silent comes as soon as the others move on; a partition that mixes fast and slow
//!   venues needs a lateness that covers the difference.
//! - **Late trades** correct a closed candle for a [time](CandlesConfig::correct_for): it is put out again with
//!   the same key and the next `revision`. A trade that is too late even for that is in no candle; it goes on like every
//!   other one, and an alert (`late_trade`) says so. The same holds for a trade that is later than its receipt (`future_trade`:
//!   it would close every candle of the lane), one without a time (`untimed_trade`), and one that a candle's volume cannot
//!   hold exactly (`volume_overflow`). A trade from the future with no time of receipt cannot be told; its time counts.
//! - **Open and close** are the earliest and latest trades by event time, by arrival among equals.
//! - **Volumes** are exact sums; `quote_volume` is the sum of price × size, absent where it cannot be held exactly.
//! - **Quality** is `medium` where an interval was not seen as a whole: the first candle of each symbol, unless its first
//!   trade is right at the open; those that a `gap` event falls into, unless its reason is a book's checksum; and carried ones.
//!   It is `low` if a trade's is. The enrichment says which: `partial_interval`, `carried` or `marked_trades`.
//! - **Order**: candles come right after the event that led to them, by their end, then by symbol in the order of first
//!   appearance, then by timeframe.
//! - **At the end of the source** the candles still open are put out with `closed: false`, and stay in the state.
//!
//! Sizes and prices are taken as they are; put `validate` in front. Candles that a venue sends pass like all other events;
//! they have the same keys as those built here, so a store should get only one of both. Two streams of the same trades
//! (Binance's `trade` and `aggTrade`) count twice: take one of them, by a filter where the source gives both.
//!
//! ```
//! use qicore_data::{Data, Decimal, Event, Exchange, Label, Output, Symbol, Timeframe, Timestamp, Trade, Transform};
//! use qicore_stream::transform::{Candles, CandlesConfig};
//!
//! let (exchange, symbol, source) = (Exchange::new("kraken")?, Symbol::new("BTC/USD")?, Label::new("docs")?);
//! let trade = |second, price| {
//!     let trade = Trade { id: None, side: None, price: Decimal::from(price), size: Decimal::ONE };
//!     Event::new(exchange, symbol, Timestamp::from_secs(second).unwrap(), source, trade)
//! };
//! let mut candles = Candles::new(CandlesConfig::new([Timeframe::M1]).pass_through(false))?;
//! let mut out = Output::default();
//! // The trade at 122 s is two seconds past the end of the minute that began at 60 s.
//! candles.apply(vec![trade(60, 10), trade(75, 12), trade(119, 11), trade(122, 9)], &mut out)?;
//! let [Event { timestamp, data: Data::Candle(candle), .. }] = &out.events[..] else { panic!() };
//! assert_eq!(*timestamp, Timestamp::from_secs(60).unwrap());
//! assert_eq!((candle.open, candle.high, candle.close), (10.into(), 12.into(), 11.into()));
//! assert_eq!((candle.volume, candle.quote_volume), (3.into(), Some(33.into())));
//! assert!(candle.closed);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod bar;
mod builder;
mod config;
mod frame;
mod problem;
mod reasons;
mod state;
mod sum;

pub use config::{CandlesConfig, Empty};

use builder::Builder;
use qicore_data::{Error, ErrorKind, Event, EventType, Label, NewTransform, Output, Plugin, Result, Transform};

use super::per_lane;

/// The registry's entry.
pub(super) const PLUGIN: Plugin<NewTransform> = Plugin::new(
    "candles",
    "builds candles of several timeframes from trades",
    |settings| match Candles::new(settings.read::<CandlesConfig>()?) {
        Ok(candles) => Ok(per_lane(candles)),
        Err(error) => Err(settings.mistake(error.message())),
    },
);

/// Interns one of this transform's own names.
fn name(text: &str) -> Result<Label> {
    Label::new(text).map_err(|error| Error::new(ErrorKind::Internal, "candles.new", error.to_string()))
}

/// Builds candles from trades. Made from timeframes, or from a [`CandlesConfig`].
#[derive(Debug, Clone)]
pub struct Candles {
    builder: Builder,
}

impl Candles {
    /// A builder without candles.
    ///
    /// # Errors
    /// If no timeframe is given.
    pub fn new(config: impl Into<CandlesConfig>) -> Result<Self> {
        Ok(Self {
            builder: Builder::new(config.into())?,
        })
    }

    /// Puts `made` between the events: `marks` tells after which event, and up to which of `made`.
    fn merge(&self, events: Vec<Event>, made: Vec<Event>, marks: Vec<(usize, usize)>, out: &mut Output) {
        out.events.reserve(events.len() + made.len());
        let (mut made, mut given) = (made.into_iter(), 0);
        let mut marks = marks.into_iter().peekable();
        for (at, event) in events.into_iter().enumerate() {
            if self.builder.config.pass_through || event.event_type() != EventType::Trade {
                out.events.push(event);
            }
            if let Some((_, to)) = marks.next_if(|(after, _)| *after == at) {
                out.events.extend(made.by_ref().take(to - given));
                given = to;
            }
        }
    }
}

impl Transform for Candles {
    fn name(&self) -> &str {
        "candles"
    }

    fn apply(&mut self, events: Vec<Event>, out: &mut Output) -> Result<()> {
        let (mut made, mut marks) = (Vec::new(), Vec::new());
        for (at, event) in events.iter().enumerate() {
            let before = made.len();
            self.builder.take(event, &mut made);
            if made.len() > before {
                marks.push((at, made.len()));
            }
        }
        if made.is_empty() && self.builder.config.pass_through {
            out.forward(events);
        } else {
            self.merge(events, made, marks, out);
        }
        Ok(())
    }

    fn flush(&mut self, out: &mut Output) -> Result<()> {
        out.forward(self.builder.open());
        Ok(())
    }

    fn needs_whole_stream(&self) -> bool {
        true
    }

    fn snapshot(&self) -> Result<Option<Box<str>>> {
        self.builder.save().map(Some)
    }

    fn restore(&mut self, state: &str) -> Result<()> {
        self.builder.load(state)
    }
}
