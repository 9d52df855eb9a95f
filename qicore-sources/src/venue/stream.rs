//! What is asked of a venue: a kind of data of a symbol, and a stretch of it.

use std::fmt;
use std::str::FromStr;

use qicore_data::{Data, Symbol, Timeframe, Timestamp};
use serde::{Deserialize, Deserializer, de};

/// A kind of data that a venue has of a symbol. In configuration files `trades`, `quotes`, `tickers`, `book`,
/// `candles:1m`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Channel {
    /// Trade prints.
    Trades,
    /// Best bid and ask.
    Quotes,
    /// Statistics of the last 24 hours.
    Tickers,
    /// The order book: a snapshot, then changes.
    Book,
    /// Candles.
    Candles(Timeframe),
}

/// Streams in groups of at most so many. Those of one symbol, which follow each other, stay together unless they are more.
pub(crate) fn in_groups(streams: &[Stream], most: usize) -> Vec<Vec<Stream>> {
    let mut groups: Vec<Vec<Stream>> = Vec::new();
    for of_symbol in streams.chunk_by(|one, other| one.symbol == other.symbol) {
        for part in of_symbol.chunks(most.max(1)) {
            match groups.last_mut().filter(|group| group.len() + part.len() <= most) {
                Some(group) => group.extend_from_slice(part),
                None => groups.push(part.to_vec()),
            }
        }
    }
    groups
}

impl Channel {
    /// The channel that an event belongs to; `None` for what no channel is asked for (a gap, an instrument).
    #[inline]
    pub(crate) fn of(data: &Data) -> Option<Self> {
        Some(match data {
            Data::Trade(_) => Self::Trades,
            Data::Quote(_) => Self::Quotes,
            Data::Ticker(_) => Self::Tickers,
            Data::Book(_) => Self::Book,
            Data::Candle(candle) => Self::Candles(candle.timeframe),
            _ => return None,
        })
    }

    /// Whether what two connections send twice is told apart: by its id, its time or its number. A quote is not.
    pub(crate) fn is_repeatable(self) -> bool {
        !matches!(self, Self::Quotes | Self::Tickers)
    }

    /// Whether a venue can be asked later for what was missed.
    pub(crate) fn is_kept(self) -> bool {
        matches!(self, Self::Trades | Self::Candles(_))
    }
}

impl fmt::Display for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Trades => f.pad("trades"),
            Self::Quotes => f.pad("quotes"),
            Self::Tickers => f.pad("tickers"),
            Self::Book => f.pad("book"),
            Self::Candles(timeframe) => write!(f, "candles:{timeframe}"),
        }
    }
}

impl FromStr for Channel {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Ok(match text {
            "trades" => Self::Trades,
            "quotes" => Self::Quotes,
            "tickers" => Self::Tickers,
            "book" => Self::Book,
            _ => match text.strip_prefix("candles:").map(str::parse::<Timeframe>) {
                Some(Ok(timeframe)) => Self::Candles(timeframe),
                Some(Err(error)) => return Err(error.to_string()),
                None => {
                    return Err(format!(
                        "unknown channel {text:?}; known: trades, quotes, tickers, book, candles:TIMEFRAME"
                    ));
                }
            },
        })
    }
}

impl<'de> Deserialize<'de> for Channel {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

/// A channel of a symbol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Stream {
    /// The symbol.
    pub symbol: Symbol,
    /// The channel.
    pub channel: Channel,
}

impl Stream {
    /// A channel of a symbol.
    pub const fn new(symbol: Symbol, channel: Channel) -> Self {
        Self { symbol, channel }
    }
}

impl fmt::Display for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.symbol, self.channel)
    }
}

/// A place in a stream's history: by a trade's id where one is known, else by time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Mark {
    /// The time. With an id, a time that is not behind it.
    pub(crate) time: Timestamp,
    /// The trade's id.
    pub(crate) id: Option<u64>,
}

impl Mark {
    /// By time alone.
    pub(crate) const fn at(time: Timestamp) -> Self {
        Self { time, id: None }
    }

    /// By id.
    pub(crate) const fn id(id: u64, time: Timestamp) -> Self {
        Self { time, id: Some(id) }
    }

    /// Whether what lies at `place` is before this mark.
    pub(crate) fn is_after(&self, place: &Self) -> bool {
        match (self.id, place.id) {
            (Some(mark), Some(id)) => id < mark,
            _ => place.time < self.time,
        }
    }
}

/// A stretch of a stream's history: from a mark on, up to another and without it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Range {
    pub(crate) stream: Stream,
    pub(crate) from: Mark,
    pub(crate) to: Mark,
}

impl Range {
    /// Whether what lies at `place` is in it.
    pub(crate) fn contains(&self, place: &Mark) -> bool {
        !self.from.is_after(place) && self.to.is_after(place)
    }

    /// What is left of it behind a mark; `None` if nothing is.
    pub(crate) fn behind(&self, mark: Mark) -> Option<Self> {
        self.to.is_after(&mark).then_some(Self { from: mark, ..*self })
    }
}
