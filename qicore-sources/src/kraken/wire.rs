//! What Kraken sends, as it sends it: typed, read in one pass, borrowing from the frame.
//!
//! WebSocket v1 data is an array `[channelID, payload, channel, pair]`, read as a [`Message`]; a book change of both
//! sides may come as two payloads, `[channelID, {"a":…}, {"b":…}, channel, pair]`, read as a [`BookMessage`]. Since the
//! channel comes after the payload, [`channel`] looks it up first. Objects are [`Event`]s (acknowledgements, heartbeats),
//! messages of WebSocket [`v2`] or, over HTTP, a [`Response`].

use std::borrow::Cow;
use std::fmt;

use qicore_data::decimal::Quoted;
use qicore_data::{Side, Timestamp};
use serde::de::{Error, IgnoredAny, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::venue::Append;

pub use book::{Book, BookInto, BookLevel, BookMessage};
pub use rest::{
    Answer, AssetPair, Depth, DepthLevel, GroupedBook, GroupedLevel, Members, NumberSeconds, Response, RestOhlc,
    RestSpread, RestTicker, RestTrade, Unread,
};

/// A JSON array that is read by position. What a venue adds at its end later is skipped; a last element that older
/// answers lack stands in braces of its own.
macro_rules! row {
    ($(#[$meta:meta])* $row:ident $text:literal { $($(#[$doc:meta])* $field:ident: $type:ty,)+ }
     $({ $(#[$later_doc:meta])* $later:ident: $later_type:ty })?) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub struct $row {
            $($(#[$doc])* pub $field: $type,)+
            $($(#[$later_doc])* pub $later: Option<$later_type>,)?
        }

        impl<'de> Deserialize<'de> for $row {
            #[inline]
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Row;
                impl<'de> Visitor<'de> for Row {
                    type Value = $row;
                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str($text)
                    }
                    #[inline]
                    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<$row, A::Error> {
                        let row = $row {
                            $($field: element(&mut seq, stringify!($field))?,)+
                            $($later: seq.next_element()?,)?
                        };
                        while seq.next_element::<IgnoredAny>()?.is_some() {}
                        Ok(row)
                    }
                }
                deserializer.deserialize_seq(Row)
            }
        }
    };
}

#[inline]
fn element<'de, T: Deserialize<'de>, A: SeqAccess<'de>>(seq: &mut A, name: &'static str) -> Result<T, A::Error> {
    seq.next_element()?.ok_or_else(|| A::Error::missing_field(name))
}

/// A value that Kraken sends in a JSON string of its own format.
macro_rules! in_string {
    ($(#[$meta:meta])* $name:ident($value:ty) $text:literal $read:expr) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub struct $name(pub $value);

        impl<'de> Deserialize<'de> for $name {
            #[inline]
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct InString;
                impl Visitor<'_> for InString {
                    type Value = $name;
                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str($text)
                    }
                    #[inline]
                    fn visit_str<E: Error>(self, text: &str) -> Result<$name, E> {
                        let read: fn(&str) -> Option<$value> = $read;
                        read(text).map($name).ok_or_else(|| E::invalid_value(serde::de::Unexpected::Str(text), &self))
                    }
                }
                deserializer.deserialize_str(InString)
            }
        }
    };
}

mod book;
mod rest;
pub mod v2;

in_string! {
    /// Seconds since 1970 with a fraction.
    Seconds(Timestamp) "seconds since 1970 in a string" |text| Timestamp::from_decimal_secs(text).ok()
}

in_string! {
    /// The taker's side: `b` or `s`.
    Taker(Side) "\"b\" or \"s\"" |text| match text {
        "b" => Some(Side::Buy),
        "s" => Some(Side::Sell),
        _ => None,
    }
}

in_string! {
    /// The CRC-32 of the top of a book, in decimal digits.
    Crc(u32) "a CRC-32 in decimal digits" |text| text.parse().ok()
}

row! {
    /// A trade, in the array of the `trade` channel.
    Trade "[price, volume, time, side, …]" {
        /// Price.
        price: Quoted,
        /// Size in base currency.
        volume: Quoted,
        /// When it was made.
        time: Seconds,
        /// Who took.
        side: Taker,
    }
}

row! {
    /// The payload of the `spread` channel.
    Spread "[bid, ask, time, bidVolume, askVolume]" {
        /// Best bid price.
        bid: Quoted,
        /// Best ask price.
        ask: Quoted,
        /// When it became so.
        time: Seconds,
        /// Size at the best bid.
        bid_volume: Quoted,
        /// Size at the best ask.
        ask_volume: Quoted,
    }
}

row! {
    /// The payload of an `ohlc` channel.
    Ohlc "[time, etime, open, high, low, close, vwap, volume, count]" {
        /// When it changed last.
        time: Seconds,
        /// The **end** of the interval.
        etime: Seconds,
        /// First price.
        open: Quoted,
        /// Highest price.
        high: Quoted,
        /// Lowest price.
        low: Quoted,
        /// Last price.
        close: Quoted,
        /// Average price by volume.
        vwap: Quoted,
        /// Volume in base currency.
        volume: Quoted,
        /// Number of trades.
        count: u64,
    }
}

row! {
    /// The first of an array of values: of `[price, wholeLotVolume, lotVolume]` or `[price, lotVolume]` the price.
    First "[price, …]" {
        /// The price.
        price: Quoted,
    }
}

row! {
    /// A statistic of the `ticker` channel.
    Window "[today, last 24 hours]" {
        /// Since midnight UTC.
        today: Quoted,
        /// Over the last 24 hours.
        day: Quoted,
    }
}

/// The payload of the `ticker` channel.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Ticker {
    /// Best ask.
    pub a: First,
    /// Best bid.
    pub b: First,
    /// Last trade.
    pub c: First,
    /// Volume in base currency.
    pub v: Window,
    /// Lowest price.
    pub l: Window,
    /// Highest price.
    pub h: Window,
    /// First price.
    pub o: Window,
}

/// A data message of any channel but `book`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Message<'a, P> {
    /// Deprecated by Kraken: channel and pair identify a stream.
    pub channel_id: u64,
    /// What is sent.
    pub payload: P,
    /// The channel with its parameter (`ohlc-5`).
    #[serde(borrow)]
    pub channel: Cow<'a, str>,
    /// The pair (`XBT/USD`).
    #[serde(borrow)]
    pub pair: Cow<'a, str>,
}

/// Reads a message of trades into a buffer; gives the pair.
#[derive(Debug)]
pub struct TradesInto<'b>(pub &'b mut Vec<Trade>);

