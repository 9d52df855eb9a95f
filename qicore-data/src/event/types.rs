use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use super::id::TradeId;
use super::levels::Levels;
use crate::intern::Label;
use crate::time::Timestamp;
use crate::timeframe::Timeframe;

/// A closed set of names with the same text in JSON, in tables and in configuration.
macro_rules! named {
    ($(#[$meta:meta])* $type:ident { $($(#[$doc:meta])* $variant:ident $text:literal,)+ }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[non_exhaustive]
        pub enum $type { $($(#[$doc])* #[serde(rename = $text)] $variant,)+ }

        impl $type {
            /// All of them. New ones are added at the end: the compact messages number them by their place.
            pub const ALL: &[Self] = &[$(Self::$variant),+];
            /// The names of all of them.
            pub const NAMES: &[&str] = &[$($text),+];

            /// The name, as in JSON.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl FromStr for $type {
            type Err = String;
            fn from_str(text: &str) -> Result<Self, String> {
                match text {
                    $($text => Ok(Self::$variant),)+
                    _ => Err(format!("{text:?} is none of {}", Self::NAMES.join(", "))),
                }
            }
        }
    };
}

named! {
    /// The **taker's** side of a trade.
    Side {
        /// The taker bought: the trade hit an ask.
        Buy "buy",
        /// The taker sold: the trade hit a bid.
        Sell "sell",
    }
}

named! {
    /// How far an event can be trusted.
    Quality {
        /// As the venue sent it, or built from a whole interval of trades.
        High "high",
        /// Derived from less than a whole interval: built from its later part, or carried forward over an empty one. Or its
        /// instrument is not known or not traded, so that the event could not be compared with it. Or its numbers came as
        /// floats.
        Medium "medium",
        /// It breaks a validation rule that is set to mark.
        Low "low",
    }
}

named! {
    /// Where a candle comes from.
    Origin {
        /// A provider's history endpoint.
        Rest "rest",
        /// A venue's candle stream.
        Websocket "websocket",
        /// Built here from trades or smaller candles.
        Built "built",
    }
}

named! {
    /// What a book event's levels are.
    BookKind {
        /// The whole book, to the depth subscribed.
        Snapshot "snapshot",
        /// Changed levels with their new sizes.
        Delta "delta",
    }
}

named! {
    /// The result of comparing the maintained book with the venue's checksum.
    Checksum {
        /// The maintained book is the venue's.
        Ok "ok",
        /// It is not: an update was missed, and the book is not to be used until the next snapshot.
        Mismatch "mismatch",
    }
}

named! {
    /// What an instrument is.
    InstrumentKind {
        /// A currency pair for immediate delivery.
        Spot "spot",
        /// A share.
        Stock "stock",
        /// Fiat currencies.
        Forex "forex",
        /// An index.
        Index "index",
        /// A dated future.
        Future "future",
        /// A perpetual swap.
        Perpetual "perpetual",
        /// An option.
        Option "option",
    }
}

named! {
    /// Why data is missing.
    GapReason {
        /// The connection was lost.
        Disconnect "disconnect",
        /// The venue's sequence numbers jump.
        Sequence "sequence",
        /// The venue's checksum does not fit the maintained book.
        Checksum "checksum",
        /// A bounded buffer was full.
        Overflow "overflow",
        /// The provider no longer has the data, or never gives it.
        Provider "provider",
    }
}

named! {
    /// How urgent an alert is.
    Severity {
        /// To know.
        Info "info",
        /// To look at.
        Warning "warning",
        /// To act on.
        Critical "critical",
    }
}

/// A trade print.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trade {
    /// The venue's id, where it gives one.
    pub id: Option<TradeId>,
    /// The taker's side, where known.
    pub side: Option<Side>,
    /// Price.
    pub price: Decimal,
    /// Size in base currency.
    pub size: Decimal,
}

/// Best bid and ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quote {
    /// Best bid price.
    pub bid: Decimal,
    /// Size at the best bid.
    pub bid_size: Decimal,
    /// Best ask price.
    pub ask: Decimal,
    /// Size at the best ask.
    pub ask_size: Decimal,
}

/// Rolling statistics, over 24 h where the venue sends that window.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ticker {
    /// Last trade price.
    pub last: Decimal,
    /// Best bid price.
    pub bid: Option<Decimal>,
    /// Best ask price.
    pub ask: Option<Decimal>,
    /// Price at the start of the window.
    pub open: Option<Decimal>,
    /// Highest price.
    pub high: Option<Decimal>,
    /// Lowest price.
    pub low: Option<Decimal>,
    /// Volume in base currency.
    pub volume: Option<Decimal>,
    /// Volume in quote currency.
    pub quote_volume: Option<Decimal>,
}

impl Ticker {
    /// A ticker with only the last price.
    pub const fn new(last: Decimal) -> Self {
        Self {
            last,
            bid: None,
            ask: None,
            open: None,
            high: None,
            low: None,
            volume: None,
            quote_volume: None,
        }
    }
}

/// An order book snapshot or change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Book {
    /// Snapshot or change.
    pub kind: BookKind,
    /// The venue's number of the last update contained.
    pub sequence: Option<u64>,
    /// Both sides, in the venue's order.
    pub levels: Levels,
    /// The venue's checksum against the maintained book, where it sends one.
    pub checksum: Option<Checksum>,
}

