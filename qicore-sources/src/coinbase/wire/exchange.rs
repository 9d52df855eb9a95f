//! What the Exchange feed sends, as far as it is read. The REST interface of Exchange writes trades, books and tickers
//! in the same words, so that they share a type.
//!
//! Field names after docs.cdp.coinbase.com (exchange/websocket-feed/channels, exchange/reference).

use std::borrow::Cow;
use std::fmt;

use qicore_data::decimal::Quoted;
use qicore_data::{Level, TradeId};
use serde::de::{IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, de};

use super::{BookSide, MakerSide, Maybe, Time};

/// `match`, `last_match` and `rfq_match`, and a trade of `/products/{id}/trades`.
#[derive(Debug, Deserialize)]
pub struct Match<'a> {
    /// Native name; a response does not say it.
    #[serde(borrow)]
    pub product_id: Option<Cow<'a, str>>,
    /// Id; consecutive in each product.
    pub trade_id: Id,
    /// The **maker's** side.
    pub side: Option<MakerSide>,
    /// Price.
    pub price: Quoted,
    /// Size.
    pub size: Quoted,
    /// When it happened.
    pub time: Time,
}

/// A number that is also met in quotes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Id(pub TradeId);

impl Id {
    /// The number, if it is one.
    pub fn number(&self) -> Option<u64> {
        match self.0 {
            TradeId::Number(number) => Some(number),
            _ => None,
        }
    }
}

impl<'de> Deserialize<'de> for Id {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct IdVisitor;
        impl Visitor<'_> for IdVisitor {
            type Value = Id;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an id")
            }
            fn visit_u64<E: de::Error>(self, id: u64) -> Result<Id, E> {
                Ok(Id(TradeId::Number(id)))
            }
            fn visit_str<E: de::Error>(self, id: &str) -> Result<Id, E> {
                if id.is_empty() {
                    return Err(E::invalid_value(de::Unexpected::Str(id), &self));
                }
                Ok(Id(TradeId::new(id)))
            }
        }
        deserializer.deserialize_any(IdVisitor)
    }
}

/// `ticker`, and the bodies of `/products/{id}/ticker` and `/products/{id}/stats`, which have other names for the same.
#[derive(Debug, Deserialize)]
pub struct Ticker<'a> {
    /// Native name; a response does not say it.
    #[serde(borrow)]
    pub product_id: Option<Cow<'a, str>>,
    /// Last price.
    #[serde(default, alias = "last")]
    pub price: Maybe,
    /// Price 24 h ago.
    #[serde(default, alias = "open_24h")]
    pub open: Maybe,
    /// Highest price in 24 h.
    #[serde(default, alias = "high_24h")]
    pub high: Maybe,
    /// Lowest price in 24 h.
    #[serde(default, alias = "low_24h")]
    pub low: Maybe,
    /// Volume over 24 h, in base currency; older ones have none.
    #[serde(default, alias = "volume_24h")]
    pub volume: Maybe,
    /// Best bid price.
    #[serde(default, alias = "best_bid")]
    pub bid: Maybe,
    /// Size at the best bid; since 2022.
    #[serde(default, rename = "best_bid_size")]
    pub bid_size: Maybe,
    /// Best ask price.
    #[serde(default, alias = "best_ask")]
    pub ask: Maybe,
    /// Size at the best ask; since 2022.
    #[serde(default, rename = "best_ask_size")]
    pub ask_size: Maybe,
    /// When the last trade happened.
    pub time: Option<Time>,
}

/// `snapshot`, the body of `/products/{id}/book`, and the `pricebook` of Advanced Trade.
#[derive(Debug, Deserialize)]
pub struct Snapshot<'a> {
    /// Native name; the body of Exchange does not say it.
    #[serde(borrow)]
    pub product_id: Option<Cow<'a, str>>,
    /// Bids, best first.
    pub bids: Ladder,
    /// Asks, best first.
    pub asks: Ladder,
    /// The product's number of the last change contained: only in bodies of Exchange.
    pub sequence: Option<Id>,
    /// When it was so; older ones do not say.
    pub time: Option<Time>,
}

/// One side of a [`Snapshot`], best price first.
///
/// A row is `[price, size]` on the feed, `[price, size, orders]` in levels 1 and 2, `[price, size, order id]` in level 3,
/// and `{"price", "size"}` in Advanced Trade. In level 3 each row is an order: the orders of a price, which stand
/// together, make one level.
#[derive(Debug, Default)]
pub struct Ladder(pub Vec<Level>);

