//! The market's truth as tests compare it: decimal strings in their shortest plain form, times in nanoseconds.

use serde::Serialize;

use super::Timeframe;

/// Who took.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Side {
    /// The taker bought.
    Buy,
    /// The taker sold.
    Sell,
}

impl Side {
    /// The maker's side.
    pub fn opposite(self) -> Self {
        match self {
            Self::Buy => Self::Sell,
            Self::Sell => Self::Buy,
        }
    }
}

/// A trade. Decimals are the shortest plain text (`67123.4`, never `67123.40`), which is what stripping trailing zeros from the
/// venue's text gives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TruthTrade {
    /// The canonical symbol, `BTC/USDT`.
    pub symbol: String,
    /// Consecutive from 1 in each symbol.
    pub id: u64,
    /// Nanoseconds since the epoch, in the venue's resolution (Binance ms, Coinbase and Kraken µs).
    pub time: i64,
    /// Price.
    pub price: String,
    /// Size in the base asset.
    pub size: String,
    /// price × size, exact.
    pub quote: String,
    /// The taker's side.
    pub side: Side,
}

/// A bar, computed from its trades. A bar without trades has the previous close in all four prices and zeros.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TruthCandle {
    /// The canonical symbol.
    pub symbol: String,
    /// The timeframe's name.
    #[serde(serialize_with = "name")]
    pub timeframe: Timeframe,
    /// Nanoseconds.
    pub open_time: i64,
    /// Nanoseconds, exclusive: the next bar's open time.
    pub end: i64,
    /// First price.
    pub open: String,
    /// Highest price.
    pub high: String,
    /// Lowest price.
    pub low: String,
    /// Last price.
    pub close: String,
    /// Base volume.
    pub volume: String,
    /// Quote volume, exact.
    pub quote_volume: String,
    /// Base volume of trades whose taker bought.
    pub taker_buy_volume: String,
    /// Trades.
    pub count: u64,
    /// Ids of the first and last trade.
    pub ids: Option<(u64, u64)>,
}

fn name<S: serde::Serializer>(timeframe: &Timeframe, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(timeframe.name())
}

/// A book after update `update`. Bids descend, asks ascend; (price, size) in the shortest plain text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TruthBook {
    /// The canonical symbol.
    pub symbol: String,
    /// Updates are counted from 1.
    pub update: u64,
    /// Nanoseconds.
    pub time: i64,
    /// Bids, best first.
    pub bids: Vec<(String, String)>,
    /// Asks, best first.
    pub asks: Vec<(String, String)>,
}

/// The best bid and ask after a book update.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TruthQuote {
    /// The canonical symbol.
    pub symbol: String,
    /// The book update.
    pub update: u64,
    /// Nanoseconds.
    pub time: i64,
    /// (price, size).
    pub bid: (String, String),
    /// (price, size).
    pub ask: (String, String),
}
