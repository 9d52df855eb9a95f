//! Messages of the `book` channel, which may hold thousands of levels.

use std::fmt;

use qicore_data::Level;
use qicore_data::decimal::Number;
use serde::de::{DeserializeSeed, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::{Kind, Time};
use crate::kraken::wire::{Book, Name};

/// The books of a message. One buffer serves many messages.
#[derive(Debug, Clone, Default)]
pub struct Books {
    parts: Vec<Part>,
    used: usize,
}

/// One pair's levels.
#[derive(Debug, Clone, Default)]
pub struct Part {
    /// The pair (`BTC/USD`).
    pub symbol: String,
    /// Its levels.
    pub book: Book,
    /// Most fractional digits of a price and of a size.
    pub digits: (u32, u32),
}

impl Books {
    /// Empties it and keeps its memory, for the next message.
    pub fn clear(&mut self) {
        self.used = 0;
    }

    /// What was read last.
    pub fn parts(&self) -> &[Part] {
        &self.parts[..self.used]
    }

    /// A part with nothing in it.
    fn next(&mut self) -> &mut Part {
        if self.used == self.parts.len() {
            self.parts.push(Part::default());
        }
        self.used += 1;
        let part = &mut self.parts[self.used - 1];
        part.symbol.clear();
        part.book.clear();
        part.digits = (0, 0);
        part
    }
}

/// Reads a message into a buffer.
#[derive(Debug)]
pub struct BooksInto<'b>(pub &'b mut Books);

/// A seed that reads what it borrows to.
macro_rules! into {
    ($seed:ty, $method:ident) => {
        impl<'de> DeserializeSeed<'de> for $seed {
            type Value = ();

            #[inline]
            fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
                deserializer.$method(self)
            }
        }
    };
}

into!(BooksInto<'_>, deserialize_map);
into!(PartsInto<'_>, deserialize_seq);
into!(PartInto<'_>, deserialize_map);
into!(LevelsInto<'_>, deserialize_seq);

#[derive(Deserialize)]
#[serde(field_identifier, rename_all = "lowercase")]
enum MessageKey {
    Type,
    Data,
    #[serde(other)]
    Other,
}

impl<'de> Visitor<'de> for BooksInto<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a message of the book channel")
    }

    #[inline]
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let (mut kind, mut data) = (None, false);
        while let Some(key) = map.next_key()? {
            match key {
                MessageKey::Type => kind = Some(map.next_value::<Kind>()?),
                MessageKey::Data if data => return Err(A::Error::duplicate_field("data")),
                MessageKey::Data => {
                    map.next_value_seed(PartsInto(self.0))?;
                    data = true;
                }
                MessageKey::Other => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        let kind = kind.ok_or_else(|| A::Error::missing_field("type"))?;
        if !data {
            return Err(A::Error::missing_field("data"));
        }
        for part in &mut self.0.parts[..self.0.used] {
            part.book.snapshot = kind == Kind::Snapshot;
            part.book.delta = kind == Kind::Update;
        }
        Ok(())
    }
}

struct PartsInto<'b>(&'b mut Books);

impl<'de> Visitor<'de> for PartsInto<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of books")
    }

    #[inline]
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        loop {
            let used = self.0.used;
            if seq.next_element_seed(PartInto(self.0.next()))?.is_none() {
                self.0.used = used;
                return Ok(());
            }
        }
    }
}

struct PartInto<'b>(&'b mut Part);

#[derive(Deserialize)]
#[serde(field_identifier, rename_all = "lowercase")]
enum PartKey {
    Symbol,
    Bids,
    Asks,
    Checksum,
    Timestamp,
    #[serde(other)]
    Other,
}

impl<'de> Visitor<'de> for PartInto<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a pair's book")
    }

    #[inline]
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Part { symbol, book, digits } = self.0;
        let mut named = false;
        while let Some(key) = map.next_key()? {
            match key {
                PartKey::Symbol => {
                    symbol.clear();
                    symbol.push_str(&map.next_value::<Name<'de>>()?.0);
                    named = true;
                }
                PartKey::Bids => map.next_value_seed(LevelsInto(&mut book.bids, digits))?,
                PartKey::Asks => map.next_value_seed(LevelsInto(&mut book.asks, digits))?,
                PartKey::Checksum => book.checksum = map.next_value()?,
                PartKey::Timestamp => book.time = map.next_value::<Time>()?.0,
                PartKey::Other => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        match named {
            true => Ok(()),
            false => Err(A::Error::missing_field("symbol")),
        }
    }
}

/// A level of a book.
#[derive(Deserialize)]
struct BookLevel {
    price: Number,
    /// The new size; 0 deletes.
    qty: Number,
}

/// Appends levels to a side, and keeps count of fractional digits.
struct LevelsInto<'b>(&'b mut Vec<Level>, &'b mut (u32, u32));

impl<'de> Visitor<'de> for LevelsInto<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of levels")
    }

    #[inline]
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let (mut price, mut size) = *self.1;
        while let Some(level) = seq.next_element::<BookLevel>()? {
            let level = Level::new(level.price.0, level.qty.0);
            (price, size) = (price.max(level.price.scale()), size.max(level.size.scale()));
            self.0.push(level);
        }
        *self.1 = (price, size);
        Ok(())
    }
}