impl<'de> Deserialize<'de> for Ladder {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct LadderVisitor;
        impl<'de> Visitor<'de> for LadderVisitor {
            type Value = Ladder;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("book levels")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Ladder, A::Error> {
                let mut levels: Vec<Level> = Vec::new();
                while let Some(Row { level, is_order }) = seq.next_element()? {
                    match levels.last_mut() {
                        Some(last) if is_order && last.price == level.price => {
                            let size = last.size.checked_add(level.size);
                            last.size = size.ok_or_else(|| de::Error::custom("the size of a level is too large"))?;
                        }
                        _ => levels.push(level),
                    }
                }
                Ok(Ladder(levels))
            }
        }
        deserializer.deserialize_seq(LadderVisitor)
    }
}

/// A row of a [`Ladder`].
struct Row {
    level: Level,
    is_order: bool,
}

/// A row as an object, or the first two elements of a list.
#[derive(Deserialize)]
struct PriceSize {
    price: Quoted,
    size: Quoted,
}

/// The third element of a row: how many orders, or which one.
struct IsOrder(bool);

impl<'de> Deserialize<'de> for IsOrder {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct IsOrderVisitor;
        impl Visitor<'_> for IsOrderVisitor {
            type Value = IsOrder;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number of orders, or the id of one")
            }
            fn visit_u64<E: de::Error>(self, _orders: u64) -> Result<IsOrder, E> {
                Ok(IsOrder(false))
            }
            fn visit_str<E: de::Error>(self, _id: &str) -> Result<IsOrder, E> {
                Ok(IsOrder(true))
            }
        }
        deserializer.deserialize_any(IsOrderVisitor)
    }
}

impl From<PriceSize> for Level {
    fn from(row: PriceSize) -> Self {
        Self::new(row.price.0, row.size.0)
    }
}

impl<'de> Deserialize<'de> for Row {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct RowVisitor;
        impl<'de> Visitor<'de> for RowVisitor {
            type Value = Row;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a book level")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Row, A::Error> {
                let level = PriceSize::deserialize(de::value::SeqAccessDeserializer::new(&mut seq))?.into();
                let is_order = seq.next_element()?.is_some_and(|IsOrder(is_order)| is_order);
                while seq.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Row { level, is_order })
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Row, A::Error> {
                let level = PriceSize::deserialize(de::value::MapAccessDeserializer::new(map))?.into();
                Ok(Row { level, is_order: false })
            }
        }
        deserializer.deserialize_any(RowVisitor)
    }
}

/// `l2update`.
#[derive(Debug, Deserialize)]
pub struct L2Update<'a> {
    /// Native name.
    #[serde(borrow)]
    pub product_id: Option<Cow<'a, str>>,
    /// Levels with their new total sizes; size 0 deletes.
    pub changes: Changes,
    /// When it happened.
    pub time: Option<Time>,
}

/// The rows `[side, price, size]` of an [`L2Update`], sorted into sides.
#[derive(Debug, Default)]
pub struct Changes {
    /// Bids, in the venue's order.
    pub bids: Vec<Level>,
    /// Asks, in the venue's order.
    pub asks: Vec<Level>,
}

impl<'de> Deserialize<'de> for Changes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ChangesVisitor;
        impl<'de> Visitor<'de> for ChangesVisitor {
            type Value = Changes;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("book changes")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Changes, A::Error> {
                let mut changes = Changes::default();
                while let Some((side, price, size)) = seq.next_element::<(BookSide, Quoted, Quoted)>()? {
                    let side = match side {
                        BookSide::Bid => &mut changes.bids,
                        BookSide::Offer => &mut changes.asks,
                    };
                    side.push(Level::new(price.0, size.0));
                }
                Ok(changes)
            }
        }
        deserializer.deserialize_seq(ChangesVisitor)
    }
}

/// `heartbeat`, once a second for each product.
#[derive(Debug, Deserialize)]
pub struct Heartbeat<'a> {
    /// Native name.
    #[serde(borrow)]
    pub product_id: Cow<'a, str>,
    /// The id of the product's last trade; 0 before its first.
    pub last_trade_id: u64,
    /// When the venue sent it.
    pub time: Time,
}
