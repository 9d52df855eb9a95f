//! Messages of `market_trades`, the venue's most frequent after the book's: read without an allocation.

use std::borrow::Cow;
use std::fmt;

use qicore_data::decimal::Quoted;
use serde::de::{DeserializeSeed, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::Time;
use crate::venue::Append;

/// An event of `market_trades`.
#[derive(Debug, Deserialize)]
pub struct TradesEvent<'a> {
    /// Trades, newest first.
    #[serde(borrow)]
    pub trades: Vec<Trade<'a>>,
}

/// One trade of `market_trades`.
#[derive(Debug, Deserialize)]
pub struct Trade<'a> {
    /// Native name.
    #[serde(borrow)]
    pub product_id: Cow<'a, str>,
    /// Id.
    #[serde(borrow)]
    pub trade_id: Cow<'a, str>,
    /// Price.
    pub price: Quoted,
    /// Size.
    pub size: Quoted,
    /// When it happened.
    pub time: Time,
    /// The **maker's** side, where the venue says it.
    pub side: Option<MakerSide>,
}

/// The maker's side of a [`Trade`]; Exchange writes it in small letters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum MakerSide {
    /// A resting bid was hit.
    #[serde(alias = "buy")]
    Buy,
    /// A resting offer was hit.
    #[serde(alias = "sell")]
    Sell,
    /// The venue does not say (`UNKNOWN_ORDER_SIDE`).
    #[serde(other)]
    Unknown,
}

/// Reads a message of `market_trades` into a buffer, the trades of all its events one after the other; gives the
/// message's time and number. On an error the buffer holds what came before it.
#[derive(Debug)]
pub struct TradesInto<'b, 'de>(pub &'b mut Vec<Trade<'de>>);

#[derive(Deserialize)]
#[serde(field_identifier, rename_all = "snake_case")]
enum Key {
    Timestamp,
    SequenceNum,
    Events,
    Trades,
    #[serde(other)]
    Other,
}

impl<'de> DeserializeSeed<'de> for TradesInto<'_, 'de> {
    type Value = (Time, u64);

    #[inline]
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for TradesInto<'_, 'de> {
    type Value = (Time, u64);

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a message of market_trades")
    }

    #[inline]
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let (mut timestamp, mut sequence_num, mut events) = (None, None, None);
        while let Some(key) = map.next_key()? {
            match key {
                Key::Timestamp => timestamp = Some(map.next_value()?),
                Key::SequenceNum => sequence_num = Some(map.next_value()?),
                Key::Events => events = Some(map.next_value_seed(EventsInto(&mut *self.0))?),
                Key::Trades | Key::Other => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        events.ok_or_else(|| A::Error::missing_field("events"))?;
        Ok((
            timestamp.ok_or_else(|| A::Error::missing_field("timestamp"))?,
            sequence_num.ok_or_else(|| A::Error::missing_field("sequence_num"))?,
        ))
    }
}

/// The events of a message.
struct EventsInto<'b, 'de>(&'b mut Vec<Trade<'de>>);

impl<'de> DeserializeSeed<'de> for EventsInto<'_, 'de> {
    type Value = ();

    #[inline]
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for EventsInto<'_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("events")
    }

    #[inline]
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        while seq.next_element_seed(EventInto(&mut *self.0))?.is_some() {}
        Ok(())
    }
}

/// One event, of which only the trades are read.
struct EventInto<'b, 'de>(&'b mut Vec<Trade<'de>>);

impl<'de> DeserializeSeed<'de> for EventInto<'_, 'de> {
    type Value = ();

    #[inline]
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for EventInto<'_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an event with trades")
    }

    #[inline]
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut trades = None;
        while let Some(key) = map.next_key()? {
            match key {
                Key::Trades => trades = Some(map.next_value_seed(Append(&mut *self.0))?),
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        trades.ok_or_else(|| A::Error::missing_field("trades"))
    }
}
