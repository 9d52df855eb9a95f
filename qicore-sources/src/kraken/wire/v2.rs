//! WebSocket v2: `{"channel": …, "type": "snapshot" | "update", "data": …}`, with prices and sizes as JSON numbers, which
//! are read from their digits.

use std::borrow::Cow;
use std::fmt;

use qicore_data::decimal::Number;
use qicore_data::{Side, Timestamp};
use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer};

mod book;

pub use book::{Books, BooksInto, Part};

/// Enough of an object to tell what it is.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Probe<'a> {
    /// Where data is from (`trade`, `status`).
    #[serde(borrow)]
    pub channel: Option<Cow<'a, str>>,
    /// What is answered or asked (`subscribe`).
    #[serde(borrow)]
    pub method: Option<Cow<'a, str>>,
    /// Whether a request was granted: all that is told of one that could not be read, besides an error.
    pub success: Option<bool>,
}

/// A data message of any channel but `book`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Message<T> {
    /// What the data is.
    #[serde(rename = "type")]
    pub kind: Kind,
    /// What is sent.
    pub data: T,
}

/// What a message's data is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// The state at the time of subscription.
    Snapshot,
    /// What is new since.
    Update,
}

/// An answer to a client's request, as far as it is read.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Acknowledged<'a> {
    /// What was subscribed to, where it was.
    #[serde(borrow)]
    pub result: Option<Subscription<'a>>,
}

/// What an acknowledgement says of a subscription.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Subscription<'a> {
    /// The channel.
    #[serde(borrow)]
    pub channel: Option<Cow<'a, str>>,
    /// The pair.
    #[serde(borrow)]
    pub symbol: Option<Cow<'a, str>>,
    /// Levels of a side.
    pub depth: Option<usize>,
}

/// A time in RFC 3339. `None` for 1970, which Kraken writes for a time that it does not know.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Time(pub Option<Timestamp>);

impl<'de> Deserialize<'de> for Time {
    #[inline]
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Rfc3339;
        impl Visitor<'_> for Rfc3339 {
            type Value = Time;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an RFC 3339 time")
            }
            #[inline]
            fn visit_str<E: Error>(self, text: &str) -> Result<Time, E> {
                match Timestamp::from_rfc3339(text) {
                    Ok(Timestamp::UNKNOWN) => Ok(Time(None)),
                    Ok(at) => Ok(Time(Some(at))),
                    Err(_) => Err(E::invalid_value(serde::de::Unexpected::Str(text), &self)),
                }
            }
            fn visit_unit<E: Error>(self) -> Result<Time, E> {
                Ok(Time(None))
            }
        }
        deserializer.deserialize_any(Rfc3339)
    }
}

/// A trade of the `trade` channel.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Trade<'a> {
    /// The pair (`BTC/USD`).
    #[serde(borrow)]
    pub symbol: Cow<'a, str>,
    /// Who took.
    pub side: Taker,
    /// Price.
    pub price: Number,
    /// Size in base currency.
    pub qty: Number,
    /// The trade's number among those of the pair.
    pub trade_id: u64,
    /// When it was made.
    pub timestamp: Time,
}

/// The taker's side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Taker {
    /// The taker bought.
    Buy,
    /// The taker sold.
    Sell,
}

impl From<Taker> for Side {
    fn from(taker: Taker) -> Self {
        match taker {
            Taker::Buy => Self::Buy,
            Taker::Sell => Self::Sell,
        }
    }
}

/// A pair's state in the `ticker` channel, over 24 hours. Of a pair that nobody trades numbers are 0 or absent.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Ticker<'a> {
    /// The pair (`BTC/USD`).
    #[serde(borrow)]
    pub symbol: Cow<'a, str>,
    /// Best bid price.
    pub bid: Option<Number>,
    /// Size at the best bid.
    pub bid_qty: Option<Number>,
    /// Best ask price.
    pub ask: Option<Number>,
    /// Size at the best ask.
    pub ask_qty: Option<Number>,
    /// Last price.
    pub last: Option<Number>,
    /// Volume in base currency.
    pub volume: Option<Number>,
    /// Lowest price.
    pub low: Option<Number>,
    /// Highest price.
    pub high: Option<Number>,
    /// When it was so; older messages have none.
    #[serde(default)]
    pub timestamp: Time,
}

/// A bar of the `ohlc` channel.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Ohlc<'a> {
    /// The pair (`BTC/USD`).
    #[serde(borrow)]
    pub symbol: Cow<'a, str>,
    /// First price.
    pub open: Number,
    /// Highest price.
    pub high: Number,
    /// Lowest price.
    pub low: Number,
    /// Last price.
    pub close: Number,
    /// Volume in base currency.
    pub volume: Number,
    /// Number of trades.
    pub trades: u64,
    /// Open time. (`timestamp`, the bar's end, is deprecated.)
    pub interval_begin: Time,
    /// Length in minutes.
    pub interval: u64,
}

/// The data of the `instrument` channel, as far as it is read.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Instruments<'a> {
    /// Pairs.
    #[serde(borrow, default)]
    pub pairs: Vec<Pair<'a>>,
}

/// A pair of the `instrument` channel.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Pair<'a> {
    /// The name (`BTC/USD`).
    #[serde(borrow)]
    pub symbol: Cow<'a, str>,
    /// Base currency.
    #[serde(borrow)]
    pub base: Cow<'a, str>,
    /// Quote currency.
    #[serde(borrow)]
    pub quote: Cow<'a, str>,
    /// `online`, `cancel_only`, `delisted`, `limit_only`, `maintenance`, `post_only`, `reduce_only`, `work_in_progress`.
    #[serde(borrow)]
    pub status: Cow<'a, str>,
    /// Fractional digits of a price.
    pub price_precision: u32,
    /// Fractional digits of a size.
    pub qty_precision: u32,
    /// Smallest price step.
    pub price_increment: Option<Number>,
    /// Smallest size step.
    pub qty_increment: Option<Number>,
}

/// A pair's orders in a snapshot of the `level3` channel.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Orders<'a> {
    /// The pair (`BTC/USD`).
    #[serde(borrow)]
    pub symbol: Cow<'a, str>,
    /// Orders to buy, best price first.
    pub bids: Vec<Order>,
    /// Orders to sell, best price first.
    pub asks: Vec<Order>,
}

/// An order of the `level3` channel, as far as it is read.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Order {
    /// Price.
    pub limit_price: Number,
    /// What is open of its size.
    pub order_qty: Number,
    /// When it was placed or changed.
    pub timestamp: Time,
}
