//! Answers of the REST interface.

use std::borrow::Cow;
use std::fmt;

use qicore_data::decimal::Quoted;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::Name;

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