impl<'de> serde::de::DeserializeSeed<'de> for TradesInto<'_> {
    type Value = Cow<'de, str>;

    #[inline]
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for TradesInto<'_> {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[channelID, [trades], channel, pair]")
    }

    #[inline]
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        element::<u64, A>(&mut seq, "channelID")?;
        seq.next_element_seed(Append(self.0))?
            .ok_or_else(|| A::Error::missing_field("payload"))?;
        element::<Name<'_>, A>(&mut seq, "channel")?;
        let Name(pair) = element(&mut seq, "pair")?;
        Ok(pair)
    }
}

/// A string that is borrowed where it holds no escapes.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
pub struct Name<'a>(#[serde(borrow)] pub Cow<'a, str>);

/// The channel of a data message: the last string but one of the frame.
///
/// It is found from the frame's end. Only a frame that ends in anything but two plain strings is scanned as a whole.
pub fn channel(frame: &str) -> Result<Cow<'_, str>, serde_json::Error> {
    if let Some(channel) = channel_from_end(frame) {
        return Ok(Cow::Borrowed(channel));
    }
    let elements: Vec<&RawValue> = serde_json::from_str(frame)?;
    match &elements[..] {
        [_, _, .., channel, _] => serde_json::from_str::<Name<'_>>(channel.get()).map(|name| name.0),
        _ => Err(Error::custom("expected [channelID, payload, channel, pair]")),
    }
}

/// Right for every frame that is valid JSON, and the reader of the message finds out about the others: a quotation mark
/// with no backslash before it delimits a string, and the last `]` ends the outermost array.
#[inline]
fn channel_from_end(frame: &str) -> Option<&str> {
    let rest = frame.trim_ascii_end().strip_suffix(']')?;
    let (rest, _pair) = string_from_end(rest)?;
    let (_, channel) = string_from_end(rest.trim_ascii_end().strip_suffix(',')?)?;
    Some(channel)
}

#[inline]
fn string_from_end(text: &str) -> Option<(&str, &str)> {
    let inner = text.trim_ascii_end().strip_suffix('"')?;
    // These strings are short: a search by the byte is faster than one by the block.
    let at = inner.bytes().rposition(|byte| matches!(byte, b'"' | b'\\'))?;
    let (rest, string) = (&inner[..at], inner[at..].strip_prefix('"')?);
    (!rest.ends_with('\\')).then_some((rest, string))
}

/// An object over the WebSocket.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Event<'a> {
    /// What it is (`heartbeat`, `subscriptionStatus`).
    #[serde(borrow)]
    pub event: Cow<'a, str>,
}
