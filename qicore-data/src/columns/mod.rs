//! The flat columns of events: one layout for every tabular format, and the way back.
//!
//! Each [`EventType`](crate::EventType) has its own columns: the header that all types share, then the type's own in
//! the order of the normalised JSON; an [enrichment](crate::Enrichment) has none. A [`Column`] gives the [`Cell`] of an event; [`event`] puts an event together from
//! cells.
//!
//! ```
//! use qicore_data::columns::{self, Cell};
//! use qicore_data::EventType;
//! # let line = r#"{"type":"trade","exchange":"x","symbol":"A/B","timestamp":"2026-01-01T00:00:00Z","source":"x","price":"1.50","size":"2"}"#;
//! # let event: qicore_data::Event = serde_json::from_str(line).unwrap();
//! let layout = columns::columns(EventType::Trade);
//! let names: Vec<_> = layout.iter().map(|column| column.name).collect();
//! assert_eq!(names[6..], ["id", "side", "price", "size"]);
//! assert!(matches!(layout[6].cell(&event), Cell::Absent));
//! assert_eq!(layout[1].text(&event), Some("A/B"));
//! assert_eq!(layout[8].decimal(&event).unwrap().to_string(), "1.50");
//! assert_eq!(columns::event(EventType::Trade, |at| Ok(layout[at].cell(&event)))?, event);
//! # Ok::<(), qicore_data::Error>(())
//! ```

mod layout;
mod value;

use std::borrow::Cow;
use std::fmt;

use rust_decimal::Decimal;

pub use layout::{columns, event};

use crate::decimal::{self, DecimalText};
use crate::error::{Error, Result};
use crate::event::{Event, Level};
use crate::time::{Timestamp, TimestampText};

/// A JSON object.
pub type Object = serde_json::Map<String, serde_json::Value>;

/// What the values of a column are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// UTF-8 text.
    Text,
    /// An exact decimal.
    Decimal,
    /// Nanoseconds since 1970, UTC.
    Time,
    /// A whole number, not negative.
    Count,
    /// True or false.
    Flag,
    /// One side of a book: prices and sizes.
    Levels,
    /// A JSON object.
    Json,
}

/// A column of one event type.
#[derive(Debug, Clone, Copy)]
pub struct Column {
    /// The name, unique within its type.
    pub name: &'static str,
    /// What its values are.
    pub kind: Kind,
    /// Every event has a value.
    pub required: bool,
    read: fn(&Event) -> Cell<'_>,
    text: fn(&Event) -> Option<&str>,
    decimal: fn(&Event) -> Option<&Decimal>,
}

impl Column {
    /// The event's value; [`Cell::Absent`] for an event of another type.
    #[inline]
    pub fn cell<'a>(&self, event: &'a Event) -> Cell<'a> {
        (self.read)(event)
    }

    /// The event's text where it lies: what a columnar encoder asks for, as no [`Cell`] is made. `None` for an absent
    /// value, and for one that does not lie there as text (a trade's id that is a number).
    #[inline]
    pub fn text<'a>(&self, event: &'a Event) -> Option<&'a str> {
        (self.text)(event)
    }

    /// The event's decimal where it lies, likewise.
    #[inline]
    pub fn decimal<'a>(&self, event: &'a Event) -> Option<&'a Decimal> {
        (self.decimal)(event)
    }
}

/// A value of a column.
#[derive(Debug, Clone, PartialEq)]
pub enum Cell<'a> {
    /// No value.
    Absent,
    /// [`Kind::Text`].
    Text(Cow<'a, str>),
    /// [`Kind::Text`] that is a number without leading zeros: trade ids are kept so, and need no allocation.
    Digits(u64),
    /// [`Kind::Decimal`].
    Decimal(Decimal),
    /// [`Kind::Time`].
    Time(Timestamp),
    /// [`Kind::Count`].
    Count(u64),
    /// [`Kind::Flag`].
    Flag(bool),
    /// [`Kind::Levels`].
    Levels(Cow<'a, [Level]>),
    /// [`Kind::Json`].
    Json(Cow<'a, Object>),
}

impl Cell<'_> {
    /// Appends the value's text, as in the normalised JSON; levels and objects as JSON, nothing where it is absent.
    pub fn push_text(&self, out: &mut String) {
        match self {
            Self::Absent => {}
            Self::Text(text) => out.push_str(text),
            Self::Digits(number) | Self::Count(number) => out.push_str(itoa::Buffer::new().format(*number)),
            Self::Decimal(value) => out.push_str(DecimalText::new(*value).as_str()),
            Self::Time(at) => out.push_str(TimestampText::new(*at).as_str()),
            Self::Flag(flag) => out.push_str(if *flag { "true" } else { "false" }),
            // Writing to memory cannot fail, and both have only text as keys.
            Self::Levels(levels) => out.push_str(&serde_json::to_string(levels).unwrap_or_default()),
            Self::Json(object) => out.push_str(&serde_json::to_string(object).unwrap_or_default()),
        }
    }
}

impl Kind {
    /// Reads what [`Cell::push_text`] wrote. An empty text is an absent value.
    ///
    /// # Errors
    /// [`Decode`](crate::ErrorKind::Decode) if the text is no value of this kind.
    pub fn parse(self, text: &str) -> Result<Cell<'_>> {
        fn told(error: impl fmt::Display) -> String {
            error.to_string()
        }
        if text.is_empty() {
            return Ok(Cell::Absent);
        }
        let cell = match self {
            Self::Text => Ok(Cell::Text(Cow::Borrowed(text))),
            Self::Decimal => decimal::parse(text).map(Cell::Decimal).map_err(told),
            Self::Time => text.parse().map(Cell::Time).map_err(told),
            Self::Count => text.parse().map(Cell::Count).map_err(told),
            Self::Flag => text.parse().map(Cell::Flag).map_err(told),
            Self::Levels => serde_json::from_str(text)
                .map(|levels: Vec<Level>| Cell::Levels(Cow::Owned(levels)))
                .map_err(told),
            Self::Json => serde_json::from_str(text)
                .map(|object| Cell::Json(Cow::Owned(object)))
                .map_err(told),
        };
        cell.map_err(|message| Error::decode("columns.parse", message).with("text", clip(text)))
    }
}

fn clip(text: &str) -> &str {
    text.char_indices().nth(40).map_or(text, |(at, _)| &text[..at])
}