/// An OHLCV bar. Its key is (exchange, symbol, timeframe, open time); the event's timestamp is the open time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candle {
    /// Length.
    pub timeframe: Timeframe,
    /// First price.
    pub open: Decimal,
    /// Highest price.
    pub high: Decimal,
    /// Lowest price.
    pub low: Decimal,
    /// Last price.
    pub close: Decimal,
    /// Volume in base currency.
    pub volume: Decimal,
    /// Volume in quote currency.
    pub quote_volume: Option<Decimal>,
    /// Number of trades.
    pub trades: Option<u64>,
    /// Whether the interval is over. An open bar is never written as final.
    pub closed: bool,
    /// Where it comes from (`metadata.source`).
    pub origin: Origin,
    /// How often the closed bar has been corrected by late trades (`metadata.revision`, absent when 0).
    pub revision: u32,
}

/// An aggregator's price.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Price {
    /// Price in the quote currency.
    pub price: Decimal,
    /// Market capitalisation in the quote currency.
    pub market_cap: Option<Decimal>,
    /// Volume over 24 h in the quote currency.
    pub volume_24h: Option<Decimal>,
    /// Change over 24 h in percent.
    pub change_24h: Option<Decimal>,
}

/// An instrument's description.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instrument {
    /// The venue's own name.
    pub native: Label,
    /// Canonical base currency.
    pub base: Label,
    /// Canonical quote currency.
    pub quote: Label,
    /// What it is.
    pub kind: InstrumentKind,
    /// Whether it can be traded now.
    pub active: bool,
    /// Smallest price step.
    pub price_step: Option<Decimal>,
    /// Smallest size step (the lot), in base currency.
    pub size_step: Option<Decimal>,
}

/// One value of a named series: an indicator, a dominance, a price index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Series {
    /// The series.
    pub name: Label,
    /// The value.
    pub value: Decimal,
    /// What it was computed with.
    pub params: Option<Arc<serde_json::Map<String, serde_json::Value>>>,
}

/// A stretch for which data is known to be missing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gap {
    /// Start.
    pub from: Timestamp,
    /// End.
    pub to: Timestamp,
    /// Why.
    pub reason: GapReason,
    /// How many messages or trades, where known.
    pub missed: Option<u64>,
}

/// A rule that fired.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alert {
    /// The rule.
    pub rule: Label,
    /// How urgent.
    pub severity: Severity,
    /// What happened.
    pub message: Arc<str>,
    /// The value that was seen.
    pub value: Option<Decimal>,
    /// The threshold that it passed.
    pub threshold: Option<Decimal>,
}
