//! What streams tell of a market as a whole: tickers over a window, means and reference prices.

use std::borrow::Cow;

use qicore_data::decimal::Quoted;
use serde::Deserialize;

use super::Time;

/// `24hrTicker`, `24hrMiniTicker` and `1dTicker`, over 24 hours; only the first has a bid and an ask.
#[derive(Debug, Deserialize)]
pub struct Ticker<'a> {
    /// Time of the event.
    #[serde(rename = "E")]
    pub time: Time,
    /// Native name.
    #[serde(borrow, rename = "s")]
    pub symbol: Cow<'a, str>,
    /// Last price.
    #[serde(rename = "c")]
    pub last: Quoted,
    /// Best bid price.
    #[serde(rename = "b")]
    pub bid: Option<Quoted>,
    /// Best ask price.
    #[serde(rename = "a")]
    pub ask: Option<Quoted>,
    /// First price of the window.
    #[serde(rename = "o")]
    pub open: Quoted,
    /// Highest price.
    #[serde(rename = "h")]
    pub high: Quoted,
    /// Lowest price.
    #[serde(rename = "l")]
    pub low: Quoted,
    /// Volume in base currency.
    #[serde(rename = "v")]
    pub volume: Quoted,
    /// Volume in quote currency.
    #[serde(rename = "q")]
    pub quote_volume: Quoted,
}

/// `1hTicker` and `4hTicker`. Their other figures are over a window that is not the 24 hours of a ticker.
#[derive(Debug, Deserialize)]
pub struct RollingTicker<'a> {
    /// Time of the event.
    #[serde(rename = "E")]
    pub time: Time,
    /// Native name.
    #[serde(borrow, rename = "s")]
    pub symbol: Cow<'a, str>,
    /// Last price.
    #[serde(rename = "c")]
    pub last: Quoted,
}

/// `avgPrice`: the mean price of the last minutes' trades.
#[derive(Debug, Deserialize)]
pub struct AveragePrice<'a> {
    /// Native name.
    #[serde(borrow, rename = "s")]
    pub symbol: Cow<'a, str>,
    /// The mean, weighted by volume.
    #[serde(rename = "w")]
    pub price: Quoted,
    /// Time of the last trade.
    #[serde(rename = "T")]
    pub time: Time,
}

/// `referencePrice`, and the body of `/referencePrice`, which has whole words as keys.
#[derive(Debug, Deserialize)]
pub struct ReferencePrice<'a> {
    /// Native name.
    #[serde(borrow, rename = "s", alias = "symbol")]
    pub symbol: Cow<'a, str>,
    /// The price that the venue's limits of orders refer to; null where it has set none.
    #[serde(rename = "r", alias = "referencePrice")]
    pub price: Option<Quoted>,
    /// When it was valid.
    #[serde(rename = "t", alias = "timestamp")]
    pub time: Time,
}
