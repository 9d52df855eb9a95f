//! Messages of the `book` channel, which may hold thousands of levels.

use std::borrow::Cow;
use std::fmt;

use qicore_data::decimal::Quoted;
use qicore_data::{Level, Timestamp};
use serde::de::{DeserializeSeed, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::{Crc, Name, Seconds, element};

row! {
    /// A level of a book. A fourth element `"r"` marks one that comes back into the depth; it is like any other.
    BookLevel "[price, volume, time, …]" {
        /// Price.
        price: Quoted,
        /// The new size; 0 deletes.
        volume: Quoted,
        /// When it changed.
        time: Seconds,
    }
}

/// What a book message holds: a snapshot (`as`, `bs`) or changes (`a`, `b`), in the order sent.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Book {
    /// Whether it is the whole book.
    pub snapshot: bool,
    /// Whether it has changes.
    pub delta: bool,
    /// Bids.
    pub bids: Vec<Level>,
    /// Asks.
    pub asks: Vec<Level>,
    /// The latest change of a level.
    pub time: Option<Timestamp>,
    /// The checksum of the book after this message.
    pub checksum: Option<u32>,
}

impl Book {
    /// Empties it and keeps its memory, for the next message.
    pub fn clear(&mut self) {
        self.bids.clear();
        self.asks.clear();
        (self.snapshot, self.delta, self.time, self.checksum) = (false, false, None, None);
    }
}

/// A data message of a `book` channel, with one payload or two.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BookMessage<'a> {
    /// What is sent.
    pub book: Book,
    /// The pair (`XBT/USD`).
    pub pair: Cow<'a, str>,
}

impl<'de: 'a, 'a> Deserialize<'de> for BookMessage<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut book = Book::default();
        let pair = BookInto(&mut book).deserialize(deserializer)?;
        Ok(Self { book, pair })
    }
}

/// Reads a book message into a [`Book`] that is empty, so that its memory serves many messages; gives the pair.
#[derive(Debug)]
pub struct BookInto<'b>(pub &'b mut Book);

impl<'de> DeserializeSeed<'de> for BookInto<'_> {
    type Value = Cow<'de, str>;

    #[inline]
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for BookInto<'_> {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[channelID, {…}, channel, pair]")
    }

    #[inline]
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        element::<u64, A>(&mut seq, "channelID")?;
        let missing = || A::Error::missing_field("channel");
        while let PartKind::Payload = seq.next_element_seed(Part(self.0))?.ok_or_else(missing)? {}
        let Name(pair) = element(&mut seq, "pair")?;
        if self.0.snapshot == self.0.delta {
            return Err(A::Error::custom(
                "a book message is either a snapshot (as, bs) or changes (a, b)",
            ));
        }
        Ok(pair)
    }
}

/// What follows the channelID: payloads, then the channel.
struct Part<'b>(&'b mut Book);

enum PartKind {
    Payload,
    Channel,
}

impl<'de> DeserializeSeed<'de> for Part<'_> {
    type Value = PartKind;

    #[inline]
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<PartKind, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Part<'_> {
    type Value = PartKind;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("levels of a book, or the channel")
    }

    #[inline]
    fn visit_str<E: Error>(self, _channel: &str) -> Result<PartKind, E> {
        Ok(PartKind::Channel)
    }

    #[inline]
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<PartKind, A::Error> {
        let book = self.0;
        while let Some(key) = map.next_key::<BookKey>()? {
            let (kind, side) = match key {
                BookKey::AskSnapshot => (&mut book.snapshot, &mut book.asks),
                BookKey::BidSnapshot => (&mut book.snapshot, &mut book.bids),
                BookKey::Asks => (&mut book.delta, &mut book.asks),
                BookKey::Bids => (&mut book.delta, &mut book.bids),
                BookKey::Checksum => {
                    book.checksum = Some(map.next_value::<Crc>()?.0);
                    continue;
                }
                BookKey::Other => {
                    map.next_value::<IgnoredAny>()?;
                    continue;
                }
            };
            *kind = true;
            map.next_value_seed(LevelsInto(side, &mut book.time))?;
        }
        Ok(PartKind::Payload)
    }
}

#[derive(Deserialize)]
#[serde(field_identifier)]
enum BookKey {
    #[serde(rename = "as")]
    AskSnapshot,
    #[serde(rename = "bs")]
    BidSnapshot,
    #[serde(rename = "a")]
    Asks,
    #[serde(rename = "b")]
    Bids,
    #[serde(rename = "c")]
    Checksum,
    #[serde(other)]
    Other,
}

/// Appends levels to a side and keeps the latest of their times.
struct LevelsInto<'b>(&'b mut Vec<Level>, &'b mut Option<Timestamp>);

impl<'de> DeserializeSeed<'de> for LevelsInto<'_> {
    type Value = ();

    #[inline]
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for LevelsInto<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of levels")
    }

    #[inline]
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let mut latest = *self.1;
        while let Some(level) = seq.next_element::<BookLevel>()? {
            self.0.push(Level::new(level.price.0, level.volume.0));
            latest = latest.max(Some(level.time.0));
        }
        *self.1 = latest;
        Ok(())
    }
}
