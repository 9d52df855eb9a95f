//! What Binance sends, as far as it is read. Text is borrowed from the frame; decimals are read from their digits.
//!
//! Field names after `binance/binance-spot-api-docs`, `web-socket-streams.md` and `rest-api.md`; the fields that only
//! futures send (`pu`, and `E` where spot has none) after the USDⓈ-M documentation.

use std::borrow::Cow;
use std::fmt;

use qicore_data::decimal::Quoted;
use qicore_data::{Level, Timestamp};
use serde::de::{IgnoredAny, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, de};
use serde_json::value::RawValue;

pub mod rest;
mod tickers;

pub use tickers::{AveragePrice, ReferencePrice, RollingTicker, Ticker};

/// A combined stream's message.
#[derive(Debug, Deserialize)]
pub struct Combined<T> {
    /// The stream's payload.
    pub data: T,
}

/// A message of unknown form: enough of it to tell what it is.
#[derive(Debug, Deserialize)]
pub struct Probe<'a> {
    /// The stream's name, in a combined stream.
    #[serde(borrow)]
    pub stream: Option<Cow<'a, str>>,
    /// The payload, in a combined stream.
    #[serde(borrow)]
    pub data: Option<&'a RawValue>,
    /// The type of event.
    #[serde(borrow, rename = "e")]
    pub event: Option<Cow<'a, str>>,
    /// A client's request.
    #[serde(default)]
    pub method: Present,
    /// The answer to a request; null where there is nothing to say but yes.
    #[serde(default)]
    pub result: Present,
    /// An error.
    #[serde(default)]
    pub error: Present,
    /// The text of an error in its older form.
    #[serde(default)]
    pub msg: Present,
    /// The size at the best bid: of what has no type, only the book ticker has it.
    #[serde(default, rename = "B")]
    pub bid_size: Present,
    /// A book snapshot's number.
    #[serde(default, rename = "lastUpdateId")]
    pub last_update: Present,
    /// An instrument list.
    #[serde(default)]
    pub symbols: Present,
    /// The venue's time: of an instrument list, or alone.
    #[serde(default, rename = "serverTime")]
    pub server_time: Present,
}

/// Whether a field is there, be it null.
#[derive(Debug, Clone, Copy, Default)]
pub struct Present(pub bool);

impl<'de> Deserialize<'de> for Present {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        IgnoredAny::deserialize(deserializer).map(|_| Self(true))
    }
}

/// A time in milliseconds since 1970, or in microseconds where the connection asks for them (`timeUnit=`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Time(pub Timestamp);

impl<'de> Deserialize<'de> for Time {
    #[inline]
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // As milliseconds this is the year 5138, as microseconds March 1973.
        const MICROSECONDS_FROM: i64 = 100_000_000_000_000;
        let time = i64::deserialize(deserializer)?;
        let nanos = time.checked_mul(if time < MICROSECONDS_FROM { 1_000_000 } else { 1_000 });
        nanos
            .map(|nanos| Self(Timestamp::from_nanos(nanos)))
            .ok_or_else(|| de::Error::custom(format_args!("time {time} is out of range")))
    }
}

/// `aggTrade`: fills of one taker order at one price.
#[derive(Debug, Deserialize)]
pub struct AggTrade<'a> {
    /// Native name.
    #[serde(borrow, rename = "s")]
    pub symbol: Cow<'a, str>,
    /// Id of the aggregate.
    #[serde(rename = "a")]
    pub id: u64,
    /// Price.
    #[serde(rename = "p")]
    pub price: Quoted,
    /// Size.
    #[serde(rename = "q")]
    pub size: Quoted,
    /// Time of the trade.
    #[serde(rename = "T")]
    pub time: Time,
    /// Whether the buyer was the maker.
    #[serde(rename = "m")]
    pub buyer_is_maker: bool,
}

/// `trade`: a single fill.
#[derive(Debug, Deserialize)]
pub struct Trade<'a> {
    /// Native name.
    #[serde(borrow, rename = "s")]
    pub symbol: Cow<'a, str>,
    /// Id of the trade.
    #[serde(rename = "t")]
    pub id: u64,
    /// Price.
    #[serde(rename = "p")]
    pub price: Quoted,
    /// Size.
    #[serde(rename = "q")]
    pub size: Quoted,
    /// Time of the trade.
    #[serde(rename = "T")]
    pub time: Time,
    /// Whether the buyer was the maker.
    #[serde(rename = "m")]
    pub buyer_is_maker: bool,
}

/// `bookTicker`: best bid and ask.
#[derive(Debug, Deserialize)]
pub struct BookTicker<'a> {
    /// Native name.
    #[serde(borrow, rename = "s")]
    pub symbol: Cow<'a, str>,
    /// Best bid price.
    #[serde(rename = "b")]
    pub bid: Quoted,
    /// Size at the best bid.
    #[serde(rename = "B")]
    pub bid_size: Quoted,
    /// Best ask price.
    #[serde(rename = "a")]
    pub ask: Quoted,
    /// Size at the best ask.
    #[serde(rename = "A")]
    pub ask_size: Quoted,
    /// Time of the event; futures only.
    #[serde(rename = "E")]
    pub time: Option<Time>,
}

