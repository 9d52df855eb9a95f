use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A venue's trade id. Most venues count; those ids are kept as numbers and never allocate.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TradeId {
    /// A number without leading zeros.
    Number(u64),
    /// Anything else.
    Text(Arc<str>),
}

impl TradeId {
    /// Reads an id from its text.
    ///
    /// ```
    /// use qicore_data::TradeId;
    /// assert_eq!(TradeId::new("1068572090"), TradeId::Number(1068572090));
    /// assert_eq!(TradeId::new("007").to_string(), "007");
    /// ```
    #[inline]
    pub fn new(text: &str) -> Self {
        let plain = matches!(text.as_bytes(), [b'0'] | [b'1'..=b'9', ..]);
        match text.parse() {
            Ok(number) if plain => Self::Number(number),
            _ => Self::Text(text.into()),
        }
    }
}

impl From<u64> for TradeId {
    fn from(id: u64) -> Self {
        Self::Number(id)
    }
}

impl fmt::Display for TradeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(id) => fmt::Display::fmt(id, f),
            Self::Text(id) => f.pad(id),
        }
    }
}

impl Serialize for TradeId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Number(id) => serializer.serialize_str(itoa::Buffer::new().format(*id)),
            Self::Text(id) => serializer.serialize_str(id),
        }
    }
}

impl<'de> Deserialize<'de> for TradeId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = TradeId;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a trade id")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<TradeId, E> {
                Ok(TradeId::new(text))
            }
        }
        deserializer.deserialize_str(Visitor)
    }
}
