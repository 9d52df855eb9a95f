use std::fmt;
use std::sync::Arc;

use rust_decimal::Decimal;
use serde::de::{SeqAccess, Visitor};
use serde::ser::SerializeSeq;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::decimal::{DecimalText, Quoted};

/// One price level of an order book: `[price, size]` in JSON. Size 0 deletes the level.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Level {
    /// Price.
    pub price: Decimal,
    /// The level's total size, in base currency.
    pub size: Decimal,
}

impl Level {
    /// A level.
    pub const fn new(price: Decimal, size: Decimal) -> Self {
        Self { price, size }
    }
}

/// The levels of a book event, bids before asks, shared between clones.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Levels {
    all: Arc<[Level]>,
    bids: u32,
}

impl Levels {
    /// From both sides, in the venue's order.
    pub fn new(bids: &[Level], asks: &[Level]) -> Self {
        Self {
            bids: bids.len() as u32,
            all: bids.iter().chain(asks).copied().collect(),
        }
    }

    /// From both sides in one slice: the first `bids` levels are bids.
    ///
    /// # Panics
    /// If there are fewer levels than bids.
    pub fn from_joined(levels: &[Level], bids: usize) -> Self {
        assert!(bids <= levels.len(), "{bids} bids among {} levels", levels.len());
        Self {
            bids: bids as u32,
            all: levels.into(),
        }
    }

    /// The bids.
    pub fn bids(&self) -> &[Level] {
        &self.all[..self.bids as usize]
    }

    /// The asks.
    pub fn asks(&self) -> &[Level] {
        &self.all[self.bids as usize..]
    }

    /// Levels on both sides.
    pub fn len(&self) -> usize {
        self.all.len()
    }

    /// Whether there is no level at all.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }
}

impl Serialize for Level {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut pair = serializer.serialize_seq(Some(2))?;
        pair.serialize_element(DecimalText::new(self.price).as_str())?;
        pair.serialize_element(DecimalText::new(self.size).as_str())?;
        pair.end()
    }
}

impl<'de> Deserialize<'de> for Level {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Pair;
        impl<'de> Visitor<'de> for Pair {
            type Value = Level;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("[price, size]")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Level, A::Error> {
                let mut next = |at| {
                    seq.next_element::<Quoted>()?
                        .ok_or_else(|| serde::de::Error::invalid_length(at, &self))
                };
                Ok(Level {
                    price: next(0)?.0,
                    size: next(1)?.0,
                })
            }
        }
        deserializer.deserialize_seq(Pair)
    }
}
