//! What Coinbase sends, as far as it is read: here the feed of Advanced Trade. Text is borrowed from the frame; decimals
//! are read from their digits.
//!
//! Field names after `advanced-trade-asyncapi.json` and the Advanced Trade REST reference at docs.cdp.coinbase.com.

use std::borrow::Cow;
use std::fmt;

use qicore_data::decimal::{self, Quoted};
use qicore_data::{Decimal, Level, Timestamp, TimestampError};
use serde::de::{IgnoredAny, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, de};

pub mod exchange;
pub mod rest;
mod trades;

pub use trades::{MakerSide, Trade, TradesEvent, TradesInto};

/// A message of any channel, with the channel's events.
#[derive(Debug, Deserialize)]
pub struct Message<E> {
    /// When the venue sent it.
    pub timestamp: Time,
    /// Its number on the connection, over all channels.
    pub sequence_num: u64,
    /// The channel's events.
    pub events: Vec<E>,
}

/// A payload of unknown form: enough of it to tell what it is.
#[derive(Debug, Deserialize)]
pub struct Probe<'a> {
    /// The channel of an Advanced Trade message.
    #[serde(borrow)]
    pub channel: Option<Cow<'a, str>>,
    /// The type of an error, a client's request, or a message of the Exchange feed.
    #[serde(borrow, rename = "type")]
    pub message_type: Option<Cow<'a, str>>,
    /// A product list.
    pub products: Option<IgnoredAny>,
}

/// A time in RFC 3339 with up to nine fractional digits. `None` where the venue writes its zero time (the year 1, or
/// 1970), or nothing, for a time that it does not know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Time(pub Option<Timestamp>);

impl Time {
    /// Reads the venue's text.
    pub fn parse(text: &str) -> Result<Self, TimestampError> {
        match Timestamp::from_rfc3339(text) {
            Ok(Timestamp::UNKNOWN) => Ok(Self(None)),
            Ok(at) => Ok(Self(Some(at))),
            Err(TimestampError::OutOfRange) if text.starts_with("0001-01-01T") => Ok(Self(None)),
            Err(_) if text.is_empty() => Ok(Self(None)),
            Err(error) => Err(error),
        }
    }
}

impl<'de> Deserialize<'de> for Time {
    #[inline]
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TimeVisitor;
        impl Visitor<'_> for TimeVisitor {
            type Value = Time;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an RFC 3339 time")
            }
            #[inline]
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Time, E> {
                Time::parse(text).map_err(E::custom)
            }
        }
        deserializer.deserialize_str(TimeVisitor)
    }
}

/// A decimal that may be absent, which the venue writes as an empty string; `null` says the same.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Maybe(pub Option<Decimal>);

impl<'de> Deserialize<'de> for Maybe {
    #[inline]
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct MaybeVisitor;
        impl Visitor<'_> for MaybeVisitor {
            type Value = Maybe;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a decimal in a string, or an empty one")
            }
            #[inline]
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Maybe, E> {
                match decimal::parse(text) {
                    Ok(value) => Ok(Maybe(Some(value))),
                    Err(decimal::DecimalError::Empty) => Ok(Maybe(None)),
                    Err(error) => Err(E::custom(error)),
                }
            }
            fn visit_unit<E: de::Error>(self) -> Result<Maybe, E> {
                Ok(Maybe(None))
            }
        }
        deserializer.deserialize_any(MaybeVisitor)
    }
}

/// What an event is in its channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EventKind {
    /// The state at the time of subscription.
    Snapshot,
    /// A change since.
    Update,
}

/// An event of `l2_data`.
#[derive(Debug, Deserialize)]
pub struct L2Event<'a> {
    /// Snapshot or change.
    #[serde(rename = "type")]
    pub kind: EventKind,
    /// Native name.
    #[serde(borrow)]
    pub product_id: Cow<'a, str>,
    /// Levels.
    pub updates: Updates,
}

/// The levels of an [`L2Event`], sorted into sides while they are read: a snapshot has tens of thousands.
#[derive(Debug, Default)]
pub struct Updates {
    /// Bids, in the venue's order.
    pub bids: Vec<Level>,
    /// Asks, in the venue's order.
    pub asks: Vec<Level>,
    /// The latest time of any level.
    pub latest: Option<Timestamp>,
}

/// One level in `l2_data`.
#[derive(Debug, Deserialize)]
pub struct Update<'a> {
    /// Side of the book.
    pub side: BookSide,
    /// When the venue's matching engine changed it.
    #[serde(borrow)]
    pub event_time: Cow<'a, str>,
    /// Price.
    pub price_level: Quoted,
    /// The level's new total size; 0 deletes it.
    pub new_quantity: Quoted,
}

