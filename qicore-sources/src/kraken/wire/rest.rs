//! Answers of the REST interface.

use std::borrow::Cow;
use std::fmt;

use qicore_data::Timestamp;
use qicore_data::decimal::{self, Quoted};
use serde::de::{Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::{First, Name, Taker, Window, element};

/// The body of a REST answer.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(bound(deserialize = "T: Deserialize<'de>"))]
pub struct Response<'a, T> {
    /// Errors (`EQuery:Unknown asset pair`) and warnings (`W…`).
    #[serde(borrow)]
    pub error: Vec<Name<'a>>,
    /// The answer, where there is no error.
    pub result: Option<T>,
}

/// A pair in the answer of `AssetPairs`, as far as it is read.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct AssetPair<'a> {
    /// The name without marks (`XBTUSD`).
    #[serde(borrow)]
    pub altname: Cow<'a, str>,
    /// The name over the WebSocket (`XBT/USD`); dark pools have none.
    #[serde(borrow)]
    pub wsname: Option<Name<'a>>,
    /// Code of the base currency (`XXBT`).
    #[serde(borrow)]
    pub base: Cow<'a, str>,
    /// Code of the quote currency (`ZUSD`).
    #[serde(borrow)]
    pub quote: Cow<'a, str>,
    /// Fractional digits of a price.
    pub pair_decimals: u32,
    /// Fractional digits of a size.
    pub lot_decimals: u32,
    /// Smallest price step; older answers have none.
    pub tick_size: Option<Quoted>,
    /// `online`, `cancel_only`, `post_only`, `limit_only`, `reduce_only`; older answers have none.
    #[serde(borrow)]
    pub status: Option<Name<'a>>,
}

/// The members of an object in the order sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Members<'a, T>(pub Vec<(Name<'a>, T)>);

impl<'de: 'a, 'a, T: Deserialize<'de>> Deserialize<'de> for Members<'a, T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder<'a, T>(std::marker::PhantomData<Members<'a, T>>);
        impl<'de: 'a, 'a, T: Deserialize<'de>> Visitor<'de> for InOrder<'a, T> {
            type Value = Members<'a, T>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(InOrder(std::marker::PhantomData))
    }
}

/// The `result` of an endpoint that answers for one pair: the pair's name with its rows, and where to go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer<'a, T> {
    /// The only member that is not `last`.
    pub pair: Option<(Name<'a>, T)>,
    /// `Trades`: nanoseconds since 1970, in a string; `OHLC` and `Spread`: seconds, as a number.
    pub last: Option<u64>,
}

impl<'de: 'a, 'a, T: Deserialize<'de>> Deserialize<'de> for Answer<'a, T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OnePair<'a, T>(std::marker::PhantomData<Answer<'a, T>>);
        impl<'de: 'a, 'a, T: Deserialize<'de>> Visitor<'de> for OnePair<'a, T> {
            type Value = Answer<'a, T>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of one pair and `last`")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut answer = Answer { pair: None, last: None };
                while let Some(key) = map.next_key::<Name<'a>>()? {
                    if key.0 == "last" {
                        answer.last = Some(map.next_value::<Last>()?.0);
                    } else if answer.pair.is_none() {
                        answer.pair = Some((key, map.next_value()?));
                    } else {
                        return Err(A::Error::custom("the answer is of several pairs"));
                    }
                }
                Ok(answer)
            }
        }
        deserializer.deserialize_map(OnePair(std::marker::PhantomData))
    }
}

/// A whole number, in a string or not.
struct Last(u64);

impl<'de> Deserialize<'de> for Last {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = digits(<&RawValue>::deserialize(deserializer)?).parse();
        number
            .map(Self)
            .map_err(|_| D::Error::custom("`last` is no whole number"))
    }
}

/// A time as a JSON number of seconds since 1970, with a fraction or without, read from its digits: a double would lose
/// the last of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NumberSeconds(pub Timestamp);

impl<'de> Deserialize<'de> for NumberSeconds {
    #[inline]
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = digits(<&RawValue>::deserialize(deserializer)?);
        let exponent = || Timestamp::from_decimal_secs(&decimal::parse(text).ok()?.to_string()).ok();
        let at = Timestamp::from_decimal_secs(text).ok().or_else(exponent);
        at.map(Self)
            .ok_or_else(|| D::Error::custom("a time is not in seconds since 1970"))
    }
}

/// A value's text without quotation marks.
fn digits(value: &RawValue) -> &str {
    let text = value.get();
    text.strip_prefix('"')
        .and_then(|text| text.strip_suffix('"'))
        .unwrap_or(text)
}

row! {
    /// A bar of `OHLC`.
    RestOhlc "[time, open, high, low, close, vwap, volume, count]" {
        /// Open time.
        time: NumberSeconds,
        /// First price.
        open: Quoted,
        /// Highest price.
        high: Quoted,
        /// Lowest price.
        low: Quoted,
        /// Last price.
        close: Quoted,
        /// Average price by volume; 0 where there was no trade.
        vwap: Quoted,
        /// Volume in base currency.
        volume: Quoted,
        /// Number of trades.
        count: u64,
    }
}

/// Any value, which is not looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unread;

impl<'de> Deserialize<'de> for Unread {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        IgnoredAny::deserialize(deserializer).map(|_| Self)
    }
}

row! {
    /// A trade of `Trades`.
    RestTrade "[price, volume, time, side, orderType, misc, …]" {
        /// Price.
        price: Quoted,
        /// Size in base currency.
        volume: Quoted,
        /// When it was made.
        time: NumberSeconds,
        /// Who took.
        side: Taker,
        /// Of the taker's order: `m` (market) or `l` (limit).
        order_type: Unread,
        /// Nothing so far.
        misc: Unread,
    } {
        /// The trade's number among those of the pair; older answers have none.
        id: u64
    }
}

row! {
    /// A change of the best prices, of `Spread`.
    RestSpread "[time, bid, ask]" {
        /// When it became so.
        time: NumberSeconds,
        /// Best bid price.
        bid: Quoted,
        /// Best ask price.
        ask: Quoted,
    }
}

row! {
    /// A level of `Depth`.
    DepthLevel "[price, volume, time]" {
        /// Price.
        price: Quoted,
        /// Size.
        volume: Quoted,
        /// When it changed.
        time: NumberSeconds,
    }
}

/// The book of `Depth`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Depth {
    /// Asks, lowest price first.
    pub asks: Vec<DepthLevel>,
    /// Bids, highest price first.
    pub bids: Vec<DepthLevel>,
}

/// The book of `GroupedBook`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct GroupedBook<'a> {
    /// The pair's name (`BTC/USD`).
    #[serde(borrow)]
    pub pair: Name<'a>,
    /// Asks, lowest price first.
    pub asks: Vec<GroupedLevel>,
    /// Bids, highest price first.
    pub bids: Vec<GroupedLevel>,
}

/// The levels of a step of price, in one.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct GroupedLevel {
    /// The step's passive end.
    pub price: Quoted,
    /// The sum of sizes.
    pub qty: Quoted,
}

/// A pair's statistics in the answer of `Ticker`. `o`, the first price of the day, is of another window than the rest.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct RestTicker {
    /// Best ask.
    pub a: First,
    /// Best bid.
    pub b: First,
    /// Last trade.
    pub c: First,
    /// Volume in base currency.
    pub v: Window,
    /// Lowest price.
    pub l: Window,
    /// Highest price.
    pub h: Window,
}
