//! Bodies of endpoints that streams have no message like: rows by position, and objects with whole words as keys.
//!
//! Field names after `binance/binance-spot-api-docs`, `rest-api.md`; what only futures send (`baseQty`, `baseVolume`,
//! `time`) after the USDⓈ-M and COIN-M documentation.

use std::borrow::Cow;
use std::fmt;

use qicore_data::decimal::Quoted;
use serde::de::{Expected, IgnoredAny, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, de};

use super::Time;

/// A row of `/klines`, `/uiKlines` and `/continuousKlines`: twelve elements by position. What follows the number of
/// trades (the takers' part of the volume) is not read.
#[derive(Debug, Clone, Copy)]
pub struct KlineRow {
    /// Open time.
    pub open_time: Time,
    /// First price.
    pub open: Quoted,
    /// Highest price.
    pub high: Quoted,
    /// Lowest price.
    pub low: Quoted,
    /// Last price.
    pub close: Quoted,
    /// Volume in base currency; of coin-margined contracts a number of contracts.
    pub volume: Quoted,
    /// The last millisecond, or microsecond, of the interval.
    pub close_time: Time,
    /// Volume in quote currency; of coin-margined contracts in base currency.
    pub other_volume: Quoted,
    /// Number of trades.
    pub trades: u64,
}

impl<'de> Deserialize<'de> for KlineRow {
    #[inline]
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct RowVisitor;
        impl<'de> Visitor<'de> for RowVisitor {
            type Value = KlineRow;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a candle's row")
            }
            #[inline]
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<KlineRow, A::Error> {
                let row = KlineRow {
                    open_time: element(&mut seq, 0, &self)?,
                    open: element(&mut seq, 1, &self)?,
                    high: element(&mut seq, 2, &self)?,
                    low: element(&mut seq, 3, &self)?,
                    close: element(&mut seq, 4, &self)?,
                    volume: element(&mut seq, 5, &self)?,
                    close_time: element(&mut seq, 6, &self)?,
                    other_volume: element(&mut seq, 7, &self)?,
                    trades: element(&mut seq, 8, &self)?,
                };
                while seq.next_element::<IgnoredAny>()?.is_some() {}
                Ok(row)
            }
        }
        deserializer.deserialize_seq(RowVisitor)
    }
}

/// The next element of a row, which has to be there.
#[inline]
fn element<'de, T: Deserialize<'de>, A: SeqAccess<'de>>(
    seq: &mut A,
    at: usize,
    expected: &dyn Expected,
) -> Result<T, A::Error> {
    let found = seq.next_element()?;
    found.ok_or_else(|| de::Error::invalid_length(at, expected))
}

/// A row of `/trades` and `/historicalTrades`: a single fill.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TradeRow {
    /// Id of the trade.
    pub id: u64,
    /// Price.
    pub price: Quoted,
    /// Size in base currency; of coin-margined contracts a number of contracts.
    pub qty: Quoted,
    /// Size in base currency; coin-margined contracts only.
    pub base_qty: Option<Quoted>,
    /// Time of the trade.
    pub time: Time,
    /// Whether the buyer was the maker.
    pub is_buyer_maker: Option<bool>,
}

/// A row of `/aggTrades`: fills of one taker order at one price. Unlike the stream's, it does not name its symbol.
#[derive(Debug, Clone, Copy, Deserialize)]
pub struct AggTradeRow {
    /// Id of the aggregate.
    #[serde(rename = "a")]
    pub id: u64,
    /// Price.
    #[serde(rename = "p")]
    pub price: Quoted,
    /// Size.
    #[serde(rename = "q")]
    pub size: Quoted,
    /// Time of the trade.
    #[serde(rename = "T")]
    pub time: Time,
    /// Whether the buyer was the maker.
    #[serde(rename = "m")]
    pub buyer_is_maker: Option<bool>,
}

/// `/ticker/24hr`, and `/ticker` over a window of the client's choice. The latter has no bid and ask, nor have futures.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WindowTicker<'a> {
    /// Native name.
    #[serde(borrow)]
    pub symbol: Cow<'a, str>,
    /// Last price.
    pub last_price: Quoted,
    /// Best bid price.
    pub bid_price: Option<Quoted>,
    /// Best ask price.
    pub ask_price: Option<Quoted>,
    /// First price of the window.
    pub open_price: Quoted,
    /// Highest price.
    pub high_price: Quoted,
    /// Lowest price.
    pub low_price: Quoted,
    /// Volume in base currency; of coin-margined contracts a number of contracts.
    pub volume: Quoted,
    /// Volume in base currency; coin-margined contracts only.
    pub base_volume: Option<Quoted>,
    /// Volume in quote currency; absent of coin-margined contracts.
    pub quote_volume: Option<Quoted>,
    /// End of the window.
    pub close_time: Time,
}

/// `/ticker/price`.
#[derive(Debug, Deserialize)]
pub struct LastPrice<'a> {
    /// Native name.
    #[serde(borrow)]
    pub symbol: Cow<'a, str>,
    /// Last price.
    pub price: Quoted,
    /// Time of the price; futures only.
    pub time: Option<Time>,
}

/// `/ticker/bookTicker`: best bid and ask.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BestPrices<'a> {
    /// Native name.
    #[serde(borrow)]
    pub symbol: Cow<'a, str>,
    /// Best bid price.
    pub bid_price: Quoted,
    /// Size at the best bid.
    pub bid_qty: Quoted,
    /// Best ask price.
    pub ask_price: Quoted,
    /// Size at the best ask.
    pub ask_qty: Quoted,
    /// Time of the prices; futures only.
    pub time: Option<Time>,
}

/// `/avgPrice`: the mean price of the last minutes' trades.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AveragePrice {
    /// The mean, weighted by volume.
    pub price: Quoted,
    /// Time of the last trade; absent before 2023.
    pub close_time: Option<Time>,
}

/// What answers a request that was not served.
#[derive(Debug, Deserialize)]
pub struct Envelope<'a> {
    /// The documented number of the error.
    pub code: i64,
    /// Its text.
    #[serde(borrow)]
    pub msg: Cow<'a, str>,
}