/// The side of an [`Update`], and of a change in Exchange's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BookSide {
    /// Buyers.
    #[serde(alias = "buy")]
    Bid,
    /// Sellers; documented as `offer`.
    #[serde(alias = "ask", alias = "sell")]
    Offer,
}

impl<'de> Deserialize<'de> for Updates {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct UpdatesVisitor;
        impl<'de> Visitor<'de> for UpdatesVisitor {
            type Value = Updates;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("book levels")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Updates, A::Error> {
                let mut updates = Updates::default();
                // Neighbours mostly share their time: its text is read once.
                let mut known: Cow<'de, str> = Cow::Borrowed("");
                while let Some(update) = seq.next_element::<Update<'de>>()? {
                    if update.event_time != known {
                        let time = Time::parse(&update.event_time).map_err(de::Error::custom)?;
                        updates.latest = updates.latest.max(time.0);
                        known = update.event_time;
                    }
                    let level = Level::new(update.price_level.0, update.new_quantity.0);
                    match update.side {
                        BookSide::Bid => updates.bids.push(level),
                        BookSide::Offer => updates.asks.push(level),
                    }
                }
                Ok(updates)
            }
        }
        deserializer.deserialize_seq(UpdatesVisitor)
    }
}

/// An event of `ticker` or `ticker_batch`.
#[derive(Debug, Deserialize)]
pub struct TickersEvent<'a> {
    /// Tickers.
    #[serde(borrow)]
    pub tickers: Vec<Ticker<'a>>,
}

/// One product's ticker.
#[derive(Debug, Deserialize)]
pub struct Ticker<'a> {
    /// Native name.
    #[serde(borrow)]
    pub product_id: Cow<'a, str>,
    /// Last price.
    #[serde(default)]
    pub price: Maybe,
    /// Volume over 24 h, in base currency.
    #[serde(default)]
    pub volume_24_h: Maybe,
    /// Lowest price in 24 h.
    #[serde(default)]
    pub low_24_h: Maybe,
    /// Highest price in 24 h.
    #[serde(default)]
    pub high_24_h: Maybe,
    /// Best bid price.
    #[serde(default)]
    pub best_bid: Maybe,
    /// Size at the best bid.
    #[serde(default)]
    pub best_bid_quantity: Maybe,
    /// Best ask price.
    #[serde(default)]
    pub best_ask: Maybe,
    /// Size at the best ask.
    #[serde(default)]
    pub best_ask_quantity: Maybe,
}

/// An event of `candles`.
#[derive(Debug, Deserialize)]
pub struct CandlesEvent<'a> {
    /// Five-minute candles.
    #[serde(borrow)]
    pub candles: Vec<Candle<'a>>,
}

/// One candle.
#[derive(Debug, Deserialize)]
pub struct Candle<'a> {
    /// Native name.
    #[serde(borrow)]
    pub product_id: Cow<'a, str>,
    /// Open time in seconds since 1970.
    #[serde(borrow)]
    pub start: Cow<'a, str>,
    /// First price.
    pub open: Quoted,
    /// Highest price.
    pub high: Quoted,
    /// Lowest price.
    pub low: Quoted,
    /// Last price.
    pub close: Quoted,
    /// Volume in base currency.
    pub volume: Quoted,
}

/// An event of `status`, and the body of `/products`.
#[derive(Debug, Deserialize)]
pub struct Products<'a> {
    /// Instruments.
    #[serde(borrow)]
    pub products: Vec<Product<'a>>,
}

/// One instrument. The channel and the endpoint name some fields differently.
#[derive(Debug, Deserialize)]
pub struct Product<'a> {
    /// Native name.
    #[serde(borrow, alias = "product_id")]
    pub id: Cow<'a, str>,
    /// `SPOT`, `FUTURE`, or unknown.
    #[serde(borrow)]
    pub product_type: Option<Cow<'a, str>>,
    /// Quote currency.
    #[serde(borrow, alias = "quote_currency_id")]
    pub quote_currency: Option<Cow<'a, str>>,
    /// Size step.
    #[serde(default)]
    pub base_increment: Maybe,
    /// Step of amounts in quote currency.
    #[serde(default)]
    pub quote_increment: Maybe,
    /// Price step, where it is told apart from that.
    #[serde(default)]
    pub price_increment: Maybe,
    /// `online`, or why not.
    #[serde(borrow)]
    pub status: Option<Cow<'a, str>>,
    /// Taken off the venue.
    pub is_disabled: Option<bool>,
    /// Trading is halted.
    pub trading_disabled: Option<bool>,
    /// What only futures have.
    #[serde(borrow)]
    pub future_product_details: Option<FutureDetails<'a>>,
}

/// What a future or perpetual has besides.
#[derive(Debug, Deserialize)]
pub struct FutureDetails<'a> {
    /// `PERPETUAL` or `EXPIRING`.
    #[serde(borrow)]
    pub contract_expiry_type: Option<Cow<'a, str>>,
}
