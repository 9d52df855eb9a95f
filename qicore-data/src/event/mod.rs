//! Market-data events.
//!
//! An [`Event`] is a header that all kinds share and a [`Data`] of one kind. Its serde form is the project's normalised
//! JSON: one flat object, decimals as strings, optional fields absent. Cloning an event does not allocate: names are
//! interned, levels, texts and enrichments are shared.

mod enrichment;
mod id;
mod json;
mod levels;
mod types;

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

pub use enrichment::Enrichment;
pub use id::TradeId;
pub use levels::{Level, Levels};
pub use types::{
    Alert, Book, BookKind, Candle, Checksum, Gap, GapReason, Instrument, InstrumentKind, Origin, Price, Quality, Quote,
    Series, Severity, Side, Ticker, Trade,
};

use crate::intern::{Exchange, Label, Symbol};
use crate::time::Timestamp;

/// One normalised observation from a venue or provider.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// The venue.
    pub exchange: Exchange,
    /// The instrument, `BASE/QUOTE`.
    pub symbol: Symbol,
    /// The venue's event time; for a candle its open time. Where the venue sends none, the time of receipt; where
    /// that is not known either, [`Timestamp::UNKNOWN`].
    pub timestamp: Timestamp,
    /// When the payload was received, if known.
    pub received: Option<Timestamp>,
    /// The plugin that made the event.
    pub source: Label,
    /// How far the event can be trusted. Written as `metadata.quality` for a candle, else as `quality` where not high.
    pub quality: Quality,
    /// What is known beyond what the venue sent. Absent in the ordinary case; never part of the event's identity.
    pub enrichment: Option<Arc<Enrichment>>,
    /// What was observed.
    pub data: Data,
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $variant:ident $text:literal,)+) => {
        /// What an [`Event`] says.
        #[derive(Debug, Clone, PartialEq)]
        #[non_exhaustive]
        pub enum Data { $($(#[$doc])* $variant($variant),)+ }

        /// The kind of an [`Event`]: its `type` in JSON, and a partition of the file sinks.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum EventType { $($(#[$doc])* $variant,)+ }

        impl EventType {
            /// All kinds.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// The `type` in JSON.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }
        }

        impl Data {
            /// The kind.
            #[inline]
            pub const fn event_type(&self) -> EventType {
                match self { $(Self::$variant(_) => EventType::$variant),+ }
            }
        }

        $(impl From<$variant> for Data {
            fn from(data: $variant) -> Self {
                Self::$variant(data)
            }
        })+
    };
}

kinds! {
    /// A trade print.
    Trade "trade",
    /// Best bid and ask.
    Quote "quote",
    /// Rolling 24 h statistics.
    Ticker "ticker",
    /// An order book snapshot or change.
    Book "book",
    /// An OHLCV bar.
    Candle "candle",
    /// An aggregator's price.
    Price "price",
    /// An instrument's description.
    Instrument "instrument",
    /// One value of a named series.
    Series "series",
    /// A stretch for which data is known to be missing.
    Gap "gap",
    /// A rule that fired.
    Alert "alert",
}

impl EventType {
    /// The position in [`EventType::ALL`], for tables by kind.
    pub const fn index(self) -> usize {
        self as usize
    }
}

impl fmt::Display for EventType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for EventType {
    type Err = UnknownEventType;

    fn from_str(text: &str) -> Result<Self, UnknownEventType> {
        let found = Self::ALL.iter().find(|kind| kind.as_str() == text);
        found
            .copied()
            .ok_or_else(|| UnknownEventType(text.chars().take(20).collect()))
    }
}

impl<'de> serde::Deserialize<'de> for EventType {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// A text that names no [`EventType`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownEventType(String);

impl fmt::Display for UnknownEventType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = EventType::ALL.iter().map(|kind| kind.as_str()).collect();
        write!(
            f,
            "unknown event type {:?}, expected one of {}",
            self.0,
            names.join(" ")
        )
    }
}

impl std::error::Error for UnknownEventType {}

impl Event {
    /// An event of high quality with no time of receipt.
    pub fn new(exchange: Exchange, symbol: Symbol, timestamp: Timestamp, source: Label, data: impl Into<Data>) -> Self {
        Self {
            exchange,
            symbol,
            timestamp,
            received: None,
            source,
            quality: Quality::High,
            enrichment: None,
            data: data.into(),
        }
    }

    /// The kind.
    #[inline]
    pub const fn event_type(&self) -> EventType {
        self.data.event_type()
    }

    /// Bytes the event takes in memory, for the bounds of queues and batches.
    #[inline]
    pub fn weight(&self) -> usize {
        let shared = match &self.data {
            Data::Book(book) => book.levels.len() * size_of::<Level>(),
            Data::Alert(alert) => alert.message.len(),
            _ => 0,
        };
        // Not looked into: it lies elsewhere, and is mostly shared with other events of the instrument.
        let enrichment = self.enrichment.as_ref().map_or(0, |_| size_of::<Enrichment>());
        size_of::<Self>() + shared + enrichment
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_stays_small() {
        // A batch of 2,048 events is to fit the second-level cache's order of magnitude.
        assert!(size_of::<Event>() <= 224, "{}", size_of::<Event>());
    }

    #[test]
    fn kinds_and_names_agree() {
        for kind in EventType::ALL {
            assert_eq!(kind.as_str().parse(), Ok(*kind));
            assert_eq!(EventType::ALL[kind.index()], *kind);
        }
        assert!("bar".parse::<EventType>().unwrap_err().to_string().contains("candle"));
    }
}
