//! Answers of the REST interfaces, as far as the feeds have no type for them.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use qicore_data::Timestamp;
use qicore_data::decimal::{Number, Quoted};
use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer};

use super::exchange::Snapshot;
use super::{Maybe, Trade};

/// A row of candles: a list in this order in Exchange, an object with these names in Advanced Trade.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Bar {
    /// Open time.
    pub start: Seconds,
    /// Lowest price.
    pub low: Number,
    /// Highest price.
    pub high: Number,
    /// First price.
    pub open: Number,
    /// Last price.
    pub close: Number,
    /// Volume in base currency.
    pub volume: Number,
}

/// The body of Advanced Trade's `…/candles`, newest first.
#[derive(Debug, Deserialize)]
pub struct Candles {
    /// Candles.
    pub candles: Vec<Bar>,
}

/// Seconds since 1970, as a number or in quotes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seconds(pub Timestamp);

impl<'de> Deserialize<'de> for Seconds {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct SecondsVisitor;
        impl Visitor<'_> for SecondsVisitor {
            type Value = Seconds;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("whole seconds since 1970")
            }
            fn visit_u64<E: de::Error>(self, secs: u64) -> Result<Seconds, E> {
                let at = i64::try_from(secs).ok().and_then(Timestamp::from_secs);
                at.map(Seconds)
                    .ok_or_else(|| E::invalid_value(de::Unexpected::Unsigned(secs), &self))
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Seconds, E> {
                match text.parse() {
                    Ok(secs) => self.visit_u64(secs),
                    Err(_) => Err(E::invalid_value(de::Unexpected::Str(text), &self)),
                }
            }
        }
        deserializer.deserialize_any(SecondsVisitor)
    }
}

/// The body of Advanced Trade's `…/products/{id}/ticker`.
#[derive(Debug, Deserialize)]
pub struct MarketTrades<'a> {
    /// Trades, newest first.
    #[serde(borrow)]
    pub trades: Vec<Trade<'a>>,
    /// Best bid price.
    #[serde(default)]
    pub best_bid: Maybe,
    /// Best ask price.
    #[serde(default)]
    pub best_ask: Maybe,
}

/// The body of Advanced Trade's `…/product_book`.
#[derive(Debug, Deserialize)]
pub struct ProductBook<'a> {
    /// The book.
    #[serde(borrow)]
    pub pricebook: Snapshot<'a>,
}

/// The body of Advanced Trade's `…/best_bid_ask`.
#[derive(Debug, Deserialize)]
pub struct PriceBooks<'a> {
    /// A book for each product, of the best level of both sides.
    #[serde(borrow)]
    pub pricebooks: Vec<Snapshot<'a>>,
}

/// The body of `/v2/exchange-rates`.
#[derive(Debug, Deserialize)]
pub struct ExchangeRates<'a> {
    /// Rates.
    #[serde(borrow)]
    pub data: Rates<'a>,
}

/// What one unit of a currency is worth.
#[derive(Debug, Deserialize)]
pub struct Rates<'a> {
    /// The currency.
    #[serde(borrow)]
    pub currency: Cow<'a, str>,
    /// Its worth in each other one.
    #[serde(borrow)]
    pub rates: BTreeMap<Cow<'a, str>, Quoted>,
}

/// The body of an error, in all its forms. Exchange: `{"message"}`. Advanced Trade: `{"error", "error_details",
/// "message"}`, or gRPC's `{"error", "code", "message", "details"}`. `/v2`: `{"errors": [{"id", "message"}]}`.
#[derive(Debug, Default, Deserialize)]
pub struct Refusal<'a> {
    /// A name (`NOT_FOUND`), or a text.
    #[serde(borrow)]
    pub error: Option<Cow<'a, str>>,
    /// A text.
    #[serde(borrow)]
    pub error_details: Option<Cow<'a, str>>,
    /// A text.
    #[serde(borrow)]
    pub message: Option<Cow<'a, str>>,
    /// The number of gRPC's status.
    pub code: Option<i64>,
    /// One or several, in `/v2`.
    #[serde(borrow, default)]
    pub errors: Vec<RefusalItem<'a>>,
}

/// One of the errors of `/v2`.
#[derive(Debug, Deserialize)]
pub struct RefusalItem<'a> {
    /// A name (`not_found`).
    #[serde(borrow)]
    pub id: Option<Cow<'a, str>>,
    /// A text.
    #[serde(borrow)]
    pub message: Option<Cow<'a, str>>,
}