/// `depthUpdate`: changed levels of a book.
#[derive(Debug, Deserialize)]
pub struct DepthUpdate<'a> {
    /// Time of the event.
    #[serde(rename = "E")]
    pub time: Time,
    /// Native name.
    #[serde(borrow, rename = "s")]
    pub symbol: Cow<'a, str>,
    /// Number of the first update contained.
    #[serde(rename = "U")]
    pub first: u64,
    /// Number of the last update contained.
    #[serde(rename = "u")]
    pub last: u64,
    /// The last number of the message before; futures only.
    #[serde(rename = "pu")]
    pub previous: Option<u64>,
    /// Changed bids.
    #[serde(rename = "b", deserialize_with = "levels")]
    pub bids: Vec<Level>,
    /// Changed asks.
    #[serde(rename = "a", deserialize_with = "levels")]
    pub asks: Vec<Level>,
}

/// A book snapshot: the body of `/depth`, and partial depth streams. The short names are those of futures, which send
/// their partial depth in the form of an update.
#[derive(Debug, Deserialize)]
pub struct DepthSnapshot<'a> {
    /// Number of the last update contained.
    #[serde(rename = "lastUpdateId", alias = "u")]
    pub last: u64,
    /// Time of the event; futures only.
    #[serde(rename = "E")]
    pub time: Option<Time>,
    /// Native name; futures only.
    #[serde(borrow, rename = "s")]
    pub symbol: Option<Cow<'a, str>>,
    /// Bids, best first.
    #[serde(alias = "b", deserialize_with = "levels")]
    pub bids: Vec<Level>,
    /// Asks, best first.
    #[serde(alias = "a", deserialize_with = "levels")]
    pub asks: Vec<Level>,
}

/// `kline`: a candle.
#[derive(Debug, Deserialize)]
pub struct Kline<'a> {
    /// Native name.
    #[serde(borrow, rename = "s")]
    pub symbol: Cow<'a, str>,
    /// The candle.
    #[serde(borrow, rename = "k")]
    pub bar: Bar<'a>,
}

/// The candle in [`Kline`].
#[derive(Debug, Deserialize)]
pub struct Bar<'a> {
    /// Open time.
    #[serde(rename = "t")]
    pub open_time: Time,
    /// Interval.
    #[serde(borrow, rename = "i")]
    pub interval: Cow<'a, str>,
    /// First price.
    #[serde(rename = "o")]
    pub open: Quoted,
    /// Last price.
    #[serde(rename = "c")]
    pub close: Quoted,
    /// Highest price.
    #[serde(rename = "h")]
    pub high: Quoted,
    /// Lowest price.
    #[serde(rename = "l")]
    pub low: Quoted,
    /// Volume in base currency.
    #[serde(rename = "v")]
    pub volume: Quoted,
    /// Number of trades.
    #[serde(rename = "n")]
    pub trades: u64,
    /// Whether the interval is over.
    #[serde(rename = "x")]
    pub closed: bool,
    /// Volume in quote currency.
    #[serde(rename = "q")]
    pub quote_volume: Quoted,
}

/// The body of `/exchangeInfo`.
#[derive(Debug, Deserialize)]
pub struct ExchangeInfo<'a> {
    /// The venue's time.
    #[serde(rename = "serverTime")]
    pub time: Option<Time>,
    /// The instruments.
    #[serde(borrow)]
    pub symbols: Vec<SymbolInfo<'a>>,
}

/// An instrument in [`ExchangeInfo`].
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SymbolInfo<'a> {
    /// Native name.
    #[serde(borrow)]
    pub symbol: Cow<'a, str>,
    /// `TRADING`, or why not.
    #[serde(borrow, alias = "contractStatus")]
    pub status: Cow<'a, str>,
    /// Base currency.
    #[serde(borrow)]
    pub base_asset: Cow<'a, str>,
    /// Quote currency.
    #[serde(borrow)]
    pub quote_asset: Cow<'a, str>,
    /// What only futures have: `PERPETUAL`, `CURRENT_QUARTER`, …
    #[serde(borrow)]
    pub contract_type: Option<Cow<'a, str>>,
    /// What the venue checks orders by.
    #[serde(borrow)]
    pub filters: Vec<Filter<'a>>,
}

/// A filter in [`SymbolInfo`]; each kind has fields of its own.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Filter<'a> {
    /// The kind of filter.
    #[serde(borrow, rename = "filterType")]
    pub kind: Cow<'a, str>,
    /// `PRICE_FILTER`: the price step; 0 where there is none.
    pub tick_size: Option<Quoted>,
    /// `LOT_SIZE`: the size step; 0 where there is none.
    pub step_size: Option<Quoted>,
}

/// Levels as `[price, size]`. What follows the size is not read: until 2019 an empty array did.
fn levels<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Level>, D::Error> {
    struct Levels;
    impl<'de> Visitor<'de> for Levels {
        type Value = Vec<Level>;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("levels")
        }
        #[inline]
        fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Vec<Level>, A::Error> {
            let mut levels = Vec::with_capacity(8);
            while let Some(Pair(level)) = seq.next_element()? {
                levels.push(level);
            }
            Ok(levels)
        }
    }
    deserializer.deserialize_seq(Levels)
}

struct Pair(Level);

impl<'de> Deserialize<'de> for Pair {
    #[inline]
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct PairVisitor;
        impl<'de> Visitor<'de> for PairVisitor {
            type Value = Pair;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("[price, size]")
            }
            #[inline]
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Pair, A::Error> {
                let mut next = |at| {
                    let found = seq.next_element::<Quoted>()?;
                    found.ok_or_else(|| de::Error::invalid_length(at, &self))
                };
                let level = Level::new(next(0)?.0, next(1)?.0);
                while seq.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Pair(level))
            }
        }
        deserializer.deserialize_seq(PairVisitor)
    }
}
